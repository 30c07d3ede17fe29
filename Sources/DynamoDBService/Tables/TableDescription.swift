import AWSProtocol

extension TableInfo {
    /// As DescribeTable shows it. `status` is the table's own: `ACTIVE`, or what an operation has begun.
    func description(_ counters: [Int64: Counter], status: String, now: Int64) -> AWSValue {
        let count = counters[id] ?? Counter()
        var out: [String: AWSValue] = [
            "TableName": .string(name), "TableArn": .string(arn), "TableId": .string(definition.uuid), "TableStatus": .string(status),
            "CreationDateTime": .milliseconds(definition.createdAt), "KeySchema": key.awsValue,
            "AttributeDefinitions": .list(definition.attributes.map { ["AttributeName": .string($0.name), "AttributeType": .string($0.type.rawValue)] }),
            "ProvisionedThroughput": definition.throughput.description(now: now), "ItemCount": .integer(count.items), "TableSizeBytes": .integer(count.bytes),
            "DeletionProtectionEnabled": .bool(definition.isProtected),
            "WarmThroughput": Self.warm(definition.warm, definition.isOnDemand ? Throughput(read: 12_000, write: 4_000) : definition.throughput, status),
        ]
        if definition.isOnDemand {
            out["BillingModeSummary"] = [
                "BillingMode": "PAY_PER_REQUEST", "LastUpdateToPayPerRequestDateTime": .milliseconds(definition.becameOnDemandAt ?? definition.createdAt),
            ]
        } else if let changed = definition.becameOnDemandAt {
            out["BillingModeSummary"] = ["BillingMode": "PROVISIONED", "LastUpdateToPayPerRequestDateTime": .milliseconds(changed)]
        }
        if let limits = definition.onDemand { out["OnDemandThroughput"] = Self.onDemand(limits) }
        if let stream = definition.stream {
            out["LatestStreamArn"] = .string(stream.arn)
            out["LatestStreamLabel"] = .string(stream.label)
            if stream.isEnabled { out["StreamSpecification"] = ["StreamEnabled": true, "StreamViewType": .string(stream.viewType)] }
        }
        if let encryption = definition.encryption, encryption.isEnabled {
            out["SSEDescription"] = ["Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": .string(encryption.keyArn ?? "")]
        }
        if let tableClass = definition.tableClass { out["TableClassSummary"] = ["TableClass": .string(tableClass)] }
        if !definition.locals.isEmpty { out["LocalSecondaryIndexes"] = .list(definition.locals.map { describe($0, counters, status, now) }) }
        if !definition.globals.isEmpty { out["GlobalSecondaryIndexes"] = .list(definition.globals.map { describe($0, counters, status, now) }) }
        return .map(out)
    }

    private func describe(_ index: IndexDefinition, _ counters: [Int64: Counter], _ status: String, _ now: Int64) -> AWSValue {
        let count = counters[index.id] ?? Counter()
        var out: [String: AWSValue] = [
            "IndexName": .string(index.name), "IndexArn": .string("\(arn)/index/\(index.name)"), "KeySchema": index.key.awsValue,
            "Projection": index.projection.awsValue, "IndexSizeBytes": .integer(count.bytes), "ItemCount": .integer(count.items),
        ]
        guard !index.isLocal else { return .map(out) }
        let indexStatus = index.isBackfilling || status == "CREATING" ? "CREATING" : status == "DELETING" ? "DELETING" : "ACTIVE"
        out["IndexStatus"] = .string(indexStatus)
        if index.isBackfilling { out["Backfilling"] = true }
        let throughput = index.throughput ?? .zero
        out["ProvisionedThroughput"] = throughput.description(now: now)
        if let limits = index.onDemand { out["OnDemandThroughput"] = Self.onDemand(limits) }
        out["WarmThroughput"] = Self.warm(index.warm, definition.isOnDemand ? Throughput(read: 12_000, write: 4_000) : throughput, indexStatus)
        return .map(out)
    }

    private static func onDemand(_ limits: UnitLimits) -> AWSValue {
        ["MaxReadRequestUnits": .integer(limits.read ?? -1), "MaxWriteRequestUnits": .integer(limits.write ?? -1)]
    }

    private static func warm(_ limits: UnitLimits?, _ least: Throughput, _ status: String) -> AWSValue {
        ["ReadUnitsPerSecond": .integer(limits?.read ?? least.read), "WriteUnitsPerSecond": .integer(limits?.write ?? least.write), "Status": .string(status)]
    }
}
