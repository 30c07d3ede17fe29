"""The service's rates, against an endpoint that enforces them; iterators there last two seconds and subscriptions one.

    kinesis_limits.py URL
"""
import concurrent.futures
import json
import sys
import time
import traceback

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

k = boto3.client("kinesis", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
                 config=Config(retries={"max_attempts": 0}, max_pool_connections=10))


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error.response["Error"]["Message"]
    raise AssertionError(f"not refused with {code}")


def attempt(call, **arguments):
    """The type of the error; None when there was none."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]


def in_parallel(count, call):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return [f.result() for f in [pool.submit(call) for _ in range(count)]]


def iterator(stream):
    return k.get_shard_iterator(StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]


def test_records_a_second():
    k.create_stream(StreamName="records", ShardCount=1)
    # A busy machine may be too slow to be too fast at once.
    answers = []
    while sum(a["FailedRecordCount"] for a in answers) == 0 and len(answers) < 100:
        answers += in_parallel(4, lambda: k.put_records(StreamName="records", Records=[{"Data": b"x", "PartitionKey": "k"}] * 500))
    failed = sum(a["FailedRecordCount"] for a in answers)
    results = [r for a in answers for r in a["Records"]]
    assert 0 < failed <= 500 * len(answers) - 1000 and failed == sum("ErrorCode" in r for r in results), failed
    for result in results:
        if "ErrorCode" in result:
            assert result["ErrorCode"] == "ProvisionedThroughputExceededException" and "SequenceNumber" not in result
            assert result["ErrorMessage"] == "Rate exceeded for shard shardId-000000000000 in stream records under account 000000000000."
        else:
            assert result["SequenceNumber"] and result["ShardId"]
    time.sleep(1.1)
    assert k.put_records(StreamName="records", Records=[{"Data": b"x", "PartitionKey": "k"}] * 500)["FailedRecordCount"] == 0
    page = k.get_records(ShardIterator=iterator("records"))
    assert len(page["Records"]) == min(10_000, 500 * len(answers) + 500 - failed)


def test_bytes_a_second():
    k.create_stream(StreamName="bytes", ShardCount=1)
    answer = k.put_records(StreamName="bytes", Records=[{"Data": b"x" * 1_000_000, "PartitionKey": "k"}] * 8)
    assert "ErrorCode" not in answer["Records"][0] and answer["FailedRecordCount"] >= 4, answer["FailedRecordCount"]
    failure = next(r for r in answer["Records"] if "ErrorCode" in r)
    assert failure["ErrorMessage"] == "Rate exceeded for shard shardId-000000000000 in stream bytes under account 000000000000."
    outcomes = in_parallel(8, lambda: attempt(k.put_record, StreamName="bytes", Data=b"x" * 1_000_000, PartitionKey="k"))
    assert "ProvisionedThroughputExceededException" in outcomes, outcomes


def test_reads_a_second():
    k.create_stream(StreamName="reads", ShardCount=1)
    position = iterator("reads")
    outcomes = []
    while outcomes.count("ProvisionedThroughputExceededException") == 0 and len(outcomes) < 400:
        outcomes += in_parallel(10, lambda: attempt(k.get_records, ShardIterator=position))
    assert outcomes.count(None) >= 5 and set(outcomes) == {None, "ProvisionedThroughputExceededException"}, outcomes


def test_shards_and_consumers():
    message = refused("LimitExceededException", k.create_stream, StreamName="many", ShardCount=101)
    assert "This request would exceed the shard limit for the account" in message
    k.create_stream(StreamName="few", ShardCount=10)
    refused("LimitExceededException", k.update_shard_count, StreamName="few", TargetShardCount=21, ScalingType="UNIFORM_SCALING")
    refused("LimitExceededException", k.update_shard_count, StreamName="few", TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    arn = k.describe_stream(StreamName="few")["StreamDescription"]["StreamARN"]
    for i in range(20):
        k.register_stream_consumer(StreamARN=arn, ConsumerName=f"c{i}")
    refused("LimitExceededException", k.register_stream_consumer, StreamARN=arn, ConsumerName="c20")


def test_iterators_expire():
    k.create_stream(StreamName="old", ShardCount=1)
    position = iterator("old")
    k.get_records(ShardIterator=position)
    k.create_stream(StreamName="old2", ShardCount=1)
    token = k.list_streams(Limit=1)["NextToken"]
    time.sleep(2.1)
    text = refused("ExpiredIteratorException", k.get_records, ShardIterator=position)
    assert text.startswith("Iterator expired. The iterator was created at time ") and text.endswith("the tolerated delay of 2000 milliseconds."), text
    refused("ExpiredNextTokenException", k.list_streams, NextToken=token)


def test_subscriptions_end():
    k.create_stream(StreamName="ends", ShardCount=1)
    arn = k.describe_stream(StreamName="ends")["StreamDescription"]["StreamARN"]
    consumer = k.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    started = time.time()
    events = [e["SubscribeToShardEvent"] for e in
              k.subscribe_to_shard(ConsumerARN=consumer, ShardId="shardId-000000000000", StartingPosition={"Type": "LATEST"})["EventStream"]]
    assert 0.8 < time.time() - started < 60, time.time() - started
    # Heartbeats come five times a second here; each says where to go on.
    assert 1 <= len(events) <= 20 and all(e["Records"] == [] and e["MillisBehindLatest"] == 0 for e in events), events
    k.put_record(StreamName="ends", Data=b"first", PartitionKey="k")
    found = []
    for event in k.subscribe_to_shard(ConsumerARN=consumer, ShardId="shardId-000000000000", StartingPosition={
            "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": events[-1]["ContinuationSequenceNumber"]})["EventStream"]:
        found += event["SubscribeToShardEvent"]["Records"]
    assert [r["Data"] for r in found] == [b"first"]


failures, passed = {}, 0
for name, test in list(globals().items()):
    if name.startswith("test_"):
        try:
            test()
            passed += 1
        except Exception:
            failures[name] = traceback.format_exc()[-1500:]
print(json.dumps({"passed": passed, "failures": failures}))
