"""Receives what alerts send, over HTTP and SMTP, and keeps it: GET /received gives all of it as JSON.

Prints one line of JSON: the ports, and the certificate that the mail servers with TLS and the https server show.
Paths decide what a request gets: /status/N (with ?says=text), /hang, /close, /flood, /redirect, /flaky/N (refuses the first N of each
Idempotency-Key); any other is taken with 200.
"""
import base64, datetime, http.server, ipaddress, json, os, socket, ssl, sys, threading, time, urllib.parse
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

received, lock, tries = [], threading.Lock(), {}
folder = sys.argv[1]


def certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = os.path.join(folder, "receiver.pem")
    with open(path, "wb") as file:
        file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        file.write(made.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return path, context


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers={}):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/received":
            with lock:
                return self.answer(200, json.dumps(received).encode())
        self.do_POST()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        key = self.headers.get("Idempotency-Key")
        with lock:
            received.append({"kind": "http", "method": self.command, "path": self.path, "headers": dict(self.headers), "body": body, "id": key})
            n = tries[parts[0], key] = tries.get((parts[0], key), 0) + 1
        if parts[0] == "status":
            return self.answer(int(parts[1]), urllib.parse.parse_qs(url.query).get("says", [""])[0].encode())
        if parts[0] == "hang":
            time.sleep(30)
        elif parts[0] == "close":
            self.close_connection = True
        elif parts[0] == "flood":
            try:
                self.wfile.write(b"HTTP/1.1 500 No\r\n")
                while True:
                    self.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")
            except OSError:
                pass
        elif parts[0] == "redirect":
            self.answer(302, headers={"Location": "/elsewhere"})
        elif parts[0] == "flaky" and n <= int(parts[1]):
            self.answer(503, b"not yet")
        else:
            self.answer(200, b"thanks")

    do_PUT = do_POST


class Mail:
    def __init__(self, name):
        self.name = name

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.original_content or envelope.content, policy=policy.default)
        with lock:
            received.append({
                "kind": "mail", "server": self.name, "from": envelope.mail_from, "to": envelope.rcpt_tos, "subject": str(message["Subject"]), "id": str(message["Message-ID"]),
                "body": message.get_content(), "defects": [str(d) for d in message.defects], "user": getattr(session, "login", None), "tls": session.ssl is not None,
                "longest": max(len(line) for line in (envelope.original_content or envelope.content).split(b"\r\n")), "date": str(message["Date"]),
            })
        return "250 taken"


def authenticator(server, session, envelope, mechanism, data):
    if not isinstance(data, LoginPassword):
        return AuthResult(success=False, handled=False)
    session.login = data.login.decode()
    # It says too much, as some servers do: it must not be kept.
    if data.password.decode() != os.environ.get("RECEIVER_PASSWORD"):
        return AuthResult(success=False, handled=False, message=f"535 wrong: {data.password.decode()} {base64.b64encode(data.password).decode()}")
    return AuthResult(success=True)


def mail(name, **options):
    implicit = options.pop("implicit", None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    Controller(Mail(name), hostname="127.0.0.1", port=port, ssl_context=implicit, **options).start()
    return port


path, context = certificate()
plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
secure = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
secure.socket = context.wrap_socket(secure.socket, server_side=True)
for server in plain, secure:
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
ports = {
    "http": plain.server_port, "https": secure.server_port, "certificate": path,
    "smtp": mail("plain"),
    "starttls": mail("starttls", tls_context=context, require_starttls=True, auth_required=True, authenticator=authenticator),
    "login": mail("login", tls_context=context, require_starttls=True, auth_required=True, authenticator=authenticator, auth_exclude_mechanism=["PLAIN"]),
    "smtps": mail("smtps", implicit=context),
}
print(json.dumps(ports), flush=True)
threading.Event().wait()
