import StreamCore

/// The columns that an operator's pieces of state have.
struct StateColumns: Sendable {
    var names: [String]
    var types: [DataType]

    init(_ fields: [(String, DataType)]) { (names, types) = (fields.map(\.0), fields.map(\.1)) }
    init(_ schema: Schema) { (names, types) = (schema.map(\.name), schema.map(\.type)) }

    static func + (a: StateColumns, b: StateColumns) -> StateColumns { StateColumns(Array(zip(a.names + b.names, a.types + b.types))) }

    /// When a row of state was last written, for state that expires.
    static let lastWrite = StateColumns([("last_write", .timestampLTZ(3))])

    /// The plain columns of a restored piece.
    ///
    /// - Parameter extra: columns that state has behind these when it was kept in another way, for example with a time to live.
    /// - Throws: `.conflict` when they are not those of this operator.
    func columns(of piece: KeyGroupState, operator name: String, extra: StateColumns? = nil) throws -> [Column] {
        let batch = piece.batch.compacted()
        let wanted = types + (batch.columns.count > types.count ? extra?.types ?? [] : [])
        guard wanted.count == batch.columns.count, zip(wanted, batch.columns).allSatisfy({ Self.fits($1.type, $0) }) else {
            let held = batch.columns.enumerated().map { i, column in
                (piece.columns.indices.contains(i) ? piece.columns[i] : "column \(i + 1)") + " \(column.type)"
            }
            throw StreamError(
                .conflict, "the state \"\(piece.name)\" of \(name) was kept as (\(held.joined(separator: ", "))), but the query now keeps "
                    + "(\(zip(names, types).map { "\($0) \($1)" }.joined(separator: ", ")))",
                fix: "resume with the query that made the snapshot, or start the changed query without it")
        }
        return zip(wanted, batch.columns).map { type, column in column.type == type ? column.flat() : column.flat().retyped(type) }
    }

    /// Lengths of texts, names of fields and nullability make no difference to how values are kept.
    private static func fits(_ held: DataType, _ wanted: DataType) -> Bool {
        switch (held, wanted) {
        case (.array(let a), .array(let b)): fits(a, b)
        case (.map(let ak, let av), .map(let bk, let bv)): fits(ak, bk) && fits(av, bv)
        case (.row(let a), .row(let b)): a.count == b.count && zip(a, b).allSatisfy { fits($0.type, $1.type) }
        default: held == wanted || (held.isText && wanted.isText) || (held.isBinary && wanted.isBinary)
        }
    }
}

extension KeyGroupState {
    /// Numbers of a whole subtask, which every subtask gets back.
    static func broadcast(_ name: String, _ columns: StateColumns, rows: [[Int64]]) -> KeyGroupState {
        let made = columns.types.enumerated().map { c, type in Column.make(type, count: rows.count, zero: Int64(0)) { rows[$0][c] } }
        return KeyGroupState(keyGroup: everywhere, name: name, batch: Batch(columns: made, physicalCount: rows.count), columns: columns.names)
    }

    func unknown(operator name: String) -> StreamError {
        StreamError(.conflict, "\(name) was given state \"\(self.name)\", which it does not keep",
                    fix: "resume with the query that made the snapshot, or start the changed query without it")
    }
}
