import StreamCore

/// An event pattern of Amazon EventBridge: says which events (objects of JSON) are meant.
///
///     {"source": ["aws.rds"], "detail": {"severity": ["HIGH", "CRITICAL"], "engine": [{"prefix": "aurora"}]}}
///
/// Every field that a pattern names has to match; a list gives the choices for a field, each a value or one of
/// `prefix`, `suffix`, `equals-ignore-case`, `wildcard`, `anything-but`, `numeric`, `exists` and `cidr`; `$or` gives alternatives.
/// Where the event has an array, one of its elements has to match. `exists` is about fields that hold no object.
public struct EventPattern: Hashable, Sendable {
    let root: Fields
    /// As it was written.
    public let json: JSONValue

    /// What is wrong with a pattern, and in which field.
    public struct Problem: Error, Sendable {
        /// Names and indices from the root to the place.
        public var path: [String]
        public var problem: String
        public var fix: String
    }

    /// The fields of an object, all of which have to match.
    struct Fields: Hashable, Sendable {
        var named: [Field] = []
        /// Of each list one has to match.
        var alternatives: [[Fields]] = []
    }

    struct Field: Hashable, Sendable {
        var name: String
        var rule: Rule
    }

    indirect enum Rule: Hashable, Sendable {
        case nested(Fields)
        case choices([Choice])
    }

    enum Choice: Hashable, Sendable {
        case equals(JSONValue)
        case exists(Bool)
        case text(TextMatch)
        case numeric([Comparison])
        case addresses(AddressRange)
        case anythingBut([JSONValue])
        case anythingButText(TextMatch)
    }

    enum TextMatch: Hashable, Sendable {
        case prefix([String], ignoringCase: Bool)
        case suffix([String], ignoringCase: Bool)
        case equalsIgnoringCase([String])
        /// Pieces between the stars.
        case wildcard([[String]])
    }

    struct Comparison: Hashable, Sendable {
        enum Operator: String, Hashable, Sendable, CaseIterable { case less = "<", lessOrEqual = "<=", equal = "=", greater = ">", greaterOrEqual = ">=" }
        var relation: Operator
        var than: Double
    }

    /// - Throws: ``Problem``.
    public init(_ json: JSONValue) throws {
        self.json = json
        guard case .object(let members) = json else { throw Self.problem([], "an event pattern is not an object", "write it as in {\"source\": [\"aws.rds\"]}") }
        guard !members.isEmpty else { throw Self.problem([], "the event pattern is empty", "name at least one field; to take every event, leave the pattern out") }
        root = try Self.fields(members, [])
    }

    private static func problem(_ path: [String], _ problem: String, _ fix: String) -> Problem { Problem(path: path, problem: problem, fix: fix) }

