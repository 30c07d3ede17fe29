import CArrowData

/// Reads arrays of the Arrow C Data Interface as columns, without a copy where the layouts agree.
public enum ArrowImport {
    /// The fields of a struct schema. The schema is not released.
    /// - Throws: `.validate` for types that have no counterpart here.
    public static func fields(of schema: ArrowSchema) throws -> Schema {
        try (0..<Int(schema.n_children)).map { try field(of: schema.children[$0]!.pointee) }
    }

    /// One field of a schema.
    public static func field(of schema: ArrowSchema) throws -> Field {
        let name = schema.name.map { String(cString: $0) } ?? ""
        return Field(name, try type(of: schema, path: name), nullable: schema.flags & 2 != 0)
    }

    static func type(of schema: ArrowSchema, path: String) throws -> DataType {
        if let dictionary = schema.dictionary { return try type(of: dictionary.pointee, path: path) }
        let format = String(cString: schema.format)
        func child(_ i: Int) throws -> DataType { try type(of: schema.children[i]!.pointee, path: path) }
        switch format {
        case "n": return .null
        case "b": return .boolean
        case "c": return .tinyint
        case "C", "s": return .smallint
        case "S", "i": return .int
        case "I", "l": return .bigint
        case "f": return .float
        case "g": return .double
        case "u", "U", "vu": return .string
        case "z", "Z", "vz": return .bytes
        case "tdD", "tdm": return .date
        case "tts", "ttm", "ttu", "ttn": return .time(3)
        case "tiM": return .intervalYearMonth
        case "tDs", "tDm", "tDu", "tDn": return .intervalDayTime
        case "+l", "+L": return .array(try child(0))
        case "+m":
            let entries = schema.children[0]!.pointee
            return .map(key: try type(of: entries.children[0]!.pointee, path: path), value: try type(of: entries.children[1]!.pointee, path: path))
        case "+s": return .row(try fields(of: schema))
        default: break
        }
        if format.hasPrefix("w:") { return .binary(Int(format.dropFirst(2)) ?? 1) }
        if format.hasPrefix("ts"), let unit = format.dropFirst(2).first {
            let precision = unit == "s" || unit == "m" ? 3 : unit == "u" ? 6 : 9
            return format.hasSuffix(":") ? .timestamp(precision) : .timestampLTZ(precision)
        }
        if format.hasPrefix("d:") {
            let parts = format.dropFirst(2).split(separator: ",").compactMap { Int($0) }
            if parts.count == 2 || parts.count == 3 && parts[2] == 128, parts[0] <= 38 {
                return .decimal(precision: parts[0], scale: parts[1])
            }
        }
        throw StreamError(.validate, "column \(path): Arrow type \"\(format)\" has no SQL counterpart here")
    }

    /// Takes over a struct array: it is released when the last column that uses its memory goes.
    public static func batch(_ array: ArrowArray, schema: ArrowSchema) throws -> Batch {
        let owner = ImportedArray(array)
        let columns = try (0..<Int(schema.n_children)).map { i in
            try column(array.children[i]!.pointee, schema.children[i]!.pointee, start: Int(array.offset), count: Int(array.length), owner)
        }
        return Batch(columns: columns, physicalCount: Int(array.length))
    }

    /// Takes over an array: it is released when the column goes.
    public static func column(_ array: ArrowArray, schema: ArrowSchema) throws -> Column {
        try column(array, schema, start: 0, count: Int(array.length), ImportedArray(array))
    }

