"""Reads a table with hudi-rs as of instants and in windows between them.

    read_history.py TABLE REQUESTS

REQUESTS is a JSON file: a list of {"asOf": instant} and {"after": instant, "until": instant}. One line of output each: the rows
without meta columns as JSON lists, sorted by their text.
"""
import json
import sys

import pyarrow as pa
from hudi import HudiQueryType, HudiReadOptions, HudiTable

table = HudiTable(sys.argv[1])
for request in json.load(open(sys.argv[2])):
    options = HudiReadOptions()
    if "asOf" in request:
        options = options.with_as_of_timestamp(request["asOf"])
    else:
        options = (options.with_query_type(HudiQueryType.Incremental).with_start_timestamp(request["after"])
                   .with_end_timestamp(request["until"]))
    batches = table.read(options)
    rows = []
    if batches:
        data = pa.Table.from_batches(batches)
        names = [n for n in data.column_names if not n.startswith("_hoodie_")]
        rows = [[r[n] for n in names] for r in data.to_pylist()]
    print(json.dumps(sorted(rows, key=lambda r: json.dumps(r))))
