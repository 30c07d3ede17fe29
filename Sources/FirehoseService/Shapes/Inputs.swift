import AWSProtocol

/// What the operations take.
extension FirehoseShapes {
    static let createDeliveryStreamInput = Structure([
        .init("DeliveryStreamName", .string(min: 1, max: 64, pattern: matching(#"[a-zA-Z0-9_.-]+"#)), isRequired: true),
        .init("DeliveryStreamType", .string(values: ["DirectPut", "KinesisStreamAsSource", "MSKAsSource", "DatabaseAsSource"]), isRequired: false),
        .init("DirectPutSourceConfiguration", .structure(directPutSourceConfiguration), isRequired: false),
        .init("KinesisStreamSourceConfiguration", .structure(kinesisStreamSourceConfiguration), isRequired: false),
        .init("DeliveryStreamEncryptionConfigurationInput", .structure(deliveryStreamEncryptionConfigurationInput), isRequired: false),
        .init("S3DestinationConfiguration", .structure(s3DestinationConfiguration), isRequired: false),
        .init("ExtendedS3DestinationConfiguration", .structure(extendedS3DestinationConfiguration), isRequired: false),
        .init("RedshiftDestinationConfiguration", .structure(redshiftDestinationConfiguration), isRequired: false),
        .init("ElasticsearchDestinationConfiguration", .structure(elasticsearchDestinationConfiguration), isRequired: false),
        .init("AmazonopensearchserviceDestinationConfiguration", .structure(amazonopensearchserviceDestinationConfiguration), isRequired: false),
        .init("SplunkDestinationConfiguration", .structure(splunkDestinationConfiguration), isRequired: false),
        .init("HttpEndpointDestinationConfiguration", .structure(httpEndpointDestinationConfiguration), isRequired: false),
        .init("Tags", .list(.structure(tag), min: 1, max: 50), isRequired: false),
        .init("AmazonOpenSearchServerlessDestinationConfiguration", .structure(amazonOpenSearchServerlessDestinationConfiguration), isRequired: false),
        .init("MSKSourceConfiguration", .structure(mSKSourceConfiguration), isRequired: false),
        .init("SnowflakeDestinationConfiguration", .structure(snowflakeDestinationConfiguration), isRequired: false),
        .init("IcebergDestinationConfiguration", .structure(icebergDestinationConfiguration), isRequired: false),
        .init("DatabaseSourceConfiguration", .structure(databaseSourceConfiguration), isRequired: false),
    ])
    static let deleteDeliveryStreamInput = Structure([
        .init("DeliveryStreamName", .string(min: 1, max: 64, pattern: matching(#"[a-zA-Z0-9_.-]+"#)), isRequired: true),
        .init("AllowForceDelete", .boolean, isRequired: false),
    ])
    static let describeDeliveryStreamInput = Structure([
        .init("DeliveryStreamName", .string(min: 1, max: 64, pattern: matching(#"[a-zA-Z0-9_.-]+"#)), isRequired: true),
        .init("Limit", .integer(min: 1, max: 10000), isRequired: false),
        .init("ExclusiveStartDestinationId", .string(min: 1, max: 100, pattern: matching(#"[a-zA-Z0-9-]+"#)), isRequired: false),
    ])
    static let listDeliveryStreamsInput = Structure([
        .init("Limit", .integer(min: 1, max: 10000), isRequired: false),
        .init("DeliveryStreamType", .string(values: ["DirectPut", "KinesisStreamAsSource", "MSKAsSource", "DatabaseAsSource"]), isRequired: false),
        .init("ExclusiveStartDeliveryStreamName", .string(min: 1, max: 64, pattern: matching(#"[a-zA-Z0-9_.-]+"#)), isRequired: false),
    ])
    static let listTagsForDeliveryStreamInput = Structure([
        .init("DeliveryStreamName", .string(min: 1, max: 64, pattern: matching(#"[a-zA-Z0-9_.-]+"#)), isRequired: true),
        .init("ExclusiveStartTagKey", .string(min: 1, max: 128, pattern: matching(#"^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$"#)), isRequired: false),
        .init("Limit", .integer(min: 1, max: 50), isRequired: false),
    ])
    static let putRecordInput = Structure([
        .init("DeliveryStreamName", .string(min: 1, max: 64, pattern: matching(#"[a-zA-Z0-9_.-]+"#)), isRequired: true),
        .init("Record", .structure(record), isRequired: true),
    ])
    static let putRecordBatchInput = Structure([
        .init("DeliveryStreamName", .string(min: 1, max: 64, pattern: matching(#"[a-zA-Z0-9_.-]+"#)), isRequired: true),
        .init("Records", .list(.structure(record), min: 1, max: 500), isRequired: true),
    ])
    static let startDeliveryStreamEncryptionInput = Structure([
        .init("DeliveryStreamName", .string(min: 1, max: 64, pattern: matching(#"[a-zA-Z0-9_.-]+"#)), isRequired: true),
        .init("DeliveryStreamEncryptionConfigurationInput", .structure(deliveryStreamEncryptionConfigurationInput), isRequired: false),
    ])
    static let stopDeliveryStreamEncryptionInput = Structure([
        .init("DeliveryStreamName", .string(min: 1, max: 64, pattern: matching(#"[a-zA-Z0-9_.-]+"#)), isRequired: true),
    ])
    static let tagDeliveryStreamInput = Structure([
        .init("DeliveryStreamName", .string(min: 1, max: 64, pattern: matching(#"[a-zA-Z0-9_.-]+"#)), isRequired: true),
        .init("Tags", .list(.structure(tag), min: 1, max: 50), isRequired: true),
    ])
    static let untagDeliveryStreamInput = Structure([
        .init("DeliveryStreamName", .string(min: 1, max: 64, pattern: matching(#"[a-zA-Z0-9_.-]+"#)), isRequired: true),
        .init("TagKeys", .list(.string(min: 1, max: 128, pattern: matching(#"^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$"#)), min: 1, max: 50), isRequired: true),
    ])
    static let updateDestinationInput = Structure([
        .init("DeliveryStreamName", .string(min: 1, max: 64, pattern: matching(#"[a-zA-Z0-9_.-]+"#)), isRequired: true),
        .init("CurrentDeliveryStreamVersionId", .string(min: 1, max: 50, pattern: matching(#"[0-9]+"#)), isRequired: true),
        .init("DestinationId", .string(min: 1, max: 100, pattern: matching(#"[a-zA-Z0-9-]+"#)), isRequired: true),
        .init("S3DestinationUpdate", .structure(s3DestinationUpdate), isRequired: false),
        .init("ExtendedS3DestinationUpdate", .structure(extendedS3DestinationUpdate), isRequired: false),
        .init("RedshiftDestinationUpdate", .structure(redshiftDestinationUpdate), isRequired: false),
        .init("ElasticsearchDestinationUpdate", .structure(elasticsearchDestinationUpdate), isRequired: false),
        .init("AmazonopensearchserviceDestinationUpdate", .structure(amazonopensearchserviceDestinationUpdate), isRequired: false),
        .init("SplunkDestinationUpdate", .structure(splunkDestinationUpdate), isRequired: false),
        .init("HttpEndpointDestinationUpdate", .structure(httpEndpointDestinationUpdate), isRequired: false),
        .init("AmazonOpenSearchServerlessDestinationUpdate", .structure(amazonOpenSearchServerlessDestinationUpdate), isRequired: false),
        .init("SnowflakeDestinationUpdate", .structure(snowflakeDestinationUpdate), isRequired: false),
        .init("IcebergDestinationUpdate", .structure(icebergDestinationUpdate), isRequired: false),
    ])
}
