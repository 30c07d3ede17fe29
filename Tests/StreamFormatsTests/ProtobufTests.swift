import Foundation
import StreamCore
import Testing

@testable import StreamFormats

@Suite struct ProtobufTests {
    private func table(_ columns: Schema, _ options: [String: String]) -> TableDescriptor {
        TableDescriptor(name: "t", schema: columns, options: Dictionary(uniqueKeysWithValues: options.map { ("protobuf." + $0.key, $0.value) }))
    }

    private func decoder(_ table: TableDescriptor, projection: [Int]? = nil) throws -> any RecordDecoder {
        try ProtobufFormat().decoder(table, projection: projection ?? Array(table.schema.indices), metrics: OperatorMetrics())
    }

    /// Random messages of Google's implementation, also some put one behind the other, read as tables with fewer columns; and
    /// what is written, read by it.
    @Test func agreesWithGoogles() throws {
        let seed = randomSeed()
        print("seed \(seed)")
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        var written: [String] = []
        for tree in try PythonJudge.cases(PythonJudge.run("protobuf_judge.py", ["generate", "\(seed)", "150", folder.url.path])) {
            let columns = DataType(judged: tree["table"]!).fields
            let messages = tree["messages"]!.elements!.map { bytes(hex: $0.string!) }, expected = tree["rows"]!.elements!.map { $0.string! }
            let defaults = tree["defaults"] == .bool(true)
            let file = tree["file"]!.string!, name = tree["message"]!.string!
            let table = table(columns, ["descriptor-file": file, "message-name": name, "read-default-values": "\(defaults)"])
            let (rows, records, batch) = try decoder(table).messages(messages)
            #expect(records.map(Int.init) == Array(expected.indices))
            let found = rows.map { Value.row($0).judged }
            #expect(found == expected, "seed \(seed), \(name)")
            guard found == expected else { break }
            let reversed = try decoder(table, projection: columns.indices.reversed()).messages(messages)
            #expect(reversed.rows.map { Array($0.reversed()) } == rows, "seed \(seed)")
            // With defaults, what a oneof does not have is there as zero, and so pushes out what it has.
            guard !defaults else { continue }
            let back = try ProtobufFormat().encoder(table).messages(batch)
            let list = { (all: [String]) in "[" + all.map { JSONTree.quoted($0) }.joined(separator: ",") + "]" }
            written.append("{\"file\":\(JSONTree.quoted(file)),\"message\":\"\(name)\",\"defaults\":false,\"table\":\(json(tree["table"]!)),"
                + "\"messages\":\(list(back.map { hex($0) })),\"rows\":\(list(found))}")
            #expect(try decoder(table).messages(back).rows == rows, "seed \(seed)")
        }
        try written.joined(separator: "\n").write(toFile: folder.path("written"), atomically: true, encoding: .utf8)
        let verdict = try PythonJudge.run("protobuf_judge.py", ["check", folder.path("written")])
        #expect(verdict.hasSuffix(" records, 0 wrong\n"), "seed \(seed): \(verdict)")
    }

    private func json(_ tree: JSONTree) -> String {
        switch tree {
        case .null: "null"
        case .bool(let flag): "\(flag)"
        case .number(let text): text
        case .string(let text): JSONTree.quoted(text)
        case .array(let all): "[" + all.map { json($0) }.joined(separator: ",") + "]"
        case .object(let members): "{" + members.map { JSONTree.quoted($0.name) + ":" + json($0.value) }.joined(separator: ",") + "}"
        }
    }

