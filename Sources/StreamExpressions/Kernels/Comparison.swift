import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The comparisons, by their operator names.
enum Comparison: String, CaseIterable, Sendable {
    case equal = "=", notEqual = "<>", less = "<", lessOrEqual = "<=", greater = ">", greaterOrEqual = ">="

    /// The comparison that holds for (b, a) when this one holds for (a, b).
    var swapped: Comparison {
        switch self {
        case .equal, .notEqual: self
        case .less: .greater
        case .lessOrEqual: .greaterOrEqual
        case .greater: .less
        case .greaterOrEqual: .lessOrEqual
        }
    }

    var isEquality: Bool { self == .equal || self == .notEqual }

    func holds(_ order: Int) -> Bool {
        switch self {
        case .equal: order == 0
        case .notEqual: order != 0
        case .less: order < 0
        case .lessOrEqual: order <= 0
        case .greater: order > 0
        case .greaterOrEqual: order >= 0
        }
    }
}

/// A comparison as a type, so that a loop is specialised for it.
protocol ComparisonOperator: SendableMetatype {
    static func test<T: Comparable>(_ a: T, _ b: T) -> Bool
    static var isEquality: Bool { get }
    /// For equality operators: what equal values give.
    static var whenEqual: Bool { get }
}

extension ComparisonOperator {
    static var isEquality: Bool { false }
    static var whenEqual: Bool { false }
}

enum IsEqual: ComparisonOperator {
    @inline(__always) static func test<T: Comparable>(_ a: T, _ b: T) -> Bool { a == b }
    static var isEquality: Bool { true }
    static var whenEqual: Bool { true }
}
enum IsNotEqual: ComparisonOperator {
    @inline(__always) static func test<T: Comparable>(_ a: T, _ b: T) -> Bool { a != b }
    static var isEquality: Bool { true }
}
enum IsLess: ComparisonOperator {
    @inline(__always) static func test<T: Comparable>(_ a: T, _ b: T) -> Bool { a < b }
}
enum IsLessOrEqual: ComparisonOperator {
    @inline(__always) static func test<T: Comparable>(_ a: T, _ b: T) -> Bool { a <= b }
}
enum IsGreater: ComparisonOperator {
    @inline(__always) static func test<T: Comparable>(_ a: T, _ b: T) -> Bool { a > b }
}
enum IsGreaterOrEqual: ComparisonOperator {
    @inline(__always) static func test<T: Comparable>(_ a: T, _ b: T) -> Bool { a >= b }
}

extension TextVector {
    /// Order of two values; the first four bytes mostly decide it without touching the heap.
    @inline(__always)
    static func compare(_ a: TextVector, _ i: Int, _ b: TextVector, _ j: Int) -> Int {
        let x = (a.views + i &* a.step).pointee.prefix.byteSwapped, y = (b.views + j &* b.step).pointee.prefix.byteSwapped
        if x != y { return x < y ? -1 : 1 }
        return ByteOrder.compare(a[i], b[j])
    }

    /// Length and first four bytes, as one word.
    @inline(__always) func head(_ row: Int) -> UInt64 {
        UnsafeRawPointer(views + row &* step).load(as: UInt64.self)
    }

    @inline(__always)
    static func equal(_ a: TextVector, _ i: Int, _ b: TextVector, _ j: Int) -> Bool {
        a.head(i) == b.head(j) && ByteOrder.equal(a[i], b[j])
    }
}

enum Comparisons {
    /// BOOLEAN kernel body for arguments that both have `type`; nil for types without an order.
    static func body(_ comparison: Comparison, _ type: DataType) -> KernelBody? {
        if type.physical.isNested {
            guard comparison.isEquality else { return nil }
            let whenEqual = comparison == .equal
            return { args, rows, _ in
                let a = args[0].flat(), b = args[1].flat()
                return rows.booleans { NestedValue.equal(a, $0, b, $0) == whenEqual }
            }
        }
        switch comparison {
        case .equal: return body(IsEqual.self, type)
        case .notEqual: return body(IsNotEqual.self, type)
        case .less: return body(IsLess.self, type)
        case .lessOrEqual: return body(IsLessOrEqual.self, type)
        case .greater: return body(IsGreater.self, type)
        case .greaterOrEqual: return body(IsGreaterOrEqual.self, type)
        }
    }

