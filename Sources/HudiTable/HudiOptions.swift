import LakeTable
import StreamCore

/// The options of a table with `'connector' = 'hudi'`, named as in Hudi's Flink connector where that has them.
enum HudiOption {
    static let path = "path"
    static let tableType = "table.type"
    static let tableVersion = "hoodie.write.table.version"
    static let keyGeneratorClass = "hoodie.datasource.write.keygenerator.class"
    static let keyGeneratorType = "hoodie.datasource.write.keygenerator.type"
    static let mergeMode = ["hoodie.record.merge.mode", "hoodie.write.record.merge.mode"]
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
    static let cleanPolicy = "clean.policy"
    static let cleanEnabled = "clean.async.enabled"
    static let retainCommits = "clean.retain_commits"
    static let retainVersions = "clean.retain_file_versions"
    static let retainHours = "clean.retain_hours"
    static let clustering = "clustering.schedule.enabled"
    static let clusteringCommits = "clustering.delta_commits"
    static let clusteringTarget = "clustering.plan.strategy.target.file.max.bytes"
    static let clusteringLimit = "clustering.plan.strategy.small.file.limit"
    static let clusteringSort = "clustering.plan.strategy.sort.columns"
    static let nullForMissing = "hoodie.write.set.null.for.missing.columns"

    static let all: Set<String> = Set([
        path, tableType, tableVersion, keyGeneratorClass, keyGeneratorType, tableName, databaseName, recordKey, partitionPath, hiveStyle, urlEncode, operation, codec, maxFileSize,
        smallFileLimit, insertCluster, taskMaxSize, commitInterval, globalIndex, cleanPolicy,
        cleanEnabled, retainCommits, retainVersions, retainHours, clustering, clusteringCommits, clusteringTarget, clusteringLimit, clusteringSort,
        nullForMissing,
    ] + ordering + mergeMode).union(TimestampOption.all)
}

/// Reads the options of one table; every error names the option, its value and what to write instead.
struct HudiOptions {
    let table: TableDescriptor

    private var lake: LakeOptions { LakeOptions(table) }

    func error(_ option: String, _ problem: String, fix: String? = nil) -> StreamError { lake.error(option, problem, fix: fix) }

    private var read: TableOptions { TableOptions(table) }

    private func bool(_ option: String, default fallback: Bool) throws -> Bool { try read.bool(option) ?? fallback }

    private func columns(_ option: String, _ text: String) throws -> [String] { try lake.columns(option, text) }

    private func mebibytes(_ option: String, default fallback: Int64) throws -> Int64 { try lake.mebibytes(option, default: fallback) }

