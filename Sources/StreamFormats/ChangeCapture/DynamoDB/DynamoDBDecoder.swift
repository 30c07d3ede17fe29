import StreamCore

/// Reads change records of DynamoDB into rows with row kinds.
///
/// The JSON reader fills the records' images into columns, with their typed attribute values; rows are then picked from those by
/// index, as ``ChangeDecoder`` does it. INSERT gives +I, MODIFY -U and +U, REMOVE -D. As upserts: +I, +U, and -D of the image before
/// or else of the keys.
final class DynamoDBDecoder: RecordDecoder {
    var onBadRecord: ((BadRecord) throws -> Void)?

    private let mode: ChangeMode
    /// Updates need no image before.
    private var isUpsert: Bool { mode != .all }
    private let ignoreErrors: Bool
    private let metrics: OperatorMetrics
    private let records: JSONRecordDecoder
    /// For each output column, its position in an image.
    private let outputs: [Int]
    private let metadata: [DynamoDBMetadata]
    /// Where each field of a record is among the top fields, and within `dynamodb`.
    private let top: [String: Int]
    private let inner: [String: Int]
    private let imageWidth: Int
    private var filter: NamePattern?
    private let filterReader: JSONRecordDecoder?
    /// Records of this call that are not well-formed.
    private var broken: [BadRecord] = []

    init(schema: Schema, projection: [Int], mode: ChangeMode, filter: NamePattern?, metadata: [DynamoDBMetadata], options: JSONOptions,
         metrics: OperatorMetrics) throws {
        self.mode = mode
        let isUpsert = mode != .all
        self.filter = filter
        self.metadata = metadata
        self.metrics = metrics
        ignoreErrors = options.ignoreParseErrors
        var wanted: [Int] = []
        outputs = projection.map { column in
            if let known = wanted.firstIndex(of: column) { return known }
            wanted.append(column)
            return wanted.count - 1
        }
        var fields = wanted.map { Field(schema[$0].name, schema[$0].type) }
        if metadata.contains(.row) { fields.append(WholeRecord.field) }
        let image = DataType.row(fields)
        var parts = [Field("NewImage", image), Field("OldImage", image)]
        if isUpsert {
            parts.append(Field("Keys", metadata.contains(.keys) && !metadata.contains(.row) ? .row(fields + [WholeRecord.field]) : image))
        } else if metadata.contains(.keys) {
            parts.append(Field("Keys", .row([WholeRecord.field])))
        }
        let imageCount = parts.count
        var outer: Schema = [Field("eventName", .string)]
        for key in metadata {
            switch key {
            case .eventID: outer.append(Field("eventID", .string))
            case .region: outer.append(Field("awsRegion", .string))
            case .table: break
            case .sequenceNumber: parts.append(Field("SequenceNumber", .string))
            case .sizeBytes: parts.append(Field("SizeBytes", .bigint))
            case .time:
                parts.append(Field("ApproximateCreationDateTime", .double))
                parts.append(Field("ApproximateCreationDateTimePrecision", .string))
            case .eventName, .keys, .row: break
            }
        }
        let tableFields = [Field("tableName", .string), Field("eventSourceARN", .string)]
        if filter != nil || metadata.contains(.table) { outer += tableFields }
        outer.append(Field("dynamodb", .row(parts)))
        top = Dictionary(outer.enumerated().map { ($1.name, $0) }) { first, _ in first }
        inner = Dictionary(parts.enumerated().map { ($1.name, $0) }) { first, _ in first }
        imageWidth = fields.count
        records = try JSONRecordDecoder(schema: outer, projection: Array(outer.indices), options: options, metrics: OperatorMetrics())
        records.keepsSpans = true
        records.listField = Array("Records".utf8)
        for fill in records.fills.fills[outer.count - 1].parts!.fills.prefix(imageCount) { fill.slot.pointee.areAttributes = true }
        filterReader = filter == nil ? nil : try JSONRecordDecoder(schema: tableFields, projection: [0, 1], options: options, metrics: OperatorMetrics())
        filterReader?.onBadRecord = { _ in }
        records.onBadRecord = { [unowned self] record in
            if try isWanted(record) { broken.append(record) }
        }
    }

    func decode(chunk: Buffer, range: Range<Int>, isLast: Bool, maxRows: Int) throws -> (batch: Batch?, consumed: Int) {
        broken.removeAll(keepingCapacity: true)
        // An update is two rows.
        let (found, consumed) = try records.decode(chunk: chunk, range: range, isLast: isLast, maxRows: max(1, maxRows / 2))
        guard let found else {
            try reportBroken([])
            return (nil, consumed)
        }
        let (batch, recordOfRow) = try changes(found, chunk, nil) { records.spans[$0] }
        try reportBroken(recordOfRow)
        return (batch.count == 0 ? nil : batch, consumed)
    }

