import CArrowShim
import StreamCore

/// A condition on a column of data files, found by its name.
package struct ColumnCondition: Sendable {
    package var name: String
    /// The type that the condition's constants have.
    package var type: DataType
    package var condition: ScanPredicate.Condition

    package init(name: String, type: DataType, _ condition: ScanPredicate.Condition) {
        (self.name, self.type, self.condition) = (name, type, condition)
    }
}

extension ParquetReader {
    /// What is known of a column in a row group, its values read as `type`.
    package func bounds(group: Int, rows: Int64, column: Int, as type: DataType) throws -> ColumnBounds {
        let stored = schema[column].type
        return try statistics(group: group, column: column) { found in
            guard let found else { return ColumnBounds(rows: rows) }
            var bounds = ColumnBounds(nulls: found.has_nulls ? found.nulls : nil, rows: rows)
            guard found.has_bounds, let lower = found.lower, let upper = found.upper else { return bounds }
            func value(_ bytes: UnsafePointer<CChar>, _ count: Int64) -> Value? {
                Self.value(UnsafeRawBufferPointer(start: bytes, count: Int(count)), found, stored: stored, as: type)
            }
            bounds.lower = value(lower, found.lower_length)
            bounds.upper = value(upper, found.upper_length)
            // NaN has no place between bounds; a writer that counted it in tells nothing.
            for bound in [bounds.lower, bounds.upper] {
                if case .double(let x)? = bound, x.isNaN { return ColumnBounds(nulls: bounds.nulls, rows: rows) }
            }
            return bounds
        }
    }

    /// A bound as the conversion of ``ColumnConversion`` would give it, which keeps the order of values.
    private static func value(_ bytes: UnsafeRawBufferPointer, _ found: sw_parquet_statistics, stored: DataType, as type: DataType) -> Value? {
        func integer() -> Int64? {
            switch found.physical {
            case SW_PARQUET_INT32 where bytes.count == 4: Int64(Int32(littleEndian: bytes.loadUnaligned(as: Int32.self)))
            case SW_PARQUET_INT64 where bytes.count == 8: Int64(littleEndian: bytes.loadUnaligned(as: Int64.self))
            default: nil
            }
        }
        func number() -> Double? {
            switch found.physical {
            case SW_PARQUET_FLOAT where bytes.count == 4: Double(bytes.loadUnaligned(as: Float.self))
            case SW_PARQUET_DOUBLE where bytes.count == 8: bytes.loadUnaligned(as: Double.self)
            default: nil
            }
        }
        switch (stored, type) {
        case (.boolean, .boolean): return bytes.count == 1 ? .bool(bytes[0] != 0) : nil
        case (.date, .date), (.time, .time): return integer().map { .int($0) }
        case (.float, .float), (.float, .double), (.double, .double): return number().map { .double($0) }
        case (.decimal(_, let a), .decimal(_, let b)) where a == b && Int(found.scale) == a:
            if let digits = integer() { return .decimal(Int128(digits)) }
            guard found.physical == SW_PARQUET_FIXED || found.physical == SW_PARQUET_BYTES, (1...16).contains(bytes.count) else { return nil }
            var digits: Int128 = bytes[0] & 0x80 != 0 ? -1 : 0
            for byte in bytes { digits = digits << 8 | Int128(byte) }
            return .decimal(digits)
        case (.timestamp, _) where type.isTimestamp, (.timestampLTZ, _) where type.isTimestamp:
            // Arrow gives all timestamps in the unit that they are stored in.
            guard found.physical == SW_PARQUET_INT64, let time = integer(), let from = stored.timeUnit?.rawValue, let to = type.timeUnit?.rawValue else { return nil }
            if from <= to {
                let (product, overflow) = time.multipliedReportingOverflow(by: to / from)
                return overflow ? nil : .int(product)
            }
            let divisor = from / to
            return .int(time >= 0 ? time / divisor : -((divisor - 1 - time) / divisor))
        default:
            if stored.isText, type.isText {
                // A bound that was cut within a character has no place among texts.
                return String(validating: bytes, as: UTF8.self).map { .string($0) }
            }
            if stored.isBinary, type.isBinary { return .binary(Array(bytes)) }
            guard stored.isInteger, let n = integer() else { return nil }
            if type.isInteger { return .int(n) }
            return type == .float || type == .double ? .double(type == .float ? Double(Float(n)) : Double(n)) : nil
        }
    }

    /// Numbers of the row groups that may have rows for which all conditions hold.
    package func groups(where conditions: [ColumnCondition], rowGroups: [Int64]) throws -> [Int] {
        let columns = conditions.map { condition in schema.firstIndex { $0.name == condition.name } }
        return try rowGroups.indices.filter { group in
            let rows = rowGroups[group]
            for (condition, column) in zip(conditions, columns) {
                // A file that is older than the column has NULL in all rows.
                let bounds = try column.map { try self.bounds(group: group, rows: rows, column: $0, as: condition.type) } ?? ColumnBounds(nulls: rows, rows: rows)
                if !bounds.mayHold(condition.condition) { return false }
            }
            return true
        }
    }
}
