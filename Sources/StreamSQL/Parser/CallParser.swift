import StreamCore

/// Function calls, with the argument syntaxes that SQL gives to some functions.
extension TokenParser {
    mutating func call() throws -> SyntaxExpr {
        let start = token
        var name = token.kind == .word ? token.upper : token.text.uppercased()
        if name == "CEILING" { name = "CEIL" }
        if name == "CHARACTER_LENGTH" { name = "CHAR_LENGTH" }
        advance()
        advance()
        var call = FunctionCall(name: name, arguments: [])
        try arguments(of: &call)
        try expect(")", " or \",\" in the arguments of \(name)")
        try clauses(of: &call)
        return SyntaxExpr(.call(call), span: source.span(start.start, consumedEnd))
    }

    private mutating func arguments(of call: inout FunctionCall) throws {
        switch call.name {
        case "EXTRACT":
            call.arguments = [try unitLiteral()]
            try expectWord("FROM")
            call.arguments.append(try expression())
        case "TIMESTAMPADD", "TIMESTAMPDIFF":
            call.arguments = [try unitLiteral()]
            try expect(",", " after the unit")
            call.arguments += try expressionList()
        case "FLOOR", "CEIL":
            call.arguments = try expressionList()
            if acceptWord("TO") { call.arguments.append(try unitLiteral()) }
        case "TRIM": try trim(&call)
        case "SUBSTRING":
            call.arguments = try expressionList()
            if acceptWord("FROM") {
                call.arguments.append(try expression())
                if acceptWord("FOR") { call.arguments.append(try expression()) }
            }
        case "POSITION":
            // IN would otherwise be read as the predicate.
            call.arguments = [try expression(above: 33)]
            try expectWord("IN")
            call.arguments.append(try expression())
            if isWord("FROM") { throw unsupported("POSITION with FROM", fix: "use LOCATE(part, text, from)") }
        case "OVERLAY":
            call.arguments = try expressionList()
            if acceptWord("PLACING") {
                call.arguments.append(try expression())
                try expectWord("FROM")
                call.arguments.append(try expression())
                if acceptWord("FOR") { call.arguments.append(try expression()) }
            }
        case "JSON_VALUE", "JSON_QUERY", "JSON_EXISTS": try jsonPathCall(&call)
        case "JSON_OBJECT", "JSON_OBJECTAGG":
            while !isSymbol(")") {
                if isWords("NULL", "ON") || isWords("ABSENT", "ON") { break }
                try jsonEntry(&call)
                if !accept(",") { break }
            }
            try onNull(&call)
        case "JSON_ARRAY", "JSON_ARRAYAGG":
            if !isSymbol(")"), !isWords("NULL", "ON"), !isWords("ABSENT", "ON") { call.arguments = try expressionList() }
            if isWord("ORDER") { throw unsupported("ORDER BY inside of \(call.name)", fix: "order the rows of a subquery") }
            try onNull(&call)
        default:
            if accept("*") {
                call.star = true
                return
            }
            if isSymbol(")") { return }
            if acceptWord("DISTINCT") { call.distinct = true } else { _ = acceptWord("ALL") }
            call.arguments = try expressionList()
            if isSymbol("=>") { throw unsupported("naming the arguments of \(call.name)", fix: "write the arguments in order") }
            nullTreatment(of: &call)
            if isWord("ORDER") { throw unsupported("ORDER BY inside of \(call.name)", fix: "order the rows of a subquery") }
        }
    }

    /// A time unit as the string literal that the binder expects.
    private mutating func unitLiteral() throws -> SyntaxExpr {
        let at = span
        return SyntaxExpr(.string(try timeUnit(Keywords.timeUnits)), span: at)
    }

