import StreamCore

/// Casts to CHAR, VARCHAR, BINARY and VARBINARY.
enum TextCasts {
    static func toText(_ mode: Casts.Mode) -> KernelBody? {
        guard ValueText.canWrite(mode.from) else { return nil }
        let fit = Fit(mode.to)
        return { args, rows, context in
            let column = args[0]
            switch mode.from {
            case .char, .varchar:
                let text = column.text
                return rows.text(mode.to) { row, out in
                    out.append(text[row])
                    fit.apply(&out)
                }
            case .binary, .varbinary:
                let bytes = column.text
                return rows.text(mode.to) { row, out in
                    ValueText.appendUTF8(bytes[row], to: &out)
                    fit.apply(&out)
                }
            case .tinyint: return integers(column.vector(Int8.self), mode.to, rows, fit)
            case .smallint: return integers(column.vector(Int16.self), mode.to, rows, fit)
            case .int: return integers(column.vector(Int32.self), mode.to, rows, fit)
            case .bigint: return integers(column.vector(Int64.self), mode.to, rows, fit)
            default:
                var writer = try ValueText(context)
                if column.isConstant {
                    let flat = column.flat()
                    return rows.text(mode.to) { row, out in
                        writer.append(flat, row, mode.from, to: &out)
                        fit.apply(&out)
                    }
                }
                return rows.text(mode.to) { row, out in
                    writer.append(column, row, mode.from, to: &out)
                    fit.apply(&out)
                }
            }
        }
    }

    @inline(__always)
    private static func integers<T: FixedWidthInteger>(_ values: Vector<T>, _ type: DataType, _ rows: RowSet, _ fit: Fit) -> Column {
        rows.text(type) { row, out in
            out.advance(NumberText.write(Int64(truncatingIfNeeded: values[row]), to: out.spareText(NumberText.capacity)))
            fit.apply(&out)
        }
    }

    static func toBinary(_ mode: Casts.Mode) -> KernelBody? {
        guard mode.from.isText || mode.from.isBinary else { return nil }
        let length: Int, pads: Bool
        switch mode.to {
        case .binary(let n): (length, pads) = (n, true)
        case .varbinary(let n): (length, pads) = (n, false)
        default: return nil
        }
        return { args, rows, _ in
            let bytes = args[0].text
            return rows.text(mode.to) { row, out in
                let value = bytes[row]
                out.append(UnsafeRawBufferPointer(rebasing: value.prefix(length)))
                if pads { for _ in 0..<max(0, length - value.count) { out.append(0) } }
            }
        }
    }

    /// Brings text to a declared length: VARCHAR is cut, CHAR is cut or padded. Lengths count code points.
    struct Fit: Sendable {
        private let length: Int, pads: Bool

        init(_ type: DataType) {
            switch type {
            case .char(let n): (length, pads) = (n, true)
            case .varchar(let n): (length, pads) = (n, false)
            default: (length, pads) = (.max, false)
            }
        }

        @inline(__always)
        func apply(_ out: inout TextSink) {
            if pads || out.length > length { adjust(&out) }
        }

        private func adjust(_ out: inout TextSink) {
            var points = 0, cut = out.length
            for (i, byte) in out.bytes.enumerated() where byte & 0xC0 != 0x80 {
                if points == length {
                    cut = i
                    break
                }
                points += 1
            }
            if cut < out.length { out.truncate(to: cut) }
            if pads { for _ in points..<max(points, length) { out.append(UInt8(ascii: " ")) } }
        }
    }
}

extension TextSink {
    /// Room for at least `n` bytes of text; follow with ``advance(_:)``.
    @inline(__always)
    public mutating func spareText(_ n: Int) -> UnsafeMutablePointer<UInt8> { spare(n).assumingMemoryBound(to: UInt8.self) }
}

/// Writes values of any type as CAST AS STRING shows them.
public struct ValueText: Sendable {
    private var zone: ZoneCursor

    /// - Throws: `.validate` when the session's time zone is unknown.
    public init(_ context: EvaluationContext) throws {
        zone = try ZoneCursor(named: context.timeZone)
    }

    static func canWrite(_ type: DataType) -> Bool { type != .null }

