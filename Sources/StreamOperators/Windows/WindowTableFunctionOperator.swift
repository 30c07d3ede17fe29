import StreamCore

/// TUMBLE, HOP and CUMULATE in FROM: each row once per window that holds it, whatever the watermark.
final class WindowTableFunctionOperator: StreamOperator {
    private let timeColumn: Int
    private let timeName: String
    private let windowing: Windowing
    private var clock: WindowClock
    private let times = Scratch<Int64>()

    /// What is left of a batch: its next row and that row's next window.
    private struct Pending {
        var batch: Batch
        var row = 0
        var nextEnd: Int64?
    }
    private var pending: Pending?

    init(inputSchema: Schema, timeColumn: Int, window: WindowSpec, timeZone: String) throws {
        let field = inputSchema[timeColumn]
        self.timeColumn = timeColumn
        timeName = field.name
        windowing = try Windowing(window)
        clock = try WindowClock(timeType: field.type, timeZone: timeZone, column: field.name)
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard batch.count > 0 else { return .done }
        try WindowTimes.read(batch, column: timeColumn, name: timeName, clock: &clock, into: times.reserve(batch.count))
        pending = Pending(batch: batch)
        return try resume(output)
    }

    func resume(_ output: any Output) throws -> Progress {
        guard var work = pending else { return .done }
        while work.row < work.batch.count {
            guard output.isReady else {
                pending = work
                return .more
            }
            try output.emit(nextBatch(&work))
        }
        pending = nil
        return .done
    }

    private func nextBatch(_ work: inout Pending) -> Batch {
        var rows: [Int32] = [], ends: [Int64] = []
        rows.reserveCapacity(Batch.targetRows)
        ends.reserveCapacity(Batch.targetRows)
        let times = times.base
        while work.row < work.batch.count, rows.count < Batch.targetRows {
            let slice = windowing.slice(of: times[work.row])
            let last = windowing.lastEnd(ofSlice: slice)
            let row = Int32(truncatingIfNeeded: work.batch.row(work.row))
            var end = work.nextEnd ?? slice + 1
            while end <= last, rows.count < Batch.targetRows {
                rows.append(row)
                ends.append(end)
                end += 1
            }
            if end <= last {
                work.nextEnd = end
            } else {
                work.nextEnd = nil
                work.row += 1
            }
        }
        let n = rows.count
        var part = work.batch
        part.selection = Selection(rows)
        part = windowing.isTumbling && n == work.batch.physicalCount ? work.batch : part.compacted()
        part.columns.append(.make(.timestamp(3), count: n, zero: Int64(0)) {
            windowing.time(ofSlice: windowing.firstSlice(ofWindowEnding: ends[$0]))
        })
        part.columns.append(.make(.timestamp(3), count: n, zero: Int64(0)) { windowing.time(ofSlice: ends[$0]) })
        part.columns.append(.make(clock.timeType, count: n, zero: Int64(0)) { clock.instant(windowing.time(ofSlice: ends[$0]) - 1) })
        return part
    }

    /// A batch is through before a barrier is.
    func restore(_ state: RestoredState) throws {}
}
