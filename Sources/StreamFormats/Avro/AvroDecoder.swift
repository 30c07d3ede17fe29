import StreamCore

/// Reads Avro records, one per message, straight into columns.
///
/// Either all messages have one schema and nothing around the record, or each begins with a zero byte and the number of its
/// schema in a registry. Bytes behind a record are not looked at, as in Flink.
final class AvroRecordDecoder: RecordDecoder, EnvelopeDecoder {
    /// Where the schemas of messages come from.
    enum Writers {
        case fixed(AvroSchema)
        case registry(any SchemaRegistryAccess)
    }

    var onBadRecord: ((BadRecord) throws -> Void)?
    /// Set by decoders that look at the bad records of this one.
    var keepsSpans = false
    let spans: [Range<Int>] = []

    let fills: ColumnFillGroup
    private let name: String
    private let schema: Schema
    private let outputs: [Int]
    private let writers: Writers
    private let reader: AvroSchema?
    private let metrics: OperatorMetrics
    private let heaps = HeapList()
    private var plans: [Int32: Planned] = [:]
    private var fixed: AvroPlan?

    private enum Planned {
        case plan(AvroPlan)
        /// Why no record with this schema can be read.
        case unfit(String)
    }

    /// - Parameters:
    ///   - name: the format's name, for error messages.
    ///   - reader: an explicit schema for the table.
    ///   - projection: indices into `schema`, in the order in which columns are wanted.
    init(name: String, schema: Schema, projection: [Int], writers: Writers, reader: AvroSchema?, metrics: OperatorMetrics) throws {
        var wanted: [Int] = []
        outputs = projection.map { index in
            if let slot = wanted.firstIndex(of: index) { return slot }
            wanted.append(index)
            return wanted.count - 1
        }
        self.name = name
        self.schema = wanted.map { schema[$0] }
        self.writers = writers
        self.reader = reader
        self.metrics = metrics
        fills = ColumnFillGroup(self.schema.map(\.type))
        if case .fixed(let writer) = writers {
            do { fixed = try AvroPlan(writer: writer, reader: reader, fields: self.schema, slots: fills.slots) } catch let error as AvroMismatch {
                throw StreamError(.validate, "format '\(name)': \(error.text)", fix: "make the columns fit the schema")
            }
        }
    }

    func decode(chunk: Buffer, range: Range<Int>, isLast: Bool, maxRows: Int) throws -> (batch: Batch?, consumed: Int) {
        throw StreamError(.runtime, "format '\(name)' reads messages only: its records have no ends of their own", fix: "use it with a connector of messages, such as 'kafka'")
    }

    func decode(records: [Range<Int>], in chunk: Buffer) throws -> (batch: Batch, recordOfRow: [Int32]) {
        heaps.begin()
        let capacity = max(records.count, 16)
        fills.begin(capacity)
        var recordOfRow: [Int32] = []
        recordOfRow.reserveCapacity(records.count)
        let base = UnsafePointer(chunk.pointer(as: UInt8.self))
        let heap = heaps.add(chunk)
        var row = 0
        if let fixed {
            var reader = AvroReader(heapList: heaps, plan: fixed)
            (reader.heap, reader.heapBase) = (heap, base)
            for (index, record) in records.enumerated() {
                try check(record, chunk)
                if reader.record(fixed.top, row, base + record.lowerBound, base + record.upperBound) != nil {
                    recordOfRow.append(Int32(truncatingIfNeeded: index))
                    row += 1
                } else {
                    try bad(reason(reader, fixed), record, chunk, index, row)
                }
            }
        } else {
            var reader: AvroReader?
            var current: (id: Int32, plan: AvroPlan)?
            for (index, record) in records.enumerated() {
                try check(record, chunk)
                let start = base + record.lowerBound
                guard record.count >= 5, start[0] == 0 else {
                    let why = record.count < 5 ? "it has only \(record.count) bytes" : "its first byte is \(start[0]), not 0"
                    try bad("\(why): it was not written with a schema registry", record, chunk, index, row)
                    continue
                }
                let id = Int32(bigEndian: UnsafeRawPointer(start + 1).loadUnaligned(as: Int32.self))
                if current?.id != id {
                    switch try planned(id) {
                    case .plan(let plan):
                        current = (id, plan)
                        reader = AvroReader(heapList: heaps, plan: plan)
                        (reader!.heap, reader!.heapBase) = (heap, base)
                    case .unfit(let why):
                        try bad(why, record, chunk, index, row)
                        continue
                    }
                }
                guard let plan = current?.plan else { continue }
                if reader!.record(plan.top, row, start + 5, base + record.upperBound) != nil {
                    recordOfRow.append(Int32(truncatingIfNeeded: index))
                    row += 1
                } else {
                    try bad(reason(reader!, plan), record, chunk, index, row)
                }
            }
        }
        let columns = fills.fills.map { $0.finish(row, heaps: heaps.heaps) }
        heaps.begin()
        return (Batch(columns: outputs.map { columns[$0] }, physicalCount: row), recordOfRow)
    }

