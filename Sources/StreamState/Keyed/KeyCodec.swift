import StreamCore

/// Keys of rows as bytes: per key column 00 for null, or 01 and the value as ``StateWriter`` writes it. Equal keys have equal
/// bytes, and bytes sort as the keys do, nulls first.
package struct KeyCodec: Sendable {
    package let fields: Schema

    package init(_ fields: Schema) { self.fields = fields }

    /// - Parameter columns: the key columns, none of them dictionary-coded.
    package func encode(_ columns: [Column], row: Int) -> [UInt8] {
        var writer = StateWriter()
        for column in columns {
            guard column.isValid(row) else {
                writer.byte(0)
                continue
            }
            writer.byte(1)
            switch column.type.physical {
            case .bool: writer.write(column.pointer(as: UInt8.self)[row] != 0)
            case .int8: writer.integer(column.pointer(as: Int8.self)[row])
            case .int16: writer.integer(column.pointer(as: Int16.self)[row])
            case .int32: writer.integer(column.pointer(as: Int32.self)[row])
            case .int64: writer.integer(column.pointer(as: Int64.self)[row])
            case .int128: writer.integer(column.pointer(as: Int128.self)[row])
            // The two zeros are one key, as they are to the exchange.
            case .float: writer.float(column.pointer(as: Float.self)[row] == 0 ? 0 : column.pointer(as: Float.self)[row])
            case .double: writer.double(column.pointer(as: Double.self)[row] == 0 ? 0 : column.pointer(as: Double.self)[row])
            case .view: writer.escaped(column.bytes(at: row))
            case .list, .map, .row, .null: writer.write(column.value(at: row))
            }
        }
        return writer.bytes
    }

    /// The key columns of encoded keys.
    package func decode(_ keys: some Sequence<[UInt8]>) throws -> [Column] {
        let builders = fields.map { ColumnBuilder(type: $0.type) }
        for key in keys {
            var reader = StateReader(key)
            for builder in builders {
                guard try reader.read(Bool.self) else {
                    builder.appendNull()
                    continue
                }
                switch builder.type.physical {
                case .bool: builder.append(fixed: UInt8(try reader.read(Bool.self) ? 1 : 0))
                case .int8: builder.append(fixed: try reader.integer(Int8.self))
                case .int16: builder.append(fixed: try reader.integer(Int16.self))
                case .int32: builder.append(fixed: try reader.integer(Int32.self))
                case .int64: builder.append(fixed: try reader.integer(Int64.self))
                case .int128: builder.append(fixed: try reader.integer(Int128.self))
                case .float: builder.append(fixed: try reader.float())
                case .double: builder.append(fixed: try reader.double())
                case .view: try reader.escaped().withUnsafeBytes { builder.append(bytes: $0) }
                case .list, .map, .row, .null: builder.append(try reader.read(Value.self))
                }
            }
            guard reader.isAtEnd else { throw reader.damaged("a key of \(fields.count) columns goes on") }
        }
        return builders.map { $0.finish() }
    }
}

/// A key and the key group that it belongs to.
package struct StateKey: Hashable, Sendable {
    package var group: Int
    package var bytes: [UInt8]

    package init(group: Int, bytes: [UInt8]) {
        self.group = group
        self.bytes = bytes
    }
}
