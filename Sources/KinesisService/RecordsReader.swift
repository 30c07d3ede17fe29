import AWSProtocol
import ShardLog

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Takes the records of a PutRecords body out of its bytes, without values in between. It knows the plain form of such a body only;
/// for any other, valid or not, it gives up, and the body is read in the general way.
struct RecordsReader {
    struct Found {
        var batch = RecordBatch()
        var streamName: String?, streamARN: String?
        /// Data and key of the largest record.
        var largest = 0
        /// Also of records beyond those that a request may have, which are not in the batch.
        var count = 0
    }

    private var found = Found()
    private let bytes: UnsafeBufferPointer<UInt8>
    private let scratch: UnsafeMutableRawBufferPointer
    private var at = 0

    static let countMax = 500

    /// nil when the body is not in the plain form.
    static func read(_ body: [UInt8], _ encoding: AWSEncoding) -> Found? {
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: body.count + 8, alignment: 8)
        defer { scratch.deallocate() }
        return body.withUnsafeBufferPointer { bytes in
            var reader = RecordsReader(bytes: bytes, scratch: scratch)
            let isPlain = encoding == .json ? reader.readJSON() : reader.readCBOR()
            return isPlain && reader.found.count > 0 ? reader.found : nil
        }
    }

    private init(bytes: UnsafeBufferPointer<UInt8>, scratch: UnsafeMutableRawBufferPointer) { (self.bytes, self.scratch) = (bytes, scratch) }

    private typealias Span = (start: Int, end: Int)

    /// Beyond 500 records they are counted, not kept.
    private mutating func add(_ data: UnsafeRawBufferPointer, _ key: Span, _ hashKey: UInt128?) {
        found.count += 1
        guard found.count <= Self.countMax else { return }
        let key = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[key.start..<key.end])
        found.largest = max(found.largest, data.count + key.count)
        found.batch.append(data: data, partitionKey: key, explicitHashKey: hashKey)
    }

    private func hashKey(_ span: Span) -> UInt128? {
        guard span.end > span.start, span.end - span.start <= 39, bytes[span.start] != 0x30 || span.end == span.start + 1 else { return nil }
        var value = UInt128(0)
        for i in span.start..<span.end {
            guard bytes[i] >= 0x30, bytes[i] <= 0x39 else { return nil }
            let (product, overflows) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowsToo) = product.addingReportingOverflow(UInt128(bytes[i] - 0x30))
            if overflows || overflowsToo { return nil }
            value = sum
        }
        return value
    }

    private func equals(_ span: Span, _ name: StaticString) -> Bool {
        span.end - span.start == name.utf8CodeUnitCount && memcmp(bytes.baseAddress! + span.start, name.utf8Start, name.utf8CodeUnitCount) == 0
    }

    private func text(_ span: Span) -> String { String(decoding: UnsafeBufferPointer(rebasing: bytes[span.start..<span.end]), as: UTF8.self) }

    /// Letters of the seven-bit kind, as many as a partition key may have.
    private func isPlainKey(_ span: Span) -> Bool {
        guard (1...256).contains(span.end - span.start) else { return false }
        for i in span.start..<span.end where bytes[i] >= 0x80 { return false }
        return true
    }

    // MARK: JSON

    private mutating func skipSpace() {
        while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 { at += 1 }
    }

    private mutating func take(_ letter: Unicode.Scalar) -> Bool {
        skipSpace()
        guard at < bytes.count, bytes[at] == UInt8(ascii: letter) else { return false }
        at += 1
        return true
    }

    /// A text without escapes and control characters.
    private mutating func string() -> Span? {
        guard take("\"") else { return nil }
        let start = at
        while at < bytes.count, bytes[at] != 0x22 {
            guard bytes[at] >= 0x20, bytes[at] != 0x5C else { return nil }
            at += 1
        }
        guard at < bytes.count else { return nil }
        at += 1
        return (start, at - 1)
    }

    /// A text that the decoder of Base64 looks through.
    private mutating func blob() -> Span? {
        guard take("\""), at < bytes.count, let end = memchr(bytes.baseAddress! + at, 0x22, bytes.count - at) else { return nil }
        let start = at, stop = UnsafeRawPointer(end) - UnsafeRawPointer(bytes.baseAddress!)
        at = stop + 1
        return (start, stop)
    }

    private mutating func readJSON() -> Bool {
        guard take("{") else { return false }
        repeat {
            guard let name = string(), take(":") else { return false }
            if equals(name, "Records") {
                guard found.count == 0, readRecords() else { return false }
            } else if equals(name, "StreamName"), let value = string() {
                found.streamName = text(value)
            } else if equals(name, "StreamARN"), let value = string() {
                found.streamARN = text(value)
            } else {
                return false
            }
        } while take(",")
        guard take("}") else { return false }
        skipSpace()
        return at == bytes.count
    }

    private mutating func readRecords() -> Bool {
        guard take("[") else { return false }
        repeat {
            guard take("{") else { return false }
            var data: Span?, key: Span?, hash: UInt128?
            repeat {
                guard let name = string(), take(":") else { return false }
                if equals(name, "Data") {
                    data = blob()
                } else if equals(name, "PartitionKey") {
                    key = string()
                } else if equals(name, "ExplicitHashKey"), let digits = string(), let value = hashKey(digits) {
                    hash = value
                } else {
                    return false
                }
            } while take(",")
            guard take("}"), let data, let key, isPlainKey(key),
                  let n = Base64Decoder.decode(UnsafeRawBufferPointer(bytes)[data.start..<data.end], into: scratch) else { return false }
            add(UnsafeRawBufferPointer(rebasing: scratch[..<n]), key, hash)
        } while take(",")
        return take("]")
    }

    // MARK: CBOR

    /// The number behind a head of that kind; -1 when the length is not told.
    private mutating func head(_ major: UInt8) -> Int? {
        guard at < bytes.count, bytes[at] >> 5 == major else { return nil }
        let minor = bytes[at] & 31
        at += 1
        if minor < 24 { return Int(minor) }
        if minor == 31 { return -1 }
        guard minor <= 26, at + 1 << Int(minor - 24) <= bytes.count else { return nil }
        var value = 0
        for _ in 0..<(1 << Int(minor - 24)) {
            value = value << 8 | Int(bytes[at])
            at += 1
        }
        return value
    }

    private mutating func span(_ major: UInt8) -> Span? {
        guard let n = head(major), n >= 0, at + n <= bytes.count else { return nil }
        at += n
        return (at - n, at)
    }

    /// Whether there is another element; takes the break at the end of those whose number is not told.
    private mutating func hasMore(_ left: inout Int) -> Bool {
        if left < 0 {
            guard at < bytes.count, bytes[at] == 0xFF else { return true }
            at += 1
            return false
        }
        left -= 1
        return left >= 0
    }

    private mutating func readCBOR() -> Bool {
        guard var members = head(5) else { return false }
        while hasMore(&members) {
            guard let name = span(3) else { return false }
            if equals(name, "Records") {
                guard found.count == 0, var records = head(4) else { return false }
                while hasMore(&records) { if !readCBORRecord() { return false } }
            } else if equals(name, "StreamName"), let value = span(3) {
                found.streamName = text(value)
            } else if equals(name, "StreamARN"), let value = span(3) {
                found.streamARN = text(value)
            } else {
                return false
            }
        }
        return at == bytes.count
    }

    private mutating func readCBORRecord() -> Bool {
        guard var members = head(5) else { return false }
        var data: Span?, key: Span?, hash: UInt128?
        while hasMore(&members) {
            guard let name = span(3) else { return false }
            if equals(name, "Data") {
                data = span(2)
            } else if equals(name, "PartitionKey") {
                key = span(3)
            } else if equals(name, "ExplicitHashKey"), let digits = span(3), let value = hashKey(digits) {
                hash = value
            } else {
                return false
            }
        }
        guard let data, let key, isPlainKey(key) else { return false }
        add(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[data.start..<data.end]), key, hash)
        return true
    }
}

