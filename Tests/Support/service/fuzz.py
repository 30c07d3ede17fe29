"""Malformed and hostile requests: schemathesis makes them from the daemon's own OpenAPI description, and raw bytes go to its socket.

    fuzz.py BINARY DATA EXAMPLES RAW SEED [WORKERS [REQUESTS]]

Raw requests are sent as often as RAW says; schemathesis takes EXAMPLES of each operation, and begins again with another seed until there have been
REQUESTS in all. No answer may be a 5xx but the 503 of a daemon that has no room for more streams, the daemon and the job that runs meanwhile must live, and memory
and descriptors must not grow.
"""
import json, os, random, re, socket, subprocess, sys, time
from daemon import Daemon, wait

binary, data, examples, raw, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
workers, requests = (sys.argv[6:] + ["1"])[0], int((sys.argv[7:] + ["0"])[0])
began = time.monotonic()
random.seed(seed)
daemon = Daemon(binary, data, ["--requests-per-second", "1000000"])
definition = """
name: steady
settings: {checkpoint: {interval: 1 s}}
tables:
  a: {columns: {x: BIGINT}, with: {connector: datagen, rows-per-second: 100}}
  b: {columns: {x: BIGINT}, with: {connector: blackhole}}
pipeline:
  - {name: s, sql: SELECT x FROM a, into: b}
"""
daemon.deploy("steady", definition)
pid = daemon.process.pid


def resident():
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) // 1024


def descriptors():
    return len(os.listdir(f"/proc/{pid}/fd"))


port = int(daemon.url.rsplit(":", 1)[1])
PARTS = [b"GET", b"POST", b"PUT", b"\x00", b"\xff\xfe", b" ", b"/", b"/v1/topologies/steady", b"/v1/jobs", b"/metrics", b"/%2e%2e/%00", b"/v1/sql", b"?limit=99999999999999999999", b" HTTP/1.1", b" HTTP/9.9",
         b"\r\n", b"\n", b"Host: localhost", b"Host: evil", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 999999999999", b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n",
         b"ffffffffffffffff\r\n", b"Authorization: Bearer " + b"a" * 5000, b"Expect: 100-continue", b"Upgrade: h2c", b"Connection: close", b"X: " + b"y" * 9000, b"{\"statement\": \"SELECT 1\"}", b"[" * 3000, b"\r\n\r\n"]
statuses = {}


def hostile():
    request = b""
    if random.random() < 0.7:
        request = random.choice([b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"BREW"]) + b" " + random.choice(PARTS[6:13]) + b" HTTP/1.1\r\nHost: localhost\r\n"
    request += b"".join(random.choice(PARTS) + random.choice([b"", b"\r\n"]) for _ in range(random.randrange(1, 8)))
    if random.random() < 0.6:
        request += b"Connection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(10)
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
            while connection.recv(65536):
                pass
        except OSError:
            return
    found = re.match(rb"HTTP/1\.[01] (\d+)", answer)
    if found:
        status = int(found.group(1))
        statuses[status] = statuses.get(status, 0) + 1
        assert status < 500, (seed, status, request, answer[:500])


for _ in range(min(200, raw)):
    hostile()
before = resident(), descriptors()
for _ in range(raw):
    hostile()
counts = data + ".counts"
# The tool tells how many requests it made of which kind; what came back is counted by a hook.
hooks = data + ".hooks"
os.makedirs(hooks)
with open(hooks + "/counting.py", "w") as file:
    file.write("""import os, schemathesis

@schemathesis.hook
def after_call(context, case, response):
    with open(os.environ["COUNTS"], "a") as file:
        file.write(f"{response.status_code} {case.method} {case.path}\\n")
""")
environment = dict(os.environ, PYTHONUNBUFFERED="1", PYTHONPATH=hooks, SCHEMATHESIS_HOOKS="counting", COUNTS=counts)


def answers():
    """Status, method and path of each answer to the tool so far."""
    return [line.split(" ", 2) for line in open(counts).read().splitlines()] if os.path.exists(counts) else []


turn = 0
while turn == 0 or raw + min(200, raw) + len(answers()) < requests:
    tool = [os.path.join(os.path.dirname(sys.executable), "schemathesis"), "run", daemon.url + "/openapi.json", "--max-examples", str(examples), "--seed", str(seed + turn), "--checks", "not_a_server_error",
            "--exclude-path", "/v1/stream", "--exclude-path", "/v1/topologies/{name}/logs", "--exclude-path", "/v1/views/{name}/changes", "--request-timeout", "30", "--workers", workers,
            "--generation-database", "none", "--suppress-health-check", "all", "--continue-on-failure"]
    done = subprocess.run(tool, capture_output=True, text=True, env=environment, cwd=os.path.dirname(data))
    assert done.returncode == 0, (seed + turn, done.returncode, done.stdout[-6000:], done.stderr[-2000:])
    assert daemon.process.poll() is None, "the daemon has ended"
    turn += 1
sent = answers()
by_status = {}
for status, _, _ in sent:
    by_status[status] = by_status.get(status, 0) + 1
bad = [a for a in sent if a[0][0] == "5" and a[0] != "503"]
assert not bad, (seed, bad[:10])
# The tool may have removed or stopped the topology, rightly; its process has not died of itself.
assert not any(e["kind"] in ("failed", "killed") for e in daemon.get("/v1/events?limit=1000&topology=steady")["events"])
daemon.deploy("again", definition.replace("steady", "again"))
assert daemon.topology("again")["state"] == "RUNNING"
try:
    wait(lambda: descriptors() <= before[1] + 16, 30)
except AssertionError:
    raise AssertionError((before, descriptors(), [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]))
after = resident(), descriptors()
assert after[0] < before[0] + 48, (before, after)
assert daemon.stop() == 0
print(json.dumps({"requests": raw + min(200, raw) + len(sent), "raw": raw + min(200, raw), "statuses": statuses, "generated": len(sent), "answers": by_status, "operations": len({(m, p) for _, m, p in sent}),
                  "resident": [before[0], after[0]], "descriptors": [before[1], after[1]], "seconds": round(time.monotonic() - began)}))
