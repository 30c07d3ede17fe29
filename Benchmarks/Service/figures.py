"""What the service costs and how quick it is: memory and processor of a daemon with ten idle jobs, and the time from a deployment to its first row.

    figures.py BINARY DIRECTORY [idle] [deploy] [--seconds N] [--times N]

Prints a line of JSON for each figure. The machine should have nothing else to do.
"""
import json, os, re, statistics, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Tests/Support/service"))
from daemon import Daemon, wait

arguments = sys.argv[1:]


def option(name, otherwise):
    if name not in arguments:
        return otherwise
    at = arguments.index(name)
    value = int(arguments[at + 1])
    del arguments[at:at + 2]
    return value


seconds, times = option("--seconds", 60), option("--times", 20)
binary, directory = arguments[0], os.path.abspath(arguments[1])
parts = arguments[2:] or ["idle", "deploy"]
TICK = os.sysconf("SC_CLK_TCK")
SENSORS = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Topologies/sensors.yaml")).read()


def memory(pid):
    """MiB: resident, proportional, anonymous."""
    text = open(f"/proc/{pid}/smaps_rollup").read()
    return {name: round(int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1)) / 1024, 1) for name, key in (("rss", "Rss"), ("pss", "Pss"), ("anonymous", "Anonymous"))}


def processor(pid):
    """Seconds that its threads have run, to the nanosecond."""
    return sum(int(open(f"/proc/{pid}/task/{t}/schedstat").read().split()[0]) for t in os.listdir(f"/proc/{pid}/task")) / 1e9


def sensors(n):
    return SENSORS.replace("name: sensors\n", f"name: sensors-{n}\n").replace("tables/sensor_state_cow", f"tables/sensor_state_{n}")


def idle():
    daemon = Daemon(binary, directory + "/idle")
    jobs = []
    for n in range(10):
        variables = json.dumps({"INPUT": f"in-{n}", "OUTPUT": f"out-{n}"}).replace(" ", "").replace('"', "%22").replace("{", "%7B").replace("}", "%7D")
        jobs.append(daemon.deploy(f"sensors-{n}", sensors(n), f"&variables={variables}")["process"])
    pids = [daemon.process.pid] + jobs
    early = [memory(p) for p in pids]
    # What the start used is given back some seconds later.
    time.sleep(25)
    before, began = [processor(p) for p in pids], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    used = [(processor(p) - b) / took * 100 for p, b in zip(pids, before)]
    held = [memory(p) for p in pids]

    def mean(values):
        return round(statistics.mean(values), 2)

    print(json.dumps({"figure": "idle", "seconds": round(took), "daemon": {**held[0], "rss_after_start": early[0]["rss"], "cpu_percent": round(used[0], 3)},
                      "job": {k: mean([h[k] for h in held[1:]]) for k in held[1]} | {"rss_after_start": mean([e["rss"] for e in early[1:]]), "cpu_percent": mean(used[1:])},
                      "all": {"pss": round(sum(h["pss"] for h in held), 1), "cpu_percent": round(sum(used), 2)}}), flush=True)
    daemon.stop()


VIEW = """
name: {name}
tables:
  readings:
    columns: {{sensor_id: INTEGER, current_temperature: DOUBLE, status: VARCHAR(6)}}
    with: {{connector: kinesis, stream: readings, aws.region: us-east-1, log.directory: "${{SWIFTWATER_DATA}}", scan.stream.initpos: TRIM_HORIZON, format: json}}
  {name}_by_status:
    columns: {{status: STRING NOT NULL, num: BIGINT}}
    key: [status]
    with: {{connector: view}}
pipeline:
  - {{name: s, sql: "SELECT status, COUNT(*) AS num FROM readings WHERE status IS NOT NULL GROUP BY status", into: {name}_by_status}}
"""


def deploy():
    import http.client, threading
    daemon = Daemon(binary, directory + "/deploy")
    daemon.command("generate", "sensors", "--count", "1000", "--stream", "readings")
    host, port = daemon.url.removeprefix("http://").rsplit(":", 1)
    shown, answered = [], []
    for n in range(times):
        name = f"first_{n}"
        began, done = time.monotonic(), []

        def put():
            answer = daemon.put(name, VIEW.format(name=name))
            assert answer.status == 201, answer.body
            done.append(time.monotonic() - began)
        thread = threading.Thread(target=put)
        thread.start()
        connection = http.client.HTTPConnection(host, int(port))
        while True:
            connection.request("GET", f"/v1/views/{name}_by_status?limit=1")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200 and json.loads(body).get("rows"):
                break
            assert time.monotonic() - began < 30, body
            time.sleep(0.002)
        shown.append(time.monotonic() - began)
        connection.close()
        thread.join()
        answered.append(done[0])
        daemon.request("DELETE", f"/v1/topologies/{name}")
    daemon.stop()

    def spread(values):
        ms = sorted(round(v * 1000) for v in values)
        return {"least": ms[0], "median": ms[len(ms) // 2], "p90": ms[int(len(ms) * 0.9)], "most": ms[-1]}
    print(json.dumps({"figure": "deploy", "times": times, "first_row_ms": spread(shown), "answer_ms": spread(answered)}), flush=True)


for part in parts:
    {"idle": idle, "deploy": deploy}[part]()
