import CArrowData

/// Collects rows of columns, batch after batch, in the layout in which Arrow exchanges them.
///
/// Used where a copy is needed anyway: gathering rows for different files, and turning string views into offsets and
/// bytes. One owner, one thread.
public final class ArrowArrayBuilder {
    public let type: DataType
    private let layout: ArrowLayout
    public private(set) var count = 0
    private var nullCount = 0
    /// Allocated at the first null; bits behind `count` are undefined.
    private var validity: GrowingBytes?
    /// Fixed-width values, bits of BOOLEAN, or Int32 offsets.
    private var values = GrowingBytes()
    private var text = GrowingBytes()
    private var children: [ArrowArrayBuilder] = []

    /// `layout.stringViews` is not supported here: text comes out as offsets and bytes.
    public init(type: DataType, layout: ArrowLayout) {
        precondition(!layout.stringViews, "string views are exported without a copy, not built")
        self.type = type
        self.layout = layout
        switch type {
        case .array(let element): children = [ArrowArrayBuilder(type: element, layout: layout)]
        case .map(let key, let value):
            children = [ArrowArrayBuilder(type: key, layout: layout), ArrowArrayBuilder(type: value, layout: layout)]
        case .row(let fields): children = fields.map { ArrowArrayBuilder(type: $0.type, layout: layout) }
        default: break
        }
        startOffsets()
    }

    /// Bytes held, an estimate of what the rows take in memory.
    public var byteCount: Int { values.count + text.count + children.reduce(0) { $0 + $1.byteCount } }

    /// Bytes allocated.
    public var capacityBytes: Int { values.buffer.capacity + text.buffer.capacity + children.reduce(0) { $0 + $1.capacityBytes } }

    private var isTime: Bool { if case .time = type { true } else { false } }

    private var hasOffsets: Bool { type.physical == .view || type.physical == .list || type.physical == .map }

    private func startOffsets() {
        guard hasOffsets else { return }
        values.count = 0
        values.append(Int32(0))
    }

    // MARK: Adding rows

    /// Appends rows `rows[0..<n]` of a column of this type, or its first `n` rows when `rows` is nil.
    /// - Throws: `.runtime` when the text of one batch passes 2 GiB.
    public func append(_ column: Column, rows: UnsafePointer<Int32>? = nil, count n: Int) throws {
        guard n > 0 else { return }
        if let dictionary = column.dictionary {
            let codes = Buffer(capacity: n * 4)
            let to = codes.pointer(as: Int32.self)
            if let rows {
                for i in 0..<n { to[i] = column.codes[Int(rows[i])] }
            } else {
                to.update(from: column.codes, count: n)
            }
            appendValidity(column.validity, rows: rows, count: n)
            try appendValues(dictionary, rows: to, count: n)
        } else {
            appendValidity(column.validity, rows: rows, count: n)
            try appendValues(column, rows: rows, count: n)
        }
        count += n
    }

    /// Appends the same text or binary value `n` times.
    public func append(repeating bytes: UnsafeRawBufferPointer, count n: Int) {
        appendValidity(nil, rows: nil, count: n)
        values.reserve(n * 4)
        text.reserve(n * bytes.count)
        for _ in 0..<n {
            text.append(bytes)
            values.append(Int32(truncatingIfNeeded: text.count))
        }
        count += n
    }

    /// Appends `n` text or binary values that lie one behind the other in `bytes`.
    /// - Parameter offsets: `n + 1` ascending positions in `bytes`.
    public func append(text bytes: UnsafeRawPointer, offsets: UnsafePointer<Int32>, count n: Int) {
        appendValidity(nil, rows: nil, count: n)
        let shift = Int32(truncatingIfNeeded: text.count) - offsets[0]
        values.reserve(n * 4)
        for i in 1...max(n, 1) where n > 0 { values.append(offsets[i] + shift) }
        text.reserve(Int(offsets[n] - offsets[0]))
        text.append(UnsafeRawBufferPointer(start: bytes + Int(offsets[0]), count: Int(offsets[n] - offsets[0])))
        count += n
    }

    private func appendValidity(_ bitmap: Buffer?, rows: UnsafePointer<Int32>?, count n: Int) {
        if bitmap == nil, validity == nil { return }
        if validity == nil {
            validity = GrowingBytes()
            validity!.reserve(Bitmap.byteCount(count + n) + 1)
            validity!.base.initializeMemory(as: UInt8.self, repeating: 0xFF, count: Bitmap.byteCount(count) + 1)
        }
        let used = Bitmap.byteCount(count)
        validity!.count = used
        validity!.reserve(Bitmap.byteCount(count + n) + 1 - used)
        let to = validity!.base.assumingMemoryBound(to: UInt8.self)
        for i in 0..<n {
            let at = count + i, bit = UInt8(1) << UInt8(at & 7)
            let valid = bitmap.map { Bitmap.get($0.base, rows.map { Int($0[i]) } ?? i) } ?? true
            if valid { to[at >> 3] |= bit } else {
                to[at >> 3] &= ~bit
                nullCount += 1
            }
        }
        validity!.count = Bitmap.byteCount(count + n)
    }

