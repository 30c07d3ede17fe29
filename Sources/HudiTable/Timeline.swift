import LakeTable
import StreamCore

/// An instant time: `yyyyMMddHHmmssSSS` in UTC, compared as text.
enum InstantTime {
    static func format(milliseconds: Int64) -> String {
        let days = milliseconds >= 0 ? milliseconds / 86_400_000 : -((86_399_999 - milliseconds) / 86_400_000)
        let rest = milliseconds - days * 86_400_000
        let date = CivilDate(days: Int(days))
        func padded(_ n: Int64, _ width: Int) -> String { String(repeating: "0", count: max(0, width - String(n).count)) + String(n) }
        return padded(Int64(date.year), 4) + padded(Int64(date.month), 2) + padded(Int64(date.day), 2) + padded(rest / 3_600_000, 2) + padded(rest / 60_000 % 60, 2)
            + padded(rest / 1_000 % 60, 2) + padded(rest % 1_000, 3)
    }

    /// Milliseconds since 1970; nil when it is not an instant time of 14 or 17 digits.
    static func parse(_ text: String) -> Int64? {
        guard isTime(text.utf8[...]) else { return nil }
        let digits = text.utf8.map { Int64($0) - 48 }
        func number(_ from: Int, _ count: Int) -> Int64 { digits[from..<from + count].reduce(0) { $0 * 10 + $1 } }
        let days = Int64(CivilDate(year: Int(number(0, 4)), month: Int(number(4, 2)), day: Int(number(6, 2))).days)
        let seconds = number(8, 2) * 3_600 + number(10, 2) * 60 + number(12, 2)
        return (days * 86_400 + seconds) * 1_000 + (digits.count == 17 ? number(14, 3) : 0)
    }

    /// Whether these are the 14 or 17 digits of an instant time.
    static func isTime(_ text: Substring.UTF8View) -> Bool {
        var count = 0, month = 0
        for byte in text {
            guard byte &- 48 <= 9 else { return false }
            if count == 4 || count == 5 { month = month * 10 + Int(byte) - 48 }
            count += 1
        }
        return (count == 17 || count == 14) && (1...12).contains(month)
    }
}

/// Which way an action has come.
enum InstantState: String, Sendable, Comparable {
    case requested, inflight, completed

    private var order: Int { self == .requested ? 0 : self == .inflight ? 1 : 2 }
    static func < (a: Self, b: Self) -> Bool { a.order < b.order }
}

/// One action on the table in its furthest state.
struct Instant: Sendable, Hashable {
    var time: String
    /// `commit`, `replacecommit`, `rollback`, `clean`, ...; a pending clustering of version 8 and 9 is `clustering`.
    var action: String
    var state: InstantState
    /// When it was completed, later than `time`; nil while it is pending, and in version 6.
    var completion: String?

    init(time: String, action: String, state: InstantState, completion: String? = nil) {
        (self.time, self.action, self.state, self.completion) = (time, action, state, completion)
    }

    var isWrite: Bool { action == "commit" || action == "replacecommit" || action == "deltacommit" || action == "clustering" }
    var isCompletedWrite: Bool { state == .completed && isWrite }
    /// From when on readers see it: what incremental reads compare.
    var visibleFrom: String { completion ?? time }
}

/// All actions on a table that are not archived, oldest first.
struct Timeline: Sendable {
    let version: TableVersion
    private(set) var instants: [Instant]
    /// Times of completed writes.
    private(set) var completedWrites: Set<String>
    private var known: Set<String>
    private var firstCompleted: String?
    /// The latest of all times on it.
    private var newest = ""

    init(version: TableVersion, instants: [Instant]) {
        self.version = version
        self.instants = instants.sorted { $0.time == $1.time ? $0.action < $1.action : $0.time < $1.time }
        completedWrites = Set(instants.lazy.filter(\.isCompletedWrite).map(\.time))
        known = Set(instants.lazy.filter(\.isWrite).map(\.time))
        firstCompleted = self.instants.first(where: \.isCompletedWrite)?.time
        for instant in instants { newest = max(newest, instant.visibleFrom) }
    }

    private struct Key: Hashable {
        var time: String, action: String
        init(_ instant: Instant) { (time, action) = (instant.time, instant.action == "clustering" ? "replacecommit" : instant.action) }
    }

    static func load(_ files: TableFiles, version: TableVersion) throws -> Timeline {
        var furthest: [Key: Instant] = [:]
        for entry in try files.entries(in: version.timelineFolder) {
            guard let instant = parse(entry.name) else { continue }
            let key = Key(instant)
            if let seen = furthest[key], seen.state > instant.state { continue }
            furthest[key] = instant
        }
        return Timeline(version: version, instants: Array(furthest.values))
    }

    // MARK: Names

    /// The name of an instant's file in one of its states.
    /// - Parameter completion: of completed actions in versions that have completion times.
    static func fileName(_ time: String, _ action: String, _ state: InstantState, completion: String? = nil, version: TableVersion) -> String {
        let name = switch (action, state) {
        case (_, .completed): completion.map { "\(time)_\($0).\(action)" } ?? "\(time).\(action)"
        case ("commit", .inflight): "\(time).inflight"
        default: "\(time).\(action).\(state.rawValue)"
        }
        return version.timelineFolder + "/" + name
    }

