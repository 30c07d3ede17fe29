import Foundation
import StreamCore
import StreamFormats

/// `'connector' = 'http-post'`: sends rows in batches to an HTTP endpoint, as lines, as a JSON array, or as Amazon Data Firehose does.
///
/// At least once: what a job sent after its last checkpoint is sent again when it recovers.
public struct HTTPPostConnector: TableConnector {
    private let host: StreamCore.Host

    public init(host: StreamCore.Host = .system) { self.host = host }

    public var identifier: String { "http-post" }

    public func optionKeys(for table: TableDescriptor) -> Set<String> {
        HTTPPostOptions.keys.union(FormatFactory.optionKeys(for: table.options["format"] ?? "json"))
    }

    public func validate(_ table: TableDescriptor) throws { _ = try HTTPPostOptions(table) }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        HTTPPostSink(options: try HTTPPostOptions(table), host: host)
    }
}

struct HTTPPostOptions: Sendable {
    let client: HTTPEndpointClient.Options
    let batch: BatchLimits
    let backup: BackupOptions?
    let commitInterval: Duration?
    let sinkParallelism: Int?
    let table: TableDescriptor

    static let headerPrefix = "headers.", attributePrefix = "common-attributes."
    static let retryPrefix = "sink.bulk-flush.backoff"
    static let keys = Set([
        "connector", "url", "request-format", "access-key", "content-encoding", "timeout", "format", "sink.commit.interval", "sink.parallelism",
        headerPrefix, attributePrefix,
    ]).union(BackupOptions.keys).union(BatchLimits.keys).union(RetryPolicy.keys(retryPrefix))

    init(_ table: TableDescriptor) throws {
        let options = TableOptions(table)
        var client = HTTPEndpointClient.Options(url: try options.require("url"))
        do { _ = try HTTPEndpointClient(client) } catch let error as StreamError { throw options.error("url", "is no HTTP address", fix: error.fix) }
        client.form = try options.choice("request-format", EndpointForm.allCases.map(\.rawValue)).flatMap { EndpointForm(rawValue: $0) } ?? .ndjson
        func prefixed(_ prefix: String) -> [(String, String)] {
            table.options.filter { $0.key.hasPrefix(prefix) }.sorted { $0.key < $1.key }.map { (String($0.key.dropFirst(prefix.count)), $0.value) }
        }
        client.headers = prefixed(Self.headerPrefix)
        client.commonAttributes = prefixed(Self.attributePrefix)
        client.accessKey = options.string("access-key")
        if client.form != .firehose, let key = ["access-key"].first(where: options.has) ?? client.commonAttributes.first.map({ Self.attributePrefix + $0.0 }) {
            throw options.error(key, "is sent only with 'request-format' = 'firehose'", fix: "leave it out, or use 'headers.<name>'")
        }
        client.isGzip = try options.choice("content-encoding", ["none", "gzip"]) == "gzip"
        client.timeout = Double(try options.milliseconds("timeout") ?? 35_000) / 1_000
        client.retry = try RetryPolicy(options, prefix: Self.retryPrefix)
        self.client = client
        batch = try BatchLimits(options, actions: 500, bytes: 1 << 20)
        backup = try BackupOptions(options)
        commitInterval = try options.duration("sink.commit.interval") ?? (backup == nil ? nil : .seconds(1))
        if commitInterval == .zero { throw options.error("sink.commit.interval", "is not positive") }
        sinkParallelism = try options.int("sink.parallelism", in: 1...1_024)
        var own = table
        own.options["format"] = table.options["format"] ?? "json"
        self.table = own
        if client.form == .jsonArray, own.options["format"]?.lowercased() != "json" { throw options.error("format", "is no JSON, of which an array could be made", fix: "use 'json'") }
        try FormatFactory.validate(own)
        _ = try FormatFactory.encoder(for: own)
    }
}

struct HTTPPostSink: TableSink {
    let options: HTTPPostOptions
    let host: StreamCore.Host

