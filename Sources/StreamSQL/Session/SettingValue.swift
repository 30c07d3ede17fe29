import StreamCore

/// Reads the values of settings. Each throws `.validate` with the key, the value and what to write instead.
enum SettingValue {
    static func duration(_ key: String, _ value: String) throws -> Duration {
        guard let duration = Durations.parse(value) else {
            throw StreamError(.validate, "'\(key)' = '\(value)' is not a length of time", fix: "write for example '10 s', '500 ms' or '2 min'")
        }
        return duration
    }

    static func positiveDuration(_ key: String, _ value: String) throws -> Duration {
        let duration = try duration(key, value)
        guard duration > .zero else {
            throw StreamError(.validate, "'\(key)' = '\(value)' must be longer than nothing", fix: "write for example '10 s' or '2 min'")
        }
        return duration
    }

    static func number(_ key: String, _ value: String, _ range: ClosedRange<Int>) throws -> Int {
        guard let n = Int(value), range.contains(n) else {
            let wanted = range.upperBound == .max ? "of at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
            throw StreamError(.validate, "'\(key)' = '\(value)' is not a number \(wanted)")
        }
        return n
    }

    static func fraction(_ key: String, _ value: String, _ range: ClosedRange<Double>) throws -> Double {
        guard let x = Double(value), range.contains(x) else {
            let wanted = range.upperBound == .infinity ? "of at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
            throw StreamError(.validate, "'\(key)' = '\(value)' is not a number \(wanted)")
        }
        return x
    }

    static func flag(_ key: String, _ value: String) throws -> Bool {
        switch value.lowercased() {
        case "true": return true
        case "false": return false
        default: throw StreamError(.validate, "'\(key)' = '\(value)' is neither true nor false", fix: "write 'true' or 'false'")
        }
    }

    static func size(_ key: String, _ value: String) throws -> Int {
        guard let bytes = TableOptions.bytes(of: value), bytes > 0 else {
            throw StreamError(.validate, "'\(key)' = '\(value)' is not a size", fix: "write for example '512 mb' or '2 gb'")
        }
        return bytes
    }

    /// One of some words, in any case.
    static func choice<T>(_ key: String, _ value: String, _ choices: KeyValuePairs<String, T>) throws -> T {
        if let found = choices.first(where: { $0.key.lowercased() == value.lowercased() }) { return found.value }
        throw StreamError(
            .validate, "'\(key)' = '\(value)' is not known", fix: NearName.hint(for: value, in: choices.map { $0.key }))
    }

    static func path(_ key: String, _ value: String) throws -> String {
        var path = value
        if path.hasPrefix("file://") { path = String(path.dropFirst(7)) } else if path.hasPrefix("file:") { path = String(path.dropFirst(5)) }
        if let scheme = path.range(of: "://") {
            throw StreamError(
                .validate, "'\(key)' = '\(value)': there is no file system for \(path[..<scheme.lowerBound])://",
                fix: "name a directory of this machine")
        }
        guard !path.isEmpty else { throw StreamError(.validate, "'\(key)' is empty", fix: "name a directory") }
        return path
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

    /// With the largest unit that leaves a whole number: `90 s`, `2 min`, `1 d`.
    public static func text(_ duration: Duration) -> String {
        let ns = Int64(duration / .nanoseconds(1))
        for (unit, size) in [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)] as [(String, Int64)] where ns != 0 && ns % (size * 1_000_000_000) == 0 {
            return "\(ns / (size * 1_000_000_000)) \(unit)"
        }
        return ns % 1_000_000 == 0 ? "\(ns / 1_000_000) ms" : "\(ns) ns"
    }
}
