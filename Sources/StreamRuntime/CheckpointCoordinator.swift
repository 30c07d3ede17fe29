import StreamCore
import StreamState
import Synchronization

/// Follows every checkpoint from its barriers to its commit. Decides; others send barriers, write and commit.
///
///     start ─▶ acknowledged by all subtasks ─▶ written and manifest durable ─▶ committed by the sinks
///
/// Subtasks report from worker threads, one writer takes ``Work``, commits happen on the thread that coordinates the job.
/// What a sink prepared is never dropped: it is part of every later checkpoint until it has been committed.
final class CheckpointCoordinator: Sendable {
    /// Why a checkpoint is taken.
    enum Purpose: Sendable, Equatable {
        case periodic
        /// Asked for by a user, into this directory. It commits nothing: the job would not be recovered from it.
        case savepoint(directory: String)
        /// The last one of a job that stops.
        case stop

        var isSavepoint: Bool { if case .savepoint = self { true } else { false } }
    }

    /// What the writer is to do next, in this order.
    enum Work: Sendable {
        case write(UInt64, Purpose, SubtaskReport)
        case complete(UInt64, Purpose, Summary)
        case abandon(UInt64)
    }

    /// All of a checkpoint but its operators' states.
    struct Summary: Sendable {
        var startedAt: Int64
        /// Greatest number given out so far.
        var lastNumber: UInt64
        var isFinal: Bool
        var isUnaligned: Bool
        /// Reports of all subtasks without their snapshots, and which subtasks had finished.
        var reports: [SubtaskReport]
        var finished: Set<Int>
        /// What is to be committed with it, by sink, oldest first.
        var parts: [Part]
    }

    /// What one sink subtask prepared at one time.
    struct Part: Sendable {
        /// Order of preparation in this run.
        var number: Int
        var vertex: Int
        var subtask: Int
        var preparedAs: UInt64
        var committables: [Committable]
    }

    private struct Pending: Sendable {
        var purpose: Purpose
        var startedAt: Int64
        var startedTicks: UInt64
        var waiting: Set<Int>
        var reports: [SubtaskReport] = []
        var isUnaligned = false
        /// Barriers have been told to overtake.
        var overtakes = false
    }

    private struct State: Sendable {
        var next: UInt64
        /// Being acknowledged.
        var pending: [UInt64: Pending] = [:]
        /// Acknowledged by all and not durable yet.
        var writing: [UInt64: Purpose] = [:]
        var running: Set<Int>
        var finished: [Int: SubtaskReport] = [:]
        var parts: [Part] = []
        var nextPart = 0
        var work: [Work] = []
        var commits: [(checkpoint: UInt64, parts: [Part])] = []
        var committed = 0
        /// A sink's input has ended and its last rows wait for a checkpoint.
        var wantsCheckpoint = false
        var failuresInARow = 0
        var fatal: StreamError?
        var lastEnd: UInt64?
        var outcomes: [(checkpoint: UInt64, Result<Checkpoint, StreamError>)] = []
    }

    let options: CheckpointOptions
    /// Checkpoints are written to a disk. Without, what all sinks have prepared is committed at once.
    let isDurable: Bool
    private let state: Mutex<State>
    private let committers: Committers
    private let changed: Mutex<(@Sendable () -> Void)?> = Mutex(nil)
    private let host: Host
    private let log: CheckpointLog?

    /// Touched by the coordinating thread alone.
    private final class Committers: @unchecked Sendable {  // SAFETY: used only by the thread that runs the job's coordination
        var byVertex: [Int: any SinkCommitter] = [:]
    }

    /// - Parameter next: number of the first checkpoint.
    init(subtasks: Range<Int>, committers: [Int: any SinkCommitter], options: CheckpointOptions, isDurable: Bool, next: UInt64, host: Host,
         log: CheckpointLog? = nil) {
        self.log = log
        self.options = options
        self.isDurable = isDurable
        self.host = host
        self.committers = Committers()
        self.committers.byVertex = committers
        state = Mutex(State(next: next, running: Set(subtasks)))
    }

    /// Called, from any thread, whenever there may be something to write, to commit or to start.
    func onChange(_ action: @escaping @Sendable () -> Void) { changed.withLock { $0 = action } }
    private func tell() { changed.withLock { $0 }?() }

    // MARK: starting

