#!/usr/bin/env python3
"""Runs Flink SQL scripts on a Flink cluster, each to the end of its jobs, and says what happened as JSON lines.

    flink_runner.py --flink-home DIR --rest http://127.0.0.1:8081 script.sql ...
    flink_runner.py --flink-home DIR --rest http://127.0.0.1:8081 --loop      one JSON request a line on standard input

FLINK_HOME is a Flink distribution, or `site-packages/pyflink` where apache-flink or apache-flink-libraries is installed.
Of the latter its jars are used and py4j, nothing else. Java 11, 17 or 21 is needed, found by JAVA_HOME or on the path.

A request of --loop: {"id": any, "script": text} or {"id": any, "file": path}, and if wanted "timeout": seconds,
"settings": {key: value} and "collect": true, with which the rows of queries and INSERTs are sent back (nothing is
written by the INSERTs then). One answer for each, in order:

    {"id": .., "ok": true, "statements": n, "seconds": s, "jobs": [{"statement": i, "id": job, "seconds": s}], "results": [..]}
    {"id": .., "ok": false, "statement": i, "sql": text, "category": c, "message": root cause, "messages": [every cause], "seconds": s}

Statements are counted from 0. A category is parse, validate, plan, runtime, timeout or cluster (it cannot be reached).
A result: {"statement": i, "table": name of the sink or null, "columns": [[name, type], ..], "changes": [[kind, [text or null, ..]], ..]}
with kinds +I, -U, +U and -D, and values as CAST to STRING gives them, in the session's time zone.

Exit: 0 when every script ran, 1 when one was refused or failed, 2 when Flink could not be started or the call is wrong.
"""
import argparse
import glob
import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

# What Flink's own configuration opens for Java 17 and later; Java 11 takes the same words.
JAVA_OPENS = [f"--add-exports={package}=ALL-UNNAMED" for package in (
    "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5")] + [
    f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in (
        "java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text", "java.time",
        "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks")]

# Scripts may set others. The watermark is renewed at each row, so that which rows are late does not depend on the clock;
# a job that fails says so at once, where Flink's default would start it again and again.
SETTINGS = {
    "execution.runtime-mode": "streaming",
    "parallelism.default": "1",
    "pipeline.auto-watermark-interval": "0 ms",
    "restart-strategy.type": "none",
    "table.local-time-zone": "UTC",
}

KINDS = {"INSERT": "+I", "UPDATE_BEFORE": "-U", "UPDATE_AFTER": "+U", "DELETE": "-D"}


class Failed(Exception):
    """The call is wrong, or there is no Flink to run it on."""


class Deadline:
    """When a script has to be through."""

    def __init__(self, began, seconds):
        self.began, self.seconds = began, seconds

    def left(self):
        return self.began + self.seconds - time.monotonic()

    def passed(self, what):
        return f"{what} was cancelled: its script was not through after {self.seconds:g} s"


def statements(text):
    """The statements of a script, without their semicolons; a statement set is one, from EXECUTE or BEGIN to its END."""
    pieces, start, i, n = [], 0, 0, len(text)
    current = []

    def take(end):
        current.append(text[start:end])

    while i < n:
        c = text[i]
        if text.startswith("--", i):
            take(i)
            i = text.find("\n", i)
            i = n if i < 0 else i
            start = i
        elif text.startswith("/*", i) and not text.startswith("/*+", i):
            take(i)
            i = text.find("*/", i + 2)
            i = n if i < 0 else i + 2
            current.append(" ")
            start = i
        elif c in "'\"`":
            # A doubled quote is one that closes and one that opens.
            i = text.find(c, i + 1)
            i = n if i < 0 else i + 1
        elif c == ";":
            take(i)
            pieces.append("".join(current).strip())
            current = []
            i += 1
            start = i
        else:
            i += 1
    take(n)
    pieces.append("".join(current).strip())

    found, group = [], None
    for piece in pieces:
        words = piece.upper().split()
        if group is None and words[:4] == ["EXECUTE", "STATEMENT", "SET", "BEGIN"] or words[:3] == ["BEGIN", "STATEMENT", "SET"]:
            rest = piece.split(None, 4 if words[0] == "EXECUTE" else 3)[4 if words[0] == "EXECUTE" else 3:]
            group = rest
        elif group is not None and words == ["END"]:
            found.append("EXECUTE STATEMENT SET BEGIN\n" + "".join(f"{s};\n" for s in group) + "END")
            group = None
        elif group is not None:
            group += [piece] if piece else []
        elif piece:
            found.append(piece)
    if group is not None:
        found.append("EXECUTE STATEMENT SET BEGIN\n" + "".join(f"{s};\n" for s in group))
    return found


