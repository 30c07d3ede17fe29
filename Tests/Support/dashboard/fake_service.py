"""A stand-in for the service's REST API, for tests of the dashboard: its answers have the real shapes and numbers that move.

    fake_service.py --assets DIR [--token TOKEN] [--port PORT]

Prints the port it listens on. DIR holds the page's files, and headers.json with the headers that go with them. POST /_control
with a JSON object sets what the tests change: {"stream": false} turns the live stream of the overview off, {"alert": "ok"} the alert, {"libraries": false} the JavaScript libraries,
{"role": "view"} what the reader may do.
"""
import argparse
import json
import math
import mimetypes
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

START = time.time() - 3 * 3600 - 421
SENSORS, CLICKS = "5f1d0c2ab34e4a7d9c6e8f7a1b2c3d4e", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
LIMIT = 2**63 - 1
DEFINITION = """name: sensors
description: Readings and average temperature by status, over one minute, every ten seconds.

settings:
  parallelism: 2

tables:
  sensor_data:
    columns:
      sensor_id: INTEGER
      current_temperature: DOUBLE
      status: VARCHAR(6)
      event_time: TIMESTAMP(3)
    watermark: {column: event_time, delay: 5 s}
    with: {connector: kinesis, stream: my-input-stream, format: json}
"""


def millis(seconds):
    return int(seconds * 1000)


class State:
    def __init__(self):
        self.lock = threading.Lock()
        self.control = {"stream": True, "alert": "firing", "libraries": True, "role": "admin"}
        self.events = []
        self.rules = {"too-hot": True, "no-readings": True}
        self.requests = []
        self.topologies = {}
        self.add("sensors", "yaml", "RUNNING", 2, [SENSORS], version=3, restarts=1, text=DEFINITION)
        self.add("clicks", "sql", "RUNNING", 1, [CLICKS], version=1, text="CREATE TABLE clicks (id BIGINT);\n")
        self.add("orders", "yaml", "FAILED", 1, [], version=7, restarts=10,
                 error="orders.avro: record 1841 of shardId-000000000001 at 49671538210: field 'price' is \"12,50\", which is no DECIMAL(10, 2). "
                       "Fix: set 'avro.ignore-parse-errors' = 'true', or mend the producer.")
        self.add("archive", "yaml", "STOPPED", 1, [], version=2, savepoint="/var/lib/swiftwater/archive/savepoints/savepoint-00000041")
        for ago, name, kind, text in [(10900, "sensors", "deployed", "version 3 deployed from savepoint-00000112"),
                                      (5400, "sensors", "restarted", "restarted after: the stream's shard moved"),
                                      (320, "orders", "failed", self.topologies["orders"]["error"])]:
            self.events.append({"at": millis(time.time() - ago), "topology": name, "kind": kind, "text": text})

    def add(self, name, kind, state, parallelism, jobs, version=1, restarts=0, error=None, savepoint=None, text=""):
        self.topologies[name] = {
            "name": name, "kind": kind, "state": state, "desired": "stopped" if state == "STOPPED" else "running", "version": version,
            "parallelism": parallelism, "jobs": jobs, "deployedAt": millis(START - 60), "startedAt": millis(START), "restarts": restarts,
            "error": error, "process": 4242 if jobs else None, "savepoint": savepoint, "memory": None, "cpuWeight": None, "text": text}

    def note(self, name, kind, text):
        self.events.append({"at": millis(time.time()), "topology": name, "kind": kind, "text": text})


state = State()


def rows_until(now, rate, swing):
    """Rows since the start at a rate that goes up and down."""
    t = now - START
    return int(rate * t + swing * rate * 9 * (1 - math.cos(t / 9)))


def split_time(milliseconds, busy, held):
    return {"busy": int(milliseconds * busy), "backPressured": int(milliseconds * held), "idle": int(milliseconds * (1 - busy - held))}


def subtask(index, now, rate, ratio, busy, held=0.0, watermark=None, **more):
    t = now - START
    # The share of busy time moves a little.
    used = busy * t * 1000 + 1500 * busy * (1 - math.cos(t / 9))
    rows = rows_until(now, rate, 0.15)
    given = {"index": index, "rowsIn": rows, "rowsOut": int(rows * ratio), "bytesIn": rows * 96, "bytesOut": int(rows * ratio) * 80, "lateRows": 0, "badRecords": 0,
             "busy": int(used), "backPressured": int(held * t * 1000), "idle": max(0, int(t * 1000 * (1 - held)) - int(used)), "splits": [], "gauges": {}}
    if watermark is not None:
        given["watermark"] = watermark
    given.update(more)
    return given


