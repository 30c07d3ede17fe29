/// What a member of a request may be, as a service's model says it.
public indirect enum Shape: Sendable {
    /// Length in characters; `pattern` must match the whole text; `values` is an enumeration.
    case string(min: Int? = nil, max: Int? = nil, pattern: Pattern? = nil, values: [String]? = nil)
    /// 32 bits.
    case integer(min: Int64? = nil, max: Int64? = nil)
    case long(min: Int64? = nil, max: Int64? = nil)
    case double
    case boolean
    /// Length in bytes.
    case blob(min: Int? = nil, max: Int? = nil)
    case timestamp
    case list(Shape, min: Int? = nil, max: Int? = nil)
    case map(key: Shape = .string(), value: Shape, min: Int? = nil, max: Int? = nil)
    case structure(Structure)
    /// For shapes that contain themselves.
    case recursive(@Sendable () -> Shape)

    public static let text = Shape.string()

    /// A regular expression, shown in messages as the model writes it.
    public struct Pattern: Sendable {
        public var text: String
        /// Whether the whole of a text matches.
        public var matches: @Sendable (String) -> Bool

        public init(_ text: String, matches: @escaping @Sendable (String) -> Bool) { (self.text, self.matches) = (text, matches) }

        /// `[characters]+` or `[characters]*`: letters, digits and some others, the most frequent kind.
        public static func letters(_ text: String, and others: String, mayBeEmpty: Bool = false) -> Pattern {
            let allowed = Set(others.utf8)
            return Pattern(text) { value in
                (mayBeEmpty || !value.isEmpty) && value.utf8.allSatisfy {
                    ($0 >= 0x30 && $0 <= 0x39) || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || allowed.contains($0)
                }
            }
        }
    }
}

/// The input of an operation, or a structure inside of one.
public struct Structure: Sendable {
    public var members: [Member]

    /// One named member of a structure.
    public struct Member: Sendable {
        public var name: String, shape: Shape, isRequired: Bool
        public init(_ name: String, _ shape: Shape, isRequired: Bool) { (self.name, self.shape, self.isRequired) = (name, shape, isRequired) }
    }

    public init(_ members: [Member]) { self.members = members }

    /// Members in the model's order: `Structure(required: [("StreamName", name)], optional: [("Limit", limit)])`.
    public init(required: [(String, Shape)] = [], optional: [(String, Shape)] = []) {
        members = required.map { Member($0.0, $0.1, isRequired: true) } + optional.map { Member($0.0, $0.1, isRequired: false) }
    }

    // MARK: Types

    /// Gives each member the type of its shape; unknown members and nulls are left out, as the services do.
    ///
    /// - Throws: `SerializationException` naming the type that was found and the one that was due.
    public func convert(_ value: AWSValue, encoding: AWSEncoding) throws -> AWSValue {
        guard case .map(let given) = value else { throw Self.mismatch(value, "Map") }
        var out: [String: AWSValue] = [:]
        for member in members {
            guard let value = given[member.name], value != .null else { continue }
            out[member.name] = try Self.convert(value, member.shape, encoding)
        }
        return .map(out)
    }

    private static func mismatch(_ value: AWSValue, _ wanted: String) -> AWSError {
        let found = switch value {
        case .null: "NULL_VALUE"
        case .bool(let value): value ? "TRUE_VALUE" : "FALSE_VALUE"
        case .integer: "NUMBER_VALUE"
        case .double, .timestamp: "DECIMAL_VALUE"
        case .string, .blob: "STRING_VALUE"
        case .list: "START_ARRAY"
        case .map: "START_OBJECT"
        }
        switch value {
        case .list, .map:
            return .serialization("Start of \(found == "START_ARRAY" ? "list" : "structure or map") found where not expected")
        default: return .serialization(wanted == "Map" || wanted == "List" ? "Unexpected field type" : "\(found) cannot be converted to \(wanted)")
        }
    }

    private static func convert(_ value: AWSValue, _ shape: Shape, _ encoding: AWSEncoding) throws -> AWSValue {
        switch shape {
        case .string:
            guard case .string = value else { throw mismatch(value, "String") }
            return value
        case .integer:
            guard let number = value.integer, !isText(value) else { throw mismatch(value, "Integer") }
            guard let exact = Int32(exactly: number) else { throw AWSError.serialization("\(number) is out of range of Integer") }
            return .integer(Int64(exact))
        case .long:
            guard let number = value.integer, !isText(value) else { throw mismatch(value, "Long") }
            return .integer(Int64(number))
        case .double:
            guard let number = value.double else { throw mismatch(value, "Double") }
            guard number.isFinite else { throw AWSError.serialization("\(number) is out of range of Double") }
            return .double(number)
        case .boolean:
            guard case .bool = value else { throw mismatch(value, "Boolean") }
            return value
        case .blob:
            switch value {
            case .blob: return value
            case .string(let text) where encoding == .json:
                guard let bytes = Base64.decode(text) else { throw AWSError.serialization("the value of a blob is not valid Base64") }
                return .blob(bytes)
            default: throw mismatch(value, "Blob")
            }
        case .timestamp:
            guard let time = value.double else { throw mismatch(value, "Timestamp") }
            // Without its tag, too, a time in CBOR counts milliseconds.
            let isSeconds = if case .timestamp = value { true } else { encoding == .json }
            let seconds = isSeconds ? time : time / 1_000
            guard abs(seconds) < secondsMax else { throw AWSError.serialization("\(time) is out of range of Timestamp") }
            return .timestamp(seconds)
        case .list(let element, _, _):
            guard case .list(let all) = value else { throw mismatch(value, "List") }
            return .list(try all.map { $0 == .null ? .null : try convert($0, element, encoding) })
        case .map(_, let element, _, _):
            guard case .map(let all) = value else { throw mismatch(value, "Map") }
            return .map(try all.compactMapValues { $0 == .null ? nil : try convert($0, element, encoding) })
        case .structure(let structure): return try structure.convert(value, encoding: encoding)
        case .recursive(let shape): return try convert(value, shape(), encoding)
        }
    }