    private mutating func trim(_ call: inout FunctionCall) throws {
        let start = span
        func text(_ value: String) -> SyntaxExpr { SyntaxExpr(.string(value), span: start) }
        var side: String?
        for word in ["BOTH", "LEADING", "TRAILING"] where acceptWord(word) { side = word }
        if side != nil, acceptWord("FROM") {
            call.arguments = [text(side!), text(" "), try expression()]
            return
        }
        let first = try expression()
        if acceptWord("FROM") {
            call.arguments = [text(side ?? "BOTH"), first, try expression()]
        } else if let side {
            throw expected("FROM after TRIM(\(side) ...", near: ["FROM"])
        } else {
            call.arguments = [text("BOTH"), text(" "), first]
        }
    }

    private mutating func jsonPathCall(_ call: inout FunctionCall) throws {
        let value = try expression()
        if isWord("FORMAT") { throw unsupported("FORMAT JSON", fix: "remove it") }
        try expect(",", " between the JSON text and the path")
        call.arguments = [value, try expression()]
        if call.name != "JSON_EXISTS", acceptWord("RETURNING") { call.returning = try dataType() }
        if call.name == "JSON_QUERY" { try jsonWrapper(&call) }
        while !isSymbol(")") {
            let at = span
            let behaviour = try jsonBehaviour(of: call.name)
            try expectWord("ON")
            let onEmpty = acceptWord("EMPTY")
            if !onEmpty { try expectWord("ERROR") }
            guard onEmpty ? call.onEmpty == nil && call.onError == nil && call.name != "JSON_EXISTS" : call.onError == nil else {
                throw source.error(
                    .parse, "this clause of \(call.name) is out of place",
                    fix: call.name == "JSON_EXISTS" ? "write at most one ON ERROR" : "write ON EMPTY first, then ON ERROR, each once",
                    at: at)
            }
            if onEmpty {
                (call.onEmpty, call.emptyDefault) = behaviour
            } else {
                (call.onError, call.errorDefault) = behaviour
            }
        }
    }

    private mutating func jsonWrapper(_ call: inout FunctionCall) throws {
        if acceptWord("WITHOUT") {
            call.wrapper = "WITHOUT"
        } else if acceptWord("WITH") {
            call.wrapper = acceptWord("CONDITIONAL") ? "CONDITIONAL" : "UNCONDITIONAL"
            _ = acceptWord("UNCONDITIONAL")
        } else {
            return
        }
        _ = acceptWord("ARRAY")
        try expectWord("WRAPPER")
    }

    private mutating func jsonBehaviour(of function: String) throws -> (String, SyntaxExpr?) {
        let allowed =
            switch function {
            case "JSON_VALUE": ["NULL", "ERROR", "DEFAULT"]
            case "JSON_QUERY": ["NULL", "ERROR", "EMPTY"]
            default: ["TRUE", "FALSE", "UNKNOWN", "ERROR"]
            }
        for word in allowed where acceptWord(word) {
            switch word {
            case "DEFAULT": return (word, try expression())
            case "EMPTY":
                if acceptWord("OBJECT") { return ("EMPTY OBJECT", nil) }
                _ = acceptWord("ARRAY")
                return ("EMPTY ARRAY", nil)
            default: return (word, nil)
            }
        }
        throw expected("\")\" or one of \(allowed.joined(separator: ", ")) in \(function)", near: allowed + ["RETURNING"])
    }

    /// [KEY] key VALUE value, or key : value
    private mutating func jsonEntry(_ call: inout FunctionCall) throws {
        if isWord("KEY"), !isWord("VALUE", ahead: 1), !isSymbol(":", ahead: 1), !isSymbol(".", ahead: 1) { advance() }
        call.arguments.append(try expression())
        if !accept(":") { try expectWord("VALUE") }
        call.arguments.append(try expression())
        if isWord("FORMAT") { throw unsupported("FORMAT JSON", fix: "remove it; the text of JSON functions is embedded as JSON") }
    }

    private mutating func onNull(_ call: inout FunctionCall) throws {
        for word in ["NULL", "ABSENT"] where acceptWord(word) {
            try expectWord("ON", "NULL")
            call.onNull = word
        }
    }

