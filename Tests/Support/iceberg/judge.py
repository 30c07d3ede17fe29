"""What pyiceberg, fastavro and pyarrow say of an Iceberg table that lies in a folder.

    judge.py rows PATH [SNAPSHOT]     the rows, as JSON
    judge.py history PATH             the rows of every snapshot, after a look at all of its files
    judge.py write PATH PROGRAM       writes a table with pyiceberg; see below
"""
import datetime
import decimal
import glob
import json
import os
import sys

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.table import StaticTable

EPOCH = datetime.datetime(1970, 1, 1)


def newest(path):
    if path.startswith("s3://"):
        return newest_object(path)
    hint = os.path.join(path, "metadata/version-hint.text")
    version = int(open(hint).read())
    while os.path.exists(f"{path}/metadata/v{version + 1}.metadata.json"):
        version += 1
    return f"{path}/metadata/v{version}.metadata.json"


def newest_object(path):
    import boto3
    bucket, _, prefix = path[len("s3://"):].partition("/")
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    names = [o["Key"] for o in client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/metadata/v")["Contents"]]
    return "s3://" + bucket + "/" + max((n for n in names if n.endswith(".metadata.json")), key=lambda n: int(n.rsplit("/v", 1)[1].split(".")[0]))


def storage():
    """How pyiceberg reaches an object store."""
    env = os.environ
    if "AWS_ENDPOINT_URL" not in env:
        return {}
    return {"s3.endpoint": env["AWS_ENDPOINT_URL"], "s3.access-key-id": env["AWS_ACCESS_KEY_ID"], "s3.secret-access-key": env["AWS_SECRET_ACCESS_KEY"],
            "s3.region": env["AWS_REGION"]}


def plain(value):
    """A value as JSON: times count microseconds, dates days, decimals and binary are text."""
    if isinstance(value, datetime.datetime):
        if value.tzinfo:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return (value - EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.date):
        return (value - EPOCH.date()).days
    if isinstance(value, datetime.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return [plain(v) for v in value.values()]
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def rows(table, snapshot=None):
    arrow = table.scan(snapshot_id=snapshot).to_arrow()
    return [[plain(v) for v in row.values()] for row in arrow.to_pylist()]


def local(uri):
    return uri[len("file://"):] if uri.startswith("file://") else uri


def check_snapshot(table, snapshot, found):
    """Every file that the snapshot needs is there and is what the manifests say of it."""
    schema = table.metadata.schema_by_id(snapshot.schema_id) or table.schema()
    with open(local(snapshot.manifest_list), "rb") as file:
        manifests = list(fastavro.reader(file))
    found.add(os.path.realpath(local(snapshot.manifest_list)))
    total = files = 0
    for manifest in manifests:
        path = local(manifest["manifest_path"])
        found.add(os.path.realpath(path))
        assert os.path.getsize(path) == manifest["manifest_length"], path
        with open(path, "rb") as file:
            reader = fastavro.reader(file)
            assert json.loads(reader.metadata["avro.schema"])["fields"][0]["field-id"] == 0
            entries = list(reader)
        counts = {0: [0, 0], 1: [0, 0], 2: [0, 0]}
        for entry in entries:
            data = entry["data_file"]
            counts[entry["status"]][0] += 1
            counts[entry["status"]][1] += data["record_count"]
            if entry["status"] == 1:
                assert entry["snapshot_id"] == manifest["added_snapshot_id"], entry
            else:
                assert entry["sequence_number"] is not None, entry
            if entry["status"] == 2:
                continue
            path = local(data["file_path"])
            found.add(os.path.realpath(path))
            files += 1
            total += data["record_count"]
            assert os.path.getsize(path) == data["file_size_in_bytes"], path
            file = pq.ParquetFile(path)
            assert file.metadata.num_rows == data["record_count"], path
            check_columns(file, data, schema)
        names = {0: "existing", 1: "added", 2: "deleted"}
        for status, (n, r) in counts.items():
            assert manifest[f"{names[status]}_files_count"] == n, (manifest, counts)
            assert manifest[f"{names[status]}_rows_count"] == r, (manifest, counts)
    summary = snapshot.summary
    assert int(summary["total-records"]) == total and int(summary["total-data-files"]) == files, (summary, total, files)
    return len(manifests)


def check_columns(file, data, schema):
    """Bounds and counts hold for what is in the file."""
    arrow = file.read()
    lower = {e["key"]: e["value"] for e in data["lower_bounds"] or []}
    upper = {e["key"]: e["value"] for e in data["upper_bounds"] or []}
    nulls = {e["key"]: e["value"] for e in data["null_value_counts"] or []}
    values = {e["key"]: e["value"] for e in data["value_counts"] or []}
    for name, column in zip(arrow.column_names, arrow.columns):
        id = int(arrow.schema.field(name).metadata[b"PARQUET:field_id"])
        field = schema.find_field(id)
        if not field.field_type.is_primitive or len(column) == 0:
            continue
        assert values[id] == len(column), (name, values)
        if id in nulls:
            assert nulls[id] == column.null_count, (name, nulls)
        present = [v for v in column.to_pylist() if v is not None and v == v]
        if not present or id not in lower:
            continue
        low, high = from_bytes(field.field_type, lower[id]), from_bytes(field.field_type, upper[id]) if id in upper else None
        present = [convert(field.field_type, v) for v in present]
        assert low <= min(present), (name, low, min(present))
        assert high is None or high >= max(present), (name, high, max(present))
        # Bounds that are not cut are exact, so that they are of use.
        if not isinstance(low, (str, bytes)):
            assert low == min(present) and high == max(present), (name, low, high)


def convert(type, value):
    return plain(value) if isinstance(value, (datetime.date, datetime.time)) else value


def history(path):
    table = StaticTable.from_metadata(newest(path))
    found, result = set(), {}
    most = 0
    for snapshot in table.metadata.snapshots:
        most = max(most, check_snapshot(table, snapshot, found))
        result[str(snapshot.snapshot_id)] = rows(table, snapshot.snapshot_id)
    # Nothing lies about that no snapshot needs.
    lying = [os.path.realpath(p) for p in glob.glob(path + "/data/**/*.parquet", recursive=True) + glob.glob(path + "/metadata/*.avro")]
    strays = sorted(p for p in lying if p not in found)
    return {"snapshots": result, "current": rows(table), "strays": strays, "manifests": most,
            "log": [[e.snapshot_id, e.timestamp_ms] for e in table.metadata.snapshot_log]}


def create(path, schema, spec):
    """A new table of pyiceberg, in the layout of a file system's catalog."""
    from pyiceberg.io import load_file_io
    from pyiceberg.serializers import ToOutputFile
    from pyiceberg.table.metadata import new_table_metadata
    from pyiceberg.table.sorting import UNSORTED_SORT_ORDER

    os.makedirs(path + "/metadata")
    metadata = new_table_metadata(location=f"file://{path}", schema=schema, partition_spec=spec, sort_order=UNSORTED_SORT_ORDER,
                                  properties={"format-version": "2"})
    ToOutputFile.table_metadata(metadata, load_file_io().new_output(f"{path}/metadata/v1.metadata.json"), overwrite=False)
    open(f"{path}/metadata/version-hint.text", "w").write("1")
    return on_top(path)


def on_top(path):
    """The table as pyiceberg commits to it: each commit becomes the next file of the folder."""
    from pyiceberg.catalog.noop import NoopCatalog
    from pyiceberg.table import Table, CommitTableResponse
    from pyiceberg.table.update import update_table_metadata
    from pyiceberg.serializers import ToOutputFile
    from pyiceberg.io import load_file_io

    class FolderCatalog(NoopCatalog):
        def commit_table(self, table, requirements, updates):
            for requirement in requirements:
                requirement.validate(table.metadata)
            metadata = update_table_metadata(table.metadata, updates, enforce_validation=False, metadata_location=table.metadata_location)
            version = int(os.path.basename(newest(path))[1:].split(".")[0]) + 1
            location = f"{path}/metadata/v{version}.metadata.json"
            ToOutputFile.table_metadata(metadata, load_file_io().new_output(location), overwrite=False)
            open(f"{path}/metadata/version-hint.text", "w").write(str(version))
            return CommitTableResponse(metadata=metadata, **{"metadata-location": location})

    static = StaticTable.from_metadata(newest(path))
    return Table(identifier=("default", "table"), metadata=static.metadata, metadata_location=static.metadata_location, io=static.io,
                 catalog=FolderCatalog("folder"))


def write_types(path):
    """Every type, a renamed column, a promoted one, a new one and one that is gone, two partitions."""
    from pyiceberg.schema import Schema
    from pyiceberg.types import (BinaryType, BooleanType, DateType, DecimalType, DoubleType, FixedType, FloatType, IntegerType, ListType, LongType, MapType,
                                 NestedField, StringType, StructType, TimestampType, TimestamptzType, TimeType, UUIDType)
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform
    schema = Schema(
        NestedField(1, "id", IntegerType(), required=True), NestedField(2, "part", StringType()), NestedField(3, "flag", BooleanType()),
        NestedField(4, "n", IntegerType()), NestedField(5, "f", FloatType()), NestedField(6, "d", DoubleType()), NestedField(7, "dec", DecimalType(20, 3)),
        NestedField(8, "day", DateType()), NestedField(9, "at", TimeType()), NestedField(10, "local", TimestampType()), NestedField(11, "utc", TimestamptzType()),
        NestedField(12, "raw", BinaryType()), NestedField(13, "fix", FixedType(3)), NestedField(14, "tags", ListType(20, StringType(), False)),
        NestedField(15, "props", MapType(21, StringType(), 22, LongType(), False)),
        NestedField(16, "pos", StructType(NestedField(23, "x", DoubleType()), NestedField(24, "y", DoubleType()))), NestedField(17, "old", StringType()),
        identifier_field_ids=[1])
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "part_key"))
    table = create(path, schema, spec)
    utc = datetime.timezone.utc

    def batch(table, first, n):
        out = [{
            "id": i, "part": ["a", "b c/d", None][i % 3], "flag": i % 2 == 0, "n": i * 10, "f": i / 2, "d": i / 4, "dec": decimal.Decimal(i) / 8,
            "day": datetime.date(2024, 1, 1 + i % 28), "at": datetime.time(1, 2, 3, 4000), "local": datetime.datetime(2024, 1, 1, 2, 3, 4, i),
            "utc": datetime.datetime(1969, 12, 31, 23, 59, 59, i, utc), "raw": bytes([i]), "fix": b"abc", "tags": ["x", None, str(i)], "props": {"k": i},
            "pos": {"x": 1.5, "y": None}, "old": "gone", "title": f"t{i}", "more": i * 2 ** 33,
        } for i in range(first, first + n)]
        names = [f.name for f in table.schema().fields]
        return pa.Table.from_pylist([{k: v for k, v in row.items() if k in names} for row in out], schema=table.schema().as_arrow())

    table.append(batch(table, 0, 9))
    table = on_top(path)
    with table.update_schema() as update:
        update.update_column("n", LongType())
        update.rename_column("n", "number")
        update.add_column("more", LongType())
        update.delete_column("old")
        update.delete_column("fix")
    table = on_top(path)
    more = batch(table, 100, 3)
    table.append(more.set_column(more.schema.get_field_index("number"), "number", pa.array([2 ** 40] * 3, pa.int64())))
    return rows(StaticTable.from_metadata(newest(path)))


