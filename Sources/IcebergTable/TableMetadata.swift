import LakeTable
import StreamCore

/// A state of the table that can be read.
struct Snapshot: Sendable {
    var id: Int64
    var parent: Int64?
    var sequence: Int64
    /// Milliseconds since 1970.
    var time: Int64
    var manifestList: String
    var schemaID: Int?
    /// `operation` first.
    var summary: [JSON.Member]

    /// Keys of the summary: which checkpoint of which job the snapshot belongs to.
    static let jobKey = "swiftwater.job-id"
    static let checkpointKey = "swiftwater.checkpoint-id"

    func summary(_ key: String) -> String? { summary.first { $0.name == key }?.value.string }

    init(id: Int64, parent: Int64?, sequence: Int64, time: Int64, manifestList: String, schemaID: Int?, summary: [JSON.Member]) {
        (self.id, self.parent, self.sequence, self.time, self.manifestList) = (id, parent, sequence, time, manifestList)
        (self.schemaID, self.summary) = (schemaID, summary)
    }

    init(_ json: JSON, file: String) throws {
        guard let id = json["snapshot-id"]?.int, let time = json["timestamp-ms"]?.int else {
            throw StreamError(.corrupt, "\(file): a snapshot has no id or no time", fix: "restore the file")
        }
        guard let list = json["manifest-list"]?.string else {
            throw StreamError(.validate, "\(file): snapshot \(id) lists its manifests itself, as old tables of format version 1 do", fix: "upgrade the table to format version 2")
        }
        self.init(id: id, parent: json["parent-snapshot-id"]?.int, sequence: json["sequence-number"]?.int ?? 0, time: time, manifestList: list,
                  schemaID: json["schema-id"]?.int.map { Int($0) }, summary: json["summary"]?.members ?? [])
    }

    var json: JSON {
        var members: [JSON.Member] = [.init("snapshot-id", .int(id))]
        if let parent { members.append(.init("parent-snapshot-id", .int(parent))) }
        members += [.init("sequence-number", .int(sequence)), .init("timestamp-ms", .int(time)), .init("summary", .object(summary)), .init("manifest-list", .string(manifestList))]
        if let schemaID { members.append(.init("schema-id", .int(Int64(schemaID)))) }
        return .object(members)
    }
}

struct PartitionSpec: Hashable, Sendable {
    struct Part: Hashable, Sendable {
        var source: Int
        var id: Int
        var name: String
        var transform: String
    }

    var id: Int
    var parts: [Part]

    init(id: Int, parts: [Part]) { (self.id, self.parts) = (id, parts) }

    init(id: Int, json: JSON?) {
        self.id = id
        parts = (json?.array ?? []).enumerated().map { i, part in
            Part(source: Int(part["source-id"]?.int ?? -1), id: Int(part["field-id"]?.int ?? Int64(1_000 + i)), name: part["name"]?.string ?? "",
                 transform: part["transform"]?.string ?? "unknown")
        }
    }

    var partsJSON: JSON {
        .array(parts.map {
            .object([.init("name", .string($0.name)), .init("transform", .string($0.transform)), .init("source-id", .int(Int64($0.source))), .init("field-id", .int(Int64($0.id)))])
        })
    }

    var json: JSON { .object([.init("spec-id", .int(Int64(id))), .init("fields", partsJSON)]) }

    var isIdentity: Bool { parts.allSatisfy { $0.transform == "identity" } }
}

/// A metadata file: everything about the table but its files. What is not understood here is kept.
struct TableMetadata: Sendable {
    private var json: JSON
    /// For errors.
    let file: String
    let formatVersion: Int
    let location: String
    var lastSequence: Int64
    var lastUpdated: Int64
    var lastColumnID: Int
    var schemas: [IcebergSchema]
    var currentSchemaID: Int
    var specs: [PartitionSpec]
    var defaultSpecID: Int
    var properties: [String: String]
    var currentSnapshotID: Int64?
    var snapshots: [Snapshot]
    var snapshotLog: [(time: Int64, id: Int64)]
    var metadataLog: [(time: Int64, file: String)]

    /// - Throws: `.corrupt` when it is damaged, `.validate` for versions that are not known.
    static func parse(_ bytes: [UInt8], file: String) throws -> TableMetadata { try TableMetadata(try JSON.parse(bytes, file), file: file) }

    private init(_ json: JSON, file: String) throws {
        func damaged(_ what: String) -> StreamError { StreamError(.corrupt, "\(file) has no \(what)", fix: "restore the file") }
        self.json = json
        self.file = file
        guard let version = json["format-version"]?.int else { throw damaged("format-version") }
        guard version == 1 || version == 2 else {
            throw StreamError(.validate, "\(file) is of Iceberg format version \(version); versions 1 and 2 can be read, and 2 be written", fix: "use a table of version 2")
        }
        formatVersion = Int(version)
        guard let location = json["location"]?.string else { throw damaged("location") }
        self.location = location
        lastSequence = json["last-sequence-number"]?.int ?? 0
        lastUpdated = json["last-updated-ms"]?.int ?? 0
        lastColumnID = Int(json["last-column-id"]?.int ?? 0)
        schemas = try (json["schemas"]?.array ?? json["schema"].map { [$0] } ?? []).map { try IcebergSchema($0) }
        currentSchemaID = Int(json["current-schema-id"]?.int ?? Int64(schemas.last?.id ?? 0))
        specs = json["partition-specs"]?.array?.map { PartitionSpec(id: Int($0["spec-id"]?.int ?? 0), json: $0["fields"]) }
            ?? [PartitionSpec(id: 0, json: json["partition-spec"])]
        defaultSpecID = Int(json["default-spec-id"]?.int ?? 0)
        properties = [:]
        for member in json["properties"]?.members ?? [] { properties[member.name] = member.value.string }
        currentSnapshotID = json["current-snapshot-id"]?.int.flatMap { $0 < 0 ? nil : $0 }
        snapshots = try (json["snapshots"]?.array ?? []).map { try Snapshot($0, file: file) }
        snapshotLog = (json["snapshot-log"]?.array ?? []).compactMap { entry in entry["snapshot-id"]?.int.map { (entry["timestamp-ms"]?.int ?? 0, $0) } }
        metadataLog = (json["metadata-log"]?.array ?? []).compactMap { entry in entry["metadata-file"]?.string.map { (entry["timestamp-ms"]?.int ?? 0, $0) } }
        guard schemas.contains(where: { $0.id == currentSchemaID }) else { throw damaged("schema \(currentSchemaID)") }
        guard specs.contains(where: { $0.id == defaultSpecID }) else { throw damaged("partition spec \(defaultSpecID)") }
        guard currentSnapshotID == nil || currentSnapshot != nil else { throw damaged("snapshot \(currentSnapshotID!)") }
    }

