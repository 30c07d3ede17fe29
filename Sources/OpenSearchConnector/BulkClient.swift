import Foundation
import StreamCore

/// One line or two of a bulk request.
public struct BulkAction: Sendable {
    public enum Kind: String, Sendable {
        /// Adds a document, or replaces the one with the same id.
        case index
        /// Adds a document; one with the same id is left as it is.
        case create
        case delete
    }

    public var kind: Kind
    public var index: String
    /// nil = the service gives one.
    public var id: String?
    /// A JSON object in one line; not used by `delete`.
    public var document: [UInt8]

    public init(_ kind: Kind, index: String, id: String?, document: [UInt8]) {
        (self.kind, self.index, self.id, self.document) = (kind, index, id, document)
    }
}

/// Why a document is not in its index.
public struct BulkFailure: Hashable, Sendable {
    /// Of the document, or of the whole request; 0 when the service did not answer.
    public var status: Int
    /// As the service names it: `mapper_parsing_exception`.
    public var type: String
    public var reason: String
    /// How often it was sent.
    public var attempts: Int
}

/// Sends actions to the bulk interface of OpenSearch or Elasticsearch. One thread at a time.
public final class BulkClient {
    public struct Options: Sendable {
        /// `http://host:9200`; the next is taken when one does not answer.
        public var hosts: [String] = []
        /// Put between host and `/_bulk`: `/search`.
        public var pathPrefix = ""
        public var username: String?
        public var password: String?
        /// Seconds for one request.
        public var timeout = 35.0
        public var retry = RetryPolicy()

        public init(hosts: [String]) { self.hosts = hosts }
    }

    private let options: Options
    private let client: EndpointClient
    private let sleep: (Int64) -> Void
    /// Requests made, and how often documents were sent again.
    public private(set) var requests = 0, resent = 0

    public init(_ options: Options) {
        self.options = options
        var headers = [("Content-Type", "application/x-ndjson"), ("Accept", "application/json")]
        if let username = options.username {
            headers.append(("Authorization", "Basic " + Data("\(username):\(options.password ?? "")".utf8).base64EncodedString()))
        }
        client = EndpointClient(servers: options.hosts, headers: headers, timeout: options.timeout)
        sleep = { Thread.sleep(forTimeInterval: Double($0) / 1_000) }
    }

    /// Carries the actions out, in order; of those that the service could not take for now (429, 5xx) again, as the retry policy says.
    ///
    /// - Returns: for each action nil when it is done, else why it is not.
    /// - Throws: when no server answers after all retries, or the request as a whole is refused.
    public func send(_ actions: [BulkAction]) throws -> [BulkFailure?] {
        try send(actions, request: refused)
    }

    /// As ``send(_:)``, but what makes a whole request fail counts against each of its documents.
    public func sendEach(_ actions: [BulkAction]) throws -> [BulkFailure?] {
        try send(actions) { _ in }
    }

    private func refused(_ failure: BulkFailure) throws {
        let tries = failure.attempts == 1 ? "" : ", also after \(failure.attempts - 1) \(failure.attempts == 2 ? "retry" : "retries")"
        let fix = switch failure.status {
        case 401, 403: "check 'username' and 'password', and what the user may do"
        case 404: "check 'hosts' and 'connection.path-prefix'"
        default: "see that the service is up, or raise 'sink.bulk-flush.backoff.max-retries' or 'socket.timeout'"
        }
        throw StreamError(failure.status == 0 || failure.status >= 429 ? .io : .runtime,
                          "bulk request to \(client.server): \(failure.reason)\(tries)", fix: fix)
    }

