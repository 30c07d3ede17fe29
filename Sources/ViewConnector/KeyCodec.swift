import StreamCore
import StreamFormats

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A view's keys in three forms: columns of a batch, bytes that are ordered as the keys are, and text for URLs.
///
///     bytes   integers, dates and times: 8 bytes, the sign bit turned, most significant first; DECIMAL 16; FLOAT and DOUBLE 8;
///             text and binary: the bytes with 00 as 00 FF, and 00 00 at the end
///     text    each column percent-encoded, with `,` between them
struct KeyCodec: Sendable {
    let table: String
    /// Indices into the table's schema.
    let columns: [Int]
    let fields: [Field]

    /// - Throws: `.validate` for a type that is no key of a view.
    init(_ table: TableDescriptor) throws {
        self.table = table.name
        columns = table.primaryKey.compactMap { key in table.schema.firstIndex { $0.name == key } }
        fields = columns.map { table.schema[$0] }
        for field in fields {
            switch field.type.physical {
            case .list, .map, .row, .null: throw Self.refusal(field, table.name)
            default: if field.type == .variant { throw Self.refusal(field, table.name) }
            }
        }
    }

    private static func refusal(_ field: Field, _ table: String) -> StreamError {
        StreamError(.validate, "table \(table): key column \(field.name) of a view is \(field.type), which no URL can name",
                    fix: "use columns of text, numbers, dates or times as the key")
    }

    // MARK: columns to bytes

    private enum Kind { case int8, int16, int32, int64, int128, float, double, bytes }

    /// Pointers into a column. Valid while it lives.
    private struct Part: BitwiseCopyable {
        var kind: Kind
        var values: UnsafeRawPointer
        var validity: UnsafeRawPointer?
        var heaps: UnsafeMutablePointer<UnsafeRawPointer>?
    }

    /// Appends the key of each selected row.
    /// - Throws: `.runtime` for a row without a value in a key column.
    func encode(_ batch: Batch, into out: inout EncodedBytes, ends: inout [Int]) throws {
        let flat = columns.map { batch.columns[$0].flat() }
        let parts = UnsafeMutablePointer<Part>.allocate(capacity: max(flat.count, 1))
        defer {
            for i in flat.indices { parts[i].heaps?.deallocate() }
            parts.deallocate()
            withExtendedLifetime(flat) {}
        }
        for (i, column) in flat.enumerated() {
            var heaps: UnsafeMutablePointer<UnsafeRawPointer>?
            if !column.heaps.isEmpty {
                heaps = .allocate(capacity: column.heaps.count)
                for (k, heap) in column.heaps.enumerated() { (heaps! + k).initialize(to: UnsafeRawPointer(heap.base)) }
            }
            let kind: Kind = switch column.type.physical {
            case .bool, .int8: .int8
            case .int16: .int16
            case .int32: .int32
            case .int64: .int64
            case .int128: .int128
            case .float: .float
            case .double: .double
            default: .bytes
            }
            (parts + i).initialize(to: Part(kind: kind, values: UnsafeRawPointer(column.values.base), validity: column.validity.map { UnsafeRawPointer($0.base) }, heaps: heaps))
        }
        let (n, partCount) = (batch.count, flat.count)
        let selection = batch.selection
        let rows = selection.map { $0.rows }
        defer { withExtendedLifetime(selection) {} }
        ends.reserveCapacity(ends.count + n)
        for i in 0..<n {
            let row = rows.map { Int($0[i]) } ?? i
            for p in 0..<partCount { if !Self.append(parts + p, row, &out) { throw missing(p) } }
            ends.append(out.count)
        }
    }

    private func missing(_ part: Int) -> StreamError {
        StreamError(.runtime, "table \(table): a row has no value in column \(fields[part].name) of the view's key",
                    fix: "leave such rows out with WHERE \(fields[part].name) IS NOT NULL, or give them a value with COALESCE")
    }

