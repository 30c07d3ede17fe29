"""Reads DynamoDB Streams through boto3: dynamodb_streams.py ENDPOINT. Every view, its records, paging, a stream that is switched off."""
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

options = dict(region_name="eu-west-1", endpoint_url=sys.argv[1], aws_access_key_id="x", aws_secret_access_key="x",
               config=Config(retries={"max_attempts": 0}))
tables, streams = boto3.client("dynamodb", **options), boto3.client("dynamodbstreams", **options)


def records(arn, shard, **start):
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, **(start or {"ShardIteratorType": "TRIM_HORIZON"}))["ShardIterator"]
    out = []
    while iterator:
        answer = streams.get_records(ShardIterator=iterator, Limit=2)
        if not answer["Records"] and answer.get("NextShardIterator"):
            break
        out += answer["Records"]
        iterator = answer.get("NextShardIterator")
    return out


for view in ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]:
    name = "view-" + view
    created = tables.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST", StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}, {"AttributeName": "s", "AttributeType": "N"}])["TableDescription"]
    arn = created["LatestStreamArn"]
    key = {"p": {"S": "a"}, "s": {"N": "1"}}
    old, new = {**key, "v": {"B": b"\x00\xff"}}, {**key, "v": {"L": [{"NULL": True}, {"BOOL": False}]}}
    tables.put_item(TableName=name, Item=old)
    tables.update_item(TableName=name, Key=key, UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": new["v"]})
    tables.update_item(TableName=name, Key=key, UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": new["v"]})
    tables.delete_item(TableName=name, Key=key)
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert described["StreamStatus"] == "ENABLED" and described["StreamViewType"] == view and described["TableName"] == name, described
    assert described["KeySchema"] == created["KeySchema"], described
    [shard] = described["Shards"]
    found = records(arn, shard["ShardId"])
    assert [record["eventName"] for record in found] == ["INSERT", "MODIFY", "REMOVE"], found
    for record, before, after in zip(found, [None, old, new], [old, new, None]):
        change = record["dynamodb"]
        assert change["Keys"] == key and change["StreamViewType"] == view, record
        assert change.get("OldImage") == (before if "OLD" in view else None), record
        assert change.get("NewImage") == (after if "NEW" in view else None), record
        assert record["awsRegion"] == "eu-west-1" and record["eventSource"] == "aws:dynamodb" and record["eventVersion"] == "1.1", record
        assert change["SizeBytes"] > 0 and change["ApproximateCreationDateTime"].year > 2020, record
    numbers = [record["dynamodb"]["SequenceNumber"] for record in found]
    assert numbers == sorted(numbers) and int(shard["SequenceNumberRange"]["StartingSequenceNumber"]) <= int(numbers[0]), numbers
    assert records(arn, shard["ShardId"], ShardIteratorType="AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[1]) == found[2:]
    assert records(arn, shard["ShardId"], ShardIteratorType="AT_SEQUENCE_NUMBER", SequenceNumber=numbers[1]) == found[1:]
    assert records(arn, shard["ShardId"], ShardIteratorType="LATEST") == []
    tables.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    assert records(arn, shard["ShardId"]) == found
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert described["StreamStatus"] == "DISABLED" and "EndingSequenceNumber" in described["Shards"][0]["SequenceNumberRange"], described

listed = streams.list_streams(Limit=3)
assert len(listed["Streams"]) == 3, listed
listed = streams.list_streams(ExclusiveStartStreamArn=listed["LastEvaluatedStreamArn"])
assert len(listed["Streams"]) == 1 and "LastEvaluatedStreamArn" not in listed, listed
try:
    streams.get_records(ShardIterator="nonsense")
    raise AssertionError("an iterator that is none was taken")
except ClientError as error:
    assert error.response["Error"]["Code"] == "ValidationException", error
try:
    boto3.client("dynamodbstreams", **{**options, "region_name": "us-west-2"}).describe_stream(StreamArn=arn.replace("view-", "no-"))
    raise AssertionError("a stream that is none was described")
except ClientError as error:
    assert error.response["Error"]["Code"] == "ResourceNotFoundException", error
print(json.dumps("ok"))
