"""What delta-rs, DuckDB and pyarrow say of a Delta table, and what delta-rs does to one. Prints JSON in its last line.

    judge.py read PATH [VERSION...]      rows of versions (default: the newest), by delta-rs and by DuckDB over the files that it lists
    judge.py append PATH ROWS            appends rows (a JSON list of lists in the order of the table's columns)
    judge.py delete PATH PREDICATE       deletes rows
    judge.py checkpoint PATH
    judge.py create PATH KIND            makes a table: plain, partitioned, vectors, mapping, features
    judge.py info PATH                   schema, configuration, history, transactions, files
"""
import datetime
import decimal
import json
import os
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def plain(value):
    if isinstance(value, datetime.datetime):
        return (value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)).__sub__(EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.date):
        return (value - EPOCH.date()).days
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and value != value:
        return "NaN"
    if isinstance(value, dict):
        return [plain(v) for v in value.values()]
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def text(row):
    return json.dumps([plain(v) for v in row], ensure_ascii=False)


def read(path, version):
    table = DeltaTable(path, version=version) if version is not None else DeltaTable(path)
    columns = [field.name for field in table.schema().fields]
    if table.file_uris():
        found = table.to_pyarrow_table(columns=columns)
        rows = sorted(text(row.values()) for row in found.to_pylist())
    else:
        rows = []
    files = sorted(table.file_uris())
    out = {"version": table.version(), "columns": columns, "rows": rows, "files": files}
    if "://" in path:
        return out  # the server is in the environment, for delta-rs
    # Files of ours have the partition columns in them, those of others need not.
    if files and all(set(columns) <= set(pq.read_schema(f).names) for f in files):
        names = ", ".join(f'"{c}"' for c in columns)
        listed = "[" + ", ".join("'" + f.replace("'", "''") + "'" for f in files) + "]"
        connection = duckdb.connect()
        connection.sql("SET TimeZone = 'UTC'")
        got = connection.sql(f"SELECT {names} FROM read_parquet({listed}, hive_partitioning = false, union_by_name = true)").to_arrow_table()
        duck = sorted(text(row.values()) for row in got.to_pylist())
        if duck != rows and duck != [r.replace('""', "null") for r in rows]:
            raise SystemExit(f"DuckDB and delta-rs differ: {duck[:5]} {rows[:5]}")
        out["duckdb"] = len(duck)
    # What the log says of the files must be true of them.
    for action in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        count = action.get("num_records")
        uri = next(f for f in files if f.rsplit("/", 1)[-1] == action["path"].rsplit("/", 1)[-1])
        content = pq.read_table(uri)
        if count is not None and count != content.num_rows:
            raise SystemExit(f"{uri} has {content.num_rows} rows, the log says {count}")
        for key, bound in action.items():
            kind, _, column = key.partition(".")
            if bound is None or column not in content.column_names:
                continue
            values = [v for v in content.column(column).to_pylist() if v is not None and v == v]
            if kind == "null_count" and bound != content.column(column).null_count:
                raise SystemExit(f"{uri}: {key} is {content.column(column).null_count}, the log says {bound}")
            if kind in ("min", "max") and values and not isinstance(values[0], (dict, list)):
                if isinstance(bound, datetime.datetime) and bound.tzinfo is None:
                    bound = bound.replace(tzinfo=datetime.timezone.utc)
                if isinstance(bound, datetime.datetime) and kind == "max":
                    bound += datetime.timedelta(microseconds=999)  # delta-rs cuts to milliseconds
                if any(v < bound if kind == "min" else v > bound for v in values):
                    raise SystemExit(f"{uri}: {key} of the log is {bound}, but there are values beyond")
    return out


def append(path, rows):
    table = DeltaTable(path)
    schema = pa.schema(table.schema())
    fields = [pa.field(f.name, f.type) for f in schema]
    columns = [pa.array([r[i] for r in rows], pa.int64()).cast(f.type) if pa.types.is_timestamp(f.type) else pa.array([r[i] for r in rows], f.type)
               for i, f in enumerate(fields)]
    write_deltalake(path, pa.table(columns, names=[f.name for f in fields]), mode="append")


def create(path, kind):
    utc = datetime.timezone.utc
    rows = pa.table({
        "id": pa.array([1, 2, 3], pa.int32()), "city": pa.array(["oslo", "a b/c%=&?", None]),
        "at": pa.array([datetime.datetime(2020, 1, 1, 1, 2, 3, 456789, utc), None, EPOCH], pa.timestamp("us", "UTC")),
        "amount": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-2.25")], pa.decimal128(10, 2)),
    })
    if kind == "plain":
        write_deltalake(path, rows)
        write_deltalake(path, rows, mode="append")
        DeltaTable(path).delete("id = 2")
        DeltaTable(path).create_checkpoint()
        write_deltalake(path, rows.slice(1, 1), mode="append")
    elif kind == "partitioned":
        write_deltalake(path, rows, partition_by=["city"])
    elif kind in ("vectors", "mapping", "features"):
        settings = {"vectors": {"delta.enableDeletionVectors": "true"}, "mapping": {"delta.columnMapping.mode": "name", "delta.minReaderVersion": "2", "delta.minWriterVersion": "5"},
                    "features": {"delta.enableChangeDataFeed": "true"}}[kind]
        write_deltalake(path, rows, configuration=settings)


def main():
    command, path, *rest = sys.argv[1:]
    answer = None
    if command == "read":
        answer = [read(path, int(v)) for v in rest] or read(path, None)
    elif command == "append":
        append(path, json.loads(rest[0]))
    elif command == "delete":
        DeltaTable(path).delete(rest[0])
    elif command == "checkpoint":
        DeltaTable(path).create_checkpoint()
    elif command == "create":
        create(path, rest[0])
    elif command == "info":
        table = DeltaTable(path)
        protocol = table.protocol()
        answer = {
            "version": table.version(), "schema": [[f.name, json.loads(f.type.to_json())] for f in table.schema().fields],
            "configuration": table.metadata().configuration, "partitions": table.metadata().partition_columns,
            "operations": [h.get("operation") for h in table.history()], "reader": protocol.min_reader_version, "writer": protocol.min_writer_version,
            "vacuum": table.vacuum(retention_hours=0, dry_run=True, enforce_retention_duration=False),
        }
    print(json.dumps(answer, default=plain))


main()
# The readers' own threads may still run: taking the interpreter down under them aborts now and then.
sys.stdout.flush()
os._exit(0)
