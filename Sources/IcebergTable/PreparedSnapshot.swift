import LakeTable
import StreamCore

/// A commit whose files are durable but not visible: what goes into a checkpoint.
struct PreparedSnapshot: Equatable {
    struct Added: Equatable {
        var path: String
        var bytes: Int64
        var rows: Int64
        var partition: [String?]
    }

    var id: Int64
    /// The snapshot that it is built on, which may not be completed yet.
    var parent: Int64?
    /// Its place among the commits of the table.
    var sequence: Int64
    var added: [Added] = []
    /// Files that leave the table, relative to it.
    var removed: [String] = []
    /// The schema that the files are written by, and which of the table's it comes from.
    var schema: IcebergSchema
    var lastColumnID: Int
    var specID: Int
    /// The same rows in other files.
    var isRearrangement = false
    var updated: Int64 = 0, deleted: Int64 = 0
    var checkpoint: UInt64 = 0
    var job: String = ""

    private static let what = "a committable of an Iceberg sink"

    func committable() -> Committable {
        let members: [JSON.Member] = [
            .init("snapshot-id", .int(id)), .init("parent", parent.map { .int($0) } ?? .null), .init("sequence", .int(sequence)),
            .init("added", .array(added.map { file in
                .array([.string(file.path), .int(file.bytes), .int(file.rows), .array(file.partition.map { $0.map { .string($0) } ?? .null })])
            })),
            .init("removed", .array(removed.map { .string($0) })), .init("schema", schema.json), .init("last-column-id", .int(Int64(lastColumnID))),
            .init("spec-id", .int(Int64(specID))),
            .init("rearranges", .bool(isRearrangement)), .init("updated", .int(updated)), .init("deleted", .int(deleted)), .init("checkpoint", .string("\(checkpoint)")), .init("job", .string(job)),
        ]
        return Committable(Array(JSON.object(members).text().utf8))
    }

    init(id: Int64, parent: Int64?, sequence: Int64, schema: IcebergSchema, lastColumnID: Int, specID: Int) {
        (self.id, self.parent, self.sequence, self.schema, self.lastColumnID, self.specID) = (id, parent, sequence, schema, lastColumnID, specID)
    }

    init(_ committable: Committable) throws {
        let json = try JSON.parse(committable.bytes, Self.what)
        guard let id = json["snapshot-id"]?.int, let sequence = json["sequence"]?.int, let schema = json["schema"] else {
            throw StreamError(.corrupt, "\(Self.what) is damaged: it names no snapshot", fix: "restore from another checkpoint")
        }
        self.init(id: id, parent: json["parent"]?.int, sequence: sequence, schema: try IcebergSchema(schema), lastColumnID: Int(json["last-column-id"]?.int ?? 0),
                  specID: Int(json["spec-id"]?.int ?? 0))
        added = (json["added"]?.array ?? []).compactMap { file in
            guard let parts = file.array, parts.count == 4, let path = parts[0].string else { return nil }
            return Added(path: path, bytes: parts[1].int ?? 0, rows: parts[2].int ?? 0, partition: (parts[3].array ?? []).map(\.string))
        }
        removed = (json["removed"]?.array ?? []).compactMap(\.string)
        isRearrangement = json["rearranges"]?.bool ?? false
        (updated, deleted) = (json["updated"]?.int ?? 0, json["deleted"]?.int ?? 0)
        checkpoint = json["checkpoint"]?.string.flatMap { UInt64($0) } ?? 0
        job = json["job"]?.string ?? ""
    }

    /// In the order in which they were begun, which is the one that they build on each other in.
    static func all(_ committables: [Committable]) throws -> [PreparedSnapshot] {
        try committables.map { try PreparedSnapshot($0) }.sorted { $0.sequence < $1.sequence }
    }
}
