import StreamCore

/// How a format stores a value of a type.
enum SlotKind: UInt8 {
    case boolean, int8, int16, int32, int64, float, double, decimal, text, binary, variant, date, time, timestamp, array, map, row, null

    init(_ type: DataType) {
        self = switch type {
        case .boolean: .boolean
        case .tinyint: .int8
        case .smallint: .int16
        case .int, .intervalYearMonth: .int32
        case .bigint, .intervalDayTime: .int64
        case .float: .float
        case .double: .double
        case .decimal: .decimal
        case .char, .varchar: .text
        case .binary, .varbinary: .binary
        case .variant: .variant
        case .date: .date
        case .time: .time
        case .timestamp, .timestampLTZ: .timestamp
        case .array: .array
        case .map: .map
        case .row: .row
        case .null: .null
        }
    }
}

/// The writable side of a column while a batch is filled: plain pointers, so that the loop over records touches no object.
///
/// Values are stored by index, in any order, except that an ARRAY or MAP value is finished before the next one begins.
/// The memory belongs to the ``ColumnFill`` of the same column.
struct Slot {
    let kind: SlotKind
    let width: Int
    /// DECIMAL, TIME and timestamps.
    let precision: Int, scale: Int
    /// TIMESTAMP_LTZ.
    let isLocalZoned: Bool
    /// A value may be written again at an index behind which others were written: no lists in it.
    let allowsRewrite: Bool
    let children: UnsafeMutablePointer<Slot>?
    let childCount: Int
    let fill: Unmanaged<ColumnFill>

    var values: UnsafeMutableRawPointer
    var validity: UnsafeMutableRawPointer
    var capacity = 0
    /// Values in a list's child so far.
    var count = 0
    var hasNulls = false

    /// Number of the last record that set this field.
    var stamp: UInt64 = 0
    /// The first 16 characters of the last timestamp read, and their value: see ``JSONReader/timestamp(_:_:_:)``.
    var prefix: (UInt64, UInt64) = (0, 0)
    var prefixValue: Int64 = 0
    /// Field names of a ROW, for formats that look them up.
    var names: UnsafeMutablePointer<FieldNames>?
    /// Of a ROW: its last part has no name, and takes the whole object as a VARIANT.
    var keepsWhole = false
    /// Of a ROW: the values of its object are attribute values of DynamoDB.
    var areAttributes = false
    /// A bit per value that an object did not name, where that is asked for: null and left out are not the same.
    var missing: UnsafeMutableRawPointer?

    init(_ type: DataType, children: UnsafeMutablePointer<Slot>?, childCount: Int, fill: ColumnFill) {
        kind = SlotKind(type)
        width = type.width
        switch type {
        case .decimal(let p, let s): (precision, scale) = (p, s)
        case .time(let p), .timestamp(let p), .timestampLTZ(let p): (precision, scale) = (p, 0)
        default: (precision, scale) = (0, 0)
        }
        if case .timestampLTZ = type { isLocalZoned = true } else { isLocalZoned = false }
        self.children = children
        self.childCount = childCount
        var rewrite = kind != .array && kind != .map
        for i in 0..<childCount where !children![i].allowsRewrite { rewrite = false }
        allowsRewrite = rewrite
        self.fill = .passUnretained(fill)
        values = Buffer.empty.base
        validity = Buffer.empty.base
    }
}

extension UnsafeMutablePointer<Slot> {
    @inline(__always)
    func store<T: BitwiseCopyable>(_ value: T, at row: Int) {
        pointee.values.assumingMemoryBound(to: T.self)[row] = value
        markValid(row)
    }

    /// A bit is valid until it is cleared, so only columns with nulls pay for setting one.
    @inline(__always)
    func markValid(_ row: Int) {
        if pointee.hasNulls { Bitmap.set(pointee.validity, row) }
    }

    func setNull(_ row: Int) {
        pointee.hasNulls = true
        Bitmap.clear(pointee.validity, row)
        switch pointee.kind {
        case .row:
            for i in 0..<pointee.childCount { (pointee.children! + i).setNull(row) }
        case .array, .map:
            let offsets = pointee.values.assumingMemoryBound(to: Int32.self)
            offsets[row + 1] = offsets[row]
        default:
            (pointee.values + row * pointee.width).initializeMemory(as: UInt8.self, repeating: 0, count: pointee.width)
        }
    }

    /// Makes room for index `row`.
    @inline(__always)
    func ensure(_ row: Int) {
        if row >= pointee.capacity { pointee.fill._withUnsafeGuaranteedRef { $0.grow(to: row + 1) } }
    }

    /// Begins the list at `row`; elements of a value that was given up are dropped.
    @inline(__always)
    func beginList(_ row: Int) -> Int { Int(pointee.values.assumingMemoryBound(to: Int32.self)[row]) }

    @inline(__always)
    func endList(_ row: Int, at end: Int) {
        pointee.values.assumingMemoryBound(to: Int32.self)[row + 1] = Int32(truncatingIfNeeded: end)
        markValid(row)
    }

