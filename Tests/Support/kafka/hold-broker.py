#!/usr/bin/env python3
"""Runs a broker for as long as the process that started this one lives.

usage: hold-broker.py NAME [NODES]        NAME: noida, tansu, kafka, kafka-secure

Chooses a free port, starts the broker with start-broker on a fresh temporary folder and prints one line of JSON:
{"bootstrap": "127.0.0.1:PORT", "port": PORT, "folder": "..."} or {"error": "..."}. Then each line on standard input is a
command, answered by one line: "kill N", "stop N" (end node N), "start" (start what is not running). When standard input
ends, or the parent is gone, the broker is stopped and its folder deleted.
"""
import json, os, random, select, shutil, signal, socket, subprocess, sys, tempfile

here = os.path.dirname(os.path.abspath(__file__))
parent = os.getppid()
try:
    os.setsid()  # an interrupt at the terminal ends the tests, which end this
except PermissionError:
    pass  # already the leader of a process group of its own
name = sys.argv[1]
nodes = int(sys.argv[2]) if len(sys.argv) > 2 else 1
folder = tempfile.mkdtemp(prefix="swiftwater-broker-")
kind = "kafka" if name.startswith("kafka") else name
environment = dict(os.environ, KAFKA_RUN=folder, SWIFTWATER_PYTHON=sys.executable, KAFKA_BROKERS=str(nodes))
if name == "kafka-secure":
    environment["KAFKA_SECURE"] = "1"


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def free_port():
    # Below the ephemeral ports, so that no outgoing connection takes one meanwhile.
    for _ in range(200):
        port = random.SystemRandom().randrange(20000, 31000)
        if all(is_free(port + n * 100 + i) for n in range(5) for i in range(nodes)):
            return port
    raise SystemExit("no free port")


def script(*arguments):
    return subprocess.run([os.path.join(here, "start-broker"), *arguments], env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def say(**values):
    print(json.dumps(values), flush=True)


port = 0


def end(*_):
    if port:
        script("wipe", kind, str(port))
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)

for attempt in range(5):
    port = free_port()
    started = script(kind, str(port))
    if started.returncode == 0 or "is taken" not in started.stderr:
        break
try:
    if started.returncode != 0:
        say(error=started.stderr.strip() or started.stdout.strip())
        end()
    say(bootstrap=started.stdout.strip().splitlines()[-1].removeprefix("bootstrap="), port=port, folder=f"{folder}/{kind}-{port}")
    pending = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], 1)[0]:
            continue
        data = os.read(0, 4096)
        if not data:
            break
        pending += data
        while b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            words = line.decode().split()
            if words == ["start"]:
                result = script(kind, str(port))
            else:
                result = script(words[0], kind, str(port), *words[1:])
            say(**({} if result.returncode == 0 else {"error": result.stderr.strip()}))
except OSError:
    pass
end()
