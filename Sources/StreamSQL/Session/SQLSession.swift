import StreamCore
import StreamExpressions
import StreamOperators
import StreamRuntime

/// What a statement gave.
public enum StatementResult: Sendable {
    /// Done; a line for the user.
    case message(String)
    /// SHOW, DESCRIBE, EXPLAIN.
    case rows(Schema, [[Value]])
    /// A SELECT, not started yet.
    case query(PlannedQuery)
    /// INSERT or a statement set, not started yet.
    case insert(JobGraph)
    case help, quit
}

/// Runs statements one after the other over a catalog and settings. One thread at a time.
public final class SQLSession {
    public let catalog: Catalog
    public private(set) var settings = SessionSettings()
    /// The scalar functions that statements may call.
    public internal(set) var functions: FunctionRegistry
    /// The aggregate functions that the program brought along, by upper-case name.
    public internal(set) var userAggregates: [String: AggregateFunction] = [:]
    /// The table functions that queries may call.
    public var rowFunctions = RowFunctionRegistry()
    private let now: @Sendable () -> Int64

    /// - Parameter now: milliseconds since 1970-01-01, for CURRENT_TIMESTAMP and the like.
    public init(
        catalog: Catalog = Catalog(), functions: FunctionRegistry = .builtin,
        now: @escaping @Sendable () -> Int64 = { Clock.milliseconds() }
    ) {
        self.catalog = catalog
        self.functions = functions
        self.now = now
    }

    public convenience init(connectors: [any TableConnector]) { self.init(catalog: Catalog(connectors: connectors)) }

    public var evaluation: EvaluationContext { EvaluationContext(timeZone: settings.timeZone, now: now) }

    /// Sets a setting, as `SET 'key' = 'value'` does.
    ///
    /// - Returns: a warning when nothing reads the setting.
    @discardableResult
    public func set(_ key: String, to value: String) throws -> String? { try settings.set(key, to: value) }

    /// Does what the statement says. Queries and inserts come back planned, to be run by the caller.
    ///
    /// - Throws: ``StreamError`` with the place in the script.
    public func execute(_ statement: Statement) throws -> StatementResult {
        let script = ScriptText(of: statement)
        return try UserAggregates.$current.withValue(userAggregates) {
            try script.locating(statement.span) { try execute(statement, script) }
        }
    }

    private func execute(_ statement: Statement, _ script: ScriptText) throws -> StatementResult {
        switch statement.node {
        case .createTable(let create): return try createTable(create, script)
        case .createView(let name, let columns, let query, let temporary, let ifNotExists, let text):
            return try createView(name, columns, query, temporary, ifNotExists, text, script)
        case .drop(let kind, let name, let ifExists): return try drop(kind.uppercased(), name, ifExists, script)
        case .showTables: return Self.list("table name", catalog.tableNames)
        case .showViews: return Self.list("view name", catalog.viewNames)
        case .showFunctions:
            return Self.list(
                "function name", (functions.names.filter { $0.first!.isLetter && !$0.contains(" ") } + AggregateRegistry.names).sorted())
        case .showCreateTable(let name): return Self.list("result", [DescribeText.create(try catalog.lookUp(name, script))])
        case .describe(let name): return DescribeText.describe(try catalog.lookUp(name, script))
        case .explain(let inner, let graphviz): return try explain(inner, graphviz, script)
        case .set(let key, let value):
            let warning = try settings.set(key, to: value)
            return .message(warning.map { "warning: \($0)" } ?? "'\(key)' = '\(value)'")
        case .reset(let key):
            try settings.reset(key)
            return .message(key.map { "'\($0)' has its default again" } ?? "all settings have their defaults again")
        case .showSettings:
            let fields = [Field("key", .string, nullable: false), Field("value", .string, nullable: false)]
            return .rows(fields, settings.values.sorted { $0.key < $1.key }.map { [.string($0.key), .string($0.value)] })
        case .insert(let insert): return .insert(try planned([insert], script).graph)
        case .statementSet(let inserts): return .insert(try planned(inserts, script).graph)
        case .query(let query): return .query(try planned(query, script))
        case .help: return .help
        case .quit: return .quit
        }
    }

    private static func list(_ title: String, _ names: [String]) -> StatementResult {
        .rows([Field(title, .string, nullable: false)], names.map { [.string($0)] })
    }

    // MARK: queries

    private func context(_ script: ScriptText) -> BindingContext {
        BindingContext(
            catalog: catalog, functions: functions, rowFunctions: rowFunctions, settings: settings, script: script, counter: .init())
    }

    private func planner(_ script: ScriptText) -> Planner {
        Planner(catalog: catalog, settings: settings, evaluation: evaluation, script: script)
    }

