"""Kills a server again and again while items are written and shards are split, and looks whether every change was published once.

    dynamodb_kills.py KILLS SEED COMMAND [ARGUMENT ...]

COMMAND serves Kinesis, DynamoDB and DynamoDB Streams, keeps its data between runs, and prints a line that ends with its port or, as `swiftwater serve` does, has it in JSON. What
DynamoDB Streams tell, which commit with the items themselves, is compared with what came out of the table's Kinesis destination: the
same changes, each once, those of one item in order; and no write that was answered is missing. The last line is JSON.
"""
import collections
import json
import random
import re
import signal
import subprocess
import sys
import threading
import time

import boto3
from botocore.config import Config

kills, seed, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
rng = random.Random(seed)
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/changes"


class Server:
    def __init__(self):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if found := re.search(r'(?:"aws":"http://[^"]*:|^|\D)(\d+)(?:"|\s*$)', line):
                break
        options = dict(region_name="us-east-1", endpoint_url="http://127.0.0.1:" + found.group(1), aws_access_key_id="x",
                       aws_secret_access_key="x", config=Config(retries={"max_attempts": 0}, max_pool_connections=20))
        self.tables, self.streams, self.kinesis = (boto3.client(name, **options) for name in ["dynamodb", "dynamodbstreams", "kinesis"])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


server = Server()
server.kinesis.create_stream(StreamName="changes", ShardCount=4)
arn = server.tables.create_table(
    TableName="items", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})["TableDescription"]["LatestStreamArn"]
server.tables.enable_kinesis_streaming_destination(TableName="items", StreamArn=STREAM)
lock, answered, count = threading.Lock(), set(), 0


def write(keys, tables):
    """Puts items until the server is gone."""
    global count
    while True:
        for key in keys:
            with lock:
                count += 1
                number = count
            try:
                tables.put_item(TableName="items", Item={"id": {"S": key}, "n": {"N": str(number)}})
            except Exception:
                return
            answered.add(number)


def change(record):
    return record["dynamodb"]["Keys"]["id"]["S"], int(record["dynamodb"]["NewImage"]["n"]["N"])


def committed():
    shard = server.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = server.streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    out = []
    while records := (answer := server.streams.get_records(ShardIterator=iterator))["Records"]:
        out += map(change, records)
        iterator = answer["NextShardIterator"]
    return out


def published():
    """Shard by shard; children have higher numbers than their parents."""
    out = []
    for shard in sorted(shard["ShardId"] for shard in server.kinesis.list_shards(StreamName="changes")["Shards"]):
        iterator = server.kinesis.get_shard_iterator(StreamName="changes", ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while iterator:
            answer = server.kinesis.get_records(ShardIterator=iterator)
            if not answer["Records"] and answer["MillisBehindLatest"] == 0:
                break
            out += [change(json.loads(record["Data"])) for record in answer["Records"]]
            iterator = answer.get("NextShardIterator")
    return out


def by_key(changes):
    out = collections.defaultdict(list)
    for key, number in changes:
        out[key].append(number)
    return out


for kill in range(kills):
    writers = [threading.Thread(target=write, args=(["%d-%d" % (i, j) for j in range(5)], server.tables)) for i in range(4)]
    for writer in writers:
        writer.start()
    if kill % 3 == 1:
        shard = rng.choice([s for s in server.kinesis.list_shards(StreamName="changes")["Shards"]
                            if "EndingSequenceNumber" not in s["SequenceNumberRange"]])
        middle = (int(shard["HashKeyRange"]["StartingHashKey"]) + int(shard["HashKeyRange"]["EndingHashKey"])) // 2
        server.kinesis.split_shard(StreamName="changes", ShardToSplit=shard["ShardId"], NewStartingHashKey=str(middle))
    time.sleep(rng.uniform(0.05, 0.8))
    server.kill()
    for writer in writers:
        writer.join()
    server = Server()

expected, deadline = committed(), time.time() + 60
while len(found := published()) < len(expected) and time.time() < deadline:
    time.sleep(0.05)
server.kill()
assert len(answered) > 5 * kills, "seed %d: only %d writes were answered" % (seed, len(answered))
assert not answered - {number for _, number in expected}, "seed %d: answered writes are missing" % seed
assert len(found) == len(set(found)) == len(expected), "seed %d: %d changes, %d published, %d of them different" % (
    seed, len(expected), len(found), len(set(found)))
assert by_key(found) == by_key(expected), "seed %d: the changes of an item are in another order" % seed
print(json.dumps({"kills": kills, "changes": len(expected)}))
