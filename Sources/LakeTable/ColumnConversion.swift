import StreamCore

/// Columns as files hold them, turned into the types that are wanted: wider numbers, other time units, narrower storage.
package enum ColumnConversion {
    /// - Throws: `.validate` when the types have nothing in common, `.runtime` for a number that does not fit.
    package static func convert(_ column: Column, to type: DataType, name: String) throws -> Column {
        if column.type == type { return column }
        if column.type.isText && type.isText || column.type.isBinary && type.isBinary { return column.retyped(type) }
        let column = column.flat()
        func kernel<T: BitwiseCopyable, U: BitwiseCopyable>(_: T.Type, _ f: (T) -> U) -> Column {
            let out = Buffer(capacity: column.count * MemoryLayout<U>.stride)
            let from = column.pointer(as: T.self), to = out.pointer(as: U.self)
            for i in 0..<column.count { to[i] = f(from[i]) }
            return Column(type: type, count: column.count, validity: column.validity, values: out)
        }
        func narrow<T: FixedWidthInteger & BitwiseCopyable, U: FixedWidthInteger & BitwiseCopyable>(_: T.Type, _: U.Type) throws -> Column {
            let from = column.pointer(as: T.self)
            for i in 0..<column.count where column.isValid(i) && U(exactly: from[i]) == nil {
                throw StreamError(.runtime, "column \(name): \(from[i]) does not fit \(type)", fix: "declare the column as \(column.type)")
            }
            return kernel(T.self) { U(truncatingIfNeeded: $0) }
        }
        switch (column.type, type) {
        case (.timestamp, _) where type.isTimestamp, (.timestampLTZ, _) where type.isTimestamp:
            let from = column.type.timeUnit!.rawValue, to = type.timeUnit!.rawValue
            if from == to { return column.retyped(type) }
            if from < to { return kernel(Int64.self) { $0 &* (to / from) } }
            let divisor = from / to
            return kernel(Int64.self) { $0 >= 0 ? $0 / divisor : -((divisor - 1 - $0) / divisor) }
        case (.tinyint, .smallint): return kernel(Int8.self) { Int16($0) }
        case (.tinyint, .int): return kernel(Int8.self) { Int32($0) }
        case (.tinyint, .bigint): return kernel(Int8.self) { Int64($0) }
        case (.smallint, .int): return kernel(Int16.self) { Int32($0) }
        case (.smallint, .bigint): return kernel(Int16.self) { Int64($0) }
        case (.int, .bigint): return kernel(Int32.self) { Int64($0) }
        case (.int, .float): return kernel(Int32.self) { Float($0) }
        case (.int, .double): return kernel(Int32.self) { Double($0) }
        case (.bigint, .float): return kernel(Int64.self) { Float($0) }
        case (.bigint, .double): return kernel(Int64.self) { Double($0) }
        case (.float, .double): return kernel(Float.self) { Double($0) }
        case (.int, .tinyint): return try narrow(Int32.self, Int8.self)
        case (.int, .smallint): return try narrow(Int32.self, Int16.self)
        case (.decimal(_, let a), .decimal(_, let b)) where a == b: return column.retyped(type)
        case (.array, .array(let element)):
            return Column(type: type, count: column.count, validity: column.validity, values: column.values,
                          children: [try convert(column.children[0], to: element, name: name)])
        case (.map, .map(let key, let value)):
            return Column(type: type, count: column.count, validity: column.validity, values: column.values, children: [
                try convert(column.children[0], to: key, name: name), try convert(column.children[1], to: value, name: name),
            ])
        case (.row(let from), .row(let to)) where from.count == to.count:
            let children = try zip(column.children, to).map { try convert($0, to: $1.type, name: "\(name).\($1.name)") }
            return Column(type: type, count: column.count, validity: column.validity, values: column.values, children: children)
        case (.time, .time):
            return column.retyped(type)
        default:
            throw StreamError(.validate, "column \(name) is stored as \(column.type), which cannot be read as \(type)",
                              fix: "declare it as \(column.type)")
        }
    }

    /// Whether `convert` can turn stored values into a declared type.
    package static func canRead(_ stored: DataType, as type: DataType) -> Bool {
        guard let wanted = try? StoredTypes.stored(type, column: "") else { return false }
        if stored.isTimestamp { return type.isTimestamp }
        return SchemaEvolution.same(stored, wanted) || SchemaEvolution.widens(stored, to: wanted)
    }
}
