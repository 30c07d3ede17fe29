"""Kills the server of the AWS services again and again while ten producers write, three consumers read and shards are split and merged.

    kinesis_chaos.py --binary PROGRAM [--kills 50] [--seed N]

Producers and consumers are boto3 as it comes, which sends a call again when no answer arrives. In the end each consumer must have seen every
record that was acknowledged exactly once, in order for each key, parents' records before those of their children.
"""
import argparse
import atexit
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import boto3
import botocore.retries.quota
from botocore.config import Config
from botocore.exceptions import ClientError

arguments = argparse.ArgumentParser()
arguments.add_argument("--binary", required=True)
arguments.add_argument("--kills", type=int, default=50)
arguments.add_argument("--producers", type=int, default=10)
arguments.add_argument("--consumers", type=int, default=3)
arguments.add_argument("--seed", type=int, default=None)
options = arguments.parse_args()
seed = options.seed if options.seed is not None else random.randrange(1 << 30)
print(f"seed {seed}", flush=True)
chance = random.Random(seed)
directory = tempfile.mkdtemp(prefix="swiftwater-chaos-")
stream = "chaos"

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]


class Server:
    def start(self):
        self.process = subprocess.Popen([options.binary, "serve", "--data", directory, "--aws-listen", f"127.0.0.1:{port}"], stdout=subprocess.PIPE,
                                        stderr=open(os.path.join(directory, "errors"), "ab"), text=True)
        line = self.process.stdout.readline()
        if not line:
            fail("the server does not start: " + open(os.path.join(directory, "errors")).read())

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


problems = []


def fail(text):
    problems.append(text)
    raise SystemExit(f"FAILED (seed {seed}): {text}")


# boto3 gives up after a hundred failures or so in a row, whatever max_attempts says; here the server is away more often than that.
botocore.retries.quota.RetryQuota.__init__.__defaults__ = (1 << 30, None)


def client():
    # Attempts go on for longer than the server is ever away.
    return boto3.client("kinesis", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
                        config=Config(retries={"mode": "standard", "max_attempts": 60}, connect_timeout=5, read_timeout=10))


ending = threading.Event()
acknowledged = [dict() for _ in range(options.producers)]
shard_of = {}
failures = []


def guarded(body):
    def run(*given):
        try:
            body(*given)
        except BaseException as error:  # noqa: BLE001 - told at the end, with the seed
            failures.append(f"{body.__name__}: {error!r}")
            ending.set()
    return run


@guarded
def produce(number):
    own, api, sent = random.Random(seed * 1000 + number), client(), {}
    while not ending.is_set():
        keys = [f"p{number}-k{own.randrange(6)}" for _ in range(own.randrange(1, 20))]
        records = []
        for key in keys:
            sent[key] = sent.get(key, -1) + 1
            records.append({"PartitionKey": key, "Data": json.dumps({"key": key, "n": sent[key], "pad": "x" * own.randrange(200)})})
        if len(records) == 1:
            answers = [api.put_record(StreamName=stream, **records[0])]
        else:
            answer = api.put_records(StreamName=stream, Records=records)
            if answer["FailedRecordCount"]:
                raise RuntimeError(f"refused: {answer}")
            answers = answer["Records"]
        for record, placed in zip(records, answers):
            row = json.loads(record["Data"])
            acknowledged[number][(row["key"], row["n"])] = (placed["ShardId"], placed["SequenceNumber"])


