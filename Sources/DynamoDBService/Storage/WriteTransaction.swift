import AWSProtocol
import Foundation
import GRDB
import StreamCore

/// An item as it is stored.
struct StoredItem: Sendable {
    var item: Item
    var bytes: [UInt8]
    /// As the service counts it.
    var size: Int

    /// - Throws: `ValidationException` when it is larger than an item may be.
    init(_ item: Item, tooLarge: String = "Item size has exceeded the maximum allowed size") throws {
        self.item = item
        size = item.byteCount
        guard size <= 400 << 10 else { throw AWSError.validation(tooLarge) }
        bytes = item.encoded()
    }

    init(stored bytes: [UInt8], size: Int) throws { (item, self.bytes, self.size) = (try Item(decoding: bytes), bytes, size) }
}

/// What a write costs, in units of 1 KB.
struct WriteUnits: Sendable {
    var table = 0
    /// By the index's name.
    var indexes: [String: Int] = [:]

    static func of(_ bytes: Int) -> Int { max(1, (bytes + 1_023) / 1_024) }
}

/// The writer's transaction, as one after another of those who share it sees it. Used on the writer's thread alone.
final class WriteTransaction {
    let db: Database
    private(set) var catalog: Catalog
    private(set) var hasNewCatalog = false
    private let changes: ChangeLog
    let host: StreamCore.Host
    private var counters: [Int64: Counter] = [:]

    init(db: Database, catalog: Catalog, changes: ChangeLog, host: StreamCore.Host) {
        (self.db, self.catalog, self.changes, self.host) = (db, catalog, changes, host)
    }

    /// Takes back what `body` did when it throws.
    func attempt<T>(_ body: () throws -> T) throws -> T {
        // After a failure such as a full disk SQLite has ended the transaction for all.
        guard db.isInsideTransaction else { throw DatabaseError(resultCode: .SQLITE_FULL, message: "the transaction was rolled back") }
        let before = (catalog, hasNewCatalog, counters)
        do {
            var result: T?
            try db.inSavepoint {
                result = try body()
                return .commit
            }
            return result!
        } catch {
            (catalog, hasNewCatalog, counters) = before
            throw error
        }
    }

    func writeCounters() throws {
        let statement = try db.cachedStatement(sql: """
            INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET items = items + excluded.items, bytes = bytes + excluded.bytes
            """)
        for (id, change) in counters where change != Counter() { try statement.execute(arguments: [id, change.items, change.bytes]) }
    }

    private func count(_ id: Int64, items: Int, bytes: Int) {
        counters[id, default: Counter()].items += items
        counters[id]!.bytes += bytes
    }

    // MARK: Tables

    /// A number that no table or index has had before.
    func nextID() throws -> Int64 {
        let id = try Int64.fetchOne(db, sql: "UPDATE properties SET value = value + 1 WHERE name = 'next_id' RETURNING value - 1")
        return id!
    }

    /// The table as it is now.
    ///
    /// - Throws: `ResourceNotFoundException` when it has been deleted, or deleted and created again.
    func current(_ table: TableInfo) throws -> TableInfo {
        guard let now = catalog.table(.init(account: table.account, region: table.region, name: table.name)), now.id == table.id else {
            throw AWSError("ResourceNotFoundException", "Requested resource not found")
        }
        return now
    }

