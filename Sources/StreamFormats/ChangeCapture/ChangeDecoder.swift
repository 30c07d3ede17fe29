import StreamCore

/// Reads change messages, one per line or one per message, into rows with row kinds.
///
/// The JSON reader decodes the envelopes into columns, of which images of rows (what a row was, what it is) are parts; a message's
/// rows are then picked from those by index. An update gives -U and +U, next to each other.
/// Blank records and `null` (tombstones) give nothing.
final class ChangeDecoder: RecordDecoder {
    var onBadRecord: ((BadRecord) throws -> Void)?

    private let format: ChangeCaptureFormat
    private let hasSchema: Bool
    private let ignoreErrors: Bool
    private let metrics: OperatorMetrics
    private let envelopes: JSONRecordDecoder
    /// For each output column, its position in an image.
    private let outputs: [Int]
    private var filters: [NamePattern]
    /// Reads no more than what `filters` look at.
    private let filterReader: JSONRecordDecoder?

    init(_ format: ChangeCaptureFormat, schema: Schema, projection: [Int], hasSchema: Bool, filters: [NamePattern], options: JSONOptions,
         metrics: OperatorMetrics) throws {
        self.format = format
        self.hasSchema = hasSchema
        self.filters = filters
        self.metrics = metrics
        ignoreErrors = options.ignoreParseErrors
        var wanted: [Int] = []
        outputs = projection.map { column in
            if let known = wanted.firstIndex(of: column) { return known }
            wanted.append(column)
            return wanted.count - 1
        }
        let image = DataType.row(wanted.map { Field(schema[$0].name, schema[$0].type) })
        var fields: Schema
        switch format {
        case .debezium: fields = [Field("before", image), Field("after", image), Field("op", .string)]
        case .canal: fields = [Field("data", .array(image)), Field("old", .array(image)), Field("type", .string)]
        case .maxwell: fields = [Field("data", image), Field("old", image), Field("type", .string)]
        }
        if hasSchema { fields = [Field("payload", .row(fields))] }
        let names = filters.map { Field($0.field, .string) }
        fields += names
        // Bad records are counted here, once they are known to be wanted.
        envelopes = try JSONRecordDecoder(schema: fields, projection: Array(fields.indices), options: options, metrics: OperatorMetrics())
        envelopes.keepsSpans = true
        filterReader = try names.isEmpty
            ? nil : JSONRecordDecoder(schema: names, projection: Array(names.indices), options: options, metrics: OperatorMetrics())
        for part in oldImage?.parts?.fills ?? [] { part.tracksMissing = true }
        filterReader?.onBadRecord = { _ in }
        envelopes.onBadRecord = { [unowned self] record in
            if try isWanted(record) { try report(record) }
        }
    }

    /// The images of which a message may leave out what did not change.
    private var oldImage: ColumnFill? {
        switch format {
        case .debezium: nil
        case .canal: envelopes.fills.fills[1].parts?.fills[0]
        case .maxwell: envelopes.fills.fills[1]
        }
    }

    func decode(chunk: Buffer, range: Range<Int>, isLast: Bool, maxRows: Int) throws -> (batch: Batch?, consumed: Int) {
        // An update is two rows.
        let (found, consumed) = try envelopes.decode(chunk: chunk, range: range, isLast: isLast, maxRows: max(1, maxRows / 2))
        guard let found else { return (nil, consumed) }
        let (batch, _) = try changes(found, chunk) { envelopes.spans[$0] }
        return (batch.count == 0 ? nil : batch, consumed)
    }

    func decode(records: [Range<Int>], in chunk: Buffer) throws -> (batch: Batch, recordOfRow: [Int32]) {
        let (found, recordOfEnvelope) = try envelopes.decode(records: records, in: chunk)
        let (batch, envelopeOfRow) = try changes(found, chunk) { records[Int(recordOfEnvelope[$0])] }
        return (batch, envelopeOfRow.map { recordOfEnvelope[Int($0)] })
    }

    // MARK: Envelopes

    private func changes(_ envelopes: Batch, _ chunk: Buffer, _ span: (Int) -> Range<Int>) throws -> (Batch, envelopeOfRow: [Int32]) {
        var parts = envelopes.columns
        let payload = hasSchema ? parts[0] : nil
        if let payload { parts.replaceSubrange(0..<1, with: payload.children) }
        var rows = ChangeRows(capacity: envelopes.count)
        let pair: (new: Column, old: Column)
        switch format {
        case .debezium: pair = (parts[1], parts[0])
        case .canal: pair = (parts[0].children[0], parts[1].children[0])
        case .maxwell: pair = (parts[0], parts[1])
        }
        for row in 0..<envelopes.physicalCount {
            if !filters.isEmpty {
                switch passes(Array(parts[3...]), row) {
                case .passes: break
                case .other: continue
                case .unknown(let field):
                    try bad(row, "field \"\(field)\" is missing, and '\(format.prefix)\(field).include' is set", chunk, span)
                    continue
                }
            }
            if let problem = envelope(parts, pair, row, isEmpty: payload.map { !$0.isValid(row) } ?? false, &rows) {
                try bad(row, problem, chunk, span)
            }
        }
        let missing = oldImage?.parts?.fills.map(\.missing)
        let columns = rows.columns(new: pair.new.children, old: pair.old.children, oldMissing: missing, newCount: pair.new.count)
        let batch = Batch(columns: outputs.map { columns[$0] }, physicalCount: rows.count, rowKinds: rows.kindBuffer())
        return (batch, rows.envelopes)
    }

