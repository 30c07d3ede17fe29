import StreamCore

/// A database of a catalog: where names without one are looked for.
public struct Namespace: Hashable, Sendable, CustomStringConvertible {
    public var catalog: String, database: String
    public init(catalog: String, database: String) { (self.catalog, self.database) = (catalog, database) }

    public static let standard = Namespace(catalog: Catalog.catalogName, database: Catalog.databaseName)
    public var description: String { "\(catalog).\(database)" }
}

/// The full name of a table, view or function.
public struct ObjectPath: Hashable, Sendable, CustomStringConvertible {
    public var catalog: String, database: String, name: String

    public init(catalog: String, database: String, name: String) {
        self.catalog = catalog
        self.database = database
        self.name = name
    }

    public init(_ namespace: Namespace, _ name: String) { self.init(catalog: namespace.catalog, database: namespace.database, name: name) }

    public var namespace: Namespace { Namespace(catalog: catalog, database: database) }
    public var description: String { "\(catalog).\(database).\(name)" }
    /// In backticks, for statements.
    var sql: String { [catalog, database, name].map(SyntaxText.identifier).joined(separator: ".") }
    /// The name alone for what is in the default database of the default catalog, else in full.
    var short: String { namespace == .standard ? name : description }
}
