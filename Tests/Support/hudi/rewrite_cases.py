"""Parquet files by several writers, changes to their rows, and a judge of what becomes of them.

    rewrite_cases.py make FOLDER SEED COUNT    writes FOLDER/<n>/{input,patch,more}.parquet and plan.json
    rewrite_cases.py check FOLDER              compares FOLDER/<n>/output.parquet with what it must hold
"""
import datetime, decimal, json, math, os, random, shutil, sys

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

CODECS = ["none", "snappy", "zstd", "gzip", "lz4"]
TYPES = {
    "int": pa.int32(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64(), "bool": pa.bool_(), "date": pa.date32(),
    "time": pa.time32("ms"), "stamp": pa.timestamp("us", tz="UTC"), "small": pa.decimal128(7, 2), "large": pa.decimal128(38, 10),
    "text": pa.string(), "word": pa.string(), "prefix": pa.string(), "rising": pa.string(), "bytes": pa.binary(),
}
FLOATS = [0.0, -0.0, math.nan, math.inf, -math.inf, 1.5, -2.25]


def value(rng, kind, row):
    if kind == "int":
        return rng.choice([rng.randrange(-(2**31), 2**31), rng.randrange(-50, 50)])
    if kind == "long":
        return rng.choice([rng.randrange(-(2**63), 2**63), row])
    if kind in ("float", "double"):
        v = rng.choice(FLOATS) if rng.random() < 0.2 else rng.uniform(-1e6, 1e6)
        return float(np.float32(v)) if kind == "float" else v
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "date":
        return datetime.date(1970, 1, 1) + datetime.timedelta(days=rng.randrange(-30000, 30000))
    if kind == "time":
        return datetime.time(rng.randrange(24), rng.randrange(60), rng.randrange(60), rng.randrange(1000) * 1000)
    if kind == "stamp":
        return datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=rng.randrange(-(10**15), 2 * 10**15))
    if kind == "small":
        return decimal.Decimal(rng.randrange(-9999999, 9999999)).scaleb(-2)
    if kind == "large":
        return decimal.Decimal(rng.randrange(-(10**37), 10**37)).scaleb(-10, decimal.Context(prec=60))
    if kind == "word":
        return rng.choice(["", "a", "b", "oslo", "lima", "\U0001F600", "z\u00e9"])
    if kind == "prefix":
        return "the same beginning of all of them " + str(rng.randrange(10 ** rng.randrange(1, 9)))
    if kind == "rising":
        return "20261121_0_" + str(row)
    n = rng.choice([0, 1, 3, 7, 8, 9, 20, rng.randrange(60), 5000 if rng.random() < 0.01 else 2])
    if kind == "bytes":
        return bytes(rng.choice([0, 255, rng.randrange(256)]) for _ in range(n))
    return "".join(rng.choice("ab\u00ff\U0001F600\0") for _ in range(n))


def rows_of(rng, columns, count, first=0):
    out = {}
    for name, (kind, nulls) in columns.items():
        out[name] = pa.array([None if rng.random() < nulls else value(rng, kind, first + i) for i in range(count)], TYPES[kind])
    return pa.table(out)