    private static func body<Op: ComparisonOperator>(_: Op.Type, _ type: DataType) -> KernelBody? {
        switch type.physical {
        case .bool: fixed(Op.self, UInt8.self)
        case .int8: fixed(Op.self, Int8.self)
        case .int16: fixed(Op.self, Int16.self)
        case .int32: fixed(Op.self, Int32.self)
        case .int64: fixed(Op.self, Int64.self)
        case .float: fixed(Op.self, Float.self)
        case .double: fixed(Op.self, Double.self)
        case .int128: fixed(Op.self, Int128.self)
        case .view: text(Op.self)
        default: nil
        }
    }

    private static func fixed<Op: ComparisonOperator, T: Comparable & BitwiseCopyable & SendableMetatype>(_: Op.Type, _: T.Type) -> KernelBody {
        { args, rows, _ in
            Elementwise.zip(.boolean, args[0], args[1], rows, as: T.self, T.self) { a, b -> UInt8 in Op.test(a, b) ? 1 : 0 }
        }
    }

    private static func text<Op: ComparisonOperator>(_: Op.Type) -> KernelBody {
        { args, rows, _ in
            let a = args[0].text, b = args[1].text
            if Op.isEquality { return rows.booleans { TextVector.equal(a, $0, b, $0) == Op.whenEqual } }
            return rows.booleans { Op.test(TextVector.compare(a, $0, b, $0), 0) }
        }
    }
}

extension PhysicalType {
    var isNested: Bool { self == .list || self == .map || self == .row }
}

/// Equality of values of any type, row by row: for ARRAY, MAP and ROW, where no kernel is worth it.
enum NestedValue {
    /// Both columns have the same type. Nulls inside are equal to nulls; the entries of a map have no order.
    static func equal(_ a: Column, _ i: Int, _ b: Column, _ j: Int) -> Bool {
        guard a.isValid(i) && b.isValid(j) else { return !a.isValid(i) && !b.isValid(j) }
        if let dictionary = a.dictionary { return equal(dictionary, Int(a.codes[i]), b, j) }
        if let dictionary = b.dictionary { return equal(a, i, dictionary, Int(b.codes[j])) }
        func fixed<T: Equatable & BitwiseCopyable & SendableMetatype>(_: T.Type) -> Bool { a.pointer(as: T.self)[i] == b.pointer(as: T.self)[j] }
        switch a.type.physical {
        case .bool, .int8: return fixed(Int8.self)
        case .int16: return fixed(Int16.self)
        case .int32: return fixed(Int32.self)
        case .int64: return fixed(Int64.self)
        case .float: return fixed(Float.self)
        case .double: return fixed(Double.self)
        case .int128: return fixed(Int128.self)
        case .view: return ByteOrder.equal(a.bytes(at: i), b.bytes(at: j))
        case .null: return true
        case .row: return zip(a.children, b.children).allSatisfy { equal($0, i, $1, j) }
        case .list:
            let (x, y) = (Int(a.codes[i])..<Int(a.codes[i + 1]), Int(b.codes[j])..<Int(b.codes[j + 1]))
            return x.count == y.count && zip(x, y).allSatisfy { equal(a.children[0], $0, b.children[0], $1) }
        case .map:
            let (x, y) = (Int(a.codes[i])..<Int(a.codes[i + 1]), Int(b.codes[j])..<Int(b.codes[j + 1]))
            return x.count == y.count && x.allSatisfy { k in
                y.contains { equal(a.children[0], k, b.children[0], $0) && equal(a.children[1], k, b.children[1], $0) }
            }
        }
    }
}
