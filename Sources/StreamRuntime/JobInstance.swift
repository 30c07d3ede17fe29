import StreamCore
import StreamState
import Synchronization

/// Settings of a run.
public struct JobOptions: Sendable {
    /// Worker threads; nil = as many as the machine has cores, but no more than there are subtasks.
    public var workers: Int?
    /// Rows a reader is asked for at a time.
    public var batchRows: Int
    /// Elements (batches, watermarks, barriers) that may wait between two subtasks.
    public var queueCapacity: Int
    public var checkpoints: CheckpointOptions
    /// The embedded store that operators keep their state in; nil = memory.
    public var backend: (any StateBackend)?
    /// For the stores of a run; removed at its end. Needed with a backend only.
    public var workDirectory: String
    /// Sources send a latency marker this often [metrics.latency.interval]; nil = never.
    public var latencyInterval: Duration?
    /// Monotonic nanoseconds; injected in tests.
    public var clock: @Sendable () -> UInt64
    public var host: Host

    public init(workers: Int? = nil, batchRows: Int = Batch.targetRows, queueCapacity: Int = 32, checkpoints: CheckpointOptions = .init(),
                backend: (any StateBackend)? = nil, workDirectory: String = "", clock: @escaping @Sendable () -> UInt64 = { Clock.monotonicNanoseconds() },
                host: Host = .system) {
        self.workers = workers
        self.batchRows = batchRows
        self.queueCapacity = queueCapacity
        self.checkpoints = checkpoints
        self.backend = backend
        self.workDirectory = workDirectory
        self.clock = clock
        self.host = host
    }
}

/// What a run keeps beyond itself: where its checkpoints go, and the one that it goes on from.
package struct JobRecovery: Sendable {
    package var jobID: String
    package var storage: CheckpointStorage
    package var restored: Checkpoint?
    package var allowsNonRestoredState: Bool
    /// The restored checkpoint is not the newest of the storage: the job is to have one of its own soon, or a crash would bring back
    /// another past.
    package var checkpointsAtOnce = false
    /// Told of every checkpoint.
    var log: CheckpointLog?

    package init(jobID: String, storage: CheckpointStorage, restored: Checkpoint? = nil, allowsNonRestoredState: Bool = false) {
        self.jobID = jobID
        self.storage = storage
        self.restored = restored
        self.allowsNonRestoredState = allowsNonRestoredState
    }
}

/// Counters of one vertex, added up over its subtasks.
public struct VertexStatus: Sendable {
    public var id: Int
    public var name: String
    public var parallelism: Int
    public var rowsIn: Int64, rowsOut: Int64, bytesIn: Int64, bytesOut: Int64
    public var lateRows: Int64, badRecords: Int64
    /// Records behind the end of the source, nil when unknown.
    public var lag: Int64?
    /// The lowest of the subtasks; nil before the first watermark.
    public var watermark: EventTime?
    /// What a connector measures beside that, by name; the greatest of the subtasks where several have one of the same name.
    public var gauges: [String: Int64]
}

