import StreamCore

/// What is stored of a request: what it told beside its records, and the records, or some of them when the body is large.
///
///     1 | received (Int64) | number of the first record in its body (UInt32) | texts | count (UInt32) | ends (UInt32 each) | bytes
///     texts: remote address, content type, method, path, then pairs of a metadata key and its value: count (UInt32), each length (UInt32) and UTF-8
struct SpoolEntry {
    /// Milliseconds since 1970-01-01.
    var received: Int64
    var remoteAddress: String
    var contentType: String
    var method: String
    var path: String
    /// Keys such as `path.device` and `header.user-agent`.
    var attributes: [(key: String, value: String)]

    static let version: UInt8 = 1

    /// Bytes of records in one entry, apart from a single larger record.
    static let recordBytesMax = 1 << 20

    /// Entries that hold the records, in order.
    func entries(_ records: [Range<Int>], of body: UnsafeBufferPointer<UInt8>) -> [[UInt8]] {
        var entries: [[UInt8]] = [], from = 0
        while from < records.count {
            var to = from, bytes = 0
            while to < records.count, to == from || bytes + records[to].count <= Self.recordBytesMax {
                bytes += records[to].count
                to += 1
            }
            var out: [UInt8] = [Self.version]
            out.reserveCapacity(bytes + 4 * (to - from) + 256)
            Self.put(UInt64(bitPattern: received), &out)
            Self.put(UInt32(from), &out)
            let texts = [remoteAddress, contentType, method, path] + attributes.flatMap { [$0.key, $0.value] }
            Self.put(UInt32(texts.count), &out)
            for text in texts {
                Self.put(UInt32(text.utf8.count), &out)
                out += text.utf8
            }
            Self.put(UInt32(to - from), &out)
            var end: UInt32 = 0
            for record in records[from..<to] {
                end += UInt32(record.count)
                Self.put(end, &out)
            }
            for record in records[from..<to] { out += body[record] }
            entries.append(out)
            from = to
        }
        return entries
    }

    private static func put(_ value: some FixedWidthInteger, _ out: inout [UInt8]) { withUnsafeBytes(of: value.littleEndian) { out += $0 } }

    /// An entry as it is read, over the bytes of a chunk.
    struct Stored {
        var entry: SpoolEntry
        var firstRecord: Int
        /// In the buffer that the entry was read from.
        var records: [Range<Int>]
    }

    /// - Parameter range: where the entry is in `buffer`.
    static func read(_ buffer: Buffer, _ range: Range<Int>) throws -> Stored {
        var at = range.lowerBound
        func fail() -> StreamError { StreamError(.corrupt, "a record of the spool is no request", fix: "delete the spool's stream; what it holds is lost") }
        func number<T: FixedWidthInteger>(_: T.Type) throws -> T {
            guard at + MemoryLayout<T>.size <= range.upperBound else { throw fail() }
            defer { at += MemoryLayout<T>.size }
            return T(littleEndian: buffer.base.loadUnaligned(fromByteOffset: at, as: T.self))
        }
        guard try number(UInt8.self) == version else { throw fail() }
        let received = Int64(bitPattern: try number(UInt64.self)), first = Int(try number(UInt32.self))
        let texts = try (0..<Int(try number(UInt32.self))).map { _ in
            let count = Int(try number(UInt32.self))
            guard at + count <= range.upperBound else { throw fail() }
            defer { at += count }
            return String(decoding: UnsafeRawBufferPointer(start: buffer.base + at, count: count), as: UTF8.self)
        }
        guard texts.count >= 4, texts.count % 2 == 0 else { throw fail() }
        let count = Int(try number(UInt32.self)), base = at + 4 * count
        var records: [Range<Int>] = [], start = base
        records.reserveCapacity(count)
        for _ in 0..<count {
            let end = base + Int(try number(UInt32.self))
            guard end >= start, end <= range.upperBound else { throw fail() }
            records.append(start..<end)
            start = end
        }
        guard start == range.upperBound else { throw fail() }
        let attributes = stride(from: 4, to: texts.count, by: 2).map { (key: texts[$0], value: texts[$0 + 1]) }
        return Stored(entry: SpoolEntry(received: received, remoteAddress: texts[0], contentType: texts[1], method: texts[2], path: texts[3], attributes: attributes),
                      firstRecord: first, records: records)
    }

    /// Records and their bytes, without reading the rest.
    static func size(_ buffer: Buffer, _ range: Range<Int>) throws -> (records: Int, bytes: Int) {
        let stored = try read(buffer, range)
        return (stored.records.count, stored.records.reduce(0) { $0 + $1.count })
    }
}
