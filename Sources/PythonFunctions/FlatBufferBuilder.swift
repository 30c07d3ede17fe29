/// Writes a flatbuffer from its end to its start, as the format asks for: what is referred to comes first.
///
/// Offsets count bytes from the end of the finished buffer.
struct FlatBufferBuilder {
    /// The buffer reversed.
    private var reversed: [UInt8] = []
    private var alignment = 4

    var offset: Int { reversed.count }

    /// Padding so that `size` more bytes end at a multiple of `align`.
    private mutating func align(_ align: Int, size: Int) {
        alignment = max(alignment, align)
        while (reversed.count + size) % align != 0 { reversed.append(0) }
    }

    private mutating func put<T: FixedWidthInteger>(_ value: T) {
        for shift in stride(from: T.bitWidth - 8, through: 0, by: -8) { reversed.append(UInt8(truncatingIfNeeded: value >> T(shift))) }
    }

    private mutating func put(reference target: Int) {
        align(4, size: 4)
        put(UInt32(reversed.count + 4 - target))
    }

    mutating func string(_ text: String) -> Int {
        let bytes = Array(text.utf8)
        align(4, size: bytes.count + 1)
        reversed.append(0)
        reversed += bytes.reversed()
        put(UInt32(bytes.count))
        return offset
    }

    mutating func vector(of targets: [Int]) -> Int {
        align(4, size: targets.count * 4)
        for target in targets.reversed() { put(reference: target) }
        put(UInt32(targets.count))
        return offset
    }

    /// Structs of two 64-bit numbers.
    mutating func vector(pairs: [(Int64, Int64)]) -> Int {
        align(4, size: pairs.count * 16)
        align(8, size: pairs.count * 16)
        for (first, second) in pairs.reversed() {
            put(second)
            put(first)
        }
        put(UInt32(pairs.count))
        return offset
    }

    /// A field of a table: a number, or a reference to something written before.
    enum Cell {
        case byte(UInt8), short(Int16), int(Int32), long(Int64), reference(Int)
    }

    /// A table; nil for fields that are left out.
    mutating func table(_ cells: [Cell?]) -> Int {
        let start = offset
        var places = [Int](repeating: 0, count: cells.count)
        for (i, cell) in cells.enumerated().reversed() {
            guard let cell else { continue }
            switch cell {
            case .byte(let v): put(v)
            case .short(let v):
                align(2, size: 2)
                put(v)
            case .int(let v):
                align(4, size: 4)
                put(v)
            case .long(let v):
                align(8, size: 8)
                put(v)
            case .reference(let target): put(reference: target)
            }
            places[i] = offset
        }
        align(4, size: 4)
        put(Int32(0))
        let table = offset
        for place in places.reversed() { put(UInt16(place == 0 ? 0 : table - place)) }
        put(UInt16(table - start))
        put(UInt16(4 + 2 * cells.count))
        // The table begins with the distance to its list of field places, which stands before it.
        let distance = Int32(offset - table)
        for i in 0..<4 { reversed[table - 1 - i] = UInt8(truncatingIfNeeded: distance >> Int32(8 * i)) }
        return table
    }

    mutating func finish(root: Int) -> [UInt8] {
        align(alignment, size: 4)
        put(reference: root)
        return reversed.reversed()
    }
}

/// Reads tables of a flatbuffer. Offsets that lead outside give a `.corrupt` error.
struct FlatBufferTable {
    private let bytes: UnsafeRawBufferPointer
    private let position: Int
    private let fields: Int, fieldCount: Int

    init(root bytes: UnsafeRawBufferPointer) throws {
        try self.init(bytes, at: Int(Self.load(bytes, 0, UInt32.self)))
    }

    private init(_ bytes: UnsafeRawBufferPointer, at position: Int) throws {
        self.bytes = bytes
        self.position = position
        fields = position - Int(try Self.load(bytes, position, Int32.self))
        fieldCount = (Int(try Self.load(bytes, fields, UInt16.self)) - 4) / 2
    }

    static func load<T: FixedWidthInteger & BitwiseCopyable>(_ bytes: UnsafeRawBufferPointer, _ at: Int, _: T.Type) throws -> T {
        guard at >= 0, at + MemoryLayout<T>.size <= bytes.count else { throw ArrowStreamReader.damaged("an offset leads outside of its message") }
        return bytes.loadUnaligned(fromByteOffset: at, as: T.self)
    }

    private func place(_ field: Int) throws -> Int? {
        guard field < fieldCount else { return nil }
        let offset = Int(try Self.load(bytes, fields + 4 + 2 * field, UInt16.self))
        return offset == 0 ? nil : position + offset
    }

    func number<T: FixedWidthInteger & BitwiseCopyable>(_ field: Int, _ type: T.Type) throws -> T {
        try place(field).map { try Self.load(bytes, $0, type) } ?? 0
    }

    func table(_ field: Int) throws -> FlatBufferTable? {
        guard let place = try place(field) else { return nil }
        return try FlatBufferTable(bytes, at: place + Int(try Self.load(bytes, place, UInt32.self)))
    }

    func pairs(_ field: Int) throws -> [(Int64, Int64)] {
        guard let place = try place(field) else { return [] }
        let start = place + Int(try Self.load(bytes, place, UInt32.self))
        let count = Int(try Self.load(bytes, start, UInt32.self))
        guard count <= bytes.count / 16 else { throw ArrowStreamReader.damaged("it counts \(count) parts in \(bytes.count) bytes") }
        return try (0..<count).map { i in
            (try Self.load(bytes, start + 4 + 16 * i, Int64.self), try Self.load(bytes, start + 12 + 16 * i, Int64.self))
        }
    }
}
