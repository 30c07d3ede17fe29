import Foundation
import GRDB
import StreamCore
import StreamSQL

/// A catalog in an SQLite file.
///
/// Every change is one transaction; readers of other threads and processes see the file as it was before or after it. A writer
/// waits for others for up to `busySeconds`.
public final class SQLiteCatalogStore: CatalogStore {
    static let busySeconds = 10.0

    let path: String
    private let database: any DatabaseWriter

    /// - Parameter scratch: works on a copy in memory: nothing that is done reaches the file.
    /// - Throws: `.io` when the file cannot be opened, `.corrupt` when it is damaged or no catalog, `.validate` when a newer
    ///   program has written it.
    public init(path: String, scratch: Bool = false) throws {
        self.path = path
        var configuration = Configuration()
        configuration.busyMode = .timeout(Self.busySeconds)
        configuration.foreignKeysEnabled = true
        database = try Self.naming(path) {
            guard scratch else { return try DatabasePool(path: path, configuration: configuration) }
            let copy = try DatabaseQueue(configuration: configuration)
            if FileManager.default.fileExists(atPath: path) { try DatabasePool(path: path, configuration: configuration).backup(to: copy) }
            return copy
        }
        try Self.naming(path) {
            let migrator = CatalogSchema.migrator
            if try database.read(migrator.hasBeenSuperseded) {
                throw StreamError(.validate, "\(path) was written by a newer version of this program", fix: "use that version, or another file")
            }
            let isOther = try database.read { db in
                try !db.tableExists("grdb_migrations") && (Int.fetchOne(db, sql: "SELECT COUNT(*) FROM sqlite_master") ?? 0) > 0
            }
            if isOther { throw StreamError(.corrupt, "\(path) is an SQLite file, but no catalog", fix: "name another file") }
            try migrator.migrate(database)
        }
    }

