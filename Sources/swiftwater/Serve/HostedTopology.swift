import JobControl
import StreamCore
import StreamRuntime
import Topology

/// A topology that runs inside of the daemon, on a thread of its own: started again from its newest checkpoint when it fails, later
/// each time, and stopped cleanly with the daemon.
final class HostedTopology: Sendable {
    private let topology: Topology
    private let data: String
    private let handover = Handover()
    private let done = Monitor(false)
    /// Each run has a session of its own.
    private let told = ToldNotices()

    init(_ topology: Topology, data: String) { (self.topology, self.data) = (topology, data) }

    func start() {
        Background.run { [self] in
            run()
            done.withLock { $0 = true }
            done.broadcast()
        }
    }

    private func run() {
        var delay: Int64 = 1_000
        while !handover.isStopped {
            let began = Clock.milliseconds()
            do {
                let runner = ScriptRunner(session: try Engine.session())
                runner.placement = JobPlacement(data: data)
                runner.handover = handover
                runner.told = told
                runner.metricRules = topology.alerts
                try runner.run(topology.ownPipeline, name: topology.name)
                if !handover.isStopped { Terminal.error("topology \(topology.name): its input has ended") }
                return
            } catch {
                if handover.isStopped { return Terminal.error("topology \(topology.name) failed while it was stopped; the next run goes on from its newest checkpoint: \(error)") }
                // A job that ran for a while may have failed for another reason than the last time.
                if Clock.milliseconds() - began > 60_000 { delay = 1_000 }
                Terminal.error("topology \(topology.name) failed and is started again in \(delay / 1_000) s: \(error)")
                handover.wait(milliseconds: delay)
                delay = min(delay * 2, 60_000)
            }
        }
    }

    /// Returns when its job has committed what it had read and ended.
    func stop() {
        handover.stop()
        done.wait { isDone -> Monitor<Bool>.Decision<Void> in isDone ? .take(()) : .wait(nanoseconds: nil) }
    }
}
