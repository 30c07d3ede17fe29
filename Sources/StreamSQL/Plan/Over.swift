import StreamCore
import StreamExpressions
import StreamOperators

/// Window functions: each row with what its functions make of the rows up to it.
public struct Over: PlanStep {
    public var partition: [Int]
    public var order: [SortSpec.Key]
    public var frame: OverFrame
    public var calls: [OverCall]
    /// The input's, then the calls'.
    public var columns: [PlanColumn]

    public func title(_ inputs: [[PlanColumn]]) -> String {
        let input = inputs[0]
        var parts: [String] = []
        if !partition.isEmpty { parts.append("by: " + partition.map { input[$0].name }.joined(separator: ", ")) }
        if !order.isEmpty { parts.append("order: " + order.map { ExprText.sortKey($0, input) }.joined(separator: ", ")) }
        if calls.contains(where: { if case .aggregate = $0 { true } else { false } }) { parts.append(frameText) }
        parts.append("compute: " + calls.map { Self.text($0, input) }.joined(separator: ", "))
        return "Over(\(parts.joined(separator: ", ")))"
    }

    private var frameText: String {
        let kind = frame.isRange ? "range" : "rows"
        guard let n = frame.preceding else { return "\(kind) unbounded" }
        return frame.isRange ? "\(kind) \(ExprText.length(n))" : "\(kind) \(n)"
    }

    private static func text(_ call: OverCall, _ input: [PlanColumn]) -> String {
        switch call {
        case .aggregate(let call): ExprText.aggregate(call, input)
        case .rowNumber: "ROW_NUMBER()"
        case .rank: "RANK()"
        case .denseRank: "DENSE_RANK()"
        case .lag(let column, _, let offset, let otherwise): "LAG(\(input[column].name), \(offset)\(otherwise.map { ", " + input[$0].name } ?? ""))"
        }
    }

    // MARK: rewriting

    public func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        let width = inputs[0].columns.count
        var kept = calls.indices.filter { needed.contains(width + $0) }
        // Which rows come out, and when, is part of what it does.
        if kept.isEmpty { kept = [0] }
        let read = needed.filter { $0 < width }.union(partition).union(order.map(\.column)).union(kept.flatMap { calls[$0].columns })
        let (below, inputMap) = pruning.prune(inputs[0], read)
        var copy = self
        copy.partition = partition.map { inputMap[$0]! }
        copy.order = order.map { SortSpec.Key(column: inputMap[$0.column]!, descending: $0.descending, nullsFirst: $0.nullsFirst) }
        copy.calls = kept.map { calls[$0].mapColumns { inputMap[$0]! } }
        copy.columns = below.columns + kept.map { columns[width + $0] }
        var map = inputMap
        for (k, i) in kept.enumerated() { map[width + i] = below.columns.count + k }
        return (.step(copy, [below]), map)
    }

    /// A condition on the partition keeps or drops all rows of a partition.
    public func pushed(_ conditions: [Expr], _ inputs: [[PlanColumn]]) -> (below: [[Expr]], above: [Expr]) {
        let passes = { (e: Expr) in !e.columns.isEmpty && e.columns.isSubset(of: partition) && e.isDeterministic }
        return ([conditions.filter(passes)], conditions.filter { !passes($0) })
    }

    // MARK: changelog

    /// By the time attribute alone, ascending, over rows that are never taken back: rows come out once and for all.
    func isByTime(_ input: [PlanColumn]) -> Bool {
        order.count == 1 && !order[0].descending && input[order[0].column].isTimeAttribute
    }

    /// As the rows come: each row comes out at once.
    private func isByArrival(_ input: [PlanColumn]) -> Bool {
        order.isEmpty || order.count == 1 && !order[0].descending && input[order[0].column].isProcessingTime
    }

    public func modifications(_ inputs: [Modifications]) throws -> Modifications {
        guard inputs[0].isInsertOnly else { return .all }
        return isByTime(columns) || isByArrival(columns) ? .insert : [.insert, .update]
    }

    public func upsertKeys(_ inputs: [[Set<Int>]]) -> [Set<Int>] { inputs[0] }

    // MARK: running

    public func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        let stream = inputs[0]
        let way: OverSpec.Order =
            if !stream.isChangelog, isByTime(stream.columns) {
                .eventTime(column: order[0].column)
            } else if !stream.isChangelog, isByArrival(stream.columns) {
                .arrival
            } else {
                .keys(order)
            }
        if case .keys = way, frame.preceding != nil, frame.isRange, !isByTime(stream.columns) {
            throw StreamError(
                .plan, "OVER windows' ordering in stream mode must be defined on a time attribute for RANGE with an interval",
                fix: "begin the window with UNBOUNDED PRECEDING")
        }
        let spec = OverSpec(
            inputSchema: stream.columns.map(\.field), partition: partition, order: way, frame: frame, calls: calls,
            inputChanges: stream.isChangelog, emitsUpdateBefore: builder.emitsUpdateBefore, stateTTL: builder.timeToLive(nil))
        let mode: String =
            switch way {
            case .eventTime: ""
            case .arrival: "Arrival"
            case .keys: "Retract"
            }
        let result = builder.addStep(mode + title([stream.columns]), after: stream, .keys(partition), columns, Operators.over(spec))
        builder.keepsDistribution(partition, of: result)
        return result
    }
}

extension OverCall {
    func mapColumns(_ map: (Int) -> Int) -> OverCall {
        switch self {
        case .aggregate(let call): .aggregate(call.mapColumns(map))
        case .rowNumber, .rank, .denseRank: self
        case .lag(let column, let type, let offset, let otherwise):
            .lag(column: map(column), type: type, offset: offset, otherwise: otherwise.map(map))
        }
    }
}
