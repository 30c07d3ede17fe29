"""Starts moto's server on a free port of the loopback interface and prints the port."""
import logging
import os
import sys

os.environ.setdefault("MOTO_PORT", "0")
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.server_port, flush=True)
sys.stdout.flush()
server.serve_forever()