    /// Whether a periodic checkpoint may start now; if not, when it is worth asking again (monotonic nanoseconds).
    func mayStart(_ now: UInt64) -> (Bool, retryAt: UInt64?) {
        state.withLock { state in
            let underWay = state.pending.count + state.writing.count
            guard underWay < max(options.maxConcurrent, 1), !state.running.isEmpty else { return (false, nil) }
            if let end = state.lastEnd {
                let earliest = end &+ options.minPause.nanoseconds
                if now < earliest { return (false, earliest) }
            }
            return (true, nil)
        }
    }

    /// The barrier of a new checkpoint; nil when every subtask has finished.
    func start(_ purpose: Purpose, now: UInt64) -> Barrier? {
        state.withLock { state in
            guard !state.running.isEmpty else { return nil }
            defer { state.next += 1 }
            state.wantsCheckpoint = false
            let time = host.now()
            state.pending[state.next] = Pending(purpose: purpose, startedAt: time, startedTicks: now, waiting: state.running)
            log?.started(state.next, isSavepoint: purpose.isSavepoint, at: time, ticks: now)
            var barrier = Barrier(checkpoint: state.next)
            switch purpose {
            case .periodic: break
            case .savepoint: barrier.isSavepoint = true
            case .stop: barrier.final = true
            }
            return barrier
        }
    }

    /// Numbers of checkpoints that not all subtasks have acknowledged yet.
    var acknowledging: [UInt64] { state.withLock { $0.pending.keys.sorted() } }

    var wantsCheckpoint: Bool { state.withLock { $0.wantsCheckpoint } }

    /// The number under which a writer whose input has ended prepares its last part.
    func finalCheckpoint() -> UInt64 {
        state.withLock { state in
            defer { state.next += 1 }
            return state.next
        }
    }

    // MARK: reports of subtasks

    func acknowledge(_ barrier: Barrier, _ report: SubtaskReport) {
        let isWanted = state.withLock { state in
            Self.keep(report, &state)
            guard state.pending[barrier.checkpoint] != nil else { return false }
            state.pending[barrier.checkpoint]!.waiting.remove(report.subtask)
            state.pending[barrier.checkpoint]!.isUnaligned = state.pending[barrier.checkpoint]!.isUnaligned || report.isUnaligned
            state.pending[barrier.checkpoint]!.reports.append(report.withoutSnapshots)
            if isDurable { state.work.append(.write(barrier.checkpoint, state.pending[barrier.checkpoint]!.purpose, report)) }
            completeIfWhole(barrier.checkpoint, &state)
            return true
        }
        if !isWanted { report.discard(host) }
        tell()
    }

    /// A subtask has dropped its snapshot, and with it its checkpoint.
    func giveUp(_ report: SubtaskReport) {
        state.withLock { Self.keep(report, &$0) }
        report.discard(host)
    }

    /// The input of a subtask has ended, and it does nothing more.
    func finish(_ report: SubtaskReport) {
        state.withLock { state in
            Self.keep(report, &state)
            state.running.remove(report.subtask)
            state.finished[report.subtask] = report.withoutSnapshots
            if report.operators.contains(where: { $0.preparedAs > 0 }) { state.wantsCheckpoint = true }
            for checkpoint in state.pending.keys.sorted() {
                state.pending[checkpoint]!.waiting.remove(report.subtask)
                completeIfWhole(checkpoint, &state)
            }
            if !isDurable { commitFinished(&state) }
        }
        tell()
    }

    private static func keep(_ report: SubtaskReport, _ state: inout State) {
        for op in report.operators where op.preparedAs > 0 {
            state.parts.append(Part(number: state.nextPart, vertex: op.vertex, subtask: report.subtask, preparedAs: op.preparedAs, committables: op.committables))
            state.nextPart += 1
        }
    }

