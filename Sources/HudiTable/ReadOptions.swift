import LakeTable
import StreamCore

/// Options of reading, named as in Hudi's Flink connector.
enum ReadOption {
    static let asOf = "read.as-of-instant"
    static let start = "read.start-commit"
    static let end = "read.end-commit"
    static let streaming = "read.streaming.enabled"
    static let checkInterval = "read.streaming.check-interval"
    static let streamingStart = "read.streaming.start-commit"
    static let changelog = "read.streaming.changelog"

    static let all: Set<String> = [asOf, start, end, streaming, checkInterval, streamingStart, changelog]
}

/// What of a table is read.
enum ReadMode: Sendable {
    /// The newest snapshot, or the one as of an instant.
    case snapshot(asOf: String?)
    /// Rows that were written after `start` and at or before `end`, as `end` left them; nil = no limit.
    case incremental(start: String?, end: String?)
    case changes(ChangeStreamOptions)
}

struct ChangeStreamOptions: Sendable {
    enum Start: Sendable, Equatable { case snapshot, earliest, latest, after(String) }
    enum Changelog: String, Sendable, CaseIterable { case all, upsert, none }

    var start: Start
    var checkInterval: Duration
    var changelog: Changelog
}

extension HudiOptions {
    func readMode() throws -> ReadMode {
        let options = TableOptions(table)
        let streaming = try options.bool(ReadOption.streaming) ?? false
        func refuse(_ key: String, _ with: String) -> StreamError {
            error(key, "'\(key)' does not go with '\(with)'", fix: "leave out one of them")
        }
        let asOf = try instant(ReadOption.asOf)
        if let asOf {
            for key in [ReadOption.start, ReadOption.end] where options.has(key) { throw refuse(key, ReadOption.asOf) }
            if streaming { throw refuse(ReadOption.asOf, ReadOption.streaming) }
            guard case .at(let time) = asOf else { throw error(ReadOption.asOf, "'\(ReadOption.asOf)' is no instant", fix: Self.instantFix) }
            return .snapshot(asOf: time)
        }
        guard streaming else {
            let start = try instant(ReadOption.start), end = try instant(ReadOption.end)
            if start == nil, end == nil { return .snapshot(asOf: nil) }
            if case .earliest? = end { throw error(ReadOption.end, "'\(ReadOption.end)' = 'earliest' leaves nothing to read", fix: Self.instantFix) }
            let from: String? = switch start {
            case .at(let time)?: time
            case .latest?: InstantTime.latest
            case .earliest?, nil: nil
            }
            var to: String?
            if case .at(let time)? = end { to = time }
            return .incremental(start: from, end: to)
        }
        if options.has(ReadOption.end) { throw refuse(ReadOption.end, ReadOption.streaming) }
        if options.has(ReadOption.start), options.has(ReadOption.streamingStart) { throw refuse(ReadOption.start, ReadOption.streamingStart) }
        let given = try instant(options.has(ReadOption.streamingStart) ? ReadOption.streamingStart : ReadOption.start)
        let start: ChangeStreamOptions.Start = switch given {
        case .at(let time)?: .after(time)
        case .latest?: .latest
        case .earliest?: .earliest
        case nil: .snapshot
        }
        var interval = Duration.seconds(1)
        if let text = table.options[ReadOption.checkInterval] {
            // A bare number counts seconds, as in Hudi.
            if let seconds = Int64(text.trimmed), seconds > 0, seconds < 1 << 40 {
                interval = .seconds(seconds)
            } else {
                interval = try options.duration(ReadOption.checkInterval)!
            }
            if interval <= .zero { throw options.error(ReadOption.checkInterval, "is not positive", fix: "write for example '1 s'") }
        }
        let changelog = try options.choice(ReadOption.changelog, ChangeStreamOptions.Changelog.allCases.map(\.rawValue)) ?? "all"
        if changelog == "upsert", table.primaryKey.isEmpty {
            throw error(ReadOption.changelog, "'\(ReadOption.changelog)' = 'upsert' needs a primary key", fix: "declare PRIMARY KEY (...) NOT ENFORCED")
        }
        return .changes(ChangeStreamOptions(start: start, checkInterval: interval, changelog: .init(rawValue: changelog)!))
    }

    private enum Given { case earliest, latest, at(String) }
    private static let instantFix = "write an instant such as '20260131120000000', a time in UTC such as '2026-01-31 12:00:00.000', 'earliest' or 'latest'"

    private func instant(_ option: String) throws -> Given? {
        guard let text = table.options[option]?.trimmed else { return nil }
        switch text.lowercased() {
        case "earliest": return .earliest
        case "latest": return .latest
        default:
            guard let time = InstantTime.complete(text) else { throw error(option, "'\(option)' = '\(text)' is no instant", fix: Self.instantFix) }
            return .at(time)
        }
    }
}

extension InstantTime {
    /// Later than every instant.
    static let latest = "99999999999999999"

    /// The 17 digits of an instant, or of a time `yyyy-MM-dd[ HH:mm:ss[.SSS]]` in UTC; nil for other texts. An instant of 14 digits
    /// stands for the end of its second, as in Hudi.
    static func complete(_ text: String) -> String? {
        if parse(text) != nil { return text.utf8.count == 14 ? text + "999" : text }
        guard text.utf8.count >= 10, text.utf8.contains(UInt8(ascii: "-")) else { return nil }
        var text = text
        let time = text.withUTF8 { DateTimeText.parseTimestamp(UnsafeRawBufferPointer($0), precision: 3) }
        return time.map { format(milliseconds: $0) }
    }
}