/// A job graph made into subtasks and channels, for one run.
package final class JobInstance {
    package let graph: JobGraph
    package private(set) var subtasks: [Subtask] = []
    /// By vertex id, then subtask.
    package let metrics: [Int: [OperatorMetrics]]
    let monitoring: JobMonitoring
    let coordinator: CheckpointCoordinator
    private(set) var mailboxes: [(subtask: Int, mailbox: SourceMailbox, vertex: Int)] = []
    private var knownSplits: [Int: Set<String>] = [:]
    private let waker: any Waker

    /// What the run goes on from.
    private let restored: RestorePlan?
    private let recovery: JobRecovery?
    private let workDirectory: String
    private let host: Host
    /// Writes checkpoints; nil when the job has none.
    let writing: CheckpointWriting?

    package init(graph: JobGraph, options: JobOptions, recovery: JobRecovery? = nil, waker: any Waker) throws {
        self.graph = graph
        self.recovery = recovery
        host = options.host
        workDirectory = options.workDirectory
        restored = try recovery.flatMap { recovery in
            try recovery.restored.map { try RestorePlan($0, graph: graph, allowsNonRestoredState: recovery.allowsNonRestoredState) }
        }
        self.waker = waker
        let chains = Self.chains(of: graph)
        monitoring = JobMonitoring(graph, chains: chains.map { $0.map(\.id) }, measuresLatency: options.latencyInterval != nil)
        metrics = monitoring.operators
        var committers: [Int: any SinkCommitter] = [:]
        do {
            for vertex in graph.vertices {
                guard case .sink(let sink) = vertex.kind, let committer = try sink.committer(Self.sinkContext(vertex, 0, OperatorMetrics(), recovery)) else { continue }
                committers[vertex.id] = committer
                // What the checkpoint holds is published, and what came after it undone, before anyone reads or writes the table.
                if let restored { try committer.recover(restored.manifest.checkpoint, restored.committables(of: vertex.operatorID)) }
            }
        } catch {
            for committer in committers.values { committer.close() }
            throw error
        }
        let next = try max(recovery?.storage.lastNumber() ?? 0, restored?.manifest.lastNumber ?? 0) + 1
        coordinator = CheckpointCoordinator(subtasks: 0..<chains.reduce(0) { $0 + $1[0].parallelism }, committers: committers, options: options.checkpoints,
                                            isDurable: recovery != nil, next: next, host: options.host, log: recovery?.log)
        writing = recovery.map { [coordinator] in
            CheckpointWriting(graph: graph, jobID: $0.jobID, coordinator: coordinator, storage: $0.storage, now: options.clock)
        }
        do {
            try build(chains, options)
        } catch {
            for subtask in subtasks { subtask.abort() }
            coordinator.close()
            endSources()
            throw error
        }
    }

    static func sinkContext(_ vertex: JobVertex, _ subtask: Int, _ metrics: OperatorMetrics, _ recovery: JobRecovery?) -> SinkContext {
        SinkContext(jobID: recovery?.jobID ?? "job", operatorID: vertex.operatorID, subtask: subtask, parallelism: vertex.parallelism, metrics: metrics,
                    isRecoverable: recovery != nil, restoredCheckpoint: recovery?.restored?.manifest.checkpoint)
    }

    /// Vertices that are fused, first to last, by the id of the first.
    private static func chains(of graph: JobGraph) -> [[JobVertex]] {
        let byID = Dictionary(uniqueKeysWithValues: graph.vertices.map { ($0.id, $0) })
        func fused(_ edge: JobEdge) -> Bool {
            let (from, to) = (byID[edge.from]!, byID[edge.to]!)
            let isLocal = edge.partitioning == .forward || (from.parallelism == 1 && to.parallelism == 1)
            return isLocal && from.parallelism == to.parallelism && edge.input == 0 && edge.rows == .output
                && graph.edges.count(where: { $0.from == edge.from }) == 1 && graph.edges.count(where: { $0.to == edge.to }) == 1
        }
        let fusedEdges = graph.edges.filter(fused)
        let continued = Set(fusedEdges.map(\.to))
        return graph.vertices.filter { !continued.contains($0.id) }.map { head in
            var chain = [head]
            while let edge = fusedEdges.first(where: { $0.from == chain.last!.id }) { chain.append(byID[edge.to]!) }
            return chain
        }
    }

    private func build(_ chains: [[JobVertex]], _ options: JobOptions) throws {
        // Subtask ids: chain by chain.
        var firstID: [Int: Int] = [:]  // by head vertex
        var headOf: [Int: Int] = [:]
        var count = 0
        for chain in chains {
            firstID[chain[0].id] = count
            for vertex in chain { headOf[vertex.id] = chain[0].id }
            count += chain[0].parallelism
        }
        var inputs: [Int: [Subtask.InputChannel]] = [:]  // by subtask id
        var targets: [Int: [Router.Target]] = [:]
        for chain in chains {
            let last = chain.last!
            for edge in graph.edges where edge.from == last.id && headOf[edge.to] != chain[0].id {
                let receiver = graph.vertices.first { $0.id == edge.to }!
                for sender in 0..<last.parallelism {
                    let from = firstID[chain[0].id]! + sender
                    let receivers: [Int] = switch edge.partitioning {
                    case .forward where last.parallelism == receiver.parallelism: [sender]
                    case .single: [0]
                    default: Array(0..<receiver.parallelism)
                    }
                    let channels = receivers.map { to in
                        let channel = Channel(from: from, to: firstID[headOf[edge.to]!]! + to, capacity: options.queueCapacity, waker: waker)
                        inputs[firstID[headOf[edge.to]!]! + to, default: []].append(.init(channel: channel, port: edge.input))
                        return channel
                    }
                    let partitioning = edge.partitioning == .forward && receivers.count > 1 ? .rebalance : edge.partitioning
                    targets[from, default: []].append(.init(partitioning: partitioning, channels: channels, rows: edge.rows))
                }
            }
        }
        var depths: [Int: Int] = [:]  // by head vertex; senders come before receivers
        for chain in chains {
            let senders = graph.edges.filter { $0.to == chain[0].id }.map { depths[headOf[$0.from]!]! }
            depths[chain[0].id] = senders.max().map { $0 + 1 } ?? 0
            for index in 0..<chain[0].parallelism {
                let id = firstID[chain[0].id]! + index
                subtasks.append(try makeSubtask(id, chain, index, depths[chain[0].id]!, inputs[id] ?? [], targets[id] ?? [], options))
            }
        }
        // Source subtasks without a split say so before any row moves. Whether a row is late must not depend on when they get their turn.
        for subtask in subtasks where subtask.hasNothingToRead { while try subtask.step(budget: 1) == .progress {} }
    }

    private func makeSubtask(_ id: Int, _ chain: [JobVertex], _ index: Int, _ depth: Int, _ inputs: [Subtask.InputChannel], _ targets: [Router.Target],
                             _ options: JobOptions) throws -> Subtask {
        let head = chain[0]
        let probe = monitoring.probes[head.id]![index]
        probe.channels.withLock { $0 = inputs.map(\.channel) }
        var input = Subtask.Input.channels(inputs)
        var rest = chain[...]
        if case .source(let source) = head.kind {
            let mailbox = SourceMailbox()
            mailboxes.append((id, mailbox, head.id))
            let (starts, finished) = try starts(of: head, source.source)
            // Splits stay with the subtask that read them as long as there is such a one; the others are dealt out.
            let stay = restored?.hasSameSubtasks(head) ?? false
            func own<T>(_ all: [T], _ reader: (T) -> Int?) -> [T] {
                all.enumerated().filter { (stay ? reader($0.element) : nil) ?? $0.offset % head.parallelism == index }.map(\.element)
            }
            // A runner that chooses the order of steps itself is woken by nobody.
            let wake = (waker as? WorkerPool).map { pool in { @Sendable [weak pool] in pool?.wake(id) ?? () } }
            input = .source(try SourceInput(source, splits: own(starts, \.subtask), finished: own(finished, \.subtask), metrics: metrics[head.id]![index], probe: probe, wake: wake,
                                            now: options.clock), mailbox)
            rest = chain.dropFirst()
        }
        let nodes = try rest.map { vertex in
            let counters = metrics[vertex.id]![index]
            let latency = monitoring.latencies[vertex.id]?[index]
            switch vertex.kind {
            case .source: preconditionFailure("a source inside of a chain")
            case .transform(let make):
                let op = try make()
                let context = OperatorContext(
                    name: vertex.name, subtask: index, parallelism: vertex.parallelism, maxParallelism: graph.maxParallelism, metrics: counters,
                    backend: options.backend, workDirectory: options.workDirectory + "/\(vertex.id)-\(index)", now: options.host.now)
                try op.open(context)
                if let state = try restored?.state(of: vertex.operatorID, keyGroups: context.keyGroups), !state.isEmpty {
                    do {
                        try op.restore(state)
                    } catch let error as StreamError {
                        op.close()
                        throw StreamError(error.code, "the state of \(vertex.name) cannot be restored: \(error.problem)", fix: error.fix, at: error.location)
                    }
                }
                return ChainNode(vertex: vertex.id, index: index, kind: .transform(op), metrics: counters, latency: latency)
            case .sink(let sink):
                var context = Self.sinkContext(vertex, index, counters, recovery)
                context.restoredStates = restored?.writerStates(of: vertex.operatorID, subtask: index, parallelism: vertex.parallelism) ?? []
                let coordinator = self.coordinator
                coordinator.sinkSubtasks.withLock { _ = $0[vertex.id, default: []].insert(id) }
                context.maxParallelism = graph.maxParallelism
                if !options.workDirectory.isEmpty { context.workDirectory = options.workDirectory + "/\(vertex.id)-\(index)" }
                let writer = try sink.writer(context)
                if let stateful = writer as? any StatefulSinkWriter {
                    let groups = KeyGroups.groups(ofSubtask: index, parallelism: vertex.parallelism, maxParallelism: graph.maxParallelism)
                    try stateful.restore(try restored?.state(of: vertex.operatorID, keyGroups: groups) ?? RestoredState())
                }
                let driver = SinkDriver(writer: writer, finalCheckpoint: { coordinator.finalCheckpoint() })
                return ChainNode(vertex: vertex.id, index: index, kind: .sink(driver), metrics: counters, latency: latency)
            }
        }
        let router = targets.isEmpty ? nil : Router(targets, maxParallelism: graph.maxParallelism, metrics: metrics[chain.last!.id]![index])
        let coordinator = self.coordinator
        return Subtask(
            id: id, name: chain.map(\.name).joined(separator: " -> "), depth: depth, head: (head.id, index), input: input,
            chain: Chain(nodes: nodes, router: router, source: rest.count < chain.count ? metrics[head.id]![index] : nil, now: options.clock), replay: try restored?.channels(of: head, subtask: index) ?? [], batchRows: options.batchRows,
            probe: probe, latencyInterval: options.latencyInterval?.nanoseconds, now: options.clock, wallClock: options.host.now,
            reporter: .init(snapshot: { coordinator.acknowledge($0, $1) }, finished: { coordinator.finish($0) },
                            givenUp: { coordinator.giveUp($0) }))
    }

    /// The splits of a source, with where reading goes on in those that an earlier run has begun.
    private func starts(of vertex: JobVertex, _ source: any TableSource) throws -> (starts: [SplitStart], finished: [CheckpointManifest.SplitEntry]) {
        // All subtasks of a vertex get theirs out of one list.
        if let known = splitLists[vertex.id] { return known }
        let known = restored?.splits(of: vertex.operatorID) ?? [:]
        // How a source is cut up may depend on the parallelism; only one that says so can have splits that were never given out.
        let ids = Set(known.keys)
        let listed = source.looksForNewSplitsOnRestore && restored?.hasEntry(of: vertex.operatorID) == true ? try source.newSplits(known: ids) : known.isEmpty ? try source.splits() : []
        // A split that is gone before it was read to its end: its reader says what that means.
        func isOver(_ split: CheckpointManifest.SplitEntry) -> Bool { split.isFinished && !source.readsOnInFinishedSplits }
        var starts = known.values.filter { !isOver($0) }.sorted { $0.id < $1.id }.map(\.start)
        starts += listed.filter { !ids.contains($0.id) }.map { SplitStart(split: $0) }
        let finished = known.values.filter(isOver).sorted { $0.id < $1.id }
        knownSplits[vertex.id] = ids.union(listed.map(\.id))
        try source.begins(starts.map(\.split))
        splitLists[vertex.id] = (starts, finished)
        return (starts, finished)
    }
    private var splitLists: [Int: (starts: [SplitStart], finished: [CheckpointManifest.SplitEntry])] = [:]

    /// Sends a barrier through the job; false when that cannot be now.
    @discardableResult
    package func startCheckpoint(savepointIn directory: String? = nil, now: UInt64) -> UInt64? {
        if directory == nil, !coordinator.mayStart(now).0 { return nil }
        guard let barrier = coordinator.start(directory.map { .savepoint(directory: $0) } ?? .periodic, now: now) else { return nil }
        post(.barrier(barrier))
        return barrier.checkpoint
    }

    /// Ends all sources behind a last checkpoint, and a savepoint in front of it if that is wanted.
    /// - Returns: the savepoint's number.
    package func stopSources(savepointIn directory: String? = nil, drain: Bool = false, now: UInt64) -> UInt64? {
        let savepoint = directory.flatMap { coordinator.start(.savepoint(directory: $0), now: now) }
        guard let last = coordinator.start(.stop, now: now) else { return nil }
        post(.stop([savepoint, last].compactMap { $0 }, drain: drain))
        return savepoint?.checkpoint
    }

    private func post(_ command: SourceMailbox.Command) {
        SourceMailbox.post(command, to: mailboxes.map(\.mailbox)[...])
        for (subtask, _, _) in mailboxes { waker.wake(subtask) }
    }

    /// Lets a checkpoint's barriers overtake rows in flight.
    func overtake(_ checkpoint: UInt64) {
        for subtask in subtasks {
            subtask.control.overtake.store(checkpoint, ordering: .releasing)
            waker.wake(subtask.id)
        }
    }

    /// Looks for splits that appear while the job runs; nil when no source grows.
    func makeDiscovery(clock: @escaping @Sendable () -> UInt64) -> SplitDiscovery? {
        let growing = graph.vertices.compactMap { vertex -> SplitDiscovery.Growing? in
            guard case .source(let source) = vertex.kind, let interval = source.source.discoveryInterval else { return nil }
            return .init(source: source.source, interval: interval.nanoseconds, boxes: mailboxes.filter { $0.vertex == vertex.id }.map { ($0.subtask, $0.mailbox) },
                         known: knownSplits[vertex.id]!, metrics: metrics[vertex.id]![0], dueAt: clock() &+ interval.nanoseconds)
        }
        return growing.isEmpty ? nil : SplitDiscovery(growing, waker: waker, clock: clock)
    }

    /// Tells sources that a checkpoint is durable and committed.
    func tellSources(_ manifest: CheckpointManifest) {
        for vertex in graph.vertices {
            guard case .source(let source) = vertex.kind, let entry = manifest.operators.first(where: { $0.id == vertex.operatorID }) else { continue }
            source.source.checkpointCompleted(entry.splits.map { SourceSplit(id: $0.id, position: $0.position) })
        }
    }

    /// After the subtasks are closed.
    func endSources() {
        for vertex in graph.vertices { if case .source(let source) = vertex.kind { source.source.runEnded() } }
    }

    /// Time between checkpoints when no setting says it: as often as the sinks want to commit. A job without end has them in any case.
    var commitInterval: Duration? {
        let wanted = graph.vertices.compactMap { if case .sink(let s) = $0.kind { s.commitInterval } else { nil } }.min()
        let isBounded = graph.vertices.allSatisfy { if case .source(let s) = $0.kind { s.source.isBounded } else { true } }
        return wanted ?? (isBounded || recovery == nil ? nil : CheckpointOptions.defaultInterval)
    }

    /// The longest time between checkpoints that the sinks put up with, whatever the settings say; nil = any.
    var commitDeadline: Duration? {
        graph.vertices.compactMap { if case .sink(let s) = $0.kind, s.commitsOnTime { s.commitInterval } else { nil } }.min()
    }

    var wantsCheckpointAtOnce: Bool { recovery?.checkpointsAtOnce ?? false }

    /// Removes what stores left on the disk.
    func removeWorkDirectory() { if !workDirectory.isEmpty { try? host.removeTree(workDirectory) } }

    static func status(_ graph: JobGraph, _ metrics: [Int: [OperatorMetrics]]) -> [VertexStatus] {
        graph.vertices.map { vertex in
            let parts = metrics[vertex.id]!
            func sum(_ counter: (OperatorMetrics) -> Int64) -> Int64 { parts.reduce(0) { $0 + counter($1) } }
            let lags = parts.map { $0.lag.get() }.filter { $0 >= 0 }
            let marks = parts.map { $0.watermark.get() }
            return VertexStatus(
                id: vertex.id, name: vertex.name, parallelism: vertex.parallelism, rowsIn: sum { $0.rowsIn.get() }, rowsOut: sum { $0.rowsOut.get() },
                bytesIn: sum { $0.bytesIn.get() }, bytesOut: sum { $0.bytesOut.get() }, lateRows: sum { $0.lateRows.get() },
                badRecords: sum { $0.badRecords.get() }, lag: lags.isEmpty ? nil : lags.reduce(0, +),
                watermark: marks.min().flatMap { $0 == .min ? nil : EventTime(milliseconds: $0) },
                gauges: parts.reduce(into: [:]) { all, part in all.merge(part.gauges, uniquingKeysWith: max) })
        }
    }
}
