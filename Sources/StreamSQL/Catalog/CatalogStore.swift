import StreamCore

/// A database of a catalog.
public struct CatalogDatabase: Hashable, Sendable {
    public var name: String
    public var comment: String?
    public var options: [String: String]
    public init(name: String, comment: String? = nil, options: [String: String] = [:]) {
        self.name = name
        self.comment = comment
        self.options = options
    }
}

/// A table or view as a catalog keeps it.
public struct CatalogObject: Hashable, Sendable {
    public enum Declaration: Hashable, Sendable {
        case table(TableDeclaration)
        case view(ViewDeclaration)
    }
    public var name: String
    public var declaration: Declaration
    /// Set by the store: another one after every change, also when an object is dropped and another of its name made.
    public var version: Int64

    public init(name: String, declaration: Declaration, version: Int64 = 0) {
        self.name = name
        self.declaration = declaration
        self.version = version
    }

    public var isView: Bool { if case .view = declaration { true } else { false } }
    var kind: String { isView ? "view" : "table" }
}

/// A function made by CREATE FUNCTION.
public struct CatalogFunction: Hashable, Sendable {
    public enum Language: String, Hashable, Sendable {
        case java = "JAVA", scala = "SCALA", python = "PYTHON", swift = "SWIFT"

        /// Functions in it can be defined, but not called.
        var needsJVM: Bool { self == .java || self == .scala }
        var name: String { rawValue.prefix(1) + rawValue.dropFirst().lowercased() }
    }
    /// What must be there for the function to run.
    public struct Resource: Hashable, Sendable {
        /// JAR, FILE or ARTIFACT.
        public var kind: String
        public var path: String
        public init(kind: String, path: String) { (self.kind, self.path) = (kind, path) }
    }
    /// The last part of its name; functions are found whatever the case.
    public var name: String
    /// What implements it: a class, or module and function.
    public var identifier: String
    public var language: Language
    public var resources: [Resource]
    public var temporary: Bool

    public init(name: String, identifier: String, language: Language, resources: [Resource] = [], temporary: Bool = false) {
        self.name = name
        self.identifier = identifier
        self.language = language
        self.resources = resources
        self.temporary = temporary
    }
}

/// The definition of a catalog, as CREATE CATALOG gave it.
public struct CatalogDefinition: Hashable, Sendable {
    public var name: String
    public var comment: String?
    public var options: [String: String]
    public init(name: String, comment: String? = nil, options: [String: String]) {
        self.name = name
        self.comment = comment
        self.options = options
    }
    public var type: String { options["type"] ?? "" }
}

/// Where a catalog keeps its databases and what is in them. Used by several threads; changes are whole or not at all, also
/// when several processes make them.
///
/// A database that a call names is there, unless another process has dropped it meanwhile: then the call throws `.conflict`.
public protocol CatalogStore: AnyObject, Sendable {
    func databaseNames() throws -> [String]
    func database(_ name: String) throws -> CatalogDatabase?
    /// - Returns: false when there is one of that name already.
    func create(_ database: CatalogDatabase) throws -> Bool
    func update(_ database: CatalogDatabase) throws
    /// Drops it with all that is in it.
    func dropDatabase(_ name: String) throws

    /// Sorted by name.
    func objectNames(in database: String) throws -> [(name: String, isView: Bool)]
    func object(_ name: String, in database: String) throws -> CatalogObject?
    /// - Returns: false when there is an object of that name already.
    func create(_ object: CatalogObject, in database: String) throws -> Bool
    /// Changes, and perhaps renames, the object that `name` is now, if it has still the version of `object`. Its partitions stay.
    ///
    /// - Returns: false when it has been changed since, or the new name is taken.
    func update(_ object: CatalogObject, named name: String, in database: String) throws -> Bool
    /// - Returns: false when there is none.
    func drop(_ name: String, in database: String) throws -> Bool

    func functions(in database: String) throws -> [CatalogFunction]
    /// - Returns: false when there is one of that name already and it is not to be replaced.
    func save(_ function: CatalogFunction, in database: String, replacing: Bool) throws -> Bool
    func dropFunction(_ name: String, in database: String) throws -> Bool

    /// Whether the partitions of a table are kept here; without that they are what lies on the disk.
    func hasPartitions(of table: String, in database: String) throws -> Bool
    /// Those that a filter leaves, by name.
    ///
    /// - Parameter keys: the partition columns, in order.
    func partitions(of table: String, in database: String, keys: [String], matching filter: PartitionFilter) throws -> [TablePartition]
    /// Adds the ones that are not there yet; from now on the table's partitions are kept here.
    ///
    /// - Returns: how many were added.
    func addPartitions(_ partitions: [TablePartition], of table: String, in database: String) throws -> Int
    /// - Returns: how many there were.
    func dropPartitions(named names: [String], of table: String, in database: String) throws -> Int

    /// Catalogs that CREATE CATALOG made while this was the default catalog.
    func catalogDefinitions() throws -> [CatalogDefinition]
    func save(_ catalog: CatalogDefinition) throws
    func dropCatalogDefinition(_ name: String) throws
}

/// Makes the stores of catalogs with `'type' = identifier`.
public protocol CatalogFactory: Sendable {
    var identifier: String { get }
    /// Options beside `type` and `default-database`.
    var optionKeys: Set<String> { get }
    func store(for catalog: CatalogDefinition) throws -> any CatalogStore
}

/// `'type' = 'generic_in_memory'`: forgotten when the session ends.
public struct MemoryCatalogFactory: CatalogFactory {
    public init() {}
    public var identifier: String { "generic_in_memory" }
    public var optionKeys: Set<String> { [] }
    public func store(for catalog: CatalogDefinition) -> any CatalogStore {
        MemoryCatalogStore(database: catalog.options["default-database"] ?? "default")
    }
}
