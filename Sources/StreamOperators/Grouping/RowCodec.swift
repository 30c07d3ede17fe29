import StreamCore

/// Rows of several columns as byte strings; equal rows give equal bytes.
///
///     nulls      a bit per column, 1 = null, in whole bytes
///     fixed      per column its value (zero when null); for text, binary and nested types a UInt32 length
///     variable   the bytes of the text, binary and nested columns, in order
///
/// Nested values: arrays and maps are a UInt32 count and their parts, rows their fields; each part starts with a null byte.
struct RowCodec {
    let types: [DataType]
    private let fixedOffsets: [Int]
    private let fixedSize: Int
    private let variable: [Int]

    init(_ types: [DataType]) {
        self.types = types
        var offset = (types.count + 7) / 8
        var offsets: [Int] = []
        for type in types {
            offsets.append(offset)
            offset += Self.isVariable(type) ? 4 : type.width
        }
        fixedOffsets = offsets
        fixedSize = offset
        variable = types.indices.filter { Self.isVariable(types[$0]) }
    }

    private static func isVariable(_ type: DataType) -> Bool {
        switch type.physical {
        case .view, .list, .map, .row: true
        default: false
        }
    }

    /// A BYTES column of n rows.
    func encode(_ columns: [Column], rows: UnsafePointer<Int32>?, count n: Int) -> Column {
        var nested: [Int: [[UInt8]]] = [:]
        for c in variable where types[c].physical != .view {
            var parts: [[UInt8]] = []
            forEachRow(rows, n) { _, row in
                var bytes: [UInt8] = []
                if columns[c].isValid(row) { Self.append(columns[c], row, to: &bytes) }
                parts.append(bytes)
            }
            nested[c] = parts
        }
        let starts = UnsafeMutablePointer<Int>.allocate(capacity: 2 * (n + 1))
        defer { starts.deallocate() }
        let ends = starts + n + 1
        for i in 0...n { starts[i] = fixedSize }
        for c in variable {
            if let parts = nested[c] {
                for i in 0..<n { starts[i] += parts[i].count }
            } else {
                let views = columns[c].pointer(as: StringView.self)
                forEachRow(rows, n) { i, row in if columns[c].isValid(row) { starts[i] &+= Int(views[row].length) } }
            }
        }
        var total = 0
        for i in 0..<n { (starts[i], total) = (total, total + starts[i]) }
        starts[n] = total
        let heap = Buffer(capacity: total)
        let bytes = heap.base
        let nullBytes = (types.count + 7) / 8
        for i in 0..<n {
            (bytes + starts[i]).initializeMemory(as: UInt8.self, repeating: 0, count: nullBytes)
            ends[i] = starts[i] + fixedSize
        }
        for (c, column) in columns.enumerated() {
            let at = fixedOffsets[c]
            if column.validity != nil {
                forEachRow(rows, n) { i, row in if !column.isValid(row) { Bitmap.set(bytes + starts[i], c) } }
            }
            @inline(__always) func fixed<T: BitwiseCopyable>(_ zero: T) {
                let values = column.pointer(as: T.self)
                forEachRow(rows, n) { i, row in
                    (bytes + starts[i] + at).storeBytes(of: column.isValid(row) ? values[row] : zero, as: T.self)
                }
            }
            switch types[c].physical {
            case .bool, .int8: fixed(UInt8(0))
            case .int16: fixed(UInt16(0))
            case .int32, .float: fixed(UInt32(0))
            case .int64, .double: fixed(UInt64(0))
            case .int128: fixed(Int128(0))
            case .null: break
            case .view:
                forEachRow(rows, n) { i, row in
                    let valid = column.isValid(row)
                    let text = valid ? column.bytes(at: row) : UnsafeRawBufferPointer(start: nil, count: 0)
                    (bytes + starts[i] + at).storeBytes(of: UInt32(truncatingIfNeeded: text.count), as: UInt32.self)
                    if let from = text.baseAddress { (bytes + ends[i]).copyMemory(from: from, byteCount: text.count) }
                    ends[i] += text.count
                }
            case .list, .map, .row:
                let parts = nested[c]!
                for i in 0..<n {
                    (bytes + starts[i] + at).storeBytes(of: UInt32(truncatingIfNeeded: parts[i].count), as: UInt32.self)
                    parts[i].withUnsafeBytes { if let from = $0.baseAddress { (bytes + ends[i]).copyMemory(from: from, byteCount: $0.count) } }
                    ends[i] += parts[i].count
                }
            }
        }
        let views = Buffer(capacity: n * 16)
        let view = views.pointer(as: StringView.self)
        for i in 0..<n { view[i] = .make(bytes + starts[i], starts[i + 1] - starts[i], heapIndex: 0, offset: starts[i]) }
        return Column(type: .bytes, count: n, values: views, heaps: [heap])
    }

