import StreamCore
import StreamRuntime
import StreamState

/// A job to be simulated: its input, how it is built, and what it must leave behind.
public protocol SimulatedTopology: AnyObject {
    /// The job as it is started now.
    func graph(host: Host, parallelism: Int) throws -> JobGraph
    /// What readers of each output see now.
    func visible() throws -> [String: VisibleOutput]
    /// What they are to see in the end.
    var expected: [String: VisibleOutput] { get }
    /// What the outputs hold at a checkpoint that has no rows in flight; nil = not known. No manifest: before the first one.
    func expected(at manifest: CheckpointManifest?) -> [String: VisibleOutput]?
    /// Anything else that is wrong by now.
    var violations: [String] { get }
}

extension SimulatedTopology {
    public func expected(at manifest: CheckpointManifest?) -> [String: VisibleOutput]? { nil }
    public var violations: [String] { [] }
}

/// What a reader of an output sees.
public struct VisibleOutput: Hashable, Sendable {
    public enum Kind: Sendable {
        /// Rows are only ever added. A commit that is cut short may show a part of its rows until it is finished.
        case log
        /// Commits change rows, each as a whole.
        case table
    }

    public var kind: Kind
    /// Rows in a text form, sorted.
    public var rows: [String]

    public init(kind: Kind, rows: [String]) { (self.kind, self.rows) = (kind, rows.sorted()) }

    /// Rows that the other has more of, duplicates counted.
    public func excess(over other: VisibleOutput) -> [String] {
        var counts: [String: Int] = [:]
        for row in other.rows { counts[row, default: 0] += 1 }
        return rows.filter { row in
            counts[row, default: 0] -= 1
            return counts[row]! < 0
        }
    }
}

/// Deliberate bugs, to see that a simulation finds them.
public enum PlantedBug: String, CaseIterable, Sendable {
    /// Sinks publish a checkpoint's rows before its manifest is durable.
    case commitBeforeManifest = "commit-before-manifest"
    /// A subtask does not wait for a barrier on one of its inputs.
    case skippedBarrier = "skipped-barrier"
    /// One flush of a file does nothing.
    case lostFlush = "lost-flush"
}

/// A seed that does not end as it must.
public struct SimulationFailure: Error, CustomStringConvertible {
    public var topology: String
    public var seed: UInt64
    public var problem: String
    /// Counted over all starts.
    public var step: Int

    public var description: String {
        "\(topology), seed \(seed), step \(step): \(problem)\nreplay it with: swiftwater-simulate --topology \(topology) --seed \(seed) --trace"
    }
}

/// What happened in a simulation that ended well.
public struct SimulationReport: Sendable {
    public var seed: UInt64
    /// Starts of the job, and what ended the others.
    public var starts = 0, powerCuts = 0, kills = 0, failures = 0
    public var steps = 0, checkpoints = 0, unaligned = 0, diskCalls = 0
    /// Hash of all that happened, in its order, and of the bytes that are left.
    public var digest: UInt64 = 0

    public init(seed: UInt64) { self.seed = seed }
}
