import StreamCore
import Testing

@testable import StreamFormats

private func decoder(_ schema: Schema, _ options: [String: String] = [:], key: [String] = ["id"], metadata: [String] = [], metrics: OperatorMetrics = OperatorMetrics())
    throws -> any RecordDecoder
{
    let table = TableDescriptor(name: "t", schema: schema, primaryKey: key, options: options.merging(["format": "dynamodb-json"]) { $1 })
    return try FormatFactory.decoder(for: table, projection: Array(schema.indices), metadata: metadata, metrics: metrics)
}

private func texts(_ batch: Batch) -> [String] {
    zip(0..<batch.count, batch.rows()).map { i, row in "\(batch.kind(atPhysical: i)) " + row.map { "\($0)" }.joined(separator: "|") }
}

private func changes(_ decoder: any RecordDecoder, _ records: [String]) throws -> [String] { texts(try decoder.messages(records.map { Array($0.utf8) }).batch) }

private func json(_ value: Value) -> String {
    guard case .binary(let bytes) = value else { return "\(value)" }
    return bytes.withUnsafeBytes { VariantJSON.text(Variant($0)) }
}

@Suite("dynamodb-json") struct DynamoDBTests {
    static let schema: Schema = [Field("id", .string), Field("n", .bigint)]
    static let insert = #"{"eventID":"e1","eventName":"INSERT","tableName":"orders","awsRegion":"eu-west-1","dynamodb":{"ApproximateCreationDateTime":1700000000123,"Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"},"n":{"N":"1"}},"SizeBytes":9}}"#
    static let modify = #"{"eventName":"MODIFY","tableName":"orders","dynamodb":{"Keys":{"id":{"S":"a"}},"OldImage":{"id":{"S":"a"},"n":{"N":"1"}},"NewImage":{"n":{"N":"2"},"id":{"S":"a"}}}}"#
    static let modifyNew = #"{"eventName":"MODIFY","tableName":"orders","dynamodb":{"Keys":{"id":{"S":"a"}},"NewImage":{"n":{"N":"3"},"id":{"S":"a"}}}}"#
    static let remove = #"{"eventName":"REMOVE","tableName":"orders","dynamodb":{"Keys":{"id":{"S":"a"}},"OldImage":{"id":{"S":"a"},"n":{"N":"2"}}}}"#
    static let removeKeys = #"{"eventName":"REMOVE","tableName":"orders","dynamodb":{"Keys":{"id":{"S":"a"}}}}"#

    private func row(_ kind: String, _ id: String, _ n: Int?) -> String { "\(kind) \(Value.string(id))|\(n.map { Value.int(Int64($0)) } ?? .null)" }

