/// Bounds of a partition column; nil = none.
public struct ValueRange: Hashable, Sendable {
    public var lower: Value?, upper: Value?
    public var includesLower: Bool, includesUpper: Bool

    public init(lower: Value? = nil, includesLower: Bool = true, upper: Value? = nil, includesUpper: Bool = true) {
        self.lower = lower
        self.includesLower = includesLower
        self.upper = upper
        self.includesUpper = includesUpper
    }

    public func contains(_ value: Value) -> Bool {
        if let lower {
            guard let order = Self.order(value, lower), order > 0 || order == 0 && includesLower else { return false }
        }
        if let upper {
            guard let order = Self.order(value, upper), order < 0 || order == 0 && includesUpper else { return false }
        }
        return true
    }

    /// What is in both.
    public func intersection(_ other: ValueRange) -> ValueRange {
        var result = self
        if let bound = other.lower {
            let order = lower.flatMap { Self.order(bound, $0) } ?? 1
            if order > 0 { (result.lower, result.includesLower) = (bound, other.includesLower) }
            if order == 0 { result.includesLower = includesLower && other.includesLower }
        }
        if let bound = other.upper {
            let order = upper.flatMap { Self.order(bound, $0) } ?? -1
            if order < 0 { (result.upper, result.includesUpper) = (bound, other.includesUpper) }
            if order == 0 { result.includesUpper = includesUpper && other.includesUpper }
        }
        return result
    }

    /// Types whose values ``order(_:_:)`` tells apart as SQL does.
    public static func isOrdered(_ type: DataType) -> Bool {
        switch type {
        case .tinyint, .smallint, .int, .bigint, .date, .time, .timestamp, .timestampLTZ, .varchar: true
        default: false
        }
    }

    /// Negative, zero or positive; nil for values that are not compared here. Text is compared by its UTF-8 bytes.
    static func order(_ a: Value, _ b: Value) -> Int? {
        switch (a, b) {
        case (.int(let x), .int(let y)): return x < y ? -1 : x > y ? 1 : 0
        case (.string(let x), .string(let y)):
            if x.utf8.elementsEqual(y.utf8) { return 0 }
            return x.utf8.lexicographicallyPrecedes(y.utf8) ? -1 : 1
        default: return nil
        }
    }
}

/// What a query wants of the partition columns of a table: columns that are not named can have any value. NULL is wanted of
/// no column that is named.
public struct PartitionFilter: Hashable, Sendable {
    /// Values that a column can have.
    public var values: [String: Set<Value>]
    public var ranges: [String: ValueRange]

    public init(values: [String: Set<Value>] = [:], ranges: [String: ValueRange] = [:]) { (self.values, self.ranges) = (values, ranges) }

    public var isEmpty: Bool { values.isEmpty && ranges.isEmpty }
    public func restricts(_ key: String) -> Bool { values[key] != nil || ranges[key] != nil }

    public func admits(_ value: Value, for key: String) -> Bool {
        if let wanted = values[key], !wanted.contains(value) { return false }
        if let range = ranges[key], !range.contains(value) { return false }
        return true
    }

    /// - Parameter keys: the columns that `values` belong to.
    public func admits(_ values: [Value], of keys: [String]) -> Bool { zip(values, keys).allSatisfy { admits($0, for: $1) } }
}

/// A partition of a table.
public struct TablePartition: Hashable, Sendable {
    /// `year=2021/month=04`: the partition columns in the order of PARTITIONED BY.
    public var name: String
    /// One per partition column, of its type.
    public var values: [Value]
    /// Below the table's path, or absolute.
    public var location: String
    public init(name: String, values: [Value], location: String) {
        self.name = name
        self.values = values
        self.location = location
    }
}

/// A connector whose tables lie in one folder per partition.
public protocol PartitionedConnector: TableConnector {
    /// The partitions that are on the disk and that a filter leaves, by name. Folders that no wanted partition is in are not read.
    func partitions(of table: TableDescriptor, matching filter: PartitionFilter) throws -> [TablePartition]
    /// The folder of one partition column, as `month=04`.
    ///
    /// - Parameter text: nil stands for NULL.
    func partitionFolder(_ key: String, _ text: String?, of table: TableDescriptor) -> String
    /// As ``TableConnector/sink(for:timeZone:)``.
    ///
    /// - Parameter registering: called with the partitions that a commit has made visible, before the commit counts as done.
    func sink(
        for table: TableDescriptor, timeZone: String, registering: @escaping @Sendable ([TablePartition]) throws -> Void
    ) throws -> any TableSink
    /// Reads those partitions only that ``ScanRequest/partitions`` gives: a catalog may keep them.
    var readsGivenPartitions: Bool { get }
}
