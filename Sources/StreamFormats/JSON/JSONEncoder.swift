import StreamCore

/// Writes rows as JSON objects without spaces, fields in column order, as Flink's JSON format does.
///
/// Timestamps carry as much of the fraction as is not zero; TIMESTAMP_LTZ is written in UTC with `Z`; binary values are
/// base64; doubles are in Java's form (`1.0E10`), NaN and infinities as strings; decimals are plain numbers.
public final class JSONRecordEncoder: RecordEncoder {
    private let options: JSONOptions
    private let separator: UInt8
    private let schema: Schema
    /// `"name":` per column.
    private let names: [[UInt8]]

    public init(schema: Schema, options: JSONOptions) throws {
        for field in schema { try checkJSON(field.type, column: field.name) }
        self.schema = schema
        self.options = options
        separator = options.timestamps == .sql ? UInt8(ascii: " ") : UInt8(ascii: "T")
        names = schema.map { Self.quoted($0.name) }
    }

    private static func quoted(_ name: String) -> [UInt8] {
        var out = EncodedBytes(capacity: 64)
        var copy = name
        copy.withUTF8 { appendJSONString(UnsafeRawBufferPointer($0), to: &out) }
        out.append(UInt8(ascii: ":"))
        return Array(out.bytes)
    }

    public func encode(_ batch: Batch, into out: inout EncodedBytes) throws {
        try forEachRow(batch, into: &out) { out in out.append(UInt8(ascii: "\n")) }
    }

    public func encode(_ batch: Batch, into out: inout EncodedBytes, ends: inout [Int]) throws {
        ends.reserveCapacity(ends.count + batch.count)
        try forEachRow(batch, into: &out) { out in ends.append(out.count) }
    }

    @inline(__always)
    private func forEachRow(_ batch: Batch, into out: inout EncodedBytes, _ rowEnds: (inout EncodedBytes) -> Void) throws {
        precondition(batch.columns.count == schema.count, "\(batch.columns.count) columns for a schema of \(schema.count)")
        let parts = Parts(batch.columns.map { ColumnReading($0) }, names: names)
        defer { withExtendedLifetime(parts) {} }
        for i in 0..<batch.count {
            try object(parts.base, parts.count, batch.row(i), &out)
            rowEnds(&out)
        }
    }

    /// Columns and, for ROWs, the fields in them, in memory that rows are written from without a reference counted.
    private final class Parts {
        let base: UnsafeMutablePointer<Part>, count: Int

        /// - Parameter names: `"name":` of each; empty for what has no names.
        init(_ columns: [ColumnReading], names: [[UInt8]]) {
            count = columns.count
            base = .allocate(capacity: max(count, 1))
            for (i, column) in columns.enumerated() {
                var fields: [[UInt8]] = []
                if case .row(let parts) = column.type { fields = parts.map { quoted($0.name) } }
                let name = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: names.isEmpty ? 0 : names[i].count + 1)
                if !names.isEmpty { _ = name.initialize(from: [UInt8(ascii: ",")] + names[i]) }
                let children = column.children.isEmpty ? nil : Parts(column.children, names: fields)
                (base + i).initialize(to: Part(plain: column.plain, column: column, name: UnsafeRawBufferPointer(name), children: children, parts: children?.base, partCount: children?.count ?? 0))
            }
        }

