import CRdKafka
import StreamCore

final class MirrorWriter: SinkWriter {
    /// A partition that is written to.
    private struct Slot {
        var source: TopicPartition
        var topic: OpaquePointer
        /// What stands in the target already and comes again; nil when that is over.
        var tail: MirrorTail?
    }

    private let options: MirrorOptions
    private let context: SinkContext
    private let ledger: MirrorLedger
    private let client: KafkaClient
    private let deliveries: MirrorDeliveries
    private let mark: (name: String, value: String)?
    private var slots: [Slot] = []
    private var slotOf: [TopicPartition: Int] = [:]
    private var topics: [String: OpaquePointer] = [:]
    private var tailReader: MirrorTailReader?
    private let arguments = UnsafeMutablePointer<rd_kafka_vu_t>.allocate(capacity: 8)
    private var isInTransaction = false
    private var isClosed = false

    private static let transactionTimeout: Int32 = 60_000
    /// For new partitions to become known.
    private static let patience: Duration = .seconds(30)

    init(_ options: MirrorOptions, _ context: SinkContext, _ ledger: MirrorLedger) throws {
        self.options = options
        self.context = context
        self.ledger = ledger
        mark = options.marks.map { (MirrorRecord.originHeader, $0.from) }
        var configuration = options.to
        configuration.set("enable.idempotence", "true")
        configuration.set("message.max.bytes", "100000000", unlessGiven: true)
        configuration.set("queue.buffering.max.kbytes", "131072", unlessGiven: true)
        configuration.set("linger.ms", "10", unlessGiven: true)
        if options.isExactlyOnce {
            configuration.set("transactional.id", "swiftwater-mirror-\(context.tag)-\(context.subtask)", unlessGiven: context.parallelism == 1)
            configuration.set("transaction.timeout.ms", "600000", unlessGiven: true)
        }
        let deliveries = MirrorDeliveries(context.metrics)
        self.deliveries = deliveries
        client = try KafkaClient(.producer, configuration) { deliveries.take($0) }
        for i in 0..<8 { (arguments + i).initialize(to: rd_kafka_vu_t()) }
        // Fences a run that is not quite dead, and ends what it left open, before anyone looks at the target.
        if options.isExactlyOnce { try check(rd_kafka_init_transactions(client.handle, Self.transactionTimeout), "beginning to write in transactions") }
    }

    deinit { arguments.deallocate() }

    // MARK: rows

    func write(_ batch: Batch) throws {
        let n = batch.count
        guard n > 0 else { return }
        let topicColumn = batch.columns[MirrorRecord.topic], partitionColumn = batch.columns[MirrorRecord.partition]
        let offsetColumn = batch.columns[MirrorRecord.offset].flat(), timeColumn = batch.columns[MirrorRecord.timestamp].flat()
        let keyColumn = batch.columns[MirrorRecord.key].flat(), valueColumn = batch.columns[MirrorRecord.value].flat(), headColumn = batch.columns[MirrorRecord.headers].flat()
        let (offset, time) = (offsetColumn.pointer(as: Int64.self), timeColumn.pointer(as: Int64.self))
        var bytes = 0
        // What comes straight from a reader is of one partition.
        if topicColumn.isConstant, partitionColumn.isConstant {
            let slot = try slot(topicColumn.dictionary!.bytes(at: 0), partitionColumn.dictionary!.pointer(as: Int32.self)[0], offset[batch.row(0)])
            for i in 0..<n {
                let row = batch.row(i)
                bytes += try put(slot, offset[row], time[row], keyColumn, valueColumn, headColumn, row)
            }
        } else {
            let topics = topicColumn.flat(), partitions = partitionColumn.flat()
            for i in 0..<n {
                let row = batch.row(i)
                let slot = try slot(topics.bytes(at: row), partitions.pointer(as: Int32.self)[row], offset[row])
                bytes += try put(slot, offset[row], time[row], keyColumn, valueColumn, headColumn, row)
            }
        }
        context.metrics.bytesOut.add(bytes)
        client.poll()
        try deliveries.check(client)
    }

    private func slot(_ topic: UnsafeRawBufferPointer, _ partition: Int32, _ offset: Int64) throws -> Int {
        let source = TopicPartition(String(decoding: topic, as: UTF8.self), partition)
        if let known = slotOf[source] { return known }
        guard slots.count < MirrorDeliveries.slotsMax else {
            throw StreamError(.runtime, "a mirror's writer has more than \(MirrorDeliveries.slotsMax) partitions", fix: "raise the job's parallelism")
        }
        let name = options.names.target(source.topic)
        let handle: OpaquePointer
        if let known = topics[name] { handle = known } else {
            guard let made = rd_kafka_topic_new(client.handle, name, nil) else { throw client.error(rd_kafka_last_error(), "opening topic \(name)") }
            topics[name] = made
            handle = made
        }
        let before = ledger.restored(source) ?? OffsetRuns()
        var tail: MirrorTail?
        if context.restoredCheckpoint != nil {
            let reader = try tailReader ?? MirrorTailReader(options.to)
            tailReader = reader
            tail = try reader.read(TopicPartition(name, partition), from: before.targetEnd)
        }
        let slot = deliveries.add(before)
        slots.append(Slot(source: source, topic: handle, tail: tail))
        slotOf[source] = slot
        return slot
    }

