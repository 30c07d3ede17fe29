import StreamCore
import StreamSQL
import Yams

extension TopologyCompiler {
    /// CREATE TABLE from one entry of `tables:`.
    mutating func table(_ key: Node, _ node: Node) throws -> Statement {
        let name = try define(key, "table"), what = "table \(name)", at = document.span(key)
        let given = try entries(node, what, TopologyKeys.table)
        guard let columns = given["columns"] else {
            throw document.error("\(what) has no columns", fix: "add columns: with one \"name: TYPE\" in a line", at: key)
        }
        guard let options = given["with"] else {
            throw document.error("\(what) has no with", fix: "add with: and connector: name", at: key)
        }
        var sql = SQLComposer(document)
        sql.add("CREATE TEMPORARY TABLE ", at: at)
        sql.addName(name, at: at)
        var separator = " (\n  "
        for (column, definition) in try columnList(columns, what) {
            sql.add(separator, at: document.span(column))
            sql.addName(try text(column, "the name of a column"), at: document.span(column))
            try self.column(definition, "column \(column.string!) of \(what)", at: column, into: &sql)
            separator = ",\n  "
        }
        if let watermark = given["watermark"] { try self.watermark(watermark, what, into: &sql) }
        if let key = given["key"] {
            sql.add(",\n  PRIMARY KEY (", at: document.span(key))
            names(try list(key, "key"), into: &sql)
            sql.add(") NOT ENFORCED", at: document.span(key))
        }
        sql.add("\n)", at: at)
        if let description = given["description"] {
            sql.add(" COMMENT " + SQLComposer.literal(try text(description, "description")), at: document.span(description))
        }
        if let partitions = given["partitioned-by"] {
            sql.add(" PARTITIONED BY (", at: document.span(partitions))
            names(try list(partitions, "partitioned-by"), into: &sql)
            sql.add(")", at: document.span(partitions))
        }
        separator = " WITH (\n  "
        for (key, value) in try pairs(options, "with") {
            let option = try text(value, "option '\(key.string!)'")
            sql.add(separator, at: document.span(key))
            sql.add("\(SQLComposer.literal(key.string!)) = \(SQLComposer.literal(option))", at: document.span(key))
            separator = ",\n  "
        }
        if separator.hasPrefix(" ") { throw document.error("with of \(what) is empty", fix: "add connector: name", at: options) }
        sql.add("\n)", at: at)
        canRead(name)
        return try sql.statement()
    }

    private func names(_ names: [(String, SourceSpan)], into sql: inout SQLComposer) {
        for (i, (name, span)) in names.enumerated() {
            if i > 0 { sql.add(", ", at: span) }
            sql.addName(name, at: span)
        }
    }

    /// `name: TYPE`, `name: {type: ..., ...}`, or a list of `{name: ..., type: ...}`; empty lists are refused.
    private func columnList(_ node: Node, _ what: String) throws -> [(Node, Node)] {
        let columns: [(Node, Node)]
        if let sequence = node.sequence {
            columns = try sequence.map { entry in
                let given = try entries(entry, "a column of \(what)", TopologyKeys.column)
                guard let name = given["name"] else {
                    throw document.error("a column of \(what) has no name", fix: "add name: to it", at: entry)
                }
                return (name, entry)
            }
        } else {
            columns = try pairs(node, "columns of \(what)").map { ($0.key, $0.value) }
        }
        if columns.isEmpty { throw document.error("\(what) has no columns", fix: "write one \"name: TYPE\" in a line", at: node) }
        return columns
    }

    /// What stands behind the column's name.
    private func column(_ node: Node, _ what: String, at key: Node, into sql: inout SQLComposer) throws {
        guard node.mapping != nil else {
            try type(node, what, into: &sql)
            return
        }
        let given = try entries(node, what, TopologyKeys.column)
        if let computed = given["as"] {
            for other in ["type", "metadata", "virtual"] {
                if let node = given[other] {
                    throw document.error(
                        "\(what) has both as and \(other)", fix: "remove \(other): a computed column has the type of its expression",
                        at: node)
                }
            }
            sql.add(" AS ", at: document.span(computed))
            try expression(computed, what)(&sql)
        } else {
            guard let type = given["type"] else {
                throw document.error("\(what) has neither type nor as", fix: "add type: with a SQL type", at: key)
            }
            try self.type(type, what, into: &sql)
            if let metadata = given["metadata"] {
                let from = try text(metadata, "metadata")
                if from != "false" {
                    sql.add(" METADATA" + (from == "true" ? "" : " FROM " + SQLComposer.literal(from)), at: document.span(metadata))
                    if let virtual = given["virtual"], try flag(virtual, "virtual") { sql.add(" VIRTUAL", at: document.span(virtual)) }
                }
            } else if let virtual = given["virtual"] {
                throw document.error("\(what) is virtual without metadata", fix: "add metadata: true, or remove virtual", at: virtual)
            }
        }
        if let comment = given["comment"] {
            sql.add(" COMMENT " + SQLComposer.literal(try text(comment, "comment")), at: document.span(comment))
        }
    }

