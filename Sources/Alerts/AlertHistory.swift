import Foundation
import GRDB
import StreamCore

/// Rules, what became of them, and notifications on their way, in an SQLite file that several processes share.
///
/// Every change is one transaction, on the disk when it returns.
public final class AlertHistory: Sendable {
    static let busySeconds = 10.0

    public let path: String
    private let database: DatabasePool
    let host: StreamCore.Host

    /// Where it lies in a data directory.
    public static func path(data: String) -> String { data + "/service/alerts.sqlite" }

    /// Opens the file, creating it and its folder when they are missing.
    ///
    /// - Throws: `.io` when it cannot be opened, `.corrupt` when it is damaged, `.validate` when a newer program has written it.
    public init(path: String, host: StreamCore.Host = .system) throws {
        (self.path, self.host) = (path, host)
        try host.createDirectories(StreamCore.Host.parent(of: path))
        var configuration = Configuration()
        configuration.busyMode = .timeout(Self.busySeconds)
        // What a checkpoint has handed over must survive a power cut.
        configuration.prepareDatabase { db in try db.execute(sql: "PRAGMA synchronous = FULL") }
        configuration.maximumReaderCount = 2
        database = try Self.naming(path) { try DatabasePool(path: path, configuration: configuration) }
        // Events hold rows: they are nobody else's business.
        _ = chmod(path, 0o600)
        try Self.naming(path) {
            let migrator = AlertHistorySchema.migrator
            if try database.read(migrator.hasBeenSuperseded) {
                throw StreamError(.validate, "\(path) was written by a newer version of this program", fix: "use that version, or another file")
            }
            try migrator.migrate(database)
        }
    }

