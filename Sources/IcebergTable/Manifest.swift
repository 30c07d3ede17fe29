import LakeTable
import StreamCore

/// A data file as manifests describe it.
struct DataFile: Hashable, Sendable {
    /// Address of the file.
    var path: String
    var format = "PARQUET"
    /// Values of the partition, as the manifest's schema types them.
    var partition: [AvroValue]
    var rows: Int64
    var bytes: Int64
    /// By column id; nil = not known.
    var columnSizes: [Int: Int64]?
    var valueCounts: [Int: Int64]?
    var nullCounts: [Int: Int64]?
    var nanCounts: [Int: Int64]?
    var lower: [Int: [UInt8]]?
    var upper: [Int: [UInt8]]?
    var keyMetadata: [UInt8]?
    var splitOffsets: [Int64]?
    var sortOrder: Int64?
}

struct ManifestEntry: Hashable, Sendable {
    enum Status: Int64, Sendable { case existing, added, deleted }

    var status: Status
    var snapshot: Int64
    /// Sequence numbers of the data and of the file; nil in a manifest that is not part of a snapshot yet.
    var sequence: Int64?
    var fileSequence: Int64?
    var file: DataFile

    var isLive: Bool { status != .deleted }
}

/// A manifest as the list of a snapshot has it.
struct ManifestFile: Hashable, Sendable {
    var path: String
    var length: Int64
    var specID: Int
    /// 0 = data, 1 = deletes.
    var content: Int64
    var sequence: Int64
    var minSequence: Int64
    var addedSnapshot: Int64
    /// nil = not known.
    var addedFiles: Int64?, existingFiles: Int64?, deletedFiles: Int64?
    var addedRows: Int64?, existingRows: Int64?, deletedRows: Int64?
    var partitions: AvroValue = .null
    var keyMetadata: AvroValue = .null

    var mayHaveLiveFiles: Bool { addedFiles.map { $0 > 0 } ?? true || existingFiles.map { $0 > 0 } ?? true }
}

/// The Avro schemas of the specification's version 2.
enum ManifestSchemas {
    private static func field(_ id: Int, _ name: String, _ type: JSON, optional: Bool = false) -> JSON {
        var members: [JSON.Member] = [.init("name", .string(name)), .init("type", optional ? .array([.string("null"), type]) : type)]
        if optional { members.append(.init("default", .null)) }
        return .object(members + [.init("field-id", .int(Int64(id)))])
    }

    private static func record(_ name: String, _ fields: [JSON]) -> JSON {
        .object([.init("type", .string("record")), .init("name", .string(name)), .init("fields", .array(fields))])
    }

    private static func map(_ key: Int, _ value: Int, _ type: String) -> JSON {
        .object([.init("type", .string("array")), .init("items", record("k\(key)_v\(value)", [field(key, "key", .string("int")), field(value, "value", .string(type))])),
                 .init("logicalType", .string("map"))])
    }

    private static func list(_ id: Int, _ type: JSON) -> JSON {
        .object([.init("type", .string("array")), .init("items", type), .init("element-id", .int(Int64(id)))])
    }

    static let list = record("manifest_file", [
        field(500, "manifest_path", .string("string")), field(501, "manifest_length", .string("long")), field(502, "partition_spec_id", .string("int")),
        field(517, "content", .string("int")), field(515, "sequence_number", .string("long")), field(516, "min_sequence_number", .string("long")),
        field(503, "added_snapshot_id", .string("long")), field(504, "added_files_count", .string("int")), field(505, "existing_files_count", .string("int")),
        field(506, "deleted_files_count", .string("int")), field(512, "added_rows_count", .string("long")), field(513, "existing_rows_count", .string("long")),
        field(514, "deleted_rows_count", .string("long")),
        field(507, "partitions", list(508, record("r508", [
            field(509, "contains_null", .string("boolean")), field(518, "contains_nan", .string("boolean"), optional: true),
            field(510, "lower_bound", .string("bytes"), optional: true), field(511, "upper_bound", .string("bytes"), optional: true),
        ])), optional: true),
        field(519, "key_metadata", .string("bytes"), optional: true),
    ])