    private func send(_ actions: [BulkAction], request whole: (BulkFailure) throws -> Void) throws -> [BulkFailure?] {
        var failures = [BulkFailure?](repeating: nil, count: actions.count)
        var open = Array(actions.indices), attempt = 1
        let began = Clock.monotonicNanoseconds()
        while !open.isEmpty {
            var again: [Int] = []
            let answer = try client.post(options.pathPrefix + "/_bulk?filter_path=errors,items.*.status,items.*.error", Self.body(open.lazy.map { actions[$0] }))
            requests += 1
            let isPassing = answer.status == 0 || answer.status == 408 || answer.status == 429 || answer.status >= 500
            let elapsed = Int64((Clock.monotonicNanoseconds() - began) / 1_000_000)
            let pause = options.retry.pause(after: attempt, elapsed: elapsed)
            if (200..<300).contains(answer.status) {
                for (place, failure) in zip(open, try Self.failures(answer.body, open.count)) {
                    guard var failure else { continue }
                    if Self.isDone(actions[place].kind, failure.status) { continue }
                    failure.attempts = attempt
                    failures[place] = failure
                    if pause != nil, failure.status == 429 || failure.status >= 500 { again.append(place) }
                }
            } else if answer.status == 413, open.count > 1 {
                // In halves: a single document that is too large is then found.
                let half = open.count / 2
                for part in [open[..<half], open[half...]] {
                    for (place, failure) in zip(part, try send(part.map { actions[$0] }, request: whole)) { failures[place] = failure }
                }
            } else {
                let failure = BulkFailure(status: answer.status, type: answer.status == 0 ? "connection" : "http_\(answer.status)",
                                          reason: Self.shown(answer), attempts: attempt)
                for place in open { failures[place] = failure }
                if isPassing, pause != nil {
                    again = open
                } else if answer.status != 413 {
                    try whole(failure)
                }
            }
            guard let pause, !again.isEmpty else { break }
            for place in again { failures[place] = nil }
            resent += again.count
            open = again
            sleep(pause)
            attempt += 1
        }
        return failures
    }

    /// A document that is gone already need not be deleted, one that is there already not be created.
    private static func isDone(_ kind: BulkAction.Kind, _ status: Int) -> Bool {
        kind == .delete && status == 404 || kind == .create && status == 409
    }

    private static func shown(_ answer: EndpointAnswer) -> String {
        guard !answer.body.isEmpty else { return answer.problem }
        return answer.problem + ": " + String(decoding: answer.body.prefix(300), as: UTF8.self)
    }

    private static func body(_ actions: some Sequence<BulkAction>) -> [UInt8] {
        var out: [UInt8] = []
        for action in actions {
            out += "{\"\(action.kind.rawValue)\":{\"_index\":".utf8
            JSONText.append(action.index, to: &out)
            if let id = action.id {
                out += ",\"_id\":".utf8
                JSONText.append(id, to: &out)
            }
            out += "}}\n".utf8
            guard action.kind != .delete else { continue }
            out += action.document
            out.append(10)
        }
        return out
    }

    /// What the answer says of each action.
    private static func failures(_ body: [UInt8], _ count: Int) throws -> [BulkFailure?] {
        guard let answer = try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] else {
            throw StreamError(.runtime, "bulk request: the answer is no JSON object: \(String(decoding: body.prefix(200), as: UTF8.self))",
                              fix: "check that 'hosts' are OpenSearch servers")
        }
        if answer["errors"] as? Bool == false { return Array(repeating: nil, count: count) }
        guard let items = answer["items"] as? [[String: Any]], items.count == count else {
            throw StreamError(.runtime, "bulk request: the answer does not tell of \(count) actions: \(String(decoding: body.prefix(200), as: UTF8.self))",
                              fix: "check that 'hosts' are OpenSearch servers")
        }
        return items.map { item in
            guard let result = item.values.first as? [String: Any], let status = result["status"] as? Int else {
                return BulkFailure(status: 500, type: "unknown", reason: "the answer does not tell", attempts: 1)
            }
            if (200..<300).contains(status) { return nil }
            let error = result["error"] as? [String: Any]
            var reason = error?["reason"] as? String ?? result["error"] as? String ?? "status \(status)"
            if let cause = (error?["caused_by"] as? [String: Any])?["reason"] as? String { reason += ": " + cause }
            return BulkFailure(status: status, type: error?["type"] as? String ?? "status_\(status)", reason: reason, attempts: 1)
        }
    }
}
