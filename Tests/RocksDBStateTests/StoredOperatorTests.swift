import StreamCore
import StreamExpressions
import Testing
@testable import RocksDBState
@testable import StreamOperators

private let schema = [Field("k", .varchar(DataType.maxLength)), Field("n", .int), Field("v", .bigint), Field("d", .double), Field("s", .string),
                      Field("f", .boolean), Field("ts", .timestamp(3), nullable: false)]

/// An operator and random input for it.
private struct Job {
    var name: String
    var factory: Operators.Factory
    var steps: [Step]
    /// Columns that inputs are partitioned by.
    var keys: [[Int]]
}

private func randomRow(_ random: inout SeededGenerator, keys: Int, time: Int64) -> [Value] {
    let k = Int.random(in: 0..<keys, using: &random)
    return [
        k % 17 == 0 ? .null : .string("key \(k) \(String(repeating: "x", count: k % 20))"), .int(Int64(k % 7)),
        random.chance(10) ? .null : .int(Int64.random(in: -50...50, using: &random)),
        random.chance(10) ? .null : .double(Double(Int.random(in: -1_000...1_000, using: &random)) / 8),
        random.chance(10) ? .null : .string("text \(Int.random(in: 0..<30, using: &random))"), random.chance(5) ? .null : .bool(random.chance(60)),
        .int(time),
    ]
}

/// Batches of rows, with `changes` also of rows taken back.
private func randomSteps(_ random: inout SeededGenerator, batches: Int, rows: Int, keys: Int, changes: Bool, watermarks: Bool) -> [Step] {
    var steps: [Step] = [], live: [[Value]] = []
    var time: Int64 = 0
    for _ in 0..<batches {
        var batch: [[Value]] = [], kinds: [RowKind] = []
        for _ in 0..<Int.random(in: 1...rows, using: &random) {
            if changes, !live.isEmpty, random.chance(35) {
                batch.append(live.remove(at: Int.random(in: 0..<live.count, using: &random)))
                kinds.append(random.chance(50) ? .delete : .updateBefore)
            } else {
                let row = randomRow(&random, keys: keys, time: time + Int64.random(in: -2_500...2_500, using: &random))
                batch.append(row)
                kinds.append(random.chance(50) ? .insert : .updateAfter)
                if changes { live.append(row) }
            }
        }
        steps.append(.batch(Batch(schema: schema, rows: batch, kinds: changes ? kinds : nil), input: 0))
        time += 600
        if watermarks, random.chance(50) { steps.append(.watermark(time - 1_500)) }
    }
    return steps
}

private func aggregates(_ changes: Bool, all: Bool) throws -> [AggregateCall] {
    var calls = [try call("COUNT", of: schema), try call("SUM", [2], of: schema), try call("COUNT", [2], of: schema, filter: 5),
                 try call("SUM", [3], of: schema), try call("AVG", [2], of: schema)]
    guard all else { return calls }
    calls += [
        try call("MIN", [2], of: schema), try call("MAX", [4], of: schema), try call("COUNT", [4], of: schema, distinct: true),
        try call("FIRST_VALUE", [4], of: schema), try call("LAST_VALUE", [2], of: schema), try call("LISTAGG", [4], of: schema),
        try call("COLLECT", [2], of: schema), try call("SUM", [2], of: schema, distinct: true), try call("STDDEV_POP", [3], of: schema),
    ]
    return calls
}

private func groupJob(_ seed: UInt64, changes: Bool, all: Bool, keys: [Int] = [0, 1]) throws -> Job {
    var random = SeededGenerator(seed)
    let spec = GroupAggregateSpec(inputSchema: schema, keys: keys, aggregates: try aggregates(changes, all: all), inputChanges: changes)
    return Job(name: "group", factory: Operators.groupAggregate(spec),
               steps: randomSteps(&random, batches: 18, rows: 60, keys: 80, changes: changes, watermarks: false), keys: [keys])
}

