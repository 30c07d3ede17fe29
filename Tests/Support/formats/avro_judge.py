"""Judges Avro: makes random schemas with records and what a table must show of them, and reads what was written.

  avro_judge.py generate SEED COUNT   prints a case per line
  avro_judge.py check FILE            reads cases that were written, and prints what is wrong with them
"""
import io, json, random, struct, sys
import fastavro

TEXTS = ["", "a", "hello", "twelve bytes", "thirteen byte", "größer", "日本語のテキスト", "x" * 300, "tab\tquote\""]


def strip(schema):
    if isinstance(schema, list):
        return [strip(s) for s in schema]
    if isinstance(schema, dict):
        return {k: (v if k == "default" else strip(v) if isinstance(v, (dict, list)) else v) for k, v in schema.items() if k != "logicalType"}
    return schema


def text(s):
    return json.dumps(s, ensure_ascii=False)


def bits(x, double):
    return "f" + struct.pack(">d" if double else ">f", x).hex()


class Maker:
    def __init__(self, rng):
        self.rng, self.names = rng, 0

    def name(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    # A type of the writer, one of the table that can hold it, a maker of values, and what the table shows of a value.
    def pair(self, depth):
        r = self.rng
        kinds = ["int", "long", "float", "double", "boolean", "string", "bytes", "enum", "fixed", "decimal", "fixdecimal", "date", "time", "micros", "ts", "null2", "wide"]
        if depth > 0:
            kinds += ["array", "map", "record"] * 2
        k = r.choice(kinds)
        if k == "int":
            to = r.choice(["INT", "BIGINT", "FLOAT", "DOUBLE", "TINYINT", "SMALLINT"])
            top = {"TINYINT": 1 << 7, "SMALLINT": 1 << 15}.get(to, 1 << 31)
            return "int", {"t": to}, lambda: r.choice([0, -1, 1, 63, -64, 64, top - 1, -top, r.randrange(-top, top)]), self.number(to)
        if k == "long":
            to = r.choice(["BIGINT", "FLOAT", "DOUBLE"])
            return "long", {"t": to}, lambda: r.choice([0, -1, 2**63 - 1, -2**63, r.randrange(-2**63, 2**63), r.randrange(-99999, 99999)]), self.number(to)
        if k == "float":
            to = r.choice(["FLOAT", "DOUBLE"])
            return "float", {"t": to}, lambda: struct.unpack("f", struct.pack("f", r.choice([0.0, -1.5, 3e38, r.random()])))[0], self.number(to)
        if k == "double":
            return "double", {"t": "DOUBLE"}, lambda: r.choice([0.0, -0.0, 1e300, float("inf"), r.random() * 1e9]), self.number("DOUBLE")
        if k == "boolean":
            return "boolean", {"t": "BOOLEAN"}, lambda: r.random() < 0.5, lambda v: "true" if v else "false"
        if k == "string":
            if r.random() < 0.2:
                return "string", {"t": "BYTES"}, lambda: r.choice(TEXTS), lambda v: "x" + v.encode().hex()
            return "string", {"t": "STRING"}, lambda: r.choice(TEXTS), text
        if k == "bytes":
            if r.random() < 0.2:
                return "bytes", {"t": "STRING"}, lambda: r.choice(TEXTS).encode(), lambda v: text(v.decode())
            return "bytes", {"t": "BYTES"}, lambda: r.randbytes(r.choice([0, 1, 12, 13, 100])), lambda v: "x" + v.hex()
        if k == "enum":
            symbols = ["A", "B", "LONG_SYMBOL_OF_MANY_LETTERS"]
            return {"type": "enum", "name": self.name("E"), "symbols": symbols}, {"t": "STRING"}, lambda: r.choice(symbols), text
        if k == "fixed":
            n = r.choice([1, 4, 16])
            return {"type": "fixed", "name": self.name("F"), "size": n}, {"t": "BYTES"}, lambda: r.randbytes(n), lambda v: "x" + v.hex()
        if k in ("decimal", "fixdecimal"):
            p = r.randrange(1, 29)
            s = r.randrange(0, p + 1)
            more = r.randrange(0, 4)
            def value():
                n = r.choice([0, -1, 10**p - 1, 1 - 10**p, r.randrange(-10**p + 1, 10**p), r.randrange(-200, 200) % 10**p])
                size = 16 if k == "fixdecimal" else (n + (n < 0)).bit_length() // 8 + 1
                return n.to_bytes(size, "big", signed=True)
            to = {"t": "DECIMAL", "p": p + more, "s": s + more}
            how = lambda v: str(int.from_bytes(v, "big", signed=True) * 10**more)
            if k == "decimal":
                return {"type": "bytes", "logicalType": "decimal", "precision": p, "scale": s}, to, value, how
            return {"type": "fixed", "size": 16, "name": self.name("D"), "logicalType": "decimal", "precision": p, "scale": s}, to, value, how
        if k == "date":
            return {"type": "int", "logicalType": "date"}, {"t": "DATE"}, lambda: r.randrange(-100000, 100000), str
        if k == "time":
            return {"type": "int", "logicalType": "time-millis"}, {"t": "TIME", "p": 3}, lambda: r.randrange(86400000), str
        if k == "micros":
            return {"type": "long", "logicalType": "time-micros"}, {"t": "TIME", "p": 3}, lambda: r.randrange(86400000000), lambda v: str(v // 1000)
        if k == "ts":
            unit, per = r.choice([("millis", 10**3), ("micros", 10**6), ("nanos", 10**9)])
            p = r.choice([3, 6, 9])
            own = 10**p
            kind = r.choice(["TIMESTAMP", "TIMESTAMP_LTZ"])
            prefix = r.choice(["", "local-"])
            return {"type": "long", "logicalType": f"{prefix}timestamp-{unit}"}, {"t": kind, "p": p}, lambda: r.randrange(-5 * 10**9 * per, 5 * 10**9 * per), \
                lambda v: str(v * own // per)
        if k == "null2":
            return "null", {"t": "INT"}, lambda: None, lambda v: "null"
        if k == "wide":
            return ["null", "int", "long"], {"t": "BIGINT"}, lambda: r.choice([None, ("int", 5), ("long", 2**40)]), lambda v: "null" if v is None else str(v[1])
        if k == "array":
            w, t, make, show = self.nullable(depth - 1)
            return {"type": "array", "items": w}, {"t": "ARRAY", "e": t}, lambda: [make() for _ in range(r.choice([0, 1, 3, 20]))], \
                lambda v: "[" + ",".join(map(show, v)) + "]"
        if k == "map":
            w, t, make, show = self.nullable(depth - 1)
            return {"type": "map", "values": w}, {"t": "MAP", "k": {"t": "STRING"}, "v": t}, \
                lambda: {f"key {i}" * r.choice([1, 4]): make() for i in range(r.choice([0, 1, 3, 20]))}, \
                lambda v: "{" + ",".join(sorted(text(a) + ":" + show(b) for a, b in v.items())) + "}"
        return self.record(depth)

    def number(self, to):
        if to in ("FLOAT", "DOUBLE"):
            def show(v):
                return bits(float(v), to == "DOUBLE") if to == "DOUBLE" else bits(struct.unpack("f", struct.pack("f", to_float(v)))[0], False)
            return show
        return str

    def nullable(self, depth):
        w, t, make, show = self.pair(depth)
        if isinstance(w, list) or w == "null" or self.rng.random() < 0.5:
            return w, t, make, show
        union = ["null", w] if self.rng.random() < 0.6 else [w, "null"]
        return union, t, lambda: None if self.rng.random() < 0.3 else make(), lambda v: "null" if v is None else show(v)

    def record(self, depth, top=False):
        r = self.rng
        fields, columns = [], []
        for i in range(r.randrange(1, 8)):
            w, t, make, show = self.nullable(depth - 1)
            n = f"f{i}"
            fields.append((n, w, make))
            if r.random() < 0.75:
                columns.append((n, t, show))
        if r.random() < 0.3:
            # A type that contains itself, which nobody reads.
            node = self.name("Node")
            w = {"type": "record", "name": node, "fields": [{"name": "v", "type": "string"}, {"name": "next", "type": ["null", node]}]}
            fields.insert(r.randrange(len(fields) + 1), ("chain", w, lambda: {"v": "a", "next": {"v": "bb", "next": None}}))
        for i in range(r.randrange(0, 2)):
            columns.append((f"absent{i}", r.choice([{"t": "INT"}, {"t": "STRING"}, {"t": "ARRAY", "e": {"t": "INT"}}]), None))
        if not columns:
            columns.append(("absent", {"t": "INT"}, None))
        r.shuffle(columns)
        w = {"type": "record", "name": self.name("R"), "fields": [{"name": n, "type": w} for n, w, _ in fields]}
        if top:
            w["namespace"] = "test.random"
        return w, {"t": "ROW", "f": [{"n": n, "t": t} for n, t, _ in columns]}, lambda: {n: make() for n, _, make in fields}, \
            lambda v: "[" + ",".join("null" if show is None else show(v[n]) for n, _, show in columns) + "]"


def to_float(v):
    # Nearest float of a whole number.
    import ctypes
    f = float(v)
    return ctypes.c_float(f).value


def decode_value(v, t, schema):
    raise NotImplementedError


def generate(seed, count):
    for i in range(count):
        rng = random.Random(seed * 1000 + i)
        writer, table, make, show = Maker(rng).record(3, top=True)
        parsed = fastavro.parse_schema(strip(writer))
        rows = [make() for _ in range(rng.choice([1, 5, 30]))]
        messages = []
        for row in rows:
            out = io.BytesIO()
            fastavro.schemaless_writer(out, parsed, row)
            messages.append(out.getvalue().hex())
        print(json.dumps({"writer": json.dumps(writer), "table": table, "messages": messages, "rows": [show(row) for row in rows]}))


def shown(v, schema):
    """What a table shows of a value that was read with a schema, whose logical types are still in it."""
    if isinstance(schema, list):
        return "null" if v is None else shown(v, [s for s in schema if s != "null"][0])
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind == "boolean":
        return "true" if v else "false"
    if kind in ("int", "long"):
        return str(v)
    if kind in ("float", "double"):
        return bits(v, kind == "double")
    if kind == "string":
        return text(v)
    if kind == "bytes":
        return str(int.from_bytes(v, "big", signed=True)) if isinstance(schema, dict) and schema.get("logicalType") == "decimal" else "x" + v.hex()
    if kind == "array":
        return "[" + ",".join(shown(x, schema["items"]) for x in v) + "]"
    if kind == "map":
        return "{" + ",".join(sorted(text(a) + ":" + shown(b, schema["values"]) for a, b in v.items())) + "}"
    return "[" + ",".join(shown(v[f["name"]], f["type"]) for f in schema["fields"]) + "]"


def check(path):
    wrong = total = 0
    for line in open(path):
        case = json.loads(line)
        schema = json.loads(case["schema"])
        fastavro.parse_schema(json.loads(case["schema"]))
        parsed = fastavro.parse_schema(strip(schema))
        for message, row in zip(case["messages"], case["rows"]):
            data = io.BytesIO(bytes.fromhex(message))
            found = shown(fastavro.schemaless_reader(data, parsed), schema)
            total += 1
            if found != row or data.read():
                wrong += 1
                if wrong < 5:
                    print("expected", row, "but read", found, "by", case["schema"])
    print(f"{total} records, {wrong} wrong")


if sys.argv[1] == "generate":
    generate(int(sys.argv[2]), int(sys.argv[3]))
else:
    check(sys.argv[2])
