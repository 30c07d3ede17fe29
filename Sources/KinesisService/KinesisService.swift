import AWSProtocol
import ShardLog
import StreamCore

/// How ``KinesisService`` behaves.
public struct KinesisServiceOptions: Sendable {
    /// Shown in ARNs and messages; nil takes the one of each request.
    public var accountID: String?
    /// Streams whose names begin so are somebody else's: they are neither shown nor made.
    public var hiddenPrefixes: [String] = []
    /// Refuses what is beyond the service's rates: 1 MiB and 1,000 records a second of writes to a shard, 2 MiB and 5 calls a second
    /// of reads from it, and its quotas of shards, on-demand streams and consumers. Sizes of records and requests hold always.
    public var enforcesLimits = false
    /// Shard iterators and page tokens are refused when they are older.
    public var iteratorSeconds = 300
    /// Records of a PutRecords request may have that many bytes of data and partition keys in all.
    public var requestBytesMax = 10 << 20
    /// How much a GetRecords answer holds at most, in bytes of data and partition keys.
    public var answerBytesMax = 10 << 20
    public var shardLimit = 6_000
    public var onDemandStreamLimit = 50
    public var consumerLimit = 20
    /// A subscription to a shard ends after that long; the client continues with another one.
    public var subscriptionSeconds = 300
    /// A subscription younger than that cannot be taken over by another one of the same consumer.
    public var takeoverSeconds = 5
    /// A subscription without records sends an event that often, so that the client learns how far it is behind.
    public var heartbeatMilliseconds: Int64 = 5_000
    /// When a record counts as put.
    public var flush = FlushPolicy.everyAppend
    /// Of streams that CreateStream makes; retention and record size come from the requests.
    public var settings = StreamSettings()
    /// Writers kept open, one for each stream that was written to of late.
    public var writersMax = 64
    public var writerIdleSeconds = 60

    public init() {}
}

/// Kinesis Data Streams over a shard log. What a stream has beside its shards (tags, consumers, mode, policies) is kept with it, so
/// that a server that starts again answers the same.
///
/// All regions see the same streams: the region of a request only shows in ARNs.
public final class KinesisService: AWSService {
    public let targetPrefix = "Kinesis_20131202"
    let log: ShardLog
    let options: KinesisServiceOptions
    let seal: TokenSeal
    let writers: WriterPool
    let rates: RateLimits?
    let subscriptions = Subscriptions()

    public init(log: ShardLog, options: KinesisServiceOptions = KinesisServiceOptions()) {
        self.log = log
        self.options = options
        seal = TokenSeal(log)
        writers = WriterPool(log, options)
        rates = options.enforcesLimits ? RateLimits() : nil
    }

    public func handle(_ request: AWSRequest) throws -> AWSResponse {
        do {
            if let answer = try PutRecords.answer(request, self) { return answer }
            guard let shape = KinesisShapes.inputs[request.operation] else { throw AWSError.unknownOperation() }
            let call = Call(self, request, try request.input(shape))
            do { return try call.answer() } catch let error as StreamError {
                // It may have been deleted while the request was at work.
                if let name = try? call.streamName(), !log.exists(name) { throw AWSError.noStream(name, call.account) }
                throw error
            }
        } catch let error as StreamError {
            throw Self.translate(error)
        }
    }

    public func close() {
        subscriptions.endAll()
        writers.closeAll()
    }

    /// What the log refuses, as the service would; a full disk is something to wait for, as too high a rate is. Damage and failing disks
    /// stay what they are: failures of the server.
    static func translate(_ error: StreamError) -> any Error {
        if ShardLog.isDiskFull(error) { return AWSError("ProvisionedThroughputExceededException", "\(error)") }
        return switch error.code {
        case .conflict: AWSError("ResourceInUseException", "\(error)")
        case .validate, .runtime: AWSError("InvalidArgumentException", "\(error)")
        default: error
        }
    }
}

