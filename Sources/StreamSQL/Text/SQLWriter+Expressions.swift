import StreamCore

extension SQLWriter {
    /// How tightly an expression holds together, as in the parser. Predicates inside of predicates are always put into parentheses: what
    /// `a = b IS NULL` means is not to be guessed.
    private enum Precedence {
        static let any = 0, or = 22, and = 24, not = 26, predicate = 30, operand = 40, additive = 40, multiplicative = 60, sign = 80, primary = 100
    }

    public func text(_ expr: SyntaxExpr) -> String {
        switch expr.node {
        case .name(let name): return self.name(name)
        case .star(let name): return (name.map { self.name($0) + "." } ?? "") + "*"
        case .integer(let t), .decimal(let t), .approximate(let t): return t
        case .string(let t): return Self.quoted(t)
        case .bytes(let bytes): return "X'" + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined() + "'"
        case .boolean(let b): return b ? "TRUE" : "FALSE"
        case .null: return "NULL"
        case .dateLiteral(let t): return "DATE " + Self.quoted(t)
        case .timeLiteral(let t): return "TIME " + Self.quoted(t)
        case .timestampLiteral(let t): return "TIMESTAMP " + Self.quoted(t)
        case .interval(let text, let from, let to, let negative): return interval(text, from, to, negative)
        case .unary("NOT", let e): return "NOT " + operand(e, Precedence.not)
        case .unary(let sign, let e):
            let value = operand(e, Precedence.sign)
            // Two signs in a row would begin a comment.
            return sign + (value.hasPrefix("-") || value.hasPrefix("+") ? "(\(value))" : value)
        case .binary(let op, let a, let b): return binary(op, a, b)
        case .isNull(let e, let negated): return "\(predicateOperand(e)) IS \(negated ? "NOT " : "")NULL"
        case .isTruth(let e, let what, let negated): return "\(predicateOperand(e)) IS \(negated ? "NOT " : "")\(what)"
        case .isDistinct(let a, let b, let negated): return "\(predicateOperand(a)) IS \(negated ? "NOT " : "")DISTINCT FROM \(predicateOperand(b))"
        case .isJSON(let e, let what, let negated): return "\(predicateOperand(e)) IS \(negated ? "NOT " : "")JSON \(what)"
        case .between(let e, let low, let high, let symmetric, let negated):
            return "\(predicateOperand(e)) \(negated ? "NOT " : "")BETWEEN \(symmetric ? "SYMMETRIC " : "")\(predicateOperand(low)) AND \(predicateOperand(high))"
        case .inList(let e, let items, let negated): return "\(predicateOperand(e)) \(negated ? "NOT " : "")IN (\(items.map(member).joined(separator: ", ")))"
        case .inQuery(let e, let query, let negated): return "\(predicateOperand(e)) \(negated ? "NOT " : "")IN \(subquery(query))"
        case .exists(let query): return "EXISTS " + subquery(query)
        case .quantified(let op, let e, let isAll, let query): return "\(predicateOperand(e)) \(op) \(isAll ? "ALL" : "ANY") \(subquery(query))"
        case .scalarQuery(let query): return subquery(query)
        case .like(let kind, let a, let b, let escape, let negated):
            return "\(predicateOperand(a)) \(negated ? "NOT " : "")\(kind) \(predicateOperand(b))" + (escape.map { " ESCAPE \(predicateOperand($0))" } ?? "")
        case .caseWhen(let operand, let branches, let otherwise): return caseWhen(operand, branches, otherwise)
        case .cast(let e, let type, let safe): return "\(safe ? "TRY_CAST" : "CAST")(\(text(e)) AS \(self.type(type)))"
        case .call(let call): return text(call)
        case .array(let items): return "ARRAY[\(list(items))]"
        case .map(let items): return "MAP[\(list(items))]"
        case .row(let items): return "ROW(\(list(items)))"
        case .subscriptOf(let a, let b): return "\(base(a))[\(text(b))]"
        case .field(let e, let name): return "\(base(e, isOfField: true)).\(self.name(name))"
        }
    }

