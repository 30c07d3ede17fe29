"""Puts records to delivery streams with boto3 and checks the files that come of them.

    firehose_delivery.py PORT DATA SCENARIO

For `opensearch` and `http` a fourth argument is the port of opensearch_server.py.
"""
import base64
import datetime
import gzip
import json
import os
import re
import sys
import time
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

port, data, scenario = sys.argv[1:4]
endpoint = f"http://127.0.0.1:{port}"
settings = dict(endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
                config=Config(retries={"max_attempts": 1}))
firehose = boto3.client("firehose", **settings)
ROLE = "arn:aws:iam::000000000000:role/delivery"


def s3(bucket="lake", size=1, interval=1, **more):
    return dict(RoleARN=ROLE, BucketARN=f"arn:aws:s3:::{bucket}", BufferingHints=dict(SizeInMBs=size, IntervalInSeconds=interval), **more)


def files(bucket="lake", below=""):
    """Delivered files: path below the bucket -> bytes."""
    root = os.path.join(data, "buckets", bucket)
    found = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith(".")]
        for name in names:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, root)
            if key.startswith(below):
                with open(path, "rb") as file:
                    found[key] = file.read()
    return found


def wait(condition, seconds=20):
    end = time.time() + seconds
    while time.time() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s; files: { {k: len(v) for k, v in files().items()} }; "
                         + str([firehose.describe_delivery_stream(DeliveryStreamName=n)["DeliveryStreamDescription"].get("FailureDescription")
                                for n in firehose.list_delivery_streams()["DeliveryStreamNames"]]))


def refused(code, call, text=None, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        got = error.response["Error"]
        assert got["Code"] == code, got
        assert text is None or text in got["Message"], got
        return got["Message"]
    raise AssertionError(f"{call.__name__} was not refused: {arguments}")


def put(name, records):
    for i in range(0, len(records), 500):
        answer = firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": r} for r in records[i:i + 500]])
        assert answer["FailedPutCount"] == 0, answer
        ids = [r["RecordId"] for r in answer["RequestResponses"]]
        assert len(set(ids)) == len(records[i:i + 500])


NAME = r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def delivers():
    """The service's own defaults: records one behind the other, below the date and hour."""
    answer = firehose.create_delivery_stream(DeliveryStreamName="plain", S3DestinationConfiguration=s3(Prefix="in/"))
    assert answer["DeliveryStreamARN"] == "arn:aws:firehose:us-east-1:000000000000:deliverystream/plain"
    before = datetime.datetime.now(datetime.timezone.utc)
    assert firehose.put_record(DeliveryStreamName="plain", Record={"Data": b"one\n"})["RecordId"]
    put("plain", [b"two\n", b"\x00\xff three", b""])
    found = wait(files)
    after = datetime.datetime.now(datetime.timezone.utc)
    hours = {t.strftime("%Y/%m/%d/%H") for t in (before, after)}
    assert b"".join(found[k] for k in sorted(found)) == b"one\ntwo\n\x00\xff three", found
    for key in found:
        assert re.fullmatch(rf"in/(\d{{4}}/\d\d/\d\d/\d\d)/plain-1-{NAME}", key), key
        assert "/".join(key.split("/")[1:5]) in hours, key


def burst():
    """Scenario 11: a full buffer is delivered at once; what is left waits for its time."""
    firehose.create_delivery_stream(DeliveryStreamName="burst", ExtendedS3DestinationConfiguration=s3(size=1, interval=300))
    record = b"x" * 1023 + b"\n"
    begin = time.time()
    put("burst", [record] * 2500)
    found = wait(lambda: len(files()) >= 2 and files())
    took = time.time() - begin
    assert took < 100, took
    assert [len(v) for v in found.values()] == [1 << 20, 1 << 20], {k: len(v) for k, v in found.items()}
    print(json.dumps({"seconds": took}))


def trickle():
    """Scenario 11: a few records appear when the first of them is as old as the interval says, not before."""
    firehose.create_delivery_stream(DeliveryStreamName="slow", ExtendedS3DestinationConfiguration=s3(size=1, interval=4))
    begin = time.time()
    for i in range(5):
        firehose.put_record(DeliveryStreamName="slow", Record={"Data": f"{i}\n".encode()})
        time.sleep(0.2)
    found = wait(files)
    took = time.time() - begin
    assert 3.9 < took < 60, took
    assert list(found.values())[0].startswith(b"0\n"), found
    # On a machine that is very busy the last ones may be in the next file.
    wait(lambda: b"".join(v for _, v in sorted(files().items())) == b"0\n1\n2\n3\n4\n")
    print(json.dumps({"seconds": took}))


def compressed():
    firehose.create_delivery_stream(
        DeliveryStreamName="zipped", ExtendedS3DestinationConfiguration=s3(
            interval=3,
            CompressionFormat="GZIP", Prefix="day=!{timestamp:yyyy-MM-dd}/!{firehose:random-string}/", ErrorOutputPrefix="bad/!{firehose:error-output-type}/",
            CustomTimeZone="Asia/Tokyo",
            ProcessingConfiguration=dict(Enabled=True, Processors=[dict(Type="AppendDelimiterToRecord", Parameters=[dict(ParameterName="Delimiter", ParameterValue="\\n")])])))
    rows = [json.dumps({"n": i, "text": "wählen " * 20}).encode() for i in range(20000)]
    put("zipped", rows)
    found = wait(lambda: sum(gzip.decompress(v).count(b"\n") for v in files().values()) == len(rows) and files())
    lines = []
    day = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=9))).strftime("%Y-%m-%d")
    for key in sorted(found, key=lambda k: k.split("zipped-1-")[1]):
        match = re.fullmatch(rf"day=(\d{{4}}-\d\d-\d\d)/[0-9a-f]{{11}}/zipped-1-{NAME}\.gz", key)
        assert match and match[1] == day, (key, day)
        lines += gzip.decompress(found[key]).splitlines()
    assert sorted(lines) == sorted(rows)
    sizes = sorted(len(gzip.decompress(v)) for v in found.values())
    assert all(s < (1 << 20) + 300 for s in sizes), sizes
    assert sum(map(len, found.values())) < sum(sizes) / 5


