"""A SQL gateway of Flink, and a JobManager, for tests.

    gateway.py                                        both are made up: they know the statements of the tests
    gateway.py --forward URL [--forward-rest URL]     hands requests on to real ones
    gateway.py --flink HOME --rest URL                a gateway that runs statements on the cluster at URL, through pyflink; nothing can be
                                                      planned any more in it beside or after a query that is cut short

Every request and every answer is checked against gateway_api.json and jobmanager_api.json. It prints one line of JSON with its
addresses, and ends with the process that started it. Tests steer it under /test of the gateway's address:

    POST /test/faults   [{"match": regex over "METHOD /path", "skip": 0, "times": 1, "do": FAULT, ...}]     replaces those that are left
    GET  /test/log      {"requests": ["METHOD /path", ...], "problems": [what broke the description, ...], "headers": of the last one}

FAULT: "status" (with "status" and "errors"), "drop" (ends the connection unanswered), "take-and-drop" (carries the request out first),
"slow" (answers after "seconds"), "replace" (answers "answer" instead).
"""
import argparse
import http.server
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
import uuid

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Refused(Exception):
    """What a server answers instead of a result."""

    def __init__(self, status, *errors):
        self.status, self.errors = status, list(errors)


def trace(*causes):
    """A stack trace as Java prints it: (class, message) from the outside in."""
    text = ""
    for depth, (kind, message) in enumerate(causes):
        text += ("Caused by: " if depth else "") + kind + (f": {message}" if message else "") + "\n"
        text += "".join(f"\tat org.apache.flink.table.gateway.Some$Class.step{i}(Class.java:{17 + i})\n" for i in range(3))
        text += f"\t... {len(causes) + 3} more\n" if depth else ""
    return text


def server_trace(*causes):
    gateway = "org.apache.flink.table.gateway.api.utils.SqlGatewayException"
    return ["Internal server error.", "<Exception on server side:\n" + trace((gateway, f"{gateway}: Failed to fetchResults."), (gateway, "Failed to fetchResults."),
            ("org.apache.flink.table.gateway.service.utils.SqlExecutionException", f"Failed to execute the operation {uuid.uuid4()}."), *causes) + "\nEnd of exception on server side>"]


class API:
    """A description: which requests there are, and the shapes of what they send and get."""

    def __init__(self, name):
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            self.all = json.load(file)
        self.types, self.words = self.all["types"], self.all["words"]

    def find(self, method, path):
        """(operation, what is wrong with the request's head)."""
        path, _, query = path.partition("?")
        version = re.match(re.escape(self.all["versions"]["prefix"]) + r"(\d+)(/.*)", path)
        number = int(version[1]) if version else None
        if version:
            path = version[2]
        others = []
        for operation in self.all["operations"]:
            verb, pattern = operation["do"].split(" ")
            if number is not None and number not in operation.get("versions", self.all["versions"]["published"]):
                continue
            expression = "^" + re.sub(r"\\\{(\w+)\\\}", lambda m: "(?:" + self.words[m[1]].strip("^$") + ")", re.escape(pattern)) + "$"
            if not re.match(expression, path):
                continue
            if verb != method:
                others.append(verb)
                continue
            problems = []
            members = dict(part.split("=", 1) for part in query.split("&") if part)
            for name, value in members.items():
                if name not in operation.get("query", {}):
                    problems.append(f"there is no parameter {name}")
                else:
                    problems += self.check(value, operation["query"][name], name)
            problems += [f"the parameter {name} is missing" for name in operation.get("query", {}) if name not in members]
            return operation, problems
        return None, [f"{path} takes {' and '.join(others)}" if others else f"{path} is not in the description"]

    def check(self, value, kind, at="", is_request=False):
        """What is wrong with a value, by its type."""
        if kind == "any":
            return []
        if kind.startswith("["):
            if not isinstance(value, list):
                return [f"{at} is no array"]
            return [p for i, item in enumerate(value) for p in self.check(item, kind[1:-1], f"{at}[{i}]", is_request)]
        if kind.startswith("{"):
            if not isinstance(value, dict):
                return [f"{at} is no object"]
            return [p for name, item in value.items() for p in self.check(item, kind[1:-1], f"{at}.{name}", is_request)]
        if kind in self.words:
            return [] if isinstance(value, str) and re.match(self.words[kind], value) else [f"{at} is no {kind}: {value!r}"]
        if kind in ("string", "boolean", "integer"):
            right = {"string": str, "boolean": bool, "integer": int}[kind]
            return [] if isinstance(value, right) and not (kind == "integer" and isinstance(value, bool)) else [f"{at} is no {kind}: {value!r}"]
        shape = self.types[kind]
        if isinstance(shape, list):
            return [] if value in shape else [f"{at} is none of {', '.join(shape)}: {value!r}"]
        if not isinstance(value, dict):
            return [f"{at or kind} is no object: {value!r}"]
        problems = []
        names = {name.rstrip("?"): inner for name, inner in shape.items()}
        for name, item in value.items():
            if name in names:
                problems += self.check(item, names[name], f"{at}.{name}", is_request)
            elif is_request:
                problems.append(f"{kind} has no member {name}")
        if not is_request:
            problems += [f"{kind} without {name}" for name in shape if not name.endswith("?") and name not in value]
        return problems


