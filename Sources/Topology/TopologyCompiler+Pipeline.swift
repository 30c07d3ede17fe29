import StreamCore
import StreamSQL
import Yams

extension TopologyCompiler {
    typealias Body = (inout SQLComposer) -> Void

    /// A view for each named step, what delivery streams and alerts read and write, and one statement that writes everything.
    mutating func steps(_ node: Node?, delivering delivery: [(stream: DeliveryStream, at: SourceSpan)], alerts: [CompiledAlert]) throws -> [Statement] {
        let node = node ?? Node([Node]())
        guard let sequence = node.sequence else {
            throw document.error("pipeline is not a list of steps", fix: "begin each step with \"- name: ...\"", at: node)
        }
        var statements: [Statement] = [], inserts: [(target: String, at: SourceSpan, body: Body)] = []
        let later = sequence.map { $0.mapping?["name"]?.string }
        for (i, step) in sequence.enumerated() {
            let name = later[i].map { "step \($0)" } ?? "step \(i + 1)"
            if let node = step.mapping?["mirror"] {
                let given = try entries(step, name, TopologyKeys.mirrorStep)
                let (made, source, target) = try mirror(node, name: given["name"], number: i + 1), at = document.span(node)
                statements += made
                inserts.append(
                    (
                        target, at,
                        { sql in
                            sql.add("SELECT * FROM ", at: at)
                            sql.addName(source, at: at)
                        }
                    ))
                continue
            }
            let keys = try stepKeys(step, name)
            let given = try entries(step, name, keys)
            let body = try self.body(step, given, name, later: later[(i + 1)...].compactMap { $0 })
            let targets = try given["into"].map { try self.targets($0, name) } ?? []
            let isQuality = given["transform"]?.string == "quality"
            guard let nameNode = given["name"] else {
                if isQuality { throw document.error("\(name) has no name", fix: "add name: to it, which its outputs are read from", at: step) }
                guard targets.count == 1 else {
                    throw document.error(
                        "\(name) has no name and \(targets.isEmpty ? "no" : "more than one") target", fix: "give it a name", at: step)
                }
                inserts.append((targets[0].0, targets[0].1, body))
                continue
            }
            let view = try define(nameNode, "step"), at = document.span(nameNode)
            statements.append(try createView(view, at: at, body))
            canRead(view)
            if isQuality { inserts += try qualityOutputs(step, given, name, view: view) }
            for (target, span) in targets {
                inserts.append(
                    (
                        target, span,
                        { sql in
                            sql.add("SELECT * FROM ", at: span)
                            sql.addName(view, at: span)
                        }
                    ))
            }
        }
        for (stream, at) in delivery {
            let made = try stream.statements(log: nil)
            for text in made.definitions.dropFirst(stream.setup.count) {
                var sql = SQLComposer(document)
                sql.add(text, at: at)
                statements.append(try sql.statement())
            }
            inserts += made.inserts.map { insert in (insert.target, at, { $0.add(insert.query, at: at) }) }
        }
        for alert in alerts {
            for define in alert.definitions {
                var sql = SQLComposer(document)
                define(&sql)
                statements.append(try sql.statement())
            }
            inserts.append(
                (
                    alert.table, alert.at,
                    { sql in
                        sql.add("SELECT * FROM ", at: alert.at)
                        sql.addName(alert.view, at: alert.at)
                    }
                ))
        }
        guard !inserts.isEmpty else {
            throw document.error("no step of the pipeline writes anything", fix: "add into: with a table to a step", at: node)
        }
        var sql = SQLComposer(document)
        let at = document.span(node)
        if inserts.count > 1 { sql.add("EXECUTE STATEMENT SET BEGIN\n", at: at) }
        for (target, span, body) in inserts {
            sql.add("INSERT INTO ", at: span)
            sql.addName(target, at: span)
            sql.add(" ", at: span)
            body(&sql)
            if inserts.count > 1 { sql.add(";\n", at: span) }
        }
        if inserts.count > 1 { sql.add("END", at: at) }
        return statements + [try sql.statement()]
    }

    func targets(_ node: Node, _ step: String) throws -> [(String, SourceSpan)] {
        let targets = try list(node, "into")
        for (target, span) in targets where !tables.contains(target) {
            throw document.source.error(
                .validate, "\(step) writes into \"\(target)\", which is not a table of this topology",
                fix: NearName.hint(for: target, in: tables) ?? "add it under tables:", at: span)
        }
        return targets
    }