private func windowJob(_ seed: UInt64, _ window: WindowSpec, changes: Bool, all: Bool, keys: [Int] = [0], lateness: Int64? = nil) throws -> Job {
    var random = SeededGenerator(seed)
    var spec = WindowAggregateSpec(inputSchema: schema, keys: keys, timeColumn: 6, window: window, aggregates: try aggregates(changes, all: all),
                                   properties: [.start, .end], inputChanges: changes)
    spec.emission = lateness.map { WindowEmission(allowedLateness: $0) }
    return Job(name: "window", factory: Operators.windowAggregate(spec),
               steps: randomSteps(&random, batches: 24, rows: 60, keys: 60, changes: changes, watermarks: true), keys: [keys])
}

private func sessionTableJob(_ seed: UInt64, keys: [Int] = [0]) throws -> Job {
    var random = SeededGenerator(seed)
    let spec = SessionTableSpec(inputSchema: schema, keys: keys, timeColumn: 6, gap: 700)
    return Job(name: "session", factory: Operators.sessionTable(spec),
               steps: randomSteps(&random, batches: 24, rows: 60, keys: 60, changes: false, watermarks: true), keys: [keys])
}

/// The second of two steps, with the first one's output as input.
private func globalJob(_ seed: UInt64, _ window: WindowSpec) throws -> Job {
    var job = try windowJob(seed, window, changes: false, all: false)
    let spec = WindowAggregateSpec(inputSchema: schema, keys: [0], timeColumn: 6, window: window, aggregates: try aggregates(false, all: false),
                                   properties: [.start, .end])
    final class Keeper: Output {
        var batches: [Batch] = []
        var isReady: Bool { true }
        func emit(_ batch: Batch) { batches.append(batch) }
    }
    let local = try Operators.localWindowAggregate(spec)(), keeper = Keeper()
    try local.open(OperatorContext(name: "local"))
    var steps: [Step] = []
    for step in job.steps {
        switch step {
        case .batch(let batch, _): _ = try local.process(batch, input: 0, output: keeper)
        case .watermark(let time): _ = try local.advance(to: EventTime(milliseconds: time), output: keeper)
        }
        try local.prepareSnapshot(1, output: keeper)
        steps += keeper.batches.map { .batch($0, input: 0) }
        keeper.batches = []
        if case .watermark = step { steps.append(step) }
    }
    job.factory = Operators.globalWindowAggregate(spec)
    job.steps = steps
    return job
}

private func joinJob(_ seed: UInt64, changes: Bool) throws -> Job {
    var random = SeededGenerator(seed)
    let left = randomSteps(&random, batches: 16, rows: 40, keys: 50, changes: changes, watermarks: false)
    let right = randomSteps(&random, batches: 16, rows: 40, keys: 50, changes: changes, watermarks: false)
    var steps: [Step] = []
    for (l, r) in zip(left, right) {
        if case .batch(let batch, _) = l { steps.append(.batch(batch, input: 0)) }
        if case .batch(let batch, _) = r, random.chance(80) { steps.append(.batch(batch, input: 1)) }
    }
    let kinds: [JoinKind] = [.inner, .left, .full, .anti, .semi, .right]
    let spec = JoinSpec(leftSchema: schema, rightSchema: schema, leftKeys: [0, 1], rightKeys: [0, 1], kind: kinds[Int(seed / 10) % kinds.count],
                        nullSafeKeys: seed % 3 == 0 ? [0] : [])
    return Job(name: "join", factory: Operators.join(spec), steps: steps, keys: [[0, 1], [0, 1]])
}

private let byValue = [SortSpec.Key(column: 2, descending: true, nullsFirst: false), SortSpec.Key(column: 4, descending: false, nullsFirst: true)]
private let byTime = [SortSpec.Key(column: 6, descending: false, nullsFirst: true)]

private func rankJob(_ seed: UInt64, changes: Bool, keys: [Int] = [0]) throws -> Job {
    var random = SeededGenerator(seed)
    let spec = RankSpec(inputSchema: schema, partition: keys, order: byValue, last: 3, givesPlace: seed % 2 == 0, inputChanges: changes)
    return Job(name: "rank", factory: Operators.rank(spec),
               steps: randomSteps(&random, batches: 18, rows: 60, keys: 40, changes: changes, watermarks: false), keys: [keys])
}

