"""What the comparisons with Flink share: the runner of scripts, rows of both engines as values that compare, their differences."""
import collections
import decimal
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
RUNNER = os.path.join(ROOT, "Sources", "CFlinkRunner", "flink_runner.py")


class Runner:
    """flink_runner.py with one Java process for all scripts."""

    def __init__(self, flink_home, rest, timeout=120, grace=60, program=RUNNER):
        """`timeout`: seconds for a script, which the runner keeps; after `grace` more without an answer it is ended. `program`: what runs instead."""
        self.timeout, self.grace = timeout, grace
        # A group of its own, so that the Java process that it starts can be ended with it.
        self.process = subprocess.Popen([sys.executable, program, "--flink-home", flink_home, "--rest", rest, "--loop", "--timeout", str(timeout)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process.stdout.close()

    def kill(self):
        """Ends the runner and its Java process at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def run(self, script, collect=False, settings=None):
        """The runner's answer; a script that Flink refuses or fails at is one with `ok` false."""
        self.process.stdin.write(json.dumps({"script": script, "collect": collect, "settings": settings or {}}) + "\n")
        self.process.stdin.flush()
        late = threading.Event()

        def end():
            late.set()
            self.kill()
        timer = threading.Timer(self.timeout + self.grace, end)
        timer.start()
        try:
            line = self.process.stdout.readline()
        except BaseException:
            self.kill()
            raise
        finally:
            timer.cancel()
            timer.join()
        if late.is_set():
            raise RuntimeError(f"flink_runner.py has not answered within {self.timeout + self.grace} s, and is ended")
        if not line:
            raise RuntimeError(f"flink_runner.py ended with status {self.process.wait()}")
        answer = json.loads(line)
        if answer.get("category") == "cluster":
            raise RuntimeError("the cluster cannot be reached: " + "; ".join(answer["messages"]))
        return answer


def version(flink_home):
    """`2.3` of a Flink's home."""
    for name in os.listdir(os.path.join(flink_home, "lib")):
        found = re.fullmatch(r"flink-dist-(\d+\.\d+)\..*\.jar", name)
        if found:
            return found.group(1)
    raise RuntimeError(f"{flink_home} has no lib/flink-dist-*.jar")


# MARK: values

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT")


def float_key(value):
    """A floating-point number as text of 12 significant digits: sums in another order differ in the last ones."""
    if isinstance(value, str):
        named = {"nan": "NaN", "infinity": "Infinity", "+infinity": "Infinity", "inf": "Infinity", "-infinity": "-Infinity", "-inf": "-Infinity"}
        if value.strip().lower() in named:
            return named[value.strip().lower()]
    number = float(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return "0" if number == 0 else f"{number:.12g}"


def root(type_text):
    """`DECIMAL(10, 2) NOT NULL` is DECIMAL."""
    return re.match(r"[A-Z_]+", type_text.upper()).group(0)


def text_value(text, type_text):
    """What CAST to STRING gave, as flink/README.md has values: numbers and booleans as such, everything else as text."""
    if text is None:
        return None
    kind = root(type_text)
    if kind in INTEGERS:
        return int(text)
    if kind in ("FLOAT", "DOUBLE"):
        return float_key(text)
    if kind == "BOOLEAN":
        return text.upper() == "TRUE"
    if kind in ("MAP", "MULTISET"):
        return "{" + ", ".join(sorted(entries(text[1:-1]))) + "}"
    return text


def entries(text):
    """The parts between commas that are in no bracket."""
    parts, depth, current = [], 0, ""
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += c
    return parts + ([current.strip()] if current.strip() else [])


def expected_value(value, is_map=False):
    """A value of an expected line, as text_value has it."""
    if isinstance(value, float):
        return float_key(value)
    if isinstance(value, str) and re.fullmatch(r"NaN|-?Infinity", value):
        return value
    # The entries of a map have no order.
    if is_map and isinstance(value, str):
        return "{" + ", ".join(sorted(entries(value[1:-1]))) + "}"
    return value


def json_value(value, type_text):
    """A value of a JSON record whose column has this type, so that what is equal compares equal however it is written:
    DECIMAL(10,2) 2 and 2.00, TIMESTAMP `2024-01-02 03:04:05` and `2024-01-02T03:04:05.000`."""
    if value is None:
        return None
    kind = root(type_text)
    if kind == "DECIMAL":
        return str(decimal.Decimal(str(value)).normalize() + 0)
    if kind in ("FLOAT", "DOUBLE"):
        return float_key(value)
    if kind.startswith("TIMESTAMP"):
        moment = str(value).replace("T", " ").rstrip("Z")
        whole, _, fraction = moment.partition(".")
        return whole + ("." + fraction.rstrip("0") if fraction.rstrip("0") else "")
    if kind == "TIME":
        whole, _, fraction = str(value).rstrip("Z").partition(".")
        return whole + ("." + fraction.rstrip("0") if fraction.rstrip("0") else "")
    if kind in INTEGERS:
        return int(value)
    if isinstance(value, (dict, list)):
        return json.dumps(plain(value), sort_keys=True, ensure_ascii=False)
    return value


def plain(value):
    """Numbers in nested values by their value: 2 and 2.0 are the same."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return float_key(value) if isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool) else value


# MARK: tables

def counted(changes):
    """Rows with how often they are there, of (+1 or -1, row) in any order."""
    rows = collections.Counter()
    for sign, row in changes:
        rows[row] += sign
    return collections.Counter({row: n for row, n in rows.items() if n})


def debezium_changes(folder):
    """(+1 or -1, record) of the files that a filesystem table of format debezium-json wrote, older files first; none when there is no folder."""
    paths = []
    for directory, folders, files in os.walk(folder):
        # Names of hidden files, and of those that a failed job left, begin with a dot.
        folders[:] = [f for f in folders if f[0] not in "._"]
        paths += [os.path.join(directory, name) for name in files if name[0] not in "._"]
    changes = []
    # Names have a random part, so the files of two jobs that wrote one after the other are told apart by their times alone.
    for path in sorted(paths, key=lambda path: (os.stat(path).st_mtime_ns, path)):
        with open(path, encoding="utf-8") as file:
            for line in file:
                change = json.loads(line, parse_float=decimal.Decimal)
                changes += ([(-1, change["before"])] if change["before"] is not None else []) + (
                    [(1, change["after"])] if change["after"] is not None else [])
    return changes


def newest(changes, key, ordering=None):
    """Rows of a table with a key, of its changes in order: the row with the greatest ordering value of each key, of equal ones the last."""
    rows = {}
    for sign, row in changes:
        at = tuple(json.dumps(row[k], default=str) for k in key)
        if sign > 0:
            before = rows.get(at)
            if before is None or ordering is None or before[ordering] is None or row[ordering] is None or row[ordering] >= before[ordering]:
                rows[at] = row
        elif at in rows and rows[at] == row:
            del rows[at]
    return list(rows.values())


def rows_of(records, columns):
    """Records as tuples of comparable values, counted. `columns`: name -> type."""
    return collections.Counter(tuple(json_value(r.get(name), type_text) for name, type_text in columns.items()) for r in records)


def difference(ours, flinks, titles=("only ours", "only Flink's"), most=5):
    """Nothing when both are the same rows as often; else the first that differ."""
    if ours == flinks:
        return ""
    lines = []
    for title, rows in zip(titles, (ours - flinks, flinks - ours)):
        lines += [f"{title}: {n} x {row}" for row, n in sorted(rows.items(), key=str)[:most]]
        if len(rows) > most:
            lines.append(f"{title}: {len(rows) - most} more")
    return "\n".join(lines)
