import Foundation
import RocksDBState
import StreamCore
import StreamExpressions
import StreamRuntime
import StreamSQL
import StreamState
import StreamTesting

/// How a script is run on the engine.
public struct RunSettings: Sendable, CustomStringConvertible {
    public var parallelism = 1
    /// Rows that a source is asked for at a time.
    public var batchRows = Batch.targetRows
    /// With a seed the job runs on one thread in an order drawn from it, with checkpoints at random steps; nil = on threads.
    public var seed: UInt64?
    /// How often the job is killed and restored from its last checkpoint. Needs a seed.
    public var kills = 0
    /// After a kill the job may go on at another parallelism.
    public var changesParallelism = false
    public var usesRocksDB = false
    /// As by SET, in front of the script's own.
    public var session: [String: String] = [:]
    public init() {}

    public var description: String {
        var parts = ["parallelism \(parallelism)", "batches of \(batchRows)"]
        if let seed { parts.append("order \(seed)") }
        if kills > 0 { parts.append("killed \(kills) times" + (changesParallelism ? ", restored at other parallelisms" : "")) }
        if usesRocksDB { parts.append("RocksDB") }
        parts += session.sorted { $0.key < $1.key }.map { "'\($0.key)' = '\($0.value)'" }
        return parts.joined(separator: ", ")
    }
}

/// What one query or INSERT of a script gave.
public struct StatementRows: Sendable {
    public var schema: Schema
    /// Every change, in the order of arrival.
    public var changes: [CollectingSink.Row]
    public var evaluation: EvaluationContext

    /// The final table.
    public var rows: [[Value]] { Self.collapsed(changes) }

    /// The rows that are left when every change has been applied.
    public static func collapsed(_ changes: [CollectingSink.Row]) -> [[Value]] {
        var counts: [[Value]: Int] = [:]
        var order: [[Value]] = []
        for change in changes {
            let known = counts[change.values]
            if known == nil { order.append(change.values) }
            counts[change.values] = (known ?? 0) + (change.kind.isAdd ? 1 : -1)
        }
        // A row that was taken back more often than it came would be hidden by the rest: it is kept, and marked.
        return order.flatMap { row -> [[Value]] in
            let n = counts[row]!
            return n >= 0 ? Array(repeating: row, count: n) : Array(repeating: [.string("taken back but never given:")] + row, count: -n)
        }
    }
}

/// Runs the queries and INSERTs of a script on the engine, each to the end of its input.
public struct ScriptRun {
    public var settings: RunSettings
    /// Makes the connectors of a session; called once for each parallelism.
    public var connectors: () -> [any TableConnector]
    /// Lives of jobs that went on from a checkpoint.
    public private(set) var restores = 0

    public init(_ settings: RunSettings = .init(), connectors: @escaping () -> [any TableConnector]) {
        self.settings = settings
        self.connectors = connectors
    }

    /// - Throws: what the engine refuses or fails with.
    public mutating func run(_ script: String) throws -> [StatementRows] {
        var statements: [Planned] = []
        var planned: [Int: [Planned]] = [:]
        var sinks: [[CollectingSink]] = []
        let copy = self
        func plan(_ parallelism: Int) throws -> [Planned] {
            if let known = planned[parallelism] { return known }
            let made = try copy.plan(script, parallelism, &sinks)
            planned[parallelism] = made
            return made
        }
        var results: [StatementRows] = []
        statements = try plan(settings.parallelism)
        for i in statements.indices {
            if settings.seed == nil {
                try runOnThreads(statements[i].graph)
            } else {
                restores += try copy.runStepped { try plan($0)[i].graph }
            }
            for (sink, schema) in zip(sinks[i], statements[i].schemas) {
                results.append(StatementRows(schema: schema, changes: sink.rows, evaluation: statements[i].evaluation))
            }
        }
        return results
    }

    // MARK: plans

    private struct Planned {
        var graph: JobGraph
        var schemas: [Schema]
        var evaluation: EvaluationContext
    }

    /// All jobs of the script; rows of job i go to `sinks[i]`, whatever the parallelism.
    private func plan(_ script: String, _ parallelism: Int, _ sinks: inout [[CollectingSink]]) throws -> [Planned] {
        let session = SQLSession(connectors: connectors())
        for (key, value) in settings.session { try session.set(key, to: value) }
        try session.set("parallelism.default", to: "\(parallelism)")
        var jobs: [Planned] = []
        func sink(_ k: Int) -> CollectingSink {
            if sinks.count == jobs.count { sinks.append([]) }
            if sinks[jobs.count].count == k { sinks[jobs.count].append(CollectingSink(maxParallelism: 1)) }
            return sinks[jobs.count][k]
        }
        for statement in try SQLParser(text: script).parseScript() {
            switch try session.execute(statement) {
            case .query(let query):
                jobs.append(Planned(graph: try query.jobGraph(into: sink(0)), schemas: [query.schema], evaluation: session.evaluation))
            case .insert(var graph):
                var schemas: [Schema] = []
                for i in graph.vertices.indices {
                    guard case .sink = graph.vertices[i].kind else { continue }
                    graph.vertices[i].kind = .sink(sink(schemas.count))
                    schemas.append(graph.vertices[i].outputSchema)
                }
                jobs.append(Planned(graph: graph, schemas: schemas, evaluation: session.evaluation))
            default: continue
            }
        }
        return jobs
    }

