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

    /// - Throws: `.validate` for an option that such a catalog of tables in folders does not have, and for a misspelled one of any.
    func store(for catalog: CatalogDefinition) throws -> any CatalogStore {
        try check(catalog)
        return MemoryCatalogStore(database: catalog.options["default-database"] ?? "default", folders: TableFolders(catalog))
    }

    /// What a user is told of a catalog when it is made; nil = nothing.
    func notice(_ catalog: CatalogDefinition) -> String? {
        if let folders = TableFolders(catalog), folders.isLocal { return nil }
        var notice = "catalog \(catalog.name) of type '\(identifier)' is not reached from here: what the script defines in it is kept in memory"
        if identifier == "iceberg", catalog.options["catalog-type"] == nil, catalog.options["catalog-impl"] == nil {
            notice += "; without 'catalog-type' it is a Hive catalog, and one of tables in folders has 'catalog-type' = 'hadoop'"
        }
        return notice
    }

    // MARK: Options

    /// Names, or beginnings of names that end in "."; nil = any will do.
    private var names: [String]? {
        switch identifier {
        case "hudi": ["catalog.path", "mode", "hive.conf.dir", "table.external", "property-version", "hadoop.", "fs.", "hoodie."]
        case "iceberg": [
            "catalog-type", "catalog-impl", "warehouse", "uri", "clients", "base-namespace", "property-version", "hive-conf-dir", "hadoop-conf-dir", "cache-enabled",
            "cache.expiration-interval-ms", "cache.case-sensitive", "io-impl", "lock-impl", "metrics-reporter-impl", "credential", "token", "scope", "prefix", "ref",
            "io.", "lock.", "table-default.", "table-override.", "view-default.", "view-override.", "s3.", "client.", "http-client.", "glue.", "dynamodb.", "gcs.", "adls.", "oss.",
            "hadoop.", "fs.", "rest.", "rest-", "oauth2-", "header.", "jdbc.", "nessie.", "encryption.",
        ]
        default: nil
        }
    }

    private func check(_ catalog: CatalogDefinition) throws {
        guard let names else { return }
        let known = names.filter { !$0.hasSuffix(".") && !$0.hasSuffix("-") } + ["type", "default-database"], beginnings = names.filter { $0.hasSuffix(".") || $0.hasSuffix("-") }
        let isLocal = TableFolders(catalog)?.isLocal ?? false
        for key in catalog.options.keys.sorted() where !known.contains(key) && !beginnings.contains(where: { key.hasPrefix($0) }) {
            let near = NearName.nearest(to: key, in: known)
            // Another catalog may have options that are not known here.
            guard isLocal || near.map({ NearName.distance(Array(key), Array($0)) <= 2 }) ?? false else { continue }
            throw StreamError(.validate, "catalog \(catalog.name): a catalog of type '\(identifier)' has no option '\(key)'", fix: near.map { "write \"\($0)\"" } ?? "leave it out")
        }
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
        // A metastore knows where the tables of the others are.
        case "hudi" where (catalog.options["mode"] ?? "dfs").lowercased() == "dfs": (place, connector, mark) = (catalog.options["catalog.path"], "hudi", ".hoodie")
        case "iceberg" where catalog.options["catalog-type"]?.lowercased() == "hadoop" && catalog.options["catalog-impl"] == nil:
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

    func folder(of database: String) -> String { "\(root)/\(database)" }

    func databases() throws -> [String] { isLocal ? try folders(root) : [] }

    func has(database: String) -> Bool { isLocal && Host.isDirectory("\(root)/\(database)") }

    func tables(in database: String) throws -> [String] { isLocal ? try folders("\(root)/\(database)").filter { has($0, in: database) } : [] }

    func has(_ table: String, in database: String) -> Bool { isLocal && Host.isDirectory("\(root)/\(database)/\(table)/\(mark)") }

    private func folders(_ path: String) throws -> [String] {
        try Host.names(in: path).filter { !$0.hasPrefix(".") && Host.isDirectory("\(path)/\($0)") }
    }
}
