import StreamCore
import StreamTesting
import Synchronization
import Testing
@testable import StreamRuntime

let numbers: Schema = [Field("k", .int), Field("v", .bigint), Field("ts", .timestamp(3))]

/// Rows (k, v, ts) as one batch.
func batch(_ rows: [(Int64, Int64, Int64)]) -> Batch {
    Batch(schema: numbers, rows: rows.map { [.int($0.0), .int($0.1), .int($0.2)] })
}

/// Adds up v by k and emits the sums at the end of input; remembers how far event time had come with each row.
private final class SumOperator: StreamOperator {
    private var sums: [Int64: Int64] = [:]
    private var pending: [(Int64, Int64)] = []

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        for row in batch.rows() {
            guard case .int(let k) = row[0], case .int(let v) = row[1] else { continue }
            sums[k, default: 0] += v
        }
        return .done
    }

    func finish(input: Int, output: any Output) throws -> Progress {
        pending = sums.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        return try resume(output)
    }

    // One row at a time, to take the path of an emission that must wait for room.
    func resume(_ output: any Output) throws -> Progress {
        while !pending.isEmpty {
            guard output.isReady else { return .more }
            let (k, v) = pending.removeFirst()
            try output.emit(batch([(k, v, 0)]))
        }
        return .done
    }
}

private func sumJob(_ source: ScriptedSource, sink: CollectingSink, parallelism: Int) -> JobGraph {
    JobGraph(name: "sum", vertices: [
        JobVertex(id: 0, name: "source", kind: .source(SourceVertex(source: source)), parallelism: parallelism, outputSchema: numbers),
        JobVertex(id: 1, name: "sum", kind: .transform { SumOperator() }, parallelism: parallelism, outputSchema: numbers),
        JobVertex(id: 2, name: "sink", kind: .sink(sink), parallelism: 1, outputSchema: numbers),
    ], edges: [
        JobEdge(from: 0, to: 1, partitioning: .hash([0])),
        JobEdge(from: 1, to: 2, partitioning: .single),
    ])
}

private func randomSplits(_ random: inout SeededRandom) -> (splits: [[Batch]], sums: [Int64: Int64]) {
    var sums: [Int64: Int64] = [:]
    let splits = (0..<Int.random(in: 1...5, using: &random)).map { _ in
        (0..<Int.random(in: 0...20, using: &random)).map { _ in
            batch((0..<Int.random(in: 0...30, using: &random)).map { _ in
                let (k, v) = (Int64.random(in: 0..<10, using: &random), Int64.random(in: -100...100, using: &random))
                sums[k, default: 0] += v
                return (k, v, 0)
            })
        }
    }
    return (splits, sums)
}

private func asSums(_ rows: [CollectingSink.Row]) -> [Int64: Int64] {
    Dictionary(uniqueKeysWithValues: rows.map { row in
        guard case .int(let k) = row.values[0], case .int(let v) = row.values[1] else { return (-1, -1) }
        return (k, v)
    })
}

@Suite("Runtime") struct RuntimeTests {
    @Test("any order of steps gives the same sums", arguments: UInt64(0)..<60)
    func seededOrders(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let (splits, sums) = randomSplits(&random)
        let sink = CollectingSink()
        try SeededRunner(seed: seed, barrierEvery: 7).run(sumJob(ScriptedSource(splits: splits), sink: sink, parallelism: Int(seed % 4) + 1))
        #expect(asSums(sink.rows) == sums, "seed \(seed)")
    }

    @Test("threads give the same sums", arguments: [1, 2, 4])
    func threads(parallelism: Int) throws {
        var random = SeededRandom(UInt64(parallelism))
        let (splits, sums) = randomSplits(&random)
        let sink = CollectingSink()
        let end = try JobExecution(sumJob(ScriptedSource(splits: splits), sink: sink, parallelism: parallelism)).run()
        #expect(end == .finished)
        #expect(asSums(sink.rows) == sums)
        #expect(sink.commits == [1])
    }

    @Test("rows become visible barrier by barrier, in order and once", arguments: UInt64(0)..<30)
    func barriers(seed: UInt64) throws {
        let splits = [(0..<50).map { i in batch([(1, Int64(i), 0)]) }]
        let sink = CollectingSink()
        try SeededRunner(seed: seed, barrierEvery: 5).run(JobGraph(name: "copy", vertices: [
            JobVertex(id: 0, name: "source", kind: .source(SourceVertex(source: ScriptedSource(splits: splits))), parallelism: 1, outputSchema: numbers),
            JobVertex(id: 1, name: "sink", kind: .sink(sink), parallelism: 1, outputSchema: numbers),
        ], edges: [JobEdge(from: 0, to: 1)]))
        #expect(sink.rows.map { $0.values[1] } == (0..<50).map { .int($0) }, "seed \(seed)")
        #expect(sink.commits == sink.commits.sorted() && Set(sink.commits).count == sink.commits.count, "seed \(seed)")
        #expect(sink.commits.count > 1, "seed \(seed)")
    }

