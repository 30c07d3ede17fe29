import StreamCore

/// Scalar expressions, by precedence climbing: few stack frames per level of nesting.
extension TokenParser {
    /// Calcite's order, loosest first. The unary signs bind tightest.
    private enum Precedence {
        static let or = 22, and = 24, not = 26, `is` = 28, comparison = 30, predicate = 32, additive = 40, multiplicative = 60, sign = 80
    }

    /// Units behind a difference of times; all are reserved, so none is an alias.
    private static let differenceUnits = ["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"]

    mutating func expression() throws -> SyntaxExpr { try expression(above: 0) }

    mutating func expression(above minimum: Int) throws -> SyntaxExpr {
        try enter()
        defer { leave() }
        var left = try prefixed()
        var links = 0
        while let precedence = infixPrecedence(), precedence >= minimum {
            left = try infix(left, precedence)
            links += 1
            try checkChain(links, "operators")
        }
        return left
    }

    private func infixPrecedence() -> Int? {
        if token.kind == .symbol {
            switch token.text {
            case "=", "<>", "<", "<=", ">", ">=": return Precedence.comparison
            case "+", "-": return Precedence.additive
            case "*", "/", "%", "||": return Precedence.multiplicative
            default: return nil
            }
        }
        guard token.kind == .word else { return nil }
        switch token.upper {
        case "OR": return Precedence.or
        case "AND": return Precedence.and
        case "IS": return Precedence.is
        case "BETWEEN", "IN", "LIKE", "SIMILAR", "ILIKE", "RLIKE", "OVERLAPS", "MEMBER": return Precedence.predicate
        case "NOT":
            let next = self.token(ahead: 1)
            return next.kind == .word && ["BETWEEN", "IN", "LIKE", "SIMILAR", "ILIKE", "RLIKE"].contains(next.upper)
                ? Precedence.predicate : nil
        default: return nil
        }
    }

    private mutating func infix(_ left: SyntaxExpr, _ precedence: Int) throws -> SyntaxExpr {
        let word = token.upper
        switch precedence {
        case Precedence.or, Precedence.and:
            var terms = [left]
            while acceptWord(word) { terms.append(try expression(above: precedence + 1)) }
            return balanced(word, terms[...])
        case Precedence.is: return try isPredicate(left)
        case Precedence.predicate: return try predicate(left)
        default:
            let symbol = token.text
            advance()
            if precedence == Precedence.comparison, isWord("ANY") || isWord("ALL") || isWord("SOME"), isSymbol("(", ahead: 1) {
                let isAll = isWord("ALL")
                advance()
                try expect("(", " after \(isAll ? "ALL" : "ANY")")
                return made(.quantified(symbol, left, all: isAll, try subquery()), from: left)
            }
            let right = try expression(above: precedence + 1)
            return made(.binary(symbol, left, right), from: left)
        }
    }

    /// A long chain as a tree of low depth. AND and OR are associative, so the result is the same.
    private func balanced(_ op: String, _ terms: ArraySlice<SyntaxExpr>) -> SyntaxExpr {
        if terms.count == 1 { return terms[terms.startIndex] }
        let middle = terms.count <= 3 ? terms.endIndex - 1 : (terms.startIndex + terms.endIndex) / 2
        let left = balanced(op, terms[..<middle]), right = balanced(op, terms[middle...])
        let span = SourceSpan(start: left.span.start, end: right.span.end, line: left.span.line, column: left.span.column)
        return SyntaxExpr(.binary(op, left, right), span: span)
    }

    /// A node that reaches from the start of `first` to the last consumed token.
    private func made(_ node: SyntaxExpr.Node, from first: SyntaxExpr) -> SyntaxExpr {
        var span = first.span
        span.end = consumedEnd
        return SyntaxExpr(node, span: span)
    }

    private mutating func isPredicate(_ left: SyntaxExpr) throws -> SyntaxExpr {
        try expectWord("IS")
        let negated = acceptWord("NOT")
        if acceptWord("NULL") { return made(.isNull(left, negated: negated), from: left) }
        for truth in ["TRUE", "FALSE", "UNKNOWN"] where acceptWord(truth) {
            return made(.isTruth(left, truth, negated: negated), from: left)
        }
        if acceptWord("DISTINCT") {
            try expectWord("FROM")
            let right = try expression(above: Precedence.comparison + 1)
            return made(.isDistinct(left, right, negated: negated), from: left)
        }
        if acceptWord("JSON") {
            for kind in ["VALUE", "ARRAY", "OBJECT", "SCALAR"] where acceptWord(kind) {
                return made(.isJSON(left, kind, negated: negated), from: left)
            }
            return made(.isJSON(left, "VALUE", negated: negated), from: left)
        }
        throw expected(
            "NULL, TRUE, FALSE, UNKNOWN, DISTINCT FROM or JSON after IS",
            near: ["NULL", "TRUE", "FALSE", "UNKNOWN", "DISTINCT", "JSON", "NOT"])
    }

