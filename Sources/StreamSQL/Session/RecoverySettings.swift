import StreamCore
import StreamRuntime

/// Settings about checkpoints, savepoints, restarts and where state is kept. Keys and defaults are Flink's.
public struct RecoverySettings: Sendable {
    /// Where operators keep their state [state.backend.type].
    public enum Backend: String, Sendable {
        /// In tables of their own in memory [hashmap].
        case memory
        /// In an embedded store on the disk.
        case rocksdb
    }

    /// Checkpoints of all jobs: each has a directory of its name in it [execution.checkpointing.dir].
    public private(set) var directory: String?
    /// Where savepoints go that name no directory [execution.checkpointing.savepoint-dir].
    public private(set) var savepointDirectory: String?
    /// Checkpoints kept [execution.checkpointing.num-retained]; nil = not set.
    public private(set) var retained: Int?
    /// A job that ends well keeps its checkpoints [execution.checkpointing.externalized-checkpoint-retention].
    public private(set) var keepsCheckpointsAtEnd = false
    /// Start from here [execution.savepoint.path].
    public private(set) var startFrom: String?
    /// [execution.savepoint.ignore-unclaimed-state]
    public private(set) var allowsNonRestoredState = false
    public private(set) var backend = Backend.memory
    /// Bytes that the embedded stores of the process may use for caches and write buffers, together; nil = the backend's default.
    public private(set) var rocksDBMemory: Int?
    /// The embedded stores count what their caches, reads, writes and compactions do [state.backend.rocksdb.metrics.block-cache-hit and others].
    public private(set) var rocksDBTickers = false
    public private(set) var stateTTL: Duration?

    private var options = CheckpointOptions()
    private var unaligned: Bool?
    private var alignedTimeout: Duration?
    private var strategy = Strategy.unset
    private var fixedDelay = (attempts: 1, delay: Duration.seconds(1))
    private var exponential = Exponential()
    private var failureRate = (failures: 1, interval: Duration.seconds(60), delay: Duration.seconds(1))

    private enum Strategy { case unset, none, fixedDelay, exponentialDelay, failureRate }

    private struct Exponential {
        var initial = Duration.seconds(1), maximum = Duration.seconds(60), resetAfter = Duration.seconds(3_600)
        var multiplier = 1.5, jitter = 0.1
        var attempts: Int?
    }

    init() {}

    public var checkpoints: CheckpointOptions {
        var options = options
        // A wait before barriers overtake rows is a wish for that, unless it is refused.
        options.alignedTimeout = unaligned ?? (alignedTimeout.map { $0 > .zero } ?? false) ? alignedTimeout ?? .zero : nil
        return options
    }

    public var restart: RestartStrategy {
        switch strategy {
        case .none: .none
        case .fixedDelay: .fixedDelay(attempts: fixedDelay.attempts, delay: fixedDelay.delay)
        case .failureRate: .failureRate(failures: failureRate.failures, interval: failureRate.interval, delay: failureRate.delay)
        case .unset where options.interval == nil: .none
        case .unset, .exponentialDelay:
            .exponentialDelay(
                initial: exponential.initial, maximum: max(exponential.initial, exponential.maximum), multiplier: exponential.multiplier,
                resetAfter: exponential.resetAfter, jitter: exponential.jitter, attempts: exponential.attempts)
        }
    }

    private static let modes: KeyValuePairs<String, Bool> = ["EXACTLY_ONCE": true, "AT_LEAST_ONCE": false]
    private static let strategies: KeyValuePairs<String, Strategy> = [
        "none": .none, "off": .none, "disable": .none, "fixed-delay": .fixedDelay, "fixeddelay": .fixedDelay, "exponential-delay": .exponentialDelay,
        "exponentialdelay": .exponentialDelay, "failure-rate": .failureRate, "failurerate": .failureRate,
    ]
    private static let backends: KeyValuePairs<String, Backend> = ["memory": .memory, "hashmap": .memory, "rocksdb": .rocksdb, "filesystem": .memory, "jobmanager": .memory]
    private static let retentions: KeyValuePairs<String, Bool> = [
        "RETAIN_ON_CANCELLATION": true, "DELETE_ON_CANCELLATION": false, "NO_EXTERNALIZED_CHECKPOINTS": false,
    ]

    private typealias Setter = @Sendable (inout RecoverySettings, String, String) throws -> Void