    @Test("stop commits what was read and fires nothing; the job ends")
    func stop() throws {
        let source = ScriptedSource(splits: [[batch([(1, 5, 0)])]], isBounded: false)
        let sink = CollectingSink()
        let copy = JobGraph(name: "copy", vertices: [
            JobVertex(id: 0, name: "source", kind: .source(SourceVertex(source: source)), parallelism: 1, outputSchema: numbers),
            JobVertex(id: 1, name: "sink", kind: .sink(sink), parallelism: 1, outputSchema: numbers),
        ], edges: [JobEdge(from: 0, to: 1)])
        let execution = try JobExecution(copy)
        let stopper = WorkerThread {
            while execution.status()[1].rowsIn == 0 {}
            execution.stop()
        }
        #expect(try execution.run() == .stopped)
        stopper.join()
        #expect(sink.rows.map { $0.values[1] } == [.int(5)])
    }

    @Test("a stopped aggregate emits nothing")
    func stopDoesNotFinish() throws {
        let sink = CollectingSink()
        let execution = try JobExecution(sumJob(ScriptedSource(splits: [[batch([(1, 5, 0)])]], isBounded: false), sink: sink, parallelism: 2))
        let stopper = WorkerThread {
            while execution.status()[1].rowsIn == 0 {}
            execution.stop()
        }
        #expect(try execution.run() == .stopped)
        stopper.join()
        #expect(sink.rows.isEmpty)
    }

    @Test("a failed commit fails the job, and the committer is let go")
    func failedCommit() throws {
        let sink = RefusingSink()
        let execution = try JobExecution(JobGraph(name: "refused", vertices: [
            JobVertex(id: 0, name: "source", kind: .source(SourceVertex(source: ScriptedSource(splits: [[batch([(1, 5, 0)])]]))), parallelism: 1, outputSchema: numbers),
            JobVertex(id: 1, name: "sink", kind: .sink(sink), parallelism: 1, outputSchema: numbers),
        ], edges: [JobEdge(from: 0, to: 1)]))
        #expect(throws: StreamError.self) { try execution.run() }
        #expect(sink.closed.withLock { $0 })
    }

    /// Takes rows, and refuses every commit.
    private final class RefusingSink: TableSink, Sendable {
        let closed = Mutex(false)

        private final class Committer: SinkCommitter {
            private let sink: RefusingSink
            init(_ sink: RefusingSink) { self.sink = sink }
            func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws { throw StreamError(.io, "no room") }
            func close() { sink.closed.withLock { $0 = true } }
        }

        private final class Writer: SinkWriter {
            func write(_ batch: Batch) throws {}
            func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] { [Committable([1])] }
        }

        func writer(_ context: SinkContext) throws -> any SinkWriter { Writer() }
        func committer(_ context: SinkContext) throws -> (any SinkCommitter)? { Committer(self) }
    }

    @Test("an error in an operator fails the job and commits nothing")
    func failure() throws {
        final class Failing: StreamOperator {
            func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress { throw StreamError(.runtime, "no") }
        }
        let sink = CollectingSink()
        var graph = sumJob(ScriptedSource(splits: [[batch([(1, 1, 0)])], []]), sink: sink, parallelism: 2)
        graph.vertices[1].kind = .transform { Failing() }
        let execution = try JobExecution(graph)
        #expect(throws: StreamError.self) { try execution.run() }
        #expect(sink.rows.isEmpty && sink.wasAborted)
    }
}

@Suite("Sources without splits") struct EmptySourceTests {
    /// Notes the watermark that was out when each row came.
    private final class Lateness: StreamOperator {
        private var watermark = EventTime.min
        func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
            for row in batch.rows() {
                guard case .int(let time) = row[2] else { continue }
                try output.emit(StreamRuntimeTests.batch([(time <= watermark.milliseconds ? 1 : 0, time, time)]))
            }
            return .done
        }
        func advance(to watermark: EventTime, output: any Output) throws -> Progress {
            self.watermark = watermark
            return .done
        }
    }

    @Test("a subtask that has none holds no watermark back, in any order of steps", arguments: UInt64(0)..<20, [true, false])
    func late(seed: UInt64, isBounded: Bool) throws {
        let rows = batch([(0, 0, 100), (0, 0, 50), (0, 0, 101)])
        let source = SourceVertex(source: ScriptedSource(splits: [[rows]], isBounded: isBounded), watermark: WatermarkStrategy(timeColumn: 2, columnName: "ts"))
        let sink = CollectingSink()
        let graph = JobGraph(name: "late", vertices: [
            JobVertex(id: 0, name: "source", kind: .source(source), parallelism: 3, outputSchema: numbers),
            JobVertex(id: 1, name: "late", kind: .transform { Lateness() }, parallelism: 1, outputSchema: numbers),
            JobVertex(id: 2, name: "sink", kind: .sink(sink), parallelism: 1, outputSchema: numbers),
        ], edges: [JobEdge(from: 0, to: 1, partitioning: .single), JobEdge(from: 1, to: 2)])
        let execution = try SteppedExecution(graph, options: JobOptions(batchRows: 16, queueCapacity: 2))
        var random = SeededRandom(seed)
        while execution.status()[1].rowsIn < 3 { _ = try execution.step(execution.open.randomElement(using: &random)!) }
        execution.stopSources()
        while let next = execution.open.randomElement(using: &random) { _ = try execution.step(next) }
        try execution.commitPending()
        #expect(sink.rows.map(\.values) == [[.int(0), .int(100), .int(100)], [.int(1), .int(50), .int(50)], [.int(0), .int(101), .int(101)]],
                "seed \(seed)")
        execution.close()
    }
}

