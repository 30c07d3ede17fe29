import AWSProtocol
import Foundation
import GRDB
import ShardLog
import StreamCore
import Synchronization

/// The changes of items, for 24 hours: DynamoDB Streams are read from them, and Kinesis destinations are fed from them.
///
/// A change is written in the transaction of the item itself: there is one exactly if the item changed. Changes are numbered over
/// all tables; a stream is the changes of its table from one number to another, in one shard.
public final class ChangeLog: Sendable {
    let host: StreamCore.Host
    let pool: DatabasePool
    let publisher: ChangePublisher
    /// Makes the identifiers of events differ from those of another file.
    let salt: Int64
    private let hasRecorded = Mutex(false)

    static let keptMilliseconds: Int64 = 24 * 3_600_000

    /// - Parameter log: where Kinesis destinations are; nil when there are none.
    init(pool: DatabasePool, log: ShardLog?, host: StreamCore.Host) throws {
        (self.pool, self.host) = (pool, host)
        salt = try pool.write { db in
            let salt = Int64(bitPattern: host.randomBits() >> 1)
            try db.execute(sql: "INSERT OR IGNORE INTO change_state VALUES (1, 0, 0, ?)", arguments: [salt])
            return try Int64.fetchOne(db, sql: "SELECT salt FROM change_state")!
        }
        publisher = ChangePublisher(pool: pool, log: log, host: host, salt: salt)
    }

    static func createTables(_ db: Database) throws {
        try db.execute(sql: """
            CREATE TABLE change_state (
                id INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, microseconds INTEGER NOT NULL, salt INTEGER NOT NULL);
            CREATE TABLE changes (
                table_id INTEGER NOT NULL, sequence INTEGER NOT NULL, microseconds INTEGER NOT NULL, event TEXT NOT NULL, keys BLOB NOT NULL,
                old BLOB, new BLOB, by_service INTEGER NOT NULL, PRIMARY KEY (table_id, sequence)) WITHOUT ROWID;
            CREATE TABLE change_streams (
                id INTEGER PRIMARY KEY AUTOINCREMENT, table_id INTEGER NOT NULL, account TEXT NOT NULL, region TEXT NOT NULL,
                table_name TEXT NOT NULL, arn TEXT NOT NULL UNIQUE, label TEXT NOT NULL, view_type TEXT NOT NULL, key_schema TEXT NOT NULL,
                created_at INTEGER NOT NULL, disabled_at INTEGER, shard TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER,
                trimmed INTEGER NOT NULL DEFAULT 0);
            CREATE INDEX change_streams_by_table ON change_streams (table_id);
            CREATE TABLE destinations (
                id INTEGER PRIMARY KEY AUTOINCREMENT, table_id INTEGER NOT NULL, table_name TEXT NOT NULL, region TEXT NOT NULL,
                stream_arn TEXT NOT NULL, status TEXT NOT NULL, is_precise INTEGER, producer INTEGER NOT NULL, position INTEGER NOT NULL,
                pending INTEGER, last INTEGER, left_out INTEGER NOT NULL DEFAULT 0, is_table_deleted INTEGER NOT NULL DEFAULT 0,
                UNIQUE (table_id, stream_arn));
            """)
    }

    // MARK: Writing

    /// Keeps a change, if there is one and anyone wants it. Within the transaction that makes it.
    ///
    /// - Parameter byService: removed as its time to live had passed.
    func record(_ db: Database, table: TableInfo, keys: Item, old: Item?, new: Item?, at: Int64, byService: Bool) throws {
        guard old != new else { return }
        let stream = table.definition.stream
        let view = stream?.isEnabled == true ? stream!.viewType : nil
        let hasDestination = try Bool.fetchOne(
            db.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM destinations WHERE table_id = ? AND status = 'ACTIVE')"), arguments: [table.id])!
        guard view != nil || hasDestination else { return }
        let wantsOld = hasDestination || view == "OLD_IMAGE" || view == "NEW_AND_OLD_IMAGES"
        let wantsNew = hasDestination || view == "NEW_IMAGE" || view == "NEW_AND_OLD_IMAGES"
        let number = try Row.fetchOne(
            db.cachedStatement(sql: """
                UPDATE change_state SET sequence = sequence + 1, microseconds = max(microseconds + 1, ?) RETURNING sequence, microseconds
                """), arguments: [at * 1_000])!
        let event: ChangeRecord.Event = old == nil ? .insert : new == nil ? .remove : .modify
        try db.cachedStatement(sql: "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)").execute(arguments: [
            table.id, number[0] as Int64, number[1] as Int64, event.rawValue, Data(keys.encoded()),
            wantsOld ? old.map { Data($0.encoded()) } : nil, wantsNew ? new.map { Data($0.encoded()) } : nil, byService,
        ])
        hasRecorded.withLock { $0 = true }
    }