def setting(sql):
    """(key, value) of a SET; (key, None) of a RESET, key None for all; nothing for other statements."""
    words = sql.split(None, 1)
    if not words or words[0].upper() not in ("SET", "RESET"):
        return None
    rest = words[1].strip() if len(words) > 1 else ""

    def bare(text):
        text = text.strip()
        return text[1:-1].replace("''", "'") if len(text) > 1 and text[0] == text[-1] == "'" else text

    if words[0].upper() == "RESET":
        return bare(rest) or None, None
    key, equals, value = rest.partition("=")
    return (bare(key), bare(value)) if equals else None


def find_py4j(home):
    """Where py4j is imported from: this Python's own, or the one that comes with Flink."""
    try:
        import py4j  # noqa: F401
        return
    except ImportError:
        pass
    places = glob.glob(os.path.join(home, "opt", "python", "py4j*.zip")) + [
        os.path.dirname(path) for path in glob.glob(os.path.join(os.path.dirname(home), "py4j"))]
    if not places:
        raise Failed(f"py4j is neither installed for {sys.executable} nor beside {home}; pip install py4j==0.10.9.7")
    sys.path.append(places[0])


def find_java():
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    if not java or not os.access(java, os.X_OK):
        raise Failed("no java found by JAVA_HOME or on the path; install Java 11, 17 or 21")
    return java


def die_with_parent():
    """Runs in the child: the kernel ends it when this process is gone, however that ended (Linux only)."""
    try:
        import ctypes
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except Exception:
        pass


