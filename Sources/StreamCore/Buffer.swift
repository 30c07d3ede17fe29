/// A block of raw memory, 64-byte aligned and with 64 readable bytes of padding behind its capacity.
///
/// It is written by one owner while it is built and never again once a ``Column`` holds it; that is what makes
/// sharing it between threads safe.
public final class Buffer: @unchecked Sendable {  // SAFETY: immutable after it is handed to a Column
    public let base: UnsafeMutableRawPointer
    /// Usable bytes.
    public let capacity: Int
    private let release: (@Sendable () -> Void)?

    public static let alignment = 64
    public static let padding = 64

    /// Memory whose contents are undefined, apart from the padding, which is zero.
    public init(capacity: Int) {
        precondition(capacity >= 0, "buffer capacity \(capacity) is negative")
        base = BufferPool.take(capacity + Self.padding)
        (base + capacity).initializeMemory(as: UInt8.self, repeating: 0, count: Self.padding)
        self.capacity = capacity
        release = nil
    }

    public convenience init(zeroed capacity: Int) {
        self.init(capacity: capacity)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: capacity)
    }

    public convenience init(copying bytes: UnsafeRawBufferPointer) {
        self.init(capacity: bytes.count)
        if let source = bytes.baseAddress { base.copyMemory(from: source, byteCount: bytes.count) }
    }

    /// Memory that someone else owns; `release` is called when the last user lets go. It may lack the padding.
    public init(foreign base: UnsafeMutableRawPointer, capacity: Int, release: @escaping @Sendable () -> Void) {
        self.base = base
        self.capacity = capacity
        self.release = release
    }

    deinit {
        if let release { release() } else { BufferPool.give(base, capacity + Self.padding) }
    }

    @inlinable
    public func pointer<T: BitwiseCopyable>(as type: T.Type) -> UnsafeMutablePointer<T> {
        base.assumingMemoryBound(to: type)
    }

    public static let empty = Buffer(capacity: 0)
}

/// Arrow validity bitmaps: bit i of byte i / 8, least significant first, 1 = valid.
public enum Bitmap {
    @inlinable public static func byteCount(_ bits: Int) -> Int { (bits + 7) >> 3 }

    @inlinable public static func get(_ bits: UnsafeRawPointer, _ i: Int) -> Bool {
        bits.load(fromByteOffset: i >> 3, as: UInt8.self) & (1 << UInt8(truncatingIfNeeded: i & 7)) != 0
    }

    @inlinable public static func set(_ bits: UnsafeMutableRawPointer, _ i: Int) {
        let p = bits.assumingMemoryBound(to: UInt8.self)
        p[i >> 3] |= 1 << UInt8(truncatingIfNeeded: i & 7)
    }

    @inlinable public static func clear(_ bits: UnsafeMutableRawPointer, _ i: Int) {
        let p = bits.assumingMemoryBound(to: UInt8.self)
        p[i >> 3] &= ~(1 << UInt8(truncatingIfNeeded: i & 7))
    }

    /// A bitmap for `count` rows, all valid, or all null. Whole 8-byte words are readable and writable.
    public static func make(_ count: Int, valid: Bool) -> Buffer {
        let buffer = Buffer(capacity: (count + 63) / 64 * 8)
        buffer.base.initializeMemory(as: UInt8.self, repeating: valid ? 0xFF : 0, count: buffer.capacity)
        return buffer
    }

    /// Valid where both are; nil stands for "all valid".
    public static func and(_ a: Buffer?, _ b: Buffer?, count: Int) -> Buffer? {
        guard let a else { return b }
        guard let b, a !== b else { return a }
        let out = Buffer(capacity: (count + 63) / 64 * 8)
        let (x, y, z) = (a.pointer(as: UInt8.self), b.pointer(as: UInt8.self), out.pointer(as: UInt8.self))
        for i in 0..<byteCount(count) { z[i] = x[i] & y[i] }
        return out
    }

    public static func countSet(_ bits: UnsafeRawPointer, count: Int) -> Int {
        let bytes = bits.assumingMemoryBound(to: UInt8.self)
        var total = 0
        for i in 0..<(count >> 3) { total += bytes[i].nonzeroBitCount }
        if count & 7 != 0 { total += (bytes[count >> 3] & ((1 << UInt8(count & 7)) - 1)).nonzeroBitCount }
        return total
    }
}
