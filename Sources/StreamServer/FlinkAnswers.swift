import AWSProtocol
import StreamCore
import StreamRuntime

/// Jobs in the shapes of Flink's REST API (docs: Ops, REST API, `/jobs/:jobid` and below), so that tools that know these can read them.
enum FlinkAnswers {
    static let states = ["INITIALIZING", "CREATED", "RUNNING", "FAILING", "FAILED", "CANCELLING", "CANCELED", "FINISHED", "RESTARTING", "SUSPENDED", "RECONCILING"]
    private static let taskStates = ["CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING", "FINISHED", "CANCELING", "CANCELED", "FAILED", "RECONCILING"]

    static func vertexID(_ vertex: JobReport.Vertex) -> String { Digest.hexadecimal(Digest.md5(Array(vertex.operatorID.utf8))) }

    private static func taskState(_ job: KnownJob) -> String {
        switch job.report.state {
        case .initializing: "INITIALIZING"
        case .running: "RUNNING"
        case .restarting: "SCHEDULED"
        case .finished: "FINISHED"
        case .canceled: "CANCELED"
        case .failed: "FAILED"
        }
    }

    static func object(_ members: KeyValuePairs<String, JSON>) -> JSON { .object(members.map { .init($0.key, $0.value) }) }

    private static func counts(_ names: [String], _ state: String, _ n: Int) -> [JSON.Member] {
        names.map { .init($0, .int($0 == state ? Int64(n) : 0)) }
    }

    private static func duration(_ job: KnownJob, _ now: Int64) -> Int64 { max(0, (job.endedAt ?? now) - job.report.startedAt) }

    static func overview(_ job: KnownJob, now: Int64) -> JSON {
        let tasks = job.report.vertices.reduce(0) { $0 + $1.parallelism }
        return object([
            "jid": .string(job.id), "name": .string(job.report.name), "state": .string(job.state), "start-time": .int(job.report.startedAt),
            "end-time": .int(job.endedAt ?? -1), "duration": .int(duration(job, now)), "last-modification": .int(job.endedAt ?? now),
            "tasks": .object([.init("total", .int(Int64(tasks)))] + counts(taskStates.map { $0.lowercased() }, taskState(job).lowercased(), tasks)),
            "topology": .string(job.topology), "rows-per-second": .double(job.rowsPerSecond),
            "rows-out-per-second": .double(job.rowsOutPerSecond), "busy": .double(job.busy), "back-pressured": .double(job.backPressured), "lag": job.lag.map { .int($0) } ?? .null,
        ])
    }

    private static func metrics(_ subtasks: [JobReport.Subtask]) -> JSON {
        func sum(_ of: (JobReport.Subtask) -> Int64) -> JSON { .int(subtasks.reduce(0) { $0 + of($1) }) }
        return object([
            "read-bytes": sum(\.bytesIn), "read-bytes-complete": .bool(true), "write-bytes": sum(\.bytesOut), "write-bytes-complete": .bool(true),
            "read-records": sum(\.rowsIn), "read-records-complete": .bool(true), "write-records": sum(\.rowsOut), "write-records-complete": .bool(true),
            "accumulated-backpressured-time": sum(\.backPressured), "accumulated-idle-time": sum(\.idle), "accumulated-busy-time": .double(Double(subtasks.reduce(0) { $0 + $1.busy })),
        ])
    }

    static func vertex(_ vertex: JobReport.Vertex, of job: KnownJob, now: Int64) -> JSON {
        object([
            "id": .string(vertexID(vertex)), "slotSharingGroupId": .string(""), "name": .string(vertex.name), "maxParallelism": .int(128), "parallelism": .int(Int64(vertex.parallelism)),
            "status": .string(taskState(job)), "start-time": .int(job.report.startedAt), "end-time": .int(job.endedAt ?? -1), "duration": .int(duration(job, now)),
            "tasks": .object(counts(taskStates, taskState(job), vertex.parallelism)), "metrics": metrics(vertex.subtasks),
        ])
    }

    static func details(_ job: KnownJob, now: Int64) -> JSON {
        let report = job.report
        return object([
            "jid": .string(job.id), "name": .string(report.name), "isStoppable": .bool(job.endedAt == nil), "state": .string(job.state), "job-type": .string("STREAMING"),
            "start-time": .int(report.startedAt), "end-time": .int(job.endedAt ?? -1), "duration": .int(duration(job, now)), "maxParallelism": .int(128), "now": .int(now),
            "timestamps": .object(states.map { .init($0, .int($0 == "CREATED" || $0 == "INITIALIZING" || ($0 == "RUNNING" && report.state != .initializing)
                ? report.startedAt : $0 == job.state ? job.endedAt ?? now : 0)) }),
            "vertices": .array(report.vertices.map { vertex($0, of: job, now: now) }),
            "status-counts": .object(counts(taskStates, taskState(job), report.vertices.count)),
            "plan": plan(job), "topology": .string(job.topology), "attempt": .int(Int64(report.attempt)),
        ])
    }

