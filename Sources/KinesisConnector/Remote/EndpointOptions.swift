import AWSProtocol
import Foundation
import StreamCore

/// Options of a stream behind the Kinesis API: where it is, who asks, and how it is read and written. Names are those of both
/// generations of Flink's connectors.
struct EndpointOptions: Sendable {
    /// How a shard is read.
    enum ReaderType: Hashable, Sendable {
        /// GetRecords again and again.
        case polling
        /// SubscribeToShard: records are pushed as they come.
        case fanOut
    }

    /// Who makes the consumer of enhanced fan-out, and takes it away.
    enum ConsumerLifecycle: Hashable, Sendable {
        /// Registered when a job starts, and removed at its end.
        case job
        /// Registered when it is missing, and left.
        case lasting
        /// Made by others.
        case external
    }

    /// Times of retries, which grow by `factor` with each failure in a row.
    struct Backoff: Sendable {
        var base: Double
        var most: Double
        var factor: Double

        /// Seconds before the next try, after so many failures; half of it is chance, so that many readers do not come together.
        func seconds(after failures: Int) -> Double {
            let full = min(most, base * pow(factor, Double(min(failures - 1, 60))))
            return full / 2 + Double.random(in: 0...(full / 2))
        }
    }

    let stream: String
    /// The stream's ARN, when it is given.
    let arn: String?
    let url: URL
    /// The endpoint is the cloud's, whose limits are known.
    let isCloud: Bool
    let region: String
    let credentials: CredentialSource
    let reader: ReaderType
    let consumerName: String?
    let consumerARN: String?
    let lifecycle: ConsumerLifecycle
    /// Records asked for in one GetRecords.
    let recordsMax: Int
    /// Seconds between two GetRecords of a shard, and after one that gave nothing.
    let interval: Double, idleInterval: Double
    /// Seconds that an answer may take, and connections that are kept.
    let readTimeout: Double, connectionsMax: Int
    let readBackoff: Backoff
    let subscribeBackoff: Backoff
    /// Failures of one kind of request in a row that end the job; nil = it goes on trying, and warns.
    let retriesMax: Int?
    let sink: SinkOptions

    struct SinkOptions: Sendable {
        var batchMax: Int
        var inFlightMax: Int
        var bufferedMax: Int
        var batchBytes: Int
        var timeout: Double
        var failsOnError: Bool
        /// A request holds at most one record of a key.
        var keepsOrder: Bool
    }

    private static let own: Set<String> = [
        "stream.arn", "aws.endpoint", "aws.trust.all.certificates", "aws.http.protocol.version", "aws.http-client.max-concurrency", "aws.http-client.read-timeout",
        "sink.http-client.protocol.version", "sink.http-client.max-concurrency", "sink.http-client.read-timeout",
    ]
    private static let reading: Set<String> = [
        "source.reader.type", "scan.stream.recordpublisher", "source.efo.consumer.name", "scan.stream.efo.consumername", "scan.stream.efo.consumerarn",
        "source.efo.lifecycle", "scan.stream.efo.registration", "scan.shard.getrecords.maxrecordcount", "source.shard.get-records.max-record-count",
        "scan.shard.getrecords.intervalmillis", "source.shard.get-records.interval", "source.shard.get-records.idle-source-interval", "scan.shard.getrecords.maxretries", "scan.shard.getrecords.backoff.base",
        "scan.shard.getrecords.backoff.max", "scan.shard.getrecords.backoff.expconst", "scan.shard.subscribetoshard.maxretries",
        "scan.shard.subscribetoshard.backoff.base", "scan.shard.subscribetoshard.backoff.max", "scan.shard.subscribetoshard.backoff.expconst",
    ]
    private static let writing: Set<String> = [
        "sink.batch.max-size", "sink.requests.max-inflight", "sink.requests.max-buffered", "sink.flush-buffer.size", "sink.flush-buffer.timeout",
        "sink.fail-on-error", "sink.order-per-key",
    ]
    static let keys = own.union(reading).union(writing).union(CredentialSource.keys)

    /// Options that say nothing to the built-in log are refused where they would change what a user gets; those that only tune are
    /// let through, so that a script for the cloud runs at home.
    static func refuseForLog(_ options: TableOptions) throws {
        for key in ["source.efo.consumer.name", "scan.stream.efo.consumername", "sink.fail-on-error"] where options.has(key) {
            _ = key == "sink.fail-on-error" ? try options.bool(key).map(String.init) : try options.require(key)
        }
    }

