import StreamCore

/// The columnar form of a batch of state, before compression:
///
///     0    "SWPC"                      magic
///     4    version             UInt16
///     6    0                   UInt16
///     8    offset of the head  UInt64
///     16   length of the head  UInt64
///     64   buffers, each at a multiple of 64
///          head
///
/// The head holds rows, names, whether row kinds are there, and per column its type and its tree of nodes in the order of
/// their buffers: flags (1 = validity); for text and binary the lengths of heaps; for lists and maps the rows of their
/// children. Buffers are those of ``Column``, so that decoding points into the bytes and copies nothing.
enum PieceFormat {
    static let magic: UInt32 = 0x4350_5753
    static let version: UInt16 = 1
    static let preambleBytes = 64
    static let hasValidity: UInt8 = 1
}

/// Batch -> bytes. Holds scratch memory: use one for many batches.
final class PieceEncoder {
    private let out: GrowingBuffer
    private var head = ByteWriter()
    private var seen = ViewCache()

    /// - Parameter out: what pieces are appended to, at multiples of 64.
    init(_ out: GrowingBuffer) { self.out = out }

    /// Appends the selected rows.
    /// - Throws: `.runtime` when a column is not what its type says.
    func encode(_ batch: Batch, columns names: [String]) throws {
        out.align()
        let start = out.count
        _ = out.grow(PieceFormat.preambleBytes)
        let (batch, rows) = Self.plain(batch)
        head = ByteWriter()
        head.varint(rows.count)
        head.varint(names.count)
        for name in names { head.string(name) }
        head.byte(batch.rowKinds == nil ? 0 : 1)
        if let kinds = batch.rowKinds { append(kinds.base + rows.lowerBound, rows.count) }
        head.varint(batch.columns.count)
        for column in batch.columns {
            head.type(column.type)
            try encode(column, as: column.type, rows)
        }
        out.align()
        let headOffset = out.count - start
        head.bytes.withUnsafeBytes { out.append($0) }

        let preamble = out.base + start
        preamble.initializeMemory(as: UInt8.self, repeating: 0, count: PieceFormat.preambleBytes)
        preamble.storeBytes(of: PieceFormat.magic.littleEndian, as: UInt32.self)
        preamble.storeBytes(of: PieceFormat.version.littleEndian, toByteOffset: 4, as: UInt16.self)
        preamble.storeBytes(of: UInt64(headOffset).littleEndian, toByteOffset: 8, as: UInt64.self)
        preamble.storeBytes(of: UInt64(head.bytes.count).littleEndian, toByteOffset: 16, as: UInt64.self)
    }

    /// A batch whose rows in the range are the selected ones. A selection of neighbours is taken as it is, others are gathered.
    private static func plain(_ batch: Batch) -> (Batch, Range<Int>) {
        guard let selection = batch.selection else { return (batch, 0..<batch.physicalCount) }
        let (n, rows) = (selection.count, selection.rows)
        if n > 0, batch.columns.allSatisfy({ $0.dictionary == nil }) {
            let first = rows[0]
            var i = 1
            while i < n, rows[i] == first &+ Int32(truncatingIfNeeded: i) { i += 1 }
            if i == n { return (batch, Int(first)..<Int(first) + n) }
        }
        return (batch.compacted(), 0..<n)
    }

    private func append(_ from: UnsafeRawPointer, _ bytes: Int) {
        out.align()
        out.append(UnsafeRawBufferPointer(start: from, count: bytes))
    }

    private func encode(_ column: Column, as type: DataType, _ rows: Range<Int>) throws {
        let column = column.flat()
        guard column.type.physical == type.physical else {
            throw StreamError(.runtime, "a column of state is stored as \(column.type) where \(type) is declared")
        }
        guard rows.upperBound <= column.count else {
            throw StreamError(.runtime, "a \(type) column of state has \(column.count) rows where \(rows.upperBound) are needed")
        }
        head.byte(column.validity == nil ? 0 : PieceFormat.hasValidity)
        if let validity = column.validity { appendBits(validity.base, rows) }
        switch (type.physical, type) {
        case (.null, _): break
        case (.view, _): encodeViews(column, rows)
        case (.list, .array(let element)):
            try encode(column.children[0], as: element, encodeOffsets(column, rows))
        case (.map, .map(let key, let value)):
            let inner = encodeOffsets(column, rows)
            try encode(column.children[0], as: key, inner)
            try encode(column.children[1], as: value, inner)
        case (.row, .row(let fields)):
            guard column.children.count == fields.count else {
                throw StreamError(.runtime, "a \(type) column of state has \(column.children.count) parts")
            }
            for (child, field) in zip(column.children, fields) { try encode(child, as: field.type, rows) }
        default: append(column.values.base + rows.lowerBound * type.width, rows.count * type.width)
        }
    }