    static func plan(_ job: KnownJob) -> JSON {
        let report = job.report
        let ids = Dictionary(report.vertices.map { ($0.id, vertexID($0)) }) { a, _ in a }
        return object([
            "jid": .string(job.id), "name": .string(report.name), "type": .string("STREAMING"),
            "nodes": .array(report.vertices.map { vertex in
                let inputs = report.edges.filter { $0.to == vertex.id }
                return object([
                    "id": .string(vertexID(vertex)), "parallelism": .int(Int64(vertex.parallelism)), "operator": .string(""), "operator_strategy": .string(""),
                    "description": .string(vertex.name),
                    "inputs": .array(inputs.enumerated().map { i, edge in
                        object([
                            "num": .int(Int64(i)), "id": .string(ids[edge.from] ?? ""), "ship_strategy": .string(edge.partitioning), "exchange": .string("pipelined_bounded"),
                        ])
                    }),
                    "optimizer_properties": .object([]),
                ])
            }),
        ])
    }

    static func vertexDetails(_ vertex: JobReport.Vertex, of job: KnownJob, now: Int64) -> JSON {
        object([
            "id": .string(vertexID(vertex)), "name": .string(vertex.name), "parallelism": .int(Int64(vertex.parallelism)), "maxParallelism": .int(128), "now": .int(now),
            "subtasks": .array(vertex.subtasks.map { subtask($0, of: job, now: now) }),
            "aggregated": object(["metrics": .object([]), "status-duration": .object([])]),
        ])
    }

    static func subtask(_ subtask: JobReport.Subtask, of job: KnownJob, now: Int64) -> JSON {
        object([
            "subtask": .int(Int64(subtask.index)), "status": .string(taskState(job)), "attempt": .int(Int64(job.report.attempt - 1)), "endpoint": .string("localhost"),
            "host": .string("localhost"),
            "start-time": .int(job.report.startedAt), "end-time": .int(job.endedAt ?? -1), "duration": .int(duration(job, now)), "metrics": metrics([subtask]),
            "taskmanager-id": .string("localhost"), "status-duration": .object([]), "other-concurrent-attempts": .array([]),
            "watermark": watermark(subtask.watermark), "lag": subtask.lag.map { .int($0) } ?? .null,
            "late-rows": .int(subtask.lateRows), "bad-records": .int(subtask.badRecords),
            "splits": .array(subtask.splits.map { split in
                object(["id": .string(split.id), "watermark": watermark(split.watermark), "lag": split.lag.map { .int($0) } ?? .null, "idle": .bool(split.isIdle)])
            }),
        ])
    }

    static func subtaskTimes(_ subtask: JobReport.Subtask, of job: KnownJob, now: Int64) -> JSON {
        let state = taskState(job)
        return object([
            "subtask": .int(Int64(subtask.index)), "endpoint": .string("localhost"), "host": .string("localhost"), "duration": .int(duration(job, now)),
            "timestamps": .object(taskStates.map { .init($0, .int($0 == "CREATED" ? job.report.startedAt : $0 == state ? job.endedAt ?? job.report.startedAt : 0)) }),
        ])
    }

    static func watermark(_ value: Int64?) -> JSON { value.map { .int($0) } ?? .null }

    static func watermarks(_ vertex: JobReport.Vertex) -> JSON {
        .array(vertex.subtasks.map { object(["id": .string("\($0.index).currentInputWatermark"), "value": .string("\($0.watermark ?? .min)")]) })
    }

