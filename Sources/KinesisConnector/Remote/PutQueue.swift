import AWSProtocol
import Foundation
import StreamCore

/// Records on their way to the service: bounded, sent by some threads, each with one request in flight.
///
/// The records of a key all go through the same lane, so that a later request never overtakes an earlier one. What a request's answer
/// refuses is sent again before anything else of the lane. In Flink's connector, too, the refused records go back to the front of its
/// buffer, and those of the same request that were accepted are before them: within a request, order per key is kept only as long as
/// nothing is refused. With `sink.order-per-key` a request has one record of a key at most, and order is always kept.
final class PutQueue: @unchecked Sendable {  // SAFETY: all mutable state is guarded by `condition`
    private struct Lane {
        var entries: [PutEntry] = []
        /// The first of `entries` that has not been taken.
        var start = 0
        var bytes = 0
        /// When the oldest came (monotonic nanoseconds).
        var since: UInt64 = 0
        var hasThread = false
        /// Everything that is there goes without waiting for more.
        var isHurried = false
        var count: Int { entries.count - start }
    }

    private let connection: EndpointConnection
    private let options: EndpointOptions.SinkOptions
    private let metrics: OperatorMetrics
    private let condition = NSCondition()
    private var lanes: [Lane]
    /// Records without a key go to one lane until it has a batch, then to the next.
    private var open = 0
    /// Records that are not accepted yet, those in flight included.
    private var outstanding = 0
    private var failure: StreamError?
    private var closed = false

    /// A request is at most 5 MiB of data and keys.
    private static let requestBytesMax = 5 << 20
    /// Nanoseconds after which a record that is refused again and again ends the job.
    private static let deliveryLimit: UInt64 = 300_000_000_000

    init(_ connection: EndpointConnection, _ metrics: OperatorMetrics) {
        self.connection = connection
        options = connection.options.sink
        self.metrics = metrics
        lanes = Array(repeating: Lane(), count: options.inFlightMax)
    }

    // MARK: The writer's side

    /// Takes records over. Waits while too many are on their way.
    func add(_ entries: [PutEntry]) throws {
        condition.lock()
        defer { condition.unlock() }
        for entry in entries {
            while failure == nil, outstanding >= options.bufferedMax {
                hurry()
                condition.wait()
            }
            if let failure { throw failure }
            outstanding += 1
            place(entry)
        }
        condition.broadcast()
    }

    private func place(_ entry: PutEntry) {
        let i: Int
        if let order = entry.order {
            i = Int(truncatingIfNeeded: order % UInt64(lanes.count))
        } else {
            if lanes[open].count >= options.batchMax { open = (open + 1) % lanes.count }
            i = open
        }
        if lanes[i].count == 0 { lanes[i].since = Clock.monotonicNanoseconds() }
        lanes[i].entries.append(entry)
        lanes[i].bytes += entry.size
        guard !lanes[i].hasThread else { return }
        lanes[i].hasThread = true
        let thread = Thread { [self] in run(i) }
        thread.name = "kinesis sink \(i)"
        thread.stackSize = 1 << 20
        thread.start()
    }

    private func hurry() {
        for i in lanes.indices where lanes[i].count > 0 { lanes[i].isHurried = true }
        condition.broadcast()
    }

    /// No more comes for now: what is there need not wait.
    func sendSoon() throws {
        condition.lock()
        defer { condition.unlock() }
        if let failure { throw failure }
        hurry()
    }

    /// Returns when all records have been accepted.
    func flush() throws {
        condition.lock()
        defer { condition.unlock() }
        while failure == nil, outstanding > 0, !closed {
            hurry()
            condition.wait()
        }
        if let failure { throw failure }
    }

    /// Drops what has not been sent, and ends the threads.
    func close() {
        condition.lock()
        closed = true
        condition.broadcast()
        condition.unlock()
    }

    // MARK: A lane's thread

    private func run(_ lane: Int) {
        while let batch = take(lane) {
            guard send(batch) else { return }
            condition.lock()
            outstanding -= batch.count
            condition.broadcast()
            condition.unlock()
        }
    }

    /// The next request's records, once there are enough of them or they have waited for long enough; nil at the end.
    private func take(_ i: Int) -> [PutEntry]? {
        condition.lock()
        defer { condition.unlock() }
        while true {
            if closed || failure != nil { return nil }
            let lane = lanes[i]
            if lane.count > 0 {
                let due = lane.since &+ UInt64(options.timeout * 1e9), now = Clock.monotonicNanoseconds()
                if lane.isHurried || lane.count >= options.batchMax || lane.bytes >= options.batchBytes || now >= due { return cut(&lanes[i]) }
                _ = condition.wait(until: Date(timeIntervalSinceNow: Double(due - now) / 1e9))
            } else {
                condition.wait()
            }
        }
    }

