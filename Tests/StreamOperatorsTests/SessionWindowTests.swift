import StreamCore
import Testing
@testable import StreamOperators

/// Sessions of rows, put together one row at a time.
struct SessionModel {
    /// Rows in order of arrival.
    struct Session { var start: Int64, end: Int64, rows: [(row: [Value], kind: RowKind, arrival: Int)] }
    let gap: Int64
    let keys: [Int]
    var sessions: [[Value]: [Session]] = [:]
    var watermark = Int64.min
    var late = 0
    var arrivals = 0
    var ended: [(key: [Value], session: Session)] = []

    init(gap: Int64, keys: [Int]) { (self.gap, self.keys) = (gap, keys) }

    mutating func add(_ row: [Value], _ kind: RowKind = .insert) {
        let key = keys.map { row[$0] }, time = row[5].number!
        arrivals += 1
        var made = Session(start: time, end: time + gap, rows: [(row, kind, arrivals)])
        let own = sessions[key] ?? []
        let touched = own.filter { $0.start <= made.end && $0.end >= made.start }
        for session in touched {
            (made.start, made.end) = (min(made.start, session.start), max(made.end, session.end))
        }
        guard made.end - 1 > watermark else {
            late += 1
            return
        }
        made.rows = (touched.flatMap(\.rows) + made.rows).sorted { $0.arrival < $1.arrival }
        sessions[key] = own.filter { !($0.start <= time + gap && $0.end >= time) } + [made]
    }

    mutating func advance(_ to: Int64) {
        watermark = max(watermark, to)
        for (key, list) in sessions {
            ended += list.filter { $0.end - 1 <= watermark }.map { (key, $0) }
            sessions[key] = list.filter { $0.end - 1 > watermark }
        }
    }

    /// Rows that were not taken back.
    static func net(_ rows: [(row: [Value], kind: RowKind, arrival: Int)]) -> [[Value]] {
        var left: [[Value]] = []
        for (row, kind, _) in rows {
            if kind.isAdd { left.append(row) } else if let i = left.firstIndex(of: row) { left.remove(at: i) }
        }
        return left
    }

    func results(_ aggregates: [AggregateCall]) -> [[Value]] {
        ended.compactMap { key, session in
            let rows = Self.net(session.rows)
            return rows.isEmpty ? nil : key + aggregates.map { reference($0, rows) } + [.int(session.start), .int(session.end), .int(session.end - 1)]
        }
    }

    var rows: [[Value]] {
        ended.flatMap { _, session in session.rows.map { $0.row + [.int(session.start), .int(session.end), .int(session.end - 1)] } }
    }
}

/// What goes into an operator: batches and watermarks.
enum WindowInput {
    case rows([([Value], RowKind)])
    case watermark(Int64)

    /// Rows that come in no order, some of them late, and watermarks between. Times of rows are never just at the watermark, where it
    /// matters whether it was told before.
    static func random(changes: Bool = false, using random: inout SeededGenerator) -> [WindowInput] {
        var inputs: [WindowInput] = [], now: Int64 = 0, watermark = Int64.min, live: [[Value]] = []
        for _ in 0..<60 {
            var rows: [([Value], RowKind)] = []
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                now += Int64.random(in: 0...2, using: &random)
                if changes, random.chance(30), let at = live.indices.randomElement(using: &random) {
                    rows.append((live.remove(at: at), random.chance(50) ? .delete : .updateBefore))
                    continue
                }
                let row = randomWindowRow(time: now - Int64.random(in: 0...(random.chance(15) ? 60 : 8), using: &random), keys: 4, using: &random)
                if row[5].number! > watermark { live.append(row) }
                rows.append((row, .insert))
            }
            inputs.append(.rows(rows))
            if random.chance(70) {
                watermark = max(watermark, now - Int64.random(in: 0...20, using: &random))
                inputs.append(.watermark(watermark))
                live.removeAll { $0[5].number! <= watermark + 20 }
            }
            if random.chance(10) { now += 40 }
        }
        return inputs
    }

    /// The same with batches of `size` rows at most.
    static func cut(_ inputs: [WindowInput], _ size: Int?) -> [WindowInput] {
        guard let size else { return inputs }
        return inputs.flatMap { input -> [WindowInput] in
            guard case .rows(let rows) = input else { return [input] }
            return stride(from: 0, to: rows.count, by: size).map { .rows(Array(rows[$0..<min($0 + size, rows.count)])) }
        }
    }
}

