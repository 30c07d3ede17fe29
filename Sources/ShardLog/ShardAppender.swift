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
    private let host: Host
    /// As the stream's metadata has them now.
    var settings: StreamSettings
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
    /// Newest append of each producer; nil until an append with a producer or retention needs it.
    private var producers: ProducerTable?
    /// Read once: it never changes.
    private var inherited: InheritedProducers?
    /// Of the snapshot on disk: everything before this index is in it.
    private var snapshotUpTo: UInt64?

    /// How far the segment is on disk for certain.
    private var flushedOffset = 0

    /// Bytes appended in this process, or found without proof that they were flushed: what group commit counts by.
    private(set) var written: UInt64 = 0

    init(_ shard: StreamMetadata.Shard, in streamDirectory: String, settings: StreamSettings, epoch: UInt32, host: Host) throws {
        self.shard = shard.id
        directory = streamDirectory + "/" + StreamMetadata.shardName(shard.id)
        self.settings = settings
        self.epoch = epoch
        self.host = host
        // No record is older than its shard, whatever the clock says.
        lastTimestamp = shard.parents == nil ? 0 : shard.openedAt ?? 0
        markFile = try LogFile(directory + "/" + DurableMark.fileName, flags: O_RDWR, create: true, host: host)
    }

    var mark: DurableMark {
        DurableMark(segment: base, size: UInt64(size), nextIndex: nextIndex, timestamp: lastTimestamp, epoch: epoch)
    }

    /// Finds the end of the shard, cutting off a torn tail. The caller holds the stream's file lock.
    func refresh() throws {
        let mark = try DurableMark.read(markFile)
        let bases = try Segments.list(directory)
        guard let last = bases.last else { return try start(at: mark?.nextIndex ?? 0) }
        let isNew = segment == nil || base != last
        if isNew {
            segment = try LogFile(Segments.path(directory, last), flags: O_RDWR, host: host)
            // Whoever made the file may have died before its name was on disk.
            if mark?.segment != last { try host.syncDirectory(directory) }
            flushedOffset = mark?.segment == last ? Int(mark!.size) : 0
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
        // An earlier writer's flush of these may have failed, and then no later one covers them unless they are written anew.
        if isNew {
            do { try rewrite(file, size..<scanner.offset) } catch {
                // The next look begins anew, so that none is forgotten.
                segment = nil
                throw error
            }
        }
        written += UInt64(scanner.offset - size)
        (size, nextIndex) = (scanner.offset, scanner.nextIndex)
        guard end != .endOfFile else { return }
        if try scanner.provesFlush(from: size, size: fileSize) {
            throw StreamError(.corrupt, "\(file.path): damaged record batch at offset \(size), which had been flushed to disk",
                              fix: "restore the file from a backup, or delete the stream")
        }
        try file.cut(to: size)
        tornBytes += fileSize - size
    }

    private func rewrite(_ file: LogFile, _ range: Range<Int>) throws {
        for start in stride(from: range.lowerBound, to: range.upperBound, by: 1 << 20) {
            let bytes = try Host.read(file.path, offset: start, count: min(1 << 20, range.upperBound - start))
            try bytes.withUnsafeBytes { try file.write($0.baseAddress!, count: $0.count, at: start) }
        }
    }

    private func start(at index: UInt64) throws {
        flushedOffset = 0
        segment = try LogFile(Segments.path(directory, index), flags: O_RDWR, create: true, host: host)
        try host.syncDirectory(directory)
        (base, size, nextIndex) = (index, 0, index)
    }

    private func note(_ header: BatchHeader) { producers?.note(header) }

    // MARK: Producers

    /// What of an append was written by an earlier try of it.
    enum Presence {
        case nothing, all
        /// The records with these hash keys, which the shard's ancestors have.
        case part([HashKeyRange])
    }

    func presence(of id: ProducerSequence) throws -> Presence {
        if producers == nil { try loadProducers() }
        if producers!.has(id) { return .all }
        if inherited == nil { inherited = try .read(directory) }
        let ranges = inherited!.ranges(having: id)
        return ranges.isEmpty ? .nothing : .part(ranges)
    }

    /// Brings all records to disk and tells what a shard that takes over must know. The caller holds the stream's file lock
    /// and closes the shard.
    func seal() throws -> (mark: DurableMark, producers: ProducerTable, inherited: InheritedProducers) {
        try refresh()
        try loadProducers()
        try segment!.sync()
        try mark.write(to: markFile)
        return (mark, producers!, try .read(directory))
    }

    private func loadProducers() throws {
        let bases = try Segments.list(directory)
        let path = directory + "/" + ProducerTable.fileName
        var table = ProducerTable()
        if Host.exists(path) {
            if let snapshot = ProducerTable(try Host.read(path)) {
                table = snapshot
                snapshotUpTo = snapshot.upTo
            } else if bases.first ?? 0 > 0 {
                throw StreamError(.corrupt, "\(path) is damaged, and the records that it stands for have expired",
                                  fix: "restore the file from a backup; or delete it, if no job that writes to the stream has an unfinished commit")
            }
        }
        producers = table
        let first = bases.last { $0 <= table.upTo } ?? 0
        for base in bases where base >= first {
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

    /// Replaces the snapshot by one of now. Batches count as known only once they are on disk.
    private func saveProducers() throws {
        if producers == nil { try loadProducers() }
        try segment!.sync()
        producers!.upTo = nextIndex
        try host.replaceFile(directory + "/" + ProducerTable.fileName, producers!.bytes())
        snapshotUpTo = nextIndex
    }

    // MARK: Appending

    /// Appends one batch: `bytes` holds room for the header, then the payload in its final form. Returns the first record's
    /// index. On failure the shard is as it was.
    func append(_ bytes: UnsafeMutableRawPointer, header partial: BatchHeader, flushed: DurableMark?, now: Int64) throws -> UInt64 {
        if size > 0, size + partial.length > settings.segmentBytes { try roll(now: now) }
        var header = partial
        header.baseIndex = nextIndex
        header.epoch = epoch
        header.timestamp = max(now, lastTimestamp)
        if let flushed, flushed.segment == base { flushedOffset = max(flushedOffset, Int(flushed.size)) }
        header.flushedOffset = flushedOffset
        header.write(to: bytes)
        let file = segment!
        do {
            try file.write(bytes, count: header.length, at: size)
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
    func roll(now: Int64) throws {
        try segment!.sync()
        try mark.write(to: markFile)
        // Only saves time.
        try? SegmentIndex(directory: directory, base: base).save(segment!, host)
        try start(at: nextIndex)
        try mark.write(to: markFile)
        if producers?.isEmpty == false { try saveProducers() }
        try retain(now: now)
    }

    /// Removes the oldest segments whose records all come before `index`; never the newest.
    func trim(before index: UInt64) throws {
        let bases = try Segments.list(directory), count = zip(bases, bases.dropFirst()).prefix { $1 <= index }.count
        guard count > 0 else { return }
        if snapshotUpTo ?? 0 < bases[count] { try saveProducers() }
        for base in bases.prefix(count) { try Segments.remove(directory, base, host) }
    }

    /// Removes the oldest segments that the settings no longer keep; never the newest.
    func retain(now: Int64) throws {
        let count = try Segments.removable(directory, settings, now) { base in
            let end = try SegmentIndex(directory: directory, base: base).currentEnd(LogFile(Segments.path(directory, base), flags: O_RDONLY))
            return end.offset == 0 ? nil : end.timestamp
        }
        guard count > 0 else { return }
        let bases = try Segments.list(directory)
        if snapshotUpTo ?? 0 < bases[count] { try saveProducers() }
        for base in bases.prefix(count) { try Segments.remove(directory, base, host) }
    }
}