    func put(_ table: TableInfo) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let definition = String(decoding: try encoder.encode(table.definition), as: UTF8.self)
        try db.execute(sql: "INSERT OR REPLACE INTO tables VALUES (?, ?, ?, ?, ?)",
                       arguments: [table.id, table.account, table.region, table.name, definition])
        catalog.tables[.init(account: table.account, region: table.region, name: table.name)] = table
        hasNewCatalog = true
    }

    /// Its rows are removed later, a part at a time.
    func remove(_ table: TableInfo) throws {
        try db.execute(sql: "DELETE FROM tables WHERE id = ?", arguments: [table.id])
        try db.execute(sql: "INSERT INTO dropped VALUES ('table', ?)", arguments: [table.id])
        for index in table.indexes { try drop(index) }
        catalog.tables[.init(account: table.account, region: table.region, name: table.name)] = nil
        hasNewCatalog = true
    }

    func drop(_ index: IndexDefinition) throws { try db.execute(sql: "INSERT INTO dropped VALUES ('index', ?)", arguments: [index.id]) }

    // MARK: Items

    func stored(_ table: TableInfo, _ at: ItemPosition) throws -> StoredItem? { try ItemReading.stored(db, table, at) }

    /// Puts `new` where `old` is, or removes it: the item, its entries in indexes, its expiry and the record of the change.
    func replace(_ table: TableInfo, _ at: ItemPosition, old: StoredItem?, new: StoredItem?, byService: Bool = false) throws -> WriteUnits {
        var units = WriteUnits(table: WriteUnits.of(max(old?.size ?? 0, new?.size ?? 0)))
        // A write that changes nothing costs its units and leaves no record.
        guard old?.bytes != new?.bytes else { return units }
        let (hash, range) = (Data(at.hash), Data(at.range))
        if let new {
            try db.cachedStatement(sql: "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?)")
                .execute(arguments: [table.id, at.bucket, hash, range, new.size, Data(new.bytes)])
        } else {
            try db.cachedStatement(sql: "DELETE FROM items WHERE table_id = ? AND bucket = ? AND hash = ? AND range = ?")
                .execute(arguments: [table.id, at.bucket, hash, range])
        }
        count(table.id, items: (new == nil ? 0 : 1) - (old == nil ? 0 : 1), bytes: (new?.size ?? 0) - (old?.size ?? 0))
        for index in table.indexes {
            let cost = try replaceEntry(table, index, at, old: old, new: new)
            if cost > 0 { units.indexes[index.name] = cost }
        }
        if let timeToLive = table.definition.timeToLive, timeToLive.isEnabled {
            let before = old.flatMap { Self.expiry($0.item, timeToLive.attribute) }, after = new.flatMap { Self.expiry($0.item, timeToLive.attribute) }
            if before != after {
                if let before {
                    try db.cachedStatement(sql: "DELETE FROM expiries WHERE table_id = ? AND at = ? AND bucket = ? AND hash = ? AND range = ?")
                        .execute(arguments: [table.id, before, at.bucket, hash, range])
                }
                if let after { try putExpiry(table, at, after) }
            }
        }
        try changes.record(db, table: table, keys: table.key.key(of: (new ?? old)!.item), old: old?.item, new: new?.item, at: host.now(),
                           byService: byService)
        return units
    }

    private func replaceEntry(_ table: TableInfo, _ index: IndexDefinition, _ at: ItemPosition, old: StoredItem?, new: StoredItem?) throws -> Int {
        let before = old.flatMap { ItemPosition($0.item, index.key) }, after = new.flatMap { ItemPosition($0.item, index.key) }
        guard before != nil || after != nil else { return 0 }
        let shown = index.shown(tableKey: table.key)
        func size(_ item: StoredItem?) -> Int { item.map { Self.size($0, shown) } ?? 0 }
        let sizeBefore = before == nil ? 0 : size(old), sizeAfter = after == nil ? 0 : size(new)
        if before == after, sizeBefore == sizeAfter {
            guard let shown else { return WriteUnits.of(sizeAfter) }
            return shown.contains { old?.item[$0] != new?.item[$0] } ? WriteUnits.of(sizeAfter) : 0
        }
        var units = 0
        if let before {
            let statement = try db.cachedStatement(sql: """
                DELETE FROM index_entries WHERE index_id = ? AND bucket = ? AND hash = ? AND range = ? AND item_hash = ? AND item_range = ?
                """)
            try statement.execute(arguments: [index.id, before.bucket, Data(before.hash), Data(before.range), Data(at.hash), Data(at.range)])
            // An index that is being filled may not have it yet.
            if db.changesCount > 0 { count(index.id, items: -1, bytes: -sizeBefore) }
            if before != after { units += WriteUnits.of(sizeBefore) }
        }
        if let after {
            _ = try putEntry(index, after, at, size: sizeAfter)
            units += WriteUnits.of(max(sizeAfter, before == after ? sizeBefore : 0))
        }
        return units
    }

    /// - Returns: whether it was not there yet.
    func putEntry(_ index: IndexDefinition, _ entry: ItemPosition, _ at: ItemPosition, size: Int) throws -> Bool {
        try db.cachedStatement(sql: "INSERT OR IGNORE INTO index_entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)").execute(arguments: [
            index.id, entry.bucket, Data(entry.hash), Data(entry.range), Data(at.hash), Data(at.range), at.bucket, size,
        ])
        guard db.changesCount > 0 else { return false }
        count(index.id, items: 1, bytes: size)
        return true
    }

    func putExpiry(_ table: TableInfo, _ at: ItemPosition, _ seconds: Int64) throws {
        try db.cachedStatement(sql: "INSERT OR IGNORE INTO expiries VALUES (?, ?, ?, ?, ?)")
            .execute(arguments: [table.id, seconds, at.bucket, Data(at.hash), Data(at.range)])
    }

    /// Bytes of what an index shows of an item.
    static func size(_ item: StoredItem, _ shown: Set<String>?) -> Int {
        guard let shown else { return item.size }
        return shown.reduce(0) { sum, name in sum + (item.item[name].map { name.utf8.count + $0.byteCount } ?? 0) }
    }

    /// Seconds since 1970; nil when the item does not expire, as its attribute is missing or no whole number.
    static func expiry(_ item: Item, _ attribute: String) -> Int64? {
        guard case .n(let number)? = item[attribute] else { return nil }
        return number.int.map(Int64.init)
    }
}

/// Single items as rows.
enum ItemReading {
    static func stored(_ db: Database, _ table: TableInfo, _ at: ItemPosition) throws -> StoredItem? {
        let statement = try db.cachedStatement(sql: "SELECT size, value FROM items WHERE table_id = ? AND bucket = ? AND hash = ? AND range = ?")
        let rows = try Row.fetchCursor(statement, arguments: [table.id, at.bucket, Data(at.hash), Data(at.range)])
        // A row is gone with its cursor.
        return try withExtendedLifetime(rows) { try rows.next().map { try StoredItem(stored: bytes($0, 1), size: $0[0]) } }
    }

    static func bytes(_ row: Row, _ column: Int) throws -> [UInt8] { try row.withUnsafeData(atIndex: column) { $0.map(Array.init) ?? [] } }
}
