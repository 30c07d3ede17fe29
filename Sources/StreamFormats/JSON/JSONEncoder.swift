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
        let columns = try readings(batch)
        for i in 0..<batch.count {
            try object(columns, names, batch.row(i), &out)
            out.append(UInt8(ascii: "\n"))
        }
    }

    public func encode(_ batch: Batch, into out: inout EncodedBytes, ends: inout [Int]) throws {
        let columns = try readings(batch)
        ends.reserveCapacity(ends.count + batch.count)
        for i in 0..<batch.count {
            try object(columns, names, batch.row(i), &out)
            ends.append(out.count)
        }
    }

    private func readings(_ batch: Batch) throws -> [Part] {
        precondition(batch.columns.count == schema.count, "\(batch.columns.count) columns for a schema of \(schema.count)")
        return batch.columns.map { Part(ColumnReading($0)) }
    }

    /// A column with the field names of the ROWs in it.
    private struct Part {
        let column: ColumnReading
        let parts: [Part]
        let names: [[UInt8]]

        init(_ column: ColumnReading) {
            self.column = column
            parts = column.children.map { Part($0) }
            if case .row(let fields) = column.type { names = fields.map { quoted($0.name) } } else { names = [] }
        }
    }

    private func object(_ parts: [Part], _ names: [[UInt8]], _ row: Int, _ out: inout EncodedBytes) throws {
        out.append(UInt8(ascii: "{"))
        var first = true
        for i in 0..<parts.count {
            let isNull = parts[i].column.isNull(row)
            if isNull, options.ignoreNullFields { continue }
            if !first { out.append(UInt8(ascii: ",")) }
            first = false
            names[i].withUnsafeBytes { out.append($0) }
            if isNull { out.append(Self.null) } else { try value(parts[i], row, &out) }
        }
        out.append(UInt8(ascii: "}"))
    }

    private static let null = Array("null".utf8)

    private func value(_ part: Part, _ row: Int, _ out: inout EncodedBytes) throws {
        let column = part.column
        switch column.kind {
        case .text: appendJSONString(column.column.bytes(at: row), to: &out)
        case .double where !column.get(Double.self, row).isFinite, .float where !column.get(Float.self, row).isFinite:
            out.append(UInt8(ascii: "\""))
            _ = column.appendPlain(row, to: &out)
            out.append(UInt8(ascii: "\""))
        case .boolean, .int8, .int16, .int32, .int64, .float, .double, .decimal:
            _ = column.appendPlain(row, to: &out)
        case .date, .time, .timestamp:
            let target = out.reserve(DateTimeText.capacity + 3)
            target[0] = UInt8(ascii: "\"")
            let n = column.writeTemporal(row, separator: separator, timePrecision: 0, to: target + 1)
            target[n + 1] = UInt8(ascii: "\"")
            out.advance(n + 2)
        case .variant:
            var text: [UInt8] = []
            VariantJSON.write(Variant(column.column.bytes(at: row)), to: &text)
            out.append(text)
        case .binary:
            out.append(UInt8(ascii: "\""))
            TextConversion.appendBase64(column.column.bytes(at: row), to: &out)
            out.append(UInt8(ascii: "\""))
        case .array:
            let range = column.range(row)
            out.append(UInt8(ascii: "["))
            for i in range {
                if i > range.lowerBound { out.append(UInt8(ascii: ",")) }
                try nullable(part.parts[0], i, &out)
            }
            out.append(UInt8(ascii: "]"))
        case .map: try map(part, row, &out)
        case .row: try object(part.parts, part.names, row, &out)
        case .null: out.append(Self.null)
        }
    }

    private func nullable(_ part: Part, _ row: Int, _ out: inout EncodedBytes) throws {
        if part.column.isNull(row) { out.append(Self.null) } else { try value(part, row, &out) }
    }

    private func map(_ part: Part, _ row: Int, _ out: inout EncodedBytes) throws {
        out.append(UInt8(ascii: "{"))
        var first = true
        for i in part.column.range(row) {
            let key = part.parts[0].column
            var literal: String?
            if key.isNull(i) {
                switch options.nullKeys {
                case .drop: continue
                case .literal(let text): literal = text
                case .fail:
                    throw StreamError(.runtime, "a value of type \(part.column.type) has a null key, which JSON cannot hold",
                                      fix: "set '\(options.prefix)map-null-key.mode' to 'DROP' or 'LITERAL'")
                }
            }
            if !first { out.append(UInt8(ascii: ",")) }
            first = false
            if let literal { out.append(Self.quoted(literal)) } else {
                appendJSONString(key.column.bytes(at: i), to: &out)
                out.append(UInt8(ascii: ":"))
            }
            try nullable(part.parts[1], i, &out)
        }
        out.append(UInt8(ascii: "}"))
    }
}

/// Appends a JSON string with its quotes. Quotes, backslashes and control characters are escaped, as Jackson does.
func appendJSONString(_ text: UnsafeRawBufferPointer, to out: inout EncodedBytes) {
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
