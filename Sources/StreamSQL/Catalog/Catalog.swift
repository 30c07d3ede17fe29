import StreamCore
import StreamExpressions

/// A table made by CREATE TABLE.
public struct CatalogTable: Sendable {
    /// A column of a table: physical, computed or metadata.
    public struct Column: Sendable {
        public enum Kind: Sendable {
            case physical
            /// Index into ``TableDescriptor/metadata``.
            case metadata(Int, virtual: Bool)
            /// Over the physical and metadata columns; column numbers are those of the table.
            case computed(Expr, SyntaxExpr)
        }
        public var name: String
        public var type: DataType
        public var nullable: Bool
        public var kind: Kind
        public var comment: String?
    }

    /// WATERMARK FOR, bound.
    public struct Watermark: Sendable {
        /// Index into ``CatalogTable/columns``.
        public var column: Int
        /// Over the table's columns; a timestamp.
        public var expr: Expr
        /// The expression as it was written.
        public var text: String
    }

    public var name: String
    public var columns: [Column]
    public var watermark: Watermark?
    public var comment: String?
    public var temporary: Bool
    /// What the connector sees: physical columns, keys, options.
    public var descriptor: TableDescriptor
    var script: ScriptText

    /// Index into `descriptor.schema` of each physical column.
    func physicalIndex(of column: Int) -> Int {
        columns[..<column].count { if case .physical = $0.kind { true } else { false } }
    }
}

/// A query with a name.
public struct CatalogView: Sendable {
    public var name: String
    public var columns: [String]?
    public var query: Query
    /// The CREATE VIEW statement as it was written.
    public var text: String
    public var temporary: Bool
    /// What it gives, found when it was made.
    public var schema: Schema
    /// Indices of its time attributes.
    public var timeAttributes: Set<Int>
    /// Indices of its processing-time attributes.
    public var processingTimes: Set<Int> = []
    var script: ScriptText
}

/// Tables and views by name, in memory. Names are case-sensitive, as in Flink.
public final class Catalog {
    /// What a name stands for.
    public enum Entry: Sendable {
        case table(CatalogTable)
        case view(CatalogView)
    }

    public static let catalogName = "default_catalog", databaseName = "default_database"

    private var entries: [String: Entry] = [:]
    private(set) var connectors: [String: any TableConnector] = [:]

    public init(connectors: [any TableConnector] = []) {
        for connector in connectors { register(connector) }
    }

    public func register(_ connector: any TableConnector) { connectors[connector.identifier] = connector }

    public var connectorNames: [String] { connectors.keys.sorted() }
    public func connector(_ identifier: String) -> (any TableConnector)? { connectors[identifier] }

    public var names: [String] { entries.keys.sorted() }
    public var tableNames: [String] { names }
    public var viewNames: [String] { names.filter { if case .view = entries[$0]! { true } else { false } } }

    public subscript(name: String) -> Entry? {
        get { entries[name] }
        set { entries[name] = newValue }
    }

    /// The last part of a name that may be qualified with the one catalog and database there is.
    func localName(_ name: QualifiedName, _ script: ScriptText) throws -> String {
        let prefix = name.parts.dropLast()
        guard prefix.isEmpty || Array(prefix) == [Self.databaseName] || Array(prefix) == [Self.catalogName, Self.databaseName] else {
            throw script.error(
                .validate, "there is no database \(prefix.joined(separator: "."))",
                fix: "write the table's name alone: \(name.parts.last ?? "")", at: name.span)
        }
        return name.parts.last ?? ""
    }

    func lookUp(_ name: QualifiedName, _ script: ScriptText, as what: String = "table") throws -> Entry {
        let local = try localName(name, script)
        guard let entry = entries[local] else {
            throw script.error(
                .validate, "there is no \(what) \(local)",
                fix: NearName.hint(for: local, in: entries.keys) ?? "create it first with CREATE TABLE \(local) (...) WITH (...)",
                at: name.span)
        }
        return entry
    }
}
