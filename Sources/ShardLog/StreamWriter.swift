import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Appends to a stream. Any number of threads, writers and processes may append at the same time; each append of one call
/// lands in a shard as a whole and in order.
public final class StreamWriter: @unchecked Sendable {  // SAFETY: mutable state is guarded by `lock`
    public let stream: String
    let directory: String
    private let created: Int64
    private let ranges: [HashKeyRange]
    private let settings: StreamSettings
    private let policy: FlushPolicy
    private let host: Host
    private let signal: StreamSignal
    private let lockFile: LogFile
    private let epoch: UInt32

    private let lock = Lock()
    private let shards: [ShardAppender]
    private let commits: [GroupCommit]
    private var isOpen = true
    private var needsRefresh = true
    private var scratch = [Buffer.empty, Buffer.empty]
    private var flusher: IntervalFlusher?

    init(stream: String, directory: String, metadata: StreamMetadata, policy: FlushPolicy, host: Host) throws {
        self.stream = stream
        self.directory = directory
        self.policy = policy
        self.host = host
        created = metadata.created
        settings = metadata.settings
        ranges = try metadata.ranges()
        signal = .of(directory)
        let lockFile = try LogFile(directory + "/" + WriterLock.fileName, flags: O_RDWR, host: host)
        self.lockFile = lockFile
        let epoch = try lockFile.exclusively { try WriterLock.newEpoch(lockFile) }
        self.epoch = epoch
        shards = try metadata.shards.map {
            try ShardAppender(shard: $0.id, directory: directory + "/" + StreamMetadata.shardName($0.id), settings: metadata.settings,
                          epoch: epoch, host: host)
        }
        commits = shards.map { GroupCommit(markFile: $0.markFile) }
        // Recovery happens now rather than at the first append, so that damage shows at once.
        try lockFile.exclusively {
            for shard in shards {
                try shard.refresh()
                try shard.retain(now: host.now())
            }
        }
        if case .interval(let milliseconds) = policy {
            flusher = IntervalFlusher(milliseconds: milliseconds) { [weak self] in try self?.syncAll() }
        }
    }

    deinit { flusher?.stop() }

    /// Bytes of torn tails that this writer cut off.
    public var tornBytes: Int { lock.with { shards.reduce(0) { $0 + $1.tornBytes } } }

    /// Appends all records, or throws with nothing acknowledged; shards that were written before the failing one keep their
    /// part. With `producer` a shard that has the append already is left as it is.
    @discardableResult
    public func append(_ batch: RecordBatch, producer: ProducerSequence? = nil) throws -> AppendResult {
        try batch.check(settings, stream: stream)
        guard !batch.isEmpty else { return AppendResult(shards: [], ordinals: [], firsts: []) }
        try flusher?.check()
        let plan = ShardPlan(batch, ranges: ranges)
        if producer != nil, plan.payloadBytes.contains(where: { $0 > Self.batchBytesMax }) {
            throw StreamError(.validate, "an append with a producer id is limited to \(Self.batchBytesMax) bytes for each shard",
                              fix: "append fewer records at a time")
        }
        var firsts = [SequenceNumber?](repeating: nil, count: ranges.count)
        var ends: [(shard: Int, written: UInt64)] = []
        try lock.with {
            guard isOpen else { throw StreamError(.io, "the writer of stream \(stream) is closed") }
            try lockFile.exclusively {
                try takeOver()
                for shard in 0..<ranges.count where plan.counts[shard] > 0 {
                    if let producer, try shards[shard].has(producer) { continue }
                    let index = try write(plan, batch, shard, producer)
                    firsts[shard] = SequenceNumber(created: created, shard: shard, epoch: shards[shard].epoch, index: index)
                    ends.append((shard, shards[shard].written))
                }
            }
        }
        if policy == .everyAppend {
            // Also what a repetition found is durable before it counts.
            for end in ends { try sync(end.shard, upTo: end.written) }
            if producer != nil, ends.isEmpty { try syncAll() }
        }
        signal.notify()
        return AppendResult(shards: plan.shards, ordinals: plan.ordinals, firsts: firsts)
    }

