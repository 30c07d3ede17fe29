import StreamCore

/// What a statement uses: functions, tables, types, hints, wherever they stand in it. In the order of the text.
public enum SyntaxWalk {
    /// A call, and where it stands. GROUPING SETS, ROLLUP and CUBE are none.
    public struct Call: Sendable {
        public var call: FunctionCall, span: SourceSpan
        /// Behind FROM, in TABLE(f(x)).
        public var isTable: Bool
    }

    /// A type, and where it stands.
    public struct TypeUse: Sendable {
        public enum Place: Sendable { case cast, returning, column }
        public var type: DataType, place: Place, span: SourceSpan
    }

    /// OPTIONS of a table or STATE_TTL of a SELECT.
    public struct Hint: Sendable {
        public enum Kind: Sendable { case options, stateTTL }
        public var kind: Kind
        /// nil for STATE_TTL, whose keys name tables.
        public var table: QualifiedName?
        public var values: [String: String], span: SourceSpan
        /// Behind the target of an INSERT.
        public var isWritten: Bool
    }

    public static func calls(in statement: Statement) -> [Call] { walk { $0.visit(statement) }.calls }
    public static func calls(in query: Query) -> [Call] { walk { $0.visit(query) }.calls }
    public static func calls(in expr: SyntaxExpr) -> [Call] { walk { $0.visit(expr) }.calls }

    /// Tables and views that are read, as they are named, once for each place. Names of WITH queries are left out, and paths into tables
    /// before them, such as `FROM t, t.items`.
    public static func tables(in statement: Statement) -> [QualifiedName] { walk { $0.visit(statement) }.tables }
    public static func tables(in query: Query) -> [QualifiedName] { walk { $0.visit(query) }.tables }
    public static func tables(in expr: SyntaxExpr) -> [QualifiedName] { walk { $0.visit(expr) }.tables }

    /// Types of casts, of RETURNING and of declared columns.
    public static func types(in statement: Statement) -> [TypeUse] { walk { $0.visit(statement) }.types }
    public static func types(in query: Query) -> [TypeUse] { walk { $0.visit(query) }.types }
    public static func types(in expr: SyntaxExpr) -> [TypeUse] { walk { $0.visit(expr) }.types }

    public static func hints(in statement: Statement) -> [Hint] { walk { $0.visit(statement) }.hints }
    public static func hints(in query: Query) -> [Hint] { walk { $0.visit(query) }.hints }

    /// Everything behind FROM, outer before inner: tables, queries, functions, joins.
    public static func sources(in statement: Statement) -> [TableRef] { walk { $0.visit(statement) }.sources }
    public static func sources(in query: Query) -> [TableRef] { walk { $0.visit(query) }.sources }

    /// Every expression, outer before inner.
    public static func expressions(in statement: Statement) -> [SyntaxExpr] { walk { $0.visit(statement) }.expressions }
    public static func expressions(in query: Query) -> [SyntaxExpr] { walk { $0.visit(query) }.expressions }
    public static func expressions(in expr: SyntaxExpr) -> [SyntaxExpr] { walk { $0.visit(expr) }.expressions }

    private static func walk(_ visit: (inout Walker) -> Void) -> Walker {
        var walker = Walker()
        visit(&walker)
        return walker
    }

    /// Goes through a tree and collects.
    private struct Walker {
        var calls: [Call] = [], tables: [QualifiedName] = [], types: [TypeUse] = [], hints: [Hint] = [], sources: [TableRef] = [], expressions: [SyntaxExpr] = []
        /// Names of WITH queries that can be seen here.
        private var common: Set<String> = []
        /// Names by which the tables before can be addressed in this FROM.
        private var relations: Set<String> = []

        // MARK: Statements

        mutating func visit(_ statement: Statement) {
            switch statement.node {
            case .createTable(let table): visit(table)
            case .createView(let view): visit(view.query)
            case .catalog(let statement): visit(statement)
            case .explain(let explained, _): visit(explained)
            case .insert(let insert): visit(insert)
            case .statementSet(let inserts): for insert in inserts { visit(insert) }
            case .query(let query): visit(query)
            case .drop, .describe, .set, .reset, .showSettings, .help, .quit: break
            }
        }

        private mutating func visit(_ insert: Insert) {
            if !insert.hints.isEmpty { hints.append(Hint(kind: .options, table: insert.target, values: insert.hints, span: insert.target.span, isWritten: true)) }
            if let partition = insert.partition { visit(partition) }
            visit(insert.query)
        }

        private mutating func visit(_ partition: PartitionSpec) { for entry in partition.entries { visit(entry.value) } }

        private mutating func visit(_ table: CreateTable) {
            for column in table.columns {
                switch column.kind {
                case .physical(let type, _), .metadata(let type, _, _, _): types.append(TypeUse(type: type, place: .column, span: column.span))
                case .computed(let expr): visit(expr)
                }
            }
            visit(table.watermark?.expr)
            if let query = table.asQuery?.query { visit(query) }
        }

        private mutating func visit(_ statement: CatalogStatement) {
            switch statement {
            case .alterTable(_, _, .add(let elements, _)), .alterTable(_, _, .modify(let elements, _)): visit(elements)
            case .alterTable(_, _, .addPartitions(let partitions, _)), .alterTable(_, _, .dropPartitions(let partitions, _)):
                for partition in partitions { visit(partition) }
            case .alterView(_, let query, _): visit(query)
            case .delete(_, let filter): visit(filter)
            case .update(_, let assignments, let filter):
                for assignment in assignments { visit(assignment.value) }
                visit(filter)
            case .show(.partitions(_, let partition?), _): visit(partition)
            case .createCatalog, .alterCatalog, .dropCatalog, .createDatabase, .alterDatabase, .dropDatabase, .useCatalog, .use, .describeCatalog,
                .describeDatabase, .describeFunction, .show, .alterTable, .renameView, .createFunction, .alterFunction, .dropFunction, .truncate, .analyze, .stopJob, .idle:
                break
            }
        }

