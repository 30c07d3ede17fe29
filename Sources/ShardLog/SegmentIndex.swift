import CChecksum
import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A sparse index of one segment by record number and arrival time: one entry for each 256 KiB.
///
/// It grows with the segment by walking over the headers of what is new. When a segment is closed, its index is put beside it
/// (`<first record>.index`) and need not be made again:
///
///     magic "SWX1" | CRC32C of the rest | bytes of the segment | index and arrival of the end | entries
///     entry: offset | index of first record | arrival (UInt64 each)
final class SegmentIndex: @unchecked Sendable {  // SAFETY: mutable state is guarded by `lock`
    struct Place: Equatable {
        /// Of a batch: where it starts, and its first record.
        var offset: Int, index: UInt64
        var timestamp: Int64
    }

    let base: UInt64
    private let directory: String
    private let lock = Lock()
    private var entries: [Place] = []
    private var end: Place
    private var isFresh = true
    private static let spacing = 256 << 10
    private static let magic: UInt32 = 0x3158_5753

    init(directory: String, base: UInt64) {
        self.directory = directory
        self.base = base
        end = Place(offset: 0, index: base, timestamp: 0)
    }

    /// Arrival time of the first record; nil for an empty segment.
    static func firstTimestamp(_ path: String) throws -> Int64? {
        let file = try LogFile(path, flags: O_RDONLY)
        let header = Buffer(capacity: BatchHeader.size)
        guard try file.read(into: header.base, count: BatchHeader.size, at: 0) == BatchHeader.size else { return nil }
        return BatchHeader(header.base)?.timestamp
    }

    /// Where the whole batches end now.
    func currentEnd(_ file: LogFile) throws -> Place {
        try lock.with {
            try extend(file)
            return end
        }
    }

    /// The batch that holds record `index`, or the end.
    func batch(holding index: UInt64, _ file: LogFile) throws -> (place: Place, header: BatchHeader?) {
        try find(file, from: { $0.index <= index }) { $0.baseIndex + UInt64($0.count) > index }
    }

    /// The first batch that arrived at `timestamp` or later, or the end.
    func batch(atOrAfter timestamp: Int64, _ file: LogFile) throws -> (place: Place, header: BatchHeader?) {
        try find(file, from: { $0.timestamp < timestamp }) { $0.timestamp >= timestamp }
    }

    /// From the last entry for which `before` holds (it holds for none after one for which it does not), the first batch that is
    /// `wanted`.
    private func find(_ file: LogFile, from before: (Place) -> Bool, _ wanted: (BatchHeader) -> Bool) throws -> (Place, BatchHeader?) {
        let (start, stop) = try lock.with {
            try extend(file)
            let at = entries.partitioningIndex { !before($0) }
            return (at == 0 ? Place(offset: 0, index: base, timestamp: 0) : entries[at - 1], end)
        }
        // What is in the index does not change, so readers search side by side.
        var scanner = SegmentScanner(file, from: start.offset, nextIndex: start.index, verifies: false)
        var found: (Place, BatchHeader?)?
        _ = try scanner.run(upTo: stop.offset) { header, offset in
            guard wanted(header) else { return true }
            found = (Place(offset: offset, index: header.baseIndex, timestamp: header.timestamp), header)
            return false
        }
        return found ?? (stop, nil)
    }

    private func extend(_ file: LogFile) throws {
        let size = try file.size()
        if isFresh {
            isFresh = false
            try load(size: size)
        }
        guard size > end.offset else { return }
        // What is durable is walked over; what is not may be an unfinished tail, so its checksums are looked at.
        let mark = try DurableMark.read(directory)
        if let mark, mark.segment == base, Int(mark.size) > end.offset {
            try walk(file, upTo: min(size, Int(mark.size)), verifies: false)
        }
        try walk(file, upTo: size, verifies: true)
    }

    private func walk(_ file: LogFile, upTo size: Int, verifies: Bool) throws {
        var scanner = SegmentScanner(file, from: end.offset, nextIndex: end.index, verifies: verifies)
        let stop = try scanner.run(upTo: size) { header, offset in
            note(header, at: offset)
            return true
        }
        (end.offset, end.index) = (scanner.offset, scanner.nextIndex)
        if stop != .endOfFile, try !verifies || scanner.provesFlush(from: end.offset, size: size) {
            throw StreamError(.corrupt, "\(file.path): damaged record batch at offset \(end.offset)",
                              fix: "restore the file from a backup, or delete the stream")
        }
    }

