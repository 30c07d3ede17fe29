/// Builds a column value by value. One owner, one thread. Formats and kernels on the hot path fill buffers directly.
public final class ColumnBuilder {
    public let type: DataType
    public private(set) var count = 0
    private var capacity: Int
    private var values: Buffer
    private var validity: Buffer?
    private var heaps: [Buffer] = []
    private var heapUsed = 0
    private var children: [ColumnBuilder]

    public init(type: DataType, capacity: Int = 64) {
        self.type = type
        self.capacity = max(capacity, 1)
        values = Buffer(capacity: (self.capacity + 1) * type.width)
        children = switch type {
        case .array(let e): [ColumnBuilder(type: e)]
        case .map(let k, let v): [ColumnBuilder(type: k), ColumnBuilder(type: v)]
        case .row(let fields): fields.map { ColumnBuilder(type: $0.type, capacity: capacity) }
        default: []
        }
        if type.physical == .list || type.physical == .map { values.pointer(as: Int32.self)[0] = 0 }
    }

    private func reserve() {
        guard count == capacity else { return }
        capacity *= 2
        let bigger = Buffer(capacity: (capacity + 1) * type.width)
        bigger.base.copyMemory(from: values.base, byteCount: (count + 1) * type.width)
        values = bigger
        if let old = validity {
            let bits = Bitmap.make(capacity, valid: true)
            bits.base.copyMemory(from: old.base, byteCount: Bitmap.byteCount(count))
            validity = bits
        }
    }

    public func appendNull() {
        reserve()
        if validity == nil { validity = Bitmap.make(capacity, valid: true) }
        Bitmap.clear(validity!.base, count)
        switch type.physical {
        case .row: for child in children { child.appendNull() }
        case .list, .map: values.pointer(as: Int32.self)[count + 1] = Int32(children[0].count)
        default: (values.base + count * type.width).initializeMemory(as: UInt8.self, repeating: 0, count: type.width)
        }
        count += 1
    }

    /// Appends a fixed-width value of the storage type.
    @inline(__always)
    public func append<T: BitwiseCopyable>(fixed value: T) {
        reserve()
        values.pointer(as: T.self)[count] = value
        count += 1
    }

    public func append(bytes: UnsafeRawBufferPointer) {
        reserve()
        values.pointer(as: StringView.self)[count] = makeView(bytes)
        count += 1
    }

    public func append(string: String) {
        var copy = string
        copy.withUTF8 { append(bytes: UnsafeRawBufferPointer($0)) }
    }

    private func makeView(_ bytes: UnsafeRawBufferPointer) -> StringView {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return .empty }
        if bytes.count <= StringView.inlineLength { return .inline(start, bytes.count) }
        if heaps.isEmpty || heapUsed + bytes.count > heaps[heaps.count - 1].capacity {
            heaps.append(Buffer(capacity: max(bytes.count, min(1 << 20, 4_096 << min(heaps.count, 8)))))
            heapUsed = 0
        }
        let heap = heaps[heaps.count - 1]
        (heap.base + heapUsed).copyMemory(from: start, byteCount: bytes.count)
        defer { heapUsed += bytes.count }
        return .make(start, bytes.count, heapIndex: heaps.count - 1, offset: heapUsed)
    }

    /// Appends a boxed value; it must be of the storage class of `type`, or null.
    public func append(_ value: Value) {
        switch (value, type.physical) {
        case (.null, _): appendNull()
        case (.bool(let v), .bool): append(fixed: UInt8(v ? 1 : 0))
        case (.int(let v), .int8): append(fixed: Int8(v))
        case (.int(let v), .int16): append(fixed: Int16(v))
        case (.int(let v), .int32): append(fixed: Int32(v))
        case (.int(let v), .int64): append(fixed: v)
        case (.float(let v), .float): append(fixed: v)
        case (.double(let v), .double): append(fixed: v)
        case (.decimal(let v), .int128): append(fixed: v)
        case (.string(let v), .view): append(string: v)
        case (.binary(let v), .view): v.withUnsafeBytes { append(bytes: $0) }
        case (.array(let items), .list):
            for item in items { children[0].append(item) }
            finishList()
        case (.map(let entries), .map):
            for entry in entries {
                children[0].append(entry.key)
                children[1].append(entry.value)
            }
            finishList()
        case (.row(let items), .row):
            precondition(items.count == children.count, "row of \(items.count) values for \(type)")
            for (child, item) in zip(children, items) { child.append(item) }
            finishRow()
        default: preconditionFailure("value \(value) does not fit \(type)")
        }
    }

    /// For ARRAY, MAP and ROW: append parts to the child builders, then close the value with `finishList` or `finishRow`.
    public func child(_ i: Int) -> ColumnBuilder { children[i] }

    /// Ends an ARRAY or MAP value whose parts were appended to the children.
    public func finishList() {
        reserve()
        values.pointer(as: Int32.self)[count + 1] = Int32(children[0].count)
        count += 1
    }

    /// Ends a ROW value, one value of which was appended to each child.
    public func finishRow() {
        reserve()
        count += 1
    }

    /// The column built so far; the builder must not be used again.
    public func finish() -> Column {
        Column(type: type, count: count, validity: validity, values: values, heaps: heaps, children: children.map { $0.finish() })
    }
}
