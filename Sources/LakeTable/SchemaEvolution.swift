import StreamCore

/// Which changes of a table's columns are allowed.
package enum SchemaEvolution {
    /// The schema of the next commit, given the table's and the writer's (both as stored).
    /// - Throws: `.validate` unless the writer's columns are the table's in the same order, of the same or a wider type,
    ///   followed by new ones.
    package static func merge(table current: Schema, writer: Schema, name: String) throws -> Schema {
        for (i, column) in current.enumerated() {
            guard let at = writer.firstIndex(where: { $0.name == column.name }) else {
                throw StreamError(.validate, "table \(name) has a column \(column.name) \(column.type) that the declaration lacks",
                                  fix: "add it to CREATE TABLE as column \(i + 1)")
            }
            guard at == i else {
                throw StreamError(.validate, "column \(column.name) is number \(i + 1) in table \(name), but number \(at + 1) in the declaration",
                                  fix: "keep the table's order: \(current.map(\.name).joined(separator: ", ")); new columns go to the end")
            }
            guard same(column.type, writer[at].type) || widens(column.type, to: writer[at].type) else {
                throw StreamError(.validate, "column \(column.name) is \(column.type) in table \(name), but \(writer[at].type) in the declaration",
                                  fix: "declare \(column.type); only INT to BIGINT, FLOAT, DOUBLE, BIGINT to FLOAT, DOUBLE and FLOAT to DOUBLE can be changed")
            }
        }
        return writer
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
