import LakeTable
import StreamCore

/// The options of a table with `'connector' = 'iceberg'`, named as in Iceberg's Flink connector and as its table properties.
enum IcebergOption {
    static let catalogType = "catalog-type"
    static let catalogName = "catalog-name"
    static let warehouse = "warehouse"
    static let catalogDatabase = "catalog-database"
    static let catalogTable = "catalog-table"
    static let formatVersion = "format-version"
    static let fileFormat = "write.format.default"
    static let codec = "write.parquet.compression-codec"
    static let targetFileSize = "write.target-file-size-bytes"
    static let smallFileLimit = "write.parquet.small.file.limit"
    static let upsertEnabled = "write.upsert.enabled"
    static let snapshotID = "snapshot-id"
    static let asOfTimestamp = "as-of-timestamp"
    static let maxSnapshotAge = "history.expire.max-snapshot-age-ms"
    static let minSnapshots = "history.expire.min-snapshots-to-keep"
    static let deleteAfterCommit = "write.metadata.delete-after-commit.enabled"
    static let previousVersions = "write.metadata.previous-versions-max"
    static let minManifests = "commit.manifest.min-count-to-merge"
    static let manifestBytes = "commit.manifest.target-size-bytes"
    static let mergeManifests = "commit.manifest-merge.enabled"

    /// Those that a new table keeps as its properties; the table's hold where a declaration says nothing.
    static let properties: Set<String> = [
        fileFormat, codec, targetFileSize, maxSnapshotAge, minSnapshots, deleteAfterCommit, previousVersions, minManifests, manifestBytes, mergeManifests,
    ]

    static let all: Set<String> = properties.union([
        LakeOptions.path, LakeOptions.operation, LakeOptions.insertCluster, LakeOptions.taskMaxSize, LakeOptions.commitInterval, LakeOptions.globalIndex, LakeOptions.nullForMissing,
        catalogType, catalogName, warehouse, catalogDatabase, catalogTable, formatVersion, smallFileLimit, upsertEnabled, snapshotID, asOfTimestamp,
    ]).union(LakeOptions.ordering).union(TableFiles.storageOptions)
}

/// Reads the options of one table; every error names the option, its value and what to write instead.
struct IcebergOptions {
    let table: TableDescriptor
    private let lake: LakeOptions

    init(_ table: TableDescriptor) { (self.table, lake) = (table, LakeOptions(table)) }

    private var read: TableOptions { lake.read }

    /// Where the table is: `path`, or its place in a warehouse.
    func files() throws -> TableFiles {
        if let type = table.options[IcebergOption.catalogType], type.lowercased() != "hadoop" {
            throw lake.error(IcebergOption.catalogType, "'catalog-type' = '\(type)' is not supported", fix: "write 'catalog-type' = 'hadoop', or give the table's 'path'")
        }
        for (option, only) in [(IcebergOption.formatVersion, "2"), (IcebergOption.fileFormat, "parquet")] {
            if let value = table.options[option], value.trimmed.lowercased() != only {
                throw lake.error(option, "'\(option)' = '\(value)' is not supported", fix: "write '\(only)'")
            }
        }
        var path = table.options[LakeOptions.path]
        if let warehouse = table.options[IcebergOption.warehouse] {
            guard path == nil else { throw lake.error(LakeOptions.path, "'path' and 'warehouse' are both given", fix: "give only one of them") }
            path = warehouse + (warehouse.hasSuffix("/") ? "" : "/") + (read.string(IcebergOption.catalogDatabase) ?? "default") + "/"
                + (read.string(IcebergOption.catalogTable) ?? table.name)
        }
        guard let path else {
            throw lake.error(LakeOptions.path, "connector 'iceberg' needs 'path', or 'warehouse'", fix: "add 'path' = '...' to its WITH options")
        }
        var files = try TableFiles(path: path, table: table)
        files.metaFolder = MetadataFolder.own
        return files
    }

    enum AsOf: Sendable, Equatable { case newest, snapshot(Int64), time(Int64) }

    func asOf() throws -> AsOf {
        let id = try read.int(IcebergOption.snapshotID), time = try read.int(IcebergOption.asOfTimestamp)
        switch (id, time) {
        case (nil, nil): return .newest
        case (let id?, nil): return .snapshot(Int64(id))
        case (nil, let time?): return .time(Int64(time))
        default: throw lake.error(IcebergOption.asOfTimestamp, "'snapshot-id' and 'as-of-timestamp' are both given", fix: "give only one of them")
        }
    }

    func commitInterval() throws -> Duration? { try lake.commitInterval() }

    // MARK: Writing

    /// What the table would be made as.
    func draft() throws -> TableDraft {
        for name in table.primaryKey {
            let field = table.schema.first { $0.name == name }!
            guard TextColumn.canBeKey(field.type) else {
                throw lake.error("", "primary key column \(name) has type \(field.type)", fix: "use text, integers, decimals, dates or times as keys")
            }
        }
        for name in table.partitionKeys {
            guard let field = table.schema.first(where: { $0.name == name }) else {
                throw lake.error("", "partition column '\(name)' is not a column of the table", fix: NearName.hint(for: name, in: table.schema.map(\.name)))
            }
            guard field.type.isText || field.type.isInteger || field.type == .boolean || field.type == .date || field.type.isTimestamp else {
                throw lake.error("", "partition column \(name) has type \(field.type)", fix: "partition by text, integers, booleans, dates or timestamps")
            }
        }
        var next = table.schema.count
        func id() -> Int {
            next += 1
            return next
        }
        let fields = try table.schema.enumerated().map { i, column in
            IcebergField(id: i + 1, name: column.name, required: table.primaryKey.contains(column.name),
                         type: IcebergType(try IcebergTypes.stored(column.type, column: column.name), id: id))
        }
        func number(_ name: String) -> Int { fields.first { $0.name == name }!.id }
        let spec = PartitionSpec(id: 0, parts: table.partitionKeys.enumerated().map { .init(source: number($1), id: 1_000 + $0, name: $1, transform: "identity") })
        var properties = table.options.filter { IcebergOption.properties.contains($0.key) }
        properties[IcebergOption.fileFormat] = "parquet"
        // What rewrites rows in place keeps the table readable for all engines.
        for operation in ["delete", "update", "merge"] { properties["write.\(operation).mode"] = "copy-on-write" }
        return TableDraft(schema: IcebergSchema(id: 0, fields: fields, identifierIDs: table.primaryKey.map(number)), spec: spec, properties: properties)
    }

