import StreamCore
import Testing
@testable import StreamOperators

/// Rows (key INT, name STRING, v BIGINT, d DOUBLE, f BOOLEAN, ts).
let windowSchema: Schema = [Field("key", .int), Field("name", .string), Field("v", .bigint), Field("d", .double), Field("f", .boolean),
                            Field("ts", .timestamp(3))]

func randomWindowRow(time: Int64, keys: Int64, using random: inout SeededGenerator) -> [Value] {
    func maybe(_ value: Value) -> Value { random.chance(10) ? .null : value }
    let key = Int64.random(in: 0..<keys, using: &random), v = Int64.random(in: -20...20, using: &random)
    return [maybe(.int(key)), maybe(.string(v % 3 == 0 ? "a longer name, number \(v)" : "n\(v)")), maybe(.int(v)),
            maybe(.double(Double(v) / 4)), maybe(.bool(v > 0)), .int(time)]
}

/// Every window that holds a time, as (start, end).
func windows(of time: Int64, _ spec: WindowSpec) -> [(start: Int64, end: Int64)] {
    func floorTo(_ t: Int64, _ step: Int64) -> Int64 { t - ((t % step) + step) % step }
    switch spec {
    case .tumble(let size, let offset):
        let start = floorTo(time - offset, size) + offset
        return [(start, start + size)]
    case .hop(let slide, let size, let offset):
        let last = floorTo(time - offset, slide) + offset
        return stride(from: last, to: time - size, by: Int(-slide)).map { ($0, $0 + size) }
    case .cumulate(let step, let size, let offset):
        let start = floorTo(time - offset, size) + offset
        return stride(from: start + step, through: start + size, by: Int(step)).filter { $0 > time }.map { (start, $0) }
    case .session: preconditionFailure("see SessionModel")
    }
}

/// A dictionary of rows per (window, key), fired as the watermark passes.
struct WindowModel {
    struct Pane: Hashable { var start: Int64, end: Int64, key: [Value] }
    let spec: WindowAggregateSpec
    var panes: [Pane: [[Value]]] = [:]
    var watermark = Int64.min
    var late = 0
    var results: [[Value]] = []

    init(_ spec: WindowAggregateSpec) { self.spec = spec }

    mutating func add(_ row: [Value], _ kind: RowKind = .insert) {
        let open = windows(of: row[spec.timeColumn].number!, spec.window).filter { $0.end - 1 > watermark }
        if open.isEmpty { late += 1 }
        for window in open {
            let pane = Pane(start: window.start, end: window.end, key: spec.keys.map { row[$0] })
            if kind.isAdd {
                panes[pane, default: []].append(row)
            } else if let at = panes[pane]?.firstIndex(of: row) {
                panes[pane]!.remove(at: at)
            }
        }
    }

    mutating func advance(_ to: Int64) {
        watermark = max(watermark, to)
        for (pane, rows) in panes.filter({ $0.key.end - 1 <= watermark }) {
            panes[pane] = nil
            guard !rows.isEmpty else { continue }
            results.append(pane.key + spec.aggregates.map { reference($0, rows) } + [.int(pane.start), .int(pane.end), .int(pane.end - 1)])
        }
    }
}

@Suite struct WindowAggregateTests {
    static let specs: [WindowSpec] = [
        .tumble(size: 10, offset: 0), .tumble(size: 10, offset: 3), .hop(slide: 5, size: 30, offset: 0), .hop(slide: 7, size: 14, offset: -2),
        .hop(slide: 10, size: 10, offset: 0), .cumulate(step: 5, size: 20, offset: 0), .cumulate(step: 4, size: 12, offset: 1),
    ]

