import AWSProtocol

/// GetItem, PutItem, UpdateItem and DeleteItem.
enum ItemOperations {
    static func get(_ call: Call) throws -> AWSValue {
        let input = call.input
        try RequestExpressions.checkForms(input, legacy: ["AttributesToGet"], modern: ["ProjectionExpression"])
        let context = try RequestExpressions.context(input)
        let projection = try RequestExpressions.projection(input, context)
        try context.checkAllUsed()
        let key = try Item(input["Key"] ?? .map([:]))
        let table = try call.table()
        try projection?.checkKeysAreScalars(table.key.names)
        let position = try KeyChecks.position(ofKey: key, in: table)
        let stored = try call.store.read { try ItemReading.stored($0, table, position) }
        var out: [String: AWSValue] = [:]
        if let item = stored?.item { out["Item"] = (projection?.project(item) ?? item).awsValue }
        var capacity = Capacity()
        capacity.table = Capacity.read(stored?.size ?? 0, isConsistent: input["ConsistentRead"]?.bool ?? false)
        out["ConsumedCapacity"] = capacity.described(input, table.name)
        return .map(out)
    }

    static func put(_ call: Call) throws -> AWSValue { try write(call, .put) }
    static func update(_ call: Call) throws -> AWSValue { try write(call, .update) }
    static func delete(_ call: Call) throws -> AWSValue { try write(call, .delete) }

    private static func write(_ call: Call, _ kind: RequestExpressions.WriteKind) throws -> AWSValue {
        let input = call.input, wanted = call.string("ReturnValues") ?? "NONE"
        if kind != .update, wanted != "NONE", wanted != "ALL_OLD" { throw AWSError.validation("Return values set to invalid value") }
        let write = try RequestExpressions.write(input, kind: kind, isSingle: true)
        let bound = try write.bound(to: try call.table())
        let outcome = try call.store.transact { try bound.perform($0) }
        var out: [String: AWSValue] = [:]
        let update: UpdateExpression? = if case .update(let update) = write.action { update } else { nil }
        let attributes: Item? = switch wanted {
        case "ALL_OLD": outcome.old
        case "ALL_NEW": outcome.new
        case "UPDATED_OLD": outcome.old.flatMap { update?.touched(of: $0) }
        case "UPDATED_NEW": outcome.new.flatMap { update?.touched(of: $0) }
        default: nil
        }
        if let attributes, !attributes.isEmpty { out["Attributes"] = attributes.awsValue }
        out["ConsumedCapacity"] = Capacity(outcome.units, outcome.table).described(input, outcome.table.name)
        if input["ReturnItemCollectionMetrics"]?.string == "SIZE" { out["ItemCollectionMetrics"] = collectionMetrics(outcome, bound) }
        return .map(out)
    }

    /// Tables without local indexes have no item collections.
    static func collectionMetrics(_ outcome: WriteOutcome, _ bound: BoundWrite) -> AWSValue? {
        guard !outcome.table.definition.locals.isEmpty else { return nil }
        let name = outcome.table.key.hash[0].name
        let item: Item = if case .put(let item) = bound.write.action { item } else { bound.write.key }
        return ["ItemCollectionKey": .map([name: item[name]?.awsValue ?? .null]), "SizeEstimateRangeGB": [.double(0), .double(1)]]
    }
}
