import AWSProtocol

/// One change of one item, as PutItem, UpdateItem, DeleteItem and the members of batches and transactions ask for it.
struct ItemWrite: Sendable {
    enum Action: Sendable {
        case put(Item)
        case update(UpdateExpression?)
        case delete
        case check
    }

    var action: Action
    /// Of all but puts.
    var key: Item = [:]
    var condition: ConditionExpression?
    var returnsItemOnFailure = false

    /// Checked against the table; holds what can be made ready outside of the transaction.
    func bound(to table: TableInfo) throws -> BoundWrite {
        try condition?.checkKeysAreScalars(table.key.names)
        switch action {
        case .put(let item):
            let position = try KeyChecks.position(ofItem: item, in: table)
            return BoundWrite(write: self, table: table, position: position, new: try StoredItem(item))
        case .update(let update):
            let position = try KeyChecks.position(ofKey: key, in: table)
            try update?.checkLeavesKeys(table.key.names)
            return BoundWrite(write: self, table: table, position: position, new: nil)
        case .delete, .check: return BoundWrite(write: self, table: table, position: try KeyChecks.position(ofKey: key, in: table), new: nil)
        }
    }
}

struct WriteOutcome: Sendable {
    var old: Item?
    var new: Item?
    var units: WriteUnits
    var table: TableInfo
}

struct BoundWrite: Sendable {
    var write: ItemWrite
    var table: TableInfo
    var position: ItemPosition
    var new: StoredItem?

    /// - Throws: `ConditionalCheckFailedException`; `ValidationException` for updates that do not fit the item.
    func perform(_ transaction: WriteTransaction) throws -> WriteOutcome {
        let table = try transaction.current(table)
        let old = try transaction.stored(table, position)
        if let condition = write.condition, try !condition.evaluate(item: old?.item) {
            throw AWSError("ConditionalCheckFailedException", "The conditional request failed",
                           members: write.returnsItemOnFailure ? (old.map { ["Item": $0.item.awsValue] } ?? [:]) : [:])
        }
        switch write.action {
        case .put(let item):
            // An index may have come since the item was checked.
            if table !== self.table { try KeyChecks.checkIndexes(item, in: table) }
            let units = try transaction.replace(table, position, old: old, new: new)
            return WriteOutcome(old: old?.item, new: item, units: units, table: table)
        case .delete:
            let units = try transaction.replace(table, position, old: old, new: nil)
            return WriteOutcome(old: old?.item, new: nil, units: units, table: table)
        case .check: return WriteOutcome(old: old?.item, new: old?.item, units: WriteUnits(table: WriteUnits.of(old?.size ?? 0)), table: table)
        case .update(let update):
            var item = old?.item ?? write.key
            if let update {
                item = try update.apply(to: item)
                try KeyChecks.checkIndexes(item, in: table, updated: Set(update.paths.map(\.attribute)))
            }
            let new = try StoredItem(item, tooLarge: "Item size to update has exceeded the maximum allowed size")
            let units = try transaction.replace(table, position, old: old, new: new)
            return WriteOutcome(old: old?.item, new: item, units: units, table: table)
        }
    }
}
