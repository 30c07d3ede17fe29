import StreamCore
import Testing
@testable import StreamOperators

/// Rows with a key, a number, a text and a time, and changes to them.
enum RankInput {
    static let schema: Schema = [Field("k", .varchar(DataType.maxLength)), Field("v", .bigint), Field("s", .string), Field("ts", .timestamp(3), nullable: false)]

    struct Change {
        var kind: RowKind
        var row: [Value]
    }

    static func changes(_ n: Int, keys: Int, takesBack: Bool, using random: inout SeededGenerator) -> [Change] {
        var live: [[Value]] = [], made: [Change] = []
        for i in 0..<n {
            if takesBack, !live.isEmpty, random.chance(40) {
                let row = live.remove(at: Int.random(in: live.indices, using: &random))
                made.append(Change(kind: random.chance(50) ? .delete : .updateBefore, row: row))
                continue
            }
            let key = Int.random(in: 0..<keys, using: &random)
            let row: [Value] = [
                key == 0 ? .null : .string("key \(key)" + String(repeating: "x", count: key % 15)),
                random.chance(10) ? .null : .int(Int64.random(in: -6...6, using: &random)),
                random.chance(10) ? .null : .string("text \(Int.random(in: 0..<8, using: &random))" + (random.chance(30) ? " that is longer than a view" : "")),
                .int(Int64(i * 10) + Int64.random(in: -200...200, using: &random) / 20 * 20),
            ]
            made.append(Change(kind: !takesBack || random.chance(50) ? .insert : .updateAfter, row: row))
            live.append(row)
        }
        return made
    }

    static func batches(_ changes: [Change], size: Int, insertOnly: Bool, using random: inout SeededGenerator) -> [Batch] {
        stride(from: 0, to: changes.count, by: size).map { start in
            let part = changes[start..<min(start + size, changes.count)]
            return randomForm(schema, part.map(\.row), kinds: insertOnly ? nil : part.map(\.kind), using: &random)
        }
    }

    /// What is left of each key, in order of arrival.
    static func partitions(_ changes: ArraySlice<Change>) -> [Value: [[Value]]] {
        var left: [Value: [[Value]]] = [:]
        for change in changes {
            if change.kind.isAdd {
                left[change.row[0], default: []].append(change.row)
            } else if let i = left[change.row[0]]?.firstIndex(of: change.row) {
                left[change.row[0]]!.remove(at: i)
            }
        }
        return left
    }

    static func ordered(_ rows: [[Value]], _ keys: [SortSpec.Key], latestFirst: Bool = false) -> [[Value]] {
        let numbered = Array((latestFirst ? rows.reversed() : rows).enumerated())
        return numbered.sorted { a, b in
            for key in keys {
                let (x, y) = (a.element[key.column], b.element[key.column])
                if x == y { continue }
                if x == .null { return key.nullsFirst }
                if y == .null { return !key.nullsFirst }
                return less(x, y) != key.descending
            }
            return a.offset < b.offset
        }.map(\.element)
    }

    static func less(_ a: Value, _ b: Value) -> Bool {
        switch (a, b) {
        case (.int(let x), .int(let y)): x < y
        case (.string(let x), .string(let y)): Array(x.utf8).lexicographicallyPrecedes(Array(y.utf8))
        default: false
        }
    }
}

/// Operators side by side that share keys, and what came out of them.
struct KeyedSubtasks {
    var drivers: [Driver]
    let make: () throws -> any StreamOperator
    let keys: [Int]
    private(set) var changes: [(kind: RowKind, row: [Value])] = []

    init(_ parallelism: Int, keys: [Int], room: Int = .max, _ make: @escaping () throws -> any StreamOperator) throws {
        (self.make, self.keys) = (make, keys)
        drivers = try (0..<parallelism).map { try Driver(make(), output: Collector(room: room), subtask: $0, parallelism: parallelism) }
    }

    private mutating func collect() {
        for driver in drivers {
            changes += driver.output.changes
            driver.output.batches = []
        }
    }

    mutating func process(_ batch: Batch) throws {
        let parts = drivers.count == 1 ? [batch] : exchanged(batch, keys: keys, parallelism: drivers.count)
        for (driver, part) in zip(drivers, parts) where !part.isEmpty { try driver.process(part) }
        collect()
    }

    mutating func advance(_ time: Int64) throws {
        for driver in drivers { try driver.advance(time) }
        collect()
    }

