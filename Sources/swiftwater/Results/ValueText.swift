import StreamCore

/// Values as people read them: what CAST(x AS STRING) gives.
enum ValueText {
    static func text(_ value: Value, _ type: DataType, null: String = "NULL") -> String {
        switch (value, type) {
        case (.null, _): return null
        case (.bool(let v), _): return v ? "TRUE" : "FALSE"
        case (.int(let v), .date): return DateTimeText.date(Int32(truncatingIfNeeded: v))
        case (.int(let v), .time(let p)): return DateTimeText.time(Int32(truncatingIfNeeded: v), precision: p)
        case (.int(let v), .timestamp(let p)), (.int(let v), .timestampLTZ(let p)): return DateTimeText.timestamp(v, precision: p)
        case (.int(let v), .intervalYearMonth):
            return (v < 0 ? "-" : "+") + "\(v.magnitude / 12)-" + pad(v.magnitude % 12, 2)
        case (.int(let v), .intervalDayTime):
            let m = v.magnitude
            return (v < 0 ? "-" : "+") + "\(m / 86_400_000) " + pad(m / 3_600_000 % 24, 2) + ":" + pad(m / 60_000 % 60, 2) + ":"
                + pad(m / 1_000 % 60, 2) + "." + pad(m % 1_000, 3)
        case (.int(let v), _): return "\(v)"
        case (.float(let v), _): return NumberText.string(v)
        case (.double(let v), _): return NumberText.string(v)
        case (.decimal(let v), .decimal(_, let s)): return NumberText.string(decimal: v, scale: s)
        case (.decimal(let v), _): return "\(v)"
        case (.string(let v), _): return v
        case (.binary(let v), .variant): return v.withUnsafeBytes { VariantJSON.text(Variant($0)) }
        case (.binary(let v), _): return "x'" + v.map { pad16($0) }.joined() + "'"
        case (.array(let items), .array(let e)): return "[" + items.map { text($0, e, null: "NULL") }.joined(separator: ", ") + "]"
        case (.map(let entries), .map(let k, let v)):
            return "{" + entries.map { text($0.key, k) + "=" + text($0.value, v) }.joined(separator: ", ") + "}"
        case (.row(let items), .row(let fields)):
            return "(" + zip(items, fields).map { text($0, $1.type) }.joined(separator: ", ") + ")"
        default: return "\(value)"
        }
    }

    /// Numbers and booleans as such, everything else as the string that `text` gives.
    static func json(_ value: Value, _ type: DataType) -> String {
        switch value {
        case .null: return "null"
        case .bool(let v): return v ? "true" : "false"
        case .int(let v) where type.isInteger: return "\(v)"
        case .float(let v): return v.isFinite ? "\(v)" : JSONText.quote(NumberText.string(v))
        case .double(let v): return v.isFinite ? "\(v)" : JSONText.quote(NumberText.string(v))
        default: return JSONText.quote(text(value, type))
        }
    }

    private static func pad(_ n: some BinaryInteger, _ width: Int) -> String {
        let text = "\(n)"
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    private static func pad16(_ byte: UInt8) -> String {
        let text = String(byte, radix: 16)
        return byte < 16 ? "0" + text : text
    }
}
