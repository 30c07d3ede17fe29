import StreamCore
import StreamExpressions

/// Makers of the dataflow operators, one instance per subtask.
///
/// What an operator cannot run is refused here, with a `.validate` error, before the job starts.
public enum Operators {
    public typealias Factory = @Sendable () throws -> any StreamOperator

    /// Keeps the rows that `filter` says true for, then computes `projection` for them. Row kinds are kept.
    public static func calc(filter: Expr?, projection: [Expr], context: EvaluationContext) -> Factory {
        { try CalcOperator(filter: filter, projection: projection, context: context) }
    }

    /// TUMBLE, HOP and CUMULATE in FROM: each row once per window that holds it.
    ///
    /// Output columns: the input's, then window_start and window_end TIMESTAMP(3), then window_time of the time column's type.
    public static func windowTableFunction(inputSchema: Schema, timeColumn: Int, window: WindowSpec, timeZone: String) -> Factory {
        { try WindowTableFunctionOperator(inputSchema: inputSchema, timeColumn: timeColumn, window: window, timeZone: timeZone) }
    }

    /// GROUP BY window, keys in one step. Its input must be partitioned by the keys.
    public static func windowAggregate(_ spec: WindowAggregateSpec) -> Factory {
        if spec.needsPanes { return keyed { try PaneWindowOperator(spec) } }
        return { BackendOperator(memory: try WindowAggregateOperator(spec)) { try StoredWindowAggregateOperator(spec, takesPartials: false) } }
    }

    /// The first of two steps, in front of the exchange: emits rows of ``WindowAggregateSpec/partialSchema()``.
    /// Only for specs that ``WindowAggregateSpec/supportsTwoPhase``.
    public static func localWindowAggregate(_ spec: WindowAggregateSpec) -> Factory {
        { try LocalWindowAggregateOperator(spec) }
    }

    /// The second of two steps, behind the exchange: takes what ``localWindowAggregate(_:)`` of the same spec emits,
    /// partitioned by its first `spec.keys.count` columns.
    public static func globalWindowAggregate(_ spec: WindowAggregateSpec) -> Factory {
        { BackendOperator(memory: try WindowAggregateOperator(globalOf: spec)) { try StoredWindowAggregateOperator(spec, takesPartials: true) } }
    }

    /// GROUP BY without a window; emits a changelog. Its input must be partitioned by the keys.
    public static func groupAggregate(_ spec: GroupAggregateSpec) -> Factory {
        { BackendOperator(memory: try GroupAggregateOperator(spec)) { try StoredGroupAggregateOperator(spec) } }
    }

    /// The first of two steps of a GROUP BY without a window, in front of the exchange: emits rows of
    /// ``GroupAggregateSpec/partialSchema()``. Only for specs that ``GroupAggregateSpec/supportsTwoPhase`` and have a mini-batch.
    public static func localGroupAggregate(_ spec: GroupAggregateSpec) -> Factory {
        { try LocalGroupAggregateOperator(spec) }
    }

    /// The second of two steps: takes what ``localGroupAggregate(_:)`` of the same spec emits, partitioned by its first
    /// `spec.keys.count` columns.
    public static func globalGroupAggregate(_ spec: GroupAggregateSpec) -> Factory {
        {
            BackendOperator(memory: try GroupAggregateOperator(spec, takesPartials: true)) {
                try StoredGroupAggregateOperator(spec, takesPartials: true)
            }
        }
    }

    /// ORDER BY ... LIMIT over bounded input, for one subtask.
    public static func sort(_ spec: SortSpec) -> Factory {
        { try SortOperator(spec) }
    }

    /// Regular join. Input 0 is the left side; both must be partitioned by their keys.
    public static func join(_ spec: JoinSpec, context: EvaluationContext = EvaluationContext()) -> Factory {
        if spec.kind != .inner || spec.condition != nil || !spec.nullSafeKeys.isEmpty {
            return keyed { try OuterJoinOperator(spec, context) }
        }
        return { BackendOperator(memory: try JoinOperator(spec)) { try StoredJoinOperator(spec) } }
    }
}

extension WindowAggregateSpec {
    /// Whether each window of a key has accumulators of its own, rather than slices that windows share.
    var needsPanes: Bool {
        if case .session = window { return true }
        return emission != nil
    }

    /// Whether partial results can be made in front of the exchange: the input is append-only and every aggregate merges.
    public var supportsTwoPhase: Bool {
        !inputChanges && !needsPanes && !isProcessingTime && aggregates.allSatisfy { AggregateRegistry.mergesPartials($0) }
    }

    /// What the local step emits: the keys (names and types of the input), `slice_end` TIMESTAMP(3) in local time (or any time in the slice plus 1 ms), then the
    /// accumulators' columns `acc0`, `acc1`, ...
    public func partialSchema() throws -> Schema {
        let states = try AggregatePlan(aggregates, inputSchema: inputSchema, retracts: false).stateTypes
        return keys.map { inputSchema[$0] } + [Field("slice_end", .timestamp(3), nullable: false)]
            + states.enumerated().map { Field("acc\($0.offset)", $0.element) }
    }

    /// Types of the output: keys, aggregates, properties.
    public var outputTypes: [DataType] {
        keys.map { inputSchema[$0].type } + aggregates.map(\.resultType)
            + properties.map { $0 == .time ? timeType : .timestamp(3) }
    }
}

extension GroupAggregateSpec {
    /// Whether partial results can be made in front of the exchange: every aggregate merges, also what is taken back.
    public var supportsTwoPhase: Bool {
        aggregates.allSatisfy { AggregateRegistry.mergesPartials($0) && !(inputChanges && ["MIN", "MAX"].contains($0.function)) }
    }

    /// What the local step emits: the keys, then the accumulators' columns `acc0`, `acc1`, ...
    public func partialSchema() throws -> Schema {
        let states = try AggregatePlan(aggregates, inputSchema: inputSchema, retracts: inputChanges).stateTypes
        return keys.map { inputSchema[$0] } + states.enumerated().map { Field("acc\($0.offset)", $0.element) }
    }

    /// Types of the output: keys, aggregates.
    public var outputTypes: [DataType] { keys.map { inputSchema[$0].type } + aggregates.map(\.resultType) }
}