    private func completeIfWhole(_ checkpoint: UInt64, _ state: inout State) {
        guard let pending = state.pending[checkpoint], pending.waiting.isEmpty else { return }
        state.pending[checkpoint] = nil
        // Those that finished before its barrier reached them.
        let reported = Set(pending.reports.map(\.subtask))
        let finished = state.finished.filter { !reported.contains($0.key) }
        let parts = state.parts.filter { $0.preparedAs <= checkpoint || finished[$0.subtask] != nil }
        guard isDurable else {
            state.commits.append((checkpoint, parts))
            state.parts.removeAll { part in parts.contains { $0.number == part.number } }
            return
        }
        let isFinal = pending.purpose == .stop
        state.writing[checkpoint] = pending.purpose
        state.work.append(.complete(checkpoint, pending.purpose, Summary(
            startedAt: pending.startedAt, lastNumber: state.next - 1, isFinal: isFinal, isUnaligned: pending.isUnaligned,
            reports: pending.reports + finished.sorted { $0.key < $1.key }.map(\.value), finished: Set(finished.keys), parts: parts)))
    }

    /// Without checkpoints, a sink whose subtasks have all finished is committed.
    private func commitFinished(_ state: inout State) {
        let open = Set(state.running)
        let byVertex = Dictionary(grouping: state.parts.filter { state.finished[$0.subtask] != nil }, by: \.vertex)
        for (vertex, parts) in byVertex.sorted(by: { $0.key < $1.key }) {
            guard !(sinkSubtasks.withLock { $0[vertex] } ?? []).contains(where: open.contains) else { continue }
            state.commits.append((parts.map(\.preparedAs).max()!, parts))
            state.parts.removeAll { $0.vertex == vertex }
        }
    }

    /// Ids of the subtasks of each sink.
    let sinkSubtasks = Mutex<[Int: Set<Int>]>([:])

    /// After the last subtask has finished: the checkpoint that says so, for its sinks to commit.
    func concludeInput(now: UInt64) {
        state.withLock { state in
            guard isDurable, state.running.isEmpty else { return }
            let checkpoint = state.next
            state.next += 1
            // No later one could make up for it: if it fails, the job does.
            state.writing[checkpoint] = .stop
            let time = host.now()
            log?.started(checkpoint, isSavepoint: false, at: time, ticks: now)
            state.work.append(.complete(checkpoint, .stop, Summary(
                startedAt: time, lastNumber: checkpoint, isFinal: true, isUnaligned: false, reports: state.finished.sorted { $0.key < $1.key }.map(\.value),
                finished: Set(state.finished.keys), parts: state.parts)))
        }
        tell()
    }

    var allFinished: Bool { state.withLock { $0.running.isEmpty } }

    // MARK: writing

    /// The next piece of work for the one writer; nil when there is none.
    func nextWork() -> Work? { state.withLock { $0.work.isEmpty ? nil : $0.work.removeFirst() } }

    var isWriting: Bool { state.withLock { !$0.work.isEmpty || !$0.writing.isEmpty } }

    /// The manifest is durable.
    func completed(_ checkpoint: Checkpoint, _ parts: [Part], now: UInt64) {
        let number = checkpoint.manifest.checkpoint
        state.withLock { state in
            let purpose = state.writing.removeValue(forKey: number)
            state.failuresInARow = 0
            state.lastEnd = now
            log?.completed(checkpoint, ticks: now)
            if case .savepoint = purpose {} else { state.commits.append((number, parts)) }
            state.outcomes.append((number, .success(checkpoint)))
        }
        tell()
    }

    /// The checkpoint will not complete. What its sinks prepared goes with the next one.
    /// - Parameter isFatal: the job cannot go on, whatever failures it may have.
    func fail(_ checkpoint: UInt64, _ error: StreamError, isFatal: Bool = false, now: UInt64) {
        state.withLock { state in
            guard let purpose = state.pending[checkpoint]?.purpose ?? state.writing[checkpoint] else { return }
            let hadBegun = state.work.contains { if case .write(let n, _, _) = $0 { n == checkpoint } else { false } }
            for case .write(checkpoint, _, let report) in state.work { report.discard(host) }
            state.work.removeAll { work in
                switch work {
                case .write(let n, _, _), .complete(let n, _, _), .abandon(let n): n == checkpoint
                }
            }
            if isDurable, state.pending[checkpoint] != nil || hadBegun { state.work.append(.abandon(checkpoint)) }
            state.pending[checkpoint] = nil
            state.writing[checkpoint] = nil
            state.lastEnd = now
            log?.failed(checkpoint, error.description, ticks: now)
            state.outcomes.append((checkpoint, .failure(error)))
            switch purpose {
            case .savepoint: break
            case _ where isFatal: state.fatal = error
            case .stop: state.fatal = error
            case .periodic:
                state.failuresInARow += 1
                if state.failuresInARow > options.tolerableFailures {
                    state.fatal = StreamError(error.code, "checkpoint \(checkpoint) failed: \(error.problem)", fix: error.fix, at: error.location)
                }
            }
        }
        tell()
    }

