import AWSProtocol

/// What keys must be, in the service's words.
enum KeyChecks {
    static let mismatch = AWSError.validation("The provided key element does not match the schema")

    /// The key of a whole item.
    static func position(ofItem item: Item, in table: TableInfo) throws -> ItemPosition {
        for attribute in table.key.attributes {
            guard let value = item[attribute.name] else { throw AWSError.invalid("Missing the key \(attribute.name) in the item") }
            guard value.kind.rawValue == attribute.type.rawValue else {
                throw AWSError.invalid("Type mismatch for key \(attribute.name) expected: \(attribute.type.rawValue) actual: \(value.kind.rawValue)")
            }
        }
        try checkEmpty(item, table.key)
        try checkIndexes(item, in: table)
        return try position(item, table.key)
    }

    /// A key that is given alone.
    static func position(ofKey key: Item, in table: TableInfo) throws -> ItemPosition {
        guard isComplete(key, table.key.attributes) else { throw mismatch }
        try checkEmpty(key, table.key)
        return try position(key, table.key)
    }

    static func isComplete(_ key: Item, _ attributes: [KeyAttribute]) -> Bool {
        key.count == Set(attributes.map(\.name)).count && attributes.allSatisfy { key[$0.name]?.kind.rawValue == $0.type.rawValue }
    }

    private static func position(_ item: Item, _ key: KeySchema) throws -> ItemPosition {
        guard let position = ItemPosition(item, key) else { throw mismatch }
        try checkSizes(item, key)
        return position
    }

    private static func checkSizes(_ item: Item, _ key: KeySchema) throws {
        func size(_ attributes: [KeyAttribute]) -> Int { attributes.reduce(0) { $0 + (item[$1.name]?.byteCount ?? 0) } }
        if size(key.hash) > 2_048 { throw AWSError.invalid("Size of hashkey has exceeded the maximum size limit of2048 bytes") }
        if size(key.range) > 1_024 { throw AWSError.invalid("Aggregated size of all range keys has exceeded the size limit of 1024 bytes") }
    }

    private static func emptiness(_ value: AttributeValue?) -> String? {
        switch value {
        case .s(let text) where text.isEmpty: "string"
        case .b(let bytes) where bytes.isEmpty: "binary"
        default: nil
        }
    }

    private static func checkEmpty(_ item: Item, _ key: KeySchema) throws {
        for attribute in key.attributes {
            guard let kind = emptiness(item[attribute.name]) else { continue }
            throw AWSError.validation("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty \(kind) "
                + "value. Key: \(attribute.name)")
        }
    }

    /// Attributes that are keys of indexes may be missing, but not of another type.
    ///
    /// - Parameter updated: the attributes that an update has set, which the service words in another way; nil for whole items.
    static func checkIndexes(_ item: Item, in table: TableInfo, updated: Set<String>? = nil) throws {
        for index in table.indexes {
            for attribute in index.key.attributes {
                guard let value = item[attribute.name], updated?.contains(attribute.name) != false else { continue }
                guard value.kind.rawValue == attribute.type.rawValue else {
                    throw AWSError.invalid("Type mismatch for Index Key \(attribute.name) Expected: \(attribute.type.rawValue) "
                        + "Actual: \(value.kind.rawValue) IndexName: \(index.name)")
                }
                guard let kind = emptiness(value) else { continue }
                throw AWSError.validation(updated == nil
                    ? "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
                        + "The AttributeValue for a key attribute cannot contain an empty \(kind) value. IndexName: \(index.name), IndexKey: \(attribute.name)"
                    : "One or more parameter values are not valid. The update expression attempted to update a secondary index key to a value that is "
                        + "not supported. The AttributeValue for a key attribute cannot contain an empty \(kind) value.")
            }
            try checkSizes(item, index.key)
        }
    }
}
