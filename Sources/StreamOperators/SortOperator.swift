import StreamCore

/// ORDER BY ... LIMIT over bounded input: holds all rows and emits them in order at the end. With a limit over input that
/// takes nothing back it holds a few times the limit only.
final class SortOperator: StreamOperator {
    private let spec: SortSpec
    private var context = OperatorContext(name: "sort")
    /// Compacted batches in order of arrival.
    private var held: [Batch] = []
    private var heldRows = 0
    private var hasChanges = false
    private var sorted: (columns: [Column], order: [Int32])?
    private var emitted = 0

    init(_ spec: SortSpec) throws {
        try SortKeys.check(spec)
        guard spec.offset >= 0, spec.limit ?? 0 >= 0 else {
            throw StreamError(.validate, "LIMIT \(spec.limit ?? 0) OFFSET \(spec.offset) is negative", fix: "give numbers of at least 0")
        }
        self.spec = spec
    }

    func open(_ context: OperatorContext) { self.context = context }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard batch.count > 0 else { return .done }
        let batch = batch.compacted()
        if let kinds = batch.rowKinds?.pointer(as: UInt8.self), (0..<batch.count).contains(where: { kinds[$0] & 1 == 1 }) { hasChanges = true }
        held.append(batch)
        heldRows += batch.count
        if let limit = spec.limit, !hasChanges {
            let wanted = spec.offset + limit
            if heldRows > max(2 * wanted, 65_536) { keepFirst(wanted) }
        }
        return .done
    }

    private func joined() -> [Column] {
        spec.inputSchema.indices.map { c in Column.concatenated(held.map { $0.columns[c] }) }
    }

    private func order(_ columns: [Column], _ n: Int) -> [Int32] {
        spec.keys.isEmpty ? Array(0..<Int32(n)) : SortKeys(columns, keys: spec.keys, count: n).order()
    }

    /// Drops what cannot be among the first `n` rows any more. Equal rows stay in order of arrival.
    private func keepFirst(_ n: Int) {
        let columns = joined()
        let first = order(columns, heldRows).prefix(n).sorted()
        held = first.isEmpty ? [] : [first.withUnsafeBufferPointer { rows in
            Batch(columns: columns.map { $0.gather(rows.baseAddress!, count: rows.count) }, physicalCount: rows.count)
        }]
        heldRows = first.count
    }

    func finish(input: Int, output: any Output) throws -> Progress {
        if hasChanges { netOut() }
        guard heldRows > 0 else { return .done }
        let columns = joined()
        var order = order(columns, heldRows)
        let end = spec.limit.map { min(order.count, spec.offset + $0) } ?? order.count
        order = spec.offset < end ? Array(order[spec.offset..<end]) : []
        held = []
        sorted = (columns, order)
        emitted = 0
        return try resume(output)
    }

    /// Takes the latest equal row away for each row that was taken back.
    private func netOut() {
        let table = GroupTable(types: spec.inputSchema.map(\.type))
        let ids = Scratch<Int32>()
        var open: [[Int32]] = []
        var kept: [Bool] = []
        for batch in held {
            let n = batch.count, groups = ids.reserve(n)
            table.lookup(batch.columns, rows: nil, count: n, into: groups)
            while open.count < table.count { open.append([]) }
            for i in 0..<n {
                let group = Int(groups[i])
                if batch.kind(atPhysical: i).isAdd {
                    open[group].append(Int32(kept.count))
                    kept.append(true)
                } else {
                    if let row = open[group].popLast() { kept[Int(row)] = false }
                    kept.append(false)
                }
            }
        }
        var at = 0
        held = held.compactMap { batch in
            let rows = (0..<Int32(batch.count)).filter { kept[at + Int($0)] }
            at += batch.count
            guard !rows.isEmpty else { return nil }
            return Batch(columns: batch.columns, physicalCount: batch.physicalCount, selection: Selection(rows)).compacted()
        }
        heldRows = held.reduce(0) { $0 + $1.count }
    }

    func resume(_ output: any Output) throws -> Progress {
        guard let (columns, order) = sorted else { return .done }
        try order.withUnsafeBufferPointer { order in
            while emitted < order.count, output.isReady {
                let n = min(Batch.targetRows, order.count - emitted)
                let rows = order.baseAddress! + emitted
                try output.emit(Batch(columns: columns.map { $0.gather(rows, count: n) }, physicalCount: n))
                emitted += n
            }
        }
        guard emitted == order.count else { return .more }
        sorted = nil
        return .done
    }

    // MARK: State

    /// All rows are of key group 0: a sort runs in one subtask.
    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { OperatorSnapshot(try keyGroupStates()) }

    private func keyGroupStates() throws -> [KeyGroupState] { held.map { KeyGroupState(keyGroup: 0, name: "rows", batch: $0) } }

    func restore(_ state: RestoredState) throws {
        let state = try state.loaded()
        for piece in state where piece.batch.count > 0 {
            let batch = piece.batch.compacted()
            if batch.rowKinds != nil { hasChanges = true }
            held.append(batch)
            heldRows += batch.count
        }
    }
}