    /// Adds the rows of one message, or says what is wrong with it.
    private func envelope(_ parts: [Column], _ images: (new: Column, old: Column), _ row: Int, isEmpty: Bool, _ rows: inout ChangeRows) -> String? {
        if isEmpty { return "field \"payload\" is missing, and 'debezium-json.schema-include' is true" }
        let word = format == .debezium ? "op" : "type"
        guard parts[2].isValid(row) else { return "field \"\(word)\" is missing" }
        let text = parts[2].bytes(at: row)
        guard let change = Change(text, format) else { return "unknown \"\(word)\" value \(TextConversion.excerpt(text))" }
        if change == .definition { return nil }
        let takesOld = change == .update || (change == .delete && format == .debezium)
        let takesNew = change != .delete || format != .debezium
        let news: Range<Int>, olds: Range<Int>
        if format == .canal {
            news = Self.range(parts[0], row)
            olds = Self.range(parts[1], row)
            if olds.count < news.count, takesOld, parts[1].isValid(row) { return "\"data\" has \(news.count) rows, but \"old\" \(olds.count)" }
        } else {
            news = row..<row + 1
            olds = news
        }
        // `before` is the first of the fields, `old` the second.
        let (newPart, oldPart) = format == .debezium ? (1, 0) : (0, 1)
        if takesNew, !parts[newPart].isValid(row) || !news.allSatisfy(images.new.isValid) {
            return "the \"\(format == .debezium ? "after" : "data")\" field of \(change.rawValue) message is null"
        }
        if takesOld, !parts[oldPart].isValid(row) || !(0..<news.count).allSatisfy({ images.old.isValid(olds.lowerBound + $0) }) {
            guard format == .debezium else { return "the \"old\" field of \(change.rawValue) message is null" }
            return "the \"before\" field of \(change.rawValue) message is null: if it comes from Debezium's connector for Postgres, "
                + "the REPLICA IDENTITY of the table must be set to FULL there"
        }
        for i in 0..<news.count {
            let new = news.lowerBound + i, old = olds.lowerBound + i
            switch change {
            case .insert: rows.add(new: new, .insert, row)
            case .update:
                rows.add(old: old, pairedWith: new, .updateBefore, row)
                rows.add(new: new, .updateAfter, row)
            case .delete:
                if takesOld { rows.add(old: old, pairedWith: new, .delete, row) } else { rows.add(new: new, .delete, row) }
            case .definition: break
            }
        }
        return nil
    }

    private static func range(_ list: Column, _ row: Int) -> Range<Int> { Int(list.codes[row])..<Int(list.codes[row + 1]) }

    /// What a message says of its rows.
    private enum Change: String {
        case insert = "INSERT", update = "UPDATE", delete = "DELETE"
        /// A table was made: no rows.
        case definition = "CREATE"

        private static let debezium: [(String, Change)] = [("c", .insert), ("u", .update), ("d", .delete), ("r", .insert)]
        private static let canal: [(String, Change)] = [("INSERT", .insert), ("UPDATE", .update), ("DELETE", .delete), ("CREATE", .definition)]
        private static let maxwell: [(String, Change)] = [("insert", .insert), ("update", .update), ("delete", .delete)]

        init?(_ text: UnsafeRawBufferPointer, _ format: ChangeCaptureFormat) {
            let words: [(String, Change)]
            switch format {
            case .debezium: words = Self.debezium
            case .canal: words = Self.canal
            case .maxwell: words = Self.maxwell
            }
            for (word, change) in words where word.utf8.count == text.count && word.utf8.elementsEqual(text) {
                self = change
                return
            }
            return nil
        }
    }

    // MARK: Filters

    private enum Verdict { case passes, other, unknown(String) }

    private func passes(_ names: [Column], _ row: Int) -> Verdict {
        for i in filters.indices {
            guard names[i].isValid(row) else { return .unknown(filters[i].field) }
            if !filters[i].matches(names[i].bytes(at: row)) { return .other }
        }
        return .passes
    }

    /// False for a message of another table, whose columns may well have other types.
    private func isWanted(_ record: BadRecord) throws -> Bool {
        guard let filterReader else { return true }
        let copy = record.bytes.withUnsafeBytes { Buffer(copying: $0) }
        let (names, _) = try filterReader.decode(records: [0..<record.bytes.count], in: copy)
        guard names.count > 0, case .other = passes(names.columns, 0) else { return true }
        return false
    }

    // MARK: Bad records

    private func bad(_ row: Int, _ reason: String, _ chunk: Buffer, _ span: (Int) -> Range<Int>) throws {
        let bytes = UnsafeRawBufferPointer(start: chunk.base + span(row).lowerBound, count: span(row).count)
        try report(BadRecord(bytes: Array(bytes), offset: span(row).lowerBound, reason: reason))
    }

    private func report(_ record: BadRecord) throws {
        metrics.badRecords.add(1)
        if let onBadRecord { return try onBadRecord(record) }
        if ignoreErrors { return }
        let excerpt = record.bytes.withUnsafeBytes { TextConversion.excerpt($0) }
        throw StreamError(.runtime, "\(format.name) record at byte \(record.offset): \(record.reason); the record is \(excerpt)",
                          fix: "correct the record or the column types, or set '\(format.prefix)ignore-parse-errors' = 'true' to skip what cannot be read")
    }
}
