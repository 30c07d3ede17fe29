import StreamCore

extension FunctionRegistry {
    /// Every function and operator of the dialect.
    ///
    /// A pack is a `static func register...(into:)` that adds the functions of one field; a later pack may replace what an
    /// earlier one registered.
    public static let builtin: FunctionRegistry = {
        var registry = FunctionRegistry()
        registerOperators(into: &registry)
        registerConditionals(into: &registry)
        registerScalarFunctions(into: &registry)
        return registry
    }()
}