def partitioned():
    """Dynamic partitioning: a file for each key; records without one are failed ones."""
    firehose.create_delivery_stream(
        DeliveryStreamName="keyed", ExtendedS3DestinationConfiguration=s3(
            Prefix="customer=!{partitionKeyFromQuery:customer}/kind=!{partitionKeyFromQuery:kind}/",
            ErrorOutputPrefix="failed/!{firehose:error-output-type}/!{timestamp:yyyy}/", DynamicPartitioningConfiguration=dict(Enabled=True),
            ProcessingConfiguration=dict(Enabled=True, Processors=[
                dict(Type="MetadataExtraction", Parameters=[
                    dict(ParameterName="MetadataExtractionQuery", ParameterValue="{customer:.customer.id, kind: .kind}"),
                    dict(ParameterName="JsonParsingEngine", ParameterValue="JQ-1.6")]),
                dict(Type="AppendDelimiterToRecord", Parameters=[])])))
    rows = [json.dumps({"customer": {"id": f"c{i % 3}"}, "kind": "../../up" if i == 5 else "k", "i": i}).encode() for i in range(30)]
    bad = [b'{"customer":{"id":"c1"}}', b"no json", b"\xff\xfe not text"]
    put("keyed", rows + bad)
    found = wait(lambda: sum(v.count(b"\n") for v in files().values()) == len(rows) + len(bad) and files())
    for customer in range(3):
        got = [r for k, v in sorted(found.items()) if k.startswith(f"customer=c{customer}/") for r in v.splitlines()]
        assert sorted(got) == sorted(r for i, r in enumerate(rows) if i % 3 == customer), got
    assert all(os.path.realpath(os.path.join(data, "buckets", "lake", k)).startswith(os.path.realpath(os.path.join(data, "buckets", "lake"))) for k in found)
    assert not os.path.exists(os.path.join(data, "up"))
    errors = [json.loads(line) for k, v in found.items() if k.startswith("failed/processing-failed/20") for line in v.splitlines()]
    assert sorted(base64.b64decode(e["rawData"]) for e in errors) == sorted(bad), errors
    for error in errors:
        assert set(error) == {"attemptsMade", "arrivalTimestamp", "errorCode", "errorMessage", "attemptEndingTimestamp", "rawData"}, error
        assert error["attemptsMade"] == 1 and abs(error["arrivalTimestamp"] / 1000 - time.time()) < 60, error
    codes = {base64.b64decode(e["rawData"]): e["errorCode"] for e in errors}
    assert codes[bad[0]] == "DynamicPartitioning.MetadataExtractionFailed" and codes[bad[2]] == "DataFormat.ParseError", codes