    /// What was recorded is durable.
    func committed() {
        let isNew = hasRecorded.withLock { flag in
            defer { flag = false }
            return flag
        }
        if isNew { publisher.wake() }
    }

    func rolledBack() { hasRecorded.withLock { $0 = false } }

    /// The newest number that was given.
    static func newest(_ db: Database) throws -> Int64 { try Int64.fetchOne(db, sql: "SELECT sequence FROM change_state")! }

    func close() { publisher.close() }

    // MARK: Streams

    /// Begins a stream of the table's changes from here on.
    func enableStream(_ db: Database, table: TableInfo, viewType: String, at: Int64) throws -> (arn: String, label: String) {
        // Streams of one table have different labels, also when they begin in the same millisecond.
        var created = at
        var arn = "", label = ""
        repeat {
            label = Self.label(created)
            arn = "\(table.arn)/stream/\(label)"
            created += 1
        } while try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM change_streams WHERE arn = ?)", arguments: [arn])!
        let random = String(UInt32(truncatingIfNeeded: host.randomBits()), radix: 16).padded(8)
        let shard = "shardId-\(String(at).padded(20))-\(random)"
        let schema = String(decoding: try JSONEncoder().encode(table.key), as: UTF8.self)
        try db.execute(
            sql: """
                INSERT INTO change_streams (table_id, account, region, table_name, arn, label, view_type, key_schema, created_at, shard, first)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                table.id, table.account, table.region, table.name, arn, label, viewType, schema, at, shard, try Self.newest(db) + 1,
            ])
        return (arn, label)
    }

    /// `2015-05-11T21:21:33.291`
    private static func label(_ milliseconds: Int64) -> String {
        var seconds = time_t(milliseconds / 1_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { String(value).padded(2) }
        let date = "\(parts.tm_year + 1_900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return "\(date)T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(String(milliseconds % 1_000).padded(3))"
    }

    /// Closes the table's stream; what is in it stays readable.
    func disableStream(_ db: Database, table: TableInfo) throws {
        try db.execute(sql: "UPDATE change_streams SET disabled_at = ?, last = ? WHERE table_id = ? AND last IS NULL",
                       arguments: [host.now(), try Self.newest(db), table.id])
    }

    /// Closes the table's stream and lets its destinations have what they have not got yet.
    func tableDeleted(_ db: Database, table: TableInfo) throws {
        try disableStream(db, table: table)
        try db.execute(
            sql: "UPDATE destinations SET is_table_deleted = 1, status = 'DISABLING', last = coalesce(last, ?) WHERE table_id = ?",
            arguments: [try Self.newest(db), table.id])
        hasRecorded.withLock { $0 = true }
    }

    /// Removes what is older than 24 hours, a part at a time.
    static func trim(_ pool: DatabasePool, now: Int64) throws {
        let tables = try pool.read {
            try Int64.fetchAll($0, sql: "SELECT table_id FROM change_streams UNION SELECT table_id FROM destinations")
        }
        let oldest = (now - keptMilliseconds) * 1_000
        for table in tables {
            while let last = try pool.read({ try end(of: table, before: oldest, $0) }) {
                try pool.write { db in
                    try db.execute(sql: "DELETE FROM changes WHERE table_id = ? AND sequence <= ?", arguments: [table, last])
                    try db.execute(sql: "UPDATE change_streams SET trimmed = max(trimmed, ?) WHERE table_id = ?", arguments: [last, table])
                }
            }
        }
        try pool.write {
            try $0.execute(sql: "DELETE FROM change_streams WHERE disabled_at < ?", arguments: [now - keptMilliseconds])
        }
    }

    /// The last of up to 10,000 changes that are too old; the numbers grow with the time.
    private static func end(of table: Int64, before oldest: Int64, _ db: Database) throws -> Int64? {
        var last: Int64?
        let rows = try Row.fetchCursor(
            db, sql: "SELECT sequence, microseconds FROM changes WHERE table_id = ? ORDER BY sequence LIMIT 10000", arguments: [table])
        while let row = try rows.next(), (row[1] as Int64) < oldest { last = row[0] }
        return last
    }
}
