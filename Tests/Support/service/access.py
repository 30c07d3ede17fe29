"""Who may do what, and what the daemon refuses.

    access.py BINARY DATA
"""
import hashlib, json, os, socket, subprocess, sys
from daemon import Daemon, insecure, wait

binary, data = sys.argv[1], sys.argv[2]
tokens = {"ann": ("admin", "a" * 32), "oli": ("operate", "o" * 32), "vic": ("view", "v" * 32)}
path = data + ".tokens"
with open(path, "w") as file:
    file.write("# users\n")
    for name, (role, token) in tokens.items():
        file.write(f"{name} {role} {'sha256:' + hashlib.sha256(token.encode()).hexdigest() if name == 'vic' else token}\n")

# A file that others can read, a role that is none, a token that is short.
os.chmod(path, 0o644)
refused = subprocess.run([binary, "serve", "--data", data, "--listen", "127.0.0.1:0", "--tokens", path], capture_output=True, text=True)
assert refused.returncode == 1 and "chmod 600" in refused.stderr, refused.stderr
os.chmod(path, 0o600)
bad = data + ".bad"
for line, said in (("ann root " + "x" * 32, ":1: a line is NAME ROLE TOKEN"), ("ann admin short", "shorter than 20")):
    with open(bad, "w") as file:
        file.write(line + "\n")
    os.chmod(bad, 0o600)
    refused = subprocess.run([binary, "serve", "--data", data, "--listen", "127.0.0.1:0", "--tokens", bad], capture_output=True, text=True)
    assert refused.returncode == 1 and said in refused.stderr, refused.stderr
# Beyond loopback only with tokens and TLS.
for arguments in ([], ["--tokens", path]):
    refused = subprocess.run([binary, "serve", "--data", data, "--listen", "0.0.0.0:0"] + arguments, capture_output=True, text=True)
    assert refused.returncode == 1 and "reached from other machines" in refused.stderr, refused.stderr

# Without tokens: this machine, under its own names, and no pages of others.
daemon = Daemon(binary, data)
port = int(daemon.url.rsplit(":", 1)[1])
assert daemon.request("GET", "/v1/overview").status == 200
for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
    assert daemon.request("GET", "/v1/overview", headers=headers).status == 403, headers
assert daemon.request("DELETE", "/v1/topologies/x", headers={"Origin": "http://evil.example"}).status == 403
head = daemon.request("GET", "/healthz").headers
for name, value in (("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"), ("Referrer-Policy", "no-referrer")):
    assert head[name] == value, (name, head[name])
assert "default-src 'self'" in head["Content-Security-Policy"]
for path_ in ("/v1/topologies/..%2f..%2fetc%2fpasswd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/streams/..%2f..%2fx", "/v1/streams/--data", "/v1/tables/..%2f..%2fx"):
    assert daemon.request("GET", path_).status in (400, 404), path_
assert daemon.request("GET", "/v1/nothing").status == 404
answer = daemon.request("POST", "/v1/overview")
assert answer.status == 405 and answer.headers["Allow"] == "GET", answer.headers
answer = daemon.request("GET", "/v1/events?limt=3")
assert answer.status == 400 and '"limit"' in answer.errors(), answer.body
assert daemon.request("POST", "/v1/sql", "{").status == 400
assert daemon.request("PUT", "/v1/topologies/x", b"\xff\xfe").status == 400
assert daemon.request("POST", "/v1/sql", b"x" * (5 << 20)).status == 413
rows = daemon.request("POST", "/v1/sql", {"statement": "SELECT 1 AS a, 'x' AS b"}).json()
assert rows["rows"] == [[1, "x"]] and [c["name"] for c in rows["columns"]] == ["a", "b"] and not rows["isChangelog"] and not rows["truncated"], rows
wrong = daemon.request("POST", "/v1/sql", {"statement": "SELECT nothing FROM nowhere"})
assert wrong.status == 400 and "nowhere" in wrong.errors(), wrong.body
assert daemon.stop() == 0

# With tokens and TLS.
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", data + ".key", "-out", data + ".crt", "-days", "2", "-subj",
                "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