    mutating func finish() throws {
        for driver in drivers { try driver.finish() }
        collect()
    }

    /// Others take over from a snapshot.
    mutating func rescale(_ parallelism: Int) throws {
        let states = try drivers.flatMap { try $0.op.snapshot(1).loaded() }
        var progress: Set<String> = []
        let unique = states.filter { $0.keyGroup != KeyGroupState.everywhere || progress.insert("\($0.name)\($0.batch.rows())").inserted }
        drivers = try (0..<parallelism).map { try Driver(make(), subtask: $0, parallelism: parallelism) }
        for (subtask, driver) in drivers.enumerated() { try driver.op.restore(share(unique, subtask: subtask, parallelism: parallelism)) }
    }
}

/// Nothing is taken back that was not given, and -U is followed by +U.
func isValid(_ changes: [(kind: RowKind, row: [Value])]) -> Bool {
    var counts: [[Value]: Int] = [:]
    for (i, change) in changes.enumerated() {
        counts[change.row, default: 0] += change.kind.isAdd ? 1 : -1
        if counts[change.row]! < 0 { return false }
        if change.kind == .updateBefore, i + 1 == changes.count || changes[i + 1].kind != .updateAfter { return false }
    }
    return true
}

@Suite struct RankTests {
    private static func key(_ column: Int, _ descending: Bool = false, _ nullsFirst: Bool? = nil) -> SortSpec.Key {
        SortSpec.Key(column: column, descending: descending, nullsFirst: nullsFirst ?? !descending)
    }

    private static let orders: [[SortSpec.Key]] = [
        [key(1, true)], [key(1), key(3, true)], [key(2, true, true), key(1, false, false)], [key(2), key(3), key(1)], [key(3)], [],
    ]

