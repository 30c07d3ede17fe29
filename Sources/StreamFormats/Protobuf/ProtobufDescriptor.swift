import StreamCore

/// The messages and enums of a descriptor set, as `protoc --include_imports --descriptor_set_out=FILE` writes it.
struct ProtobufDescriptors {
    enum Kind: Int {
        case double = 1, float, int64, uint64, int32, fixed64, fixed32, bool, string, group, message, bytes, uint32, enumeration, sfixed32,
            sfixed64, sint32, sint64

        var name: String {
            switch self {
            case .double: "double"
            case .float: "float"
            case .int64: "int64"
            case .uint64: "uint64"
            case .int32: "int32"
            case .fixed64: "fixed64"
            case .fixed32: "fixed32"
            case .bool: "bool"
            case .string: "string"
            case .group: "group"
            case .message: "message"
            case .bytes: "bytes"
            case .uint32: "uint32"
            case .enumeration: "enum"
            case .sfixed32: "sfixed32"
            case .sfixed64: "sfixed64"
            case .sint32: "sint32"
            case .sint64: "sint64"
            }
        }
    }

    struct Field {
        var name = ""
        var number = 0
        var kind = Kind.int32
        /// Of messages and enums, in full.
        var typeName = ""
        var isRepeated = false
        var isRequired = false
        /// Whether it is there is known, even when it is zero.
        var hasPresence = false
        var isPacked = false
        /// Among the message's; -1 = none, or one that only marks an optional field.
        var oneof = -1
        var defaultText: String?
    }

    struct Message {
        /// With its package, and the messages that it stands in.
        var name: String
        var fields: [Field]
        var isMapEntry: Bool
        /// How generated Java classes may be called.
        var javaNames: [String]
    }

    struct Enumeration {
        var name: String
        var values: [(name: String, number: Int32)]
        /// Unknown numbers count as not there.
        var isClosed: Bool
    }

    private(set) var messages: [String: Message] = [:]
    private(set) var enumerations: [String: Enumeration] = [:]

    /// - Throws: `.validate` for bytes that are no descriptor set.
    init(_ bytes: [UInt8]) throws {
        for file in try Wire(bytes[...]).all(1) { try add(file: file) }
        guard !messages.isEmpty else { throw StreamError(.validate, "it holds no message") }
    }

    /// A message by its full name, or by the name of the Java class that is generated for it.
    func message(_ name: String) -> Message? {
        messages[name] ?? messages[name.split(separator: "$").joined(separator: ".")] ?? messages.values.first { $0.javaNames.contains(name) }
    }

    // MARK: Files

    private struct File {
        var package = "", syntax = "proto2"
        var javaPackage: String?
        var outerNames: [String] = []
        /// Of editions: 2 = a field without a value is zero.
        var presence = 1
        var packs = true
        var isClosed = false
    }

    private mutating func add(file: Wire) throws {
        var own = File()
        own.package = try file.text(2) ?? ""
        own.syntax = try file.text(12) ?? "proto2"
        let options = try file.last(8)
        own.javaPackage = try options?.text(1)
        let base = (try file.text(1) ?? "").split(separator: "/").last.map(String.init) ?? ""
        let camel = base.replacingSuffix(".proto").split(whereSeparator: { $0 == "_" || $0 == "-" || $0 == "." })
            .map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
        own.outerNames = try options?.text(8).map { [$0] } ?? [camel, camel + "OuterClass"]
        if let features = try options?.last(50) {
            own.presence = Int(try features.number(1) ?? 1)
            own.packs = try features.number(3) != 2
            own.isClosed = try features.number(2) == 2
        }
        switch own.syntax {
        case "proto3": (own.presence, own.packs, own.isClosed) = (2, true, false)
        case "proto2": (own.presence, own.packs, own.isClosed) = (1, false, true)
        default: break
        }
        for message in try file.all(4) { try add(message: message, in: own, scope: own.package, path: [], depth: 0) }
        for enumeration in try file.all(5) { try add(enumeration: enumeration, in: own, scope: own.package) }
    }

    private mutating func add(message: Wire, in file: File, scope: String, path: [String], depth: Int) throws {
        guard depth < 100 else { throw StreamError(.validate, "its messages are nested too deeply") }
        let short = try message.text(1) ?? "", name = scope.isEmpty ? short : "\(scope).\(short)"
        let isMapEntry = try message.last(7)?.number(7) == 1
        let fields = try message.all(2).map { try field($0, file) }
        let package = file.javaPackage ?? file.package
        let inner = (path + [short]).joined(separator: "$")
        let classes = [inner] + file.outerNames.map { "\($0)$\(inner)" }
        messages[name] = Message(name: name, fields: fields, isMapEntry: isMapEntry, javaNames: classes.map { package.isEmpty ? $0 : "\(package).\($0)" })
        for nested in try message.all(3) { try add(message: nested, in: file, scope: name, path: path + [short], depth: depth + 1) }
        for nested in try message.all(4) { try add(enumeration: nested, in: file, scope: name) }
    }

