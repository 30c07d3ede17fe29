"""Kills the server in the middle of deliveries, again and again: firehose_kill.py SWIFTWATER DATA ROUNDS [SEED]

Three delivery streams (plain, gzip, with partition keys and failed records) take records from several threads while the process is
killed with SIGKILL. In the end each acknowledged record must be in exactly one file, and no record in two.
"""
import collections
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

binary, data, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
print(f"seed {seed}", file=sys.stderr)
chance = random.Random(seed)
ROLE = "arn:aws:iam::000000000000:role/delivery"
STREAMS = ["plain", "zipped", "keyed"]


def start():
    process = subprocess.Popen([binary, "serve", "--data", data, "--aws-listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.stderr.read())
    threading.Thread(target=lambda: problems.extend(process.stderr), daemon=True).start()
    return process, json.loads(line)["aws"]


def client(endpoint):
    return boto3.client("firehose", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b",
                        config=Config(retries={"max_attempts": 0}, read_timeout=20))


problems, acknowledged, sent, lock = [], set(), set(), threading.Lock()
number = iter(range(1 << 40))


def puts(endpoint, stop):
    firehose = client(endpoint)
    while not stop.is_set():
        for stream in STREAMS:
            with lock:
                ids = [next(number) for _ in range(random.randint(1, 200))]
                sent.update((stream, i) for i in ids)
            records = [json.dumps({"i": i, "k": f"k{i % 3}"} if i % 10 else {"i": i}).encode() + b"\n" for i in ids]
            try:
                answer = firehose.put_record_batch(DeliveryStreamName=stream, Records=[{"Data": r} for r in records])
            except (BotoCoreError, ClientError):
                return
            if answer["FailedPutCount"] == 0:
                with lock:
                    acknowledged.update((stream, i) for i in ids)


def delivered():
    counts = collections.Counter()
    for bucket in STREAMS:
        for folder, folders, names in os.walk(os.path.join(data, "buckets", bucket)):
            folders[:] = [f for f in folders if not f.startswith(".")]
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    content = file.read()
                if name.endswith(".gz"):
                    content = gzip.decompress(content)
                for line in content.splitlines():
                    record = json.loads(line)
                    if "rawData" in record:
                        import base64
                        record = json.loads(base64.b64decode(record["rawData"]))
                    counts[(bucket, record["i"])] += 1
    return counts


process, endpoint = start()
firehose = client(endpoint)
for stream in STREAMS:
    config = dict(RoleARN=ROLE, BucketARN=f"arn:aws:s3:::{stream}", BufferingHints=dict(SizeInMBs=1, IntervalInSeconds=2))
    if stream == "zipped":
        config["CompressionFormat"] = "GZIP"
    if stream == "keyed":
        config |= dict(CompressionFormat="GZIP", Prefix="k=!{partitionKeyFromQuery:k}/", ErrorOutputPrefix="bad/", DynamicPartitioningConfiguration=dict(Enabled=True),
                       ProcessingConfiguration=dict(Enabled=True, Processors=[dict(Type="MetadataExtraction", Parameters=[
                           dict(ParameterName="MetadataExtractionQuery", ParameterValue="{k:.k}"), dict(ParameterName="JsonParsingEngine", ParameterValue="JQ-1.6")])]))
    firehose.create_delivery_stream(DeliveryStreamName=stream, ExtendedS3DestinationConfiguration=config)

for round in range(rounds):
    stop = threading.Event()
    threads = [threading.Thread(target=puts, args=(endpoint, stop)) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(chance.uniform(0.2, 3.5))
    if round + 1 < rounds:
        process.send_signal(signal.SIGKILL)
    stop.set()
    for thread in threads:
        thread.join()
    if round + 1 < rounds:
        process.wait()
        process, endpoint = start()
end = time.time() + 90
while time.time() < end:
    counts = delivered()
    if all(counts[r] for r in acknowledged):
        break
    time.sleep(0.5)
time.sleep(3)
process.terminate()
process.wait(30)
counts = delivered()
lost = [r for r in acknowledged if not counts[r]]
twice = [r for r, n in counts.items() if n > 1]
strangers = [r for r in counts if r not in sent]
print(json.dumps({"seed": seed, "sent": len(sent), "acknowledged": len(acknowledged), "delivered": sum(counts.values()), "lost": len(lost), "twice": len(twice),
                  "strangers": len(strangers), "status": process.returncode}))
if lost or twice or strangers or process.returncode:
    print("".join(problems[-40:]), lost[:5], twice[:5], file=sys.stderr)
    sys.exit(1)
