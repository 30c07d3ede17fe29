import GzipCoding
import HTTPServer
import ShardLog
import StreamCore
import StreamFormats
import Synchronization

/// Takes the requests for one table: checks them, and keeps their bodies.
final class Receiver: Sendable {
    let options: ReceiverOptions
    private let spool: Spool
    private let token: [UInt8]?
    private let metrics: OperatorMetrics
    private let host: Host
    private let checks: Checks?
    private let warnings = Mutex(0)

    init(_ options: ReceiverOptions, _ table: TableDescriptor, _ spool: Spool, _ metrics: OperatorMetrics, _ host: Host) throws {
        self.options = options
        self.spool = spool
        self.metrics = metrics
        self.host = host
        token = try options.readToken()
        checks = options.validates ? Checks(table) : nil
    }

    // MARK: Before the body

    /// An answer to a request whose body need not be read; nil = read it. Does not block.
    func refusal(_ request: HTTPRequest) -> HTTPResponse? {
        let refusal = check(request)
        if refusal != nil { metrics.addToGauge("http-refused", 1) }
        return refusal
    }

    private func check(_ request: HTTPRequest) -> HTTPResponse? {
        guard request.method == "POST" || request.method == "PUT" else {
            return .init(405, headers: [("Allow", "POST, PUT"), ("Content-Type", "text/plain; charset=utf-8")], body: Array("use POST or PUT here\n".utf8))
        }
        if let token, !Self.shows(request, token) {
            return .init(401, headers: [("WWW-Authenticate", "Bearer"), ("Content-Type", "text/plain; charset=utf-8")],
                         body: Array("send the token in the header Authorization: Bearer ... or X-Token\n".utf8))
        }
        if let coding = request.headers["content-encoding"]?.lowercased(), !["identity", "gzip", "x-gzip"].contains(coding) {
            return .text(415, "the body is coded as \(coding); send it as it is, or as gzip\n")
        }
        // Packed bytes may become more, not fewer.
        if let length = request.headers["content-length"].flatMap({ Int($0) }), length > options.bodyBytesMax { return tooLarge() }
        if let key = request.headers["idempotency-key"], !(1...255).contains(key.utf8.count) { return .text(400, "an Idempotency-Key has 1 to 255 bytes\n") }
        return busy(adding: 0)
    }

    private func tooLarge() -> HTTPResponse { .text(413, "the body is larger than \(options.bodyBytesMax) bytes; send it in parts\n") }

    private func busy(adding bytes: Int) -> HTTPResponse? {
        let (waiting, _, stored) = spool.backlog
        let problem: String
        if waiting + bytes > options.backlogMax, waiting > 0 {
            problem = "\(waiting) bytes wait to be read; send again later\n"
        } else if stored + bytes > options.spoolBytesMax {
            problem = "\(stored) bytes were received since the last checkpoint of the job; send again later\n"
        } else {
            return nil
        }
        return .init(503, headers: [("Retry-After", "1"), ("Content-Type", "text/plain; charset=utf-8")], body: Array(problem.utf8))
    }

