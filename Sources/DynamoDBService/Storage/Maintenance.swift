import Dispatch
import Foundation
import GRDB
import StreamCore
import Synchronization

/// What is done beside requests: filling new indexes, deleting expired items, removing the rows of deleted tables and indexes,
/// forgetting old tokens.
final class Maintenance: Sendable {
    private let wakeUp = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    private let isClosed = Mutex(false)
    private let sweepSeconds: Double
    private let log: @Sendable (String) -> Void

    init(sweepSeconds: Double, log: @escaping @Sendable (String) -> Void) { (self.sweepSeconds, self.log) = (sweepSeconds, log) }

    /// Works on `store` until it is closed.
    func start(_ store: Store) {
        Thread.detachNewThread { [self] in
            while !isClosed.withLock({ $0 }) {
                do {
                    try run(store)
                } catch {
                    if !isClosed.withLock({ $0 }) { log("work beside requests failed, and is tried again in \(sweepSeconds) s: \(error)") }
                }
                _ = wakeUp.wait(timeout: .now() + sweepSeconds)
            }
            ended.signal()
        }
    }

    /// There is something to do.
    func wake() { wakeUp.signal() }

    func close() {
        isClosed.withLock { $0 = true }
        wakeUp.signal()
        ended.wait()
        // For whoever closes again.
        ended.signal()
    }

    private func run(_ store: Store) throws {
        for table in store.tables where Backfill.isNeeded(table) { try fill(store, table) }
        for table in store.tables where table.definition.timeToLive?.isEnabled == true { try expire(store, table) }
        try purge(store)
        try store.transact { transaction in
            let old = transaction.host.now() - TransactOperations.tokenMilliseconds
            // A look first: without old tokens there is nothing to write.
            if try Bool.fetchOne(transaction.db, sql: "SELECT EXISTS (SELECT 1 FROM tokens WHERE at < ?)", arguments: [old]) == true {
                try transaction.db.execute(sql: "DELETE FROM tokens WHERE at < ?", arguments: [old])
            }
        }
    }

    private func fill(_ store: Store, _ table: TableInfo) throws {
        var position: ItemPosition?
        // An index that comes while another is filled starts a new round.
        let indexes = table.definition.globals.map(\.id)
        while !isClosed.withLock({ $0 }) {
            let from = position
            let (next, isDone) = try store.transact { transaction -> (ItemPosition?, Bool) in
                guard let now = try? transaction.current(table), now.definition.globals.map(\.id) == indexes, Backfill.isNeeded(now) else { return (nil, true) }
                var position = from
                let done = try Backfill.step(transaction, now, after: &position)
                return (position, done != nil)
            }
            if isDone { return }
            position = next
        }
    }

    private func expire(_ store: Store, _ table: TableInfo) throws {
        var isMore = true
        while isMore, !isClosed.withLock({ $0 }) {
            isMore = try store.transact { transaction in
                guard let now = try? transaction.current(table), now.definition.timeToLive?.isEnabled == true else { return false }
                // The service leaves items alone that expired more than five years ago.
                let seconds = transaction.host.now() / 1_000
                let rows = try Row.fetchAll(
                    transaction.db, sql: "SELECT hash, range FROM expiries WHERE table_id = ? AND at <= ? AND at > ? LIMIT 100",
                    arguments: [table.id, seconds, seconds - 5 * 365 * 86_400])
                for row in rows {
                    let at = ItemPosition(hash: try ItemReading.bytes(row, 0), range: try ItemReading.bytes(row, 1))
                    guard let item = try transaction.stored(now, at) else { continue }
                    _ = try transaction.replace(now, at, old: item, new: nil, byService: true)
                }
                return rows.count == 100
            }
        }
    }

    private func purge(_ store: Store) throws {
        let dropped = try store.read { try Row.fetchAll($0, sql: "SELECT kind, id FROM dropped").map { ($0[0] as String, $0[1] as Int64) } }
        for (kind, id) in dropped {
            let (table, key, column) = kind == "table"
                ? ("items", "bucket, hash, range", "table_id") : ("index_entries", "bucket, hash, range, item_hash, item_range", "index_id")
            while !isClosed.withLock({ $0 }) {
                let isDone = try store.transact { transaction in
                    let db = transaction.db
                    try db.execute(sql: "DELETE FROM \(table) WHERE (\(column), \(key)) IN (SELECT \(column), \(key) FROM \(table) WHERE \(column) = ? LIMIT 1000)",
                                   arguments: [id])
                    guard db.changesCount < 1_000 else { return false }
                    try db.execute(sql: "DELETE FROM counters WHERE id = ?", arguments: [id])
                    if kind == "table" { try db.execute(sql: "DELETE FROM expiries WHERE table_id = ?", arguments: [id]) }
                    try db.execute(sql: "DELETE FROM dropped WHERE kind = ? AND id = ?", arguments: [kind, id])
                    return true
                }
                if isDone { break }
            }
        }
    }
}
