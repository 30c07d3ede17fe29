import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The end of one shard, where batches are added. Used under the stream's writer lock only.
final class ShardAppender {
    let shard: Int
    let directory: String
    private let files: FileOperations
    private let settings: StreamSettings
    let markFile: LogFile

    private(set) var segment: LogFile?
    private var base: UInt64 = 0
    private(set) var size = 0
    private(set) var nextIndex: UInt64 = 0
    private(set) var lastTimestamp: Int64 = 0
    /// Epochs never fall within a shard, though several writers may take turns.
    private(set) var epoch: UInt32
    /// Bytes that recoveries cut off since this was opened.
    private(set) var tornBytes = 0
    /// Newest sequence of each producer; nil until an append with a producer needs it.
    private var producers: [UInt64: UInt64]?

    /// Bytes appended in this process: what group commit counts by.
    private(set) var written: UInt64 = 0

    init(shard: Int, directory: String, settings: StreamSettings, epoch: UInt32, files: FileOperations) throws {
        self.shard = shard
        self.directory = directory
        self.settings = settings
        self.epoch = epoch
        self.files = files
        markFile = try LogFile(directory + "/" + DurableMark.fileName, flags: O_RDWR, create: true)
    }

    var mark: DurableMark {
        DurableMark(segment: base, size: UInt64(size), nextIndex: nextIndex, timestamp: lastTimestamp, epoch: epoch)
    }

    /// Finds the end of the shard, cutting off a torn tail. The caller holds the stream's file lock.
    func refresh() throws {
        let mark = try DurableMark.read(markFile)
        let bases = try Segments.list(directory)
        guard let last = bases.last else { return try start(at: mark?.nextIndex ?? 0) }
        if segment == nil || base != last {
            segment = try LogFile(Segments.path(directory, last), flags: O_RDWR)
            (base, size, nextIndex) = (last, 0, last)
            producers = nil
        }
        if let mark {
            lastTimestamp = max(lastTimestamp, mark.timestamp)
            epoch = max(epoch, mark.epoch)
            if mark.segment == last, Int(mark.size) > size {
                (size, nextIndex) = (Int(mark.size), mark.nextIndex)
                producers = nil
            }
        }
        let file = segment!
        let fileSize = try file.size()
        guard fileSize >= size else { throw DurableMark.tooShort(file.path, fileSize, size) }
        var scanner = SegmentScanner(file, from: size, nextIndex: nextIndex, verifies: true)
        let end = try scanner.run(upTo: fileSize) { header, _ in
            lastTimestamp = max(lastTimestamp, header.timestamp)
            epoch = max(epoch, header.epoch)
            note(header)
            return true
        }
        (size, nextIndex) = (scanner.offset, scanner.nextIndex)
        guard end != .endOfFile else { return }
        if try scanner.findsBatch(from: size, size: fileSize) {
            throw StreamError(.corrupt, "\(file.path): damaged record batch at offset \(size), with whole batches after it",
                              fix: "restore the file from a backup, or delete the stream")
        }
        try file.cut(to: size)
        tornBytes += fileSize - size
    }

    private func start(at index: UInt64) throws {
        segment = try LogFile(Segments.path(directory, index), flags: O_RDWR, create: true)
        try Directory.sync(directory)
        (base, size, nextIndex) = (index, 0, index)
    }

    private func note(_ header: BatchHeader) {
        guard header.producer != 0, producers != nil else { return }
        producers![header.producer] = max(producers![header.producer] ?? 0, header.producerSequence)
    }

    /// Whether this shard has that append already.
    func has(_ id: ProducerSequence) throws -> Bool {
        if producers == nil { try loadProducers() }
        return (producers![id.producer] ?? 0) >= id.sequence
    }

    private func loadProducers() throws {
        producers = [:]
        for base in try Segments.list(directory) {
            let file = try LogFile(Segments.path(directory, base), flags: O_RDONLY)
            var scanner = SegmentScanner(file, from: 0, nextIndex: base, verifies: false)
            let limit = base == self.base ? size : try file.size()
            let end = try scanner.run(upTo: limit) { header, _ in
                note(header)
                return true
            }
            guard end == .endOfFile else {
                throw StreamError(.corrupt, "\(file.path): damaged record batch at offset \(scanner.offset)",
                                  fix: "restore the file from a backup, or delete the stream")
            }
        }
    }

    /// Appends one batch: `bytes` holds room for the header, then the payload in its final form. Returns the first record's
    /// index. On failure the shard is as it was.
    func append(_ bytes: UnsafeMutableRawPointer, header partial: BatchHeader, now: Int64) throws -> UInt64 {
        if size > 0, size + partial.length > settings.segmentBytes { try roll(now: now) }
        var header = partial
        header.baseIndex = nextIndex
        header.epoch = epoch
        header.timestamp = max(now, lastTimestamp)
        header.write(to: bytes)
        let file = segment!
        do {
            try file.write(bytes, count: header.length, at: size, files)
        } catch {
            // Cut what got there, so that the next append does not write behind a gap; recovery does the same if this fails too.
            try? file.cut(to: size)
            throw error
        }
        defer {
            size += header.length
            written += UInt64(header.length)
            nextIndex += UInt64(header.count)
            lastTimestamp = header.timestamp
            note(header)
        }
        return nextIndex
    }

    /// Closes the segment, flushed so that only the newest one can ever have a torn tail, and opens the next.
    private func roll(now: Int64) throws {
        try segment!.sync(files)
        try start(at: nextIndex)
        try mark.write(to: markFile, files)
        try retain(now: now)
    }

    /// Removes the oldest segments that the settings no longer keep; never the newest.
    func retain(now: Int64) throws {
        guard settings.retentionBytes != nil || settings.retentionMilliseconds != nil else { return }
        var bases = try Segments.list(directory)
        var sizes = try bases.map { try LogFile(Segments.path(directory, $0), flags: O_RDONLY).size() }
        while bases.count > 1 {
            let tooBig = settings.retentionBytes.map { sizes.reduce(0, +) > $0 } ?? false
            // Arrival times never fall within a shard, so the next segment's first one is at least this one's newest.
            var tooOld = false
            if !tooBig, let keep = settings.retentionMilliseconds {
                let newest = try SegmentIndex.firstTimestamp(Segments.path(directory, bases[1])) ?? lastTimestamp
                tooOld = newest > 0 && newest < now - keep
            }
            guard tooBig || tooOld else { return }
            let path = Segments.path(directory, bases.removeFirst())
            guard unlink(path) == 0 || errno == ENOENT else { throw LogFile.failure("remove", path) }
            sizes.removeFirst()
        }
    }
}
