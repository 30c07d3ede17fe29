import DeltaTable
import Foundation
import HudiTable
import IcebergTable
import StreamCore

/// A Delta or Iceberg table as the commands show it.
struct OpenTable {
    /// `Delta version 12`, `Iceberg snapshot 7421`.
    var title: String
    var name: String
    var keys: [String]
    var partitionFields: [String]
    var schema: Schema
    var files: [(path: String, partition: String, rows: Int64, bytes: Int64)]
    /// Oldest first: id, time in UTC, operation, and numbers by their names.
    var commits: [(id: String, time: String, operation: String, numbers: [(String, String)])]
    var connector: String
    /// Of the table as it is read.
    var options: [(String, String)]

    /// - Parameter asOf: a version or snapshot id; nil = the newest.
    /// - Returns: nil when the folder holds neither a Delta nor an Iceberg table.
    static func open(_ path: String, asOf: String? = nil) throws -> OpenTable? {
        if DeltaTable.isTable(path) { return try delta(path, asOf) }
        if IcebergTable.isTable(path) { return try iceberg(path, asOf) }
        return nil
    }

    /// For commands that only Hudi tables have.
    static func hudi(_ path: String) throws -> HudiTable {
        try requireHudi(path)
        return try HudiTable.open(path)
    }

    static func maintenance(_ path: String) throws -> TableMaintenance {
        try requireHudi(path)
        return try TableMaintenance(path)
    }

    private static func requireHudi(_ path: String) throws {
        for (kind, isOne) in [("a Delta", DeltaTable.isTable(path)), ("an Iceberg", IcebergTable.isTable(path))] where isOne {
            throw StreamError(.validate, "\(path) is \(kind) table, and this command is for Hudi tables",
                              fix: "show, timeline, files, query and ddl know it; the job that writes it cleans it, as the table's options say")
        }
    }

    private static func number(_ text: String?, _ what: String) throws -> Int64? {
        guard let text else { return nil }
        guard let number = Int64(text) else { throw StreamError(.validate, "'\(text)' is no \(what)", fix: "swiftwater table timeline lists them") }
        return number
    }

    private static func time(_ milliseconds: Int64?) -> String {
        milliseconds.map { Date(timeIntervalSince1970: Double($0) / 1_000).formatted(.iso8601) } ?? "-"
    }

    private static func delta(_ path: String, _ asOf: String?) throws -> OpenTable {
        let table = try DeltaTable.open(path, version: try number(asOf, "version of a Delta table"))
        return OpenTable(
            title: "Delta version \(table.version)", name: table.name, keys: table.primaryKey, partitionFields: table.partitionFields, schema: table.schema,
            files: table.dataFiles.map { file in
                (file.path, zip(table.partitionFields, file.partition).map { "\($0)=\($1 ?? "NULL")" }.joined(separator: "/"), file.rows, file.bytes)
            },
            commits: try table.timeline().map { commit in
                var numbers = [("added", "\(commit.added)"), ("removed", "\(commit.removed)"), ("rows", "\(commit.rows)"), ("bytes", "\(commit.bytes)")]
                for (name, value) in [("inserted", commit.inserted), ("updated", commit.updated), ("deleted", commit.deleted)] {
                    if let value { numbers.append((name, "\(value)")) }
                }
                return ("\(commit.version)", time(commit.timestamp), commit.operation ?? "-", numbers)
            },
            connector: "delta", options: [("path", table.path)] + (asOf.map { [("versionAsOf", $0)] } ?? []))
    }

