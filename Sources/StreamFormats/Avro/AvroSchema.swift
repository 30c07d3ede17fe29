import StreamCore

/// A parsed Avro schema. Named types stand in a list, so that they can contain themselves.
struct AvroSchema: Sendable {
    indirect enum Node: Sendable {
        case null, boolean, float, double, string
        case int(Logical), long(Logical), bytes(Logical)
        case array(Node), map(Node)
        case union([Node])
        /// Index into ``AvroSchema/named``.
        case named(Int)
    }

    /// What a value means beyond its storage; kinds that are unknown here count as none, as the specification has it.
    enum Logical: Sendable {
        case none, date, timeMillis, timeMicros
        case decimal(precision: Int, scale: Int)
        /// Since 1970-01-01, with and without zone.
        case timestamp(TimeUnit)
    }

    enum Named: Sendable {
        case record(name: String, fields: [Field])
        case enumeration(name: String, symbols: [String])
        case fixed(name: String, size: Int, logical: Logical)
        /// Only while the schema is parsed.
        case open

        var name: String {
            switch self {
            case .record(let name, _), .enumeration(let name, _), .fixed(let name, _, _): name
            case .open: ""
            }
        }
    }

    struct Field: Sendable {
        var name: String
        var aliases: [String]
        var node: Node
        var defaultValue: JSONTree?
    }

    private(set) var root = Node.null
    private(set) var named: [Named] = []
    private var numbers: [String: Int] = [:]

    private static let depthMax = 100

    /// - Throws: `.validate` for what is no Avro schema.
    init(_ text: String) throws {
        root = try parse(JSONTree(text), namespace: "", 0)
    }

    private static func error(_ problem: String) -> StreamError { StreamError(.validate, problem) }

    private mutating func parse(_ tree: JSONTree, namespace: String, _ depth: Int) throws -> Node {
        guard depth < Self.depthMax else { throw Self.error("the Avro schema is nested deeper than \(Self.depthMax) levels") }
        switch tree {
        case .string(let name): return try named(name, namespace, .none)
        case .array(let branches):
            let nodes = try branches.map { branch in
                if case .array = branch { throw Self.error("a union stands directly in a union") }
                return try parse(branch, namespace: namespace, depth + 1)
            }
            return .union(nodes)
        case .object:
            switch tree["type"] {
            case .string("record"), .string("error"): return try record(tree, namespace, depth)
            case .string("enum"):
                let symbols = tree["symbols"]?.elements?.compactMap(\.string) ?? []
                guard !symbols.isEmpty || tree["symbols"]?.elements?.isEmpty == true else { throw Self.error("an Avro enum has no \"symbols\"") }
                let name = try fullName(tree, namespace)
                return .named(try define(name, .enumeration(name: name, symbols: symbols)))
            case .string("fixed"):
                guard let size = tree["size"]?.int, size >= 0, size < Int(Int32.max) else { throw Self.error("an Avro fixed type has no \"size\"") }
                let name = try fullName(tree, namespace)
                return .named(try define(name, .fixed(name: name, size: size, logical: logical(tree))))
            case .string("array"):
                guard let items = tree["items"] else { throw Self.error("an Avro array has no \"items\"") }
                return .array(try parse(items, namespace: namespace, depth + 1))
            case .string("map"):
                guard let values = tree["values"] else { throw Self.error("an Avro map has no \"values\"") }
                return .map(try parse(values, namespace: namespace, depth + 1))
            case .string(let name): return try named(name, namespace, logical(tree))
            case .some(let inner): return try parse(inner, namespace: namespace, depth + 1)
            case .none: throw Self.error("a part of the Avro schema has no \"type\"")
            }
        default: throw Self.error("a part of the Avro schema is neither a name, nor an object, nor an array")
        }
    }

    private func logical(_ tree: JSONTree) -> Logical {
        switch tree["logicalType"]?.string {
        case "date": return .date
        case "time-millis": return .timeMillis
        case "time-micros": return .timeMicros
        case "timestamp-millis", "local-timestamp-millis": return .timestamp(.milliseconds)
        case "timestamp-micros", "local-timestamp-micros": return .timestamp(.microseconds)
        case "timestamp-nanos", "local-timestamp-nanos": return .timestamp(.nanoseconds)
        case "decimal":
            guard let precision = tree["precision"]?.int, precision > 0 else { return .none }
            let scale = tree["scale"]?.int ?? 0
            return scale >= 0 && scale <= precision ? .decimal(precision: precision, scale: scale) : .none
        default: return .none
        }
    }

