"""Rows of a query by DuckDB over the files that hudi-rs lists as live, as one line of JSON: query_files.py TABLE "SELECT ... FROM t"."""

import json
import sys

import duckdb
from hudi import HudiTable

path, query = sys.argv[1:3]
files = [f"{path}/{s.base_file_relative_path()}" for s in HudiTable(path).get_file_slices()]
connection = duckdb.connect()
connection.execute("CREATE VIEW t AS SELECT * FROM read_parquet(?, union_by_name = true, hive_partitioning = false)".replace("?", repr(files)))
print(json.dumps([[v if v is None or isinstance(v, (bool, int, float)) else str(v) for v in row] for row in connection.sql(query).fetchall()]))
