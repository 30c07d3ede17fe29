import StreamCore
import StreamExpressions
import StreamOperators
import StreamRuntime

/// Turns optimised plans into one job graph.
public struct JobGraphBuilder: Sendable {
    /// What comes out of a step: the vertices that give it, all into the same input of the next one.
    public struct Stream: Sendable {
        var vertices: [Int]
        var columns: [PlanColumn]
        var isBounded: Bool
        var isChangelog: Bool
        /// The step that makes updates of rows given before, for error messages.
        var updatedBy: String?
        /// As ``ChangelogNode`` has them.
        var modifications: Modifications = .insert
        var upsertKeys: [Set<Int>] = []
        /// Which rows of the vertices it is.
        var rows = JobEdge.Rows.output

        /// The rows of both, as one stream.
        mutating func merge(_ other: Stream) {
            vertices += other.vertices
            columns = zip(columns, other.columns).map { PlanColumn($0.name, $0.type, nullable: $0.nullable || $1.nullable) }
            isBounded = isBounded && other.isBounded
            isChangelog = isChangelog || other.isChangelog
            updatedBy = updatedBy ?? other.updatedBy
            modifications.formUnion(other.modifications)
            upsertKeys = []
        }
    }

    /// Whether the step that is being built must give -U for its updates. Meaningful within ``PlanStep/build(_:_:)``.
    private(set) var emitsUpdateBefore = true

    enum Distribution { case forward, keys([Int]), single }

    let connectors: [String: any TableConnector]
    private let missingInput: (@Sendable (CatalogTable, StreamError) throws -> any TableSource)?
    let indexes: PartitionIndexes
    let settings: SessionSettings
    let evaluation: EvaluationContext
    var graph: JobGraph
    /// Vertices that only some parallelisms have.
    var transparent: Set<Int> = []

    /// The graph as far as it is built, with its operators identified.
    var finished: JobGraph {
        var graph = graph
        graph.identifyOperators(transparent: transparent)
        return graph
    }

    /// Columns by whose hash the rows of a vertex are where they are.
    private var distributions: [Int: [Int]] = [:]

    /// Says that a step gives each row on the subtask that has its keys.
    mutating func keepsDistribution(_ keys: [Int], of stream: Stream) {
        for vertex in stream.vertices where !keys.isEmpty { distributions[vertex] = keys }
    }

    /// Scans that are in the graph already, by what they read.
    private var scans: [String: Stream] = [:]
    /// What is read beside the columns of tables that put broken records aside, by ``SharedScans/key(_:)``: metadata of those
    /// records. Where nothing is said of such a table, they are skipped.
    var brokenRecords: [String: [TableDescriptor.MetadataColumn]] = [:]
    private var sources: [String: any TableSource] = [:]
    /// What several places read and is in the graph already, by the key of ``SharedPlan``.
    private var shared: [String: Stream] = [:]

    init(catalog: Catalog, settings: SessionSettings, evaluation: EvaluationContext, name: String) {
        connectors = catalog.connectors
        missingInput = catalog.missingInput
        indexes = PartitionIndexes(catalog)
        self.settings = settings
        self.evaluation = evaluation
        graph = JobGraph(name: name, maxParallelism: max(settings.maxParallelism, settings.parallelism))
    }

    // MARK: vertices and edges

    mutating func addVertex(_ name: String, _ kind: JobVertex.Kind, _ parallelism: Int, _ schema: Schema) -> Int {
        graph.vertices.append(JobVertex(id: graph.vertices.count, name: name, kind: kind, parallelism: parallelism, outputSchema: schema))
        return graph.vertices.count - 1
    }

    func parallelism(_ stream: Stream) -> [Int] { stream.vertices.map { graph.vertices[$0].parallelism } }

    /// How many subtasks a step with such an input has.
    func parallelism(after stream: Stream, _ distribution: Distribution) -> Int {
        let given = parallelism(stream)
        switch distribution {
        case .keys(let keys): return keys.isEmpty ? 1 : settings.parallelism
        case .single: return 1
        case .forward:
            if given.allSatisfy({ $0 == given[0] }) { return given[0] }
            // Spreading a changelog over subtasks at will would lose the order of a row's changes.
            return stream.isChangelog ? 1 : given.max()!
        }
    }

