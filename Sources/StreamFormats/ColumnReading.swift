import StreamCore

/// The readable side of a column for encoders, made once per batch. Valid while `column` lives.
struct ColumnReading {
    let type: DataType
    /// What is read for each row. It may be copied out: nothing in it is counted.
    let plain: PlainReading
    let children: [ColumnReading]
    /// Keeps the memory alive.
    let column: Column
    private let heaps: HeapBases?

    init(_ source: Column) {
        let column = source.flat()
        self.column = column
        type = column.type
        heaps = column.heaps.isEmpty ? nil : HeapBases(column.heaps)
        plain = PlainReading(column, heaps: heaps?.bases)
        children = column.children.map { ColumnReading($0) }
    }

    var kind: SlotKind { plain.kind }
    func isNull(_ row: Int) -> Bool { plain.isNull(row) }
    func get<T: BitwiseCopyable>(_ type: T.Type, _ row: Int) -> T { plain.get(type, row) }
    func range(_ row: Int) -> Range<Int> { plain.range(row) }
    func appendPlain(_ row: Int, to out: inout EncodedBytes) -> Bool { plain.appendPlain(row, to: &out) }
    func writeTemporal(_ row: Int, separator: UInt8, timePrecision: Int, to target: UnsafeMutablePointer<UInt8>) -> Int {
        plain.writeTemporal(row, separator: separator, timePrecision: timePrecision, to: target)
    }

    /// Where each heap of a column begins.
    private final class HeapBases {
        let bases: UnsafeMutablePointer<UnsafeRawPointer>
        init(_ heaps: [Buffer]) {
            bases = .allocate(capacity: heaps.count)
            for (i, heap) in heaps.enumerated() { (bases + i).initialize(to: UnsafeRawPointer(heap.base)) }
        }
        deinit { bases.deallocate() }
    }
}

/// Plain pointers into a column, and how to write what they point to. Valid while its ``ColumnReading`` lives.
struct PlainReading: BitwiseCopyable {
    let kind: SlotKind
    let precision: Int, scale: Int
    let isLocalZoned: Bool
    let values: UnsafeRawPointer
    let validity: UnsafeRawPointer?
    let heaps: UnsafeMutablePointer<UnsafeRawPointer>?

    fileprivate init(_ column: Column, heaps: UnsafeMutablePointer<UnsafeRawPointer>?) {
        kind = SlotKind(column.type)
        switch column.type {
        case .decimal(let p, let s): (precision, scale) = (p, s)
        case .time(let p), .timestamp(let p), .timestampLTZ(let p): (precision, scale) = (p, 0)
        default: (precision, scale) = (0, 0)
        }
        if case .timestampLTZ = column.type { isLocalZoned = true } else { isLocalZoned = false }
        values = UnsafeRawPointer(column.values.base)
        validity = column.validity.map { UnsafeRawPointer($0.base) }
        self.heaps = heaps
    }

    /// Of a text or binary value.
    @inline(__always)
    func bytes(_ row: Int) -> UnsafeRawBufferPointer {
        let view = values.assumingMemoryBound(to: StringView.self) + row
        let n = Int(view.pointee.length)
        if n <= StringView.inlineLength { return UnsafeRawBufferPointer(start: UnsafeRawPointer(view) + 4, count: n) }
        return UnsafeRawBufferPointer(start: heaps![Int(view.pointee.heapIndex)] + Int(view.pointee.offset), count: n)
    }

    @inline(__always)
    func isNull(_ row: Int) -> Bool {
        if kind == .null { return true }
        guard let validity else { return false }
        return !Bitmap.get(validity, row)
    }

    @inline(__always)
    func get<T: BitwiseCopyable>(_: T.Type, _ row: Int) -> T { values.assumingMemoryBound(to: T.self)[row] }

    /// The elements of a list.
    func range(_ row: Int) -> Range<Int> { Int(get(Int32.self, row))..<Int(get(Int32.self, row + 1)) }

    /// Appends a value that needs no quotes in any format: numbers and booleans. False for other types.
    @inline(__always)
    func appendPlain(_ row: Int, to out: inout EncodedBytes) -> Bool {
        let target = out.reserve(NumberText.capacity)
        switch kind {
        case .boolean:
            let text: StaticString = get(UInt8.self, row) != 0 ? "true" : "false"
            target.update(from: text.utf8Start, count: text.utf8CodeUnitCount)
            out.advance(text.utf8CodeUnitCount)
        case .int8: out.advance(NumberText.write(Int64(get(Int8.self, row)), to: target))
        case .int16: out.advance(NumberText.write(Int64(get(Int16.self, row)), to: target))
        case .int32: out.advance(NumberText.write(Int64(get(Int32.self, row)), to: target))
        case .int64: out.advance(NumberText.write(get(Int64.self, row), to: target))
        case .float: out.advance(NumberText.write(get(Float.self, row), to: target))
        case .double: out.advance(NumberText.write(get(Double.self, row), to: target))
        case .decimal: out.advance(NumberText.write(decimal: get(Int128.self, row), scale: scale, to: target))
        default: return false
        }
        return true
    }

    /// Writes a date, time or timestamp without quotes; `separator` stands between date and time. 0 for other types.
    func writeTemporal(_ row: Int, separator: UInt8, timePrecision: Int, to target: UnsafeMutablePointer<UInt8>) -> Int {
        switch kind {
        case .date: return DateTimeText.writeDate(get(Int32.self, row), to: target)
        case .time: return DateTimeText.writeTime(get(Int32.self, row), precision: min(precision, timePrecision), fraction: .trimmed, to: target)
        case .timestamp:
            var n = DateTimeText.writeTimestamp(get(Int64.self, row), precision: precision, fraction: .trimmed, separator: separator, to: target)
            if isLocalZoned {
                target[n] = UInt8(ascii: "Z")
                n += 1
            }
            return n
        default: return 0
        }
    }
}
