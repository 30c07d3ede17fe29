#!/usr/bin/env python3
"""Every shipped topology and example that has a bounded form, on Swiftwater and on a Flink cluster over the same records: the rows are equal.

    compare_all.py BINARY FLINK_HOME [--rest URL] [--repository DIR] [--keep DIR] [NAME ...]

Names are those of files in Topologies/ and Examples/: sensors.yaml, nexmark.sql. Without names all are compared, and a file that is
neither compared nor among those without a bounded form fails. For each:

1. Records are made, the same each time: late, out of order, with equal times, nulls, updates and deletes where that matters.
2. `swiftwater run` reads them from what the file names (streams, topics, files) and writes its lake tables, streams and files, which are
   read by readers that are not Swiftwater's where there is one (hudi-rs for Hudi). Queries are run by `swiftwater sql`.
3. `swiftwater export` makes the script for Flink. In it each table's connector becomes files, and the parallelism four (one where
   rows are late): nothing else is changed. It runs on one JobManager and two TaskManagers with two slots each, whose changelogs are added up here.
4. Both are compared here, row by row; and `swiftwater compare` must find the same.

Run it with the Python of .venv, which has hudi-rs. The last line is {"compared": n, "equal": n, "seconds": s}; exit status 1 when one differs.
"""
import argparse
import collections
import contextlib
import csv
import datetime
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
# One of the modules is among the program's sources, where compiled files would be strangers.
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import harness  # noqa: E402
from cluster import Cluster, ClusterError, end_on_signals  # noqa: E402
sys.path.insert(0, os.path.dirname(harness.RUNNER))
from flink_runner import setting, statements  # noqa: E402

# MARK: scripts over files

IDENTIFIER = r"(?:`[^`]+`|\w+)"


def unquoted(name):
    """The last part of a name, without its quotes."""
    return re.findall(IDENTIFIER, name)[-1].strip("`")


def balanced(text, start):
    """The end of the bracket that opens at `start`, behind it."""
    depth, i = 0, start
    while i < len(text):
        if text[i] in "'`\"":
            i = text.index(text[i], i + 1)
        depth += (text[i] == "(") - (text[i] == ")")
        i += 1
        if depth == 0:
            return i
    raise ValueError(f"no end of the bracket in {text[start:start + 80]!r}")


def parts(text):
    """What commas outside of brackets and quotes separate."""
    found, start, depth, i = [], 0, 0, 0
    while i < len(text):
        c = text[i]
        if c in "'`\"":
            i = text.index(c, i + 1)
        elif c in "(<":
            depth += 1
        elif c in ")>":
            depth -= 1
        elif c == "," and depth == 0:
            found.append(text[start:i].strip())
            start = i + 1
        i += 1
    return found + [text[start:].strip()]


