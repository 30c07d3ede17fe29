import StreamCore
import Testing
@testable import StreamExpressions

@Suite("Binding of operators and functions") struct CoreBindingTests {
    @Test("common types") func common() {
        func check(_ types: [DataType], _ wanted: DataType?) { #expect(TypeCoercion.commonType(types) == wanted, "\(types)") }
        check([.int, .bigint], .bigint)
        check([.tinyint, .smallint, .null], .smallint)
        check([.int, .decimal(precision: 2, scale: 1)], .decimal(precision: 11, scale: 1))
        check([.decimal(precision: 2, scale: 1), .int, .decimal(precision: 3, scale: 1)], .decimal(precision: 11, scale: 1))
        check([.bigint, .float], .float)
        check([.float, .decimal(precision: 4, scale: 1)], .double)
        check([.int, .double], .double)
        check([.char(1), .char(3)], .varchar(3))
        check([.char(2), .char(2)], .char(2))
        check([.char(1), .string], .string)
        check([.date, .timestamp(3)], .timestamp(3))
        check([.timestamp(3), .timestamp(9)], .timestamp(9))
        check([.array(.int), .array(.null), .array(.bigint)], .array(.bigint))
        check([.row([Field("a", .int)]), .row([Field("b", .double)])], .row([Field("a", .double)]))
        check([.null, .null], .null)
        check([.int, .timestamp(3)], nil)
        check([.int, .string], nil)
        check([.boolean, .int], nil)
    }

    @Test("what INSERT takes without a CAST") func assign() {
        let yes: [(DataType, DataType)] = [(.int, .bigint), (.int, .decimal(precision: 5, scale: 1)), (.bigint, .float), (.char(3), .string), (.string, .varchar(2)),
                                           (.timestamp(3), .timestampLTZ(6)), (.timestamp(3), .date), (.null, .int), (.array(.int), .array(.double)),
                                           (.row([Field("a", .int)]), .row([Field("b", .bigint)]))]
        let no: [(DataType, DataType)] = [(.bigint, .int), (.double, .float), (.double, .bigint), (.string, .int), (.int, .string), (.timestamp(3), .bigint),
                                          (.date, .timestamp(3)), (.string, .char(3)), (.boolean, .int), (.array(.string), .array(.int))]
        for (from, to) in yes { #expect(TypeCoercion.canAssign(from, to: to), "\(from) to \(to)") }
        for (from, to) in no { #expect(!TypeCoercion.canAssign(from, to: to), "\(from) to \(to)") }
    }

    @Test("argument counts and types in errors") func errors() {
        let pad: [Parameter] = [.text("string"), .int("length"), .text("pad")]
        #expect(errorText { _ = try Binding.arguments("LPAD", [SQL.text("a")], pad) } == "LPAD takes 3 arguments (string, length, pad), 1 given")
        #expect(errorText { _ = try Binding.arguments("LPAD", [SQL.text("a"), SQL.text("b"), SQL.text("c")], pad) }
                == "LPAD takes INT as its length, but CHAR(1) was given. Fix: write CAST(... AS INT).")
        #expect(errorText { _ = try Binding.arguments("LPAD", [SQL.text("a")], pad, optional: 1) }?.contains("2 to 3 arguments") == true)
        #expect(errorText { _ = try SQL.call("||", SQL.text("a"), SQL.null) }?.contains("NULL") == true)
        #expect(errorCode { _ = try SQL.call("||", SQL.text("a"), SQL.null) } == .validate)
        #expect(errorText { _ = try SQL.call("COALESCE", SQL.null, SQL.null) }?.contains("NULL") == true)
        #expect(errorText { _ = try SQL.call("=", SQL.int(1), SQL.cast(SQL.text("a"), .date)) }?.contains("INT, DATE") == true)
        #expect(errorText { _ = try SQL.call("+", SQL.text("1"), SQL.text("2")) }?.contains("||") == true)
    }

    @Test("a NULL takes the type of the other side") func nulls() throws {
        #expect(try SQL.call("+", SQL.int(1), SQL.null).type == .int)
        #expect(try SQL.value(SQL.call("+", SQL.int(1), SQL.null)) == .null)
        #expect(try SQL.value(SQL.call("=", SQL.null, SQL.text("a"))) == .null)
        #expect(try SQL.value(SQL.call("COALESCE", SQL.null, SQL.int(2))) == .int(2))
        #expect(try SQL.value(SQL.call("IF", SQL.bool(nil), SQL.null, SQL.int(2))) == .int(2))
    }

    @Test("text beside other types in comparisons") func text() throws {
        let day = Expr.column(0, .date), number = Expr.column(0, .int), words = Expr.column(0, .string)
        let batch = Batch(schema: [Field("d", .date)], rows: [[.int(19_723)]])
        let same = try SQL.call("=", day, SQL.text("2024-01-01"))
        #expect(try Evaluator([same], context: EvaluationContext()).evaluate(batch)[0].value(at: 0) == .bool(true))
        let five = Batch(schema: [Field("n", .int)], rows: [[.int(5)]])
        #expect(try Evaluator([SQL.call("<", SQL.text("4"), number)], context: EvaluationContext()).evaluate(five)[0].value(at: 0) == .bool(true))
        #expect(errorCode { _ = try SQL.call("=", number, SQL.text("five")) } == .validate)
        #expect(errorCode { _ = try SQL.call("=", number, SQL.text("2.5")) } == .validate)
        #expect(errorText { _ = try SQL.call("=", words, SQL.int(1)) }?.contains("CAST(... AS INT)") == true)
        // Bytes decide, whatever the alphabet.
        #expect(try SQL.value(SQL.call("<", SQL.text("a"), SQL.text("B"))) == .bool(false))
        #expect(try SQL.value(SQL.call(">", SQL.text("é"), SQL.text("z"))) == .bool(true))
    }
}
