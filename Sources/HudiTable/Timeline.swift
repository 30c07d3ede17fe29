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
        guard text.utf8.count == 14 || text.utf8.count == 17, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        let digits = text.utf8.map { Int64($0) - 48 }
        func number(_ from: Int, _ count: Int) -> Int64 { digits[from..<from + count].reduce(0) { $0 * 10 + $1 } }
        guard (1...12).contains(number(4, 2)) else { return nil }
        let days = Int64(CivilDate(year: Int(number(0, 4)), month: Int(number(4, 2)), day: Int(number(6, 2))).days)
        let seconds = number(8, 2) * 3_600 + number(10, 2) * 60 + number(12, 2)
        return (days * 86_400 + seconds) * 1_000 + (digits.count == 17 ? number(14, 3) : 0)
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
    /// `commit`, `replacecommit`, `rollback`, `clean`, ...
    var action: String
    var state: InstantState

    var isWrite: Bool { action == "commit" || action == "replacecommit" || action == "deltacommit" }
    var isCompletedWrite: Bool { isWrite && state == .completed }
}

/// The ordered history of a table: files named after instants, actions and states.
struct Timeline: Sendable {
    let version: TableVersion
    /// Ascending by time.
    let instants: [Instant]
    private let completedWrites: Set<String>
    private let known: Set<String>
    private let firstCompleted: String?

    init(version: TableVersion, instants: [Instant]) {
        self.version = version
        self.instants = instants.sorted { ($0.time, $0.action) < ($1.time, $1.action) }
        completedWrites = Set(instants.lazy.filter(\.isCompletedWrite).map(\.time))
        known = Set(instants.lazy.filter(\.isWrite).map(\.time))
        firstCompleted = completedWrites.min()
    }

    static func load(_ files: TableFiles, version: TableVersion) throws -> Timeline {
        var furthest: [String: Instant] = [:]
        for name in try files.names(in: version.timelineFolder) {
            guard let instant = parse(name) else { continue }
            let key = instant.time + "." + (instant.action)
            if let seen = furthest[key], seen.state > instant.state { continue }
            furthest[key] = instant
        }
        return Timeline(version: version, instants: Array(furthest.values))
    }

    /// The name of an instant's file in one of its states.
    static func fileName(_ time: String, _ action: String, _ state: InstantState, version: TableVersion) -> String {
        let name = switch (action, state) {
        case (_, .completed): "\(time).\(action)"
        case ("commit", .inflight): "\(time).inflight"
        default: "\(time).\(action).\(state.rawValue)"
        }
        return version.timelineFolder + "/" + name
    }

    static func parse(_ name: String) -> Instant? {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 || parts.count == 3, InstantTime.parse(parts[0]) != nil else { return nil }
        if parts.count == 2 {
            return parts[1] == "inflight" ? Instant(time: parts[0], action: "commit", state: .inflight)
                : Instant(time: parts[0], action: parts[1], state: .completed)
        }
        guard let state = InstantState(rawValue: parts[2]), state != .completed else { return nil }
        return Instant(time: parts[0], action: parts[1], state: state)
    }

    var newestCompletedWrite: Instant? { instants.last(where: \.isCompletedWrite) }

    /// Pending writes, oldest first.
    var pendingWrites: [Instant] { instants.filter { $0.isWrite && $0.state != .completed } }
    var rollbacks: [Instant] { instants.filter { $0.action == "rollback" } }
    var pendingRollbacks: [Instant] { instants.filter { $0.action == "rollback" && $0.state != .completed } }

    /// Whether files of this instant may be shown. Instants older than the first one on the timeline are archived, hence done.
    func isCommitted(_ time: String) -> Bool {
        completedWrites.contains(time) || (firstCompleted.map { time < $0 } ?? false) && !known.contains(time)
    }

    /// Whether any action on the timeline has this time.
    func has(_ time: String) -> Bool { instants.contains { $0.time == time } }

    /// A time later than every instant on the timeline, and not before the clock.
    func nextTime(now: Int64, after last: String? = nil) -> String {
        let newest = max(instants.last?.time ?? "", last ?? "")
        let following = InstantTime.parse(newest).map { $0 + 1 } ?? 0
        return InstantTime.format(milliseconds: max(now, following))
    }
}