    /// Whether any shard has that append of the producer, or a later one.
    public func hasAppended(_ id: ProducerSequence) throws -> Bool {
        try lock.with {
            try lockFile.exclusively {
                try takeOver()
                for shard in shards where try shard.has(id) { return true }
                return false
            }
        }
    }

    @discardableResult
    public func append(_ records: [Record]) throws -> [AppendResult.Placement] {
        var batch = RecordBatch()
        for record in records { batch.append(record) }
        return try append(batch).placements
    }

    /// Returns once everything appended so far is on disk.
    public func flush() throws { try syncAll() }

    /// Flushes and ends the writer; appends fail from here on. May be called twice.
    public func close() throws {
        flusher?.stop()
        let wasOpen = lock.with { () -> Bool in
            defer { isOpen = false }
            return isOpen
        }
        if wasOpen, policy != .operatingSystem { try syncAll() }
    }

    // MARK: Writing

    /// A batch in a segment has at most this payload, apart from a single larger record.
    static let batchBytesMax = 16 << 20
    /// Batches below this size are not worth compressing.
    static let compressedBytesMin = 1_024

    /// Under the file lock: learns what other writers appended since this one last did.
    private func takeOver() throws {
        guard try lockFile.status().links > 0 else {
            isOpen = false
            throw StreamError(.io, "stream \(stream) was deleted", fix: "create it again with `swiftwater stream create \(stream)`")
        }
        guard try WriterLock.lastWriter(lockFile) != epoch || needsRefresh else { return }
        needsRefresh = true
        for shard in shards { try shard.refresh() }
        try WriterLock.setLastWriter(lockFile, epoch)
        needsRefresh = false
    }

    /// Writes a shard's part as one batch, or as several when it is large. Returns the first index.
    private func write(_ plan: ShardPlan, _ batch: RecordBatch, _ shard: Int, _ producer: ProducerSequence?) throws -> UInt64 {
        var first: UInt64?
        var from = 0
        let rows = plan.rows(of: shard)
        while from < rows.count {
            let index = try writeOne(batch, rows, from: &from, shard, producer)
            first = first ?? index
        }
        return first!
    }

    private func writeOne(_ batch: RecordBatch, _ rows: ArraySlice<UInt32>, from: inout Int, _ shard: Int,
                          _ producer: ProducerSequence?) throws -> UInt64 {
        let base = rows.startIndex + from
        var count = 0, dataBytes = 0, keyBytes = 0
        while base + count < rows.endIndex {
            let (data, key) = batch.sizes(Int(rows[base + count]))
            if count > 0, dataBytes + keyBytes + data + key + 8 * (count + 1) > Self.batchBytesMax { break }
            dataBytes += data
            keyBytes += key
            count += 1
        }
        let payload = 8 * count + dataBytes + keyBytes
        let plain = room(0, BatchHeader.size + payload)
        batch.layOut(rows[base..<base + count], at: plain.base + BatchHeader.size, dataBytes: dataBytes)
        var out = plain
        var stored = payload
        if settings.compresses, payload >= Self.compressedBytesMin {
            // Only a gain of an eighth pays for the reader's work.
            let limit = payload - payload / 8
            let packed = room(1, BatchHeader.size + limit)
            let n = Compression.compress(plain.base + BatchHeader.size, payload, into: packed.base + BatchHeader.size, room: limit)
            if n > 0 { (out, stored) = (packed, n) }
        }
        let header = BatchHeader(length: BatchHeader.size + stored, isCompressed: out !== plain, baseIndex: 0, count: count, epoch: 0,
                                 timestamp: 0, producer: producer?.producer ?? 0, producerSequence: producer?.sequence ?? 0,
                                 payloadBytes: payload)
        do {
            let index = try shards[shard].append(out.base, header: header, flushed: commits[shard].flushed, now: host.now())
            from += count
            return index
        } catch {
            needsRefresh = true
            throw error
        }
    }

    private func room(_ i: Int, _ bytes: Int) -> Buffer {
        if scratch[i].capacity < bytes { scratch[i] = Buffer(capacity: max(bytes, scratch[i].capacity * 2)) }
        return scratch[i]
    }