    /// The end of the year 9999: no service takes a later time, and its milliseconds and microseconds fit 64 bits.
    private static let secondsMax = 253_402_300_800.0

    private static func isText(_ value: AWSValue) -> Bool {
        switch value {
        case .integer, .double: false
        default: true
        }
    }

    // MARK: Constraints

    /// - Throws: `ValidationException` that lists every broken constraint, in the services' words.
    public func validate(_ value: AWSValue) throws {
        let found = violations(value)
        guard !found.isEmpty else { return }
        // The services name ten of them at most.
        throw AWSError.validation(
            "\(found.count) validation error\(found.count == 1 ? "" : "s") detected: " + found.prefix(10).joined(separator: "; "))
    }

    /// `Value '...' at 'streamName' failed to satisfy constraint: ...`, one for each.
    public func violations(_ value: AWSValue) -> [String] {
        var found: [String] = []
        check(value, path: { "" }, &found)
        return found
    }

    /// Paths are put together only where something is wrong.
    private func check(_ value: AWSValue, path: () -> String, _ found: inout [String]) {
        for member in members {
            func at() -> String {
                let above = path()
                return (above.isEmpty ? "" : above + ".") + Self.camel(member.name)
            }
            guard let given = value[member.name] else {
                if member.isRequired { found.append("Value null at '\(at())' failed to satisfy constraint: Member must not be null") }
                continue
            }
            Self.check(given, member.shape, at, &found)
        }
    }

    /// `StreamName` is `streamName` in messages, `SSESpecification` is `sSESpecification`.
    private static func camel(_ name: String) -> String { name.prefix(1).lowercased() + name.dropFirst() }

    private static func check(_ value: AWSValue, _ shape: Shape, _ path: () -> String, _ found: inout [String]) {
        func fail(_ constraint: String, _ shown: String? = nil) {
            found.append("Value '\(shown ?? Self.shown(value))' at '\(path())' failed to satisfy constraint: Member must \(constraint)")
        }
        func checkLength(_ count: Int, _ min: Int?, _ max: Int?) {
            if let min, count < min { fail("have length greater than or equal to \(min)") }
            if let max, count > max { fail("have length less than or equal to \(max)") }
        }
        switch shape {
        case .string(let min, let max, let pattern, let values):
            let text = value.string ?? ""
            checkLength(text.utf16.count, min, max)
            if let pattern, !pattern.matches(text) { fail("satisfy regular expression pattern: \(pattern.text)") }
            if let values, !values.contains(text) { fail("satisfy enum value set: [\(values.joined(separator: ", "))]") }
        case .integer(let min, let max), .long(let min, let max):
            let number = Int64(value.integer ?? 0)
            if let min, number < min { fail("have value greater than or equal to \(min)") }
            if let max, number > max { fail("have value less than or equal to \(max)") }
        case .blob(let min, let max): checkLength(value.blob?.count ?? 0, min, max)
        case .list(let element, let min, let max):
            let all = value.list ?? []
            checkLength(all.count, min, max)
            for (i, each) in all.enumerated() {
                func at() -> String { "\(path()).\(i + 1).member" }
                if each == .null {
                    found.append("Value null at '\(at())' failed to satisfy constraint: Member must not be null")
                } else {
                    check(each, element, at, &found)
                }
            }
        case .map(let key, let element, let min, let max):
            let all = value.map ?? [:]
            checkLength(all.count, min, max)
            for (name, each) in all.sorted(by: { $0.key < $1.key }) {
                var broken: [String] = []
                check(.string(name), key, path, &broken)
                if !broken.isEmpty {
                    // Constraints of keys are told together, about the map.
                    let constraints = broken.compactMap { text in text.range(of: "Member must ").map { String(text[$0.lowerBound...]) } }
                    found.append("Value '\(shown(value))' at '\(path())' failed to satisfy constraint: Map keys must satisfy constraint: ["
                        + constraints.joined(separator: ", ") + "]")
                }
                check(each, element, { "\(path()).\(name).member" }, &found)
            }
        case .structure(let structure): structure.check(value, path: path, &found)
        case .recursive(let shape): check(value, shape(), path, &found)
        case .double, .boolean, .timestamp: break
        }
    }

    private static func shown(_ value: AWSValue) -> String {
        switch value {
        case .string(let text): text
        case .integer(let number): "\(number)"
        case .double(let number), .timestamp(let number): "\(number)"
        case .bool(let value): "\(value)"
        case .blob(let bytes): "java.nio.HeapByteBuffer[pos=0 lim=\(bytes.count) cap=\(bytes.count)]"
        case .list(let all): "[" + all.map(shown).joined(separator: ", ") + "]"
        case .map(let all): "{" + all.sorted { $0.key < $1.key }.map { "\($0.key)=\(shown($0.value))" }.joined(separator: ", ") + "}"
        case .null: "null"
        }
    }
}

extension String {
    /// Without Foundation: the first place where `other` stands.
    fileprivate func range(of other: String) -> Range<Index>? {
        guard let first = other.first else { return nil }
        var from = startIndex
        while let at = self[from...].firstIndex(of: first) {
            if self[at...].hasPrefix(other) { return at..<index(at, offsetBy: other.count) }
            from = index(after: at)
        }
        return nil
    }
}
