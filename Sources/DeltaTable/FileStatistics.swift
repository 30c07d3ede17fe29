import CArrowData
import CArrowShim
import Foundation
import LakeTable
import StreamCore

/// What the log says of the values in a file, for readers that skip files.
struct FileStatistics {
    /// Columns beyond these have no statistics, as in other engines.
    static let columns = 32
    /// Longer texts are left out as upper bounds, and cut as lower ones.
    static let textBytes = 64

    let json: String
    /// NULLs of the columns that have statistics.
    let nulls: [String: Int64]

    /// From the footer of a file.
    /// - Parameter partitions: columns whose values the log has anyway.
    init(_ path: String, schema: Schema, partitions: Set<String>) throws {
        let reader = try ParquetReader(path: path)
        let groups = reader.rowGroups
        var lower: [String] = [], upper: [String] = [], counts: [String] = [], nulls: [String: Int64] = [:]
        for field in schema.prefix(Self.columns) where !partitions.contains(field.name) {
            guard let column = reader.schema.firstIndex(where: { $0.name == field.name }) else { continue }
            var bounds: (lower: Value, upper: Value)?, hasBounds = true, missing: Int64? = 0
            for group in groups.indices {
                try reader.statistics(group: group, column: column) { found in
                    guard let found, found.has_nulls else {
                        (missing, hasBounds) = (nil, false)
                        return
                    }
                    missing = missing.map { $0 + found.nulls }
                    if found.nulls == groups[group] { return }
                    guard hasBounds, found.has_bounds, let low = Self.value(found.lower, Int(found.lower_length), field.type, found.physical),
                          let high = Self.value(found.upper, Int(found.upper_length), field.type, found.physical) else {
                        hasBounds = false
                        return
                    }
                    if let known = bounds {
                        guard let a = ColumnBounds.order(low, known.lower), let b = ColumnBounds.order(high, known.upper) else {
                            hasBounds = false
                            return
                        }
                        bounds = (a < 0 ? low : known.lower, b > 0 ? high : known.upper)
                    } else {
                        bounds = (low, high)
                    }
                }
            }
            let name = JSONText.quote(field.name)
            if let missing {
                counts.append("\(name):\(missing)")
                nulls[field.name] = missing
            }
            guard hasBounds, let bounds else { continue }
            if let text = Self.lower(bounds.lower, field.type) { lower.append("\(name):\(text)") }
            if let text = Self.upper(bounds.upper, field.type) { upper.append("\(name):\(text)") }
        }
        self.nulls = nulls
        json = #"{"numRecords":\#(reader.rows),"minValues":{\#(lower.joined(separator: ","))},"maxValues":{\#(upper.joined(separator: ","))},"#
            + #""nullCount":{\#(counts.joined(separator: ","))}}"#
    }

    /// A bound of a footer; nil when it is not used.
    private static func value(_ bytes: UnsafePointer<CChar>?, _ length: Int, _ type: DataType, _ physical: sw_parquet_physical) -> Value? {
        guard let bytes else { return nil }
        let raw = UnsafeRawBufferPointer(start: bytes, count: length)
        func load<T: BitwiseCopyable>(_: T.Type) -> T? { length == MemoryLayout<T>.size ? raw.loadUnaligned(as: T.self) : nil }
        switch type {
        case .int, .date: return load(Int32.self).map { .int(Int64($0)) }
        case .bigint, .timestamp, .timestampLTZ: return load(Int64.self).map { .int($0) }
        case .float: return load(Float.self).flatMap { $0.isFinite ? .double(Double($0)) : nil }
        case .double: return load(Double.self).flatMap { $0.isFinite ? .double($0) : nil }
        case .decimal:
            switch physical {
            case SW_PARQUET_INT32: return load(Int32.self).map { .decimal(Int128($0)) }
            case SW_PARQUET_INT64: return load(Int64.self).map { .decimal(Int128($0)) }
            default:
                // Big-endian with a sign.
                guard let first = raw.first, length <= 16 else { return nil }
                return .decimal(raw.reduce(first >= 128 ? -1 : 0) { $0 << 8 | Int128($1) })
            }
        case _ where type.isText: return .string(String(decoding: raw, as: UTF8.self))
        default: return nil
        }
    }

    private static func lower(_ value: Value, _ type: DataType) -> String? {
        guard case .string(let text) = value else { return json(value, type, up: false) }
        var cut = text
        while cut.utf8.count > textBytes { cut.removeLast() }
        return JSONText.quote(cut)
    }

    private static func upper(_ value: Value, _ type: DataType) -> String? {
        guard case .string(let text) = value else { return json(value, type, up: true) }
        return text.utf8.count > textBytes ? nil : JSONText.quote(text)
    }

    /// - Parameter up: in which direction a timestamp is rounded, as readers expect milliseconds.
    private static func json(_ value: Value, _ type: DataType, up: Bool) -> String? {
        switch (value, type) {
        case (.int(let days), .date): return JSONText.quote(DateTimeText.date(Int32(truncatingIfNeeded: days)))
        case (.int(let micros), _) where type.isTimestamp:
            let floor = micros >= 0 ? micros / 1_000 : -((999 - micros) / 1_000)
            let text = DateTimeText.timestamp(floor * 1_000 == micros || !up ? floor : floor + 1, precision: 3)
            return JSONText.quote(text.replacingOccurrences(of: " ", with: "T") + "Z")
        case (.int(let number), _): return String(number)
        case (.double(let number), _): return number.description
        case (.decimal(let number), .decimal(_, let scale)): return TextColumn.decimal(number, scale: scale)
        default: return nil
        }
    }
}

extension FileStatistics {
    /// The number of rows that statistics of a file name.
    static func rows(_ json: String?) -> Int64? {
        guard let json else { return nil }
        // By far the most have it at the start, and there may be a hundred thousand.
        let start = "{\"numRecords\":"
        if json.hasPrefix(start) { return Int64(json.dropFirst(start.count).prefix { $0.isNumber }) }
        guard let root = try? JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any] else { return nil }
        return (root["numRecords"] as? NSNumber)?.int64Value
    }
}
