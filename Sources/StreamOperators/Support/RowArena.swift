import StreamCore

/// Rows of given types by number, as byte strings of ``RowCodec``. The number of a removed row is given again.
///
/// Bytes are only ever appended to blocks, so that a snapshot can go on reading what it froze; a block goes when its last row
/// does, and when most of all bytes belong to removed rows the others are moved together.
final class RowArena {
    let types: [DataType]
    private let codec: RowCodec
    private var views = GroupArray<StringView>(fill: .empty)
    private var blocks: [Buffer] = []
    /// Bytes of rows in each block that are not removed.
    private var liveBytes: [Int] = []
    /// Bytes of each block that were ever filled.
    private var filledBytes: [Int] = []
    private var used = 0
    private var free: [Int32] = []
    private var end = 0
    private var live = 0, total = 0
    /// The block that rows are appended to; -1 = none yet.
    private var open = -1
    private static let blockSize = 1 << 18

    init(types: [DataType]) {
        self.types = types
        codec = RowCodec(types)
    }

    /// Rows that are not removed.
    var count: Int { end - free.count }
    /// All numbers given so far are below.
    var capacity: Int { end }
    /// Bytes held, apart from 16 for each number.
    var bytes: Int { total }

    /// Adds rows `rows[i]` (i without `rows`) of plain columns; ids[i] becomes the number of each.
    func add(_ columns: [Column], rows: UnsafePointer<Int32>?, count n: Int, into ids: UnsafeMutablePointer<Int32>) {
        guard n > 0 else { return }
        let encoded = codec.encode(columns.map { $0.flat() }, rows: rows, count: n)
        views.reserve(end + n)
        let from = encoded.pointer(as: StringView.self)
        withExtendedLifetime(encoded) {
            for i in 0..<n {
                var id: Int32
                if let reused = free.popLast() {
                    id = reused
                } else {
                    id = Int32(truncatingIfNeeded: end)
                    end += 1
                }
                ids[i] = id
                views.base[Int(id)] = keep(from[i], encoded)
            }
        }
    }

    @inline(__always)
    private func keep(_ view: StringView, _ column: Column) -> StringView {
        let length = Int(view.length)
        guard length > 12 else { return view }
        if open < 0 || used + length > blocks[open].capacity {
            let closed = open
            blocks.append(Buffer(capacity: max(Self.blockSize, length)))
            liveBytes.append(0)
            filledBytes.append(0)
            open = blocks.count - 1
            used = 0
            if closed >= 0, liveBytes[closed] == 0 { drop(closed) }
        }
        let base = blocks[open].base + used
        base.copyMemory(from: column.heaps[Int(view.heapIndex)].base + Int(view.offset), byteCount: length)
        let made = StringView.make(UnsafeRawPointer(base), length, heapIndex: open, offset: used)
        used += length
        liveBytes[open] += length
        filledBytes[open] += length
        live += length
        total += length
        return made
    }

    func remove(_ ids: UnsafePointer<Int32>, count n: Int) {
        for i in 0..<n { remove(ids[i]) }
        if total > 1 << 22, live * 2 < total { moveTogether() }
    }

    private func remove(_ id: Int32) {
        let view = views.base[Int(id)]
        free.append(id)
        views.base[Int(id)] = .empty
        guard view.length > 12 else { return }
        let (block, length) = (Int(view.heapIndex), Int(view.length))
        live -= length
        liveBytes[block] -= length
        if liveBytes[block] == 0, block != open { drop(block) }
    }

    private func drop(_ block: Int) {
        total -= filledBytes[block]
        filledBytes[block] = 0
        blocks[block] = .empty
    }

    private func moveTogether() {
        let old = blocks
        (blocks, liveBytes, filledBytes) = ([], [], [])
        (open, used, live, total) = (-1, 0, 0, 0)
        let source = Column(type: .bytes, count: 0, values: .empty, heaps: old)
        for id in 0..<end where views.base[id].length > 12 { views.base[id] = keep(views.base[id], source) }
    }

    func removeAll() {
        views.clear(end)
        (blocks, liveBytes, filledBytes, free) = ([], [], [], [])
        (end, used, live, total, open) = (0, 0, 0, 0, -1)
    }

    /// Whether two rows are equal in all columns, nulls being equal to each other.
    func isEqual(_ a: Int32, _ b: Int32) -> Bool {
        let (x, y) = (views.base[Int(a)], views.base[Int(b)])
        guard x.length == y.length, x.prefix == y.prefix else { return false }
        return x.length <= 12
            ? unsafeBitCast(x, to: SIMD2<UInt64>.self) == unsafeBitCast(y, to: SIMD2<UInt64>.self)
            : (blocks[Int(x.heapIndex)].base + Int(x.offset)).isEqual(to: blocks[Int(y.heapIndex)].base + Int(y.offset), bytes: Int(x.length))
    }

    /// The columns of rows.
    func columns(_ ids: UnsafePointer<Int32>, count n: Int) -> [Column] { frozenNow.columns(ids, count: n) }

    func columns(_ ids: [Int32]) -> [Column] { ids.withUnsafeBufferPointer { $0.isEmpty ? empty : columns($0.baseAddress!, count: $0.count) } }

    private var empty: [Column] { types.map { ColumnBuilder(type: $0).finish() } }

    private var frozenNow: FrozenRows { FrozenRows(codec: codec, views: views.block, blocks: blocks) }

    /// The rows as they are now, for another thread; costs a copy of 16 bytes for each number.
    func frozen() -> FrozenRows { FrozenRows(codec: codec, views: views.frozen(0..<end), blocks: blocks) }
}

/// Rows of a ``RowArena`` at a barrier.
struct FrozenRows: Sendable {
    fileprivate let codec: RowCodec
    fileprivate let views: MemoryBlock
    fileprivate let blocks: [Buffer]

    func columns(_ ids: UnsafePointer<Int32>, count n: Int) -> [Column] {
        guard n > 0 else { return codec.types.map { ColumnBuilder(type: $0).finish() } }
        let picked = Buffer(capacity: n * 16)
        let (to, from) = (picked.pointer(as: StringView.self), views.base.assumingMemoryBound(to: StringView.self))
        for i in 0..<n { to[i] = from[Int(ids[i])] }
        return codec.decode(Column(type: .bytes, count: n, values: picked, heaps: blocks))
    }

    func columns(_ ids: [Int32]) -> [Column] { ids.withUnsafeBufferPointer { columns($0.baseAddress!, count: $0.count) } }
}
