import Foundation
import StreamCore
import StreamState
import StreamTesting
import Synchronization
import Testing
@testable import StreamRuntime

/// Numbers the rows of each key: (k, v, ts) becomes (k, n, v). Whatever is lost or repeated shows in the numbers.
private final class Numbering: StreamOperator {
    private var counts: [Int64: Int64] = [:]
    private var context = OperatorContext(name: "numbering")
    private let slow: Bool
    init(slow: Bool = false) { self.slow = slow }

    func open(_ context: OperatorContext) throws { self.context = context }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> StreamCore.Progress {
        let rows = batch.rows().map { row -> (Int64, Int64, Int64) in
            guard case .int(let k) = row[0], case .int(let v) = row[1] else { return (-1, -1, -1) }
            counts[k, default: 0] += 1
            return (k, counts[k]!, v)
        }
        try output.emit(StreamRuntimeTests.batch(rows))
        return .done
    }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let frozen = counts, maxParallelism = context.maxParallelism
        return OperatorSnapshot(units: [StateUnit(name: "counts") {
            frozen.sorted { $0.key < $1.key }.map { k, n in
                let row = StreamRuntimeTests.batch([(k, n, 0)])
                var hash: UInt64 = 0
                RowHash.hash(row, keys: [0], into: &hash)
                return KeyGroupState(keyGroup: UInt16(KeyGroups.group(ofHash: hash, maxParallelism: maxParallelism)), name: "counts", batch: row, columns: ["k", "n", "unused"])
            }
        }])
    }

    func restore(_ state: RestoredState) throws {
        try state.forEach { piece in
            for row in piece.batch.rows() {
                guard case .int(let k) = row[0], case .int(let n) = row[1] else { continue }
                counts[k] = n
            }
        }
    }
}

private struct Trial {
    let seed: UInt64
    let directory: String
    let sink = CollectingSink()
    let splits: [[Batch]]
    var expected: [Int64: Int64] = [:]
    let clock = SimulatedClock()
    var options = CheckpointOptions()

    init(seed: UInt64, random: inout SeededRandom) {
        self.seed = seed
        directory = NSTemporaryDirectory() + "swiftwater-recovery-\(UUID().uuidString)"
        var counts: [Int64: Int64] = [:]
        splits = (0..<Int.random(in: 1...4, using: &random)).map { _ in
            (0..<Int.random(in: 1...12, using: &random)).map { _ in
                batch((0..<Int.random(in: 0...6, using: &random)).map { _ in
                    let k = Int64.random(in: 0..<8, using: &random)
                    counts[k, default: 0] += 1
                    return (k, Int64.random(in: 0..<1_000, using: &random), 0)
                })
            }
        }
        expected = counts
    }

    func graph(parallelism: Int) -> JobGraph {
        JobGraph(name: "numbering", vertices: [
            JobVertex(id: 0, name: "source", kind: .source(SourceVertex(source: ScriptedSource(splits: splits))), parallelism: parallelism, outputSchema: numbers, operatorID: "source"),
            JobVertex(id: 1, name: "numbering", kind: .transform { Numbering() }, parallelism: parallelism, outputSchema: numbers, operatorID: "numbering"),
            JobVertex(id: 2, name: "sink", kind: .sink(sink), parallelism: 1, outputSchema: numbers, operatorID: "sink"),
        ], edges: [JobEdge(from: 0, to: 1, partitioning: .hash([0])), JobEdge(from: 1, to: 2, partitioning: .single)])
    }

