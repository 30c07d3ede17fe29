import Foundation
import ShardLog
import StreamCore
import StreamFormats

/// The options of a kinesis table, checked.
struct KinesisOptions: Sendable {
    enum Start: Hashable, Sendable {
        case latest, trimHorizon, atTimestamp(Int64)
    }

    enum Partitioner: Hashable, Sendable {
        case random, fixed
        /// Schema columns whose texts, joined by the delimiter, are the partition key.
        case columns([Int], delimiter: String)
    }

    /// Where the stream is.
    enum Place: Sendable {
        /// The built-in log in a directory.
        case log(String)
        /// A service that speaks the Kinesis API.
        case endpoint(EndpointOptions)
    }

    let stream: String
    let place: Place
    let start: Start
    /// Each shard ends where it ended when the job started.
    let isBounded: Bool
    let createShards: Int?
    let partitioner: Partitioner
    let flush: FlushPolicy
    /// Rows become readable with the commit of their checkpoint; otherwise at once, and again after a recovery.
    let isExactlyOnce: Bool
    let commitInterval: Duration?
    let onError: OnError
    /// Time between looks for new shards, without a reader that has come to the end of one.
    let discoveryInterval: Duration

    static let keys: Set<String> = EndpointOptions.keys.union([
        "connector", "stream", "format", "aws.region", "log.directory", "stream.create-shards",
        "scan.bounded.mode", "scan.stream.initpos", "scan.stream.initpos-timestamp", "scan.stream.initpos-timestamp-format",
        "source.init.position", "source.init.timestamp", "source.init.timestamp.format", "sink.partitioner",
        "sink.partitioner-field-delimiter", "sink.flush", "sink.delivery-guarantee", "sink.commit.interval", "scan.parallelism", "sink.parallelism",
        "scan.shard.discovery.intervalmillis", "source.shard.discovery.interval",
    ])

    init(_ table: TableDescriptor) throws {
        let options = TableOptions(table)
        if options.has("log.directory") {
            if options.has("stream.arn") {
                throw options.error("stream.arn", "names a stream in the cloud, but 'log.directory' the built-in shard log",
                                    fix: "write 'stream' = '\((options.string("stream.arn") ?? "").split(separator: "/").last.map(String.init) ?? "name")', or leave 'log.directory' out")
            }
            if options.has("aws.endpoint") {
                throw options.error("aws.endpoint", "names a remote endpoint, but 'log.directory' the built-in shard log", fix: "leave the option out, or 'log.directory'")
            }
        }
        if options.has("stream.arn") || options.has("aws.endpoint") {
            let endpoint = try EndpointOptions(options)
            (place, stream) = (.endpoint(endpoint), endpoint.stream)
        } else {
            stream = try options.require("stream")
            // Options that tune requests are let through: a script for the cloud runs at home once its endpoint is left out.
            place = .log(options.string("log.directory") ?? ShardLog.defaultDirectory)
        }
        do { try ShardLog.check(name: stream) } catch let error as StreamError { throw options.error("stream", "cannot name a stream", fix: error.fix) }
        _ = try options.require("format")
        createShards = try options.int("stream.create-shards", in: 1...ShardLog.shardsMax)
        isBounded = try options.choice("scan.bounded.mode", ["unbounded", "latest-offset"]) == "latest-offset"
        onError = try BadInput.onError(table, ignoresParseErrors: try options.bool("\(options.string("format")!).ignore-parse-errors") ?? false)
        start = try Self.start(options)
        partitioner = try Self.partitioner(options)
        let isRemote = if case .endpoint = place { true } else { false }
        if isRemote, options.has("sink.flush") {
            throw options.error("sink.flush", "says how the built-in log writes to its disk", fix: "leave the option out for a remote stream")
        }
        flush = switch try options.choice("sink.flush", ["batch", "interval", "os"]) {
        case "batch": .everyAppend
        case "os": .operatingSystem
        default: .interval(milliseconds: 50)
        }
        let guarantee = try options.choice("sink.delivery-guarantee", ["exactly-once", "at-least-once"])
        if isRemote, guarantee == "exactly-once" {
            throw options.error("sink.delivery-guarantee", "is not to be had from a remote stream: the Kinesis API cannot take records back, nor tell that it has them already",
                                fix: "leave the option out, or write 'at-least-once' and let readers drop what comes twice")
        }
        isExactlyOnce = !isRemote && guarantee != "at-least-once"
        if isExactlyOnce, options.has("sink.flush") {
            throw options.error("sink.flush", "has no effect with exactly-once delivery, which flushes with each commit",
                                fix: "leave the option out, or set 'sink.delivery-guarantee' = 'at-least-once'")
        }
        commitInterval = try options.duration("sink.commit.interval") ?? (isExactlyOnce ? .seconds(1) : nil)
        if commitInterval == .zero { throw options.error("sink.commit.interval", "is not positive") }
        discoveryInterval = try options.either("source.shard.discovery.interval", "scan.shard.discovery.intervalmillis") { try options.duration($0) } ?? .seconds(10)
        if discoveryInterval <= .zero {
            throw options.error(options.has("source.shard.discovery.interval") ? "source.shard.discovery.interval" : "scan.shard.discovery.intervalmillis", "is not positive")
        }
        for column in table.metadata { try KinesisMetadata.check(column, table) }
    }