class Table:
    """A CREATE TABLE statement, taken apart."""

    def __init__(self, sql):
        head = re.match(rf"CREATE\s+(TEMPORARY\s+)?TABLE\s+(IF\s+NOT\s+EXISTS\s+)?((?:{IDENTIFIER}\.)*{IDENTIFIER})\s*", sql, re.IGNORECASE)
        self.text, self.name = head.group(3), unquoted(head.group(3))
        self.temporary = bool(head.group(1))
        end = balanced(sql, head.end())
        self.items = parts(sql[head.end() + 1:end - 1])
        options = re.search(r"\bWITH\s*\(", sql[end:], re.IGNORECASE)
        body = sql[end:][options.end() - 1:] if options else "()"
        self.options = {k.replace("''", "'"): v.replace("''", "'") for k, v in re.findall(r"'((?:[^']|'')*)'\s*=\s*'((?:[^']|'')*)'", body[:balanced(body, 0)])}

    @property
    def key(self):
        for item in self.items:
            found = re.search(r"\bPRIMARY\s+KEY\s*\(([^)]*)\)", item, re.IGNORECASE)
            if found:
                return [unquoted(c) for c in found.group(1).split(",")]
        return []

    @property
    def physical(self):
        """Name -> type of the columns that rows have."""
        columns = {}
        for item in self.items:
            found = re.match(rf"({IDENTIFIER})\s+(.*)", item, re.DOTALL)
            if re.match(r"(PRIMARY|WATERMARK|CONSTRAINT)\b", item, re.IGNORECASE) or re.match(r"AS\b", found.group(2), re.IGNORECASE):
                continue
            if re.search(r"\bMETADATA\b", found.group(2), re.IGNORECASE):
                continue
            columns[found.group(1).strip("`")] = re.sub(r"\s+", " ", found.group(2)).strip()
        return columns

    def over_files(self, path, options):
        """The same table over files."""
        items = [i for i in self.items if not re.match(r"(CONSTRAINT\b.*)?\bPRIMARY\b", i, re.IGNORECASE)] if options.get("format") == "debezium-json" else self.items
        given = {"connector": "filesystem", "path": path, **options}
        return (f"CREATE {'TEMPORARY ' if self.temporary else ''}TABLE {self.text} (\n  " + ",\n  ".join(items) + "\n) WITH (\n  " +
                ",\n  ".join(f"{quoted(k)} = {quoted(v)}" for k, v in given.items()) + "\n)")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def over_files(script, inputs, results, parallelism=None):
    """(the statements with files as tables, {name: Table} of those that are written). `inputs`: table -> file or folder."""
    found, tables, written = statements(script), {}, set()
    for sql in found:
        written |= {unquoted(n) for n in re.findall(rf"\bINSERT\s+(?:INTO|OVERWRITE)\s+((?:{IDENTIFIER}\.)*{IDENTIFIER})", sql, re.IGNORECASE)}
    text = []
    for sql in found:
        if re.match(r"CREATE\s+(TEMPORARY\s+)?TABLE\b", sql, re.IGNORECASE):
            table = Table(sql)
            if table.name in written:
                tables[table.name] = table
                sql = table.over_files(os.path.join(results, table.name), {"format": "debezium-json"})
            elif table.name in inputs or table.name.removesuffix("_records") in inputs:
                # Where a format is translated, the view over the records has the table's name.
                path = inputs.get(table.name) or inputs[table.name.removesuffix("_records")]
                format = table.options.get("value.format") or table.options.get("format") or "json"
                kept = {k.removeprefix("value."): v for k, v in table.options.items() if k.removeprefix("value.").startswith(format + ".")}
                sql = table.over_files(path, {"format": format, **kept})
        if parallelism and (setting(sql) or ("",))[0] == "parallelism.default":
            continue
        text.append(sql + ";\n")
    return (f"SET 'parallelism.default' = '{parallelism}';\n" if parallelism else "") + "".join(text), tables


# MARK: our engine

class Ours:
    """Runs the program in a data directory of its own."""

    def __init__(self, binary, repository, directory):
        self.binary, self.repository, self.directory = binary, repository, directory
        self.data, self.input = os.path.join(directory, "data"), os.path.join(directory, "input")
        os.makedirs(self.data)
        os.makedirs(self.input)

    def run(self, *arguments, text=None, environment=None, seconds=300, fails=False):
        done = subprocess.run([self.binary, *arguments], input=text, stdin=subprocess.DEVNULL if text is None else None, capture_output=True, text=True,
                              timeout=seconds, env={**os.environ, "SWIFTWATER_DATA": self.data, "SWIFTWATER_PYTHON": sys.executable, **(environment or {})})
        if done.returncode != 0 and not fails:
            raise RuntimeError(f"swiftwater {' '.join(arguments)} ended with status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
        return done if fails else done.stdout

    def python(self, script, *arguments):
        subprocess.run([sys.executable, os.path.join(self.repository, script), *map(str, arguments)], check=True, capture_output=True, timeout=120)

    def put(self, table, records):
        """The records of a table as a file of JSON lines; the path."""
        path = os.path.join(self.input, table + ".json")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(r) + "\n" for r in records)
        return path

    def changed(self, file, pattern, by):
        """A copy of a file in which something is replaced."""
        with open(file, encoding="utf-8") as opened:
            text, n = re.subn(pattern, by, opened.read())
        if n == 0:
            raise RuntimeError(f"{file} has no {pattern} any more")
        path = os.path.join(self.directory, os.path.basename(file))
        with open(path, "w", encoding="utf-8") as opened:
            opened.write(text)
        return path

    def put_without_header(self, table, folder):
        """The CSV files of a folder as the records of a table, without their first lines; the path."""
        path = os.path.join(self.input, table)
        os.makedirs(path)
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), encoding="utf-8", newline="") as source, open(os.path.join(path, name), "w", encoding="utf-8", newline="") as copy:
                copy.writelines(source.readlines()[1:])
        return path

    def stream(self, name, path):
        self.run("stream", "create", name)
        with open(path, encoding="utf-8") as file:
            self.run("stream", "put", name, text=file.read())

    def stream_records(self, name):
        return [json.loads(line) for line in self.run("stream", "get", name).splitlines() if line.strip()]

    def lake(self, path):
        return lake_records(os.path.join(self.data, path))

    def query(self, script):
        """The rows of a script's one query."""
        path = os.path.join(self.directory, "query.sql")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        return [json.loads(line) for line in self.run("sql", "-f", path, "--output", "json").splitlines() if line.startswith("{")]


