import StreamCore
import Synchronization
import Testing
@testable import StreamOperators

/// Something that happens to an operator, for all of its subtasks.
enum Step {
    case batch(Batch, input: Int)
    case watermark(Int64)
}

/// An operator's subtasks behind an exchange.
struct Subtasks {
    let drivers: [Driver]
    /// Key columns by input.
    let keys: [[Int]]

    init(_ parallelism: Int, keys: [[Int]], now: @escaping @Sendable () -> Int64 = { 1_000_000 }, _ make: () throws -> any StreamOperator) throws {
        self.keys = keys
        drivers = try (0..<parallelism).map { try Driver(make(), subtask: $0, parallelism: parallelism, now: now) }
    }

    /// What the step gives, in an order of its own.
    func run(_ step: Step) throws -> [String] {
        for driver in drivers { driver.output.batches = [] }
        switch step {
        case .watermark(let time): for driver in drivers { try driver.advance(time) }
        case .batch(let batch, let input):
            for (driver, part) in zip(drivers, drivers.count == 1 ? [batch] : exchanged(batch, keys: keys[input], parallelism: drivers.count)) {
                try driver.process(part, input: input)
            }
        }
        return drivers.flatMap { $0.output.changes.map { "\($0.kind) \(normal($0.row))" } }.sorted()
    }

    func restore(_ states: [KeyGroupState]) throws {
        for (i, driver) in drivers.enumerated() { try driver.op.restore(share(states, subtask: i, parallelism: drivers.count)) }
    }
}

/// Entries of maps have no order.
func normal(_ row: [Value]) -> [Value] {
    row.map { if case .map(let entries) = $0 { .map(entries.sorted { "\($0.key)" < "\($1.key)" }) } else { $0 } }
}

func texts(_ states: [KeyGroupState]) -> [String] {
    states.map { "\($0.keyGroup) \($0.name) \($0.columns) \($0.batch.rows().map { normal($0) })" }.sorted()
}

@Suite struct SnapshotTests {
    /// Runs steps with and without interruptions, and compares what each step gives. At an interruption the state goes over to
    /// subtasks of the next parallelism, cut while the old ones go on.
    func check(_ what: String, _ steps: [Step], keys: [[Int]], parallelism: [Int], seed: UInt64, using random: inout SeededGenerator,
               _ make: () throws -> any StreamOperator) async throws {
        let whole = try Subtasks(1, keys: keys, make)
        var cuts: Set<Int> = []
        while cuts.count < parallelism.count - 1 { cuts.insert(Int.random(in: 0..<steps.count, using: &random)) }
        var next = 1
        var running = try Subtasks(parallelism[0], keys: keys, make)
        var known: [String: (version: UInt64, contents: [String])] = [:]
        for (i, step) in steps.enumerated() {
            let (expected, found) = (try whole.run(step), try running.run(step))
            guard found == expected else {
                let (a, b) = (found.filter { !expected.contains($0) }, expected.filter { !found.contains($0) })
                let parts = [a, b].map { ($0.first ?? "").replacing("StreamCore.Value.", with: "").split(separator: "), ").map(String.init) }
                let differing = zip(parts[0], parts[1]).enumerated().filter { $1.0 != $1.1 }.map { "part \($0): \($1.0) instead of \($1.1)" }
                Issue.record("\(what), step \(i), cuts \(cuts.sorted()), seed \(seed): \(a.count) rows instead of \(b.count) differ: \(differing)")
                return
            }
            if cuts.contains(i) {
                let states = try await cut(running, Array(steps[(i + 1)...].prefix(4)), "\(what), step \(i), seed \(seed)")
                running = try Subtasks(parallelism[next], keys: keys, make)
                next += 1
                try running.restore(states)
                known = [:]
            } else if random.chance(10) {
                for (s, driver) in running.drivers.enumerated() {
                    for unit in try driver.op.snapshot(UInt64(i)).units {
                        guard let version = unit.version else { continue }
                        let contents = texts(try unit.pieces())
                        if let last = known["\(s) \(unit.name)"], last.version == version {
                            #expect(contents == last.contents, "\(what), step \(i), \(unit.name), seed \(seed)")
                        }
                        known["\(s) \(unit.name)"] = (version, contents)
                    }
                }
            }
        }
    }

