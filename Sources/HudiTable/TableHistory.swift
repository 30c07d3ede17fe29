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

    /// When a write that is named came to be seen, where the table's version tells completion times; other times stay as they are.
    func moment(_ time: String) -> String { timeline.completedWrite(time)?.visibleFrom ?? time }

    /// Whether readers saw a write at a moment.
    func isVisible(_ time: String, at moment: String) -> Bool { self.moment(time) <= moment }

    /// Writes that came to be seen after one moment and until another.
    func commits(after start: String, until end: String) -> CommitTimes {
        CommitTimes(Set(writes.filter { $0.visibleFrom > start && $0.visibleFrom <= end }.map(\.time)))
    }

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
        let moment = moment(time)
        try requireRetained(asOf: time) { isVisible($0, at: moment) }
        return try slices(pruning) { isVisible($0, at: moment) }
    }

    /// Nothing that a snapshot needs has been cleaned away.
    /// - Parameter time: for the message.
    func requireRetained(asOf time: String, visible: (String) -> Bool) throws {
        guard let newest = writes.last?.time, writes.contains(where: { !visible($0.time) }) else { return }
        guard let clean = timeline.instants.last(where: { $0.action == "clean" }) else { return }
        let request = Timeline.fileName(clean.time, "clean", .requested, version: properties.version)
        // A clean that keeps numbers of versions names no instant.
        if files.exists(request), let earliest = try CleanPlan.parse(try files.read(request)).earliest?.time, !earliest.isEmpty, visible(earliest) { return }

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
                let superseded = [i + 1 < list.count ? list[i + 1].time : nil, ends[group]].compactMap { $0 }.min()
                readableFrom = max(readableFrom, superseded ?? InstantTime.latest)
                if visible(version.time), superseded.map({ !visible($0) }) ?? true { missing += 1 }
            }
        }
        guard missing > 0 else { return }
        let earliest = writes.first { $0.time >= readableFrom }?.time ?? newest
        throw StreamError(.validate, "Hudi table \(files.root) cannot be read as of \(time): cleaning has removed \(missing) files of that snapshot",
                          fix: "read as of \(earliest) or later; 'clean.retain_commits' of the table's writer says how much is kept")
    }
}

/// Times of commits, to be asked of every row.
struct CommitTimes: Sendable {
    let times: Set<String>
    init(_ times: Set<String>) { self.times = times }

    var oldest: String? { times.min() }

    /// Rows of one commit mostly lie together: the last answer is kept.
    struct Lookup {
        private let times: Set<String>
        private var last: [UInt8] = [], answer = false
        init(_ times: CommitTimes) {
            self.times = times.times
            answer = self.times.contains("")
        }

        mutating func contains(_ time: UnsafeRawBufferPointer) -> Bool {
            if !last.withUnsafeBytes({ ByteOrder.equal($0, time) }) {
                last = Array(time)
                answer = times.contains(String(decoding: time, as: UTF8.self))
            }
            return answer
        }
    }
}