    /// - Parameter partition: the Avro fields of the partition tuple.
    static func entry(partition: [JSON]) -> JSON {
        record("manifest_entry", [
            field(0, "status", .string("int")), field(1, "snapshot_id", .string("long"), optional: true),
            field(3, "sequence_number", .string("long"), optional: true), field(4, "file_sequence_number", .string("long"), optional: true),
            field(2, "data_file", record("r2", [
                field(134, "content", .string("int")), field(100, "file_path", .string("string")), field(101, "file_format", .string("string")),
                field(102, "partition", record("r102", partition)), field(103, "record_count", .string("long")),
                field(104, "file_size_in_bytes", .string("long")), field(108, "column_sizes", map(117, 118, "long"), optional: true),
                field(109, "value_counts", map(119, 120, "long"), optional: true), field(110, "null_value_counts", map(121, 122, "long"), optional: true),
                field(137, "nan_value_counts", map(138, 139, "long"), optional: true), field(125, "lower_bounds", map(126, 127, "bytes"), optional: true),
                field(128, "upper_bounds", map(129, 130, "bytes"), optional: true), field(131, "key_metadata", .string("bytes"), optional: true),
                field(132, "split_offsets", list(133, .string("long")), optional: true),
                field(135, "equality_ids", list(136, .string("int")), optional: true), field(140, "sort_order_id", .string("int"), optional: true),
            ])),
        ])
    }

    /// The Avro field of one part of a partition tuple.
    static func partition(_ part: PartitionSpec.Part, _ type: IcebergType) -> JSON {
        let avro: JSON = switch type {
        case .boolean: .string("boolean")
        case .int: .string("int")
        case .long: .string("long")
        case .float: .string("float")
        case .double: .string("double")
        case .date: .object([.init("type", .string("int")), .init("logicalType", .string("date"))])
        case .time: .object([.init("type", .string("long")), .init("logicalType", .string("time-micros"))])
        case .timestamp: .object([.init("type", .string("long")), .init("logicalType", .string("timestamp-micros")), .init("adjust-to-utc", .bool(false))])
        case .timestamptz: .object([.init("type", .string("long")), .init("logicalType", .string("timestamp-micros")), .init("adjust-to-utc", .bool(true))])
        case .binary: .string("bytes")
        default: .string("string")
        }
        return field(part.id, avroName(part.name), avro, optional: true)
    }

    /// Avro allows letters, digits and underscores; others are written as Iceberg's Java library does.
    private static func avroName(_ name: String) -> String {
        var out = ""
        for (i, scalar) in name.unicodeScalars.enumerated() {
            let isDigit = ("0"..."9").contains(scalar), isLetter = scalar == "_" || ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
            if isLetter || isDigit && i > 0 {
                out.unicodeScalars.append(scalar)
            } else if isDigit {
                out += "_\(scalar)"
            } else {
                out += "_x" + String(scalar.value, radix: 16, uppercase: true)
            }
        }
        return out
    }
}

/// Reads and writes manifest lists and manifests.
enum ManifestCoding {
    static func list(_ bytes: [UInt8], file: String) throws -> [ManifestFile] {
        let avro = try AvroFile(bytes, file: file), fields = AvroFields(avro.type)
        return try avro.records.map { value in
            guard let record = value.record, let path = fields.value(500, record).string else { throw StreamError(.corrupt, "\(file): a manifest has no path", fix: "restore the file") }
            func int(_ id: Int) -> Int64? { fields.value(id, record).int }
            return ManifestFile(
                path: path, length: int(501) ?? 0, specID: Int(int(502) ?? 0), content: int(517) ?? 0, sequence: int(515) ?? 0, minSequence: int(516) ?? 0,
                addedSnapshot: int(503) ?? 0, addedFiles: int(504), existingFiles: int(505), deletedFiles: int(506), addedRows: int(512),
                existingRows: int(513), deletedRows: int(514), partitions: fields.value(507, record), keyMetadata: fields.value(519, record))
        }
    }

    static func listBytes(_ manifests: [ManifestFile], snapshot: Int64, parent: Int64?, sequence: Int64) throws -> [UInt8] {
        let header = [("snapshot-id", "\(snapshot)"), ("parent-snapshot-id", parent.map { "\($0)" } ?? "null"), ("sequence-number", "\(sequence)"), ("format-version", "2")]
        return try AvroFile.bytes(schema: ManifestSchemas.list, header: header, records: manifests.map { m in
            .record([
                .string(m.path), .int(m.length), .int(Int64(m.specID)), .int(m.content), .int(m.sequence), .int(m.minSequence), .int(m.addedSnapshot),
                .int(m.addedFiles ?? 0), .int(m.existingFiles ?? 0), .int(m.deletedFiles ?? 0), .int(m.addedRows ?? 0), .int(m.existingRows ?? 0),
                .int(m.deletedRows ?? 0), summaries(m.partitions), m.keyMetadata,
            ])
        })
    }

