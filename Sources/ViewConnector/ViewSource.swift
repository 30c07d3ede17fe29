import StreamCore
import StreamFormats

extension ViewConnector: LookupConnector {
    /// The rows that there are when it is read. What changes meanwhile may be in it or not, each row as a whole.
    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        ViewSource(rows: ViewRows(reader: reader, name: try ViewOptions(table).name, table: table), projection: scan.projection)
    }

    /// By the whole key: the newest row at the moment.
    public func lookup(for table: TableDescriptor, request: LookupRequest) throws -> LookupAccess {
        _ = try LookupOptions(table, caches: [.none, .partial])
        let codec = try KeyCodec(table)
        guard Set(request.keys) == Set(codec.columns) else {
            let key = codec.fields.map(\.name).joined(separator: ", ")
            throw StreamError(.plan, "table \(table.name): rows of a view are found by its key (\(key)), but the join compares \(request.keys.map { table.schema[$0].name }.joined(separator: ", "))",
                              fix: "join by equality with \(key), and put other conditions into WHERE")
        }
        return .byKey(ViewLookup(rows: ViewRows(reader: reader, name: try ViewOptions(table).name, table: table), codec: codec, request: request))
    }
}

/// Rows of a view as columns.
private struct ViewRows: Sendable {
    let reader: any ViewReader
    let name: String
    let table: TableDescriptor

    func decoder(_ projection: [Int], _ metrics: OperatorMetrics) throws -> JSONRecordDecoder {
        try JSONRecordDecoder(schema: table.schema, projection: projection, options: JSONOptions(), metrics: metrics)
    }

    static func decode(_ rows: [[UInt8]], _ decoder: JSONRecordDecoder) throws -> (batch: Batch, recordOfRow: [Int32]) {
        var bytes: [UInt8] = [], records: [Range<Int>] = []
        for row in rows {
            records.append(bytes.count..<bytes.count + row.count)
            bytes += row
        }
        let decoded = try decoder.decode(records: records, in: bytes.withUnsafeBytes { Buffer(copying: $0) })
        return (decoded.batch.compacted(), decoded.recordOfRow)
    }

    func reading<R>(_ body: () throws -> R) throws -> R {
        do { return try body() } catch let error as ViewError {
            throw StreamError(error.status == 503 ? .io : .validate, "table \(table.name): \(error.problem)", fix: error.fix)
        }
    }
}

private struct ViewSource: TableSource {
    let rows: ViewRows
    let projection: [Int]

    var isBounded: Bool { true }
    var parallelism: Int? { 1 }
    func splits() throws -> [SourceSplit] { [SourceSplit(id: "rows")] }
    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        Reader(rows, try rows.decoder(projection, metrics), after: split.position)
    }

    /// The position is the key of the last row that was read.
    private final class Reader: SplitReader {
        private let rows: ViewRows, decoder: JSONRecordDecoder
        private var after: String?
        private var isOver = false

        init(_ rows: ViewRows, _ decoder: JSONRecordDecoder, after: String?) {
            (self.rows, self.decoder) = (rows, decoder)
            self.after = after?.isEmpty == true ? nil : after
        }

        var position: String { after ?? "" }

        func next(maxRows: Int) throws -> ReadResult {
            guard !isOver else { return .endOfSplit }
            let page = try rows.reading { try rows.reader.scan(rows.name, limit: max(1, min(maxRows, 1_000)), after: after) }
            isOver = page.next == nil
            guard let last = page.rows.last else { return .endOfSplit }
            after = last.key
            return .batch(try ViewRows.decode(page.rows.map { $0.row ?? [] }, decoder).batch)
        }
    }
}

private struct ViewLookup: KeyedTable {
    let rows: ViewRows
    let codec: KeyCodec
    let request: LookupRequest

    func reader(metrics: OperatorMetrics) throws -> any LookupReader { Reader(self, try rows.decoder(request.projection, metrics)) }

    private final class Reader: LookupReader {
        private let lookup: ViewLookup, decoder: JSONRecordDecoder

        init(_ lookup: ViewLookup, _ decoder: JSONRecordDecoder) { (self.lookup, self.decoder) = (lookup, decoder) }

        func look(_ keys: [Column], count: Int) throws -> (columns: [Column], keys: [Int32]) {
            let rows = lookup.rows, given = lookup.request.keys
            let texts = try lookup.codec.texts(lookup.codec.columns.map { keys[given.firstIndex(of: $0)!] }, count: count)
            var found: [[UInt8]] = [], owners: [Int32] = []
            for (i, text) in texts.enumerated() {
                guard let row = try rows.reading({ try rows.reader.get(rows.name, key: text) })?.row else { continue }
                found.append(row)
                owners.append(Int32(truncatingIfNeeded: i))
            }
            let decoded = try ViewRows.decode(found, decoder)
            return (decoded.batch.columns, decoded.recordOfRow.map { owners[Int($0)] })
        }
    }
}
