import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What happens to a sink, for ``SinkHistory``.
public enum SinkStep: Sendable {
    case write(subtask: Int, rows: [[Value]])
    case watermark(EventTime)
    case idle
    /// Time goes by.
    case wait(milliseconds: Int64)
    /// A checkpoint that completes and commits.
    case checkpoint
    /// One that completes, while its commit never gets its turn.
    case checkpointWithoutCommit
    /// Writers prepare one that never completes.
    case abortedCheckpoint
    /// The process dies, and starts again from the last complete checkpoint with that many writers.
    case restart(parallelism: Int)
    /// The job fails inside of the process, and starts again.
    case fail
    /// The input ends, with a last checkpoint.
    case finish
}

/// Plays a job's part to a sink: hands it rows, barriers and commits, lets it die at a chosen call, and replays what no
/// complete checkpoint holds.
///
///     var history = SinkHistory(steps: steps, schema: schema, sink: { try MySink(host: $0) })
///     let calls = try history.run(dyingAt: nil)                  // how many calls change the disk
///     for k in SinkHistory.deaths(of: calls) { ... try history.run(dyingAt: k) }     // each in a new directory
public struct SinkHistory {
    /// Of that many calls the ones to die at: all when `SWIFTWATER_THOROUGH` is set, else one in five.
    public static func deaths(of calls: Int) -> StrideTo<Int> {
        stride(from: 0, to: calls, by: getenv("SWIFTWATER_THOROUGH") == nil ? 5 : 1)
    }

    /// The world after a complete checkpoint: committables are committed, whoever dies.
    private struct Durable {
        var checkpoint: UInt64?
        var committables: [Committable] = []
        var states: [[UInt8]] = []
        var rows: [[Value]] = []
        /// The step after it.
        var next = 0
    }

    public var steps: [SinkStep]
    public var schema: Schema
    public var jobID = "job-1"
    public var operatorID = "sink"
    public var seed: UInt64 = 1
    /// The disk that the sink writes to, which then loses power at each death; nil = this machine's, where only the process dies.
    public var disk: SimulatedDisk?
    /// Called after each recovery and each commit with the rows that must be visible, no more and no fewer.
    public var check: (_ rows: [[Value]]) throws -> Void = { _ in }

    private let sink: (Host) throws -> any TableSink
    private var durable = Durable()
    private var committer: (any SinkCommitter)?
    private var writers: [any SinkWriter] = []
    private var parallelism: Int
    private var number: UInt64 = 0
    private var open: [[Value]] = []
    private var carried: [Committable] = []
    private var machine = DyingHost()
    private var random = SeededRandom(1)
    private var clock: Int64 = 1_700_000_000_000

    public init(steps: [SinkStep], schema: Schema, parallelism: Int = 1, sink: @escaping (Host) throws -> any TableSink) {
        self.steps = steps
        self.schema = schema
        self.parallelism = parallelism
        self.sink = sink
    }

    /// Runs all steps, dying once before call number `dyingAt`; throws what cannot be explained by that.
    /// - Returns: the number of calls that change the disk.
    @discardableResult
    public mutating func run(dyingAt call: Int? = nil) throws -> Int {
        machine = DyingHost(calls: call ?? .max, seed: seed, now: clock)
        random = SeededRandom(seed)
        let first = machine, firstCalls = disk?.calls ?? 0
        if let disk, let call { disk.cutPower(afterCalls: call) }
        var at = 0, isStarted = false
        while at < steps.count || !isStarted {
            do {
                if !isStarted {
                    try start()
                    isStarted = true
                    continue
                }
                if case .restart(let parallelism) = steps[at] {
                    // Done at once, as the steps before may have to be played again.
                    steps[at] = .idle
                    self.parallelism = parallelism
                    try die()
                    (at, isStarted) = (durable.next, false)
                } else if case .fail = steps[at] {
                    steps[at] = .idle
                    writers.forEach { $0.abort() }
                    committer?.close()
                    drop()
                    (at, isStarted) = (durable.next, false)
                } else {
                    try take(steps[at], at)
                    at += 1
                }
            } catch {
                guard disk?.isPowerless ?? machine.isDead else { throw error }
                try die()
                machine = DyingHost(seed: seed &+ 1_000, now: clock)
                (at, isStarted) = (durable.next, false)
            }
        }
        try checkDurable()
        // Once more, as after a death between the commit and the note of it.
        let calls = disk.map { $0.calls - firstCalls } ?? first.calls
        disk?.cutPower(afterCalls: nil)
        try die()
        machine = DyingHost(seed: seed &+ 2_000, now: clock)
        try start()
        return calls
    }

    private mutating func die() throws {
        drop()
        try disk?.crash(&random)
    }

    private mutating func drop() {
        writers = []
        committer = nil
        open = []
        carried = []
    }

    private mutating func start() throws {
        let sink = try sink(disk?.host ?? machine.host)
        var context = SinkContext(jobID: jobID, operatorID: operatorID, parallelism: parallelism, isRecoverable: true,
                                  restoredCheckpoint: durable.checkpoint)
        committer = try sink.committer(context)
        if let checkpoint = durable.checkpoint { try committer?.recover(checkpoint, durable.committables) }
        try checkDurable()
        writers = try (0..<parallelism).map { subtask in
            context.subtask = subtask
            context.restoredStates = durable.states.enumerated().filter { $0.offset % parallelism == subtask }.map(\.element)
            return try sink.writer(context)
        }
    }

    private func checkDurable() throws { try check(durable.rows) }

    private mutating func take(_ step: SinkStep, _ at: Int) throws {
        switch step {
        case .write(let subtask, let rows):
            open += rows
            try writers[subtask % parallelism].write(Batch(schema: schema, rows: rows))
        case .watermark(let time): for writer in writers { try writer.watermark(time) }
        case .idle: for writer in writers { try writer.idle() }
        case .wait(let milliseconds):
            clock += milliseconds
            machine.advance(milliseconds: milliseconds)
            disk?.clock.advance(by: .milliseconds(milliseconds))
        case .checkpoint:
            try prepare(next: at + 1)
            try commit()
        case .checkpointWithoutCommit: try prepare(next: at + 1)
        case .abortedCheckpoint:
            number += 1
            for writer in writers {
                carried += try writer.prepareCommit(number)
                _ = try writer.state()
            }
            committer?.abort(number)
        case .finish:
            for writer in writers {
                try writer.watermark(.max)
                try writer.finish()
            }
            try prepare(next: at + 1)
            for writer in writers { try writer.close() }
            try commit()
        case .restart, .fail: break
        }
    }

    private mutating func prepare(next: Int) throws {
        number += 1
        var committables = carried, states: [[UInt8]] = []
        for writer in writers {
            committables += try writer.prepareCommit(number)
            if let state = try writer.state() { states.append(state) }
        }
        durable = Durable(checkpoint: number, committables: committables, states: states, rows: durable.rows + open, next: next)
        open = []
        carried = []
    }

    private mutating func commit() throws {
        try committer?.commit(number, durable.committables)
        try checkDurable()
        try committer?.commit(number, durable.committables)
        try checkDurable()
    }
}
