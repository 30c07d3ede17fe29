import StreamCore
import Testing

@testable import StreamFormats

@Suite("rows as a whole, and keys that change") struct WholeRecordTests {
    private func decoder(_ options: [String: String], _ schema: Schema, key: [String] = [], metadata: [String] = ["row"]) throws -> any RecordDecoder {
        let table = TableDescriptor(name: "t", schema: schema, primaryKey: key, options: options)
        return try FormatFactory.decoder(for: table, projection: Array(schema.indices), metadata: metadata, metrics: OperatorMetrics())
    }

    private func json(_ value: Value) -> String {
        guard case .binary(let bytes) = value else { return "\(value)" }
        return bytes.withUnsafeBytes { VariantJSON.text(Variant($0)) }
    }

    private let id: Schema = [Field("id", .int)]

    @Test func jsonObjects() throws {
        let lines = #"{"id":1,"new":{"a":[1,2.50,"x"]},"t":true}"# + "\n" + #"[{"id":2},{"id":3,"z":null}]"#
        let rows = try decoder(["format": "json"], id).rows(lines)
        #expect(rows.map { $0[0] } == [.int(1), .int(2), .int(3)])
        #expect(rows.map { json($0[1]) } == [#"{"id":1,"new":{"a":[1,2.5,"x"]},"t":true}"#, #"{"id":2}"#, #"{"id":3,"z":null}"#])
        #expect(try decoder(["format": "json"], id).messages([Array(#"{"id":4,"b":"c"}"#.utf8)]).rows.map { json($0[1]) } == [#"{"b":"c","id":4}"#])
    }

    @Test func csvWithHeaders() throws {
        let schema: Schema = [Field("id", .int), Field("name", .string)]
        let text = "id,name,colour\n1,a,\"dark \"\"red\"\"\"\n2,,blue\n"
        let rows = try decoder(["format": "csv", "csv.header": "true", "csv.null-literal": ""], schema).rows(text)
        #expect(rows.map { json($0[2]) } == [#"{"colour":"dark \"red\"","id":"1","name":"a"}"#, #"{"colour":"blue","id":"2","name":null}"#])
        // By their names: another order, columns that are gone, and columns that are new.
        let byName = ["format": "csv", "csv.header": "true", "csv.header.columns": "name"]
        let other = try decoder(byName, schema).rows("\u{FEFF}colour,id\nred,7\n")
        #expect(other[0][0] == .int(7) && other[0][1] == .null && json(other[0][2]) == #"{"colour":"red","id":"7"}"#)
        let plain = try decoder(byName, schema, metadata: [])
        plain.startFile("a.csv")
        #expect(try plain.rows("name,id\nx,1\n") == [[.int(1), .string("x")]])
        plain.startFile("b.csv")
        #expect(try plain.rows("id,more,name\n2,m,y\n") == [[.int(2), .string("y")]])
        #expect(failure { _ = try decoder(byName, schema, metadata: []).rows("id,name\n1\n") }.contains("it has 1 fields, but the header has 2 names"))
        #expect(failure { _ = try decoder(["format": "csv", "csv.header.columns": "name"], schema) }.contains("'csv.header' = 'true'"))
    }

