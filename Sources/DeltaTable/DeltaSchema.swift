import Foundation
import LakeTable
import StreamCore

/// The columns of a table as Delta's JSON writes them.
struct DeltaSchema: Sendable {
    /// As our columns.
    let columns: Schema
    /// Columns that must not be NULL.
    let required: Set<String>
    /// Columns that have a type that we read, but do not write: name and Delta's name of the type.
    let readOnly: [(column: String, type: String)]
    /// Rules of columns that a writer must keep, with the column's name: `delta.invariants`, ...
    let rules: [(column: String, rule: String)]

    /// Metadata of columns that says something of what may be written.
    private static let ruleKeys = ["delta.invariants", "delta.generationExpression", "delta.identity.start", "delta.identity.step"]

    // MARK: Reading

    init(json text: String, table: String) throws {
        func damaged(_ what: String) -> StreamError { StreamError(.corrupt, "Delta table \(table): its schema \(what): \(text.prefix(500))") }
        guard let root = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], let fields = root["fields"] as? [Any] else {
            throw damaged("is not the JSON of a struct")
        }
        var columns: Schema = [], required: Set<String> = [], readOnly: [(String, String)] = [], rules: [(String, String)] = []
        for field in fields {
            guard let field = field as? [String: Any], let name = field["name"] as? String, let type = field["type"] else { throw damaged("has a field without name or type") }
            var unwritable: String?
            columns.append(Field(name, try Self.type(type, path: name, table: table, &unwritable)))
            if let unwritable { readOnly.append((name, unwritable)) }
            if field["nullable"] as? Bool == false { required.insert(name) }
            let metadata = field["metadata"] as? [String: Any] ?? [:]
            for key in Self.ruleKeys where metadata[key] != nil { rules.append((name, key)) }
        }
        (self.columns, self.required, self.readOnly, self.rules) = (columns, required, readOnly, rules)
    }

    private static func type(_ json: Any, path: String, table: String, _ unwritable: inout String?) throws -> DataType {
        func unknown(_ what: String) -> StreamError {
            StreamError(.validate, "Delta table \(table): column \(path) has the type \(what), which is not known here")
        }
        if let name = json as? String {
            switch name {
            case "string": return .string
            case "long": return .bigint
            case "integer": return .int
            case "short", "byte":
                unwritable = name
                return .int
            case "float": return .float
            case "double": return .double
            case "boolean": return .boolean
            case "binary": return .bytes
            case "date": return .date
            case "timestamp": return .timestamp(6)
            case "timestamp_ntz":
                unwritable = name
                return .timestamp(6)
            case "decimal": return .decimal(precision: 10, scale: 0)
            default:
                let numbers = name.hasPrefix("decimal(") && name.hasSuffix(")")
                    ? name.dropFirst(8).dropLast().split(separator: ",").compactMap { Int(String($0).trimmed) } : []
                guard numbers.count == 2, (1...38).contains(numbers[0]), (0...numbers[0]).contains(numbers[1]) else { throw unknown(name) }
                return .decimal(precision: numbers[0], scale: numbers[1])
            }
        }
        guard let object = json as? [String: Any], let kind = object["type"] as? String else { throw unknown("\(json)") }
        switch kind {
        case "struct":
            let fields = object["fields"] as? [[String: Any]] ?? []
            return .row(try fields.map { field in
                guard let name = field["name"] as? String, let type = field["type"] else { throw unknown("struct with a field without a name") }
                return Field(name, try Self.type(type, path: "\(path).\(name)", table: table, &unwritable))
            })
        case "array":
            return .array(try Self.type(object["elementType"] ?? "", path: path, table: table, &unwritable))
        case "map":
            return .map(key: try Self.type(object["keyType"] ?? "", path: path, table: table, &unwritable),
                        value: try Self.type(object["valueType"] ?? "", path: path, table: table, &unwritable))
        default: throw unknown(kind)
        }
    }

    // MARK: Writing

    /// The JSON of the columns of a new table.
    static func json(_ columns: Schema) throws -> String {
        #"{"type":"struct","fields":["# + (try columns.map { try field($0, path: $0.name) }).joined(separator: ",") + "]}"
    }

    /// The JSON of a table that gets more columns; what is said of the others stays as it is.
    static func json(_ text: String, adding columns: ArraySlice<Field>, table: String) throws -> String {
        guard var root = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], var fields = root["fields"] as? [Any] else {
            throw StreamError(.corrupt, "Delta table \(table): its schema is not the JSON of a struct: \(text.prefix(500))")
        }
        for column in columns { fields.append(try JSONSerialization.jsonObject(with: Data(try field(column, path: column.name).utf8))) }
        root["fields"] = fields
        return String(decoding: try JSONSerialization.data(withJSONObject: root, options: [.sortedKeys, .withoutEscapingSlashes]), as: UTF8.self)
    }

    private static func field(_ field: Field, path: String) throws -> String {
        #"{"name":\#(JSONText.quote(field.name)),"type":\#(try type(field.type, path: path)),"nullable":true,"metadata":{}}"#
    }

    private static func type(_ type: DataType, path: String) throws -> String {
        switch type {
        case .boolean: return #""boolean""#
        case .int: return #""integer""#
        case .bigint: return #""long""#
        case .float: return #""float""#
        case .double: return #""double""#
        case .date: return #""date""#
        case .timestamp: return #""timestamp""#
        case .decimal(let precision, let scale): return #""decimal(\#(precision),\#(scale))""#
        case .array(let element): return #"{"type":"array","elementType":\#(try self.type(element, path: path)),"containsNull":true}"#
        case .map(let key, let value):
            return #"{"type":"map","keyType":\#(try self.type(key, path: path)),"valueType":\#(try self.type(value, path: path)),"valueContainsNull":true}"#
        case .row(let fields):
            return #"{"type":"struct","fields":["# + (try fields.map { try field($0, path: "\(path).\($0.name)") }).joined(separator: ",") + "]}"
        case _ where type.isText: return #""string""#
        case _ where type.isBinary: return #""binary""#
        default:
            throw StreamError(.validate, "column \(path): a Delta table has no type for \(type)",
                              fix: type.isTime ? "cast it to STRING or INT" : "cast it to another type")
        }
    }

    /// The types of columns as a Delta table stores them.
    /// - Throws: `.validate` for types and names that it cannot have, naming the column.
    static func stored(_ schema: Schema) throws -> Schema {
        let stored = try StoredTypes.stored(schema)
        _ = try json(stored)
        var seen: [String: String] = [:]
        for column in stored {
            if let bad = column.name.first(where: { " ,;{}()\n\t=".contains($0) }) {
                throw StreamError(.validate, "column '\(column.name)': the names of columns in a Delta table must not contain '\(bad)'", fix: "rename the column")
            }
            if let other = seen.updateValue(column.name, forKey: column.name.lowercased()) {
                throw StreamError(.validate, "columns '\(other)' and '\(column.name)' have the same name in a Delta table, where case does not count",
                                  fix: "rename one of them")
            }
        }
        return stored
    }

    /// The columns of the next commit: those of the table, then new ones.
    /// - Throws: `.validate` for any other change, naming the column.
    static func evolve(table current: Schema, writer: Schema, name: String, missing: Bool = false) throws -> Schema {
        for column in current {
            guard let wanted = writer.first(where: { $0.name == column.name }), !SchemaEvolution.same(column.type, wanted.type),
                  !SchemaEvolution.widens(wanted.type, to: column.type) else { continue }
            throw StreamError(.validate, "column \(column.name) is \(column.type) in Delta table \(name), but \(wanted.type) in what is written; "
                              + "the type of a column of a Delta table does not change", fix: "declare \(column.name) \(column.type)")
        }
        let merged = try SchemaEvolution.merge(table: current, writer: writer, name: name, missing: missing)
        _ = try stored(merged)
        return merged
    }
}

extension DataType {
    var isTime: Bool {
        if case .time = self { return true }
        return false
    }
}