class Server:
    """One address: checks, faults, and behind them something that answers."""

    def __init__(self, api, answer, faults, log):
        self.api, self.answer, self.faults, self.log, self.lock = api, answer, faults, log, threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def reply(self, status, value):
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=UTF-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    outer.serve(self, self.command, self.path, body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = serve

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def problem(self, what):
        with self.lock:
            self.log["problems"].append(what)

    def fault(self, line):
        with self.lock:
            for fault in self.faults:
                if fault.get("times", 1) > 0 and re.search(fault["match"], line):
                    if fault.get("skip", 0) > 0:
                        fault["skip"] -= 1
                        continue
                    fault["times"] = fault.get("times", 1) - 1
                    return fault
        return {}

    def serve(self, handler, method, path, body):
        if path == "/test/faults":
            self.faults[:] = json.loads(body)
            return handler.reply(200, {})
        if path == "/test/log":
            with self.lock:
                return handler.reply(200, self.log)
        line = f"{method} {path}"
        with self.lock:
            self.log["requests"].append(line)
            self.log["headers"] = dict(handler.headers.items())
        operation, problems = self.api.find(method, path)
        value = {}
        if body:
            try:
                value = json.loads(body)
            except ValueError:
                problems.append("the body is not JSON")
            if operation and not problems:
                problems += self.api.check(value, operation["request"], is_request=True) if "request" in operation else ["a body is not expected"]
        for what in problems:
            self.problem(f"{line}: {what}")
        fault = self.fault(line)
        kind = fault.get("do")
        if kind == "drop":
            handler.close_connection = True
            return handler.connection.shutdown(2)
        if kind == "status":
            return handler.reply(fault["status"], {"errors": fault.get("errors", ["Service temporarily unavailable due to an ongoing leader election. Please refresh."])})
        if kind == "slow":
            time.sleep(fault["seconds"])
        if kind == "replace":
            return handler.reply(200, fault["answer"])
        if operation is None:
            return handler.reply(404, {"errors": [f"Not found: {path}"]})
        try:
            answer = self.answer(method, path, value)
            status = operation.get("status", 200)
        except Refused as refused:
            answer, status = {"errors": refused.errors}, refused.status
        if status < 300:
            for what in self.api.check(answer, operation["answer"]):
                self.problem(f"the answer to {line}: {what}")
        if kind == "take-and-drop":
            handler.close_connection = True
            return handler.connection.shutdown(2)
        handler.reply(status, answer)


class Forward:
    """Hands requests on."""

    def __init__(self, url):
        self.url = url.rstrip("/")

    def __call__(self, method, path, value):
        request = urllib.request.Request(self.url + path, method=method, data=json.dumps(value).encode() if method in ("POST", "PATCH") else None, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise Refused(error.code, *json.loads(error.read())["errors"]) from None


def result(columns, rows, job=None, is_query=False):
    """What an operation gives: columns are (name, type), rows lists of fields."""
    return {"isQueryResult": is_query, "jobID": job, "resultKind": "SUCCESS_WITH_CONTENT" if job else "SUCCESS", "rows": rows,
            "columns": [{"name": name, "logicalType": {"type": kind, "nullable": True}, "comment": None} for name, kind in columns]}


def done(text="OK"):
    return result([("result", "VARCHAR")], [[text]])


class Gateway:
    """Sessions and operations; `execute(session, statement)` gives a result or raises Refused."""

    def __init__(self, execute, configuration, versions=("V1", "V2", "V3", "V4")):
        self.execute, self.settings, self.versions, self.sessions, self.lock = execute, configuration, list(versions), {}, threading.Lock()

    def __call__(self, method, path, value):
        path, _, query = path.partition("?")
        version = re.match(r"(/v\d+)?", path)[0]
        path = path[len(version):]
        if path == "/api_versions":
            return {"versions": self.versions}
        if path == "/info":
            return {"productName": "Apache Flink", "version": "2.3.0"}
        if path == "/sessions":
            handle = str(uuid.uuid4())
            self.sessions[handle] = {"properties": dict(value.get("properties", {})), "operations": {}, "tables": {}}
            return {"sessionHandle": handle}
        parts = path.split("/")[2:]
        session = self.sessions.get(parts[0])
        if session is None:
            gateway = "org.apache.flink.table.gateway.api.utils.SqlGatewayException"
            raise Refused(500, trace(("org.apache.flink.runtime.rest.handler.RestHandlerException", "Failed to answer."), (gateway, "Failed to answer."), (gateway, f"Session '{parts[0]}' does not exist.")))
        if len(parts) == 1 and method == "DELETE":
            del self.sessions[parts[0]]
            return {"status": "CLOSED"}
        if len(parts) == 1:
            return {"properties": {**self.settings, **session["properties"]}}
        if parts[1] == "heartbeat":
            return {}
        if parts[1] in ("statements", "configure-session") and value.get("executionTimeout", 0) > 0:
            raise Refused(500, *server_trace(("java.lang.UnsupportedOperationException", "SqlGatewayService doesn't support timeout mechanism now.")))
        if parts[1] == "configure-session":
            if not re.match(r"(?i)\s*(CREATE|DROP|ALTER|USE|LOAD|UNLOAD|ADD)\b", value["statement"]):
                raise Refused(500, *server_trace(("java.lang.UnsupportedOperationException", "Unsupported statement for configuring session:" + value["statement"])))
            self.execute(session, value["statement"])
            return {}
        if parts[1] == "statements":
            handle = str(uuid.uuid4())
            operation = session["operations"][handle] = {"status": "RUNNING", "result": None, "error": None}
            threading.Thread(target=self.run, args=(session, operation, value["statement"]), daemon=True).start()
            return {"operationHandle": handle}
        operation = session["operations"].get(parts[2])
        if operation is None:
            raise Refused(500, trace(("org.apache.flink.table.gateway.api.utils.SqlGatewayException", f"Can not find the submitted operation in the OperationManager with the {parts[2]}.")))
        if parts[3] == "close":
            del session["operations"][parts[2]]
            return {"status": "CLOSED"}
        if parts[3] == "cancel":
            if operation["status"] in ("RUNNING", "FINISHED"):
                operation["status"] = "CANCELED"
                if operation["result"] and "cancel" in operation["result"]:
                    operation["result"]["cancel"]()
            return {"status": operation["status"]}
        if parts[3] == "status":
            return {"status": operation["status"]}
        return self.fetch(version, parts, operation, query.partition("=")[2])

    def run(self, session, operation, statement):
        try:
            with self.lock:
                operation["result"] = self.execute(session, statement)
            status = "FINISHED"
        except Refused as refused:
            operation["error"], status = refused, "ERROR"
        if operation["status"] == "RUNNING":
            operation["status"] = status

    def fetch(self, version, parts, operation, row_format):
        if operation["status"] == "RUNNING":
            return {"resultType": "NOT_READY", "nextResultUri": f"{version}/sessions/{parts[0]}/operations/{parts[2]}/result/{parts[4]}?rowFormat={row_format}"}
        if operation["error"]:
            raise operation["error"]
        if operation["status"] != "FINISHED":
            raise Refused(500, *server_trace(("org.apache.flink.table.gateway.api.utils.SqlGatewayException", f"Can not fetch results from the {parts[2]} in {operation['status']} status.")))
        given, token = operation["result"], int(parts[4])
        # Rows come a few at a time. What a token stood for once it always does; rows of a query that goes on may come later.
        pages = operation.setdefault("pages", [])
        if token == len(pages):
            start = pages[-1][1] if pages else 0
            pages.append((start, min(start + 2, len(given["rows"]))))
        start, end = pages[token]
        is_last = given.get("ended", True) and start == len(given["rows"])
        answer = {"resultType": "EOS" if is_last else "PAYLOAD", "isQueryResult": given["isQueryResult"], "resultKind": given["resultKind"],
                  "results": {"columns": given["columns"], "rowFormat": row_format,
                              "data": [{"kind": "INSERT", "fields": [self.field(f, row_format) for f in row]} for row in given["rows"][start:end]]}}
        if given["jobID"]:
            answer["jobID"] = given["jobID"]
        if not is_last:
            answer["nextResultUri"] = f"{version}/sessions/{parts[0]}/operations/{parts[2]}/result/{token + 1}?rowFormat={row_format}"
        return answer

    @staticmethod
    def field(value, row_format):
        return value if row_format == "JSON" or value is None else str(value)


class Jobs:
    """A JobManager that is made up. A job comes up after a few looks at it."""

    slots = 4

    def __init__(self):
        self.all, self.triggers = {}, {}

    def add(self, name, parallelism, fate):
        """`fate`: runs, ends, fails, restarts or waits."""
        job = uuid.uuid4().hex
        self.all[job] = {"name": name, "fate": fate, "parallelism": parallelism, "looks": 0, "start": int(time.time() * 1000), "end": -1, "state": "CREATED"}
        return job

    def state(self, job):
        if job["state"] in ("CREATED", "RUNNING", "RESTARTING"):
            looks = job["looks"]
            job["state"] = "CREATED" if looks < 1 else "RUNNING"
            if looks >= 3 and job["fate"] in ("ends", "fails"):
                job["state"] = {"ends": "FINISHED", "fails": "FAILED"}[job["fate"]]
            if looks >= 2 and job["fate"] == "restarts":
                job["state"] = "RESTARTING"
            if job["state"] in ("FINISHED", "FAILED"):
                job["end"] = int(time.time() * 1000)
        return job["state"]

    def task_state(self, job):
        state = self.state(job)
        if state == "RUNNING":
            if job["fate"] == "waits":
                return "SCHEDULED"
            return "RUNNING" if job["looks"] >= 3 else "DEPLOYING"
        return {"CREATED": "CREATED", "RESTARTING": "SCHEDULED"}.get(state, state)

    def times(self, job):
        end = job["end"] if job["end"] >= 0 else int(time.time() * 1000)
        return {"start-time": job["start"], "end-time": job["end"], "duration": end - job["start"]}

    def __call__(self, method, path, value):
        path, _, _ = path.partition("?")
        parts = re.sub(r"^/v1", "", path).split("/")[1:]
        if parts == ["config"]:
            return {"refresh-interval": 3000, "timezone-name": "Coordinated Universal Time", "timezone-offset": 0, "flink-version": "2.3.0", "flink-revision": "0 @ 2026"}
        if parts == ["overview"]:
            states = [self.state(job) for job in self.all.values()]
            return {"taskmanagers": 2, "slots-total": self.slots, "slots-available": self.slots - sum(s == "RUNNING" for s in states), "jobs-running": states.count("RUNNING"),
                    "jobs-finished": states.count("FINISHED"), "jobs-cancelled": states.count("CANCELED"), "jobs-failed": states.count("FAILED"), "flink-version": "2.3.0", "flink-commit": "0"}
        if parts == ["jobs", "overview"]:
            return {"jobs": [{"jid": id, "name": job["name"], "state": self.state(job), **self.times(job), "last-modification": job["start"],
                              "tasks": {"total": job["parallelism"], self.task_state(job).lower(): job["parallelism"]}} for id, job in self.all.items()]}
        id = parts[1]
        job = self.all.get(id)
        if job is None:
            raise Refused(404, trace(("org.apache.flink.runtime.rest.NotFoundException", f"Job {id} not found"), ("org.apache.flink.runtime.messages.FlinkJobNotFoundException", f"Could not find Flink job ({id})")))
        if method == "PATCH":
            if job["end"] < 0:
                job["state"], job["end"] = "CANCELED", int(time.time() * 1000)
            return {}
        if parts[2:] == ["stop"]:
            if not value.get("targetDirectory"):
                raise Refused(400, "Config key [execution.checkpointing.savepoint-dir] is not set. Property [targetDirectory] must be provided.")
            trigger = value.get("triggerId") or uuid.uuid4().hex
            self.triggers.setdefault(trigger, {"looks": 0, "to": value["targetDirectory"] + "/savepoint-" + id[:6] + "-" + trigger[:12], "drain": value.get("drain", False)})
            return {"request-id": trigger}
        if parts[2:3] == ["savepoints"]:
            trigger = self.triggers[parts[3]]
            trigger["looks"] += 1
            if trigger["looks"] < 3:
                return {"status": {"id": "IN_PROGRESS"}}
            if job["fate"] == "waits" or job["end"] >= 0:
                failure = trace(("java.util.concurrent.CompletionException", "org.apache.flink.runtime.checkpoint.CheckpointException: Checkpoint triggering task Source: a of job is not being executed at the moment."),
                                ("org.apache.flink.runtime.checkpoint.CheckpointException", "Checkpoint triggering task Source: a of job is not being executed at the moment. Failure reason: Not all required tasks are currently running."))
                return {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"class": "java.util.concurrent.CompletionException", "stack-trace": failure, "serialized-throwable": ""}}}
            job["state"], job["end"] = "FINISHED", int(time.time() * 1000)
            return {"status": {"id": "COMPLETED"}, "operation": {"location": trigger["to"]}}
        if parts[2:] == ["exceptions"]:
            entries = []
            if self.state(job) in ("FAILED", "RESTARTING"):
                entries = [{"exceptionName": "org.apache.flink.runtime.JobException", "timestamp": job["start"] + 5, "taskName": "Source: a[1] -> Calc[2] (1/1) - execution #0", "failureLabels": {}, "concurrentExceptions": [],
                            "stacktrace": trace(("org.apache.flink.runtime.JobException", "Recovery is suppressed by NoRestartBackoffTimeStrategy"), ("java.lang.ArithmeticException", "/ by zero"))}]
            return {"exceptionHistory": {"entries": entries, "truncated": False}}
        if parts[2:] == ["checkpoints"]:
            latest = {"completed": {"id": 7, "status": "COMPLETED", "latest_ack_timestamp": job["start"] + 1000, "end_to_end_duration": 12, "state_size": 3456, "external_path": f"file:/checkpoints/{id}/chk-7"},
                      "savepoint": None, "failed": None, "restored": None}
            return {"counts": {"restored": 0, "total": 8, "in_progress": 0, "completed": 7, "failed": 1}, "summary": {}, "latest": latest, "history": []}
        job["looks"] += 1
        state, tasks = self.state(job), self.task_state(job)
        vertex = {"id": uuid.uuid5(uuid.NAMESPACE_OID, id).hex, "name": "Source: a[1] -> Calc[2] -> b[3]: Writer", "parallelism": job["parallelism"], "maxParallelism": 128, "status": tasks, "start-time": job["start"],
                  "end-time": job["end"], "duration": 1, "tasks": {tasks: job["parallelism"]},
                  "metrics": {"read-bytes": 10, "read-bytes-complete": True, "write-bytes": 20, "write-bytes-complete": True, "read-records": 1234, "read-records-complete": True, "write-records": 5678, "write-records-complete": True}}
        return {"jid": id, "name": job["name"], "isStoppable": False, "state": state, **self.times(job), "now": int(time.time() * 1000), "timestamps": {state: job["start"]}, "vertices": [vertex] if state != "CREATED" else [],
                "status-counts": {tasks: job["parallelism"]}, "plan": {}}


