import StreamCore

/// Reads messages into columns, for a decoder that then makes rows of them.
protocol EnvelopeDecoder: RecordDecoder {
    /// One for each field of the message, in their order.
    var fills: ColumnFillGroup { get }
    /// Whether `spans` is kept: which bytes of the chunk each row of the last batch of lines came from.
    var keepsSpans: Bool { get set }
    var spans: [Range<Int>] { get }
}

/// Reads change messages, one per line or one per message, into rows with row kinds.
///
/// Another decoder reads the envelopes into columns, of which images of rows (what a row was, what it is) are parts; a message's
/// rows are then picked from those by index. An update gives -U and +U, next to each other.
/// Blank records and `null` (tombstones) give nothing.
final class ChangeDecoder: RecordDecoder {
    var onBadRecord: ((BadRecord) throws -> Void)?

    private let format: ChangeCaptureFormat
    private let mode: ChangeMode
    private let name: String
    private let hasSchema: Bool
    private let ignoreErrors: Bool
    private let ignoreErrorsOption: String?
    private let metrics: OperatorMetrics
    private let envelopes: any EnvelopeDecoder
    /// For each output column, its position in an image.
    private let outputs: [Int]
    /// For each metadata column, where its field is among those behind the images, or else beside the payload.
    private let metadata: [(ChangeMetadata, field: Int)]
    /// Where the whole image is in an image; nil when nobody wants it.
    private let whole: Int?
    /// Positions in an image that make up the primary key.
    private let keys: [Int]
    private var filters: [NamePattern]
    /// Where the fields are that filters look at, behind the images.
    private let filterFields: [Int]
    /// Reads no more than what `filters` look at.
    private let filterReader: (any EnvelopeDecoder)?
    /// Records of this call that are no envelopes.
    private var broken: [BadRecord] = []

