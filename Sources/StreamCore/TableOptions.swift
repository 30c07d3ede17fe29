/// Reads a table's options into typed values; every error names the option, its value and where it was written.
public struct TableOptions: Sendable {
    public let table: TableDescriptor

    public init(_ table: TableDescriptor) { self.table = table }

    public func has(_ key: String) -> Bool { table.options[key] != nil }
    public func string(_ key: String) -> String? { table.options[key] }

    public func require(_ key: String) throws -> String {
        guard let value = table.options[key] else {
            throw StreamError(.validate, "table \(table.name): connector '\(table.options["connector"] ?? "")' needs option '\(key)'",
                              fix: "add '\(key)' = '...' to its WITH options")
        }
        guard !value.isEmpty else { throw error(key, "must not be empty") }
        return value
    }

    public func int(_ key: String, in range: ClosedRange<Int> = Int.min...Int.max) throws -> Int? {
        guard let text = table.options[key] else { return nil }
        guard let value = Int(text.trimmed), range.contains(value) else {
            let limits = range.upperBound == .max ? (range.lowerBound == .min ? "" : " of at least \(range.lowerBound)") : " from \(range.lowerBound) to \(range.upperBound)"
            throw error(key, "is not a whole number\(limits)")
        }
        return value
    }

    public func bool(_ key: String) throws -> Bool? {
        switch table.options[key]?.trimmed.lowercased() {
        case nil: return nil
        case "true": return true
        case "false": return false
        default: throw error(key, "is neither true nor false")
        }
    }

    /// One of `values`, compared without case.
    public func choice(_ key: String, _ values: [String]) throws -> String? {
        guard let text = table.options[key]?.trimmed else { return nil }
        guard let value = values.first(where: { $0.lowercased() == text.lowercased() }) else {
            throw error(key, "is not known here", fix: NearName.hint(for: text, in: values))
        }
        return value
    }

    /// Milliseconds from `10 s`, `500ms`, `1 min`, `2 h`, `1 d`, or a bare number of milliseconds, as Flink reads them.
    public func milliseconds(_ key: String) throws -> Int64? {
        guard let text = table.options[key] else { return nil }
        let units: [String: Int64] = [
            "": 1, "ms": 1, "milli": 1, "millis": 1, "millisecond": 1, "milliseconds": 1, "s": 1_000, "sec": 1_000, "secs": 1_000,
            "second": 1_000, "seconds": 1_000, "min": 60_000, "m": 60_000, "minute": 60_000, "minutes": 60_000, "h": 3_600_000,
            "hour": 3_600_000, "hours": 3_600_000, "d": 86_400_000, "day": 86_400_000, "days": 86_400_000,
        ]
        guard let value = Self.scaled(text, units) else { throw error(key, "is not a duration", fix: "write it as in '10 s', '500 ms' or '1 min'") }
        return value
    }

    public func duration(_ key: String) throws -> Duration? { try milliseconds(key).map { .milliseconds($0) } }

    /// Bytes from `128MB`, `64 kb`, `1g`, or a bare number; the units are powers of 1024, as Flink reads them.
    public func bytes(_ key: String) throws -> Int? {
        guard let text = table.options[key] else { return nil }
        guard let value = Self.bytes(of: text) else { throw error(key, "is not a size", fix: "write it as in '128MB' or '64kb'") }
        return value
    }

    /// The size that a text stands for; nil when it is none.
    public static func bytes(of text: String) -> Int? {
        let units: [String: Int64] = [
            "": 1, "b": 1, "bytes": 1, "k": 1 << 10, "kb": 1 << 10, "kibibytes": 1 << 10, "m": 1 << 20, "mb": 1 << 20,
            "mebibytes": 1 << 20, "g": 1 << 30, "gb": 1 << 30, "gibibytes": 1 << 30, "t": 1 << 40, "tb": 1 << 40,
        ]
        return scaled(text, units).map(Int.init)
    }

    private static func scaled(_ text: String, _ units: [String: Int64]) -> Int64? {
        let digits = text.trimmed.prefix { $0.isASCII && $0.isNumber }
        let unit = String(text.trimmed.dropFirst(digits.count)).trimmed.lowercased()
        guard let number = Int64(digits), let unit = units[unit] else { return nil }
        let (value, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? nil : value
    }

    public func error(_ key: String, _ problem: String, fix: String? = nil) -> StreamError {
        StreamError(.validate, "table \(table.name): option '\(key)' = '\(table.options[key] ?? "")' \(problem)", fix: fix,
                    at: table.optionLocations[key])
    }
}

extension String {
    /// Without white space at both ends.
    package var trimmed: String {
        var text = Substring(self)
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
