import CArrowShim
import Foundation
import ObjectStore
import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Reads one object at any place, for Parquet. Any number of threads.
///
/// Its end is fetched with the first request, which also tells its size: a footer, with a bloom filter in it, and all of a small file come with it. A file
/// that is going to be read as a whole is fetched into a spool file that has no name.
package final class ObjectReader: Sendable {
    private let client: S3Client
    private let key: String
    package let bytes: Int64
    private let tail: [UInt8]

    private struct State {
        var isWhole = false
        /// Of the spool file; -1 = there is none.
        var descriptor: Int32 = -1
        var failure: StreamError?
    }

    private let state = Mutex(State())

    static let tailBytes = 512 << 10
    /// Files up to here need no spool file.
    static let memoryBytes: Int64 = 8 << 20

    init(_ client: S3Client, key: String) throws {
        (self.client, self.key) = (client, key)
        (tail, bytes) = try client.tail(key, Self.tailBytes)
    }

    deinit {
        let descriptor = state.withLock { $0.descriptor }
        if descriptor >= 0 { close(descriptor) }
    }

    /// All of it is going to be read.
    package func readWhole() { state.withLock { $0.isWhole = true } }

    /// What went wrong with the last read.
    var failure: StreamError? { state.withLock { $0.failure } }

    /// - Returns: the bytes read; fewer than asked for at the end.
    func read(at offset: Int64, _ out: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = max(0, min(Int64(out.count), bytes - offset))
        guard count > 0, offset >= 0 else { return 0 }
        let tailStart = bytes - Int64(tail.count)
        if offset >= tailStart {
            tail.withUnsafeBytes { out.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset - tailStart)..<Int(offset - tailStart + count)])) }
            return Int(count)
        }
        if let descriptor = try spooled() {
            var done = 0
            while done < count {
                let n = pread(descriptor, out.baseAddress! + done, Int(count) - done, off_t(offset) + off_t(done))
                if n < 0, errno == EINTR { continue }
                guard n > 0 else { throw Host.failure("read", "the spool file of \(client.bucket)/\(key)") }
                done += n
            }
            return done
        }
        try client.get(key, offset..<offset + count).withUnsafeBytes { out.copyMemory(from: $0) }
        return Int(count)
    }

    private func spooled() throws -> Int32? {
        try state.withLock { state in
            guard state.isWhole else { return nil }
            if state.descriptor >= 0 { return state.descriptor }
            let file = client.options.spoolDirectory + "/swiftwater-spool-\(getpid())-\(UUID().uuidString.lowercased())"
            let descriptor = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw Host.failure("create", file, fix: "set 's3.spool-directory' to a folder that can be written") }
            defer { unlink(file) }
            do { try client.download(key, bytes: bytes, to: file) } catch {
                close(descriptor)
                throw error
            }
            state.descriptor = descriptor
            return descriptor
        }
    }

    fileprivate func note(_ error: any Error) { state.withLock { $0.failure = error as? StreamError ?? StreamError(.io, "\(error)") } }

    /// For C++, which keeps the reader until it gives it back.
    func source() -> sw_parquet_source {
        sw_parquet_source(
            context: Unmanaged.passRetained(self).toOpaque(), bytes: bytes,
            read: { context, offset, count, out in
                let reader = Unmanaged<ObjectReader>.fromOpaque(context!).takeUnretainedValue()
                do { return Int64(try reader.read(at: offset, UnsafeMutableRawBufferPointer(start: out, count: Int(count)))) } catch {
                    reader.note(error)
                    return -1
                }
            },
            release: { Unmanaged<ObjectReader>.fromOpaque($0!).release() })
    }
}
