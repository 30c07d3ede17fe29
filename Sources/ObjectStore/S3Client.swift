import AWSProtocol
import Foundation
import StreamCore
import Synchronization

/// A client of S3 and of stores that speak its protocol, for one bucket. Calls block; any number of threads may call.
///
/// Requests are tried again with growing pauses when the store is busy, fails or does not answer.
package final class S3Client: Sendable {
    package let bucket: String
    package let options: ObjectStoreOptions
    let transport: HTTPTransport
    private let key = Mutex<(credentials: AWSCredentials, until: UInt64)?>(nil)
    /// The store's clock against ours, milliseconds; small differences count as none.
    private let skew = Atomic<Int64>(0)
    private let sent = Atomic<Int>(0)

    /// A key is looked for again after this time (nanoseconds), so that files may be changed under a job.
    private static let keyLifetime: UInt64 = 60_000_000_000

    package init(bucket: String, options: ObjectStoreOptions) throws {
        (self.bucket, self.options) = (bucket, options)
        let isSecure = options.endpoint.scheme == "https", host = options.endpoint.host!
        transport = HTTPTransport(host: (options.isPathStyle ? "" : bucket + ".") + host, port: options.endpoint.port ?? (isSecure ? 443 : 80),
                                  security: isSecure ? try TLSSettings(authorities: options.authorities) : nil, timeout: options.timeout)
    }

    /// Requests sent so far, repetitions among them.
    package var requests: Int { sent.load(ordering: .relaxed) }

    /// Milliseconds since 1970-01-01 by the store's clock, as far as its answers tell.
    package func now(_ here: Int64) -> Int64 { here + skew.load(ordering: .relaxed) }

    // MARK: Requests

    struct Request {
        var method: String
        /// nil = the bucket itself.
        var key: String?
        var query: [(name: String, value: String)] = []
        var headers: [(name: String, value: String)] = []
        var body: [UInt8]?
        /// `read s3://bucket/key`, for errors.
        var doing: String
        /// Milliseconds since 1970-01-01 by the store's clock: later than this the request must not be carried out, whatever holds it up.
        var deadline: Int64?
    }

    /// A request whose first try is under way.
    struct Call {
        let request: Request
        let exchange: HTTPExchange
    }

    func place(_ key: String) -> String { "s3://\(bucket)/\(key)" }

    func start(_ request: Request) throws -> Call { Call(request: request, exchange: try exchange(request)) }

    /// Waits for the answer of a call and repeats it where that may help.
    ///
    /// - Throws: ``S3Failure`` for what the store refuses for good and the caller may expect, else ``StreamError``.
    func finish(_ call: Call) throws -> HTTPAnswer {
        var answer = call.exchange.wait(), attempt = 1
        while true {
            noteDate(answer)
            if (200..<300).contains(answer.status) { return answer }
            let failure = S3Failure(answer)
            if failure.isMissing || failure.isPreconditionFailed { throw failure }
            if failure.status == 403 { key.withLock { $0 = nil } }
            guard failure.isTransient, attempt < options.attempts else {
                throw failure.error(call.request.doing, endpoint: options.endpoint, region: options.region, attempts: attempt)
            }
            Thread.sleep(forTimeInterval: Self.pause(after: attempt))
            attempt += 1
            answer = try exchange(call.request).wait()
        }
    }

    func send(_ request: Request) throws -> HTTPAnswer { try finish(start(request)) }

    /// Seconds: 0.1 doubled each time up to 5, and a random part so that many writers do not come back at once.
    static func pause(after attempt: Int) -> Double { min(5, 0.1 * Double(1 << min(attempt - 1, 10))) * .random(in: 0.5...1) }

    private func credentials() throws -> AWSCredentials {
        let now = Clock.monotonicNanoseconds()
        if let known = key.withLock({ $0 }), known.until > now { return known.credentials }
        let found = try options.credentials.resolve()
        key.withLock { $0 = (found, now + Self.keyLifetime) }
        return found
    }

    private func exchange(_ request: Request) throws -> HTTPExchange {
        // The whole seconds that are left; a signature cannot say less.
        let lifetime = request.deadline.map { ($0 - now(Clock.milliseconds())) / 1_000 }
        if let lifetime, lifetime < 1 {
            throw StreamError(.conflict, "cannot \(request.doing): the lock that it needs has run out meanwhile", fix: "start the job again")
        }
        let scheme = options.endpoint.scheme!, port = options.endpoint.port.map { ":\($0)" } ?? ""
        let host = (options.isPathStyle ? "" : bucket + ".") + options.endpoint.host! + port
        var target = options.isPathStyle ? "/" + Self.encoded(bucket) : ""
        if let key = request.key { target += "/" + Self.encoded(key, slash: true) } else if target.isEmpty { target = "/" }
        let query = request.query.map { Self.encoded($0.name) + "=" + Self.encoded($0.value) }.joined(separator: "&")
        if !query.isEmpty { target += "?" + query }
        // TLS guards the body already.
        let hash = scheme == "https" && (request.body?.count ?? 0) > 65_536 ? "UNSIGNED-PAYLOAD" : Digest.hexadecimal(Digest.sha256(request.body ?? []))
        let signed = [(name: "Host", value: host), (name: "x-amz-content-sha256", value: hash)] + request.headers.filter { $0.name.hasPrefix("x-amz-") }
        var signable = SignableRequest(method: request.method, target: target, headers: signed, body: [])
        (signable.payloadHash, signable.signsPathAsSent) = (hash, true)
        let seconds = (Clock.milliseconds() + skew.load(ordering: .relaxed)) / 1_000
        sent.add(1, ordering: .relaxed)
        if let lifetime {
            signable.headers.removeAll { $0.name == "x-amz-content-sha256" }
            signable.payloadHash = "UNSIGNED-PAYLOAD"
            let target = SignatureV4.presigned(signable, try credentials(), region: options.region, service: "s3", at: seconds, lifetime: lifetime)
            let rest = request.headers.filter { !$0.name.hasPrefix("x-amz-") } + [(name: "Content-Type", value: "application/octet-stream")]
            return transport.start(request.method, target, headers: signable.headers + rest, body: request.body)
        }
        let added = SignatureV4.sign(signable, try credentials(), region: options.region, service: "s3", at: seconds)
        var headers = signed + request.headers.filter { !$0.name.hasPrefix("x-amz-") } + added
        headers.append((name: "Accept-Encoding", value: "identity"))
        if request.body != nil { headers.append((name: "Content-Type", value: "application/octet-stream")) }
        return transport.start(request.method, target, headers: headers, body: request.body)
    }

    private func noteDate(_ answer: HTTPAnswer) {
        guard let text = answer.headers["date"], let date = HTTPDate.seconds(text) else { return }
        let difference = date * 1_000 + 500 - Clock.milliseconds()
        skew.store(abs(difference) < 3_000 ? 0 : difference, ordering: .relaxed)
    }

    /// Letters, digits and `-._~` stay.
    static func encoded(_ text: String, slash: Bool = false) -> String {
        var out: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: out.append(byte)
            case 0x2F where slash: out.append(byte)
            default: out += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    static func decoded(_ text: String) -> String {
        guard text.utf8.contains(0x25) else { return text }
        var out: [UInt8] = [], rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == 0x25, rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
                out.append(value)
                rest = rest.dropFirst(2)
            } else {
                out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
