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
    let changelog: ChangelogNode

    private let builder: JobGraphBuilder
    private let stream: JobGraphBuilder.Stream

    init(_ plan: LogicalPlan, _ planner: Planner, name: String) throws {
        let optimized = try planner.optimize([plan])[0]
        var builder = planner.builder(name: name)
        var node = try builder.changelog(of: optimized)
        node.require(updateBefore: true)
        changelog = node
        (self.plan, optimizedPlan) = (plan.unshared, optimized)
        schema = plan.schema
        stream = try builder.add(node)
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

    /// ORDER BY begins with a time attribute, ascending: rows can be given as time passes.
    public var isOrderedByTime: Bool {
        var root = plan
        while case .project(let input, _) = root { root = input }
        guard case .sort(let input, let sort) = root, let first = sort.keys.first else { return false }
        return !first.descending && input.columns[first.column].isTimeAttribute
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

    /// The plans of one job, with what they share.
    ///
    /// - Parameter direct: plans whose upserts reach their sink as the source gives them.
    func optimize(_ plans: [LogicalPlan], direct: Set<Int> = []) throws -> [LogicalPlan] {
        let optimizer = Optimizer(
            context: evaluation, script: script,
            reordersJoins: settings.values["table.optimizer.join-reorder-enabled"]?.lowercased() == "true")
        let isOff = settings.values["table.optimizer.reuse-sub-plan-enabled"]?.lowercased() == "false"
        var sources = builder(name: "")
        let plans = try plans.enumerated().map { i, plan in
            direct.contains(i) ? plan : try ChangelogNormalization(settings: settings) { try sources.mode(of: $0) }.apply(plan)
        }
        let marked = SubplanReuse(isOff: isOff).apply(plans)
        let limits = UnboundedLimits(
            isBounded: { try sources.isBounded($0) }, changes: { try sources.changelog(of: $0).modifications })
        func optimized(_ plan: LogicalPlan) throws -> LogicalPlan { try limits.apply(try optimizer.optimize(plan)) }
        do {
            return finished(try marked.map(optimized))
        } catch {
            // What is shared is optimised apart from its readers, which some of them cannot do with.
            return finished(try SubplanReuse(isOff: true).apply(plans).map(optimized))
        }
    }

    /// Rules that look at all plans of the job, and those that nothing is to be pushed through.
    private func finished(_ plans: [LogicalPlan]) -> [LogicalPlan] {
        let split = SplitDistinct(settings: settings.aggregation)
        let filtered = plans.map { FilterIntoScan(connectors: catalog.connectors).apply(split.apply($0)) }
        return NestedProjection(connectors: catalog.connectors).apply(SharedScans.widened(filtered))
    }

    func builder(name: String) -> JobGraphBuilder {
        JobGraphBuilder(catalog: catalog, settings: settings, evaluation: evaluation, name: settings.pipelineName ?? name)
    }

    /// What INSERTs run as.
    struct PlannedInserts {
        var graph: JobGraph
        var plans: [LogicalPlan], optimized: [LogicalPlan]
        var changelogs: [(table: String, node: ChangelogNode)]
    }

    /// One job for one or several INSERTs. A table that several of them read is read once, and one that several of them
    /// write to has one sink. Broken records of the tables go where these say.
    func jobGraph(_ given: [BoundInsert], _ context: BindingContext) throws -> PlannedInserts {
        let optimized = try located(given, given.map(\.plan), direct: try directUpserts(given))
        let letters = try DeadLetters(context: context).inserts(for: optimized)
        let inserts = given + letters.map(\.insert), plans = optimized + letters.map(\.insert.plan)
        var builder = builder(name: "INSERT INTO " + given.map(\.table.path.short).joined(separator: ", "))
        for letter in letters { builder.brokenRecords[letter.key] = letter.metadata }
        var nodes: [ChangelogNode] = []
        for (insert, plan) in zip(inserts, plans) {
            try insert.script.locating(insert.span) { nodes.append(try builder.changelog(of: plan)) }
        }
        var targets: [(table: CatalogTable, sink: any TableSink, keys: [Int], members: [Int])] = []
        for (i, insert) in inserts.enumerated() {
            if let known = targets.firstIndex(where: { inserts[$0.members[0]].isSameSink(as: insert) }) {
                targets[known].members.append(i)
                continue
            }
            let sink = try insert.script.locating(insert.span) { try makeSink(for: insert, builder.indexes) }
            let table = insert.table.descriptor
            targets.append((insert.table, sink, table.primaryKey.compactMap { key in table.schema.firstIndex { $0.name == key } }, [i]))
        }
        for target in targets {
            let changes = target.members.reduce(Modifications()) { $0.union(nodes[$1].modifications) }
            let keys = target.members.count == 1 ? nodes[target.members[0]].upsertKeys : []
            let wanted = SinkChanges(target.sink.changelogMode, changes, keys, keys: target.keys, settings)
            for i in target.members { nodes[i].require(updateBefore: wanted.needsUpdateBefore) }
        }
        var streams: [JobGraphBuilder.Stream] = []
        for (insert, node) in zip(inserts, nodes) {
            var stream = try insert.script.locating(insert.span) { try builder.add(node) }
            guard insert.write == .insert || stream.isBounded else {
                throw insert.script.error(
                    .validate, "table \(insert.table.name): rows can only be replaced or taken away by a query that ends, and this one goes on for ever",
                    fix: "read its tables bounded", at: insert.span)
            }
            stream.columns = zip(insert.plan.columns, stream.columns).map { PlanColumn($0.name, $1.type, nullable: $0.nullable) }
            streams.append(stream)
        }
        for target in targets {
            var stream = streams[target.members[0]]
            for i in target.members.dropFirst() { stream.merge(streams[i]) }
            let insert = inserts[target.members[0]]
            try insert.script.locating(insert.span) {
                try builder.addSink(target.sink, name: target.table.path.short, after: stream, keys: target.keys)
            }
        }
        return PlannedInserts(
            graph: builder.finished, plans: inserts.map(\.plan.unshared), optimized: plans,
            changelogs: zip(inserts, nodes).map { ($0.table.path.short, $1) })
    }

    /// Errors of a plan stand at its INSERT.
    private func located(_ inserts: [BoundInsert], _ plans: [LogicalPlan], direct: Set<Int>) throws -> [LogicalPlan] {
        do { return try optimize(plans, direct: direct) } catch {
            for (insert, plan) in zip(inserts, plans) { try insert.script.locating(insert.span) { () throws -> Void in _ = try optimize([plan]) } }
            throw error
        }
    }

    /// The INSERTs that need no state to make a full changelog of an upsert source: what it gives passes projections alone, and a sink
    /// that finds rows by the same key takes it as it is.
    private func directUpserts(_ inserts: [BoundInsert]) throws -> Set<Int> {
        var builder = builder(name: "")
        return try Set(inserts.indices.filter { i in
            let insert = inserts[i], table = insert.table.descriptor
            guard !table.primaryKey.isEmpty, let scan = DirectUpserts.scan(of: insert.plan), !inserts.indices.contains(where: { $0 != i && inserts[$0].isSameSink(as: insert) }),
                try insert.script.locating(insert.span, { try builder.mode(of: scan) }) == .upsert
            else { return false }
            let key = Set(table.primaryKey.compactMap { name in table.schema.firstIndex { $0.name == name } })
            guard try builder.changelog(of: insert.plan).upsertKeys.contains(key) else { return false }
            return try insert.script.locating(insert.span) { try makeSink(for: insert, builder.indexes).takesUpserts }
        })
    }

    private func makeSink(for insert: BoundInsert, _ indexes: PartitionIndexes) throws -> any TableSink {
        let table = insert.table
        guard let connector = catalog.connector(table.descriptor.options["connector"] ?? "") else {
            throw StreamError(.validate, "table \(table.name): its connector is not registered")
        }
        if insert.write != .insert, let changing = connector as? any RowChangingConnector {
            return try changing.sink(for: table.descriptor, timeZone: settings.timeZone, write: insert.write)
        }
        return try indexes.sink(table, connector, timeZone: settings.timeZone)
    }
}

extension LogicalPlan {
    /// The plan without marks of what may be shared.
    var unshared: LogicalPlan { SubplanReuse(isOff: true).apply([self])[0] }
}
