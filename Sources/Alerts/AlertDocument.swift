import StreamCore

/// What routes match and receivers get: an event of a rule as JSON.
enum AlertDocument {
    /// The whole event, as templates and default bodies have it.
    ///
    /// - Parameter row: the row as JSON; nil = unknown.
    static func make(_ event: AlertEvent, _ rule: AlertRule, row: JSONValue?, id: String) -> JSONValue {
        var members: [String: JSONValue] = [
            "id": .string(id), "topology": .string(rule.topology), "rule": .string(rule.name), "key": .string(event.key), "episode": .integer(Int64(event.episode)),
            "state": .string(event.kind == .notifyResolved || event.kind == .resolved ? "resolved" : "firing"), "labels": .object(rule.labels.mapValues { .string($0) }),
            "value": value(event.value), "row": row ?? .null,
        ]
        members["description"] = rule.description.map { .string($0) } ?? .null
        members["severity"] = rule.severity.map { .string($0) } ?? .null
        members["at"] = Encodings.time(event.time).map { .string($0) } ?? .integer(event.time)
        members["since"] = Encodings.time(event.since).map { .string($0) } ?? .integer(event.since)
        return .object(members)
    }

    /// The row's own fields, and under `alert` what is known beside them.
    static func matched(_ document: JSONValue) -> JSONValue {
        guard case .object(var alert) = document else { return document }
        let row = alert.removeValue(forKey: "row")
        guard case .object(var members)? = row else { return .object(["alert": .object(alert)]) }
        if members["alert"] == nil { members["alert"] = .object(alert) }
        return .object(members)
    }

    private static func value(_ text: String?) -> JSONValue {
        guard let text else { return .null }
        if let number = Int64(text) { return .integer(number) }
        if let number = Double(text), number.isFinite { return .number(number) }
        return .string(text)
    }

    /// What a row is called by its key: one value, or `a=1, b=2`. Empty without columns.
    static func key(_ columns: [String], in row: JSONValue?) -> String {
        func escaped(_ value: JSONValue?) -> String {
            guard let value, value != .null else { return "\\N" }
            return value.plain.replacing("\\", with: "\\\\").replacing(", ", with: "\\, ")
        }
        if columns.count == 1 { return escaped(row?[columns[0]]) }
        return columns.map { "\($0)=\(escaped(row?[$0]))" }.joined(separator: ", ")
    }

    /// What goes into the history for events, with names that are the same whenever the same state comes to them.
    static func records(_ events: [AlertEvent], _ rule: AlertRule, tag: String) throws -> [AlertHistory.Record] {
        try events.map { event in
            let name = "\(tag)-\(Encodings.percent(rule.name))-\(event.episode)-\(event.kind == .notifyFiring ? "firing" : event.kind == .notifyResolved ? "resolved" : "is-\(event.kind.rawValue)")"
            let document = make(event, rule, row: try event.row.map { try JSONValue(json: $0) }, id: name)
            switch event.kind {
            case .notifyFiring, .notifyResolved:
                return AlertHistory.Record(name: name, event: event, notification: document, deliveries: try rule.deliveries(for: matched(document)))
            // An instance lasts only where an episode does.
            case .firing: return AlertHistory.Record(name: name, event: event, notification: rule.isEvent ? nil : document)
            default: return AlertHistory.Record(name: name, event: event)
            }
        }
    }
}
