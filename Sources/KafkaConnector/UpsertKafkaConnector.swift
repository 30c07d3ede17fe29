import StreamCore
import StreamFormats

/// `'connector' = 'upsert-kafka'`: a topic that holds the newest row of each primary key, with the option names of Flink's connector.
///
/// The primary key is the messages' key. An inserted or updated row is a message with its value, a deleted one a message without
/// (a tombstone), so that a compacted topic keeps the table. Options beyond those of `kafka`: see ``KafkaSinkOptions``.
public struct UpsertKafkaConnector: TableConnector {
    private let host: Host

    public init(host: Host = .system) { self.host = host }

    public var identifier: String { "upsert-kafka" }

    public func optionKeys(for table: TableDescriptor) -> Set<String> {
        KafkaTable.sharedKeys.union(KafkaTable.formatKeys(table.options)).union(KafkaSourceOptions.keys).union(KafkaSinkOptions.upsertKeys)
            .subtracting(["format", "key.fields", "scan.startup.mode", "scan.startup.specific-offsets", "scan.startup.timestamp-millis"])
    }

    public func foreignOptions(for table: TableDescriptor) -> [ForeignOption] { KafkaTable.foreignOptions(for: table) }

    public func metadataKeys(for table: TableDescriptor) -> [String: DataType] { KafkaConnector().metadataKeys(for: table) }

    public func writableMetadataKeys(for table: TableDescriptor) -> Set<String> { KafkaSinkMetadata.keys }

    public func validate(_ table: TableDescriptor) throws {
        let kafka = try KafkaTable(table, isUpsert: true)
        _ = try KafkaSourceOptions(kafka)
        try KafkaMetadata.check(table)
        _ = try KafkaSinkOptions(table)
        _ = try KafkaSinkMetadata(table)
    }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        try KafkaSource(try KafkaTable(table, isUpsert: true), scan: scan)
    }

    public func deadLetterTable(for table: TableDescriptor) throws -> TableDescriptor? { KafkaDeadLetters.table(for: table) }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        try KafkaSink(KafkaTable(table, isUpsert: true), isUpsert: true, host: host)
    }
}
