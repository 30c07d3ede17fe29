import StreamCore
import StreamSQL
import Yams

/// Rules that tell good records from bad ones.
///
///     - name: checked
///       transform: quality
///       from: patients
///       rules:
///         birthdate: {column: birthdate, matches: '(?:18|19|20)[0-9]{2}', yes-means: met}
///         drivers: drivers IS NOT NULL AND drivers <> ''
///         patient: {column: id, exists-in: {table: encounters, column: patient}}
///       good: good_records
///       bad: bad_records
///       score: score_card
///
/// The step is its source with a column `<rule>_flagged` ('Yes' or 'No') for each rule and `dq_flag` ('Valid' or 'Invalid').
/// A record is bad when a rule is not true for it, be it false or unknown, so that good and bad together are all.
extension TopologyCompiler {
    struct QualityRule {
        var name: String, at: SourceSpan
        var condition: Body
        /// 'Yes' says that the rule is met, not that it is broken.
        var yesMeansMet = false
        /// What the record is looked up in.
        var lookup: (column: String, table: String, key: String, as: String?)?

        var flag: String { name + "_flagged" }
        var badFlag: String { yesMeansMet ? "No" : "Yes" }
        var found: String { "found_by_\(name)" }
    }

    func qualityRules(_ given: [String: Node], _ name: String, _ step: Node) throws -> [QualityRule] {
        let node = try required(given, "rules", name, step)
        let rules = try pairs(node, "rules of \(name)").map { try qualityRule($0.key, $0.value, name) }
        if rules.isEmpty { throw document.error("rules of \(name) is empty", fix: "add at least one rule", at: node) }
        return rules
    }

    private func qualityRule(_ key: Node, _ node: Node, _ step: String) throws -> QualityRule {
        let what = "rule \(key.string!) of \(step)", at = document.span(node)
        guard node.mapping != nil else {
            return QualityRule(name: key.string!, at: document.span(key), condition: try expression(node, what))
        }
        let given = try entries(node, what, TopologyKeys.qualityRule)
        let kinds = TopologyKeys.qualityConditions.filter { given[$0] != nil }
        guard kinds.count == 1, let kind = kinds.first, let value = given[kind] else {
            throw document.error("\(what) needs exactly one of \(TopologyKeys.qualityConditions.joined(separator: ", "))", fix: "split it into several rules", at: node)
        }
        var rule = QualityRule(name: key.string!, at: document.span(key), condition: { _ in })
        if let node = given["yes-means"] {
            let word = try text(node, "yes-means")
            guard ["met", "broken"].contains(word) else { throw document.error("yes-means: \(word) is neither met nor broken", fix: "write met or broken", at: node) }
            rule.yesMeansMet = word == "met"
        }
        if kind == "is" {
            guard given["column"] == nil else { throw document.error("\(what): is: names its columns itself", fix: "remove column:", at: given["column"]!) }
            rule.condition = try expression(value, what)
            return rule
        }
        let column = try text(try required(given, "column", what, node), "column")
        switch kind {
        case "matches":
            let pattern = SQLComposer.literal(try text(value, "matches"))
            rule.condition = { sql in
                sql.add("REGEXP(", at: at)
                sql.addName(column, at: at)
                sql.add(", \(pattern))", at: at)
            }
        case "not-null":
            guard try flag(value, "not-null") else { throw document.error("\(what): not-null: false allows everything", fix: "write not-null: true, or remove the rule", at: value) }
            rule.condition = { sql in
                sql.addName(column, at: at)
                sql.add(" IS NOT NULL", at: at)
            }
        case "in":
            let values = try literals(value, "in of \(what)")
            rule.condition = { sql in
                sql.addName(column, at: at)
                sql.add(" IN (\(values.joined(separator: ", ")))", at: at)
            }
        case "between":
            let ends = try literals(value, "between of \(what)")
            guard ends.count == 2 else { throw document.error("between of \(what) has \(ends.count) values", fix: "write between: [least, greatest]", at: value) }
            rule.condition = { sql in
                sql.addName(column, at: at)
                sql.add(" BETWEEN \(ends[0]) AND \(ends[1])", at: at)
            }
        default:
            let other = try entries(value, "exists-in of \(what)", TopologyKeys.qualityLookup)
            let tableNode = try required(other, "table", "exists-in of \(what)", value), table = try text(tableNode, "table")
            guard readable.contains(table) else {
                throw document.error("\(what) reads \"\(table)\", which is not a table, view or earlier step", fix: NearName.hint(for: table, in: readable) ?? "add it under tables:", at: tableNode)
            }
            let keyColumn = try text(try required(other, "column", "exists-in of \(what)", value), "column")
            let name = try other["as"].map { try text($0, "as") }
            rule.lookup = (column, table, keyColumn, name)
            let found = rule.found
            rule.condition = { sql in
                sql.addName(found, at: at)
                sql.add(".", at: at)
                sql.addName("key", at: at)
                sql.add(" IS NOT NULL", at: at)
            }
        }
        return rule
    }

    /// Values of a list as SQL: numbers as they are, everything else as text.
    func literals(_ node: Node, _ what: String) throws -> [String] {
        guard let sequence = node.sequence, !sequence.isEmpty else { throw document.error("\(what) is not a list of values", fix: "write [a, b]", at: node) }
        return try sequence.map { item in
            let value = try text(item, "an entry of \(what)")
            guard let scalar = item.scalar, scalar.style == .plain || scalar.style == .any, isNumber(value) else { return SQLComposer.literal(value) }
            return value
        }
    }

