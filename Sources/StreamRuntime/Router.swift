import StreamCore

/// The end of a chain whose rows go on to other subtasks.
final class Router: Output {
    struct Target {
        var partitioning: Partitioning
        /// One per subtask of the receiver that this sender reaches.
        var channels: [Channel]
        var rows = JobEdge.Rows.output
    }

    private let targets: [Target]
    private let maxParallelism: Int
    private let metrics: OperatorMetrics
    private var next = 0, nextForMarker = 0
    private var hashes: UnsafeMutablePointer<UInt64>
    private var hashCapacity = Batch.targetRows

    init(_ targets: [Target], maxParallelism: Int, metrics: OperatorMetrics) {
        self.targets = targets
        self.maxParallelism = maxParallelism
        self.metrics = metrics
        hashes = .allocate(capacity: hashCapacity)
    }

    deinit { hashes.deallocate() }

    var isReady: Bool { targets.allSatisfy { target in !target.channels.contains(where: \.isFull) } }

    func emit(_ batch: Batch) throws { emit(batch, .output) }

    func emit(_ batch: Batch, _ rows: JobEdge.Rows) {
        for target in targets where target.rows == rows {
            switch target.partitioning {
            case .forward, .single: target.channels[0].send(.batch(batch))
            case .rebalance:
                target.channels[next % target.channels.count].send(.batch(batch))
                next &+= 1
            case .hash(let keys): split(batch, keys: keys, over: target.channels)
            }
        }
    }

    /// Watermarks, barriers, idleness and ends go everywhere.
    func broadcast(_ element: StreamElement) {
        for target in targets {
            for channel in target.channels { channel.send(element) }
        }
    }

    /// To one receiver of each target, in turn: as many as there are would multiply at every exchange.
    func emit(_ marker: LatencyMarker) {
        for target in targets where target.rows == .output {
            target.channels[nextForMarker % target.channels.count].send(.latencyMarker(marker))
        }
        nextForMarker &+= 1
    }

    private func split(_ batch: Batch, keys: [Int], over channels: [Channel]) {
        guard channels.count > 1 else { return channels[0].send(.batch(batch)) }
        let n = batch.count
        if n > hashCapacity {
            hashes.deallocate()
            hashCapacity = n
            hashes = .allocate(capacity: n)
        }
        RowHash.hash(batch, keys: keys, into: hashes)
        let buffers = channels.map { _ in Buffer(capacity: n * 4) }
        withUnsafeTemporaryAllocation(of: Int.self, capacity: channels.count) { counts in
            counts.initialize(repeating: 0)
            withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<Int32>.self, capacity: channels.count) { rows in
                for (i, buffer) in buffers.enumerated() { rows[i] = buffer.pointer(as: Int32.self) }
                let (parallelism, groups, hashes) = (channels.count, maxParallelism, hashes)
                let selected = batch.selection.map { $0.rows }
                for i in 0..<n {
                    let group = KeyGroups.group(ofHash: hashes[i], maxParallelism: groups)
                    let to = KeyGroups.subtask(ofGroup: group, parallelism: parallelism, maxParallelism: groups)
                    rows[to][counts[to]] = selected.map { $0[i] } ?? Int32(truncatingIfNeeded: i)
                    counts[to] &+= 1
                }
            }
            for (i, channel) in channels.enumerated() where counts[i] > 0 {
                var part = batch
                part.selection = counts[i] == batch.physicalCount ? nil : Selection(buffer: buffers[i], count: counts[i])
                // Few rows of a large batch would keep all of it alive in the queue.
                channel.send(.batch(counts[i] * 8 < batch.physicalCount ? part.compacted() : part))
            }
        }
    }
}
