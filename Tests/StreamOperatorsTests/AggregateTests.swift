import StreamCore
import Testing
@testable import StreamOperators

@Suite struct AggregateTests {
    /// The result of one aggregate over one column.
    func result(_ function: String, _ type: DataType, _ values: [Value], second: (DataType, [Value])? = nil, distinct: Bool = false) throws -> Value {
        let schema = [Field("x", type)] + (second.map { [Field("y", $0.0)] } ?? [])
        let rows = values.indices.map { i in [values[i]] + (second.map { [$0.1[i]] } ?? []) }
        let aggregate = try call(function, Array(schema.indices), of: schema, distinct: distinct)
        let driver = try Driver(GroupAggregateOperator(GroupAggregateSpec(inputSchema: schema, keys: [], aggregates: [aggregate], inputChanges: false)))
        try driver.process(Batch(schema: schema, rows: rows))
        #expect(driver.output.batches[0].columns[0].type == aggregate.resultType)
        return driver.output.rows[0][0]
    }

    @Test func numbersAsFlinkGivesThem() throws {
        #expect(try result("SUM", .tinyint, [.int(100), .int(100)]) == .int(-56))
        #expect(try result("SUM", .int, [.int(1 << 30), .int(1 << 30)]) == .int(-(1 << 31)))
        #expect(try result("SUM", .int, [.null, .null]) == .null)
        #expect(try result("AVG", .int, [.int(-3), .int(-2), .null]) == .int(-2))
        #expect(try result("AVG", .float, [.float(0.1), .float(-7.5), .float(0)]) == .float(-2.4666667))
        #expect(try result("SUM", .float, [.float(0.1), .float(0.2)]) == .float(Float(0.1) + Float(0.2)))
        let money = DataType.decimal(precision: 10, scale: 2)
        #expect(try result("SUM", money, [.decimal(-750), .decimal(1)]) == .decimal(-749))
        #expect(try result("AVG", money, [.decimal(-750), .decimal(1), .decimal(0)]) == .decimal(-2_496_667))
        let wide = DataType.decimal(precision: 38, scale: 0)
        let most = NumberText.int128PowersOfTen[38] - 1
        #expect(try result("SUM", wide, [.decimal(most), .decimal(1)]) == .null)
        #expect(try result("SUM", wide, [.decimal(most), .decimal(most)]) == .null)
        #expect(try result("SUM", wide, [.decimal(most), .decimal(-1)]) == .decimal(most - 1))
        #expect(try result("COUNT", .int, [.int(1), .null, .int(1)]) == .int(2))
        #expect(try result("COUNT", .int, [.int(1), .null, .int(1)], distinct: true) == .int(1))
    }

    @Test func momentsKeepTheArgumentsType() throws {
        #expect(try result("VAR_POP", .int, [.int(5)]) == .int(0))
        #expect(try result("STDDEV_SAMP", .int, [.int(5)]) == .null)
        #expect(try result("STDDEV_POP", .double, [.double(1.5), .double(20.25)]) == .double(9.375))
        #expect(try result("VAR_POP", .double, [.double(1.5), .double(20.25)]) == .double(87.890625))
        #expect(try result("STDDEV_SAMP", .double, [.double(1.5), .double(20.25)]) == .double(13.258252147247767))
        #expect(try result("VAR_SAMP", .int, [.int(1), .int(4)]) == .int(4))
        // What Flink 2.3 gives.
        #expect(try result("VAR_SAMP", .bigint, [.int(1_700_000_000_000), .int(1_700_000_000_001), .int(1_700_000_000_005)]) == .int(7))
        #expect(try result("VAR_SAMP", .double, [.double(1e9), .double(1e9 + 1), .double(1e9 + 2)]) == .double(1))
        #expect(try result("VAR_POP", .int, [.int(Int64(Int32.max)), .int(Int64(Int32.min)), .int(0)]) == .int(Int64(Int32.max)))
        #expect(try result("VAR_POP", .double, [.double(1.7e308), .double(-1.7e308)]) == .double(.infinity))
        if case .double(let d) = try result("VAR_POP", .double, [.double(.nan), .double(1)]) { #expect(d.isNaN) } else { Issue.record("no number") }
    }

    @Test func extremesOfEveryType() throws {
        #expect(try result("MIN", .boolean, [.bool(true), .bool(false)]) == .bool(false))
        #expect(try result("MAX", .smallint, [.int(-3), .int(-2)]) == .int(-2))
        #expect(try result("MIN", .double, [.double(.nan), .double(2), .double(-7.5)]) == .double(-7.5))
        #expect(try result("MAX", .date, [.int(1), .int(-2)]) == .int(1))
        #expect(try result("MAX", .decimal(precision: 30, scale: 1), [.decimal(-9), .decimal(1 << 80)]) == .decimal(1 << 80))
        #expect(try result("MIN", .string, [.string("b"), .string("ab"), .null]) == .string("ab"))
        #expect(try result("MAX", .bigint, [.null]) == .null)
        #expect(try result("MIN", .int, [.int(Int64(Int32.max))]) == .int(Int64(Int32.max)))
    }

    @Test func collections() throws {
        #expect(try result("LISTAGG", .string, [.string("1"), .null, .string("3")], second: (.string, [.string("|"), .string("|"), .string("|")])) == .string("1|3"))
        #expect(try result("LISTAGG", .string, [.string("1"), .string("2"), .string("1")], distinct: true) == .string("1,2"))
        #expect(try result("FIRST_VALUE", .int, [.null, .int(2), .int(3)]) == .int(2))
        #expect(try result("LAST_VALUE", .int, [.int(2), .int(3), .null]) == .int(3))
        #expect(try result("COLLECT", .int, [.int(6), .int(10), .int(6)]) == .map([.init(.int(6), .int(2)), .init(.int(10), .int(1))]))
        #expect(try result("JSON_ARRAYAGG", .string, [.string("Oslo"), .null, .string("a\"b")]) == .string(#"["Oslo","a\"b"]"#))
        #expect(try result("JSON_ARRAYAGG NULL ON NULL", .string, [.null]) == .string("[null]"))
        let keys: [Value] = [.string("1"), .string("2")]
        #expect(try result("JSON_OBJECTAGG", .string, keys, second: (.string, [.string("Oslo"), .null])) == .string(#"{"1":"Oslo","2":null}"#))
        #expect(try result("JSON_OBJECTAGG ABSENT ON NULL", .string, keys, second: (.int, [.int(7), .null])) == .string(#"{"1":7}"#))
    }

    @Test func refusesWhatDoesNotFit() {
        func problem(_ name: String, _ types: [DataType], distinct: Bool = false) -> String? {
            do { _ = try AggregateRegistry.bind(name, argumentTypes: types, distinct: distinct) } catch { return "\(error)" }
            return nil
        }
        #expect(problem("SUM", [.string]) == "cannot apply SUM to arguments of type SUM(STRING). Fix: give it a number, for example with CAST.")
        #expect(problem("AVG", []) == "AVG takes 1 argument, not 0. Fix: write AVG(x).")
        #expect(problem("CONT", [.int]) == "there is no aggregate function CONT. Fix: write \"COUNT\".")
        #expect(problem("COUNT", [], distinct: true) == "COUNT(DISTINCT *) is not allowed. Fix: name columns: COUNT(DISTINCT a, b).")
        #expect(problem("MAX", [.array(.int)]) != nil)
        #expect(AggregateRegistry.names.allSatisfy { AggregateRegistry.contains($0.lowercased()) })
    }
}
