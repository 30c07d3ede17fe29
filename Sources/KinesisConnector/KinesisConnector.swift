import ShardLog
import StreamCore
import StreamFormats

/// `'connector' = 'kinesis'`: a stream of the built-in shard log, or of any service that speaks the Kinesis API, with the option
/// names of Flink's Kinesis connectors.
///
/// A table with `aws.endpoint` or `stream.arn` is read and written over HTTP with signed requests; any other is a stream of the log
/// in `log.directory`, in this process.
///
/// The log's rows are written exactly once: they become readable when their checkpoint commits, every `sink.commit.interval` (1 s)
/// unless the job says otherwise. With `sink.delivery-guarantee` = `at-least-once`, and on a remote stream, they are readable at once.
public struct KinesisConnector: TableConnector {
    private let host: Host
    private let diskWait: Duration

    /// - Parameter diskWait: how long a sink waits for room on a full disk of the log before its job fails.
    public init(host: Host = .system, diskWait: Duration = .seconds(3_600), isLegacy: Bool = false) {
        (self.host, self.diskWait, identifier) = (host, diskWait, isLegacy ? "kinesis-legacy" : "kinesis")
    }

    /// `kinesis`, or `kinesis-legacy`: what Flink calls its older connector since there is a newer one. Both take the options of both.
    public let identifier: String

    public func optionKeys(for table: TableDescriptor) -> Set<String> {
        KinesisOptions.keys.union(BadInput.optionKeys).union(FormatFactory.optionKeys(for: table.options["format"]))
    }

    public func foreignOptions(for table: TableDescriptor) -> [ForeignOption] {
        var all: [ForeignOption] = [
            .init("scan.parallelism", "shards are read with the parallelism of the job"), .init("sink.parallelism", "records are written with the parallelism of the job"),
            .init("scan.shard.adaptivereads", "readers ask as often as there are records"), .init("scan.list.shards.", "shards are listed again until they come"),
            .init("scan.stream.describe.", "shards are listed, not described"), .init("scan.stream.describestreamconsumer.", "consumers are asked for until they come"),
            .init("scan.stream.registerstreamconsumer.", "consumers are asked for until they come"), .init("scan.stream.deregisterstreamconsumer.", "consumers are asked for until they come"),
            .init("scan.shard.getiterator.", "iterators are asked for until they come"), .init("scan.watermark.", "watermarks follow each row"),
            .init("sink.producer.", "records are sent without the Kinesis Producer Library"), .init("source.shard.assigner", "shards are dealt out evenly"),
            .init("source.efo.", "consumers are asked for until they come"), .init("source.retry-strategy.", "requests are repeated until they come"),
        ]
        if table.options["stream.arn"] == nil, table.options["aws.endpoint"] == nil {
            all += ForeignOption.all((EndpointOptions.keys.subtracting(["stream.arn", "aws.endpoint"]).union(["aws.region"])).sorted(),
                                     "the stream is in the built-in log, where nothing is requested")
        }
        return all + FormatFactory.foreignOptions(for: table)
    }

    public func metadataKeys(for table: TableDescriptor) -> [String: DataType] {
        (try? FormatFactory.format(of: table)).map { FormatMetadata.readable($0, own: KinesisMetadata.own) } ?? KinesisMetadata.own
    }

    public func validate(_ table: TableDescriptor) throws {
        _ = try KinesisOptions(table)
        try FormatFactory.validate(table)
    }

    /// A stream that is to be created is made when a job starts, so that a plan leaves nothing behind. A remote one is looked for then, too:
    /// a script can be checked where there is no network.
    public func requireStorage(of table: TableDescriptor) throws {
        let options = try KinesisOptions(table)
        if options.createShards == nil { _ = try options.openLog(host)?.shardCount(options.stream) }
    }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        let options = try KinesisOptions(table)
        let client: any KinesisClient
        switch options.place {
        case .endpoint(let endpoint): client = EndpointClient(options, endpoint, table: table.name)
        case .log: client = LogClient(options, try options.openLog(host)!)
        }
        return KinesisSource(table: table, scan: scan, options: options, client: client, format: try FormatFactory.format(of: table))
    }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        let options = try KinesisOptions(table)
        let acceptsChanges = try FormatFactory.format(of: table).producesChanges
        switch options.place {
        case .endpoint(let endpoint): return EndpointSink(table: table, options: options, endpoint: endpoint, acceptsChanges: acceptsChanges, host: host)
        case .log: return KinesisSink(table: table, options: options, log: try options.openLog(host)!, acceptsChanges: acceptsChanges, diskWait: diskWait)
        }
    }
}
