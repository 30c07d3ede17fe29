import CLZ4
import StreamCore

/// Whole blocks of memory as LZ4 frames, which the `lz4` tool reads too.
enum LZ4Frame {
    /// Independent blocks: a decoder then needs no copy of what came before.
    private static func preferences(_ count: Int) -> LZ4F_preferences_t {
        var preferences = LZ4F_preferences_t()
        preferences.frameInfo.blockSizeID = LZ4F_max1MB
        preferences.frameInfo.blockMode = LZ4F_blockIndependent
        preferences.frameInfo.contentSize = UInt64(count)
        return preferences
    }

    /// Room that the frame of `count` bytes may take.
    static func bound(_ count: Int) -> Int {
        var preferences = preferences(count)
        return LZ4F_compressFrameBound(count, &preferences)
    }

    /// - Parameter capacity: at least `bound(bytes.count)`.
    /// - Returns: the frame's length.
    static func compress(_ bytes: UnsafeRawBufferPointer, into out: UnsafeMutableRawPointer, capacity: Int) throws -> Int {
        var preferences = preferences(bytes.count)
        let length = LZ4F_compressFrame(out, capacity, bytes.baseAddress, bytes.count, &preferences)
        guard LZ4F_isError(length) == 0 else {
            throw StreamError(.runtime, "cannot compress \(bytes.count) bytes of state: \(String(cString: LZ4F_getErrorName(length)))")
        }
        return length
    }

    /// Fills `out`, whose capacity is the length before compression.
    static func decompress(_ frame: UnsafeRawBufferPointer, into out: Buffer) throws {
        var context: OpaquePointer?
        guard LZ4F_isError(LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))) == 0, let context else {
            throw StreamError(.runtime, "no memory to decompress \(out.capacity) bytes of state")
        }
        defer { LZ4F_freeDecompressionContext(context) }
        var (read, written) = (0, 0)
        while true {
            var (source, target) = (frame.count - read, out.capacity - written)
            let hint = LZ4F_decompress(context, out.base + written, &target, frame.baseAddress.map { $0 + read }, &source, nil)
            guard LZ4F_isError(hint) == 0 else {
                throw Malformed("its LZ4 frame is damaged (\(String(cString: LZ4F_getErrorName(hint))))")
            }
            read += source
            written += target
            if hint == 0 { break }
            guard source > 0 || target > 0 else { throw Malformed("its LZ4 frame does not hold \(out.capacity) bytes") }
        }
        guard written == out.capacity, read == frame.count else {
            throw Malformed("its LZ4 frame holds \(written) bytes, not \(out.capacity)")
        }
    }
}
