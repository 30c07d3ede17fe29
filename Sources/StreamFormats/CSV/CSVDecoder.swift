import StreamCore

/// Reads comma-separated lines: fields by position, quoted fields with doubled quotes, escapes and line ends inside quotes.
///
/// As in Flink, a line with too few or too many fields is an error. With `csv.ignore-parse-errors` missing fields are NULL,
/// and so is a field that cannot be read as its type; a line with surplus fields is skipped and counted. Blank lines give no row. An empty field
/// is NULL only when `csv.null-literal` is empty.
public final class CSVRecordDecoder: RecordDecoder, EnvelopeDecoder {
    public var onBadRecord: ((BadRecord) throws -> Void)?

    private let schema: Schema
    private let options: CSVOptions
    private let metrics: OperatorMetrics
    private let projection: [Int]
    let fills: ColumnFillGroup
    var keepsSpans = false
    private(set) var spans: [Range<Int>] = []
    private let heaps = HeapList()
    private var fields: UnsafeMutablePointer<CSVField>
    private var skipHeader: Bool
    /// Columns that files hold: all of the schema but a last one that takes whole records.
    private let columnCount: Int
    private let keepsWhole: Bool
    /// How many of the first columns the current file does not have.
    var absent = 0 { didSet { if absent != oldValue { arrange() } } }
    /// The names in the current file's header; nil before the first.
    private var names: [[UInt8]]?
    /// For each projected column its field in a record; -1 = there is none.
    private var places: [Int] = []
    /// Fields of a record, and how many of them there may be at most.
    private var expected = 0, limit = 0
    /// Names of fields in whole records; empty = left out.
    private var wholeNames: [[UInt8]] = []
    private var rowCapacity = 0
    private var problem: Problem?

    private enum Problem {
        case fieldCount(Int), conversion(column: Int, text: [UInt8]), notUTF8(column: Int), quote
    }

    /// - Parameter projection: indices into `schema`, in the order in which columns are wanted.
    public init(schema: Schema, projection: [Int], options: CSVOptions, metrics: OperatorMetrics) throws {
        keepsWhole = schema.last?.name == WholeRecord.name
        columnCount = schema.count - (keepsWhole ? 1 : 0)
        for index in projection { try CSVOptions.check(schema[index].type, column: schema[index].name) }
        self.schema = schema
        self.projection = projection
        self.options = options
        self.metrics = metrics
        fills = ColumnFillGroup(projection.map { schema[$0].type })
        fields = .allocate(capacity: 1)
        skipHeader = options.header
        arrange()
    }

    /// Settles where columns are in the records of the current file.
    private func arrange() {
        if options.columnsByName, let names {
            let known = Dictionary(names.enumerated().map { (String(decoding: $1, as: UTF8.self), $0) }) { first, _ in first }
            places = projection.map { known[schema[$0].name] ?? -1 }
            expected = names.count
        } else {
            places = projection.map { $0 < columnCount && $0 >= absent ? $0 - absent : -1 }
            expected = columnCount - absent
        }
        // Of whole records surplus fields are parts, as long as they have names.
        limit = keepsWhole ? max(expected, names?.count ?? 0) : expected
        if keepsWhole {
            let own = (absent..<columnCount).map { Array(schema[$0].name.utf8) }
            // Columns that are found by their places have the names of the table.
            let all = options.columnsByName ? names ?? own : own + (names ?? []).dropFirst(own.count)
            wholeNames = all.map { options.control.contains(String(decoding: $0, as: UTF8.self)) ? [] : $0 }
        }
        fields.deallocate()
        fields = .allocate(capacity: limit + 1)
        fields.initialize(repeating: CSVField(), count: limit + 1)
    }

    /// Takes the names of a header line.
    private func takeHeader(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) {
        guard options.columnsByName || keepsWhole else { return }
        let most = 16_384
        let found = UnsafeMutablePointer<CSVField>.allocate(capacity: most + 1)
        defer { found.deallocate() }
        found.initialize(repeating: CSVField(), count: most + 1)
        let record = CSVScanner(options, fieldLimit: most).record(start, end, isLast: true, into: found)
        names = (0..<min(record.fieldCount, most)).map { i in
            var raw = UnsafeRawBufferPointer(start: found[i].start, count: found[i].end - found[i].start)
            // A byte order mark is no part of the first name.
            if i == 0, raw.starts(with: [0xEF, 0xBB, 0xBF]) { raw = UnsafeRawBufferPointer(rebasing: raw.dropFirst(3)) }
            return [UInt8](unsafeUninitializedCapacity: raw.count + 1) { out, n in n = CSVScanner.clean(raw, options, to: out.baseAddress!) }
        }
        arrange()
    }

