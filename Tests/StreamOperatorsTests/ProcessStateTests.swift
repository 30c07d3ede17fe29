import StreamCore
import StreamOperators
import StreamState
import Testing

private let input: Schema = [Field("k", .int), Field("s", .string), Field("op", .int), Field("a", .bigint), Field("b", .string), Field("ts", .timestamp(3))]
private let output: Schema = [Field("k", .int), Field("s", .string), Field("text", .string)]

private struct Reading: StateCodable, Equatable {
    var name: String, number: Int64?, flags: [Bool]

    init(_ name: String, _ number: Int64?, _ flags: [Bool]) { (self.name, self.number, self.flags) = (name, number, flags) }
    func write(to state: inout StateWriter) {
        state.write(name)
        state.write(number)
        state.write(flags)
    }
    init(from state: inout StateReader) throws {
        name = try state.read()
        number = try state.read()
        flags = try state.read()
    }
}

private struct Mean: Codable, Equatable, Sendable { var sum: Int64 = 0, count: Int64 = 0 }

/// Does to its state what rows say, and emits all of it after each.
private final class Everything: KeyedProcessFunction {
    private let ttl: StateTTL?
    private var value: ValueState<Reading>!
    private var list: ListState<Int64>!
    private var map: MapState<String, Double>!
    private var reducing: ReducingState<Int64>!
    private var aggregating: AggregatingState<Int64, Mean, Double>!

    init(ttl: StateTTL?) { self.ttl = ttl }

    func open(_ context: ProcessContext) throws {
        value = try context.valueState("value", of: Reading.self, ttl: ttl)
        list = try context.listState("list", of: .int64, ttl: ttl)
        map = try context.mapState("map", from: .string, to: .double, ttl: ttl)
        reducing = try context.reducingState("reducing", of: .int64, ttl: ttl) { $0 &+ $1 }
        aggregating = try context.aggregatingState(
            "aggregating", of: .codable(Mean.self), ttl: ttl, create: { Mean() },
            add: { (mean: inout Mean, n: Int64) in
                mean.sum += n
                mean.count += 1
            }, result: { Double($0.sum) / Double($0.count) }, merge: { Mean(sum: $0.sum + $1.sum, count: $0.count + $1.count) })
    }

    func process(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws {
        let a = try row.int64("a")!, b = try row.string("b")!
        switch try row.int64("op")! {
        case 0: try value.update(Reading(b, a % 3 == 0 ? nil : a, [a % 2 == 0, true]))
        case 1: try value.clear()
        case 2: try list.add(a)
        case 3: try list.update([a, a + 1])
        case 4: try list.clear()
        case 5: try map.put(b, Double(a) / 4)
        case 6: try map.remove(b)
        case 7: try map.clear()
        case 8: try reducing.add(a)
        case 9: try reducing.clear()
        case 10: try aggregating.add(a)
        case 11: try aggregating.clear()
        case 12: try aggregating.add(merging: Mean(sum: a, count: 2))
        case 13: try context.setTimer(.eventTime, at: a)
        case 14: try context.deleteTimer(.eventTime, at: a)
        default: try list.add(contentsOf: [a, a, a])
        }
        let key = try context.key()
        try out.emit(key.value(0), key.value("s"), text())
    }

    private func text() throws -> String {
        let entries = try map.entries().map { "\($0.key)=\($0.value)" }.joined(separator: ",")
        let v = try value.value().map { "\($0.name) \($0.number.map { "\($0)" } ?? "-") \($0.flags)" } ?? "-"
        return "\(v) | \(try list.values()) | \(entries) | \(try reducing.value() ?? -1) | \(try aggregating.value() ?? -1)"
    }

    func onTimer(_ timestamp: Int64, _ domain: TimeDomain, _ context: KeyContext, _ out: RowCollector) throws {
        let key = try context.key()
        try out.emit(key.value(0), key.value(1), "timer \(timestamp)")
    }
}

/// The same with plain dictionaries.
private struct Model {
    struct Aged<T> { var value: T, touched: Int64 }
    struct State {
        var value: Aged<Reading>?
        var list: [Aged<Int64>] = []
        var map: [String: Aged<Double>] = [:]
        var reducing: Aged<Int64>?
        var aggregating: Aged<Mean>?
        var timers: Set<Int64> = []
    }
    var states: [[Value]: State] = [:]
    var ttl: StateTTL?