    /// Appends the value of a row that is not null. Nested values show NULL for nulls inside.
    public mutating func append(_ column: Column, _ row: Int, _ type: DataType, to out: inout TextSink) {
        if let dictionary = column.dictionary { return append(dictionary, Int(column.codes[row]), type, to: &out) }
        func fixed<T: BitwiseCopyable>(_: T.Type) -> T { column.pointer(as: T.self)[row] }
        switch type {
        case .boolean: out.append(fixed(UInt8.self) & 1 == 0 ? "FALSE" : "TRUE")
        case .tinyint: appendInteger(Int64(fixed(Int8.self)), to: &out)
        case .smallint: appendInteger(Int64(fixed(Int16.self)), to: &out)
        case .int: appendInteger(Int64(fixed(Int32.self)), to: &out)
        case .bigint: appendInteger(fixed(Int64.self), to: &out)
        case .float: out.advance(NumberText.write(fixed(Float.self), to: out.spareText(NumberText.capacity)))
        case .double: out.advance(NumberText.write(fixed(Double.self), to: out.spareText(NumberText.capacity)))
        case .decimal(_, let scale):
            out.advance(NumberText.write(decimal: fixed(Int128.self), scale: scale, to: out.spareText(NumberText.capacity)))
        case .char, .varchar: out.append(column.bytes(at: row))
        case .binary, .varbinary: Self.appendUTF8(column.bytes(at: row), to: &out)
        case .date: out.advance(DateTimeText.writeDate(fixed(Int32.self), to: out.spareText(DateTimeText.capacity)))
        case .time(let p): out.advance(DateTimeText.writeTime(fixed(Int32.self), precision: p, to: out.spareText(DateTimeText.capacity)))
        case .timestamp(let p):
            out.advance(DateTimeText.writeTimestamp(fixed(Int64.self), precision: p, to: out.spareText(DateTimeText.capacity)))
        case .timestampLTZ(let p):
            let local = zone.local(fixed(Int64.self), TimeUnit(precision: p))
            out.advance(DateTimeText.writeTimestamp(local, precision: p, to: out.spareText(DateTimeText.capacity)))
        case .intervalYearMonth: Self.appendMonths(fixed(Int32.self), to: &out)
        case .intervalDayTime: Self.appendMilliseconds(fixed(Int64.self), to: &out)
        case .array(let element):
            out.append("[")
            for (k, i) in (column.codes[row]..<column.codes[row + 1]).enumerated() {
                if k > 0 { out.append(", ") }
                appendOrNull(column.children[0], Int(i), element, to: &out)
            }
            out.append("]")
        case .map(let key, let value):
            out.append("{")
            for (k, i) in (column.codes[row]..<column.codes[row + 1]).enumerated() {
                if k > 0 { out.append(", ") }
                appendOrNull(column.children[0], Int(i), key, to: &out)
                out.append("=")
                appendOrNull(column.children[1], Int(i), value, to: &out)
            }
            out.append("}")
        case .row(let fields):
            out.append("(")
            for (k, field) in fields.enumerated() {
                if k > 0 { out.append(", ") }
                appendOrNull(column.children[k], row, field.type, to: &out)
            }
            out.append(")")
        case .variant:
            var text: [UInt8] = []
            VariantJSON.write(Variant(column.bytes(at: row)), to: &text)
            text.withUnsafeBytes { out.append($0) }
        case .null: out.append("NULL")
        }
    }

    private mutating func appendOrNull(_ column: Column, _ row: Int, _ type: DataType, to out: inout TextSink) {
        if column.isValid(row) { append(column, row, type, to: &out) } else { out.append("NULL") }
    }

    private func appendInteger(_ value: Int64, to out: inout TextSink) {
        out.advance(NumberText.write(value, to: out.spareText(NumberText.capacity)))
    }

    /// Bytes as text; what is not UTF-8 is replaced, so that text always is.
    static func appendUTF8(_ bytes: UnsafeRawBufferPointer, to out: inout TextSink) {
        if bytes.allSatisfy({ $0 < 0x80 }) { out.append(bytes) } else { out.append(string: String(decoding: bytes, as: UTF8.self)) }
    }

    /// `+1-06`: years and months.
    static func appendMonths(_ months: Int32, to out: inout TextSink) {
        let n = Int64(months).magnitude
        out.append(months < 0 ? "-" : "+")
        out.append(string: "\(n / 12)-")
        appendPadded(n % 12, 2, to: &out)
    }

    /// `+1 02:03:04.005`: days, hours, minutes, seconds.
    static func appendMilliseconds(_ milliseconds: Int64, to out: inout TextSink) {
        let n = milliseconds.magnitude
        out.append(milliseconds < 0 ? "-" : "+")
        out.append(string: "\(n / 86_400_000) ")
        appendPadded(n / 3_600_000 % 24, 2, to: &out)
        out.append(":")
        appendPadded(n / 60_000 % 60, 2, to: &out)
        out.append(":")
        appendPadded(n / 1_000 % 60, 2, to: &out)
        out.append(".")
        appendPadded(n % 1_000, 3, to: &out)
    }

    private static func appendPadded(_ value: UInt64, _ digits: Int, to out: inout TextSink) {
        var divisor: UInt64 = 1
        for _ in 1..<digits { divisor *= 10 }
        while divisor > 0 {
            out.append(UInt8(0x30 + value / divisor % 10))
            divisor /= 10
        }
    }
}
