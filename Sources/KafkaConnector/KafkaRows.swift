import CRdKafka
import StreamCore
import StreamFormats

/// Makes rows of messages: keys and values are decoded all at once, and their columns put side by side.
///
/// As Flink's: a message without a value gives no row, or one of NULL with the format `raw`; a key that is NULL or gives no row takes
/// its message away. In an upsert table a message without a value is the deletion of its key's row, any other its new content.
final class KafkaRows {
    private let partition: TopicPartition
    /// nil: every message gives a row, and nothing of its value is wanted.
    private let value: Part?
    /// nil: nothing of the key is wanted.
    private let key: Part?
    private let nullValueGivesRow: Bool
    private let nullKeyGivesRow: Bool
    private let isUpsert: Bool
    /// Where each projected column comes from.
    private let layout: [(isKey: Bool, index: Int)]
    private let types: [DataType]
    private let metadata: [TableDescriptor.MetadataColumn]
    /// Where the value's format gives what it tells beside the rows, by key.
    private let formatMetadata: [String: Int]

    private final class Part {
        let decoder: any RecordDecoder
        let errors: ErrorRows
        /// What is being decoded; offsets are needed for errors only.
        var ranges: [Range<Int>] = []
        var batch: Messages?
        /// Messages of the records that are decoded; empty = all messages.
        var messages: [Int32] = []

        init(_ what: String, _ format: any Format, _ table: TableDescriptor, _ projection: [Int], metadata: [String] = [], _ partition: TopicPartition,
             _ onError: OnError, _ metrics: OperatorMetrics) throws {
            decoder = try format.decoder(table, projection: projection, metadata: metadata, metrics: metrics)
            errors = try ErrorRows(onError, decoder, types: projection.map { table.schema[$0].type } + metadata.map { format.metadataKeys[$0] ?? .null }, metrics: metrics)
            errors.failure = { [unowned self] record in
                let index = record.record ?? ranges.lastIndex { $0.lowerBound <= record.offset } ?? 0
                let offset = batch?[messages.isEmpty ? index : Int(messages[index])]?.pointee.offset ?? -1
                let shown = String(decoding: record.bytes.prefix(200), as: UTF8.self) + (record.bytes.count > 200 ? "..." : "")
                return StreamError(.runtime, "topic \(partition.topic), partition \(partition.partition), offset \(offset), \(what): \(record.reason), in \(shown)",
                                   fix: "correct the producer, or skip such records or put them aside with option '\(BadInput.option)'")
            }
        }

        /// Copies what is not NULL into one buffer, and decodes it.
        @inline(__always)
        func decode(_ batch: Messages, _ n: Int, bytes: Int, nulls: Int, _ start: (KafkaMetadata.Message) -> UnsafeMutableRawPointer?,
                    _ length: (KafkaMetadata.Message) -> Int) throws -> Rows {
            let buffer = Buffer(capacity: bytes), base = buffer.base
            ranges.removeAll(keepingCapacity: true)
            ranges.reserveCapacity(n)
            messages.removeAll(keepingCapacity: true)
            var at = 0
            for i in 0..<n {
                let message = batch[i]!
                guard let bytes = start(message) else { continue }
                let count = length(message)
                (base + at).copyMemory(from: bytes, byteCount: count)
                ranges.append(at..<(at + count))
                at += count
                if nulls > 0 { messages.append(Int32(truncatingIfNeeded: i)) }
            }
            self.batch = batch
            var (rows, recordOfRow) = try decoder.decode(records: ranges, in: buffer)
            errors.merge(&rows, &recordOfRow, ranges)
            let flat = rows.compacted()
            if nulls > 0 { for i in recordOfRow.indices { recordOfRow[i] = messages[Int(recordOfRow[i])] } }
            return Rows(columns: flat.columns, count: flat.physicalCount, kinds: flat.rowKinds, messages: recordOfRow)
        }
    }

