import AWSProtocol
import Foundation
import StreamCore
import Synchronization

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// Sends signed requests to an endpoint, over connections that are kept. Any number of threads; each waits for its answer.
final class EndpointConnection: Sendable {
    let options: EndpointOptions
    let table: String
    private let session: URLSession
    private let key = Mutex<(credentials: AWSCredentials, until: UInt64)?>(nil)
    /// The endpoint's clock against ours, milliseconds; small differences count as none.
    private let skew = Atomic<Int64>(0)

    private static let target = "Kinesis_20131202."
    private static let service = "kinesis"
    /// A key is looked for again after this time (nanoseconds), so that files may be changed under a job.
    private static let keyLifetime: UInt64 = 60_000_000_000
    /// Seconds that a start may take until the endpoint answers.
    private static let startLimit = 30.0

    init(_ options: EndpointOptions, table: String) {
        (self.options, self.table) = (options, table)
        session = URLSession(configuration: Self.configuration(options.readTimeout, connections: options.connectionsMax))
    }

    deinit { session.finishTasksAndInvalidate() }

    static func configuration(_ timeout: Double, connections: Int) -> URLSessionConfiguration {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = timeout
        configuration.httpMaximumConnectionsPerHost = connections
        configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
        configuration.httpShouldSetCookies = false
        return configuration
    }

    /// Milliseconds since 1970-01-01 by the endpoint's clock, as far as its answers tell.
    var now: Int64 { Clock.milliseconds() + skew.load(ordering: .relaxed) }

    // MARK: Requests

    private func credentials() throws -> AWSCredentials {
        let now = Clock.monotonicNanoseconds()
        if let known = key.withLock({ $0 }), known.until > now { return known.credentials }
        let found = try options.credentials.resolve()
        key.withLock { $0 = (found, now + Self.keyLifetime) }
        return found
    }

    /// - Throws: a `.validate` error when there is no key.
    func request(_ operation: String, _ body: [UInt8]) throws -> URLRequest {
        var request = URLRequest(url: options.url)
        request.httpMethod = "POST"
        request.httpBody = Data(body)
        let path = options.url.path.isEmpty ? "/" : options.url.path
        let host = options.url.host! + (options.url.port.map { ":\($0)" } ?? "")
        let headers = [(name: "Host", value: host), (name: "Content-Type", value: "application/x-amz-json-1.1"), (name: "X-Amz-Target", value: Self.target + operation)]
        let seconds = (Clock.milliseconds() + skew.load(ordering: .relaxed)) / 1_000
        let added = SignatureV4.sign(SignableRequest(target: path, headers: headers, body: body), try credentials(), region: options.region, service: Self.service, at: seconds)
        for (name, value) in headers.dropFirst() + added { request.setValue(value, forHTTPHeaderField: name) }
        return request
    }

    /// The members of the answer. Blocks until it comes.
    ///
    /// - Throws: ``KinesisFailure``, or a `.validate` error when there is no key.
    func call(_ operation: String, _ body: [UInt8]) throws -> AWSValue {
        let request = try request(operation, body)
        let result = Mutex<Result<(Int, String?, String?, [UInt8]), KinesisFailure>?>(nil), done = DispatchSemaphore(value: 0)
        let task = session.dataTask(with: request) { data, response, error in
            let http = response as? HTTPURLResponse
            let answer: Result<(Int, String?, String?, [UInt8]), KinesisFailure> = if let http {
                .success((http.statusCode, http.value(forHTTPHeaderField: "x-amzn-ErrorType"), http.value(forHTTPHeaderField: "Date"), Array(data ?? Data())))
            } else {
                .failure(KinesisFailure(error.map(Self.text) ?? "no answer"))
            }
            result.withLock { $0 = answer }
            done.signal()
        }
        task.resume()
        done.wait()
        let (status, header, date, bytes) = try result.withLock { $0! }.get()
        noteDate(date)
        guard status == 200 else {
            let failure = KinesisFailure(status: status, header: header, body: bytes)
            if failure.kind == .refused { key.withLock { $0 = nil } }
            throw failure
        }
        do { return bytes.isEmpty ? .map([:]) : try AWSJSON.parse(bytes) } catch { throw KinesisFailure("the answer to \(operation) is not JSON") }
    }

