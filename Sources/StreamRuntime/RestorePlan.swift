import StreamCore
import StreamState

/// A checkpoint matched with the job that is to go on from it.
struct RestorePlan: Sendable {
    let checkpoint: Checkpoint
    let manifest: CheckpointManifest
    private let entries: [String: CheckpointManifest.OperatorEntry]

    /// - Throws: `.validate` when the job has lost operators that the checkpoint has state of, or cannot take the state as it is.
    init(_ checkpoint: Checkpoint, graph: JobGraph, allowsNonRestoredState: Bool) throws {
        self.checkpoint = checkpoint
        manifest = checkpoint.manifest
        entries = Dictionary(manifest.operators.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let what = "\(manifest.kind == .savepoint ? "savepoint" : "checkpoint") \(manifest.checkpoint) in \(checkpoint.directory)"
        let ids = Set(graph.vertices.map(\.operatorID))
        let lost = manifest.operators.filter { !ids.contains($0.id) && ($0.hasState || !$0.splits.isEmpty || !$0.committables.isEmpty || !$0.writerStates.isEmpty) }
        if !lost.isEmpty, !allowsNonRestoredState {
            let new = graph.vertices.filter { entries[$0.operatorID] == nil }
            var text = "\(what) does not fit the job \(graph.name): it has state of\n" + Self.list(lost.map { ($0.name, $0.id) })
            text += new.isEmpty ? "\nwhich the job does not have" : "\nwhich the job does not have; the job has instead\n" + Self.list(new.map { ($0.name, $0.operatorID) })
            throw StreamError(.validate, text, fix: "go back to the statements that the job ran with, give up that state with --allow-non-restored-state, or start anew with --fresh")
        }
        if manifest.maxParallelism != graph.maxParallelism, manifest.operators.contains(where: \.hasState) {
            throw StreamError(.validate, "\(what) has \(manifest.maxParallelism) key groups, the job has \(graph.maxParallelism)",
                              fix: "set pipeline.max-parallelism to \(manifest.maxParallelism)")
        }
        let hasRowsInFlight = manifest.operators.contains { $0.subtasks.contains { $0.channels != nil } }
        for vertex in graph.vertices {
            guard hasRowsInFlight, let entry = entries[vertex.operatorID], entry.parallelism != vertex.parallelism else { continue }
            throw StreamError(.validate, "\(what) holds rows in flight between subtasks, and \(vertex.name) had \(entry.parallelism) of them and has \(vertex.parallelism) now",
                              fix: "resume with the parallelism of before, then take a savepoint, which has no rows in flight")
        }
    }

    private static func list(_ operators: [(name: String, id: String)]) -> String { operators.map { "    \($0.name) (\($0.id))" }.joined(separator: "\n") }

    func state(of operatorID: String, keyGroups: Range<Int>) throws -> RestoredState {
        entries[operatorID] == nil ? RestoredState() : try checkpoint.state(of: operatorID, keyGroups: keyGroups)
    }

    func committables(of operatorID: String) -> [Committable] { entries[operatorID]?.committables.map { Committable($0.bytes) } ?? [] }

    func hasEntry(of operatorID: String) -> Bool { entries[operatorID] != nil }

    func splits(of operatorID: String) -> [String: CheckpointManifest.SplitEntry] {
        Dictionary(entries[operatorID]?.splits.map { ($0.id, $0) } ?? [], uniquingKeysWith: { first, _ in first })
    }

    /// Whether what subtasks of the vertex did in the earlier run can be told apart in this one.
    func hasSameSubtasks(_ vertex: JobVertex) -> Bool { entries[vertex.operatorID]?.parallelism == vertex.parallelism }

    /// States of a sink's writers, dealt out to those of now.
    func writerStates(of operatorID: String, subtask: Int, parallelism: Int) -> [[UInt8]] {
        (entries[operatorID]?.writerStates ?? []).enumerated().filter { $0.offset % parallelism == subtask }.map(\.element.bytes)
    }

    func channels(of vertex: JobVertex, subtask: Int) throws -> [ChannelState] {
        guard let entry = entries[vertex.operatorID], entry.subtasks.contains(where: { $0.channels != nil }) else { return [] }
        return try checkpoint.channels(of: vertex.operatorID, subtask: subtask)
    }
}

extension CheckpointManifest.SplitEntry {
    var start: SplitStart { SplitStart(split: SourceSplit(id: id, position: position), watermark: watermark.map { EventTime(milliseconds: $0) }, subtask: subtask) }
}
