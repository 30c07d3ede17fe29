import StreamCore
import StreamFormats

/// `'connector' = 'view'`: the newest row of each key, kept in memory and beyond that in RocksDB, and read by others while the job runs:
/// ``ViewRegistry``, the job's control socket, HTTP.
///
/// Rows can be read as soon as they are written, before their checkpoint; a job that falls back to its last checkpoint takes the view
/// back with it, and then forward again. With `'view.visibility' = 'checkpoint'` readers see checkpoints only.
public struct ViewConnector: TableConnector {
    private let registry: ViewRegistry
    /// Where views are that queries read.
    let reader: any ViewReader
    private let host: Host

    /// - Parameters:
    ///   - registry: where views of jobs in this process are made known.
    ///   - reader: where `SELECT` and lookup joins look for views; nil = in `registry`.
    public init(registry: ViewRegistry = .shared, reader: (any ViewReader)? = nil, host: Host = .system) {
        (self.registry, self.reader, self.host) = (registry, reader ?? registry, host)
    }

    public var identifier: String { "view" }
    public func optionKeys(for table: TableDescriptor) -> Set<String> { ViewOptions.keys.union(LookupOptions.keys) }

    public func validate(_ table: TableDescriptor) throws {
        _ = try ViewOptions(table)
        _ = try KeyCodec(table)
        _ = try JSONRecordEncoder(schema: table.schema, options: JSONOptions())
    }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        ViewSink(view: try View(ViewOptions(table), table, host: host), registry: registry)
    }
}

/// Options of a table with `'connector' = 'view'`.
struct ViewOptions: Sendable {
    enum Visibility: String, Sendable, CaseIterable { case immediate, checkpoint }

    /// `view.name`: what readers call it; the table's name unless said otherwise.
    var name: String
    /// `view.memory`: bytes of rows in memory. A view that needs more moves to RocksDB, which shares them. 64 mb.
    var memory: Int
    /// `view.ttl`: milliseconds after which a row that is not written again is gone; nil = never.
    var timeToLive: Int64?
    /// `view.visibility`: `immediate`, or `checkpoint`. immediate.
    var visibility: Visibility
    /// `view.changes.buffer`: changes that slow subscribers may be behind. 10000.
    var changesBuffer: Int
    /// `sink.parallelism`
    var parallelism: Int?
    /// `view.commit.interval`: how often a checkpoint makes rows visible, with `view.visibility` = `checkpoint`. 1 s.
    var commitInterval: Duration?

    static let keys: Set<String> = ["connector", "view.name", "view.memory", "view.ttl", "view.visibility", "view.changes.buffer", "view.commit.interval", "sink.parallelism"]
    /// What RocksDB can do with.
    private static let leastMemory = 16 << 20

    init(_ table: TableDescriptor) throws {
        let options = TableOptions(table)
        guard !table.primaryKey.isEmpty else {
            throw StreamError(.validate, "table \(table.name): a view is read by its key, and the table has none",
                              fix: "declare one: PRIMARY KEY (column) NOT ENFORCED, or key: [column] in a topology file")
        }
        name = options.string("view.name") ?? table.name
        guard !name.isEmpty, name.utf8.count <= 200, !name.unicodeScalars.contains(where: { $0 == "/" || $0.properties.generalCategory == .control }) else {
            throw options.error("view.name", "is no name for a view", fix: "use letters, digits, '-' and '_'")
        }
        memory = try options.bytes("view.memory") ?? 64 << 20
        guard memory >= Self.leastMemory else { throw options.error("view.memory", "is less than a view needs", fix: "set it to '16 mb' or more") }
        timeToLive = try options.milliseconds("view.ttl")
        if timeToLive == 0 { throw options.error("view.ttl", "is not positive") }
        visibility = try options.choice("view.visibility", Visibility.allCases.map(\.rawValue)).flatMap { Visibility(rawValue: $0) } ?? .immediate
        changesBuffer = try options.int("view.changes.buffer", in: 1...10_000_000) ?? 10_000
        parallelism = try options.int("sink.parallelism", in: 1...1_024)
        commitInterval = try options.duration("view.commit.interval") ?? (visibility == .checkpoint ? .seconds(1) : nil)
        if commitInterval == .zero { throw options.error("view.commit.interval", "is not positive") }
        if visibility == .immediate, options.has("view.commit.interval") {
            throw options.error("view.commit.interval", "counts only with 'view.visibility' = 'checkpoint'", fix: "leave it out: rows are visible at once")
        }
    }
}
