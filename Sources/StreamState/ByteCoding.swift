import StreamCore

/// Why bytes are not what they should be. Callers know the file and make a `StreamError` of it.
struct Malformed: Error {
    var what: String
    init(_ what: String) { self.what = what }
}

/// Small structures as bytes: varints (LEB128), strings with their length in front, little-endian words.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func word(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func varint(_ value: Int) {
        var rest = UInt64(bitPattern: Int64(value))
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func string(_ text: String) {
        varint(text.utf8.count)
        bytes.append(contentsOf: text.utf8)
    }
}

/// Reads what ``ByteWriter`` wrote. Never reads outside of its bytes, which must outlive it.
struct ByteReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func skip(_ count: Int) throws {
        guard count >= 0, count <= bytes.count - position else { throw Malformed("it ends after \(bytes.count) bytes") }
        position += count
    }

    mutating func byte() throws -> UInt8 {
        try skip(1)
        return bytes[position - 1]
    }

    mutating func word<T: FixedWidthInteger>(_: T.Type) throws -> T {
        try skip(MemoryLayout<T>.size)
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: position - MemoryLayout<T>.size, as: T.self))
    }

    mutating func varint() throws -> Int {
        var value: UInt64 = 0, shift: UInt64 = 0
        while true {
            let next = try byte()
            value |= UInt64(next & 0x7F) << shift
            if next < 0x80 { return Int(Int64(bitPattern: value)) }
            shift += 7
            guard shift < 64 else { throw Malformed("a number in it has more than 64 bits") }
        }
    }

    /// A number of things, each of which takes at least one byte.
    mutating func count() throws -> Int {
        let n = try varint()
        guard n >= 0, n <= bytes.count - position else { throw Malformed("it counts \(n) items in \(bytes.count - position) bytes") }
        return n
    }

    mutating func string() throws -> String {
        let length = try count()
        try skip(length)
        return String(decoding: bytes[position - length..<position], as: UTF8.self)
    }
}

// Types as a tag and their numbers; nested ones follow their tag.
extension ByteWriter {
    mutating func type(_ type: DataType) {
        func put(_ tag: UInt8, _ numbers: Int...) {
            byte(tag)
            for number in numbers { varint(number) }
        }
        switch type {
        case .boolean: put(1)
        case .tinyint: put(2)
        case .smallint: put(3)
        case .int: put(4)
        case .bigint: put(5)
        case .float: put(6)
        case .double: put(7)
        case .decimal(let precision, let scale): put(8, precision, scale)
        case .char(let length): put(9, length)
        case .varchar(let length): put(10, length)
        case .binary(let length): put(11, length)
        case .varbinary(let length): put(12, length)
        case .date: put(13)
        case .time(let precision): put(14, precision)
        case .timestamp(let precision): put(15, precision)
        case .timestampLTZ(let precision): put(16, precision)
        case .intervalYearMonth: put(17)
        case .intervalDayTime: put(18)
        case .array(let element):
            put(19)
            self.type(element)
        case .map(let key, let value):
            put(20)
            self.type(key)
            self.type(value)
        case .row(let fields):
            put(21, fields.count)
            for field in fields {
                string(field.name)
                byte(field.nullable ? 1 : 0)
                self.type(field.type)
            }
        case .null: put(22)
        case .variant: put(23)
        }
    }
}

extension ByteReader {
    /// Deeper nesting than any query makes; keeps damaged bytes from exhausting the stack.
    private static let deepest = 200

    mutating func type(depth: Int = 0) throws -> DataType {
        guard depth < Self.deepest else { throw Malformed("a type in it is nested more than \(Self.deepest) deep") }
        let tag = try byte()
        switch tag {
        case 1: return .boolean
        case 2: return .tinyint
        case 3: return .smallint
        case 4: return .int
        case 5: return .bigint
        case 6: return .float
        case 7: return .double
        case 8: return .decimal(precision: try varint(), scale: try varint())
        case 9: return .char(try varint())
        case 10: return .varchar(try varint())
        case 11: return .binary(try varint())
        case 12: return .varbinary(try varint())
        case 13: return .date
        case 14: return .time(try varint())
        case 15: return .timestamp(try varint())
        case 16: return .timestampLTZ(try varint())
        case 17: return .intervalYearMonth
        case 18: return .intervalDayTime
        case 19: return .array(try type(depth: depth + 1))
        case 20: return .map(key: try type(depth: depth + 1), value: try type(depth: depth + 1))
        case 21:
            return .row(try (0..<count()).map { _ in
                let name = try string(), nullable = try byte() != 0
                return Field(name, try type(depth: depth + 1), nullable: nullable)
            })
        case 22: return .null
        case 23: return .variant
        default: throw Malformed("it has a type with the unknown tag \(tag)")
        }
    }
}