    public func resumeFile(_ name: String, head: (Int) throws -> Buffer) throws {
        skipHeader = false
        guard options.header, options.columnsByName || keepsWhole else { return }
        let bytes = try head(1 << 20), base = UnsafePointer(bytes.pointer(as: UInt8.self))
        takeHeader(base, base + bytes.capacity)
    }

    deinit { fields.deallocate() }

    public func startFile(_ name: String) { skipHeader = options.header }

    public func decode(chunk: Buffer, range: Range<Int>, isLast: Bool, maxRows: Int) throws -> (batch: Batch?, consumed: Int) {
        try begin(chunk, range, rows: min(maxRows, max(16, range.count / 32)))
        let base = UnsafePointer(chunk.pointer(as: UInt8.self)), end = base + range.upperBound
        var scanner = CSVScanner(options, fieldLimit: limit)
        var p = base + range.lowerBound, row = 0
        while p < end, row < maxRows {
            let record = scanner.record(p, end, isLast: isLast, into: fields)
            guard let next = record.next else { break }
            let start = p
            p = next
            if skipHeader {
                skipHeader = false
                takeHeader(start, next)
                scanner = CSVScanner(options, fieldLimit: limit)
                continue
            }
            try take(record, start, base, &row, index: nil)
        }
        return (row == 0 ? nil : finish(row), p - base - range.lowerBound)
    }

    public func decode(records: [Range<Int>], in chunk: Buffer) throws -> (batch: Batch, recordOfRow: [Int32]) {
        try begin(chunk, 0..<(records.map(\.upperBound).max() ?? 0), rows: max(records.count, 1))
        let base = UnsafePointer(chunk.pointer(as: UInt8.self))
        let scanner = CSVScanner(options, fieldLimit: limit)
        var recordOfRow: [Int32] = [], row = 0
        for (index, range) in records.enumerated() where !range.isEmpty {
            let before = row
            let record = scanner.record(base + range.lowerBound, base + range.upperBound, isLast: true, into: fields)
            try take(record, base + range.lowerBound, base, &row, index: index)
            if row > before { recordOfRow.append(Int32(truncatingIfNeeded: index)) }
        }
        return (finish(row), recordOfRow)
    }

    private func begin(_ chunk: Buffer, _ range: Range<Int>, rows: Int) throws {
        precondition(range.lowerBound >= 0 && range.upperBound <= chunk.capacity, "range \(range) outside a chunk of \(chunk.capacity) bytes")
        guard range.upperBound < Int(Int32.max) else {
            throw StreamError(.runtime, "a chunk of \(chunk.capacity) bytes is too large to decode", fix: "read less than 2 GiB at a time")
        }
        heaps.begin()
        spans.removeAll(keepingCapacity: true)
        _ = heaps.add(chunk)
        rowCapacity = max(rows, 16)
        fills.begin(rowCapacity)
    }

    private func finish(_ rows: Int) -> Batch {
        let columns = fills.fills.map { $0.finish(rows, heaps: heaps.heaps) }
        heaps.begin()
        return Batch(columns: columns, physicalCount: rows)
    }

