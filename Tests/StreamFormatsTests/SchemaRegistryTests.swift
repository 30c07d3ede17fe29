import Foundation
import StreamCore
import Testing

@testable import SchemaRegistry
@testable import StreamFormats

/// A registry in another process, stopped with the last reference.
private final class RegistryServer {
    let folder: TemporaryFolder
    private let process = Process()
    private(set) var url = ""

    init(login: String? = nil) throws {
        folder = try TemporaryFolder()
        process.executableURL = URL(fileURLWithPath: PythonJudge.executable)
        process.arguments = ["\(PythonJudge.root)/Tests/Support/formats/registry_server.py", folder.url.path] + (login.map { [$0] } ?? [])
        try process.run()
        let deadline = Date().addingTimeInterval(60)
        while url.isEmpty, Date() < deadline {
            if let port = try? String(contentsOfFile: folder.path("port"), encoding: .utf8) { url = "http://127.0.0.1:\(port)" } else { usleep(10_000) }
        }
        if url.isEmpty { throw StreamError(.runtime, "the registry did not start") }
    }

    deinit {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        folder.remove()
    }

    var requests: [String] { ((try? String(contentsOfFile: folder.path("log"), encoding: .utf8)) ?? "").split(separator: "\n").map(String.init) }
    func fail(_ count: Int) throws { try "\(count)".write(toFile: folder.path("fail"), atomically: true, encoding: .utf8) }
}

@Suite struct SchemaRegistryTests {
    private let columns: Schema = [Field("id", .bigint, nullable: false), Field("name", .string)]
    private var batch: Batch { Batch(schema: columns, rows: [[.int(1), .string("a")], [.int(2), .null]]) }
    private var format: any Format {
        SchemaRegistryFormats.register()
        return FormatFactory.formats["avro-confluent"]!
    }

    private func table(_ columns: Schema, _ url: String, subject: String? = "t-value", _ more: [String: String] = [:]) -> TableDescriptor {
        var options = ["avro-confluent.url": url]
        options["avro-confluent.subject"] = subject
        for (key, value) in more { options["avro-confluent." + key] = value }
        return TableDescriptor(name: "t", schema: columns, options: options)
    }

    private func decoder(_ table: TableDescriptor) throws -> any RecordDecoder {
        try format.decoder(table, projection: Array(table.schema.indices), metrics: OperatorMetrics())
    }

