"""kill -9 of the daemon, and of some of its jobs, under ten running jobs: all go on by themselves, and results are exact.

    kills.py BINARY DATA SEED
"""
import json, os, random, signal, sys, time
from daemon import Daemon, alive, wait

binary, data, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.seed(seed)
JOBS, ROWS = 10, 2_000


def topology(i):
    return f"""
name: job{i}
settings:
  checkpoint: {{interval: 100 ms}}
tables:
  orders:
    columns: {{id: BIGINT, amount: BIGINT}}
    with: {{connector: kinesis, stream: in{i}, stream.create-shards: 2, scan.stream.initpos: TRIM_HORIZON, format: json, log.directory: {data}}}
  totals:
    columns: {{amount: BIGINT NOT NULL, n: BIGINT, total: BIGINT}}
    key: amount
    with: {{connector: hudi, path: {data}/tables/totals{i}, write.operation: upsert}}
pipeline:
  - name: sums
    sql: SELECT amount, COUNT(*) AS n, SUM(id) AS total FROM orders GROUP BY amount
    into: totals
"""


daemon = Daemon(binary, data)
for i in range(JOBS):
    daemon.deploy(f"job{i}", topology(i), "&workers=1")
pids = {t["name"]: t["process"] for t in daemon.get("/v1/topologies")["topologies"]}
assert len(set(pids.values())) == JOBS and all(pids.values()), pids

expected, sent = [], 0
for i in range(JOBS):
    rows = [(n, random.randrange(7)) for n in range(ROWS)]
    sums = {}
    for n, amount in rows:
        count, total = sums.get(amount, (0, 0))
        sums[amount] = (count + 1, total + n)
    expected.append((rows, sums))
kills = 0
for part in range(4):
    for i in range(JOBS):
        rows = expected[i][0][part * ROWS // 4:(part + 1) * ROWS // 4]
        text = "".join(json.dumps({"id": n, "amount": amount}) + "\n" for n, amount in rows)
        daemon.command("stream", "put", f"in{i}", input=text)
        sent += len(rows)
    if part < 3:
        victim = f"job{random.randrange(JOBS)}"
        before = {t["name"]: t["process"] for t in daemon.get("/v1/topologies")["topologies"]}
        daemon.kill()
        kills += 1
        if part > 0 and before[victim]:
            os.kill(before[victim], signal.SIGKILL)
            kills += 1
        # Jobs go on without the daemon.
        for name, pid in before.items():
            assert name == victim and part > 0 or pid is None or alive(pid), (name, pid)
        daemon.start()
        wait(lambda: all(t["process"] for t in daemon.get("/v1/topologies")["topologies"]))
        after = {t["name"]: t["process"] for t in daemon.get("/v1/topologies")["topologies"]}
        same = sum(before[name] == after[name] for name in before)
        assert same >= JOBS - (2 if part > 0 else 1), (before, after)


def result(i):
    done = daemon.command("table", "query", f"{data}/tables/totals{i}", "--output", "json", check=False)
    if done.returncode != 0:
        return None
    return {row["amount"]: (row["n"], row["total"]) for row in map(json.loads, done.stdout.splitlines())}


for i in range(JOBS):
    wait(lambda: result(i) == expected[i][1], 90, 0.2)
states = {t["name"]: t["state"] for t in daemon.get("/v1/topologies")["topologies"]}
assert set(states.values()) == {"RUNNING"}, states
processes = [t["process"] for t in daemon.get("/v1/topologies")["topologies"]]
assert daemon.stop() == 0
assert not any(alive(pid) for pid in processes), "jobs are left behind by a clean stop"
daemon.start()
wait(lambda: all(t["state"] == "RUNNING" for t in daemon.get("/v1/topologies")["topologies"]))
for i in range(JOBS):
    assert result(i) == expected[i][1], i
assert daemon.stop() == 0
print(json.dumps({"jobs": JOBS, "kills": kills, "rows": sent}))
