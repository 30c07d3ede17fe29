/// Where in something a user wrote: a script, a topology file, a data file.
public struct SourceLocation: Hashable, Sendable, CustomStringConvertible {
    public var file: String?
    /// Both count from 1; columns count characters.
    public var line: Int, column: Int

    public init(file: String? = nil, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    public var description: String { (file.map { $0 + ":" } ?? "") + "\(line):\(column)" }
}

/// What went wrong, where, and what to do next. Thrown by every part of the engine for problems that a user can mend.
public struct StreamError: Error, Sendable, CustomStringConvertible {
    /// One code per different reaction. A struct, so that adding a code breaks no caller's switch.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let description: String
        /// The text is not a statement.
        public static let parse = Code(description: "parse")
        /// A name, type, option or argument does not fit.
        public static let validate = Code(description: "validate")
        /// Understood, but there is no way to run it.
        public static let plan = Code(description: "plan")
        /// A value made a running job fail.
        public static let runtime = Code(description: "runtime")
        /// A file, socket or disk failed.
        public static let io = Code(description: "io")
        /// Stored bytes are damaged.
        public static let corrupt = Code(description: "corrupt")
        /// Something else holds what is needed, for example a table's writer lock.
        public static let conflict = Code(description: "conflict")
    }

    public var code: Code
    /// What happened, with the values.
    public var problem: String
    /// What to do next, as an instruction without a full stop; nil when the problem says it all.
    public var fix: String?
    public var location: SourceLocation?
    /// The line of user text that `location` points into.
    public var sourceLine: String?
    /// `errno` of the system call that failed, where that is known.
    public var systemError: Int32?

    public init(_ code: Code, _ problem: String, fix: String? = nil, at location: SourceLocation? = nil, sourceLine: String? = nil) {
        self.code = code
        self.problem = problem
        self.fix = fix
        self.location = location
        self.sourceLine = sourceLine
    }

    public var description: String {
        var text = (location.map { "\($0): " } ?? "") + problem
        if let sourceLine, let location {
            let (shown, caret) = Self.excerpt(sourceLine, column: location.column)
            text += "\n    \(shown)\n    \(String(repeating: " ", count: caret))^"
        }
        if let fix { text += (sourceLine == nil ? ". " : "\n") + "Fix: \(fix)." }
        return text
    }

    /// The part of a line around a column, safe for a terminal, and the place of the column in it.
    private static func excerpt(_ line: String, column: Int) -> (text: String, caret: Int) {
        let width = 160, characters = Array(line), at = max(0, column - 1)
        let start = characters.count <= width ? 0 : max(0, min(at - width / 2, characters.count - width))
        let end = min(characters.count, start + width)
        let shown = characters[start..<end].map { c -> Character in
            guard let scalar = c.unicodeScalars.first, scalar.properties.generalCategory == .control else { return c }
            return scalar == "\t" ? " " : "\u{FFFD}"
        }
        let (before, after) = (start > 0 ? "..." : "", end < characters.count ? "..." : "")
        return (before + String(shown) + after, at - start + before.count)
    }
}

/// Finds what a user probably meant.
public enum NearName {
    /// The candidate closest to `name` (case ignored) within a third of its length in edits; nil when none is near.
    public static func nearest(to name: String, in candidates: some Sequence<String>) -> String? {
        let wanted = Array(name.lowercased())
        var best: (distance: Int, name: String)?
        for candidate in candidates {
            let d = distance(wanted, Array(candidate.lowercased()))
            if d <= max(1, wanted.count / 3), d < (best?.distance ?? .max) { best = (d, candidate) }
        }
        return best?.name
    }

    /// `did you mean "x"?`, or the list of what there is, or nil when there is nothing to offer.
    public static func hint(for name: String, in candidates: some Sequence<String>) -> String? {
        if let near = nearest(to: name, in: candidates) { return "write \"\(near)\"" }
        let all = candidates.sorted()
        guard !all.isEmpty else { return nil }
        return "use one of " + all.prefix(30).joined(separator: ", ") + (all.count > 30 ? ", ..." : "")
    }

    /// Edits (insert, delete, replace, swap of neighbours) from one to the other.
    package static func distance(_ a: [Character], _ b: [Character]) -> Int {
        var before: [Int] = [], previous = Array(0...b.count)
        for i in 0..<a.count {
            var row = [i + 1]
            for j in 0..<b.count {
                var d = min(previous[j + 1] + 1, row[j] + 1, previous[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { d = min(d, before[j - 1] + 1) }
                row.append(d)
            }
            (before, previous) = (previous, row)
        }
        return previous[b.count]
    }
}
