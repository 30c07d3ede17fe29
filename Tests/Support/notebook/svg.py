"""Reads pictures as other programs do: svg.py FILE... prints, for each, what a chart's SVG has in it, or the size of a PNG.

The last line is a JSON object: {file: {...}}. SVG goes through Python's XML parser, PNG is decoded by hand down to its pixels.
"""
import json
import struct
import sys
import xml.etree.ElementTree as tree
import zlib

SPACE = "{http://www.w3.org/2000/svg}"


def svg(data):
    root = tree.fromstring(data)
    assert root.tag == SPACE + "svg", root.tag
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids)), ids
    labelled = root.get("aria-labelledby").split()
    assert all(i in ids for i in labelled), (labelled, ids)
    marks, texts = [], []
    for e in root.iter():
        name = e.tag.removeprefix(SPACE)
        assert not any(a.startswith("on") or a == "style" for a in e.attrib), e.attrib
        assert name not in ("script", "foreignObject", "image", "a", "use"), name
        if "mark" in e.get("class", "").split():
            marks.append({"tag": name, "tooltip": e.find(SPACE + "title").text, **e.attrib})
        if name == "text":
            texts.append({"text": e.text or "", **e.attrib})
    named = lambda word: [t["text"] for t in texts if word in t.get("class", "").split()]
    group = lambda word: [t.text for g in root.iter(SPACE + "g") if g.get("class") == word for t in g.iter(SPACE + "text")]
    return {"width": float(root.get("width")), "height": float(root.get("height")), "title": root.find(SPACE + "title").text, "desc": root.find(SPACE + "desc").text, "marks": marks,
            "texts": texts, "notes": [t["text"] for t in texts if t.get("class") == "note muted"], "yTicks": [(t.text, float(t.get("y"))) for g in root.iter(SPACE + "g") if g.get("class") == "y-axis" for t in g.iter(SPACE + "text")],
            "xTicks": group("x-axis"), "legend": named("legend-label"), "paths": [{"class": e.get("class"), "d": e.get("d")} for e in root.iter(SPACE + "path") if "mark" not in e.get("class", "")]}


def png(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, header = 8, b"", None
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0], kind
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        if kind == b"IDAT":
            packed += body
        at += 12 + size
    width, height, depth, color, _, _, interlace = header
    assert depth == 8 and color in (2, 6) and interlace == 0, header
    step = 4 if color == 6 else 3
    raw, row, colors, before = zlib.decompress(packed), width * step, {}, bytearray(width * step)
    assert len(raw) == (row + 1) * height
    for y in range(height):
        kind, line = raw[y * (row + 1)], bytearray(raw[y * (row + 1) + 1:(y + 1) * (row + 1)])
        for i in range(row):
            a, b, c = line[i - step] if i >= step else 0, before[i], before[i - step] if i >= step else 0
            p = a + b - c
            line[i] = (line[i] + (0, a, b, (a + b) // 2, min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2])[kind]) & 255
        for i in range(0, row, step * 3):  # Every third pixel is enough to know the colours.
            key = line[i:i + 3].hex()
            colors[key] = colors.get(key, 0) + 1
        before = line
    total = sum(colors.values())
    return {"width": width, "height": height, "colors": {k: n / total for k, n in sorted(colors.items(), key=lambda item: -item[1])[:40]}}


answers = {}
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        content = file.read()
    answers[path.rsplit("/", 1)[-1]] = png(content) if path.endswith(".png") else svg(content)
print(json.dumps(answers))
