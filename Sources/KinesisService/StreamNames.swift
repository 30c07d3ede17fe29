import AWSProtocol
import ShardLog
import StreamCore

extension AWSError {
    static func invalidArgument(_ text: String) -> AWSError { AWSError("InvalidArgumentException", text) }
    static func notFound(_ text: String) -> AWSError { AWSError("ResourceNotFoundException", text) }
    static func inUse(_ text: String) -> AWSError { AWSError("ResourceInUseException", text) }
    static func limit(_ text: String) -> AWSError { AWSError("LimitExceededException", text) }
    static func noStream(_ name: String, _ account: String) -> AWSError { .notFound("Stream \(name) under account \(account) not found.") }
}

extension Shape.Pattern {
    /// A pattern of the service's model. The frequent ones are matched without an engine.
    static func model(_ text: String) -> Shape.Pattern {
        switch text {
        case "[a-zA-Z0-9_.-]+": .letters(text, and: "_.-")
        // The service shows these two without their anchors.
        case #"^(0|([1-9]\d{0,38}))$"#: Shape.Pattern(#"0|([1-9]\d{0,38})"#) { isNumber($0, digits: 39) }
        case #"^(0|([1-9]\d{0,128}))$"#: Shape.Pattern(#"0|([1-9]\d{0,128})"#) { isNumber($0, digits: 129) }
        default: Shape.Pattern(text) { value in StreamARN(value) != nil && text.hasSuffix(#"stream/\S+"#) || matches(value, text) }
        }
    }

    private static func isNumber(_ text: String, digits: Int) -> Bool {
        text == "0" || ((1...digits).contains(text.utf8.count) && text.utf8.first != 0x30 && text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 })
    }

    private static func matches(_ value: String, _ pattern: String) -> Bool {
        // Compiled each time, as a compiled one cannot be shared by threads; only rare requests get here.
        guard let expression = try? Regex(pattern) else { preconditionFailure("the model's pattern \(pattern) is no regular expression") }
        return value.wholeMatch(of: expression) != nil
    }
}

/// `arn:aws:kinesis:us-east-1:000000000000:stream/name`, with `/consumer/name:1700000000` behind it for a consumer.
struct StreamARN: Hashable {
    var account: String
    var stream: String
    /// Name and creation time in seconds.
    var consumer: (name: String, created: Int64)? { consumerName.map { ($0, consumerCreated) } }
    private var consumerName: String?
    private var consumerCreated: Int64 = 0

    /// nil when it is another kind of ARN, or none.
    init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] == "arn", parts[1].hasPrefix("aws"), parts[2] == "kinesis", parts[4].utf8.count == 12,
              parts[4].utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), parts[5].hasPrefix("stream/") else { return nil }
        account = String(parts[4])
        let path = parts[5].dropFirst(7).split(separator: "/", omittingEmptySubsequences: false)
        guard let first = path.first, !first.isEmpty, first.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
        stream = String(first)
        if path.count == 3, path[1] == "consumer" {
            let consumer = path[2].split(separator: ":")
            guard consumer.count == 2, let created = Int64(consumer[1]) else { return nil }
            (consumerName, consumerCreated) = (String(consumer[0]), created)
        } else if path.count > 1 {
            return nil
        }
    }

    private static func partition(_ region: String) -> String {
        region.hasPrefix("cn-") ? "aws-cn" : region.hasPrefix("us-gov-") ? "aws-us-gov" : "aws"
    }

    static func text(_ stream: String, region: String, account: String) -> String {
        "arn:\(partition(region)):kinesis:\(region):\(account):stream/\(stream)"
    }
}

extension Call {
    func arn(_ stream: String) -> String { StreamARN.text(stream, region: request.region, account: account) }

    /// The stream that a request names by `StreamName`, `StreamARN` or `StreamId`.
    func stream() throws -> StreamInfo {
        let name = try streamName()
        return try stream(named: name)
    }

    func streamName() throws -> String {
        let given = text("StreamName")
        if let arn = text("StreamARN") {
            let name = try streamName(ofARN: arn)
            if let given, given != name {
                throw AWSError.invalidArgument("StreamName \(given) and StreamARN \(arn) do not name the same stream.")
            }
            return name
        }
        if let given { return given }
        if let id = text("StreamId") {
            for name in try streamNames() {
                if let info = try? log.info(name), Self.streamID(info) == id { return name }
            }
            throw AWSError.notFound("Stream with StreamId \(id) under account \(account) not found.")
        }
        throw AWSError.invalidArgument("Either StreamARN or StreamName must be specified.")
    }

    func streamName(ofARN text: String) throws -> String {
        guard let arn = StreamARN(text) else { throw AWSError.notFound("Stream \(text) under account \(account) not found.") }
        guard arn.account == account else { throw AWSError.noStream(arn.stream, arn.account) }
        return arn.stream
    }

    func stream(named name: String) throws -> StreamInfo {
        guard log.exists(name), !name.hasPrefix("."), !isHidden(name) else { throw AWSError.noStream(name, account) }
        do {
            return try log.info(name)
        } catch {
            // Deleted meanwhile.
            guard log.exists(name) else { throw AWSError.noStream(name, account) }
            throw error
        }
    }

    /// Made of name and creation time, so that a stream created anew has another one.
    static func streamID(_ stream: StreamInfo) -> String {
        var rest = HashKey.of("\(stream.name):\(stream.created)")
        let letters = Array("0123456789abcdefghijklmnopqrstuvwxyz".utf8)
        var out: [UInt8] = []
        for i in 0..<23 {
            if i == 20 { out.append(0x2D) }
            out.append(letters[Int(rest % 36)])
            rest /= 36
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// What `ResourceARN` names.
    func resource() throws -> Resource {
        let arn = text("ResourceARN") ?? ""
        guard let parsed = StreamARN(arn) else { throw AWSError.notFound("Resource \(arn) under account \(account) not found.") }
        guard parsed.account == account, log.exists(parsed.stream) else { throw AWSError.noStream(arn, account) }
        let info = try stream(named: parsed.stream)
        guard let consumer = parsed.consumer else { return .stream(info) }
        guard let found = StreamAttributes(info).consumers.first(where: { $0.name == consumer.name && $0.created / 1_000 == consumer.created }) else {
            throw AWSError.notFound("Consumer \(arn), account \(account) not found.")
        }
        return .consumer(info, found)
    }
}

/// What can have tags and policies.
enum Resource {
    case stream(StreamInfo), consumer(StreamInfo, Consumer)

    var stream: StreamInfo {
        switch self {
        case .stream(let info), .consumer(let info, _): info
        }
    }
}

/// The names of shards: `shardId-000000000003`.
enum ShardName {
    static func text(_ shard: Int) -> String {
        let digits = String(shard)
        return "shardId-" + String(repeating: "0", count: max(0, 12 - digits.utf8.count)) + digits
    }

    static func parse(_ text: String) -> Int? {
        guard text.hasPrefix("shardId-"), text.utf8.count >= 20, let number = Int(text.dropFirst(8)), number >= 0, Self.text(number) == text else { return nil }
        return number
    }
}
