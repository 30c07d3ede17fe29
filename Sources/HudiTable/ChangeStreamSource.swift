import LakeTable
import StreamCore

/// A table as a stream of changes: the snapshot first, then what each commit did, in the order in which commits are completed.
///
/// There is one split, as the changes of a key must stay in order while it moves between file groups. Within a commit deletes come
/// first. Commits that only rewrite files, such as clustering, change nothing.
final class ChangeStreamSource: TableSource {
    let files: TableFiles
    let table: TableDescriptor
    let scan: ScanRequest
    let options: ChangeStreamOptions

    init(files: TableFiles, table: TableDescriptor, scan: ScanRequest, options: ChangeStreamOptions) {
        (self.files, self.table, self.scan, self.options) = (files, table, scan, options)
    }

    var isBounded: Bool { false }
    var parallelism: Int? { 1 }
    var producesChanges: Bool { options.changelog != .none }
    var changelogMode: ChangelogMode {
        switch options.changelog {
        case .all: .all
        case .upsert: .upsert
        case .none: .insertOnly
        }
    }

    func splits() -> [SourceSplit] { [SourceSplit(id: "changes")] }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        try ChangeStreamReader(self, position: split.position, metrics: metrics)
    }
}

final class ChangeStreamReader: SplitReader {
    private let source: ChangeStreamSource
    private let metrics: OperatorMetrics
    private let wanted: Schema, types: [DataType]
    /// nil = not begun: there is no table yet.
    private var at: ChangePosition?
    /// The rest of the commit, or of the snapshot, that is being handed out.
    private var parts: [any ChangeRows]?
    private var part = 0
    /// Rows to leave out, as they were handed out before a restart.
    private var toSkip: Int64 = 0
    private var batch: Batch?
    private var consumed = 0
    private var history: TableHistory?
    private var pending: [Instant] = []

    init(_ source: ChangeStreamSource, position: String?, metrics: OperatorMetrics) throws {
        self.source = source
        self.metrics = metrics
        wanted = source.table.baseFileColumns(source.scan)
        types = source.table.deliveredTypes(source.scan)
        at = try position.flatMap { $0.isEmpty ? nil : try ChangePosition(text: $0) }
        toSkip = at?.rows ?? 0
        if at == nil { try begin() }
    }

    var position: String { at?.text ?? "" }

    private func properties() throws -> TableProperties? { try TableProperties.load(source.files) }

    /// Where a stream starts that has not been read before.
    private func begin() throws {
        guard let properties = try properties() else { return }
        let history = try TableHistory(source.files, properties)
        if let schema = try history.schema() { try source.table.checkColumns(source.scan, stored: schema, root: source.files.root) }
        var position = ChangePosition(stage: source.options.start == .snapshot ? .snapshot : .changes)
        switch source.options.start {
        case .earliest: break
        case .snapshot, .latest: position.beyond = Set(history.writes.map(\.time))
        case .after(let time):
            let moment = history.moment(time)
            position.beyond = Set(history.writes.map(\.time).filter { history.isVisible($0, at: moment) })
        }
        position.raiseFloor(history.timeline)
        at = position
        self.history = history
    }

    func next(maxRows: Int) throws -> ReadResult {
        if let batch {
            if consumed < batch.count {
                let n = min(maxRows, batch.count - consumed)
                defer {
                    consumed += n
                    at!.rows += Int64(n)
                }
                return .batch(batch.slice(consumed..<consumed + n))
            }
            self.batch = nil
        }
        if at == nil {
            try begin()
            // A table that comes to be while it is waited for has had no rows before its first commit.
            if at == nil { return .waiting(source.options.checkInterval) }
        }
        if let parts {
            while part < parts.count {
                if toSkip > 0 { toSkip -= try parts[part].skip(toSkip) }
                while let read = try parts[part].next() {
                    let left = Int64(read.count) - toSkip
                    if left <= 0 {
                        toSkip -= Int64(read.count)
                        continue
                    }
                    var typed = read
                    typed.columns = zip(read.columns, types).map { $0.type == $1 ? $0 : $0.retyped($1) }
                    (batch, consumed) = (typed, Int(toSkip))
                    toSkip = 0
                    return try next(maxRows: maxRows)
                }
                part += 1
                return .waiting(.zero)
            }
            self.parts = nil
            if at!.stage == .snapshot {
                at!.stage = .changes
                at!.rows = 0
            } else {
                at!.handedOut(at!.instant, history!.timeline)
            }
            toSkip = 0
        }
        return try beginPart() ? .waiting(.zero) : .waiting(source.options.checkInterval)
    }

