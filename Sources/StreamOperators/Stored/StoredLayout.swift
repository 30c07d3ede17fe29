import StreamCore

/// How rows of an operator's state lie in a ``KeyedStore``.
///
///     in a piece    group aggregate  keys | accumulators
///                   window           keys | start of the slice | accumulators
///                   join             row | count
///     in the store  key    key group, 2 bytes | start of the slice, 8 bytes, or side, 1 byte | keys | row
///                   value  accumulators, or count
///
/// With a time to live the time of the last write is behind the accumulators or the count. The key group and the slice come
/// higher byte first, so that they are in order; keys and rows as ``RowCodec`` lays them out, where no encoding is the
/// beginning of another one. Several rows of state with the same key share an entry.
struct StoredLayout: Sendable {
    enum Part {
        case none, slice, side(UInt8)
        /// One of several kinds of state by key.
        case kind(UInt8)
    }

    /// Of the pieces.
    let name: String
    let part: Part
    /// All columns of a piece, without the time of the last write.
    let columns: StateColumns
    /// How many of them tell an entry from all others.
    let identityCount: Int
    /// Which of those are the key.
    let keys: [Int]
    let isTimed: Bool
    let values: StoredValueCodec
    let maxParallelism: Int
    private let keyCodec: RowCodec
    /// Of the whole identity, where it is more than keys and slice.
    private let rowCodec: RowCodec?

    init(name: String, part: Part = .none, columns: StateColumns, identityCount: Int, keys: [Int], isTimed: Bool, hasNulls: Bool,
         maxParallelism: Int) {
        (self.name, self.part, self.columns, self.identityCount, self.keys) = (name, part, columns, identityCount, keys)
        (self.isTimed, self.maxParallelism) = (isTimed, maxParallelism)
        let types = columns.types
        keyCodec = RowCodec(keys.map { types[$0] })
        if case .side = part { rowCodec = RowCodec(Array(types[..<identityCount])) } else { rowCodec = nil }
        values = StoredValueCodec(types[identityCount...] + (isTimed ? StateColumns.lastWrite.types : []), hasNulls: hasNulls)
    }

    /// Bytes of a row of columns, without those of texts and nested values.
    static func width(_ types: [DataType]) -> Int { types.reduce(0) { $0 + $1.width } }

    var hasSlices: Bool { if case .slice = part { true } else { false } }

    var identityTypes: [DataType] { Array(columns.types[..<identityCount]) }

    /// Names of the columns that a piece has.
    var columnNames: [String] { columns.names + (isTimed ? StateColumns.lastWrite.names : []) }

    /// The identity and value columns of a piece.
    /// - Parameter now: state that was kept without a time to live begins to age now.
    /// - Throws: `.conflict` when they are not of this layout.
    func columns(of piece: KeyGroupState, operator name: String, now: Int64) throws -> (identity: [Column], values: [Column], count: Int) {
        var all = try columns.columns(of: piece, operator: name, extra: .lastWrite)
        let n = piece.batch.count
        if isTimed, all.count == columns.types.count { all.append(.make(.timestampLTZ(3), count: n, zero: Int64(0)) { _ in now }) }
        if !isTimed, all.count > columns.types.count { all.removeLast() }
        return (Array(all[..<identityCount]), Array(all[identityCount...]), n)
    }

    // MARK: Keys