def flattens():
    """Scenario 10: change records of a DynamoDB table, from the topology's delivery stream."""
    today = datetime.datetime.now(datetime.timezone.utc)
    found = wait(lambda: files("changes", "items/"))
    rows = [json.loads(line) for k in sorted(found) for line in found[k].splitlines()]
    assert rows == [{"id": "864732", "name": "Adam", "Designation": "Architect"}, {"id": "864732", "name": "Adam", "Designation": "Senior Architect"}], rows
    days = {t.strftime("items/%Y/%m/%d/") for t in (today, datetime.datetime.now(datetime.timezone.utc))}
    assert all(any(k.startswith(d) for d in days) for k in found), found
    failed = wait(lambda: files("changes", "failed/"))
    assert [base64.b64decode(json.loads(v)["rawData"]) for v in failed.values()] == [b'{"no":"change"}'], failed
    description = firehose.describe_delivery_stream(DeliveryStreamName="changes")["DeliveryStreamDescription"]
    assert description["DeliveryStreamType"] == "KinesisStreamAsSource", description
    assert description["Destinations"][0]["ExtendedS3DestinationDescription"]["Prefix"] == "items/!{timestamp:yyyy/MM/dd}/"
    refused("InvalidArgumentException", firehose.put_record, DeliveryStreamName="changes", Record={"Data": b"x"})
    refused("ResourceInUseException", firehose.delete_delivery_stream, DeliveryStreamName="changes")