    init(_ options: TableOptions) throws {
        let parsed = try options.string("stream.arn").map { try Self.parse(arn: $0, options) }
        if let parsed, let name = options.string("stream"), name != parsed.stream {
            throw options.error("stream", "is not the stream that 'stream.arn' names, \(parsed.stream)", fix: "keep one of the two options")
        }
        stream = try parsed?.stream ?? options.require("stream")
        arn = options.string("stream.arn")
        let environment = ProcessInfo.processInfo.environment
        let given = options.string("aws.region") ?? parsed?.region
        if let parsed, let region = options.string("aws.region"), region != parsed.region {
            throw options.error("aws.region", "is not the region of 'stream.arn', \(parsed.region)", fix: "leave the option out")
        }
        region = given ?? environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? AWSRequest.defaultRegion
        let text = options.string("aws.endpoint") ?? "https://kinesis.\(region).amazonaws.com\(region.hasPrefix("cn-") ? ".cn" : "")"
        guard let url = URL(string: text), let scheme = url.scheme?.lowercased(), scheme == "http" || scheme == "https", let host = url.host, !host.isEmpty else {
            throw options.error("aws.endpoint", "is not an address", fix: "write it as in 'http://127.0.0.1:4566' or 'https://kinesis.eu-west-1.amazonaws.com'")
        }
        self.url = url
        isCloud = host.hasSuffix(".amazonaws.com") || host.hasSuffix(".amazonaws.com.cn")
        if try options.bool("aws.trust.all.certificates") == true, scheme == "https" {
            throw options.error("aws.trust.all.certificates", "is not possible here: certificates are always checked",
                                fix: "add the endpoint's certificate authority to those of the system, or use http on a network that you trust")
        }
        credentials = try CredentialSource(options)
        let type = try options.either("source.reader.type", "scan.stream.recordpublisher") { try options.choice($0, ["POLLING", "EFO"]) }
        reader = type == "EFO" ? .fanOut : .polling
        consumerName = try options.either("source.efo.consumer.name", "scan.stream.efo.consumername") { try options.has($0) ? options.require($0) : nil }
        consumerARN = options.string("scan.stream.efo.consumerarn")
        lifecycle = try Self.lifecycle(options)
        if reader == .fanOut, consumerName == nil, consumerARN == nil {
            throw options.error(options.has("source.reader.type") ? "source.reader.type" : "scan.stream.recordpublisher", "needs the name of a consumer",
                                fix: "add 'source.efo.consumer.name' = '...'")
        }
        recordsMax = try options.either("source.shard.get-records.max-record-count", "scan.shard.getrecords.maxrecordcount") { try options.int($0, in: 1...10_000) } ?? 10_000
        interval = try options.either("source.shard.get-records.interval", "scan.shard.getrecords.intervalmillis") { try options.milliseconds($0) }.map { Double($0) / 1_000 } ?? 0.2
        idleInterval = try options.milliseconds("source.shard.get-records.idle-source-interval").map { Double($0) / 1_000 } ?? interval
        readTimeout = try options.either("aws.http-client.read-timeout", "sink.http-client.read-timeout") { try options.milliseconds($0) }.map { max(1, Double($0) / 1_000) } ?? 30
        connectionsMax = try options.either("aws.http-client.max-concurrency", "sink.http-client.max-concurrency") { try options.int($0, in: 1...10_000) } ?? 256
        for key in ["aws.http.protocol.version", "sink.http-client.protocol.version"] where try options.choice(key, ["HTTP1_1", "HTTP2"]) == "HTTP2" {
            throw options.error(key, "is not supported here", fix: "leave the option out: HTTP/1.1 is what endpoints speak as well")
        }
        readBackoff = try Self.backoff(options, "scan.shard.getrecords.backoff", base: 300, most: 1_000)
        subscribeBackoff = try Self.backoff(options, "scan.shard.subscribetoshard.backoff", base: 1_000, most: 2_000)
        retriesMax = try options.int(reader == .fanOut ? "scan.shard.subscribetoshard.maxretries" : "scan.shard.getrecords.maxretries", in: 0...Int.max)
        let batchMax = try options.int("sink.batch.max-size", in: 1...500) ?? 500
        sink = SinkOptions(
            batchMax: batchMax, inFlightMax: try options.int("sink.requests.max-inflight", in: 1...64) ?? 8,
            bufferedMax: try options.int("sink.requests.max-buffered", in: 1...10_000_000) ?? 10_000,
            batchBytes: min(try options.bytes("sink.flush-buffer.size") ?? 5 << 20, 5 << 20),
            timeout: try options.milliseconds("sink.flush-buffer.timeout").map { Double($0) / 1_000 } ?? 5, failsOnError: try options.bool("sink.fail-on-error") ?? false,
            keepsOrder: try options.bool("sink.order-per-key") ?? false)
        if sink.bufferedMax < batchMax {
            throw options.error(options.has("sink.requests.max-buffered") ? "sink.requests.max-buffered" : "sink.batch.max-size",
                                "leaves the buffer (\(sink.bufferedMax) records) smaller than a batch (\(batchMax))", fix: "make 'sink.requests.max-buffered' at least as large")
        }
    }

    private static func parse(arn text: String, _ options: TableOptions) throws -> (stream: String, region: String) {
        let parts = text.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] == "arn", parts[2] == "kinesis", !parts[3].isEmpty, parts[5].hasPrefix("stream/"), parts[5].count > 7, !parts[5].dropFirst(7).contains("/")
        else {
            throw options.error("stream.arn", "is not the ARN of a stream", fix: "write it as in 'arn:aws:kinesis:eu-west-1:123456789012:stream/orders'")
        }
        return (String(parts[5].dropFirst(7)), String(parts[3]))
    }

    private static func lifecycle(_ options: TableOptions) throws -> ConsumerLifecycle {
        if options.has("source.efo.lifecycle") {
            return try options.choice("source.efo.lifecycle", ["JOB_MANAGED", "SELF_MANAGED"]) == "SELF_MANAGED" ? .external : .job
        }
        switch try options.choice("scan.stream.efo.registration", ["LAZY", "EAGER", "NONE"]) {
        case "NONE": return .external
        case "LAZY", "EAGER": return .lasting
        default: return options.has("scan.stream.efo.consumerarn") ? .external : .job
        }
    }

    private static func backoff(_ options: TableOptions, _ prefix: String, base: Int64, most: Int64) throws -> Backoff {
        var factor = 1.5
        if let text = options.string("\(prefix).expconst") {
            guard let value = Double(text), value >= 1, value <= 10 else { throw options.error("\(prefix).expconst", "is not a number from 1 to 10") }
            factor = value
        }
        let result = Backoff(base: Double(try options.milliseconds("\(prefix).base") ?? base) / 1_000, most: Double(try options.milliseconds("\(prefix).max") ?? most) / 1_000,
                             factor: factor)
        if result.most < result.base, options.has("\(prefix).max") { throw options.error("\(prefix).max", "is less than '\(prefix).base'") }
        return result
    }
}
