import StreamCore

/// A record as a whole, beside the columns that are read of it: the metadata column `row`.
enum WholeRecord {
    /// The key of the metadata column.
    static let key = "row"
    /// What decoders are asked for it by, as the last field of a record or of a ROW: no field of a record has this name.
    static let name = "\u{0}row"
    static let field = Field(name, .variant)

    /// A table's schema and projection with the record as a whole for each of `metadata`, which may be `row` only.
    static func schema(_ table: TableDescriptor, _ projection: [Int], _ metadata: [String], format: String) throws -> (schema: Schema, projection: [Int]) {
        for key in metadata where key != Self.key {
            throw StreamError(.validate, "table \(table.name): format '\(format)' has no metadata '\(key)'", fix: "'\(Self.key)' is the one there is")
        }
        guard !metadata.isEmpty else { return (table.schema, projection) }
        return (table.schema + [field], projection + metadata.map { _ in table.schema.count })
    }
}
