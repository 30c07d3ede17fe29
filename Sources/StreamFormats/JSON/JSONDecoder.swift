import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Reads JSON objects, one per line or one per message, straight into columns.
///
/// The grammar is RFC 8259, strictly, in UTF-8; values are taken in the forms that Flink's JSON format takes for their type.
/// Differences: half a surrogate pair is refused; a TIMESTAMP may end in `Z`; VARCHAR lengths are not enforced.
/// An array at the top gives a row per element. `null` and blank records give none.
public final class JSONRecordDecoder: RecordDecoder, EnvelopeDecoder {
    public var onBadRecord: ((BadRecord) throws -> Void)?

    private let schema: Schema
    /// For each output column, which slot it is.
    private let outputs: [Int]
    /// In the order in which the projection first names them.
    let fills: ColumnFillGroup
    private let names: [UnsafeMutablePointer<FieldNames>]
    private let heaps = HeapList()
    private let metrics: OperatorMetrics
    private let ignoreErrors: Bool
    private var reader: JSONReader
    private var rowCapacity = 0
    /// Whether `spans` is kept: which bytes of the chunk each row of the last batch of lines came from.
    var keepsSpans = false
    private(set) var spans: [Range<Int>] = []
    /// An object that begins with this field, a list, stands for the objects in it.
    var listField: [UInt8] = []
    /// The slot that takes whole records, and how many slots there are before it.
    private let whole: UnsafeMutablePointer<Slot>?
    private let slotCount: Int

    private typealias Text = UnsafePointer<UInt8>

    /// - Parameter projection: indices into `schema`, in the order in which columns are wanted.
    public init(schema: Schema, projection: [Int], options: JSONOptions, metrics: OperatorMetrics) throws {
        var wanted: [Int] = []
        outputs = projection.map { index in
            if let slot = wanted.firstIndex(of: index) { return slot }
            wanted.append(index)
            return wanted.count - 1
        }
        self.schema = wanted.map { schema[$0] }
        for field in self.schema { try checkJSON(field.type, column: field.name) }
        fills = ColumnFillGroup(self.schema.map(\.type))
        let form: DateTimeText.Form = options.timestamps == .sql ? .sql : .iso8601
        var all: [UnsafeMutablePointer<FieldNames>] = []
        func addNames(_ names: [String]) -> UnsafeMutablePointer<FieldNames> {
            let pointer = UnsafeMutablePointer<FieldNames>.allocate(capacity: 1)
            pointer.initialize(to: FieldNames(names))
            all.append(pointer)
            return pointer
        }
        func prepare(_ group: ColumnFillGroup) {
            for fill in group.fills {
                if case .row(let fields) = fill.type {
                    fill.slot.pointee.keepsWhole = fields.last?.name == WholeRecord.name
                    fill.slot.pointee.names = addNames(fields.map(\.name).filter { $0 != WholeRecord.name })
                }
                // A prefix that is true from the start, so that no other text can pass for one: see JSONReader.timestamp.
                let epoch: StaticString = options.timestamps == .sql ? "1970-01-01 00:00" : "1970-01-01T00:00"
                fill.slot.pointee.prefix = (JSONScan.word(epoch.utf8Start), JSONScan.word(epoch.utf8Start + 8))
                if let parts = fill.parts { prepare(parts) }
            }
        }
        let keepsWhole = self.schema.last?.name == WholeRecord.name
        slotCount = self.schema.count - (keepsWhole ? 1 : 0)
        whole = keepsWhole ? fills.slots + slotCount : nil
        _ = addNames(self.schema.prefix(slotCount).map(\.name))
        prepare(fills)
        names = all
        self.metrics = metrics
        ignoreErrors = options.ignoreParseErrors
        reader = JSONReader(ignoreErrors: options.ignoreParseErrors, failOnMissing: options.failOnMissingField, timestamps: form, heapList: heaps)
    }

    deinit {
        for name in names {
            name.pointee.deallocate()
            name.deinitialize(count: 1)
            name.deallocate()
        }
    }

    // MARK: lines