    private func appendValues(_ column: Column, rows: UnsafePointer<Int32>?, count n: Int) throws {
        // Dictionaries of a nested child are flattened by their own append.
        if column.dictionary != nil { return try appendValues(column.flat(), rows: rows, count: n) }
        switch type.physical {
        case .bool: appendBits(column, rows, n)
        case .int8 where layout.widenSmallIntegers: map(column, rows, n, Int8.self) { Int32($0) }
        case .int16 where layout.widenSmallIntegers: map(column, rows, n, Int16.self) { Int32($0) }
        case .int8: copy(column, rows, n, Int8.self)
        case .int16: copy(column, rows, n, Int16.self)
        case .int32 where layout.timesAsMicros && isTime: map(column, rows, n, Int32.self) { Int64($0) &* 1_000 }
        case .int32, .float: copy(column, rows, n, UInt32.self)
        case .int64, .double: appendWide(column, rows, n)
        case .int128: copy(column, rows, n, Int128.self)
        case .view: try appendText(column, rows, n)
        case .list, .map: try appendLists(column, rows, n)
        case .row:
            for (builder, child) in zip(children, column.children) { try builder.append(child, rows: rows, count: n) }
        case .null: break
        }
    }

    private func appendWide(_ column: Column, _ rows: UnsafePointer<Int32>?, _ n: Int) {
        switch (layout.timestampsAsMicros, type.timeUnit) {
        case (true, .milliseconds): map(column, rows, n, Int64.self) { $0 &* 1_000 }
        case (true, .nanoseconds): map(column, rows, n, Int64.self) { ($0 - (($0 % 1_000) + 1_000) % 1_000) / 1_000 }
        default: copy(column, rows, n, UInt64.self)
        }
    }

    private func copy<T: BitwiseCopyable>(_ column: Column, _ rows: UnsafePointer<Int32>?, _ n: Int, _: T.Type) {
        let from = column.pointer(as: T.self)
        let to = values.extend(by: n * MemoryLayout<T>.stride).assumingMemoryBound(to: T.self)
        if let rows {
            for i in 0..<n { to[i] = from[Int(rows[i])] }
        } else {
            to.update(from: from, count: n)
        }
    }

    @inline(__always)
    private func map<T: BitwiseCopyable, U: BitwiseCopyable>(_ column: Column, _ rows: UnsafePointer<Int32>?, _ n: Int,
                                                             _: T.Type, _ convert: (T) -> U) {
        let from = column.pointer(as: T.self)
        let to = values.extend(by: n * MemoryLayout<U>.stride).assumingMemoryBound(to: U.self)
        if let rows {
            for i in 0..<n { to[i] = convert(from[Int(rows[i])]) }
        } else {
            for i in 0..<n { to[i] = convert(from[i]) }
        }
    }

    private func appendBits(_ column: Column, _ rows: UnsafePointer<Int32>?, _ n: Int) {
        let from = column.pointer(as: UInt8.self)
        values.count = Bitmap.byteCount(count)
        _ = values.extend(by: Bitmap.byteCount(count + n) - values.count)
        let to = values.base
        for i in 0..<n {
            if from[rows.map { Int($0[i]) } ?? i] != 0 { Bitmap.set(to, count + i) } else { Bitmap.clear(to, count + i) }
        }
    }

    private func appendText(_ column: Column, _ rows: UnsafePointer<Int32>?, _ n: Int) throws {
        let views = column.pointer(as: StringView.self)
        // Values at null positions are initialised but may be any view: they count as empty.
        let valid = column.validity?.base
        var total = 0
        for i in 0..<n {
            let row = rows.map { Int($0[i]) } ?? i
            if let valid, !Bitmap.get(valid, row) { continue }
            total += Int(views[row].length)
        }
        guard text.count + total <= Int(Int32.max) else {
            throw StreamError(.runtime, "\(text.count + total) bytes of text in one column of a batch pass the limit of 2 GiB")
        }
        text.reserve(total + 16)
        let offsets = values.extend(by: n * 4).assumingMemoryBound(to: Int32.self)
        let base = text.base
        var at = text.count
        let heaps = column.heaps.map(\.base)
        heaps.withUnsafeBufferPointer { heaps in
            for i in 0..<n {
                let row = rows.map { Int($0[i]) } ?? i
                let view = views + row
                let length = Int(view.pointee.length)
                if let valid, !Bitmap.get(valid, row) {
                    offsets[i] = Int32(truncatingIfNeeded: at)
                    continue
                }
                if length <= StringView.inlineLength {
                    // Always 12 bytes; what is too much is overwritten by the next value or ignored.
                    let inline = UnsafeRawPointer(view)
                    (base + at).storeBytes(of: inline.loadUnaligned(fromByteOffset: 4, as: UInt64.self), as: UInt64.self)
                    (base + at + 8).storeBytes(of: inline.loadUnaligned(fromByteOffset: 12, as: UInt32.self), as: UInt32.self)
                } else {
                    (base + at).copyMemory(from: heaps[Int(view.pointee.heapIndex)] + Int(view.pointee.offset), byteCount: length)
                }
                at += length
                offsets[i] = Int32(truncatingIfNeeded: at)
            }
        }
        text.count = at
    }

