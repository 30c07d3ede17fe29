import StreamCore

/// What binders of functions have in common: checks of arguments, implicit casts, calls.
public enum Binding {
    /// Checks number and types of arguments and inserts the implicit casts.
    ///
    /// - Parameters:
    ///   - parameters: what the function takes, in order.
    ///   - optional: how many of the last parameters may be left out.
    ///   - variadic: the last parameter may be repeated.
    /// - Throws: `.validate`, for example "LPAD takes 3 arguments (string, length, pad), 1 given".
    public static func arguments(_ name: String, _ args: [Expr], _ parameters: [Parameter], optional: Int = 0, variadic: Bool = false) throws -> [Expr] {
        let least = parameters.count - optional, most = variadic ? Int.max : parameters.count
        guard (least...most).contains(args.count) else {
            throw arityError(name, given: args.count, least: least, most: most, names: parameters.map(\.name))
        }
        return try args.enumerated().map { i, arg in
            let parameter = parameters[min(i, parameters.count - 1)]
            if arg.type == .null && parameter.refusesBareNull { throw bareNull(name, parameter.name) }
            guard let type = parameter.accept(arg) else {
                throw StreamError(.validate, "\(name) takes \(parameter.takes) as its \(parameter.name), but \(describe(arg)) was given",
                                  fix: parameter.example.map { "write CAST(... AS \($0))" })
            }
            return try cast(arg, to: type)
        }
    }

    public static func arityError(_ name: String, given: Int, least: Int, most: Int, names: [String]) -> StreamError {
        let number = least == most ? "\(least)" : most == .max ? "at least \(least)" : "\(least) to \(most)"
        let noun = number == "1" || number == "at least 1" ? "argument" : "arguments"
        let list = names.isEmpty ? "" : " (\(names.joined(separator: ", ")))"
        return StreamError(.validate, least == 0 && most == 0 ? "\(name) takes no arguments, \(given) given"
                           : "\(name) takes \(number) \(noun)\(list), \(given) given")
    }

    /// A NULL whose type nothing tells.
    public static func bareNull(_ name: String, _ parameter: String? = nil) -> StreamError {
        StreamError(.validate, "\(name) was given NULL\(parameter.map { " as its \($0)" } ?? ""), which has no type here",
                    fix: "write CAST(NULL AS type), for example CAST(NULL AS STRING)")
    }

    /// No form of the function takes these types.
    public static func mismatch(_ name: String, _ args: [Expr], takes: String, fix: String? = nil) -> StreamError {
        StreamError(.validate, "\(name) takes \(takes), but was given (\(args.map { describe($0) }.joined(separator: ", ")))", fix: fix)
    }

    static func describe(_ arg: Expr) -> String { arg.type == .null ? "NULL" : arg.type.description }

    /// The expression as `type`. Nothing is added when it has that type already; a literal is converted at once.
    public static func cast(_ arg: Expr, to type: DataType, safe: Bool = false) throws -> Expr {
        if arg.type == type { return arg }
        guard case .literal(let value, _) = arg else { return .cast(arg, to: type, safe: safe) }
        if value == .null { return .literal(.null, type) }
        let cast = Expr.cast(arg, to: type, safe: safe)
        // Text of a TIMESTAMP_LTZ depends on the session's time zone, which is not known yet.
        guard Casts.dependsOnTimeZone(arg.type, type) == false, let folded = try? Evaluator.evaluateConstant(cast) else { return cast }
        return .literal(folded, type)
    }

    /// All of them as their common type.
    public static func unify(_ name: String, _ args: [Expr]) throws -> (args: [Expr], type: DataType) {
        guard let type = TypeCoercion.commonType(args.map(\.type)) else {
            throw mismatch(name, args, takes: "arguments of one type", fix: "write CAST(... AS type) around those that differ")
        }
        if type == .null { throw bareNull(name) }
        return (try args.map { try cast($0, to: type) }, type)
    }

    /// The value of an expression that depends on no column, for patterns and units that are prepared once; nil when it does,
    /// or when it cannot be computed.
    public static func constant(_ arg: Expr) -> Value? {
        if case .literal(let value, _) = arg { return value }
        guard arg.isFoldable else { return nil }
        return try? Evaluator.evaluateConstant(arg)
    }

    /// The text of a constant argument; nil when it is not constant, not text, or null.
    public static func constantText(_ arg: Expr) -> String? {
        if case .string(let text)? = constant(arg) { text } else { nil }
    }

    /// A call of a function that is null when an argument is null. See ``Kernels/strict(_:)``.
    public static func call(_ name: String, _ type: DataType, _ args: [Expr], isDeterministic: Bool = true, _ body: @escaping KernelBody) -> Expr {
        .call(BoundFunction(name: name, resultType: type, isDeterministic: isDeterministic, kernel: Kernels.strict(body)), args)
    }

