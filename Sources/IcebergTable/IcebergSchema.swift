import LakeTable
import StreamCore

/// Iceberg's types; nested ones have ids for their parts.
indirect enum IcebergType: Hashable, Sendable {
    case boolean, int, long, float, double, date, time, timestamp, timestamptz, string, uuid, binary
    case decimal(precision: Int, scale: Int)
    case fixed(Int)
    case list(element: IcebergField)
    case map(key: IcebergField, value: IcebergField)
    case structure([IcebergField])

    /// - Throws: `.validate` for types that are not part of format version 2.
    init(_ json: JSON, column: String) throws {
        func unknown(_ text: String) -> StreamError {
            StreamError(.validate, "column \(column) has the Iceberg type '\(text)', which is not supported", fix: "read the table with an engine that knows the type")
        }
        if let text = json.string {
            let simple: [String: IcebergType] = [
                "boolean": .boolean, "int": .int, "long": .long, "float": .float, "double": .double, "date": .date, "time": .time,
                "timestamp": .timestamp, "timestamptz": .timestamptz, "string": .string, "uuid": .uuid, "binary": .binary,
            ]
            if let type = simple[text] {
                self = type
            } else if text.hasPrefix("decimal"), case let parts = text.split(whereSeparator: { !$0.isNumber }).compactMap({ Int($0) }), parts.count == 2 {
                self = .decimal(precision: parts[0], scale: parts[1])
            } else if text.hasPrefix("fixed"), let n = text.split(whereSeparator: { !$0.isNumber }).first.flatMap({ Int($0) }) {
                self = .fixed(n)
            } else {
                throw unknown(text)
            }
            return
        }
        func part(_ name: String, required: Bool) throws -> IcebergField {
            guard let id = json["\(name)-id"]?.int, let type = json[name] else { throw unknown(json.text()) }
            return IcebergField(id: Int(id), name: name, required: required, type: try IcebergType(type, column: "\(column).\(name)"))
        }
        switch json["type"]?.string {
        case "list": self = .list(element: try part("element", required: json["element-required"]?.bool ?? false))
        case "map": self = .map(key: try part("key", required: true), value: try part("value", required: json["value-required"]?.bool ?? false))
        case "struct": self = .structure(try (json["fields"]?.array ?? []).map { try IcebergField($0, in: column) })
        default: throw unknown(json.text())
        }
    }

    var json: JSON {
        switch self {
        case .decimal(let p, let s): .string("decimal(\(p), \(s))")
        case .fixed(let n): .string("fixed[\(n)]")
        case .list(let e):
            .object([.init("type", .string("list")), .init("element-id", .int(Int64(e.id))), .init("element", e.type.json), .init("element-required", .bool(e.required))])
        case .map(let k, let v):
            .object([.init("type", .string("map")), .init("key-id", .int(Int64(k.id))), .init("key", k.type.json), .init("value-id", .int(Int64(v.id))),
                     .init("value", v.type.json), .init("value-required", .bool(v.required))])
        case .structure(let fields): .object([.init("type", .string("struct")), .init("fields", .array(fields.map(\.json)))])
        default: .string("\(self)")
        }
    }

    /// What our columns hold of it.
    var dataType: DataType {
        switch self {
        case .boolean: .boolean
        case .int: .int
        case .long: .bigint
        case .float: .float
        case .double: .double
        case .date: .date
        case .time: .time(3)
        case .timestamp: .timestamp(6)
        case .timestamptz: .timestampLTZ(6)
        case .string: .string
        case .uuid: .binary(16)
        case .binary: .bytes
        case .fixed(let n): .binary(n)
        case .decimal(let p, let s): .decimal(precision: p, scale: s)
        case .list(let e): .array(e.type.dataType)
        case .map(let k, let v): .map(key: k.type.dataType, value: v.type.dataType)
        case .structure(let fields): .row(fields.map { Field($0.name, $0.type.dataType) })
        }
    }

    /// A type for stored columns; `id` gives the ids of nested parts.
    init(_ type: DataType, id: () -> Int) {
        switch type {
        case .boolean: self = .boolean
        case .tinyint, .smallint, .int: self = .int
        case .bigint: self = .long
        case .float: self = .float
        case .double: self = .double
        case .decimal(let p, let s): self = .decimal(precision: p, scale: s)
        case .date: self = .date
        case .time: self = .time
        case .timestamp: self = .timestamp
        case .timestampLTZ: self = .timestamptz
        case .binary, .varbinary: self = .binary
        case .array(let e):
            let number = id()
            self = .list(element: IcebergField(id: number, name: "element", required: false, type: IcebergType(e, id: id)))
        case .map(let k, let v):
            let key = id(), value = id()
            self = .map(key: IcebergField(id: key, name: "key", required: true, type: IcebergType(k, id: id)),
                        value: IcebergField(id: value, name: "value", required: false, type: IcebergType(v, id: id)))
        case .row(let fields):
            let numbers = fields.map { _ in id() }
            self = .structure(zip(fields, numbers).map { IcebergField(id: $1, name: $0.name, required: false, type: IcebergType($0.type, id: id)) })
        default: self = .string
        }
    }

    /// Why rows of this type cannot be written by us; nil when they can.
    var unwritable: String? {
        switch self {
        case .uuid, .fixed: "\(json.string!)"
        case .list(let e): e.type.unwritable
        case .map(let k, let v): k.type.unwritable ?? v.type.unwritable
        case .structure(let fields): fields.lazy.compactMap(\.type.unwritable).first
        default: nil
        }
    }
}

