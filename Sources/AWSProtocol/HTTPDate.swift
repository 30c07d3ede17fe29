/// Times in the headers of HTTP.
public enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Seconds since 1970-01-01 of `Sat, 21 Nov 2026 17:06:42 GMT`; nil for other forms.
    public static func seconds(_ text: String) -> Int64? {
        let parts = text.split { $0 == " " || $0 == ":" }
        guard parts.count >= 7, let month = months.firstIndex(of: String(parts[2])) else { return nil }
        func padded(_ text: Substring) -> String { text.utf8.count == 1 ? "0" + text : String(text) }
        return SignatureV4.seconds("\(parts[3])\(month < 9 ? "0" : "")\(month + 1)\(padded(parts[1]))T\(padded(parts[4]))\(padded(parts[5]))\(padded(parts[6]))Z")
    }
}
