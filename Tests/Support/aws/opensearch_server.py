"""A small stand-in for OpenSearch, in memory: bulk, document, count, search (match_all, term, filter, terms and sum aggregations), and
an HTTP endpoint as Amazon Data Firehose expects one. Prints its port in the first line.

What goes wrong is told beforehand:
  POST /_plan {"busy": n}            the next n documents of bulk requests get status 429, each once
              {"busy_requests": n}   the next n requests get status 503 as a whole
              {"integer": ["field"]} documents in which one of these fields is no integer are refused with a mapper error
              {"drop_after": n}      the connection is cut after the next n requests were carried out, before the answer
              {"max_body": n}        larger bulk bodies get status 413
  GET /_requests                     what came: method, path, headers, body (of /firehose and /lines)
"""
import base64
import gzip
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.Lock()
indexes = {}
plan = {"busy": 0, "busy_requests": 0, "integer": [], "drop_after": 0, "max_body": 1 << 30, "user": None}
requests = []
operations = []
counter = 0


def is_integer(value):
    if value is None or isinstance(value, int) and not isinstance(value, bool):
        return True
    if isinstance(value, float):
        return True
    try:
        int(value)
        return True
    except (TypeError, ValueError):
        return False


def one(kind, meta, document):
    global counter
    index = indexes.setdefault(meta["_index"], {})
    identity = meta.get("_id")
    base = {"_index": meta["_index"], "_id": identity}
    operations.append([kind, meta["_index"], identity])
    if plan["busy"] > 0:
        plan["busy"] -= 1
        return base | {"status": 429, "error": {"type": "rejected_execution_exception", "reason": "queue capacity reached"}}
    if kind == "delete":
        found = index.pop(identity, None) is not None
        return base | {"result": "deleted" if found else "not_found", "status": 200 if found else 404}
    for field in plan["integer"]:
        if not is_integer(document.get(field)):
            return base | {"status": 400, "error": {
                "type": "mapper_parsing_exception", "reason": f"failed to parse field [{field}] of type [integer]",
                "caused_by": {"type": "illegal_argument_exception", "reason": f"For input string: \"{document[field]}\""}}}
    if identity is None:
        counter += 1
        identity = base["_id"] = f"auto-{counter}"
    if kind == "create" and identity in index:
        return base | {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": f"[{identity}]: document already exists"}}
    created = identity not in index
    index[identity] = document
    return base | {"result": "created" if created else "updated", "status": 201 if created else 200}


def matches(document, query):
    if not query or "match_all" in query:
        return True
    if "term" in query:
        field, wanted = next(iter(query["term"].items()))
        return document.get(field) == (wanted["value"] if isinstance(wanted, dict) else wanted)
    if "bool" in query:
        return all(matches(document, part) for part in query["bool"].get("filter", []))
    raise ValueError(f"unknown query {query}")


def aggregate(documents, request):
    result = {}
    for name, what in request.items():
        kind = "terms" if "terms" in what else "sum"
        field = what[kind]["field"]
        if kind == "sum":
            result[name] = {"value": sum(d.get(field) or 0 for d in documents)}
            continue
        groups = {}
        for document in documents:
            groups.setdefault(document.get(field), []).append(document)
        buckets = [{"key": key, "doc_count": len(members)} | aggregate(members, what.get("aggs", {})) for key, members in groups.items()]
        buckets.sort(key=lambda bucket: (-bucket["doc_count"], str(bucket["key"])))
        result[name] = {"buckets": buckets[: what["terms"].get("size", 10)]}
    return result


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def handle_request(self):
        body = self.body()
        path = self.path.split("?")[0]
        with lock:
            try:
                answer = self.answer(path, body)
            except Exception as error:
                answer = 500, {"error": repr(error)}
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        self.reply(*answer)

    do_GET = do_POST = do_PUT = handle_request

    def answer(self, path, body):
        if path == "/_plan":
            plan.update(json.loads(body))
            return 200, {}
        if path == "/_requests":
            return 200, requests
        if path == "/_operations":
            return 200, operations
        if path == "/_all":
            return 200, indexes
        if plan["user"] and self.headers.get("Authorization") != "Basic " + base64.b64encode(plan["user"].encode()).decode():
            return 401, {"error": "Unauthorized"}
        if plan["busy_requests"] > 0:
            plan["busy_requests"] -= 1
            return 503, {"error": "no shard available", "errorMessage": "busy", "requestId": "x"}
        if path.endswith("/_bulk"):
            return self.bulk(body)
        if path in ("/firehose", "/lines"):
            requests.append({"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body.decode()})
            if path == "/lines":
                return 200, {}
            key = self.headers.get("X-Amz-Firehose-Access-Key")
            asked = json.loads(body)
            if key != "secret":
                return 401, {"requestId": asked["requestId"], "timestamp": asked["timestamp"], "errorMessage": "wrong access key"}
            return 200, {"requestId": asked["requestId"], "timestamp": asked["timestamp"]}
        parts = path.strip("/").split("/")
        documents = indexes.get(parts[0])
        if documents is None:
            return 404, {"error": {"type": "index_not_found_exception", "reason": f"no such index [{parts[0]}]"}, "status": 404}
        if parts[1] == "_doc":
            found = parts[2] in documents
            return (200 if found else 404), {"_id": parts[2], "found": found, "_source": documents.get(parts[2])}
        request = json.loads(body) if body else {}
        chosen = {i: d for i, d in documents.items() if matches(d, request.get("query"))}
        if parts[1] == "_count":
            return 200, {"count": len(chosen)}
        if parts[1] == "_search":
            hits = [{"_index": parts[0], "_id": i, "_source": d} for i, d in chosen.items()][: request.get("size", 10)]
            return 200, {"hits": {"total": {"value": len(chosen), "relation": "eq"}, "hits": hits},
                         "aggregations": aggregate(list(chosen.values()), request.get("aggs", {}))}
        return 400, {"error": f"no handler for {path}"}

    def bulk(self, body):
        if len(body) > plan["max_body"]:
            return 413, {"error": "request entity too large"}
        lines = body.split(b"\n")
        if lines[-1] != b"":
            return 400, {"error": {"type": "illegal_argument_exception", "reason": "The bulk request must be terminated by a newline [\\n]"}}
        lines.pop()
        items, at = [], 0
        while at < len(lines):
            (kind, meta), = json.loads(lines[at]).items()
            at += 1
            document = None
            if kind != "delete":
                document = json.loads(lines[at])
                at += 1
            items.append({kind: one(kind, meta, document)})
        if plan["drop_after"] > 0:
            plan["drop_after"] -= 1
            return None
        has_errors = any("error" in item for each in items for item in each.values())
        kept = [{kind: {key: item[key] for key in ("status", "error") if key in item} for kind, item in each.items()} for each in items]
        return 200, {"errors": has_errors, "items": kept}


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
