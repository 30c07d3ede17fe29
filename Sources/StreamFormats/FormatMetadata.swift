import StreamCore

/// What a format tells beside the rows, as metadata columns of a connector.
///
/// A connector offers the format's keys with `value.` before them, as Flink does, and bare where it has no key of that name itself.
public enum FormatMetadata {
    public static let prefix = "value."

    /// The connector's keys and those of the format.
    public static func readable(_ format: any Format, own: [String: DataType]) -> [String: DataType] {
        var all = own
        for (key, type) in format.metadataKeys {
            all[prefix + key] = type
            if own[key] == nil { all[key] = type }
        }
        return all
    }

    /// The format's key that a metadata column of a connector with the keys `own` stands for; nil when it is one of the connector's.
    public static func key(_ key: String, of format: any Format, own: [String: DataType]) -> String? {
        if own[key] != nil { return nil }
        let short = key.hasPrefix(prefix) ? String(key.dropFirst(prefix.count)) : key
        return format.metadataKeys[short] == nil ? nil : short
    }

    /// Whether a column of the declared type can hold what comes as `type`.
    public static func fits(_ type: DataType, declared: DataType) -> Bool {
        declared == type || declared.isText && type.isText || declared.isTimestamp && type.isTimestamp
    }

    /// - Throws: `.validate` when the column's type cannot hold what the format tells.
    public static func check(_ column: TableDescriptor.MetadataColumn, key: String, of format: any Format, table: TableDescriptor) throws {
        guard let type = format.metadataKeys[key], !fits(type, declared: column.type) else { return }
        throw StreamError(.validate, "table \(table.name): metadata column \(column.name) of type \(column.type) cannot hold '\(column.key)'",
                          fix: "declare it as \(type)")
    }

    /// A column of the format's in the type that the table declares, for which ``fits(_:declared:)`` holds.
    public static func converted(_ column: Column, to type: DataType) -> Column {
        if column.type == type { return column }
        let flat = column.flat()
        guard let from = flat.type.timeUnit, let to = type.timeUnit, from != to else { return flat.retyped(type) }
        let values = Buffer(zeroed: max(flat.count, 1) * 8), out = values.pointer(as: Int64.self), given = flat.pointer(as: Int64.self)
        let up = max(to.perSecond / from.perSecond, 1), down = max(from.perSecond / to.perSecond, 1)
        for i in 0..<flat.count where flat.isValid(i) {
            // Towards the past, so that times before 1970 keep their order.
            let value = given[i].multipliedReportingOverflow(by: up).partialValue
            out[i] = value / down - (value % down < 0 ? 1 : 0)
        }
        return Column(type: type, count: flat.count, validity: flat.validity, values: values)
    }
}