    func call(_ operation: String, _ input: AWSValue) throws -> AWSValue { try call(operation, AWSJSON.write(input)) }

    static func text(_ error: any Error) -> String {
        let error = error as NSError
        return error.domain == NSURLErrorDomain && error.code == NSURLErrorTimedOut ? "no answer came in time" : error.localizedDescription
    }

    private func noteDate(_ text: String?) {
        guard let text, let date = Self.date(text) else { return }
        let difference = date * 1_000 + 500 - Clock.milliseconds()
        skew.store(abs(difference) < 3_000 ? 0 : difference, ordering: .relaxed)
    }

    /// Seconds since 1970-01-01 of `Sat, 21 Nov 2026 17:06:42 GMT`.
    static func date(_ text: String) -> Int64? {
        let parts = text.split { $0 == " " || $0 == ":" }
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        guard parts.count >= 7, let day = Int64(parts[1]), let month = months.firstIndex(of: String(parts[2])), let year = Int64(parts[3]), let hour = Int64(parts[4]),
              let minute = Int64(parts[5]), let second = Int64(parts[6]) else { return nil }
        // Days of the civil calendar, in years that begin in March.
        let m = Int64(month) + 1, y = m <= 2 ? year - 1 : year, era = y / 400, inEra = y - era * 400
        let dayOfYear = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + day - 1
        let days = era * 146_097 + inEra * 365 + inEra / 4 - inEra / 100 + dayOfYear - 719_468
        return ((days * 24 + hour) * 60 + minute) * 60 + second
    }

    // MARK: Questions at a start

    /// As `call`, tried again for a while when that may help.
    ///
    /// - Throws: ``KinesisFailure`` for what the service refuses for good; ``StreamError``.
    func ask(_ operation: String, _ input: AWSValue, seconds: Double = startLimit) throws -> AWSValue {
        let end = Clock.monotonicNanoseconds() + UInt64(seconds * 1e9)
        var failures = 0
        while true {
            do { return try call(operation, input) } catch let failure as KinesisFailure {
                failures += 1
                // ResourceInUse is an answer: what it means depends on what was asked.
                guard failure.isRetryable, failure.type != "ResourceInUseException", Clock.monotonicNanoseconds() < end else { throw failure }
                Thread.sleep(forTimeInterval: options.readBackoff.seconds(after: failures))
            }
        }
    }

    func error(_ failure: KinesisFailure, _ doing: String) -> StreamError { options.error(failure, doing, table: table) }

    /// The stream as requests name it.
    var streamMembers: [String: AWSValue] { options.arn.map { ["StreamARN": .string($0)] } ?? ["StreamName": .string(options.stream)] }

    /// Waits until the stream is there and in use; makes it when `shards` says so.
    ///
    /// - Returns: its ARN.
    func openStream(creating shards: Int?) throws -> String {
        let end = Clock.monotonicNanoseconds() + 120_000_000_000
        var created = false
        while true {
            do {
                let summary = try ask("DescribeStreamSummary", .map(streamMembers))["StreamDescriptionSummary"]
                let status = summary?["StreamStatus"]?.string ?? "ACTIVE"
                if status == "ACTIVE" || status == "UPDATING" { return summary?["StreamARN"]?.string ?? options.arn ?? "" }
                guard status == "CREATING", Clock.monotonicNanoseconds() < end else {
                    throw StreamError(.validate, "table \(table): stream \(options.stream) at \(options.url.absoluteString) has status \(status)", fix: "wait until it is ACTIVE, or create it anew")
                }
                Thread.sleep(forTimeInterval: 0.2)
            } catch let failure as KinesisFailure {
                guard failure.kind == .missing, let shards, !created else { throw error(failure, "looking for stream \(options.stream)") }
                created = true
                do { _ = try ask("CreateStream", ["StreamName": .string(options.stream), "ShardCount": .integer(Int64(shards))]) } catch let failure as KinesisFailure {
                    // Another job was first.
                    guard failure.type == "ResourceInUseException" else { throw error(failure, "creating stream \(options.stream)") }
                }
            }
        }
    }

    /// Streams of events have sessions of their own: a delegate belongs to one.
    func subscribe(_ input: AWSValue) throws -> Subscription { Subscription(try request("SubscribeToShard", AWSJSON.write(input))) }
}
