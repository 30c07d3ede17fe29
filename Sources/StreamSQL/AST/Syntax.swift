import StreamCore

/// Where a piece of syntax stands: offsets into the script's UTF-8, line and column from 1.
public struct SourceSpan: Hashable, Sendable {
    public var start: Int, end: Int, line: Int, column: Int
    public init(start: Int, end: Int, line: Int, column: Int) {
        self.start = start
        self.end = end
        self.line = line
        self.column = column
    }
}

/// A possibly qualified name: `db`.`table`, `t.col`, `meta.city`.
public struct QualifiedName: Hashable, Sendable {
    public var parts: [String]
    public var span: SourceSpan
    public init(_ parts: [String], span: SourceSpan) { (self.parts, self.span) = (parts, span) }
    public var text: String { parts.joined(separator: ".") }
}

/// An expression as written.
public struct SyntaxExpr: Sendable {
    public indirect enum Node: Sendable {
        case name(QualifiedName)
        /// `*` or `t.*`
        case star(QualifiedName?)
        case integer(String), decimal(String), approximate(String)
        case string(String), bytes([UInt8]), boolean(Bool), null
        /// DATE '..', TIME '..', TIMESTAMP '..'
        case dateLiteral(String), timeLiteral(String), timestampLiteral(String)
        /// INTERVAL 'text' unit [(p)] [TO unit]; sign from `INTERVAL -'1' DAY`.
        case interval(text: String, from: String, to: String?, negative: Bool)
        case unary(String, SyntaxExpr)                       // "-", "+", "NOT"
        case binary(String, SyntaxExpr, SyntaxExpr)          // arithmetic, comparison, AND, OR, ||
        case isNull(SyntaxExpr, negated: Bool)
        /// IS [NOT] TRUE / FALSE / UNKNOWN
        case isTruth(SyntaxExpr, String, negated: Bool)
        case isDistinct(SyntaxExpr, SyntaxExpr, negated: Bool)
        /// IS [NOT] JSON [VALUE | ARRAY | OBJECT | SCALAR]
        case isJSON(SyntaxExpr, String, negated: Bool)
        case between(SyntaxExpr, low: SyntaxExpr, high: SyntaxExpr, symmetric: Bool, negated: Bool)
        case inList(SyntaxExpr, [SyntaxExpr], negated: Bool)
        case inQuery(SyntaxExpr, Query, negated: Bool)
        case exists(Query)
        /// x op ANY (query), or with ALL; SOME is ANY.
        case quantified(String, SyntaxExpr, all: Bool, Query)
        case scalarQuery(Query)
        /// "LIKE" or "SIMILAR TO"
        case like(String, SyntaxExpr, SyntaxExpr, escape: SyntaxExpr?, negated: Bool)
        case caseWhen(operand: SyntaxExpr?, branches: [(when: SyntaxExpr, then: SyntaxExpr)], otherwise: SyntaxExpr?)
        case cast(SyntaxExpr, DataType, safe: Bool)
        case call(FunctionCall)
        case array([SyntaxExpr]), map([SyntaxExpr]), row([SyntaxExpr])
        case subscriptOf(SyntaxExpr, SyntaxExpr)
        /// Part of a ROW that is not a plain name: `rs[1].n`, `f(x).y`
        case field(SyntaxExpr, String)
    }
    public var node: Node
    public var span: SourceSpan
    public init(_ node: Node, span: SourceSpan) { (self.node, self.span) = (node, span) }
}

/// `f(...)`. Keywords inside of calls (units, TRIM's BOTH, ...) come as string literals in the argument order that
/// `FunctionRegistry` documents. COUNT(*) has no arguments and `star` set.
public struct FunctionCall: Sendable {
    public var name: String
    public var arguments: [SyntaxExpr]
    public var star = false
    public var distinct = false
    public var filter: SyntaxExpr?
    public var over: OverWindow?
    /// RETURNING type of JSON_VALUE.
    public var returning: DataType?
    /// ON EMPTY / ON ERROR / WRAPPER / NULL ON NULL clauses as words: "NULL", "ERROR", "EMPTY ARRAY", "DEFAULT", ...
    public var onEmpty: String?, onError: String?, wrapper: String?, onNull: String?
    /// DEFAULT expressions of the ON EMPTY and ON ERROR clauses.
    public var emptyDefault: SyntaxExpr?, errorDefault: SyntaxExpr?
    /// IGNORE NULLS, inside or behind the parentheses.
    public var ignoresNulls = false
    public init(name: String, arguments: [SyntaxExpr]) {
        self.name = name
        self.arguments = arguments
    }
}

/// The window of an OVER.
public struct OverWindow: Sendable {
    public var partitionBy: [SyntaxExpr]
    public var orderBy: [OrderItem]
    /// Text of the frame clause, nil when not written.
    public var frame: String?
    /// What the frame clause says.
    public var bounds: Bounds?

