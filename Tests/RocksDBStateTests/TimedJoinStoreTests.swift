import StreamCore
import StreamExpressions
import Testing
@testable import RocksDBState
@testable import StreamOperators

private let schema = [Field("k", .string), Field("n", .int), Field("v", .bigint), Field("start", .timestamp(3)), Field("end", .timestamp(3)),
                      Field("t", .timestamp(3))]

/// Joins by time over RocksDB give what they give in memory, also when they are cut into other numbers of subtasks on the way.
@Suite("Joins by time over RocksDB") struct TimedJoinStoreTests {
    private struct Job {
        var name: String, factory: Operators.Factory, keys: [Int], steps: [Step] = []
    }

    private func job(_ seed: UInt64, _ random: inout SeededGenerator) throws -> Job {
        let kinds: [JoinKind] = [.inner, .left, .right, .full, .semi, .anti]
        let condition: Expr? = random.chance(50) ? try FunctionRegistry.builtin.bind("<", [.column(2, .bigint), .column(8, .bigint)]) : nil
        var job: Job
        switch seed % 3 {
        case 0:
            let spec = IntervalJoinSpec(
                leftSchema: schema, rightSchema: schema, leftKeys: [0, 1], rightKeys: [0, 1], leftTime: 5, rightTime: 5, lower: -1_500, upper: 700,
                kind: kinds[Int(seed / 3) % 4], condition: condition)
            job = Job(name: "interval \(spec.kind)", factory: Operators.intervalJoin(spec, EvaluationContext()), keys: [0, 1])
        case 1:
            let side = WindowJoinSpec.Side(schema: schema, keys: [0, 1], start: 3, end: 4)
            let spec = WindowJoinSpec(left: side, right: side, kind: kinds[Int(seed / 3) % 6], condition: condition)
            job = Job(name: "window \(spec.kind)", factory: Operators.windowJoin(spec, EvaluationContext()), keys: [0, 1, 3, 4])
        default:
            let spec = TemporalJoinSpec(
                leftSchema: schema, rightSchema: schema, leftKeys: [0, 1], rightKeys: [0, 1], leftTime: 5, rightTime: 5,
                keepsUnmatched: seed % 2 == 0, condition: condition)
            job = Job(name: "temporal", factory: Operators.temporalJoin(spec, EvaluationContext()), keys: [0, 1])
        }
        var time: Int64 = 0, watermark: Int64 = 0
        for _ in 0..<30 {
            let input = random.chance(50) ? 0 : 1
            var rows: [[Value]] = []
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                let at = max(watermark + 1, time + Int64.random(in: -2_000...500, using: &random))
                let key = Int.random(in: 0..<25, using: &random), start = at / 2_000 * 2_000
                rows.append([
                    key % 13 == 5 ? .null : .string("key \(key) \(String(repeating: "y", count: key))"), .int(Int64(key % 3)),
                    .int(Int64.random(in: 0...99, using: &random)), .int(start), .int(start + 2_000), .int(at),
                ])
            }
            // Versions of one key and time would hide each other in an order that batches of subtasks do not keep.
            let kindsOfRows: [RowKind]? = seed % 3 == 2 ? rows.map { _ in input == 0 || random.chance(80) ? .insert : .delete } : nil
            job.steps.append(.batch(Batch(schema: schema, rows: rows, kinds: kindsOfRows), input: input))
            time += 400
            if random.chance(40) {
                watermark = max(watermark, time - 1_800)
                job.steps.append(.watermark(watermark))
            }
        }
        return job
    }

    @Test("give the rows that they give in memory", arguments: UInt64(0)..<36)
    func sameRows(seed: UInt64) throws {
        try withDirectory { directory in
            var random = SeededGenerator(seed &* 91 &+ 5)
            let job = try job(seed, &random)
            let backend = TinyBackend(try RocksDBBackend(), bytes: [0, 4_000, 1 << 20][Int.random(in: 0..<3, using: &random)])
            let whole = try Driver(job.factory, nil, directory: directory)
            var subtasks = [try Driver(job.factory, backend, directory: directory)]
            for (i, step) in job.steps.enumerated() {
                if random.chance(12) {
                    let portable = random.chance(50)
                    let snapshots = try subtasks.map { try portable ? $0.op.portableSnapshot(1) : $0.op.snapshot(1) }
                    let parallelism = [1, 2, 3].randomElement(using: &random)!
                    let next = try (0..<parallelism).map { subtask in
                        let driver = try Driver(job.factory, backend, directory: directory, subtask: subtask, parallelism: parallelism)
                        try driver.op.restore(restored(snapshots, for: driver.context))
                        return driver
                    }
                    for old in subtasks { old.op.close() }
                    subtasks = next
                }
                switch step {
                case .watermark(let time):
                    try whole.advance(time)
                    for subtask in subtasks { try subtask.advance(time) }
                case .batch(let batch, let input):
                    try whole.process(batch, input: input)
                    for subtask in subtasks {
                        let part = share(batch, keys: job.keys, subtask: subtask.context.subtask, parallelism: subtask.context.parallelism)
                        if !part.isEmpty { try subtask.process(part, input: input) }
                    }
                }
                #expect(subtasks.flatMap { $0.output.take() }.sorted() == whole.output.take(), "seed \(seed), \(job.name), step \(i)")
            }
            try whole.finish()
            for subtask in subtasks { try subtask.finish() }
            #expect(subtasks.flatMap { $0.output.take() }.sorted() == whole.output.take(), "seed \(seed), \(job.name), end")
            for subtask in subtasks { subtask.op.close() }
        }
    }
}
