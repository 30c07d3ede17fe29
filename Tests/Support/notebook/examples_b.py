"""Runs an example notebook, and checks what it shows: by computing it again, and with other readers (hudi-rs, DuckDB) of what it left on the disk.

    examples_b.py BINARY NAME DIRECTORY        NAME: logs, kafka-mirror, device-insights, score-card, time-travel, nexmark
"""
import datetime
import json
import os
import shutil
import subprocess
import sys

import duckdb
import pyarrow as pa
from hudi import HudiReadOptions, HudiTable

binary, name, directory = os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
examples = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "Examples")
data = os.path.join(directory, "data")


class Run:
    """What a notebook's cells gave, by their titles."""

    def __init__(self, *options):
        output = os.path.join(directory, "run.json")
        done = subprocess.run([binary, "notebook", "run", os.path.join(examples, name + ".sql"), "--quiet", "--data", data, "--output", "json=" + output, *options],
                              capture_output=True, text=True, timeout=120, cwd=directory)
        assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
        self.result = json.load(open(output))
        self.cells = {c["title"]: c for c in self.result["cells"] if "title" in c}

    def table(self, title):
        return [o for o in self.cells[title]["outputs"] if o["type"] == "table"][-1]

    def rows(self, title):
        return self.table(title)["rows"]

    def records(self, title):
        names = [c["name"] for c in self.table(title)["columns"]]
        return [dict(zip(names, row)) for row in self.rows(title)]

    def text(self, title):
        return "".join(o["text"] for o in self.cells[title]["outputs"] if o["type"] == "text")

    def chart(self, title, kind, x, y, group=None):
        chart = self.table(title)["chart"]
        same((chart["kind"], chart["x"], chart["y"], chart["group"]), (kind, x, y, group))


def same(actual, expected):
    assert actual == expected, f"{actual}\nand not\n{expected}"


def hudi(table, as_of=None):
    """The rows that hudi-rs reads, now or as of an instant."""
    options = HudiReadOptions()
    if as_of:
        options = options.with_as_of_timestamp(as_of)
    return pa.Table.from_batches(HudiTable(os.path.join(data, "tables", table)).read(options))


def encoded(status):
    return [int(100 * k <= status <= 100 * k + 99) for k in range(1, 6)]


def logs():
    for _ in range(2):
        run = Run()
        statuses = run.rows("Twelve status codes, and four at the upper edges")
        printed = [100, 101, 200, 202, 301, 304, 400, 401, 404, 500, 502, 503]
        same(sorted(r[0] for r in statuses), sorted(printed + [299, 399, 499, 599]))
        for status, *flags in statuses:
            same(flags, encoded(status))
        methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
        same([r[0] for r in run.rows("Three methods, one column each")], ["GET", "POST", "OPTIONS"])
        for method, *flags in run.rows("Three methods, one column each"):
            same(flags, [int(m == method) for m in methods])
        same(run.rows("Six levels in their order"), [[level, i + 1] for i, level in enumerate(["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"])])
        run.chart("The hour around the burst", "line", "window_start", ["errors", "deletes"])
        same(len(run.rows("The hour around the burst")), 60)
        same([r[0] for r in run.rows("What was flagged")], ["2021-03-22 12:30:00.000"])

        minutes = hudi("minute_scores").sort_by("window_start").to_pylist()
        begin = datetime.datetime(2021, 3, 22, 10)
        same([m["window_start"].replace(tzinfo=None) for m in minutes], [begin + datetime.timedelta(minutes=i) for i in range(180)])
        same([m["detector_state"] for m in minutes], ["initializing"] * 60 + ["running"] * 120)
        same([i for i, m in enumerate(minutes) if m["is_anomaly"]], [150])
        same([m["anomaly_grade"] is None for m in minutes], [True] * 60 + [False] * 120)
        # Every third of 120 requests fails, and one in ten is left out.
        assert minutes[150]["errors"] >= 25 and max(m["errors"] for i, m in enumerate(minutes) if i != 150) < 10
        same([[m["window_start"].strftime("%Y-%m-%d %H:%M:%S.000"), m["errors"], m["deletes"]] for m in minutes[120:]], run.rows("The hour around the burst"))


