import StreamCore
import StreamExpressions

/// The columns that names in a clause can mean.
struct Scope {
    struct Relation {
        /// Name or alias of the table; nil for a subquery without one.
        var alias: String?
        /// Names and where each stands in ``Scope/columns``.
        var columns: [(name: String, index: Int)]
    }

    var relations: [Relation]
    var columns: [PlanColumn]
    /// Columns that JOIN ... USING has merged into another one: reachable only with their table's name.
    var hidden: Set<Int> = []
    /// The clauses around a sub-query that names may stand for a column of, the nearest first.
    var outer: [ExpressionBinder] = []
    /// Takes sub-queries in expressions over the columns, and in those over what a grouping makes of them; nil where none may stand.
    var subqueries: Subqueries?, groupedSubqueries: Subqueries?

    static var empty: Scope { Scope(relations: [], columns: []) }

    init(relations: [Relation], columns: [PlanColumn], hidden: Set<Int> = []) {
        self.relations = relations
        self.columns = columns
        self.hidden = hidden
    }

    init(alias: String?, columns: [PlanColumn]) {
        self.columns = columns
        relations = [Relation(alias: alias, columns: columns.enumerated().map { ($1.name, $0) })]
    }

    /// Both sides of a join.
    func joined(_ right: Scope) -> Scope {
        let shift = columns.count
        let moved = right.relations.map { relation in
            Relation(alias: relation.alias, columns: relation.columns.map { ($0.name, $0.index + shift) })
        }
        var both = Scope(relations: relations + moved, columns: columns + right.columns, hidden: hidden.union(right.hidden.map { $0 + shift }))
        both.outer = outer
        return both
    }

    enum Resolution {
        /// A column and the names of ROW fields inside it.
        case column(Int, path: ArraySlice<String>)
        case unknown
        case ambiguous
    }

    func resolve(_ parts: [String]) -> Resolution {
        if parts.count > 1 {
            let tables = relations.filter { $0.alias == parts[0] }
            let matches = tables.flatMap { $0.columns.filter { $0.name == parts[1] } }
            if matches.count == 1 { return .column(matches[0].index, path: parts[2...]) }
            if matches.count > 1 { return .ambiguous }
        }
        let matches = relations.flatMap { $0.columns.filter { $0.name == parts[0] && !hidden.contains($0.index) } }
        if matches.count == 1 { return .column(matches[0].index, path: parts[1...]) }
        return matches.isEmpty ? .unknown : .ambiguous
    }

    /// Names for "did you mean".
    var names: [String] { relations.flatMap { $0.columns.map(\.name) } }

    /// Columns that `*` (or `alias.*`) stands for; nil when there is no such table.
    func star(_ alias: String?) -> [Int]? {
        if let alias {
            let tables = relations.filter { $0.alias == alias }
            return tables.isEmpty ? nil : tables.flatMap { $0.columns.map(\.index) }
        }
        return relations.flatMap { $0.columns.map(\.index) }.filter { !hidden.contains($0) }
    }
}

/// A text that is equal for two pieces of syntax exactly when they mean the same over one scope: how GROUP BY expressions
/// are found again in SELECT, and equal aggregates are computed once.
struct Fingerprint {
    let scope: Scope

    func of(_ expr: SyntaxExpr) -> String {
        switch expr.node {
        case .name(let name):
            guard case .column(let i, let path) = scope.resolve(name.parts) else { return "?\(quoted(name.text))" }
            return "#\(i)" + path.map { "." + quoted($0) }.joined()
        case .star(let name): return "*\(name?.text ?? "")"
        case .integer(let t): return t
        case .decimal(let t): return "d" + t
        case .approximate(let t): return "e" + t
        case .string(let t): return quoted(t)
        case .bytes(let b): return "x\(b)"
        case .boolean(let b): return "\(b)"
        case .null: return "null"
        case .dateLiteral(let t): return "date" + quoted(t)
        case .timeLiteral(let t): return "time" + quoted(t)
        case .timestampLiteral(let t): return "timestamp" + quoted(t)
        case .interval(let text, let from, let to, let negative): return "interval\(negative ? "-" : "")\(quoted(text)) \(from) \(to ?? "")"
        case .unary(let op, let e): return list(op, [e])
        case .binary(let op, let a, let b): return list(op, [a, b])
        case .isNull(let e, let negated): return list("isnull\(negated)", [e])
        case .isTruth(let e, let what, let negated): return list("is\(what)\(negated)", [e])
        case .isDistinct(let a, let b, let negated): return list("distinct\(negated)", [a, b])
        case .isJSON(let e, let what, let negated): return list("json\(what)\(negated)", [e])
        case .between(let e, let low, let high, let symmetric, let negated):
            return list("between\(symmetric)\(negated)", [e, low, high])
        case .inList(let e, let items, let negated): return list("in\(negated)", [e] + items)
        case .inQuery, .exists, .scalarQuery, .quantified: return "query@\(expr.span.start)"
        case .like(let kind, let a, let b, let escape, let negated):
            return list("\(kind)\(negated)", [a, b] + (escape.map { [$0] } ?? []))
        case .caseWhen(let operand, let branches, let otherwise):
            return "case(" + (operand.map(of) ?? "") + branches.map { " when \(of($0.when)) then \(of($0.then))" }.joined()
                + " else " + (otherwise.map(of) ?? "") + ")"
        case .cast(let e, let type, let safe): return list("cast \(type) \(safe)", [e])
        case .call(let c):
            return (c.over.map { "over " + of($0) + " " } ?? "") + list(
                "\(c.name.uppercased()) \(c.star) \(c.distinct) \(c.ignoresNulls) \(c.filter != nil) \(c.returning.map { "\($0)" } ?? "") "
                    + [c.onEmpty, c.onError, c.wrapper, c.onNull].map { $0 ?? "-" }.joined(separator: ","),
                c.arguments + [c.filter, c.emptyDefault, c.errorDefault].compactMap { $0 })
        case .array(let items): return list("array", items)
        case .map(let items): return list("map", items)
        case .row(let items): return list("row", items)
        case .subscriptOf(let a, let b): return list("item", [a, b])
        case .field(let e, let name): return of(e) + "." + quoted(name)
        }
    }

    func of(_ window: OverWindow) -> String {
        list("by", window.partitionBy) + " " + window.orderBy.map { "\(of($0.expr)) \($0.descending) \($0.nullsFirst ?? !$0.descending)" }.joined(separator: ", ")
            + " " + (window.frame ?? "")
    }

    private func list(_ head: String, _ parts: [SyntaxExpr]) -> String {
        "\(head)(" + parts.map(of).joined(separator: ", ") + ")"
    }

    private func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }
}
