import StreamCore

/// Text of values as Flink's print connector shows them: it hands rows to Java's `toString`, which differs from CAST AS STRING
/// for times (`2024-01-05T10:00`), decimals close to zero (`0E-8`), bytes and nested rows.
enum JavaText {
    static func append(_ value: Value, _ type: DataType, to out: inout [UInt8]) {
        switch (value, type) {
        case (.null, _): out += "null".utf8
        case (.bool(let v), _): out += (v ? "true" : "false").utf8
        case (.float(let v), _): out += NumberText.string(v).utf8
        case (.double(let v), _): out += NumberText.string(v).utf8
        case (.decimal(let v), .decimal(_, let scale)): appendDecimal(v, scale, to: &out)
        case (.string(let v), _): out += v.utf8
        case (.binary(let v), .variant): v.withUnsafeBytes { VariantJSON.write(Variant($0), to: &out) }
        case (.binary(let v), _):
            list(v, to: &out) { byte, out in out += String(Int8(bitPattern: byte)).utf8 }
        case (.int(let v), .date): out += DateTimeText.date(Int32(truncatingIfNeeded: v)).utf8
        case (.int(let v), .time): appendTime(nanoseconds: v * 1_000_000, alwaysSeconds: false, to: &out)
        case (.int(let v), .timestamp): appendDateTime(v, type.timeUnit!, alwaysSeconds: false, to: &out)
        case (.int(let v), .timestampLTZ):
            appendDateTime(v, type.timeUnit!, alwaysSeconds: true, to: &out)
            out.append(UInt8(ascii: "Z"))
        case (.int(let v), .intervalYearMonth): appendPeriod(months: v, to: &out)
        case (.int(let v), .intervalDayTime): appendDuration(milliseconds: v, to: &out)
        case (.int(let v), _): out += String(v).utf8
        case (.array(let items), .array(let element)):
            list(items, to: &out) { append($0, element, to: &$1) }
        case (.map(let entries), .map(let keyType, let valueType)):
            out.append(UInt8(ascii: "{"))
            for (i, entry) in entries.enumerated() {
                if i > 0 { out += ", ".utf8 }
                append(entry.key, keyType, to: &out)
                out.append(UInt8(ascii: "="))
                append(entry.value, valueType, to: &out)
            }
            out.append(UInt8(ascii: "}"))
        case (.row(let items), .row(let fields)):
            out += "+I".utf8
            list(Array(zip(items, fields)), to: &out) { append($0.0, $0.1.type, to: &$1) }
        default: preconditionFailure("value \(value) is not a \(type)")
        }
    }

    private static func list<T>(_ items: [T], to out: inout [UInt8], _ item: (T, inout [UInt8]) -> Void) {
        out.append(UInt8(ascii: "["))
        for (i, x) in items.enumerated() {
            if i > 0 { out += ", ".utf8 }
            item(x, &out)
        }
        out.append(UInt8(ascii: "]"))
    }

    /// As BigDecimal.toString: scientific when the leading digit stands more than six places behind the point.
    private static func appendDecimal(_ value: Int128, _ scale: Int, to out: inout [UInt8]) {
        let digits = String(value.magnitude)
        let exponent = digits.utf8.count - 1 - scale
        guard exponent < -6 else {
            out += NumberText.string(decimal: value, scale: scale).utf8
            return
        }
        if value < 0 { out.append(UInt8(ascii: "-")) }
        out += digits.prefix(1).utf8
        if digits.utf8.count > 1 {
            out.append(UInt8(ascii: "."))
            out += digits.dropFirst().utf8
        }
        out += "E\(exponent)".utf8
    }

    private static func appendDateTime(_ value: Int64, _ unit: TimeUnit, alwaysSeconds: Bool, to out: inout [UInt8]) {
        let perDay = 86_400 * unit.perSecond
        var (days, rest) = value.quotientAndRemainder(dividingBy: perDay)
        if rest < 0 { (days, rest) = (days - 1, rest + perDay) }
        out += DateTimeText.date(Int32(truncatingIfNeeded: days)).utf8
        out.append(UInt8(ascii: "T"))
        appendTime(nanoseconds: rest * (1_000_000_000 / unit.perSecond), alwaysSeconds: alwaysSeconds, to: &out)
    }

    /// `10:00`, `10:00:01`, `10:00:01.500`: fractions in groups of three digits.
    private static func appendTime(nanoseconds: Int64, alwaysSeconds: Bool, to out: inout [UInt8]) {
        let (seconds, fraction) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        func padded(_ n: Int64, _ width: Int) -> String {
            let text = String(n)
            return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
        }
        out += "\(padded(seconds / 3_600, 2)):\(padded(seconds / 60 % 60, 2))".utf8
        guard alwaysSeconds || seconds % 60 != 0 || fraction != 0 else { return }
        out += ":\(padded(seconds % 60, 2))".utf8
        if fraction == 0 { return }
        if fraction % 1_000_000 == 0 {
            out += ".\(padded(fraction / 1_000_000, 3))".utf8
        } else if fraction % 1_000 == 0 {
            out += ".\(padded(fraction / 1_000, 6))".utf8
        } else {
            out += ".\(padded(fraction, 9))".utf8
        }
    }

    private static func appendPeriod(months: Int64, to out: inout [UInt8]) {
        out += "P".utf8
        if months / 12 != 0 { out += "\(months / 12)Y".utf8 }
        if months % 12 != 0 || months == 0 { out += months == 0 ? "0D".utf8 : "\(months % 12)M".utf8 }
    }

    private static func appendDuration(milliseconds: Int64, to out: inout [UInt8]) {
        out += "PT".utf8
        if milliseconds == 0 { out += "0S".utf8 }
        let (hours, minutes) = (milliseconds / 3_600_000, milliseconds / 60_000 % 60)
        if hours != 0 { out += "\(hours)H".utf8 }
        if minutes != 0 { out += "\(minutes)M".utf8 }
        let rest = milliseconds % 60_000
        guard rest != 0 else { return }
        var text = (rest < 0 ? "-" : "") + "\(abs(rest) / 1_000)"
        if rest % 1_000 != 0 {
            var fraction = String(abs(rest) % 1_000 + 1_000).dropFirst()
            while fraction.last == "0" { fraction.removeLast() }
            text += ".\(fraction)"
        }
        out += "\(text)S".utf8
    }
}