    static func backPressure(_ vertex: JobReport.Vertex, attempt: Int) -> JSON {
        func shares(_ s: JobReport.Subtask) -> (back: Double, idle: Double, busy: Double) {
            let all = Double(s.busy + s.backPressured + s.idle)
            return all > 0 ? (Double(s.backPressured) / all, Double(s.idle) / all, Double(s.busy) / all) : (0, 1, 0)
        }
        func level(_ share: Double) -> JSON { .string(share <= 0.10 ? "ok" : share <= 0.5 ? "low" : "high") }
        let most = vertex.subtasks.map { shares($0).back }.max() ?? 0
        return object([
            "status": .string("ok"), "backpressureLevel": level(most), "end-timestamp": .int(Clock.milliseconds()),
            "subtasks": .array(vertex.subtasks.map { s in
                let share = shares(s)
                return object([
                    "subtask": .int(Int64(s.index)), "attempt-number": .int(Int64(attempt)), "backpressureLevel": level(share.back), "ratio": .double(share.back), "idleRatio": .double(share.idle),
                    "busyRatio": .double(share.busy),
                ])
            }),
        ])
    }

    // MARK: Checkpoints and failures

    static func checkpoint(_ c: JobReport.Checkpoint) -> JSON {
        object([
            "className": .string(c.status == .completed ? "completed" : c.status == .failed ? "failed" : "in_progress"), "id": .int(Int64(c.id)), "status": .string(c.status.rawValue),
            "is_savepoint": .bool(c.isSavepoint), "savepointFormat": c.isSavepoint ? .string("NATIVE") : .null, "trigger_timestamp": .int(c.triggeredAt),
            "latest_ack_timestamp": .int(c.duration.map { c.triggeredAt + $0 } ?? -1), "checkpointed_size": .int(c.bytes ?? 0), "state_size": .int(c.bytes ?? 0),
            "end_to_end_duration": .int(c.duration ?? -1), "alignment_buffered": .int(0), "processed_data": .int(0), "persisted_data": .int(0),
            "checkpoint_type": .string(c.isSavepoint ? "SAVEPOINT" : "CHECKPOINT"), "tasks": .object([]), "external_path": c.path.map { .string($0) } ?? .null, "discarded": .bool(false),
            "failure_message": c.failure.map { .string($0) } ?? .null,
        ])
    }

    static func checkpoints(_ report: JobReport) -> JSON {
        let c = report.checkpoints
        let done = c.history.filter { $0.status == .completed }
        func summary(_ values: [Int64]) -> JSON {
            let sorted = values.sorted()
            func at(_ q: Double) -> JSON { sorted.isEmpty ? .int(0) : .double(Double(sorted[min(sorted.count - 1, Int(q * Double(sorted.count)))])) }
            return object([
                "min": .int(sorted.first ?? 0), "max": .int(sorted.last ?? 0), "avg": .int(sorted.isEmpty ? 0 : sorted.reduce(0, +) / Int64(sorted.count)),
                "p50": at(0.5), "p90": at(0.9), "p95": at(0.95), "p99": at(0.99), "p999": at(0.999),
            ])
        }
        let zero = summary([])
        return object([
            "counts": object([
                "restored": .int(Int64(c.restored)), "total": .int(Int64(c.completed + c.failed + c.inProgress)), "in_progress": .int(Int64(c.inProgress)),
                "completed": .int(Int64(c.completed)), "failed": .int(Int64(c.failed)),
            ]),
            "summary": object([
                "checkpointed_size": summary(done.compactMap(\.bytes)), "state_size": summary(done.compactMap(\.bytes)),
                "end_to_end_duration": summary(done.compactMap(\.duration)), "alignment_buffered": zero, "processed_data": zero, "persisted_data": zero,
            ]),
            "latest": object([
                "completed": done.last { !$0.isSavepoint }.map(checkpoint) ?? .null, "savepoint": done.last { $0.isSavepoint }.map(checkpoint) ?? .null,
                "failed": c.history.last { $0.status == .failed }.map(checkpoint) ?? .null, "restored": .null,
            ]),
            "history": .array(c.history.reversed().map(checkpoint)),
        ])
    }

    static func exceptions(_ report: JobReport, limit: Int) -> JSON {
        let failures = report.failures.suffix(limit).reversed()
        return object([
            "root-exception": failures.first.map { .string($0.message) } ?? .null, "timestamp": failures.first.map { .int($0.at) } ?? .null, "all-exceptions": .array([]),
            "truncated": .bool(report.failures.count > limit),
            "exceptionHistory": object([
                "entries": .array(failures.map { failure in
                    object([
                        "exceptionName": .string(failure.kind), "stacktrace": .string(failure.message), "timestamp": .int(failure.at), "failureLabels": .object([]),
                        "taskName": .null, "endpoint": .null, "taskManagerId": .null, "concurrentExceptions": .array([]), "attempt": .int(Int64(failure.attempt)),
                    ])
                }),
                "truncated": .bool(report.failures.count > limit),
            ]),
        ])
    }
}
