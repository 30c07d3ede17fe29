"""The notebook of the seed, with its statements and its generator as they are printed: a continuous query in the notebook, the table in the
catalog, the INSERT deployed as an application.

    studio_seed.py BINARY DATA
"""
import json, os, subprocess, sys, time, urllib.request
import boto3

binary, data = sys.argv[1], sys.argv[2]
os.makedirs(data)
GENERATOR = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "aws", "random_data_generator.py")
SOURCE = """%flink.ssql

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
)"""
OVERVIEW = """%flink.ssql(type=update)

SELECT * FROM sensor_data;"""
WINDOWS = """%flink.ssql(type=update)

SELECT sensor_data.status,
       COUNT(*) AS num,
       AVG(sensor_data.current_temperature) AS avg_current_temperature,
       HOP_ROWTIME(event_time, INTERVAL '10' second, INTERVAL '1' minute) as hop_time
  FROM sensor_data
 GROUP BY HOP(event_time, INTERVAL '10' second, INTERVAL '1' minute), sensor_data.status;"""
SINK = """%flink.ssql

CREATE TABLE sensor_state (
    status VARCHAR(6),
    num INTEGER,
    avg_current_temperature DOUBLE,
    hop_time TIMESTAMP(3)
)
WITH (
'connector' = 'kinesis',
'stream' = 'my-output-stream',
'aws.region' = 'us-east-1',
'scan.stream.initpos' = 'LATEST',
'format' = 'json',
'json.timestamp-format.standard' = 'ISO-8601');"""
INSERT = """%flink.ssql(type=update)

INSERT INTO sensor_state
SELECT sensor_data.status,
    COUNT(*) AS num,
    AVG(sensor_data.current_temperature) AS avg_current_temperature,
    HOP_ROWTIME(event_time, INTERVAL '10' second, INTERVAL '1' minute) as hop_time
FROM sensor_data
GROUP BY HOP(event_time, INTERVAL '10' second, INTERVAL '1' minute), sensor_data.status;"""

environment = {k: v for k, v in os.environ.items() if not k.startswith("SWIFTWATER_") or k == "SWIFTWATER_PYTHON"}
environment.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="us-east-1", PYTHONUNBUFFERED="1")
log = open(data + ".log", "w")
daemon = subprocess.Popen([binary, "serve", "--data", data, "--listen", "127.0.0.1:0", "--aws-listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=log, env=environment)
generator = None


def run(*arguments, seconds=120, status=0):
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, env=environment, timeout=seconds)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    return done


def get(path):
    with urllib.request.urlopen(ready["url"] + path, timeout=30) as answer:
        return json.loads(answer.read())


def wait(condition, seconds):
    deadline = time.time() + seconds
    while time.time() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("not within %d s: %s" % (seconds, open(data + ".log").read()[-2000:]))


def note(name, cells):
    path = f"{data}/{name}.sql"
    with open(path, "w") as file:
        file.write("\n".join("-- %% " + title + "\n" + text + "\n" for title, text in cells))
    return path


try:
    ready = json.loads(daemon.stdout.readline())
    environment["AWS_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"] = ready["aws"]
    kinesis = boto3.client("kinesis", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test", endpoint_url=ready["aws"])
    for name in ("my-input-stream", "my-output-stream"):
        kinesis.create_stream(StreamName=name, ShardCount=1)
    generator = subprocess.Popen([sys.executable, GENERATOR], env=environment, stdout=subprocess.DEVNULL)

    # In the notebook: a continuous query whose rows come within seconds, and the table in the catalog.
    catalog = data + "/notebook.catalog"
    sensors = note("Sensors", [("Source", SOURCE), ("Overview", OVERVIEW), ("Sink", SINK)])
    begun = time.time()
    shown = run("notebook", "run", sensors, "--data", data, "--catalog", catalog, "--rows", "25", "--for", "30s", "--output", f"json={data}/shown.json")
    seconds = time.time() - begun
    cells = [c for c in json.load(open(data + "/shown.json"))["cells"] if c.get("state")]
    assert [c["state"] for c in cells] == ["finished", "stopped", "finished"], cells
    table = next(o for o in cells[1]["outputs"] if o["type"] == "table")
    assert [c["name"] for c in table["columns"]] == ["sensor_id", "current_temperature", "status", "event_time"], table["columns"]
    assert table["total"] >= 25 and {r[2] for r in table["rows"]} <= {"OK", "WARNING", "ERROR"}, table
    assert seconds < 60, seconds
    listed = run("sql", "--catalog", catalog, "-e", "SHOW TABLES", "--output", "csv").stdout.split()
    assert listed[-2:] == ["sensor_data", "sensor_state"], listed

    # What the note shows is what is deployed: the tables of earlier cells come along.
    app = note("SensorsApp", [("Source", SOURCE), ("Overview", OVERVIEW), ("Windows", WINDOWS), ("Sink", SINK), ("Insert", INSERT)])
    plain = run("notebook", "deploy", app, "--cells", "Insert", "--parallelism", "1", "--checkpoint-interval", "1s", "--dry-run", "--data", data).stdout
    assert "CREATE TABLE sensor_data" in plain and "CREATE TABLE sensor_state" in plain and "INSERT INTO sensor_state" in plain, plain
    assert "SET 'parallelism.default' = '1';" in plain and "SET 'execution.checkpointing.interval' = '1s';" in plain and "SELECT * FROM" not in plain, plain
    deployed = run("notebook", "deploy", app, "--cells", "Insert", "--parallelism", "1", "--checkpoint-interval", "1s", "--data", data)
    assert deployed.stdout == plain and "topology SensorsApp: version 1 runs" in deployed.stderr, deployed
    os.remove(app)

    # Without the notebook, output flows, and the run is on the status page.
    job = wait(lambda: next((j for j in get("/v1/jobs/overview")["jobs"] if j["state"] == "RUNNING"), None), 30)
    vertices = get("/v1/jobs/" + job["jid"])["vertices"]
    assert vertices and all(v["parallelism"] == 1 for v in vertices), vertices
    shard = kinesis.list_shards(StreamName="my-output-stream")["Shards"][0]["ShardId"]

    def output():
        at = kinesis.get_shard_iterator(StreamName="my-output-stream", ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        rows = [json.loads(r["Data"]) for r in kinesis.get_records(ShardIterator=at)["Records"]]
        return rows if len({r["status"] for r in rows}) == 3 else None

    rows = wait(output, 60)
    assert all(set(r) == {"status", "num", "avg_current_temperature", "hop_time"} and r["num"] > 0 for r in rows), rows[:3]
    averages = {s: max(r["avg_current_temperature"] for r in rows if r["status"] == s) for s in ("OK", "WARNING", "ERROR")}
    assert averages["OK"] < averages["ERROR"], averages
    state = next(t for t in get("/v1/topologies")["topologies"] if t["name"] == "SensorsApp")
    assert state["state"] == "RUNNING", state
    run("remove", "SensorsApp", "--data", data)
    print(json.dumps({"ok": True, "shown": table["total"], "secondsToRows": round(seconds, 1), "windows": len(rows)}))
finally:
    if generator:
        generator.kill()
        generator.wait()
    daemon.terminate()
    try:
        daemon.wait(60)
    except subprocess.TimeoutExpired:
        daemon.kill()
    log.close()
