import StreamCore
import StreamSQL

extension OptionTranslation {
    /// Sizes that Flink's connectors count in MiB, of which ours take units too.
    mutating func mebibytes(_ key: String) {
        change(key, instead: "write a number of MiB") { text in
            if Int(text.trimmed) != nil { return text.trimmed }
            return TableOptions.bytes(of: text).flatMap { $0 > 0 ? "\(max(1, $0 >> 20))" : nil }
        }
    }

    /// Sizes that the connector counts in bytes. A bare number counts `unit` bytes with us.
    mutating func bytes(_ key: String, unit: Int) {
        change(key, instead: "write a number of bytes") { text in
            if let n = Int(text.trimmed) { return "\(n * unit)" }
            return TableOptions.bytes(of: text).map { "\($0)" }
        }
    }

    /// A table of rows that another engine keeps has no image of rows.
    mutating func lakeColumns() {
        columns { key in
            key == "row" ? "declare the columns: Flink's connector adds none by itself" : nil
        }
    }

    mutating func commits() {
        drop("write.commit.interval", because: "Flink commits with its checkpoints: 'execution.checkpointing.interval'")
    }

    mutating func lookups(_ what: String) {
        for key in rest("lookup.") {
            refuse(key, reason: "Flink looks no rows up in \(what) tables so", instead: "keep the rows in a database and use Flink's connector 'jdbc'")
        }
    }

    /// The path of a table in folders.
    mutating func lakePath() -> String? {
        guard let there = path("path") else { return nil }
        need(FlinkJars.fileSystem(there, version))
        return there
    }
}

/// `hudi`: Hudi's connector for Flink, with the same keys, ordering field and layout, and table version 6.
struct HudiTranslation: TableTranslation {
    let connector = "hudi"

    private static let ordering = ["precombine.field", "write.precombine.field", "payload.ordering.field", "ordering.fields", "hoodie.datasource.write.precombine.field"]

    func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable? {
        var to = OptionTranslation(table, target, findings)
        to.need(FlinkJars.hudi(target.version))
        if let path = to.lakePath() { to.set("path", path) }
        keys(&to)
        reading(&to)
        if table.isWritten { writing(&to) } else { unusedWriting(&to) }
        to.storage()
        to.lookups("Hudi")
        // Our engine and others that read version 6 by its timeline alone refuse a table with one.
        if to.value("metadata.enabled")?.trimmed.lowercased() == "false" { _ = to.take("metadata.enabled") }
        to.drop((to.rest("metadata.") + to.rest("hoodie.metadata.")).filter { table.foreignOptions.contains($0) },
                because: "this engine reads tables without a metadata table alone, so that Flink is to make none")
        to.set("metadata.enabled", "false")
        to.lakeColumns()
        return to.finish(&findings)
    }

    private func keys(_ to: inout OptionTranslation) {
        to.set("table.type", (to.take("table.type") ?? "COPY_ON_WRITE").uppercased())
        let key = "hoodie.datasource.write.recordkey.field"
        if let fields = to.take(key) ?? (to.table.declaration.primaryKey.isEmpty ? nil : to.table.declaration.primaryKey.joined(separator: ",")) { to.set(key, fields) }
        let partitionKey = "hoodie.datasource.write.partitionpath.field"
        let partitions = to.take(partitionKey)?.split(separator: ",").map { String($0).trimmed } ?? to.table.declaration.partitionKeys
        if !partitions.isEmpty {
            to.set(partitionKey, partitions.joined(separator: ","))
            // The connector takes partitions from the declaration.
            to.declaration.partitionKeys = partitions
        }
        to.keep("hoodie.datasource.write.hive_style_partitioning", "hoodie.datasource.write.partitionpath.urlencode", "hoodie.datasource.write.keygenerator.class",
                "hoodie.datasource.write.keygenerator.type", "hoodie.table.name", "hoodie.database.name", "hoodie.record.merge.mode")
        to.rename("hoodie.write.record.merge.mode", to: "hoodie.record.merge.mode")
        to.keep(prefix: "hoodie.keygen.timebased.")
        let given = Self.ordering.compactMap { to.take($0) }.first
        if let given {
            to.set(given.contains(",") ? "ordering.fields" : "precombine.field", given)
        } else if to.table.isWritten, to.table.declaration.columns.contains(where: { $0.name == "ts" }) {
            to.note("rows of a key are ordered as they come; a connector of Hudi before 1.2 would order them by column ts, unless 'precombine.field' = 'no_precombine'")
        }
        to.set("hoodie.write.table.version", to.take("hoodie.write.table.version")?.trimmed ?? "6")
    }

