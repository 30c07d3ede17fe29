import LakeTable
import StreamCore

extension HudiTable {
    /// What a look at all of a table's files found.
    public struct Verification: Sendable {
        /// Sentences that each name a file or a key; empty when the table is sound.
        public var problems: [String] = []
        /// How many more there were of kinds that have many.
        public var unlistedProblems = 0
        /// Base files that no reader is shown, and that no clean will ever remove, relative to the table.
        public var orphans: [String] = []
        /// Base files of writes that are neither completed nor rolled back.
        public var pendingFiles: [String] = []
        /// Writes that are neither completed nor rolled back.
        public var pendingInstants: [String] = []
        public var files = 0
        public var rows: Int64 = 0

        public var isSound: Bool { problems.isEmpty }

        /// The most problems of one kind that are listed.
        static let limit = 20
        private var counts: [String: Int] = [:]

        mutating func add(_ kind: String, _ problem: String) {
            counts[kind, default: 0] += 1
            if counts[kind]! <= Self.limit { problems.append(problem) } else { unlistedProblems += 1 }
        }
    }

    /// Reads the keys of all live files and compares them, the timeline and the names on the disk with each other. Changes nothing.
    ///
    /// Checked are: live files open, have the table's columns and as many rows and bytes as their commits say; meta columns fit their
    /// file, partition and commit; keys occur once; files of pending writes do not show; every file belongs to a write.
    /// Memory grows by about 40 bytes for each row. To be run while nothing writes the table.
    ///
    /// - Parameter globalKeys: keys are unique in the table; else in their partition.
    /// - Throws: `.io` and `.corrupt` when the timeline cannot be read.
    public func verify(globalKeys: Bool = false) throws -> Verification {
        var verifier = TableVerifier(files: files, properties: properties, snapshot: snapshot, schema: schema, globalKeys: globalKeys,
                                     replaced: try snapshot.timeline.replaced(in: files))
        for (instant, metadata) in try commits { verifier.note(instant.time, metadata) }
        try verifier.checkNames()
        for i in snapshot.slices.indices { try verifier.checkFile(i) }
        return verifier.out
    }
}

/// Compares what a table's names, commits and files say.
private struct TableVerifier {
    let files: TableFiles
    let properties: TableProperties
    let snapshot: TableSnapshot
    let schema: Schema
    let globalKeys: Bool
    let replaced: [FileGroupKey: String]
    var out = HudiTable.Verification()
    /// By path.
    private var stats: [String: (instant: String, stat: WriteStat)] = [:]
    /// The newest version that any commit wrote of each group.
    private var newest: [FileGroupKey: String] = [:]
    private let keys = KeyIndex()
    private let seeds = KeyHash.Seeds(.system)
    private var partitionNumbers: [String: Int] = [:]

    init(files: TableFiles, properties: TableProperties, snapshot: TableSnapshot, schema: Schema, globalKeys: Bool, replaced: [FileGroupKey: String]) {
        (self.files, self.properties, self.snapshot, self.schema) = (files, properties, snapshot, schema)
        (self.globalKeys, self.replaced) = (globalKeys, replaced)
    }

    mutating func note(_ instant: String, _ metadata: CommitMetadata) {
        for stat in metadata.stats {
            guard let path = stat.path else { continue }
            stats[path] = (instant, stat)
            let group = FileGroupKey(partition: stat.partition, fileId: stat.fileId)
            newest[group] = max(newest[group] ?? "", instant)
        }
    }

    /// What lies on the disk and in commits, without a look into files.
    mutating func checkNames() throws {
        let timeline = snapshot.timeline
        out.pendingInstants = timeline.pendingWrites.map(\.time)
        let pending = Set(out.pendingInstants)
        let isArchived = try files.names(in: properties.version.archiveFolder).contains { !$0.hasPrefix(".") || $0.contains(".archive") }
        var present: Set<String> = [], partitionOf: [String: String] = [:], versions: Set<String> = []
        try TableListing.forEachFolder(files, nil, sizes: false) { found in
            for (slice, _) in found {
                present.insert(slice.path)
                if pending.contains(slice.instant) {
                    out.pendingFiles.append(slice.path)
                } else if timeline.completedWrite(slice.instant) == nil {
                    // Files that are older than the timeline are of archived commits.
                    if timeline.isCommitted(slice.instant), !isArchived {
                        out.add("orphan", "\(slice.path): is shown although no commit wrote it")
                    }
                    if !timeline.isCommitted(slice.instant) || !isArchived { out.orphans.append(slice.path) }
                } else if stats[slice.path] == nil {
                    out.orphans.append(slice.path)
                }
                if let other = partitionOf.updateValue(slice.partition, forKey: slice.fileId), other != slice.partition {
                    out.add("group", "\(slice.path): its file group is in partition '\(other)' too")
                }
                if !versions.insert(slice.fileId + slice.instant).inserted { out.add("group", "\(slice.path): another file of the same group and commit is there") }
            }
        }
        out.orphans.sort()
        out.pendingFiles.sort()
        for slice in snapshot.slices where pending.contains(slice.instant) { out.add("pending", "\(slice.path): shows although its write is pending") }
        for (path, (instant, stat)) in stats.sorted(by: { $0.key < $1.key }) where !present.contains(path) {
            let group = FileGroupKey(partition: stat.partition, fileId: stat.fileId)
            if newest[group] == instant, replaced[group] == nil { out.add("missing", "\(path): commit \(instant) wrote it, nothing has replaced it, and it is gone") }
        }
        for partition in Set(snapshot.slices.map(\.partition)).sorted() {
            if partition.isEmpty != properties.partitionFields.isEmpty {
                out.add("partition", "there are files in '\(partition)' although the table is \(properties.partitionFields.isEmpty ? "not " : "")partitioned")
            }
            if !files.exists((partition.isEmpty ? "" : partition + "/") + ".hoodie_partition_metadata") {
                out.add("partition", "partition '\(partition)' has no .hoodie_partition_metadata")
            }
        }
    }

