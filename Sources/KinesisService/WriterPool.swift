import AWSProtocol
import ShardLog
import StreamCore
import Synchronization

/// One writer for each stream that is written to, shared by all requests, so that their appends share flushes.
final class WriterPool: Sendable {
    private struct Entry {
        var writer: StreamWriter
        var created: Int64
        var users = 0
        var lastUsed: UInt64
    }

    private let log: ShardLog
    private let flush: FlushPolicy
    private let countMax: Int
    private let idleNanoseconds: UInt64
    private let open = Mutex<[String: Entry]>([:])

    init(_ log: ShardLog, _ options: KinesisServiceOptions) {
        self.log = log
        flush = options.flush
        countMax = max(1, options.writersMax)
        idleNanoseconds = UInt64(max(1, options.writerIdleSeconds)) * 1_000_000_000
    }

    func append(_ batch: RecordBatch, to stream: StreamInfo, _ request: AWSRequest) throws -> AppendResult {
        do {
            return try appendOnce(batch, to: stream, request)
        } catch let error as StreamError where error.code == .validate {
            // Nothing is written then. The writer may know older settings than the request was checked against.
            return try appendOnce(batch, to: stream, request)
        }
    }

    private func appendOnce(_ batch: RecordBatch, to stream: StreamInfo, _ request: AWSRequest) throws -> AppendResult {
        let writer = try take(stream)
        do {
            // SDKs name each call, and say when they send it again because no answer came: what is stored is not stored twice.
            let result = try request.invocation.map { try writer.append(batch, request: RequestID($0), isRepeated: request.attempt > 1) }
                ?? writer.append(batch)
            give(back: writer, stream.name)
            return result
        } catch {
            // What is on disk is unknown now: the next request opens a writer that looks.
            open.withLock { open in
                if open[stream.name]?.writer === writer { open[stream.name] = nil }
            }
            throw error
        }
    }

    private func take(_ stream: StreamInfo) throws -> StreamWriter {
        if let writer = reuse(stream) { return writer }
        let opened = try log.writer(stream.name, flush: flush)
        var idle: [StreamWriter] = []
        let writer = open.withLock { open in
            let now = Clock.monotonicNanoseconds()
            if let entry = open[stream.name], entry.created == stream.created {
                open[stream.name]?.users += 1
                idle.append(opened)
                return entry.writer
            }
            if let old = open.updateValue(Entry(writer: opened, created: stream.created, users: 1, lastUsed: now), forKey: stream.name) {
                if old.users == 0 { idle.append(old.writer) }
            }
            let unused = open.filter { $0.value.users == 0 }.sorted { $0.value.lastUsed < $1.value.lastUsed }
            var surplus = open.count - countMax
            for (name, entry) in unused where surplus > 0 || now - entry.lastUsed > idleNanoseconds {
                open[name] = nil
                idle.append(entry.writer)
                surplus -= 1
            }
            return opened
        }
        // Nothing is lost by a failure here: what was acknowledged is on disk by the policy's own rules.
        for writer in idle { try? writer.close() }
        return writer
    }

    private func reuse(_ stream: StreamInfo) -> StreamWriter? {
        open.withLock { open in
            guard let entry = open[stream.name], entry.created == stream.created else { return nil }
            open[stream.name]?.users += 1
            return entry.writer
        }
    }

    private func give(back writer: StreamWriter, _ stream: String) {
        open.withLock { open in
            guard open[stream]?.writer === writer else { return }
            open[stream]?.users -= 1
            open[stream]?.lastUsed = Clock.monotonicNanoseconds()
        }
    }

    /// Lets go of a stream's writer, for example before the stream is deleted.
    func forget(_ stream: String) {
        open.withLock { _ = $0.removeValue(forKey: stream) }
    }

    func closeAll() {
        let all = open.withLock { open in
            defer { open = [:] }
            return open.values.map(\.writer)
        }
        for writer in all { try? writer.close() }
    }
}
