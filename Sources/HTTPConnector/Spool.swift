import Dispatch
import ShardLog
import StreamCore
import Synchronization

/// Keeps bodies between their acknowledgement and the checkpoint that covers them: a stream of one shard.
final class Spool: Sendable {
    /// Where reading goes on: behind a record of the log, or inside of it.
    struct Position: Hashable {
        /// nil = the oldest record there is.
        var sequence: SequenceNumber?
        /// Records of that entry that are done; nil = all.
        var done: Int?

        init(sequence: SequenceNumber?, done: Int? = nil) { (self.sequence, self.done) = (sequence, done) }

        init(parsing text: String) throws {
            guard !text.isEmpty else { return }
            let parts = text.split(separator: "#", maxSplits: 1)
            sequence = try SequenceNumber(parsing: String(parts[0]))
            if parts.count == 2 {
                guard let number = Int(parts[1]) else { throw StreamError(.corrupt, "\"\(text)\" is no position of a spool") }
                done = number
            }
        }

        var text: String { (sequence?.description ?? "") + (done.map { "#\($0)" } ?? "") }
    }

    private struct State {
        /// Records of the log before this one are on disk.
        var flushedUpTo: UInt64 = 0
        /// What is not read yet.
        var backlogBytes = 0, backlogRecords = 0
        /// Not removed yet.
        var storedBytes = 0
        var failure: StreamError?
    }

    let name: String
    private let log: ShardLog
    private let writer: StreamWriter
    private let host: Host
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "spool")
    private static let consumedFile = "consumed"
    /// Small, as what is done with goes segment by segment.
    private static let segmentBytes = 16 << 20

    init(_ options: ReceiverOptions, _ host: Host) throws {
        name = options.spool
        self.host = host
        log = try ShardLog(directory: options.logDirectory, host: host)
        if !log.exists(name) {
            var settings = StreamSettings()
            settings.segmentBytes = Self.segmentBytes
            settings.recordBytesMax = StreamSettings.recordBytesLimit
            do {
                try log.createStream(name, shards: 1, settings: settings)
            } catch let error as StreamError where error.code == .conflict {
                // Another run was first.
            }
        }
        writer = try log.writer(name, flush: .everyAppend)
        // What another process wrote counts as flushed from here on.
        try writer.flush()
        let end = try log.reader(name, shard: 0, position: .latest).nextIndex
        let bytes = try log.describe(name).shards[0].bytes
        state.withLock { ($0.flushedUpTo, $0.storedBytes) = (end, bytes) }
    }

    func close() {
        queue.sync {}
        try? writer.close()
    }

    // MARK: Writing

    enum Appended {
        case done, isKnown
    }

    /// Appends entries, which are on disk when this returns; all of them or none.
    func append(_ entries: [[UInt8]], records: Int, bytes: Int, producer: ProducerSequence?) throws -> Appended {
        var batch = RecordBatch()
        for entry in entries { entry.withUnsafeBytes { data in "spool".utf8.withContiguousStorageIfAvailable { batch.append(data: data, partitionKey: UnsafeRawBufferPointer($0)) } } }
        do {
            let result = try writer.append(batch, producer: producer)
            guard let last = result[result.count - 1].sequence else { return .isKnown }
            state.withLock {
                $0.flushedUpTo = max($0.flushedUpTo, last.index + 1)
                $0.backlogBytes += bytes
                $0.backlogRecords += records
                $0.storedBytes += bytes
            }
            return .done
        } catch let error as StreamError {
            // Nobody knows what is on disk after a failed flush: the job starts again and looks.
            if !ShardLog.isDiskFull(error) { state.withLock { $0.failure = $0.failure ?? error } }
            throw error
        }
    }

    // MARK: Reading

    var flushedUpTo: UInt64 { get throws {
        let (index, failure) = state.withLock { ($0.flushedUpTo, $0.failure) }
        if let failure { throw failure }
        return index
    } }

    var backlog: (bytes: Int, records: Int, stored: Int) { state.withLock { ($0.backlogBytes, $0.backlogRecords, $0.storedBytes) } }

    func reader(from position: Position) throws -> ShardReader {
        guard let sequence = position.sequence else { return try log.reader(name, shard: 0, position: .trimHorizon) }
        return try log.reader(name, shard: 0, position: position.done == nil ? .after(sequence) : .at(sequence))
    }

    /// Counts what stands behind a position as backlog.
    func measureBacklog(from position: Position) throws {
        let reader = try reader(from: position)
        var records = 0, bytes = 0
        while let chunk = try reader.read() {
            for i in 0..<chunk.count {
                let start = Int(chunk.offsets[4 * i]), end = Int(chunk.offsets[4 * i + 1]), size = try SpoolEntry.size(chunk.buffer, start..<end)
                records += size.records
                bytes += size.bytes
            }
        }
        state.withLock { ($0.backlogRecords, $0.backlogBytes) = (records, bytes) }
    }

    func handedOut(records: Int, bytes: Int) {
        state.withLock {
            $0.backlogRecords = max(0, $0.backlogRecords - records)
            $0.backlogBytes = max(0, $0.backlogBytes - bytes)
        }
    }

    // MARK: Removing

    private static func consumedPath(_ log: ShardLog, _ name: String) -> String { log.directory + "/streams/\(name)/\(consumedFile)" }

    /// Where a job starts that has no checkpoint: behind what the last completed one covered, so that nothing comes twice.
    static func start(_ options: ReceiverOptions, _ host: Host) throws -> Position {
        let log = try ShardLog(directory: options.logDirectory, host: host), path = consumedPath(log, options.spool)
        guard log.exists(options.spool), Host.exists(path) else { return Position(sequence: nil) }
        return try Position(parsing: String(decoding: try Host.read(path), as: UTF8.self))
    }

    /// A checkpoint covers everything before a position: it is not needed any more. Returns at once.
    func completed(_ position: Position, warn: @escaping @Sendable (String) -> Void) {
        guard let sequence = position.sequence else { return }
        let text = position.text, before = position.done == nil ? sequence.index + 1 : sequence.index
        queue.async { [self] in
            do {
                try host.replaceFile(Self.consumedPath(log, name), Array(text.utf8))
                try writer.trim(shard: 0, before: before)
                let stored = try log.describe(name).shards[0].bytes
                state.withLock { $0.storedBytes = stored }
            } catch {
                warn("the spool \(name) keeps what is done with: \(error)")
            }
        }
    }
}
