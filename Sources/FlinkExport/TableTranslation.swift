import StreamCore
import StreamSQL

/// A table of the script that is exported.
public struct SourceTable: Sendable {
    /// As SQL names it.
    public var name: String
    /// As jobs name it in full; the name alone for what is in the default database.
    public var path: String
    public var declaration: TableDeclaration
    public var isRead: Bool, isWritten: Bool
    /// Rows that are written to it are updated or deleted later.
    public var takesChanges: Bool
    /// Where the script makes it, and its options.
    public var location: SourceLocation?
    public var optionLocations: [String: SourceLocation]

    public init(name: String, path: String? = nil, declaration: TableDeclaration, isRead: Bool, isWritten: Bool, takesChanges: Bool = false, location: SourceLocation? = nil,
                optionLocations: [String: SourceLocation] = [:]) {
        self.name = name
        self.path = path ?? name
        self.declaration = declaration
        self.isRead = isRead
        self.isWritten = isWritten
        self.takesChanges = takesChanges
        self.location = location
        self.optionLocations = optionLocations
    }

    public var connector: String { declaration.options["connector"] ?? "" }
}

/// The same table in Flink.
public struct TranslatedTable: Sendable {
    public var declaration: TableDeclaration
    /// When Flink can read the records but not what they mean: `declaration` is then made under `name`, and the table's own name is a view with this query.
    public var view: View?

    public struct View: Sendable {
        /// The name of the table below the view, not quoted.
        public var name: String
        public var query: String
        public init(name: String, query: String) { (self.name, self.query) = (name, query) }
    }

    public init(_ declaration: TableDeclaration, view: View? = nil) { (self.declaration, self.view) = (declaration, view) }
}

/// Knows what the tables of one connector are in Flink.
public protocol TableTranslation: Sendable {
    /// The value of the option 'connector'.
    var connector: String { get }

    /// - Returns: nil when the table is refused; the reasons are among the findings.
    func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable?
}