    // MARK: Flushing

    private func sync(_ shard: Int, upTo written: UInt64) throws {
        try commits[shard].sync(upTo: written) {
            lock.with { (shards[shard].segment!, shards[shard].written, shards[shard].mark) }
        }
    }

    private func syncAll() throws {
        for shard in 0..<shards.count {
            let written = lock.with { shards[shard].written }
            try sync(shard, upTo: written)
        }
    }
}

/// Which shard each record goes to, and the records of each shard in order.
struct ShardPlan {
    var shards: [Int32]
    var ordinals: [UInt32]
    var counts: [Int]
    var payloadBytes: [Int]
    private var order: [UInt32]
    private var starts: [Int]

    init(_ batch: RecordBatch, ranges: [HashKeyRange]) {
        let n = batch.count
        shards = Array(repeating: 0, count: n)
        ordinals = Array(repeating: 0, count: n)
        counts = Array(repeating: 0, count: ranges.count)
        payloadBytes = Array(repeating: 0, count: ranges.count)
        if ranges.count > 1 { shards = Self.choose(batch, firsts: ranges.map(\.first)) }
        for i in 0..<n {
            let shard = Int(shards[i])
            ordinals[i] = UInt32(counts[shard])
            counts[shard] += 1
            let (data, key) = batch.sizes(i)
            payloadBytes[shard] += data + key + 8
        }
        starts = [0]
        for count in counts { starts.append(starts.last! + count) }
        order = Array(repeating: 0, count: n)
        for i in 0..<n { order[starts[Int(shards[i])] + Int(ordinals[i])] = UInt32(i) }
    }

    /// The shard of each record: the last whose range starts at or before its hash key.
    private static func choose(_ batch: RecordBatch, firsts: [UInt128]) -> [Int32] {
        batch.keys.withUnsafeBytes { keys in
            var start = 0
            return (0..<batch.count).map { i in
                let end = Int(batch.keyEnds[i])
                let hash = (batch.hashKeys.isEmpty ? nil : batch.hashKeys[i]) ?? HashKey.of(UnsafeRawBufferPointer(rebasing: keys[start..<end]))
                start = end
                var low = 0, high = firsts.count
                while high - low > 1 {
                    let middle = (low + high) / 2
                    if firsts[middle] <= hash { low = middle } else { high = middle }
                }
                return Int32(low)
            }
        }
    }

    func rows(of shard: Int) -> ArraySlice<UInt32> { order[starts[shard]..<starts[shard + 1]] }
}

extension RecordBatch {
    /// Bytes of data and key of record `i`.
    func sizes(_ i: Int) -> (data: Int, key: Int) {
        (Int(dataEnds[i] - (i == 0 ? 0 : dataEnds[i - 1])), Int(keyEnds[i] - (i == 0 ? 0 : keyEnds[i - 1])))
    }

    /// Writes the payload of a batch of the given records; see ``BatchHeader``.
    func layOut(_ rows: ArraySlice<UInt32>, at out: UnsafeMutableRawPointer, dataBytes: Int) {
        let n = rows.count
        let dataArea = out + 8 * n
        let keyArea = dataArea + dataBytes
        var dataEnd = 0, keyEnd = 0
        data.withUnsafeBytes { data in
            keys.withUnsafeBytes { keys in
                for (k, row) in rows.enumerated() {
                    let i = Int(row)
                    let (d, q) = sizes(i)
                    if d > 0 { (dataArea + dataEnd).copyMemory(from: data.baseAddress! + Int(dataEnds[i]) - d, byteCount: d) }
                    if q > 0 { (keyArea + keyEnd).copyMemory(from: keys.baseAddress! + Int(keyEnds[i]) - q, byteCount: q) }
                    dataEnd += d
                    keyEnd += q
                    out.storeBytes(of: UInt32(dataEnd).littleEndian, toByteOffset: 4 * k, as: UInt32.self)
                    out.storeBytes(of: UInt32(keyEnd).littleEndian, toByteOffset: 4 * (n + k), as: UInt32.self)
                }
            }
        }
    }
}