@Suite("session windows") struct SessionWindowTests {
    static func spec(_ keys: [Int], _ level: Int, gap: Int64 = 10, changes: Bool = false) throws -> WindowAggregateSpec {
        WindowAggregateSpec(inputSchema: windowSchema, keys: keys, timeColumn: 5, window: .session(gap: gap),
                            aggregates: try WindowAggregateTests.aggregates(level), properties: [.start, .end, .time], inputChanges: changes)
    }

    func feed(_ driver: Driver, _ inputs: [WindowInput], changes: Bool, using random: inout SeededGenerator) throws {
        for input in inputs {
            switch input {
            case .rows(let rows):
                try driver.process(randomForm(windowSchema, rows.map(\.0), kinds: changes ? rows.map(\.1) : nil, using: &random))
            case .watermark(let time): try driver.advance(time)
            }
        }
    }

    func model(_ inputs: [WindowInput], gap: Int64, keys: [Int]) -> SessionModel {
        var model = SessionModel(gap: gap, keys: keys)
        for input in inputs {
            switch input {
            case .rows(let rows): for (row, kind) in rows { model.add(row, kind) }
            case .watermark(let time): model.advance(time)
            }
        }
        model.advance(.max)
        return model
    }

    @Test(arguments: [1, 7, nil] as [Int?], [0, 3]) func agreesWithModel(_ size: Int?, _ level: Int) throws {
        for keys in [[], [0], [0, 1]] {
            let seed = UInt64.random(in: 0...UInt64.max)
            print("seed", seed)
            var random = SeededGenerator(seed)
            let inputs = WindowInput.random(using: &random), spec = try Self.spec(keys, level)
            let driver = try Driver(PaneWindowOperator(spec), output: Collector(room: 1))
            try feed(driver, WindowInput.cut(inputs, size), changes: false, using: &random)
            try driver.finish()
            let model = model(inputs, gap: 10, keys: keys)
            #expect(same(driver.output.rows, model.results(spec.aggregates)), "seed \(seed)")
            #expect(driver.metrics.lateRows.get() == Int64(model.late), "seed \(seed)")
            #expect(driver.output.batches.allSatisfy { $0.columns.map(\.type) == spec.outputTypes })
        }
    }

