import StreamCore
import Synchronization
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The offsets of a time zone: read from the system's TZif files, or fixed (`UTC+2`, `GMT+01:00`, `+05:30`).
///
/// - Source: RFC 8536; the rule behind the last transition is a POSIX TZ string.
public final class TimeZoneRules: Sendable {
    public let name: String
    /// Seconds since 1970-01-01 UTC, ascending, at which `offsets` at the same place begins.
    private let transitions: [Int64]
    /// Seconds east of UTC.
    private let offsets: [Int64]
    private let first: Int64
    private let rule: PosixZoneRule?

    private init(name: String, transitions: [Int64] = [], offsets: [Int64] = [], first: Int64, rule: PosixZoneRule? = nil) {
        self.name = name
        self.transitions = transitions
        self.offsets = offsets
        self.first = first
        self.rule = rule
    }

    public static let utc = TimeZoneRules(name: "UTC", first: 0)

    private static let cache = Mutex<[String: TimeZoneRules]>([:])

    /// The zone of that name; later calls take it from memory.
    /// - Throws: `.validate` when there is none, with a near name.
    public static func named(_ name: String) throws -> TimeZoneRules {
        if name == "UTC" { return utc }
        if let known = cache.withLock({ $0[name] }) { return known }
        guard let zone = fixed(name) ?? load(name) else { throw unknown(name) }
        cache.withLock { $0[name] = zone }
        return zone
    }

    /// The time for which one offset holds.
    public struct Span: Sendable {
        /// Seconds since 1970-01-01 UTC; `until` is the first second of the next span.
        public var from: Int64, until: Int64
        /// Seconds east of UTC.
        public var offset: Int64
    }

    public func span(atUTC seconds: Int64) -> Span {
        // Number of transitions at or before the time.
        var low = 0, high = transitions.count
        while low < high {
            let middle = (low + high) / 2
            if transitions[middle] <= seconds { low = middle + 1 } else { high = middle }
        }
        if low == transitions.count, let rule { return rule.span(at: seconds, notBefore: transitions.last ?? .min) }
        return Span(from: low == 0 ? .min : transitions[low - 1], until: low == transitions.count ? .max : transitions[low],
                    offset: low == 0 ? first : offsets[low - 1])
    }

    /// Seconds east of UTC.
    public func offset(atUTC seconds: Int64) -> Int64 { span(atUTC: seconds).offset }

    /// UTC seconds of a local time. A local time that occurs twice is the first of them; one that a clock skips is moved on by
    /// what was skipped. Both mean: the offset before the change counts.
    public func utc(fromLocal seconds: Int64) -> Int64 {
        let early = offset(atUTC: seconds - 86_400), late = offset(atUTC: seconds + 86_400)
        if early == late || offset(atUTC: seconds - early) == early { return seconds - early }
        return offset(atUTC: seconds - late) == late ? seconds - late : seconds - early
    }

    // MARK: Reading

