import StreamCore

extension JobReport {
    /// Flink's names for what is measured, with a label for each part of Flink's scopes:
    ///
    ///     job        job_id, job_name
    ///     task       those and task_id, task_name, subtask_index: a subtask of fused operators
    ///     operator   those and operator_id, operator_name; of a part of a source: split
    ///
    /// Rates are per second.
    ///
    /// - Parameter rates: what has observed this report and those before it; nil = rates are those of the whole attempt so far.
    public func samples(rates: RateTracker? = nil) -> [MetricSample] {
        var all: [MetricSample] = []
        all.reserveCapacity(16 + vertices.reduce(0) { $0 + $1.subtasks.count * 32 })
        let job = ["job_id": id, "job_name": name]
        addJob(job, to: &all)
        let rates = rates ?? RateTracker(since: self)
        let chains = Dictionary(grouping: vertices, by: \.chain)
        for head in vertices where head.chain == head.id {
            let fused = chains[head.id]!
            let task = job.merging(["task_id": head.operatorID, "task_name": fused.map(\.name).joined(separator: " -> ")]) { $1 }
            for index in head.subtasks.indices {
                let labels = task.merging(["subtask_index": "\(index)"]) { $1 }
                addTask(fused.map { ($0, $0.subtasks[index]) }, labels, rates, to: &all)
                for vertex in fused {
                    addOperator(vertex, vertex.subtasks[index], labels.merging(["operator_id": vertex.operatorID, "operator_name": vertex.name]) { $1 }, rates, to: &all)
                }
            }
        }
        return all
    }

    private func addJob(_ labels: [String: String], to all: inout [MetricSample]) {
        func add(_ name: String, _ value: (some BinaryInteger)?) { if let value { all.append(.init(name: name, labels: labels, value: Double(value))) } }
        let isRunning = state == .running
        add("uptime", startedAt > 0 ? (endedAt ?? takenAt) - startedAt : 0)
        for known in [State.initializing, .running, .restarting, .finished, .canceled, .failed] {
            add("\(known)State", known == state ? 1 : 0)
        }
        add("numRestarts", attempt - 1)
        add("fullRestarts", attempt - 1)
        add("downtime", isRunning || endedAt != nil ? 0 : failures.last.map { max(takenAt - $0.at, 0) } ?? 0)
        add("numberOfCompletedCheckpoints", checkpoints.completed)
        add("numberOfFailedCheckpoints", checkpoints.failed)
        add("numberOfInProgressCheckpoints", checkpoints.inProgress)
        add("totalNumberOfCheckpoints", checkpoints.completed + checkpoints.failed + checkpoints.inProgress)
        let last = checkpoints.history.last { $0.status == .completed }
        add("lastCheckpointDuration", last?.duration)
        add("lastCheckpointSize", last?.bytes)
        add("lastCheckpointFullSize", last?.bytes)
        add("lastCompletedCheckpointId", last?.id)
        add("lastCheckpointRestoreTimestamp", checkpoints.restoredAt)
    }

    private func addTask(_ fused: [(vertex: Vertex, subtask: Subtask)], _ labels: [String: String], _ rates: RateTracker, to all: inout [MetricSample]) {
        func add(_ name: String, _ value: Double?) { if let value { all.append(.init(name: name, labels: labels, value: value)) } }
        let (head, first) = fused[0]
        let (tail, last) = fused.last!
        func rate(_ vertex: Vertex, _ counter: RateTracker.Counter) -> Double? { rates.perSecond(counter, vertex: vertex.id, subtask: first.index) }
        add("numRecordsIn", Double(first.rowsIn))
        add("numRecordsInPerSecond", rate(head, .rowsIn))
        add("numRecordsOut", Double(last.rowsOut))
        add("numRecordsOutPerSecond", rate(tail, .rowsOut))
        add("numBytesIn", Double(first.bytesIn))
        add("numBytesInPerSecond", rate(head, .bytesIn))
        add("numBytesOut", Double(last.bytesOut))
        add("numBytesOutPerSecond", rate(tail, .bytesOut))
        let busy = fused.reduce(0) { $0 + $1.subtask.busy }
        let lasted = first.busy + first.backPressured + first.idle
        add("accumulateBusyTimeMs", Double(busy))
        add("accumulateBackPressuredTimeMs", Double(first.backPressured))
        add("accumulateIdleTimeMs", Double(max(lasted - busy - first.backPressured, 0)))
        let busyRates = fused.compactMap { rate($0.vertex, .busy) }
        if busyRates.count == fused.count, let blocked = rate(head, .backPressured) {
            let busy = min(busyRates.reduce(0, +), 1_000)
            add("busyTimeMsPerSecond", busy)
            add("backPressuredTimeMsPerSecond", min(blocked, 1_000))
            add("idleTimeMsPerSecond", max(1_000 - busy - blocked, 0))
        }
        add("isBackPressured", first.isBackPressured ? 1 : 0)
        if head.kind != .source { add("currentInputWatermark", first.watermark.map(Double.init)) }
        if let queued = first.queued {
            add("buffers.inputQueueLength", Double(queued))
            add("Shuffle.Netty.Input.Buffers.inputQueueLength", Double(queued))
        }
        if let batches = first.batchesIn {
            add("Shuffle.Netty.Input.numBuffersInLocal", Double(batches))
            // All subtasks of a job are of one process.
            add("Shuffle.Netty.Input.numBuffersInRemote", 0)
        }
    }

