import StreamCore

/// Functions between times and their texts: DATE_FORMAT, TO_TIMESTAMP, TO_DATE, FROM_UNIXTIME, UNIX_TIMESTAMP, CONVERT_TZ.
extension FunctionRegistry {
    mutating func registerTimeTextFunctions() {
        register("DATE_FORMAT") { args, _ in try TimeText.bindFormat(args) }
        define("TO_DATE", takes: [.text("string"), .text("pattern")], optional: 1, result: { _ in .date }) { bound, type in
            guard bound.count == 2 else {
                return { args, rows, _ in
                    let text = args[0].text
                    return rows.fixedOrNull(type) { row -> Int32? in TimeText.dateOnly(text[row]) }
                }
            }
            let source = try PatternSource(bound[1], .legacy)
            return { args, rows, _ in
                let text = args[0].text
                var patterns = PatternColumn(args[1], source)
                return try rows.fixedOrNull(type) { row -> Int32? in
                    guard let local = try patterns.pattern(row).parse(text[row])?.resolve(lenient: true) else { return nil }
                    return Int32(exactly: local.days)
                }
            }
        }
        define("TO_TIMESTAMP", takes: [.text("string"), .text("pattern")], optional: 1, result: { _ in .timestamp(3) }) { bound, type in
            let source = bound.count == 2 ? try PatternSource(bound[1], .modern) : nil
            return { args, rows, _ in
                let text = args[0].text
                var patterns = source.map { PatternColumn(args[1], $0) }
                return try rows.fixedOrNull(type) { row -> Int64? in
                    try TimeText.parse(text[row], pattern: try patterns?.pattern(row))
                }
            }
        }
        register("TO_TIMESTAMP_LTZ") { args, _ in try TimeText.bindToTimestampLTZ(args) }
        define("FROM_UNIXTIME", takes: [.bigint("seconds"), .text("pattern")], optional: 1, result: { _ in .string }) { bound, type in
            let source = try bound.count == 2 ? PatternSource(bound[1], .legacy) : PatternSource(constant: TimeText.defaultLegacy)
            return { args, rows, context in
                let seconds = args[0].vector(Int64.self)
                var zone = try ZoneCursor(named: context.timeZone)
                var patterns = PatternColumn(args.count == 2 ? args[1] : nil, source)
                return try rows.text(type) { row, out in
                    let offset = zone.offset(atUTC: seconds[row])
                    var local = LocalDateTime((seconds[row] &+ offset) &* 1_000, .milliseconds)
                    (local.zone, local.offset) = (context.timeZone, Int(offset))
                    try patterns.pattern(row).append(local, to: &out)
                }
            }
        }
        register("UNIX_TIMESTAMP") { args, _ in
            if args.isEmpty {
                return Binding.callLenient("UNIX_TIMESTAMP", .bigint, [], isDeterministic: false) { _, rows, context in
                    .constant(.int(TemporalArithmetic.floorDivide(context.now(), 1_000)), type: .bigint, count: rows.count)
                }
            }
            let bound = try Binding.arguments("UNIX_TIMESTAMP", args, [.text("string"), .text("pattern")], optional: 1)
            let source = try bound.count == 2 ? PatternSource(bound[1], .legacy) : PatternSource(constant: TimeText.defaultLegacy)
            return Binding.call("UNIX_TIMESTAMP", .bigint, bound) { args, rows, context in
                let text = args[0].text
                var zone = try ZoneCursor(named: context.timeZone)
                var patterns = PatternColumn(args.count == 2 ? args[1] : nil, source)
                return try rows.fixed(.bigint) { row -> Int64 in
                    // What cannot be read gives the least BIGINT, as in Flink.
                    guard let parsed = try patterns.pattern(row).parse(text[row]), let local = parsed.resolve(lenient: true) else { return .min }
                    let seconds = Int64(local.days) * 86_400 + Int64(local.secondOfDay)
                    return parsed.offset.map { seconds - Int64($0) } ?? zone.utc(seconds * 1_000, .milliseconds) / 1_000
                }
            }
        }
        define("CONVERT_TZ", takes: [.text("time"), .text("from zone"), .text("to zone")], result: { _ in .string }) { bound, type in
            let from = try ZoneSource(bound[1], isLenient: true), to = try ZoneSource(bound[2], isLenient: true)
            return { args, rows, _ in
                let text = args[0].text
                var from = ZoneColumn(args[1], from), to = ZoneColumn(args[2], to)
                return try rows.text(type) { row, out in
                    guard let local = TimeText.defaultLegacy.parse(text[row])?.resolve(lenient: true) else { return out.setNull() }
                    let utc = try from.utc((Int64(local.days) * 86_400 + Int64(local.secondOfDay)) * 1_000, row)
                    let shown = LocalDateTime(try to.local(utc, row), .milliseconds)
                    TimeText.defaultLegacy.append(shown, to: &out)
                }
            }
        }
    }
}

