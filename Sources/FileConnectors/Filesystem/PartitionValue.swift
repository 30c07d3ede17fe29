import StreamCore

/// Values of partition columns as text in folder names.
enum PartitionValue {
    /// The value that a folder name stands for; nil when it does not fit the column's type.
    static func parse(_ text: String, _ type: DataType) -> Value? {
        var copy = text
        return copy.withUTF8 { utf8 in
            let bytes = UnsafeRawBufferPointer(utf8)
            func integer(_ range: ClosedRange<Int64>) -> Value? {
                guard let value = Int64(text), range.contains(value) else { return nil }
                return .int(value)
            }
            switch type {
            case .boolean: return text.lowercased() == "true" ? .bool(true) : text.lowercased() == "false" ? .bool(false) : nil
            case .tinyint: return integer(-128...127)
            case .smallint: return integer(-32_768...32_767)
            case .int: return integer(Int64(Int32.min)...Int64(Int32.max))
            case .bigint: return integer(.min ... .max)
            case .float: return NumberText.parseFloat(bytes).map { .float($0) }
            case .double: return NumberText.parseDouble(bytes).map { .double($0) }
            case .decimal(let p, let s): return NumberText.parseDecimal(bytes, precision: p, scale: s).map { .decimal($0) }
            case .char, .varchar: return .string(text)
            case .binary, .varbinary: return .binary(Array(bytes))
            case .date: return DateTimeText.parseDate(bytes).map { .int(Int64($0)) }
            case .time(let p): return DateTimeText.parseTime(bytes, precision: p).map { .int(Int64($0)) }
            case .timestamp(let p), .timestampLTZ(let p): return DateTimeText.parseTimestamp(bytes, precision: p).map { .int($0) }
            default: return nil
            }
        }
    }

    static func isSupported(_ type: DataType) -> Bool {
        switch type {
        case .array, .map, .row, .null, .intervalDayTime, .intervalYearMonth: false
        default: true
        }
    }

    /// Text of a value that is not null.
    static func text(_ value: Value, _ type: DataType) -> String {
        switch (value, type) {
        case (.bool(let v), _): v ? "true" : "false"
        case (.int(let v), .date): DateTimeText.date(Int32(truncatingIfNeeded: v))
        case (.int(let v), .time(let p)): DateTimeText.time(Int32(truncatingIfNeeded: v), precision: p)
        case (.int(let v), .timestamp(let p)), (.int(let v), .timestampLTZ(let p)): DateTimeText.timestamp(v, precision: p)
        case (.int(let v), _): String(v)
        case (.float(let v), _): NumberText.string(v)
        case (.double(let v), _): NumberText.string(v)
        case (.decimal(let v), .decimal(_, let scale)): NumberText.string(decimal: v, scale: scale)
        case (.string(let v), _): v
        case (.binary(let v), _): String(decoding: v, as: UTF8.self)
        default: preconditionFailure("value \(value) cannot be part of a folder's name")
        }
    }
}
