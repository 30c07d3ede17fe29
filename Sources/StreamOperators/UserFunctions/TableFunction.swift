import StreamCore
import StreamExpressions

/// Takes the rows that one call of a ``TableFunction`` gives.
public struct RowEmitter<each Part: SQLValue> {
    fileprivate let rows: EmittedRows

    /// Gives one row.
    public func callAsFunction(_ parts: repeat each Part) {
        var next = 0
        func write<T: SQLValue>(_ value: T) {
            T.write(value, to: rows.builders[next])
            next += 1
        }
        repeat write(each parts)
        rows.calls.append(rows.call)
    }
}

private final class EmittedRows {
    let builders: [ColumnBuilder]
    var calls: [Int32] = []
    var call: Int32 = 0

    init(_ types: [DataType]) { builders = types.map { ColumnBuilder(type: $0) } }
}

/// A table function written in Swift: any number of rows for each call, used as `LATERAL TABLE(f(x))`.
///
///     TableFunction("WORDS", columns: ["word", "length"]) { (emit: RowEmitter<String, Int>, text: String) in
///         for word in text.split(separator: " ") { emit(String(word), word.count) }
///     }
public struct TableFunction: Sendable {
    public let name: String
    public let signature: FunctionSignature
    /// What each row consists of.
    public let columns: Schema
    public let isDeterministic: Bool
    private let call: @Sendable (EmittedRowsBox, [Column], Int) throws -> Void

    /// What the calls of one batch give to, without its generic types.
    private struct EmittedRowsBox { let rows: EmittedRows }

    /// A call with a null argument gives no rows, unless the parameter is Optional. The closure may run on several threads.
    ///
    /// - Parameter names: of the columns, as many as ``RowEmitter`` has parts.
    public init<each Argument: SQLValue, each Part: SQLValue>(
        _ name: String, columns names: [String], isDeterministic: Bool = true,
        _ body: @escaping @Sendable (RowEmitter<repeat each Part>, repeat each Argument) throws -> Void
    ) {
        let parts = FunctionSignature(of: repeat (each Part).self)
        precondition(names.count == parts.types.count, "\(name) gives rows of \(parts.types.count) columns, but has \(names.count) names for them")
        let upper = name.uppercased()
        self.name = upper
        self.isDeterministic = isDeterministic
        signature = FunctionSignature(of: repeat (each Argument).self)
        columns = names.indices.map { Field(names[$0], parts.types[$0], nullable: parts.acceptsNull[$0]) }
        call = { box, columns, row in
            var next = 0
            func argument<T: SQLValue>(_: T.Type) -> T {
                defer { next += 1 }
                return T.read(columns[next], row)
            }
            do {
                try body(RowEmitter<repeat each Part>(rows: box.rows), repeat argument((each Argument).self))
            } catch {
                throw FunctionSignature.failure(upper, error, columns, row)
            }
        }
    }

    /// The function as the planner takes it.
    public var rowFunction: RowFunction {
        RowFunction(name: name, resultTypes: columns.map(\.type), isDeterministic: isDeterministic) { _ in Instance(function: self) }
    }

    private final class Instance: RowFunctionInstance {
        let function: TableFunction
        init(function: TableFunction) { self.function = function }

        func call(_ arguments: [Column], count: Int) throws -> (columns: [Column], calls: [Int32]) {
            let columns = arguments.map { $0.flat() }
            let rows = EmittedRows(function.columns.map(\.type))
            try function.signature.rows(RowSet(nil, count: count), columns).forEach { row in
                rows.call = Int32(truncatingIfNeeded: row)
                try function.call(EmittedRowsBox(rows: rows), columns, row)
            }
            return (rows.builders.map { $0.finish() }, rows.calls)
        }
    }
}