def manages():
    """Everything but records: descriptions, changes, tags, lists, and refusals."""
    for i in range(12):
        firehose.create_delivery_stream(DeliveryStreamName=f"s{i:02}", ExtendedS3DestinationConfiguration=s3(), Tags=[dict(Key="a", Value="1"), dict(Key="b")])
    first = firehose.list_delivery_streams()
    assert first["DeliveryStreamNames"] == [f"s{i:02}" for i in range(10)] and first["HasMoreDeliveryStreams"]
    rest = firehose.list_delivery_streams(ExclusiveStartDeliveryStreamName="s09", Limit=5)
    assert rest["DeliveryStreamNames"] == ["s10", "s11"] and not rest["HasMoreDeliveryStreams"]
    assert firehose.list_delivery_streams(DeliveryStreamType="KinesisStreamAsSource")["DeliveryStreamNames"] == []
    refused("ResourceInUseException", firehose.create_delivery_stream, "Firehose s00 under accountId 000000000000 already exists",
            DeliveryStreamName="s00", ExtendedS3DestinationConfiguration=s3())
    for i in range(1, 12):
        firehose.delete_delivery_stream(DeliveryStreamName=f"s{i:02}")
    assert firehose.list_delivery_streams()["DeliveryStreamNames"] == ["s00"]
    assert not os.path.exists(os.path.join(data, "firehose", "s01")) and not os.path.exists(os.path.join(data, "streams", "firehose.s01"))
    refused("ResourceNotFoundException", firehose.describe_delivery_stream, "Firehose s01 under account 000000000000 not found.", DeliveryStreamName="s01")
    refused("ResourceNotFoundException", firehose.put_record, DeliveryStreamName="s01", Record={"Data": b"x"})

    firehose.tag_delivery_stream(DeliveryStreamName="s00", Tags=[dict(Key="b", Value="2"), dict(Key="c", Value="3")])
    firehose.untag_delivery_stream(DeliveryStreamName="s00", TagKeys=["a", "unknown"])
    assert firehose.list_tags_for_delivery_stream(DeliveryStreamName="s00")["Tags"] == [dict(Key="b", Value="2"), dict(Key="c", Value="3")]
    page = firehose.list_tags_for_delivery_stream(DeliveryStreamName="s00", Limit=1)
    assert page["HasMoreTags"] and page["Tags"][0]["Key"] == "b"
    assert firehose.list_tags_for_delivery_stream(DeliveryStreamName="s00", ExclusiveStartTagKey="b")["Tags"] == [dict(Key="c", Value="3")]

    description = firehose.describe_delivery_stream(DeliveryStreamName="s00")["DeliveryStreamDescription"]
    extended = description["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert description["VersionId"] == "1" and description["DeliveryStreamStatus"] == "ACTIVE" and "FailureDescription" not in description
    assert extended["CompressionFormat"] == "UNCOMPRESSED" and extended["BufferingHints"] == dict(SizeInMBs=1, IntervalInSeconds=1)
    firehose.put_record(DeliveryStreamName="s00", Record={"Data": b"before\n"})
    change = dict(DeliveryStreamName="s00", CurrentDeliveryStreamVersionId="1", DestinationId="destinationId-000000000001",
                  ExtendedS3DestinationUpdate=dict(BucketARN="arn:aws:s3:::other", Prefix="late/"))
    firehose.update_destination(**change)
    refused("ConcurrentModificationException", firehose.update_destination, "current version id: 2 and specified version id: 1", **change)
    description = firehose.describe_delivery_stream(DeliveryStreamName="s00")["DeliveryStreamDescription"]
    extended = description["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert description["VersionId"] == "2" and extended["Prefix"] == "late/" and extended["RoleARN"] == ROLE, description
    assert extended["BufferingHints"] == dict(SizeInMBs=1, IntervalInSeconds=1) and description["LastUpdateTimestamp"]
    firehose.put_record(DeliveryStreamName="s00", Record={"Data": b"after\n"})
    wait(lambda: b"".join(files().values()) + b"".join(files("other").values()) == b"before\nafter\n")
    late = files("other")
    assert late and all(re.fullmatch(rf"late/\d{{4}}/\d\d/\d\d/\d\d/s00-2-{NAME}", k) for k in late), late

    for code, text, more in [
        ("InvalidArgumentException", "Exactly one destination configuration", {}),
        ("InvalidArgumentException", "CompressionFormat ZIP", dict(ExtendedS3DestinationConfiguration=s3(CompressionFormat="ZIP"))),
        ("InvalidArgumentException", "Processor Lambda", dict(ExtendedS3DestinationConfiguration=s3(ProcessingConfiguration=dict(Enabled=True, Processors=[dict(Type="Lambda")])))),
        ("InvalidArgumentException", "DataFormatConversionConfiguration", dict(ExtendedS3DestinationConfiguration=s3(DataFormatConversionConfiguration=dict(Enabled=True)))),
        ("InvalidArgumentException", "ErrorOutputPrefix cannot be null", dict(ExtendedS3DestinationConfiguration=s3(Prefix="!{timestamp:yyyy}/"))),
        ("InvalidArgumentException", "!{firehose:error-output-type}", dict(ExtendedS3DestinationConfiguration=s3(Prefix="a", ErrorOutputPrefix="!{timestamp:yyyy}/"))),
        ("InvalidArgumentException", "'q'", dict(ExtendedS3DestinationConfiguration=s3(Prefix="!{timestamp:yyyy-qq}/", ErrorOutputPrefix="e/"))),
        ("InvalidArgumentException", "KinesisSourceStreamConfig is only applicable", dict(
            KinesisStreamSourceConfiguration=dict(KinesisStreamARN="arn:aws:kinesis:us-east-1:000000000000:stream/s", RoleARN=ROLE), ExtendedS3DestinationConfiguration=s3())),
        ("ValidationException", "1 validation error detected: Value 'arn:aws:s3::bad' at 'extendedS3DestinationConfiguration.bucketARN' failed to satisfy constraint: Member must satisfy regular expression pattern",
         dict(ExtendedS3DestinationConfiguration=dict(RoleARN=ROLE, BucketARN="arn:aws:s3::bad"))),
        ("ValidationException", "Member must have value less than or equal to 128", dict(ExtendedS3DestinationConfiguration=s3(size=129))),
        ("InvalidArgumentException", "RedshiftDestinationConfiguration", dict(RedshiftDestinationConfiguration=dict(
            RoleARN=ROLE, ClusterJDBCURL="jdbc:redshift://a.redshift.amazonaws.com:5439/db", CopyCommand=dict(DataTableName="t"), S3Configuration=s3()))),
    ]:
        refused(code, firehose.create_delivery_stream, text, DeliveryStreamName="refused", **more)
    assert firehose.list_delivery_streams()["DeliveryStreamNames"] == ["s00"]
    assert not os.path.exists(os.path.join(data, "streams", "firehose.refused"))
    refused("InvalidArgumentException", firehose.put_record_batch, "4 MB", DeliveryStreamName="s00", Records=[{"Data": b"x" * 1000000}] * 5)
    unchecked = boto3.client("firehose", **{**settings, "config": Config(parameter_validation=False, retries={"max_attempts": 1})})
    refused("ValidationException", unchecked.put_record, "length less than or equal to 1024000", DeliveryStreamName="s00", Record={"Data": b"x" * 1024001})
    refused("ValidationException", unchecked.put_record_batch, "length greater than or equal to 1", DeliveryStreamName="s00", Records=[])
    refused("ValidationException", unchecked.put_record_batch, "length less than or equal to 500", DeliveryStreamName="s00", Records=[{"Data": b"x"}] * 501)
    firehose.put_record(DeliveryStreamName="s00", Record={"Data": b"x" * 1024000})
    firehose.delete_delivery_stream(DeliveryStreamName="s00")


def kinesis_source():
    """A delivery stream of a Kinesis stream takes what comes after its creation."""
    firehose.create_delivery_stream(
        DeliveryStreamName="from-kinesis", DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration=dict(KinesisStreamARN="arn:aws:kinesis:us-east-1:000000000000:stream/numbers", RoleARN=ROLE),
        ExtendedS3DestinationConfiguration=s3(S3BackupMode="Enabled", S3BackupConfiguration=s3("all", CompressionFormat="GZIP")))
    print("created", flush=True)
    wait(lambda: b"".join(files().values()) == b"new\n" and files("all"))
    assert [gzip.decompress(v) for v in files("all").values()] == [b"new\n"]


def ask(path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[4]}{path}", None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def opensearch():
    """Scenario 25: what the index refuses is in the backup, and only that; records that are no documents have failed before."""
    ask("/_plan", {"integer": ["bytes"], "busy": 7})
    firehose.create_delivery_stream(
        DeliveryStreamName="flow-logs", AmazonopensearchserviceDestinationConfiguration=dict(
            RoleARN=ROLE, ClusterEndpoint=f"http://127.0.0.1:{sys.argv[4]}", IndexName="vpc-flow-logs", IndexRotationPeriod="NoRotation",
            BufferingHints=dict(IntervalInSeconds=1, SizeInMBs=1), S3BackupMode="FailedDocumentsOnly", S3Configuration=s3("backup", Prefix="flow/")))
    records = [{"srcaddr": f"10.0.0.{i % 7}", "dstaddr": "10.1.0.1", "action": "REJECT" if i % 4 == 0 else "ACCEPT", "bytes": "many" if i % 50 == 9 else i}
               for i in range(1000)]
    good, bad = [r for r in records if r["bytes"] != "many"], [r for r in records if r["bytes"] == "many"]
    put("flow-logs", [json.dumps(r, indent=1 if i % 3 else None).encode() for i, r in enumerate(records)] + [b"no document", b"[1]"])
    wait(lambda: len(ask("/_all").get("vpc-flow-logs", {})) == len(good), 30)
    def lines(folder):
        return [json.loads(line) for v in files("backup", folder).values() for line in v.splitlines()]
    refused_ones = wait(lambda: len(lines("flow/AmazonOpenSearchService-failed")) == len(bad) and lines("flow/AmazonOpenSearchService-failed"))
    broken = wait(lambda: len(lines("flow/processing-failed")) == 2 and lines("flow/processing-failed"))
    assert sorted(json.dumps(r["document"], sort_keys=True) for r in refused_ones) == sorted(json.dumps(r, sort_keys=True) for r in bad), refused_ones
    assert sorted(base64.b64decode(r["rawData"]) for r in broken) == [b"[1]", b"no document"], broken
    found = ask("/vpc-flow-logs/_search", {"size": 0, "aggs": {"actions": {"terms": {"field": "action"}}, "talkers": {
        "terms": {"field": "srcaddr", "size": 3}, "aggs": {"sum": {"sum": {"field": "bytes"}}}}}})["aggregations"]
    counts = {b["key"]: b["doc_count"] for b in found["actions"]["buckets"]}
    assert counts == {a: sum(r["action"] == a for r in good) for a in ("ACCEPT", "REJECT")}, counts
    for bucket in found["talkers"]["buckets"]:
        assert bucket["sum"]["value"] == sum(r["bytes"] for r in good if r["srcaddr"] == bucket["key"]), bucket
    description = firehose.describe_delivery_stream(DeliveryStreamName="flow-logs")["DeliveryStreamDescription"]["Destinations"][0]
    assert description["AmazonopensearchserviceDestinationDescription"]["S3DestinationDescription"]["Prefix"] == "flow/", description


def http():
    """An HTTP endpoint of the kind that Firehose delivers to; all records are backed up too."""
    firehose.create_delivery_stream(
        DeliveryStreamName="web", HttpEndpointDestinationConfiguration=dict(
            EndpointConfiguration=dict(Url=f"http://127.0.0.1:{sys.argv[4]}/firehose", AccessKey="secret"), S3BackupMode="AllData", S3Configuration=s3("web"),
            BufferingHints=dict(IntervalInSeconds=1, SizeInMBs=1), RequestConfiguration=dict(ContentEncoding="GZIP", CommonAttributes=[dict(AttributeName="from", AttributeValue="test")])))
    records = [f"record {i} \n\xff".encode("latin-1") for i in range(300)]
    put("web", records)
    def sent():
        return [base64.b64decode(r["data"]) for q in ask("/_requests") for r in json.loads(q["body"])["records"]]
    wait(lambda: len(sent()) >= len(records))
    assert sent() == records
    wait(lambda: sum(map(len, files("web").values())) >= sum(map(len, records)))
    assert b"".join(v for _, v in sorted(files("web").items())) == b"".join(records)
    description = firehose.describe_delivery_stream(DeliveryStreamName="web")["DeliveryStreamDescription"]["Destinations"][0]
    assert description["HttpEndpointDestinationDescription"]["EndpointConfiguration"] == {"Url": f"http://127.0.0.1:{sys.argv[4]}/firehose"}, description


def encrypts():
    """Records are encrypted on disk from when it is asked for, and delivered as they were."""
    firehose.create_delivery_stream(DeliveryStreamName="secret", ExtendedS3DestinationConfiguration=s3(),
                                    DeliveryStreamEncryptionConfigurationInput=dict(KeyType="AWS_OWNED_CMK"))
    def status():
        return firehose.describe_delivery_stream(DeliveryStreamName="secret")["DeliveryStreamDescription"]["DeliveryStreamEncryptionConfiguration"]
    def stored():
        found = b""
        for folder, _, names in os.walk(os.path.join(data, "streams", "firehose.secret")):
            found += b"".join(open(os.path.join(folder, n), "rb").read() for n in names if n.endswith(".log"))
        return found
    assert status() == dict(Status="ENABLED", KeyType="AWS_OWNED_CMK")
    assert firehose.put_record(DeliveryStreamName="secret", Record={"Data": b"first secret\n"})["Encrypted"]
    assert b"first secret" not in stored()
    firehose.stop_delivery_stream_encryption(DeliveryStreamName="secret")
    assert status() == dict(Status="DISABLED")
    firehose.put_record(DeliveryStreamName="secret", Record={"Data": b"nothing hidden\n"})
    assert b"nothing hidden" in stored()
    key = "arn:aws:kms:us-east-1:000000000000:key/1"
    firehose.start_delivery_stream_encryption(DeliveryStreamName="secret", DeliveryStreamEncryptionConfigurationInput=dict(KeyType="CUSTOMER_MANAGED_CMK", KeyARN=key))
    assert status() == dict(Status="ENABLED", KeyType="CUSTOMER_MANAGED_CMK", KeyARN=key)
    firehose.put_record(DeliveryStreamName="secret", Record={"Data": b"second secret\n"})
    assert b"second secret" not in stored()
    wait(lambda: b"".join(files().values()) == b"first secret\nnothing hidden\nsecond secret\n")
    refused("InvalidArgumentException", firehose.start_delivery_stream_encryption, DeliveryStreamName="secret",
            DeliveryStreamEncryptionConfigurationInput=dict(KeyType="CUSTOMER_MANAGED_CMK"))


def typed():
    """Random items, flattened as boto3 itself reads them; from topology stream `typed`, which delivers deleted items too."""
    import random
    from boto3.dynamodb.types import TypeDeserializer
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    words = ["", "a", "ä\n\"\\", "\u2028 😀", "dynamodb", "S", "x" * 300]

    def value(depth=0):
        kind = chance.choice(["S", "N", "B", "BOOL", "NULL", "SS", "NS"] + (["M", "L"] if depth < 4 else []))
        if kind == "S": return {"S": chance.choice(words)}
        if kind == "N": return {"N": chance.choice(["0", "-1", "3.25", "12345678901234567890.5", "1E+30", "-0.001"])}
        if kind == "B": return {"B": base64.b64encode(chance.randbytes(5)).decode()}
        if kind == "BOOL": return {"BOOL": chance.random() < 0.5}
        if kind == "NULL": return {"NULL": True}
        if kind == "SS": return {"SS": ["b", "a"]}
        if kind == "NS": return {"NS": ["1", "2.5"]}
        if kind == "M": return {"M": item(depth + 1)}
        return {"L": [value(depth + 1) for _ in range(chance.randrange(4))]}

    def item(depth=0):
        return {f"{i}{chance.choice(words[1:])}": value(depth) for i in range(chance.randrange(1, 6))}

    class Plain(TypeDeserializer):
        def _deserialize_n(self, value): return float(value)
        def _deserialize_b(self, value): return value
        def _deserialize_ss(self, value): return list(value)
        def _deserialize_ns(self, value): return [float(v) for v in value]

    def plain(image):
        return {k: Plain().deserialize(v) for k, v in image.items()}

    records, wanted = [], []
    for i in range(400):
        image, event = item(), chance.choice(["INSERT", "MODIFY", "REMOVE"])
        change = {"Keys": {"id": {"N": str(i)}}, "SizeBytes": 1}
        if event == "REMOVE":
            change |= {"OldImage": image} if i % 2 else {}
            wanted.append((plain(image) if i % 2 else {"id": float(i)}) | {"__deleted": True})
        else:
            change |= {"NewImage": image, "OldImage": item()}
            wanted.append(plain(image))
        records.append(json.dumps({"eventName": event, "dynamodb": change, "tableName": "t"}, ensure_ascii=chance.random() < 0.5).encode())
    broken = [b'{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"N":"1"}}}}', b'{"id":{"N":"x"}}', b'{"id":{"S":1}}', b'{"id":{"Q":"1"}}', b'{"id":{}}', b"[]", b"{", b'{"a":{"S":"1","N":"2"}}']
    put("typed", records + broken)
    found = wait(lambda: sum(v.count(b"\n") for v in files("typed").values()) == len(records) + len(broken) and files("typed"))
    got = [json.loads(line, parse_int=float) for k in sorted(found) if k.startswith("good/") for line in found[k].splitlines()]
    assert got == wanted, (seed, next((g, w) for g, w in zip(got, wanted) if g != w) if len(got) == len(wanted) else (len(got), len(wanted)))
    failed = [base64.b64decode(json.loads(line)["rawData"]) for k, v in found.items() if k.startswith("bad/") for line in v.splitlines()]
    assert sorted(failed) == sorted(broken), failed


def recovers():
    """A stream whose source is not there says so, and delivers once it is."""
    firehose.create_delivery_stream(
        DeliveryStreamName="early", DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration=dict(KinesisStreamARN="arn:aws:kinesis:us-east-1:000000000000:stream/later", RoleARN=ROLE),
        ExtendedS3DestinationConfiguration=s3())
    def failure():
        return firehose.describe_delivery_stream(DeliveryStreamName="early")["DeliveryStreamDescription"].get("FailureDescription")
    told = wait(failure)
    assert told["Type"] == "UNKNOWN_ERROR" and "there is no stream later" in told["Details"], told
    print("failed", flush=True)
    wait(lambda: b"".join(files().values()) == b"at last\n", 40)
    wait(lambda: failure() is None)


{f.__name__: f for f in (typed, recovers, delivers, burst, trickle, compressed, partitioned, flattens, manages, kinesis_source, opensearch, http, encrypts)}[scenario]()
print(json.dumps("ok"))
