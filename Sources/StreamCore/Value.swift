/// One value, boxed: for literals, tests, printing and other places off the hot path.
///
/// The storage type decides the case, the ``DataType`` beside it what it means: a TIMESTAMP(3) is an `.int` of
/// milliseconds, a DECIMAL an `.decimal` of the unscaled value.
public enum Value: Hashable, Sendable {
    case null
    case bool(Bool)
    /// TINYINT to BIGINT, DATE, TIME, timestamps and intervals, in the unit of their type.
    case int(Int64)
    case float(Float)
    case double(Double)
    case decimal(Int128)
    case string(String)
    case binary([UInt8])
    case array([Value])
    /// Entries in insertion order.
    case map([MapEntry])
    case row([Value])

    /// One key of a MAP and its value.
    public struct MapEntry: Hashable, Sendable {
        public var key: Value, value: Value
        public init(_ key: Value, _ value: Value) { (self.key, self.value) = (key, value) }
    }
}

extension Column {
    /// The value of a row, boxed. Slow: not for the hot path.
    public func value(at row: Int) -> Value {
        guard isValid(row) else { return .null }
        if let dictionary { return dictionary.value(at: Int(codes[row])) }
        switch type.physical {
        case .bool: return .bool(pointer(as: UInt8.self)[row] != 0)
        case .int8: return .int(Int64(pointer(as: Int8.self)[row]))
        case .int16: return .int(Int64(pointer(as: Int16.self)[row]))
        case .int32: return .int(Int64(pointer(as: Int32.self)[row]))
        case .int64: return .int(pointer(as: Int64.self)[row])
        case .float: return .float(pointer(as: Float.self)[row])
        case .double: return .double(pointer(as: Double.self)[row])
        case .int128: return .decimal(pointer(as: Int128.self)[row])
        case .view:
            return type.isText ? .string(String(decoding: bytes(at: row), as: UTF8.self)) : .binary(Array(bytes(at: row)))
        case .list: return .array((codes[row]..<codes[row + 1]).map { children[0].value(at: Int($0)) })
        case .map:
            return .map((codes[row]..<codes[row + 1]).map {
                .init(children[0].value(at: Int($0)), children[1].value(at: Int($0)))
            })
        case .row: return .row(children.map { $0.value(at: row) })
        case .null: return .null
        }
    }
}
