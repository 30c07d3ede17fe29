import StreamCore

/// Clauses that some SQL functions take beside their arguments.
public struct FunctionOptions: Sendable, Hashable {
    /// What a JSON function gives ON EMPTY or ON ERROR.
    public enum Fallback: Sendable, Hashable { case null, error, emptyArray, emptyObject, `true`, `false`, unknown, defaultArgument }
    /// When JSON_QUERY puts its result into an array.
    public enum Wrapper: Sendable, Hashable { case without, conditional, unconditional }

    /// JSON_VALUE(... RETURNING type).
    public var returning: DataType?
    /// ... ON EMPTY and ... ON ERROR. With `.defaultArgument` the value is appended to the arguments, ON EMPTY's first.
    public var onEmpty: Fallback?, onError: Fallback?
    /// JSON_QUERY's WRAPPER clause.
    public var wrapper: Wrapper?
    /// JSON_OBJECT and JSON_ARRAY: true for NULL ON NULL, false for ABSENT ON NULL, nil when not written.
    public var nullOnNull: Bool?

    public init() {}
}

/// Chooses a function by name and argument types, inserts the implicit casts and tells the result type.
///
/// Syntax with a form of its own is bound under these names, units and other keywords being upper-case string literals:
///
///     a + b, a = b, a || b, a LIKE b ESCAPE c    "+" "-" "*" "/" "%" "=" "<>" "<" "<=" ">" ">=" "||" "LIKE" "SIMILAR TO"
///     -a, NOT LIKE                               "NEGATE"; the binder wraps NOT itself
///     a IS [NOT] DISTINCT FROM b                 "IS DISTINCT FROM" "IS NOT DISTINCT FROM"
///     a IS [NOT] TRUE / FALSE                    "IS TRUE" "IS NOT TRUE" "IS FALSE" "IS NOT FALSE"  (UNKNOWN = isNull)
///     a BETWEEN, IN (list), CASE a WHEN          made of comparisons by the binder
///     EXTRACT(u FROM x)                          "EXTRACT" (u, x)
///     FLOOR(x TO u), CEIL(x TO u)                "FLOOR" / "CEIL" (x, u)
///     TRIM([BOTH] c FROM s)                      "TRIM" ('BOTH', c, s); TRIM(s) the same with ' '
///     SUBSTRING(s FROM a FOR b)                  "SUBSTRING" (s, a, b)
///     POSITION(a IN b)                           "POSITION" (a, b)
///     OVERLAY(s PLACING r FROM a FOR b)          "OVERLAY" (s, r, a, b)
///     TIMESTAMPADD / TIMESTAMPDIFF               (u, ...)
///     x IS JSON ARRAY                            "IS JSON" (x, 'ARRAY'); 'VALUE' when no word stands there
///     ARRAY[..], MAP[..], ROW(..), a[i]          "ARRAY" "MAP" "ROW" "ITEM"
public struct FunctionRegistry: Sendable {
    /// Makes the typed call, or throws a `.validate` error that names the function, its arguments' types and what it takes.
    public typealias Binder = @Sendable (_ args: [Expr], _ options: FunctionOptions) throws -> Expr

    private var binders: [String: Binder] = [:]

    public init() {}

    /// Names are upper-case. A later registration replaces an earlier one.
    public mutating func register(_ name: String, _ binder: @escaping Binder) { binders[name] = binder }

    public func contains(_ name: String) -> Bool { binders[name.uppercased()] != nil }
    public var names: [String] { binders.keys.sorted() }

    /// The error for a function that Flink has and that is not here; nil for other names.
    public static func unsupported(_ name: String) -> StreamError? {
        let upper = name.uppercased()
        if upper.hasPrefix("BITMAP_") {
            return StreamError(.plan, "not supported yet: \(upper) and the type BITMAP", fix: "use ARRAY_DISTINCT, ARRAY_UNION, ARRAY_INTERSECT and ARRAY_EXCEPT over ARRAY<INT>")
        }
        if upper == "OBJECT_OF" || upper == "OBJECT_UPDATE" {
            return StreamError(.plan, "not supported yet: \(upper) and structured types", fix: "use ROW(...) with CAST(... AS ROW<name type, ...>)")
        }
        return nil
    }

    public func bind(_ name: String, _ args: [Expr], options: FunctionOptions = .init()) throws -> Expr {
        guard let binder = binders[name.uppercased()] else {
            if let refusal = Self.unsupported(name) { throw refusal }
            let known = names.filter { $0.first!.isLetter }
            throw StreamError(.validate, "there is no function \(name)", fix: NearName.nearest(to: name.uppercased(), in: known).map { "write \"\($0)\"" })
        }
        return try binder(args, options)
    }
}