    static func prefix(keyGroup: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: keyGroup >> 8), UInt8(truncatingIfNeeded: keyGroup)] }

    /// Start of the keys of a slice.
    static func prefix(keyGroup: Int, slice: Int64) -> [UInt8] {
        prefix(keyGroup: keyGroup) + withUnsafeBytes(of: ordered(slice).bigEndian) { Array($0) }
    }

    private static func ordered(_ slice: Int64) -> UInt64 { UInt64(bitPattern: slice) ^ 1 << 63 }

    static func slice(ofKey key: UnsafeRawBufferPointer) -> Int64 {
        Int64(bitPattern: UInt64(bigEndian: key.loadUnaligned(fromByteOffset: 2, as: UInt64.self)) ^ 1 << 63)
    }

    static func keyGroup(ofKey key: UnsafeRawBufferPointer) -> Int { Int(key[0]) << 8 | Int(key[1]) }

    private var headerSize: Int {
        switch part {
        case .none: 2
        case .slice: 10
        case .side, .kind: 3
        }
    }

    /// Appends the keys of n entries.
    func appendKeys(_ identity: [Column], count n: Int, to list: inout ByteList) {
        let identity = identity.map { $0.flat() }
        append(keys.map { identity[$0] }, slices: hasSlices ? identity[identityCount - 1] : nil, rowCodec?.encode(identity, rows: nil, count: n),
               count: n, to: &list)
    }

    /// Appends the beginnings that all keys of a join with these key columns have.
    func appendPrefixes(_ keys: [Column], count n: Int, to list: inout ByteList) {
        append(keys.map { $0.flat() }, slices: nil, nil, count: n, to: &list)
    }

    private func append(_ keys: [Column], slices: Column?, _ rows: Column?, count n: Int, to list: inout ByteList) {
        guard n > 0 else { return }
        let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: n)
        defer { hashes.deallocate() }
        KeyGroups.hash(keys, count: n, into: hashes)
        let encoded = keyCodec.encode(keys, rows: nil, count: n)
        let header = UnsafeMutableRawBufferPointer.allocate(byteCount: headerSize, alignment: 8)
        defer { header.deallocate() }
        switch part {
        case .side(let number), .kind(let number): header[2] = number
        case .none, .slice: break
        }
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        withExtendedLifetime(slices) {
            for i in 0..<n {
                let group = KeyGroups.group(ofHash: hashes[i], maxParallelism: maxParallelism)
                header[0] = UInt8(truncatingIfNeeded: group >> 8)
                header[1] = UInt8(truncatingIfNeeded: group)
                if let slices { header.storeBytes(of: Self.ordered(slices.pointer(as: Int64.self)[i]).bigEndian, toByteOffset: 2, as: UInt64.self) }
                list.append(UnsafeRawBufferPointer(header), encoded.bytes(at: i), rows?.bytes(at: i) ?? nothing)
            }
        }
    }

    /// Collects entries that were read from a store, and gives them back as columns of a piece.
    final class Reader {
        private let layout: StoredLayout
        /// The keys, or the rows of a join.
        private var encoded = ColumnBuilder(type: .bytes)
        private var slices: [Int64] = []
        private let values: StoredValueCodec.Reader
        private(set) var count = 0
        /// Bytes read.
        private(set) var bytes = 0

        init(_ layout: StoredLayout) {
            self.layout = layout
            values = StoredValueCodec.Reader(layout.values)
        }

        func append(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws {
            var body = UnsafeRawBufferPointer(rebasing: key[min(layout.headerSize, key.count)...])
            var isWhole = key.count >= layout.headerSize
            if isWhole, let rows = layout.rowCodec {
                let length = layout.keyCodec.encodedSize(body) ?? .max
                isWhole = length <= body.count
                if isWhole {
                    body = UnsafeRawBufferPointer(rebasing: body[length...])
                    isWhole = rows.encodedSize(body) == body.count
                }
            } else if isWhole {
                isWhole = layout.keyCodec.encodedSize(body) == body.count
            }
            guard isWhole else {
                throw StreamError(.corrupt, "a key of \(key.count) bytes in the store of '\(layout.name)' is damaged",
                                  fix: "go on from an older checkpoint or a savepoint")
            }
            encoded.append(bytes: body)
            if layout.hasSlices { slices.append(StoredLayout.slice(ofKey: key)) }
            try values.append(value, owner: Int32(truncatingIfNeeded: count))
            count += 1
            bytes += key.count + value.count
        }

        /// The columns of a piece; nil when nothing was read.
        func finish() -> (columns: [Column], count: Int)? {
            guard count > 0 else { return nil }
            var identity = (layout.rowCodec ?? layout.keyCodec).decode(encoded.finish())
            if layout.hasSlices { identity.append(slices.withUnsafeBufferPointer { .fixed(.timestamp(3), $0.baseAddress!, count: $0.count) }) }
            let (columns, owners) = values.finish()
            guard let columns else { return nil }
            if owners.count != count { identity = owners.withUnsafeBufferPointer { o in identity.map { $0.gather(o.baseAddress!, count: o.count) } } }
            return (identity + columns, owners.count)
        }
    }
}

extension RowCodec {
    /// Length of the encoding that `bytes` begin with; nil when they are too short for one.
    func encodedSize(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var (at, size) = ((types.count + 7) / 8, 0)
        for type in types {
            switch type.physical {
            case .view, .list, .map, .row:
                guard at + 4 <= bytes.count else { return nil }
                size += Int(bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
                at += 4
            default: at += type.width
            }
        }
        return at + size
    }
}

extension ByteList {
    func withBytes<R>(_ i: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range(i)])) }
    }

    /// Numbers of the items in the order of their bytes; equal ones keep their order.
    func sortedOrder() -> [Int32] {
        struct Item {
            /// The first eight bytes as a number, which decides nearly every comparison.
            var prefix: UInt64
            var number: Int32
        }
        return bytes.withUnsafeBytes { bytes in
            let base = bytes.baseAddress
            var items = (0..<count).map { i -> Item in
                let range = range(i)
                var prefix: UInt64 = 0
                withUnsafeMutableBytes(of: &prefix) { if let base { $0.baseAddress!.copyMemory(from: base + range.lowerBound, byteCount: min(8, range.count)) } }
                return Item(prefix: prefix.bigEndian, number: Int32(truncatingIfNeeded: i))
            }
            items.sort { a, b in
                if a.prefix != b.prefix { return a.prefix < b.prefix }
                let (x, y) = (range(Int(a.number)), range(Int(b.number)))
                let n = min(x.count, y.count)
                let order = n == 0 ? 0 : memcmp(base! + x.lowerBound, base! + y.lowerBound, n)
                if order != 0 { return order < 0 }
                return x.count != y.count ? x.count < y.count : a.number < b.number
            }
            return items.map(\.number)
        }
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