    private static func fields(_ members: [String: JSONValue], _ path: [String]) throws -> Fields {
        var fields = Fields()
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            let here = path + [name]
            if name == "$or" {
                guard case .array(let alternatives) = value, alternatives.count > 1 else {
                    throw problem(here, "$or is not a list of at least two patterns", "write \"$or\": [{...}, {...}]")
                }
                fields.alternatives.append(try alternatives.enumerated().map { i, alternative in
                    guard case .object(let members) = alternative, !members.isEmpty else {
                        throw problem(here + ["\(i)"], "an alternative of $or is not a pattern", "write it as in {\"field\": [\"value\"]}")
                    }
                    return try Self.fields(members, here + ["\(i)"])
                })
                continue
            }
            switch value {
            case .object(let members):
                guard !members.isEmpty else { throw problem(here, "the pattern of \"\(name)\" is empty", "name at least one field in it") }
                fields.named.append(Field(name: name, rule: .nested(try Self.fields(members, here))))
            case .array(let choices):
                guard !choices.isEmpty else { throw problem(here, "\"\(name)\" lists no values", "name at least one; [{\"exists\": true}] takes all") }
                fields.named.append(Field(name: name, rule: .choices(try choices.enumerated().map { try choice($1, here + ["\($0)"]) })))
            default: throw problem(here, "\"\(name)\" is neither an object nor a list", "put the value into a list: [\(value.text)]")
            }
        }
        return fields
    }

    private static let filters = ["anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix", "wildcard"]

    private static func choice(_ value: JSONValue, _ path: [String]) throws -> Choice {
        switch value {
        case .array: throw problem(path, "a list stands in a list of values", "write the values side by side")
        case .object(let members):
            guard members.count == 1, let (name, operand) = members.first else {
                throw problem(path, "a filter has \(members.count) names", "write one of \(filters.joined(separator: ", ")) in each")
            }
            let here = path + [name]
            switch name {
            case "exists":
                guard case .bool(let wanted) = operand else { throw problem(here, "exists is neither true nor false", "write {\"exists\": true}") }
                return .exists(wanted)
            case "numeric": return .numeric(try comparisons(operand, here))
            case "cidr":
                guard case .string(let text) = operand, let range = AddressRange(text) else {
                    throw problem(here, "\(operand.text) is no range of addresses", "write it as in {\"cidr\": \"10.0.0.0/24\"}")
                }
                return .addresses(range)
            case "anything-but":
                if case .object(let inner) = operand {
                    guard inner.count == 1, let (name, operand) = inner.first, let match = try textMatch(name, operand, here + [name]) else {
                        throw problem(here, "anything-but has none of prefix, suffix, equals-ignore-case and wildcard", "write it as in {\"anything-but\": {\"prefix\": \"test-\"}}")
                    }
                    return .anythingButText(match)
                }
                let values: [JSONValue] = if case .array(let values) = operand { values } else { [operand] }
                guard !values.isEmpty, values.allSatisfy({ if case .string = $0 { true } else { $0.asNumber != nil } }) else {
                    throw problem(here, "anything-but takes text and numbers, not \(operand.text)", "write it as in {\"anything-but\": [\"a\", \"b\"]}")
                }
                return .anythingBut(values)
            default:
                guard let match = try textMatch(name, operand, here) else {
                    throw problem(here, "there is no filter \"\(name)\"", NearName.hint(for: name, in: filters) ?? "leave it out")
                }
                return .text(match)
            }
        default: return .equals(value)
        }
    }

    private static func comparisons(_ operand: JSONValue, _ path: [String]) throws -> [Comparison] {
        guard case .array(let parts) = operand, parts.count == 2 || parts.count == 4 else {
            throw problem(path, "numeric is not a list of one or two comparisons", "write it as in {\"numeric\": [\">\", 0, \"<=\", 100]}")
        }
        return try stride(from: 0, to: parts.count, by: 2).map { i in
            guard case .string(let name) = parts[i], let relation = Comparison.Operator(rawValue: name) else {
                throw problem(path + ["\(i)"], "\(parts[i].text) does not compare numbers", "write one of <, <=, =, >, >=")
            }
            guard let than = parts[i + 1].asNumber else { throw problem(path + ["\(i + 1)"], "\(parts[i + 1].text) is no number", "write a number behind \(name)") }
            return Comparison(relation: relation, than: than)
        }
    }

    /// nil when it is none of the filters of text.
    private static func textMatch(_ name: String, _ operand: JSONValue, _ path: [String]) throws -> TextMatch? {
        func texts(_ operand: JSONValue) throws -> [String] {
            let values: [JSONValue] = if case .array(let values) = operand { values } else { [operand] }
            let texts = values.compactMap { value -> String? in if case .string(let text) = value { text } else { nil } }
            guard texts.count == values.count, !texts.isEmpty else { throw problem(path, "\(name) takes text, not \(operand.text)", "write it as in {\"\(name)\": \"...\"}") }
            return texts
        }
        func caseAside() throws -> ([String], Bool) {
            guard case .object(let inner) = operand else { return (try texts(operand), false) }
            guard inner.count == 1, let folded = inner["equals-ignore-case"] else {
                throw problem(path, "\(name) takes text or equals-ignore-case", "write it as in {\"\(name)\": {\"equals-ignore-case\": \"...\"}}")
            }
            return (try texts(folded).map { $0.lowercased() }, true)
        }
        switch name {
        case "prefix":
            let (texts, folded) = try caseAside()
            return .prefix(texts, ignoringCase: folded)
        case "suffix":
            let (texts, folded) = try caseAside()
            return .suffix(texts, ignoringCase: folded)
        case "equals-ignore-case": return .equalsIgnoringCase(try texts(operand).map { $0.lowercased() })
        case "wildcard": return .wildcard(try texts(operand).map { try pieces($0, path) })
        default: return nil
        }
    }

    private static func pieces(_ text: String, _ path: [String]) throws -> [String] {
        var pieces = [""], isEscaped = false, afterStar = false
        for character in text {
            if isEscaped {
                guard character == "*" || character == "\\" else {
                    throw problem(path, "the wildcard \"\(text)\" has \\ before \(character)", "write \\\\ for a backslash and \\* for a star")
                }
                pieces[pieces.count - 1].append(character)
                (isEscaped, afterStar) = (false, false)
            } else if character == "\\" {
                isEscaped = true
            } else if character == "*" {
                if afterStar { throw problem(path, "the wildcard \"\(text)\" has two stars side by side", "write one") }
                pieces.append("")
                afterStar = true
            } else {
                pieces[pieces.count - 1].append(character)
                afterStar = false
            }
        }
        if isEscaped { throw problem(path, "the wildcard \"\(text)\" ends with \\", "write \\\\ for a backslash") }
        return pieces
    }
}
