"""How far colours are from each other and from their ground: palette.py GROUND COLOUR...

Prints a JSON object: the least contrast with the ground by WCAG 2, and the least distance of two colours in OKLab for readers who see all colours, and for those
without red, green or blue cones (Machado, Oliveira and Fernandes 2009, severity 1), for all colours and for the first four, which most charts have.
"""
import itertools
import json
import sys

SEEN = {"all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        "without red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
        "without green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
        "without blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900))}
CONES = ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566), (0.0883024619, 0.2817188376, 0.6299787005))
LAB = ((0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099), (0.0259040371, 0.7827717662, -0.8086757660))


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector)) for row in matrix]


def linear(text):
    parts = [int(text[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]


def contrast(a, b):
    x, y = sorted(sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear(t))) + 0.05 for t in (a, b))
    return y / x


def places(colors, matrix):
    return [times(LAB, [c ** (1 / 3) for c in times(CONES, [min(1, max(0, c)) for c in times(matrix, linear(t))])]) for t in colors]


def least(points):
    return round(min(sum((p - q) ** 2 for p, q in zip(a, b)) ** 0.5 for a, b in itertools.combinations(points, 2)), 3)


ground, *colors = sys.argv[1:]
print(json.dumps({"contrast": round(min(contrast(c, ground) for c in colors), 2), "distance": {n: least(places(colors, m)) for n, m in SEEN.items()},
                  "firstFour": {n: least(places(colors[:4], m)) for n, m in SEEN.items()}}))
