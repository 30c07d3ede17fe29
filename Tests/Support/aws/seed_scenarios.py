"""Runs the scenarios of the sensor and change-record posts against the real program, with boto3 and the AWS CLI as they come.

    seed_scenarios.py PROGRAM DIRECTORY sensors | changes | shards

Prints one line of JSON with what was found; ends with status 1 and the reason when something is not as it should be.
"""
import datetime
import glob
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import boto3

program, directory, scenario = sys.argv[1:4]
python = sys.executable
aws_cli = os.path.join(os.path.dirname(python), "aws")
here = os.path.dirname(os.path.abspath(__file__))
data = os.path.join(directory, "data")
environment = dict(os.environ, SWIFTWATER_DATA=data, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="us-east-1",
                   AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_PAGER="")


def check(condition, message):
    if not condition:
        raise SystemExit(f"FAILED: {message}")


def wait(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise SystemExit(f"FAILED: {what} not within {seconds} s")


class Server:
    """The program as a server; ended with the `with` block."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __enter__(self):
        self.errors = open(os.path.join(directory, "serve.err"), "ab")
        self.process = subprocess.Popen([program, "serve", "--data", data, "--aws-listen", "127.0.0.1:", *self.arguments],
                                        stdout=subprocess.PIPE, stderr=self.errors, env=environment, text=True)
        line = self.process.stdout.readline()
        check(line, "the server did not start: " + open(os.path.join(directory, "serve.err")).read())
        self.url = json.loads(line)["aws"]
        environment["AWS_ENDPOINT_URL"] = self.url
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.errors.close()

    def client(self, service):
        return boto3.client(service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


def shell(command):
    """A command line of the AWS CLI, exactly as it is written."""
    result = subprocess.run(["bash", "-c", command], env=dict(environment, PATH=os.path.dirname(aws_cli) + ":" + environment["PATH"]),
                            capture_output=True, text=True, timeout=120)
    check(result.returncode == 0, f"{command}: {result.stdout}{result.stderr}")
    return json.loads(result.stdout) if result.stdout.strip() else None


SENSOR_DATA = """
CREATE TABLE sensor_data (
    sensor_id INTEGER,
    current_temperature DOUBLE,
    status VARCHAR(6),
    event_time TIMESTAMP(3),
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
)
PARTITIONED BY (sensor_id)
WITH (
    'connector' = 'kinesis',
    'stream' = 'my-input-stream',
    'aws.region' = 'us-east-1',
    'scan.stream.initpos' = 'LATEST',
    'format' = 'json',
    'json.timestamp-format.standard' = 'ISO-8601'
);
"""


def sensors():
    """Scenario 2: rows of a continuous query update within seconds while the generator runs, and the table is listed."""
    with Server() as server:
        shell("aws kinesis create-stream --stream-name my-input-stream --shard-count 1")
        catalog = os.path.join(directory, "catalog.db")
        subprocess.run([program, "sql", "--catalog", catalog, "-e", SENSOR_DATA], env=environment, check=True, capture_output=True, timeout=60)
        listed = subprocess.run([program, "sql", "--catalog", catalog, "-e", "SHOW TABLES"], env=environment, check=True, capture_output=True,
                                text=True, timeout=60).stdout
        check("sensor_data" in listed, f"SHOW TABLES does not list the table: {listed}")
        query = subprocess.Popen(
            [program, "sql", "--catalog", catalog, "--output", "json", "-e",
             "SELECT status, COUNT(*) AS num, AVG(current_temperature) AS avg_current_temperature FROM sensor_data GROUP BY status"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        rows = []
        arrived = threading.Condition()

        def read():
            for line in query.stdout:
                with arrived:
                    rows.append((time.monotonic(), json.loads(line)))
                    arrived.notify_all()

        threading.Thread(target=read, daemon=True).start()
        sent, counts, began = [], {}, None

        def generate(count):
            out = subprocess.run([python, os.path.join(here, "random_data_generator.py")], env=dict(environment, COUNT=str(count)), capture_output=True,
                                 text=True, timeout=120)
            check(out.returncode == 0, out.stderr)
            for line in out.stdout.splitlines():
                row = json.loads(line)
                sent.append(row)
                counts[row["status"]] = counts.get(row["status"], 0) + 1

        def latest():
            found = {}
            with arrived:
                for _, row in rows:
                    row = row.get("row", row)
                    found[row["status"]] = (row["num"], row["avg_current_temperature"])
            return found

        # LATEST: the query must stand before the first record that counts.
        def stands():
            server.client("kinesis").put_record(StreamName="my-input-stream", PartitionKey="1", Data=json.dumps(
                {"sensor_id": 1, "current_temperature": 20.0, "status": "PROBE", "event_time": "2021-05-19T11:20:00.978328"}))
            return "PROBE" in latest()

        wait("the query's first row", stands)
        for count in (200, 100):
            generate(count)
            ended = time.monotonic()

            def agrees():
                found = latest()
                return all(found.get(status, (0,))[0] == number for status, number in counts.items())

            wait("counts that agree with what was sent", agrees, 30)
            began = time.monotonic() - ended
            check(began < 5, f"results came {began:.1f} s after the last record")
        for status, number in counts.items():
            mean = sum(row["current_temperature"] for row in sent if row["status"] == status) / number
            check(abs(latest()[status][1] - mean) < 1e-6, f"average of {status}: {latest()[status][1]}, sent {mean}")
        query.send_signal(signal.SIGINT)
        query.wait(30)
        return {"records": len(sent), "statuses": counts, "seconds_behind": round(began, 3)}


TOPOLOGY = """
name: blog-srsa
delivery-streams:
  blog-srsa-ddb-table-delivery-stream:
    source: {stream: blog-srsa-ddb-table-data-stream, start: TRIM_HORIZON}
    transform: {flatten: dynamodb}
    buffer: {size: 1 MiB, interval: 2 s}
    to:
      files: %s
      prefix: "!{timestamp:yyyy/MM/dd/}"
"""


def changes():
    """Scenario 10: the put-items of the post reach the lake as exactly two flat records, under the day's prefix."""
    lake, topology = os.path.join(directory, "lake"), os.path.join(directory, "delivery.yaml")
    with open(topology, "w") as file:
        file.write(TOPOLOGY % lake)
    with Server("--run", topology) as server:
        shell("aws kinesis create-stream --stream-name blog-srsa-ddb-table-data-stream --shard-count 10")
        shell("aws dynamodb create-table --table-name blog-srsa-ddb-table --attribute-definitions AttributeName=id,AttributeType=S"
              " --key-schema AttributeName=id,KeyType=HASH --billing-mode PAY_PER_REQUEST")
        shell("aws dynamodb enable-kinesis-streaming-destination --table-name blog-srsa-ddb-table"
              " --stream-arn arn:aws:kinesis:us-east-1:000000000000:stream/blog-srsa-ddb-table-data-stream")
        days = [datetime.datetime.now(datetime.timezone.utc).strftime("%Y/%m/%d")]
        capacity = shell("""aws dynamodb put-item \\
    --table-name blog-srsa-ddb-table \\
    --item '{ "id": {"S": "864732"}, "name": {"S": "Adam"} , "Designation": {"S": "Architect"} }' \\
    --return-consumed-capacity TOTAL""")
        check(capacity == {"ConsumedCapacity": {"TableName": "blog-srsa-ddb-table", "CapacityUnits": 1.0}}, f"capacity {capacity}")
        shell("""aws dynamodb put-item \\
    --table-name blog-srsa-ddb-table \\
    --item '{ "id": {"S": "864732"}, "name": {"S": "Adam"} , "Designation": {"S": "Senior Architect"} }' \\
    --return-consumed-capacity TOTAL""")

        def delivered():
            found = []
            for path in sorted(glob.glob(lake + "/**/*", recursive=True)):
                if os.path.isfile(path) and not os.path.basename(path).startswith((".", "_")):
                    text = gzip.open(path, "rt").read() if path.endswith(".gz") else open(path).read()
                    found += [(path, json.loads(line)) for line in text.splitlines()]
            return found if len(found) >= 2 else None

        found = wait("two records in the lake", delivered)
        days.append(datetime.datetime.now(datetime.timezone.utc).strftime("%Y/%m/%d"))
        records = [record for _, record in found]
        check(records == [{"id": "864732", "name": "Adam", "Designation": "Architect"},
                          {"id": "864732", "name": "Adam", "Designation": "Senior Architect"}], f"delivered {records}")
        for path, _ in found:
            check(any(f"/{day}/" in path for day in days), f"{path} is not under {days}")
        item = shell("aws dynamodb get-item --table-name blog-srsa-ddb-table --key '{\"id\": {\"S\": \"864732\"}}'")["Item"]
        check(item["Designation"] == {"S": "Senior Architect"}, f"the table has {item}")
        log = [record for shard in server.client("kinesis").list_shards(StreamName="blog-srsa-ddb-table-data-stream")["Shards"]
               for record in read_shard(server.client("kinesis"), "blog-srsa-ddb-table-data-stream", shard["ShardId"])]
        names = [json.loads(record["Data"])["eventName"] for record in log]
        check(names == ["INSERT", "MODIFY"], f"change records {names}")
    return {"delivered": len(records), "prefix": os.path.relpath(os.path.dirname(found[0][0]), lake)}


def read_shard(client, stream, shard):
    """All records that a shard has now."""
    iterator = client.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records = []
    while iterator:
        answer = client.get_records(ShardIterator=iterator)
        records += answer["Records"]
        if not answer["Records"] and answer["MillisBehindLatest"] == 0:
            break
        iterator = answer.get("NextShardIterator")
    return records


def shards():
    """Scenario 12: records of one key keep their order over ten shards, and each shard is read once by each reader."""
    with Server() as server:
        client = server.client("kinesis")
        shell("aws kinesis create-stream --stream-name ten --shard-count 10")
        sent = {}
        for batch in range(40):
            records = []
            for i in range(50):
                key = f"device-{(batch * 50 + i) * 7919 % 97}"
                sent.setdefault(key, []).append(len(sent.get(key, [])))
                records.append({"PartitionKey": key, "Data": json.dumps({"device": key, "n": sent[key][-1]})})
            answer = client.put_records(StreamName="ten", Records=records)
            check(answer["FailedRecordCount"] == 0, f"{answer}")
        by_shard = {shard["ShardId"]: read_shard(client, "ten", shard["ShardId"]) for shard in client.list_shards(StreamName="ten")["Shards"]}
        check(len(by_shard) == 10 and all(by_shard.values()), f"shards {[(k, len(v)) for k, v in by_shard.items()]}")
        order = {}
        for shard, records in by_shard.items():
            for record in records:
                row = json.loads(record["Data"])
                order.setdefault(row["device"], []).append((shard, row["n"]))
        for key, numbers in sent.items():
            check([n for _, n in order[key]] == numbers, f"{key} is out of order: {order[key]}")
            check(len({shard for shard, _ in order[key]}) == 1, f"{key} is in several shards")
        # The same through a job, each subtask with its shards.
        out = subprocess.run(
            [program, "sql", "--output", "json", "--set", "parallelism.default=4", "-e", """
             CREATE TABLE ten (device STRING, n INT, shard STRING METADATA FROM 'shard-id' VIRTUAL)
             WITH ('connector' = 'kinesis', 'stream' = 'ten', 'scan.stream.initpos' = 'TRIM_HORIZON', 'scan.bounded.mode' = 'latest-offset', 'format' = 'json');
             SELECT device, n, shard FROM ten"""], env=environment, capture_output=True, text=True, timeout=120)
        check(out.returncode == 0, out.stderr)
        read = {}
        for line in out.stdout.splitlines():
            row = json.loads(line)
            row = row.get("row", row)
            read.setdefault(row["device"], []).append((row["shard"], row["n"]))
        check(read == order, "the job read something else than the API")
        return {"records": sum(map(len, sent.values())), "shards": len(by_shard)}


shutil.rmtree(data, ignore_errors=True)
os.makedirs(directory, exist_ok=True)
print(json.dumps({"sensors": sensors, "changes": changes, "shards": shards}[scenario]()))
