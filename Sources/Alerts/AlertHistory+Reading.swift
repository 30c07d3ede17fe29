import GRDB
import StreamCore

/// A rule as it stands.
public struct AlertRuleStatus: Codable, Hashable, Sendable {
    public struct Instance: Codable, Hashable, Sendable {
        public var key: String
        /// Milliseconds: when the condition began to hold, and when it had held for long enough.
        public var since: Int64, firedAt: Int64
        public var value: String?
    }

    public var topology: String
    public var name: String
    public var description: String?
    /// `query` or `metric`.
    public var kind: String
    /// The query, or the name of the metric.
    public var source: String
    /// nil = each row is an alert of its own.
    public var condition: String?
    /// Milliseconds.
    public var holdsFor: Int64
    public var throttle: String
    public var resolve: Bool
    public var severity: String?
    public var labels: [String: String]
    public var enabled: Bool
    /// All deliveries that can be reached.
    public var notify: [String]
    /// `firing`, `inactive` or `disabled`.
    public var state: String
    /// What fires now, at most 100.
    public var firing: [Instance]
    /// The last time that it began to fire; nil = not within the history kept.
    public var lastFiredAt: Int64?
    /// Notifications on their way, and those given up.
    public var waiting: Int, failed: Int
    /// Why the newest notification that is not delivered is not.
    public var problem: String?
}

/// Something that happened.
public struct AlertEntry: Codable, Hashable, Sendable {
    public var id: Int64
    public var topology: String
    public var rule: String
    public var key: String
    /// `firing`, `resolved`, `notified`, `suppressed`, `failed` or `disabled`.
    public var kind: String
    /// Milliseconds: in the time of the rule, and by the clock when it was written.
    public var at: Int64, recordedAt: Int64
    public var value: String?
    /// Of `notified` and `failed`: the id that the receiver got, and which delivery.
    public var notification: String?
    public var delivery: String?
    /// Why it is so.
    public var text: String?
}

extension AlertHistory {
    /// All rules, or those of one topology, or one, by name.
    public func rules(topology: String? = nil, rule: String? = nil) throws -> [AlertRuleStatus] {
        try read { db in
            let rows = try Row.fetchAll(
                db, sql: "SELECT topology, name, definition, enabled FROM rules WHERE (?1 IS NULL OR topology = ?1) AND (?2 IS NULL OR name = ?2) ORDER BY topology, name",
                arguments: [topology, rule])
            return try rows.compactMap { row in
                guard let rule = try? AlertRule(json: row["definition"]) else { return nil }
                let place: StatementArguments = [row["topology"] as String, row["name"] as String]
                let instances = try Row.fetchAll(db, sql: "SELECT key, since, fired_at, value FROM instances WHERE topology = ? AND rule = ? ORDER BY key LIMIT 100", arguments: place)
                    .map { AlertRuleStatus.Instance(key: $0["key"], since: $0["since"], firedAt: $0["fired_at"], value: $0["value"]) }
                func count(_ state: String) throws -> Int {
                    try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM outbox WHERE topology = ? AND rule = ? AND state = '\(state)'", arguments: place) ?? 0
                }
                let enabled: Bool = row["enabled"]
                let source = switch rule.source { case .query(let text): text; case .metric(let metric): metric.name }
                return AlertRuleStatus(
                    topology: row["topology"], name: row["name"], description: rule.description, kind: rule.isMetric ? "metric" : "query", source: source,
                    condition: rule.condition, holdsFor: rule.holdsFor, throttle: rule.throttle.rawValue, resolve: rule.notifiesResolved, severity: rule.severity,
                    labels: rule.labels, enabled: enabled, notify: rule.deliveries.keys.sorted(), state: !enabled ? "disabled" : instances.isEmpty ? "inactive" : "firing",
                    firing: instances,
                    lastFiredAt: try Int64.fetchOne(
                        db, sql: "SELECT at FROM entries WHERE topology = ? AND rule = ? AND kind = 'firing' ORDER BY id DESC LIMIT 1", arguments: place),
                    waiting: try count("waiting"), failed: try count("failed"),
                    problem: try String.fetchOne(
                        db, sql: "SELECT problem FROM outbox WHERE topology = ? AND rule = ? AND state <> 'delivered' AND problem IS NOT NULL ORDER BY created_at DESC LIMIT 1",
                        arguments: place))
            }
        }
    }

    /// The newest entries, newest first.
    ///
    /// - Parameter before: of an entry: only older ones.
    public func entries(topology: String, rule: String, limit: Int = 100, before: Int64? = nil) throws -> [AlertEntry] {
        try read { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM entries WHERE topology = ? AND rule = ? AND id < ? ORDER BY id DESC LIMIT ?",
                arguments: [topology, rule, before ?? .max, max(0, min(limit, 10_000))]
            ).map { row in
                AlertEntry(
                    id: row["id"], topology: row["topology"], rule: row["rule"], key: row["key"], kind: row["kind"], at: row["at"], recordedAt: row["recorded_at"],
                    value: row["value"], notification: row["notification"], delivery: row["delivery"], text: row["text"])
            }
        }
    }
}
