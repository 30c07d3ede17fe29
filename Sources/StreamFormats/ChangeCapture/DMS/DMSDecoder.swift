import StreamCore

/// Reads CSV or JSON lines of DMS into rows with row kinds.
final class DMSDecoder: RecordDecoder {
    var onBadRecord: ((BadRecord) throws -> Void)? {
        didSet { records.onBadRecord = onBadRecord }
    }

    private let records: any EnvelopeDecoder
    private let csv: CSVRecordDecoder?
    private let options: DMSOptions
    private let layout: DMSLayout
    private let changes: DMSRows
    private let metrics: OperatorMetrics

    init(_ layout: DMSLayout, _ options: DMSOptions, metrics: OperatorMetrics) throws {
        self.options = options
        self.layout = layout
        self.metrics = metrics
        changes = DMSRows(layout, options)
        let wanted = try WholeRecord.schema(layout.inner, layout.projection, layout.hasWhole ? [WholeRecord.key] : [], format: "dms")
        switch options.fileFormat {
        case .csv:
            let decoder = try CSVRecordDecoder(schema: wanted.schema, projection: wanted.projection, options: options.csv, metrics: metrics)
            (records, csv) = (decoder, decoder)
        case .json:
            var json = JSONOptions()
            json.ignoreParseErrors = options.ignoreErrors
            records = options.hasEnvelope
                ? try JSONRecordDecoder(schema: layout.envelope, projection: [0, 1], options: json, metrics: metrics)
                : try JSONRecordDecoder(schema: wanted.schema, projection: wanted.projection, options: json, metrics: metrics)
            csv = nil
        case .parquet:
            throw StreamError(.validate, "table \(options.table.name): '\(DMSFormat.prefix)file-format' = 'parquet' is for files, not for messages",
                              fix: "use 'csv' or 'json', or the connector 'filesystem'")
        }
        records.keepsSpans = true
    }

    func startFile(_ name: String) {
        setFile(name)
        records.startFile(name)
    }

    func resumeFile(_ name: String, head: (Int) throws -> Buffer) throws {
        setFile(name)
        try records.resumeFile(name, head: head)
    }

    /// Without a header only the name tells that a file has no Op column.
    private func setFile(_ name: String) {
        guard let csv, !options.csv.header else { return }
        csv.absent = name.hasPrefix(options.fullLoadPrefix) && !options.fullLoadHasOp ? 1 : 0
    }

    func decode(chunk: Buffer, range: Range<Int>, isLast: Bool, maxRows: Int) throws -> (batch: Batch?, consumed: Int) {
        let (read, consumed) = try records.decode(chunk: chunk, range: range, isLast: isLast, maxRows: maxRows)
        guard let read else { return (nil, consumed) }
        let (found, recordOf) = unwrapped(read)
        let (batch, _, unknown) = changes.changes(found)
        try report(unknown, found, chunk, { row in records.spans[recordOf.map { Int($0[row]) } ?? row] }, nil)
        return (batch.count == 0 ? nil : batch, consumed)
    }

    func decode(records ranges: [Range<Int>], in chunk: Buffer) throws -> (batch: Batch, recordOfRow: [Int32]) {
        let (read, messageOf) = try records.decode(records: ranges, in: chunk)
        let (found, recordOf) = unwrapped(read)
        let message = recordOf.map { $0.map { messageOf[Int($0)] } } ?? messageOf
        let (batch, rowOf, unknown) = changes.changes(found)
        try report(unknown, found, chunk, { ranges[Int(message[$0])] }, message)
        return (batch, rowOf.map { $0.map { message[Int($0)] } } ?? message)
    }

    private func unwrapped(_ batch: Batch) -> (Batch, rowOf: [Int32]?) {
        guard options.hasEnvelope else { return (batch, nil) }
        let (found, rows) = layout.unwrapped(batch)
        return (found, rows)
    }

    private func report(_ unknown: [Int], _ found: Batch, _ chunk: Buffer, _ span: (Int) -> Range<Int>, _ message: [Int32]?) throws {
        for (i, row) in unknown.enumerated() {
            let range = span(row), bytes = Array(UnsafeRawBufferPointer(start: chunk.base + range.lowerBound, count: range.count))
            let reason = changes.reason(TextConversion.excerpt(found.columns[0].flat().bytes(at: row)))
            metrics.badRecords.add(1)
            if let onBadRecord {
                try onBadRecord(BadRecord(bytes: bytes, offset: range.lowerBound, reason: reason, record: message.map { Int($0[row]) }, row: row - i))
            } else if !options.ignoreErrors {
                throw StreamError(.runtime, "dms record at byte \(range.lowerBound): \(reason); the record is \(bytes.withUnsafeBytes { TextConversion.excerpt($0) })",
                                  fix: "set '\(DMSFormat.prefix)op-column' to the column that says it, or '\(DMSFormat.prefix)ignore-parse-errors' = 'true'")
            }
        }
    }
}

/// Reads Parquet files of DMS into rows with row kinds.
final class DMSFileReader: FileReader {
    private let path: String
    private let rows: any FileReader
    private let changes: DMSRows
    private let metrics: OperatorMetrics
    private let ignoreErrors: Bool
    /// Rows that were left out, before the position that ``skip(rows:)`` counts.
    private var skipping = 0

    init(path: String, rows: any FileReader, changes: DMSRows, metrics: OperatorMetrics, ignoreErrors: Bool) {
        (self.path, self.rows, self.changes, self.metrics, self.ignoreErrors) = (path, rows, changes, metrics, ignoreErrors)
    }

    func next(maxRows: Int) throws -> Batch? {
        while let found = try rows.next(maxRows: maxRows) {
            let (batch, _, unknown) = changes.changes(found)
            if let row = unknown.first {
                metrics.badRecords.add(unknown.count)
                guard ignoreErrors else {
                    let text = TextConversion.excerpt(found.compacted().columns[0].flat().bytes(at: row))
                    throw StreamError(.runtime, "\(path): \(changes.reason(text))",
                                      fix: "set '\(DMSFormat.prefix)op-column' to the column that says it, or '\(DMSFormat.prefix)ignore-parse-errors' = 'true'")
                }
            }
            guard skipping > 0 else {
                if batch.count > 0 { return batch }
                continue
            }
            let left = batch.count - skipping
            guard left > 0 else {
                skipping -= batch.count
                continue
            }
            defer { skipping = 0 }
            return batch.slice(skipping..<batch.count).compacted()
        }
        return nil
    }

    func skip(rows count: Int) throws {
        // Where rows may be left out, only reading them tells how many lie before a position.
        if ignoreErrors { skipping += count } else { try rows.skip(rows: count) }
    }

    func close() { rows.close() }
}
