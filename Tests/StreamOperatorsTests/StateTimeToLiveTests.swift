import StreamCore
import Synchronization
import Testing
@testable import StreamOperators

/// A clock that stands still until it is moved.
final class HandClock: Sendable {
    private let time = Mutex<Int64>(1_000_000)
    var now: Int64 { time.withLock { $0 } }
    func move(_ ms: Int64) { time.withLock { $0 += ms } }
}

@Suite struct StateTimeToLiveTests {
    static let schema: Schema = [Field("k", .int), Field("v", .bigint)]

    /// One row at a time against a model in which a group is gone once its time to live has passed.
    @Test(arguments: [false, true]) func groupsStartAnew(_ changes: Bool) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let spec = GroupAggregateSpec(inputSchema: Self.schema, keys: [0], aggregates: [try call("COUNT", of: Self.schema), try call("MAX", [1], of: Self.schema)],
                                      inputChanges: changes, stateTTL: .milliseconds(100))
        let clock = HandClock()
        func make() throws -> Driver { try Driver(GroupAggregateOperator(spec), now: { clock.now }) }
        var driver = try make()
        var model: [Int64: (values: [Int64], at: Int64)] = [:]
        for step in 0..<2_000 {
            clock.move(Int64.random(in: 0...30, using: &random))
            let key = Int64.random(in: 0..<8, using: &random)
            var held = model[key].flatMap { clock.now - $0.at >= 100 ? nil : $0.values } ?? []
            func result(_ values: [Int64]) -> [Value] { [.int(key), .int(Int64(values.count)), .int(values.max()!)] }
            var expected: [String] = []
            let old = held
            let takesBack = changes && !held.isEmpty && random.chance(40)
            let value = takesBack ? held.remove(at: Int.random(in: held.indices, using: &random)) : Int64.random(in: 0...9, using: &random)
            if !takesBack { held.append(value) }
            if old.isEmpty { expected = ["+I \(result(held))"] }
            if !old.isEmpty, held.isEmpty { expected = ["-D \(result(old))"] }
            if !old.isEmpty, !held.isEmpty { expected = ["-U \(result(old))", "+U \(result(held))"] }
            model[key] = (held, clock.now)
            driver.output.batches = []
            try driver.process(Batch(schema: Self.schema, rows: [[.int(key), .int(value)]], kinds: changes ? [takesBack ? .delete : .insert] : nil))
            #expect(driver.output.changes.map { "\($0.kind) \($0.row)" } == expected, "step \(step), seed \(seed)")
            if random.chance(2) {
                let state = try driver.op.snapshot(1).loaded()
                #expect(state.allSatisfy { $0.name == "progress" || $0.columns.last == "last_write" })
                clock.move(Int64.random(in: 0...60, using: &random))
                driver = try make()
                try driver.op.restore(RestoredState(state))
            }
        }
    }

    @Test func oldGroupsAreFreedWithoutBeingAskedFor() throws {
        let spec = GroupAggregateSpec(inputSchema: Self.schema, keys: [0], aggregates: [try call("COUNT", [1], of: Self.schema, distinct: true)],
                                      inputChanges: false, stateTTL: .seconds(10))
        let clock = HandClock()
        let op = try GroupAggregateOperator(spec)
        let driver = try Driver(op, now: { clock.now })
        func add(_ keys: Range<Int32>) throws {
            let k = Column.make(.int, count: keys.count, zero: Int32(0)) { keys.lowerBound + Int32($0) }
            let v = Column.make(.bigint, count: keys.count, zero: Int64(0)) { Int64($0) }
            try driver.process(Batch(columns: [k, v], physicalCount: keys.count))
            driver.output.batches = []
        }
        for start in stride(from: Int32(0), to: 100_000, by: 5_000) { try add(start..<start + 5_000) }
        #expect(op.liveGroups == 100_000)
        clock.move(10_000)
        var largest = 0
        for _ in 0..<60 {
            let before = op.liveGroups
            try add(200_000..<201_000)
            largest = max(largest, before - op.liveGroups)
        }
        #expect(op.liveGroups == 1_000)
        #expect(op.table.count < 65_536)
        #expect(largest < 10_000, "one batch dropped \(largest) groups")
        #expect(try driver.op.snapshot(1).loaded().filter { $0.name == "groups" }.reduce(0) { $0 + $1.batch.count } == 1_000)
    }

    /// One row at a time against a model with a time of last write per different row.
    @Test(arguments: [(100, 40), (nil, 60), (80, nil)] as [(Int64?, Int64?)]) func joinedRowsExpire(_ left: Int64?, _ right: Int64?) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let ttl = [left, right]
        let spec = JoinSpec(leftSchema: Self.schema, rightSchema: Self.schema, leftKeys: [0], rightKeys: [0],
                            leftTTL: left.map { .milliseconds($0) }, rightTTL: right.map { .milliseconds($0) })
        let clock = HandClock()
        func make() throws -> Driver { try Driver(JoinOperator(spec), now: { clock.now }) }
        var driver = try make()
        var model: [[[Int64]: (count: Int, at: Int64)]] = [[:], [:]]
        func live(_ side: Int, _ row: [Int64]) -> Int {
            guard let held = model[side][row] else { return 0 }
            return ttl[side].map { clock.now - held.at >= $0 } == true ? 0 : held.count
        }
        for step in 0..<3_000 {
            clock.move(Int64.random(in: 0...12, using: &random))
            let side = Int.random(in: 0...1, using: &random)
            let row = [Int64.random(in: 0..<4, using: &random), Int64.random(in: 0..<3, using: &random)]
            // Without a time to live only what was added is taken back, as a changelog does.
            let takesBack = random.chance(40) && (ttl[side] != nil || live(side, row) > 0)
            let count = live(side, row)
            model[side][row] = (takesBack ? max(0, count - 1) : count + 1, clock.now)
            var expected: [String] = []
            for other in model[1 - side].keys where other[0] == row[0] {
                let values = (side == 0 ? row + other : other + row).map { Value.int($0) }
                for _ in 0..<live(1 - side, other) { expected.append("\(takesBack ? RowKind.delete : .insert) \(values)") }
            }
            driver.output.batches = []
            try driver.process(Batch(schema: Self.schema, rows: [row.map { .int($0) }], kinds: [takesBack ? .delete : .insert]), input: side)
            #expect(driver.output.changes.map { "\($0.kind) \($0.row)" }.sorted() == expected.sorted(), "step \(step), seed \(seed)")
            if random.chance(1) {
                let state = try driver.op.snapshot(1).loaded()
                clock.move(Int64.random(in: 0...30, using: &random))
                driver = try make()
                try driver.op.restore(RestoredState(state))
            }
        }
    }

    @Test func expiredRowsOfAJoinAreFreed() throws {
        let spec = JoinSpec(leftSchema: Self.schema, rightSchema: Self.schema, leftKeys: [0], rightKeys: [0], leftTTL: .seconds(10), rightTTL: .seconds(10))
        let clock = HandClock()
        let op = try JoinOperator(spec)
        let driver = try Driver(op, now: { clock.now })
        func add(_ keys: Range<Int32>, side: Int) throws {
            let k = Column.make(.int, count: keys.count, zero: Int32(0)) { keys.lowerBound + Int32($0) }
            let v = Column.make(.bigint, count: keys.count, zero: Int64(0)) { Int64($0) }
            try driver.process(Batch(columns: [k, v], physicalCount: keys.count), input: side)
            driver.output.batches = []
        }
        for start in stride(from: Int32(0), to: 100_000, by: 5_000) { try add(start..<start + 5_000, side: 0) }
        #expect(op.sides[0].pairCount == 100_000)
        clock.move(10_000)
        for start in stride(from: Int32(200_000), to: 300_000, by: 2_500) { try add(start..<start + 2_500, side: 1) }
        #expect(op.sides[0].pairCount < 5_000)
        #expect(op.table.count <= 131_072)
        #expect(try driver.op.snapshot(1).loaded().allSatisfy { $0.name == "right" })
    }

    /// State that was kept without a time to live begins to age when it is restored with one, and the other way round it stays.
    @Test func timeToLiveMayComeAndGo() throws {
        let clock = HandClock()
        func spec(_ ttl: Duration?) throws -> GroupAggregateSpec {
            GroupAggregateSpec(inputSchema: Self.schema, keys: [0], aggregates: [try call("COUNT", of: Self.schema)], inputChanges: false, stateTTL: ttl)
        }
        func joinSpec(_ ttl: Duration?) -> JoinSpec {
            JoinSpec(leftSchema: Self.schema, rightSchema: Self.schema, leftKeys: [0], rightKeys: [0], leftTTL: ttl, rightTTL: nil)
        }
        let row = Batch(schema: Self.schema, rows: [[.int(1), .int(1)]])
        var group = try Driver(GroupAggregateOperator(spec(nil)), now: { clock.now })
        var join = try Driver(JoinOperator(joinSpec(nil)), now: { clock.now })
        try group.process(row)
        try join.process(row, input: 0)
        for (ttl, wait, lives) in [(Duration.milliseconds(50), Int64(49), true), (nil, 1_000, true), (.milliseconds(50), 50, false)] as [(Duration?, Int64, Bool)] {
            let states = (try group.op.snapshot(1).loaded(), try join.op.snapshot(1).loaded())
            group = try Driver(GroupAggregateOperator(spec(ttl)), now: { clock.now })
            join = try Driver(JoinOperator(joinSpec(ttl)), now: { clock.now })
            try group.op.restore(RestoredState(states.0))
            try join.op.restore(RestoredState(states.1))
            clock.move(wait)
            try join.process(row, input: 1)
            #expect(join.output.rows.count == (lives ? 1 : 0))
            try group.process(row)
            #expect(group.output.changes.map(\.kind) == (lives ? [.updateBefore, .updateAfter] : [.insert]))
        }
    }
}
