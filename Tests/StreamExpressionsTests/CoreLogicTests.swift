import StreamCore
import Testing
@testable import StreamExpressions

@Suite("Three-valued logic") struct CoreLogicTests {
    static let all: [Bool?] = [true, false, nil]

    /// Columns a, b with the nine combinations.
    private static let batch: Batch = {
        let rows = all.flatMap { a in all.map { b in [a, b].map { $0.map { Value.bool($0) } ?? .null } } }
        return Batch(schema: [Field("a", .boolean), Field("b", .boolean)], rows: rows)
    }()
    private static let a = Expr.column(0, .boolean), b = Expr.column(1, .boolean)

    private func table(_ expr: Expr) throws -> [Bool?] {
        let column = try Evaluator([expr], context: EvaluationContext()).evaluate(Self.batch)[0]
        return (0..<9).map { if case .bool(let v) = column.value(at: $0) { v } else { nil } }
    }

    @Test("AND and OR") func andOr() throws {
        #expect(try table(.and([Self.a, Self.b])) == [true, false, nil, false, false, false, nil, false, nil])
        #expect(try table(.or([Self.a, Self.b])) == [true, true, true, true, false, nil, true, nil, nil])
        #expect(try table(.not(Self.a)) == [false, false, false, true, true, true, nil, nil, nil])
    }

    @Test("comparison and IS DISTINCT FROM") func distinct() throws {
        #expect(try table(SQL.call("=", Self.a, Self.b)) == [true, false, nil, false, true, nil, nil, nil, nil])
        #expect(try table(SQL.call("<>", Self.a, Self.b)) == [false, true, nil, true, false, nil, nil, nil, nil])
        #expect(try table(SQL.call("IS DISTINCT FROM", Self.a, Self.b)) == [false, true, true, true, false, true, true, true, false])
        #expect(try table(SQL.call("IS NOT DISTINCT FROM", Self.a, Self.b)) == [true, false, false, false, true, false, false, false, true])
        #expect(try table(SQL.call("IS DISTINCT FROM", Self.a, SQL.null)) == [true, true, true, true, true, true, false, false, false])
    }

    @Test("IS TRUE and its kin are never null") func truth() throws {
        #expect(try table(SQL.call("IS TRUE", Self.a)) == [true, true, true, false, false, false, false, false, false])
        #expect(try table(SQL.call("IS NOT TRUE", Self.a)) == [false, false, false, true, true, true, true, true, true])
        #expect(try table(SQL.call("IS FALSE", Self.a)) == [false, false, false, true, true, true, false, false, false])
        #expect(try table(SQL.call("IS NOT FALSE", Self.a)) == [true, true, true, false, false, false, true, true, true])
        #expect(try table(.isNull(Self.a, negated: false)) == [false, false, false, false, false, false, true, true, true])
    }

    @Test("a filter keeps exactly the rows where the value is true") func filter() throws {
        let exprs: [Expr] = [.and([Self.a, Self.b]), .or([Self.a, Self.b]), .not(Self.a), .isNull(Self.a, negated: true),
                             try SQL.call("=", Self.a, Self.b), .or([.isNull(Self.a, negated: false), .and([Self.a, .not(Self.b)])])]
        for expr in exprs {
            let wanted = try table(expr).enumerated().filter { $0.element == true }.map(\.offset)
            let passed = try Evaluator([expr], context: EvaluationContext()).filter(Self.batch)
            #expect(passed.rows() == wanted.map { row in Self.batch.columns.map { $0.value(at: row) } })
        }
    }

    @Test("operands that an earlier one decides are not computed") func guarded() throws {
        let x = Expr.column(0, .int)
        let batch = Batch(schema: [Field("x", .int)], rows: [[.int(0)], [.int(4)], [.null], [.int(-2)]])
        let inverse = try SQL.call("/", SQL.int(12), x)
        let isZero = try SQL.call("=", x, SQL.int(0)), isNotZero = try SQL.call("<>", x, SQL.int(0))
        func run(_ e: Expr) throws -> [Value] {
            let column = try Evaluator([e], context: EvaluationContext()).evaluate(batch)[0]
            return (0..<4).map { column.value(at: $0) }
        }
        #expect(try run(.caseWhen([.init(isNotZero, then: inverse)], otherwise: SQL.int(-1), .int)) == [.int(-1), .int(3), .int(-1), .int(-6)])
        #expect(try run(.caseWhen([.init(isZero, then: SQL.int(7))], otherwise: inverse, .int)) == [.int(7), .int(3), .null, .int(-6)])
        let positive = try SQL.call(">", inverse, SQL.int(0))
        #expect(try run(.and([isNotZero, positive])) == [.bool(false), .bool(true), .null, .bool(false)])
        #expect(try run(.or([isZero, positive])) == [.bool(true), .bool(true), .null, .bool(false)])
        #expect(try Evaluator([.and([isNotZero, positive])], context: EvaluationContext()).filter(batch).rows() == [[.int(4)]])
        #expect(try Evaluator([.or([isZero, positive])], context: EvaluationContext()).filter(batch).rows() == [[.int(0)], [.int(4)]])
        let nullIfZero = try SQL.call("NULLIF", x, SQL.int(0))
        #expect(try run(.coalesce([nullIfZero, .caseWhen([.init(isZero, then: SQL.int(100))], otherwise: inverse, .int)], .int))
                == [.int(100), .int(4), .null, .int(-2)])
        #expect(errorText { _ = try run(inverse) }?.contains("Division by zero") == true)
        // Rows that are not selected do not count.
        var part = batch
        part.selection = Selection([1, 3])
        let column = try Evaluator([inverse], context: EvaluationContext()).evaluate(part)[0]
        #expect([column.value(at: 1), column.value(at: 3)] == [.int(3), .int(-6)])
    }

    @Test("a constant that fails does so only for a row that needs it") func lazyConstants() throws {
        let bad = SQL.cast(SQL.text("x"), .int)
        let x = Expr.column(0, .boolean)
        let expr = Expr.caseWhen([.init(x, then: bad)], otherwise: SQL.int(1), .int)
        func run(_ v: Bool) throws -> Value {
            try Evaluator([expr], context: EvaluationContext()).evaluate(Batch(schema: [Field("x", .boolean)], rows: [[.bool(v)]]))[0].value(at: 0)
        }
        #expect(try run(false) == .int(1))
        #expect(errorText { _ = try run(true) }?.contains("'x'") == true)
        let empty = Batch(columns: [.nulls(type: .boolean, count: 0)], physicalCount: 0)
        #expect(try Evaluator([expr, bad], context: EvaluationContext()).evaluate(empty).map(\.count) == [0, 0])
    }
}
