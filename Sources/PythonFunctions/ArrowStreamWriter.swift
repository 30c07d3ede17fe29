import StreamCore

/// Columns as a stream of the Arrow IPC format: a schema, at most one record batch, and the end.
/// See https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format
struct ArrowStreamWriter {
    private var nodes: [(Int64, Int64)] = []
    private var buffers: [(Int64, Int64)] = []
    private var body: [UInt8] = []

    /// - Parameter columns: plain or not, of `count` rows; nil for the schema alone.
    static func stream(_ schema: Schema, _ columns: [Column]?, count: Int) -> [UInt8] {
        var out = message(header: 1, body: []) { builder in
            let fields = schema.map { field($0, &builder) }
            let vector = builder.vector(of: fields)
            return builder.table([.short(0), .reference(vector)])
        }
        if let columns {
            var writer = ArrowStreamWriter()
            for column in columns { writer.append(column.flat()) }
            out += message(header: 3, body: writer.body) { builder in
                let nodes = builder.vector(pairs: writer.nodes), buffers = builder.vector(pairs: writer.buffers)
                return builder.table([.long(Int64(count)), .reference(nodes), .reference(buffers)])
            }
        }
        return out + [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]
    }

    private static func message(header: UInt8, body: [UInt8], _ content: (inout FlatBufferBuilder) -> Int) -> [UInt8] {
        var builder = FlatBufferBuilder()
        let inner = content(&builder)
        let root = builder.table([.short(4), .byte(header), .reference(inner), .long(Int64(body.count))])
        var metadata = builder.finish(root: root)
        while metadata.count % 8 != 0 { metadata.append(0) }
        var out: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
        withUnsafeBytes(of: Int32(metadata.count)) { out += $0 }
        return out + metadata + body
    }

    // MARK: schema

    private static func field(_ field: Field, _ builder: inout FlatBufferBuilder) -> Int {
        let children: [Field] =
            switch field.type {
            case .array(let element): [Field("item", element)]
            case .map(let key, let value): [Field("entries", .row([Field("key", key, nullable: false), Field("value", value)]), nullable: false)]
            case .row(let parts): parts
            default: []
            }
        let made = children.map { Self.field($0, &builder) }
        let vector = builder.vector(of: made)
        let (tag, type) = Self.type(field.type, &builder)
        let name = builder.string(field.name)
        return builder.table([.reference(name), .byte(field.nullable ? 1 : 0), .byte(tag), .reference(type), nil, .reference(vector)])
    }

    private static func type(_ type: DataType, _ builder: inout FlatBufferBuilder) -> (tag: UInt8, offset: Int) {
        func integer(_ bits: Int32) -> (UInt8, Int) { (2, builder.table([.int(bits), .byte(1)])) }
        func timestamp(_ precision: Int, _ zone: String?) -> (UInt8, Int) {
            let unit: Int16 = precision <= 3 ? 1 : precision <= 6 ? 2 : 3
            let name = zone.map { builder.string($0) }
            return (10, builder.table([.short(unit), name.map { .reference($0) }]))
        }
        switch type {
        case .boolean: return (6, builder.table([]))
        case .tinyint: return integer(8)
        case .smallint: return integer(16)
        case .int, .intervalYearMonth: return integer(32)
        case .bigint, .intervalDayTime: return integer(64)
        case .float: return (3, builder.table([.short(1)]))
        case .double: return (3, builder.table([.short(2)]))
        case .decimal(let precision, let scale): return (7, builder.table([.int(Int32(precision)), .int(Int32(scale)), .int(128)]))
        case .char, .varchar: return (5, builder.table([]))
        case .binary, .varbinary, .variant: return (4, builder.table([]))
        case .date: return (8, builder.table([.short(0)]))
        case .time: return (9, builder.table([.short(1), .int(32)]))
        case .timestamp(let p): return timestamp(p, nil)
        case .timestampLTZ(let p): return timestamp(p, "UTC")
        case .array: return (12, builder.table([]))
        case .map: return (17, builder.table([.byte(0)]))
        case .row: return (13, builder.table([]))
        case .null: return (1, builder.table([]))
        }
    }

    // MARK: values

    private mutating func append(_ column: Column) {
        let count = column.count
        nodes.append((Int64(count), Int64(column.nullCount)))
        if column.type.physical == .null { return }
        if let validity = column.validity { put(UnsafeRawBufferPointer(start: validity.base, count: Bitmap.byteCount(count))) } else { put([]) }
        switch column.type.physical {
        case .bool:
            var bits = [UInt8](repeating: 0, count: Bitmap.byteCount(count))
            let values = column.pointer(as: UInt8.self)
            for i in 0..<count where values[i] != 0 { bits[i >> 3] |= 1 << UInt8(i & 7) }
            put(bits)
        case .view:
            var offsets: [Int32] = [0], text: [UInt8] = []
            offsets.reserveCapacity(count + 1)
            for i in 0..<count {
                if column.isValid(i) { text.append(contentsOf: column.bytes(at: i)) }
                offsets.append(Int32(truncatingIfNeeded: text.count))
            }
            offsets.withUnsafeBytes { put($0) }
            put(text)
        case .row: for child in column.children { append(child.flat()) }
        case .list, .map:
            put(UnsafeRawBufferPointer(start: column.values.base, count: (count + 1) * 4))
            if column.type.physical == .map { nodes.append((Int64(column.children[0].count), 0)); put([]) }
            for child in column.children { append(child.flat()) }
        default: put(UnsafeRawBufferPointer(start: column.values.base, count: count * column.type.width))
        }
    }

    private mutating func put(_ bytes: [UInt8]) { bytes.withUnsafeBytes { put($0) } }

    private mutating func put(_ bytes: UnsafeRawBufferPointer) {
        buffers.append((Int64(body.count), Int64(bytes.count)))
        body.append(contentsOf: bytes)
        while body.count % 8 != 0 { body.append(0) }
    }
}

/// Rows for programs that read Arrow.
package enum ArrowRows {
    /// A stream of the Arrow IPC format, with the rows in one record batch.
    package static func stream(_ schema: Schema, _ rows: [[Value]]) -> [UInt8] {
        ArrowStreamWriter.stream(schema, Batch(schema: schema, rows: rows).columns, count: rows.count)
    }
}