    func list(_ items: [SyntaxExpr]) -> String { items.map { text($0) }.joined(separator: ", ") }

    private static func precedence(_ expr: SyntaxExpr) -> Int {
        switch expr.node {
        case .binary(let op, _, _):
            switch op {
            case "OR": Precedence.or
            case "AND": Precedence.and
            case "+", "-": Precedence.additive
            case "*", "/", "%", "||": Precedence.multiplicative
            default: Precedence.predicate
            }
        case .unary("NOT", _): Precedence.not
        case .unary: Precedence.sign
        case .isNull, .isTruth, .isDistinct, .isJSON, .between, .inList, .inQuery, .quantified, .like: Precedence.predicate
        case .call(let call) where call.name == "OVERLAPS" && call.arguments.count == 4: Precedence.predicate
        default: Precedence.primary
        }
    }

    /// In parentheses when it holds together less than `minimum`.
    private func operand(_ expr: SyntaxExpr, _ minimum: Int) -> String {
        let own = Self.precedence(expr)
        return own < (style == .definition ? Precedence.sign : minimum) ? "(\(text(expr)))" : text(expr)
    }

    private func predicateOperand(_ expr: SyntaxExpr) -> String { period(expr) ?? operand(expr, Precedence.operand) }

    /// Left of IN in POSITION(part IN text).
    func part(_ expr: SyntaxExpr) -> String { operand(expr, Precedence.operand) }

    /// It needs no parentheses anywhere, and no sign or index either.
    func isAtomic(_ expr: SyntaxExpr) -> Bool {
        switch expr.node {
        case .subscriptOf, .field, .scalarQuery, .exists, .row: false
        default: Self.precedence(expr) == Precedence.primary
        }
    }

    /// Right of "-".
    func subtracted(_ expr: SyntaxExpr) -> String { operand(expr, Precedence.additive + 1) }

    private func member(_ expr: SyntaxExpr) -> String { period(expr) ?? text(expr) }

    /// (a, b) for a row that is compared.
    private func period(_ expr: SyntaxExpr) -> String? {
        if case .row(let items) = expr.node, items.count > 1, style == .readable { "(\(list(items)))" } else { nil }
    }

    /// What an index or a field stands behind. `(a.b).c` is no name of three parts.
    private func base(_ expr: SyntaxExpr, isOfField: Bool = false) -> String {
        switch expr.node {
        case .name where isOfField && style == .readable: "(\(text(expr)))"
        case .name, .call, .cast, .array, .map, .row, .subscriptOf, .field, .scalarQuery: text(expr)
        default: style == .definition ? operand(expr, Precedence.primary) : "(\(text(expr)))"
        }
    }

    private func binary(_ op: String, _ a: SyntaxExpr, _ b: SyntaxExpr) -> String {
        switch op {
        case "AND", "OR":
            let own = op == "AND" ? Precedence.and : Precedence.or
            // Both are associative.
            return "\(operand(a, own)) \(op) \(operand(b, own))"
        case "+", "-": return "\(operand(a, Precedence.additive)) \(op) \(operand(b, Precedence.additive + 1))"
        case "*", "/", "%", "||": return "\(operand(a, Precedence.multiplicative)) \(op) \(operand(b, Precedence.multiplicative + 1))"
        default: return "\(predicateOperand(a)) \(op) \(predicateOperand(b))"
        }
    }

    /// The terms that AND joins.
    private static func terms(_ expr: SyntaxExpr) -> [SyntaxExpr] {
        if case .binary("AND", let a, let b) = expr.node { terms(a) + terms(b) } else { [expr] }
    }

    /// A condition behind `head`: the terms of AND on one line, or on a line each.
    func condition(_ head: String, _ expr: SyntaxExpr) -> String {
        let terms = Self.terms(expr)
        guard terms.count > 1 else { return "\(head) \(text(expr))" }
        let parts = terms.map { deeper.operand($0, Precedence.and) }
        let line = parts.joined(separator: " AND ")
        let lastLine = head.utf8.reversed().prefix { $0 != UInt8(ascii: "\n") }.count
        return fits(line) && indent + lastLine + line.utf8.count < Self.width ? "\(head) \(line)" : "\(head) " + parts.joined(separator: deeper.newLine + "AND ")
    }