def lake_records(path):
    """The newest rows of a Hudi table, by hudi-rs."""
    import pyarrow
    from hudi import HudiTable
    batches = HudiTable(path).read()
    batches = batches if isinstance(batches, list) else [batches]
    return [{k: plain_python(v) for k, v in row.items() if not k.startswith("_hoodie_")}
            for row in pyarrow.Table.from_batches([pyarrow.record_batch(b) for b in batches]).to_pylist()] if batches else []


def plain_python(value):
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value


def files_records(folder):
    """The records of JSON files."""
    records = []
    for path in sorted(glob.glob(os.path.join(folder, "**", "*"), recursive=True)):
        if os.path.isfile(path) and os.path.basename(path)[0] not in "._":
            with open(path, encoding="utf-8") as file:
                records += [json.loads(line) for line in file]
    return records


def csv_records(folder, columns):
    """The records of CSV files; what is empty is an empty text."""
    records = []
    for path in sorted(glob.glob(os.path.join(folder, "**", "*"), recursive=True)):
        if os.path.isfile(path) and os.path.basename(path)[0] not in "._":
            with open(path, encoding="utf-8", newline="") as file:
                records += [dict(zip(columns, row)) for row in csv.reader(file)]
    return records


# MARK: what is compared

class Subject:
    """One file: what it reads, what our engine made of it, and how rows are told to be equal.

    `tables`: name of a written table -> its records as our engine left them. `queries`: its SELECTs are compared too.
    `blank`: tables of CSV files, in which null and an empty text look the same.
    `late`: late rows are among its records. Which rows are late is told apart by the watermark of the one subtask that reads them; with several, those that
    read nothing hold it back until they have ended, so such a job has one of each.
    `left_out`: parts that Flink has no equal for, with the reason; `remarks`: what else is not as in the file.
    """

    def __init__(self, file, inputs, tables, queries=False, blank=(), late=False, left_out=(), remarks=()):
        self.file, self.inputs, self.tables, self.queries, self.blank = file, inputs, tables, queries, set(blank)
        self.parallelism = 1 if late else PARALLELISM
        self.left_out, self.remarks = list(left_out), list(remarks)


def sensor_records(ours, count=3000, seed=11):
    """Readings ten a second, out of order by up to eight seconds where five are waited for, some a minute late; equal times; null temperatures and a null status."""
    chance = random.Random(seed)
    lines = ours.run("generate", "sensors", "--count", str(count), "--step", "100ms", "--seed", str(seed)).splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    for r in records:
        r["event_time"] = r["event_time"][:23]
        if chance.random() < 0.03:
            r["current_temperature"] = None
        if chance.random() < 0.01:
            r["status"] = None
    for i in range(0, count - 7, 7):
        if chance.random() < 0.3:
            records[i + 1]["event_time"] = records[i]["event_time"]
    places = [(i + (chance.uniform(50, 80) if chance.random() < 0.4 else 0) + (700 if chance.random() < 0.01 else 0), i) for i in range(count)]
    return [records[i] for _, i in sorted(places)]


def sensors_yaml(ours):
    path = ours.put("sensor_data", sensor_records(ours))
    ours.stream("my-input-stream", path)
    file = os.path.join(ours.repository, "Topologies", "sensors.yaml")
    ours.run("run", "--quiet", file, environment={"BOUNDED": "latest-offset"})
    return Subject(file, {"sensor_data": path}, {
        "sensor_state": ours.stream_records("my-output-stream"), "sensor_state_cow": ours.lake("tables/sensor_state_cow")}, late=True)


def order_records(ours, seed=5):
    """New items, later versions of some, versions that come after newer ones or with an equal time_stamp, and items without a key."""
    chance = random.Random(seed)
    first = [json.loads(line) for line in ours.run("generate", "orders", "--count", "400", "--seed", str(seed)).splitlines() if line.startswith("{")]
    records = list(first)
    for r in chance.sample(first, 120):
        later = {**r, "amount": round(chance.uniform(0, 99.9), 1), "product": chance.choice(["Desk", "Lamp", None])}
        days = chance.choice([-3, 1, 2])
        later["time_stamp"] = (datetime.datetime.fromisoformat(r["time_stamp"]) + datetime.timedelta(days=days)).isoformat(sep=" ")
        records.insert(chance.randrange(len(records)), later)
    # Of two versions with an equal time_stamp the one that comes later stays; here both are the same row.
    records += [dict(r) for r in chance.sample(first, 10)]
    for key in ("order_id", "item_id"):
        records.insert(chance.randrange(len(records)), {**first[0], key: None})
    return records


