import StreamCore

/// The files that one commit writes, and which rows go to which of them.
///
/// Rows of a partition go to one open file until it reaches its size, then to a new file group. Memory is bounded: when the
/// files hold too many bytes the largest ones are written out, and closed if too many are open.
package final class FileRouter {
    package struct Limits: Sendable {
        package var maxFileBytes: Int64 = 120 << 20
        /// Files below this size take up new rows before new file groups are made.
        package var smallFileBytes: Int64 = 100 << 20
        /// Parquet files that are open at a time; each takes some MiB beside its rows.
        package var maxOpenFiles = 64
        /// Bytes of rows in memory.
        package var maxBufferedBytes = 192 << 20

        package init() {}
    }

    private var context: DataFileContext
    private let limits: Limits
    private let groups: FileGroupTable
    private let attempt: Int
    private let fillSmallFiles: Bool
    private var tasks = 0
    private var rowsSinceCheck = 0
    /// By partition number of the group table.
    private var open: [Int: OpenFile] = [:]
    /// Groups that this commit has written, with their stat so far.
    package private(set) var written: [Int: WriteStat] = [:]
    /// By group: the committed version that this commit replaces.
    private var superseded: [Int: FileSlice] = [:]

    private final class OpenFile {
        let writer: DataFileWriter
        let group: Int
        init(writer: DataFileWriter, group: Int) { (self.writer, self.group) = (writer, group) }
    }

    package init(_ context: DataFileContext, groups: FileGroupTable, limits: Limits, attempt: Int, fillSmallFiles: Bool) {
        self.context = context
        self.groups = groups
        self.limits = limits
        self.attempt = attempt
        self.fillSmallFiles = fillSmallFiles
    }

    /// Files that are begun from now on have other columns.
    package func use(_ context: DataFileContext) throws {
        try closeAll()
        self.context = context
    }

    /// Files that are given up go in their order, not in that of a dictionary.
    deinit { for partition in open.keys.sorted() { open[partition] = nil } }

    // MARK: Inserts

    /// Appends fresh rows to a partition's open file.
    /// - Parameter assigned: called with the group number, the number of the first row in its file, and positions `range` of the rows
    ///   that went there.
    package func insert(_ columns: [Column], keys: TextColumn, rows: UnsafePointer<Int32>?, count n: Int, partition: Int,
                assigned: (_ group: Int, _ firstRow: Int64, _ range: Range<Int>) -> Void) throws {
        var done = 0
        while done < n {
            let file = try openFile(partition)
            // The size is looked at after every chunk, so a file passes its limit by no more than that.
            let part = min(n - done, DataFileContext.chunkRows), firstRow = file.writer.stat.rows
            if let rows {
                try file.writer.append(columns, keys: keys, rows: rows + done, count: part)
            } else if part == n {
                try file.writer.append(columns, keys: keys, rows: nil, count: part)
            } else {
                let some = Selection.range(done..<done + part)
                try withExtendedLifetime(some) { try file.writer.append(columns, keys: keys, rows: some.rows, count: part) }
            }
            file.writer.count(inserts: Int64(part))
            assigned(file.group, firstRow, done..<done + part)
            done += part
            if file.writer.estimatedBytes >= limits.maxFileBytes { try close(partition) }
        }
        rowsSinceCheck += n
        if rowsSinceCheck >= 65_536 {
            rowsSinceCheck = 0
            try limitMemory()
        }
    }

    private func openFile(_ partition: Int) throws -> OpenFile {
        if let file = open[partition] { return file }
        let file: OpenFile
        if fillSmallFiles, let small = groups.smallest(in: partition, below: limits.smallFileBytes, except: written) {
            file = OpenFile(writer: try writer(replacing: small), group: small)
            try copyRows(of: small, to: file.writer)
        } else {
            let writer = try DataFileWriter(context, partition: groups.partitions[partition], previous: nil, task: nextTask(), attempt: attempt)
            file = OpenFile(writer: writer, group: groups.add(writer.slice, partition: partition))
        }
        open[partition] = file
        return file
    }

    private func nextTask() -> Int {
        defer { tasks += 1 }
        return tasks
    }

    private func copyRows(of group: Int, to writer: DataFileWriter) throws {
        let slice = groups.slices[group], path = context.files.absolute(slice.path), input = try ParquetReader(path: path)
        if writer.canRewrite(input, of: slice) {
            return try writer.rewrite(input, rows: [], changes: []) { try noteKeys(path, writer) }
        }
        let reader = try context.reader(of: slice)
        while let batch = try reader.next() {
            let all = Selection.all(batch.physicalCount)
            try withExtendedLifetime(all) { try writer.appendCopied(batch, rows: all.rows, count: batch.physicalCount) }
        }
    }

    /// Gives a writer the record keys of a file, but for those of some rows.
    /// - Parameter without: ascending rows.
    func noteKeys(_ path: String, _ writer: DataFileWriter, without gone: [Int64] = []) throws {
        guard let key = context.marks.key else { return }
        let reader = try DataFileReader(path: path, wanted: [Field(context.marks.kept[key], .string)])
        var first: Int64 = 0, next = 0
        while let batch = try reader.next() {
            var kept: [Int32] = []
            kept.reserveCapacity(batch.physicalCount)
            for row in 0..<batch.physicalCount {
                if next < gone.count, gone[next] == first + Int64(row) { next += 1 } else { kept.append(Int32(row)) }
            }
            first += Int64(batch.physicalCount)
            let column = kept.count == batch.physicalCount ? batch.columns[0] : batch.columns[0].gather(kept, count: kept.count)
            writer.note(try TextColumn(column, null: "", empty: "", what: context.marks.kept[key]))
        }
    }

    /// Writes out the files that hold most, until half of the limit is left.
    private func limitMemory() throws {
        var held = open.values.reduce(0) { $0 + $1.writer.heldBytes }
        guard held > limits.maxBufferedBytes else { return }
        var opened = open.values.reduce(0) { $0 + ($1.writer.isOpen ? 1 : 0) }
        let largestFirst = open.map { (partition: $0.key, file: $0.value, bytes: $0.value.writer.heldBytes) }
            .sorted { ($1.bytes, $0.partition) < ($0.bytes, $1.partition) }
        for (partition, file, _) in largestFirst where held > limits.maxBufferedBytes / 2 {
            held -= file.writer.heldBytes
            if !file.writer.isOpen, opened >= limits.maxOpenFiles {
                try close(partition)
            } else {
                if !file.writer.isOpen { opened += 1 }
                try file.writer.flushChunk(keepingMemory: false)
                try file.writer.endRowGroup()
            }
        }
    }

    // MARK: New versions of file groups

    /// A writer for a new version of a group. A version that this very commit wrote before is replaced, its counts go on.
    package func writer(replacing group: Int) throws -> DataFileWriter {
        let slice = groups.slices[group]
        // Within this commit the base stays the version that is committed.
        let committed = written[group].map { stat in
            stat.previous.map { FileSlice(partition: slice.partition, fileId: slice.fileId, name: "", instant: $0) }
        } ?? slice
        guard let committed else {
            let fresh = try DataFileWriter(context, partition: slice.partition, previous: nil, fileId: slice.fileId, task: nextTask(), attempt: attempt)
            carryCounts(of: group, to: fresh)
            return fresh
        }
        let writer = try DataFileWriter(context, partition: slice.partition, previous: committed, task: nextTask(), attempt: attempt)
        carryCounts(of: group, to: writer)
        return writer
    }

    private func carryCounts(of group: Int, to writer: DataFileWriter) {
        if let stat = written[group] { writer.count(inserts: stat.inserts, updates: stat.updates, deletes: stat.deletes) }
    }

    /// Keeps a new version open for inserts, when it is small and its partition has no open file.
    /// - Returns: false when it is to be closed and recorded.
    func keepOpen(_ writer: DataFileWriter, group: Int, partition: Int) throws -> Bool {
        guard open[partition] == nil, fillSmallFiles, writer.estimatedBytes < limits.smallFileBytes, open.count < limits.maxOpenFiles else { return false }
        open[partition] = OpenFile(writer: writer, group: group)
        return true
    }

    private func close(_ partition: Int) throws {
        guard let file = open.removeValue(forKey: partition) else { return }
        try record(file.writer, try file.writer.close(), group: file.group)
    }

    /// Takes a closed file among those of the commit.
    func record(_ writer: DataFileWriter, _ stat: WriteStat, group: Int) throws {
        let earlier = written[group] == nil ? nil : groups.slices[group]
        if earlier == nil, writer.stat.previous != nil { superseded[group] = groups.slices[group] }
        written[group] = stat
        groups.replace(group, with: writer.slice, bytes: stat.bytes)
        if let earlier { try context.files.remove(earlier.path) }
    }

    /// Closes all open files. Writing may go on: groups that are written again get a new file.
    package func closeAll() throws {
        for partition in open.keys.sorted() { try close(partition) }
    }

    /// Flushes the folders and tells what the commit wrote and what that replaces.
    package func finish() throws -> (stats: [WriteStat], superseded: [FileSlice]) {
        try closeAll()
        try context.files.flush(folders: Set(written.values.compactMap { $0.path.map(TableFiles.folder) }))
        return (written.values.sorted { ($0.partition, $0.fileId) < ($1.partition, $1.fileId) },
                superseded.values.sorted { ($0.partition, $0.fileId) < ($1.partition, $1.fileId) })
    }
}

