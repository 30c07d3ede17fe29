import CRdKafka
import StreamCore
import StreamFormats

/// Rows as messages: key, value, partition, and what metadata columns say.
final class KafkaRowWriter {
    private let sink: KafkaSink
    private let metrics: OperatorMetrics
    private let values: any RecordEncoder
    private let keys: (any RecordEncoder)?
    private let subtask: Int
    private var valueBytes = EncodedBytes(capacity: 1 << 16)
    private var keyBytes = EncodedBytes(capacity: 1 << 12)
    private var valueEnds: [Int] = []
    private var keyEnds: [Int] = []
    private let messages: UnsafeMutablePointer<rd_kafka_message_t>
    private static let messagesMax = 1_024
    /// Topics that rows named, and the table's options allow.
    private var allowed: Set<String> = []
    /// Partitions of a topic, for a partitioner that counts them, and when they are to be asked for again.
    private var partitions: [String: (count: Int32, next: Int32)] = [:]
    private var partitionsAt: UInt64 = 0

    init(_ sink: KafkaSink, _ context: SinkContext) throws {
        self.sink = sink
        metrics = context.metrics
        subtask = context.subtask
        values = try sink.kafka.valueFormat.encoder(sink.kafka.valueTable)
        keys = try sink.kafka.keyTable.map { try sink.kafka.keyFormat!.encoder($0) }
        messages = .allocate(capacity: Self.messagesMax)
        messages.initialize(repeating: rd_kafka_message_t(), count: Self.messagesMax)
    }

    deinit { messages.deallocate() }

    /// Encodes the selected rows' keys: for each row where it ends in the bytes.
    func encodeKeys(_ batch: Batch, _ use: (_ bytes: UnsafeRawBufferPointer, _ ends: [Int]) -> Void) throws {
        try encodeKeys(batch)
        use(keyBytes.bytes, keyEnds)
    }

    private func encodeKeys(_ batch: Batch) throws {
        keyBytes.removeAll()
        keyEnds.removeAll(keepingCapacity: true)
        guard let keys else { return }
        let part = Batch(columns: sink.kafka.keyColumns.map { batch.columns[$0] }, physicalCount: batch.physicalCount, selection: batch.selection)
        try keys.encode(part, into: &keyBytes, ends: &keyEnds)
    }

    func write(_ batch: Batch, to producer: KafkaProducer) throws {
        valueBytes.removeAll()
        valueEnds.removeAll(keepingCapacity: true)
        let part = Batch(columns: sink.kafka.valueColumns.map { batch.columns[$0] }, physicalCount: batch.physicalCount, selection: batch.selection,
                         rowKinds: sink.isUpsert ? nil : batch.rowKinds)
        try values.encode(part, into: &valueBytes, ends: &valueEnds)
        try encodeKeys(batch)
        metrics.bytesOut.add(valueBytes.count + keyBytes.count)
        let nullValues = sink.kafka.valueFormat.name == "raw" ? part.columns[0].flat() : nil
        let nullKeys = sink.kafka.keyFormat?.name == "raw" ? batch.columns[sink.kafka.keyColumns[0]].flat() : nil
        let kinds = sink.isUpsert ? batch.rowKinds : nil
        if sink.metadata.isEmpty {
            try writeRuns(batch, nullValues, nullKeys, kinds, producer)
        } else {
            try writeEach(batch, nullValues, nullKeys, kinds, producer)
        }
    }

    /// Where all messages go to, and to which partition: -1 = by the key.
    private func writeRuns(_ batch: Batch, _ nullValues: Column?, _ nullKeys: Column?, _ kinds: Buffer?, _ producer: KafkaProducer) throws {
        let name = sink.topics.single!, topic = try producer.topic(name)
        let chosen = try choice(name, producer)
        var partition = chosen.first
        let hasKeys = keys != nil, messages = messages
        let valueBase = valueBytes.bytes.baseAddress!, keyBase = keyBytes.bytes.baseAddress!
        var valueStart = 0, keyStart = 0, filled = 0
        for i in 0..<batch.count {
            let row = batch.row(i), valueEnd = valueEnds[i]
            let isGone = Self.isGone(row, nullValues, kinds)
            messages[filled].payload = isGone ? nil : UnsafeMutableRawPointer(mutating: valueBase + valueStart)
            messages[filled].len = isGone ? 0 : valueEnd - valueStart
            valueStart = valueEnd
            if hasKeys {
                let keyEnd = keyEnds[i], isNull = nullKeys.map { !$0.isValid(row) } ?? false
                messages[filled].key = isNull ? nil : UnsafeMutableRawPointer(mutating: keyBase + keyStart)
                messages[filled].key_len = isNull ? 0 : keyEnd - keyStart
                keyStart = keyEnd
            }
            messages[filled].partition = partition
            if chosen.turns > 0 { partition = partition + 1 == chosen.turns ? 0 : partition + 1 }
            filled += 1
            if filled == Self.messagesMax {
                try producer.send(topic, messages, filled)
                filled = 0
            }
        }
        if filled > 0 { try producer.send(topic, messages, filled) }
        if chosen.turns > 0 { partitions[name]!.next = partition }
    }

    /// Without a value: a tombstone, or a null of the format `raw`.
    @inline(__always)
    private static func isGone(_ row: Int, _ nullValues: Column?, _ kinds: Buffer?) -> Bool {
        if let kinds, kinds.pointer(as: UInt8.self)[row] & 1 == 1 { return true }
        if let nullValues { return !nullValues.isValid(row) }
        return false
    }

