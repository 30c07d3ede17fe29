import LakeTable
import StreamCore

/// Refuses tables that need something of their readers or writers that is not known here, naming it.
enum ProtocolCheck {
    /// Features whose mere presence on a table asks nothing of a reader.
    private static let readable: Set<String> = ["timestampNtz", "vacuumProtocolCheck"]
    /// Features that are on many tables without being used; whether they are is looked at.
    private static let writable: Set<String> = [
        "appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns", "identityColumns", "vacuumProtocolCheck", "timestampNtz",
    ]

    static func requireReadable(_ snapshot: DeltaSnapshot, table: String) throws {
        let needs = snapshot.protocol
        guard needs.minReaderVersion <= 3 else { throw refuse(table, "read", "reader version \(needs.minReaderVersion) of the protocol") }
        try require(needs.readerFeatures, among: readable, table, "read")
        if let mode = snapshot.metadata.setting("delta.columnMapping.mode"), mode != "none" {
            throw refuse(table, "read", "the feature 'columnMapping' (mode \(mode))")
        }
        guard snapshot.metadata.format.provider == "parquet" else {
            throw refuse(table, "read", "data files of the format \(snapshot.metadata.format.provider)")
        }
    }

    static func requireWritable(_ snapshot: DeltaSnapshot, table: String) throws {
        try requireReadable(snapshot, table: table)
        let needs = snapshot.protocol
        guard needs.minWriterVersion <= 7 else { throw refuse(table, "written", "writer version \(needs.minWriterVersion) of the protocol") }
        try require(needs.writerFeatures, among: writable, table, "written")
        for (key, value) in (snapshot.metadata.configuration ?? [:]).sorted(by: { $0.key < $1.key }) {
            if key.hasPrefix("delta.constraints.") { throw refuse(table, "written", "the feature 'checkConstraints' (\(key))") }
            guard value?.lowercased() == "true" else { continue }
            switch key {
            case "delta.enableChangeDataFeed": throw refuse(table, "written", "the feature 'changeDataFeed'")
            case "delta.enableDeletionVectors", "delta.enableRowTracking", "delta.enableInCommitTimestamps", "delta.enableTypeWidening":
                throw refuse(table, "written", "the setting \(key)")
            default: break
            }
        }
        let schema = try snapshot.schema()
        if let (column, rule) = schema.rules.first { throw refuse(table, "written", "the rule \(rule) of column \(column)") }
        if let (column, type) = schema.readOnly.first {
            throw StreamError(.validate, "column \(column) of Delta table \(table) has the type \(type), which is read but not written here",
                              fix: "write the table with the engine that made it, or rewrite the column as \(type == "timestamp_ntz" ? "timestamp" : "integer")")
        }
    }

    private static func require(_ features: [String]?, among known: Set<String>, _ table: String, _ doing: String) throws {
        let unknown = (features ?? []).filter { !known.contains($0) }
        guard !unknown.isEmpty else { return }
        throw refuse(table, doing, "the feature\(unknown.count > 1 ? "s" : "") " + unknown.map { "'\($0)'" }.joined(separator: ", "))
    }

    private static func refuse(_ table: String, _ doing: String, _ what: String) -> StreamError {
        StreamError(.validate, "Delta table \(table) cannot be \(doing): it needs \(what), which is not supported here",
                    fix: "turn it off with the engine that made the table, or use another table")
    }
}
