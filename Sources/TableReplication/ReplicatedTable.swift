import Foundation
import StreamCore
import StreamSQL
import Topology

/// One table of a replication, and the statements of its jobs.
public struct ReplicatedTable: Sendable {
    public let table: SourceTable
    /// The name of its job: that of the replication, a point, and the table's.
    public let job: String
    public let settings: Replication.Settings
    /// Its place in the catalog: a database, or nil for the current one, and a name.
    public var domain: String? { settings.domain }
    /// Options of the target, its placeholders filled in.
    public let sink: [String: String]
    public let source: [String: String]
    /// Read to its end first, by a job of its own.
    public let initial: [String: String]?
    let replication: Replication

    public var name: String { table.name }

    /// - Throws: `.validate` for settings that cannot be of one table.
    init(_ table: SourceTable, _ settings: Replication.Settings, _ replication: Replication) throws {
        self.table = table
        self.settings = settings
        self.replication = replication
        job = "\(replication.name).\(table.name)"
        let domain = settings.domain
        func filled(_ options: [String: String], _ what: String) throws -> [String: String] {
            try options.mapValues { text in
                if text.contains("{domain}"), domain == nil {
                    throw StreamError(.validate, "table \(table.name) of replication \(replication.name) has no domain, which '\(text)' of its \(what) names",
                                      fix: "add domain: to the table or to defaults:")
                }
                return text.replacing("{schema}", with: table.schema).replacing("{table}", with: table.table).replacing("{domain}", with: domain ?? "")
            }
        }
        let isBounded = replication.isBounded
        source = Self.paced(try filled(TableDiscovery.withPlaces(replication.source).merging(settings.source) { $1 }, "source"), isBounded: isBounded,
                            interval: replication.discoveryInterval)
        initial = try replication.initial.map { Self.paced(try filled(TableDiscovery.withPlaces($0), "initial"), isBounded: true, interval: 0) }
        var sink = try filled(replication.sink.merging(settings.sink) { $1 }, "sink")
        if let ordering = settings.ordering, sink["connector"] == "hudi" || sink["connector"] == "delta" || sink["connector"] == "iceberg" {
            sink["precombine.field"] = sink["precombine.field"] ?? ordering
        }
        self.sink = sink
    }

    /// A source that ends reads what there is, also what has come since the last run; one without end looks for more.
    private static func paced(_ options: [String: String], isBounded: Bool, interval: Int64) -> [String: String] {
        var options = options
        switch options["connector"] {
        case "filesystem" where isBounded: options["source.new-files-on-restore"] = options["source.new-files-on-restore"] ?? "true"
        case "filesystem": options["source.monitor-interval"] = options["source.monitor-interval"] ?? "\(interval) ms"
        case "kafka", "kinesis", "upsert-kafka": if isBounded { options["scan.bounded.mode"] = options["scan.bounded.mode"] ?? "latest-offset" }
        default: break
        }
        return options
    }

    // MARK: Statements

    /// A job and what it needs, to be run in order by one session.
    public struct Job: Sendable {
        public var name: String
        public var statements: [Statement]
        /// It ends by itself, and its checkpoints stay: the next run goes on behind what it has read.
        public var isBounded: Bool
    }

    /// The table's jobs, the next to begin when the one before has ended.
    ///
    /// - Parameter session: whose connectors are asked for the types of keys that are not declared.
    public func jobs(_ session: () throws -> SQLSession) throws -> [Job] {
        let columns = try columns(session)
        var jobs: [Job] = []
        if let initial { jobs.append(try jobOf(initial, columns, name: job + ".initial", isBounded: true, routes: false)) }
        jobs.append(try jobOf(source, columns, name: job, isBounded: replication.isBounded, routes: true))
        return jobs
    }

    /// What is declared, and the columns that the table needs beside that.
    private func columns(_ session: () throws -> SQLSession) throws -> [Replication.Column] {
        var columns = settings.columns ?? []
        var wanted: [String] = []
        for name in (settings.primaryKey ?? []) + (settings.partitionKeys ?? []) + (settings.ordering.map { [$0] } ?? [])
        where !columns.contains(where: { $0.name == name }) && !wanted.contains(name) { wanted.append(name) }
        guard !wanted.isEmpty else { return columns }
        guard replication.evolves else {
            throw StreamError(.validate, "table \(name) of replication \(replication.name) does not declare \(wanted.joined(separator: ", "))",
                              fix: "add the columns with their types under columns:, or leave schema-evolution out")
        }
        let types = try ColumnTypes(table: self, catalog: try session().catalog).of(wanted)
        columns += wanted.map { .init($0, types[$0]!) }
        return columns
    }

