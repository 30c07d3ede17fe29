import StreamCore
import Synchronization
import Testing
@testable import StreamOperators

/// Mini-batches, two-phase aggregation and distinct tables give what row-by-row aggregation in one step gives.
@Suite struct GroupAggregateBundleTests {
    /// Aggregates that merge, also over changes.
    static func mergeable(changes: Bool) throws -> [AggregateCall] {
        let s = windowSchema
        var calls = try [
            call("COUNT", [], of: s), call("COUNT", [3], of: s, filter: 4), call("SUM", [2], of: s), call("AVG", [3], of: s),
            call("STDDEV_POP", [3], of: s),
        ]
        if !changes { calls += try [call("MIN", [1], of: s), call("MAX", [3], of: s), call("APPROX_COUNT_DISTINCT", [3], of: s)] }
        return calls
    }

    @Test(arguments: [[], [0], [0, 1]], [false, true]) func bundlesGiveEachGroupOneChange(_ keys: [Int], _ updatesOnly: Bool) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        var spec = GroupAggregateSpec(inputSchema: windowSchema, keys: keys, aggregates: try Self.mergeable(changes: true), inputChanges: true)
        let plain = try Driver(GroupAggregateOperator(spec))
        spec.miniBatch = .init(rows: 40, latency: 1_000)
        spec.emitUpdateBefore = !updatesOnly
        let time = Clocked()
        let bundled = try Driver(GroupAggregateOperator(spec), now: { time.now })
        let (batches, _) = ChangelogOperatorTests().randomChanges(windowSchema, rounds: 60, using: &random) { randomWindowRow(time: 0, keys: 4, using: &$0) }
        var bundles: [[(kind: RowKind, row: [Value])]] = []
        func take() {
            if !bundled.output.changes.isEmpty { bundles.append(bundled.output.changes) }
            bundled.output.batches = []
        }
        for batch in batches {
            try plain.process(batch)
            try bundled.process(batch)
            take()
            if random.chance(10), let wake = bundled.op.wakeAt {
                time.now = wake
                _ = try bundled.op.onTime(wake, output: bundled.output)
                #expect(bundled.op.wakeAt == nil)
                take()
            }
        }
        try plain.finish()
        try bundled.finish()
        take()
        #expect(bundles.count < batches.count)
        for bundle in bundles {
            var kinds: [[Value]: [RowKind]] = [:]
            for change in bundle { kinds[Array(change.row.prefix(keys.count)), default: []].append(change.kind) }
            let allowed: [[RowKind]] = updatesOnly ? [[.insert], [.delete], [.updateAfter]] : [[.insert], [.delete], [.updateBefore, .updateAfter]]
            #expect(kinds.values.allSatisfy { allowed.contains($0) }, "seed \(seed)")
        }
        var last: [[Value]: [Value]] = [:]
        for change in bundles.joined() {
            if change.kind == .updateBefore { continue }
            last[Array(change.row.prefix(keys.count))] = change.kind == .delete ? nil : change.row
        }
        #expect(sortedTexts(Array(last.values)) == sortedTexts(Array(netted(plain.output.changes).keys)), "seed \(seed)")
    }

    /// A clock that the test moves.
    private final class Clocked: Sendable {
        private let time = Mutex<Int64>(0)
        var now: Int64 {
            get { time.withLock { $0 } }
            set { time.withLock { $0 = newValue } }
        }
    }

    @Test(arguments: [[], [0], [0, 1]], [false, true]) func twoPhasesGiveWhatOneGives(_ keys: [Int], _ changes: Bool) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        var spec = GroupAggregateSpec(inputSchema: windowSchema, keys: keys, aggregates: try Self.mergeable(changes: changes), inputChanges: changes)
        let one = try Driver(GroupAggregateOperator(spec))
        spec.miniBatch = .init(rows: 30, latency: 1_000)
        #expect(spec.supportsTwoPhase)
        let locals = try [Driver(LocalGroupAggregateOperator(spec)), Driver(LocalGroupAggregateOperator(spec))]
        let global = try Driver(GroupAggregateOperator(spec, takesPartials: true))
        let (batches, _) = ChangelogOperatorTests().randomChanges(windowSchema, rounds: 60, using: &random) { randomWindowRow(time: 0, keys: 4, using: &$0) }
        func pass(_ local: Driver) throws {
            for batch in local.output.batches {
                #expect(zip(batch.columns, try spec.partialSchema()).allSatisfy { $0.type == $1.type })
                try global.process(batch)
            }
            local.output.batches = []
        }
        for (i, given) in batches.enumerated() {
            var batch = given
            if !changes { batch.rowKinds = nil }
            try one.process(batch)
            // The changes of a row all come from one place.
            let local = locals[changes ? 0 : i % 2]
            try local.process(batch)
            try pass(local)
        }
        for local in locals {
            try local.finish()
            try pass(local)
        }
        try global.finish()
        #expect(approximately(netted(global.output.changes), netted(one.output.changes)), "seed \(seed)")
    }

    /// Rows equal up to the last digits of floating point.
    private func approximately(_ a: [[Value]: Int], _ b: [[Value]: Int]) -> Bool {
        func texts(_ rows: [[Value]: Int]) -> [String] {
            rows.keys.map { row in
                row.map { value in if case .double(let d) = value { "\(Float(d))" } else { "\(value)" } }.joined(separator: ",")
            }.sorted()
        }
        return texts(a) == texts(b)
    }

    @Test func rowsThatHardlyRepeatArePassedOn() throws {
        var spec = GroupAggregateSpec(inputSchema: [Field("k", .bigint)], keys: [0],
                                      aggregates: [AggregateCall(function: "COUNT", arguments: [], argumentTypes: [], resultType: .bigint)],
                                      inputChanges: false)
        spec.miniBatch = .init(rows: 4_096, latency: 1_000)
        let local = try Driver(LocalGroupAggregateOperator(spec)), global = try Driver(GroupAggregateOperator(spec, takesPartials: true))
        for round in 0..<4 {
            try local.process(Batch(schema: spec.inputSchema, rows: (0..<4_096).map { [.int(Int64(round % 2 * 4_096 + $0))] }))
        }
        try local.finish()
        #expect(local.output.batches.reduce(0) { $0 + $1.count } == 4 * 4_096)
        for batch in local.output.batches { try global.process(batch) }
        try global.finish()
        let net = netted(global.output.changes)
        #expect(net.count == 8_192 && net.keys.allSatisfy { $0[1] == .int(2) })
    }

    @Test(arguments: [1, 2, 3]) func distinctTablesGiveWhatCountedValuesGive(_ argument: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let s = windowSchema
        var calls: [AggregateCall] = []
        for filter in [nil, 4] as [Int?] {
            calls += try ["COUNT", "COLLECT", "ARRAY_AGG", "ARRAY_AGG IGNORE NULLS", "FIRST_VALUE", "LAST_VALUE", "JSON_ARRAYAGG"].map {
                try call($0, [argument], of: s, filter: filter, distinct: true)
            }
        }
        calls.append(try call("COUNT", [argument, 0], of: s, distinct: true))
        if argument > 1 { calls.append(try call("SUM", [argument], of: s, distinct: true)) }
        func spec(changes: Bool) -> GroupAggregateSpec { GroupAggregateSpec(inputSchema: s, keys: [0], aggregates: calls, inputChanges: changes) }
        var tables = try Driver(GroupAggregateOperator(spec(changes: false)))
        let counted = try Driver(GroupAggregateOperator(spec(changes: true)))
        var changes: [(kind: RowKind, row: [Value])] = []
        for round in 0..<30 {
            let rows = (0..<Int.random(in: 1...20, using: &random)).map { _ in randomWindowRow(time: 0, keys: 4, using: &random) }
            let batch = randomForm(s, rows, using: &random)
            try tables.process(batch)
            try counted.process(batch)
            if round == 15 {
                // A crash here: another instance goes on.
                changes += tables.output.changes
                let state = try tables.op.snapshot(1).loaded()
                tables = try Driver(GroupAggregateOperator(spec(changes: false)))
                try tables.op.restore(RestoredState(state))
            }
        }
        changes += tables.output.changes
        // COLLECT gives a map, whose order means nothing.
        func texts(_ rows: [[Value]]) -> [String] {
            sortedTexts(rows.map { row in
                row.map { value in if case .map(let entries) = value { .array(entries.map(\.key).sorted { "\($0)" < "\($1)" }) } else { value } }
            })
        }
        #expect(texts(Array(netted(changes).keys)) == texts(Array(netted(counted.output.changes).keys)), "seed \(seed)")
    }

    @Test func moreThanOneSingleValueIsAnError() throws {
        let schema = [Field("v", .int)]
        let spec = GroupAggregateSpec(inputSchema: schema, keys: [], aggregates: [try call("SINGLE_VALUE", [0], of: schema)], inputChanges: true)
        let driver = try Driver(GroupAggregateOperator(spec))
        func change(_ kinds: [RowKind], _ values: [Int64]) -> Batch { Batch(schema: schema, rows: values.map { [.int($0)] }, kinds: kinds) }
        try driver.process(change([.insert], [1]))
        try driver.process(change([.updateBefore, .updateAfter, .updateBefore, .updateAfter], [1, 2, 2, 3]))
        #expect(Array(netted(driver.output.changes).keys) == [[.int(3)]])
        #expect(throws: StreamError.self) { try driver.process(change([.insert, .delete], [4, 3])) }
    }

    @Test func sketchesAreNearAndMerge() throws {
        let schema = [Field("k", .int), Field("v", .bigint)]
        let calls = [try call("APPROX_COUNT_DISTINCT", [1], of: schema)]
        let spec = GroupAggregateSpec(inputSchema: schema, keys: [0], aggregates: calls, inputChanges: false)
        #expect(throws: StreamError.self) {
            try GroupAggregateOperator(GroupAggregateSpec(inputSchema: schema, keys: [0], aggregates: calls, inputChanges: true))
        }
        var driver = try Driver(GroupAggregateOperator(spec))
        let sizes: [Int64] = [1, 100, 3_000, 200_000]
        var last: [Int64: Int64] = [:]
        for part in 0..<2 {
            for (key, size) in sizes.enumerated() {
                for start in stride(from: Int64(0), to: size, by: 8_192) {
                    // Every value twice.
                    let rows = (start..<min(start + 8_192, size)).map { [Value.int(Int64(key)), .int($0 &* 7_919)] }
                    try driver.process(Batch(schema: schema, rows: rows))
                }
            }
            for change in driver.output.changes where change.kind.isAdd {
                if case .int(let key) = change.row[0], case .int(let n) = change.row[1] { last[key] = n }
            }
            guard part == 0 else { continue }
            let state = try driver.op.snapshot(1).loaded()
            driver = try Driver(GroupAggregateOperator(spec))
            try driver.op.restore(RestoredState(state))
        }
        for (key, size) in sizes.enumerated() {
            let found = last[Int64(key)] ?? 0
            #expect(abs(Double(found - size)) <= max(0.5, 0.03 * Double(size)), "\(size) values are taken for \(found)")
        }
    }
}