    static func aggregates(_ level: Int) throws -> [AggregateCall] {
        let s = windowSchema
        var calls = try [call("COUNT", of: s), call("SUM", [2], of: s), call("AVG", [3], of: s), call("COUNT", [2], of: s), call("MIN", [2], of: s)]
        if level > 0 {
            calls += try [call("MAX", [3], of: s), call("MAX", [1], of: s), call("COUNT", of: s, filter: 4), call("SUM", [2], of: s, filter: 4),
                          call("AVG", [2], of: s), call("MIN", [1], of: s, filter: 4), call("COUNT", [5], of: s)]
        }
        if level > 1 {
            calls += try [call("COUNT", [1], of: s, distinct: true), call("SUM", [2], of: s, distinct: true), call("COUNT", [1, 2], of: s, distinct: true),
                          call("COUNT", [2], of: s, filter: 4, distinct: true), call("MAX", [2], of: s, distinct: true)]
        }
        if level > 2 { calls += try [call("FIRST_VALUE", [2], of: s), call("LAST_VALUE", [1], of: s), call("LISTAGG", [1], of: s)] }
        return calls
    }

    @Test(arguments: specs.indices, [0, 3]) func agreesWithModel(_ which: Int, _ level: Int) throws {
        for keys in [[], [0], [1], [0, 1]] {
            let seed = UInt64.random(in: 0...UInt64.max)
            print("seed", seed)
            var random = SeededGenerator(seed)
            let spec = WindowAggregateSpec(inputSchema: windowSchema, keys: keys, timeColumn: 5, window: Self.specs[which],
                                           aggregates: try Self.aggregates(level), properties: [.start, .end, .time])
            let driver = try Driver(WindowAggregateOperator(spec), output: Collector(room: 1))
            var model = WindowModel(spec)
            try run(&model, [driver], seed: seed, using: &random)
            #expect(sortedTexts(driver.output.rows) == sortedTexts(model.results), "seed \(seed)")
            #expect(driver.metrics.lateRows.get() == Int64(model.late), "seed \(seed)")
            #expect(driver.output.batches.allSatisfy { $0.columns.map(\.type) == spec.outputTypes })
            // Windows come in the order of their ends.
            let ends = driver.output.rows.map { $0[$0.count - 2].number! }
            #expect(ends == ends.sorted())
        }
    }

    /// Random batches and watermarks; some rows are late, for some windows or for all.
    func run(_ model: inout WindowModel, _ drivers: [Driver], seed: UInt64, using random: inout SeededGenerator) throws {
        var now: Int64 = random.chance(50) ? -100 : 1_000
        for _ in 0..<25 {
            let rows = (0..<Int.random(in: 1...60, using: &random)).map { _ in
                now += Int64.random(in: 0...1, using: &random)
                return randomWindowRow(time: now - Int64.random(in: 0...(random.chance(10) ? 60 : 6), using: &random), keys: 5, using: &random)
            }
            for row in rows { model.add(row) }
            let batch = randomForm(windowSchema, rows, using: &random)
            for driver in drivers { try driver.process(batch) }
            if random.chance(60) {
                let watermark = now - Int64.random(in: 0...15, using: &random)
                model.advance(watermark)
                for driver in drivers { try driver.advance(model.watermark) }
            }
            if random.chance(5) { now += 500 }
        }
        model.advance(.max)
        for driver in drivers { try driver.finish() }
    }