    @inline(__always)
    private static func append(_ part: UnsafeMutablePointer<Part>, _ row: Int, _ out: inout EncodedBytes) -> Bool {
        let part = part.pointee
        if let validity = part.validity, !Bitmap.get(validity, row) { return false }
        @inline(__always) func integer(_ value: Int64) {
            UnsafeMutableRawPointer(out.reserve(8)).storeBytes(of: (UInt64(bitPattern: value) ^ 1 << 63).bigEndian, as: UInt64.self)
            out.advance(8)
        }
        @inline(__always) func number(_ value: Double) {
            let bits = value.isNaN ? Double.nan.bitPattern : (value == 0 ? 0 : value).bitPattern
            integer(Int64(bitPattern: bits >> 63 == 0 ? bits : ~bits ^ 1 << 63))
        }
        switch part.kind {
        case .int8: integer(Int64(part.values.assumingMemoryBound(to: Int8.self)[row]))
        case .int16: integer(Int64(part.values.assumingMemoryBound(to: Int16.self)[row]))
        case .int32: integer(Int64(part.values.assumingMemoryBound(to: Int32.self)[row]))
        case .int64: integer(part.values.assumingMemoryBound(to: Int64.self)[row])
        case .float: number(Double(part.values.assumingMemoryBound(to: Float.self)[row]))
        case .double: number(part.values.assumingMemoryBound(to: Double.self)[row])
        case .int128:
            let value = UInt128(bitPattern: part.values.assumingMemoryBound(to: Int128.self)[row]) ^ (1 << 127)
            let target = UnsafeMutableRawPointer(out.reserve(16))
            target.storeBytes(of: UInt64(truncatingIfNeeded: value >> 64).bigEndian, as: UInt64.self)
            target.storeBytes(of: UInt64(truncatingIfNeeded: value).bigEndian, toByteOffset: 8, as: UInt64.self)
            out.advance(16)
        case .bytes:
            let view = part.values.assumingMemoryBound(to: StringView.self) + row
            let n = Int(view.pointee.length)
            let start = n <= StringView.inlineLength ? UnsafeRawPointer(view) + 4 : part.heaps![Int(view.pointee.heapIndex)] + Int(view.pointee.offset)
            if n == 0 || memchr(start, 0, n) == nil {
                let target = UnsafeMutableRawPointer(out.reserve(n + 2))
                target.copyMemory(from: start, byteCount: n)
                target.storeBytes(of: 0, toByteOffset: n, as: UInt16.self)
                out.advance(n + 2)
            } else {
                for i in 0..<n {
                    let byte = start.load(fromByteOffset: i, as: UInt8.self)
                    out.append(byte)
                    if byte == 0 { out.append(0xFF) }
                }
                out.append(0)
                out.append(0)
            }
        }
        return true
    }

    // MARK: text to bytes

    /// The bytes of a key in text form, and its hash, as the rows of a job are distributed by it.
    /// - Throws: ``ViewError`` 400 when the text is no key of this view.
    func parse(_ text: String) throws -> (bytes: [UInt8], hash: UInt64) {
        // In a key of one column a comma is a comma.
        let parts = fields.count == 1 ? [text[...]] : text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count == fields.count else {
            throw ViewError(400, "key '\(ViewError.excerpt(text))' has \(parts.count) parts; the key of view \(table) is \(described)",
                            fix: "give \(fields.count) parts with a comma between them, and write a comma inside of a part as %2C")
        }
        var columns: [Column] = []
        for (field, part) in zip(fields, parts) {
            guard let decoded = PercentCoding.decode(part) else {
                throw ViewError(400, "'\(ViewError.excerpt(String(part)))' in the key is not percent-encoded UTF-8", fix: "write a % as %25")
            }
            guard let value = Self.value(decoded, field.type) else {
                throw ViewError(400, "'\(ViewError.excerpt(decoded))' is no \(field.type): column \(field.name) of the key", fix: Self.form(of: field.type))
            }
            let builder = ColumnBuilder(type: field.type, capacity: 1)
            builder.append(value)
            columns.append(builder.finish())
        }
        let batch = Batch(columns: columns, physicalCount: 1)
        var hash: UInt64 = 0
        RowHash.hash(batch, keys: Array(columns.indices), into: &hash)
        var out = EncodedBytes(capacity: 64), ends: [Int] = []
        try KeyCodec(self).encode(batch, into: &out, ends: &ends)
        return (Array(out.bytes), hash)
    }

