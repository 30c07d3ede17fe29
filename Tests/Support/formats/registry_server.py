"""A small schema registry with Confluent's HTTP interface, on a port of its own, which is written to FOLDER/port.

  registry_server.py FOLDER [USER:PASSWORD | TOKEN]

Subjects are BACKWARD compatible. FOLDER/log has a line per request; as many requests as FOLDER/fail says are answered with 503.
"""
import base64, http.server, json, os, sys, urllib.parse

folder = sys.argv[1]
login = sys.argv[2] if len(sys.argv) > 2 else None
schemas, subjects = [], {}
WIDER = {("int", "long"), ("int", "float"), ("int", "double"), ("long", "float"), ("long", "double"), ("float", "double"), ("string", "bytes"), ("bytes", "string")}


def fields(text):
    tree = json.loads(text)
    if isinstance(tree, list):
        tree = tree[-1]
    return {f["name"]: f for f in tree["fields"]}


def readable(old, new):
    if old == new:
        return True
    if isinstance(new, list):
        return all(any(readable(o, n) for n in new) for o in (old if isinstance(old, list) else [old]))
    return not isinstance(old, (list, dict)) and (old, new) in WIDER


def problem(old, new):
    for name, field in fields(new).items():
        known = fields(old).get(name)
        if known is None and "default" not in field:
            return f"READER_FIELD_MISSING_DEFAULT_VALUE: {name}"
        if known is not None and not readable(known["type"], field["type"]):
            return f"TYPE_MISMATCH: {name}"


class Handler(http.server.BaseHTTPRequestHandler):
    def handle_request(self, body):
        with open(os.path.join(folder, "log"), "a") as log:
            log.write(f"{self.command} {self.path}\n")
        fail = os.path.join(folder, "fail")
        if os.path.exists(fail):
            left = int(open(fail).read())
            if left > 0:
                open(fail, "w").write(str(left - 1))
                return 503, {"error_code": 50302, "message": "not ready"}
        if login is not None:
            given = self.headers.get("Authorization", "")
            if given not in ("Bearer " + login, "Basic " + base64.b64encode(login.encode()).decode()):
                return 401, {"error_code": 401, "message": "Unauthorized"}
        parts = [urllib.parse.unquote(p) for p in self.path.strip("/").split("/")]
        if self.command == "GET" and parts[:2] == ["schemas", "ids"]:
            i = int(parts[2])
            if not 0 < i <= len(schemas):
                return 404, {"error_code": 40403, "message": "Schema not found"}
            return 200, {"schema": schemas[i - 1]}
        if parts[0] == "subjects":
            versions = subjects.setdefault(parts[1], [])
            if self.command == "GET" and parts[2:] == ["versions", "latest"]:
                if not versions:
                    return 404, {"error_code": 40401, "message": "Subject not found"}
                return 200, {"subject": parts[1], "version": len(versions), "id": versions[-1], "schema": schemas[versions[-1] - 1]}
            text = json.loads(body)["schema"]
            same = [i for i in versions if json.loads(schemas[i - 1]) == json.loads(text)]
            if len(parts) == 2:
                if not same:
                    return 404, {"error_code": 40403, "message": "Schema not found"}
                return 200, {"subject": parts[1], "id": same[0], "version": versions.index(same[0]) + 1, "schema": text}
            if not same:
                why = versions and problem(schemas[versions[-1] - 1], text)
                if why:
                    return 409, {"error_code": 409, "message": f"Schema being registered is incompatible with an earlier schema for subject \"{parts[1]}\": {why}"}
                if text not in schemas:
                    schemas.append(text)
                versions.append(schemas.index(text) + 1)
                same = versions[-1:]
            return 200, {"id": same[0]}
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        status, result = self.handle_request(body)
        data = json.dumps(result).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(os.path.join(folder, "port.new"), "w") as out:
    out.write(str(server.server_address[1]))
os.rename(os.path.join(folder, "port.new"), os.path.join(folder, "port"))
server.serve_forever()
