import StreamCore
import Synchronization

/// A source whose splits hand out given batches, one after another.
public struct ScriptedSource: TableSource {
    private let batches: [[Batch]]
    public let isBounded: Bool

    /// - Parameter splits: the batches of each split; an empty batch means "nothing now".
    public init(splits: [[Batch]], isBounded: Bool = true) {
        batches = splits
        self.isBounded = isBounded
    }

    public func splits() throws -> [SourceSplit] { batches.indices.map { SourceSplit(id: "\($0)") } }

    public func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        Reader(batches: batches[Int(split.id)!], from: split.position.flatMap(Int.init) ?? 0, isBounded: isBounded)
    }

    private final class Reader: SplitReader {
        private let batches: [Batch]
        private let isBounded: Bool
        private var next: Int

        init(batches: [Batch], from next: Int, isBounded: Bool) {
            self.batches = batches
            self.next = next
            self.isBounded = isBounded
        }

        func next(maxRows: Int) throws -> ReadResult {
            guard next < batches.count else { return isBounded ? .endOfSplit : .waiting(.milliseconds(5)) }
            defer { next += 1 }
            return batches[next].isEmpty ? .waiting(.milliseconds(5)) : .batch(batches[next])
        }

        var position: String { "\(next)" }
    }
}

/// A sink that keeps committed rows in memory: what is written becomes visible at the commit of its checkpoint.
public final class CollectingSink: TableSink {
    /// A row and what it does to the result.
    public struct Row: Hashable, Sendable {
        public var kind: RowKind, values: [Value]
    }
    private struct State {
        var visible: [Row] = []
        var pending: [String: [Row]] = [:]
        var commits: [UInt64] = []
        var aborted = false
        var prepared = 0
    }
    private let state = Mutex(State())
    public let maxParallelism: Int?
    public let distributionKeys: [Int]
    public let commitInterval: Duration?
    public var acceptsChanges: Bool { true }

    public init(maxParallelism: Int? = nil, distributionKeys: [Int] = [], commitInterval: Duration? = nil) {
        self.maxParallelism = maxParallelism
        self.distributionKeys = distributionKeys
        self.commitInterval = commitInterval
    }

    /// Committed rows in commit order.
    public var rows: [Row] { state.withLock { $0.visible } }
    public var commits: [UInt64] { state.withLock { $0.commits } }
    public var wasAborted: Bool { state.withLock { $0.aborted } }

    public func writer(_ context: SinkContext) throws -> any SinkWriter { Writer(self, context.subtask) }
    public func committer(_ context: SinkContext) throws -> (any SinkCommitter)? { Committer(self) }

    private final class Writer: SinkWriter {
        private let sink: CollectingSink
        private let subtask: Int
        private var rows: [Row] = []

        init(_ sink: CollectingSink, _ subtask: Int) { (self.sink, self.subtask) = (sink, subtask) }

        func write(_ batch: Batch) throws {
            rows += zip(0..<batch.count, batch.rows()).map { Row(kind: batch.kind(atPhysical: batch.row($0)), values: $1) }
        }

        func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
            // Numbers of checkpoints that never completed may come again.
            let id = sink.state.withLock { state in
                state.prepared += 1
                let id = "\(checkpoint)/\(subtask)/\(state.prepared)"
                state.pending[id] = rows
                return id
            }
            rows = []
            return [Committable(Array(id.utf8))]
        }

        func abort() { sink.state.withLock { $0.aborted = true } }
    }

    private final class Committer: SinkCommitter {
        private let sink: CollectingSink
        init(_ sink: CollectingSink) { self.sink = sink }

        /// What was prepared after the checkpoint is not going to be committed: its rows come again.
        func recover(_ checkpoint: UInt64, _ committables: [Committable]) throws {
            try commit(checkpoint, committables)
            sink.state.withLock { $0.pending = [:] }
        }

        func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws {
            sink.state.withLock { state in
                for part in committables {
                    state.visible += state.pending.removeValue(forKey: String(decoding: part.bytes, as: UTF8.self)) ?? []
                }
                state.commits.append(checkpoint)
            }
        }
    }
}
