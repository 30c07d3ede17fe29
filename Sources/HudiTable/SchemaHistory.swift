import LakeTable
import StreamCore

extension HudiTable {
    /// What one commit did to the columns of a table.
    public struct SchemaChange: Sendable, Hashable {
        public enum Kind: String, Sendable { case created, added, widened, changed, removed }

        /// The commit from which on it is so.
        public var instant: String
        public var kind: Kind
        public var column: String
        /// The type before; nil for columns that were not there.
        public var from: DataType?
        /// The type from then on; nil for columns that are gone.
        public var to: DataType?
    }

    /// All changes of the columns by commits that are on the timeline, oldest first; the columns of the first one count as created.
    /// - Throws: `.io` and `.corrupt` when a commit cannot be read.
    public func schemaHistory() throws -> [SchemaChange] {
        var out: [SchemaChange] = [], last: (text: String, schema: Schema)?
        for (instant, metadata) in try commits {
            guard let text = metadata.schemaText, text != last?.text else { continue }
            let schema = try AvroSchema.parse(text, table: name), before = last?.schema
            for field in schema {
                guard let before else {
                    out.append(SchemaChange(instant: instant.time, kind: .created, column: field.name, from: nil, to: field.type))
                    continue
                }
                guard let old = before.first(where: { $0.name == field.name }) else {
                    out.append(SchemaChange(instant: instant.time, kind: .added, column: field.name, from: nil, to: field.type))
                    continue
                }
                if SchemaEvolution.same(old.type, field.type) { continue }
                let kind: SchemaChange.Kind = SchemaEvolution.widens(old.type, to: field.type) ? .widened : .changed
                out.append(SchemaChange(instant: instant.time, kind: kind, column: field.name, from: old.type, to: field.type))
            }
            for field in before ?? [] where !schema.contains(where: { $0.name == field.name }) {
                out.append(SchemaChange(instant: instant.time, kind: .removed, column: field.name, from: field.type, to: nil))
            }
            last = (text, schema)
        }
        return out
    }
}
