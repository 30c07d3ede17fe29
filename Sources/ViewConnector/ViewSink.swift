import StreamCore
import StreamFormats

/// Keeps rows by key, where readers find them.
struct ViewSink: TableSink {
    let view: View
    let registry: ViewRegistry

    var maxParallelism: Int? { view.options.parallelism }
    var distributionKeys: [Int] { view.codec.columns }
    var acceptsChanges: Bool { true }
    var changelogMode: ChangelogMode { .upsert }
    var takesUpserts: Bool { true }
    var commitInterval: Duration? { view.options.commitInterval }

    /// Comes before the writers of a run are made.
    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? {
        try registry.register(view)
        _ = view.begin(maxParallelism: context.maxParallelism)
        return view.options.visibility == .checkpoint ? Committer(view: view) : nil
    }

    func writer(_ context: SinkContext) throws -> any SinkWriter { try ViewWriter(view, context) }

    private final class Committer: SinkCommitter {
        private let view: View
        init(view: View) { self.view = view }

        /// What a checkpoint holds comes back visible.
        func recover(_ checkpoint: UInt64, _ committables: [Committable]) throws {}
        func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws {
            for committable in committables {
                let parts = String(decoding: committable.bytes, as: UTF8.self).split(separator: " ").compactMap { UInt64($0) }
                guard parts.count == 2 else { throw StreamError(.corrupt, "a checkpoint of view \(view.options.name) names a part that is none of it", fix: "go on from an older checkpoint") }
                try view.committed(Int(parts[0]), parts[1])
            }
        }
    }
}

final class ViewWriter: StatefulSinkWriter {
    private let view: View
    private let context: SinkContext
    private let partition: ViewPartition
    private let run: Int
    private let encoder: JSONRecordEncoder
    private var keys = EncodedBytes(capacity: 1 << 16), rows = EncodedBytes(capacity: 1 << 18)
    private var keyEnds: [Int] = [], rowEnds: [Int] = []
    private var hashes: [UInt64] = []
    private var kinds: [UInt8] = []
    private var sweptAt: Int64 = .min

    init(_ view: View, _ context: SinkContext) throws {
        (self.view, self.context) = (view, context)
        encoder = try JSONRecordEncoder(schema: view.table.schema, options: JSONOptions())
        partition = view.partition(context)
        run = view.run
    }

    func restore(_ state: RestoredState) throws {
        let groups = KeyGroups.groups(ofSubtask: context.subtask, parallelism: context.parallelism, maxParallelism: context.maxParallelism)
        view.add(partition, context, run: run, newest: try partition.restore(state, keyGroups: groups))
    }

    func write(_ batch: Batch) throws {
        let n = batch.count
        guard n > 0 else { return }
        keys.removeAll()
        rows.removeAll()
        keyEnds.removeAll(keepingCapacity: true)
        rowEnds.removeAll(keepingCapacity: true)
        try view.codec.encode(batch, into: &keys, ends: &keyEnds)
        try encoder.encode(batch, into: &rows, ends: &rowEnds)
        if hashes.count < n { hashes = Array(repeating: 0, count: n) }
        guard rows.count < RowTable.longest else {
            throw StreamError(.runtime, "table \(view.table.name): rows of a batch take \(rows.count) bytes in a view", fix: "leave large columns out of the view")
        }
        let first = view.takeVersions(n), now = view.host.now()
        let changes = try hashes.withUnsafeMutableBufferPointer { hashes in
            RowHash.hash(batch, keys: view.codec.columns, into: hashes.baseAddress!)
            return try withKinds(batch) { kinds in
                try keyEnds.withUnsafeBufferPointer { keyEnds in
                    try rowEnds.withUnsafeBufferPointer { rowEnds in
                        try partition.apply(
                            EncodedRows(count: n, hashes: hashes.baseAddress!, kinds: kinds, keys: keys.bytes.baseAddress!, keyEnds: keyEnds.baseAddress!,
                                        rows: rows.bytes.baseAddress!, rowEnds: rowEnds.baseAddress!),
                            firstVersion: first, now: now, collects: { view.changes.isWanted })
                    }
                }
            }
        }
        view.changes.add(changes)
    }

    /// The kinds of the selected rows.
    private func withKinds<R>(_ batch: Batch, _ body: (UnsafePointer<UInt8>?) throws -> R) rethrows -> R {
        guard let all = batch.rowKinds else { return try body(nil) }
        guard let selection = batch.selection else { return try body(UnsafePointer(all.pointer(as: UInt8.self))) }
        if kinds.count < selection.count { kinds = Array(repeating: 0, count: selection.count) }
        return try kinds.withUnsafeMutableBufferPointer { kinds in
            let from = all.pointer(as: UInt8.self)
            for i in 0..<selection.count { kinds[i] = from[Int(selection.rows[i])] }
            return try body(UnsafePointer(kinds.baseAddress!))
        }
    }

    func idle() throws { try sweep() }

    private func sweep() throws {
        guard let ttl = view.options.timeToLive else { return }
        let now = view.host.now()
        // All groups have had their turn after a fraction of the time that rows live.
        guard now >= sweptAt &+ max(1, min(1_000, ttl / 64)) else { return }
        sweptAt = now
        view.changes.add(try partition.sweep(now: now, firstVersion: view.takeVersions(1), collects: { view.changes.isWanted }))
    }

    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        try sweep()
        guard view.options.visibility == .checkpoint else { return [] }
        partition.prepared(checkpoint)
        // Who has prepared it, and under which number: that of a subtask that has ended may be larger than the checkpoint's.
        return [Committable(Array("\(context.subtask) \(checkpoint)".utf8))]
    }

    func snapshot(_ barrier: Barrier) throws -> OperatorSnapshot { context.isRecoverable ? try partition.snapshot(barrier) : .empty }
    func lastSnapshot() throws -> [StateUnit] { context.isRecoverable ? try partition.lastSnapshot() : [] }

    func abort() { view.ended(context.subtask, run: run) }
    func close() throws { view.ended(context.subtask, run: run) }
}
