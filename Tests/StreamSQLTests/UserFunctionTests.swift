import StreamCore
import StreamExpressions
import StreamOperators
import Testing
@testable import StreamSQL

@Suite("Functions written in Swift") struct UserFunctionTests {
    struct Weighted: Codable, Sendable {
        var sum = 0.0, weight = 0.0
    }

    private static func weightedAverage(retracts: Bool) -> AggregateFunction {
        let accumulate: @Sendable (inout Weighted, Double, Double) -> Void = { s, value, weight in
            s.sum += value * weight
            s.weight += weight
        }
        let merge: @Sendable (inout Weighted, Weighted) -> Void = { s, other in
            s.sum += other.sum
            s.weight += other.weight
        }
        let result: @Sendable (Weighted) -> Double? = { $0.weight == 0 ? nil : $0.sum / $0.weight }
        guard retracts else { return AggregateFunction("WAVG", state: Weighted(), accumulate: accumulate, merge: merge, result: result) }
        return AggregateFunction(
            "wavg", state: Weighted(), accumulate: accumulate,
            retract: { (s: inout Weighted, value: Double, weight: Double) in
                s.sum -= value * weight
                s.weight -= weight
            }, merge: merge, result: result)
    }

    private func harness() throws -> SQLHarness {
        let harness = try SQLHarness(
            """
            CREATE TABLE t (id INT, k STRING, v INT, xs ARRAY<INT>) WITH ('connector' = 'memory');
            CREATE TABLE ev (k STRING, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'memory');
            """)
        harness.memory.fill(
            "t",
            [
                [.int(1), .string("a b"), .int(10), .array([.int(1), .int(2)])], [.int(2), .string("c"), .null, .array([])],
                [.int(3), .null, .int(30), .null],
            ])
        harness.memory.fill("ev", (0..<10).map { [.string($0 % 2 == 0 ? "e" : "o"), .int(Int64($0)), .int(Int64($0) * 1_000)] })
        let session = harness.session
        try session.register(ScalarFunction("plus_one") { (x: Int64) in x + 1 })
        try session.register(ScalarFunction("describe") { (x: Int32?, s: String?) in "\(x.map(String.init) ?? "none")/\(s ?? "none")" })
        try session.register(ScalarFunction("total") { (xs: [Int32]) in xs.reduce(0, +) })
        try session.register(ScalarFunction("refuse") { (x: Int) throws -> Int in throw StreamError(.runtime, "no \(x) today") })
        try session.register(ScalarFunction("maybe") { (x: Int) -> Int? in x > 15 ? x : nil })
        try session.register(
            ScalarFunction("doubled", takes: [.double], returns: .double) { args, rows, _ in
                let x = args[0].vector(Double.self)
                return rows.fixed(.double) { x[$0] * 2 }
            })
        session.register(
            TableFunction("words", columns: ["word", "n"]) { (emit: RowEmitter<String, Int>, text: String, times: Int) in
                for _ in 0..<times { for word in text.split(separator: " ") { emit(String(word), word.count) } }
            })
        try session.register(Self.weightedAverage(retracts: true))
        return harness
    }

    @Test func scalarFunctions() throws {
        let rows = try harness().rows("SELECT id, PLUS_ONE(v), describe(v, k), total(xs), maybe(v), doubled(v) FROM t")
        #expect(
            rows == [
                [.int(1), .int(11), .string("10/a b"), .int(3), .null, .double(20)],
                [.int(2), .null, .string("none/c"), .int(0), .null, .null],
                [.int(3), .int(31), .string("30/none"), .null, .int(30), .double(60)],
            ])
    }

    @Test func constantArgumentsAreFolded() throws {
        #expect(try harness().rows("SELECT plus_one(41), describe(NULL, 'x') FROM t WHERE id = 1") == [[.int(42), .string("none/x")]])
    }

    @Test func errorsNameTheCall() throws {
        let error = #expect(throws: StreamError.self) { try harness().rows("SELECT refuse(v) FROM t") }
        #expect(error?.problem.contains("REFUSE(10): no 10 today") == true)
        let wrong = #expect(throws: StreamError.self) { try harness().rows("SELECT plus_one(k) FROM t") }
        #expect(wrong?.problem.contains("PLUS_ONE takes BIGINT as argument 1, but STRING was given") == true)
        let few = #expect(throws: StreamError.self) { try harness().rows("SELECT describe(v) FROM t") }
        #expect(few?.problem.contains("DESCRIBE takes 2 arguments (INT, STRING), 1 given") == true)
    }

    @Test func tableFunctions() throws {
        let harness = try harness()
        #expect(
            try harness.rows("SELECT id, w, n FROM t, LATERAL TABLE(words(k, 2)) AS x(w, n)") == [
                [.int(1), .string("a"), .int(1)], [.int(1), .string("b"), .int(1)], [.int(1), .string("a"), .int(1)],
                [.int(1), .string("b"), .int(1)], [.int(2), .string("c"), .int(1)], [.int(2), .string("c"), .int(1)],
            ])
        #expect(
            try harness.rows("SELECT id, word FROM t LEFT JOIN LATERAL TABLE(words(k, 1)) ON TRUE") == [
                [.int(1), .string("a")], [.int(1), .string("b")], [.int(2), .string("c")], [.int(3), .null],
            ])
    }

    @Test func aggregatesOverGroupsWindowsAndChanges() throws {
        let harness = try harness()
        #expect(try harness.rows("SELECT WAVG(v, id) FROM t") == [[.double(25)]])
        #expect(
            try harness.rows(
                "SELECT k, WAVG(v, 1), WAVG(v, v) FILTER (WHERE v > 5) FROM TABLE(HOP(TABLE ev, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) WHERE k = 'e' GROUP BY k, window_start, window_end"
            ) == [[.string("e"), .double(2), .null], [.string("e"), .double(4), .double(100.0 / 14)], [.string("e"), .double(7), .double(100.0 / 14)]])
        // The inner aggregate changes its rows: the outer one takes them back.
        #expect(try harness.rows("SELECT WAVG(s, 1) FROM (SELECT k, SUM(v) AS s FROM ev GROUP BY k)") == [[.double(22.5)]])
        #expect(try harness.rows("SELECT WAVG(DISTINCT v / 5, 1) FROM ev") == [[.double(0.5)]])
    }

    @Test func anAggregateThatCannotRetractRefusesChanges() throws {
        let harness = try harness()
        try harness.session.register(Self.weightedAverage(retracts: false))
        #expect(try harness.rows("SELECT WAVG(v, 1) FROM ev") == [[.double(4.5)]])
        let error = #expect(throws: StreamError.self) { try harness.rows("SELECT WAVG(s, 1) FROM (SELECT k, SUM(v) AS s FROM ev GROUP BY k)") }
        #expect(error?.problem.contains("WAVG cannot take rows back") == true)
    }

    @Test func namesOfBuiltInAggregatesAreRefused() throws {
        let session = try harness().session
        #expect(throws: StreamError.self) { try session.register(ScalarFunction("SUM") { (x: Int) in x }) }
    }

    /// What a checkpoint holds makes the same state again.
    @Test func statesAreEncoded() throws {
        let call = UserAggregates.$current.withValue(["WAVG": Self.weightedAverage(retracts: true)]) {
            AggregateCall(function: "WAVG", arguments: [0, 1], argumentTypes: [.double, .double], resultType: .double)
        }
        #expect(call.user?.name == "WAVG")
        #expect(call.user?.canRetract == true)
    }
}
