import StreamCore
import StreamExpressions
import Testing
@testable import StreamOperators

@Suite struct ChangelogOperatorTests {
    /// Random additions and removals; ends with some rows live. Within a batch a row may come and go.
    func randomChanges(_ schema: Schema, rounds: Int, using random: inout SeededGenerator,
                       row: (inout SeededGenerator) -> [Value]) -> (batches: [Batch], live: [[Value]]) {
        var live: [[Value]] = [], batches: [Batch] = []
        for _ in 0..<rounds {
            var rows: [[Value]] = [], kinds: [RowKind] = []
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                if random.chance(45), let at = live.indices.randomElement(using: &random) {
                    let gone = live.remove(at: at)
                    rows.append(gone)
                    kinds.append(random.chance(50) ? .delete : .updateBefore)
                } else {
                    let new = row(&random)
                    live.append(new)
                    rows.append(new)
                    kinds.append(random.chance(50) ? .insert : .updateAfter)
                }
            }
            batches.append(randomForm(schema, rows, kinds: kinds, using: &random))
        }
        return (batches, live)
    }

    @Test(arguments: [[], [0], [1], [0, 1]]) func groupAggregateFollowsChanges(_ keys: [Int]) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let calls = try WindowAggregateTests.aggregates(2)
        let spec = GroupAggregateSpec(inputSchema: windowSchema, keys: keys, aggregates: calls, inputChanges: true)
        var driver = try Driver(GroupAggregateOperator(spec))
        let (batches, live) = randomChanges(windowSchema, rounds: 60, using: &random) { randomWindowRow(time: 0, keys: 4, using: &$0) }
        var changes: [(kind: RowKind, row: [Value])] = []
        for (i, batch) in batches.enumerated() {
            try driver.process(batch)
            if i == 30 {
                // A crash here: another instance goes on.
                changes += driver.output.changes
                let state = try driver.op.snapshot(1).loaded()
                driver = try Driver(GroupAggregateOperator(spec))
                try driver.op.restore(RestoredState(state))
            }
        }
        changes += driver.output.changes
        var groups: [[Value]: [[Value]]] = [:]
        for row in live { groups[keys.map { row[$0] }, default: []].append(row) }
        let expected = groups.map { key, rows in key + calls.map { reference($0, rows) } }
        let net = netted(changes)
        #expect(net.values.allSatisfy { $0 == 1 }, "seed \(seed)")
        #expect(sortedTexts(Array(net.keys)) == sortedTexts(expected), "seed \(seed)")
        try checkChangelog(changes, keys: keys.count)
    }

    /// +I only for a new key, -U and -D only of what the key has, +U right behind -U and different from it.
    func checkChangelog(_ changes: [(kind: RowKind, row: [Value])], keys: Int) throws {
        var current: [[Value]: [Value]] = [:]
        var previous: (kind: RowKind, row: [Value])?
        for change in changes {
            let key = Array(change.row.prefix(keys))
            switch change.kind {
            case .insert:
                #expect(current[key] == nil)
                current[key] = change.row
            case .updateBefore, .delete:
                #expect(current[key] == change.row)
                if change.kind == .delete { current[key] = nil }
            case .updateAfter:
                #expect(previous?.kind == .updateBefore && Array(previous!.row.prefix(keys)) == key && previous!.row != change.row)
                current[key] = change.row
            }
            previous = change
        }
    }

    @Test func manyValuesThatComeAndGoAreForgotten() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let schema: Schema = [Field("k", .int), Field("v", .bigint)]
        let calls = try [call("MIN", [1], of: schema), call("MAX", [1], of: schema), call("COUNT", [1], of: schema, distinct: true)]
        let driver = try Driver(GroupAggregateOperator(GroupAggregateSpec(inputSchema: schema, keys: [0], aggregates: calls, inputChanges: true)))
        var current: [Int64: [Int64]] = [:]
        for _ in 0..<60 {
            var rows: [[Value]] = [], kinds: [RowKind] = []
            for _ in 0..<200 {
                let key = Int64.random(in: 0..<3, using: &random)
                if let count = current[key]?.count, count > 20 {
                    rows.append([.int(key), .int(current[key]!.remove(at: .random(in: 0..<count, using: &random)))])
                    kinds.append(.updateBefore)
                }
                let value = Int64.random(in: 0...100_000, using: &random)
                rows.append([.int(key), .int(value)])
                kinds.append(.updateAfter)
                current[key, default: []].append(value)
            }
            try driver.process(Batch(schema: schema, rows: rows, kinds: kinds))
            let expected = current.map { key, values in
                [Value.int(key), .int(values.min()!), .int(values.max()!), .int(Int64(Set(values).count))]
            }
            #expect(sortedTexts(Array(netted(driver.output.changes).keys)) == sortedTexts(expected), "seed \(seed)")
        }
    }

    @Test func groupAggregateOverInsertsKeepsOrderOfArrival() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let calls = try WindowAggregateTests.aggregates(3)
        let driver = try Driver(GroupAggregateOperator(GroupAggregateSpec(inputSchema: windowSchema, keys: [0], aggregates: calls, inputChanges: false)))
        var all: [[Value]] = []
        for _ in 0..<20 {
            let rows = (0..<Int.random(in: 1...50, using: &random)).map { _ in randomWindowRow(time: 0, keys: 4, using: &random) }
            all += rows
            try driver.process(randomForm(windowSchema, rows, using: &random))
        }
        let expected = Dictionary(grouping: all) { $0[0] }.map { key, rows in [key] + calls.map { reference($0, rows) } }
        #expect(sortedTexts(Array(netted(driver.output.changes).keys)) == sortedTexts(expected), "seed \(seed)")
        try checkChangelog(driver.output.changes, keys: 1)
    }

    @Test func listsFollowChangesInOrder() throws {
        let s = windowSchema
        let spec = GroupAggregateSpec(inputSchema: s, keys: [], aggregates: try [call("LISTAGG", [1], of: s), call("FIRST_VALUE", [1], of: s), call("LAST_VALUE", [1], of: s)],
                                      inputChanges: true)
        let driver = try Driver(GroupAggregateOperator(spec))
        func row(_ name: String) -> [Value] { [.null, .string(name), .null, .null, .null, .int(0)] }
        try driver.process(Batch(schema: s, rows: ["a", "b", "c"].map(row)))
        try driver.process(Batch(schema: s, rows: [row("a"), row("d")], kinds: [.updateBefore, .updateAfter]))
        try driver.process(Batch(schema: s, rows: [row("d")], kinds: [.delete]))
        #expect(driver.output.changes.map { "\($0.kind) \($0.row.map { $0.text ?? "-" }.joined(separator: " "))" }
            == ["+I a,b,c a c", "-U a,b,c a c", "+U b,c,d b d", "-U b,c,d b d", "+U b,c b c"])
    }

    @Test func globalAggregateOverNothingGivesNothing() throws {
        let driver = try Driver(GroupAggregateOperator(GroupAggregateSpec(inputSchema: windowSchema, keys: [], aggregates: [try call("COUNT", of: windowSchema)],
                                                                          inputChanges: false)))
        try driver.finish()
        #expect(driver.output.rows.isEmpty)
    }

    @Test(arguments: [true, false]) func sortsAndNetsOut(_ changes: Bool) throws {
        for (offset, limit) in [(0, nil), (0, 7), (5, 10), (3, nil), (0, 0), (1_000_000, 5)] as [(Int, Int?)] {
            let seed = UInt64.random(in: 0...UInt64.max)
            print("seed", seed)
            var random = SeededGenerator(seed)
            let keys: [SortSpec.Key] = [.init(column: 1, descending: random.chance(50), nullsFirst: random.chance(50)),
                                        .init(column: 3, descending: random.chance(50), nullsFirst: random.chance(50))]
            let driver = try Driver(SortOperator(SortSpec(inputSchema: windowSchema, keys: keys, offset: offset, limit: limit)), output: Collector(room: 1))
            var (batches, live) = randomChanges(windowSchema, rounds: 40, using: &random) { randomWindowRow(time: Int64.random(in: 0...50, using: &$0), keys: 4, using: &$0) }
            if !changes {
                live = (0..<1_000).map { _ in randomWindowRow(time: 0, keys: 4, using: &random) }
                batches = [randomForm(windowSchema, live, using: &random)]
            }
            for batch in batches { try driver.process(batch) }
            try driver.finish()
            func before(_ a: [Value], _ b: [Value]) -> Bool {
                for key in keys {
                    let (x, y) = (a[key.column], b[key.column])
                    if x == y { continue }
                    if x == .null || y == .null { return (x == .null) == key.nullsFirst }
                    let less: Bool = switch (x, y) {
                    case (.string(let p), .string(let q)): Array(p.utf8).lexicographicallyPrecedes(Array(q.utf8))
                    case (.double(let p), .double(let q)): p < q
                    default: false
                    }
                    return less != key.descending
                }
                return false
            }
            let sorted = live.enumerated().sorted { before($0.element, $1.element) || (!before($1.element, $0.element) && $0.offset < $1.offset) }.map(\.element)
            let wanted = Array(sorted.dropFirst(offset).prefix(limit ?? .max))
            // Ties may stand in any order when changes came between.
            let keysOnly = { (rows: [[Value]]) in rows.map { row in keys.map { row[$0.column] } } }
            #expect(keysOnly(driver.output.rows) == keysOnly(wanted), "seed \(seed)")
            if !changes { #expect(driver.output.rows == wanted, "seed \(seed)") }
            if offset == 0, limit == nil { #expect(sortedTexts(driver.output.rows) == sortedTexts(live)) }
        }
    }

    @Test func topRowsOfManyAreKeptOnly() throws {
        let schema: Schema = [Field("a", .bigint), Field("b", .int)]
        let driver = try Driver(SortOperator(SortSpec(inputSchema: schema, keys: [.init(column: 0, descending: true, nullsFirst: false)], limit: 10)))
        var random = SeededGenerator(3)
        var all: [[Value]] = []
        for _ in 0..<9 {
            let rows: [[Value]] = (0..<10_000).map { _ in [.int(.random(in: -(1 << 40)...1 << 40, using: &random)), .int(1)] }
            all += rows
            try driver.process(Batch(schema: schema, rows: rows))
        }
        try driver.finish()
        #expect(driver.output.rows == Array(all.sorted { $0[0].number! > $1[0].number! }.prefix(10)))
    }

    @Test func ordersEveryType() {
        func check(_ type: DataType, _ values: [Value]) {
            for (descending, nullsFirst) in [(false, true), (true, false), (true, true), (false, false)] {
                let shuffled = (values + [.null]).shuffled()
                let batch = Batch(schema: [Field("x", type)], rows: shuffled.map { [$0] })
                let order = SortKeys(batch.columns, keys: [.init(column: 0, descending: descending, nullsFirst: nullsFirst)], count: batch.count).order()
                let expected = (nullsFirst ? [.null] : []) + (descending ? values.reversed() : values) + (nullsFirst ? [] : [.null])
                #expect(order.map { shuffled[Int($0)] } == expected)
            }
        }
        check(.boolean, [.bool(false), .bool(true)])
        check(.tinyint, [.int(-128), .int(-1), .int(0), .int(127)])
        check(.int, [.int(-5), .int(-1), .int(0), .int(7)])
        check(.bigint, [.int(.min), .int(-1), .int(0), .int(.max)])
        check(.double, [.double(-.infinity), .double(-1.5), .double(0), .double(2.5), .double(.infinity)])
        check(.float, [.float(-2), .float(0.5), .float(3)])
        check(.decimal(precision: 38, scale: 2), [.decimal(-100), .decimal(-1), .decimal(0), .decimal(1 << 100)])
        check(.string, ["", "\0", "\0a", "a", "a\0", "a\u{1}", "aa", "b", "ä"].map { .string($0) })
    }

    @Test(arguments: [0, 1, 2]) func joinsFollowChanges(_ keyCount: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let left: Schema = [Field("a", .int), Field("b", .string), Field("x", .bigint)]
        let right: Schema = [Field("y", .double), Field("c", .varchar(40)), Field("d", .int)]
        let spec = JoinSpec(leftSchema: left, rightSchema: right, leftKeys: Array([0, 1].prefix(keyCount)), rightKeys: Array([2, 1].prefix(keyCount)))
        var driver = try Driver(JoinOperator(spec), output: Collector(room: 1))
        func value(_ n: Int64, _ r: inout SeededGenerator) -> Value { r.chance(10) ? .null : .int(n) }
        func name(_ r: inout SeededGenerator) -> Value { r.chance(10) ? .null : .string("name that is rather long \(Int.random(in: 0...1, using: &r))") }
        let (lefts, leftLive) = randomChanges(left, rounds: 30, using: &random) { r in
            [value(.random(in: 0...3, using: &r), &r), name(&r), value(.random(in: 0...9, using: &r), &r)]
        }
        let (rights, rightLive) = randomChanges(right, rounds: 30, using: &random) { r in
            [.double(Double(Int.random(in: 0...9, using: &r))), name(&r), value(.random(in: 0...3, using: &r), &r)]
        }
        var changes: [(kind: RowKind, row: [Value])] = []
        var order = (0..<60).map { $0 % 2 }.shuffled(using: &random)
        var next = [0, 0]
        while let side = order.popLast() {
            try driver.process((side == 0 ? lefts : rights)[next[side]], input: side)
            next[side] += 1
            if order.count == 20 {
                changes += driver.output.changes
                let state = try driver.op.snapshot(1).loaded()
                driver = try Driver(JoinOperator(spec), output: Collector(room: 1))
                try driver.op.restore(RestoredState(state))
            }
        }
        changes += driver.output.changes
        var expected: [[Value]: Int] = [:]
        for l in leftLive {
            for r in rightLive where zip(spec.leftKeys, spec.rightKeys).allSatisfy({ l[$0] != .null && l[$0] == r[$1] }) { expected[l + r, default: 0] += 1 }
        }
        #expect(netted(changes) == expected, "seed \(seed)")
        #expect(driver.output.batches.allSatisfy { $0.count <= Batch.targetRows })
    }

    @Test func joinKeysMustBeOfOneType() {
        #expect(throws: StreamError.self) {
            try JoinOperator(JoinSpec(leftSchema: [Field("a", .int)], rightSchema: [Field("b", .bigint)], leftKeys: [0], rightKeys: [0]))
        }
    }

    @Test func calcFiltersAndProjects() throws {
        let schema: Schema = [Field("a", .int), Field("f", .boolean)]
        let driver = try Driver(CalcOperator(filter: .column(1, .boolean), projection: [.column(0, .int), .literal(.string("x"), .string)],
                                             context: EvaluationContext()))
        try driver.process(Batch(schema: schema, rows: [[.int(1), .bool(true)], [.int(2), .bool(false)], [.int(3), .null], [.int(4), .bool(true)]],
                                 kinds: [.insert, .insert, .delete, .updateAfter]))
        #expect(driver.output.changes.map { "\($0.kind)\($0.row)" } == ["+I\([Value.int(1), .string("x")])", "+U\([Value.int(4), .string("x")])"])
    }
}
