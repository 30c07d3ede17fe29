import StreamCore

/// Records as text that a terminal can be shown, and as JSON.
public enum KafkaText {
    /// Text without control characters, which could move the cursor or rename the window: they become `\n`, `\t`, `\x1b`.
    /// Direction marks, which could show a line backwards, and bytes that are not UTF-8 are written in the same way.
    public static func shown(_ bytes: some Sequence<UInt8>) -> String {
        var out = ""
        var decoder = UTF8(), input = Array(bytes)[...]
        while !input.isEmpty {
            var iterator = input.makeIterator()
            decoder = UTF8()
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar):
                append(scalar, to: &out)
                input = input.dropFirst(UTF8.width(scalar))
            case .emptyInput: return out
            case .error:
                out += hex(UInt32(input.first!), "\\x", 2)
                input = input.dropFirst()
            }
        }
        return out
    }

    public static func shown(_ text: String) -> String { shown(text.utf8) }

    private static func append(_ scalar: Unicode.Scalar, to out: inout String) {
        switch scalar.value {
        case 0x0A: out += "\\n"
        case 0x0D: out += "\\r"
        case 0x09: out += "\\t"
        case 0x5C: out += "\\\\"
        case 0..<0x20, 0x7F...0x9F: out += hex(scalar.value, "\\x", 2)
        case 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: out += hex(scalar.value, "\\u", 4)
        default: out.unicodeScalars.append(scalar)
        }
    }

    private static func hex(_ value: UInt32, _ prefix: String, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return prefix + String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// `partition/offset time key value {headers}`, on one line. NULL stands for what is not there.
    public static func line(_ record: KafkaInspection.Record) -> String {
        let time = record.timestamp.map { DateTimeText.timestamp($0, precision: 3) } ?? "-"
        let headers = record.headers.map { "\(shown($0.name))=\($0.value.map { shown($0) } ?? "NULL")" }
        return "\(record.partition.partition)/\(record.offset)  \(time)  \(record.key.map { shown($0) } ?? "NULL")  \(record.value.map { shown($0) } ?? "NULL")"
            + (headers.isEmpty ? "" : "  {\(headers.joined(separator: ", "))}")
    }

    /// One JSON object. What is not UTF-8 comes as `key_base64`, `value_base64`.
    public static func json(_ record: KafkaInspection.Record) -> String {
        func member(_ name: String, _ bytes: [UInt8]?) -> String {
            guard let bytes else { return "\"\(name)\":null" }
            if let text = String(validating: bytes, as: UTF8.self) { return "\"\(name)\":\(quote(text))" }
            return "\"\(name)_base64\":\"\(base64(bytes))\""
        }
        let headers = record.headers.map { "{\"name\":\(quote($0.name)),\(member("value", $0.value))}" }
        return "{\"topic\":\(quote(record.partition.topic)),\"partition\":\(record.partition.partition),\"offset\":\(record.offset),"
            + "\"timestamp\":\(record.timestamp.map { "\($0)" } ?? "null"),\(member("key", record.key)),\(member("value", record.value)),"
            + "\"headers\":[\(headers.joined(separator: ","))]}"
    }

    /// `earliest`, `latest`, an offset, or a time.
    public static func start(_ text: String) throws -> KafkaInspection.Start {
        switch text.lowercased() {
        case "earliest": return .earliest
        case "latest": return .latest
        default: break
        }
        if let offset = Int64(text), offset >= 0 { return .offset(offset) }
        let time = Array(text.utf8).withUnsafeBytes { DateTimeText.parseTimestamp($0, precision: 3, form: .cast.zone(.optionalZ)) }
        if let time { return .time(time) }
        throw StreamError(.validate, "'\(text)' is no place to begin reading a topic", fix: "use earliest, latest, an offset such as 1500, or a time such as 2026-03-01T12:00:00Z")
    }

    private static func quote(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22: out += "\\\""
            case 0x5C: out += "\\\\"
            case 0x0A: out += "\\n"
            case 0x0D: out += "\\r"
            case 0x09: out += "\\t"
            case 0..<0x20, 0x7F...0x9F: out += hex(scalar.value, "\\u", 4)
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let n = min(3, bytes.count - start)
            let word = (0..<3).reduce(UInt32(0)) { $0 << 8 | UInt32($1 < n ? bytes[start + $1] : 0) }
            for i in 0..<4 { out.append(i <= n ? letters[Int(word >> UInt32(18 - 6 * i) & 63)] : UInt8(ascii: "=")) }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