    private func stepKeys(_ step: Node, _ name: String) throws -> [String] {
        let keys = try pairs(step, name).map { $0.key.string! }
        guard keys.contains("sql") != keys.contains("transform") else {
            // A misspelt key explains the lack of both better.
            let known = TopologyKeys.step + ["sql", "transform"] + TopologyKeys.transforms.values.flatMap { $0 }
            if !keys.contains("sql") { _ = try entries(step, name, known) }
            throw document.error(
                keys.contains("sql") ? "\(name) has both sql and transform" : "\(name) has neither sql, transform nor mirror",
                fix:
                    "write either sql: SELECT ..., mirror: with two clusters, or transform: with one of \(TopologyKeys.transforms.keys.sorted().joined(separator: ", "))",
                at: step)
        }
        if keys.contains("sql") { return TopologyKeys.step + ["sql"] }
        let node = step.mapping!["transform"]!
        let transform = try text(node, "transform")
        guard let own = TopologyKeys.transforms[transform] else {
            throw document.error(
                "there is no transform \"\(transform)\"", fix: NearName.hint(for: transform, in: TopologyKeys.transforms.keys), at: node)
        }
        return TopologyKeys.step + ["transform"] + own
    }

    /// The query of a step.
    private func body(_ step: Node, _ given: [String: Node], _ name: String, later: [String]) throws -> Body {
        if let sql = given["sql"] { return try query(sql, "sql of \(name)") }
        guard let from = given["from"] else {
            throw document.error("\(name) has no from", fix: "add from: with a table, view or earlier step", at: step)
        }
        let sources = try list(from, "from")
        for (source, span) in sources where !readable.contains(source) {
            let fix =
                later.contains(source)
                ? "move that step before this one" : NearName.hint(for: source, in: readable) ?? "add it under tables:"
            let what = later.contains(source) ? "a step that comes later" : "not a table, view or earlier step"
            throw document.source.error(.validate, "\(name) reads \"\(source)\", which is \(what)", fix: fix, at: span)
        }
        let transform = given["transform"]!.string!
        if sources.count > 1, transform != "union" {
            throw document.error("\(transform) reads one table, not \(sources.count)", fix: "put a union step before it", at: from)
        }
        switch transform {
        case "union":
            return { sql in
                for (i, (source, span)) in sources.enumerated() {
                    sql.add(i == 0 ? "SELECT * FROM " : " UNION ALL SELECT * FROM ", at: span)
                    sql.addName(source, at: span)
                }
            }
        case "filter":
            let condition = try required(given, "where", name, step)
            let filter = try clause("WHERE", condition, name)
            return { sql in
                sql.add("SELECT * FROM ", at: sources[0].1)
                sql.addName(sources[0].0, at: sources[0].1)
                filter(&sql)
            }
        case "select":
            let columns = try self.columns(try required(given, "columns", name, step), name)
            let distinct = try given["distinct"].map { try flag($0, "distinct") } ?? false
            let filter = try given["where"].map { try clause("WHERE", $0, name) }
            return { sql in
                sql.add(distinct ? "SELECT DISTINCT " : "SELECT ", at: sources[0].1)
                columns(&sql)
                sql.add(" FROM ", at: sources[0].1)
                sql.addName(sources[0].0, at: sources[0].1)
                filter?(&sql)
            }
        case "flatten": return try flatten(step, given, name, sources[0])
        case "quality": return try quality(step, given, name, sources[0])
        case "encode": return try encode(step, given, name, sources[0])
        case "anomaly": return try anomaly(step, given, name, sources[0])
        case "deduplicate": return try deduplicate(step, given, name, sources[0])
        default: return try aggregate(step, given, name, sources[0])
        }
    }

    func required(_ given: [String: Node], _ key: String, _ name: String, _ step: Node) throws -> Node {
        guard let node = given[key] else { throw document.error("\(name) has no \(key)", fix: "add \(key): to it", at: step) }
        return node
    }

    func clause(_ word: String, _ node: Node, _ name: String) throws -> Body {
        let expr = try expression(node, "\(word.lowercased()) of \(name)"), span = document.span(node)
        return { sql in
            sql.add(" \(word) ", at: span)
            expr(&sql)
        }
    }

