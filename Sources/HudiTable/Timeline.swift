import StreamCore

/// An instant time: `yyyyMMddHHmmssSSS` in UTC, compared as text.
enum InstantTime {
    static func format(milliseconds: Int64) -> String {
        let days = milliseconds >= 0 ? milliseconds / 86_400_000 : -((86_399_999 - milliseconds) / 86_400_000)
        let rest = milliseconds - days * 86_400_000
        let (year, month, day) = CivilDate.fromDays(days)
        func padded(_ n: Int64, _ width: Int) -> String { String(repeating: "0", count: max(0, width - String(n).count)) + String(n) }
        return padded(year, 4) + padded(month, 2) + padded(day, 2) + padded(rest / 3_600_000, 2) + padded(rest / 60_000 % 60, 2)
            + padded(rest / 1_000 % 60, 2) + padded(rest % 1_000, 3)
    }

    /// Milliseconds since 1970; nil when it is not an instant time of 14 or 17 digits.
    static func parse(_ text: String) -> Int64? {
        guard text.utf8.count == 14 || text.utf8.count == 17, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        let digits = text.utf8.map { Int64($0) - 48 }
        func number(_ from: Int, _ count: Int) -> Int64 { digits[from..<from + count].reduce(0) { $0 * 10 + $1 } }
        let days = CivilDate.toDays(number(0, 4), number(4, 2), number(6, 2))
        let seconds = number(8, 2) * 3_600 + number(10, 2) * 60 + number(12, 2)
        return (days * 86_400 + seconds) * 1_000 + (digits.count == 17 ? number(14, 3) : 0)
    }
}

/// Days since 1970-01-01 and dates of the proleptic Gregorian calendar (Hinnant's algorithms).
enum CivilDate {
    static func toDays(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let y = month <= 2 ? year - 1 : year
        let era = (y >= 0 ? y : y - 399) / 400
        let yoe = y - era * 400
        let doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
    }

    static func fromDays(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let z = days + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let doe = z - era * 146_097
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100)
        let mp = (5 * doy + 2) / 153
        let month = mp < 10 ? mp + 3 : mp - 9
        return (yoe + era * 400 + (month <= 2 ? 1 : 0), month, doy - (153 * mp + 2) / 5 + 1)
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
        self.instants = instants.sorted { $0.time < $1.time }
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
    var pendingRollbacks: [Instant] { instants.filter { $0.action == "rollback" && $0.state != .completed } }

    /// Whether files of this instant may be shown. Instants older than the first one on the timeline are archived, hence done.
    func isCommitted(_ time: String) -> Bool {
        completedWrites.contains(time) || (firstCompleted.map { time < $0 } ?? false) && !known.contains(time)
    }

    /// A time later than every instant on the timeline, and not before the clock.
    func nextTime(now: Int64, after last: String? = nil) -> String {
        let newest = max(instants.last?.time ?? "", last ?? "")
        let following = InstantTime.parse(newest).map { $0 + 1 } ?? 0
        return InstantTime.format(milliseconds: max(now, following))
    }
}
