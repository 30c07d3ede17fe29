import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Where reading a shard starts.
public enum ShardPosition: Hashable, Sendable {
    /// The oldest record there is.
    case trimHorizon
    /// What is appended from now on.
    case latest
    /// The first record that arrived at this time or later, milliseconds since 1970-01-01.
    case atTimestamp(Int64)
    case at(SequenceNumber)
    case after(SequenceNumber)
}

/// Reads one shard and follows it as it grows. One thread at a time. Any number of readers do not disturb each other.
public final class ShardReader {
    public let stream: String
    public let shard: Int
    let directory: String
    private let created: Int64
    let signal: StreamSignal
    private let keys: KeyRing
    private var ciphers: [UInt64: BatchCipher] = [:]
    private let index: (UInt64) -> SegmentIndex
    private let metadata: () throws -> StreamMetadata?
    /// From the first time that somebody waits.
    var watch: DirectoryWatcher.Watch?

    private var file: LogFile
    private var base: UInt64
    private var offset = 0
    /// Records to leave out of the batch at `offset`.
    private var skip = 0
    /// Number of the record that is read next.
    public private(set) var nextIndex: UInt64
    /// The last record that was read or skipped; nil when none was.
    public private(set) var lastSequence: SequenceNumber?
    private var bytesPerRecord = 0.0
    private var scratch = Buffer.empty
    /// Of a shard that is closed: the index after its last record.
    private var end: UInt64?

    init(stream: String, shard: Int, directory: String, created: Int64, signal: StreamSignal, position: ShardPosition, host: Host,
         keys: KeyRing, index: @escaping (UInt64) -> SegmentIndex, metadata: @escaping () throws -> StreamMetadata?) throws {
        self.stream = stream
        self.shard = shard
        self.directory = directory
        self.signal = signal
        self.index = index
        self.metadata = metadata
        self.keys = keys
        self.created = created
        end = try metadata()?.shard(shard)?.end
        let bases = try Segments.list(directory)
        base = bases.first ?? 0
        nextIndex = base
        // The file of a shard that was never written to may be missing until the writer makes it.
        file = try LogFile(Segments.path(directory, base), flags: O_RDONLY, create: bases.isEmpty, host: bases.isEmpty ? host : .system)
        try DurableMark.check(directory)
        switch position {
        case .trimHorizon: break
        case .latest: try seekToEnd(bases)
        case .atTimestamp(let time): try seek(toTime: time, bases)
        case .at(let sequence): try seek(to: sequence, skipping: false, bases)
        case .after(let sequence): try seek(to: sequence, skipping: true, bases)
        }
    }

    // MARK: Position

    private func use(_ segment: UInt64) throws {
        guard segment != base else { return }
        file = try LogFile(Segments.path(directory, segment), flags: O_RDONLY)
        base = segment
    }

    private func place(_ place: SegmentIndex.Place, skip: Int = 0) {
        offset = place.offset
        self.skip = skip
        nextIndex = place.index + UInt64(skip)
    }

    private func seekToEnd(_ bases: [UInt64]) throws {
        try use(bases.last ?? 0)
        place(try index(base).currentEnd(file))
        try recallLast(bases)
    }

    private func seek(toTime time: Int64, _ bases: [UInt64]) throws {
        // Segments whose successor starts before the time hold nothing of it.
        let at = try Array(bases.dropFirst()).partitioningIndex { segment in
            guard let first = try SegmentIndex.firstTimestamp(Segments.path(directory, segment)) else { return true }
            return first >= time
        }
        try use(bases.isEmpty ? 0 : bases[at])
        place(try index(base).batch(atOrAfter: time, file).place)
        try recallLast(bases)
    }