    private static func naming<T>(_ path: String, _ body: () throws -> T) throws -> T {
        do {
            return try body()
        } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_CORRUPT, .SQLITE_NOTADB:
                throw StreamError(.corrupt, "\(path) is damaged, or no history of alerts: \(error.message ?? "unreadable")", fix: "move it away; it is made anew")
            case .SQLITE_BUSY, .SQLITE_LOCKED:
                throw StreamError(.conflict, "\(path) has been in use by another process for \(Int(busySeconds)) seconds", fix: "try again when that process is done")
            case .SQLITE_FULL: throw StreamError(.io, "cannot write \(path): no space is left", fix: "free disk space")
            default: throw StreamError(.io, "\(path): \(error.message ?? "SQLite error \(error.resultCode.rawValue)")", fix: "check its permissions and those of its folder")
            }
        }
    }

    func read<T>(_ body: (Database) throws -> T) throws -> T { try Self.naming(path) { try database.read(body) } }

    func write<T>(_ body: (Database) throws -> T) throws -> T {
        // The write lock is taken at once, so that what a transaction reads cannot change before it writes.
        try Self.naming(path) {
            try database.writeWithoutTransaction { db in
                var result: T?
                try db.inTransaction(.immediate) {
                    result = try body(db)
                    return .commit
                }
                return result!
            }
        }
    }

    // MARK: Rules

    /// Makes a rule known, or changes it. What an operator has switched stays, unless the definition now says otherwise than before.
    public func register(_ rule: AlertRule) throws {
        let now = host.now()
        try write { db in try Self.register(rule, now, db) }
    }

    private static func register(_ rule: AlertRule, _ now: Int64, _ db: Database) throws {
        try db.execute(sql: """
            INSERT INTO rules (topology, name, definition, defined_enabled, enabled, updated_at) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (topology, name) DO UPDATE SET
              definition = excluded.definition, updated_at = excluded.updated_at,
              enabled = CASE WHEN defined_enabled <> excluded.defined_enabled THEN excluded.defined_enabled ELSE enabled END,
              defined_enabled = excluded.defined_enabled
            """, arguments: [rule.topology, rule.name, rule.json, rule.isEnabled, rule.isEnabled, now])
    }

    /// The rules of a topology are these from now on. History of others stays.
    public func replaceRules(of topology: String, with rules: [AlertRule]) throws {
        let now = host.now()
        try write { db in
            let names = Set(rules.map(\.name))
            for name in try String.fetchAll(db, sql: "SELECT name FROM rules WHERE topology = ?", arguments: [topology]) where !names.contains(name) {
                for table in ["rules WHERE topology = ? AND name", "instances WHERE topology = ? AND rule", "metrics WHERE topology = ? AND rule"] {
                    try db.execute(sql: "DELETE FROM \(table) = ?", arguments: [topology, name])
                }
            }
            for var rule in rules {
                rule.topology = topology
                try Self.register(rule, now, db)
            }
        }
    }

    /// Switches a rule. Jobs that run see it within about a second.
    ///
    /// - Throws: `.validate` when there is no such rule.
    public func setEnabled(_ enabled: Bool, topology: String, rule: String) throws {
        let now = host.now()
        try write { db in
            try db.execute(sql: "UPDATE rules SET enabled = ?, updated_at = ? WHERE topology = ? AND name = ?", arguments: [enabled, now, topology, rule])
            guard db.changesCount == 0 else { return }
            let known = try String.fetchAll(db, sql: "SELECT name FROM rules WHERE topology = ?", arguments: [topology])
            throw StreamError(.validate, "topology \(topology) has no alert \(rule)", fix: NearName.hint(for: rule, in: known))
        }
    }

    /// nil when there is no such rule.
    public func isEnabled(topology: String, rule: String) throws -> Bool? {
        try read { db in try Bool.fetchOne(db, sql: "SELECT enabled FROM rules WHERE topology = ? AND name = ?", arguments: [topology, rule]) }
    }

    func definition(topology: String, rule: String) throws -> AlertRule? {
        try read { db in try String.fetchOne(db, sql: "SELECT definition FROM rules WHERE topology = ? AND name = ?", arguments: [topology, rule]) }.map { try AlertRule(json: $0) }
    }

    // MARK: What happens

    /// Events of a rule, with names that stay the same when they are written again, and the deliveries of each.
    struct Record: Codable, Hashable, Sendable {
        var name: String
        var event: AlertEvent
        /// What notifications say; nil for events that are only noted.
        var notification: JSONValue?
        var deliveries: [String] = []
    }

    /// Writes events. Those that are there already change nothing.
    ///
    /// - Parameter state: the new state of a rule over a metric, in the same transaction.
    func append(_ records: [Record], topology: String, rule: String, state: AlertState? = nil) throws {
        guard !records.isEmpty || state != nil else { return }
        let now = host.now()
        try write { db in
            for record in records { try Self.append(record, topology, rule, now, db) }
            if let state {
                let text = String(decoding: try JSONEncoder().encode(state), as: UTF8.self)
                try db.execute(sql: "INSERT OR REPLACE INTO metrics (topology, rule, state) VALUES (?, ?, ?)", arguments: [topology, rule, text])
            }
        }
    }

    private static func append(_ record: Record, _ topology: String, _ rule: String, _ now: Int64, _ db: Database) throws {
        let event = record.event
        switch event.kind {
        case .firing, .suppressed, .resolved, .disabled:
            try note(record.name, topology, rule, event, kind: event.kind.rawValue, now, db)
            guard db.changesCount > 0 else { return }
            if event.kind == .firing, record.notification != nil {
                try db.execute(
                    sql: "INSERT OR REPLACE INTO instances (topology, rule, key, since, fired_at, value) VALUES (?, ?, ?, ?, ?, ?)",
                    arguments: [topology, rule, event.key, event.since, event.time, event.value])
            } else if event.kind == .resolved || event.kind == .disabled {
                try db.execute(sql: "DELETE FROM instances WHERE topology = ? AND rule = ? AND key = ?", arguments: [topology, rule, event.key])
            }
        case .notifyFiring, .notifyResolved:
            if record.deliveries.isEmpty {
                try note(record.name, topology, rule, event, kind: "suppressed", now, db, text: "no route takes it, and the rule notifies nobody else")
            }
            for delivery in record.deliveries {
                try db.execute(
                    sql: """
                        INSERT OR IGNORE INTO outbox (id, notification, topology, rule, delivery, key, at, value, event, created_at, next_at)
                        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                        """,
                    arguments: [
                        record.name + "/" + delivery, record.name, topology, rule, delivery, event.key, event.time, event.value,
                        (record.notification ?? .null).text, now, now,
                    ])
            }
        }
    }

    private static func note(_ name: String, _ topology: String, _ rule: String, _ event: AlertEvent, kind: String, _ now: Int64, _ db: Database, text: String? = nil) throws {
        try db.execute(
            sql: "INSERT OR IGNORE INTO entries (name, topology, rule, key, kind, at, recorded_at, value, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            arguments: [name, topology, rule, event.key, kind, event.time, now, event.value, text])
    }

    /// A job begins anew: what an earlier one left firing is not of this one.
    func forgetInstances(topology: String, rule: String) throws {
        try write { db in try db.execute(sql: "DELETE FROM instances WHERE topology = ? AND rule = ?", arguments: [topology, rule]) }
    }

    /// nil when the rule was never evaluated.
    func metricState(topology: String, rule: String) throws -> AlertState? {
        try read { db in try String.fetchOne(db, sql: "SELECT state FROM metrics WHERE topology = ? AND rule = ?", arguments: [topology, rule]) }.map { text in
            do { return try JSONDecoder().decode(AlertState.self, from: Data(text.utf8)) } catch {
                throw StreamError(.corrupt, "\(path): the state of alert \(rule) of topology \(topology) cannot be read", fix: "move the file away; it is made anew")
            }
        }
    }

    /// Removes what is older than each rule's retention; rules that are gone keep theirs for the default of 90 days.
    public func prune() throws {
        let now = host.now()
        try write { db in
            var ages: [(topology: String, rule: String, age: Int64)] = []
            for row in try Row.fetchAll(db, sql: "SELECT topology, name, definition FROM rules") {
                if let rule = try? AlertRule(json: row["definition"]) { ages.append((row["topology"], row["name"], rule.retention)) }
            }
            for (topology, rule, age) in ages {
                try db.execute(sql: "DELETE FROM entries WHERE topology = ? AND rule = ? AND recorded_at < ?", arguments: [topology, rule, now - age])
                try db.execute(
                    sql: "DELETE FROM outbox WHERE topology = ? AND rule = ? AND state <> 'waiting' AND created_at < ?", arguments: [topology, rule, now - age])
            }
            let age = now - AlertRule.defaultRetention
            let unknown = "NOT EXISTS (SELECT 1 FROM rules r WHERE r.topology = t.topology AND r.name = t.rule)"
            try db.execute(sql: "DELETE FROM entries AS t WHERE recorded_at < ? AND \(unknown)", arguments: [age])
            try db.execute(sql: "DELETE FROM outbox AS t WHERE created_at < ? AND \(unknown)", arguments: [age])
        }
    }
}
