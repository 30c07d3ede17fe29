import Foundation
import StreamCore
import Testing

@testable import StreamFormats

@Suite struct AvroTests {
    static func decoder(_ columns: Schema, writer: String, reader: String? = nil, projection: [Int]? = nil) throws -> AvroRecordDecoder {
        try AvroRecordDecoder(name: "avro", schema: columns, projection: projection ?? Array(columns.indices), writers: .fixed(AvroSchema(writer)),
                              reader: reader.map { try AvroSchema($0) }, metrics: OperatorMetrics())
    }

    /// Random writers' schemas and records by fastavro, read as tables of other types and fewer columns; and what is written, read by fastavro.
    @Test func agreesWithFastavro() throws {
        let seed = randomSeed()
        print("seed \(seed)")
        var written: [String] = []
        for tree in try PythonJudge.cases(PythonJudge.run("avro_judge.py", ["generate", "\(seed)", "150"])) {
            let columns = DataType(judged: tree["table"]!).fields
            let messages = tree["messages"]!.elements!.map { bytes(hex: $0.string!) }, expected = tree["rows"]!.elements!.map { $0.string! }
            let writer = tree["writer"]!.string!
            let decoder = try Self.decoder(columns, writer: writer)
            let (rows, records, batch) = try decoder.messages(messages)
            let found = rows.map { Value.row($0).judged }
            #expect(records.map(Int.init) == Array(expected.indices))
            #expect(found == expected, "seed \(seed), schema \(writer)")
            guard found == expected else { break }
            // Other projections give the same values.
            let reversed = try Self.decoder(columns, writer: writer, projection: columns.indices.reversed()).messages(messages)
            #expect(reversed.rows.map { Array($0.reversed()) } == rows, "seed \(seed)")
            let schema = try AvroSchemaText.derive(columns, legacy: false, format: "avro")
            let back = try AvroRecordEncoder(name: "avro", schema: columns, writer: AvroSchema(schema)).messages(batch)
            let list = { (all: [String]) in "[" + all.map { JSONTree.quoted($0) }.joined(separator: ",") + "]" }
            written.append("{\"schema\":\(JSONTree.quoted(schema)),\"messages\":\(list(back.map { hex($0) })),\"rows\":\(list(found))}")
            let again = try Self.decoder(columns, writer: schema).messages(back)
            #expect(again.rows == rows, "seed \(seed)")
        }
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        try written.joined(separator: "\n").write(toFile: folder.path("written"), atomically: true, encoding: .utf8)
        let verdict = try PythonJudge.run("avro_judge.py", ["check", folder.path("written")])
        #expect(verdict.hasSuffix(" records, 0 wrong\n"), "seed \(seed): \(verdict)")
    }

