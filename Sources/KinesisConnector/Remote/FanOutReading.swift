import AWSProtocol
import StreamCore

/// Reads a shard with SubscribeToShard, whose events come for five minutes at most; then, and after an error, it subscribes again
/// from where the last event said.
struct FanOutReading {
    private let reading: ShardReading
    private let consumer: String
    private static let pause = 0.05

    init(_ reading: ShardReading, consumer: String) { (self.reading, self.consumer) = (reading, consumer) }

    func run() {
        let backoff = reading.connection.options.subscribeBackoff
        var from = reading.position, isFirst = true
        while !reading.buffer.isClosed {
            do {
                if !isFirst { reading.metrics.addToGauge("renewed-subscriptions", 1) }
                isFirst = false
                guard try follow(&from) else { return }
                // One that ends at once is not asked for again and again.
                guard reading.buffer.sleep(Self.pause) else { return }
            } catch {
                guard reading.recover(error, "subscribing to", backoff) else { return }
            }
        }
    }

    /// Takes the events of one subscription. Returns false when the reading is over.
    private func follow(_ from: inout KinesisPosition) throws -> Bool {
        let asked = reading.connection.now
        let subscription = try reading.connection.subscribe([
            "ConsumerARN": .string(consumer), "ShardId": .string(reading.shard), "StartingPosition": Self.start(from),
        ])
        defer { subscription.cancel() }
        while true {
            if reading.buffer.isClosed { return false }
            guard let message = try subscription.next(seconds: 0.5) else { continue }
            switch message {
            case .ended: return true
            case .message(let message): guard try take(message, &from, asked) else { return false }
            }
        }
    }

    private func take(_ message: EventStreamMessage, _ from: inout KinesisPosition, _ asked: Int64) throws -> Bool {
        let kind = message[":message-type"] ?? "event"
        guard kind == "event" else {
            let body = (try? AWSJSON.parse(message.payload)) ?? .null
            let name = message[":exception-type"] ?? message[":error-code"] ?? "InternalFailure"
            throw KinesisFailure(type: name, body["message"]?.string ?? body["Message"]?.string ?? message[":error-message"] ?? "")
        }
        guard message[":event-type"] == "SubscribeToShardEvent" else { return true }
        let event = try AWSJSON.parse(message.payload)
        let next = event["ContinuationSequenceNumber"]?.string
        guard try reading.take(event["Records"]?.list ?? [], behind: event["MillisBehindLatest"]?.integer, asked: asked) else { return false }
        // Before the first record the number stands for a place in the shard that services choose in their own ways; the start is as good.
        if let next, reading.position.hasBegun { from = .after(next) }
        if next == nil || !(event["ChildShards"]?.list ?? []).isEmpty { return reading.finish() }
        return true
    }

    private static func start(_ position: KinesisPosition) -> AWSValue {
        switch position {
        case .trimHorizon: ["Type": "TRIM_HORIZON"]
        case .atTimestamp(let time): ["Type": "AT_TIMESTAMP", "Timestamp": .double(Double(time) / 1_000)]
        case .after(let number): ["Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": .string(number)]
        }
    }
}