    private static func fixed(_ name: String) -> TimeZoneRules? {
        if ["Z", "GMT", "UT"].contains(name) { return TimeZoneRules(name: name, first: 0) }
        var rest = Substring(name)
        for prefix in ["UTC", "GMT", "UT"] where rest.hasPrefix(prefix) {
            rest = rest.dropFirst(prefix.count)
            break
        }
        guard let sign = rest.first, sign == "+" || sign == "-" else { return nil }
        let parts = rest.dropFirst().split(separator: ":", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { $0.count <= 2 && $0.allSatisfy(\.isASCII) ? UInt8($0) : nil }
        guard numbers.count == parts.count, (1...3).contains(parts.count), numbers[0] <= 18, numbers.dropFirst().allSatisfy({ $0 < 60 }) else { return nil }
        let seconds = zip(numbers, [3_600, 60, 1]).reduce(Int64(0)) { $0 + Int64($1.0) * $1.1 }
        return TimeZoneRules(name: name, first: sign == "-" ? -seconds : seconds)
    }

    private static let folder = "/usr/share/zoneinfo/"

    private static func load(_ name: String) -> TimeZoneRules? {
        guard !name.isEmpty, name.utf8.allSatisfy({ isNameByte($0) }), !name.hasPrefix("/"), !name.contains("..") else { return nil }
        return readFile(folder + name).flatMap { parse($0, name: name) }
    }

    private static func isNameByte(_ c: UInt8) -> Bool {
        (c >= 0x30 && c <= 0x39) || (c | 0x20 >= 0x61 && c | 0x20 <= 0x7A) || "/_-+.".utf8.contains(c)
    }

    private static func unknown(_ name: String) -> StreamError {
        // tzdata.zi has a line "Z name ..." for each zone and "L target name" for each alias.
        let lines = readFile(folder + "tzdata.zi").map { String(decoding: $0, as: UTF8.self).split(separator: "\n") } ?? []
        let names = lines.compactMap { line -> String? in
            if line.hasPrefix("Z ") { return String(line.dropFirst(2).prefix { $0 != " " }) }
            if line.hasPrefix("L ") { return line.split(separator: " ").last.map(String.init) }
            return nil
        }
        let fix = NearName.nearest(to: name, in: names).map { "write \"\($0)\"" }
            ?? "use a name such as Europe/Berlin, or an offset such as UTC+02:00"
        return StreamError(.validate, "there is no time zone \"\(name)\"", fix: fix)
    }

    private static func readFile(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "rb") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let n = fread(&chunk, 1, chunk.count, file)
            if n <= 0 { break }
            bytes += chunk[..<n]
            if bytes.count > 1 << 22 { return nil }
        }
        return bytes
    }

    /// nil for what is not a TZif file of version 2 or later.
    static func parse(_ bytes: [UInt8], name: String) -> TimeZoneRules? {
        func integer(_ at: Int, _ width: Int) -> Int64 {
            let unsigned = bytes[at..<at + width].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return width == 4 ? Int64(Int32(truncatingIfNeeded: unsigned)) : Int64(bitPattern: unsigned)
        }
        func header(_ at: Int) -> [Int]? {
            guard bytes.count >= at + 44, Array(bytes[at..<at + 4]) == Array("TZif".utf8), bytes[at + 4] >= UInt8(ascii: "2") else { return nil }
            return (0..<6).map { Int(integer(at + 20 + $0 * 4, 4)) }  // isut, isstd, leap, time, type, char
        }
        func length(_ c: [Int], _ width: Int) -> Int { c[3] * (width + 1) + c[4] * 6 + c[5] + c[2] * (width + 4) + c[1] + c[0] }
        guard let old = header(0) else { return nil }
        let second = 44 + length(old, 4)
        guard let counts = header(second), counts.allSatisfy({ $0 >= 0 }) else { return nil }
        let start = second + 44, end = start + length(counts, 8)
        guard bytes.count >= end, counts[4] > 0 else { return nil }
        let types = start + counts[3] * 9
        func offset(_ type: Int) -> Int64 { integer(types + type * 6, 4) }
        let transitions = (0..<counts[3]).map { integer(start + $0 * 8, 8) }
        let offsets = (0..<counts[3]).map { offset(min(Int(bytes[start + counts[3] * 8 + $0]), counts[4] - 1)) }
        let footer = String(decoding: bytes[end...].filter { $0 != 10 }, as: UTF8.self)
        return TimeZoneRules(name: name, transitions: transitions, offsets: offsets, first: offset(0), rule: PosixZoneRule(footer))
    }
}

/// A zone and the span that its last question fell into: times in a batch are mostly close together.
public struct ZoneCursor: Sendable {
    public let rules: TimeZoneRules
    private var span = TimeZoneRules.Span(from: .max, until: .min, offset: 0)
    /// UTC seconds that are two days and more away from both ends of `span`.
    private var safe: Range<Int64> = 0..<0

    public init(_ rules: TimeZoneRules) { self.rules = rules }
    public init(named name: String) throws { self.init(try .named(name)) }

    @inline(__always)
    public mutating func offset(atUTC seconds: Int64) -> Int64 {
        if seconds < span.from || seconds >= span.until {
            span = rules.span(atUTC: seconds)
            safe = 0..<0
        }
        return span.offset
    }

    /// A UTC time in `unit` as the local time that clocks show.
    @inline(__always)
    public mutating func local(_ time: Int64, _ unit: TimeUnit) -> Int64 {
        time &+ offset(atUTC: TemporalArithmetic.floorDivide(time, unit.perSecond)) &* unit.perSecond
    }

    /// The UTC time of a local time; see ``TimeZoneRules/utc(fromLocal:)``.
    @inline(__always)
    public mutating func utc(_ local: Int64, _ unit: TimeUnit) -> Int64 {
        let seconds = TemporalArithmetic.floorDivide(local, unit.perSecond)
        // Two days away from any change of offset there is only one answer.
        let guess = seconds &- span.offset
        if guess >= safe.lowerBound && guess < safe.upperBound { return local &- span.offset &* unit.perSecond }
        let utc = rules.utc(fromLocal: seconds)
        span = rules.span(atUTC: utc)
        let from = span.from == .min ? .min : span.from + 172_800, until = span.until == .max ? .max : span.until - 172_800
        safe = from < until ? from..<until : 0..<0
        return local &- (seconds &- utc) &* unit.perSecond
    }
}
