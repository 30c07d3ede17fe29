import FileConnectors
import Foundation
import StreamCore
import StreamSQL
import Testing

@testable import FlinkExport

/// Records of formats that Flink lacks: the views of `golden/` over the files of `records/` gave, on a Flink 2.3.0 and a 1.20.3, what is in
/// `expected/`; here the tables themselves must give the same.
@Suite("Change records as views") struct RecordTests {
    static let items = "id STRING, n BIGINT, price DECIMAL(10, 2), ok BOOLEAN, raw BYTES, day DATE, at TIMESTAMP(3), place ROW<city STRING, floor INT>, note STRING"
    static let told = [
        Column(name: "source", type: "STRING", kind: .metadata(key: "table", virtual: true)),
        Column(name: "changed", type: "TIMESTAMP_LTZ(3)", kind: .metadata(key: "approximate-creation-time", virtual: true)),
    ]
    static let history = [
        Column(name: "what", type: "STRING", kind: .metadata(key: "event-name", virtual: true)), Column(name: "changed", type: "TIMESTAMP_LTZ(3)", kind: .metadata(key: "approximate-creation-time", virtual: true)),
        Column(name: "later", type: nil, kind: .computed("`changed` + INTERVAL '1' HOUR")),
    ]
    static let dynamoDB = ["connector": "filesystem", "path": "/in/dynamodb", "format": "dynamodb-json", "dynamodb-json.changelog-mode": "upsert", "dynamodb-json.table.include": "items|orders"]
    static let policies = "id INT, name STRING, amount DECIMAL(8, 2), expires DATE"
    static let op = [Column(name: "op", type: "STRING", kind: .metadata(key: "op", virtual: true)), Column(name: "at", type: "TIMESTAMP(6)", kind: .metadata(key: "timestamp", virtual: true))]
    static func dms(_ form: String, _ folder: String) -> [String: String] {
        ["connector": "filesystem", "path": "/in/\(folder)", "format": "dms", "dms.file-format": form, "dms.timestamp-column": "ts"].merging(form == "csv" ? ["dms.full-load.op-column": "true"] : [:]) { $1 }
    }
}
