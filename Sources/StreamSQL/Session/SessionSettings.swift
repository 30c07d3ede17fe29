import StreamCore
import StreamExpressions

/// What SET changes. Keys are Flink's.
public struct SessionSettings: Sendable {
    /// As set, by key.
    public private(set) var values: [String: String] = [:]

    public private(set) var timeZone = "UTC"
    public private(set) var parallelism = 1
    public private(set) var maxParallelism = 128
    public private(set) var pipelineName: String?
    public private(set) var idleTimeout: Duration?
    /// Wanted time between barriers; nil = as the sinks ask.
    public private(set) var checkpointInterval: Duration?

    public init() {}

    private static let prefixes = ["table.", "pipeline.", "execution.", "parallelism.", "state.", "sql-client."]
    private static let known = [
        "table.local-time-zone", "parallelism.default", "pipeline.name", "pipeline.max-parallelism", "table.exec.source.idle-timeout",
        "scan.watermark.idle-timeout", "execution.runtime-mode", "execution.checkpointing.interval",
        "table.exec.resource.default-parallelism",
        "table.exec.sink.not-null-enforcer", "sql-client.execution.result-mode",
    ]

    /// Sets one key.
    ///
    /// - Returns: a warning when the key is of a kind that Flink has but nothing here reads.
    /// - Throws: `.validate` for an unknown key or a bad value.
    public mutating func set(_ key: String, to value: String) throws -> String? {
        switch key {
        case "table.local-time-zone": timeZone = try Self.zone(value)
        case "parallelism.default", "table.exec.resource.default-parallelism":
            parallelism = try Self.number(key, value, 1...4_096)
        case "pipeline.max-parallelism": maxParallelism = try Self.number(key, value, 1...32_768)
        case "pipeline.name": pipelineName = value
        case "table.exec.source.idle-timeout", "scan.watermark.idle-timeout":
            guard let duration = Durations.parse(value) else {
                throw StreamError(
                    .validate, "'\(key)' = '\(value)' is not a length of time", fix: "write for example '10 s', '500 ms' or '2 min'")
            }
            idleTimeout = duration == .zero ? nil : duration
        case "execution.checkpointing.interval":
            guard let duration = Durations.parse(value) else {
                throw StreamError(.validate, "'\(key)' = '\(value)' is not a length of time", fix: "write for example '10 s', '500 ms' or '2 min'")
            }
            checkpointInterval = duration == .zero ? nil : duration
        case "execution.runtime-mode":
            guard ["streaming", "batch", "automatic"].contains(value.lowercased()) else {
                throw StreamError(.validate, "'\(key)' = '\(value)' is not a mode", fix: "write 'streaming'")
            }
        case "table.exec.sink.not-null-enforcer":
            guard ["ERROR", "DROP"].contains(value.uppercased()) else {
                throw StreamError(.validate, "'\(key)' = '\(value)' is not known", fix: "write 'ERROR' or 'DROP'")
            }
        default:
            guard Self.prefixes.contains(where: { key.hasPrefix($0) }) else {
                throw StreamError(.validate, "there is no setting '\(key)'", fix: NearName.hint(for: key, in: Self.known))
            }
        }
        values[key] = value
        return Self.known.contains(key) ? nil : "setting '\(key)' is kept, but nothing here reads it"
    }

    /// Undoes SET of one key, or of all.
    public mutating func reset(_ key: String?) throws {
        var kept = values
        if let key { kept[key] = nil } else { kept = [:] }
        self = SessionSettings()
        for (key, value) in kept { _ = try set(key, to: value) }
    }

    /// Rows with a null for a NOT NULL column are left out instead of failing the job.
    var dropsNullsForNotNull: Bool { values["table.exec.sink.not-null-enforcer"]?.uppercased() == "DROP" }

    private static func number(_ key: String, _ value: String, _ range: ClosedRange<Int>) throws -> Int {
        guard let n = Int(value), range.contains(n) else {
            throw StreamError(.validate, "'\(key)' = '\(value)' is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return n
    }

    private static func zone(_ value: String) throws -> String {
        if value.lowercased() == "default" { return "UTC" }
        _ = try TimeZoneRules.named(value)
        return value
    }
}

/// Flink's way to write lengths of time: a number and a unit.
public enum Durations {
    private static let units: [String: Int64] = [
        "ns": 1, "nano": 1, "nanosecond": 1, "us": 1_000, "µs": 1_000, "micro": 1_000, "microsecond": 1_000, "ms": 1_000_000,
        "milli": 1_000_000, "millisecond": 1_000_000, "s": 1_000_000_000, "sec": 1_000_000_000, "second": 1_000_000_000,
        "m": 60_000_000_000, "min": 60_000_000_000, "minute": 60_000_000_000, "h": 3_600_000_000_000, "hour": 3_600_000_000_000,
        "d": 86_400_000_000_000, "day": 86_400_000_000_000,
    ]

    /// `10 s`, `500ms`, `2 min`; a number alone is milliseconds. nil when it is something else.
    public static func parse(_ text: String) -> Duration? {
        let trimmed = text.drop { $0 == " " }
        let digits = trimmed.prefix { $0.isNumber }
        var unit = trimmed.dropFirst(digits.count).filter { $0 != " " }.lowercased()
        if unit.isEmpty { unit = "ms" }
        if units[unit] == nil, unit.hasSuffix("s") { unit.removeLast() }
        guard let n = Int64(digits), let factor = units[unit] else { return nil }
        let (value, overflow) = n.multipliedReportingOverflow(by: factor)
        return overflow ? nil : .nanoseconds(value)
    }
}
