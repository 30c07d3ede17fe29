"""Judges random cut trees by the public implementation rrcf.

trees FILE    trees as rrcf writes them, each with the score of its last point: are they well formed, and are the scores rrcf's?
built FILE    CoDisp of the last point of {"points", "trees", "seed"}
series FILE   scores a series with rrcf: {"points", "trees", "samples", "decay", "seed"}; samples leave by their weight as in a
              time-decayed reservoir, or never when there are no more points than samples.
"""
import json
import math
import sys

import numpy as np
import rrcf


class Tree(rrcf.RCTree):
    """rrcf 0.4.4 takes the box of a leaf, which has one row, for the box with the new point as well, and so always parts a point from a
    leaf along the first dimension. With two rows its own code draws the cut as it does everywhere else."""

    def _insert_point_cut(self, point, bbox):
        return super()._insert_point_cut(point, np.vstack([bbox[0], bbox[-1]]))


def check(tree):
    """rrcf's own counts and boxes, and the sides of its cuts."""
    leaves = {}

    def walk(node, depth):
        if isinstance(node, rrcf.Leaf):
            assert node.d == depth, (node.d, depth)
            leaves[node] = node.n
            return node.n, node.x, node.x
        ln, llow, lhigh = walk(node.l, depth + 1)
        rn, rlow, rhigh = walk(node.r, depth + 1)
        assert node.n == ln + rn, (node.n, ln, rn)
        low, high = np.minimum(llow, rlow), np.maximum(lhigh, rhigh)
        assert (node.b[0] == low).all() and (node.b[1] == high).all(), (node.b, low, high)
        assert lhigh[node.q] <= node.p < rlow[node.q], (lhigh, node.q, node.p, rlow)
        assert node.l.u is node and node.r.u is node
        return node.n, low, high

    n, _, _ = walk(tree.root, 0)
    assert len({tuple(leaf.x) for leaf in leaves}) == len(leaves)
    return int(n)


def trees(file):
    worst, points = 0.0, 0
    for line in open(file):
        given = json.loads(line)
        tree = rrcf.RCTree.from_dict(given["tree"])
        points += check(tree)
        if given.get("score") is not None:
            worst = max(worst, abs(float(tree.codisp(given["last"])) - given["score"]))
    return {"worst": worst, "points": points}


def built(file):
    """CoDisp of the last point in trees that rrcf builds from all points at once: its mean and the deviation of the mean."""
    given = json.load(open(file))
    points = np.array(given["points"], float)
    found = [rrcf.RCTree(points, random_state=given["seed"] + i).codisp(len(points) - 1) for i in range(given["trees"])]
    return {"mean": float(np.mean(found)), "deviation": float(np.std(found) / math.sqrt(len(found)))}


def series(file):
    given = json.load(open(file))
    points, samples, decay = np.array(given["points"], float), given["samples"], given["decay"]
    random = np.random.default_rng(given["seed"])
    np.random.seed(given["seed"])
    halves = np.zeros((2, len(points)))
    for number in range(given["trees"]):
        total = halves[number % 2]
        tree, keys = Tree(), {}
        for i, point in enumerate(points):
            tree.insert_point(point, index=i)
            total[i] += tree.codisp(i)
            keys[i] = math.log(-math.log(random.random())) - i / decay
            if len(keys) > samples:
                last = max(keys, key=keys.get)
                del keys[last]
                tree.forget_point(last)
    return {"scores": (halves.sum(axis=0) / given["trees"]).tolist(), "halves": halves.tolist()}


print(json.dumps({"trees": trees, "built": built, "series": series}[sys.argv[1]](sys.argv[2])))
