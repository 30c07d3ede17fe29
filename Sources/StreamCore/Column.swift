/// A text or binary value: 16 bytes, Arrow's binary-view layout.
///
///     length <= 12    | length Int32 | the bytes, zero padded                              |
///     longer          | length Int32 | first 4 bytes | heap index Int32 | byte offset Int32 |
@frozen
public struct StringView: BitwiseCopyable, Sendable {
    public var length: Int32
    public var prefix: UInt32
    public var heapIndex: Int32
    public var offset: Int32

    @inlinable public init(length: Int32, prefix: UInt32, heapIndex: Int32, offset: Int32) {
        self.length = length
        self.prefix = prefix
        self.heapIndex = heapIndex
        self.offset = offset
    }

    public static let inlineLength = 12
    @inlinable public static var empty: StringView { StringView(length: 0, prefix: 0, heapIndex: 0, offset: 0) }

    /// A view of at most 12 bytes that needs no heap.
    @inlinable public static func inline(_ bytes: UnsafeRawPointer, _ count: Int) -> StringView {
        var view = StringView.empty
        view.length = Int32(truncatingIfNeeded: count)
        withUnsafeMutableBytes(of: &view) { ($0.baseAddress! + 4).copyMemory(from: bytes, byteCount: count) }
        return view
    }

    /// A view of `count` bytes at `offset` of heap number `heapIndex`, inlined when it is short.
    @inlinable public static func make(_ bytes: UnsafeRawPointer, _ count: Int, heapIndex: Int, offset: Int) -> StringView {
        if count <= 12 { return inline(bytes, count) }
        return StringView(length: Int32(truncatingIfNeeded: count), prefix: bytes.loadUnaligned(as: UInt32.self),
                          heapIndex: Int32(truncatingIfNeeded: heapIndex), offset: Int32(truncatingIfNeeded: offset))
    }
}

/// `count` values of one type in Arrow's memory layout. Immutable once made, so it may be shared between threads.
///
/// Values at null positions are undefined, but initialised. Two encodings beside the plain one:
/// - dictionary: `dictionary` is set, `values` holds Int32 codes into it, `type` is still the logical type;
///   nulls are in `validity` of the outer column, never in the dictionary;
/// - constant: a dictionary of one entry (see ``constant(_:type:count:)``).
/// A kernel that does not handle dictionaries calls ``flat()`` first.
public final class Column: @unchecked Sendable {  // SAFETY: all buffers are immutable by the time it is shared
    public let type: DataType
    public let count: Int
    /// Arrow bitmap, 1 = valid; nil = no nulls.
    public let validity: Buffer?
    /// Fixed-width values, string views, Int32 offsets, or dictionary codes.
    public let values: Buffer
    /// What string views longer than 12 bytes point into.
    public let heaps: [Buffer]
    public let children: [Column]
    public let dictionary: Column?

    public init(type: DataType, count: Int, validity: Buffer? = nil, values: Buffer, heaps: [Buffer] = [],
                children: [Column] = [], dictionary: Column? = nil) {
        self.type = type
        self.count = count
        self.validity = validity
        self.values = values
        self.heaps = heaps
        self.children = children
        self.dictionary = dictionary
    }

    /// The values as `T`, which must be the storage type of `type`. Wrong for dictionary columns: use ``flat()`` first.
    @inlinable
    public func pointer<T: BitwiseCopyable>(as type: T.Type) -> UnsafePointer<T> {
        UnsafePointer(values.base.assumingMemoryBound(to: type))
    }

    @inlinable public var codes: UnsafePointer<Int32> { pointer(as: Int32.self) }

    @inlinable public func isValid(_ row: Int) -> Bool {
        guard let validity else { return true }
        return Bitmap.get(validity.base, row)
    }

    public var isConstant: Bool { dictionary?.count == 1 }

    public var nullCount: Int {
        guard let validity else { return 0 }
        return count - Bitmap.countSet(validity.base, count: count)
    }

    /// The bytes of a text or binary value. Valid while the column lives; not for dictionary columns.
    @inlinable
    public func bytes(at row: Int) -> UnsafeRawBufferPointer {
        let view = values.base.assumingMemoryBound(to: StringView.self) + row
        let n = Int(view.pointee.length)
        if n <= 12 { return UnsafeRawBufferPointer(start: UnsafeRawPointer(view) + 4, count: n) }
        return UnsafeRawBufferPointer(start: heaps[Int(view.pointee.heapIndex)].base + Int(view.pointee.offset), count: n)
    }