def write_deletes(path):
    """A table whose manifest list has a manifest of deletes."""
    table = StaticTable.from_metadata(newest(path))
    snapshot = table.current_snapshot()
    name = local(snapshot.manifest_list)
    with open(name, "rb") as file:
        reader = fastavro.reader(file)
        schema, meta, manifests = reader.writer_schema, reader.metadata, list(reader)
    for manifest in manifests:
        manifest["content"] = 1
    with open(name, "wb") as file:
        fastavro.writer(file, schema, manifests, metadata={k: v for k, v in meta.items() if not k.startswith("avro.")})
    return True


def write_append(path):
    """Appends the first row once more, by pyiceberg."""
    table = on_top(path)
    arrow = table.scan().to_arrow().slice(0, 1)
    index = arrow.schema.get_field_index("id")
    arrow = arrow.set_column(index, arrow.schema.field(index), pa.array(["order-stranger"], arrow.schema.field(index).type))
    table.append(arrow)
    return rows(StaticTable.from_metadata(newest(path)))


def write_columns(path):
    """Renames a column and adds one, by pyiceberg."""
    table = on_top(path)
    with table.update_schema() as update:
        update.rename_column("amount", "sum")
        update.add_column("note", __import__("pyiceberg.types", fromlist=["StringType"]).StringType())
    return True


def main(command, path, *rest):
    if command == "rows":
        return rows(StaticTable.from_metadata(newest(path), storage()), int(rest[0]) if rest else None)
    if command == "history":
        return history(path)
    if command == "daft":
        import daft
        return [[plain(v) for v in row.values()] for row in daft.read_iceberg(StaticTable.from_metadata(newest(path))).to_arrow().to_pylist()]
    return {"types": write_types, "deletes": write_deletes, "append": write_append, "columns": write_columns}[rest[0]](path)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