    /// Rows `start..<start + count` of a node, counted from its own offset.
    private static func column(_ array: ArrowArray, _ schema: ArrowSchema, start: Int, count: Int,
                               _ owner: ImportedArray) throws -> Column {
        let type = try type(of: schema, path: schema.name.map { String(cString: $0) } ?? "")
        let at = Int(array.offset) + start
        let format = String(cString: schema.format)
        if format == "n" { return .nulls(type: .null, count: count) }
        let validity = array.null_count == 0 ? nil : array.buffers[0].map { bitmap($0, from: at, count: count, owner) }
        if let dictionary = array.dictionary {
            let inner = try column(dictionary.pointee, schema.dictionary.pointee, start: 0, count: Int(dictionary.pointee.length), owner)
            guard inner.nullCount == 0 else { throw StreamError(.validate, "an Arrow dictionary holds nulls; only its indices may be null") }
            return Column(type: type, count: count, validity: validity, values: try codes(array, format, at, count, owner), dictionary: inner)
        }
        switch format {
        case "b":
            let out = Buffer(capacity: count), bits = array.buffers[1]
            let to = out.pointer(as: UInt8.self)
            for i in 0..<count { to[i] = Bitmap.get(bits!, at + i) ? 1 : 0 }
            return Column(type: type, count: count, validity: validity, values: out)
        case "C": return Column(type: type, count: count, validity: validity, values: convert(array, at, count, UInt8.self) { Int16($0) })
        case "S": return Column(type: type, count: count, validity: validity, values: convert(array, at, count, UInt16.self) { Int32($0) })
        case "I": return Column(type: type, count: count, validity: validity, values: convert(array, at, count, UInt32.self) { Int64($0) })
        case "tdm": return Column(type: type, count: count, validity: validity, values: convert(array, at, count, Int64.self) { Int32(floorDivide($0, 86_400_000)) })
        case "tts": return Column(type: type, count: count, validity: validity, values: convert(array, at, count, Int32.self) { $0 &* 1_000 })
        case "ttu": return Column(type: type, count: count, validity: validity, values: convert(array, at, count, Int64.self) { Int32($0 / 1_000) })
        case "ttn": return Column(type: type, count: count, validity: validity, values: convert(array, at, count, Int64.self) { Int32($0 / 1_000_000) })
        case "tDs": return Column(type: type, count: count, validity: validity, values: convert(array, at, count, Int64.self) { $0 &* 1_000 })
        case "tDu": return Column(type: type, count: count, validity: validity, values: convert(array, at, count, Int64.self) { floorDivide($0, 1_000) })
        case "tDn": return Column(type: type, count: count, validity: validity, values: convert(array, at, count, Int64.self) { floorDivide($0, 1_000_000) })
        case _ where format.hasPrefix("tss:"):
            return Column(type: type, count: count, validity: validity, values: convert(array, at, count, Int64.self) { $0 &* 1_000 })
        case "u", "z": return try text(type, array, at, count, validity, Int32.self, owner)
        case "U", "Z": return try text(type, array, at, count, validity, Int64.self, owner)
        case "vu", "vz":
            let heaps = (0..<max(0, Int(array.n_buffers) - 3)).map { i in
                let sizes = array.buffers[Int(array.n_buffers) - 1]!.assumingMemoryBound(to: Int64.self)
                return foreign(array.buffers[2 + i], Int(sizes[i]), owner)
            }
            return Column(type: type, count: count, validity: validity, values: foreign(array.buffers[1].map { $0 + at * 16 }, count * 16, owner), heaps: heaps)
        case _ where format.hasPrefix("w:"): return fixedBinary(type, array, at, count, validity, width: Int(format.dropFirst(2)) ?? 1)
        case "+s":
            let children = try (0..<Int(schema.n_children)).map {
                try column(array.children[$0]!.pointee, schema.children[$0]!.pointee, start: at, count: count, owner)
            }
            return Column(type: type, count: count, validity: validity, values: .empty, children: children)
        case "+l", "+L", "+m":
            let (offsets, first, total) = try listOffsets(array, format, at, count)
            let inner = array.children[0]!.pointee, innerSchema = schema.children[0]!.pointee
            let children: [Column]
            if format == "+m" {
                children = try (0..<2).map {
                    try column(inner.children[$0]!.pointee, innerSchema.children[$0]!.pointee, start: Int(inner.offset) + first, count: total, owner)
                }
            } else {
                children = [try column(inner, innerSchema, start: first, count: total, owner)]
            }
            return Column(type: type, count: count, validity: validity, values: offsets, children: children)
        default:
            // The rest is stored alike on both sides.
            return Column(type: type, count: count, validity: validity,
                          values: foreign(array.buffers[1].map { $0 + at * type.width }, count * type.width, owner))
        }
    }

    private static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 { a >= 0 ? a / b : -((b - 1 - a) / b) }

    private static func foreign(_ start: UnsafeRawPointer?, _ bytes: Int, _ owner: ImportedArray) -> Buffer {
        guard let start, bytes > 0 else { return .empty }
        return Buffer(foreign: UnsafeMutableRawPointer(mutating: start), capacity: bytes) { _ = owner }
    }

    /// Bits `from...` as a bitmap that starts at bit 0 and can be read in whole words.
    private static func bitmap(_ bits: UnsafeRawPointer, from: Int, count: Int, _ owner: ImportedArray) -> Buffer {
        let out = Bitmap.make(count, valid: false)
        if from & 7 == 0 {
            out.base.copyMemory(from: bits + from / 8, byteCount: Bitmap.byteCount(count))
        } else {
            for i in 0..<count where Bitmap.get(bits, from + i) { Bitmap.set(out.base, i) }
        }
        return out
    }