    private func planned(_ query: Query, _ script: ScriptText) throws -> PlannedQuery {
        let plan = try QueryBinder(context(script)).bind(query, isOutermost: true)
        return try PlannedQuery(plan, planner(script), name: "SELECT")
    }

    private func planned(_ inserts: [Insert], _ script: ScriptText) throws -> Planner.PlannedInserts {
        let context = context(script)
        return try planner(script).jobGraph(try inserts.map { try InsertBinder(context).bind($0) })
    }

    private func explain(_ statement: Statement, _ graphviz: Bool, _ script: ScriptText) throws -> StatementResult {
        let graph: JobGraph, plans: [LogicalPlan], optimized: [LogicalPlan]
        switch statement.node {
        case .query(let query):
            let planned = try planned(query, script)
            graph = try planned.jobGraph(into: ExplainSink())
            (plans, optimized) = ([planned.plan], [planned.optimizedPlan])
        case .insert(let insert):
            let planned = try planned([insert], script)
            (graph, plans, optimized) = (planned.graph, planned.plans, planned.optimized)
        case .statementSet(let inserts):
            let planned = try planned(inserts, script)
            (graph, plans, optimized) = (planned.graph, planned.plans, planned.optimized)
        default:
            throw script.error(.validate, "EXPLAIN takes a query, an INSERT or a statement set", at: statement.span)
        }
        let text =
            graphviz
            ? graph.dot()
            : """
            == Abstract plan ==
            \(plans.map(\.treeText).joined(separator: "\n\n"))

            == Optimized plan ==
            \(optimized.map(\.treeText).joined(separator: "\n\n"))

            == Job graph ==
            \(graph.text)
            """
        return Self.list("result", [text])
    }

    // MARK: definitions

    private func createTable(_ create: CreateTable, _ script: ScriptText) throws -> StatementResult {
        let name = try catalog.localName(create.name, script)
        if catalog[name] != nil {
            if create.ifNotExists { return .message("table \(name) exists already") }
            throw script.error(
                .validate, "\(name) exists already", fix: "drop it first, or write CREATE TABLE IF NOT EXISTS", at: create.name.span)
        }
        catalog[name] = .table(try TableDefinition(context: context(script), create: create).table())
        return .message("table \(name) created")
    }

    private func createView(
        _ name: QualifiedName, _ columns: [String]?, _ query: Query, _ temporary: Bool, _ ifNotExists: Bool,
        _ text: String, _ script: ScriptText
    ) throws -> StatementResult {
        let local = try catalog.localName(name, script)
        if catalog[local] != nil {
            if ifNotExists { return .message("view \(local) exists already") }
            throw script.error(
                .validate, "\(local) exists already", fix: "drop it first, or write CREATE VIEW IF NOT EXISTS", at: name.span)
        }
        let binder = QueryBinder(context(script))
        let plan = try binder.renamed(try binder.bind(query), columns, "view \(local)", name.span)
        var seen: Set<String> = []
        for column in plan.columns where !seen.insert(column.name).inserted {
            throw script.error(
                .validate, "view \(local) has two columns named \(column.name)", fix: "name them apart with AS", at: name.span)
        }
        catalog[local] = .view(
            CatalogView(
                name: local, columns: columns, query: query, text: text, temporary: temporary, schema: plan.schema,
                timeAttributes: Set(plan.columns.indices.filter { plan.columns[$0].isTimeAttribute }),
                processingTimes: Set(plan.columns.indices.filter { plan.columns[$0].isProcessingTime }), script: script))
        return .message("view \(local) created")
    }

    private func drop(_ kind: String, _ name: QualifiedName, _ ifExists: Bool, _ script: ScriptText) throws -> StatementResult {
        let local = try catalog.localName(name, script)
        guard let entry = catalog[local] else {
            if ifExists { return .message("there was no \(kind.lowercased()) \(local)") }
            _ = try catalog.lookUp(name, script, as: kind.lowercased())
            return .message("")
        }
        let isView = if case .view = entry { true } else { false }
        guard isView == (kind == "VIEW") else {
            throw script.error(
                .validate, "\(local) is a \(isView ? "view" : "table")", fix: "write DROP \(isView ? "VIEW" : "TABLE") \(local)",
                at: name.span)
        }
        catalog[local] = nil
        return .message("\(kind.lowercased()) \(local) dropped")
    }
}

/// Stands for the reader of a query's rows in EXPLAIN.
private struct ExplainSink: TableSink {
    var acceptsChanges: Bool { true }
    var maxParallelism: Int? { 1 }
    func writer(_ context: SinkContext) throws -> any SinkWriter {
        throw StreamError(.plan, "EXPLAIN does not run its query")
    }
}
