import StreamCore
import StreamExpressions
import StreamOperators
import StreamRuntime

/// What SET changes. Keys are Flink's.
public struct SessionSettings: Sendable {
    /// As set, by key.
    public private(set) var values: [String: String] = [:]

    public private(set) var timeZone = "UTC"
    public private(set) var parallelism = 1
    public private(set) var maxParallelism = 128
    public private(set) var pipelineName: String?
    public private(set) var idleTimeout: Duration?
    /// How long an answer of a Python worker may take [python.worker.timeout]; nil = five minutes.
    public private(set) var pythonTimeout: Duration?
    /// Sources send a latency marker this often [metrics.latency.interval]; nil = never.
    public private(set) var latencyInterval: Duration?
    /// Results of windows apart from the one at their end.
    private var emit = EmitSettings()
    /// Checkpoints, restarts and state.
    public private(set) var recovery = RecoverySettings()
    public private(set) var aggregation = AggregationSettings()

    public init() {}

    private static let known = [
        "table.local-time-zone", "parallelism.default", "pipeline.name", "pipeline.max-parallelism", "table.exec.source.idle-timeout",
        "scan.watermark.idle-timeout", "execution.runtime-mode", "table.exec.resource.default-parallelism",
        "table.exec.sink.upsert-materialize", "table.optimizer.reuse-sub-plan-enabled", "table.optimizer.join-reorder-enabled",
        "table.exec.source.cdc-events-duplicate",
        "python.executable", "python.files", "python.worker.timeout", "metrics.latency.interval",
        "table.exec.sink.not-null-enforcer", "sql-client.execution.result-mode", "table.dml-sync",
        "table.dynamic-table-options.enabled",
    ]

    static var allKnown: [String] { known + RecoverySettings.known + EmitSettings.known + AggregationSettings.known }

    /// What a setting is called in the newest Flink; the name itself when it has no newer one.
    public static func newestName(of key: String) -> String { ForeignSettings.newestName(of: key) }

    /// A release of Flink from 1.11 to 2.3 has the setting, be it read here or not.
    public static func isOfFlink(_ key: String) -> Bool { allKnown.contains(newestName(of: key)) || ForeignSettings.isKnown(key) }

    /// Sets one key.
    ///
    /// - Returns: a warning when Flink has the setting, but it means nothing here.
    /// - Throws: `.validate` for an unknown key or a bad value.
    public mutating func set(_ key: String, to value: String) throws -> String? {
        let name = ForeignSettings.newestName(of: key), isRead = Self.allKnown.contains(name)
        var warning: String?
        switch isRead ? ForeignSettings.byValue(name, value) : ForeignSettings.meaning(of: key, value) {
        case .usual?: break
        case .idle(let reason)?:
            warning = "setting '\(key)'\(isRead ? " = '\(value)'" : "") means nothing here: \(reason)"
            // What was read before does not hold any longer.
            if isRead, values.keys.contains(where: { ForeignSettings.newestName(of: $0) == name }) { try reset(key) }
        case .refused(let reason, let fix)?: throw StreamError(.validate, "'\(key)' = '\(value)' is not supported: \(reason)", fix: fix)
        case .misspelt(let near)?: throw StreamError(.validate, "there is no setting '\(key)'", fix: "write \"\(near)\"")
        case nil:
            guard isRead else { throw StreamError(.validate, "there is no setting '\(key)'", fix: "see Flink's configuration for its name") }
            try read(Self.allKnown.contains(key) ? key : name, value)
        }
        // Of several names of one setting the one that was set last counts.
        for other in values.keys where ForeignSettings.newestName(of: other) == name { values[other] = nil }
        values[key] = value
        return warning
    }

    private mutating func read(_ key: String, _ value: String) throws {
        switch key {
        case "table.local-time-zone": timeZone = try Self.zone(value)
        case "parallelism.default", "table.exec.resource.default-parallelism":
            parallelism = try SettingValue.number(key, value, 1...4_096)
        case "pipeline.max-parallelism": maxParallelism = try SettingValue.number(key, value, 1...32_768)
        case "pipeline.name": pipelineName = value
        case "table.exec.source.idle-timeout", "scan.watermark.idle-timeout":
            let duration = try SettingValue.duration(key, value)
            idleTimeout = duration == .zero ? nil : duration
        case "execution.runtime-mode":
            guard ["streaming", "batch", "automatic"].contains(value.lowercased()) else {
                throw StreamError(.validate, "'\(key)' = '\(value)' is not a mode", fix: "write 'streaming'")
            }
        case "table.exec.sink.not-null-enforcer":
            guard ["ERROR", "DROP"].contains(value.uppercased()) else {
                throw StreamError(.validate, "'\(key)' = '\(value)' is not known", fix: "write 'ERROR' or 'DROP'")
            }
        case "sql-client.execution.result-mode": _ = try SettingValue.choice(key, value, ["tableau": 0, "table": 1, "changelog": 2])
        case "python.worker.timeout": pythonTimeout = try SettingValue.duration(key, value)
        case "metrics.latency.interval":
            let interval = try SettingValue.duration(key, value)
            latencyInterval = interval == .zero ? nil : interval
        case "table.exec.sink.upsert-materialize":
            _ = try SettingValue.choice(key, value, ["AUTO": 0, "FORCE": 1, "NONE": 2])
        case "table.optimizer.reuse-sub-plan-enabled", "table.optimizer.join-reorder-enabled", "table.exec.source.cdc-events-duplicate",
            "table.dynamic-table-options.enabled":
            _ = try SettingValue.flag(key, value)
        default:
            if try recovery.set(key, to: value) { break }
            if try emit.set(key, to: value) { break }
            _ = try aggregation.set(key, to: value)
        }
    }

    /// Undoes SET of one key, or of all.
    public mutating func reset(_ key: String?) throws {
        var kept = values
        if let key {
            let name = ForeignSettings.newestName(of: key)
            kept = kept.filter { ForeignSettings.newestName(of: $0.key) != name }
        } else {
            kept = [:]
        }
        self = SessionSettings()
        for (key, value) in kept { _ = try set(key, to: value) }
    }

    /// Rows with a null for a NOT NULL column are left out instead of failing the job.
    var dropsNullsForNotNull: Bool { values["table.exec.sink.not-null-enforcer"]?.uppercased() == "DROP" }

    private static func zone(_ value: String) throws -> String {
        if value.lowercased() == "default" { return "UTC" }
        _ = try TimeZoneRules.named(value)
        return value
    }
}

extension SessionSettings {
    /// When window aggregates give results apart from the end of the window; nil = never.
    ///
    /// - Throws: `.validate` when the settings do not go together.
    func windowEmission() throws -> WindowEmission? { try emit.emission() }

    /// Wanted time between barriers; nil = as the sinks ask.
    public var checkpointInterval: Duration? { recovery.checkpoints.interval }
    public var checkpoints: CheckpointOptions { recovery.checkpoints }
    /// As set; by default Flink's exponential delay when a checkpoint interval is set, else none.
    public var restart: RestartStrategy { recovery.restart }
    public var stateBackend: RecoverySettings.Backend { recovery.backend }
    /// Keyed state that is not touched for this long may be forgotten [table.exec.state.ttl]; nil = kept for ever.
    public var stateTTL: Duration? { recovery.stateTTL }
}