def orders_yaml(ours):
    path = ours.put("order_changes", order_records(ours))
    ours.stream("order-data-stream", path)
    file = os.path.join(ours.repository, "Topologies", "orders.yaml")
    ours.run("run", "--quiet", file, environment={"BOUNDED": "latest-offset"})
    return Subject(file, {"order_changes": path}, {"order_hudi_cow": ours.lake("tables/order_hudi_cow")})


def kafka_orders_yaml(ours):
    path = ours.put("order_changes", order_records(ours, seed=6))
    file, bootstrap = os.path.join(ours.repository, "Topologies", "kafka-orders.yaml"), os.path.join(ours.directory, "bootstrap")
    broker = subprocess.Popen([ours.binary, "kafka", "mock", "--topic", "orders:1", "--topic", "orders-dead:1", "--bootstrap-file", bootstrap],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: os.path.exists(bootstrap) and os.path.getsize(bootstrap) > 0, "the Kafka cluster in memory", broker)
        with open(bootstrap, encoding="utf-8") as opened:
            brokers = opened.read().strip()
        columns = "order_id STRING, item_id STRING, customer_id STRING, product STRING, amount DECIMAL(3, 1), currency STRING, time_stamp STRING, transaction_date STRING"
        ours.query(f"CREATE TABLE a ({columns}) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'json');\n"
                   f"CREATE TABLE b ({columns}) WITH ('connector' = 'kafka', 'topic' = 'orders', 'properties.bootstrap.servers' = '{brokers}', 'format' = 'json');\n"
                   "INSERT INTO b SELECT * FROM a;")
        ours.run("run", "--quiet", file, environment={"BROKERS": brokers, "BOUNDED": "latest-offset"})
    finally:
        broker.terminate()
        broker.wait(30)
    return Subject(ours.changed(file, r" +(on-error|dead-letter\.topic): .*\n", ""), {"order_changes": path}, {"order_hudi": ours.lake("tables/order_hudi")},
                   remarks=["without its dead letters: Flink puts no records aside"])


def wait_for(condition, what, process=None, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what} ended with status {process.returncode}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} is not there after {seconds} s")
        time.sleep(0.05)


def quality_yaml(ours):
    ours.python("Tests/Support/insight/patients.py", os.path.join(ours.data, "clinic"), 400, 3)
    file = os.path.join(ours.repository, "Topologies", "quality.yaml")
    ours.run("run", "--quiet", file)
    inputs = {table: ours.put_without_header(table, os.path.join(ours.data, "clinic", table)) for table in ("patients", "encounters")}
    with open(file, encoding="utf-8") as opened:
        flagged = re.search(r"&flagged\n((?: {6}\w+: \w+\n)+)", opened.read()).group(1)
    columns = [line.split(":")[0].strip() for line in flagged.splitlines()]
    clinic = os.path.join(ours.data, "clinic")
    return Subject(ours.changed(file, r", csv\.header: true", ""), inputs, {
        "good_records": csv_records(os.path.join(clinic, "good_records"), columns), "bad_records": csv_records(os.path.join(clinic, "bad_records"), columns),
        "score_card": files_records(os.path.join(clinic, "score_card"))}, blank=["good_records", "bad_records"],
        remarks=["the first lines are cut off its files: Flink's CSV has no header"])


def logs_yaml(ours):
    ours.python("Tests/Support/insight/logs.py", ours.data, "5xx", 90, 4)
    file = os.path.join(ours.repository, "Topologies", "logs.yaml")
    ours.run("run", "--quiet", file, environment={"INITIALIZE": "20"})
    path = os.path.join(ours.input, "access_log")
    shutil.copytree(os.path.join(ours.data, "logs"), path)
    return Subject(file, {"access_log": path}, {"encoded_log": files_records(os.path.join(ours.data, "encoded_log"))},
                   left_out=["minutes: a random cut forest is no function of Flink's"])


# MARK: notebooks

def cells_of(path):
    """(title, language, text) of the code cells of a percent script; SQL's language is sql."""
    cells, title, language, lines = [], None, None, []

    def finish():
        if title is not None and language != "markdown":
            cells.append((title, language, "\n".join(lines).strip()))

    with open(path, encoding="utf-8") as file:
        for line in file.read().splitlines():
            header = re.match(r"-- %%(.*)", line)
            if header:
                finish()
                rest = header.group(1)
                named = re.search(r'language="(\w+)"', rest)
                language = "markdown" if "[markdown]" in rest else "parameters" if "[parameters]" in rest else named.group(1) if named else "sql"
                title, lines = re.sub(r'\s*(language|tags)=\S+', "", rest).strip(), []
            else:
                lines.append(line)
    finish()
    return cells