enum TimeText {
    /// `yyyy-MM-dd HH:mm:ss`, read from the start of a text.
    static let defaultLegacy = try! DateTimePattern("yyyy-MM-dd HH:mm:ss", .legacy)

    /// The date in front of an optional time; the time is not looked at.
    static func dateOnly(_ text: UnsafeRawBufferPointer) -> Int32? {
        var end = text.count
        if let space = text.firstIndex(of: 0x20) { end = space }
        return DateTimeText.parseDate(Utf8Text.slice(text, 0, end), lenient: true)
    }

    /// `yyyy-[m]m-[d]d[ [h]h:[m]m:[s]s[.f...]]`.
    private static let plain = DateTimeText.Form(separator: .space, shortParts: true, optionalTime: true, clampsDay: true)

    /// Milliseconds, by the pattern, or in the plain form when the text does not follow it.
    static func parse(_ text: UnsafeRawBufferPointer, pattern: DateTimePattern?) throws -> Int64? {
        guard let pattern else { return DateTimeText.parseTimestamp(text, precision: 3, form: plain) }
        guard let local = pattern.parse(text)?.resolve(lenient: false) ?? PlainTimestamp.parse(text) else { return nil }
        return (Int64(local.days) * 86_400 + Int64(local.secondOfDay)) * 1_000 + Int64(local.nanos / 1_000_000)
    }

    static func bindFormat(_ args: [Expr]) throws -> Expr {
        let value = Parameter("timestamp", takes: "a timestamp or a string", example: "TIMESTAMP(3)") { $0.type.isTimestamp || $0.type.isText ? $0.type : nil }
        let bound = try Binding.arguments("DATE_FORMAT", args, [value, .text("pattern")])
        let type = bound[0].type
        let source = try PatternSource(bound[1], .modern, writes: true)
        return Binding.call("DATE_FORMAT", .string, bound) { args, rows, context in
            var patterns = PatternColumn(args[1], source)
            guard let unit = type.timeUnit else {
                let text = args[0].text
                return try rows.text(.string) { row, out in
                    guard let local = defaultLegacy.parse(text[row])?.resolve(lenient: true) else { return out.setNull() }
                    let time = LocalDateTime((Int64(local.days) * 86_400 + Int64(local.secondOfDay)) * 1_000, .milliseconds)
                    try patterns.pattern(row).append(time, to: &out)
                }
            }
            let time = args[0].vector(Int64.self)
            if case .timestamp = type {
                if let pattern = source.constant {
                    if let seconds = pattern.wholeSeconds { return formatted(rows, time, unit, step: seconds * unit.perSecond, pattern) }
                    return rows.text(.string) { row, out in pattern.append(LocalDateTime(time[row], unit), to: &out) }
                }
                return try rows.text(.string) { row, out in try patterns.pattern(row).append(LocalDateTime(time[row], unit), to: &out) }
            }
            var zone = try ZoneCursor(named: context.timeZone)
            if let pattern = source.constant {
                return rows.text(.string) { row, out in pattern.append(LocalDateTime(zone.local(time[row], unit), unit), to: &out) }
            }
            return try rows.text(.string) { row, out in
                try patterns.pattern(row).append(LocalDateTime(zone.local(time[row], unit), unit), to: &out)
            }
        }
    }

