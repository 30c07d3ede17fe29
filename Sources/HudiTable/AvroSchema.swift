import Foundation
import LakeTable
import StreamCore

/// Table schemas as Avro JSON, the form in which commits and data files carry them.
enum AvroSchema {
    static let metaColumns = ["_hoodie_commit_time", "_hoodie_commit_seqno", "_hoodie_record_key", "_hoodie_partition_path", "_hoodie_file_name"]

    /// Avro JSON of a stored schema; with the meta columns for data files, without them for commits.
    static func json(_ schema: Schema, table: String, withMetaColumns: Bool = false) -> String {
        let space = "hoodie.\(table)", record = "\(table)_record"
        var fields = withMetaColumns ? metaColumns.map { "{\"name\":\"\($0)\",\"type\":[\"null\",\"string\"],\"doc\":\"\",\"default\":null}" } : []
        fields += schema.map { field($0, space: "\(space).\(record)") }
        return "{\"type\":\"record\",\"name\":\(JSONText.quote(record)),\"namespace\":\(JSONText.quote(space)),\"fields\":["
            + fields.joined(separator: ",") + "]}"
    }

    private static func field(_ field: Field, space: String) -> String {
        "{\"name\":\(JSONText.quote(field.name)),\"type\":[\"null\",\(type(field.type, space: "\(space).\(field.name)"))],\"default\":null}"
    }

    /// `space` is unique to the column, so that named types are too.
    private static func type(_ type: DataType, space: String) -> String {
        switch type {
        case .boolean: return "\"boolean\""
        case .int: return "\"int\""
        case .bigint: return "\"long\""
        case .float: return "\"float\""
        case .double: return "\"double\""
        case .date: return "{\"type\":\"int\",\"logicalType\":\"date\"}"
        case .time: return "{\"type\":\"int\",\"logicalType\":\"time-millis\"}"
        case .timestamp, .timestampLTZ: return "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}"
        case .decimal(let p, let s):
            return "{\"type\":\"fixed\",\"name\":\"fixed\",\"namespace\":\(JSONText.quote(space)),\"size\":\(fixedSize(precision: p)),"
                + "\"logicalType\":\"decimal\",\"precision\":\(p),\"scale\":\(s)}"
        case .binary, .varbinary: return "\"bytes\""
        case .array(let element): return "{\"type\":\"array\",\"items\":[\"null\",\(self.type(element, space: space + ".element"))]}"
        case .map(_, let value): return "{\"type\":\"map\",\"values\":[\"null\",\(self.type(value, space: space + ".value"))]}"
        case .row(let fields):
            return "{\"type\":\"record\",\"name\":\"record\",\"namespace\":\(JSONText.quote(space)),\"fields\":["
                + fields.map { field($0, space: "\(space).record") }.joined(separator: ",") + "]}"
        default: return "\"string\""
        }
    }

    /// The smallest number of bytes that holds every value of a precision.
    static func fixedSize(precision: Int) -> Int {
        var limit = Int128(1)
        for _ in 0..<precision { limit *= 10 }
        limit -= 1
        for size in 1..<16 where limit < Int128(1) << Int128(8 * size - 1) { return size }
        return 16
    }

    /// The columns of an Avro record, meta columns left out.
    /// - Throws: `.corrupt` when the text is not Avro, `.validate` for types without a counterpart.
    static func parse(_ text: String, table: String) throws -> Schema {
        guard let record = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any],
              let fields = record["fields"] as? [[String: Any]] else {
            throw StreamError(.corrupt, "table \(table): its schema is not an Avro record: \(text.prefix(200))")
        }
        return try fields.compactMap { spec in
            guard let name = spec["name"] as? String, !metaColumns.contains(name) else { return nil }
            return try field(name, spec["type"], table: table)
        }
    }

    private static func field(_ name: String, _ spec: Any?, table: String) throws -> Field {
        var spec = spec, nullable = false
        if let union = spec as? [Any] {
            nullable = union.contains { $0 as? String == "null" }
            let rest = union.filter { $0 as? String != "null" }
            guard rest.count == 1 else { throw StreamError(.validate, "table \(table): column \(name) is a union of \(rest.count) types") }
            spec = rest[0]
        }
        return Field(name, try type(name, spec, table: table), nullable: nullable)
    }

    private static func type(_ name: String, _ spec: Any?, table: String) throws -> DataType {
        let node = spec as? [String: Any]
        let logical = node?["logicalType"] as? String
        let kind = node == nil ? spec as? String : node!["type"] as? String
        if logical == "decimal" {
            return .decimal(precision: node!["precision"] as? Int ?? 38, scale: node!["scale"] as? Int ?? 0)
        }
        switch (kind, logical) {
        case ("boolean", _): return .boolean
        case ("int", "date"): return .date
        case ("int", "time-millis"), ("long", "time-micros"): return .time(3)
        case ("int", _): return .int
        case ("long", "timestamp-millis"), ("long", "local-timestamp-millis"): return .timestamp(3)
        case ("long", "timestamp-micros"), ("long", "local-timestamp-micros"): return .timestamp(6)
        case ("long", _): return .bigint
        case ("float", _): return .float
        case ("double", _): return .double
        case ("string", _), ("enum", _): return .string
        case ("bytes", _): return .bytes
        case ("fixed", _): return .binary(node?["size"] as? Int ?? 1)
        case ("array", _): return .array(try field("\(name).element", node?["items"], table: table).type)
        case ("map", _): return .map(key: .string, value: try field("\(name).value", node?["values"], table: table).type)
        case ("record", _):
            return .row(try (node?["fields"] as? [[String: Any]] ?? []).map { try field($0["name"] as? String ?? "", $0["type"], table: table) })
        default: throw StreamError(.validate, "table \(table): column \(name) has an Avro type that is not supported: \(spec ?? "none")")
        }
    }
}