/// Rows by (k, n) whose value only grows.
private func growingRankJob(_ seed: UInt64) throws -> Job {
    var random = SeededGenerator(seed)
    var spec = RankSpec(inputSchema: schema, partition: [0], order: [byValue[0], SortSpec.Key(column: 1, descending: false, nullsFirst: true)], last: 2,
                        givesPlace: seed % 2 == 0, inputChanges: true)
    spec.updateKeys = [0, 1]
    var values: [[Value]: Int64] = [:], steps: [Step] = []
    for _ in 0..<24 {
        let rows = (0..<Int.random(in: 1...60, using: &random)).map { _ in
            var row = randomRow(&random, keys: 40, time: 0)
            row[1] = .int(Int64.random(in: 0..<6, using: &random))
            let key = Array(row[..<2])
            values[key, default: 0] += Int64.random(in: 0...3, using: &random)
            row[2] = .int(values[key]!)
            return row
        }
        steps.append(.batch(Batch(schema: schema, rows: rows, kinds: rows.map { _ in .updateAfter }), input: 0))
    }
    return Job(name: "growing rank", factory: Operators.rank(spec), steps: steps, keys: [[0]])
}

private func timedRankJob(_ seed: UInt64, firstRow: Bool) throws -> Job {
    var random = SeededGenerator(seed)
    let spec = TimedRankSpec(
        inputSchema: schema, partition: firstRow ? [0] : [0, 6], order: firstRow ? byTime : byValue,
        due: firstRow ? .firstRow(column: 6) : .windowEnd(column: 6, timeType: .timestamp(3), timeZone: "UTC"), last: firstRow ? 1 : 2)
    var steps = randomSteps(&random, batches: 24, rows: 60, keys: 60, changes: false, watermarks: true)
    if !firstRow {
        // Times become ends of windows.
        steps = steps.map { step in
            guard case .batch(var batch, let input) = step else { return step }
            let times = batch.columns[6]
            batch.columns[6] = .make(.timestamp(3), count: batch.count, zero: Int64(0)) { (times.pointer(as: Int64.self)[$0] / 1_000 + 1) * 1_000 }
            return .batch(batch, input: input)
        }
    }
    return Job(name: "timed rank", factory: Operators.timedRank(spec), steps: steps, keys: [spec.partition])
}

private func overJob(_ seed: UInt64, _ order: OverSpec.Order, _ frame: OverFrame, changes: Bool) throws -> Job {
    var random = SeededGenerator(seed)
    var calls = try aggregates(false, all: true).map { OverCall.aggregate($0) } + [.rowNumber, .rank]
    if frame.preceding == nil { calls.append(.lag(column: 4, type: .string, offset: 2, otherwise: nil)) }
    let spec = OverSpec(inputSchema: schema, partition: [0], order: order, frame: frame, calls: calls, inputChanges: changes)
    return Job(name: "over", factory: Operators.over(spec),
               steps: randomSteps(&random, batches: 20, rows: 40, keys: 40, changes: changes, watermarks: true), keys: [[0]])
}

/// Rows known by their key: several by one key at a time, or one.
private func upsertJob(_ seed: UInt64, materializes: Bool) throws -> Job {
    var random = SeededGenerator(seed)
    let spec = UpsertSpec(inputSchema: schema, keys: [0, 1], emitUpdateBefore: seed % 3 == 0)
    return Job(name: "upsert", factory: materializes ? Operators.sinkMaterializer(spec) : Operators.changelogNormalize(spec),
               steps: randomSteps(&random, batches: 20, rows: 60, keys: 60, changes: true, watermarks: false), keys: [[0, 1]])
}