    /// Summaries of another writer may lack what is optional.
    private static func summaries(_ value: AvroValue) -> AvroValue {
        guard let list = value.array else { return .null }
        guard list.allSatisfy({ $0.record?.count == 4 }) else { return .null }
        return value
    }

    /// The entries of a manifest with what they inherit from the list.
    static func entries(_ bytes: [UInt8], _ manifest: ManifestFile, spec: PartitionSpec, file: String) throws -> [ManifestEntry] {
        let avro = try AvroFile(bytes, file: file), fields = AvroFields(avro.type)
        let data = AvroFields(fields.type(2) ?? .null), tuple = AvroFields(data.type(102) ?? .null)
        return try avro.records.map { value in
            guard let record = value.record, let status = fields.value(0, record).int.flatMap(ManifestEntry.Status.init), let f = fields.value(2, record).record,
                  let path = data.value(100, f).string else { throw StreamError(.corrupt, "\(file): an entry has no status or no file", fix: "restore the file") }
            func counts(_ id: Int) -> [Int: Int64]? {
                data.value(id, f).array.map { items in Dictionary(items.compactMap { pair in pair.record.flatMap { p in p[0].int.flatMap { k in p[1].int.map { (Int(k), $0) } } } }) { a, _ in a } }
            }
            func bounds(_ id: Int) -> [Int: [UInt8]]? {
                data.value(id, f).array.map { items in Dictionary(items.compactMap { pair in pair.record.flatMap { p in p[0].int.flatMap { k in p[1].bytes.map { (Int(k), $0) } } } }) { a, _ in a } }
            }
            let dataFile = DataFile(
                path: path, format: data.value(101, f).string ?? "PARQUET", partition: (data.value(102, f).record).map { p in spec.parts.map { tuple.value($0.id, p) } } ?? [], rows: data.value(103, f).int ?? 0,
                bytes: data.value(104, f).int ?? 0, columnSizes: counts(108), valueCounts: counts(109), nullCounts: counts(110), nanCounts: counts(137),
                lower: bounds(125), upper: bounds(128), keyMetadata: data.value(131, f).bytes,
                splitOffsets: data.value(132, f).array.map { $0.compactMap(\.int) }, sortOrder: data.value(140, f).int)
            let inherits = status == .added
            return ManifestEntry(
                status: status, snapshot: fields.value(1, record).int ?? manifest.addedSnapshot,
                sequence: fields.value(3, record).int ?? (inherits ? manifest.sequence : 0),
                fileSequence: fields.value(4, record).int ?? (inherits ? manifest.sequence : 0), file: dataFile)
        }
    }

    /// - Parameter partition: the Avro fields of the partition tuple.
    static func entryBytes(_ entries: [ManifestEntry], schema: IcebergSchema, spec: PartitionSpec, partition: [JSON]) throws -> [UInt8] {
        func counts(_ map: [Int: Int64]?) -> AvroValue {
            map.map { .array($0.sorted { $0.key < $1.key }.map { .record([.int(Int64($0.key)), .int($0.value)]) }) } ?? .null
        }
        func bounds(_ map: [Int: [UInt8]]?) -> AvroValue {
            map.map { .array($0.sorted { $0.key < $1.key }.map { .record([.int(Int64($0.key)), .bytes($0.value)]) }) } ?? .null
        }
        let header = [("schema", schema.json.text()), ("schema-id", "\(schema.id)"), ("partition-spec", spec.partsJSON.text()), ("partition-spec-id", "\(spec.id)"),
                      ("format-version", "2"), ("content", "data")]
        return try AvroFile.bytes(schema: ManifestSchemas.entry(partition: partition), header: header, records: entries.map { e in
            let f = e.file
            return .record([
                .int(e.status.rawValue), .int(e.snapshot), e.sequence.map { .int($0) } ?? .null, e.fileSequence.map { .int($0) } ?? .null,
                .record([
                    .int(0), .string(f.path), .string(f.format), .record(f.partition), .int(f.rows), .int(f.bytes), counts(f.columnSizes), counts(f.valueCounts),
                    counts(f.nullCounts), counts(f.nanCounts), bounds(f.lower), bounds(f.upper), f.keyMetadata.map { .bytes($0) } ?? .null,
                    f.splitOffsets.map { .array($0.map { .int($0) }) } ?? .null, .null, f.sortOrder.map { .int($0) } ?? .null,
                ]),
            ])
        })
    }
}
