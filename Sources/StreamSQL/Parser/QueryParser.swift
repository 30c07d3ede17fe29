import StreamCore

/// SELECT, VALUES, WITH, set operations, FROM and joins.
extension TokenParser {
    /// Keywords that a bare alias may be a misspelling of.
    private static let afterItem = ["FROM", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION"]
    private static let afterTable = [
        "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "OFFSET", "FETCH", "UNION", "INTERSECT", "EXCEPT", "WINDOW", "JOIN", "INNER", "LEFT",
        "RIGHT", "FULL",
        "CROSS", "ON", "USING",
    ]

    var startsQuery: Bool { isWord("SELECT") || isWord("WITH") || isWord("VALUES") || (isWord("TABLE") && !isSymbol("(", ahead: 1)) }

    /// Whether what follows a parenthesised query makes it the left side of a longer one.
    var continuesQuery: Bool {
        ["UNION", "INTERSECT", "EXCEPT", "MINUS", "ORDER", "LIMIT", "OFFSET", "FETCH"].contains { isWord($0) }
    }

    /// A query up to its ")".
    mutating func subquery() throws -> Query {
        guard startsQuery || isSymbol("(") else { throw expected("a query", near: ["SELECT", "WITH", "VALUES"]) }
        let query = try query()
        try expect(")", " after the query")
        return query
    }

    mutating func query() throws -> Query {
        try enter()
        defer { leave() }
        let start = token.start
        var with: [Query.CommonTable] = []
        if acceptWord("WITH") {
            if isWord("RECURSIVE") { throw unsupported("WITH RECURSIVE") }
            repeat {
                let start = token.start
                let name = try name("the name of the WITH query")
                let columns = isSymbol("(") ? try nameList("column") : nil
                try expectWord("AS")
                try expect("(", " before the query")
                let query = try subquery()
                with.append(.init(name: name, columns: columns, query: query, span: source.span(start, consumedEnd)))
            } while accept(",")
        }
        var query = try tail(of: try setOperation(above: 0))
        if !with.isEmpty {
            if !query.with.isEmpty { query = wrapped(query) }
            query.with = with
        }
        query.span = source.span(start, consumedEnd)
        return query
    }

    /// Goes on after a query in parentheses: `(SELECT 1) UNION ...`.
    mutating func continued(_ first: Query) throws -> Query { try tail(of: try setOperation(above: 0, left: first)) }

    /// INTERSECT binds tighter than UNION and EXCEPT, which are left-associative.
    private mutating func setOperation(above minimum: Int, left: Query? = nil) throws -> Query {
        try enter()
        defer { leave() }
        let start = left?.span.start ?? token.start
        var result: Query
        if let left { result = left } else { result = try queryPrimary() }
        var links = 0
        while true {
            let word = token.kind == .word ? token.upper : ""
            guard ["UNION", "INTERSECT", "EXCEPT", "MINUS"].contains(word) else { return result }
            let precedence = word == "INTERSECT" ? 2 : 1
            if precedence < minimum { return result }
            advance()
            let all = acceptWord("ALL")
            if !all { _ = acceptWord("DISTINCT") }
            let right = try setOperation(above: precedence + 1)
            let span = source.span(start, consumedEnd)
            result = Query(body: .set(word == "MINUS" ? "EXCEPT" : word, all: all, result, right, span), span: span)
            links += 1
            try checkChain(links, "set operations")
        }
    }

    private mutating func queryPrimary() throws -> Query {
        let start = token.start
        if accept("(") {
            return try subquery()
        }
        if isWord("SELECT") {
            let select = try select()
            return Query(body: .select(select), span: select.span)
        }
        if acceptWord("VALUES") {
            var rows: [[SyntaxExpr]] = []
            repeat {
                _ = acceptWord("ROW")
                if accept("(") {
                    if startsQuery {
                        rows.append([SyntaxExpr(.scalarQuery(try query()), span: span)])
                    } else {
                        rows.append(try expressionList())
                    }
                    try expect(")", " or \",\" in the row")
                } else {
                    rows.append([try expression()])
                }
            } while accept(",")
            let span = source.span(start, consumedEnd)
            return Query(body: .values(rows, span), span: span)
        }
        if acceptWord("TABLE") {
            let name = try qualifiedName("a table")
            return wrapped(TableRef(.table(name, hints: [:]), span: name.span))
        }
        throw expected("SELECT, VALUES or \"(\"", near: ["SELECT", "VALUES"])
    }

    /// SELECT * FROM (query): gives a query that already has an ORDER BY or WITH another one.
    private func wrapped(_ query: Query) -> Query { wrapped(TableRef(.query(query), span: query.span)) }

    private func wrapped(_ table: TableRef) -> Query {
        let star = Select.Item(expr: SyntaxExpr(.star(nil), span: table.span), alias: nil)
        let select = Select(distinct: false, items: [star], from: table, filter: nil, groupBy: [], having: nil, span: table.span)
        return Query(body: .select(select), span: table.span)
    }

    /// ORDER BY, LIMIT, OFFSET, FETCH.
    private mutating func tail(of query: Query) throws -> Query {
        guard isWord("ORDER") || isWord("LIMIT") || isWord("OFFSET") || isWord("FETCH") else { return query }
        var query = query
        if !query.orderBy.isEmpty || query.limit != nil || query.offset != nil { query = wrapped(query) }
        if isWord("ORDER") { query.orderBy = try orderBy() }
        while true {
            if query.limit == nil, acceptWord("LIMIT") {
                if !acceptWord("ALL") { query.limit = try expression() }
                if isSymbol(",") { throw expected("OFFSET; \"LIMIT start, count\" is written LIMIT count OFFSET start") }
            } else if query.offset == nil, acceptWord("OFFSET") {
                query.offset = try expression()
                if !acceptWord("ROWS") { _ = acceptWord("ROW") }
            } else if query.limit == nil, acceptWord("FETCH") {
                if !acceptWord("FIRST") { try expectWord("NEXT") }
                if isWord("ROW") || isWord("ROWS") {
                    query.limit = SyntaxExpr(.integer("1"), span: span)
                } else {
                    query.limit = try expression(above: 33)
                }
                if !acceptWord("ROWS") { try expectWord("ROW") }
                try expectWord("ONLY")
            } else {
                return query
            }
        }
    }

    // MARK: SELECT

    private mutating func select() throws -> Select {
        let start = token.start
        try expectWord("SELECT")
        let (stateTTL, joinHints) = try queryHints()
        if isWord("STREAM") { throw unsupported("SELECT STREAM", fix: "write SELECT; every query is continuous") }
        let distinct = acceptWord("DISTINCT")
        if !distinct { _ = acceptWord("ALL") }
        namedWindows.append([:])
        defer { namedWindows.removeLast() }
        if hasWindowClause { try readWindowClauseAhead() }
        let items = try selectItems()
        var from: TableRef?
        if acceptWord("FROM") {
            from = try joined()
            var links = 0
            while accept(",") {
                let left = from!, right = try joined()
                from = TableRef(.join(left, right, kind: "CROSS", on: nil, using: []), span: source.span(left.span.start, consumedEnd))
                links += 1
                try checkChain(links, "tables")
            }
        }
        let filter = acceptWord("WHERE") ? try expression() : nil
        let groupBy = isWord("GROUP") ? try groupBy() : ([], false)
        let having = acceptWord("HAVING") ? try expression() : nil
        if acceptWord("WINDOW") {
            repeat {
                _ = try name("a window name")
                try expectWord("AS")
                try expect("(", " before the window")
                _ = try window()
            } while accept(",")
        }
        if isWord("QUALIFY") { throw unsupported("QUALIFY", fix: "filter the result of a subquery") }
        var select = Select(
            distinct: distinct, items: items, from: from, filter: filter, groupBy: groupBy.0, having: having,
            span: source.span(start, consumedEnd))
        select.stateTTL = stateTTL
        select.joinHints = joinHints
        select.isGroupByDistinct = groupBy.1
        return select
    }

    mutating func selectItems() throws -> [Select.Item] {
        var items: [Select.Item] = []
        repeat {
            let start = token.start
            if accept("*") {
                items.append(.init(expr: SyntaxExpr(.star(nil), span: source.span(start, consumedEnd)), alias: nil))
                continue
            }
            if let name = try qualifiedStar() {
                items.append(.init(expr: SyntaxExpr(.star(name), span: source.span(start, consumedEnd)), alias: nil))
                continue
            }
            let expr = try expression()
            items.append(.init(expr: expr, alias: try alias(near: Self.afterItem)))
        } while accept(",")
        return items
    }

    /// t.*
    private mutating func qualifiedStar() throws -> QualifiedName? {
        var ahead = 0
        while token(ahead: ahead).kind == .word || token(ahead: ahead).kind == .quoted, isSymbol(".", ahead: ahead + 1) { ahead += 2 }
        guard ahead > 0, isSymbol("*", ahead: ahead) else { return nil }
        let name = try qualifiedName("a table")
        advance()
        advance()
        return name
    }

    /// The WINDOW clause stands behind the calls that use it, so it is read first.
    private mutating func readWindowClauseAhead() throws {
        var ahead = 0, level = 0
        scan: while true {
            let token = token(ahead: ahead)
            switch (token.kind, token.text) {
            case (.end, _), (.symbol, ";"): return
            case (.symbol, "("): level += 1
            case (.symbol, ")"):
                level -= 1
                if level < 0 { return }
            case (.word, _) where level == 0:
                if ["UNION", "INTERSECT", "EXCEPT"].contains(token.upper) { return }
                if token.upper == "WINDOW", isWord("AS", ahead: ahead + 2) { break scan }
            default: break
            }
            ahead += 1
        }
        let here = index
        jump(to: here + ahead + 1)
        repeat {
            let at = span
            let name = try name("a window name")
            try expectWord("AS")
            try expect("(", " before the window")
            let window = try window()
            guard namedWindows[namedWindows.count - 1].updateValue(window, forKey: name) == nil else {
                throw source.error(.parse, "there are two windows named \"\(name)\"", fix: "rename one", at: at)
            }
        } while accept(",")
        jump(to: here)
    }

    private mutating func groupBy() throws -> (keys: [SyntaxExpr], isDistinct: Bool) {
        try expectWord("GROUP", "BY")
        let isDistinct = acceptWord("DISTINCT")
        if !isDistinct { _ = acceptWord("ALL") }
        var keys: [SyntaxExpr] = []
        repeat {
            let key = try groupingElement()
            // Parts of a row in parentheses are keys of their own.
            if case .row(let parts) = key.node, source.slice(key.span.start, key.span.start + 1) == "(", !parts.isEmpty {
                keys += parts
            } else {
                keys.append(key)
            }
        } while accept(",")
        return (keys, isDistinct)
    }

    /// A key, `()`, `(a, b)`, or GROUPING SETS, ROLLUP or CUBE as a call of that name.
    private mutating func groupingElement() throws -> SyntaxExpr {
        try enter()
        defer { leave() }
        let start = token.start
        if isSymbol("("), isSymbol(")", ahead: 1) {
            advance()
            advance()
            return SyntaxExpr(.row([]), span: source.span(start, consumedEnd))
        }
        let name: String
        if isWords("GROUPING", "SETS") {
            advance()
            advance()
            name = "GROUPING SETS"
        } else if isWord("ROLLUP") || isWord("CUBE"), isSymbol("(", ahead: 1) {
            name = token.upper
            advance()
        } else {
            return try expression()
        }
        try expect("(", " after \(name)")
        var call = FunctionCall(name: name, arguments: [])
        repeat { call.arguments.append(try groupingElement()) } while accept(",")
        try expect(")", " or \",\" in \(name)")
        return SyntaxExpr(.call(call), span: source.span(start, consumedEnd))
    }

    // MARK: FROM

    private mutating func joined() throws -> TableRef { try joins(after: try tablePrimary()) }

    private mutating func joins(after first: TableRef) throws -> TableRef {
        var left = first, links = 0
        while true {
            let natural = acceptWord("NATURAL")
            let kind: String
            if acceptWord("CROSS") {
                try expectWord("JOIN")
                kind = "CROSS"
            } else if acceptWord("JOIN") {
                kind = "INNER"
            } else if acceptWord("INNER") {
                try expectWord("JOIN")
                kind = "INNER"
            } else if let side = ["LEFT", "RIGHT", "FULL"].first(where: { isWord($0) }) {
                advance()
                _ = acceptWord("OUTER")
                if isWord("SEMI") || isWord("ANTI") { throw unsupported("\(side) \(token.upper) JOIN", fix: "use EXISTS or NOT EXISTS") }
                try expectWord("JOIN")
                kind = side
            } else if natural {
                throw expected("JOIN, INNER, LEFT, RIGHT or FULL after NATURAL", near: ["JOIN", "INNER", "LEFT", "RIGHT", "FULL"])
            } else {
                return left
            }
            if natural, kind == "CROSS" {
                throw source.error(.parse, "a CROSS JOIN has no condition, so it cannot be NATURAL", fix: "write NATURAL JOIN", at: span)
            }
            let right = try tablePrimary()
            var on: SyntaxExpr?, using: [String] = []
            if kind != "CROSS", !natural {
                if acceptWord("ON") {
                    on = try expression()
                } else if acceptWord("USING") {
                    using = try nameList("column")
                } else {
                    throw expected("ON or USING after the joined table", near: ["ON", "USING"])
                }
            }
            left = TableRef(.join(left, right, kind: kind, on: on, using: using), span: source.span(left.span.start, consumedEnd))
            left.natural = natural
            links += 1
            try checkChain(links, "joins")
        }
    }

    private mutating func tablePrimary() throws -> TableRef {
        try enter()
        defer { leave() }
        let start = token.start
        let lateral = acceptWord("LATERAL")
        var table = try tableSource(start)
        table.lateral = lateral
        if isWords("FOR", "SYSTEM_TIME") || isWords("FOR", "SYSTEM") {
            advance()
            advance()
            try expectWord("AS", "OF")
            table.asOf = try expression()
        }
        table = try matchRecognize(of: table)
        if isWord("TABLESAMPLE") { throw unsupported("TABLESAMPLE", fix: "keep a share of the rows with a condition: WHERE RAND() < 0.1") }
        if isWord("PIVOT") {
            throw unsupported("PIVOT", fix: "write an aggregate with a filter for each value: SUM(x) FILTER (WHERE k = 'a') AS a ... GROUP BY ...")
        }
        if isWord("UNPIVOT") { throw unsupported("UNPIVOT", fix: "un-nest a map of the columns: CROSS JOIN UNNEST(MAP['a', a, 'b', b]) AS u(k, v)") }
        if let alias = try alias(near: Self.afterTable) {
            if table.alias != nil || isJoin(table) { table = wrappedJoin(table) }
            table.alias = alias
            if isSymbol("(") { table.columnAliases = try nameList("column") }
            if acceptWord("AT") { table.position = try name("the name of the position after AT") }
        }
        if isWord("MATCH_RECOGNIZE") {
            table = try matchRecognize(of: table)
            if let alias = try alias(near: Self.afterTable) {
                table.alias = alias
                if isSymbol("(") { table.columnAliases = try nameList("column") }
            }
        }
        table.span = source.span(start, consumedEnd)
        return table
    }

    private func isJoin(_ table: TableRef) -> Bool {
        if case .join = table.node { true } else { false }
    }

    /// (a JOIN b) AS x, ((t AS a)) AS b: the inner names are not visible outside, as in a subquery.
    private func wrappedJoin(_ table: TableRef) -> TableRef { TableRef(.query(wrapped(table)), span: table.span) }

    private mutating func tableSource(_ start: Int) throws -> TableRef {
        if accept("(") {
            if startsQuery {
                let query = try subquery()
                return TableRef(.query(query), span: source.span(start, consumedEnd))
            }
            var inner = try joined()
            if case .query(let first) = inner.node, inner.alias == nil, continuesQuery { inner.node = .query(try continued(first)) }
            try expect(")", " after the table")
            return inner
        }
        if acceptWord("UNNEST") {
            try expect("(", " after UNNEST")
            let value = try expression()
            if isSymbol(",") { throw unsupported("UNNEST of several values", fix: "write one UNNEST for each") }
            try expect(")", " after the value of UNNEST")
            let ordinality = acceptWord("WITH", "ORDINALITY")
            return TableRef(.unnest(value, ordinality: ordinality), span: source.span(start, consumedEnd))
        }
        if acceptWord("TABLE") {
            try expect("(", " after TABLE")
            if token.kind == .word, RandomCutForestCall.names[token.upper] != nil {
                let table = try randomCutForest()
                try expect(")", " after the table function")
                return table
            }
            if isSymbol("(", ahead: 1), token.kind == .quoted || token.kind == .word && Self.windowParameters[token.upper] == nil {
                let at = span
                guard case .call(let function) = try call().node else {
                    throw source.error(.parse, "TABLE takes the call of a table function here", at: at)
                }
                try expect(")", " after the table function")
                return TableRef(.tableFunction(function), span: source.span(start, consumedEnd))
            }
            let table = try windowFunction()
            try expect(")", " after the window function")
            return table
        }
        if isWord("VALUES") { throw expected("\"(\" before VALUES") }
        if isSymbol("(", ahead: 1), token.kind == .word { return RandomCutForestCall.names[token.upper] != nil ? try randomCutForest() : try windowFunction() }
        let name = try qualifiedName("a table")
        if isSymbol("[") {
            let path = try postfixed(SyntaxExpr(.name(name), span: name.span))
            return TableRef(.path(path), span: path.span)
        }
        let options = try tableHints()
        return TableRef(.table(name, hints: options), span: source.span(start, consumedEnd))
    }

    /// /*+ OPTIONS('k' = 'v', ...) */
    mutating func tableHints() throws -> [String: String] {
        let found = try hints("OPTIONS", key: "an option key", value: "an option value", usage: "OPTIONS('key' = 'value')")
        return Dictionary(uniqueKeysWithValues: found.pairs.map { ($0.key, $0.value) })
    }

    /// /*+ STATE_TTL('table' = '1 d', ...), BROADCAST(table) */
    private mutating func queryHints() throws -> (pairs: [Select.Hint], others: [String]) {
        try hints("STATE_TTL", key: "the name of a table", value: "a length of time", usage: "STATE_TTL('table' = '1 d')", others: Keywords.joinHints)
    }

    /// - Parameter others: hints that are taken as they are, with anything in their parentheses.
    private mutating func hints(_ name: String, key keyName: String, value valueName: String, usage: String,
                                others: Set<String> = []) throws -> (pairs: [Select.Hint], others: [String]) {
        guard token.kind == .hint else { return ([], []) }
        advance()
        var pairs: [Select.Hint] = [], taken: [String] = []
        while !accept("*/") {
            if token.kind == .word, others.contains(token.upper) {
                let start = token.start
                advance()
                try expect("(", " after the hint")
                var depth = 1
                while depth > 0 {
                    if atEnd || isSymbol("*/") { throw expected("\")\" at the end of the hint") }
                    depth += isSymbol("(") ? 1 : isSymbol(")") ? -1 : 0
                    advance()
                }
                taken.append(source.slice(start, consumedEnd))
                _ = accept(",")
                continue
            }
            guard acceptWord(name) else { throw unsupported("the hint \(found)", fix: "use \(usage), or remove it") }
            try expect("(", " after \(name)")
            repeat {
                let start = token.start, at = span
                let key = try string(keyName)
                try expect("=", " after \(keyName)")
                let value = try string(valueName)
                guard !pairs.contains(where: { $0.key == key }) else {
                    throw source.error(.parse, "'\(key)' is given twice in \(name)", fix: "remove one", at: at)
                }
                pairs.append(.init(key: key, value: value, span: source.span(start, consumedEnd)))
            } while accept(",")
            try expect(")", " or \",\" in \(name)")
            _ = accept(",")
        }
        return (pairs, taken)
    }

    // MARK: Window functions

    /// The parameters behind the table and the time column.
    private static let windowParameters = [
        "TUMBLE": ["SIZE", "OFFSET"], "HOP": ["SLIDE", "SIZE", "OFFSET"], "CUMULATE": ["STEP", "SIZE", "OFFSET"], "SESSION": ["GAP"],
    ]

    private mutating func windowFunction() throws -> TableRef {
        let start = token.start, at = span
        guard token.kind == .word else { throw expected("TUMBLE, HOP, CUMULATE or SESSION") }
        let function = token.upper
        guard let parameters = Self.windowParameters[function] else {
            throw source.error(
                .plan, "not supported yet: the table function \(token.text)",
                fix: NearName.hint(for: token.text, in: Self.windowParameters.keys), at: at)
        }
        advance()
        try expect("(", " after \(function)")
        var input: TableRef?, timeColumn: QualifiedName?
        var values: [String: SyntaxExpr] = [:]
        var order = ["DATA", "TIMECOL"] + parameters
        let named = isSymbol("=>", ahead: 1)
        repeat {
            let at = span
            var parameter = order.first
            if named {
                let written = token.kind == .quoted ? token.text.uppercased() : token.upper
                advance()
                guard accept("=>") else { throw expected("\"=>\": either all arguments of \(function) have names or none") }
                guard order.contains(written) else {
                    throw source.error(
                        .parse, "\(function) has no argument \(written) left", fix: NearName.hint(for: written, in: order), at: at)
                }
                parameter = written
            }
            guard let parameter else {
                throw source.error(.parse, "\(function) has too many arguments", fix: "write \(Self.usage(function, parameters))", at: at)
            }
            order.removeAll { $0 == parameter }
            switch parameter {
            case "DATA": input = try tableArgument(function)
            case "TIMECOL":
                guard acceptWord("DESCRIPTOR") else { throw expected("DESCRIPTOR(column)", near: ["DESCRIPTOR"]) }
                try expect("(", " after DESCRIPTOR")
                timeColumn = try qualifiedName("a time column")
                try expect(")", " after the time column")
            default: values[parameter] = try expression()
            }
        } while accept(",")
        try expect(")", " or \",\" in the arguments of \(function)")
        let arguments = parameters.compactMap { values[$0] }
        guard let input, let timeColumn, parameters.allSatisfy({ $0 == "OFFSET" || values[$0] != nil }) else {
            throw source.error(
                .parse, "\(function) lacks the argument \(order.first ?? "")", fix: "write \(Self.usage(function, parameters))", at: at)
        }
        return TableRef(
            .windowFunction(name: function, input: input, timeColumn: timeColumn, arguments: arguments),
            span: source.span(start, consumedEnd))
    }

    private static func usage(_ function: String, _ parameters: [String]) -> String {
        let intervals = parameters.filter { $0 != "OFFSET" }.map { $0.lowercased() }.joined(separator: ", ")
        return "\(function)(TABLE t, DESCRIPTOR(time), \(intervals))"
    }

    /// TABLE t [PARTITION BY k], or a query in parentheses.
    mutating func tableArgument(_ function: String) throws -> TableRef {
        let start = token.start
        var table: TableRef
        if acceptWord("TABLE"), !isSymbol("(") {
            let name = try qualifiedName("a table after TABLE")
            table = TableRef(.table(name, hints: try tableHints()), span: name.span)
        } else if accept("(") {
            table = TableRef(.query(try subquery()), span: source.span(start, consumedEnd))
        } else {
            throw expected("TABLE and the name of a table as first argument of \(function)", near: ["TABLE"])
        }
        if acceptWord("PARTITION") {
            try expectWord("BY")
            if accept("(") {
                table.partitionBy = try expressionList()
                try expect(")", " after the partition columns")
            } else {
                table.partitionBy = [try expression()]
                while isSymbol(","), startsPartitionColumn {
                    advance()
                    table.partitionBy.append(try expression())
                }
            }
        }
        if isWord("ORDER") { throw unsupported("ORDER BY in the argument of \(function)") }
        table.span = source.span(start, consumedEnd)
        return table
    }

    /// Whether what follows a comma is a further column of PARTITION BY a, b and not the next argument.
    private var startsPartitionColumn: Bool {
        let next = token(ahead: 1)
        guard next.kind == .word || next.kind == .quoted else { return false }
        return next.upper != "DESCRIPTOR" && next.upper != "INTERVAL" && !isSymbol("=>", ahead: 2)
    }
}