def notebook_script(ours, name, keep=lambda title: True, without=None, **parameters):
    """(path of a script, its statements) of the SQL cells of a notebook whose titles are kept. Statements that `without` says are left out."""
    path = os.path.join(ours.repository, "Examples", name)
    cells = cells_of(path)
    values = {"data": ours.data}
    for _, language, text in cells:
        if language == "parameters":
            values.update(re.findall(r"^-- (\w+) = (.*)$", text, re.MULTILINE))
    values.update(parameters)
    found = []
    for title, language, text in cells:
        if language == "sql" and keep(title):
            found += statements(re.sub(r"^-- %.*$", "", text, flags=re.MULTILINE))
    found = [re.sub(r"\$\{(\w+)\}", lambda m: values.get(m.group(1), m.group(0)), sql) for sql in found]
    found = [sql for sql in found if not re.match(r"(SHOW|DESCRIBE|DESC|EXPLAIN)\b", sql, re.IGNORECASE) and not (without and without(sql))]
    made = os.path.join(ours.directory, name)
    with open(made, "w", encoding="utf-8") as file:
        file.writelines(sql + ";\n" for sql in found)
    return made, found


def is_query(sql):
    return re.match(r"(SELECT|WITH|VALUES|\()", sql, re.IGNORECASE) is not None


def run_notebook(ours, name, *arguments):
    ours.run("notebook", "run", os.path.join(ours.repository, "Examples", name), "--quiet", "--data", ours.data, *arguments,
             environment={"PATH": os.path.dirname(ours.binary) + os.pathsep + os.environ["PATH"]})


def datagen_records(ours, name, table):
    """The rows that a table of made-up rows has here, where its seed makes them the same each time; physical columns alone."""
    _, found = notebook_script(ours, name)
    sql = next(s for s in found if re.match(rf"CREATE\s+(TEMPORARY\s+)?TABLE\s+{table}\b", s, re.IGNORECASE))
    return ours.query(sql + f";\nSELECT {', '.join(Table(sql).physical)} FROM {table};")


def sensors_sql(ours):
    path = ours.put("sensor_data", sensor_records(ours, 1500, seed=12))
    for stream in ("my-input-stream", "my-output-stream"):
        ours.run("stream", "create", stream)
    file, _ = notebook_script(ours, "sensors.sql", without=lambda sql: "FROM sensor_state" in sql)
    return Subject(file, {"sensor_data": path}, {}, queries=True, late=True)


def orders_sql(ours):
    run_notebook(ours, "orders.sql")
    path = ours.put("order_changes", ours.stream_records("order-data-stream"))
    # With its other end the INSERT is the job that is deployed.
    file, _ = notebook_script(ours, "orders.sql", without=lambda sql: is_query(sql) or "files_of_a_day" in sql, end="unbounded")
    return Subject(file, {"order_changes": path}, {"order_hudi_cow": ours.lake("tables/order_hudi_cow")},
                   remarks=["without queries over the Hudi table: only the table knows its newest rows"])


def insurance_sql(ours):
    run_notebook(ours, "insurance.sql")
    notebook_script(ours, "insurance.sql", without=lambda sql: is_query(sql) or "delta_insurance" in sql)
    folder = os.path.join(ours.data, "insurance")
    inputs = {"full_load": ours.put_without_header("full_load", os.path.join(folder, "fullload")), "cdc_load": os.path.join(ours.input, "cdc_load")}
    shutil.copytree(os.path.join(folder, "cdcload"), inputs["cdc_load"])
    file = ours.changed(os.path.join(ours.directory, "insurance.sql"), r", 'csv\.header' = 'true'", "")
    file = ours.changed(file, r"'dms\.file-format' = 'csv'", "'dms.file-format' = 'csv', 'dms.full-load.op-column' = 'true'")
    return Subject(file, inputs, {"insurance": ours.lake("tables/insurance")}, remarks=[
        "the first line is cut off its file: Flink's CSV has no header", "with dms.full-load.op-column: Flink's CSV finds columns by their places",
        "without delta_insurance: Flink's Delta connector updates no rows", "without queries over the lake tables: only the tables know their newest rows"])


def late_data_sql(ours):
    run_notebook(ours, "late-data.sql")
    path = os.path.join(ours.input, "site.json")
    shutil.copy(os.path.join(ours.data, "late", "values.json"), path)
    file, _ = notebook_script(ours, "late-data.sql", keep=lambda title: title != "Windows that wait")
    return Subject(file, {"site": path}, {}, queries=True, late=True, remarks=["without windows that wait: Flink's window functions fire once"])