    /// - Parameters:
    ///   - ignoreErrorsOption: what a user sets to skip bad records, if there is such an option.
    ///   - makeReader: gives a decoder of messages with these fields.
    ///   - primaryKey: columns of the schema. An update that changes one of them is a delete and an insert.
    init(_ format: ChangeCaptureFormat, mode: ChangeMode = .all, name: String, schema: Schema, primaryKey: [String], projection: [Int], hasSchema: Bool, filters: [NamePattern],
         metadata: [ChangeMetadata], ignoreErrorsOption: String?, ignoreErrors: Bool, metrics: OperatorMetrics,
         makeReader: (Schema) throws -> any EnvelopeDecoder) throws {
        self.format = format
        self.mode = mode
        self.name = name
        self.hasSchema = hasSchema
        self.filters = filters
        self.metrics = metrics
        self.ignoreErrors = ignoreErrors
        self.ignoreErrorsOption = ignoreErrorsOption
        var wanted: [Int] = []
        outputs = projection.map { column in
            if let known = wanted.firstIndex(of: column) { return known }
            wanted.append(column)
            return wanted.count - 1
        }
        keys = wanted.indices.filter { primaryKey.contains(schema[wanted[$0]].name) }
        whole = metadata.contains { $0.key == WholeRecord.key } ? wanted.count : nil
        let image = DataType.row(wanted.map { Field(schema[$0].name, schema[$0].type) } + (whole == nil ? [] : [WholeRecord.field]))
        var fields: Schema
        switch format {
        case .debezium: fields = [Field("before", image), Field("after", image), Field("op", .string)]
        case .canal: fields = [Field("data", .array(image)), Field("old", .array(image)), Field("type", .string)]
        case .maxwell: fields = [Field("data", image), Field("old", image), Field("type", .string)]
        }
        // What filters and metadata look at; both may look at the same field.
        var extra: Schema = [], outside: Schema = []
        func place(_ field: Field, in list: inout Schema) -> Int {
            if let known = list.firstIndex(of: field) { return known }
            list.append(field)
            return list.count - 1
        }
        let names = filters.map { Field($0.field, .string) }
        filterFields = names.map { place($0, in: &extra) }
        self.metadata = metadata.map { $0.key == WholeRecord.key || $0.key == ChangeMetadata.opKey ? ($0, -1) : ($0, $0.isOutside && hasSchema ? place($0.field, in: &outside) : place($0.field, in: &extra)) }
        fields += extra
        if hasSchema { fields = [Field("payload", .row(fields))] + outside }
        envelopes = try makeReader(fields)
        envelopes.keepsSpans = true
        filterReader = names.isEmpty ? nil : try makeReader(names)
        for part in oldImage?.parts?.fills ?? [] { part.tracksMissing = true }
        filterReader?.onBadRecord = { _ in }
        envelopes.onBadRecord = { [unowned self] record in
            if try isWanted(record) { broken.append(record) }
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
        broken.removeAll(keepingCapacity: true)
        // An update is two rows.
        let (found, consumed) = try envelopes.decode(chunk: chunk, range: range, isLast: isLast, maxRows: max(1, maxRows / 2))
        guard let found else {
            try reportBroken([])
            return (nil, consumed)
        }
        let (batch, envelopeOfRow) = try changes(found, chunk, nil) { envelopes.spans[$0] }
        try reportBroken(envelopeOfRow)
        return (batch.count == 0 ? nil : batch, consumed)
    }

    func decode(records: [Range<Int>], in chunk: Buffer) throws -> (batch: Batch, recordOfRow: [Int32]) {
        broken.removeAll(keepingCapacity: true)
        let (found, recordOfEnvelope) = try envelopes.decode(records: records, in: chunk)
        let (batch, envelopeOfRow) = try changes(found, chunk, recordOfEnvelope) { records[Int(recordOfEnvelope[$0])] }
        try reportBroken(envelopeOfRow)
        return (batch, envelopeOfRow.map { recordOfEnvelope[Int($0)] })
    }

    // MARK: Envelopes

    private func changes(_ envelopes: Batch, _ chunk: Buffer, _ recordOfEnvelope: [Int32]?, _ span: (Int) -> Range<Int>) throws
        -> (Batch, envelopeOfRow: [Int32])
    {
        let parts = hasSchema ? envelopes.columns[0].children : envelopes.columns
        let reading = Reading(format, payload: hasSchema ? envelopes.columns[0] : nil, parts)
        let names = filterFields.map { parts[3 + $0] }
        var rows = ChangeRows(capacity: envelopes.physicalCount)
        for row in 0..<envelopes.physicalCount {
            var problem = Problem.none
            if !names.isEmpty {
                switch passes(names, row) {
                case .passes: break
                case .other: continue
                case .unknown(let filter): problem = .filter(filter)
                }
            }
            if case .none = problem { problem = reading.add(row, to: &rows) }
            if case .none = problem { continue }
            try bad(row, reason(problem, row, parts), chunk, span(row), recordOfEnvelope.map { Int($0[row]) }, before: rows.count)
        }
        let missing = oldImage?.parts?.fills.map(\.missing)
        var columns = rows.columns(new: reading.new.children, old: reading.old.children, oldMissing: missing, newCount: reading.new.count)
        if let whole, missing != nil { columns[whole] = rows.mergedWhole(new: reading.new.children[whole], old: reading.old.children[whole]) }
        if !keys.isEmpty { replaceWhereKeysChange(&rows, keys.map { columns[$0] }) }
        if mode == .append, let kept = rows.dropUpdateBefore() { columns = kept.withUnsafeBufferPointer { kept in columns.map { $0.gather(kept.baseAddress!, count: kept.count) } } }
        var all = outputs.map { columns[$0] }
        for (wanted, field) in metadata {
            if wanted.key == ChangeMetadata.opKey {
                all.append(rows.letters())
                continue
            }
            if let whole, wanted.key == WholeRecord.key {
                all.append(columns[whole])
                continue
            }
            let source = wanted.isOutside && hasSchema ? envelopes.columns[1 + field] : parts[3 + field]
            let column = wanted.column(source)
            all.append(rows.envelopes.withUnsafeBufferPointer { picks in
                picks.baseAddress.map { column.gather($0, count: picks.count) } ?? ColumnBuilder(type: wanted.type).finish()
            })
        }
        return (Batch(columns: all, physicalCount: rows.count, rowKinds: mode == .append ? nil : rows.kindBuffer()), rows.envelopes)
    }

    /// An update of the primary key takes one row away and adds another.
    private func replaceWhereKeysChange(_ rows: inout ChangeRows, _ keys: [Column]) {
        for row in rows.updates where keys.contains(where: { !$0.hasEqualValues(row, row + 1) }) { rows.makeReplacement(at: row) }
    }

    /// What is wrong with a message.
    private enum Problem {
        case none, noPayload, noWord, unknownWord
        case noNew(Change), noOld(Change)
        /// Fewer rows in "old" than in "data".
        case tooFewOld(new: Int, old: Int)
        /// A filter looks at a field that is not there.
        case filter(Int)
    }

    private func reason(_ problem: Problem, _ row: Int, _ parts: [Column]) -> String {
        let word = format == .debezium ? "op" : "type"
        switch problem {
        case .none: return ""
        case .noPayload: return "field \"payload\" is missing, and 'debezium-json.schema-include' is true"
        case .noWord: return "field \"\(word)\" is missing"
        case .unknownWord: return "unknown \"\(word)\" value \(TextConversion.excerpt(parts[2].bytes(at: row)))"
        case .noNew(let change): return "the \"\(format == .debezium ? "after" : "data")\" field of \(change.rawValue) message is null"
        case .noOld(let change):
            guard format == .debezium else { return "the \"old\" field of \(change.rawValue) message is null" }
            return "the \"before\" field of \(change.rawValue) message is null: if it comes from Debezium's connector for Postgres, "
                + "the REPLICA IDENTITY of the table must be set to FULL there"
        case .tooFewOld(let new, let old): return "\"data\" has \(new) rows, but \"old\" \(old)"
        case .filter(let i): return "field \"\(filters[i].field)\" is missing, and '\(format.prefix)\(filters[i].field).include' is set"
        }
    }

    /// What a message says of its rows, by the name of the statement.
    private enum Change: String {
        case insert = "INSERT", update = "UPDATE", delete = "DELETE"
        /// A table was made: no rows.
        case definition = "CREATE"

        @inline(__always)
        init?(_ view: UnsafePointer<StringView>, _ format: ChangeCaptureFormat) {
            // All words are short, and so lie in the view.
            let count = Int(view.pointee.length), bytes = (UnsafeRawPointer(view) + 4).assumingMemoryBound(to: UInt8.self)
            func matches(_ word: StaticString) -> Bool {
                guard count == word.utf8CodeUnitCount else { return false }
                for i in 0..<count where bytes[i] != word.utf8Start[i] { return false }
                return true
            }
            switch format {
            case .debezium:
                guard count == 1 else { return nil }
                switch bytes[0] {
                case UInt8(ascii: "c"), UInt8(ascii: "r"): self = .insert
                case UInt8(ascii: "u"): self = .update
                case UInt8(ascii: "d"): self = .delete
                default: return nil
                }
            case .canal:
                if matches("INSERT") { self = .insert } else if matches("UPDATE") { self = .update } else if matches("DELETE") { self = .delete }
                else if matches("CREATE") { self = .definition } else { return nil }
            case .maxwell:
                if matches("insert") { self = .insert } else if matches("update") { self = .update } else if matches("delete") { self = .delete }
                else { return nil }
            }
        }
    }

    /// The envelopes of a batch as plain pointers, valid while `new`, `old` and the batch live.
    private struct Reading {
        /// The images of rows as they are, and as they were.
        let new: Column, old: Column
        private let format: ChangeCaptureFormat
        private let payload: Part?
        private let word: Part
        private let words: UnsafePointer<StringView>
        /// Fields of the message, and the images in them: the same but for lists.
        private let newField: Part, oldField: Part
        private let newImage: Part, oldImage: Part

        private struct Part {
            let validity: UnsafeRawPointer?
            /// Of lists.
            let offsets: UnsafePointer<Int32>

            init(_ column: Column) {
                validity = column.validity.map { UnsafeRawPointer($0.base) }
                offsets = column.codes
            }

            @inline(__always)
            func isValid(_ row: Int) -> Bool { validity.map { Bitmap.get($0, row) } ?? true }

            @inline(__always)
            func areValid(_ rows: Range<Int>) -> Bool {
                guard validity != nil else { return true }
                for row in rows where !isValid(row) { return false }
                return true
            }

            func range(_ row: Int) -> Range<Int> { Int(offsets[row])..<Int(offsets[row + 1]) }
        }

        init(_ format: ChangeCaptureFormat, payload: Column?, _ parts: [Column]) {
            self.format = format
            self.payload = payload.map { Part($0) }
            let fields = format == .debezium ? (new: parts[1], old: parts[0]) : (new: parts[0], old: parts[1])
            new = format == .canal ? fields.new.children[0] : fields.new
            old = format == .canal ? fields.old.children[0] : fields.old
            newField = Part(fields.new)
            oldField = Part(fields.old)
            newImage = Part(new)
            oldImage = Part(old)
            word = Part(parts[2])
            words = parts[2].pointer(as: StringView.self)
        }

        /// Adds the rows of one message, unless something is wrong with it.
        @inline(__always)
        func add(_ row: Int, to rows: inout ChangeRows) -> Problem {
            if let payload, !payload.isValid(row) { return .noPayload }
            guard word.isValid(row) else { return .noWord }
            guard let change = Change(words + row, format) else { return .unknownWord }
            if change == .definition { return .none }
            let deletesOld = change == .delete && format == .debezium
            let news = format == .canal ? newField.range(row) : row..<row + 1
            if !deletesOld, !newField.isValid(row) || !newImage.areValid(news) { return .noNew(change) }
            switch change {
            case .insert: for i in news { rows.add(new: i, .insert, row) }
            case .delete where !deletesOld: for i in news { rows.add(new: i, .delete, row) }
            default:
                guard oldField.isValid(row) else { return .noOld(change) }
                let olds = format == .canal ? oldField.range(row) : row..<row + 1
                guard olds.count >= news.count else { return .tooFewOld(new: news.count, old: olds.count) }
                guard oldImage.areValid(olds.prefix(news.count)) else { return .noOld(change) }
                for (i, j) in zip(olds, news) {
                    rows.add(old: i, pairedWith: j, deletesOld ? .delete : .updateBefore, row)
                    if !deletesOld { rows.add(new: j, .updateAfter, row) }
                }
            }
            return .none
        }
    }

    // MARK: Filters

    /// `unknown`: the field that this filter looks at is not there.
    private enum Verdict { case passes, other, unknown(Int) }

    private func passes(_ names: [Column], _ row: Int) -> Verdict {
        for i in filters.indices {
            guard names[i].isValid(row) else { return .unknown(i) }
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

    private func bad(_ row: Int, _ reason: String, _ chunk: Buffer, _ span: Range<Int>, _ record: Int?, before rows: Int) throws {
        let bytes = UnsafeRawBufferPointer(start: chunk.base + span.lowerBound, count: span.count)
        try report(BadRecord(bytes: Array(bytes), offset: span.lowerBound, reason: reason, record: record, row: rows))
    }

    /// Reports the records that are no envelopes, with their place among the rows.
    private func reportBroken(_ envelopeOfRow: [Int32]) throws {
        for var record in broken {
            record.row = record.row.map { envelope in envelopeOfRow.firstIndex { Int($0) >= envelope } ?? envelopeOfRow.count }
            try report(record)
        }
    }

    private func report(_ record: BadRecord) throws {
        metrics.badRecords.add(1)
        if let onBadRecord { return try onBadRecord(record) }
        if ignoreErrors { return }
        let excerpt = record.bytes.withUnsafeBytes { TextConversion.excerpt($0) }
        let skip = ignoreErrorsOption.map { ", or set '\($0)' = 'true' to skip what cannot be read" } ?? ""
        throw StreamError(.runtime, "\(name) record at byte \(record.offset): \(record.reason); the record is \(excerpt)",
                          fix: "correct the record or the column types" + skip)
    }
}

extension Column {
    /// Whether two rows of a plain column are the same: both NULL, or equal values.
    fileprivate func hasEqualValues(_ a: Int, _ b: Int) -> Bool {
        guard isValid(a), isValid(b) else { return isValid(a) == isValid(b) }
        switch type.physical {
        case .view: return bytes(at: a).elementsEqual(bytes(at: b))
        case .row, .list, .map, .null: return value(at: a) == value(at: b)
        default:
            let width = type.width
            return UnsafeRawBufferPointer(start: values.base + a * width, count: width)
                .elementsEqual(UnsafeRawBufferPointer(start: values.base + b * width, count: width))
        }
    }
}
