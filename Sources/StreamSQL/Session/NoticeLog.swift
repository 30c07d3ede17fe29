/// What statements ask for that means nothing here, each told once in a session.
///
/// A script that was written for Flink runs as it is: memory of a JVM, hints about network shuffles or JAR files do nothing in one
/// process without a JVM, and the script's rows are the same without. Whoever wrote it is told so, and not with every run of a statement.
public final class NoticeLog {
    /// All of the session, in the order in which they came.
    public private(set) var all: [String] = []
    private var seen: Set<String> = []
    private var taken = 0

    init() {}

    /// - Returns: whether it is new.
    @discardableResult
    func note(_ text: String) -> Bool {
        guard seen.insert(text).inserted else { return false }
        all.append(text)
        return true
    }

    /// Those that nobody has taken yet.
    public func take() -> [String] {
        defer { taken = all.count }
        return Array(all[taken...])
    }
}
