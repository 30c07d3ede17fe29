import LakeTable
import StreamCore
import Synchronization

/// Reads one snapshot of a table; each live data file is a split.
final class IcebergSource: TableSource {
    private let files: TableFiles
    private let table: TableDescriptor
    private let scan: ScanRequest
    private let asOf: IcebergOptions.AsOf
    private let kept = Mutex<Plan?>(nil)

    /// What is read, fixed when it is first asked for.
    private struct Plan {
        var splits: [SourceSplit]
        /// By index of the projection.
        var fields: [IcebergField]
        /// Values of columns that a file may lack, as it has them in its partition: by the split.
        var constants: [String: [String: Value]]
    }

    init(files: TableFiles, table: TableDescriptor, scan: ScanRequest, asOf: IcebergOptions.AsOf) {
        (self.files, self.table, self.scan, self.asOf) = (files, table, scan, asOf)
    }

    var isBounded: Bool { true }

    func splits() throws -> [SourceSplit] { try plan().splits }

    private func plan() throws -> Plan {
        if let plan = kept.withLock({ $0 }) { return plan }
        let folder = MetadataFolder(files: files)
        guard let newest = try folder.newest() else {
            throw StreamError(.validate, "table \(table.name): there is no Iceberg table at \(files.root)", fix: "check 'path', or write to the table first",
                              at: table.optionLocations[LakeOptions.path])
        }
        let metadata = try folder.load(newest.path), location = TableLocation(metadata, files)
        let snapshot = try snapshot(metadata)
        let schema = snapshot.map { metadata.schema(of: $0) } ?? metadata.schema
        let fields = try scan.projection.map { try field(table.schema[$0], asOf == .newest ? metadata.schema : schema, metadata) }
        var plan = Plan(splits: [], fields: fields, constants: [:])
        if let snapshot {
            let pruning = FilePruning(scan, table: table, schema: metadata.schema, specs: metadata.specs)
            for (entry, specID) in try ManifestStore(files).liveFiles(snapshot, metadata, location, where: pruning.mayHold) where pruning.mayHold(entry.file, specID: specID) {
                guard entry.file.format.uppercased() == "PARQUET" else {
                    throw StreamError(.validate, "the Iceberg table at \(files.root) has a file in \(entry.file.format) (\(entry.file.path)); only Parquet can be read", fix: "rewrite the table as Parquet")
                }
                let path = try location.relative(entry.file.path)
                plan.splits.append(SourceSplit(id: path))
                plan.constants[path] = pruning.partitionValues(entry.file, specID: specID)
            }
            plan.splits.sort { $0.id < $1.id }
        }
        let made = plan
        return kept.withLock { kept in
            kept = kept ?? made
            return kept!
        }
    }

    private func snapshot(_ metadata: TableMetadata) throws -> Snapshot? {
        switch asOf {
        case .newest: return metadata.currentSnapshot
        case .snapshot(let id):
            if let snapshot = metadata.snapshot(id) { return snapshot }
            throw StreamError(.validate, "table \(table.name): the Iceberg table at \(files.root) has no snapshot \(id)",
                              fix: metadata.snapshots.isEmpty ? nil : "its newest ones are \(metadata.snapshots.suffix(3).map { String($0.id) }.joined(separator: ", "))",
                              at: table.optionLocations[IcebergOption.snapshotID])
        case .time(let time):
            if let snapshot = metadata.snapshot(at: time) { return snapshot }
            throw StreamError(.validate, "table \(table.name): the Iceberg table at \(files.root) cannot be read as of \(DateTimeText.timestamp(time, precision: 3)): "
                              + (metadata.snapshotLog.first.map { "its oldest snapshot is from \(DateTimeText.timestamp($0.time, precision: 3))" } ?? "it has no snapshot"),
                              fix: "ask for a later time", at: table.optionLocations[IcebergOption.asOfTimestamp])
        }
    }

    /// The table's column of a declared one. One that the snapshot is older than reads NULL.
    private func field(_ declared: Field, _ schema: IcebergSchema, _ metadata: TableMetadata) throws -> IcebergField {
        guard let field = schema.field(named: declared.name) ?? metadata.schema.field(named: declared.name) else {
            throw StreamError(.validate, "table \(table.name): the Iceberg table at \(files.root) has no column '\(declared.name)'",
                              fix: NearName.hint(for: declared.name, in: schema.fields.map(\.name)))
        }
        guard IcebergTypes.canRead(field.type.dataType, as: declared.type) else {
            throw StreamError(.validate, "table \(table.name): column \(declared.name) is \(field.type.dataType) in the Iceberg table at \(files.root), "
                              + "which cannot be read as \(declared.type)", fix: "declare \(declared.name) \(field.type.dataType)")
        }
        return field
    }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        let plan = try plan()
        let wanted = scan.projection.map { Field(table.schema[$0].name, table.schema[$0].type) }
        metrics.bytesIn.add(Int(files.size(split.id)))
        let reader = try DataFileReader(path: files.absolute(split.id), wanted: wanted, ids: plan.fields.map { Int32($0.id) }, fallbacks: plan.constants[split.id] ?? [:],
                                        batchRows: Batch.targetRows)
        return try DataFileSplitReader(reader, path: split.id, position: split.position)
    }
}