@Suite("Barrier alignment") struct BarrierAlignmentTests {
    @Test("every arrival order ends in exactly one snapshot", arguments: UInt64(0)..<100)
    func anyOrder(seed: UInt64) {
        var random = SeededRandom(seed)
        var alignment = BarrierAlignment(inputs: 4)
        let actions = (0...3).shuffled(using: &random).map { alignment.barrier(1, on: $0) }
        #expect(actions.filter { $0 == .snapshot(1) }.count == 1, "seed \(seed)")
        #expect(actions.last == .snapshot(1) && alignment.held.isEmpty)
    }

    @Test("an input that ends is not waited for")
    func ended() {
        var alignment = BarrierAlignment(inputs: 3)
        #expect(alignment.barrier(1, on: 0) == .hold)
        #expect(alignment.finish(2) == nil)
        #expect(alignment.barrier(1, on: 1) == .snapshot(1))
        #expect(alignment.barrier(2, on: 0) == .hold)
        #expect(alignment.finish(1) == .snapshot(2))
    }

    @Test("a newer checkpoint replaces an unfinished one")
    func newer() {
        var alignment = BarrierAlignment(inputs: 2)
        #expect(alignment.barrier(1, on: 0) == .hold)
        #expect(alignment.barrier(2, on: 1) == .hold)
        #expect(alignment.held == [1])
        #expect(alignment.barrier(1, on: 0) == .ignore)
        #expect(alignment.barrier(2, on: 0) == .snapshot(2))
    }
}

@Suite("Watermarks") struct WatermarkTests {
    private func pieces(_ times: [Int64], delay: Int64, batches: [Int]) throws -> [String] {
        var assigner = WatermarkAssigner(WatermarkStrategy(timeColumn: 2, columnName: "ts", delayMilliseconds: delay))
        var at = 0
        return try batches.flatMap { n in
            defer { at += n }
            return try assigner.assign(batch(times[at..<at + n].map { (0, 0, $0) })).map { piece in
                switch piece {
                case .rows(let rows): "rows \(rows.rows().map { if case .int(let t) = $0[2] { Int(t) } else { -1 } })"
                case .watermark(let mark): "mark \(mark)"
                }
            }
        }
    }

    @Test("rows in bounds stay one batch")
    func inBounds() throws {
        #expect(try pieces([10, 12, 9, 15], delay: 5, batches: [4]) == ["rows [10, 12, 9, 15]", "mark 10"])
    }

    @Test("a batch is cut before a row behind the watermark")
    func behind() throws {
        #expect(try pieces([10, 20, 11, 21], delay: 5, batches: [4]) == ["rows [10, 20]", "mark 15", "rows [11, 21]", "mark 16"])
    }

    /// For each row, the watermark that was out when it came.
    private func seen(_ pieces: [String], _ times: [Int64]) -> [Bool] {
        var mark = Int64.min, at = 0
        var late: [Bool] = []
        for piece in pieces {
            if piece.hasPrefix("mark") { mark = Int64(piece.dropFirst(5))! } else {
                for _ in 0..<piece.split(separator: ",").count {
                    late.append(times[at] <= mark)
                    at += 1
                }
            }
        }
        return late
    }

    @Test("lateness does not depend on batching", arguments: UInt64(0)..<50)
    func anyBatching(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let times = (0..<40).map { Int64($0 * 3) - Int64.random(in: 0...20, using: &random) }
        let one = try pieces(times, delay: 6, batches: Array(repeating: 1, count: 40))
        let whole = try pieces(times, delay: 6, batches: [40])
        let parts = try pieces(times, delay: 6, batches: [7, 20, 13])
        #expect(seen(whole, times) == seen(one, times), "seed \(seed)")
        #expect(seen(parts, times) == seen(one, times), "seed \(seed)")
    }

    @Test("the merged watermark is the least of the active inputs and never moves back")
    func merge() {
        var merge = WatermarkMerge(inputs: 2)
        #expect(merge.update(0, to: EventTime(milliseconds: 10)) == nil)
        #expect(merge.update(1, to: EventTime(milliseconds: 5)) == EventTime(milliseconds: 5))
        #expect(merge.setIdle(1, true) == EventTime(milliseconds: 10))
        #expect(merge.update(1, to: EventTime(milliseconds: 7)) == nil)
        #expect(merge.finish(1) == nil)
        #expect(merge.finish(0) == .max)
    }
}