    private func writing(_ to: inout OptionTranslation) {
        let operation = to.take("write.operation")?.trimmed.lowercased() ?? "upsert"
        switch operation {
        case "upsert", "insert", "bulk_insert": to.set("write.operation", operation)
        case "delete", "delete_partition":
            to.refuse("write.operation", reason: "the connector writes rows, and deletes those that a changelog deletes", instead: "delete with Spark (DELETE FROM), or write a changelog whose rows are deleted")
        default:
            to.refuse("write.operation", reason: "in Flink INSERT OVERWRITE says it, in a job that ends", instead: "leave the option out and write INSERT OVERWRITE with 'execution.runtime-mode' = 'batch'")
        }
        if to.value("index.type")?.trimmed.uppercased() == "BUCKET" {
            to.note("'index.type' = 'BUCKET' needs a table that Flink makes: files that this engine has written have no numbers of buckets in their names")
        } else if operation == "upsert" {
            // Flink knows where rows are from its state, which a job that goes on with a table made here does not have yet.
            to.set("index.bootstrap.enabled", "true")
            to.note("'index.bootstrap.enabled' makes the first checkpoint read the keys that the table has; take it out when the job is next started from a savepoint of Flink")
        }
        to.set("index.global.enabled", to.take("index.global.enabled") ?? "true")
        to.keep("write.insert.cluster")
        to.commits()
        if let codec = to.take("hoodie.parquet.compression.codec") { to.set("hoodie.parquet.compression.codec", codec.trimmed.lowercased() == "none" ? "uncompressed" : codec) }
        to.mebibytes("write.parquet.max.file.size")
        to.bytes("hoodie.parquet.small.file.limit", unit: 1 << 20)
        to.mebibytes("write.task.max.size")
        to.keep("clean.policy", "clean.async.enabled", "clean.retain_commits", "clean.retain_file_versions", "clean.retain_hours")
        if let commits = to.value("clean.retain_commits").flatMap({ Int($0.trimmed) }), commits >= 40 {
            to.set("archive.min_commits", "\(commits + 10)")
            to.set("archive.max_commits", "\(commits + 20)")
            to.note("'archive.min_commits' and 'archive.max_commits' are set above 'clean.retain_commits', as the connector asks for")
        }
        to.keep("clustering.schedule.enabled", "clustering.delta_commits", "clustering.plan.strategy.sort.columns")
        if to.isTrue("clustering.schedule.enabled") { to.set("clustering.async.enabled", "true") }
        to.bytes("clustering.plan.strategy.target.file.max.bytes", unit: 1)
        to.mebibytes("clustering.plan.strategy.small.file.limit")
        to.keep("hoodie.write.set.null.for.missing.columns")
    }

    /// What says how to write means nothing to a table that is read only.
    private func unusedWriting(_ to: inout OptionTranslation) {
        let keys = to.rest("write.") + to.rest("clean.") + to.rest("clustering.") + to.rest("index.") + to.rest("hoodie.parquet.") + to.rest("hoodie.write.set.")
        to.drop(keys, because: "the table is read only")
    }