    private func isLive(_ touched: Int64, _ now: Int64) -> Bool { ttl.map { touched + Int64($0.duration / .milliseconds(1)) > now } ?? true }

    mutating func apply(_ row: [Value], now: Int64) -> String {
        guard let op = row[2].number, let a = row[3].number, let b = row[4].text else { return "" }
        var state = states[[row[0], row[1]]] ?? State()
        defer { states[[row[0], row[1]]] = state }
        if let r = state.reducing, !isLive(r.touched, now) { state.reducing = nil }
        if let r = state.aggregating, !isLive(r.touched, now) { state.aggregating = nil }
        switch op {
        case 0: state.value = Aged(value: Reading(b, a % 3 == 0 ? nil : a, [a % 2 == 0, true]), touched: now)
        case 1: state.value = nil
        case 2: state.list.append(Aged(value: a, touched: now))
        case 3: state.list = [Aged(value: a, touched: now), Aged(value: a + 1, touched: now)]
        case 4: state.list = []
        case 5: state.map[b] = Aged(value: Double(a) / 4, touched: now)
        case 6: state.map[b] = nil
        case 7: state.map = [:]
        case 8: state.reducing = Aged(value: (state.reducing?.value ?? 0) + a, touched: now)
        case 9: state.reducing = nil
        case 10:
            let old = state.aggregating?.value ?? Mean()
            state.aggregating = Aged(value: Mean(sum: old.sum + a, count: old.count + 1), touched: now)
        case 11: state.aggregating = nil
        case 12:
            let old = state.aggregating?.value ?? Mean()
            state.aggregating = Aged(value: Mean(sum: old.sum + a, count: old.count + 2), touched: now)
        case 13: state.timers.insert(a)
        case 14: state.timers.remove(a)
        default: for _ in 0..<3 { state.list.append(Aged(value: a, touched: now)) }
        }
        if let v = state.value, !isLive(v.touched, now) { state.value = nil }
        state.list = state.list.filter { isLive($0.touched, now) }
        state.map = state.map.filter { isLive($0.value.touched, now) }
        if ttl?.updateType == .onReadAndWrite {
            state.value?.touched = now
            state.list = state.list.map { Aged(value: $0.value, touched: now) }
            state.map = state.map.mapValues { Aged(value: $0.value, touched: now) }
            state.reducing?.touched = now
            state.aggregating?.touched = now
        }
        let entries = state.map.sorted { Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8)) }.map { "\($0.key)=\($0.value.value)" }
        let v = state.value.map { "\($0.value.name) \($0.value.number.map { "\($0)" } ?? "-") \($0.value.flags)" } ?? "-"
        let mean = state.aggregating.map { Double($0.value.sum) / Double($0.value.count) }
        return "\(v) | \(state.list.map(\.value)) | \(entries.joined(separator: ",")) | \(state.reducing?.value ?? -1) | \(mean ?? -1)"
    }

    mutating func fire(_ watermark: Int64) -> [[Value]] {
        var fired: [[Value]] = []
        for (key, state) in states {
            for timer in state.timers where timer <= watermark { fired.append(key + [.string("timer \(timer)")]) }
            states[key]!.timers = state.timers.filter { $0 > watermark }
        }
        return fired
    }
}

@Suite("Keyed state") struct ProcessStateTests {
    private static let names = ["", "a", "b\u{0}c", "Größe", "a name of more than twelve bytes"]

    private func rows(_ random: inout SeededGenerator) -> [[Value]] {
        (0..<Int.random(in: 0...40, using: &random)).map { _ in
            [random.chance(10) ? .null : .int(Int64.random(in: -3...3, using: &random)),
             random.chance(10) ? .null : .string(Self.names.randomElement(using: &random)!),
             .int(Int64.random(in: 0...15, using: &random)), .int(Int64.random(in: 0...500, using: &random)),
             .string(Self.names.randomElement(using: &random)!), .int(0)]
        }
    }

