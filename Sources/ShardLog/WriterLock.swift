/// The `lock` file of a stream: appends happen under its flock. It holds three numbers: the newest writer epoch, the epoch of
/// the writer that appended last, and the version of the metadata, which tells writers to read it again.
enum WriterLock {
    static let fileName = "lock"
    /// In place of the last writer's epoch: whoever comes next looks at the shards anew.
    static let nobody: UInt32 = 0

    static func newEpoch(_ file: LogFile) throws -> UInt32 {
        let epoch = try number(file, 0) + 1
        try put(file, epoch, 0)
        // Flushed, so that no epoch comes twice even after a power cut.
        try file.sync()
        return epoch
    }

    /// The epoch of the last writer and the version of the metadata.
    static func state(_ file: LogFile) throws -> (lastWriter: UInt32, version: UInt32) {
        var value: UInt64 = 0
        _ = try withUnsafeMutableBytes(of: &value) { try file.read(into: $0.baseAddress!, count: 8, at: 4) }
        value = UInt64(littleEndian: value)
        return (UInt32(truncatingIfNeeded: value), UInt32(truncatingIfNeeded: value >> 32))
    }

    static func setLastWriter(_ file: LogFile, _ epoch: UInt32) throws { try put(file, epoch, 4) }

    /// 0 until a stream has been changed for the first time.
    static func version(_ file: LogFile) throws -> UInt32 { try number(file, 8) }
    static func setVersion(_ file: LogFile, _ version: UInt32) throws { try put(file, version, 8) }

    private static func number(_ file: LogFile, _ offset: Int) throws -> UInt32 {
        var value: UInt32 = 0
        _ = try withUnsafeMutableBytes(of: &value) { try file.read(into: $0.baseAddress!, count: 4, at: offset) }
        return UInt32(littleEndian: value)
    }

    private static func put(_ file: LogFile, _ value: UInt32, _ offset: Int) throws {
        try withUnsafeBytes(of: value.littleEndian) { try file.write($0.baseAddress!, count: 4, at: offset) }
    }
}
