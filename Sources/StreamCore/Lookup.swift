/// What a lookup join asks a table for.
public struct LookupRequest: Sendable {
    /// Indices into `TableDescriptor.schema`: the columns whose values are given.
    public var keys: [Int]
    /// Indices into `TableDescriptor.schema`: the columns wanted of the rows found, in this order.
    public var projection: [Int]
    /// Session time zone, for formats that read local times.
    public var timeZone: String

    public init(keys: [Int], projection: [Int], timeZone: String = "UTC") {
        self.keys = keys
        self.projection = projection
        self.timeZone = timeZone
    }
}

/// A connector whose tables rows can be looked up in: `JOIN t FOR SYSTEM_TIME AS OF x.proctime`.
public protocol LookupConnector: TableConnector {
    /// Throws `.validate` errors for keys and options that it cannot look up by.
    func lookup(for table: TableDescriptor, request: LookupRequest) throws -> LookupAccess
}

/// How rows of a table are found by key.
public enum LookupAccess: Sendable {
    /// The table is read as a whole and kept; `lookup.cache` is FULL.
    case whole(any ReloadableTable)
    /// Rows are asked for key by key; `lookup.cache` is NONE or PARTIAL.
    case byKey(any KeyedTable)
}

/// A table that is small enough to be kept as a whole.
public protocol ReloadableTable: Sendable {
    /// A text that differs when the table's rows may have changed. Cheap.
    func version() throws -> String
    /// Gives all rows: the projected columns.
    func read(_ body: (Batch) throws -> Void) throws
}

/// A table that is asked for rows by key.
public protocol KeyedTable: Sendable {
    /// For one subtask.
    func reader(metrics: OperatorMetrics) throws -> any LookupReader
}

/// Asks for rows. One thread at a time; may block, and may ask for several keys side by side.
public protocol LookupReader: AnyObject {
    /// - Parameter keys: a plain column for each key column, of `count` rows: one key a row, all different and without nulls.
    /// - Returns: the rows of all keys, one key's behind the other's, as projected columns, and for each row the number of its key,
    ///   ascending.
    func look(_ keys: [Column], count: Int) throws -> (columns: [Column], keys: [Int32])
    func close()
}

extension LookupReader {
    public func close() {}
}

/// The options with `lookup.` that all connectors have in common, as in Flink.
public struct LookupOptions: Sendable {
    /// How many of the rows found are kept.
    public enum Cache: String, Sendable { case none = "NONE", partial = "PARTIAL", full = "FULL" }

    public var cache: Cache
    /// Keys that a partial cache holds at most; nil = any number.
    public var maxRows: Int?
    /// Milliseconds after which what was found is asked for anew; nil = never.
    public var expireAfterWrite: Int64?, expireAfterAccess: Int64?
    /// A partial cache also keeps that there is no row for a key.
    public var cachesMissingKeys: Bool
    /// Milliseconds between two looks at whether a fully cached table has changed.
    public var reloadInterval: Int64
    /// How often a failed request is made again.
    public var maxRetries: Int

    public static let keys: Set<String> = [
        "lookup.cache", "lookup.partial-cache.max-rows", "lookup.partial-cache.expire-after-write", "lookup.partial-cache.expire-after-access",
        "lookup.partial-cache.cache-missing-key", "lookup.full-cache.reload-strategy", "lookup.full-cache.periodic-reload.interval",
        "lookup.full-cache.periodic-reload.schedule-mode", "lookup.max-retries",
    ]

    /// - Parameter caches: those that the connector can do, the default first.
    /// - Throws: `.validate` errors.
    public init(_ table: TableDescriptor, caches: [Cache]) throws {
        let options = TableOptions(table)
        cache = try options.choice("lookup.cache", caches.map(\.rawValue)).flatMap { Cache(rawValue: $0) } ?? caches[0]
        maxRows = try options.int("lookup.partial-cache.max-rows", in: 1...Int.max)
        expireAfterWrite = try options.milliseconds("lookup.partial-cache.expire-after-write")
        expireAfterAccess = try options.milliseconds("lookup.partial-cache.expire-after-access")
        cachesMissingKeys = try options.bool("lookup.partial-cache.cache-missing-key") ?? true
        if try options.choice("lookup.full-cache.reload-strategy", ["PERIODIC", "TIMED"]) == "TIMED" {
            throw options.error("lookup.full-cache.reload-strategy", "is not supported yet", fix: "use 'PERIODIC' with 'lookup.full-cache.periodic-reload.interval'")
        }
        _ = try options.choice("lookup.full-cache.periodic-reload.schedule-mode", ["FIXED_DELAY", "FIXED_RATE"])
        reloadInterval = try options.milliseconds("lookup.full-cache.periodic-reload.interval") ?? 1_000
        maxRetries = try options.int("lookup.max-retries", in: 0...1_000) ?? 3
        if cache != .partial {
            for key in Self.keys.sorted() where key.hasPrefix("lookup.partial-cache.") && options.has(key) {
                throw options.error(key, "counts only with 'lookup.cache' = 'PARTIAL'")
            }
        }
    }
}

/// Reads the whole of a table through a source that ends.
public struct ScannedTable: ReloadableTable {
    private let currentVersion: @Sendable () throws -> String
    private let makeSource: @Sendable () throws -> any TableSource

    public init(version: @escaping @Sendable () throws -> String, source: @escaping @Sendable () throws -> any TableSource) {
        (currentVersion, makeSource) = (version, source)
    }

    public func version() throws -> String { try currentVersion() }

    public func read(_ body: (Batch) throws -> Void) throws {
        let source = try makeSource(), metrics = OperatorMetrics()
        for split in try source.splits() {
            let reader = try source.reader(for: split, metrics: metrics)
            defer { reader.close() }
            reading: while true {
                switch try reader.next(maxRows: Batch.targetRows) {
                case .batch(let batch): try body(batch)
                case .waiting, .endOfSplit: break reading
                }
            }
        }
    }
}