    mutating func connect(_ stream: Stream, to vertex: Int, input: Int = 0, _ distribution: Distribution) {
        let target = graph.vertices[vertex].parallelism
        for from in stream.vertices {
            let source = graph.vertices[from].parallelism
            let partitioning: Partitioning =
                switch distribution {
                // Rows that stay where they are meet the watermarks of their own subtask only.
                case .keys(let keys) where target > 1: source == target && distributions[from] == keys && stream.vertices.count == 1 ? .forward : .hash(keys)
                default: source == target ? .forward : target == 1 ? .single : .rebalance
                }
            graph.edges.append(JobEdge(from: from, to: vertex, input: input, partitioning: partitioning, rows: stream.rows))
        }
    }

    mutating func addStep(
        _ name: String, after stream: Stream, _ distribution: Distribution, _ columns: [PlanColumn],
        _ factory: @escaping Operators.Factory
    ) -> Stream {
        let vertex = addVertex(name, .transform(factory), parallelism(after: stream, distribution), columns.map(\.field))
        connect(stream, to: vertex, distribution)
        var output = stream
        output.vertices = [vertex]
        output.columns = columns
        output.rows = .output
        return output
    }

    /// The sink for a query's rows.
    ///
    /// - Parameter keys: the columns of the table's primary key.
    mutating func addSink(_ sink: any TableSink, name: String, after stream: Stream, keys: [Int] = []) throws {
        if stream.isChangelog && sink.changelogMode == .insertOnly {
            throw StreamError(
                .plan,
                "table sink '\(name)' doesn't support consuming update changes which is produced by \(stream.updatedBy ?? "the query")",
                fix: "group by a window, or write to a table that takes changes, for example one with a primary key")
        }
        var stream = stream
        if SinkChanges(sink.changelogMode, stream.modifications, stream.upsertKeys, keys: keys, settings).materializes {
            let names = keys.map { stream.columns[$0].name }.joined(separator: ", ")
            stream = addStep(
                "SinkMaterializer(\(names))", after: stream, .keys(keys), stream.columns,
                Operators.sinkMaterializer(
                    UpsertSpec(inputSchema: stream.columns.map(\.field), keys: keys, stateTTL: timeToLive(nil))))
        }
        let most = sink.maxParallelism ?? .max
        let wanted = min(settings.parallelism, most)
        let isKeyed = wanted > 1 && (!sink.distributionKeys.isEmpty || stream.isChangelog && !keys.isEmpty)
        let by = sink.distributionKeys.isEmpty ? keys : sink.distributionKeys
        let own = parallelism(after: stream, .forward)
        // Rows of a key must not go to several subtasks, whatever their source runs with.
        let count = isKeyed || !sink.distributionKeys.isEmpty ? wanted : min(own, most)
        let vertex = addVertex("Sink: \(name)", .sink(sink), count, stream.columns.map(\.field))
        connect(stream, to: vertex, isKeyed ? .keys(by) : count == 1 && own > 1 ? .single : .forward)
    }

    // MARK: steps

    /// What the steps of a plan do to rows given before.
    mutating func changelog(of plan: LogicalPlan) throws -> ChangelogNode {
        try ChangelogNode(plan) { try mode(of: $0) }
    }

    /// What the rows of a scan do to rows before.
    mutating func mode(of scan: LogicalPlan.Scan) throws -> ChangelogMode {
        let mode = try source(for: scan).source.changelogMode
        guard mode != .upsert || !scan.table.descriptor.primaryKey.isEmpty else {
            throw StreamError(
                .plan, "table \(scan.table.name) gives changes by primary key, but declares none", fix: "declare PRIMARY KEY (...) NOT ENFORCED")
        }
        return mode
    }

    mutating func isBounded(_ scan: LogicalPlan.Scan) throws -> Bool { try source(for: scan).source.isBounded }

    /// Adds the steps of a plan that gives all kinds of changes.
    mutating func add(_ plan: LogicalPlan) throws -> Stream {
        var node = try changelog(of: plan)
        node.require(updateBefore: true)
        return try add(node)
    }

