import AWSProtocol
import StreamCore

/// What keys are made of.
public enum ScalarType: String, Codable, Sendable {
    case s = "S", n = "N", b = "B"
}

/// An attribute that is part of a key.
public struct KeyAttribute: Codable, Hashable, Sendable {
    public var name: String
    public var type: ScalarType

    public init(name: String, type: ScalarType) { (self.name, self.type) = (name, type) }

    public var kind: AttributeValue.Kind {
        switch type {
        case .s: .s
        case .n: .n
        case .b: .b
        }
    }
}

/// One hash and at most one range attribute; global indexes may have up to four of each.
public struct KeySchema: Codable, Hashable, Sendable {
    public var hash: [KeyAttribute]
    public var range: [KeyAttribute]

    public var attributes: [KeyAttribute] { hash + range }
    public var names: [String] { attributes.map(\.name) }

    var awsValue: AWSValue {
        .list(hash.map { ["AttributeName": .string($0.name), "KeyType": "HASH"] } + range.map { ["AttributeName": .string($0.name), "KeyType": "RANGE"] })
    }

    /// The part of an item that is its key.
    public func key(of item: Item) -> Item {
        var key = Item(minimumCapacity: 2)
        for attribute in attributes { key[attribute.name] = item[attribute.name] }
        return key
    }
}

/// Units a second, and when they changed.
struct Throughput: Codable, Hashable, Sendable {
    var read: Int
    var write: Int
    var increasedAt: Int64?
    var decreasedAt: Int64?
    /// Reductions on the day (UTC) of `decreasedAt`.
    var decreases = 0

    static let zero = Throughput(read: 0, write: 0)

    func description(now: Int64) -> AWSValue {
        let isToday = decreasedAt.map { $0 / 86_400_000 == now / 86_400_000 } ?? false
        var out: [String: AWSValue] = [
            "ReadCapacityUnits": .integer(Int64(read)), "WriteCapacityUnits": .integer(Int64(write)),
            "NumberOfDecreasesToday": .integer(isToday ? Int64(decreases) : 0),
        ]
        if let increasedAt { out["LastIncreaseDateTime"] = .milliseconds(increasedAt) }
        if let decreasedAt { out["LastDecreaseDateTime"] = .milliseconds(decreasedAt) }
        return .map(out)
    }

    mutating func change(read: Int, write: Int, now: Int64) {
        if read > self.read || write > self.write { increasedAt = now }
        if read < self.read || write < self.write {
            decreases = decreasedAt.map { $0 / 86_400_000 == now / 86_400_000 } ?? false ? decreases + 1 : 1
            decreasedAt = now
        }
        (self.read, self.write) = (read, write)
    }
}

/// Which attributes an index shows.
struct Projection: Codable, Hashable, Sendable {
    enum Kind: String, Codable { case all = "ALL", keysOnly = "KEYS_ONLY", include = "INCLUDE" }
    var kind: Kind
    var others: [String] = []

    var awsValue: AWSValue {
        kind == .include ? ["ProjectionType": "INCLUDE", "NonKeyAttributes": .list(others.map { .string($0) })] : ["ProjectionType": .string(kind.rawValue)]
    }
}

/// A local or global secondary index.
struct IndexDefinition: Codable, Hashable, Sendable {
    var id: Int64
    var name: String
    var key: KeySchema
    var projection: Projection
    var throughput: Throughput?
    var onDemand: UnitLimits?
    var warm: UnitLimits?
    /// Rows that were there before the index are being added to it.
    var isBackfilling = false
    var isLocal: Bool

    /// Names that the index shows; nil for all.
    func shown(tableKey: KeySchema) -> Set<String>? {
        projection.kind == .all ? nil : Set(key.names + tableKey.names + projection.others)
    }
}

struct UnitLimits: Codable, Hashable, Sendable {
    var read: Int?
    var write: Int?
}

/// A table's stream of changes; kept with `isEnabled` false when it was switched off, as the service still names it.
public struct StreamSettings: Codable, Hashable, Sendable {
    public var isEnabled: Bool
    /// `NEW_AND_OLD_IMAGES`
    public var viewType: String
    public var arn: String
    public var label: String
}

struct TimeToLive: Codable, Hashable, Sendable {
    var attribute: String
    var isEnabled: Bool
    /// Items that were there before are being looked through.
    var isBackfilling = false
}

struct Encryption: Codable, Hashable, Sendable {
    var isEnabled: Bool
    var keyArn: String?
}

struct ResourcePolicy: Codable, Hashable, Sendable {
    var text: String
    var revision: String
}

/// What a table was told to be.
public struct TableDefinition: Codable, Sendable {
    var uuid: String
    var createdAt: Int64
    /// As CreateTable listed them.
    var attributes: [KeyAttribute]
    var key: KeySchema
    var isOnDemand: Bool
    var becameOnDemandAt: Int64?
    var throughput: Throughput
    var onDemand: UnitLimits?
    var warm: UnitLimits?
    var locals: [IndexDefinition] = []
    var globals: [IndexDefinition] = []
    public internal(set) var stream: StreamSettings?
    var encryption: Encryption?
    var tableClass: String?
    var isProtected = false
    var tags: [String: String] = [:]
    var timeToLive: TimeToLive?
    /// Days that point-in-time recovery would keep; nil when it is off.
    var recoveryDays: Int?
    var recoverySince: Int64?
    var policy: ResourcePolicy?

    var indexes: [IndexDefinition] { locals + globals }
}

/// A table as requests see it; replaced as a whole when its definition changes.
public final class TableInfo: Sendable {
    /// Never given to another table.
    public let id: Int64
    public let account: String
    public let region: String
    public let name: String
    public let definition: TableDefinition
    public var key: KeySchema { definition.key }
    public let arn: String
    let indexes: [IndexDefinition]

    init(id: Int64, account: String, region: String, name: String, definition: TableDefinition) {
        (self.id, self.account, self.region, self.name, self.definition) = (id, account, region, name, definition)
        arn = "arn:aws:dynamodb:\(region):\(account):table/\(name)"
        indexes = definition.indexes
    }

    func changed(_ change: (inout TableDefinition) throws -> Void) rethrows -> TableInfo {
        var definition = definition
        try change(&definition)
        return TableInfo(id: id, account: account, region: region, name: name, definition: definition)
    }
}

/// All tables, by account, region and name.
struct Catalog: Sendable {
    struct Name: Hashable, Sendable {
        var account: String, region: String, name: String
    }

    var tables: [Name: TableInfo] = [:]

    func table(_ name: Name) -> TableInfo? { tables[name] }
}

extension AWSValue {
    static func milliseconds(_ value: Int64) -> AWSValue { .timestamp(Double(value) / 1_000) }
    static func integer(_ value: Int) -> AWSValue { .integer(Int64(value)) }
}
