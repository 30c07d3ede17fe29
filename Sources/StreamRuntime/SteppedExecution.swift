import StreamCore
import StreamState

/// A run of a job in which the caller decides what happens next: for tests that replay an order from a seed.
///
/// Everything that production runs on threads is a step here: a subtask's step, a piece of checkpoint writing, the commits.
package final class SteppedExecution {
    private final class Woken: Waker { func wake(_ subtask: Int) {} }

    private let instance: JobInstance
    private let options: JobOptions
    private var finished: Set<Int> = []
    private var isConcluded = false

    package init(_ graph: JobGraph, options: JobOptions, recovery: JobRecovery? = nil) throws {
        self.options = options
        instance = try JobInstance(graph: graph, options: options, recovery: recovery, waker: Woken())
    }

    /// Ids of subtasks that have not finished.
    package var open: [Int] { instance.subtasks.map(\.id).filter { !finished.contains($0) } }

    package func step(_ subtask: Int) throws -> Subtask.StepResult {
        let result = try instance.subtasks[subtask].step(budget: 1)
        if result == .finished { finished.insert(subtask) }
        return result
    }

    /// Sends barriers, if a checkpoint may start now.
    @discardableResult
    package func startCheckpoint() -> UInt64? { instance.startCheckpoint(now: options.clock()) }
    package func startSavepoint(in directory: String) -> UInt64? { instance.startCheckpoint(savepointIn: directory, now: options.clock()) }
    package func stopSources(savepointIn directory: String? = nil, drain: Bool = false) {
        _ = instance.stopSources(savepointIn: directory, drain: drain, now: options.clock())
    }

    /// Whether a sink's last rows wait for a checkpoint.
    package var wantsCheckpoint: Bool { instance.coordinator.wantsCheckpoint }

    /// Gives up checkpoints that take too long, and lets barriers overtake where that is set.
    package func checkTimes() { for n in instance.coordinator.checkTimes(options.clock()) { instance.overtake(n) } }

    /// Plants a bug, for simulations to find: the subtask takes a barrier for arrived that is still behind rows on one of its inputs.
    /// - Returns: whether there was one.
    package func loseBarrier(at subtask: Int) throws -> Bool {
        for checkpoint in instance.coordinator.acknowledging where try instance.subtasks[subtask].loseBarrier(checkpoint) { return true }
        return false
    }

    /// One piece of checkpoint writing. False when there is none.
    package func writeStep() -> Bool { instance.writing?.step() ?? false }

    /// Commits what is durable. Throws what a sink throws, or the failure of more checkpoints than may fail.
    @discardableResult
    package func commitPending() throws -> Int {
        if let fatal = instance.coordinator.fatal { throw fatal }
        return try instance.coordinator.commitPending()
    }

    /// What became of checkpoints since the last call: their manifests, or why they failed.
    package func takeOutcomes() -> [(checkpoint: UInt64, Result<Checkpoint, StreamError>)] { instance.coordinator.takeOutcomes() }

    /// To be called when ``open`` is empty, until it returns true: the last checkpoint of a job whose input has ended.
    package func conclude() -> Bool {
        if !isConcluded {
            isConcluded = true
            instance.coordinator.concludeInput(now: options.clock())
        }
        return !instance.coordinator.isWriting && !instance.coordinator.hasCommits
    }

    /// As ``JobReport/vertices`` and ``JobReport/histograms``.
    package func vertices() -> [JobReport.Vertex] { instance.monitoring.vertices() }
    package func latencyHistograms() -> [JobReport.Histogram] { instance.monitoring.latencyHistograms() }

    package func status() -> [VertexStatus] { JobInstance.status(instance.graph, instance.metrics) }

    /// As after a crash: nothing more runs, nothing pending is committed.
    package func abandon() {
        instance.subtasks.forEach { $0.abort() }
        instance.coordinator.abort()
        instance.coordinator.close()
        instance.endSources()
    }

    package func close() {
        instance.subtasks.forEach { $0.close() }
        instance.coordinator.close()
        instance.endSources()
        instance.removeWorkDirectory()
    }
}