    private func seek(to sequence: SequenceNumber, skipping: Bool, _ bases: [UInt64]) throws {
        guard sequence.created == created, sequence.shard == shard else {
            throw StreamError(.validate, "sequence number \(sequence) was not given by \(StreamMetadata.shardName(shard)) of stream \(stream)",
                              fix: "start from TRIM_HORIZON or LATEST if the stream was deleted and created again")
        }
        let earliest = bases.first ?? 0
        // No record has epoch 0: it is the number at which the shard starts.
        if sequence.epoch == 0, sequence.index == 0 { return }
        if skipping, let end, sequence.index == max(end, 1) - 1, try metadata()?.shard(shard)?.lastEpoch == sequence.epoch {
            try seekToEnd(bases)
            lastSequence = sequence
            return
        }
        let target = sequence.index + (skipping ? 1 : 0)
        guard target >= earliest else {
            throw StreamError(.runtime, "\(StreamMetadata.shardName(shard)) of stream \(stream): record \(target) has expired; the oldest one kept is \(earliest)",
                              fix: "start from TRIM_HORIZON and accept the gap, or lengthen the stream's retention")
        }
        lastSequence = skipping ? sequence : nil
        if sequence.index < earliest { return }
        try use(bases.last { $0 <= sequence.index } ?? 0)
        let (found, header) = try index(base).batch(holding: sequence.index, file)
        guard let header, header.epoch == sequence.epoch else {
            throw StreamError(.runtime, "\(StreamMetadata.shardName(shard)) of stream \(stream) does not hold record \(sequence)",
                              fix: "the record was lost with an unflushed tail: start from an older position")
        }
        if target == header.baseIndex + UInt64(header.count) {
            place(.init(offset: found.offset + header.length, index: target, timestamp: 0))
        } else {
            place(found, skip: Int(target - header.baseIndex))
        }
        if !skipping { try recallLast(bases) }
    }

    /// Sets `lastSequence` to the record before `nextIndex`, if that is still there.
    private func recallLast(_ bases: [UInt64]) throws {
        guard nextIndex > (bases.first ?? 0), let segment = bases.last(where: { $0 < nextIndex }) else { return }
        let from = segment == base ? file : try LogFile(Segments.path(directory, segment), flags: O_RDONLY)
        guard let header = try index(segment).batch(holding: nextIndex - 1, from).header else { return }
        lastSequence = SequenceNumber(created: created, shard: shard, epoch: header.epoch, index: nextIndex - 1)
    }

    // MARK: Reading

    /// Whether the shard is closed and all its records were read: nothing more will come, and its children are next.
    ///
    /// Up to date after ``read(maxBytes:)`` returned nil.
    public var isFinished: Bool { end.map { nextIndex >= $0 } ?? false }

    private enum Life {
        case open, closed
        /// The shard is no longer part of the stream.
        case gone
    }

    private func life() throws -> Life {
        guard end == nil else { return .closed }
        // Of a stream that is deleted what is open can still be read.
        guard let metadata = try metadata(), metadata.created == created else { return .open }
        if let known = metadata.shard(shard) { end = known.end } else {
            guard let last = metadata.endOfExpired(shard) else { return .gone }
            end = last
        }
        return end == nil ? .open : .closed
    }

    private var expired: StreamError {
        StreamError(.runtime, "\(StreamMetadata.shardName(shard)) of stream \(stream): the shard has expired, and with it records from \(nextIndex) on",
                    fix: "start from TRIM_HORIZON and accept the gap, or lengthen the stream's retention")
    }

    /// The next records, up to about `maxBytes` of stored bytes, at least one batch; nil when there is nothing new.
    public func read(maxBytes: Int = 1 << 20) throws -> RecordChunk? {
        var isRepeated = false
        while true {
            let size = try file.size()
            guard size > offset else {
                if try moveToNextSegment() { continue }
                if isFinished { return nil }
                switch try life() {
                case .open: return nil
                case .gone: throw expired
                case .closed:
                    if isFinished { return nil }
                    // The last records came and the shard was closed after the first look.
                    if !isRepeated {
                        isRepeated = true
                        continue
                    }
                    throw try metadata()?.shard(shard) == nil ? expired : incomplete
                }
            }
            switch try readBatches(size: size, maxBytes: max(maxBytes, BatchHeader.size)) {
            case .chunk(let chunk): return chunk
            case .unfinished:
                guard case .closed = try life() else { return nil }
                if isRepeated { throw incomplete }
                isRepeated = true
            case .damaged(let reason):
                // A writer may just have cut a torn tail and put a batch there, so look twice.
                if !isRepeated {
                    isRepeated = true
                    continue
                }
                guard try isCorrupt(size: size) else { return nil }
                throw StreamError(.corrupt, "\(file.path): damaged record batch at offset \(offset): \(reason)",
                                  fix: "restore the file from a backup, or read from after record \(nextIndex)")
            }
        }
    }

