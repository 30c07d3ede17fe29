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
        func checksum(_ count: Int) -> UInt32 { bytes.withUnsafeBytes { CRC32.of(UnsafeRawBufferPointer(rebasing: $0[..<count])) } }
        let length = Int(word(0)), headLength = Int(word(4))
        guard word(8) == checksum(8), length <= bytesMax, length >= 16 + headLength else {
            throw AWSError.serialization("the event stream is damaged: a message's prelude does not fit its checksum")
        }
        guard bytes.count >= length else { return nil }
        guard word(length - 4) == checksum(length - 4) else {
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
    /// Eight tables of 256: the effect of a byte that stands before 0 to 7 others.
    private static let tables: [UInt32] = {
        var all: [UInt32] = []
        for n in 0..<256 {
            var value = UInt32(n)
            for _ in 0..<8 { value = value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
            all.append(value)
        }
        for k in 1..<8 {
            for n in 0..<256 {
                let before = all[(k - 1) * 256 + n]
                all.append(all[Int(before & 0xFF)] ^ (before >> 8))
            }
        }
        return all
    }()

    public static func of(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { of($0) } }

    /// Eight bytes at a time.
    public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        tables.withUnsafeBufferPointer { tables in
            var crc = ~UInt32(0), at = 0
            while at + 8 <= bytes.count {
                let low = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)) ^ crc
                let high = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self))
                let a = tables[1_792 + Int(low & 0xFF)] ^ tables[1_536 + Int(low >> 8 & 0xFF)]
                let b = tables[1_280 + Int(low >> 16 & 0xFF)] ^ tables[1_024 + Int(low >> 24)]
                let c = tables[768 + Int(high & 0xFF)] ^ tables[512 + Int(high >> 8 & 0xFF)]
                let d = tables[256 + Int(high >> 16 & 0xFF)] ^ tables[Int(high >> 24)]
                crc = a ^ b ^ c ^ d
                at += 8
            }
            while at < bytes.count {
                crc = tables[Int((crc ^ UInt32(bytes[at])) & 0xFF)] ^ (crc >> 8)
                at += 1
            }
            return ~crc
        }
    }
}