    @Test(arguments: [1, 7, nil] as [Int?]) func takesRowsBack(_ size: Int?) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let inputs = WindowInput.random(changes: true, using: &random), spec = try Self.spec([0], 2, changes: true)
        let driver = try Driver(PaneWindowOperator(spec))
        try feed(driver, WindowInput.cut(inputs, size), changes: true, using: &random)
        try driver.finish()
        #expect(same(driver.output.rows, model(inputs, gap: 10, keys: [0]).results(spec.aggregates)), "seed \(seed)")
    }

    @Test(arguments: [1, 7, nil] as [Int?]) func givesRowsWithTheirSessions(_ size: Int?) throws {
        for keys in [[], [0], [0, 1]] {
            let seed = UInt64.random(in: 0...UInt64.max)
            print("seed", seed)
            var random = SeededGenerator(seed)
            let inputs = WindowInput.random(using: &random)
            let driver = try Driver(SessionTableOperator(.init(inputSchema: windowSchema, keys: keys, timeColumn: 5, gap: 10)), output: Collector(room: 1))
            try feed(driver, WindowInput.cut(inputs, size), changes: false, using: &random)
            try driver.finish()
            let model = model(inputs, gap: 10, keys: keys)
            #expect(same(driver.output.rows, model.rows), "seed \(seed)")
            #expect(driver.metrics.lateRows.get() == Int64(model.late), "seed \(seed)")
        }
    }

    /// Stops at a random place and goes on with other numbers of subtasks.
    @Test(arguments: [(1, 2), (2, 1), (3, 2)], [false, true]) func goesOnAtAnotherParallelism(_ parallelism: (Int, Int), _ givesRows: Bool) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let inputs = WindowInput.random(using: &random), spec = try Self.spec([0, 1], 3)
        func make() throws -> any StreamOperator {
            givesRows ? try SessionTableOperator(.init(inputSchema: windowSchema, keys: [0, 1], timeColumn: 5, gap: 10)) : try PaneWindowOperator(spec)
        }
        let stop = Int.random(in: 0..<inputs.count, using: &random)
        var output: [[Value]] = [], states: [KeyGroupState] = []
        func run(_ part: ArraySlice<WindowInput>, _ subtasks: Int, isLast: Bool) throws {
            let drivers = try (0..<subtasks).map { try Driver(make(), subtask: $0, parallelism: subtasks) }
            for (i, driver) in drivers.enumerated() { try driver.op.restore(share(states, subtask: i, parallelism: subtasks)) }
            for input in part {
                switch input {
                case .rows(let rows):
                    let parts = exchanged(Batch(schema: windowSchema, rows: rows.map(\.0)), keys: [0, 1], parallelism: subtasks)
                    for (driver, batch) in zip(drivers, parts) { try driver.process(batch) }
                case .watermark(let time): for driver in drivers { try driver.advance(time) }
                }
            }
            states = try drivers.flatMap { try $0.op.snapshot(1).units.flatMap { try $0.pieces() } }
            if isLast { for driver in drivers { try driver.finish() } }
            output += drivers.flatMap { $0.output.rows }
        }
        try run(inputs[..<stop], parallelism.0, isLast: false)
        try run(inputs[stop...], parallelism.1, isLast: true)
        let model = model(inputs, gap: 10, keys: [0, 1])
        #expect(same(output, givesRows ? model.rows : model.results(spec.aggregates)), "seed \(seed)")
    }

    @Test func rowsAGapApartShareASession() throws {
        let spec = try Self.spec([0], 0)
        let driver = try Driver(PaneWindowOperator(spec))
        func row(_ time: Int64) -> [Value] { [.int(1), .null, .int(1), .null, .null, .int(time)] }
        try driver.process(Batch(schema: windowSchema, rows: [row(0), row(10), row(21), row(32)]))
        // Ends with the watermark: a row that would touch it starts anew.
        try driver.advance(19)
        try driver.process(Batch(schema: windowSchema, rows: [row(20)]))
        try driver.finish()
        let ends = driver.output.rows.map { [$0[6], $0[7], $0[1]] }
        #expect(ends == [[.int(0), .int(20), .int(2)], [.int(20), .int(31), .int(2)], [.int(32), .int(42), .int(1)]])
    }

    @Test func sessionsByTheClockEndWithoutRows() throws {
        let clock = TestClock(1_000)
        var spec = try Self.spec([0], 0)
        spec.isProcessingTime = true
        let driver = try Driver(PaneWindowOperator(spec), now: { clock.now })
        func batch(_ key: Int64) -> Batch { Batch(schema: windowSchema, rows: [[.int(key), .null, .int(1), .null, .null, .null]]) }
        try driver.process(batch(1))
        clock.now = 1_008
        try driver.process(batch(1))
        try driver.process(batch(2))
        #expect(driver.op.wakeAt == 1_010)
        clock.now = 1_010
        _ = try driver.op.onTime(1_010, output: driver.output)
        #expect(driver.output.rows.isEmpty)
        #expect(driver.op.wakeAt == 1_018)
        clock.now = 1_018
        _ = try driver.op.onTime(1_018, output: driver.output)
        let results = driver.output.rows.map { [$0[0], $0[1], $0[6], $0[7]] }
        #expect(sortedTexts(results) == sortedTexts([[.int(1), .int(2), .int(1_000), .int(1_018)], [.int(2), .int(1), .int(1_008), .int(1_018)]]))
    }
}

/// Whether rows are the same in any order; prints some that are not.
func same(_ actual: [[Value]], _ expected: [[Value]]) -> Bool {
    let (a, b) = (sortedTexts(actual), sortedTexts(expected))
    guard a != b else { return true }
    func short(_ texts: [String]) -> [String] { texts.prefix(3).map { $0.replacing("StreamCore.Value.", with: "") } }
    let left = b.reduce(into: a) { left, row in if let i = left.firstIndex(of: row) { left.remove(at: i) } }
    let right = a.reduce(into: b) { left, row in if let i = left.firstIndex(of: row) { left.remove(at: i) } }
    print("\(a.count) rows, \(b.count) expected; too many:", short(left), "missing:", short(right))
    return false
}