    /// Runs until the end, or until it "dies" after so many steps.
    func run(parallelism: Int, crashAfter: Int?, random: inout SeededRandom) throws -> (ended: Bool, unaligned: Int) {
        let clock = clock
        let storage = try CheckpointStorage(directory: directory, retained: 2)
        let restored = try storage.newest { Issue.record("seed \(seed): \($0)") }
        var jobOptions = JobOptions(batchRows: 4, queueCapacity: 2, checkpoints: options, clock: { clock.now })
        jobOptions.host = .system
        // Markers among the rows change nothing, whatever overtakes them.
        if seed.isMultiple(of: 2) { jobOptions.latencyInterval = .milliseconds(3) }
        let job = try SteppedExecution(graph(parallelism: parallelism), options: jobOptions, recovery: JobRecovery(jobID: "trial", storage: storage, restored: restored))
        var steps = 0, unaligned = 0
        func count() { for case (_, .success(let checkpoint)) in job.takeOutcomes() where checkpoint.manifest.isUnaligned { unaligned += 1 } }
        while true {
            steps += 1
            if let crashAfter, steps > crashAfter {
                job.abandon()
                return (false, unaligned)
            }
            clock.advance(by: .milliseconds(1))
            switch Int.random(in: 0..<10, using: &random) {
            case 0: job.startCheckpoint()
            case 1: _ = job.writeStep()
            case 2: try job.commitPending()
            case 3: job.checkTimes()
            default:
                if let next = job.open.randomElement(using: &random) {
                    _ = try job.step(next)
                } else if job.conclude() {
                    count()
                    job.close()
                    return (true, unaligned)
                }
            }
            count()
            if steps > 200_000 { throw StreamError(.runtime, "no progress with seed \(seed)") }
        }
    }

    func check() {
        var seen: [Int64: [Int64]] = [:]
        for row in sink.rows {
            guard case .int(let k) = row.values[0], case .int(let n) = row.values[1] else { continue }
            seen[k, default: []].append(n)
        }
        for (k, n) in expected { #expect(seen[k]?.sorted() == Array(1...n), "seed \(seed), key \(k)") }
        #expect(Set(seen.keys) == Set(expected.keys), "seed \(seed)")
    }
}

@Suite("Recovery") struct RecoveryTests {
    @Test("crashes at any step and other parallelisms lose and repeat nothing", arguments: UInt64(0)..<40)
    func crashes(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let trial = Trial(seed: seed, random: &random)
        defer { try? FileManager.default.removeItem(atPath: trial.directory) }
        for _ in 0..<Int.random(in: 0...5, using: &random) {
            if try trial.run(parallelism: Int.random(in: 1...4, using: &random), crashAfter: Int.random(in: 1...300, using: &random), random: &random).ended { break }
        }
        _ = try trial.run(parallelism: 2, crashAfter: nil, random: &random)
        trial.check()
    }

    @Test("barriers that overtake rows lose and repeat nothing either", arguments: UInt64(0)..<40)
    func unaligned(seed: UInt64) throws {
        var random = SeededRandom(seed)
        var trial = Trial(seed: seed, random: &random)
        trial.options.alignedTimeout = .milliseconds(Int64.random(in: 0...20, using: &random))
        defer { try? FileManager.default.removeItem(atPath: trial.directory) }
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            if try trial.run(parallelism: 3, crashAfter: Int.random(in: 1...300, using: &random), random: &random).ended { break }
        }
        _ = try trial.run(parallelism: 3, crashAfter: nil, random: &random)
        trial.check()
    }

    @Test("some checkpoints of slow alignment are unaligned")
    func overtakes() throws {
        var found = 0
        for seed in UInt64(0)..<40 {
            var random = SeededRandom(seed)
            var trial = Trial(seed: seed, random: &random)
            trial.options.alignedTimeout = .zero
            defer { try? FileManager.default.removeItem(atPath: trial.directory) }
            found += try trial.run(parallelism: 3, crashAfter: nil, random: &random).unaligned
        }
        #expect(found > 10)
    }

