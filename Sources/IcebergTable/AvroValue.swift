import LakeTable
import StreamCore

/// A decoded Avro value. A union is the value that it holds.
indirect enum AvroValue: Hashable, Sendable {
    case null, bool(Bool), int(Int64), float(Float), double(Double), bytes([UInt8]), string(String)
    case array([AvroValue]), record([AvroValue])
    /// An Avro map, whose keys are text; Iceberg's own maps are arrays of records.
    case map([String: AvroValue])

    var int: Int64? { if case .int(let n) = self { n } else { nil } }
    var string: String? { if case .string(let s) = self { s } else { nil } }
    var bytes: [UInt8]? { if case .bytes(let b) = self { b } else { nil } }
    var array: [AvroValue]? { if case .array(let a) = self { a } else { nil } }
    var record: [AvroValue]? { if case .record(let r) = self { r } else { nil } }
}

/// An Avro schema with Iceberg's field ids.
indirect enum AvroType: Hashable, Sendable {
    case null, boolean, int, long, float, double, bytes, string
    case fixed(size: Int, name: String, logical: JSON)
    case array(AvroType)
    case map(AvroType)
    case union([AvroType])
    case record([Part])

    struct Part: Hashable, Sendable {
        var name: String
        /// -1 = none.
        var id: Int
        var type: AvroType
    }

    /// - Throws: `.corrupt` when it is not an Avro schema.
    init(_ json: JSON, file: String) throws {
        func damaged() -> StreamError { StreamError(.corrupt, "\(file): not an Avro schema: \(json.text().prefix(200))", fix: "restore the file") }
        if let list = json.array {
            self = .union(try list.map { try AvroType($0, file: file) })
            return
        }
        let simple: [String: AvroType] = ["null": .null, "boolean": .boolean, "int": .int, "long": .long, "float": .float, "double": .double,
                                          "bytes": .bytes, "string": .string]
        if let name = json.string {
            guard let type = simple[name] else { throw damaged() }
            self = type
            return
        }
        switch json["type"] {
        case .string("array"): self = .array(try AvroType(json["items"] ?? .null, file: file))
        case .string("map"): self = .map(try AvroType(json["values"] ?? .null, file: file))
        case .string("fixed"): self = .fixed(size: Int(json["size"]?.int ?? 0), name: json["name"]?.string ?? "fixed", logical: json)
        case .string("record"):
            self = .record(try (json["fields"]?.array ?? []).map { field in
                guard let name = field["name"]?.string, let type = field["type"] else { throw damaged() }
                return Part(name: name, id: Int(field["field-id"]?.int ?? -1), type: try AvroType(type, file: file))
            })
        case .string(let name)?:
            guard let type = simple[name] else { throw damaged() }
            self = type
        case let nested?: self = try AvroType(nested, file: file)
        case nil: throw damaged()
        }
    }

    func decode(_ reader: inout AvroReader) throws -> AvroValue {
        switch self {
        case .null: return .null
        case .boolean: return .bool(try reader.raw(1).first! != 0)
        case .int, .long: return .int(try reader.long())
        case .float: return .float(Float(bitPattern: try Self.word(&reader, UInt32.self)))
        case .double: return .double(Double(bitPattern: try Self.word(&reader, UInt64.self)))
        case .bytes: return .bytes(Array(try reader.raw(try reader.long())))
        case .string: return .string(try reader.string())
        case .fixed(let size, _, _): return .bytes(Array(try reader.raw(Int64(size))))
        case .array(let element):
            var items: [AvroValue] = []
            try reader.items { items.append(try element.decode(&$0)) }
            return .array(items)
        case .map(let value):
            var items: [String: AvroValue] = [:]
            try reader.items {
                let key = try $0.string()
                items[key] = try value.decode(&$0)
            }
            return .map(items)
        case .union(let types):
            let branch = try reader.long()
            guard types.indices.contains(Int(branch)) else { throw StreamError(.corrupt, "an Avro record has branch \(branch) of a union of \(types.count)") }
            return try types[Int(branch)].decode(&reader)
        case .record(let parts): return .record(try parts.map { try $0.type.decode(&reader) })
        }
    }

    private static func word<T: FixedWidthInteger>(_ reader: inout AvroReader, _: T.Type) throws -> T {
        try reader.raw(Int64(T.bitWidth / 8)).reversed().reduce(0) { $0 << 8 | T($1) }
    }

    /// - Precondition: the value is one of this type.
    func encode(_ value: AvroValue, _ out: inout AvroWriter) {
        switch (self, value) {
        case (.null, _): break
        case (.boolean, .bool(let b)): out.bytes.append(b ? 1 : 0)
        case (.int, .int(let n)), (.long, .int(let n)): out.long(n)
        case (.float, .float(let f)): withUnsafeBytes(of: f.bitPattern.littleEndian) { out.bytes += $0 }
        case (.double, .double(let d)): withUnsafeBytes(of: d.bitPattern.littleEndian) { out.bytes += $0 }
        case (.bytes, .bytes(let b)):
            out.long(Int64(b.count))
            out.bytes += b
        case (.fixed, .bytes(let b)): out.bytes += b
        case (.string, .string(let s)): out.string(s)
        case (.array(let element), .array(let items)): out.items(items) { element.encode($1, &$0) }
        case (.map(let type), .map(let items)): out.items(items.sorted { $0.key < $1.key }) { $0.string($1.key); type.encode($1.value, &$0) }
        case (.union(let types), _):
            let branch = types.firstIndex { ($0 == .null) == (value == .null) } ?? 0
            out.long(Int64(branch))
            types[branch].encode(value, &out)
        case (.record(let parts), .record(let values)): for (part, value) in zip(parts, values) { part.type.encode(value, &out) }
        default: preconditionFailure("\(value) is not an Avro \(self)")
        }
    }

    /// Without null.
    var unwrapped: AvroType {
        if case .union(let types) = self { types.first { $0 != .null } ?? .null } else { self }
    }
}

