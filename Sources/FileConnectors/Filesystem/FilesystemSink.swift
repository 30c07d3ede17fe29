import Foundation
import StreamCore
import StreamFormats

/// Writes part files that appear, whole, when a checkpoint commits.
///
///     <path>/[key=value/]part-<tag>-<subtask>-<try>-<n>.<format>               committed
///     <path>/[key=value/].part-<tag>-<subtask>-<try>-<n>.<format>.inprogress   until then, and after a crash
///     <path>/[key=value/]_SUCCESS                                              the partition is complete
///     <path>/.partitions-<tag>                                                 partitions that are not, yet
///     <path>/.delivery-<tag>/...                                               files of a delivery stream until they are committed
///
/// The tag says which sink of which job a file belongs to; every writer begins a try of its own, so that no name comes twice.
struct FilesystemSink: TableSink {
    var directory: String
    var extension_: String
    var acceptsChanges: Bool
    var schema: Schema
    /// Indices of the columns that become folders, and of those that are written.
    var partitionColumns: [Int]
    var dataColumns: [Int]
    var defaultPartition: String
    var rolling: RollingPolicy
    var partitionCommit: PartitionCommit?
    var distributionKeys: [Int]
    /// Files are those of a delivery stream.
    var delivery: FilesystemDelivery?
    /// Encodes the records of all files.
    var makeEncoder: @Sendable () throws -> any RecordEncoder
    /// Encodes one file, of a format that makes files as a whole; nil = files are records one behind the other.
    var makeFileEncoder: (@Sendable () throws -> any FileEncoder)?
    var host: StreamCore.Host
    /// Told of the partitions that a commit made visible.
    var registering: (@Sendable ([TablePartition]) throws -> Void)?

    var commitInterval: Duration? { rolling.commitInterval }
    /// A delivery stream has one buffer, and its files appear when they are due.
    var maxParallelism: Int? { delivery == nil ? nil : 1 }
    var commitsOnTime: Bool { delivery != nil }

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        try host.createDirectories(directory)
        return try FileSinkWriter(self, encoder: makeFileEncoder == nil ? makeEncoder() : nil, context)
    }

    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? {
        let committer = FileSinkCommitter(self, tag: context.tag)
        // Before its first checkpoint a job has nothing to go on from: what an earlier try left is of no use.
        if context.isRecoverable, context.restoredCheckpoint == nil { try committer.removeLeftovers(keeping: []) }
        return committer
    }

    /// The partition of a folder relative to the table's directory.
    func partition(_ folder: String) throws -> TablePartition {
        let texts = Self.values(folder)
        let values = try partitionColumns.map { column in
            let text = texts[schema[column].name] ?? ""
            if text == defaultPartition { return Value.null }
            guard let value = PartitionValue.parse(text, schema[column].type) else {
                throw StreamError(.io, "\(directory)/\(folder): folder \(schema[column].name)=\(text) does not hold a \(schema[column].type)")
            }
            return value
        }
        return TablePartition(name: folder, values: values, location: folder)
    }

    /// Partition key -> text, of a folder relative to the table's directory.
    static func values(_ folder: String) -> [String: String] {
        let pairs = folder.split(separator: "/").compactMap { FileListing.partition(String($0)) }
        return Dictionary(pairs.map { ($0.key, $0.value) }) { $1 }
    }
}

final class FileSinkWriter: SinkWriter {
    private let sink: FilesystemSink
    /// nil when each file has an encoder of its own.
    private let encoder: (any RecordEncoder)?
    private let subtask: Int
    private let metrics: OperatorMetrics
    private let namePrefix: String
    private let tag: String
    private var count = 0
    /// Files that take rows, by relative folder.
    private var parts: [String: PartFile] = [:]
    /// Files that have ended since the last checkpoint.
    private var finished: [PartFile] = []
    /// Files that go on beyond the checkpoint that was just prepared.
    private var growing: [PartNote] = []
    /// Folders with names that are not durable yet.
    private var unsynced: Set<String> = []
    /// Relative folders that this writer has made durable, or will with the next checkpoint.
    private var knownFolders: Set<String> = []
    private var uses = 0
    private var lastCheck: Int64
    private var watermark = EventTime.min
    private var isFinishing = false
    /// Rows of a delivery, encoded, before they are dealt out to files; and where each of them ends.
    private var scratch = EncodedBytes(capacity: 1 << 16)
    private var ends: [Int] = []

    private static let flushBytes = 1 << 20
    /// More partitions than this at a time make more, smaller files.
    private static let openMax = 128