    @Test func writesAndReadsWithOneRequestEach() throws {
        let server = try RegistryServer()
        let table = table(columns, server.url + "/")
        let encoder = try format.encoder(table)
        #expect(server.requests.isEmpty)
        let messages = try encoder.messages(batch) + encoder.messages(batch) + format.encoder(table).messages(batch)
        #expect(messages[0] == [0, 0, 0, 0, 1, 2, 2, 2, 0x61])
        #expect(server.requests == ["POST /subjects/t-value/versions"])
        for _ in 0..<2 { #expect(try decoder(table).messages(messages).rows == batch.rows() + batch.rows() + batch.rows()) }
        #expect(server.requests.dropFirst() == ["GET /schemas/ids/1"])
        #expect(FormatFactory.optionKeys(for: "avro-confluent").isSuperset(of: ["avro-confluent.url", "avro-confluent.properties."]))
        #expect(format.topicDefaults(topic: "orders", isKey: true) == ["avro-confluent.subject": "orders-key"])
    }

    @Test func readsEachMessageByItsSchema() throws {
        let server = try RegistryServer()
        let wide: Schema = [Field("id", .bigint, nullable: false), Field("name", .string), Field("price", .double)]
        let messages = try format.encoder(table(columns, server.url)).messages(batch)
            + format.encoder(table(wide, server.url)).messages(Batch(schema: wide, rows: [[.int(3), .string("c"), .double(1.5)]]))
        let (rows, records, _) = try decoder(table(wide, server.url)).messages([messages[0], messages[2], messages[1]])
        #expect(rows == [[.int(1), .string("a"), .null], [.int(3), .string("c"), .double(1.5)], [.int(2), .null, .null]])
        #expect(records == [0, 1, 2])
        #expect(try decoder(table([Field("price", .double)], server.url)).messages(messages).rows == [[.null], [.null], [.double(1.5)]])

        let reading = try decoder(table([Field("id", .bigint), Field("name", .int)], server.url))
        var bad: [String] = []
        reading.onBadRecord = { bad.append($0.reason) }
        let (none, _, _) = try reading.messages([messages[0], [1, 2, 3, 4, 5, 6], [0, 0], [0, 0, 0, 0, 99, 1], [0, 0, 0, 0, 99, 2], []])
        #expect(none.isEmpty)
        #expect(bad == [
            "schema 1 of the registry does not fit the table: field \"name\": the writer's schema says string, which cannot be read as INT",
            "its first byte is 1, not 0: it was not written with a schema registry", "it has only 2 bytes: it was not written with a schema registry",
            "there is no schema 99 in the registry at \(server.url)", "there is no schema 99 in the registry at \(server.url)",
            "it has only 0 bytes: it was not written with a schema registry",
        ])
        #expect(server.requests.filter { $0 == "GET /schemas/ids/99" }.count == 1)
        let short = try decoder(table(wide, server.url))
        #expect(failure { _ = try short.messages([Array(messages[2].dropLast(3))]) }.contains("field \"price\": it ends too early"))
    }

    @Test func givesTheRegistrysReasons() throws {
        let server = try RegistryServer()
        _ = try format.encoder(table(columns, server.url)).messages(batch)
        let other: Schema = [Field("id", .string, nullable: false), Field("name", .string)]
        let text = failure { _ = try format.encoder(table(other, server.url)).messages(Batch(schema: other, rows: [[.string("x"), .null]])) }
        #expect(text.contains("refuses the table's schema for subject 't-value': Schema being registered is incompatible"))
        #expect(text.contains("TYPE_MISMATCH: id"))
        let more: Schema = columns + [Field("n", .int, nullable: false)]
        let unknown = table(more, server.url, ["properties.auto.register.schemas": "false"])
        #expect(failure { _ = try format.encoder(unknown).messages(Batch(schema: more, rows: [[.int(1), .null, .int(1)]])) }.contains("does not have the table's schema under subject 't-value'"))
        let known = table(columns, server.url, ["properties.auto.register.schemas": "false"])
        #expect(try format.encoder(known).messages(batch)[0][4] == 1)

        try server.fail(2)
        let waiting = table(columns, server.url, subject: "a/b c")
        #expect(try format.encoder(waiting).messages(batch)[0][4] == 1)
        #expect(server.requests.last == "POST /subjects/a%2Fb%20c/versions")
        try server.fail(1_000)
        let failing = failure { _ = try format.encoder(table(columns, server.url, subject: "other")).messages(batch) }
        #expect(failing.contains("\(server.url)/subjects/other/versions: status 503: not ready, also after 3 retries"))
        let nobody = table(columns, "http://127.0.0.1:1")
        #expect(failure { _ = try decoder(nobody).messages([[0, 0, 0, 0, 1, 0]]) }.contains("the schema registry does not answer: http://127.0.0.1:1/schemas/ids/1"))
        // The first of several addresses that answers.
        try server.fail(0)
        #expect(try format.encoder(table(columns, "http://127.0.0.1:1,\(server.url)", subject: "third")).messages(batch).count == 2)
    }

    @Test func logsIn() throws {
        let server = try RegistryServer(login: "joe:secret")
        let refused = failure { _ = try format.encoder(table(columns, server.url)).messages(batch) }
        #expect(refused.contains("refuses the login for subject 't-value': Unauthorized"))
        #expect(try format.encoder(table(columns, server.url, ["basic-auth.credentials-source": "USER_INFO", "basic-auth.user-info": "joe:secret"])).messages(batch).count == 2)
        let inURL = server.url.replacingOccurrences(of: "http://", with: "http://joe:secret@")
        #expect(try format.encoder(table(columns, inURL, ["basic-auth.credentials-source": "URL"])).messages(batch).count == 2)
        #expect(try format.encoder(table(columns, server.url, ["bearer-auth.token": "joe:secret"])).messages(batch).count == 2)
    }

    @Test func checksItsOptions() {
        func text(_ more: [String: String], url: String = "http://h:1", subject: String? = "s") -> String {
            failure { _ = try format.encoder(table(columns, url, subject: subject, more)) }
        }
        #expect(failure { _ = try decoder(TableDescriptor(name: "t", schema: columns)) }.contains("'avro-confluent.url' is missing"))
        #expect(text([:], url: "host:8081").contains("is no HTTP address"))
        #expect(text([:], subject: nil).contains("'avro-confluent.subject' is missing"))
        #expect(text(["ssl.truststore.location": "/x"]).contains("not supported yet: option 'avro-confluent.ssl.truststore.location'"))
        #expect(text(["properties.use.latest.version": "true"]).contains("not supported yet"))
        #expect(text(["basic-auth.user-info": "joe"]).contains("user:password"))
        #expect(text(["basic-auth.credentials-source": "SASL_INHERIT"]).contains("not supported yet"))
        #expect(text(["bearer-auth.credentials-source": "OAUTHBEARER", "bearer-auth.token": "x"]).contains("not supported yet"))
        #expect(text(["schema": "{\"type\":"]).contains("is no Avro schema"))
        #expect(text(["schema": "{\"type\":\"record\",\"name\":\"r\",\"fields\":[]}"]).contains("has no field for column id"))
    }

    @Test func takesASchemaOfTheUsers() throws {
        let server = try RegistryServer()
        let schema = """
            {"type":"record","name":"Order","fields":[{"name":"kind","type":{"type":"enum","name":"K","symbols":["NEW","OLD"]}},{"name":"id","type":["long","null"]},
             {"name":"note","type":"string","default":"none"},{"name":"code","type":{"type":"fixed","name":"C","size":2}},
             {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}]}
            """
        let columns: Schema = [Field("id", .bigint), Field("kind", .string, nullable: false), Field("code", .bytes), Field("at", .timestamp(3))]
        let own = table(columns, server.url, ["schema": schema])
        let batch = Batch(schema: columns, rows: [[.null, .string("OLD"), .binary([1, 2]), .int(5)]])
        let messages = try format.encoder(own).messages(batch)
        #expect(Array(messages[0].dropFirst(5)) == [2, 2, 8, 0x6E, 0x6F, 0x6E, 0x65, 1, 2, 0x90, 0x4E])
        #expect(try decoder(own).messages(messages).rows == batch.rows())
        let wrong = Batch(schema: columns, rows: [[.null, .string("NONE"), .binary([1, 2]), .int(5)]])
        #expect(failure { _ = try format.encoder(own).messages(wrong) }.contains("column kind is none of its enum's symbols"))
        // The reader's aliases and defaults.
        let newer = """
            {"type":"record","name":"Order","fields":[{"name":"sort","aliases":["kind"],"type":"string"},{"name":"extra","type":"int","default":7}]}
            """
        let renamed = table([Field("sort", .string), Field("extra", .int, nullable: false)], server.url, ["schema": newer])
        #expect(try decoder(renamed).messages(messages).rows == [[.string("OLD"), .int(7)]])
    }

    @Test func readsAndWritesDebeziumsChanges() throws {
        let server = try RegistryServer()
        SchemaRegistryFormats.register()
        let format = FormatFactory.formats["debezium-avro-confluent"]!
        let table = TableDescriptor(name: "t", schema: columns, options: [
            "debezium-avro-confluent.url": server.url, "debezium-avro-confluent.subject": "changes-value",
        ])
        let changes = Batch(schema: columns, rows: [[.int(1), .string("a")], [.int(1), .string("a")], [.int(1), .string("b")]], kinds: [.insert, .updateBefore, .updateAfter])
        let messages = try format.encoder(table).messages(changes)
        let decoder = try format.decoder(table, projection: [1, 0], metrics: OperatorMetrics())
        let (rows, records, batch) = try decoder.messages(messages)
        #expect(rows == [[.string("a"), .int(1)], [.string("a"), .int(1)], [.string("b"), .int(1)]])
        #expect(records == [0, 1, 2])
        #expect((0..<3).map { batch.kind(atPhysical: $0) } == [.insert, .delete, .insert])

        // As Debezium writes it: its own names, one type for both images, more fields.
        let envelope = """
            {"type":"record","name":"Envelope","namespace":"server.shop.orders","fields":[{"name":"before","type":["null",{"type":"record","name":"Value","fields":[
             {"name":"id","type":"long"},{"name":"name","type":["null","string"],"default":null},{"name":"more","type":"int"}]}],"default":null},
             {"name":"after","type":["null","Value"],"default":null},{"name":"source","type":{"type":"record","name":"Source","fields":[{"name":"db","type":"string"}]}},
             {"name":"op","type":"string"},{"name":"ts_ms","type":["null","long"],"default":null}]}
            """
        let options = try SchemaRegistryOptions(FormatOptions(table: table), prefix: "debezium-avro-confluent.")
        let id = try HTTPSchemaRegistry.shared(options).register(schema: envelope, subject: "envelopes-value")
        let update: [UInt8] = [0, 0, 0, 0, UInt8(id), 2, 2, 2, 2, 0x61, 8, 2, 2, 0, 8, 2, 0x64, 2, 0x75, 2, 2]
        let deletion: [UInt8] = [0, 0, 0, 0, UInt8(id), 2, 4, 0, 8, 0, 2, 0x64, 2, 0x64, 0]
        let strange: [UInt8] = [0, 0, 0, 0, UInt8(id), 2, 4, 0, 8, 0, 2, 0x64, 2, 0x78, 0]
        var bad: [String] = []
        decoder.onBadRecord = { bad.append($0.reason) }
        let (found, from, kinds) = try decoder.messages([update, strange, deletion])
        #expect(found == [[.string("a"), .int(1)], [.null, .int(1)], [.null, .int(2)]])
        #expect(from == [0, 0, 2])
        #expect((0..<3).map { kinds.kind(atPhysical: $0) } == [.updateBefore, .updateAfter, .delete])
        #expect(bad == ["unknown \"op\" value x"])
    }
}
