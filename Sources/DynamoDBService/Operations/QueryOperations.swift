import AWSProtocol

/// Query and Scan.
enum QueryOperations {
    static func query(_ call: Call) throws -> AWSValue {
        let input = call.input
        try checkSelect(input)
        try RequestExpressions.checkForms(
            input, legacy: ["AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"],
            modern: ["ProjectionExpression", "FilterExpression", "KeyConditionExpression"])
        let context = try RequestExpressions.context(input)
        let projection = try RequestExpressions.projection(input, context)
        let filter = try filter(input, "QueryFilter", context)
        guard input["KeyConditionExpression"] != nil || input["KeyConditions"] != nil else {
            throw AWSError.validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
        }
        var page = try request(call, projection, filter)
        let key = page.key
        let condition = try KeyCondition.of(input, context, key)
        try context.checkAllUsed()
        try filter?.checkReadsNoKey(key.names)
        page.hash = condition.hash
        page.range = condition.range
        page.isForward = input["ScanIndexForward"]?.bool ?? true
        if let start = page.start {
            guard start.entry.hash == condition.hash else {
                throw AWSError.validation("The provided starting key is outside query boundaries based on provided conditions")
            }
            guard contains(condition.range, start.entry.range) else {
                throw AWSError.validation("The provided starting key does not match the range key predicate")
            }
        }
        return try answer(call, page)
    }

    private static func contains(_ range: ByteRange, _ bytes: [UInt8]) -> Bool {
        !bytes.lexicographicallyPrecedes(range.lower) && range.upper.map { bytes.lexicographicallyPrecedes($0) } ?? true
    }

    static func scan(_ call: Call) throws -> AWSValue {
        let input = call.input
        try checkSelect(input)
        try RequestExpressions.checkForms(input, legacy: ["AttributesToGet", "ScanFilter", "ConditionalOperator"],
                                          modern: ["ProjectionExpression", "FilterExpression"])
        let context = try RequestExpressions.context(input)
        let projection = try RequestExpressions.projection(input, context)
        let filter = try filter(input, "ScanFilter", context)
        try context.checkAllUsed()
        let buckets = try segment(input)
        var page = try request(call, projection, filter)
        if let buckets {
            page.buckets = buckets
            if let start = page.start, !buckets.contains(start.entry.bucket) {
                throw AWSError.validation("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "
                    + "TotalSegments: \(input["TotalSegments"]?.integer ?? 1) Segment: \(input["Segment"]?.integer ?? 0)")
            }
        }
        return try answer(call, page)
    }

