import StreamCore
import StreamFormats

/// `'connector' = 'kafka'`: topics of a Kafka cluster, with the option names of Flink's Kafka connector.
public struct KafkaConnector: TableConnector {
    private let host: Host

    public init(host: Host = .system) { self.host = host }

    public var identifier: String { "kafka" }

    public func optionKeys(for table: TableDescriptor) -> Set<String> {
        KafkaTable.sharedKeys.union(KafkaTable.formatKeys(table.options)).union(KafkaSourceOptions.keys).union(KafkaSinkOptions.keys)
    }

    public func foreignOptions(for table: TableDescriptor) -> [ForeignOption] { KafkaTable.foreignOptions(for: table) }

    public func metadataKeys(for table: TableDescriptor) -> [String: DataType] { KafkaMetadata.readable(table) }

    public func writableMetadataKeys(for table: TableDescriptor) -> Set<String> { KafkaSinkMetadata.keys }

    public func validate(_ table: TableDescriptor) throws {
        let kafka = try KafkaTable(table)
        _ = try KafkaSourceOptions(kafka)
        try KafkaMetadata.check(table)
        _ = try KafkaSinkOptions(table)
        _ = try KafkaSinkMetadata(table)
    }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        try KafkaSource(try KafkaTable(table), scan: scan)
    }

    public func deadLetterTable(for table: TableDescriptor) throws -> TableDescriptor? { KafkaDeadLetters.table(for: table) }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        try KafkaSink(KafkaTable(table), isUpsert: false, host: host)
    }
}