    public func decode(chunk: Buffer, range: Range<Int>, isLast: Bool, maxRows: Int) throws -> (batch: Batch?, consumed: Int) {
        try checkSize(chunk, range)
        let base = Text(chunk.pointer(as: UInt8.self))
        var end = range.upperBound
        while end > range.lowerBound, base[end - 1] != 0x0A { end -= 1 }
        // Bytes behind the last newline are a record only when no more follow.
        let tail = isLast ? end..<range.upperBound : end..<end
        guard end > range.lowerBound || !tail.isEmpty else { return (nil, 0) }
        begin(min(maxRows, max(16, range.count / 32)))
        spans.removeAll(keepingCapacity: true)
        var rows = 0
        var p = base + range.lowerBound
        reader.newlineIsSpace = false
        if end > range.lowerBound {
            setHeap(chunk, base)
            try lines(&p, base + end, &rows, maxRows, offset: 0, base)
        }
        if p == base + end, !tail.isEmpty, rows < maxRows {
            // A copy that ends in the newline that the loop relies on.
            let copy = Buffer(capacity: tail.count + 1)
            copy.base.copyMemory(from: base + tail.lowerBound, byteCount: tail.count)
            let start = Text(copy.pointer(as: UInt8.self))
            copy.pointer(as: UInt8.self)[tail.count] = 0x0A
            setHeap(copy, start)
            var at = start
            try lines(&at, start + tail.count + 1, &rows, maxRows, offset: tail.lowerBound, start)
            p = base + tail.upperBound
        }
        return (rows == 0 ? nil : finish(rows), p - base - range.lowerBound)
    }

    /// Records up to `end`, behind a newline. `offset` is where `base` lies in the caller's chunk.
    private func lines(_ position: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ rows: inout Int, _ maxRows: Int,
                       offset: Int, _ base: UnsafePointer<UInt8>) throws {
        var reader = self.reader
        defer { self.reader = reader }
        let slots = fills.slots, slotCount = slotCount, top = names[0], whole = whole, isList = !listField.isEmpty
        var p = position
        var row = rows
        var capacity = rowCapacity
        defer {
            position = p
            rows = row
        }
        while p < end, row < maxRows {
            let start = p, before = row
            if row >= capacity {
                grow(row + 1)
                capacity = rowCapacity
            }
            var next: Text?
            if p[0] == UInt8(ascii: "{"), !isList {
                next = reader.record(slots, slotCount, top, whole: whole, row, p)
                if next != nil { row += 1 }
            } else {
                next = unusual(&reader, p, &row)
                capacity = rowCapacity
            }
            if let after = next {
                let q = after[0] == 0x0A ? after : reader.skipSpace(after)
                if q[0] == 0x0A {
                    p = q + 1
                    if keepsSpans { for _ in before..<row { spans.append(offset + (start - base)..<offset + (q - base)) } }
                    continue
                }
                reader.failure = JSONFailure(reason: .trailing, position: q)
            }
            // The whole line is bad, also rows that an array in it gave before.
            row = before
            let lineEnd = memchr(start, 0x0A, end - start).map { Text($0.assumingMemoryBound(to: UInt8.self)) } ?? end
            p = lineEnd + 1
            try bad(reader.failure, start, lineEnd, offset: offset + (start - base), row: row)
        }
    }

    /// What is not an object at the first byte: blank records, leading spaces, null, arrays of objects, and errors.
    @inline(never)
    private func unusual(_ reader: inout JSONReader, _ start: UnsafePointer<UInt8>, _ row: inout Int) -> UnsafePointer<UInt8>? {
        let p = reader.skipSpace(start)
        switch p[0] {
        case UInt8(ascii: "{"):
            if !listField.isEmpty, let list = listStart(reader, p) { return wrapped(&reader, list, &row) }
            let next = reader.record(fills.slots, slotCount, names[0], whole: whole, row, p)
            if next != nil { row += 1 }
            return next
        case 0x0A, 0: return p
        case UInt8(ascii: "n") where JSONScan.half(p) == JSONScan.wordNull: return p + 4
        case UInt8(ascii: "["): return list(&reader, p, &row)
        default:
            let isValue = reader.skip(p, depth: 1) != nil
            reader.failure = JSONFailure(reason: isValue ? .notObject : .syntax, position: isValue ? p : reader.failure.position)
            return nil
        }
    }

