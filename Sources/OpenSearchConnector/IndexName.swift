import Foundation
import StreamCore

/// The option `index`: a name with `{column}`, `{column|yyyy-MM-dd}` or `{now()|yyyy-MM-dd}` in it.
struct IndexName: Sendable {
    private enum Part: Sendable {
        case text(String)
        case column(Int, DataType)
        /// nil = now.
        case time(Int?, DataType, TimePattern)
    }

    private let parts: [Part]
    /// The name when it is the same for all rows.
    let constant: String?

    init(_ options: TableOptions, key: String, zone: TimeZone) throws {
        let text = try options.require(key), schema = options.table.schema
        var parts: [Part] = [], rest = Substring(text), names = ""
        while let open = rest.firstIndex(of: "{") {
            guard let close = rest[open...].firstIndex(of: "}") else {
                throw options.error(key, "has a brace that is not closed", fix: "write it as in 'logs-{ts|yyyy-MM-dd}'")
            }
            if open > rest.startIndex { parts.append(.text(String(rest[..<open]))) }
            names += rest[..<open]
            let inside = rest[rest.index(after: open)..<close].split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false).map { String($0).trimmed }
            rest = rest[rest.index(after: close)...]
            let pattern = inside.count == 2 ? inside[1] : nil
            if inside[0].lowercased() == "now()" {
                parts.append(.time(nil, .timestampLTZ(3), try TimePattern(pattern ?? "yyyy-MM-dd", options, key, zone)))
                continue
            }
            guard let column = schema.firstIndex(where: { $0.name == inside[0] }) else {
                throw options.error(key, "names {\(inside[0])}, which is no column", fix: NearName.hint(for: inside[0], in: schema.map(\.name)))
            }
            let type = schema[column].type
            switch type {
            case .array, .map, .row, .variant, .binary, .varbinary, .null:
                throw options.error(key, "names {\(inside[0])}, whose type \(type) cannot stand in a name")
            case .date, .timestamp, .timestampLTZ, .time:
                if let pattern { parts.append(.time(column, type, try TimePattern(pattern, options, key, zone))) } else { parts.append(.column(column, type)) }
            default:
                guard pattern == nil else {
                    throw options.error(key, "has a format for {\(inside[0])}, whose type \(type) is no date or time", fix: "leave '|\(pattern!)' out")
                }
                parts.append(.column(column, type))
            }
        }
        if !rest.isEmpty { parts.append(.text(String(rest))) }
        names += rest
        if let bad = names.first(where: { $0.isUppercase || #" "*\<|>/?,"#.contains($0) }) {
            throw options.error(key, "has '\(bad)' in it", fix: "index names have small letters, digits, '-', '_' and '.'")
        }
        self.parts = parts
        constant = parts.allSatisfy { if case .text = $0 { true } else { false } } ? text : nil
    }

    /// The name for a row.
    func name(_ batch: Batch, _ row: Int, now: Int64) -> String {
        if let constant { return constant }
        return parts.map { part in
            switch part {
            case .text(let text): return text
            case .column(let column, let type): return batch.columns[column].value(at: row).plainText(as: type)
            case .time(let column, let type, let pattern):
                guard let column else { return pattern.text(milliseconds: now, isLocal: true) }
                guard case .int(let value) = batch.columns[column].value(at: row) else { return "null" }
                switch type {
                case .date: return pattern.text(milliseconds: value * 86_400_000, isLocal: false)
                case .time: return pattern.text(milliseconds: value, isLocal: false)
                case .timestamp(let p): return pattern.text(milliseconds: Self.milliseconds(value, p), isLocal: false)
                case .timestampLTZ(let p): return pattern.text(milliseconds: Self.milliseconds(value, p), isLocal: true)
                default: return "\(value)"
                }
            }
        }.joined()
    }

    private static func milliseconds(_ value: Int64, _ precision: Int) -> Int64 {
        let scale = TimeUnit(precision: precision).perMillisecond
        let quotient = value / scale
        return value < 0 && quotient * scale != value ? quotient - 1 : quotient
    }
}

/// A date pattern of Java's, of the letters y M d H m s S, quoted text and other characters.
struct TimePattern: Sendable {
    private enum Part: Hashable, Sendable { case text(String), field(Character, Int) }
    private let parts: [Part]
    private let zone: TimeZone

    init(_ pattern: String, _ options: TableOptions, _ key: String, _ zone: TimeZone) throws {
        var parts: [Part] = [], rest = Substring(pattern)
        while let first = rest.first {
            if first == "'" {
                let quoted = rest.dropFirst().prefix { $0 != "'" }
                guard quoted.endIndex < rest.endIndex else { throw options.error(key, "has a quote that is not closed in '\(pattern)'") }
                parts.append(.text(quoted.isEmpty ? "'" : String(quoted)))
                rest = rest[rest.index(after: quoted.endIndex)...]
            } else if first.isLetter {
                let run = rest.prefix { $0 == first }
                guard "yuMdHmsS".contains(first), first != "M" || run.count <= 2 else {
                    throw options.error(key, "has '\(run)' in its date format", fix: "use yyyy, MM, dd, HH, mm, ss and SSS")
                }
                parts.append(.field(first, run.count))
                rest = rest[run.endIndex...]
            } else {
                parts.append(.text(String(first)))
                rest = rest.dropFirst()
            }
        }
        self.parts = parts
        self.zone = zone
    }

    /// - Parameter isLocal: the time is an instant, shown in the session's time zone.
    func text(milliseconds: Int64, isLocal: Bool) -> String {
        var time = milliseconds
        if isLocal { time += Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(milliseconds) / 1_000))) * 1_000 }
        let day = time >= 0 ? time / 86_400_000 : (time - 86_399_999) / 86_400_000
        let rest = time - day * 86_400_000
        // Days to a date, as in Howard Hinnant's civil_from_days.
        let z = day + 719_468, era = (z >= 0 ? z : z - 146_096) / 146_097, doe = z - era * 146_097
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100)
        let mp = (5 * doy + 2) / 153, month = mp < 10 ? mp + 3 : mp - 9, year = yoe + era * 400 + (month <= 2 ? 1 : 0)
        return parts.map { part in
            guard case .field(let letter, let width) = part else {
                if case .text(let text) = part { return text }
                return ""
            }
            let value: Int64 = switch letter {
            case "y", "u": width == 2 ? year % 100 : year
            case "M": month
            case "d": doy - (153 * mp + 2) / 5 + 1
            case "H": rest / 3_600_000
            case "m": rest / 60_000 % 60
            case "s": rest / 1_000 % 60
            default: rest % 1_000
            }
            let digits = String(value)
            let padded = String(repeating: "0", count: max(0, (letter == "S" ? 3 : width) - digits.count)) + digits
            return letter == "S" ? String((padded + String(repeating: "0", count: width)).prefix(width)) : padded
        }.joined()
    }
}
