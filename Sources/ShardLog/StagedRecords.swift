import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Records that lie beside a stream, to be appended later and once: see ``RecordStager`` and ``StreamWriter/append(_:)``.
///
/// In bytes, all numbers little-endian; chunks are record batches (``BatchHeader``), each with a sequence of its own:
///
///     version 1 | 0 = inline, 1 = file | 0, 0 | chunks (UInt32) | producer | first sequence | bytes of all chunks (UInt64 each)
///     then the chunks, or the name of the file with them
public struct StagedRecords: Hashable, Sendable {
    public let producer: UInt64
    public let firstSequence: UInt64
    /// Each is one append.
    public let chunks: Int
    let chunkBytes: Int
    /// In the stream's `staged` directory; nil when the chunks are in `inline`.
    let fileName: String?
    let inline: [UInt8]

    /// Records of at most this size, headers included, are carried along; more go to a file.
    public static let inlineBytesMax = 64 << 10
    private static let headerBytes = 32

    init(producer: UInt64, firstSequence: UInt64, chunks: Int, chunkBytes: Int, fileName: String?, inline: [UInt8]) {
        self.producer = producer
        self.firstSequence = firstSequence
        self.chunks = chunks
        self.chunkBytes = chunkBytes
        self.fileName = fileName
        self.inline = inline
    }

    public var bytes: [UInt8] {
        var out: [UInt8] = [1, fileName == nil ? 0 : 1, 0, 0]
        func put<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { out += $0 } }
        put(UInt32(chunks))
        put(producer)
        put(firstSequence)
        put(UInt64(chunkBytes))
        return out + (fileName.map { Array($0.utf8) } ?? inline)
    }

    /// - Throws: `.corrupt` for bytes that are no such thing.
    public init(bytes: [UInt8]) throws {
        let damaged = StreamError(.corrupt, "\(bytes.count) bytes in a checkpoint do not tell which records are to be appended to a stream",
                                  fix: "start from another checkpoint")
        guard bytes.count > Self.headerBytes, bytes[0] == 1, bytes[1] <= 1 else { throw damaged }
        func word<T: FixedWidthInteger>(_ at: Int) -> T {
            bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: T.self)) }
        }
        chunks = Int(word(4) as UInt32)
        producer = word(8)
        firstSequence = word(16)
        chunkBytes = Int(truncatingIfNeeded: word(24) as UInt64)
        let rest = Array(bytes[Self.headerBytes...])
        fileName = bytes[1] == 1 ? String(decoding: rest, as: UTF8.self) : nil
        inline = bytes[1] == 1 ? [] : rest
        guard producer != 0, chunks > 0, fileName?.contains("/") != true, bytes[1] == 1 || inline.count == chunkBytes else { throw damaged }
    }

    var lastSequence: UInt64 { firstSequence + UInt64(chunks) - 1 }

    static let directoryName = "staged"
}

/// Collects records that are to be appended to a stream once something else says so, durably from ``finish(isDurable:)`` on.
///
///     <stream>/staged/<owner>-<producer>-<first sequence>
///
/// Each stager is a producer of its own, so that what one has staged is never taken for a repetition of what another has. One thread.
public final class RecordStager {
    public let stream: String
    /// Says whose a staged file is; see ``ShardLog/removeStaged(_:owner:)``.
    public let owner: String
    private let directory: String
    private let streamDirectory: String
    private let settings: StreamSettings
    private let host: Host
    private let producer: UInt64
    private var nextSequence: UInt64 = 1

    private var firstSequence: UInt64 = 1
    private var inline: [UInt8] = []
    private var file: LogFile?
    private var fileName = ""
    private var chunkBytes = 0
    private var hasDirectory = false
    private var scratch = Buffer.empty

    /// A chunk has at most this payload, apart from a single larger record.
    static let chunkBytesMax = 4 << 20

    private let cipher: BatchCipher?
    private var sealed = Buffer.empty

    init(stream: String, streamDirectory: String, settings: StreamSettings, owner: String, keys: KeyRing, host: Host) throws {
        cipher = try settings.encryptionKey.map { try BatchCipher(keys.key(alias: $0), sealing: true, randomBits: host.randomBits) }
        self.stream = stream
        self.owner = owner
        self.streamDirectory = streamDirectory
        self.settings = settings
        self.host = host
        directory = streamDirectory + "/" + StagedRecords.directoryName
        producer = max(1, host.randomBits())
    }

    /// - Parameter whileFull: waits for room on a full disk; without it, nothing of this stager may be used after that error.
    /// - Throws: `.validate` for a record that the stream would refuse, so that none is found out when it is too late.
    public func add(_ batch: RecordBatch, whileFull: DiskWait? = nil) throws {
        try batch.check(settings, stream: stream)
        guard batch.hashKeys.isEmpty else { throw StreamError(.validate, "records with explicit hash keys cannot be staged") }
        var first = 0
        while first < batch.count {
            var end = first, payload = 0
            while end < batch.count {
                let (data, key) = batch.sizes(end)
                if end > first, payload + data + key + 8 > Self.chunkBytesMax { break }
                payload += data + key + 8
                end += 1
            }
            if let whileFull {
                try whileFull.run { try stage(batch, first..<end, payload) }
            } else {
                try stage(batch, first..<end, payload)
            }
            first = end
        }
    }

