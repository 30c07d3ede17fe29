import CRdKafka
import StreamCore

/// Reads one partition as batches of ``MirrorRecord/schema``: bytes are copied out of librdkafka's messages into the columns' memory, and
/// nothing else is made for a record.
final class MirrorReader: SplitReader {
    private typealias Message = UnsafeMutablePointer<rd_kafka_message_t>

    private let client: KafkaClient
    private let partition: TopicPartition
    private let topic: OpaquePointer
    private let end: Int64?
    private let projection: [Int]
    private let schema: Schema
    /// What `auto.offset.reset` says.
    private let reset: String
    private let dropped: OriginMark?
    private let metrics: OperatorMetrics

    /// The offset to read next; nil = the first there is.
    private var next: Int64?
    private let messages = UnsafeMutablePointer<Message?>.allocate(capacity: fetchMax)
    private var cursor = 0, fetched = 0
    private var headers = HeaderBytes()
    private let kept = UnsafeMutablePointer<Int32>.allocate(capacity: fetchMax)
    private var pause: Int64 = 1
    private var lag: Int64 = 0
    private var knowsLag = false
    private var gaugeAt: UInt64 = 0
    private var isStarted = false

    private static let fetchMax = 4_096
    /// Keys and values of a batch, about.
    private static let batchBytes = 16 << 20
    private static let pauseMax: Int64 = 20

    init(_ client: KafkaClient, _ partition: TopicPartition, from: Int64?, end: Int64?, projection: [Int], schema: Schema, reset: String, dropped: OriginMark?,
         metrics: OperatorMetrics) throws {
        self.client = client
        self.partition = partition
        self.end = end
        self.projection = projection
        self.schema = schema
        self.reset = reset
        self.dropped = dropped
        self.metrics = metrics
        next = from
        guard let topic = rd_kafka_topic_new(client.handle, partition.topic, nil) else { throw client.error(rd_kafka_last_error(), "opening topic \(partition.topic)") }
        self.topic = topic
        try start()
    }

    deinit {
        messages.deallocate()
        kept.deallocate()
    }

    var position: String { next.map { String($0) } ?? MirrorSource.earliest }
    var recordsBehind: Int64? { knowsLag ? lag : nil }

    private func start() throws {
        guard rd_kafka_consume_start(topic, partition.partition, next ?? Int64(RD_KAFKA_OFFSET_BEGINNING)) == 0 else {
            throw client.error(rd_kafka_last_error(), "reading \(partition)")
        }
        isStarted = true
    }

    private func stop() {
        if isStarted { rd_kafka_consume_stop(topic, partition.partition) }
        isStarted = false
    }

    func close() {
        drop(fetched)
        stop()
        rd_kafka_topic_destroy(topic)
        metrics.lag.set(max(0, metrics.lag.get()) - lag)
        metrics.setGauge("lag.\(partition)", nil)
    }

    /// Frees messages up to a number of them.
    private func drop(_ upTo: Int) {
        for i in cursor..<max(cursor, upTo) { rd_kafka_message_destroy(messages[i]) }
        cursor = upTo
    }

    func next(maxRows: Int) throws -> ReadResult {
        // Several rounds when all that was fetched came from the target in the first place.
        for _ in 0..<8 {
            if let end, let next, next >= end { return ended() }
            if cursor == fetched {
                (cursor, fetched) = (0, 0)
                let count = rd_kafka_consume_batch(topic, partition.partition, 0, messages, min(maxRows, Self.fetchMax))
                guard count >= 0 else { throw client.error(rd_kafka_last_error(), "reading \(partition)") }
                fetched = count
                if count == 0 {
                    setLag()
                    client.poll()
                    if let error = client.fatalFailure("reading \(partition)") { throw error }
                    defer { pause = min(pause * 2, Self.pauseMax) }
                    return .waiting(.milliseconds(pause))
                }
                pause = 1
            }
            if let batch = try decode(maxRows) { return .batch(batch) }
        }
        return .waiting(.milliseconds(0))
    }

    private func ended() -> ReadResult {
        drop(fetched)
        setLag()
        return .endOfSplit
    }

    /// librdkafka knows the end of the partition from its last fetch.
    private func setLag() {
        var low: Int64 = 0, high: Int64 = 0
        guard rd_kafka_get_watermark_offsets(client.handle, partition.topic, partition.partition, &low, &high) == RD_KAFKA_RESP_ERR_NO_ERROR, high >= 0, let next else { return }
        let now = max(0, high - next)
        metrics.lag.set(max(0, metrics.lag.get()) - lag + now)
        (lag, knowsLag) = (now, true)
        let time = Clock.monotonicNanoseconds()
        guard time >= gaugeAt else { return }
        gaugeAt = time + 500_000_000
        metrics.setGauge("lag.\(partition)", lag)
    }

    /// The records from the cursor on that fit into a batch; nil when none is left of them.
    private func decode(_ maxRows: Int) throws -> Batch? {
        var count = 0, bytes = 0, upTo = cursor
        scan: while upTo < fetched, count < maxRows, bytes < Self.batchBytes {
            let message = messages[upTo]!
            if message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR {
                // Rows before it first.
                if count > 0 { break }
                defer { drop(upTo + 1) }
                return try take(message)
            }
            if let end, message.pointee.offset >= end {
                next = end
                break scan
            }
            upTo += 1
            next = message.pointee.offset + 1
            if let dropped, dropped.isOn(message) { continue }
            kept[count] = Int32(upTo - 1)
            count += 1
            bytes += message.pointee.len + message.pointee.key_len
        }
        defer {
            drop(upTo)
            if next.map({ n in end.map { n >= $0 } ?? false }) ?? false { drop(fetched) }
            setLag()
        }
        guard count > 0 else { return nil }
        metrics.bytesIn.add(bytes)
        return Batch(columns: columns(count, bytes), physicalCount: count)
    }

