import StreamCore
import StreamSQL
import Yams

/// Reads the YAML tree and writes the SQL statements that it stands for.
struct TopologyCompiler {
    let document: YAMLDocument
    /// Where each table, view and step is defined.
    private var names: [String: SourceSpan] = [:]
    private(set) var tables: [String] = []
    /// What a step can read so far.
    private(set) var readable: [String] = []
    private var stepNames: [String] = []

    init(_ document: YAMLDocument) { self.document = document }

    func topology(file: String?, fallbackName: String) throws -> Topology {
        var compiler = self
        return try compiler.compile(file: file, fallbackName: fallbackName)
    }

    private mutating func compile(file: String?, fallbackName: String) throws -> Topology {
        let root = try entries(document.root, "the topology", TopologyKeys.root)
        var statements: [Statement] = []
        let name = try root["name"].map { try text($0, "name") }
        if let name { statements.append(try set("pipeline.name", name, at: root["name"]!)) }
        if let settings = root["settings"] { statements += try self.settings(settings) }
        if let tables = root["tables"] {
            for (key, node) in try pairs(tables, "tables") { statements.append(try table(key, node)) }
        }
        if let views = root["views"] {
            for (key, node) in try pairs(views, "views") { statements.append(try view(key, node)) }
        }
        let title = name ?? fallbackName, alertSettings = try alertSettings(root["settings"])
        let receivers = try root["notifications"].map { try notifications($0, settings: alertSettings) } ?? [:]
        let alerts = try root["alerts"].map { try self.alerts($0, deliveries: receivers, topology: title, settings: alertSettings) } ?? []
        let queries = alerts.filter { !$0.rule.isMetric }
        let delivery = try root["delivery-streams"].map { try deliveryStreams($0, setup: statements.filter { if case .set = $0.node { false } else { true } }.map(\.text)) } ?? []
        let sets = statements.filter { if case .set = $0.node { true } else { false } }
        let replications = try root["replications"].map { try self.replications($0, settings: sets, file: file) } ?? []
        if !replications.isEmpty {
            guard root["pipeline"] == nil, delivery.isEmpty else {
                throw document.error(
                    "the topology has replications and \(root["pipeline"] == nil ? "delivery streams" : "a pipeline")", fix: "put the replications into a file of their own",
                    at: root["replications"]!)
            }
            if let query = queries.first {
                throw document.source.error(.validate, "the topology has replications, and the alert \(query.rule.name) over a query", fix: "put the alert into a file of its own", at: query.at)
            }
            var topology = Topology(name: title, description: try root["description"].map { try text($0, "description") }, file: file, statements: sets,
                                    pipelineStatements: [])
            topology.replications = replications
            topology.alerts = alerts.map(\.rule)
            return topology
        }
        guard root["pipeline"] != nil || !delivery.isEmpty || !queries.isEmpty else {
            throw document.error(
                "the topology has no pipeline", fix: "add pipeline: with at least one step that has sql: and into:", at: document.root)
        }
        var alone = self
        let isAlone = root["pipeline"] == nil && queries.isEmpty
        let pipeline = isAlone ? [] : statements + (try alone.steps(root["pipeline"], delivering: [], alerts: queries))
        statements += try steps(root["pipeline"], delivering: delivery, alerts: queries)
        var topology = Topology(
            name: title, description: try root["description"].map { try text($0, "description") }, file: file,
            statements: statements, deliveryStreams: delivery.map(\.stream), pipelineStatements: pipeline)
        topology.alerts = alerts.map(\.rule)
        return topology
    }

    // MARK: Settings

    private func set(_ key: String, _ value: String, at node: Node) throws -> Statement {
        var sql = SQLComposer(document)
        sql.add("SET \(SQLComposer.literal(key)) = \(SQLComposer.literal(value))", at: document.span(node))
        return try sql.statement()
    }

    private func settings(_ node: Node) throws -> [Statement] {
        var statements: [Statement] = []
        for (key, value) in try pairs(node, "settings") {
            switch key.string! {
            case "parallelism": statements.append(try set("parallelism.default", try count(value, "parallelism"), at: value))
            case "max-parallelism": statements.append(try set("pipeline.max-parallelism", try count(value, "max-parallelism"), at: value))
            case "time-zone": statements.append(try set("table.local-time-zone", try text(value, "time-zone"), at: value))
            case "idle-timeout": statements.append(try set("table.exec.source.idle-timeout", try text(value, "idle-timeout"), at: value))
            case "state":
                let backends = ["memory": "hashmap", "rocksdb": "rocksdb"]
                let given = try text(value, "state")
                guard let backend = backends[given] else {
                    throw document.error(
                        "\"\(given)\" is not a state backend", fix: NearName.hint(for: given, in: backends.keys), at: value)
                }
                statements.append(try set("state.backend.type", backend, at: value))
            case "checkpoint":
                let keys = [
                    "interval": "execution.checkpointing.interval", "directory": "execution.checkpointing.dir",
                    "mode": "execution.checkpointing.mode",
                    "timeout": "execution.checkpointing.timeout",
                ]
                let given = try entries(value, "checkpoint", TopologyKeys.checkpoint)
                for key in TopologyKeys.checkpoint {
                    if let value = given[key] { statements.append(try set(keys[key]!, try text(value, key), at: value)) }
                }
            // They are for the alerts, not for the session.
            case let key where TopologyKeys.alertSettings.contains(key): break
            case let other:
                guard TopologyKeys.settingPrefixes.contains(where: { other.hasPrefix($0) }) else {
                    throw unknown(
                        key, "settings", TopologyKeys.settings + TopologyKeys.alertSettings, or: "a Flink key that begins with table., pipeline., execution., restart-strategy. or state.")
                }
                statements.append(try set(other, try text(value, other), at: value))
            }
        }
        return statements
    }

