import StreamCore

/// Runs an operator that goes by event time on the wall clock: rows get the time at which they arrive, and the watermark is the
/// time before it. Event time of the input passes by.
final class WallClockOperator: StreamOperator {
    private let inner: any StreamOperator
    private let timeColumns: [Int]
    /// Milliseconds between two looks at the clock while no rows come.
    private let tick: Int64
    private var now: @Sendable () -> Int64 = { Clock.milliseconds() }
    private var clock = Int64.min
    private var ticksLeft = 0
    /// Looks at the clock after the last row: by then nothing is left to be dropped.
    private static let ticks = 4

    /// - Parameter timeColumns: of each input, the column that takes the time.
    init(_ inner: any StreamOperator, timeColumns: [Int], tick: Int64) {
        (self.inner, self.timeColumns, self.tick) = (inner, timeColumns, tick)
    }

    func open(_ context: OperatorContext) throws {
        now = context.now
        try inner.open(context)
    }

    /// A clock that is set back does not move time back.
    private func readClock() -> Int64 {
        clock = max(clock, now())
        return clock
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard !batch.isEmpty else { return .done }
        let time = readClock()
        var stamped = batch
        let type = batch.columns[timeColumns[input]].type
        stamped.columns[timeColumns[input]] = .constant(.int(time), type: type, count: batch.physicalCount)
        ticksLeft = Self.ticks
        return try inner.process(stamped, input: input, output: output)
    }

    func advance(to watermark: EventTime, output: any Output) throws -> Progress { .done }
    func finish(input: Int, output: any Output) throws -> Progress { try inner.finish(input: input, output: output) }
    func resume(_ output: any Output) throws -> Progress { try inner.resume(output) }
    func idle(output: any Output) throws { try inner.idle(output: output) }
    func prepareSnapshot(_ checkpoint: UInt64, output: any Output) throws { try inner.prepareSnapshot(checkpoint, output: output) }
    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { try inner.snapshot(checkpoint) }
    func portableSnapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { try inner.portableSnapshot(checkpoint) }

    func restore(_ state: RestoredState) throws {
        try inner.restore(state)
        ticksLeft = Self.ticks
        clock = now()
    }

    var wakeAt: Int64? { ticksLeft > 0 ? clock + tick : nil }

    func onTime(_ now: Int64, output: any Output) throws -> Progress {
        clock = max(clock, now)
        ticksLeft -= 1
        return try inner.advance(to: EventTime(milliseconds: clock - 1), output: output)
    }

    func close() { inner.close() }
}
