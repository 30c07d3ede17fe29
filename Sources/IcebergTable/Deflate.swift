import CZlib
import StreamCore

/// Avro's `deflate` codec: zlib without its frame.
enum Deflate {
    static func compress(_ bytes: [UInt8]) throws -> [UInt8] {
        var stream = z_stream()
        guard swiftwater_raw_deflate_begin(&stream, 6) == Z_OK else { throw StreamError(.runtime, "zlib does not start", fix: "free memory") }
        defer { deflateEnd(&stream) }
        var input = bytes, out = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))) + 16)
        let made = try input.withUnsafeMutableBytes { input in
            try out.withUnsafeMutableBytes { out in
                stream.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.avail_in = UInt32(input.count)
                stream.next_out = out.baseAddress!.assumingMemoryBound(to: UInt8.self)
                stream.avail_out = UInt32(out.count)
                guard deflate(&stream, Z_FINISH) == Z_STREAM_END else { throw StreamError(.runtime, "zlib does not compress \(input.count) bytes") }
                return out.count - Int(stream.avail_out)
            }
        }
        return Array(out[..<made])
    }

    /// - Throws: `.corrupt` when the bytes are damaged.
    static func decompress(_ bytes: [UInt8]) throws -> [UInt8] {
        var stream = z_stream()
        guard swiftwater_raw_inflate_begin(&stream) == Z_OK else { throw StreamError(.runtime, "zlib does not start", fix: "free memory") }
        defer { inflateEnd(&stream) }
        var input = bytes, out: [UInt8] = [], room = [UInt8](repeating: 0, count: 1 << 16)
        try input.withUnsafeMutableBytes { input in
            stream.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.avail_in = UInt32(input.count)
            while true {
                let (state, made) = room.withUnsafeMutableBytes { room in
                    stream.next_out = room.baseAddress!.assumingMemoryBound(to: UInt8.self)
                    stream.avail_out = UInt32(room.count)
                    return (inflate(&stream, Z_NO_FLUSH), room.count - Int(stream.avail_out))
                }
                out += room[..<made]
                if state == Z_STREAM_END { return }
                guard state == Z_OK else { throw StreamError(.corrupt, "a block of an Avro file cannot be decompressed") }
            }
        }
        return out
    }
}
