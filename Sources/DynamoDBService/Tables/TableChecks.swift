import AWSProtocol

extension AWSError {
    /// `One or more parameter values were invalid: ...`
    static func invalid(_ problem: String) -> AWSError { .validation("One or more parameter values were invalid: \(problem)") }
}

/// Reads what CreateTable and UpdateTable say about keys, indexes and capacity.
enum TableChecks {
    /// In the order of the request.
    static func attributes(_ input: AWSValue) throws -> [KeyAttribute] {
        var out: [KeyAttribute] = []
        for each in input["AttributeDefinitions"]?.list ?? [] {
            let name = each["AttributeName"]?.string ?? ""
            guard !out.contains(where: { $0.name == name }) else {
                throw AWSError.invalid("Duplicate AttributeName in AttributeDefinitions: \(name)")
            }
            guard let type = ScalarType(rawValue: each["AttributeType"]?.string ?? "") else { throw AWSError.invalid("Unknown AttributeType for \(name)") }
            out.append(KeyAttribute(name: name, type: type))
        }
        return out
    }

    private static func brackets(_ names: some Sequence<String>) -> String { "[" + names.joined(separator: ", ") + "]" }

    /// Names and roles as the request gives them, `HASH` first.
    private static func elements(_ schema: AWSValue?, perRole: Int) throws -> (hash: [String], range: [String]) {
        let all = (schema?.list ?? []).map { ($0["AttributeName"]?.string ?? "", $0["KeyType"]?.string ?? "") }
        guard all.count <= 2 * perRole else {
            let shown = all.map { "KeySchemaElement(attributeName=\($0), keyType=\($1))" }.joined(separator: ", ")
            throw AWSError.validation("1 validation error detected: Value '[\(shown)]' at 'keySchema' failed to satisfy constraint: "
                + "Member must have length less than or equal to \(2 * perRole)")
        }
        guard all.first?.1 == "HASH" else { throw AWSError.validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type") }
        let hash = all.prefix { $0.1 == "HASH" }.map(\.0), range = all.dropFirst(hash.count).map(\.0)
        guard all.dropFirst(hash.count).allSatisfy({ $0.1 == "RANGE" }), hash.count <= perRole, range.count <= perRole else {
            throw AWSError.validation(perRole == 1
                ? "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"
                : "Invalid KeySchema: HASH elements come before RANGE elements, with at most \(perRole) of each")
        }
        guard Set(hash + range).count == all.count else {
            throw AWSError.validation(perRole == 1
                ? "Both the Hash Key and the Range Key element in the KeySchema have the same name"
                : "Invalid KeySchema: an attribute is named more than once: \(brackets(hash + range))")
        }
        return (hash, range)
    }

    private static func resolve(_ names: (hash: [String], range: [String]), _ attributes: [KeyAttribute]) throws -> KeySchema {
        func find(_ name: String) throws -> KeyAttribute {
            if let found = attributes.first(where: { $0.name == name }) { return found }
            let missing = (names.hash + names.range).filter { name in !attributes.contains { $0.name == name } }
            throw AWSError.invalid("Some index key attributes are not defined in AttributeDefinitions. Keys: \(brackets(missing.sorted())), "
                + "AttributeDefinitions: \(brackets(attributes.map(\.name).sorted()))")
        }
        return KeySchema(hash: try names.hash.map(find), range: try names.range.map(find))
    }

    static func tableKey(_ schema: AWSValue?, _ attributes: [KeyAttribute]) throws -> KeySchema {
        let names = try elements(schema, perRole: 1)
        let all = names.hash + names.range
        // The service says it in another way when there are fewer definitions than keys.
        if attributes.count < all.count, !all.allSatisfy({ name in attributes.contains { $0.name == name } }) {
            throw AWSError.validation("Invalid KeySchema: Some index key attribute have no definition")
        }
        return try resolve(names, attributes)
    }

    static func projection(_ value: AWSValue?) throws -> Projection {
        guard let kind = value?["ProjectionType"]?.string.flatMap(Projection.Kind.init) else {
            throw AWSError.invalid("Unknown ProjectionType: \(value?["ProjectionType"]?.string ?? "null")")
        }
        let others = value?["NonKeyAttributes"]?.list?.compactMap(\.string)
        if kind == .include, others == nil { throw AWSError.invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified") }
        if kind != .include, others != nil { throw AWSError.invalid("ProjectionType is \(kind.rawValue), but NonKeyAttributes is specified") }
        return Projection(kind: kind, others: others ?? [])
    }

    static func local(_ value: AWSValue, table: KeySchema, _ attributes: [KeyAttribute]) throws -> IndexDefinition {
        let name = value["IndexName"]?.string ?? ""
        let names = try elements(value["KeySchema"], perRole: 1)
        guard !table.range.isEmpty else {
            throw AWSError.invalid("Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")
        }
        let key = try resolve(names, attributes)
        guard !key.range.isEmpty else { throw AWSError.invalid("Index KeySchema does not have a range key for index: \(name)") }
        guard key.hash == table.hash else {
            throw AWSError.invalid("Index KeySchema does not have the same leading hash key as table KeySchema for index: \(name). "
                + "index hash key: \(key.hash[0].name), table hash key: \(table.hash[0].name)")
        }
        return IndexDefinition(id: 0, name: name, key: key, projection: try projection(value["Projection"]), isLocal: true)
    }

    static func global(_ value: AWSValue, isOnDemand: Bool, now: Int64, _ attributes: [KeyAttribute]) throws -> IndexDefinition {
        let name = value["IndexName"]?.string ?? ""
        let key = try resolve(try elements(value["KeySchema"], perRole: 4), attributes)
        var index = IndexDefinition(id: 0, name: name, key: key, projection: try projection(value["Projection"]), isLocal: false)
        index.throughput = try throughput(value["ProvisionedThroughput"], isOnDemand: isOnDemand, index: name)
        index.onDemand = unitLimits(value["OnDemandThroughput"], "MaxReadRequestUnits", "MaxWriteRequestUnits")
        index.warm = try warm(value["WarmThroughput"], isOnDemand: isOnDemand, provisioned: index.throughput, "index \(name)")
        return index
    }

    static func throughput(_ value: AWSValue?, isOnDemand: Bool, index: String? = nil) throws -> Throughput {
        if isOnDemand {
            if value != nil {
                throw AWSError.invalid(index == nil
                    ? "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
                    : "ProvisionedThroughput should not be specified for index: \(index!) when BillingMode is PAY_PER_REQUEST")
            }
            return .zero
        }
        guard let read = value?["ReadCapacityUnits"]?.integer, let write = value?["WriteCapacityUnits"]?.integer else {
            throw AWSError.invalid(index == nil
                ? "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
                : "ProvisionedThroughput must be specified for index: \(index!)")
        }
        let most: Int64 = 1_000_000_000_000
        if read > most { throw AWSError.invalid("Given value \(read) for ReadCapacityUnits is out of bounds") }
        if write > most { throw AWSError.invalid("Given value \(write) for WriteCapacityUnits is out of bounds") }
        return Throughput(read: read, write: write)
    }

    static func unitLimits(_ value: AWSValue?, _ read: String, _ write: String) -> UnitLimits? {
        value.map { UnitLimits(read: $0[read]?.integer, write: $0[write]?.integer) }
    }

    static func warm(_ value: AWSValue?, isOnDemand: Bool, provisioned: Throughput?, _ what: String) throws -> UnitLimits? {
        guard let limits = unitLimits(value, "ReadUnitsPerSecond", "WriteUnitsPerSecond") else { return nil }
        let least = isOnDemand ? Throughput(read: 12_000, write: 4_000) : provisioned ?? .zero
        let base = isOnDemand ? "initial throughput for OnDemand" : "Provisioned throughput"
        if let read = limits.read, read < least.read {
            throw AWSError.invalid("Requested ReadUnitsPerSecond for WarmThroughput for \(what) is lower than \(base)")
        }
        if let write = limits.write, write < least.write {
            throw AWSError.invalid("Requested WriteUnitsPerSecond for WarmThroughput for \(what) is lower than \(base)")
        }
        return limits
    }

    /// Counts, names and definitions of a table's indexes taken together.
    static func checkTogether(_ definition: TableDefinition) throws {
        if definition.locals.count > 5 { throw AWSError.invalid("Number of LocalSecondaryIndexes exceeds per-table limit of 5") }
        if definition.globals.count > 20 { throw AWSError.invalid("GlobalSecondaryIndex count exceeds the per-table limit of 20") }
        var seen = Set<String>()
        for index in definition.indexes where !seen.insert(index.name).inserted { throw AWSError.invalid("Duplicate index name: \(index.name)") }
        let others = Set(definition.indexes.flatMap { index in index.projection.others.map { "\(index.name)/\($0)" } })
        if others.count > 100 {
            throw AWSError.invalid("Total number of NonKeyAttributes over all indexes is \(others.count): at most 100 are allowed")
        }
        let used = Set(definition.key.names + definition.indexes.flatMap(\.key.names)), defined = definition.attributes.map(\.name)
        guard used.count != defined.count else { return }
        throw AWSError.invalid(definition.indexes.isEmpty
            ? "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"
            : "Some AttributeDefinitions are not used. AttributeDefinitions: \(brackets(defined.sorted())), keys used: \(brackets(used.sorted()))")
    }

    static func tags(_ value: AWSValue?, onto existing: [String: String] = [:]) throws -> [String: String] {
        var out = existing
        var given = Set<String>()
        for tag in value?.list ?? [] {
            let key = tag["Key"]?.string ?? ""
            guard !key.hasPrefix("aws:") else { throw AWSError.invalid("aws: prefixed tag key names are not allowed for user use") }
            guard given.insert(key).inserted else { throw AWSError.invalid("Duplicate tag key: \(key)") }
            out[key] = tag["Value"]?.string ?? ""
        }
        guard out.count <= 50 else { throw AWSError.invalid("Too many tags: \(out.count), at most 50 are allowed") }
        return out
    }
}