secret = "hunter2-" + "s" * 20
daemon = Daemon(binary, data, ["--tokens", path, "--tls-certificate", data + ".crt", "--tls-key", data + ".key"], {"SECRET": secret}, listen="0.0.0.0:0")
assert daemon.url.startswith("https://0.0.0.0:"), daemon.url
daemon.url = daemon.url.replace("0.0.0.0", "127.0.0.1")
daemon.tls = insecure()
assert daemon.request("GET", "/healthz").status == 200
for token in (None, "x" * 32, "v" * 31):
    answer = daemon.request("GET", "/v1/overview", token=token)
    assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer"), answer.status
view, operate, admin = tokens["vic"][1], tokens["oli"][1], tokens["ann"][1]
text = f"""
name: t
tables:
  a: {{columns: {{x: BIGINT}}, with: {{connector: datagen, rows-per-second: 10}}}}
  b: {{columns: {{x: BIGINT}}, with: {{connector: filesystem, path: "{data}/out-${{SECRET:-}}", format: json}}}}
pipeline:
  - {{name: s, sql: SELECT x FROM a, into: b}}
"""
put = lambda token: daemon.request("PUT", "/v1/topologies/t", text, token=token).status
assert put(view) == 403 and put(operate) == 403, "a role that may not deploy"
assert put(admin) == 201
assert daemon.request("POST", "/v1/topologies/t/restart", token=view).status == 403
assert daemon.request("POST", "/v1/topologies/t/restart", token=operate).status == 200
assert daemon.request("GET", "/v1/audit", token=operate).status == 403
entries = daemon.request("GET", "/v1/audit", token=admin).json()["entries"]
changes = [(e["who"], e["status"]) for e in reversed(entries) if e["who"] != "local"]
assert changes[:5] == [("vic", 403), ("oli", 403), ("ann", 201), ("vic", 403), ("oli", 200)], entries
# A secret that the text names is in no answer, and in no file of the daemon.
wait(lambda: daemon.request("GET", "/v1/topologies/t", token=view).json()["jobs"])
for path_ in ("/v1/topologies", "/v1/topologies/t", "/v1/events", "/v1/jobs/overview", "/metrics", "/v1/topologies/t/logs", "/openapi.json"):
    assert secret not in daemon.request("GET", path_, token=view).body.decode(), path_
jid = daemon.request("GET", "/v1/jobs", token=view).json()["jobs"][0]["id"]
for part in ("", "/plan", "/report", "/config", "/checkpoints", "/exceptions"):
    assert secret not in daemon.request("GET", f"/v1/jobs/{jid}{part}", token=view).body.decode(), part
for folder, _, names in os.walk(data + "/service"):
    for name in names:
        kind = os.stat(os.path.join(folder, name))
        assert secret.encode() not in open(os.path.join(folder, name), "rb").read(), (folder, name)
# A client that does not speak TLS is sent away; the next one is served.
with socket.create_connection(("127.0.0.1", int(daemon.url.rsplit(":", 1)[1])), 5) as plain:
    plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    plain.settimeout(5)
    try:
        got = plain.recv(100)
    except OSError:
        got = b""
    assert not got.startswith(b"HTTP/1.1 200"), got
assert daemon.request("GET", "/healthz").status == 200
# The command line with a token.
environment = dict(daemon.environment, SWIFTWATER_TOKEN=view, SWIFTWATER_URL=daemon.url)
listed = subprocess.run([binary, "list", "--ca-certificate", data + ".crt"], capture_output=True, text=True, env=environment)
assert listed.returncode == 0 and " t " in listed.stdout, (listed.stdout, listed.stderr)
denied = subprocess.run([binary, "cancel", "t", "--ca-certificate", data + ".crt"], capture_output=True, text=True, env=environment)
assert denied.returncode == 1 and "role view" in denied.stderr, denied.stderr
untrusted = subprocess.run([binary, "list"], capture_output=True, text=True, env=environment)
assert untrusted.returncode == 1 and "error:" in untrusted.stderr, untrusted.stderr
assert daemon.stop() == 0

# Too many requests at once.
print(json.dumps({"ok": True}))
