import LakeTable
import StreamCore

/// The options of a table with `'connector' = 'hudi'`, named as in Hudi's Flink connector where that has them.
enum HudiOption {
    static let path = "path"
    static let tableType = "table.type"
    static let tableName = "hoodie.table.name"
    static let databaseName = "hoodie.database.name"
    static let recordKey = "hoodie.datasource.write.recordkey.field"
    static let partitionPath = "hoodie.datasource.write.partitionpath.field"
    static let hiveStyle = "hoodie.datasource.write.hive_style_partitioning"
    static let urlEncode = "hoodie.datasource.write.partitionpath.urlencode"
    static let operation = "write.operation"
    static let ordering = ["precombine.field", "write.precombine.field", "payload.ordering.field", "ordering.fields",
                           "hoodie.datasource.write.precombine.field"]
    static let codec = "hoodie.parquet.compression.codec"
    static let maxFileSize = "write.parquet.max.file.size"
    static let smallFileLimit = "hoodie.parquet.small.file.limit"
    static let insertCluster = "write.insert.cluster"
    static let taskMaxSize = "write.task.max.size"
    static let commitInterval = "write.commit.interval"
    static let globalIndex = "index.global.enabled"
    static let retainCommits = "clean.retain_commits"
    static let nullForMissing = "hoodie.write.set.null.for.missing.columns"

    static let all: Set<String> = Set([
        path, tableType, tableName, databaseName, recordKey, partitionPath, hiveStyle, urlEncode, operation, codec, maxFileSize,
        smallFileLimit, insertCluster, taskMaxSize, commitInterval, globalIndex, retainCommits, nullForMissing,
    ] + ordering)
}

/// Reads the options of one table; every error names the option, its value and what to write instead.
struct HudiOptions {
    let table: TableDescriptor

    private var lake: LakeOptions { LakeOptions(table) }

    func error(_ option: String, _ problem: String, fix: String? = nil) -> StreamError { lake.error(option, problem, fix: fix) }

    private var read: TableOptions { TableOptions(table) }

    private func bool(_ option: String, default fallback: Bool) throws -> Bool { try read.bool(option) ?? fallback }

    private func columns(_ option: String, _ text: String) throws -> [String] { try lake.columns(option, text) }

    func files() throws -> TableFiles {
        let path = try read.require(HudiOption.path)
        if let type = table.options[HudiOption.tableType], type.uppercased() != "COPY_ON_WRITE" {
            throw error(HudiOption.tableType, "'table.type' = '\(type)' is not supported", fix: "write 'table.type' = 'COPY_ON_WRITE'")
        }
        return try TableFiles(path: path)
    }

    private func recordKeys() throws -> [String] {
        if let text = table.options[HudiOption.recordKey] {
            let names = try columns(HudiOption.recordKey, text)
            if !table.primaryKey.isEmpty, table.primaryKey != names {
                throw error(HudiOption.recordKey, "'\(HudiOption.recordKey)' = '\(text)' differs from PRIMARY KEY (\(table.primaryKey.joined(separator: ", ")))",
                            fix: "give only one of them")
            }
            return names
        }
        return table.primaryKey
    }

    private func partitions() throws -> [String] {
        guard let text = table.options[HudiOption.partitionPath] else { return table.partitionKeys }
        let names = try columns(HudiOption.partitionPath, text)
        if !table.partitionKeys.isEmpty, table.partitionKeys != names {
            throw error(HudiOption.partitionPath, "'\(HudiOption.partitionPath)' = '\(text)' differs from PARTITIONED BY (\(table.partitionKeys.joined(separator: ", ")))",
                        fix: "give only one of them")
        }
        return names
    }

    private func orderingField() throws -> String? { try lake.orderingField(HudiOption.ordering) }

