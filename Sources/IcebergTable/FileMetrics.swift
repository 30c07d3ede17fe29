import CArrowShim
import LakeTable
import StreamCore

/// Sizes, counts and bounds of the columns of a data file, as its footer has them.
struct FileMetrics {
    private(set) var columnSizes: [Int: Int64] = [:]
    private(set) var valueCounts: [Int: Int64] = [:]
    private(set) var nullCounts: [Int: Int64] = [:]
    private(set) var lower: [Int: [UInt8]] = [:]
    private(set) var upper: [Int: [UInt8]] = [:]
    /// Columns of which a row group said nothing.
    private var unknownNulls: Set<Int> = [], unknownBounds: Set<Int> = []

    /// - Parameter types: of all columns, nested ones too, by id.
    init(_ reader: ParquetReader, types: [Int: IcebergType]) throws {
        try reader.forEachLeaf { leaf in
            let id = Int(leaf.field_id)
            guard let type = types[id] else { return }
            columnSizes[id, default: 0] += leaf.compressed_bytes
            valueCounts[id, default: 0] += leaf.values
            if leaf.has_nulls { nullCounts[id, default: 0] += leaf.nulls } else { unknownNulls.insert(id) }
            guard leaf.has_bounds, !leaf.repeated else {
                // A row group of nothing but nulls has no bounds, and needs none.
                if !leaf.has_nulls || leaf.nulls < leaf.values { unknownBounds.insert(id) }
                return
            }
            guard let low = Self.single(leaf.lower, leaf.lower_length, type), let high = Self.single(leaf.upper, leaf.upper_length, type) else {
                unknownBounds.insert(id)
                return
            }
            if lower[id].map({ SingleValue.precedes(low, $0, type) }) ?? true { lower[id] = low }
            if upper[id].map({ SingleValue.precedes($0, high, type) }) ?? true { upper[id] = high }
        }
        for id in unknownNulls { nullCounts[id] = nil }
        for id in unknownBounds { (lower[id], upper[id]) = (nil, nil) }
        for (id, bound) in lower { lower[id] = SingleValue.shortened(bound, types[id]!, upper: false) }
        for (id, bound) in upper { upper[id] = SingleValue.shortened(bound, types[id]!, upper: true) }
    }

    /// Iceberg's form of a value in Parquet's plain encoding; nil for types without bounds.
    private static func single(_ start: UnsafePointer<CChar>?, _ length: Int64, _ type: IcebergType) -> [UInt8]? {
        let bytes = [UInt8](UnsafeRawBufferPointer(start: start, count: Int(length)))
        switch type {
        case .decimal: return SingleValue.minimal(bytes)
        case .list, .map, .structure: return nil
        case .float where bytes.count == 4, .double where bytes.count == 8: return bytes
        default: return bytes
        }
    }
}

/// Single values in binary: numbers little-endian, decimals as the shortest big-endian two's complement, text and binary as they are.
enum SingleValue {
    /// Text and binary bounds are cut to this many characters or bytes.
    private static let boundLength = 16

    static func minimal(_ bigEndian: [UInt8]) -> [UInt8] {
        var bytes = bigEndian[...]
        while bytes.count > 1, let first = bytes.first, let next = bytes.dropFirst().first, first == 0 && next < 0x80 || first == 0xFF && next >= 0x80 {
            bytes = bytes.dropFirst()
        }
        return Array(bytes)
    }

    static func int(_ bytes: [UInt8]) -> Int64 {
        let value = bytes.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let unused = UInt64(64 - min(bytes.count, 8) * 8)
        return Int64(bitPattern: value << unused) >> Int64(unused)
    }

    static func precedes(_ a: [UInt8], _ b: [UInt8], _ type: IcebergType) -> Bool {
        switch type {
        case .boolean: a[0] < b[0]
        case .int, .long, .date, .time, .timestamp, .timestamptz: int(a) < int(b)
        case .float: Float(bitPattern: UInt32(truncatingIfNeeded: int(a))) < Float(bitPattern: UInt32(truncatingIfNeeded: int(b)))
        case .double: Double(bitPattern: UInt64(bitPattern: int(a))) < Double(bitPattern: UInt64(bitPattern: int(b)))
        case .decimal: decimal(a) < decimal(b)
        default: a.lexicographicallyPrecedes(b)
        }
    }

    static func decimal(_ bigEndian: [UInt8]) -> Int128 {
        var value: Int128 = bigEndian.first.map { $0 >= 0x80 ? -1 : 0 } ?? 0
        for byte in bigEndian { value = value << 8 | Int128(byte) }
        return value
    }

    /// A bound that is no longer than needed: a prefix for the lower one, and one that comes after all values with that prefix for the upper one;
    /// nil when there is none.
    static func shortened(_ bound: [UInt8], _ type: IcebergType, upper: Bool) -> [UInt8]? {
        switch type {
        case .string:
            var scalars = Array(String(decoding: bound, as: UTF8.self).unicodeScalars)
            guard scalars.count > boundLength else { return bound }
            scalars.removeSubrange(boundLength...)
            if upper {
                while let last = scalars.popLast() {
                    // The code points between are not characters.
                    let next = last.value == 0xD7FF ? 0xE000 : last.value + 1
                    guard let scalar = Unicode.Scalar(next) else { continue }
                    scalars.append(scalar)
                    break
                }
                if scalars.isEmpty { return nil }
            }
            var text = ""
            text.unicodeScalars.append(contentsOf: scalars)
            return Array(text.utf8)
        case .binary:
            guard bound.count > boundLength else { return bound }
            var bytes = Array(bound[..<boundLength])
            if upper {
                while let last = bytes.popLast() {
                    guard last < 0xFF else { continue }
                    bytes.append(last + 1)
                    break
                }
                if bytes.isEmpty { return nil }
            }
            return bytes
        default: return bound
        }
    }

