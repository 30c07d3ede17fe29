import StreamCore

/// A table as its statement declares it: text and names, nothing bound. This is what catalogs keep, and what LIKE and ALTER
/// TABLE change.
public struct TableDeclaration: Hashable, Sendable {
    /// A column: physical, computed or metadata.
    public struct Column: Hashable, Sendable {
        public enum Kind: Hashable, Sendable {
            case physical
            /// With the text of the expression.
            case computed(String)
            case metadata(key: String?, virtual: Bool)
        }
        public var name: String
        /// SQL text; nil for computed columns, whose type follows from the expression.
        public var type: String?
        public var nullable: Bool
        public var kind: Kind
        public var comment: String?

        public init(name: String, type: String?, nullable: Bool = true, kind: Kind = .physical, comment: String? = nil) {
            self.name = name
            self.type = type
            self.nullable = nullable
            self.kind = kind
            self.comment = comment
        }
    }

    /// WATERMARK FOR column AS expression.
    public struct Watermark: Hashable, Sendable {
        public var column: String, expression: String
        public init(column: String, expression: String) { (self.column, self.expression) = (column, expression) }
    }

    public var columns: [Column]
    public var watermark: Watermark?
    public var primaryKey: [String]
    public var constraintName: String?
    public var partitionKeys: [String]
    public var options: [String: String]
    public var comment: String?

    public init(
        columns: [Column] = [], watermark: Watermark? = nil, primaryKey: [String] = [], constraintName: String? = nil,
        partitionKeys: [String] = [], options: [String: String] = [:], comment: String? = nil
    ) {
        self.columns = columns
        self.watermark = watermark
        self.primaryKey = primaryKey
        self.constraintName = constraintName
        self.partitionKeys = partitionKeys
        self.options = options
        self.comment = comment
    }

    init(_ create: CreateTable) {
        self.init(
            columns: create.columns.map { Column($0) },
            watermark: create.watermark.map { .init(column: $0.column.text, expression: create.watermarkText ?? SyntaxText.of($0.expr)) },
            primaryKey: create.primaryKey, constraintName: create.constraintName, partitionKeys: create.partitionKeys,
            options: Dictionary(create.options.map { ($0.key, $0.value) }) { $1 }, comment: create.comment)
    }

    func index(of column: String) -> Int? { columns.firstIndex { $0.name == column } }
}

extension TableDeclaration.Column {
    init(_ definition: ColumnDefinition) {
        switch definition.kind {
        case .physical(let type, let nullable):
            self.init(name: definition.name, type: SyntaxText.type(type), nullable: nullable, comment: definition.comment)
        case .computed(let expr):
            self.init(
                name: definition.name, type: nil, kind: .computed(definition.expressionText ?? SyntaxText.of(expr)), comment: definition.comment)
        case .metadata(let type, let nullable, let key, let virtual):
            self.init(
                name: definition.name, type: SyntaxText.type(type), nullable: nullable, kind: .metadata(key: key, virtual: virtual),
                comment: definition.comment)
        }
    }

    /// `name` TYPE NOT NULL COMMENT '...'
    var sql: String {
        let head = SyntaxText.identifier(name)
        let typed = (type ?? "") + (nullable ? "" : " NOT NULL")
        let body =
            switch kind {
            case .physical: typed
            case .computed(let text): "AS " + text + (text.contains("--") ? "\n" : "")
            case .metadata(let key, let virtual):
                typed + " METADATA" + (key.map { " FROM \(SyntaxText.quoted($0))" } ?? "") + (virtual ? " VIRTUAL" : "")
            }
        return head + " " + body + (comment.map { " COMMENT \(SyntaxText.quoted($0))" } ?? "")
    }
}

extension TableDeclaration {
    /// A statement that makes the table under a name, which is SQL text.
    func statement(name: String, temporary: Bool = false) -> String {
        var lines = columns.map { "  " + $0.sql }
        if let watermark {
            let column = watermark.column.split(separator: ".").map { SyntaxText.identifier(String($0)) }.joined(separator: ".")
            lines.append("  WATERMARK FOR \(column) AS \(watermark.expression)" + (watermark.expression.contains("--") ? "\n" : ""))
        }
        if !primaryKey.isEmpty {
            lines.append(
                "  CONSTRAINT \(SyntaxText.identifier(primaryKeyName)) "
                    + "PRIMARY KEY (\(primaryKey.map(SyntaxText.identifier).joined(separator: ", "))) NOT ENFORCED")
        }
        return "CREATE \(temporary ? "TEMPORARY " : "")TABLE \(name)" + (lines.isEmpty ? "" : " (\n" + lines.joined(separator: ",\n") + "\n)")
            + (comment.map { "\nCOMMENT \(SyntaxText.quoted($0))" } ?? "")
            + (partitionKeys.isEmpty ? "" : "\nPARTITIONED BY (\(partitionKeys.map(SyntaxText.identifier).joined(separator: ", ")))")
            + (options.isEmpty ? "" : "\nWITH " + SyntaxText.options(options))
    }

    /// A statement that makes the table under a name.
    public func statement(named name: String) -> String { statement(name: SyntaxText.identifier(name)) }

    /// The name of the primary key's constraint: as written, else the one that Flink makes of the columns' names.
    var primaryKeyName: String {
        constraintName ?? "PK_\(primaryKey.joined(separator: "_"))"
    }
}

/// A view as its statement declares it.
public struct ViewDeclaration: Hashable, Sendable {
    /// Names of the columns, when they were given.
    public var columns: [String]?
    /// Names of the columns that the query gave when the view was made; nil = not known yet.
    public var queryColumns: [String]?
    public var query: String
    public var comment: String?
    /// Where names in the query are looked for.
    public var namespace: Namespace

    public init(columns: [String]?, queryColumns: [String]? = nil, query: String, comment: String?, namespace: Namespace) {
        self.columns = columns
        self.queryColumns = queryColumns
        self.query = query
        self.comment = comment
        self.namespace = namespace
    }
}

extension ViewDeclaration {
    /// A statement that makes the view under a name, which is SQL text.
    func statement(name: String, columns: [String], temporary: Bool) -> String {
        "CREATE \(temporary ? "TEMPORARY " : "")VIEW \(name) (\n"
            + columns.map { "  " + SyntaxText.identifier($0) }.joined(separator: ",\n") + "\n)"
            + (comment.map { " COMMENT \(SyntaxText.quoted($0))" } ?? "") + "\nAS " + query
    }
}