    private func named(_ name: String, _ namespace: String, _ logical: Logical) throws -> Node {
        switch name {
        case "null": return .null
        case "boolean": return .boolean
        case "int":
            switch logical {
            case .date, .timeMillis: return .int(logical)
            default: return .int(.none)
            }
        case "long":
            switch logical {
            case .timeMicros, .timestamp: return .long(logical)
            default: return .long(.none)
            }
        case "float": return .float
        case "double": return .double
        case "string": return .string
        case "bytes":
            if case .decimal = logical { return .bytes(logical) }
            return .bytes(.none)
        default:
            let full = name.contains(".") || namespace.isEmpty ? name : "\(namespace).\(name)"
            guard let number = numbers[full] ?? numbers[name] else { throw Self.error("the Avro schema names the type \"\(name)\" but does not define it") }
            return .named(number)
        }
    }

    private func fullName(_ tree: JSONTree, _ namespace: String) throws -> String {
        guard let name = tree["name"]?.string, !name.isEmpty else { throw Self.error("an Avro record, enum or fixed type has no \"name\"") }
        if name.contains(".") { return name }
        let own = tree["namespace"]?.string ?? namespace
        return own.isEmpty ? name : "\(own).\(name)"
    }

    private mutating func define(_ name: String, _ type: Named) throws -> Int {
        guard numbers[name] == nil else { throw Self.error("the Avro schema defines the type \"\(name)\" twice") }
        numbers[name] = named.count
        named.append(type)
        return named.count - 1
    }

    private mutating func record(_ tree: JSONTree, _ namespace: String, _ depth: Int) throws -> Node {
        let name = try fullName(tree, namespace)
        let number = try define(name, .open)
        let inner = name.split(separator: ".").dropLast().joined(separator: ".")
        guard let parts = tree["fields"]?.elements else { throw Self.error("the Avro record \"\(name)\" has no \"fields\"") }
        var fields: [Field] = []
        for part in parts {
            guard let own = part["name"]?.string, let type = part["type"] else {
                throw Self.error("a field of the Avro record \"\(name)\" has no \"name\" or no \"type\"")
            }
            guard !fields.contains(where: { $0.name == own }) else { throw Self.error("the Avro record \"\(name)\" has two fields \"\(own)\"") }
            fields.append(Field(name: own, aliases: part["aliases"]?.elements?.compactMap(\.string) ?? [],
                                node: try parse(type, namespace: inner, depth + 1), defaultValue: part["default"]))
        }
        named[number] = .record(name: name, fields: fields)
        return .named(number)
    }

    // MARK: For messages and bounds

    func description(_ node: Node) -> String {
        switch node {
        case .null: "null"
        case .boolean: "boolean"
        case .int: "int"
        case .long: "long"
        case .float: "float"
        case .double: "double"
        case .bytes: "bytes"
        case .string: "string"
        case .array(let items): "array of \(description(items))"
        case .map(let values): "map of \(description(values))"
        case .union(let nodes): "[" + nodes.map { description($0) }.joined(separator: ", ") + "]"
        case .named(let number):
            switch named[number] {
            case .record(let name, _): "record \(name)"
            case .enumeration(let name, _): "enum \(name)"
            case .fixed(let name, let size, _): "fixed(\(size)) \(name)"
            case .open: "record"
            }
        }
    }

    /// The least number of bytes that a value takes.
    func minimalSize(_ node: Node) -> Int {
        // Of types that are being looked at: at least nothing.
        var sizes: [Int: Int] = [:]
        func size(_ node: Node) -> Int {
            switch node {
            case .null: return 0
            case .boolean, .int, .long, .bytes, .string, .array, .map: return 1
            case .float: return 4
            case .double: return 8
            case .union(let nodes): return 1 + (nodes.map { size($0) }.min() ?? 0)
            case .named(let number):
                switch named[number] {
                case .enumeration: return 1
                case .fixed(_, let bytes, _): return bytes
                case .open: return 0
                case .record(_, let fields):
                    if let known = sizes[number] { return known }
                    sizes[number] = 0
                    let own = fields.reduce(0) { min($0 + size($1.node), 1 << 30) }
                    sizes[number] = own
                    return own
                }
            }
        }
        return size(node)
    }
}

/// The Avro schema of a table, as Flink derives it.
enum AvroSchemaText {
    static let recordName = "record", namespace = "org.apache.flink.avro.generated"

