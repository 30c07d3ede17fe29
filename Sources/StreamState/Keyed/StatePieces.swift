import StreamCore

/// Keyed state as tables that people can read and that restore exactly.
///
///     key columns | map_key or position | value | last_access | state
///
/// Map keys and values of plain types have a column of that type; others are text for people with the bytes beside them, in
/// a column `..._bytes`. `last_access` is there when the state expires; `state` says the type on every row.
package struct StatePieces: Sendable {
    let codec: KeyCodec
    let layout: HandleLayout

    /// Collects a column of values, shown and exact.
    private struct Part {
        let layout: ElementLayout
        let shown: ColumnBuilder
        let exact: ColumnBuilder?

        init(_ layout: ElementLayout) {
            self.layout = layout
            shown = ColumnBuilder(type: layout.column ?? .string)
            exact = layout.column == nil ? ColumnBuilder(type: .bytes) : nil
        }

        func append(_ bytes: [UInt8]) throws {
            var reader = StateReader(bytes)
            switch layout.column {
            case .bigint?, .timestamp?: shown.append(fixed: try reader.integer(Int64.self))
            case .double?: shown.append(fixed: try reader.double())
            case .float?: shown.append(fixed: try reader.float())
            case .boolean?: shown.append(fixed: UInt8(try reader.read(Bool.self) ? 1 : 0))
            case .some: try reader.escaped().withUnsafeBytes { shown.append(bytes: $0) }
            case nil:
                shown.append(string: try layout.text(bytes))
                bytes.withUnsafeBytes { exact!.append(bytes: $0) }
            }
        }

        static func bytes(_ layout: ElementLayout, _ columns: ArraySlice<Column>, _ row: Int) -> [UInt8] {
            let column = columns.first!
            var writer = StateWriter()
            switch layout.column {
            case .bigint?, .timestamp?: writer.integer(column.pointer(as: Int64.self)[row])
            case .double?: writer.double(column.pointer(as: Double.self)[row])
            case .float?: writer.float(column.pointer(as: Float.self)[row])
            case .boolean?: writer.write(column.pointer(as: UInt8.self)[row] != 0)
            case .some: writer.escaped(column.bytes(at: row))
            case nil: writer.raw(Array(columns.last!.bytes(at: row)))
            }
            return writer.bytes
        }

        var columns: [Column] { [shown.finish()] + (exact.map { [$0.finish()] } ?? []) }
        func names(_ name: String) -> [String] { exact == nil ? [name] : [name, name + "_bytes"] }
    }

    /// Rows of one key group.
    struct Rows {
        var keys: [[UInt8]] = []
        var positions: [Int64] = []
        var mapKeys: [[UInt8]] = []
        var values: [[UInt8]] = []
    }

    func make(_ rows: Rows, group: Int) throws -> KeyGroupState {
        let mapKeys = layout.key.map { Part($0) }, values = Part(layout.value)
        let touched = ColumnBuilder(type: .timestamp(3))
        for (i, value) in rows.values.enumerated() {
            try mapKeys?.append(rows.mapKeys[i])
            guard layout.ttl != nil else {
                try values.append(value)
                continue
            }
            var reader = StateReader(value)
            touched.append(fixed: try reader.fixed(Int64.self))
            try values.append(Array(value[8...]))
        }
        var columns = try codec.decode(rows.keys), names = codec.fields.map(\.name)
        if let mapKeys {
            columns += mapKeys.columns
            names += mapKeys.names("map_key")
        }
        if layout.kind == .list {
            columns.append(rows.positions.withUnsafeBytes { Column(type: .bigint, count: rows.positions.count, values: Buffer(copying: $0)) })
            names.append("position")
        }
        columns += values.columns
        names += values.names("value")
        if layout.ttl != nil {
            columns.append(touched.finish())
            names.append("last_access")
        }
        columns.append(.constant(.string(layout.signature), type: .string, count: rows.values.count))
        names.append("state")
        return KeyGroupState(keyGroup: UInt16(group), name: layout.name, batch: Batch(columns: columns, physicalCount: rows.values.count), columns: names)
    }

    /// Puts a piece's rows into a backend.
    static func restore(_ piece: KeyGroupState, _ codec: KeyCodec, _ layouts: [HandleLayout], into backend: any KeyedBackend) throws {
        let batch = piece.batch.compacted()
        guard batch.count > 0 else { return }
        let columns = batch.columns.map { $0.flat() }
        guard let last = columns.last, last.type.isText else { throw damaged(piece, "its last column is not the state's type") }
        let number = try layouts.number(restoring: piece.name, signature: String(decoding: last.bytes(at: 0), as: UTF8.self))
        let layout = layouts[number]
        let keyTypes = codec.fields.map(\.type)
        guard columns.prefix(keyTypes.count).map(\.type) == keyTypes else {
            throw StreamError(
                .validate, "state \"\(piece.name)\" in the snapshot has keys \(columns.prefix(keyTypes.count).map { "\($0.type)" }), but the rows' keys are \(keyTypes.map { "\($0)" })",
                fix: "partition the rows by the columns that the snapshot was taken with")
        }
        var types = keyTypes
        func add(_ element: ElementLayout) -> Range<Int> {
            let start = types.count
            types += element.column.map { [$0] } ?? [.string, .bytes]
            return start..<types.count
        }
        let mapKeys = layout.key.map { add($0) }
        if layout.kind == .list { types.append(.bigint) }
        let values = add(layout.value)
        if layout.ttl != nil { types.append(.timestamp(3)) }
        guard columns.dropLast().map(\.type) == types else { throw damaged(piece, "its columns are \(columns.map { "\($0.type)" })") }
        for row in 0..<batch.count {
            let key = StateKey(group: Int(piece.keyGroup), bytes: codec.encode(Array(columns[..<keyTypes.count]), row: row))
            var value = StateWriter()
            if layout.ttl != nil { value.fixed(columns[values.upperBound].pointer(as: Int64.self)[row]) }
            value.raw(Part.bytes(layout.value, columns[values], row))
            if let mapKeys {
                try backend.setEntry(number, key, Part.bytes(layout.key!, columns[mapKeys], row), value.bytes)
            } else if layout.kind == .list {
                try backend.append(number, key, [value.bytes])
            } else {
                try backend.setValue(number, key, value.bytes)
            }
        }
    }

    private static func damaged(_ piece: KeyGroupState, _ what: String) -> StreamError {
        StreamError(.corrupt, "state \"\(piece.name)\" of key group \(piece.keyGroup) cannot be restored: \(what)", fix: "restore another checkpoint")
    }
}
