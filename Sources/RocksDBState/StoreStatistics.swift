import CRocksDB
import StreamCore
import Synchronization

/// What RocksDB says of one store, under the names that Flink has for it: `rocksdb.` and RocksDB's own. Read from any thread.
final class StoreStatistics: Sendable {
    /// Numbers that RocksDB has at hand at any time.
    static let properties = [
        "num-immutable-mem-table", "mem-table-flush-pending", "compaction-pending", "background-errors", "cur-size-active-mem-table", "cur-size-all-mem-tables",
        "size-all-mem-tables", "num-entries-active-mem-table", "estimate-num-keys", "estimate-live-data-size", "estimate-pending-compaction-bytes",
        "num-running-compactions", "num-running-flushes", "live-sst-files-size", "total-sst-files-size", "actual-delayed-write-rate", "is-write-stopped",
        "estimate-table-readers-mem",
    ]
    /// Counters that it keeps only when asked to, as Flink and as RocksDB calls them.
    static let tickers: KeyValuePairs = [
        "block-cache-hit": "block.cache.hit", "block-cache-miss": "block.cache.miss", "bloom-filter-useful": "bloom.filter.useful",
        "bloom-filter-full-positive": "bloom.filter.full.positive", "bytes-read": "bytes.read", "bytes-written": "bytes.written",
        "compaction-read-bytes": "compact.read.bytes", "compaction-write-bytes": "compact.write.bytes", "stall-micros": "stall.micros",
    ]

    /// The lock is held while it is read: it is closed, and its files are removed, by the thread that owns the store.
    private let database = Mutex<Database?>(nil)

    func watch(_ opened: Database?) { database.withLock { $0 = opened } }

    func read() -> [String: Int64] {
        database.withLock { database in
            guard let database else { return [:] }
            var all: [String: Int64] = [:]
            for name in Self.properties { all["rocksdb." + name] = Int64(clamping: database.property("rocksdb." + name)) }
            let cache = database.memory.cacheUse
            all["rocksdb.block-cache-usage"] = Int64(cache.used)
            all["rocksdb.block-cache-pinned-usage"] = Int64(cache.pinned)
            all["rocksdb.block-cache-capacity"] = Int64(cache.capacity)
            if database.memory.countsTickers { Self.readTickers(database, &all) }
            return all
        }
    }

    /// Lines such as `rocksdb.block.cache.hit COUNT : 12`.
    private static func readTickers(_ database: Database, _ all: inout [String: Int64]) {
        guard let text = rocksdb_options_statistics_get_string(database.options) else { return }
        defer { rocksdb_free(text) }
        var counts: [Substring: Int64] = [:]
        for line in String(cString: text).split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 4, words[1] == "COUNT" { counts[words[0]] = Int64(words[3]) }
        }
        for (name, own) in tickers { all["rocksdb." + name] = counts["rocksdb." + own] ?? 0 }
    }
}
