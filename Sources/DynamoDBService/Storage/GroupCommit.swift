import Dispatch
import Foundation
import Synchronization

/// Gathers writes of many threads into transactions: whoever comes while one is being made durable shares the next one.
final class GroupCommit<Context>: Sendable {
    private struct Job: Sendable {
        /// Does the work inside of the transaction; what it throws is this job's own refusal.
        var run: @Sendable (Context) -> Void
        /// Called when the transaction is durable, or with the reason why it is not.
        var finish: @Sendable ((any Error)?) -> Void
    }

    private struct State {
        var jobs: [Job] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    private static var jobsMax: Int { 256 }

    /// - Parameter transaction: runs all jobs it is given inside one durable transaction.
    init(transaction: @escaping @Sendable (_ jobs: (Context) -> Void) throws -> Void) {
        Thread.detachNewThread { [self] in
            while let jobs = next() {
                var failure: (any Error)?
                do {
                    try transaction { context in
                        for job in jobs { job.run(context) }
                    }
                } catch {
                    failure = error
                }
                for job in jobs { job.finish(failure) }
            }
            ended.signal()
        }
    }

    private func next() -> [Job]? {
        while true {
            let (jobs, isClosed) = state.withLock { state in
                let jobs = Array(state.jobs.prefix(Self.jobsMax))
                state.jobs.removeFirst(jobs.count)
                return (jobs, state.isClosed)
            }
            if !jobs.isEmpty { return jobs }
            if isClosed { return nil }
            wake.wait()
        }
    }

    /// Runs `body` in a transaction together with others; returns when that is durable.
    ///
    /// - Throws: what `body` threw (nothing of it is kept then), or why the transaction failed.
    func run<T: Sendable>(_ body: @escaping @Sendable (Context) throws -> T) throws -> T {
        let box = Box(Mutex<Result<T, any Error>?>(nil))
        let done = DispatchSemaphore(value: 0)
        let job = Job(
            run: { context in
                let result = Result { try body(context) }
                box.value.withLock { $0 = result }
            },
            finish: { failure in
                if let failure { box.value.withLock { $0 = .failure(failure) } }
                done.signal()
            })
        let isClosed = state.withLock { state in
            if !state.isClosed { state.jobs.append(job) }
            return state.isClosed
        }
        guard !isClosed else { throw StoreClosed() }
        wake.signal()
        done.wait()
        return try box.value.withLock { $0! }.get()
    }

    /// Finishes what was accepted, then ends the thread.
    func close() {
        let wasClosed = state.withLock { state in
            defer { state.isClosed = true }
            return state.isClosed
        }
        guard !wasClosed else { return }
        wake.signal()
        ended.wait()
    }
}

struct StoreClosed: Error, CustomStringConvertible {
    var description: String { "the tables are closed: the server is stopping" }
}

/// Holds what cannot be copied where several closures reach it.
final class Box<Value: ~Copyable & Sendable>: Sendable {
    let value: Value
    init(_ value: consuming Value) { self.value = value }
}