    /// Adds the row of a record, or deals with what is wrong with it.
    private func take(_ record: CSVScanner.Record, _ start: UnsafePointer<UInt8>, _ base: UnsafePointer<UInt8>, _ row: inout Int,
                      index: Int?) throws {
        if record.isBlank || record.isComment { return }
        if row >= rowCapacity {
            rowCapacity *= 2
            for fill in fills.fills { fill.grow(to: rowCapacity) }
        }
        problem = nil
        if record.isMalformed {
            problem = .quote
        } else if record.fieldCount > limit || (record.fieldCount < expected && !options.ignoreParseErrors) {
            problem = .fieldCount(record.fieldCount)
        } else {
            let fields = fields, slots = fills.slots
            for (i, place) in places.enumerated() {
                let slot = slots + i
                if place < 0, keepsWhole, projection[i] == columnCount { storeWhole(slot, row, record.fieldCount); continue }
                if place < 0 || place >= record.fieldCount { slot.setNull(row) } else if !store(projection[i], fields[place], slot, row, base) { break }
            }
        }
        guard let problem else {
            row += 1
            if keepsSpans { spans.append((start - base)..<(max(record.end, start) - base)) }
            return
        }
        let bytes = UnsafeRawBufferPointer(start: start, count: max(0, record.end - start))
        let offset = start - base
        if let onBadRecord {
            metrics.badRecords.add(1)
            try onBadRecord(BadRecord(bytes: Array(bytes), offset: offset, reason: reason(problem), record: index, row: row))
        } else if options.ignoreParseErrors {
            metrics.badRecords.add(1)
        } else {
            throw StreamError(.runtime, "CSV record at byte \(offset): \(reason(problem)); the record is \(TextConversion.excerpt(bytes))",
                              fix: "correct the record or the column types, or set 'csv.ignore-parse-errors' = 'true'")
        }
    }

    private func reason(_ problem: Problem) -> String {
        switch problem {
        case .fieldCount(let n):
            let surplus = n > limit ? "more than \(limit)" : "\(n)"
            return "it has \(surplus) fields, but the \(options.columnsByName ? "header has \(expected) names" : "table has \(expected) columns")"
        case .conversion(let column, let text):
            let shown = text.withUnsafeBytes { TextConversion.excerpt($0) }
            let hint = text.isEmpty ? " (with 'csv.null-literal' = '' empty fields are NULL)" : ""
            return "field \"\(schema[column].name)\": \"\(shown)\" cannot be read as \(schema[column].type)\(hint)"
        case .notUTF8(let column): return "field \"\(schema[column].name)\" is not UTF-8"
        case .quote: return "a quoted field is not closed, or something follows its closing quote"
        }
    }

