import StreamCore
import StreamExpressions

/// All catalogs of a session, with what is temporary in it, and where it stands. Names are case-sensitive, as in Flink; those of
/// functions are not.
public final class Catalog {
    /// What a name stands for.
    public enum Entry: Sendable {
        case table(CatalogTable)
        case view(CatalogView)

        var path: ObjectPath {
            switch self {
            case .table(let table): table.path
            case .view(let view): view.path
            }
        }
        var isView: Bool { if case .view = self { true } else { false } }
        var kind: String { isView ? "view" : "table" }
    }

    public static let catalogName = "default_catalog", databaseName = "default_database"

    private struct Mounted {
        var definition: CatalogDefinition
        var store: any CatalogStore
    }

    /// The database that names without one are in.
    public private(set) var current = Namespace.standard
    private var mounted: [String: Mounted]
    private var temporary: [ObjectPath: Entry] = [:]
    private var temporaryFunctions: [ObjectPath: CatalogFunction] = [:]
    /// By name in lower case; found from everywhere.
    private var systemFunctions: [String: CatalogFunction] = [:]
    /// What was bound of the stores' objects.
    private var bound: [ObjectPath: (version: Int64, entry: Entry)] = [:]
    private(set) var connectors: [String: any TableConnector] = [:]
    private var factories: [String: any CatalogFactory] = [:]
    /// What statements ask for that means nothing here.
    public let notices = NoticeLog()
    /// Makes an entry of what a store keeps; the session sets it.
    var bind: ((CatalogObject, ObjectPath) throws -> Entry)?
    /// What a table is planned with whose input is not here, for plans that are not to run: told why it is not. It throws to refuse. nil = they are refused.
    public var missingInput: (@Sendable (CatalogTable, StreamError) throws -> any TableSource)?
    /// Makes a function of the catalog known to a registry, under its name; nil = such functions cannot be called.
    public var functionResolver: ((CatalogFunction, FunctionRegistry) throws -> FunctionRegistry)?
    /// As ``functionResolver``, for table functions.
    public var rowFunctionResolver: ((CatalogFunction, RowFunctionRegistry) throws -> RowFunctionRegistry)?

    /// - Parameter store: what the default catalog is kept in.
    /// - Throws: when a catalog that was created in the store cannot be opened.
    public init(connectors: [any TableConnector] = [], factories: [any CatalogFactory] = [], store: any CatalogStore) throws {
        mounted = [Self.catalogName: Mounted(definition: CatalogDefinition(name: Self.catalogName, options: ["type": "generic_in_memory"]), store: store)]
        for connector in connectors { register(connector) }
        for factory in ForeignCatalogFactory.all + factories + [MemoryCatalogFactory()] { register(factory) }
        if try store.database(Self.databaseName) == nil { _ = try store.create(CatalogDatabase(name: Self.databaseName)) }
        for definition in try store.catalogDefinitions() { mounted[definition.name] = try open(definition) }
    }

    /// A catalog in memory.
    public init(connectors: [any TableConnector] = []) {
        mounted = [
            Self.catalogName: Mounted(
                definition: CatalogDefinition(name: Self.catalogName, options: ["type": "generic_in_memory"]), store: MemoryCatalogStore())
        ]
        for connector in connectors { register(connector) }
        for factory in ForeignCatalogFactory.all + [MemoryCatalogFactory()] as [any CatalogFactory] { register(factory) }
    }

    public func register(_ connector: any TableConnector) { connectors[connector.identifier] = connector }
    public func register(_ factory: any CatalogFactory) { factories[factory.identifier] = factory }

    public var connectorNames: [String] { connectors.keys.sorted() }
    public func connector(_ identifier: String) -> (any TableConnector)? { connectors[identifier] }

    // MARK: catalogs

    public var catalogNames: [String] { mounted.keys.sorted() }
    public func definition(of catalog: String) -> CatalogDefinition? { mounted[catalog]?.definition }

    func store(_ catalog: String) throws -> any CatalogStore {
        guard let found = mounted[catalog] else {
            throw StreamError(.validate, "there is no catalog \(catalog)", fix: NearName.hint(for: catalog, in: mounted.keys))
        }
        return found.store
    }

    private func open(_ definition: CatalogDefinition) throws -> Mounted {
        guard let type = definition.options["type"] else {
            throw StreamError(
                .validate, "catalog \(definition.name) has no option 'type'",
                fix: "add 'type' = '...' to WITH, one of \(factories.keys.sorted().joined(separator: ", "))")
        }
        guard let factory = factories[type] else {
            throw StreamError(
                .validate, "catalog \(definition.name): there is no catalog type '\(type)'", fix: NearName.hint(for: type, in: factories.keys))
        }
        let known = factory.optionKeys.union(["type", "default-database"])
        let foreign = factory as? ForeignCatalogFactory
        if foreign == nil, let key = definition.options.keys.sorted().first(where: { !known.contains($0) }) {
            throw StreamError(
                .validate, "catalog \(definition.name): a catalog of type '\(type)' has no option '\(key)'", fix: NearName.hint(for: key, in: known))
        }
        let store = try factory.store(for: definition)
        let database = defaultDatabase(definition)
        if try store.database(database) == nil { _ = try store.create(CatalogDatabase(name: database)) }
        if let notice = foreign?.notice(definition) { notices.note(notice) }
        return Mounted(definition: definition, store: store)
    }

