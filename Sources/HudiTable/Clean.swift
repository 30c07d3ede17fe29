import LakeTable
import StreamCore

/// What a clean is going to delete: the content of its requested and inflight files.
struct CleanPlan: Equatable {
    static let policy = "KEEP_LATEST_COMMITS"

    /// The oldest instant that can still be read as of its time.
    var earliest: Instant
    /// Partition -> absolute paths.
    var files: [String: [String]]

    private static let planSchema = #"{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieCleanerPlan","fields":[{"name":"earliestInstantToRetain","type":["null",{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieActionInstant","fields":[{"name":"timestamp","type":"string"},{"name":"action","type":"string"},{"name":"state","type":"string"}]}],"default":null},{"name":"policy","type":"string"},{"name":"filesToBeDeletedPerPartition","type":["null",{"type":"map","values":{"type":"array","items":"string"}}],"default":null},{"name":"version","type":["int","null"],"default":1},{"name":"filePathsToBeDeletedPerPartition","type":["null",{"type":"map","values":{"type":"array","items":{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieCleanFileInfo","fields":[{"name":"filePath","type":["null","string"],"default":null},{"name":"isBootstrapBaseFile","type":["null","boolean"],"default":null}]}}}],"default":null},{"name":"partitionsToBeDeleted","type":["null",{"type":"array","items":"string"}],"default":null}]}"#
    private static let doneSchema = #"{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieCleanMetadata","fields":[{"name":"policy","type":"string","default":""},{"name":"startCleanTime","type":"string"},{"name":"timeTakenInMillis","type":"long"},{"name":"totalFilesDeleted","type":"int"},{"name":"earliestCommitToRetain","type":"string"},{"name":"lastCompletedCommitTimestamp","type":"string","default":""},{"name":"partitionMetadata","type":{"type":"map","values":{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieCleanPartitionMetadata","fields":[{"name":"partitionPath","type":"string"},{"name":"policy","type":"string"},{"name":"deletePathPatterns","type":{"type":"array","items":"string"}},{"name":"successDeleteFiles","type":{"type":"array","items":"string"}},{"name":"failedDeleteFiles","type":{"type":"array","items":"string"}},{"name":"isPartitionDeleted","type":["null","boolean"],"default":null}]}}},{"name":"version","type":["int","null"],"default":1},{"name":"bootstrapPartitionMetadata","type":["null",{"type":"map","values":"org.apache.hudi.avro.model.HoodieCleanPartitionMetadata"}],"default":null}]}"#

    private var byPartition: [(key: String, value: [String])] { files.sorted { $0.key < $1.key } }

    func encoded() -> [UInt8] {
        var out = AvroWriter()
        out.long(1)
        out.string(earliest.time)
        out.string(earliest.action)
        out.string("COMPLETED")
        out.string(Self.policy)
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
        out.string(Self.policy)
        out.string(time)
        out.long(milliseconds)
        out.long(Int64(files.values.reduce(0) { $0 + $1.count }))
        out.string(earliest.time)
        out.string(newestCommit)
        out.items(byPartition) { out, part in
            let names = part.value.map { path in path.split(separator: "/").last.map(String.init) ?? path }
            out.string(part.key)
            out.string(part.key)
            out.string(Self.policy)
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
        var plan = CleanPlan(earliest: Instant(time: "", action: "", state: .completed), files: [:])
        if try reader.long() == 1 {
            plan.earliest = Instant(time: try reader.string(), action: try reader.string(), state: .completed)
            _ = try reader.string()
        }
        _ = try reader.string()
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
    let files: TableFiles
    let version: TableVersion

    /// Every version that a snapshot as of one of the newest `retained` commits needs stays.
    /// - Returns: nil when there is nothing to delete.
    func plan(retaining retained: Int) throws -> CleanPlan? {
        let timeline = try Timeline.load(files, version: version)
        let completed = timeline.instants.filter(\.isCompletedWrite)
        guard completed.count > retained else { return nil }
        let earliest = completed[completed.count - retained]
        var replaced: [String: String] = [:]
        for instant in completed where instant.action == "replacecommit" {
            let file = Timeline.fileName(instant.time, instant.action, .completed, version: version)
            for (partition, ids) in try CommitMetadata.parse(try files.read(file), file: files.absolute(file)).replaced {
                for id in ids { replaced[partition + "/" + id] = instant.time }
            }
        }
        let committed = try TableListing.baseFiles(files).filter { timeline.isCommitted($0.instant) }
        var doomed: [String: [String]] = [:]
        for (group, versions) in Dictionary(grouping: committed, by: { $0.partition + "/" + $0.fileId }) {
            var old = versions.filter { $0.instant < earliest.time }.sorted { $0.instant < $1.instant }
            if replaced[group].map({ $0 < earliest.time }) ?? false {
                old = versions
            } else if !old.isEmpty {
                old.removeLast()
            }
            for slice in old { doomed[slice.partition, default: []].append(files.absolute(slice.path)) }
        }
        return doomed.isEmpty ? nil : CleanPlan(earliest: earliest, files: doomed.mapValues { $0.sorted() })
    }

    func run(_ plan: CleanPlan, at time: String) throws {
        try files.publish(Timeline.fileName(time, "clean", .requested, version: version), plan.encoded())
        try files.reached(.cleanRequested)
        try finish(plan, at: time)
    }

    /// Ends cleans that a writer which died left behind.
    func finishPending() throws {
        for instant in try Timeline.load(files, version: version).instants where instant.action == "clean" && instant.state != .completed {
            try finish(CleanPlan.parse(try files.read(Timeline.fileName(instant.time, "clean", .requested, version: version))), at: instant.time)
        }
    }

    /// Every step may have been done already.
    private func finish(_ plan: CleanPlan, at time: String) throws {
        let started = files.host.now()
        let inflight = Timeline.fileName(time, "clean", .inflight, version: version)
        if !files.exists(inflight) { try files.publish(inflight, plan.encoded()) }
        try files.reached(.cleanInflight)
        for (partition, paths) in plan.files.sorted(by: { $0.key < $1.key }) {
            for path in paths {
                let name = path.split(separator: "/").last.map(String.init) ?? path
                try files.remove(partition.isEmpty ? name : "\(partition)/\(name)")
            }
        }
        try files.flush(folders: Set(plan.files.keys))
        try files.reached(.cleanFilesDeleted)
        let newest = try Timeline.load(files, version: version).newestCompletedWrite?.time ?? ""
        try files.publish(Timeline.fileName(time, "clean", .completed, version: version),
                          plan.completed(at: time, milliseconds: max(1, files.host.now() - started), newestCommit: newest))
    }
}
