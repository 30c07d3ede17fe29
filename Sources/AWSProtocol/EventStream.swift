/// One message of `application/vnd.amazon.eventstream`:
///
///     length of all (UInt32) | length of headers (UInt32) | CRC-32 of these 8 bytes | headers | payload | CRC-32 of all before
///     header: length of name (1 byte) | name | type (7 = string) | length (UInt16) | value
public struct EventStreamMessage: Sendable {
    /// String headers only; others are skipped when a message is read.
    public var headers: [(name: String, value: String)]
    public var payload: [UInt8]

    /// A message is never longer; a length beyond it is damage.
    public static let bytesMax = 24 << 20

    public init(headers: [(String, String)], payload: [UInt8]) { (self.headers, self.payload) = (headers.map { (name: $0.0, value: $0.1) }, payload) }

    public subscript(name: String) -> String? { headers.first { $0.name == name }?.value }

    public func bytes() -> [UInt8] {
        var head: [UInt8] = []
        for (name, value) in headers {
            head.append(UInt8(name.utf8.count))
            head += name.utf8
            head.append(7)
            withUnsafeBytes(of: UInt16(value.utf8.count).bigEndian) { head += $0 }
            head += value.utf8
        }
        var out: [UInt8] = []
        func put(_ word: UInt32) { withUnsafeBytes(of: word.bigEndian) { out += $0 } }
        put(UInt32(16 + head.count + payload.count))
        put(UInt32(head.count))
        put(CRC32.of(out))
        out += head
        out += payload
        put(CRC32.of(out))
        return out
    }

    /// The message at the front of `bytes` and its length; nil when it is not whole yet.
    ///
    /// - Throws: `SerializationException` when lengths or checksums do not fit.
    public static func parse(_ bytes: ArraySlice<UInt8>) throws -> (message: EventStreamMessage, length: Int)? {
        guard bytes.count >= 12 else { return nil }
        func word(_ at: Int) -> UInt32 { bytes[(bytes.startIndex + at)..<(bytes.startIndex + at + 4)].reduce(0) { $0 << 8 | UInt32($1) } }
        let length = Int(word(0)), headLength = Int(word(4))
        guard word(8) == CRC32.of(Array(bytes.prefix(8))), length <= bytesMax, length >= 16 + headLength else {
            throw AWSError.serialization("the event stream is damaged: a message's prelude does not fit its checksum")
        }
        guard bytes.count >= length else { return nil }
        guard word(length - 4) == CRC32.of(Array(bytes.prefix(length - 4))) else {
            throw AWSError.serialization("the event stream is damaged: a message of \(length) bytes does not fit its checksum")
        }
        let base = bytes.startIndex
        var headers: [(String, String)] = [], at = base + 12
        let end = base + 12 + headLength
        while at < end {
            let nameLength = Int(bytes[at])
            guard at + 2 + nameLength <= end else { throw AWSError.serialization("the event stream is damaged: a header is cut off") }
            let name = String(decoding: bytes[(at + 1)..<(at + 1 + nameLength)], as: UTF8.self), type = bytes[at + 1 + nameLength]
            at += 2 + nameLength
            var size = switch type {
            case 0, 1: 0
            case 2: 1
            case 3: 2
            case 4: 4
            case 5, 8: 8
            case 9: 16
            default: -1
            }
            if size < 0 {
                guard at + 2 <= end else { throw AWSError.serialization("the event stream is damaged: a header is cut off") }
                size = Int(bytes[at]) << 8 | Int(bytes[at + 1])
                at += 2
            }
            guard at + size <= end else { throw AWSError.serialization("the event stream is damaged: a header is cut off") }
            if type == 7 { headers.append((name, String(decoding: bytes[at..<(at + size)], as: UTF8.self))) }
            at += size
        }
        return (EventStreamMessage(headers: headers, payload: Array(bytes[end..<(base + length - 4)])), length)
    }
}

/// CRC-32 as Ethernet and gzip have it.
public enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { n in (0..<8).reduce(UInt32(n)) { c, _ in c & 1 == 1 ? 0xEDB8_8320 ^ (c >> 1) : c >> 1 } }

    public static func of(_ bytes: [UInt8]) -> UInt32 {
        table.withUnsafeBufferPointer { table in
            ~bytes.reduce(~UInt32(0)) { table[Int(($0 ^ UInt32($1)) & 0xFF)] ^ ($0 >> 8) }
        }
    }
}
