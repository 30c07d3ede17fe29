import LakeTable
import StreamCore

/// The settings of the timestamp-based key generator, which a table's properties keep under the names of the options.
enum TimestampOption {
    private static let prefix = "hoodie.keygen.timebased."
    /// `UNIX_TIMESTAMP`, `EPOCHMILLISECONDS`, `EPOCHMICROSECONDS`, `DATE_STRING` or `SCALAR`.
    static let type = prefix + "timestamp.type"
    static let unit = prefix + "timestamp.scalar.time.unit"
    static let inputFormat = prefix + "input.dateformat"
    static let inputZone = prefix + "input.timezone"
    static let outputFormat = prefix + "output.dateformat"
    static let outputZone = prefix + "output.timezone"
    /// Of both, unless one has its own.
    static let zone = prefix + "timezone"

    static let all: Set<String> = [type, unit, inputFormat, inputZone, outputFormat, outputZone, zone]

    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("NANOSECONDS", 1), ("MICROSECONDS", 1_000), ("MILLISECONDS", 1_000_000), ("SECONDS", 1_000_000_000), ("MINUTES", 60_000_000_000),
        ("HOURS", 3_600_000_000_000), ("DAYS", 86_400_000_000_000),
    ]

    /// - Parameters:
    ///   - values: options or properties.
    ///   - column: the partition column's type; nil = a type is given.
    ///   - error: makes an error of an option, a problem and what to do.
    static func partition(_ values: [String: String], column: DataType? = nil, _ error: (String, String, String?) -> StreamError) throws -> TimestampPartition {
        // What tables made by older engines call them.
        func value(_ key: String) -> String? { values[key] ?? values[key.replacing("hoodie.", with: "hoodie.deltastreamer.", maxReplacements: 1)] }
        func pattern(_ key: String, _ text: String) throws -> TimePattern {
            do { return try TimePattern(text) } catch let problem as StreamError { throw error(key, "'\(key)': \(problem.problem)", problem.fix) }
        }
        guard let output = value(outputFormat) else {
            throw error(outputFormat, "the timestamp-based key generator needs '\(outputFormat)'", "set it to the form of the partition paths, for example 'yyyy/MM/dd'")
        }
        let usual = column.map { $0.isText ? "DATE_STRING" : $0 == .date || $0.timeUnit != nil ? "SCALAR" : "" } ?? ""
        let kind = (value(type) ?? usual).uppercased(), input: TimestampPartition.Input
        switch kind {
        case "UNIX_TIMESTAMP": input = .number(nanoseconds: 1_000_000_000)
        case "EPOCHMILLISECONDS": input = .number(nanoseconds: 1_000_000)
        case "EPOCHMICROSECONDS": input = .number(nanoseconds: 1_000)
        case "SCALAR":
            let name = (value(unit) ?? (column == .date ? "DAYS" : column?.timeUnit != nil ? "MICROSECONDS" : "SECONDS")).uppercased()
            guard let found = units.first(where: { $0.name == name }) else {
                throw error(unit, "'\(unit)' = '\(name)' is no unit of time", "write one of \(units.map(\.name).joined(separator: ", "))")
            }
            input = .number(nanoseconds: found.nanoseconds)
        case "DATE_STRING":
            guard let formats = value(inputFormat) else {
                throw error(inputFormat, "text needs '\(inputFormat)'", "set it to the form of the column's values, for example 'yyyy-MM-dd HH:mm:ss'")
            }
            input = .text(try formats.split(separator: ",").map { try pattern(inputFormat, String($0).trimmed) })
        default:
            throw error(type, kind.isEmpty ? "the timestamp-based key generator needs '\(type)'" : "'\(type)' = '\(kind)' is not supported",
                        "write UNIX_TIMESTAMP, EPOCHMILLISECONDS, EPOCHMICROSECONDS, DATE_STRING or SCALAR")
        }
        do {
            return try TimestampPartition(input: input, inputZone: value(inputZone) ?? value(zone) ?? "UTC", output: try pattern(outputFormat, output),
                                          outputZone: value(outputZone) ?? value(zone) ?? "UTC")
        } catch let problem as StreamError where problem.problem.hasPrefix("time zone") {
            throw error(zone, problem.problem, problem.fix)
        }
    }

    static func pairs(_ partition: TimestampPartition) -> [(String, String)] {
        var out: [(String, String)] = []
        switch partition.input {
        case .text(let patterns): out = [(type, "DATE_STRING"), (inputFormat, patterns.map(\.text).joined(separator: ","))]
        case .number(1_000_000_000): out = [(type, "UNIX_TIMESTAMP")]
        case .number(1_000_000): out = [(type, "EPOCHMILLISECONDS")]
        case .number(let nanoseconds): out = [(type, "SCALAR"), (unit, units.first { $0.nanoseconds == nanoseconds }!.name)]
        }
        return out + [(inputZone, partition.inputZone), (outputFormat, partition.output.text), (outputZone, partition.outputZone)]
    }
}
