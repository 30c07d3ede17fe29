import AWSProtocol
import ShardLog
import StreamCore

/// Operations that change a setting of a stream.
extension Call {
    func changeRetention(grows: Bool) throws -> AWSResponse {
        let stream = try stream()
        let hours = Int64(number("RetentionPeriodHours") ?? 0)
        guard hours >= 24 else {
            throw AWSError.invalidArgument("Minimum allowed retention period is 24 hours. Requested retention period (\(hours) hours) is too short.")
        }
        guard hours <= 8_760 else {
            throw AWSError.invalidArgument("Maximum allowed retention period is 8760 hours. Requested retention period (\(hours) hours) is too long.")
        }
        try update(stream) { settings, _ in
            let existing = settings.retentionMilliseconds.map { $0 / 3_600_000 } ?? 8_760
            if grows, hours < existing {
                throw AWSError.invalidArgument("Requested retention period (\(hours) hours) for stream \(stream.name) can not be shorter than "
                    + "existing retention period (\(existing) hours). Use DecreaseRetentionPeriod API.")
            }
            if !grows, hours > existing {
                throw AWSError.invalidArgument("Requested retention period (\(hours) hours) for stream \(stream.name) can not be longer than "
                    + "existing retention period (\(existing) hours). Use IncreaseRetentionPeriod API.")
            }
            settings.retentionMilliseconds = hours * 3_600_000
        }
        return .empty
    }

    func updateStreamMode() throws -> AWSResponse {
        let stream = try stream()
        let isOnDemand = input["StreamModeDetails"]?["StreamMode"]?.string == "ON_DEMAND"
        if !isOnDemand, number("WarmThroughputMiBps") != nil {
            throw AWSError.validation("WarmThroughputMiBps can be set for a stream in ON_DEMAND mode only.")
        }
        try update(stream) { _, attributes in
            attributes.isOnDemand = isOnDemand
            attributes.warmThroughput = isOnDemand ? number("WarmThroughputMiBps") ?? attributes.warmThroughput : nil
        }
        return .empty
    }

    func updateMaxRecordSize() throws -> AWSResponse {
        let stream = try stream()
        try update(stream) { settings, _ in settings.recordBytesMax = (number("MaxRecordSizeInKiB") ?? 1_024) << 10 }
        return .empty
    }

    func updateStreamWarmThroughput() throws -> AWSResponse {
        let stream = try stream()
        let mebibytes = number("WarmThroughputMiBps") ?? 0
        try update(stream) { _, attributes in
            guard attributes.isOnDemand else {
                throw AWSError.validation("Request is invalid. Stream \(stream.name) under account \(account) is in Provisioned mode.")
            }
            attributes.warmThroughput = mebibytes
        }
        return .output(["StreamARN": .string(arn(stream.name)), "StreamName": .string(stream.name), "WarmThroughput": Self.warmThroughput(mebibytes)])
    }

    func updateDistributionStrategy() throws -> AWSResponse {
        let stream = try stream()
        try update(stream) { _, attributes in attributes.distributesRecords = text("RecordDistributionStrategy") == "AUTO" }
        return .empty
    }

    // MARK: Monitoring

    static let metrics = ["IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords", "WriteProvisionedThroughputExceeded",
                          "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds"]

    func changeMonitoring(enables: Bool) throws -> AWSResponse {
        let stream = try stream()
        let given = input["ShardLevelMetrics"]?.list?.compactMap(\.string) ?? []
        let named = given.contains("ALL") ? Self.metrics : given
        var before: [String] = [], after: [String] = []
        try update(stream) { _, attributes in
            before = attributes.metrics
            after = enables ? Self.metrics.filter { before.contains($0) || named.contains($0) } : before.filter { !named.contains($0) }
            attributes.metrics = after
        }
        return .output(["StreamName": .string(stream.name), "StreamARN": .string(arn(stream.name)),
                        "CurrentShardLevelMetrics": .list(before.map { .string($0) }), "DesiredShardLevelMetrics": .list(after.map { .string($0) })])
    }

    // MARK: Policies

    /// Kept and given back; who may do what is decided by the credentials of the endpoint alone.
    func putResourcePolicy() throws -> AWSResponse {
        let resource = try resource()
        let policy = text("Policy") ?? ""
        guard let value = try? AWSJSON.parse(Array(policy.utf8)), value.map != nil else {
            throw AWSError.validation("The resource policy is not a JSON object.")
        }
        try update(resource.stream) { $1.setPolicy(resource, policy) }
        return .empty
    }

    func getResourcePolicy() throws -> AWSResponse {
        let resource = try resource()
        return .output(["Policy": .string(StreamAttributes(resource.stream).policy(resource) ?? "{}")])
    }

    func deleteResourcePolicy() throws -> AWSResponse {
        let resource = try resource()
        try update(resource.stream) { _, attributes in
            guard attributes.policy(resource) != nil else {
                throw AWSError.notFound("No resource policy found for resource ARN \(text("ResourceARN") ?? "").")
            }
            attributes.setPolicy(resource, nil)
        }
        return .empty
    }

    // MARK: Tags

    static let tagsMax = 50

    /// - Parameter existing: keys that the resource has already.
    func checkTags(_ tags: [String: AWSValue], existing: Set<String>, _ name: String) throws {
        for key in tags.keys where key.lowercased().hasPrefix("aws:") {
            throw AWSError.invalidArgument("Failed to add tags to stream \(name) under account \(account) because the key \(key) starts with aws:, "
                + "which is reserved.")
        }
        guard existing.union(tags.keys).count <= Self.tagsMax else {
            throw AWSError.invalidArgument("Failed to add tags to stream \(name) under account \(account) because a given stream cannot have more than "
                + "\(Self.tagsMax) tags associated with it.")
        }
    }

    func addTags(to resource: Resource) throws -> AWSResponse {
        let tags = input["Tags"]?.map ?? [:]
        try update(resource.stream) { _, attributes in
            try checkTags(tags, existing: Set(attributes.tags(resource).map(\.key)), resource.stream.name)
            for (key, value) in tags { attributes.setTag(resource, key, value.string ?? "") }
        }
        return .empty
    }

    func removeTags(from resource: Resource) throws -> AWSResponse {
        let keys = input["TagKeys"]?.list?.compactMap(\.string) ?? []
        try update(resource.stream) { _, attributes in for key in keys { attributes.setTag(resource, key, nil) } }
        return .empty
    }

    private static func list(_ tags: some Sequence<(key: String, value: String)>) -> AWSValue {
        .list(tags.map { ["Key": .string($0.key), "Value": .string($0.value)] })
    }

    func listTagsForStream() throws -> AWSResponse {
        let stream = try stream()
        let start = text("ExclusiveStartTagKey")
        let tags = StreamAttributes(stream).tags(.stream(stream)).filter { tag in start.map { tag.key > $0 } ?? true }
        let page = tags.prefix(number("Limit") ?? Self.tagsMax)
        return .output(["Tags": Self.list(page), "HasMoreTags": .bool(page.count < tags.count)])
    }

    func listTagsForResource() throws -> AWSResponse {
        let resource = try resource()
        return .output(["Tags": Self.list(StreamAttributes(resource.stream).tags(resource))])
    }
}
