import CArrowData
import Foundation
import LakeTable
import StreamCore

/// Checkpoints: the actions that a version of a table comes to, in a Parquet file, so that readers need not go through all commits.
enum Checkpoint {
    private static let texts = DataType.map(key: .string, value: .string)

    /// One row for each action; the columns of the other kinds are NULL.
    static let schema: Schema = [
        Field("txn", .row([Field("appId", .string), Field("version", .bigint), Field("lastUpdated", .bigint)])),
        Field("add", .row([
            Field("path", .string), Field("partitionValues", texts), Field("size", .bigint), Field("modificationTime", .bigint),
            Field("dataChange", .boolean), Field("tags", texts), Field("stats", .string),
        ])),
        Field("remove", .row([
            Field("path", .string), Field("deletionTimestamp", .bigint), Field("dataChange", .boolean), Field("extendedFileMetadata", .boolean),
            Field("partitionValues", texts), Field("size", .bigint),
        ])),
        Field("metaData", .row([
            Field("id", .string), Field("name", .string), Field("description", .string),
            Field("format", .row([Field("provider", .string), Field("options", texts)])), Field("schemaString", .string),
            Field("partitionColumns", .array(.string)), Field("configuration", texts), Field("createdTime", .bigint),
        ])),
        Field("protocol", .row([
            Field("minReaderVersion", .int), Field("minWriterVersion", .int), Field("readerFeatures", .array(.string)), Field("writerFeatures", .array(.string)),
        ])),
    ]

    // MARK: Writing

