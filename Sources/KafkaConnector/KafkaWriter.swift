import CRdKafka
import StreamCore

/// Writes one subtask's rows.
final class KafkaWriter: SinkWriter {
    enum Producers {
        /// Messages are readable when they arrive.
        case single(KafkaProducer)
        /// Those of a checkpoint become readable with its commit.
        case transactions(TransactionPool)
    }

    private let sink: KafkaSink
    private let producers: Producers
    private let rows: KafkaRowWriter
    private let subtask: Int
    private let parallelism: Int
    private let now: @Sendable () -> Int64
    private var transaction: TransactionalProducer?
    private var buffer: UpsertRows?
    private var isClosed = false
    private let metrics: OperatorMetrics
    private var nextMeasure: Int64 = 0
    private var statistics: String?

    init(_ sink: KafkaSink, _ context: SinkContext, _ producers: Producers, now: @escaping @Sendable () -> Int64) throws {
        self.sink = sink
        self.producers = producers
        self.now = now
        subtask = context.subtask
        parallelism = context.parallelism
        metrics = context.metrics
        rows = try KafkaRowWriter(sink, context)
        buffer = sink.options.buffering.map { _ in UpsertRows() }
    }

    func write(_ batch: Batch) throws {
        var batch = batch
        if sink.isUpsert, let kinds = batch.rowKinds { batch = Self.withoutUpdateBefore(batch, kinds) }
        guard !batch.isEmpty else { return }
        guard let buffering = sink.options.buffering else { return try send(batch) }
        try rows.encodeKeys(batch) { bytes, ends in buffer!.add(batch, bytes, ends, at: now()) }
        if buffer!.count >= buffering.maxRows { try sendBuffer() } else { try sendBufferWhenDue() }
    }

    /// The rows that say something about a key: what stood before an update says nothing.
    private static func withoutUpdateBefore(_ batch: Batch, _ kinds: Buffer) -> Batch {
        let kinds = kinds.pointer(as: UInt8.self)
        let out = Buffer(capacity: batch.count * 4), rows = out.pointer(as: Int32.self)
        var n = 0
        for i in 0..<batch.count {
            let row = batch.row(i)
            rows[n] = Int32(truncatingIfNeeded: row)
            n += kinds[row] == RowKind.updateBefore.rawValue ? 0 : 1
        }
        if n == batch.count { return batch }
        var kept = batch
        kept.selection = Selection(buffer: out, count: n)
        return kept
    }

    private func send(_ batch: Batch) throws {
        let producer = try open()
        try rows.write(batch, to: producer)
        try producer.poll()
        measure(producer)
    }

    /// What has not reached a broker yet, and how soon brokers answer.
    private func measure(_ producer: KafkaProducer) {
        let time = now()
        guard time >= nextMeasure else { return }
        nextMeasure = time + 1_000
        metrics.setGauge("queued-messages", Int64(rd_kafka_outq_len(producer.client.handle)))
        guard let text = producer.client.statistics, text != statistics else { return }
        statistics = text
        for (name, value) in KafkaStatistics.gauges(text) { metrics.setGauge(name, value) }
    }

    /// The producer to write with, in a transaction where they are used.
    private func open() throws -> KafkaProducer {
        switch producers {
        case .single(let producer): return producer
        case .transactions(let pool):
            if let transaction { return transaction.producer }
            let next = try pool.take(subtask)
            try next.begin()
            transaction = next
            return next.producer
        }
    }

    private func sendBuffer() throws {
        guard let batches = buffer?.removeAll() else { return }
        for batch in batches { try send(batch) }
    }

    private func sendBufferWhenDue() throws {
        guard let buffering = sink.options.buffering, let since = buffer?.since, now() - since >= buffering.milliseconds else { return }
        try sendBuffer()
    }

