import CArrowData
import Synchronization
import Testing

@testable import StreamCore

@Suite("Arrow C Data Interface") struct ArrowTests {
    static let schema: Schema = [
        Field("b", .boolean), Field("i8", .tinyint), Field("i16", .smallint), Field("i32", .int), Field("i64", .bigint),
        Field("f", .float), Field("d", .double), Field("dec", .decimal(precision: 38, scale: 4)), Field("s", .string), Field("z", .bytes),
        Field("day", .date), Field("t", .time(3)), Field("ts3", .timestamp(3)), Field("ts6", .timestamp(6)), Field("ts9", .timestampLTZ(9)),
        Field("list", .array(.string)), Field("map", .map(key: .string, value: .bigint)),
        Field("row", .row([Field("x", .int), Field("y", .array(.row([Field("deep", .boolean)])))])),
    ]

    static func value(_ type: DataType, using random: inout SeededGenerator) -> Value {
        if random.next() % 5 == 0 { return .null }
        let n = Int64(bitPattern: random.next())
        switch type {
        case .boolean: return .bool(n & 1 == 0)
        case .tinyint: return .int(Int64(Int8(truncatingIfNeeded: n)))
        case .smallint: return .int(Int64(Int16(truncatingIfNeeded: n)))
        case .int, .date: return .int(Int64(Int32(truncatingIfNeeded: n)))
        case .time: return .int(Int64(UInt64(bitPattern: n) % 86_400_000))
        case .float: return .float(Float(n % 1_000) / 8)
        case .double: return .double(Double(n % 1_000_000) / 64)
        case .decimal: return .decimal(Int128(n) * 1_000_003)
        case .char, .varchar: return .string(String(repeating: "aé", count: Int(n & 15)))
        case .binary, .varbinary: return .binary((0..<Int(n & 31)).map { UInt8(truncatingIfNeeded: $0) })
        case .array(let e): return .array((0..<Int(n & 3)).map { _ in value(e, using: &random) })
        case .map(let k, let v):
            return .map((0..<Int(n & 3)).map { i in .init(k == .string ? .string("key \(i)") : .int(Int64(i)), value(v, using: &random)) })
        case .row(let fields): return .row(fields.map { value($0.type, using: &random) })
        default: return .int(n >> 12)
        }
    }

    static func batch(rows: Int, seed: UInt64) -> Batch {
        var random = SeededGenerator(state: seed)
        return Batch(schema: schema, rows: (0..<rows).map { _ in schema.map { value($0.type, using: &random) } })
    }

    /// Exports, then imports what was exported.
    static func roundTrip(_ batch: Batch, _ schema: Schema, layout: ArrowLayout) throws -> (Schema, Batch) {
        let (arrowSchema, array) = try batch.exportArrow(schema, layout: layout)
        var exported = arrowSchema
        defer { exported.release(&exported) }
        return (try ArrowImport.fields(of: exported), try ArrowImport.batch(array, schema: exported))
    }

    @Test("every type comes back as it went out", arguments: [0, 1, 7, 8, 64, 1_000], [ArrowLayout.native, ArrowLayout()])
    func roundTrip(rows: Int, layout: ArrowLayout) throws {
        let batch = Self.batch(rows: rows, seed: UInt64(rows) + 1)
        let (fields, back) = try Self.roundTrip(batch, Self.schema, layout: layout)
        #expect(fields == Self.schema)
        #expect(back.rows() == batch.rows(), "seed \(rows + 1)")
    }

    @Test("a selection is applied before the export")
    func selection() throws {
        var batch = Self.batch(rows: 100, seed: 5)
        batch.selection = Selection([3, 50, 51, 99])
        let (_, back) = try Self.roundTrip(batch, Self.schema, layout: .native)
        #expect(back.physicalCount == 4)
        #expect(back.rows() == batch.rows())
    }

    @Test("dictionary and constant columns stay dictionaries in the native layout and are flattened in others")
    func dictionaries() throws {
        let fields = [Field("c", .string), Field("k", .string)]
        let words = Batch(schema: [fields[0]], rows: [[.string("low")], [.string("a much longer word")]]).columns[0]
        let codes = [Int32(1), 0, 0, 1, 1].withUnsafeBytes { Buffer(copying: $0) }
        let validity = Bitmap.make(5, valid: true)
        Bitmap.clear(validity.base, 2)
        let batch = Batch(columns: [Column(type: .string, count: 5, validity: validity, values: codes, dictionary: words),
                                    .constant(.string("same"), type: .string, count: 5)], physicalCount: 5)
        let (_, native) = try Self.roundTrip(batch, fields, layout: .native)
        #expect(native.columns.allSatisfy { $0.dictionary != nil })
        let (_, plain) = try Self.roundTrip(batch, fields, layout: .lake)
        #expect(plain.columns.allSatisfy { $0.dictionary == nil })
        #expect(native.rows() == batch.rows() && plain.rows() == batch.rows())
    }

    @Test("the lake layout has microseconds and 32-bit integers")
    func lakeLayout() throws {
        let fields = [Field("a", .timestamp(3)), Field("b", .timestampLTZ(9)), Field("c", .tinyint)]
        let batch = Batch(schema: fields, rows: [[.int(-1_500), .int(-1), .int(-7)], [.int(2), .int(1_999), .null]])
        let (types, back) = try Self.roundTrip(batch, fields, layout: .lake)
        #expect(types.map(\.type) == [.timestampLTZ(6), .timestampLTZ(6), .int])
        #expect(back.rows() == [[.int(-1_500_000), .int(-1), .int(-7)], [.int(2_000), .int(1), .null]])
    }

