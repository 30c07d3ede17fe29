import LakeTable
import StreamCore

/// The options of a table with `'connector' = 'delta'`, beside those of all lake tables.
enum DeltaOption {
    static let versionAsOf = "versionAsOf"
    static let timestampAsOf = "timestampAsOf"
    static let fileRetention = "delta.deletedFileRetentionDuration"
    static let logRetention = "delta.logRetentionDuration"
    static let checkpointInterval = "delta.checkpointInterval"
    static let appendOnly = "delta.appendOnly"
    /// A setting of tables that we make: the columns by which rows are found.
    static let primaryKey = "swiftwater.primaryKey"

    static let all: Set<String> = LakeOptions.all.union(TableFiles.storageOptions).union([versionAsOf, timestampAsOf, fileRetention, logRetention, checkpointInterval, appendOnly])
}

/// What a sink needs to know of its table beside the rows: the checked form of the options.
struct DeltaPlan: Sendable {
    var tableName: String
    /// The declared columns as the table stores them.
    var stored: Schema
    var primaryKey: [String]
    var partitions: [String]
    var codec: ParquetCodec
    /// The settings of a new table.
    var settings: [String: String?]
    /// nil = as the table says.
    var checkpointIntervalOption: Int64?
    /// Milliseconds; nil = as the table says.
    var fileRetentionOption: Int64?, logRetentionOption: Int64?
    /// Files of this many newest versions are kept.
    var retainedCommits: Int?

    var keyRules: KeyRules {
        KeyRules(tableName: tableName, recordKeyFields: primaryKey, partitionFields: partitions, namesKeys: false, hiveStyle: true, urlEncode: true)
    }

    /// How long files stay after they were removed, in milliseconds; nil = the number of commits alone decides.
    func fileRetention(_ metadata: TableMetadata) throws -> Int64? {
        if let fileRetentionOption { return fileRetentionOption }
        if let text = metadata.setting(DeltaOption.fileRetention), let value = DeltaInterval.milliseconds(text) { return value }
        return retainedCommits == nil ? 7 * 86_400_000 : nil
    }

    /// A checkpoint is written every so many commits.
    func checkpointInterval(_ metadata: TableMetadata) -> Int64 {
        checkpointIntervalOption ?? metadata.setting(DeltaOption.checkpointInterval).flatMap { Int64($0) }.flatMap { $0 > 0 ? $0 : nil } ?? 10
    }

    func logRetention(_ metadata: TableMetadata) throws -> Int64 {
        logRetentionOption ?? metadata.setting(DeltaOption.logRetention).flatMap { DeltaInterval.milliseconds($0) } ?? 30 * 86_400_000
    }

    /// An existing table decides, and the declaration must agree with it.
    func requireFit(_ metadata: TableMetadata, table: String) throws {
        func differs(_ what: String, _ there: [String], _ declared: [String]) -> StreamError {
            func list(_ names: [String]) -> String { names.isEmpty ? "none" : names.joined(separator: ", ") }
            return StreamError(.validate, "table \(tableName): the Delta table at \(table) has the \(what) '\(list(there))', but the declaration says '\(list(declared))'",
                               fix: "declare '\(list(there))', or use another path")
        }
        if metadata.partitionColumns != partitions { throw differs("partition columns", metadata.partitionColumns, partitions) }
        if let text = metadata.setting(DeltaOption.primaryKey) {
            let key = text.split(separator: ",").map { String($0) }
            if key != primaryKey { throw differs("primary key", key, primaryKey) }
        }
    }
}

/// Durations as Delta's settings write them: `interval 7 days`, `interval 1 week 2 hours`.
enum DeltaInterval {
    private static let units: [String: Int64] = [
        "week": 7 * 86_400_000, "day": 86_400_000, "hour": 3_600_000, "minute": 60_000, "second": 1_000, "millisecond": 1,
    ]

    /// nil when it is none.
    static func milliseconds(_ text: String) -> Int64? {
        var words = text.lowercased().split(separator: " ").map { String($0) }
        if words.first == "interval" { words.removeFirst() }
        guard !words.isEmpty, words.count % 2 == 0 else { return nil }
        var total: Int64 = 0
        for i in stride(from: 0, to: words.count, by: 2) {
            let name = words[i + 1].hasSuffix("s") ? String(words[i + 1].dropLast()) : words[i + 1]
            guard let number = Int64(words[i]), let unit = units[name] else { return nil }
            let (part, overflow) = number.multipliedReportingOverflow(by: unit)
            guard !overflow, part >= 0, total <= .max - part else { return nil }
            total += part
        }
        return total
    }

    static func text(_ milliseconds: Int64) -> String {
        for name in ["day", "hour", "minute", "second"] where milliseconds > 0 && milliseconds % units[name]! == 0 {
            return "interval \(milliseconds / units[name]!) \(name)s"
        }
        return milliseconds == 0 ? "interval 0 seconds" : "interval \(milliseconds) milliseconds"
    }
}

