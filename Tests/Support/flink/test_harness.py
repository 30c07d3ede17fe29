"""The parts of the comparisons with Flink that need no Flink: test_harness.py"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import compare_all  # noqa: E402
import harness  # noqa: E402
from flink_runner import setting, statements  # noqa: E402


class Scripts(unittest.TestCase):
    def test_semicolons_in_quotes_and_comments_separate_nothing(self):
        self.assertEqual(statements("SELECT ';' AS `a;b` -- c;\n FROM t /* ; */ WHERE x = 'it''s;';; SELECT /*+ OPTIONS('a;'='b') */ 2"),
                         ["SELECT ';' AS `a;b` \n FROM t   WHERE x = 'it''s;'", "SELECT /*+ OPTIONS('a;'='b') */ 2"])
        self.assertEqual(statements("-- only this;\n ;"), [])
        self.assertEqual(statements("SELECT 'open"), ["SELECT 'open"])

    def test_a_statement_set_is_one_statement(self):
        expected = "EXECUTE STATEMENT SET BEGIN\nINSERT INTO a SELECT CASE WHEN x THEN 1 END FROM t;\nINSERT INTO b SELECT 2;\nEND"
        self.assertEqual(statements("EXECUTE STATEMENT SET\nBEGIN INSERT INTO a SELECT CASE WHEN x THEN 1 END FROM t; INSERT INTO b SELECT 2; END; SELECT 1;"), [expected, "SELECT 1"])
        self.assertEqual(statements("BEGIN STATEMENT SET; INSERT INTO a SELECT CASE WHEN x THEN 1 END FROM t; INSERT INTO b SELECT 2; END;"), [expected])

    def test_settings(self):
        self.assertEqual(setting("SET 'a.b' = 'it''s'"), ("a.b", "it's"))
        self.assertEqual(setting("set a.b=c"), ("a.b", "c"))
        self.assertEqual(setting("RESET 'a'"), ("a", None))
        self.assertEqual(setting("RESET"), (None, None))
        self.assertIsNone(setting("SET"))
        self.assertIsNone(setting("SELECT 1"))

    def test_a_table_is_moved_to_files_and_nothing_else_changes(self):
        script = """CREATE TABLE `in` (a INT, d DECIMAL(3, 1), m STRING METADATA FROM 'x', t AS UPPER(CONCAT('(', m)), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND, ts TIMESTAMP(3))
            PARTITIONED BY (a) WITH ('connector' = 'kafka', 'topic' = 'it''s', 'value.format' = 'json', 'value.json.ignore-parse-errors' = 'true');
            CREATE TEMPORARY TABLE c.d.out (a INT NOT NULL, s ROW<x INT, y STRING>, CONSTRAINT k PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'hudi', 'precombine.field' = 's');
            INSERT INTO c.d.out SELECT a, s FROM `in`"""
        text, tables = compare_all.over_files(script, {"in": "/i/in.json"}, "/r")
        source, sink, insert = statements(text)
        self.assertIn("'connector' = 'filesystem',\n  'path' = '/i/in.json',\n  'format' = 'json',\n  'json.ignore-parse-errors' = 'true'\n)", source)
        self.assertIn("m STRING METADATA FROM 'x',\n  t AS UPPER(CONCAT('(', m)),", source)
        self.assertNotIn("kafka", source)
        self.assertEqual(sink, "CREATE TEMPORARY TABLE c.d.out (\n  a INT NOT NULL,\n  s ROW<x INT, y STRING>\n) WITH (\n  'connector' = 'filesystem',\n  'path' = '/r/out',\n  'format' = 'debezium-json'\n)")
        self.assertEqual(insert, "INSERT INTO c.d.out SELECT a, s FROM `in`")
        self.assertEqual((list(tables), tables["out"].key, tables["out"].physical), (["out"], ["a"], {"a": "INT NOT NULL", "s": "ROW<x INT, y STRING>"}))

    def test_every_topology_and_example_is_in_a_list(self):
        there = {f for folder in ("Topologies", "Examples") for f in os.listdir(os.path.join(harness.ROOT, folder)) if f.endswith((".yaml", ".sql"))}
        self.assertEqual(sorted(there), sorted([*compare_all.SUBJECTS, *compare_all.NO_BOUNDED_FORM]))


class Values(unittest.TestCase):
    def test_what_is_equal_compares_equal(self):
        for type, values in {
            "DECIMAL(10, 2)": [2, "2.00", 2.0], "DOUBLE": [0.1 + 0.2, 0.3, "0.3"], "DOUBLE NOT NULL": [1.5e20, "1.5E20"], "FLOAT": ["NaN", "nan"], "BIGINT": [5, "5"],
            "TIMESTAMP(3)": ["2024-01-02 03:04:05", "2024-01-02T03:04:05.000", "2024-01-02 03:04:05.000000"], "TIMESTAMP_LTZ(3)": ["2024-01-02 03:04:05.120Z", "2024-01-02 03:04:05.12Z"],
            "ROW<a INT, b DOUBLE>": [{"a": 1, "b": 2}, {"b": 2.0, "a": 1}],
        }.items():
            self.assertEqual(len({harness.json_value(v, type) for v in values}), 1, type)

    def test_what_differs_does_not(self):
        for type, a, b in [("DECIMAL(10, 2)", "2.01", "2"), ("DOUBLE", 1.000000001, 1), ("DOUBLE", "NaN", None), ("STRING", "", None), ("STRING", "a", "A"),
                           ("TIMESTAMP(3)", "2024-01-02 03:04:05.001", "2024-01-02 03:04:05"), ("ARRAY<INT>", [1, 2], [2, 1]), ("BOOLEAN", True, False)]:
            self.assertNotEqual(harness.json_value(a, type), harness.json_value(b, type), type)

    def test_maps_have_no_order_and_other_texts_do(self):
        self.assertEqual(harness.text_value("{b=[2, 1], a=1}", "MAP<STRING, STRING>"), harness.expected_value("{a=1, b=[2, 1]}", True))
        self.assertEqual(harness.expected_value('{"b":1, "a":2}'), '{"b":1, "a":2}')


class Changelogs(unittest.TestCase):
    def test_changes_in_files_add_up_whatever_the_order_of_files(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, lines in {"part-x-1-0": [(None, {"a": 1}), (None, {"a": 2})], "part-x-0-0": [({"a": 1}, None), (None, {"a": 3})], ".part-x-0-1.inprogress": [(None, {"a": 9})]}.items():
                with open(os.path.join(folder, name), "w") as file:
                    file.writelines(json.dumps({"before": b, "after": a, "op": "c"}) + "\n" for b, a in lines)
            signed = [(sign, tuple(row.items())) for sign, row in harness.debezium_changes(folder)]
        self.assertEqual(dict(harness.counted(signed)), {(("a", 2),): 1, (("a", 3),): 1})
        self.assertEqual(harness.debezium_changes(os.path.join(folder, "nothing")), [])

    def test_files_are_read_in_the_order_of_their_times(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, value, time in (("part-f-0-0", "old", 1_000_000_000), ("part-a-0-0", "new", 2_000_000_000)):
                path = os.path.join(folder, name)
                with open(path, "w") as file:
                    file.write(json.dumps({"before": None, "after": {"k": 1, "x": value}, "op": "c"}) + "\n")
                os.utime(path, ns=(time, time))
            self.assertEqual(harness.newest(harness.debezium_changes(folder), ["k"]), [{"k": 1, "x": "new"}])

    def test_a_row_that_is_taken_back_too_often_is_seen(self):
        self.assertEqual(dict(harness.counted([(1, "a"), (-1, "a"), (-1, "b")])), {"b": -1})

    def test_a_table_with_a_key_holds_the_newest_row(self):
        changes = [(1, {"k": 1, "v": 5, "x": "a"}), (1, {"k": 1, "v": 7, "x": "b"}), (1, {"k": 1, "v": 6, "x": "c"}), (1, {"k": 2, "v": 1, "x": "d"}), (-1, {"k": 2, "v": 1, "x": "d"})]
        self.assertEqual(harness.newest(changes, ["k"], "v"), [{"k": 1, "v": 7, "x": "b"}])
        self.assertEqual(harness.newest(changes, ["k"]), [{"k": 1, "v": 6, "x": "c"}])


class Runner(unittest.TestCase):
    def test_no_flink_is_said_and_not_crashed_about(self):
        done = subprocess.run([sys.executable, harness.RUNNER, "--flink-home", "/nowhere", "x.sql"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("/nowhere holds no Flink", json.loads(done.stdout)["message"])

    def test_a_runner_that_does_not_answer_is_ended_with_what_it_started(self):
        with tempfile.TemporaryDirectory() as folder:
            program, told = os.path.join(folder, "silent.py"), os.path.join(folder, "child")
            with open(program, "w") as file:
                file.write("import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\nsys.stdin.readline()\n"
                           f"with open({told!r}, 'w') as file:\n    file.write(str(child.pid))\nchild.wait()\n")
            began = time.monotonic()
            with harness.Runner("/nowhere", "http://127.0.0.1:1", timeout=1, grace=2, program=program) as runner:
                with self.assertRaisesRegex(RuntimeError, "has not answered within 3 s"):
                    runner.run("SELECT 1")
                self.assertEqual(runner.process.returncode, -signal.SIGKILL)
            self.assertLess(time.monotonic() - began, 60)
            with open(told) as file:
                child = int(file.read())
            self.assertTrue(ends(child), f"process {child} goes on")

    def test_a_runner_that_ends_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "ends.py")
            with open(program, "w") as file:
                file.write("import sys\nsys.stdin.readline()\nsys.exit(3)\n")
            with harness.Runner("/nowhere", "http://127.0.0.1:1", program=program) as runner, self.assertRaisesRegex(RuntimeError, "ended with status 3"):
                runner.run("SELECT 1")


def ends(process):
    """Whether a process is gone, or only waits to be collected, within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
            with open(f"/proc/{process}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (ProcessLookupError, FileNotFoundError):
            if not os.path.isdir("/proc/self") or not os.path.isdir(f"/proc/{process}"):
                return True
        time.sleep(0.05)
    return False


class Clusters(unittest.TestCase):
    def test_what_was_started_ends_with_a_start_that_is_interrupted(self):
        for error in (KeyboardInterrupt, SystemExit, OSError):
            with tempfile.TemporaryDirectory() as home:
                os.mkdir(os.path.join(home, "lib"))
                open(os.path.join(home, "lib", "flink-dist-2.3.0.jar"), "w").close()
                begun = Interrupted(home, error)
                with self.assertRaises(error):
                    with begun:
                        self.fail("the cluster came up")
                self.assertIsNotNone(begun.child.returncode, error)
                self.assertFalse(os.path.exists(begun.directory), error)


class Interrupted(cluster.Cluster):
    """A cluster whose start is interrupted after its first process."""

    def __init__(self, home, error):
        super().__init__(home)
        self.error = error

    def launch(self, name, main, options):
        self.child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        self.processes.append((name, self.child))

    def overview(self):
        raise self.error()


if __name__ == "__main__":
    unittest.main()