    private var incomplete: StreamError {
        StreamError(.corrupt, "\(file.path) ends before record \(nextIndex); the shard was closed with \(end ?? 0) records",
                    fix: "restore the file from a backup, or delete the stream")
    }

    private func moveToNextSegment() throws -> Bool {
        guard nextIndex > base else { return false }
        let path = Segments.path(directory, nextIndex)
        guard Host.exists(path) else {
            // Retention may have taken it.
            let bases = try Segments.list(directory)
            guard let oldest = bases.first, oldest > nextIndex else { return false }
            throw StreamError(.runtime, "\(StreamMetadata.shardName(shard)) of stream \(stream): record \(nextIndex) expired before it was read; the oldest one kept is \(oldest)",
                              fix: "start from TRIM_HORIZON and accept the gap, or lengthen the stream's retention")
        }
        try use(nextIndex)
        offset = 0
        return true
    }

    private enum Step {
        case chunk(RecordChunk), unfinished, damaged(String)
    }

    private struct Found {
        var header: BatchHeader, start: Int
    }

    private func readBatches(size: Int, maxBytes: Int) throws -> Step {
        var wanted = min(size - offset, maxBytes)
        var raw = Buffer(capacity: wanted)
        var count = try file.read(into: raw.base, count: wanted, at: offset)
        guard count >= BatchHeader.size else { return .unfinished }
        if let first = BatchHeader(raw.base), first.length > count {
            guard offset + first.length <= size else { return .unfinished }
            wanted = first.length
            raw = Buffer(capacity: wanted)
            count = try file.read(into: raw.base, count: wanted, at: offset)
        }
        var found: [Found] = []
        var at = 0, records = 0, plainBytes = 0, anyPacked = false
        var due = nextIndex - UInt64(skip)
        var problem: Step = .unfinished
        while at + BatchHeader.size <= count {
            guard let header = BatchHeader(raw.base + at) else {
                problem = .damaged("no batch header")
                break
            }
            guard at + header.length <= count else { break }
            guard header.baseIndex == due else {
                problem = .damaged("batch starts at record \(header.baseIndex) where \(due) was due")
                break
            }
            guard header.checksumHolds(raw.base + at) else {
                problem = .damaged("checksum mismatch")
                break
            }
            // Compressed batches count with their full size, so that memory stays bounded.
            if !found.isEmpty, plainBytes + header.payloadBytes > 4 * maxBytes { break }
            found.append(Found(header: header, start: at))
            at += header.length
            due += UInt64(header.count)
            records += header.count
            plainBytes += header.payloadBytes
            anyPacked = anyPacked || header.isCompressed || header.isEncrypted
        }
        guard !found.isEmpty else { return problem }
        return try unpack(found, raw, stored: at, records: records, plainBytes: anyPacked ? plainBytes : nil)
    }

    /// Makes the chunk: over the bytes as read, or over decrypted and decompressed ones when any batch needs it.
    private func unpack(_ found: [Found], _ raw: Buffer, stored: Int, records: Int, plainBytes: Int?) throws -> Step {
        let plain = plainBytes.map { Buffer(capacity: $0) } ?? raw
        let kept = records - skip
        let table = Buffer(capacity: kept * 16)
        var out = table.pointer(as: UInt32.self)
        var runs: [RecordChunk.Run] = []
        var used = 0, done = 0, left = skip
        for batch in found {
            let header = batch.header
            var source = UnsafeRawPointer(raw.base) + batch.start + BatchHeader.size
            var start = batch.start + BatchHeader.size
            if plainBytes != nil {
                start = used
                used += header.payloadBytes
                if header.isEncrypted {
                    let target = header.isCompressed ? room(header.storedBytes) : plain.base + start
                    try decrypt(source, header, into: target, at: batch.start)
                    source = UnsafeRawPointer(target)
                }
                if header.isCompressed {
                    guard Compression.decompress(source, header.storedBytes, into: plain.base + start, exactly: header.payloadBytes) else {
                        return .damaged("payload does not decompress")
                    }
                } else if !header.isEncrypted {
                    (plain.base + start).copyMemory(from: source, byteCount: header.payloadBytes)
                }
            }
            guard Self.fill(out, plain.base, start: start, header: header, skip: left) else { return .damaged("record lengths do not add up") }
            runs.append(.init(start: done, timestamp: header.timestamp, epoch: header.epoch))
            done += header.count - left
            out += 4 * (header.count - left)
            left = 0
        }
        let chunk = RecordChunk(buffer: plain, count: kept, firstIndex: nextIndex, runs: runs, storedBytes: stored, table: table,
                                created: created, shard: shard)
        offset += stored
        skip = 0
        nextIndex += UInt64(kept)
        lastSequence = SequenceNumber(created: created, shard: shard, epoch: runs[runs.count - 1].epoch, index: nextIndex - 1)
        bytesPerRecord = Double(stored) / Double(records)
        return .chunk(chunk)
    }

