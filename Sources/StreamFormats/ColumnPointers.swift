import StreamCore

/// The readable side of a column and its parts as plain pointers, for encoders whose loop over rows touches no object.
struct ColumnPointers {
    let kind: SlotKind
    let precision: Int, scale: Int
    let values: UnsafeRawPointer
    let validity: UnsafeRawPointer?
    let heaps: UnsafeMutablePointer<UnsafeRawPointer>
    let children: UnsafeMutablePointer<ColumnPointers>
    let childCount: Int

    @inline(__always)
    func isNull(_ row: Int) -> Bool {
        if let validity { return !Bitmap.get(validity, row) }
        return kind == .null
    }

    @inline(__always)
    func get<T: BitwiseCopyable>(_: T.Type, _ row: Int) -> T { values.assumingMemoryBound(to: T.self)[row] }

    @inline(__always)
    func bytes(_ row: Int) -> UnsafeRawBufferPointer {
        let view = values.assumingMemoryBound(to: StringView.self) + row
        let n = Int(view.pointee.length)
        if n <= StringView.inlineLength { return UnsafeRawBufferPointer(start: UnsafeRawPointer(view) + 4, count: n) }
        return UnsafeRawBufferPointer(start: heaps[Int(view.pointee.heapIndex)] + Int(view.pointee.offset), count: n)
    }

    /// The elements of a list.
    @inline(__always)
    func range(_ row: Int) -> Range<Int> { Int(get(Int32.self, row))..<Int(get(Int32.self, row + 1)) }

    /// BOOLEAN and the integers, DATE, TIME and timestamps among them.
    @inline(__always)
    func whole(_ row: Int) -> Int64 {
        switch kind {
        case .boolean: Int64(get(UInt8.self, row))
        case .int8: Int64(get(Int8.self, row))
        case .int16: Int64(get(Int16.self, row))
        case .int32, .date, .time: Int64(get(Int32.self, row))
        default: get(Int64.self, row)
        }
    }
}

/// Owns the pointers of a batch's columns.
final class ColumnPointerGroup {
    let all: UnsafeMutablePointer<ColumnPointers>
    private let columns: [Column]
    private var parts: [ColumnPointerGroup] = []
    private var heapTables: [UnsafeMutablePointer<UnsafeRawPointer>] = []

    init(_ sources: [Column]) {
        columns = sources.map { $0.flat() }
        all = .allocate(capacity: max(columns.count, 1))
        for (i, column) in columns.enumerated() {
            let heaps = UnsafeMutablePointer<UnsafeRawPointer>.allocate(capacity: max(column.heaps.count, 1))
            for (j, heap) in column.heaps.enumerated() { (heaps + j).initialize(to: UnsafeRawPointer(heap.base)) }
            heapTables.append(heaps)
            let inner = ColumnPointerGroup(column.children)
            parts.append(inner)
            var precision = 0, scale = 0
            switch column.type {
            case .decimal(let p, let s): (precision, scale) = (p, s)
            case .time(let p), .timestamp(let p), .timestampLTZ(let p): precision = p
            default: break
            }
            (all + i).initialize(to: ColumnPointers(
                kind: SlotKind(column.type), precision: precision, scale: scale, values: UnsafeRawPointer(column.values.base),
                validity: column.validity.map { UnsafeRawPointer($0.base) }, heaps: heaps, children: inner.all, childCount: column.children.count))
        }
    }

    deinit {
        all.deallocate()
        for heaps in heapTables { heaps.deallocate() }
    }
}
