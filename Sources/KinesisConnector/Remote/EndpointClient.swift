import AWSProtocol
import Foundation
import StreamCore
import Synchronization

/// Reads a stream behind the Kinesis API.
final class EndpointClient: KinesisClient {
    private let options: KinesisOptions
    private let endpoint: EndpointOptions
    private let connection: EndpointConnection
    private let state = Mutex(State())

    private struct State {
        var isOpen = false
        var consumerARN: String?
        /// Where a bounded read ends: milliseconds since 1970-01-01 by the endpoint's clock.
        var end: Int64?
    }

    init(_ options: KinesisOptions, _ endpoint: EndpointOptions, table: String) {
        (self.options, self.endpoint) = (options, endpoint)
        connection = EndpointConnection(endpoint, table: table)
    }

    var listsCheaply: Bool { false }

    func open() throws {
        if state.withLock({ $0.isOpen }) { return }
        let arn = try connection.openStream(creating: options.createShards)
        var consumer: String?
        if endpoint.reader == .fanOut {
            consumer = try FanOutConsumer(connection, stream: arn).arn()
        }
        state.withLock { state in
            state.isOpen = true
            state.consumerARN = consumer
            if options.isBounded, state.end == nil { state.end = connection.now }
        }
    }

    func runEnded() {
        let consumer = state.withLock { state in
            defer { state = State() }
            return state.consumerARN
        }
        guard let consumer, endpoint.lifecycle == .job else { return }
        // A consumer that stays costs money; that it cannot be removed is not the job's failure.
        _ = try? connection.ask("DeregisterStreamConsumer", ["ConsumerARN": .string(consumer)], seconds: 3)
    }

    func shards() throws -> [KinesisShard] {
        var all: [KinesisShard] = [], token: String?
        repeat {
            let answer: AWSValue
            do {
                // A token stands for the stream too.
                answer = try connection.ask("ListShards", .map(token.map { ["NextToken": .string($0)] } ?? connection.streamMembers), seconds: 5)
            } catch let failure as KinesisFailure { throw connection.error(failure, "listing the shards of stream \(options.stream)") }
            for shard in answer["Shards"]?.list ?? [] {
                guard let id = shard["ShardId"]?.string else { continue }
                all.append(KinesisShard(id: id, parents: [shard["ParentShardId"]?.string, shard["AdjacentParentShardId"]?.string].compactMap { $0 },
                                        isOpen: shard["SequenceNumberRange"]?["EndingSequenceNumber"] == nil))
            }
            token = answer["NextToken"]?.string
        } while token != nil
        return all.sorted { $0.id < $1.id }
    }

    /// A time, as in Flink's connector: a LATEST iterator says nothing that could be kept in a checkpoint.
    func latest(of shard: KinesisShard) throws -> KinesisPosition { .atTimestamp(connection.now) }

    func feed(_ shard: String, from position: KinesisPosition, isBounded: Bool, metrics: OperatorMetrics) throws -> any ShardFeed {
        let (consumer, end) = state.withLock { ($0.consumerARN, $0.end) }
        let reading = ShardReading(connection: connection, shard: shard, position: position, end: isBounded ? end ?? connection.now : nil, metrics: metrics)
        if let consumer { return RemoteFeed(reading) { FanOutReading(reading, consumer: consumer).run() } }
        return RemoteFeed(reading) { PollingReading(reading).run() }
    }
}

/// The consumer of enhanced fan-out: registers it, or waits until it is there.
struct FanOutConsumer {
    private let connection: EndpointConnection
    private let stream: String

    init(_ connection: EndpointConnection, stream: String) { (self.connection, self.stream) = (connection, stream) }

    /// - Returns: the ARN of the consumer, which is ready.
    func arn() throws -> String {
        let options = connection.options
        if let arn = options.consumerARN { return arn }
        let name = options.consumerName!, doing = "registering consumer \(name) of stream \(options.stream)"
        let members: AWSValue = ["StreamARN": .string(stream), "ConsumerName": .string(name)]
        let end = Clock.monotonicNanoseconds() + 120_000_000_000
        while true {
            do {
                let consumer = try connection.ask("DescribeStreamConsumer", members)["ConsumerDescription"]
                if consumer?["ConsumerStatus"]?.string == "ACTIVE", let arn = consumer?["ConsumerARN"]?.string { return arn }
            } catch let failure as KinesisFailure {
                guard failure.kind == .missing else { throw connection.error(failure, doing) }
                guard options.lifecycle != .external else {
                    throw StreamError(.validate, "table \(connection.table): stream \(options.stream) has no consumer \(name)",
                                      fix: "register it, or let the job do it with 'source.efo.lifecycle' = 'JOB_MANAGED'")
                }
                do { _ = try connection.ask("RegisterStreamConsumer", members) } catch let failure as KinesisFailure {
                    // It is being made or removed by another job.
                    guard failure.type == "ResourceInUseException" else { throw connection.error(failure, doing) }
                }
            }
            guard Clock.monotonicNanoseconds() < end else {
                throw StreamError(.io, "table \(connection.table): consumer \(name) of stream \(options.stream) is not ready after two minutes", fix: "look at its status with describe-stream-consumer")
            }
            Thread.sleep(forTimeInterval: 0.1)
        }
    }
}
