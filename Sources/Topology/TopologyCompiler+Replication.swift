import Foundation
import StreamCore
import StreamSQL
import Yams

extension TopologyCompiler {
    /// `replications:`, by name.
    ///
    /// - Parameter settings: SET statements of the file.
    func replications(_ node: Node, settings: [Statement], file: String?) throws -> [Replication] {
        try pairs(node, "replications").map { key, value in
            let name = try text(key, "the name of a replication")
            guard Replication.isName(name) else {
                throw document.error("\"\(name)\" cannot name a replication", fix: "use 1 to 64 letters, digits, '_', '-' and '.'", at: key)
            }
            return try replication(name, key, value, settings, file)
        }
    }

    private func replication(_ name: String, _ key: Node, _ node: Node, _ settings: [Statement], _ file: String?) throws -> Replication {
        let what = "replication \(name)"
        let given = try entries(node, what, TopologyKeys.replication)
        func needed(_ part: String, _ fix: String) throws -> Node {
            guard let node = given[part] else { throw document.error("\(what) has no \(part)", fix: fix, at: key) }
            return node
        }
        let source = try options(try needed("source", "add source: with connector: and what it needs"), "source of \(what)")
        let sink = try options(try needed("sink", "add sink: with connector: hudi and path: lake/{domain}/{table}"), "sink of \(what)")
        var replication = Replication(name: name, source: source, sink: sink)
        for (part, options) in [("source", source), ("sink", sink)] where options["connector"] == nil {
            throw document.error("\(part) of \(what) has no connector", fix: "add connector: \(part == "sink" ? "hudi" : "filesystem")", at: given[part]!)
        }
        guard sink.values.contains(where: { $0.contains("{table}") }) else {
            throw document.error("sink of \(what) is the same for all tables", fix: "write {table} into its path, as in path: lake/{domain}/{table}", at: given["sink"]!)
        }
        replication.description = try given["description"].map { try text($0, "description") }
        replication.initial = try given["initial"].map { try options($0, "initial of \(what)") }
        replication.tableFrom = try given["table-from"].map { try text($0, "table-from") }
        replication.schemaFrom = try given["schema-from"].map { try text($0, "schema-from") }
        replication.defaults = try given["defaults"].map { try tableSettings($0, "defaults of \(what)") } ?? Replication.Settings()
        for (pattern, value) in try given["tables"].map({ try pairs($0, "tables of \(what)").map { ($0.key, $0.value) } }) ?? [] {
            let rule = Replication.Rule(try text(pattern, "the name of a table"), try tableSettings(value, "table \(pattern.string!) of \(what)"))
            if !rule.isName, (try? Regex(rule.pattern)) == nil {
                throw document.error("\"\(rule.pattern)\" is neither schema.table nor a regular expression", fix: "write for example dms_sample\\.(player|person)", at: pattern)
            }
            replication.rules.append(rule)
        }
        if let config = given["config"] { replication.rules += try rules(config, file) }
        replication.isBounded = try given["bounded"].map { try flag($0, "bounded") } ?? true
        if let interval = given["discovery-interval"] {
            replication.discoveryInterval = max(try milliseconds(interval, "discovery-interval"), 1)
        }
        if let count = given["tables-at-once"] {
            guard let n = Int(try text(count, "tables-at-once")), n > 0 else {
                throw document.error("tables-at-once is not a whole number above 0", fix: "write for example tables-at-once: 4", at: count)
            }
            replication.tablesAtOnce = n
        }
        replication.evolves = try given["schema-evolution"].map { try flag($0, "schema-evolution") } ?? true
        replication.settings = settings
        return replication
    }

    /// The file that `config` names, looked for beside the topology first.
    private func rules(_ node: Node, _ file: String?) throws -> [Replication.Rule] {
        let name = try text(node, "config")
        let beside = file.map { URL(fileURLWithPath: $0).deletingLastPathComponent().appendingPathComponent(name).path } ?? name
        let path = !name.hasPrefix("/") && FileManager.default.fileExists(atPath: beside) ? beside : name
        guard let data = FileManager.default.contents(atPath: path), let json = String(data: data, encoding: .utf8) else {
            throw document.error("config: \(name) cannot be read", fix: "name a JSON file, relative to this file or to the working directory", at: node)
        }
        do { return try Replication.rules(json: json, file: name) } catch let error as StreamError {
            throw document.error(error.problem, fix: error.fix, at: node)
        }
    }

    private func options(_ node: Node, _ what: String) throws -> [String: String] {
        var options: [String: String] = [:]
        for (key, value) in try pairs(node, what) { options[key.string!] = try text(value, key.string!) }
        return options
    }

    private func tableSettings(_ node: Node, _ what: String) throws -> Replication.Settings {
        let given = try entries(node, what, TopologyKeys.replicatedTable)
        var settings = Replication.Settings()
        settings.primaryKey = try given["key"].map { try names($0, "key") }
        settings.partitionKeys = try given["partitioned-by"].map { try names($0, "partitioned-by") }
        settings.ordering = try given["ordering"].map { try text($0, "ordering") }
        settings.domain = try given["domain"].map { try text($0, "domain") }
        settings.isExcluded = try given["exclude"].map { try flag($0, "exclude") }
        settings.columns = try given["columns"].map { node in
            try pairs(node, "columns of \(what)").map { column, type in
                let fragment = try fragment(type, "the type of column \(column.string!)")
                _ = try SQLParser(source: fragment).parseType()
                return Replication.Column(column.string!, fragment.text)
            }
        }
        settings.source = try given["source"].map { try options($0, "source of \(what)") } ?? [:]
        settings.sink = try given["sink"].map { try options($0, "sink of \(what)") } ?? [:]
        return settings
    }

    /// A list, which may be empty, or one text with commas between names.
    private func names(_ node: Node, _ what: String) throws -> [String] {
        if let sequence = node.sequence { return try sequence.map { try text($0, "an entry of \(what)") } }
        guard let scalar = node.scalar else { throw document.error("\(what) is not a list of columns", fix: "write for example \(what): [id]", at: node) }
        return Replication.names(scalar.string)
    }
}
