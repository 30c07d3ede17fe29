"""Requests that an endpoint must be able to serve, one after another, for `model_requests.py` to judge their answers."""
import time

ACCOUNT, REGION = "000000000000", "us-east-1"
NAME = "model-requests"
STREAM_ARN = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{NAME}"
TABLE_ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{NAME}"
DELIVERY_ARN = f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{NAME}"


class Time(float):
    """A timestamp, in seconds."""


def kinesis_examples(stream):
    """Requests that must all be answered with 200: (operation, request made of the answers before)."""
    arn = STREAM_ARN.replace(NAME, stream)
    named = {"StreamName": stream}
    first = {**named, "ShardId": "shardId-000000000000"}
    return [
        ("CreateStream", lambda a: {**named, "ShardCount": 2, "Tags": {"a": "b"}}), ("DescribeStream", lambda a: named),
        ("DescribeStreamSummary", lambda a: {"StreamARN": arn}), ("ListStreams", lambda a: {"Limit": 1}),
        ("PutRecord", lambda a: {**named, "Data": b"one", "PartitionKey": "k"}),
        ("PutRecord", lambda a: {"StreamARN": arn, "Data": b"", "PartitionKey": "k", "ExplicitHashKey": "0",
                                 "SequenceNumberForOrdering": a["PutRecord"]["SequenceNumber"]}),
        ("PutRecords", lambda a: {**named, "Records": [{"Data": b"x" * n, "PartitionKey": str(n)} for n in range(20)]}),
        ("ListShards", lambda a: named), ("ListShards", lambda a: {**named, "ShardFilter": {"Type": "FROM_TIMESTAMP", "Timestamp": Time(time.time())}}),
        ("GetShardIterator", lambda a: {**first, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": Time(time.time() - 60)}),
        ("GetRecords", lambda a: {"ShardIterator": a["GetShardIterator"]["ShardIterator"]}),
        ("GetShardIterator", lambda a: {**first, "ShardIteratorType": "TRIM_HORIZON"}),
        ("GetRecords", lambda a: {"ShardIterator": a["GetShardIterator"]["ShardIterator"], "Limit": 1}),
        ("RegisterStreamConsumer", lambda a: {"StreamARN": arn, "ConsumerName": "reader"}),
        ("DescribeStreamConsumer", lambda a: {"StreamARN": arn, "ConsumerName": "reader"}), ("ListStreamConsumers", lambda a: {"StreamARN": arn}),
        ("SubscribeToShard", lambda a: {"ConsumerARN": a["RegisterStreamConsumer"]["Consumer"]["ConsumerARN"], "ShardId": "shardId-000000000000",
                                        "StartingPosition": {"Type": "TRIM_HORIZON"}}),
        ("AddTagsToStream", lambda a: {**named, "Tags": {"c": "d"}}), ("ListTagsForStream", lambda a: named),
        ("RemoveTagsFromStream", lambda a: {**named, "TagKeys": ["c"]}), ("TagResource", lambda a: {"ResourceARN": arn, "Tags": {"e": "f"}}),
        ("ListTagsForResource", lambda a: {"ResourceARN": arn}), ("UntagResource", lambda a: {"ResourceARN": arn, "TagKeys": ["e"]}),
        ("IncreaseStreamRetentionPeriod", lambda a: {**named, "RetentionPeriodHours": 48}),
        ("DecreaseStreamRetentionPeriod", lambda a: {**named, "RetentionPeriodHours": 24}),
        ("EnableEnhancedMonitoring", lambda a: {**named, "ShardLevelMetrics": ["ALL"]}),
        ("DisableEnhancedMonitoring", lambda a: {**named, "ShardLevelMetrics": ["IncomingBytes"]}),
        ("StartStreamEncryption", lambda a: {**named, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}), ("DescribeStream", lambda a: named),
        ("PutRecord", lambda a: {**named, "Data": b"secret", "PartitionKey": "k"}),
        ("GetRecords", lambda a: {"ShardIterator": a["GetRecords"]["NextShardIterator"]}),
        ("StopStreamEncryption", lambda a: {**named, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}),
        ("SplitShard", lambda a: {"StreamName": stream, "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "10"}),
        ("MergeShards", lambda a: {"StreamName": stream, "ShardToMerge": "shardId-000000000002", "AdjacentShardToMerge": "shardId-000000000003"}),
        ("GetShardIterator", lambda a: {**first, "ShardIteratorType": "LATEST"}),
        ("GetRecords", lambda a: {"ShardIterator": a["GetShardIterator"]["ShardIterator"]}), ("DescribeStream", lambda a: {**named, "Limit": 1}),
        ("UpdateShardCount", lambda a: {**named, "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"}), ("ListShards", lambda a: named),
        ("PutResourcePolicy", lambda a: {"ResourceARN": arn, "Policy": '{"Version":"2012-10-17","Statement":[]}'}),
        ("GetResourcePolicy", lambda a: {"ResourceARN": arn}), ("DeleteResourcePolicy", lambda a: {"ResourceARN": arn}),
        ("UpdateStreamMode", lambda a: {"StreamARN": arn, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}), ("DescribeLimits", lambda a: {}),
        ("DeregisterStreamConsumer", lambda a: {"StreamARN": arn, "ConsumerName": "reader"}), ("DeleteStream", lambda a: {**named, "EnforceConsumerDeletion": True}),
    ]


def dynamodb_examples(table):
    arn = TABLE_ARN.replace(NAME, table)
    named, key = {"TableName": table}, {"k": {"S": "a"}, "r": {"N": "1"}}
    item = {**key, "text": {"S": "t"}, "bytes": {"B": b"\0\1"}, "list": {"L": [{"NULL": True}, {"BOOL": False}]}, "map": {"M": {"x": {"N": "1.50"}}},
            "names": {"SS": ["a", "b"]}, "numbers": {"NS": ["1", "2"]}, "blobs": {"BS": [b"a"]}}
    schema = [{"AttributeName": "k", "KeyType": "HASH"}, {"AttributeName": "r", "KeyType": "RANGE"}]
    types = [{"AttributeName": "k", "AttributeType": "S"}, {"AttributeName": "r", "AttributeType": "N"}, {"AttributeName": "text", "AttributeType": "S"}]
    index = [{"IndexName": "by_text", "KeySchema": [{"AttributeName": "text", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}]
    totals = {"ReturnConsumedCapacity": "INDEXES"}
    return [
        ("CreateTable", lambda a: {**named, "KeySchema": schema, "AttributeDefinitions": types, "BillingMode": "PAY_PER_REQUEST", "GlobalSecondaryIndexes": index,
                                   "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}, "Tags": [{"Key": "a", "Value": "b"}]}),
        ("DescribeTable", lambda a: named), ("ListTables", lambda a: {"Limit": 1}), ("DescribeLimits", lambda a: {}), ("DescribeEndpoints", lambda a: {}),
        ("PutItem", lambda a: {**named, "Item": item, **totals, "ReturnItemCollectionMetrics": "SIZE"}),
        ("GetItem", lambda a: {**named, "Key": key, **totals, "ConsistentRead": True}),
        ("UpdateItem", lambda a: {**named, "Key": key, "UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"N": "5"}},
                                  "ReturnValues": "ALL_NEW", **totals}),
        ("Query", lambda a: {**named, "KeyConditionExpression": "k = :k", "ExpressionAttributeValues": {":k": {"S": "a"}}, **totals}),
        ("Query", lambda a: {**named, "IndexName": "by_text", "KeyConditionExpression": "#t = :t", "ExpressionAttributeNames": {"#t": "text"},
                             "ExpressionAttributeValues": {":t": {"S": "t"}}, "Limit": 1, **totals}),
        ("Scan", lambda a: {**named, "Limit": 1, **totals}),
        ("BatchWriteItem", lambda a: {"RequestItems": {table: [{"PutRequest": {"Item": {**key, "r": {"N": "2"}}}}]}, **totals}),
        ("BatchGetItem", lambda a: {"RequestItems": {table: {"Keys": [key, {**key, "r": {"N": "9"}}]}}, **totals}),
        ("TransactWriteItems", lambda a: {"TransactItems": [{"Put": {**named, "Item": {**key, "r": {"N": "3"}}}}, {"Delete": {**named, "Key": {**key, "r": {"N": "2"}}}}],
                                          **totals}),
        ("TransactGetItems", lambda a: {"TransactItems": [{"Get": {**named, "Key": key}}], **totals}),
        ("DeleteItem", lambda a: {**named, "Key": key, "ReturnValues": "ALL_OLD", **totals}),
        ("UpdateTimeToLive", lambda a: {**named, "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "expires"}}),
        ("DescribeTimeToLive", lambda a: named), ("TagResource", lambda a: {"ResourceArn": arn, "Tags": [{"Key": "c", "Value": "d"}]}),
        ("ListTagsOfResource", lambda a: {"ResourceArn": arn}), ("UntagResource", lambda a: {"ResourceArn": arn, "TagKeys": ["c"]}),
        ("DescribeContinuousBackups", lambda a: named), ("DescribeKinesisStreamingDestination", lambda a: named),
        ("UpdateTable", lambda a: {**named, "StreamSpecification": {"StreamEnabled": False}}), ("DeleteTable", lambda a: named),
    ]


def dynamodbstreams_examples(table):
    other = "DynamoDB_20120810."
    return [
        (other + "CreateTable", lambda a: {"TableName": table, "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST",
                                           "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
                                           "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}}),
        (other + "PutItem", lambda a: {"TableName": table, "Item": {"k": {"S": "a"}, "v": {"N": "1"}, "b": {"B": b"x"}}}),
        (other + "PutItem", lambda a: {"TableName": table, "Item": {"k": {"S": "a"}, "v": {"N": "2"}}}),
        # Streams of former tables of that name are listed too.
        (other + "DescribeTable", lambda a: {"TableName": table}), ("ListStreams", lambda a: {"TableName": table}),
        ("DescribeStream", lambda a: {"StreamArn": a["DescribeTable"]["Table"]["LatestStreamArn"]}),
        ("GetShardIterator", lambda a: {"StreamArn": a["DescribeTable"]["Table"]["LatestStreamArn"], "ShardIteratorType": "TRIM_HORIZON",
                                        "ShardId": a["DescribeStream"]["StreamDescription"]["Shards"][0]["ShardId"]}),
        ("GetRecords", lambda a: {"ShardIterator": a["GetShardIterator"]["ShardIterator"]}),
        ("GetRecords", lambda a: {"ShardIterator": a["GetRecords"]["NextShardIterator"], "Limit": 1}),
        (other + "DeleteTable", lambda a: {"TableName": table}),
    ]


def firehose_examples(stream):
    named = {"DeliveryStreamName": stream}
    return [
        ("CreateDeliveryStream", lambda a: {**named, "ExtendedS3DestinationConfiguration": {
            "RoleARN": f"arn:aws:iam::{ACCOUNT}:role/any", "BucketARN": f"arn:aws:s3:::{stream}", "Prefix": "in/", "ErrorOutputPrefix": "failed/",
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 60}, "CompressionFormat": "GZIP"}, "Tags": [{"Key": "a", "Value": "b"}]}),
        ("DescribeDeliveryStream", lambda a: named), ("ListDeliveryStreams", lambda a: {}), ("PutRecord", lambda a: {**named, "Record": {"Data": b"{}"}}),
        ("PutRecordBatch", lambda a: {**named, "Records": [{"Data": b"{}"}, {"Data": b"[1]"}]}),
        ("TagDeliveryStream", lambda a: {**named, "Tags": [{"Key": "c", "Value": "d"}]}), ("ListTagsForDeliveryStream", lambda a: named),
        ("UntagDeliveryStream", lambda a: {**named, "TagKeys": ["c"]}), ("DeleteDeliveryStream", lambda a: named),
    ]


EXAMPLES = {"kinesis": kinesis_examples, "dynamodb": dynamodb_examples, "dynamodbstreams": dynamodbstreams_examples, "firehose": firehose_examples}
