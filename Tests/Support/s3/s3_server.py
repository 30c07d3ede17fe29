"""An S3 server for tests on a free loopback port: moto, and around it what moto does not do. It has one bucket, `lake`.

Prints the port, with --tls also the file of its certificate. Around moto:
- requests are carried out one at a time: moto looks whether a key is there and writes it in two steps;
- signatures are computed again by botocore for the key `test` with secret `test-secret`, and refused when they differ (403);
- each request is counted by its operation;
- faults: `POST /_control` with {"drop": "PutObject", "key": "part of the key", "times": 1} carries the next such requests out and closes the connection
  without an answer; "refuse" instead of "drop" answers 503 SlowDown without carrying them out. {"reset": true} forgets faults and counts,
  {"objects": ["key"]} makes objects, {"delete": "key"} deletes one;
  {"die": n} carries n more requests out, the last one without an answer, and none after that until {"die": null}, {"clock": s} looks at requests that many seconds later.
`GET /_control` answers {"counts": {...}, "log": [...], "dropped": n, "connections": n} as JSON.
"""
import datetime
import io
import json
import os
import re
import socket
import ssl
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app

ACCESS_KEY, SECRET = "test", "test-secret"


def operation(method, path, query):
    names = dict(query)
    has_key = len(path.strip("/").split("/", 1)) > 1
    if not has_key:
        if method == "POST" and "delete" in names:
            return "DeleteObjects"
        return {"GET": "ListObjectsV2", "PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket"}.get(method, method)
    if "uploadId" in names:
        return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}.get(method, method)
    if "uploads" in names:
        return "CreateMultipartUpload"
    return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}.get(method, method)


def refusal(status, code, message):
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()
    return status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))], body


