import Foundation
import StreamCore
import StreamFormats

struct OpenSearchSink: TableSink {
    let options: OpenSearchOptions
    let host: StreamCore.Host

    var maxParallelism: Int? { options.sinkParallelism }
    /// Rows of one document stay in order.
    var distributionKeys: [Int] { options.keyColumns }
    var acceptsChanges: Bool { !options.keyColumns.isEmpty }
    var changelogMode: ChangelogMode { options.keyColumns.isEmpty ? .insertOnly : .upsert }
    var commitInterval: Duration? { options.commitInterval }

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        try OpenSearchWriter(options, context, encoder: FormatFactory.encoder(for: options.table), host)
    }

    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? {
        try options.backup.map { try BackupCommitter($0.directory, context: context, host: host) }
    }
}

/// Ids for rows without a key, which a row gets again when the job recovers: ordinals that are part of the checkpoint.
///
/// Between a checkpoint and a crash some rows were sent. After it all rows since the checkpoint come again, in whatever order, and
/// replace what stands under the ordinals from there on: each is there once in the end.
struct RowIDs {
    private var prefix: String
    private(set) var next: UInt64 = 0

    init(_ context: SinkContext) throws {
        prefix = "\(context.tag)-\(context.subtask)"
        // A writer that is new since the checkpoint must not take up the numbers of one before.
        if let restored = context.restoredCheckpoint { prefix += "-r\(restored)" }
        guard let state = context.restoredStates.first else { return }
        let parts = String(decoding: state, as: UTF8.self).split(separator: " ")
        guard parts.count == 2, let next = UInt64(parts[1]) else { throw StreamError(.corrupt, "the checkpoint's state of an opensearch sink cannot be read") }
        (prefix, self.next) = (String(parts[0]), next)
    }

    mutating func take() -> String {
        next += 1
        return "\(prefix)-\(next - 1)"
    }

    var state: [UInt8] { Array("\(prefix) \(next)".utf8) }
}

final class OpenSearchWriter: SinkWriter {
    private let options: OpenSearchOptions
    private let encoder: any RecordEncoder
    private let client: BulkClient
    private let metrics: OperatorMetrics
    private let host: StreamCore.Host
    private let failed: BackupWriter?
    private let all: BackupWriter?
    private var ids: RowIDs
    private var bytes = EncodedBytes(capacity: 1 << 16)
    private var ends: [Int] = []
    /// nil: a later one for the same document took its place.
    private var pending: [BulkAction?] = []
    private var places: [String: Int] = [:]
    private var pendingBytes = 0
    private var firstPending: ContinuousClock.Instant?

    init(_ options: OpenSearchOptions, _ context: SinkContext, encoder: any RecordEncoder, _ host: StreamCore.Host) throws {
        self.options = options
        self.encoder = encoder
        self.host = host
        metrics = context.metrics
        client = BulkClient(options.client)
        ids = try RowIDs(context)
        failed = options.backup.map { BackupWriter($0.directory, kind: "failed", context: context, host: host) }
        all = options.backup?.mode == .all ? BackupWriter(options.backup!.directory, kind: "documents", context: context, host: host) : nil
    }

    func write(_ batch: Batch) throws {
        bytes.removeAll()
        ends.removeAll(keepingCapacity: true)
        try encoder.encode(batch, into: &bytes, ends: &ends)
        let now = host.now()
        var start = 0
        for i in 0..<batch.count {
            let document = Array(bytes.bytes[start..<ends[i]])
            start = ends[i]
            let row = batch.row(i), kind = batch.kind(atPhysical: row)
            guard kind != .updateBefore else { continue }
            if kind != .delete { try all?.add(document) }
            try add(BulkAction(kind == .delete ? .delete : options.isCreateOnly ? .create : .index, index: options.index.name(batch, row, now: now),
                               id: id(batch, row), document: kind == .delete ? [] : document))
        }
    }