    // MARK: runs

    /// Waits for no disk: it is processes that are killed here, not machines.
    private static let host: StreamCore.Host = {
        var host = StreamCore.Host.system
        host.sync = { _ in 0 }
        return host
    }()

    private func options(_ directory: String) throws -> JobOptions {
        var options = JobOptions(workers: min(settings.parallelism, 2), batchRows: settings.batchRows, host: Self.host)
        if settings.usesRocksDB {
            options.backend = try RocksDBBackend()
            options.workDirectory = directory + "/stores"
        }
        return options
    }

    private func inDirectory<R>(_ body: (String) throws -> R) throws -> R {
        let directory = NSTemporaryDirectory() + "swiftwater-run-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        return try body(directory)
    }

    private func runOnThreads(_ graph: JobGraph) throws {
        _ = try inDirectory { try JobExecution(graph, options: options($0)).run() }
    }

    /// - Returns: how often it was restored.
    private func runStepped(_ graph: (Int) throws -> JobGraph) throws -> Int {
        var random = SeededRandom(settings.seed!)
        let clock = SimulatedClock()
        var restores = 0
        try inDirectory { directory in
            var parallelism = settings.parallelism
            for life in 0...settings.kills {
                let storage = try CheckpointStorage(directory: directory + "/checkpoints", host: Self.host, retained: 1)
                let restored = try storage.newest { _ in }
                if restored != nil { restores += 1 }
                var options = try options(directory)
                options.clock = { clock.now }
                options.queueCapacity = Int.random(in: 1...4, using: &random)
                let job = try SteppedExecution(
                    graph(parallelism), options: options, recovery: JobRecovery(jobID: "run", storage: storage, restored: restored))
                let death: Death? =
                    life == settings.kills
                    ? nil
                    : Int.random(in: 0..<3, using: &random) == 0
                        ? .atStep(Int.random(in: 4..<[30, 100, 300].randomElement(using: &random)!, using: &random))
                        : .afterCheckpoint(Int.random(in: 0..<30, using: &random))
                if try Self.live(job, death, clock: clock, &random) { break }
                if settings.changesParallelism { parallelism = [1, 2, 4].randomElement(using: &random)! }
            }
        }
        return restores
    }

    /// When a life of a job is cut off.
    private enum Death {
        case atStep(Int)
        /// So many steps after its first checkpoint is complete.
        case afterCheckpoint(Int)
    }

    /// - Returns: whether the job ended by itself.
    private static func live(_ job: SteppedExecution, _ death: Death?, clock: SimulatedClock, _ random: inout SeededRandom) throws -> Bool {
        var steps = 0, idle = 0
        var isUnderWay = false, completedAt: Int?
        do {
            while true {
                steps += 1
                let isDead =
                    switch death {
                    case .atStep(let n)?: steps > n
                    case .afterCheckpoint(let n)?: completedAt.map { steps > $0 + n } ?? false
                    case nil: false
                    }
                if isDead {
                    job.abandon()
                    return false
                }
                switch Int.random(in: 0..<24, using: &random) {
                case 0...2 where !isUnderWay: isUnderWay = job.startCheckpoint() != nil
                case 3...6: _ = job.writeStep()
                case 7:
                    try job.commitPending()
                    if !job.takeOutcomes().isEmpty {
                        isUnderWay = false
                        completedAt = completedAt ?? steps
                    }
                case 8:
                    clock.advance(by: .milliseconds(1))
                    job.checkTimes()
                default:
                    if let next = job.open.randomElement(using: &random) {
                        if case .waiting(let until) = try job.step(next) {
                            idle += 1
                            if let until, until < .max { clock.advance(to: until) }
                        } else {
                            idle = 0
                        }
                    } else if job.conclude() {
                        try job.commitPending()
                        job.close()
                        return true
                    }
                }
                if idle > 100_000 { throw StreamError(.runtime, "the job makes no progress after \(steps) steps") }
            }
        } catch {
            job.abandon()
            throw error
        }
    }
}