    /// Writes the checkpoint of a snapshot, unless it is there, and says in `_last_checkpoint` that it is.
    static func write(_ snapshot: DeltaSnapshot, _ files: TableFiles) throws {
        let name = LogListing.checkpoint(snapshot.version)
        let actions = actions(of: snapshot)
        if !files.exists(name) {
            let temporary = try files.temporaryName()
            try files.touch(temporary)
            do {
                let writer = try ParquetWriter(path: files.absolute(temporary), schema: ArrowLayout.lake.schema(schema), codec: .snappy, plain: [],
                                               rowGroupRows: 500_000)
                for start in stride(from: 0, to: actions.count, by: 8_192) {
                    let rows = actions[start..<min(start + 8_192, actions.count)].map(row)
                    var (arrow, array) = try Batch(schema: schema, rows: rows).exportArrow(schema, layout: .lake)
                    arrow.release(&arrow)
                    try writer.write(array)
                }
                _ = try writer.close()
                try files.flush(temporary)
            } catch {
                try? files.remove(temporary)
                throw error
            }
            do { try files.publish(temporary: temporary, as: name) } catch let error as StreamError where error.code == .conflict {
                // Another engine was faster; its checkpoint of the same version says the same.
            }
        }
        try files.replace(LogListing.folder + "/_last_checkpoint",
                          Array(#"{"version":\#(snapshot.version),"size":\#(actions.count),"sizeInBytes":\#(files.size(name)),"numOfAddFiles":\#(snapshot.files.count)}"#.utf8))
    }

    private static func actions(of snapshot: DeltaSnapshot) -> [LogAction] {
        var out = [LogAction(protocol: snapshot.protocol), LogAction(metaData: snapshot.metadata)]
        out += snapshot.transactions.sorted { $0.key < $1.key }.map { LogAction(txn: $0.value) }
        out += snapshot.removed.sorted { $0.key < $1.key }.map { LogAction(remove: $0.value) }
        out += snapshot.files.sorted { $0.key < $1.key }.map { LogAction(add: $0.value) }
        return out
    }

    private static func row(_ action: LogAction) -> [Value] {
        func text(_ text: String?) -> Value { text.map { .string($0) } ?? .null }
        func number(_ number: Int64?) -> Value { number.map { .int($0) } ?? .null }
        func map(_ entries: [String: String?]?) -> Value {
            entries.map { .map($0.sorted { $0.key < $1.key }.map { .init(.string($0.key), text($0.value)) }) } ?? .null
        }
        func list(_ texts: [String]?) -> Value { texts.map { .array($0.map { .string($0) }) } ?? .null }
        return [
            action.txn.map { .row([.string($0.appId), .int($0.version), number($0.lastUpdated)]) } ?? .null,
            action.add.map { .row([.string($0.path), map($0.partitionValues), .int($0.size), .int($0.modificationTime), .bool(false), map($0.tags), text($0.stats)]) }
                ?? .null,
            action.remove.map {
                .row([.string($0.path), number($0.deletionTimestamp), .bool(false), .bool($0.partitionValues != nil), map($0.partitionValues), number($0.size)])
            } ?? .null,
            action.metaData.map {
                .row([.string($0.id), text($0.name), text($0.description), .row([.string($0.format.provider), map($0.format.options ?? [:])]),
                      .string($0.schemaString), list($0.partitionColumns), map($0.configuration ?? [:]), number($0.createdTime)])
            } ?? .null,
            action.protocol.map {
                .row([.int(Int64($0.minReaderVersion)), .int(Int64($0.minWriterVersion)), list($0.readerFeatures), list($0.writerFeatures)])
            } ?? .null,
        ]
    }

    // MARK: Reading

    /// Calls `body` with the actions, in no particular order.
    static func read(_ checkpoint: LogListing.CheckpointFiles, _ files: TableFiles, _ body: (LogAction) throws -> Void) throws {
        for name in checkpoint.names {
            let path = files.absolute(LogListing.folder + "/" + name), reader = try ParquetReader(path: path)
            if reader.schema.contains(where: { $0.name == "checkpointMetadata" }) {
                throw StreamError(.validate, "Delta table \(files.root) cannot be read: its checkpoint \(name) needs the feature 'v2Checkpoint', which is not supported here",
                                  fix: "write a classic checkpoint with the engine that made the table")
            }
            let wanted = ["protocol", "metaData", "add", "remove", "txn"]
            let columns = reader.schema.indices.filter { wanted.contains(reader.schema[$0].name) }
            guard columns.count == wanted.count || columns.count == wanted.count - 1 && !reader.schema.contains(where: { $0.name == "txn" }) else {
                throw StreamError(.corrupt, "\(path) is no checkpoint of a Delta table: it has the columns \(reader.schema.map(\.name).joined(separator: ", "))")
            }
            try reader.start(columns: columns, batchRows: 8_192)
            while let batch = try reader.next() {
                for (i, column) in columns.enumerated() {
                    try read(Fields(batch.columns[i], file: path), kind: reader.schema[column].name, body)
                }
            }
        }
    }

    /// The fields of a column of actions, by name.
    private struct Fields {
        let column: Column
        private let positions: [String: Int]
        private let file: String

        init(_ column: Column, file: String) {
            self.column = column
            self.file = file
            guard case .row(let fields) = column.type else {
                positions = [:]
                return
            }
            positions = Dictionary(fields.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { a, _ in a })
        }

        func value(_ name: String, _ row: Int) -> Value { positions[name].map { column.children[$0].value(at: row) } ?? .null }

        func text(_ name: String, _ row: Int) -> String? {
            if case .string(let text) = value(name, row) { return text }
            return nil
        }

        func number(_ name: String, _ row: Int) -> Int64? {
            if case .int(let number) = value(name, row) { return number }
            return nil
        }

        func map(_ name: String, _ row: Int) -> [String: String?]? {
            guard case .map(let entries) = value(name, row) else { return nil }
            var out: [String: String?] = [:]
            for entry in entries {
                guard case .string(let key) = entry.key else { continue }
                if case .string(let text) = entry.value { out[key] = text } else { out.updateValue(nil, forKey: key) }
            }
            return out
        }

        func list(_ name: String, _ row: Int) -> [String]? {
            guard case .array(let values) = value(name, row) else { return nil }
            return values.compactMap { if case .string(let text) = $0 { text } else { nil } }
        }

        func row(_ name: String) -> Fields? { positions[name].map { Fields(column.children[$0], file: file) } }

        func require<T>(_ value: T?, _ name: String) throws -> T {
            guard let value else { throw StreamError(.corrupt, "\(file): an action of the checkpoint lacks '\(name)'") }
            return value
        }
    }

    private static func read(_ fields: Fields, kind: String, _ body: (LogAction) throws -> Void) throws {
        let format = kind == "metaData" ? fields.row("format") : nil
        for row in 0..<fields.column.count where fields.column.isValid(row) {
            switch kind {
            case "add":
                // Some writers leave the struct there and its fields empty.
                guard let path = fields.text("path", row) else { continue }
                let vector = fields.row("deletionVector").flatMap { $0.column.isValid(row) ? $0.text("storageType", row) : nil }
                try body(LogAction(add: AddFile(
                    path: path, partitionValues: fields.map("partitionValues", row) ?? [:], size: try fields.require(fields.number("size", row), "add.size"),
                    modificationTime: fields.number("modificationTime", row) ?? 0, dataChange: false, stats: fields.text("stats", row),
                    tags: fields.map("tags", row), deletionVector: vector.map { DeletionVector(storageType: $0) })))
            case "remove":
                guard let path = fields.text("path", row) else { continue }
                try body(LogAction(remove: RemoveFile(
                    path: path, deletionTimestamp: fields.number("deletionTimestamp", row), dataChange: false, extendedFileMetadata: nil,
                    partitionValues: fields.map("partitionValues", row), size: fields.number("size", row))))
            case "metaData":
                guard let schema = fields.text("schemaString", row) else { continue }
                try body(LogAction(metaData: TableMetadata(
                    id: fields.text("id", row) ?? "", name: fields.text("name", row), description: fields.text("description", row),
                    format: .init(provider: format?.text("provider", row) ?? "parquet", options: format?.map("options", row) ?? [:]), schemaString: schema,
                    partitionColumns: fields.list("partitionColumns", row) ?? [], configuration: fields.map("configuration", row),
                    createdTime: fields.number("createdTime", row))))
            case "protocol":
                guard let reader = fields.number("minReaderVersion", row) else { continue }
                try body(LogAction(protocol: TableProtocol(
                    minReaderVersion: Int(reader), minWriterVersion: Int(fields.number("minWriterVersion", row) ?? 2),
                    readerFeatures: fields.list("readerFeatures", row), writerFeatures: fields.list("writerFeatures", row))))
            default:
                guard let application = fields.text("appId", row) else { continue }
                try body(LogAction(txn: Transaction(
                    appId: application, version: try fields.require(fields.number("version", row), "txn.version"), lastUpdated: fields.number("lastUpdated", row))))
            }
        }
    }
}
