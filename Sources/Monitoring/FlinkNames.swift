/// Flink's metrics as its Prometheus reporter names them, and what they mean here.
enum FlinkNames {
    static let job = "flink_jobmanager_job_"
    static let task = "flink_taskmanager_job_task_"
    static let oneOperator = "flink_taskmanager_job_task_operator_"
    /// Of a metric that Flink puts below groups for both ends.
    static let latency = "flink_taskmanager_job_latency_source_id_operator_id_operator_subtask_index_"

    static func scope(_ labels: [String: String]) -> String {
        labels["operator_id"] != nil ? oneOperator : labels["task_id"] != nil ? task : job
    }

    /// Letters, digits and underscores.
    static func valid(_ name: String) -> String {
        guard !name.utf8.allSatisfy(isWordByte) else { return name }
        return String(decoding: name.utf8.map { isWordByte($0) ? $0 : UInt8(ascii: "_") }, as: UTF8.self)
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        byte >= 0x61 && byte <= 0x7A || byte >= 0x41 && byte <= 0x5A || byte >= 0x30 && byte <= 0x39 || byte == 0x5F
    }

    static func help(_ name: String) -> String { describe(name).help }

    /// A gauge of a connector unless it is known.
    static func describe(_ name: String) -> (kind: MetricKind, help: String) {
        known[name] ?? (.gauge, name.hasPrefix("rocksdb.") ? "RocksDB's \(name.dropFirst(8)) of the operator's state." : "Measured by the connector: \(name).")
    }

    private static let known: [String: (kind: MetricKind, help: String)] = {
        var all: [String: (kind: MetricKind, help: String)] = [:]
        func counter(_ name: String, _ help: String) { all[name] = (.counter, help) }
        func gauge(_ name: String, _ help: String) { all[name] = (.gauge, help) }
        gauge("numRunningJobs", "Jobs that run or are started again.")
        gauge("numRegisteredTaskManagers", "This process.")
        gauge("uptime", "Milliseconds since the job was started, until it ended.")
        gauge("downtime", "Milliseconds since the failure that the job is being started again for; 0 while it runs.")
        for state in ["initializing", "running", "restarting", "finished", "canceled", "failed"] { gauge(state + "State", "1 when the job is \(state), else 0.") }
        counter("numRestarts", "Times that the job was started again after a failure.")
        counter("fullRestarts", "The same as numRestarts.")
        counter("numberOfCompletedCheckpoints", "Checkpoints and savepoints that completed.")
        counter("numberOfFailedCheckpoints", "Checkpoints and savepoints that failed.")
        gauge("numberOfInProgressCheckpoints", "Checkpoints and savepoints under way.")
        counter("totalNumberOfCheckpoints", "Checkpoints and savepoints begun.")
        gauge("lastCheckpointDuration", "Milliseconds that the last completed checkpoint took until it was durable.")
        gauge("lastCheckpointSize", "Bytes of state in the last completed checkpoint.")
        gauge("lastCheckpointFullSize", "Bytes of state in the last completed checkpoint, with what it shares with earlier ones.")
        gauge("lastCompletedCheckpointId", "Number of the last completed checkpoint.")
        gauge("lastCheckpointRestoreTimestamp", "When a checkpoint was last given back, in milliseconds since 1970.")
        all["checkpointDuration"] = (.summary, "Milliseconds from a checkpoint's start until it was durable, of the last minutes.")
        all["commitDuration"] = (.summary, "Milliseconds from a checkpoint's start until its rows were visible, of the last minutes.")
        all["latency"] = (.summary, "Milliseconds that markers took from the source to the operator, of the last minutes.")
        for (name, rows) in [("Records", "Rows"), ("Bytes", "Bytes")] {
            counter("num\(name)In", "\(rows) taken in.")
            counter("num\(name)Out", "\(rows) given out.")
            gauge("num\(name)InPerSecond", "\(rows) taken in per second, over the last minute.")
            gauge("num\(name)OutPerSecond", "\(rows) given out per second, over the last minute.")
        }
        counter("numRecordsInErrors", "Records that could not be decoded.")
        counter("numRecordsOutErrors", "Rows that could not be written.")
        counter("numLateRecordsDropped", "Rows that came too late for any window.")
        for (name, what) in [("busy", "with work"), ("backPressured", "with output that nobody takes"), ("idle", "without work")] {
            gauge(name + "TimeMsPerSecond", "Milliseconds per second \(what), over the last minute.")
            counter("accumulate\(name.prefix(1).uppercased())\(name.dropFirst())TimeMs", "Milliseconds \(what).")
        }
        gauge("isBackPressured", "1 when output waits that nobody takes, else 0.")
        gauge("currentInputWatermark", "Event time that the input has come to, in milliseconds since 1970.")
        gauge("currentOutputWatermark", "Event time behind the operator, in milliseconds since 1970.")
        gauge("watermarkLag", "Milliseconds that the watermark of a source is behind the clock.")
        for name in ["currentFetchEventTimeLag", "currentEmitEventTimeLag"] { gauge(name, "Milliseconds from the event time of the source's newest row until it was read.") }
        gauge("pendingRecords", "Records that the source has not read yet.")
        gauge("split.currentWatermark", "Event time of one split, in milliseconds since 1970.")
        gauge("split.watermarkLag", "Milliseconds that the watermark of one split is behind the clock.")
        gauge("split.pendingRecords", "Records of one split that have not been read yet.")
        gauge("split.isIdle", "1 when one split holds no watermark back, as it has had no rows for long.")
        for name in ["buffers.inputQueueLength", "Shuffle.Netty.Input.Buffers.inputQueueLength"] { gauge(name, "Batches and control elements that wait in the input queues.") }
        counter("Shuffle.Netty.Input.numBuffersInLocal", "Batches taken from other subtasks of the process.")
        counter("Shuffle.Netty.Input.numBuffersInRemote", "Batches taken from other processes; a job has only one.")
        return all
    }()
}
