import StreamCore

/// Rows of columns as VARIANT objects, with the values' types.
enum VariantRows {
    static func objects(_ names: [String], _ columns: [Column], count: Int) -> Column {
        let keys = names.map { Array($0.utf8) }, columns = columns.map { $0.flat() }
        let builder = ColumnBuilder(type: .variant, capacity: count)
        var writer = VariantWriter()
        for row in 0..<count {
            writer.removeAll()
            writer.object { out, next in
                for (key, column) in zip(keys, columns) {
                    append(column, row, to: &out)
                    next(&out, key)
                }
            }
            writer.bytes.withUnsafeBytes { builder.append(bytes: $0) }
        }
        return builder.finish()
    }

    /// The value of a plain column at a row.
    static func append(_ column: Column, _ row: Int, to out: inout VariantWriter) {
        guard column.isValid(row) else { return out.appendNull() }
        switch column.type {
        case .boolean: out.append(column.pointer(as: UInt8.self)[row] != 0)
        case .tinyint: out.append(Int64(column.pointer(as: Int8.self)[row]))
        case .smallint: out.append(Int64(column.pointer(as: Int16.self)[row]))
        case .int, .intervalYearMonth: out.append(Int64(column.pointer(as: Int32.self)[row]))
        case .bigint, .intervalDayTime: out.append(column.pointer(as: Int64.self)[row])
        case .float: out.append(column.pointer(as: Float.self)[row])
        case .double: out.append(column.pointer(as: Double.self)[row])
        case .decimal(_, let scale): out.append(decimal: column.pointer(as: Int128.self)[row], scale: scale)
        case .char, .varchar: out.append(string: column.bytes(at: row))
        case .binary, .varbinary: out.append(binary: column.bytes(at: row))
        case .date: out.append(days: column.pointer(as: Int32.self)[row])
        case .time: out.append(time: column.pointer(as: Int32.self)[row])
        case .timestamp(let precision): out.append(timestamp: column.pointer(as: Int64.self)[row], precision: precision, isInstant: false)
        case .timestampLTZ(let precision): out.append(timestamp: column.pointer(as: Int64.self)[row], precision: precision, isInstant: true)
        case .variant: out.append(Variant(column.bytes(at: row)))
        case .null: out.appendNull()
        case .array:
            let elements = column.children[0].flat()
            out.array { out, next in
                for i in column.codes[row]..<column.codes[row + 1] {
                    append(elements, Int(i), to: &out)
                    next(&out)
                }
            }
        case .map:
            let keys = column.children[0].flat(), values = column.children[1].flat()
            out.object { out, next in
                for i in column.codes[row]..<column.codes[row + 1] {
                    append(values, Int(i), to: &out)
                    next(&out, keys.type.isText ? Array(keys.bytes(at: Int(i))) : Array(keys.value(at: Int(i)).plainText(as: keys.type).utf8))
                }
            }
        case .row(let fields):
            let parts = column.children.map { $0.flat() }
            out.object { out, next in
                for (field, part) in zip(fields, parts) {
                    append(part, row, to: &out)
                    next(&out, Array(field.name.utf8))
                }
            }
        }
    }
}