    /// The live file of a number, with all of its keys.
    mutating func checkFile(_ number: Int) throws {
        let slice = snapshot.slices[number], bytes = snapshot.sizes[number]
        out.files += 1
        if partitionNumbers[slice.partition] == nil { partitionNumbers[slice.partition] = partitionNumbers.count + 1 }
        if let (instant, stat) = stats[slice.path] {
            if instant != slice.instant { out.add("unlisted", "\(slice.path): is listed by commit \(instant)") }
            if stat.bytes != bytes { out.add("bytes", "\(slice.path): has \(bytes) bytes, its commit says \(stat.bytes)") }
            try check(slice, rows: stat.rows, number)
        } else {
            if snapshot.timeline.completedWrite(slice.instant) != nil { out.add("unlisted", "\(slice.path): commit \(slice.instant) does not list it") }
            try check(slice, rows: nil, number)
        }
    }

    private mutating func check(_ slice: FileSlice, rows: Int64?, _ number: Int) throws {
        let wanted = AvroSchema.metaColumns.map { Field($0, .string) }
        do {
            let file = try ParquetReader(path: files.absolute(slice.path))
            out.rows += file.rows
            if let rows, rows != file.rows { out.add("rows", "\(slice.path): has \(file.rows) rows, its commit says \(rows)") }
            for field in file.schema where !AvroSchema.metaColumns.contains(field.name) {
                guard let column = schema.first(where: { $0.name == field.name }) else {
                    out.add("column", "\(slice.path): has a column \(field.name) that the table lacks")
                    continue
                }
                if !ColumnConversion.canRead(field.type, as: column.type) { out.add("column", "\(slice.path): column \(field.name) is \(field.type), the table's is \(column.type)") }
            }
            for name in AvroSchema.metaColumns where !file.schema.contains(where: { $0.name == name }) {
                return out.add("column", "\(slice.path): has no column \(name)")
            }
            let reader = try DataFileReader(file, wanted: wanted, batchRows: Batch.targetRows)
            let salt = globalKeys ? 0 : partitionNumbers[slice.partition]!
            while let batch = try reader.next() {
                let columns = batch.columns.map { $0.flat() }
                for row in 0..<batch.physicalCount { checkRow(columns, row, slice, salt, number) }
            }
        } catch let error as StreamError {
            out.add("file", "\(slice.path): \(error.problem)")
        }
    }

    private mutating func checkRow(_ columns: [Column], _ row: Int, _ slice: FileSlice, _ salt: Int, _ number: Int) {
        func text(_ c: Int) -> String { String(decoding: columns[c].bytes(at: row), as: UTF8.self) }
        func isText(_ c: Int, _ wanted: String) -> Bool { columns[c].bytes(at: row).elementsEqual(wanted.utf8) }
        for (c, column) in columns.enumerated() where !column.isValid(row) { return out.add("null", "\(slice.path): row \(row) has no \(AvroSchema.metaColumns[c])") }
        if !isText(4, slice.name) { out.add("name", "\(slice.path): row of key '\(text(2))' names the file \(text(4))") }
        if !isText(3, slice.partition) { out.add("path", "\(slice.path): row of key '\(text(2))' names the partition '\(text(3))'") }
        if !isText(0, slice.instant) {
            let time = text(0)
            if time > slice.instant || !snapshot.timeline.isCommitted(time) { out.add("time", "\(slice.path): row of key '\(text(2))' is of commit \(time), which is not completed before it") }
        }
        if !text(1).hasPrefix(text(0) + "_") { out.add("sequence", "\(slice.path): row of key '\(text(2))' has the sequence number \(text(1)) and the commit time \(text(0))") }
        let hash = KeyHash(columns[2].bytes(at: row), salt: salt, seeds: seeds)
        if keys.find(hash) >= 0 {
            out.add("key", "key '\(text(2))' occurs more than once: in \(slice.path), and in \(snapshot.slices[keys.find(hash)].path)")
        } else {
            keys.set(hash, group: number, row: row)
        }
    }
}
