import LakeTable
import StreamCore

/// Finds and writes metadata files in the layout of the Hadoop catalog: `metadata/v<N>.metadata.json`, and a hint of the newest N.
struct MetadataFolder: Sendable {
    static let folder = "metadata"
    static let hint = "metadata/version-hint.text"
    /// Locks, temporary files, and what is under way.
    static let own = "metadata/.swiftwater"

    let files: TableFiles

    static func name(_ version: Int) -> String { "\(folder)/v\(version).metadata.json" }

    /// The newest metadata file: its path, and its number; nil without one that can be written after, as other catalogs keep their own record of
    /// which file is the newest.
    func newest() throws -> (path: String, version: Int?)? {
        if var version = try hinted(), try files.isThere(Self.name(version)) {
            while try files.isThere(Self.name(version + 1)) { version += 1 }
            return (Self.name(version), version)
        }
        let names = try files.names(in: Self.folder)
        if let version = names.compactMap(Self.version).max() { return (Self.name(version), version) }
        // `00012-<uuid>.metadata.json`, as catalogs with a database name them.
        let others = names.filter { $0.hasSuffix(".metadata.json") && $0.prefix(5).allSatisfy(\.isNumber) && $0.dropFirst(5).first == "-" }
        if let last = others.max() { return ("\(Self.folder)/\(last)", nil) }
        if let name = names.first(where: { $0.contains(".metadata.json") }) {
            throw StreamError(.validate, "\(files.absolute(Self.folder))/\(name): compressed metadata cannot be read",
                              fix: "write the table with 'write.metadata.compression-codec' = 'none'")
        }
        return nil
    }

    private func hinted() throws -> Int? {
        try files.readIfThere(Self.hint).flatMap { Int(String(decoding: $0, as: UTF8.self).filter { !$0.isWhitespace }) }
    }

    private static func version(_ name: String) -> Int? {
        guard name.hasPrefix("v"), name.hasSuffix(".metadata.json") else { return nil }
        return Int(name.dropFirst().dropLast(".metadata.json".count))
    }

    /// - Throws: `.corrupt`, `.validate`, `.io` when it cannot be read.
    func load(_ path: String) throws -> TableMetadata { try .parse(try files.read(path), file: files.absolute(path)) }

    /// The commit point: creates the file of a version unless there is one.
    /// - Throws: `.conflict` when another writer made it.
    func publish(_ metadata: TableMetadata, version: Int) throws { try files.publish(Self.name(version), metadata.encoded()) }

    func publishHint(_ version: Int) throws { try files.replace(Self.hint, Array(String(version).utf8)) }
}

/// Turns the addresses that metadata has into paths relative to the table, and back.
struct TableLocation: Sendable {
    /// As the metadata says it.
    let uri: String
    private let path: String
    private let root: String

    init(_ metadata: TableMetadata, _ files: TableFiles) { self.init(metadata.location, root: files.root) }

    init(_ uri: String, root: String) {
        var uri = uri
        while uri.count > 1, uri.hasSuffix("/") { uri.removeLast() }
        self.uri = uri
        self.root = root
        path = Self.plain(uri)
    }

    /// The address of a new table.
    static func uri(of files: TableFiles) -> String { files.root.hasPrefix("/") ? "file://" + files.root : files.root }

    private static func plain(_ uri: String) -> String {
        guard uri.hasPrefix("file:") else { return uri }
        return "/" + uri.dropFirst(5).drop { $0 == "/" }
    }

    var isWhereTheTableLies: Bool { path == root }

    func absolute(_ relative: String) -> String { "\(uri)/\(relative)" }

    /// - Throws: `.validate` for files outside of the table's folder.
    func relative(_ address: String) throws -> String {
        let plain = Self.plain(address)
        if plain.hasPrefix(path + "/") { return String(plain.dropFirst(path.count + 1)) }
        if plain.hasPrefix(root + "/") { return String(plain.dropFirst(root.count + 1)) }
        throw StreamError(.validate, "the Iceberg table at \(root) has the file \(address), which is not below its folder \(uri)",
                          fix: "rewrite the table's files into its folder with the engine that wrote them")
    }
}
