import AWSProtocol
import Foundation
import StreamCore

/// What both ways of reading a remote shard share. Used by the thread that fetches.
final class ShardReading: @unchecked Sendable {  // SAFETY: `position` and the counters belong to the fetching thread; the rest does not change
    let connection: EndpointConnection
    let shard: String
    /// Bounded: milliseconds since 1970-01-01, behind which nothing is read.
    let end: Int64?
    let metrics: OperatorMetrics
    let buffer = FetchBuffer()
    /// Where the next request goes on.
    var position: KinesisPosition
    private var failures = 0
    private var warnsAt = 3

    init(connection: EndpointConnection, shard: String, position: KinesisPosition, end: Int64?, metrics: OperatorMetrics) {
        self.connection = connection
        self.shard = shard
        self.position = position
        self.end = end
        self.metrics = metrics
    }

    var stream: String { connection.options.stream }

    // MARK: Answers

    /// Hands records over. `asked` is when they were asked for.
    ///
    /// - Returns: false when the reading is over: nobody reads any more, or a bounded read is at its end.
    func take(_ records: [AWSValue], behind: Int?, asked: Int64) throws -> Bool {
        succeeded()
        if let behind { buffer.behind = Int64(behind) }
        if !records.isEmpty {
            let (chunk, reachesEnd) = try Self.chunk(records, end: end)
            if chunk.count > 0 {
                position = .after(chunk.numbers[chunk.count - 1])
                guard buffer.put(.chunk(chunk)) else { return false }
            }
            if reachesEnd { return finish() }
        }
        if let end, behind == 0, asked >= end { return finish() }
        return true
    }

    /// There is nothing behind what was handed over. Returns false, as the reading is over.
    @discardableResult
    func finish() -> Bool {
        _ = buffer.put(.finished)
        return false
    }

    /// Records as ranges of one buffer; those that came before `end` only.
    static func chunk(_ records: [AWSValue], end: Int64?) throws -> (chunk: ShardChunk.Remote, reachesEnd: Bool) {
        var bytes: [UInt8] = [], offsets: [UInt32] = [], numbers: [String] = [], times: [Int64] = []
        var reachesEnd = false
        for record in records {
            let time = Int64(((record["ApproximateArrivalTimestamp"]?.double ?? 0) * 1_000).rounded())
            if let end, time > end {
                reachesEnd = true
                break
            }
            guard let number = record["SequenceNumber"]?.string, var data = record["Data"]?.string else { throw KinesisFailure("an answer has a record without number or data") }
            let start = UInt32(bytes.count)
            guard data.withUTF8({ Base64.decode(UnsafeRawBufferPointer($0), to: &bytes) }) else { throw KinesisFailure("the data of record \(number) is not Base64") }
            let dataEnd = UInt32(bytes.count)
            bytes += (record["PartitionKey"]?.string ?? "").utf8
            offsets += [start, dataEnd, dataEnd, UInt32(bytes.count)]
            numbers.append(number)
            times.append(time)
        }
        let buffer = bytes.withUnsafeBytes { Buffer(copying: $0) }, table = offsets.withUnsafeBytes { Buffer(copying: $0) }
        return (ShardChunk.Remote(buffer: buffer, table: table, numbers: numbers, timestamps: times), reachesEnd)
    }

    // MARK: Failures

    private func succeeded() {
        guard failures > 0 else { return }
        if failures >= 3 { metrics.warn("stream \(stream), \(shard): reading goes on after \(failures) failures in a row") }
        failures = 0
        warnsAt = 3
    }

    /// Waits as long as the failure asks for.
    ///
    /// - Returns: whether to try again.
    func recover(_ error: any Error, _ doing: String, _ backoff: EndpointOptions.Backoff) -> Bool {
        let doing = "\(doing) \(shard) of stream \(stream)"
        guard let failure = error as? KinesisFailure else {
            _ = buffer.put(.failed(error as? StreamError ?? StreamError(.runtime, "\(doing): \(error)")))
            return false
        }
        failures += 1
        guard failure.isRetryable, failures <= connection.options.retriesMax ?? .max else {
            _ = buffer.put(.failed(connection.error(failure, doing)))
            return false
        }
        if failure.kind == .throttled { metrics.addToGauge("throttled-requests", 1) } else { metrics.addToGauge("failed-requests", 1) }
        if failures == warnsAt {
            warnsAt *= 10
            metrics.warn("\(connection.error(failure, doing).problem); this was tried \(failures) times and is tried again")
        }
        return buffer.sleep(backoff.seconds(after: failures))
    }
}

/// A remote shard as a subtask sees it: what a thread of its own has fetched.
final class RemoteFeed: ShardFeed {
    private let reading: ShardReading
    private var shown: Int64?
    private var isClosed = false

    init(_ reading: ShardReading, fetch: @escaping @Sendable () -> Void) {
        self.reading = reading
        let thread = Thread { fetch() }
        thread.name = "kinesis \(reading.shard)"
        thread.stackSize = 1 << 20
        thread.start()
    }

    deinit { close() }

    /// Set by the thread that also removes it.
    private func show(_ behind: Int64?) {
        guard behind != shown else { return }
        shown = behind
        reading.metrics.setGauge("millis-behind-latest.\(reading.shard)", behind)
    }

    func next() throws -> ShardFeedResult {
        show(reading.buffer.behind)
        return switch reading.buffer.take() {
        case nil: .nothing
        case .chunk(let chunk): .chunk(ShardChunk(chunk))
        case .finished: .finished
        case .failed(let error): throw error
        }
    }

    /// The service tells times, not numbers: gauge `millis-behind-latest`.
    func recordsBehind() throws -> Int64? { nil }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        reading.buffer.close()
        show(nil)
    }
}
