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
        case .array, .map, .row, .variant, .null, .intervalDayTime, .intervalYearMonth: false
        default: true
        }
    }
}
