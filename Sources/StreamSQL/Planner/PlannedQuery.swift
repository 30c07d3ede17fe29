import StreamCore
import StreamExpressions
import StreamRuntime

/// A SELECT that is ready to run, but for the sink that takes its rows.
public struct PlannedQuery: Sendable {
    public let schema: Schema
    /// It ends by itself.
    public let isBounded: Bool
    /// Its rows are changes (+I, -U, +U, -D) rather than inserts only.
    public let isChangelog: Bool
    /// Its rows come in an order that ORDER BY asked for.
    public let isOrdered: Bool
    /// It gives no more rows than this: a reader of an unbounded query may stop then.
    public let limit: Int?
    /// Before and after optimisation.
    public let plan: LogicalPlan, optimizedPlan: LogicalPlan

    private let builder: JobGraphBuilder
    private let stream: JobGraphBuilder.Stream

    init(_ plan: LogicalPlan, _ planner: Planner, name: String) throws {
        self.plan = plan
        optimizedPlan = SharedScans.widened([try planner.optimize(plan)])[0]
        schema = plan.schema
        var builder = planner.builder(name: name)
        stream = try builder.add(optimizedPlan)
        self.builder = builder
        isBounded = stream.isBounded
        isChangelog = stream.isChangelog
        var root = optimizedPlan
        while case .calc(let input, filter: nil, _) = root { root = input }
        if case .sort(_, let sort) = root {
            isOrdered = !sort.keys.isEmpty
            limit = sort.limit
        } else {
            isOrdered = false
            limit = nil
        }
    }

    /// The job that gives the query's rows to `sink`, which must accept changes if ``isChangelog``.
    public func jobGraph(into sink: any TableSink, name: String = "collect") throws -> JobGraph {
        var builder = builder
        var stream = stream
        stream.columns = zip(schema, stream.columns).map { PlanColumn($0.name, $1.type, nullable: $0.nullable) }
        try builder.addSink(sink, name: name, after: stream)
        return builder.finished
    }
}

/// From bound plans to job graphs.
struct Planner {
    var catalog: Catalog
    var settings: SessionSettings
    var evaluation: EvaluationContext
    var script: ScriptText

    func optimize(_ plan: LogicalPlan) throws -> LogicalPlan {
        try Optimizer(context: evaluation, script: script).optimize(plan)
    }

    func builder(name: String) -> JobGraphBuilder {
        JobGraphBuilder(catalog: catalog, settings: settings, evaluation: evaluation, name: settings.pipelineName ?? name)
    }

    /// One job for one or several INSERTs. A table that several of them read is read once, and one that several of them
    /// write to has one sink.
    func jobGraph(_ inserts: [BoundInsert]) throws -> (graph: JobGraph, optimized: [LogicalPlan]) {
        var plans: [LogicalPlan] = []
        for insert in inserts { plans.append(try insert.script.locating(insert.span) { try optimize(insert.plan) }) }
        plans = SharedScans.widened(plans)
        var builder = builder(name: "INSERT INTO " + inserts.map(\.table.path.short).joined(separator: ", "))
        var streams: [(insert: BoundInsert, stream: JobGraphBuilder.Stream)] = []
        for (insert, plan) in zip(inserts, plans) {
            try insert.script.locating(insert.span) {
                var stream = try builder.add(plan)
                stream.columns = zip(insert.plan.columns, stream.columns).map { PlanColumn($0.name, $1.type, nullable: $0.nullable) }
                if let i = streams.firstIndex(where: { $0.insert.isSameSink(as: insert) }) {
                    streams[i].stream.merge(stream)
                } else {
                    streams.append((insert, stream))
                }
            }
        }
        for (insert, stream) in streams {
            try insert.script.locating(insert.span) {
                let table = insert.table.descriptor
                guard let connector = catalog.connector(table.options["connector"] ?? "") else {
                    throw StreamError(.validate, "table \(table.name): its connector is not registered")
                }
                let sink = try builder.indexes.sink(insert.table, connector, timeZone: settings.timeZone)
                let keys = table.primaryKey.compactMap { key in table.schema.firstIndex { $0.name == key } }
                try builder.addSink(sink, name: insert.table.path.short, after: stream, keys: keys)
            }
        }
        return (builder.finished, plans)
    }
}
