import StreamCore

/// Memory that grows at its end and is used again for the next piece. One owner, one thread.
final class GrowingBuffer {
    private var buffer: Buffer
    private(set) var count = 0

    init(capacity: Int = 1 << 20) { buffer = Buffer(capacity: capacity) }

    var base: UnsafeMutableRawPointer { buffer.base }
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: buffer.base, count: count) }

    func removeAll() { count = 0 }

    /// Makes sure that `more` bytes behind the end can be had without moving what is there.
    func reserve(_ more: Int) {
        guard count + more > buffer.capacity else { return }
        let bigger = Buffer(capacity: max(count + more, buffer.capacity * 2))
        bigger.base.copyMemory(from: buffer.base, byteCount: count)
        buffer = bigger
    }

    /// `bytes` more with undefined contents. The pointer holds until the next growth.
    func grow(_ bytes: Int) -> UnsafeMutableRawPointer {
        reserve(bytes)
        defer { count += bytes }
        return buffer.base + count
    }

    /// Takes back `bytes` at the end.
    func shrink(_ bytes: Int) { count -= bytes }

    func append(_ bytes: UnsafeRawBufferPointer) {
        guard let from = bytes.baseAddress, bytes.count > 0 else { return }
        grow(bytes.count).copyMemory(from: from, byteCount: bytes.count)
    }

    /// Zeros up to a multiple of a column buffer's alignment.
    func align() {
        let gap = -count & (Buffer.alignment - 1)
        if gap > 0 { grow(gap).initializeMemory(as: UInt8.self, repeating: 0, count: gap) }
    }
}