    private func reading(_ to: inout OptionTranslation) {
        let isStreaming = to.isTrue("read.streaming.enabled")
        to.keep("read.streaming.enabled")
        if let instant = to.take("read.as-of-instant") {
            to.set("read.end-commit", Self.instant(instant))
            to.note("'read.as-of-instant' is 'read.end-commit' without a start: the table as it was after that commit")
        }
        for key in ["read.start-commit", "read.streaming.start-commit", "read.end-commit"] {
            guard let text = to.take(key) else { continue }
            let name = key == "read.end-commit" ? key : "read.start-commit"
            switch text.trimmed.lowercased() {
            case "latest" where name == "read.start-commit" && isStreaming: break
            case "latest" where name == "read.end-commit": break
            case "latest":
                to.refuse(key, reason: "the connector knows no 'latest' in a read that ends", instead: "name an instant")
            case "earliest": to.set(name, "earliest")
            default:
                to.set(name, Self.instant(text))
                if name == "read.start-commit" { to.note("'read.start-commit' is inclusive in Flink: rows of that very commit are read again") }
            }
        }
        guard isStreaming else {
            to.drop("read.streaming.check-interval", "read.streaming.changelog", because: "'read.streaming.enabled' is not set")
            return
        }
        if !to.has("read.start-commit"), !to.has("read.streaming.start-commit") { to.set("read.start-commit", "earliest") }
        to.change("read.streaming.check-interval", instead: "write a number of seconds") { text in
            if let seconds = Int(text.trimmed) { return "\(seconds)" }
            return Durations.milliseconds(text).map { "\(max(1, ($0 + 999) / 1_000))" }
        }
        if !to.has("read.streaming.check-interval") { to.set("read.streaming.check-interval", "1") }
        let changelog = "read.streaming.changelog"
        if to.value(changelog)?.trimmed.lowercased() == "none" {
            _ = to.take(changelog)
        } else {
            let reason = "Flink reads new rows of a copy-on-write table as inserts: updates come without the row before, and deletes not at all"
            let instead = "set '\(changelog)' = 'none' and take the newest row of each key with ROW_NUMBER, or read the stream that the table is made of"
            if to.has(changelog) { to.refuse(changelog, reason: reason, instead: instead) } else { to.refuse("read.streaming.enabled", reason: reason, instead: instead) }
        }
    }

    /// `2026-01-31 12:00:00.000` as `20260131120000000`; instants stay as they are.
    static func instant(_ text: String) -> String {
        let text = text.trimmed
        guard text.contains("-") else { return text }
        let digits = text.filter(\.isNumber)
        return digits + String(repeating: "0", count: max(0, 17 - digits.count))
    }
}

/// Times such as `10 s` in options.
enum Durations {
    /// Milliseconds; nil when the text is no duration.
    static func milliseconds(_ text: String) -> Int64? {
        try? TableOptions(TableDescriptor(name: "", schema: [], options: ["": text])).milliseconds("")
    }
}

/// `iceberg`: Iceberg's connector for Flink, in a Hadoop catalog.
struct IcebergTranslation: TableTranslation {
    let connector = "iceberg"

    func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable? {
        var to = OptionTranslation(table, target, findings)
        to.need(FlinkJars.iceberg(target.version))
        place(&to)
        to.set("format-version", to.take("format-version")?.trimmed ?? "2")
        to.keep("write.format.default", "write.parquet.compression-codec", "write.target-file-size-bytes", "snapshot-id", "as-of-timestamp", "history.expire.max-snapshot-age-ms",
                "history.expire.min-snapshots-to-keep", "write.metadata.delete-after-commit.enabled", "write.metadata.previous-versions-max", "commit.manifest.min-count-to-merge",
                "commit.manifest.target-size-bytes", "commit.manifest-merge.enabled")
        operation(&to)
        to.commits()
        to.drop("write.insert.cluster", "write.parquet.small.file.limit", "write.task.max.size", because: "Flink fills no small files: run rewrite_data_files on the table")
        to.drop("index.global.enabled", when: table.declaration.partitionKeys.isEmpty ? ["true", "false"] : ["false"], reason: "Flink finds the rows of a key in their own partition only",
                instead: "partition by columns of the primary key, and write 'false'")
        to.drop("write.set.null.for.missing.columns", because: "a column that the declaration lacks is written as NULL in any case")
        to.storage()
        to.lookups("Iceberg")
        to.lakeColumns()
        return to.finish(&findings)
    }