    /// Any history against a model that sorts everything each time.
    @Test(arguments: 0..<40) func model(_ round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("rank \(round): seed", seed)
        var random = SeededGenerator(seed)
        let takesBack = round % 2 == 1, first = [1, 1, 2, 3][round % 4], last = [first, first + 1, first + 4, nil][round / 4 % 4]
        let partition = round % 5 == 4 ? [] : [0]
        let order = Self.orders.randomElement(using: &random)!
        let latestFirst = !takesBack && round % 3 == 0 && last != nil, givesPlace = random.chance(50)
        let spec = RankSpec(inputSchema: RankInput.schema, partition: partition, order: order, first: first, last: last, givesPlace: givesPlace,
                            latestFirst: latestFirst, inputChanges: takesBack)
        let changes = RankInput.changes(400, keys: 8, takesBack: takesBack, using: &random)
        for size in [1, 7, 400] {
            var subtasks = try KeyedSubtasks(1, keys: [0], room: 1) { try RankOperator(spec) }
            var done = 0
            for batch in RankInput.batches(changes, size: size, insertOnly: !takesBack, using: &random) {
                try subtasks.process(batch)
                done = min(done + size, changes.count)
                if random.chance(size == 1 ? 2 : 20) { try subtasks.rescale(partition.isEmpty ? 1 : Int.random(in: 1...4, using: &random)) }
                guard size > 1 || random.chance(10) || done == changes.count else { continue }
                var expected: [[Value]: Int] = [:]
                var parts = RankInput.partitions(changes[..<done])
                if partition.isEmpty {
                    parts = [.null: RankInput.arrivals(changes[..<done])]
                }
                for rows in parts.values {
                    let all = RankInput.ordered(rows, order, latestFirst: latestFirst)
                    for (i, row) in all.enumerated() where i + 1 >= first && i + 1 <= last ?? .max {
                        expected[row + (givesPlace ? [.int(Int64(i + 1))] : []), default: 0] += 1
                    }
                }
                #expect(netted(subtasks.changes) == expected, "seed \(seed), batches of \(size), after \(done)")
            }
            #expect(isValid(subtasks.changes), "seed \(seed), batches of \(size)")
            if !takesBack, order.isEmpty, !latestFirst, first == 1 { #expect(subtasks.changes.allSatisfy { $0.kind == .insert }) }
        }
    }

    /// Rows by (k, id) whose number only grows, each with a text of its own; old rows of updates may come or not.
    private static let scores: Schema = [Field("k", .string), Field("id", .int, nullable: false), Field("v", .bigint), Field("s", .string)]

    private static func growing(_ n: Int, partitions: Int, members: Int, using random: inout SeededGenerator) -> [RankInput.Change] {
        var values: [[Value]: [Value]] = [:], made: [RankInput.Change] = []
        for i in 0..<n {
            let k = Int.random(in: 0..<partitions, using: &random)
            let key: [Value] = [k == 0 ? .null : .string("key \(k)"), .int(Int64.random(in: 0..<Int64(members), using: &random))]
            let old = values[key]
            let was = old.flatMap { if case .int(let x) = $0[2] { x } else { nil } }
            let v: Value = was == nil && random.chance(20) ? .null : .int((was ?? 0) + Int64.random(in: 0...3, using: &random))
            let row = key + [v, .string("row \(random.chance(30) ? i : 0)")]
            if let old { made.append(.init(kind: .updateBefore, row: old)) }
            made.append(.init(kind: old == nil ? .insert : .updateAfter, row: row))
            values[key] = row
        }
        return made
    }

    /// The rows of the operator that keeps all that there is, from fewer rows of state.
    @Test(arguments: 0..<24) func growingRows(_ round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("growing rank \(round): seed", seed)
        var random = SeededGenerator(seed)
        let first = [1, 1, 3][round % 3], last = first + [0, 1, 4][round / 3 % 3], partition = round % 4 == 3 ? [] : [0]
        // The second and third keys decide, so that equal rows do not follow arrival.
        let order = [Self.key(2, true), Self.key(1), Self.key(0)]
        var spec = RankSpec(inputSchema: Self.scores, partition: partition, order: order, first: first, last: last, givesPlace: random.chance(50), inputChanges: true)
        let plain = spec
        spec.updateKeys = partition.isEmpty && random.chance(50) ? [1, 0] : [0, 1]
        let fast = spec
        let changes = Self.growing(600, partitions: 4, members: 30, using: &random), keepsOld = random.chance(50)
        for size in [1, 7, 300] {
            var all = try KeyedSubtasks(1, keys: [0], room: 1) { try RankOperator(plain) }
            var few = try KeyedSubtasks(1, keys: [0], room: 1) { try RankOperator(fast) }
            for start in stride(from: 0, to: changes.count, by: size) {
                let part = Array(changes[start..<min(start + size, changes.count)])
                func process(_ part: [RankInput.Change], _ subtasks: inout KeyedSubtasks) throws {
                    try subtasks.process(randomForm(Self.scores, part.map(\.row), kinds: part.map(\.kind), using: &random))
                }
                try process(part, &all)
                let updates = keepsOld ? part : part.filter(\.kind.isAdd)
                if !updates.isEmpty { try process(updates, &few) }
                if random.chance(size == 1 ? 2 : 20) { try few.rescale(partition.isEmpty ? 1 : Int.random(in: 1...4, using: &random)) }
                // An old row at the end of a batch has its new one in the next.
                guard part.last!.kind.isAdd, size > 1 || random.chance(10) || start + size >= changes.count else { continue }
                #expect(netted(few.changes) == netted(all.changes), "seed \(seed), batches of \(size), after \(start + size)")
            }
            #expect(isValid(few.changes), "seed \(seed), batches of \(size)")
            func kept(_ subtasks: KeyedSubtasks) throws -> Int {
                try subtasks.drivers.reduce(0) { try $0 + $1.op.snapshot(1).loaded().reduce(0) { $0 + $1.batch.count } }
            }
            #expect(try kept(few) <= last * (partition.isEmpty ? 1 : 4), "seed \(seed)")
            #expect(try kept(all) > 90, "seed \(seed)")
        }
    }

    @Test func rowsThatStayKeepTheirPlaceAmongEqualOnes() throws {
        var spec = RankSpec(inputSchema: Self.scores, partition: [], order: [Self.key(2, true)], last: 2, givesPlace: true, inputChanges: true)
        spec.updateKeys = [1]
        let driver = try Driver(RankOperator(spec))
        func add(_ kind: RowKind, _ id: Int64, _ v: Int64, _ s: String) throws -> [String] {
            driver.output.batches = []
            try driver.process(Batch(schema: Self.scores, rows: [[.null, .int(id), .int(v), .string(s)]], kinds: [kind]))
            return driver.output.changes.map { "\($0.kind) \($0.row[1].number!) at \($0.row[4].number!)" }
        }
        #expect(try add(.insert, 1, 5, "a") == ["+I 1 at 1"])
        #expect(try add(.insert, 2, 5, "a") == ["+I 2 at 2"])
        #expect(try add(.insert, 3, 5, "a") == [])
        #expect(try add(.updateAfter, 1, 5, "b") == ["-U 1 at 1", "+U 1 at 1"])
        #expect(try add(.updateAfter, 3, 6, "a") == ["-U 1 at 1", "+U 3 at 1", "-U 2 at 2", "+U 1 at 2"])
        #expect(try add(.updateBefore, 1, 5, "b") == [])
        #expect(try add(.updateAfter, 2, 6, "a") == ["-U 1 at 2", "+U 2 at 2"])
    }

    @Test func withoutRowsBeforeUpdates() throws {
        let spec = RankSpec(inputSchema: RankInput.schema, partition: [0], order: [Self.key(1)], last: 1, emitsUpdateBefore: false)
        let driver = try Driver(RankOperator(spec))
        for v in [5, 3, 4] as [Int64] {
            try driver.process(Batch(schema: RankInput.schema, rows: [[.string("a"), .int(v), .null, .int(0)]]))
        }
        #expect(driver.output.changes.map { "\($0.kind) \($0.row[1])" } == ["+I \(Value.int(5))", "+U \(Value.int(3))"])
    }

    @Test func stateIsForgotten() throws {
        let clock = HandClock()
        let spec = RankSpec(inputSchema: RankInput.schema, partition: [0], order: [Self.key(1)], last: 1, stateTTL: .milliseconds(100))
        func make() throws -> Driver { try Driver(RankOperator(spec), now: { clock.now }) }
        var driver = try make()
        func add(_ v: Int64) throws -> [String] {
            driver.output.batches = []
            try driver.process(Batch(schema: RankInput.schema, rows: [[.string("a"), .int(v), .null, .int(0)]]))
            return driver.output.changes.map { "\($0.kind) \($0.row[1].number!)" }
        }
        #expect(try add(5) == ["+I 5"])
        clock.move(60)
        #expect(try add(4) == ["-U 5", "+U 4"])
        clock.move(60)
        let state = try driver.op.snapshot(1).loaded()
        driver = try make()
        try driver.op.restore(RestoredState(state))
        #expect(try add(6) == [])
        clock.move(60)
        #expect(try add(6) == ["+I 6"])
    }

    @Test func refusesWhatCannotBe() throws {
        let nested: Schema = [Field("a", .array(.int))]
        #expect(throws: StreamError.self) { try RankOperator(RankSpec(inputSchema: nested, partition: [], order: [Self.key(0)], last: 1)) }
        #expect(throws: StreamError.self) { try RankOperator(RankSpec(inputSchema: RankInput.schema, partition: [], order: [], first: 3, last: 2)) }
        var spec = RankSpec(inputSchema: RankInput.schema, partition: [0], order: [Self.key(1)], last: 2)
        spec.updateKeys = [2]
        let keys = spec
        #expect(throws: StreamError.self) { try RankOperator(keys) }
    }
}

extension RankInput {
    /// What is left, in order of arrival.
    static func arrivals(_ changes: ArraySlice<Change>) -> [[Value]] {
        var left: [[Value]] = []
        for change in changes {
            if change.kind.isAdd { left.append(change.row) } else if let i = left.firstIndex(of: change.row) { left.remove(at: i) }
        }
        return left
    }
}

@Suite struct TimedRankTests {
    private static let schema: Schema = [Field("end", .timestamp(3), nullable: false)] + RankInput.schema