    /// ROWS or RANGE, and how far.
    public struct Bounds: Sendable {
        public enum Bound: Sendable {
            case unbounded(preceding: Bool), currentRow
            case offset(SyntaxExpr, preceding: Bool)
        }
        public var isRange: Bool, lower: Bound, upper: Bound, span: SourceSpan
        public init(isRange: Bool, lower: Bound, upper: Bound, span: SourceSpan) {
            self.isRange = isRange
            self.lower = lower
            self.upper = upper
            self.span = span
        }
    }

    public init(partitionBy: [SyntaxExpr], orderBy: [OrderItem], frame: String?) {
        self.partitionBy = partitionBy
        self.orderBy = orderBy
        self.frame = frame
    }
}

/// One item of ORDER BY.
public struct OrderItem: Sendable {
    public var expr: SyntaxExpr
    public var descending: Bool
    /// nil = not written; NULL is the smallest value then.
    public var nullsFirst: Bool?
    public init(expr: SyntaxExpr, descending: Bool, nullsFirst: Bool?) {
        self.expr = expr
        self.descending = descending
        self.nullsFirst = nullsFirst
    }
}

/// WITH ..., body, ORDER BY, LIMIT.
public struct Query: Sendable {
    /// One query of WITH.
    public struct CommonTable: Sendable {
        public var name: String, columns: [String]?, query: Query, span: SourceSpan
        public init(name: String, columns: [String]?, query: Query, span: SourceSpan) {
            self.name = name
            self.columns = columns
            self.query = query
            self.span = span
        }
    }
    public var with: [CommonTable]
    public var body: QueryBody
    public var orderBy: [OrderItem]
    public var limit: SyntaxExpr?, offset: SyntaxExpr?
    public var span: SourceSpan
    public init(with: [CommonTable] = [], body: QueryBody, orderBy: [OrderItem] = [], limit: SyntaxExpr? = nil,
                offset: SyntaxExpr? = nil, span: SourceSpan) {
        self.with = with
        self.body = body
        self.orderBy = orderBy
        self.limit = limit
        self.offset = offset
        self.span = span
    }
}

/// A SELECT, VALUES or set operation.
public indirect enum QueryBody: Sendable {
    case select(Select)
    case values([[SyntaxExpr]], SourceSpan)
    /// "UNION", "INTERSECT" or "EXCEPT"
    case set(String, all: Bool, Query, Query, SourceSpan)
}

/// SELECT ... FROM ... WHERE ... GROUP BY ... HAVING.
public struct Select: Sendable {
    /// One item behind SELECT.
    public struct Item: Sendable {
        public var expr: SyntaxExpr, alias: String?
        public init(expr: SyntaxExpr, alias: String?) { (self.expr, self.alias) = (expr, alias) }
    }
    public var distinct: Bool
    public var items: [Item]
    public var from: TableRef?
    public var filter: SyntaxExpr?
    /// GROUPING SETS, ROLLUP and CUBE are calls of these names, whose arguments are keys, rows of keys or such calls; `()` is an
    /// empty row.
    public var groupBy: [SyntaxExpr]
    public var having: SyntaxExpr?
    /// GROUP BY DISTINCT: equal grouping sets count once.
    public var isGroupByDistinct = false
    /// `/*+ STATE_TTL('t' = '1 d') */`: how long state about the rows of a table is kept.
    public var stateTTL: [Hint] = []
    /// `/*+ BROADCAST(t) */` and the like, which say how Flink is to join; as written.
    public var joinHints: [String] = []
    public var span: SourceSpan

    /// One `'key' = 'value'` of a hint.
    public struct Hint: Sendable {
        public var key: String, value: String, span: SourceSpan
        public init(key: String, value: String, span: SourceSpan) { (self.key, self.value, self.span) = (key, value, span) }
    }

    public init(distinct: Bool, items: [Item], from: TableRef?, filter: SyntaxExpr?, groupBy: [SyntaxExpr],
                having: SyntaxExpr?, span: SourceSpan) {
        self.distinct = distinct
        self.items = items
        self.from = from
        self.filter = filter
        self.groupBy = groupBy
        self.having = having
        self.span = span
    }
}

