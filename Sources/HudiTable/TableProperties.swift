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

/// The versions of the format that can be written and read: what differs between them is asked here.
enum TableVersion: Int, Sendable {
    case six = 6

    var timelineLayout: Int { 1 }
    var timelineFolder: String { TableFiles.metaFolder }
}

/// How record keys are made of key columns.
enum KeyGeneratorKind: String, Sendable {
    case nonpartitioned = "NonpartitionedKeyGenerator"
    case simple = "SimpleKeyGenerator"
    case complex = "ComplexKeyGenerator"

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
    var orderingField: String?
    var hiveStylePartitioning = false
    var urlEncodePartitions = false
    var keyGenerator: KeyGeneratorKind
    /// Avro JSON of the columns at creation; it makes an empty table readable.
    var createSchema: String?

    var keyRules: KeyRules {
        KeyRules(tableName: name, recordKeyFields: recordKeyFields, partitionFields: partitionFields, namesKeys: keyGenerator == .complex,
                 hiveStyle: hiveStylePartitioning, urlEncode: urlEncodePartitions)
    }

    static let file = TableFiles.metaFolder + "/hoodie.properties"
    static let backup = file + ".backup"

    private static let prefix = "org.apache.hudi.keygen."

    var pairs: [(String, String)] {
        var out = [
            ("hoodie.table.name", name), ("hoodie.database.name", database), ("hoodie.table.type", "COPY_ON_WRITE"),
            ("hoodie.table.version", String(version.rawValue)), ("hoodie.timeline.layout.version", String(version.timelineLayout)),
            ("hoodie.table.checksum", String(CRC32.checksum("\(database).\(name)"))),
            ("hoodie.table.recordkey.fields", recordKeyFields.joined(separator: ",")),
            ("hoodie.table.keygenerator.class", Self.prefix + keyGenerator.rawValue),
            ("hoodie.datasource.write.hive_style_partitioning", String(hiveStylePartitioning)),
            ("hoodie.datasource.write.partitionpath.urlencode", String(urlEncodePartitions)),
            ("hoodie.datasource.write.drop.partition.columns", "false"),
            ("hoodie.table.base.file.format", "PARQUET"), ("hoodie.populate.meta.fields", "true"),
            ("hoodie.table.timeline.timezone", "UTC"), ("hoodie.archivelog.folder", "archived"),
        ]
        if !partitionFields.isEmpty { out.append(("hoodie.table.partition.fields", partitionFields.joined(separator: ","))) }
        if let orderingField { out.append(("hoodie.table.precombine.field", orderingField)) }
        if let createSchema { out.append(("hoodie.table.create.schema", createSchema)) }
        return out
    }

    func create(in files: TableFiles) throws {
        for folder in [".temp", ".aux", ".schema", "archived"] { try files.makeFolder(TableFiles.metaFolder + "/" + folder) }
        // The last step: with this file there, the folders above it are known to be durable.
        try files.flushRoot()
        try files.publish(Self.file, PropertiesText.format(pairs, comment: "Properties saved by swiftwater"))
    }

    /// - Returns: nil when there is no table.
    /// - Throws: `.validate` for tables that cannot be read or written here, saying why.
    static func load(_ files: TableFiles) throws -> TableProperties? {
        let file = files.exists(file) ? file : backup
        guard files.exists(file) else { return nil }
        let p = PropertiesText.parse(try files.read(file))
        func refuse(_ problem: String, fix: String? = nil) -> StreamError {
            StreamError(.validate, "Hudi table \(files.root): \(problem)", fix: fix)
        }
        func list(_ key: String) -> [String] { (p[key] ?? "").split(separator: ",").map(String.init) }
        guard let name = p["hoodie.table.name"] else { throw refuse("hoodie.properties has no hoodie.table.name") }
        let type = p["hoodie.table.type"] ?? "COPY_ON_WRITE"
        guard type == "COPY_ON_WRITE" else {
            throw refuse("its type is \(type); only COPY_ON_WRITE is supported")
        }
        let versionText = p["hoodie.table.version"] ?? ""
        guard let version = Int(versionText).flatMap(TableVersion.init) else {
            throw refuse("its table version is \(versionText.isEmpty ? "not given" : versionText); only version 6 is supported",
                         fix: "keep engines from upgrading it (hoodie.write.auto.upgrade=false, hoodie.write.table.version=6), or downgrade it")
        }
        guard p["hoodie.timeline.layout.version"] == String(version.timelineLayout) else {
            throw refuse("timeline layout \(p["hoodie.timeline.layout.version"] ?? "not given") does not belong to version \(versionText)")
        }
        guard p["hoodie.populate.meta.fields"] ?? "true" == "true" else { throw refuse("it has no meta columns (hoodie.populate.meta.fields=false)") }
        guard p["hoodie.table.base.file.format"]?.uppercased() ?? "PARQUET" == "PARQUET" else {
            throw refuse("its base files are \(p["hoodie.table.base.file.format"]!), not PARQUET")
        }
        let keys = list("hoodie.table.recordkey.fields"), partitions = list("hoodie.table.partition.fields")
        let className = p["hoodie.table.keygenerator.class"].map { String($0.split(separator: ".").last ?? "") }
        guard let generator = className.map({ KeyGeneratorKind(rawValue: $0) }) ?? KeyGeneratorKind(keys: keys.count, partitions: partitions.count) else {
            throw refuse("key generator \(className ?? "") is not supported", fix: "use Simple-, Complex- or NonpartitionedKeyGenerator")
        }
        return TableProperties(
            name: name, database: p["hoodie.database.name"] ?? "", version: version, recordKeyFields: keys,
            partitionFields: generator == .nonpartitioned ? [] : partitions, orderingField: p["hoodie.table.precombine.field"],
            hiveStylePartitioning: p["hoodie.datasource.write.hive_style_partitioning"] == "true",
            urlEncodePartitions: p["hoodie.datasource.write.partitionpath.urlencode"] == "true",
            keyGenerator: generator, createSchema: p["hoodie.table.create.schema"])
    }

    /// Refuses tables that only an engine which keeps Hudi's metadata table may write.
    /// - Throws: `.conflict`.
    static func requireNoMetadataTable(_ files: TableFiles) throws {
        let file = files.exists(file) ? file : backup
        let p = PropertiesText.parse(try files.read(file))
        let partitions = p["hoodie.table.metadata.partitions"] ?? ""
        guard partitions.isEmpty, !files.exists(TableFiles.metaFolder + "/metadata") else {
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
