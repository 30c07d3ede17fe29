import StreamCore

/// What can be set of the `rocksdb` state backend.
public struct RocksDBOptions: Sendable {
    /// As configurations name ``managedLimit``.
    public static let managedLimitKey = "state.backend.rocksdb.memory.managed-limit"
    public static let defaultManagedLimit = 256 << 20
    /// Less would leave no room for one store.
    public static let leastManagedLimit = 8 << 20

    /// Bytes that all stores of the backend use together: blocks read from files with their indexes and filters, changes not
    /// written to files yet, and the entries that operators hold in front of their stores.
    public var managedLimit = defaultManagedLimit

    /// Counts what the block cache, reads, writes and compactions do: ``StoreStatistics/tickers``. It takes a few percent of the stores' time.
    public var countsTickers = false

    public init() {}

    /// - Parameter configuration: settings of the job; those of other parts are ignored.
    /// - Throws: `.validate` for a size that cannot be read or is too small.
    public init(_ configuration: [String: String]) throws {
        guard let text = configuration[Self.managedLimitKey] else { return }
        guard let bytes = TableOptions.bytes(of: text) else {
            throw StreamError(.validate, "\(Self.managedLimitKey) is '\(text)', which is no size", fix: "write it like '256 mb'")
        }
        managedLimit = bytes
    }
}

/// How the limit is shared out.
struct MemoryShares {
    /// Blocks, indexes and filters, of all stores.
    var blockCache: Int
    /// One of the two write buffers that each store has.
    var writeBuffer: Int
    /// What one operator may hold in front of its store.
    var operatorCache: Int

    static let leastWriteBuffer = 256 << 10

    /// nil when the limit is too small for so many stores.
    init?(limit: Int, stores: Int) {
        let stores = max(stores, 1)
        let buffers = max(limit / 8, stores * 2 * Self.leastWriteBuffer)
        let operators = limit / 4
        blockCache = limit - buffers - operators
        guard blockCache >= limit / 8, blockCache >= 1 << 20 else { return nil }
        // A power of two, so that a store more or less seldom means new settings for all.
        let share = buffers / stores / 2
        writeBuffer = 1 << (Int.bitWidth - 1 - share.leadingZeroBitCount)
        operatorCache = operators / stores
    }
}