    /// Takes over a view made by a ``HeapList``.
    @inline(__always)
    func store(inline bytes: UnsafePointer<UInt8>, _ count: Int, heap: Int, offset: Int, at row: Int) {
        let out = (pointee.values + row * 16).assumingMemoryBound(to: UInt64.self)
        if count <= 12 {
            // At least 12 bytes behind `bytes` are readable: chunks are padded.
            var low = UnsafeRawPointer(bytes).loadUnaligned(as: UInt64.self)
            var high = UInt64(UnsafeRawPointer(bytes).loadUnaligned(fromByteOffset: 8, as: UInt32.self))
            if count <= 8 {
                high = 0
                low &= count == 8 ? .max : (1 << UInt64(truncatingIfNeeded: count &* 8)) &- 1
            } else {
                high &= (1 << UInt64(truncatingIfNeeded: (count &- 8) &* 8)) &- 1
            }
            out[0] = UInt64(truncatingIfNeeded: count) | low &<< 32
            out[1] = low &>> 32 | high &<< 32
        } else {
            out[0] = UInt64(truncatingIfNeeded: count) | UInt64(UnsafeRawPointer(bytes).loadUnaligned(as: UInt32.self)) &<< 32
            out[1] = UInt64(UInt32(truncatingIfNeeded: heap)) | UInt64(UInt32(truncatingIfNeeded: offset)) &<< 32
        }
        markValid(row)
    }
}

/// Owns the buffers that a ``Slot`` points to, and those of its parts.
final class ColumnFill {
    let type: DataType
    let parts: ColumnFillGroup?
    fileprivate(set) var slot: UnsafeMutablePointer<Slot>!
    private var values = Buffer.empty
    private var validity = Buffer.empty
    /// Notes in `missing` which values were left out of their objects. Set before the first batch, for parts of ROWs.
    var tracksMissing = false
    /// Until the next batch begins.
    private(set) var missing = Buffer.empty

    init(_ type: DataType) {
        self.type = type
        switch type {
        case .array(let e): parts = ColumnFillGroup([e])
        case .map(let k, let v): parts = ColumnFillGroup([k, v])
        case .row(let fields): parts = ColumnFillGroup(fields.map(\.type))
        default: parts = nil
        }
    }

    private var isList: Bool { type.physical == .list || type.physical == .map }

    /// Fresh memory for `capacity` values, for the next batch.
    func begin(_ capacity: Int) {
        values = Buffer.empty
        validity = Buffer.empty
        missing = Buffer.empty
        slot.pointee.capacity = 0
        slot.pointee.count = 0
        slot.pointee.hasNulls = false
        // Elements of lists are grown on demand, parts of rows go along with the row.
        if let parts { for part in parts.fills { part.begin(isList ? 0 : capacity) } }
        grow(to: capacity)
    }

    func grow(to wanted: Int) {
        let old = slot.pointee.capacity
        guard wanted > old || values.capacity == 0 else { return }
        let capacity = max(wanted, old * 2, 16)
        // One more for the end offset of the last list.
        let bigger = Buffer(capacity: (capacity + 1) * max(type.width, 1))
        if old > 0 { bigger.base.copyMemory(from: values.base, byteCount: (old + 1) * type.width) }
        else if isList { bigger.pointer(as: Int32.self)[0] = 0 }
        let bits = Bitmap.make(capacity, valid: true)
        if old > 0 { bits.base.copyMemory(from: validity.base, byteCount: Bitmap.byteCount(old)) }
        if tracksMissing {
            let more = Bitmap.make(capacity, valid: false)
            if old > 0 { more.base.copyMemory(from: missing.base, byteCount: Bitmap.byteCount(old)) }
            missing = more
            slot.pointee.missing = more.base
        }
        (values, validity) = (bigger, bits)
        slot.pointee.values = bigger.base
        slot.pointee.validity = bits.base
        slot.pointee.capacity = capacity
        if !isList, let parts { for part in parts.fills { part.grow(to: capacity) } }
    }

    func finish(_ count: Int, heaps: [Buffer]) -> Column {
        let children: [Column]
        if isList {
            let elements = Int(values.pointer(as: Int32.self)[count])
            children = parts!.fills.map { $0.finish(elements, heaps: heaps) }
        } else {
            children = parts?.fills.map { $0.finish(count, heaps: heaps) } ?? []
        }
        return Column(type: type, count: count, validity: slot.pointee.hasNulls || type == .null ? validity : nil, values: values,
                      heaps: type.physical == .view ? heaps : [], children: children)
    }
}

/// Columns whose slots lie side by side.
final class ColumnFillGroup {
    let fills: [ColumnFill]
    let slots: UnsafeMutablePointer<Slot>

    init(_ types: [DataType]) {
        fills = types.map { ColumnFill($0) }
        slots = .allocate(capacity: max(types.count, 1))
        for (i, fill) in fills.enumerated() {
            (slots + i).initialize(to: Slot(types[i], children: fill.parts?.slots, childCount: fill.parts?.fills.count ?? 0, fill: fill))
            fill.slot = slots + i
        }
    }

    deinit { slots.deallocate() }

    func begin(_ capacity: Int) { for fill in fills { fill.begin(capacity) } }
}

/// The memory that a batch's long strings point to: the chunks they came from, and blocks for text that had to be changed.
final class HeapList {
    private(set) var heaps: [Buffer] = []
    private var used = 0
    /// Index of the block that is written to; -1 before the first.
    private var open = -1

    func begin() {
        heaps.removeAll()
        open = -1
        used = 0
    }

    /// Adds memory that views may point into, and returns its index.
    func add(_ chunk: Buffer) -> Int {
        heaps.append(chunk)
        return heaps.count - 1
    }

    /// Room for `count` bytes, to be given up again by not calling ``commit(_:)``.
    func reserve(_ count: Int) -> UnsafeMutablePointer<UInt8> {
        if open < 0 || used + count + 16 > heaps[open].capacity {
            open = add(Buffer(capacity: max(count + 16, open < 0 ? 8_192 : 1 << 18)))
            used = 0
        }
        return heaps[open].pointer(as: UInt8.self) + used
    }

    /// Keeps the first `count` bytes of what was reserved, and says where they are.
    func commit(_ count: Int) -> (heap: Int, offset: Int) {
        defer { used += count }
        return (open, used)
    }
}
