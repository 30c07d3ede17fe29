import AWSProtocol
import ShardLog
import StreamCore

extension Call {
    private static let hour: Int64 = 3_600_000

    // MARK: Creating and deleting

    func createStream() throws -> AWSResponse {
        let name = text("StreamName") ?? ""
        let isOnDemand = input["StreamModeDetails"]?["StreamMode"]?.string == "ON_DEMAND"
        if isOnDemand, number("ShardCount") != nil { throw AWSError.validation("ShardCount cannot be set for a stream in ON_DEMAND mode.") }
        guard let shards = isOnDemand ? 4 : number("ShardCount") else {
            throw AWSError.validation("ShardCount must be set for a stream in PROVISIONED mode.")
        }
        if !isOnDemand, number("WarmThroughputMiBps") != nil {
            throw AWSError.validation("WarmThroughputMiBps can be set for a stream in ON_DEMAND mode only.")
        }
        guard !isHidden(name) else { throw AWSError.invalidArgument("Stream names that begin with \(options.hiddenPrefixes.joined(separator: " or ")) are taken.") }
        guard !log.exists(name) else { throw AWSError.inUse("Stream \(name) under account \(account) already exists.") }
        let limit = options.enforcesLimits ? options.shardLimit : min(options.shardLimit * 100, ShardLog.shardsMax)
        let count = options.enforcesLimits ? try openShards() : 0
        guard count + shards <= limit else {
            throw AWSError.limit("This request would exceed the shard limit for the account \(account) in \(request.region). "
                + "Current shard count for the account: \(count). Limit: \(limit). "
                + "Number of additional shards that would have resulted from this request: \(shards).")
        }
        if options.enforcesLimits, isOnDemand, try onDemandStreams() >= options.onDemandStreamLimit {
            throw AWSError.limit("The account \(account) has \(options.onDemandStreamLimit) streams in ON_DEMAND mode already, which is the limit.")
        }
        var settings = options.settings
        settings.retentionMilliseconds = 24 * Self.hour
        settings.recordBytesMax = (number("MaxRecordSizeInKiB") ?? 1_024) << 10
        var attributes = StreamAttributes()
        attributes.isOnDemand = isOnDemand
        attributes.warmThroughput = number("WarmThroughputMiBps")
        attributes.distributesRecords = text("RecordDistributionStrategy") == "AUTO"
        let tags = input["Tags"]?.map ?? [:]
        try checkTags(tags, existing: [], name)
        for (key, value) in tags { attributes.all["kinesis.tag:" + key] = value.string ?? "" }
        do {
            try log.createStream(name, shards: shards, settings: settings, attributes: attributes.all)
        } catch let error as StreamError where error.code == .conflict {
            throw AWSError.inUse("Stream \(name) under account \(account) already exists.")
        }
        return .empty
    }

    func deleteStream() throws -> AWSResponse {
        let stream = try stream()
        let consumers = StreamAttributes(stream).consumers
        guard consumers.isEmpty || input["EnforceConsumerDeletion"]?.bool == true else {
            throw AWSError.inUse("Stream \(stream.name) under account \(account) has \(consumers.count) registered consumers: "
                + "deregister them first, or set EnforceConsumerDeletion.")
        }
        service.writers.forget(stream.name)
        try log.deleteStream(stream.name)
        service.subscriptions.end(stream: stream.name)
        return .empty
    }

    // MARK: Describing

    private static func retentionHours(_ settings: StreamSettings) -> Int64 {
        // Streams that were not made by CreateStream may keep records for ever; the longest that the service knows is a year.
        settings.retentionMilliseconds.map { max(1, $0 / hour) } ?? 8_760
    }

    /// Members that description and summary share.
    private func description(_ stream: StreamInfo) -> [String: AWSValue] {
        let attributes = StreamAttributes(stream)
        var members: [String: AWSValue] = [
            "StreamName": .string(stream.name), "StreamARN": .string(arn(stream.name)), "StreamStatus": "ACTIVE",
            "StreamModeDetails": ["StreamMode": .string(attributes.mode)],
            "RetentionPeriodHours": .integer(Self.retentionHours(stream.settings)),
            "StreamCreationTimestamp": .timestamp(Double(stream.created) / 1_000),
            "EnhancedMonitoring": [["ShardLevelMetrics": .list(attributes.metrics.map { .string($0) })]],
            "EncryptionType": .string(Self.encryptionType(stream)),
        ]
        members["KeyId"] = stream.settings.encryptionKey.map { .string($0) }
        return members
    }

    func describeStream() throws -> AWSResponse {
        let stream = try stream()
        var shards = stream.shards[...]
        if let start = text("ExclusiveStartShardId") {
            guard let id = ShardName.parse(start) else {
                throw AWSError.notFound("Shard \(start) in stream \(stream.name) under account \(account) does not exist")
            }
            shards = shards.drop { $0.id <= id }
        }
        let page = shards.prefix(number("Limit") ?? 100)
        var members = description(stream)
        members["Shards"] = .list(page.map { Self.describe($0) })
        members["HasMoreShards"] = .bool(page.count < shards.count)
        return .output(["StreamDescription": .map(members)])
    }

