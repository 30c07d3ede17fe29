import StreamCore
import StreamOperators

/// How aggregations without a window are run, as SET says. Keys are Flink's.
public struct AggregationSettings: Sendable, Equatable {
    public enum Phases: Sendable { case automatic, one, two }

    /// Changes of a group wait for others [table.exec.mini-batch.enabled].
    public private(set) var isMiniBatch = false
    /// [table.exec.mini-batch.allow-latency]
    public private(set) var latency: Duration?
    /// Rows [table.exec.mini-batch.size]
    public private(set) var size: Int?
    /// [table.optimizer.agg-phase-strategy]
    public private(set) var phases = Phases.automatic
    /// DISTINCT aggregates are computed in parts first [table.optimizer.distinct-agg.split.enabled].
    public private(set) var splitsDistinct = false
    /// [table.optimizer.distinct-agg.split.bucket-num]
    public private(set) var buckets = 1_024

    static let known = [
        "table.exec.mini-batch.enabled", "table.exec.mini-batch.allow-latency", "table.exec.mini-batch.size",
        "table.optimizer.agg-phase-strategy", "table.optimizer.distinct-agg.split.enabled", "table.optimizer.distinct-agg.split.bucket-num",
    ]

    /// Sets one key; false when it is none of these.
    mutating func set(_ key: String, to value: String) throws -> Bool {
        switch key {
        case "table.exec.mini-batch.enabled": isMiniBatch = try SettingValue.flag(key, value)
        case "table.exec.mini-batch.allow-latency":
            let length = try SettingValue.duration(key, value)
            latency = length == .zero ? nil : length
        case "table.exec.mini-batch.size":
            // -1 is Flink's default: none.
            size = value == "-1" ? nil : try SettingValue.number(key, value, 1...Int(Int32.max))
        case "table.optimizer.agg-phase-strategy":
            phases = try SettingValue.choice(key, value, ["AUTO": .automatic, "ONE_PHASE": .one, "TWO_PHASE": .two])
        case "table.optimizer.distinct-agg.split.enabled": splitsDistinct = try SettingValue.flag(key, value)
        case "table.optimizer.distinct-agg.split.bucket-num": buckets = try SettingValue.number(key, value, 1...1_000_000)
        default: return false
        }
        return true
    }

    /// The mini-batch that is to be used; nil = none.
    ///
    /// - Throws: `.validate` when mini-batches are on but not both of their bounds are set.
    func miniBatch() throws -> GroupAggregateSpec.MiniBatch? {
        guard isMiniBatch else { return nil }
        guard let latency else {
            throw StreamError(
                .validate, "'table.exec.mini-batch.enabled' is true, but 'table.exec.mini-batch.allow-latency' is not above 0",
                fix: "SET 'table.exec.mini-batch.allow-latency' = '2 s'")
        }
        guard let size else {
            throw StreamError(
                .validate, "'table.exec.mini-batch.enabled' is true, but 'table.exec.mini-batch.size' is not above 0",
                fix: "SET 'table.exec.mini-batch.size' = '50000'")
        }
        return .init(rows: size, latency: max(1, Int64(latency / .milliseconds(1))))
    }
}
