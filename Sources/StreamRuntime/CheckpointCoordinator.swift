import StreamCore
import Synchronization

/// Counts which sinks have prepared which checkpoint, and commits when all have.
///
/// Sinks acknowledge from worker threads; commits happen on the one thread that calls ``commitPending()``.
final class CheckpointCoordinator: Sendable {
    private struct SinkState: Sendable {
        var parallelism: Int
        var finished = 0
        /// Committables by checkpoint, with the number of subtasks that prepared it.
        var prepared: [UInt64: (acks: Int, parts: [Committable])] = [:]
        var finalParts: [Committable] = []
    }
    private struct State: Sendable {
        var next: UInt64 = 1
        /// Sink vertices that have still to prepare the checkpoint under way; one is under way at a time.
        var waitedFor: Set<Int> = []
        var sinks: [Int: SinkState]
        var ready: [(vertex: Int, checkpoint: UInt64, parts: [Committable])] = []
        var committed = 0
    }

    private let state: Mutex<State>
    private let committers: Committers
    private let changed: Mutex<(@Sendable () -> Void)?> = Mutex(nil)

    /// Touched by the committing thread alone.
    private final class Committers: @unchecked Sendable {  // SAFETY: used only by the thread that runs the job's coordination
        var byVertex: [Int: any SinkCommitter] = [:]
    }

    init(sinks: [(vertex: Int, sink: any TableSink, parallelism: Int)]) throws {
        committers = Committers()
        for (vertex, sink, _) in sinks { committers.byVertex[vertex] = try sink.committer(SinkContext()) }
        state = Mutex(State(sinks: Dictionary(uniqueKeysWithValues: sinks.map { ($0.vertex, SinkState(parallelism: $0.parallelism)) })))
    }

    /// Called, from any thread, whenever there may be something to commit.
    func onChange(_ action: @escaping @Sendable () -> Void) { changed.withLock { $0 = action } }

    /// The number of a new checkpoint; nil when one is under way or every sink has finished.
    func start() -> UInt64? {
        state.withLock { state in
            guard state.waitedFor.isEmpty else { return nil }
            state.waitedFor = Set(state.sinks.filter { $0.value.finished < $0.value.parallelism }.keys)
            guard !state.waitedFor.isEmpty else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    /// The number under which a writer whose input has ended prepares its last part. Other sinks go on.
    func finalCheckpoint() -> UInt64 {
        state.withLock { state in
            defer { state.next += 1 }
            return state.next
        }
    }

    func acknowledge(_ vertex: Int, _ ack: SinkDriver.SinkAcknowledgement) {
        state.withLock { state in
            var sink = state.sinks[vertex]!
            switch ack {
            case .prepared(let checkpoint, let parts):
                var entry = sink.prepared[checkpoint] ?? (0, [])
                entry.acks += 1
                entry.parts += parts
                sink.prepared[checkpoint] = entry
            case .finished(_, let parts):
                sink.finished += 1
                sink.finalParts += parts
            }
            // A subtask that has finished takes no part in later barriers.
            for checkpoint in sink.prepared.keys.sorted() where sink.prepared[checkpoint]!.acks + sink.finished >= sink.parallelism {
                state.ready.append((vertex, checkpoint, sink.prepared[checkpoint]!.parts))
                state.waitedFor.remove(vertex)
                sink.prepared[checkpoint] = nil
            }
            if case .finished(let checkpoint, _) = ack, sink.finished == sink.parallelism {
                state.ready.append((vertex, checkpoint, sink.finalParts))
                state.waitedFor.remove(vertex)
            }
            state.sinks[vertex] = sink
        }
        changed.withLock { $0 }?()
    }

    /// Publishes what all writers of a sink have prepared. Returns the number of commits made.
    @discardableResult
    func commitPending() throws -> Int {
        var made = 0
        while let work = state.withLock({ $0.ready.isEmpty ? nil : $0.ready.removeFirst() }) {
            try committers.byVertex[work.vertex]?.commit(work.checkpoint, work.parts)
            state.withLock { $0.committed += 1 }
            made += 1
        }
        return made
    }

    var commits: Int { state.withLock { $0.committed } }

    func abort() {
        let last = state.withLock { $0.next }
        for committer in committers.byVertex.values { committer.abort(last) }
    }

    func close() {
        for committer in committers.byVertex.values { committer.close() }
    }
}
