import StreamCore

/// `'type' = 'hive'` and other catalogs that Flink reaches elsewhere. What a script defines in one is kept in memory.
///
/// Of catalogs of Hudi and Iceberg tables in folders (`catalog.path` or `warehouse`, then `database/table`) the tables that are there
/// are known, and new ones are made there. Tables of the others are known to their own systems alone.
struct ForeignCatalogFactory: CatalogFactory {
    static let all = ["hive", "jdbc", "iceberg", "hudi", "paimon", "glue", "dlf-paimon", "delta-catalog"].map { ForeignCatalogFactory(identifier: $0) }

    let identifier: String
    /// Any will do: they are for the other system.
    var optionKeys: Set<String> { [] }

    func store(for catalog: CatalogDefinition) -> any CatalogStore {
        MemoryCatalogStore(database: catalog.options["default-database"] ?? "default", folders: TableFolders(catalog))
    }

    /// What a user is told of a catalog when it is made; nil = nothing.
    func notice(_ catalog: CatalogDefinition) -> String? {
        if let folders = TableFolders(catalog), folders.isLocal { return nil }
        return "catalog \(catalog.name) of type '\(identifier)' is not reached from here: what the script defines in it is kept in memory"
    }
}

/// Tables in folders `root/database/table`, as catalogs of Hudi and Iceberg lay them out.
struct TableFolders: Sendable {
    private let root: String, connector: String
    /// A folder in each of its tables.
    private let mark: String
    /// It can be listed.
    let isLocal: Bool

    /// nil when the definition names no such place.
    init?(_ catalog: CatalogDefinition) {
        let place: String?
        switch catalog.type {
        case "hudi": (place, connector, mark) = (catalog.options["catalog.path"], "hudi", ".hoodie")
        case "iceberg" where (catalog.options["catalog-type"] ?? "hadoop").lowercased() == "hadoop" && catalog.options["catalog-impl"] == nil:
            (place, connector, mark) = (catalog.options["warehouse"], "iceberg", "metadata")
        default: return nil
        }
        guard var root = place, !root.isEmpty else { return nil }
        while root.hasSuffix("/"), root.count > 1 { root.removeLast() }
        for scheme in ["file://", "file:"] where root.hasPrefix(scheme) { root = String(root.dropFirst(scheme.count)) }
        (self.root, isLocal) = (root, !root.contains("://"))
    }

    /// Options of a table that says nothing of its place.
    func options(_ table: String, in database: String) -> [String: String] { ["connector": connector, "path": "\(root)/\(database)/\(table)"] }

    func databases() throws -> [String] { isLocal ? try folders(root) : [] }

    func has(database: String) -> Bool { isLocal && Host.isDirectory("\(root)/\(database)") }

    func tables(in database: String) throws -> [String] { isLocal ? try folders("\(root)/\(database)").filter { has($0, in: database) } : [] }

    func has(_ table: String, in database: String) -> Bool { isLocal && Host.isDirectory("\(root)/\(database)/\(table)/\(mark)") }

    private func folders(_ path: String) throws -> [String] {
        try Host.names(in: path).filter { !$0.hasPrefix(".") && Host.isDirectory("\(path)/\($0)") }
    }
}