    /// The error that fails the job: more checkpoints failed in a row than may.
    var fatal: StreamError? { state.withLock { $0.fatal } }

    /// What became of checkpoints since the last call.
    func takeOutcomes() -> [(checkpoint: UInt64, Result<Checkpoint, StreamError>)] {
        state.withLock { state in
            defer { state.outcomes = [] }
            return state.outcomes
        }
    }

    // MARK: time

    /// Gives up checkpoints that take too long.
    /// - Returns: checkpoints whose barriers may overtake from now on.
    func checkTimes(_ now: UInt64) -> [UInt64] {
        let (late, overtaking) = state.withLock { state in
            var overtaking: [UInt64] = []
            for (n, pending) in state.pending {
                if let limit = options.alignedTimeout, pending.purpose == .periodic, !pending.overtakes, now >= pending.startedTicks &+ limit.nanoseconds {
                    state.pending[n]!.overtakes = true
                    overtaking.append(n)
                }
            }
            return (state.pending.filter { now >= $0.value.startedTicks &+ options.timeout.nanoseconds }.keys.sorted(), overtaking.sorted())
        }
        for n in late {
            fail(n, StreamError(.runtime, "not all subtasks acknowledged it within \(options.timeout)",
                                fix: "raise execution.checkpointing.timeout, or set execution.checkpointing.aligned-checkpoint-timeout so that barriers overtake rows in flight"),
                 now: now)
        }
        return overtaking
    }

    /// When ``checkTimes(_:)`` has something to do next.
    var nextDeadline: UInt64? {
        state.withLock { state in
            state.pending.values.map { pending in
                let timeout = pending.startedTicks &+ options.timeout.nanoseconds
                guard let limit = options.alignedTimeout, pending.purpose == .periodic, !pending.overtakes else { return timeout }
                return min(timeout, pending.startedTicks &+ limit.nanoseconds)
            }.min()
        }
    }

    // MARK: committing

    /// Publishes what durable checkpoints hold. Returns the number of commits made.
    @discardableResult
    func commitPending() throws -> Int {
        var made = 0
        while let (checkpoint, parts) = state.withLock({ $0.commits.isEmpty ? nil : $0.commits.removeFirst() }) {
            // A later checkpoint names again what an earlier one has not committed yet.
            let open = isDurable ? Set(state.withLock { $0.parts.map(\.number) }) : nil
            let new = parts.filter { open?.contains($0.number) ?? true }
            for (vertex, parts) in Dictionary(grouping: new, by: \.vertex).sorted(by: { $0.key < $1.key }) {
                try committers.byVertex[vertex]?.commit(checkpoint, parts.sorted { $0.number < $1.number }.flatMap(\.committables))
                made += 1
            }
            if !new.isEmpty { log?.committed(checkpoint) }
            let done = Set(new.map(\.number))
            state.withLock { state in
                state.parts.removeAll { done.contains($0.number) }
                state.committed += 1
            }
        }
        return made
    }

    var hasCommits: Bool { state.withLock { !$0.commits.isEmpty } }
    var commits: Int { state.withLock { $0.committed } }

    func abort() {
        let last = state.withLock { $0.next }
        // With checkpoints, what was prepared may be part of the one that the job resumes from.
        if !isDurable { for committer in committers.byVertex.values { committer.abort(last) } }
        for case .write(_, _, let report) in state.withLock({ $0.work }) { report.discard(host) }
    }

    func close() {
        for committer in committers.byVertex.values { committer.close() }
    }
}

extension SubtaskReport {
    /// What the manifest needs of it.
    var withoutSnapshots: SubtaskReport {
        var report = self
        for i in report.operators.indices { report.operators[i].snapshot = .empty }
        report.channels = []
        return report
    }
}

extension Duration {
    /// Whole nanoseconds, at least 0.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        return seconds < 0 ? 0 : UInt64(clamping: seconds).multipliedReportingOverflow(by: 1_000_000_000).partialValue &+ UInt64(clamping: attoseconds / 1_000_000_000)
    }
}