    func files() throws -> TableFiles {
        let path = try read.require(HudiOption.path)
        if let type = table.options[HudiOption.tableType], type.uppercased() != "COPY_ON_WRITE" {
            throw error(HudiOption.tableType, "'table.type' = '\(type)' is not supported", fix: "write 'table.type' = 'COPY_ON_WRITE'")
        }
        return try TableFiles(path: path, table: table)
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

    /// The value of an option with several names.
    private func one(of options: [String], _ what: String) throws -> (option: String, text: String)? {
        let given = options.filter { table.options[$0] != nil }
        guard let option = given.first else { return nil }
        if let other = given.dropFirst().first(where: { table.options[$0] != table.options[option] }) {
            throw error(other, "'\(option)' and '\(other)' name different \(what)", fix: "give only one of them")
        }
        return (option, table.options[option]!)
    }

    /// - Parameter version: of the table that is written.
    private func orderingFields(_ version: TableVersion) throws -> [String] {
        guard let (option, text) = try one(of: HudiOption.ordering, "columns") else { return [] }
        let names = try columns(option, text)
        guard names.count == 1 || version.allowsSeveralOrderingFields && names.count > 1 else {
            throw error(option, "'\(option)' must name one column", fix: "write one column name; tables of version 9 can have several ('\(HudiOption.tableVersion)' = '9')")
        }
        for name in names {
            let field = table.schema.first { $0.name == name }!
            guard OrderingValue.canOrder(field.type) else { throw error(option, "column \(field.name) of type \(field.type) has no order") }
        }
        return names
    }

    private func mergeMode() throws -> MergeMode? {
        guard let (option, text) = try one(of: HudiOption.mergeMode, "modes") else { return nil }
        guard let mode = MergeMode(rawValue: text.uppercased()) else {
            throw error(option, "'\(option)' = '\(text)' is not supported", fix: "write one of \(MergeMode.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return mode
    }

    private func tableVersion() throws -> TableVersion? {
        guard let text = table.options[HudiOption.tableVersion] else { return nil }
        guard let version = Int(text.trimmed).flatMap(TableVersion.init) else {
            throw error(HudiOption.tableVersion, "'\(HudiOption.tableVersion)' = '\(text)' is not supported", fix: "write '6', '8' or '9'")
        }
        return version
    }

    private func keyGenerator(keys: [String], partitions: [String]) throws -> KeyGeneratorKind {
        let usual = KeyGeneratorKind(keys: keys.count, partitions: partitions.count)
        guard let option = [HudiOption.keyGeneratorClass, HudiOption.keyGeneratorType].first(where: { table.options[$0] != nil }) else { return usual }
        let text = table.options[option]!
        let names = KeyGeneratorKind.allCases.map { option == HudiOption.keyGeneratorType ? $0.type : $0.rawValue }.joined(separator: ", ")
        guard let kind = KeyGeneratorKind(named: text) else {
            throw error(option, "key generator '\(text)' is not supported", fix: "write one of \(names), or leave '\(option)' out")
        }
        if let other = table.options[HudiOption.keyGeneratorType], KeyGeneratorKind(named: other) != kind {
            throw error(HudiOption.keyGeneratorType, "'\(option)' and '\(HudiOption.keyGeneratorType)' name different key generators", fix: "give only one of them")
        }
        let fits = switch kind {
        case .nonpartitioned: partitions.isEmpty
        case .simple: keys.count == 1 && partitions.count == 1
        case .complex: !partitions.isEmpty
        case .timestamp: keys.count == 1 && partitions.count == 1
        }
        guard fits else {
            throw error(option, "key generator \(kind.rawValue) does not go with \(keys.count) key and \(partitions.count) partition columns",
                        fix: "write \(option == HudiOption.keyGeneratorType ? usual.type : usual.rawValue), or leave '\(option)' out")
        }
        return kind
    }

    private func timestamps(_ generator: KeyGeneratorKind, _ partitions: [String]) throws -> TimestampPartition? {
        guard generator == .timestamp else {
            if let option = TimestampOption.all.sorted().first(where: { table.options[$0] != nil }) {
                throw error(option, "'\(option)' is only for the timestamp-based key generator", fix: "set '\(HudiOption.keyGeneratorType)' = 'TIMESTAMP'")
            }
            return nil
        }
        let field = table.schema.first { $0.name == partitions[0] }!
        let partition = try TimestampOption.partition(table.options, column: field.type) { error($0, $1, fix: $2) }
        guard partition.accepts(field.type) else {
            throw error(TimestampOption.type, "column \(field.name) of type \(field.type) does not hold what '\(TimestampOption.type)' says",
                        fix: "write DATE_STRING for text, and another type for numbers, dates and timestamps")
        }
        return partition
    }

    /// What a new table would be.
    /// - Parameter existing: the table that is there; it says what the options leave open.
    func properties(stored: Schema, existing: TableProperties? = nil) throws -> TableProperties {
        let keys = try recordKeys(), partitions = try partitions()
        guard !keys.isEmpty else {
            throw error(HudiOption.recordKey, "a Hudi table needs a record key", fix: "declare PRIMARY KEY (...) NOT ENFORCED, or set '\(HudiOption.recordKey)'")
        }
        try lake.requireKeys(keys, option: HudiOption.recordKey)
        let isTimestamp = existing?.keyGenerator == .timestamp && table.options[HudiOption.keyGeneratorClass] == nil && table.options[HudiOption.keyGeneratorType] == nil
        let generator = isTimestamp ? KeyGeneratorKind.timestamp : try keyGenerator(keys: keys, partitions: partitions)
        if generator == .timestamp {
            for name in partitions where !table.schema.contains(where: { $0.name == name }) {
                throw error(HudiOption.partitionPath, "partition column '\(name)' is not a column of the table", fix: NearName.hint(for: name, in: table.schema.map(\.name)))
            }
        } else {
            try lake.requirePartitions(partitions, option: HudiOption.partitionPath)
        }
        let name = table.options[HudiOption.tableName] ?? table.name
        guard !name.isEmpty, name.utf8.allSatisfy({ $0 == 0x5F || (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) }) else {
            throw error(HudiOption.tableName, "'\(name)' cannot be the name of a Hudi table", fix: "set 'hoodie.table.name' to letters, digits and underscores")
        }
        let version = try tableVersion() ?? existing?.version ?? .six, ordering = try orderingFields(version), mode = try mergeMode()
        if mode == .eventTime, ordering.isEmpty {
            throw error(HudiOption.mergeMode.first { table.options[$0] != nil }!, "ordering by event time needs an ordering field",
                        fix: "set '\(HudiOption.ordering[0])' to a column")
        }
        return TableProperties(
            name: name, database: table.options[HudiOption.databaseName] ?? "default", version: version, recordKeyFields: keys, partitionFields: partitions,
            orderingFields: ordering, mergeMode: mode ?? (ordering.isEmpty ? .commitTime : .eventTime),
            hiveStylePartitioning: try bool(HudiOption.hiveStyle, default: false),
            urlEncodePartitions: try bool(HudiOption.urlEncode, default: false),
            keyGenerator: generator, timestamps: isTimestamp && TimestampOption.all.allSatisfy { table.options[$0] == nil } ? existing?.timestamps : try timestamps(generator, partitions),
            createSchema: AvroSchema.json(stored, table: name))
    }

    /// What the table is: an existing one decides, and the options must agree with it.
    func agreedProperties(_ files: TableFiles, stored: Schema) throws -> TableProperties {
        let found = try TableProperties.load(files)
        let wanted = try properties(stored: stored, existing: found)
        guard let existing = found else { return wanted }
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
        if !wanted.orderingFields.isEmpty, !existing.orderingFields.isEmpty, wanted.orderingFields != existing.orderingFields {
            throw differs(HudiOption.ordering[0], "the ordering field", existing.orderingFields.joined(separator: ","), wanted.orderingFields.joined(separator: ","))
        }
        guard let mode = existing.mergeMode else {
            throw error(HudiOption.path, "the Hudi table at \(files.root) merges rows in a way of its own (hoodie.record.merge.mode); it can only be read")
        }
        if let declared = try mergeMode(), declared != mode { throw differs(HudiOption.mergeMode[0], "the merge mode", mode.rawValue, declared.rawValue) }
        if let declared = try tableVersion(), declared != existing.version {
            throw differs(HudiOption.tableVersion, "version", String(existing.version.rawValue), String(declared.rawValue))
        }
        if table.options[HudiOption.keyGeneratorClass] ?? table.options[HudiOption.keyGeneratorType] != nil, existing.keyGenerator != wanted.keyGenerator {
            throw differs(HudiOption.keyGeneratorClass, "the key generator", existing.keyGenerator.rawValue, wanted.keyGenerator.rawValue)
        }
        if existing.keyGenerator == .timestamp, wanted.keyGenerator == .timestamp, existing.timestamps != wanted.timestamps {
            func text(_ p: TableProperties) -> String { p.timestamps.map { TimestampOption.pairs($0).map { "\($0.0)=\($0.1)" }.joined(separator: " ") } ?? "" }
            throw differs(TimestampOption.outputFormat, "the partitioning by time", text(existing), text(wanted))
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
        for field in existing.orderingFields where !table.schema.contains(where: { $0.name == field }) {
            throw error(HudiOption.path, "the Hudi table at \(files.root) is ordered by column \(field), which the declaration lacks", fix: "declare that column")
        }
        if let schema = try TableSnapshot.schema(try Timeline.load(files, version: existing.version), files, existing) {
            let missing = try RowColumns.position(in: table) != nil || bool(HudiOption.nullForMissing, default: false)
            _ = try SchemaEvolution.merge(table: schema, writer: stored, name: existing.name, missing: missing)
        }
        return existing
    }

    /// Checks the options for writing, whatever the table on the disk is.
    func checkWriting() throws { _ = try writeConfiguration(nil) }

    /// - Parameter properties: of the table that is going to be written.
    func writeConfiguration(_ properties: TableProperties?) throws -> WriteConfiguration {
        let limits = try lake.limits(smallFileLimit: HudiOption.smallFileLimit)
        var configuration = WriteConfiguration(
            operation: try lake.operation(default: .upsert),
            keys: properties?.keyRules ?? KeyRules(tableName: table.name, recordKeyFields: [], partitionFields: [], namesKeys: false, hiveStyle: false, urlEncode: false),
            orderingField: properties?.effectiveOrderingFields.first, stored: try StoredTypes.stored(table.schema), codec: try lake.codec(HudiOption.codec),
            globalKeys: try lake.globalKeys(), limits: limits,
            mergeSmallFilesOnInsert: try lake.mergesSmallFilesOnInsert(),
            upsertBufferBytes: try lake.upsertBufferBytes(), rowColumn: RowColumns.position(in: table),
            nullForMissing: try bool(HudiOption.nullForMissing, default: false))
        configuration.moreOrderingFields = Array(properties?.effectiveOrderingFields.dropFirst() ?? [])
        // What a delete names goes, however new it is.
        if configuration.operation == .delete { (configuration.orderingField, configuration.moreOrderingFields) = (nil, []) }
        let settings = FileClustering.Settings(
            targetBytes: try bytes(HudiOption.clusteringTarget) ?? limits.maxFileBytes,
            smallFileBytes: table.options[HudiOption.clusteringLimit] != nil ? try mebibytes(HudiOption.clusteringLimit, default: 0) : limits.smallFileBytes,
            sortColumns: try table.options[HudiOption.clusteringSort].map { try columns(HudiOption.clusteringSort, $0) } ?? [])
        let commits = try read.int(HudiOption.clusteringCommits, in: 1...Int.max) ?? 4
        if try bool(HudiOption.clustering, default: false) { configuration.clustering = (commits, settings) }
        return configuration
    }

    /// A bare number counts bytes.
    private func bytes(_ option: String) throws -> Int64? {
        guard let text = table.options[option] else { return nil }
        if let n = Int64(text.trimmed) {
            guard n > 0 else { throw read.error(option, "is not a size", fix: "write a number of bytes, or for example '120 mb'") }
            return n
        }
        return Int64(try read.bytes(option)!)
    }

    /// Which old file versions are deleted after commits; nil = none.
    func cleaning() throws -> CleanPolicy? {
        let commits = try read.int(HudiOption.retainCommits, in: 1...Int.max) ?? 30
        let versions = try read.int(HudiOption.retainVersions, in: 1...Int.max) ?? 5
        let hours = try read.int(HudiOption.retainHours, in: 1...1_000_000) ?? 24
        let policies = [CleanPolicy.commits(commits), .fileVersions(versions), .hours(hours)]
        let name = try read.choice(HudiOption.cleanPolicy, policies.map(\.name)) ?? CleanPolicy.standard.name
        return try bool(HudiOption.cleanEnabled, default: true) ? policies.first { $0.name == name } : nil
    }

    func commitInterval() throws -> Duration? { try lake.commitInterval() }
}
