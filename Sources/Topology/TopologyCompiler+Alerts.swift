import Alerts
import StreamCore
import StreamSQL
import Yams

/// What `settings:` say about alerts.
struct AlertSettings {
    var retention = AlertRule.defaultRetention
    var database: String?
    var allowsPrivate = true
    var allowsMetadata = false
}

/// `alerts:` — conditions over queries and metrics.
///
///     alerts:
///       - name: revenue-below-goal
///         query: SELECT month, revenue, updated FROM revenue
///         time: updated
///         key: month
///         value: revenue
///         condition: below 300000
///         throttle: weekly
///         notify: finance
///
/// A query becomes a view with the condition as a column, a table of the connector `alert` with the view's columns, and an INSERT in the
/// statement that writes everything, so that it shares the sources of the pipeline.
extension TopologyCompiler {
    struct CompiledAlert {
        var rule: AlertRule
        /// Of a query: the view and the table.
        var definitions: [(inout SQLComposer) -> Void] = []
        var view = "", table = ""
        var at: SourceSpan
    }

    func alertSettings(_ node: Node?) throws -> AlertSettings {
        var settings = AlertSettings()
        for (key, value) in try pairs(node, "settings") where key.string!.hasPrefix("alerts.") {
            switch key.string! {
            case "alerts.history.retention": settings.retention = try milliseconds(value, "alerts.history.retention")
            case "alerts.database": settings.database = try text(value, "alerts.database")
            case "alerts.webhook.allow-private": settings.allowsPrivate = try flag(value, key.string!)
            case "alerts.webhook.allow-metadata": settings.allowsMetadata = try flag(value, key.string!)
            default: throw unknown(key, "settings", TopologyKeys.alertSettings)
            }
        }
        return settings
    }

    func alerts(_ node: Node, deliveries: [String: AlertDelivery], topology: String, settings: AlertSettings) throws -> [CompiledAlert] {
        guard let sequence = node.sequence else { throw document.error("alerts is not a list of rules", fix: "begin each rule with \"- name: ...\"", at: node) }
        var compiled: [CompiledAlert] = []
        for (i, item) in sequence.enumerated() {
            let given = try entries(item, item.mapping?["name"]?.string.map { "alert \($0)" } ?? "alert \(i + 1)", TopologyKeys.alert)
            let nameNode = try required(given, "name", "alert \(i + 1)", item), name = try alertName(nameNode, "alert")
            if let first = compiled.first(where: { $0.rule.name == name }) {
                throw document.error("there are two alerts named \"\(name)\", the first in line \(first.at.line)", fix: "rename one", at: nameNode)
            }
            compiled.append(try alert(item, given, name, nameNode, deliveries, topology, settings))
        }
        return compiled
    }

    private func alert(_ item: Node, _ given: [String: Node], _ name: String, _ nameNode: Node, _ deliveries: [String: AlertDelivery], _ topology: String,
                       _ settings: AlertSettings) throws -> CompiledAlert {
        let what = "alert \(name)"
        guard (given["query"] == nil) != (given["metric"] == nil) else {
            throw document.error("\(what) has \(given["query"] == nil ? "neither query nor metric" : "both query and metric")", fix: "write query: SELECT ... or metric: numRecordsInPerSecond", at: nameNode)
        }
        let source: AlertRule.Source = try given["query"].map { .query(try text($0, "query of \(what)")) } ?? .metric(try metric(given, what))
        var rule = AlertRule(topology: topology, name: name, source: source)
        rule.description = try given["description"].map { try text($0, "description") }
        rule.key = try given["key"].map { try list($0, "key").map(\.0) } ?? []
        rule.value = try given["value"].map { try text($0, "value") }
        rule.time = try given["time"].map { try text($0, "time") }
        rule.condition = try given["condition"].map { try text($0, "condition of \(what)") }
        rule.holdsFor = try given["for"].map { try milliseconds($0, "for") } ?? 0
        if let node = given["throttle"] {
            let word = try text(node, "throttle")
            guard let throttle = AlertThrottle(text: word) else {
                throw document.error("\(what): \"\(word)\" is no throttle", fix: NearName.hint(for: word, in: AlertThrottle.allCases.map(\.rawValue)), at: node)
            }
            rule.throttle = throttle
        }
        rule.notifiesResolved = try given["resolve"].map { try flag($0, "resolve") } ?? false
        rule.severity = try given["severity"].map { try text($0, "severity") }
        for (key, value) in try pairs(given["labels"], "labels of \(what)") { rule.labels[key.string!] = try text(value, "label \(key.string!)") }
        rule.isEnabled = try given["enabled"].map { try flag($0, "enabled") } ?? true
        rule.retention = settings.retention
        let comparison = rule.condition.flatMap(AlertComparison.init)
        if rule.isMetric {
            for key in ["value", "time"] { if let node = given[key] { throw document.error("\(what) is over a metric, which has no \(key)", fix: "leave \(key): out", at: node) } }
            guard let comparison else {
                throw document.error(
                    rule.condition == nil ? "\(what) has no condition" : "\(what): \"\(rule.condition!)\" is no condition of a metric",
                    fix: "write for example condition: above 1000; there are below, above, equals, not equals and between ... and ...", at: given["condition"] ?? nameNode)
            }
            rule.comparison = comparison
        } else if rule.isEvent {
            for key in ["for", "resolve"] {
                if let node = given[key] { throw document.error("\(what) has no condition: each row is an alert of its own, and there is no \(key)", fix: "add condition:, or leave \(key): out", at: node) }
            }
        }
        try route(&rule, given, what, deliveries, at: nameNode)
        var compiled = CompiledAlert(rule: rule, at: document.span(nameNode))
        if let query = given["query"] { try define(&compiled, query, given, comparison, what, settings) }
        return compiled
    }