    /// `alias: expression` lines, or a list of expressions.
    func columns(_ node: Node, _ name: String) throws -> Body {
        var parts: [(Body, String?, SourceSpan)] = []
        if let sequence = node.sequence {
            for item in sequence {
                let fragment = try self.fragment(item, "a column of \(name)")
                let items = try SQLParser(source: fragment).parseSelectItems()
                guard items.count == 1 else {
                    throw document.error(
                        "an entry of columns of \(name) holds \(items.count) columns", fix: "give each a line of its own", at: item)
                }
                parts.append(({ $0.add(fragment) }, nil, document.span(item)))
            }
        } else {
            for (key, value) in try pairs(node, "columns of \(name)") {
                parts.append((try expression(value, "column \(key.string!) of \(name)"), key.string!, document.span(key)))
            }
        }
        if parts.isEmpty { throw document.error("columns of \(name) is empty", fix: "name at least one column", at: node) }
        return { sql in
            for (i, (expr, alias, span)) in parts.enumerated() {
                if i > 0 { sql.add(", ", at: span) }
                expr(&sql)
                if let alias {
                    sql.add(" AS ", at: span)
                    sql.addName(alias, at: span)
                }
            }
        }
    }

    /// GROUP BY keys, within windows of a time column when `window:` is given.
    private func aggregate(_ step: Node, _ given: [String: Node], _ name: String, _ source: (String, SourceSpan)) throws -> Body {
        let columns = try self.columns(try required(given, "columns", name, step), name)
        let keys = try given["by"].map { try list($0, "by") } ?? []
        let window = try given["window"].map { try self.window($0, name, source) }
        let filter = try given["where"].map { try clause("WHERE", $0, name) }
        let having = try given["having"].map { try clause("HAVING", $0, name) }
        var grouping = keys
        if let node = given["window"] {
            for column in ["window_start", "window_end", "window_time"] where !keys.contains(where: { $0.0 == column }) {
                grouping.append((column, document.span(node)))
            }
        }
        return { [grouping] sql in
            sql.add("SELECT ", at: source.1)
            for (key, span) in keys {
                sql.addName(key, at: span)
                sql.add(", ", at: span)
            }
            columns(&sql)
            sql.add(" FROM ", at: source.1)
            if let window { window(&sql) } else { sql.addName(source.0, at: source.1) }
            filter?(&sql)
            for (i, (key, span)) in grouping.enumerated() {
                sql.add(i == 0 ? " GROUP BY " : ", ", at: span)
                sql.addName(key, at: span)
            }
            having?(&sql)
        }
    }

    private func window(_ node: Node, _ name: String, _ source: (String, SourceSpan)) throws -> Body {
        let what = "window of \(name)"
        let given = try entries(node, what, TopologyKeys.window)
        let type = try text(try required(given, "type", what, node), "type")
        guard let parameters = TopologyKeys.windowParameters[type] else {
            throw document.error(
                "there is no window type \"\(type)\"", fix: NearName.hint(for: type, in: TopologyKeys.windowParameters.keys),
                at: given["type"]!)
        }
        let column = try required(given, "column", what, node)
        let columnName = try text(column, "column")
        var arguments: [(String, SourceSpan)] = []
        for parameter in parameters {
            guard let node = given[parameter] else {
                if parameter == "offset" { continue }
                throw document.error(
                    "\(what) has no \(parameter)", fix: "add \(parameter): to it, for example \(parameter): 10 s", at: node)
            }
            arguments.append((try interval(node, parameter).sql, document.span(node)))
        }
        for (key, extra) in given where !parameters.contains(key) && key != "type" && key != "column" {
            throw document.error(
                "a \(type) window has no \(key)", fix: "remove it; \(type) takes \(parameters.joined(separator: ", "))", at: extra)
        }
        return { [arguments] sql in
            sql.add("TABLE(\(type.uppercased())(TABLE ", at: source.1)
            sql.addName(source.0, at: source.1)
            sql.add(", DESCRIPTOR(", at: document.span(column))
            sql.addName(columnName, at: document.span(column))
            sql.add(")", at: document.span(column))
            for (argument, span) in arguments { sql.add(", \(argument)", at: span) }
            sql.add("))", at: source.1)
        }
    }
}