    private func caseWhen(_ operand: SyntaxExpr?, _ branches: [(when: SyntaxExpr, then: SyntaxExpr)], _ otherwise: SyntaxExpr?) -> String {
        let head = "CASE" + (operand.map { " " + text($0) } ?? "")
        let parts = branches.map { "WHEN \(deeper.text($0.when)) THEN \(deeper.text($0.then))" } + (otherwise.map { ["ELSE \(deeper.text($0))"] } ?? [])
        let line = ([head] + parts + ["END"]).joined(separator: " ")
        if fits(line) || style == .definition { return line }
        return head + parts.map { deeper.newLine + $0 }.joined() + newLine + "END"
    }

    /// A query in parentheses, on lines of its own.
    func subquery(_ query: Query) -> String { enclosed { $0.text(query) } }

    // MARK: Intervals

    private func interval(_ text: String, _ from: String, _ to: String?, _ negative: Bool) -> String {
        let sign = negative ? "-" : ""
        if style == .definition { return "INTERVAL \(sign)\(Self.quoted(text)) \(Self.units(from, to, "", ""))" }
        let body = text.drop { $0 == " " || $0 == "-" || $0 == "+" }
        let digits = body.prefix { $0.isASCII && $0.isNumber }.drop { $0 == "0" }.count
        let fraction = body.split(separator: ".", omittingEmptySubsequences: false).dropFirst().first.map { $0.prefix { $0.isNumber }.count } ?? 0
        if digits > 3, let days = Self.inDays(body, from, to) {
            let minus = text.contains("-") ? "-" : ""
            return "INTERVAL \(sign)\(Self.quoted(minus + days.text)) \(Self.units("DAY", "SECOND", days.digits > 2 ? "(\(days.digits))" : "", Self.precision(fraction)))"
        }
        let isSecond = from == "SECOND" && fraction > 6
        let leading = isSecond ? "(\(max(2, digits)), \(fraction))" : digits > 2 ? "(\(digits))" : ""
        return "INTERVAL \(sign)\(Self.quoted(text)) \(Self.units(from, to, leading, Self.precision(fraction)))"
    }

    /// Flink wants to be told of more than six digits behind the point of the seconds.
    private static func precision(_ fraction: Int) -> String { fraction > 6 ? "(\(fraction))" : "" }

    private static func units(_ from: String, _ to: String?, _ leading: String, _ trailing: String) -> String {
        from + leading + (to.map { " TO \($0)" + ($0 == "SECOND" ? trailing : "") } ?? "")
    }

    /// `1000` SECOND as `0 00:16:40`, as Flink takes no more than three digits for the first unit of an interval of days or less; with the
    /// number of digits of its days. Nil when it is no such interval, or has more days.
    private static func inDays(_ text: Substring, _ from: String, _ to: String?) -> (text: String, digits: Int)? {
        let seconds = ["HOUR": 3_600, "MINUTE": 60, "SECOND": 1], order = ["HOUR", "MINUTE", "SECOND"]
        guard let first = order.firstIndex(of: from) else { return nil }
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let fields = parts[0].split(separator: ":").map { Int($0) }
        guard fields.count <= order.count - first else { return nil }
        var total = 0
        for (unit, field) in zip(order[first...], fields) {
            guard let field, field <= 999 * 86_400 else { return nil }
            total += field * seconds[unit]!
        }
        guard total < 1_000 * 86_400 else { return nil }
        func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
        let days = total / 86_400, clock = [total / 3_600 % 24, total / 60 % 60, total % 60].map(two).joined(separator: ":")
        return ("\(days) \(clock)" + (parts.count > 1 ? ".\(parts[1])" : ""), "\(days)".count)
    }
}