    /// Runs random rows, with snapshots into other parallelisms, and compares each answer with the model's.
    private func run(seed: UInt64, inStore: Bool, ttl: StateTTL?) throws {
        var random = SeededGenerator(seed)
        let make = try Operators.keyedProcess(inputSchema: input, keys: ["k", "s"], outputSchema: output, timeColumn: "ts") { Everything(ttl: ttl) }
        let clock = FakeClock()
        var model = Model(ttl: ttl)
        var harness = try ProcessHarness(make, keys: [[0, 1]], inStore: inStore, clock: clock)
        for parallelism in [2, 4, 1, 3] {
            for _ in 0..<8 {
                let rows = rows(&random)
                try harness.process(randomForm(input, rows, using: &random))
                var expected: [[Value]: [String]] = [:], actual: [[Value]: [String]] = [:]
                for row in rows { expected[Array(row[..<2]), default: []].append(model.apply(row, now: clock.now)) }
                for row in harness.take() { actual[Array(row[..<2]), default: []].append(row[2].text!) }
                #expect(actual == expected, "seed \(seed), in a store: \(inStore)")
                clock.advance(Int64.random(in: 0...400, using: &random))
                if random.chance(30) {
                    let watermark = Int64.random(in: 0...400, using: &random)
                    try harness.advance(watermark)
                    #expect(sortedTexts(harness.take()) == sortedTexts(model.fire(watermark)), "seed \(seed), in a store: \(inStore)")
                }
            }
            let frozen = try harness.snapshot()
            // What happens behind the barrier is no part of the snapshot.
            try harness.process(randomForm(input, rows(&random), using: &random))
            try harness.advance(.random(in: 0...500, using: &random))
            harness = try ProcessHarness(make, keys: [[0, 1]], parallelism: parallelism, inStore: inStore, clock: clock, restoring: try frozen())
        }
        try harness.finish()
        #expect(sortedTexts(harness.take()) == sortedTexts(model.fire(.max)), "seed \(seed), in a store: \(inStore)")
    }

    @Test("all kinds of state are what plain dictionaries would be, also after 1 -> 2 -> 4 -> 1 -> 3 subtasks", arguments: UInt64(0)..<12, [false, true])
    func model(seed: UInt64, inStore: Bool) throws { try run(seed: seed, inStore: inStore, ttl: nil) }

    @Test("state expires after it was written", arguments: UInt64(20)..<28, [false, true])
    func expiry(seed: UInt64, inStore: Bool) throws { try run(seed: seed, inStore: inStore, ttl: StateTTL(.milliseconds(700))) }

    @Test("state expires after it was written or read", arguments: UInt64(40)..<48, [false, true])
    func expiryAfterReads(seed: UInt64, inStore: Bool) throws {
        try run(seed: seed, inStore: inStore, ttl: StateTTL(.milliseconds(700), updateType: .onReadAndWrite))
    }

    @Test("a snapshot of state in memory is restored into a store")
    func memoryToStore() throws {
        let make = try Operators.keyedProcess(inputSchema: input, keys: [0, 1], outputSchema: output) { Everything(ttl: nil) }
        func row(_ op: Int64, _ a: Int64) -> [Value] { [.int(1), .string("x"), .int(op), .int(a), .string("m"), .int(0)] }
        let first = try ProcessHarness(make, keys: [[0, 1]])
        try first.process(Batch(schema: input, rows: [row(0, 4), row(2, 5), row(2, 6), row(5, 7), row(8, 8), row(10, 9)]))
        let before = first.take().last
        let second = try ProcessHarness(make, keys: [[0, 1]], parallelism: 2, inStore: true, restoring: try first.snapshot()())
        try second.process(Batch(schema: input, rows: [row(14, 0)]))
        #expect(second.take() == [before])
    }