/// Base64 with padding, into memory that is there already.
enum Base64Decoder {
    private static let values: [UInt8] = {
        var table = [UInt8](repeating: 0xFF, count: 256)
        for (i, letter) in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8.enumerated() { table[Int(letter)] = UInt8(i) }
        return table
    }()

    /// The number of bytes written; nil when the text is not Base64 with its padding. `out` must have room for three quarters of the text.
    static func decode(_ text: Slice<UnsafeRawBufferPointer>, into out: UnsafeMutableRawBufferPointer) -> Int? {
        let text = UnsafeRawBufferPointer(rebasing: text)
        guard text.count % 4 == 0, out.count >= text.count / 4 * 3 else { return nil }
        guard text.count > 0 else { return 0 }
        let padding = text[text.count - 1] != 0x3D ? 0 : text[text.count - 2] == 0x3D ? 2 : 1
        let from = text.baseAddress!.assumingMemoryBound(to: UInt8.self), to = out.baseAddress!.assumingMemoryBound(to: UInt8.self)
        return values.withUnsafeBufferPointer { values in
            var p = from, q = to
            let whole = text.count / 4 - (padding > 0 ? 1 : 0)
            for _ in 0..<whole {
                let a = values[Int(p[0])], b = values[Int(p[1])], c = values[Int(p[2])], d = values[Int(p[3])]
                if (a | b | c | d) == 0xFF { return nil }
                q[0] = a << 2 | b >> 4
                q[1] = b << 4 | c >> 2
                q[2] = c << 6 | d
                p += 4
                q += 3
            }
            if padding > 0 {
                let a = values[Int(p[0])], b = values[Int(p[1])], c = padding == 1 ? values[Int(p[2])] : 0
                if (a | b | c) == 0xFF { return nil }
                q[0] = a << 2 | b >> 4
                if padding == 1 { q[1] = b << 4 | c >> 2 }
                q += 3 - padding
            }
            return q - to
        }
    }
}