/// A B+? C over the values of a key, in the order of time.
private func matchJob(_ seed: UInt64) throws -> Job {
    var random = SeededGenerator(seed)
    func value(_ i: Int) -> Expr { .column(i, .bigint) }
    let grows = try FunctionRegistry.builtin.bind(">", [value(1), value(0)]), isLess = try FunctionRegistry.builtin.bind("<", [value(2), value(0)])
    let navigations = (0..<3).map { MatchSpec.Navigation(variable: $0, fromLast: true, offset: 0, column: 2) }
    let sum = AggregateCall(function: "SUM", arguments: [2], argumentTypes: [.bigint], resultType: .bigint)
    let spec = MatchSpec(
        inputSchema: schema, keys: [0, 1], timeColumn: 6, order: [.init(column: 3, descending: true, nullsFirst: false)], variables: ["A", "B", "C"],
        pattern: [.init(variable: 0, minimum: 1, maximum: 1, isGreedy: true), .init(variable: 1, minimum: 1, maximum: nil, isGreedy: false),
                  .init(variable: 2, minimum: 1, maximum: 1, isGreedy: true)],
        conditions: [nil, .history(grows), .history(isLess)], navigations: navigations, aggregates: [.init(variable: nil, call: sum)],
        measures: [value(0), value(2), value(3)], skip: seed % 2 == 0 ? .pastLastRow : .toNextRow, within: seed % 3 == 0 ? 3_000 : nil,
        outputSchema: [schema[0], schema[1], Field("a", .bigint), Field("c", .bigint), Field("sum", .bigint)])
    return Job(name: "match", factory: Operators.match(spec, context: EvaluationContext()),
               steps: randomSteps(&random, batches: 24, rows: 60, keys: 20, changes: false, watermarks: true), keys: [[0, 1]])
}

private func forestJob(_ seed: UInt64) throws -> Job {
    var random = SeededGenerator(seed), options = RandomCutForestOptions()
    (options.trees, options.samples, options.timeDecay, options.outputAfter) = (4, 6, 20, 3)
    (options.normalizes, options.shingle, options.seed) = (seed % 2 == 0, seed % 3 == 0 ? 2 : 1, seed)
    let keys = seed % 4 == 3 ? [] : [0]
    let spec = RandomCutForestSpec(inputSchema: schema, partition: keys, features: [.cast(.column(2, .bigint), to: .double, safe: false), .column(3, .double)],
                                   forest: options, explains: true)
    return Job(name: "forest", factory: Operators.randomCutForest(spec, context: EvaluationContext()),
               steps: randomSteps(&random, batches: 20, rows: 60, keys: 20, changes: false, watermarks: false), keys: [keys])
}

private func jobs(_ seed: UInt64) throws -> [Job] {
    if seed >= 4_000 { return [try forestJob(seed)] }
    if seed >= 3_000 { return [try growingRankJob(seed)] }
    if seed >= 2_000 { return [try matchJob(seed)] }
    let hop = WindowSpec.hop(slide: 1_000, size: 3_000, offset: 0), cumulate = WindowSpec.cumulate(step: 1_000, size: 4_000, offset: 500)
    // Windows whose panes stand alone.
    if seed >= 1_000 {
        let session = WindowSpec.session(gap: 400)
        return switch seed % 5 {
        case 0: [try windowJob(seed, session, changes: false, all: true)]
        case 1: [try windowJob(seed, session, changes: true, all: true, keys: [0, 1])]
        case 2: [try windowJob(seed, session, changes: true, all: false, lateness: 3_000)]
        case 3: [try windowJob(seed, hop, changes: false, all: false, lateness: 1_000)]
        default: [try sessionTableJob(seed, keys: seed % 2 == 0 ? [0] : [])]
        }
    }
    return switch seed % 22 {
    case 0: [try groupJob(seed, changes: false, all: false)]
    case 1: [try groupJob(seed, changes: true, all: true)]
    case 2: [try groupJob(seed, changes: false, all: true, keys: [2])]
    case 3: [try groupJob(seed, changes: true, all: false, keys: [])]
    case 4: [try windowJob(seed, hop, changes: false, all: true)]
    case 5: [try windowJob(seed, .tumble(size: 2_000, offset: 0), changes: true, all: true, keys: [0, 1])]
    case 6: [try windowJob(seed, cumulate, changes: false, all: false)]
    case 7: [try globalJob(seed, seed < 22 ? hop : cumulate)]
    case 8: [try joinJob(seed, changes: false)]
    case 9: [try joinJob(seed, changes: true)]
    case 10: [try rankJob(seed, changes: false)]
    case 11: [try rankJob(seed, changes: true)]
    case 12: [try rankJob(seed, changes: seed < 22, keys: [])]
    case 13: [try timedRankJob(seed, firstRow: false)]
    case 14: [try timedRankJob(seed, firstRow: true)]
    case 15: [try overJob(seed, .eventTime(column: 6), .init(isRange: true), changes: false)]
    case 16: [try overJob(seed, .eventTime(column: 6), .init(isRange: true, preceding: 1_500), changes: false)]
    case 17: [try overJob(seed, .eventTime(column: 6), .init(isRange: false, preceding: 2), changes: false)]
    case 18: [try overJob(seed, .keys(byTime), .init(isRange: true), changes: true)]
    case 19: [try overJob(seed, .arrival, .init(isRange: false), changes: false)]
    default: [try upsertJob(seed, materializes: seed % 2 == 0)]
    }
}

