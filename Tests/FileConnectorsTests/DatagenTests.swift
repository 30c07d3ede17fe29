import FileConnectors
import Foundation
import StreamCore
import Testing

@Suite("datagen") struct DatagenTests {
    private func table(_ schema: Schema, _ options: [String: String]) -> TableDescriptor {
        TableDescriptor(name: "t", schema: schema, options: options.merging(["connector": "datagen"]) { a, _ in a })
    }

    private func rows(_ schema: Schema, _ options: [String: String], parallelism: Int = 1, maxRows: Int = 8_192) throws -> [[Value]] {
        let source = try DatagenConnector().source(for: table(schema, options), scan: ScanRequest(projection: Array(schema.indices), parallelism: parallelism))
        #expect(source.isBounded)
        return try source.rows(maxRows: maxRows)
    }

    static let all: Schema = [
        Field("b", .boolean), Field("t1", .tinyint), Field("t2", .smallint), Field("t3", .int), Field("t4", .bigint), Field("f", .float),
        Field("d", .double), Field("n", .decimal(precision: 10, scale: 2)), Field("c", .char(5)), Field("v", .varchar(20)), Field("s", .string),
        Field("x", .binary(3)), Field("y", .bytes), Field("day", .date), Field("tm", .time(0)), Field("ts", .timestamp(3)),
        Field("tz", .timestampLTZ(6)), Field("ym", .intervalYearMonth), Field("ds", .intervalDayTime), Field("a", .array(.int)),
        Field("m", .map(key: .varchar(3), value: .double)), Field("r", .row([Field("p", .int), Field("q", .string)])),
    ]

    @Test("every type gets values that fit it")
    func types() throws {
        let before = Clock.milliseconds()
        let rows = try rows(Self.all, ["number-of-rows": "500", "rows-per-second": "1000000000", "fields.y.var-len": "true", "fields.s.length": "7"])
        #expect(rows.count == 500)
        for row in rows {
            guard case .string(let c) = row[8], case .string(let v) = row[9], case .string(let s) = row[10], case .binary(let x) = row[11],
                  case .binary(let y) = row[12], case .int(let ts) = row[15], case .int(let tz) = row[16], case .decimal(let n) = row[7],
                  case .array(let a) = row[19], case .map(let m) = row[20], case .row(let r) = row[21], case .double(let d) = row[6]
            else { Issue.record("\(row)"); return }
            #expect(c.count == 5 && v.count == 20 && s.count == 7 && x.count == 3 && (1...100).contains(y.count))
            #expect((c + v + s).allSatisfy { $0.isHexDigit })
            #expect(ts >= before && ts <= Clock.milliseconds() && tz / 1_000 >= before)
            #expect(abs(n) <= 9_999_999_999 && a.count == 3 && m.count == 3 && r.count == 2 && d.isFinite)
        }
        #expect(Set(rows.map { $0[4] }).count == 500)
        #expect(Set(rows.map { $0[0] }) == [.bool(true), .bool(false)])
        #expect(Set(rows.map { $0[1] }).count > 150)
    }

    @Test("minimum, maximum and null rate are kept")
    func bounds() throws {
        let rows = try rows([Field("i", .int), Field("d", .double), Field("n", .decimal(precision: 5, scale: 2)), Field("ts", .timestamp(3))], [
            "number-of-rows": "3000", "rows-per-second": "1000000000", "fields.i.min": "-3", "fields.i.max": "3", "fields.d.min": "0.5",
            "fields.d.max": "1", "fields.n.min": "1.5", "fields.n.max": "1.75", "fields.i.null-rate": "0.25", "fields.ts.max-past": "1 min",
        ])
        let nulls = rows.filter { $0[0] == .null }.count
        #expect((600...900).contains(nulls))
        #expect(Set(rows.map { $0[0] }) == Set((-3...3).map { Value.int($0) } + [.null]))
        let now = Clock.milliseconds()
        for row in rows {
            guard case .double(let d) = row[1], case .decimal(let n) = row[2], case .int(let ts) = row[3] else { Issue.record("\(row)"); return }
            #expect(d >= 0.5 && d <= 1 && n >= 150 && n <= 175 && ts <= now && ts >= now - 120_000)
        }
    }