    private mutating func predicate(_ left: SyntaxExpr) throws -> SyntaxExpr {
        let negated = acceptWord("NOT")
        if acceptWord("BETWEEN") {
            let symmetric = acceptWord("SYMMETRIC")
            if !symmetric { _ = acceptWord("ASYMMETRIC") }
            let low = try expression(above: Precedence.predicate + 1)
            try expectWord("AND")
            let high = try expression(above: Precedence.predicate + 1)
            return made(.between(left, low: low, high: high, symmetric: symmetric, negated: negated), from: left)
        }
        if acceptWord("IN") {
            try expect("(", " after IN")
            if startsQuery {
                let query = try query()
                try expect(")", " after the query")
                return made(.inQuery(left, query, negated: negated), from: left)
            }
            var items = [try expression()]
            if items.count == 1, case .scalarQuery(let first) = items[0].node {
                let query = try continued(first)
                try expect(")", " after the query")
                return made(.inQuery(left, query, negated: negated), from: left)
            }
            while accept(",") { items.append(try expression()) }
            try expect(")", " or \",\" in the list of IN")
            return made(.inList(left, items, negated: negated), from: left)
        }
        if !negated, acceptWord("OVERLAPS") {
            let right = try expression(above: Precedence.predicate + 1)
            guard case .row(let first) = left.node, first.count == 2, case .row(let second) = right.node, second.count == 2 else {
                throw source.error(
                    .parse, "OVERLAPS compares two periods", fix: "write (start, end) OVERLAPS (start, end), where each end may be an interval",
                    at: made(.row([left, right]), from: left).span)
            }
            return made(.call(FunctionCall(name: "OVERLAPS", arguments: first + second)), from: left)
        }
        let kind: String
        if acceptWord("LIKE") {
            kind = "LIKE"
        } else if acceptWord("SIMILAR") {
            try expectWord("TO")
            kind = "SIMILAR TO"
        } else {
            throw unsupported(token.upper, fix: "use LIKE, SIMILAR TO or REGEXP(text, pattern)")
        }
        let pattern = try expression(above: Precedence.predicate + 1)
        let escape = acceptWord("ESCAPE") ? try expression(above: Precedence.predicate + 1) : nil
        return made(.like(kind, left, pattern, escape: escape, negated: negated), from: left)
    }

    private mutating func prefixed() throws -> SyntaxExpr {
        let start = token.start
        if acceptWord("NOT") {
            let operand = try expression(above: Precedence.not)
            return SyntaxExpr(.unary("NOT", operand), span: source.span(start, consumedEnd))
        }
        for sign in ["-", "+"] where accept(sign) {
            let operand = try expression(above: Precedence.sign)
            return SyntaxExpr(.unary(sign, operand), span: source.span(start, consumedEnd))
        }
        return try postfixed(try primary())
    }

    mutating func postfixed(_ value: SyntaxExpr) throws -> SyntaxExpr {
        var value = value, links = 0
        while true {
            if accept("[") {
                let key = try expression()
                try expect("]", " after the index")
                value = made(.subscriptOf(value, key), from: value)
            } else if isSymbol("."), !isSymbol("*", ahead: 1) {
                advance()
                let field = try name("a field name after the \".\"")
                value = made(.field(value, field), from: value)
            } else {
                return value
            }
            links += 1
            try checkChain(links, "\"[...]\" and \".\"")
        }
    }

    // MARK: Primaries

    private mutating func primary() throws -> SyntaxExpr {
        let token = token
        func literal(_ node: SyntaxExpr.Node) -> SyntaxExpr { SyntaxExpr(node, span: source.span(token.start, consumedEnd)) }
        switch token.kind {
        case .integer:
            advance()
            return literal(.integer(token.text))
        case .decimal:
            advance()
            return literal(.decimal(token.text))
        case .approximate:
            advance()
            return literal(.approximate(token.text))
        case .string:
            advance()
            return literal(.string(token.text))
        case .hexString:
            advance()
            return literal(.bytes(Self.bytes(hex: token.text)))
        case .quoted: return try nameOrCall()
        case .symbol where token.text == "(": return try parenthesised()
        case .symbol where token.text == "*": throw expected("an expression; \"*\" stands alone only in SELECT * and COUNT(*)")
        case .word: return try wordPrimary(token)
        default: throw expected("an expression", near: [])
        }
    }