    private func stage(_ batch: RecordBatch, _ rows: Range<Int>, _ payload: Int) throws {
        var length = BatchHeader.size + payload
        if scratch.capacity < length { scratch = Buffer(capacity: max(length, 1 << 20)) }
        let order = rows.map { UInt32($0) }
        batch.layOut(order[...], at: scratch.base + BatchHeader.size, dataBytes: rows.reduce(0) { $0 + batch.sizes($1).data })
        var header = BatchHeader(length: length, isCompressed: false, baseIndex: 0, count: rows.count, epoch: 0, timestamp: 0, producer: producer,
                                 producerSequence: nextSequence, payloadBytes: payload)
        var out = scratch
        if let cipher {
            length += BatchCipher.extraBytes
            if sealed.capacity < length { sealed = Buffer(capacity: max(length, 1 << 20)) }
            try cipher.seal(scratch.base + BatchHeader.size, payload, header.bound, into: sealed.base + BatchHeader.size)
            (header.length, header.isEncrypted) = (length, true)
            out = sealed
        }
        header.write(to: out.base)
        let chunk = UnsafeRawBufferPointer(start: out.base, count: length)
        if file == nil, inline.count + length <= StagedRecords.inlineBytesMax {
            inline += chunk
        } else {
            if file == nil { try open() }
            try file!.write(chunk.baseAddress!, count: length, at: chunkBytes)
        }
        chunkBytes += length
        nextSequence += 1
    }

    private func open() throws {
        if !hasDirectory {
            if host.mkdir(directory, 0o755) != 0, errno != EEXIST { throw Host.failure("create directory", directory) }
            // Also when it was there: whoever made it may have died before its name was on disk.
            try host.syncDirectory(streamDirectory)
            hasDirectory = true
        }
        fileName = "\(owner)-\(hexadecimal(producer))-\(firstSequence)"
        let opened = try LogFile(directory + "/" + fileName, flags: O_RDWR | O_EXCL, create: true, host: host)
        do {
            if !inline.isEmpty { try inline.withUnsafeBytes { try opened.write($0.baseAddress!, count: $0.count, at: 0) } }
        } catch {
            _ = host.unlink(opened.path)
            throw error
        }
        (file, inline) = (opened, [])
    }

    /// Ends what is appended together; nil when nothing was added.
    /// - Parameter isDurable: it survives a power cut from now on.
    public func finish(isDurable: Bool = true) throws -> StagedRecords? {
        guard nextSequence > firstSequence else { return nil }
        if isDurable, let file {
            try file.sync()
            try host.syncDirectory(directory)
        }
        let staged = StagedRecords(producer: producer, firstSequence: firstSequence, chunks: Int(nextSequence - firstSequence),
                                   chunkBytes: chunkBytes, fileName: file == nil ? nil : fileName, inline: inline)
        reset()
        return staged
    }

    /// Gives up what was added since the last `finish`.
    public func abandon() {
        if file != nil { _ = host.unlink(directory + "/" + fileName) }
        reset()
    }

    private func reset() {
        firstSequence = nextSequence
        (file, inline, chunkBytes) = (nil, [], 0)
    }
}

extension ShardLog {
    /// - Parameter owner: letters and digits; tells the staged files of one user from those of others.
    public func stager(_ stream: String, owner: String) throws -> RecordStager {
        let (directory, metadata) = try open(stream)
        return try RecordStager(stream: stream, streamDirectory: directory, settings: metadata.settings, owner: owner, keys: keys, host: host)
    }

    /// Removes the file of records that were appended and flushed, if they have one.
    public func remove(_ staged: StagedRecords, of stream: String) throws {
        guard let name = staged.fileName else { return }
        try host.remove(try open(stream).directory + "/" + StagedRecords.directoryName + "/" + name)
    }

    /// Removes all that an owner has staged; nothing of it can be appended any more.
    public func removeStaged(_ stream: String, owner: String) throws {
        let directory = try open(stream).directory + "/" + StagedRecords.directoryName
        for name in try Host.names(in: directory) where name.hasPrefix(owner + "-") { try host.remove(directory + "/" + name) }
    }
}

