#!/usr/bin/env python3
"""Kills a job from Kafka over windows to Kafka at random moments, and checks that each result can be read exactly once.

    kafka_chaos.py --binary swiftwater [--kills 100] [--seed N] [--keep] [--verbose]

The program starts a broker of its own (noida, or Apache Kafka when KAFKA_HOME names a distribution). A generator feeds a topic of
four partitions while the job, which writes with exactly-once delivery, is killed with SIGKILL, started again at a parallelism drawn
anew, killed again, and so on. In the end it may work until all results are there. Two other clients (confluent-kafka and
kafka-python) read them with read_committed: each window must be there once, with the sums that this program computes.
Exit code 0 or 1.
"""
import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

from chaos import Counts, Failure, Home, ROOT, compare, note_start

PARTITIONS = 4
KEYS = 8
PORTION = 2_000  # messages
STEP = 5  # milliseconds of event time from one message to the next


class Broker:
    """Ends with this process."""

    def __init__(self):
        name = "kafka" if os.environ.get("KAFKA_HOME") else "noida"
        self.process = subprocess.Popen([sys.executable, os.path.join(ROOT, "Tests", "Support", "kafka", "hold-broker.py"), name],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        answer = json.loads(self.process.stdout.readline() or "{}")
        if "bootstrap" not in answer:
            raise Failure(f"no broker {name}: {answer.get('error')}")
        self.name, self.bootstrap = name, answer["bootstrap"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


class Feed:
    """Messages of growing event time, dealt out to the partitions, and what their windows hold."""

    def __init__(self, bootstrap, topic, seed):
        from confluent_kafka import Producer
        self.producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5})
        self.topic, self.dice, self.next = topic, random.Random(f"feed-{seed}"), 0
        self.windows = collections.defaultdict(lambda: [0, 0])

    def portion(self):
        for _ in range(PORTION):
            at, key, value = 1_704_067_200_000 + self.next * STEP, f"k{self.dice.randrange(KEYS)}", self.dice.randrange(1_000)
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at // 1000)) + f".{at % 1000:03}"
            self.producer.produce(self.topic, json.dumps({"id": self.next, "k": key, "v": value, "ts": stamp}), partition=self.next % PARTITIONS)
            window = self.windows[time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at // 1000)), key]
            window[0] += 1
            window[1] += value
            self.next += 1
        if self.producer.flush(60):
            raise Failure("the broker does not take the input")

    def end(self):
        """Event time moves on in every partition, so that all windows are complete."""
        for partition in range(PARTITIONS):
            self.producer.produce(self.topic, json.dumps({"id": -1, "k": "end", "v": 0, "ts": "2100-01-01 00:00:00.000"}), partition=partition)
        if self.producer.flush(60):
            raise Failure("the broker does not take the input")

    def results(self):
        return sorted(json.dumps([window, key, count, total]) for (window, key), (count, total) in self.windows.items())


def row(data):
    value = json.loads(data)
    return json.dumps([value["w"].replace("T", " ").split(".")[0], value["k"], value["n"], value["s"]])


def read_confluent(bootstrap, topic):
    from confluent_kafka import Consumer, OFFSET_BEGINNING, TopicPartition
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"judge-{uuid.uuid4()}", "isolation.level": "read_committed",
                         "enable.partition.eof": True, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
    rows, ended, deadline = [], set(), time.monotonic() + 60
    while len(ended) < PARTITIONS:
        if time.monotonic() > deadline:
            raise Failure("confluent-kafka does not come to the end of the results: a transaction may be open")
        for message in consumer.consume(500, 0.5):
            if message.error() is None:
                rows.append(row(message.value()))
            elif message.error().name() == "_PARTITION_EOF":
                ended.add(message.partition())
    consumer.close()
    return rows


def read_python(bootstrap, topic, wanted):
    from kafka import KafkaConsumer, TopicPartition
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, p) for p in range(PARTITIONS)])
    consumer.seek_to_beginning()
    rows, quiet, deadline = [], 0, time.monotonic() + 60
    # A little longer than it takes to see all: there might be more.
    while (len(rows) < wanted or quiet < 3) and time.monotonic() < deadline:
        found = consumer.poll(timeout_ms=300)
        quiet = 0 if found else quiet + 1
        rows += [row(message.value) for messages in found.values() for message in messages]
    consumer.close()
    return rows


