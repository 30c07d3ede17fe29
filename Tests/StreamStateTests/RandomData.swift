import StreamCore
import StreamTesting

/// Types, values and batches of all shapes that a seed decides on.
struct RandomData {
    var random: SeededRandom
    init(_ seed: UInt64) { random = SeededRandom(seed) }

    mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    mutating func chance(_ percent: Int) -> Bool { int(1...100) <= percent }

    mutating func type(depth: Int = 0) -> DataType {
        switch int(0...(depth < 3 ? 21 : 18)) {
        case 0: return .boolean
        case 1: return .tinyint
        case 2: return .smallint
        case 3: return .int
        case 4: return .bigint
        case 5: return .float
        case 6: return .double
        case 7: return .decimal(precision: int(1...38), scale: int(0...10))
        case 8: return .char(int(1...20))
        case 9: return chance(50) ? .string : .varchar(int(1...100))
        case 10: return .binary(int(1...20))
        case 11: return chance(50) ? .bytes : .varbinary(int(1...100))
        case 12: return .date
        case 13: return .time(int(0...3))
        case 14: return .timestamp(int(0...9))
        case 15: return .timestampLTZ(int(0...9))
        case 16: return .intervalYearMonth
        case 17: return .intervalDayTime
        case 18: return .null
        case 19: return .array(type(depth: depth + 1))
        case 20: return .map(key: type(depth: depth + 1), value: type(depth: depth + 1))
        default:
            return .row((0..<int(1...3)).map { Field("part ü\($0)", type(depth: depth + 1), nullable: chance(80)) })
        }
    }

    mutating func value(_ type: DataType, nulls: Int, depth: Int = 0) -> Value {
        if type == .null || chance(nulls) { return .null }
        switch type.physical {
        case .bool: return .bool(chance(50))
        case .int8: return .int(Int64(Int8.random(in: .min ... .max, using: &random)))
        case .int16: return .int(Int64(Int16.random(in: .min ... .max, using: &random)))
        case .int32: return .int(Int64(Int32.random(in: .min ... .max, using: &random)))
        case .int64: return .int(Int64.random(in: .min ... .max, using: &random))
        case .float: return .float(Float.random(in: -1e6...1e6, using: &random))
        case .double: return .double(Double.random(in: -1e9...1e9, using: &random))
        case .int128: return .decimal(Int128(Int64.random(in: .min ... .max, using: &random)) << 40)
        case .view:
            let length = chance(50) ? int(0...12) : int(13...60)
            return type.isText ? .string(String((0..<length).map { _ in Character(UnicodeScalar(UInt8(int(97...122)))) }))
                : .binary((0..<length).map { _ in UInt8(int(0...255)) })
        case .list:
            guard case .array(let element) = type else { return .null }
            return .array((0..<int(0...4)).map { _ in value(element, nulls: nulls, depth: depth + 1) })
        case .map:
            guard case .map(let key, let item) = type else { return .null }
            return .map((0..<int(0...3)).map { _ in Value.MapEntry(value(key, nulls: 0), value(item, nulls: nulls)) })
        case .row:
            guard case .row(let fields) = type else { return .null }
            return .row(fields.map { value($0.type, nulls: nulls) })
        case .null: return .null
        }
    }

    /// Plain, constant and dictionary columns.
    mutating func column(_ type: DataType, _ rows: Int) -> Column {
        let nulls = chance(50) ? 0 : 30
        if chance(10) { return .constant(value(type, nulls: 10), type: type, count: rows) }
        let isDictionary = chance(20) && type != .null
        let entries = isDictionary ? int(1...5) : rows
        let builder = ColumnBuilder(type: type, capacity: entries)
        for _ in 0..<entries { builder.append(value(type, nulls: isDictionary ? 0 : nulls)) }
        guard isDictionary else { return builder.finish() }
        let codes = Buffer(capacity: rows * 4), bits = Bitmap.make(rows, valid: true)
        for i in 0..<rows {
            codes.pointer(as: Int32.self)[i] = Int32(int(0...entries - 1))
            if chance(nulls) { Bitmap.clear(bits.base, i) }
        }
        return Column(type: type, count: rows, validity: nulls > 0 ? bits : nil, values: codes, dictionary: builder.finish())
    }

    mutating func batch() -> Batch {
        let rows = chance(10) ? 0 : int(1...70)
        var batch = Batch(columns: (0..<int(0...4)).map { _ in column(type(), rows) }, physicalCount: rows)
        if chance(40) {
            batch.rowKinds = (0..<rows).map { _ in UInt8(int(0...3)) }.withUnsafeBytes { Buffer(copying: $0) }
        }
        switch int(0...3) {
        case 0 where rows > 0:
            let low = int(0...rows - 1)
            batch.selection = .range(low..<int(low...rows))
        case 1: batch.selection = Selection((0..<Int32(rows)).filter { _ in chance(40) })
        default: break
        }
        return batch
    }
}

/// What a batch means: rows and their kinds.
struct Rows: Equatable {
    var rows: [[Value]]
    var kinds: [RowKind]
    init(_ batch: Batch) {
        rows = batch.rows()
        kinds = (0..<batch.count).map { batch.kind(atPhysical: batch.row($0)) }
    }
}
