"""A swiftwater serve of a test's own, and requests to it."""
import atexit, glob, json, os, signal, ssl, subprocess, time, urllib.error, urllib.request


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def errors(self):
        return "; ".join(self.json()["errors"])


class Daemon:
    def __init__(self, binary, data, arguments=(), environment=None, token=None, listen="127.0.0.1:0"):
        self.binary, self.data, self.arguments, self.token, self.listen = binary, data, list(arguments), token, listen
        self.environment = dict(os.environ, SWIFTWATER_DATA=data, **(environment or {}))
        self.tls = None
        # Topologies outlive their daemon: a test that fails must not leave them behind.
        atexit.register(self.clear)
        self.start()

    def clear(self):
        if self.process.poll() is None:
            self.kill()
        for path in glob.glob(self.data + "/service/topologies/*/lock"):
            pid = open(path).read().strip()
            try:
                if pid and self.data in open(f"/proc/{pid}/cmdline").read():
                    os.kill(int(pid), signal.SIGKILL)
            except (OSError, ValueError):
                pass

    def start(self):
        self.log = open(self.data + ".log", "ab")
        self.process = subprocess.Popen([self.binary, "serve", "--data", self.data, "--listen", self.listen] + self.arguments,
                                        stdout=subprocess.PIPE, stderr=self.log, env=self.environment)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the daemon did not start: {open(self.data + '.log').read()}")
        self.ready = json.loads(line)
        self.url = self.ready["url"]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=90)
        self.process.stdout.close()
        return status

    def request(self, method, path, body=None, headers=None, token="", timeout=120):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers or {})
        token = self.token if token == "" else token
        if token:
            request.add_header("Authorization", "Bearer " + token)
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self.tls) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def get(self, path, **options):
        answer = self.request("GET", path, **options)
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer.json()

    def put(self, name, text, query=""):
        return self.request("PUT", f"/v1/topologies/{name}?kind=yaml{query}", text, {"Content-Type": "text/plain"})

    def deploy(self, name, text, query=""):
        answer = self.put(name, text, query)
        assert answer.status in (200, 201), (answer.status, answer.body)
        return answer.json()

    def topology(self, name):
        return self.get("/v1/topologies/" + name)

    def command(self, *arguments, input=None, check=True):
        done = subprocess.run([self.binary, *arguments], capture_output=True, text=True, env=self.environment, input=input)
        assert not check or done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
        return done


def wait(what, seconds=60, every=0.05):
    """Until `what` gives something that counts as true, which is returned."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = what()
        except (OSError, urllib.error.URLError):
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, f"waited for {seconds} s in vain"
        time.sleep(every)


def insecure():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return open(f"/proc/{pid}/stat").read().split(") ")[1][0] != "Z"