    /// The file of an instant in the state that it is in.
    func file(of instant: Instant) -> String {
        Self.fileName(instant.time, instant.action, instant.state, completion: instant.completion, version: version)
    }

    static func parse(_ name: String) -> Instant? {
        let parts = name.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3 else { return nil }
        var time = parts[0], completion: Substring?
        if let separator = time.firstIndex(of: "_") {
            completion = time[time.index(after: separator)...]
            time = time[..<separator]
            guard parts.count == 2, InstantTime.isTime(completion!.utf8) else { return nil }
        }
        guard InstantTime.isTime(time.utf8) else { return nil }
        if parts.count == 2 {
            if parts[1] == "inflight" { return completion == nil ? Instant(time: String(time), action: "commit", state: .inflight) : nil }
            return Instant(time: String(time), action: String(parts[1]), state: .completed, completion: completion.map(String.init))
        }
        guard let state = InstantState(rawValue: String(parts[2])), state != .completed else { return nil }
        return Instant(time: String(time), action: String(parts[1]), state: state)
    }

    // MARK: Contents

    /// The content of a completed write.
    func metadata(of instant: Instant, in files: TableFiles) throws -> CommitMetadata {
        let file = file(of: instant)
        return try CommitMetadata.parse(try files.read(file), file: files.absolute(file))
    }

    /// The newest columns, as stored; nil when no write says them.
    func schema(in files: TableFiles, table: String) throws -> Schema? {
        for instant in instants.reversed() where instant.isCompletedWrite {
            let file = file(of: instant)
            if let text = try CommitMetadata.schemaText(try files.read(file), file: files.absolute(file)) { return try AvroSchema.parse(text, table: table) }
        }
        return nil
    }

    /// File groups that left the table: partition and file id -> time of the write that replaced them.
    func replaced(in files: TableFiles) throws -> [FileGroupKey: String] {
        var out: [FileGroupKey: String] = [:]
        for instant in instants where instant.action == "replacecommit" && instant.state == .completed {
            for (partition, ids) in try metadata(of: instant, in: files).replaced {
                for id in ids { out[FileGroupKey(partition: partition, fileId: id)] = instant.time }
            }
        }
        return out
    }

    var newestCompletedWrite: Instant? { instants.last(where: \.isCompletedWrite) }

    /// Pending writes, oldest first.
    var pendingWrites: [Instant] { instants.filter { $0.state != .completed && $0.isWrite } }
    var rollbacks: [Instant] { instants.filter { $0.action == "rollback" } }
    var pendingRollbacks: [Instant] { instants.filter { $0.state != .completed && $0.action == "rollback" } }

    /// Whether files of this instant may be shown. Instants older than the first one on the timeline are archived, hence done.
    func isCommitted(_ time: String) -> Bool {
        completedWrites.contains(time) || (firstCompleted.map { time < $0 } ?? false) && !known.contains(time)
    }

    /// Whether any action on the timeline has this time.
    func has(_ time: String) -> Bool {
        let at = firstIndex(of: time)
        return at < instants.count && instants[at].time == time
    }

    /// The completed write of a time.
    func completedWrite(_ time: String) -> Instant? {
        guard completedWrites.contains(time) else { return nil }
        return instants[firstIndex(of: time)...].first { $0.time == time && $0.isCompletedWrite }
    }

    /// A time later than every instant on the timeline, and not before the clock.
    func nextTime(now: Int64, after last: String? = nil) -> String {
        let following = InstantTime.parse(max(newest, last ?? "")).map { $0 + 1 } ?? 0
        return InstantTime.format(milliseconds: max(now, following))
    }

    // MARK: Changes

    /// The first instant that is not earlier.
    private func firstIndex(of time: String) -> Int {
        var low = 0, high = instants.count
        while low < high {
            let middle = (low + high) / 2
            if instants[middle].time < time { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// An instant that is new, or has got further.
    mutating func set(_ instant: Instant) {
        remove(instant)
        var at = firstIndex(of: instant.time)
        while at < instants.count, instants[at].time == instant.time, instants[at].action < instant.action { at += 1 }
        instants.insert(instant, at: at)
        newest = max(newest, instant.visibleFrom)
        if instant.isWrite { known.insert(instant.time) }
        if instant.isCompletedWrite {
            completedWrites.insert(instant.time)
            firstCompleted = min(firstCompleted ?? instant.time, instant.time)
        }
    }

    /// An action that has left the timeline.
    mutating func remove(_ instant: Instant) {
        let key = Key(instant)
        var at = firstIndex(of: instant.time)
        while at < instants.count, instants[at].time == instant.time {
            if Key(instants[at]) == key {
                let gone = instants.remove(at: at)
                if gone.isWrite { known.remove(gone.time) }
                if gone.isCompletedWrite {
                    completedWrites.remove(gone.time)
                    firstCompleted = instants.first(where: \.isCompletedWrite)?.time
                }
            } else {
                at += 1
            }
        }
    }
}