    /// The declaration with the table's own properties where it says nothing.
    private func merged(_ metadata: TableMetadata?) -> LakeOptions {
        var table = table
        for (key, value) in metadata?.properties ?? [:] where IcebergOption.properties.contains(key) && table.options[key] == nil { table.options[key] = value }
        return LakeOptions(table)
    }

    func upkeep(_ metadata: TableMetadata?) throws -> Upkeep {
        let read = merged(metadata).read
        var upkeep = Upkeep()
        upkeep.maxSnapshotAge = try read.int(IcebergOption.maxSnapshotAge, in: 0...Int.max).map { Int64($0) }
        upkeep.minSnapshotsToKeep = try read.int(IcebergOption.minSnapshots, in: 1...Int.max) ?? upkeep.minSnapshotsToKeep
        upkeep.deletesOldMetadata = try read.bool(IcebergOption.deleteAfterCommit) ?? upkeep.deletesOldMetadata
        upkeep.previousVersions = try read.int(IcebergOption.previousVersions, in: 1...Int.max) ?? upkeep.previousVersions
        upkeep.minManifestsToMerge = try read.int(IcebergOption.minManifests, in: 2...Int.max) ?? upkeep.minManifestsToMerge
        upkeep.manifestTargetBytes = try read.int(IcebergOption.manifestBytes, in: 1_024...Int.max).map { Int64($0) } ?? upkeep.manifestTargetBytes
        upkeep.mergesManifests = try read.bool(IcebergOption.mergeManifests) ?? upkeep.mergesManifests
        return upkeep
    }

    /// - Parameter metadata: of the table that is going to be written, if there is one.
    func writeConfiguration(_ metadata: TableMetadata?) throws -> WriteConfiguration {
        let stored = try IcebergTypes.stored(table.schema)
        var keys = table.primaryKey, partitions = table.partitionKeys
        if let metadata {
            let tuple = try PartitionTuple(metadata.spec, metadata.schema)
            let names = metadata.schema.identifierIDs.compactMap { metadata.schema.field($0)?.name }
            if keys.isEmpty { keys = names.filter { name in stored.contains { $0.name == name } } }
            if !names.isEmpty, Set(keys) != Set(names) {
                throw lake.error("", "PRIMARY KEY (\(keys.joined(separator: ", "))) differs from the identifier fields of the Iceberg table: \(names.joined(separator: ", "))",
                                 fix: "declare PRIMARY KEY (\(names.joined(separator: ", "))) NOT ENFORCED")
            }
            guard partitions.isEmpty || partitions == tuple.columns else {
                throw lake.error("", "PARTITIONED BY (\(partitions.joined(separator: ", "))) differs from the partitions of the Iceberg table: (\(tuple.columns.joined(separator: ", ")))",
                                 fix: "declare PARTITIONED BY (\(tuple.columns.joined(separator: ", ")))")
            }
            partitions = tuple.columns
            _ = try SchemaEvolution.merge(table: metadata.schema.columns.map { Field($0.name, $0.type) }, writer: stored, name: table.name, missing: try lake.nullForMissing() || RowColumns.position(in: table) != nil,
                                          widening: IcebergTypes.promotes, allowed: IcebergCommitLog.allowedChanges)
        } else {
            _ = try draft()
        }
        var fallback: WriteConfiguration.Operation = keys.isEmpty ? .insert : .upsert
        if let wanted = try read.bool(IcebergOption.upsertEnabled) { fallback = wanted ? .upsert : .insert }
        let operation = try lake.operation(default: fallback)
        if operation.findsKeys, keys.isEmpty {
            throw lake.error(LakeOptions.operation, "'write.operation' = '\(operation.rawValue)' needs a primary key", fix: "declare PRIMARY KEY (...) NOT ENFORCED, or write with 'write.operation' = 'insert'")
        }
        let options = merged(metadata)
        var limits = FileRouter.Limits()
        limits.maxFileBytes = try options.read.bytes(IcebergOption.targetFileSize).map { Int64($0) } ?? limits.maxFileBytes
        guard limits.maxFileBytes > 0 else { throw options.read.error(IcebergOption.targetFileSize, "is not positive") }
        limits.smallFileBytes = min(try options.mebibytes(IcebergOption.smallFileLimit, default: 100), limits.maxFileBytes)
        return WriteConfiguration(
            operation: operation, keys: PartitionTuple.rules(table: table.name, keys: operation.findsKeys ? keys : [], partitions: partitions),
            orderingField: try lake.orderingField(), stored: stored, codec: try options.codec(IcebergOption.codec), globalKeys: try lake.globalKeys(),
            limits: limits, mergeSmallFilesOnInsert: try lake.mergesSmallFilesOnInsert(), upsertBufferBytes: try lake.upsertBufferBytes(), rowColumn: RowColumns.position(in: table),
            nullForMissing: try lake.nullForMissing())
    }
}
