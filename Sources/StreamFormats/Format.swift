import StreamCore

/// Turns bytes into columns. One split's reader owns it and calls it from one thread at a time.
///
/// The batches hold only the projected columns, in the order of the projection. Long strings may point into the chunk, which
/// therefore must not change while a batch lives; every chunk is a ``Buffer`` with its padding.
public protocol RecordDecoder: AnyObject {
    /// Decodes delimited records from `range` of `chunk`, at most about `maxRows` rows.
    ///
    /// - Parameter isLast: no more bytes follow, so that a last record without its delimiter counts.
    /// - Returns: the rows (nil when there were none) and how many bytes of `range` were used up. Zero bytes used and no
    ///   rows means that the range holds no whole record: give more bytes.
    /// - Throws: a `.runtime` ``StreamError`` for a record that cannot be decoded, unless such records are skipped.
    func decode(chunk: Buffer, range: Range<Int>, isLast: Bool, maxRows: Int) throws -> (batch: Batch?, consumed: Int)

    /// Decodes messages, each a byte range of `chunk`. A message may give no row, or several.
    ///
    /// - Returns: the rows, and for each the index of its message.
    func decode(records: [Range<Int>], in chunk: Buffer) throws -> (batch: Batch, recordOfRow: [Int32])

    /// The next byte is the first of a file: a header line may follow.
    ///
    /// - Parameter name: the file's name, without its folder.
    func startFile(_ name: String)

    /// Reading goes on within a file. `head` gives the file's first bytes, as many as its argument says, for what a header line tells.
    func resumeFile(_ name: String, head: (Int) throws -> Buffer) throws

    /// When set, a record that cannot be decoded is given to it and skipped, whatever the format's options say.
    var onBadRecord: ((BadRecord) throws -> Void)? { get set }
}

extension RecordDecoder {
    public func startFile(_ name: String) {}
    public func resumeFile(_ name: String, head: (Int) throws -> Buffer) throws {}
}

/// A record that could not be decoded.
public struct BadRecord: Sendable {
    public var bytes: [UInt8]
    /// Offset in the chunk, or of the message's first byte in it.
    public var offset: Int
    public var reason: String
    /// Index of the message, where messages are decoded; nil = the one at `offset`.
    public var record: Int?
    /// How many rows the same call of the decoder gave before it; nil = not known.
    public var row: Int?

    public init(bytes: [UInt8], offset: Int, reason: String, record: Int? = nil, row: Int? = nil) {
        self.bytes = bytes
        self.offset = offset
        self.reason = reason
        self.record = record
        self.row = row
    }
}

/// Turns rows into bytes. One writer owns it.
public protocol RecordEncoder: AnyObject {
    /// What comes before the first record of a file (a CSV header line); nothing for most formats.
    func startFile(into out: inout EncodedBytes)

    /// Appends the selected rows, each ended by a newline (by nothing in a format without delimiters).
    ///
    /// Formats of changelogs write row kinds; with others a sink that is given updates deals with them itself.
    ///
    /// - Throws: `.runtime` for a value that the format cannot hold.
    func encode(_ batch: Batch, into out: inout EncodedBytes) throws

    /// Appends the selected rows without delimiters and, per row, where it ends in `out`.
    func encode(_ batch: Batch, into out: inout EncodedBytes, ends: inout [Int]) throws
}

extension RecordEncoder {
    public func startFile(into out: inout EncodedBytes) {}
}

/// A growable run of bytes that formats write to.
public struct EncodedBytes: ~Copyable {
    private var base: UnsafeMutablePointer<UInt8>
    public private(set) var capacity: Int
    public private(set) var count = 0

    public init(capacity: Int = 4_096) {
        self.capacity = max(capacity, 64)
        base = .allocate(capacity: self.capacity)
    }

    deinit { base.deallocate() }

    /// Valid until the next change.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    public mutating func removeAll() { count = 0 }

    /// Drops the last `n` bytes.
    public mutating func removeLast(_ n: Int) {
        precondition(n <= count)
        count -= n
    }

    /// Drops the first `n` bytes and moves the rest to the front.
    public mutating func removeFirst(_ n: Int) {
        precondition(n <= count)
        base.update(from: base + n, count: count - n)
        count -= n
    }

    /// Room for `n` more bytes behind `count`; `advance` then says how many were written.
    @inline(__always)
    public mutating func reserve(_ n: Int) -> UnsafeMutablePointer<UInt8> {
        if count + n > capacity { grow(count + n) }
        return base + count
    }

    @inline(__always)
    public mutating func advance(_ n: Int) { count += n }

    @inline(never)
    private mutating func grow(_ wanted: Int) {
        capacity = max(wanted, capacity * 2)
        let bigger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        bigger.update(from: base, count: count)
        base.deallocate()
        base = bigger
    }

    @inline(__always)
    public mutating func append(_ byte: UInt8) {
        reserve(1)[0] = byte
        count += 1
    }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        UnsafeMutableRawPointer(reserve(bytes.count)).copyMemory(from: start, byteCount: bytes.count)
        count += bytes.count
    }

    public mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append($0) } }

    public mutating func append(_ text: String) {
        var copy = text
        copy.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }
}
