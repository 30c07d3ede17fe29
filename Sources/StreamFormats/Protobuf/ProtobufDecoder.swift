import StreamCore

/// Reads protobuf messages, one per record, straight into columns. Fields that no column names are skipped.
///
/// What is not in a message: proto3 fields without `optional` are zero; others are NULL, or their default with
/// `protobuf.read-default-values`. An empty record is a message without any field.
final class ProtobufRecordDecoder: RecordDecoder {
    var onBadRecord: ((BadRecord) throws -> Void)?
    private let outputs: [Int]
    private let fills: ColumnFillGroup
    private let plan: ProtobufPlan
    private let heaps = HeapList()
    private let ignoreErrors: Bool
    private let metrics: OperatorMetrics
    private var stamps: UInt64 = 0

    init(schema: Schema, projection: [Int], options: ProtobufOptions, metrics: OperatorMetrics) throws {
        var wanted: [Int] = []
        outputs = projection.map { index in
            if let slot = wanted.firstIndex(of: index) { return slot }
            wanted.append(index)
            return wanted.count - 1
        }
        let fields = wanted.map { schema[$0] }
        fills = ColumnFillGroup(fields.map(\.type))
        plan = try ProtobufPlan(options, fields: fields, slots: fills.slots)
        ignoreErrors = options.ignoreErrors
        self.metrics = metrics
    }

    func decode(chunk: Buffer, range: Range<Int>, isLast: Bool, maxRows: Int) throws -> (batch: Batch?, consumed: Int) {
        throw StreamError(.runtime, "format 'protobuf' reads messages only: its records have no ends of their own", fix: "use it with a connector of messages, such as 'kafka'")
    }

    func decode(records: [Range<Int>], in chunk: Buffer) throws -> (batch: Batch, recordOfRow: [Int32]) {
        heaps.begin()
        fills.begin(max(records.count, 16))
        var recordOfRow: [Int32] = []
        recordOfRow.reserveCapacity(records.count)
        let base = UnsafePointer(chunk.pointer(as: UInt8.self))
        var reader = ProtobufReader(heapList: heaps)
        reader.heap = heaps.add(chunk)
        reader.heapBase = base
        reader.stamps = stamps
        defer { stamps = reader.stamps }
        var row = 0
        for (index, record) in records.enumerated() {
            precondition(record.lowerBound >= 0 && record.upperBound <= chunk.capacity, "range \(record) outside a chunk of \(chunk.capacity) bytes")
            // Views hold 32-bit offsets.
            guard record.upperBound < Int(Int32.max) else {
                throw StreamError(.runtime, "a chunk of \(chunk.capacity) bytes is too large to decode", fix: "read less than 2 GiB at a time")
            }
            if reader.record(plan.top, row, base + record.lowerBound, base + record.upperBound) {
                recordOfRow.append(Int32(truncatingIfNeeded: index))
                row += 1
            } else {
                try bad(reader, record, chunk, index, row)
            }
        }
        let columns = fills.fills.map { $0.finish(row, heaps: heaps.heaps) }
        heaps.begin()
        return (Batch(columns: outputs.map { columns[$0] }, physicalCount: row), recordOfRow)
    }

    private func bad(_ reader: ProtobufReader, _ range: Range<Int>, _ chunk: Buffer, _ index: Int, _ row: Int) throws {
        metrics.badRecords.add(1)
        let bytes = UnsafeRawBufferPointer(start: chunk.base + range.lowerBound, count: range.count)
        if let onBadRecord {
            return try onBadRecord(BadRecord(bytes: Array(bytes), offset: range.lowerBound, reason: reason(reader), record: index, row: row))
        }
        if ignoreErrors { return }
        throw StreamError(.runtime, "protobuf record at byte \(range.lowerBound): \(reason(reader)); the record is \(TextConversion.excerpt(bytes))",
                          fix: "correct the record or the descriptor file, or set 'protobuf.ignore-parse-errors' = 'true' to skip what cannot be read")
    }

    private func reason(_ reader: ProtobufReader) -> String {
        let path = reader.failedField.map { plan.paths[Int($0.pointee.label)] } ?? ""
        let field = path.isEmpty ? "" : "field \"\(path)\": "
        switch reader.failure {
        case .none, .truncated: return "\(field)it ends too early"
        case .varint: return "\(field)a whole number has more than 64 bits"
        case .tag: return "\(field)it has a field with an impossible number or wire type"
        case .utf8: return "\(field)its text is not UTF-8"
        case .range: return "\(field)its enum's number is too large for the column"
        case .required: return "\(field)it is missing, but required"
        case .mapKey: return "\(field)a key occurs twice, in a map whose values hold lists"
        case .group: return "\(field)a group ends that did not begin"
        case .depth: return "\(field)its groups are nested too deeply"
        }
    }
}