    private func room(_ bytes: Int) -> UnsafeMutableRawPointer {
        if scratch.capacity < bytes { scratch = Buffer(capacity: max(bytes, 2 * scratch.capacity)) }
        return scratch.base
    }

    private func decrypt(_ sealed: UnsafeRawPointer, _ header: BatchHeader, into out: UnsafeMutableRawPointer, at start: Int) throws {
        let id = BatchCipher.keyID(sealed)
        let cipher = try ciphers[id] ?? BatchCipher(keys.key(id: id), sealing: false, randomBits: { 0 })
        ciphers[id] = cipher
        guard try cipher.open(sealed, header.length - BatchHeader.size, header.bound, into: out) else {
            throw StreamError(.corrupt, "\(file.path): the batch at offset \(offset + start) is not what was encrypted with key \(hexadecimal(id))",
                              fix: "restore the file, or the key in \(keys.directory), from a backup")
        }
    }

    /// Fills the table with the records from `skip` on; false when lengths go beyond the payload.
    private static func fill(_ out: UnsafeMutablePointer<UInt32>, _ bytes: UnsafeRawPointer, start: Int, header: BatchHeader,
                             skip: Int) -> Bool {
        let n = header.count
        let ends = bytes + start
        func end(_ i: Int) -> UInt32 { UInt32(littleEndian: ends.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self)) }
        let dataBytes = end(n - 1), keyBytes = end(2 * n - 1)
        guard 8 * n + Int(dataBytes) + Int(keyBytes) == header.payloadBytes else { return false }
        let dataArea = UInt32(start + 8 * n), keyArea = dataArea + dataBytes
        var data = skip == 0 ? 0 : end(skip - 1), key = skip == 0 ? 0 : end(n + skip - 1)
        var p = out
        for i in skip..<n {
            let (dataEnd, keyEnd) = (end(i), end(n + i))
            guard dataEnd >= data, keyEnd >= key, dataEnd <= dataBytes, keyEnd <= keyBytes else { return false }
            p[0] = dataArea &+ data
            p[1] = dataArea &+ dataEnd
            p[2] = keyArea &+ key
            p[3] = keyArea &+ keyEnd
            p += 4
            (data, key) = (dataEnd, keyEnd)
        }
        return true
    }

    /// Whether what stands at `offset` must have been whole once, rather than being a tail that is not finished.
    private func isCorrupt(size: Int) throws -> Bool {
        if case .closed = try life() { return !isFinished }
        if let mark = try DurableMark.read(directory), mark.segment > base || (mark.segment == base && Int(mark.size) > offset) { return true }
        if try Segments.list(directory).contains(where: { $0 > base }) { return true }
        var scanner = SegmentScanner(file, from: offset, nextIndex: nextIndex - UInt64(skip), verifies: true)
        return try scanner.provesFlush(from: offset, size: size)
    }

    // MARK: Progress

    func mayHaveMore() throws -> Bool {
        if try isFinished || file.size() > offset { return true }
        if case .closed = try life() { return true }
        return nextIndex > base && Host.exists(Segments.path(directory, nextIndex))
    }

    /// Records between here and the end of the shard: 0 at the end, else an estimate from the bytes that are left.
    public func recordsBehind() throws -> Int64 {
        let left = try file.size() - offset
        if left <= 0, nextIndex == base || !Host.exists(Segments.path(directory, nextIndex)) { return 0 }
        if let later = try Segments.list(directory).last, later > base {
            let size = try LogFile(Segments.path(directory, later), flags: O_RDONLY).size()
            return Int64(later - nextIndex) + Int64(bytesPerRecord > 0 ? Double(size) / bytesPerRecord : 0)
        }
        return bytesPerRecord > 0 ? Int64((Double(left) / bytesPerRecord).rounded()) : left > 0 ? 1 : 0
    }
}
