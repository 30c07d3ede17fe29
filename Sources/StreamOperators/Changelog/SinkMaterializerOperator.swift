import StreamCore

/// Rows that are known by a primary key.
public struct UpsertSpec: Sendable {
    public var inputSchema: Schema
    /// Columns of the primary key.
    public var keys: [Int]
    /// Updates are given with the row before them.
    public var emitUpdateBefore: Bool
    /// Wall-clock time after its last row at which a key is forgotten; nil = never.
    public var stateTTL: Duration?

    public init(inputSchema: Schema, keys: [Int], emitUpdateBefore: Bool = false, stateTTL: Duration? = nil) {
        self.inputSchema = inputSchema
        self.keys = keys
        self.emitUpdateBefore = emitUpdateBefore
        self.stateTTL = stateTTL
    }
}

extension Operators {
    /// In front of a sink whose primary key is not what the query knows its rows by: of the rows with one key that were added and not
    /// taken back, the last one counts. Takes -U; emits +I, +U and -D. Its input must be partitioned by the keys.
    public static func sinkMaterializer(_ spec: UpsertSpec) -> Factory { keyed { SinkMaterializerOperator(spec) } }
}

final class SinkMaterializerOperator: KeyedStateOperator {
    private let spec: UpsertSpec
    private let state: RowsByKey
    private var context = OperatorContext(name: "sink materializer")
    private var changes = ChangeList()

    init(_ spec: UpsertSpec) {
        self.spec = spec
        state = RowsByKey(schema: spec.inputSchema, keys: spec.keys, timeToLive: spec.stateTTL?.wholeMilliseconds)
    }

    var keyedState: KeyedStateForm { state.form }
    func keyColumns(of batch: Batch, input: Int) -> [Column] { spec.keys.map { batch.columns[$0] } }

    func open(_ context: OperatorContext) {
        self.context = context
        state.start(at: context.now())
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let batch = batch.compacted(), n = batch.count
        guard n > 0 else { return .done }
        let groups = state.groups(batch.columns, rows: nil, count: n, now: context.now())
        var numbers = [Int32](repeating: 0, count: n)
        numbers.withUnsafeMutableBufferPointer { state.arena.add(batch.columns, rows: nil, count: n, into: $0.baseAddress!) }
        for i in 0..<n {
            if batch.kind(atPhysical: i).isAdd { add(numbers[i], groups[i]) } else { takeBack(numbers[i], groups[i]) }
        }
        try changes.emit(state.arena, output)
        return .done
    }

    private func add(_ row: Int32, _ group: Int32) {
        let isFirst = state.update(group) { list in
            list.append(row)
            return list.count == 1
        }
        changes.add(isFirst ? .insert : .updateAfter, row)
    }

    /// A row that is not there, such as one that has been forgotten, is taken back in vain.
    private func takeBack(_ row: Int32, _ group: Int32) {
        changes.removed.append(row)
        let arena = state.arena
        let found: (row: Int32, wasLast: Bool, last: Int32?)? = state.update(group) { list in
            guard let i = list.firstIndex(where: { arena.isEqual($0, row) }) else { return nil }
            let wasLast = i == list.count - 1
            return (list.remove(at: i), wasLast, list.last)
        }
        guard let found else { return }
        changes.removed.append(found.row)
        if found.wasLast {
            if let last = found.last { changes.add(.updateAfter, last) } else { changes.add(.delete, found.row) }
        }
    }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { OperatorSnapshot(units: state.units(maxParallelism: context.maxParallelism)) }
    func restore(_ state: RestoredState) throws { try self.state.restore(state, operator: context.name, now: context.now()) }
}
