import LakeTable
import StreamCore

/// Java properties text, as `hoodie.properties` and `.hoodie_partition_metadata` use it.
enum PropertiesText {
    static func parse(_ bytes: [UInt8]) -> [String: String] {
        var out: [String: String] = [:]
        for line in String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
            let line = line.drop(while: { $0 == " " || $0 == "\t" })
            guard let first = line.first, first != "#", first != "!" else { continue }
            var parts = ["", ""], part = 0, escaped = false
            for character in line {
                if escaped {
                    parts[part].append(["n": "\n", "t": "\t", "r": "\r"][character] ?? character)
                    escaped = false
                } else if character == "\\" {
                    escaped = true
                } else if part == 0, character == "=" || character == ":" {
                    part = 1
                } else {
                    parts[part].append(character)
                }
            }
            out[trim(parts[0])] = trim(parts[1])
        }
        return out
    }

    private static func trim(_ text: String) -> String {
        var text = text[...]
        while text.first == " " { text.removeFirst() }
        return String(text)
    }

    static func format(_ pairs: [(String, String)], comment: String) -> [UInt8] {
        var text = "#\(comment)\n"
        for (key, value) in pairs {
            text += key + "="
            for character in value {
                if "\\:#!=".contains(character) { text.append("\\") }
                text.append(character)
            }
            text += "\n"
        }
        return Array(text.utf8)
    }
}

/// How record keys are made of key columns, and paths of partition columns.
enum KeyGeneratorKind: String, Sendable, CaseIterable {
    case nonpartitioned = "NonpartitionedKeyGenerator"
    case simple = "SimpleKeyGenerator"
    case complex = "ComplexKeyGenerator"
    case timestamp = "TimestampBasedKeyGenerator"

    /// Its name in tables of version 8 and 9.
    var type: String {
        switch self {
        case .nonpartitioned: "NON_PARTITION"
        case .simple: "SIMPLE"
        case .complex: "COMPLEX"
        case .timestamp: "TIMESTAMP"
        }
    }

    /// - Parameter name: a type, or the name of a class with or without its package.
    init?(named name: String) {
        let last = name.split(separator: ".").last.map(String.init) ?? name
        guard let kind = Self.allCases.first(where: { $0.rawValue == last || $0.type == name.uppercased() }) else { return nil }
        self = kind
    }

    init(keys: Int, partitions: Int) {
        self = partitions == 0 ? .nonpartitioned : keys == 1 && partitions == 1 ? .simple : .complex
    }
}

/// What a table is, as `hoodie.properties` says it. Fixed when the table is created.
struct TableProperties: Sendable, Equatable {
    var name: String
    var database = "default"
    var version = TableVersion.six
    var recordKeyFields: [String]
    var partitionFields: [String] = []
    /// Compared from left to right.
    var orderingFields: [String] = []
    /// Nil = one that is not known here.
    var mergeMode: MergeMode? = .commitTime
    var hiveStylePartitioning = false
    var urlEncodePartitions = false
    var keyGenerator: KeyGeneratorKind
    /// How the partition column's values become paths, with the timestamp-based key generator.
    var timestamps: TimestampPartition?
    /// Avro JSON of the columns at creation; it makes an empty table readable.
    var createSchema: String?

    var keyRules: KeyRules {
        KeyRules(tableName: name, recordKeyFields: recordKeyFields, partitionFields: partitionFields, namesKeys: keyGenerator == .complex,
                 hiveStyle: hiveStylePartitioning, urlEncode: urlEncodePartitions,
                 timestamps: timestamps)
    }

    /// The columns whose larger values tell the newer of two rows with one key; none = the later one to arrive.
    var effectiveOrderingFields: [String] { mergeMode == .commitTime ? [] : orderingFields }

    static let file = TableFiles.metaFolder + "/hoodie.properties"
    static let backup = file + ".backup"

    private static let prefix = "org.apache.hudi.keygen."

