import StreamCore

/// A Swift type that stands for a SQL type in functions written in Swift.
///
///     Bool BOOLEAN          Int8 Int16 Int32 Int64 TINYINT to BIGINT    Int BIGINT
///     Float Double          FLOAT DOUBLE                                String STRING
///     SQLBytes BYTES        SQLDecimal DECIMAL(38, 18)                  SQLDate DATE
///     SQLTime TIME(3)       SQLTimestamp TIMESTAMP(3)                   SQLInstant TIMESTAMP_LTZ(3)
///     [T] ARRAY<T>          [K: V] MAP<K, V>                            T? a value that may be null
public protocol SQLValue: Sendable {
    static var sqlType: DataType { get }
    /// Whether null is one of its values.
    static var acceptsNull: Bool { get }
    /// The value of a row of a plain column of type ``sqlType``; the row is null only when ``acceptsNull``.
    static func read(_ column: Column, _ row: Int) -> Self
    /// Appends the value to a builder for ``sqlType``.
    static func write(_ value: Self, to builder: ColumnBuilder)
}

extension SQLValue {
    public static var acceptsNull: Bool { false }
}

/// A value that is stored as it is.
public protocol FixedSQLValue: SQLValue, BitwiseCopyable {}

extension FixedSQLValue {
    @inlinable public static func read(_ column: Column, _ row: Int) -> Self { column.pointer(as: Self.self)[row] }
    @inlinable public static func write(_ value: Self, to builder: ColumnBuilder) { builder.append(fixed: value) }
}

extension Int8: FixedSQLValue { public static var sqlType: DataType { .tinyint } }
extension Int16: FixedSQLValue { public static var sqlType: DataType { .smallint } }
extension Int32: FixedSQLValue { public static var sqlType: DataType { .int } }
extension Int64: FixedSQLValue { public static var sqlType: DataType { .bigint } }
extension Int: FixedSQLValue { public static var sqlType: DataType { .bigint } }
extension Float: FixedSQLValue { public static var sqlType: DataType { .float } }
extension Double: FixedSQLValue { public static var sqlType: DataType { .double } }

extension Bool: SQLValue {
    public static var sqlType: DataType { .boolean }
    @inlinable public static func read(_ column: Column, _ row: Int) -> Bool { column.pointer(as: UInt8.self)[row] != 0 }
    @inlinable public static func write(_ value: Bool, to builder: ColumnBuilder) { builder.append(fixed: UInt8(value ? 1 : 0)) }
}

extension String: SQLValue {
    public static var sqlType: DataType { .string }
    @inlinable public static func read(_ column: Column, _ row: Int) -> String { String(decoding: column.bytes(at: row), as: UTF8.self) }
    @inlinable public static func write(_ value: String, to builder: ColumnBuilder) { builder.append(string: value) }
}

/// BYTES.
public struct SQLBytes: SQLValue, Hashable, Codable {
    public var bytes: [UInt8]
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public static var sqlType: DataType { .bytes }
    public static func read(_ column: Column, _ row: Int) -> SQLBytes { SQLBytes(Array(column.bytes(at: row))) }
    public static func write(_ value: SQLBytes, to builder: ColumnBuilder) { value.bytes.withUnsafeBytes { builder.append(bytes: $0) } }
}

/// DECIMAL(38, 18).
public struct SQLDecimal: FixedSQLValue, Hashable {
    /// Digits behind the point of ``unscaled``.
    public static let scale = 18
    /// The value times 10^18.
    public var unscaled: Int128
    public init(unscaled: Int128) { self.unscaled = unscaled }

    public static var sqlType: DataType { .decimal(precision: 38, scale: scale) }
}

/// DATE.
public struct SQLDate: FixedSQLValue, Hashable, Codable {
    /// Days since 1970-01-01.
    public var days: Int32
    public init(days: Int32) { self.days = days }
    public static var sqlType: DataType { .date }
}

/// TIME(3).
public struct SQLTime: FixedSQLValue, Hashable, Codable {
    /// Milliseconds of the day.
    public var milliseconds: Int32
    public init(milliseconds: Int32) { self.milliseconds = milliseconds }
    public static var sqlType: DataType { .time(3) }
}

/// TIMESTAMP(3): a date and time without a zone.
public struct SQLTimestamp: FixedSQLValue, Hashable, Codable {
    /// Milliseconds since 1970-01-01 00:00:00.
    public var milliseconds: Int64
    public init(milliseconds: Int64) { self.milliseconds = milliseconds }
    public static var sqlType: DataType { .timestamp(3) }
}

/// TIMESTAMP_LTZ(3): a point in time.
public struct SQLInstant: FixedSQLValue, Hashable, Codable {
    /// Milliseconds since 1970-01-01 00:00:00 UTC.
    public var milliseconds: Int64
    public init(milliseconds: Int64) { self.milliseconds = milliseconds }
    public static var sqlType: DataType { .timestampLTZ(3) }
}

extension Optional: SQLValue where Wrapped: SQLValue {
    public static var sqlType: DataType { Wrapped.sqlType }
    public static var acceptsNull: Bool { true }

    @inlinable public static func read(_ column: Column, _ row: Int) -> Wrapped? { column.isValid(row) ? Wrapped.read(column, row) : nil }

    @inlinable public static func write(_ value: Wrapped?, to builder: ColumnBuilder) {
        if let value { Wrapped.write(value, to: builder) } else { builder.appendNull() }
    }
}

extension Array: SQLValue where Element: SQLValue {
    public static var sqlType: DataType { .array(Element.sqlType) }

    /// Nulls inside are left out when the element type does not take them.
    public static func read(_ column: Column, _ row: Int) -> [Element] {
        let elements = column.children[0].flat(), offsets = column.codes
        return (Int(offsets[row])..<Int(offsets[row + 1])).compactMap { Element.acceptsNull || elements.isValid($0) ? Element.read(elements, $0) : nil }
    }

    public static func write(_ value: [Element], to builder: ColumnBuilder) {
        let child = builder.child(0)
        for element in value { Element.write(element, to: child) }
        builder.finishList()
    }
}

extension Dictionary: SQLValue where Key: SQLValue, Value: SQLValue {
    public static var sqlType: DataType { .map(key: Key.sqlType, value: Value.sqlType) }

    /// Entries with a null that the types do not take are left out.
    public static func read(_ column: Column, _ row: Int) -> [Key: Value] {
        let keys = column.children[0].flat(), values = column.children[1].flat(), offsets = column.codes
        var result: [Key: Value] = [:]
        for i in Int(offsets[row])..<Int(offsets[row + 1]) where Key.acceptsNull || keys.isValid(i) {
            if Value.acceptsNull || values.isValid(i) { result[Key.read(keys, i)] = Value.read(values, i) }
        }
        return result
    }

    public static func write(_ value: [Key: Value], to builder: ColumnBuilder) {
        for (key, item) in value {
            Key.write(key, to: builder.child(0))
            Value.write(item, to: builder.child(1))
        }
        builder.finishList()
    }
}