class MadeUp:
    """Knows as much SQL as the tests write."""

    def __init__(self, jobs):
        self.jobs = jobs

    def __call__(self, session, statement):
        text = " ".join(statement.split()).rstrip("; ")
        upper = text.upper()
        validation, parser = "org.apache.flink.table.api.ValidationException", "org.apache.flink.table.api.SqlParserException"
        if match := re.match(r"(?i)SET '([^']+)' = '([^']*)'", text):
            session["properties"][match[1]] = match[2]
            return done()
        if match := re.match(r"(?i)CREATE (?:TEMPORARY )?(?:TABLE|VIEW) (\w+)", text):
            session["tables"][match[1]] = text
            return done()
        if upper.startswith(("INSERT INTO", "EXECUTE STATEMENT SET")):
            for name in re.findall(r"(?i)(?:INTO|FROM) (\w+)", text):
                if name not in session["tables"]:
                    column = statement.upper().find(name.upper()) + 1
                    place = f"From line 1, column {column} to line 1, column {column + len(name) - 1}"
                    raise Refused(500, *server_trace((validation, f"SQL validation failed. {place}: Object '{name}' not found"), ("org.apache.calcite.runtime.CalciteContextException", f"{place}: Object '{name}' not found"),
                                                     ("org.apache.calcite.sql.validate.SqlValidatorException", f"Object '{name}' not found")))
                if "'nothing'" in session["tables"][name]:
                    raise Refused(500, *server_trace((validation, f"Unable to create a sink for writing table 'default_catalog.default_database.{name}'.\n\nTable options are:\n\n'connector'='nothing'"),
                                                     (validation, "Cannot discover a connector using option: 'connector'='nothing'"),
                                                     (validation, "Could not find any factory for identifier 'nothing' that implements 'org.apache.flink.table.factories.DynamicTableFactory' in the classpath.\n\n"
                                                      "Available factory identifiers are:\n\nblackhole\ndatagen\nfilesystem\nprint")))
            sources = " ".join(session["tables"][name] for name in re.findall(r"(?i)FROM (\w+)", text))
            fate = "fails" if re.search(r"/ 0\b", text) else "ends" if "'number-of-rows'" in sources else "runs"
            settings = session["properties"]
            if "restart-strategy.type" in settings and fate == "fails" and settings["restart-strategy.type"] != "none":
                fate = "restarts"
            if int(settings.get("parallelism.default", "1")) > self.jobs.slots:
                fate = "waits"
            job = self.jobs.add(settings.get("pipeline.name", "insert-into_default_catalog.default_database"), int(settings.get("parallelism.default", "1")), fate)
            return result([("job id", "VARCHAR")], [[job]], job)
        if match := re.match(r"(?i)SELECT \* FROM \(VALUES (.*)\) AS t\((.*)\)", text):
            rows = [[int(x), y] for x, y in re.findall(r"\((\d+), '(\w+)'\)", match[1])]
            return result([("x", "INTEGER"), ("y", "CHAR")], rows, self.jobs.add("collect", 1, "ends"), True)
        if match := re.match(r"(?i)SELECT \* FROM (\w+)", text):
            return result([("x", "INTEGER"), ("y", "VARCHAR")], [[1, "a"]] * 1000, self.jobs.add("collect", 1, "runs"), True)
        raise Refused(500, *server_trace((parser, "SQL parse failed. Non-query expression encountered in illegal context"),
                                         ("org.apache.calcite.sql.parser.SqlParseException", "Non-query expression encountered in illegal context"),
                                         ("org.apache.calcite.runtime.CalciteException", "Non-query expression encountered in illegal context")))


