import LakeTable
import StreamCore

/// Which old versions of file groups are kept. The newest one always is, and so are those of savepoints.
public enum CleanPolicy: Sendable, Hashable {
    /// What a snapshot as of any of the newest n commits needs.
    case commits(Int)
    /// The newest n versions of each file group; groups that were replaced keep none.
    case fileVersions(Int)
    /// What a snapshot as of any moment of the last n hours needs.
    case hours(Int)

    public static let standard = CleanPolicy.commits(30)

    /// As plans on the timeline call it.
    var name: String {
        switch self {
        case .commits: "KEEP_LATEST_COMMITS"
        case .fileVersions: "KEEP_LATEST_FILE_VERSIONS"
        case .hours: "KEEP_LATEST_BY_HOURS"
        }
    }
}

/// What a clean is going to delete: the content of its requested and inflight files.
struct CleanPlan: Equatable {
    var policy = CleanPolicy.standard.name
    /// The oldest instant that can still be read as of its time; nil when versions are counted, not commits.
    var earliest: Instant?
    /// Partition -> absolute paths.
    var files: [String: [String]]

    private static let planSchema = #"{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieCleanerPlan","fields":[{"name":"earliestInstantToRetain","type":["null",{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieActionInstant","fields":[{"name":"timestamp","type":"string"},{"name":"action","type":"string"},{"name":"state","type":"string"}]}],"default":null},{"name":"policy","type":"string"},{"name":"filesToBeDeletedPerPartition","type":["null",{"type":"map","values":{"type":"array","items":"string"}}],"default":null},{"name":"version","type":["int","null"],"default":1},{"name":"filePathsToBeDeletedPerPartition","type":["null",{"type":"map","values":{"type":"array","items":{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieCleanFileInfo","fields":[{"name":"filePath","type":["null","string"],"default":null},{"name":"isBootstrapBaseFile","type":["null","boolean"],"default":null}]}}}],"default":null},{"name":"partitionsToBeDeleted","type":["null",{"type":"array","items":"string"}],"default":null}]}"#
    private static let doneSchema = #"{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieCleanMetadata","fields":[{"name":"policy","type":"string","default":""},{"name":"startCleanTime","type":"string"},{"name":"timeTakenInMillis","type":"long"},{"name":"totalFilesDeleted","type":"int"},{"name":"earliestCommitToRetain","type":"string"},{"name":"lastCompletedCommitTimestamp","type":"string","default":""},{"name":"partitionMetadata","type":{"type":"map","values":{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieCleanPartitionMetadata","fields":[{"name":"partitionPath","type":"string"},{"name":"policy","type":"string"},{"name":"deletePathPatterns","type":{"type":"array","items":"string"}},{"name":"successDeleteFiles","type":{"type":"array","items":"string"}},{"name":"failedDeleteFiles","type":{"type":"array","items":"string"}},{"name":"isPartitionDeleted","type":["null","boolean"],"default":null}]}}},{"name":"version","type":["int","null"],"default":1},{"name":"bootstrapPartitionMetadata","type":["null",{"type":"map","values":"org.apache.hudi.avro.model.HoodieCleanPartitionMetadata"}],"default":null}]}"#

    private var byPartition: [(key: String, value: [String])] { files.sorted { $0.key < $1.key } }

    func encoded() -> [UInt8] {
        var out = AvroWriter()
        out.long(earliest == nil ? 0 : 1)
        if let earliest {
            out.string(earliest.time)
            out.string(earliest.action)
            out.string("COMPLETED")
        }
        out.string(policy)
        out.long(1)
        out.items([String]()) { $0.string($1) }
        out.long(0)
        out.long(2)
        out.long(1)
        out.items(byPartition) { out, part in
            out.string(part.key)
            out.items(part.value) { out, path in
                out.long(1)
                out.string(path)
                out.long(1)
                out.bytes.append(0)  // not a bootstrap file
            }
        }
        out.long(1)
        out.items([String]()) { $0.string($1) }
        return AvroContainer.file(schema: Self.planSchema, record: out.bytes)
    }

    /// The metadata of the completed clean at `time`.
    func completed(at time: String, milliseconds: Int64, newestCommit: String) -> [UInt8] {
        var out = AvroWriter()
        out.string(policy)
        out.string(time)
        out.long(milliseconds)
        out.long(Int64(files.values.reduce(0) { $0 + $1.count }))
        out.string(earliest?.time ?? "")
        out.string(newestCommit)
        out.items(byPartition) { out, part in
            let names = part.value.map { path in path.split(separator: "/").last.map(String.init) ?? path }
            out.string(part.key)
            out.string(part.key)
            out.string(policy)
            out.items(names) { $0.string($1) }
            out.items(names) { $0.string($1) }
            out.items([String]()) { $0.string($1) }
            out.long(1)
            out.bytes.append(0)
        }
        out.long(0)
        out.long(2)
        out.long(1)
        out.items([String]()) { $0.string($1) }
        return AvroContainer.file(schema: Self.doneSchema, record: out.bytes)
    }

