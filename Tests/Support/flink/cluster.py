#!/usr/bin/env python3
"""A standalone Flink cluster on loopback: one JobManager and two TaskManagers, in processes of their own.

    cluster.py serve --flink-home DIR [--taskmanagers 2] [--slots 4] [--set KEY=VALUE]...

prints one JSON line, {"rest": URL, "directory": .., "pids": [..], "taskmanagers": n, "slots": n}, when all TaskManagers are
registered, and ends the processes when it is told to (SIGTERM, SIGINT), when its standard input ends (with --until-eof), or
when its parent is gone. When the cluster does not come up, the logs' last lines are printed and the exit status is 1.

In Python:  with Cluster(flink_home) as cluster: cluster.rest
"""
import argparse
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

# What Flink's own configuration opens for Java 17.
JAVA_OPENS = [f"--add-exports={package}=ALL-UNNAMED" for package in (
    "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5")] + [
    f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in (
        "java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text", "java.time",
        "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks")]


class ClusterError(Exception):
    pass


def find_java():
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    if not java or not os.access(java, os.X_OK):
        raise ClusterError("no java found by JAVA_HOME or on the path; install Java 11, 17 or 21")
    return java


def free_ports(count):
    """Ports that nobody listens on now; all are held while the others are looked for, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def die_with_parent():
    """Runs in the child: the kernel ends it when this process is gone, however that ended (Linux only)."""
    try:
        import ctypes
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except Exception:
        pass


class Cluster:
    def __init__(self, flink_home, taskmanagers=2, slots=4, settings=None, seconds=120, keep=False):
        self.home = os.path.abspath(flink_home)
        if not glob.glob(os.path.join(self.home, "lib", "flink-dist*.jar")):
            raise ClusterError(f"{self.home} holds no Flink: there is no lib/flink-dist*.jar")
        self.taskmanagers, self.slots, self.settings, self.seconds, self.keep = taskmanagers, slots, settings or {}, seconds, keep
        self.processes = []
        self.rest = self.directory = None

    def __enter__(self):
        # A free port may be taken by another process before Java binds it: that is seen as a JobManager that ends, and tried again.
        for attempt in range(3):
            try:
                self.start()
                return self
            except ClusterError as error:
                taken = "Address already in use" in str(error) or "BindException" in str(error)
                self.close()
                if attempt == 2 or not taken:
                    raise
            except BaseException:
                # Also Ctrl-C, and what end_on_signals raises: no __exit__ follows an __enter__ that does not return.
                self.close()
                raise
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        self.directory = tempfile.mkdtemp(prefix="flink-cluster-")
        rest, rpc = free_ports(2)
        conf = os.path.join(self.directory, "conf")
        for folder in ("conf", "log", "tmp", "checkpoints", "savepoints"):
            os.mkdir(os.path.join(self.directory, folder))
        values = {
            "jobmanager.rpc.address": "127.0.0.1", "jobmanager.rpc.port": rpc, "jobmanager.bind-host": "127.0.0.1",
            "rest.address": "127.0.0.1", "rest.bind-address": "127.0.0.1", "rest.port": rest, "rest.bind-port": rest,
            "taskmanager.host": "127.0.0.1", "taskmanager.bind-host": "127.0.0.1",
            "taskmanager.numberOfTaskSlots": self.slots,
            # A TaskManager that is started without Flink's shell scripts must be told all parts of its memory.
            "taskmanager.cpu.cores": float(self.slots),
            "taskmanager.memory.framework.heap.size": "128m", "taskmanager.memory.framework.off-heap.size": "128m",
            "taskmanager.memory.task.heap.size": "384m", "taskmanager.memory.task.off-heap.size": "0",
            "taskmanager.memory.managed.size": "128m",
            "taskmanager.memory.network.min": "64m", "taskmanager.memory.network.max": "64m",
            "taskmanager.memory.jvm-metaspace.size": "256m",
            "taskmanager.memory.jvm-overhead.min": "128m", "taskmanager.memory.jvm-overhead.max": "128m",
            "jobmanager.memory.heap.size": "512m",
            "io.tmp.dirs": os.path.join(self.directory, "tmp"), "web.tmpdir": os.path.join(self.directory, "tmp"),
            "execution.checkpointing.dir": "file://" + os.path.join(self.directory, "checkpoints"),
            "execution.checkpointing.savepoint-dir": "file://" + os.path.join(self.directory, "savepoints"),
            # Tests want a job's failure at once.
            "restart-strategy.type": "none",
            "parallelism.default": 1,
            # Slots are asked for as soon as they are free, and a busy machine answers late.
            "slot.request.timeout": 120000, "heartbeat.timeout": 120000, "pekko.ask.timeout": "60 s", "web.timeout": 60000,
            "jobmanager.execution.failover-strategy": "full",
            **self.settings,
        }
        with open(os.path.join(conf, "config.yaml"), "w", encoding="utf-8") as file:
            file.writelines(f"{key}: {json.dumps(value)}\n" for key, value in values.items())
        with open(os.path.join(conf, "log4j.properties"), "w", encoding="utf-8") as file:
            file.write("rootLogger.level = INFO\nrootLogger.appenderRef.file.ref = File\n"
                       "appender.file.name = File\nappender.file.type = FILE\nappender.file.fileName = ${sys:log.file}\n"
                       "appender.file.layout.type = PatternLayout\nappender.file.layout.pattern = %d %-5p %c - %m%n\n"
                       "logger.pekko.name = org.apache.pekko\nlogger.pekko.level = WARN\n")
        self.rest = f"http://127.0.0.1:{rest}"
        self.launch("jobmanager", "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint", ["-Xmx512m", "-XX:MaxMetaspaceSize=256m"])
        for index in range(self.taskmanagers):
            self.launch(f"taskmanager-{index}", "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
                        ["-Xms256m", "-Xmx512m", "-XX:MaxDirectMemorySize=256m", "-XX:MaxMetaspaceSize=256m"])
        deadline = time.monotonic() + self.seconds
        while True:
            for name, process in self.processes:
                if process.poll() is not None:
                    raise ClusterError(f"{name} ended with status {process.returncode}\n{self.tails()}")
            overview = self.overview()
            if overview and overview["taskmanagers"] == self.taskmanagers and overview["slots-available"] == self.taskmanagers * self.slots:
                return
            if time.monotonic() > deadline:
                raise ClusterError(f"after {self.seconds} s these are there: {overview}\n{self.tails()}")
            time.sleep(0.1)

    def launch(self, name, main, options):
        conf, log = os.path.join(self.directory, "conf"), os.path.join(self.directory, "log", name)
        path = os.pathsep.join(sorted(glob.glob(os.path.join(self.home, "lib", "*.jar"))))
        with open(log + ".out", "wb") as out:
            self.processes.append((name, subprocess.Popen(
                # Its jobs are short: code that is compiled quickly serves them better than code that runs quickly.
                [find_java(), *options, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", f"-Djava.io.tmpdir={self.directory}/tmp",
                 f"-Dlog.file={log}.log", f"-Dlog4j.configurationFile={conf}/log4j.properties", *JAVA_OPENS, "-cp", path, main, "--configDir", conf],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, preexec_fn=die_with_parent,
                env={**os.environ, "FLINK_CONF_DIR": conf, "FLINK_PLUGINS_DIR": os.path.join(self.home, "plugins")})))

    def overview(self):
        try:
            with urllib.request.urlopen(self.rest + "/overview", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return None

    def tails(self, lines=40):
        """The last lines of every log."""
        parts = []
        for path in sorted(glob.glob(os.path.join(self.directory or "", "log", "*"))):
            with open(path, encoding="utf-8", errors="replace") as file:
                last = file.readlines()[-lines:]
            if last:
                parts.append(f"--- {os.path.basename(path)}\n" + "".join(last))
        return "".join(parts)

    def close(self):
        for _, process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + 10
        for _, process in self.processes:
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
        if self.directory and not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)


def end_on_signals():
    """SIGTERM and SIGHUP end the program as an exception does, so that what it started ends with it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def serve(arguments):
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    parent = os.getppid()
    settings = dict(pair.split("=", 1) for pair in arguments.set)
    with Cluster(arguments.flink_home, arguments.taskmanagers, arguments.slots, settings, arguments.seconds, arguments.keep) as cluster:
        print(json.dumps({"rest": cluster.rest, "directory": cluster.directory, "pids": [p.pid for _, p in cluster.processes],
                          "taskmanagers": arguments.taskmanagers, "slots": arguments.slots}), flush=True)
        if arguments.until_eof:
            def read():
                while sys.stdin.buffer.read1(4096):
                    pass
                stop.set()
            threading.Thread(target=read, daemon=True).start()
        while not stop.wait(0.25):
            if os.getppid() != parent:
                break
            for name, process in cluster.processes:
                if process.poll() is not None:
                    raise ClusterError(f"{name} ended with status {process.returncode}\n{cluster.tails()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("serve")
    command.add_argument("--flink-home", required=True)
    command.add_argument("--taskmanagers", type=int, default=2)
    command.add_argument("--slots", type=int, default=4, help="of each TaskManager")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    command.add_argument("--seconds", type=float, default=120, help="how long the cluster may take to come up")
    command.add_argument("--until-eof", action="store_true", help="end when standard input does")
    command.add_argument("--keep", action="store_true", help="leave the directory with the logs")
    try:
        serve(parser.parse_args())
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
