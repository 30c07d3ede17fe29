import Foundation
import GRDB

/// Adds the items that were there before an index, or before time to live, to it: a part in each transaction, beside other writes,
/// which keep both up to date from the beginning.
enum Backfill {
    static let rowsPerStep = 1_000

    /// Does one step, from the beginning when `after` is nil.
    ///
    /// - Returns: the table without the mark when all is done; nil while there is more, or nothing to do.
    static func step(_ transaction: WriteTransaction, _ table: TableInfo) throws -> TableInfo? {
        var position: ItemPosition?
        return try step(transaction, table, after: &position)
    }

    static func isNeeded(_ table: TableInfo) -> Bool {
        table.definition.globals.contains(where: \.isBackfilling) || table.definition.timeToLive?.isBackfilling == true
    }

    static func step(_ transaction: WriteTransaction, _ table: TableInfo, after position: inout ItemPosition?) throws -> TableInfo? {
        let indexes = table.definition.globals.filter(\.isBackfilling)
        let timeToLive = table.definition.timeToLive.flatMap { $0.isBackfilling ? $0 : nil }
        guard !indexes.isEmpty || timeToLive != nil else { return nil }
        let rows = try Row.fetchAll(
            transaction.db, sql: """
                SELECT hash, range, size, value FROM items WHERE table_id = ? AND (bucket, hash, range) > (?, ?, ?) ORDER BY bucket, hash, range LIMIT ?
                """,
            arguments: [table.id, position?.bucket ?? -1, Data(position?.hash ?? []), Data(position?.range ?? []), rowsPerStep])
        for row in rows {
            let at = ItemPosition(hash: try ItemReading.bytes(row, 0), range: try ItemReading.bytes(row, 1))
            let item = try StoredItem(stored: try ItemReading.bytes(row, 3), size: row[2])
            for index in indexes {
                guard let entry = ItemPosition(item.item, index.key) else { continue }
                _ = try transaction.putEntry(index, entry, at, size: WriteTransaction.size(item, index.shown(tableKey: table.key)))
            }
            if let timeToLive, let expiry = WriteTransaction.expiry(item.item, timeToLive.attribute) { try transaction.putExpiry(table, at, expiry) }
            position = at
        }
        guard rows.count < rowsPerStep else { return nil }
        let done = table.changed { definition in
            for i in definition.globals.indices { definition.globals[i].isBackfilling = false }
            definition.timeToLive?.isBackfilling = false
        }
        try transaction.put(done)
        return done
    }
}