    init(_ kafka: KafkaTable, _ scan: ScanRequest, _ partition: TopicPartition, _ onError: OnError, _ metrics: OperatorMetrics) throws {
        self.partition = partition
        isUpsert = kafka.isUpsert
        let schema = kafka.table.schema
        var keyProjection: [Int] = [], valueProjection: [Int] = [], layout: [(isKey: Bool, index: Int)] = []
        for column in scan.projection {
            // A tombstone has nothing but its key.
            if let at = kafka.keyColumns.firstIndex(of: column), kafka.isUpsert || !kafka.valueColumns.contains(column) {
                layout.append((true, keyProjection.count))
                keyProjection.append(at)
            } else {
                layout.append((false, valueProjection.count))
                valueProjection.append(kafka.valueColumns.firstIndex(of: column)!)
            }
        }
        self.layout = layout
        types = scan.projection.map { schema[$0].type }
        metadata = scan.metadata.map { kafka.table.metadata[$0] }
        var asked: [String] = [], places: [String: Int] = [:]
        for wanted in metadata where places[wanted.key] == nil {
            guard let key = FormatMetadata.key(wanted.key, of: kafka.valueFormat, own: KafkaMetadata.readable) else { continue }
            places[wanted.key] = valueProjection.count + asked.count
            asked.append(key)
        }
        formatMetadata = places
        nullValueGivesRow = kafka.valueFormat is RawFormat
        nullKeyGivesRow = kafka.keyFormat == nil || kafka.keyFormat is RawFormat
        let acceptsAll = kafka.valueFormat is RawFormat && kafka.valueTable.schema.allSatisfy { $0.type.isBinary }
        value = valueProjection.isEmpty && acceptsAll ? nil : try Part(
            "value", kafka.valueFormat, kafka.valueTable, valueProjection, metadata: asked, partition, onError, metrics)
        if let format = kafka.keyFormat, let table = kafka.keyTable, !keyProjection.isEmpty {
            let skips = try onError == .fail && KafkaSourceOptions.ignoresParseErrors(table)
            key = try Part("key", format, table, keyProjection, partition, skips ? .skip : onError, metrics)
        } else {
            key = nil
        }
    }

    typealias Messages = UnsafeMutablePointer<KafkaMetadata.Message?>

    func decode(_ messages: Messages, count n: Int) throws -> Batch {
        var valueBytes = 0, keyBytes = 0, nullValues = 0, nullKeys = 0
        for i in 0..<n {
            let message = messages[i]!
            if message.pointee.payload == nil { nullValues += 1 } else { valueBytes += message.pointee.len }
            if message.pointee.key == nil { nullKeys += 1 } else { keyBytes += message.pointee.key_len }
        }
        var values = Rows(columns: [], count: n), keys: Rows?
        if let value { values = try value.decode(messages, n, bytes: valueBytes, nulls: nullValues, { $0.pointee.payload }, { $0.pointee.len }) }
        if let key { keys = try key.decode(messages, n, bytes: keyBytes, nulls: nullKeys, { $0.pointee.key }, { $0.pointee.key_len }) }
        // By far the most: a row for each message.
        if nullValues == 0 || value == nil && nullValueGivesRow, nullKeys == 0 || nullKeyGivesRow && key == nil,
           values.isOneForEach(n), keys?.isOneForEach(n) ?? true {
            var columns = layout.map { $0.isKey ? keys!.columns[$0.index] : values.columns[$0.index] }
            for wanted in metadata { columns.append(metadataColumn(wanted, values, messages, n, nil)) }
            return Batch(columns: columns, physicalCount: n, rowKinds: isUpsert ? Self.kinds(.updateAfter, n) : values.kinds)
        }
        return combine(values, keys, messages, n)
    }

    /// Rows of values or keys.
    private struct Rows {
        var columns: [Column]
        var count: Int
        var kinds: Buffer?
        /// Of each row, ascending; nil = row and message have one number.
        var messages: [Int32]?

        func isOneForEach(_ n: Int) -> Bool {
            guard count == n else { return false }
            guard let messages else { return true }
            for i in 0..<n where messages[i] != Int32(truncatingIfNeeded: i) { return false }
            return true
        }
    }

    // MARK: Messages with other than one row

    private func combine(_ values: Rows, _ keys: Rows?, _ messages: Messages, _ n: Int) -> Batch {
        var keyRow = [Int32](repeating: -1, count: keys == nil ? 0 : n)
        if let keys { for row in 0..<keys.count { keyRow[keys.messages.map { Int($0[row]) } ?? row] = Int32(truncatingIfNeeded: row) } }
        var source: [Int32] = [], fromValue: [Int32] = [], fromKey: [Int32] = []
        source.reserveCapacity(n)
        var next = 0
        for i in 0..<n {
            let first = next
            while next < values.count, values.messages.map({ Int($0[next]) }) ?? next == i { next += 1 }
            let message = messages[i]!.pointee
            if message.key == nil, !nullKeyGivesRow { continue }
            let row = keys == nil ? -1 : keyRow[i]
            if keys != nil, row < 0, message.key != nil { continue }
            if message.payload == nil, isUpsert || nullValueGivesRow {
                source.append(Int32(truncatingIfNeeded: i))
                fromValue.append(-1)
                fromKey.append(row)
                continue
            }
            for valueRow in first..<next where message.payload != nil {
                source.append(Int32(truncatingIfNeeded: i))
                fromValue.append(Int32(truncatingIfNeeded: valueRow))
                fromKey.append(row)
            }
        }
        let count = source.count
        var kinds: Buffer?
        if isUpsert || values.kinds != nil {
            let buffer = Buffer(capacity: max(count, 1)), out = buffer.pointer(as: UInt8.self)
            for i in 0..<count {
                if isUpsert { out[i] = fromValue[i] < 0 ? RowKind.delete.rawValue : RowKind.updateAfter.rawValue; continue }
                out[i] = fromValue[i] < 0 ? 0 : values.kinds!.pointer(as: UInt8.self)[Int(fromValue[i])]
            }
            kinds = buffer
        }
        var columns = layout.map { $0.isKey ? keys!.columns[$0.index].gatherOrNull(fromKey) : values.columns[$0.index].gatherOrNull(fromValue) }
        let picked = Picked(message: source, value: fromValue, key: fromKey, valueCount: values.count, keyCount: keys?.count ?? 0)
        for wanted in metadata { columns.append(metadataColumn(wanted, values, messages, n, picked)) }
        return Batch(columns: columns, physicalCount: count, rowKinds: kinds)
    }