    static func parse(_ file: [UInt8]) throws -> CleanPlan {
        var reader = try AvroContainer.record(file)
        var plan = CleanPlan(files: [:])
        if try reader.long() == 1 {
            plan.earliest = Instant(time: try reader.string(), action: try reader.string(), state: .completed)
            _ = try reader.string()
        }
        plan.policy = try reader.string()
        if try reader.long() == 1 {
            try reader.items { reader in
                let partition = try reader.string()
                try reader.items { plan.files[partition, default: []].append(try $0.string()) }
            }
        }
        if try reader.long() == 0 { _ = try reader.long() }
        if try reader.long() == 1 {
            try reader.items { reader in
                let partition = try reader.string()
                try reader.items { reader in
                    if try reader.long() == 1 { plan.files[partition, default: []].append(try reader.string()) }
                    if try reader.long() == 1 { _ = try reader.raw(1) }
                }
            }
        }
        return plan
    }
}

/// Deletes versions of file groups that only readers of long past commits could want.
struct Cleaner {
    let timeline: WriterTimeline
    private var files: TableFiles { timeline.files }

    init(_ timeline: WriterTimeline) { self.timeline = timeline }

    /// - Parameter retired: the versions that are not live; not called when nothing can be due yet.
    /// - Returns: nil when there is nothing to delete.
    func plan(_ policy: CleanPolicy, _ retired: () throws -> [RetiredVersion]) throws -> CleanPlan? {
        let now = try timeline.current()
        if case .commits(let n) = policy, now.completedWrites.count <= n { return nil }
        let savepoints = try SavepointMetadata.all(files, now)
        return Self.plan(policy, writes: now.instants.filter(\.isCompletedWrite), retired: try retired(), kept: Set(savepoints.flatMap(\.metadata.paths)),
                         now: files.host.now(), path: files.absolute)
    }

    /// - Parameters:
    ///   - writes: completed ones, oldest first.
    ///   - retired: committed versions on the disk that are not live.
    ///   - kept: paths of base files that savepoints need.
    ///   - now: milliseconds since 1970.
    ///   - path: what a plan calls a base file.
    static func plan(_ policy: CleanPolicy, writes: [Instant], retired: [RetiredVersion], kept: Set<String>, now: Int64,
                     path: (String) -> String) -> CleanPlan? {
        guard let newest = writes.last else { return nil }
        let earliest: Instant?, old: [RetiredVersion]
        switch policy {
        case .commits(let n):
            guard writes.count > n else { return nil }
            earliest = writes[writes.count - n]
        case .hours(let n):
            let limit = InstantTime.format(milliseconds: now - Int64(n) * 3_600_000)
            earliest = writes.first { $0.visibleFrom >= limit } ?? newest
        case .fileVersions: earliest = nil
        }
        if let earliest {
            // As of the earliest write there is a newer version, or the group is gone.
            old = retired.filter { $0.by < earliest.time }
        } else if case .fileVersions(let n) = policy {
            old = Dictionary(grouping: retired) { FileGroupKey(partition: $0.slice.partition, fileId: $0.slice.fileId) }.values.flatMap { versions in
                versions.contains(where: \.isReplaced) ? versions : Array(versions.sorted { $0.slice.instant < $1.slice.instant }.dropLast(n - 1))
            }
        } else {
            old = []
        }
        var doomed: [String: [String]] = [:]
        for version in old where !kept.contains(version.slice.path) { doomed[version.slice.partition, default: []].append(path(version.slice.path)) }
        return doomed.isEmpty ? nil : CleanPlan(policy: policy.name, earliest: earliest, files: doomed.mapValues { $0.sorted() })
    }

    func run(_ plan: CleanPlan, at time: String) throws {
        try timeline.publish(time, "clean", .requested, plan.encoded())
        try files.reached(.cleanRequested)
        try finish(plan, at: time)
    }

    /// Ends cleans that a writer which died left behind.
    func finishPending() throws {
        for instant in try timeline.look().instants where instant.action == "clean" && instant.state != .completed {
            try finish(CleanPlan.parse(try timeline.read(instant.time, "clean", .requested)), at: instant.time)
        }
    }

    /// Every step may have been done already.
    private func finish(_ plan: CleanPlan, at time: String) throws {
        let started = files.host.now()
        if !timeline.exists(time, "clean", .inflight) { try timeline.publish(time, "clean", .inflight, timeline.version.inflightClean(plan)) }
        try files.reached(.cleanInflight)
        for (partition, paths) in plan.files.sorted(by: { $0.key < $1.key }) {
            for path in paths {
                let name = path.split(separator: "/").last.map(String.init) ?? path
                try files.remove(partition.isEmpty ? name : "\(partition)/\(name)")
            }
        }
        try files.flush(folders: Set(plan.files.keys))
        try files.reached(.cleanFilesDeleted)
        let newest = try timeline.current().newestCompletedWrite?.time ?? ""
        try timeline.publish(time, "clean", .completed, plan.completed(at: time, milliseconds: max(1, files.host.now() - started), newestCommit: newest))
    }
}