    private static let setters: [String: Setter] = {
        var all: [String: Setter] = [:]
        func add(_ keys: String..., setter: @escaping Setter) { for key in keys { all[key] = setter } }
        add("execution.checkpointing.interval") {
            let interval = try SettingValue.duration($1, $2)
            $0.options.interval = interval == .zero ? nil : interval
        }
        add("execution.checkpointing.timeout") { $0.options.timeout = try SettingValue.positiveDuration($1, $2) }
        add("execution.checkpointing.min-pause") { $0.options.minPause = try SettingValue.duration($1, $2) }
        add("execution.checkpointing.max-concurrent-checkpoints") { $0.options.maxConcurrent = try SettingValue.number($1, $2, 1...1_024) }
        add("execution.checkpointing.tolerable-failed-checkpoints") { $0.options.tolerableFailures = try SettingValue.number($1, $2, 0...Int.max) }
        add("execution.checkpointing.aligned-checkpoint-timeout") { $0.alignedTimeout = try SettingValue.duration($1, $2) }
        add("execution.checkpointing.unaligned.enabled", "execution.checkpointing.unaligned") { $0.unaligned = try SettingValue.flag($1, $2) }
        add("execution.checkpointing.mode") { _ = try SettingValue.choice($1, $2, modes) }
        add("execution.checkpointing.num-retained", "state.checkpoints.num-retained") { $0.retained = try SettingValue.number($1, $2, 1...10_000) }
        add("execution.checkpointing.dir", "state.checkpoints.dir") { $0.directory = try SettingValue.path($1, $2) }
        add("execution.checkpointing.savepoint-dir", "state.savepoints.dir") { $0.savepointDirectory = try SettingValue.path($1, $2) }
        add("execution.checkpointing.externalized-checkpoint-retention") { $0.keepsCheckpointsAtEnd = try SettingValue.choice($1, $2, retentions) }
        add("execution.savepoint.path", "execution.state-recovery.path") { $0.startFrom = try SettingValue.path($1, $2) }
        add("execution.savepoint.ignore-unclaimed-state", "execution.state-recovery.ignore-unclaimed-state") {
            $0.allowsNonRestoredState = try SettingValue.flag($1, $2)
        }
        add("state.backend.type", "state.backend") { $0.backend = try SettingValue.choice($1, $2, backends) }
        add("state.backend.rocksdb.memory.managed-limit", "state.backend.rocksdb.memory.fixed-per-slot") {
            $0.rocksDBMemory = try SettingValue.size($1, $2)
        }
        for ticker in ["block-cache-hit", "block-cache-miss", "bloom-filter-useful", "bloom-filter-full-positive", "bytes-read", "bytes-written",
                       "compaction-read-bytes", "compaction-write-bytes", "stall-micros"] {
            add("state.backend.rocksdb.metrics." + ticker) {
                let isWanted = try SettingValue.flag($1, $2)
                $0.rocksDBTickers = $0.rocksDBTickers || isWanted
            }
        }
        add("table.exec.state.ttl") {
            let ttl = try SettingValue.duration($1, $2)
            $0.stateTTL = ttl == .zero ? nil : ttl
        }
        add("restart-strategy.type", "restart-strategy") { $0.strategy = try SettingValue.choice($1, $2, strategies) }
        let (fixed, growing, rate) = ("restart-strategy.fixed-delay.", "restart-strategy.exponential-delay.", "restart-strategy.failure-rate.")
        add(fixed + "attempts") { $0.fixedDelay.attempts = try SettingValue.number($1, $2, 0...Int.max) }
        add(fixed + "delay") { $0.fixedDelay.delay = try SettingValue.duration($1, $2) }
        add(growing + "initial-backoff") { $0.exponential.initial = try SettingValue.positiveDuration($1, $2) }
        add(growing + "max-backoff") { $0.exponential.maximum = try SettingValue.positiveDuration($1, $2) }
        add(growing + "backoff-multiplier") { $0.exponential.multiplier = try SettingValue.fraction($1, $2, 1...Double.infinity) }
        add(growing + "reset-backoff-threshold") { $0.exponential.resetAfter = try SettingValue.positiveDuration($1, $2) }
        add(growing + "jitter-factor") { $0.exponential.jitter = try SettingValue.fraction($1, $2, 0...1) }
        add(growing + "attempts-before-reset-backoff") { $0.exponential.attempts = try SettingValue.number($1, $2, 0...Int.max) }
        add(rate + "max-failures-per-interval") { $0.failureRate.failures = try SettingValue.number($1, $2, 1...Int.max) }
        add(rate + "failure-rate-interval") { $0.failureRate.interval = try SettingValue.positiveDuration($1, $2) }
        add(rate + "delay") { $0.failureRate.delay = try SettingValue.duration($1, $2) }
        return all
    }()

    static let known: [String] = setters.keys.sorted()

    /// Where a name that is nearly a known one is taken to be a misspelling.
    private static let namespaces = [
        "execution.checkpointing.", "execution.savepoint.", "execution.state-recovery.", "restart-strategy.fixed-delay.",
        "restart-strategy.exponential-delay.", "restart-strategy.failure-rate.", "restart-strategy.", "state.backend.rocksdb.memory.",
        "state.backend.", "state.checkpoints.", "state.savepoints.", "table.exec.state.",
    ]

    /// - Returns: false when the key is none of these.
    /// - Throws: `.validate` for a bad value, and for a key that is nearly one of these.
    mutating func set(_ key: String, to value: String) throws -> Bool {
        if let setter = Self.setters[key] {
            try setter(&self, key, value)
            return true
        }
        for space in Self.namespaces where key.hasPrefix(space) {
            let names = Self.known.filter { $0.hasPrefix(space) }.map { String($0.dropFirst(space.count)) }
            if let near = NearName.nearest(to: String(key.dropFirst(space.count)), in: names) {
                throw StreamError(.validate, "there is no setting '\(key)'", fix: "write \"\(space + near)\"")
            }
        }
        return false
    }
}
