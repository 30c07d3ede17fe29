import LakeTable
import StreamCore

extension FileSlice {
    /// The parts of `<fileId>_<writeToken>_<instant>.parquet`; nil for other names.
    init?(partition: String, name: String) {
        guard name.hasSuffix(".parquet") else { return nil }
        let parts = name.dropLast(8).split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, InstantTime.parse(String(parts[2])) != nil else { return nil }
        self.init(partition: partition, fileId: String(parts[0]), name: name, instant: String(parts[2]))
    }
}

/// What lies in a table's folders, committed or not.
enum TableListing {
    /// All base files, by partition and name.
    ///
    /// - Parameter pruning: folders that it leaves out are not read.
    static func baseFiles(_ files: TableFiles, _ pruning: PartitionPruning? = nil) throws -> [FileSlice] {
        var out: [FileSlice] = []
        try walk(files, "", pruning, &out)
        return out
    }

    private static func walk(_ files: TableFiles, _ folder: String, _ pruning: PartitionPruning?, _ out: inout [FileSlice]) throws {
        for name in try files.names(in: folder) where !name.hasPrefix(".") {
            if let slice = FileSlice(partition: folder, name: name) {
                out.append(slice)
            } else {
                let path = folder.isEmpty ? name : "\(folder)/\(name)"
                if pruning?.mayMatch(path) ?? true, files.isFolder(path) { try walk(files, path, pruning, &out) }
            }
        }
    }
}

/// A table as of one moment: its timeline, its columns and the live version of each file group.
struct TableSnapshot: Sendable {
    let timeline: Timeline
    /// The newest completed write's columns, as stored; those of the creation when nothing was committed yet.
    let schema: Schema?
    /// By partition and file id.
    let slices: [FileSlice]
    /// Stats of files on the timeline, by path.
    let stats: [String: WriteStat]

    /// - Parameter pruning: slices of partitions that it leaves out are not among them.
    static func load(_ files: TableFiles, _ properties: TableProperties, _ pruning: PartitionPruning? = nil) throws -> TableSnapshot {
        let timeline = try Timeline.load(files, version: properties.version)
        var replaced: [String: String] = [:], stats: [String: WriteStat] = [:], schemaText: String?
        for instant in timeline.instants where instant.isCompletedWrite {
            let file = Timeline.fileName(instant.time, instant.action, .completed, version: properties.version)
            let metadata = try CommitMetadata.parse(try files.read(file), file: files.absolute(file))
            for stat in metadata.stats { if let path = stat.path { stats[path] = stat } }
            for (partition, ids) in metadata.replaced { for id in ids { replaced[partition + "/" + id] = instant.time } }
            schemaText = metadata.schemaText ?? schemaText
        }
        var newest: [String: FileSlice] = [:]
        for slice in try TableListing.baseFiles(files, pruning) where timeline.isCommitted(slice.instant) {
            let group = slice.partition + "/" + slice.fileId
            if replaced[group] == nil, newest[group].map({ $0.instant < slice.instant }) ?? true { newest[group] = slice }
        }
        let schema = try (schemaText ?? properties.createSchema).map { try AvroSchema.parse($0, table: properties.name) }
        return TableSnapshot(timeline: timeline, schema: schema,
                             slices: newest.values.sorted { ($0.partition, $0.fileId) < ($1.partition, $1.fileId) }, stats: stats)
    }
}