    private func cut(_ running: Subtasks, _ following: [Step], _ place: String) async throws -> [KeyGroupState] {
        let eager = try running.drivers.flatMap { try $0.op.snapshot(1).loaded() }
        let snapshots = try running.drivers.map { try $0.op.snapshot(2) }
        #expect(snapshots.allSatisfy { Set($0.units.map(\.name)).count == $0.units.count }, "\(place): names of units repeat")
        let background = Task.detached { try snapshots.flatMap { try $0.loaded() } }
        let late = try running.drivers.map { try $0.op.snapshot(3) }
        for step in following { _ = try running.run(step) }
        for driver in running.drivers { try driver.advance(.max) }
        let states = try await background.value
        #expect(texts(states) == texts(eager), "\(place): cut while the operator goes on")
        #expect(texts(try late.flatMap { try $0.loaded() }) == texts(eager), "\(place): cut after the operator went on")
        #expect(eager.allSatisfy { $0.columns.count == $0.batch.columns.count && Set($0.columns).count == $0.columns.count }, "\(place): column names")
        return states.shuffled()
    }

    /// Calls of every function there is.
    ///
    /// - Parameter distinctLists: LISTAGG(DISTINCT) is one of them. How its elements are ordered when growing windows are put
    ///   together again depends on where they were cut.
    static func allFunctions(inOrder: Bool, distinctLists: Bool = true) throws -> [AggregateCall] {
        let s = windowSchema
        var calls = try WindowAggregateTests.aggregates(inOrder ? 3 : 2)
        for name in AggregateRegistry.names {
            switch name {
            case "LISTAGG":
                calls.append(try call(name, [1], of: s))
                if inOrder && distinctLists { calls.append(try call(name, [1], of: s, distinct: true)) }
            case _ where name.hasPrefix("JSON_OBJECTAGG"): calls.append(try call(name, [1, 2], of: s))
            case "FIRST_VALUE", "LAST_VALUE": calls += try [call(name, [3], of: s), call(name, [1], of: s, filter: 4)]
            // They have tests of their own: not every input has them.
            case "PERCENTILE", "SINGLE_VALUE", "APPROX_COUNT_DISTINCT": break
            case "COUNT": calls.append(try call(name, [3], of: s, filter: 4))
            case "COLLECT", "MIN", "MAX": calls += try [call(name, [1], of: s), call(name, [2], of: s), call(name, [4], of: s)]
            case _ where name.hasPrefix("JSON") || name.hasPrefix("ARRAY"): calls.append(try call(name, [1], of: s))
            default: calls += try [call(name, [2], of: s), call(name, [3], of: s), call(name, [3], of: s, distinct: true)]
            }
        }
        return calls
    }

    static func windowSteps(_ count: Int, keys: Int64, changes: Bool, using random: inout SeededGenerator) -> [Step] {
        var now: Int64 = 0, live: [[Value]] = []
        return (0..<count).map { _ in
            if random.chance(25) {
                now += Int64.random(in: 0...12, using: &random)
                return .watermark(now - 4)
            }
            var rows: [[Value]] = [], kinds: [RowKind] = []
            for _ in 0..<Int.random(in: 1...25, using: &random) {
                if changes, random.chance(40), let at = live.indices.randomElement(using: &random) {
                    rows.append(live.remove(at: at))
                    kinds.append(.delete)
                } else {
                    rows.append(randomWindowRow(time: now + Int64.random(in: -12...12, using: &random), keys: keys, using: &random))
                    live.append(rows[rows.count - 1])
                    kinds.append(.insert)
                }
            }
            return .batch(randomForm(windowSchema, rows, kinds: changes ? kinds : nil, using: &random), input: 0)
        }
    }

