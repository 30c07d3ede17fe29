"""New versions of a topology: from a savepoint, put back when they do not come up, with another parallelism; a daemon that is replaced.

    upgrades.py BINARY DATA
"""
import json, os, signal, sys
from daemon import Daemon, alive, wait

binary, data = sys.argv[1], sys.argv[2]


def topology(selected="COUNT(*) AS n", extra="", type="BIGINT", where=""):
    return f"""
name: counts
settings:
  checkpoint: {{interval: 100 ms}}
tables:
  readings:
    columns: {{sensor: STRING, value: {type}}}
    with: {{connector: kinesis, stream: readings, stream.create-shards: 2, scan.stream.initpos: ${{START:-TRIM_HORIZON}}, format: json, log.directory: {data}}}
  counts:
    columns: {{sensor: STRING NOT NULL, n: BIGINT}}
    key: sensor
    with: {{connector: hudi, path: {data}/tables/counts, write.operation: upsert}}
{extra}
pipeline:
  - name: count
    sql: SELECT sensor, {selected} FROM readings {where} GROUP BY sensor
    into: counts
"""


daemon = Daemon(binary, data)


def put(n, sensor="a"):
    daemon.command("stream", "put", "readings", input="".join(json.dumps({"sensor": sensor, "value": i}) + "\n" for i in range(n)))


def rows():
    done = daemon.command("table", "query", f"{data}/tables/counts", "--output", "json", check=False)
    return {r["sensor"]: r["n"] for r in map(json.loads, done.stdout.splitlines())} if done.returncode == 0 else None


# What is wrong is told with its place, and leaves nothing behind.
broken = daemon.put("counts", topology(type="BIGINTT"))
assert broken.status == 400 and "counts.yaml:" in broken.errors() and "BIGINTT" in broken.errors(), (broken.status, broken.body)
assert daemon.get("/v1/topologies")["topologies"] == []
other = daemon.put("other", topology())
assert other.status == 400 and "'counts'" in other.errors(), other.body
cli = daemon.command("deploy", "/nonexistent.yaml", check=False)
assert cli.returncode == 1 and "error: cannot read /nonexistent.yaml" in cli.stderr, cli.stderr

first = daemon.deploy("counts", topology())
assert (first["version"], first["isNew"], first["state"]) == (1, True, "RUNNING"), first
put(100)
wait(lambda: rows() == {"a": 100})
assert daemon.deploy("counts", topology())["isUnchanged"] is True

# A new version goes on with the state of the old one.
second = daemon.deploy("counts", topology(extra="views: {}"))
assert second["version"] == 2 and second["startedFrom"], second
put(50)
wait(lambda: rows() == {"a": 150})

# One that cannot take the state is put back; so is one whose text is wrong, before anything is stopped.
pid = daemon.topology("counts")["process"]
wrong = daemon.put("counts", topology(type="BIGINTT"))
assert wrong.status == 400 and daemon.topology("counts")["process"] == pid, wrong.body
unfit = daemon.put("counts", topology(selected="MAX(`value`) AS n"))
assert unfit.status == 400 and "version 3 of counts did not come up" in unfit.errors() and "version 2 runs again" in unfit.errors(), (unfit.status, unfit.body)
assert daemon.topology("counts")["version"] == 2
put(25)
wait(lambda: rows() == {"a": 175})

# Rescaling, stopping, starting.
scaled = daemon.request("POST", "/v1/topologies/counts/rescale?parallelism=2")
assert scaled.status == 200 and scaled.json()["parallelism"] == 2, scaled.body
job = daemon.get("/v1/jobs/overview")["jobs"][0]
details = daemon.get("/v1/jobs/" + job["jid"])
assert max(v["parallelism"] for v in details["vertices"]) == 2 and details["state"] == "RUNNING", details
put(25, "b")
wait(lambda: rows() == {"a": 175, "b": 25})
savepoint = daemon.request("POST", "/v1/topologies/counts/savepoint").json()["savepoint"]
assert os.path.exists(savepoint + "/manifest.json"), savepoint
asked = daemon.request("POST", f"/v1/jobs/{job['jid']}/savepoints", {"target-directory": data + "/elsewhere"})
assert asked.status == 202, asked.body
found = wait(lambda: (lambda a: a if a["status"]["id"] == "COMPLETED" else None)(daemon.get(f"/v1/jobs/{job['jid']}/savepoints/{asked.json()['request-id']}")))
assert found["operation"]["location"].startswith(data + "/elsewhere/"), found
stopped = daemon.request("POST", "/v1/topologies/counts/stop?savepoint=true").json()["savepoint"]
assert os.path.exists(stopped + "/manifest.json")
assert daemon.topology("counts")["state"] == "STOPPED" and daemon.topology("counts")["process"] is None
put(5, "b")
assert rows() == {"a": 175, "b": 25}
daemon.command("start", "counts")
wait(lambda: rows() == {"a": 175, "b": 30})

# The daemon is replaced, and its jobs do not notice.
pid = daemon.topology("counts")["process"]
os.kill(daemon.process.pid, signal.SIGHUP)
daemon.ready = json.loads(daemon.process.stdout.readline())
daemon.url = daemon.ready["url"]
assert daemon.ready["pid"] == daemon.process.pid
assert daemon.topology("counts")["process"] == pid and alive(pid)
wait(lambda: daemon.topology("counts")["state"] == "RUNNING")
put(5, "c")
wait(lambda: rows() == {"a": 175, "b": 30, "c": 5})

# Another daemon does not take the directory.
second = daemon.command("serve", "--listen", "127.0.0.1:0", check=False)
assert second.returncode == 1 and "error: another" in second.stderr, second.stderr

# Ended at once, it goes on from its newest checkpoint.
daemon.command("cancel", "counts")
assert daemon.topology("counts")["state"] == "CANCELED" and not alive(pid)
daemon.command("start", "counts")
put(5, "c")
wait(lambda: rows() == {"a": 175, "b": 30, "c": 10})
listed = daemon.command("list").stdout
assert "counts" in listed and "RUNNING" in listed, listed
shown = daemon.command("show", "counts").stdout
assert "Sink: counts" in shown and "version 2" in shown or "version" in shown, shown
logs = daemon.command("logs", "counts", "--lines", "5").stdout
assert logs.count("\n") == 5 and '"job":"counts"' in logs, logs
events = [e["kind"] for e in daemon.get("/v1/events?topology=counts")["events"]]
assert "rolled back" in events and "deployed" in events and "canceled" in events, events
removed = daemon.request("DELETE", "/v1/topologies/counts")
assert removed.status == 200 and daemon.get("/v1/topologies")["topologies"] == []
assert daemon.stop() == 0
print(json.dumps({"rows": rows()}))