    private static func bytes(hex: String) -> [UInt8] {
        let digits = hex.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    private mutating func wordPrimary(_ token: Token) throws -> SyntaxExpr {
        func node(_ node: SyntaxExpr.Node) -> SyntaxExpr { SyntaxExpr(node, span: source.span(token.start, consumedEnd)) }
        let next = self.token(ahead: 1)
        let call = next.kind == .symbol && next.text == "("
        switch token.upper {
        case "NULL":
            advance()
            return node(.null)
        case "TRUE", "FALSE":
            advance()
            return node(.boolean(token.upper == "TRUE"))
        case "UNKNOWN":
            advance()
            return node(.cast(node(.null), .boolean, safe: false))
        case "DATE", "TIME", "TIMESTAMP":
            guard next.kind == .string else { break }
            advance()
            advance()
            switch token.upper {
            case "DATE": return node(.dateLiteral(next.text))
            case "TIME": return node(.timeLiteral(next.text))
            default: return node(.timestampLiteral(next.text))
            }
        case "INTERVAL": return try interval()
        case "CASE": return try caseWhen()
        case "CAST" where call, "TRY_CAST" where call:
            advance()
            advance()
            let value = try expression()
            try expectWord("AS")
            let type = try dataType()
            try expect(")", " after the type of \(token.upper)")
            return node(.cast(value, type, safe: token.upper == "TRY_CAST"))
        case "EXISTS" where call:
            advance()
            advance()
            let query = try subquery()
            return node(.exists(query))
        case "ARRAY", "MAP":
            guard next.kind == .symbol, next.text == "[" else {
                if call { throw unsupported("\(token.upper)(...)", fix: "write \(token.upper)[...]") }
                break
            }
            advance()
            advance()
            var items: [SyntaxExpr] = []
            if !isSymbol("]") { items = try expressionList() }
            try expect("]", " or \",\" in \(token.upper)[...]")
            if token.upper == "MAP", items.count % 2 == 1 {
                throw source.error(
                    .parse, "MAP[...] has a key without a value", fix: "write MAP[key, value, ...]",
                    at: source.span(token.start, consumedEnd))
            }
            return node(token.upper == "MAP" ? .map(items) : .array(items))
        case "ROW" where call:
            advance()
            advance()
            let items = isSymbol(")") ? [] : try expressionList()
            try expect(")", " or \",\" in ROW(...)")
            return node(.row(items))
        case let word where Keywords.bareFunctions.contains(word) && !call:
            advance()
            return node(.call(FunctionCall(name: word, arguments: [])))
        default: break
        }
        if isName || (call && Keywords.functions.contains(token.upper)) { return try nameOrCall() }
        if Keywords.clauses.contains(token.upper) || call { throw expected("an expression") }
        throw reserved()
    }

    private mutating func nameOrCall() throws -> SyntaxExpr {
        if isSymbol("(", ahead: 1) { return try call() }
        let name = try qualifiedName("a column")
        if isSymbol("("), name.parts.count > 1 {
            throw source.error(
                .plan, "not supported yet: \(name.text)(...)", fix: "write the function without a catalog or database name", at: name.span)
        }
        return SyntaxExpr(.name(name), span: name.span)
    }

    mutating func expressionList() throws -> [SyntaxExpr] {
        var items = [try expression()]
        while accept(",") { items.append(try expression()) }
        return items
    }

    /// "(" a query, one expression, or several, which make a row.
    private mutating func parenthesised() throws -> SyntaxExpr {
        let start = token.start
        advance()
        if startsQuery {
            let query = try query()
            try expect(")", " after the query")
            return SyntaxExpr(.scalarQuery(query), span: source.span(start, consumedEnd))
        }
        var items = try expressionList()
        if items.count == 1, case .scalarQuery(let first) = items[0].node, continuesQuery {
            items[0].node = .scalarQuery(try continued(first))
        }
        try expect(")", items.count == 1 ? " after the expression" : " or \",\" in the row")
        if items.count == 1 {
            items[0].span = source.span(start, consumedEnd)
            // (a - b) MONTH: the time between a and b as an interval.
            if case .binary("-", let a, let b) = items[0].node, Self.differenceUnits.contains(where: { isWord($0) }) {
                let (unit, _) = try intervalQualifier()
                let unitText = SyntaxExpr(.string(unit), span: items[0].span)
                return SyntaxExpr(.call(FunctionCall(name: "TIME DIFFERENCE", arguments: [unitText, a, b])), span: source.span(start, consumedEnd))
            }
            return items[0]
        }
        return SyntaxExpr(.row(items), span: source.span(start, consumedEnd))
    }

    private mutating func caseWhen() throws -> SyntaxExpr {
        let start = token.start
        try expectWord("CASE")
        let operand = isWord("WHEN") ? nil : try expression()
        var branches: [(when: SyntaxExpr, then: SyntaxExpr)] = []
        while acceptWord("WHEN") {
            let when = try expression()
            if isSymbol(",") { throw unsupported("a list of values after WHEN", fix: "write one WHEN for each value") }
            try expectWord("THEN")
            branches.append((when, try expression()))
        }
        if branches.isEmpty { throw expected("WHEN in CASE", near: ["WHEN"]) }
        let otherwise = acceptWord("ELSE") ? try expression() : nil
        try expectWord("END")
        return SyntaxExpr(.caseWhen(operand: operand, branches: branches, otherwise: otherwise), span: source.span(start, consumedEnd))
    }

    private mutating func interval() throws -> SyntaxExpr {
        let start = token.start
        advance()
        let negative = accept("-")
        if !negative { _ = accept("+") }
        if token.kind == .integer || token.kind == .decimal {
            throw source.error(.parse, "the number of an interval stands in quotes", fix: "write INTERVAL '\(token.text)'", at: span)
        }
        let text = try string("the length of the interval")
        let (from, to) = try intervalQualifier()
        return SyntaxExpr(.interval(text: text, from: from, to: to, negative: negative), span: source.span(start, consumedEnd))
    }
}