    /// False when the record must be given up; `problem` then says why.
    private func store(_ column: Int, _ field: CSVField, _ slot: UnsafeMutablePointer<Slot>, _ row: Int, _ base: UnsafePointer<UInt8>) -> Bool {
        let raw = UnsafeRawBufferPointer(start: field.start, count: field.end - field.start)
        guard field.needsCleaning else { return store(raw, isRaw: true, column, slot, row, base) }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: raw.count + 1) { out in
            let n = CSVScanner.clean(raw, options, to: out.baseAddress!)
            return store(UnsafeRawBufferPointer(start: out.baseAddress!, count: n), isRaw: false, column, slot, row, base)
        }
    }

    private func store(_ text: UnsafeRawBufferPointer, isRaw: Bool, _ column: Int, _ slot: UnsafeMutablePointer<Slot>, _ row: Int,
                       _ base: UnsafePointer<UInt8>) -> Bool {
        if let null = options.nullLiteral, text.elementsEqual(null) {
            slot.setNull(row)
            return true
        }
        if options.emptyIsNull, text.isEmpty, slot.pointee.kind != .text {
            slot.setNull(row)
            return true
        }
        if let start = text.baseAddress, !JSONScan.isUTF8(start.assumingMemoryBound(to: UInt8.self), start.assumingMemoryBound(to: UInt8.self) + text.count) {
            return refuse(.notUTF8(column: column), slot, row)
        }
        switch slot.pointee.kind {
        case .text where isRaw:
            let start = text.baseAddress!.assumingMemoryBound(to: UInt8.self)
            slot.store(inline: start, text.count, heap: 0, offset: start - base, at: row)
            return true
        case .array, .row:
            if storeParts(text, slot, row) { return true }
        default:
            if storeScalar(text, slot, row) { return true }
        }
        return refuse(.conversion(column: column, text: Array(text.prefix(200))), slot, row)
    }

    /// The record as an object of texts by their names.
    private func storeWhole(_ slot: UnsafeMutablePointer<Slot>, _ row: Int, _ count: Int) {
        var writer = VariantWriter()
        writer.object { out, next in
            for i in 0..<min(count, wholeNames.count) where !wholeNames[i].isEmpty {
                let raw = UnsafeRawBufferPointer(start: fields[i].start, count: fields[i].end - fields[i].start)
                let text = [UInt8](unsafeUninitializedCapacity: raw.count + 1) { out, n in n = CSVScanner.clean(raw, options, to: out.baseAddress!) }
                if let null = options.nullLiteral, text == null { out.appendNull() } else { text.withUnsafeBytes { out.append(string: $0) } }
                next(&out, wholeNames[i])
            }
        }
        let n = writer.bytes.count, out = heaps.reserve(n)
        writer.bytes.withUnsafeBytes { UnsafeMutableRawPointer(out).copyMemory(from: $0.baseAddress!, byteCount: n) }
        let (heap, offset) = heaps.commit(n > StringView.inlineLength ? n : 0)
        slot.store(inline: UnsafePointer(out), n, heap: heap, offset: offset, at: row)
    }

    private func refuse(_ what: Problem, _ slot: UnsafeMutablePointer<Slot>, _ row: Int) -> Bool {
        if options.ignoreParseErrors {
            slot.setNull(row)
            return true
        }
        problem = what
        return false
    }

    private func storeScalar(_ text: UnsafeRawBufferPointer, _ slot: UnsafeMutablePointer<Slot>, _ row: Int) -> Bool {
        switch slot.pointee.kind {
        case .variant:
            var writer = VariantWriter()
            do throws(VariantJSON.Failure) {
                try VariantJSON.parse(text, allowsDuplicates: true, into: &writer)
            } catch {
                return false
            }
            let n = writer.bytes.count, out = heaps.reserve(n)
            writer.bytes.withUnsafeBytes { UnsafeMutableRawPointer(out).copyMemory(from: $0.baseAddress!, byteCount: n) }
            let (heap, offset) = heaps.commit(n > StringView.inlineLength ? n : 0)
            slot.store(inline: UnsafePointer(out), n, heap: heap, offset: offset, at: row)
            return true
        case .text, .binary:
            let out = heaps.reserve(text.count)
            var n = text.count
            if slot.pointee.kind == .binary {
                guard let length = TextConversion.base64(text, to: out) else { return false }
                n = length
            } else if let start = text.baseAddress {
                UnsafeMutableRawPointer(out).copyMemory(from: start, byteCount: n)
            }
            let (heap, offset) = heaps.commit(n > StringView.inlineLength ? n : 0)
            slot.store(inline: UnsafePointer(out), n, heap: heap, offset: offset, at: row)
            return true
        default:
            return TextConversion.store(TextConversion.trimmed(text), into: slot, at: row, timestamps: .sql, timePrecision: 3)
        }
    }

    /// The elements of an ARRAY, or the parts of a ROW, in one field. An empty field is an empty array.
    private func storeParts(_ text: UnsafeRawBufferPointer, _ slot: UnsafeMutablePointer<Slot>, _ row: Int) -> Bool {
        let parts = text.isEmpty && slot.pointee.kind == .array ? [] : split(text)
        func storePart(_ part: UnsafeRawBufferPointer, _ child: UnsafeMutablePointer<Slot>, _ at: Int) -> Bool {
            if let null = options.nullLiteral, part.elementsEqual(null) {
                child.setNull(at)
                return true
            }
            return storeScalar(part, child, at)
        }
        let children = slot.pointee.children!
        if slot.pointee.kind == .row {
            guard parts.count == slot.pointee.childCount else { return false }
            for (i, part) in parts.enumerated() where !storePart(part, children + i, row) { return false }
            slot.markValid(row)
            return true
        }
        var at = slot.beginList(row)
        for part in parts {
            children.ensure(at)
            guard storePart(part, children, at) else { return false }
            at += 1
        }
        slot.endList(row, at: at)
        return true
    }

    private func split(_ text: UnsafeRawBufferPointer) -> [UnsafeRawBufferPointer] {
        var parts: [UnsafeRawBufferPointer] = [], from = 0, i = 0
        let delimiter = options.arrayDelimiter
        while i + delimiter.count <= text.count {
            if text[i] == delimiter[0], text[i..<(i + delimiter.count)].elementsEqual(delimiter) {
                parts.append(UnsafeRawBufferPointer(rebasing: text[from..<i]))
                i += delimiter.count
                from = i
            } else {
                i += 1
            }
        }
        parts.append(UnsafeRawBufferPointer(rebasing: text[from..<text.count]))
        return parts
    }
}