    private func note(_ header: BatchHeader, at offset: Int) {
        if offset - (entries.last?.offset ?? -Self.spacing) >= Self.spacing {
            entries.append(Place(offset: offset, index: header.baseIndex, timestamp: header.timestamp))
        }
        end.timestamp = header.timestamp
    }

    // MARK: On disk

    static func path(_ shardDirectory: String, _ base: UInt64) -> String { String(Segments.path(shardDirectory, base).dropLast(4)) + ".index" }

    /// Puts the index of a segment that does not grow any more beside it. Not flushed: one that is torn or missing is made again.
    func save(_ file: LogFile, _ host: Host) throws {
        let bytes = try lock.with { () -> [UInt8] in
            try extend(file)
            let words = [UInt64(end.offset), end.index, UInt64(bitPattern: end.timestamp)]
                + entries.flatMap { [UInt64($0.offset), $0.index, UInt64(bitPattern: $0.timestamp)] }
            return words.map(\.littleEndian).withUnsafeBytes { body in
                let head = [Self.magic.littleEndian, sw_crc32c(0, body.baseAddress!, body.count).littleEndian]
                return head.withUnsafeBytes { Array($0) } + Array(body)
            }
        }
        let out = try LogFile(Self.path(directory, base), flags: O_WRONLY, create: true, host: host)
        try bytes.withUnsafeBytes { try out.write($0.baseAddress!, count: $0.count, at: 0) }
    }

    /// Takes over what was saved, if that is about a segment of this size.
    private func load(size: Int) throws {
        let path = Self.path(directory, base)
        guard Host.exists(path) else { return }
        let bytes = try Host.read(path)
        guard bytes.count >= 32, bytes.count % 24 == 8 else { return }
        bytes.withUnsafeBytes { p in
            func word(_ at: Int) -> UInt64 { UInt64(littleEndian: p.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
            func place(_ at: Int) -> Place { Place(offset: Int(truncatingIfNeeded: word(at)), index: word(at + 8), timestamp: Int64(bitPattern: word(at + 16))) }
            guard UInt32(littleEndian: p.loadUnaligned(fromByteOffset: 0, as: UInt32.self)) == Self.magic,
                  UInt32(littleEndian: p.loadUnaligned(fromByteOffset: 4, as: UInt32.self)) == sw_crc32c(0, p.baseAddress! + 8, p.count - 8),
                  place(8).offset == size else { return }
            end = place(8)
            entries = stride(from: 32, to: p.count, by: 24).map(place)
        }
    }
}

extension Array {
    /// The first position at which `belongs` holds, when it holds for all after it.
    func partitioningIndex(where belongs: (Element) throws -> Bool) rethrows -> Int {
        var low = 0, high = count
        while low < high {
            let middle = (low + high) / 2
            if try belongs(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// Indexes in use, shared by all readers of a log; those that were not used for longest are let go.
final class IndexCache: Sendable {
    private struct State {
        var indexes: [String: (index: SegmentIndex, used: UInt64)] = [:]
        var clock: UInt64 = 0
    }

    private let state = Mutex(State())
    static let indexesMax = 1_024

    func index(_ shardDirectory: String, _ base: UInt64) -> SegmentIndex {
        state.withLock { state in
            let key = Segments.path(shardDirectory, base)
            state.clock += 1
            if let known = state.indexes[key]?.index {
                state.indexes[key]!.used = state.clock
                return known
            }
            if state.indexes.count >= Self.indexesMax {
                let limit = state.indexes.values.map(\.used).sorted()[Self.indexesMax / 2]
                state.indexes = state.indexes.filter { $0.value.used > limit }
            }
            let index = SegmentIndex(directory: shardDirectory, base: base)
            state.indexes[key] = (index, state.clock)
            return index
        }
    }

    func forget(below path: String) { state.withLock { state in state.indexes = state.indexes.filter { !$0.key.hasPrefix(path) } } }
}
