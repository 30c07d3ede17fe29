import StreamCore

/// Which changes of a table's columns are allowed.
package enum SchemaEvolution {
    /// The schema of the next commit, given the table's and the writer's (both as stored): the table's columns in their order,
    /// widened where the writer's are wider, then the writer's new ones.
    /// - Parameters:
    ///   - missing: the writer may lack columns of the table: its rows get NULL there.
    ///   - widening: which types can become which.
    ///   - allowed: the same in words.
    /// - Throws: `.validate` for a column that cannot become what the writer says, and for one that it lacks.
    package static func merge(table current: Schema, writer: Schema, name: String, missing: Bool = false,
                              widening: (DataType, DataType) -> Bool = { widens($0, to: $1) },
                              allowed: String = "INT to BIGINT, FLOAT, DOUBLE, BIGINT to FLOAT, DOUBLE and FLOAT to DOUBLE") throws -> Schema {
        var out = current
        for (i, column) in current.enumerated() {
            guard let declared = writer.first(where: { $0.name == column.name }) else {
                if missing { continue }
                throw StreamError(.validate, "table \(name) has a column \(column.name) \(column.type) that the declaration lacks",
                                  fix: "add it to CREATE TABLE, or set 'hoodie.write.set.null.for.missing.columns' (Hudi) or 'write.set.null.for.missing.columns' = 'true' to write NULL there")
            }
            if same(column.type, declared.type) || widens(declared.type, to: column.type) || widening(declared.type, column.type) { continue }
            guard widening(column.type, declared.type) else {
                throw StreamError(.validate, "column \(column.name) is \(column.type) in table \(name), but \(declared.type) in the declaration",
                                  fix: "declare \(column.type); only \(allowed) can be changed")
            }
            out[i] = declared
        }
        return out + writer.filter { column in !current.contains { $0.name == column.name } }
    }

    /// Equal as stored, whatever is said about nulls.
    package static func same(_ a: DataType, _ b: DataType) -> Bool {
        switch (a, b) {
        case (.array(let x), .array(let y)): same(x, y)
        case (.map(_, let x), .map(_, let y)): same(x, y)
        case (.row(let x), .row(let y)): x.count == y.count && zip(x, y).allSatisfy { $0.name == $1.name && same($0.type, $1.type) }
        case (.binary, .varbinary), (.varbinary, .binary): true
        default: a == b
        }
    }

    package static func widens(_ from: DataType, to: DataType) -> Bool {
        switch (from, to) {
        case (.int, .bigint), (.int, .float), (.int, .double), (.bigint, .float), (.bigint, .double), (.float, .double): true
        default: false
        }
    }
}
