import FileConnectors
import Foundation
import StreamCore
import Testing

@Suite("print and blackhole") struct PrintTests {
    private func printed(_ schema: Schema, _ rows: [[Value]], kinds: [RowKind]? = nil, options: [String: String] = [:], subtask: Int = 0,
                         parallelism: Int = 1) throws -> String {
        let temporary = TemporaryDirectory()
        let path = temporary.path + "/out"
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        let file = try #require(FileHandle(forWritingAtPath: path))
        let connector = PrintConnector(output: file.fileDescriptor, error: 2)
        let table = TableDescriptor(name: "p", schema: schema, options: options.merging(["connector": "print"]) { a, _ in a })
        try connector.validate(table)
        let writer = try connector.sink(for: table, timeZone: "UTC").writer(SinkContext(subtask: subtask, parallelism: parallelism, metrics: OperatorMetrics()))
        try writer.write(Batch(schema: schema, rows: rows, kinds: kinds))
        try writer.close()
        return try temporary.read("out")
    }

    @Test("rows print with their kind, as Flink prints them")
    func values() throws {
        let schema: Schema = [
            Field("a", .string), Field("b", .int), Field("c", .boolean), Field("d", .double), Field("e", .decimal(precision: 10, scale: 8)),
            Field("f", .date), Field("g", .timestamp(6)), Field("h", .timestampLTZ(3)), Field("i", .bytes), Field("j", .array(.int)),
            Field("k", .map(key: .string, value: .int)), Field("l", .row([Field("x", .int), Field("y", .string)])), Field("m", .time(0)),
        ]
        let rows: [[Value]] = [
            [.string("é"), .int(-1), .bool(true), .double(1e21), .decimal(0), .int(19_000), .int(1_621_423_200_978_328), .int(1_621_423_200_000),
             .binary([97, 200]), .array([.int(1), .null]), .map([.init(.string("k"), .int(1))]), .row([.int(1), .null]), .int(36_000_000)],
            Array(repeating: .null, count: 13),
        ]
        #expect(try printed(schema, rows, kinds: [.updateAfter, .delete]) == """
            +U[é, -1, true, 1.0E21, 0E-8, 2022-01-08, 2021-05-19T11:20:00.978328, 2021-05-19T11:20:00Z, [97, -56], [1, null], {k=1}, +I[1, null], 10:00]
            -D[null, null, null, null, null, null, null, null, null, null, null, null, null]

            """)
    }

    @Test("times end at the last part that is not zero; fractions have 3, 6 or 9 digits")
    func times() throws {
        let schema: Schema = [Field("t", .timestamp(9))]
        let nanos: [Int64] = [0, 1_000_000_000, 500_000_000, 1_000, 1, -1, 60_000_000_000]
        #expect(try printed(schema, nanos.map { [.int($0)] }) == [
            "1970-01-01T00:00", "1970-01-01T00:00:01", "1970-01-01T00:00:00.500", "1970-01-01T00:00:00.000001",
            "1970-01-01T00:00:00.000000001", "1969-12-31T23:59:59.999999999", "1970-01-01T00:01",
        ].map { "+I[\($0)]\n" }.joined())
    }

    @Test("identifier and subtask number lead the line", arguments: [
        ("", 1, "+I[1]\n"), ("", 2, "2> +I[1]\n"), ("x", 1, "x> +I[1]\n"), ("x", 2, "x:2> +I[1]\n"),
    ])
    func marks(name: String, parallelism: Int, line: String) throws {
        #expect(try printed([Field("a", .int)], [[.int(1)]], options: name.isEmpty ? [:] : ["print-identifier": name],
                            subtask: parallelism - 1, parallelism: parallelism) == line)
    }

    @Test("blackhole takes rows of every kind and counts them")
    func blackhole() throws {
        let sink = try BlackholeConnector().sink(for: TableDescriptor(name: "b", schema: [Field("a", .int)]), timeZone: "UTC")
        let metrics = OperatorMetrics()
        let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: metrics))
        try writer.write(Batch(schema: [Field("a", .int)], rows: [[.int(1)], [.int(2)]], kinds: [.insert, .delete]))
        #expect(sink.acceptsChanges && metrics.rowsOut.get() == 2)
    }
}
