import AWSProtocol
import ShardLog
import StreamCore

extension Call {
    // MARK: Listing

    /// What a page of ListShards continues with: stream, its creation, last shard, filter.
    func listShards() throws -> AWSResponse {
        let token = try givenToken()
        var stream: StreamInfo
        var after: Int?
        var filter = input["ShardFilter"]
        if let token {
            for name in ["StreamName", "StreamARN", "StreamId", "ExclusiveStartShardId", "StreamCreationTimestamp", "ShardFilter"] where input[name] != nil {
                throw AWSError.invalidArgument("NextToken and \(name) cannot be provided together.")
            }
            guard token.count == 6 else { throw AWSError.invalidArgument("NextToken is invalid.") }
            stream = try self.stream(named: token[0])
            guard String(stream.created) == token[1] else { throw AWSError.noStream(stream.name, account) }
            after = Int(token[2])
            if !token[3].isEmpty {
                var members: [String: AWSValue] = ["Type": .string(token[3])]
                members["ShardId"] = token[4].isEmpty ? nil : .string(token[4])
                members["Timestamp"] = Double(token[5]).map { .timestamp($0) }
                filter = .map(members)
            }
        } else {
            stream = try self.stream()
            if let created = input["StreamCreationTimestamp"]?.double, abs(created * 1_000 - Double(stream.created)) >= 1_000 {
                throw AWSError.noStream(stream.name, account)
            }
            if let start = text("ExclusiveStartShardId") {
                if filter != nil { throw AWSError.invalidArgument("ExclusiveStartShardId and ShardFilter cannot be provided together.") }
                guard let id = ShardName.parse(start) else { throw AWSError.invalidArgument("ExclusiveStartShardId \(start) is not the id of a shard.") }
                after = id
            }
        }
        let matching = try stream.shards.filter { shard in after.map { shard.id > $0 } ?? true }.filter(predicate(filter, stream))
        let page = matching.prefix(number("MaxResults") ?? 1_000)
        var members: [String: AWSValue] = ["Shards": .list(page.map { Self.describe($0) })]
        if page.count < matching.count, let last = page.last {
            members["NextToken"] = try nextToken([stream.name, String(stream.created), String(last.id), filter?["Type"]?.string ?? "",
                                                  filter?["ShardId"]?.string ?? "", filter?["Timestamp"]?.double.map { "\($0)" } ?? ""])
        }
        return .output(.map(members))
    }

    private func predicate(_ filter: AWSValue?, _ stream: StreamInfo) throws -> (ShardInfo) -> Bool {
        guard let filter, let type = filter["Type"]?.string else { return { _ in true } }
        // Of a stream that is younger than its retention the oldest records are those of its beginning.
        let horizon = max(stream.created, stream.settings.retentionMilliseconds.map { now - $0 } ?? stream.created)
        func wasOpen(_ time: Int64) -> (ShardInfo) -> Bool { { $0.openedAt <= time && ($0.closedAt.map { $0 > time } ?? true) } }
        func endsAfter(_ time: Int64) -> (ShardInfo) -> Bool { { $0.closedAt.map { $0 >= time } ?? true } }
        switch type {
        case "AT_LATEST": return { $0.isOpen }
        case "AT_TRIM_HORIZON": return wasOpen(horizon)
        case "FROM_TRIM_HORIZON": return endsAfter(horizon)
        case "AT_TIMESTAMP", "FROM_TIMESTAMP":
            guard let seconds = filter["Timestamp"]?.double, seconds.isFinite, abs(seconds) < 1e12 else {
                throw AWSError.invalidArgument("Timestamp must be provided in ShardFilter when its Type is \(type).")
            }
            let time = Int64((seconds * 1_000).rounded())
            guard time <= now + 5_000 else {
                throw AWSError.invalidArgument("Timestamp \(time) in ShardFilter cannot be later than the current time \(now).")
            }
            return type == "AT_TIMESTAMP" ? wasOpen(max(time, horizon)) : endsAfter(max(time, horizon))
        default:
            guard let text = filter["ShardId"]?.string else {
                throw AWSError.invalidArgument("ShardId must be provided in ShardFilter when its Type is \(type).")
            }
            guard let id = ShardName.parse(text) else { throw AWSError.invalidArgument("ShardId \(text) in ShardFilter is not the id of a shard.") }
            return { $0.id > id }
        }
    }

    // MARK: Resharding

    private func requireProvisioned(_ stream: StreamInfo) throws {
        guard !StreamAttributes(stream).isOnDemand else {
            throw AWSError.validation("Request is invalid. Stream \(stream.name) under account \(account) is in On-Demand mode.")
        }
    }

