import AWSProtocol

/// The placeholders of one request, shared by all of its expressions.
public final class ExpressionContext {
    let names: [String: String]
    let values: [String: AttributeValue]
    private var usedNames: Set<String> = []
    private var usedValues: Set<String> = []

    /// An expression of a request may have this many bytes.
    static let bytesMax = 4_096

    /// From values that are checked already.
    public init(names: [String: String] = [:], values: [String: AttributeValue] = [:]) { (self.names, self.values) = (names, values) }

    /// From `ExpressionAttributeNames` and `ExpressionAttributeValues` of a request.
    ///
    /// - Throws: `ValidationException` for empty maps, malformed placeholders and invalid values.
    public init(names: AWSValue?, values: AWSValue?) throws {
        self.names = try Self.names(names)
        self.values = try Self.values(values)
    }

    private static func names(_ given: AWSValue?) throws -> [String: String] {
        guard let given, given != .null else { return [:] }
        guard case .map(let members) = given else { throw AWSError.serialization("Unexpected field type") }
        if members.isEmpty { throw AWSError.validation("ExpressionAttributeNames must not be empty") }
        var out: [String: String] = [:]
        for (key, value) in members.sorted(by: { $0.key < $1.key }) {
            guard case .string(let name) = value else { throw AWSError.serialization("Unexpected field type") }
            let problem: String? = key.utf8.count > 255
                ? "invalid key: The expression attribute map contains a key that is too long; size of key: \(key.utf8.count)"
                : !isPlaceholder(key, "#") ? "invalid key: Syntax error; key: \"\(key)\""
                : name.isEmpty ? "invalid value: Empty attribute name for key \(key)" : nil
            if let problem { throw AWSError.validation("ExpressionAttributeNames contains \(problem)") }
            out[key] = name
        }
        return out
    }

    private static func values(_ given: AWSValue?) throws -> [String: AttributeValue] {
        guard let given, given != .null else { return [:] }
        guard case .map(let members) = given else { throw AWSError.serialization("Unexpected field type") }
        if members.isEmpty { throw AWSError.validation("ExpressionAttributeValues must not be empty") }
        let keys = hashOrder(members.keys, of: members.count)
        for key in keys {
            if key.utf8.count > 255 {
                throw AWSError.validation(
                    "ExpressionAttributeValues contains invalid key: The expression attribute map contains a key that is too long;")
            }
            guard isPlaceholder(key, ":") else {
                throw AWSError.validation("ExpressionAttributeValues contains invalid key: Syntax error; key: \"\(key)\"")
            }
        }
        var out: [String: AttributeValue] = [:]
        for key in keys {
            do {
                out[key] = try AttributeValue(members[key]!)
            } catch let error as AWSError where error.type == "ValidationException" && !AttributeValue.isAboutEmptySet(error) {
                throw AWSError.validation("ExpressionAttributeValues contains invalid value: \(error.message) for key \(key)")
            }
        }
        return out
    }

    private static func isPlaceholder(_ key: String, _ sign: Character) -> Bool {
        key.first == sign && key.utf8.count > 1 && key.utf8.dropFirst().allSatisfy {
            (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == UInt8(ascii: "_")
        }
    }

    /// The order in which the service names several placeholders: that of a hash set of Java.
    private static func hashOrder(_ keys: some Sequence<String>, of count: Int) -> [String] {
        var capacity: UInt32 = 16
        while Int(capacity) < count * 4 / 3 + 1 { capacity *= 2 }
        func slot(_ key: String) -> UInt32 {
            let hash = key.utf16.reduce(UInt32(0)) { $0 &* 31 &+ UInt32($1) }
            return (hash ^ (hash >> 16)) & (capacity - 1)
        }
        return keys.map { (slot($0), $0) }.sorted { $0 < $1 }.map(\.1)
    }

    /// - Throws: `ValidationException` when a placeholder is in no expression that was read with this context.
    public func checkAllUsed() throws {
        let names = names.keys.filter { !usedNames.contains($0) }, values = values.keys.filter { !usedValues.contains($0) }
        if !names.isEmpty { throw Self.unused("Names", names, of: self.names.count) }
        if !values.isEmpty { throw Self.unused("Values", values, of: self.values.count) }
    }

    private static func unused(_ what: String, _ keys: [String], of count: Int) -> AWSError {
        .validation("Value provided in ExpressionAttribute\(what) unused in expressions: "
            + "keys: {\(hashOrder(keys, of: count).joined(separator: ", "))}")
    }

    func name(_ placeholder: String) -> String? {
        usedNames.insert(placeholder)
        return names[placeholder]
    }

    func value(_ placeholder: String) -> AttributeValue? {
        usedValues.insert(placeholder)
        return values[placeholder]
    }
}