    /// Adds the plan's steps. What reads them has said in `node` whether it needs the rows before updates.
    mutating func add(_ node: ChangelogNode) throws -> Stream {
        if case .step(let known as SharedPlan, _) = node.plan, var stream = shared[known.key] {
            stream.columns = known.columns
            return stream
        }
        var inputs: [Stream] = []
        for input in node.inputs { inputs.append(try add(input)) }
        if node.dependsOnEveryWatermark { for input in inputs { tellEveryWatermark(of: input) } }
        emitsUpdateBefore = node.givesUpdateBefore
        var stream = try add(node.plan, inputs)
        (stream.modifications, stream.upsertKeys) = (node.modifications, node.upsertKeys)
        (stream.isChangelog, stream.updatedBy) = (!node.modifications.isInsertOnly, node.updatedBy)
        if case .step(let first as SharedPlan, _) = node.plan {
            stream.columns = first.columns
            shared[first.key] = stream
        }
        return stream
    }

    private mutating func add(_ plan: LogicalPlan, _ inputs: [Stream]) throws -> Stream {
        switch plan {
        case .scan(let scan): return try add(scan)
        case .values(let values):
            let source = ValuesSource(rows: values.rows, types: values.columns.map(\.type), context: evaluation)
            let vertex = addVertex(
                "Source: \(values.rows.count) \(values.rows.count == 1 ? "row" : "rows")", .source(SourceVertex(source: source)), 1,
                values.columns.map(\.field))
            return Stream(vertices: [vertex], columns: values.columns, isBounded: true, isChangelog: false)
        case .project(_, let p): return addCalc(nil, p, after: inputs[0])
        case .filter(let input, let e): return addCalc(e, .columns(Array(input.columns.indices), of: input.columns), after: inputs[0])
        case .calc(_, let filter, let p): return addCalc(filter, p, after: inputs[0])
        case .windowTable(_, let w):
            return try addWindowTable(w, inputs[0])
        case .windowAggregate(_, let a): return try add(a, inputs[0])
        case .aggregate(_, let a): return try add(a, inputs[0])
        case .join(_, _, let j): return try add(j, inputs[0], inputs[1])
        case .union(_, let columns):
            return Stream(
                vertices: inputs.flatMap(\.vertices), columns: columns, isBounded: inputs.allSatisfy(\.isBounded),
                isChangelog: inputs.contains(where: \.isChangelog), updatedBy: inputs.lazy.compactMap(\.updatedBy).first)
        case .sort(_, let s): return try add(s, inputs[0])
        case .step(let step, _): return try step.build(&self, inputs)
        }
    }

    private mutating func addCalc(_ filter: Expr?, _ p: LogicalPlan.Projection, after stream: Stream) -> Stream {
        if ([filter].compactMap { $0 } + p.exprs).contains(where: \.readsWatermark) { return addWatermarkCalc(filter, p, after: stream) }
        return addStep(
            Self.calcName(filter, p, stream.columns), after: stream, .forward, p.columns,
            Operators.calc(filter: filter, projection: p.exprs, context: evaluation))
    }

    static func calcName(_ filter: Expr?, _ p: LogicalPlan.Projection, _ input: [PlanColumn]) -> String {
        let select = p.isIdentity && p.exprs.count == input.count || p.exprs.isEmpty ? "" : "select " + ExprText.projection(p, input)
        return [filter.map { "where " + ExprText.of($0, input) } ?? "", select].filter { !$0.isEmpty }.joined(separator: ", ")
    }

    private mutating func add(_ a: LogicalPlan.Aggregate, _ stream: Stream) throws -> Stream {
        var spec = GroupAggregateSpec(
            inputSchema: stream.columns.map(\.field), keys: a.keys, aggregates: a.aggregates, inputChanges: stream.isChangelog,
            stateTTL: timeToLive(a.stateTTL), miniBatch: try settings.aggregation.miniBatch())
        spec.emitUpdateBefore = emitsUpdateBefore
        let name = Self.aggregationName(a.keys.isEmpty ? "" : "GROUP BY", a.keys, a.aggregates, stream.columns)
        var output: Stream
        if spec.miniBatch != nil, settings.aggregation.phases != .one, settings.parallelism > 1, spec.supportsTwoPhase {
            let partial = try spec.partialSchema().map { PlanColumn($0.name, $0.type, nullable: $0.nullable) }
            let local = addStep("local " + name, after: stream, .forward, partial, Operators.localGroupAggregate(spec))
            transparent.formUnion(local.vertices)
            output = addStep(name, after: local, .keys(Array(a.keys.indices)), a.columns, Operators.globalGroupAggregate(spec))
        } else {
            output = addStep(name, after: stream, .keys(a.keys), a.columns, Operators.groupAggregate(spec))
        }
        // Over inserts alone, rows without aggregates come once and never change.
        if !a.aggregates.isEmpty || stream.isChangelog {
            output.isChangelog = true
            output.updatedBy = "GroupAggregate(\(LogicalPlan.aggregation(keys: a.keys, a.aggregates, stream.columns)))"
        }
        return output
    }

