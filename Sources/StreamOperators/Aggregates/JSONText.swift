import StreamCore

/// JSON text of boxed values, for the JSON aggregates.
enum JSONText {
    static func of(_ value: Value, _ type: DataType) -> String {
        switch (value, type) {
        case (.null, _): "null"
        case (.bool(let b), _): b ? "true" : "false"
        case (.int(let i), _) where type.isInteger: "\(i)"
        case (.int(let i), .date): quoted(date(i))
        case (.int(let i), .time): quoted(clock(i))
        case (.int(let i), _) where type.isTimestamp: quoted(timestamp(i, type.timeUnit!))
        case (.int(let i), _): "\(i)"
        case (.float(let f), _): f.isFinite ? "\(f)" : quoted("\(f)")
        case (.double(let d), _): d.isFinite ? "\(d)" : quoted("\(d)")
        case (.decimal(let d), .decimal(_, let scale)): decimal(d, scale)
        case (.decimal(let d), _): "\(d)"
        case (.string(let s), _): quoted(s)
        case (.binary(let b), _): quoted(base64(b))
        case (.array(let items), .array(let element)): "[" + items.map { of($0, element) }.joined(separator: ",") + "]"
        case (.map(let entries), .map(let key, let item)):
            "{" + entries.map { name($0.key, key) + ":" + of($0.value, item) }.joined(separator: ",") + "}"
        case (.row(let items), .row(let fields)):
            "{" + zip(fields, items).map { quoted($0.name) + ":" + of($1, $0.type) }.joined(separator: ",") + "}"
        default: "null"
        }
    }

    private static func name(_ key: Value, _ type: DataType) -> String {
        let text = of(key, type)
        return text.hasPrefix("\"") ? text : quoted(text)
    }

    static func quoted(_ text: String) -> String {
        var out = "\""
        for u in text.unicodeScalars {
            switch u {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case "\u{8}": out += "\\b"
            case "\u{C}": out += "\\f"
            case _ where u.value < 0x20: out += "\\u" + padded(Int64(u.value), 4, radix: 16)
            default: out.unicodeScalars.append(u)
            }
        }
        return out + "\""
    }

    private static func padded(_ n: Int64, _ width: Int, radix: Int = 10) -> String {
        let digits = String(n, radix: radix, uppercase: true)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    private static func decimal(_ unscaled: Int128, _ scale: Int) -> String {
        guard scale > 0 else { return "\(unscaled)" }
        var digits = "\(unscaled.magnitude)"
        if digits.count <= scale { digits = String(repeating: "0", count: scale + 1 - digits.count) + digits }
        return (unscaled < 0 ? "-" : "") + digits.dropLast(scale) + "." + digits.suffix(scale)
    }

    /// Days since 1970-01-01 as YYYY-MM-DD.
    private static func date(_ days: Int64) -> String {
        // Howard Hinnant's civil_from_days.
        let z = days + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let doe = z - era * 146_097
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100)
        let mp = (5 * doy + 2) / 153
        let month = mp < 10 ? mp + 3 : mp - 9
        return "\(padded(yoe + era * 400 + (month <= 2 ? 1 : 0), 4))-\(padded(month, 2))-\(padded(doy - (153 * mp + 2) / 5 + 1, 2))"
    }

    private static func clock(_ ms: Int64) -> String {
        "\(padded(ms / 3_600_000, 2)):\(padded(ms / 60_000 % 60, 2)):\(padded(ms / 1_000 % 60, 2))" + (ms % 1_000 == 0 ? "" : ".\(padded(ms % 1_000, 3))")
    }

    private static func timestamp(_ t: Int64, _ unit: TimeUnit) -> String {
        let ms = Windowing.floorDivide(t, unit.perMillisecond)
        let day = Windowing.floorDivide(ms, 86_400_000)
        return date(day) + " " + clock(ms - day * 86_400_000)
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var out = ""
        for i in stride(from: 0, to: bytes.count, by: 3) {
            let part = bytes[i..<min(i + 3, bytes.count)]
            let n = part.enumerated().reduce(0) { $0 | Int($1.element) << (16 - 8 * $1.offset) }
            for k in 0..<4 { out.append(k <= part.count ? alphabet[n >> (18 - 6 * k) & 63] : "=") }
        }
        return out
    }
}
