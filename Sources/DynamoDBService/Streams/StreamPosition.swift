import AWSProtocol

/// Where a reader of a stream is: what a shard iterator says.
struct StreamPosition: Equatable {
    var streamArn: String
    var shard: String
    /// The next change to read.
    var sequence: Int64
    /// When the iterator was given out, in milliseconds.
    var issuedAt: Int64

    static let lifetimeMilliseconds: Int64 = 15 * 60_000

    init(streamArn: String, shard: String, sequence: Int64, issuedAt: Int64) {
        (self.streamArn, self.shard, self.sequence, self.issuedAt) = (streamArn, shard, sequence, issuedAt)
    }

    /// The stream's name, a version, and the rest with a checksum.
    var text: String {
        let content = Array("\(shard)/\(sequence)/\(issuedAt)".utf8)
        return "\(streamArn)|1|\(Base64.encode(Self.checksum(streamArn, content) + content))"
    }

    private static func checksum(_ arn: String, _ content: [UInt8]) -> [UInt8] {
        let sum = CRC32.of(Array(arn.utf8) + content)
        return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: sum >> $0) }
    }

    /// - Throws: `ValidationException` for text that is no iterator of this service.
    init(parsing text: String) throws {
        let invalid = AWSError.validation("Invalid ShardIterator: it was not given out by this service")
        let parts = text.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, parts[1] == "1", let bytes = Base64.decode(parts[2]), bytes.count > 4 else { throw invalid }
        let content = Array(bytes[4...])
        let fields = String(decoding: content, as: UTF8.self).split(separator: "/").map(String.init)
        guard Self.checksum(parts[0], content) == Array(bytes[..<4]), fields.count == 3, let sequence = Int64(fields[1]),
              let issuedAt = Int64(fields[2]) else { throw invalid }
        self.init(streamArn: parts[0], shard: fields[0], sequence: sequence, issuedAt: issuedAt)
    }
}
