import StreamCore
@testable import StreamFormats
import Testing

private let schema: Schema = [
    Field("id", .int), Field("name", .string), Field("price", .decimal(precision: 10, scale: 2)), Field("tags", .array(.string)),
    Field("part", .row([Field("x", .int), Field("y", .string)])),
]

private func decoder(_ format: String, _ columns: Schema = schema, projection: [Int]? = nil, metrics: OperatorMetrics = OperatorMetrics(),
                     _ options: [String: String] = [:]) throws -> any RecordDecoder {
    try FormatFactory.decoder(for: table(columns, options.merging(["format": format]) { $1 }), projection: projection ?? Array(columns.indices), metrics: metrics)
}

private func texts(_ batch: Batch) -> [String] {
    zip(0..<batch.count, batch.rows()).map { i, row in "\(batch.kind(atPhysical: batch.row(i))) \(row.map { "\($0)" }.joined(separator: "|"))" }
}

/// Rows with their kinds, of a text given whole.
private func changes(_ decoder: any RecordDecoder, _ text: String, maxRows: Int = 1_000) throws -> [String] {
    let chunk = buffer(text), size = text.utf8.count
    var out: [String] = [], at = 0
    while at < size {
        let (batch, consumed) = try decoder.decode(chunk: chunk, range: at..<size, isLast: true, maxRows: maxRows)
        if let batch { out += texts(batch) }
        if consumed == 0 { break }
        at += consumed
    }
    return out
}

/// The same rows as inserts of the json format, for comparison.
private func image(_ json: String, _ projection: [Int]? = nil) throws -> String {
    try jsonDecoder(schema, projection: projection).rows(json)[0].map { "\($0)" }.joined(separator: "|")
}

@Suite("change capture formats") struct ChangeCaptureTests {
    static let first = #"{"id":1,"name":"a name longer than twelve","price":"1.50","tags":["t1","a tag longer than twelve"],"part":{"x":7,"y":"why"}}"#
    static let second = #"{"id":1,"name":null,"price":2.25,"tags":[],"part":null}"#
    static let third = #"{"id":2,"name":"b","price":null,"tags":null,"part":{"x":null,"y":"another text that is long"}}"#

    static let debezium = """
        {"before":null,"after":\(first),"source":{"a":[1,{}]},"op":"c","ts_ms":1}

        {"op":"u","after":\(second),"before":\(first)}
        null
        {"before":null,"after":\(third),"op":"r"}
        {"before":\(second),"after":null,"op":"d"}
        {"after":\(first),"op":"c"}
        """

    static func debeziumRows(_ projection: [Int]) throws -> [String] {
        let (a, b, c) = (try image(first, projection), try image(second, projection), try image(third, projection))
        return ["+I \(a)", "-U \(a)", "+U \(b)", "+I \(c)", "-D \(b)", "+I \(a)"]
    }

    static let projections: [[Int]] = [[0, 1, 2, 3, 4], [3], [4, 0], [2, 1], [1, 1, 0], []]

    @Test("debezium gives all kinds", arguments: projections, [1, 2, 3, 1_000])
    func debeziumKinds(projection: [Int], maxRows: Int) throws {
        #expect(try changes(decoder("debezium-json", projection: projection), Self.debezium, maxRows: maxRows) == Self.debeziumRows(projection))
    }

    @Test("debezium as messages, which may be empty") func debeziumMessages() throws {
        let lines = Self.debezium.split(separator: "\n", omittingEmptySubsequences: false)
        var ranges: [Range<Int>] = [], at = 0
        for line in lines {
            ranges.append(at..<at + line.utf8.count)
            at += line.utf8.count + 1
        }
        let (batch, records) = try decoder("debezium-json").decode(records: ranges, in: buffer(Self.debezium))
        #expect(try texts(batch) == Self.debeziumRows(Array(schema.indices)))
        #expect(records == [0, 2, 2, 4, 5, 6])
    }