    /// What a new table would be.
    func properties(stored: Schema) throws -> TableProperties {
        let keys = try recordKeys(), partitions = try partitions()
        guard !keys.isEmpty else {
            throw error(HudiOption.recordKey, "a Hudi table needs a record key", fix: "declare PRIMARY KEY (...) NOT ENFORCED, or set '\(HudiOption.recordKey)'")
        }
        try lake.requireKeys(keys, option: HudiOption.recordKey)
        try lake.requirePartitions(partitions, option: HudiOption.partitionPath)
        let name = table.options[HudiOption.tableName] ?? table.name
        guard !name.isEmpty, name.utf8.allSatisfy({ $0 == 0x5F || (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) }) else {
            throw error(HudiOption.tableName, "'\(name)' cannot be the name of a Hudi table", fix: "set 'hoodie.table.name' to letters, digits and underscores")
        }
        return TableProperties(
            name: name, database: table.options[HudiOption.databaseName] ?? "default", recordKeyFields: keys, partitionFields: partitions,
            orderingField: try orderingField(), hiveStylePartitioning: try bool(HudiOption.hiveStyle, default: false),
            urlEncodePartitions: try bool(HudiOption.urlEncode, default: false),
            keyGenerator: KeyGeneratorKind(keys: keys.count, partitions: partitions.count),
            createSchema: AvroSchema.json(stored, table: name))
    }

    /// What the table is: an existing one decides, and the options must agree with it.
    func agreedProperties(_ files: TableFiles, stored: Schema) throws -> TableProperties {
        let wanted = try properties(stored: stored)
        guard let existing = try TableProperties.load(files) else { return wanted }
        func differs(_ option: String, _ what: String, _ is_: String, _ declared: String) -> StreamError {
            error(option, "the Hudi table at \(files.root) has \(what) '\(is_)', but the declaration says '\(declared)'",
                  fix: "declare '\(is_)', or use another path")
        }
        if existing.recordKeyFields != wanted.recordKeyFields {
            throw differs(HudiOption.recordKey, "the record key", existing.recordKeyFields.joined(separator: ","), wanted.recordKeyFields.joined(separator: ","))
        }
        if existing.partitionFields != wanted.partitionFields {
            throw differs(HudiOption.partitionPath, "the partition columns", existing.partitionFields.joined(separator: ","), wanted.partitionFields.joined(separator: ","))
        }
        if let declared = wanted.orderingField, let stored = existing.orderingField, declared != stored {
            throw differs(HudiOption.ordering[0], "the ordering field", stored, declared)
        }
        if table.options[HudiOption.hiveStyle] != nil, existing.hiveStylePartitioning != wanted.hiveStylePartitioning {
            throw differs(HudiOption.hiveStyle, "hive style partitioning", String(existing.hiveStylePartitioning), String(wanted.hiveStylePartitioning))
        }
        if table.options[HudiOption.urlEncode] != nil, existing.urlEncodePartitions != wanted.urlEncodePartitions {
            throw differs(HudiOption.urlEncode, "url encoding of partitions", String(existing.urlEncodePartitions), String(wanted.urlEncodePartitions))
        }
        if table.options[HudiOption.tableName] != nil, existing.name != wanted.name {
            throw differs(HudiOption.tableName, "the name", existing.name, wanted.name)
        }
        if let field = existing.orderingField, !table.schema.contains(where: { $0.name == field }) {
            throw error(HudiOption.path, "the Hudi table at \(files.root) is ordered by column \(field), which the declaration lacks", fix: "declare that column")
        }
        if let schema = try TableSnapshot.load(files, existing).schema {
            let missing = try RowColumns.position(in: table) != nil || bool(HudiOption.nullForMissing, default: false)
            _ = try SchemaEvolution.merge(table: schema, writer: stored, name: existing.name, missing: missing)
        }
        return existing
    }

    /// Checks the options for writing, whatever the table on the disk is.
    func checkWriting() throws { _ = try writeConfiguration(nil) }

    /// - Parameter properties: of the table that is going to be written.
    func writeConfiguration(_ properties: TableProperties?) throws -> WriteConfiguration {
        return WriteConfiguration(
            operation: try lake.operation(default: .upsert),
            keys: properties?.keyRules ?? KeyRules(tableName: table.name, recordKeyFields: [], partitionFields: [], namesKeys: false, hiveStyle: false, urlEncode: false),
            orderingField: properties?.orderingField, stored: try StoredTypes.stored(table.schema), codec: try lake.codec(HudiOption.codec),
            globalKeys: try lake.globalKeys(), limits: try lake.limits(smallFileLimit: HudiOption.smallFileLimit),
            mergeSmallFilesOnInsert: try lake.mergesSmallFilesOnInsert(), upsertBufferBytes: try lake.upsertBufferBytes(),
            rowColumn: RowColumns.position(in: table), nullForMissing: try bool(HudiOption.nullForMissing, default: false))
    }

    func retainedCommits() throws -> Int { try lake.retainedCommits() ?? 30 }

    func commitInterval() throws -> Duration? { try lake.commitInterval() }
}