    /// For each row its message, and the rows that value and key gave; -1 = none.
    private struct Picked {
        var message: [Int32], value: [Int32], key: [Int32]
        var valueCount: Int, keyCount: Int
    }

    private func metadataColumn(_ wanted: TableDescriptor.MetadataColumn, _ values: Rows, _ messages: Messages, _ n: Int, _ picked: Picked?) -> Column {
        if let place = formatMetadata[wanted.key] {
            let column = FormatMetadata.converted(values.columns[place], to: wanted.type)
            return picked.map { column.gatherOrNull($0.value) } ?? column
        }
        if wanted.key == BadInput.recordKey || wanted.key == KafkaMetadata.errorKey { return errorColumn(wanted, values, messages, n, picked) }
        guard BadInput.metadataKeys[wanted.key] != nil else {
            let column = KafkaMetadata.column(wanted, partition, messages, count: n)
            return picked.map { column.gatherOrNull($0.message) } ?? column
        }
        func column(_ part: Part?, _ count: Int, _ rows: [Int32]?) -> Column? {
            guard let column = part?.errors.column(wanted.key, type: wanted.type, count: count) else { return nil }
            return rows.map { column.gatherOrNull($0) } ?? column
        }
        let ofValue = column(value, picked?.valueCount ?? n, picked?.value), ofKey = column(key, picked?.keyCount ?? n, picked?.key)
        let count = picked?.message.count ?? n
        guard let ofKey, key?.errors.rows.isEmpty == false else { return ofValue ?? .nulls(type: wanted.type, count: count) }
        // Rare: the reason is the value's, or else the key's.
        let builder = ColumnBuilder(type: wanted.type, capacity: count)
        for i in 0..<count { builder.append(ofValue.map { $0.value(at: i) } ?? .null == .null ? ofKey.value(at: i) : ofValue!.value(at: i)) }
        return builder.finish()
    }

    /// Key or value of the messages that cannot be decoded, as they are.
    private func errorColumn(_ wanted: TableDescriptor.MetadataColumn, _ values: Rows, _ messages: Messages, _ n: Int, _ picked: Picked?) -> Column {
        let count = picked?.message.count ?? n
        guard value?.errors.rows.isEmpty == false || key?.errors.rows.isEmpty == false else {
            return (value ?? key)?.errors.column(wanted.key, type: wanted.type, count: count) ?? .nulls(type: wanted.type, count: count)
        }
        let reasons = metadataColumn(.init(name: "reason", key: BadInput.reasonKey, type: .string), values, messages, n, picked)
        let builder = ColumnBuilder(type: wanted.type, capacity: count)
        for i in 0..<count {
            let message = messages[picked.map { Int($0.message[i]) } ?? i]!.pointee, isKey = wanted.key == KafkaMetadata.errorKey
            guard reasons.isValid(i), let start = isKey ? message.key : message.payload else {
                builder.appendNull()
                continue
            }
            builder.append(bytes: UnsafeRawBufferPointer(start: start, count: isKey ? message.key_len : message.len))
        }
        return builder.finish()
    }

    private static func kinds(_ kind: RowKind, _ n: Int) -> Buffer {
        let buffer = Buffer(capacity: max(n, 1))
        buffer.base.initializeMemory(as: UInt8.self, repeating: kind.rawValue, count: n)
        return buffer
    }
}

extension Column {
    /// Rows by number; NULL for -1.
    fileprivate func gatherOrNull(_ rows: [Int32]) -> Column {
        guard count > 0 else { return .nulls(type: type, count: rows.count) }
        guard rows.contains(-1) else { return rows.withUnsafeBufferPointer { gather($0.baseAddress ?? UnsafePointer(bitPattern: 4)!, count: rows.count) } }
        let found = rows.map { max($0, 0) }.withUnsafeBufferPointer { gather($0.baseAddress!, count: rows.count) }
        let bits = Bitmap.make(rows.count, valid: true)
        for (i, row) in rows.enumerated() where row < 0 || !isValid(Int(row)) { Bitmap.clear(bits.base, i) }
        return Column(type: type, count: rows.count, validity: bits, values: found.values, heaps: found.heaps, children: found.children, dictionary: found.dictionary)
    }
}