    @Test("a sequence bounds the table; the shortest one ends it")
    func sequence() throws {
        let schema: Schema = [Field("i", .int), Field("s", .string), Field("d", .decimal(precision: 8, scale: 1))]
        let options = [
            "fields.i.kind": "sequence", "fields.i.start": "5", "fields.i.end": "9", "fields.s.kind": "sequence", "fields.s.start": "-1",
            "fields.s.end": "100", "fields.d.kind": "sequence", "fields.d.start": "0", "fields.d.end": "50",
        ]
        #expect(try rows(schema, options) == (0..<5).map { [.int(5 + $0), .string("\(-1 + $0)"), .decimal(Int128($0) * 10)] })
        #expect(try rows(schema, options.merging(["number-of-rows": "2"]) { a, _ in a }).count == 2)
    }

    @Test("a seed gives the same rows at every parallelism and batch size, and after resuming")
    func seeded() throws {
        var schema = Self.all
        schema.removeAll { $0.type.isTemporal }
        let options = ["number-of-rows": "101", "seed": "42", "rows-per-second": "1000000000"]
        let one = try rows(schema, options)
        let three = try rows(schema, options, parallelism: 3, maxRows: 7)
        #expect(Set(one) == Set(three) && one.count == 101 && three.count == 101)
        #expect(try rows(schema, options) == one)
        #expect(try rows(schema, options.merging(["seed": "43"]) { $1 }) != one)
        let source = try DatagenConnector().source(for: table(schema, options), scan: ScanRequest(projection: Array(schema.indices)))
        let reader = try source.reader(for: try source.splits()[0], metrics: OperatorMetrics())
        var first: [[Value]] = []
        while first.count < 40 {
            if case .batch(let batch) = try reader.next(maxRows: 40 - first.count) { first += batch.rows() }
        }
        let resumed = try source.reader(for: SourceSplit(id: try source.splits()[0].id, position: reader.position), metrics: OperatorMetrics())
        #expect(try first + resumed.rows() == one)
    }

    @Test("the rate is kept")
    func rate() throws {
        let source = try DatagenConnector().source(for: table([Field("i", .int)], ["rows-per-second": "50"]), scan: ScanRequest(projection: [0], parallelism: 2))
        #expect(!source.isBounded)
        let started = Date()
        let readers = try source.splits().map { try source.reader(for: $0, metrics: OperatorMetrics()) }
        var rows = 0
        while Date().timeIntervalSince(started) < 0.4 {
            for reader in readers {
                if case .batch(let batch) = try reader.next(maxRows: 8_192) { rows += batch.count }
            }
        }
        let seconds = Date().timeIntervalSince(started)
        #expect(rows >= 2 && Double(rows) <= seconds * 50 + 3)
    }

    @Test("wrong options are refused with what to write", arguments: [
        (["fields.j.kind": "sequence"], "names no column"), (["fields.i.kind": "sequense"], "write \"sequence\""),
        (["fields.i.kind": "sequence"], "needs option 'fields.i.start'"), (["rows-per-second": "0"], "is not a whole number of at least 1"),
        (["fields.i.min": "5", "fields.i.max": "4"], "leaves nothing"), (["fields.i.length": "4x", "fields.s.length": "4x"], "is not a whole number"),
        (["fields.s.min": "1"], "does not fit a column of type STRING"), (["fields.i.max": "3000000000"], "is not a whole number from -2147483648"),
        (["fields.i.null-rate": "2"], "is not a number from 0 to 1"),
    ])
    func wrong(options: [String: String], text: String) {
        let table = table([Field("i", .int), Field("s", .string)], options)
        let error = #expect(throws: StreamError.self) { try DatagenConnector().validate(table) }
        #expect(error?.code == .validate && error?.description.contains(text) == true, "\(error?.description ?? "")")
    }
}
