import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A sparse index of one segment, filled by walking over its headers: one entry for each 256 KiB.
final class SegmentIndex: @unchecked Sendable {  // SAFETY: mutable state is guarded by `lock`
    struct Place {
        /// Of a batch: where it starts, and its first record.
        var offset: Int, index: UInt64
        var timestamp: Int64
    }

    let base: UInt64
    private let directory: String
    private let lock = Lock()
    private var entries: [Place] = []
    private var end: Place
    private static let spacing = 256 << 10

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

    /// From the last entry for which `before` holds, the first batch that is `wanted`.
    private func find(_ file: LogFile, from before: (Place) -> Bool, _ wanted: (BatchHeader) -> Bool) throws -> (Place, BatchHeader?) {
        try lock.with {
            try extend(file)
            let start = entries.last(where: before) ?? Place(offset: 0, index: base, timestamp: 0)
            var scanner = SegmentScanner(file, from: start.offset, nextIndex: start.index, verifies: false)
            var found: (Place, BatchHeader?)?
            _ = try scanner.run(upTo: end.offset) { header, offset in
                guard wanted(header) else { return true }
                found = (Place(offset: offset, index: header.baseIndex, timestamp: header.timestamp), header)
                return false
            }
            return found ?? (end, nil)
        }
    }

    private func extend(_ file: LogFile) throws {
        let size = try file.size()
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
            if offset - (entries.last?.offset ?? -Self.spacing) >= Self.spacing {
                entries.append(Place(offset: offset, index: header.baseIndex, timestamp: header.timestamp))
            }
            end.timestamp = header.timestamp
            return true
        }
        (end.offset, end.index) = (scanner.offset, scanner.nextIndex)
        if stop != .endOfFile, try !verifies || scanner.provesFlush(from: end.offset, size: size) {
            throw StreamError(.corrupt, "\(file.path): damaged record batch at offset \(end.offset)",
                              fix: "restore the file from a backup, or delete the stream")
        }
    }
}