    private func id(_ batch: Batch, _ row: Int) -> String? {
        if options.isCreateOnly { return nil }
        guard !options.keyColumns.isEmpty else { return ids.take() }
        return options.keyColumns.map { batch.columns[$0].value(at: row).plainText(as: options.table.schema[$0].type) }.joined(separator: options.keyDelimiter)
    }

    private func add(_ action: BulkAction) throws {
        if !options.keyColumns.isEmpty, let id = action.id {
            let key = action.index + "/" + id
            // Only the last of a document counts; sent apart and again, an earlier one could win.
            if let earlier = places.updateValue(pending.count, forKey: key) {
                pendingBytes -= pending[earlier]?.document.count ?? 0
                pending[earlier] = nil
            }
        }
        pending.append(action)
        pendingBytes += action.document.count + 64
        let now = ContinuousClock.now
        if firstPending == nil { firstPending = now }
        if pending.count >= options.batch.actionsMax || pendingBytes >= options.batch.bytesMax || now - firstPending! >= options.batch.interval { try flush() }
    }

    private func flush() throws {
        let actions = pending.compactMap { $0 }
        guard !actions.isEmpty else { return }
        let (requests, resent) = (client.requests, client.resent)
        let failures = try client.send(actions)
        metrics.addToGauge("bulk-requests", Int64(client.requests - requests))
        metrics.addToGauge("documents-resent", Int64(client.resent - resent))
        metrics.bytesOut.add(pendingBytes)
        pending.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
        (pendingBytes, firstPending) = (0, nil)
        for (action, failure) in zip(actions, failures) {
            guard let failure else { continue }
            metrics.addToGauge("documents-failed", 1)
            guard let failed else { throw refused(action, failure) }
            try failed.add(Self.line(action, failure, now: host.now()))
        }
    }

    private func refused(_ action: BulkAction, _ failure: BulkFailure) -> StreamError {
        let document = String(decoding: action.document.prefix(200), as: UTF8.self) + (action.document.count > 200 ? "..." : "")
        let again = failure.attempts > 1 ? ", also after \(failure.attempts - 1) retries" : ""
        return StreamError(.runtime, "table \(options.table.name): index \(action.index) refused to \(action.kind.rawValue) document \(action.id ?? "without id")\(again): "
                + "\(failure.type): \(failure.reason)\(action.kind == .delete ? "" : ", in \(document)")",
            fix: "correct the rows or the mapping of the index, or put such documents aside with 'sink.backup.path'")
    }

    /// One line of the backup.
    static func line(_ action: BulkAction, _ failure: BulkFailure, now: Int64) -> [UInt8] {
        var out = Array("{\"time\":\"\(DateTimeText.timestamp(now, precision: 3).replacing(" ", with: "T"))Z\",\"index\":".utf8)
        JSONText.append(action.index, to: &out)
        if let id = action.id {
            out += ",\"id\":".utf8
            JSONText.append(id, to: &out)
        }
        out += ",\"action\":\"\(action.kind.rawValue)\",\"status\":\(failure.status),\"error_type\":".utf8
        JSONText.append(failure.type, to: &out)
        out += ",\"reason\":".utf8
        JSONText.append(failure.reason, to: &out)
        out += ",\"attempts\":\(failure.attempts),\"document\":".utf8
        out += action.document.isEmpty ? Array("null".utf8) : action.document
        out.append(UInt8(ascii: "}"))
        return out
    }

    /// No input is at hand: what waits goes out.
    func idle() throws { try flush() }

    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        if options.flushesOnCheckpoint || failed != nil { try flush() }
        return try [failed?.finish(checkpoint), all?.finish(checkpoint)].compactMap { $0 }
    }

    func state() throws -> [UInt8]? { options.keyColumns.isEmpty && !options.isCreateOnly ? ids.state : nil }

    func finish() throws { try flush() }

    func abort() {
        pending = []
        failed?.abandon()
        all?.abandon()
    }

    func close() throws { abort() }
}