    /// Random and broken bytes end in rows or reasons, never elsewhere.
    @Test func survivesBrokenRecords() throws {
        let seed = randomSeed()
        print("seed \(seed)")
        var random = SeededGenerator(seed)
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        for tree in try PythonJudge.cases(PythonJudge.run("protobuf_judge.py", ["generate", "\(seed + 1)", "40", folder.url.path])) {
            let columns = DataType(judged: tree["table"]!).fields
            var messages = tree["messages"]!.elements!.map { bytes(hex: $0.string!) }
            let whole = messages.count
            for i in 0..<whole {
                var broken = messages[i]
                messages.append(Array(broken.prefix(Int.random(in: 0...broken.count, using: &random))))
                for _ in 0..<3 where !broken.isEmpty { broken[Int.random(in: 0..<broken.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
                messages.append(broken)
                messages.append((0..<Int.random(in: 1...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
            }
            let defaults = tree["defaults"] == .bool(true)
            let decoder = try decoder(table(columns, [
                "descriptor-file": tree["file"]!.string!, "message-name": tree["message"]!.string!, "read-default-values": "\(defaults)",
            ]))
            var bad = 0
            decoder.onBadRecord = { _ in bad += 1 }
            let (rows, records, _) = try decoder.messages(messages)
            let good = zip(rows, records).filter { $0.1 < whole }.map { Value.row($0.0).judged }
            #expect(good == tree["rows"]!.elements!.map { $0.string! }, "seed \(seed)")
            #expect(rows.count + bad == messages.count, "seed \(seed)")
        }
    }

    /// message Shop { required int32 id = 1; optional string name = 2 [default = "none"]; repeated int32 n = 3; optional Shop up = 4; group G = 5; enum ... }
    private func shop(_ folder: TemporaryFolder) throws -> String {
        func field(_ name: String, _ number: UInt8, _ label: UInt8, _ type: UInt8, _ more: [UInt8] = []) -> [UInt8] {
            let body = [0x0A, UInt8(name.utf8.count)] + Array(name.utf8) + [0x18, number, 0x20, label, 0x28, type] + more
            return [0x12, UInt8(body.count)] + body
        }
        func text(_ tag: UInt8, _ text: String) -> [UInt8] { [tag, UInt8(text.utf8.count)] + Array(text.utf8) }
        let message = text(0x0A, "Shop") + field("id", 1, 2, 5) + field("name", 2, 1, 9, text(0x3A, "none")) + field("n", 3, 3, 5)
            + field("up", 4, 1, 11, text(0x32, ".shop.v1.Shop")) + field("g", 5, 1, 10, text(0x32, ".shop.v1.Shop")) + field("kind", 6, 1, 14, text(0x32, ".shop.v1.Kind"))
        let kind = text(0x0A, "Kind") + [0x12] + [UInt8(5)] + [0x0A, 1, 0x41, 0x10, 0] + [0x12] + [UInt8(5)] + [0x0A, 1, 0x42, 0x10, 5]
        let file = text(0x0A, "my_shop.proto") + text(0x12, "shop.v1") + [0x22, UInt8(message.count & 0x7F) | 0x80, UInt8(message.count >> 7)] + message
            + [0x2A, UInt8(kind.count)] + kind + [0x42] + [UInt8(text(0x0A, "com.shop").count)] + text(0x0A, "com.shop")
        let set = [0x0A, UInt8(file.count & 0x7F) | 0x80, UInt8(file.count >> 7)] + file
        let path = folder.path("shop.desc")
        try Data(set).write(to: URL(fileURLWithPath: path))
        return path
    }

    @Test func readsRequiredFieldsDefaultsEnumsAndGroups() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = try shop(folder)
        let columns: Schema = [Field("id", .int), Field("name", .string), Field("n", .array(.int)), Field("up", .row([Field("id", .int)])), Field("kind", .string)]
        for name in ["shop.v1.Shop", "com.shop.Shop", "com.shop.MyShop$Shop", "com.shop.MyShopOuterClass$Shop"] {
            _ = try decoder(table(columns, ["descriptor-file": path, "message-class-name": name]))
        }
        let plain = try decoder(table(columns, ["descriptor-file": path, "message-name": "shop.v1.Shop"]))
        var bad: [String] = []
        plain.onBadRecord = { bad.append($0.reason) }
        let group: [UInt8] = [0x2B, 0x08, 0x07, 0x2B, 0x2C, 0x2C]
        let messages: [[UInt8]] = [
            [0x08, 1], [0x08, 1] + group + [0x18, 1, 0x1A, 2, 2, 3, 0x22, 2, 0x08, 9, 0x30, 5], [0x12, 0], [0x08, 1, 0x2B, 0x34], [0x08, 1, 0x30, 9], [0x08, 2, 0x22, 0],
            [0x0D, 0, 0, 0, 0, 0x08, 3], [0x08, 1, 0x12, 1, 0xFF], [0x08, 1, 0x06], [0x08, 1] + [UInt8](repeating: 0x2B, count: 5_000),
        ]
        let rows = try plain.messages(messages).rows
        #expect(rows == [
            [.int(1), .null, .null, .null, .null], [.int(1), .null, .array([.int(1), .int(2), .int(3)]), .row([.int(9)]), .string("B")],
            [.int(1), .null, .null, .null, .null], [.int(3), .null, .null, .null, .null],
        ])
        #expect(bad == [
            "field \"id\": it is missing, but required", "a group ends that did not begin", "field \"up.id\": it is missing, but required",
            "field \"name\": its text is not UTF-8", "it has a field with an impossible number or wire type", "its groups are nested too deeply",
        ])
        let defaults = try decoder(table(Array(columns[..<3]), ["descriptor-file": path, "message-name": "shop.v1.Shop", "read-default-values": "true"]))
        #expect(try defaults.messages([[0x08, 1]]).rows == [[.int(1), .string("none"), .array([])]])
        let ignoring = try decoder(table(columns, ["descriptor-file": path, "message-name": "shop.v1.Shop", "ignore-parse-errors": "true"]))
        #expect(try ignoring.messages([[0x12, 0], [0x08, 1]]).records == [1])
    }

    @Test func refusesWhatDoesNotFit() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = try shop(folder)
        func text(_ columns: Schema, _ options: [String: String]) -> String { failure { _ = try decoder(table(columns, options)) } }
        let good = ["descriptor-file": path, "message-name": "shop.v1.Shop"]
        let id = [Field("id", .int)]
        #expect(text(id, [:]).contains("'protobuf.descriptor-file' is missing"))
        #expect(text(id, ["descriptor-file": path]).contains("'protobuf.message-name' is missing"))
        #expect(text(id, ["descriptor-file": path + "x", "message-name": "a"]).contains("cannot be opened"))
        #expect(text(id, ["descriptor-file": path, "message-name": "shop.v1.Shap"]).contains("shop.v1.Shop"))
        #expect(text([Field("ix", .int)], good).contains("column ix is not in message shop.v1.Shop"))
        #expect(text([Field("id", .bigint)], good).contains("declare it as INT"))
        #expect(text([Field("n", .int)], good).contains("declare it as ARRAY"))
        #expect(text([Field("g", .row(id))], good).contains("is a group, which is not supported yet"))
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: path))
        #expect(text(id, good).contains("no descriptor set"))
        #expect(failure { _ = try ProtobufFormat().encoder(table([Field("name", .string)], good)) } != "")
    }

    @Test func writesNullsAsDefaultsInLists() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = try shop(folder)
        let columns: Schema = [Field("id", .int), Field("n", .array(.int)), Field("kind", .string)]
        let table = table(columns, ["descriptor-file": path, "message-name": "shop.v1.Shop"])
        let batch = Batch(schema: columns, rows: [[.int(0), .array([.int(1), .null]), .string("B")], [.int(300), .null, .null]])
        #expect(try ProtobufFormat().encoder(table).messages(batch) == [[0x08, 0, 0x18, 1, 0x18, 0, 0x30, 5], [0x08, 0xAC, 0x02]])
        #expect(failure { _ = try ProtobufFormat().encoder(table).messages(Batch(schema: columns, rows: [[.int(1), .null, .string("C")]])) }.contains("none of its enum's"))
        #expect(failure { _ = try ProtobufFormat().encoder(table).messages(Batch(schema: columns, rows: [[.null, .null, .null]])) }.contains("required"))
    }
}
