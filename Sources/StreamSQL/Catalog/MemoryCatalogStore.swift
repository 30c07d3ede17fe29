import StreamCore
import Synchronization

/// A catalog in memory.
public final class MemoryCatalogStore: CatalogStore {
    private struct Database {
        var database: CatalogDatabase
        var objects: [String: CatalogObject] = [:]
        var functions: [String: CatalogFunction] = [:]
        /// By table, then by name.
        var partitions: [String: [String: TablePartition]] = [:]
    }
    private struct State {
        var databases: [String: Database] = [:]
        var catalogs: [String: CatalogDefinition] = [:]
        var version: Int64 = 0
    }
    private let state = Mutex(State())

    /// Tables beside those that were made here.
    private let folders: TableFolders?

    public convenience init(database: String = Catalog.databaseName) { self.init(database: database, folders: nil) }

    init(database: String, folders: TableFolders?) {
        self.folders = folders
        state.withLock { $0.databases[database] = Database(database: CatalogDatabase(name: database)) }
    }

    private func with<T: Sendable>(_ name: String, _ body: (inout Database) throws -> T) throws -> T {
        let isFolder = folders?.has(database: name) ?? false
        return try state.withLock { state in
            if isFolder, state.databases[name] == nil { state.databases[name] = Database(database: CatalogDatabase(name: name)) }
            guard state.databases[name] != nil else { throw StreamError(.conflict, "database \(name) has been dropped") }
            return try body(&state.databases[name]!)
        }
    }

    public func databaseNames() throws -> [String] {
        let there = try folders?.databases() ?? []
        return state.withLock { Set($0.databases.keys).union(there).sorted() }
    }

    public func database(_ name: String) -> CatalogDatabase? {
        state.withLock { $0.databases[name]?.database } ?? ((folders?.has(database: name) ?? false) ? CatalogDatabase(name: name) : nil)
    }

    public func create(_ database: CatalogDatabase) -> Bool {
        state.withLock { state in
            guard state.databases[database.name] == nil else { return false }
            state.databases[database.name] = Database(database: database)
            return true
        }
    }

    public func update(_ database: CatalogDatabase) throws { try with(database.name) { $0.database = database } }

    public func dropDatabase(_ name: String) throws {
        if let folders, folders.has(database: name) {
            throw StreamError(.validate, "database \(name) cannot be dropped: its files are in \(folders.folder(of: name))", fix: "remove the folder")
        }
        state.withLock { $0.databases[name] = nil }
    }

    public func objectNames(in database: String) throws -> [(name: String, isView: Bool)] {
        var all = try with(database) { $0.objects.mapValues(\.isView) }
        for table in try folders?.tables(in: database) ?? [] where all[table] == nil { all[table] = false }
        return all.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    public func object(_ name: String, in database: String) throws -> CatalogObject? {
        if let made = try with(database, { $0.objects[name] }) { return made }
        guard let folders, folders.has(name, in: database) else { return nil }
        return CatalogObject(name: name, declaration: .table(TableDeclaration(options: folders.options(name, in: database))))
    }

    private func nextVersion() -> Int64 {
        state.withLock {
            $0.version += 1
            return $0.version
        }
    }

    public func create(_ object: CatalogObject, in database: String) throws -> Bool {
        var object = object
        object.version = nextVersion()
        return try with(database) { [object] in
            guard $0.objects[object.name] == nil else { return false }
            $0.objects[object.name] = object
            $0.partitions[object.name] = nil
            return true
        }
    }

    public func update(_ object: CatalogObject, named name: String, in database: String) throws -> Bool {
        var changed = object
        changed.version = nextVersion()
        return try with(database) { [changed] in
            guard $0.objects[name]?.version == object.version, object.name == name || $0.objects[object.name] == nil else { return false }
            $0.objects[name] = nil
            $0.objects[object.name] = changed
            if object.name != name, let moved = $0.partitions.removeValue(forKey: name) { $0.partitions[object.name] = moved }
            return true
        }
    }

    public func drop(_ name: String, in database: String) throws -> Bool {
        // What is in a folder is a table, whoever made it.
        if let folders, folders.has(name, in: database), try with(database, { $0.objects[name]?.isView }) != true {
            throw StreamError(.validate, "table \(name) cannot be dropped: its files are in \(folders.folder(of: database))/\(name)", fix: "remove the folder")
        }
        return try with(database) {
            $0.partitions[name] = nil
            return $0.objects.removeValue(forKey: name) != nil
        }
    }

    // MARK: functions

    public func functions(in database: String) throws -> [CatalogFunction] {
        try with(database) { Array($0.functions.values) }.sorted { $0.name < $1.name }
    }

    public func save(_ function: CatalogFunction, in database: String, replacing: Bool) throws -> Bool {
        try with(database) {
            guard replacing || $0.functions[function.name.lowercased()] == nil else { return false }
            $0.functions[function.name.lowercased()] = function
            return true
        }
    }

    public func dropFunction(_ name: String, in database: String) throws -> Bool {
        try with(database) { $0.functions.removeValue(forKey: name.lowercased()) != nil }
    }

    // MARK: partitions

    public func hasPartitions(of table: String, in database: String) throws -> Bool { try with(database) { $0.partitions[table] != nil } }

    public func partitions(of table: String, in database: String, keys: [String], matching filter: PartitionFilter) throws -> [TablePartition] {
        try with(database) { ($0.partitions[table] ?? [:]).values.filter { filter.admits($0.values, of: keys) } }.sorted { $0.name < $1.name }
    }

    public func addPartitions(_ partitions: [TablePartition], of table: String, in database: String) throws -> Int {
        try with(database) {
            var known = $0.partitions.removeValue(forKey: table) ?? [:]
            let before = known.count
            for partition in partitions where known[partition.name] == nil { known[partition.name] = partition }
            $0.partitions[table] = known
            return known.count - before
        }
    }

    public func dropPartitions(named names: [String], of table: String, in database: String) throws -> Int {
        try with(database) { database in names.count { database.partitions[table]?.removeValue(forKey: $0) != nil } }
    }

    // MARK: catalogs

    public func catalogDefinitions() -> [CatalogDefinition] { state.withLock { $0.catalogs.values.sorted { $0.name < $1.name } } }
    public func save(_ catalog: CatalogDefinition) { state.withLock { $0.catalogs[catalog.name] = catalog } }
    public func dropCatalogDefinition(_ name: String) { state.withLock { $0.catalogs[name] = nil } }
}
