import AWSProtocol
import ShardLog
import StreamCore
import Synchronization

/// Which consumer reads which shard now: one subscription for each pair.
final class Subscriptions: Sendable {
    struct Key: Hashable, Sendable {
        var stream: String, consumer: String, shard: Int
    }

    /// One subscription; says when it is to end before its time.
    final class Subscription: Sendable {
        enum Ending: Sendable {
            /// A younger one has taken over, or consumer or stream are gone.
            case replaced, removed
            case stopping
        }

        let key: Key
        fileprivate let started = Clock.monotonicNanoseconds()
        private let end = Mutex<Ending?>(nil)

        fileprivate init(_ key: Key) { self.key = key }
        var ending: Ending? { end.withLock { $0 } }
        fileprivate func stop(_ ending: Ending) { end.withLock { $0 = $0 ?? ending } }
    }

    private let active = Mutex<[Key: Subscription]>([:])

    /// nil when there is one that is too young to be taken over.
    func begin(_ key: Key, takeoverSeconds: Int) -> Subscription? {
        active.withLock { active in
            if let other = active[key] {
                guard Clock.monotonicNanoseconds() - other.started >= UInt64(takeoverSeconds) * 1_000_000_000 else { return nil }
                other.stop(.replaced)
            }
            let subscription = Subscription(key)
            active[key] = subscription
            return subscription
        }
    }

    func finish(_ subscription: Subscription) {
        active.withLock { active in
            if active[subscription.key] === subscription { active[subscription.key] = nil }
        }
    }

    func end(stream: String, consumer: String? = nil) {
        active.withLock { active in
            for (key, subscription) in active where key.stream == stream && (consumer == nil || key.consumer == consumer) {
                subscription.stop(.removed)
                active[key] = nil
            }
        }
    }

    func endAll() {
        active.withLock { active in
            for subscription in active.values { subscription.stop(.stopping) }
            active = [:]
        }
    }
}

extension Call {
    func subscribeToShard() throws -> AWSResponse {
        let (stream, consumer) = try consumer()
        let shard = try shard(text("ShardId") ?? "", stream)
        let start = input["StartingPosition"] ?? .map([:])
        let position = try position(type: start["Type"]?.string ?? "", sequence: start["SequenceNumber"]?.string, time: start["Timestamp"],
                                    stream, shard, operation: "SubscribeToShard")
        try refuseDryRun()
        let tail = try ShardTail(log, stream, shard, position)
        let key = Subscriptions.Key(stream: stream.name, consumer: consumer.name, shard: shard.id)
        guard let subscription = service.subscriptions.begin(key, takeoverSeconds: options.takeoverSeconds) else {
            throw AWSError.inUse("Another active subscription exists for this consumer: \(account):\(stream.name):\(shard.name):\(consumer.name)")
        }
        let events = SubscriptionEvents(call: self, subscription: subscription, shard: shard, tail: tail)
        return .events { sender in
            defer { service.subscriptions.finish(subscription) }
            try events.send(to: sender)
        }
    }
}

/// What a subscription sends: records as they come, and now and then an event without any.
private struct SubscriptionEvents: @unchecked Sendable {  // SAFETY: handed to the one thread that sends the events
    let call: Call
    let subscription: Subscriptions.Subscription
    let shard: ShardInfo
    let tail: ShardTail

    /// Events stay small enough for clients that hold one at a time.
    private static let eventBytesMax = 1 << 20, eventRecordsMax = 10_000

    func send(to sender: any EventSender) throws {
        do {
            try sender.send(type: "initial-response", payload: .map([:]))
            try run(sender)
        } catch let error as StreamError {
            try sender.fail(AWSError("InternalFailureException", "\(error)", status: 500))
        }
    }

    private func run(_ sender: any EventSender) throws {
        let reader = tail.reader
        let deadline = Clock.monotonicNanoseconds() + UInt64(call.options.subscriptionSeconds) * 1_000_000_000
        var nextHeartbeat = Clock.monotonicNanoseconds()
        while !sender.isClosed, Clock.monotonicNanoseconds() < deadline {
            switch subscription.ending {
            case .replaced?:
                return try sender.fail(.inUse("Another subscription of consumer \(subscription.key.consumer) to shard \(shard.name) has taken over."))
            case .removed?:
                return try sender.fail(.notFound("Consumer \(subscription.key.consumer) or stream \(subscription.key.stream) was deleted."))
            case .stopping?: return
            case nil: break
            }
            if let chunk = try reader.read(maxBytes: Self.eventBytesMax) {
                try send(chunk, sender)
                nextHeartbeat = Clock.monotonicNanoseconds() + UInt64(call.options.heartbeatMilliseconds) * 1_000_000
            } else if reader.isFinished {
                return try sendEnd(sender)
            } else {
                let now = Clock.monotonicNanoseconds()
                if now >= nextHeartbeat {
                    try sender.send(type: "SubscribeToShardEvent", payload: event([], behind: 0))
                    nextHeartbeat = now + UInt64(call.options.heartbeatMilliseconds) * 1_000_000
                }
                // Woken by appends; looks up now and then for a client that has hung up.
                _ = try reader.waitForRecords(milliseconds: min(500, max(1, Int64((nextHeartbeat - min(now, nextHeartbeat)) / 1_000_000))))
            }
        }
    }

    private func event(_ records: [AWSValue], behind: Int64, last: SequenceNumber? = nil) -> AWSValue {
        ["Records": .list(records), "MillisBehindLatest": .integer(behind),
         "ContinuationSequenceNumber": .string("\(last ?? tail.reader.lastSequence ?? shard.starting)")]
    }

    private func send(_ chunk: RecordChunk, _ sender: any EventSender) throws {
        let isAtEnd = try tail.reader.recordsBehind() == 0
        let isEncrypted = tail.stream.settings.encryptionKey != nil
        var from = 0
        while from < chunk.count {
            var records: [AWSValue] = [], bytes = 0
            while from < chunk.count, records.count < Self.eventRecordsMax {
                let data = chunk.data(from)
                guard records.isEmpty || bytes + data.count <= Self.eventBytesMax else { break }
                let key = chunk.partitionKey(from)
                var record: [String: AWSValue] = [
                    "SequenceNumber": .string("\(chunk.sequence(from))"), "Data": .blob(Array(data)),
                    "ApproximateArrivalTimestamp": .timestamp(Double(chunk.timestamp(from)) / 1_000),
                ]
                if !key.isEmpty { record["PartitionKey"] = .string(key) }
                if isEncrypted { record["EncryptionType"] = "KMS" }
                records.append(.map(record))
                bytes += data.count
                from += 1
            }
            let behind = isAtEnd && from == chunk.count ? 0 : max(1, call.now - chunk.timestamp(from - 1))
            try sender.send(type: "SubscribeToShardEvent", payload: event(records, behind: behind, last: chunk.sequence(from - 1)))
        }
    }

    /// The last event of a closed shard says where to go on, and has no number to continue with.
    private func sendEnd(_ sender: any EventSender) throws {
        let children = try call.log.info(tail.stream.name).children(of: shard.id)
        try sender.send(type: "SubscribeToShardEvent", payload: [
            "Records": [], "MillisBehindLatest": 0,
            "ChildShards": .list(children.map { child in
                ["ShardId": .string(child.name), "ParentShards": .list(child.parents.map { .string(ShardName.text($0)) }),
                 "HashKeyRange": ["StartingHashKey": .string(String(child.range.first)), "EndingHashKey": .string(String(child.range.last))]]
            }),
        ])
    }
}