/// Reads the options of one table; every error names the option, its value and what to write instead.
struct DeltaOptions {
    let table: TableDescriptor

    private var lake: LakeOptions { LakeOptions(table) }
    private var read: TableOptions { TableOptions(table) }

    func files() throws -> TableFiles {
        var files = try TableFiles(path: try read.require(LakeOptions.path), table: table)
        files.metaFolder = LogListing.folder
        return files
    }

    /// `interval 7 days` as Delta writes it, or `7 d` as other options are written.
    private func interval(_ option: String) throws -> Int64? {
        guard let text = table.options[option] else { return nil }
        if let value = DeltaInterval.milliseconds(text) { return value }
        return try read.milliseconds(option)
    }

    func plan() throws -> DeltaPlan {
        let stored = try DeltaSchema.stored(table.schema)
        try lake.requireKeys(table.primaryKey, option: LakeOptions.path)
        try lake.requirePartitions(table.partitionKeys, option: LakeOptions.path)
        if table.partitionKeys.count == stored.count, !stored.isEmpty {
            throw lake.error(LakeOptions.path, "all of its columns are partition columns", fix: "leave at least one out of PARTITIONED BY")
        }
        let files = try interval(DeltaOption.fileRetention), log = try interval(DeltaOption.logRetention)
        let every = try read.int(DeltaOption.checkpointInterval, in: 1...Int.max)
        var settings: [String: String?] = [:]
        if let files { settings[DeltaOption.fileRetention] = DeltaInterval.text(files) }
        if let log { settings[DeltaOption.logRetention] = DeltaInterval.text(log) }
        if let every { settings[DeltaOption.checkpointInterval] = String(every) }
        if let append = try read.bool(DeltaOption.appendOnly) { settings[DeltaOption.appendOnly] = String(append) }
        if !table.primaryKey.isEmpty { settings[DeltaOption.primaryKey] = table.primaryKey.joined(separator: ",") }
        return DeltaPlan(
            tableName: table.name, stored: stored, primaryKey: table.primaryKey, partitions: table.partitionKeys, codec: try lake.codec(default: .zstd),
            settings: settings, checkpointIntervalOption: every.map { Int64($0) }, fileRetentionOption: files, logRetentionOption: log,
            retainedCommits: try lake.retainedCommits())
    }

    func writeConfiguration(_ plan: DeltaPlan) throws -> WriteConfiguration {
        let operation = try lake.operation(default: plan.primaryKey.isEmpty ? .insert : .upsert)
        if operation.findsKeys, plan.primaryKey.isEmpty {
            throw lake.error(LakeOptions.operation, "'\(LakeOptions.operation)' = '\(operation.rawValue)' needs a primary key",
                             fix: "declare PRIMARY KEY (...) NOT ENFORCED, or set '\(LakeOptions.operation)' = 'insert'")
        }
        if let option = [DeltaOption.versionAsOf, DeltaOption.timestampAsOf].first(where: { table.options[$0] != nil }) {
            throw lake.error(option, "'\(option)' is set, and the past cannot be written to", fix: "write to a table declared without it")
        }
        return WriteConfiguration(
            operation: operation, keys: plan.keyRules, orderingField: operation == .delete ? nil : try lake.orderingField(), stored: plan.stored, codec: plan.codec,
            globalKeys: try lake.globalKeys(), limits: try lake.limits(), mergeSmallFilesOnInsert: try lake.mergesSmallFilesOnInsert(),
            upsertBufferBytes: try lake.upsertBufferBytes(), rowColumn: RowColumns.position(in: table), nullForMissing: try lake.nullForMissing())
    }

    func commitInterval() throws -> Duration? { try lake.commitInterval() }

    // MARK: Reading

    enum AsOf: Sendable, Hashable {
        case newest, version(Int64)
        /// Milliseconds since 1970.
        case time(Int64)
    }

    func asOf() throws -> AsOf {
        let version = try read.int(DeltaOption.versionAsOf, in: 0...Int.max)
        guard let text = table.options[DeltaOption.timestampAsOf] else { return version.map { .version(Int64($0)) } ?? .newest }
        guard version == nil else {
            throw lake.error(DeltaOption.timestampAsOf, "both '\(DeltaOption.versionAsOf)' and '\(DeltaOption.timestampAsOf)' are set", fix: "give only one of them")
        }
        var plain = text.trimmed
        if plain.hasSuffix("Z") { plain.removeLast() }
        guard let time = plain.withUTF8({ DateTimeText.parseTimestamp(UnsafeRawBufferPointer($0), precision: 3) }) else {
            throw lake.error(DeltaOption.timestampAsOf, "option '\(DeltaOption.timestampAsOf)' = '\(text)' is no time",
                             fix: "write it as in '2026-01-31 10:00:00' or '2026-01-31 10:00:00.123' (UTC)")
        }
        return .time(time)
    }
}
