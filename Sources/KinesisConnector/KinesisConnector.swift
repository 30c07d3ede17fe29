import ShardLog
import StreamCore
import StreamFormats

/// `'connector' = 'kinesis'`: a stream of the built-in shard log, with the option names of Flink's Kinesis connector.
///
/// Rows are written exactly once: they become readable when their checkpoint commits, every `sink.commit.interval` (1 s) unless
/// the job says otherwise. With `sink.delivery-guarantee` = `at-least-once` they are readable at once.
public struct KinesisConnector: TableConnector {
    private let host: Host

    public init(host: Host = .system) { self.host = host }

    public var identifier: String { "kinesis" }

    public func optionKeys(for table: TableDescriptor) -> Set<String> {
        KinesisOptions.keys.union(BadInput.optionKeys).union(FormatFactory.optionKeys(for: table.options["format"]))
    }

    public func metadataKeys(for table: TableDescriptor) -> [String: DataType] {
        ["timestamp": .timestampLTZ(3), "shard-id": .varchar(128), "sequence-number": .varchar(128)].merging(BadInput.metadataKeys) { $1 }
    }

    public func validate(_ table: TableDescriptor) throws {
        let options = try KinesisOptions(table)
        try FormatFactory.validate(table)
        // A stream that is to be created is made when a job starts, so that a plan leaves nothing behind.
        if options.createShards == nil { _ = try options.openLog(host).shardCount(options.stream) }
    }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        let options = try KinesisOptions(table)
        return KinesisSource(table: table, scan: scan, options: options, log: try options.openLog(host),
                             format: try FormatFactory.format(of: table))
    }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        let options = try KinesisOptions(table)
        return KinesisSink(table: table, options: options, log: try options.openLog(host),
                           acceptsChanges: try FormatFactory.format(of: table).producesChanges)
    }
}
