import CRdKafka
import StreamCore

/// Reads one partition from a queue of its own, many messages at a time.
final class KafkaReader: SplitReader {
    private let connection: KafkaSourceConnection
    private let partition: TopicPartition
    private let rows: KafkaRows
    private let reset: KafkaSourceOptions.Reset
    private let metrics: OperatorMetrics

    private var current: KafkaPosition
    /// nil before the first fetch, and after the end.
    private var topic: OpaquePointer?, queue: OpaquePointer?
    private let messages: UnsafeMutablePointer<KafkaMetadata.Message?>
    /// Messages taken from the queue and not handed out: `cursor..<filled`.
    private var cursor = 0, filled = 0
    /// The position once they are handed out, where it is not behind the last of them.
    private var afterwards: KafkaPosition.Next?
    private var isClosed = false
    /// Grows while nothing comes, so that an idle partition costs little and a busy one is read at once.
    private var pause = minPause
    private var lag: Int64 = 0
    private var knowsLag = false
    private var nextMeasure: UInt64 = 0
    private static let minPause: Int64 = 1
    private static let maxPause: Int64 = 20
    private static let messagesMax = 8_192
    private static let bytesMax = 16 << 20
    private static let measureInterval: UInt64 = 250_000_000

    init(_ connection: KafkaSourceConnection, _ partition: TopicPartition, _ position: KafkaPosition, _ rows: KafkaRows, reset: KafkaSourceOptions.Reset,
         metrics: OperatorMetrics) throws {
        self.connection = connection
        self.partition = partition
        self.rows = rows
        self.reset = reset
        self.metrics = metrics
        current = position
        messages = .allocate(capacity: Self.messagesMax)
        messages.initialize(repeating: nil, count: Self.messagesMax)
        if !isAtEnd { try start(at: position.next) }
    }

    deinit {
        close()
        messages.deallocate()
    }

    var position: String { current.text }
    var recordsBehind: Int64? { knowsLag ? lag : nil }

    private var isAtEnd: Bool {
        guard let end = current.end else { return false }
        guard case .offset(let next) = current.next else { return end == 0 }
        return next >= end
    }

    // MARK: Fetching

    private func start(at next: KafkaPosition.Next) throws {
        let handle = connection.client.handle
        if topic == nil { topic = rd_kafka_topic_new(handle, partition.topic, nil) }
        guard let topic else { throw connection.client.error(rd_kafka_last_error(), "reading \(partition)") }
        queue = rd_kafka_queue_new(handle)
        guard rd_kafka_consume_start_queue(topic, partition.partition, next.logical, queue) == 0 else {
            throw connection.client.error(rd_kafka_last_error(), "reading \(partition)")
        }
    }

    private func stop() {
        while cursor < filled { drop(cursor); cursor += 1 }
        if let topic, let queue {
            rd_kafka_consume_stop(topic, partition.partition)
            rd_kafka_queue_destroy(queue)
        }
        queue = nil
        if let topic { rd_kafka_topic_destroy(topic) }
        topic = nil
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        stop()
        setLag(0)
        metrics.setGauge("lag.\(partition)", nil)
        metrics.setGauge("queued-messages.\(partition)", nil)
    }

    private func drop(_ i: Int) {
        rd_kafka_message_destroy(messages[i])
        messages[i] = nil
    }

    func next(maxRows: Int) throws -> ReadResult {
        let now = try connection.serve(metrics)
        if cursor == filled, !isAtEnd { try fetch(maxRows, now) }
        if isAtEnd, cursor == filled {
            stop()
            setLag(0)
            return .endOfSplit
        }
        guard cursor < filled else {
            measure(now)
            defer { pause = min(pause * 2, Self.maxPause) }
            return .waiting(.milliseconds(pause))
        }
        pause = Self.minPause
        let batch = try take(maxRows)
        measure(now)
        return .batch(batch)
    }

    /// Takes messages from the queue, and acts on what else stands in it.
    private func fetch(_ maxRows: Int, _ now: UInt64) throws {
        cursor = 0
        filled = 0
        afterwards = nil
        let count = rd_kafka_consume_batch_queue(queue, 0, messages, min(max(maxRows, 1), Self.messagesMax))
        guard count > 0 else { return }
        var error: StreamError?
        for i in 0..<count {
            let message = messages[i]!
            guard message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR else {
                messages[i] = nil
                messages[filled] = message
                filled += 1
                afterwards = nil
                continue
            }
            defer { drop(i) }
            do { try act(on: message, now) } catch let failure as StreamError { error = error ?? failure }
        }
        if let error {
            while cursor < filled { drop(cursor); cursor += 1 }
            throw error
        }
        if filled == 0 { passAfterwards() }
    }