    /// Texts that are the same for `step` units of time, each written once: a dictionary column, as times of one batch are often near
    /// each other.
    private static func formatted(_ rows: RowSet, _ time: Vector<Int64>, _ unit: TimeUnit, step: Int64, _ pattern: DateTimePattern) -> Column {
        let buffer = Buffer(zeroed: max(rows.count, 1) * 4)
        let codes = buffer.pointer(as: Int32.self)
        var known: [Int64: Int32] = [:], starts: [Int64] = []
        var (from, to, code) = (Int64.max, Int64.max, Int32(0))
        rows.forEach { row in
            let t = time[row]
            if t < from || t >= to {
                let number = (t >= 0 ? t : t - step + 1) / step
                (from, to) = (number &* step, number &* step &+ step)
                if let found = known[number] {
                    code = found
                } else {
                    code = Int32(truncatingIfNeeded: starts.count)
                    known[number] = code
                    starts.append(t)
                }
            }
            codes[row] = code
        }
        guard !starts.isEmpty else { return .nulls(type: .string, count: rows.count) }
        let texts = RowSet(nil, count: starts.count).text(.string) { i, out in pattern.append(LocalDateTime(starts[i], unit), to: &out) }
        return Column(type: .string, count: rows.count, validity: rows.validity, values: buffer, dictionary: texts)
    }

    static func bindToTimestampLTZ(_ args: [Expr]) throws -> Expr {
        let name = "TO_TIMESTAMP_LTZ"
        guard (1...3).contains(args.count) else {
            throw StreamError(.validate, "\(name) takes a number and its precision, or a string with an optional pattern and time zone; \(args.count) arguments given")
        }
        if args[0].type.isNumeric { return try bindEpoch(name, args) }
        let bound = try Binding.arguments(name, args, [.text("number or string"), .text("pattern"), .text("time zone")], optional: 2)
        let source = bound.count > 1 ? try PatternSource(bound[1], .modern) : nil
        let zones = bound.count == 3 ? try ZoneSource(bound[2]) : nil
        return Binding.call(name, .timestampLTZ(3), bound) { args, rows, _ in
            let text = args[0].text
            var patterns = source.map { PatternColumn(args[1], $0) }
            var zone = zones.map { ZoneColumn(args[2], $0) }
            return try rows.fixed(.timestampLTZ(3)) { row -> Int64 in
                guard let local = try parse(text[row], pattern: try patterns?.pattern(row)) else {
                    throw StreamError(.runtime, "\(name) cannot read '\(text[row].string)'",
                                      fix: "filter such values out first, or use CAST(TO_TIMESTAMP(...) AS TIMESTAMP_LTZ(3)), which gives null")
                }
                return try zone?.utc(local, row) ?? local
            }
        }
    }

    /// A number of seconds (precision 0), milliseconds (3) or finer parts since 1970.
    private static func bindEpoch(_ name: String, _ args: [Expr]) throws -> Expr {
        guard args.count <= 2 else { throw Binding.arityError(name, given: args.count, least: 1, most: 2, names: ["number", "precision"]) }
        var precision: Int64 = 3
        if args.count == 2 {
            guard case .int(let p)? = Binding.constant(args[1]), (0...9).contains(p) else {
                throw StreamError(.validate, "\(name) takes a precision from 0 to 9 written as a number", fix: "write 0 for seconds or 3 for milliseconds")
            }
            precision = p
        }
        let type = DataType.timestampLTZ(max(3, Int(precision))), unit = type.timeUnit!
        let perSecond = NumberText.int128PowersOfTen[Int(precision)]
        if !args[0].type.isApproximate {
            let value = try Binding.cast(args[0], to: .bigint)
            return Binding.call(name, type, [value]) { args, rows, _ in
                let number = args[0].vector(Int64.self)
                return rows.fixedOrNull(type) { row -> Int64? in
                    let scaled = Int128(number[row]) * Int128(unit.perSecond)
                    let (q, r) = scaled.quotientAndRemainder(dividingBy: perSecond)
                    return Int64(exactly: r < 0 ? q - 1 : q)
                }
            }
        }
        let value = try Binding.cast(args[0], to: .double)
        let factor = Double(unit.perSecond) / Double(Int64(perSecond))
        return Binding.call(name, type, [value]) { args, rows, _ in
            let number = args[0].vector(Double.self)
            return rows.fixedOrNull(type) { row -> Int64? in Int64(exactly: (number[row] * factor).rounded(.down)) }
        }
    }
}