class Server:
    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        self.counts, self.log, self.faults, self.dropped, self.connections = {}, [], [], 0, set()
        self.life, self.clock = None, 0

    def signature_problem(self, environ, body):
        given = environ.get("HTTP_AUTHORIZATION", "")
        names = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        query = environ.get("QUERY_STRING", "")
        if "X-Amz-Signature" in names:
            given = f"AWS4-HMAC-SHA256 Credential={names['X-Amz-Credential']}, SignedHeaders={names['X-Amz-SignedHeaders']}, Signature={names['X-Amz-Signature']}"
            query = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
            signed_at = datetime.datetime.strptime(names["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
            if time.time() + self.clock > signed_at + int(names["X-Amz-Expires"]):
                return refusal("403 Forbidden", "AccessDenied", "Request has expired")
        match = re.match(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d+)/([^/]+)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)", given)
        if not match:
            return refusal("403 Forbidden", "AccessDenied", "the request is not signed")
        key, _, region, signed, signature = match.groups()
        if key != ACCESS_KEY:
            return refusal("403 Forbidden", "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
        headers = {}
        for name in signed.split(";"):
            headers[name] = environ.get({"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}.get(name, "HTTP_" + name.upper().replace("-", "_")), "")
        url = "http://" + environ["HTTP_HOST"] + environ["REQUEST_URI"]
        request = AWSRequest(method=environ["REQUEST_METHOD"], url=url.split("?")[0], headers=headers, data=body,
                             params=parse_qsl(query, keep_blank_values=True))
        request.context["timestamp"] = headers.get("x-amz-date") or names.get("X-Amz-Date", "")
        auth = S3SigV4Auth(Credentials(ACCESS_KEY, SECRET), "s3", region)
        # Exactly the headers that were signed, and the hash that the request names.
        canonical = "\n".join([
            request.method, quote(unquote(environ["REQUEST_URI"].split("?")[0]), safe="/-_.~"),
            auth.canonical_query_string(request), "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers)), ";".join(sorted(headers)),
            headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")])
        to_sign = auth.string_to_sign(request, canonical)
        if auth.signature(to_sign, request) != signature:
            return refusal("403 Forbidden", "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
        import hashlib
        claimed = headers.get("x-amz-content-sha256", "")
        if re.fullmatch("[0-9a-f]{64}", claimed) and hashlib.sha256(body).hexdigest() != claimed:
            return refusal("400 Bad Request", "XAmzContentSHA256Mismatch", "the body has another hash")
        return None

    def control(self, environ, body):
        if environ["REQUEST_METHOD"] == "POST":
            order = json.loads(body or b"{}")
            if order.get("reset"):
                self.reset()
            for key in order.get("objects", []):
                s3_backends["123456789012"]["aws"].put_object("lake", key, b"x")
            if "delete" in order:
                s3_backends["123456789012"]["aws"].delete_object("lake", order["delete"])
            self.clock = order.get("clock", self.clock)
            if "die" in order:
                self.life = order["die"]
            for kind in ("drop", "refuse"):
                if kind in order:
                    self.faults.append({"kind": kind, "operation": order[kind], "key": order.get("key", ""), "times": order.get("times", 1), "after": order.get("after", 0)})
        answer = json.dumps({"counts": self.counts, "log": self.log, "dropped": self.dropped, "connections": len(self.connections)}).encode()
        return "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))], answer

    def fault(self, name, path):
        for fault in self.faults:
            if fault["times"] > 0 and fault["operation"] == name and fault["key"] in path:
                if fault["after"] > 0:
                    fault["after"] -= 1
                    continue
                fault["times"] -= 1
                return fault["kind"]
        return None

    def answer(self, environ):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        if environ["PATH_INFO"].startswith("/_control"):
            return self.control(environ, body)
        path, query = unquote(environ["REQUEST_URI"].split("?")[0]), parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        name = operation(environ["REQUEST_METHOD"], path, query)
        self.counts[name] = self.counts.get(name, 0) + 1
        self.log.append(f"{name} {path}")
        connection = environ["test.connection"]
        self.connections.add(environ["test.peer"])
        fault = self.fault(name, path)
        if self.life is not None:
            self.life -= 1
            if self.life < 0:
                connection.shutdown(socket.SHUT_RDWR)
                raise ConnectionResetError
            if self.life == 0:
                fault = "drop"
        if fault == "refuse":
            return refusal("503 Slow Down", "SlowDown", "Please reduce your request rate.")
        # Boto3 signs other headers than those above with rules of its own: the set-up of a test is let through.
        if "botocore" not in environ.get("HTTP_USER_AGENT", "").lower() and "duckdb" not in environ.get("HTTP_USER_AGENT", "").lower():
            problem = self.signature_problem(environ, body)
            if problem:
                return problem
        environ["wsgi.input"] = io.BytesIO(body)
        out = {}

        def start_response(status, headers, exc_info=None):
            out["status"], out["headers"] = status, headers

        content = b"".join(self.moto(environ, start_response))
        if fault == "drop":
            self.dropped += 1
            connection.shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        headers = [(k, v) for k, v in out["headers"] if k.lower() != "content-length" or environ["REQUEST_METHOD"] == "HEAD"]
        if environ["REQUEST_METHOD"] != "HEAD":
            headers.append(("Content-Length", str(len(content))))
        return out["status"], headers, content

    def __call__(self, environ):
        with self.lock:
            return self.answer(environ)


class Handler(BaseHTTPRequestHandler):
    """Werkzeug's server closes every connection, and drops what it has read beyond a request: real stores keep connections."""
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle_any(self):
        path, _, query = self.path.partition("?")
        environ = {
            "REQUEST_METHOD": self.command, "SCRIPT_NAME": "", "PATH_INFO": unquote(path, "latin-1"), "QUERY_STRING": query, "REQUEST_URI": self.path, "RAW_URI": self.path,
            "SERVER_NAME": "127.0.0.1", "SERVER_PORT": str(self.server.server_port), "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": self.rfile, "wsgi.errors": sys.stderr, "wsgi.multithread": True,
            "wsgi.multiprocess": False, "wsgi.run_once": False, "test.connection": self.connection, "test.peer": self.client_address,
        }
        for name, value in self.headers.items():
            name = name.upper().replace("-", "_")
            environ[name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + name] = value
        try:
            status, headers, content = application(environ)
        except ConnectionResetError:
            self.close_connection = True
            return
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            if name.lower() not in ("date", "server", "connection"):
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def log_message(self, *arguments):
        pass


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass


s3_backends["123456789012"]["aws"].create_bucket("lake", "us-east-1")
application = Server()
listener = Listener(("127.0.0.1", 0), Handler)
if "--tls" in sys.argv:
    from werkzeug.serving import make_ssl_devcert
    certificate, key = make_ssl_devcert(os.path.join(tempfile.mkdtemp(), "server"), cn="localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    print(listener.server_port, certificate, flush=True)
else:
    print(listener.server_port, flush=True)
listener.serve_forever()
