"""Writes Parquet files with pyarrow.

usage: write_parquet.py FOLDER SPECIFICATION.json
specification: {"name.parquet": {"columns": [["id", "int32"], ...], "rows": [[1, ...], ...], "group": rows of a row group}}
Values of decimals, dates, times and timestamps are texts; of binary columns, base64.
"""
import base64
import datetime
import json
import os
import sys
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq


def arrow_type(name):
    if isinstance(name, list):
        if name[0] == "list":
            return pa.list_(arrow_type(name[1]))
        if name[0] == "map":
            return pa.map_(arrow_type(name[1]), arrow_type(name[2]))
        return pa.struct([(k, arrow_type(t)) for k, t in name[1]])
    if name.startswith("decimal"):
        precision, scale = name[len("decimal("):-1].split(",")
        return pa.decimal128(int(precision), int(scale))
    if name.startswith("timestamp") and name.endswith("utc"):
        return pa.timestamp(name[len("timestamp["):-len("]utc")], tz="UTC")
    return pa.type_for_alias(name)


def value(v, t):
    if v is None:
        return None
    if pa.types.is_decimal(t):
        return Decimal(v)
    if pa.types.is_date(t):
        return datetime.date.fromisoformat(v)
    if pa.types.is_time(t):
        return datetime.time.fromisoformat(v)
    if pa.types.is_timestamp(t):
        parsed = datetime.datetime.fromisoformat(v)
        return parsed.replace(tzinfo=datetime.timezone.utc) if t.tz else parsed
    if pa.types.is_binary(t):
        return base64.b64decode(v)
    if pa.types.is_list(t):
        return [value(e, t.value_type) for e in v]
    if pa.types.is_map(t):
        return [(k, value(e, t.item_type)) for k, e in v]
    if pa.types.is_struct(t):
        return {f.name: value(v.get(f.name), f.type) for f in t}
    return v


folder, specification = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
with open(specification) as f:
    files = json.load(f)
for name, file in files.items():
    types = [(n, arrow_type(t)) for n, t in file["columns"]]
    columns = [pa.array([value(row[i], t) for row in file["rows"]], type=t) for i, (_, t) in enumerate(types)]
    table = pa.Table.from_arrays(columns, schema=pa.schema(types))
    pq.write_table(table, os.path.join(folder, name), row_group_size=file.get("group", 1000))
