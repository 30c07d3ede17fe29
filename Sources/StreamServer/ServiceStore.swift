import Foundation
import GRDB
import StreamCore
import StreamRuntime
import struct StreamCore.Host

/// A topology as its users want it to be.
package struct DeployedTopology: Sendable, Hashable {
    package enum Kind: String, Sendable, CaseIterable { case yaml, sql }
    package enum Desired: String, Sendable { case running, stopped }

    package var name: String
    package var kind: Kind
    package var text: String
    /// From 1; each deployment with another text or other options is a new one.
    package var version: Int
    package var options: DeployOptions
    package var desired: Desired
    /// A savepoint that the version starts from; it counts until the job has a checkpoint of its own.
    package var startFrom: String?
    package var deployedAt: Int64
    /// Canceled, or why it does not run although it is wanted.
    package var ending: String?
    package var error: String?
}

/// What a deployment says beside the topology's text.
package struct DeployOptions: Codable, Sendable, Hashable {
    package var parallelism: Int?
    package var workers: Int?
    package var allowsNonRestoredState = false
    /// What `${NAME}` stands for, before the daemon's own environment. No place for secrets.
    package var variables: [String: String] = [:]
    /// Bytes of memory that the job's process may take.
    package var memory: Int?
    /// 1 to 10,000 as in control groups, default 100: the share of the processor when there is not enough.
    package var cpuWeight: Int?

    package init() {}
}

package struct ServiceEvent: Sendable, Hashable {
    package var at: Int64
    package var topology: String
    package var kind: String
    package var text: String

    package init(at: Int64, topology: String, kind: String, text: String) { (self.at, self.topology, self.kind, self.text) = (at, topology, kind, text) }
}

package struct AuditEntry: Sendable, Hashable {
    package var at: Int64
    package var who: String, peer: String, action: String, target: String
    package var status: Int

    package init(at: Int64, who: String, peer: String, action: String, target: String, status: Int) {
        (self.at, self.who, self.peer, self.action, self.target, self.status) = (at, who, peer, action, target, status)
    }
}