    private func columns(_ n: Int, _ bytes: Int) -> [Column] {
        headers.removeAll()
        let heap = Buffer(capacity: bytes)
        let offsets = Buffer(capacity: n * 8), times = Buffer(capacity: n * 8)
        let keys = Buffer(capacity: n * 16), values = Buffer(capacity: n * 16), heads = Buffer(capacity: n * 16)
        let (offset, time) = (offsets.pointer(as: Int64.self), times.pointer(as: Int64.self))
        let (key, value) = (keys.pointer(as: StringView.self), values.pointer(as: StringView.self))
        var keyNulls: Buffer?, valueNulls: Buffer?
        // Where the headers of each record begin; the last is the end of all.
        let starts = UnsafeMutablePointer<Int>.allocate(capacity: n + 1)
        defer { starts.deallocate() }
        var used = 0
        func view(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> StringView {
            if count <= StringView.inlineLength { return .inline(bytes, count) }
            (heap.base + used).copyMemory(from: bytes, byteCount: count)
            defer { used += count }
            return .make(bytes, count, heapIndex: 0, offset: used)
        }
        for i in 0..<n {
            let message = messages[Int(kept[i])]!
            offset[i] = message.pointee.offset
            var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
            let timestamp = rd_kafka_message_timestamp(message, &kind)
            time[i] = kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : timestamp
            if let bytes = message.pointee.key {
                key[i] = view(bytes, message.pointee.key_len)
            } else {
                key[i] = .empty
                if keyNulls == nil { keyNulls = Bitmap.make(n, valid: true) }
                Bitmap.clear(keyNulls!.base, i)
            }
            if let bytes = message.pointee.payload {
                value[i] = view(bytes, message.pointee.len)
            } else {
                value[i] = .empty
                if valueNulls == nil { valueNulls = Bitmap.make(n, valid: true) }
                Bitmap.clear(valueNulls!.base, i)
            }
            starts[i] = headers.count
            _ = headers.append(message)
        }
        starts[n] = headers.count
        let headHeap = Buffer(copying: UnsafeRawBufferPointer(start: headers.base, count: headers.count))
        let head = heads.pointer(as: StringView.self)
        var headNulls: Buffer?
        for i in 0..<n {
            let length = starts[i + 1] - starts[i]
            head[i] = .make(headHeap.base + starts[i], length, heapIndex: 0, offset: starts[i])
            guard length == 0 else { continue }
            if headNulls == nil { headNulls = Bitmap.make(n, valid: true) }
            Bitmap.clear(headNulls!.base, i)
        }
        return projection.map { index in
            let type = schema[index].type
            return switch index {
            case MirrorRecord.topic: Column.constant(.string(partition.topic), type: type, count: n)
            case MirrorRecord.partition: Column.constant(.int(Int64(partition.partition)), type: type, count: n)
            case MirrorRecord.offset: Column(type: type, count: n, values: offsets)
            case MirrorRecord.timestamp: Column(type: type, count: n, values: times)
            case MirrorRecord.key: Column(type: type, count: n, validity: keyNulls, values: keys, heaps: [heap])
            case MirrorRecord.value: Column(type: type, count: n, validity: valueNulls, values: values, heaps: [heap])
            default: Column(type: type, count: n, validity: headNulls, values: heads, heaps: [headHeap])
            }
        }
    }

    /// Something that came in place of a record.
    private func take(_ message: Message) throws -> Batch? {
        let code = message.pointee.err
        switch code {
        case RD_KAFKA_RESP_ERR__PARTITION_EOF:
            // Behind records that are not for readers, such as the ends of transactions.
            if message.pointee.offset >= 0 { next = max(next ?? 0, message.pointee.offset) }
        case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: try goOnElsewhere(code)
        case _ where KafkaFailure.isTransient(code): break
        default: throw client.error(code, "reading \(partition)", said: rd_kafka_message_errstr(message).map { String(cString: $0) })
        }
        return nil
    }

    /// The offset to read is not there: the records were deleted before they could be copied, or the topic was made anew.
    private func goOnElsewhere(_ code: rd_kafka_resp_err_t) throws {
        let bounds = try client.bounds(partition), wanted = next ?? 0
        guard reset != "error", reset != "none" else {
            throw client.error(code, "reading \(partition) from offset \(wanted): it has \(bounds.low) to \(bounds.high)")
        }
        let start = ["latest", "largest", "end"].contains(reset) ? bounds.high : bounds.low
        metrics.warn("\(partition) has no offset \(wanted): it has \(bounds.low) to \(bounds.high); "
            + (start > wanted ? "\(start - wanted) records were deleted before they could be mirrored" : "it was made anew, and is mirrored from its beginning"))
        metrics.badRecords.add(Int(max(0, start - wanted)))
        stop()
        next = start
        try self.start()
    }
}