extension StreamWriter {
    /// Appends what was staged; chunks that the stream has already, from an earlier try, are left out.
    ///
    /// What has been staged by one stager must come in the order in which it was. The records count once ``flush()`` returns;
    /// then ``ShardLog/remove(_:of:)`` may follow.
    /// - Parameter whileFull: waits for room on a full disk. Without it, a failed try may be repeated as a whole.
    public func append(_ staged: StagedRecords, whileFull: DiskWait? = nil) throws {
        guard let name = staged.fileName else {
            return try staged.inline.withUnsafeBytes { bytes in
                try append(staged, from: "a checkpoint", whileFull) { offset, count in
                    offset + count <= bytes.count ? bytes.baseAddress! + offset : nil
                }
            }
        }
        let path = directory + "/" + StagedRecords.directoryName + "/" + name
        guard Host.exists(path) else {
            // It is removed only after all of it was appended and flushed.
            if try hasAppended(ProducerSequence(producer: staged.producer, sequence: staged.lastSequence)) { return }
            throw StreamError(.corrupt, "\(path), which holds records that are to be appended to stream \(stream), is missing",
                              fix: "restore the file; or start from another checkpoint")
        }
        let file = try LogFile(path, flags: O_RDONLY)
        var buffer = Buffer(capacity: 1 << 20)
        try append(staged, from: path, whileFull) { offset, count in
            if buffer.capacity < count { buffer = Buffer(capacity: count) }
            return try file.read(into: buffer.base, count: count, at: offset) == count ? UnsafeRawPointer(buffer.base) : nil
        }
    }

    private func append(_ staged: StagedRecords, from place: String, _ whileFull: DiskWait?, _ bytes: (Int, Int) throws -> UnsafeRawPointer?) throws {
        var offset = 0
        for chunk in 0..<staged.chunks {
            let id = ProducerSequence(producer: staged.producer, sequence: staged.firstSequence + UInt64(chunk))
            guard let head = try bytes(offset, BatchHeader.size), let header = BatchHeader(head), header.producer == id.producer,
                  header.producerSequence == id.sequence, offset + header.length <= staged.chunkBytes,
                  let all = try bytes(offset, header.length), header.checksumHolds(all)
            else {
                throw StreamError(.corrupt, "records in \(place) that are to be appended to stream \(stream) are damaged at byte \(offset)",
                                  fix: "start from another checkpoint")
            }
            let stored = UnsafeRawBufferPointer(start: all + BatchHeader.size, count: header.length - BatchHeader.size)
            var plain = Buffer.empty
            if header.isEncrypted {
                plain = Buffer(capacity: header.payloadBytes)
                let cipher = try BatchCipher(keys.key(id: BatchCipher.keyID(stored.baseAddress!)), sealing: false, randomBits: { 0 })
                guard try cipher.open(stored.baseAddress!, stored.count, header.bound, into: plain.base) else {
                    throw StreamError(.corrupt, "records in \(place) that are to be appended to stream \(stream) were encrypted with another key",
                                      fix: "restore the key in \(keys.directory) from a backup")
                }
            }
            let payload = UnsafeRawBufferPointer(start: header.isEncrypted ? UnsafeRawPointer(plain.base) : stored.baseAddress!, count: header.payloadBytes)
            try append(RecordBatch(payload: payload, count: header.count),
                       producer: id, whileFull: whileFull)
            offset += header.length
        }
    }
}

extension RecordBatch {
    /// From the payload of a batch; see ``BatchHeader``.
    init(payload: UnsafeRawBufferPointer, count: Int) {
        func ends(_ at: Int) -> [UInt32] {
            (0..<count).map { UInt32(littleEndian: payload.loadUnaligned(fromByteOffset: at + 4 * $0, as: UInt32.self)) }
        }
        dataEnds = ends(0)
        keyEnds = ends(4 * count)
        let start = 8 * count, dataBytes = Int(dataEnds.last ?? 0)
        data = Array(payload[start..<start + dataBytes])
        keys = Array(payload[(start + dataBytes)...])
    }

    /// Whether a stream with these settings takes the records.
    func check(_ settings: StreamSettings, stream: String) throws {
        var data: UInt32 = 0, key: UInt32 = 0
        for i in 0..<count {
            let bytes = Int(dataEnds[i] - data), keyBytes = Int(keyEnds[i] - key)
            guard bytes + keyBytes <= settings.recordBytesMax else {
                throw StreamError(.validate, "record \(i) for stream \(stream) has \(bytes + keyBytes) bytes of data and partition key; \(settings.recordBytesMax) are allowed",
                                  fix: "split the record, or create the stream with a larger record limit (at most \(StreamSettings.recordBytesLimit))")
            }
            // Kinesis counts characters; only keys long enough in bytes need counting.
            if keyBytes == 0 || keyBytes > 256 {
                let text = String(decoding: keys[Int(key)..<Int(keyEnds[i])], as: UTF8.self)
                // A record that says its place on its own needs no key.
                let needsNone = keyBytes == 0 && i < hashKeys.count && hashKeys[i] != nil
                guard (1...256).contains(text.unicodeScalars.count) || needsNone else {
                    throw StreamError(.validate, "record \(i) for stream \(stream) has a partition key of \(text.unicodeScalars.count) characters; 1 to 256 are allowed")
                }
            }
            (data, key) = (dataEnds[i], keyEnds[i])
        }
    }
}