    /// Codes that are all zero, shared by constant columns up to this many rows.
    private static let sharedZeros = Buffer(zeroed: 65_536 * 4)

    /// `count` times the same value.
    public static func constant(_ value: Value, type: DataType, count: Int) -> Column {
        if value == .null { return nulls(type: type, count: count) }
        let one = ColumnBuilder(type: type, capacity: 1)
        one.append(value)
        let codes = count * 4 <= sharedZeros.capacity ? sharedZeros : Buffer(zeroed: count * 4)
        return Column(type: type, count: count, values: codes, dictionary: one.finish())
    }

    public static func nulls(type: DataType, count: Int) -> Column {
        let validity = Bitmap.make(count, valid: false)
        let children: [Column] = switch type {
        case .array(let e): [nulls(type: e, count: 0)]
        case .map(let k, let v): [nulls(type: k, count: 0), nulls(type: v, count: 0)]
        case .row(let fields): fields.map { nulls(type: $0.type, count: count) }
        default: []
        }
        return Column(type: type, count: count, validity: validity, values: Buffer(zeroed: (count + 1) * max(type.width, 4)),
                      children: children)
    }

    /// The same values without dictionary encoding; itself when it has none.
    public func flat() -> Column {
        guard let dictionary else { return self }
        return dictionary.gather(codes, count: count, validity: validity)
    }

    /// Rows `indices[0..<count]` as a new plain column. Out-of-range indices are not checked in release builds.
    public func gather(_ indices: UnsafePointer<Int32>, count n: Int) -> Column {
        var valid: Buffer?
        if let validity {
            let out = Bitmap.make(n, valid: false)
            for i in 0..<n where Bitmap.get(validity.base, Int(indices[i])) { Bitmap.set(out.base, i) }
            valid = out
        }
        if let dictionary {
            let out = Buffer(capacity: n * 4)
            let (from, to) = (codes, out.pointer(as: Int32.self))
            for i in 0..<n { to[i] = from[Int(indices[i])] }
            return Column(type: type, count: n, validity: valid, values: out, dictionary: dictionary)
        }
        return gather(indices, count: n, validity: valid)
    }

    /// As above, with the result's validity given; values at null positions are taken from row `indices[i]` all the same.
    private func gather(_ indices: UnsafePointer<Int32>, count n: Int, validity valid: Buffer?) -> Column {
        func fixed<T: BitwiseCopyable>(_: T.Type) -> Buffer {
            let out = Buffer(capacity: n * MemoryLayout<T>.stride)
            let (from, to) = (pointer(as: T.self), out.pointer(as: T.self))
            for i in 0..<n { to[i] = from[Int(indices[i])] }
            return out
        }
        let values: Buffer
        switch type.physical {
        case .bool, .int8: values = fixed(UInt8.self)
        case .int16: values = fixed(UInt16.self)
        case .int32, .float: values = fixed(UInt32.self)
        case .int64, .double: values = fixed(UInt64.self)
        case .int128, .view: values = fixed(StringView.self)
        case .null: values = .empty
        case .row:
            return Column(type: type, count: n, validity: valid, values: .empty,
                          children: children.map { $0.gather(indices, count: n) })
        case .list, .map:
            let out = Buffer(capacity: (n + 1) * 4)
            let (from, to) = (codes, out.pointer(as: Int32.self))
            to[0] = 0
            for i in 0..<n { to[i + 1] = to[i] + from[Int(indices[i]) + 1] - from[Int(indices[i])] }
            let inner = Buffer(capacity: Int(to[n]) * 4)
            let at = inner.pointer(as: Int32.self)
            var k = 0
            for i in 0..<n {
                for j in from[Int(indices[i])]..<from[Int(indices[i]) + 1] {
                    at[k] = j
                    k += 1
                }
            }
            return Column(type: type, count: n, validity: valid, values: out, children: children.map { $0.gather(at, count: k) })
        }
        return Column(type: type, count: n, validity: valid, values: values, heaps: heaps)
    }

    /// The same storage under another type with the same physical form, for example VARCHAR(6) as STRING.
    public func retyped(_ type: DataType) -> Column {
        precondition(type.physical == self.type.physical, "\(self.type) is not stored as \(type)")
        return Column(type: type, count: count, validity: validity, values: values, heaps: heaps, children: children,
                      dictionary: dictionary.map { $0.retyped(type) })
    }
}