        deinit {
            for i in 0..<count { base[i].name.deallocate() }
            base.deinitialize(count: count)
            base.deallocate()
        }
    }

    private struct Part {
        let plain: PlainReading
        /// Keeps what `plain` points to alive.
        let column: ColumnReading
        /// `,"name":`
        let name: UnsafeRawBufferPointer
        /// Keeps `parts` alive.
        let children: Parts?
        let parts: UnsafeMutablePointer<Part>?
        let partCount: Int
    }

    private func object(_ parts: UnsafeMutablePointer<Part>?, _ count: Int, _ row: Int, _ out: inout EncodedBytes) throws {
        out.append(UInt8(ascii: "{"))
        var first = true
        for i in 0..<count {
            let part = parts! + i
            let isNull = part.pointee.plain.isNull(row)
            if isNull, options.ignoreNullFields { continue }
            let name = part.pointee.name
            out.append(first ? UnsafeRawBufferPointer(rebasing: name.dropFirst()) : name)
            first = false
            if isNull { Self.appendNull(&out) } else { try value(part, row, &out) }
        }
        out.append(UInt8(ascii: "}"))
    }

    private static func appendNull(_ out: inout EncodedBytes) {
        let text: StaticString = "null"
        out.append(UnsafeRawBufferPointer(start: text.utf8Start, count: 4))
    }

    private func value(_ part: UnsafeMutablePointer<Part>, _ row: Int, _ out: inout EncodedBytes) throws {
        switch part.pointee.plain.kind {
        case .text: appendJSONString(part.pointee.plain.bytes(row), to: &out)
        case .double where !part.pointee.plain.get(Double.self, row).isFinite, .float where !part.pointee.plain.get(Float.self, row).isFinite:
            out.append(UInt8(ascii: "\""))
            _ = part.pointee.plain.appendPlain(row, to: &out)
            out.append(UInt8(ascii: "\""))
        case .boolean, .int8, .int16, .int32, .int64, .float, .double, .decimal:
            _ = part.pointee.plain.appendPlain(row, to: &out)
        case .date, .time, .timestamp:
            let target = out.reserve(DateTimeText.capacity + 3)
            target[0] = UInt8(ascii: "\"")
            let n = part.pointee.plain.writeTemporal(row, separator: separator, timePrecision: 0, to: target + 1)
            target[n + 1] = UInt8(ascii: "\"")
            out.advance(n + 2)
        case .variant:
            var text: [UInt8] = []
            VariantJSON.write(Variant(part.pointee.plain.bytes(row)), to: &text)
            out.append(text)
        case .binary:
            out.append(UInt8(ascii: "\""))
            TextConversion.appendBase64(part.pointee.plain.bytes(row), to: &out)
            out.append(UInt8(ascii: "\""))
        case .array:
            let range = part.pointee.plain.range(row)
            out.append(UInt8(ascii: "["))
            for i in range {
                if i > range.lowerBound { out.append(UInt8(ascii: ",")) }
                try nullable(part.pointee.parts!, i, &out)
            }
            out.append(UInt8(ascii: "]"))
        case .map: try map(part, row, &out)
        case .row: try object(part.pointee.parts, part.pointee.partCount, row, &out)
        case .null: Self.appendNull(&out)
        }
    }

    private func nullable(_ part: UnsafeMutablePointer<Part>, _ row: Int, _ out: inout EncodedBytes) throws {
        if part.pointee.plain.isNull(row) { Self.appendNull(&out) } else { try value(part, row, &out) }
    }

    private func map(_ part: UnsafeMutablePointer<Part>, _ row: Int, _ out: inout EncodedBytes) throws {
        out.append(UInt8(ascii: "{"))
        var first = true
        let parts = part.pointee.parts!
        for i in part.pointee.plain.range(row) {
            let key = parts.pointee.plain
            var literal: String?
            if key.isNull(i) {
                switch options.nullKeys {
                case .drop: continue
                case .literal(let text): literal = text
                case .fail:
                    throw StreamError(.runtime, "a value of type \(part.pointee.column.type) has a null key, which JSON cannot hold",
                                      fix: "set '\(options.prefix)map-null-key.mode' to 'DROP' or 'LITERAL'")
                }
            }
            if !first { out.append(UInt8(ascii: ",")) }
            first = false
            if let literal { out.append(Self.quoted(literal)) } else {
                appendJSONString(key.bytes(i), to: &out)
                out.append(UInt8(ascii: ":"))
            }
            try nullable(parts + 1, i, &out)
        }
        out.append(UInt8(ascii: "}"))
    }
}

/// Appends a JSON string with its quotes. Quotes, backslashes and control characters are escaped, as Jackson does.
func appendJSONString(_ text: UnsafeRawBufferPointer, to out: inout EncodedBytes) {
    if let start = text.baseAddress, !needsEscape(start, text.count) {
        let target = UnsafeMutableRawPointer(out.reserve(text.count + 2))
        target.storeBytes(of: UInt8(ascii: "\""), as: UInt8.self)
        (target + 1).copyMemory(from: start, byteCount: text.count)
        (target + 1 + text.count).storeBytes(of: UInt8(ascii: "\""), as: UInt8.self)
        return out.advance(text.count + 2)
    }
    out.append(UInt8(ascii: "\""))
    var from = 0
    for i in 0..<text.count {
        let c = text[i]
        guard c < 0x20 || c == UInt8(ascii: "\"") || c == UInt8(ascii: "\\") else { continue }
        out.append(UnsafeRawBufferPointer(rebasing: text[from..<i]))
        from = i + 1
        out.append(UInt8(ascii: "\\"))
        switch c {
        case 8: out.append(UInt8(ascii: "b"))
        case 9: out.append(UInt8(ascii: "t"))
        case 10: out.append(UInt8(ascii: "n"))
        case 12: out.append(UInt8(ascii: "f"))
        case 13: out.append(UInt8(ascii: "r"))
        case 0..<0x20:
            let digits = Array("0123456789ABCDEF".utf8)
            out.append([UInt8(ascii: "u"), 48, 48, digits[Int(c >> 4)], digits[Int(c & 15)]])
        default: out.append(c)
        }
    }
    out.append(UnsafeRawBufferPointer(rebasing: text[from..<text.count]))
    out.append(UInt8(ascii: "\""))
}

/// Whether a quote, a backslash or a control character is among the bytes; looks at eight at a time.
@inline(__always)
private func needsEscape(_ start: UnsafeRawPointer, _ count: Int) -> Bool {
    let ones: UInt64 = 0x0101_0101_0101_0101, tops: UInt64 = 0x8080_8080_8080_8080
    var i = 0
    while i + 8 <= count {
        let x = (start + i).loadUnaligned(as: UInt64.self)
        let quote = x ^ (ones &* 0x22), backslash = x ^ (ones &* 0x5C)
        // The lowest byte found is never wrong; one above it may be, which does no harm here.
        let found = ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | ((x &- ones &* 0x20) & ~x)
        if found & tops != 0 { return true }
        i += 8
    }
    while i < count {
        let c = (start + i).load(as: UInt8.self)
        if c < 0x20 || c == 0x22 || c == 0x5C { return true }
        i += 1
    }
    return false
}