    /// The texts of keys that are given as the key's columns.
    func texts(_ columns: [Column], count: Int) throws -> [String] {
        var out = EncodedBytes(), ends: [Int] = []
        try KeyCodec(self).encode(Batch(columns: columns, physicalCount: count), into: &out, ends: &ends)
        let bytes = out.bytes
        return ends.indices.map { text(UnsafeRawBufferPointer(rebasing: bytes[($0 == 0 ? 0 : ends[$0 - 1])..<ends[$0]])) }
    }

    /// For batches of the key columns alone.
    private init(_ other: KeyCodec) { (table, columns, fields) = (other.table, Array(other.fields.indices), other.fields) }

    private var described: String { "(" + fields.map { "\($0.name) \($0.type)" }.joined(separator: ", ") + ")" }

    private static func form(of type: DataType) -> String {
        switch type {
        case .boolean: "write true or false"
        case .date: "write it as in 2024-05-04"
        case .time: "write it as in 19:45:00"
        case .timestamp: "write it as in 2024-05-04T19:45:00"
        case .timestampLTZ: "write it in UTC, as in 2024-05-04T19:45:00Z"
        case .binary, .varbinary: "write hexadecimal digits"
        default: "write a number that the type can hold"
        }
    }

    private static func value(_ text: String, _ type: DataType) -> Value? {
        var text = text
        return text.withUTF8 { utf8 -> Value? in
            let bytes = UnsafeRawBufferPointer(utf8)
            func integer<T: FixedWidthInteger>(_: T.Type) -> Value? {
                guard let value = NumberText.parseInt64(bytes), T(exactly: value) != nil else { return nil }
                return .int(value)
            }
            switch type {
            case .boolean: return bytes.elementsEqual("true".utf8) ? .bool(true) : bytes.elementsEqual("false".utf8) ? .bool(false) : nil
            case .tinyint: return integer(Int8.self)
            case .smallint: return integer(Int16.self)
            case .int, .intervalYearMonth: return integer(Int32.self)
            case .bigint, .intervalDayTime: return integer(Int64.self)
            case .float: return NumberText.parseFloat(bytes).map { .float($0) }
            case .double: return NumberText.parseDouble(bytes).map { .double($0) }
            case .decimal(let precision, let scale): return NumberText.parseDecimal(bytes, precision: precision, scale: scale).map { .decimal($0) }
            case .date: return DateTimeText.parseDate(bytes).map { .int(Int64($0)) }
            case .time: return DateTimeText.parseTime(bytes, precision: 3).map { .int(Int64($0)) }
            case .timestamp(let precision): return DateTimeText.parseTimestamp(bytes, precision: precision).map { .int($0) }
            case .timestampLTZ(let precision): return DateTimeText.parseTimestamp(bytes, precision: precision, form: .cast.zone(.optionalZ)).map { .int($0) }
            case .char, .varchar: return .string(String(decoding: bytes, as: UTF8.self))
            case .binary, .varbinary: return PercentCoding.hexadecimal(bytes).map { .binary($0) }
            default: return nil
            }
        }
    }

    // MARK: bytes to text

