import StreamCore
import StreamExpressions
import StreamOperators

/// MATCH_RECOGNIZE with one row per match.
public struct MatchStep: PlanStep {
    public var keys: [Int]
    /// The time attribute that rows are ordered by, and what orders rows of one time.
    public var time: Int, order: [SortSpec.Key]
    public var variables: [String]
    public var pattern: [MatchSpec.Element]
    public var conditions: [MatchSpec.Condition?]
    public var navigations: [MatchSpec.Navigation]
    public var aggregates: [MatchSpec.Aggregate]
    public var measures: [Expr]
    public var skip: MatchSpec.Skip
    public var within: Int64?
    /// The keys', then the measures'.
    public var columns: [PlanColumn]

    public func title(_ inputs: [[PlanColumn]]) -> String {
        let input = inputs[0]
        let values = navigations.map { navigation -> PlanColumn in
            let name = (navigation.variable.map { variables[$0] + "." } ?? "") + input[navigation.column].name
            let text = navigation.fromLast && navigation.offset == 0 ? name
                : "\(navigation.fromLast ? "LAST" : "FIRST")(\(name)\(navigation.offset == 0 ? "" : ", \(navigation.offset)"))"
            return PlanColumn(text, input[navigation.column].type)
        } + aggregates.map { aggregate in
            PlanColumn(ExprText.aggregate(aggregate.call, input) + (aggregate.variable.map { " of \(variables[$0])" } ?? ""), aggregate.call.resultType)
        }
        var parts: [String] = []
        if !keys.isEmpty { parts.append("by: " + keys.map { input[$0].name }.joined(separator: ", ")) }
        parts.append("order: " + ([input[time].name] + order.map { ExprText.sortKey($0, input) }).joined(separator: ", "))
        parts.append("pattern: " + pattern.map(text).joined(separator: " "))
        if let within { parts.append("within: " + ExprText.length(within)) }
        parts.append("skip: " + skipText)
        let defined = conditions.enumerated().compactMap { v, condition in
            switch condition {
            case nil: nil
            case .row(let e): "\(variables[v]) AS \(ExprText.of(e, input))"
            case .history(let e): "\(variables[v]) AS \(ExprText.of(e, values))"
            } as String?
        }
        if !defined.isEmpty { parts.append("define: " + defined.joined(separator: ", ")) }
        if !measures.isEmpty { parts.append("measures: " + measures.map { ExprText.of($0, values) }.joined(separator: ", ")) }
        return "Match(\(parts.joined(separator: "; ")))"
    }

    private func text(_ element: MatchSpec.Element) -> String {
        let quantifier: String =
            switch (element.minimum, element.maximum) {
            case (1, 1): ""
            case (0, 1): "?"
            case (0, nil): "*"
            case (1, nil): "+"
            case (let n, nil): "{\(n),}"
            case (let n, let m?): n == m ? "{\(n)}" : "{\(n),\(m)}"
            }
        return variables[element.variable] + quantifier + (element.isGreedy || quantifier.isEmpty ? "" : "?")
    }

    private var skipText: String {
        switch skip {
        case .pastLastRow: "past last row"
        case .toNextRow: "to next row"
        case .toFirst(let v): "to first \(variables[v])"
        case .toLast(let v): "to last \(variables[v])"
        }
    }

    // MARK: rewriting

    public func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        var used = Set(keys + [time] + order.map(\.column) + navigations.map(\.column))
        for aggregate in aggregates { used.formUnion(aggregate.call.arguments) }
        for case .row(let e)? in conditions { used.formUnion(e.columns) }
        let kept = used.sorted()
        let place = Dictionary(uniqueKeysWithValues: kept.enumerated().map { ($1, $0) })
        var copy = self
        copy.keys = keys.map { place[$0]! }
        copy.time = place[time]!
        copy.order = order.map { SortSpec.Key(column: place[$0.column]!, descending: $0.descending, nullsFirst: $0.nullsFirst) }
        for i in navigations.indices { copy.navigations[i].column = place[navigations[i].column]! }
        for i in aggregates.indices { copy.aggregates[i].call = aggregates[i].call.mapColumns { place[$0]! } }
        copy.conditions = conditions.map { if case .row(let e)? = $0 { .row(e.mapColumns { place[$0]! }) } else { $0 } }
        return (.step(copy, [pruning.exactly(kept, of: inputs[0])]), Dictionary(uniqueKeysWithValues: columns.indices.map { ($0, $0) }))
    }

    /// Conditions on the keys leave out whole keys.
    public func pushed(_ conditions: [Expr], _ inputs: [[PlanColumn]]) -> (below: [[Expr]], above: [Expr]) {
        func isOfKeys(_ e: Expr) -> Bool { !e.columns.isEmpty && e.isDeterministic && e.columns.allSatisfy { $0 < keys.count } }
        return ([conditions.filter(isOfKeys).map { $0.mapColumns { keys[$0] } }], conditions.filter { !isOfKeys($0) })
    }

    public func mappingExpressions(_ map: (Expr) -> Expr) -> any PlanStep {
        var copy = self
        copy.measures = measures.map(map)
        copy.conditions = conditions.map { condition in
            switch condition {
            case nil: nil
            case .row(let e): .row(map(e))
            case .history(let e): .history(map(e))
            }
        }
        return copy
    }

    // MARK: changelog

    public func modifications(_ inputs: [Modifications]) throws -> Modifications {
        guard inputs[0].isInsertOnly else {
            throw StreamError(
                .plan, "MATCH_RECOGNIZE doesn't support consuming update and delete changes",
                fix: "use it on a table that only grows, or aggregate in windows first")
        }
        return .insert
    }

    // MARK: running

    public func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        let input = inputs[0].columns
        let spec = MatchSpec(
            inputSchema: input.map(\.field), keys: keys, timeColumn: input[time].isProcessingTime ? nil : time, order: order, variables: variables,
            pattern: pattern, conditions: conditions, navigations: navigations, aggregates: aggregates, measures: measures, skip: skip, within: within,
            outputSchema: columns.map(\.field))
        return builder.addStep(
            title(inputs.map(\.columns)), after: inputs[0], .keys(keys), columns, Operators.match(spec, context: builder.evaluation))
    }
}
