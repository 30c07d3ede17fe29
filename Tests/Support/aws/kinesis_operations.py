"""Every operation of Kinesis through boto3, against the endpoint in the first argument; prints the failures as JSON.

    kinesis_operations.py http://127.0.0.1:4566 [test ...]
"""
import datetime
import hashlib
import json
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

URL = sys.argv[1]
ACCOUNT = "000000000000"
RETRIES = Config(retries={"max_attempts": 0}, parameter_validation=False)


def connect(region="us-east-1"):
    return boto3.client("kinesis", endpoint_url=URL, region_name=region, aws_access_key_id="test", aws_secret_access_key="test", config=RETRIES)


k = connect()


def name(prefix="s"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def make(shards=1, **more):
    stream = name()
    k.create_stream(StreamName=stream, ShardCount=shards, **more)
    return stream


def arn(stream):
    return f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{stream}"


def refused(code, call, text=None, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["Error"]
        assert found["Code"] == code, f"{found['Code']} instead of {code}: {found['Message']}"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        if text is not None:
            assert text in found["Message"], found["Message"]
        return found["Message"]
    raise AssertionError(f"not refused with {code}")


def shards(stream):
    return k.list_shards(StreamName=stream)["Shards"]


def iterator(stream, shard="shardId-000000000000", kind="TRIM_HORIZON", **more):
    return k.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]


def read(stream, shard="shardId-000000000000", **more):
    records, position = [], iterator(stream, shard, **more)
    while position:
        page = k.get_records(ShardIterator=position)
        records += page["Records"]
        position = page.get("NextShardIterator")
        if page["MillisBehindLatest"] == 0:
            break
    return records


def put(stream, *texts):
    return [k.put_record(StreamName=stream, Data=text.encode(), PartitionKey=text)["SequenceNumber"] for text in texts]


# Streams


def test_create_describe_delete():
    stream = make(3)
    described = k.describe_stream(StreamName=stream)["StreamDescription"]
    assert described["StreamARN"] == arn(stream) and described["StreamStatus"] == "ACTIVE"
    assert described["StreamModeDetails"] == {"StreamMode": "PROVISIONED"} and described["RetentionPeriodHours"] == 24
    assert described["EncryptionType"] == "NONE" and described["EnhancedMonitoring"] == [{"ShardLevelMetrics": []}]
    assert abs(described["StreamCreationTimestamp"].timestamp() - time.time()) < 60
    ranges = [(int(s["HashKeyRange"]["StartingHashKey"]), int(s["HashKeyRange"]["EndingHashKey"])) for s in described["Shards"]]
    assert ranges[0][0] == 0 and ranges[-1][1] == 2**128 - 1 and all(a[1] + 1 == b[0] for a, b in zip(ranges, ranges[1:]))
    summary = k.describe_stream_summary(StreamARN=arn(stream))["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 3 and summary["ConsumerCount"] == 0 and summary["MaxRecordSizeInKiB"] == 1024
    # boto3 makes another host name of a stream's id, whatever the endpoint.
    by_id = json.loads(raw("DescribeStreamSummary", json.dumps({"StreamId": summary["StreamId"]}).encode()))
    assert by_id["StreamDescriptionSummary"]["StreamName"] == stream
    assert "already exists" in refused("ResourceInUseException", k.create_stream, StreamName=stream, ShardCount=1)
    k.delete_stream(StreamARN=arn(stream))
    refused("ResourceNotFoundException", k.describe_stream, f"Stream {stream} under account {ACCOUNT} not found.", StreamName=stream)
    refused("ResourceNotFoundException", k.delete_stream, StreamName=stream)
    refused("ResourceNotFoundException", k.put_record, StreamName=stream, Data=b"", PartitionKey="a")
    # The same name again is another stream.
    k.create_stream(StreamName=stream, ShardCount=1)
    put(stream, "again")
    assert [r["Data"] for r in read(stream)] == [b"again"]


def test_on_demand():
    stream = name()
    k.create_stream(StreamName=stream, StreamModeDetails={"StreamMode": "ON_DEMAND"}, Tags={"a": "b"})
    assert len(shards(stream)) == 4
    assert k.list_tags_for_stream(StreamName=stream)["Tags"] == [{"Key": "a", "Value": "b"}]
    for call, more in [(k.update_shard_count, {"TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}),
                       (k.split_shard, {"ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "10"}),
                       (k.merge_shards, {"ShardToMerge": "shardId-000000000000", "AdjacentShardToMerge": "shardId-000000000001"})]:
        refused("ValidationException", call, f"Request is invalid. Stream {stream} under account {ACCOUNT} is in On-Demand mode.", StreamName=stream, **more)
    k.update_stream_warm_throughput(StreamName=stream, WarmThroughputMiBps=100)
    assert k.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["WarmThroughput"]["TargetMiBps"] == 100
    k.update_stream_mode(StreamARN=arn(stream), StreamModeDetails={"StreamMode": "PROVISIONED"})
    assert k.describe_stream(StreamName=stream)["StreamDescription"]["StreamModeDetails"]["StreamMode"] == "PROVISIONED"
    k.update_shard_count(StreamName=stream, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    refused("ValidationException", k.update_stream_warm_throughput, StreamName=stream, WarmThroughputMiBps=1)
    limits = k.describe_limits()
    assert limits["ShardLimit"] > 0 and limits["OpenShardCount"] > 0


def test_validation():
    refused("ValidationException", k.create_stream, "Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression "
            "pattern: [a-zA-Z0-9_.-]+", StreamName="a b", ShardCount=1)
    refused("ValidationException", k.create_stream, "Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1",
            StreamName="a", ShardCount=0)
    refused("ValidationException", k.create_stream, "2 validation errors detected: ", StreamName="", ShardCount=1)
    refused("ValidationException", k.get_shard_iterator, "Value null at 'shardId'", StreamName="a", ShardIteratorType="LATEST")
    refused("SerializationException", k.describe_stream, StreamName=7)
    refused("InvalidArgumentException", k.describe_stream)
    refused("UnknownOperationException", raw, operation="Sing", body=b"{}")


def raw(operation, body):
    request = urllib.request.Request(URL, data=body, headers={"X-Amz-Target": f"Kinesis_20131202.{operation}", "Content-Type": "application/x-amz-json-1.1"})
    try:
        return urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as error:
        answer = json.loads(error.read())
        raise ClientError({"Error": {"Code": answer["__type"], "Message": answer.get("message", "")}, "ResponseMetadata": {"HTTPStatusCode": error.code}}, operation)


def test_paging_of_streams():
    prefix = name("page")
    names = [f"{prefix}-{i:02}" for i in range(7)]
    for each in names:
        k.create_stream(StreamName=each, ShardCount=1)
    found, start = [], prefix
    while True:
        page = k.list_streams(Limit=3, ExclusiveStartStreamName=start)
        assert len(page["StreamSummaries"]) == len(page["StreamNames"])
        found += page["StreamNames"]
        if not page["HasMoreStreams"]:
            assert "NextToken" not in page
            break
        start = page["StreamNames"][-1]
    assert [n for n in found if n.startswith(prefix)] == names
    found, page = [], k.list_streams(Limit=2)
    while True:
        found += page["StreamNames"]
        if "NextToken" not in page:
            break
        page = k.list_streams(Limit=2, NextToken=page["NextToken"])
    assert [n for n in found if n.startswith(prefix)] == names and len(found) == len(set(found))
    refused("InvalidArgumentException", k.list_streams, NextToken="bm90IGEgdG9rZW4=")


def test_paging_of_shards():
    stream = make(7)
    page = k.describe_stream(StreamName=stream, Limit=4)["StreamDescription"]
    assert len(page["Shards"]) == 4 and page["HasMoreShards"]
    rest = k.describe_stream(StreamName=stream, Limit=4, ExclusiveStartShardId=page["Shards"][-1]["ShardId"])["StreamDescription"]
    assert len(rest["Shards"]) == 3 and not rest["HasMoreShards"]
    first = k.list_shards(StreamName=stream, MaxResults=5)
    second = k.list_shards(NextToken=first["NextToken"], MaxResults=5)
    assert first["Shards"] + second["Shards"] == page["Shards"] + rest["Shards"] and "NextToken" not in second
    refused("InvalidArgumentException", k.list_shards, "NextToken and StreamName cannot be provided together.", NextToken=first["NextToken"], StreamName=stream)
    refused("InvalidArgumentException", k.list_streams, NextToken=first["NextToken"])
    assert len(k.list_shards(StreamName=stream, ExclusiveStartShardId="shardId-000000000004")["Shards"]) == 2


# Records


def test_put_and_get():
    stream = make()
    before = int(time.time() * 1000)
    sequences = put(stream, *[f"text {i}" for i in range(10)])
    assert sequences == sorted(sequences, key=int) and len(set(sequences)) == 10
    records = read(stream)
    assert [r["Data"].decode() for r in records] == [f"text {i}" for i in range(10)] and [r["SequenceNumber"] for r in records] == sequences
    assert all(r["PartitionKey"] == r["Data"].decode() for r in records)
    assert all(before - 1000 <= r["ApproximateArrivalTimestamp"].timestamp() * 1000 <= time.time() * 1000 + 1000 for r in records)
    page = k.get_records(ShardIterator=iterator(stream), Limit=3)
    assert len(page["Records"]) == 3 and page["MillisBehindLatest"] > 0
    page = k.get_records(ShardIterator=page["NextShardIterator"])
    assert [r["SequenceNumber"] for r in page["Records"]] == sequences[3:] and page["MillisBehindLatest"] == 0
    page = k.get_records(ShardIterator=page["NextShardIterator"])
    assert page["Records"] == [] and "NextShardIterator" in page


def test_iterators():
    stream = make()
    empty = iterator(stream, kind="LATEST")
    sequences = put(stream, *"abcde")
    assert [r["Data"] for r in k.get_records(ShardIterator=empty)["Records"]] == [b"a", b"b", b"c", b"d", b"e"]
    latest = iterator(stream, kind="LATEST")
    assert k.get_records(ShardIterator=latest)["Records"] == []
    put(stream, "f")
    assert [r["Data"] for r in k.get_records(ShardIterator=latest)["Records"]] == [b"f"]
    at = read(stream, kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=sequences[2])
    after = read(stream, kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=sequences[2])
    assert [r["Data"] for r in at] == [b"c", b"d", b"e", b"f"] and [r["Data"] for r in after] == [b"d", b"e", b"f"]
    start = shards(stream)[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    for kind in "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER":
        assert len(read(stream, kind=kind, StartingSequenceNumber=start)) == 6
    records = read(stream)
    middle = records[3]["ApproximateArrivalTimestamp"]
    found = read(stream, kind="AT_TIMESTAMP", Timestamp=middle)
    assert found == [r for r in records if r["ApproximateArrivalTimestamp"] >= middle]
    assert len(read(stream, kind="AT_TIMESTAMP", Timestamp=datetime.datetime(2020, 1, 1))) == 6
    refused("InvalidArgumentException", k.get_shard_iterator, "cannot be greater than the currentTimestampInMillis", StreamName=stream,
            ShardId="shardId-000000000000", ShardIteratorType="AT_TIMESTAMP", Timestamp=time.time() + 3600)
    for kind in "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "AT_TIMESTAMP":
        refused("InvalidArgumentException", k.get_shard_iterator, "Current value: null", StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType=kind)
    refused("InvalidArgumentException", k.get_shard_iterator, "is invalid because it did not come from this stream.", StreamName=stream,
            ShardId="shardId-000000000000", ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber="1")
    refused("ResourceNotFoundException", k.get_shard_iterator, "does not exist", StreamName=stream, ShardId="shardId-000000000001", ShardIteratorType="LATEST")
    refused("ValidationException", k.get_shard_iterator, "enum value set", StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="ODD")
    good = iterator(stream)
    for bad in good[:-4] + "AAAA", "AAAA", "not base64", good[4:]:
        refused("InvalidArgumentException", k.get_records, "Invalid ShardIterator.", ShardIterator=bad)
    refused("ValidationException", k.get_records, ShardIterator=good, Limit=10_001)


def test_put_records():
    stream = make(4)
    batch = [{"Data": bytes([i % 256]) * (i % 50), "PartitionKey": f"key-{i}"} for i in range(500)]
    answer = k.put_records(StreamName=stream, Records=batch)
    assert answer["FailedRecordCount"] == 0 and len(answer["Records"]) == 500 and answer["EncryptionType"] == "NONE"
    ranges = {s["ShardId"]: s["HashKeyRange"] for s in shards(stream)}
    for record, result in zip(batch, answer["Records"]):
        key = int.from_bytes(hashlib.md5(record["PartitionKey"].encode()).digest(), "big")
        there = ranges[result["ShardId"]]
        assert int(there["StartingHashKey"]) <= key <= int(there["EndingHashKey"])
    back = {(shard, r["SequenceNumber"]): (r["Data"], r["PartitionKey"]) for shard in ranges for r in read(stream, shard)}
    assert len(back) == 500
    for record, result in zip(batch, answer["Records"]):
        assert back[result["ShardId"], result["SequenceNumber"]] == (record["Data"], record["PartitionKey"])
    refused("ValidationException", k.put_records, "Value at 'records' failed to satisfy constraint: Member must have length less than or equal to 500",
            StreamName=stream, Records=batch + batch[:1])
    refused("ValidationException", k.put_records, StreamName=stream, Records=[])
    refused("ValidationException", k.put_records, "partitionKey", StreamName=stream, Records=[{"Data": b"a"}])
    refused("ValidationException", k.put_records, "partitionKey", StreamName=stream, Records=[{"Data": b"a", "PartitionKey": "x" * 257}])
    refused("SerializationException", k.put_records, StreamName=stream, Records=[{"Data": b"a", "PartitionKey": 5}])
    refused("SerializationException", raw, operation="PutRecords", body=b'{"StreamName":"%s","Records":[{"Data":"a","PartitionKey":"a"}]}' % stream.encode())
    refused("InvalidArgumentException", k.put_records, "Invalid ExplicitHashKey", StreamName=stream,
            Records=[{"Data": b"a", "PartitionKey": "a", "ExplicitHashKey": str(2**128)}])


def test_text_that_needs_care():
    stream = make()
    keys = ["ä", "日本", 'quo"te', "back\\slash", "tab\t", "emoji \U0001f600", "x" * 256, "\x7f", "/"]
    for key in keys:
        k.put_record(StreamName=stream, Data=key.encode(), PartitionKey=key)
    k.put_records(StreamARN=arn(stream), Records=[{"Data": key.encode(), "PartitionKey": key} for key in keys])
    assert [(r["PartitionKey"], r["Data"].decode()) for r in read(stream)] == [(key, key) for key in keys] * 2
    # Any order of members and any white space, with escapes.
    raw("PutRecords", b' { "Records" : [ { "PartitionKey" : "a\\/b" , "Data" : "YQ\\u003d=" } ,\n{"Data":"","PartitionKey":"p"} ] , "StreamName" : "%s" } ' % stream.encode())
    assert [(r["PartitionKey"], r["Data"]) for r in read(stream)[-2:]] == [("a/b", b"a"), ("p", b"")]


def test_hash_keys_and_sizes():
    stream = make(2)
    border = int(shards(stream)[1]["HashKeyRange"]["StartingHashKey"])
    for key, shard in (0, 0), (border - 1, 0), (border, 1), (2**128 - 1, 1):
        answer = k.put_record(StreamName=stream, Data=b"x", PartitionKey="any", ExplicitHashKey=str(key))
        assert answer["ShardId"] == f"shardId-{shard:012}"
        answer = k.put_records(StreamName=stream, Records=[{"Data": b"x", "PartitionKey": "any", "ExplicitHashKey": str(key)}])
        assert answer["Records"][0]["ShardId"] == f"shardId-{shard:012}"
    refused("ValidationException", k.put_record, StreamName=stream, Data=b"x", PartitionKey="a", ExplicitHashKey="01")
    last = answer["Records"][0]["SequenceNumber"]
    assert int(k.put_record(StreamName=stream, Data=b"x", PartitionKey="a", ExplicitHashKey=str(2**128 - 1), SequenceNumberForOrdering=last)["SequenceNumber"]) > int(last)
    refused("InvalidArgumentException", k.put_record, "is invalid", StreamName=stream, Data=b"x", PartitionKey="a", SequenceNumberForOrdering="5")
    million = 1 << 20
    k.put_record(StreamName=stream, Data=b"x" * (million - 1), PartitionKey="a")
    refused("ValidationException", k.put_record, "less than or equal to 1048576", StreamName=stream, Data=b"x" * million, PartitionKey="a")
    refused("ValidationException", k.put_records, "'records.2.member.data'", StreamName=stream,
            Records=[{"Data": b"", "PartitionKey": "a"}, {"Data": b"x" * million, "PartitionKey": "a"}])
    k.update_max_record_size(StreamARN=arn(stream), MaxRecordSizeInKiB=2048)
    big = k.put_record(StreamName=stream, Data=b"y" * (2 * million - 1), PartitionKey="a")
    found = read(stream, big["ShardId"], kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=big["SequenceNumber"])
    assert found[0]["Data"] == b"y" * (2 * million - 1)
    refused("ValidationException", k.update_max_record_size, StreamARN=arn(stream), MaxRecordSizeInKiB=10241)


def test_answers_of_10_mebibytes():
    stream = make()
    for i in range(3):
        k.put_records(StreamName=stream, Records=[{"Data": bytes([65 + i]) * 900_000, "PartitionKey": "a"}] * 5)
    page = k.get_records(ShardIterator=iterator(stream))
    assert len(page["Records"]) == 11 and page["MillisBehindLatest"] > 0, len(page["Records"])
    rest = k.get_records(ShardIterator=page["NextShardIterator"])
    assert len(rest["Records"]) == 4 and rest["MillisBehindLatest"] == 0


def test_dry_run():
    stream = make()
    refused("DryRunOperationException", k.put_record, StreamName=stream, Data=b"a", PartitionKey="a", DryRun=True)
    refused("DryRunOperationException", k.put_records, StreamName=stream, Records=[{"Data": b"a", "PartitionKey": "a"}], DryRun=True)
    assert read(stream) == []
    refused("DryRunOperationException", k.get_records, ShardIterator=iterator(stream), DryRun=True)


def test_distribution():
    stream = make(2, RecordDistributionStrategy="AUTO")
    answer = k.put_records(StreamName=stream, Records=[{"Data": b"a"}] * 100)
    assert {r["ShardId"] for r in answer["Records"]} == {"shardId-000000000000", "shardId-000000000001"}
    assert "PartitionKey" not in read(stream)[0]
    k.update_stream_record_distribution_strategy(StreamARN=arn(stream), RecordDistributionStrategy="USER_PARTITION_KEY")
    refused("ValidationException", k.put_record, StreamName=stream, Data=b"a")


# Shards


def test_split_and_merge():
    stream = make(2)
    put(stream, *[f"before {i}" for i in range(50)])
    shard = shards(stream)[1]
    start, end = (int(shard["HashKeyRange"][key]) for key in ("StartingHashKey", "EndingHashKey"))
    refused("InvalidArgumentException", k.split_shard, "is not both greater than one plus the shard's StartingHashKey", StreamName=stream,
            ShardToSplit=shard["ShardId"], NewStartingHashKey=str(start))
    open_iterator = iterator(stream, shard["ShardId"])
    k.split_shard(StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=str(start + 1000))
    put(stream, *[f"after {i}" for i in range(50)])
    all_shards = {s["ShardId"]: s for s in shards(stream)}
    assert sorted(all_shards) == [f"shardId-{i:012}" for i in range(4)]
    assert "EndingSequenceNumber" in all_shards["shardId-000000000001"]["SequenceNumberRange"]
    assert all(all_shards[f"shardId-{i:012}"]["ParentShardId"] == "shardId-000000000001" for i in (2, 3))
    page = k.get_records(ShardIterator=open_iterator)
    assert "NextShardIterator" not in page and page["MillisBehindLatest"] == 0
    assert [(c["ShardId"], c["ParentShards"]) for c in page["ChildShards"]] == [(f"shardId-{i:012}", ["shardId-000000000001"]) for i in (2, 3)]
    assert page["ChildShards"][0]["HashKeyRange"] == all_shards["shardId-000000000002"]["HashKeyRange"]
    refused("InvalidArgumentException", k.split_shard, "has already been merged or split", StreamName=stream, ShardToSplit="shardId-000000000001",
            NewStartingHashKey=str(start + 5000))
    refused("ResourceNotFoundException", k.split_shard, f"Could not find shard shardId-000000000099 in stream {stream} under account {ACCOUNT}.",
            StreamName=stream, ShardToSplit="shardId-000000000099", NewStartingHashKey="5")
    refused("InvalidArgumentException", k.merge_shards, "not an adjacent pair", StreamName=stream, ShardToMerge="shardId-000000000000",
            AdjacentShardToMerge="shardId-000000000003")
    k.merge_shards(StreamARN=arn(stream), ShardToMerge="shardId-000000000000", AdjacentShardToMerge="shardId-000000000002")
    merged = {s["ShardId"]: s for s in shards(stream)}["shardId-000000000004"]
    assert (merged["ParentShardId"], merged["AdjacentParentShardId"]) == ("shardId-000000000000", "shardId-000000000002")
    put(stream, *[f"last {i}" for i in range(50)])
    texts = [r["Data"].decode() for s in sorted(s["ShardId"] for s in shards(stream)) for r in read(stream, s)]
    assert sorted(texts) == sorted(f"{w} {i}" for w in ("before", "after", "last") for i in range(50))
    assert k.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["OpenShardCount"] == 2


def test_shard_filters():
    stream = make(2)
    middle = str(2**126)
    time.sleep(0.01)
    before = time.time()
    time.sleep(0.01)
    k.split_shard(StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=middle)

    def ids(**shard_filter):
        return [int(s["ShardId"][8:]) for s in k.list_shards(StreamName=stream, ShardFilter=shard_filter)["Shards"]]

    assert ids(Type="AT_LATEST") == [1, 2, 3]
    assert ids(Type="AT_TRIM_HORIZON") == [0, 1]
    assert ids(Type="FROM_TRIM_HORIZON") == [0, 1, 2, 3]
    assert ids(Type="AT_TIMESTAMP", Timestamp=before) == [0, 1]
    assert ids(Type="AT_TIMESTAMP", Timestamp=time.time()) == [1, 2, 3]
    assert ids(Type="FROM_TIMESTAMP", Timestamp=before) == [0, 1, 2, 3]
    time.sleep(0.01)
    assert ids(Type="FROM_TIMESTAMP", Timestamp=time.time()) == [1, 2, 3]
    assert ids(Type="AFTER_SHARD_ID", ShardId="shardId-000000000001") == [2, 3]
    refused("InvalidArgumentException", k.list_shards, "ShardId must be provided", StreamName=stream, ShardFilter={"Type": "AFTER_SHARD_ID"})
    refused("InvalidArgumentException", k.list_shards, "Timestamp must be provided", StreamName=stream, ShardFilter={"Type": "AT_TIMESTAMP"})
    page = k.list_shards(StreamName=stream, MaxResults=2, ShardFilter={"Type": "AT_LATEST"})
    assert [s["ShardId"] for s in page["Shards"] + k.list_shards(NextToken=page["NextToken"])["Shards"]] == [f"shardId-{i:012}" for i in (1, 2, 3)]


def test_update_shard_count():
    for initial, target, total in (2, 4, 6), (4, 5, 15), (4, 2, 6), (5, 3, 7), (1, 4, 7):
        stream = make(initial)
        put(stream, *map(str, range(20)))
        answer = k.update_shard_count(StreamName=stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
        assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (initial, target)
        found = shards(stream)
        is_open = sorted((int(s["HashKeyRange"]["StartingHashKey"]), int(s["HashKeyRange"]["EndingHashKey"])) for s in found
                         if "EndingSequenceNumber" not in s["SequenceNumberRange"])
        assert len(found) == total and len(is_open) == target, (initial, target, len(found), len(is_open))
        assert is_open[0][0] == 0 and is_open[-1][1] == 2**128 - 1 and all(a[1] + 1 == b[0] for a, b in zip(is_open, is_open[1:]))
        assert sum(len(read(stream, s["ShardId"])) for s in found) == 20


# Settings


def test_retention():
    stream = make()
    k.increase_stream_retention_period(StreamName=stream, RetentionPeriodHours=48)
    assert k.describe_stream(StreamName=stream)["StreamDescription"]["RetentionPeriodHours"] == 48
    refused("InvalidArgumentException", k.increase_stream_retention_period, f"Requested retention period (25 hours) for stream {stream} can not be shorter than "
            "existing retention period (48 hours). Use DecreaseRetentionPeriod API.", StreamName=stream, RetentionPeriodHours=25)
    k.decrease_stream_retention_period(StreamName=stream, RetentionPeriodHours=24)
    refused("InvalidArgumentException", k.decrease_stream_retention_period, "too short", StreamName=stream, RetentionPeriodHours=23)
    refused("InvalidArgumentException", k.increase_stream_retention_period, "too long", StreamName=stream, RetentionPeriodHours=8761)
    refused("InvalidArgumentException", k.decrease_stream_retention_period, "can not be longer", StreamName=stream, RetentionPeriodHours=30)


def test_tags():
    stream = make(1, Tags={"born": "with"})
    k.add_tags_to_stream(StreamName=stream, Tags={f"key{i:02}": f"value{i}" for i in range(20)})
    page = k.list_tags_for_stream(StreamName=stream, Limit=15)
    assert len(page["Tags"]) == 15 and page["HasMoreTags"]
    rest = k.list_tags_for_stream(StreamName=stream, ExclusiveStartTagKey=page["Tags"][-1]["Key"])
    assert len(rest["Tags"]) == 6 and not rest["HasMoreTags"]
    k.remove_tags_from_stream(StreamName=stream, TagKeys=[f"key{i:02}" for i in range(19)])
    k.tag_resource(ResourceARN=arn(stream), Tags={"more": ""})
    assert k.list_tags_for_resource(ResourceARN=arn(stream))["Tags"] == [
        {"Key": "born", "Value": "with"}, {"Key": "key19", "Value": "value19"}, {"Key": "more", "Value": ""}]
    k.untag_resource(ResourceARN=arn(stream), TagKeys=["born", "nothing"])
    assert [t["Key"] for t in k.list_tags_for_stream(StreamARN=arn(stream))["Tags"]] == ["key19", "more"]
    refused("InvalidArgumentException", k.add_tags_to_stream, "cannot have more than 50 tags", StreamName=stream, Tags={str(i): "" for i in range(49)})
    refused("InvalidArgumentException", k.add_tags_to_stream, StreamName=stream, Tags={"aws:x": ""})
    refused("ValidationException", k.add_tags_to_stream, StreamName=stream, Tags={"x" * 129: ""})
    refused("ResourceNotFoundException", k.list_tags_for_resource, ResourceARN=arn("nothing"))


def test_monitoring_and_encryption():
    stream = make()
    answer = k.enable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["IncomingBytes"])
    assert (answer["CurrentShardLevelMetrics"], answer["DesiredShardLevelMetrics"]) == ([], ["IncomingBytes"])
    answer = k.enable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["ALL"])
    assert len(answer["DesiredShardLevelMetrics"]) == 7 and answer["StreamARN"] == arn(stream)
    k.disable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["IncomingBytes"])
    assert len(k.describe_stream(StreamName=stream)["StreamDescription"]["EnhancedMonitoring"][0]["ShardLevelMetrics"]) == 6
    assert k.disable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["ALL"])["DesiredShardLevelMetrics"] == []
    put(stream, "plain")
    k.start_stream_encryption(StreamName=stream, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    described = k.describe_stream(StreamName=stream)["StreamDescription"]
    assert (described["EncryptionType"], described["KeyId"]) == ("KMS", "alias/aws/kinesis")
    assert k.put_record(StreamName=stream, Data=b"secret", PartitionKey="a")["EncryptionType"] == "KMS"
    assert k.put_records(StreamName=stream, Records=[{"Data": b"secret", "PartitionKey": "a"}])["EncryptionType"] == "KMS"
    assert [r["Data"] for r in read(stream)] == [b"plain", b"secret", b"secret"]
    k.stop_stream_encryption(StreamName=stream, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    assert k.put_record(StreamName=stream, Data=b"open", PartitionKey="a")["EncryptionType"] == "NONE"
    assert [r["Data"] for r in read(stream)] == [b"plain", b"secret", b"secret", b"open"]
    refused("InvalidArgumentException", k.start_stream_encryption, StreamName=stream, EncryptionType="NONE", KeyId="a")


def test_policies_and_account():
    stream = make()
    assert k.get_resource_policy(ResourceARN=arn(stream))["Policy"] == "{}"
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    k.put_resource_policy(ResourceARN=arn(stream), Policy=policy)
    assert k.get_resource_policy(ResourceARN=arn(stream))["Policy"] == policy
    k.delete_resource_policy(ResourceARN=arn(stream))
    refused("ResourceNotFoundException", k.delete_resource_policy, "No resource policy found", ResourceARN=arn(stream))
    refused("ValidationException", k.put_resource_policy, ResourceARN=arn(stream), Policy="no json")
    key = "MinimumThroughputBillingCommitment"
    assert k.describe_account_settings()[key]["Status"] == "DISABLED"
    assert k.update_account_settings(**{key: {"Status": "ENABLED"}})[key]["Status"] == "ENABLED"
    assert "StartedAt" in k.describe_account_settings()[key]
    k.update_account_settings(**{key: {"Status": "DISABLED"}})


def test_refused_operations():
    queue = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:queue/q"
    refused("AccessDeniedException", k.describe_queue, "is not offered by this endpoint", QueueARN=queue)
    refused("ValidationException", k.describe_queue, QueueARN="no arn")
    refused("AccessDeniedException", k.list_channels)
    refused("ValidationException", k.create_queue, QueueName="q")


def test_regions():
    stream = make()
    found = connect("eu-west-1").describe_stream(StreamName=stream)["StreamDescription"]
    assert found["StreamARN"] == f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/{stream}"
    refused("ResourceNotFoundException", k.describe_stream, "under account 123456789012 not found", StreamARN=f"arn:aws:kinesis:us-east-1:123456789012:stream/{stream}")


# Consumers


def test_consumers():
    stream = make()
    registered = [k.register_stream_consumer(StreamARN=arn(stream), ConsumerName=f"c{i}", Tags={"n": str(i)})["Consumer"] for i in range(5)]
    assert registered[0]["ConsumerARN"].startswith(f"{arn(stream)}/consumer/c0:") and registered[0]["ConsumerStatus"] == "ACTIVE"
    refused("ResourceInUseException", k.register_stream_consumer, StreamARN=arn(stream), ConsumerName="c0")
    page = k.list_stream_consumers(StreamARN=arn(stream), MaxResults=3)
    assert [c["ConsumerName"] for c in page["Consumers"]] == ["c0", "c1", "c2"]
    rest = k.list_stream_consumers(StreamARN=arn(stream), NextToken=page["NextToken"])
    assert rest["Consumers"] == registered[3:] and "NextToken" not in rest
    by_name = k.describe_stream_consumer(StreamARN=arn(stream), ConsumerName="c1")["ConsumerDescription"]
    assert by_name == k.describe_stream_consumer(ConsumerARN=registered[1]["ConsumerARN"])["ConsumerDescription"]
    assert by_name == {**registered[1], "StreamARN": arn(stream)}
    assert k.list_tags_for_resource(ResourceARN=registered[2]["ConsumerARN"])["Tags"] == [{"Key": "n", "Value": "2"}]
    assert k.list_tags_for_stream(StreamName=stream)["Tags"] == []
    assert k.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["ConsumerCount"] == 5
    refused("ResourceInUseException", k.delete_stream, StreamName=stream)
    k.deregister_stream_consumer(ConsumerARN=registered[0]["ConsumerARN"])
    k.deregister_stream_consumer(StreamARN=arn(stream), ConsumerName="c1")
    refused("ResourceNotFoundException", k.describe_stream_consumer, ConsumerARN=registered[0]["ConsumerARN"])
    refused("ResourceNotFoundException", k.deregister_stream_consumer, StreamARN=arn(stream), ConsumerName="c1")
    refused("InvalidArgumentException", k.describe_stream_consumer, ConsumerName="c2")
    k.delete_stream(StreamName=stream, EnforceConsumerDeletion=True)


def subscribe(consumer, shard, kind="TRIM_HORIZON", **more):
    return k.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": kind, **more})["EventStream"]


def collect(events, count):
    records, last = [], None
    for event in events:
        last = event["SubscribeToShardEvent"]
        records += last["Records"]
        if len(records) >= count:
            break
    return records, last


def test_subscription():
    stream = make()
    consumer = k.register_stream_consumer(StreamARN=arn(stream), ConsumerName="c")["Consumer"]["ConsumerARN"]
    put(stream, *map(str, range(10)))
    events = subscribe(consumer, "shardId-000000000000")
    refused("ResourceInUseException", k.subscribe_to_shard, ConsumerARN=consumer, ShardId="shardId-000000000000", StartingPosition={"Type": "LATEST"})
    records, last = collect(events, 10)
    assert [r["Data"].decode() for r in records] == [str(i) for i in range(10)] and last["MillisBehindLatest"] == 0
    assert last["ContinuationSequenceNumber"] == records[-1]["SequenceNumber"] and records[0]["PartitionKey"] == "0"
    # What is put now arrives by itself, soon.
    delays = []
    for i in range(5):
        start = time.time()
        put(stream, f"late {i}")
        records, last = collect(events, 1)
        delays.append(time.time() - start)
        assert records[0]["Data"].decode() == f"late {i}"
    assert sorted(delays)[2] < 0.5, delays
    events.close()
    other = k.register_stream_consumer(StreamARN=arn(stream), ConsumerName="d")["Consumer"]["ConsumerARN"]
    events = subscribe(other, "shardId-000000000000", "AFTER_SEQUENCE_NUMBER", SequenceNumber=last["ContinuationSequenceNumber"])
    put(stream, "continued")
    records, last = collect(events, 1)
    assert [r["Data"] for r in records] == [b"continued"]
    k.deregister_stream_consumer(ConsumerARN=other)
    try:
        for _ in events:
            pass
        raise AssertionError("the stream ended without an exception")
    except Exception as error:
        assert "ResourceNotFoundException" in str(error) or "deleted" in str(error), error
    refused("ResourceNotFoundException", k.subscribe_to_shard, ConsumerARN=other, ShardId="shardId-000000000000", StartingPosition={"Type": "LATEST"})


def test_subscription_to_the_end_of_a_shard():
    stream = make()
    consumer = k.register_stream_consumer(StreamARN=arn(stream), ConsumerName="c")["Consumer"]["ConsumerARN"]
    put(stream, *map(str, range(3)))
    events = subscribe(consumer, "shardId-000000000000")
    collect(events, 3)
    threading.Timer(0.1, lambda: k.split_shard(StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))).start()
    last = None
    for event in events:
        last = event["SubscribeToShardEvent"]
    assert [c["ShardId"] for c in last["ChildShards"]] == ["shardId-000000000001", "shardId-000000000002"]
    assert "ContinuationSequenceNumber" not in last
    put(stream, *"abcdefgh")
    texts = []
    for shard in "shardId-000000000001", "shardId-000000000002":
        expected = len(read(stream, shard))
        events = subscribe(consumer, shard)
        texts += [r["Data"].decode() for r in collect(events, expected)[0]]
        events.close()
    assert sorted(texts) == list("abcdefgh")


if __name__ == "__main__":
    tests = {n: f for n, f in globals().items() if n.startswith("test_")}
    wanted = sys.argv[2:] or list(tests)
    failures, durations = {}, {}
    for each in wanted:
        started = time.time()
        try:
            tests[each]()
        except Exception:
            failures[each] = traceback.format_exc()[-1500:]
        durations[each] = round(time.time() - started, 2)
    print(json.dumps({"passed": len(wanted) - len(failures), "failures": failures, "seconds": durations}))