    var pairs: [(String, String)] {
        var out = [
            ("hoodie.table.name", name), ("hoodie.database.name", database), ("hoodie.table.type", "COPY_ON_WRITE"),
            ("hoodie.table.version", String(version.rawValue)), ("hoodie.timeline.layout.version", String(version.timelineLayout)),
            ("hoodie.table.checksum", String(CRC32.checksum("\(database).\(name)"))),
            ("hoodie.table.recordkey.fields", recordKeyFields.joined(separator: ",")),
            version == .six ? ("hoodie.table.keygenerator.class", Self.prefix + keyGenerator.rawValue) : ("hoodie.table.keygenerator.type", keyGenerator.type),
            ("hoodie.datasource.write.hive_style_partitioning", String(hiveStylePartitioning)),
            ("hoodie.datasource.write.partitionpath.urlencode", String(urlEncodePartitions)),
            ("hoodie.datasource.write.drop.partition.columns", "false"),
            ("hoodie.table.base.file.format", "PARQUET"), ("hoodie.populate.meta.fields", "true"),
            ("hoodie.table.timeline.timezone", "UTC"), ("hoodie.archivelog.folder", "archived"),
        ]
        if !partitionFields.isEmpty { out.append(("hoodie.table.partition.fields", partitionFields.joined(separator: ","))) }
        if !orderingFields.isEmpty { out.append((version.orderingProperty, orderingFields.joined(separator: ","))) }
        out += version.morePairs(mergesByEventTime: mergeMode == .eventTime)
        // Version 6 has no such property; engines pass it over, and the next job here follows it.
        if version == .six, !orderingFields.isEmpty, mergeMode == .commitTime { out.append(("hoodie.record.merge.mode", MergeMode.commitTime.rawValue)) }
        if let timestamps { out += TimestampOption.pairs(timestamps) }
        if let createSchema { out.append(("hoodie.table.create.schema", createSchema)) }
        return out
    }

    func create(in files: TableFiles) throws {
        for folder in [".temp", ".aux", ".schema"].map({ TableFiles.metaFolder + "/" + $0 }) + [version.archiveFolder] { try files.makeFolder(folder) }
        // The last step: with this file there, the folders above it are known to be durable.
        try files.flushRoot()
        try files.publish(Self.file, PropertiesText.format(pairs, comment: "Properties saved by swiftwater"))
    }

    /// - Returns: nil when there is no table.
    /// - Throws: `.validate` for tables that cannot be read or written here, saying why.
    static func load(_ files: TableFiles) throws -> TableProperties? {
        let text = try files.readIfThere(file), backup = try files.readIfThere(backup)
        // An engine that changes the file keeps the old one as a backup until the new one is whole.
        if let backup, !(text.map(isWhole) ?? false) { return try parse(backup, files) }
        return try text.map { try parse($0, files) }
    }