    @Test(arguments: [false, true], [[0], [0, 1]]) func windowAggregateGoesOn(_ changes: Bool, _ keys: [Int]) async throws {
        for _ in 0..<3 {
            let seed = UInt64.random(in: 0...UInt64.max)
            print("seed", seed)
            var random = SeededGenerator(seed)
            let window = WindowAggregateTests.specs.randomElement(using: &random)!
            let isCumulative = if case .cumulate = window { true } else { false }
            let calls = try Self.allFunctions(inOrder: !changes, distinctLists: !isCumulative)
            let spec = WindowAggregateSpec(inputSchema: windowSchema, keys: keys, timeColumn: 5, window: window, aggregates: calls,
                                           properties: [.start, .end, .time], inputChanges: changes)
            let steps = Self.windowSteps(30, keys: 6, changes: changes, using: &random) + [.watermark(.max)]
            try await check("window \(window)", steps, keys: [keys], parallelism: [1, 2, 4, 1], seed: seed, using: &random) {
                try WindowAggregateOperator(spec)
            }
        }
    }

    @Test func oneStepStateGoesOnInTwoStepsAndBack() throws {
        for window in WindowAggregateTests.specs {
            let seed = UInt64.random(in: 0...UInt64.max)
            print("seed", seed)
            var random = SeededGenerator(seed)
            let spec = WindowAggregateSpec(inputSchema: windowSchema, keys: [0], timeColumn: 5, window: window,
                                           aggregates: try WindowAggregateTests.aggregates(1), properties: [.start, .end])
            let steps = Self.windowSteps(40, keys: 12, changes: false, using: &random) + [.watermark(.max)]
            let whole = try Subtasks(1, keys: [[0]]) { try WindowAggregateOperator(spec) }
            var running = try Subtasks(1, keys: [[0]]) { try WindowAggregateOperator(spec) }
            var local: Driver?
            for (i, step) in steps.enumerated() {
                let expected = try whole.run(step)
                var found: [String] = []
                if let local {
                    if case .batch(let batch, _) = step { try local.process(batch) } else if case .watermark(let time) = step { try local.advance(time) }
                    for batch in local.output.batches { found += try running.run(.batch(batch, input: 0)) }
                    local.output.batches = []
                    if case .watermark = step { found += try running.run(step) }
                } else {
                    found = try running.run(step)
                }
                #expect(found == expected, "step \(i), seed \(seed)")
                guard i % 10 == 9 else { continue }
                if let local {
                    try local.op.prepareSnapshot(1, output: local.output)
                    for batch in local.output.batches { #expect(try running.run(.batch(batch, input: 0)) == []) }
                    #expect(try local.op.snapshot(1).isEmpty)
                }
                let states = try running.drivers.flatMap { try $0.op.snapshot(1).loaded() }
                let twoSteps = local == nil
                running = try Subtasks(twoSteps ? 3 : 1, keys: [[0]]) {
                    try twoSteps ? WindowAggregateOperator(globalOf: spec) : WindowAggregateOperator(spec)
                }
                try running.restore(states)
                local = twoSteps ? try Driver(LocalWindowAggregateOperator(spec)) : nil
            }
        }
    }

    /// Subtasks that had not come equally far fire every window once for each key.
    @Test func windowsFireOnceWhenSubtasksWereNotEquallyFar() throws {
        for window in WindowAggregateTests.specs {
            let seed = UInt64.random(in: 0...UInt64.max)
            print("seed", seed)
            var random = SeededGenerator(seed)
            let spec = WindowAggregateSpec(inputSchema: windowSchema, keys: [0], timeColumn: 5, window: window,
                                           aggregates: try WindowAggregateTests.aggregates(1), properties: [.start, .end])
            func make() throws -> any StreamOperator { try WindowAggregateOperator(spec) }
            let rows = (0..<300).map { _ in randomWindowRow(time: Int64.random(in: 0...80, using: &random), keys: 40, using: &random) }
            let batch = Batch(schema: windowSchema, rows: rows)
            let expected = try Subtasks(1, keys: [[0]], make)
            _ = try expected.run(.batch(batch, input: 0))
            let before = try Subtasks(2, keys: [[0]], make)
            _ = try before.run(.batch(batch, input: 0))
            for driver in before.drivers { driver.output.batches = [] }
            try before.drivers[0].advance(52)
            try before.drivers[1].advance(27)
            var found = before.drivers.flatMap { $0.output.rows }
            var states = try before.drivers.flatMap { try $0.op.snapshot(1).loaded() }
            for (parallelism, watermark) in [(3, 30), (1, 40), (2, Int64.max)] {
                let after = try Subtasks(parallelism, keys: [[0]], make)
                try after.restore(states)
                for driver in after.drivers {
                    try driver.advance(watermark)
                    found += driver.output.rows
                }
                states = try after.drivers.flatMap { try $0.op.snapshot(1).loaded() }
            }
            try expected.drivers[0].advance(.max)
            #expect(sortedTexts(found) == sortedTexts(expected.drivers[0].output.rows), "\(window), seed \(seed)")
        }
    }

    @Test(arguments: [[], [0], [1, 0]], [false, true]) func groupAggregateGoesOn(_ keys: [Int], _ ttl: Bool) async throws {
        for changes in [true, false] {
            let seed = UInt64.random(in: 0...UInt64.max)
            print("seed", seed)
            var random = SeededGenerator(seed)
            let spec = GroupAggregateSpec(inputSchema: windowSchema, keys: keys, aggregates: try Self.allFunctions(inOrder: true), inputChanges: changes,
                                          stateTTL: ttl ? .seconds(1) : nil)
            let (batches, _) = ChangelogOperatorTests().randomChanges(windowSchema, rounds: 30, using: &random) {
                randomWindowRow(time: 0, keys: 12, using: &$0)
            }
            let steps = batches.map { batch -> Step in
                var batch = batch
                if !changes { batch.rowKinds = nil }
                return .batch(batch, input: 0)
            }
            try await check("group by \(keys)", steps, keys: [keys], parallelism: keys.isEmpty ? [1, 1, 1] : [1, 2, 4, 1], seed: seed,
                            using: &random) { try GroupAggregateOperator(spec) }
        }
    }

    static let left: Schema = [Field("k", .int), Field("name", .string), Field("a", .bigint)]
    static let right: Schema = [Field("name", .string), Field("k", .int)]

    static func leftRow(_ random: inout SeededGenerator) -> [Value] {
        let n = Int64.random(in: 0..<8, using: &random)
        return [random.chance(8) ? .null : .int(n), .string("a name that is rather long \(n % 3)"), .int(Int64.random(in: 0...2, using: &random))]
    }

    static func rightRow(_ random: inout SeededGenerator) -> [Value] {
        let n = Int64.random(in: 0..<8, using: &random)
        return [.string("a name that is rather long \(n % 3)"), random.chance(8) ? .null : .int(n)]
    }

    @Test(arguments: [0, 1, 2], [false, true]) func joinGoesOn(_ keyCount: Int, _ ttl: Bool) async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let keys = [Array([0, 1].prefix(keyCount)), Array([1, 0].prefix(keyCount))]
        let spec = JoinSpec(leftSchema: Self.left, rightSchema: Self.right, leftKeys: keys[0], rightKeys: keys[1],
                            leftTTL: ttl ? .seconds(1) : nil, rightTTL: nil)
        let l = ChangelogOperatorTests().randomChanges(Self.left, rounds: 25, using: &random, row: Self.leftRow).batches
        let r = ChangelogOperatorTests().randomChanges(Self.right, rounds: 25, using: &random, row: Self.rightRow).batches
        let steps = zip(l, r).flatMap { [Step.batch($0, input: 0), .batch($1, input: 1)] }
        try await check("join on \(keyCount)", steps, keys: keys, parallelism: keyCount == 0 ? [1, 1, 1] : [1, 2, 4, 1], seed: seed,
                        using: &random) { try JoinOperator(spec) }
    }

