import StreamCore

/// Deals with the records of a split that its decoder cannot decode, as the table's `on-error` says; as rows where they are wanted.
///
///     errors = try ErrorRows(onError, decoder, types: types)
///     errors.failure = { [unowned self] in failure(for: $0) }
///     ...
///     var (batch, recordOfRow) = try decoder.decode(records: ranges, in: chunk)
///     errors.merge(&batch, &recordOfRow, ranges)         // before anything is made of recordOfRow
///     ... errors.column("error", type, batch.physicalCount) ...
///
/// A reader's position may pass the records once the merged batch is handed out. One thread.
public final class ErrorRows {
    private let onError: OnError
    private let types: [DataType]
    private let metrics: OperatorMetrics?
    private var skipped = 0, warnsAt = 1
    /// The error that ends the job with `on-error` = `fail`; called from inside of the decoder.
    public var failure: (BadRecord) -> StreamError = { StreamError(.runtime, "a record cannot be decoded: \($0.reason)") }
    /// Since the last merge.
    private var pending: [BadRecord] = []
    /// Of the last merged batch: the bad records, and their rows.
    public private(set) var records: [BadRecord] = []
    public private(set) var rows: [Int32] = []

    /// Takes over the decoder's ``RecordDecoder/onBadRecord``.
    ///
    /// - Parameters:
    ///   - types: of the columns that the decoder gives.
    ///   - metrics: told of skipped records: the 1st, 10th, 100th and so on. They are counted by the decoder.
    /// - Throws: a `.plan` error for `dead-letter`, which a planner has to turn into rows.
    public init(_ onError: OnError, _ decoder: any RecordDecoder, types: [DataType], metrics: OperatorMetrics? = nil) throws {
        guard onError != .deadLetter else {
            throw StreamError(.plan, "not supported yet: dead letters of a table that is read other than by INSERT", fix: "set 'on-error' = 'skip' or 'fail'")
        }
        self.onError = onError
        self.types = types
        self.metrics = metrics
        decoder.onBadRecord = { [unowned self] in try take($0) }
    }

    private func take(_ record: BadRecord) throws {
        switch onError {
        case .fail, .deadLetter: throw failure(record)
        case .skip: skip(record)
        case .rows: pending.append(record)
        }
    }

    private func skip(_ record: BadRecord) {
        skipped += 1
        guard skipped == warnsAt else { return }
        warnsAt *= 10
        metrics?.warn("a record is skipped" + (skipped > 1 ? ", the \(skipped)th of its split" : "") + ": \(failure(record).problem)")
    }

    /// Puts a row for each bad message of a call of ``RecordDecoder/decode(records:in:)`` at its place, with NULL in all columns.
    @inline(__always)
    public func merge(_ batch: inout Batch, _ recordOfRow: inout [Int32], _ messages: [Range<Int>]) {
        if pending.isEmpty && rows.isEmpty { return }
        begin()
        guard !records.isEmpty else { return }
        for i in records.indices {
            let record = records[i].record ?? messages.lastIndex { $0.lowerBound <= records[i].offset } ?? 0
            records[i].record = record
            records[i].row = Self.firstRow(from: record, recordOfRow)
        }
        insert(into: &batch)
        var merged: [Int32] = [], good = 0
        merged.reserveCapacity(batch.physicalCount)
        for (bad, row) in zip(records, rows) {
            let count = Int(row) - merged.count
            merged += recordOfRow[good..<(good + count)]
            good += count
            merged.append(Int32(truncatingIfNeeded: bad.record!))
        }
        recordOfRow = merged + recordOfRow[good...]
    }

    /// The same for a call of ``RecordDecoder/decode(chunk:range:isLast:maxRows:)``.
    ///
    /// - Returns: nil when there is neither a row nor a bad record.
    @inline(__always)
    public func merge(_ batch: Batch?) -> Batch? {
        if pending.isEmpty && rows.isEmpty { return batch }
        begin()
        guard !records.isEmpty else { return batch }
        var merged = batch ?? Batch(columns: types.map { Column.nulls(type: $0, count: 0) }, physicalCount: 0)
        for i in records.indices where records[i].row == nil { records[i].row = merged.physicalCount }
        insert(into: &merged)
        return merged
    }

