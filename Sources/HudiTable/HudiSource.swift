import LakeTable
import StreamCore
import Synchronization

/// Reads a snapshot, or the rows of it that were written after an instant; each live base file is a split.
final class HudiSource: TableSource {
    private let files: TableFiles
    private let table: TableDescriptor
    private let scan: ScanRequest
    private let start: String?, end: String?
    private let listed = Mutex<Listed?>(nil)

    private struct Listed: Sendable {
        var splits: [SourceSplit]
        var keys: RecordKeyLookup?
        /// Only rows that these wrote; nil = all.
        var commits: CommitTimes?
    }

    /// - Parameters:
    ///   - start: only rows written after it; nil = all.
    ///   - end: the snapshot as of it; nil = the newest. Where the table's version has completion times, these are what is compared.
    init(files: TableFiles, table: TableDescriptor, scan: ScanRequest, after start: String? = nil, asOf end: String? = nil) {
        (self.files, self.table, self.scan, self.start, self.end) = (files, table, scan, start, end)
    }

    var isBounded: Bool { true }

    func splits() throws -> [SourceSplit] { try list().splits }

    private func list() throws -> Listed {
        if let known = listed.withLock({ $0 }) { return known }
        guard let properties = try TableProperties.load(files) else {
            throw StreamError(.validate, "table \(table.name): there is no Hudi table at \(files.root)",
                              fix: "check 'path', or write to the table first", at: table.optionLocations[HudiOption.path])
        }
        let pruning = try PartitionPruning(scan.partitionFilter, table: table, properties)
        var slices: [FileSlice], schema: Schema, commits: CommitTimes?
        if start != nil || end != nil {
            let history = try TableHistory(files, properties)
            slices = try history.slices(asOf: end ?? InstantTime.latest, pruning)
            schema = try history.schema() ?? []
            if let start {
                let written = history.commits(after: history.moment(start), until: history.moment(end ?? InstantTime.latest))
                // A row that a commit wrote is in no file that was written before.
                let oldest = written.oldest ?? InstantTime.latest
                slices = slices.filter { $0.instant >= oldest }
                commits = written
            }
        } else {
            let loaded = try TableSnapshot.load(files, properties, pruning)
            (slices, schema) = (loaded.slices, loaded.schema ?? [])
        }
        try table.checkColumns(scan, stored: schema, root: files.root)
        slices = slices.filter { pruning.mayMatch($0.partition) }
        let made = Listed(splits: slices.map { SourceSplit(id: $0.path) }, keys: RecordKeyLookup(scan.filter, table: table, properties), commits: commits)
        return listed.withLock { kept in
            kept = kept ?? made
            return kept!
        }
    }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        metrics.bytesIn.add(Int(files.size(split.id)))
        var conditions = scan.filter.map { ColumnCondition(name: table.schema[$0.column].name, type: table.schema[$0.column].type, $0.condition) }
        let listed = try list()
        if let oldest = listed.commits?.oldest {
            conditions.append(ColumnCondition(name: "_hoodie_commit_time", type: .string, .compares(.greaterOrEqual, .string(oldest))))
        }
        let file = try ParquetReader(path: files.absolute(split.id))
        if let keys = listed.keys {
            let candidates = keys.candidates(in: file)
            guard !candidates.isEmpty else {
                metrics.addToGauge("files.skipped", 1)
                return EmptySplitReader(position: split.position)
            }
            conditions.append(ColumnCondition(name: "_hoodie_record_key", type: .string, .isIn(candidates.map { .string(String(decoding: $0, as: UTF8.self)) })))
        }
        let reader = try HudiSplitReader(file, path: files.absolute(split.id), table: table, scan: scan, conditions: conditions, commits: listed.commits, position: split.position)
        if !conditions.isEmpty {
            metrics.addToGauge("files.skipped", reader.groupsRead == 0 ? 1 : 0)
            metrics.addToGauge("row-groups.read", Int64(reader.groupsRead))
            metrics.addToGauge("row-groups.skipped", Int64(reader.groupCount - reader.groupsRead))
        }
        return reader
    }
}

extension TableDescriptor {
    /// What a scan delivers, as columns of base files: names, and the types that they are read as.
    func baseFileColumns(_ scan: ScanRequest) -> Schema {
        scan.projection.map { Field(schema[$0].name, schema[$0].type) } + scan.metadata.map { Field(metadata[$0].key, .string) }
    }

    func deliveredTypes(_ scan: ScanRequest) -> [DataType] { scan.projection.map { schema[$0].type } + scan.metadata.map { metadata[$0].type } }

    /// The table has the columns that a scan reads.
    func checkColumns(_ scan: ScanRequest, stored: Schema, root: String) throws {
        for i in scan.projection {
            let field = schema[i]
            guard let column = stored.first(where: { $0.name == field.name }) else {
                throw StreamError(.validate, "table \(name): the Hudi table at \(root) has no column '\(field.name)'",
                                  fix: NearName.hint(for: field.name, in: stored.map(\.name)))
            }
            guard ColumnConversion.canRead(column.type, as: field.type) else {
                throw StreamError(.validate, "table \(name): column \(field.name) is \(column.type) in the Hudi table at \(root), "
                                  + "which cannot be read as \(field.type)", fix: "declare \(field.name) \(column.type)")
            }
        }
    }
}

