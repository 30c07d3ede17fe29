import StreamCore

/// What one run of a cell has shown so far. Bounded: the newest rows of a table, the end of a text.
struct StudioRun: Sendable {
    enum State: String, Sendable {
        case queued, running, finished, stopped, failed
        /// A cell before it failed, or the kernel ended.
        case skipped
        var isOver: Bool { self != .queued && self != .running }
    }

    struct Problem: Sendable {
        var message: String
        /// In the cell's source, from 1.
        var line: Int?
        var column: Int?
    }

    enum Content: Sendable {
        /// The end of it, and how many bytes came before.
        case text([UInt8], dropped: Int, isError: Bool)
        /// An event of the kernel as it came: `table`, `html`, `image`, `message`.
        case event(JSON, bytes: Int)
    }

    struct Output: Sendable {
        /// Tells outputs of the run apart, in the order in which they first came.
        var key: Int
        /// The kernel's number; nil for texts and messages, which it does not count.
        var number: Int64?
        var content: Content
        var version: Int
    }

    static let rowsMax = 1_000, textMax = 1 << 20, eventMax = 4 << 20, bytesMax = 8 << 20, outputsMax = 200

    let number: Int64
    var state = State.queued
    /// The name of who started it.
    var user: String
    var queuedAt: Int64
    var startedAt: Int64?
    var milliseconds: Int64?
    var progress: JSON?
    var problem: Problem?
    /// Where the source began in the file when it was sent.
    var line = 1
    /// Characters before it in its lines there.
    var indent = 0
    /// Of the cell when it was sent.
    var hash = ""
    var version: Int
    private(set) var outputs: [Output] = []
    private var nextKey = 0

    init(number: Int64, user: String, at: Int64, version: Int) { (self.number, self.user, queuedAt, self.version) = (number, user, at, version) }

    /// Of all that is kept.
    var bytes: Int {
        outputs.reduce(0) { sum, output in
            switch output.content {
            case .text(let text, _, _): sum + text.count
            case .event(_, let bytes): sum + bytes
            }
        }
    }

    /// A table shows rows that go on changing.
    var isLive: Bool {
        outputs.contains { output in
            guard case .event(let event, _) = output.content else { return false }
            return event["event"]?.string == "table" && event["isFinal"]?.bool == false
        }
    }

    mutating func add(text: String, isError: Bool, version: Int) {
        guard !text.isEmpty else { return }
        if case .text(_, _, isError)? = outputs.last?.content {} else { append(nil, .text([], dropped: 0, isError: isError), version) }
        let last = outputs.count - 1
        guard case .text(var bytes, var dropped, _) = outputs[last].content else { return }
        // Held once, it grows in place.
        outputs[last].content = .text([], dropped: 0, isError: isError)
        bytes += text.utf8
        // Cut seldom: each cut moves what is kept.
        if bytes.count > Self.textMax + Self.textMax / 4 {
            var cut = bytes.count - Self.textMax
            while cut < bytes.count, bytes[cut] & 0xC0 == 0x80 { cut += 1 }
            bytes.removeFirst(cut)
            dropped += cut
        }
        outputs[last].content = .text(bytes, dropped: dropped, isError: isError)
        outputs[last].version = version
    }

    /// Takes an output of the kernel; one of a number that is known replaces it.
    mutating func add(event: JSON, version: Int) {
        let number = event["output"]?.int
        var event = event
        if let rows = event["rows"]?.array, rows.count > Self.rowsMax { event["rows"] = .array(Array(rows.suffix(Self.rowsMax))) }
        var size = event.text().utf8.count
        while size > Self.eventMax, let rows = event["rows"]?.array, rows.count > 1 {
            event["rows"] = .array(Array(rows.suffix(rows.count / 2)))
            size = event.text().utf8.count
        }
        if size > Self.eventMax {
            event = FlinkAnswers.object(["event": .string("message"), "text": .string("an output of \(size >> 20) MiB is not shown")])
            size = event.text().utf8.count
        }
        if let number, let at = outputs.lastIndex(where: { $0.number == number }) {
            (outputs[at].content, outputs[at].version) = (.event(event, bytes: size), version)
        } else {
            append(number, .event(event, bytes: size), version)
        }
    }

    /// Drops what was shown.
    mutating func forget(version: Int) {
        outputs = []
        add(event: FlinkAnswers.object(["event": .string("message"), "text": .string("This output was dropped to make room for newer ones: run the cell again to see it.")]), version: version)
    }

    private mutating func append(_ number: Int64?, _ content: Content, _ version: Int) {
        // The oldest give way.
        if outputs.count >= Self.outputsMax { outputs.removeFirst() }
        while bytes > Self.bytesMax, outputs.count > 1 { outputs.removeFirst() }
        outputs.append(Output(key: nextKey, number: number, content: content, version: version))
        nextKey += 1
    }

    /// For readers: all but the outputs.
    func described(cell: String) -> JSON {
        FlinkAnswers.object([
            "cell": .string(cell), "run": .int(number), "state": .string(state.rawValue), "hash": .string(hash), "user": .string(user), "queuedAt": .int(queuedAt), "startedAt": startedAt.map { .int($0) } ?? .null,
            "milliseconds": milliseconds.map { .int($0) } ?? .null, "progress": progress ?? .null,
            "error": problem.map { p in
                FlinkAnswers.object(["message": .string(p.message), "line": p.line.map { .int(Int64($0)) } ?? .null, "column": p.column.map { .int(Int64($0)) } ?? .null])
            } ?? .null,
        ])
    }
}
