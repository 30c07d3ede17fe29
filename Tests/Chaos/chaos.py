#!/usr/bin/env python3
"""Kills the real program at random moments, and checks that nothing is lost and nothing is there twice.

    chaos.py --binary swiftwater [--kills 300] [--seed N] [--jobs sensors,orders,files] [--keep]

Each job reads a stream of the shard log, which a generator feeds meanwhile, and is killed with SIGKILL, started again at a
parallelism drawn anew, killed again, and so on, from a few milliseconds to a few seconds after each start; now and then it
is stopped with a savepoint and goes on from that. In the end it reads what is left and ends by itself. What it has committed is
compared with what an uninterrupted run makes of the same input: equal rows, each once, and no file that is not part of a commit.

The jobs: `sensors`, the topology with windows into a stream and a Hudi table; `orders`, the one that upserts into a Hudi table;
`files`, a script that filters into part files. Standard output is a line for each job. Exit code 0 or 1.
"""
import argparse
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECK_TABLE = os.path.join(ROOT, "Tests", "Support", "hudi", "check_table.py")


class Failure(Exception):
    pass


class Home:
    """A directory with streams, tables and checkpoints of its own."""

    def __init__(self, path, binary):
        self.path, self.binary = path, binary
        self.data = os.path.join(path, "data")
        os.makedirs(self.data, exist_ok=True)

    def environment(self, **more):
        return {**os.environ, "SWIFTWATER_DATA": self.data, "START": "TRIM_HORIZON", "SWIFT_BACKTRACE": "enable=no", **more}

    def run(self, *arguments, **variables):
        done = subprocess.run([self.binary, *arguments], cwd=self.path, env=self.environment(**variables), text=True, capture_output=True)
        if done.returncode != 0:
            raise Failure(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def start(self, *arguments, log, **variables):
        return subprocess.Popen([self.binary, *arguments], cwd=self.path, env=self.environment(**variables), stdout=subprocess.DEVNULL, stderr=log)


def json_rows(text):
    """Rows in a comparable form; doubles to nine digits, as their sums depend on the order of the rows."""
    def cell(value):
        return float(f"{value:.9g}") if isinstance(value, float) else value
    return sorted(json.dumps({k: cell(v) for k, v in json.loads(line).items()}, sort_keys=True) for line in text.splitlines())


def table_rows(home, table, columns):
    return json_rows(home.run("table", "query", os.path.join(home.data, "tables", table), f"SELECT {columns} FROM t", "--output", "json"))


def check_table(home, table, key):
    done = subprocess.run([sys.executable, CHECK_TABLE, os.path.join(home.data, "tables", table), "--key", key], text=True, capture_output=True)
    if done.returncode != 0:
        raise Failure(f"table {table}: {done.stdout} {done.stderr[-2000:]}")


def compare(what, got, wanted):
    if got == wanted:
        return
    missing, extra = list(wanted), []
    for row in got:
        if row in missing:
            missing.remove(row)
        else:
            extra.append(row)
    raise Failure(f"{what}: {len(wanted)} rows wanted, {len(got)} there; {len(missing)} are missing, such as {missing[:3]}; "
                  f"{len(extra)} should not be, such as {extra[:3]}")


class Job:
    stream = "input"
    shards = 2

    def prepare(self, home):
        home.run("stream", "create", self.stream, "--shards", str(self.shards))

    def variables(self, **more):
        return {"INPUT": self.stream, "COMMIT_INTERVAL": "50 ms", **more}


class Sensors(Job):
    name = "sensors"
    file = os.path.join(ROOT, "Topologies", "sensors.yaml")
    portion = 1_500

    def feed(self, home, number):
        at = number * self.portion // 100
        start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_704_067_200 + at))
        home.run("generate", "sensors", "--seed", str(number), "--count", str(self.portion), "--start", start, "--stream", self.stream)

    def results(self, home):
        check_table(home, "sensor_state_cow", "status,hop_time")
        out = home.run("sql", "--output", "json", "-e", f"""
            CREATE TABLE s (status STRING, num INT, avg_current_temperature DOUBLE, hop_time STRING) WITH ('connector' = 'kinesis',
              'stream' = 'my-output-stream', 'log.directory' = '{home.data}', 'scan.stream.initpos' = 'TRIM_HORIZON',
              'scan.bounded.mode' = 'latest-offset', 'format' = 'json');
            SELECT * FROM s""")
        return {"table": table_rows(home, "sensor_state_cow", "status, num, avg_current_temperature AS a, CAST(hop_time AS STRING) AS h"),
                "stream": json_rows(out)}


