import AWSProtocol
import GRDB

/// TransactWriteItems and TransactGetItems.
enum TransactOperations {
    static let bytesMax = 4 << 20
    /// For so long a token stands for the transaction that it came with first.
    static let tokenMilliseconds: Int64 = 600_000

    static func write(_ call: Call) throws -> AWSValue {
        let items = call.input["TransactItems"]?.list ?? []
        let writes = try items.map { item -> (table: String, write: ItemWrite) in
            let kinds: [(String, RequestExpressions.WriteKind)] = [("ConditionCheck", .check), ("Put", .put), ("Delete", .delete), ("Update", .update)]
            let given = kinds.filter { item[$0.0] != nil }
            guard given.count == 1, let request = item[given[0].0] else {
                throw AWSError.validation("TransactItems can only contain one of Check, Put, Update or Delete")
            }
            return (request["TableName"]?.string ?? "", try RequestExpressions.write(request, kind: given[0].1, isSingle: false))
        }
        let tables = try writes.map { try call.table($0.table) }
        let bound = try zip(writes, tables).map { try $0.write.bound(to: $1) }
        guard Set(bound.map { BatchOperations.BatchKey(table: $0.table.id, position: $0.position) }).count == bound.count else {
            throw AWSError.validation("Transaction request cannot include multiple operations on one item")
        }
        if bound.reduce(0, { $0 + ($1.new?.size ?? 0) }) > bytesMax {
            throw AWSError.validation("The transaction exceeds the maximum size of \(bytesMax) bytes")
        }
        let token = call.string("ClientRequestToken").map { Token(text: $0, digest: digest(call.input["TransactItems"] ?? .null)) }
        let (account, region, now) = (call.account, call.region, call.now)
        // nil when the token stands for a transaction that was done before.
        let outcomes: [WriteOutcome]? = try call.store.transact { transaction in
            if let token, try !token.isNew(transaction.db, account, region, now) { return nil }
            var outcomes: [WriteOutcome] = [], reasons: [AWSError?] = []
            for request in bound {
                do {
                    outcomes.append(try request.perform(transaction))
                    reasons.append(nil)
                } catch let error as AWSError {
                    if error.type == "ResourceNotFoundException" { throw error }
                    reasons.append(error)
                }
            }
            // What was written before the failure goes with the savepoint.
            if reasons.contains(where: { $0 != nil }) { throw cancelled(reasons) }
            return outcomes
        }
        var out: [String: AWSValue] = [:]
        if let outcomes {
            out["ConsumedCapacity"] = BatchOperations.capacity(
                call.input, outcomes.map { ($0.table.name, Capacity($0.units, $0.table, factor: 2)) }, kind: .write)
            if call.input["ReturnItemCollectionMetrics"]?.string == "SIZE" {
                out["ItemCollectionMetrics"] = BatchOperations.metrics(outcomes, bound, writes.map(\.table))
            }
        } else {
            let read = bound.map { write -> (String, Capacity) in
                var capacity = Capacity()
                capacity.table = Capacity.read(write.new?.size ?? 0, isConsistent: true, isTransaction: true)
                return (write.table.name, capacity)
            }
            out["ConsumedCapacity"] = BatchOperations.capacity(call.input, read, kind: .read)
        }
        return .map(out)
    }

    private static func cancelled(_ reasons: [AWSError?]) -> AWSError {
        func code(_ error: AWSError?) -> String {
            switch error?.type {
            case nil: "None"
            case "ConditionalCheckFailedException": "ConditionalCheckFailed"
            default: "ValidationError"
            }
        }
        let described = reasons.map { error -> AWSValue in
            var out: [String: AWSValue] = ["Code": .string(code(error))]
            if let error { out["Message"] = .string(error.message) }
            if let item = error?.members["Item"] { out["Item"] = item }
            return .map(out)
        }
        let message = "Transaction cancelled, please refer cancellation reasons for specific reasons [\(reasons.map(code).joined(separator: ", "))]"
        return AWSError("TransactionCanceledException", message, members: ["Message": .string(message), "CancellationReasons": .list(described)])
    }

    private struct Token: Sendable {
        var text: String
        var digest: Int64

        /// Keeps the token, in the transaction that it stands for.
        func isNew(_ db: Database, _ account: String, _ region: String, _ now: Int64) throws -> Bool {
            let known = try Row.fetchOne(db, sql: "SELECT digest, at FROM tokens WHERE account = ? AND region = ? AND token = ?",
                                         arguments: [account, region, text])
            if let known, known[1] as Int64 > now - tokenMilliseconds {
                guard known[0] as Int64 == digest else {
                    throw AWSError("IdempotentParameterMismatchException",
                                   "The request uses the same client token as a previous, but non-identical request. Do not reuse a client token with "
                                       + "different requests, unless the requests are identical")
                }
                return false
            }
            try db.execute(sql: "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?)", arguments: [account, region, text, digest, now])
            return true
        }
    }

    private static func digest(_ value: AWSValue) -> Int64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in AWSJSON.write(value) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return Int64(bitPattern: hash)
    }

    // MARK: TransactGetItems

    static func get(_ call: Call) throws -> AWSValue {
        let reads = try (call.input["TransactItems"]?.list ?? []).map { item -> (TableInfo, ItemPosition, ProjectionExpression?) in
            let request = item["Get"] ?? .map([:])
            try RequestExpressions.checkForms(request, legacy: [], modern: ["ProjectionExpression"])
            let context = try RequestExpressions.context(request)
            let projection = try RequestExpressions.projection(request, context)
            try context.checkAllUsed()
            let table = try call.table(request["TableName"]?.string ?? "")
            return (table, try KeyChecks.position(ofKey: try Item(request["Key"] ?? .map([:])), in: table), projection)
        }
        guard Set(reads.map { BatchOperations.BatchKey(table: $0.0.id, position: $0.1) }).count == reads.count else {
            throw AWSError.validation("Transaction request cannot include multiple operations on one item")
        }
        var costs: [(String, Capacity)] = []
        let responses = try call.store.read { db in
            try reads.map { table, position, projection -> AWSValue in
                let stored = try ItemReading.stored(db, table, position)
                var capacity = Capacity()
                capacity.table = Capacity.read(stored?.size ?? 0, isConsistent: true, isTransaction: true)
                costs.append((table.name, capacity))
                guard let item = stored?.item else { return [:] }
                return ["Item": (projection?.project(item) ?? item).awsValue]
            }
        }
        var out: [String: AWSValue] = ["Responses": .list(responses)]
        out["ConsumedCapacity"] = BatchOperations.capacity(call.input, costs, kind: .read)
        return .map(out)
    }
}
