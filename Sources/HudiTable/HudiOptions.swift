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

    func error(_ option: String, _ problem: String, fix: String? = nil) -> StreamError {
        StreamError(.validate, "table \(table.name): \(problem)", fix: fix, at: table.optionLocations[option])
    }

    private var read: TableOptions { TableOptions(table) }

    private func bool(_ option: String, default fallback: Bool) throws -> Bool { try read.bool(option) ?? fallback }

    /// A bare number counts MiB, as in Hudi; a number with a unit is what it says.
    private func mebibytes(_ option: String, default fallback: Int64) throws -> Int64 {
        guard let text = table.options[option] else { return fallback << 20 }
        if let n = Int64(text.trimmedSpaces) {
            guard n > 0, n <= .max >> 20 else { throw read.error(option, "is not a size", fix: "write a number of MiB such as '120', or '1 gb'") }
            return n << 20
        }
        return Int64(try read.bytes(option)!)
    }

    private func columns(_ option: String, _ text: String) throws -> [String] {
        let names = text.split(separator: ",").map { $0.trimmedSpaces }
        for name in names where !table.schema.contains(where: { $0.name == name }) {
            throw error(option, "'\(option)' names column '\(name)', which the table does not have",
                        fix: NearName.hint(for: name, in: table.schema.map(\.name)))
        }
        return names
    }

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

    private func orderingField() throws -> String? {
        let given = HudiOption.ordering.filter { table.options[$0] != nil }
        guard let option = given.first else { return nil }
        if let other = given.dropFirst().first(where: { table.options[$0] != table.options[option] }) {
            throw error(other, "'\(option)' and '\(other)' name different columns", fix: "give only one of them")
        }
        let names = try columns(option, table.options[option]!)
        guard names.count == 1 else { throw error(option, "'\(option)' must name one column", fix: "write one column name") }
        let field = table.schema.first { $0.name == names[0] }!
        guard OrderingValue.canOrder(field.type) else { throw error(option, "column \(field.name) of type \(field.type) has no order") }
        return names[0]
    }

    /// What a new table would be.
    func properties(stored: Schema) throws -> TableProperties {
        let keys = try recordKeys(), partitions = try partitions()
        guard !keys.isEmpty else {
            throw error(HudiOption.recordKey, "a Hudi table needs a record key", fix: "declare PRIMARY KEY (...) NOT ENFORCED, or set '\(HudiOption.recordKey)'")
        }
        for name in keys {
            let field = table.schema.first { $0.name == name }!
            guard TextColumn.canBeKey(field.type) else {
                throw error(HudiOption.recordKey, "record key column \(name) has type \(field.type), whose text form differs between engines",
                            fix: "use text, integers or dates as keys")
            }
        }
        for name in partitions {
            guard let field = table.schema.first(where: { $0.name == name }) else {
                throw error(HudiOption.partitionPath, "partition column '\(name)' is not a column of the table", fix: NearName.hint(for: name, in: table.schema.map(\.name)))
            }
            guard field.type.isText || field.type.isInteger || field.type == .boolean || field.type == .date else {
                throw error(HudiOption.partitionPath, "partition column \(name) has type \(field.type)", fix: "partition by text, integers, booleans or dates")
            }
        }
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
        let operation = try read.choice(HudiOption.operation, WriteConfiguration.Operation.allCases.map(\.rawValue)) ?? "upsert"
        let codec = try read.choice(HudiOption.codec, ParquetCodec.allCases.map(\.rawValue) + ["uncompressed"]) ?? "zstd"
        var limits = FileRouter.Limits()
        limits.maxFileBytes = try mebibytes(HudiOption.maxFileSize, default: 120)
        limits.smallFileBytes = min(try mebibytes(HudiOption.smallFileLimit, default: 100), limits.maxFileBytes)
        return WriteConfiguration(
            operation: .init(rawValue: operation)!,
            keys: properties?.keyRules ?? KeyRules(tableName: table.name, recordKeyFields: [], partitionFields: [], namesKeys: false, hiveStyle: false, urlEncode: false),
            orderingField: properties?.orderingField, stored: try StoredTypes.stored(table.schema), codec: ParquetCodec(rawValue: codec) ?? .none,
            globalKeys: try bool(HudiOption.globalIndex, default: true), limits: limits,
            mergeSmallFilesOnInsert: try bool(HudiOption.insertCluster, default: false),
            upsertBufferBytes: Int(try mebibytes(HudiOption.taskMaxSize, default: 512)), rowColumn: RowColumns.position(in: table),
            nullForMissing: try bool(HudiOption.nullForMissing, default: false))
    }

    func retainedCommits() throws -> Int { try read.int(HudiOption.retainCommits, in: 1...Int.max) ?? 30 }

    func commitInterval() throws -> Duration? {
        let interval = try read.duration(HudiOption.commitInterval)
        if let interval, interval <= .zero { throw read.error(HudiOption.commitInterval, "is not positive", fix: "write for example '10 s'") }
        return interval
    }
}

extension StringProtocol {
    var trimmedSpaces: String {
        var text = self[startIndex...]
        while text.first?.isWhitespace == true { text = text.dropFirst() }
        while text.last?.isWhitespace == true { text = text.dropLast() }
        return String(text)
    }
}