struct IcebergField: Hashable, Sendable {
    var id: Int
    var name: String
    var required: Bool
    var type: IcebergType
    var doc: String?

    init(id: Int, name: String, required: Bool, type: IcebergType, doc: String? = nil) {
        (self.id, self.name, self.required, self.type, self.doc) = (id, name, required, type, doc)
    }

    init(_ json: JSON, in path: String = "") throws {
        guard let id = json["id"]?.int, let name = json["name"]?.string, let type = json["type"] else {
            throw StreamError(.corrupt, "a column of an Iceberg schema has no id, name or type: \(json.text().prefix(200))", fix: "restore the metadata file")
        }
        self.init(id: Int(id), name: name, required: json["required"]?.bool ?? false,
                  type: try IcebergType(type, column: path.isEmpty ? name : "\(path).\(name)"), doc: json["doc"]?.string)
    }

    var json: JSON {
        var members: [JSON.Member] = [.init("id", .int(Int64(id))), .init("name", .string(name)), .init("required", .bool(required)), .init("type", type.json)]
        if let doc { members.append(.init("doc", .string(doc))) }
        return .object(members)
    }

    /// This field and those within it.
    func visit(_ body: (IcebergField) -> Void) {
        body(self)
        switch type {
        case .list(let e): e.visit(body)
        case .map(let k, let v):
            k.visit(body)
            v.visit(body)
        case .structure(let fields): for field in fields { field.visit(body) }
        default: break
        }
    }
}

struct IcebergSchema: Hashable, Sendable {
    var id: Int
    var fields: [IcebergField]
    var identifierIDs: [Int]

    init(id: Int, fields: [IcebergField], identifierIDs: [Int]) { (self.id, self.fields, self.identifierIDs) = (id, fields, identifierIDs) }

    init(_ json: JSON) throws {
        id = Int(json["schema-id"]?.int ?? 0)
        fields = try (json["fields"]?.array ?? []).map { try IcebergField($0) }
        identifierIDs = (json["identifier-field-ids"]?.array ?? []).compactMap { $0.int.map { Int($0) } }
    }

    var json: JSON {
        var members: [JSON.Member] = [.init("type", .string("struct")), .init("schema-id", .int(Int64(id))), .init("fields", .array(fields.map(\.json)))]
        if !identifierIDs.isEmpty { members.append(.init("identifier-field-ids", .array(identifierIDs.map { .int(Int64($0)) }))) }
        return .object(members)
    }

    /// Our form of the columns.
    var columns: Schema { fields.map { Field($0.name, $0.type.dataType, nullable: !$0.required) } }

    func field(_ id: Int) -> IcebergField? { fields.first { $0.id == id } }
    func field(named name: String) -> IcebergField? { fields.first { $0.name == name } }

    /// Types of all fields, nested ones too, by id.
    var allTypes: [Int: IcebergType] {
        var out: [Int: IcebergType] = [:]
        for field in fields { field.visit { out[$0.id] = $0.type } }
        return out
    }
}

/// What of our types a table stores, and how its columns may change.
enum IcebergTypes {
    /// - Throws: `.validate` for types that a table cannot hold, naming the column.
    static func stored(_ type: DataType, column: String) throws -> DataType {
        func refuse(_ why: String, fix: String) -> StreamError { StreamError(.validate, "column \(column): \(why)", fix: fix) }
        switch type {
        case .boolean, .int, .bigint, .float, .double, .date, .decimal: return type
        case .tinyint, .smallint: return .int
        case .char, .varchar: return .string
        case .binary, .varbinary: return .bytes
        case .time: return .time(3)
        case .timestamp(let p), .timestampLTZ(let p):
            guard p <= 6 else { throw refuse("\(type) does not fit an Iceberg table, which stores microseconds", fix: "declare a precision of 6, or cast to it") }
            if case .timestamp = type { return .timestamp(6) }
            return .timestampLTZ(6)
        case .array(let element): return .array(try stored(element, column: column))
        case .map(let key, let value): return .map(key: try stored(key, column: column), value: try stored(value, column: column))
        case .row(let fields): return .row(try fields.map { Field($0.name, try stored($0.type, column: "\(column).\($0.name)")) })
        case .intervalYearMonth, .intervalDayTime: throw refuse("\(type) cannot be stored", fix: "cast it to BIGINT")
        case .variant: throw refuse("an Iceberg table of version 2 holds no VARIANT", fix: "store JSON_STRING(...) of it as STRING")
        case .null: throw refuse("it has no type", fix: "cast NULL to the type you want")
        }
    }

    static func stored(_ schema: Schema) throws -> Schema {
        try schema.map { Field($0.name, try stored($0.type, column: $0.name)) }
    }

    /// The promotions that the format allows.
    static func promotes(_ from: DataType, _ to: DataType) -> Bool {
        switch (from, to) {
        case (.int, .bigint), (.float, .double): true
        case (.decimal(let p, let s), .decimal(let q, let t)): s == t && q >= p
        default: false
        }
    }

    /// Whether a stored column can be read as a declared type.
    static func canRead(_ stored: DataType, as type: DataType) -> Bool {
        guard let wanted = try? self.stored(type, column: "") else { return false }
        return stored.isTimestamp && type.isTimestamp || SchemaEvolution.same(stored, wanted) || promotes(stored, wanted) || SchemaEvolution.widens(stored, to: wanted)
    }
}