    @Test func derivesTheSchemaThatFlinkDerives() throws {
        let columns: Schema = [
            Field("id", .bigint, nullable: false), Field("name", .string), Field("price", .decimal(precision: 10, scale: 2)), Field("at", .timestamp(3)),
            Field("day", .date), Field("clock", .time(0)), Field("tags", .array(.string)), Field("counts", .map(key: .string, value: .int)),
            Field("place", .row([Field("city", .string), Field("zip", .int, nullable: false)])), Field("small", .smallint), Field("raw", .bytes),
        ]
        let expected = """
            {"type":"record","name":"record","namespace":"org.apache.flink.avro.generated","fields":[{"name":"id","type":"long"},\
            {"name":"name","type":["null","string"],"default":null},\
            {"name":"price","type":["null",{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}],"default":null},\
            {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null},\
            {"name":"day","type":["null",{"type":"int","logicalType":"date"}],"default":null},\
            {"name":"clock","type":["null",{"type":"int","logicalType":"time-millis"}],"default":null},\
            {"name":"tags","type":["null",{"type":"array","items":["null","string"]}],"default":null},\
            {"name":"counts","type":["null",{"type":"map","values":["null","int"]}],"default":null},\
            {"name":"place","type":["null",{"type":"record","name":"record_place","fields":[{"name":"city","type":["null","string"],"default":null},\
            {"name":"zip","type":"int"}]}],"default":null},{"name":"small","type":["null","int"],"default":null},\
            {"name":"raw","type":["null","bytes"],"default":null}]}
            """
        #expect(try AvroSchemaText.derive(columns, legacy: true, format: "avro") == expected)
        let times: Schema = [Field("a", .timestamp(6)), Field("b", .timestampLTZ(3)), Field("c", .timestampLTZ(9))]
        let text = try AvroSchemaText.derive(times, legacy: false, format: "avro")
        for kind in ["local-timestamp-micros", "\"timestamp-millis", "\"timestamp-nanos"] { #expect(text.contains(kind)) }
        #expect(failure { _ = try AvroSchemaText.derive([times[0]], legacy: true, format: "avro") }.contains("'avro.timestamp_mapping.legacy' to 'false'"))
        #expect(failure { _ = try AvroSchemaText.derive([times[1]], legacy: true, format: "avro") }.contains("column b of type TIMESTAMP_LTZ(3)"))
        #expect(failure { _ = try AvroSchemaText.derive([Field("t", .time(6))], legacy: true, format: "avro") }.contains("TIME(3)"))
        #expect(failure { _ = try AvroSchemaText.derive([Field("a-b", .int)], legacy: true, format: "avro") }.contains("cannot be a field"))
        #expect(failure { _ = try AvroSchemaText.derive([Field("m", .map(key: .int, value: .int))], legacy: true, format: "avro") }.contains("text keys"))
    }

    @Test func resolvesBySchemaRules() throws {
        let writer = """
            {"type":"record","name":"W","fields":[{"name":"old_name","type":"int"},{"name":"b","type":"string"}]}
            """
        let reader = """
            {"type":"record","name":"R","fields":[{"name":"a","type":"long","aliases":["old_name"]},{"name":"b","type":"string"},
             {"name":"c","type":"string","default":"a default of some length"},{"name":"d","type":{"type":"array","items":"int"},"default":[1,2]},
             {"name":"e","type":["null","int"],"default":null},{"name":"f","type":{"type":"record","name":"S","fields":[{"name":"x","type":"double"}]},"default":{"x":2.5}}]}
            """
        let columns: Schema = [
            Field("a", .bigint), Field("b", .string), Field("c", .string, nullable: false), Field("d", .array(.int)), Field("e", .int),
            Field("f", .row([Field("x", .double)])),
        ]
        let (rows, _, _) = try Self.decoder(columns, writer: writer, reader: reader).messages([[0x54, 0x02, 0x78], [0x01, 0x00]])
        let constant: [Value] = [.string("a default of some length"), .array([.int(1), .int(2)]), .null, .row([.double(2.5)])]
        #expect(rows == [[.int(42), .string("x")] + constant, [.int(-1), .string("")] + constant])
        let text = failure { _ = try Self.decoder([Field("b", .int)], writer: writer) }
        #expect(text.contains("field \"b\": the writer's schema says string, which cannot be read as INT"))
        #expect(failure { _ = try Self.decoder([Field("z", .int, nullable: false)], writer: writer) }.contains("NOT NULL"))
        #expect(failure { _ = try Self.decoder(columns, writer: "\"int\"") }.contains("a table's row is a record"))
    }

    @Test func reportsRecordsThatDoNotDecode() throws {
        let writer = """
            {"type":"record","name":"W","fields":[{"name":"s","type":["null","string"]},{"name":"n","type":"int"},{"name":"l","type":{"type":"array","items":"null"}},
             {"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}}]}
            """
        let columns: Schema = [Field("s", .string), Field("n", .int), Field("l", .array(.int)), Field("e", .string)]
        let decoder = try Self.decoder(columns, writer: writer)
        var bad: [String] = []
        decoder.onBadRecord = { bad.append($0.reason) }
        let messages: [[UInt8]] = [
            [0x02, 0x02, 0x61, 0x02, 0x00, 0x00], [0x02, 0x04, 0xC3, 0x28, 0x00, 0x00, 0x00], [0x04], [0x02, 0x01], [0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            [0x00, 0x02, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0x00, 0x00], [0x00, 0x02, 0x00, 0x02], [0x02, 0x7E, 0x61], [], [0x00, 0x04, 0x00, 0x00],
            [0x00] + [UInt8](repeating: 0xFF, count: 11),
        ]
        let (rows, records, _) = try decoder.messages(messages)
        #expect(rows == [[.string("a"), .int(1), .array([]), .string("A")], [.null, .int(2), .array([]), .string("A")]])
        #expect(records == [0, 9])
        #expect(bad.map { $0.split(separator: ":").last! } == [
            " its text is not UTF-8", " it names a branch that its union does not have", " it has a negative length", " its value is too large for INT",
            " it has too many elements that take no bytes", " it names a symbol that its enum does not have", " it ends too early", " it ends too early",
            " a whole number has more than 64 bits",
        ])
        decoder.onBadRecord = nil
        #expect(failure { _ = try decoder.messages([[0x02, 0x7E, 0x61]]) }.contains("avro record at byte 3: field \"s\": it ends too early"))
    }