@guarded
def reshard():
    own, api = random.Random(seed + 7), client()
    while not ending.is_set():
        time.sleep(own.uniform(0.1, 0.5))
        shards = [s for s in api.list_shards(StreamName=stream)["Shards"] if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
        shards.sort(key=lambda s: int(s["HashKeyRange"]["StartingHashKey"]))
        try:
            if len(shards) < 3 or (len(shards) < 12 and own.random() < 0.5):
                shard = own.choice(shards)
                low, high = (int(shard["HashKeyRange"][k]) for k in ("StartingHashKey", "EndingHashKey"))
                api.split_shard(StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=str(own.randrange(low + 1, high)))
            else:
                i = own.randrange(len(shards) - 1)
                api.merge_shards(StreamName=stream, ShardToMerge=shards[i]["ShardId"], AdjacentShardToMerge=shards[i + 1]["ShardId"])
        except ClientError as error:
            # A call that was done, but whose answer was lost, cannot be done again.
            if error.response["Error"]["Code"] not in ("ResourceInUseException", "InvalidArgumentException", "ResourceNotFoundException"):
                raise


seen = [[] for _ in range(options.consumers)]
caught_up = [threading.Event() for _ in range(options.consumers)]
produced = threading.Event()


@guarded
def consume(number):
    """Reads shards as libraries do: a child once all of its parents have been read to their ends."""
    api, state, finished = client(), {}, set()
    while not (ending.is_set() and failures):
        done = produced.is_set()
        shards = {s["ShardId"]: s for s in api.list_shards(StreamName=stream)["Shards"]}
        progress = False
        for name, shard in shards.items():
            parents = [shard.get("ParentShardId"), shard.get("AdjacentParentShardId")]
            if name in finished or any(p in shards and p not in finished for p in parents if p):
                continue
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": state[name]} if name in state else {"ShardIteratorType": "TRIM_HORIZON"}
            iterator = api.get_shard_iterator(StreamName=stream, ShardId=name, **where)["ShardIterator"]
            while True:
                answer = api.get_records(ShardIterator=iterator, Limit=1000)
                for record in answer["Records"]:
                    row = json.loads(record["Data"])
                    seen[number].append((row["key"], row["n"], name, record["SequenceNumber"]))
                    state[name] = record["SequenceNumber"]
                progress = progress or bool(answer["Records"])
                iterator = answer.get("NextShardIterator")
                if iterator is None:
                    finished.add(name)
                    progress = True
                    break
                if not answer["Records"] and answer["MillisBehindLatest"] == 0:
                    break
        if done and not progress:
            caught_up[number].set()
            return
        if not progress:
            time.sleep(0.02)


server = Server()
# However this ends, the server does too.
atexit.register(lambda: server.process.poll() is None and server.kill())
server.start()
client().create_stream(StreamName=stream, ShardCount=4)
producers = [threading.Thread(target=produce, args=(i,), daemon=True) for i in range(options.producers)]
consumers = [threading.Thread(target=consume, args=(i,), daemon=True) for i in range(options.consumers)]
resharder = threading.Thread(target=reshard, daemon=True)
began = time.monotonic()
for thread in producers + consumers + [resharder]:
    thread.start()
kills = 0
while kills < options.kills and not failures:
    time.sleep(chance.uniform(0.05, 1.2))
    server.kill()
    kills += 1
    server.start()
ending.set()
for thread in producers + [resharder]:
    thread.join(120)
produced.set()
for event in caught_up:
    if failures or not event.wait(180):
        fail(f"{failures or 'a consumer does not come to the end'}")
if failures:
    fail(str(failures))

written = {record: place for part in acknowledged for record, place in part.items()}
lineage = {s["ShardId"]: [p for p in (s.get("ParentShardId"), s.get("AdjacentParentShardId")) if p] for s in client().list_shards(StreamName=stream)["Shards"]}
for number, records in enumerate(seen):
    order, places = {}, {}
    for key, n, shard, sequence in records:
        if (key, n) in places:
            fail(f"consumer {number} got {key} {n} twice: at {places[(key, n)]} and {(shard, sequence)}")
        places[(key, n)] = (shard, sequence)
        order.setdefault(key, []).append(n)
    for record, place in written.items():
        if record not in places:
            fail(f"consumer {number} did not get {record}, acknowledged at {place}")
        if places[record] != place:
            fail(f"{record} was acknowledged at {place} and read at {places[record]}")
    for key, numbers in order.items():
        if numbers != sorted(numbers):
            fail(f"consumer {number} got {key} out of order: {numbers}")
    first = {}
    for i, (_, _, shard, _) in enumerate(records):
        first.setdefault(shard, i)
    last = {shard: i for i, (_, _, shard, _) in enumerate(records)}
    for child, parents in lineage.items():
        for parent in parents:
            if child in first and parent in last and last[parent] > first[child]:
                fail(f"consumer {number} read {child} before the end of its parent {parent}")
server.kill()
shutil.rmtree(directory, ignore_errors=True)
print(json.dumps({"kills": kills, "records": len(written), "shards": len(lineage), "consumers": options.consumers, "seconds": round(time.monotonic() - began, 1)}))
