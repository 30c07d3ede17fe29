import StreamCore

/// What a change message tells beside its rows, as a column.
struct ChangeMetadata {
    enum Form {
        case asIs
        /// Since 1970-01-01.
        case milliseconds, seconds
        /// An entry of the field, which is a map; the second as milliseconds.
        case entry([String]), entryMilliseconds(String)
        /// The image that a row came from.
        case image
        /// I, U or D.
        case letter
    }

    let key: String
    let type: DataType
    /// The field of the message that it is made of.
    let field: Field
    /// The field stands beside the payload, not in it.
    var isOutside = false
    let form: Form

    private init(_ key: String, _ type: DataType, _ field: Field, _ form: Form, isOutside: Bool = false) {
        (self.key, self.type, self.field, self.form, self.isOutside) = (key, type, field, form, isOutside)
    }

    private static let row = ChangeMetadata(WholeRecord.key, .variant, WholeRecord.field, .image)
    static let opKey = "op"
    private static let op = ChangeMetadata(opKey, .string, Field("op", .string), .letter)
    private static let textMap = DataType.map(key: .string, value: .string)

    static func all(_ format: ChangeCaptureFormat) -> [ChangeMetadata] {
        switch format {
        case .debezium:
            let source = Field("source", textMap)
            return [
                ChangeMetadata("schema", .string, Field("schema", .string), .asIs, isOutside: true),
                ChangeMetadata("ingestion-timestamp", .timestampLTZ(3), Field("ts_ms", .bigint), .milliseconds),
                ChangeMetadata("source.timestamp", .timestampLTZ(3), source, .entryMilliseconds("ts_ms")),
                ChangeMetadata("source.database", .string, source, .entry(["db"])),
                ChangeMetadata("source.schema", .string, source, .entry(["schema"])),
                ChangeMetadata("source.table", .string, source, .entry(["table", "collection"])),
                ChangeMetadata("source.properties", textMap, source, .asIs), row, op,
            ]
        case .canal:
            let types = DataType.map(key: .string, value: .int)
            return [
                ChangeMetadata("database", .string, Field("database", .string), .asIs),
                ChangeMetadata("table", .string, Field("table", .string), .asIs),
                ChangeMetadata("sql-type", types, Field("sqlType", types), .asIs),
                ChangeMetadata("pk-names", .array(.string), Field("pkNames", .array(.string)), .asIs),
                ChangeMetadata("ingestion-timestamp", .timestampLTZ(3), Field("ts", .bigint), .milliseconds),
                ChangeMetadata("event-timestamp", .timestampLTZ(3), Field("es", .bigint), .milliseconds), row, op,
            ]
        case .maxwell:
            return [
                ChangeMetadata("database", .string, Field("database", .string), .asIs),
                ChangeMetadata("table", .string, Field("table", .string), .asIs),
                ChangeMetadata("primary-key-columns", .array(.string), Field("primary_key_columns", .array(.string)), .asIs),
                ChangeMetadata("ingestion-timestamp", .timestampLTZ(3), Field("ts", .bigint), .seconds), row, op,
            ]
        }
    }

    /// One value for each message, from the column of the field.
    func column(_ source: Column) -> Column {
        switch form {
        case .asIs, .image, .letter: return source
        case .milliseconds: return source.retyped(type)
        case .seconds: return built(source) { Int64(clamping: Int128(source.pointer(as: Int64.self)[$0]) * 1_000) }
        case .entryMilliseconds(let name):
            return built(source) { row in
                Self.entry(source, row, name).flatMap { NumberText.parseInt64(source.children[1].bytes(at: $0)) }
            }
        case .entry(let names):
            let builder = ColumnBuilder(type: .string, capacity: source.count)
            for row in 0..<source.count {
                var found: Int?
                if source.isValid(row) { found = names.lazy.compactMap { Self.entry(source, row, $0) }.first }
                if let found { builder.append(bytes: source.children[1].bytes(at: found)) } else { builder.appendNull() }
            }
            return builder.finish()
        }
    }

    private func built(_ source: Column, _ value: (Int) -> Int64?) -> Column {
        let out = Buffer(zeroed: source.count * 8), validity = Bitmap.make(source.count, valid: true)
        for row in 0..<source.count {
            if source.isValid(row), let value = value(row) { out.pointer(as: Int64.self)[row] = value } else { Bitmap.clear(validity.base, row) }
        }
        return Column(type: type, count: source.count, validity: validity, values: out)
    }

    /// Where the value of a map's key is, unless it is null.
    private static func entry(_ map: Column, _ row: Int, _ name: String) -> Int? {
        for i in Int(map.codes[row])..<Int(map.codes[row + 1]) where map.children[0].bytes(at: i).elementsEqual(name.utf8) {
            return map.children[1].isValid(i) ? i : nil
        }
        return nil
    }
}