    private func cut(_ lane: inout Lane) -> [PutEntry] {
        var batch: [PutEntry] = [], left: [PutEntry] = [], keys: Set<UInt64> = [], bytes = 0, i = lane.start
        while i < lane.entries.count, batch.count < options.batchMax {
            let entry = lane.entries[i]
            if !batch.isEmpty, bytes + entry.size > min(Self.requestBytesMax, max(options.batchBytes, 1)) { break }
            i += 1
            if options.keepsOrder, let order = entry.order, !keys.insert(order).inserted {
                left.append(entry)
                // Looking further is of use while other keys are to be found.
                if left.count >= 4 * options.batchMax { break }
                continue
            }
            batch.append(entry)
            bytes += entry.size
        }
        if left.isEmpty {
            lane.start = i
            if lane.start == lane.entries.count { (lane.entries, lane.start) = ([], 0) }
            if lane.start > 10_000 {
                lane.entries.removeFirst(lane.start)
                lane.start = 0
            }
        } else {
            lane.entries.replaceSubrange(lane.start..<i, with: left)
        }
        lane.bytes -= bytes
        if lane.count == 0 { lane.isHurried = false }
        return batch
    }

    /// Sends until all records are accepted. Returns false when that is given up.
    private func send(_ batch: [PutEntry]) -> Bool {
        var pending = batch, failures = 0, warnsAt = 3
        var since: UInt64 = 0
        let doing = "writing to stream \(connection.options.stream)"
        while true {
            let trouble: KinesisFailure
            do {
                let answer = try connection.call("PutRecords", body(pending))
                let refused = try Self.refused(answer, of: pending)
                if refused.entries.isEmpty { return true }
                if refused.entries.count < pending.count { since = 0 }
                trouble = refused.reason!
                metrics.addToGauge(trouble.kind == .throttled ? "throttled-records" : "refused-records", Int64(refused.entries.count))
                pending = refused.entries
                guard !options.failsOnError else { return give(up: connection.error(trouble, doing)) }
            } catch let failure as KinesisFailure {
                guard failure.isRetryable, !options.failsOnError else { return give(up: connection.error(failure, doing)) }
                metrics.addToGauge(failure.kind == .throttled ? "throttled-requests" : "failed-requests", 1)
                trouble = failure
            } catch {
                return give(up: error as? StreamError ?? StreamError(.runtime, "\(doing): \(error)"))
            }
            failures += 1
            let now = Clock.monotonicNanoseconds()
            if since == 0 { since = now }
            if now - since > Self.deliveryLimit { return give(up: connection.error(trouble, doing + ", tried for five minutes,")) }
            if failures == warnsAt {
                warnsAt *= 10
                metrics.warn("\(connection.error(trouble, doing).problem); \(pending.count) records were tried \(failures) times and are tried again")
            }
            guard sleep(connection.options.readBackoff.seconds(after: failures)) else { return false }
        }
    }

    /// `{"Records":[...],"StreamName":"..."}`
    private func body(_ entries: [PutEntry]) -> [UInt8] {
        var body = Array(#"{"Records":["#.utf8)
        body.reserveCapacity(entries.reduce(200) { $0 + $1.json.count + 1 })
        for (i, entry) in entries.enumerated() {
            if i > 0 { body.append(UInt8(ascii: ",")) }
            body += entry.json
        }
        body.append(UInt8(ascii: "]"))
        for (name, value) in connection.streamMembers {
            body.append(UInt8(ascii: ","))
            AWSJSON.quote(name, to: &body)
            body.append(UInt8(ascii: ":"))
            AWSJSON.write(value, to: &body)
        }
        body.append(UInt8(ascii: "}"))
        return body
    }

    private static func refused(_ answer: AWSValue, of entries: [PutEntry]) throws -> (entries: [PutEntry], reason: KinesisFailure?) {
        if answer["FailedRecordCount"]?.integer == 0 { return ([], nil) }
        guard let results = answer["Records"]?.list, results.count == entries.count else { throw KinesisFailure("the answer to PutRecords does not have a result for each record") }
        var refused: [PutEntry] = [], reason: KinesisFailure?
        for (entry, result) in zip(entries, results) {
            guard let code = result["ErrorCode"]?.string else { continue }
            refused.append(entry)
            reason = reason ?? KinesisFailure(type: code, result["ErrorMessage"]?.string ?? "")
        }
        return (refused, reason)
    }

    private func give(up error: StreamError) -> Bool {
        condition.lock()
        failure = failure ?? error
        condition.broadcast()
        condition.unlock()
        return false
    }

    private func sleep(_ seconds: Double) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        let end = Date(timeIntervalSinceNow: seconds)
        while !closed, failure == nil, condition.wait(until: end) {}
        return !closed && failure == nil
    }
}