    func idle() throws {
        try sendBufferWhenDue()
        switch producers {
        case .single(let producer):
            try producer.poll()
            measure(producer)
        case .transactions:
            guard let producer = transaction?.producer else { return }
            try producer.poll()
            measure(producer)
        }
    }

    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        try sendBuffer()
        switch producers {
        case .single(let producer):
            if sink.options.guarantee == .none { try producer.poll() } else { try producer.flush() }
            return []
        case .transactions(let pool):
            try transaction?.producer.flush()
            defer { transaction = nil }
            pool.barrier(checkpoint, subtask, transaction)
            guard let open = transaction else { return [] }
            return [Committable(PreparedTransaction(checkpoint: checkpoint, name: open.name, id: open.id, producerID: open.producerID, epoch: open.epoch,
                                                    parallelism: parallelism).bytes)]
        }
    }

    func abort() {
        guard !isClosed else { return }
        isClosed = true
        switch producers {
        case .single(let producer): producer.close()
        case .transactions(let pool):
            if let transaction { pool.abort(transaction) }
            transaction = nil
        }
    }

    func close() throws {
        guard !isClosed else { return }
        isClosed = true
        if case .single(let producer) = producers {
            try sendBuffer()
            try producer.flush()
            producer.close()
        } else {
            // What was prepared is committed after this.
            transaction = nil
        }
    }
}

/// Rows kept back: of each key only the last one.
struct UpsertRows {
    private struct Entry {
        var hash: UInt64
        var keyStart: Int, keyCount: Int
        var batch: Int32, row: Int32
    }

    private var batches: [Batch] = []
    private var entries: ContiguousArray<Entry> = []
    private var keys: [UInt8] = []
    /// Open addressing; entry number + 1, 0 = free. Its size is a power of two.
    private var slots = [Int32](repeating: 0, count: 1_024)
    /// When the first of them came, in milliseconds.
    private(set) var since: Int64?

    /// Rows that came, those that were replaced included.
    private(set) var count = 0

    mutating func add(_ batch: Batch, _ bytes: UnsafeRawBufferPointer, _ ends: [Int], at now: Int64) {
        if since == nil { since = now }
        let number = Int32(batches.count)
        batches.append(batch)
        count += batch.count
        var start = 0
        for i in 0..<batch.count {
            let key = UnsafeRawBufferPointer(rebasing: bytes[start..<ends[i]])
            start = ends[i]
            put(key, number, Int32(truncatingIfNeeded: batch.row(i)))
        }
    }

    private mutating func put(_ key: UnsafeRawBufferPointer, _ batch: Int32, _ row: Int32) {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash ^= hash >> 29
        if (entries.count + 1) * 2 > slots.count { grow() }
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != 0 {
            let i = Int(slots[slot]) - 1
            if entries[i].hash == hash, entries[i].keyCount == key.count, keys[entries[i].keyStart..<entries[i].keyStart + key.count].elementsEqual(key) {
                (entries[i].batch, entries[i].row) = (batch, row)
                return
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        entries.append(Entry(hash: hash, keyStart: keys.count, keyCount: key.count, batch: batch, row: row))
        keys.append(contentsOf: key)
        slots[slot] = Int32(entries.count)
    }

    private mutating func grow() {
        slots = [Int32](repeating: 0, count: slots.count * 2)
        for (i, entry) in entries.enumerated() {
            var slot = Int(truncatingIfNeeded: entry.hash) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(i + 1)
        }
    }

    /// The rows that are left, in the order in which they came; nil when there are none.
    mutating func removeAll() -> [Batch]? {
        guard !batches.isEmpty else { return nil }
        var rows = [[Int32]](repeating: [], count: batches.count)
        for entry in entries { rows[Int(entry.batch)].append(entry.row) }
        let result = zip(batches, rows).compactMap { batch, rows -> Batch? in
            guard !rows.isEmpty else { return nil }
            var kept = batch
            kept.selection = Selection(rows.sorted())
            return kept
        }
        self = UpsertRows()
        return result
    }
}
