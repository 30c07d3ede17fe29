import LakeTable
import StreamCore

/// What a rollback is going to undo: the content of its requested file.
struct RollbackPlan: Sendable, Equatable {
    var instant: String
    var action: String
    /// Partition -> absolute paths.
    var files: [String: [String]]

    static let info = #"{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieInstantInfo","fields":[{"name":"commitTime","type":"string"},{"name":"action","type":"string"}]}"#
    private static let version = #"{"name":"version","type":["int","null"],"default":1}"#
    private static let planSchema = #"{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieRollbackPlan","fields":[{"name":"instantToRollback","type":["null",\#(info)],"default":null},{"name":"RollbackRequests","type":["null",{"type":"array","items":{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieRollbackRequest","fields":[{"name":"partitionPath","type":"string"},{"name":"fileId","type":["null","string"],"default":null},{"name":"latestBaseInstant","type":["null","string"],"default":null},{"name":"filesToBeDeleted","type":{"type":"array","items":"string"},"default":[]},{"name":"logBlocksToBeDeleted","type":["null",{"type":"map","values":"long"}],"default":null}]}}],"default":null},\#(version)]}"#
    static let doneSchema = #"{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieRollbackMetadata","fields":[{"name":"startRollbackTime","type":"string"},{"name":"timeTakenInMillis","type":"long"},{"name":"totalFilesDeleted","type":"int"},{"name":"commitsRollback","type":{"type":"array","items":"string"}},{"name":"partitionMetadata","type":{"type":"map","values":{"type":"record","namespace":"org.apache.hudi.avro.model","name":"HoodieRollbackPartitionMetadata","fields":[{"name":"partitionPath","type":"string"},{"name":"successDeleteFiles","type":{"type":"array","items":"string"}},{"name":"failedDeleteFiles","type":{"type":"array","items":"string"}},{"name":"rollbackLogFiles","type":["null",{"type":"map","values":"long"}],"default":null},{"name":"logFilesFromFailedCommit","type":["null",{"type":"map","values":"long"}],"default":null}]}}},\#(version),{"name":"instantsRollback","type":{"type":"array","items":\#(info)},"default":[]}]}"#

    private var byPartition: [(key: String, value: [String])] { files.sorted { $0.key < $1.key } }

    func encoded() -> [UInt8] {
        var out = AvroWriter()
        out.long(1)
        out.string(instant)
        out.string(action)
        out.long(1)
        out.items(byPartition) { out, part in
            out.string(part.key)
            for _ in 0..<2 {  // fileId and latestBaseInstant, which only log files need
                out.long(1)
                out.string("")
            }
            out.items(part.value) { $0.string($1) }
            out.long(1)
            out.items([String]()) { $0.string($1) }
        }
        out.long(0)
        out.long(1)
        return AvroContainer.file(schema: Self.planSchema, record: out.bytes)
    }

    /// The metadata of the completed rollback at `time`.
    func completed(at time: String, milliseconds: Int64) -> [UInt8] {
        AvroContainer.file(schema: Self.doneSchema, record: record(at: time, milliseconds: milliseconds))
    }

    func record(at time: String, milliseconds: Int64) -> [UInt8] {
        var out = AvroWriter()
        out.string(time)
        out.long(milliseconds)
        out.long(Int64(files.values.reduce(0) { $0 + $1.count }))
        out.items([instant]) { $0.string($1) }
        out.items(byPartition) { out, part in
            out.string(part.key)
            out.string(part.key)
            out.items(part.value) { $0.string($1) }
            out.items([String]()) { $0.string($1) }
            for _ in 0..<2 {
                out.long(1)
                out.items([String]()) { $0.string($1) }
            }
        }
        out.long(0)
        out.long(1)
        out.items([(instant, action)]) { $0.string($1.0); $0.string($1.1) }
        return out.bytes
    }

    static func parse(_ file: [UInt8]) throws -> RollbackPlan {
        var reader = try AvroContainer.record(file)
        guard try reader.long() == 1 else { throw StreamError(.corrupt, "a rollback plan names no instant") }
        var plan = RollbackPlan(instant: try reader.string(), action: try reader.string(), files: [:])
        if try reader.long() == 1 {
            try reader.items { reader in
                let partition = try reader.string()
                for _ in 0..<2 where try reader.long() == 1 { _ = try reader.string() }
                var files: [String] = []
                try reader.items { files.append(try $0.string()) }
                plan.files[partition, default: []] += files
                if try reader.long() == 1 { try reader.items { _ = try $0.string(); _ = try $0.long() } }
            }
        }
        return plan
    }
}