/// What the daemon must know after a crash, in one SQLite file. What was written is on the disk.
package final class ServiceStore: Sendable {
    private let queue: DatabaseQueue
    private let path: String
    private let commits = Monitor(Commits())

    /// Changes that wait for the disk. Those that come while one transaction is written go into the next together.
    private struct Commits: Sendable {
        var isWriting = false
        var nextTicket = 0
        var waiting: [(ticket: Int, body: @Sendable (Database) throws -> Void)] = []
        var done: [Int: Result<Void, any Error>] = [:]
    }

    /// - Throws: `.io` when the file cannot be opened, `.corrupt` when it is damaged, `.validate` when a newer program has written it.
    package init(path: String) throws {
        self.path = path
        var configuration = Configuration()
        configuration.label = "service"
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA journal_mode = WAL")
            try db.execute(sql: "PRAGMA synchronous = FULL")
        }
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration)
            let migrator = Self.migrator
            if try queue.read(migrator.hasBeenSuperseded) {
                throw StreamError(.validate, "\(path) was written by a newer version of this program", fix: "use that version, or another --data directory")
            }
            try migrator.migrate(queue)
        } catch let error as DatabaseError {
            throw Self.named(error, path)
        }
    }

    private static func named(_ error: DatabaseError, _ path: String) -> StreamError {
        let isDamaged = [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode)
        return StreamError(isDamaged ? .corrupt : .io, "\(path): \(error.message ?? "SQLite error \(error.resultCode.rawValue)")",
                           fix: isDamaged ? "restore the file from a copy, or remove it and deploy the topologies again" : "check the directory and the free space of its disk")
    }

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(sql: """
                CREATE TABLE topology (name TEXT PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, version INTEGER NOT NULL, options TEXT NOT NULL,
                  desired TEXT NOT NULL, start_from TEXT, deployed_at INTEGER NOT NULL, ending TEXT, error TEXT) STRICT;
                CREATE TABLE version (name TEXT NOT NULL, version INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, options TEXT NOT NULL,
                  deployed_at INTEGER NOT NULL, PRIMARY KEY (name, version)) STRICT;
                CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, topology TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL) STRICT;
                CREATE INDEX event_topology ON event (topology, id);
                CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, peer TEXT NOT NULL, action TEXT NOT NULL,
                  target TEXT NOT NULL, status INTEGER NOT NULL) STRICT;
                """)
        }
        return migrator
    }

    private func read<T>(_ body: (Database) throws -> T) throws -> T {
        do { return try queue.read(body) } catch let error as DatabaseError { throw Self.named(error, path) }
    }

    /// Returns when the change is on the disk. Whoever finds nobody writing writes all that wait.
    private func write(_ body: @escaping @Sendable (Database) throws -> Void) throws {
        let ticket = commits.withLock { commits in
            commits.nextTicket += 1
            commits.waiting.append((commits.nextTicket, body))
            return commits.nextTicket
        }
        typealias Turn = (mine: Result<Void, any Error>?, all: [(ticket: Int, body: @Sendable (Database) throws -> Void)])
        while true {
            let turn = commits.wait { commits -> Monitor<Commits>.Decision<Turn> in
                if let mine = commits.done.removeValue(forKey: ticket) { return .take((mine, [])) }
                if commits.isWriting { return .wait(nanoseconds: nil) }
                commits.isWriting = true
                defer { commits.waiting = [] }
                return .take((nil, commits.waiting))
            }
            if let mine = turn.mine {
                do { return try mine.get() } catch let error as DatabaseError { throw Self.named(error, path) }
            }
            let results = commit(turn.all.map(\.body))
            commits.withLock { commits in
                for (change, result) in zip(turn.all, results) { commits.done[change.ticket] = result }
                commits.isWriting = false
            }
            commits.broadcast()
        }
    }

    /// One transaction for all of them; one that fails takes nothing of the others with it.
    private func commit(_ changes: [@Sendable (Database) throws -> Void]) -> [Result<Void, any Error>] {
        do {
            return try queue.write { db in
                try changes.map { change in
                    var result = Result<Void, any Error>.success(())
                    try db.inSavepoint {
                        do { try change(db) } catch {
                            result = .failure(error)
                            return .rollback
                        }
                        return .commit
                    }
                    return result
                }
            }
        } catch {
            return changes.map { _ in .failure(error) }
        }
    }

    // MARK: Topologies

    package func topologies() throws -> [DeployedTopology] {
        try read { try Row.fetchAll($0, sql: "SELECT * FROM topology ORDER BY name").map { try Self.topology($0) } }
    }

    private static func topology(_ row: Row) throws -> DeployedTopology {
        let options = try JSONDecoder().decode(DeployOptions.self, from: Data((row["options"] as String).utf8))
        return DeployedTopology(
            name: row["name"], kind: .init(rawValue: row["kind"]) ?? .yaml, text: row["text"], version: row["version"], options: options,
            desired: .init(rawValue: row["desired"]) ?? .stopped, startFrom: row["start_from"], deployedAt: row["deployed_at"], ending: row["ending"],
            error: row["error"])
    }

    private static func text(_ options: DeployOptions) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(options), as: UTF8.self)
    }

    /// Writes all of it; its version becomes one of those that can be looked up.
    package func save(_ t: DeployedTopology) throws {
        try write { db in
            let options = try Self.text(t.options)
            try db.execute(
                sql: "INSERT OR REPLACE INTO topology (name, kind, text, version, options, desired, start_from, deployed_at, ending, error) VALUES (?,?,?,?,?,?,?,?,?,?)",
                arguments: [t.name, t.kind.rawValue, t.text, t.version, options, t.desired.rawValue, t.startFrom, t.deployedAt, t.ending, t.error])
            try db.execute(
                sql: "INSERT OR IGNORE INTO version (name, version, kind, text, options, deployed_at) VALUES (?,?,?,?,?,?)",
                arguments: [t.name, t.version, t.kind.rawValue, t.text, options, t.deployedAt])
        }
    }

    package func remove(_ name: String) throws {
        try write { db in
            try db.execute(sql: "DELETE FROM topology WHERE name = ?", arguments: [name])
            try db.execute(sql: "DELETE FROM version WHERE name = ?", arguments: [name])
        }
    }

    package func lastVersion(_ name: String) throws -> Int {
        try read { try Int.fetchOne($0, sql: "SELECT max(version) FROM version WHERE name = ?", arguments: [name]) ?? 0 }
    }

    // MARK: What happened

    package static let eventsKept = 10_000, auditKept = 100_000

    package func note(_ event: ServiceEvent) throws {
        try write { db in
            try db.execute(sql: "INSERT INTO event (at, topology, kind, text) VALUES (?,?,?,?)", arguments: [event.at, event.topology, event.kind, event.text])
            try db.execute(sql: "DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?", arguments: [Self.eventsKept])
        }
    }

    /// The newest first.
    package func events(of topology: String?, limit: Int) throws -> [ServiceEvent] {
        try read { db in
            let rows = try topology.map {
                try Row.fetchAll(db, sql: "SELECT * FROM event WHERE topology = ? ORDER BY id DESC LIMIT ?", arguments: [$0, limit])
            } ?? Row.fetchAll(db, sql: "SELECT * FROM event ORDER BY id DESC LIMIT ?", arguments: [limit])
            return rows.map { ServiceEvent(at: $0["at"], topology: $0["topology"], kind: $0["kind"], text: $0["text"]) }
        }
    }

    package func note(_ entry: AuditEntry) throws {
        try write { db in
            try db.execute(sql: "INSERT INTO audit (at, who, peer, action, target, status) VALUES (?,?,?,?,?,?)",
                           arguments: [entry.at, entry.who, entry.peer, entry.action, entry.target, entry.status])
            try db.execute(sql: "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?", arguments: [Self.auditKept])
        }
    }

    package func audit(limit: Int) throws -> [AuditEntry] {
        try read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM audit ORDER BY id DESC LIMIT ?", arguments: [limit]).map {
                AuditEntry(at: $0["at"], who: $0["who"], peer: $0["peer"], action: $0["action"], target: $0["target"], status: $0["status"])
            }
        }
    }
}
