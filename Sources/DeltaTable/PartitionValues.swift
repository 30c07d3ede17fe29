import Foundation
import LakeTable
import StreamCore

/// The values of partition columns, which the log writes as text.
enum PartitionValues {
    /// - Throws: `.corrupt` for a text that is none of the type.
    static func value(_ text: String?, type: DataType, column: String, table: String) throws -> Value {
        guard var text, !text.isEmpty else { return .null }
        let value: Value? = switch type {
        case .boolean: text.lowercased() == "true" ? .bool(true) : text.lowercased() == "false" ? .bool(false) : nil
        case .tinyint, .smallint, .int, .bigint: Int64(text).map { .int($0) }
        case .float: Float(text).map { .float($0) }
        case .double: Double(text).map { .double($0) }
        case .date: text.withUTF8 { DateTimeText.parseDate(UnsafeRawBufferPointer($0)) }.map { .int(Int64($0)) }
        case .timestamp(let precision), .timestampLTZ(let precision):
            timestamp(text, precision: precision).map { .int($0) }
        case .decimal(_, let scale): decimal(text, scale: scale).map { .decimal($0) }
        case _ where type.isText: .string(text)
        case _ where type.isBinary: .binary(Array(text.utf8))
        default: nil
        }
        guard let value else {
            throw StreamError(.corrupt, "Delta table \(table): '\(text)' is no value of partition column \(column), which is \(type)")
        }
        return value
    }

    /// `2020-01-01 10:00:00.123456`, or with a T and a Z.
    private static func timestamp(_ text: String, precision: Int) -> Int64? {
        var text = text.hasSuffix("Z") ? String(text.dropLast()) : text
        return text.withUTF8 { DateTimeText.parseTimestamp(UnsafeRawBufferPointer($0), precision: precision) }
    }

    private static func decimal(_ text: String, scale: Int) -> Int128? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, let whole = parts.first else { return nil }
        var fraction = parts.count == 2 ? String(parts[1]) : ""
        while fraction.utf8.count > scale, fraction.hasSuffix("0") { fraction.removeLast() }
        guard fraction.utf8.count <= scale else { return nil }
        return Int128(String(whole) + fraction + String(repeating: "0", count: scale - fraction.utf8.count))
    }

    /// The values of all partition columns of a file.
    static func constants(of file: AddFile, partitions: Schema, table: String) throws -> [String: Value] {
        var out: [String: Value] = [:]
        for column in partitions {
            out[column.name] = try value(file.partitionValues[column.name] ?? nil, type: column.type, column: column.name, table: table)
        }
        return out
    }

    /// The folder in which our own files of a partition lie, whatever the folders of other engines are called.
    static func folder(of file: AddFile, partitions: Schema, rules: KeyRules) throws -> String {
        try partitions.map { column in
            let text = file.partitionValues[column.name] ?? nil
            return try PartitionPath.level(field: column.name, value: text.flatMap { $0.isEmpty ? nil : $0 } ?? PartitionPath.defaultName, rules)
        }.joined(separator: "/")
    }
}

extension PartitionValues {
    /// The texts in a folder's name of ours, one for each level.
    static func texts(ofFolder folder: String) -> [String?] {
        folder.split(separator: "/").map { level in
            let text = level.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).last.map(String.init) ?? ""
            let value = text.removingPercentEncoding ?? text
            return value == PartitionPath.defaultName ? nil : value
        }
    }
}