/// A pattern argument: compiled when the statement is bound if it is constant.
struct PatternSource: Sendable {
    let constant: DateTimePattern?
    let dialect: DateTimePattern.Dialect
    let writes: Bool

    init(_ pattern: Expr, _ dialect: DateTimePattern.Dialect, writes: Bool = false) throws {
        self.dialect = dialect
        self.writes = writes
        constant = try Binding.constantText(pattern).map { try Self.compile($0, dialect, writes) }
    }

    init(constant: DateTimePattern) throws {
        self.constant = constant
        dialect = constant.dialect
        writes = false
    }

    static func compile(_ text: String, _ dialect: DateTimePattern.Dialect, _ writes: Bool) throws -> DateTimePattern {
        let pattern = try DateTimePattern(text, dialect)
        if writes, dialect == .modern, pattern.mentionsZone {
            throw StreamError(.validate, "the pattern '\(text)' asks for a time zone, which DATE_FORMAT does not know", fix: "leave out X, x and Z")
        }
        return pattern
    }
}

/// The patterns of a column's rows; the last one is kept.
struct PatternColumn {
    private let source: PatternSource
    private let texts: TextVector?
    private var current: DateTimePattern?

    init(_ column: Column?, _ source: PatternSource) {
        self.source = source
        texts = source.constant == nil ? column?.text : nil
        current = source.constant
    }

    @inline(__always)
    mutating func pattern(_ row: Int) throws -> DateTimePattern {
        guard let texts else { return current! }
        let text = texts[row]
        if let current, text.elementsEqual(current.source.utf8) { return current }
        do {
            let compiled = try PatternSource.compile(text.string, source.dialect, source.writes)
            current = compiled
            return compiled
        } catch let error as StreamError {
            throw StreamError(.runtime, error.problem, fix: error.fix)
        }
    }
}

/// A time zone argument: looked up when the statement is bound if it is constant.
struct ZoneSource: Sendable {
    let constant: TimeZoneRules?

    /// An unknown zone is UTC, as in Java's older classes, instead of an error.
    let isLenient: Bool

    init(_ zone: Expr, isLenient: Bool = false) throws {
        self.isLenient = isLenient
        constant = try Binding.constantText(zone).map { name in
            do { return try TimeZoneRules.named(name) } catch {
                guard isLenient else { throw error }
                return try TimeZoneRules.named("UTC")
            }
        }
    }
}

/// The time zones of a column's rows; the last one is kept.
struct ZoneColumn {
    private let texts: TextVector?
    private var cursor: ZoneCursor?
    private var name: [UInt8] = []
    private let isLenient: Bool

    init(_ column: Column, _ source: ZoneSource) {
        isLenient = source.isLenient
        texts = source.constant == nil ? column.text : nil
        cursor = source.constant.map { ZoneCursor($0) }
    }

    private mutating func select(_ row: Int) throws {
        guard let texts else { return }
        let text = texts[row]
        if cursor != nil, text.elementsEqual(name) { return }
        do { cursor = try ZoneCursor(named: text.string) } catch {
            guard isLenient else { throw error }
            cursor = try ZoneCursor(named: "UTC")
        }
        name = Array(text)
    }

    mutating func utc(_ local: Int64, _ row: Int) throws -> Int64 {
        try select(row)
        return cursor!.utc(local, .milliseconds)
    }

    mutating func local(_ utc: Int64, _ row: Int) throws -> Int64 {
        try select(row)
        return cursor!.local(utc, .milliseconds)
    }
}