/// One request on its way to an answer.
struct Call: Sendable {
    let service: KinesisService
    let request: AWSRequest
    let input: AWSValue

    init(_ service: KinesisService, _ request: AWSRequest, _ input: AWSValue) { (self.service, self.request, self.input) = (service, request, input) }

    var log: ShardLog { service.log }
    var options: KinesisServiceOptions { service.options }
    var account: String { service.options.accountID ?? request.accountID }
    var now: Int64 { service.log.host.now() }

    func text(_ name: String) -> String? { input[name]?.string }

    func isHidden(_ stream: String) -> Bool { options.hiddenPrefixes.contains { stream.hasPrefix($0) } }

    /// Names of the streams that the service shows, in alphabetical order.
    func streamNames() throws -> [String] { try log.listStreams().filter { !isHidden($0) } }

    func number(_ name: String) -> Int? { input[name]?.integer }

    func answer() throws -> AWSResponse {
        switch request.operation {
        case "PutRecords": try putRecords()
        case "PutRecord": try putRecord()
        case "GetRecords": try getRecords()
        case "GetShardIterator": try getShardIterator()
        case "SubscribeToShard": try subscribeToShard()
        case "CreateStream": try createStream()
        case "DeleteStream": try deleteStream()
        case "DescribeStream": try describeStream()
        case "DescribeStreamSummary": try describeStreamSummary()
        case "DescribeLimits": try describeLimits()
        case "DescribeAccountSettings": try describeAccountSettings()
        case "UpdateAccountSettings": try updateAccountSettings()
        case "ListStreams": try listStreams()
        case "ListShards": try listShards()
        case "SplitShard": try splitShard()
        case "MergeShards": try mergeShards()
        case "UpdateShardCount": try updateShardCount()
        case "IncreaseStreamRetentionPeriod": try changeRetention(grows: true)
        case "DecreaseStreamRetentionPeriod": try changeRetention(grows: false)
        case "UpdateStreamMode": try updateStreamMode()
        case "UpdateMaxRecordSize": try updateMaxRecordSize()
        case "UpdateStreamWarmThroughput": try updateStreamWarmThroughput()
        case "UpdateStreamRecordDistributionStrategy": try updateDistributionStrategy()
        case "EnableEnhancedMonitoring": try changeMonitoring(enables: true)
        case "DisableEnhancedMonitoring": try changeMonitoring(enables: false)
        case "StartStreamEncryption": try startStreamEncryption()
        case "StopStreamEncryption": try stopStreamEncryption()
        case "RegisterStreamConsumer": try registerStreamConsumer()
        case "DeregisterStreamConsumer": try deregisterStreamConsumer()
        case "DescribeStreamConsumer": try describeStreamConsumer()
        case "ListStreamConsumers": try listStreamConsumers()
        case "AddTagsToStream": try addTags(to: .stream(stream()))
        case "RemoveTagsFromStream": try removeTags(from: .stream(stream()))
        case "ListTagsForStream": try listTagsForStream()
        case "TagResource": try addTags(to: resource())
        case "UntagResource": try removeTags(from: resource())
        case "ListTagsForResource": try listTagsForResource()
        case "PutResourcePolicy": try putResourcePolicy()
        case "GetResourcePolicy": try getResourcePolicy()
        case "DeleteResourcePolicy": try deleteResourcePolicy()
        default: try refuse()
        }
    }

    /// Queues and channels hand records to receivers and to buckets of the cloud; here streams are read by shard only.
    private func refuse() throws -> AWSResponse {
        throw AWSError("AccessDeniedException",
                       "\(request.operation) is not offered by this endpoint: it has streams, but no queues and channels over them")
    }

    /// After everything was checked that can be without doing it.
    func refuseDryRun() throws {
        if input["DryRun"]?.bool == true {
            throw AWSError("DryRunOperationException", "Request would have succeeded, but DryRun flag is set.")
        }
    }
}
