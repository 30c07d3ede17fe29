import StreamCore

/// What a function written in Swift takes, in order.
public struct FunctionSignature: Sendable {
    public var types: [DataType] = []
    /// Whether null is passed on at a place; elsewhere a null argument makes the result null without a call.
    public var acceptsNull: [Bool] = []

    public init<each Argument: SQLValue>(of arguments: repeat (each Argument).Type) {
        func add<T: SQLValue>(_: T.Type) {
            types.append(T.sqlType)
            acceptsNull.append(T.acceptsNull)
        }
        repeat add((each Argument).self)
    }

    /// Null is never passed on.
    public init(types: [DataType]) {
        self.types = types
        acceptsNull = types.map { _ in false }
    }

    /// The arguments of a call, cast to what the function takes.
    ///
    /// - Throws: `.validate` with what was given and what is taken.
    public func bind(_ name: String, _ args: [Expr]) throws -> [Expr] {
        guard args.count == types.count else {
            throw StreamError(.validate, "\(name) takes \(types.count) argument\(types.count == 1 ? "" : "s")\(list(types)), \(args.count) given")
        }
        return try zip(args, types).enumerated().map { i, pair in
            let (arg, type) = pair
            guard arg.type == type || arg.type == .null || TypeCoercion.canAssign(arg.type, to: type) && Casts.isSupported(arg.type, type) else {
                throw StreamError(.validate, "\(name) takes \(type) as argument \(i + 1), but \(arg.type) was given", fix: "write CAST(... AS \(type))")
            }
            return try Binding.cast(arg, to: type)
        }
    }

    private func list(_ types: [DataType]) -> String {
        types.isEmpty ? "" : " (\(types.map(\.description).joined(separator: ", ")))"
    }

    /// The rows that a function is called for: none with a null that it does not take. `columns` are plain.
    public func rows(_ rows: RowSet, _ columns: [Column]) -> RowSet {
        var validity = rows.validity
        for (column, takesNull) in zip(columns, acceptsNull) where !takesNull { validity = Bitmap.and(validity, column.validity, count: rows.count) }
        return RowSet(rows.selection, count: rows.count, validity: validity)
    }

    /// The error of a function's body, with the values it was called with.
    public static func failure(_ name: String, _ error: any Error, _ columns: [Column], _ row: Int) -> StreamError {
        let values = columns.map { $0.isValid(row) ? $0.shown(at: row) : "NULL" }.joined(separator: ", ")
        if let error = error as? StreamError { return StreamError(error.code, "\(name)(\(values)): \(error.problem)", fix: error.fix) }
        return StreamError(.runtime, "\(name)(\(values)) failed: \(error)")
    }
}
