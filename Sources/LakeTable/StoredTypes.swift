import StreamCore

/// The types that lake tables store.
package enum StoredTypes {
    /// The type that a table stores for a column type: small integers as INT, text without a length, timestamps as
    /// microseconds, TIME as milliseconds.
    /// - Throws: `.validate` for types that a table cannot hold, naming the column.
    package static func stored(_ type: DataType, column: String) throws -> DataType {
        func refuse(_ why: String, fix: String) -> StreamError { StreamError(.validate, "column \(column): \(why)", fix: fix) }
        switch type {
        case .boolean, .int, .bigint, .float, .double, .date: return type
        case .tinyint, .smallint: return .int
        case .decimal: return type
        case .char, .varchar: return .string
        case .binary, .varbinary: return .bytes
        case .time: return .time(3)
        case .timestamp(let p), .timestampLTZ(let p):
            guard p <= 6 else {
                throw refuse("\(type) does not fit a lake table, which stores microseconds", fix: "declare TIMESTAMP(6), or cast to it")
            }
            return .timestamp(6)
        case .array(let element): return .array(try stored(element, column: column))
        case .map(let key, let value):
            guard key.isText else { throw refuse("\(type) has keys that are not text", fix: "use MAP<STRING, ...>") }
            return .map(key: .string, value: try stored(value, column: column))
        case .row(let fields): return .row(try fields.map { Field($0.name, try stored($0.type, column: "\(column).\($0.name)")) })
        case .intervalYearMonth, .intervalDayTime: throw refuse("\(type) cannot be stored", fix: "cast it to BIGINT")
        case .variant: throw refuse("a lake table holds no VARIANT", fix: "store JSON_STRING(...) of it as STRING")
        case .null: throw refuse("it has no type", fix: "cast NULL to the type you want")
        }
    }

    package static func stored(_ schema: Schema) throws -> Schema {
        try schema.map { Field($0.name, try stored($0.type, column: $0.name)) }
    }
}