    /// - Returns: bytes of key and value.
    private func put(_ slot: Int, _ offset: Int64, _ time: Int64, _ keys: Column, _ values: Column, _ heads: Column, _ row: Int) throws -> Int {
        let key = keys.isValid(row) ? keys.bytes(at: row) : nil, value = values.isValid(row) ? values.bytes(at: row) : nil
        let head = heads.isValid(row) ? heads.bytes(at: row) : UnsafeRawBufferPointer(start: nil, count: 0)
        // To librdkafka 0 means now.
        let time = time == 0 ? 1 : time
        if slots[slot].tail != nil {
            if let there = slots[slot].tail!.find(key, value, time, head, mark) {
                deliveries.record(slot, offset, there)
                return 0
            }
            slots[slot].tail = nil
        }
        if options.isExactlyOnce, !isInTransaction {
            try check(rd_kafka_begin_transaction(client.handle), "beginning a transaction")
            isInTransaction = true
        }
        var count = 6
        arguments[0].vtype = RD_KAFKA_VTYPE_RKT
        arguments[0].u.rkt = slots[slot].topic
        arguments[1].vtype = RD_KAFKA_VTYPE_PARTITION
        arguments[1].u.i32 = slots[slot].source.partition
        arguments[2].vtype = RD_KAFKA_VTYPE_VALUE
        arguments[2].u.mem.ptr = UnsafeMutableRawPointer(mutating: value.map { $0.baseAddress! })
        arguments[2].u.mem.size = value?.count ?? 0
        arguments[3].vtype = RD_KAFKA_VTYPE_KEY
        arguments[3].u.mem.ptr = UnsafeMutableRawPointer(mutating: key.map { $0.baseAddress! })
        arguments[3].u.mem.size = key?.count ?? 0
        arguments[4].vtype = RD_KAFKA_VTYPE_TIMESTAMP
        arguments[4].u.i64 = time
        arguments[5].vtype = RD_KAFKA_VTYPE_OPAQUE
        arguments[5].u.ptr = MirrorDeliveries.pointer(slot, offset)
        arguments[6].vtype = RD_KAFKA_VTYPE_MSGFLAGS
        arguments[6].u.i = RD_KAFKA_MSG_F_COPY
        count = 7
        if head.count > 0 || mark != nil, let headers = HeaderBytes.make(head, extra: mark) {
            arguments[7].vtype = RD_KAFKA_VTYPE_HEADERS
            arguments[7].u.headers = headers
            count = 8
        }
        var unknownSince: ContinuousClock.Instant?
        while let error = rd_kafka_produceva(client.handle, arguments, count) {
            let code = rd_kafka_error_code(error)
            let text = String(cString: rd_kafka_error_string(error))
            rd_kafka_error_destroy(error)
            if code == RD_KAFKA_RESP_ERR__QUEUE_FULL {
                client.poll(milliseconds: 50)
                do { try deliveries.check(client) } catch {
                    if count == 8 { rd_kafka_headers_destroy(arguments[7].u.headers) }
                    throw error
                }
                continue
            }
            // A partition that was added just now is not known to every broker at once, nor to the client before it asks again.
            if code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC {
                let since = unknownSince ?? .now
                unknownSince = since
                if since.duration(to: .now) < Self.patience {
                    var metadata: UnsafePointer<rd_kafka_metadata>?
                    if rd_kafka_metadata(client.handle, 0, slots[slot].topic, &metadata, 5_000) == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata { rd_kafka_metadata_destroy(metadata) }
                    client.poll(milliseconds: 20)
                    continue
                }
            }
            if count == 8 { rd_kafka_headers_destroy(arguments[7].u.headers) }
            throw client.error(code, "writing the record at offset \(offset) of \(slots[slot].source) to the target", said: text)
        }
        return (key?.count ?? 0) + (value?.count ?? 0)
    }

    func idle() throws {
        client.poll()
        try deliveries.check(client)
    }