/// A split of which nothing is wanted.
final class EmptySplitReader: SplitReader {
    let position: String
    init(position: String?) { self.position = position ?? "0" }
    func next(maxRows: Int) -> ReadResult { .endOfSplit }
}

/// Reads one base file. Its position is the number, within the file, of the next row.
final class HudiSplitReader: SplitReader {
    private let reader: DataFileReader
    private let types: [DataType]
    /// Commits whose rows are wanted; the commit time is the last column that is read then.
    private var commits: CommitTimes.Lookup?
    private var batch: Batch?
    /// Rows of the file that were read and belong to batches before the one at hand.
    private var readBefore: Int64 = 0
    /// Selected rows of the batch at hand that were handed out.
    private var consumed = 0
    private let start: Int64, firstWanted: Int64

    init(_ file: ParquetReader, path: String, table: TableDescriptor, scan: ScanRequest, conditions: [ColumnCondition], commits: CommitTimes?, position: String?) throws {
        var wanted = table.baseFileColumns(scan)
        if commits != nil { wanted.append(Field("_hoodie_commit_time", .string)) }
        guard let start = Int64(position ?? "0") else { throw StreamError(.corrupt, "\(path): '\(position!)' is not a row number") }
        // Row groups in front of the position are not read again.
        reader = try DataFileReader(file, wanted: wanted, batchRows: Batch.targetRows, where: conditions) { $0.upperBound > start }
        types = table.deliveredTypes(scan)
        self.start = start
        self.commits = commits.map { CommitTimes.Lookup($0) }
        firstWanted = reader.rowsRead(before: start)
    }

    var groupCount: Int { reader.groupCount }
    var groupsRead: Int { reader.groupsRead }

    var position: String {
        guard let batch else { return String(max(start, reader.fileRow(after: readBefore))) }
        let next = consumed < batch.count ? batch.row(consumed) : batch.physicalCount
        return String(max(start, reader.fileRow(after: readBefore + Int64(next))))
    }

    func next(maxRows: Int) throws -> ReadResult {
        while true {
            if let batch {
                if consumed < batch.count {
                    let n = min(maxRows, batch.count - consumed)
                    defer { consumed += n }
                    return .batch(batch.slice(consumed..<consumed + n))
                }
                readBefore += Int64(batch.physicalCount)
                self.batch = nil
            }
            guard let read = try reader.next() else { return .endOfSplit }
            let columns = zip(read.columns, types).map { $0.type == $1 ? $0 : $0.retyped($1) }
            var next = Batch(columns: columns, physicalCount: read.physicalCount)
            if commits != nil { next.selection = wantedRows(read.columns.last!) }
            consumed = 0
            if readBefore < firstWanted {
                while consumed < next.count, readBefore + Int64(next.row(consumed)) < firstWanted { consumed += 1 }
            }
            batch = next
        }
    }

    /// Rows of the wanted commits; nil = all.
    private func wantedRows(_ times: Column) -> Selection? {
        let times = times.flat()
        var rows: [Int32] = []
        for i in 0..<times.count where commits!.contains(times.bytes(at: i)) { rows.append(Int32(truncatingIfNeeded: i)) }
        return rows.count == times.count ? nil : Selection(rows)
    }
}

/// Leaves out partitions that a query cannot want.
struct PartitionPruning {
    /// First level of a column in paths -> what it can be called there, level by level.
    private var wanted: [Int: Set<[String]>] = [:]

    init(_ filter: [String: Set<Value>], table: TableDescriptor, _ properties: TableProperties) throws {
        for (level, name) in properties.partitionFields.enumerated() {
            guard let values = filter[name], let type = table.schema.first(where: { $0.name == name })?.type else { continue }
            // Engines differ in where NULL goes.
            if properties.timestamps != nil, values.contains(.null) { continue }
            var names: Set<[String]>? = []
            for value in values {
                let builder = ColumnBuilder(type: type, capacity: 1)
                builder.append(value)
                let stored = try ColumnConversion.convert(builder.finish(), to: try StoredTypes.stored(type, column: name), name: name)
                let text: TextColumn
                if let timestamps = properties.timestamps {
                    guard timestamps.accepts(stored.type), let path = try? timestamps.texts(stored, name: name) else {
                        names = nil
                        break
                    }
                    text = path
                } else {
                    text = try TextColumn(stored, null: PartitionPath.defaultName, empty: PartitionPath.defaultName, what: name)
                }
                // A value that cannot be a folder's name is in no partition.
                guard let folder = try? PartitionPath.level(field: name, value: String(decoding: text.value(0), as: UTF8.self), properties.keyRules) else { continue }
                names?.insert(folder.split(separator: "/", omittingEmptySubsequences: false).map(String.init))
            }
            wanted[level] = names
        }
    }

    func mayMatch(_ path: String) -> Bool {
        if wanted.isEmpty { return true }
        let levels = path.split(separator: "/", omittingEmptySubsequences: false)
        return wanted.allSatisfy { first, names in
            // Of a folder further up, what there is of its path decides.
            let found = levels.dropFirst(first)
            return found.isEmpty || names.contains { name in
                zip(name, found).allSatisfy { $0 == $1 }
            }
        }
    }
}
