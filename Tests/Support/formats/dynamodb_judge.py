"""Random items as boto3 writes them in change records, and what boto3 reads back of them as plain JSON.

usage: dynamodb_judge.py SEED COUNT
prints a line for each item: {"record": text of the change record, "plain": text of the item as JSON with sorted keys}
"""
import base64
import json
import random
import sys
from decimal import Decimal

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer

rng = random.Random(int(sys.argv[1]))
reader, writer = TypeDeserializer(), TypeSerializer()
PIECES = ["a", "é", "日本", "😀", "\n", '"', "\\", "/", " ", "{", "]", "xyz", "0123456789", "\t"]


def text():
    return "".join(rng.choice(PIECES) for _ in range(rng.randrange(9)))


def number():
    kind = rng.randrange(4)
    if kind == 0:
        return Decimal(rng.randrange(-1000, 1000))
    if kind == 1:
        return Decimal(rng.randrange(-(10**38) + 1, 10**38))
    digits, scale = rng.randrange(1, 39), rng.randrange(0, 38)
    value = Decimal(rng.randrange(-(10 ** (digits)) + 1, 10 ** (digits))).scaleb(-min(scale, 37))
    plain = format(value, "f")
    return value if sum(c.isdigit() for c in plain) <= 38 else Decimal(7)


def value(depth=0):
    kind = rng.randrange(10 if depth < 4 else 5)
    if kind == 0:
        return text()
    if kind == 1:
        return number()
    if kind == 2:
        return Binary(rng.randbytes(rng.randrange(1, 20)))
    if kind == 3:
        return rng.random() < 0.5
    if kind == 4:
        return None
    if kind == 5:
        return {text(): value(depth + 1) for _ in range(rng.randrange(4))}
    if kind == 6:
        return [value(depth + 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return {text() + "s" for _ in range(rng.randrange(1, 4))}
    if kind == 8:
        return {number() for _ in range(rng.randrange(1, 4))}
    return {Binary(rng.randbytes(rng.randrange(1, 9))) for _ in range(rng.randrange(1, 4))}


def plain(v):
    if isinstance(v, bool) or v is None:
        return json.dumps(v)
    if isinstance(v, str):
        return json.dumps(v, ensure_ascii=False)
    if isinstance(v, Decimal):
        out = format(v, "f")
        if "." in out:
            out = out.rstrip("0").rstrip(".")
        return "0" if out == "-0" else out
    if isinstance(v, (Binary, bytes)):
        return json.dumps(base64.b64encode(bytes(v)).decode())
    if isinstance(v, dict):
        return "{" + ",".join(plain(k) + ":" + plain(v[k]) for k in sorted(v, key=lambda k: k.encode())) + "}"
    if isinstance(v, set):
        v = sorted(v, key=lambda e: bytes(e.value) if isinstance(e, Binary) else e.encode() if isinstance(e, str) else e)
    return "[" + ",".join(plain(e) for e in v) + "]"


def on_the_wire(a):
    (kind, v), = a.items()
    if kind == "N":
        v = format(Decimal(v), "f")
    if kind == "NS":
        v = [format(n, "f") for n in sorted(Decimal(n) for n in v)]
    if kind == "SS":
        v = sorted(v, key=lambda s: s.encode())
    if kind == "B":
        v = base64.b64encode(bytes(v)).decode()
    if kind == "BS":
        v = [base64.b64encode(b).decode() for b in sorted(bytes(b) for b in v)]
    if kind == "M":
        v = {k: on_the_wire(e) for k, e in v.items()}
    if kind == "L":
        v = [on_the_wire(e) for e in v]
    return {kind: v}


for i in range(int(sys.argv[2])):
    item = {"id": str(i)}
    for _ in range(rng.randrange(6)):
        item[text() + "_"] = value()
    typed = {k: writer.serialize(v) for k, v in item.items()}
    back = {k: reader.deserialize(v) for k, v in typed.items()}
    record = {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": str(i)}}, "NewImage": {k: on_the_wire(v) for k, v in typed.items()}}}
    spaced = rng.random() < 0.5
    wire = json.dumps(record, ensure_ascii=rng.random() < 0.5, separators=None if spaced else (",", ":"))
    print(json.dumps({"record": wire, "plain": plain(back)}))