    /// Begins the snapshot or the next commit's changes.
    /// - Returns: false when there is nothing to begin now.
    private func beginPart() throws -> Bool {
        guard let properties = try properties() else { return false }
        part = 0
        if at!.stage == .snapshot {
            let history = try TableHistory(source.files, properties)
            self.history = history
            parts = try snapshot(history)
            return true
        }
        if pending.isEmpty || !at!.instant.isEmpty {
            let history = try TableHistory(source.files, properties), position = at!
            self.history = history
            at!.raiseFloor(history.timeline)
            // What has been handed out may have been taken back.
            if !position.floor.isEmpty, !history.timeline.completedWrites.contains(position.floor), let first = history.writes.first, first.time < position.floor {
                throw StreamError(.runtime, "table \(source.table.name): commit \(position.floor), whose changes have been read, is gone from \(source.files.root): "
                                  + "the table was restored to an earlier one", fix: "start this job without its checkpoints, and its own table anew")
            }
            pending = history.writes.filter { !position.includes($0.time) }.sorted { $0.visibleFrom < $1.visibleFrom }
            if !position.instant.isEmpty {
                guard let i = pending.firstIndex(where: { $0.time == position.instant }) else {
                    throw StreamError(.runtime, "table \(source.table.name): commit \(position.instant), whose changes were being read, is gone from \(source.files.root)",
                                      fix: "start anew with '\(ReadOption.streamingStart)', or without a position for the snapshot")
                }
                pending.swapAt(0, i)
            }
        }
        metrics.setGauge("commits.behind", Int64(pending.count))
        guard !pending.isEmpty else { return false }
        let instant = pending.removeFirst()
        if at!.instant != instant.time { (at!.instant, at!.rows, toSkip) = (instant.time, 0, 0) }
        parts = try changes(of: instant, history!)
        return true
    }

    private func path(_ slice: FileSlice) -> String { source.files.absolute(slice.path) }

    private func snapshot(_ history: TableHistory) throws -> [any ChangeRows] {
        let pruning = try PartitionPruning(source.scan.partitionFilter, table: source.table, history.properties), position = at!
        let slices = try history.slices(pruning) { position.includes($0) }
        // What cleaning took away after a restart would be missing without a word.
        if let newest = ([position.floor] + position.beyond).max() { try history.requireRetained(asOf: newest) { position.includes($0) } }
        return slices.filter { pruning.mayMatch($0.partition) }.map { FileRows(path: path($0), wanted: wanted, kind: .insert) }
    }

    /// What a commit did, deletes first.
    private func changes(of instant: Instant, _ history: TableHistory) throws -> [any ChangeRows] {
        let metadata = try history.metadata(of: instant)
        // Rows change their files, but not themselves.
        if metadata.operation == "CLUSTER" || metadata.operation == "COMPACT" { return [] }
        let pruning = try PartitionPruning(source.scan.partitionFilter, table: source.table, history.properties)
        let changelog = source.options.changelog
        var deletes: [any ChangeRows] = [], writes: [any ChangeRows] = []
        var listed: [String: [String: [FileSlice]]] = [:]
        /// The newest version of a group before the commit.
        func version(before time: String, _ partition: String, _ fileId: String) throws -> FileSlice? {
            if listed[partition] == nil {
                let slices = try source.files.names(in: partition).compactMap { FileSlice(partition: partition, name: $0) }
                listed[partition] = Dictionary(grouping: slices, by: \.fileId)
            }
            return listed[partition]![fileId]?.filter { $0.instant < time && history.timeline.isCommitted($0.instant) }.max { $0.instant < $1.instant }
        }
        func cleaned(_ what: String) -> StreamError {
            StreamError(.runtime, "table \(source.table.name): the changes of commit \(instant.time) cannot be told any more: cleaning has removed \(what) from \(source.files.root)",
                        fix: "let the table's writer keep more with 'clean.retain_commits'; start this job without its checkpoints to read the snapshot, "
                            + "or with '\(ReadOption.streamingStart)' = 'latest'")
        }
        if changelog != .none {
            for (partition, ids) in metadata.replaced.sorted(by: { $0.key < $1.key }) where pruning.mayMatch(partition) {
                for id in ids.sorted() {
                    guard let slice = try version(before: instant.time, partition, id) else { throw cleaned("file group \(id)") }
                    deletes.append(FileRows(path: path(slice), wanted: wanted, kind: .delete))
                }
            }
        }
        for stat in metadata.stats.sorted(by: { ($0.partition, $0.fileId) < ($1.partition, $1.fileId) }) where pruning.mayMatch(stat.partition) {
            guard let file = stat.path else { continue }
            guard source.files.exists(file) else { throw cleaned(file) }
            let after = source.files.absolute(file)
            guard let previous = stat.previous else {
                writes.append(FileRows(path: after, wanted: wanted, kind: .insert))
                continue
            }
            let before = changelog == .all || changelog == .upsert && stat.deletes > 0 ? try version(before: instant.time, stat.partition, stat.fileId) : nil
            if changelog == .all || changelog == .upsert && stat.deletes > 0 {
                guard let before, before.instant == previous else { throw cleaned("version \(previous) of file group \(stat.fileId)") }
                if stat.deletes > 0 { deletes.append(FileGroupChanges(before: path(before), after: after, commit: instant.time, wanted: wanted, parts: .deletes)) }
            }
            if changelog == .all {
                // Deletes that the commit did not count are told all the same.
                let parts: FileGroupChanges.Parts = stat.deletes > 0 ? .writes : [.deletes, .writes]
                writes.append(FileGroupChanges(before: path(before!), after: after, commit: instant.time, wanted: wanted, parts: parts))
            } else {
                writes.append(FileRows(path: after, wanted: wanted, kind: changelog == .upsert ? .updateAfter : .insert, writtenBy: instant.time))
            }
        }
        return deletes + writes
    }

    func close() { (parts, batch) = (nil, nil) }
}
