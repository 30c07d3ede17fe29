import StreamCore

/// Writes expressions as SQL again, for SHOW CREATE TABLE, DESCRIBE and exports.
enum SyntaxText {
    static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }

    static func identifier(_ name: String) -> String { "`" + name.replacing("`", with: "``") + "`" }

    /// ('key' = 'value', ...), one a line.
    static func options(_ options: [String: String]) -> String {
        "(\n" + options.sorted { $0.key < $1.key }.map { "  \(quoted($0.key)) = \(quoted($0.value))" }.joined(separator: ",\n") + "\n)"
    }

    /// A type with the names of its fields in backticks and lengths written out, as Flink writes types into definitions.
    static func type(_ type: DataType) -> String {
        switch type {
        case .varchar(let n): "VARCHAR(\(n))"
        case .varbinary(let n): "VARBINARY(\(n))"
        case .timestampLTZ(let p): "TIMESTAMP(\(p)) WITH LOCAL TIME ZONE"
        case .array(let e): "ARRAY<\(Self.type(e))>"
        case .map(let k, let v): "MAP<\(Self.type(k)), \(Self.type(v))>"
        case .row(let fields):
            "ROW<" + fields.map { "\(identifier($0.name)) \(Self.type($0.type))\($0.nullable ? "" : " NOT NULL")" }.joined(separator: ", ") + ">"
        default: "\(type)"
        }
    }

    static func of(_ expr: SyntaxExpr) -> String {
        switch expr.node {
        case .name(let name): return name.parts.map(identifier).joined(separator: ".")
        case .star(let name): return (name.map { $0.text + "." } ?? "") + "*"
        case .integer(let t), .decimal(let t), .approximate(let t): return t
        case .string(let t): return quoted(t)
        case .bytes(let bytes):
            return "X'" + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined() + "'"
        case .boolean(let b): return b ? "TRUE" : "FALSE"
        case .null: return "NULL"
        case .dateLiteral(let t): return "DATE " + quoted(t)
        case .timeLiteral(let t): return "TIME " + quoted(t)
        case .timestampLiteral(let t): return "TIMESTAMP " + quoted(t)
        case .interval(let text, let from, let to, let negative):
            return "INTERVAL \(negative ? "-" : "")\(quoted(text)) \(from)" + (to.map { " TO \($0)" } ?? "")
        case .unary(let op, let e): return op == "NOT" ? "NOT \(nested(e))" : op + nested(e)
        case .binary(let op, let a, let b): return "\(nested(a)) \(op) \(nested(b))"
        case .isNull(let e, let negated): return "\(nested(e)) IS \(negated ? "NOT " : "")NULL"
        case .isTruth(let e, let what, let negated): return "\(nested(e)) IS \(negated ? "NOT " : "")\(what)"
        case .isDistinct(let a, let b, let negated): return "\(nested(a)) IS \(negated ? "NOT " : "")DISTINCT FROM \(nested(b))"
        case .isJSON(let e, let what, let negated): return "\(nested(e)) IS \(negated ? "NOT " : "")JSON \(what)"
        case .between(let e, let low, let high, let symmetric, let negated):
            return "\(nested(e)) \(negated ? "NOT " : "")BETWEEN \(symmetric ? "SYMMETRIC " : "")\(nested(low)) AND \(nested(high))"
        case .inList(let e, let items, let negated): return "\(nested(e)) \(negated ? "NOT " : "")IN (\(list(items)))"
        case .inQuery(let e, _, let negated): return "\(nested(e)) \(negated ? "NOT " : "")IN (SELECT ...)"
        case .exists: return "EXISTS (SELECT ...)"
        case .quantified(let op, let e, let isAll, _): return "\(nested(e)) \(op) \(isAll ? "ALL" : "ANY") (SELECT ...)"
        case .scalarQuery: return "(SELECT ...)"
        case .like(let kind, let a, let b, let escape, let negated):
            return "\(nested(a)) \(negated ? "NOT " : "")\(kind) \(nested(b))" + (escape.map { " ESCAPE \(nested($0))" } ?? "")
        case .caseWhen(let operand, let branches, let otherwise):
            return "CASE" + (operand.map { " " + of($0) } ?? "") + branches.map { " WHEN \(of($0.when)) THEN \(of($0.then))" }.joined()
                + (otherwise.map { " ELSE \(of($0))" } ?? "") + " END"
        case .cast(let e, let type, let safe): return "\(safe ? "TRY_CAST" : "CAST")(\(of(e)) AS \(type))"
        case .call(let call): return function(call)
        case .array(let items): return "ARRAY[\(list(items))]"
        case .map(let items): return "MAP[\(list(items))]"
        case .row(let items): return "ROW(\(list(items)))"
        case .subscriptOf(let a, let b): return "\(nested(a))[\(of(b))]"
        case .field(let e, let name): return "\(nested(e)).\(identifier(name))"
        }
    }

    private static func list(_ items: [SyntaxExpr]) -> String { items.map(of).joined(separator: ", ") }

    private static func nested(_ expr: SyntaxExpr) -> String {
        switch expr.node {
        case .binary, .isNull, .isTruth, .isDistinct, .isJSON, .between, .inList, .like: "(\(of(expr)))"
        case .unary(let op, _) where op == "NOT": "(\(of(expr)))"
        default: of(expr)
        }
    }

    private static func function(_ call: FunctionCall) -> String {
        let name = call.name.uppercased()
        func unit(_ e: SyntaxExpr) -> String { if case .string(let t) = e.node { t } else { of(e) } }
        let args = call.arguments
        switch name {
        case "EXTRACT" where args.count == 2: return "EXTRACT(\(unit(args[0])) FROM \(of(args[1])))"
        case "FLOOR" where args.count == 2, "CEIL" where args.count == 2: return "\(name)(\(of(args[0])) TO \(unit(args[1])))"
        case "TIMESTAMPADD" where args.count == 3, "TIMESTAMPDIFF" where args.count == 3:
            return "\(name)(\(unit(args[0])), \(of(args[1])), \(of(args[2])))"
        case "TRIM" where args.count == 3: return "TRIM(\(unit(args[0])) \(of(args[1])) FROM \(of(args[2])))"
        case "POSITION" where args.count == 2: return "POSITION(\(of(args[0])) IN \(of(args[1])))"
        case "OVERLAY" where args.count >= 3:
            return "OVERLAY(\(of(args[0])) PLACING \(of(args[1])) FROM \(of(args[2]))\(args.count > 3 ? " FOR " + of(args[3]) : ""))"
        default: break
        }
        return "\(name)(\(call.distinct ? "DISTINCT " : "")\(call.star ? "*" : list(args)))" + (call.ignoresNulls ? " IGNORE NULLS" : "")
            + (call.filter.map { " FILTER (WHERE \(of($0)))" } ?? "")
    }
}