    private static func parse(_ bytes: [UInt8], _ files: TableFiles) throws -> TableProperties {
        let p = PropertiesText.parse(bytes)
        func refuse(_ problem: String, fix: String? = nil) -> StreamError {
            StreamError(.validate, "Hudi table \(files.root): \(problem)", fix: fix)
        }
        func list(_ key: String) -> [String] { (p[key] ?? "").split(separator: ",").map { String($0).trimmed } }
        guard let name = p["hoodie.table.name"] else { throw refuse("hoodie.properties has no hoodie.table.name") }
        let type = p["hoodie.table.type"] ?? "COPY_ON_WRITE"
        guard type == "COPY_ON_WRITE" else {
            throw refuse("its type is \(type); only COPY_ON_WRITE is supported")
        }
        let versionText = p["hoodie.table.version"] ?? ""
        guard let version = Int(versionText).flatMap(TableVersion.init) else {
            throw refuse("its table version is \(versionText.isEmpty ? "not given" : versionText); only versions \(TableVersion.supported) are supported",
                         fix: "keep engines from upgrading it (hoodie.write.auto.upgrade=false, hoodie.write.table.version=6), or downgrade it")
        }
        guard p["hoodie.timeline.layout.version"] == String(version.timelineLayout) else {
            throw refuse("timeline layout \(p["hoodie.timeline.layout.version"] ?? "not given") does not belong to version \(versionText)",
                         fix: "let the engine that began to upgrade the table finish it")
        }
        for (key, value) in [("hoodie.timeline.path", "timeline"), ("hoodie.timeline.history.path", "history")] where version.hasCompletionTimes {
            guard p[key] ?? value == value else { throw refuse("\(key) is \(p[key]!); only '\(value)' is supported") }
        }
        guard p["hoodie.populate.meta.fields"] ?? "true" == "true" else { throw refuse("it has no meta columns (hoodie.populate.meta.fields=false)") }
        guard p["hoodie.table.base.file.format"]?.uppercased() ?? "PARQUET" == "PARQUET" else {
            throw refuse("its base files are \(p["hoodie.table.base.file.format"]!), not PARQUET")
        }
        let keys = list("hoodie.table.recordkey.fields"), partitions = list("hoodie.table.partition.fields")
        let generatorName = p["hoodie.table.keygenerator.type"] ?? p["hoodie.table.keygenerator.class"]
        guard let generator = generatorName.map({ KeyGeneratorKind(named: $0) }) ?? KeyGeneratorKind(keys: keys.count, partitions: partitions.count) else {
            throw refuse("key generator \(generatorName ?? "") is not supported",
                         fix: "use one of \(KeyGeneratorKind.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        let timestamps = try generator == .timestamp ? TimestampOption.partition(p) { _, problem, fix in refuse(problem, fix: fix) } : nil
        if timestamps != nil, partitions.count != 1 { throw refuse("key generator \(generator.rawValue) needs one partition column, not \(partitions.count)") }
        var ordering = list(version.orderingProperty)
        if ordering.isEmpty { ordering = list("hoodie.table.precombine.field") }
        let mergeMode = p["hoodie.record.merge.mode"].map { MergeMode(rawValue: $0) } ?? (ordering.isEmpty ? .commitTime : .eventTime)
        return TableProperties(
            name: name, database: p["hoodie.database.name"] ?? "", version: version, recordKeyFields: keys,
            partitionFields: generator == .nonpartitioned ? [] : partitions, orderingFields: ordering, mergeMode: mergeMode,
            hiveStylePartitioning: p["hoodie.datasource.write.hive_style_partitioning"] == "true",
            urlEncodePartitions: p["hoodie.datasource.write.partitionpath.urlencode"] == "true",
            keyGenerator: generator, timestamps: timestamps, createSchema: p["hoodie.table.create.schema"])
    }

    /// Finishes or undoes a change of the properties that an engine began and did not live to end: the file is there and whole,
    /// or its backup takes its place. To be called with the table's lock held, before anything is written.
    static func settleBackup(_ files: TableFiles) throws {
        guard files.exists(backup) else { return }
        if try !(files.exists(file) && isWhole(files.read(file))) {
            let old = try files.read(backup)
            guard isWhole(old) else {
                throw StreamError(.corrupt, "Hudi table \(files.root): both hoodie.properties and its backup are damaged", fix: "restore .hoodie/hoodie.properties")
            }
            // Until the new one is there, readers go by the backup.
            try files.remove(file)
            try files.publish(file, old)
        }
        try files.remove(backup)
        try files.flush(TableFiles.metaFolder)
    }

    private static func isWhole(_ bytes: [UInt8]) -> Bool {
        let p = PropertiesText.parse(bytes)
        guard bytes.last == 0x0A, let name = p["hoodie.table.name"], p["hoodie.table.version"] != nil, p["hoodie.timeline.layout.version"] != nil else { return false }
        return p["hoodie.table.checksum"].map { $0 == String(CRC32.checksum("\(p["hoodie.database.name"] ?? "").\(name)")) } ?? true
    }

    /// The table is what it was when the job started. Reads the file again only when its bytes have changed.
    /// - Parameter seen: the bytes that were found to be fine before.
    /// - Throws: `.conflict` when another engine has changed it, has begun to, or keeps a metadata table.
    func requireUnchanged(_ files: TableFiles, seen: inout [UInt8]) throws {
        guard !files.exists(Self.backup) else {
            throw StreamError(.conflict, "another engine is changing the properties of Hudi table \(files.root): hoodie.properties.backup is there",
                              fix: "let it finish, then start the job again")
        }
        guard files.exists(Self.file) else {
            throw StreamError(.conflict, "Hudi table \(files.root) has lost its hoodie.properties", fix: "restore the file or drop the table's folder")
        }
        let bytes = try files.read(Self.file)
        try Self.requireNoMetadataTable(files, bytes == seen ? [:] : PropertiesText.parse(bytes))
        if bytes == seen { return }
        let now = try Self.parse(bytes, files)
        var expected = self
        (expected.createSchema, expected.database) = (now.createSchema, now.database)
        guard now.version == version else {
            throw StreamError(.conflict, "another engine has changed Hudi table \(files.root) from version \(version.rawValue) to \(now.version.rawValue)",
                              fix: "start the job again; to keep the version, set hoodie.write.auto.upgrade=false and hoodie.write.table.version=\(version.rawValue) there")
        }
        guard now == expected else {
            throw StreamError(.conflict, "the properties of Hudi table \(files.root) were changed while it was being written", fix: "start the job again")
        }
        seen = bytes
    }

    /// Refuses tables that only an engine which keeps Hudi's metadata table may write.
    private static func requireNoMetadataTable(_ files: TableFiles, _ p: [String: String]) throws {
        let partitions = p["hoodie.table.metadata.partitions"] ?? ""
        guard try partitions.isEmpty && !files.isThere(TableFiles.metaFolder + "/metadata") else {
            throw StreamError(.conflict, "Hudi table \(files.root) has a metadata table (\(partitions.isEmpty ? ".hoodie/metadata" : partitions)); "
                              + "commits that do not maintain it would be invisible to other engines",
                              fix: "disable it there with hoodie.metadata.enable=false and delete .hoodie/metadata")
        }
    }
}

/// CRC-32 as zip files use it.
enum CRC32 {
    static func checksum(_ text: String) -> UInt32 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in text.utf8 {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        return ~crc
    }
}
