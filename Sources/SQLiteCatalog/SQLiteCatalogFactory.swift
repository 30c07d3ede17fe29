import StreamCore
import StreamSQL

/// `'type' = 'sqlite', 'path' = 'FILE'`: a catalog that is kept in a file.
///
///     CREATE CATALOG lake WITH ('type' = 'sqlite', 'path' = '/data/lake.catalog')
///
/// The file is created when it is missing, its folder is not. Several processes may use it at a time.
public struct SQLiteCatalogFactory: CatalogFactory {
    private let scratch: Bool

    /// - Parameter scratch: catalogs are copies in memory: nothing that is done reaches their files.
    public init(scratch: Bool = false) { self.scratch = scratch }

    public var identifier: String { "sqlite" }
    public var optionKeys: Set<String> { ["path"] }

    public func store(for catalog: CatalogDefinition) throws -> any CatalogStore {
        guard let path = catalog.options["path"], !path.isEmpty else {
            throw StreamError(.validate, "catalog \(catalog.name) has no option 'path'", fix: "add 'path' = 'FILE' to WITH")
        }
        return try SQLiteCatalogStore(path: path, scratch: scratch)
    }
}
