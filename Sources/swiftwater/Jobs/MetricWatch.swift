import Alerts
import JobControl
import StreamCore
import StreamRuntime

/// Follows alerts over the metrics of a job, once a second while it runs.
final class MetricWatch: Sendable {
    private enum Phase { case watching, ending, ended }
    private let phase = Monitor(Phase.watching)

    /// nil when there are no such rules.
    /// - Throws: `.io` when their history cannot be opened.
    init?(_ rules: [AlertRule], of runner: JobRunner, data: String?) throws {
        guard rules.contains(where: \.isMetric), let data else { return nil }
        let path = AlertHistory.path(data: data)
        // Opened here, so that a file that cannot be used is told at once.
        _ = try AlertHistory(path: path)
        Background.run { [phase] in
            defer {
                phase.withLock { $0 = .ended }
                phase.broadcast()
            }
            do {
                let evaluator = try AlertEvaluator(rules: rules, database: path)
                var rates = RateTracker(), problem: String?
                while phase.withLock({ $0 == .watching }) {
                    let report = runner.report()
                    rates.observe(report)
                    do {
                        try evaluator.observe(samples: report.samples(rates: rates), at: Clock.milliseconds())
                        problem = nil
                    } catch {
                        // The same is not told each second.
                        if problem != "\(error)" { Terminal.error("warning: alerts over metrics: \(error)") }
                        problem = "\(error)"
                    }
                    let until = Clock.monotonicNanoseconds() + 1_000_000_000
                    phase.wait { phase -> Monitor<Phase>.Decision<Void> in
                        let now = Clock.monotonicNanoseconds()
                        return phase != .watching || now >= until ? .take(()) : .wait(nanoseconds: until - now)
                    }
                }
            } catch {
                Terminal.error("warning: alerts over metrics are not followed: \(error)")
            }
        }
    }

    func end() {
        phase.withLock { if $0 == .watching { $0 = .ending } }
        phase.broadcast()
        phase.wait { $0 == .ended ? .take(()) : .wait(nanoseconds: nil) }
    }
}
