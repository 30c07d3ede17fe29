"""Judges protobuf: makes random messages and what a table must show of them, and reads what was written.

  protobuf_judge.py generate SEED COUNT FOLDER   prints a case per line, with descriptor files in FOLDER
  protobuf_judge.py check FILE                   reads cases that were written, and prints what is wrong with them
"""
import json, os, random, struct, sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

F = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    F.TYPE_DOUBLE: "DOUBLE", F.TYPE_FLOAT: "FLOAT", F.TYPE_INT64: "BIGINT", F.TYPE_UINT64: "BIGINT", F.TYPE_INT32: "INT", F.TYPE_FIXED64: "BIGINT",
    F.TYPE_FIXED32: "INT", F.TYPE_BOOL: "BOOLEAN", F.TYPE_STRING: "STRING", F.TYPE_BYTES: "BYTES", F.TYPE_UINT32: "INT", F.TYPE_SFIXED32: "INT",
    F.TYPE_SFIXED64: "BIGINT", F.TYPE_SINT32: "INT", F.TYPE_SINT64: "BIGINT",
}
TEXTS = ["", "a", "hello", "twelve bytes", "thirteen byte", "größer", "日本語のテキスト", "x" * 300]


def text(s):
    return json.dumps(s, ensure_ascii=False)


def is_repeated(f):
    return f.is_repeated if hasattr(f, "is_repeated") else f.label == 3


def is_map(f):
    return f.message_type is not None and f.message_type.GetOptions().map_entry


