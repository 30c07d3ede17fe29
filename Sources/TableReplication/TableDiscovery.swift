import Foundation
import StreamCore
import struct StreamCore.Host
import Topology

/// A table as a source names it.
public struct SourceTable: Hashable, Sendable, Comparable {
    /// Empty when the source has no schemas.
    public var schema: String
    public var table: String
    public init(schema: String, table: String) { (self.schema, self.table) = (schema, table) }

    /// `schema.table`, or `table`.
    public var name: String { schema.isEmpty ? table : "\(schema).\(table)" }
    public static func < (a: Self, b: Self) -> Bool { (a.schema, a.table) < (b.schema, b.table) }

    /// `schema.table`, or `table`.
    init(name: String) {
        let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
        self.init(schema: parts.count == 2 ? parts[0] : "", table: parts.last ?? "")
    }
}

/// Finds the tables of a source: the option that names a table's place, with `{schema}` and `{table}` in it, is compared with what is there.
public struct TableDiscovery: Sendable {
    /// Names of topics or streams that a connector's options lead to; nil = it cannot tell.
    public typealias Names = @Sendable (_ options: [String: String]) throws -> [String]?

    let options: [String: String]
    let names: Names

    public init(source: [String: String], names: @escaping Names = { _ in nil }) {
        options = Self.withPlaces(source)
        self.names = names
    }

    /// The option that says where a table is, by connector.
    static let placeOptions = ["filesystem": "path", "kafka": "topic", "kinesis": "stream"]

    /// A directory without `{table}` in it has a folder per schema, and in that one per table.
    static func withPlaces(_ source: [String: String]) -> [String: String] {
        guard source["connector"] == "filesystem", let path = source["path"], !source.values.contains(where: { $0.contains("{table}") }) else { return source }
        var placed = source
        placed["path"] = (path.hasSuffix("/") ? String(path.dropLast()) : path) + "/{schema}/{table}"
        return placed
    }

    /// The tables there are, sorted; nil when the source cannot tell.
    /// - Throws: `.io` when the source cannot be asked.
    public func tables() throws -> [SourceTable]? {
        guard let connector = options["connector"], let option = Self.placeOptions[connector], let place = options[option], place.contains("{table}") else { return nil }
        if connector == "filesystem" { return try folders(place) }
        let pattern = PlacePattern(place)
        return try names(options).map { names in names.compactMap { pattern.match($0) }.sorted() }
    }

    private func folders(_ place: String) throws -> [SourceTable] {
        let path = place.hasPrefix("file:") ? String(place.dropFirst(5)) : place
        let levels = path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        let first = levels.firstIndex { $0.contains("{") }!, last = levels.lastIndex { $0.contains("{") }!
        let root = (path.hasPrefix("/") ? "/" : "") + levels[..<first].joined(separator: "/")
        guard Host.exists(root.isEmpty ? "." : root) else {
            throw StreamError(.io, "there is no folder \(root), which the tables of \(place) are to be in", fix: "check the path; relative ones start at \(FileManager.default.currentDirectoryPath)")
        }
        var found: [(folder: String, table: SourceTable)] = [(root, SourceTable(schema: "", table: ""))]
        for level in first...last {
            let pattern = PlacePattern(levels[level])
            found = try found.flatMap { folder, table -> [(String, SourceTable)] in
                let directory = folder.isEmpty ? "." : folder
                return try Host.names(in: directory).filter { !$0.hasPrefix(".") && !$0.hasPrefix("_") }.compactMap { name in
                    let inner = folder.isEmpty ? name : folder == "/" ? "/" + name : folder + "/" + name
                    guard let match = pattern.match(name), level == levels.count - 1 || Host.isDirectory(inner) else { return nil }
                    guard match.schema.isEmpty || table.schema.isEmpty || match.schema == table.schema else { return nil }
                    return (inner, SourceTable(schema: match.schema.isEmpty ? table.schema : match.schema, table: match.table.isEmpty ? table.table : match.table))
                }
            }
        }
        return Array(Set(found.map(\.table))).sorted()
    }
}

/// Text with `{schema}` and `{table}` in it, for which any text without a slash may stand.
struct PlacePattern {
    private let expression: NSRegularExpression
    private let names: [String]

    init(_ text: String) {
        var pattern = "^", names: [String] = [], rest = Substring(text)
        while let open = rest.firstIndex(of: "{") {
            pattern += NSRegularExpression.escapedPattern(for: String(rest[..<open]))
            let name = ["schema", "table"].first { rest[open...].hasPrefix("{\($0)}") }
            guard let name else {
                pattern += "\\{"
                rest = rest[rest.index(after: open)...]
                continue
            }
            if let earlier = names.firstIndex(of: name) {
                pattern += "\\\(earlier + 1)"
            } else {
                // A point ends a schema's name, so that {schema}.{table} has one meaning.
                pattern += name == "schema" ? "([^/.]+)" : "([^/]+)"
                names.append(name)
            }
            rest = rest[open...].dropFirst(name.count + 2)
        }
        pattern += NSRegularExpression.escapedPattern(for: String(rest)) + "$"
        expression = try! NSRegularExpression(pattern: pattern)  // escaped text and groups of our own
        self.names = names
    }

    /// What the text names; parts that the pattern lacks are empty.
    func match(_ text: String) -> SourceTable? {
        guard let match = expression.firstMatch(in: text, range: NSRange(text.startIndex..., in: text)) else { return nil }
        func part(_ name: String) -> String {
            guard let i = names.firstIndex(of: name), let range = Range(match.range(at: i + 1), in: text) else { return "" }
            return String(text[range])
        }
        return SourceTable(schema: part("schema"), table: part("table"))
    }
}