    /// A record for each object of the list whose bracket is at `p`.
    private func list(_ reader: inout JSONReader, _ p: UnsafePointer<UInt8>, _ row: inout Int) -> UnsafePointer<UInt8>? {
        var at = reader.skipSpace(p + 1)
        if at[0] == UInt8(ascii: "]") { return at + 1 }
        while true {
            if row >= rowCapacity { grow(row + 1) }
            if at[0] == UInt8(ascii: "{") {
                guard let next = reader.record(fills.slots, slotCount, names[0], whole: whole, row, at) else { return nil }
                row += 1
                at = next
            } else if JSONScan.half(at) == JSONScan.wordNull {
                at += 4
            } else {
                reader.failure = JSONFailure(reason: .notObject, position: at)
                return nil
            }
            at = reader.skipSpace(at)
            if at[0] == UInt8(ascii: "]") { return at + 1 }
            guard at[0] == UInt8(ascii: ",") else {
                reader.failure = JSONFailure(reason: .syntax, position: at)
                return nil
            }
            at = reader.skipSpace(at + 1)
        }
    }

    /// The bracket of the list that the object at `p` begins with under ``listField``; nil when it begins with something else.
    private func listStart(_ reader: JSONReader, _ p: UnsafePointer<UInt8>) -> UnsafePointer<UInt8>? {
        var at = reader.skipSpace(p + 1)
        guard at[0] == UInt8(ascii: "\"") else { return nil }
        for byte in listField {
            at += 1
            guard at[0] == byte else { return nil }
        }
        guard at[1] == UInt8(ascii: "\"") else { return nil }
        at = reader.skipSpace(at + 2)
        guard at[0] == UInt8(ascii: ":") else { return nil }
        at = reader.skipSpace(at + 1)
        return at[0] == UInt8(ascii: "[") ? at : nil
    }

    /// The list of an object, and the fields behind it, which are passed over.
    private func wrapped(_ reader: inout JSONReader, _ start: UnsafePointer<UInt8>, _ row: inout Int) -> UnsafePointer<UInt8>? {
        guard let end = list(&reader, start, &row) else { return nil }
        var at = reader.skipSpace(end)
        while at[0] == UInt8(ascii: ",") {
            at = reader.skipSpace(at + 1)
            guard at[0] == UInt8(ascii: "\""), let name = reader.skip(at, depth: 1) else { break }
            at = reader.skipSpace(name)
            guard at[0] == UInt8(ascii: ":"), let value = reader.skip(reader.skipSpace(at + 1), depth: 1) else { break }
            at = reader.skipSpace(value)
        }
        if at[0] == UInt8(ascii: "}") { return at + 1 }
        reader.failure = JSONFailure(reason: .syntax, position: at)
        return nil
    }

    // MARK: messages

    public func decode(records: [Range<Int>], in chunk: Buffer) throws -> (batch: Batch, recordOfRow: [Int32]) {
        var total = 0
        for record in records {
            try checkSize(chunk, record)
            total += record.count + 1
        }
        // A copy in which a zero byte, which no token holds, ends every message.
        let copy = Buffer(capacity: total)
        try checkSize(copy, 0..<total)
        let base = copy.pointer(as: UInt8.self)
        begin(max(records.count, 1))
        setHeap(copy, Text(base))
        reader.newlineIsSpace = true
        var recordOfRow: [Int32] = []
        recordOfRow.reserveCapacity(records.count)
        var row = 0, written = 0
        var reader = self.reader
        defer { self.reader = reader }
        for (index, record) in records.enumerated() {
            let start = Text(base + written), end = start + record.count
            UnsafeMutableRawPointer(base + written).copyMemory(from: chunk.base + record.lowerBound, byteCount: record.count)
            base[written + record.count] = 0
            written += record.count + 1
            let before = row
            if row >= rowCapacity { grow(row + 1) }
            if let next = unusual(&reader, start, &row) {
                let q = reader.skipSpace(next)
                if q == end {
                    for _ in before..<row { recordOfRow.append(Int32(truncatingIfNeeded: index)) }
                    continue
                }
                reader.failure = JSONFailure(reason: .trailing, position: q)
            }
            row = before
            try bad(reader.failure, start, end, offset: record.lowerBound, record: index, row: row)
        }
        return (finish(row), recordOfRow)
    }

