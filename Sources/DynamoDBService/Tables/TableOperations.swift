import AWSProtocol

/// CreateTable, DescribeTable, ListTables, UpdateTable and DeleteTable.
enum TableOperations {
    // MARK: CreateTable

    static func create(_ call: Call) throws -> AWSValue {
        let input = call.input, name = call.string("TableName") ?? ""
        try TableNames.check(name, at: "tableName")
        for (member, what) in [("GlobalTableSourceArn", "copies of other tables"), ("GlobalTableSettingsReplicationMode", "global tables"),
                               ("VectorIndexes", "vector indexes")] where input[member] != nil {
            throw Refusals.unsupported(member, what)
        }
        var definition = try newDefinition(input, call)
        definition.tags = try TableChecks.tags(input["Tags"])
        let stream = try streamRequest(input["StreamSpecification"])
        let (account, region, now, store) = (call.account, call.region, call.now, call.store)
        let created = definition
        let table = try store.transact { transaction in
            if transaction.catalog.table(.init(account: account, region: region, name: name)) != nil {
                throw AWSError("ResourceInUseException", "Table already exists: \(name)")
            }
            let id = try transaction.nextID()
            var definition = created
            for i in definition.locals.indices { definition.locals[i].id = try transaction.nextID() }
            for i in definition.globals.indices { definition.globals[i].id = try transaction.nextID() }
            var table = TableInfo(id: id, account: account, region: region, name: name, definition: definition)
            if let viewType = stream?.viewType {
                let (arn, label) = try store.changes.enableStream(transaction.db, table: table, viewType: viewType, at: now)
                table = table.changed { $0.stream = StreamSettings(isEnabled: true, viewType: viewType, arn: arn, label: label) }
            }
            try transaction.put(table)
            return table
        }
        return ["TableDescription": table.description([:], status: "CREATING", now: now)]
    }

    private static func newDefinition(_ input: AWSValue, _ call: Call) throws -> TableDefinition {
        let isOnDemand = input["BillingMode"]?.string == "PAY_PER_REQUEST"
        var throughput = try TableChecks.throughput(input["ProvisionedThroughput"], isOnDemand: isOnDemand)
        throughput.increasedAt = nil
        for member in ["LocalSecondaryIndexes", "GlobalSecondaryIndexes"] where input[member]?.list?.isEmpty == true {
            throw AWSError.invalid("List of \(member) is empty")
        }
        let attributes = try TableChecks.attributes(input)
        let key = try TableChecks.tableKey(input["KeySchema"], attributes)
        var definition = TableDefinition(
            uuid: call.store.host.uuid(), createdAt: call.now, attributes: attributes, key: key, isOnDemand: isOnDemand,
            becameOnDemandAt: isOnDemand ? call.now : nil, throughput: throughput)
        definition.locals = try (input["LocalSecondaryIndexes"]?.list ?? []).map { try TableChecks.local($0, table: key, attributes) }
        definition.globals = try (input["GlobalSecondaryIndexes"]?.list ?? []).map {
            try TableChecks.global($0, isOnDemand: isOnDemand, now: call.now, attributes)
        }
        try TableChecks.checkTogether(definition)
        definition.onDemand = TableChecks.unitLimits(input["OnDemandThroughput"], "MaxReadRequestUnits", "MaxWriteRequestUnits")
        definition.warm = try TableChecks.warm(input["WarmThroughput"], isOnDemand: isOnDemand, provisioned: throughput, "table")
        definition.encryption = encryption(input["SSESpecification"], call)
        definition.tableClass = input["TableClass"]?.string
        definition.isProtected = input["DeletionProtectionEnabled"]?.bool ?? false
        if let policy = input["ResourcePolicy"]?.string { definition.policy = ResourcePolicy(text: policy, revision: String(call.now)) }
        return definition
    }

    private static func streamRequest(_ value: AWSValue?) throws -> (isEnabled: Bool, viewType: String?)? {
        guard let value else { return nil }
        let isEnabled = value["StreamEnabled"]?.bool ?? false, viewType = value["StreamViewType"]?.string
        if isEnabled, viewType == nil { throw AWSError.invalid("Table is being created or updated with StreamEnabled true: StreamViewType must be specified") }
        if !isEnabled, viewType != nil { throw AWSError.invalid("StreamViewType cannot be specified when StreamEnabled is false") }
        return (isEnabled, viewType)
    }

    private static func encryption(_ value: AWSValue?, _ call: Call) -> Encryption? {
        guard let value else { return nil }
        guard value["Enabled"]?.bool ?? (value["KMSMasterKeyId"] != nil) else { return Encryption(isEnabled: false) }
        let id = value["KMSMasterKeyId"]?.string ?? "alias/aws/dynamodb"
        let name = id.hasPrefix("alias/") ? id : "key/" + id
        return Encryption(isEnabled: true, keyArn: id.hasPrefix("arn:") ? id : "arn:aws:kms:\(call.region):\(call.account):\(name)")
    }

