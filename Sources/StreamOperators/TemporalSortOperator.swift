import StreamCore

extension Operators {
    /// ORDER BY a time attribute and then other columns, over input that need not end. For one subtask.
    ///
    /// - Parameter spec: its first key is the time column, ascending and of millisecond precision; no offset, no limit.
    public static func temporalSort(_ spec: SortSpec) -> Factory {
        { try TemporalSortOperator(spec) }
    }
}

/// ORDER BY over event time: holds rows until the watermark has passed them, then emits them in order. A row whose time is
/// not after the last one emitted is late: dropped and counted.
final class TemporalSortOperator: StreamOperator {
    private let spec: SortSpec
    private let timeColumn: Int
    private var context = OperatorContext(name: "sort")
    private var held: [Batch] = []
    private var earliestHeld = Int64.max
    private var lastEmitted = Int64.min
    private var due: (columns: [Column], order: [Int32])?
    private var emitted = 0

    init(_ spec: SortSpec) throws {
        try SortKeys.check(spec)
        guard let key = spec.keys.first, !key.descending, spec.inputSchema[key.column].type.timeUnit == .milliseconds, spec.limit == nil,
            spec.offset == 0
        else {
            throw StreamError(.validate, "a sort by event time needs an ascending TIMESTAMP(3) or TIMESTAMP_LTZ(3) first, and no LIMIT")
        }
        self.spec = spec
        timeColumn = key.column
    }

    func open(_ context: OperatorContext) { self.context = context }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard batch.count > 0 else { return .done }
        var batch = batch.compacted()
        let column = batch.columns[timeColumn].flat()
        let times = column.pointer(as: Int64.self)
        var kept: [Int32] = []
        kept.reserveCapacity(batch.count)
        withExtendedLifetime(column) {
            for i in 0..<batch.count where column.isValid(i) && times[i] > lastEmitted {
                kept.append(Int32(i))
                earliestHeld = min(earliestHeld, times[i])
            }
        }
        if kept.count < batch.count {
            context.metrics.lateRows.add(batch.count - kept.count)
            guard !kept.isEmpty else { return .done }
            batch.selection = Selection(kept)
            batch = batch.compacted()
        }
        held.append(batch)
        return .done
    }

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        guard earliestHeld <= watermark.milliseconds else { return .done }
        let all = Batch(
            columns: spec.inputSchema.indices.map { c in Column.concatenated(held.map { $0.columns[c] }) },
            physicalCount: held.reduce(0) { $0 + $1.count })
        let column = all.columns[timeColumn].flat()
        var now: [Int32] = [], later: [Int32] = []
        earliestHeld = .max
        withExtendedLifetime(column) {
            let times = column.pointer(as: Int64.self)
            for i in 0..<all.count {
                if times[i] <= watermark.milliseconds {
                    now.append(Int32(i))
                    lastEmitted = max(lastEmitted, times[i])
                } else {
                    later.append(Int32(i))
                    earliestHeld = min(earliestHeld, times[i])
                }
            }
        }
        func part(_ rows: [Int32]) -> Batch {
            Batch(columns: all.columns, physicalCount: all.physicalCount, selection: Selection(rows)).compacted()
        }
        held = later.isEmpty ? [] : [part(later)]
        let columns = part(now).columns
        due = (columns, SortKeys(columns, keys: spec.keys, count: now.count).order())
        emitted = 0
        return try resume(output)
    }

    func resume(_ output: any Output) throws -> Progress {
        guard let (columns, order) = due else { return .done }
        try order.withUnsafeBufferPointer { order in
            while emitted < order.count, output.isReady {
                let n = min(Batch.targetRows, order.count - emitted)
                try output.emit(Batch(columns: columns.map { $0.gather(order.baseAddress! + emitted, count: n) }, physicalCount: n))
                emitted += n
            }
        }
        guard emitted == order.count else { return .more }
        due = nil
        return .done
    }

    // MARK: State

    /// All of it is of key group 0: the sort runs in one subtask.
    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { OperatorSnapshot(try keyGroupStates()) }

    private func keyGroupStates() throws -> [KeyGroupState] {
        let last = Batch(schema: [Field("last", .bigint)], rows: [[.int(lastEmitted)]])
        return [KeyGroupState(keyGroup: 0, name: "last", batch: last)] + held.map { KeyGroupState(keyGroup: 0, name: "rows", batch: $0) }
    }

    func restore(_ state: RestoredState) throws {
        let state = try state.loaded()
        for piece in state where piece.batch.count > 0 {
            let batch = piece.batch.compacted()
            if piece.name == "last" {
                if case .int(let last) = batch.columns[0].value(at: 0) { lastEmitted = last }
                continue
            }
            let column = batch.columns[timeColumn].flat()
            withExtendedLifetime(column) {
                let times = column.pointer(as: Int64.self)
                for i in 0..<batch.count { earliestHeld = min(earliestHeld, times[i]) }
            }
            held.append(batch)
        }
    }
}