    // MARK: batches

    private func checkSize(_ chunk: Buffer, _ range: Range<Int>) throws {
        precondition(range.lowerBound >= 0 && range.upperBound <= chunk.capacity, "range \(range) outside a chunk of \(chunk.capacity) bytes")
        // Views hold 32-bit offsets.
        guard range.upperBound < Int(Int32.max) else {
            throw StreamError(.runtime, "a chunk of \(chunk.capacity) bytes is too large to decode", fix: "read less than 2 GiB at a time")
        }
    }

    private func begin(_ capacity: Int) {
        heaps.begin()
        rowCapacity = max(capacity, 16)
        fills.begin(rowCapacity)
    }

    private func grow(_ wanted: Int) {
        rowCapacity = max(wanted, rowCapacity * 2)
        for fill in fills.fills { fill.grow(to: rowCapacity) }
    }

    private func setHeap(_ chunk: Buffer, _ base: UnsafePointer<UInt8>) {
        reader.heap = heaps.add(chunk)
        reader.heapBase = base
    }

    private func finish(_ rows: Int) -> Batch {
        let columns = fills.fills.map { $0.finish(rows, heaps: heaps.heaps) }
        heaps.begin()
        return Batch(columns: outputs.map { columns[$0] }, physicalCount: rows)
    }

    // MARK: bad records

    private func bad(_ failure: JSONFailure, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, offset: Int, record index: Int? = nil,
                     row: Int) throws {
        let record = UnsafeRawBufferPointer(start: start, count: max(0, end - start))
        if let onBadRecord {
            metrics.badRecords.add(1)
            try onBadRecord(BadRecord(bytes: Array(record), offset: offset, reason: reason(failure, start, end), record: index, row: row))
            return
        }
        if ignoreErrors {
            metrics.badRecords.add(1)
            return
        }
        throw StreamError(.runtime, "JSON record at byte \(offset): \(reason(failure, start, end)); the record is \(TextConversion.excerpt(record))",
                          fix: "correct the record or the column types, or set 'json.ignore-parse-errors' = 'true' to skip what cannot be read")
    }

    private func reason(_ failure: JSONFailure, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> String {
        let position = failure.position ?? start
        let at = max(0, min(position, end) - start)
        func near(_ from: Text, _ to: Text) -> String { TextConversion.excerpt(UnsafeRawBufferPointer(start: from, count: max(0, to - from))) }
        let field = failure.path.reversed().joined(separator: ".")
        let fieldText = field.isEmpty ? "" : "field \"\(field)\": "
        let type = failure.slot.map { $0.pointee.fill._withUnsafeGuaranteedRef { $0.type.description } } ?? ""
        switch failure.reason {
        case .conversion:
            return "\(fieldText)\(near(position, failure.end ?? end)) cannot be read as \(type)"
        case .missingField:
            let name = failure.slot.flatMap { missing in schema.indices.first { fills.slots + $0 == missing }.map { schema[$0].name } }
            return "\(fieldText)field \"\(name ?? "of \(type)")\" is missing, and 'json.fail-on-missing-field' is true"
        case .depth: return "\(fieldText)it is nested deeper than \(JSONReader.depthMax) levels"
        case .attribute: return "\(fieldText)\(near(position, end)) is not an attribute value of DynamoDB, such as {\"S\":\"text\"}"
        case .mapKey: return "\(fieldText)a key occurs twice in a \(type)"
        case .notObject: return "it is not an object but \(near(position, end))"
        case .trailing: return "something follows the record's end at its byte \(at): \(near(min(position, end), end))"
        case .syntax, .none:
            return position >= end ? "\(fieldText)it ends too early, at its byte \(at)"
                : "\(fieldText)it is not well-formed JSON at its byte \(at), near \(near(position, end))"
        }
    }
}