    /// The partition of the first row; with `turns` > 0 the following rows go to the next ones in turn.
    private func choice(_ topic: String, _ producer: KafkaProducer) throws -> (first: Int32, turns: Int32) {
        if case .byKey = sink.options.partitioner { return (-1, 0) }
        let now = Clock.monotonicNanoseconds()
        if now > partitionsAt + 300_000_000_000 {
            // New ones are used some time.
            for name in partitions.keys { partitions[name]!.count = try producer.partitionCount(name) }
            partitionsAt = now
        }
        if partitions[topic] == nil { partitions[topic] = (try producer.partitionCount(topic), 0) }
        let (count, next) = partitions[topic]!
        if case .fixed = sink.options.partitioner { return (Int32(subtask % Int(count)), 0) }
        return (next < count ? next : 0, count)
    }

    // MARK: With metadata

    private func writeEach(_ batch: Batch, _ nullValues: Column?, _ nullKeys: Column?, _ kinds: Buffer?, _ producer: KafkaProducer) throws {
        let metadata = sink.metadata
        let headers = metadata.headers.map { batch.columns[$0].flat() }
        let times = metadata.timestamp.map { batch.columns[$0].flat() }
        let perMillisecond = times?.type.timeUnit?.perMillisecond ?? 1
        let names = metadata.topic.map { batch.columns[$0].flat() }
        let places = metadata.partition.map { batch.columns[$0].flat() }
        var name = sink.topics.single ?? "", topic = try sink.topics.single.map { try producer.topic($0) }
        let valueBase = valueBytes.bytes.baseAddress!, keyBase = keyBytes.bytes.baseAddress!
        var valueStart = 0, keyStart = 0
        for i in 0..<batch.count {
            let row = batch.row(i)
            if let names {
                guard names.isValid(row) else {
                    throw StreamError(.runtime, "table \(sink.kafka.table.name): a row has null for the topic to write to", fix: "filter such rows out")
                }
                let bytes = names.bytes(at: row)
                if topic == nil || !Self.equals(&name, bytes) {
                    name = String(decoding: bytes, as: UTF8.self)
                    if !allowed.contains(name) {
                        try sink.topics.check(name)
                        allowed.insert(name)
                    }
                    topic = try producer.topic(name)
                }
            }
            var message = rd_kafka_message_t()
            let valueEnd = valueEnds[i]
            if !Self.isGone(row, nullValues, kinds) {
                message.payload = UnsafeMutableRawPointer(mutating: valueBase + valueStart)
                message.len = valueEnd - valueStart
            }
            valueStart = valueEnd
            if keys != nil {
                let keyEnd = keyEnds[i]
                if nullKeys?.isValid(row) ?? true {
                    message.key = UnsafeMutableRawPointer(mutating: keyBase + keyStart)
                    message.key_len = keyEnd - keyStart
                }
                keyStart = keyEnd
            }
            if let places, places.isValid(row) {
                message.partition = places.pointer(as: Int32.self)[row]
                if message.partition < 0 { throw invalid("the partition \(message.partition)") }
            } else {
                let chosen = try choice(name, producer)
                message.partition = chosen.first
                if chosen.turns > 0 { partitions[name]!.next = chosen.first + 1 == chosen.turns ? 0 : chosen.first + 1 }
            }
            var time: Int64 = 0
            if let times, times.isValid(row) {
                let value = times.pointer(as: Int64.self)[row]
                // librdkafka takes 0 for "now".
                guard value >= perMillisecond else { throw invalid("the timestamp \(value / perMillisecond) ms since 1970; messages have times after that") }
                time = value / perMillisecond
            }
            let own = try headers.flatMap { $0.isValid(row) ? try self.headers($0, row) : nil }
            try producer.send(topic!, message, timestamp: time, headers: own)
        }
    }

    private func invalid(_ what: String) -> StreamError {
        StreamError(.runtime, "table \(sink.kafka.table.name): a row has \(what)", fix: "filter such rows out, or set the column to NULL")
    }

    private static func equals(_ text: inout String, _ bytes: UnsafeRawBufferPointer) -> Bool {
        text.withUTF8 { $0.count == bytes.count && UnsafeRawBufferPointer($0).elementsEqual(bytes) }
    }

    /// As librdkafka keeps them. Entries without a name are left out.
    private func headers(_ column: Column, _ row: Int) throws -> OpaquePointer? {
        let range = column.codes[row]..<column.codes[row + 1]
        guard !range.isEmpty else { return nil }
        guard let headers = rd_kafka_headers_new(range.count) else { return nil }
        let names = column.children[0].flat(), values = column.children[1].flat()
        for entry in range where names.isValid(Int(entry)) {
            let name = names.bytes(at: Int(entry))
            let value = values.isValid(Int(entry)) ? values.bytes(at: Int(entry)) : nil
            // A pointer of NULL is a header without a value; an empty value has some other one.
            let code = rd_kafka_header_add(headers, name.baseAddress?.assumingMemoryBound(to: CChar.self), name.count,
                                           value.map { $0.baseAddress ?? UnsafeRawPointer(messages) }, value?.count ?? 0)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
                rd_kafka_headers_destroy(headers)
                throw KafkaFailure.error(code, "table \(sink.kafka.table.name): adding a header", configuration: sink.configuration)
            }
        }
        return headers
    }
}