    private func type(_ node: Node, _ what: String, into sql: inout SQLComposer) throws {
        let fragment = try self.fragment(node, "the type of \(what)")
        _ = try SQLParser(source: fragment).parseType()
        sql.add(" ", at: document.span(node))
        sql.add(fragment)
    }

    /// {column: c, delay: 5 s} or {column: c, as: expression}
    private func watermark(_ node: Node, _ what: String, into sql: inout SQLComposer) throws {
        let given = try entries(node, "watermark of \(what)", TopologyKeys.watermark)
        guard let column = given["column"] else {
            throw document.error("watermark of \(what) has no column", fix: "add column: with the time column", at: node)
        }
        guard (given["delay"] == nil) != (given["as"] == nil) else {
            throw document.error(
                "watermark of \(what) needs exactly one of delay and as", fix: "write delay: 5 s, or as: with an expression", at: node)
        }
        let name = try text(column, "column")
        sql.add(",\n  WATERMARK FOR ", at: document.span(column))
        sql.addName(name, at: document.span(column))
        sql.add(" AS ", at: document.span(column))
        if let expr = given["as"] {
            try expression(expr, "watermark of \(what)")(&sql)
        } else if let delay = given["delay"] {
            let interval = try self.interval(delay, "delay")
            sql.addName(name, at: document.span(column))
            sql.add(interval.isZero ? "" : " - \(interval.sql)", at: document.span(delay))
        }
    }

    /// A length of time as milliseconds.
    func milliseconds(_ node: Node, _ what: String) throws -> Int64 {
        let (sql, _) = try interval(node, what), given = try text(node, what)
        let units: [(String, Int64)] = [("SECOND", 1_000), ("MINUTE", 60_000), ("HOUR", 3_600_000), ("DAY", 86_400_000)]
        let parts = sql.split(separator: "'")
        guard parts.count == 3, let number = Double(parts[1]), let unit = units.first(where: { parts[2].hasSuffix($0.0) })?.1, number * Double(unit) < 1e15 else {
            throw document.error("\(what): \(given) is not a length of time", fix: "write for example 2 minutes", at: node)
        }
        return Int64((number * Double(unit)).rounded())
    }

    /// `10 s`, `1 min`, `500 ms`, `2 hours`, `1 day` as an interval literal.
    func interval(_ node: Node, _ what: String) throws -> (sql: String, isZero: Bool) {
        let given = try text(node, what)
        let digits = given.prefix { $0.isASCII && $0.isNumber }
        var unit = given.dropFirst(digits.count).filter { $0 != " " }.lowercased()
        if unit.count > 2, unit.hasSuffix("s") { unit.removeLast() }
        let units = [
            "ms": "MILLISECOND", "millisecond": "MILLISECOND", "s": "SECOND", "sec": "SECOND", "second": "SECOND", "m": "MINUTE",
            "min": "MINUTE",
            "minute": "MINUTE", "h": "HOUR", "hour": "HOUR", "d": "DAY", "day": "DAY",
        ]
        guard let n = Int64(digits), digits.count <= 12, let name = units[unit] else {
            throw document.error(
                "\(what): \(given) is not a length of time", fix: "write for example 10 s, 500 ms, 1 min, 2 h or 1 d", at: node)
        }
        if name == "MILLISECOND" {
            let rest = String(n % 1_000)
            return ("INTERVAL '\(n / 1_000).\(String(repeating: "0", count: 3 - rest.count))\(rest)' SECOND", n == 0)
        }
        return ("INTERVAL '\(n)' \(name)", n == 0)
    }
}