    // MARK: checkpoints

    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        if isInTransaction {
            try flush()
            try check(rd_kafka_commit_transaction(client.handle, -1), "committing the transaction of checkpoint \(checkpoint)")
            isInTransaction = false
        } else {
            try flush()
        }
        for (i, slot) in slots.enumerated() where deliveries.fold(i) {
            let runs = deliveries.runs(i)
            ledger.set(slot.source, runs)
            context.metrics.setGauge("mirrored-offset.\(slot.source)", runs.sourceEnd)
        }
        // So that the committer hears of it: what it needs is in the ledger.
        return [Committable([])]
    }

    private func flush() throws {
        repeat {
            let code = rd_kafka_flush(client.handle, 200)
            try deliveries.check(client)
            if code == RD_KAFKA_RESP_ERR_NO_ERROR { return }
            guard code == RD_KAFKA_RESP_ERR__TIMED_OUT else { throw client.error(code, "flushing what was written to the target") }
        } while true
    }

    func state() throws -> [UInt8]? {
        // The first also keeps what nobody has gone on with yet.
        var all = context.subtask == 0 ? ledger.restored : [:]
        for (i, slot) in slots.enumerated() { all[slot.source] = deliveries.runs(i) }
        return OffsetRunsCoding.encode(all)
    }

    func abort() { shut() }

    func close() throws { shut() }

    private func shut() {
        guard !isClosed else { return }
        isClosed = true
        if isInTransaction {
            if let error = rd_kafka_abort_transaction(client.handle, 5_000) { rd_kafka_error_destroy(error) }
        } else {
            // What is on its way arrives before another run looks at what has arrived.
            rd_kafka_purge(client.handle, RD_KAFKA_PURGE_F_QUEUE)
            rd_kafka_flush(client.handle, 2_000)
        }
        for topic in topics.values { rd_kafka_topic_destroy(topic) }
        tailReader = nil
        client.close()
    }

    private func check(_ error: OpaquePointer?, _ what: String) throws {
        guard let error else { return }
        defer { rd_kafka_error_destroy(error) }
        throw client.error(rd_kafka_error_code(error), what, said: String(cString: rd_kafka_error_string(error)))
    }
}

/// What became of the records that were handed to librdkafka: where each is in the target, as runs.
///
/// A record is known by the pointer that goes with it, which is no pointer: 16 bits for its partition's slot, 48 for its offset.
final class MirrorDeliveries: @unchecked Sendable {
    // SAFETY: librdkafka calls `take` only from `poll` and `flush`, which the writer's own thread calls.
    static let slotsMax = 1 << 15

    /// The runs of each slot, and the one that grows now.
    private var folded: [OffsetRuns] = []
    private var growing: [OffsetRuns.Run] = []
    private var failure: (code: rd_kafka_resp_err_t, topic: String, partition: Int32, offset: Int64)?
    private let metrics: OperatorMetrics

    init(_ metrics: OperatorMetrics) { self.metrics = metrics }

    static func pointer(_ slot: Int, _ offset: Int64) -> UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: slot << 48 | Int(offset)) }

    func add(_ runs: OffsetRuns) -> Int {
        folded.append(runs)
        growing.append(.init(source: 0, target: 0, count: 0))
        return folded.count - 1
    }

    func take(_ message: UnsafePointer<rd_kafka_message_t>) {
        let bits = UInt(bitPattern: message.pointee._private)
        let slot = Int(bits >> 48), offset = Int64(bits & 0xFFFF_FFFF_FFFF)
        guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
            if failure == nil {
                failure = (message.pointee.err, message.pointee.rkt.map { String(cString: rd_kafka_topic_name($0)) } ?? "", message.pointee.partition, offset)
            }
            return
        }
        // A broker that has seen a batch before does not tell where it is.
        if message.pointee.offset >= 0 { record(slot, offset, message.pointee.offset) }
    }

    func record(_ slot: Int, _ source: Int64, _ target: Int64) {
        if growing[slot].sourceEnd == source, growing[slot].targetEnd == target, growing[slot].count > 0 {
            growing[slot].count += 1
        } else {
            _ = fold(slot)
            growing[slot] = .init(source: source, target: target, count: 1)
        }
    }

    /// - Returns: whether anything was added.
    func fold(_ slot: Int) -> Bool {
        let run = growing[slot]
        guard run.count > 0 else { return false }
        folded[slot].append(run)
        growing[slot] = .init(source: run.sourceEnd, target: run.targetEnd, count: 0)
        return true
    }

    func runs(_ slot: Int) -> OffsetRuns { folded[slot] }

    func check(_ client: KafkaClient) throws {
        if let failure {
            throw KafkaFailure.error(failure.code, "writing the record from source offset \(failure.offset) to \(failure.topic)-\(failure.partition)", configuration: client.configuration)
        }
        if let error = client.fatalFailure("writing to the target") { throw error }
    }
}
