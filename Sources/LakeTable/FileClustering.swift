import StreamCore

/// Writes the rows of small files into larger ones, in one commit that takes the small ones out of the table.
///
/// Rows keep the columns that the format keeps for them, so a reader of changes sees none.
package struct FileClustering {
    package struct Settings: Sendable {
        /// Files are made about as large as this.
        package var targetBytes: Int64
        /// Files of this size and above are left alone.
        package var smallFileBytes: Int64
        /// The rows of the files that are merged into one are sorted by these columns; NULL comes first.
        package var sortColumns: [String]

        package init(targetBytes: Int64 = 120 << 20, smallFileBytes: Int64 = 100 << 20, sortColumns: [String] = []) {
            (self.targetBytes, self.smallFileBytes, self.sortColumns) = (targetBytes, smallFileBytes, sortColumns)
        }
    }

    /// Files of one partition that are merged.
    package struct Group: Sendable {
        package var partition: String
        package var inputs: [(slice: FileSlice, bytes: Int64)]
        package var bytes: Int64 { inputs.reduce(0) { $0 + $1.bytes } }
    }

    package struct Outcome: Sendable {
        package var commit: String
        package var stats: [WriteStat]
        package var removed: [FileSlice]
    }

    package static let operation = "CLUSTER"

    private let log: any CommitLog
    private let keys: KeyRules
    private let codec: ParquetCodec
    private let settings: Settings
    private let jobID: String

    package init(log: any CommitLog, keys: KeyRules, codec: ParquetCodec, settings: Settings, jobID: String) {
        (self.log, self.keys, self.codec, self.settings, self.jobID) = (log, keys, codec, settings, jobID)
    }

    /// Which files are merged: small ones of a partition, as many as fill one file.
    package static func plan(_ slices: [(slice: FileSlice, bytes: Int64)], _ settings: Settings) -> [Group] {
        var groups: [Group] = []
        let small = Dictionary(grouping: slices.filter { $0.bytes < settings.smallFileBytes }, by: \.slice.partition)
        for (partition, files) in small.sorted(by: { $0.key < $1.key }) {
            var group = Group(partition: partition, inputs: [])
            // Smallest first: those gain most, and what does not fit any more is nearly full.
            for file in files.sorted(by: { ($0.bytes, $0.slice.fileId) < ($1.bytes, $1.slice.fileId) }) {
                if !group.inputs.isEmpty, group.bytes + file.bytes > settings.targetBytes {
                    groups.append(group)
                    group.inputs = []
                }
                group.inputs.append(file)
            }
            groups.append(group)
        }
        return groups.filter { $0.inputs.count > 1 }
    }

    /// Plans and does it.
    /// - Returns: nil when there is nothing to merge.
    package func run() throws -> Outcome? {
        let state = try log.load()
        guard let schema = state.schema else { return nil }
        let sort = try settings.sortColumns.map { name in
            guard let column = schema.firstIndex(where: { $0.name == name }) else {
                throw StreamError(.validate, "\(log.title) has no column \(name) to sort by", fix: NearName.hint(for: name, in: schema.map(\.name)))
            }
            guard OrderingValue.canOrder(schema[column].type) else {
                throw StreamError(.validate, "column \(name) of \(log.title) has type \(schema[column].type), which has no order", fix: "sort by another column")
            }
            return column
        }
        let groups = Self.plan(state.slices, settings)
        guard !groups.isEmpty else { return nil }
        let prepared: Committable, outcome: Outcome
        let commit = try log.begin(clustering: groups.map { $0.inputs.map(\.slice) }, sortColumns: settings.sortColumns)
        do {
            var run = Run(context: DataFileContext(files: log.files, commit: commit, marks: log.markColumns, schema: schema, codec: codec),
                          keys: KeyGenerator(keys, schema: schema), sort: sort, targetBytes: settings.targetBytes)
            for group in groups { try run.write(group) }
            let removed = groups.flatMap { $0.inputs.map(\.slice) }
            try log.files.flush(folders: Set(run.stats.map(\.partition)))
            try log.files.reached(.prepared)
            let changes = CommitChanges(operation: Self.operation, schema: schema, stats: run.stats, superseded: [], removed: removed,
                                        partitionValues: run.keys.values, checkpoint: 0, jobID: jobID)
            prepared = try log.prepared(commit.commit, changes)
            outcome = Outcome(commit: commit.commit, stats: run.stats, removed: removed)
        } catch {
            // The next writer undoes it if this fails.
            try? log.abandon(commit.commit)
            throw error
        }
        // What fails here may have come to pass all the same: the next writer sees.
        try log.complete([prepared])
        return outcome
    }

    private struct Run {
        let context: DataFileContext
        let keys: KeyGenerator
        let sort: [Int]
        let targetBytes: Int64
        var stats: [WriteStat] = []
        private var tasks = 0

        init(context: DataFileContext, keys: KeyGenerator, sort: [Int], targetBytes: Int64) {
            (self.context, self.keys, self.sort, self.targetBytes) = (context, keys, sort, targetBytes)
        }

        mutating func write(_ group: Group) throws {
            var writer = try newWriter(group.partition)
            var batches: [Batch] = [], namesPartition = true
            for input in group.inputs {
                let reader = try DataFileReader(path: context.files.absolute(input.slice.path), wanted: context.mergeColumns)
                while let batch = try reader.next() {
                    guard batch.physicalCount > 0 else { continue }
                    if namesPartition {
                        var number: Int32 = 0
                        _ = try keys.partitions(Array(batch.columns[context.marks.kept.count...]), count: 1, into: &number)
                        namesPartition = false
                    }
                    guard sort.isEmpty else {
                        batches.append(batch)
                        continue
                    }
                    if writer.estimatedBytes >= targetBytes { try next(&writer) }
                    let all = Selection.all(batch.physicalCount)
                    try withExtendedLifetime(all) { try writer.appendCopied(batch, rows: all.rows, count: batch.physicalCount) }
                }
            }
            try writeSorted(batches, &writer)
            stats.append(try writer.close())
        }

        private mutating func newWriter(_ partition: String) throws -> DataFileWriter {
            defer { tasks += 1 }
            return try DataFileWriter(context, partition: partition, previous: nil, task: tasks, attempt: 0)
        }

        private mutating func next(_ writer: inout DataFileWriter) throws {
            stats.append(try writer.close())
            writer = try newWriter(writer.slice.partition)
        }

        /// Rows of one group, which fills one file, are in memory at a time.
        private mutating func writeSorted(_ batches: [Batch], _ writer: inout DataFileWriter) throws {
            let first = context.marks.kept.count
            var order: [(batch: Int32, row: Int32)] = []
            for (i, batch) in batches.enumerated() { order += (0..<Int32(batch.physicalCount)).map { (Int32(i), $0) } }
            order.sort { a, b in
                for column in sort {
                    let order = OrderingValue.compare(batches[Int(a.batch)].columns[first + column], Int(a.row),
                                                      batches[Int(b.batch)].columns[first + column], Int(b.row))
                    if order != 0 { return order < 0 }
                }
                return a < b
            }
            var start = 0, checked = 0, rows: [Int32] = []
            while start < order.count {
                if start - checked > 4_096 {
                    checked = start
                    if writer.estimatedBytes >= targetBytes { try next(&writer) }
                }
                let batch = order[start].batch
                rows.removeAll(keepingCapacity: true)
                while start < order.count, order[start].batch == batch {
                    rows.append(order[start].row)
                    start += 1
                }
                try writer.appendCopied(batches[Int(batch)], rows: rows, count: rows.count)
            }
        }
    }
}
