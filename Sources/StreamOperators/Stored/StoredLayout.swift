import StreamCore

/// How rows of an operator's state lie in a ``KeyedStore``.
///
///     in a piece    keys | slice, of windows | row, of joins      | the rest
///     in the store  key: key group, 2 bytes | slice, 8 bytes, or side, 1 byte | keys | row        value: the rest
///
/// The key group and the slice come higher byte first, so that they are in order; keys and rows as ``RowCodec`` lays them
/// out, where no encoding is the beginning of another one. Several rows of state with the same key share an entry.
struct StoredLayout {
    enum Part { case none, slice, side(UInt8) }

    /// Of the pieces.
    let name: String
    let keyTypes: [DataType], rowTypes: [DataType]
    let part: Part
    let values: StoredValueCodec
    let maxParallelism: Int
    private let keyCodec: RowCodec, rowCodec: RowCodec

    init(name: String, keys: [DataType], part: Part = .none, rows: [DataType] = [], values: StoredValueCodec, maxParallelism: Int) {
        (self.name, keyTypes, self.part, rowTypes, self.values, self.maxParallelism) = (name, keys, part, rows, values, maxParallelism)
        (keyCodec, rowCodec) = (RowCodec(keys), RowCodec(rows))
    }

    /// Bytes of a row of columns, without those of texts and nested values.
    static func width(_ types: [DataType]) -> Int { types.reduce(0) { $0 + $1.width } }

    var hasSlices: Bool { if case .slice = part { true } else { false } }

    /// Types of the first columns of a piece, which tell one entry from all others.
    var identityTypes: [DataType] { keyTypes + (hasSlices ? [.bigint] : []) + rowTypes }

    /// The identity and value columns of a piece.
    /// - Throws: `.validate` when they are not of this layout.
    func columns(of piece: KeyGroupState) throws -> (identity: [Column], values: [Column], count: Int) {
        let batch = piece.batch.compacted(), types = identityTypes
        guard batch.columns.count == types.count + values.types.count,
              zip(batch.columns, types + values.types).allSatisfy({ $0.type.physical == $1.physical }) else {
            throw StreamError(.validate, "state '\(name)' has columns of types \(batch.columns.map(\.type)), the operator keeps "
                + "\(types + values.types)", fix: "start the job from a checkpoint of the same plan")
        }
        let columns = batch.columns.map { $0.flat() }
        return (Array(columns[..<types.count]), Array(columns[types.count...]), batch.physicalCount)
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
        case .side: 3
        }
    }

    /// Appends the keys of n entries. With key columns only, gives the beginnings of the keys of a join.
    func appendKeys(_ identity: [Column], count n: Int, to list: inout ByteList) {
        guard n > 0 else { return }
        let identity = identity.map { $0.flat() }
        let keys = Array(identity[..<keyTypes.count])
        let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: n)
        defer { hashes.deallocate() }
        RowHash.hash(Batch(columns: keys, physicalCount: n), keys: Array(keys.indices), into: hashes)
        let encodedKeys = keyCodec.encode(keys, rows: nil, count: n)
        let hasRows = identity.count > keyTypes.count && !rowTypes.isEmpty
        let encodedRows = hasRows ? rowCodec.encode(Array(identity[keyTypes.count...]), rows: nil, count: n) : nil
        let slices = hasSlices ? identity[keyTypes.count] : nil
        let header = UnsafeMutableRawBufferPointer.allocate(byteCount: headerSize, alignment: 8)
        defer { header.deallocate() }
        if case .side(let side) = part { header[2] = side }
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        withExtendedLifetime(slices) {
            for i in 0..<n {
                let group = KeyGroups.group(ofHash: hashes[i], maxParallelism: maxParallelism)
                header[0] = UInt8(truncatingIfNeeded: group >> 8)
                header[1] = UInt8(truncatingIfNeeded: group)
                if let slices { header.storeBytes(of: Self.ordered(slices.pointer(as: Int64.self)[i]).bigEndian, toByteOffset: 2, as: UInt64.self) }
                list.append(UnsafeRawBufferPointer(header), encodedKeys.bytes(at: i), encodedRows?.bytes(at: i) ?? nothing)
            }
        }
    }

    /// Collects entries that were read from a store, and gives them back as columns of a piece.
    final class Reader {
        private let layout: StoredLayout
        private var keys = ColumnBuilder(type: .bytes), rows = ColumnBuilder(type: .bytes)
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
            let body = UnsafeRawBufferPointer(rebasing: key[min(layout.headerSize, key.count)...])
            guard key.count >= layout.headerSize, let length = layout.keyCodec.encodedSize(body), length <= body.count else {
                throw StreamError(.corrupt, "a key of \(key.count) bytes in the store of '\(layout.name)' is damaged",
                                  fix: "go on from an older checkpoint or a savepoint")
            }
            keys.append(bytes: UnsafeRawBufferPointer(rebasing: body[..<length]))
            if layout.hasSlices { slices.append(StoredLayout.slice(ofKey: key)) }
            if !layout.rowTypes.isEmpty { rows.append(bytes: UnsafeRawBufferPointer(rebasing: body[length...])) }
            try values.append(value, owner: Int32(truncatingIfNeeded: count))
            count += 1
            bytes += key.count + value.count
        }

        /// The columns of a piece; nil when nothing was read.
        func finish() -> (columns: [Column], count: Int)? {
            guard count > 0 else { return nil }
            var identity = layout.keyCodec.decode(keys.finish())
            if layout.hasSlices { identity.append(slices.withUnsafeBufferPointer { .fixed(.bigint, $0.baseAddress!, count: $0.count) }) }
            if !layout.rowTypes.isEmpty { identity += layout.rowCodec.decode(rows.finish()) }
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
