import StreamCore

/// One `'key' = 'value'` of WITH or SET.
public typealias OptionSyntax = (key: String, value: String, span: SourceSpan)

/// CREATE VIEW.
public struct CreateView: Sendable {
    public var name: QualifiedName
    public var columns: [String]?
    public var comment: String?
    public var query: Query
    /// The query as it was written.
    public var text: String
    public var temporary = false, ifNotExists = false, orReplace = false
    public init(name: QualifiedName, columns: [String]? = nil, comment: String? = nil, query: Query, text: String) {
        self.name = name
        self.columns = columns
        self.comment = comment
        self.query = query
        self.text = text
    }
}

/// PARTITION (a = 'x', b): keys with the values that they are fixed to.
public struct PartitionSpec: Sendable {
    public var entries: [(key: String, value: SyntaxExpr?)]
    public var span: SourceSpan
    public init(entries: [(key: String, value: SyntaxExpr?)], span: SourceSpan) { (self.entries, self.span) = (entries, span) }
}

/// LIKE of CREATE TABLE.
public struct TableLike: Sendable {
    /// What of the other table is meant.
    public enum Feature: String, Sendable, CaseIterable {
        case all = "ALL", constraints = "CONSTRAINTS", generated = "GENERATED", metadata = "METADATA", options = "OPTIONS"
        case partitions = "PARTITIONS", watermarks = "WATERMARKS"
    }
    public enum Strategy: String, Sendable, CaseIterable { case including = "INCLUDING", excluding = "EXCLUDING", overwriting = "OVERWRITING" }
    public var source: QualifiedName
    public var options: [(strategy: Strategy, feature: Feature, span: SourceSpan)]
    public init(source: QualifiedName, options: [(strategy: Strategy, feature: Feature, span: SourceSpan)]) {
        self.source = source
        self.options = options
    }
}

/// One step of ALTER TABLE.
public enum TableChange: Sendable {
    case rename(QualifiedName)
    case renameColumn(from: String, to: String)
    case setOptions([OptionSyntax])
    case resetOptions([String])
    /// `columns`, `watermark` and `primaryKey` of the value; `positions` by column name.
    case add(CreateTable, positions: [String: ColumnPosition])
    case modify(CreateTable, positions: [String: ColumnPosition])
    case dropColumns([String]), dropPrimaryKey, dropConstraint(String), dropWatermark
    case addPartitions([PartitionSpec], ifNotExists: Bool)
    case dropPartitions([PartitionSpec], ifExists: Bool)
    case recoverPartitions

    /// It is about columns, keys or the watermark.
    var isOfColumns: Bool {
        switch self {
        case .rename, .setOptions, .resetOptions, .addPartitions, .dropPartitions, .recoverPartitions: false
        case .renameColumn, .add, .modify, .dropColumns, .dropPrimaryKey, .dropConstraint, .dropWatermark: true
        }
    }
}

/// Where a column goes.
public enum ColumnPosition: Sendable, Hashable { case first, after(String) }

/// CREATE FUNCTION and ALTER FUNCTION.
public struct FunctionDefinition: Sendable {
    public var name: QualifiedName
    public var identifier: String
    /// As written, in upper case; nil = not written.
    public var language: String?
    public var resources: [CatalogFunction.Resource]
    public var temporary = false, system = false
    /// IF NOT EXISTS, or IF EXISTS of ALTER.
    public var isConditional = false
    public var span: SourceSpan
    public init(name: QualifiedName, identifier: String, language: String? = nil, resources: [CatalogFunction.Resource] = [], span: SourceSpan) {
        self.name = name
        self.identifier = identifier
        self.language = language
        self.resources = resources
        self.span = span
    }
}

/// [NOT] LIKE or ILIKE behind SHOW.
public struct NameFilter: Sendable {
    public var pattern: String
    public var ignoresCase: Bool, negated: Bool
    public init(pattern: String, ignoresCase: Bool, negated: Bool) {
        self.pattern = pattern
        self.ignoresCase = ignoresCase
        self.negated = negated
    }
}

/// What SHOW lists.
public enum ShowSubject: Sendable {
    case catalogs, currentCatalog, databases(in: QualifiedName?), currentDatabase
    case tables(in: QualifiedName?), views(in: QualifiedName?), columns(QualifiedName)
    case partitions(QualifiedName, PartitionSpec?)
    case functions(in: QualifiedName?, userOnly: Bool)
    case modules(full: Bool), jars, jobs
    case createTable(QualifiedName), createView(QualifiedName), createCatalog(QualifiedName), createDatabase(QualifiedName)
}

/// Statements about catalogs and what is in them, but for CREATE TABLE and CREATE VIEW.
public enum CatalogStatement: Sendable {
    case createCatalog(QualifiedName, ifNotExists: Bool, comment: String?, options: [OptionSyntax])
    case alterCatalog(QualifiedName, set: [OptionSyntax], reset: [String], comment: String?)
    case dropCatalog(QualifiedName, ifExists: Bool)
    case createDatabase(QualifiedName, ifNotExists: Bool, comment: String?, options: [OptionSyntax])
    case alterDatabase(QualifiedName, set: [OptionSyntax])
    case dropDatabase(QualifiedName, ifExists: Bool, cascade: Bool)
    case useCatalog(QualifiedName), use(QualifiedName)
    case describeCatalog(QualifiedName, extended: Bool), describeDatabase(QualifiedName, extended: Bool)
    case describeFunction(QualifiedName, extended: Bool)
    case show(ShowSubject, NameFilter?)
    case alterTable(QualifiedName, ifExists: Bool, TableChange)
    case renameView(QualifiedName, to: QualifiedName)
    case alterView(QualifiedName, Query, text: String)
    case createFunction(FunctionDefinition), alterFunction(FunctionDefinition)
    case dropFunction(QualifiedName, ifExists: Bool, temporary: Bool, system: Bool)
    case truncate(QualifiedName)
    case delete(QualifiedName, filter: SyntaxExpr?)
    case update(QualifiedName, [(column: QualifiedName, value: SyntaxExpr)], filter: SyntaxExpr?)
    case analyze(QualifiedName?)
    /// STOP JOB 'id' [WITH SAVEPOINT] [WITH DRAIN]
    case stopJob(String, savepoint: Bool, drain: Bool, SourceSpan)
    /// A statement of Flink that means nothing here, as written, and why: ADD JAR, LOAD MODULE.
    case idle(String, reason: String)
}

/// What EXPLAIN is asked for beside the plans.
public enum ExplainDetail: String, Sendable, CaseIterable {
    case estimatedCost = "ESTIMATED_COST", changelogMode = "CHANGELOG_MODE", jsonExecutionPlan = "JSON_EXECUTION_PLAN", planAdvice = "PLAN_ADVICE"
    /// EXPLAIN DOT or GRAPHVIZ: the job graph as a drawing, in place of the plans.
    case graphviz = "GRAPHVIZ"
}
