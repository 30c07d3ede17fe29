import StreamCore

/// Text with `{{ name }}` in it. Names are looked up, nothing is computed.
///
/// | name | stands for |
/// | --- | --- |
/// | `rule`, `topology`, `description`, `severity` | what the rule says |
/// | `state` | `firing` or `resolved` |
/// | `key`, `value` | of the instance |
/// | `at`, `since` | times, as in 2024-05-04T19:58:46.480Z |
/// | `id` | the same each time that the notification is delivered |
/// | `labels.name`, `secret.name` | a label of the rule, a secret of the delivery |
/// | `row`, `row.column`, `row.column.part.0` | the row as JSON, and what is in it; empty when absent |
/// | `event` | everything, as JSON |
package struct NotificationTemplate {
    private enum Part { case text(String), name([String]) }
    private var parts: [Part] = []

    /// What is wrong with a template.
    package struct Problem: Error { package var problem: String, fix: String }

    static let names = ["rule", "topology", "description", "severity", "state", "key", "value", "at", "since", "id", "event", "row", "labels", "secret"]

    /// - Parameter secrets: names that `secret.` may be followed by.
    package init(_ text: String, secrets: some Collection<String>) throws {
        var rest = text[...]
        while let open = rest.firstRange(of: "{{") {
            if open.lowerBound > rest.startIndex { parts.append(.text(String(rest[..<open.lowerBound]))) }
            guard let close = rest[open.upperBound...].firstRange(of: "}}") else {
                throw Problem(problem: "\"{{\" has no \"}}\"", fix: "write placeholders as in {{ value }}")
            }
            let name = rest[open.upperBound..<close.lowerBound].filter { !$0.isWhitespace }.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            try Self.check(name, secrets: secrets)
            parts.append(.name(name))
            rest = rest[close.upperBound...]
        }
        if !rest.isEmpty { parts.append(.text(String(rest))) }
    }

    private static func check(_ name: [String], secrets: some Collection<String>) throws {
        let shown = name.joined(separator: ".")
        guard names.contains(name[0]) else { throw Problem(problem: "there is nothing called {{ \(shown) }}", fix: NearName.hint(for: name[0], in: names) ?? "leave it out") }
        let isOpen = ["row", "labels", "secret"].contains(name[0])
        if !isOpen, name.count > 1 { throw Problem(problem: "{{ \(shown) }}: \(name[0]) has no parts", fix: "write {{ \(name[0]) }}") }
        if ["labels", "secret"].contains(name[0]), name.count != 2 { throw Problem(problem: "{{ \(shown) }} names no \(name[0])", fix: "write {{ \(name[0]).name }}") }
        if name[0] == "secret", !secrets.contains(name[1]) {
            throw Problem(problem: "the delivery has no secret \"\(name[1])\"", fix: NearName.hint(for: name[1], in: secrets.map { $0 }) ?? "name it under secrets:")
        }
    }

    /// The whole text is one placeholder.
    var single: Bool { if parts.count == 1, case .name = parts[0] { true } else { false } }

    func value(_ event: JSONValue, _ secrets: [String: String]) -> JSONValue {
        guard parts.count == 1, case .name(let name) = parts[0] else { return .string(text(event, secrets) { $0 }) }
        return Self.lookUp(name, event, secrets)
    }

    /// - Parameter escaping: applied to what stands for placeholders.
    func text(_ event: JSONValue, _ secrets: [String: String], escaping: (String) -> String) -> String {
        parts.map { part in
            switch part {
            case .text(let text): text
            case .name(let name): escaping(Self.lookUp(name, event, secrets).plain)
            }
        }.joined()
    }

    private static func lookUp(_ name: [String], _ event: JSONValue, _ secrets: [String: String]) -> JSONValue {
        switch name[0] {
        case "event": return event
        case "secret": return .string(secrets[name[1]] ?? "")
        default:
            var found = event
            for part in name {
                if case .array(let elements) = found {
                    guard let i = Int(part), elements.indices.contains(i) else { return .null }
                    found = elements[i]
                } else {
                    guard let member = found[part] else { return .null }
                    found = member
                }
            }
            return found
        }
    }

    // MARK: Templates in the form of JSON

    package static func check(_ body: JSONValue, secrets: some Collection<String>) throws {
        switch body {
        case .string(let text): _ = try NotificationTemplate(text, secrets: secrets)
        case .array(let elements): for element in elements { try check(element, secrets: secrets) }
        case .object(let members): for (_, member) in members { try check(member, secrets: secrets) }
        default: break
        }
    }

    /// Placeholders in the texts of a JSON value replaced; a text that is nothing else becomes what it stands for, a number for example.
    static func fill(_ body: JSONValue, _ event: JSONValue, _ secrets: [String: String]) throws -> JSONValue {
        switch body {
        case .string(let text): try NotificationTemplate(text, secrets: secrets.keys).value(event, secrets)
        case .array(let elements): .array(try elements.map { try fill($0, event, secrets) })
        case .object(let members): .object(try members.mapValues { try fill($0, event, secrets) })
        default: body
        }
    }
}
