import Foundation
import StreamCore
import StreamRuntime
import StreamState

/// What a checkpoint holds, for people and as JSON.
struct CheckpointReport: Encodable {
    struct Operator: Encodable {
        var id: String, name: String
        var parallelism: Int
        var stateBytes: Int
        /// The lowest of the subtasks, milliseconds; nil before the first one.
        var watermark: Int64?
        var finishedSubtasks: Int
        /// What the writers of a sink prepared, to be committed or found committed by whoever starts from here.
        var pendingCommits: Int
        var pendingCommitBytes: Int
        var splits: [CheckpointManifest.SplitEntry]
    }

    var directory: String
    var kind: String, job: String, jobID: String
    var checkpoint: UInt64
    var startedAt: Int64, completedAt: Int64
    var bytes: Int, files: Int
    var isUnaligned: Bool
    var maxParallelism: Int
    var planFingerprint: String
    var operators: [Operator]

    init(_ checkpoint: Checkpoint) {
        let manifest = checkpoint.manifest
        directory = checkpoint.directory
        (kind, job, jobID) = (manifest.kind.rawValue, manifest.jobName, manifest.jobID)
        self.checkpoint = manifest.checkpoint
        (startedAt, completedAt) = (manifest.startedAt, manifest.completedAt)
        (bytes, files) = (manifest.files.reduce(0) { $0 + $1.bytes }, manifest.files.count)
        (isUnaligned, maxParallelism, planFingerprint) = (manifest.isUnaligned, manifest.maxParallelism, manifest.planFingerprint)
        operators = manifest.operators.map { entry in
            let ends = entry.splits.filter { !$0.isFinished }.map(\.watermark)
            let watermarks = entry.splits.isEmpty ? entry.subtasks.map(\.watermark) : ends
            return Operator(
                id: entry.id, name: entry.name, parallelism: entry.parallelism, stateBytes: entry.subtasks.reduce(0) { $0 + $1.stateBytes },
                watermark: watermarks.contains(nil) ? nil : watermarks.compactMap { $0 }.min(),
                finishedSubtasks: entry.subtasks.count(where: \.isFinished), pendingCommits: entry.committables.count,
                pendingCommitBytes: entry.committables.reduce(0) { $0 + $1.bytes.count }, splits: entry.splits)
        }
    }

    func json(details: Bool) throws -> String {
        var shown = self
        if !details { shown.operators = [] }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(shown), as: UTF8.self)
    }

    /// The operator of an id or a name, or the only one whose name has the text in it.
    func find(_ wanted: String) throws -> Operator {
        let exact = operators.filter { $0.id == wanted || $0.name == wanted }
        let found = exact.isEmpty ? operators.filter { $0.name.lowercased().contains(wanted.lowercased()) } : exact
        if found.count == 1 { return found[0] }
        let names = (found.isEmpty ? operators : found).map { "\($0.id) (\($0.name))" }.joined(separator: ", ")
        throw StreamError(
            .validate, found.isEmpty ? "\(kind) \(checkpoint) has no operator '\(wanted)'" : "\(found.count) operators have '\(wanted)' in their name",
            fix: "name one by its id: \(names)")
    }

    var text: String {
        var parts = ["""
            \(kind) \(checkpoint) of job \(job), \(directory)
            taken \(JobLog.time(completedAt)) in \(grouped(completedAt - startedAt)) ms, \(grouped(Int64(bytes))) bytes in \(files) file\(files == 1 ? "" : "s")\(isUnaligned ? ", with rows in flight" : "")
            job id \(jobID), plan \(planFingerprint), max parallelism \(maxParallelism)
            """]
        parts.append(TextTable(
            columns: ["id", "operator", "par", "state bytes", "watermark", "finished", "pending commits"],
            alignRight: [false, false, true, true, false, true, true], rows: operators.map { o in
                [o.id, o.name, "\(o.parallelism)", grouped(Int64(o.stateBytes)), o.watermark.map(Self.watermark) ?? "-",
                 o.finishedSubtasks > 0 ? "\(o.finishedSubtasks)" : "-", o.pendingCommits > 0 ? "\(o.pendingCommits)" : "-"]
            }).boxed())
        let splits = operators.flatMap { o in o.splits.map { (o.name, $0) } }
        if !splits.isEmpty {
            parts.append(TextTable(columns: ["source", "split", "position", "watermark"], rows: splits.map { name, split in
                [name, split.id, split.isFinished ? "end" : split.position ?? "start", split.watermark.map(Self.watermark) ?? "-"]
            }).boxed())
        }
        return parts.joined(separator: "\n")
    }

    private static func watermark(_ milliseconds: Int64) -> String {
        milliseconds == EventTime.max.milliseconds ? "end" : DateTimeText.timestamp(milliseconds, precision: 3)
    }
}

/// The rows of an operator's state, a table for each kind of piece.
struct StateRows {
    private let checkpoint: Checkpoint
    private let entry: CheckpointReport.Operator
    private let limit: Int

    init(_ checkpoint: Checkpoint, of entry: CheckpointReport.Operator, limit: Int) {
        self.checkpoint = checkpoint
        self.entry = entry
        self.limit = limit
    }

    private struct Kind {
        var schema: Schema
        var rows: [[Value]]
    }

    func show(_ format: OutputFormat) throws {
        let state = try checkpoint.state(of: entry.id, keyGroups: 0..<checkpoint.manifest.maxParallelism)
        var kinds: [(name: String, kind: Kind)] = []
        for piece in state.pieces {
            let at = kinds.firstIndex { $0.name == piece.name }
            if let at, kinds[at].kind.rows.count >= limit { continue }
            let loaded = try piece.load()
            let index = at ?? kinds.count
            if at == nil { kinds.append((piece.name, Kind(schema: Self.schema(loaded), rows: []))) }
            for i in 0..<loaded.batch.count where kinds[index].kind.rows.count < limit {
                let row = loaded.batch.row(i)
                let group: Value = loaded.keyGroup == KeyGroupState.everywhere ? .null : .int(Int64(loaded.keyGroup))
                kinds[index].kind.rows.append([group] + loaded.batch.columns.map { $0.value(at: row) })
            }
        }
        if format == .table {
            print("state of \(entry.name), operator \(entry.id): \(grouped(Int64(entry.stateBytes))) bytes")
            if kinds.isEmpty, state.stores.isEmpty { print("it has none") }
        }
        if !state.stores.isEmpty {
            Terminal.error("warning: the rows of this operator are in RocksDB's own files; a savepoint has them in a form that can be shown")
        }
        for (name, kind) in kinds {
            if format == .table { print(name) }
            let fields = format == .json ? [Field("state", .string)] + kind.schema : kind.schema
            let sink = try ResultSink(schema: fields, format: format, isBounded: true, isChangelog: false, timeZone: "UTC")
            sink.add(Batch(schema: fields, rows: format == .json ? kind.rows.map { [.string(name)] + $0 } : kind.rows))
            sink.finish(footer: false)
        }
    }

    private static func schema(_ piece: KeyGroupState) -> Schema {
        [Field("key_group", .int)] + piece.batch.columns.enumerated().map { i, column in
            Field(i < piece.columns.count ? piece.columns[i] : "column\(i + 1)", column.type)
        }
    }
}
