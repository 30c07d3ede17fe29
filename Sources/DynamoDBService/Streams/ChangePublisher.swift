import Dispatch
import Foundation
import GRDB
import ShardLog
import StreamCore
import Synchronization

/// Carries changes to the Kinesis streams that tables name as destinations, on a thread of its own that commits wake.
///
/// Which changes go out next is written down before they do, and each destination is a producer of the shard log: after a crash the
/// same changes are appended again under the same number, and shards that have them already leave them out.
final class ChangePublisher: Sendable {
    private let pool: DatabasePool
    let log: ShardLog?
    private let host: StreamCore.Host
    private let salt: Int64
    private let signal = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    private let state = Mutex(State())

    private struct State {
        var isWoken = false
        var isClosed = false
        /// By destination: why it gets nothing at the moment.
        var problems: [Int64: String] = [:]
    }

    private static let recordsMax = 500, bytesMax = 4 << 20
    private static let retryMilliseconds = 500...30_000
    private static let trimMilliseconds: Int64 = 60_000

    init(pool: DatabasePool, log: ShardLog?, host: StreamCore.Host, salt: Int64) {
        (self.pool, self.log, self.host, self.salt) = (pool, log, host, salt)
        Thread.detachNewThread { [self] in run() }
    }

    func wake() {
        let isNew = state.withLock { state in
            defer { state.isWoken = true }
            return !state.isWoken
        }
        if isNew { signal.signal() }
    }

    func problem(_ destination: Int64) -> String? { state.withLock { $0.problems[destination] } }

    /// Returns when the thread has ended; what is left goes out when the file is opened again.
    func close() {
        let wasClosed = state.withLock { state in
            defer { state.isClosed = true }
            return state.isClosed
        }
        guard !wasClosed else { return }
        signal.signal()
        ended.wait()
    }

    private var isClosed: Bool { state.withLock(\.isClosed) }

    /// A stream that is open for appending.
    private struct Output {
        var writer: StreamWriter
        var recordBytesMax: Int
    }

    private func run() {
        var outputs: [String: Output] = [:]
        var retry = Self.retryMilliseconds.lowerBound
        var trimmed: Int64 = 0
        while !isClosed {
            state.withLock { $0.isWoken = false }
            let isWhole = publishAll(&outputs)
            retry = isWhole ? Self.retryMilliseconds.lowerBound : min(retry * 2, Self.retryMilliseconds.upperBound)
            if host.now() - trimmed >= Self.trimMilliseconds {
                trimmed = host.now()
                // What cannot be trimmed now can be in a minute.
                try? ChangeLog.trim(pool, now: trimmed)
            }
            if isClosed { break }
            _ = signal.wait(timeout: .now() + .milliseconds(isWhole ? Int(Self.trimMilliseconds) : retry))
        }
        for output in outputs.values { try? output.writer.close() }
        ended.signal()
    }

    /// - Returns: false when a destination could not be given what it has to get.
    private func publishAll(_ outputs: inout [String: Output]) -> Bool {
        var isWhole = true
        // The file may be out of reach for a moment; then this is tried again.
        guard let all = try? pool.read({ try Destination.fetch($0, sql: "WHERE status IN ('ACTIVE', 'DISABLING')") }) else { return false }
        for destination in all where !isClosed {
            do {
                try publish(destination, &outputs)
                state.withLock { $0.problems[destination.id] = nil }
            } catch {
                isWhole = false
                outputs[destination.streamName] = nil
                state.withLock { $0.problems[destination.id] = "\(error)" }
            }
        }
        return isWhole
    }

    private func output(_ name: String, _ outputs: inout [String: Output]) throws -> Output {
        if let output = outputs[name] { return output }
        guard let log, log.exists(name) else {
            throw StreamError(.io, "the Kinesis stream \(name) does not exist", fix: "create it, or disable the destination")
        }
        let output = Output(writer: try log.writer(name), recordBytesMax: try log.describe(name).settings.recordBytesMax)
        outputs[name] = output
        return output
    }

