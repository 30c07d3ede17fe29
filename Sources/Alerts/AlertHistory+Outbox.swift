import GRDB
import StreamCore

extension AlertHistory {
    /// A notification that a process has taken on, for a while.
    struct Claim: Sendable {
        var id: String
        var notification: AlertNotification
        var key: String
        var at: Int64
        var value: String?
        /// Tries before this one.
        var attempts: Int
    }

    /// Takes notifications that are due, of lanes (topology and delivery) that are not at work.
    ///
    /// - Parameters:
    ///   - topologies: nil = all.
    ///   - busy: `topology/delivery` of lanes to leave alone.
    ///   - hold: milliseconds after which others may take them, should this process die.
    func claim(by owner: String, topologies: Set<String>?, busy: Set<String>, hold: Int64, limit: Int = 64) throws -> [Claim] {
        let now = host.now()
        // Mostly there is nothing: that is found without the lock of writers.
        let due = "state = 'waiting' AND next_at <= ? AND claimed_until <= ?"
        guard try read({ db in try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM outbox WHERE \(due))", arguments: [now, now]) }) == true else { return [] }
        return try write { db in
            var claims: [Claim] = []
            let rows = try Row.fetchCursor(db, sql: "SELECT * FROM outbox WHERE \(due) ORDER BY next_at, rowid", arguments: [now, now])
            while let row = try rows.next(), claims.count < limit {
                let topology: String = row["topology"], delivery: String = row["delivery"]
                if let topologies, !topologies.contains(topology) { continue }
                if busy.contains(topology + "/" + delivery) { continue }
                let event = (try? JSONValue(json: row["event"])) ?? .null
                claims.append(Claim(
                    id: row["id"], notification: AlertNotification(id: row["notification"], topology: topology, rule: row["rule"], delivery: delivery, event: event),
                    key: row["key"], at: row["at"], value: row["value"], attempts: row["attempts"]))
            }
            for claim in claims { try db.execute(sql: "UPDATE outbox SET claimed_by = ?, claimed_until = ? WHERE id = ?", arguments: [owner, now + hold, claim.id]) }
            return claims
        }
    }

    func delivered(_ claim: Claim) throws {
        let now = host.now()
        try write { db in
            try db.execute(sql: "UPDATE outbox SET state = 'delivered', attempts = attempts + 1, problem = NULL, claimed_until = 0 WHERE id = ?", arguments: [claim.id])
            try Self.note(claim, "notified", text: nil, now, db)
        }
    }

    /// - Parameter pause: milliseconds to the next try; nil = it is given up.
    func failed(_ claim: Claim, _ problem: String, pause: Int64?) throws {
        let now = host.now()
        try write { db in
            try db.execute(
                sql: "UPDATE outbox SET state = ?, attempts = attempts + 1, problem = ?, next_at = ?, claimed_until = 0 WHERE id = ?",
                arguments: [pause == nil ? "failed" : "waiting", problem, now + (pause ?? 0), claim.id])
            if pause == nil { try Self.note(claim, "failed", text: problem, now, db) }
        }
    }

    private static func note(_ claim: Claim, _ kind: String, text: String?, _ now: Int64, _ db: Database) throws {
        let notification = claim.notification
        try db.execute(
            sql: """
                INSERT OR IGNORE INTO entries (name, topology, rule, key, kind, at, recorded_at, value, notification, delivery, text)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                claim.id + "/" + kind, notification.topology, notification.rule, claim.key, kind, claim.at, now, claim.value, notification.id, notification.delivery, text,
            ])
    }

    /// Gives back what this process has taken, at its end.
    func release(by owner: String) throws {
        try write { db in try db.execute(sql: "UPDATE outbox SET claimed_until = 0 WHERE state = 'waiting' AND claimed_by = ?", arguments: [owner]) }
    }

    /// Notifications of a topology that no try has been made of yet, or that are being tried for the first time.
    func untried(topology: String) throws -> Int {
        try read { db in try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM outbox WHERE topology = ? AND state = 'waiting' AND attempts = 0", arguments: [topology]) ?? 0 }
    }

    /// Tries that failed ones be delivered once more.
    ///
    /// - Returns: how many.
    @discardableResult
    public func retryFailed(topology: String, rule: String) throws -> Int {
        let now = host.now()
        return try write { db in
            try db.execute(
                sql: "UPDATE outbox SET state = 'waiting', attempts = 0, next_at = ? WHERE topology = ? AND rule = ? AND state = 'failed'", arguments: [now, topology, rule])
            return db.changesCount
        }
    }
}
