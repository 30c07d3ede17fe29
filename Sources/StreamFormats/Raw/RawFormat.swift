import StreamCore

/// `'format' = 'raw'`: a table of one column whose value is the record's bytes.
public struct RawFormat: Format {
    public init() {}
    public var name: String { "raw" }
    public var optionKeys: Set<String> { ["raw.charset", "raw.endianness"] }

    public func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder {
        RawRecordDecoder(field: try column(table), projection: projection, bigEndian: try bigEndian(table), metrics: metrics)
    }

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder {
        RawRecordEncoder(field: try column(table), bigEndian: try bigEndian(table))
    }

    private func column(_ table: TableDescriptor) throws -> Field {
        guard table.schema.count == 1 else {
            throw StreamError(.validate, "table \(table.name): format 'raw' takes exactly one column, but there are \(table.schema.count)",
                              fix: "keep one column, or use 'json' or 'csv'")
        }
        switch SlotKind(table.schema[0].type) {
        case .text, .binary, .boolean, .int8, .int16, .int32, .int64, .float, .double: break
        default:
            throw StreamError(.validate, "table \(table.name): format 'raw' has no form for column \(table.schema[0].name) \(table.schema[0].type)",
                              fix: "use STRING, BYTES, BOOLEAN or a number type")
        }
        return table.schema[0]
    }

    private func bigEndian(_ table: TableDescriptor) throws -> Bool {
        let options = FormatOptions(table: table)
        let charset = options.string("raw.charset") ?? "UTF-8"
        guard ["UTF-8", "UTF8"].contains(charset.uppercased()) else {
            throw options.error("option 'raw.charset' = '\(charset)' is not supported", fix: "use 'UTF-8', and convert other text beforehand", key: "raw.charset")
        }
        return try options.choice("raw.endianness", ["big-endian", "little-endian"]) == "big-endian"
    }
}

/// Takes each message, or each line of a file without its line feed, as one value.
///
/// Numbers are binary, of exactly their type's width. Text must be UTF-8. Anything else is a bad record.
public final class RawRecordDecoder: RecordDecoder {
    public var onBadRecord: ((BadRecord) throws -> Void)?
    private let field: Field
    private let projection: [Int]
    private let bigEndian: Bool
    private let metrics: OperatorMetrics
    private let fill: ColumnFillGroup

    init(field: Field, projection: [Int], bigEndian: Bool, metrics: OperatorMetrics) {
        self.field = field
        self.projection = projection
        self.bigEndian = bigEndian
        self.metrics = metrics
        fill = ColumnFillGroup([field.type])
    }

    public func decode(chunk: Buffer, range: Range<Int>, isLast: Bool, maxRows: Int) throws -> (batch: Batch?, consumed: Int) {
        let bytes = chunk.pointer(as: UInt8.self)
        fill.begin(min(maxRows, max(16, range.count / 16)))
        var at = range.lowerBound, row = 0
        while at < range.upperBound, row < maxRows {
            var end = at
            while end < range.upperBound, bytes[end] != 10 { end += 1 }
            if end == range.upperBound, !isLast { break }
            fill.slots.ensure(row)
            if try store(chunk, at..<end, row, index: nil) { row += 1 }
            at = min(end + 1, range.upperBound)
        }
        return (row == 0 ? nil : finish(row, chunk), at - range.lowerBound)
    }

    public func decode(records: [Range<Int>], in chunk: Buffer) throws -> (batch: Batch, recordOfRow: [Int32]) {
        fill.begin(max(records.count, 1))
        var recordOfRow: [Int32] = []
        for (index, record) in records.enumerated() where try store(chunk, record, recordOfRow.count, index: index) {
            recordOfRow.append(Int32(truncatingIfNeeded: index))
        }
        return (finish(recordOfRow.count, chunk), recordOfRow)
    }

    private func finish(_ rows: Int, _ chunk: Buffer) -> Batch {
        let column = fill.fills[0].finish(rows, heaps: [chunk])
        return Batch(columns: projection.map { _ in column }, physicalCount: rows)
    }

