import AWSProtocol

/// Structures inside of the inputs: the other destinations.
extension FirehoseShapes {
    static let amazonopensearchserviceDestinationConfiguration = Structure([
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: true),
        .init("DomainARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:es:[a-zA-Z0-9\-]+:\d{12}:domain/[a-z][-0-9a-z]{2,27}"#)), isRequired: false),
        .init("ClusterEndpoint", .string(min: 1, max: 512, pattern: matching(#"https?:.*"#)), isRequired: false),
        .init("IndexName", .string(min: 1, max: 80), isRequired: true),
        .init("TypeName", .string(min: 0, max: 100), isRequired: false),
        .init("IndexRotationPeriod", .string(values: ["NoRotation", "OneHour", "OneDay", "OneWeek", "OneMonth"]), isRequired: false),
        .init("BufferingHints", .structure(amazonopensearchserviceBufferingHints), isRequired: false),
        .init("RetryOptions", .structure(amazonopensearchserviceRetryOptions), isRequired: false),
        .init("S3BackupMode", .string(values: ["FailedDocumentsOnly", "AllDocuments"]), isRequired: false),
        .init("S3Configuration", .structure(s3DestinationConfiguration), isRequired: true),
        .init("ProcessingConfiguration", .structure(processingConfiguration), isRequired: false),
        .init("CloudWatchLoggingOptions", .structure(cloudWatchLoggingOptions), isRequired: false),
        .init("VpcConfiguration", .structure(vpcConfiguration), isRequired: false),
        .init("DocumentIdOptions", .structure(documentIdOptions), isRequired: false),
    ])
    static let splunkRetryOptions = Structure([
        .init("DurationInSeconds", .integer(min: 0, max: 7200), isRequired: false),
    ])
    static let splunkBufferingHints = Structure([
        .init("IntervalInSeconds", .integer(min: 0, max: 60), isRequired: false),
        .init("SizeInMBs", .integer(min: 1, max: 5), isRequired: false),
    ])
    static let splunkDestinationConfiguration = Structure([
        .init("HECEndpoint", .string(min: 0, max: 2048), isRequired: true),
        .init("HECEndpointType", .string(values: ["Raw", "Event"]), isRequired: true),
        .init("HECToken", .string(min: 0, max: 2048), isRequired: false),
        .init("HECAcknowledgmentTimeoutInSeconds", .integer(min: 180, max: 600), isRequired: false),
        .init("RetryOptions", .structure(splunkRetryOptions), isRequired: false),
        .init("S3BackupMode", .string(values: ["FailedEventsOnly", "AllEvents"]), isRequired: false),
        .init("S3Configuration", .structure(s3DestinationConfiguration), isRequired: true),
        .init("ProcessingConfiguration", .structure(processingConfiguration), isRequired: false),
        .init("CloudWatchLoggingOptions", .structure(cloudWatchLoggingOptions), isRequired: false),
        .init("BufferingHints", .structure(splunkBufferingHints), isRequired: false),
        .init("SecretsManagerConfiguration", .structure(secretsManagerConfiguration), isRequired: false),
    ])
    static let httpEndpointConfiguration = Structure([
        .init("Url", .string(min: 1, max: 1000, pattern: matching(#"https?://.*"#)), isRequired: true),
        .init("Name", .string(min: 1, max: 256, pattern: matching(#"^(?!\s*$).+"#)), isRequired: false),
        .init("AccessKey", .string(min: 0, max: 4096), isRequired: false),
    ])
    static let httpEndpointBufferingHints = Structure([
        .init("SizeInMBs", .integer(min: 1, max: 64), isRequired: false),
        .init("IntervalInSeconds", .integer(min: 0, max: 900), isRequired: false),
    ])
    static let httpEndpointCommonAttribute = Structure([
        .init("AttributeName", .string(min: 1, max: 256, pattern: matching(#"^(?!\s*$).+"#)), isRequired: true),
        .init("AttributeValue", .string(min: 0, max: 1024), isRequired: true),
    ])
    static let httpEndpointRequestConfiguration = Structure([
        .init("ContentEncoding", .string(values: ["NONE", "GZIP"]), isRequired: false),
        .init("CommonAttributes", .list(.structure(httpEndpointCommonAttribute), min: 0, max: 50), isRequired: false),
    ])
    static let httpEndpointRetryOptions = Structure([
        .init("DurationInSeconds", .integer(min: 0, max: 7200), isRequired: false),
    ])
    static let httpEndpointDestinationConfiguration = Structure([
        .init("EndpointConfiguration", .structure(httpEndpointConfiguration), isRequired: true),
        .init("BufferingHints", .structure(httpEndpointBufferingHints), isRequired: false),
        .init("CloudWatchLoggingOptions", .structure(cloudWatchLoggingOptions), isRequired: false),
        .init("RequestConfiguration", .structure(httpEndpointRequestConfiguration), isRequired: false),
        .init("ProcessingConfiguration", .structure(processingConfiguration), isRequired: false),
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: false),
        .init("RetryOptions", .structure(httpEndpointRetryOptions), isRequired: false),
        .init("S3BackupMode", .string(values: ["FailedDataOnly", "AllData"]), isRequired: false),
        .init("S3Configuration", .structure(s3DestinationConfiguration), isRequired: true),
        .init("SecretsManagerConfiguration", .structure(secretsManagerConfiguration), isRequired: false),
    ])
    static let tag = Structure([
        .init("Key", .string(min: 1, max: 128, pattern: matching(#"^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$"#)), isRequired: true),
        .init("Value", .string(min: 0, max: 256, pattern: matching(#"^[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$"#)), isRequired: false),
    ])
    static let amazonOpenSearchServerlessBufferingHints = Structure([
        .init("IntervalInSeconds", .integer(min: 0, max: 900), isRequired: false),
        .init("SizeInMBs", .integer(min: 1, max: 100), isRequired: false),
    ])
    static let amazonOpenSearchServerlessRetryOptions = Structure([
        .init("DurationInSeconds", .integer(min: 0, max: 7200), isRequired: false),
    ])
    static let amazonOpenSearchServerlessDestinationConfiguration = Structure([
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: true),
        .init("CollectionEndpoint", .string(min: 1, max: 512, pattern: matching(#"https?:.*"#)), isRequired: false),
        .init("IndexName", .string(min: 1, max: 80), isRequired: true),
        .init("BufferingHints", .structure(amazonOpenSearchServerlessBufferingHints), isRequired: false),
        .init("RetryOptions", .structure(amazonOpenSearchServerlessRetryOptions), isRequired: false),
        .init("S3BackupMode", .string(values: ["FailedDocumentsOnly", "AllDocuments"]), isRequired: false),
        .init("S3Configuration", .structure(s3DestinationConfiguration), isRequired: true),
        .init("ProcessingConfiguration", .structure(processingConfiguration), isRequired: false),
        .init("CloudWatchLoggingOptions", .structure(cloudWatchLoggingOptions), isRequired: false),
        .init("VpcConfiguration", .structure(vpcConfiguration), isRequired: false),
    ])
    static let authenticationConfiguration = Structure([
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: true),
        .init("Connectivity", .string(values: ["PUBLIC", "PRIVATE"]), isRequired: true),
    ])
    static let mSKSourceConfiguration = Structure([
        .init("MSKClusterARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*"#)), isRequired: true),
        .init("TopicName", .string(min: 1, max: 255, pattern: matching(#"[a-zA-Z0-9\\._\\-]+"#)), isRequired: true),
        .init("AuthenticationConfiguration", .structure(authenticationConfiguration), isRequired: true),
        .init("ReadFromTimestamp", .timestamp, isRequired: false),
    ])
    static let snowflakeRoleConfiguration = Structure([
        .init("Enabled", .boolean, isRequired: false),
        .init("SnowflakeRole", .string(min: 1, max: 255), isRequired: false),
    ])
    static let snowflakeVpcConfiguration = Structure([
        .init("PrivateLinkVpceId", .string(min: 47, max: 255, pattern: matching(#"([a-zA-Z0-9\-\_]+\.){2,3}vpce\.[a-zA-Z0-9\-]*\.vpce-svc\-[a-zA-Z0-9\-]{17}$"#)), isRequired: true),
    ])
    static let snowflakeRetryOptions = Structure([
        .init("DurationInSeconds", .integer(min: 0, max: 7200), isRequired: false),
    ])
    static let snowflakeBufferingHints = Structure([
        .init("SizeInMBs", .integer(min: 1, max: 128), isRequired: false),
        .init("IntervalInSeconds", .integer(min: 0, max: 900), isRequired: false),
    ])
    static let snowflakeDestinationConfiguration = Structure([
        .init("AccountUrl", .string(min: 24, max: 2048, pattern: matching(#".+?\.snowflakecomputing\.com"#)), isRequired: true),
        .init("PrivateKey", .string(min: 256, max: 4096, pattern: matching(#"^(?:[A-Za-z0-9+\/]{4})*(?:[A-Za-z0-9+\/]{2}==|[A-Za-z0-9+\/]{3}=)?$"#)), isRequired: false),
        .init("KeyPassphrase", .string(min: 7, max: 255), isRequired: false),
        .init("User", .string(min: 1, max: 255), isRequired: false),
        .init("Database", .string(min: 1, max: 255), isRequired: true),
        .init("Schema", .string(min: 1, max: 255), isRequired: true),
        .init("Table", .string(min: 1, max: 255), isRequired: true),
        .init("SnowflakeRoleConfiguration", .structure(snowflakeRoleConfiguration), isRequired: false),
        .init("DataLoadingOption", .string(values: ["JSON_MAPPING", "VARIANT_CONTENT_MAPPING", "VARIANT_CONTENT_AND_METADATA_MAPPING"]), isRequired: false),
        .init("MetaDataColumnName", .string(min: 1, max: 255), isRequired: false),
        .init("ContentColumnName", .string(min: 1, max: 255), isRequired: false),
        .init("SnowflakeVpcConfiguration", .structure(snowflakeVpcConfiguration), isRequired: false),
        .init("CloudWatchLoggingOptions", .structure(cloudWatchLoggingOptions), isRequired: false),
        .init("ProcessingConfiguration", .structure(processingConfiguration), isRequired: false),
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: true),
        .init("RetryOptions", .structure(snowflakeRetryOptions), isRequired: false),
        .init("S3BackupMode", .string(values: ["FailedDataOnly", "AllData"]), isRequired: false),
        .init("S3Configuration", .structure(s3DestinationConfiguration), isRequired: true),
        .init("SecretsManagerConfiguration", .structure(secretsManagerConfiguration), isRequired: false),
        .init("BufferingHints", .structure(snowflakeBufferingHints), isRequired: false),
    ])
    static let partitionField = Structure([
        .init("SourceName", .string(min: 1, max: 1024, pattern: matching(#"^\S+$"#)), isRequired: true),
    ])
    static let partitionSpec = Structure([
        .init("Identity", .list(.structure(partitionField)), isRequired: false),
    ])
    static let destinationTableConfiguration = Structure([
        .init("DestinationTableName", .string(min: 1, max: 255, pattern: matching(#"[a-zA-Z0-9\.\_]+"#)), isRequired: true),
        .init("DestinationDatabaseName", .string(min: 1, max: 255, pattern: matching(#"[a-zA-Z0-9\.\_]+"#)), isRequired: true),
        .init("UniqueKeys", .list(.string(min: 1, max: 1024, pattern: matching(#"^\S+$"#))), isRequired: false),
        .init("PartitionSpec", .structure(partitionSpec), isRequired: false),
        .init("S3ErrorOutputPrefix", .string(min: 0, max: 1024), isRequired: false),
    ])
    static let schemaEvolutionConfiguration = Structure([
        .init("Enabled", .boolean, isRequired: true),
    ])
    static let tableCreationConfiguration = Structure([
        .init("Enabled", .boolean, isRequired: true),
    ])
    static let catalogConfiguration = Structure([
        .init("CatalogARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:glue:.*:\d{12}:catalog(?:(/[a-z0-9_-]+){1,2})?"#)), isRequired: false),
        .init("WarehouseLocation", .string(min: 1, max: 2048, pattern: matching(#"s3:\/\/.*"#)), isRequired: false),
    ])
    static let icebergDestinationConfiguration = Structure([
        .init("DestinationTableConfigurationList", .list(.structure(destinationTableConfiguration)), isRequired: false),
        .init("SchemaEvolutionConfiguration", .structure(schemaEvolutionConfiguration), isRequired: false),
        .init("TableCreationConfiguration", .structure(tableCreationConfiguration), isRequired: false),
        .init("BufferingHints", .structure(bufferingHints), isRequired: false),
        .init("CloudWatchLoggingOptions", .structure(cloudWatchLoggingOptions), isRequired: false),
        .init("ProcessingConfiguration", .structure(processingConfiguration), isRequired: false),
        .init("S3BackupMode", .string(values: ["FailedDataOnly", "AllData"]), isRequired: false),
        .init("RetryOptions", .structure(retryOptions), isRequired: false),
        .init("RoleARN", .string(min: 1, max: 512, pattern: matching(#"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#)), isRequired: true),
        .init("AppendOnly", .boolean, isRequired: false),
        .init("CatalogConfiguration", .structure(catalogConfiguration), isRequired: true),
        .init("S3Configuration", .structure(s3DestinationConfiguration), isRequired: true),
    ])
    static let databaseList = Structure([
        .init("Include", .list(.string(min: 1, max: 64, pattern: matching(#"[\u0001-\uFFFF]*"#))), isRequired: false),
        .init("Exclude", .list(.string(min: 1, max: 64, pattern: matching(#"[\u0001-\uFFFF]*"#))), isRequired: false),
    ])
    static let databaseTableList = Structure([
        .init("Include", .list(.string(min: 1, max: 129, pattern: matching(#"[\u0001-\uFFFF]*"#))), isRequired: false),
        .init("Exclude", .list(.string(min: 1, max: 129, pattern: matching(#"[\u0001-\uFFFF]*"#))), isRequired: false),
    ])
    static let databaseColumnList = Structure([
        .init("Include", .list(.string(min: 1, max: 194, pattern: matching(#"[\u0001-\uFFFF]*"#))), isRequired: false),
        .init("Exclude", .list(.string(min: 1, max: 194, pattern: matching(#"[\u0001-\uFFFF]*"#))), isRequired: false),
    ])
    static let databaseSourceAuthenticationConfiguration = Structure([
        .init("SecretsManagerConfiguration", .structure(secretsManagerConfiguration), isRequired: true),
    ])
    static let databaseSourceVPCConfiguration = Structure([
        .init("VpcEndpointServiceName", .string(min: 47, max: 255, pattern: matching(#"([a-zA-Z0-9\-\_]+\.){2,3}vpce\.[a-zA-Z0-9\-]*\.vpce-svc\-[a-zA-Z0-9\-]{17}$"#)), isRequired: true),
    ])
    static let databaseSourceConfiguration = Structure([
        .init("Type", .string(values: ["MySQL", "PostgreSQL"]), isRequired: true),
        .init("Endpoint", .string(min: 1, max: 255, pattern: matching(#"^(?!\s*$).+"#)), isRequired: true),
        .init("Port", .integer(min: 0, max: 65535), isRequired: true),
        .init("SSLMode", .string(values: ["Disabled", "Enabled"]), isRequired: false),
        .init("Databases", .structure(databaseList), isRequired: true),
        .init("Tables", .structure(databaseTableList), isRequired: true),
        .init("Columns", .structure(databaseColumnList), isRequired: false),
        .init("SurrogateKeys", .list(.string(min: 1, max: 1024, pattern: matching(#"^\S+$"#))), isRequired: false),
        .init("SnapshotWatermarkTable", .string(min: 1, max: 129, pattern: matching(#"[\u0001-\uFFFF]*"#)), isRequired: true),
        .init("DatabaseSourceAuthenticationConfiguration", .structure(databaseSourceAuthenticationConfiguration), isRequired: true),
        .init("DatabaseSourceVPCConfiguration", .structure(databaseSourceVPCConfiguration), isRequired: true),
    ])
    static let record = Structure([
        .init("Data", .blob(min: 0, max: 1024000), isRequired: true),
    ])
}
