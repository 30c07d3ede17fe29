import StreamCore

/// Reads the record batches of an Arrow IPC stream whose schema is known.
struct ArrowStreamReader {
    static func damaged(_ what: String) -> StreamError { StreamError(.corrupt, "an answer of a Python worker is no Arrow stream: \(what)") }

    private let body: UnsafeRawBufferPointer
    private let buffers: [(Int64, Int64)]
    private var nodes: ArraySlice<(Int64, Int64)>
    private var next = 0

    /// The columns of the only batch of a stream.
    static func columns(_ stream: [UInt8], _ types: [DataType]) throws -> (columns: [Column], count: Int) {
        try stream.withUnsafeBytes { bytes in
            var at = 0
            while at + 8 <= bytes.count {
                guard try FlatBufferTable.load(bytes, at, UInt32.self) == 0xFFFF_FFFF else { throw damaged("a message has no mark") }
                let size = Int(try FlatBufferTable.load(bytes, at + 4, Int32.self))
                if size == 0 { break }
                let start = at + 8
                guard size > 0, start + size <= bytes.count else { throw damaged("a message is cut off") }
                let message = try FlatBufferTable(root: UnsafeRawBufferPointer(rebasing: bytes[start..<start + size]))
                let length = Int(try message.number(3, Int64.self))
                guard length >= 0, start + size + length <= bytes.count else { throw damaged("a message's body is cut off") }
                if try message.number(1, UInt8.self) == 3, let batch = try message.table(2) {
                    let body = UnsafeRawBufferPointer(rebasing: bytes[start + size..<start + size + length])
                    var reader = ArrowStreamReader(body: body, buffers: try batch.pairs(2), nodes: try batch.pairs(1)[...])
                    return (try types.map { try reader.column($0) }, Int(try batch.number(0, Int64.self)))
                }
                at = start + size + length
            }
            return (types.map { ColumnBuilder(type: $0).finish() }, 0)
        }
    }

    private init(body: UnsafeRawBufferPointer, buffers: [(Int64, Int64)], nodes: ArraySlice<(Int64, Int64)>) {
        self.body = body
        self.buffers = buffers
        self.nodes = nodes
    }

    private mutating func buffer(atLeast bytes: Int) throws -> UnsafeRawBufferPointer {
        guard next < buffers.count else { throw Self.damaged("it has too few buffers") }
        let (offset, length) = buffers[next]
        next += 1
        guard offset >= 0, length >= 0, Int(offset) + Int(length) <= body.count, Int(length) >= bytes else { throw Self.damaged("a buffer is cut off") }
        return UnsafeRawBufferPointer(rebasing: body[Int(offset)..<Int(offset) + Int(length)])
    }

    private mutating func node() throws -> (count: Int, nulls: Int) {
        guard let (count, nulls) = nodes.popFirst(), count >= 0, count < 1 << 31 else { throw Self.damaged("it has too few columns") }
        return (Int(count), Int(nulls))
    }

    private mutating func validity(_ count: Int, _ nulls: Int) throws -> Buffer? {
        let bits = try buffer(atLeast: nulls == 0 ? 0 : Bitmap.byteCount(count))
        guard nulls > 0 else { return nil }
        let copy = Bitmap.make(count, valid: false)
        copy.base.copyMemory(from: bits.baseAddress!, byteCount: Bitmap.byteCount(count))
        return copy
    }

    private mutating func column(_ type: DataType) throws -> Column {
        let (count, nulls) = try node()
        if type.physical == .null { return .nulls(type: type, count: count) }
        let validity = try validity(count, nulls)
        switch type.physical {
        case .bool:
            let bits = try buffer(atLeast: Bitmap.byteCount(count))
            let values = Buffer(capacity: count)
            let out = values.pointer(as: UInt8.self)
            for i in 0..<count { out[i] = Bitmap.get(bits.baseAddress!, i) ? 1 : 0 }
            return Column(type: type, count: count, validity: validity, values: values)
        case .view:
            let offsets = try offsets(count)
            let text = Buffer(copying: try buffer(atLeast: Int(offsets[count])))
            let values = Buffer(zeroed: count * 16)
            let out = values.pointer(as: StringView.self)
            for i in 0..<count {
                let start = Int(offsets[i]), length = Int(offsets[i + 1]) - start
                if length > 0 { out[i] = StringView.make(text.base + start, length, heapIndex: 0, offset: start) }
            }
            return Column(type: type, count: count, validity: validity, values: values, heaps: [text])
        case .row:
            guard case .row(let fields) = type else { throw Self.damaged("a row has no fields") }
            return Column(type: type, count: count, validity: validity, values: .empty, children: try fields.map { try column($0.type) })
        case .list, .map:
            let values = try offsets(count).withUnsafeBytes { Buffer(copying: $0) }
            let children: [Column]
            switch type {
            case .array(let element): children = [try column(element)]
            case .map(let key, let value):
                _ = try node()
                _ = try buffer(atLeast: 0)
                children = [try column(key), try column(value)]
            default: throw Self.damaged("a list has no elements")
            }
            guard values.pointer(as: Int32.self)[count] <= children[0].count else { throw Self.damaged("a list leads outside of its elements") }
            return Column(type: type, count: count, validity: validity, values: values, children: children)
        default:
            let bytes = try buffer(atLeast: count * type.width)
            return Column(type: type, count: count, validity: validity, values: Buffer(copying: UnsafeRawBufferPointer(rebasing: bytes.prefix(count * type.width))))
        }
    }

    /// Offsets of `count` values, ascending from 0 or more. None are written for no values.
    private mutating func offsets(_ count: Int) throws -> [Int32] {
        let bytes = try buffer(atLeast: count == 0 ? 0 : (count + 1) * 4)
        if count == 0 { return [0] }
        let offsets = (0...count).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self) }
        guard offsets[0] >= 0, zip(offsets, offsets.dropFirst()).allSatisfy({ $0 <= $1 }) else { throw Self.damaged("offsets go down") }
        return offsets
    }
}
