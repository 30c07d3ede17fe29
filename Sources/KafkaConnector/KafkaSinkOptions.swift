import StreamCore

/// The `sink.*` options of a `kafka` or `upsert-kafka` table, checked.
///
/// | option | default | meaning |
/// | --- | --- | --- |
/// | `sink.delivery-guarantee` | `at-least-once` | `at-least-once`: a checkpoint waits until the brokers have all rows; `exactly-once`: rows become readable to `read_committed` consumers with their checkpoint; `none`: a checkpoint does not wait |
/// | `sink.transactional-id-prefix` | | needed for `exactly-once`: begins the names of the transactions, and must differ between jobs that write to the same cluster |
/// | `sink.transaction-naming-strategy` | `incrementing` | `incrementing` and `pooling` are accepted and mean the same: a few names per subtask, used in turn |
/// | `sink.commit.interval` | `1 s` | `exactly-once`: how often rows are committed when the job has no checkpoints of its own |
/// | `sink.lost-transactions` | `fail` | `exactly-once`: what a restart does when the cluster says that a transaction of its checkpoint can no longer be committed: `fail`, or `ignore` with a warning, as Flink does |
/// | `sink.partitioner` | `default` | `default`: by the hash of the key as Java's client does, or at random in runs for rows without one; `fixed`: each subtask writes to one partition; `round-robin`: in turn, for tables without a key. Not for `upsert-kafka` tables that are to be read by key |
/// | `sink.parallelism` | that of the job | most subtasks that write |
/// | `sink.buffer-flush.max-rows` | `0` | `upsert-kafka`: with the next, keeps rows back and writes only the last one of each key |
/// | `sink.buffer-flush.interval` | `0` | `upsert-kafka`: how long rows are kept back at most |
struct KafkaSinkOptions: Sendable {
    enum Guarantee: Sendable { case none, atLeastOnce, exactlyOnce }
    enum Partitioner: Sendable { case byKey, fixed, roundRobin }
    /// Rows kept back so that only the last one of each key is written.
    struct Buffering: Sendable {
        var maxRows: Int
        var milliseconds: Int64
    }

    let guarantee: Guarantee
    let partitioner: Partitioner
    let transactionalIDPrefix: String
    let commitInterval: Duration?
    let ignoresLostTransactions: Bool
    let parallelism: Int?
    let buffering: Buffering?

    static let keys: Set<String> = [
        "sink.delivery-guarantee", "sink.transactional-id-prefix", "sink.transaction-naming-strategy", "sink.commit.interval", "sink.partitioner",
        "sink.parallelism", "sink.lost-transactions", "sink.semantic",
    ]
    static let upsertKeys: Set<String> = keys.union(["sink.buffer-flush.max-rows", "sink.buffer-flush.interval"])

    init(_ table: TableDescriptor) throws {
        let options = TableOptions(table)
        // 'sink.semantic' is what Flink 1.11 to 1.14 call it.
        let guaranteeKey = options.has("sink.delivery-guarantee") ? "sink.delivery-guarantee" : "sink.semantic"
        guarantee = switch try options.choice(guaranteeKey, ["at-least-once", "exactly-once", "none"]) {
        case "exactly-once": .exactlyOnce
        case "none": .none
        default: .atLeastOnce
        }
        transactionalIDPrefix = options.string("sink.transactional-id-prefix") ?? ""
        if guarantee == .exactlyOnce, transactionalIDPrefix.isEmpty {
            throw StreamError(.validate, "table \(table.name): '\(guaranteeKey)' = 'exactly-once' needs option 'sink.transactional-id-prefix'",
                              fix: "add 'sink.transactional-id-prefix' = '...', with a name that no other job on the cluster uses",
                              at: table.optionLocations[guaranteeKey])
        }
        _ = try options.choice("sink.transaction-naming-strategy", ["incrementing", "pooling"])
        let interval = try options.duration("sink.commit.interval")
        if interval == .zero { throw options.error("sink.commit.interval", "is not positive") }
        if interval != nil, guarantee != .exactlyOnce {
            throw options.error("sink.commit.interval", "has no effect without 'sink.delivery-guarantee' = 'exactly-once'", fix: "leave it out")
        }
        commitInterval = guarantee == .exactlyOnce ? interval ?? .seconds(1) : nil
        ignoresLostTransactions = try options.choice("sink.lost-transactions", ["fail", "ignore"]) == "ignore"
        partitioner = switch options.string("sink.partitioner")?.trimmed.lowercased() {
        case nil, "default": .byKey
        case "fixed": .fixed
        case "round-robin": .roundRobin
        default:
            throw options.error("sink.partitioner", "is not known here; classes cannot be loaded", fix: "use 'default', 'fixed' or 'round-robin'")
        }
        if case .roundRobin = partitioner, table.options["key.fields"] != nil || table.options["connector"] == "upsert-kafka" {
            throw options.error("sink.partitioner", "does not go with keys: rows of one key would come out of order", fix: "use 'default'")
        }
        parallelism = try options.int("sink.parallelism", in: 1...10_000)
        let rows = try options.int("sink.buffer-flush.max-rows", in: 0...10_000_000) ?? 0
        let milliseconds = try options.milliseconds("sink.buffer-flush.interval") ?? 0
        guard (rows > 0) == (milliseconds > 0) else {
            let (given, missing) = rows > 0 ? ("max-rows", "interval") : ("interval", "max-rows")
            throw options.error("sink.buffer-flush.\(given)", "needs 'sink.buffer-flush.\(missing)' beside it",
                                fix: rows > 0 ? "add 'sink.buffer-flush.interval' = '1 s'" : "add 'sink.buffer-flush.max-rows' = '1000'")
        }
        buffering = rows > 0 ? Buffering(maxRows: rows, milliseconds: milliseconds) : nil
    }
}

/// Where in a sink's batches the metadata columns are that become parts of messages.
struct KafkaSinkMetadata: Sendable {
    /// What can be written; `partition` is an addition to Flink's.
    static let keys: Set<String> = ["headers", "timestamp", "topic", "partition"]

    var headers: Int?, timestamp: Int?, topic: Int?, partition: Int?

    var isEmpty: Bool { headers == nil && timestamp == nil && topic == nil && partition == nil }

    /// - Throws: `.validate` for a column whose type cannot hold the metadata.
    init(_ table: TableDescriptor) throws {
        var next = table.schema.count
        for column in table.metadata where !column.isVirtual {
            let fits: Bool, wanted: String
            switch column.key {
            case "headers":
                (headers, wanted) = (next, "MAP<STRING, BYTES>")
                if case .map(let key, let value) = column.type { fits = key.isText && value.isBinary } else { fits = false }
            case "timestamp": (timestamp, wanted, fits) = (next, "TIMESTAMP_LTZ(3)", column.type.isTimestamp)
            case "topic": (topic, wanted, fits) = (next, "STRING", column.type.isText)
            case "partition": (partition, wanted, fits) = (next, "INT", column.type == .int)
            default: continue
            }
            next += 1
            guard fits else {
                throw StreamError(.validate, "table \(table.name): metadata column \(column.name) of type \(column.type) cannot hold '\(column.key)'",
                                  fix: "declare it as \(wanted)")
            }
        }
    }
}
