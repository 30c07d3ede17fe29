import StreamCore
import StreamExpressions
import Testing
@testable import StreamOperators

@Suite("Outer, semi and anti joins") struct OuterJoinTests {
    static let left: Schema = [Field("a", .int), Field("b", .string), Field("x", .bigint)]
    static let right: Schema = [Field("y", .bigint), Field("c", .varchar(40)), Field("d", .int)]

    private static func lessThan() throws -> Expr { try FunctionRegistry.builtin.bind("<", [.column(2, .bigint), .column(3, .bigint)]) }

    static func spec(_ kind: JoinKind, keys: Int, nullSafe: Set<Int> = [], hasCondition: Bool) throws -> JoinSpec {
        JoinSpec(
            leftSchema: left, rightSchema: right, leftKeys: Array([0, 1].prefix(keys)), rightKeys: Array([2, 1].prefix(keys)), kind: kind,
            nullSafeKeys: nullSafe, condition: hasCondition ? try lessThan() : nil)
    }

    /// What the join of two multisets is.
    static func model(_ spec: JoinSpec, _ lefts: [[Value]], _ rights: [[Value]]) -> [[Value]: Int] {
        func matches(_ l: [Value], _ r: [Value]) -> Bool {
            for (i, (a, b)) in zip(spec.leftKeys, spec.rightKeys).enumerated() {
                if l[a] != r[b] || (l[a] == .null && !spec.nullSafeKeys.contains(i)) { return false }
            }
            guard spec.condition != nil else { return true }
            guard case .int(let x) = l[2], case .int(let y) = r[0] else { return false }
            return x < y
        }
        var result: [[Value]: Int] = [:]
        func nulls(_ schema: Schema) -> [Value] { schema.map { _ in .null } }
        for l in lefts {
            let found = rights.filter { matches(l, $0) }
            switch spec.kind {
            case .semi: if !found.isEmpty { result[l, default: 0] += 1 }
            case .anti: if found.isEmpty { result[l, default: 0] += 1 }
            default:
                for r in found { result[l + r, default: 0] += 1 }
                if found.isEmpty, spec.kind.keepsLeft { result[l + nulls(spec.rightSchema), default: 0] += 1 }
            }
        }
        if spec.kind.keepsRight {
            for r in rights where !lefts.contains(where: { matches($0, r) }) { result[nulls(spec.leftSchema) + r, default: 0] += 1 }
        }
        return result
    }

    static func row(_ side: Int, _ r: inout SeededGenerator) -> [Value] {
        func value(_ n: Int64) -> Value { r.chance(12) ? .null : .int(n) }
        let number = value(.random(in: 0...3, using: &r)), other = value(.random(in: 0...5, using: &r))
        let name: Value = r.chance(12) ? .null : .string("name that is rather long \(Int.random(in: 0...1, using: &r))")
        return side == 0 ? [number, name, other] : [other, name, number]
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var kind: JoinKind, keys: Int, nullSafe: Set<Int>, hasCondition: Bool
        var testDescription: String { "\(kind) keys \(keys) null-safe \(nullSafe.sorted()) condition \(hasCondition)" }
    }
    static let cases = [JoinKind.inner, .left, .right, .full, .semi, .anti].flatMap { kind in
        [(0, []), (1, []), (1, [0]), (2, []), (2, [1])].flatMap { keys, safe in
            [false, true].map { Case(kind: kind, keys: keys, nullSafe: Set(safe), hasCondition: $0) }
        }
    }

    /// Changes of both sides in an order of arrival, and what is left of each.
    private func history(_ random: inout SeededGenerator, steps: Int) -> (steps: [(side: Int, row: [Value], kind: RowKind)], live: [[[Value]]]) {
        var live: [[[Value]]] = [[], []], made: [(side: Int, row: [Value], kind: RowKind)] = []
        for _ in 0..<steps {
            let side = Int.random(in: 0...1, using: &random)
            if random.chance(42), let at = live[side].indices.randomElement(using: &random) {
                made.append((side, live[side].remove(at: at), random.chance(50) ? .delete : .updateBefore))
            } else {
                let row = Self.row(side, &random)
                live[side].append(row)
                made.append((side, row, random.chance(50) ? .insert : .updateAfter))
            }
        }
        return (made, live)
    }