    @Test(arguments: [nil, 40]) func sortGoesOn(_ limit: Int?) async throws {
        for changes in [false, true] {
            let seed = UInt64.random(in: 0...UInt64.max)
            print("seed", seed)
            var random = SeededGenerator(seed)
            let spec = SortSpec(inputSchema: windowSchema, keys: [.init(column: 0, descending: true, nullsFirst: false)], offset: 3, limit: limit)
            let (batches, _) = ChangelogOperatorTests().randomChanges(windowSchema, rounds: 200, using: &random) {
                randomWindowRow(time: 0, keys: 12, using: &$0)
            }
            var inOrder: [[[Value]]] = []
            for cutAt in [nil, Int.random(in: 0..<200, using: &random)] {
                var driver = try Driver(SortOperator(spec))
                for (i, batch) in batches.enumerated() {
                    var batch = batch
                    if !changes { batch.rowKinds = nil }
                    try driver.process(batch)
                    guard i == cutAt else { continue }
                    let snapshot = try driver.op.snapshot(1)
                    try driver.process(batch)
                    driver = try Driver(SortOperator(spec))
                    try driver.op.restore(RestoredState(snapshot.loaded().shuffled()))
                }
                try driver.finish()
                inOrder.append(driver.output.rows)
            }
            #expect(inOrder[0] == inOrder[1], "seed \(seed)")
        }
    }

