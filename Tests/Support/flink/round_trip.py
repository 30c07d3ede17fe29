#!/usr/bin/env python3
"""Text, our plan, exported text, Flink: every script of a folder gives the rows there that it is known to give.

    round_trip.py BINARY FLINK_HOME [--cases DIR] [--rest URL] [--plain] [NAME ...]

DIR holds cases/NAME.sql, expected/NAME.jsonl and data/; README.md beside this file says how they came to be and how they compare.
Each script is exported by BINARY, and what comes out is run on a cluster of one JobManager and two TaskManagers, which this starts
unless --rest names one. A script that is expected to be refused must be refused by the export or by Flink, for the reason that is expected.
--plain runs the scripts as they are, which shows that a difference is not the export's. The last line is {"cases": n, "equal": n, "seconds": s};
exit status 1 when one differs.
"""
import argparse
import collections
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, ClusterError, end_on_signals  # noqa: E402
import harness  # noqa: E402


def exported(binary, path, folder, version):
    """(the exported script, None), or (None, what the export said when it refused)."""
    done = subprocess.run([binary, "export", "--engine", "flink", path, "--flink-version", version, "--map", f"{folder}={folder}", "-o", path + ".export"],
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        return None, done.stderr + done.stdout
    scripts = [f for f in os.listdir(path + ".export") if f.endswith(".sql")]
    if len(scripts) != 1:
        raise RuntimeError(f"the export of {path} holds {scripts}, not one script")
    with open(os.path.join(path + ".export", scripts[0]), encoding="utf-8") as file:
        return file.read(), None


def mentioned(words, message):
    return all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", message, re.IGNORECASE) for word in words)


def rows_of(answer):
    """The lines that a script's results are, counted: named values, or their list where names come twice."""
    lines = collections.Counter()
    for result in answer["results"]:
        names, types = [c[0] for c in result["columns"]], [c[1] for c in result["columns"]]
        signed = [(1 if kind[0] == "+" else -1, tuple(map(harness.text_value, values, types))) for kind, values in result["changes"]]
        for row, n in harness.counted(signed).items():
            packed = tuple(zip(names, row)) if len(set(names)) == len(names) else row
            lines[packed] += n
    return lines


def expected_rows(lines, answer):
    """The expected lines as rows_of has them."""
    maps = {c[0] for result in answer["results"] for c in result["columns"] if harness.root(c[1]) in ("MAP", "MULTISET")}
    rows = collections.Counter()
    for line in lines:
        rows[tuple((k, harness.expected_value(v, k in maps)) for k, v in line.items()) if isinstance(line, dict) else tuple(map(harness.expected_value, line))] += 1
    return rows


def check(name, arguments, runner, directory):
    """What is wrong with a case, or nothing."""
    cases = os.path.abspath(arguments.cases)
    with open(os.path.join(cases, "cases", name + ".sql"), encoding="utf-8") as file:
        script = file.read().replace("${DATA}", os.path.join(cases, "data"))
    with open(os.path.join(cases, "expected", name + ".jsonl"), encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    refusal = lines[0] if lines and isinstance(lines[0], dict) and "error" in lines[0] and "mentions" in lines[0] else None
    if not arguments.plain:
        path = os.path.join(directory, name + ".sql")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        script, refused = exported(arguments.binary, path, os.path.join(cases, "data"), harness.version(arguments.flink_home))
        if script is None:
            if refusal and mentioned(refusal["mentions"], refused):
                return ""
            return f"the export refuses it: {refused.strip()}"
    answer = runner.run(script, collect=True)
    if refusal:
        if answer["ok"]:
            return f"Flink takes what it must refuse ({refusal['error']})"
        same = {refusal["error"], answer["category"]} <= {"validate", "plan"} or refusal["error"] == answer["category"]
        if not same or not mentioned(refusal["mentions"], "\n".join(answer["messages"])):
            return f"Flink refuses it for another reason than {refusal}: {answer['category']}: {answer['messages']}"
        return ""
    if not answer["ok"]:
        return f"Flink refuses the {'script' if arguments.plain else 'exported script'}: {answer['category']}: {' | '.join(answer['messages'])}\n{answer['sql']}"
    return harness.difference(rows_of(answer), expected_rows(lines, answer), ("only from the exported script", "only expected"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("flink_home")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--cases", default=harness.HERE)
    parser.add_argument("--rest")
    parser.add_argument("--plain", action="store_true")
    arguments = parser.parse_intermixed_args()
    arguments.binary = os.path.abspath(arguments.binary)
    names = arguments.names or sorted(f[:-4] for f in os.listdir(os.path.join(arguments.cases, "cases")) if f.endswith(".sql"))
    wrong, began = [], time.monotonic()
    with contextlib.ExitStack() as stack:
        rest = arguments.rest or stack.enter_context(Cluster(arguments.flink_home)).rest
        runner = stack.enter_context(harness.Runner(arguments.flink_home, rest))
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="round-trip-"))
        for name in names:
            problem = check(name, arguments, runner, directory)
            if problem:
                wrong.append(name)
                print(f"{name}: {problem}\n", flush=True)
    if wrong:
        print("differ: " + " ".join(wrong))
    print(json.dumps({"cases": len(names), "equal": len(names) - len(wrong), "seconds": round(time.monotonic() - began, 1)}))
    return 1 if wrong or not names else 0


if __name__ == "__main__":
    end_on_signals()
    try:
        sys.exit(main())
    except ClusterError as error:
        sys.exit(f"the cluster did not come up: {error}")