    @Test("follow changes of both sides at any batch size, and go on at another parallelism", arguments: cases)
    func followsChanges(_ given: Case) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let spec = try Self.spec(given.kind, keys: given.keys, nullSafe: given.nullSafe, hasCondition: given.hasCondition)
        let (steps, live) = history(&random, steps: 400)
        let expected = Self.model(spec, live[0], live[1])
        for size in [1, 7, 400] {
            var parallelism = 1
            func drivers(_ n: Int) throws -> [Driver] {
                try (0..<n).map { try Driver(OuterJoinOperator(spec, EvaluationContext()), output: Collector(room: 1), subtask: $0, parallelism: n) }
            }
            var running = try drivers(1), changes: [(kind: RowKind, row: [Value])] = []
            var at = 0, batches = 0
            while at < steps.count {
                // A run of changes of one side.
                var end = at + 1
                while end < steps.count, end - at < size, steps[end].side == steps[at].side { end += 1 }
                let side = steps[at].side
                let batch = randomForm(side == 0 ? Self.left : Self.right, steps[at..<end].map(\.row), kinds: steps[at..<end].map(\.kind), using: &random)
                let keys = side == 0 ? spec.leftKeys : spec.rightKeys
                let parts = parallelism == 1 ? [batch] : exchanged(batch, keys: keys, parallelism: parallelism)
                for (driver, part) in zip(running, parts) { try driver.process(part, input: side) }
                at = end
                batches += 1
                if random.chance(size == 1 ? 1 : 10) {
                    changes += running.flatMap(\.output.changes)
                    let states = try running.flatMap { try $0.op.snapshot(1).loaded() }
                    parallelism = given.keys == 0 ? 1 : Int.random(in: 1...3, using: &random)
                    running = try drivers(parallelism)
                    for (i, driver) in running.enumerated() { try driver.op.restore(share(states, subtask: i, parallelism: parallelism)) }
                }
            }
            changes += running.flatMap(\.output.changes)
            #expect(netted(changes) == expected, "seed \(seed), batches of \(size)")
        }
    }

    private func texts(_ driver: Driver) -> [String] {
        defer { driver.output.batches = [] }
        return driver.output.changes.map { kind, row in
            "\(kind)(" + row.map { if case .int(let n) = $0 { "\(n)" } else { "-" } }.joined(separator: " ") + ")"
        }
    }

    private func driver(_ kind: JoinKind, leftTTL: Duration? = nil, now: @escaping @Sendable () -> Int64 = { 0 }) throws -> Driver {
        let schema: Schema = [Field("k", .int), Field("v", .int)]
        return try Driver(
            OuterJoinOperator(
                JoinSpec(leftSchema: schema, rightSchema: schema, leftKeys: [0], rightKeys: [0], leftTTL: leftTTL, kind: kind), EvaluationContext()),
            now: now)
    }

    private func give(_ driver: Driver, _ side: Int, _ k: Int64?, _ v: Int64, _ kind: RowKind = .insert) throws -> [String] {
        let schema: Schema = [Field("k", .int), Field("v", .int)]
        try driver.process(Batch(schema: schema, rows: [[k.map { .int($0) } ?? .null, .int(v)]], kinds: [kind]), input: side)
        return texts(driver)
    }

    @Test("a left join takes nulls back at the first match and gives them again when the last is gone") func leftKinds() throws {
        let driver = try driver(.left)
        #expect(try give(driver, 0, 1, 10) == ["+I(1 10 - -)"])
        #expect(try give(driver, 0, nil, 11) == ["+I(- 11 - -)"])
        #expect(try give(driver, 1, 1, 20) == ["-D(1 10 - -)", "+I(1 10 1 20)"])
        #expect(try give(driver, 1, 1, 21) == ["+I(1 10 1 21)"])
        #expect(try give(driver, 1, 1, 20, .delete) == ["-D(1 10 1 20)"])
        #expect(try give(driver, 1, 1, 21, .updateBefore) == ["-U(1 10 1 21)", "+I(1 10 - -)"])
        #expect(try give(driver, 0, 1, 10, .delete) == ["-D(1 10 - -)"])
        #expect(try give(driver, 1, nil, 5) == [])
    }

    @Test("semi and anti joins change a row when its first match comes or its last goes") func semiAntiKinds() throws {
        let semi = try driver(.semi)
        #expect(try give(semi, 0, 1, 10) == [])
        #expect(try give(semi, 1, 1, 20) == ["+I(1 10)"])
        #expect(try give(semi, 1, 1, 21) == [])
        #expect(try give(semi, 0, 1, 11, .updateAfter) == ["+U(1 11)"])
        #expect(try give(semi, 1, 1, 21, .delete) == [])
        #expect(try give(semi, 1, 1, 20, .delete).sorted() == ["-D(1 10)", "-D(1 11)"])
        let anti = try driver(.anti)
        #expect(try give(anti, 0, 1, 10) == ["+I(1 10)"])
        #expect(try give(anti, 0, nil, 12) == ["+I(- 12)"])
        #expect(try give(anti, 1, 1, 20) == ["-D(1 10)"])
        #expect(try give(anti, 1, 1, 20, .delete) == ["+I(1 10)"])
    }

    @Test("rows are forgotten on their own side's time to live") func timeToLive() throws {
        let clock = HandClock()
        let driver = try driver(.full, leftTTL: .milliseconds(100), now: { clock.now })
        #expect(try give(driver, 0, 1, 10) == ["+I(1 10 - -)"])
        clock.move(99)
        #expect(try give(driver, 1, 1, 20) == ["-D(1 10 - -)", "+I(1 10 1 20)"])
        clock.move(99)
        // The match was a write of the left row.
        #expect(try give(driver, 1, 1, 21) == ["+I(1 10 1 21)"])
        clock.move(100)
        #expect(try give(driver, 1, 1, 22) == ["+I(- - 1 22)"])
        #expect(try give(driver, 0, 1, 11).sorted() == ["+I(1 11 1 20)", "+I(1 11 1 21)", "+I(1 11 1 22)", "-D(- - 1 22)"].sorted())
    }
}