    private static func iceberg(_ path: String, _ asOf: String?) throws -> OpenTable {
        let table = try IcebergTable.open(path, snapshotID: try number(asOf, "id of a snapshot of an Iceberg table"))
        return OpenTable(
            title: "Iceberg version \(table.formatVersion), snapshot \(asOf ?? table.currentSnapshotID.map { "\($0)" } ?? "none")", name: table.name,
            keys: table.recordKeyFields, partitionFields: table.partitionFields, schema: table.schema,
            files: table.baseFiles.map { ($0.path, $0.partition, $0.rows, $0.bytes) },
            commits: table.timeline.map { snapshot in
                ("\(snapshot.snapshotID)", time(snapshot.time), snapshot.operation ?? "-", snapshot.summary.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
            },
            connector: "iceberg", options: [("path", table.path)] + (asOf.map { [("snapshot-id", $0)] } ?? []))
    }

    private var partitions: [(name: String, files: Int, rows: Int64, bytes: Int64)] {
        Dictionary(grouping: files, by: \.partition).sorted { $0.key < $1.key }.map { name, files in
            (name, files.count, files.reduce(0) { $0 + $1.rows }, files.reduce(0) { $0 + $1.bytes })
        }
    }

    private static func list(_ names: [String]) -> String { "[" + names.map(JSONText.quote).joined(separator: ",") + "]" }

    func show(json: Bool) {
        let rows = files.reduce(0) { $0 + $1.rows }, bytes = files.reduce(0) { $0 + $1.bytes }
        if json {
            let columns = schema.map { "{\"name\":\(JSONText.quote($0.name)),\"type\":\(JSONText.quote("\($0.type)"))}" }
            let parts = partitions.map { "{\"partition\":\(JSONText.quote($0.name)),\"files\":\($0.files),\"rows\":\($0.rows),\"bytes\":\($0.bytes)}" }
            return print("{\"name\":\(JSONText.quote(name)),\"format\":\(JSONText.quote(connector)),\"record_key\":\(Self.list(keys)),\"partition_fields\":\(Self.list(partitionFields)),"
                + "\"rows\":\(rows),\"files\":\(files.count),\"bytes\":\(bytes),\"columns\":[\(columns.joined(separator: ","))],\"partitions\":[\(parts.joined(separator: ","))]}")
        }
        print("table \(name) (\(title)): \(grouped(rows)) rows, \(files.count) files, \(grouped(bytes)) bytes")
        print("record key \(keys.isEmpty ? "none" : keys.joined(separator: ", "))")
        print(TextTable(columns: ["column", "type"], rows: schema.map { [$0.name, "\($0.type)"] }).boxed())
        print(TextTable(columns: ["partition", "files", "rows", "bytes"], alignRight: [false, true, true, true], rows: partitions.map {
            [$0.name.isEmpty ? "(none)" : $0.name, "\($0.files)", grouped($0.rows), grouped($0.bytes)]
        }).boxed())
    }

    /// - Parameter partition: only files of this one, or below it.
    func showFiles(partition: String?, json: Bool) {
        let shown = files.filter { file in partition.map { file.partition == $0 || file.partition.hasPrefix($0 + "/") } ?? true }
        if json {
            for file in shown {
                print("{\"path\":\(JSONText.quote(file.path)),\"partition\":\(JSONText.quote(file.partition)),\"rows\":\(file.rows),\"bytes\":\(file.bytes)}")
            }
            return
        }
        print(TextTable(columns: ["partition", "file", "rows", "bytes"], alignRight: [false, false, true, true], rows: shown.map { file in
            [file.partition.isEmpty ? "(none)" : file.partition, file.path, grouped(file.rows), grouped(file.bytes)]
        }, maxCell: 60).boxed())
        print("\(grouped(Int64(shown.count))) files, \(grouped(shown.reduce(0) { $0 + $1.rows })) rows, \(grouped(shown.reduce(0) { $0 + $1.bytes })) bytes")
    }

    func showTimeline(json: Bool) {
        if json {
            for commit in commits {
                let numbers = commit.numbers.map { ",\(JSONText.quote($0)):" + (Int64($1) != nil ? $1 : JSONText.quote($1)) }.joined()
                print("{\"id\":\(JSONText.quote(commit.id)),\"time\":\(JSONText.quote(commit.time)),\"operation\":\(JSONText.quote(commit.operation))\(numbers)}")
            }
            return
        }
        print(TextTable(columns: ["id", "time", "operation", "changes"], rows: commits.map { commit in
            [commit.id, commit.time, commit.operation, commit.numbers.map { "\($0) \($1)" }.joined(separator: ", ")]
        }).boxed())
    }
}