class Orders(Job):
    name = "orders"
    file = os.path.join(ROOT, "Topologies", "orders.yaml")

    def feed(self, home, number):
        # Every second portion holds later versions of orders of the one before.
        changes = ["--changes"] if number % 2 else []
        home.run("generate", "orders", "--seed", str(number // 2), "--count", "400", "--stream", self.stream, *changes)

    def results(self, home):
        check_table(home, "order_hudi_cow", "order_id,item_id")
        # Of versions with the same time either may win; the key and the time do not depend on which.
        return {"table": table_rows(home, "order_hudi_cow", "order_id, item_id, transaction_date, time_stamp")}


class Files(Job):
    name = "files"
    portion = 1_500

    def __init__(self):
        self.file = None

    def prepare(self, home):
        super().prepare(home)
        self.out = os.path.join(home.path, "out")
        self.file = os.path.join(home.path, "files.sql")
        with open(self.file, "w") as script:
            script.write(f"""
                CREATE TABLE s (sensor_id INT, current_temperature DOUBLE, status STRING, event_time TIMESTAMP(3)) WITH ('connector' = 'kinesis',
                  'stream' = '{self.stream}', 'log.directory' = '{home.data}', 'scan.stream.initpos' = 'TRIM_HORIZON',
                  'scan.bounded.mode' = '${{BOUNDED:-unbounded}}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
                CREATE TABLE f (sensor_id INT, current_temperature DOUBLE, event_time TIMESTAMP(3), status STRING) PARTITIONED BY (status)
                WITH ('connector' = 'filesystem', 'path' = '{self.out}', 'format' = 'json', 'sink.rolling-policy.file-size' = '64kb');
                SET 'execution.checkpointing.interval' = '50 ms';
                INSERT INTO f SELECT sensor_id, current_temperature, event_time, status FROM s WHERE sensor_id > 10;""")

    def feed(self, home, number):
        home.run("generate", "sensors", "--seed", str(number), "--count", str(self.portion), "--stream", self.stream)

    def results(self, home):
        rows = []
        for path in glob.glob(os.path.join(home.path, "out", "**", "*"), recursive=True):
            name = os.path.basename(path)
            # Names that begin so are not part of the table; glob leaves those with a dot out.
            if not os.path.isfile(path) or name.startswith("_"):
                continue
            folder = os.path.basename(os.path.dirname(path))
            with open(path) as part:
                rows += [folder + " " + line.rstrip("\n") for line in part]
        hidden = [name for _, _, names in os.walk(os.path.join(home.path, "out")) for name in names if name.startswith(".")]
        if hidden:
            raise Failure(f"files: {len(hidden)} leftovers after the end, such as {hidden[:3]}")
        return {"files": sorted(rows)}


JOBS = {"sensors": Sensors, "orders": Orders, "files": Files}


class Counts:
    def __init__(self):
        self.kills = self.recoveries = self.fresh = self.savepoints = 0


def waiting_time(dice):
    """From milliseconds, when the program is about to start, to seconds, each order of magnitude as likely as the others."""
    return 0.004 * 10 ** (dice.random() * 2.9)


def note_start(log, counts):
    """What the last run said of its start."""
    log.flush()
    log.seek(0)
    text = log.read().decode(errors="replace")
    if "goes on from" in text:
        counts.recoveries += 1
    elif "starts from the beginning" in text:
        counts.fresh += 1
    return text


def attack(job, home, kills, dice, counts, verbose):
    fed, savepoint = 0, None
    job.feed(home, fed)
    fed += 1
    # The input grows evenly over the kills.
    portions = max(2, min(60, kills // 3))
    while counts.kills < kills:
        while fed < portions * (counts.kills + 1) / kills:
            job.feed(home, fed)
            fed += 1
        arguments = ["run", job.file, "--parallelism", str(dice.choice([1, 1, 2, 3, 4]))]
        if savepoint:
            arguments += ["--from-savepoint", savepoint]
            savepoint = None
        with tempfile.TemporaryFile() as log:
            process = home.start(*arguments, log=log, **job.variables())
            time.sleep(waiting_time(dice))
            if dice.random() < 0.04 and process.poll() is None:
                stopped = subprocess.run([home.binary, "stop", job.name, "--savepoint"], cwd=home.path, env=home.environment(), text=True, capture_output=True)
                if stopped.returncode == 0:
                    savepoint = stopped.stdout.strip()
                    counts.savepoints += 1
            ended = process.poll() is not None
            if ended and process.returncode not in (0,):
                raise Failure(f"{job.name} ended by itself with {process.returncode}: {note_start(log, counts)[-3000:]}")
            if not savepoint:
                process.send_signal(signal.SIGKILL)
                counts.kills += 1
            process.wait(timeout=60)
            text = note_start(log, counts)
            if "warning: checkpoint" in text and "passed over" in text:
                raise Failure(f"{job.name}: a kill left a damaged checkpoint: {text[-3000:]}")
            if verbose:
                sys.stderr.write(text)
    while fed < portions:
        job.feed(home, fed)
        fed += 1
    # The input has its end now.
    arguments = ["run", job.file, "--parallelism", "2"] + (["--from-savepoint", savepoint] if savepoint else [])
    home.run(*arguments, **job.variables(BOUNDED="latest-offset"))
    return fed


def leftovers(home, job):
    directory = os.path.join(home.data, "checkpoints", job.name)
    names = [n for n in glob.glob(os.path.join(directory, "chk-*", "manifest.json"))]
    if names:
        raise Failure(f"{job.name}: the job has ended, but keeps checkpoints: {names[:3]}")


def trial(kind, kills, seed, binary, directory, verbose):
    dice, counts, started = random.Random(f"{seed}-{kind}"), Counts(), time.time()
    job, home = JOBS[kind](), Home(os.path.join(directory, kind), binary)
    job.prepare(home)
    fed = attack(job, home, kills, dice, counts, verbose)
    leftovers(home, job)
    got = job.results(home)

    whole, calm = JOBS[kind](), Home(os.path.join(directory, kind + "-uninterrupted"), binary)
    whole.prepare(calm)
    for number in range(fed):
        whole.feed(calm, number)
    calm.run("run", whole.file, **whole.variables(BOUNDED="latest-offset"))
    wanted = whole.results(calm)
    for what in wanted:
        if len(wanted[what]) < 10:
            raise Failure(f"{kind}: only {len(wanted[what])} rows to compare")
        compare(f"{kind}, {what}", got[what], wanted[what])
    rows = ", ".join(f"{len(wanted[what])} rows in the {what}" for what in wanted)
    print(f"ok {kind}: {counts.kills} kills, {counts.recoveries} recoveries, {counts.fresh} starts from nothing, {counts.savepoints} savepoints, "
          f"{rows}, {time.time() - started:.0f} s", flush=True)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--jobs", default="sensors,orders,files")
    parser.add_argument("--keep", action="store_true", help="leave the directories")
    parser.add_argument("--verbose", action="store_true", help="show what the runs say")
    arguments = parser.parse_args()
    kinds = [kind for kind in arguments.jobs.split(",") if kind]
    directory = tempfile.mkdtemp(prefix="swiftwater-chaos-")
    print(f"seed {arguments.seed}, {arguments.kills} kills, in {directory}", flush=True)
    started, kills, recoveries, failed = time.time(), 0, 0, False
    for i, kind in enumerate(kinds):
        share = arguments.kills // len(kinds) + (1 if i < arguments.kills % len(kinds) else 0)
        try:
            counts = trial(kind, share, arguments.seed, os.path.abspath(arguments.binary), directory, arguments.verbose)
            kills, recoveries = kills + counts.kills, recoveries + counts.recoveries
        except Failure as failure:
            print(f"FAIL {kind}: {failure}", flush=True)
            failed = True
    verdict = "FAIL" if failed else "ok"
    print(f"{verdict}: seed {arguments.seed}, {kills} kills, {recoveries} recoveries, {time.time() - started:.0f} s", flush=True)
    if failed or arguments.keep:
        print(f"left in {directory}", flush=True)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