    /// Flink's older and newer spellings of the same three options.
    private static func start(_ options: TableOptions) throws -> Start {
        let key = options.has("source.init.position") ? "source.init.position" : "scan.stream.initpos"
        let isNew = key == "source.init.position"
        let timeKey = isNew ? "source.init.timestamp" : "scan.stream.initpos-timestamp"
        let formatKey = isNew ? "source.init.timestamp.format" : "scan.stream.initpos-timestamp-format"
        switch try options.choice(key, ["LATEST", "TRIM_HORIZON", "AT_TIMESTAMP"]) {
        case "TRIM_HORIZON": return .trimHorizon
        case "AT_TIMESTAMP":
            guard let text = options.string(timeKey) else {
                throw StreamError(.validate, "table \(options.table.name): '\(key)' = 'AT_TIMESTAMP' needs option '\(timeKey)'",
                                  at: options.table.optionLocations[key])
            }
            return .atTimestamp(try timestamp(text, timeKey, options.string(formatKey), formatKey, options))
        default: return .latest
        }
    }

    /// A pattern's time, seconds since 1970-01-01, or by default ISO 8601 with an offset.
    private static func timestamp(_ text: String, _ key: String, _ format: String?, _ formatKey: String, _ options: TableOptions) throws -> Int64 {
        if let format {
            let formatter = DateFormatter()
            formatter.locale = Locale(identifier: "en_US_POSIX")
            formatter.timeZone = TimeZone(identifier: "UTC")
            formatter.dateFormat = format
            guard let date = formatter.date(from: text) else { throw options.error(key, "does not follow '\(formatKey)' = '\(format)'") }
            return Int64((date.timeIntervalSince1970 * 1_000).rounded())
        }
        if let seconds = Double(text) {
            guard seconds >= 0, seconds < 1e12 else { throw options.error(key, "is not a number of seconds since 1970-01-01") }
            return Int64((seconds * 1_000).rounded())
        }
        for style in [Date.ISO8601FormatStyle(includingFractionalSeconds: true), Date.ISO8601FormatStyle()] {
            if let date = try? style.parse(text) { return Int64((date.timeIntervalSince1970 * 1_000).rounded()) }
        }
        throw options.error(key, "is not a time", fix: "write it as in '2024-05-04T19:58:46.480-00:00', in seconds since 1970, or set '\(formatKey)'")
    }

    private static func partitioner(_ options: TableOptions) throws -> Partitioner {
        let table = options.table
        guard table.partitionKeys.isEmpty else {
            if options.has("sink.partitioner") {
                throw options.error("sink.partitioner", "cannot be set for a table with PARTITIONED BY", fix: "leave one of the two out")
            }
            let columns = try table.partitionKeys.map { key in
                guard let index = table.schema.firstIndex(where: { $0.name == key }) else {
                    throw StreamError(.validate, "table \(table.name): partition column \(key) is not one of its columns",
                                      fix: NearName.hint(for: key, in: table.schema.map(\.name)))
                }
                switch table.schema[index].type {
                case .array, .map, .row, .null: throw StreamError(.validate, "table \(table.name): a column of type \(table.schema[index].type) cannot partition it")
                default: return index
                }
            }
            return .columns(columns, delimiter: options.string("sink.partitioner-field-delimiter") ?? "|")
        }
        return try options.choice("sink.partitioner", ["random", "fixed"]) == "fixed" ? .fixed : .random
    }

    /// The log that the stream is in, if it is not remote.
    func openLog(_ host: StreamCore.Host) throws -> ShardLog? {
        guard case .log(let directory) = place else { return nil }
        return try ShardLog(directory: directory, host: host)
    }

    /// Makes the stream if it is missing and `stream.create-shards` is given; throws if it is missing then.
    func makeStream(in log: ShardLog) throws {
        if let createShards, !log.exists(stream) {
            do {
                try log.createStream(stream, shards: createShards)
            } catch let error as StreamError where error.code == .conflict {
                // Another job was first.
            }
        }
        _ = try log.shardCount(stream)
    }
}

extension TableOptions {
    /// The value of an option that has two names, of which only one may be given.
    func either<T>(_ new: String, _ old: String, _ read: (String) throws -> T?) throws -> T? {
        if has(new), has(old) { throw error(old, "stands beside '\(new)', which is the same option", fix: "keep one of the two") }
        return try read(has(new) ? new : old)
    }
}

/// What a record tells beside its data.
enum KinesisMetadata {
    static let timestamp = "timestamp", shard = "shard-id", number = "sequence-number", key = "partition-key"

    static let types: [String: DataType] = [timestamp: .timestampLTZ(3), shard: .varchar(128), number: .varchar(128), key: .varchar(256)]

    /// Without what the format tells.
    static let own = types.merging(BadInput.metadataKeys) { $1 }

    static func check(_ column: TableDescriptor.MetadataColumn, _ table: TableDescriptor) throws {
        let types = KinesisConnector().metadataKeys(for: table)
        guard let type = types[column.key] else {
            throw StreamError(.validate, "table \(table.name): connector 'kinesis' has no metadata '\(column.key)'",
                              fix: NearName.hint(for: column.key, in: types.keys))
        }
        if BadInput.metadataKeys[column.key] != nil { return }
        if own[column.key] == nil {
            let format = try FormatFactory.format(of: table)
            if let key = FormatMetadata.key(column.key, of: format, own: own) { return try FormatMetadata.check(column, key: key, of: format, table: table) }
        }
        guard column.key == timestamp ? column.type.isTimestamp : column.type.isText else {
            throw StreamError(.validate, "table \(table.name): metadata column \(column.name) of type \(column.type) cannot hold '\(column.key)'",
                              fix: "declare it as \(type)")
        }
    }
}
