import AWSProtocol

/// The attributes of an item by name.
public typealias Item = [String: AttributeValue]

/// The value of an attribute.
public enum AttributeValue: Sendable {
    case s(String)
    case n(DynamoNumber)
    case b([UInt8])
    case bool(Bool)
    case null
    case l([AttributeValue])
    case m([String: AttributeValue])
    /// Sets keep the order in which they were given; they are equal when they have the same elements.
    case ss([String])
    case ns([DynamoNumber])
    case bs([[UInt8]])

    /// Types as requests name them.
    public enum Kind: String, Sendable, CaseIterable {
        case s = "S", n = "N", b = "B", bool = "BOOL", null = "NULL", l = "L", m = "M", ss = "SS", ns = "NS", bs = "BS"

        /// As the messages about operands of ADD and DELETE name it.
        var longName: String {
            switch self {
            case .s: "STRING"
            case .n: "NUMBER"
            case .b: "BINARY"
            case .bool: "BOOLEAN"
            case .null: "NULL"
            case .l: "LIST"
            case .m: "MAP"
            case .ss: "STRING_SET"
            case .ns: "NUMBER_SET"
            case .bs: "BINARY_SET"
            }
        }

        public var isSet: Bool { self == .ss || self == .ns || self == .bs }
    }

    public var kind: Kind {
        switch self {
        case .s: .s
        case .n: .n
        case .b: .b
        case .bool: .bool
        case .null: .null
        case .l: .l
        case .m: .m
        case .ss: .ss
        case .ns: .ns
        case .bs: .bs
        }
    }

    // MARK: Conversion

    /// Levels of lists and maps that an item may have.
    static let depthMax = 32

    /// Reads `{"S": "text"}` and its like; binaries as Base64 text or as blobs.
    ///
    /// - Throws: `SerializationException` for members of a wrong type, `ValidationException` for what the service does not store:
    ///   no or several types, empty sets, duplicates, numbers out of range.
    public init(_ value: AWSValue) throws { try self.init(value, depth: 0) }