    private func metric(_ given: [String: Node], _ what: String) throws -> AlertMetric {
        var metric = AlertMetric(name: try text(given["metric"]!, "metric of \(what)"))
        for (key, value) in try pairs(given["match"], "match of \(what)") { metric.match[key.string!] = try text(value, "label \(key.string!)") }
        if let node = given["combine"] {
            let word = try text(node, "combine")
            guard let combine = AlertMetric.Combination(rawValue: word) else {
                throw document.error("\(what): combine is \(word)", fix: NearName.hint(for: word, in: AlertMetric.Combination.allCases.map(\.rawValue)), at: node)
            }
            metric.combine = combine
        }
        return metric
    }

    // MARK: Who is told

    private func route(_ rule: inout AlertRule, _ given: [String: Node], _ what: String, _ deliveries: [String: AlertDelivery], at nameNode: Node) throws {
        func names(_ node: Node, _ what: String) throws -> [String] {
            try list(node, what).map { name, span in
                guard deliveries[name] != nil else {
                    throw document.source.error(.validate, "\(what) names \"\(name)\", which is not among the notifications", fix: NearName.hint(for: name, in: deliveries.keys) ?? "add it under notifications:", at: span)
                }
                return name
            }
        }
        if let node = given["notify"] { rule.notify = try names(node, "notify of \(what)") }
        if let node = given["route"] {
            guard let routes = node.sequence else { throw document.error("route of \(what) is not a list", fix: "begin each with \"- pattern: ...\"", at: node) }
            for item in routes {
                let given = try entries(item, "a route of \(what)", TopologyKeys.alertRoute)
                let pattern = try required(given, "pattern", "a route of \(what)", item)
                let notify = try names(try required(given, "notify", "a route of \(what)", item), "a route of \(what)")
                rule.routes.append(AlertRoute(pattern: try eventPattern(pattern, what), notify: notify))
            }
        }
        guard given["notify"] != nil || given["route"] != nil else {
            throw document.error("\(what) notifies nobody", fix: "add notify: with the name of a delivery, or route:", at: nameNode)
        }
        for name in Set(rule.notify + rule.routes.flatMap(\.notify)) { rule.deliveries[name] = deliveries[name] }
    }

    /// A pattern as YAML, or as text that holds JSON.
    private func eventPattern(_ node: Node, _ what: String) throws -> JSONValue {
        var pattern = try json(node)
        if case .string(let text) = pattern {
            do { pattern = try JSONValue(json: text) } catch let error as StreamError { throw document.error("the pattern of a route of \(what): \(error.problem)", fix: error.fix, at: node) }
        }
        do {
            _ = try EventPattern(pattern)
        } catch let problem as EventPattern.Problem {
            var place = node
            for step in problem.path {
                if let entry = place.mapping?.first(where: { $0.key.string == step }) { place = entry.value } else if let i = Int(step), let items = place.sequence, i < items.count { place = items[i] }
            }
            throw document.error("the pattern of a route of \(what): \(problem.problem)", fix: problem.fix, at: place)
        }
        return pattern
    }

    // MARK: SQL

    private func define(_ compiled: inout CompiledAlert, _ queryNode: Node, _ given: [String: Node], _ comparison: AlertComparison?, _ what: String, _ settings: AlertSettings) throws {
        let rule = compiled.rule, at = compiled.at
        let (view, table) = ("$alert \(rule.name)", "$alert \(rule.name) notifications")
        (compiled.view, compiled.table) = (view, table)
        let query = try self.query(queryNode, "query of \(what)")
        var condition: ((inout SQLComposer) -> Void)?
        if let node = given["condition"] {
            if let comparison {
                guard let value = given["value"] else { throw document.error("\(what) does not say which column is \(rule.condition!)", fix: "add value: with a column of the query", at: node) }
                let column = SQLComposer.quoted(rule.value!), span = document.span(value)
                condition = { $0.add(comparison.sql(on: column), at: span) }
            } else {
                condition = try expression(node, "condition of \(what)")
            }
        }
        let conditionSpan = given["condition"].map { document.span($0) } ?? at
        compiled.definitions = [
            { sql in
                sql.add("CREATE TEMPORARY VIEW ", at: at)
                sql.addName(view, at: at)
                sql.add(" AS ", at: at)
                guard let condition else { return query(&sql) }
                sql.add("SELECT *, (", at: conditionSpan)
                condition(&sql)
                sql.add(") AS `\(AlertConnector.conditionColumn)` FROM (", at: conditionSpan)
                query(&sql)
                sql.add(") AS `$rows`", at: at)
            },
            { sql in
                sql.add("CREATE TEMPORARY TABLE ", at: at)
                sql.addName(table, at: at)
                sql.add(" WITH ('connector' = '\(AlertConnector.name)', 'rule' = \(SQLComposer.literal(rule.json))", at: at)
                if let database = settings.database { sql.add(", 'database' = \(SQLComposer.literal(database))", at: at) }
                sql.add(") LIKE ", at: at)
                sql.addName(view, at: at)
            },
        ]
    }
}
