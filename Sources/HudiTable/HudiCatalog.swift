import Foundation
import LakeTable
import StreamCore

/// What a catalog asks of a table: its columns, and its partitions, which are those that have live files.
extension HudiConnector: PartitionedConnector {
    public func storedTable(for table: TableDescriptor) throws -> StoredTable? {
        try Parquet.require()
        let files = try HudiOptions(table: table).files()
        guard let properties = try TableProperties.load(files) else {
            throw StreamError(.validate, "there is no Hudi table at \(files.root)", fix: "check 'path', or list the columns of a new table", at: table.optionLocations[HudiOption.path])
        }
        return StoredTable(schema: try TableSnapshot.load(files, properties).schema ?? [], primaryKey: properties.recordKeyFields, partitionKeys: properties.partitionFields)
    }

    /// The timeline knows them: no catalog need keep them.
    public var readsGivenPartitions: Bool { false }

    public func partitions(of table: TableDescriptor, matching filter: PartitionFilter) throws -> [TablePartition] {
        let files = try HudiOptions(table: table).files()
        guard let properties = try TableProperties.load(files) else { return [] }
        let snapshot = try TableSnapshot.load(files, properties)
        return try Set(snapshot.slices.map(\.partition)).sorted().compactMap { path in
            let texts = HudiTable.partitionTexts(path, properties)
            var names: [String] = [], values: [Value] = []
            for (field, text) in zip(properties.partitionFields, texts) {
                let type = table.schema.first { $0.name == field }?.type ?? .string
                guard let value = text.map({ PartitionText.value($0, type) }) ?? .null else {
                    throw StreamError(.corrupt, "partition '\(path)' of the Hudi table at \(files.root): '\(text ?? "")' is no \(type), the type of column \(field)",
                                      fix: "declare the column as STRING")
                }
                values.append(value)
                names.append("\(PartitionPath.escape(field))=\(text.map { PartitionPath.escape($0) } ?? PartitionPath.defaultName)")
            }
            guard filter.admits(values, of: properties.partitionFields) else { return nil }
            return TablePartition(name: names.joined(separator: "/"), values: values, location: path)
        }
    }

    public func partitionFolder(_ key: String, _ text: String?, of table: TableDescriptor) -> String {
        "\(PartitionPath.escape(key))=\(text.map { PartitionPath.escape($0) } ?? PartitionPath.defaultName)"
    }

    public func sink(for table: TableDescriptor, timeZone: String, registering: @escaping @Sendable ([TablePartition]) throws -> Void) throws -> any TableSink {
        try sink(for: table, timeZone: timeZone)
    }
}

extension HudiTable {
    /// What the folders of a partition say of each partition column; nil = NULL.
    ///
    /// - Parameter path: relative to the table, as in ``BaseFile/partition``.
    public func partitionTexts(_ path: String) -> [String?] { Self.partitionTexts(path, properties) }

    static func partitionTexts(_ path: String, _ properties: TableProperties) -> [String?] {
        let levels = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        return properties.partitionFields.enumerated().map { i, field in
            guard i < levels.count else { return nil }
            var text = levels[i]
            if properties.hiveStylePartitioning, text.hasPrefix(field + "=") { text = String(text.dropFirst(field.count + 1)) }
            return text == PartitionPath.defaultName ? nil : properties.urlEncodePartitions ? text.removingPercentEncoding ?? text : text
        }
    }
}

/// Values of partition columns as folders have them.
enum PartitionText {
    /// nil when the text does not fit the type.
    static func value(_ text: String, _ type: DataType) -> Value? {
        if type.isText { return .string(text) }
        if type.isInteger { return Int64(text).map { .int($0) } }
        if type == .boolean { return ["true": .bool(true), "false": .bool(false)][text.lowercased()] }
        guard type == .date else { return nil }
        var copy = text
        return copy.withUTF8 { DateTimeText.parseDate(UnsafeRawBufferPointer($0)).map { .int(Int64($0)) } }
    }
}