    private func store(_ chunk: Buffer, _ range: Range<Int>, _ row: Int, index: Int?) throws -> Bool {
        precondition(range.lowerBound >= 0 && range.upperBound <= chunk.capacity, "range \(range) outside a chunk of \(chunk.capacity) bytes")
        guard range.upperBound < Int(Int32.max) else {
            throw StreamError(.runtime, "a chunk of \(chunk.capacity) bytes is too large to decode", fix: "read less than 2 GiB at a time")
        }
        let slot = fill.slots, start = UnsafePointer(chunk.pointer(as: UInt8.self)) + range.lowerBound
        let raw = UnsafeRawPointer(start)
        switch slot.pointee.kind {
        case .text where !JSONScan.isUTF8(start, start + range.count):
            try bad(chunk, range, "it is not UTF-8", index, row)
            return false
        case .text, .binary:
            slot.store(inline: start, range.count, heap: 0, offset: range.lowerBound, at: row)
            return true
        case _ where range.count != slot.pointee.width:
            try bad(chunk, range, "it has \(range.count) bytes, but a \(field.type) has \(slot.pointee.width)", index, row)
            return false
        case .boolean: slot.store(raw.load(as: UInt8.self) != 0 ? 1 : 0 as UInt8, at: row)
        case .int8: slot.store(raw.load(as: Int8.self), at: row)
        case .int16: slot.store(swapped(raw.loadUnaligned(as: Int16.self)), at: row)
        case .int32, .float: slot.store(swapped(raw.loadUnaligned(as: Int32.self)), at: row)
        default: slot.store(swapped(raw.loadUnaligned(as: Int64.self)), at: row)
        }
        return true
    }

    private func swapped<T: FixedWidthInteger>(_ value: T) -> T { bigEndian ? T(bigEndian: value) : T(littleEndian: value) }

    private func bad(_ chunk: Buffer, _ range: Range<Int>, _ reason: String, _ index: Int?, _ row: Int) throws {
        let bytes = UnsafeRawBufferPointer(start: chunk.base + range.lowerBound, count: range.count)
        guard let onBadRecord else {
            throw StreamError(.runtime, "raw record at byte \(range.lowerBound) for column \"\(field.name)\": \(reason); the record is \(TextConversion.excerpt(bytes))",
                              fix: "declare the column as BYTES to take any record")
        }
        metrics.badRecords.add(1)
        try onBadRecord(BadRecord(bytes: Array(bytes), offset: range.lowerBound, reason: reason, record: index, row: row))
    }
}

/// Writes the value's bytes and nothing else; NULL gives an empty record.
public final class RawRecordEncoder: RecordEncoder {
    private let field: Field
    private let bigEndian: Bool

    init(field: Field, bigEndian: Bool) {
        self.field = field
        self.bigEndian = bigEndian
    }

    public func encode(_ batch: Batch, into out: inout EncodedBytes) throws {
        let column = ColumnReading(batch.columns[0])
        for i in 0..<batch.count {
            value(column, batch.row(i), &out)
            out.append(UInt8(ascii: "\n"))
        }
    }

    public func encode(_ batch: Batch, into out: inout EncodedBytes, ends: inout [Int]) throws {
        let column = ColumnReading(batch.columns[0])
        for i in 0..<batch.count {
            value(column, batch.row(i), &out)
            ends.append(out.count)
        }
    }

    private func value(_ column: ColumnReading, _ row: Int, _ out: inout EncodedBytes) {
        if column.isNull(row) { return }
        func fixed<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
            withUnsafeBytes(of: bigEndian ? value.bigEndian : value.littleEndian) { out.append($0) }
        }
        switch column.kind {
        case .boolean: out.append(column.get(UInt8.self, row))
        case .int8: fixed(column.get(Int8.self, row))
        case .int16: fixed(column.get(Int16.self, row))
        case .int32, .float: fixed(column.get(Int32.self, row))
        case .int64, .double: fixed(column.get(Int64.self, row))
        default: out.append(column.column.bytes(at: row))
        }
    }
}