    private func place(_ to: inout OptionTranslation) {
        to.set("catalog-type", to.take("catalog-type")?.trimmed ?? "hadoop")
        to.set("catalog-name", to.take("catalog-name") ?? "lake")
        if to.has("warehouse") {
            if let there = to.path("warehouse") {
                to.set("warehouse", there)
                to.need(FlinkJars.fileSystem(there, to.version))
            }
            to.set("catalog-database", to.take("catalog-database") ?? "default")
            to.set("catalog-table", to.take("catalog-table") ?? to.table.name)
            return
        }
        guard let there = to.lakePath() else { return }
        // A table of a Hadoop catalog is the folder WAREHOUSE/DATABASE/TABLE.
        let slashes = there.indices.filter { there[$0] == "/" }
        guard slashes.count >= 2, let last = slashes.last, let before = slashes.dropLast().last, before > there.startIndex, there[there.index(before: before)] != "/" else {
            return to.refuse("path", reason: "the folder \(there) is not two folders below a warehouse", instead: "put the table into WAREHOUSE/DATABASE/TABLE, or write 'warehouse', 'catalog-database' and 'catalog-table'")
        }
        to.set("warehouse", String(there[..<before]))
        to.set("catalog-database", String(there[there.index(after: before)..<last]))
        to.set("catalog-table", String(there[there.index(after: last)...]))
    }

    private func operation(_ to: inout OptionTranslation) {
        let table = to.table.declaration
        let upsert = to.take("write.upsert.enabled")?.trimmed.lowercased()
        let operation = to.take("write.operation")?.trimmed.lowercased() ?? (upsert == "true" || upsert == nil && !table.primaryKey.isEmpty ? "upsert" : "insert")
        let ordering = ["precombine.field", "write.precombine.field", "ordering.field", "ordering.fields"]
        guard to.table.isWritten else {
            to.drop(ordering, because: "the table is read only")
            return
        }
        switch operation {
        case "upsert":
            to.set("write.upsert.enabled", "true")
            for key in ordering {
                to.refuse(key, reason: "Flink's Iceberg table keeps the row of a key that came last, and not the newest by a column",
                          instead: "take the newest row of each key with ROW_NUMBER() OVER (PARTITION BY \(table.primaryKey.joined(separator: ", ")) ORDER BY \(to.value(key) ?? "") DESC) = 1 before it is written, and leave the option out; or use connector 'hudi'")
            }
            for column in table.partitionKeys where !table.primaryKey.contains(column) {
                to.refuse(column: column, reason: "Flink's Iceberg table must have its partition columns in the primary key when rows are updated",
                          instead: "add \(column) to the primary key, or do not partition by it")
            }
        case "insert", "bulk_insert":
            to.set("write.upsert.enabled", "false")
            to.drop(ordering, because: "rows are inserted")
        default: to.refuse("write.operation", reason: "in Flink INSERT OVERWRITE says it, in a job that ends", instead: "leave the option out and write INSERT OVERWRITE with 'execution.runtime-mode' = 'batch'")
        }
    }
}

/// `delta`: refused, for there is no connector that could take its place in SQL.
struct DeltaTranslation: TableTranslation {
    let connector = "delta"

    func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable? {
        var to = OptionTranslation(table, target, findings)
        if table.isWritten, table.takesChanges || !table.declaration.primaryKey.isEmpty {
            to.refuse(reason: "Flink's Delta connector appends rows: it neither updates nor deletes any", instead: "use connector 'hudi' or 'iceberg', or append the changes and merge them with Spark (MERGE INTO)")
        } else if target.version.major > 1 {
            to.refuse(reason: "no Delta connector is published for Flink \(target.version)", instead: "use connector 'iceberg' or 'hudi', or 'filesystem' with format 'parquet'")
        } else {
            to.refuse(reason: "Flink's Delta connector (io.delta:delta-flink) works within a Delta catalog only, and not as a table of the default catalog",
                      instead: "make the table by hand: CREATE CATALOG delta WITH ('type' = 'delta-catalog', 'catalog-type' = 'in-memory'), and in it the table with 'connector' = 'delta' and 'table-path'; or use connector 'iceberg' or 'hudi'")
        }
        return to.finish(&findings)
    }
}
