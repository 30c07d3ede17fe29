import StreamCore
import StreamState

/// Writes checkpoints as the coordinator has them to be written. One thread at a time.
final class CheckpointWriting {
    private let graph: JobGraph
    private let jobID: String
    private let coordinator: CheckpointCoordinator
    private let storage: CheckpointStorage
    private let now: @Sendable () -> UInt64
    /// A checkpoint that is being written.
    private struct Open {
        var writer: CheckpointWriter
        var entries: [Int: [CheckpointManifest.SubtaskEntry]] = [:]
    }
    private var open: [UInt64: Open] = [:]

    init(graph: JobGraph, jobID: String, coordinator: CheckpointCoordinator, storage: CheckpointStorage, now: @escaping @Sendable () -> UInt64) {
        self.graph = graph
        self.jobID = jobID
        self.coordinator = coordinator
        self.storage = storage
        self.now = now
    }

    /// Does one piece of work. False when there was none.
    func step() -> Bool {
        guard let work = coordinator.nextWork() else { return false }
        switch work {
        case .write(let n, let purpose, let report): attempt(n) { try write(n, purpose, report) }
        case .complete(let n, let purpose, let summary): attempt(n) { try complete(n, purpose, summary) }
        case .abandon(let n): open.removeValue(forKey: n)?.writer.abandon()
        }
        return true
    }

    private func attempt(_ n: UInt64, _ body: () throws -> Void) {
        do {
            try body()
        } catch {
            let writer = open.removeValue(forKey: n)?.writer
            writer?.abandon()
            // What may yet turn out to be complete must not be passed by: only a restart finds out.
            coordinator.fail(n, error as? StreamError ?? StreamError(.io, "\(error)"), isFatal: writer?.isIndeterminate ?? false, now: now())
        }
    }

    private func begin(_ n: UInt64, _ purpose: CheckpointCoordinator.Purpose) throws {
        guard open[n] == nil else { return }
        let writer = if case .savepoint(let directory) = purpose {
            try CheckpointStorage.beginSavepoint(n, in: directory, jobName: graph.name, host: storage.host)
        } else {
            try storage.begin(n)
        }
        open[n] = Open(writer: writer)
    }

    private func write(_ n: UInt64, _ purpose: CheckpointCoordinator.Purpose, _ report: SubtaskReport) throws {
        // Whether it is written or not, nobody else is going to need what it left on the disk.
        defer { report.discard(storage.host) }
        try begin(n, purpose)
        let writer = open[n]!.writer
        for (position, op) in report.operators.enumerated() {
            var entry = CheckpointManifest.SubtaskEntry(subtask: op.index, watermark: op.watermark)
            if !op.snapshot.isEmpty {
                (entry.state, entry.stores, entry.stateBytes) = try writer.write(op.snapshot, operatorID: graph.vertex(op.vertex).operatorID, subtask: op.index)
            }
            if position == 0, !report.channels.isEmpty { entry.channels = try writer.write(channels: report.channels) }
            open[n]!.entries[op.vertex, default: []].append(entry)
        }
    }

    private func complete(_ n: UInt64, _ purpose: CheckpointCoordinator.Purpose, _ summary: CheckpointCoordinator.Summary) throws {
        try begin(n, purpose)
        var entries = open[n]!.entries
        for report in summary.reports where summary.finished.contains(report.subtask) {
            for op in report.operators {
                var entry = CheckpointManifest.SubtaskEntry(subtask: op.index, isFinished: true, watermark: EventTime.max.milliseconds)
                if !op.lasting.isEmpty {
                    (entry.state, entry.stores, entry.stateBytes) = try open[n]!.writer.write(
                        OperatorSnapshot(units: op.lasting), operatorID: graph.vertex(op.vertex).operatorID, subtask: op.index)
                }
                entries[op.vertex, default: []].append(entry)
            }
        }
        let kind: CheckpointManifest.Kind = if case .savepoint = purpose { .savepoint } else { summary.isFinal ? .final : .checkpoint }
        var manifest = CheckpointManifest(
            kind: kind, checkpoint: n, jobID: jobID, jobName: graph.name,
            planFingerprint: graph.fingerprint, maxParallelism: graph.maxParallelism, startedAt: summary.startedAt, completedAt: storage.host.now(),
            isUnaligned: summary.isUnaligned)
        manifest.lastNumber = summary.lastNumber
        for vertex in graph.vertices {
            let reports = summary.reports.flatMap(\.operators).filter { $0.vertex == vertex.id }
            manifest.operators.append(.init(
                id: vertex.operatorID, name: vertex.name, parallelism: vertex.parallelism,
                subtasks: (entries[vertex.id] ?? []).sorted { $0.subtask < $1.subtask }, splits: splits(reports),
                committables: summary.parts.filter { $0.vertex == vertex.id }.sorted { $0.number < $1.number }.flatMap(\.committables).map { .init($0.bytes) },
                writerStates: reports.sorted { $0.index < $1.index }.compactMap(\.writerState).map { .init($0) }))
        }
        let checkpoint = try open[n]!.writer.complete(manifest)
        open[n] = nil
        coordinator.completed(checkpoint, summary.parts, now: now())
    }

    /// With who read them.
    private func splits(_ reports: [OperatorReport]) -> [CheckpointManifest.SplitEntry] {
        let all = reports.flatMap { report in
            report.splits.map { split in
                var split = split
                split.subtask = report.index
                return split
            }
        }
        return all.sorted { $0.id < $1.id }
    }

    func abandonAll() {
        for (_, checkpoint) in open { checkpoint.writer.abandon() }
        open = [:]
    }
}

extension JobGraph {
    func vertex(_ id: Int) -> JobVertex { vertices.first { $0.id == id }! }

    /// A short hash of what the job's operators are and how they are connected, whatever the parallelism.
    package var fingerprint: String {
        var text = vertices.map(\.operatorID).sorted().joined(separator: "\n")
        let connections = edges.map { "\(vertex($0.from).operatorID)>\(vertex($0.to).operatorID):\($0.input)" }.sorted()
        text += "\n" + connections.joined(separator: "\n")
        let hash = text.withUTF8 { RowHash.bytes(UnsafeRawPointer($0.baseAddress!), $0.count) }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
