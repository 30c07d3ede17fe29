import StreamCore

/// A sink's writer at the end of a chain.
final class SinkDriver {
    private let writer: any SinkWriter
    private let finalCheckpoint: () -> UInt64
    private var isFinished = false
    private var wroteSinceIdle = false

    /// - Parameter finalCheckpoint: gives the number under which the last part is prepared when the input has ended.
    init(writer: any SinkWriter, finalCheckpoint: @escaping () -> UInt64) {
        self.writer = writer
        self.finalCheckpoint = finalCheckpoint
    }

    func write(_ batch: Batch) throws {
        wroteSinceIdle = true
        try writer.write(batch)
    }

    func watermark(_ time: EventTime) throws { if !isFinished { try writer.watermark(time) } }

    func barrier(_ barrier: Barrier, into report: inout OperatorReport) throws {
        guard !isFinished else { return }
        if barrier.final { try writer.finish() }
        report.preparedAs = barrier.checkpoint
        report.committables = try writer.prepareCommit(barrier.checkpoint)
        report.writerState = try writer.state()
        if let writer = writer as? any StatefulSinkWriter { report.snapshot = try writer.snapshot(barrier) }
        if barrier.final { try close() }
    }

    /// The input has ended.
    func finish(into report: inout OperatorReport) throws {
        guard !isFinished else { return }
        try writer.finish()
        report.preparedAs = finalCheckpoint()
        report.committables = try writer.prepareCommit(report.preparedAs)
        report.writerState = try writer.state()
        if let writer = writer as? any StatefulSinkWriter { report.lasting = try writer.lastSnapshot() }
        try close()
    }

    private func close() throws {
        isFinished = true
        try writer.close()
    }

    func idle() throws {
        guard wroteSinceIdle, !isFinished else { return }
        wroteSinceIdle = false
        try writer.idle()
    }

    func abort() { if !isFinished { writer.abort() } }
}
