/// Puts refusals of one kind together.
public enum FuzzReport {
    /// The message without its place and without numbers.
    public static func kind(of message: String) -> String {
        var text = Substring(message)
        while let first = text.first, first.isNumber || first == ":" || first == " " { text = text.dropFirst() }
        let line = text.split(separator: "\n").first ?? ""
        return String(line.filter { !$0.isNumber }.prefix(110))
    }
}
