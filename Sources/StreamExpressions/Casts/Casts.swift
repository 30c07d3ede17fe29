import StreamCore

/// CAST and TRY_CAST, by Flink's rules: integers wrap when narrowed, DOUBLE to integer saturates, a DECIMAL that does not fit is
/// null, text that is no value of the type fails the job (null with TRY_CAST), precision is cut and not rounded.
public enum Casts {
    /// What a value that cannot be converted leads to.
    struct Mode: Sendable {
        let from: DataType, to: DataType
        /// TRY_CAST.
        let safe: Bool

        func failure(_ value: String) -> StreamError {
            let quoted = from.isText || from.isBinary ? "'\(value)'" : value
            return StreamError(.runtime, "cannot cast \(quoted) to \(to)", fix: "write TRY_CAST(... AS \(to)) to get NULL for such values")
        }
    }

    /// True when values of the one type can be cast to the other at all.
    public static func isSupported(_ from: DataType, _ to: DataType) -> Bool {
        from == to || body(Mode(from: from, to: to, safe: true)) != nil
    }

    /// - Throws: `.validate` when there is no such cast.
    public static func check(_ from: DataType, _ to: DataType) throws {
        if !isSupported(from, to) { throw unsupported(from, to) }
    }

    static func unsupported(_ from: DataType, _ to: DataType) -> StreamError {
        let fix: String? = if from.isNumeric && to.isTimestamp { "write TO_TIMESTAMP_LTZ(value, 0) for seconds, or TO_TIMESTAMP_LTZ(value, 3) for milliseconds" }
            else if from.isTimestamp && to.isNumeric { "write UNIX_TIMESTAMP(CAST(... AS STRING)), or EXTRACT for a part of it" }
            else { nil }
        return StreamError(.validate, "there is no cast from \(from) to \(to)", fix: fix)
    }

    /// True when the result depends on the session's time zone.
    static func dependsOnTimeZone(_ from: DataType, _ to: DataType) -> Bool {
        from.containsLocalTime != to.containsLocalTime
    }

    /// The kernel of a cast; one that does not exist throws when it is called.
    static func kernel(from: DataType, to: DataType, safe: Bool) -> Kernel {
        if from == .null { return { _, _, count, _ in .nulls(type: to, count: count) } }
        if isRetyping(from, to) { return { args, _, _, _ in args[0].retyped(to) } }
        guard let body = body(Mode(from: from, to: to, safe: safe)) else {
            return { _, _, _, _ in throw unsupported(from, to) }
        }
        return Kernels.strict(body)
    }

    /// The stored values stay as they are.
    private static func isRetyping(_ from: DataType, _ to: DataType) -> Bool {
        switch (from, to) {
        case (.char(let n), .varchar(let m)), (.varchar(let n), .varchar(let m)), (.binary(let n), .varbinary(let m)), (.varbinary(let n), .varbinary(let m)):
            n <= m
        case (.char(let n), .char(let m)), (.binary(let n), .binary(let m)): n == m
        case (.time(let p), .time(let q)): q >= min(p, 3)
        case (.timestamp(let p), .timestamp(let q)), (.timestampLTZ(let p), .timestampLTZ(let q)): q >= p && TimeUnit(precision: p) == TimeUnit(precision: q)
        case (.decimal(let p, let s), .decimal(let q, let t)): s == t && q >= p
        default: from == to
        }
    }

    /// nil when there is no such cast.
    static func body(_ mode: Mode) -> KernelBody? {
        if isRetyping(mode.from, mode.to) { return { args, _, _ in args[0].retyped(mode.to) } }
        if mode.from == .null { return { args, rows, _ in .nulls(type: mode.to, count: rows.count) } }
        if mode.to == .variant { return VariantCasts.toVariant(mode) }
        if mode.from == .variant, mode.to != .null { return VariantCasts.fromVariant(mode) }
        return switch mode.to {
        case .boolean: NumberCasts.toBoolean(mode)
        case .tinyint: NumberCasts.toInteger(mode, Int8.self)
        case .smallint: NumberCasts.toInteger(mode, Int16.self)
        case .int: NumberCasts.toInteger(mode, Int32.self)
        case .bigint: NumberCasts.toInteger(mode, Int64.self)
        case .float: NumberCasts.toFloating(mode, Float.self, parse: NumberText.parseFloat)
        case .double: NumberCasts.toFloating(mode, Double.self, parse: NumberText.parseDouble)
        case .decimal(let precision, let scale): NumberCasts.toDecimal(mode, precision: precision, scale: scale)
        case .char, .varchar: TextCasts.toText(mode)
        case .binary, .varbinary: TextCasts.toBinary(mode)
        case .date, .time, .timestamp, .timestampLTZ: TimeCasts.body(mode)
        case .array, .map, .row: NestedCasts.body(mode)
        case .intervalYearMonth, .intervalDayTime, .variant, .null: nil
        }
    }
}

extension DataType {
    /// A TIMESTAMP_LTZ, or a nested type that has one inside.
    var containsLocalTime: Bool {
        switch self {
        case .timestampLTZ: true
        case .array(let element): element.containsLocalTime
        case .map(let key, let value): key.containsLocalTime || value.containsLocalTime
        case .row(let fields): fields.contains { $0.type.containsLocalTime }
        default: false
        }
    }
}

extension RowSet {
    /// The loop of a cast: a value that `convert` gives nil for is null with TRY_CAST, else an error that shows `column`'s value.
    @inline(__always)
    func cast<T: BitwiseCopyable>(_ mode: Casts.Mode, _ column: Column, _ convert: (Int) -> T?) throws -> Column {
        if mode.safe { return fixedOrNull(mode.to, convert) }
        return try fixed(mode.to) { row -> T in
            guard let value = convert(row) else { throw mode.failure(column.shown(at: row)) }
            return value
        }
    }
}

extension Column {
    /// A value for an error message.
    func shown(at row: Int) -> String {
        let value = flat().value(at: row)
        return switch value {
        case .string(let text): text
        case .binary(let bytes): String(decoding: bytes, as: UTF8.self)
        case .double(let v): NumberText.string(v)
        case .float(let v): NumberText.string(v)
        case .int(let v): "\(v)"
        case .decimal(let v): if case .decimal(_, let scale) = type { NumberText.string(decimal: v, scale: scale) } else { "\(value)" }
        default: "\(value)"
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Without the ASCII spaces and control characters at both ends, as Java's `trim`.
    var trimmed: UnsafeRawBufferPointer {
        var start = 0, end = count
        while start < end, self[start] <= 0x20 { start += 1 }
        while end > start, self[end - 1] <= 0x20 { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: self[start..<end])
    }
}
