import StreamCore
import StreamRuntime

/// Runs a whole job on one thread, in an order drawn from a seed, with a simulated clock. The same seed gives the same run.
public struct SeededRunner {
    public let seed: UInt64
    public let clock = SimulatedClock()
    /// One step in this many sends a barrier; 0 = never.
    public var barrierEvery: Int
    /// Steps after which the job is abandoned as by a crash; nil = it runs to the end.
    public var crashAfter: Int?

    public init(seed: UInt64, barrierEvery: Int = 0, crashAfter: Int? = nil) {
        self.seed = seed
        self.barrierEvery = barrierEvery
        self.crashAfter = crashAfter
    }

    /// - Returns: the counters at the end, and whether the job ended by itself.
    @discardableResult
    public func run(_ graph: JobGraph, batchRows: Int = 16, queueCapacity: Int = 2) throws -> (status: [VertexStatus], finished: Bool) {
        var random = SeededRandom(seed)
        let clock = clock
        let execution = try SteppedExecution(graph, options: JobOptions(batchRows: batchRows, queueCapacity: queueCapacity, clock: { clock.now }))
        var steps = 0, idleSteps = 0
        do {
            while let chosen = execution.open.randomElement(using: &random) {
                steps += 1
                if let crashAfter, steps > crashAfter {
                    execution.abandon()
                    return (execution.status(), false)
                }
                if barrierEvery > 0, Int.random(in: 0..<barrierEvery, using: &random) == 0 { execution.startCheckpoint() }
                if case .waiting(let until) = try execution.step(chosen) {
                    if let until, until < .max { clock.advance(to: until) }
                    idleSteps += 1
                    if idleSteps > 1_000_000 { throw StreamError(.runtime, "no progress after \(steps) steps with seed \(seed)") }
                } else {
                    idleSteps = 0
                }
                if Bool.random(using: &random) { try execution.commitPending() }
            }
            try execution.commitPending()
            execution.close()
        } catch {
            execution.abandon()
            throw error
        }
        return (execution.status(), true)
    }
}