    init(_ sink: FilesystemSink, encoder: (any RecordEncoder)?, _ context: SinkContext) throws {
        self.sink = sink
        self.encoder = encoder
        subtask = context.subtask
        metrics = context.metrics
        tag = context.tag
        let digits = String(UInt32(truncatingIfNeeded: sink.host.randomBits()), radix: 16)
        namePrefix = "part-\(context.tag)-\(context.subtask)-\(String(repeating: "0", count: 8 - digits.count))\(digits)-"
        lastCheck = sink.host.now()
        for state in context.restoredStates { try resume(state) }
    }

    private func resume(_ state: [UInt8]) throws {
        guard let notes = try? JSONDecoder().decode([PartNote].self, from: Data(state)) else {
            throw StreamError(.corrupt, "\(state.count) bytes in a checkpoint do not tell which part files go on", fix: "start from another checkpoint")
        }
        for note in notes {
            let part = try PartFile(resuming: note, in: sink.directory, host: sink.host)
            // Another writer of before may have had a file in the same folder.
            if parts[note.group] == nil { parts[note.group] = part } else { try finish(part) }
        }
    }

    // MARK: Rows

    func write(_ batch: Batch) throws {
        guard !batch.isEmpty else { return }
        let now = sink.host.now()
        if let delivery = sink.delivery {
            try deliver(batch, delivery, now)
        } else if sink.partitionColumns.isEmpty {
            try append(batch, to: "", now)
        } else {
            var data = batch
            data.columns = sink.dataColumns.map { batch.columns[$0] }
            for (folder, rows) in folders(of: batch) {
                data.selection = Selection(rows)
                try append(data, to: folder, now)
            }
        }
        if now - lastCheck >= sink.rolling.check { try roll(now) }
    }

    func idle() throws {
        let now = sink.host.now()
        if now - lastCheck >= sink.rolling.check { try roll(now) }
    }

    func watermark(_ time: EventTime) throws { watermark = max(watermark, time) }

    /// Physical rows by folder, folders in the order in which they come up.
    private func folders(of batch: Batch) -> [(String, [Int32])] {
        var numbers: [[Value]: Int] = [:]
        var result: [(String, [Int32])] = []
        for i in 0..<batch.count {
            let row = batch.row(i)
            let key = sink.partitionColumns.map { batch.columns[$0].value(at: row) }
            if let number = numbers[key] {
                result[number].1.append(Int32(row))
            } else {
                numbers[key] = result.count
                result.append((folder(key), [Int32(row)]))
            }
        }
        return result
    }

    private func folder(_ key: [Value]) -> String {
        zip(sink.partitionColumns, key).map { column, value in
            let field = sink.schema[column]
            let text = value == .null ? sink.defaultPartition : value.plainText(as: field.type)
            return FileListing.escape(field.name) + "=" + FileListing.escape(text.isEmpty ? sink.defaultPartition : text)
        }.joined(separator: "/")
    }

    private func append(_ batch: Batch, to folder: String, _ now: Int64) throws {
        let part = try parts[folder] ?? start(folder, now)
        uses += 1
        part.lastUse = uses
        part.touch(now)
        try part.encoder?.write(batch)
        try encoder?.encode(batch, into: &part.bytes)
        if part.bytes.count >= Self.flushBytes { try part.flush(metrics) }
        if part.size >= sink.rolling.bytes { try finish(part) }
    }

    // MARK: Delivery

    /// Deals rows out to the files of their partition keys; each file ends with the row that fills it.
    private func deliver(_ batch: Batch, _ delivery: FilesystemDelivery, _ now: Int64) throws {
        var data = batch
        data.columns = sink.dataColumns.map { batch.columns[$0] }
        let groups = sink.partitionColumns.isEmpty ? [("", (0..<batch.count).map { Int32(batch.row($0)) })] : folders(of: batch)
        for (group, rows) in groups {
            data.selection = Selection(rows)
            scratch.removeAll()
            ends.removeAll(keepingCapacity: true)
            try encoder?.encode(data, into: &scratch, ends: &ends)
            var begin = 0
            for (i, end) in ends.enumerated() {
                let part: PartFile
                if let open = parts[group] { part = open } else {
                    part = try startDelivery(group, delivery, oldest: arrival(batch, Int(rows[i]), delivery) ?? now, now)
                }
                part.bytes.append(UnsafeRawBufferPointer(rebasing: scratch.bytes[begin..<end]))
                if !delivery.delimiter.isEmpty { part.bytes.append(delivery.delimiter) }
                begin = end
                if part.size >= delivery.bufferBytes { try finish(part) } else if part.bytes.count >= Self.flushBytes { try part.flush(metrics) }
            }
            uses += 1
            parts[group]?.lastUse = uses
            parts[group]?.touch(now)
        }
    }