/// The file groups that a writer knows, by number: live ones of the table, and those that it made.
package final class FileGroupTable {
    package private(set) var slices: [FileSlice] = []
    private var sizes: [Int64] = []
    private var partitionOf: [Int] = []
    private var byPartition: [[Int]] = []
    /// Partition number -> path; numbers are the key generator's.
    package var partitions: [String] { keys.partitions }
    private let keys: KeyGenerator

    package init(_ live: [(slice: FileSlice, bytes: Int64)], keys: KeyGenerator) {
        self.keys = keys
        for (slice, bytes) in live {
            let group = add(slice, partition: keys.number(ofPath: slice.partition))
            sizes[group] = bytes
        }
    }

    @discardableResult
    package func add(_ slice: FileSlice, partition: Int) -> Int {
        slices.append(slice)
        sizes.append(0)
        partitionOf.append(partition)
        while byPartition.count <= partition { byPartition.append([]) }
        byPartition[partition].append(slices.count - 1)
        return slices.count - 1
    }

    package func replace(_ group: Int, with slice: FileSlice, bytes: Int64) {
        slices[group] = slice
        sizes[group] = bytes
    }

    package func partition(of group: Int) -> Int { partitionOf[group] }
    package func bytes(of group: Int) -> Int64 { sizes[group] }

    /// The smallest group of a partition below a size.
    package func smallest(in partition: Int, below limit: Int64, except: [Int: WriteStat]) -> Int? {
        guard partition < byPartition.count else { return nil }
        return byPartition[partition].filter { sizes[$0] > 0 && sizes[$0] < limit && except[$0] == nil }.min { sizes[$0] < sizes[$1] }
    }
}
