import StreamCore

/// `'connector' = 'kafka-mirror'`: the two ends of a copy of topics from one cluster to another, as the `mirror` step of a topology
/// writes them. Both tables have the columns ``MirrorRecord/schema`` and the same options.
public struct MirrorConnector: TableConnector {
    /// Gets what goes wrong beside the copying, without ending the job: a setting that a broker does not take, groups that are not told.
    public typealias Warn = @Sendable (String) -> Void

    private let host: Host
    private let warn: Warn

    public init(host: Host = .system, warn: @escaping Warn = { _ in }) { (self.host, self.warn) = (host, warn) }

    public var identifier: String { "kafka-mirror" }

    public func optionKeys(for table: TableDescriptor) -> Set<String> { MirrorOptions.keys }

    public func validate(_ table: TableDescriptor) throws {
        _ = try MirrorOptions(table)
        let expected = MirrorRecord.schema
        guard table.schema.map(\.name) == expected.map(\.name), zip(table.schema, expected).allSatisfy({ $0.type.physical == $1.type.physical }) else {
            throw StreamError(.validate, "table \(table.name): a mirror's columns are \(expected.map { "\($0.name) \($0.type)" }.joined(separator: ", "))",
                              fix: "write a mirror step in a topology, which makes both tables")
        }
    }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        MirrorSource(try MirrorOptions(table), projection: scan.projection, schema: table.schema, warn: warn)
    }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        MirrorSink(try MirrorOptions(table), host: host, warn: warn)
    }
}
