import StreamCore
import Testing

@testable import StreamFormats

@Suite("dms") struct DMSTests {
    private let schema: Schema = [Field("id", .int), Field("name", .string), Field("amount", .decimal(precision: 8, scale: 2))]

    private func decoder(_ options: [String: String] = [:], _ schema: Schema? = nil, metadata: [String] = []) throws -> any RecordDecoder {
        let table = TableDescriptor(name: "t", schema: schema ?? self.schema, primaryKey: ["id"], options: options.merging(["format": "dms"]) { $1 })
        return try FormatFactory.decoder(for: table, projection: Array(table.schema.indices), metadata: metadata, metrics: OperatorMetrics())
    }

    private func texts(_ decoder: any RecordDecoder, _ file: String, _ text: String) throws -> [String] {
        decoder.startFile(file)
        let (batch, _) = try decoder.decode(chunk: buffer(text), range: 0..<text.utf8.count, isLast: true, maxRows: 100)
        guard let batch else { return [] }
        return zip(0..<batch.count, batch.rows()).map { i, row in
            "\(batch.kind(atPhysical: i)) " + row.map { value in
                if case .binary(let bytes) = value { return bytes.withUnsafeBytes { VariantJSON.text(Variant($0)) } }
                return value.judged
            }.joined(separator: "|")
        }
    }

    @Test func csvByPlaces() throws {
        let decoder = try decoder(metadata: ["op", "row"])
        #expect(try texts(decoder, "LOAD00000001.csv", "1,a,2.50\n2,\"b,c\",\n3,NULL,1\n") == [
            #"+I 1|"a"|250|null|{"amount":"2.50","id":"1","name":"a"}"#, #"+I 2|"b,c"|null|null|{"amount":"","id":"2","name":"b,c"}"#,
            #"+I 3|null|100|null|{"amount":"1","id":"3","name":null}"#,
        ])
        #expect(try texts(decoder, "20240101-000000000.csv", "U,1,x,3\nD,2,,\nI,4,d,4\n") == [
            #"+U 1|"x"|300|"U"|{"amount":"3","id":"1","name":"x"}"#, #"-D 2|""|null|"D"|{"amount":"","id":"2","name":""}"#,
            #"+I 4|"d"|400|"I"|{"amount":"4","id":"4","name":"d"}"#,
        ])
        #expect(failure { _ = try texts(self.decoder(), "2024.csv", "X,1,x,3\n") }.contains("column \"Op\" has \"X\" and not I, U or D"))
        #expect(failure { _ = try texts(self.decoder(), "2024.csv", "1,x,3\n") }.contains("it has 3 fields, but the table has 4 columns"))
        #expect(try texts(self.decoder(["dms.full-load.op-column": "true"]), "LOAD1.csv", "I,1,x,3\n") == [#"+I 1|"x"|300"#])
    }

    @Test func timestamps() throws {
        let stamp = ["dms.timestamp-column": "last_update_time"]
        #expect(try texts(decoder(stamp, metadata: ["timestamp"]), "1.csv", "U,2024-01-02 03:04:05.123456,1,x,3\n") == [#"+U 1|"x"|300|1704164645123456"#])
        #expect(try texts(decoder(stamp.merging(["dms.csv.timestamp-position": "last"]) { $1 }, metadata: ["timestamp"]), "1.csv", "U,1,x,3,2024-01-02T03:04:05Z\n")
            == [#"+U 1|"x"|300|1704164645000000"#])
        // As a column of the table, too.
        let own: Schema = [Field("id", .int), Field("last_update_time", .timestamp(3))]
        #expect(try texts(decoder(stamp, own, metadata: ["timestamp"]), "1.csv", "U,1,2024-01-02 03:04:05.5\n") == ["+U 1|1704164645500|1704164645500000"])
        #expect(failure { _ = try self.decoder(metadata: ["timestamp"]) }.contains("dms.timestamp-column"))
    }

    @Test func csvWithHeaderAndJSON() throws {
        let header = try decoder(["dms.csv.header": "true", "dms.timestamp-column": "ts"], metadata: ["timestamp", "row"])
        #expect(try texts(header, "LOAD1.csv", "id,name,amount\n1,a,2\n") == [#"+I 1|"a"|200|null|{"amount":"2","id":"1","name":"a"}"#])
        #expect(try texts(header, "2.csv", "Op,ts,id,extra,name\nD,2024-01-02 03:04:05,1,e,a\n")
            == [#"-D 1|"a"|null|1704164645000000|{"extra":"e","id":"1","name":"a"}"#])
        let json = try decoder(["dms.file-format": "json", "dms.timestamp-column": "ts", "dms.op-column": "op_"], metadata: ["op", "timestamp", "row"])
        let lines = #"{"id":1,"name":"a","amount":2}"# + "\n" + #"{"op_":"U","ts":"2024-01-02 03:04:05","id":1,"name":"b","extra":[1]}"#
        #expect(try texts(json, "x.json", lines) == [
            #"+I 1|"a"|200|null|null|{"amount":2,"id":1,"name":"a"}"#, #"+U 1|"b"|null|"U"|1704164645000000|{"extra":[1],"id":1,"name":"b"}"#,
        ])
        let append = try decoder(["dms.file-format": "json", "dms.changelog-mode": "append"], metadata: ["op"])
        #expect(try texts(append, "x.json", #"{"Op":"D","id":1}"#) == [#"+I 1|null|null|"D""#])
    }

    @Test("messages of streams: data and metadata; what tells of definitions gives no rows")
    func envelopes() throws {
        let decoder = try decoder(["dms.file-format": "json", "dms.json.envelope": "true"], metadata: ["timestamp", "op", "row"])
        let messages = [
            #"{"data":{"id":1,"name":"a","amount":2},"metadata":{"timestamp":"2024-01-02T03:04:05.5Z","record-type":"data","operation":"load","table-name":"t"}}"#,
            #"{"metadata":{"timestamp":"2024-01-02T03:04:05Z","record-type":"control","operation":"create-table"}}"#,
            #"{"data":{"id":1,"name":"b","extra":true},"metadata":{"timestamp":"2024-01-02T03:04:06Z","record-type":"data","operation":"update"}}"#,
            #"{"data":{"id":1},"metadata":{"record-type":"data","operation":"delete"}}"#,
        ]
        let (rows, records, batch) = try decoder.messages(messages.map { Array($0.utf8) })
        #expect((0..<3).map { batch.kind(atPhysical: $0) } == [.insert, .updateAfter, .delete] && records == [0, 2, 3])
        #expect(rows.map { Array($0.prefix(5)) } == [
            [.int(1), .string("a"), .decimal(200), .int(1_704_164_645_500_000), .string("I")], [.int(1), .string("b"), .null, .int(1_704_164_646_000_000), .string("U")],
            [.int(1), .null, .null, .null, .string("D")],
        ])
        guard case .binary(let bytes) = rows[1][5] else { throw StreamError(.runtime, "\(rows[1])") }
        #expect(bytes.withUnsafeBytes { VariantJSON.text(Variant($0)) } == #"{"extra":true,"id":1,"name":"b"}"#)
        #expect(failure { _ = try decoder.messages([Array(#"{"data":{"id":1},"metadata":{"operation":"merge"}}"#.utf8)]) }.contains("\"merge\" and not I, U or D"))
    }
}
