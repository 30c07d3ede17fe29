"""Reads a Hudi table on S3 in three ways and prints {"hudi": n, "duckdb": n, "check": "ok ...", "rows": [[...]]} with the rows that hudi-rs sees.

    read_hudi.py s3://bucket/table COLUMN[,COLUMN]

- hudi-rs, straight from the object store;
- DuckDB, over the files that hudi-rs lists (copies of them: its S3 extension is not there without a network);
- check_table.py, on a copy of the whole table.
The server and the key are in the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...).
"""
import json
import os
import subprocess
import sys
import tempfile

import boto3
import duckdb
import pyarrow as pa
from botocore.config import Config
from hudi import HudiTableBuilder

url, columns = sys.argv[1], sys.argv[2].split(",")
bucket, _, prefix = url.removeprefix("s3://").partition("/")
table = HudiTableBuilder.from_base_uri(url).build()
batches = [b for b in table.read() if b.num_rows]
rows = pa.concat_tables([pa.Table.from_batches([b]) for b in batches], promote_options="default").select(columns) if batches else pa.table({c: [] for c in columns})
listed = [os.path.join(slice.partition_path, slice.base_file_name) for slice in table.get_file_slices()]

with tempfile.TemporaryDirectory() as copy:
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=Config(s3={"addressing_style": "path"}))
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix + "/"):
        for entry in page.get("Contents", []):
            path = os.path.join(copy, entry["Key"][len(prefix) + 1:])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as out:
                out.write(client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
    paths = [os.path.join(copy, path) for path in listed]
    count = duckdb.sql("select count(*) from read_parquet($paths)", params={"paths": paths}).fetchall()[0][0] if paths else 0
    checker = os.path.join(os.path.dirname(__file__), "..", "hudi", "check_table.py")
    check = subprocess.run([sys.executable, checker, copy], capture_output=True, text=True, env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")})
print(json.dumps({"hudi": rows.num_rows, "duckdb": count, "check": check.stdout.strip() + " " + check.stderr.strip()[:500],
                  "rows": [[str(v) for v in row.values()] for row in rows.to_pylist()]}))
# hudi-rs's own threads may still run: taking the interpreter down under them aborts now and then.
sys.stdout.flush()
os._exit(0)