def script(path, bootstrap, source, target):
    with open(path, "w") as file:
        file.write(f"""
            CREATE TABLE i (id BIGINT, k STRING, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka',
              'topic' = '{source}', 'properties.bootstrap.servers' = '{bootstrap}', 'properties.group.id' = 'chaos',
              'scan.startup.mode' = 'earliest-offset', 'format' = 'json');
            CREATE TABLE o (w TIMESTAMP(3), k STRING, n BIGINT, s BIGINT) WITH ('connector' = 'kafka', 'topic' = '{target}',
              'properties.bootstrap.servers' = '{bootstrap}', 'key.format' = 'raw', 'key.fields' = 'k', 'value.format' = 'json',
              'sink.delivery-guarantee' = 'exactly-once', 'sink.transactional-id-prefix' = 'chaos');
            SET 'execution.checkpointing.interval' = '100 ms';
            INSERT INTO o SELECT window_start, k, COUNT(*), SUM(v)
            FROM TABLE(TUMBLE(TABLE i, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, window_end, k;""")


def wait(process, log, dice):
    """A random time from the start of the program, or mostly of the job: each order of magnitude as likely as the others."""
    if dice.random() < 0.8:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and not os.fstat(log.fileno()).st_size:
            time.sleep(0.005)
    time.sleep(0.005 * 10 ** (dice.random() * 2.6))


def attack(home, path, broker, feed, kills, dice, counts, verbose):
    fed, portions = 0, max(4, min(60, kills // 2))
    while counts.kills < kills:
        while fed < portions * (counts.kills + 1) / kills:
            feed.portion()
            fed += 1
        with tempfile.TemporaryFile() as log:
            process = home.start("run", path, "--parallelism", str(dice.choice([1, 1, 2, 3])), log=log)
            wait(process, log, dice)
            if process.poll() is not None:
                raise Failure(f"the job ended by itself with {process.returncode}: {note_start(log, counts)[-3000:]}")
            process.send_signal(signal.SIGKILL)
            counts.kills += 1
            process.wait(timeout=60)
            text = note_start(log, counts)
            if verbose:
                sys.stderr.write(text)
    feed.end()
    wanted, deadline = len(feed.windows), time.monotonic() + 120
    with tempfile.TemporaryFile() as log:
        process = home.start("run", path, "--parallelism", "2", log=log)
        try:
            while len(read_confluent(broker.bootstrap, "sums")) < wanted:
                if process.poll() is not None or time.monotonic() > deadline:
                    state = "is still at work after 120 s" if process.poll() is None else f"ended with {process.returncode}"
                    raise Failure(f"not all of {wanted} results are there, and the job {state}: {note_start(log, counts)[-3000:]}")
                time.sleep(0.3)
            # What is there twice has the time to show.
            time.sleep(1)
        finally:
            process.kill()
            process.wait(timeout=60)


def trial(kills, seed, binary, directory, verbose):
    from confluent_kafka.admin import AdminClient, NewTopic
    broker = Broker()
    try:
        started, dice, counts = time.time(), random.Random(seed), Counts()
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        for future in admin.create_topics([NewTopic(name, num_partitions=PARTITIONS, replication_factor=1) for name in ("numbers", "sums")]).values():
            future.result(60)
        home, path = Home(os.path.join(directory, "kafka"), binary), os.path.join(directory, "kafka", "windows.sql")
        script(path, broker.bootstrap, "numbers", "sums")
        feed = Feed(broker.bootstrap, "numbers", seed)
        attack(home, path, broker, feed, kills, dice, counts, verbose)
        wanted = feed.results()
        compare("read by confluent-kafka", sorted(read_confluent(broker.bootstrap, "sums")), wanted)
        compare("read by kafka-python", sorted(read_python(broker.bootstrap, "sums", len(wanted))), wanted)
        print(f"ok {broker.name}: {counts.kills} kills, {counts.recoveries} recoveries, {counts.fresh} starts from nothing, {feed.next} messages, "
              f"{len(wanted)} windows, {time.time() - started:.0f} s", flush=True)
    finally:
        broker.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--keep", action="store_true", help="leave the directory")
    parser.add_argument("--verbose", action="store_true", help="show what the runs say")
    arguments = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="swiftwater-chaos-")
    print(f"seed {arguments.seed}, {arguments.kills} kills, in {directory}", flush=True)
    try:
        trial(arguments.kills, arguments.seed, os.path.abspath(arguments.binary), directory, arguments.verbose)
    except Failure as failure:
        print(f"FAIL: {failure}\nleft in {directory}", flush=True)
        return 1
    if not arguments.keep:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
