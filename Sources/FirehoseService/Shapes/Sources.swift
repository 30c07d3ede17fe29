import AWSProtocol

/// Structures inside of the inputs: sources, processing and the first destinations.
extension FirehoseShapes {
    static let directPutSourceConfiguration = Structure([
        .init("ThroughputHintInMBs", .integer(min: 1, max: 100), isRequired: true),
    ])
    static let kinesisStreamSourceConfiguration = Structure([
        .init("KinesisStreamARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:kinesis:[a-zA-Z0-9\-]+:\d{12}:stream/[a-zA-Z0-9_.-]+"#)), isRequired: true),
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: true),
    ])
    static let deliveryStreamEncryptionConfigurationInput = Structure([
        .init("KeyARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:key/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: false),
        .init("KeyType", .string(values: ["AWS_OWNED_CMK", "CUSTOMER_MANAGED_CMK"]), isRequired: true),
    ])
    static let bufferingHints = Structure([
        .init("SizeInMBs", .integer(min: 1, max: 128), isRequired: false),
        .init("IntervalInSeconds", .integer(min: 0, max: 900), isRequired: false),
    ])
    static let kMSEncryptionConfig = Structure([
        .init("AWSKMSKeyARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:(key|alias)/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: true),
    ])
    static let encryptionConfiguration = Structure([
        .init("NoEncryptionConfig", .string(values: ["NoEncryption"]), isRequired: false),
        .init("KMSEncryptionConfig", .structure(kMSEncryptionConfig), isRequired: false),
    ])
    static let cloudWatchLoggingOptions = Structure([
        .init("Enabled", .boolean, isRequired: false),
        .init("LogGroupName", .string(min: 0, max: 512, pattern: matching(#"[\.\-_/#A-Za-z0-9]*"#)), isRequired: false),
        .init("LogStreamName", .string(min: 0, max: 512, pattern: matching(#"[^:*]*"#)), isRequired: false),
    ])
    static let s3DestinationConfiguration = Structure([
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: true),
        .init("BucketARN", .string(min: 1, max: 2048, pattern: matching(#"arn:.*:s3:::[\w\.\-]{1,255}"#)), isRequired: true),
        .init("Prefix", .string(min: 0, max: 1024), isRequired: false),
        .init("ErrorOutputPrefix", .string(min: 0, max: 1024), isRequired: false),
        .init("BufferingHints", .structure(bufferingHints), isRequired: false),
        .init("CompressionFormat", .string(values: ["UNCOMPRESSED", "GZIP", "ZIP", "Snappy", "HADOOP_SNAPPY"]), isRequired: false),
        .init("EncryptionConfiguration", .structure(encryptionConfiguration), isRequired: false),
        .init("CloudWatchLoggingOptions", .structure(cloudWatchLoggingOptions), isRequired: false),
    ])
    static let processorParameter = Structure([
        .init("ParameterName", .string(values: ["LambdaArn", "NumberOfRetries", "MetadataExtractionQuery", "JsonParsingEngine", "RoleArn", "BufferSizeInMBs", "BufferIntervalInSeconds", "SubRecordType", "Delimiter", "CompressionFormat", "DataMessageExtraction"]), isRequired: true),
        .init("ParameterValue", .string(min: 1, max: 5120, pattern: matching(#"^(?!\s*$).+"#)), isRequired: true),
    ])
    static let processor = Structure([
        .init("Type", .string(values: ["RecordDeAggregation", "Decompression", "CloudWatchLogProcessing", "Lambda", "MetadataExtraction", "AppendDelimiterToRecord"]), isRequired: true),
        .init("Parameters", .list(.structure(processorParameter)), isRequired: false),
    ])
    static let processingConfiguration = Structure([
        .init("Enabled", .boolean, isRequired: false),
        .init("Processors", .list(.structure(processor)), isRequired: false),
    ])
    static let schemaConfiguration = Structure([
        .init("RoleARN", .string(min: 1, max: 1024, pattern: matching(#"^\S+$"#)), isRequired: false),
        .init("CatalogId", .string(min: 1, max: 1024, pattern: matching(#"^\S+$"#)), isRequired: false),
        .init("DatabaseName", .string(min: 1, max: 1024, pattern: matching(#"^\S+$"#)), isRequired: false),
        .init("TableName", .string(min: 1, max: 1024, pattern: matching(#"^\S+$"#)), isRequired: false),
        .init("Region", .string(min: 1, max: 1024, pattern: matching(#"^\S+$"#)), isRequired: false),
        .init("VersionId", .string(min: 1, max: 1024, pattern: matching(#"^\S+$"#)), isRequired: false),
    ])
    static let openXJsonSerDe = Structure([
        .init("ConvertDotsInJsonKeysToUnderscores", .boolean, isRequired: false),
        .init("CaseInsensitive", .boolean, isRequired: false),
        .init("ColumnToJsonKeyMappings", .map(key: .string(min: 1, max: 1024, pattern: matching(#"^\S+$"#)), value: .string(min: 1, max: 1024, pattern: matching(#"^(?!\s*$).+"#))), isRequired: false),
    ])
    static let hiveJsonSerDe = Structure([
        .init("TimestampFormats", .list(.string(min: 1, max: 1024, pattern: matching(#"^(?!\s*$).+"#))), isRequired: false),
    ])
    static let deserializer = Structure([
        .init("OpenXJsonSerDe", .structure(openXJsonSerDe), isRequired: false),
        .init("HiveJsonSerDe", .structure(hiveJsonSerDe), isRequired: false),
    ])
    static let inputFormatConfiguration = Structure([
        .init("Deserializer", .structure(deserializer), isRequired: false),
    ])
    static let parquetSerDe = Structure([
        .init("BlockSizeBytes", .integer(min: 67108864), isRequired: false),
        .init("PageSizeBytes", .integer(min: 65536), isRequired: false),
        .init("Compression", .string(values: ["UNCOMPRESSED", "GZIP", "SNAPPY"]), isRequired: false),
        .init("EnableDictionaryCompression", .boolean, isRequired: false),
        .init("MaxPaddingBytes", .integer(min: 0), isRequired: false),
        .init("WriterVersion", .string(values: ["V1", "V2"]), isRequired: false),
    ])
    static let orcSerDe = Structure([
        .init("StripeSizeBytes", .integer(min: 8388608), isRequired: false),
        .init("BlockSizeBytes", .integer(min: 67108864), isRequired: false),
        .init("RowIndexStride", .integer(min: 1000), isRequired: false),
        .init("EnablePadding", .boolean, isRequired: false),
        .init("PaddingTolerance", .double, isRequired: false),
        .init("Compression", .string(values: ["NONE", "ZLIB", "SNAPPY"]), isRequired: false),
        .init("BloomFilterColumns", .list(.string(min: 1, max: 1024, pattern: matching(#"^\S+$"#))), isRequired: false),
        .init("BloomFilterFalsePositiveProbability", .double, isRequired: false),
        .init("DictionaryKeyThreshold", .double, isRequired: false),
        .init("FormatVersion", .string(values: ["V0_11", "V0_12"]), isRequired: false),
    ])
    static let serializer = Structure([
        .init("ParquetSerDe", .structure(parquetSerDe), isRequired: false),
        .init("OrcSerDe", .structure(orcSerDe), isRequired: false),
    ])
    static let outputFormatConfiguration = Structure([
        .init("Serializer", .structure(serializer), isRequired: false),
    ])
    static let dataFormatConversionConfiguration = Structure([
        .init("SchemaConfiguration", .structure(schemaConfiguration), isRequired: false),
        .init("InputFormatConfiguration", .structure(inputFormatConfiguration), isRequired: false),
        .init("OutputFormatConfiguration", .structure(outputFormatConfiguration), isRequired: false),
        .init("Enabled", .boolean, isRequired: false),
    ])
    static let retryOptions = Structure([
        .init("DurationInSeconds", .integer(min: 0, max: 7200), isRequired: false),
    ])
    static let dynamicPartitioningConfiguration = Structure([
        .init("RetryOptions", .structure(retryOptions), isRequired: false),
        .init("Enabled", .boolean, isRequired: false),
    ])
    static let extendedS3DestinationConfiguration = Structure([
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: true),
        .init("BucketARN", .string(min: 1, max: 2048, pattern: matching(#"arn:.*:s3:::[\w\.\-]{1,255}"#)), isRequired: true),
        .init("Prefix", .string(min: 0, max: 1024), isRequired: false),
        .init("ErrorOutputPrefix", .string(min: 0, max: 1024), isRequired: false),
        .init("BufferingHints", .structure(bufferingHints), isRequired: false),
        .init("CompressionFormat", .string(values: ["UNCOMPRESSED", "GZIP", "ZIP", "Snappy", "HADOOP_SNAPPY"]), isRequired: false),
        .init("EncryptionConfiguration", .structure(encryptionConfiguration), isRequired: false),
        .init("CloudWatchLoggingOptions", .structure(cloudWatchLoggingOptions), isRequired: false),
        .init("ProcessingConfiguration", .structure(processingConfiguration), isRequired: false),
        .init("S3BackupMode", .string(values: ["Disabled", "Enabled"]), isRequired: false),
        .init("S3BackupConfiguration", .structure(s3DestinationConfiguration), isRequired: false),
        .init("DataFormatConversionConfiguration", .structure(dataFormatConversionConfiguration), isRequired: false),
        .init("DynamicPartitioningConfiguration", .structure(dynamicPartitioningConfiguration), isRequired: false),
        .init("FileExtension", .string(min: 0, max: 128, pattern: matching(#"^$|\.[0-9a-z!\-_.*'()]+"#)), isRequired: false),
        .init("CustomTimeZone", .string(min: 0, max: 50, pattern: matching(#"^$|[a-zA-Z/_]+"#)), isRequired: false),
    ])
    static let copyCommand = Structure([
        .init("DataTableName", .string(min: 1, max: 512), isRequired: true),
        .init("DataTableColumns", .string(min: 0, max: 10240), isRequired: false),
        .init("CopyOptions", .string(min: 0, max: 10240), isRequired: false),
    ])
    static let redshiftRetryOptions = Structure([
        .init("DurationInSeconds", .integer(min: 0, max: 7200), isRequired: false),
    ])
    static let secretsManagerConfiguration = Structure([
        .init("SecretARN", .string(min: 1, max: 2048, pattern: matching(#"arn:.*:secretsmanager:[a-zA-Z0-9\-]+:\d{12}:secret:[a-zA-Z0-9\-/_+=.@!]+"#)), isRequired: false),
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: false),
        .init("Enabled", .boolean, isRequired: true),
    ])
    static let redshiftDestinationConfiguration = Structure([
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: true),
        .init("ClusterJDBCURL", .string(min: 1, max: 512, pattern: matching(#"jdbc:(redshift|postgresql)://((?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)+(redshift(-serverless)?)\.([a-zA-Z0-9\.\-]+):\d{1,5}/[a-zA-Z0-9_$-]+"#)), isRequired: true),
        .init("CopyCommand", .structure(copyCommand), isRequired: true),
        .init("Username", .string(min: 1, max: 512), isRequired: false),
        .init("Password", .string(min: 6, max: 512), isRequired: false),
        .init("RetryOptions", .structure(redshiftRetryOptions), isRequired: false),
        .init("S3Configuration", .structure(s3DestinationConfiguration), isRequired: true),
        .init("ProcessingConfiguration", .structure(processingConfiguration), isRequired: false),
        .init("S3BackupMode", .string(values: ["Disabled", "Enabled"]), isRequired: false),
        .init("S3BackupConfiguration", .structure(s3DestinationConfiguration), isRequired: false),
        .init("CloudWatchLoggingOptions", .structure(cloudWatchLoggingOptions), isRequired: false),
        .init("SecretsManagerConfiguration", .structure(secretsManagerConfiguration), isRequired: false),
    ])
    static let elasticsearchBufferingHints = Structure([
        .init("IntervalInSeconds", .integer(min: 0, max: 900), isRequired: false),
        .init("SizeInMBs", .integer(min: 1, max: 100), isRequired: false),
    ])
    static let elasticsearchRetryOptions = Structure([
        .init("DurationInSeconds", .integer(min: 0, max: 7200), isRequired: false),
    ])
    static let vpcConfiguration = Structure([
        .init("SubnetIds", .list(.string(min: 1, max: 1024, pattern: matching(#"^\S+$"#)), min: 1, max: 16), isRequired: true),
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: true),
        .init("SecurityGroupIds", .list(.string(min: 1, max: 1024, pattern: matching(#"^\S+$"#)), min: 1, max: 5), isRequired: true),
    ])
    static let documentIdOptions = Structure([
        .init("DefaultDocumentIdFormat", .string(values: ["FIREHOSE_DEFAULT", "NO_DOCUMENT_ID"]), isRequired: true),
    ])
    static let elasticsearchDestinationConfiguration = Structure([
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: true),
        .init("DomainARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:es:[a-zA-Z0-9\-]+:\d{12}:domain/[a-z][-0-9a-z]{2,27}"#)), isRequired: false),
        .init("ClusterEndpoint", .string(min: 1, max: 512, pattern: matching(#"https?:.*"#)), isRequired: false),
        .init("IndexName", .string(min: 1, max: 80), isRequired: true),
        .init("TypeName", .string(min: 0, max: 100), isRequired: false),
        .init("IndexRotationPeriod", .string(values: ["NoRotation", "OneHour", "OneDay", "OneWeek", "OneMonth"]), isRequired: false),
        .init("BufferingHints", .structure(elasticsearchBufferingHints), isRequired: false),
        .init("RetryOptions", .structure(elasticsearchRetryOptions), isRequired: false),
        .init("S3BackupMode", .string(values: ["FailedDocumentsOnly", "AllDocuments"]), isRequired: false),
        .init("S3Configuration", .structure(s3DestinationConfiguration), isRequired: true),
        .init("ProcessingConfiguration", .structure(processingConfiguration), isRequired: false),
        .init("CloudWatchLoggingOptions", .structure(cloudWatchLoggingOptions), isRequired: false),
        .init("VpcConfiguration", .structure(vpcConfiguration), isRequired: false),
        .init("DocumentIdOptions", .structure(documentIdOptions), isRequired: false),
    ])
    static let amazonopensearchserviceBufferingHints = Structure([
        .init("IntervalInSeconds", .integer(min: 0, max: 900), isRequired: false),
        .init("SizeInMBs", .integer(min: 1, max: 100), isRequired: false),
    ])
    static let amazonopensearchserviceRetryOptions = Structure([
        .init("DurationInSeconds", .integer(min: 0, max: 7200), isRequired: false),
    ])
}
