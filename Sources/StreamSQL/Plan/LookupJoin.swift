import StreamCore
import StreamExpressions
import StreamOperators

/// A join of each row with what a table has for its key when the row is processed; see ``Operators/lookupJoin(_:_:)``.
struct LookupJoin: PlanStep {
    var table: CatalogTable
    /// Columns of the table that are given, and all of those that `condition` may read.
    var used: [Int]
    /// Columns of the table, each with its value over the input's columns.
    var keys: [(column: Int, value: Expr)]
    var isLeft: Bool
    /// Over the input's columns and then those of `used`.
    var condition: Expr?
    var columns: [PlanColumn]

    func title(_ inputs: [[PlanColumn]]) -> String {
        var parts = keys.map { "\(table.columns[$0.column].name) = \(ExprText.of($0.value, inputs[0]))" }
        if let condition { parts.append(ExprText.of(condition, columns)) }
        let given = used.map { table.columns[$0].name }.joined(separator: ", ")
        return "LookupJoin(\(isLeft ? "left" : "inner") \(table.name): \(parts.joined(separator: " AND ")), select \(given))"
    }

    // MARK: rewriting

    func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        let width = inputs[0].columns.count
        let all = needed.union(condition?.columns ?? [])
        let read = keys.reduce(all.filter { $0 < width }) { $0.union($1.value.columns) }
        let (below, inputMap) = pruning.prune(inputs[0], read)
        let kept = used.indices.filter { all.contains(width + $0) }
        var map = inputMap
        for (new, old) in kept.enumerated() { map[width + old] = below.columns.count + new }
        var copy = self
        copy.used = kept.map { used[$0] }
        copy.keys = keys.map { ($0.column, $0.value.mapColumns { inputMap[$0]! }) }
        copy.condition = condition?.mapColumns { map[$0]! }
        copy.columns = below.columns + kept.map { columns[width + $0] }
        return (.step(copy, [below]), map)
    }

    func pushed(_ conditions: [Expr], _ inputs: [[PlanColumn]]) -> (below: [[Expr]], above: [Expr]) {
        let width = inputs[0].count
        func isOfInput(_ e: Expr) -> Bool { !e.columns.isEmpty && e.isDeterministic && e.columns.allSatisfy { $0 < width } }
        return ([conditions.filter(isOfInput)], conditions.filter { !isOfInput($0) })
    }

    func mappingExpressions(_ map: (Expr) -> Expr) -> any PlanStep {
        var copy = self
        copy.keys = keys.map { ($0.column, map($0.value)) }
        copy.condition = condition.map(map)
        return copy
    }

    // MARK: running

    func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        let identifier = table.descriptor.options["connector"] ?? ""
        guard let connector = builder.connectors[identifier] as? any LookupConnector else {
            throw StreamError(
                .plan, "table \(table.name): looking rows up as of processing time is not supported yet for connector '\(identifier)'",
                fix: "use one of the connectors that can: "
                    + builder.connectors.filter { $0.value is any LookupConnector }.keys.sorted().joined(separator: ", ")
                    + "; or join as of an event-time attribute")
        }
        let layout = ScanLayout(.init(table: table, used: used))
        guard layout.metadata.isEmpty else {
            throw StreamError(.plan, "table \(table.name): metadata columns cannot be looked up", fix: "leave them out of the query")
        }
        let keyColumns = keys.map { table.physicalIndex(of: $0.column) }
        // Key columns that nobody reads are read last.
        let read = layout.physical + keyColumns.filter { !layout.physical.contains($0) }.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        let types = read.map { table.descriptor.schema[$0].type }
        let access = try connector.lookup(
            for: table.descriptor, request: LookupRequest(keys: keyColumns, projection: read, timeZone: builder.settings.timeZone))
        let caches: [LookupOptions.Cache] = if case .whole = access { [.full] } else { [.none, .partial] }
        let options = try LookupOptions(table.descriptor, caches: caches)
        let delivered = layout.physical.count, prepare = layout.prepare(builder.evaluation)
        let withoutKeys: @Sendable () throws -> (Batch) throws -> Batch = {
            let inner = try prepare?()
            return { batch in
                let own = Batch(columns: Array(batch.columns[..<delivered]), physicalCount: batch.physicalCount)
                return try inner?(own) ?? own
            }
        }
        let spec = LookupJoinSpec(
            inputSchema: inputs[0].columns.map(\.field), keys: keys.map(\.value), access: access, options: options, readTypes: types,
            keyPlaces: keyColumns.map { read.firstIndex(of: $0)! },
            prepare: read.count == delivered ? prepare : withoutKeys,
            tableTypes: layout.columns.map(\.type), condition: condition, keepsUnmatched: isLeft)
        return builder.addStep(
            title(inputs.map(\.columns)), after: inputs[0], .forward, columns, Operators.lookupJoin(spec, builder.evaluation))
    }
}
