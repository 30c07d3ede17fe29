import LakeTable
import StreamCore

/// A table's completed writes, and what the table was after any of them.
struct TableHistory: Sendable {
    let files: TableFiles
    let properties: TableProperties
    let timeline: Timeline

    init(_ files: TableFiles, _ properties: TableProperties) throws {
        self.files = files
        self.properties = properties
        timeline = try Timeline.load(files, version: properties.version)
    }

    /// Oldest first.
    var writes: [Instant] { timeline.instants.filter(\.isCompletedWrite) }

    func metadata(of instant: Instant) throws -> CommitMetadata { try timeline.metadata(of: instant, in: files) }

    /// The newest columns, as stored. Columns are never taken away, so older snapshots have a part of these.
    func schema() throws -> Schema? { try TableSnapshot.schema(timeline, files, properties) }

    /// The versions of file groups that are live after those writes that are visible, by partition and file id.
    func slices(_ pruning: PartitionPruning? = nil, visible: (String) -> Bool) throws -> [FileSlice] {
        var replaced: Set<String> = []
        for instant in writes where instant.action == "replacecommit" && visible(instant.time) {
            for (partition, ids) in try metadata(of: instant).replaced { for id in ids { replaced.insert(partition + "/" + id) } }
        }
        var newest: [String: FileSlice] = [:]
        for slice in try TableListing.baseFiles(files, pruning) where timeline.isCommitted(slice.instant) && visible(slice.instant) {
            let group = slice.partition + "/" + slice.fileId
            if !replaced.contains(group), newest[group].map({ $0.instant < slice.instant }) ?? true { newest[group] = slice }
        }
        return newest.values.sorted { ($0.partition, $0.fileId) < ($1.partition, $1.fileId) }
    }

    /// The snapshot as of an instant.
    /// - Throws: `.validate` when cleaning has removed files of it.
    func slices(asOf time: String, _ pruning: PartitionPruning? = nil) throws -> [FileSlice] {
        try requireRetained(asOf: time)
        return try slices(pruning) { $0 <= time }
    }

    /// Nothing that a snapshot as of a time needs has been cleaned away.
    func requireRetained(asOf time: String) throws {
        guard let newest = writes.last?.time, time < newest else { return }
        guard let clean = timeline.instants.last(where: { $0.action == "clean" }) else { return }
        let request = Timeline.fileName(clean.time, "clean", .requested, version: properties.version)
        // A clean that keeps numbers of versions names no instant.
        if files.exists(request), let earliest = try CleanPlan.parse(try files.read(request)).earliest?.time, !earliest.isEmpty, time >= earliest { return }

        struct Version { var time: String, path: String }
        var versions: [String: [Version]] = [:], ends: [String: String] = [:]
        for instant in writes {
            let metadata = try metadata(of: instant)
            for stat in metadata.stats {
                guard let path = stat.path else { continue }
                versions[stat.partition + "/" + stat.fileId, default: []].append(Version(time: instant.time, path: path))
            }
            for (partition, ids) in metadata.replaced { for id in ids { ends[partition + "/" + id] = instant.time } }
        }
        let present = Set(try TableListing.baseFiles(files).map(\.path))
        var missing = 0, readableFrom = ""
        for (group, list) in versions {
            for (i, version) in list.enumerated() where !present.contains(version.path) {
                let superseded = [i + 1 < list.count ? list[i + 1].time : nil, ends[group]].compactMap { $0 }.min() ?? InstantTime.latest
                readableFrom = max(readableFrom, superseded)
                if version.time <= time, superseded > time { missing += 1 }
            }
        }
        guard missing > 0 else { return }
        let earliest = writes.first { $0.time >= readableFrom }?.time ?? newest
        throw StreamError(.validate, "Hudi table \(files.root) cannot be read as of \(time): cleaning has removed \(missing) files of that snapshot",
                          fix: "read as of \(earliest) or later; 'clean.retain_commits' of the table's writer says how much is kept")
    }
}
