import StreamCore

/// A job as Flink's JobManager tells of it.
package struct FlinkJob: Sendable {
    package let id: String, name: String
    /// CREATED, RUNNING, FINISHED, FAILED, CANCELED, RESTARTING …
    package let state: String
    /// Milliseconds since the Unix epoch.
    package let startedAt: Int64
    package let endedAt: Int64?
    package let milliseconds: Int64
    /// Subtasks by state, lower-case; those of no subtask are left out.
    package let tasks: [(state: String, count: Int64)]
    package let json: JSON

    package var isEnded: Bool { Self.endStates.contains(state) }
    package static let endStates: Set<String> = ["FINISHED", "FAILED", "CANCELED", "SUSPENDED"]

    init(_ json: JSON) {
        id = json["jid"]?.string ?? ""
        name = json["name"]?.string ?? ""
        state = json["state"]?.string ?? "UNKNOWN"
        startedAt = json["start-time"]?.int ?? 0
        endedAt = json["end-time"]?.int.flatMap { $0 < 0 ? nil : $0 }
        milliseconds = json["duration"]?.int ?? 0
        tasks = ((json["tasks"] ?? json["status-counts"])?.members ?? []).filter { $0.name != "total" }.compactMap { member in member.value.int.flatMap { $0 > 0 ? (member.name.lowercased(), $0) : nil } }
        self.json = json
    }
}

/// A step of a job, with the steps that run in the same subtasks.
package struct FlinkVertex: Sendable {
    package let id: String, name: String, state: String
    package let parallelism: Int64
    package let recordsIn: Int64, recordsOut: Int64, bytesIn: Int64, bytesOut: Int64

    init(_ json: JSON) {
        id = json["id"]?.string ?? ""
        name = json["name"]?.string ?? ""
        state = json["status"]?.string ?? ""
        parallelism = json["parallelism"]?.int ?? 0
        let metrics = json["metrics"]
        recordsIn = metrics?["read-records"]?.int ?? 0
        recordsOut = metrics?["write-records"]?.int ?? 0
        bytesIn = metrics?["read-bytes"]?.int ?? 0
        bytesOut = metrics?["write-bytes"]?.int ?? 0
    }
}

/// Why a job failed, or why it was restarted.
package struct FlinkException: Sendable {
    /// Milliseconds since the Unix epoch.
    package let at: Int64
    /// The subtask that it happened in; nil when it belongs to none.
    package let task: String?
    package let trace: String

    package var cause: FlinkTrace { FlinkTrace(trace) }
}

/// What a job's checkpoints came to.
package struct FlinkCheckpoints: Sendable {
    package let completed: Int64, failed: Int64, inProgress: Int64
    /// Of the newest complete one.
    package let newest: (id: Int64, at: Int64, milliseconds: Int64, bytes: Int64, path: String?)?
    package let newestSavepoint: String?

    init(_ json: JSON) {
        completed = json["counts"]?["completed"]?.int ?? 0
        failed = json["counts"]?["failed"]?.int ?? 0
        inProgress = json["counts"]?["in_progress"]?.int ?? 0
        newest = json["latest"]?["completed"].flatMap { latest in
            latest["id"]?.int.map {
                ($0, latest["latest_ack_timestamp"]?.int ?? 0, latest["end_to_end_duration"]?.int ?? 0, latest["state_size"]?.int ?? 0,
                 // One that is kept in the JobManager's memory has a remark there.
                 latest["external_path"]?.string.flatMap { $0.hasPrefix("<") ? nil : $0 })
            }
        }
        newestSavepoint = json["latest"]?["savepoint"]?["external_path"]?.string
    }
}
