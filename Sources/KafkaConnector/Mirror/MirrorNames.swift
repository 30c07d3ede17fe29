import StreamCore

/// A list of names and regular expressions. An entry that could be the name of a topic or group is taken as one: in `a.b` the
/// point is a point. Others are regular expressions, which the whole name has to match.
struct NamePatterns: Sendable {
    let entries: [String]
    private let names: Set<String>
    private let expressions: [String]

    /// - Throws: the entry that is not a regular expression.
    init(_ entries: [String]) throws(InvalidPattern) {
        self.entries = entries
        names = Set(entries.filter(Self.isName))
        expressions = entries.filter { !Self.isName($0) }
        for text in expressions where (try? Regex(text)) == nil { throw InvalidPattern(text: text) }
    }

    struct InvalidPattern: Error { var text: String }

    static func isName(_ text: String) -> Bool {
        text.utf8.allSatisfy { ($0 | 0x20) >= UInt8(ascii: "a") && ($0 | 0x20) <= UInt8(ascii: "z") || $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") || "._-".utf8.contains($0) }
    }

    /// The entries that are plain names.
    var plain: [String] { names.sorted() }

    func match(_ name: String) -> Bool {
        names.contains(name) || expressions.contains { text in (try? Regex(text)).flatMap { try? $0.wholeMatch(in: name) } != nil }
    }
}

/// Which topics are mirrored, and what they are called on the other side.
struct MirrorNames: Sendable {
    enum Policy: Sendable, Equatable {
        case identity
        /// Text in front of the names on the other side.
        case prefix(String)
    }

    let topics: NamePatterns
    let exclude: NamePatterns
    let policy: Policy
    /// What a mirror in the other direction puts in front of names: topics with it have come from there.
    let backPrefix: String?
    /// Both sides are one cluster: what the mirror has made is not mirrored again.
    let isOneCluster: Bool

    func isMirrored(_ topic: String) -> Bool {
        guard !topic.hasPrefix("__"), topics.match(topic), !exclude.match(topic) else { return false }
        if case .prefix = policy, let backPrefix {
            // `dc2.dc3.orders` has come by way of dc2, and `dc3.dc2.orders` too.
            if topic.hasPrefix(backPrefix) || topic.contains("." + backPrefix) { return false }
        }
        if case .prefix(let own) = policy, isOneCluster, topic.hasPrefix(own) { return false }
        return true
    }

    func target(_ topic: String) -> String {
        switch policy {
        case .identity: topic
        case .prefix(let prefix): prefix + topic
        }
    }
}
