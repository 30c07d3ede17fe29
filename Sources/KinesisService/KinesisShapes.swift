// Made by Tests/Support/aws/kinesis_shapes.py from botocore's model of the service; do not edit.
import AWSProtocol

/// What the operations of Kinesis take.
enum KinesisShapes {
    private static let queueARN: Shape = .string(min: 1, max: 2048, pattern: .model(#"arn:aws.*:kinesis:.*:\d{12}:queue/\S+"#))
    private static let receiptHandle: Shape = .string(min: 1, max: 1024)
    private static let acknowledgeDeadLetterQueueRecordsRequestEntry: Shape = .structure(Structure([.init("ReceiptHandle", receiptHandle, isRequired: true)]))
    private static let acknowledgeDeadLetterQueueRecordsRequestEntryList: Shape = .list(acknowledgeDeadLetterQueueRecordsRequestEntry, min: 1, max: 10)
    private static let acknowledgeQueueRecordsRequestEntry: Shape = .structure(Structure([.init("ReceiptHandle", receiptHandle, isRequired: true)]))
    private static let acknowledgeQueueRecordsRequestEntryList: Shape = .list(acknowledgeQueueRecordsRequestEntry, min: 1, max: 10)
    private static let streamName: Shape = .string(min: 1, max: 128, pattern: .model("[a-zA-Z0-9_.-]+"))
    private static let tagKey: Shape = .string(min: 1, max: 128)
    private static let tagValue: Shape = .string(min: 0, max: 256)
    private static let tagMap: Shape = .map(key: tagKey, value: tagValue, min: 1, max: 200)
    private static let streamARN: Shape = .string(min: 1, max: 2048, pattern: .model(#"arn:aws.*:kinesis:.*:\d{12}:stream/\S+"#))
    private static let streamId: Shape = .string(min: 1, max: 24, pattern: .model("[a-z0-9]{20}-[a-z0-9]{3}"))
    private static let channelName: Shape = .string(min: 1, max: 128, pattern: .model("[a-zA-Z0-9_.-]+"))
    private static let roleARN: Shape = .string(min: 1, max: 512, pattern: .model(#"arn:aws[-a-z0-9]*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#))
    private static let recordFormatType: Shape = .string(values: ["GSR_JSON", "JSON", "STRING", "BYTE_ARRAY"])
    private static let gsrSchemaARN: Shape = .string(min: 1, max: 512, pattern: .model(#"arn:aws[-a-z0-9]*:glue:[-a-z0-9]+:\d{12}:schema/[-a-zA-Z0-9_$#.]+/[-a-zA-Z0-9_$#.]+"#))
    private static let recordConfiguration: Shape = .structure(Structure([
        .init("RecordFormatType", recordFormatType, isRequired: true),
        .init("GSRSchemaARN", gsrSchemaARN, isRequired: false),
    ]))
    private static let channelStreamConfiguration: Shape = .structure(Structure([
        .init("StreamARN", streamARN, isRequired: true),
        .init("RecordConfiguration", recordConfiguration, isRequired: true),
    ]))
    private static let channelStreamConfigurationList: Shape = .list(channelStreamConfiguration, min: 1, max: 10000)
    private static let dataFreshnessInSeconds: Shape = .integer()
    private static let bucketARN: Shape = .string(min: 1, max: 2048, pattern: .model("arn:aws[-a-z0-9]*:s3:::[a-z0-9._-]{3,63}"))
    private static let expectedBucketOwner: Shape = .string(min: 12, max: 12, pattern: .model(#"\d{12}"#))
    private static let s3ErrorOutputPrefix: Shape = .string(min: 1, max: 512, pattern: .model(#"[0-9A-Za-z!\-_'.*()\/]+"#))
    private static let deadLetterQueueS3Configuration: Shape = .structure(Structure([
        .init("BucketARN", bucketARN, isRequired: true),
        .init("ExpectedBucketOwner", expectedBucketOwner, isRequired: true),
        .init("ErrorOutputPrefix", s3ErrorOutputPrefix, isRequired: false),
    ]))
    private static let s3OutputKeyTemplate: Shape = .string(min: 1, max: 1024, pattern: .model(#"[0-9A-Za-z!\-_'.*()\/=:{}]+"#))
    private static let s3StorageClass: Shape = .string(values: ["STANDARD", "INTELLIGENT_TIERING", "GLACIER_IR"])
    private static let s3CompressionType: Shape = .string(values: ["NONE", "GZIP", "ZSTD"])
    private static let s3StorageConfiguration: Shape = .structure(Structure([
        .init("BucketARN", bucketARN, isRequired: true),
        .init("ExpectedBucketOwner", expectedBucketOwner, isRequired: true),
        .init("OutputKeyTemplate", s3OutputKeyTemplate, isRequired: false),
        .init("StorageClass", s3StorageClass, isRequired: false),
        .init("CompressionType", s3CompressionType, isRequired: true),
    ]))
    private static let s3DestinationConfiguration: Shape = .structure(Structure([
        .init("DataFreshnessInSeconds", dataFreshnessInSeconds, isRequired: false),
        .init("DeadLetterQueueS3Configuration", deadLetterQueueS3Configuration, isRequired: false),
        .init("StorageConfiguration", s3StorageConfiguration, isRequired: true),
    ]))
    private static let tableBucketARN: Shape = .string(min: 1, max: 2048, pattern: .model(#"arn:aws[-a-z0-9]*:s3tables:[-a-z0-9]+:\d{12}:bucket/[a-z0-9_-]{3,63}"#))
    private static let s3TablesNamespace: Shape = .string(min: 1, max: 255, pattern: .model("[0-9a-z_]+"))
    private static let s3TablesTableName: Shape = .string(min: 1, max: 255, pattern: .model("[0-9a-z_]+"))
    private static let s3TablesCompressionType: Shape = .string(values: ["NONE", "ZSTD", "SNAPPY"])
    private static let partitionTransform: Shape = .string(values: ["TIME_HOUR"])
    private static let partitionSourceName: Shape = .string(min: 1, max: 255, pattern: .model(#"[a-zA-Z0-9\.\_]+"#))
    private static let partitionField: Shape = .structure(Structure([
        .init("Transform", partitionTransform, isRequired: true),
        .init("SourceName", partitionSourceName, isRequired: true),
    ]))
    private static let partitionFieldList: Shape = .list(partitionField, min: 1, max: 10)
    private static let partitionSpec: Shape = .structure(Structure([.init("PartitionFields", partitionFieldList, isRequired: true)]))
    private static let s3TablesConfiguration: Shape = .structure(Structure([
        .init("TableBucketARN", tableBucketARN, isRequired: true),
        .init("Namespace", s3TablesNamespace, isRequired: true),
        .init("TableName", s3TablesTableName, isRequired: true),
        .init("CompressionType", s3TablesCompressionType, isRequired: true),
        .init("PartitionSpec", partitionSpec, isRequired: false),
    ]))
    private static let s3TablesConfigurationList: Shape = .list(s3TablesConfiguration, min: 1, max: 10000)
    private static let s3TablesDestinationConfiguration: Shape = .structure(Structure([
        .init("DataFreshnessInSeconds", dataFreshnessInSeconds, isRequired: false),
        .init("DeadLetterQueueS3Configuration", deadLetterQueueS3Configuration, isRequired: true),
        .init("S3TablesConfigurationList", s3TablesConfigurationList, isRequired: true),
    ]))
    private static let channelEncryptionType: Shape = .string(values: ["KMS"])
    private static let keyId: Shape = .string(min: 1, max: 2048)
    private static let channelEncryptionConfiguration: Shape = .structure(Structure([
        .init("EncryptionType", channelEncryptionType, isRequired: true),
        .init("KeyId", keyId, isRequired: true),
    ]))
    private static let booleanObject: Shape = .boolean
    private static let cloudWatchLogGroupName: Shape = .string(min: 1, max: 512, pattern: .model(#"[\.\-_/#A-Za-z0-9]+"#))
    private static let cloudWatchLogStreamName: Shape = .string(min: 1, max: 512, pattern: .model("[^:*]*"))
    private static let cloudWatchLogs: Shape = .structure(Structure([
        .init("Enabled", booleanObject, isRequired: true),
        .init("LogGroupName", cloudWatchLogGroupName, isRequired: false),
        .init("LogStreamName", cloudWatchLogStreamName, isRequired: false),
    ]))
    private static let channelLoggingConfiguration: Shape = .structure(Structure([.init("CloudWatchLogs", cloudWatchLogs, isRequired: true)]))
    private static let queueName: Shape = .string(min: 1, max: 128, pattern: .model("[a-zA-Z0-9_.-]+"))
    private static let queueStartingPositionType: Shape = .string(values: ["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"])
    private static let timestamp: Shape = .timestamp
    private static let queueStartingPosition: Shape = .structure(Structure([
        .init("Type", queueStartingPositionType, isRequired: true),
        .init("Timestamp", timestamp, isRequired: false),
    ]))
    private static let queueStreamConfiguration: Shape = .structure(Structure([
        .init("StreamARN", streamARN, isRequired: true),
        .init("StartingPosition", queueStartingPosition, isRequired: false),
    ]))
    private static let queueStreamConfigurationList: Shape = .list(queueStreamConfiguration, min: 1, max: 10000)
    private static let visibilityTimeoutSeconds: Shape = .integer(min: 0, max: 43200)
    private static let targetType: Shape = .string(values: ["BUILT_IN", "NONE"])
    private static let maxReceiveCount: Shape = .integer(min: 1, max: 1000)
    private static let deadLetterConfiguration: Shape = .structure(Structure([
        .init("TargetType", targetType, isRequired: true),
        .init("MaxReceiveCount", maxReceiveCount, isRequired: false),
    ]))
    private static let queueAttributes: Shape = .structure(Structure([
        .init("VisibilityTimeoutSeconds", visibilityTimeoutSeconds, isRequired: false),
        .init("DeadLetterConfiguration", deadLetterConfiguration, isRequired: false),
    ]))
    private static let positiveIntegerObject: Shape = .integer(min: 1)
    private static let streamMode: Shape = .string(values: ["PROVISIONED", "ON_DEMAND"])
    private static let streamModeDetails: Shape = .structure(Structure([.init("StreamMode", streamMode, isRequired: true)]))
    private static let naturalIntegerObject: Shape = .integer(min: 0)
    private static let maxRecordSizeInKiB: Shape = .integer(min: 1024, max: 10240)
    private static let recordDistributionStrategy: Shape = .string(values: ["AUTO", "USER_PARTITION_KEY"])
    private static let retentionPeriodHours: Shape = .integer()
    private static let channelARN: Shape = .string(min: 1, max: 2048, pattern: .model(#"arn:aws.*:kinesis:.*:\d{12}:channel/\S+"#))
    private static let resourceARN: Shape = .string(min: 1, max: 2048, pattern: .model(#"arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+"#))
    private static let consumerName: Shape = .string(min: 1, max: 128, pattern: .model("[a-zA-Z0-9_.-]+"))
    private static let consumerARN: Shape = .string(min: 1, max: 2048, pattern: .model(#"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+"#))
    private static let describeStreamInputLimit: Shape = .integer(min: 1, max: 10000)
    private static let shardId: Shape = .string(min: 1, max: 128, pattern: .model("[a-zA-Z0-9_.-]+"))
    private static let metricsName: Shape = .string(values: ["IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords", "WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds", "ALL"])
    private static let metricsNameList: Shape = .list(metricsName, min: 1, max: 7)
    private static let shardIterator: Shape = .string(min: 1, max: 512)
    private static let getRecordsInputLimit: Shape = .integer(min: 1, max: 10000)
    private static let shardIteratorType: Shape = .string(values: ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"])
    private static let sequenceNumber: Shape = .string(pattern: .model(#"^(0|([1-9]\d{0,128}))$"#))
    private static let streamFilter: Shape = .structure(Structure([
        .init("StreamARN", streamARN, isRequired: true),
        .init("StreamCreationTimestamp", timestamp, isRequired: false),
    ]))
    private static let streamFilterList: Shape = .list(streamFilter, min: 1, max: 10000)
    private static let listChannelsInputLimit: Shape = .integer(min: 1, max: 10000)
    private static let nextToken: Shape = .string(min: 1, max: 1048576)
    private static let listQueuesInputLimit: Shape = .integer(min: 1, max: 10000)
    private static let queueStreamFilter: Shape = .structure(Structure([
        .init("StreamARN", streamARN, isRequired: true),
        .init("StreamCreationTimestamp", timestamp, isRequired: false),
    ]))
    private static let queueStreamFilterList: Shape = .list(queueStreamFilter, min: 1, max: 10000)
    private static let listShardsInputLimit: Shape = .integer(min: 1, max: 10000)
    private static let shardFilterType: Shape = .string(values: ["AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"])
    private static let shardFilter: Shape = .structure(Structure([
        .init("Type", shardFilterType, isRequired: true),
        .init("ShardId", shardId, isRequired: false),
        .init("Timestamp", timestamp, isRequired: false),
    ]))
    private static let listStreamConsumersInputLimit: Shape = .integer(min: 1, max: 10000)
    private static let listStreamsInputLimit: Shape = .integer(min: 1, max: 10000)
    private static let listTagsForStreamInputLimit: Shape = .integer(min: 1, max: 50)
    private static let data: Shape = .blob(min: 0, max: 10485760)
    private static let partitionKey: Shape = .string(min: 1, max: 256)
    private static let hashKey: Shape = .string(pattern: .model(#"^(0|([1-9]\d{0,38}))$"#))
    private static let putRecordsRequestEntry: Shape = .structure(Structure([
        .init("Data", data, isRequired: true),
        .init("ExplicitHashKey", hashKey, isRequired: false),
        .init("PartitionKey", partitionKey, isRequired: false),
    ]))
    private static let putRecordsRequestEntryList: Shape = .list(putRecordsRequestEntry, min: 1, max: 500)
    private static let policy: Shape = .string()
    private static let receiveQueueRecordsInputLimit: Shape = .integer(min: 1, max: 10)
    private static let receiveQueueRecordsWaitTimeSeconds: Shape = .integer(min: 1, max: 20)
    private static let tagKeyList: Shape = .list(tagKey, min: 1, max: 50)
    private static let restoreDeadLetterQueueRecordsRequestEntry: Shape = .structure(Structure([.init("ReceiptHandle", receiptHandle, isRequired: true)]))
    private static let restoreDeadLetterQueueRecordsRequestEntryList: Shape = .list(restoreDeadLetterQueueRecordsRequestEntry, min: 1, max: 10)
    private static let encryptionType: Shape = .string(values: ["NONE", "KMS"])
    private static let startingPosition: Shape = .structure(Structure([
        .init("Type", shardIteratorType, isRequired: true),
        .init("SequenceNumber", sequenceNumber, isRequired: false),
        .init("Timestamp", timestamp, isRequired: false),
    ]))
    private static let minimumThroughputBillingCommitmentInputStatus: Shape = .string(values: ["ENABLED", "DISABLED"])
    private static let minimumThroughputBillingCommitmentInput: Shape = .structure(Structure([.init("Status", minimumThroughputBillingCommitmentInputStatus, isRequired: true)]))
    private static let s3DestinationUpdateInput: Shape = .structure(Structure([.init("DataFreshnessInSeconds", dataFreshnessInSeconds, isRequired: true)]))
    private static let s3TablesDestinationUpdateInput: Shape = .structure(Structure([.init("DataFreshnessInSeconds", dataFreshnessInSeconds, isRequired: true)]))
    private static let cloudWatchLogsUpdateInput: Shape = .structure(Structure([
        .init("Enabled", booleanObject, isRequired: true),
        .init("LogGroupName", cloudWatchLogGroupName, isRequired: false),
        .init("LogStreamName", cloudWatchLogStreamName, isRequired: false),
    ]))
    private static let channelLoggingUpdateInput: Shape = .structure(Structure([.init("CloudWatchLogs", cloudWatchLogsUpdateInput, isRequired: true)]))
    private static let updateDeadLetterQueueRecordsVisibilityRequestEntry: Shape = .structure(Structure([
        .init("ReceiptHandle", receiptHandle, isRequired: true),
        .init("VisibilityTimeoutSeconds", visibilityTimeoutSeconds, isRequired: true),
    ]))
    private static let updateDeadLetterQueueRecordsVisibilityRequestEntryList: Shape = .list(updateDeadLetterQueueRecordsVisibilityRequestEntry, min: 1, max: 10)
    private static let updateQueueRecordsVisibilityRequestEntry: Shape = .structure(Structure([
        .init("ReceiptHandle", receiptHandle, isRequired: true),
        .init("VisibilityTimeoutSeconds", visibilityTimeoutSeconds, isRequired: true),
    ]))
    private static let updateQueueRecordsVisibilityRequestEntryList: Shape = .list(updateQueueRecordsVisibilityRequestEntry, min: 1, max: 10)
    private static let scalingType: Shape = .string(values: ["UNIFORM_SCALING"])

    /// By the name of the operation.
    static let inputs: [String: Structure] = [
        "AcknowledgeDeadLetterQueueRecords": Structure([
            .init("QueueARN", queueARN, isRequired: true),
            .init("Entries", acknowledgeDeadLetterQueueRecordsRequestEntryList, isRequired: true),
        ]),
        "AcknowledgeQueueRecords": Structure([
            .init("QueueARN", queueARN, isRequired: true),
            .init("Entries", acknowledgeQueueRecordsRequestEntryList, isRequired: true),
        ]),
        "AddTagsToStream": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("Tags", tagMap, isRequired: true),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "CreateChannel": Structure([
            .init("ChannelName", channelName, isRequired: true),
            .init("ServiceExecutionRoleARN", roleARN, isRequired: true),
            .init("StreamConfigurationList", channelStreamConfigurationList, isRequired: true),
            .init("S3DestinationConfiguration", s3DestinationConfiguration, isRequired: false),
            .init("S3TablesDestinationConfiguration", s3TablesDestinationConfiguration, isRequired: false),
            .init("EncryptionConfiguration", channelEncryptionConfiguration, isRequired: false),
            .init("Tags", tagMap, isRequired: false),
            .init("LoggingConfiguration", channelLoggingConfiguration, isRequired: false),
        ]),
        "CreateQueue": Structure([
            .init("QueueName", queueName, isRequired: true),
            .init("StreamConfigurationList", queueStreamConfigurationList, isRequired: true),
            .init("QueueAttributes", queueAttributes, isRequired: false),
            .init("Tags", tagMap, isRequired: false),
        ]),
        "CreateStream": Structure([
            .init("StreamName", streamName, isRequired: true),
            .init("ShardCount", positiveIntegerObject, isRequired: false),
            .init("StreamModeDetails", streamModeDetails, isRequired: false),
            .init("Tags", tagMap, isRequired: false),
            .init("WarmThroughputMiBps", naturalIntegerObject, isRequired: false),
            .init("MaxRecordSizeInKiB", maxRecordSizeInKiB, isRequired: false),
            .init("RecordDistributionStrategy", recordDistributionStrategy, isRequired: false),
        ]),
        "DecreaseStreamRetentionPeriod": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("RetentionPeriodHours", retentionPeriodHours, isRequired: true),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "DeleteChannel": Structure([.init("ChannelARN", channelARN, isRequired: true)]),
        "DeleteQueue": Structure([.init("QueueARN", queueARN, isRequired: true)]),
        "DeleteResourcePolicy": Structure([
            .init("ResourceARN", resourceARN, isRequired: true),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "DeleteStream": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("EnforceConsumerDeletion", booleanObject, isRequired: false),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "DeregisterStreamConsumer": Structure([
            .init("StreamARN", streamARN, isRequired: false),
            .init("ConsumerName", consumerName, isRequired: false),
            .init("ConsumerARN", consumerARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "DescribeAccountSettings": Structure([]),
        "DescribeChannel": Structure([.init("ChannelARN", channelARN, isRequired: true)]),
        "DescribeLimits": Structure([]),
        "DescribeQueue": Structure([.init("QueueARN", queueARN, isRequired: true)]),
        "DescribeStream": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("Limit", describeStreamInputLimit, isRequired: false),
            .init("ExclusiveStartShardId", shardId, isRequired: false),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "DescribeStreamConsumer": Structure([
            .init("StreamARN", streamARN, isRequired: false),
            .init("ConsumerName", consumerName, isRequired: false),
            .init("ConsumerARN", consumerARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "DescribeStreamSummary": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "DisableEnhancedMonitoring": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("ShardLevelMetrics", metricsNameList, isRequired: true),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "EnableEnhancedMonitoring": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("ShardLevelMetrics", metricsNameList, isRequired: true),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "GetRecords": Structure([
            .init("ShardIterator", shardIterator, isRequired: true),
            .init("Limit", getRecordsInputLimit, isRequired: false),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
            .init("DryRun", booleanObject, isRequired: false),
        ]),
        "GetResourcePolicy": Structure([
            .init("ResourceARN", resourceARN, isRequired: true),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "GetShardIterator": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("ShardId", shardId, isRequired: true),
            .init("ShardIteratorType", shardIteratorType, isRequired: true),
            .init("StartingSequenceNumber", sequenceNumber, isRequired: false),
            .init("Timestamp", timestamp, isRequired: false),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
            .init("DryRun", booleanObject, isRequired: false),
        ]),
        "IncreaseStreamRetentionPeriod": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("RetentionPeriodHours", retentionPeriodHours, isRequired: true),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "ListChannels": Structure([
            .init("StreamFilter", streamFilterList, isRequired: false),
            .init("MaxResults", listChannelsInputLimit, isRequired: false),
            .init("NextToken", nextToken, isRequired: false),
        ]),
        "ListQueues": Structure([
            .init("MaxResults", listQueuesInputLimit, isRequired: false),
            .init("NextToken", nextToken, isRequired: false),
            .init("StreamFilter", queueStreamFilterList, isRequired: false),
        ]),
        "ListShards": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("NextToken", nextToken, isRequired: false),
            .init("ExclusiveStartShardId", shardId, isRequired: false),
            .init("MaxResults", listShardsInputLimit, isRequired: false),
            .init("StreamCreationTimestamp", timestamp, isRequired: false),
            .init("ShardFilter", shardFilter, isRequired: false),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "ListStreamConsumers": Structure([
            .init("StreamARN", streamARN, isRequired: true),
            .init("NextToken", nextToken, isRequired: false),
            .init("MaxResults", listStreamConsumersInputLimit, isRequired: false),
            .init("StreamCreationTimestamp", timestamp, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "ListStreams": Structure([
            .init("Limit", listStreamsInputLimit, isRequired: false),
            .init("ExclusiveStartStreamName", streamName, isRequired: false),
            .init("NextToken", nextToken, isRequired: false),
        ]),
        "ListTagsForResource": Structure([
            .init("ResourceARN", resourceARN, isRequired: true),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "ListTagsForStream": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("ExclusiveStartTagKey", tagKey, isRequired: false),
            .init("Limit", listTagsForStreamInputLimit, isRequired: false),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "MergeShards": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("ShardToMerge", shardId, isRequired: true),
            .init("AdjacentShardToMerge", shardId, isRequired: true),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "PutRecord": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("Data", data, isRequired: true),
            .init("PartitionKey", partitionKey, isRequired: false),
            .init("ExplicitHashKey", hashKey, isRequired: false),
            .init("SequenceNumberForOrdering", sequenceNumber, isRequired: false),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
            .init("DryRun", booleanObject, isRequired: false),
        ]),
        "PutRecords": Structure([
            .init("Records", putRecordsRequestEntryList, isRequired: true),
            .init("StreamName", streamName, isRequired: false),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
            .init("DryRun", booleanObject, isRequired: false),
        ]),
        "PutResourcePolicy": Structure([
            .init("ResourceARN", resourceARN, isRequired: true),
            .init("StreamId", streamId, isRequired: false),
            .init("Policy", policy, isRequired: true),
        ]),
        "ReceiveDeadLetterQueueRecords": Structure([
            .init("QueueARN", queueARN, isRequired: true),
            .init("Limit", receiveQueueRecordsInputLimit, isRequired: false),
            .init("WaitTimeSeconds", receiveQueueRecordsWaitTimeSeconds, isRequired: false),
            .init("VisibilityTimeoutSeconds", visibilityTimeoutSeconds, isRequired: false),
        ]),
        "ReceiveQueueRecords": Structure([
            .init("QueueARN", queueARN, isRequired: true),
            .init("Limit", receiveQueueRecordsInputLimit, isRequired: false),
            .init("WaitTimeSeconds", receiveQueueRecordsWaitTimeSeconds, isRequired: false),
            .init("VisibilityTimeoutSeconds", visibilityTimeoutSeconds, isRequired: false),
        ]),
        "RegisterStreamConsumer": Structure([
            .init("StreamARN", streamARN, isRequired: true),
            .init("ConsumerName", consumerName, isRequired: true),
            .init("StreamId", streamId, isRequired: false),
            .init("Tags", tagMap, isRequired: false),
        ]),
        "RemoveTagsFromStream": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("TagKeys", tagKeyList, isRequired: true),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "RestoreDeadLetterQueueRecords": Structure([
            .init("QueueARN", queueARN, isRequired: true),
            .init("Entries", restoreDeadLetterQueueRecordsRequestEntryList, isRequired: true),
        ]),
        "SplitShard": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("ShardToSplit", shardId, isRequired: true),
            .init("NewStartingHashKey", hashKey, isRequired: true),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "StartStreamEncryption": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("EncryptionType", encryptionType, isRequired: true),
            .init("KeyId", keyId, isRequired: true),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "StopStreamEncryption": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("EncryptionType", encryptionType, isRequired: true),
            .init("KeyId", keyId, isRequired: true),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "SubscribeToShard": Structure([
            .init("ConsumerARN", consumerARN, isRequired: true),
            .init("StreamId", streamId, isRequired: false),
            .init("ShardId", shardId, isRequired: true),
            .init("StartingPosition", startingPosition, isRequired: true),
            .init("DryRun", booleanObject, isRequired: false),
        ]),
        "TagResource": Structure([
            .init("Tags", tagMap, isRequired: true),
            .init("ResourceARN", resourceARN, isRequired: true),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "UntagResource": Structure([
            .init("TagKeys", tagKeyList, isRequired: true),
            .init("ResourceARN", resourceARN, isRequired: true),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "UpdateAccountSettings": Structure([.init("MinimumThroughputBillingCommitment", minimumThroughputBillingCommitmentInput, isRequired: true)]),
        "UpdateChannel": Structure([
            .init("ChannelARN", channelARN, isRequired: true),
            .init("S3DestinationConfiguration", s3DestinationUpdateInput, isRequired: false),
            .init("S3TablesDestinationConfiguration", s3TablesDestinationUpdateInput, isRequired: false),
            .init("LoggingConfiguration", channelLoggingUpdateInput, isRequired: false),
        ]),
        "UpdateDeadLetterQueueRecordsVisibility": Structure([
            .init("QueueARN", queueARN, isRequired: true),
            .init("Entries", updateDeadLetterQueueRecordsVisibilityRequestEntryList, isRequired: true),
        ]),
        "UpdateMaxRecordSize": Structure([
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
            .init("MaxRecordSizeInKiB", maxRecordSizeInKiB, isRequired: true),
        ]),
        "UpdateQueue": Structure([
            .init("QueueARN", queueARN, isRequired: true),
            .init("QueueAttributes", queueAttributes, isRequired: true),
        ]),
        "UpdateQueueRecordsVisibility": Structure([
            .init("QueueARN", queueARN, isRequired: true),
            .init("Entries", updateQueueRecordsVisibilityRequestEntryList, isRequired: true),
        ]),
        "UpdateShardCount": Structure([
            .init("StreamName", streamName, isRequired: false),
            .init("TargetShardCount", positiveIntegerObject, isRequired: true),
            .init("ScalingType", scalingType, isRequired: true),
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
        ]),
        "UpdateStreamMode": Structure([
            .init("StreamARN", streamARN, isRequired: true),
            .init("StreamId", streamId, isRequired: false),
            .init("StreamModeDetails", streamModeDetails, isRequired: true),
            .init("WarmThroughputMiBps", naturalIntegerObject, isRequired: false),
        ]),
        "UpdateStreamRecordDistributionStrategy": Structure([
            .init("StreamARN", streamARN, isRequired: true),
            .init("StreamId", streamId, isRequired: false),
            .init("RecordDistributionStrategy", recordDistributionStrategy, isRequired: true),
        ]),
        "UpdateStreamWarmThroughput": Structure([
            .init("StreamARN", streamARN, isRequired: false),
            .init("StreamName", streamName, isRequired: false),
            .init("StreamId", streamId, isRequired: false),
            .init("WarmThroughputMiBps", naturalIntegerObject, isRequired: true),
        ]),
    ]
}
