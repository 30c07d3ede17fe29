import StreamCore

/// Writes rows as comma-separated lines in Flink's form: timestamps as SQL text, arrays joined by
/// `csv.array-element-delimiter`, NULL as `csv.null-literal`.
///
/// Text is quoted when it holds a character up to the delimiter or the quote in ASCII order (spaces among them), an escape
/// character, or is longer than 24 characters: Jackson's cheap rule, kept so that files compare equal to Flink's.
public final class CSVRecordEncoder: RecordEncoder {
    private let schema: Schema
    private let options: CSVOptions
    private let safeFrom: UInt8
    private let null: [UInt8]
    private var scratch = EncodedBytes()

    private static let quoteUnlooked = 24

    public init(schema: Schema, options: CSVOptions) throws {
        for field in schema { try CSVOptions.check(field.type, column: field.name) }
        self.schema = schema
        self.options = options
        safeFrom = max(options.delimiter, options.quote ?? 0, 13) + 1
        null = options.nullLiteral ?? []
    }

    public func startFile(into out: inout EncodedBytes) {
        guard options.header else { return }
        for (i, field) in schema.enumerated() {
            if i > 0 { out.append(options.delimiter) }
            var name = field.name
            name.withUTF8 { text(UnsafeRawBufferPointer($0), &out) }
        }
        out.append(UInt8(ascii: "\n"))
    }

    public func encode(_ batch: Batch, into out: inout EncodedBytes) throws {
        let columns = readings(batch)
        for i in 0..<batch.count {
            try row(columns, batch.row(i), &out)
            out.append(UInt8(ascii: "\n"))
        }
    }

    public func encode(_ batch: Batch, into out: inout EncodedBytes, ends: inout [Int]) throws {
        let columns = readings(batch)
        for i in 0..<batch.count {
            try row(columns, batch.row(i), &out)
            ends.append(out.count)
        }
    }

    private func readings(_ batch: Batch) -> [ColumnReading] {
        precondition(batch.columns.count == schema.count, "\(batch.columns.count) columns for a schema of \(schema.count)")
        return batch.columns.map { ColumnReading($0) }
    }

    private func row(_ columns: [ColumnReading], _ row: Int, _ out: inout EncodedBytes) throws {
        for i in 0..<columns.count {
            if i > 0 { out.append(options.delimiter) }
            let column = columns[i]
            if column.isNull(row) {
                out.append(null)
                continue
            }
            switch column.kind {
            case .boolean, .int8, .int16, .int32, .int64, .float, .double, .decimal:
                _ = column.appendPlain(row, to: &out)
            case .text:
                text(column.column.bytes(at: row), &out)
            default:
                scratch.removeAll()
                part(column, row)
                text(scratch.bytes, &out)
            }
        }
    }

    /// Puts the unquoted text of a value into `scratch`.
    private func part(_ column: ColumnReading, _ row: Int) {
        if column.isNull(row) {
            scratch.append(null)
            return
        }
        switch column.kind {
        case .text: scratch.append(column.column.bytes(at: row))
        case .binary: TextConversion.appendBase64(column.column.bytes(at: row), to: &scratch)
        case .variant:
            var text: [UInt8] = []
            VariantJSON.write(Variant(column.column.bytes(at: row)), to: &text)
            scratch.append(text)
        case .date, .time, .timestamp:
            let target = scratch.reserve(DateTimeText.capacity)
            scratch.advance(column.writeTemporal(row, separator: UInt8(ascii: " "), timePrecision: 3, to: target))
        case .array:
            let range = column.range(row)
            for i in range {
                if i > range.lowerBound { scratch.append(options.arrayDelimiter) }
                part(column.children[0], i)
            }
        case .row:
            for (i, child) in column.children.enumerated() {
                if i > 0 { scratch.append(options.arrayDelimiter) }
                part(child, row)
            }
        default: _ = column.appendPlain(row, to: &scratch)
        }
    }

    private func text(_ bytes: UnsafeRawBufferPointer, _ out: inout EncodedBytes) {
        guard let quote = options.quote else {
            appendEscaped(bytes, quote: nil, &out)
            return
        }
        var characters = 0, isPlain = true
        for byte in bytes {
            if byte & 0xC0 != 0x80 { characters += 1 }
            if byte < safeFrom || byte == options.escape { isPlain = false }
        }
        if isPlain, characters <= Self.quoteUnlooked {
            out.append(bytes)
            return
        }
        out.append(quote)
        appendEscaped(bytes, quote: quote, &out)
        out.append(quote)
    }

    private func appendEscaped(_ bytes: UnsafeRawBufferPointer, quote: UInt8?, _ out: inout EncodedBytes) {
        var from = 0
        for i in 0..<bytes.count {
            let byte = bytes[i]
            let special = byte == quote || byte == options.escape || (quote == nil && options.escape != nil && (byte == options.delimiter || byte == 10))
            guard special else { continue }
            out.append(UnsafeRawBufferPointer(rebasing: bytes[from..<i]))
            // A quote is doubled, as Flink does also when there is an escape character.
            out.append(byte == quote ? byte : options.escape ?? byte)
            // A line end behind an escape is written as the letter that stands for it.
            if byte == 10 { out.append(UInt8(ascii: "n")) } else { out.append(byte) }
            from = i + 1
        }
        out.append(UnsafeRawBufferPointer(rebasing: bytes[from..<bytes.count]))
    }
}
