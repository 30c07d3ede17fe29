/// A value whose type is known only from the value itself, as a VARIANT column stores it. A view: the bytes must outlive it.
///
/// All numbers are little-endian; equal values have equal bytes.
///
///     null true false        tag
///     integer                tag, Int64
///     double, float          tag, bits
///     decimal                tag, scale UInt8, unscaled Int128 without trailing zeros
///     string, binary         tag, the bytes to the end
///     date, time             tag, Int32
///     timestamp, instant     tag, precision UInt8, Int64
///     array                  tag, count UInt32, end UInt32 of each element, the elements
///     object                 tag, count UInt32, end UInt32 of each key, end UInt32 of each value, keys, values; ascending by key
///
/// Ends count from behind the ends.
public struct Variant {
    public enum Kind: UInt8, Sendable {
        case null, `true`, `false`, integer, double, float, decimal, string, binary, date, time, timestamp, instant, array, object
    }

    public let bytes: UnsafeRawBufferPointer

    public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Bytes that are no VARIANT count as null.
    public var kind: Kind { bytes.isEmpty ? .null : Kind(rawValue: bytes[0]) ?? .null }

    @inline(__always)
    private func load<T: BitwiseCopyable>(_ at: Int, as type: T.Type) -> T { bytes.loadUnaligned(fromByteOffset: at, as: type) }

    private func part(_ from: Int, _ to: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[from..<to]) }

    public var integer: Int64 { load(1, as: Int64.self) }
    public var double: Double { Double(bitPattern: load(1, as: UInt64.self)) }
    public var float: Float { Float(bitPattern: load(1, as: UInt32.self)) }
    public var decimal: (unscaled: Int128, scale: Int) { (load(2, as: Int128.self), Int(bytes[1])) }
    /// Of a string (UTF-8) or a binary value.
    public var content: UnsafeRawBufferPointer { part(1, bytes.count) }
    /// Days of a date, milliseconds of a time.
    public var int32: Int32 { load(1, as: Int32.self) }
    /// In the unit of its precision (``TimeUnit``).
    public var timestamp: (value: Int64, precision: Int) { (load(2, as: Int64.self), Int(bytes[1])) }

    /// Elements of an array, or members of an object; 0 for others.
    public var count: Int { kind == .array || kind == .object ? Int(load(1, as: UInt32.self)) : 0 }

    private func end(_ i: Int) -> Int { i < 0 ? 0 : Int(load(5 + 4 * i, as: UInt32.self)) }

    /// Element `i` of an array, from 0.
    public func element(_ i: Int) -> Variant {
        let start = 5 + 4 * count
        return Variant(part(start + end(i - 1), start + end(i)))
    }

    public func key(_ i: Int) -> UnsafeRawBufferPointer {
        let start = 5 + 8 * count
        return part(start + end(i - 1), start + end(i))
    }

    /// Value of member `i` of an object, from 0.
    public func value(_ i: Int) -> Variant {
        let n = count
        let start = 5 + 8 * n + end(n - 1)
        return Variant(part(start + (i == 0 ? 0 : end(n + i - 1)), start + end(n + i)))
    }

    /// The value under a key; nil when this is no object, or has no such key.
    public func member(_ name: UnsafeRawBufferPointer) -> Variant? {
        guard kind == .object else { return nil }
        var low = 0, high = count
        while low < high {
            let middle = (low + high) / 2
            let order = ByteOrder.compare(key(middle), name)
            if order == 0 { return value(middle) }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// What the value is called in error messages.
    public var kindName: String {
        switch kind {
        case .null: "null"
        case .true, .false: "a boolean"
        case .integer, .double, .float, .decimal: "a number"
        case .string: "a string"
        case .binary: "a binary value"
        case .date: "a date"
        case .time: "a time"
        case .timestamp, .instant: "a timestamp"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// Order of two values: numbers among each other, and values of one kind. nil when they have none, because their kinds differ, one is
    /// null, or they are arrays or objects that differ.
    public static func compare(_ a: Variant, _ b: Variant) -> Int? {
        func order<T: Comparable>(_ x: T, _ y: T) -> Int { x < y ? -1 : x == y ? 0 : 1 }
        switch (a.kind, b.kind) {
        case (.null, _), (_, .null): return nil
        case (.true, .true), (.false, .false): return 0
        case (.true, .false): return 1
        case (.false, .true): return -1
        case (.integer, .integer): return order(a.integer, b.integer)
        case (.string, .string), (.binary, .binary): return ByteOrder.compare(a.content, b.content)
        case (.date, .date), (.time, .time): return order(a.int32, b.int32)
        case (.timestamp, .timestamp), (.instant, .instant):
            let (x, y) = (a.timestamp, b.timestamp)
            let (u, v) = (TimeUnit(precision: x.precision).perSecond, TimeUnit(precision: y.precision).perSecond)
            return order(Int128(x.value) * Int128(v), Int128(y.value) * Int128(u))
        case (.array, .array), (.object, .object):
            return a.bytes.elementsEqual(b.bytes) ? 0 : nil
        default:
            if let x = a.exact, let y = b.exact { return compare(x, y) }
            guard let x = a.number, let y = b.number, !x.isNaN, !y.isNaN else { return nil }
            return order(x, y)
        }
    }

    /// An integer or decimal.
    private var exact: (unscaled: Int128, scale: Int)? {
        switch kind {
        case .integer: (Int128(integer), 0)
        case .decimal: decimal
        default: nil
        }
    }

    /// Any number, as the nearest double.
    public var number: Double? {
        switch kind {
        case .integer: return Double(integer)
        case .double: return double
        case .float: return Double(float)
        case .decimal:
            let (unscaled, scale) = decimal
            return Double(NumberText.string(decimal: unscaled, scale: scale))
        default: return nil
        }
    }

    private static func compare(_ a: (unscaled: Int128, scale: Int), _ b: (unscaled: Int128, scale: Int)) -> Int {
        let (p, q) = (NumberText.int128PowersOfTen[a.scale], NumberText.int128PowersOfTen[b.scale])
        let (x, y) = (a.unscaled / p, b.unscaled / q)
        if x != y { return x < y ? -1 : 1 }
        // Fractions at the larger scale have no more digits than it.
        let scale = max(a.scale, b.scale)
        let u = (a.unscaled % p) * NumberText.int128PowersOfTen[scale - a.scale], v = (b.unscaled % q) * NumberText.int128PowersOfTen[scale - b.scale]
        return u < v ? -1 : u == v ? 0 : 1
    }
}