    private func foreignType(of catalog: String) -> String? {
        mounted[catalog].flatMap { factories[$0.definition.type] is ForeignCatalogFactory ? $0.definition.type : nil }
    }

    /// The statement with the place that a catalog of another system gives a table that names no connector.
    ///
    /// - Throws: `.validate` when that system alone would know the place.
    func placed(_ create: CreateTable, at path: ObjectPath, _ script: ScriptText) throws -> CreateTable {
        guard create.like == nil, !create.options.contains(where: { $0.key == "connector" }), let type = foreignType(of: path.catalog) else { return create }
        guard let options = TableFolders(mounted[path.catalog]!.definition)?.options(path.name, in: path.database) else {
            throw script.error(
                .validate, "table \(path.name) names no connector, and catalog \(path.catalog) of type '\(type)' is not reached from here",
                fix: "add 'connector' = '...' and what it needs to WITH, for example 'connector' = 'iceberg', 'path' = '...'", at: create.name.span)
        }
        var placed = create
        for (key, value) in options.sorted(by: { $0.key < $1.key }) where !create.options.contains(where: { $0.key == key }) {
            placed.options.append((key, value, create.name.span))
        }
        return placed
    }

    private func defaultDatabase(_ definition: CatalogDefinition) -> String {
        definition.name == Self.catalogName ? Self.databaseName : definition.options["default-database"] ?? "default"
    }

    func createCatalog(_ definition: CatalogDefinition) throws {
        mounted[definition.name] = try open(definition)
        try store(Self.catalogName).save(definition)
    }

    func alterCatalog(_ definition: CatalogDefinition) throws {
        var changed = mounted[definition.name]!
        if definition.options != changed.definition.options { changed = try open(definition) }
        changed.definition = definition
        mounted[definition.name] = changed
        forget { $0.catalog == definition.name }
        try store(Self.catalogName).save(definition)
    }

    func dropCatalog(_ name: String) throws {
        try store(Self.catalogName).dropCatalogDefinition(name)
        mounted[name] = nil
        forget { $0.catalog == name }
    }

    private func forget(_ which: (ObjectPath) -> Bool) { bound = bound.filter { !which($0.key) } }

    // MARK: databases

    func use(catalog: String) throws {
        _ = try store(catalog)
        current = Namespace(catalog: catalog, database: defaultDatabase(mounted[catalog]!.definition))
    }

    func use(_ namespace: Namespace) throws {
        try check(namespace)
        current = namespace
    }

    /// Throws unless there is such a database.
    func check(_ namespace: Namespace) throws {
        let store = try store(namespace.catalog)
        guard try store.database(namespace.database) != nil else {
            let shown = namespace.catalog == current.catalog ? namespace.database : "\(namespace)"
            if let type = foreignType(of: namespace.catalog) {
                throw StreamError(.validate, "there is no database \(shown): what catalog \(namespace.catalog) of type '\(type)' has elsewhere is not known here",
                                  fix: "write CREATE DATABASE \(shown), then CREATE TABLE for the tables that are used")
            }
            throw StreamError(.validate, "there is no database \(shown)", fix: NearName.hint(for: namespace.database, in: try store.databaseNames()))
        }
    }

    /// The database that a name of one or two parts means.
    func namespace(of name: QualifiedName, _ script: ScriptText) throws -> Namespace {
        let around = script.namespace ?? current
        switch name.parts.count {
        case 1: return Namespace(catalog: around.catalog, database: name.parts[0])
        case 2: return Namespace(catalog: name.parts[0], database: name.parts[1])
        default:
            throw script.error(.validate, "\(name.text) is no name of a database", fix: "write catalog.database or database", at: name.span)
        }
    }

    /// The full name of a table, view or function; its database exists.
    func path(of name: QualifiedName, _ script: ScriptText) throws -> ObjectPath {
        let around = script.namespace ?? current
        let path: ObjectPath
        switch name.parts.count {
        case 1: path = ObjectPath(around, name.parts[0])
        case 2: path = ObjectPath(catalog: around.catalog, database: name.parts[0], name: name.parts[1])
        case 3: path = ObjectPath(catalog: name.parts[0], database: name.parts[1], name: name.parts[2])
        default:
            throw script.error(
                .validate, "\(name.text) has \(name.parts.count) parts", fix: "write catalog.database.name, database.name or name", at: name.span)
        }
        try script.locating(name.span) { try check(path.namespace) }
        return path
    }

    // MARK: tables and views

    func temporaryEntry(_ path: ObjectPath) -> Entry? { temporary[path] }

    /// nil drops it.
    func setTemporary(_ entry: Entry?, at path: ObjectPath) { temporary[path] = entry }

