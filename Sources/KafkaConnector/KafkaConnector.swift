import StreamCore
import StreamFormats

/// `'connector' = 'kafka'`: topics of a Kafka cluster, with the option names of Flink's Kafka connector.
public struct KafkaConnector: TableConnector {
    private let host: Host

    public init(host: Host = .system) { self.host = host }

    public var identifier: String { "kafka" }

    public func optionKeys(for table: TableDescriptor) -> Set<String> {
        KafkaTable.sharedKeys.union(KafkaTable.formatKeys(table.options))
    }

    public func validate(_ table: TableDescriptor) throws { _ = try KafkaTable(table) }
}