    func decode(records ranges: [Range<Int>], in chunk: Buffer) throws -> (batch: Batch, recordOfRow: [Int32]) {
        broken.removeAll(keepingCapacity: true)
        let (found, message) = try records.decode(records: ranges, in: chunk)
        let (batch, recordOfRow) = try changes(found, chunk, message) { ranges[Int(message[$0])] }
        try reportBroken(recordOfRow)
        return (batch, recordOfRow.map { message[Int($0)] })
    }

    // MARK: Records

    private enum Problem { case none, noName, unknownName, noChange, noNew, noOld, noKeys, noTable }

    private enum Event {
        case insert, modify, remove

        @inline(__always)
        init?(_ view: UnsafePointer<StringView>) {
            // All words are short, and so lie in the view.
            guard view.pointee.length == 6 else { return nil }
            let bytes = UnsafeRawPointer(view) + 4
            switch (bytes.loadUnaligned(as: UInt32.self), bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self)) {
            case (0x4553_4E49, 0x5452): self = .insert
            case (0x4944_4F4D, 0x5946): self = .modify
            case (0x4F4D_4552, 0x4556): self = .remove
            default: return nil
            }
        }
    }

    private func changes(_ found: Batch, _ chunk: Buffer, _ message: [Int32]?, _ span: (Int) -> Range<Int>) throws -> (Batch, recordOfRow: [Int32]) {
        let names = found.columns[0], change = found.columns[found.columns.count - 1], parts = change.children
        let new = parts[0], old = parts[1], keys = isUpsert ? parts[2] : nil
        let words = names.pointer(as: StringView.self)
        var rows = ChangeRows(capacity: found.physicalCount), usesKeys = false
        for row in 0..<found.physicalCount {
            var problem = Problem.none
            if filter != nil {
                guard let name = tableName(found.columns, row) else {
                    try bad(row, .noTable, names, chunk, span(row), message.map { Int($0[row]) }, before: rows.count)
                    continue
                }
                guard filter!.matches(name) else { continue }
            }
            if !names.isValid(row) {
                problem = .noName
            } else if let event = Event(words + row) {
                switch event {
                case _ where !change.isValid(row): problem = .noChange
                case .insert where new.isValid(row): rows.add(new: row, .insert, row)
                case .modify where new.isValid(row) && isUpsert: rows.add(new: row, .updateAfter, row)
                case .modify where new.isValid(row) && old.isValid(row):
                    rows.add(old: row, pairedWith: row, .updateBefore, row)
                    rows.add(new: row, .updateAfter, row)
                case .insert, .modify: problem = new.isValid(row) ? .noOld : .noNew
                case .remove where old.isValid(row): rows.add(old: row, pairedWith: row, .delete, row)
                case .remove where keys?.isValid(row) ?? false:
                    usesKeys = true
                    rows.add(old: old.count + row, pairedWith: row, .delete, row)
                case .remove: problem = isUpsert ? .noKeys : .noOld
                }
            } else {
                problem = .unknownName
            }
            if case .none = problem { continue }
            try bad(row, problem, names, chunk, span(row), message.map { Int($0[row]) }, before: rows.count)
        }
        let count = imageWidth
        let before = usesKeys ? (0..<count).map { ChangeRows.stacked(old.children[$0], keys!.children[$0]) } : old.children
        let columns = rows.columns(new: new.children, old: before, oldMissing: nil, newCount: new.count)
        var all = outputs.map { columns[$0] }
        for key in metadata {
            let column = key == .row ? nil : self.column(key, found.columns, parts)
            guard let column else {
                all.append(columns[count - 1])
                continue
            }
            all.append(rows.envelopes.withUnsafeBufferPointer { picks in
                picks.baseAddress.map { column.gather($0, count: picks.count) } ?? ColumnBuilder(type: key.type).finish()
            })
        }
        return (Batch(columns: all, physicalCount: rows.count, rowKinds: mode == .append ? nil : rows.kindBuffer()), rows.envelopes)
    }

    // MARK: Metadata

    /// One value for each record.
    private func column(_ key: DynamoDBMetadata, _ fields: [Column], _ parts: [Column]) -> Column {
        switch key {
        case .eventName: return fields[0]
        case .eventID: return fields[top["eventID"]!]
        case .region: return fields[top["awsRegion"]!]
        case .sequenceNumber: return parts[inner["SequenceNumber"]!]
        case .sizeBytes: return parts[inner["SizeBytes"]!]
        case .keys, .row: return parts[inner["Keys"]!].children.last!
        case .table:
            let builder = ColumnBuilder(type: .string, capacity: fields[0].count)
            for row in 0..<fields[0].count {
                if let name = tableName(fields, row) { builder.append(bytes: name) } else { builder.appendNull() }
            }
            return builder.finish()
        case .time:
            let values = parts[inner["ApproximateCreationDateTime"]!], precisions = parts[inner["ApproximateCreationDateTimePrecision"]!]
            let builder = ColumnBuilder(type: key.type, capacity: values.count), times = values.pointer(as: Double.self)
            for row in 0..<values.count {
                guard values.isValid(row), let time = Self.microseconds(times[row], precisions.isValid(row) ? precisions.bytes(at: row) : nil) else {
                    builder.appendNull()
                    continue
                }
                builder.append(fixed: time)
            }
            return builder.finish()
        }
    }

    /// Kinesis records tell milliseconds, or what their precision says; DynamoDB Streams seconds. Without a precision the size tells:
    /// each unit counts as its own up to the year 5138, and from 1973 on as none of the others.
    private static func microseconds(_ value: Double, _ precision: UnsafeRawBufferPointer?) -> Int64? {
        var factor = value.magnitude < 1e11 ? 1e6 : value.magnitude < 1e14 ? 1e3 : 1
        if let precision {
            if precision.elementsEqual("MICROSECOND".utf8) { factor = 1 } else if precision.elementsEqual("MILLISECOND".utf8) { factor = 1e3 }
        }
        return Int64(exactly: (value * factor).rounded())
    }

    /// Kinesis records name the table, DynamoDB Streams in `arn:aws:dynamodb:region:account:table/NAME/stream/...`.
    private func tableName(_ fields: [Column], _ row: Int) -> UnsafeRawBufferPointer? {
        let name = fields[top["tableName"]!], arn = fields[top["eventSourceARN"]!]
        return Self.tableName(name, arn, row)
    }

    private static func tableName(_ name: Column, _ arn: Column, _ row: Int) -> UnsafeRawBufferPointer? {
        if name.isValid(row) { return name.bytes(at: row) }
        guard arn.isValid(row) else { return nil }
        let parts = arn.bytes(at: row).split(separator: UInt8(ascii: "/"), maxSplits: 2, omittingEmptySubsequences: false)
        return parts.count >= 2 ? UnsafeRawBufferPointer(rebasing: parts[1]) : nil
    }

    // MARK: Bad records

    /// False for a record of another table, whose attributes may well have other types.
    private func isWanted(_ record: BadRecord) throws -> Bool {
        guard let filterReader else { return true }
        let copy = record.bytes.withUnsafeBytes { Buffer(copying: $0) }
        let (names, _) = try filterReader.decode(records: [0..<record.bytes.count], in: copy)
        guard names.count > 0, let name = Self.tableName(names.columns[0], names.columns[1], 0) else { return true }
        return filter!.matches(name)
    }

    private func reason(_ problem: Problem, _ row: Int, _ names: Column) -> String {
        func name() -> String { TextConversion.excerpt(names.bytes(at: row)) }
        switch problem {
        case .none: return ""
        case .noName: return "field \"eventName\" is missing"
        case .unknownName: return "unknown \"eventName\" value \(name())"
        case .noChange: return "field \"dynamodb\" is missing"
        case .noNew: return "the \"NewImage\" of \(name()) is missing: the stream's view type must be NEW_AND_OLD_IMAGES or NEW_IMAGE"
        case .noOld:
            return "the \"OldImage\" of \(name()) is missing: for a stream with view type NEW_IMAGE set '\(DynamoDBFormat.modeKey)' = 'upsert'"
        case .noKeys: return "both \"OldImage\" and \"Keys\" of \(name()) are missing"
        case .noTable: return "it names no table, and '\(DynamoDBFormat.tableKey)' is set"
        }
    }

    private func bad(_ row: Int, _ problem: Problem, _ names: Column, _ chunk: Buffer, _ span: Range<Int>, _ message: Int?, before rows: Int) throws {
        let bytes = UnsafeRawBufferPointer(start: chunk.base + span.lowerBound, count: span.count)
        try report(BadRecord(bytes: Array(bytes), offset: span.lowerBound, reason: reason(problem, row, names), record: message, row: rows))
    }

    /// Reports the records that are not well-formed, with their place among the rows.
    private func reportBroken(_ recordOfRow: [Int32]) throws {
        for var record in broken {
            record.row = record.row.map { at in recordOfRow.firstIndex { Int($0) >= at } ?? recordOfRow.count }
            try report(record)
        }
    }

    private func report(_ record: BadRecord) throws {
        metrics.badRecords.add(1)
        if let onBadRecord { return try onBadRecord(record) }
        if ignoreErrors { return }
        let excerpt = record.bytes.withUnsafeBytes { TextConversion.excerpt($0) }
        throw StreamError(.runtime, "dynamodb-json record at byte \(record.offset): \(record.reason); the record is \(excerpt)",
                          fix: "correct the record or the column types, or set '\(DynamoDBFormat.ignoreErrorsKey)' = 'true' to skip what cannot be read")
    }
}