    static func describe(_ shard: ShardInfo) -> AWSValue {
        var numbers: [String: AWSValue] = ["StartingSequenceNumber": .string("\(shard.starting)")]
        numbers["EndingSequenceNumber"] = shard.ending.map { .string("\($0)") }
        var members: [String: AWSValue] = [
            "ShardId": .string(shard.name), "SequenceNumberRange": .map(numbers),
            "HashKeyRange": ["StartingHashKey": .string(String(shard.range.first)), "EndingHashKey": .string(String(shard.range.last))],
        ]
        members["ParentShardId"] = shard.parents.first.map { .string(ShardName.text($0)) }
        if shard.parents.count > 1 { members["AdjacentParentShardId"] = .string(ShardName.text(shard.parents[1])) }
        return .map(members)
    }

    func describeStreamSummary() throws -> AWSResponse {
        let stream = try stream()
        let attributes = StreamAttributes(stream)
        var members = description(stream)
        members["StreamId"] = .string(Self.streamID(stream))
        members["OpenShardCount"] = .integer(Int64(stream.openShards.count))
        members["ConsumerCount"] = .integer(Int64(attributes.consumers.count))
        members["MaxRecordSizeInKiB"] = .integer(Int64(max(1_024, stream.settings.recordBytesMax >> 10)))
        members["RecordDistributionStrategy"] = .string(attributes.distributesRecords ? "AUTO" : "USER_PARTITION_KEY")
        members["WarmThroughput"] = attributes.warmThroughput.map { Self.warmThroughput($0) }
        members["ChannelCount"] = 0
        members["QueueCount"] = 0
        return .output(["StreamDescriptionSummary": .map(members)])
    }

    static func warmThroughput(_ mebibytes: Int) -> AWSValue {
        ["TargetMiBps": .integer(Int64(mebibytes)), "CurrentMiBps": .integer(Int64(mebibytes))]
    }

    func listStreams() throws -> AWSResponse {
        let token = try givenToken()
        if token != nil, text("ExclusiveStartStreamName") != nil {
            throw AWSError.invalidArgument("NextToken and ExclusiveStartStreamName cannot be provided together.")
        }
        let start = token?.first ?? text("ExclusiveStartStreamName") ?? ""
        let names = try streamNames().filter { $0 > start }
        let page = names.prefix(min(100, number("Limit") ?? 100))
        // A stream may be deleted between the two looks.
        let streams = page.compactMap { try? log.info($0) }
        var members: [String: AWSValue] = [
            "StreamNames": .list(streams.map { .string($0.name) }), "HasMoreStreams": .bool(page.count < names.count),
            "StreamSummaries": .list(streams.map { stream in
                ["StreamName": .string(stream.name), "StreamARN": .string(arn(stream.name)), "StreamStatus": "ACTIVE",
                 "StreamModeDetails": ["StreamMode": .string(StreamAttributes(stream).mode)],
                 "StreamCreationTimestamp": .timestamp(Double(stream.created) / 1_000)]
            }),
        ]
        if page.count < names.count, let last = page.last { members["NextToken"] = try nextToken([last]) }
        return .output(.map(members))
    }

    // MARK: Of the account

    private func allStreams() throws -> [StreamInfo] { try streamNames().compactMap { try? log.info($0) } }

    func openShards() throws -> Int {
        try allStreams().reduce(0) { $0 + (StreamAttributes($1).isOnDemand ? 0 : $1.openShards.count) }
    }

    private func onDemandStreams() throws -> Int { try allStreams().count { StreamAttributes($0).isOnDemand } }

    func describeLimits() throws -> AWSResponse {
        .output(["ShardLimit": .integer(Int64(options.shardLimit)), "OpenShardCount": .integer(Int64(try openShards())),
                 "OnDemandStreamCount": .integer(Int64(try onDemandStreams())), "OnDemandStreamCountLimit": .integer(Int64(options.onDemandStreamLimit)),
                 "ChannelCount": 0, "ChannelCountLimit": 0])
    }

    private var accountPath: String { log.directory + "/kinesis-account.json" }

    private func commitment() throws -> AWSValue {
        guard Host.exists(accountPath) else { return ["Status": "DISABLED"] }
        return try AWSJSON.parse(Host.read(accountPath))
    }

    private func shown(_ commitment: AWSValue) -> AWSValue {
        var members = commitment.map ?? [:]
        for name in ["StartedAt", "EndedAt", "EarliestAllowedEndAt"] { members[name] = commitment[name]?.double.map { .timestamp($0) } }
        return ["MinimumThroughputBillingCommitment": .map(members)]
    }

    func describeAccountSettings() throws -> AWSResponse { .output(shown(try commitment())) }

    /// Nothing is billed here: the setting is kept and told, and does nothing else.
    func updateAccountSettings() throws -> AWSResponse {
        var members = try commitment().map ?? [:]
        let status = input["MinimumThroughputBillingCommitment"]?["Status"]?.string ?? "DISABLED"
        let isEnabled = members["Status"] == "ENABLED"
        let seconds = Double(now) / 1_000
        if status == "ENABLED", !isEnabled {
            members = ["StartedAt": .double(seconds), "EarliestAllowedEndAt": .double(seconds + 86_400)]
        } else if status == "DISABLED", isEnabled {
            members["EndedAt"] = .double(seconds)
        }
        members["Status"] = .string(status)
        try log.host.createDirectories(log.directory)
        try log.host.replaceFile(accountPath, AWSJSON.write(.map(members)))
        return .output(shown(.map(members)))
    }
}