    // MARK: DescribeTable, ListTables

    static func describe(_ call: Call) throws -> AWSValue {
        let table = try call.namedTable()
        return ["Table": table.description(try call.store.counters([table.id] + table.indexes.map(\.id)), status: "ACTIVE", now: call.now)]
    }

    static func list(_ call: Call) throws -> AWSValue {
        let start = call.string("ExclusiveStartTableName"), limit = call.input["Limit"]?.integer ?? 100
        if let start { try TableNames.check(start, at: "exclusiveStartTableName") }
        let names = call.store.tables.filter { $0.account == call.account && $0.region == call.region }.map(\.name)
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let after = start.map { start in names.filter { start.utf8.lexicographicallyPrecedes($0.utf8) } } ?? names
        var out: [String: AWSValue] = ["TableNames": .list(after.prefix(limit).map { .string($0) })]
        if after.count > limit { out["LastEvaluatedTableName"] = .string(after[limit - 1]) }
        return .map(out)
    }

    // MARK: DeleteTable

    static func delete(_ call: Call) throws -> AWSValue {
        let table = try call.namedTable(), store = call.store
        let counters = try store.counters([table.id] + table.indexes.map(\.id))
        let deleted = try store.transact { transaction in
            guard let now = try? transaction.current(table) else { throw Call.notFound(table.name) }
            if now.definition.isProtected {
                throw AWSError.validation("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
            }
            try transaction.remove(now)
            try store.changes.tableDeleted(transaction.db, table: now)
            return now
        }
        store.maintenance.wake()
        return ["TableDescription": deleted.description(counters, status: "DELETING", now: call.now)]
    }

    // MARK: UpdateTable

    static func update(_ call: Call) throws -> AWSValue {
        let input = call.input
        for (member, what) in [("ReplicaUpdates", "global tables"), ("MultiRegionConsistency", "global tables"), ("GlobalTableWitnessUpdates", "global tables"),
                               ("GlobalTableSettingsReplicationMode", "global tables"), ("VectorIndexUpdates", "vector indexes"),
                               ("DisassociationProtectionEnabled", "global tables")] where input[member] != nil {
            throw Refusals.unsupported(member, what)
        }
        let table = try call.namedTable()
        guard input.map?.keys.contains(where: { $0 != "TableName" && $0 != "AttributeDefinitions" }) == true else {
            throw AWSError.validation("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
                + "SSESpecification or ReplicaUpdates is required")
        }
        let stream = try streamRequest(input["StreamSpecification"])
        let (store, now) = (call.store, call.now)
        let encryption = encryption(input["SSESpecification"], call)
        let updated = try store.transact { transaction in
            guard let current = try? transaction.current(table) else { throw Call.notFound(table.name) }
            var changed = try current.changed { definition in
                try changeCapacity(&definition, input, now)
                if let encryption { definition.encryption = encryption }
                if let tableClass = input["TableClass"]?.string { definition.tableClass = tableClass }
                if let isProtected = input["DeletionProtectionEnabled"]?.bool { definition.isProtected = isProtected }
                try changeIndexes(&definition, input, now, transaction)
            }
            if let stream { changed = try change(changed, stream, now, store, transaction) }
            try transaction.put(changed)
            // Small tables have their new indexes at once; larger ones are worked through beside other requests.
            return try Backfill.step(transaction, changed) ?? changed
        }
        store.maintenance.wake()
        return ["TableDescription": updated.description(try store.counters([updated.id] + updated.indexes.map(\.id)), status: "UPDATING", now: now)]
    }

    private static func changeCapacity(_ definition: inout TableDefinition, _ input: AWSValue, _ now: Int64) throws {
        if let mode = input["BillingMode"]?.string, (mode == "PAY_PER_REQUEST") != definition.isOnDemand {
            definition.isOnDemand = mode == "PAY_PER_REQUEST"
            if definition.isOnDemand {
                definition.becameOnDemandAt = now
                definition.throughput.change(read: 0, write: 0, now: now)
                for i in definition.globals.indices { definition.globals[i].throughput?.change(read: 0, write: 0, now: now) }
            }
        }
        if input["ProvisionedThroughput"] != nil || (input["BillingMode"]?.string == "PROVISIONED" && definition.throughput.read == 0) {
            let asked = try TableChecks.throughput(input["ProvisionedThroughput"], isOnDemand: definition.isOnDemand)
            let current = definition.throughput
            if asked.read == current.read, asked.write == current.write, input["BillingMode"] == nil, input["GlobalSecondaryIndexUpdates"] == nil {
                throw AWSError.validation("The provisioned throughput for the table will not change. The requested value equals the current value. "
                    + "Current ReadCapacityUnits provisioned for the table: \(current.read). Requested ReadCapacityUnits: \(asked.read). "
                    + "Current WriteCapacityUnits provisioned for the table: \(current.write). Requested WriteCapacityUnits: \(asked.write). "
                    + "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.")
            }
            definition.throughput.change(read: asked.read, write: asked.write, now: now)
        }
        if let limits = TableChecks.unitLimits(input["OnDemandThroughput"], "MaxReadRequestUnits", "MaxWriteRequestUnits") { definition.onDemand = limits }
        if let limits = try TableChecks.warm(input["WarmThroughput"], isOnDemand: definition.isOnDemand, provisioned: definition.throughput, "table") {
            definition.warm = limits
        }
    }

    private static func changeIndexes(_ definition: inout TableDefinition, _ input: AWSValue, _ now: Int64, _ transaction: WriteTransaction) throws {
        let updates = input["GlobalSecondaryIndexUpdates"]?.list ?? []
        guard !updates.isEmpty else { return }
        for attribute in try TableChecks.attributes(input) {
            if let i = definition.attributes.firstIndex(where: { $0.name == attribute.name }) {
                guard definition.attributes[i].type == attribute.type else {
                    throw AWSError.invalid("Attribute \(attribute.name) is defined with another type already: \(definition.attributes[i].type.rawValue)")
                }
            } else {
                definition.attributes.append(attribute)
            }
        }
        guard updates.filter({ $0["Create"] != nil || $0["Delete"] != nil }).count <= 1 else {
            throw AWSError("LimitExceededException", "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
        }
        for update in updates {
            guard let members = update.map, members.count == 1 else {
                throw AWSError.invalid("One of GlobalSecondaryIndexUpdate's Create, Update or Delete must be specified, and only one")
            }
            if let create = update["Create"] {
                let name = create["IndexName"]?.string ?? ""
                guard !definition.indexes.contains(where: { $0.name == name }) else {
                    throw AWSError.validation("Attempting to create an index which already exists")
                }
                var index = try TableChecks.global(create, isOnDemand: definition.isOnDemand, now: now, definition.attributes)
                index.id = try transaction.nextID()
                index.isBackfilling = true
                definition.globals.append(index)
            } else if let change = update["Update"] {
                let i = try find(change, definition)
                if change["ProvisionedThroughput"] != nil {
                    let asked = try TableChecks.throughput(change["ProvisionedThroughput"], isOnDemand: definition.isOnDemand, index: definition.globals[i].name)
                    definition.globals[i].throughput = definition.globals[i].throughput ?? .zero
                    definition.globals[i].throughput!.change(read: asked.read, write: asked.write, now: now)
                }
                if let limits = TableChecks.unitLimits(change["OnDemandThroughput"], "MaxReadRequestUnits", "MaxWriteRequestUnits") {
                    definition.globals[i].onDemand = limits
                }
                if let limits = try TableChecks.warm(change["WarmThroughput"], isOnDemand: definition.isOnDemand,
                                                     provisioned: definition.globals[i].throughput, "index \(definition.globals[i].name)") {
                    definition.globals[i].warm = limits
                }
            } else if let delete = update["Delete"] {
                try transaction.drop(definition.globals.remove(at: find(delete, definition)))
            }
        }
        let used = Set(definition.key.names + definition.indexes.flatMap(\.key.names))
        definition.attributes.removeAll { !used.contains($0.name) }
        try TableChecks.checkTogether(definition)
    }

    private static func find(_ update: AWSValue, _ definition: TableDefinition) throws -> Int {
        let name = update["IndexName"]?.string ?? ""
        guard let i = definition.globals.firstIndex(where: { $0.name == name }) else {
            throw AWSError("ResourceNotFoundException", "Requested resource not found: Index: \(name) not found")
        }
        return i
    }

    private static func change(_ table: TableInfo, _ stream: (isEnabled: Bool, viewType: String?), _ now: Int64, _ store: Store,
                               _ transaction: WriteTransaction) throws -> TableInfo {
        let current = table.definition.stream
        if let viewType = stream.viewType {
            guard current?.isEnabled != true else {
                throw AWSError("ResourceInUseException", "Table already has an enabled stream: TableName: \(table.name)")
            }
            let (arn, label) = try store.changes.enableStream(transaction.db, table: table, viewType: viewType, at: now)
            return table.changed { $0.stream = StreamSettings(isEnabled: true, viewType: viewType, arn: arn, label: label) }
        }
        guard current?.isEnabled == true else { throw AWSError.validation("Table has no stream to disable: TableName: \(table.name)") }
        try store.changes.disableStream(transaction.db, table: table)
        return table.changed { $0.stream?.isEnabled = false }
    }
}
