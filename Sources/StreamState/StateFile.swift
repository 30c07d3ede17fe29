import CChecksum
import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A file with the pieces and indexes of one checkpoint, one behind the other: 16 bytes of header (magic, number of the
/// checkpoint), then what the manifest and the indexes name by offset and length.
enum StateFile {
    static let magic = Array("SWSTATE1".utf8)
    static let headerBytes = 16

    static func header(_ checkpoint: UInt64) -> [UInt8] { magic + withUnsafeBytes(of: checkpoint.littleEndian) { Array($0) } }

    static let restoreFix = "put the file back from a copy, or start from another checkpoint or savepoint"

    static func missing(_ path: String, holds what: String) -> StreamError {
        StreamError(.corrupt, "\(path), which holds \(what), is missing", fix: restoreFix)
    }

    static func damaged(_ path: String, _ how: String) -> StreamError {
        StreamError(.corrupt, "\(path) is damaged: \(how)", fix: restoreFix)
    }
}

/// Appends to a new state file. One thread.
final class StateFileWriter {
    let path: String
    private let host: Host
    private var descriptor: Int32
    /// Bytes of the file, those still in memory included.
    private(set) var size = 0
    private var chunk: Buffer
    private var used = 0

    private static let chunkBytes = 4 << 20

    init(_ path: String, checkpoint: UInt64, host: Host) throws {
        (self.path, self.host) = (path, host)
        descriptor = host.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o644)
        guard descriptor >= 0 else { throw Host.failure("create", path) }
        chunk = Buffer(capacity: Self.chunkBytes)
        try append(StateFile.header(checkpoint))
    }

    deinit { close() }

    /// Memory at the end of the file for up to `bytes`. ``commit(_:)`` says how many it got.
    func room(for bytes: Int) throws -> UnsafeMutableRawPointer {
        if used + bytes > chunk.capacity {
            try flush()
            if bytes > chunk.capacity { chunk = Buffer(capacity: bytes) }
        }
        return chunk.base + used
    }

    /// - Returns: where they are in the file.
    @discardableResult
    func commit(_ bytes: Int) -> Int {
        used += bytes
        size += bytes
        return size - bytes
    }

    @discardableResult
    func append(_ bytes: [UInt8]) throws -> Int {
        let to = try room(for: bytes.count)
        bytes.withUnsafeBytes { if let from = $0.baseAddress { to.copyMemory(from: from, byteCount: $0.count) } }
        return commit(bytes.count)
    }

    private func flush() throws {
        try host.writeAll(descriptor, UnsafeRawBufferPointer(start: chunk.base, count: used), at: size - used, path: path)
        used = 0
    }

    /// Makes the file durable, but not its name.
    func finish() throws {
        try flush()
        guard host.sync(descriptor) == 0 else { throw Host.failure("flush", path) }
        close()
    }

    func close() {
        if descriptor >= 0 { _ = host.close(descriptor) }
        descriptor = -1
    }
}

/// Reads ranges of a file; opened when first needed, from any thread.
final class StateFileReader: Sendable {
    let path: String
    /// As the manifest says.
    let size: Int
    private let descriptor = Mutex<Int32>(-1)

    init(_ path: String, size: Int) { (self.path, self.size) = (path, size) }

    deinit { descriptor.withLock { if $0 >= 0 { close($0) } } }

    private func opened(_ what: () -> String) throws -> Int32 {
        try descriptor.withLock { descriptor in
            if descriptor < 0 {
                descriptor = open(path, O_RDONLY | O_CLOEXEC)
                if descriptor < 0, errno == ENOENT { throw StateFile.missing(path, holds: what()) }
                if descriptor < 0 { throw Host.failure("open", path) }
            }
            return descriptor
        }
    }

    /// Reads `out.count` bytes at `offset` and compares their checksum.
    /// - Parameter what: what they are, for errors.
    func read(offset: Int, crc32c: UInt32, into out: UnsafeMutableRawBufferPointer, _ what: () -> String) throws {
        guard out.count > 0, let base = out.baseAddress else { return }
        let descriptor = try opened(what)
        var done = 0
        while done < out.count {
            let n = pread(descriptor, base + done, out.count - done, off_t(offset + done))
            if n < 0, errno == EINTR { continue }
            if n < 0, errno == EIO { throw StateFile.damaged(path, "the disk cannot read \(what()) at offset \(offset + done)") }
            guard n >= 0 else { throw Host.failure("read \(what()) at offset \(offset) of", path) }
            guard n > 0 else { throw StateFile.damaged(path, "it ends within \(what()), at \(offset + done) of \(size) bytes") }
            done += n
        }
        guard sw_crc32c(0, base, out.count) == crc32c else {
            throw StateFile.damaged(path, "\(what()), \(out.count) bytes at offset \(offset), does not match its checksum")
        }
    }

    func read(offset: Int, length: Int, crc32c: UInt32, _ what: () -> String) throws -> Buffer {
        // Numbers come from a checked index, but are not trusted with memory.
        guard offset >= 0, length >= 0, offset <= size, length <= size - offset else {
            throw StateFile.damaged(path, "\(what()) is said to be at offset \(offset), of a file of \(size) bytes")
        }
        let buffer = Buffer(capacity: length)
        try read(offset: offset, crc32c: crc32c, into: UnsafeMutableRawBufferPointer(start: buffer.base, count: length), what)
        return buffer
    }
}
