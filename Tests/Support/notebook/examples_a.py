"""Runs an example notebook, and checks what it shows and what lies on the disk with other readers (hudi-rs, delta-rs, DuckDB).

    examples_a.py BINARY NAME DIRECTORY        NAME: sensors, orders, insurance, schema-evolution, late-data, semistructured
"""
import datetime, json, math, os, subprocess, sys

import duckdb
from deltalake import DeltaTable
from hudi import HudiTable

binary, name, directory = sys.argv[1:4]
binary = os.path.abspath(binary)
examples = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "Examples")
data = os.path.join(directory, "data")
META = ["_hoodie_commit_time", "_hoodie_commit_seqno", "_hoodie_record_key", "_hoodie_partition_path", "_hoodie_file_name"]


class Run:
    """What a notebook's cells gave, by their titles."""

    def __init__(self, notebook, *options):
        output = os.path.join(directory, "run.json")
        done = subprocess.run([binary, "notebook", "run", notebook, "--quiet", "--data", data, "--output", "json=" + output, *options],
                              capture_output=True, text=True, timeout=120, cwd=directory)
        assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
        self.cells = {c["title"]: c for c in json.load(open(output))["cells"] if "title" in c}

    def tables(self, title):
        return [o for o in self.cells[title]["outputs"] if o["type"] == "table"]

    def rows(self, title, number=0):
        return self.tables(title)[number]["rows"]

    def text(self, title):
        return "".join(o["text"] for o in self.cells[title]["outputs"] if o["type"] in ("text", "message"))


def same(actual, expected):
    assert actual == expected, f"{actual}\nand not\n{expected}"


def example(name):
    return os.path.join(examples, name + ".sql")


def live_files(table):
    path = os.path.join(data, "tables", table)
    return [os.path.join(path, s.base_file_relative_path()) for s in HudiTable(path).get_file_slices()]


def hudi(table, query):
    """Rows of a query by DuckDB over the files that hudi-rs lists as live."""
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW t AS SELECT * FROM read_parquet({live_files(table)!r}, union_by_name = true, hive_partitioning = false)")
    return [list(row) for row in connection.sql(query).fetchall()]


def delta(table, query):
    connection = duckdb.connect()
    connection.register("t", DeltaTable(os.path.join(data, "tables", table)).to_pyarrow_table())
    return [list(row) for row in connection.sql(query).fetchall()]


# --- sensors


def milliseconds(text):
    return round(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc).timestamp() * 1000)