    @Test func kindsInEachMode() throws {
        #expect(try changes(decoder(Self.schema), [Self.insert, Self.modify, Self.remove])
            == [row("+I", "a", 1), row("-U", "a", 1), row("+U", "a", 2), row("-D", "a", 2)])
        let all = [Self.insert, Self.modify, Self.modifyNew, Self.remove, Self.removeKeys]
        #expect(try changes(decoder(Self.schema, ["dynamodb-json.changelog-mode": "upsert"]), all)
            == [row("+I", "a", 1), row("+U", "a", 2), row("+U", "a", 3), row("-D", "a", 2), row("-D", "a", nil)])
        #expect(try changes(decoder(Self.schema, ["dynamodb-json.changelog-mode": "append"], key: []), all)
            == [row("+I", "a", 1), row("+I", "a", 2), row("+I", "a", 3), row("+I", "a", 2), row("+I", "a", nil)])
        let table = TableDescriptor(name: "t", schema: Self.schema, primaryKey: ["id"], options: ["dynamodb-json.changelog-mode": "upsert"])
        #expect(DynamoDBFormat().changelogMode(table) == .upsert)
        #expect(failure { _ = try decoder(Self.schema, ["dynamodb-json.changelog-mode": "upsert"], key: []) }.contains("PRIMARY KEY"))
    }

    @Test func whatIsMissingIsTold() throws {
        let strict = try decoder(Self.schema)
        #expect(failure { _ = try changes(strict, [Self.modifyNew]) }.contains("'dynamodb-json.changelog-mode' = 'upsert'"))
        #expect(failure { _ = try changes(strict, [Self.removeKeys]) }.contains("\"OldImage\" of REMOVE is missing"))
        #expect(failure { _ = try changes(strict, [#"{"eventName":"UPSERT","dynamodb":{}}"#]) }.contains("unknown \"eventName\" value UPSERT"))
        #expect(failure { _ = try changes(strict, [#"{"dynamodb":{}}"#]) }.contains("\"eventName\" is missing"))
        #expect(failure { _ = try changes(strict, [#"{"eventName":"INSERT","dynamodb":{"NewImage":{"n":{"N":"x"}}}}"#]) }.contains("dynamodb.NewImage.n"))
        #expect(failure { _ = try changes(strict, [#"{"eventName":"INSERT","dynamodb":{"NewImage":{"n":7}}}"#]) }.contains("is not an attribute value of DynamoDB"))
        let metrics = OperatorMetrics()
        let lenient = try decoder(Self.schema, ["dynamodb-json.ignore-parse-errors": "true"], metrics: metrics)
        #expect(try changes(lenient, [Self.modifyNew, "{", Self.insert, #"{"eventName":"INSERT","dynamodb":{"NewImage":{"id":{"S":"b"},"n":{"N":"x"}}}}"#])
            == [row("+I", "a", 1), row("+I", "b", nil)])
        #expect(metrics.badRecords.get() == 2)
        var told: [BadRecord] = []
        let watched = try decoder(Self.schema)
        watched.onBadRecord = { told.append($0) }
        #expect(try changes(watched, [Self.insert, "{]", Self.modifyNew, Self.remove]).count == 2)
        #expect(told.map(\.record) == [2, 1] && told.map(\.row) == [1, 1])
    }

    @Test func typedValues() throws {
        let schema: Schema = [
            Field("s", .string), Field("i", .int), Field("d", .double), Field("big", .decimal(precision: 38, scale: 0)), Field("price", .decimal(precision: 10, scale: 2)),
            Field("b", .bytes), Field("flag", .boolean), Field("nothing", .string), Field("m", .row([Field("x", .int), Field("y", .array(.string))])),
            Field("map", .map(key: .string, value: .double)), Field("list", .array(.variant)), Field("ss", .array(.string)), Field("ns", .array(.bigint)),
            Field("bs", .array(.bytes)), Field("text", .string), Field("v", .variant), Field("digits", .string), Field("absent", .int), Field("day", .date),
            Field("at", .timestamp(3)), Field("raw", .bytes),
        ]
        let image = #"""
            {"s":{"S":"tab\tand \u00e9"},"i":{"N":"-42"},"d":{"N":"1.5"},"big":{"N":"12345678901234567890123456789012345678"},"price":{"N":"19.99"},
             "b":{"B":"AAEC"},"flag":{"BOOL":true},"nothing":{"NULL":true},"m":{"M":{"x":{"N":"7"},"y":{"L":[{"S":"p"},{"S":"q"}]}}},
             "map":{"M":{"one":{"N":"1"},"half":{"N":"0.5"}}},"list":{"L":[{"N":"1"},{"S":"two"},{"L":[{"BOOL":false}]}]},"ss":{"SS":["x","y"]},
             "ns":{"NS":["3","-4"]},"bs":{"BS":["AA==","/w=="]},"text":{"M":{"k":{"L":[{"N":"1.50"},{"NULL":true},{"S":"a\"b"}]},"set":{"NS":["1","2"]}}},
             "v":{"M":{"b":{"B":"AAEC"},"a":{"N":"99999999999999999999"}}},"digits":{"N":"100000000000000000000000000000000000000E-5"},
             "day":{"S":"2021-06-07"},"at":{"S":"2021-06-07T08:09:10.5Z"},"raw":{"S":"é"}}
            """#
        let record = #"{"eventName":"INSERT","dynamodb":{"NewImage":\#(image)}}"#
        let row = try decoder(schema, key: []).messages([Array(record.utf8)]).rows[0]
        #expect(row[0] == .string("tab\tand é") && row[1] == .int(-42) && row[2] == .double(1.5))
        #expect(row[3] == .decimal(12_345_678_901_234_567_890_123_456_789_012_345_678) && row[4] == .decimal(1_999))
        #expect(row[5] == .binary([0, 1, 2]) && row[6] == .bool(true) && row[7] == .null)
        #expect(row[8] == .row([.int(7), .array([.string("p"), .string("q")])]))
        #expect(row[9] == .map([.init(.string("one"), .double(1)), .init(.string("half"), .double(0.5))]))
        guard case .array(let list) = row[10] else { throw StreamError(.runtime, "\(row[10])") }
        #expect(list.map(json) == ["1", "\"two\"", "[false]"])
        #expect(row[11] == .array([.string("x"), .string("y")]) && row[12] == .array([.int(3), .int(-4)]))
        #expect(row[13] == .array([.binary([0]), .binary([255])]))
        #expect(row[14] == .string(#"{"k":[1.50,null,"a\"b"],"set":[1,2]}"#))
        #expect(json(row[15]) == #"{"a":99999999999999999999,"b":"AAEC"}"#)
        #expect(row[16] == .string("100000000000000000000000000000000000000E-5") && row[17] == .null)
        #expect(row[18] == .int(18_785) && row[19] == .int(1_623_053_350_500) && row[20] == .binary(Array("é".utf8)))
    }

    @Test func wrongTypesAreRefusedOrNull() throws {
        for (type, value) in [(DataType.int, #"{"S":"x"}"#), (.int, #"{"M":{}}"#), (.boolean, #"{"N":"1"}"#), (.array(.int), #"{"S":"[1]"}"#), (.bytes, #"{"N":"1"}"#),
                              (.row([Field("a", .int)]), #"{"L":[]}"#), (.tinyint, #"{"N":"300"}"#), (.date, #"{"N":"1"}"#)] {
            let record = #"{"eventName":"INSERT","dynamodb":{"NewImage":{"c":\#(value)}}}"#, schema: Schema = [Field("c", type)]
            #expect(failure { _ = try changes(decoder(schema, key: []), [record]) }.contains("cannot be read as \(type)"), "\(type) \(value)")
            #expect(try changes(decoder(schema, ["dynamodb-json.ignore-parse-errors": "true"], key: []), [record]) == ["+I \(Value.null)"], "\(type) \(value)")
        }
    }

    @Test func metadataOfBothKinds() throws {
        let keys = ["event-id", "event-name", "table", "sequence-number", "approximate-creation-time", "region", "size-bytes"]
        let stream = #"{"eventID":"e2","eventName":"REMOVE","awsRegion":"us-east-1","eventSourceARN":"arn:aws:dynamodb:us-east-1:1:table/people/stream/2024","dynamodb":{"ApproximateCreationDateTime":1700000000.5,"Keys":{"id":{"S":"a"}},"OldImage":{"id":{"S":"z"}},"SequenceNumber":"111","SizeBytes":26,"StreamViewType":"NEW_AND_OLD_IMAGES"}}"#
        let micros = #"{"eventName":"INSERT","dynamodb":{"NewImage":{},"ApproximateCreationDateTime":1700000000123456,"ApproximateCreationDateTimePrecision":"MICROSECOND"}}"#
        let rows = try decoder(Self.schema, metadata: keys).messages([Self.insert, stream, micros].map { Array($0.utf8) }).rows
        #expect(rows[0].dropFirst(2) == [.string("e1"), .string("INSERT"), .string("orders"), .null, .int(1_700_000_000_123_000), .string("eu-west-1"), .int(9)])
        #expect(rows[1].dropFirst(2) == [.string("e2"), .string("REMOVE"), .string("people"), .string("111"), .int(1_700_000_000_500_000), .string("us-east-1"), .int(26)])
        #expect(rows[2][6] == .int(1_700_000_000_123_456) && rows[2][4] == .null)
        let whole = try decoder([Field("id", .string)], ["dynamodb-json.changelog-mode": "upsert"], metadata: ["row", "keys"])
            .messages([Self.modify, Self.remove, Self.removeKeys].map { Array($0.utf8) }).rows
        #expect(whole.map { json($0[1]) } == [#"{"id":"a","n":2}"#, #"{"id":"a","n":2}"#, #"{"id":"a"}"#])
        #expect(whole.map { json($0[2]) } == [String](repeating: #"{"id":"a"}"#, count: 3))
        let both = try decoder([Field("id", .string)], metadata: ["keys", "row"]).messages([Array(Self.modify.utf8)]).rows
        #expect(both.map { json($0[2]) } == [#"{"id":"a","n":1}"#, #"{"id":"a","n":2}"#] && both.map { json($0[1]) } == [#"{"id":"a"}"#, #"{"id":"a"}"#])
    }

    @Test func tablesAreFiltered() throws {
        let other = #"{"eventName":"INSERT","tableName":"people","dynamodb":{"NewImage":{"n":{"S":"no number"}}}}"#
        let stream = #"{"eventName":"INSERT","eventSourceARN":"arn:aws:dynamodb:r:1:table/orders/stream/1","dynamodb":{"NewImage":{"id":{"S":"b"}}}}"#
        let options = ["dynamodb-json.table.include": "ord.*"]
        #expect(try changes(decoder(Self.schema, options), [Self.insert, other, stream]) == [row("+I", "a", 1), row("+I", "b", nil)])
        #expect(failure { _ = try changes(decoder(Self.schema, options), [#"{"eventName":"INSERT","dynamodb":{"NewImage":{}}}"#]) }.contains("names no table"))
    }

    @Test("GetRecords answers and events of functions hold several records")
    func envelopes() throws {
        let answer = #"{ "Records" : [\#(Self.insert), \#(Self.modify)], "NextShardIterator": "x" }"#
        let wanted = [row("+I", "a", 1), row("-U", "a", 1), row("+U", "a", 2)]
        #expect(try changes(decoder(Self.schema), [answer, Self.remove]) == wanted + [row("-D", "a", 2)])
        let (batch, consumed) = try decoder(Self.schema).decode(chunk: buffer(answer + "\n" + Self.remove), range: 0..<(answer.utf8.count + 1 + Self.remove.utf8.count), isLast: true, maxRows: 100)
        #expect(texts(try #require(batch)) == wanted + [row("-D", "a", 2)] && consumed == answer.utf8.count + 1 + Self.remove.utf8.count)
        #expect(failure { _ = try changes(decoder(Self.schema), [#"{"Records":[\#(Self.insert)]"#]) }.contains("ends too early"))
    }

    @Test("items are those that boto3 reads", arguments: UInt64(0)..<3)
    func againstBoto3(seed: UInt64) throws {
        let decoder = try decoder([Field("id", .string)], metadata: ["row"])
        for item in try PythonJudge.cases(PythonJudge.run("dynamodb_judge.py", ["\(seed)", "200"])) {
            let record = item["record"]!.string!
            let row = try decoder.messages([Array(record.utf8)]).rows[0]
            #expect(json(row[1]) == item["plain"]!.string!, "\(record), seed \(seed)")
        }
    }

    @Test("mutated records never crash, and lines give what messages give", arguments: UInt64(0)..<4)
    func mutations(seed: UInt64) throws {
        var random = SeededGenerator(seed + 1)
        let schema: Schema = [
            Field("id", .string), Field("n", .bigint), Field("m", .row([Field("x", .double), Field("l", .array(.string))])), Field("s", .array(.bytes)),
            Field("v", .variant), Field("t", .string), Field("k", .map(key: .string, value: .decimal(precision: 10, scale: 2))),
        ]
        let item = #"{"id":{"S":"a\u00e9"},"n":{"N":"12"},"m":{"M":{"x":{"N":"1.5"},"l":{"L":[{"S":"p"}]}}},"s":{"BS":["AAEC","/w=="]},"v":{"M":{"a":{"NS":["1","2.5"]},"b":{"BOOL":true}}},"t":{"L":[{"S":"x"},{"NULL":true}]},"k":{"M":{"p":{"N":"1.25"}}}}"#
        let base = #"{"eventName":"MODIFY","tableName":"t","dynamodb":{"Keys":{"id":{"S":"a"}},"OldImage":\#(item),"NewImage":\#(item),"SequenceNumber":"1"}}"#
        let alphabet = Array("{}[]:,\"\\0123456789.eE+-SNBMLOUtrufalsn ".utf8) + [0, 0x7F, 0x80, 0xC3, 0xFF]
        let lenient = try decoder(schema, ["dynamodb-json.ignore-parse-errors": "true"], metadata: ["row", "keys"])
        let strict = try decoder(schema, metadata: ["row", "keys"])
        strict.onBadRecord = { _ in }
        for _ in 0..<700 {
            var bytes = Array(base.utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[at] = alphabet.randomElement(using: &random)!
                case 1: bytes.remove(at: at)
                case 2: bytes.insert(alphabet.randomElement(using: &random)!, at: at)
                default: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...40, using: &random)))
                }
            }
            let message = try lenient.messages([bytes, Array(base.utf8)])
            #expect(message.batch.count >= 2, "\(String(decoding: bytes, as: UTF8.self)), seed \(seed)")
            let line = try lenient.rows(bytes + [10] + Array(base.utf8))
            #expect(line == message.rows, "\(String(decoding: bytes, as: UTF8.self)), seed \(seed)")
            #expect(try strict.messages([bytes]).batch.count <= 2)
        }
    }
}
