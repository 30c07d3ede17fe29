import CZlib

/// The gzip format (RFC 1952), by zlib.
public enum Gzip {
    /// Why bytes cannot be unpacked.
    public enum Failure: Error, Hashable, Sendable {
        case notGzip(String)
        /// More than was allowed would come out.
        case tooLarge
        /// The input ends before its end mark.
        case truncated
    }

    /// Unpacks one gzip stream or several behind one another.
    ///
    /// - Parameter limit: bytes that may come out at most; memory is taken as they come.
    /// - Throws: ``Failure``.
    public static func unpack(_ bytes: [UInt8], limit: Int) throws -> [UInt8] {
        var stream = z_stream()
        // 16 + the largest window: gzip with header and checksum.
        guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { throw Failure.notGzip("zlib cannot start") }
        defer { inflateEnd(&stream) }
        var out: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 1 << 16)
        return try bytes.withUnsafeBufferPointer { input in
            stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.avail_in = UInt32(input.count)
            var isAtEnd = false
            while true {
                if stream.avail_in == 0 {
                    guard isAtEnd else { throw Failure.truncated }
                    return out
                }
                if isAtEnd { inflateReset(&stream) }
                let (code, count) = part.withUnsafeMutableBufferPointer { room -> (Int32, Int) in
                    stream.next_out = room.baseAddress
                    stream.avail_out = UInt32(room.count)
                    let code = inflate(&stream, Z_NO_FLUSH)
                    return (code, room.count - Int(stream.avail_out))
                }
                guard code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR else {
                    throw Failure.notGzip(stream.msg.map { String(cString: $0) } ?? "zlib error \(code)")
                }
                guard out.count + count <= limit else { throw Failure.tooLarge }
                out += part[..<count]
                isAtEnd = code == Z_STREAM_END
                if !isAtEnd, count == 0, stream.avail_in == 0 { throw Failure.truncated }
            }
        }
    }

    /// Packs bytes as one gzip stream.
    ///
    /// - Parameter level: 1 (fast) to 9 (small).
    public static func pack(_ bytes: [UInt8], level: Int32 = 6) -> [UInt8] {
        var stream = z_stream()
        let code = deflateInit2_(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(code == Z_OK, "zlib cannot start: error \(code)")
        defer { deflateEnd(&stream) }
        let room = Int(deflateBound(&stream, UInt(bytes.count)))
        return [UInt8](unsafeUninitializedCapacity: room) { out, count in
            bytes.withUnsafeBufferPointer { input in
                stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                stream.avail_in = UInt32(input.count)
                stream.next_out = out.baseAddress
                stream.avail_out = UInt32(room)
                let code = deflate(&stream, Z_FINISH)
                precondition(code == Z_STREAM_END, "zlib needs more room than it said: error \(code)")
            }
            count = room - Int(stream.avail_out)
        }
    }
}