    private func check(_ range: Range<Int>, _ chunk: Buffer) throws {
        precondition(range.lowerBound >= 0 && range.upperBound <= chunk.capacity, "range \(range) outside a chunk of \(chunk.capacity) bytes")
        // Views hold 32-bit offsets.
        guard range.upperBound < Int(Int32.max) else {
            throw StreamError(.runtime, "a chunk of \(chunk.capacity) bytes is too large to decode", fix: "read less than 2 GiB at a time")
        }
    }

    // MARK: Schemas

    private func planned(_ id: Int32) throws -> Planned {
        if let known = plans[id] { return known }
        guard case .registry(let registry) = writers else { preconditionFailure("no registry") }
        guard let text = try registry.schema(id: id) else {
            // Not kept: the registry remembers for a while which schemas it does not have.
            return .unfit("there is no schema \(id) in the registry at \(registry.address)")
        }
        var made: Planned
        do { made = .plan(try AvroPlan(writer: AvroSchema(text), reader: reader, fields: schema, slots: fills.slots)) } catch let error as AvroMismatch {
            made = .unfit("schema \(id) of the registry does not fit the table: \(error.text)")
        } catch let error as StreamError {
            made = .unfit("schema \(id) of the registry cannot be used: \(error.problem)")
        }
        if plans.count >= 10_000 { plans.removeAll() }
        plans[id] = made
        return made
    }

    // MARK: Bad records

    private func bad(_ reason: String, _ range: Range<Int>, _ chunk: Buffer, _ index: Int, _ row: Int) throws {
        let bytes = UnsafeRawBufferPointer(start: chunk.base + range.lowerBound, count: range.count)
        guard let onBadRecord else {
            throw StreamError(.runtime, "\(name) record at byte \(range.lowerBound): \(reason); the record is \(TextConversion.excerpt(bytes))",
                              fix: "correct the record or the column types")
        }
        metrics.badRecords.add(1)
        try onBadRecord(BadRecord(bytes: Array(bytes), offset: range.lowerBound, reason: reason, record: index, row: row))
    }

    private func reason(_ reader: AvroReader, _ plan: AvroPlan) -> String {
        guard let step = reader.failedStep else { return "it is no record of its schema" }
        let path = plan.paths.indices.contains(Int(step.pointee.label)) ? plan.paths[Int(step.pointee.label)] : ""
        let field = path.isEmpty ? "" : "field \"\(path)\": "
        let type = step.pointee.slot.map { $0.pointee.fill._withUnsafeGuaranteedRef { $0.type.description } } ?? "its type"
        switch reader.failure {
        case .none, .truncated: return "\(field)it ends too early"
        case .length: return "\(field)it has a negative length"
        case .whole: return "\(field)a whole number has more than 64 bits"
        case .utf8: return "\(field)its text is not UTF-8"
        case .range: return "\(field)its value is too large for \(type)"
        case .branch: return "\(field)it names a branch that its union does not have"
        case .symbol: return "\(field)it names a symbol that its enum does not have"
        case .boolean: return "\(field)a boolean is neither 0 nor 1"
        case .mismatch: return plan.reasons.indices.contains(step.pointee.a) ? plan.reasons[step.pointee.a] : "\(field)it cannot be read as \(type)"
        case .depth: return "it is nested too deeply"
        case .required: return path.isEmpty ? "the record is null" : "\(field)it is null, but the column is NOT NULL"
        case .mapKey: return "\(field)a key occurs twice in a \(type)"
        case .empty: return "\(field)it has too many elements that take no bytes"
        }
    }
}