    @Test("the store holds key group, handle, key and position or map key, in this order, and lists grow by their new elements only")
    func layout() throws {
        final class Lists: KeyedProcessFunction {
            private var list: ListState<String>!, map: MapState<Int64, Bool>!
            func open(_ context: ProcessContext) throws {
                list = try context.listState("list", of: .string)
                map = try context.mapState("map", from: .int64, to: .bool)
            }
            func process(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws {
                try list.add(String(repeating: "x", count: 1_000))
                try map.put(try row.int64(1)!, true)
            }
        }
        let schema: Schema = [Field("k", .string), Field("n", .bigint)]
        let make = try Operators.keyedProcess(inputSchema: schema, keys: [0], outputSchema: []) { Lists() }
        let harness = try ProcessHarness(make, keys: [[0]], inStore: true)
        for n in [300, -2, 7, 0, -300] as [Int64] { try harness.process(Batch(schema: schema, rows: [[.string("key"), .int(n)]])) }
        _ = try harness.snapshot()
        let store = harness.backends[0].stores[0]
        let keyBytes: [UInt8] = [1] + Array("key".utf8) + [0, 0]
        let own = store.entries.keys.filter { $0.count > 6 && Array($0[6...].prefix(keyBytes.count)) == keyBytes && $0[2..<6] != [0, 0, 0, 0] }
            .sorted { $0.lexicographicallyPrecedes($1) }
        #expect(Set(own.map { Array($0[..<2]) }).count == 1)
        let tails = own.map { Array($0[(6 + keyBytes.count)...]) }
        let positions = (0..<5).map { [1, 0, 0, 0, 0, 0, 0, 0, UInt8($0)] as [UInt8] }
        #expect(Set(tails) == Set(positions + [[0], [0x7D, 0xFE, 0xD4], [0x7E, 0xFE], [0x80], [0x81, 7], [0x82, 1, 44]]))
        // Five elements of 1,002 bytes, five heads, five entries, and what describes two handles in 128 key groups.
        #expect(store.bytesPut < 5 * 1_002 + 10 * 8 + 128 * 2 * 24)
        harness.subtasks[0].close()
        #expect(store.isClosed)
    }

    @Test("a snapshot shows keys, map keys and values as they are")
    func readable() throws {
        let make = try Operators.keyedProcess(inputSchema: input, keys: ["k", "s"], outputSchema: output) { Everything(ttl: StateTTL(.seconds(60))) }
        let harness = try ProcessHarness(make, keys: [[0, 1]], clock: FakeClock(86_400_000))
        for (op, a) in [(0, 4), (2, 5), (2, 6), (5, 7), (10, 9), (13, 77)] as [(Int64, Int64)] {
            try harness.process(Batch(schema: input, rows: [[.int(1), .null, .int(op), .int(a), .string("m"), .int(0)]]))
        }
        let pieces = try harness.snapshot()().loaded()
        func piece(_ name: String) -> (columns: [String], rows: [[Value]]) {
            let piece = pieces.first { $0.name == name }
            return (piece?.columns ?? [], piece?.batch.rows() ?? [])
        }
        let day = Value.int(86_400_000)
        #expect(piece("value").columns == ["k", "s", "value", "value_bytes", "last_access", "state"])
        #expect(piece("value").rows[0][2] == .string(#"Reading(name: "m", number: Optional(4), flags: [true, true])"#))
        #expect(piece("value").rows[0][5] == .string("value<Reading>, expiring"))
        #expect(piece("list").columns == ["k", "s", "position", "value", "last_access", "state"])
        #expect(piece("list").rows.map { Array($0[2...4]) } == [[.int(0), .int(5), day], [.int(1), .int(6), day]])
        #expect(piece("map").rows == [[.int(1), .null, .string("m"), .double(1.75), day, .string("map<String, Double>, expiring")]])
        #expect(piece("aggregating").rows[0][2] == .string(#"{"count":1,"sum":9}"#))
        #expect(piece("timers").columns == ["k", "s", "domain", "timestamp"])
        #expect(piece("timers").rows == [[.int(1), .null, .string("event time"), .int(77)]])
        #expect(Set(pieces.map(\.keyGroup)).count == 1)
    }

    @Test("a unit's version changes with its key group, and only then")
    func versions() throws {
        let make = try Operators.keyedProcess(inputSchema: input, keys: ["k", "s"], outputSchema: output) { Everything(ttl: nil) }
        let harness = try ProcessHarness(make, keys: [[0, 1]])
        func row(_ k: Int64, _ op: Int64) -> [Value] { [.int(k), .null, .int(op), .int(5), .string(""), .int(0)] }
        func units() throws -> [String: UInt64] {
            Dictionary(uniqueKeysWithValues: try harness.subtasks[0].snapshot(1).units.map { ($0.name, $0.version!) })
        }
        try harness.process(Batch(schema: input, rows: (0..<40).map { row($0, $0 % 2 == 0 ? 0 : 13) }))
        let first = try units()
        #expect(try units() == first)
        #expect(first.count > 20)
        try harness.process(Batch(schema: input, rows: [row(0, 8)]))
        let second = try units()
        #expect(first.filter { second[$0.key] != $0.value }.count == 1)
    }

    @Test("expired state is removed while other keys' rows come", arguments: [false, true])
    func sweep(inStore: Bool) throws {
        let make = try Operators.keyedProcess(inputSchema: input, keys: ["k", "s"], outputSchema: output) { Everything(ttl: StateTTL(.seconds(1))) }
        let harness = try ProcessHarness(make, keys: [[0, 1]], inStore: inStore)
        for op in [0, 2, 5, 8, 10] as [Int64] {
            try harness.process(Batch(schema: input, rows: (0..<100).map { [.int($0), .null, .int(op), .int(5), .string("m"), .int(0)] }))
        }
        func entries() throws -> Int {
            let state = try harness.snapshot()()
            guard inStore else { return try state.loaded().reduce(0) { $0 + $1.batch.count } }
            return harness.backends[0].stores[0].entries.count - 5 * 128
        }
        #expect(try entries() == (inStore ? 600 : 500))
        harness.clock.advance(2_000)
        for _ in 0..<20 {
            try harness.process(Batch(schema: input, rows: (0..<50).map { _ in [.int(-1), .null, .int(1), .int(5), .string("m"), .int(0)] }))
        }
        #expect(try entries() == 0)
    }
}

@Suite("Bytes of state") struct StateBytesTests {
    private func bytes(_ value: some StateCodable) -> [UInt8] {
        var writer = StateWriter()
        writer.write(value)
        return writer.bytes
    }