private func apply(_ step: Step, to driver: Driver, keys: [[Int]]) throws {
    switch step {
    case .watermark(let time): try driver.advance(time)
    case .batch(let batch, let input):
        let (subtask, parallelism) = (driver.context.subtask, driver.context.parallelism)
        let part = parallelism == 1 ? batch : share(batch, keys: keys[input], subtask: subtask, parallelism: parallelism)
        if !part.isEmpty { try driver.process(part, input: input) }
    }
}

@Suite("Operators over RocksDB") struct StoredOperatorTests {
    @Test("every step gives the rows that the in-memory operator gives, whatever fits into memory",
          arguments: Array(UInt64(0)..<44) + [52, 53, 64, 65, 74, 75, 86, 87, 96, 97, 118, 119] + Array(1_000..<1_020) + Array(2_000..<2_006) + Array(3_000..<3_004) + Array(4_000..<4_008))
    func sameRows(seed: UInt64) throws {
        try withDirectory { directory in
            var random = SeededGenerator(seed &* 77)
            for job in try jobs(seed) {
                let backend = TinyBackend(try RocksDBBackend(), bytes: [0, 5_000, 40_000, 1 << 20][Int.random(in: 0..<4, using: &random)])
                let memory = try Driver(job.factory, nil, directory: directory)
                var stored = try Driver(job.factory, backend, directory: directory)
                for (i, step) in job.steps.enumerated() {
                    try apply(step, to: memory, keys: job.keys)
                    try apply(step, to: stored, keys: job.keys)
                    #expect(stored.output.take() == memory.output.take(), "seed \(seed), \(job.name), step \(i), cache of \(backend.bytes) bytes")
                    guard random.chance(15) else { continue }
                    // A new run takes over, from files or from pieces; or only a checkpoint is taken.
                    let kind = Int.random(in: 0..<3, using: &random)
                    let snapshot = try kind == 0 ? stored.op.portableSnapshot(1) : stored.op.snapshot(1)
                    if kind == 2 {
                        for files in snapshot.stores { try Host.system.removeTree(files.directory) }
                        continue
                    }
                    let late = stored.context.metrics.lateRows.get()
                    let next = try Driver(job.factory, backend, directory: directory)
                    try next.op.restore(restored([snapshot], for: next.context))
                    stored.op.close()
                    stored = next
                    stored.context.metrics.lateRows.set(late)
                }
                try memory.finish()
                try stored.finish()
                #expect(stored.output.take() == memory.output.take(), "seed \(seed), \(job.name), end")
                #expect(stored.context.metrics.lateRows.get() == memory.context.metrics.lateRows.get())
                stored.op.close()
            }
        }
    }

