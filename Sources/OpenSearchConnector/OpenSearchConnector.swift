import Foundation
import StreamCore
import StreamFormats

/// `'connector' = 'opensearch'`: writes rows as documents through the bulk interface, with the option names of Flink's connector.
///
/// With a primary key a row is the document with that id, which updates replace and deletes remove. Without one each row gets an id
/// that it gets again when the job recovers and repeats it, so that it is there once.
public struct OpenSearchConnector: TableConnector {
    private let host: StreamCore.Host

    public init(host: StreamCore.Host = .system) { self.host = host }

    public var identifier: String { "opensearch" }

    public func optionKeys(for table: TableDescriptor) -> Set<String> {
        OpenSearchOptions.keys.union(FormatFactory.optionKeys(for: table.options["format"] ?? "json"))
    }

    public func validate(_ table: TableDescriptor) throws { _ = try OpenSearchOptions(table, timeZone: "UTC") }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        OpenSearchSink(options: try OpenSearchOptions(table, timeZone: timeZone), host: host)
    }
}

/// The options of a table, checked.
struct OpenSearchOptions: Sendable {
    let client: BulkClient.Options
    let index: IndexName
    let keyDelimiter: String
    /// Indices of the primary key's columns; empty without one.
    let keyColumns: [Int]
    /// Documents are created under ids that the service gives; otherwise they are indexed under ours.
    let isCreateOnly: Bool
    let batch: BatchLimits
    let backup: BackupOptions?
    let flushesOnCheckpoint: Bool
    let commitInterval: Duration?
    let sinkParallelism: Int?
    /// With its format.
    let table: TableDescriptor

    static let keys = Set([
        "connector", "hosts", "index", "document-id.key-delimiter", "username", "password", "allow-insecure", "sink.flush-on-checkpoint",
        "sink.delivery-guarantee", "connection.path-prefix", "connection.timeout", "connection.request-timeout", "socket.timeout", "format",
        "sink.bulk-action", "sink.commit.interval", "sink.parallelism",
    ]).union(BackupOptions.keys).union(BatchLimits.keys).union(RetryPolicy.keys(retryPrefix))
    static let retryPrefix = "sink.bulk-flush.backoff"

    init(_ table: TableDescriptor, timeZone: String) throws {
        let options = TableOptions(table)
        guard let zone = TimeZone(identifier: timeZone) else { throw StreamError(.validate, "there is no time zone \(timeZone)") }
        let hosts = try options.require("hosts").split(separator: ";").map { String($0).trimmed }.filter { !$0.isEmpty }
        for address in hosts {
            guard let url = URL(string: address), url.scheme == "http" || url.scheme == "https", url.host != nil, url.path.isEmpty || url.path == "/" else {
                throw options.error("hosts", "has '\(address)' in it, which is no address of a server", fix: "write it as in 'http://localhost:9200', several with ';'")
            }
        }
        guard !hosts.isEmpty else { throw options.error("hosts", "names no server", fix: "write it as in 'http://localhost:9200'") }
        if try options.bool("allow-insecure") == true, hosts.contains(where: { $0.hasPrefix("https:") }) {
            throw options.error("allow-insecure", "cannot be done: certificates are always checked here",
                                fix: "add the server's certificate to those that the system trusts, or connect over http on loopback")
        }
        var client = BulkClient.Options(hosts: hosts.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 })
        if let prefix = options.string("connection.path-prefix"), !prefix.isEmpty {
            client.pathPrefix = "/" + prefix.split(separator: "/").joined(separator: "/")
        }
        client.username = options.string("username")
        client.password = options.string("password")
        if client.username == nil, client.password != nil { throw options.error("password", "stands without 'username'", fix: "add 'username'") }
        // One limit for the whole request: the time to connect and the time to answer.
        client.timeout = Double((try options.milliseconds("connection.timeout") ?? options.milliseconds("connection.request-timeout") ?? 5_000)
            + (try options.milliseconds("socket.timeout") ?? 30_000)) / 1_000
        client.retry = try RetryPolicy(options, prefix: Self.retryPrefix)
        self.client = client
        index = try IndexName(options, key: "index", zone: zone)
        keyDelimiter = options.string("document-id.key-delimiter") ?? "_"
        keyColumns = try table.primaryKey.map { key in
            guard let column = table.schema.firstIndex(where: { $0.name == key }) else {
                throw StreamError(.validate, "table \(table.name): primary key column \(key) is not one of its columns")
            }
            switch table.schema[column].type {
            case .array, .map, .row, .variant, .binary, .varbinary, .null:
                throw StreamError(.validate, "table \(table.name): a column of type \(table.schema[column].type) cannot be part of a document id",
                                  fix: "choose another primary key")
            default: return column
            }
        }
        isCreateOnly = try options.choice("sink.bulk-action", ["index", "create"]) == "create"
        if isCreateOnly, !keyColumns.isEmpty {
            throw options.error("sink.bulk-action", "leaves documents alone that are there already, but the table has a primary key", fix: "leave out one of the two")
        }
        batch = try BatchLimits(options)
        backup = try BackupOptions(options)
        let guarantee = try options.choice("sink.delivery-guarantee", ["at-least-once", "none"])
        flushesOnCheckpoint = try options.bool("sink.flush-on-checkpoint") ?? (guarantee != "none")
        commitInterval = try options.duration("sink.commit.interval") ?? (backup == nil ? nil : .seconds(1))
        if commitInterval == .zero { throw options.error("sink.commit.interval", "is not positive") }
        sinkParallelism = try options.int("sink.parallelism", in: 1...1_024)
        var own = table
        own.options["format"] = table.options["format"] ?? "json"
        // A column of text holds whole documents, each a JSON object in one line.
        let isText = own.options["format"]?.lowercased() == "raw" && table.schema.count == 1 && table.schema[0].type.isText
        guard own.options["format"]?.lowercased() == "json" || isText else {
            throw options.error("format", "is not what documents are written in", fix: "use 'json', or 'raw' for a single column of text that holds documents")
        }
        self.table = own
        try FormatFactory.validate(own)
        _ = try FormatFactory.encoder(for: own)
    }
}

/// How many rows go into one request: `sink.bulk-flush.*`.
struct BatchLimits: Sendable {
    let actionsMax: Int
    let bytesMax: Int
    let interval: Duration

    static let keys: Set<String> = ["sink.bulk-flush.max-actions", "sink.bulk-flush.max-size", "sink.bulk-flush.interval"]

    /// Zero or -1 stand for no limit, as in Flink's; bytes are limited all the same.
    init(_ options: TableOptions, actions: Int = 1_000, bytes: Int = 2 << 20) throws {
        let count = try options.int("sink.bulk-flush.max-actions", in: -1...Int.max) ?? actions
        actionsMax = count <= 0 ? 100_000 : count
        let size = try options.string("sink.bulk-flush.max-size") == "-1" ? -1 : options.bytes("sink.bulk-flush.max-size") ?? bytes
        bytesMax = size <= 0 ? 64 << 20 : size
        interval = try options.duration("sink.bulk-flush.interval") ?? .seconds(1)
    }
}
