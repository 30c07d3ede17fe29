import AWSProtocol
import StreamCore

/// Reads a shard with GetRecords, again and again.
struct PollingReading {
    private let reading: ShardReading

    init(_ reading: ShardReading) { self.reading = reading }

    func run() {
        let options = reading.connection.options
        var iterator: String?
        while !reading.buffer.isClosed {
            do {
                let from = try iterator ?? newIterator()
                iterator = from
                let asked = reading.connection.now
                let answer = try reading.connection.call("GetRecords", ["ShardIterator": .string(from), "Limit": .integer(Int64(options.recordsMax))])
                let records = answer["Records"]?.list ?? [], behind = answer["MillisBehindLatest"]?.integer
                guard try reading.take(records, behind: behind, asked: asked) else { return }
                guard let next = answer["NextShardIterator"]?.string else {
                    reading.finish()
                    return
                }
                iterator = next
                // The cloud allows five requests a second; another endpoint is asked at once while there is more.
                let isBehind = !options.isCloud && (behind ?? 0) > 0 && !records.isEmpty
                guard isBehind || reading.buffer.sleep(records.isEmpty ? options.idleInterval : options.interval) else { return }
            } catch let failure as KinesisFailure where failure.kind == .expiredIterator && iterator != nil {
                iterator = nil
                reading.metrics.addToGauge("renewed-iterators", 1)
            } catch {
                guard reading.recover(error, "reading", options.readBackoff) else { return }
            }
        }
    }

    private func newIterator() throws -> String {
        var members = reading.connection.streamMembers
        members["ShardId"] = .string(reading.shard)
        switch reading.position {
        case .trimHorizon: members["ShardIteratorType"] = "TRIM_HORIZON"
        case .atTimestamp(let time):
            members["ShardIteratorType"] = "AT_TIMESTAMP"
            members["Timestamp"] = .double(Double(time) / 1_000)
        case .after(let number):
            members["ShardIteratorType"] = "AFTER_SEQUENCE_NUMBER"
            members["StartingSequenceNumber"] = .string(number)
        }
        let answer = try reading.connection.call("GetShardIterator", .map(members))
        guard let iterator = answer["ShardIterator"]?.string else { throw KinesisFailure("the answer to GetShardIterator has no iterator") }
        return iterator
    }
}