    /// A job of one split, and a disk that is full while `isFull` says so.
    private func fullDisk(tolerable: Int, isFull: @escaping @Sendable (Int) -> Bool) throws -> (CollectingSink, failures: Int, (any Error)?) {
        let directory = NSTemporaryDirectory() + "swiftwater-full-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let writes = Mutex(0), system = Host.system
        var host = system
        host.write = { fd, bytes, count, offset in
            if isFull(writes.withLock { $0 += 1; return $0 }) {
                errno = ENOSPC
                return -1
            }
            return system.write(fd, bytes, count, offset)
        }
        let sink = CollectingSink()
        let splits = [(0..<30).map { batch([(1, Int64($0), 0)]) }]
        let graph = JobGraph(name: "full", vertices: [
            JobVertex(id: 0, name: "source", kind: .source(SourceVertex(source: ScriptedSource(splits: splits))), parallelism: 1, outputSchema: numbers),
            JobVertex(id: 1, name: "sink", kind: .sink(sink), parallelism: 1, outputSchema: numbers),
        ], edges: [JobEdge(from: 0, to: 1)])
        var options = JobOptions(host: host)
        options.checkpoints.tolerableFailures = tolerable
        let storage = try CheckpointStorage(directory: directory, host: host)
        let job = try SteppedExecution(graph, options: options, recovery: JobRecovery(jobID: "full", storage: storage))
        var failures = 0
        do {
            while let next = job.open.first {
                job.startCheckpoint()
                // The first takes the barrier.
                _ = try job.step(next)
                if job.open.contains(next) { _ = try job.step(next) }
                while job.writeStep() {}
                try job.commitPending()
                for case (_, .failure(let error)) in job.takeOutcomes() {
                    failures += 1
                    #expect(error.description.contains(directory) && error.description.contains("free disk space"), "\(error)")
                }
            }
            while !job.conclude() {
                _ = job.writeStep()
                try job.commitPending()
            }
            job.close()
            return (sink, failures, nil)
        } catch {
            job.abandon()
            return (sink, failures, error)
        }
    }

    @Test("what a failed checkpoint's sinks prepared is committed with the next one")
    func toleratedFailures() throws {
        let (sink, failures, error) = try fullDisk(tolerable: 100) { (10..<25).contains($0) }
        #expect(error == nil)
        #expect(failures > 0)
        #expect(sink.rows.map { $0.values[1] } == (0..<30).map { .int($0) })
    }

    @Test("more failures in a row than allowed fail the job; what is committed stays")
    func tooManyFailures() throws {
        let (sink, _, error) = try fullDisk(tolerable: 2) { $0 >= 20 }
        #expect("\(try #require(error))".contains("failed"))
        #expect(!sink.rows.isEmpty && sink.rows.map { $0.values[1] } == (0..<Int64(sink.rows.count)).map { .int($0) })
    }

    @Test("the last checkpoint must succeed, whatever failures are tolerated: no other would commit the last rows")
    func failureAtTheEnd() throws {
        let (sink, _, error) = try fullDisk(tolerable: 100) { $0 >= 10 }
        #expect(error != nil)
        #expect(sink.rows.count < 30)
    }

    @Test("a checkpoint that takes too long is given up, and the next one has its rows")
    func timeout() throws {
        let directory = NSTemporaryDirectory() + "swiftwater-timeout-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let clock = SimulatedClock(), sink = CollectingSink()
        let graph = JobGraph(name: "slow", vertices: [
            JobVertex(id: 0, name: "source", kind: .source(SourceVertex(source: ScriptedSource(splits: [[batch([(1, 1, 0)])], [batch([(1, 2, 0)])]], isBounded: false))),
                      parallelism: 2, outputSchema: numbers),
            JobVertex(id: 1, name: "sink", kind: .sink(sink), parallelism: 1, outputSchema: numbers),
        ], edges: [JobEdge(from: 0, to: 1, partitioning: .single)])
        var options = JobOptions(clock: { clock.now })
        options.checkpoints.timeout = .seconds(5)
        options.checkpoints.tolerableFailures = 1
        let job = try SteppedExecution(graph, options: options, recovery: JobRecovery(jobID: "slow", storage: try CheckpointStorage(directory: directory)))
        for _ in 0..<3 { _ = try job.step(1) }
        let first = try #require(job.startCheckpoint())
        // One source subtask does not get its turn: alignment cannot end.
        for _ in 0..<10 { for subtask in [0, 2] { _ = try job.step(subtask) } }
        #expect(job.startCheckpoint() == nil, "one at a time")
        clock.advance(by: .seconds(6))
        job.checkTimes()
        guard case .failure(let error)? = job.takeOutcomes().first?.1 else { Issue.record("no failure"); return }
        #expect(error.description.contains("execution.checkpointing.timeout"))
        let second = try #require(job.startCheckpoint())
        #expect(second > first)
        for _ in 0..<10 { for subtask in 0..<3 { _ = try job.step(subtask) } }
        while job.writeStep() {}
        try job.commitPending()
        #expect(Set(sink.rows.map { $0.values[1] }) == [.int(1), .int(2)])
        job.abandon()
    }

