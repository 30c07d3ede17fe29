import AWSProtocol

/// Time to live, tags, point-in-time recovery as a flag, resource policies, limits and endpoints.
enum SettingsOperations {
    /// Replaces a table by what `body` makes of its definition.
    private static func change(_ call: Call, _ table: TableInfo, _ body: @escaping @Sendable (inout TableDefinition) throws -> Void) throws -> TableInfo {
        try call.store.transact { transaction in
            let changed = try transaction.current(table).changed(body)
            try transaction.put(changed)
            return changed
        }
    }

    // MARK: Time to live

    static func updateTimeToLive(_ call: Call) throws -> AWSValue {
        let table = try call.namedTable(), specification = call.input["TimeToLiveSpecification"] ?? .map([:])
        let isEnabled = specification["Enabled"]?.bool ?? false, attribute = specification["AttributeName"]?.string ?? ""
        let store = call.store
        try store.transact { transaction in
            let now = try transaction.current(table)
            let known = now.definition.timeToLive
            if known?.isEnabled == true {
                guard known?.attribute == attribute else {
                    throw AWSError.validation("TimeToLive is active on a different AttributeName: current AttributeName is \(known!.attribute)")
                }
                if isEnabled { throw AWSError.validation("TimeToLive is already enabled") }
            } else if !isEnabled {
                throw AWSError.validation("TimeToLive is already disabled")
            }
            let changed = now.changed { $0.timeToLive = isEnabled ? TimeToLive(attribute: attribute, isEnabled: true, isBackfilling: true) : nil }
            if !isEnabled { try transaction.db.execute(sql: "DELETE FROM expiries WHERE table_id = ?", arguments: [now.id]) }
            try transaction.put(changed)
            _ = try Backfill.step(transaction, changed)
        }
        store.maintenance.wake()
        return ["TimeToLiveSpecification": ["Enabled": .bool(isEnabled), "AttributeName": .string(attribute)]]
    }

    static func describeTimeToLive(_ call: Call) throws -> AWSValue {
        let table = try call.namedTable()
        guard let timeToLive = table.definition.timeToLive, timeToLive.isEnabled else {
            return ["TimeToLiveDescription": ["TimeToLiveStatus": "DISABLED"]]
        }
        return ["TimeToLiveDescription": [
            "TimeToLiveStatus": timeToLive.isBackfilling ? "ENABLING" : "ENABLED", "AttributeName": .string(timeToLive.attribute),
        ]]
    }

    // MARK: Tags

    /// The table of a `ResourceArn`.
    private static func resource(_ call: Call, notFound: (String, String) -> AWSError = tagsNotFound) throws -> TableInfo {
        let arn = call.string("ResourceArn") ?? ""
        guard arn.hasPrefix("arn:"), let name = try? TableNames.catalogName(arn, account: call.account, region: call.region) else {
            throw AWSError.validation("Invalid TableArn: Invalid ResourceArn provided as input \(arn)")
        }
        guard let table = call.store.find(name) else { throw notFound(arn, name.name) }
        return table
    }

    private static func tagsNotFound(_ arn: String, _ name: String) -> AWSError {
        AWSError("ResourceNotFoundException", "Requested resource not found: ResourcArn: \(arn) not found")
    }

    private static func policyNotFound(_ arn: String, _ name: String) -> AWSError { Call.notFound(name) }

    static func tag(_ call: Call) throws -> AWSValue {
        let table = try resource(call), given = call.input["Tags"]
        _ = try change(call, table) { $0.tags = try TableChecks.tags(given, onto: $0.tags) }
        return [:]
    }

    static func untag(_ call: Call) throws -> AWSValue {
        let table = try resource(call), keys = call.input["TagKeys"]?.list?.compactMap(\.string) ?? []
        _ = try change(call, table) { definition in for key in keys { definition.tags[key] = nil } }
        return [:]
    }

    static func listTags(_ call: Call) throws -> AWSValue {
        let perPage = 10
        let tags = try resource(call).definition.tags.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        var first = 0
        if let token = call.string("NextToken") {
            guard let at = Int(token), at >= 0, at <= tags.count else { throw AWSError.validation("Invalid NextToken: \(token)") }
            first = at
        }
        let shown = tags.dropFirst(first).prefix(perPage)
        var out: [String: AWSValue] = ["Tags": .list(shown.map { ["Key": .string($0.key), "Value": .string($0.value)] })]
        if first + shown.count < tags.count { out["NextToken"] = .string(String(first + shown.count)) }
        return .map(out)
    }

    // MARK: Point-in-time recovery

