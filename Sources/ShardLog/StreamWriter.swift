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
    private let policy: FlushPolicy
    private let host: Host
    private let signal: StreamSignal
    private let lockFile: LogFile
    private let epoch: UInt32

    /// An open shard. Closed ones are let go: whoever closes a shard flushes it.
    private final class Lane {
        let range: HashKeyRange
        let appender: ShardAppender
        let commit: GroupCommit

        init(_ range: HashKeyRange, _ appender: ShardAppender) {
            self.range = range
            self.appender = appender
            commit = GroupCommit(markFile: appender.markFile)
        }
    }

    /// Where records go, as the metadata said when it was last read.
    private struct Routing {
        var version: UInt32
        var settings: StreamSettings
        let cipher: BatchCipher?
        /// Ascending hash keys.
        var lanes: [Lane]
        var ranges: [HashKeyRange]

        init(_ metadata: StreamMetadata, version: UInt32, lanes: [Lane], _ keys: KeyRing, _ host: Host) throws {
            cipher = try metadata.settings.encryptionKey.map { try BatchCipher(keys.key(alias: $0), sealing: true, randomBits: host.randomBits) }
            self.version = version
            settings = metadata.settings
            self.lanes = lanes
            ranges = lanes.map(\.range)
        }
    }

    private let lock = Lock()
    private var routing: Routing
    private var tornBytesOfClosed = 0
    private var isOpen = true
    private var needsRefresh = true
    private var scratch = [Buffer.empty, Buffer.empty, Buffer.empty]
    private var flusher: IntervalFlusher?

    private var space: DiskSpace
    let keys: KeyRing

    init(stream: String, directory: String, policy: FlushPolicy, options: LogOptions, keys: KeyRing, host: Host) throws {
        self.keys = keys
        space = DiskSpace(directory, options)
        self.stream = stream
        self.directory = directory
        self.policy = policy
        self.host = host
        signal = .of(directory)
        let lockFile = try LogFile(directory + "/" + WriterLock.fileName, flags: O_RDWR, host: host)
        self.lockFile = lockFile
        (created, epoch, routing) = try lockFile.exclusively {
            let epoch = try WriterLock.newEpoch(lockFile)
            let metadata = try StreamMetadata.read(from: directory)
            let lanes = try Self.lanes(metadata, directory, known: [], epoch: epoch, host)
            // Recovery happens now rather than at the first append, so that damage shows at once.
            for lane in lanes {
                try lane.appender.refresh()
                try lane.appender.retain(now: host.now())
            }
            return (metadata.created, epoch, try Routing(metadata, version: WriterLock.version(lockFile), lanes: lanes, keys, host))
        }
        if case .interval(let milliseconds) = policy {
            flusher = IntervalFlusher(milliseconds: milliseconds) { [weak self] in try self?.syncAll() }
        }
    }

    deinit { flusher?.stop() }

    private static func lanes(_ metadata: StreamMetadata, _ directory: String, known: [Lane], epoch: UInt32, _ host: Host) throws -> [Lane] {
        try metadata.shards.filter(\.isOpen).map { shard in
            if let lane = known.first(where: { $0.appender.shard == shard.id }), !lane.commit.wasFull {
                lane.appender.settings = metadata.settings
                return lane
            }
            return Lane(try shard.range(), try ShardAppender(shard, in: directory, settings: metadata.settings, epoch: epoch, host: host))
        }.sorted { $0.range.first < $1.range.first }
    }

    /// Bytes of torn tails that this writer cut off.
    public var tornBytes: Int { lock.with { routing.lanes.reduce(tornBytesOfClosed) { $0 + $1.appender.tornBytes } } }

    /// Appends all records, or throws with nothing acknowledged; shards that were written before the failing one keep their
    /// part. With `producer`, records that an earlier try of the append wrote are left out, also when it wrote them to shards
    /// that were split or merged since.
    /// - Parameter whileFull: waits for room on a full disk and goes on with what is not written yet; without it, a full disk
    ///   is an error that ``ShardLog/isDiskFull(_:)`` recognises.
    @discardableResult
    public func append(_ batch: RecordBatch, producer: ProducerSequence? = nil, whileFull: DiskWait? = nil) throws -> AppendResult {
        guard !batch.isEmpty else { return AppendResult() }
        try flusher?.check()
        var append = Append(batch, producer)
        var ends: [(lane: Lane, written: UInt64)] = []
        if let whileFull {
            var earlier: (result: AppendResult, rows: [UInt32])?
            try whileFull.run {
                do { try run(&append) } catch let error as StreamError where ShardLog.isDiskFull(error) {
                    // What was written stays written: only the rest is tried again, wherever it belongs by then.
                    guard !append.ends.isEmpty else { throw error }
                    let all = earlier ?? (AppendResult(count: batch.count), Array(0..<UInt32(batch.count)))
                    earlier = (all.result.filled(by: append.result, rows: all.rows), append.unwritten.map { all.rows[Int($0)] })
                    ends += append.ends
                    append = Append(append.batch.selecting(append.unwritten), producer)
                    throw error
                }
            }
            ends += append.ends
            try flushAppended(ends, producer)
            return earlier.map { $0.result.filled(by: append.result, rows: $0.rows) } ?? append.result
        }
        try run(&append)
        try flushAppended(append.ends, producer)
        return append.result
    }

    /// Appends the records of a request. When its client has not heard of an earlier try, `isRepeated` finds what that wrote, tells
    /// where it is, and appends the rest only.
    public func append(_ batch: RecordBatch, request: RequestID, isRepeated: Bool) throws -> AppendResult {
        guard !batch.isEmpty else { return AppendResult() }
        try flusher?.check()
        var append = Append(batch, nil)
        (append.request, append.isRepeated) = (request, isRepeated)
        try run(&append)
        try flushAppended(append.ends, nil)
        // What the earlier try wrote may not have been flushed.
        if policy == .everyAppend, !append.earlier.isEmpty { try syncAll() }
        return append.result
    }

    private func flushAppended(_ ends: [(lane: Lane, written: UInt64)], _ producer: ProducerSequence?) throws {
        if policy == .everyAppend {
            // Also what a repetition found is durable before it counts.
            for end in ends { try sync(end.lane, upTo: end.written) }
            if producer != nil, ends.isEmpty { try syncAll() }
        }
        signal.notify()
    }

    /// An append on its way.
    private struct Append {
        let batch: RecordBatch
        let producer: ProducerSequence?
        var routing: Routing?
        var plan: ShardPlan?
        var firsts: [SequenceNumber?] = []
        /// Per shard, how many of its records are written.
        var written: [Int] = []
        var ends: [(lane: Lane, written: UInt64)] = []
        var request: RequestID?
        var isRepeated = false
        var earlier: [Int: SequenceNumber] = [:]

        init(_ batch: RecordBatch, _ producer: ProducerSequence?) {
            self.batch = batch
            self.producer = producer
        }

        /// Assigns the records to shards.
        mutating func assign(_ routing: Routing, stream: String) throws {
            try batch.check(routing.settings, stream: stream)
            let plan = ShardPlan(batch, ranges: routing.ranges)
            if producer != nil, plan.payloadBytes.contains(where: { $0 > StreamWriter.batchBytesMax }) {
                throw StreamError(.validate, "an append with a producer id is limited to \(StreamWriter.batchBytesMax) bytes for each shard",
                                  fix: "append fewer records at a time")
            }
            self.routing = routing
            self.plan = plan
            firsts = Array(repeating: nil, count: plan.counts.count)
            written = Array(repeating: 0, count: plan.counts.count)
        }

        var result: AppendResult {
            var result = AppendResult(shards: plan!.shards, ordinals: plan!.ordinals, firsts: firsts, ids: routing!.lanes.map(\.appender.shard))
            result.earlier = earlier
            return result
        }

        /// Positions of the records that are not in the stream yet, ascending.
        var unwritten: [UInt32] {
            guard let plan else { return Array(0..<UInt32(batch.count)) }
            return plan.counts.indices.flatMap { plan.rows(of: $0).dropFirst(written[$0]) }.sorted()
        }
    }

    private func run(_ append: inout Append) throws {
        while true {
            let current = lock.with { routing }
            if append.routing?.version != current.version { try append.assign(current, stream: stream) }
            let isDone = try lock.with {
                guard isOpen else { throw StreamError(.io, "the writer of stream \(stream) is closed") }
                do {
                    return try lockFile.exclusively {
                        try takeOver()
                        // Shards may have been split or merged since the records were assigned.
                        guard routing.version == append.routing!.version else { return false }
                        try space.check(append.batch.byteCount + 8 * append.batch.count, stream: stream)
                        try write(&append)
                        return true
                    }
                } catch let error as StreamError where ShardLog.isDiskFull(error) && !space.isOwn(error) {
                    throw space.full(append.batch.byteCount, stream: stream, cause: error)
                }
            }
            if isDone { return }
        }
    }

    /// Writes each shard's part as one batch, or as several when it is large.
    private func write(_ append: inout Append) throws {
        var earlier: [EarlierPart] = []
        if let request = append.request, append.isRepeated {
            earlier = try EarlierPart.find(request, in: directory, created: created, now: host.now())
            append.earlier = EarlierPart.places(of: append.batch, in: &earlier)
        }
        for (shard, lane) in routing.lanes.enumerated() where append.plan!.counts[shard] > 0 {
            if !earlier.isEmpty {
                append.plan!.leaveOut(earlier.map(\.range), of: shard, append.batch)
                if append.plan!.counts[shard] == 0 { continue }
            }
            if let producer = append.producer {
                switch try lane.appender.presence(of: producer) {
                case .nothing: break
                case .all:
                    append.written[shard] = append.plan!.counts[shard]
                    continue
                case .part(let known):
                    append.plan!.leaveOut(known, of: shard, append.batch)
                    if append.plan!.counts[shard] == 0 { continue }
                }
            }
            let rows = append.plan!.rows(of: shard)
            while append.written[shard] < rows.count {
                let index = try writeOne(append.batch, rows, from: &append.written[shard], lane, append.producer, append.request)
                if append.firsts[shard] == nil {
                    append.firsts[shard] = SequenceNumber(created: created, shard: lane.appender.shard, epoch: lane.appender.epoch, index: index)
                    append.ends.append((lane, 0))
                }
                append.ends[append.ends.count - 1].written = lane.appender.written
            }
        }
    }

    /// Removes the oldest segments of a shard that hold nothing but records before number `index`; never the newest segment.
    public func trim(shard: Int, before index: UInt64) throws {
        try lock.with {
            guard isOpen else { throw StreamError(.io, "the writer of stream \(stream) is closed") }
            try lockFile.exclusively {
                try takeOver()
                guard let lane = routing.lanes.first(where: { $0.appender.shard == shard }) else {
                    throw StreamError(.validate, "stream \(stream) has no open \(StreamMetadata.shardName(shard)) to remove records of")
                }
                try lane.appender.trim(before: index)
            }
        }
    }

    /// Whether the stream has that append of the producer, or a later one, in any part.
    public func hasAppended(_ id: ProducerSequence) throws -> Bool {
        try lock.with {
            try lockFile.exclusively {
                try takeOver()
                for lane in routing.lanes {
                    if case .nothing = try lane.appender.presence(of: id) { continue }
                    return true
                }
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
        let state = try WriterLock.state(lockFile)
        if state.version != routing.version {
            needsRefresh = true
            let metadata = try StreamMetadata.read(from: directory)
            let lanes = try Self.lanes(metadata, directory, known: routing.lanes, epoch: epoch, host)
            for old in routing.lanes where !lanes.contains(where: { $0 === old }) { tornBytesOfClosed += old.appender.tornBytes }
            let old = routing.settings
            routing = try Routing(metadata, version: state.version, lanes: lanes, keys, host)
            if (old.retentionMilliseconds, old.retentionBytes) != (metadata.settings.retentionMilliseconds, metadata.settings.retentionBytes) {
                for lane in lanes {
                    try lane.appender.refresh()
                    try lane.appender.retain(now: host.now())
                }
            }
        } else if routing.lanes.contains(where: \.commit.wasFull) {
            needsRefresh = true
            let metadata = try StreamMetadata.read(from: directory)
            let lanes = try Self.lanes(metadata, directory, known: routing.lanes, epoch: epoch, host)
            routing = try Routing(metadata, version: state.version, lanes: lanes, keys, host)
        }
        guard state.lastWriter != epoch || needsRefresh else { return }
        needsRefresh = true
        for lane in routing.lanes { try lane.appender.refresh() }
        try WriterLock.setLastWriter(lockFile, epoch)
        needsRefresh = false
    }

    private func writeOne(_ batch: RecordBatch, _ rows: ArraySlice<UInt32>, from: inout Int, _ lane: Lane,
                          _ producer: ProducerSequence?, _ request: RequestID?) throws -> UInt64 {
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
        if routing.settings.compresses, payload >= Self.compressedBytesMin {
            // Only a gain of an eighth pays for the reader's work.
            let limit = payload - payload / 8
            let packed = room(1, BatchHeader.size + limit)
            let n = Compression.compress(plain.base + BatchHeader.size, payload, into: packed.base + BatchHeader.size, room: limit)
            if n > 0 { (out, stored) = (packed, n) }
        }
        var header = BatchHeader(length: BatchHeader.size + stored, isCompressed: out !== plain, baseIndex: 0, count: count, epoch: 0,
                                 timestamp: 0, producer: request?.bits ?? producer?.producer ?? 0, producerSequence: producer?.sequence ?? 0,
                                 payloadBytes: payload)
        if request != nil {
            header.isRequest = true
            header.producerSequence = EarlierPart.mark(plain.base + BatchHeader.size, payload)
        }
        if let cipher = routing.cipher {
            let sealed = room(2, header.length + BatchCipher.extraBytes)
            try cipher.seal(out.base + BatchHeader.size, stored, header.bound, into: sealed.base + BatchHeader.size)
            out = sealed
            header.isEncrypted = true
            header.length += BatchCipher.extraBytes
        }
        do {
            let index = try lane.appender.append(out.base, header: header, flushed: lane.commit.flushed, now: host.now())
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

    private func sync(_ lane: Lane, upTo written: UInt64) throws {
        try lane.commit.sync(upTo: written) {
            lock.with { (lane.appender.segment!, lane.appender.written, lane.appender.mark) }
        }
    }

    private func syncAll() throws {
        for (lane, written) in lock.with({ routing.lanes.map { ($0, $0.appender.written) } }) { try sync(lane, upTo: written) }
    }
}
