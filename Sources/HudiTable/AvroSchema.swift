import Foundation
import StreamCore

/// Table schemas as Avro JSON, the form in which commits and data files carry them.
enum AvroSchema {
    static let metaColumns = ["_hoodie_commit_time", "_hoodie_commit_seqno", "_hoodie_record_key", "_hoodie_partition_path", "_hoodie_file_name"]

    /// The type that a table stores for a column type: small integers as INT, text without a length, timestamps as
    /// microseconds, TIME as milliseconds.
    /// - Throws: `.validate` for types that a table cannot hold, naming the column.
    static func stored(_ type: DataType, column: String) throws -> DataType {
        func refuse(_ why: String, fix: String) -> StreamError { StreamError(.validate, "column \(column): \(why)", fix: fix) }
        switch type {
        case .boolean, .int, .bigint, .float, .double, .date: return type
        case .tinyint, .smallint: return .int
        case .decimal: return type
        case .char, .varchar: return .string
        case .binary, .varbinary: return .bytes
        case .time: return .time(3)
        case .timestamp(let p), .timestampLTZ(let p):
            guard p <= 6 else {
                throw refuse("\(type) does not fit a Hudi table, which stores microseconds", fix: "declare TIMESTAMP(6), or cast to it")
            }
            return .timestamp(6)
        case .array(let element): return .array(try stored(element, column: column))
        case .map(let key, let value):
            guard key.isText else { throw refuse("\(type) has keys that are not text", fix: "use MAP<STRING, ...>") }
            return .map(key: .string, value: try stored(value, column: column))
        case .row(let fields): return .row(try fields.map { Field($0.name, try stored($0.type, column: "\(column).\($0.name)")) })
        case .intervalYearMonth, .intervalDayTime: throw refuse("\(type) cannot be stored", fix: "cast it to BIGINT")
        case .variant: throw refuse("a Hudi table holds no VARIANT", fix: "store JSON_STRING(...) of it as STRING")
        case .null: throw refuse("it has no type", fix: "cast NULL to the type you want")
        }
    }

    static func stored(_ schema: Schema) throws -> Schema {
        try schema.map { Field($0.name, try stored($0.type, column: $0.name)) }
    }

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

/// Which changes of a table's columns are allowed.
enum SchemaEvolution {
    /// The schema of the next commit, given the table's and the writer's (both as stored).
    /// - Throws: `.validate` unless the writer's columns are the table's in the same order, of the same or a wider type,
    ///   followed by new ones.
    static func merge(table current: Schema, writer: Schema, name: String) throws -> Schema {
        for (i, column) in current.enumerated() {
            guard let at = writer.firstIndex(where: { $0.name == column.name }) else {
                throw StreamError(.validate, "Hudi table \(name) has a column \(column.name) \(column.type) that the declaration lacks",
                                  fix: "add it to CREATE TABLE as column \(i + 1)")
            }
            guard at == i else {
                throw StreamError(.validate, "column \(column.name) is number \(i + 1) in Hudi table \(name), but number \(at + 1) in the declaration",
                                  fix: "keep the table's order: \(current.map(\.name).joined(separator: ", ")); new columns go to the end")
            }
            guard same(column.type, writer[at].type) || widens(column.type, to: writer[at].type) else {
                throw StreamError(.validate, "column \(column.name) is \(column.type) in Hudi table \(name), but \(writer[at].type) in the declaration",
                                  fix: "declare \(column.type); only INT to BIGINT, FLOAT, DOUBLE, BIGINT to FLOAT, DOUBLE and FLOAT to DOUBLE can be changed")
            }
        }
        return writer
    }

    /// Equal as stored, whatever is said about nulls.
    static func same(_ a: DataType, _ b: DataType) -> Bool {
        switch (a, b) {
        case (.array(let x), .array(let y)): same(x, y)
        case (.map(_, let x), .map(_, let y)): same(x, y)
        case (.row(let x), .row(let y)): x.count == y.count && zip(x, y).allSatisfy { $0.name == $1.name && same($0.type, $1.type) }
        case (.binary, .varbinary), (.varbinary, .binary): true
        default: a == b
        }
    }

    static func widens(_ from: DataType, to: DataType) -> Bool {
        switch (from, to) {
        case (.int, .bigint), (.int, .float), (.int, .double), (.bigint, .float), (.bigint, .double), (.float, .double): true
        default: false
        }
    }
}