def nexmark_sql(ours):
    ours.run("generate", "nexmark", "--events", "10000", "--seed", "1", "--rate", "500", "--output", os.path.join(ours.data, "nexmark.json"))
    path = os.path.join(ours.input, "nexmark.json")
    shutil.copy(os.path.join(ours.data, "nexmark.json"), path)
    file, _ = notebook_script(ours, "nexmark.sql", without=lambda sql: "LIMIT 200" in sql)
    return Subject(file, {"nexmark": path}, {}, queries=True, remarks=["without query 11: many bidders are as busy as the last of 200"])


def score_card_sql(ours):
    run_notebook(ours, "score-card.sql")
    path = ours.put("patients", datagen_records(ours, "score-card.sql", "patients"))
    file, _ = notebook_script(ours, "score-card.sql", without=lambda sql: is_query(sql) and "FROM patients" not in sql)
    return Subject(file, {"patients": path}, {name: ours.lake(f"tables/{name}") for name in ("good_records", "bad_records", "score_card")}, queries=True,
                   remarks=["without queries over the Hudi tables: only the tables know their newest rows"])


def logs_sql(ours):
    path = ours.put("access_log", datagen_records(ours, "logs.sql", "access_log"))
    file, _ = notebook_script(ours, "logs.sql", without=lambda sql: re.search(r"RANDOM_CUT_FOREST|minute_scores", sql) is not None)
    return Subject(file, {"access_log": path}, {}, queries=True, remarks=["without minute_scores: a random cut forest is no function of Flink's"])


# Compared by make test-flink; the two of `make test` are the first ones.
SUBJECTS = {
    "sensors.yaml": sensors_yaml, "orders.yaml": orders_yaml, "kafka-orders.yaml": kafka_orders_yaml, "quality.yaml": quality_yaml, "logs.yaml": logs_yaml,
    "sensors.sql": sensors_sql, "orders.sql": orders_sql, "insurance.sql": insurance_sql, "late-data.sql": late_data_sql, "nexmark.sql": nexmark_sql,
    "score-card.sql": score_card_sql, "logs.sql": logs_sql,
}
# These have none.
NO_BOUNDED_FORM = {
    "alerts.yaml": "alerts are watched and sent by this process; Flink has no connector for them",
    "delivery.yaml": "a delivery stream is no SQL: it writes the bytes of records to files by time and size",
    "devices.yaml": "devices post to a port of this process; a table's column is a part of the request's path",
    "insights.yaml": "devices post to a port of this process, and its views are answered by it",
    "device-insights.sql": "devices post to a port of this process, and its view is answered by it",
    "kafka-mirror.sql": "a mirror copies bytes, settings and group offsets between Kafka clusters",
    "schema-evolution.sql": "the lake table takes its columns from the records; a Flink table's columns are declared",
    "semistructured.sql": "its tables are of VARIANT, which Flink's formats do not read",
    "time-travel.sql": "it reads older versions of a lake table, which is what the table knows and no file",
    "replicate.yaml": "tables and their columns are found in the files as they come; in Flink both are declared",
    "mirror.yaml": "a mirror copies bytes, settings and group offsets between Kafka clusters",
}


# MARK: comparing

# The slots of the cluster: a job has a subtask of each operator in every one.
PARALLELISM, SLOTS = 4, 2


def workers_of(rest, jobs):
    """The TaskManagers that subtasks of jobs ran on."""
    def get(path):
        with urllib.request.urlopen(rest + path, timeout=30) as answer:
            return json.load(answer)

    return {w["endpoint"] for job in jobs for v in get(f"/jobs/{job['id']}")["vertices"] for w in get(f"/jobs/{job['id']}/vertices/{v['id']}/taskmanagers")["taskmanagers"]}


def changes_of(result):
    """(+1 or -1, record) of a query's result, as the runner has it."""
    names, types = [c[0] for c in result["columns"]], [c[1] for c in result["columns"]]
    return [(1 if kind[0] == "+" else -1, dict(zip(names, map(harness.text_value, values, types)))) for kind, values in result["changes"]], dict(zip(names, types))


ORDERINGS = ("precombine.field", "ordering.fields", "hoodie.datasource.write.precombine.field", "write.ordering-field")


def table_rows(changes, key, ordering, columns):
    """The rows that a table holds after changes, counted; `columns`: name -> type."""
    if key:
        return harness.rows_of(harness.newest(changes, key, ordering), columns)
    signed = [(sign, next(iter(harness.rows_of([row], columns)))) for sign, row in changes]
    return harness.counted(signed)