def lag(text):
    """Committed, end and lag of each partition, from a table of `kafka lag`."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| billing")]
    return {int(r[2]): tuple(int(n.replace(",", "")) for n in r[3:6]) for r in rows}


def kafka_mirror():
    for _ in range(2):
        run = Run()
        behind, ahead = run.text("The group at both clusters").split("dc2\n")
        here, there = lag(behind), lag(ahead)
        assert set(here) == set(there) == {0, 1}, (here, there)
        same((sum(c for c, _, _ in here.values()), sum(e for _, e, _ in here.values())), (60, 100))
        # Nine records of the rehearsal stand in front of the second cluster's.
        same(sum(there[p][0] - here[p][0] for p in here), 9)
        for partition, (committed, end, rest) in here.items():
            before = there[partition][0] - committed
            same(there[partition], (committed + before, end + before, rest))
            assert before > 0
        for order, partition, offset, other in run.rows("The same orders at other offsets"):
            same(other - offset, there[partition][0] - here[partition][0])
        assert all(rest == 0 for _, _, rest in lag(run.text("The first cluster is gone, and billing moves")).values())
        same(run.rows("Every order once"), [["dc1", 60, 60, 1, 60], ["dc2", 40, 40, 61, 100]])
        run.chart("Every order once", "bar", "cluster", ["orders"])
        billed = duckdb.sql(f"SELECT order_id, amount, cluster FROM read_json_auto('{data}/billed/*') ORDER BY order_id").fetchall()
        same(billed, [(n, 10 * n, "dc1" if n <= 60 else "dc2") for n in range(1, 101)])
        for cluster in ("dc1", "dc2"):
            assert not os.path.exists(f"{data}/{cluster}"), f"{cluster} has not ended cleanly"


def device_insights():
    for _ in range(2):
        run = Run()
        now = run.records("The devices now")
        same([[r["device"], r["num_lines"], r["errors"], r["last_error"], r["last_error_at"]] for r in now],
             [["router-1", 2, 1, "WAN link down", "2024-05-04 19:58:47.100"], ["router-2", 1, 0, None, None],
              ["router-3", 2, 2, "radio overheated", "2024-05-04 19:59:02.000"]])
        run.chart("The devices now", "bar", "device", ["errors"])
        taken = run.rows("How long it takes")
        same([r[0] for r in taken], list(range(1, 21)))
        assert all(0 < r[1] < 5000 for r in taken), taken
        same(run.rows("One device"), [["router-2", 21, 20, "DHCP lease lost #20", "2024-05-04 19:59:20.000"]])


def score_card():
    for _ in range(2):
        run = Run()
        good, bad, card = (hudi(table).to_pylist() for table in ("good_records", "bad_records", "score_card"))
        same(sorted(r["id"] for r in good + bad), [f"patient-{n:03}" for n in range(1, 601)])

        def broken(r):
            year = r["birthdate"][:5]
            has_year = year[:2] in ("18", "19", "20") and year[2:4].isdigit() and year[4:] == "-"
            return ([] if has_year else ["birth year"]) + ([] if r["drivers"] else ["licence"])

        assert not any(broken(r) for r in good)
        for r in bad:
            same([part for part in r["broken"].split(", ") if part != "never seen"], broken(r))
            assert r["broken"], r
        expected = {rule: sum(rule in r["broken"].split(", ") for r in bad) for rule in ("birth year", "licence", "never seen")}
        expected["any"] = len(bad)
        assert all(n > 10 for n in expected.values()), expected
        same({r["rule"]: (r["records"], r["broken"], r["broken_percent"]) for r in card}, {rule: (600, n, round(100 * n / 600, 2)) for rule, n in expected.items()})
        shown = run.rows("The score card")
        same({r[0]: r[2] for r in shown}, expected)
        same([r[3] for r in shown], sorted((r[3] for r in shown), reverse=True))
        run.chart("The score card", "bar", "rule", ["broken_percent"])
        same(dict(run.rows("Good and bad are all")), {"good": len(good), "bad": len(bad)})
        run.chart("Good and bad are all", "pie", "kind", ["records"])


def time_travel():
    first = [["o1", "lamp", 10], ["o2", "chair", 20], ["o3", "desk", 30], ["o4", "shelf", 40]]
    last = [["o1", "lamp", 10], ["o2", "chair", 25], ["o3", "standing desk", 35], ["o5", "clock", 50]]
    run = Run()
    instant = run.text("The instant of the first commit").strip()

    def read(as_of=None):
        return sorted([r["order_id"], r["product"], r["amount"]] for r in hudi("orders_history", as_of).to_pylist())

    same((read(instant), read()), (first, last))
    same(run.rows("As it was"), first)
    same(run.rows("The same by an option"), [[4, 100]])
    same(run.rows("Only what was written since"), last[1:])
    same(run.rows("The difference"), [["o1", "lamp", 10, 10, "same"], ["o2", "chair", 20, 25, "changed"], ["o3", "standing desk", 30, 35, "changed"],
                                      ["o4", "shelf", 40, None, "deleted"], ["o5", "clock", None, 50, "new"]])
    run.chart("Then and now", "bar", "product", ["amount_before", "amount"])
    same(sorted(run.rows("Each version that was written, as it came")), sorted(first + last[1:]))
    same(run.rows("The changes applied"), [[4, 120]])
    again = Run()
    same(read(), last)
    same(again.rows("The changes applied"), [[4, 120]])


def nexmark():
    for options in ((), ("-p", "events=20000", "-p", "seed=7")):
        run = Run(*options)
        db = duckdb.connect()
        db.execute(f"CREATE TABLE e AS SELECT * FROM read_json('{data}/nexmark.json', format = 'newline_delimited', sample_size = -1)")
        db.execute("""CREATE VIEW person AS SELECT person.* FROM e WHERE event_type = 0; CREATE VIEW auction AS SELECT auction.* FROM e WHERE event_type = 1;
                      CREATE VIEW bid AS SELECT bid.* FROM e WHERE event_type = 2""")

        def rows(query):
            return [list(row) for row in db.sql(query).fetchall()]

        same(dict(run.rows("One stream of three kinds")), {kind: rows(f"SELECT COUNT(*) FROM {kind}")[0][0] for kind in ("person", "auction", "bid")})
        text = "strftime(%s, '%%Y-%%m-%%d %%H:%%M:%%S.%%g')"
        shown = run.rows("Bids in time")
        same(sorted(shown), sorted(rows(f"""SELECT {text % "time_bucket(INTERVAL 5 SECOND, CAST(dateTime AS TIMESTAMP))"}, CASE WHEN channel LIKE 'channel-%' THEN 'others' ELSE channel END, COUNT(*)
                                            FROM bid GROUP BY 1, 2""")))
        run.chart("Bids in time", "area", "second", ["bids"], "channel")
        for auction, bidder, price, euros, _ in run.rows("Query 1: currency"):
            same(round(price * 0.908, 3), float(euros))
        same(run.rows("Query 3: who is selling in particular states"),
             rows("""SELECT P.name, P.city, P.state, A.id FROM auction A JOIN person P ON A.seller = P.id
                     WHERE A.category = 10 AND P.state IN ('OR', 'ID', 'CA') ORDER BY A.id LIMIT 10"""))
        same(run.rows("Query 4: the closing price of a category"),
             rows("""SELECT category, CAST(floor(AVG(final)) AS BIGINT) FROM (SELECT MAX(B.price) AS final, A.category FROM auction A JOIN bid B ON A.id = B.auction
                     WHERE B.dateTime BETWEEN A.dateTime AND A.expires GROUP BY A.id, A.category) GROUP BY 1 ORDER BY 1"""))
        same(sorted(run.rows("Query 5: hot items")),
             rows(f"""SELECT {text % "e"}, auction, num FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY e ORDER BY num DESC, auction) AS place
                      FROM (SELECT time_bucket(INTERVAL 2 SECOND, CAST(dateTime AS TIMESTAMP)) + to_seconds(2 * k) AS e, auction, COUNT(*) AS num
                            FROM bid CROSS JOIN (SELECT UNNEST([1, 2, 3, 4, 5]) AS k) GROUP BY 1, 2)) WHERE place = 1 ORDER BY 1"""))
        run.chart("Query 5: hot items", "scatter", "window_end", ["num"])
        same([r[:3] for r in run.rows("Query 7: the highest bid of each ten seconds")],
             rows("""SELECT auction, price, bidder FROM (SELECT *, RANK() OVER (PARTITION BY time_bucket(INTERVAL 10 SECOND, CAST(dateTime AS TIMESTAMP)) ORDER BY price DESC) AS place
                     FROM bid) WHERE place = 1 ORDER BY dateTime"""))
        sessions = rows("""SELECT bidder, COUNT(*), CAST(date_diff('second', date_trunc('second', MIN(t)), date_trunc('second', MIN(t) + (MAX(t) - MIN(t)) + INTERVAL 10 SECOND)) AS BIGINT)
                           FROM (SELECT *, SUM(CASE WHEN gap IS NULL OR gap >= INTERVAL 10 SECOND THEN 1 ELSE 0 END) OVER (PARTITION BY bidder ORDER BY t, price) AS s
                                 FROM (SELECT bidder, price, CAST(dateTime AS TIMESTAMP) AS t, CAST(dateTime AS TIMESTAMP) - LAG(CAST(dateTime AS TIMESTAMP)) OVER (PARTITION BY bidder ORDER BY dateTime, price) AS gap FROM bid))
                           GROUP BY bidder, s""")
        shown = run.rows("Query 11: how busy bidders are")
        same([r[1] for r in shown], sorted((r[1] for r in sessions), reverse=True)[:200])
        known = {(r[0], r[1]) for r in sessions}
        assert all((r[0], r[1]) in known for r in shown)
        run.chart("Query 11: how busy bidders are", "scatter", "seconds", ["bids"])
        prices = [r[0] for r in rows("SELECT price FROM bid ORDER BY price")]
        if shutil.which("swiftc"):
            same(run.text("How high bids are, in Swift"), "".join(f"{p} % of the bids are at most {prices[(len(prices) - 1) * p // 100]}\n" for p in (50, 90, 99)))
        else:
            assert "no swiftc" in str(run.cells["How high bids are, in Swift"]["outputs"]), run.cells["How high bids are, in Swift"]


os.makedirs(directory, exist_ok=True)
globals()[name.replace("-", "_")]()
print(json.dumps({"example": name, "state": "right"}))