    private func check<T: StateCodable & Equatable>(_ ordered: [T]) throws {
        for (i, value) in ordered.enumerated() {
            var reader = StateReader(bytes(value))
            #expect(try reader.read(T.self) == value)
            #expect(reader.isAtEnd)
            if i > 0 { #expect(bytes(ordered[i - 1]).lexicographicallyPrecedes(bytes(value)), "\(ordered[i - 1]) and \(value)") }
        }
    }

    @Test("values come back, and their bytes sort as they do")
    func ordered() throws {
        try check([Int64.min, -1 << 40, -65_537, -65_536, -257, -256, -255, -2, -1, 0, 1, 127, 255, 256, 65_535, 65_536, .max])
        try check([Int128.min, Int128(Int64.min) - 1, -1, 0, Int128(Int64.max) + 1, .max])
        try check([0, 1, UInt64(Int64.max), .max])
        try check([-Double.infinity, -1e300, -1, -.leastNonzeroMagnitude, -0.0, .leastNonzeroMagnitude, 0.5, 1, 1e300, .infinity])
        try check([-Float.infinity, -2.5, 0, 3, .infinity])
        try check(["", "\u{0}", "\u{0}a", "a", "a\u{0}", "a\u{0}\u{0}b", "ab", "b", "é", "日本"])
        try check([[], [0], [0, 0], [0, 255], [1], [255]] as [[UInt8]])
        try check([nil, -5, 7] as [Int64?])
        try check([[], [-1], [-1, 4], [0]] as [[Int]])
        try check([false, true])
        try check([EventTime.min, EventTime(milliseconds: 5), .max])
    }

    @Test("boxed values and dictionaries come back")
    func nested() throws {
        let value = Value.row([.null, .bool(true), .int(-7), .float(1.5), .double(.infinity), .decimal(Int128.max), .string("x\u{0}"), .binary([0, 255]),
                               .array([.int(1), .null]), .map([.init(.string("k"), .array([]))])])
        try check([value])
        var reader = StateReader(bytes(["b": [1, 2], "a": []] as [String: [Int]]))
        #expect(try reader.read([String: [Int]].self) == ["b": [1, 2], "a": []])
    }

    @Test("damaged bytes are an error, never a crash", arguments: UInt64(0)..<200)
    func damaged(seed: UInt64) {
        var random = SeededGenerator(seed)
        var raw = bytes(Reading("name", 5, [true]))
        if random.chance(50) { raw.removeLast(Int.random(in: 1...raw.count, using: &random)) }
        if !raw.isEmpty { raw[Int.random(in: 0..<raw.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
        var reader = StateReader(raw)
        do {
            _ = try reader.read(Reading.self)
        } catch let error as StreamError {
            #expect(error.code == .corrupt, "seed \(seed)")
        } catch {
            Issue.record("seed \(seed): \(error)")
        }
    }
}
