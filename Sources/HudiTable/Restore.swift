import LakeTable
import StreamCore

/// Brings a table back to an earlier commit by undoing all later ones, newest first. At each moment the table is as one of its
/// commits left it.
struct Restore {
    let timeline: WriterTimeline
    let rollback: Rollback
    private var files: TableFiles { timeline.files }

    init(timeline: WriterTimeline, rollback: Rollback) { (self.timeline, self.rollback) = (timeline, rollback) }

    private static let info = RollbackPlan.info
    private static let planSchema = #"{"type":"record","name":"HoodieRestorePlan","namespace":"org.apache.hudi.avro.model","fields":[{"name":"instantsToRollback","type":{"type":"array","items":\#(info)},"default":[]},{"name":"version","type":["int","null"],"default":2},{"name":"savepointToRestoreTimestamp","type":["string","null"]}]}"#
    private static let doneSchema = #"{"type":"record","name":"HoodieRestoreMetadata","namespace":"org.apache.hudi.avro.model","fields":[{"name":"startRestoreTime","type":"string"},{"name":"timeTakenInMillis","type":"long"},{"name":"instantsToRollback","type":{"type":"array","items":"string"}},{"name":"hoodieRestoreMetadata","type":{"type":"map","values":{"type":"array","items":["null",\#(RollbackPlan.doneSchema)]}}},{"name":"version","type":["int","null"],"default":1},{"name":"restoreInstantInfo","type":{"type":"array","items":"HoodieInstantInfo"},"default":[]}]}"#

    /// - Parameters:
    ///   - instants: the writes to undo, newest first.
    ///   - target: the instant that the table goes back to.
    func run(_ instants: [Instant], to target: String) throws {
        let time = try timeline.newTime()
        var plan = AvroWriter()
        plan.items(instants) { $0.string($1.time); $0.string($1.action) }
        plan.long(0)
        plan.long(2)
        plan.long(0)
        plan.string(target)
        try timeline.publish(time, "restore", .requested, AvroContainer.file(schema: Self.planSchema, record: plan.bytes))
        try files.reached(.restoreRequested)
        try finish(instants, at: time)
    }

    /// Finishes restores that were interrupted.
    func finishPending() throws {
        for restore in try timeline.look().instants where restore.action == "restore" && restore.state != .completed {
            var reader = try AvroContainer.record(try timeline.read(restore.time, "restore", .requested))
            var instants: [Instant] = []
            try reader.items { instants.append(Instant(time: try $0.string(), action: try $0.string(), state: .completed)) }
            try rollback.finishPending()
            try finish(instants, at: restore.time)
        }
    }

    /// Every step may have been done already.
    private func finish(_ instants: [Instant], at time: String) throws {
        let started = files.host.now()
        if !timeline.exists(time, "restore", .inflight) { try timeline.publish(time, "restore", .inflight, []) }
        try files.reached(.restoreInflight)
        for instant in instants where try timeline.current().has(instant.time) { try rollback.undo(instant) }
        try files.reached(.restoreUndone)
        let undone = try rollback.plans(after: time)
        var out = AvroWriter()
        out.string(time)
        out.long(max(1, files.host.now() - started))
        out.items(instants) { $0.string($1.time) }
        out.items(instants) { out, instant in
            out.string(instant.time)
            out.items(undone.filter { $0.plan.instant == instant.time }) { out, rollback in
                out.long(1)
                out.bytes += rollback.plan.record(at: rollback.time, milliseconds: 1)
            }
        }
        out.long(0)
        out.long(1)
        out.items(instants) { $0.string($1.time); $0.string($1.action) }
        try timeline.publish(time, "restore", .completed, AvroContainer.file(schema: Self.doneSchema, record: out.bytes))
    }
}

extension Rollback {
    /// The rollbacks begun after a moment.
    func plans(after time: String) throws -> [(time: String, plan: RollbackPlan)] {
        try timeline.current().rollbacks.filter { $0.time > time }.map { rollback in
            (rollback.time, try RollbackPlan.parse(try timeline.read(rollback.time, "rollback", .requested)))
        }
    }
}