def vertex(number, name, kind, subtasks):
    return {"id": number, "operatorID": f"{number:032x}", "name": name, "kind": kind, "parallelism": len(subtasks), "subtasks": subtasks}


def checkpoint_list(now):
    found = []
    newest = int((now - START) / 10)
    for number in range(max(1, newest - 40), newest + 1):
        at = START + number * 10
        is_savepoint, has_failed = number % 25 == 0, number % 17 == 3
        entry = {"id": number, "status": "FAILED" if has_failed else "COMPLETED", "isSavepoint": is_savepoint, "triggeredAt": millis(at),
                 "duration": 10000 if has_failed else 180 + number * 37 % 240 + (900 if is_savepoint else 0)}
        if has_failed:
            entry["failure"] = "checkpoint %d: sink sensor_state_cow did not answer within 10 s. Fix: raise execution.checkpointing.timeout." % number
        else:
            entry["bytes"] = 4_200_000 + number * 9137 % 700_000
            entry["path"] = f"/var/lib/swiftwater/sensors/{'savepoints/savepoint' if is_savepoint else 'checkpoints/chk'}-{number:08d}"
        found.append(entry)
    return found


def report(jid, now):
    at = millis(now)
    if jid == CLICKS:
        return {"name": "clicks", "id": CLICKS, "state": "RUNNING", "startedAt": millis(START), "attempt": 1, "takenAt": at,
                "vertices": [vertex(0, "Source: clicks", "source", [subtask(0, now, 310, 1, 0.04)]),
                             vertex(1, "Sink: by_page", "sink", [subtask(0, now, 310, 0, 0.02)])],
                "edges": [{"from": 0, "to": 1, "partitioning": "FORWARD"}],
                "checkpoints": {"completed": 0, "failed": 0, "inProgress": 0, "restored": 0, "history": []}, "failures": [], "histograms": []}
    mark = at - 5600
    lag = int(180 + 120 * math.sin(now / 11))
    splits = [[{"id": f"shardId-{shard:012d}", "watermark": mark - 700 * shard, "lag": lag // 4, "isIdle": shard == 3, "position": str(49590338271490256608559692538361571095921575989136588898 + shard)} for shard in range(first, first + 2)] for first in (0, 2)]
    history = checkpoint_list(now)
    return {
        "name": "sensors", "id": SENSORS, "state": "RUNNING", "startedAt": millis(START), "attempt": 2, "takenAt": at,
        "vertices": [
            vertex(0, "Source: sensor_data", "source", [subtask(i, now, 6200, 1, 0.31, 0.12, mark, lag=lag // 2, badRecords=3 * i, splits=splits[i],
                                                                gauges={"millisBehindLatest": 40 + 3 * i}) for i in range(2)]),
            vertex(1, "Calc: status IS NOT NULL", "transform", [subtask(i, now, 6200, 0.94, 0.22, 0.05, mark, queued=i) for i in range(2)]),
            vertex(2, "Window: HOP by status", "transform", [subtask(i, now, 5828, 0.011, 0.88 - 0.1 * i, 0.0, mark, queued=7 + i, lateRows=12) for i in range(2)]),
            vertex(3, "Sink: sensor_state", "sink", [subtask(0, now, 128, 0, 0.03, 0.0, mark)]),
            vertex(4, "Sink: sensor_state_cow", "sink", [subtask(0, now, 128, 0, 0.12, 0.0, mark)]),
        ],
        "edges": [{"from": 0, "to": 1, "partitioning": "FORWARD"}, {"from": 1, "to": 2, "partitioning": "HASH"}, {"from": 2, "to": 3, "partitioning": "REBALANCE"},
                  {"from": 2, "to": 4, "partitioning": "HASH"}],
        "checkpoints": {"completed": sum(c["status"] == "COMPLETED" for c in history), "failed": sum(c["status"] == "FAILED" for c in history), "inProgress": 0,
                        "restored": 1, "history": history},
        "failures": [{"at": millis(START - 5), "attempt": 1, "kind": "runtime",
                      "message": "shardId-000000000002 at 49590338271490256608559692538361571095921575989136588898: record 88213: temperature is \"n/a\", which is no DOUBLE\n"
                                 "    {\"sensor_id\": 17, \"current_temperature\": \"n/a\"}\n                                             ^\n"
                                 "Fix: set 'json.ignore-parse-errors' = 'true', or mend the producer."}],
        "histograms": [{"name": "latency", "labels": {"source": "sensor_data", "operator": "sensor_state"}, "count": rows_until(now, 2, 0), "sum": 99.5,
                        "quantiles": [{"quantile": q, "value": v} for q, v in [(0.5, 11.2), (0.9, 24.0), (0.95, 31.5), (0.98, 40.0), (0.99, 48.9), (0.999, 80.0)]]}],
    }


def job_history(jid, now, seconds):
    points = []
    for ago in range(seconds - 5, 0, -5):
        before, after = report(jid, now - ago - 5), report(jid, now - ago)
        vertices = []
        for b, a in zip(before["vertices"], after["vertices"]):
            def grown(name):
                return sum(s[name] for s in a["subtasks"]) - sum(s[name] for s in b["subtasks"])
            time_spent = max(1, grown("busy") + grown("backPressured") + grown("idle"))
            lags = [s["lag"] for s in a["subtasks"] if "lag" in s]
            vertices.append({"id": a["id"], "rowsInPerSecond": max(0, grown("rowsIn")) / 5, "rowsOutPerSecond": max(0, grown("rowsOut")) / 5,
                             "busy": grown("busy") / time_spent, "backPressured": grown("backPressured") / time_spent, "idle": grown("idle") / time_spent,
                             "lag": sum(lags) if lags else None})
        points.append({"at": after["takenAt"], "attempt": after["attempt"], "vertices": vertices})
    return points


def overview(now):
    total = lambda r, v, field: sum(s[field] for s in r["vertices"][v]["subtasks"])
    jobs = []
    for name, jid in (("sensors", SENSORS), ("clicks", CLICKS)):
        if jid not in state.topologies.get(name, {}).get("jobs", []):
            continue
        b, a = report(jid, now - 1), report(jid, now)
        last = len(a["vertices"]) - 1
        tasks = sum(v["parallelism"] for v in a["vertices"])
        jobs.append({"jid": jid, "name": name, "state": "RUNNING", "start-time": millis(START), "end-time": -1, "duration": millis(now - START), "last-modification": millis(now),
                     "tasks": {"total": tasks, "running": tasks}, "topology": name, "rows-per-second": total(a, 0, "rowsOut") - total(b, 0, "rowsOut"),
                     "rows-out-per-second": total(a, last, "rowsIn") - total(b, last, "rowsIn"), "busy": 0.83 + 0.02 * math.sin(now) if jid == SENSORS else 0.04,
                     "back-pressured": 0.0, "lag": sum(s.get("lag", 0) for s in a["vertices"][0]["subtasks"])})
    rates = {j["topology"]: j["rows-per-second"] for j in jobs}
    return {"at": millis(now), "topologies": [{**t, "rowsPerSecond": rates.get(t["name"], 0)} for t in state.topologies.values()], "jobs": jobs}


def table(now):
    commits = int((now - START) / 30)
    instant = lambda n: time.strftime("%Y%m%d%H%M%S", time.gmtime(START + 30 * n)) + "%03d" % (n % 1000)
    partitions = [{"partition": f"day=2026-11-{d}", "files": 4 + d % 3, "bytes": 61_000_000 * (d % 4 + 1), "rows": 812_345 * (d % 4 + 1)} for d in range(17, 22)]
    return {"name": "sensor_state_cow", "format": "hudi", "path": "/var/lib/swiftwater/tables/sensor_state_cow", "version": commits, "rows": 9_747_123 + commits * 120,
            "bytes": sum(p["bytes"] for p in partitions), "files": sum(p["files"] for p in partitions), "partitions": partitions, "topology": "sensors", "isWritten": True,
            "timeline": [{"instant": instant(n), "action": "clean" if n % 10 == 0 else "commit", "state": "COMPLETED", "operation": None, "files": 2, "rows": 0 if n % 10 == 0 else 118 + n % 9,
                          "inserted": 18, "updated": 100 + n % 9, "deleted": 0, "bytes": 81_000 + n}
                         for n in range(max(1, commits - 24), commits + 1)],
            "fileSizes": [640, 18_000, 22_000, 31_000, 810_000, 2_400_000, 5_100_000, 5_300_000, 21_000_000] + [41_000_000 + 900_000 * n for n in range(14)]}


def stream_shards(now):
    whole = 2**128
    rows = rows_until(now, 3000, 0.15)
    parts = [(0, 0, whole // 2, None, False), (1, whole // 2, whole, None, True), (2, 0, whole // 4, 0, True), (3, whole // 4, whole // 2, 0, True)]
    return [{"id": f"shardId-{n:012d}", "parent": None if parent is None else f"shardId-{parent:012d}", "range": [str(a), str(b - 1)], "open": is_open,
             "first": str(49590338271490256608559692538361571095921575989136588800 + n), "last": str(49590338271490256608559692538361571095921575989136588800 + n + rows),
             "records": 500_000 if not is_open else rows // (n + 1), "bytes": (500_000 if not is_open else rows // (n + 1)) * 96} for n, a, b, parent, is_open in parts]


def stream_tail(now, shard, limit):
    newest = int(now * 4)
    records = []
    for n in range(newest, newest - 200, -1):
        of = (1, 2, 3)[n % 3]
        if shard and int(shard.removeprefix("shardId-")) != of:
            continue
        text = json.dumps({"sensor_id": n % 50, "current_temperature": round(20 + n * 7 % 90 / 10, 1), "status": ("OK", "WARN", "FAIL")[n % 3], "event_time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(n / 4))})
        if n % 40 == 0:
            text = '<img src=x onerror="document.title=1">'
        records.append({"shard": of, "sequence": str(49590338271490256608559692538361571095921575989136588800 + n), "partitionKey": str(n % 50),
                        "arrival": millis(n / 4), "text": text})
        if len(records) == limit:
            break
    return records


def view_row(key, now):
    return {"status": key, "readings": int(now * 3) % 1000 + len(key), "average": round(21.5 + math.sin(now + len(key)), 2)}


class Problem(Exception):
    def __init__(self, status, *errors):
        super().__init__(errors)
        self.status, self.errors = status, list(errors)


def deploy(name, text, query):
    if "tables:" not in text and "CREATE" not in text.upper():
        raise Problem(400, f"{name}.yaml:1:1: a topology needs tables and pipelines. Fix: add a section tables.",
                      f"{name}.yaml:2:3: '<b>colour</b>' is no setting. Fix: did you mean 'parallelism'?")
    known = state.topologies.get(name)
    state.add(name, query.get("kind", ["yaml"])[0], "RUNNING", int(query.get("parallelism", ["1"])[0]), known["jobs"] if known else [],
              version=known["version"] + 1 if known else 1, text=text)
    state.note(name, "deployed", f"version {state.topologies[name]['version']} deployed")
    return {**state.topologies[name], "isNew": not known, "isUnchanged": False, "startedFrom": None}


def act(name, verb, query):
    topology = state.topologies.get(name)
    if not topology:
        raise Problem(404, f"there is no topology {name}")
    if verb == "stop":
        path = f"/var/lib/swiftwater/{name}/savepoints/savepoint-00000113" if "savepoint" in query else None
        topology.update(state="STOPPED", desired="stopped", savepoint=path, process=None)
        state.note(name, "stopped", "by its user")
        return {"savepoint": path}
    elif verb == "cancel":
        topology.update(state="CANCELED", desired="stopped", process=None)
    elif verb == "rescale":
        topology.update(parallelism=int(query["parallelism"][0]))
    elif verb in ("restart", "start"):
        topology.update(state="RUNNING", desired="running", restarts=topology["restarts"] + (verb == "restart"), process=4243)
    elif verb == "savepoint":
        topology.update(savepoint=f"/var/lib/swiftwater/{name}/savepoints/savepoint-00000114")
    else:
        raise Problem(404, f"there is no action {verb}")
    state.note(name, verb, f"{verb} asked for")
    return topology


def run_sql(body):
    statement = body["statement"]
    wrong = re.search(r"\bstatu\b", statement)
    if wrong:
        line = statement.count("\n", 0, wrong.start()) + 1
        column = wrong.start() - statement.rfind("\n", 0, wrong.start())
        raise Problem(400, f"{line}:{column}: there is no column 'statu' in sensor_data. Fix: did you mean 'status'?")
    rows = [["OK", 81_234, 21.5, None], ["WARN", 2**53 + 1, 38.25, "<script>document.title = 'x'</script>"], ["FAIL", 17, 77.0, "überhitzt"]]
    return {"columns": [{"name": "status", "type": "VARCHAR(6)"}, {"name": "readings", "type": "BIGINT"}, {"name": "average", "type": "DOUBLE"}, {"name": "note", "type": "STRING"}],
            "rows": rows[:body.get("limit", 100)], "isChangelog": False, "truncated": body.get("limit", 100) < 3}


def alerts(now):
    firing = state.control["alert"]
    common = {"topology": "sensors", "resolve": True, "labels": {}, "failed": 0}
    return [{**common, "name": "too-hot", "kind": "query", "source": "SELECT status, AVG(current_temperature) AS t FROM sensor_data GROUP BY status", "condition": "t > 70",
             "holdsFor": 60000, "throttle": "hourly", "severity": "critical", "enabled": state.rules["too-hot"], "notify": ["operators"],
             "state": firing if state.rules["too-hot"] else "disabled", "firing": [{"key": "FAIL", "since": millis(now - 200), "firedAt": millis(now - 140), "value": "77.4"}] if firing == "firing" else [],
             "lastFiredAt": millis(now - 140), "waiting": 1},
            {**common, "name": "no-readings", "kind": "metric", "source": "numRecordsIn", "condition": "rate < 1", "holdsFor": 300000, "throttle": "daily", "enabled": state.rules["no-readings"],
             "notify": ["operators", "mail"], "state": "inactive" if state.rules["no-readings"] else "disabled", "firing": [], "waiting": 0}]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body, headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, value, status=200):
        self.send(status, json.dumps(value).encode(), [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")])

    def pieces(self, kind, texts):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for text in texts:
                data = text.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def handle_request(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length).decode()
        address = urlsplit(self.path)
        parts, query = [unquote(p) for p in address.path.split("/")[1:]], parse_qs(address.query)
        try:
            if parts[0] == "_control":
                state.control.update(json.loads(body))
                return self.send_json(state.control)
            if parts[0] != "v1":
                return self.asset(address.path)
            if options.token and self.headers.get("authorization") != "Bearer " + options.token:
                raise Problem(401, "a token is needed; send Authorization: Bearer TOKEN")
            if self.command != "GET":
                with state.lock:
                    state.requests.append([self.command, self.path])
            self.answer(parts[1:], query, body, time.time())
        except Problem as problem:
            self.send_json({"errors": problem.errors}, problem.status)
        except OSError:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def asset(self, path):
        file = os.path.join(options.assets, "index.html" if path == "/" else path.lstrip("/"))
        if ".." in path or not os.path.isfile(file):
            raise Problem(404, f"there is no {path}")
        with open(file, "rb") as f:
            data = f.read()
        if path.startswith("/lib/") and not state.control["libraries"]:
            data = b"/* not there at build time */"
        with open(os.path.join(options.assets, "headers.json")) as f:
            headers = json.load(f)
        kind = "text/javascript" if file.endswith(".js") else mimetypes.guess_type(file)[0] or "application/octet-stream"
        self.send(200, data, [("Content-Type", kind + ("" if kind.startswith("image") else "; charset=utf-8"))] + list(headers.items()))

    def answer(self, parts, query, body, now):
        verb = (self.command, *parts)
        match verb:
            case ("GET", "config"):
                self.send_json({"refresh-interval": 1000, "timezone-name": "UTC", "timezone-offset": 0, "flink-version": "swiftwater-0.7.0", "flink-revision": "",
                                "user": "tester", "role": state.control["role"], "features": {"web-submit": False, "web-cancel": True, "web-rescale": True, "job-history": True}})
            case ("GET", "stream"):
                if not state.control["stream"]:
                    raise Problem(503, "there are too many streams")
                self.pieces("text/event-stream", self.live())
            case ("GET", "topologies"):
                self.send_json({"topologies": list(state.topologies.values())})
            case ("GET", "topologies", name):
                if name not in state.topologies:
                    raise Problem(404, f"there is no topology {name}")
                self.send_json(state.topologies[name])
            case ("PUT", "topologies", name):
                self.send_json(deploy(name, body, query))
            case ("DELETE", "topologies", name):
                state.topologies.pop(name, None)
                self.send_json({})
            case ("GET", "topologies", name, "logs"):
                self.pieces("text/plain; charset=utf-8", self.log(name, "follow" in query))
            case ("POST", "topologies", name, action):
                self.send_json(act(name, action, query))
            case ("GET", "jobs", "overview"):
                self.send_json({"jobs": overview(now)["jobs"]})
            case ("GET", "jobs", jid, "report") if jid in (SENSORS, CLICKS):
                self.send_json(report(jid, now))
            case ("GET", "jobs", jid, "history") if jid in (SENSORS, CLICKS):
                seconds = int(query.get("seconds", ["600"])[0])
                self.send_json({"jid": jid, "interval": 5000, "points": job_history(jid, now, seconds)})
            case ("GET", "events"):
                wanted = query.get("topology", [None])[0]
                self.send_json({"events": [e for e in state.events if wanted in (None, e["topology"])]})
            case ("GET", "tables"):
                self.send_json({"tables": [{k: table(now)[k] for k in ("name", "topology", "format", "path", "isWritten")}]})
            case ("GET", "tables", "sensor_state_cow"):
                self.send_json(table(now))
            case ("GET", "tables", "sensor_state_cow", "rows"):
                self.send_json({"columns": [{"name": "status", "type": "STRING NOT NULL"}, {"name": "num", "type": "INTEGER"}, {"name": "hop_time", "type": "TIMESTAMP(3)"}],
                                "rows": [[("OK", "WARN", "FAIL")[n % 3], 1200 + n, f"2026-11-21 12:00:{n:02d}.000"] for n in range(20)]})
            case ("GET", "streams"):
                shards = stream_shards(now)
                self.send_json({"streams": [{"name": "my-input-stream", "shards": len(shards), "records": sum(s["records"] for s in shards), "bytes": sum(s["bytes"] for s in shards)}]})
            case ("GET", "streams", "my-input-stream"):
                self.send_json({"name": "my-input-stream", "created": millis(START), "shards": stream_shards(now)})
            case ("GET", "streams", "my-input-stream", "tail"):
                self.send_json({"records": stream_tail(now, query.get("shard", [None])[0], int(query.get("limit", ["50"])[0]))})
            case ("POST", "sql"):
                self.send_json(run_sql(json.loads(body)))
            case ("GET", "views"):
                self.send_json({"views": [{"name": "by_status", "table": "by_status", "key": [{"name": "status", "type": "STRING"}], "columns": [], "rows": 3, "memoryBytes": 2048, "isOnDisk": False,
                                           "visibility": "immediate", "version": int(now), "subscribers": 1, "state": "running"}]})
            case ("GET", "views", "by_status"):
                self.send_json({"name": "by_status", "rows": [{"key": k, "row": view_row(k, now), "version": int(now)} for k in ("OK", "WARN", "FAIL")], "next": None})
            case ("GET", "views", "by_status", "changes"):
                self.pieces("text/event-stream", self.changes())
            case ("GET", "views", "by_status", key):
                if key not in ("OK", "WARN", "FAIL"):
                    raise Problem(404, f"there is no row with the key {key}")
                self.send_json({"key": key, "row": view_row(key, now), "version": int(now)})
            case ("GET", "alerts"):
                self.send_json({"rules": alerts(now)})
            case ("GET", "alerts", "sensors", rule, "history"):
                self.send_json({"entries": [{"id": 3 - n, "topology": "sensors", "rule": rule, "key": "FAIL", "kind": kind, "at": millis(now - ago), "recordedAt": millis(now - ago), **more}
                                            for n, (kind, ago, more) in enumerate([("notified", 139, {"delivery": "operators", "notification": "n-3"}),
                                                                                   ("firing", 140, {"value": "77.4", "text": "77.4 is above 70"}), ("resolved", 4000, {"value": "22.1"})])]})
            case ("POST", "alerts", "sensors", rule, ("enable" | "disable") as action):
                state.rules[rule] = action == "enable"
                self.send_json({"enabled": state.rules[rule]})
            case _:
                raise Problem(404, f"there is no {self.command} {self.path}")

    def live(self):
        while state.control["stream"]:
            yield f"event: overview\ndata: {json.dumps(overview(time.time()))}\n\n"
            # More often than the service, for the sake of short tests.
            time.sleep(0.25)

    def log(self, name, is_following):
        line = lambda n: f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(n))} info {name}: checkpoint {int(n) % 100000} completed in {200 + int(n) % 90} ms, 4.2 MB\n"
        yield "".join(line(time.time() - n) for n in range(60, 0, -1))
        while is_following:
            time.sleep(0.5)
            yield line(time.time())
            yield '{"event":"progress","job":"%s","seconds":1}\n' % name

    def changes(self):
        n = 0
        while True:
            key = ("OK", "WARN", "FAIL")[n % 3]
            yield f"event: change\nid: {n}\ndata: {json.dumps({'version': n, 'key': key, 'row': None if n % 10 == 9 else view_row(key, time.time())})}\n\n"
            n += 1
            time.sleep(0.4)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A page that is left resets its connections.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--assets", required=True)
    parser.add_argument("--token")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    server = Server(("127.0.0.1", options.port), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