    /// How long keyed state is kept: as a hint says, else as the session says; nil = for ever.
    func timeToLive(_ hint: Duration?) -> Duration? {
        let length = hint ?? settings.stateTTL
        return length == .zero ? nil : length
    }

    static func aggregationName(_ head: String, _ keys: [Int], _ calls: [AggregateCall], _ input: [PlanColumn]) -> String {
        let by = keys.map { input[$0].name }.joined(separator: ", ")
        let compute = calls.map { ExprText.aggregate($0, input) }.joined(separator: ", ")
        let left = [head, by].filter { !$0.isEmpty }.joined(separator: " ")
        return [left, compute].filter { !$0.isEmpty }.joined(separator: ": ")
    }

    private mutating func add(_ a: LogicalPlan.WindowAggregate, _ stream: Stream) throws -> Stream {
        guard case .time(let window, let time) = a.assignment else { preconditionFailure("windows are assigned by the optimiser") }
        var spec = WindowAggregateSpec(
            inputSchema: stream.columns.map(\.field), keys: a.keys, timeColumn: time, window: window,
            aggregates: a.aggregates, properties: a.properties, timeZone: settings.timeZone,
            inputChanges: stream.isChangelog)
        (spec.attachedTimeType, spec.emission) = (a.attachedTimeType, a.emission)
        if case .windowEnd(let origin) = stream.columns[time].role, origin.isProcessingTime {
            throw StreamError(
                .plan, "not supported yet: grouping by windows of processing time that rows carry", fix: "group right over the window function, by "
                    + "window_start and window_end, and filter the result")
        }
        spec.isProcessingTime = a.attachedTimeType == nil && stream.columns[time].isProcessingTime
        if case .session = window, !spec.isProcessingTime { cutBeforeTouchingRows(stream) }
        let name = Self.aggregationName(ExprText.window(window) + ExprText.emission(a.emission), a.keys, a.aggregates, stream.columns)
        var output: Stream
        if settings.parallelism > 1, spec.supportsTwoPhase {
            let partial = try spec.partialSchema().map { PlanColumn($0.name, $0.type, nullable: $0.nullable) }
            let local = addStep("local " + name, after: stream, .forward, partial, Operators.localWindowAggregate(spec))
            transparent.formUnion(local.vertices)
            output = addStep(name, after: local, .keys(Array(a.keys.indices)), a.columns, Operators.globalWindowAggregate(spec))
        } else {
            output = addStep(name, after: stream, .keys(a.keys), a.columns, Operators.windowAggregate(spec))
        }
        output.isChangelog = a.emission != nil
        output.updatedBy = a.emission.map { _ in "WindowAggregate(\(LogicalPlan.aggregation(a, stream.columns)))" }
        return output
    }

    private mutating func add(_ j: LogicalPlan.Join, _ left: Stream, _ right: Stream) throws -> Stream {
        let spec = JoinSpec(
            leftSchema: left.columns.map(\.field), rightSchema: right.columns.map(\.field), leftKeys: j.leftKeys, rightKeys: j.rightKeys,
            leftTTL: timeToLive(j.leftTTL), rightTTL: timeToLive(j.rightTTL), kind: j.kind, nullSafeKeys: j.nullSafeKeys, condition: j.condition)
        let on = LogicalPlan.joinParts(j, left.columns, right.columns).joined(separator: " AND ")
        let what = j.kind == .inner ? "" : j.kind.rawValue + " "
        let vertex = addVertex(
            on.isEmpty ? (j.kind == .inner ? "cross join" : what + "join") : what + "join on \(on)", .transform(Operators.join(spec, context: evaluation)),
            j.leftKeys.isEmpty ? 1 : settings.parallelism, j.columns.map(\.field))
        connect(left, to: vertex, input: 0, .keys(j.leftKeys))
        connect(right, to: vertex, input: 1, .keys(j.rightKeys))
        let updatesItself = ![.inner, .semi].contains(j.kind)
        return Stream(
            vertices: [vertex], columns: j.columns, isBounded: left.isBounded && right.isBounded,
            isChangelog: updatesItself || left.isChangelog || right.isChangelog,
            updatedBy: left.updatedBy ?? right.updatedBy ?? (updatesItself ? "Join(\(j.kind.rawValue): \(on))" : nil))
    }

