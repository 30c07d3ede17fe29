import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

enum Processors {
    static func online() -> Int { Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}

/// A few threads that run the steps of many subtasks. A subtask that waits is parked until it is woken or its time has come.
package final class WorkerPool: Waker {
    private enum Standing { case parked, queued, running, runningAndWoken, finished }

    private struct State {
        var standing: [Standing] = []
        /// How many exchanges lie before each subtask.
        var depths: [Int] = []
        /// Subtasks to run, by depth.
        var queues: [Queue] = []
        /// Wake-up times of parked subtasks (monotonic nanoseconds).
        var alarms: [Int: UInt64] = [:]
        var open = 0
        var isCancelled = false
        var failure: (any Error)?

        mutating func enqueue(_ id: Int) {
            standing[id] = .queued
            alarms[id] = nil
            queues[depths[id]].append(id)
        }

        /// Deeper ones first, in turn among equals: queues stay short, and have room when their reader is busy firing a window.
        mutating func dequeue() -> Int? {
            for depth in queues.indices.reversed() {
                if let id = queues[depth].popFirst() { return id }
            }
            return nil
        }
    }

    private struct Queue {
        private var ids: [Int] = []
        private var head = 0

        mutating func append(_ id: Int) { ids.append(id) }

        mutating func popFirst() -> Int? {
            guard head < ids.count else { return nil }
            defer {
                head += 1
                // Also when it never runs empty, what was taken must not pile up.
                if head == ids.count || head >= 64 && head * 2 >= ids.count {
                    ids.removeFirst(head)
                    head = 0
                }
            }
            return ids[head]
        }
    }

    private let state = Monitor(State())
    private let clock: @Sendable () -> UInt64

    package init(clock: @escaping @Sendable () -> UInt64) { self.clock = clock }

    /// The subtasks, which the state's `standing` gives to one thread at a time.
    private final class Tasks: @unchecked Sendable {  // SAFETY: a subtask is run only by the thread that set it to .running
        let all: [Subtask]
        init(_ all: [Subtask]) { self.all = all }
    }

    func start(_ subtasks: [Subtask], workers: Int, whenDone: @escaping @Sendable () -> Void) -> [WorkerThread] {
        let tasks = Tasks(subtasks)
        state.withLock { state in
            state.standing = subtasks.map { _ in .parked }
            state.depths = subtasks.map(\.depth)
            state.queues = Array(repeating: Queue(), count: (state.depths.max() ?? 0) + 1)
            state.open = subtasks.count
            for subtask in subtasks { state.enqueue(subtask.id) }
        }
        return (0..<workers).map { _ in WorkerThread { [self] in work(tasks, whenDone) } }
    }

    package func wake(_ subtask: Int) {
        let queued = state.withLock { state in
            guard subtask < state.standing.count else { return false }
            switch state.standing[subtask] {
            case .parked:
                state.enqueue(subtask)
                return true
            case .running:
                state.standing[subtask] = .runningAndWoken
                return false
            case .queued, .runningAndWoken, .finished: return false
            }
        }
        if queued { state.signal() }
    }

    func cancel() {
        state.withLock { $0.isCancelled = true }
        state.broadcast()
    }

    var failure: (any Error)? { state.withLock { $0.failure } }

    private func work(_ tasks: Tasks, _ whenDone: @Sendable () -> Void) {
        while let id = nextSubtask() {
            let result = Result { try tasks.all[id].step() }
            let isOver = state.withLock { state in
                switch result {
                case .failure(let error):
                    if state.failure == nil { state.failure = error }
                    state.isCancelled = true
                    return true
                case .success(.finished):
                    state.standing[id] = .finished
                    state.open -= 1
                    return state.open == 0
                case .success(.progress): state.enqueue(id)
                case .success(.waiting(let until)):
                    if state.standing[id] == .runningAndWoken {
                        state.enqueue(id)
                    } else {
                        state.standing[id] = .parked
                        if let until, until < .max { state.alarms[id] = until }
                    }
                }
                return false
            }
            if isOver {
                state.broadcast()
                whenDone()
            }
        }
    }

    /// The next subtask to run, nil when all have finished or the job was cancelled.
    private func nextSubtask() -> Int? {
        state.wait { state in
            if state.isCancelled || state.open == 0 { return .take(nil) }
            var pause: UInt64?
            if !state.alarms.isEmpty {
                let time = clock()
                for (id, due) in state.alarms where due <= time { state.enqueue(id) }
                if let next = state.alarms.values.min() { pause = next - time }
            }
            guard let id = state.dequeue() else { return .wait(nanoseconds: pause) }
            state.standing[id] = .running
            return .take(id)
        }
    }
}
