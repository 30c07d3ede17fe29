import ShardLog
import StreamCore
import StreamFormats

/// `'connector' = 'http'`: a table of what devices PUT or POST to this machine.
///
///     CREATE TABLE device_logs (at TIMESTAMP(3), level STRING, message STRING, device STRING METADATA FROM 'path.device')
///     WITH ('connector' = 'http', 'listen' = '127.0.0.1:8090', 'path' = '/devices/{device}/logs', 'format' = 'json')
///
/// A body is flushed to a stream of the shard log before its sender gets status 200; the job reads it from there, so that a crash loses
/// nothing that was acknowledged and repeats nothing. What the job's checkpoints cover is removed. A job that starts without a
/// checkpoint goes on behind what the last completed checkpoint of any job on this spool covered.
public struct HTTPConnector: TableConnector {
    private let host: Host

    public init(host: Host = .system) { self.host = host }

    public var identifier: String { "http" }

    public func optionKeys(for table: TableDescriptor) -> Set<String> {
        ReceiverOptions.keys.union(BadInput.optionKeys).union(FormatFactory.optionKeys(for: table.options["format"]))
    }

    public func metadataKeys(for table: TableDescriptor) -> [String: DataType] {
        Self.metadataTypes(table, try? PathPattern(TableOptions(table)))
    }

    static func metadataTypes(_ table: TableDescriptor, _ path: PathPattern?) -> [String: DataType] {
        var types: [String: DataType] = [
            "received-time": .timestampLTZ(3), "remote-address": .string, "content-type": .string, "method": .string, "path": .string, "record-number": .bigint,
        ]
        for name in path?.names ?? [] { types[ReceiverOptions.pathPrefix + name] = .string }
        // Any header can be asked for.
        for column in table.metadata where column.key.hasPrefix(ReceiverOptions.headerPrefix) && column.key.count > ReceiverOptions.headerPrefix.count { types[column.key] = .string }
        return types.merging(BadInput.metadataKeys) { $1 }
    }

    public func validate(_ table: TableDescriptor) throws {
        _ = try ReceiverOptions(table)
        try FormatFactory.validate(table)
    }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        HTTPSource(table: table, scan: scan, options: try ReceiverOptions(table), format: try FormatFactory.format(of: table), host: host)
    }
}