class Flink:
    """A Java process with Flink's classes, spoken to through py4j."""

    def __init__(self, home, heap):
        home = os.path.abspath(home)
        jars = sorted(glob.glob(os.path.join(home, "lib", "*.jar")))
        python_jar = glob.glob(os.path.join(home, "opt", "flink-python*.jar"))
        if not jars or not python_jar:
            raise Failed(f"{home} holds no Flink: lib/*.jar or opt/flink-python*.jar is missing")
        find_py4j(home)
        from py4j.java_gateway import GatewayParameters, JavaGateway
        # What goes wrong is raised as an error too; at the end it complains about each object that it cannot free any more.
        logging.disable(logging.CRITICAL)
        self.directory = tempfile.mkdtemp(prefix="flink-runner-")
        self.token = secrets.token_hex(16)
        log = os.path.join(self.directory, "log4j.properties")
        with open(log, "w", encoding="utf-8") as file:
            file.write("rootLogger.level = WARN\nrootLogger.appenderRef.file.ref = File\n"
                       "appender.file.name = File\nappender.file.type = FILE\nappender.file.fileName = ${sys:log.file}\n"
                       "appender.file.layout.type = PatternLayout\nappender.file.layout.pattern = %d %-5p %c %m%n\n")
        # Flink wants the file to be there; what matters is among each script's settings.
        with open(os.path.join(self.directory, "config.yaml"), "w", encoding="utf-8") as file:
            file.write("rest.address: 127.0.0.1\n")
        self.log = os.path.join(self.directory, "client.log")
        # The Java process ends when its standard input does, which this process holds.
        self.errors = open(os.path.join(self.directory, "stderr"), "w+b")
        self.process = subprocess.Popen(
            [find_java(), f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={self.directory}", f"-Dlog.file={self.log}",
             f"-Dlog4j.configurationFile={log}", "-Dfile.encoding=UTF-8", *JAVA_OPENS, "-cp", os.pathsep.join(jars + python_jar),
             "org.apache.flink.api.python.shaded.py4j.GatewayServer", "--die-on-broken-pipe", "--enable-auth", "0"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, preexec_fn=die_with_parent,
            env={**os.environ, "FLINK_CONF_DIR": self.directory, "FLINK_PLUGINS_DIR": os.path.join(home, "plugins")})
        port, token = self.process.stdout.readline().strip(), self.process.stdout.readline().strip()
        if not port.isdigit():
            self.process.wait()
            self.errors.seek(0)
            raise Failed("Java did not start: " + self.errors.read().decode(errors="replace").strip()[-2000:])
        # The rest of what it prints is of no use, and a full pipe would stop it.
        threading.Thread(target=lambda: self.process.stdout.read(), daemon=True).start()
        self.gateway = JavaGateway(gateway_parameters=GatewayParameters(
            address="127.0.0.1", port=int(port), auth_token=token.decode(), auto_convert=True))
        self.jvm = self.gateway.jvm

    def close(self):
        try:
            self.gateway.close()
        except Exception:
            pass
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # One script

    def environment(self, settings):
        configuration = self.jvm.org.apache.flink.configuration.Configuration()
        for key, value in settings.items():
            configuration.setString(key, value)
        made = self.jvm.org.apache.flink.table.api.EnvironmentSettings.newInstance().withConfiguration(configuration).build()
        return self.jvm.org.apache.flink.table.api.TableEnvironment.create(made)

    def run(self, text, settings, timeout, collect):
        """The answer to one request, without its id."""
        from py4j.protocol import Py4JError, Py4JJavaError
        began = time.monotonic()
        script = statements(text)
        # What is set before anything is made is there when the environment is: some settings cannot be changed later.
        first = next((i for i, sql in enumerate(script) if setting(sql) is None), len(script))
        chosen = dict(settings)
        for key, value in map(setting, script[:first]):
            if value is not None:
                chosen[key] = value
            else:
                chosen = dict(settings) if key is None else {k: v for k, v in chosen.items() if k != key}
        index, jobs, results = 0, [], []

        def failed(category, messages):
            sql = script[index] if index < len(script) else ""
            return {"ok": False, "statement": index, "sql": sql[:4000], "category": category, "message": messages[-1], "messages": messages,
                    "jobs": jobs, "results": results, "seconds": round(time.monotonic() - began, 3)}
        try:
            environment = self.environment(chosen)
            for index in range(first, len(script)):
                changed = setting(script[index])
                if changed is not None:
                    if changed[1] is not None:
                        environment.getConfig().set(*changed)
                    continue
                self.execute(environment, script[index], index, Deadline(began, timeout), collect, jobs, results)
        except TimeoutError as error:
            return failed("timeout", [str(error)])
        except Py4JJavaError as error:
            return failed(*self.causes(error.java_exception))
        except Py4JError as error:
            return failed("cluster", [f"the Java process failed: {error}"])
        answer = {"ok": True, "statements": len(script), "jobs": jobs, "seconds": round(time.monotonic() - began, 3)}
        return {**answer, "results": results} if collect or results else answer

    def execute(self, environment, sql, index, deadline, collect, jobs, results):
        operations = environment.getParser().parse(sql)
        operation = operations.get(0)
        kind = operation.getClass().getSimpleName()
        if kind == "StatementSetOperation" and collect:
            for inner in operation.getOperations():
                self.query(environment, inner.getChild(), inner, index, deadline, jobs, results)
        elif kind == "SinkModifyOperation" and collect:
            # Its query alone would be planned without what the sink asks for.
            api = self.jvm.org.apache.flink.table.api
            environment.explainSql(sql, api.ExplainFormat.TEXT, self.gateway.new_array(api.ExplainDetail, 0))
            self.query(environment, operation.getChild(), operation, index, deadline, jobs, results)
        elif kind.endswith("QueryOperation"):
            self.query(environment, operation, None, index, deadline, jobs, results)
        else:
            result = environment.executeSql(sql)
            client = result.getJobClient()
            if client.isPresent():
                self.wait(client.get(), index, deadline, jobs)

    def wait(self, client, index, deadline, jobs):
        """Waits until a job has ended by itself; one that takes too long is cancelled."""
        began = time.monotonic()
        id = client.getJobID().toString()
        done = client.getJobExecutionResult()
        wait = 0.005
        while not done.isDone():
            if deadline.left() <= 0:
                client.cancel()
                raise TimeoutError(deadline.passed(f"job {id}"))
            time.sleep(wait)
            wait = min(wait * 1.5, 0.1)
        done.get()
        jobs.append({"statement": index, "id": id, "seconds": round(time.monotonic() - began, 3)})

    def query(self, environment, operation, sink, index, deadline, jobs, results):
        """Runs a query, or that of an INSERT, and keeps its changes."""
        began = time.monotonic()
        result = environment.executeInternal(operation)
        columns = [[c.getName(), c.getDataType().getLogicalType().asSummaryString()] for c in result.getResolvedSchema().getColumns()]
        table = None
        if sink is not None:
            table = sink.getContextResolvedTable().getIdentifier().getObjectName()
            names = [c.getName() for c in sink.getContextResolvedTable().getResolvedSchema().getColumns() if c.isPersisted()]
            if len(names) == len(columns):
                columns = [[name, type] for name, (_, type) in zip(names, columns)]
        client = result.getJobClient()
        late = threading.Event()

        def cancel():
            late.set()
            if client.isPresent():
                client.get().cancel()

        timer = threading.Timer(max(deadline.left(), 0), cancel)
        timer.daemon = True
        timer.start()
        changes = []
        try:
            converter = result.getRowDataToStringConverter()
            # One call for all values of a row, as each call goes to another process and back.
            pack = self.jvm.org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper().writeValueAsString
            rows = result.collectInternal()
            try:
                while rows.hasNext():
                    row = rows.next()
                    values = json.loads(pack(converter.convert(row)))
                    values = [None if v == "<NULL>" and row.isNullAt(i) else v for i, v in enumerate(values)]
                    changes.append([KINDS[row.getRowKind().toString()], values])
            finally:
                rows.close()
        except Exception:
            if late.is_set():
                raise TimeoutError(deadline.passed("a query")) from None
            raise
        finally:
            timer.cancel()
        if client.isPresent():
            jobs.append({"statement": index, "id": client.get().getJobID().toString(), "seconds": round(time.monotonic() - began, 3)})
        results.append({"statement": index, "table": table, "columns": columns, "changes": changes})

    def causes(self, error):
        """(category, messages of all causes, the innermost last)"""
        messages, classes, seen = [], [], 0
        while error is not None and seen < 30:
            name = error.getClass().getName()
            classes.append(name.rsplit(".", 1)[-1])
            message = error.getMessage()
            # An outer message is often the inner one, with its class before it.
            messages.append(str(message).strip() if message else name)
            error, seen = error.getCause(), seen + 1
        every = " ".join(classes) + " " + " ".join(messages)
        category = next((kind for words, kind in (
            (("SqlParserException", "SqlParserEOFException", "SqlParseException"), "parse"),
            (("RestClientException", "ConnectException", "RestHandlerException", "RetryException", "JobSubmissionException"), "cluster"),
            (("JobExecutionException", "JobException", "Failed to fetch next result", "JobCancellationException"), "runtime"),
            (("ValidationException",), "validate")) if any(word in every for word in words)), "plan")
        return category, [m for i, m in enumerate(messages) if m not in messages[:i]]


def settings_for(rest, given):
    settings = dict(SETTINGS)
    if rest:
        from urllib.parse import urlsplit
        url = urlsplit(rest if "//" in rest else "//" + rest)
        if not url.hostname or not url.port:
            raise Failed(f"'{rest}' is no address of a cluster; write http://HOST:PORT")
        settings.update({"execution.target": "remote", "rest.address": url.hostname, "rest.port": str(url.port)})
    else:
        settings.update({"execution.target": "local", "taskmanager.memory.network.max": "64mb"})
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals:
            raise Failed(f"'{pair}' is no setting; write KEY=VALUE")
        settings[key] = value
    return settings


def say(answer):
    sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def requests(arguments):
    """The requests, as objects; what is no request is answered and left out."""
    if not arguments.loop:
        for path in arguments.scripts:
            yield {"id": path, "file": path}
        return
    for line in sys.stdin:
        if line.strip():
            try:
                request = json.loads(line)
                if not isinstance(request, dict) or ("script" in request) == ("file" in request):
                    raise ValueError("a request is an object with either 'script' or 'file'")
                yield request
            except ValueError as error:
                say({"id": None, "ok": False, "statement": 0, "sql": "", "category": "parse", "message": str(error), "messages": [str(error)], "seconds": 0})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*")
    parser.add_argument("--flink-home", default=os.environ.get("FLINK_HOME"))
    parser.add_argument("--rest", metavar="URL", help="the JobManager; without it jobs run within this process's own Java")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting that scripts may set again")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS", help="for each script")
    parser.add_argument("--collect", action="store_true", help="send rows back; INSERTs then write nothing")
    parser.add_argument("--loop", action="store_true", help="requests on standard input")
    parser.add_argument("--heap", default="512m", help="of the Java process")
    arguments = parser.parse_args()
    bad = False
    flink = None
    # Java and the folder with its files go, too, when this is told to end.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        if not arguments.flink_home:
            raise Failed("--flink-home DIR is needed")
        settings = settings_for(arguments.rest, arguments.set)
        flink = Flink(arguments.flink_home, arguments.heap)
        for request in requests(arguments):
            try:
                text = request["script"] if "script" in request else open(request["file"], encoding="utf-8").read()
                answer = flink.run(text, {**settings, **request.get("settings", {})}, float(request.get("timeout", arguments.timeout)),
                                   bool(request.get("collect", arguments.collect)))
            except (OSError, UnicodeDecodeError) as error:
                answer = {"ok": False, "statement": 0, "sql": "", "category": "parse", "message": str(error), "messages": [str(error)], "seconds": 0}
            bad = bad or not answer["ok"]
            say({"id": request.get("id"), **answer})
    except Failed as error:
        say({"ok": False, "category": "cluster", "message": str(error), "messages": [str(error)]})
        return 2
    finally:
        if flink is not None:
            flink.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