    /// Bits of the rows from bit 0 on; unused ones are zero.
    private func appendBits(_ bits: UnsafeRawPointer, _ rows: Range<Int>) {
        let n = rows.count, length = Bitmap.byteCount(n)
        guard n > 0 else { return }
        out.align()
        let to = out.grow(length).assumingMemoryBound(to: UInt8.self)
        let from = bits.assumingMemoryBound(to: UInt8.self) + (rows.lowerBound >> 3)
        let shift = UInt8(rows.lowerBound & 7)
        if shift == 0 {
            to.update(from: from, count: length)
        } else {
            let last = (rows.upperBound - 1) >> 3 - rows.lowerBound >> 3
            for i in 0..<length { to[i] = from[i] >> shift | (i < last ? from[i + 1] << (8 - shift) : 0) }
        }
        if n & 7 != 0 { to[length - 1] &= 1 << UInt8(n & 7) - 1 }
    }

    /// Offsets that begin at 0.
    /// - Returns: rows of the children.
    private func encodeOffsets(_ column: Column, _ rows: Range<Int>) -> Range<Int> {
        let from = column.codes + rows.lowerBound
        let (first, last) = (from[0], from[rows.count])
        head.varint(Int(last - first))
        out.align()
        let to = out.grow((rows.count + 1) * 4).assumingMemoryBound(to: Int32.self)
        if first == 0 { to.update(from: from, count: rows.count + 1) } else { for i in 0...rows.count { to[i] = from[i] &- first } }
        return Int(first)..<Int(last)
    }

    /// Views and only those bytes of the heaps that they point to.
    private func encodeViews(_ column: Column, _ rows: Range<Int>) {
        let n = rows.count
        out.align()
        let viewsAt = out.count
        let to = out.grow(n * 16).assumingMemoryBound(to: StringView.self)
        let from = column.pointer(as: StringView.self) + rows.lowerBound
        to.update(from: from, count: n)
        if let validity = column.validity {
            // What a null's view holds is undefined: it must not point anywhere.
            for i in 0..<n where !Bitmap.get(validity.base, rows.lowerBound + i) { to[i] = .empty }
        }
        var long = 0
        for i in 0..<n where to[i].length > 12 { long += Int(to[i].length) }
        guard long > 0 else { return head.varint(0) }

        // Offsets are Int32: a heap ends before it has 2 GiB. Views that share their bytes, as flattened dictionaries have
        // them, mostly go on doing so.
        out.align()
        out.reserve(long + (long >> 30 + 2) * Buffer.alignment)
        let views = (out.base + viewsAt).assumingMemoryBound(to: StringView.self)
        let heaps = column.heaps.map(\.base)
        var lengths: [Int] = [], used = 0
        seen.removeAll()
        for i in 0..<n {
            let view = views[i], length = Int(view.length)
            if length <= 12 { continue }
            if let known = seen.find(view) {
                (views[i].heapIndex, views[i].offset) = known
                continue
            }
            if used + length > Int(Int32.max) {
                lengths.append(used)
                used = 0
                out.align()
            }
            out.grow(length).copyMemory(from: heaps[Int(view.heapIndex)] + Int(view.offset), byteCount: length)
            (views[i].heapIndex, views[i].offset) = (Int32(lengths.count), Int32(used))
            seen.put(view, views[i])
            used += length
        }
        lengths.append(used)
        head.varint(lengths.count)
        for length in lengths { head.varint(length) }
    }
}

/// Where some of the views seen last went to: direct-mapped by heap and offset.
private struct ViewCache {
    private static let slots = 256
    private let from: UnsafeMutablePointer<StringView>
    private let to: UnsafeMutablePointer<StringView>
    private let memory: Buffer

    init() {
        memory = Buffer(capacity: Self.slots * 32)
        from = memory.pointer(as: StringView.self)
        to = from + Self.slots
        removeAll()
    }

    func removeAll() { from.update(repeating: .empty, count: Self.slots) }

    private func slot(_ view: StringView) -> Int {
        let mixed = (UInt32(bitPattern: view.offset) ^ UInt32(bitPattern: view.heapIndex) &* 0x85EB_CA6B) &* 0x9E37_79B1
        return Int(mixed >> 24)
    }

    @inline(__always)
    func find(_ view: StringView) -> (Int32, Int32)? {
        let i = slot(view)
        guard from[i].offset == view.offset, from[i].heapIndex == view.heapIndex, from[i].length == view.length else { return nil }
        return (to[i].heapIndex, to[i].offset)
    }

    @inline(__always)
    func put(_ view: StringView, _ moved: StringView) {
        let i = slot(view)
        from[i] = view
        to[i] = moved
    }
}