    @Test func temporalSortAndLimitGoOn() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let steps = Self.windowSteps(60, keys: 5, changes: false, using: &random) + [.watermark(.max)]
        let spec = SortSpec(inputSchema: windowSchema, keys: [.init(column: 5, descending: false, nullsFirst: true), .init(column: 0, descending: true, nullsFirst: false)])
        try await check("temporal sort", steps, keys: [[]], parallelism: [1, 1, 1, 1], seed: seed, using: &random) { try TemporalSortOperator(spec) }
        try await check("limit", steps, keys: [[]], parallelism: [1, 1, 1, 1], seed: seed, using: &random) { LimitOperator(offset: 7, limit: 100) }
        let window = { try WindowTableFunctionOperator(inputSchema: windowSchema, timeColumn: 5, window: .hop(slide: 5, size: 10, offset: 0), timeZone: "UTC") }
        try await check("window table function", steps, keys: [[]], parallelism: [1, 1, 1, 1], seed: seed, using: &random, window)
    }

    @Test func unchangedUnitsKeepTheirVersion() throws {
        let spec = WindowAggregateSpec(inputSchema: windowSchema, keys: [0], timeColumn: 5, window: .hop(slide: 10, size: 30, offset: 0),
                                       aggregates: [try call("COUNT", of: windowSchema), try call("AVG", [3], of: windowSchema)], properties: [.end])
        var random = SeededGenerator(1)
        let driver = try Driver(WindowAggregateOperator(spec))
        func versions() throws -> [String: UInt64?] {
            Dictionary(uniqueKeysWithValues: try driver.op.snapshot(1).units.map { ($0.name, $0.version) })
        }
        func add(_ time: Int64) throws {
            try driver.process(Batch(schema: windowSchema, rows: (0..<50).map { _ in randomWindowRow(time: time, keys: 9, using: &random) }))
        }
        for time in [3, 13, 23] as [Int64] { try add(time) }
        let first = try versions()
        #expect(Set(first.keys) == ["progress", "slices/0", "slices/1", "slices/2"])
        #expect(try versions() == first)
        try add(17)
        let second = try versions()
        #expect(second.filter { first[$0.key] != .some($0.value) }.keys.sorted() == ["slices/1"])
        // Firing reads slices only; the first one goes.
        try driver.advance(29)
        var third = second
        third["slices/0"] = nil
        #expect(try versions() == third)
        let piece = try #require(try driver.op.snapshot(1).loaded().first { $0.name == "slices" })
        #expect(piece.columns == ["key", "slice_start", "count", "sum(d)", "count(d)"])
        #expect(piece.batch.columns.map(\.type) == [.int, .timestamp(3), .bigint, .double, .bigint])
        #expect(piece.batch.columns[1].value(at: 0) == .int(10))
    }

    /// Long text keys of one key group after another must not crowd in the table that they are looked up in.
    @Test(.timeLimit(.minutes(1))) func keysInTheOrderOfTheirHashesAreFoundFast() throws {
        let n = 50_000
        let builder = ColumnBuilder(type: .string, capacity: n)
        for i in 0..<n { builder.append(string: "a sensor far away, number \(i)") }
        let names = builder.finish()
        var hashes = [UInt64](repeating: 0, count: n)
        hashes.withUnsafeMutableBufferPointer { KeyGroups.hash([names], count: n, into: $0.baseAddress!) }
        let order = (0..<Int32(n)).sorted { hashes[Int($0)] < hashes[Int($1)] }
        let table = GroupTable(types: [.string])
        let groups = UnsafeMutablePointer<Int32>.allocate(capacity: n)
        defer { groups.deallocate() }
        order.withUnsafeBufferPointer { rows in
            for start in stride(from: 0, to: n, by: 1_000) { table.lookup([names], rows: rows.baseAddress! + start, count: 1_000, into: groups) }
        }
        #expect(table.count == n)
    }

    @Test func keyGroupsAreAllUsed() {
        let n = 10_000
        let column = Column.make(.int, count: n, zero: Int32(0)) { Int32($0) }
        var hashes = [UInt64](repeating: 0, count: n)
        hashes.withUnsafeMutableBufferPointer { KeyGroups.hash([column], count: n, into: $0.baseAddress!) }
        var counts = [Int](repeating: 0, count: 128)
        for hash in hashes { counts[KeyGroups.group(ofHash: hash, maxParallelism: 128)] += 1 }
        #expect(counts.allSatisfy { $0 > 30 && $0 < 150 })
    }

    @Test func stateOfAnotherQueryIsRefused() throws {
        let s = windowSchema
        func window(_ function: String, _ column: Int, keys: [Int] = [0]) throws -> any StreamOperator {
            try WindowAggregateOperator(WindowAggregateSpec(inputSchema: s, keys: keys, timeColumn: 5, window: .tumble(size: 10, offset: 0),
                                                            aggregates: [try call(function, [column], of: s)], properties: [.end]))
        }
        func group(_ function: String, _ column: Int, keys: [Int] = [0]) throws -> any StreamOperator {
            try GroupAggregateOperator(GroupAggregateSpec(inputSchema: s, keys: keys, aggregates: [try call(function, [column], of: s)], inputChanges: false))
        }
        let join = try JoinOperator(JoinSpec(leftSchema: Self.left, rightSchema: Self.right, leftKeys: [0], rightKeys: [1]))
        func state(_ op: any StreamOperator, _ batch: Batch) throws -> RestoredState {
            let driver = try Driver(op)
            try driver.process(batch)
            return RestoredState(try driver.op.snapshot(1).loaded())
        }
        var random = SeededGenerator(3)
        let batch = Batch(schema: s, rows: (0..<5).map { _ in randomWindowRow(time: 5, keys: 3, using: &random) })
        let windowState = try state(window("SUM", 2), batch), groupState = try state(group("SUM", 2), batch)
        let sortState = try state(SortOperator(SortSpec(inputSchema: s, keys: [])), batch)
        func problem(_ op: any StreamOperator, _ state: RestoredState) -> StreamError? {
            do { try Driver(op).op.restore(state) } catch { return error as? StreamError }
            return nil
        }
        #expect(problem(try window("SUM", 2), windowState) == nil)
        #expect(problem(try group("SUM", 2), groupState) == nil)
        let shown = try #require(problem(try window("SUM", 3), windowState))
        #expect(shown.code == .conflict)
        #expect(shown.problem == "the state \"slices\" of test was kept as (key INT, slice_start TIMESTAMP(3), count BIGINT, sum(v) BIGINT, count(v) BIGINT), "
            + "but the query now keeps (key INT, slice_start TIMESTAMP(3), count BIGINT, sum(d) DOUBLE, count(d) BIGINT)")
        #expect(problem(try window("SUM", 2, keys: [1]), windowState)?.code == .conflict)
        #expect(problem(try group("MAX", 1), groupState)?.code == .conflict)
        #expect(problem(try group("SUM", 2), windowState)?.code == .conflict)
        let slices = RestoredState(pieces: windowState.pieces.filter { $0.name == "slices" })
        #expect(problem(try group("SUM", 2), slices)?.problem == "test was given state \"slices\", which it does not keep")
        #expect(problem(join, groupState)?.code == .conflict)
        #expect(problem(try SortOperator(SortSpec(inputSchema: Self.left, keys: [])), sortState)?.code == .conflict)
        #expect(problem(LimitOperator(offset: 0, limit: 1), sortState)?.code == .conflict)
    }
}
