"""What operating needs beside jobs that run: histories for charts, bounds of streams, tables that are not known any more, files of all kinds of tables, memory.

    operations.py BINARY DATA
"""
import json, os, signal, socket, statistics, subprocess, sys, time
import boto3
from daemon import Daemon, alive, wait

binary, data = sys.argv[1], sys.argv[2]
daemon = Daemon(binary, data, ["--aws-listen", "127.0.0.1:0"], environment={"PLACE": data + "/tables"})
LAKE = """
name: lake
settings: {checkpoint: {interval: 1 s}}
tables:
  a:
    columns: {id: BIGINT, kind: STRING}
    with: {connector: datagen, number-of-rows: 200, fields.id.kind: sequence, fields.id.start: 1, fields.id.end: 200, fields.kind.length: 1}
  d: {columns: {id: BIGINT NOT NULL, kind: STRING}, key: id, with: {connector: delta, path: "${PLACE}/d"}}
  i: {columns: {id: BIGINT NOT NULL, kind: STRING}, key: id, with: {connector: iceberg, path: "${PLACE}/i"}}
  h: {columns: {id: BIGINT NOT NULL, kind: STRING}, key: id, with: {connector: hudi, path: "${PLACE}/h"}}
pipeline:
  - {name: s, sql: "SELECT id, kind FROM a", into: [d, i, h]}
"""
daemon.deploy("lake", LAKE)
STEADY = """
name: steady
settings: {checkpoint: {interval: 1 s}}
tables:
  a: {columns: {x: BIGINT}, with: {connector: datagen, rows-per-second: 100}}
  b: {columns: {x: BIGINT}, with: {connector: blackhole}}
pipeline:
  - {name: s, sql: SELECT x FROM a, into: b}
"""
job = daemon.deploy("steady", STEADY)["jobs"]
jid = job[0] if job else wait(lambda: daemon.topology("steady")["jobs"])[0]

# Files of each kind of table.
wait(lambda: daemon.topology("lake")["state"] == "FINISHED", 60)
for name in "dih":
    table = daemon.get("/v1/tables/" + name)
    assert table["rows"] == 200 and len(table["fileSizes"]) == table["files"] > 0 and sum(table["fileSizes"]) == table["bytes"], (name, table)
    listed = [json.loads(line) for line in daemon.command("table", "files", table["path"], "--output", "json").stdout.splitlines()]
    assert sum(f["rows"] for f in listed) == 200 and sorted(f["bytes"] for f in listed) == sorted(table["fileSizes"]), (name, listed)
    assert "200 rows" in daemon.command("table", "files", table["path"]).stdout