    private init(_ value: AWSValue, depth: Int) throws {
        guard case .map(let members) = value else { throw Self.mismatch(value, "AttributeValue") }
        guard depth <= Self.depthMax else { throw AWSError.validation("Nesting Levels have exceeded supported limits") }
        var found: AttributeValue?
        var count = 0
        for kind in Kind.allCases {
            guard let member = members[kind.rawValue], member != .null else { continue }
            count += 1
            found = try Self.read(member, kind, depth)
        }
        guard let found else {
            throw AWSError.validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
        }
        guard count == 1 else {
            throw AWSError.validation("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
        }
        self = found
    }

    private static func read(_ value: AWSValue, _ kind: Kind, _ depth: Int) throws -> AttributeValue {
        switch kind {
        case .s: return .s(try text(value))
        case .n: return .n(try DynamoNumber(parsing: try text(value)))
        case .b: return .b(try bytes(value))
        case .bool: return .bool(try boolean(value))
        case .null:
            guard try boolean(value) else { throw invalid("Null attribute value types must have the value of true") }
            return .null
        case .l: return .l(try list(value).map { try AttributeValue($0, depth: depth + 1) })
        case .m:
            guard case .map(let members) = value else { throw mismatch(value, "Map") }
            return .m(try members.filter { $0.value != .null }.mapValues { try AttributeValue($0, depth: depth + 1) })
        case .ss:
            let all = try list(value).map(text)
            if all.isEmpty { throw invalid("An string set  may not be empty") }
            guard Set(all.map { Array($0.utf8) }).count == all.count else {
                throw invalid("Input collection [\(all.joined(separator: ", "))] contains duplicates.")
            }
            return .ss(all)
        case .ns:
            let all = try list(value).map { try DynamoNumber(parsing: try text($0)) }
            if all.isEmpty { throw invalid("An number set  may not be empty") }
            guard Set(all).count == all.count else { throw AWSError.validation("Input collection contains duplicates") }
            return .ns(all)
        case .bs:
            let all = try list(value).map(bytes)
            if all.isEmpty { throw invalid("Binary sets should not be empty") }
            guard Set(all).count == all.count else {
                throw invalid("Input collection [\(all.map { Base64.encode($0) }.joined(separator: ", "))]of type BS contains duplicates.")
            }
            return .bs(all)
        }
    }

    /// The service looks for empty sets before it looks at what a value is for, and does not name the placeholder then.
    static func isAboutEmptySet(_ error: AWSError) -> Bool {
        error.message.hasSuffix("set  may not be empty") || error.message.hasSuffix("sets should not be empty")
    }

    private static func invalid(_ problem: String) -> AWSError { .validation("One or more parameter values were invalid: \(problem)") }

    private static func text(_ value: AWSValue) throws -> String {
        guard case .string(let text) = value else { throw mismatch(value, "String") }
        return text
    }

    private static func boolean(_ value: AWSValue) throws -> Bool {
        guard case .bool(let value) = value else { throw mismatch(value, "Boolean") }
        return value
    }

    private static func list(_ value: AWSValue) throws -> [AWSValue] {
        guard case .list(let all) = value else { throw mismatch(value, "List") }
        return all
    }

    private static func bytes(_ value: AWSValue) throws -> [UInt8] {
        switch value {
        case .blob(let bytes): return bytes
        case .string(let text):
            guard text.utf8.count % 4 == 0 else {
                throw AWSError.serialization("Base64 encoded length is expected a multiple of 4 bytes but found: \(text.utf8.count)")
            }
            guard let bytes = Base64.decode(text) else { throw AWSError.serialization("Invalid base64 text: \(text)") }
            return bytes
        default: throw mismatch(value, "ByteBuffer")
        }
    }

    private static func mismatch(_ value: AWSValue, _ wanted: String) -> AWSError {
        switch value {
        case .list, .map: return .serialization("Start of \(value.list != nil ? "list" : "structure or map") found where not expected")
        default: break
        }
        if wanted == "AttributeValue" { return .serialization("Unexpected value type in payload") }
        if wanted == "Map" || wanted == "List" { return .serialization("Unexpected field type") }
        let found = switch value {
        case .bool(let value): value ? "TRUE_VALUE" : "FALSE_VALUE"
        case .integer: "NUMBER_VALUE"
        case .double, .timestamp: "DECIMAL_VALUE"
        case .null: "NULL_VALUE"
        default: "STRING_VALUE"
        }
        return .serialization("\(found) cannot be converted to \(wanted)")
    }

    /// As answers and change records show it.
    public var awsValue: AWSValue {
        let value: AWSValue = switch self {
        case .s(let text): .string(text)
        case .n(let number): .string(number.description)
        case .b(let bytes): .blob(bytes)
        case .bool(let value): .bool(value)
        case .null: .bool(true)
        case .l(let all): .list(all.map(\.awsValue))
        case .m(let members): members.awsValue
        case .ss(let all): .list(all.map { .string($0) })
        case .ns(let all): .list(all.map { .string($0.description) })
        case .bs(let all): .list(all.map { .blob($0) })
        }
        return .map([kind.rawValue: value])
    }

    // MARK: Order and size

    /// Bytes that order as the service orders keys of this type; nil for types that cannot be keys.
    public var keyBytes: [UInt8]? {
        switch self {
        case .s(let text): Array(text.utf8)
        case .n(let number): number.orderedBytes
        case .b(let bytes): bytes
        default: nil
        }
    }

    /// -1, 0 or 1; nil for values of different types and for types without an order.
    func compare(_ other: AttributeValue) -> Int? {
        guard kind == other.kind, let a = keyBytes, let b = other.keyBytes else { return nil }
        return a == b ? 0 : a.lexicographicallyPrecedes(b) ? -1 : 1
    }

    /// Bytes as the service counts them for limits and capacity.
    public var byteCount: Int {
        switch self {
        case .s(let text): text.utf8.count
        case .n(let number): number.byteCount
        case .b(let bytes): bytes.count
        case .bool, .null: 1
        case .l(let all): 3 + all.reduce(0) { $0 + 1 + $1.byteCount }
        case .m(let members): 3 + members.count + members.byteCount
        case .ss(let all): all.reduce(0) { $0 + $1.utf8.count }
        case .ns(let all): all.reduce(0) { $0 + $1.byteCount }
        case .bs(let all): all.reduce(0) { $0 + $1.count }
        }
    }
}

extension AttributeValue: Hashable {
    public static func == (a: Self, b: Self) -> Bool {
        switch (a, b) {
        // Texts are equal by their bytes, not by canonical equivalence.
        case (.s(let a), .s(let b)): a.utf8.elementsEqual(b.utf8)
        case (.n(let a), .n(let b)): a == b
        case (.b(let a), .b(let b)): a == b
        case (.bool(let a), .bool(let b)): a == b
        case (.null, .null): true
        case (.l(let a), .l(let b)): a == b
        case (.m(let a), .m(let b)): a == b
        case (.ss(let a), .ss(let b)): a.count == b.count && Set(a.map { Array($0.utf8) }) == Set(b.map { Array($0.utf8) })
        case (.ns(let a), .ns(let b)): a.count == b.count && Set(a) == Set(b)
        case (.bs(let a), .bs(let b)): a.count == b.count && Set(a) == Set(b)
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        switch self {
        case .s(let text): hasher.combine(Array(text.utf8))
        case .n(let number): hasher.combine(number)
        case .b(let bytes): hasher.combine(bytes)
        case .bool(let value): hasher.combine(value)
        case .null: break
        case .l(let all): hasher.combine(all)
        case .m(let members): hasher.combine(members)
        case .ss(let all): hasher.combine(Set(all.map { Array($0.utf8) }))
        case .ns(let all): hasher.combine(Set(all))
        case .bs(let all): hasher.combine(Set(all))
        }
    }
}

extension Dictionary where Key == String, Value == AttributeValue {
    /// Reads the members of an item or a key.
    ///
    /// - Throws: as ``AttributeValue/init(_:)``.
    public init(_ value: AWSValue) throws {
        guard case .map(let members) = value else { throw AWSError.serialization("Unexpected field type") }
        // In the order of their names, so that the first problem is the same one every time.
        self = [:]
        for (name, member) in members.sorted(by: { $0.key < $1.key }) where member != .null { self[name] = try AttributeValue(member) }
    }

    public var awsValue: AWSValue { .map(mapValues(\.awsValue)) }

    /// Bytes of names and values, as the service counts them.
    public var byteCount: Int { reduce(0) { $0 + $1.key.utf8.count + $1.value.byteCount } }
}
