"""Writes Sources/DynamoDBService/Model/*Shapes.swift from botocore's service model of DynamoDB: what each operation takes."""
import gzip
import json
import os
import re

import botocore

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
FOLDER = os.path.join(ROOT, "Sources", "DynamoDBService", "Model")
PATH = os.path.join(os.path.dirname(botocore.__file__), "data", "dynamodb", "2012-08-10", "service-2.json.gz")
model = json.load(gzip.open(PATH))
shapes = model["shapes"]
# Patterns of letters, digits and some others have a matcher of their own; the rest go through a regular expression.
LETTERS = re.compile(r"\[a-zA-Z0-9([_.-]+)\]\+")


def camel(name):
    head = re.match(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]", name)
    return name[: head.end()].lower() + name[head.end():]


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def bounds(shape):
    return [f"{k}: {shape[k]}" for k in ("min", "max") if k in shape]


def expression(name, within=()):
    shape = shapes[name]
    kind = shape["type"]
    if kind == "structure":
        if name in RECURSIVE:
            return f".recursive {{ .structure({camel(name)}) }}"
        return f".structure({camel(name)})"
    if kind == "list":
        return ".list(" + ", ".join([expression(shape["member"]["shape"])] + bounds(shape)) + ")"
    if kind == "map":
        key = expression(shape["key"]["shape"])
        head = [] if key == ".text" else [f"key: {key}"]
        return ".map(" + ", ".join(head + ["value: " + expression(shape["value"]["shape"])] + bounds(shape)) + ")"
    if kind == "string":
        parts = bounds(shape)
        pattern = shape.get("pattern")
        if pattern:
            letters = LETTERS.fullmatch(pattern)
            # Surrogates are no characters for a regular expression in Swift; the pattern lets all text pass.
            if letters:
                parts.append(f"pattern: .letters({quoted(pattern)}, and: {quoted(letters[1])})")
            elif "uD7FF" not in pattern:
                parts.append(f"pattern: .regularExpression({quoted(pattern)})")
        if shape.get("enum"):
            parts.append("values: [" + ", ".join(quoted(v) for v in ENUM_ORDER.get(name, shape["enum"])) + "]")
        return f".string({', '.join(parts)})" if parts else ".text"
    if kind in ("integer", "long"):
        return f".{kind}({', '.join(bounds(shape))})"
    return {"boolean": ".boolean", "blob": ".blob()", "timestamp": ".timestamp", "double": ".double", "float": ".double"}[kind]


def members(name, seen=None):
    """Structures inside of a shape, those used by others first."""
    shape = shapes[name]
    kind = shape["type"]
    if kind == "list":
        return members(shape["member"]["shape"], seen)
    if kind == "map":
        return members(shape["key"]["shape"], seen) + members(shape["value"]["shape"], seen)
    if kind != "structure" or name in seen:
        return []
    seen.add(name)
    out = []
    for member in shape["members"].values():
        out += members(member["shape"], seen)
    return out + [name]


def reaches(start, name, seen):
    shape = shapes[name]
    nexts = {"list": lambda: [shape["member"]["shape"]], "map": lambda: [shape["key"]["shape"], shape["value"]["shape"]],
             "structure": lambda: [m["shape"] for m in shape["members"].values()]}.get(shape["type"], lambda: [])()
    for other in nexts:
        if other == start:
            return True
        if other not in seen:
            seen.add(other)
            if reaches(start, other, seen):
                return True
    return False


# Where the service's messages name the values in another order than its model.
ENUM_ORDER = {"Select": ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"]}
RECURSIVE = {n for n, s in shapes.items() if s["type"] == "structure" and reaches(n, n, set())}
# Operations that Operations/Refusals.swift refuses whatever they are given.
refusals = open(os.path.join(FOLDER, "..", "Operations", "Refusals.swift")).read()
refused = set(re.findall(r'"(\w+)":', refusals.split("static let reasons")[1].split("\n    ]")[0]))
inputs = {n: o["input"]["shape"] for n, o in sorted(model["operations"].items()) if "input" in o and n not in refused}
seen, order = set(), []
for shape in inputs.values():
    order += members(shape, seen)


def structure(name):
    required = set(shapes[name].get("required", []))
    lines = [f"    static let {camel(name)}: Structure = .init(["]
    for member, described in shapes[name]["members"].items():
        lines.append(f"        .init({quoted(member)}, {expression(described['shape'])}, isRequired: {str(member in required).lower()}),")
    return "\n".join(lines + ["    ])"])


HEAD = "// Written by Tests/Support/aws/dynamodb_shapes.py from the service's model. Do not edit.\nimport AWSProtocol\n\n"
operation_shapes = set(inputs.values())
shared = [n for n in order if n not in operation_shapes]
requests = [n for n in order if n in operation_shapes]
with open(os.path.join(FOLDER, "StructureShapes.swift"), "w") as out:
    out.write(HEAD + "/// What the requests of DynamoDB are made of.\nenum Shapes {\n" + "\n\n".join(map(structure, shared)) + "\n}\n")
with open(os.path.join(FOLDER, "RequestShapes.swift"), "w") as out:
    out.write(HEAD + "extension Shapes {\n    /// What each operation takes.\n    static let inputs: [String: Structure] = [\n")
    for operation, shape in inputs.items():
        out.write(f"        {quoted(operation)}: {camel(shape)},\n")
    out.write("    ]\n\n" + "\n\n".join(map(structure, requests)) + "\n}\n")
