import LakeTable
import StreamCore

/// A snapshot that is kept: its files are not cleaned while the savepoint is there.
struct SavepointMetadata: Equatable {
    var by: String
    /// Milliseconds since 1970.
    var at: Int64
    var comment: String
    /// Partition -> names of the live files.
    var files: [String: [String]]

    private static let schema = #"{"type":"record","name":"HoodieSavepointMetadata","namespace":"org.apache.hudi.avro.model","fields":[{"name":"savepointedBy","type":"string"},{"name":"savepointedAt","type":"long"},{"name":"comments","type":"string"},{"name":"partitionMetadata","type":{"type":"map","values":{"type":"record","name":"HoodieSavepointPartitionMetadata","fields":[{"name":"partitionPath","type":"string"},{"name":"savepointDataFile","type":{"type":"array","items":"string"}}]}}}]}"#

    func encoded() -> [UInt8] {
        var out = AvroWriter()
        out.string(by)
        out.long(at)
        out.string(comment)
        out.items(files.sorted { $0.key < $1.key }) { out, part in
            out.string(part.key)
            out.string(part.key)
            out.items(part.value) { $0.string($1) }
        }
        return AvroContainer.file(schema: Self.schema, record: out.bytes)
    }

    static func parse(_ file: [UInt8]) throws -> SavepointMetadata {
        var reader = try AvroContainer.record(file)
        var out = SavepointMetadata(by: try reader.string(), at: try reader.long(), comment: try reader.string(), files: [:])
        try reader.items { reader in
            let partition = try reader.string()
            _ = try reader.string()
            var names: [String] = []
            try reader.items { names.append(try $0.string()) }
            out.files[partition] = names
        }
        return out
    }

    /// Paths relative to the table.
    var paths: [String] { files.flatMap { partition, names in names.map { partition.isEmpty ? $0 : "\(partition)/\($0)" } } }

    /// Completed savepoints, oldest first.
    static func all(_ files: TableFiles, _ timeline: Timeline) throws -> [(time: String, metadata: SavepointMetadata)] {
        try timeline.instants.filter { $0.action == "savepoint" && $0.state == .completed }.map { instant in
            (instant.time, try parse(try files.read(timeline.file(of: instant))))
        }
    }
}

/// What the timeline says about the table at any of its moments.
struct CommitHistory {
    let timeline: Timeline
    /// Completed writes, oldest first.
    let writes: [(instant: Instant, metadata: CommitMetadata)]

    static func load(_ files: TableFiles, version: TableVersion) throws -> CommitHistory {
        let timeline = try Timeline.load(files, version: version)
        return CommitHistory(timeline: timeline, writes: try timeline.instants.filter(\.isCompletedWrite).map { ($0, try timeline.metadata(of: $0, in: files)) })
    }

    /// The live files as a write left them, by partition and file id; also those that were cleaned since.
    func slices(asOf time: String) -> [FileSlice] {
        var newest: [String: FileSlice] = [:]
        for (instant, metadata) in writes where instant.time <= time {
            for stat in metadata.stats {
                guard let path = stat.path, let name = path.split(separator: "/").last else { continue }
                newest[stat.partition + "/" + stat.fileId] = FileSlice(partition: stat.partition, fileId: stat.fileId, name: String(name), instant: instant.time)
            }
            for (partition, ids) in metadata.replaced { for id in ids { newest[partition + "/" + id] = nil } }
        }
        return newest.values.sorted { ($0.partition, $0.fileId) < ($1.partition, $1.fileId) }
    }
}
