import AWSProtocol

/// What requests cost, and how it is told when they ask for it.
struct Capacity {
    var table = 0.0
    var locals: [String: Double] = [:]
    var globals: [String: Double] = [:]

    var total: Double { table + locals.values.reduce(0, +) + globals.values.reduce(0, +) }

    init() {}

    /// Of a write; twice as much in a transaction.
    init(_ units: WriteUnits, _ table: TableInfo, factor: Double = 1) {
        self.table = Double(units.table) * factor
        for index in table.indexes {
            guard let cost = units.indexes[index.name] else { continue }
            if index.isLocal { locals[index.name] = Double(cost) * factor } else { globals[index.name] = Double(cost) * factor }
        }
    }

    /// Of a read of so many bytes: units of 4 KB, half of them when it need not be consistent, twice as many in a transaction.
    static func read(_ bytes: Int, isConsistent: Bool, isTransaction: Bool = false) -> Double {
        Double(max(1, (bytes + 4_095) / 4_096)) * (isTransaction ? 2 : isConsistent ? 1 : 0.5)
    }

    static func + (a: Capacity, b: Capacity) -> Capacity {
        var sum = a
        sum.table += b.table
        sum.locals.merge(b.locals, uniquingKeysWith: +)
        sum.globals.merge(b.globals, uniquingKeysWith: +)
        return sum
    }

    enum Kind { case read, write }

    /// nil unless the request asks for it.
    ///
    /// - Parameter kind: names the units in transactions.
    func described(_ input: AWSValue, _ tableName: String, kind: Kind? = nil) -> AWSValue? {
        let asked = input["ReturnConsumedCapacity"]?.string ?? "NONE"
        guard asked != "NONE" else { return nil }
        func units(_ value: Double) -> AWSValue {
            var out: [String: AWSValue] = ["CapacityUnits": .double(value)]
            if let kind { out[kind == .read ? "ReadCapacityUnits" : "WriteCapacityUnits"] = .double(value) }
            return .map(out)
        }
        guard case .map(var out) = units(total) else { return nil }
        out["TableName"] = .string(tableName)
        if asked == "INDEXES" {
            out["Table"] = units(table)
            if !locals.isEmpty { out["LocalSecondaryIndexes"] = .map(locals.mapValues(units)) }
            if !globals.isEmpty { out["GlobalSecondaryIndexes"] = .map(globals.mapValues(units)) }
        }
        return .map(out)
    }
}