    func isNumber(_ text: String) -> Bool {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        let parts = digits.split(separator: ".", omittingEmptySubsequences: false)
        return (1...2).contains(parts.count) && parts.allSatisfy { !$0.isEmpty && $0.allSatisfy { $0.isASCII && $0.isNumber } }
    }

    /// The source with flags. A lookup is a left join with the distinct keys of its table: each record stays one row.
    func quality(_ step: Node, _ given: [String: Node], _ name: String, _ source: (String, SourceSpan)) throws -> Body {
        let rules = try qualityRules(given, name, step), at = document.span(step)
        return { sql in
            sql.add("SELECT *, CASE WHEN ", at: at)
            for (i, rule) in rules.enumerated() {
                if i > 0 { sql.add(" OR ", at: rule.at) }
                sql.addName(rule.flag, at: rule.at)
                sql.add(" = '\(rule.badFlag)'", at: rule.at)
            }
            sql.add(" THEN 'Invalid' ELSE 'Valid' END AS dq_flag FROM (SELECT ", at: at)
            sql.addName(source.0, at: source.1)
            sql.add(".*", at: source.1)
            for rule in rules {
                if let name = rule.lookup?.as {
                    sql.add(", ", at: rule.at)
                    sql.addName(rule.found, at: rule.at)
                    sql.add(".`key` AS ", at: rule.at)
                    sql.addName(name, at: rule.at)
                }
                sql.add(", CASE WHEN (", at: rule.at)
                rule.condition(&sql)
                sql.add(") IS TRUE THEN \(rule.yesMeansMet ? "'Yes' ELSE 'No'" : "'No' ELSE 'Yes'") END AS ", at: rule.at)
                sql.addName(rule.flag, at: rule.at)
            }
            sql.add(" FROM ", at: source.1)
            sql.addName(source.0, at: source.1)
            for rule in rules {
                guard let lookup = rule.lookup else { continue }
                sql.add(" LEFT JOIN (SELECT DISTINCT ", at: rule.at)
                sql.addName(lookup.key, at: rule.at)
                sql.add(" AS `key` FROM ", at: rule.at)
                sql.addName(lookup.table, at: rule.at)
                sql.add(") AS ", at: rule.at)
                sql.addName(rule.found, at: rule.at)
                sql.add(" ON ", at: rule.at)
                sql.addName(source.0, at: source.1)
                sql.add(".", at: rule.at)
                sql.addName(lookup.column, at: rule.at)
                sql.add(" = ", at: rule.at)
                sql.addName(rule.found, at: rule.at)
                sql.add(".`key`", at: rule.at)
            }
            sql.add(")", at: at)
        }
    }

    /// What the step writes: good and bad records, and the score card.
    func qualityOutputs(_ step: Node, _ given: [String: Node], _ name: String, view: String) throws -> [(target: String, at: SourceSpan, body: Body)] {
        let rules = try qualityRules(given, name, step)
        let columns = try given["columns"].map { try self.columns($0, name) }
        // Ordering waits for the end of the input, and gives no row that changes later on.
        let end = try given["final"].map { try flag($0, "final") } == true ? " ORDER BY 1" : ""
        var outputs: [(target: String, at: SourceSpan, body: Body)] = []
        for (key, flag) in [("good", "Valid"), ("bad", "Invalid")] {
            for (target, at) in try given[key].map({ try targets($0, name) }) ?? [] {
                outputs.append((target, at, { sql in
                    sql.add("SELECT ", at: at)
                    if let columns { columns(&sql) } else { sql.add("*", at: at) }
                    sql.add(" FROM ", at: at)
                    sql.addName(view, at: at)
                    sql.add(" WHERE dq_flag = '\(flag)'\(end)", at: at)
                }))
            }
        }
        guard let score = given["score"] else { return outputs }
        let entries = score.mapping == nil ? ["into": score] : try entries(score, "score of \(name)", TopologyKeys.qualityScore)
        let keys = try entries["by"].map { try list($0, "by") } ?? []
        for (target, at) in try targets(try required(entries, "into", "score of \(name)", score), name) {
            outputs.append((target, at, { sql in
                sql.add("SELECT ", at: at)
                if keys.isEmpty { sql.add("CAST(\(SQLComposer.literal(view)) AS STRING) AS name, ", at: at) }
                for (key, span) in keys {
                    sql.addName(key, at: span)
                    sql.add(", ", at: span)
                }
                sql.add("COUNT(*) AS records, COUNT(*) FILTER (WHERE dq_flag = 'Invalid') AS bad_records", at: at)
                for (column, flag, bad) in rules.map({ ($0.name, $0.flag, $0.badFlag) }) + [("bad", "dq_flag", "Invalid")] {
                    sql.add(", 100 * CAST(COUNT(*) FILTER (WHERE \(SQLComposer.quoted(flag)) = '\(bad)') AS DOUBLE) / NULLIF(COUNT(*), 0) AS ", at: at)
                    sql.addName(column + "_percent", at: at)
                }
                sql.add(" FROM ", at: at)
                sql.addName(view, at: at)
                for (i, (key, span)) in keys.enumerated() {
                    sql.add(i == 0 ? " GROUP BY " : ", ", at: span)
                    sql.addName(key, at: span)
                }
                sql.add(end, at: at)
            }))
        }
        return outputs
    }
}