/// Something behind FROM.
public struct TableRef: Sendable {
    public indirect enum Node: Sendable {
        /// With `/*+ OPTIONS('k'='v') */` hints.
        case table(QualifiedName, hints: [String: String])
        case query(Query)
        /// TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL ...)); `input` is the TABLE argument (a name or a query).
        case windowFunction(name: String, input: TableRef, timeColumn: QualifiedName, arguments: [SyntaxExpr])
        case randomCutForest(RandomCutForestCall)
        /// A path into a table before it, such as t.items[1].parts; a plain t.items comes as `table`.
        case path(SyntaxExpr)
        /// TABLE(f(x)), with or without LATERAL
        case tableFunction(FunctionCall)
        /// UNNEST(expr) [WITH ORDINALITY]
        case unnest(SyntaxExpr, ordinality: Bool)
        /// A table with MATCH_RECOGNIZE behind it.
        case match(TableRef, MatchRecognize)
        /// kind: "INNER", "LEFT", "RIGHT", "FULL", "CROSS" (also the comma)
        case join(TableRef, TableRef, kind: String, on: SyntaxExpr?, using: [String])
    }
    public var node: Node
    public var alias: String?
    public var columnAliases: [String]?
    /// The input of a window function: `TABLE t PARTITION BY k`.
    public var partitionBy: [SyntaxExpr] = []
    /// FOR SYSTEM_TIME AS OF expr
    public var asOf: SyntaxExpr?
    /// `t.items AS item AT position`
    public var position: String?
    /// LATERAL (query)
    public var lateral = false
    /// A join is NATURAL: over all columns that both sides have.
    public var natural = false
    public var span: SourceSpan
    public init(_ node: Node, alias: String? = nil, columnAliases: [String]? = nil, span: SourceSpan) {
        self.node = node
        self.alias = alias
        self.columnAliases = columnAliases
        self.span = span
    }
}

/// One column of CREATE TABLE.
public struct ColumnDefinition: Sendable {
    public enum Kind: Sendable {
        case physical(DataType, nullable: Bool)
        case computed(SyntaxExpr)
        /// METADATA [FROM 'key'] [VIRTUAL]
        case metadata(DataType, nullable: Bool, key: String?, virtual: Bool)
    }
    public var name: String, kind: Kind, comment: String?, span: SourceSpan
    /// The expression of a computed column as it was written.
    public var expressionText: String?
    public init(name: String, kind: Kind, comment: String? = nil, span: SourceSpan) {
        self.name = name
        self.kind = kind
        self.comment = comment
        self.span = span
    }
}

/// CREATE TABLE.
public struct CreateTable: Sendable {
    public var name: QualifiedName
    public var temporary: Bool, ifNotExists: Bool
    public var columns: [ColumnDefinition]
    public var watermark: (column: QualifiedName, expr: SyntaxExpr)?
    /// The watermark's expression as it was written.
    public var watermarkText: String?
    public var primaryKey: [String]
    public var constraintName: String?
    public var partitionKeys: [String]
    public var options: [(key: String, value: String, span: SourceSpan)]
    public var comment: String?
    public var like: TableLike?
    /// AS SELECT, with the query's text.
    public var asQuery: (query: Query, text: String)?
    /// `(b, a)` before AS SELECT: the query's columns in another order.
    public var columnOrder: [String]?
    /// CREATE OR REPLACE TABLE; REPLACE TABLE, which wants a table that is there.
    public var orReplace = false, replace = false
    public var span: SourceSpan
    public init(name: QualifiedName, temporary: Bool = false, ifNotExists: Bool = false, columns: [ColumnDefinition] = [],
                watermark: (column: QualifiedName, expr: SyntaxExpr)? = nil, primaryKey: [String] = [], partitionKeys: [String] = [],
                options: [(key: String, value: String, span: SourceSpan)] = [], comment: String? = nil, span: SourceSpan) {
        self.name = name
        self.temporary = temporary
        self.ifNotExists = ifNotExists
        self.columns = columns
        self.watermark = watermark
        self.primaryKey = primaryKey
        self.partitionKeys = partitionKeys
        self.options = options
        self.comment = comment
        self.span = span
    }
}

/// INSERT INTO.
public struct Insert: Sendable {
    public var target: QualifiedName
    public var columns: [String]?
    public var query: Query
    public var overwrite: Bool
    /// `/*+ OPTIONS(...) */` behind the target.
    public var hints: [String: String] = [:]
    public var partition: PartitionSpec?
    public var span: SourceSpan
    public init(target: QualifiedName, columns: [String]? = nil, query: Query, overwrite: Bool = false, span: SourceSpan) {
        self.target = target
        self.columns = columns
        self.query = query
        self.overwrite = overwrite
        self.span = span
    }
}

/// One statement and its place in the text.
public struct Statement: Sendable {
    public indirect enum Node: Sendable {
        case createTable(CreateTable)
        case createView(CreateView)
        /// kind: "TABLE" or "VIEW"
        case drop(kind: String, name: QualifiedName, ifExists: Bool, temporary: Bool)
        case describe(QualifiedName)
        case catalog(CatalogStatement)
        case explain(Statement, details: Set<ExplainDetail>)
        case set(key: String, value: String), reset(key: String?), showSettings
        case insert(Insert)
        case statementSet([Insert])
        case query(Query)
        case help, quit
    }
    public var node: Node
    public var span: SourceSpan
    /// The statement's own text.
    public var text: String
    /// The script that the spans point into: turns a span into an error with file, line and caret.
    public var source: SourceText?
    public init(_ node: Node, span: SourceSpan, text: String, source: SourceText? = nil) {
        self.node = node
        self.span = span
        self.text = text
        self.source = source
    }
}