def export(ours, subject, version):
    """The script that is exported, and what the program says about it."""
    folder = os.path.join(ours.directory, "export")
    command = ["export", "--engine", "flink", subject.file, "-o", folder, "--flink-version", version, "--map", f"{ours.directory}={ours.directory}"]
    done = ours.run(*command, *(["--partial"] if subject.left_out else []), fails=True)
    if done.returncode != 0:
        return None, done.stderr + done.stdout
    found = [f for f in os.listdir(folder) if f.endswith(".sql")]
    if len(found) != 1:
        return None, f"the export holds {found}, not one script"
    with open(os.path.join(folder, found[0]), encoding="utf-8") as file:
        return file.read(), done.stderr


def compare(name, make, arguments, runner, directory):
    """(problems, number of rows, Subject)"""
    ours = Ours(arguments.binary, arguments.repository, directory)
    subject = make(ours)
    problems, rows = [], 0
    exported, said = export(ours, subject, harness.version(arguments.flink_home))
    if exported is None:
        return [f"the export refuses it: {said.strip()}"], 0, subject
    flinks = os.path.join(directory, "flink")
    script, declared = over_files(exported, subject.inputs, flinks, subject.parallelism)
    with open(os.path.join(directory, "over-files.sql"), "w", encoding="utf-8") as file:
        file.write(script)
    answer = runner.run(script)
    workers = workers_of(arguments.rest, answer["jobs"])
    if answer["ok"] and len(workers) < min(2, subject.parallelism):
        problems.append(f"the jobs ran on {workers or 'no TaskManager'}, where two are there")
    if not answer["ok"]:
        return [f"Flink refuses the exported script: {answer['category']}: {' | '.join(answer['messages'])}\n{answer['sql']}"], 0, subject

    if subject.queries:
        with open(subject.file, encoding="utf-8") as file:
            own = file.read()
        own_script, own_tables = over_files(own, subject.inputs, os.path.join(directory, "ours"))
        own_statements = statements(own_script)
        inserts = [s for s in own_statements if re.match(r"(INSERT|EXECUTE)", s, re.IGNORECASE)]
        if inserts and not subject.tables:
            ours.query(";\n".join(s for s in own_statements if not is_query(s)) + ";\n")
            subject.tables = {t: harness.debezium_changes(os.path.join(directory, "ours", t)) for t in own_tables}
        results = [r for r in answer.get("results", []) if r["table"] is None]
        queries = [i for i, s in enumerate(own_statements) if is_query(s)]
        if len(results) != len(queries):
            problems.append(f"{len(queries)} queries have {len(results)} results on Flink")
        for number, (at, result) in enumerate(zip(queries, results)):
            before = [s for s in own_statements[:at] if not is_query(s) and s not in inserts]
            changes, columns = changes_of(result)
            mine = harness.rows_of(ours.query(";\n".join(before + [own_statements[at]]) + ";\n"), columns)
            theirs = table_rows(changes, [], None, columns)
            rows += sum(mine.values())
            problem = harness.difference(mine, theirs) or ("" if mine else "there are no rows, which shows nothing")
            if problem:
                problems.append(f"query {number + 1}, {own_statements[at][:60]!r}: {problem}")
    for table, records in subject.tables.items():
        if table not in declared:
            problems.append(f"table {table}: the exported script does not write it")
            continue
        columns = declared[table].physical
        ordering = next((o for o in map(declared[table].options.get, ORDERINGS) if o), None)
        if records and isinstance(records[0], tuple):
            mine = table_rows(records, declared[table].key, ordering, columns)
        else:
            mine = harness.rows_of(records, columns)
        changes = harness.debezium_changes(os.path.join(flinks, table))
        if table in subject.blank:
            changes = [(sign, {k: "" if v is None else v for k, v in row.items()}) for sign, row in changes]
        theirs = table_rows(changes, declared[table].key, ordering, columns)
        rows += sum(mine.values())
        problem = harness.difference(mine, theirs) or ("" if mine else "there are no rows, which shows nothing")
        if problem:
            problems.append(f"table {table}: {problem}")
    if not arguments.without_command:
        problems += commands_own(ours, subject, arguments)
    return problems, rows, subject


def commands_own(ours, subject, arguments):
    """What `swiftwater compare` finds, when it is not that all is equal."""
    done = ours.run("compare", "--engine", "flink", subject.file, "--input", ours.input, "--rest", arguments.rest, "--flink-home", arguments.flink_home,
                    "--flink-version", harness.version(arguments.flink_home), "--output", "json", *(["--partial"] if subject.left_out else []), fails=True)
    if done.returncode != 0:
        return [f"swiftwater compare: status {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"]
    return []