/// The records of an Avro file, by their field ids.
struct AvroFile {
    let header: [String: String]
    let type: AvroType
    let records: [AvroValue]

    /// - Throws: `.corrupt` when it is damaged, `.validate` for codecs that are not known.
    init(_ bytes: [UInt8], file: String) throws {
        let (header, blocks) = try AvroContainer.read(bytes)
        let codec = header["avro.codec"] ?? "null"
        guard codec == "null" || codec == "deflate" else {
            throw StreamError(.validate, "\(file) is compressed with \(codec), which cannot be read", fix: "write the table with 'write.avro.compression-codec' = 'gzip'")
        }
        guard let text = header["avro.schema"] else { throw StreamError(.corrupt, "\(file) has no Avro schema", fix: "restore the file") }
        let type = try AvroType(try JSON.parse(Array(text.utf8), file), file: file)
        var records: [AvroValue] = []
        for block in blocks {
            var reader = AvroReader(codec == "null" ? block.bytes : try Deflate.decompress(block.bytes))
            for _ in 0..<block.count { records.append(try type.decode(&reader)) }
        }
        (self.header, self.type, self.records) = (header, type, records)
    }

    static func bytes(schema: JSON, header: [(String, String)], records: [AvroValue]) throws -> [UInt8] {
        let type = try AvroType(schema, file: "a manifest")
        var blocks: [AvroContainer.Block] = [], out = AvroWriter(), count = 0
        for (i, record) in records.enumerated() {
            type.encode(record, &out)
            count += 1
            if out.bytes.count > 64 << 10 || i == records.count - 1 {
                blocks.append(.init(count: count, bytes: try Deflate.compress(out.bytes)))
                (out, count) = (AvroWriter(), 0)
            }
        }
        return AvroContainer.file([("avro.codec", "deflate"), ("avro.schema", schema.text())] + header, blocks)
    }
}

/// Looks for the fields of a record by their ids.
struct AvroFields {
    private let at: [Int: Int]
    private let types: [AvroType]

    init(_ type: AvroType) {
        guard case .record(let parts) = type.unwrapped else { (at, types) = ([:], []); return }
        at = Dictionary(parts.enumerated().map { ($1.id, $0) }) { a, _ in a }
        types = parts.map(\.type)
    }

    func value(_ id: Int, _ record: [AvroValue]) -> AvroValue { at[id].map { record[$0] } ?? .null }
    func type(_ id: Int) -> AvroType? { at[id].map { types[$0] } }
}