    @Test("a runner goes on after failures, as often as its strategy allows", arguments: [0, 3])
    func restarts(failures: Int) throws {
        final class FailsAtFirst: StreamOperator {
            let left: Counter
            init(_ left: Counter) { self.left = left }
            func process(_ batch: Batch, input: Int, output: any Output) throws -> StreamCore.Progress {
                if left.take() { throw StreamError(.io, "no luck") }
                try output.emit(batch)
                return .done
            }
        }
        let directory = NSTemporaryDirectory() + "swiftwater-runner-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let sink = CollectingSink(), counter = Counter(failures)
        let graph = JobGraph(name: "unlucky", vertices: [
            JobVertex(id: 0, name: "source", kind: .source(SourceVertex(source: ScriptedSource(splits: [(0..<20).map { batch([(1, Int64($0), 0)]) }]))), parallelism: 1, outputSchema: numbers),
            JobVertex(id: 1, name: "unlucky", kind: .transform { FailsAtFirst(counter) }, parallelism: 1, outputSchema: numbers),
            JobVertex(id: 2, name: "sink", kind: .sink(sink), parallelism: 1, outputSchema: numbers),
        ], edges: [JobEdge(from: 0, to: 1), JobEdge(from: 1, to: 2)])
        var recovery = RecoveryOptions(directory: directory, jobID: "unlucky")
        recovery.restart = .fixedDelay(attempts: 2, delay: .milliseconds(1))
        let runner = try JobRunner(graph, recovery: recovery)
        if failures > 2 {
            #expect(throws: StreamError.self) { try runner.run() }
            #expect(sink.rows.isEmpty)
        } else {
            #expect(try runner.run() == .finished)
            #expect(sink.rows.map { $0.values[1] } == (0..<20).map { .int($0) })
        }
    }

    @Test("taking a barrier out of a full queue wakes the sender")
    func overtakingMakesRoom() {
        final class Woken: Waker {
            let ids = Mutex<[Int]>([])
            func wake(_ subtask: Int) { ids.withLock { $0.append(subtask) } }
        }
        let woken = Woken(), channel = Channel(from: 7, to: 8, capacity: 3, waker: woken)
        for element in [.batch(batch([(1, 1, 0)])), .watermark(.max), .barrier(Barrier(checkpoint: 4))] as [StreamElement] { channel.send(element) }
        #expect(channel.isFull && woken.ids.withLock { $0 } == [8, 8])
        guard case .notHere = channel.overtake(5) else { Issue.record("there is no barrier 5"); return }
        guard case .barrier(let inFront) = channel.overtake(4) else { Issue.record("barrier 4 is gone"); return }
        #expect(inFront.count == 2 && channel.depth == 2)
        #expect(woken.ids.withLock { $0 } == [8, 8, 7])
    }

    @Test("delays between restarts grow, and start anew after a quiet time")
    func delays() {
        var schedule = RestartSchedule(.exponentialDelay(initial: .seconds(1), maximum: .seconds(4), multiplier: 2, resetAfter: .seconds(100), jitter: 0, attempts: nil))
        let second: UInt64 = 1_000_000_000
        #expect([0, 1, 2, 3, 200].map { schedule.delay(after: $0 * second) { 0 } } == [.seconds(1), .seconds(2), .seconds(4), .seconds(4), .seconds(1)])
        var rate = RestartSchedule(.failureRate(failures: 2, interval: .seconds(10), delay: .seconds(1)))
        #expect([0, 1, 20, 21, 22].map { rate.delay(after: $0 * second) { 0 } } == [.seconds(1), .seconds(1), .seconds(1), .seconds(1), nil])
    }
}

final class Counter: @unchecked Sendable {  // SAFETY: used by the one thread that runs the job's only subtask at a time
    private var left: Int
    init(_ left: Int) { self.left = left }
    func take() -> Bool { defer { left = max(0, left - 1) }; return left > 0 }
}
