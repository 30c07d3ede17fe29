import CRocksDB
import StreamCore
import Synchronization

/// Keeps operators' state in RocksDB: for state larger than memory, with checkpoints of which only new files are written.
///
/// One backend serves all operators of a job; the memory of all its stores together is bounded by
/// ``RocksDBOptions/managedLimit``. May be used from any thread.
public final class RocksDBBackend: StateBackend {
    public let name = "rocksdb"
    let memory: SharedMemory
    private let host: Host

    /// - Throws: `.validate` when the memory limit is too small.
    public init(_ options: RocksDBOptions = RocksDBOptions(), host: Host = .system) throws {
        guard options.managedLimit >= RocksDBOptions.leastManagedLimit else {
            throw StreamError(.validate, "\(RocksDBOptions.managedLimitKey) is \(options.managedLimit) bytes, less than the "
                + "\(RocksDBOptions.leastManagedLimit) bytes that one store needs", fix: "set it to 64 mb or more")
        }
        memory = SharedMemory(limit: options.managedLimit, countsTickers: options.countsTickers)
        self.host = host
    }

    public func makeStore(_ name: String, identity: String, directory: String) throws -> any KeyedStore {
        try RocksDBStore(name: name, identity: identity, directory: directory, memory: memory, host: host)
    }
}

/// The block cache of all stores, and each store's share of what is left.
final class SharedMemory: Sendable {
    // SAFETY: RocksDB's caches and databases may be used by any thread.
    private struct Pointers: @unchecked Sendable {
        var cache: OpaquePointer
        var databases: [Int: OpaquePointer] = [:]
        var next = 0
        var shares: MemoryShares
    }

    let limit: Int
    let countsTickers: Bool
    private let state: Mutex<Pointers>

    init(limit: Int, countsTickers: Bool = false) {
        self.limit = limit
        self.countsTickers = countsTickers
        let shares = MemoryShares(limit: limit, stores: 1)!
        let options = rocksdb_lru_cache_options_create()!
        rocksdb_lru_cache_options_set_capacity(options, shares.blockCache)
        rocksdb_lru_cache_options_set_num_shard_bits(options, limit < 64 << 20 ? 0 : 4)
        state = Mutex(Pointers(cache: rocksdb_cache_create_lru_opts(options)!, shares: shares))
        rocksdb_lru_cache_options_destroy(options)
    }

    deinit { state.withLock { rocksdb_cache_destroy($0.cache) } }

    /// What the block cache holds and may hold, in bytes.
    var cacheUse: (used: Int, pinned: Int, capacity: Int) {
        state.withLock { (rocksdb_cache_get_usage($0.cache), rocksdb_cache_get_pinned_usage($0.cache), rocksdb_cache_get_capacity($0.cache)) }
    }

    var operatorCacheBytes: Int { state.withLock { $0.shares.operatorCache } }

    /// Bytes that the block cache holds at most.
    var blockCacheBytes: Int { state.withLock { $0.shares.blockCache } }

    /// Calls `body` with the cache and the size of a new store's write buffer.
    func withShares<R>(_ body: (OpaquePointer, Int) throws -> R) rethrows -> R {
        let (cache, size) = state.withLock { (Pass($0.cache), $0.shares.writeBuffer) }
        return try body(cache.pointer, size)
    }

    // SAFETY: see above.
    private struct Pass: @unchecked Sendable {
        var pointer: OpaquePointer
        init(_ pointer: OpaquePointer) { self.pointer = pointer }
    }

    /// Counts a store in; all get a new share.
    /// - Throws: `.validate` when there is no room for one more.
    func add(_ database: OpaquePointer) throws -> Int {
        let pass = Pass(database)
        return try state.withLock { state in
            guard let shares = MemoryShares(limit: limit, stores: state.databases.count + 1) else {
                throw StreamError(.validate, "\(RocksDBOptions.managedLimitKey) of \(limit) bytes is too small for "
                    + "\(state.databases.count + 1) stores", fix: "raise it, or run the job with less parallelism")
            }
            state.next += 1
            state.databases[state.next] = pass.pointer
            try Self.apply(shares, to: &state)
            return state.next
        }
    }

    func remove(_ number: Int) {
        state.withLock { state in
            state.databases[number] = nil
            // A larger share is only an improvement: a store that refuses it goes on with what it has.
            if let shares = MemoryShares(limit: limit, stores: state.databases.count) { try? Self.apply(shares, to: &state) }
        }
    }

    private static func apply(_ shares: MemoryShares, to state: inout Pointers) throws {
        if shares.blockCache != state.shares.blockCache { rocksdb_cache_set_capacity(state.cache, shares.blockCache) }
        if shares.writeBuffer != state.shares.writeBuffer {
            for database in state.databases.values {
                try "write_buffer_size".withCString { key in
                    try "\(shares.writeBuffer)".withCString { value in
                        let keys: [UnsafePointer<CChar>?] = [key], values: [UnsafePointer<CChar>?] = [value]
                        try RocksDBError.check("set the write buffer of a store", "") { rocksdb_set_options(database, 1, keys, values, $0) }
                    }
                }
            }
        }
        state.shares = shares
    }
}

enum RocksDBError {
    typealias Message = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

    /// Calls a function of the C API, which reports a failure through its last argument.
    @discardableResult
    static func check<R>(_ doing: @autoclosure () -> String, _ path: String, _ body: (Message) -> R) throws -> R {
        var message: UnsafeMutablePointer<CChar>?
        let result = body(&message)
        guard let message else { return result }
        defer { rocksdb_free(message) }
        throw failure(doing(), path, String(cString: message))
    }

    static func failure(_ doing: String, _ path: String, _ message: String) -> StreamError {
        let place = path.isEmpty ? "" : " in \(path)"
        if message.hasPrefix("Corruption") || message.contains("No such file") {
            return StreamError(.corrupt, "cannot \(doing)\(place): \(message)",
                               fix: "go on from an older checkpoint or a savepoint, and check the disk")
        }
        let full = message.contains("No space") || message.contains("quota")
        return StreamError(.io, "cannot \(doing)\(place): \(message)", fix: full ? "free disk space" : "check the disk and the directory's permissions")
    }
}
