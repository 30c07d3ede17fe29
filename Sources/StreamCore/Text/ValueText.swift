extension Value {
    /// The value of a plain type as text that names a folder or a partition key: exact numbers, ISO dates and times, "null".
    public func plainText(as type: DataType) -> String {
        switch (self, type) {
        case (.null, _): "null"
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
        default: "\(self)"
        }
    }
}
