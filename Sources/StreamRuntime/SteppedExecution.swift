import StreamCore

/// A run of a job in which the caller decides which subtask steps next: for tests that replay an order from a seed.
package final class SteppedExecution {
    private final class Woken: Waker { func wake(_ subtask: Int) {} }

    private let instance: JobInstance
    private var finished: Set<Int> = []

    package init(_ graph: JobGraph, options: JobOptions) throws {
        instance = try JobInstance(graph: graph, options: options, waker: Woken())
    }

    /// Ids of subtasks that have not finished.
    package var open: [Int] { instance.subtasks.map(\.id).filter { !finished.contains($0) } }

    package func step(_ subtask: Int) throws -> Subtask.StepResult {
        let result = try instance.subtasks[subtask].step(budget: 1)
        if result == .finished { finished.insert(subtask) }
        return result
    }

    package func startCheckpoint() { instance.startCheckpoint() }
    package func stopSources() { instance.stopSources() }

    @discardableResult
    package func commitPending() throws -> Int { try instance.coordinator.commitPending() }

    package func status() -> [VertexStatus] { JobInstance.status(instance.graph, instance.metrics) }

    /// As after a crash: nothing more runs, nothing pending is committed.
    package func abandon() {
        instance.subtasks.forEach { $0.abort() }
        instance.coordinator.abort()
    }

    package func close() {
        instance.subtasks.forEach { $0.close() }
        instance.coordinator.close()
    }
}
