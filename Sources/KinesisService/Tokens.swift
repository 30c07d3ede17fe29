import AWSProtocol
import ShardLog
import StreamCore
import Synchronization

/// Makes shard iterators and page tokens that only this log's services can have made: text with a code (HMAC with
/// SHA-256) whose key is kept beside the streams.
final class TokenSeal: Sendable {
    private let log: ShardLog
    private let known = Mutex<[UInt8]?>(nil)

    init(_ log: ShardLog) { self.log = log }

    private func secret() throws -> [UInt8] {
        try known.withLock { known in
            if let known { return known }
            let path = log.directory + "/kinesis-secret"
            if !Host.exists(path) {
                try log.host.createDirectories(log.directory)
                var bytes: [UInt8] = []
                for _ in 0..<4 { withUnsafeBytes(of: log.host.randomBits()) { bytes += $0 } }
                try log.host.replaceFile(path, bytes)
            }
            let secret = try Host.read(path)
            known = secret
            return secret
        }
    }

    private func code(_ text: [UInt8]) throws -> [UInt8] {
        Array(Digest.hmacSHA256(key: try secret(), text).prefix(16))
    }

    /// Fields must not hold a slash. The first ones are the kind and the time of issue.
    func token(_ kind: String, _ fields: [String]) throws -> String {
        let text = Array(([kind, String(log.host.now())] + fields).joined(separator: "/").utf8)
        return Base64.encode(try code(text) + text)
    }

    /// The fields and when the token was issued, in milliseconds; nil for text that is no such token.
    func open(_ kind: String, _ token: String) throws -> (issued: Int64, fields: [String])? {
        guard let bytes = Base64.decode(token), bytes.count > 16, try code(Array(bytes[16...])) == Array(bytes[..<16]) else { return nil }
        let fields = String(decoding: bytes[16...], as: UTF8.self).split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard fields.count >= 2, fields[0] == kind, let issued = Int64(fields[1]) else { return nil }
        return (issued, Array(fields[2...]))
    }
}

/// What a shard iterator says; it needs nothing but the stream to be used, also after a restart.
struct ShardIterator {
    var stream: String
    var created: Int64
    var shard: Int
    var position: ShardPosition

    func text(_ seal: TokenSeal) throws -> String {
        let place = switch position {
        case .trimHorizon: "t"
        case .latest: "l"
        case .atTimestamp(let time): "s\(time)"
        case .at(let sequence): "a\(sequence)"
        case .after(let sequence): "f\(sequence)"
        }
        return try seal.token("iterator", [stream, String(created), String(shard), place])
    }

    static func parse(_ text: String, _ seal: TokenSeal) throws -> (iterator: ShardIterator, issued: Int64)? {
        guard let (issued, fields) = try seal.open("iterator", text), fields.count == 4, let created = Int64(fields[1]), let shard = Int(fields[2])
        else { return nil }
        let rest = String(fields[3].dropFirst())
        let position: ShardPosition? = switch fields[3].first {
        case "t": .trimHorizon
        case "l": .latest
        case "s": Int64(rest).map { .atTimestamp($0) }
        case "a": (try? SequenceNumber(parsing: rest)).map { .at($0) }
        case "f": (try? SequenceNumber(parsing: rest)).map { .after($0) }
        default: nil
        }
        return position.map { (ShardIterator(stream: fields[0], created: created, shard: shard, position: $0), issued) }
    }
}

extension Call {
    /// `NextToken` of this operation.
    func nextToken(_ fields: [String]) throws -> AWSValue { .string(try service.seal.token(request.operation, fields)) }

    /// The fields of the request's `NextToken`; nil without one.
    func givenToken() throws -> [String]? {
        guard let text = text("NextToken") else { return nil }
        guard let (issued, fields) = try service.seal.open(request.operation, text) else { throw AWSError.invalidArgument("NextToken is invalid.") }
        guard now - issued <= Int64(options.iteratorSeconds) * 1_000 else {
            throw AWSError("ExpiredNextTokenException", "NextToken has expired. It was created more than \(options.iteratorSeconds) seconds ago.")
        }
        return fields
    }
}