def refused(name, arguments, directory):
    """What is wrong with a file that has no bounded form: the export must say so, too."""
    ours = Ours(arguments.binary, arguments.repository, directory)
    if name.endswith(".sql"):
        # Its tables and files are there, so that nothing is refused for their absence.
        run_notebook(ours, name)
    if name == "delivery.yaml":
        ours.run("stream", "create", "blog-srsa-ddb-table-data-stream")
    file = os.path.join(arguments.repository, "Examples" if name.endswith(".sql") else "Topologies", name)
    done = ours.run("export", "--engine", "flink", file, "--flink-version", harness.version(arguments.flink_home), "--map", f"{directory}={directory}", fails=True)
    return "" if done.returncode == 1 and "error: " in done.stderr else (
        f"{name} is exported without a refusal (status {done.returncode}), although {NO_BOUNDED_FORM[name]}: compare it, or let the export refuse what Flink does not take")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("flink_home")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rest", help="a cluster that runs already, with two TaskManagers of two slots each")
    parser.add_argument("--repository", default=harness.ROOT)
    parser.add_argument("--keep", metavar="DIR", help="leave inputs, scripts and results there")
    parser.add_argument("--without-command", action="store_true", help="leave `swiftwater compare` out")
    arguments = parser.parse_intermixed_args()
    arguments.binary, arguments.repository, arguments.flink_home = (os.path.abspath(p) for p in (arguments.binary, arguments.repository, arguments.flink_home))
    there = {f for folder in ("Topologies", "Examples") for f in os.listdir(os.path.join(arguments.repository, folder)) if f.endswith((".yaml", ".sql"))}
    began, failed, lines = time.monotonic(), [], []
    if not arguments.names:
        for file in sorted(there - SUBJECTS.keys() - NO_BOUNDED_FORM.keys()):
            failed.append(file)
            print(f"{file}: neither compared nor among those without a bounded form; add it to SUBJECTS or to NO_BOUNDED_FORM in {os.path.basename(__file__)}")
        for file in sorted((SUBJECTS.keys() | NO_BOUNDED_FORM.keys()) - there):
            failed.append(file)
            print(f"{file}: is there no more; take it out of {os.path.basename(__file__)}")
    names = arguments.names or list(SUBJECTS)
    with contextlib.ExitStack() as stack:
        directory = arguments.keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="compare-"))
        arguments.rest = arguments.rest or stack.enter_context(Cluster(arguments.flink_home, slots=SLOTS)).rest
        runner = stack.enter_context(harness.Runner(arguments.flink_home, arguments.rest))
        for name in names:
            if name not in SUBJECTS:
                print(f"{name}: {NO_BOUNDED_FORM.get(name, 'no such file')}")
                failed.append(name)
                continue
            started, place = time.monotonic(), os.path.join(os.path.abspath(directory), name)
            shutil.rmtree(place, ignore_errors=True)
            os.makedirs(place)
            try:
                problems, rows, subject = compare(name, SUBJECTS[name], arguments, runner, place)
            except (RuntimeError, ValueError, KeyError, OSError, subprocess.SubprocessError) as error:
                problems, rows, subject = [f"{type(error).__name__}: {error}"], 0, None
            if problems:
                failed.append(name)
                print(f"{name}:\n  " + "\n".join(problems).replace("\n", "\n  ") + "\n", flush=True)
            lines.append((name, rows, "no" if problems else "yes", f"{time.monotonic() - started:.1f}"))
            lines += [("", "", "", remark) for remark in ([f"without {part}" for part in subject.left_out] + subject.remarks if subject else [])]
        print(f"{'':24}{'rows':>8}  equal  seconds")
        for name, rows, equal, seconds in lines:
            print(f"{name:24}{rows:>8}  {equal:5}  {seconds}")
        if not arguments.names:
            print("\nNo bounded form:")
            for name, reason in sorted(NO_BOUNDED_FORM.items()):
                print(f"  {name:22}{reason}")
                place = os.path.join(os.path.abspath(directory), name)
                shutil.rmtree(place, ignore_errors=True)
                os.makedirs(place)
                try:
                    problem = refused(name, arguments, place)
                except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                    problem = f"{name}: {error}"
                if problem:
                    failed.append(name)
                    print(f"  {problem}", flush=True)
    print(json.dumps({"compared": len(names), "equal": len(names) - len([n for n in names if n in failed]), "seconds": round(time.monotonic() - began, 1)}))
    return 1 if failed else 0


if __name__ == "__main__":
    end_on_signals()
    try:
        sys.exit(main())
    except ClusterError as error:
        sys.exit(f"the cluster did not come up: {error}")