        // MARK: Queries

        mutating func visit(_ query: Query) {
            let outer = (common, relations)
            relations = []
            for table in query.with {
                visit(table.query)
                common.insert(table.name)
            }
            switch query.body {
            case .select(let select): visit(select)
            case .values(let rows, _): for row in rows { visit(row) }
            case .set(_, _, let left, let right, _):
                visit(left)
                visit(right)
            }
            visit(query.orderBy)
            visit(query.limit)
            visit(query.offset)
            (common, relations) = outer
        }

        private mutating func visit(_ select: Select) {
            if let first = select.stateTTL.first {
                let values = Dictionary(select.stateTTL.map { ($0.key, $0.value) }) { $1 }
                hints.append(Hint(kind: .stateTTL, table: nil, values: values, span: first.span, isWritten: false))
            }
            visit(select.items)
            if let from = select.from { visit(from) }
            visit(select.filter)
            visit(select.groupBy)
            visit(select.having)
        }

        private mutating func visit(_ items: [Select.Item]) { for item in items { visit(item.expr) } }
        private mutating func visit(_ items: [OrderItem]) { for item in items { visit(item.expr) } }
        private mutating func visit(_ exprs: [SyntaxExpr]) { for expr in exprs { visit(expr) } }
        private mutating func visit(_ expr: SyntaxExpr?) { if let expr { visit(expr) } }

        private mutating func visit(_ ref: TableRef) {
            sources.append(ref)
            var name = ref.alias
            switch ref.node {
            case .table(let table, let options):
                let isPath = table.parts.count > 1 && options.isEmpty && relations.contains(table.parts[0])
                if !isPath, table.parts.count > 1 || !common.contains(table.parts[0]) { tables.append(table) }
                if !options.isEmpty { hints.append(Hint(kind: .options, table: table, values: options, span: table.span, isWritten: false)) }
                if !isPath { name = name ?? table.parts.last }
            case .query(let query): visit(query)
            case .windowFunction(_, let input, _, let arguments):
                visitApart(input)
                visit(arguments)
            case .randomCutForest(let call):
                visitApart(call.input)
                for parameter in RandomCutForestCall.parameters { visit(call.arguments[parameter]) }
            case .path(let path): visit(path)
            case .tableFunction(let call): visit(call, ref.span, isTable: true)
            case .unnest(let value, _): visit(value)
            case .match(let input, let match):
                visitApart(input)
                visit(match)
            case .join(let left, let right, _, let on, _):
                visit(left)
                visit(right)
                visit(on)
            }
            visit(ref.partitionBy)
            visit(ref.asOf)
            if let name { relations.insert(name) }
        }

        /// A table whose name cannot be addressed outside.
        private mutating func visitApart(_ ref: TableRef) {
            let outer = relations
            visit(ref)
            relations = outer
        }

        private mutating func visit(_ match: MatchRecognize) {
            visit(match.partitionBy)
            visit(match.orderBy)
            visit(match.measures)
            visit(match.within)
            for definition in match.define { visit(definition.condition) }
        }

        // MARK: Expressions

        mutating func visit(_ expr: SyntaxExpr) {
            expressions.append(expr)
            switch expr.node {
            case .name, .star, .integer, .decimal, .approximate, .string, .bytes, .boolean, .null, .dateLiteral, .timeLiteral, .timestampLiteral, .interval: break
            case .unary(_, let e), .isNull(let e, _), .isTruth(let e, _, _), .isJSON(let e, _, _), .field(let e, _): visit(e)
            case .binary(_, let a, let b), .isDistinct(let a, let b, _), .subscriptOf(let a, let b): visit([a, b])
            case .between(let e, let low, let high, _, _): visit([e, low, high])
            case .inList(let e, let items, _): visit([e] + items)
            case .inQuery(let e, let query, _), .quantified(_, let e, _, let query):
                visit(e)
                visit(query)
            case .exists(let query), .scalarQuery(let query): visit(query)
            case .like(_, let a, let b, let escape, _):
                visit([a, b])
                visit(escape)
            case .caseWhen(let operand, let branches, let otherwise):
                visit(operand)
                for branch in branches { visit([branch.when, branch.then]) }
                visit(otherwise)
            case .cast(let e, let type, _):
                types.append(TypeUse(type: type, place: .cast, span: expr.span))
                visit(e)
            case .call(let call): visit(call, expr.span, isTable: false)
            case .array(let items), .map(let items), .row(let items): visit(items)
            }
        }

        private mutating func visit(_ call: FunctionCall, _ span: SourceSpan, isTable: Bool) {
            if !["GROUPING SETS", "ROLLUP", "CUBE"].contains(call.name) { calls.append(Call(call: call, span: span, isTable: isTable)) }
            if let type = call.returning { types.append(TypeUse(type: type, place: .returning, span: span)) }
            visit(call.arguments)
            visit(call.emptyDefault)
            visit(call.errorDefault)
            visit(call.filter)
            guard let window = call.over else { return }
            visit(window.partitionBy)
            visit(window.orderBy)
            for case .offset(let length, _)? in [window.bounds?.lower, window.bounds?.upper] { visit(length) }
        }
    }
}