    /// A call of a function that sees null arguments. See ``Kernels/lenient(_:)``.
    public static func callLenient(_ name: String, _ type: DataType, _ args: [Expr], isDeterministic: Bool = true, _ body: @escaping KernelBody) -> Expr {
        .call(BoundFunction(name: name, resultType: type, isDeterministic: isDeterministic, kernel: Kernels.lenient(body)), args)
    }
}

/// What a function takes at one place, with the word for it in error messages.
public struct Parameter: Sendable {
    public let name: String
    let takes: String
    /// The type that an error message proposes to cast to.
    let example: String?
    let refusesBareNull: Bool
    /// The type that the argument is cast to; nil when it does not fit.
    let accept: @Sendable (Expr) -> DataType?

    public init(_ name: String, takes: String, example: String? = nil, refusesBareNull: Bool = true, accept: @escaping @Sendable (Expr) -> DataType?) {
        self.name = name
        self.takes = takes
        self.example = example
        self.refusesBareNull = refusesBareNull
        self.accept = accept
    }

    private static func when(_ name: String, _ takes: String, _ example: String?, _ fits: @escaping @Sendable (DataType) -> Bool) -> Parameter {
        Parameter(name, takes: takes, example: example) { fits($0.type) ? $0.type : nil }
    }

    private static func widening(_ name: String, _ takes: String, to type: DataType) -> Parameter {
        Parameter(name, takes: takes, example: type.description) { TypeCoercion.canWiden($0.type, to: type) ? type : nil }
    }

    /// CHAR or VARCHAR, as it is.
    public static func text(_ name: String) -> Parameter { when(name, "a string", "STRING") { $0.isText } }
    /// BINARY or VARBINARY, as it is.
    public static func binary(_ name: String) -> Parameter { when(name, "a binary value", "BYTES") { $0.isBinary } }
    public static func textOrBinary(_ name: String) -> Parameter { when(name, "a string or a binary value", "STRING") { $0.isText || $0.isBinary } }
    /// TINYINT, SMALLINT or INT, widened to INT.
    public static func int(_ name: String) -> Parameter { widening(name, "INT", to: .int) }
    /// Any integer, widened to BIGINT.
    public static func bigint(_ name: String) -> Parameter { widening(name, "an integer", to: .bigint) }
    /// TINYINT to BIGINT, as it is.
    public static func integer(_ name: String) -> Parameter { when(name, "an integer", "INT") { $0.isInteger } }
    /// Any number, as DOUBLE.
    public static func double(_ name: String) -> Parameter { Parameter(name, takes: "a number", example: "DOUBLE") { $0.type.isNumeric ? .double : nil } }
    /// Any number, as it is.
    public static func numeric(_ name: String) -> Parameter { when(name, "a number", "DOUBLE") { $0.isNumeric } }
    public static func boolean(_ name: String) -> Parameter { when(name, "BOOLEAN", "BOOLEAN") { $0 == .boolean } }
    /// DATE, TIME, TIMESTAMP or TIMESTAMP_LTZ, as it is.
    public static func temporal(_ name: String) -> Parameter { when(name, "a date, time or timestamp", "TIMESTAMP(3)") { $0.isTemporal } }
    /// TIMESTAMP or TIMESTAMP_LTZ, as it is.
    public static func timestamp(_ name: String) -> Parameter { when(name, "a timestamp", "TIMESTAMP(3)") { $0.isTimestamp } }
    public static func date(_ name: String) -> Parameter { when(name, "DATE", "DATE") { $0 == .date } }
    public static func array(_ name: String) -> Parameter { when(name, "an ARRAY", nil) { if case .array = $0 { true } else { false } } }
    public static func map(_ name: String) -> Parameter { when(name, "a MAP", nil) { if case .map = $0 { true } else { false } } }
    public static func row(_ name: String) -> Parameter { when(name, "a ROW", nil) { if case .row = $0 { true } else { false } } }
    /// Anything that has a type.
    public static func any(_ name: String) -> Parameter { when(name, "a value", nil) { _ in true } }
    /// Anything, a bare NULL too (which stays of type `.null`).
    public static func anyOrNull(_ name: String) -> Parameter { Parameter(name, takes: "a value", refusesBareNull: false) { $0.type } }
}

extension Expr {
    /// True when the value is the same for every row and every evaluation.
    public var isFoldable: Bool {
        switch self {
        case .literal: true
        case .column: false
        case .call(let function, let args): function.isDeterministic && args.allSatisfy(\.isFoldable)
        case .cast(let e, _, _), .not(let e), .isNull(let e, _), .field(let e, _, _): e.isFoldable
        case .and(let es), .or(let es), .coalesce(let es, _): es.allSatisfy(\.isFoldable)
        case .caseWhen(let branches, let otherwise, _):
            otherwise.isFoldable && branches.allSatisfy { $0.condition.isFoldable && $0.result.isFoldable }
        }
    }
}