    /// Takes the same time wherever a wrong token differs.
    private static func shows(_ request: HTTPRequest, _ token: [UInt8]) -> Bool {
        var given = request.headers["x-token"]
        if let header = request.headers["authorization"] {
            let parts = header.split(separator: " ", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == "bearer" { given = String(parts[1]).trimmed }
        }
        let bytes = Array((given ?? "").utf8)
        var difference = bytes.count ^ token.count
        for i in token.indices { difference |= Int(token[i] ^ (i < bytes.count ? bytes[i] : ~token[i])) }
        return difference == 0
    }

    // MARK: With the body

    /// Keeps a body and answers; blocks until it is on disk.
    func answer(_ request: HTTPRequest, _ names: [String]) -> HTTPResponse {
        metrics.addToGauge("http-requests", 1)
        let response = take(request, names)
        if response.status >= 300 { metrics.addToGauge("http-refused", 1) }
        return response
    }

    private func take(_ request: HTTPRequest, _ names: [String]) -> HTTPResponse {
        var body = request.body
        if let coding = request.headers["content-encoding"]?.lowercased(), coding != "identity" {
            do { body = try Gzip.unpack(body, limit: options.bodyBytesMax) } catch {
                if case Gzip.Failure.tooLarge = error { return tooLarge() }
                return .text(400, "the body is no gzip: \(error)\n")
            }
        }
        guard body.count <= options.bodyBytesMax else { return tooLarge() }
        var entry = SpoolEntry(received: host.now(), remoteAddress: request.peer, contentType: request.headers["content-type"] ?? "", method: request.method,
                               path: request.path, attributes: zip(options.path.names, names).map { (ReceiverOptions.pathPrefix + $0, $1) })
        for header in options.headers { if let value = request.headers[header] { entry.attributes.append((ReceiverOptions.headerPrefix + header, value)) } }
        do {
            let (entries, count, bytes) = try body.withUnsafeBufferPointer { bytes in
                let records = try options.splitter.ranges(bytes)
                if let large = records.firstIndex(where: { $0.count > ReceiverOptions.recordBytesLimit }) {
                    throw Refusal(response: .text(413, "record \(large + 1) has \(records[large].count) bytes; \(ReceiverOptions.recordBytesLimit) are the limit\n"))
                }
                if let problem = try checks?.problem(records, bytes) { throw Refusal(response: .text(400, problem + "\n")) }
                return (entry.entries(records, of: bytes), records.count, records.reduce(0) { $0 + $1.count })
            }
            if let busy = busy(adding: bytes) { return busy }
            var headers = [("Content-Type", "application/json")]
            if count > 0 {
                switch try spool.append(entries, records: count, bytes: bytes, producer: Self.producer(request)) {
                case .done:
                    metrics.addToGauge("http-bytes", Int64(bytes))
                    metrics.setGauge("http-backlog-bytes", Int64(spool.backlog.bytes))
                case .isKnown: headers.append(("Idempotent-Replayed", "true"))
                }
            }
            return HTTPResponse(200, headers: headers, body: Array("{\"records\":\(count),\"bytes\":\(bytes)}\n".utf8))
        } catch let refusal as Refusal {
            return refusal.response
        } catch let problem as BodySplitter.Problem {
            return .text(400, problem.text + "\n")
        } catch {
            warn("a body sent to \(request.path) cannot be stored: \(error)")
            return .init(503, headers: [("Retry-After", "5"), ("Content-Type", "text/plain; charset=utf-8")], body: Array("the body cannot be stored now; send it again later\n".utf8))
        }
    }

    private struct Refusal: Error { let response: HTTPResponse }

    /// The first time, the 10th, the 100th and so on.
    private func warn(_ text: String) {
        let count = warnings.withLock { count in
            count += 1
            return count
        }
        var power = 1
        while power < count { power *= 10 }
        if power == count { metrics.warn(text) }
    }

    /// A request with a key is the same each time that it comes, under its path.
    private static func producer(_ request: HTTPRequest) -> ProducerSequence? {
        guard let key = request.headers["idempotency-key"] else { return nil }
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325  // FNV-1a, its bits mixed at the end
        for byte in request.path.utf8 + [0] + key.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash ^= hash >> 32
        hash &*= 0xD6E8_FEB8_6659_FD93
        hash ^= hash >> 32
        return ProducerSequence(producer: max(hash, 1), sequence: 1)
    }

    /// Decoders that try bodies before they are taken.
    private final class Checks: @unchecked Sendable {  // SAFETY: `idle` is guarded by `lock`; a decoder is used by the thread that took it
        private let table: TableDescriptor
        private let lock = Mutex(())
        private var idle: [any RecordDecoder] = []

        init(_ table: TableDescriptor) { self.table = table }

        /// What is wrong with the first record that cannot be decoded; nil when all can.
        func problem(_ records: [Range<Int>], _ body: UnsafeBufferPointer<UInt8>) throws -> String? {
            guard !records.isEmpty else { return nil }
            let decoder = try lock.withLock { _ in idle.popLast() } ?? FormatFactory.decoder(for: table, projection: Array(table.schema.indices), metrics: OperatorMetrics())
            var first: BadRecord?
            decoder.onBadRecord = { first = first ?? $0 }
            defer {
                decoder.onBadRecord = nil
                lock.withLock { _ in idle.append(decoder) }
            }
            _ = try decoder.decode(records: records, in: Buffer(copying: UnsafeRawBufferPointer(body)))
            guard let first else { return nil }
            let index = first.record ?? records.lastIndex { $0.lowerBound <= first.offset } ?? 0
            // Lines count from 1, empty ones included.
            let line = body[..<records[index].lowerBound].reduce(1) { $0 + ($1 == 0x0A ? 1 : 0) }
            return "line \(line), record \(index + 1): \(first.reason), in \(String(decoding: first.bytes.prefix(200), as: UTF8.self))\(first.bytes.count > 200 ? "..." : "")"
        }
    }
}
