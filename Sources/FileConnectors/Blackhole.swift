import StreamCore

/// `'connector' = 'blackhole'`: swallows rows of every kind, as Flink's does.
public struct BlackholeConnector: TableConnector {
    public init() {}
    public var identifier: String { "blackhole" }
    public func optionKeys(for table: TableDescriptor) -> Set<String> { ["connector", "property-version"] }
    public func validate(_ table: TableDescriptor) throws {}
    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink { BlackholeSink() }
}

private struct BlackholeSink: TableSink {
    var acceptsChanges: Bool { true }
    /// As Flink's, which spares a query the rows before updates.
    var changelogMode: ChangelogMode { .upsert }
    var keepsRows: Bool { false }

    func writer(_ context: SinkContext) throws -> any SinkWriter { Writer(context.metrics) }

    private final class Writer: SinkWriter {
        let metrics: OperatorMetrics
        init(_ metrics: OperatorMetrics) { self.metrics = metrics }
        func write(_ batch: Batch) throws { metrics.rowsOut.add(batch.count) }
        func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] { [] }
    }
}
