"""Before and after a restart of the server: `kinesis_restart.py URL write` prints what `kinesis_restart.py URL check STATE` compares.
"""
import json
import sys

import boto3

url, action = sys.argv[1:3]
k = boto3.client("kinesis", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


def describe():
    stream = k.describe_stream(StreamName="kept")["StreamDescription"]
    arn = stream["StreamARN"]
    consumers = k.list_stream_consumers(StreamARN=arn)["Consumers"]
    summary = k.describe_stream_summary(StreamName="kept")["StreamDescriptionSummary"]
    return json.dumps([stream, summary, consumers, k.list_tags_for_stream(StreamName="kept")["Tags"], k.get_resource_policy(ResourceARN=arn)["Policy"],
                       k.list_streams()["StreamNames"], k.describe_account_settings()["MinimumThroughputBillingCommitment"]], default=str)


if action == "write":
    k.create_stream(StreamName="kept", ShardCount=2, Tags={"a": "b"}, MaxRecordSizeInKiB=2048)
    arn = k.describe_stream(StreamName="kept")["StreamDescription"]["StreamARN"]
    k.register_stream_consumer(StreamARN=arn, ConsumerName="c")
    k.increase_stream_retention_period(StreamName="kept", RetentionPeriodHours=30)
    k.enable_enhanced_monitoring(StreamName="kept", ShardLevelMetrics=["IncomingBytes"])
    k.put_resource_policy(ResourceARN=arn, Policy="{\"a\": 1}")
    k.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    k.put_records(StreamName="kept", Records=[{"Data": str(i).encode(), "PartitionKey": str(i)} for i in range(100)])
    k.split_shard(StreamName="kept", ShardToSplit="shardId-000000000001", NewStartingHashKey=str(3 * 2**126))
    k.put_records(StreamName="kept", Records=[{"Data": str(i).encode(), "PartitionKey": str(i)} for i in range(100, 200)])
    shards = [s["ShardId"] for s in k.list_shards(StreamName="kept")["Shards"]]
    iterators, read = {}, []
    for shard in shards:
        page = k.get_records(ShardIterator=k.get_shard_iterator(StreamName="kept", ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"], Limit=10)
        read += [r["Data"].decode() for r in page["Records"]]
        iterators[shard] = page.get("NextShardIterator")
    token = k.list_shards(StreamName="kept", MaxResults=1)["NextToken"]
    print(json.dumps({"described": describe(), "iterators": iterators, "read": read, "token": token}))
else:
    state = json.loads(sys.argv[3])
    assert describe() == state["described"], (describe(), state["described"])
    read = state["read"]
    for iterator in state["iterators"].values():
        while iterator:
            page = k.get_records(ShardIterator=iterator)
            read += [r["Data"].decode() for r in page["Records"]]
            iterator = page.get("NextShardIterator") if page["MillisBehindLatest"] else None
    assert sorted(map(int, read)) == list(range(200)), read
    assert len(k.list_shards(NextToken=state["token"])["Shards"]) == 3
    print("true")