# A source that has nothing to read sleeps, and is woken by what another process appends.
kinesis = boto3.client("kinesis", endpoint_url=daemon.ready["aws"], region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
kinesis.create_stream(StreamName="told", ShardCount=1)
daemon.deploy("told", """
name: told
tables:
  a: {columns: {id: BIGINT}, with: {connector: kinesis, stream: told, aws.region: us-east-1, log.directory: "${SWIFTWATER_DATA}", scan.stream.initpos: TRIM_HORIZON, format: json}}
  told_view: {columns: {id: BIGINT NOT NULL}, key: id, with: {connector: view}}
pipeline:
  - {name: s, sql: SELECT id FROM a, into: told_view}
""")
medians = []
for attempt in range(4):
    took = []
    for n in range(attempt * 10, attempt * 10 + 10):
        time.sleep(0.8)
        kinesis.put_record(StreamName="told", PartitionKey="p", Data=json.dumps({"id": n}).encode())
        began = time.monotonic()
        wait(lambda: daemon.request("GET", f"/v1/views/told_view/{n}").status == 200, 60, 0.005)
        took.append(time.monotonic() - began)
    medians.append(statistics.median(took))
    # Looking again twice a second would take a quarter of a second on average; on a busy machine one of the tries does better.
    if medians[-1] < 0.12:
        break
assert min(medians) < 0.15, medians

# Streams of one caller are bounded, and their places are given back.
port = int(daemon.url.rsplit(":", 1)[1])


def follow():
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    connection.settimeout(10)
    return connection, int(connection.recv(4096).split()[1])


opened = [follow() for _ in range(33)]
assert [status for _, status in opened] == [200] * 32 + [429], [status for _, status in opened]
for connection, _ in opened:
    connection.close()
wait(lambda: follow()[1] == 200, 20)

# A history begins before anybody has looked: two points lie between three samples.
points = wait(lambda: (lambda found: found if len(found) >= 2 else None)(daemon.get(f"/v1/jobs/{jid}/history?seconds=600")["points"]), 40, 0.5)
assert daemon.get("/v1/config")["features"]["job-history"] is True
for before, after in zip(points, points[1:]):
    assert 3_000 < after["at"] - before["at"] < 30_000, points
last = points[-1]
assert {v["id"] for v in last["vertices"]} == {v["id"] for v in daemon.get(f"/v1/jobs/{jid}/report")["vertices"]}
# On a busy machine one interval may have fewer rows, and the next one those of both.
def steady():
    found = [p["vertices"][0]["rowsOutPerSecond"] for p in daemon.get(f"/v1/jobs/{jid}/history?seconds=600")["points"]]
    return found if len(found) >= 3 and 80 < statistics.median(found) < 120 else None


assert wait(steady, 90, 0.5)
for vertex in last["vertices"]:
    shares = [vertex[k] for k in ("busy", "backPressured", "idle")]
    assert None in shares or abs(sum(shares) - 1) < 1e-6, last
assert last["checkpoints"]["completed"] > 3 and last["checkpoints"]["lastDuration"] >= 0, last
assert [p["at"] for p in daemon.get(f"/v1/jobs/{jid}/history?seconds=1")["points"]] <= [last["at"] + 10_000]
for path, status in ((f"/v1/jobs/{jid}/history?seconds=0", 400), (f"/v1/jobs/{'0' * 32}/history", 404)):
    assert daemon.request("GET", path).status == status, path
lake = [j["jid"] for j in daemon.get("/v1/jobs/overview")["jobs"] if j["name"] == "lake"]
assert lake and daemon.get(f"/v1/jobs/{lake[0]}/history")["points"] == []

# The daemon goes, the history stays with the job; a topology whose text is not understood any more is named.
pid = daemon.topology("steady")["process"]
daemon.kill()
del daemon.environment["PLACE"]
daemon.start()
assert alive(pid)
kept = daemon.get(f"/v1/jobs/{jid}/history")["points"]
# What was the first point may have been forgotten meanwhile.
known = {p["at"]: p for p in kept}
assert [p["at"] for p in kept] == sorted(known) and len(known) == len(kept), kept
assert points[-1]["at"] in known and all(known[p["at"]] == p for p in points if p["at"] in known), (points, kept)
tables = daemon.get("/v1/tables")
assert tables["tables"] == [] and [p["topology"] for p in tables["problems"]] == ["lake"] and "PLACE" in tables["problems"][0]["problem"], tables
assert "lake has is not known" in daemon.request("GET", "/v1/tables/d").errors()

# A process that is stopped keeps its jobs, and costs those who ask one time limit.
os.kill(pid, signal.SIGSTOP)
try:
    for path, status in (("/v1/jobs/overview", 200), (f"/v1/jobs/{'0' * 32}", 404), (f"/v1/jobs/{jid}/history", 409)):
        began = time.monotonic()
        assert daemon.request("GET", path).status == status, path
        assert time.monotonic() - began < 15, path
    assert jid in [j["jid"] for j in daemon.get("/v1/jobs/overview")["jobs"]]
finally:
    os.kill(pid, signal.SIGCONT)

# What the start took is given back after a while, and the job goes on.
def of_files(process):
    return int(next(l for l in open(f"/proc/{process}/status") if l.startswith("RssFile")).split()[1]) / 1024


rows = daemon.get(f"/v1/jobs/{jid}/report")["vertices"][0]["subtasks"][0]["rowsOut"]
wait(lambda: of_files(daemon.process.pid) < 24 and of_files(pid) < 24, 150, 0.5)
assert wait(lambda: daemon.get(f"/v1/jobs/{jid}/report")["vertices"][0]["subtasks"][0]["rowsOut"] > rows)
assert daemon.topology("steady")["restarts"] == 0

# What is printed for systemd is what systemd understands.
unit = data + ".service"
with open(unit, "w") as file:
    file.write(daemon.command("serve", "--listen", "127.0.0.1:8081", "--print-systemd-unit", "--data", data + "/with a 50% \"name\"").stdout)
checked = None
try:
    checked = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
except FileNotFoundError:
    pass
if checked is not None:
    assert checked.returncode == 0 and not checked.stderr.strip(), (checked.returncode, checked.stdout, checked.stderr, open(unit).read())
assert daemon.stop() == 0
print(json.dumps({"ok": True, "points": len(kept), "wakes_ms": round(statistics.median(took) * 1000), "systemd": checked is not None}))
