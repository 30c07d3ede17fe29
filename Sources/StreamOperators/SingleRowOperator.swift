import StreamCore

extension Operators {
    /// Passes rows on and fails once a key has more than one. Its input must be partitioned by the keys.
    public static func singleRow(inputSchema: Schema, keys: [Int]) -> Factory {
        keyed { SingleRowOperator(inputSchema, keys) }
    }
}

/// Counts the rows of each key.
final class SingleRowOperator: KeyedStateOperator {
    private let schema: Schema
    private let keys: [Int]
    private let table: GroupTable
    private let counts = GroupArray<Int64>(fill: 0)
    private let ids = Scratch<Int32>()
    private var context = OperatorContext(name: "")

    init(_ schema: Schema, _ keys: [Int]) {
        (self.schema, self.keys) = (schema, keys)
        table = GroupTable(types: keys.map { schema[$0].type })
    }

    func open(_ context: OperatorContext) { self.context = context }

    func keyColumns(of batch: Batch, input: Int) -> [Column] { keys.map { batch.columns[$0] } }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard !batch.isEmpty else { return .done }
        let n = batch.count, groups = ids.reserve(n)
        table.lookup(keyColumns(of: batch, input: input), rows: batch.selection?.rows, count: n, into: groups)
        counts.reserve(table.count)
        for i in 0..<n {
            let group = Int(groups[i])
            counts.base[group] += batch.kind(atPhysical: batch.row(i)).isAdd ? 1 : -1
            guard counts.base[group] <= 1 else {
                throw StreamError(
                    .runtime, "a sub-query that stands for a value gave more than one row",
                    fix: "make it give one row: with an aggregate such as MAX, with a narrower WHERE, or use IN")
            }
        }
        try output.emit(batch)
        return .done
    }

    private var columns: StateColumns { StateColumns(keys.map { schema[$0] }) + StateColumns([("rows", .bigint)]) }

    var keyedState: KeyedStateForm { KeyedStateForm(keyCount: keys.count, kinds: [.init("rows", columns)]) }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let n = table.count
        guard n > 0 else { return .empty }
        let frozen = FrozenGroups(table.keys, maxParallelism: context.maxParallelism), counts = counts.frozen(0..<n), columns = columns
        return OperatorSnapshot(units: [StateUnit(name: "rows") {
            let count = counts.base.assumingMemoryBound(to: Int64.self)
            let present = (0..<Int32(n)).filter { count[Int($0)] != 0 }
            guard !present.isEmpty else { return [] }
            return withExtendedLifetime(counts) {
                let order = present.withUnsafeBufferPointer { frozen.order($0.baseAddress!, count: $0.count) }
                let sorted = order.ids
                return withExtendedLifetime(sorted) {
                    let made = frozen.keys.columns(sorted.rows, count: sorted.count)
                        + [.make(.bigint, count: sorted.count, zero: Int64(0)) { count[Int(sorted.rows[$0])] }]
                    return order.cut(made, name: "rows", columnNames: columns.names)
                }
            }
        }])
    }

    func restore(_ state: RestoredState) throws {
        try state.forEach { piece in
            guard piece.name == "rows" else { throw piece.unknown(operator: context.name) }
            let found = try columns.columns(of: piece, operator: context.name), n = piece.batch.count
            guard n > 0 else { return }
            let groups = ids.reserve(n)
            table.lookup(Array(found.dropLast()), rows: nil, count: n, into: groups)
            counts.reserve(table.count)
            withExtendedLifetime(found) {
                let given = found[keys.count].pointer(as: Int64.self)
                for i in 0..<n { counts.base[Int(groups[i])] += given[i] }
            }
        }
    }
}
