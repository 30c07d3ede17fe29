import AWSProtocol
import Foundation
import GRDB

/// Which rows of a table or an index one page of a Query or Scan takes.
struct PageRequest {
    var table: TableInfo
    var index: IndexDefinition?
    /// A Query's hash key; nil for scans.
    var hash: [UInt8]?
    var range = ByteRange.all
    /// A scan's part of the table.
    var buckets: Range<Int64> = 0..<ItemPosition.buckets
    var start: Start?
    var isForward = true
    /// Items that are looked at, before the filter.
    var limit: Int?
    var filter: ConditionExpression?
    var projection: ProjectionExpression?
    /// Attributes that the index shows; nil for all.
    var shown: Set<String>?
    /// Without items when they are counted alone.
    var wantsItems = true

    /// Where the page before ended.
    struct Start {
        /// In the table, or in the index.
        var entry: ItemPosition
        /// The item, for indexes.
        var item: ItemPosition
    }

    static let bytesMax = 1 << 20

    var key: KeySchema { index?.key ?? table.key }
}

struct Page {
    var items: [Item] = []
    var count = 0
    var scanned = 0
    /// The key after which the next page starts.
    var last: Item?
    /// Of all that was looked at, as the index or the table has it.
    var bytes = 0
    /// Units for items that a local index does not show in full, read from the table.
    var fetchedUnits = 0.0
}

extension PageRequest {
    func read(_ db: Database, isConsistent: Bool) throws -> Page {
        var (sql, arguments) = index == nil ? tableQuery() : indexQuery()
        sql += " " + order
        let rows = try Row.fetchCursor(try db.cachedStatement(sql: sql), arguments: StatementArguments(arguments))
        var page = Page()
        var lastItem: Item?
        let lacksAttributes = index.map { $0.isLocal && $0.projection.kind != .all && shown == nil } ?? false
        while let row = try rows.next() {
            let size: Int = row[0]
            if page.scanned > 0, page.bytes + size > Self.bytesMax {
                page.last = lastItem
                break
            }
            let full = try Item(decoding: try ItemReading.bytes(row, 1))
            lastItem = full
            page.bytes += size
            page.scanned += 1
            if lacksAttributes { page.fetchedUnits += Capacity.read(full.byteCount, isConsistent: isConsistent) }
            let item = shown.map { shown in full.filter { shown.contains($0.key) } } ?? full
            if try filter?.evaluate(item: item) ?? true {
                page.count += 1
                if wantsItems { page.items.append(projection?.project(item) ?? item) }
            }
            if let limit, page.scanned >= limit {
                page.last = lastItem
                break
            }
        }
        page.last = page.last.map { item in table.key.key(of: item).merging(key.key(of: item)) { $1 } }
        return page
    }

    private var order: String {
        let direction = isForward ? "" : " DESC"
        let columns = switch (hash != nil, index != nil) {
        case (true, false): ["range"]
        case (false, false): ["bucket", "hash", "range"]
        case (true, true): ["e.range", "e.item_hash", "e.item_range"]
        case (false, true): ["e.bucket", "e.hash", "e.range", "e.item_hash", "e.item_range"]
        }
        return "ORDER BY " + columns.map { $0 + direction }.joined(separator: ", ")
    }

    private func tableQuery() -> (String, [any DatabaseValueConvertible]) {
        var sql = "SELECT size, value FROM items WHERE table_id = ?", arguments: [any DatabaseValueConvertible] = [table.id]
        if let hash {
            var range = range
            if let start {
                if isForward { range.lower = start.entry.range + [0] } else { range.upper = start.entry.range }
            }
            sql += " AND bucket = ? AND hash = ? AND range >= ?"
            arguments += [ItemPosition(hash: hash, range: []).bucket, Data(hash), Data(range.lower)] as [any DatabaseValueConvertible]
            if let upper = range.upper {
                sql += " AND range < ?"
                arguments.append(Data(upper))
            }
        } else {
            sql += " AND bucket >= ? AND bucket < ?"
            arguments += [max(buckets.lowerBound, start?.entry.bucket ?? 0), buckets.upperBound]
            if let start = start?.entry {
                sql += " AND (bucket, hash, range) > (?, ?, ?)"
                arguments += [start.bucket, Data(start.hash), Data(start.range)] as [any DatabaseValueConvertible]
            }
        }
        return (sql, arguments)
    }

    private func indexQuery() -> (String, [any DatabaseValueConvertible]) {
        // The order of the join is that of the index.
        var sql = """
            SELECT e.size, i.value FROM index_entries e CROSS JOIN items i
            ON i.table_id = ? AND i.bucket = e.item_bucket AND i.hash = e.item_hash AND i.range = e.item_range WHERE e.index_id = ?
            """
        var arguments: [any DatabaseValueConvertible] = [table.id, index!.id]
        if let hash {
            sql += " AND e.bucket = ? AND e.hash = ? AND e.range >= ?"
            arguments += [ItemPosition(hash: hash, range: []).bucket, Data(hash), Data(range.lower)] as [any DatabaseValueConvertible]
            if let upper = range.upper {
                sql += " AND e.range < ?"
                arguments.append(Data(upper))
            }
            if let start {
                sql += " AND (e.range, e.item_hash, e.item_range) \(isForward ? ">" : "<") (?, ?, ?)"
                arguments += [Data(start.entry.range), Data(start.item.hash), Data(start.item.range)] as [any DatabaseValueConvertible]
            }
        } else {
            sql += " AND e.bucket >= ? AND e.bucket < ?"
            arguments += [max(buckets.lowerBound, start?.entry.bucket ?? 0), buckets.upperBound]
            if let start {
                sql += " AND (e.bucket, e.hash, e.range, e.item_hash, e.item_range) > (?, ?, ?, ?, ?)"
                arguments += [start.entry.bucket, Data(start.entry.hash), Data(start.entry.range), Data(start.item.hash), Data(start.item.range)]
                    as [any DatabaseValueConvertible]
            }
        }
        return (sql, arguments)
    }
}