    private static func convert<T: BitwiseCopyable, U: BitwiseCopyable>(_ array: ArrowArray, _ at: Int, _ count: Int, _: T.Type,
                                                                        _ f: (T) -> U) -> Buffer {
        let out = Buffer(capacity: count * MemoryLayout<U>.stride)
        guard count > 0 else { return out }
        let from = array.buffers[1]!.assumingMemoryBound(to: T.self) + at, to = out.pointer(as: U.self)
        for i in 0..<count { to[i] = f(from[i]) }
        return out
    }

    private static func codes(_ array: ArrowArray, _ format: String, _ at: Int, _ count: Int, _ owner: ImportedArray) throws -> Buffer {
        switch format {
        case "c": return convert(array, at, count, Int8.self) { Int32($0) }
        case "C": return convert(array, at, count, UInt8.self) { Int32($0) }
        case "s": return convert(array, at, count, Int16.self) { Int32($0) }
        case "S": return convert(array, at, count, UInt16.self) { Int32($0) }
        case "i", "I": return foreign(array.buffers[1].map { $0 + at * 4 }, count * 4, owner)
        case "l", "L": return convert(array, at, count, Int64.self) { Int32(truncatingIfNeeded: $0) }
        default: throw StreamError(.validate, "an Arrow dictionary has indices of type \"\(format)\"")
        }
    }

    private static func text<O: FixedWidthInteger & BitwiseCopyable>(_ type: DataType, _ array: ArrowArray, _ at: Int, _ count: Int, _ validity: Buffer?,
                                                   _: O.Type, _ owner: ImportedArray) throws -> Column {
        guard count > 0 else { return Column(type: type, count: 0, values: .empty) }
        let offsets = array.buffers[1]!.assumingMemoryBound(to: O.self) + at
        let (first, last) = (Int(offsets[0]), Int(offsets[count]))
        guard last - first <= Int(Int32.max) else {
            throw StreamError(.runtime, "\(last - first) bytes of text in one Arrow array pass the limit of 2 GiB")
        }
        let views = Buffer(capacity: count * 16)
        let to = views.pointer(as: StringView.self)
        guard let start = array.buffers[2].map({ $0 + first }) else {
            to.update(repeating: .empty, count: count)
            return Column(type: type, count: count, validity: validity, values: views)
        }
        for i in 0..<count {
            let from = Int(offsets[i]) - first, n = Int(offsets[i + 1]) - first - from
            to[i] = .make(start + from, n, heapIndex: 0, offset: from)
        }
        return Column(type: type, count: count, validity: validity, values: views, heaps: [foreign(start, last - first, owner)])
    }

    private static func fixedBinary(_ type: DataType, _ array: ArrowArray, _ at: Int, _ count: Int, _ validity: Buffer?, width: Int) -> Column {
        let builder = ColumnBuilder(type: type, capacity: count)
        for i in 0..<count { builder.append(bytes: UnsafeRawBufferPointer(start: array.buffers[1]! + (at + i) * width, count: width)) }
        let plain = builder.finish()
        return Column(type: type, count: count, validity: validity, values: plain.values, heaps: plain.heaps)
    }

    /// Offsets that start at 0, the first child row, and the number of child rows.
    private static func listOffsets(_ array: ArrowArray, _ format: String, _ at: Int, _ count: Int) throws -> (Buffer, Int, Int) {
        let out = Buffer(zeroed: (count + 1) * 4), to = out.pointer(as: Int32.self)
        guard count > 0 else { return (out, 0, 0) }
        if format == "+L" {
            let from = array.buffers[1]!.assumingMemoryBound(to: Int64.self) + at
            guard from[count] - from[0] <= Int64(Int32.max) else { throw StreamError(.runtime, "an Arrow list array has over 2^31 elements") }
            for i in 0...count { to[i] = Int32(from[i] - from[0]) }
            return (out, Int(from[0]), Int(to[count]))
        }
        let from = array.buffers[1]!.assumingMemoryBound(to: Int32.self) + at
        for i in 0...count { to[i] = from[i] - from[0] }
        return (out, Int(from[0]), Int(to[count]))
    }
}

/// Releases an imported array when nobody uses its memory any more.
private final class ImportedArray: @unchecked Sendable {  // SAFETY: never changed after init; release runs once, in deinit
    private var array: ArrowArray

    init(_ array: ArrowArray) { self.array = array }

    deinit { array.release?(&array) }
}