    var maxParallelism: Int? { options.sinkParallelism }
    var acceptsChanges: Bool { (try? FormatFactory.format(of: options.table).producesChanges) ?? false }
    var commitInterval: Duration? { options.commitInterval }

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        try HTTPPostWriter(options, context, encoder: FormatFactory.encoder(for: options.table), host)
    }

    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? {
        try options.backup.map { try BackupCommitter($0.directory, context: context, host: host) }
    }
}

final class HTTPPostWriter: SinkWriter {
    private let options: HTTPPostOptions
    private let encoder: any RecordEncoder
    private let client: HTTPEndpointClient
    private let metrics: OperatorMetrics
    private let host: StreamCore.Host
    private let failed: BackupWriter?
    private let all: BackupWriter?
    private var bytes = EncodedBytes(capacity: 1 << 16)
    private var ends: [Int] = []
    private var pending: [[UInt8]] = []
    private var pendingBytes = 0
    private var firstPending: ContinuousClock.Instant?

    init(_ options: HTTPPostOptions, _ context: SinkContext, encoder: any RecordEncoder, _ host: StreamCore.Host) throws {
        self.options = options
        self.encoder = encoder
        self.host = host
        metrics = context.metrics
        client = try HTTPEndpointClient(options.client)
        failed = options.backup.map { BackupWriter($0.directory, kind: "failed", context: context, host: host) }
        all = options.backup?.mode == .all ? BackupWriter(options.backup!.directory, kind: "records", context: context, host: host) : nil
    }

    func write(_ batch: Batch) throws {
        bytes.removeAll()
        ends.removeAll(keepingCapacity: true)
        try encoder.encode(batch, into: &bytes, ends: &ends)
        var start = 0
        for end in ends {
            let record = Array(bytes.bytes[start..<end])
            start = end
            try all?.add(record)
            pending.append(record)
            pendingBytes += record.count
            let now = ContinuousClock.now
            if firstPending == nil { firstPending = now }
            if pending.count >= options.batch.actionsMax || pendingBytes >= options.batch.bytesMax || now - firstPending! >= options.batch.interval { try flush() }
        }
    }

    private func flush() throws {
        guard !pending.isEmpty else { return }
        let before = client.requests
        let failure = try client.send(pending, requestID: host.uuid(), timestamp: host.now())
        metrics.addToGauge("requests", Int64(client.requests - before))
        metrics.bytesOut.add(pendingBytes)
        if let failure {
            metrics.addToGauge("records-failed", Int64(pending.count))
            guard let failed else {
                throw StreamError(.io, "table \(options.table.name): \(options.client.url) did not take \(pending.count) records after \(failure.attempts) tries: \(failure.reason)",
                                  fix: "see that the endpoint is up, or put such records aside with 'sink.backup.path'")
            }
            for record in pending { try failed.add(Self.line(record, failure, now: host.now())) }
        }
        pending.removeAll(keepingCapacity: true)
        (pendingBytes, firstPending) = (0, nil)
    }

    /// One line of the backup.
    static func line(_ record: [UInt8], _ failure: BulkFailure, now: Int64) -> [UInt8] {
        var out = Array("{\"time\":\"\(DateTimeText.timestamp(now, precision: 3).replacing(" ", with: "T"))Z\",\"status\":\(failure.status),\"error_type\":".utf8)
        JSONText.append(failure.type, to: &out)
        out += ",\"reason\":".utf8
        JSONText.append(failure.reason, to: &out)
        return out + Array(",\"attempts\":\(failure.attempts),\"data\":\"\(Data(record).base64EncodedString())\"}".utf8)
    }

    func idle() throws { try flush() }

    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        try flush()
        return try [failed?.finish(checkpoint), all?.finish(checkpoint)].compactMap { $0 }
    }

    func finish() throws { try flush() }

    func abort() {
        pending = []
        failed?.abandon()
        all?.abandon()
    }

    func close() throws { abort() }
}
