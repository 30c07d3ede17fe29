"""What the README's section about the service shows, typed as it stands there, with a real browser looking at the page meanwhile.

    newcomer.py BINARY DATA [SCREENSHOTS]
"""
import json, os, re, signal, socket, subprocess, sys, time, urllib.request
from daemon import wait

binary, data = sys.argv[1], sys.argv[2]
here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(os.path.dirname(os.path.dirname(here)))
place = data + ".work"
os.makedirs(place + "/bin")
os.symlink(binary, place + "/bin/swiftwater")
os.symlink(root + "/Topologies", place + "/Topologies")
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{free.getsockname()[1]}"
environment = {k: v for k, v in os.environ.items() if not k.startswith("SWIFTWATER_") or k == "SWIFTWATER_PYTHON"}
environment["PATH"] = place + "/bin:" + environment["PATH"]

section = open(root + "/README.md").read().split("\n## The service\n")[1].split("\n## ")[0]
lines = [line.replace("127.0.0.1:8081", address) for line in section.split("```")[1].strip().splitlines()]
assert lines[0].startswith("swiftwater serve ") and lines[0].split("#")[0].strip().endswith("&"), lines[0]
log = open(place + "/serve.log", "w")
daemon = subprocess.Popen(lines[0].split("#")[0].strip().rstrip("&").split(), cwd=place, env=environment, stdout=subprocess.PIPE, stderr=log)


def typed(line):
    done = subprocess.run(["bash", "-c", line], cwd=place, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (line, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def get(path):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
        return json.loads(answer.read())


def table():
    done = subprocess.run([binary, "table", "query", place + "/swiftwater-data/tables/sensor_state_cow", "--output", "json"], capture_output=True, text=True)
    return {(r["status"], r["hop_time"]): r["num"] for r in map(json.loads, done.stdout.splitlines())} if done.returncode == 0 else {}


try:
    ready = json.loads(daemon.stdout.readline())
    assert ready["url"] == f"http://{address}", ready
    said = {}
    for line in lines[1:]:
        command = line.split("#")[0].strip()
        if command.startswith("swiftwater list"):
            # Rates move, and an alert fires, while the browser looks.
            typed("LOG=alerts.log swiftwater deploy Topologies/alerts.yaml --variable LOG=alerts.log --variable THROTTLE='as frequently as possible'")
            feed = subprocess.Popen([binary, "generate", "sensors", "--rate", "300", "--stream", "my-input-stream", "--data", place + "/swiftwater-data"], env=environment,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait(lambda: table(), 90, 0.5)
                look = [sys.executable, os.path.join(os.path.dirname(here), "dashboard", "browse.py"), "--url", f"http://{address}", "--topology", "sensors",
                        "--sql", "SELECT status, COUNT(*) AS n FROM sensor_data GROUP BY status", "--bad-sql", "SELECT nothing FROM nowhere"]
                if len(sys.argv) > 3:
                    look += ["--screenshots", sys.argv[3]]
                seen = subprocess.run(look, capture_output=True, text=True, timeout=180)
                looked = json.loads(seen.stdout.strip().splitlines()[-1])
                assert seen.returncode == 0 and looked["failures"] == [], seen.stdout[-4000:]
                wait(lambda: any(rule.get("lastFiredAt") for rule in get("/v1/alerts")["rules"]), 60)
                wait(lambda: os.path.exists(place + "/alerts.log") and open(place + "/alerts.log").read(), 60)
            finally:
                feed.send_signal(signal.SIGTERM)
                feed.wait()
        said[" ".join(command.split()[:2])] = typed(line)
    assert "version 1 runs" in said["swiftwater deploy"], said
    assert "sensors" in said["swiftwater list"] and "RUNNING" in said["swiftwater list"], said
    assert "Sink: sensor_state_cow" in said["swiftwater show"], said
    assert "version 2 runs with parallelism 2" in said["swiftwater rescale"], said
    assert "savepoint-sensors-" in said["swiftwater stop"], said
    overview = said[next(k for k in said if k.startswith("curl"))]
    assert json.JSONDecoder().raw_decode(overview[overview.index("{"):])[0]["jobs"], overview
    assert get("/v1/topologies/sensors")["state"] == "STOPPED"
    before = table()

    # A new version: it starts from the savepoint that the old one was stopped with, and goes on with its windows.
    text = open(root + "/Topologies/sensors.yaml").read().replace("Readings and average temperature by status", "Readings by status, second edition")
    with open(place + "/sensors.yaml", "w") as file:
        file.write(text)
    typed("swiftwater generate sensors --count 3000 --stream my-input-stream --seed 7 || swiftwater generate sensors --count 3000 --stream my-input-stream")
    assert "version 3 runs" in typed("swiftwater deploy sensors.yaml"), said
    assert get("/v1/topologies/sensors")["desired"] == "running"
    wait(lambda: get("/v1/topologies/sensors")["state"] == "RUNNING")
    wait(lambda: len(table()) >= len(before) > 0 and set(before) <= set(table()), 60)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=90) == 0
    print(json.dumps({"checks": looked["checks"], "firstPaintMilliseconds": looked["firstPaintMilliseconds"], "commands": len(lines)}))
finally:
    if daemon.poll() is None:
        for path in (place + "/swiftwater-data/service/topologies",):
            for name in os.listdir(path) if os.path.isdir(path) else []:
                try:
                    os.kill(int(open(f"{path}/{name}/lock").read()), signal.SIGKILL)
                except (OSError, ValueError):
                    pass
        daemon.kill()
