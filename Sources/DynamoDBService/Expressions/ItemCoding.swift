import StreamCore

// The stored form of an item: a version, the number of attributes, then name and value of each in the order of names. A value is
// its type's byte and its content; lengths are varints.

extension Dictionary where Key == String, Value == AttributeValue {
    private static var version: UInt8 { 1 }

    /// For storage; equal items give equal bytes.
    public func encoded() -> [UInt8] {
        var out: [UInt8] = [Self.version]
        out.reserveCapacity(byteCount + 3 * count + 8)
        encode(to: &out)
        return out
    }

    fileprivate func encode(to out: inout [UInt8]) {
        ItemWriter.length(count, &out)
        for (name, value) in sorted(by: { $0.key < $1.key }) {
            ItemWriter.text(name, &out)
            value.encode(to: &out)
        }
    }

    /// - Throws: `.corrupt` for bytes that ``encoded()`` did not write.
    public init(decoding bytes: [UInt8]) throws {
        var reader = ItemReader(bytes)
        guard try reader.byte() == Self.version else { throw reader.damaged }
        self = try reader.members(depth: 0)
        guard reader.isAtEnd else { throw reader.damaged }
    }
}

extension AttributeValue {
    fileprivate var tag: UInt8 {
        switch self {
        case .s: 1
        case .n: 2
        case .b: 3
        case .bool(false): 4
        case .bool(true): 5
        case .null: 6
        case .l: 7
        case .m: 8
        case .ss: 9
        case .ns: 10
        case .bs: 11
        }
    }

    fileprivate func encode(to out: inout [UInt8]) {
        out.append(tag)
        switch self {
        case .s(let text): ItemWriter.text(text, &out)
        case .n(let number): number.encode(to: &out)
        case .b(let bytes): ItemWriter.bytes(bytes, &out)
        case .bool, .null: break
        case .l(let all):
            ItemWriter.length(all.count, &out)
            for each in all { each.encode(to: &out) }
        case .m(let members): members.encode(to: &out)
        case .ss(let all):
            ItemWriter.length(all.count, &out)
            for each in all { ItemWriter.text(each, &out) }
        case .ns(let all):
            ItemWriter.length(all.count, &out)
            for each in all { each.encode(to: &out) }
        case .bs(let all):
            ItemWriter.length(all.count, &out)
            for each in all { ItemWriter.bytes(each, &out) }
        }
    }
}

enum ItemWriter {
    static func length(_ value: Int, _ out: inout [UInt8]) {
        var rest = UInt64(value)
        while rest >= 0x80 {
            out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        out.append(UInt8(rest))
    }

    static func text(_ text: String, _ out: inout [UInt8]) {
        length(text.utf8.count, &out)
        out += text.utf8
    }

    static func bytes(_ bytes: [UInt8], _ out: inout [UInt8]) {
        length(bytes.count, &out)
        out += bytes
    }
}

struct ItemReader {
    private let all: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) { all = bytes }

    var isAtEnd: Bool { at == all.count }
    var damaged: StreamError {
        StreamError(.corrupt, "a stored item of \(all.count) bytes is damaged at byte \(at)", fix: "restore the tables' file from a copy")
    }

    mutating func byte() throws -> UInt8 {
        guard at < all.count else { throw damaged }
        defer { at += 1 }
        return all[at]
    }

    mutating func length() throws -> Int {
        var value: UInt64 = 0, shift: UInt64 = 0
        while true {
            let byte = try byte()
            guard shift < 35 else { throw damaged }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return Int(value) }
            shift += 7
        }
    }

    mutating func bytes(_ count: Int) throws -> ArraySlice<UInt8> {
        guard count <= all.count - at else { throw damaged }
        defer { at += count }
        return all[at..<(at + count)]
    }

    mutating func text() throws -> String { String(decoding: try bytes(try length()), as: UTF8.self) }

    mutating func members(depth: Int) throws -> Item {
        let count = try length()
        guard count <= all.count - at else { throw damaged }
        var out = Item(minimumCapacity: count)
        for _ in 0..<count {
            let name = try text()
            out[name] = try value(depth: depth)
        }
        return out
    }

    private mutating func many<T>(_ read: (inout Self) throws -> T) throws -> [T] {
        let count = try length()
        guard count <= all.count - at else { throw damaged }
        return try (0..<count).map { _ in try read(&self) }
    }

    private mutating func value(depth: Int) throws -> AttributeValue {
        // Deeper than any item may be: the bytes are damaged.
        guard depth < 100 else { throw damaged }
        switch try byte() {
        case 1: return .s(try text())
        case 2: return .n(try DynamoNumber(reading: &self))
        case 3: return .b(Array(try bytes(try length())))
        case 4: return .bool(false)
        case 5: return .bool(true)
        case 6: return .null
        case 7: return .l(try many { try $0.value(depth: depth + 1) })
        case 8: return .m(try members(depth: depth + 1))
        case 9: return .ss(try many { try $0.text() })
        case 10: return .ns(try many { try DynamoNumber(reading: &$0) })
        case 11: return .bs(try many { Array(try $0.bytes(try $0.length())) })
        default: throw damaged
        }
    }
}