    /// The columns of encoded rows; their long texts share the memory of `rows`.
    func decode(_ rows: Column) -> [Column] {
        let n = rows.count
        let views = rows.pointer(as: StringView.self)
        let bases = UnsafeMutablePointer<UnsafeRawPointer>.allocate(capacity: n + 1)
        let ends = UnsafeMutablePointer<Int>.allocate(capacity: n + 1)
        defer {
            bases.deallocate()
            ends.deallocate()
        }
        for i in 0..<n {
            bases[i] = rows.bytes(at: i).baseAddress!
            ends[i] = fixedSize
        }
        return types.enumerated().map { c, type in
            let at = fixedOffsets[c]
            var validity: Buffer?
            for i in 0..<n where Bitmap.get(bases[i], c) {
                if validity == nil { validity = Bitmap.make(n, valid: true) }
                Bitmap.clear(validity!.base, i)
            }
            func fixed<T: BitwiseCopyable>(_: T.Type) -> Column {
                let values = Buffer(capacity: n * MemoryLayout<T>.stride)
                let to = values.pointer(as: T.self)
                for i in 0..<n { to[i] = bases[i].loadUnaligned(fromByteOffset: at, as: T.self) }
                return Column(type: type, count: n, validity: validity, values: values)
            }
            switch type.physical {
            case .bool, .int8: return fixed(UInt8.self)
            case .int16: return fixed(UInt16.self)
            case .int32, .float: return fixed(UInt32.self)
            case .int64, .double: return fixed(UInt64.self)
            case .int128: return fixed(Int128.self)
            case .null: return .nulls(type: type, count: n)
            case .view:
                let values = Buffer(capacity: n * 16)
                let to = values.pointer(as: StringView.self)
                for i in 0..<n {
                    let length = Int(bases[i].loadUnaligned(fromByteOffset: at, as: UInt32.self))
                    // A text of more than 12 bytes makes its row longer than that: the row is in a heap.
                    to[i] = .make(bases[i] + ends[i], length, heapIndex: Int(views[i].heapIndex),
                                  offset: length > 12 ? Int(views[i].offset) + ends[i] : 0)
                    ends[i] += length
                }
                return Column(type: type, count: n, validity: validity, values: values, heaps: rows.heaps)
            case .list, .map, .row:
                let builder = ColumnBuilder(type: type, capacity: n)
                for i in 0..<n {
                    let length = Int(bases[i].loadUnaligned(fromByteOffset: at, as: UInt32.self))
                    if Bitmap.get(bases[i], c) {
                        builder.appendNull()
                    } else {
                        var cursor = bases[i] + ends[i]
                        builder.append(Self.value(type, &cursor))
                    }
                    ends[i] += length
                }
                return builder.finish()
            }
        }
    }

    private static func append(_ column: Column, _ row: Int, to bytes: inout [UInt8]) {
        func part(_ child: Column, _ row: Int) {
            let child = child.flat()
            bytes.append(child.isValid(row) ? 1 : 0)
            if child.isValid(row) { append(child, row, to: &bytes) }
        }
        func length(_ n: Int) { withUnsafeBytes(of: UInt32(n)) { bytes += $0 } }
        let type = column.type
        switch type.physical {
        case .view:
            length(column.bytes(at: row).count)
            bytes += column.bytes(at: row)
        case .list, .map:
            let range = column.codes[row]..<column.codes[row + 1]
            length(range.count)
            for i in range { for child in column.children { part(child, Int(i)) } }
        case .row: for child in column.children { part(child, row) }
        case .null: break
        default: bytes += UnsafeRawBufferPointer(start: column.values.base + row * type.width, count: type.width)
        }
    }

    private static func value(_ type: DataType, _ cursor: inout UnsafeRawPointer) -> Value {
        func take<T: BitwiseCopyable>(_: T.Type) -> T {
            defer { cursor += MemoryLayout<T>.size }
            return cursor.loadUnaligned(as: T.self)
        }
        func part(_ type: DataType) -> Value { take(UInt8.self) == 0 ? .null : value(type, &cursor) }
        switch type.physical {
        case .bool: return .bool(take(UInt8.self) != 0)
        case .int8: return .int(Int64(take(Int8.self)))
        case .int16: return .int(Int64(take(Int16.self)))
        case .int32: return .int(Int64(take(Int32.self)))
        case .int64: return .int(take(Int64.self))
        case .float: return .float(take(Float.self))
        case .double: return .double(take(Double.self))
        case .int128: return .decimal(take(Int128.self))
        case .view:
            let n = Int(take(UInt32.self))
            let bytes = UnsafeRawBufferPointer(start: cursor, count: n)
            cursor += n
            return type.isText ? .string(String(decoding: bytes, as: UTF8.self)) : .binary(Array(bytes))
        case .list:
            guard case .array(let element) = type else { return .null }
            return .array((0..<take(UInt32.self)).map { _ in part(element) })
        case .map:
            guard case .map(let key, let item) = type else { return .null }
            return .map((0..<take(UInt32.self)).map { _ in
                let k = part(key)
                return .init(k, part(item))
            })
        case .row:
            guard case .row(let fields) = type else { return .null }
            return .row(fields.map { part($0.type) })
        case .null: return .null
        }
    }
}
