import Foundation
import StreamCore
import StreamFormats

/// Writes records that could not be delivered as Firehose does: a line of JSON for each, with the record in Base64.
///
///     {"attemptsMade":1,"arrivalTimestamp":1506035354675,"errorCode":"...","errorMessage":"...","attemptEndingTimestamp":...,"rawData":"..."}
///
/// Columns are found by their names: `code`, `reason`, `record` (STRING or BYTES) and `timestamp` (TIMESTAMP_LTZ(3)).
final class ErrorRecordEncoder: RecordEncoder {
    private let code: Int?, reason: Int?, record: Int?, timestamp: Int?
    private let errorCode: String
    private let types: [DataType]
    private let now: @Sendable () -> Int64

    static func check(_ table: TableDescriptor) throws {
        for field in table.schema {
            let fits = switch field.name {
            case "code", "reason": field.type.isText
            case "record": field.type.isText || Self.isBinary(field.type)
            case "timestamp": field.type == .timestampLTZ(3)
            default: false
            }
            guard fits else {
                throw StreamError(.validate, "table \(table.name): column \(field.name) \(field.type) is not one of a table of failed records",
                                  fix: "use these: code STRING, reason STRING, record BYTES, `timestamp` TIMESTAMP_LTZ(3)")
            }
        }
    }

    private static func isBinary(_ type: DataType) -> Bool {
        if case .varbinary = type { true } else if case .binary = type { true } else { false }
    }

    init(_ schema: Schema, errorCode: String, now: @escaping @Sendable () -> Int64) {
        func index(_ name: String) -> Int? { schema.firstIndex { $0.name == name } }
        (code, reason, record, timestamp) = (index("code"), index("reason"), index("record"), index("timestamp"))
        types = schema.map(\.type)
        self.errorCode = errorCode
        self.now = now
    }

    func encode(_ batch: Batch, into out: inout EncodedBytes) throws {
        for i in 0..<batch.count {
            line(batch, batch.row(i), into: &out)
            out.append(0x0A)
        }
    }

    func encode(_ batch: Batch, into out: inout EncodedBytes, ends: inout [Int]) throws {
        for i in 0..<batch.count {
            line(batch, batch.row(i), into: &out)
            ends.append(out.count)
        }
    }

    private func line(_ batch: Batch, _ row: Int, into out: inout EncodedBytes) {
        func value(_ column: Int?) -> Value { column.map { batch.columns[$0].value(at: row) } ?? .null }
        let time = now()
        var arrival = time
        if case .int(let given) = value(timestamp) { arrival = given }
        var code = errorCode, reason = "the record cannot be delivered", data: [UInt8] = []
        if case .string(let given) = value(self.code) { code = given }
        if case .string(let given) = value(self.reason) { reason = given }
        switch value(record) {
        case .string(let given): data = Array(given.utf8)
        case .binary(let given): data = given
        default: break
        }
        out.append("{\"attemptsMade\":1,\"arrivalTimestamp\":\(arrival),\"errorCode\":")
        Self.quote(code, into: &out)
        out.append(",\"errorMessage\":")
        Self.quote(reason, into: &out)
        out.append(",\"attemptEndingTimestamp\":\(time),\"rawData\":\"\(Data(data).base64EncodedString())\"}")
    }

    private static func quote(_ text: String, into out: inout EncodedBytes) {
        out.append(0x22)
        for byte in text.utf8 {
            switch byte {
            case 0x22, 0x5C:
                out.append(0x5C)
                out.append(byte)
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                out.append("\\u00")
                out.append(digits[Int(byte >> 4)])
                out.append(digits[Int(byte & 15)])
            default: out.append(byte)
            }
        }
        out.append(0x22)
    }
}
