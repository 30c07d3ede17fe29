"""Reads Hudi tables as readers do that do not follow the timeline.

    read_ignoring_timeline.py COLUMN,COLUMN TABLE...

Prints one JSON object per table: {"newest": rows, "daft": rows}, rows being sorted lists of texts, or {"error": text}.
newest: the newest base file of each file group by its name, as ClickHouse's hudi() does. daft: Daft's own reader.
"""
import json
import os
import re
import sys

import daft
import pyarrow.parquet as pq

BASE_FILE = re.compile(r"([A-Za-z0-9-]+)_(\d+-\d+-\d+)_(\d{14,17})\.parquet")


def newest(table, columns):
    groups = {}
    for folder, folders, names in os.walk(table):
        folders[:] = [f for f in folders if not f.startswith(".")]
        for name in names:
            match = BASE_FILE.fullmatch(name)
            if match:
                key = (folder, match[1])
                groups[key] = max(groups.get(key, ("", "")), (match[3], name))
    rows = []
    for (folder, _), (_, name) in groups.items():
        rows += pq.ParquetFile(os.path.join(folder, name)).read(columns=columns).to_pylist()
    return rows


def by_daft(table, columns):
    return daft.read_hudi(table).select(*columns).to_arrow().to_pylist()


def answer(read, table, columns):
    try:
        return sorted("|".join(str(row[c]) for c in columns) for row in read(table, columns))
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}


columns = sys.argv[1].split(",")
for table in sys.argv[2:]:
    print(json.dumps({"newest": answer(newest, table, columns), "daft": answer(by_daft, table, columns)}))