/// Leaves out manifests and files that a query cannot want, by partition and by the bounds of columns.
struct FilePruning {
    /// Conditions with the column that they are on.
    private var predicates: [(field: IcebergField, condition: ScanPredicate.Condition)] = []
    private var partitions: [(field: IcebergField, name: String)] = []
    private let wanted: PartitionFilter
    private let specs: [Int: PartitionSpec]
    private let schema: IcebergSchema

    init(_ scan: ScanRequest, table: TableDescriptor, schema: IcebergSchema, specs: [PartitionSpec]) {
        self.specs = Dictionary(specs.map { ($0.id, $0) }) { a, _ in a }
        self.schema = schema
        wanted = scan.wantedPartitions
        func comparable(_ declared: Field) -> IcebergField? {
            guard let field = schema.field(named: declared.name), Self.canPrune(declared.type) else { return nil }
            let stored = field.type.dataType
            return stored == declared.type || stored.isInteger && declared.type.isInteger || stored.isText && declared.type.isText ? field : nil
        }
        for predicate in scan.filter {
            if let field = comparable(table.schema[predicate.column]) { predicates.append((field, predicate.condition)) }
        }
        for column in table.schema where wanted.restricts(column.name) {
            if let field = comparable(column) { partitions.append((field, column.name)) }
        }
    }

    /// Types whose bounds are compared as SQL compares values.
    static func canPrune(_ type: DataType) -> Bool {
        switch type {
        case .tinyint, .smallint, .int, .bigint, .date, .varchar, .boolean: true
        case .timestamp(6), .timestampLTZ(6): true
        default: false
        }
    }

    private static func value(_ bytes: [UInt8]?, _ type: IcebergType) -> Value? {
        guard let bytes else { return nil }
        switch type {
        case .boolean: return .bool(bytes.first != 0)
        case .string: return .string(String(decoding: bytes, as: UTF8.self))
        default: return .int(SingleValue.int(bytes))
        }
    }

    private static func value(_ tuple: AvroValue) -> Value? {
        switch tuple {
        case .null: .null
        case .bool(let b): .bool(b)
        case .int(let n): .int(n)
        case .string(let s): .string(s)
        default: nil
        }
    }

    /// The columns that a file's partition gives the values of.
    func partitionValues(_ file: DataFile, specID: Int) -> [String: Value] {
        var out: [String: Value] = [:]
        for (part, tuple) in zip(specs[specID]?.parts ?? [], file.partition) where part.transform == "identity" {
            guard let field = schema.field(part.source), case let stored = field.type.dataType, let value = Self.value(tuple), value != .null else { continue }
            // Timestamps are declared with other units than files have.
            if Self.canPrune(stored), !stored.isTimestamp { out[field.name] = value }
        }
        return out
    }

    func mayHold(_ manifest: ManifestFile) -> Bool {
        guard let summaries = manifest.partitions.array, let spec = specs[manifest.specID], summaries.count == spec.parts.count else { return true }
        for (part, summary) in zip(spec.parts, summaries) where part.transform == "identity" {
            guard let record = summary.record, record.count == 4, case .bool(let hasNull) = record[0] else { continue }
            for (field, condition) in predicates where field.id == part.source {
                let bounds = ColumnBounds(lower: Self.value(record[2].bytes, field.type), upper: Self.value(record[3].bytes, field.type), nulls: hasNull ? nil : 0, rows: 1)
                if !bounds.mayHold(condition) { return false }
            }
        }
        return true
    }

    func mayHold(_ file: DataFile, specID: Int) -> Bool {
        if !partitions.isEmpty, let spec = specs[specID] {
            for (part, tuple) in zip(spec.parts, file.partition) where part.transform == "identity" {
                guard let value = Self.value(tuple), let column = partitions.first(where: { $0.field.id == part.source }) else { continue }
                if !wanted.admits(value, for: column.name) { return false }
            }
        }
        for (field, condition) in predicates {
            let bounds = ColumnBounds(lower: Self.value(file.lower?[field.id], field.type), upper: Self.value(file.upper?[field.id], field.type),
                                      nulls: file.nullCounts?[field.id], rows: file.rows)
            if !bounds.mayHold(condition) { return false }
        }
        return true
    }
}