    private func jobOf(_ source: [String: String], _ columns: [Replication.Column], name: String, isBounded: Bool, routes: Bool) throws -> Job {
        var statements = replication.settings.filter { if case .set(let key, _) = $0.node { key != "pipeline.name" } else { true } }
        let given = Set(statements.compactMap { if case .set(let key, _) = $0.node { key } else { nil } })
        var texts = ["SET 'pipeline.name' = \(literal(name))"]
        if isBounded {
            texts.append("SET 'execution.checkpointing.externalized-checkpoint-retention' = 'RETAIN_ON_CANCELLATION'")
        }
        if given.isDisjoint(with: ["restart-strategy.type", "restart-strategy"]) {
            // A run with an end reports what fails, for the next run to try again.
            texts.append("SET 'restart-strategy.type' = '\(isBounded ? "none" : "exponential-delay")'")
        }
        let evolves = replication.evolves
        let physical = columns.map { "\(q($0.name)) \($0.type)" }
        let key = ["PRIMARY KEY (\((settings.primaryKey ?? []).map(q).joined(separator: ", "))) NOT ENFORCED"]
        let row = evolves ? ["`row` VARIANT METADATA"] : []
        var read = physical + row.map { $0 + " VIRTUAL" }, conditions: [String] = []
        if routes {
            for (from, value, column) in [(replication.tableFrom, table.table, "source_table"), (replication.schemaFrom, table.schema, "source_schema")] {
                guard let from else { continue }
                read.append("\(q(column)) STRING METADATA FROM \(literal(from)) VIRTUAL")
                conditions.append("\(q(column)) = \(literal(value))")
            }
        }
        let from = table.table + "_source", target = table.table
        let partitions = settings.partitionKeys ?? []
        texts.append("CREATE TEMPORARY TABLE \(q(from)) (\((read + key).joined(separator: ", "))) WITH (\(with(source)))")
        texts.append("CREATE TEMPORARY TABLE \(q(target)) (\((physical + row + key).joined(separator: ", ")))"
            + (partitions.isEmpty ? "" : " PARTITIONED BY (\(partitions.map(q).joined(separator: ", ")))") + " WITH (\(with(sink)))")
        let selected = (columns.map { q($0.name) } + (evolves ? ["`row`"] : [])).joined(separator: ", ")
        texts.append("INSERT INTO \(q(target)) SELECT \(selected) FROM \(q(from))" + (conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND ")))
        statements += try texts.map { try SQLParser(text: $0, file: "replication \(replication.name), table \(self.name)").parseStatement() }
        return Job(name: name, statements: statements, isBounded: isBounded)
    }

    /// Makes the table known to a catalog, with what its own files say of its columns, keys and partitions.
    ///
    /// - Parameter directory: what a relative path of the target starts at.
    public func registration(directory: String) throws -> [Statement] {
        var options = ["connector": sink["connector"] ?? ""]
        if let path = sink["path"] { options["path"] = path.hasPrefix("/") || path.contains("://") ? path : directory + "/" + path }
        for (key, value) in sink where key.hasPrefix("s3.") || key.hasPrefix("fs.") || key.hasPrefix("catalog-") || key == "warehouse" { options[key] = value }
        var texts: [String] = []
        if let domain { texts.append("CREATE DATABASE IF NOT EXISTS \(q(domain))") }
        let name = (domain.map { q($0) + "." } ?? "") + q(table.table)
        texts.append("CREATE TABLE IF NOT EXISTS \(name) WITH (\(with(options)))")
        return try texts.map { try SQLParser(text: $0).parseStatement() }
    }

    private func q(_ name: String) -> String { "`" + name.replacing("`", with: "``") + "`" }
    private func literal(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }
    private func with(_ options: [String: String]) -> String {
        options.sorted { $0.key < $1.key }.map { "\(literal($0.key)) = \(literal($0.value))" }.joined(separator: ", ")
    }
}

extension Replication {
    /// The tables to replicate now, and why others are not.
    ///
    /// - Parameter found: what the source has; nil = it cannot tell, so that the tables named in the rules count.
    public func plan(_ found: [SourceTable]?) throws -> (tables: [ReplicatedTable], warnings: [String]) {
        var tables: [ReplicatedTable] = [], warnings: [String] = []
        let named = rules.filter(\.isName).map(\.pattern)
        if found == nil {
            guard !named.isEmpty else {
                throw StreamError(.validate, "replication \(name) cannot find tables by patterns: its source does not tell which there are",
                                  fix: "list them under tables: by schema.table, or write {table} into path, topic or stream of the source")
            }
        }
        for table in found ?? Array(Set(named.map { SourceTable(name: $0) })).sorted() {
            guard let settings = settings(of: table.name), settings.isExcluded != true else { continue }
            guard !(settings.primaryKey ?? []).isEmpty else {
                warnings.append("table \(table.name) of replication \(name) has no primary key and is left out; add key: with its columns")
                continue
            }
            tables.append(try ReplicatedTable(table, settings, self))
        }
        if let found {
            let there = Set(found.map(\.name))
            for name in Set(named).sorted() where !there.contains(name) && settings(of: name)?.isExcluded != true {
                warnings.append("table \(name) of replication \(self.name) is not in the source\(isBounded ? "" : " yet")")
            }
        }
        // Two tables in one place would overwrite each other.
        var places: [[String: String]: String] = [:]
        for table in tables {
            if let other = places.updateValue(table.name, forKey: table.sink) {
                throw StreamError(.validate, "tables \(other) and \(table.name) of replication \(name) have the same target",
                                  fix: "write {schema} too into the options of the sink")
            }
        }
        return (tables, warnings)
    }
}