class PyFlink:
    """Statements on a cluster, through Flink's Python API: a TableEnvironment for each session."""

    def __init__(self, home, rest):
        os.environ["FLINK_HOME"] = home
        from urllib.parse import urlsplit

        from pyflink.table import EnvironmentSettings, TableEnvironment

        self.settings, self.environment = EnvironmentSettings, TableEnvironment
        parts = urlsplit(rest)
        self.configuration = {"execution.target": "remote", "execution.attached": "false", "rest.address": parts.hostname, "rest.port": str(parts.port or 8081)}

    def __call__(self, session, statement):
        from py4j.protocol import Py4JJavaError

        try:
            if "environment" not in session:
                session["environment"] = self.environment.create(self.settings.in_streaming_mode())
                for name, value in {**self.configuration, **session["properties"]}.items():
                    session["environment"].get_config().set(name, value)
            if match := re.match(r"(?is)\s*SET\s+'([^']+)'\s*=\s*'((?:[^']|'')*)'", statement):
                session["environment"].get_config().set(match[1], match[2].replace("''", "'"))
                session["properties"][match[1]] = match[2]
                return done()
            table = session["environment"].execute_sql(statement.strip().rstrip(";") + (";" if re.match(r"(?i)\s*EXECUTE STATEMENT SET", statement) else ""))
            client = table.get_job_client()
            job = str(client.get_job_id()) if client else None
            schema = table._j_table_result.getResolvedSchema()
            columns = [(c.getName(), c.getDataType().getLogicalType().getTypeRoot().toString()) for c in schema.getColumns()]
            if re.match(r"(?i)\s*(INSERT|EXECUTE)", statement):
                return result([("job id", "VARCHAR")], [[job]], job)
            if job is None:
                return done()
            given = {**result(columns, [], job, True), "ended": False, "cancel": client.cancel}
            threading.Thread(target=self.collect, args=(table, given), daemon=True).start()
            return given
        except Py4JJavaError as error:
            # Its text is a line of py4j's, then the trace as Java prints it.
            raise Refused(500, "Internal server error.", "<Exception on server side:\n" + str(error).partition("\n")[2].removeprefix(": ") + "\nEnd of exception on server side>") from None
        except Exception as error:
            # What pyflink makes of an exception that it knows: the message, then the trace.
            raise Refused(500, "Internal server error.", "<Exception on server side:\norg.apache.flink.table.api.TableException: " + str(error) + "\nEnd of exception on server side>") from None

    @staticmethod
    def collect(table, given):
        try:
            with table.collect() as rows:
                for row in rows:
                    given["rows"].append(list(row))
        finally:
            # An error of the job is the JobManager's to tell.
            given["ended"] = True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--forward")
    parser.add_argument("--forward-rest")
    parser.add_argument("--flink")
    parser.add_argument("--rest")
    parser.add_argument("--versions", default="V1,V2,V3,V4")
    options = parser.parse_args()
    faults, log = [], {"requests": [], "problems": [], "headers": {}}
    rest = None
    if options.forward:
        gateway = Forward(options.forward)
        if options.forward_rest:
            rest = Server(API("jobmanager_api.json"), Forward(options.forward_rest), faults, log).url
    elif options.flink:
        rest = options.rest
        flink = PyFlink(options.flink, options.rest)
        gateway = Gateway(flink, flink.configuration, options.versions.split(","))
    else:
        jobs = Jobs()
        rest = Server(API("jobmanager_api.json"), jobs, faults, log).url
        gateway = Gateway(MadeUp(jobs), {"rest.address": "127.0.0.1", "rest.port": rest.rpartition(":")[2]}, options.versions.split(","))
    server = Server(API("gateway_api.json"), gateway, faults, log)
    print(json.dumps({"gateway": server.url, "rest": rest}), flush=True)
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)


if __name__ == "__main__":
    main()