    /// Random and broken bytes end in rows or reasons, never elsewhere.
    @Test func survivesBrokenRecords() throws {
        let seed = randomSeed()
        print("seed \(seed)")
        var random = SeededGenerator(seed)
        for tree in try PythonJudge.cases(PythonJudge.run("avro_judge.py", ["generate", "\(seed + 1)", "40"])) {
            let columns = DataType(judged: tree["table"]!).fields
            var messages = tree["messages"]!.elements!.map { bytes(hex: $0.string!) }
            let whole = messages.count
            for i in 0..<whole {
                let message = messages[i]
                if !message.isEmpty { messages.append(Array(message[..<Int.random(in: 0..<message.count, using: &random)])) }
                var broken = message
                for _ in 0..<3 where !broken.isEmpty { broken[Int.random(in: 0..<broken.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
                messages.append(broken)
                messages.append((0..<Int.random(in: 1...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
            }
            let decoder = try Self.decoder(columns, writer: tree["writer"]!.string!)
            var bad = 0
            decoder.onBadRecord = { _ in bad += 1 }
            let (rows, records, _) = try decoder.messages(messages)
            let expected = tree["rows"]!.elements!.map { $0.string! }
            let good = zip(rows, records).filter { $0.1 < whole }.map { Value.row($0.0).judged }
            #expect(good == expected, "seed \(seed)")
            #expect(rows.count + bad == messages.count, "seed \(seed)")
        }
    }

    /// Schemas come from outside, too.
    @Test func survivesStrangeSchemas() throws {
        let seed = randomSeed()
        print("seed \(seed)")
        var random = SeededGenerator(seed)
        var text = "\"int\""
        for i in 0..<60 { text = "{\"type\":\"record\",\"name\":\"R\(i)\",\"fields\":[{\"name\":\"a\",\"type\":\(text)},{\"name\":\"b\",\"type\":\"\(i == 0 ? "int" : "R\(i - 1)")\"}]}" }
        // Each type holds the one before twice: 2^60 numbers.
        let wide = "{\"type\":\"record\",\"name\":\"W\",\"fields\":[{\"name\":\"l\",\"type\":{\"type\":\"array\",\"items\":\(text)}},{\"name\":\"x\",\"type\":\"R59\"}]}"
        #expect(try Self.decoder([Field("y", .int)], writer: wide).fills.fills.count == 1)
        let own = "{\"type\":\"record\",\"name\":\"W\",\"fields\":[{\"name\":\"w\",\"type\":\"W\",\"default\":{}}]}"
        #expect(failure { _ = try Self.decoder([Field("w", .row([]))], writer: "{\"type\":\"record\",\"name\":\"V\",\"fields\":[]}", reader: own) }.contains("nested deeper"))
        #expect(failure { _ = try AvroSchema(String(repeating: "[", count: 100_000)) }.contains("nested deeper"))
        let valid = Array(wide.utf8.prefix(2_000)) + Array("]}".utf8)
        for _ in 0..<2_000 {
            var broken = valid
            for _ in 0..<Int.random(in: 1...4, using: &random) { broken[Int.random(in: 0..<broken.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
            _ = try? AvroSchema(String(decoding: broken, as: UTF8.self))
        }
    }

    @Test func bindsRecursionAndLists() throws {
        let writer = """
            {"type":"record","name":"W","fields":[{"name":"chain","type":{"type":"record","name":"N","fields":[{"name":"next","type":["null","N"]}]}},
             {"name":"m","type":{"type":"map","values":"int"}},{"name":"b","type":{"type":"array","items":"int"}}]}
            """
        let decoder = try Self.decoder([Field("m", .map(key: .string, value: .int)), Field("b", .array(.int))], writer: writer)
        var bad: [String] = []
        decoder.onBadRecord = { bad.append($0.reason) }
        // A repeated key, and a list in two blocks, one with its size.
        let good: [UInt8] = [0x02, 0x00, 0x04, 0x02, 0x61, 0x02, 0x02, 0x61, 0x04, 0x00, 0x02, 0x0A, 0x01, 0x02, 0x0C, 0x00]
        let (rows, _, _) = try decoder.messages([good, [UInt8](repeating: 0x02, count: 100_000)])
        #expect(rows == [[.map([.init(.string("a"), .int(2))]), .array([.int(5), .int(6)])]])
        #expect(bad == ["it is nested too deeply"])
    }

    @Test func writesTheBytesOfTheSpecification() throws {
        let columns: Schema = [Field("n", .bigint), Field("s", .string, nullable: false), Field("d", .decimal(precision: 5, scale: 2)), Field("a", .array(.int))]
        let format = AvroFormat()
        let table = table(columns, [:])
        let batch = Batch(schema: columns, rows: [[.int(-64), .string("foo"), .decimal(-200), .array([.int(1), .null])], [.null, .string(""), .null, .null]])
        let messages = try format.encoder(table).messages(batch)
        #expect(messages == [[2, 0x7F, 6, 0x66, 0x6F, 0x6F, 2, 4, 0xFF, 0x38, 2, 4, 2, 2, 0, 0], [0, 0, 0, 0]])
        let (rows, _, _) = try format.decoder(table, projection: [0, 1, 2, 3], metrics: OperatorMetrics()).messages(messages)
        #expect(rows == batch.rows())
        let nothing = Batch(schema: columns, rows: [[.null, .null, .null, .null]])
        #expect(failure { _ = try format.encoder(table).messages(nothing) }.contains("column s is NULL"))
        #expect(failure { _ = try format.encoder(self.table(["avro.encoding": "json"], columns)) }.contains("not supported yet"))
        #expect(failure { _ = try format.encoder(self.table(["avro.codec": "snappy"], columns)) }.contains("container files"))
    }

    private func table(_ columns: Schema, _ options: [String: String]) -> TableDescriptor { TableDescriptor(name: "t", schema: columns, options: options) }
    private func table(_ options: [String: String], _ columns: Schema) -> TableDescriptor { table(columns, options) }
}
