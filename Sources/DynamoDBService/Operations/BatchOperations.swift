import AWSProtocol

/// BatchGetItem and BatchWriteItem.
enum BatchOperations {
    static let writesMax = 25, readsMax = 100
    static let bytesMax = 16 << 20

    // MARK: BatchWriteItem

    static func write(_ call: Call) throws -> AWSValue {
        let requests = (call.input["RequestItems"]?.map ?? [:]).sorted { $0.key < $1.key }
        guard requests.reduce(0, { $0 + ($1.value.list?.count ?? 0) }) <= writesMax else {
            throw AWSError.validation("Too many items requested for the BatchWriteItem call")
        }
        var writes: [(table: String, ItemWrite)] = []
        for (name, list) in requests {
            for request in list.list ?? [] {
                switch (request["PutRequest"], request["DeleteRequest"]) {
                case (let put?, nil): writes.append((name, ItemWrite(action: .put(try Item(put["Item"] ?? .map([:]))))))
                case (nil, let delete?): writes.append((name, ItemWrite(action: .delete, key: try Item(delete["Key"] ?? .map([:])))))
                default: throw AWSError.validation("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
                }
            }
        }
        let bound = try writes.map { try $0.1.bound(to: try call.table($0.table)) }
        guard Set(bound.map { BatchKey(table: $0.table.id, position: $0.position) }).count == bound.count else {
            throw AWSError.validation("Provided list of item keys contains duplicates")
        }
        let outcomes = try call.store.transact { transaction in try bound.map { try $0.perform(transaction) } }
        var out: [String: AWSValue] = ["UnprocessedItems": [:]]
        out["ConsumedCapacity"] = capacity(call.input, outcomes.map { ($0.table.name, Capacity($0.units, $0.table)) }, kind: nil)
        if call.input["ReturnItemCollectionMetrics"]?.string == "SIZE" { out["ItemCollectionMetrics"] = metrics(outcomes, bound, writes.map(\.table)) }
        return .map(out)
    }

    /// Item collections by table, each once.
    static func metrics(_ outcomes: [WriteOutcome], _ bound: [BoundWrite], _ names: [String]) -> AWSValue? {
        var out: [String: AWSValue] = [:]
        for (i, outcome) in outcomes.enumerated() {
            guard let metrics = ItemOperations.collectionMetrics(outcome, bound[i]) else { continue }
            let others = out[names[i]]?.list ?? []
            if !others.contains(metrics) { out[names[i]] = .list(others + [metrics]) }
        }
        return out.isEmpty ? nil : .map(out)
    }

    /// Summed by table, in the order of their first appearance.
    static func capacity(_ input: AWSValue, _ all: [(String, Capacity)], kind: Capacity.Kind?) -> AWSValue? {
        var sums: [String: Capacity] = [:], names: [String] = []
        for (name, capacity) in all {
            if sums[name] == nil { names.append(name) }
            sums[name] = sums[name].map { $0 + capacity } ?? capacity
        }
        let described = names.compactMap { sums[$0]?.described(input, $0, kind: kind) }
        return described.isEmpty ? nil : .list(described)
    }

    struct BatchKey: Hashable {
        var table: Int64
        var position: ItemPosition
    }

    // MARK: BatchGetItem

    private struct Reads {
        var name: String
        var table: TableInfo
        var request: AWSValue
        var keys: [(given: AWSValue, at: ItemPosition)]
        var projection: ProjectionExpression?
        var isConsistent: Bool
    }

    static func get(_ call: Call) throws -> AWSValue {
        let requests = (call.input["RequestItems"]?.map ?? [:]).sorted { $0.key < $1.key }
        guard requests.reduce(0, { $0 + ($1.value["Keys"]?.list?.count ?? 0) }) <= readsMax else {
            throw AWSError.validation("Too many items requested for the BatchGetItem call")
        }
        let reads = try requests.map { name, request in
            try RequestExpressions.checkForms(request, legacy: ["AttributesToGet"], modern: ["ProjectionExpression"])
            let context = try RequestExpressions.context(request)
            let projection = try RequestExpressions.projection(request, context)
            try context.checkAllUsed()
            let table = try call.table(name)
            let keys = try (request["Keys"]?.list ?? []).map { ($0, try KeyChecks.position(ofKey: try Item($0), in: table)) }
            guard Set(keys.map(\.1)).count == keys.count else { throw AWSError.validation("Provided list of item keys contains duplicates") }
            return Reads(name: name, table: table, request: request, keys: keys, projection: projection, isConsistent: request["ConsistentRead"]?.bool ?? false)
        }
        var responses: [String: AWSValue] = [:], unprocessed: [String: AWSValue] = [:], costs: [(String, Capacity)] = []
        try call.store.read { db in
            var bytes = 0
            for read in reads {
                var items: [AWSValue] = [], left: [AWSValue] = []
                var capacity = Capacity()
                for key in read.keys {
                    if bytes >= bytesMax {
                        left.append(key.given)
                        continue
                    }
                    let stored = try ItemReading.stored(db, read.table, key.at)
                    if let size = stored?.size, bytes + size > bytesMax, bytes > 0 {
                        bytes = bytesMax
                        left.append(key.given)
                        continue
                    }
                    bytes += stored?.size ?? 0
                    capacity.table += Capacity.read(stored?.size ?? 0, isConsistent: read.isConsistent)
                    if let item = stored?.item { items.append((read.projection?.project(item) ?? item).awsValue) }
                }
                responses[read.name] = .list(items)
                costs.append((read.table.name, capacity))
                if !left.isEmpty, case .map(var request) = read.request {
                    request["Keys"] = .list(left)
                    unprocessed[read.name] = .map(request)
                }
            }
        }
        var out: [String: AWSValue] = ["Responses": .map(responses), "UnprocessedKeys": .map(unprocessed)]
        out["ConsumedCapacity"] = capacity(call.input, costs, kind: nil)
        return .map(out)
    }
}