    @Test func changeImages() throws {
        let debezium = #"{"before":{"id":1,"a":"x"},"after":{"id":1,"a":"y","b":[1]},"op":"u"}"#
        #expect(try decoder(["format": "debezium-json"], id).messages([Array(debezium.utf8)]).rows.map { json($0[1]) } == [#"{"a":"x","id":1}"#, #"{"a":"y","b":[1],"id":1}"#])
        let canal = #"{"data":[{"id":"1","a":"y","c":null},{"id":"2","a":"z"}],"old":[{"a":"x"},{"a":"w"}],"type":"UPDATE"}"#
        #expect(try decoder(["format": "canal-json"], id).messages([Array(canal.utf8)]).rows.map { json($0[1]) }
            == [#"{"a":"x","c":null,"id":"1"}"#, #"{"a":"y","c":null,"id":"1"}"#, #"{"a":"w","id":"2"}"#, #"{"a":"z","id":"2"}"#])
        let maxwell = #"{"data":{"id":1,"a":"y"},"old":{"a":null},"type":"update"}"#
        #expect(try decoder(["format": "maxwell-json"], id).messages([Array(maxwell.utf8)]).rows.map { json($0[1]) } == [#"{"a":null,"id":1}"#, #"{"a":"y","id":1}"#])
        let delete = #"{"data":{"id":1,"a":"y"},"type":"delete"}"#
        #expect(try decoder(["format": "maxwell-json"], id).messages([Array(delete.utf8)]).rows.map { json($0[1]) } == [#"{"a":"y","id":1}"#])
    }

    @Test("an update of the key is a delete and an insert")
    func keyChanges() throws {
        func kinds(_ format: String, _ message: String, key: [String]) throws -> [String] {
            let schema: Schema = [Field("id", .int), Field("part", .string), Field("v", .int)]
            let batch = try decoder(["format": format], schema, key: key, metadata: []).messages([Array(message.utf8)]).batch
            return (0..<batch.count).map { "\(batch.kind(atPhysical: $0))" }
        }
        let moved = #"{"before":{"id":1,"part":"a","v":1},"after":{"id":2,"part":"a","v":1},"op":"u"}"#
        let changed = #"{"before":{"id":1,"part":"a","v":1},"after":{"id":1,"part":"b","v":2},"op":"u"}"#
        #expect(try kinds("debezium-json", moved, key: ["id"]) == ["-D", "+I"])
        #expect(try kinds("debezium-json", changed, key: ["id"]) == ["-U", "+U"])
        #expect(try kinds("debezium-json", changed, key: ["id", "part"]) == ["-D", "+I"])
        #expect(try kinds("debezium-json", moved, key: []) == ["-U", "+U"])
        #expect(try kinds("canal-json", #"{"data":[{"id":"2","part":"a"}],"old":[{"id":"1"}],"type":"UPDATE"}"#, key: ["id", "part"]) == ["-D", "+I"])
        #expect(try kinds("maxwell-json", #"{"data":{"id":2,"part":"b"},"old":{"part":"a"},"type":"update"}"#, key: ["id"]) == ["-U", "+U"])
    }

    @Test("as a history each change is a row; a change of the key is two")
    func history() throws {
        let schema: Schema = [Field("id", .int), Field("v", .int)]
        func rows(_ format: String, _ messages: [String]) throws -> [[Value]] {
            let batch = try decoder(["format": format, format + ".changelog-mode": "append"], schema, key: ["id"], metadata: ["op", "row"]).messages(messages.map { Array($0.utf8) }).batch
            #expect(batch.insertOnly)
            return batch.rows().map { Array($0.prefix(3)) + [.string(json($0[3]))] }
        }
        #expect(try rows("debezium-json", [
            #"{"after":{"id":1,"v":1},"op":"c"}"#, #"{"before":{"id":1,"v":1},"after":{"id":1,"v":2},"op":"u"}"#, #"{"before":{"id":1,"v":2},"after":{"id":2,"v":2},"op":"u"}"#,
            "null", #"{"before":{"id":2,"v":2},"after":null,"op":"d"}"#,
        ]) == [
            [.int(1), .int(1), .string("I"), .string(#"{"id":1,"v":1}"#)], [.int(1), .int(2), .string("U"), .string(#"{"id":1,"v":2}"#)],
            [.int(1), .int(2), .string("D"), .string(#"{"id":1,"v":2}"#)], [.int(2), .int(2), .string("I"), .string(#"{"id":2,"v":2}"#)],
            [.int(2), .int(2), .string("D"), .string(#"{"id":2,"v":2}"#)],
        ])
        #expect(try rows("maxwell-json", [#"{"data":{"id":1,"v":2},"old":{"v":1},"type":"update"}"#, #"{"data":{"id":1,"v":2},"type":"delete"}"#]).map { $0[2] } == [.string("U"), .string("D")])
        let table = TableDescriptor(name: "t", schema: schema, options: ["format": "canal-json", "canal-json.changelog-mode": "append"])
        #expect(ChangeCaptureFormat.canal.changelogMode(table) == .insertOnly && ChangeCaptureFormat.debezium.changelogMode(table) == .all)
    }
}