    private func passAfterwards() {
        guard let next = afterwards else { return }
        afterwards = nil
        current.next = next
    }

    /// What is no message: the partition's end, or trouble.
    private func act(on message: KafkaMetadata.Message, _ now: UInt64) throws {
        let code = message.pointee.err
        func said() -> String? { message.pointee.payload.map { String(cString: $0.assumingMemoryBound(to: CChar.self)) } }
        switch code {
        case RD_KAFKA_RESP_ERR__PARTITION_EOF: afterwards = .offset(max(message.pointee.offset, 0))
        case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: try goOn(said: said())
        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
            throw StreamError(.io, "reading \(partition): the cluster \(connection.client.configuration.servers) does not have it any more",
                              fix: "start the job with --fresh when the topic was deleted or made anew")
        case _ where KafkaFailure.isTransient(code):
            connection.warn(KafkaFailure.error(code, "reading \(partition)", said: said(), configuration: connection.client.configuration).problem, now, metrics)
        default: throw connection.client.error(code, "reading \(partition)", said: said())
        }
    }

    /// There is no record where reading is to go on: it does at the first there is, or behind the last, when that is allowed.
    private func goOn(said: String?) throws {
        let wanted = switch current.next {
        case .earliest: "its beginning"
        case .latest: "its end"
        case .offset(let offset): "offset \(offset)"
        }
        guard reset != .fail else {
            throw KafkaFailure.error(RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, "reading \(partition) from \(wanted)", said: said, configuration: connection.client.configuration)
        }
        let next: KafkaPosition.Next = reset == .earliest ? .earliest : .latest
        metrics.addToGauge("offset-resets.\(partition)", 1)
        metrics.warn("\(partition) has no record at \(wanted) any more: reading goes on at the \(reset == .earliest ? "first one there is" : "end"), as "
            + "'\(connection.client.configuration.option("auto.offset.reset"))' says; records may be missing or come again")
        if let topic, let queue {
            rd_kafka_consume_stop(topic, partition.partition)
            rd_kafka_queue_destroy(queue)
            self.queue = nil
        }
        try start(at: next)
        afterwards = next
    }

    // MARK: Handing out

    private func take(_ maxRows: Int) throws -> Batch {
        var count = 0, bytes = 0
        let most = min(filled - cursor, maxRows), first = messages + cursor
        while count < most, count == 0 || bytes < Self.bytesMax {
            let message = first[count]!
            if let end = current.end, message.pointee.offset >= end { break }
            bytes += message.pointee.len + message.pointee.key_len
            count += 1
        }
        let reachesEnd = count < most && count > 0 && bytes < Self.bytesMax || count == 0
        let batch = try rows.decode(first, count: count)
        metrics.bytesIn.add(bytes)
        if count > 0 { current.next = .offset(first[count - 1]!.pointee.offset + 1) }
        for _ in 0..<count { drop(cursor); cursor += 1 }
        if reachesEnd, let end = current.end {
            // What is behind the end is not looked at.
            while cursor < filled { drop(cursor); cursor += 1 }
            current.next = .offset(end)
            afterwards = nil
        }
        if cursor == filled { passAfterwards() }
        return batch
    }

    // MARK: Metrics

    private func measure(_ now: UInt64) {
        guard now >= nextMeasure else { return }
        nextMeasure = now + Self.measureInterval
        var low: Int64 = -1, high: Int64 = -1
        guard case .offset(let next) = current.next,
              rd_kafka_get_watermark_offsets(connection.client.handle, partition.topic, partition.partition, &low, &high) == RD_KAFKA_RESP_ERR_NO_ERROR, high >= 0 else { return }
        setLag(max(0, min(high, current.end ?? .max) - next))
        metrics.setGauge("lag.\(partition)", lag)
        metrics.setGauge("queued-messages.\(partition)", Int64(filled - cursor) + (queue.map { Int64(rd_kafka_queue_length($0)) } ?? 0))
    }

    /// The counter is shared by the splits of a subtask, which take turns.
    private func setLag(_ now: Int64) {
        metrics.lag.set(max(0, metrics.lag.get()) - lag + now)
        (lag, knowsLag) = (now, true)
    }
}

extension KafkaPosition.Next {
    /// As librdkafka has it.
    var logical: Int64 {
        switch self {
        case .earliest: Int64(RD_KAFKA_OFFSET_BEGINNING)
        case .latest: Int64(RD_KAFKA_OFFSET_END)
        case .offset(let offset): offset
        }
    }
}
