import Foundation

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Forms in which text is sent.
enum Encodings {
    static func base64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

    /// For a path or query of a URL: all but letters, digits and -._~ as %XX.
    static func percent(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain = (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || "-._~".utf8.contains(byte)
            if isPlain { return String(UnicodeScalar(byte)) }
            let digits = String(byte, radix: 16, uppercase: true)
            return "%" + (digits.count < 2 ? "0" : "") + digits
        }.joined()
    }

    /// One line without control characters: what stands in headers.
    static func line(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
    }

    /// 2024-05-04T19:58:46.480Z; nil for times that no calendar has.
    static func time(_ milliseconds: Int64) -> String? {
        guard abs(milliseconds) < 253_402_300_800_000 else { return nil }
        let days = Int64((Double(milliseconds) / 86_400_000).rounded(.down)), rest = milliseconds - days * 86_400_000
        let (year, month, day) = date(days)
        func two(_ n: Int64) -> String { n < 10 ? "0\(n)" : "\(n)" }
        func padded(_ n: Int64, _ width: Int) -> String { String(repeating: "0", count: max(0, width - "\(n)".count)) + "\(n)" }
        return "\(padded(year, 4))-\(two(month))-\(two(day))T\(two(rest / 3_600_000)):\(two(rest / 60_000 % 60)):\(two(rest / 1_000 % 60)).\(padded(rest % 1_000, 3))Z"
    }

    /// Year, month and day of a day since 1970-01-01: 400 years have 146,097 days, counted from the first of March.
    static func date(_ days: Int64) -> (Int64, Int64, Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097, inEra = shifted - era * 146_097
        let year = (inEra - inEra / 1_460 + inEra / 36_524 - inEra / 146_096) / 365
        let inYear = inEra - (365 * year + year / 4 - year / 100), month = (5 * inYear + 2) / 153
        let day = inYear - (153 * month + 2) / 5 + 1
        return (year + era * 400 + (month >= 10 ? 1 : 0), month < 10 ? month + 3 : month - 9, day)
    }
}

enum Environment {
    static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
