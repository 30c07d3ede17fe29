import StreamCore

extension SQLWriter {
    /// - Parameter indent: by how many columns more than the writer's own the lines behind the first one are indented.
    public func text(_ query: Query, indent: Int) -> String {
        var writer = self
        writer.indent += indent
        return writer.text(query)
    }

    public func text(_ query: Query) -> String {
        var clauses: [String] = []
        if !query.with.isEmpty { clauses.append("WITH " + query.with.map(text).joined(separator: "," + newLine)) }
        clauses.append(text(query.body))
        if !query.orderBy.isEmpty { clauses.append(list("ORDER BY", deeper.orderItems(query.orderBy))) }
        if let limit = query.limit { clauses.append("LIMIT \(text(limit))") }
        if let offset = query.offset { clauses.append("OFFSET \(text(offset))") }
        return clauses.joined(separator: newLine)
    }

    private func text(_ table: Query.CommonTable) -> String {
        "\(name(table.name))\(table.columns.map { " (\(names($0)))" } ?? "") AS \(subquery(table.query))"
    }

    private func text(_ body: QueryBody) -> String {
        switch body {
        case .select(let select): return text(select)
        case .values(let rows, _): return list("VALUES", rows.map { "(\(deeper.list($0)))" })
        case .set(let op, let isAll, let left, let right, _):
            let own = Self.precedence(op)
            return setOperand(left, own) + newLine + op + (isAll ? " ALL" : "") + newLine + setOperand(right, own + 1)
        }
    }

    private static func precedence(_ op: String) -> Int { op == "INTERSECT" ? 2 : 1 }

    /// A side of a set operation: in parentheses when it is an operation that binds less, or has WITH, ORDER BY or LIMIT.
    private func setOperand(_ query: Query, _ minimum: Int) -> String {
        var isPlain = query.with.isEmpty && query.orderBy.isEmpty && query.limit == nil && query.offset == nil
        if case .set(let op, _, _, _, _) = query.body, Self.precedence(op) < minimum { isPlain = false }
        return isPlain ? text(query) : subquery(query)
    }

    private func text(_ select: Select) -> String {
        var head = "SELECT"
        let hints = (select.stateTTL.isEmpty ? [] : ["STATE_TTL(\(select.stateTTL.map { Self.pair($0.key, $0.value) }.joined(separator: ", ")))"]) + select.joinHints
        if !hints.isEmpty { head += " /*+ \(hints.joined(separator: ", ")) */" }
        if select.distinct { head += " DISTINCT" }
        var clauses = [list(head, deeper.items(select.items))]
        if let from = select.from { clauses.append("FROM " + tables(from)) }
        if let filter = select.filter { clauses.append(condition("WHERE", filter)) }
        if !select.groupBy.isEmpty { clauses.append(list("GROUP BY" + (select.isGroupByDistinct ? " DISTINCT" : ""), select.groupBy.map(deeper.groupingKey))) }
        if let having = select.having { clauses.append(condition("HAVING", having)) }
        return clauses.joined(separator: newLine)
    }

    func items(_ items: [Select.Item]) -> [String] { items.map { text($0.expr) + ($0.alias.map { " AS \(name($0))" } ?? "") } }

    // MARK: FROM

    /// Tables and joins; a comma where only that leaves a join to its right without parentheses.
    private func tables(_ ref: TableRef) -> String {
        if case .join(let left, let right, "CROSS", _, _) = ref.node, case .join = right.node, table(ref, self) == nil {
            return tables(left) + "," + deeper.newLine + deeper.text(right)
        }
        return text(ref)
    }

    /// Something behind FROM, with its alias.
    public func text(_ ref: TableRef) -> String {
        if let other = table(ref, self) { return other }
        return (ref.lateral ? "LATERAL " : "") + source(ref) + (ref.asOf.map { " FOR SYSTEM_TIME AS OF \(text($0))" } ?? "") + aliases(ref)
    }

    private func aliases(_ ref: TableRef) -> String {
        guard let alias = ref.alias else { return "" }
        return " AS \(name(alias))" + (ref.columnAliases.map { " (\(names($0)))" } ?? "") + (ref.position.map { " AT \(name($0))" } ?? "")
    }