    @Test("parallelism 1, 2, 4 and 3 with a snapshot between gives what one run gives", arguments: Array(UInt64(0)..<22) + Array(1_000..<1_010) + Array(3_000..<3_002) + Array(4_000..<4_004))
    func rescale(seed: UInt64) throws {
        try withDirectory { directory in
            var random = SeededGenerator(seed &* 31)
            for job in try jobs(seed) where !job.keys[0].isEmpty {
                let backend = TinyBackend(try RocksDBBackend(), bytes: [0, 20_000][Int(seed % 2)])
                let whole = try Driver(job.factory, nil, directory: directory)
                var subtasks = [try Driver(job.factory, backend, directory: directory)]
                let cuts = (1...3).map { job.steps.count * $0 / 4 }
                for (i, step) in job.steps.enumerated() {
                    if let cut = cuts.firstIndex(of: i) {
                        let portable = random.chance(50)
                        let snapshots = try subtasks.map { try portable ? $0.op.portableSnapshot(1) : $0.op.snapshot(1) }
                        let parallelism = [2, 4, 3][cut]
                        let next = try (0..<parallelism).map { subtask in
                            let driver = try Driver(job.factory, backend, directory: directory, subtask: subtask, parallelism: parallelism)
                            try driver.op.restore(restored(snapshots, for: driver.context))
                            return driver
                        }
                        for old in subtasks { old.op.close() }
                        subtasks = next
                    }
                    try apply(step, to: whole, keys: job.keys)
                    for subtask in subtasks { try apply(step, to: subtask, keys: job.keys) }
                    #expect(subtasks.flatMap { $0.output.take() }.sorted() == whole.output.take(), "seed \(seed), \(job.name), step \(i)")
                }
                try whole.finish()
                for subtask in subtasks { try subtask.finish() }
                #expect(subtasks.flatMap { $0.output.take() }.sorted() == whole.output.take(), "seed \(seed), \(job.name), end")
                for subtask in subtasks { subtask.op.close() }
            }
        }
    }

    @Test("state moves from memory to RocksDB and back in pieces", arguments: Array(UInt64(0)..<22) + Array(1_000..<1_010) + Array(3_000..<3_002) + Array(4_000..<4_004))
    func betweenBackends(seed: UInt64) throws {
        try withDirectory { directory in
            for job in try jobs(seed) {
                let backend = TinyBackend(try RocksDBBackend(), bytes: [0, 20_000][Int(seed / 2 % 2)])
                let whole = try Driver(job.factory, nil, directory: directory)
                var current = try Driver(job.factory, nil, directory: directory)
                let cuts = [job.steps.count / 3, job.steps.count * 2 / 3]
                for (i, step) in job.steps.enumerated() {
                    if let cut = cuts.firstIndex(of: i) {
                        let snapshot = try current.op.portableSnapshot(1)
                        let next = try Driver(job.factory, cut == 0 ? backend : nil, directory: directory)
                        try next.op.restore(restored([snapshot], for: next.context))
                        current.op.close()
                        current = next
                    }
                    try apply(step, to: whole, keys: job.keys)
                    try apply(step, to: current, keys: job.keys)
                    #expect(current.output.take() == whole.output.take(), "seed \(seed), \(job.name), step \(i)")
                }
                try whole.finish()
                try current.finish()
                #expect(current.output.take() == whole.output.take(), "seed \(seed), \(job.name), end")
            }
        }
    }

