import StreamCore
import StreamExpressions
import StreamOperators

/// Table functions by name, for `LATERAL TABLE(f(x))` and `TABLE(f(x))`. Names are case-insensitive.
public struct RowFunctionRegistry: Sendable {
    /// A table function chosen for given arguments.
    public struct Bound: Sendable {
        public var function: RowFunction
        /// What the function is called with: the arguments given, cast where it needs that.
        public var arguments: [Expr]
        /// Names and types of the rows it gives; the types are those of `function`.
        public var columns: Schema

        public init(function: RowFunction, arguments: [Expr], columns: Schema) {
            self.function = function
            self.arguments = arguments
            self.columns = columns
        }
    }

    /// Checks arguments and chooses a function for them. Throws `.validate` errors; the caller adds the place.
    public typealias Binder = @Sendable (_ arguments: [Expr]) throws -> Bound

    private var binders: [String: Binder] = [:]

    public init() {}

    public var names: [String] { binders.keys.sorted() }
    public func contains(_ name: String) -> Bool { binders[name.uppercased()] != nil }

    /// Takes the place of an earlier function of the name.
    public mutating func register(_ name: String, _ binder: @escaping Binder) { binders[name.uppercased()] = binder }
    public mutating func remove(_ name: String) { binders[name.uppercased()] = nil }

    /// nil when there is no function of the name.
    public func bind(_ name: String, _ arguments: [Expr]) throws -> Bound? { try binders[name.uppercased()]?(arguments) }
}