    private mutating func add(_ s: LogicalPlan.Sort, _ stream: Stream) throws -> Stream {
        let spec = SortSpec(inputSchema: stream.columns.map(\.field), keys: s.keys, offset: s.offset, limit: s.limit)
        let name = LogicalPlan.sort(.values(.init(rows: [], columns: stream.columns)), s).title
        if let first = s.keys.first, !first.descending, stream.columns[first.column].isTimeAttribute, s.limit == nil, s.offset == 0,
            !stream.isChangelog
        {
            return addStep("Temporal" + name, after: stream, .single, stream.columns, Operators.temporalSort(spec))
        }
        if s.keys.isEmpty && !stream.isChangelog {
            return addStep(name, after: stream, .single, stream.columns, Operators.limit(offset: s.offset, limit: s.limit))
        }
        guard stream.isBounded else {
            throw StreamError(
                .plan,
                s.keys.isEmpty
                    ? "LIMIT over a query that updates its rows needs bounded input"
                    : "ORDER BY needs bounded input, but this query reads a stream that does not end",
                fix: s.keys.isEmpty
                    ? "leave LIMIT out, or bound the source" : "order by the time attribute first, leave ORDER BY out, or bound the source")
        }
        var output = addStep(name, after: stream, .single, stream.columns, Operators.sort(spec))
        output.isChangelog = false
        output.updatedBy = nil
        return output
    }

    // MARK: sources

    /// What the scan reads from, made once.
    private mutating func source(for scan: LogicalPlan.Scan) throws -> (key: String, source: any TableSource) {
        let key = SharedScans.key(scan) + "\(scan.used)"
        if let known = sources[key] { return (key, known) }
        let layout = ScanLayout(scan), table = scan.table
        guard let connector = connectors[table.descriptor.options["connector"] ?? ""] else {
            throw StreamError(.validate, "table \(table.name): its connector is not registered")
        }
        var request = ScanRequest(
            projection: layout.physical, metadata: layout.metadata, partitionFilter: scan.partitionFilter,
            parallelism: settings.parallelism, timeZone: settings.timeZone)
        var descriptor = table.descriptor
        if let metadata = BrokenRecords.metadata(of: &descriptor, brokenRecords[SharedScans.key(scan)]) { request.metadata += metadata }
        request.partitionRanges = scan.partitionRanges
        request.filter = scan.filter
        request.partitions = try indexes.lookUp(table, connector, request.wantedPartitions)
        let source: any TableSource
        do {
            source = try connector.source(for: descriptor, scan: request)
        } catch let error as StreamError {
            guard let standIn = missingInput else { throw error }
            source = try standIn(table, error)
        }
        sources[key] = source
        return (key, source)
    }

    mutating func add(_ scan: LogicalPlan.Scan) throws -> Stream {
        let (key, source) = try source(for: scan)
        if let known = scans[key] { return known }
        let layout = ScanLayout(scan)
        let delivered = layout.physical.count + layout.metadata.count
        let errors = brokenRecords[SharedScans.key(scan)].map { _ in ErrorOutput(rowColumns: delivered, marker: delivered) }
        let vertex = SourceVertex(
            source: source, prepare: layout.prepare(evaluation), watermark: try layout.watermark(settings, evaluation), errors: errors)
        let id = addVertex(
            "Source: \(scan.table.path.short) (\(layout.columns.map(\.name).joined(separator: ", ")))", .source(vertex),
            source.parallelism ?? settings.parallelism, layout.columns.map(\.field))
        let stream = Stream(vertices: [id], columns: layout.columns, isBounded: source.isBounded, isChangelog: source.producesChanges)
        scans[key] = stream
        return stream
    }
}