def write_input(rng, table, path):
    """One of several writers, with settings at random."""
    groups = rng.choice([1, 1, 1, 1, 3])
    size = max(1, -(-table.num_rows // groups))
    writer = rng.choice(["pyarrow"] * 6 + ["duckdb", "delta"])
    codec = rng.choice(CODECS)
    if writer == "duckdb":
        database = duckdb.connect()
        database.register("rows", table)
        compression = "uncompressed" if codec == "none" else "zstd" if codec == "lz4" else codec
        for version in [rng.choice(["v1", "v2"]), "v1"]:
            database.execute(f"COPY rows TO '{path}' (FORMAT parquet, COMPRESSION {compression}, PARQUET_VERSION {version})")
            try:
                pq.read_table(path)
                break
            except OSError:
                pass  # Arrow does not read all numbers that are packed as differences.
        return writer, codec
    if writer == "delta" and not any(pa.types.is_time(field.type) for field in table.schema):
        import deltalake
        folder = path + ".delta"
        properties = deltalake.WriterProperties(compression="ZSTD", data_page_row_count_limit=rng.choice([100, 20000]))
        deltalake.write_deltalake(folder, table, writer_properties=properties)
        files = [f for f in os.listdir(folder) if f.endswith(".parquet")]
        shutil.move(os.path.join(folder, files[0]), path)
        shutil.rmtree(folder)
        return writer, "zstd"
    writer = "pyarrow"
    encodings, dictionaries = {}, []
    for field in table.schema:
        if rng.random() < 0.3:
            dictionaries.append(field.name)
        elif rng.random() < 0.2:
            if pa.types.is_integer(field.type):
                encodings[field.name] = "DELTA_BINARY_PACKED"
            elif pa.types.is_string(field.type):
                encodings[field.name] = rng.choice(["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
            elif pa.types.is_floating(field.type):
                encodings[field.name] = "BYTE_STREAM_SPLIT"
    pq.write_table(table, path, row_group_size=size, version=rng.choice(["1.0", "2.6"]), data_page_version=rng.choice(["1.0", "1.0", "2.0"]), compression=codec,
                   use_dictionary=dictionaries or False, column_encoding=encodings or None, data_page_size=rng.choice([500, 5000, 1 << 20]),
                   write_batch_size=rng.choice([10, 64, 1024]), dictionary_pagesize_limit=rng.choice([200, 1 << 20]), write_page_index=rng.random() < 0.5,
                   write_page_checksum=rng.random() < 0.3, write_statistics=rng.choice([True, True, True, True, False]), store_schema=rng.random() < 0.5)
    return writer, codec


def make(folder, seed, count):
    for number in range(count):
        rng = random.Random(seed * 1000 + number)
        path = os.path.join(folder, str(number))
        os.makedirs(path)
        kinds = rng.sample(sorted(TYPES), rng.randrange(2, 7))
        columns = {f"{kind}_{i}": (kind, rng.choice([0, 0, 0, 0.1])) for i, kind in enumerate(kinds)}
        n = rng.choice([1, 100, 900, 3000])
        table = rows_of(rng, columns, n)
        writer, codec = write_input(rng, table, os.path.join(path, "input.parquet"))
        share = rng.choice([0, 0.003, 0.003, 0.05, 0.5, 1])
        deletes = rng.choice([0, 0, 0, 0, 0, 0.3])
        rows = [i for i in range(n) if rng.random() < share]
        fate = [rng.random() < deletes for _ in rows]
        kept = sum(not gone for gone in fate)
        numbers = list(range(kept))
        rng.shuffle(numbers)
        changes = [-1 if gone else numbers.pop() for gone in fate]
        patch = rows_of(rng, {name: (kind, rng.choice([0, 0, nulls])) for name, (kind, nulls) in columns.items()}, kept, n)
        # A column that changes keep, and one that is the same text everywhere.
        same = rng.choice([None, rng.choice(sorted(columns))])
        if same:
            back = {change: row for row, change in zip(rows, changes) if change >= 0}
            patch = patch.set_column(patch.schema.get_field_index(same), same, pa.array([table[same][back[i]].as_py() for i in range(kept)], table[same].type))
        texts = [name for name, (kind, nulls) in columns.items() if kind in ("text", "word", "prefix", "rising") and name != same]
        constant = rng.choice(texts) if texts and rng.random() < 0.3 else None
        pq.write_table(patch, os.path.join(path, "patch.parquet"))
        more = rows_of(rng, columns, rng.choice([0, 0, 5]))
        pq.write_table(more, os.path.join(path, "more.parquet"))
        plan = {"rows": rows, "changes": changes, "same": same, "constant": constant, "text": "file-" + "x" * rng.randrange(40), "writer": writer,
                "codec": codec if rng.random() < 0.8 else rng.choice(CODECS), "large": rng.random() < 0.3}
        with open(os.path.join(path, "plan.json"), "w") as file:
            json.dump(plan, file)


def expected(path, plan):
    table, patch, more = (pq.read_table(os.path.join(path, name + ".parquet")) for name in ("input", "patch", "more"))
    schema = patch.schema.remove_metadata()
    table = table.select(schema.names).cast(schema)
    fate = dict(zip(plan["rows"], plan["changes"]))
    picks = [i if i not in fate else table.num_rows + fate[i] for i in range(table.num_rows) if fate.get(i, 0) >= 0]
    first = pa.concat_tables([table, patch]).take(pa.array(picks, pa.int64()))
    if plan["constant"]:
        at = schema.get_field_index(plan["constant"])
        first = first.set_column(at, schema.field(at), pa.array([plan["text"]] * first.num_rows, pa.string()))
    return pa.concat_tables([first, more.cast(schema)]), first.num_rows


def same_value(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b) or math.isnan(a) and math.isnan(b)
    return a == b




def check_statistics(metadata, rows, complain):
    start = 0
    for g in range(metadata.num_row_groups):
        group = metadata.row_group(g)
        part = rows.slice(start, group.num_rows)
        start += group.num_rows
        for c in range(group.num_columns):
            chunk, column = group.column(c), part.column(c).combine_chunks()
            if chunk.num_values != group.num_rows:
                complain(f"group {g} column {chunk.path_in_schema} counts {chunk.num_values} values of {group.num_rows}")
            stats = chunk.statistics
            if stats is None:
                continue
            if stats.has_null_count and stats.null_count != column.null_count:
                complain(f"group {g} column {chunk.path_in_schema} counts {stats.null_count} nulls, not {column.null_count}")
            if not stats.has_min_max:
                continue
            values = [v for v in column.to_pylist() if v is not None and not (isinstance(v, float) and math.isnan(v))]
            if not values:
                complain(f"group {g} column {chunk.path_in_schema} has the bounds {stats.min!r} .. {stats.max!r} of nothing in {group.num_rows} rows")
                continue
            key = (lambda v: v.encode()) if isinstance(values[0], str) else (lambda v: v)
            low, high = stats.min, stats.max
            if (min(map(key, values)), max(map(key, values))) != (key(low), key(high)):
                complain(f"group {g} column {chunk.path_in_schema} has the bounds {low!r} .. {high!r}, not {min(values, key=key)!r} .. {max(values, key=key)!r}")
            if isinstance(low, float) and (low == 0 and math.copysign(1, low) > 0 or high == 0 and math.copysign(1, high) < 0):
                complain(f"group {g} column {chunk.path_in_schema} leaves out one of the zeros")


def by_data_fusion(path, queries):
    """Counts by an engine that uses the page index."""
    import deltalake
    folder = os.path.join(path, "table")
    os.makedirs(folder)
    shutil.copy(os.path.join(path, "output.parquet"), folder)
    deltalake.convert_to_deltalake(folder)
    builder = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(folder))
    for query in queries:
        result = pa.table(builder.execute(query))
        yield result.column(0)[0].as_py()


def literal(v):
    if isinstance(v, str):
        return "'" + v.replace("'", "''") + "'" if "\0" not in v else None
    if isinstance(v, int) and not isinstance(v, bool):
        return str(v)
    return None


def check(folder):
    problems, cases = [], 0
    for number in sorted(os.listdir(folder), key=int):
        path = os.path.join(folder, number)
        with open(os.path.join(path, "plan.json")) as file:
            plan = json.load(file)
        output = os.path.join(path, "output.parquet")
        if not os.path.exists(output):
            continue
        cases += 1

        def complain(text):
            problems.append(f"case {number} ({plan['writer']}): {text}")

        try:
            rows, _ = expected(path, plan)
            file = pq.ParquetFile(output, page_checksum_verification=True)
            read = file.read().cast(rows.schema)
            if read.num_rows != rows.num_rows:
                complain(f"{read.num_rows} rows, not {rows.num_rows}")
                continue
            for name in rows.schema.names:
                for i, (a, b) in enumerate(zip(read[name].to_pylist(), rows[name].to_pylist())):
                    if not same_value(a, b):
                        complain(f"row {i} has {name} = {a!r}, not {b!r}")
                        break
            check_statistics(file.metadata, rows, complain)
            if (file.metadata.metadata or {}).get(b"note") != b"kept" or plan["large"] and (file.metadata.metadata or {}).get(b"large") != b"y" * 100_000:
                complain(f"the footer has {list(file.metadata.metadata or {})}")
            # Of another reader: all rows, and some conditions that statistics answer in part.
            database = duckdb.connect()
            count = database.execute(f"SELECT count(*) FROM '{output}'").fetchone()[0]
            if count != rows.num_rows:
                complain(f"duckdb counts {count} rows")
            queries, answers = [], []
            for name in rows.schema.names:
                column = rows[name].to_pylist()
                for v in {v for v in column[:1] + column[-1:] + column[len(column) // 2:][:1] + [c for c in column if c is not None][:1]}:
                    text = literal(v)
                    if text is not None:
                        queries.append(f"SELECT count(*) FROM t WHERE \"{name}\" = {text}")
                        answers.append(sum(c == v for c in column))
            for query, answer in zip(queries, answers):
                found = database.execute(query.replace("FROM t", f"FROM '{output}'")).fetchone()[0]
                if found != answer:
                    complain(f"duckdb answers {query} with {found}, not {answer}")
            sums = database.execute("SELECT " + ", ".join(f'count("{n}"), count(DISTINCT "{n}")' for n in rows.schema.names) + f" FROM '{output}'").fetchone()
            for name, valid in zip(rows.schema.names, sums[::2]):
                if valid != rows.num_rows - rows[name].null_count:
                    complain(f"duckdb finds {valid} values of {name}")
            if queries and int(number) % 4 == 0 and not any(pa.types.is_time(field.type) for field in rows.schema):
                for query, answer, found in zip(queries, answers, by_data_fusion(path, queries)):
                    if found != answer:
                        complain(f"datafusion answers {query} with {found}, not {answer}")
        except Exception as error:
            complain(f"{type(error).__name__}: {error}")
    print(json.dumps({"cases": cases, "problems": problems}))


if sys.argv[1] == "make":
    make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    print("{}")
else:
    check(sys.argv[2])
