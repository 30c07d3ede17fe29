import StreamCore

/// Collects the text or binary results of a kernel: one value at a time, for any row, without an allocation per value.
///
/// A value is put together with the `append` functions; the loop that drives the kernel (``RowSet/text(_:_:)``) stores it.
public struct TextSink: ~Copyable {
    private let views: Buffer
    private var nulls: NullMask
    private var heaps: [Buffer] = []
    // The current chunk: where it starts, how much of it is taken by finished values, how far the open value reaches.
    private var chunk: UnsafeMutableRawPointer
    private var chunkCapacity = 0
    private var start = 0, end = 0
    private var isNull = false

    /// Room for `count` rows; rows that are never stored are empty strings.
    init(count: Int, validity: Buffer?) {
        views = Buffer(zeroed: count * 16)
        nulls = NullMask(validity: validity, count: count)
        chunk = Buffer.empty.base
    }

    /// Bytes of the value being put together.
    public var length: Int { end - start }

    /// The bytes put together so far; valid until the next `append`.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: chunk + start, count: end - start) }

    @inline(__always)
    private mutating func reserve(_ n: Int) {
        if end + n > chunkCapacity { grow(n) }
    }

    /// Opens a new chunk that has room for the open value and `n` bytes more.
    @inline(never)
    private mutating func grow(_ n: Int) {
        let open = end - start
        let next = Buffer(capacity: max(open * 2 + n, 4_096 << min(heaps.count, 8)))
        if open > 0 { next.base.copyMemory(from: chunk + start, byteCount: open) }
        // A chunk in which no value has been stored has no reader.
        if start == 0, !heaps.isEmpty { heaps[heaps.count - 1] = next } else { heaps.append(next) }
        chunk = next.base
        chunkCapacity = next.capacity
        start = 0
        end = open
    }

    @inline(__always)
    public mutating func append(_ byte: UInt8) {
        reserve(1)
        chunk.storeBytes(of: byte, toByteOffset: end, as: UInt8.self)
        end += 1
    }

    @inline(__always)
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        (chunk + end).copyMemory(from: source, byteCount: bytes.count)
        end += bytes.count
    }

    public mutating func append(_ bytes: UnsafeRawBufferPointer, times: Int) {
        guard times > 0 else { return }
        for _ in 0..<times { append(bytes) }
    }

    public mutating func append(_ text: StaticString) {
        append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    public mutating func append(string: String) {
        var copy = string
        copy.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends a Unicode scalar as UTF-8.
    public mutating func append(scalar: Unicode.Scalar) {
        for byte in UTF8.encode(scalar)! { append(byte) }
    }

    /// Takes back the bytes after the first `length`.
    public mutating func truncate(to length: Int) { end = min(end, start + length) }

    /// Makes the value being put together null.
    public mutating func setNull() { isNull = true }

    /// Room for at least `n` bytes, to be written directly; follow with ``advance(_:)``.
    public mutating func spare(_ n: Int) -> UnsafeMutableRawPointer {
        reserve(n)
        return chunk + end
    }

    /// Takes the first `n` bytes of what ``spare(_:)`` gave.
    public mutating func advance(_ n: Int) { end += n }

    @inline(__always)
    mutating func store(_ row: Int) {
        if isNull {
            isNull = false
            nulls.setNull(row)
            end = start
            return
        }
        let n = end - start
        views.pointer(as: StringView.self)[row] = StringView.make(chunk + start, n, heapIndex: heaps.count - 1, offset: start)
        if n <= StringView.inlineLength { end = start } else { start = end }
    }

    consuming func finish(_ type: DataType, count: Int) -> Column {
        Column(type: type, count: count, validity: nulls.buffer, values: views, heaps: heaps)
    }
}

/// The validity of a result: its arguments' validity, with further nulls as a kernel finds them.
struct NullMask {
    private(set) var buffer: Buffer?
    private var owned = false
    private let count: Int

    init(validity: Buffer?, count: Int) {
        buffer = validity
        self.count = count
    }

    @inline(never)
    private mutating func own() {
        let copy = Bitmap.make(count, valid: true)
        if let buffer { copy.base.copyMemory(from: buffer.base, byteCount: Bitmap.byteCount(count)) }
        buffer = copy
        owned = true
    }

    @inline(__always)
    mutating func setNull(_ row: Int) {
        if !owned { own() }
        Bitmap.clear(buffer!.base, row)
    }
}
