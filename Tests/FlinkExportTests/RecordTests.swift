import FileConnectors
import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import StreamTesting
import Testing

@testable import FlinkExport

/// Records of formats that Flink lacks: the views of `golden/` over the files of `records/` gave what is in `expected/` on a real Flink; here
/// the tables themselves must give the same.
@Suite("Change records as views") struct RecordTests {
    static let items = "id STRING, n BIGINT, price DECIMAL(10, 2), ok BOOLEAN, raw BYTES, day DATE, at TIMESTAMP(3), place ROW<city STRING, floor INT>, note STRING"
    static let told = [
        Column(name: "source", type: "STRING", kind: .metadata(key: "table", virtual: true)),
        Column(name: "changed", type: "TIMESTAMP_LTZ(3)", kind: .metadata(key: "approximate-creation-time", virtual: true)),
    ]
    static let history = [
        Column(name: "what", type: "STRING", kind: .metadata(key: "event-name", virtual: true)),
        Column(name: "changed", type: "TIMESTAMP_LTZ(3)", kind: .metadata(key: "approximate-creation-time", virtual: true)),
        Column(name: "later", type: nil, kind: .computed("`changed` + INTERVAL '1' HOUR")),
    ]
    static let dynamoDB = ["connector": "filesystem", "path": "/in/dynamodb", "format": "dynamodb-json", "dynamodb-json.changelog-mode": "upsert", "dynamodb-json.table.include": "items|orders"]
    static let policies = "id INT, name STRING, amount DECIMAL(8, 2), expires DATE"
    static let op = [Column(name: "op", type: "STRING", kind: .metadata(key: "op", virtual: true)), Column(name: "at", type: "TIMESTAMP(6)", kind: .metadata(key: "timestamp", virtual: true))]
    static func dms(_ form: String, _ folder: String) -> [String: String] {
        ["connector": "filesystem", "path": "/in/\(folder)", "format": "dms", "dms.file-format": form, "dms.timestamp-column": "ts"].merging(form == "csv" ? ["dms.full-load.op-column": "true"] : [:]) { $1 }
    }

    @Test func typesTakenApart() {
        #expect(TypeText("VARCHAR(2147483647)").sql == "STRING" && TypeText("varchar(20)").name == "VARCHAR" && TypeText("TIMESTAMP(3) WITH LOCAL TIME ZONE").name == "TIMESTAMP_LTZ")
        let row = TypeText("ROW<a INT, `b c` DECIMAL(10, 2), d ROW<floor ARRAY<STRING>>>")
        #expect(row.fields.map(\.name) == ["a", "b c", "d"] && row.sql == "ROW<`a` INT, `b c` DECIMAL(10, 2), `d` ROW<`floor` ARRAY<STRING>>>")
    }

    @Test("the table gives the rows that its view gave on Flink", arguments: ["dynamodb", "dynamodb-keys", "dynamodb-append", "dms-json", "dms-csv", "dms-envelope", "csv-header"])
    func same(name: String) throws {
        let given = try #require(TableTests.all.first { $0.0 == name }?.1)
        var declaration = given.declaration
        declaration.options["path"] = Golden.directory.appending(path: "records/" + String(given.declaration.options["path"]!.dropFirst(4))).path
        // Declared without quotes in the types, as users write them; `floor` needs them here, too.
        for i in declaration.columns.indices { declaration.columns[i].type = declaration.columns[i].type.map { TypeText($0).sql } }
        let names = declaration.columns.map(\.name)
        let texts = declaration.columns.map { column in
            column.type == "BYTES" ? "CONCAT('x''', LOWER(HEX(`\(column.name)`)), '''')" : "CAST(`\(column.name)` AS STRING)"
        }
        let session = SQLSession(connectors: [FilesystemConnector()])
        let script = declaration.statement(named: given.name) + ";\nSELECT \(texts.joined(separator: ", ")) FROM \(given.name);"
        var rows: [[String?]] = []
        for statement in try SQLParser(text: script).parseScript() {
            guard case .query(let planned) = try session.execute(statement) else { continue }
            let sink = CollectingSink(maxParallelism: 1)
            _ = try JobExecution(try planned.jobGraph(into: sink)).run()
            for row in sink.rows {
                let texts = row.values.map { if case .string(let text) = $0 { text } else { String?.none } }
                if row.kind.isAdd { rows.append(texts) } else if let at = rows.lastIndex(of: texts) { rows.remove(at: at) }
            }
        }
        let expected = try String(contentsOf: Golden.directory.appending(path: "expected/\(name).jsonl"), encoding: .utf8).split(separator: "\n").map { line in
            let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            return names.map { name in
                switch object[name] {
                case let text as String: text
                case let number as NSNumber where line.contains("\"\(name)\": true") || line.contains("\"\(name)\": false"): number.boolValue ? "TRUE" : "FALSE"
                case let number as NSNumber: number.stringValue
                default: String?.none
                }
            }
        }
        #expect(!expected.isEmpty)
        #expect(rows.map { "\($0)" }.sorted() == expected.map { "\($0)" }.sorted())
    }
}