    private func appendLists(_ column: Column, _ rows: UnsafePointer<Int32>?, _ n: Int) throws {
        let from = column.codes
        let valid = column.validity?.base
        var wanted: [Int32] = []
        var end = Int32(children[0].count)
        let offsets = values.extend(by: n * 4).assumingMemoryBound(to: Int32.self)
        for i in 0..<n {
            let row = rows.map { Int($0[i]) } ?? i
            if valid.map({ Bitmap.get($0, row) }) ?? true {
                for element in from[row]..<from[row + 1] { wanted.append(element) }
                end += from[row + 1] - from[row]
            }
            offsets[i] = end
        }
        try wanted.withUnsafeBufferPointer { wanted in
            guard let base = wanted.baseAddress else { return }
            for (builder, child) in zip(children, column.children) { try builder.append(child, rows: base, count: wanted.count) }
        }
    }

    // MARK: Handing over

    /// Takes the memory of the array handed out last for the next one, when its consumer has released it: fresh pages
    /// for every chunk cost a sixth of the time of a table insert.
    public func recycle() {
        guard count == 0 else { return }
        values.recycle()
        text.recycle()
        for child in children { child.recycle() }
        startOffsets()
    }

    /// The rows collected so far as an array that the consumer releases; the builder starts again with none.
    public func finish() -> ArrowArray {
        defer { startOffsets() }
        let n = count, nulls = nullCount
        count = 0
        nullCount = 0
        let validBuffer = validity?.take()
        validity = nil
        let valid = validBuffer.map { UnsafeRawPointer($0.base) }
        var owners: [AnyObject] = validBuffer.map { [$0] } ?? []
        let inner = children.map { $0.finish() }
        switch type.physical {
        case .null:
            return makeArrowArray(length: n, nullCount: n, buffers: [], owners: [])
        case .row:
            return makeArrowArray(length: n, nullCount: nulls, buffers: [valid], owners: owners, children: inner)
        case .view:
            let (offsets, bytes) = (values.take(), text.take())
            owners += [offsets, bytes]
            return makeArrowArray(length: n, nullCount: nulls, buffers: [valid, UnsafeRawPointer(offsets.base), UnsafeRawPointer(bytes.base)],
                                  owners: owners)
        default:
            let data = values.take()
            owners.append(data)
            var nested = inner
            if type.physical == .map {
                let entries = Int(inner[0].length)
                nested = [makeArrowArray(length: entries, nullCount: 0, buffers: [nil], owners: [], children: inner)]
            }
            return makeArrowArray(length: n, nullCount: nulls, buffers: [valid, UnsafeRawPointer(data.base)], owners: owners, children: nested)
        }
    }
}

/// Bytes that grow by doubling and are handed over as a ``Buffer``.
package struct GrowingBytes {
    package private(set) var buffer = Buffer.empty
    private var handedOut: Buffer?
    package var count = 0

    package init() {}

    package var base: UnsafeMutableRawPointer { buffer.base }

    /// Makes room for `extra` more bytes; up to the buffer's padding may be written behind them.
    package mutating func reserve(_ extra: Int) {
        guard count + extra > buffer.capacity else { return }
        let bigger = Buffer(capacity: max(count + extra, buffer.capacity * 2, 256))
        bigger.base.copyMemory(from: buffer.base, byteCount: count)
        buffer = bigger
    }

    /// Adds `bytes` uninitialised bytes and returns their start.
    package mutating func extend(by bytes: Int) -> UnsafeMutableRawPointer {
        reserve(bytes)
        defer { count += bytes }
        return buffer.base + count
    }

    @inline(__always)
    package mutating func append(_ value: Int32) {
        extend(by: 4).storeBytes(of: value, as: Int32.self)
    }

    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        extend(by: bytes.count).copyMemory(from: start, byteCount: bytes.count)
    }

    package mutating func take() -> Buffer {
        defer {
            handedOut = buffer
            buffer = .empty
            count = 0
        }
        return buffer
    }

    /// Goes on with the memory handed out last if nobody else holds it any more.
    package mutating func recycle() {
        defer { handedOut = nil }
        // The shared empty buffer is never unique.
        if handedOut != nil, isKnownUniquelyReferenced(&handedOut!), count == 0 { buffer = handedOut! }
    }
}