    /// Window top-N against a model; rows of windows that have ended are late.
    @Test(arguments: 0..<12) func windows(_ round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("window rank \(round): seed", seed)
        var random = SeededGenerator(seed)
        let last = [1, 3][round % 2], zone = round % 3 == 0 ? "America/New_York" : "UTC"
        let timeType: DataType = round % 3 == 0 ? .timestampLTZ(3) : .timestamp(3), shift: Int64 = round % 3 == 0 ? 5 * 3_600_000 : 0
        let order = [SortSpec.Key(column: 2, descending: true, nullsFirst: false), SortSpec.Key(column: 4, descending: false, nullsFirst: true)]
        let spec = TimedRankSpec(inputSchema: Self.schema, partition: [0, 1], order: order, due: .windowEnd(column: 0, timeType: timeType, timeZone: zone),
                                 last: last, givesPlace: round % 4 < 2)
        let base: Int64 = 1_700_000_000_000 / 1_000 * 1_000
        let rows: [[Value]] = RankInput.changes(600, keys: 5, takesBack: false, using: &random).map { change in
            let time = base + change.row[3].number! * 5
            return [.int((time / 1_000 + 1) * 1_000 - shift)] + change.row[..<3] + [.int(time)]
        }
        // A watermark behind some rows, wherever batches are cut.
        var steps: [(row: [Value], watermark: Int64?)] = []
        for (i, row) in rows.enumerated() { steps.append((row, random.chance(5) ? base + Int64(i * 50) - 500 : nil)) }
        var model: [[Value]: [[Value]]] = [:], watermark = Int64.min, late = 0
        for step in steps {
            if step.row[0].number! + shift - 1 <= watermark { late += 1 } else { model[Array(step.row[..<2]), default: []].append(step.row) }
            if let mark = step.watermark { watermark = max(watermark, mark) }
        }
        var expected: [[Value]: Int] = [:]
        for part in model.values {
            for (i, row) in RankInput.ordered(part, order).prefix(last).enumerated() { expected[row + (spec.givesPlace ? [.int(Int64(i + 1))] : []), default: 0] += 1 }
        }
        for size in [1, 7, 600] {
            var subtasks = try KeyedSubtasks(1, keys: [0, 1], room: 1) { try TimedRankOperator(spec) }
            var held: [[Value]] = []
            func flush() throws {
                if !held.isEmpty { try subtasks.process(randomForm(Self.schema, held, using: &random)) }
                held = []
            }
            for step in steps {
                held.append(step.row)
                if held.count >= size || step.watermark != nil { try flush() }
                if let mark = step.watermark { try subtasks.advance(mark) }
                if size > 1 && random.chance(2) {
                    try flush()
                    try subtasks.rescale(Int.random(in: 1...4, using: &random))
                }
            }
            try flush()
            if size == 1 { #expect(subtasks.drivers[0].metrics.lateRows.get() == late, "seed \(seed)") }
            try subtasks.finish()
            #expect(subtasks.changes.allSatisfy { $0.kind == .insert })
            #expect(netted(subtasks.changes) == expected, "seed \(seed), batches of \(size)")
            #expect(try subtasks.drivers.allSatisfy { try $0.op.snapshot(1).loaded().allSatisfy { $0.name == "progress" } })
        }
    }

    /// Keep-first by event time: the earliest row of each key that was not late when it came, once.
    @Test(arguments: 0..<8) func firstRows(_ round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("keep first \(round): seed", seed)
        var random = SeededGenerator(seed)
        let order = [SortSpec.Key(column: 3, descending: false, nullsFirst: true)]
        let spec = TimedRankSpec(inputSchema: RankInput.schema, partition: [0], order: order, due: .firstRow(column: 3), last: 1)
        let rows = RankInput.changes(500, keys: 60, takesBack: false, using: &random).map(\.row)
        var steps: [(row: [Value], watermark: Int64?)] = []
        for (i, row) in rows.enumerated() { steps.append((row, random.chance(10) ? Int64(i * 10) - 60 : nil)) }
        var best: [Value: [Value]] = [:], expected: [Value: [Value]] = [:], watermark = Int64.min
        for step in steps {
            let key = step.row[0], time = step.row[3].number!
            if expected[key] == nil, time >= watermark, best[key] == nil || time < best[key]![3].number! { best[key] = step.row }
            if let mark = step.watermark { watermark = max(watermark, mark) }
            for (key, row) in best where row[3].number! <= watermark {
                expected[key] = row
                best[key] = nil
            }
        }
        expected.merge(best) { $1 }
        for size in [1, 7, 500] {
            var subtasks = try KeyedSubtasks(1, keys: [0]) { try TimedRankOperator(spec) }
            var held: [[Value]] = []
            for step in steps {
                held.append(step.row)
                guard held.count >= size || step.watermark != nil else { continue }
                try subtasks.process(randomForm(RankInput.schema, held, using: &random))
                held = []
                if let mark = step.watermark { try subtasks.advance(mark) }
                if random.chance(3) { try subtasks.rescale(Int.random(in: 1...4, using: &random)) }
            }
            if !held.isEmpty { try subtasks.process(randomForm(RankInput.schema, held, using: &random)) }
            try subtasks.finish()
            #expect(netted(subtasks.changes) == Dictionary(uniqueKeysWithValues: expected.values.map { ($0, 1) }), "seed \(seed), batches of \(size)")
        }
    }
}
