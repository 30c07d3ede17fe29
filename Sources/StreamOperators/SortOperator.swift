import StreamCore

/// ORDER BY ... LIMIT over bounded input: holds all rows and emits them in order at the end. With a limit over input that
/// takes nothing back it holds a few times the limit only.
final class SortOperator: StreamOperator {
    private let spec: SortSpec
    private var context = OperatorContext(name: "sort")
    private var held = HeldBatches()
    private let versions = VersionCounter()
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

    func open(_ context: OperatorContext) {
        self.context = context
        versions.start(at: context.now())
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard batch.count > 0 else { return .done }
        let batch = batch.compacted()
        noteChanges(batch)
        held.append(batch)
        if let limit = spec.limit, !hasChanges {
            let wanted = spec.offset + limit
            if held.rowCount > max(2 * wanted, 65_536) { keepFirst(wanted) }
        }
        return .done
    }

    private func noteChanges(_ batch: Batch) {
        if let kinds = batch.rowKinds?.pointer(as: UInt8.self), (0..<batch.count).contains(where: { kinds[$0] & 1 == 1 }) { hasChanges = true }
    }

    private func order(_ columns: [Column], _ n: Int) -> [Int32] {
        spec.keys.isEmpty ? Array(0..<Int32(n)) : SortKeys(columns, keys: spec.keys, count: n).order()
    }

    /// Drops what cannot be among the first `n` rows any more. Equal rows stay in order of arrival.
    private func keepFirst(_ n: Int) {
        let columns = held.joined(spec.inputSchema.count)
        let first = order(columns, held.rowCount).prefix(n).sorted()
        held.replaceAll(first.isEmpty ? [] : [first.withUnsafeBufferPointer { rows in
            Batch(columns: columns.map { $0.gather(rows.baseAddress!, count: rows.count) }, physicalCount: rows.count)
        }])
    }

    func finish(input: Int, output: any Output) throws -> Progress {
        if hasChanges { netOut() }
        guard held.rowCount > 0 else { return .done }
        let columns = held.joined(spec.inputSchema.count)
        var order = order(columns, held.rowCount)
        let end = spec.limit.map { min(order.count, spec.offset + $0) } ?? order.count
        order = spec.offset < end ? Array(order[spec.offset..<end]) : []
        held.replaceAll([])
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
        for batch in held.batches {
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
        held.replaceAll(held.batches.compactMap { batch in
            let rows = (0..<Int32(batch.count)).filter { kept[at + Int($0)] }
            at += batch.count
            guard !rows.isEmpty else { return nil }
            return Batch(columns: batch.columns, physicalCount: batch.physicalCount, selection: Selection(rows)).compacted()
        })
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

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { OperatorSnapshot(units: held.units(spec.inputSchema, versions)) }

    func restore(_ state: RestoredState) throws {
        let pieces = try state.loaded()
        if let other = pieces.first(where: { $0.name != "rows" }) { throw other.unknown(operator: context.name) }
        try held.restore(pieces, spec.inputSchema, operator: context.name)
        for batch in held.batches { noteChanges(batch) }
    }
}
