import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Walks over the batches of a segment file from one header to the next.
struct SegmentScanner {
    enum End: Equatable {
        /// The last batch ends where the file does.
        case endOfFile
        /// The file ends inside a header or a batch.
        case incomplete
        /// What stands there is no batch, or its checksum does not hold.
        case damaged(String)
        /// The visitor had enough.
        case stopped
    }

    let file: LogFile
    /// Whether payloads are read and checked, or skipped.
    let verifies: Bool
    private(set) var offset: Int
    private(set) var nextIndex: UInt64
    private var window = Buffer(capacity: 256 << 10)
    private var windowStart = 0, windowCount = 0

    init(_ file: LogFile, from offset: Int, nextIndex: UInt64, verifies: Bool) {
        self.file = file
        self.offset = offset
        self.nextIndex = nextIndex
        self.verifies = verifies
    }

    /// Bytes [at, at + count) of the file, or nil when it is shorter. Valid until the next call.
    private mutating func bytes(_ count: Int, at: Int) throws -> UnsafeRawPointer? {
        if at < windowStart || at + count > windowStart + windowCount {
            if count > window.capacity { window = Buffer(capacity: count) }
            windowStart = at
            // Headers that lie far apart are read alone.
            let wanted = verifies || count > BatchHeader.size ? window.capacity : min(window.capacity, 16 << 10)
            windowCount = try file.read(into: window.base, count: wanted, at: at)
        }
        guard at + count <= windowStart + windowCount else { return nil }
        return UnsafeRawPointer(window.base) + (at - windowStart)
    }

    /// Calls `visit` with each batch's header and offset; stops at the first that is not whole, or when it returns false.
    mutating func run(upTo size: Int, _ visit: (BatchHeader, Int) -> Bool) throws -> End {
        while offset < size {
            guard offset + BatchHeader.size <= size, let p = try bytes(BatchHeader.size, at: offset) else { return .incomplete }
            guard let header = BatchHeader(p) else { return .damaged("no batch header") }
            guard header.baseIndex == nextIndex else {
                return .damaged("batch starts at record \(header.baseIndex) where \(nextIndex) was due")
            }
            guard offset + header.length <= size else { return .incomplete }
            if verifies {
                guard let all = try bytes(header.length, at: offset) else { return .incomplete }
                guard header.checksumHolds(all) else { return .damaged("checksum mismatch") }
            }
            guard visit(header, offset) else { return .stopped }
            offset += header.length
            nextIndex += UInt64(header.count)
        }
        return .endOfFile
    }

    /// Whether a whole, checked batch anywhere behind `start` says that the bytes there had been flushed: then damage at `start`
    /// is no torn tail. A power cut may leave later batches and take earlier ones, as long as none was flushed.
    mutating func provesFlush(from start: Int, size: Int) throws -> Bool {
        var at = start
        while at + BatchHeader.size <= size {
            let count = min(64 << 10, size - at)
            guard let p = try bytes(count, at: at) else { return false }
            var candidate: Int?
            for i in 0...(count - BatchHeader.size)
            where p.loadUnaligned(fromByteOffset: i, as: UInt32.self) == BatchHeader.magic.littleEndian {
                candidate = i
                break
            }
            guard let candidate else {
                at += count - BatchHeader.size + 1
                continue
            }
            at += candidate
            if let header = BatchHeader(p + candidate), header.baseIndex > nextIndex, at + header.length <= size,
               let all = try bytes(header.length, at: at), header.checksumHolds(all) {
                if header.flushedOffset > start { return true }
                at += header.length
                continue
            }
            at += 1
        }
        return false
    }
}
