import CChecksum
import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The segment files of a shard: `<index of first record, 20 digits>.log`.
enum Segments {
    static func path(_ shardDirectory: String, _ base: UInt64) -> String {
        let digits = String(base)
        return shardDirectory + "/" + String(repeating: "0", count: 20 - digits.count) + digits + ".log"
    }

    /// Deletes a segment and its index.
    static func remove(_ shardDirectory: String, _ base: UInt64, _ host: Host) throws {
        try host.remove(SegmentIndex.path(shardDirectory, base))
        try host.remove(path(shardDirectory, base))
    }

    /// Ascending base indexes.
    static func list(_ shardDirectory: String) throws -> [UInt64] {
        try Host.names(in: shardDirectory).compactMap { $0.hasSuffix(".log") ? UInt64($0.dropLast(4)) : nil }
    }
}

/// A note of how far a shard is on disk for certain, kept in `durable` beside the segments and written after each flush.
///
/// Damage before this point is corruption; damage after it can only be a tail that was never acknowledged. The note itself
/// is not flushed: an older one, or none, only means more to check at the next opening.
struct DurableMark: Equatable {
    var segment: UInt64
    var size: UInt64
    /// Index of the record after the last one before `size`.
    var nextIndex: UInt64
    /// Of the last batch before `size`.
    var timestamp: Int64
    var epoch: UInt32

    static let fileName = "durable"

    func write(to file: LogFile) throws {
        var words: [UInt64] = [segment, size, nextIndex, UInt64(bitPattern: timestamp), UInt64(epoch)].map(\.littleEndian)
        words.append(UInt64(words.withUnsafeBytes { sw_crc32c(0, $0.baseAddress!, 40) }).littleEndian)
        try words.withUnsafeBytes { try file.write($0.baseAddress!, count: 48, at: 0) }
    }

    /// nil when there is none, or it was torn.
    static func read(_ shardDirectory: String) throws -> DurableMark? {
        let path = shardDirectory + "/" + fileName
        guard Host.exists(path) else { return nil }
        return try read(LogFile(path, flags: O_RDONLY))
    }

    /// - Throws: `.corrupt` when the segment that the mark is about is shorter than what had been flushed of it.
    static func check(_ shardDirectory: String) throws {
        guard let mark = try read(shardDirectory) else { return }
        let path = Segments.path(shardDirectory, mark.segment)
        guard Host.exists(path) else { return }
        let size = try LogFile(path, flags: O_RDONLY).size()
        if size < Int(mark.size) { throw tooShort(path, size, Int(mark.size)) }
    }

    static func tooShort(_ path: String, _ size: Int, _ flushed: Int) -> StreamError {
        StreamError(.corrupt, "\(path) has \(size) bytes; \(flushed) had been flushed to disk",
                    fix: "restore the file from a backup, or delete the stream")
    }

    static func read(_ file: LogFile) throws -> DurableMark? {
        var words = [UInt64](repeating: 0, count: 6)
        return try words.withUnsafeMutableBytes { bytes in
            guard try file.read(into: bytes.baseAddress!, count: 48, at: 0) == 48 else { return nil }
            let w = bytes.bindMemory(to: UInt64.self)
            guard UInt64(littleEndian: w[5]) == UInt64(sw_crc32c(0, bytes.baseAddress!, 40)) else { return nil }
            return DurableMark(segment: UInt64(littleEndian: w[0]), size: UInt64(littleEndian: w[1]),
                               nextIndex: UInt64(littleEndian: w[2]), timestamp: Int64(bitPattern: UInt64(littleEndian: w[3])),
                               epoch: UInt32(truncatingIfNeeded: UInt64(littleEndian: w[4])))
        }
    }
}
