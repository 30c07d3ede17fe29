import StreamCore

enum GeneratorTime {
    /// `2024-01-01T00:00:00.000000` of microseconds since 1970.
    static func iso(_ microseconds: Int64) -> String {
        var days = microseconds / 86_400_000_000, rest = microseconds % 86_400_000_000
        if rest < 0 {
            days -= 1
            rest += 86_400_000_000
        }
        let date = CivilDate(days: Int(days))
        func pad(_ x: Int64, _ width: Int) -> String {
            let text = "\(x)"
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        return "\(pad(Int64(date.year), 4))-\(pad(Int64(date.month), 2))-\(pad(Int64(date.day), 2))T\(pad(rest / 3_600_000_000, 2)):"
            + "\(pad(rest / 60_000_000 % 60, 2)):\(pad(rest / 1_000_000 % 60, 2)).\(pad(rest % 1_000_000, 6))"
    }
}