/// Undoes writes that were begun and never completed, so that none of their files can ever show; completed ones when asked to.
struct Rollback {
    let timeline: WriterTimeline
    private var files: TableFiles { timeline.files }

    init(_ timeline: WriterTimeline) { self.timeline = timeline }

    /// Finishes rollbacks that were interrupted, then rolls back pending writes, oldest first.
    /// - Parameter keeping: instants of this process that are still going to be completed.
    /// - Returns: the instants undone.
    @discardableResult
    func undoPending(keeping: Set<String>) throws -> [String] {
        var undone = try finishPending()
        for instant in try timeline.current().pendingWrites where !keeping.contains(instant.time) {
            try undo(instant)
            undone.append(instant.time)
        }
        return undone
    }

    /// Finishes rollbacks that were interrupted.
    /// - Returns: the instants undone.
    @discardableResult
    func finishPending() throws -> [String] {
        var undone: [String] = []
        for rollback in try timeline.look().pendingRollbacks {
            let plan = try RollbackPlan.parse(try timeline.read(rollback.time, "rollback", .requested))
            if !timeline.exists(rollback.time, "rollback", .inflight) { try timeline.publish(rollback.time, "rollback", .inflight, []) }
            try finish(plan, at: rollback.time)
            undone.append(plan.instant)
        }
        return undone
    }

    /// Whether a rollback, finished or not, that is still on the timeline undoes an instant.
    func undoes(_ instant: String) throws -> Bool {
        try timeline.current().rollbacks.contains { rollback in
            try rollback.time > instant && timeline.exists(rollback.time, "rollback", .requested)
                && RollbackPlan.parse(try timeline.read(rollback.time, "rollback", .requested)).instant == instant
        }
    }

    /// - Parameter instant: the newest write of the table, unless it is pending.
    func undo(_ instant: Instant) throws {
        let time = try timeline.newTime()
        var plan = RollbackPlan(instant: instant.time, action: instant.action, files: [:])
        for (partition, name) in try baseFiles(of: instant.time) {
            plan.files[partition, default: []].append(files.absolute(partition.isEmpty ? name : "\(partition)/\(name)"))
        }
        try timeline.publish(time, "rollback", .requested, plan.encoded())
        try files.reached(.rollbackRequested)
        try timeline.publish(time, "rollback", .inflight, [])
        try files.reached(.rollbackInflight)
        try finish(plan, at: time)
    }

    /// Every step may have been done already.
    private func finish(_ plan: RollbackPlan, at time: String) throws {
        let started = files.host.now()
        // A completed write is hidden first: readers must not look for files that are on their way out.
        if let completed = try timeline.current().completedWrite(plan.instant) { try timeline.hide(completed) }
        try files.reached(.rollbackHidden)
        // The plan's paths are absolute and go stale when a table is copied: only their names count.
        for (partition, paths) in plan.files.sorted(by: { $0.key < $1.key }) {
            for path in paths {
                let name = path.split(separator: "/").last.map(String.init) ?? path
                try files.remove(partition.isEmpty ? name : "\(partition)/\(name)")
            }
        }
        var touched = Set(plan.files.keys)
        for (partition, name) in try baseFiles(of: plan.instant) {
            try files.remove(partition.isEmpty ? name : "\(partition)/\(name)")
            touched.insert(partition)
        }
        // A file that came back after its instant has left the timeline would count as one of an archived commit.
        try files.flush(folders: touched)
        let markers = TableFiles.temporaryFolder + "/" + plan.instant
        if files.exists(markers) { try files.removeTree(markers) }
        try files.reached(.rollbackFilesDeleted)
        try timeline.removePending(plan.instant, plan.action)
        try files.reached(.rollbackInstantDeleted)
        try timeline.publish(time, "rollback", .completed, plan.completed(at: time, milliseconds: max(1, files.host.now() - started)))
        try files.reached(.rollbackCompleted)
    }

    /// Base files on disk that an instant wrote.
    private func baseFiles(of instant: String) throws -> [(partition: String, name: String)] {
        try TableListing.baseFiles(files).filter { $0.instant == instant }.map { ($0.partition, $0.name) }
    }
}