    /// A new table, without a snapshot.
    init(uuid: String, location: String, now: Int64, schema: IcebergSchema, spec: PartitionSpec, properties: [String: String], file: String) throws {
        let lastColumn = schema.allTypes.keys.max() ?? 0
        let json = JSON.object([
            .init("format-version", .int(2)), .init("table-uuid", .string(uuid)), .init("location", .string(location)),
            .init("last-sequence-number", .int(0)), .init("last-updated-ms", .int(now)), .init("last-column-id", .int(Int64(lastColumn))),
            .init("schemas", .array([schema.json])), .init("current-schema-id", .int(Int64(schema.id))),
            .init("partition-specs", .array([spec.json])), .init("default-spec-id", .int(Int64(spec.id))),
            .init("last-partition-id", .int(Int64(spec.parts.map(\.id).max() ?? 999))),
            .init("sort-orders", .array([.object([.init("order-id", .int(0)), .init("fields", .array([]))])])), .init("default-sort-order-id", .int(0)),
            .init("properties", .object(properties.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) })),
            .init("current-snapshot-id", .int(-1)), .init("refs", .object([])), .init("snapshots", .array([])),
            .init("snapshot-log", .array([])), .init("metadata-log", .array([])),
        ])
        try self.init(json, file: file)
    }

    func encoded() -> [UInt8] {
        var out = json
        out["last-sequence-number"] = .int(lastSequence)
        out["last-updated-ms"] = .int(lastUpdated)
        out["last-column-id"] = .int(Int64(lastColumnID))
        out["schemas"] = .array(schemas.map(\.json))
        out["current-schema-id"] = .int(Int64(currentSchemaID))
        out["current-snapshot-id"] = .int(currentSnapshotID ?? -1)
        out["snapshots"] = .array(snapshots.map(\.json))
        out["snapshot-log"] = .array(snapshotLog.map { .object([.init("snapshot-id", .int($0.id)), .init("timestamp-ms", .int($0.time))]) })
        out["metadata-log"] = .array(metadataLog.map { .object([.init("metadata-file", .string($0.file)), .init("timestamp-ms", .int($0.time))]) })
        if let id = currentSnapshotID {
            var refs = out["refs"] ?? .object([]), main = refs["main"] ?? .object([.init("snapshot-id", .int(id)), .init("type", .string("branch"))])
            main["snapshot-id"] = .int(id)
            refs["main"] = main
            out["refs"] = refs
        }
        let kept = Set(snapshots.map(\.id))
        for name in ["statistics", "partition-statistics"] {
            guard let list = out[name]?.array else { continue }
            out[name] = .array(list.filter { $0["snapshot-id"]?.int.map(kept.contains) ?? true })
        }
        return Array(out.text().utf8)
    }

    var schema: IcebergSchema { schemas.first { $0.id == currentSchemaID }! }
    var spec: PartitionSpec { specs.first { $0.id == defaultSpecID }! }
    var currentSnapshot: Snapshot? { currentSnapshotID.flatMap { snapshot($0) } }
    func snapshot(_ id: Int64) -> Snapshot? { snapshots.first { $0.id == id } }
    func schema(of snapshot: Snapshot) -> IcebergSchema { snapshot.schemaID.flatMap { id in schemas.first { $0.id == id } } ?? schema }

    /// Snapshots that branches and tags other than `main` name.
    var otherRefs: [(id: Int64, isBranch: Bool)] {
        (json["refs"]?.members ?? []).compactMap { ref in
            ref.name == "main" ? nil : ref.value["snapshot-id"]?.int.map { ($0, ref.value["type"]?.string == "branch") }
        }
    }

    /// A snapshot with all those that it comes from, newest first, as far as they are kept.
    func ancestors(of id: Int64?) -> [Snapshot] {
        var out: [Snapshot] = [], next = id, seen: Set<Int64> = []
        let byID = Dictionary(snapshots.map { ($0.id, $0) }) { a, _ in a }
        while let id = next, seen.insert(id).inserted, let snapshot = byID[id] {
            out.append(snapshot)
            next = snapshot.parent
        }
        return out
    }

    /// The snapshot that was the current one at a time, in milliseconds since 1970.
    func snapshot(at time: Int64) -> Snapshot? {
        // The log also tells of roll-backs; tables that were written without one have the snapshots' own times.
        if let entry = snapshotLog.last(where: { $0.time <= time }) { return snapshot(entry.id) }
        return snapshotLog.isEmpty ? ancestors(of: currentSnapshotID).first { $0.time <= time } : nil
    }
}
