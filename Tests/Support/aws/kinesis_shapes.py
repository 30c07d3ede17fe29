"""Writes Sources/KinesisService/KinesisShapes.swift: the inputs of Kinesis' operations as botocore's service model has them.

    .venv/bin/python Tests/Support/aws/kinesis_shapes.py > Sources/KinesisService/KinesisShapes.swift
"""
import gzip
import json
import os

import botocore

path = os.path.join(os.path.dirname(botocore.__file__), "data/kinesis/2013-12-02/service-2.json.gz")
model = json.load(gzip.open(path))
shapes = model["shapes"]


def text(value):
    return json.dumps(value) if "\\" not in value else '#"' + value + '"#'


def arguments(shape, *names):
    return [f"{name}: {shape[name]}" for name in names if name in shape]


def call(name, parts):
    return f".{name}({', '.join(parts)})"


def reference(name):
    return name[0].lower() + name[1:] if not name.startswith("GSR") else "gsr" + name[3:]


def declaration(name):
    shape = shapes[name]
    kind = shape["type"]
    if kind == "string":
        parts = arguments(shape, "min", "max")
        if "pattern" in shape:
            parts.append(f"pattern: .model({text(shape['pattern'])})")
        if "enum" in shape:
            parts.append("values: [" + ", ".join(f'"{v}"' for v in shape["enum"]) + "]")
        return call("string", parts)
    if kind in ("integer", "long", "blob"):
        return call(kind, arguments(shape, "min", "max"))
    if kind in ("boolean", "timestamp", "double"):
        return "." + kind
    if kind == "list":
        return call("list", [reference(shape["member"]["shape"])] + arguments(shape, "min", "max"))
    if kind == "map":
        return call("map", [f"key: {reference(shape['key']['shape'])}", f"value: {reference(shape['value']['shape'])}"] + arguments(shape, "min", "max"))
    return f".structure({structure(name)})"


def structure(name, indent="    "):
    shape = shapes[name]
    required = shape.get("required", [])
    members = [
        f'.init("{member}", {reference(target["shape"])}, isRequired: {"true" if member in required else "false"})'
        for member, target in shape["members"].items()
    ]
    if len(members) < 2:
        return "Structure([" + "".join(members) + "])"
    return "Structure([\n" + "".join(f"{indent}    {member},\n" for member in members) + f"{indent}])"


order = []


def visit(name):
    shape = shapes[name]
    for target in shape.get("members", {}).values():
        visit(target["shape"])
    for key in ("member", "key", "value"):
        if key in shape:
            visit(shape[key]["shape"])
    if name not in order:
        order.append(name)


inputs = {name: operation["input"]["shape"] for name, operation in model["operations"].items()}
for shape in inputs.values():
    for target in shapes[shape]["members"].values():
        visit(target["shape"])
print("// Made by Tests/Support/aws/kinesis_shapes.py from botocore's model of the service; do not edit.")
print("import AWSProtocol")
print()
print("/// What the operations of Kinesis take.")
print("enum KinesisShapes {")
for name in order:
    print(f"    private static let {reference(name)}: Shape = {declaration(name)}")
print()
print("    /// By the name of the operation.")
print("    static let inputs: [String: Structure] = [")
for name, shape in inputs.items():
    print(f'        "{name}": {structure(shape, "        ")},')
print("    ]")
print("}")