    @Test("state is forgotten when it is in memory", arguments: UInt64(0)..<8)
    func timeToLive(seed: UInt64) throws {
        try withDirectory { directory in
            var random = SeededGenerator(seed &* 13)
            let changes = seed % 2 == 1
            var job = try seed % 4 < 2 ? groupJob(seed, changes: changes, all: false) : joinJob(seed, changes: changes)
            if seed % 4 < 2 {
                job.factory = Operators.groupAggregate(GroupAggregateSpec(
                    inputSchema: schema, keys: [0, 1], aggregates: try aggregates(changes, all: true), inputChanges: changes, stateTTL: .seconds(10)))
            } else {
                job.factory = Operators.join(JoinSpec(leftSchema: schema, rightSchema: schema, leftKeys: [0, 1], rightKeys: [0, 1],
                                                      leftTTL: .seconds(10), rightTTL: seed < 4 ? nil : .seconds(20)))
            }
            let clock = TestClock(), backend = TinyBackend(try RocksDBBackend(), bytes: seed % 3 == 0 ? 0 : 20_000)
            let memory = try Driver(job.factory, nil, directory: directory, clock: clock)
            var stored = try Driver(job.factory, backend, directory: directory, clock: clock)
            for (i, step) in job.steps.enumerated() {
                clock.advance(Int64.random(in: 0...4_000, using: &random))
                try apply(step, to: memory, keys: job.keys)
                try apply(step, to: stored, keys: job.keys)
                #expect(stored.output.take() == memory.output.take(), "seed \(seed), \(job.name), step \(i)")
                guard random.chance(15) else { continue }
                let snapshot = try random.chance(50) ? stored.op.portableSnapshot(1) : stored.op.snapshot(1)
                let next = try Driver(job.factory, backend, directory: directory, clock: clock)
                try next.op.restore(restored([snapshot], for: next.context))
                stored.op.close()
                stored = next
            }
            // Old entries do not stay in the store for ever: all key groups are looked through as batches come.
            clock.advance(60_000)
            let last = job.steps.last!
            for _ in 0..<16 {
                try apply(last, to: stored, keys: job.keys)
                clock.advance(30_000)
            }
            if backend.bytes == 0, seed % 4 < 2 {
                let rows = try stored.op.portableSnapshot(2).loaded().filter { $0.name == "groups" }.reduce(0) { $0 + $1.batch.count }
                guard case .batch(let batch, _) = last else { return }
                #expect(rows <= batch.count, "seed \(seed)")
            }
            stored.op.close()
        }
    }

    @Test("an operator in memory refuses the files of a store")
    func refused() throws {
        try withDirectory { directory in
            let job = try groupJob(1, changes: false, all: false)
            let stored = try Driver(job.factory, RocksDBBackend(), directory: directory)
            try apply(job.steps[0], to: stored, keys: job.keys)
            let snapshot = try stored.op.snapshot(1)
            #expect(snapshot.stores.count == 1)
            let memory = try Driver(job.factory, nil, directory: directory)
            let error = #expect(throws: StreamError.self) { try memory.op.restore(restored([snapshot], for: memory.context)) }
            #expect(error?.description.contains("savepoint") == true)
            stored.op.close()
        }
    }

    @Test("state of another plan is refused")
    func otherPlan() throws {
        try withDirectory { directory in
            let memory = try Driver(groupJob(1, changes: true, all: true).factory, nil, directory: directory)
            try apply(groupJob(1, changes: true, all: true).steps[0], to: memory, keys: [[0, 1]])
            let stored = try Driver(groupJob(1, changes: false, all: false).factory, RocksDBBackend(), directory: directory)
            let snapshot = try memory.op.portableSnapshot(1)
            #expect(throws: StreamError.self) { try stored.op.restore(restored([snapshot], for: stored.context)) }
            stored.op.close()
        }
    }

    @Test("a portable snapshot does not see what comes after it")
    func frozen() throws {
        try withDirectory { directory in
            let job = try groupJob(4, changes: false, all: false)
            let backend = TinyBackend(try RocksDBBackend(), bytes: 0)
            let stored = try Driver(job.factory, backend, directory: directory)
            for step in job.steps.prefix(10) { try apply(step, to: stored, keys: job.keys) }
            let early = try stored.op.portableSnapshot(1), same = try stored.op.portableSnapshot(2)
            let now = try same.loaded().map { "\($0.keyGroup) \($0.name) \($0.batch.rows())" }
            for step in job.steps.dropFirst(10) { try apply(step, to: stored, keys: job.keys) }
            stored.op.close()
            #expect(try early.loaded().map { "\($0.keyGroup) \($0.name) \($0.batch.rows())" } == now)
        }
    }
}
