import StreamCore

/// Spreads the time of a subtask's steps over the operators of its chain. Operators call each other, so the one whose code runs changes with
/// every batch that is handed on: the clock is read then, and never for a row.
final class ChainTime {
    /// Of all operators, first to last.
    private let metrics: [OperatorMetrics]
    /// Place of the first node of the chain among them: behind the source, if there is one.
    private let nodesBegin: Int
    private var running = 0
    private var since: UInt64 = 0

    init(_ metrics: [OperatorMetrics], nodesBegin: Int) {
        self.metrics = metrics
        self.nodesBegin = nodesBegin
    }

    /// The first operator's code runs.
    func begin(_ now: UInt64) { (running, since) = (0, now) }

    func end(_ now: UInt64) {
        guard !metrics.isEmpty else { return }
        metrics[running].busyNanoseconds.add(Int(now &- since))
        since = now
    }

    /// A node's code begins to run.
    /// - Returns: whose ran before, for ``leave(to:)``.
    func enter(_ node: Int) -> Int {
        let before = running
        leave(to: nodesBegin + node)
        return before
    }

    func leave(to operatorNumber: Int) {
        guard operatorNumber != running else { return }
        end(Clock.monotonicNanoseconds())
        running = operatorNumber
    }
}
