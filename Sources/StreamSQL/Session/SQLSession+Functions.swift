import StreamCore
import StreamExpressions
import StreamOperators

/// Functions written in Swift. Statements bound from then on may call them; names are case-insensitive.
extension SQLSession {
    /// Registers a scalar function, in place of an earlier one of the name.
    ///
    /// - Throws: `.validate` when the name belongs to an aggregate function.
    public func register(_ function: ScalarFunction) throws {
        try checkNoAggregate(function.name)
        functions.register(function)
    }

    /// Registers a table function, for `LATERAL TABLE(f(x))`.
    public func register(_ function: TableFunction) {
        rowFunctions.register(function.name) { arguments in
            RowFunctionRegistry.Bound(
                function: function.rowFunction, arguments: try function.signature.bind(function.name, arguments), columns: function.columns)
        }
    }

    /// Registers an aggregate function.
    ///
    /// - Throws: `.validate` when the name belongs to a built-in function.
    public func register(_ function: AggregateFunction) throws {
        try checkNoAggregate(function.name)
        guard !functions.contains(function.name) else {
            throw StreamError(.validate, "\(function.name) is a scalar function", fix: "give the aggregate function another name")
        }
        userAggregates[function.name] = function
    }

    private func checkNoAggregate(_ name: String) throws {
        guard !AggregateRegistry.names.contains(name) else {
            throw StreamError(.validate, "\(name) is a built-in aggregate function", fix: "give the function another name")
        }
    }
}