    // MARK: Views

    private mutating func view(_ key: Node, _ node: Node) throws -> Statement {
        let name = try define(key, "view")
        var columns: [(String, SourceSpan)] = [], sqlNode = node
        if node.mapping != nil {
            let given = try entries(node, "view \(name)", TopologyKeys.view)
            columns = try given["columns"].map { try list($0, "columns") } ?? []
            guard let sql = given["sql"] else { throw document.error("view \(name) has no sql", fix: "add sql: SELECT ...", at: key) }
            sqlNode = sql
        }
        readable.append(name)
        return try createView(name, at: document.span(key), columns: columns, try query(sqlNode, "view \(name)"))
    }

    func createView(_ name: String, at span: SourceSpan, columns: [(String, SourceSpan)] = [], _ body: (inout SQLComposer) -> Void) throws
        -> Statement
    {
        var sql = SQLComposer(document)
        sql.add("CREATE TEMPORARY VIEW ", at: span)
        sql.addName(name, at: span)
        for (i, (column, at)) in columns.enumerated() {
            sql.add(i == 0 ? " (" : ", ", at: at)
            sql.addName(column, at: at)
        }
        sql.add(columns.isEmpty ? " AS " : ") AS ", at: span)
        body(&sql)
        return try sql.statement()
    }

    // MARK: Pieces of SQL

    /// A whole query, checked, to be added to a statement.
    func query(_ node: Node, _ what: String) throws -> (inout SQLComposer) -> Void {
        let fragment = try self.fragment(node, what)
        let query = try SQLParser(source: fragment).parseQuery()
        return { $0.add(fragment, from: query.span.start, to: query.span.end) }
    }

    /// An expression, checked, to be added to a statement.
    func expression(_ node: Node, _ what: String) throws -> (inout SQLComposer) -> Void {
        let fragment = try self.fragment(node, what)
        let expr = try SQLParser(source: fragment).parseExpression()
        return { $0.add(fragment, from: expr.span.start, to: expr.span.end) }
    }

    func fragment(_ node: Node, _ what: String) throws -> SourceText {
        _ = try text(node, what)
        return document.fragment(node.scalar!, at: node)
    }

    // MARK: Reading nodes

    /// Notes a name and refuses one that is taken.
    mutating func define(_ node: Node, _ kind: String) throws -> String {
        let name = try text(node, "the name of a \(kind)")
        try define(name, kind, at: node)
        return name
    }

    mutating func define(_ name: String, _ kind: String, at node: Node) throws {
        if let first = names[name] {
            throw document.error(
                "there are two tables, views or steps named \"\(name)\", the first in line \(first.line)", fix: "rename one", at: node)
        }
        names[name] = document.span(node)
        if kind == "table" { tables.append(name) }
        if kind == "step" { stepNames.append(name) }
    }

    mutating func canRead(_ name: String) { readable.append(name) }

    func unknown(_ key: Node, _ where: String, _ known: [String], or more: String? = nil) -> StreamError {
        let name = key.string ?? ""
        var fix = NearName.nearest(to: name, in: known).map { "write \"\($0)\"" }
        if fix == nil { fix = "use one of " + known.joined(separator: ", ") + (more.map { ", or \($0)" } ?? "") }
        return document.error("unknown key \"\(name)\" in \(`where`)", fix: fix, at: key)
    }

    func pairs(_ node: Node, _ what: String) throws -> [(key: Node, value: Node)] {
        guard let mapping = node.mapping else {
            throw document.error(
                "\(what) is not a list of \"key: value\" lines", fix: "write one \"key: value\" in a line below it", at: node)
        }
        for pair in mapping where pair.key.scalar == nil {
            throw document.error("a key of \(what) is not text", fix: "write it as plain text", at: pair.key)
        }
        return mapping.map { ($0.key, $0.value) }
    }

    func entries(_ node: Node, _ what: String, _ known: [String]) throws -> [String: Node] {
        var found: [String: Node] = [:]
        for (key, value) in try pairs(node, what) {
            guard known.contains(key.string!) else { throw unknown(key, what, known) }
            found[key.string!] = value
        }
        return found
    }

    /// A scalar that is not null.
    func text(_ node: Node, _ what: String) throws -> String {
        guard let scalar = node.scalar else { throw document.error("\(what) is not a single value", fix: "write \(what): value", at: node) }
        if scalar.style == .plain || scalar.style == .any, ["", "~", "null", "Null", "NULL"].contains(scalar.string) {
            throw document.error("\(what) has no value", fix: "write a value, in quotes if it is meant as text", at: node)
        }
        return scalar.string
    }

    func flag(_ node: Node, _ what: String) throws -> Bool {
        switch try text(node, what) {
        case "true": return true
        case "false": return false
        case let other: throw document.error("\(what): \(other) is neither true nor false", fix: "write true or false", at: node)
        }
    }

    private func count(_ node: Node, _ what: String) throws -> String {
        let given = try text(node, what)
        guard let n = Int(given), n > 0 else {
            throw document.error("\(what): \(given) is not a whole number above 0", fix: "write for example \(what): 2", at: node)
        }
        return given
    }

    /// One value, or a list of them.
    func list(_ node: Node, _ what: String) throws -> [(String, SourceSpan)] {
        if let sequence = node.sequence {
            if sequence.isEmpty { throw document.error("\(what) is empty", fix: "name at least one, or remove the line", at: node) }
            return try sequence.map { (try text($0, "an entry of \(what)"), document.span($0)) }
        }
        return [(try text(node, what), document.span(node))]
    }
}
