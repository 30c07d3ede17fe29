import Foundation

/// A message of plain text as RFC 5322 and MIME have it.
package struct MailMessage {
    var from: String
    var to: [String]
    var subject: String
    var body: String
    /// Milliseconds since 1970-01-01.
    var date: Int64
    /// Without its domain.
    var id: String

    /// Lines end with CR LF; lines that begin with a point are not yet doubled.
    var text: String {
        let lines = body.replacing("\r\n", with: "\n").replacing("\r", with: "\n").split(separator: "\n", omittingEmptySubsequences: false)
        let isPlain = body.utf8.allSatisfy { $0 == 10 || $0 == 13 || $0 == 9 || (0x20..<0x7F).contains($0) } && lines.allSatisfy { $0.utf8.count <= 990 }
        var head = [
            "From: \(from)", "To: \(to.joined(separator: ",\r\n "))", "Subject: \(Self.encodedWords(Encodings.line(subject), after: 9))", "Date: \(Self.date(date))",
            "Message-ID: <\(Encodings.percent(id))@\(Self.domain(of: from))>", "Auto-Submitted: auto-generated", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
        ]
        guard !isPlain else { return (head + ["Content-Transfer-Encoding: 7bit", ""] + lines.map(String.init)).joined(separator: "\r\n") + "\r\n" }
        head += ["Content-Transfer-Encoding: base64", ""]
        let encoded = Array(Data(lines.joined(separator: "\r\n").utf8).base64EncodedString().utf8)
        let wrapped = stride(from: 0, to: encoded.count, by: 76).map { String(decoding: encoded[$0..<min($0 + 76, encoded.count)], as: UTF8.self) }
        return (head + wrapped).joined(separator: "\r\n") + "\r\n"
    }

    static func domain(of address: String) -> String {
        let bare = self.address(of: address)
        return bare.lastIndex(of: "@").map { String(bare[bare.index(after: $0)...]) } ?? "localhost"
    }

    /// `a@b.example` of `Name <a@b.example>`.
    static func address(of text: String) -> String {
        guard let open = text.lastIndex(of: "<"), let close = text.lastIndex(of: ">"), open < close else { return text.trimmingCharacters(in: .whitespaces) }
        return String(text[text.index(after: open)..<close])
    }

    /// One address in ASCII, perhaps with a name before it.
    package static func isAddress(_ text: String) -> Bool {
        let bare = address(of: text), parts = bare.split(separator: "@", omittingEmptySubsequences: false)
        return text.utf8.allSatisfy { (0x20..<0x7F).contains($0) } && parts.count == 2 && parts.allSatisfy { !$0.isEmpty }
            && !bare.contains { " <>,;:\"()[]\\".contains($0) } && !text.contains(",")
    }

    /// RFC 2047: what is not ASCII as encoded words of at most 75 characters, none of which cuts a character.
    static func encodedWords(_ text: String, after column: Int) -> String {
        if text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) }), !text.contains("=?"), text.utf8.count + column <= 990 { return text }
        var words: [String] = [], part: [UInt8] = []
        for scalar in text.unicodeScalars {
            let bytes = Array(String(scalar).utf8)
            if part.count + bytes.count > 42 {
                words.append(Encodings.base64(part))
                part = []
            }
            part += bytes
        }
        if !part.isEmpty { words.append(Encodings.base64(part)) }
        return words.map { "=?UTF-8?B?\($0)?=" }.joined(separator: "\r\n ")
    }

    /// `Sat, 04 May 2024 19:58:46 +0000`.
    static func date(_ milliseconds: Int64) -> String {
        let days = Int64((Double(milliseconds) / 86_400_000).rounded(.down)), seconds = (milliseconds - days * 86_400_000) / 1_000
        let (year, month, day) = Encodings.date(days)
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][Int(((days % 7) + 7) % 7)]
        let name = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][Int(month) - 1]
        func two(_ n: Int64) -> String { n < 10 ? "0\(n)" : "\(n)" }
        return "\(weekday), \(two(day)) \(name) \(year) \(two(seconds / 3_600)):\(two(seconds / 60 % 60)):\(two(seconds % 60)) +0000"
    }
}