    private func source(_ ref: TableRef) -> String {
        switch ref.node {
        case .table(let table, let hints): return name(table) + optionsHint(self.hints(table, hints))
        case .query(let query): return subquery(query)
        case .windowFunction(let function, let input, let timeColumn, let arguments):
            // Flink takes the bare name of the column only.
            let parts = [argument(input), "DESCRIPTOR(\(name(timeColumn.parts.last!)))"] + arguments.map { text($0) }
            return "TABLE(\(function)(\(parts.joined(separator: ", "))))"
        case .randomCutForest(let call): return text(call)
        case .path(let path): return text(path)
        case .tableFunction(let call): return "TABLE(\(text(call)))"
        case .unnest(let value, let ordinality): return "UNNEST(\(text(value)))" + (ordinality ? " WITH ORDINALITY" : "")
        case .match(let input, let match): return side(input) + " " + text(match)
        case .join(let left, let right, let kind, let on, let using):
            let word = (ref.natural ? "NATURAL " : "") + (kind == "INNER" ? "" : kind + " ") + "JOIN "
            var joined = text(left) + newLine + word + side(right)
            if let on { joined = condition(joined + " ON", on) }
            return joined + (using.isEmpty ? "" : " USING (\(names(using)))")
        }
    }

    /// What a join or MATCH_RECOGNIZE is beside; a join in parentheses.
    private func side(_ ref: TableRef) -> String {
        if case .join = ref.node, table(ref, self) == nil { return enclosed { $0.text(ref) } }
        return text(ref)
    }

    /// ` /*+ OPTIONS(...) */`, or nothing.
    func optionsHint(_ options: [String: String]) -> String {
        if options.isEmpty { return "" }
        return " /*+ OPTIONS(" + options.sorted { $0.key < $1.key }.map { Self.pair($0.key, $0.value) }.joined(separator: ", ") + ") */"
    }

    /// TABLE t PARTITION BY k, or a query in parentheses.
    private func argument(_ ref: TableRef) -> String {
        var text: String
        if case .table(let name, let hints) = ref.node {
            let hint = optionsHint(self.hints(name, hints))
            // TABLE takes no hint in Flink.
            text = hint.isEmpty ? "TABLE " + self.name(name) : enclosed { "SELECT *" + $0.newLine + "FROM " + self.name(name) + hint }
        } else {
            text = source(ref)
        }
        switch ref.partitionBy.count {
        case 0: break
        case 1: text += " PARTITION BY \(self.text(ref.partitionBy[0]))"
        default: text += " PARTITION BY (\(list(ref.partitionBy)))"
        }
        return text
    }

    private func text(_ call: RandomCutForestCall) -> String {
        let name = RandomCutForestCall.names.first { $0.value == call.explains }!.key
        var parts = [argument(call.input), "DESCRIPTOR(\(call.columns.map { self.name($0) }.joined(separator: ", ")))"]
        parts += RandomCutForestCall.parameters.compactMap { parameter in call.arguments[parameter].map { "\(parameter) => \(text($0))" } }
        return "TABLE(\(name)(\(parts.joined(separator: ", "))))"
    }

    // MARK: MATCH_RECOGNIZE

    private func text(_ match: MatchRecognize) -> String {
        "MATCH_RECOGNIZE " + enclosed { $0.clauses(match).joined(separator: $0.newLine) }
    }

    private func clauses(_ match: MatchRecognize) -> [String] {
        var clauses: [String] = []
        if !match.partitionBy.isEmpty { clauses.append(list("PARTITION BY", match.partitionBy.map { deeper.text($0) })) }
        if !match.orderBy.isEmpty { clauses.append(list("ORDER BY", deeper.orderItems(match.orderBy))) }
        if !match.measures.isEmpty { clauses.append(list("MEASURES", deeper.items(match.measures))) }
        clauses.append("ONE ROW PER MATCH")
        switch match.skip {
        case nil: break
        case .pastLastRow?: clauses.append("AFTER MATCH SKIP PAST LAST ROW")
        case .toNextRow?: clauses.append("AFTER MATCH SKIP TO NEXT ROW")
        case .toFirst(let variable)?: clauses.append("AFTER MATCH SKIP TO FIRST \(name(variable))")
        case .toLast(let variable)?: clauses.append("AFTER MATCH SKIP TO LAST \(name(variable))")
        }
        clauses.append("PATTERN (\(match.pattern.map(text).joined(separator: " ")))" + (match.within.map { " WITHIN \(text($0))" } ?? ""))
        clauses.append(list("DEFINE", match.define.map { "\(name($0.variable)) AS \(deeper.text($0.condition))" }))
        return clauses
    }

    private func text(_ element: MatchRecognize.Element) -> String {
        let quantifier: String
        switch (element.minimum, element.maximum) {
        case (1, 1?): quantifier = ""
        case (0, nil): quantifier = "*"
        case (1, nil): quantifier = "+"
        case (0, 1?): quantifier = "?"
        case (let n, nil): quantifier = "{\(n),}"
        case (let n, let m?): quantifier = n == m ? "{\(n)}" : "{\(n == 0 ? "" : "\(n)"),\(m)}"
        }
        return name(element.variable) + quantifier + (element.isGreedy || quantifier.isEmpty ? "" : "?")
    }
}
