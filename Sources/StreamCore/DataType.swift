/// A SQL type, as Flink names it. Nullability belongs to the ``Field``; elements of arrays and maps may always be null.
///
/// Physical form of a value in a ``Column``:
///
///     BOOLEAN                      UInt8, 0 or 1
///     TINYINT SMALLINT INT BIGINT  Int8 Int16 Int32 Int64
///     FLOAT DOUBLE                 Float Double
///     DECIMAL(p, s)                Int128, the unscaled value (Arrow's decimal128)
///     VARIANT                      16-byte view of the bytes that ``Variant`` describes
///     CHAR VARCHAR BINARY ...      16-byte view (Arrow's binary view), UTF-8 for text
///     DATE                         Int32, days since 1970-01-01
///     TIME(p)                      Int32, milliseconds of the day
///     TIMESTAMP(p), _LTZ(p)        Int64; the unit follows p: see ``TimeUnit``
///     INTERVAL YEAR TO MONTH       Int32, months
///     INTERVAL DAY TO SECOND       Int64, milliseconds
///     ARRAY, MAP                   Int32 offsets [n + 1], children: element, or key and value
///     ROW                          children only
public indirect enum DataType: Hashable, Sendable {
    case boolean, tinyint, smallint, int, bigint, float, double
    case decimal(precision: Int, scale: Int)
    case char(Int), varchar(Int)
    case binary(Int), varbinary(Int)
    case date
    case time(Int), timestamp(Int), timestampLTZ(Int)
    case intervalYearMonth, intervalDayTime
    case array(DataType)
    case map(key: DataType, value: DataType)
    case row([Field])
    /// Any value, with its type in it: see ``Variant``.
    case variant
    /// The type of a bare NULL literal, before a context gives it another.
    case null

    public static let maxLength = 2_147_483_647
    public static let string = DataType.varchar(maxLength)
    public static let bytes = DataType.varbinary(maxLength)
}

/// A named column, or a named part of a ROW.
public struct Field: Hashable, Sendable {
    public var name: String
    public var type: DataType
    public var nullable: Bool

    public init(_ name: String, _ type: DataType, nullable: Bool = true) {
        self.name = name
        self.type = type
        self.nullable = nullable
    }
}

public typealias Schema = [Field]

/// How timestamps of a precision are stored: 0...3 milliseconds, 4...6 microseconds, 7...9 nanoseconds since 1970-01-01.
public enum TimeUnit: Int64, Sendable {
    case milliseconds = 1_000
    case microseconds = 1_000_000
    case nanoseconds = 1_000_000_000

    public init(precision: Int) {
        self = precision <= 3 ? .milliseconds : precision <= 6 ? .microseconds : .nanoseconds
    }

    public var perSecond: Int64 { rawValue }
    public var perMillisecond: Int64 { rawValue / 1_000 }
}

/// The storage class of a type; kernels switch on it once per batch.
public enum PhysicalType: Sendable {
    case bool, int8, int16, int32, int64, float, double, int128, view, list, map, row, null
}

extension DataType {
    public var physical: PhysicalType {
        switch self {
        case .boolean: .bool
        case .tinyint: .int8
        case .smallint: .int16
        case .int, .date, .time, .intervalYearMonth: .int32
        case .bigint, .timestamp, .timestampLTZ, .intervalDayTime: .int64
        case .float: .float
        case .double: .double
        case .decimal: .int128
        case .char, .varchar, .binary, .varbinary, .variant: .view
        case .array: .list
        case .map: .map
        case .row: .row
        case .null: .null
        }
    }

    /// Bytes of one value in the values buffer; 4 for lists and maps (an offset), 0 for rows and nulls.
    public var width: Int {
        switch physical {
        case .bool, .int8: 1
        case .int16: 2
        case .int32, .float, .list, .map: 4
        case .int64, .double: 8
        case .int128, .view: 16
        case .row, .null: 0
        }
    }

    public var isText: Bool {
        switch self {
        case .char, .varchar: true
        default: false
        }
    }

    public var isBinary: Bool {
        switch self {
        case .binary, .varbinary: true
        default: false
        }
    }

    public var isInteger: Bool {
        switch self {
        case .tinyint, .smallint, .int, .bigint: true
        default: false
        }
    }

    public var isDecimal: Bool {
        if case .decimal = self { true } else { false }
    }

    public var isApproximate: Bool { self == .float || self == .double }
    public var isNumeric: Bool { isInteger || isDecimal || isApproximate }

    public var isTimestamp: Bool {
        switch self {
        case .timestamp, .timestampLTZ: true
        default: false
        }
    }

    public var isTemporal: Bool {
        switch self {
        case .date, .time, .timestamp, .timestampLTZ: true
        default: false
        }
    }

    public var isInterval: Bool { self == .intervalYearMonth || self == .intervalDayTime }

    /// The unit of a TIMESTAMP or TIMESTAMP_LTZ; nil for other types.
    public var timeUnit: TimeUnit? {
        switch self {
        case .timestamp(let p), .timestampLTZ(let p): TimeUnit(precision: p)
        default: nil
        }
    }

    /// Precision and scale that hold every value of an exact numeric type; nil for other types.
    public var decimalShape: (precision: Int, scale: Int)? {
        switch self {
        case .decimal(let p, let s): (p, s)
        case .tinyint: (3, 0)
        case .smallint: (5, 0)
        case .int: (10, 0)
        case .bigint: (19, 0)
        default: nil
        }
    }
}

extension DataType: CustomStringConvertible {
    /// As Flink prints it: `DECIMAL(10, 2)`, `ROW<city STRING, n INT>`.
    public var description: String {
        switch self {
        case .boolean: "BOOLEAN"
        case .tinyint: "TINYINT"
        case .smallint: "SMALLINT"
        case .int: "INT"
        case .bigint: "BIGINT"
        case .float: "FLOAT"
        case .double: "DOUBLE"
        case .decimal(let p, let s): "DECIMAL(\(p), \(s))"
        case .char(let n): "CHAR(\(n))"
        case .varchar(Self.maxLength): "STRING"
        case .varchar(let n): "VARCHAR(\(n))"
        case .binary(let n): "BINARY(\(n))"
        case .varbinary(Self.maxLength): "BYTES"
        case .varbinary(let n): "VARBINARY(\(n))"
        case .date: "DATE"
        case .time(let p): "TIME(\(p))"
        case .timestamp(let p): "TIMESTAMP(\(p))"
        case .timestampLTZ(let p): "TIMESTAMP_LTZ(\(p))"
        case .intervalYearMonth: "INTERVAL YEAR TO MONTH"
        case .intervalDayTime: "INTERVAL DAY TO SECOND(3)"
        case .array(let e): "ARRAY<\(e)>"
        case .map(let k, let v): "MAP<\(k), \(v)>"
        case .row(let fields):
            "ROW<" + fields.map { "\($0.name) \($0.type)\($0.nullable ? "" : " NOT NULL")" }.joined(separator: ", ") + ">"
        case .variant: "VARIANT"
        case .null: "NULL"
        }
    }
}