    /// The text of a key that ``encode(_:into:ends:)`` made.
    func text(_ key: UnsafeRawBufferPointer) -> String {
        var out: [UInt8] = [], at = 0
        func integer() -> Int64 {
            let bits = UInt64(bigEndian: key.loadUnaligned(fromByteOffset: at, as: UInt64.self)) ^ 1 << 63
            at += 8
            return Int64(bitPattern: bits)
        }
        func number() -> Double {
            let bits = UInt64(bitPattern: integer())
            return Double(bitPattern: bits >> 63 == 0 ? bits : ~(bits ^ 1 << 63))
        }
        func narrow() -> Int32 { Int32(truncatingIfNeeded: integer()) }
        for (i, field) in fields.enumerated() {
            if i > 0 { out.append(UInt8(ascii: ",")) }
            switch field.type {
            case .boolean: out += (integer() == 0 ? "false" : "true").utf8
            case .float: out += NumberText.string(Float(number())).utf8
            case .double: out += NumberText.string(number()).utf8
            case .decimal(_, let scale):
                let high = UInt64(bigEndian: key.loadUnaligned(fromByteOffset: at, as: UInt64.self)), low = UInt64(bigEndian: key.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
                at += 16
                out += NumberText.string(decimal: Int128(bitPattern: (UInt128(high) << 64 | UInt128(low)) ^ (1 << 127)), scale: scale).utf8
            case .date: out += DateTimeText.date(narrow()).utf8
            case .time: out += NumberText.string { DateTimeText.writeTime(narrow(), precision: 3, fraction: .trimmed, to: $0) }.utf8
            case .timestamp(let precision), .timestampLTZ(let precision):
                let value = integer()
                out += NumberText.string { DateTimeText.writeTimestamp(value, precision: precision, fraction: .trimmed, separator: UInt8(ascii: "T"), to: $0) }.utf8
                if case .timestampLTZ = field.type { out.append(UInt8(ascii: "Z")) }
            case .char, .varchar, .binary, .varbinary:
                var bytes: [UInt8] = []
                while at < key.count {
                    let byte = key[at], next = at + 1 < key.count ? key[at + 1] : 0
                    if byte == 0 {
                        at += 2
                        if next == 0 { break }
                    } else {
                        at += 1
                    }
                    bytes.append(byte)
                }
                if field.type.isText { PercentCoding.encode(bytes, to: &out) } else { out += PercentCoding.hexadecimal(bytes) }
            default: out += String(integer()).utf8
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}

/// Percent-encoding as URLs have it (RFC 3986).
package enum PercentCoding {
    /// nil when an escape is incomplete, or the result is no UTF-8.
    package static func decode(_ text: some StringProtocol) -> String? {
        var out: [UInt8] = []
        var bytes = text.utf8.makeIterator()
        while let byte = bytes.next() {
            guard byte == UInt8(ascii: "%") else {
                out.append(byte)
                continue
            }
            guard let a = bytes.next().flatMap(digit), let b = bytes.next().flatMap(digit) else { return nil }
            out.append(a << 4 | b)
        }
        return String(validating: out, as: UTF8.self)
    }

    /// Leaves what may stand in a part of a path as it is.
    package static func encode(_ bytes: some Sequence<UInt8>, to out: inout [UInt8]) {
        for byte in bytes {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: ":"), UInt8(ascii: "@"):
                out.append(byte)
            default:
                out.append(UInt8(ascii: "%"))
                out.append(letters[Int(byte >> 4)])
                out.append(letters[Int(byte & 15)])
            }
        }
    }

    package static func encode(_ text: String) -> String {
        var out: [UInt8] = []
        encode(text.utf8, to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    private static let letters = Array("0123456789ABCDEF".utf8)

    static func hexadecimal(_ bytes: [UInt8]) -> [UInt8] { bytes.flatMap { [letters[Int($0 >> 4)], letters[Int($0 & 15)]] } }

    static func hexadecimal(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
        guard text.count % 2 == 0 else { return nil }
        var out: [UInt8] = []
        for i in stride(from: 0, to: text.count, by: 2) {
            guard let a = digit(text[i]), let b = digit(text[i + 1]) else { return nil }
            out.append(a << 4 | b)
        }
        return out
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