    private func publish(_ given: Destination, _ outputs: inout [String: Output]) throws {
        var sent: Int64?
        while !isClosed {
            guard let (now, changes) = try next(given.id, sent: sent) else { return }
            var destination = now
            guard let last = changes.last else { return try finish(destination, isSaved: sent == nil && destination.pending == nil) }
            let output: Output
            do {
                output = try self.output(destination.streamName, &outputs)
            } catch {
                // Nobody waits for a destination that is going away to come back.
                guard destination.status == "DISABLING" else { throw error }
                return try end(destination)
            }
            let end = destination.pending ?? last.sequence
            let batch = batch(changes, &destination, limit: output.recordBytesMax)
            // Also says that what went out before is on the disk.
            if destination.pending == nil { try save(destination, pending: end) }
            try output.writer.append(batch, producer: ProducerSequence(producer: UInt64(destination.producer), sequence: UInt64(end)))
            sent = end
            // That is written down with the next changes, or when there are none.
        }
    }

    /// The destination as it is now and the changes that go out next: those that were written down, or what there is.
    ///
    /// - Parameter sent: up to where changes have gone out, if more than is written down.
    private func next(_ id: Int64, sent: Int64?) throws -> (Destination, [ChangeRecord])? {
        try pool.read { db in
            guard var destination = try Destination.fetch(db, sql: "WHERE id = ?", arguments: [id]).first else { return nil }
            if let sent {
                destination.position = sent
                destination.pending = nil
            }
            var all: [ChangeRecord] = []
            var bytes = 0
            let rows = try Row.fetchCursor(
                db, sql: """
                    SELECT \(ChangeRecord.columns), length(keys) + coalesce(length(old), 0) + coalesce(length(new), 0) FROM changes
                    WHERE table_id = ? AND sequence > ? AND sequence <= ? ORDER BY sequence
                    """,
                arguments: [destination.table, destination.position, destination.pending ?? destination.last ?? Int64.max])
            while let row = try rows.next() {
                all.append(try ChangeRecord(row))
                bytes += row[7] as Int
                if destination.pending == nil, all.count >= Self.recordsMax || bytes >= Self.bytesMax { break }
            }
            return (destination, all)
        }
    }

    private func batch(_ changes: [ChangeRecord], _ destination: inout Destination, limit: Int) -> RecordBatch {
        var batch = RecordBatch()
        for change in changes {
            let data = change.published(tableName: destination.tableName, region: destination.region,
                                        isMicroseconds: destination.isPrecise == true, salt: salt, table: destination.table)
            let record = Record(partitionKey: change.partitionKey, data: data)
            // The service does not deliver what Kinesis cannot take either.
            if data.count + record.partitionKey.utf8.count > limit { destination.leftOut += 1 } else { batch.append(record) }
        }
        return batch
    }

    private func save(_ destination: Destination, pending: Int64?) throws {
        try pool.write { db in
            try db.execute(sql: "UPDATE destinations SET position = ?, pending = ?, left_out = ? WHERE id = ?",
                           arguments: [destination.position, pending, destination.leftOut, destination.id])
            // Without a stream nobody reads them again.
            try db.execute(
                sql: """
                    DELETE FROM changes WHERE table_id = ?1 AND NOT EXISTS (SELECT 1 FROM change_streams WHERE table_id = ?1)
                    AND sequence <= (SELECT min(position) FROM destinations WHERE table_id = ?1 AND status <> 'DISABLED')
                    """, arguments: [destination.table])
        }
    }

    /// All there is has gone out.
    private func finish(_ destination: Destination, isSaved: Bool) throws {
        if destination.status == "DISABLING" { return try end(destination) }
        // What was written down may have been trimmed since.
        if let pending = destination.pending {
            var destination = destination
            destination.position = pending
            return try save(destination, pending: nil)
        }
        if !isSaved { try save(destination, pending: nil) }
    }

    private func end(_ destination: Destination) throws {
        try pool.write { db in
            try db.execute(sql: "DELETE FROM destinations WHERE id = ? AND is_table_deleted", arguments: [destination.id])
            try db.execute(sql: "UPDATE destinations SET status = 'DISABLED', position = ?, pending = NULL WHERE id = ?",
                           arguments: [destination.position, destination.id])
        }
    }
}