    private func begin() {
        records = pending
        pending = []
        rows.removeAll(keepingCapacity: true)
    }

    /// The first row of message `record` or of one behind it.
    private static func firstRow(from record: Int, _ recordOfRow: [Int32]) -> Int {
        var low = 0, high = recordOfRow.count
        while low < high {
            let middle = (low + high) / 2
            if Int(recordOfRow[middle]) < record { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Adds a row in front of the row that each of `records` names.
    private func insert(into batch: inout Batch) {
        let batchCount = batch.physicalCount, total = batchCount + records.count
        // Stable: several records may lie in front of the same row.
        let order = records.indices.sorted { (records[$0].row!, $0) < (records[$1].row!, $1) }
        records = order.map { records[$0] }
        let source = Buffer(capacity: max(total, 1) * 4), sources = source.pointer(as: Int32.self)
        var at = 0, good = 0
        func copy(upTo end: Int) {
            while good < end {
                sources[at] = Int32(truncatingIfNeeded: good)
                at += 1
                good += 1
            }
        }
        for record in records {
            copy(upTo: min(record.row!, batchCount))
            rows.append(Int32(truncatingIfNeeded: at))
            sources[at] = 0
            at += 1
        }
        copy(upTo: batchCount)
        let bad = rows
        batch.columns = batch.columns.map { column in
            batchCount == 0 ? Column.nulls(type: column.type, count: total) : column.gather(sources, count: total).nulling(bad)
        }
        if let kinds = batch.rowKinds {
            let merged = Buffer(capacity: total)
            let (from, to) = (kinds.pointer(as: UInt8.self), merged.pointer(as: UInt8.self))
            for i in 0..<total { to[i] = batchCount == 0 ? 0 : from[Int(sources[i])] }
            for row in bad { to[Int(row)] = RowKind.insert.rawValue }
            batch.rowKinds = merged
        }
        batch.physicalCount = total
    }

    // MARK: Columns

    /// Nulls of each type, for more rows than a batch has had so far.
    private var nulls: [DataType: Column] = [:]

    /// The metadata column `error` or `error.record` of the last merged batch, or what `value` makes of the bad records.
    public func column(_ key: String, type: DataType, count: Int) -> Column {
        column(type: type, count: count) { bad, builder in
            if key == BadInput.reasonKey { builder.append(string: bad.reason) } else { bad.bytes.withUnsafeBytes { builder.append(bytes: $0) } }
        }
    }

    /// A column that is NULL in all rows but those of bad records, for which `append` adds a value.
    public func column(type: DataType, count: Int, _ append: (BadRecord, ColumnBuilder) -> Void) -> Column {
        guard !rows.isEmpty else { return allNull(type, count) }
        // A dictionary, so that the many other rows cost next to nothing.
        let builder = ColumnBuilder(type: type, capacity: records.count)
        let codes = Buffer(zeroed: max(count, 1) * 4), places = codes.pointer(as: Int32.self), valid = Bitmap.make(count, valid: false)
        for (i, row) in rows.enumerated() {
            append(records[i], builder)
            places[Int(row)] = Int32(truncatingIfNeeded: i)
            Bitmap.set(valid.base, Int(row))
        }
        // Of one entry it would be a constant.
        if records.count == 1 { append(records[0], builder) }
        return Column(type: type, count: count, validity: valid, values: codes, dictionary: builder.finish())
    }

    private func allNull(_ type: DataType, _ count: Int) -> Column {
        if let known = nulls[type], known.count >= count {
            return known.count == count ? known : Column(type: type, count: count, validity: known.validity, values: known.values)
        }
        let made = Column.nulls(type: type, count: max(count, Batch.targetRows))
        nulls[type] = made
        return allNull(type, count)
    }
}

extension Column {
    /// The same with NULL in some rows.
    fileprivate func nulling(_ rows: [Int32]) -> Column {
        let bits = Bitmap.make(count, valid: true)
        if let validity { bits.base.copyMemory(from: validity.base, byteCount: Bitmap.byteCount(count)) }
        for row in rows { Bitmap.clear(bits.base, Int(row)) }
        var parts = children
        if case .row = type, dictionary == nil { parts = children.map { $0.nulling(rows) } }
        return Column(type: type, count: count, validity: bits, values: values, heaps: heaps, children: parts, dictionary: dictionary)
    }
}