    /// As ``Call/namedTable()``, with the error of requests about backups.
    private static func backedUpTable(_ call: Call) throws -> TableInfo {
        let name = try TableNames.catalogName(call.string("TableName") ?? "", account: call.account, region: call.region)
        guard let table = call.store.find(name) else { throw AWSError("TableNotFoundException", "Table not found: \(name.name)") }
        return table
    }

    static func describeContinuousBackups(_ call: Call) throws -> AWSValue { backups(try backedUpTable(call), call.now) }

    static func updateContinuousBackups(_ call: Call) throws -> AWSValue {
        let table = try backedUpTable(call), specification = call.input["PointInTimeRecoverySpecification"], now = call.now
        let isEnabled = specification?["PointInTimeRecoveryEnabled"]?.bool ?? false
        let days = specification?["RecoveryPeriodInDays"]?.integer ?? 35
        return backups(try change(call, table) { definition in
            definition.recoverySince = isEnabled ? definition.recoverySince ?? now : nil
            definition.recoveryDays = isEnabled ? days : nil
        }, now)
    }

    private static func backups(_ table: TableInfo, _ now: Int64) -> AWSValue {
        var recovery: [String: AWSValue] = ["PointInTimeRecoveryStatus": table.definition.recoveryDays == nil ? "DISABLED" : "ENABLED"]
        if let days = table.definition.recoveryDays {
            let since = max(table.definition.recoverySince ?? now, now - Int64(days) * 86_400_000)
            recovery["RecoveryPeriodInDays"] = .integer(days)
            recovery["EarliestRestorableDateTime"] = .milliseconds(since)
            recovery["LatestRestorableDateTime"] = .milliseconds(now)
        }
        return ["ContinuousBackupsDescription": ["ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": .map(recovery)]]
    }

    // MARK: Resource policies

    static func putPolicy(_ call: Call) throws -> AWSValue {
        let table = try resource(call, notFound: policyNotFound), text = call.string("Policy") ?? "", expected = call.string("ExpectedRevisionId")
        let (now, name) = (call.now, table.name)
        let changed = try change(call, table) { definition in
            try check(expected, definition.policy, name)
            let old = definition.policy
            // Revisions are times, each later than the one before.
            let revision = max(now, (old.flatMap { Int64($0.revision) } ?? 0) + 1)
            if old?.text != text { definition.policy = ResourcePolicy(text: text, revision: String(revision)) }
        }
        return ["RevisionId": .string(changed.definition.policy?.revision ?? "")]
    }

    static func getPolicy(_ call: Call) throws -> AWSValue {
        let table = try resource(call, notFound: policyNotFound)
        guard let policy = table.definition.policy else { throw noPolicy(table) }
        return ["Policy": .string(policy.text), "RevisionId": .string(policy.revision)]
    }

    static func deletePolicy(_ call: Call) throws -> AWSValue {
        let table = try resource(call, notFound: policyNotFound), expected = call.string("ExpectedRevisionId")
        guard let policy = table.definition.policy else {
            if expected != nil { throw noPolicy(table) }
            return [:]
        }
        let name = table.name
        _ = try change(call, table) { definition in
            try check(expected, definition.policy, name)
            definition.policy = nil
        }
        return ["RevisionId": .string(policy.revision)]
    }

    private static func noPolicy(_ table: TableInfo) -> AWSError {
        AWSError("PolicyNotFoundException", "Resource-based policy not found for the provided ResourceArn: \(table.arn)")
    }

    private static func check(_ expected: String?, _ policy: ResourcePolicy?, _ table: String) throws {
        let found = policy?.revision ?? "NO_POLICY"
        guard let expected, expected != found else { return }
        let problem = expected == "NO_POLICY"
            ? "Requested policy update expecting none to be present for table \(table), but a policy exists with revision id \(found)."
            : "Requested update for policy with revision id \(expected), but the policy associated to target table \(table) has revision id \(found)."
        throw AWSError("PolicyNotFoundException", "Resource-based policy not found for the provided ResourceArn: " + problem)
    }

    // MARK: Account

    static let limits: AWSValue = [
        "AccountMaxReadCapacityUnits": 80_000, "AccountMaxWriteCapacityUnits": 80_000, "TableMaxReadCapacityUnits": 40_000,
        "TableMaxWriteCapacityUnits": 40_000,
    ]

    static func endpoints(_ call: Call) -> AWSValue {
        ["Endpoints": [["Address": .string("dynamodb.\(call.region).amazonaws.com"), "CachePeriodInMinutes": 1_440]]]
    }
}
