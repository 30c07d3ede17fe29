import Foundation
import LakeTable
import StreamCore
import Synchronization

/// A parsed Avro schema, by which records of any writer can be walked through.
indirect enum AvroNode: Sendable {
    case null, boolean, int, float, double, bytes, string
    case fixed(Int)
    case array(AvroNode), map(AvroNode)
    case union([AvroNode])
    case record([(name: String, type: AvroNode)])

    /// The files of a timeline repeat the same few schemas.
    private static let parsed = Mutex<[String: AvroNode]>([:])

    /// - Throws: `.corrupt` when the text is no Avro schema.
    static func parse(_ text: String) throws -> AvroNode {
        if let node = parsed.withLock({ $0[text] }) { return node }
        guard let json = try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed) else {
            throw StreamError(.corrupt, "an Avro file's schema is not JSON: \(text.prefix(200))")
        }
        var named: [String: AvroNode] = [:]
        let node = try make(json, space: "", &named)
        parsed.withLock { kept in
            if kept.count > 100 { kept = [:] }
            kept[text] = node
        }
        return node
    }

    private static func make(_ json: Any, space: String, _ named: inout [String: AvroNode]) throws -> AvroNode {
        if let branches = json as? [Any] { return .union(try branches.map { try make($0, space: space, &named) }) }
        if let name = json as? String {
            switch name {
            case "null": return .null
            case "boolean": return .boolean
            case "int", "long": return .int
            case "float": return .float
            case "double": return .double
            case "bytes": return .bytes
            case "string": return .string
            default:
                guard let node = named[name] ?? named["\(space).\(name)"] else { throw StreamError(.corrupt, "an Avro schema has an unknown type '\(name)'") }
                return node
            }
        }
        guard let object = json as? [String: Any], let type = object["type"] else { throw StreamError(.corrupt, "an Avro schema has a type without a name") }
        func value(_ key: String) throws -> Any {
            guard let value = object[key] else { throw StreamError(.corrupt, "an Avro schema has a type without '\(key)'") }
            return value
        }
        guard let kind = type as? String else { return try make(type, space: space, &named) }
        let space = object["namespace"] as? String ?? space
        var node: AvroNode
        switch kind {
        case "array": return .array(try make(try value("items"), space: space, &named))
        case "map": return .map(try make(try value("values"), space: space, &named))
        case "enum": node = .int
        case "fixed": node = .fixed(object["size"] as? Int ?? 0)
        case "record":
            let fields = try value("fields") as? [[String: Any]] ?? []
            node = .record(try fields.map { (name: $0["name"] as? String ?? "", type: try make($0["type"] ?? "null", space: space, &named)) })
        default: return try make(kind, space: space, &named)
        }
        if let name = object["name"] as? String {
            named[name] = node
            named["\(space).\(name)"] = node
        }
        return node
    }
}

extension AvroReader {
    /// The type that comes next: a union's branch, any other type itself.
    mutating func branch(_ node: AvroNode) throws -> AvroNode {
        guard case .union(let branches) = node else { return node }
        let index = try long()
        guard branches.indices.contains(Int(truncatingIfNeeded: index)) else { throw StreamError(.corrupt, "an Avro record has branch \(index) of a union of \(branches.count)") }
        return try branch(branches[Int(index)])
    }

    /// Calls `field` with each field of a record; it must read or skip the value. Null records have none.
    mutating func record(_ node: AvroNode, _ field: (inout AvroReader, String, AvroNode) throws -> Void) throws {
        guard case .record(let fields) = try branch(node) else { return }
        for (name, type) in fields { try field(&self, name, type) }
    }

    /// Calls `item` with the key of each entry of a map; it must read or skip the value.
    mutating func map(_ node: AvroNode, _ item: (inout AvroReader, String, AvroNode) throws -> Void) throws {
        guard case .map(let values) = try branch(node) else { return }
        try items { reader in try item(&reader, try reader.string(), values) }
    }

    mutating func array(_ node: AvroNode, _ item: (inout AvroReader, AvroNode) throws -> Void) throws {
        guard case .array(let type) = try branch(node) else { return }
        try items { reader in try item(&reader, type) }
    }

    mutating func text(_ node: AvroNode) throws -> String? {
        let type = try branch(node)
        if case .string = type { return try string() }
        try skip(type)
        return nil
    }

    mutating func integer(_ node: AvroNode) throws -> Int64? {
        let type = try branch(node)
        if case .int = type { return try long() }
        try skip(type)
        return nil
    }

    mutating func skip(_ node: AvroNode) throws {
        switch node {
        case .null: break
        case .boolean: _ = try raw(1)
        case .int: _ = try long()
        case .float: _ = try raw(4)
        case .double: _ = try raw(8)
        case .bytes, .string: _ = try raw(try long())
        case .fixed(let size): _ = try raw(Int64(size))
        case .array(let type): try items { try $0.skip(type) }
        case .map(let type): try items { _ = try $0.raw(try $0.long()); try $0.skip(type) }
        case .union: try skip(try branch(node))
        case .record(let fields): for (_, type) in fields { try skip(type) }
        }
    }
}