    /// - Parameters:
    ///   - legacy: both kinds of timestamps as Flink wrote them before 1.19: TIMESTAMP up to milliseconds only, no TIMESTAMP_LTZ.
    ///   - format: for error messages and their fixes.
    /// - Throws: `.validate` for a column that Avro has no form for.
    static func derive(_ schema: Schema, legacy: Bool, format: String) throws -> String {
        try Deriving(legacy: legacy, format: format).record(schema, recordName, isTop: true, path: "")
    }

    private struct Deriving {
        let legacy: Bool
        let format: String

        func record(_ fields: Schema, _ name: String, isTop: Bool, path: String) throws -> String {
            var text = "{\"type\":\"record\",\"name\":\(JSONTree.quoted(name))," + (isTop ? "\"namespace\":\"\(namespace)\"," : "") + "\"fields\":["
            for (i, field) in fields.enumerated() {
                try check(field.name)
                let own = path.isEmpty ? field.name : "\(path).\(field.name)"
                text += (i > 0 ? "," : "") + "{\"name\":\"\(field.name)\",\"type\":"
                text += try type(field.type, nullable: field.nullable, "\(name)_\(field.name)", own)
                text += field.nullable ? ",\"default\":null}" : "}"
            }
            return text + "]}"
        }

        private func check(_ name: String) throws {
            let isPlain = name.utf8.allSatisfy { $0 == UInt8(ascii: "_") || ($0 | 0x20) &- 97 < 26 || $0 &- 48 < 10 }
            guard isPlain, let first = name.utf8.first, first &- 48 >= 10 else {
                throw StreamError(.validate, "column \"\(name)\" cannot be a field of an Avro record, whose names consist of letters, digits and _",
                                  fix: "give the column another name")
            }
        }

        func type(_ type: DataType, nullable: Bool, _ name: String, _ path: String) throws -> String {
            let text = try plain(type, name, path)
            return nullable && type != .null ? "[\"null\",\(text)]" : text
        }

        private func plain(_ type: DataType, _ name: String, _ path: String) throws -> String {
            func logical(_ base: String, _ logical: String) -> String { "{\"type\":\"\(base)\",\"logicalType\":\"\(logical)\"}" }
            func unit(_ precision: Int) -> String { precision <= 3 ? "millis" : precision <= 6 ? "micros" : "nanos" }
            func refuse(_ why: String, _ fix: String) -> StreamError {
                StreamError(.validate, "column \(path) of type \(type): \(why)", fix: fix)
            }
            switch type {
            case .null: return "\"null\""
            case .boolean: return "\"boolean\""
            case .tinyint, .smallint, .int: return "\"int\""
            case .bigint: return "\"long\""
            case .float: return "\"float\""
            case .double: return "\"double\""
            case .char, .varchar: return "\"string\""
            case .binary, .varbinary: return "\"bytes\""
            case .decimal(let p, let s): return "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":\(p),\"scale\":\(s)}"
            case .date: return logical("int", "date")
            case .time(let p):
                guard p <= 3 else { throw refuse("Avro times have milliseconds only", "declare it as TIME(3)") }
                return logical("int", "time-millis")
            case .timestamp(let p):
                guard legacy else { return logical("long", "local-timestamp-\(unit(p))") }
                guard p <= 3 else {
                    throw refuse("with '\(format).timestamp_mapping.legacy' = 'true', the default, Avro timestamps have milliseconds only",
                                 "declare it as TIMESTAMP(3), or set '\(format).timestamp_mapping.legacy' to 'false'")
                }
                return logical("long", "timestamp-millis")
            case .timestampLTZ(let p):
                guard !legacy else {
                    throw refuse("'\(format).timestamp_mapping.legacy' = 'true', the default, has no form for it",
                                 "declare it as TIMESTAMP(3), or set '\(format).timestamp_mapping.legacy' to 'false'")
                }
                return logical("long", "timestamp-\(unit(p))")
            case .array(let element):
                return "{\"type\":\"array\",\"items\":\(try self.type(element, nullable: true, name, path))}"
            case .map(let key, let value):
                guard key.isText else { throw refuse("Avro maps have text keys", "declare the map's keys as STRING") }
                return "{\"type\":\"map\",\"values\":\(try self.type(value, nullable: true, name, path))}"
            case .row(let fields): return try record(fields, name, isTop: false, path: path)
            case .variant, .intervalYearMonth, .intervalDayTime:
                throw refuse("Avro has no form for it", "convert it to STRING, BYTES or BIGINT in a view or the query")
            }
        }
    }
}