    private mutating func nullTreatment(of call: inout FunctionCall) {
        if acceptWord("IGNORE", "NULLS") { call.ignoresNulls = true } else { _ = acceptWord("RESPECT", "NULLS") }
    }

    private mutating func clauses(of call: inout FunctionCall) throws {
        if isWords("WITHIN", "GROUP") { throw unsupported("WITHIN GROUP", fix: "remove it; rows are taken in order of arrival") }
        nullTreatment(of: &call)
        if acceptWord("FILTER") {
            try expect("(", " after FILTER")
            try expectWord("WHERE")
            call.filter = try expression()
            try expect(")", " after the condition of FILTER")
        }
        guard acceptWord("OVER") else { return }
        if accept("(") {
            call.over = try window()
        } else {
            let at = span
            let name = try name("a window name or \"(\" after OVER")
            guard let window = namedWindows.last?[name] else {
                throw source.error(
                    .parse, "there is no window \"\(name)\"", fix: "declare it: WINDOW \(name) AS (PARTITION BY ... ORDER BY ...)", at: at)
            }
            call.over = window
        }
    }

    /// What stands in OVER (...), with the closing parenthesis.
    mutating func window() throws -> OverWindow {
        var window = OverWindow(partitionBy: [], orderBy: [], frame: nil)
        if isName {
            let at = span
            let base = try name("a window name")
            guard let named = namedWindows.last?[base] else {
                throw source.error(
                    .parse, "there is no window \"\(base)\"",
                    fix: "declare it in the WINDOW clause, or begin with PARTITION BY or ORDER BY", at: at)
            }
            window = named
        }
        if acceptWord("PARTITION") {
            try expectWord("BY")
            window.partitionBy = try expressionList()
        }
        if isWord("ORDER") { window.orderBy = try orderBy() }
        if isWord("ROWS") || isWord("RANGE") { (window.frame, window.bounds) = try frame() }
        guard accept(")") else { throw expected("\")\" after the window", near: ["PARTITION", "ORDER", "ROWS", "RANGE"]) }
        return window
    }

    /// Also as text with single spaces.
    private mutating func frame() throws -> (String, OverWindow.Bounds) {
        let first = index, start = token, isRange = isWord("RANGE")
        advance()
        var lower = OverWindow.Bounds.Bound.currentRow, upper = OverWindow.Bounds.Bound.currentRow
        if acceptWord("BETWEEN") {
            lower = try frameBound()
            try expectWord("AND")
            upper = try frameBound()
        } else {
            lower = try frameBound()
        }
        if isWord("EXCLUDE") { throw unsupported("EXCLUDE in a window frame") }
        let last = index
        let from = token(ahead: first - last)
        let text = source.slice(from.start, consumedEnd).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return (text, .init(isRange: isRange, lower: lower, upper: upper, span: source.span(start.start, consumedEnd)))
    }

    private mutating func frameBound() throws -> OverWindow.Bounds.Bound {
        if acceptWord("CURRENT", "ROW") { return .currentRow }
        let length = acceptWord("UNBOUNDED") ? nil : try expression()
        let isPreceding = acceptWord("PRECEDING")
        guard isPreceding || acceptWord("FOLLOWING") else {
            throw expected("PRECEDING or FOLLOWING", near: ["PRECEDING", "FOLLOWING"])
        }
        return length.map { .offset($0, preceding: isPreceding) } ?? .unbounded(preceding: isPreceding)
    }

    // MARK: ORDER BY

    mutating func orderBy() throws -> [OrderItem] {
        try expectWord("ORDER", "BY")
        var items: [OrderItem] = []
        repeat {
            let expr = try expression()
            let descending = acceptWord("DESC")
            if !descending { _ = acceptWord("ASC") }
            var nullsFirst: Bool?
            if acceptWord("NULLS") {
                nullsFirst = acceptWord("FIRST")
                if nullsFirst == false { try expectWord("LAST") }
            }
            items.append(OrderItem(expr: expr, descending: descending, nullsFirst: nullsFirst))
        } while accept(",")
        return items
    }
}