class Maker:
    def __init__(self, rng, number):
        self.rng = rng
        self.proto3 = rng.random() < 0.5
        self.file = descriptor_pb2.FileDescriptorProto(name=f"t{number}.proto", package=f"test.n{number}", syntax="proto3" if self.proto3 else "proto2")
        e = self.file.enum_type.add(name="Color")
        for i, n in enumerate(["RED", "GREEN", "LONG_NAME_OF_A_COLOR"]):
            e.value.add(name=n, number=[0, 1, 7][i])
        self.count = 0
        self.top = self.message(3)

    def message(self, depth):
        r = self.rng
        m = self.file.message_type.add(name=f"M{self.count}")
        self.count += 1
        name = m.name
        numbers = r.sample(list(range(1, 30)) + [500, 5000, 2**28], r.randrange(1, 9))
        fields = []
        oneof = None
        for i, n in enumerate(numbers):
            f = m.field.add(name=f"f{i}", number=n, label=F.LABEL_OPTIONAL)
            k = r.random()
            if depth > 0 and k < 0.25:
                f.type = F.TYPE_MESSAGE
                f.type_name = f".{self.file.package}.{self.message(depth - 1)}"
            elif k < 0.35:
                f.type, f.type_name = F.TYPE_ENUM, f".{self.file.package}.Color"
            elif k < 0.5:
                entry = m.nested_type.add(name=f"F{i}Entry")
                entry.options.map_entry = True
                key = r.choice([F.TYPE_STRING, F.TYPE_INT32, F.TYPE_SINT64, F.TYPE_BOOL, F.TYPE_FIXED32])
                entry.field.add(name="key", number=1, label=F.LABEL_OPTIONAL, type=key)
                v = entry.field.add(name="value", number=2, label=F.LABEL_OPTIONAL)
                if depth > 0 and r.random() < 0.4:
                    v.type, v.type_name = F.TYPE_MESSAGE, f".{self.file.package}.{self.flat()}"
                else:
                    v.type = r.choice(list(SCALARS))
                f.label, f.type, f.type_name = F.LABEL_REPEATED, F.TYPE_MESSAGE, f".{self.file.package}.{name}.F{i}Entry"
                continue
            else:
                f.type = r.choice(list(SCALARS))
            if r.random() < 0.3:
                f.label = F.LABEL_REPEATED
                if f.type not in (F.TYPE_STRING, F.TYPE_BYTES, F.TYPE_MESSAGE) and r.random() < 0.5:
                    f.options.packed = r.random() < 0.5
            elif r.random() < 0.25:
                if oneof is None:
                    oneof = len(m.oneof_decl)
                    m.oneof_decl.add(name="choice")
                f.oneof_index = oneof
            elif not self.proto3 and f.type in SCALARS and r.random() < 0.4:
                f.default_value = {"STRING": "größer als zwölf", "BYTES": "a\\000\\377b", "BOOLEAN": "true", "FLOAT": "1.5", "DOUBLE": "-2.25"}.get(SCALARS[f.type], "77")
        # Oneofs that only mark optional fields come last.
        if self.proto3:
            for f in m.field:
                if f.label == F.LABEL_OPTIONAL and not f.HasField("oneof_index") and f.type != F.TYPE_MESSAGE and r.random() < 0.4:
                    f.proto3_optional = True
                    f.oneof_index = len(m.oneof_decl)
                    m.oneof_decl.add(name="_" + f.name)
        return name

    def flat(self):
        m = self.file.message_type.add(name=f"M{self.count}")
        self.count += 1
        m.field.add(name="a", number=1, label=F.LABEL_OPTIONAL, type=F.TYPE_INT32)
        m.field.add(name="b", number=2, label=F.LABEL_OPTIONAL, type=F.TYPE_STRING)
        return m.name

    def scalar(self, f):
        r = self.rng
        t = f.type
        if t == F.TYPE_ENUM:
            return r.choice([0, 1, 7])
        kind = SCALARS[t]
        if kind == "STRING":
            return r.choice(TEXTS)
        if kind == "BYTES":
            return r.randbytes(r.choice([0, 1, 12, 13, 200]))
        if kind == "BOOLEAN":
            return r.random() < 0.5
        if kind == "FLOAT":
            return struct.unpack("f", struct.pack("f", r.choice([0.0, -1.5, r.random()])))[0]
        if kind == "DOUBLE":
            return r.choice([0.0, -0.0, 1e300, r.random()])
        n = 32 if kind == "INT" else 64
        if t in (F.TYPE_UINT32, F.TYPE_UINT64, F.TYPE_FIXED32, F.TYPE_FIXED64):
            return r.choice([0, 1, 127, 128, 2**n - 1, r.randrange(2**n)])
        return r.choice([0, 1, -1, 127, 128, 2**(n - 1) - 1, -2**(n - 1), r.randrange(-2**(n - 1), 2**(n - 1))])

    def fill(self, message, depth=0):
        r = self.rng
        for f in message.DESCRIPTOR.fields:
            if r.random() < 0.35:
                continue
            if is_map(f):
                value = f.message_type.fields_by_name["value"]
                for _ in range(r.choice([0, 1, 3, 30])):
                    key = self.scalar(f.message_type.fields_by_name["key"])
                    if value.message_type is not None:
                        self.fill(getattr(message, f.name)[key], depth + 1)
                    else:
                        getattr(message, f.name)[key] = self.scalar(value)
            elif is_repeated(f):
                for _ in range(r.choice([0, 1, 3, 12])):
                    if f.message_type is not None:
                        self.fill(getattr(message, f.name).add(), depth + 1)
                    else:
                        getattr(message, f.name).append(self.scalar(f))
            elif f.message_type is not None:
                getattr(message, f.name).SetInParent()
                self.fill(getattr(message, f.name), depth + 1)
            else:
                setattr(message, f.name, self.scalar(f))

    # The table's type of a message, fewer columns than fields.
    def table(self, d):
        r = self.rng
        fields = [f for f in d.fields if r.random() < 0.85] or [d.fields[0]]
        r.shuffle(fields)
        return {"t": "ROW", "f": [{"n": f.name, "t": self.type(f)} for f in fields]}

    def type(self, f, element=False):
        if is_map(f):
            e = f.message_type.fields_by_name
            return {"t": "MAP", "k": self.type(e["key"]), "v": self.type(e["value"])}
        if is_repeated(f) and not element:
            return {"t": "ARRAY", "e": self.type(f, True)}
        if f.message_type is not None:
            return self.table(f.message_type)
        if f.enum_type is not None:
            return {"t": self.rng.choice(["STRING", "INT", "BIGINT", "TINYINT"])}
        if f.type in (F.TYPE_UINT32, F.TYPE_FIXED32) and self.rng.random() < 0.5:
            return {"t": "BIGINT"}
        return {"t": SCALARS[f.type]}