    private static func segment(_ input: AWSValue) throws -> Range<Int64>? {
        switch (input["Segment"]?.integer, input["TotalSegments"]?.integer) {
        case (nil, nil): return nil
        case (_?, nil):
            throw AWSError.validation("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
        case (nil, _?):
            throw AWSError.validation("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
        case (let segment?, let total?):
            guard segment < total else {
                throw AWSError.validation("The Segment parameter is zero-based and must be less than parameter TotalSegments: "
                    + "Segment: \(segment) is not less than TotalSegments: \(total)")
            }
            return Int64(segment) * ItemPosition.buckets / Int64(total)..<Int64(segment + 1) * ItemPosition.buckets / Int64(total)
        }
    }

    private static func filter(_ input: AWSValue, _ legacy: String, _ context: ExpressionContext) throws -> ConditionExpression? {
        if let text = input["FilterExpression"]?.string { return try ConditionExpression(text, context, label: "FilterExpression") }
        return try input[legacy].flatMap { try ConditionExpression.legacyFilter($0, conditionalOperator: input["ConditionalOperator"]?.string) }
    }

    /// What `Select` forbids, whatever the table is.
    private static func checkSelect(_ input: AWSValue) throws {
        guard let select = input["Select"]?.string else { return }
        func refuse(_ problem: String) -> AWSError { .validation("1 validation error detected: \(problem)") }
        let projections = ["ProjectionExpression", "AttributesToGet"].filter { input[$0] != nil }
        if select == "SPECIFIC_ATTRIBUTES" {
            guard projections.isEmpty else { return }
            throw refuse("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
        }
        if let projection = projections.first {
            throw refuse("Cannot specify the \(projection) when choosing to get \(select == "COUNT" ? "only the Count" : select)")
        }
        if select == "ALL_PROJECTED_ATTRIBUTES", input["IndexName"] == nil {
            throw refuse("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
        }
    }

    /// Table, index, starting key, and what of each item is seen.
    private static func request(_ call: Call, _ projection: ProjectionExpression?, _ filter: ConditionExpression?) throws -> PageRequest {
        let input = call.input, table = try call.table()
        var page = PageRequest(table: table, limit: input["Limit"]?.integer, filter: filter, projection: projection)
        let select = input["Select"]?.string
        page.wantsItems = select != "COUNT"
        if let name = input["IndexName"]?.string {
            guard let index = table.indexes.first(where: { $0.name == name }) else {
                throw AWSError.validation("The table does not have the specified index: \(name)")
            }
            if index.isBackfilling { throw AWSError.validation("Cannot read from backfilling global secondary index: \(name)") }
            page.index = index
            page.shown = index.shown(tableKey: table.key)
            if index.isLocal {
                let lacks = projection?.paths.contains { page.shown?.contains($0.attribute) == false } ?? false
                if select == "ALL_ATTRIBUTES" || lacks { page.shown = nil }
            } else {
                if input["ConsistentRead"]?.bool == true {
                    throw AWSError.validation("Consistent reads are not supported on global secondary indexes")
                }
                if select == "ALL_ATTRIBUTES", index.projection.kind != .all {
                    throw AWSError.invalid("Select type ALL_ATTRIBUTES is not supported for global secondary index \(name) because its projection type is not ALL")
                }
                let missing = Set((projection?.paths ?? []).map(\.attribute).filter { page.shown?.contains($0) == false }).sorted()
                if !missing.isEmpty {
                    throw AWSError.invalid("Global secondary index \(name) does not project [\(missing.joined(separator: ", "))]")
                }
            }
        }
        try filter?.checkKeysAreScalars(page.key.names)
        try projection?.checkKeysAreScalars(page.key.names)
        if let given = input["ExclusiveStartKey"] { page.start = try start(given, page) }
        return page
    }

    private static func start(_ given: AWSValue, _ page: PageRequest) throws -> PageRequest.Start {
        let key = try Item(given)
        let attributes = page.table.key.attributes + (page.index?.key.attributes ?? [])
        guard KeyChecks.isComplete(key, attributes), let item = ItemPosition(key, page.table.key), let entry = ItemPosition(key, page.key) else {
            throw AWSError.validation("The provided starting key is invalid" + (page.index == nil ? ": The provided key element does not match the schema" : ""))
        }
        return .init(entry: entry, item: item)
    }

    private static func answer(_ call: Call, _ request: PageRequest) throws -> AWSValue {
        let isConsistent = call.input["ConsistentRead"]?.bool ?? false
        let page = try call.store.read { try request.read($0, isConsistent: isConsistent) }
        var out: [String: AWSValue] = ["Count": .integer(page.count), "ScannedCount": .integer(page.scanned)]
        if request.wantsItems { out["Items"] = .list(page.items.map(\.awsValue)) }
        if let last = page.last { out["LastEvaluatedKey"] = last.awsValue }
        var capacity = Capacity()
        let units = Capacity.read(page.bytes, isConsistent: isConsistent)
        if let index = request.index {
            capacity.table = page.fetchedUnits
            if index.isLocal { capacity.locals[index.name] = units } else { capacity.globals[index.name] = units }
        } else {
            capacity.table = units
        }
        out["ConsumedCapacity"] = capacity.described(call.input, request.table.name)
        return .map(out)
    }
}