    /// Says what went wrong with the file in the words of the engine.
    static func naming<T>(_ path: String, _ body: () throws -> T) throws -> T {
        do {
            return try body()
        } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_CORRUPT, .SQLITE_NOTADB:
                throw StreamError(
                    .corrupt, "\(path) is damaged, or no catalog: \(error.message ?? "unreadable")",
                    fix: "restore it from a copy, or name another file")
            case .SQLITE_BUSY, .SQLITE_LOCKED:
                throw StreamError(
                    .conflict, "\(path) has been in use by another process for \(Int(busySeconds)) seconds", fix: "try again when that process is done")
            case .SQLITE_CANTOPEN:
                throw StreamError(.io, "cannot open \(path): \(error.message ?? "no such file")", fix: "check that its folder exists and can be written to")
            case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
                throw StreamError(.io, "cannot write \(path): \(error.message ?? "read-only")", fix: "check its permissions and those of its folder")
            case .SQLITE_FULL:
                throw StreamError(.io, "cannot write \(path): no space is left", fix: "free disk space")
            default:
                throw StreamError(.io, "\(path): \(error.message ?? "SQLite error \(error.resultCode.rawValue)")")
            }
        }
    }

    func read<T>(_ body: (Database) throws -> T) throws -> T { try Self.naming(path) { try database.read(body) } }
    func write<T>(_ body: (Database) throws -> T) throws -> T {
        // The write lock is taken at once, so that what a transaction reads cannot change before it writes.
        try Self.naming(path) {
            try database.writeWithoutTransaction { db in
                var result: T?
                try db.inTransaction(.immediate) {
                    result = try body(db)
                    return .commit
                }
                return result!
            }
        }
    }

    /// Moves what is in the write-ahead log into the file itself.
    func checkpoint() throws { try Self.naming(path) { try database.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) } } }

    // MARK: text forms

    static func json<T: Encodable>(_ value: T) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    func decode<T: Decodable>(_ type: T.Type, _ text: String, _ what: String) throws -> T {
        do {
            return try JSONDecoder().decode(type, from: Data(text.utf8))
        } catch {
            throw StreamError(.corrupt, "\(path): \(what) is damaged: \(text.prefix(80))", fix: "restore the file from a copy")
        }
    }

    // MARK: databases

    public func databaseNames() throws -> [String] { try read { try String.fetchAll($0, sql: "SELECT name FROM databases ORDER BY name") } }

    public func database(_ name: String) throws -> CatalogDatabase? {
        try read { db in
            try Row.fetchOne(db, sql: "SELECT comment, options FROM databases WHERE name = ?", arguments: [name]).map {
                CatalogDatabase(name: name, comment: $0[0], options: try decode([String: String].self, $0[1], "database \(name)"))
            }
        }
    }

    public func create(_ database: CatalogDatabase) throws -> Bool {
        try write { db in
            try db.execute(
                sql: "INSERT INTO databases (name, comment, options) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                arguments: [database.name, database.comment, Self.json(database.options)])
            return db.changesCount == 1
        }
    }

    public func update(_ database: CatalogDatabase) throws {
        try write { db in
            try db.execute(
                sql: "UPDATE databases SET comment = ?, options = ? WHERE name = ?",
                arguments: [database.comment, Self.json(database.options), database.name])
            if db.changesCount == 0 { throw Self.dropped(database.name) }
        }
    }

    public func dropDatabase(_ name: String) throws { try write { try $0.execute(sql: "DELETE FROM databases WHERE name = ?", arguments: [name]) } }

    static func dropped(_ database: String) -> StreamError { StreamError(.conflict, "database \(database) has been dropped by another process") }

    func id(of database: String, _ db: Database) throws -> Int64 {
        guard let id = try Int64.fetchOne(db, sql: "SELECT id FROM databases WHERE name = ?", arguments: [database]) else { throw Self.dropped(database) }
        return id
    }

    // MARK: functions

    public func functions(in database: String) throws -> [CatalogFunction] {
        try read { db in
            try Row.fetchAll(
                db, sql: "SELECT name, identifier, language, resources FROM functions WHERE database_id = ? ORDER BY key",
                arguments: [try id(of: database, db)]
            ).map { row in
                let name: String = row[0], language: String = row[2]
                guard let known = CatalogFunction.Language(rawValue: language) else {
                    throw StreamError(.corrupt, "\(path): function \(name) is in the unknown language \(language)", fix: "drop the function and create it again")
                }
                let resources = try decode([[String]].self, row[3], "function \(name)").compactMap { $0.count == 2 ? CatalogFunction.Resource(kind: $0[0], path: $0[1]) : nil }
                return CatalogFunction(name: name, identifier: row[1], language: known, resources: resources)
            }
        }
    }

    public func save(_ function: CatalogFunction, in database: String, replacing: Bool) throws -> Bool {
        try write { db in
            try db.execute(
                sql: "INSERT \(replacing ? "OR REPLACE " : "")INTO functions (database_id, key, name, identifier, language, resources) VALUES (?, ?, ?, ?, ?, ?)"
                    + (replacing ? "" : " ON CONFLICT DO NOTHING"),
                arguments: [
                    try id(of: database, db), function.name.lowercased(), function.name, function.identifier, function.language.rawValue,
                    Self.json(function.resources.map { [$0.kind, $0.path] }),
                ])
            return db.changesCount == 1
        }
    }

    public func dropFunction(_ name: String, in database: String) throws -> Bool {
        try write { db in
            try db.execute(sql: "DELETE FROM functions WHERE database_id = ? AND key = ?", arguments: [try id(of: database, db), name.lowercased()])
            return db.changesCount == 1
        }
    }

    // MARK: catalogs

    public func catalogDefinitions() throws -> [CatalogDefinition] {
        try read { db in
            try Row.fetchAll(db, sql: "SELECT name, comment, options FROM catalogs ORDER BY name").map {
                CatalogDefinition(name: $0[0], comment: $0[1], options: try decode([String: String].self, $0[2], "catalog \($0[0] as String)"))
            }
        }
    }

    public func save(_ catalog: CatalogDefinition) throws {
        try write { db in
            try db.execute(
                sql: "INSERT OR REPLACE INTO catalogs (name, comment, options) VALUES (?, ?, ?)",
                arguments: [catalog.name, catalog.comment, Self.json(catalog.options)])
        }
    }

    public func dropCatalogDefinition(_ name: String) throws { try write { try $0.execute(sql: "DELETE FROM catalogs WHERE name = ?", arguments: [name]) } }
}