def one(f, v, t):
    if f.message_type is not None:
        return row(v, t, one.defaults)
    kind = t["t"]
    if f.enum_type is not None:
        if kind != "STRING":
            return str(v)
        known = f.enum_type.values_by_number.get(v)
        return text(known.name if known else "UNRECOGNIZED")
    if kind == "STRING":
        return text(v)
    if kind == "BYTES":
        return "x" + v.hex()
    if kind == "BOOLEAN":
        return "true" if v else "false"
    if kind in ("FLOAT", "DOUBLE"):
        return "f" + struct.pack(">d" if kind == "DOUBLE" else ">f", v).hex()
    if kind == "INT":
        return str((v + 2**31) % 2**32 - 2**31)
    if f.type in (F.TYPE_UINT64, F.TYPE_FIXED64):
        return str((v + 2**63) % 2**64 - 2**63)
    return str(v)


def row(message, t, defaults):
    one.defaults = defaults
    parts = []
    for c in t["f"]:
        f = message.DESCRIPTOR.fields_by_name[c["n"]]
        v = getattr(message, f.name)
        if is_map(f):
            e = f.message_type.fields_by_name
            parts.append("null" if not v and not defaults else
                         "{" + ",".join(sorted(one(e["key"], k, c["t"]["k"]) + ":" + one(e["value"], v[k], c["t"]["v"]) for k in list(v))) + "}")
        elif is_repeated(f):
            parts.append("null" if not v and not defaults else "[" + ",".join(one(f, x, c["t"]["e"]) for x in v) + "]")
        elif f.has_presence and not message.HasField(f.name) and not defaults:
            parts.append("null")
        else:
            parts.append(one(f, v, c["t"]))
    return "[" + ",".join(parts) + "]"


def classes(path, name):
    s = descriptor_pb2.FileDescriptorSet.FromString(open(path, "rb").read())
    pool = descriptor_pool.DescriptorPool()
    for f in s.file:
        pool.Add(f)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def generate(seed, count, folder):
    for i in range(count):
        rng = random.Random(seed * 1000 + i)
        maker = Maker(rng, i)
        path = os.path.join(folder, f"t{i}.desc")
        with open(path, "wb") as out:
            out.write(descriptor_pb2.FileDescriptorSet(file=[maker.file]).SerializeToString())
        name = f"{maker.file.package}.{maker.top}"
        cls = classes(path, name)
        table = maker.table(cls.DESCRIPTOR)
        defaults = rng.random() < 0.4
        messages, rows = [], []
        for _ in range(rng.choice([1, 5, 40])):
            data = b""
            # Messages one behind the other are one that is merged of them.
            for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
                part = cls()
                maker.fill(part)
                data += part.SerializeToString()
            whole = cls.FromString(data)
            messages.append(data.hex())
            rows.append(row(whole, table, defaults))
        print(json.dumps({"file": path, "message": name, "table": table, "defaults": defaults, "messages": messages, "rows": rows}))


def check(path):
    wrong = total = 0
    for line in open(path):
        case = json.loads(line)
        cls = classes(case["file"], case["message"])
        for message, expected in zip(case["messages"], case["rows"]):
            found = row(cls.FromString(bytes.fromhex(message)), case["table"], case["defaults"])
            total += 1
            if found != expected:
                wrong += 1
                if wrong < 5:
                    print("expected", expected, "but read", found, "of", message, "in", case["file"])
    print(f"{total} records, {wrong} wrong")


if sys.argv[1] == "generate":
    generate(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
else:
    check(sys.argv[2])
