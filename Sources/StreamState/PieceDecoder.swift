import StreamCore

/// Bytes of ``PieceFormat`` -> a batch whose columns share their memory.
struct PieceDecoder {
    private let owner: Buffer
    private let base: UnsafeMutableRawPointer
    private let headOffset: Int
    private var next = PieceFormat.preambleBytes
    private var head: ByteReader

    /// - Parameter owner: is kept alive by the columns. The piece begins at `offset`, a multiple of 64, and has `length` bytes.
    static func decode(_ owner: Buffer, offset: Int = 0, length: Int) throws -> (batch: Batch, columns: [String]) {
        var decoder = try PieceDecoder(owner, offset: offset, length: length)
        return try decoder.decode()
    }

    private init(_ owner: Buffer, offset: Int, length: Int) throws {
        guard offset >= 0, length >= PieceFormat.preambleBytes, offset + length <= owner.capacity else {
            throw Malformed("a batch in it is cut off")
        }
        self.owner = owner
        base = owner.base + offset
        let preamble = UnsafeRawPointer(base)
        guard UInt32(littleEndian: preamble.load(as: UInt32.self)) == PieceFormat.magic else {
            throw Malformed("a batch in it does not begin as one")
        }
        let version = UInt16(littleEndian: preamble.load(fromByteOffset: 4, as: UInt16.self))
        guard version == PieceFormat.version else {
            throw Malformed("a batch in it has format \(version); this swiftwater reads format \(PieceFormat.version)")
        }
        let at = UInt64(littleEndian: preamble.load(fromByteOffset: 8, as: UInt64.self))
        let size = UInt64(littleEndian: preamble.load(fromByteOffset: 16, as: UInt64.self))
        guard at <= UInt64(length), size == UInt64(length) - at else { throw Malformed("the head of a batch in it is misplaced") }
        headOffset = Int(at)
        head = ByteReader(UnsafeRawBufferPointer(start: base + headOffset, count: Int(size)))
    }

    private mutating func decode() throws -> (batch: Batch, columns: [String]) {
        let rows = try head.varint()
        guard rows >= 0, rows <= Int(Int32.max) else { throw Malformed("a batch in it has \(rows) rows") }
        let names = try (0..<head.count()).map { _ in try head.string() }
        var kinds: Buffer?
        if try head.byte() != 0 {
            let buffer = try take(rows)
            let bytes = buffer.pointer(as: UInt8.self)
            var all: UInt8 = 0
            for i in 0..<rows { all |= bytes[i] }
            guard all <= 3 else { throw Malformed("a batch in it has unknown row kinds") }
            kinds = buffer
        }
        let columns = try (0..<head.count()).map { _ in try column(head.type(), rows) }
        guard head.isAtEnd else { throw Malformed("the head of a batch in it is too long") }
        return (Batch(columns: columns, physicalCount: rows, rowKinds: kinds), names)
    }

    /// The next buffer, in place.
    private mutating func take(_ bytes: Int) throws -> Buffer {
        let at = (next + Buffer.alignment - 1) & ~(Buffer.alignment - 1)
        if bytes == 0 { return .empty }
        guard bytes > 0, bytes <= headOffset - at else { throw Malformed("a column in it is cut off") }
        next = at + bytes
        let owner = owner
        return Buffer(foreign: base + at, capacity: bytes) { _ = owner }
    }

    private mutating func column(_ type: DataType, _ rows: Int) throws -> Column {
        let flags = try head.byte()
        let validity = flags & PieceFormat.hasValidity != 0 ? try take(Bitmap.byteCount(rows)) : nil
        switch type {
        case .null: return .nulls(type: .null, count: rows)
        case .array(let element):
            let (offsets, inner) = try offsets(rows)
            return Column(type: type, count: rows, validity: validity, values: offsets, children: [try column(element, inner)])
        case .map(let key, let value):
            let (offsets, inner) = try offsets(rows)
            return Column(type: type, count: rows, validity: validity, values: offsets,
                          children: [try column(key, inner), try column(value, inner)])
        case .row(let fields):
            return Column(type: type, count: rows, validity: validity, values: .empty,
                          children: try fields.map { try column($0.type, rows) })
        case .char, .varchar, .binary, .varbinary, .variant:
            let views = try take(rows * 16)
            let heaps = try (0..<head.count()).map { _ in try take(head.varint()) }
            try check(views.pointer(as: StringView.self), rows, heaps.map { Int32(clamping: $0.capacity) })
            return Column(type: type, count: rows, validity: validity, values: views, heaps: heaps)
        default: return Column(type: type, count: rows, validity: validity, values: try take(rows * type.width))
        }
    }

    private mutating func offsets(_ rows: Int) throws -> (Buffer, rows: Int) {
        let inner = try head.varint()
        let buffer = try take((rows + 1) * 4)
        let offsets = buffer.pointer(as: Int32.self)
        var ordered = offsets[0] == 0
        for i in 0..<rows where offsets[i] > offsets[i + 1] { ordered = false }
        guard ordered, Int(offsets[rows]) == inner else { throw Malformed("a list or map in it has wrong offsets") }
        return (buffer, inner)
    }

    private func check(_ views: UnsafePointer<StringView>, _ rows: Int, _ heaps: [Int32]) throws {
        for i in 0..<rows where views[i].length > 12 || views[i].length < 0 {
            let view = views[i]
            guard view.length > 12, view.heapIndex >= 0, Int(view.heapIndex) < heaps.count, view.offset >= 0,
                  view.offset <= heaps[Int(view.heapIndex)] - view.length
            else { throw Malformed("a text or binary value in it points outside of its memory") }
        }
    }
}
