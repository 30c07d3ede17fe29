import JobControl
import Notebook
import StreamCore
import StreamRuntime
import Synchronization

/// Runs a notebook's cells one after another, beside those that run in the background.
final class NotebookRunner: Sendable {
    private let kernel: NotebookKernel
    private let screen: NotebookScreen
    private let state = Monitor(State())

    private struct State {
        var results: [Int: CellResult] = [:]
        var running: [Int: CellStop] = [:]
        /// Stops asked for by signal.
        var isEnding = false
    }

    init(_ kernel: NotebookKernel, _ screen: NotebookScreen) { (self.kernel, self.screen) = (kernel, screen) }

    /// A signal: the first asks what runs to end, and nothing more begins; the second ends it.
    func interrupt() {
        let stops = state.withLock { state -> [CellStop] in
            defer { state.isEnding = true }
            return Array(state.running.values)
        }
        for stop in stops { stop.stop() }
    }

    /// - Parameters:
    ///   - time, rows: limits of cells that have none of their own.
    /// - Returns: a result for each cell that does something, in order of the cells.
    func run(_ plan: NotebookPlan, time: Duration?, rows: Int?) -> [CellResult] {
        let count = plan.requests.lazy.filter { $0 != nil }.count
        var number = 0, hasFailed = false
        for (index, entry) in plan.requests.enumerated() {
            guard let entry else { continue }
            var request = entry.request
            number += 1
            let isEnding = state.withLock { $0.isEnding }
            guard !hasFailed, !isEnding else {
                state.withLock { $0.results[index] = CellResult(cell: index, state: .skipped) }
                continue
            }
            // Queries go on for ever; programs are expected to end.
            request.time = request.time ?? (request.isBackground || !request.interpreter.name.hasSuffix("sql") ? nil : time)
            request.rows = request.rows ?? rows
            screen.begins(plan.notebook.cells[index], index: index, number: number, of: count, request)
            if request.isBackground {
                start(request, index)
                continue
            }
            let result = run(request, index)
            hasFailed = result.state == .failed && !entry.mayFail
            // One that failed while others ran fails the notebook, too.
            hasFailed = hasFailed || state.withLock { state in
                state.results.contains { $0.value.state == .failed && plan.requests[$0.key]?.request.isBackground == true && plan.requests[$0.key]?.mayFail == false }
            }
        }
        endBackground()
        return state.withLock { state in state.results.values.sorted { $0.cell < $1.cell } }
    }

    private func run(_ request: CellRequest, _ index: Int, _ stop: CellStop = CellStop()) -> CellResult {
        let isEnding = state.withLock { state in
            state.running[index] = stop
            return state.isEnding
        }
        if isEnding { stop.stop() }
        let outputs = Mutex(CellOutputs()), begun = Clock.milliseconds(), screen = screen
        let (ended, problem) = kernel.run(request, stop: stop) { event in
            outputs.withLock { $0.note(event) }
            screen.note(event, index)
        }
        let result = CellResult(cell: index, state: ended, outputs: outputs.withLock { $0.outputs }, error: problem, startedAt: begun, milliseconds: Clock.milliseconds() - begun)
        state.withLock { state in
            state.running[index] = nil
            state.results[index] = result
        }
        state.broadcast()
        screen.ended(result, isBackground: request.isBackground)
        return result
    }

    private func start(_ request: CellRequest, _ index: Int) {
        let stop = CellStop()
        state.withLock { $0.running[index] = stop }
        Background.run { [self] in _ = run(request, index, stop) }
    }

    /// What runs in the background ends with the notebook.
    private func endBackground() {
        for stop in state.withLock({ Array($0.running.values) }) { stop.stop() }
        let deadline = Clock.monotonicNanoseconds() + 10_000_000_000
        let isDone = state.wait { state -> Monitor<State>.Decision<Bool> in
            let now = Clock.monotonicNanoseconds()
            return state.running.isEmpty ? .take(true) : now >= deadline ? .take(false) : .wait(nanoseconds: deadline - now)
        }
        guard !isDone else { return }
        // What does not end when it is asked is ended.
        for stop in state.withLock({ Array($0.running.values) }) { stop.stop() }
        state.wait { state -> Monitor<State>.Decision<Void> in state.running.isEmpty ? .take(()) : .wait(nanoseconds: nil) }
    }
}
