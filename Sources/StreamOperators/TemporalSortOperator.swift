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
    private var held = HeldBatches()
    private let versions = VersionCounter()
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

    func open(_ context: OperatorContext) {
        self.context = context
        versions.start(at: context.now())
    }

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
        guard held.rowCount > 0, earliestHeld <= watermark.milliseconds else { return .done }
        let all = Batch(columns: held.joined(spec.inputSchema.count), physicalCount: held.rowCount)
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
        held.replaceAll(later.isEmpty ? [] : [part(later)])
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

    private static let progress = StateColumns([("last_emitted", .bigint)])

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let progress = KeyGroupState.broadcast("progress", Self.progress, rows: [[lastEmitted]])
        return OperatorSnapshot(units: [StateUnit(name: "progress") { [progress] }] + held.units(spec.inputSchema, versions))
    }

    func restore(_ state: RestoredState) throws {
        var rows: [KeyGroupState] = []
        try state.forEach { piece in
            switch piece.name {
            case "progress":
                let last = try Self.progress.columns(of: piece, operator: context.name)[0]
                for row in 0..<last.count { lastEmitted = max(lastEmitted, last.pointer(as: Int64.self)[row]) }
            case "rows": rows.append(piece)
            default: throw piece.unknown(operator: context.name)
            }
        }
        try held.restore(rows, spec.inputSchema, operator: context.name)
        for batch in held.batches {
            let column = batch.columns[timeColumn]
            for i in 0..<batch.count { earliestHeld = min(earliestHeld, column.pointer(as: Int64.self)[i]) }
        }
    }
}