    private mutating func add(enumeration: Wire, in file: File, scope: String) throws {
        let short = try enumeration.text(1) ?? "", name = scope.isEmpty ? short : "\(scope).\(short)"
        let values = try enumeration.all(2).map { (try $0.text(1) ?? "", Int32(truncatingIfNeeded: try $0.number(2) ?? 0)) }
        enumerations[name] = Enumeration(name: name, values: values, isClosed: file.isClosed)
    }

    private func field(_ wire: Wire, _ file: File) throws -> Field {
        var field = Field()
        field.name = try wire.text(1) ?? ""
        field.number = Int(truncatingIfNeeded: try wire.number(3) ?? 0)
        guard let kind = Kind(rawValue: Int(truncatingIfNeeded: try wire.number(5) ?? 0)), field.number > 0, field.number < 1 << 29 else {
            throw StreamError(.validate, "its field \"\(field.name)\" has no type or no number")
        }
        field.kind = kind
        let type = try wire.text(6) ?? ""
        field.typeName = type.hasPrefix(".") ? String(type.dropFirst()) : type
        let label = try wire.number(4) ?? 1
        (field.isRepeated, field.isRequired) = (label == 3, label == 2)
        let isOptional = try wire.number(17) == 1
        if !isOptional, let oneof = try wire.number(9) { field.oneof = Int(truncatingIfNeeded: oneof) }
        var presence = file.presence, packs = file.packs
        let options = try wire.last(8)
        if let features = try options?.last(21) {
            if let own = try features.number(1) { presence = Int(truncatingIfNeeded: own) }
            if let own = try features.number(3) { packs = own != 2 }
            if try features.number(5) == 2, kind == .message { field.kind = .group }
        }
        if let own = try options?.number(2) { packs = own != 0 }
        field.isPacked = packs
        field.isRequired = field.isRequired || presence == 3
        field.hasPresence = isOptional || field.oneof >= 0 || presence != 2 || kind == .message || kind == .group
        field.defaultText = try wire.text(7)
        return field
    }

    /// A message as it stands in bytes: enough to read descriptors.
    private struct Wire {
        private enum Value { case number(UInt64), bytes(ArraySlice<UInt8>) }
        private var values: [(field: UInt64, value: Value)] = []

        init(_ bytes: ArraySlice<UInt8>) throws {
            var at = bytes.startIndex
            func damaged() -> StreamError { StreamError(.validate, "it is no descriptor set, at its byte \(at)") }
            func varint() throws -> UInt64 {
                var value: UInt64 = 0
                for shift in stride(from: 0, through: 63, by: 7) {
                    guard at < bytes.endIndex else { throw damaged() }
                    let byte = bytes[at]
                    at += 1
                    value |= UInt64(byte & 0x7F) << UInt64(shift)
                    if byte < 0x80 { return value }
                }
                throw damaged()
            }
            while at < bytes.endIndex {
                let tag = try varint()
                switch tag & 7 {
                case 0: values.append((tag >> 3, .number(try varint())))
                case 2:
                    let count = try varint()
                    guard count <= UInt64(bytes.endIndex - at) else { throw damaged() }
                    values.append((tag >> 3, .bytes(bytes[at..<at + Int(count)])))
                    at += Int(count)
                case 1, 5:
                    let count = tag & 7 == 1 ? 8 : 4
                    guard count <= bytes.endIndex - at else { throw damaged() }
                    at += count
                default: throw damaged()
                }
            }
        }

        func number(_ field: UInt64) throws -> UInt64? {
            for (own, value) in values.reversed() where own == field { if case .number(let number) = value { return number } }
            return nil
        }

        func text(_ field: UInt64) throws -> String? {
            for (own, value) in values.reversed() where own == field { if case .bytes(let bytes) = value { return String(decoding: bytes, as: UTF8.self) } }
            return nil
        }

        func all(_ field: UInt64) throws -> [Wire] {
            try values.compactMap { own, value in
                guard own == field, case .bytes(let bytes) = value else { return nil }
                return try Wire(bytes)
            }
        }

        func last(_ field: UInt64) throws -> Wire? { try all(field).last }
    }
}

extension String {
    fileprivate func replacingSuffix(_ suffix: String) -> String { hasSuffix(suffix) ? String(dropLast(suffix.count)) : self }
}