    /// What a name stands for, bound; a temporary object hides one that lasts.
    func entry(_ path: ObjectPath) throws -> Entry? {
        if let found = temporary[path] { return found }
        guard let object = try store(path.catalog).object(path.name, in: path.database) else {
            bound[path] = nil
            return nil
        }
        if let known = bound[path], known.version == object.version { return known.entry }
        guard let bind else { throw StreamError(.validate, "\(path) was made by another session; this catalog belongs to none") }
        let entry = try bind(object, path)
        // A table without columns has those of its files, which change behind the catalog's back.
        if case .table(let table) = entry, table.declaration.columns.isEmpty { return entry }
        bound[path] = (object.version, entry)
        return entry
    }

    /// What the store keeps under a name.
    func object(_ path: ObjectPath) throws -> CatalogObject? { try store(path.catalog).object(path.name, in: path.database) }

    /// - Returns: false when there is an object of that name already.
    func create(_ declaration: CatalogObject.Declaration, _ entry: Entry) throws -> Bool {
        let path = entry.path, store = try store(path.catalog)
        guard try store.create(CatalogObject(name: path.name, declaration: declaration), in: path.database) else { return false }
        // Kept as it was bound, so that errors point into the script that made it.
        if case .table(let table) = declaration, table.columns.isEmpty { return true }
        if let made = try store.object(path.name, in: path.database), made.declaration == declaration { bound[path] = (made.version, entry) }
        return true
    }

    /// Changes the object that `path` is now.
    func update(_ object: CatalogObject, at path: ObjectPath, _ entry: Entry?) throws {
        let store = try store(path.catalog)
        guard try store.update(object, named: path.name, in: path.database) else {
            throw StreamError(.conflict, "\(path) was changed by another process in the meantime", fix: "look at it again, then repeat the statement")
        }
        bound[path] = nil
        if case .table(let table) = object.declaration, table.columns.isEmpty { return }
        if let entry, let made = try store.object(object.name, in: path.database), made.declaration == object.declaration {
            bound[entry.path] = (made.version, entry)
        }
    }

    func drop(_ path: ObjectPath) throws -> Bool {
        bound[path] = nil
        return try store(path.catalog).drop(path.name, in: path.database)
    }

    /// Names in a database, with temporary ones, sorted.
    func names(in namespace: Namespace) throws -> [(name: String, isView: Bool)] {
        var all = Dictionary(uniqueKeysWithValues: try store(namespace.catalog).objectNames(in: namespace.database))
        for (path, entry) in temporary where path.namespace == namespace { all[path.name] = entry.isView }
        return all.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    func lookUp(_ name: QualifiedName, _ script: ScriptText, as what: String = "table") throws -> Entry {
        let path = try path(of: name, script)
        if let entry = try script.locating(name.span, { try entry(path) }) { return entry }
        let shown = path.namespace == current ? path.name : name.text
        if let type = foreignType(of: path.catalog) {
            throw script.error(
                .validate, "there is no \(what) \(shown): what catalog \(path.catalog) of type '\(type)' has elsewhere is not known here",
                fix: "write CREATE TABLE \(shown) (...) WITH ('connector' = '...', ...) before it is used", at: name.span)
        }
        throw script.error(
            .validate, "there is no \(what) \(shown)",
            fix: NearName.hint(for: path.name, in: try names(in: path.namespace).map(\.name))
                ?? "create it first with CREATE TABLE \(shown) (...) WITH (...)",
            at: name.span)
    }

    // MARK: functions

    /// Those of the session and of a database, in the order in which a name is looked for.
    public func functions(in namespace: Namespace? = nil) throws -> [CatalogFunction] {
        let namespace = namespace ?? current
        let own = temporaryFunctions.filter { $0.key.namespace == namespace }.map(\.value)
        let stored = try store(namespace.catalog).functions(in: namespace.database)
        return systemFunctions.values.sorted { $0.name < $1.name } + own.sorted { $0.name < $1.name } + stored
    }

    /// The function that a call of a name means: of the session, then of the current database; nil = none of the catalog's.
    public func function(_ name: String, in namespace: Namespace? = nil) throws -> CatalogFunction? {
        let lower = name.lowercased()
        return try functions(in: namespace).first { $0.name.lowercased() == lower }
    }

    func systemFunction(_ name: String) -> CatalogFunction? { systemFunctions[name.lowercased()] }
    func setSystemFunction(_ function: CatalogFunction?, named name: String) { systemFunctions[name.lowercased()] = function }

    private func functionPath(_ path: ObjectPath) -> ObjectPath { ObjectPath(path.namespace, path.name.lowercased()) }
    func temporaryFunction(_ path: ObjectPath) -> CatalogFunction? { temporaryFunctions[functionPath(path)] }
    func setTemporaryFunction(_ function: CatalogFunction?, at path: ObjectPath) { temporaryFunctions[functionPath(path)] = function }

    // MARK: partitions

    /// Whether a lasting table's partitions are kept by its catalog.
    func hasPartitions(of table: CatalogTable) throws -> Bool {
        guard !table.descriptor.partitionKeys.isEmpty, temporary[table.path] == nil else { return false }
        return try store(table.path.catalog).hasPartitions(of: table.name, in: table.path.database)
    }
}
