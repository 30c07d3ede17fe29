import StreamCore

/// Rows' sort keys as byte strings whose order is the wanted one.
///
///     per key    a byte: 0 or 2 for null (first or last), 1 for a value
///     value      big-endian with the sign turned; text with 00 as 00 FF and 00 00 behind it; all bits turned when descending
final class SortKeys {
    private var bytes: [UInt8] = []
    private var starts: [Int] = [0]

    static func check(_ spec: SortSpec) throws { try check(spec.keys, spec.inputSchema) }

    static func check(_ keys: [SortSpec.Key], _ schema: Schema) throws {
        for key in keys {
            let field = schema[key.column]
            switch field.type.physical {
            case .list, .map, .row, .null:
                throw StreamError(.validate, "cannot ORDER BY \(field.name) of type \(field.type)", fix: "order by parts of it")
            default: break
            }
        }
    }

    init(_ columns: [Column], keys: [SortSpec.Key], count n: Int) {
        let parts = keys.map { ($0, columns[$0.column].flat()) }
        bytes.reserveCapacity(n * keys.count * 9)
        starts.reserveCapacity(n + 1)
        for row in 0..<n {
            for (key, column) in parts { append(column, row, key) }
            starts.append(bytes.count)
        }
    }

    func bytes(of row: Int) -> ArraySlice<UInt8> { bytes[starts[row]..<starts[row + 1]] }

    private func append(_ column: Column, _ row: Int, _ key: SortSpec.Key) {
        guard column.isValid(row) else { return bytes.append(key.nullsFirst ? 0 : 2) }
        bytes.append(1)
        let turn: UInt8 = key.descending ? 0xFF : 0
        func word<T: FixedWidthInteger>(_ value: T) {
            withUnsafeBytes(of: value.bigEndian) { for byte in $0 { bytes.append(byte ^ turn) } }
        }
        switch column.type.physical {
        case .bool: word(column.pointer(as: UInt8.self)[row])
        case .int8: word(UInt8(bitPattern: column.pointer(as: Int8.self)[row]) ^ 0x80)
        case .int16: word(UInt16(bitPattern: column.pointer(as: Int16.self)[row]) ^ 1 << 15)
        case .int32: word(UInt32(bitPattern: column.pointer(as: Int32.self)[row]) ^ 1 << 31)
        case .int64: word(UInt64(bitPattern: column.pointer(as: Int64.self)[row]) ^ 1 << 63)
        case .int128: word(UInt128(bitPattern: column.pointer(as: Int128.self)[row]) ^ 1 << 127)
        case .float:
            let bits = column.pointer(as: Float.self)[row].bitPattern
            word(bits >> 31 == 1 ? ~bits : bits | 1 << 31)
        case .double:
            let bits = column.pointer(as: Double.self)[row].bitPattern
            word(bits >> 63 == 1 ? ~bits : bits | 1 << 63)
        case .view:
            for byte in column.bytes(at: row) {
                bytes.append(byte ^ turn)
                if byte == 0 { bytes.append(0xFF ^ turn) }
            }
            bytes.append(turn)
            bytes.append(turn)
        case .list, .map, .row, .null: break
        }
    }

    /// Row numbers in order; equal rows keep theirs.
    func order() -> [Int32] {
        let n = starts.count - 1
        return bytes.withUnsafeBufferPointer { bytes in
            starts.withUnsafeBufferPointer { starts in
                // The first eight bytes decide most comparisons.
                var entries: [(prefix: UInt64, row: Int32)] = (0..<n).map { row in
                    var prefix: UInt64 = 0
                    for k in 0..<8 {
                        let at = starts[row] + k
                        prefix = prefix << 8 | (at < starts[row + 1] ? UInt64(bytes[at]) : 0)
                    }
                    return (prefix, Int32(row))
                }
                entries.sort { a, b in
                    if a.prefix != b.prefix { return a.prefix < b.prefix }
                    let x = starts[Int(a.row)]..<starts[Int(a.row) + 1], y = starts[Int(b.row)]..<starts[Int(b.row) + 1]
                    for k in 0..<min(x.count, y.count) where bytes[x.lowerBound + k] != bytes[y.lowerBound + k] {
                        return bytes[x.lowerBound + k] < bytes[y.lowerBound + k]
                    }
                    return x.count != y.count ? x.count < y.count : a.row < b.row
                }
                return entries.map(\.row)
            }
        }
    }
}
