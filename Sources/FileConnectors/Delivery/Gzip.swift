import CZlib
import Foundation
import StreamCore

/// Writes a file anew in gzip's format, a piece at a time.
enum Gzip {
    /// - Returns: bytes of the new file, which is on disk when this returns.
    static func compress(_ source: String, to target: String, host: StreamCore.Host) throws -> Int {
        let fd = host.open(target, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard fd >= 0 else { throw StreamCore.Host.failure("create", target) }
        var stream = z_stream()
        guard swiftwater_gzip_begin(&stream, 6) == Z_OK else {
            _ = host.close(fd)
            throw StreamError(.runtime, "\(target) cannot be compressed: zlib does not start", fix: "free memory")
        }
        defer { deflateEnd(&stream) }
        var written = 0
        do {
            defer { _ = host.close(fd) }
            var room = [UInt8](repeating: 0, count: 1 << 16), offset = 0, isLast = false
            while !isLast {
                var input = try StreamCore.Host.read(source, offset: offset, count: 1 << 18)
                offset += input.count
                isLast = input.count < 1 << 18
                let flush = isLast ? Z_FINISH : Z_NO_FLUSH
                try input.withUnsafeMutableBytes { input in
                    stream.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
                    stream.avail_in = UInt32(input.count)
                    repeat {
                        let made = room.withUnsafeMutableBytes { room in
                            stream.next_out = room.baseAddress!.assumingMemoryBound(to: UInt8.self)
                            stream.avail_out = UInt32(room.count)
                            deflate(&stream, flush)
                            return room.count - Int(stream.avail_out)
                        }
                        try room.withUnsafeBytes { try host.writeAll(fd, UnsafeRawBufferPointer(rebasing: $0[..<made]), at: written, path: target) }
                        written += made
                    } while stream.avail_out == 0
                }
            }
            guard host.sync(fd) == 0 else { throw StreamCore.Host.failure("flush", target) }
        } catch {
            _ = host.unlink(target)
            throw error
        }
        return written
    }
}
