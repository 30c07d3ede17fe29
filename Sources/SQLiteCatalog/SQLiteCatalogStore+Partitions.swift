import Foundation
import GRDB
import StreamCore
import StreamSQL

/// The partition index.
extension SQLiteCatalogStore {
    public func hasPartitions(of table: String, in database: String) throws -> Bool {
        try read { try object(table, database, $0)?.hasPartitions ?? false }
    }

    private func object(_ table: String, _ database: String, _ db: Database) throws -> (id: Int64, hasPartitions: Bool)? {
        try Row.fetchOne(
            db, sql: "SELECT o.id, o.has_partitions FROM objects o JOIN databases d ON d.id = o.database_id WHERE d.name = ? AND o.name = ?",
            arguments: [database, table]
        ).map { ($0[0], $0[1]) }
    }

    public func partitions(of table: String, in database: String, keys: [String], matching filter: PartitionFilter) throws -> [TablePartition] {
        try read { db in
            guard let object = try object(table, database, db) else { return [] }
            let indexed = keys.prefix(CatalogSchema.indexedKeys)
            var conditions = ["object_id = ?"], arguments: [(any DatabaseValueConvertible)?] = [object.id]
            for (i, key) in indexed.enumerated() {
                // What SQLite cannot compare as the engine does is compared afterwards.
                if let values = filter.values[key], let stored = Self.comparable(values) {
                    conditions.append("v\(i) IN (\(stored.map { _ in "?" }.joined(separator: ", ")))")
                    arguments += stored
                }
                if let range = filter.ranges[key] {
                    if let bound = range.lower.flatMap(Self.comparable) {
                        conditions.append("v\(i) \(range.includesLower ? ">=" : ">") ?")
                        arguments.append(bound)
                    }
                    if let bound = range.upper.flatMap(Self.comparable) {
                        conditions.append("v\(i) \(range.includesUpper ? "<=" : "<") ?")
                        arguments.append(bound)
                    }
                }
            }
            let columns = indexed.indices.map { ", v\($0)" }.joined()
            let sql = "SELECT name, location, others\(columns) FROM partitions WHERE \(conditions.joined(separator: " AND ")) ORDER BY name"
            var found: [TablePartition] = []
            let rows = try Row.fetchCursor(db, sql: sql, arguments: StatementArguments(arguments))
            while let row = try rows.next() {
                let others = try (row[2] as String?).map { try decode([String?].self, $0, "a partition of table \(table)") } ?? []
                let values = try indexed.indices.map { try Self.value(row[3 + $0] as DatabaseValue) } + others.map { try $0.map { try unpack($0) } ?? .null }
                guard filter.admits(values, of: keys) else { continue }
                found.append(TablePartition(name: row[0], values: values, location: row[1]))
            }
            return found
        }
    }

    public func addPartitions(_ partitions: [TablePartition], of table: String, in database: String) throws -> Int {
        try write { db in
            guard let object = try object(table, database, db) else { throw StreamError(.conflict, "table \(table) has been dropped by another process") }
            if !object.hasPartitions { try db.execute(sql: "UPDATE objects SET has_partitions = 1 WHERE id = ?", arguments: [object.id]) }
            let values = (0..<CatalogSchema.indexedKeys).map { "v\($0)" }
            let insert = try db.makeStatement(
                sql: "INSERT INTO partitions (object_id, name, location, others, \(values.joined(separator: ", "))) VALUES (?, ?, ?, ?\(values.map { _ in ", ?" }.joined())) "
                    + "ON CONFLICT DO NOTHING")
            var added = 0
            for partition in partitions {
                let further = partition.values.dropFirst(CatalogSchema.indexedKeys)
                var arguments: [(any DatabaseValueConvertible)?] = [
                    object.id, partition.name, partition.location, further.isEmpty ? nil : try Self.json(further.map { $0 == .null ? nil : Self.pack($0) }),
                ]
                for i in values.indices { arguments.append(i < partition.values.count ? Self.stored(partition.values[i]) : nil) }
                try insert.execute(arguments: StatementArguments(arguments))
                added += db.changesCount
            }
            return added
        }
    }

    public func dropPartitions(named names: [String], of table: String, in database: String) throws -> Int {
        try write { db in
            guard let object = try object(table, database, db) else { return 0 }
            let delete = try db.makeStatement(sql: "DELETE FROM partitions WHERE object_id = ? AND name = ?")
            var dropped = 0
            for name in names {
                try delete.execute(arguments: [object.id, name])
                dropped += db.changesCount
            }
            return dropped
        }
    }

    // MARK: values

    /// As SQLite keeps it: numbers and text as such, so that they can be compared; all else packed into text.
    private static func stored(_ value: Value) -> (any DatabaseValueConvertible)? {
        switch value {
        case .null: nil
        case .int(let n): n
        case .string(let text): text
        default: Data(pack(value).utf8)
        }
    }

    /// nil for values whose stored form does not compare as they do.
    private static func comparable(_ value: Value) -> (any DatabaseValueConvertible)? {
        switch value {
        case .int, .string: stored(value)
        default: nil
        }
    }

    private static func comparable(_ values: Set<Value>) -> [(any DatabaseValueConvertible)?]? {
        // SQLite takes so many in one statement.
        guard values.count <= 1_000 else { return nil }
        var all: [(any DatabaseValueConvertible)?] = []
        for value in values {
            guard let stored = comparable(value) else { return nil }
            all.append(stored)
        }
        return all
    }

    private static func value(_ stored: DatabaseValue) throws -> Value {
        switch stored.storage {
        case .null: .null
        case .int64(let n): .int(n)
        case .string(let text): .string(text)
        case .blob(let bytes): try unpackText(String(decoding: bytes, as: UTF8.self))
        case .double(let d): .double(d)
        }
    }

    private static func pack(_ value: Value) -> String {
        switch value {
        case .null: "n"
        case .bool(let b): "b\(b)"
        case .int(let n): "i\(n)"
        case .float(let f): "f\(f.bitPattern)"
        case .double(let d): "d\(d.bitPattern)"
        case .decimal(let d): "m\(d)"
        case .string(let text): "s" + text
        case .binary(let bytes): "x" + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        case .array, .map, .row: preconditionFailure("no partition column has such a type")
        }
    }

    private func unpack(_ text: String) throws -> Value {
        do { return try Self.unpackText(text) } catch let error as StreamError {
            throw StreamError(.corrupt, "\(path): \(error.problem)", fix: error.fix)
        }
    }

    private static func unpackText(_ text: String) throws -> Value {
        let rest = String(text.dropFirst())
        let value: Value? =
            switch text.first {
            case "n": .null
            case "b": .bool(rest == "true")
            case "i": Int64(rest).map { .int($0) }
            case "f": UInt32(rest).map { .float(Float(bitPattern: $0)) }
            case "d": UInt64(rest).map { .double(Double(bitPattern: $0)) }
            case "m": Int128(rest).map { .decimal($0) }
            case "s": .string(rest)
            case "x":
                .binary(stride(from: 0, to: rest.utf8.count - 1, by: 2).compactMap { i in
                    UInt8(String(decoding: Array(rest.utf8)[i..<i + 2], as: UTF8.self), radix: 16)
                })
            default: nil
            }
        guard let value else {
            throw StreamError(.corrupt, "the value of a partition is damaged: \(text.prefix(40))", fix: "write ALTER TABLE ... RECOVER PARTITIONS after restoring the file")
        }
        return value
    }
}