    /// A value of a partition tuple; nil for NULL.
    static func bytes(_ value: AvroValue, _ type: IcebergType) -> [UInt8]? {
        switch (type, value) {
        case (.boolean, .bool(let b)): [b ? 1 : 0]
        case (.int, .int(let n)), (.date, .int(let n)): withUnsafeBytes(of: Int32(truncatingIfNeeded: n).littleEndian) { Array($0) }
        case (_, .int(let n)): withUnsafeBytes(of: n.littleEndian) { Array($0) }
        case (_, .float(let f)): withUnsafeBytes(of: f.bitPattern.littleEndian) { Array($0) }
        case (_, .double(let d)): withUnsafeBytes(of: d.bitPattern.littleEndian) { Array($0) }
        case (_, .string(let s)): Array(s.utf8)
        case (_, .bytes(let b)): b
        default: nil
        }
    }
}

/// Partition tuples of specs whose parts are the columns' own values.
struct PartitionTuple {
    let spec: PartitionSpec
    let types: [IcebergType]
    /// Names of the columns.
    let columns: [String]
    private let rules: KeyRules

    init(_ spec: PartitionSpec, _ schema: IcebergSchema) throws {
        self.spec = spec
        guard spec.isIdentity else {
            let part = spec.parts.first { $0.transform != "identity" }!
            throw StreamError(.validate, "the Iceberg table is partitioned by \(part.transform) (\(part.name)); only identity partitions can be written",
                              fix: "write the table with another engine, or one that is partitioned by columns")
        }
        types = try spec.parts.map { part in
            guard let field = schema.field(part.source) else { throw StreamError(.validate, "the Iceberg table is partitioned by column id \(part.source), which is no top-level column") }
            switch field.type {
            case .boolean, .int, .long, .string, .date, .timestamp, .timestamptz: return field.type
            default: throw StreamError(.validate, "the Iceberg table is partitioned by column \(field.name) of type \(field.type.dataType), which cannot be written",
                                       fix: "partition by text, integers, booleans, dates or timestamps")
            }
        }
        columns = spec.parts.map { part in schema.field(part.source)!.name }
        rules = Self.rules(table: "", keys: [], partitions: columns)
    }

    static func rules(table: String, keys: [String], partitions: [String]) -> KeyRules {
        var rules = KeyRules(tableName: table, recordKeyFields: keys, partitionFields: partitions, namesKeys: false, hiveStyle: true, urlEncode: true)
        rules.emptyIsNull = false
        return rules
    }

    var avroFields: [JSON] { zip(spec.parts, types).map { ManifestSchemas.partition($0, $1) } }

    /// The texts of a tuple, as the key generator writes values; nil = NULL.
    func texts(_ tuple: [AvroValue]) -> [String?] {
        zip(types, tuple).map { type, value in
            switch (type, value) {
            case (.date, .int(let n)): TextColumn.date(n)
            case (_, .int(let n)): String(n)
            case (_, .bool(let b)): b ? "true" : "false"
            case (_, .string(let s)): s
            default: nil
            }
        }
    }

    /// The folder that the key generator names for a tuple.
    func path(_ tuple: [AvroValue]) throws -> String {
        try zip(columns, texts(tuple)).map { try PartitionPath.level(field: $0, value: $1 ?? PartitionPath.defaultName, rules) }.joined(separator: "/")
    }

    /// The tuple of texts that the key generator made of values.
    func tuple(_ texts: [String?]) throws -> [AvroValue] {
        try zip(types, texts).map { type, text in
            guard let text else { return .null }
            func damaged() -> StreamError { StreamError(.runtime, "'\(text)' is no partition value of type \(type.dataType)") }
            switch type {
            case .boolean: return .bool(text == "true")
            case .string: return .string(text)
            case .date:
                guard let days = Array(text.utf8).withUnsafeBytes({ DateTimeText.parseDate($0) }) else { throw damaged() }
                return .int(Int64(days))
            default:
                guard let n = Int64(text) else { throw damaged() }
                return .int(n)
            }
        }
    }

    /// What the list says of the partitions of a manifest's files.
    func summaries(_ files: [DataFile]) -> AvroValue {
        guard !types.isEmpty else { return .array([]) }
        return .array(types.enumerated().map { i, type in
            var hasNull = false, low: [UInt8]?, high: [UInt8]?
            for file in files {
                guard let bytes = SingleValue.bytes(file.partition[i], type) else {
                    hasNull = true
                    continue
                }
                if low.map({ SingleValue.precedes(bytes, $0, type) }) ?? true { low = bytes }
                if high.map({ SingleValue.precedes($0, bytes, type) }) ?? true { high = bytes }
            }
            return .record([.bool(hasNull), .bool(false), low.map { .bytes($0) } ?? .null, high.map { .bytes($0) } ?? .null])
        })
    }
}
