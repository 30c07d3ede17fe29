import Foundation
import LakeTable
import StreamCore

/// Leaves out files in which no row can be what a query wants, by what the log says of them.
struct FileSkipping {
    private let filter: [ScanPredicate]
    private let schema: Schema
    private let partitions: Set<String>

    init(_ scan: ScanRequest, schema: Schema, partitions: [String]) {
        filter = scan.filter.filter { Self.canSkip(schema[$0.column].type) }
        self.schema = schema
        self.partitions = Set(partitions)
    }

    static func canSkip(_ type: DataType) -> Bool {
        switch type {
        case .tinyint, .smallint, .int, .bigint, .float, .double, .date, .timestamp, .timestampLTZ, .varchar: true
        default: false
        }
    }

    func mayHold(_ file: AddFile) -> Bool {
        guard !filter.isEmpty, let text = file.stats, let root = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any],
              let rows = (root["numRecords"] as? NSNumber)?.int64Value else { return true }
        let lower = root["minValues"] as? [String: Any], upper = root["maxValues"] as? [String: Any], nulls = root["nullCount"] as? [String: Any]
        return filter.allSatisfy { predicate in
            let column = schema[predicate.column]
            // Their values are looked at before.
            if partitions.contains(column.name) { return true }
            let bounds = ColumnBounds(lower: Self.value(lower?[column.name], column.type, isUpper: false), upper: Self.value(upper?[column.name], column.type, isUpper: true),
                                      nulls: (nulls?[column.name] as? NSNumber)?.int64Value, rows: rows)
            return bounds.mayHold(predicate.condition)
        }
    }

    /// A bound in the unit of the declared type; nil when it is not known.
    private static func value(_ json: Any?, _ type: DataType, isUpper: Bool) -> Value? {
        switch type {
        case .tinyint, .smallint, .int, .bigint: return (json as? NSNumber).map { .int($0.int64Value) }
        case .float, .double: return (json as? NSNumber).map { .double($0.doubleValue) }
        case .varchar: return (json as? String).map { .string($0) }
        case .date:
            guard var text = json as? String else { return nil }
            return text.withUTF8 { DateTimeText.parseDate(UnsafeRawBufferPointer($0)) }.map { .int(Int64($0)) }
        case .timestamp, .timestampLTZ:
            guard var text = json as? String else { return nil }
            if text.hasSuffix("Z") { text.removeLast() }
            guard let micros = text.withUTF8({ DateTimeText.parseTimestamp(UnsafeRawBufferPointer($0), precision: 6) }) else { return nil }
            // Upper bounds of other engines are cut to milliseconds.
            let bound = isUpper ? micros + 999 : micros, divisor = 1_000_000 / (type.timeUnit?.rawValue ?? 1_000_000)
            guard divisor > 0 else { return nil }
            return .int(bound >= 0 ? bound / divisor : -((divisor - 1 - bound) / divisor))
        default: return nil
        }
    }
}
