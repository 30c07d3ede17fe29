import StreamCore
import Synchronization

/// Asks sources that grow for new splits, at each one's interval, and gives them to the subtasks in turn. A thread of its own
/// calls ``run()``: asking may take long when what is asked is away.
final class SplitDiscovery: Sendable {
    struct Growing: Sendable {
        var source: any TableSource
        var interval: UInt64
        var boxes: [(subtask: Int, mailbox: SourceMailbox)]
        var known: Set<String>
        /// Of the vertex's first subtask, for warnings.
        var metrics: OperatorMetrics
        /// Monotonic nanoseconds.
        var dueAt: UInt64
        /// Time to the next try after a failure; 0 = the last one succeeded.
        var backoff: UInt64 = 0
    }

    private struct State {
        var isOver = false
        var failure: (any Error)?
    }

    private static let firstBackoff: UInt64 = 1_000_000_000

    private let growing: Mutex<[Growing]>
    private let state = Monitor(State())
    private let waker: any Waker
    private let clock: @Sendable () -> UInt64
    private let failed = Mutex<(@Sendable () -> Void)?>(nil)

    init(_ growing: [Growing], waker: any Waker, clock: @escaping @Sendable () -> UInt64) {
        self.growing = Mutex(growing)
        self.waker = waker
        self.clock = clock
    }

    /// Called when there is a ``failure``, by the thread of ``run()``.
    func onFailure(_ action: @escaping @Sendable () -> Void) { failed.withLock { $0 = action } }

    /// An error that no later try mends: it is to end the job.
    var failure: (any Error)? { state.withLock { $0.failure } }

    func end() {
        state.withLock { $0.isOver = true }
        state.broadcast()
    }

    /// Returns after ``end()``, or after a failure.
    func run() {
        while true {
            let due = growing.withLock { $0.map(\.dueAt).min()! }
            let isOver = state.wait { [clock] state -> Monitor<State>.Decision<Bool> in
                if state.isOver { return .take(true) }
                let time = clock()
                return due <= time ? .take(false) : .wait(nanoseconds: due - time)
            }
            if isOver { return }
            do { try look() } catch {
                state.withLock { $0.failure = error }
                failed.withLock { $0 }?()
                return
            }
        }
    }

    private func look() throws {
        let time = clock()
        let due = growing.withLock { all in all.indices.filter { all[$0].dueAt <= time } }
        for i in due {
            let asked = growing.withLock { $0[i] }
            do {
                let new = try asked.source.newSplits(known: asked.known).filter { !asked.known.contains($0.id) }
                if state.withLock({ $0.isOver }) { return }
                growing.withLock { all in
                    all[i].known.formUnion(new.map(\.id))
                    all[i].backoff = 0
                    all[i].dueAt = clock() &+ asked.interval
                }
                for (offset, split) in new.enumerated() {
                    let box = asked.boxes[(asked.known.count + offset) % asked.boxes.count]
                    box.mailbox.post(.addSplits([split]))
                    waker.wake(box.subtask)
                }
            } catch let error as StreamError where error.code == .io {
                if asked.backoff == 0 { asked.metrics.warn("looking for new splits failed and is tried again: \(error)") }
                growing.withLock { all in
                    all[i].backoff = min(max(asked.backoff * 2, Self.firstBackoff), max(asked.interval, 1))
                    all[i].dueAt = clock() &+ all[i].backoff
                }
            }
        }
    }
}
