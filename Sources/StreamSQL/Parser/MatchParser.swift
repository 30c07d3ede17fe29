import StreamCore

/// MATCH_RECOGNIZE.
extension TokenParser {
    /// The clause behind a table, if there is one.
    mutating func matchRecognize(of table: TableRef) throws -> TableRef {
        guard isWord("MATCH_RECOGNIZE") else { return table }
        let start = token.start
        advance()
        try expect("(", " after MATCH_RECOGNIZE")
        var match = MatchRecognize(span: source.span(start, consumedEnd))
        if acceptWord("PARTITION", "BY") {
            repeat { match.partitionBy.append(try expression()) } while accept(",")
        }
        if isWord("ORDER") { match.orderBy = try orderBy() }
        if acceptWord("MEASURES") {
            repeat {
                if isWord("FINAL") || isWord("RUNNING"), token(ahead: 1).kind == .word { advance() }
                let value = try expression()
                try expectWord("AS")
                match.measures.append(.init(expr: value, alias: try name("the name of a measure")))
            } while accept(",")
        }
        if isWords("ALL", "ROWS") { throw unsupported("ALL ROWS PER MATCH", fix: "use ONE ROW PER MATCH") }
        if acceptWord("ONE", "ROW") { try expectWord("PER", "MATCH") }
        if acceptWord("AFTER") {
            try expectWord("MATCH")
            try expectWord("SKIP")
            match.skip = try skip()
        }
        try expectWord("PATTERN")
        match.pattern = try pattern()
        if acceptWord("WITHIN") { match.within = try expression() }
        if isWord("SUBSET") { throw unsupported("SUBSET", fix: "name the variables one by one") }
        try expectWord("DEFINE")
        repeat {
            let start = token.start
            let variable = try name("a variable of the pattern")
            try expectWord("AS")
            match.define.append((variable, try expression(), source.span(start, consumedEnd)))
        } while accept(",")
        try expect(")", " or \",\" in DEFINE")
        match.span = source.span(start, consumedEnd)
        return TableRef(.match(table, match), span: source.span(table.span.start, consumedEnd))
    }

    private mutating func skip() throws -> MatchRecognize.Skip {
        if acceptWord("PAST") {
            try expectWord("LAST", "ROW")
            return .pastLastRow
        }
        try expectWord("TO")
        if acceptWord("NEXT", "ROW") { return .toNextRow }
        if acceptWord("FIRST") { return .toFirst(try name("a variable of the pattern")) }
        _ = acceptWord("LAST")
        return .toLast(try name("a variable of the pattern"))
    }

    private mutating func pattern() throws -> [MatchRecognize.Element] {
        try expect("(", " after PATTERN")
        var elements: [MatchRecognize.Element] = []
        while !accept(")") {
            if isSymbol("(") { throw unsupported("a group in a PATTERN", fix: "write its variables one behind the other") }
            if isSymbol("|") { throw unsupported("| in a PATTERN", fix: "use one variable with OR in its condition") }
            if isSymbol("{") { throw unsupported("{- -} in a PATTERN", fix: "leave it out: a match gives one row") }
            if isSymbol("^") || isSymbol("$") { throw unsupported("\(token.text) in a PATTERN", fix: "leave it out: a stream has no last row") }
            if isWord("PERMUTE"), isSymbol("(", ahead: 1) { throw unsupported("PERMUTE", fix: "write the orders as queries joined by UNION ALL") }
            let start = token.start
            var element = MatchRecognize.Element(variable: try name("a variable, or \")\" behind the last one"), span: span)
            try quantifier(&element)
            element.span = source.span(start, consumedEnd)
            elements.append(element)
            if isSymbol("|") { throw unsupported("| in a PATTERN", fix: "use one variable with OR in its condition") }
            try checkChain(elements.count, "variables")
        }
        guard !elements.isEmpty else { throw expected("a variable in the PATTERN") }
        return elements
    }

    private mutating func quantifier(_ element: inout MatchRecognize.Element) throws {
        if accept("*") {
            (element.minimum, element.maximum) = (0, nil)
        } else if accept("+") {
            element.maximum = nil
        } else if accept("?") {
            element.minimum = 0
        } else if isSymbol("{"), !isSymbol("-", ahead: 1) {
            advance()
            let at = span
            element.minimum = isSymbol(",") ? 0 : try integer("a number of rows")
            if accept(",") {
                element.maximum = isSymbol("}") ? nil : try integer("a number of rows")
            } else {
                element.maximum = element.minimum
            }
            try expect("}", " behind the numbers of rows")
            guard element.maximum.map({ $0 > 0 && $0 >= element.minimum && $0 <= 1_000 }) ?? (element.minimum <= 1_000) else {
                throw source.error(.validate, "the numbers of rows of \(element.variable) must be {n, m} with n <= m and 0 < m <= 1000", at: at)
            }
        } else {
            return
        }
        if accept("?") { element.isGreedy = false }
    }
}
