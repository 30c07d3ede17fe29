import StreamCore

/// The first 24 bytes of a row's sort key, as ``SortKeys`` lays it out, as three numbers that compare like it.
struct SortWord: BitwiseCopyable {
    var a: UInt64 = 0, b: UInt64 = 0, c: UInt64 = 0

    @inline(__always) func precedes(_ other: SortWord) -> Bool {
        if a != other.a { return a < other.a }
        if b != other.b { return b < other.b }
        return c < other.c
    }

    @inline(__always) func isEqual(_ other: SortWord) -> Bool { a == other.a && b == other.b && c == other.c }
}

/// Makes sort words of batches and compares rows whose words are equal by the rest of their keys.
///
/// Keys of fixed-width columns that come to 24 bytes at most, a null byte and the value each, are decided by their words alone.
struct SortWords {
    let keys: [SortSpec.Key]
    let isExact: Bool
    private let schema: Schema

    init(_ keys: [SortSpec.Key], _ schema: Schema) {
        self.keys = keys
        self.schema = schema
        var bytes = 0
        for key in keys {
            let type = schema[key.column].type
            bytes += type.physical == .view ? 100 : 1 + type.width
        }
        isExact = bytes <= 24
    }

    /// out[i] = word of row `rows[i]` (i without `rows`). Gives the rest of each key when words alone do not decide.
    func make(_ columns: [Column], rows: UnsafePointer<Int32>?, count n: Int, into out: UnsafeMutablePointer<SortWord>) -> [[UInt8]] {
        guard n > 0 else { return [] }
        guard isExact else { return makeLong(columns, rows, n, out) }
        out.update(repeating: SortWord(), count: n)
        var offset = 0
        for key in keys {
            let column = columns[key.column].flat()
            withExtendedLifetime(column) { write(column, key, offset, rows, n, out) }
            offset += 1 + column.type.width
        }
        for i in 0..<n { out[i] = SortWord(a: out[i].a.bigEndian, b: out[i].b.bigEndian, c: out[i].c.bigEndian) }
        return []
    }

    private func makeLong(_ columns: [Column], _ rows: UnsafePointer<Int32>?, _ n: Int, _ out: UnsafeMutablePointer<SortWord>) -> [[UInt8]] {
        var taken = columns
        for key in keys { taken[key.column] = columns[key.column].taking(rows, count: n) }
        let long = SortKeys(taken, keys: keys, count: n)
        return (0..<n).map { i in
            let bytes = long.bytes(of: i)
            var word = SortWord()
            withUnsafeMutableBytes(of: &word) { $0.copyBytes(from: bytes.prefix(24)) }
            out[i] = SortWord(a: word.a.bigEndian, b: word.b.bigEndian, c: word.c.bigEndian)
            return Array(bytes.dropFirst(24))
        }
    }

    private func write(_ column: Column, _ key: SortSpec.Key, _ offset: Int, _ rows: UnsafePointer<Int32>?, _ n: Int,
                       _ out: UnsafeMutablePointer<SortWord>) {
        let base = UnsafeMutableRawPointer(out) + offset
        let stride = MemoryLayout<SortWord>.stride
        let null: UInt8 = key.nullsFirst ? 0 : 2
        let descending = key.descending
        @inline(__always) func each<T: BitwiseCopyable, W: FixedWidthInteger & BitwiseCopyable>(_: T.Type, _ word: (T) -> W) {
            let values = column.pointer(as: T.self), bits = column.validity?.base
            forEachRow(rows, n) { i, row in
                let to = base + i * stride
                if let bits, !Bitmap.get(bits, row) {
                    to.storeBytes(of: null, as: UInt8.self)
                } else {
                    to.storeBytes(of: 1, as: UInt8.self)
                    let value = word(values[row])
                    (to + 1).storeBytes(of: (descending ? ~value : value).bigEndian, as: W.self)
                }
            }
        }
        switch column.type.physical {
        case .bool: each(UInt8.self) { $0 }
        case .int8: each(UInt8.self) { $0 ^ 0x80 }
        case .int16: each(UInt16.self) { $0 ^ 1 << 15 }
        case .int32: each(UInt32.self) { $0 ^ 1 << 31 }
        case .int64: each(UInt64.self) { $0 ^ 1 << 63 }
        case .int128: each(UInt128.self) { $0 ^ 1 << 127 }
        case .float: each(UInt32.self) { $0 >> 31 == 1 ? ~$0 : $0 | 1 << 31 }
        case .double: each(UInt64.self) { $0 >> 63 == 1 ? ~$0 : $0 | 1 << 63 }
        case .view, .list, .map, .row, .null: break
        }
    }
}

/// Sort keys of the rows of a ``RowArena``, by row number.
final class RowSortKeys {
    let words: SortWords
    private let first = GroupArray<SortWord>(fill: SortWord())
    private var rest: [[UInt8]] = []

    init(_ words: SortWords) { self.words = words }

    func set(_ ids: UnsafePointer<Int32>, _ made: UnsafePointer<SortWord>, _ tails: [[UInt8]], at positions: UnsafePointer<Int32>?, count n: Int,
             capacity: Int) {
        first.reserve(capacity)
        let to = first.base
        forEachRow(positions, n) { i, position in to[Int(ids[i])] = made[position] }
        guard !words.isExact else { return }
        if rest.count < capacity { rest += Array(repeating: [], count: max(capacity, 2 * rest.count) - rest.count) }
        forEachRow(positions, n) { i, position in rest[Int(ids[i])] = tails[position] }
    }

    @inline(__always) func word(_ row: Int32) -> SortWord { first.base[Int(row)] }

    /// Whether row `a` comes before row `b`.
    @inline(__always) func precedes(_ a: Int32, _ b: Int32) -> Bool {
        let (x, y) = (word(a), word(b))
        if words.isExact { return x.precedes(y) }
        return x.isEqual(y) ? rest[Int(a)].lexicographicallyPrecedes(rest[Int(b)]) : x.precedes(y)
    }

    /// Whether a row not in the arena comes before row `b`.
    @inline(__always) func precedes(_ word: SortWord, _ tail: () -> [UInt8], _ b: Int32) -> Bool {
        let y = self.word(b)
        if words.isExact { return word.precedes(y) }
        return word.isEqual(y) ? tail().lexicographicallyPrecedes(rest[Int(b)]) : word.precedes(y)
    }

    /// Whether row `b` comes before a row not in the arena.
    @inline(__always) func precedes(_ b: Int32, _ word: SortWord, _ tail: () -> [UInt8]) -> Bool {
        let y = self.word(b)
        if words.isExact { return y.precedes(word) }
        return word.isEqual(y) ? rest[Int(b)].lexicographicallyPrecedes(tail()) : y.precedes(word)
    }

    /// The first of `n` ordered rows that does not come before `row`.
    func lowerBound(_ list: UnsafePointer<Int32>, _ n: Int, _ row: Int32) -> Int {
        var (low, high) = (0, n)
        while low < high {
            let middle = (low + high) >> 1
            if precedes(list[middle], row) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The first of `n` ordered rows that comes after `row`.
    func upperBound(_ list: UnsafePointer<Int32>, _ n: Int, _ row: Int32) -> Int {
        var (low, high) = (0, n)
        while low < high {
            let middle = (low + high) >> 1
            if precedes(row, list[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