    @Test("fixed-width columns and views are exported without a copy")
    func zeroCopy() throws {
        let fields = [Field("n", .bigint), Field("d", .decimal(precision: 20, scale: 2)), Field("s", .string)]
        let batch = Batch(schema: fields, rows: [[.int(1), .decimal(100), .string("longer than twelve bytes")]])
        var (schema, array) = try batch.exportArrow(fields)
        for i in 0..<3 { #expect(array.children[i]!.pointee.buffers[1] == UnsafeRawPointer(batch.columns[i].values.base)) }
        array.release(&array)
        schema.release(&schema)
        #expect(array.release == nil && schema.release == nil)
    }

    @Test("exported memory lives until it is released, and imported memory is released once with its last column")
    func lifetimes() throws {
        var exported: (schema: ArrowSchema, array: ArrowArray)?
        do {
            let batch = Self.batch(rows: 50, seed: 9)
            exported = try batch.exportArrow(Self.schema)
        }
        let expected = Self.batch(rows: 50, seed: 9).rows()
        let back = try ArrowImport.batch(exported!.array, schema: exported!.schema)
        #expect(back.rows() == expected)
        exported!.schema.release(&exported!.schema)
        HandMadeArray.released.store(0, ordering: .relaxed)
        var text: Column?
        do {
            let batch = try ArrowImport.batch(HandMadeArray.make(), schema: ArrowLayout().schema([Field("n", .int), Field("s", .string)]))
            #expect(batch.rows() == [[.int(20), .string("bb")], [.null, .string("")], [.int(40), .string("a text of over twelve bytes")]])
            text = batch.columns[1]
        }
        #expect(HandMadeArray.released.load(ordering: .relaxed) == 0)
        #expect(text!.value(at: 0) == .string("bb"))
        text = nil
        #expect(HandMadeArray.released.load(ordering: .relaxed) == 1)
    }

    @Test("a type without a counterpart is refused by name")
    func unknownType() throws {
        var schema = makeArrowSchema(format: "e", name: "half", nullable: true)
        defer { schema.release(&schema) }
        #expect(throws: StreamError.self) { try ArrowImport.field(of: schema) }
    }

    @Test("the builder gathers rows of many batches", arguments: UInt64(1)..<6)
    func builder(seed: UInt64) throws {
        var random = SeededGenerator(state: seed)
        for (c, field) in Self.schema.enumerated() {
            let builder = ArrowArrayBuilder(type: field.type, layout: ArrowLayout())
            for _ in 0..<2 {
                var expected: [Value] = []
                for part in 0..<5 {
                    let column = Self.batch(rows: 40, seed: seed * 100 + UInt64(part)).columns[c]
                    let rows = (0..<Int(random.next() % 60)).map { _ in Int32(random.next() % 40) }
                    try builder.append(column, rows: rows, count: rows.count)
                    expected += rows.map { column.value(at: Int($0)) }
                }
                var schema = ArrowLayout().schema(name: field.name, field.type, nullable: true)
                let back = try ArrowImport.column(builder.finish(), schema: schema)
                schema.release(&schema)
                #expect((0..<back.count).map { back.value(at: $0) } == expected, "seed \(seed), column \(field.name)")
            }
        }
    }
}

/// SplitMix64: the same numbers for the same seed on every platform.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// A struct array laid out by hand as another library would: with an offset, and counting its releases.
private enum HandMadeArray {
    static let released = Atomic<Int>(0)

    static func leaf(_ buffers: [[UInt8]?], length: Int, nulls: Int, offset: Int) -> UnsafeMutablePointer<ArrowArray> {
        let out = UnsafeMutablePointer<ArrowArray>.allocate(capacity: 1)
        var array = ArrowArray()
        array.length = Int64(length)
        array.null_count = Int64(nulls)
        array.offset = Int64(offset)
        array.n_buffers = Int64(buffers.count)
        let pointers = UnsafeMutablePointer<UnsafeRawPointer?>.allocate(capacity: buffers.count)
        for (i, bytes) in buffers.enumerated() {
            pointers[i] = bytes.map { bytes in
                let memory = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 1), alignment: 8)
                bytes.withUnsafeBytes { memory.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
                return UnsafeRawPointer(memory)
            }
        }
        array.buffers = pointers
        array.release = { array in
            for i in 0..<Int(array!.pointee.n_buffers) { array!.pointee.buffers[i]?.deallocate() }
            array!.pointee.buffers.deallocate()
            array!.pointee.release = nil
        }
        out.initialize(to: array)
        return out
    }

    static func make() -> ArrowArray {
        func ints(_ values: [Int32]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }
        var root = ArrowArray()
        root.length = 3
        root.n_buffers = 1
        root.buffers = .allocate(capacity: 1)
        root.buffers[0] = nil
        root.n_children = 2
        root.children = .allocate(capacity: 2)
        root.children[0] = leaf([[0b1011], ints([10, 20, 30, 40])], length: 3, nulls: 1, offset: 1)
        root.children[1] = leaf([nil, ints([0, 1, 3, 3, 30]), Array("xbba text of over twelve bytes".utf8)], length: 3, nulls: 0, offset: 1)
        root.release = { root in
            for i in 0..<2 {
                let child = root!.pointee.children[i]!
                child.pointee.release(child)
                child.deallocate()
            }
            root!.pointee.children.deallocate()
            root!.pointee.buffers.deallocate()
            root!.pointee.release = nil
            HandMadeArray.released.wrappingAdd(1, ordering: .relaxed)
        }
        return root
    }
}
