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

/// A row of SHOW JOBS.
public struct JobListing: Sendable {
    public var id: String, name: String, status: String
    /// Milliseconds since 1970-01-01.
    public var start: Int64
    public init(id: String, name: String, status: String, start: Int64) {
        self.id = id
        self.name = name
        self.status = status
        self.start = start
    }
}

/// Runs statements one after the other over a catalog and settings. One thread at a time.
public final class SQLSession {
    public let catalog: Catalog
    public private(set) var settings = SessionSettings()
    /// The scalar functions that statements may call.
    public internal(set) var functions: FunctionRegistry
    /// The aggregate functions that the program brought along, by upper-case name.
    public internal(set) var userAggregates: [String: AggregateFunction] = [:]
    /// What SHOW JOBS lists; the program that runs the jobs knows them.
    public var jobs: (() throws -> [JobListing])?
    /// Does STOP JOB and tells what came of it; nil = jobs cannot be stopped from here.
    public var stopJob: ((_ id: String, _ savepoint: Bool, _ drain: Bool) throws -> String)?
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
        catalog.bind = { [weak self] object, path in
            guard let self else { throw StreamError(.validate, "the session of this catalog has ended", fix: "make a session with the catalog") }
            return try bound(object, path)
        }
    }

    public convenience init(connectors: [any TableConnector]) { self.init(catalog: Catalog(connectors: connectors)) }

    public var evaluation: EvaluationContext { EvaluationContext(timeZone: settings.timeZone, now: now) }

    /// Sets a setting, as `SET 'key' = 'value'` does.
    ///
    /// A setting that means nothing here is told in ``notices``.
    public func set(_ key: String, to value: String) throws {
        if let warning = try settings.set(key, to: value) { notices.note(warning) }
    }

    /// What statements have asked for that means nothing here, such as options of connectors; each is told once.
    public var notices: NoticeLog { catalog.notices }

    /// Sets a setting to what it was before: nil = it was not set.
    public func restore(_ key: String, to value: String?) throws {
        if let value { _ = try settings.set(key, to: value) } else { try settings.reset(key) }
    }

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
        case .createView(let view): return try createView(view, script)
        case .drop(let kind, let name, let ifExists, let temporary): return try drop(kind, name, ifExists, temporary, script)
        case .describe(let name): return DescribeText.describe(try catalog.lookUp(name, script, as: "table or view"))
        case .catalog(let statement): return try execute(statement, script)
        case .explain(let inner, let details): return try explain(inner, details, script)
        case .set(let key, let value):
            try set(key, to: value)
            return .message("'\(key)' = '\(value)'")
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

    static func list(_ title: String, _ names: [String]) -> StatementResult {
        .rows([Field(title, .string, nullable: false)], names.map { [.string($0)] })
    }

    // MARK: queries

    func context(_ script: ScriptText) throws -> BindingContext {
        var registry = functions, tables = rowFunctions
        if catalog.functionResolver != nil || catalog.rowFunctionResolver != nil {
            // The one that a name means first is registered last.
            for function in try catalog.functions(in: script.namespace).reversed() where !function.language.needsJVM {
                if let resolve = catalog.functionResolver { registry = try resolve(function, registry) }
                if let resolve = catalog.rowFunctionResolver { tables = try resolve(function, tables) }
            }
        }
        return BindingContext(
            catalog: catalog, functions: registry, rowFunctions: tables, settings: settings, script: script, counter: .init())
    }

    func planner(_ script: ScriptText) -> Planner {
        Planner(catalog: catalog, settings: settings, evaluation: evaluation, script: script)
    }

    func planned(_ query: Query, _ script: ScriptText) throws -> PlannedQuery {
        let plan = try QueryBinder(try context(script)).bind(query, isOutermost: true)
        return try PlannedQuery(plan.uniquelyNamed, planner(script), name: "SELECT")
    }

    private func planned(_ inserts: [Insert], _ script: ScriptText) throws -> Planner.PlannedInserts {
        let context = try context(script)
        return try planner(script).jobGraph(try inserts.map { try InsertBinder(context).bind($0) }, context)
    }

    private func explain(_ statement: Statement, _ details: Set<ExplainDetail>, _ script: ScriptText) throws -> StatementResult {
        let graph: JobGraph, plans: [LogicalPlan], optimized: [String]
        let showsModes = details.contains(.changelogMode)
        func sinks(_ planned: Planner.PlannedInserts) -> (JobGraph, [LogicalPlan], [String]) {
            let modes = zip(planned.changelogs, planned.optimized).map { showsModes ? "Sink(\($0.table))\n" + $0.node.indentedText : $1.treeText }
            return (planned.graph, planned.plans, modes)
        }
        switch statement.node {
        case .query(let query):
            let planned = try planned(query, script)
            graph = try planned.jobGraph(into: ExplainSink())
            (plans, optimized) = ([planned.plan], [showsModes ? planned.changelog.treeText : planned.optimizedPlan.treeText])
        case .insert(let insert): (graph, plans, optimized) = sinks(try planned([insert], script))
        case .statementSet(let inserts): (graph, plans, optimized) = sinks(try planned(inserts, script))
        default:
            throw script.error(.validate, "EXPLAIN takes a query, an INSERT or a statement set", at: statement.span)
        }
        if let detail = details.first(where: { $0 != .graphviz && $0 != .changelogMode }) {
            throw script.error(
                .plan, "not supported yet: EXPLAIN \(detail.rawValue)",
                fix: "write EXPLAIN, EXPLAIN CHANGELOG_MODE, or EXPLAIN DOT for a Graphviz drawing", at: statement.span)
        }
        let text =
            details.contains(.graphviz)
            ? graph.dot()
            : """
            == Abstract plan ==
            \(plans.map(\.treeText).joined(separator: "\n\n"))

            == Optimized plan ==
            \(optimized.joined(separator: "\n\n"))

            == Job graph ==
            \(graph.text)
            """
        return Self.list("result", [text])
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
