import StreamCore

/// Fixed-width values of a plain or constant column, by row number.
public struct Vector<T: BitwiseCopyable> {
    public let base: UnsafePointer<T>
    /// 0 for a constant column, so that every row reads its one value.
    let step: Int

    @inline(__always) public subscript(row: Int) -> T { base[row &* step] }
    /// The value when it is the same for every row.
    var constant: T? { step == 0 ? base[0] : nil }
}

/// Text or binary values of a plain or constant column, by row number. The bytes are valid while the column lives.
public struct TextVector {
    let views: UnsafePointer<StringView>
    let heaps: HeapTable
    let step: Int

    @inline(__always) public subscript(row: Int) -> UnsafeRawBufferPointer {
        let view = views + row &* step
        let n = Int(view.pointee.length)
        if n <= StringView.inlineLength { return UnsafeRawBufferPointer(start: UnsafeRawPointer(view) + 4, count: n) }
        return UnsafeRawBufferPointer(start: heaps[Int(view.pointee.heapIndex)] + Int(view.pointee.offset), count: n)
    }

    /// The bytes when they are the same for every row.
    public var constant: UnsafeRawBufferPointer? { step == 0 ? self[0] : nil }
}

/// Start addresses of a column's heaps. The first is kept inline: most columns have one at most.
struct HeapTable {
    private let first: UnsafeMutableRawPointer
    private let all: [UnsafeMutableRawPointer]

    init(_ heaps: [Buffer]) {
        first = heaps.first?.base ?? Buffer.empty.base
        all = heaps.count > 1 ? heaps.map(\.base) : []
    }

    @inline(__always) subscript(i: Int) -> UnsafeMutableRawPointer { i == 0 ? first : all[i] }
}

/// ARRAY or MAP values of a plain or constant column: ranges of rows of its child columns.
public struct ListVector {
    let offsets: UnsafePointer<Int32>
    let step: Int
    /// Plain columns: the elements, or the keys and the values.
    public let children: [Column]

    @inline(__always) public subscript(row: Int) -> Range<Int> {
        let at = row &* step
        return Int(offsets[at])..<Int(offsets[at + 1])
    }
}

extension Column {
    /// The column that holds the values: itself, or the dictionary of a constant column.
    @inline(__always) private var storage: (column: Column, step: Int) {
        guard let dictionary else { return (self, 1) }
        precondition(dictionary.count == 1, "a dictionary column must be flattened before its values are read")
        return (dictionary, 0)
    }

    /// Fixed-width values; the column must be plain or constant, and `T` the storage type of its type.
    public func vector<T: BitwiseCopyable>(_: T.Type) -> Vector<T> {
        let (column, step) = storage
        return Vector(base: column.pointer(as: T.self), step: step)
    }

    /// Text or binary values; the column must be plain or constant.
    public var text: TextVector {
        let (column, step) = storage
        return TextVector(views: column.pointer(as: StringView.self), heaps: HeapTable(column.heaps), step: step)
    }

    /// ARRAY or MAP values; the column must be plain or constant.
    public var list: ListVector {
        let (column, step) = storage
        return ListVector(offsets: column.codes, step: step, children: column.children.map { $0.flat() })
    }

    /// A plain column of the same values, or itself when it is plain or constant.
    public var plainOrConstant: Column { dictionary == nil || isConstant ? self : flat() }

    /// One value for every row, without copying it. `column` has one row.
    static func repeating(_ column: Column, count: Int) -> Column {
        precondition(column.count == 1, "a constant column repeats one row, not \(column.count)")
        if !column.isValid(0) { return nulls(type: column.type, count: count) }
        return Column(type: column.type, count: count, values: Zeros.buffer(count * 4), dictionary: column.flat())
    }
}

/// Zeroed memory that anyone may read.
enum Zeros {
    private static let shared = Buffer(zeroed: 262_144)

    static func buffer(_ bytes: Int) -> Buffer {
        bytes <= shared.capacity ? shared : Buffer(zeroed: bytes)
    }
}
