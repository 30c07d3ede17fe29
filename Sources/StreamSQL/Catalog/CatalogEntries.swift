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

    public var path: ObjectPath
    public var columns: [Column]
    public var watermark: Watermark?
    public var comment: String?
    public var temporary: Bool
    /// What it was made from.
    public var declaration: TableDeclaration
    /// What the connector sees: physical columns, keys, options.
    public var descriptor: TableDescriptor
    var script: ScriptText

    /// The last part of its name.
    public var name: String { path.name }

    /// Index into `descriptor.schema` of each physical column.
    func physicalIndex(of column: Int) -> Int {
        columns[..<column].count { if case .physical = $0.kind { true } else { false } }
    }
}

/// A query with a name.
public struct CatalogView: Sendable {
    public var path: ObjectPath
    public var columns: [String]?
    public var query: Query
    /// What it was made from.
    public var declaration: ViewDeclaration
    public var temporary: Bool
    /// What it gives, found when it was made.
    public var schema: Schema
    /// Indices of its time attributes.
    public var timeAttributes: Set<Int>
    /// Indices of its processing-time attributes.
    public var processingTimes: Set<Int> = []
    var script: ScriptText

    /// The last part of its name.
    public var name: String { path.name }
}