    private func addOperator(_ vertex: Vertex, _ subtask: Subtask, _ labels: [String: String], _ rates: RateTracker, to all: inout [MetricSample]) {
        func add(_ name: String, _ value: Double?, _ more: [String: String] = [:]) {
            if let value { all.append(.init(name: name, labels: more.isEmpty ? labels : labels.merging(more) { $1 }, value: value)) }
        }
        func rate(_ counter: RateTracker.Counter) -> Double? { rates.perSecond(counter, vertex: vertex.id, subtask: subtask.index) }
        add("numRecordsIn", Double(subtask.rowsIn))
        add("numRecordsInPerSecond", rate(.rowsIn))
        add("numRecordsOut", Double(subtask.rowsOut))
        add("numRecordsOutPerSecond", rate(.rowsOut))
        add("busyTimeMsPerSecond", rate(.busy).map { min($0, 1_000) })
        switch vertex.kind {
        case .source:
            add("numBytesIn", Double(subtask.bytesIn))
            add("numBytesInPerSecond", rate(.bytesIn))
            add("numRecordsInErrors", Double(subtask.badRecords))
            add("pendingRecords", subtask.lag.map(Double.init))
            // A row goes on as soon as it is read.
            add("currentFetchEventTimeLag", subtask.eventTimeLag.map(Double.init))
            add("currentEmitEventTimeLag", subtask.eventTimeLag.map(Double.init))
            if let watermark = subtask.watermark, watermark != .max { add("watermarkLag", Double(takenAt - watermark)) }
        case .transform:
            add("numLateRecordsDropped", Double(subtask.lateRows))
            add("currentInputWatermark", subtask.watermark.map(Double.init))
        case .sink:
            add("numBytesOut", Double(subtask.bytesOut))
            add("numBytesOutPerSecond", rate(.bytesOut))
            add("numRecordsOutErrors", Double(subtask.badRecords))
            add("currentInputWatermark", subtask.watermark.map(Double.init))
        }
        add("currentOutputWatermark", subtask.outputWatermark.map(Double.init))
        for split in subtask.splits {
            let part = ["split": split.id]
            add("split.currentWatermark", split.watermark.map(Double.init), part)
            if let watermark = split.watermark, watermark != .max { add("split.watermarkLag", Double(takenAt - watermark), part) }
            add("split.pendingRecords", split.lag.map(Double.init), part)
            add("split.isIdle", split.isIdle ? 1 : 0, part)
        }
        for (name, value) in subtask.gauges.sorted(by: { $0.key < $1.key }) {
            // Some are of one part of what a connector is connected to, named behind the first full stop.
            if let dot = name.firstIndex(of: "."), let label = Self.gaugeLabels[String(name[..<dot])] {
                add(String(name[..<dot]), Double(value), [label: String(name[name.index(after: dot)...])])
            } else {
                add(name, Double(value))
            }
        }
    }

    /// What the part is of gauges whose names end with one.
    private static let gaugeLabels = [
        "lag": "split", "queued-messages": "split", "offset-resets": "split", "millis-behind-latest": "split", "mirrored-offset": "split",
        "rtt-microseconds": "broker", "request-latency-microseconds": "broker", "requests-waiting": "broker", "requests-in-flight": "broker",
        "request-errors": "broker", "request-timeouts": "broker", "consumer-lag": "split", "fetched-messages": "split",
    ]
}
