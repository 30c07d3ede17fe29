import StreamCore
import Testing

@testable import StreamFormats

@Suite struct ChangeMetadataTests {
    private func rows(_ format: String, _ metadata: [String], _ options: [String: String] = [:], _ messages: [String]) throws -> [[Value]] {
        let schema: Schema = [Field("id", .int)]
        var all = options
        all["format"] = format
        let table = TableDescriptor(name: "t", schema: schema, options: all)
        let decoder = try FormatFactory.decoder(for: table, projection: [0], metadata: metadata, metrics: OperatorMetrics())
        return try decoder.messages(messages.map { Array($0.utf8) }).rows
    }

    @Test func debezium() throws {
        let source = #"{"version":"1.9","ts_ms":1600000000123,"db":"shop","schema":"public","table":"orders","snapshot":false,"lsn":null}"#
        let update = #"{"before":{"id":1},"after":{"id":2},"source":\#(source),"op":"u","ts_ms":1600000000999}"#
        let bare = #"{"before":null,"after":{"id":3},"op":"c"}"#
        let keys = ["ingestion-timestamp", "source.timestamp", "source.database", "source.schema", "source.table", "schema"]
        let told: [Value] = [.int(1_600_000_000_999), .int(1_600_000_000_123), .string("shop"), .string("public"), .string("orders"), .null]
        let nothing = [Value](repeating: .null, count: 6)
        #expect(try rows("debezium-json", keys, [update, bare]) == [[.int(1)] + told, [.int(2)] + told, [.int(3)] + nothing])
        let wrapped = #"{"schema":{"type":"struct"},"payload":\#(update)}"#
        let withSchema = told.dropLast() + [.string(#"{"type":"struct"}"#)]
        #expect(try rows("debezium-json", keys, ["debezium-json.schema-include": "true"], [wrapped]) == [[.int(1)] + withSchema, [.int(2)] + withSchema])
        let properties = try rows("debezium-json", ["source.properties", "source.table"], [
            #"{"before":null,"after":{"id":3},"op":"c","source":{"db":"a","lsn":null,"snapshot":false,"collection":"c"}}"#,
        ])
        #expect(properties == [[
            .int(3), .map([.init(.string("db"), .string("a")), .init(.string("lsn"), .null), .init(.string("snapshot"), .string("false")), .init(.string("collection"), .string("c"))]),
            .string("c"),
        ]])
    }

    @Test func canalAndMaxwell() throws {
        let canal = #"{"data":[{"id":"1"},{"id":"2"}],"type":"INSERT","database":"shop","table":"orders","es":1000,"ts":2000,"sqlType":{"id":4},"pkNames":["id"]}"#
        let told: [Value] = [
            .string("shop"), .string("orders"), .map([.init(.string("id"), .int(4))]), .array([.string("id")]), .int(2_000), .int(1_000),
        ]
        let keys = ["database", "table", "sql-type", "pk-names", "ingestion-timestamp", "event-timestamp"]
        #expect(try rows("canal-json", keys, [canal]) == [[.int(1)] + told, [.int(2)] + told])
        // A filter looks at a field that is a column, too.
        #expect(try rows("canal-json", ["table"], ["canal-json.table.include": "other"], [canal]).isEmpty)
        #expect(try rows("canal-json", ["table"], ["canal-json.database.include": "sh.*"], [canal]).count == 2)
        let maxwell = #"{"data":{"id":1},"type":"insert","database":"shop","table":"orders","ts":1600000000,"primary_key_columns":["id"]}"#
        #expect(try rows("maxwell-json", ["database", "table", "primary-key-columns", "ingestion-timestamp"], [maxwell])
            == [[.int(1), .string("shop"), .string("orders"), .array([.string("id")]), .int(1_600_000_000_000)]])
    }

    @Test func unknownKeysAreRefused() {
        #expect(failure { _ = try rows("debezium-json", ["source.tabel"], []) }.contains("source.table"))
        #expect(failure { _ = try rows("json", ["source.table"], []) }.contains("format 'json' has no metadata 'source.table'"))
        #expect(FormatFactory.formats["debezium-json"]?.metadataKeys["source.properties"] == .map(key: .string, value: .string))
    }

    private func rows(_ format: String, _ metadata: [String], _ messages: [String]) throws -> [[Value]] { try rows(format, metadata, [:], messages) }
}