    @Test("inserts alone have no row kinds, and rows cut in two chunks are read once") func inserts() throws {
        let line = #"{"before":null,"after":\#(Self.first),"op":"c"}"# + "\n"
        let chunk = buffer(line + line)
        let (batch, _) = try decoder("debezium-json").decode(chunk: chunk, range: 0..<line.utf8.count * 2, isLast: true, maxRows: 100)
        #expect(batch?.count == 2 && batch?.rowKinds == nil)
        let bytes = Array(Self.debezium.utf8)
        let whole = try decoder("debezium-json").rows(bytes)
        for cut in stride(from: 0, to: bytes.count, by: 7) { #expect(try decoder("debezium-json").rows(bytes, cutAt: cut) == whole) }
    }

    @Test("debezium with its schema") func debeziumSchema() throws {
        let lines = Self.debezium.split(separator: "\n").map { $0 == "null" ? "null" : #"{"schema":{"type":"struct"},"payload":\#($0)}"# }
        let reader = try decoder("debezium-json", ["debezium-json.schema-include": "true"])
        #expect(try changes(reader, lines.joined(separator: "\n")) == Self.debeziumRows(Array(schema.indices)))
        #expect(failure { _ = try changes(reader, Self.debezium) }.contains("\"payload\" is missing"))
    }

    private func decoder(_ format: String, projection: [Int]? = nil, metrics: OperatorMetrics = OperatorMetrics(), _ options: [String: String] = [:]) throws -> any RecordDecoder {
        try StreamFormatsTests.decoder(format, schema, projection: projection, metrics: metrics, options)
    }

    static let canal = """
        {"data":[\(first),\(third)],"database":"shop","old":null,"table":"t1","type":"INSERT"}
        {"data":[\(second)],"database":"shop","old":[{"name":"a name longer than twelve","price":"1.50"}],"table":"t1","type":"UPDATE"}
        {"type":"UPDATE","old":[{"name":null},{"id":3}],"data":[\(first),\(third)],"database":"other","table":"t2"}
        {"data":null,"type":"CREATE","database":"shop","table":"t1"}
        {"data":[\(second),\(third)],"database":"shop","old":null,"table":"t12","type":"DELETE"}
        """

    static func canalRows(_ projection: [Int], _ wanted: Set<Int> = [0, 1, 2, 3]) throws -> [String] {
        func at(_ json: String) throws -> String { try image(json, projection) }
        let before = #"{"id":1,"name":"a name longer than twelve","price":"1.50","tags":[],"part":null}"#
        let nameless = first.replacing(#""a name longer than twelve""#, with: "null"), numbered = third.replacing(#""id":2"#, with: #""id":3"#)
        let rows = [
            ["+I \(try at(first))", "+I \(try at(third))"], ["-U \(try at(before))", "+U \(try at(second))"],
            ["-U \(try at(nameless))", "+U \(try at(first))", "-U \(try at(numbered))", "+U \(try at(third))"],
            ["-D \(try at(second))", "-D \(try at(third))"],
        ]
        return rows.indices.filter(wanted.contains).flatMap { rows[$0] }
    }

    @Test("canal takes what an update leaves out of old from data", arguments: projections, [1, 2, 3, 1_000])
    func canalKinds(projection: [Int], maxRows: Int) throws {
        #expect(try changes(decoder("canal-json", projection: projection), Self.canal, maxRows: maxRows) == Self.canalRows(projection))
    }

    @Test("canal reads the databases and tables that are wanted") func canalFilters() throws {
        let all = Array(schema.indices)
        func read(_ options: [String: String]) throws -> [String] {
            // Another table's columns have other types.
            let text = Self.canal + "\n" + #"{"data":[{"id":"none"}],"database":"beyond","table":"t9","type":"INSERT"}"#
            return try changes(decoder("canal-json", options), text)
        }
        #expect(try read(["canal-json.database.include": "sh.*"]) == Self.canalRows(all, [0, 1, 3]))
        #expect(try read(["canal-json.table.include": "t1|t2"]) == Self.canalRows(all, [0, 1, 2]))
        #expect(try read(["canal-json.table.include": "t1", "canal-json.database.include": "o.*"]) == [])
        let message = failure { _ = try read(["canal-json.database.include": "beyond"]) }
        #expect(message.contains("data.id") && message.contains("canal-json.ignore-parse-errors"), "\(message)")
        #expect(failure { _ = try read(["canal-json.database.include": "("]) }.contains("regular expression"))
        let lacking = failure { _ = try changes(decoder("canal-json", ["canal-json.table.include": "t"]), #"{"data":[],"type":"INSERT"}"#) }
        #expect(lacking.contains("\"table\" is missing"), "\(lacking)")
    }

    @Test("maxwell gives all kinds", arguments: projections, [1, 2, 1_000])
    func maxwell(projection: [Int], maxRows: Int) throws {
        let text = """
            {"database":"d","table":"t","type":"insert","ts":1,"data":\(Self.first)}
            {"type":"update","data":\(Self.second),"old":{"name":"a name longer than twelve","price":1.5}}
            {"type":"update","data":\(Self.first),"old":{"name":null}}
            {"type":"delete","data":\(Self.third)}
            """
        func at(_ json: String) throws -> String { try image(json, projection) }
        let before = #"{"id":1,"name":"a name longer than twelve","price":"1.50","tags":[],"part":null}"#
        let nameless = Self.first.replacing(#""a name longer than twelve""#, with: "null")
        #expect(try changes(decoder("maxwell-json", projection: projection), text, maxRows: maxRows) == [
            "+I \(try at(Self.first))", "-U \(try at(before))", "+U \(try at(Self.second))", "-U \(try at(nameless))", "+U \(try at(Self.first))",
            "-D \(try at(Self.third))",
        ])
    }

    static let wrong: [(format: String, line: String, mention: String)] = [
        ("debezium-json", #"{"before":null,"after":{"id":1},"op":"x"}"#, #"unknown "op" value"#),
        ("debezium-json", #"{"before":null,"after":{"id":1}}"#, #"field "op" is missing"#),
        ("debezium-json", #"{"before":null,"after":{"id":1},"op":"u"}"#, #"the "before" field of UPDATE message is null"#),
        ("debezium-json", #"{"before":null,"after":null,"op":"d"}"#, "REPLICA IDENTITY"),
        ("debezium-json", #"{"before":null,"after":null,"op":"c"}"#, #"the "after" field of INSERT message is null"#),
        ("debezium-json", #"{"before":null,"after":{"id":1},"op":"c""#, "too early"),
        ("debezium-json", #"{"before":null,"after":7,"op":"c"}"#, "after"),
        ("canal-json", #"{"data":[{"id":1}],"type":"ALTER"}"#, #"unknown "type" value"#),
        ("canal-json", #"{"data":null,"type":"INSERT"}"#, #"the "data" field of INSERT message is null"#),
        ("canal-json", #"{"data":[{"id":1}],"type":"UPDATE"}"#, #"the "old" field of UPDATE message is null"#),
        ("canal-json", #"{"data":[{"id":1},{"id":2}],"old":[{}],"type":"UPDATE"}"#, #""data" has 2 rows, but "old" 1"#),
        ("maxwell-json", #"{"data":{"id":1},"type":"INSERT"}"#, #"unknown "type" value"#),
        ("maxwell-json", #"{"data":{"id":1},"type":"update"}"#, #"the "old" field of UPDATE message is null"#),
    ]

    static let right = [
        "debezium-json": #"{"before":{"id":8},"after":{"id":9},"op":"u"}"#, "canal-json": #"{"data":[{"id":9}],"old":[{"id":8}],"type":"UPDATE"}"#,
        "maxwell-json": #"{"data":{"id":9},"old":{"id":8},"type":"update"}"#,
    ]

    @Test("messages that make no sense are named, or skipped", arguments: wrong)
    func errors(format: String, line: String, mention: String) throws {
        let columns = [schema[0]], right = Self.right[format]!
        let text = [right, line, right].joined(separator: "\n")
        let pair = ["-U \(Value.int(8))", "+U \(Value.int(9))"]
        let message = failure { _ = try changes(StreamFormatsTests.decoder(format, columns), text) }
        #expect(message.contains(mention) && message.contains("byte \(right.utf8.count + 1)"), "\(message)")
        for maxRows in [1, 100] {
            let metrics = OperatorMetrics()
            let skipping = try StreamFormatsTests.decoder(format, columns, metrics: metrics, ["\(format).ignore-parse-errors": "true"])
            // What is no row becomes null when errors are ignored, as other values do; then the message lacks its row.
            #expect(try changes(skipping, text, maxRows: maxRows) == pair + pair)
            #expect(metrics.badRecords.get() == 1)
        }
        let told = try StreamFormatsTests.decoder(format, columns)
        var seen: [String] = []
        told.onBadRecord = { seen.append("\($0.offset) \(String(decoding: $0.bytes, as: UTF8.self))") }
        #expect(try changes(told, text) == pair + pair)
        #expect(seen == ["\(right.utf8.count + 1) \(line)"])
    }

    @Test("what a message that was given up left out is not taken for the next one") func rewound() throws {
        let columns: Schema = [Field("id", .int), Field("name", .string)]
        let text = """
            {"data":[{"id":1,"name":"n"}],"old":[{"id":2}],"type":"UPDATE","x":}
            {"data":[{"id":1,"name":"n"}],"old":[{"id":2,"name":null}],"type":"UPDATE"}
            """
        let skipping = try StreamFormatsTests.decoder("canal-json", columns, ["canal-json.ignore-parse-errors": "true"])
        let plain = try jsonDecoder(columns).rows(#"[{"id":2,"name":null},{"id":1,"name":"n"}]"#).map { $0.map { "\($0)" }.joined(separator: "|") }
        #expect(try changes(skipping, text) == ["-U \(plain[0])", "+U \(plain[1])"])
    }

    @Test("written as inserts and deletes, and read again") func written() throws {
        let columns: Schema = [Field("id", .int), Field("name", .string)]
        let batch = Batch(schema: columns, rows: [[.int(1), .string("a")], [.int(1), .string("a")], [.int(1), .null], [.int(1), .null]],
                          kinds: [.insert, .updateBefore, .updateAfter, .delete])
        func written(_ format: String) throws -> String { try text(FormatFactory.encoder(for: table(columns, ["format": format])), batch) }
        #expect(try written("debezium-json") == """
            {"before":null,"after":{"id":1,"name":"a"},"op":"c"}
            {"before":{"id":1,"name":"a"},"after":null,"op":"d"}
            {"before":null,"after":{"id":1,"name":null},"op":"c"}
            {"before":{"id":1,"name":null},"after":null,"op":"d"}

            """)
        #expect(try written("canal-json").hasPrefix(#"{"data":[{"id":1,"name":"a"}],"type":"INSERT"}"# + "\n" + #"{"data":[{"id":1,"name":"a"}],"type":"DELETE"}"#))
        #expect(try written("maxwell-json").hasPrefix(#"{"data":{"id":1,"name":"a"},"type":"insert"}"# + "\n" + #"{"data":{"id":1,"name":"a"},"type":"delete"}"#))
        for format in ["debezium-json", "canal-json", "maxwell-json"] {
            let rows = try changes(StreamFormatsTests.decoder(format, columns), written(format))
            #expect(rows.map { $0.prefix(2) } == ["+I", "-D", "+I", "-D"], "\(format)")
        }
        #expect(failure { _ = try FormatFactory.encoder(for: table(columns, ["format": "debezium-json", "debezium-json.schema-include": "true"])) }.contains("schema-include"))
    }
}