    /// A shard that can be split or merged.
    private func openShard(_ text: String, _ stream: StreamInfo) throws -> ShardInfo {
        guard let id = ShardName.parse(text), let shard = stream.shard(id) else {
            throw AWSError.notFound("Could not find shard \(text) in stream \(stream.name) under account \(account).")
        }
        guard shard.isOpen else { throw alreadyResharded(shard, stream) }
        return shard
    }

    private func alreadyResharded(_ shard: ShardInfo, _ stream: StreamInfo) -> AWSError {
        .invalidArgument("Shard \(shard.name) in stream \(stream.name) under account \(account) has already been merged or split, "
            + "and thus is not eligible for merging or splitting.")
    }

    private func checkShardLimit(adding count: Int) throws {
        guard options.enforcesLimits else { return }
        let open = try openShards()
        guard open + count <= options.shardLimit else {
            throw AWSError.limit("This request would exceed the shard limit for the account \(account) in \(request.region). "
                + "Current shard count for the account: \(open). Limit: \(options.shardLimit). "
                + "Number of additional shards that would have resulted from this request: \(count).")
        }
    }

    func splitShard() throws -> AWSResponse {
        let stream = try stream()
        try requireProvisioned(stream)
        let shard = try openShard(text("ShardToSplit") ?? "", stream)
        let text = text("NewStartingHashKey") ?? ""
        // Both new shards have more than one hash key, as the service wants it.
        guard let key = UInt128(text), key > shard.range.first, key - shard.range.first > 1, key < shard.range.last else {
            throw AWSError.invalidArgument("NewStartingHashKey \(text) used in SplitShard() on shard \(shard.name) in stream \(stream.name) under account "
                + "\(account) is not both greater than one plus the shard's StartingHashKey \(shard.range.first) and less than the shard's "
                + "EndingHashKey \(shard.range.last &- 1).")
        }
        try checkShardLimit(adding: 1)
        try reshard(shard, stream) { _ = try log.split(stream.name, shard: shard.id, at: key) }
        return .empty
    }

    func mergeShards() throws -> AWSResponse {
        let stream = try stream()
        try requireProvisioned(stream)
        let first = try openShard(text("ShardToMerge") ?? "", stream), second = try openShard(text("AdjacentShardToMerge") ?? "", stream)
        guard first.id != second.id, max(first.range.first, second.range.first) == min(first.range.last, second.range.last) &+ 1 else {
            throw AWSError.invalidArgument("Shards \(first.name) and \(second.name) in stream \(stream.name) under account \(account) are not an "
                + "adjacent pair of shards eligible for merging")
        }
        try reshard(first, stream) { _ = try log.merge(stream.name, first.id, second.id) }
        return .empty
    }

    /// Someone else may have closed the shard since it was looked at.
    private func reshard(_ shard: ShardInfo, _ stream: StreamInfo, _ body: () throws -> Void) throws {
        do { try body() } catch let error as StreamError where error.code == .conflict { throw alreadyResharded(shard, stream) }
    }

    /// As the service scales: all shards are halved until there are enough, then neighbours are merged, the narrowest first.
    func updateShardCount() throws -> AWSResponse {
        let before = try stream()
        try requireProvisioned(before)
        let target = number("TargetShardCount") ?? 1
        let current = before.openShards.count
        guard target <= ShardLog.shardsMax / 2 else {
            throw AWSError.limit("TargetShardCount \(target) is beyond the limit of \(ShardLog.shardsMax / 2) shards of a stream.")
        }
        if options.enforcesLimits {
            guard target <= 2 * current, 2 * target >= current else {
                throw AWSError.limit("UpdateShardCount cannot scale up over double your current open shard count, nor below half of it. "
                    + "Current open shard count: \(current) Target shard count: \(target)")
            }
            try checkShardLimit(adding: max(0, target - current))
        }
        while try log.info(before.name).openShards.count < target {
            for shard in try log.info(before.name).openShards {
                let middle = shard.range.first + (shard.range.last - shard.range.first) / 2 + 1
                try reshard(shard, before) { _ = try log.split(before.name, shard: shard.id, at: middle) }
            }
        }
        while true {
            let open = try log.info(before.name).openShards.sorted { $0.range.first < $1.range.first }
            guard open.count > target else { break }
            func width(_ i: Int) -> UInt128 { open[i + 1].range.last - open[i].range.first }
            let i = (0..<open.count - 1).min { width($0) < width($1) }!
            try reshard(open[i], before) { _ = try log.merge(before.name, open[i].id, open[i + 1].id) }
        }
        return .output(["StreamName": .string(before.name), "StreamARN": .string(arn(before.name)), "CurrentShardCount": .integer(Int64(current)),
                        "TargetShardCount": .integer(Int64(target))])
    }
}
