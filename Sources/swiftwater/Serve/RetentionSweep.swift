import JobControl
import ShardLog
import StreamCore

/// Removes expired records of all streams, also of those that nobody writes to.
final class RetentionSweep: Sendable {
    private let log: ShardLog
    private let report: @Sendable (String) -> Void
    private let stopped = Handover()
    private static let interval: Int64 = 30_000

    init(_ log: ShardLog, report: @escaping @Sendable (String) -> Void) { (self.log, self.report) = (log, report) }

    func start() {
        Background.run { [self] in
            var last: String?
            while !stopped.isStopped {
                do {
                    try log.enforceRetention()
                    last = nil
                } catch {
                    // What goes on failing is told once.
                    if "\(error)" != last { report("warning: expired records cannot be removed: \(error)") }
                    last = "\(error)"
                }
                stopped.wait(milliseconds: Self.interval)
            }
        }
    }

    func stop() { stopped.stop() }
}