    private func arrival(_ batch: Batch, _ row: Int, _ delivery: FilesystemDelivery) -> Int64? {
        guard let column = delivery.arrivalColumn, case .int(let time) = batch.columns[column].value(at: row) else { return nil }
        return time
    }

    private func startDelivery(_ group: String, _ delivery: FilesystemDelivery, oldest: Int64, _ now: Int64) throws -> PartFile {
        try makeRoom()
        let keys = FilesystemSink.values(group).mapValues { $0 == sink.defaultPartition ? "" : $0 }
        let (folder, name) = delivery.name(oldest: oldest, keys: keys, host: sink.host)
        let aside = FilesystemDelivery.asidePrefix + tag, path = sink.directory + "/" + aside
        try sink.host.createDirectories(path)
        var note = PartNote(folder: folder, name: name, length: 0, created: now, lastWrite: now)
        note.aside = "\(aside)/\(namePrefix)\(count)"
        if !group.isEmpty { note.key = group }
        note.base = sink.directory
        let part = try PartFile(note, in: sink.directory, host: sink.host)
        count += 1
        unsynced.insert(path)
        parts[group] = part
        return part
    }

    // MARK: Files

    private func makeRoom() throws {
        if parts.count >= Self.openMax, let oldest = parts.values.min(by: { $0.lastUse < $1.lastUse }) { try finish(oldest) }
    }

    private func start(_ folder: String, _ now: Int64) throws -> PartFile {
        try makeRoom()
        if case .partitionTime(let time) = sink.partitionCommit?.trigger {
            // Found out now, as the commit of a checkpoint must not fail for a value.
            _ = try time.milliseconds(FilesystemSink.values(folder), folder: folder)
        }
        let note = PartNote(folder: folder, name: "\(namePrefix)\(count).\(sink.extension_)", length: 0, created: now, lastWrite: now)
        try sink.host.createDirectories(note.folderPath(in: sink.directory))
        let part = try PartFile(note, in: sink.directory, host: sink.host)
        count += 1
        unsynced.insert(part.folder)
        if knownFolders.insert(folder).inserted { noteParents(of: part.folder) }
        encoder?.startFile(into: &part.bytes)
        part.encoder = try sink.makeFileEncoder?()
        parts[folder] = part
        return part
    }

    /// The names of folders have to be durable too, also of those that another writer made a moment ago.
    private func noteParents(of folder: String) {
        var folder = folder
        while folder != sink.directory {
            folder = StreamCore.Host.parent(of: folder)
            unsynced.insert(folder)
        }
        unsynced.insert(StreamCore.Host.parent(of: sink.directory))
    }

    private func finish(_ part: PartFile) throws {
        if let encoder = part.encoder {
            part.encoder = nil
            try encoder.finish { piece in
                part.bytes.append(piece)
                if part.bytes.count >= Self.flushBytes { try part.flush(metrics) }
            }
        }
        try part.flush(metrics)
        try part.end()
        if sink.delivery?.compression == .gzip {
            try part.compress()
            unsynced.insert(StreamCore.Host.parent(of: part.note.hiddenPath(in: sink.directory)))
        }
        finished.append(part)
        if parts[part.note.group] === part { parts[part.note.group] = nil }
    }

    private func roll(_ now: Int64) throws {
        lastCheck = now
        for part in inOrder() where part.isDue(now, sink.rolling) { try finish(part) }
    }

    private func inOrder() -> [PartFile] { parts.values.sorted { ($0.note.folder, $0.note.name) < ($1.note.folder, $1.note.name) } }

    // MARK: Checkpoints

    func finish() throws { isFinishing = true }

    /// Ends part files, on disk but hidden; or only makes sure that what they hold so far is on disk.
    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        try roll(sink.host.now())
        for part in inOrder() {
            if sink.rolling.onCheckpoint || isFinishing {
                try finish(part)
            } else {
                try part.flush(metrics)
                try part.sync()
            }
        }
        for folder in unsynced.sorted() { try sink.host.syncDirectory(folder) }
        unsynced = []
        growing = inOrder().map(\.note)
        parts.values.forEach { $0.enterCheckpoint() }
        var left = finished.map { FileCommittable.finished($0.note) } + growing.map { .growing($0) }
        if sink.partitionCommit != nil { left.append(.progress(subtask: subtask, watermark: watermark.milliseconds)) }
        let committables = try left.map { try $0.committable }
        finished = []
        return committables
    }

    func state() throws -> [UInt8]? {
        guard !growing.isEmpty else { return nil }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return Array(try encoder.encode(growing))
    }

    func abort() {
        for part in Array(parts.values) + finished { part.abandon() }
        parts = [:]
        finished = []
    }

    func close() throws { abort() }
}