    @Test(arguments: [WindowSpec.hop(slide: 5, size: 20, offset: 0), .tumble(size: 10, offset: 0), .cumulate(step: 5, size: 15, offset: 0)])
    func takesRowsBack(_ window: WindowSpec) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        // Doubles are quarters: sums stay exact whatever is taken back. LISTAGG and the ends follow arrival within the slice.
        let calls = try Self.aggregates(2)
        let spec = WindowAggregateSpec(inputSchema: windowSchema, keys: [0], timeColumn: 5, window: window, aggregates: calls,
                                       properties: [.start, .end, .time], inputChanges: true)
        let driver = try Driver(WindowAggregateOperator(spec))
        var model = WindowModel(spec)
        var live: [[Value]] = []
        for round in 0..<40 {
            var rows: [[Value]] = [], kinds: [RowKind] = []
            live.removeAll { $0[5].number! <= model.watermark }
            for _ in 0..<20 {
                if random.chance(40), let at = live.indices.randomElement(using: &random) {
                    rows.append(live.remove(at: at))
                    kinds.append(random.chance(50) ? .delete : .updateBefore)
                } else {
                    let row = randomWindowRow(time: Int64(round * 4) + Int64.random(in: 0...5, using: &random), keys: 4, using: &random)
                    live.append(row)
                    rows.append(row)
                    kinds.append(random.chance(50) ? .insert : .updateAfter)
                }
            }
            for (row, kind) in zip(rows, kinds) { model.add(row, kind) }
            try driver.process(randomForm(windowSchema, rows, kinds: kinds, using: &random))
            if random.chance(50) {
                model.advance(Int64(round * 4 - 3))
                try driver.advance(model.watermark)
            }
        }
        model.advance(.max)
        try driver.finish()
        #expect(sortedTexts(driver.output.rows) == sortedTexts(model.results), "seed \(seed)")
        #expect(driver.metrics.lateRows.get() == Int64(model.late))
    }

    @Test(arguments: [0, 2, 3, 6]) func localAndGlobalAgreeWithModel(_ which: Int) throws {
        for keys in [[], [0], [0, 1]] {
            let seed = UInt64.random(in: 0...UInt64.max)
            print("seed", seed)
            var random = SeededGenerator(seed)
            let spec = WindowAggregateSpec(inputSchema: windowSchema, keys: keys, timeColumn: 5, window: Self.specs[which],
                                           aggregates: try Self.aggregates(1), properties: [.start, .end, .time])
            #expect(spec.supportsTwoPhase)
            let local = try Driver(LocalWindowAggregateOperator(spec))
            let global = try Driver(WindowAggregateOperator(globalOf: spec))
            var model = WindowModel(spec)
            let schema = try spec.partialSchema()
            func pass() throws {
                for batch in local.output.batches {
                    #expect(batch.columns.map(\.type) == schema.map(\.type))
                    try global.process(batch)
                }
                local.output.batches = []
            }
            var now: Int64 = 0
            // Keys of one round hardly repeat, so that rows are passed on from then.
            for round in 0..<16 {
                let many = round == 7 && keys == [0]
                let rows = (0..<(many ? 4_500 : 40)).map { i in
                    now += i % (many ? 400 : 8) == 0 ? 1 : 0
                    return randomWindowRow(time: now - Int64.random(in: 0...(random.chance(5) ? 60 : 6), using: &random), keys: many ? 100_000 : 4,
                                           using: &random)
                }
                for row in rows { model.add(row) }
                try local.process(randomForm(windowSchema, rows, using: &random))
                if random.chance(30) { try local.op.prepareSnapshot(1, output: local.output) }
                if random.chance(50) {
                    model.advance(now - 5)
                    try local.advance(model.watermark)
                    try pass()
                    try global.advance(model.watermark)
                }
            }
            model.advance(.max)
            try local.finish()
            try pass()
            try global.finish()
            #expect(sortedTexts(global.output.rows) == sortedTexts(model.results), "seed \(seed)")
            // Rows that the local step holds may meet a later watermark only, never an earlier one.
            #expect(global.metrics.lateRows.get() == Int64(model.late), "seed \(seed)")
        }
    }

    @Test func localStepReducesRowsOfFewKeys() throws {
        let spec = WindowAggregateSpec(inputSchema: windowSchema, keys: [0], timeColumn: 5, window: .hop(slide: 10, size: 30, offset: 0),
                                       aggregates: [try call("COUNT", of: windowSchema)], properties: [.end])
        let local = try Driver(LocalWindowAggregateOperator(spec))
        var random = SeededGenerator(7)
        try local.process(Batch(schema: windowSchema, rows: (0..<1_000).map { _ in randomWindowRow(time: 5, keys: 3, using: &random) }))
        try local.advance(8)
        #expect(local.output.rows.isEmpty)
        try local.advance(9)
        #expect(local.output.rows.count == 4)
    }

    @Test func manyKeysComeInSeveralBatchesAndAreForgotten() throws {
        let n = 70_000
        let spec = WindowAggregateSpec(inputSchema: windowSchema, keys: [2], timeColumn: 5, window: .hop(slide: 10, size: 20, offset: 0),
                                       aggregates: [try call("COUNT", of: windowSchema), try call("MAX", [1], of: windowSchema),
                                                    try call("COUNT", [1], of: windowSchema, distinct: true)], properties: [.end])
        let op = try WindowAggregateOperator(spec)
        let driver = try Driver(op, output: Collector(room: 1))
        for round in 0..<3 as Range<Int64> {
            let rows: [[Value]] = (0..<n).map { [.null, .string("x"), .int(Int64($0) &* (round == 1 ? 7 : 1) + round * 1_000_000_000), .null, .null, .int(round * 100)] }
            try driver.process(Batch(schema: windowSchema, rows: rows))
            try driver.advance(round * 100 + 50)
            let out = driver.output.rows
            #expect(out.count == 2 * n)
            #expect(Set(out.map { $0[0] }).count == n)
            #expect(out.allSatisfy { $0[1] == .int(1) && $0[2] == .string("x") && $0[3] == .int(1) })
            #expect(driver.output.batches.allSatisfy { $0.count <= Batch.targetRows })
            driver.output.batches = []
        }
        // The keys of earlier rounds are gone: the third round's alone would be half of all.
        let state = try op.snapshot(1).loaded()
        #expect(state.allSatisfy { $0.name == "progress" })
    }

    @Test(arguments: [1, 2, 3]) func continuesFromASnapshotAtAnotherParallelism(_ parallelism: Int) throws {
        for window in Self.specs {
            let seed = UInt64.random(in: 0...UInt64.max)
            print("seed", seed)
            var random = SeededGenerator(seed)
            let spec = WindowAggregateSpec(inputSchema: windowSchema, keys: [0], timeColumn: 5, window: window,
                                           aggregates: try Self.aggregates(3), properties: [.start, .end, .time])
            var model = WindowModel(spec)
            let first = try Driver(WindowAggregateOperator(spec))
            let rows = (0..<300).map { randomWindowRow(time: Int64($0 / 8) - Int64.random(in: 0...6, using: &random), keys: 20, using: &random) }
            for row in rows[..<150] { model.add(row) }
            try first.process(Batch(schema: windowSchema, rows: Array(rows[..<150])))
            model.advance(12)
            try first.advance(12)
            let state = try first.op.snapshot(1).loaded()

            let next = try (0..<parallelism).map { try Driver(WindowAggregateOperator(spec), subtask: $0, parallelism: parallelism) }
            for (i, driver) in next.enumerated() { try driver.op.restore(share(state, subtask: i, parallelism: parallelism)) }
            for row in rows[150...] { model.add(row) }
            let rest = Batch(schema: windowSchema, rows: Array(rows[150...]))
            for (driver, part) in zip(next, exchanged(rest, keys: [0], parallelism: parallelism)) {
                try driver.process(part)
                try driver.finish()
            }
            model.advance(.max)
            #expect(sortedTexts((first.output.rows + next.flatMap { $0.output.rows })) == sortedTexts(model.results), "seed \(seed)")
            #expect(next.reduce(0) { $0 + $1.metrics.lateRows.get() } + first.metrics.lateRows.get() == Int64(model.late))
        }
    }

    @Test func nullTimeFailsTheJob() throws {
        let spec = WindowAggregateSpec(inputSchema: windowSchema, keys: [], timeColumn: 5, window: .tumble(size: 10, offset: 0),
                                       aggregates: [try call("COUNT", of: windowSchema)], properties: [])
        let driver = try Driver(WindowAggregateOperator(spec))
        let error = #expect(throws: StreamError.self) {
            try driver.process(Batch(schema: windowSchema, rows: [[.int(1), .null, .null, .null, .null, .null]]))
        }
        #expect(error?.code == .runtime)
        #expect(error?.problem == "the time attribute ts is null in a row that is to be assigned to a window")
    }

    @Test func refusesWindowsThatDoNotFit() throws {
        func problem(_ window: WindowSpec) -> String? {
            do { _ = try Windowing(window) } catch { return (error as? StreamError)?.problem }
            return nil
        }
        #expect(problem(.hop(slide: 4, size: 10, offset: 0)) == "HOP: the window size of 10 ms is not a multiple of the slide of 4 ms")
        #expect(problem(.cumulate(step: 4, size: 10, offset: 0)) == "CUMULATE: the maximum size of 10 ms is not a multiple of the step of 4 ms")
        #expect(problem(.tumble(size: 0, offset: 0)) == "TUMBLE: the window size is 0 ms")
    }

    @Test func windowsOfInstantsFollowLocalTime() throws {
        var schema = windowSchema
        schema[5] = Field("ts", .timestampLTZ(3))
        let hour: Int64 = 3_600_000
        // Berlin leaves summer time on 2024-10-27 at 01:00 UTC; its day has 25 hours.
        let midnight: Int64 = 1_729_980_000_000  // 2024-10-27 00:00 local = 2024-10-26 22:00 UTC
        let spec = WindowAggregateSpec(inputSchema: schema, keys: [], timeColumn: 5, window: .tumble(size: 24 * hour, offset: 0),
                                       aggregates: [try call("COUNT", of: schema)], properties: [.start, .end, .time], timeZone: "Europe/Berlin")
        let driver = try Driver(WindowAggregateOperator(spec))
        let times = [midnight - 1, midnight, midnight + 24 * hour, midnight + 25 * hour - 1, midnight + 25 * hour]
        try driver.process(Batch(schema: schema, rows: times.map { [.null, .null, .null, .null, .null, .int($0)] }))
        try driver.advance(midnight + 25 * hour - 2)
        #expect(driver.output.rows.count == 1)
        try driver.advance(midnight + 25 * hour - 1)
        let local: Int64 = midnight + 2 * hour
        #expect(driver.output.rows[1] == [.int(3), .int(local), .int(local + 24 * hour), .int(midnight + 25 * hour - 1)])
        #expect(driver.output.batches[1].columns.map(\.type) == [.bigint, .timestamp(3), .timestamp(3), .timestampLTZ(3)])
        try driver.finish()
        #expect(driver.output.rows.map { $0[0] } == [.int(1), .int(3), .int(1)])
    }

    @Test func tableFunctionRepeatsRowsPerWindow() throws {
        for window in Self.specs {
            var random = SeededGenerator(11)
            let rows = (0..<2_000).map { randomWindowRow(time: Int64($0) - 1_000, keys: 5, using: &random) }
            let op = try WindowTableFunctionOperator(inputSchema: windowSchema, timeColumn: 5, window: window, timeZone: "UTC")
            let driver = try Driver(op, output: Collector(room: 1))
            let kinds = rows.indices.map { RowKind(rawValue: UInt8($0 % 4))! }
            try driver.process(randomForm(windowSchema, rows, kinds: kinds, using: &random))
            let expected = zip(rows, kinds).flatMap { row, kind in
                windows(of: row[5].number!, window).map { "\(kind)\(row + [.int($0.start), .int($0.end), .int($0.end - 1)])" }
            }
            #expect(driver.output.changes.map { "\($0.kind)\($0.row)" }.sorted() == expected.sorted())
            #expect(driver.output.batches.allSatisfy { $0.count <= Batch.targetRows })
        }
    }
}