def windows(readings):
    """Count and average by last millisecond of the window and status, computed by hand."""
    out = {}
    for at, status, temperature in readings:
        end = (at // 10_000 + 1) * 10_000
        for k in range(6):
            out.setdefault((end + k * 10_000 - 1, status), []).append(temperature)
    return {key: (len(v), math.fsum(v) / len(v)) for key, v in out.items()}


def check_windows(rows, expected):
    """Each row is as it was computed, and of every window but the last all rows are there."""
    found = {}
    for status, num, average, hop_time in rows:
        key = (milliseconds(hop_time), status)
        assert key not in found, f"{key} twice"
        found[key] = num
        assert num == expected[key][0] and math.isclose(average, expected[key][1], rel_tol=1e-9), (key, num, average, expected[key])
    first, last = min(k[0] for k in found), max(k[0] for k in found)
    missing = [k for k in expected if first <= k[0] < last and k not in found]
    assert not missing, missing


def check_generated(rows, made):
    """Windows of a query that began somewhere in the stream: its first window tells where, because readings are 100 ms apart."""
    assert len(rows) == 18, rows
    first = min(milliseconds(r[3]) for r in rows)
    count = sum(r[1] for r in rows if milliseconds(r[3]) == first)
    begin = first + 1 - count * 100
    check_windows(rows, windows([r for r in made if r[0] >= begin]))


def sensors():
    run = Run(example("sensors"))
    same(run.rows("It is in the catalog"), [["sensor_data"]])
    made = subprocess.run([binary, "generate", "sensors", "--count", "30000", "--step", "100ms"], capture_output=True, text=True, check=True).stdout
    made = [(milliseconds(r["event_time"]), r["status"], r["current_temperature"]) for r in map(json.loads, made.splitlines())]
    known = set(made)

    readings = run.tables("Readings as they come")[0]
    assert readings["total"] >= 600, readings["total"]
    assert all((milliseconds(at), status, temperature) in known for _, temperature, status, at in readings["rows"])
    same({r[2] for r in readings["rows"]}, {"OK", "WARNING", "ERROR"})
    chart = readings["chart"]
    same((chart["kind"], chart["x"], chart["y"], chart["aggregate"]), ("bar", "status", ["current_temperature"], "avg"))

    averages = run.tables("Averages of a sliding minute")[0]
    same([c["name"] for c in averages["columns"]], ["status", "num", "avg_current_temperature", "hop_time"])
    same((averages["chart"]["kind"], averages["chart"]["y"]), ("bar", ["avg_current_temperature"]))
    check_generated(averages["rows"], made)
    arrived = run.rows("What has arrived")
    check_generated(arrived, made)
    sent = subprocess.run([binary, "stream", "get", "my-output-stream", "--data", data], capture_output=True, text=True, check=True).stdout
    sent = [json.loads(line) for line in sent.splitlines()]
    assert len(sent) >= 18 and set(sent[0]) == {"status", "num", "avg_current_temperature", "hop_time"}, sent[:3]
    assert {(r["status"], r["num"]) for r in sent} >= {(r[0], r[1]) for r in arrived}
    printed_sensors()


def printed_sensors():
    """The same statements over the four readings that the post prints, and one that moves the watermark: 18 rows."""
    global data
    data = os.path.join(directory, "printed")
    seeds = os.path.join(examples, "..", "Tests", "Support", "seeds", "sensors-printed.json")
    printed = [json.loads(line) for line in open(seeds)]
    lines = printed + [{"sensor_id": 1, "current_temperature": 50.0, "status": "OK", "event_time": "2021-05-19T11:22:01.000000"}]
    put = "swiftwater stream put my-input-stream <<'END'\n" + "\n".join(map(json.dumps, lines)) + "\nEND"
    script = open(example("sensors")).read()
    for old, new in [
        ("-- # @background\n-- swiftwater generate sensors --rate 500 --step 100ms --stream my-input-stream", "\n".join("-- " + line for line in put.splitlines())),
        ("-- @rows 600", "-- @rows 5"), ("'LATEST'", "'TRIM_HORIZON'"),
    ]:
        assert old in script, old
        script = script.replace(old, new)
    notebook = os.path.join(directory, "printed.sql")
    open(notebook, "w").write(script)
    run = Run(notebook)
    readings = run.rows("Readings as they come")
    same([[r[0], r[1], r[2]] for r in readings], [[r["sensor_id"], r["current_temperature"], r["status"]] for r in lines])
    expected = windows([(milliseconds(r["event_time"]), r["status"], r["current_temperature"]) for r in printed])
    same(len(expected), 18)
    same({(s, n, round(a, 2)) for (_, s), (n, a) in expected.items()}, {("OK", 2, 111.76), ("WARNING", 1, 140.93), ("ERROR", 1, 168.32)})
    for title in ("Averages of a sliding minute", "What has arrived"):
        rows = run.rows(title)
        check_windows(rows, expected)
        same({(milliseconds(r[3]), r[0]) for r in rows}, set(expected))
        same(min(r[3] for r in rows), "2021-05-19 11:20:09.999")


# --- lake tables


def orders():
    for again in (False, True):
        run = Run(example("orders"))
        same(run.rows("How many there are"), [[1000]])
        same(run.rows("Still as many"), [[1000]])
        before, after = run.rows("One of them, before"), run.rows("The same order, after")
        assert len(before) == len(after) == 1 and before[0][:2] == after[0][:2] == ["3801", "23"], (before, after)
        if not again:
            assert before[0][2] != after[0][2] and before[0][3] != after[0][3] and before[0][4] < after[0][4], (before, after)
            versions = run.rows("Both versions, in the files")
            same([v[5] for v in versions], [before[0][2], after[0][2]])
            assert all(all(v[:5]) for v in versions), versions
            first = before
        days = sorted(d for d in os.listdir(data + "/tables/order_hudi_cow") if not d.startswith("."))
        same([r[0] for r in run.rows("By day")], days)
        same(sum(r[1] for r in run.rows("By day")), 1000)
        same(run.text("The folders and the commits").splitlines()[:len(days)], [d + "/" for d in days])

        same(hudi("order_hudi_cow", "SELECT COUNT(*), COUNT(DISTINCT (order_id, item_id)) FROM t"), [[1000, 1000]])
        same(hudi("order_hudi_cow", "SELECT product, CAST(amount AS VARCHAR) FROM t WHERE order_id = '3801' AND item_id = '23' AND transaction_date = '2020-09-02'"),
             [[after[0][2], str(after[0][3])]])
        for column in META:
            same(hudi("order_hudi_cow", f"SELECT COUNT(*) FROM t WHERE {column} IS NULL OR {column} = ''"), [[0]])
        assert all(os.path.basename(os.path.dirname(f)) in days for f in live_files("order_hudi_cow"))
    assert first != before, "the second run began with the changes"


def insurance():
    check = "SELECT policy_id, expiry_date, insured_value, flood_coverage, region_name FROM t WHERE policy_id IN (100462, 100463, 100475, 110001, 110002) ORDER BY policy_id"
    day = datetime.date
    final = [[100462, day(2024, 12, 31), 3400000, "Y", "East"], [100463, day(2023, 3, 27), 1000000, "Y", "East"], [100475, day(2023, 3, 31), 1451662, "Y", "Midwest"],
             [110001, day(2024, 3, 31), 210000, "N", "WEST"], [110002, day(2024, 3, 31), 975000, "Y", "East"]]
    states = {"NY": 15, "WI": 3, "NJ": 3, "IL": 1, "VT": 1, "NH": 1, "MI": 1, "CA": 1, "FL": 1}
    for again in (False, True):
        run = Run(example("insurance"))
        if not again:
            same(run.rows("Before"), [[25, 131372604]])
            same([[r[0], r[1], r[5], r[8]] for r in run.rows("Three of five")],
                 [[100462, "2023-03-25", 3400000, "Y"], [100463, "2023-03-27", 15480000, "Y"], [100475, "2023-03-31", 1451662, "N"]])
        same(run.rows("After"), [[27, 118077604]])
        same([[r[0], r[1], r[5], r[8], r[4]] for r in run.rows("Five of five")], [[r[0], r[1].isoformat(), *r[2:]] for r in final])
        same(run.rows("What differs between the two tables: nothing"), [])
        same({r[0]: r[1] for r in run.rows("Insured value by state")}, states)
        for read, table in ((hudi, "insurance"), (delta, "delta_insurance")):
            same(read(table, check), final)
            same(read(table, "SELECT COUNT(*), COUNT(DISTINCT policy_id), SUM(insured_value), COUNT(*) FILTER (flood_coverage = 'Y') FROM t"), [[27, 27, 118077604, 13]])
            same(dict(read(table, "SELECT state_code, COUNT(*) FROM t GROUP BY 1")), states)


def schema_evolution():
    for _ in range(2):
        run = Run(example("schema-evolution"))
        final = [[1, "obj1", None, "Object-1", "", "", None], [2, "obj2", 22, "test-2", "", "", None], [3, "obj3", 33, "test-3", "", None, "new-3"], [4, "obj4", 44, "test-4", "", None, None]]
        same(run.rows("The four rows"), final)
        history = run.text("How the columns came to be")
        assert history.index("test_column") < history.index("new_field_2"), history
        same(hudi("object", "SELECT object_id, object_name, test_column, object_description, new_column_add, new_field_1, new_field_2 FROM t ORDER BY 1"), final)
        columns = [c[0] for c in duckdb.connect().execute(f"SELECT * FROM read_parquet({live_files('object')!r}, hive_partitioning = false)").description]
        same(sorted(c for c in columns if c not in META), sorted(c["name"] for c in run.tables("The four rows")[0]["columns"]))


# --- queries alone


def late_data():
    run = Run(example("late-data"))
    at = "2021-03-22 02:48:%s"
    late = [at % s for s in ("06.425", "07.425", "05.425", "08.425")]
    values = run.rows("What the watermark was when each value came")
    same(len(values), 10)
    same([r[0] for r in values if r[3] is True or r[3] == "TRUE"], late)
    # The watermark before a row is the greatest time so far, less five seconds.
    greatest = None
    for event_time, _, watermark, _ in values:
        same(watermark and milliseconds(watermark), greatest and greatest - 5000)
        greatest = max(greatest or 0, milliseconds(event_time))
    same(run.rows("Windows of five seconds"), [[at % "05.000", at % "10.000", 5], [at % "10.000", at % "15.000", 5]])
    same([[r[0], r[2]] for r in run.rows("Windows of one second")], [[at % "09.000", 1], [at % "10.000", 2], [at % "12.000", 1], [at % "13.000", 1], [at % "14.000", 1]])
    same([r[0] for r in run.rows("The four late values")], late)
    same(run.text("The count of late rows"), '"late_rows":4\n')
    same({r[0]: r[2] for r in run.rows("Windows that wait")}, {at % f"{s:02}.000": 2 if s == 10 else 1 for s in (5, 6, 7, 8, 9, 10, 12, 13, 14)})


def semistructured():
    for _ in range(2):
        run = Run(example("semistructured"))
        same(run.rows("By index and name"), [[0, '"json"', None], [1001, '"json"', '"PropertyValueUpdate"']])
        messages = '[{"format":"json"},{"topic":"sample topic"},[1,2,3]]'
        same(run.rows("A row for each message"), [[0, "topicFiltervalue", 0, messages, '{"topic":"sample topic"}']])
        same(run.rows("A row for each message", 1), [['{"topic":"sample topic"}', 1]])
        same([[a, str(e)] for a, e in run.rows("A row for each element of the inner array")], [["[1,2,3]", "1"], ["[1,2,3]", "2"], ["[1,2,3]", "3"]])
        mixed = {str(r[0]): r[1:] for r in run.rows("Mixed types")}
        same(mixed, {"7": [True, False, 7], '"abc"': [False, True, None], '"7"': [False, False, None], "[7]": [False, False, None], '{"n":7}': [False, False, None]})
        same(run.rows("Functions over JSON text"), [[0, None, False], [1001, "PropertyValueUpdate", True]])
        measured = run.rows("The measured values")
        same((measured[0][0], measured[-1][0], len(measured)), ("2021-03-22 02:48:05.425", "2021-03-22 02:48:14.425", 10))
        same(dict(run.rows("Their quality")), {"GOOD": 8, "FAIR": 2})
        same(run.rows("The asset's name"), [[1001, 0, "IAH10 Line 1", '"0aaf2aa2-0299-442a-b2ea-ecf3d62f2a2c"', "stop", '"3ff67d41-bf69-4d57-b461-6f1513e127a4"']])
        same(sorted(str(r[0]) for r in run.rows("The whole record in one column")), ["0", "1001"])


os.makedirs(directory, exist_ok=True)
globals()[name.replace("-", "_")]()
print(json.dumps({"example": name, "state": "right"}))
