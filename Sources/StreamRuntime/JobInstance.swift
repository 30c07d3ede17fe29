import StreamCore
import Synchronization

/// Settings of a run.
public struct JobOptions: Sendable {
    /// Worker threads; nil = as many as the machine has cores, but no more than there are subtasks.
    public var workers: Int?
    /// Rows a reader is asked for at a time.
    public var batchRows: Int
    /// Elements (batches, watermarks, barriers) that may wait between two subtasks.
    public var queueCapacity: Int
    /// Wanted time between barriers; nil = as the sinks ask.
    public var checkpointInterval: Duration?
    /// Monotonic nanoseconds; injected in tests.
    public var clock: @Sendable () -> UInt64

    public init(workers: Int? = nil, batchRows: Int = Batch.targetRows, queueCapacity: Int = 32, checkpointInterval: Duration? = nil,
                clock: @escaping @Sendable () -> UInt64 = { Clock.monotonicNanoseconds() }) {
        self.workers = workers
        self.batchRows = batchRows
        self.queueCapacity = queueCapacity
        self.checkpointInterval = checkpointInterval
        self.clock = clock
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
}

/// A job graph made into subtasks and channels, for one run.
package final class JobInstance {
    package let graph: JobGraph
    package private(set) var subtasks: [Subtask] = []
    /// By vertex id, then subtask.
    package let metrics: [Int: [OperatorMetrics]]
    let coordinator: CheckpointCoordinator
    private(set) var mailboxes: [(subtask: Int, mailbox: SourceMailbox, vertex: Int)] = []
    private var knownSplits: [Int: Set<SourceSplit>] = [:]
    private let waker: any Waker

    package init(graph: JobGraph, options: JobOptions, waker: any Waker) throws {
        self.graph = graph
        self.waker = waker
        metrics = Dictionary(uniqueKeysWithValues: graph.vertices.map { vertex in
            (vertex.id, (0..<vertex.parallelism).map { _ in OperatorMetrics() })
        })
        let sinks = graph.vertices.compactMap { vertex -> (Int, any TableSink, Int)? in
            if case .sink(let sink) = vertex.kind { (vertex.id, sink, vertex.parallelism) } else { nil }
        }
        coordinator = try CheckpointCoordinator(sinks: sinks)
        do {
            try build(options)
        } catch {
            for subtask in subtasks { subtask.abort() }
            throw error
        }
    }

    /// Vertices that are fused, first to last, by the id of the first.
    private func chains() -> [[JobVertex]] {
        let byID = Dictionary(uniqueKeysWithValues: graph.vertices.map { ($0.id, $0) })
        func fused(_ edge: JobEdge) -> Bool {
            let (from, to) = (byID[edge.from]!, byID[edge.to]!)
            let isLocal = edge.partitioning == .forward || (from.parallelism == 1 && to.parallelism == 1)
            return isLocal && from.parallelism == to.parallelism && edge.input == 0
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

    private func build(_ options: JobOptions) throws {
        let chains = chains()
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
                    targets[from, default: []].append(.init(partitioning: partitioning, channels: channels))
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
        var input = Subtask.Input.channels(inputs)
        var rest = chain[...]
        if case .source(let source) = head.kind {
            let splits = try source.source.splits()
            knownSplits[head.id] = Set(splits.map { SourceSplit(id: $0.id) })
            let mailbox = SourceMailbox()
            mailboxes.append((id, mailbox, head.id))
            let own = splits.enumerated().filter { $0.offset % head.parallelism == index }.map(\.element)
            input = .source(try SourceInput(source, splits: own, metrics: metrics[head.id]![index], now: options.clock), mailbox)
            rest = chain.dropFirst()
        }
        let nodes = try rest.map { vertex in
            let counters = metrics[vertex.id]![index]
            switch vertex.kind {
            case .source: preconditionFailure("a source inside of a chain")
            case .transform(let make):
                let op = try make()
                try op.open(OperatorContext(name: vertex.name, subtask: index, parallelism: vertex.parallelism,
                                            maxParallelism: graph.maxParallelism, metrics: counters))
                return ChainNode(vertex: vertex.id, kind: .transform(op), metrics: counters)
            case .sink(let sink):
                let writer = try sink.writer(SinkContext(subtask: index, parallelism: vertex.parallelism, metrics: counters))
                let coordinator = coordinator
                let driver = SinkDriver(writer: writer, finalCheckpoint: { coordinator.finalCheckpoint() },
                                        acknowledge: { coordinator.acknowledge(vertex.id, $0) })
                return ChainNode(vertex: vertex.id, kind: .sink(driver), metrics: counters)
            }
        }
        let router = targets.isEmpty ? nil : Router(targets, maxParallelism: graph.maxParallelism, metrics: metrics[chain.last!.id]![index])
        return Subtask(id: id, name: chain.map(\.name).joined(separator: " -> "), depth: depth, input: input, chain: Chain(nodes: nodes, router: router),
                       batchRows: options.batchRows, metrics: metrics[head.id]![index], now: options.clock)
    }

    /// Sends a barrier through the job; nil when the last one has been sent already.
    package func startCheckpoint() {
        guard let checkpoint = coordinator.start() else { return }
        for (subtask, mailbox, _) in mailboxes {
            mailbox.post(.barrier(checkpoint))
            waker.wake(subtask)
        }
    }

    package func stopSources() {
        for (subtask, mailbox, _) in mailboxes {
            mailbox.post(.stop)
            waker.wake(subtask)
        }
    }

    /// Looks for splits that appeared since, and gives them to the subtasks in turn.
    func discoverSplits() throws {
        for vertex in graph.vertices {
            guard case .source(let source) = vertex.kind, source.source.discoveryInterval != nil else { continue }
            let boxes = mailboxes.filter { $0.vertex == vertex.id }
            for split in try source.source.splits() where !knownSplits[vertex.id]!.contains(SourceSplit(id: split.id)) {
                let box = boxes[knownSplits[vertex.id]!.count % boxes.count]
                knownSplits[vertex.id]!.insert(SourceSplit(id: split.id))
                box.mailbox.post(.addSplits([split]))
                waker.wake(box.subtask)
            }
        }
    }

    var discoveryInterval: Duration? {
        graph.vertices.compactMap { if case .source(let s) = $0.kind { s.source.discoveryInterval } else { nil } }.min()
    }

    var commitInterval: Duration? {
        graph.vertices.compactMap { if case .sink(let s) = $0.kind { s.commitInterval } else { nil } }.min()
    }

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
                watermark: marks.min().flatMap { $0 == .min ? nil : EventTime(milliseconds: $0) })
        }
    }
}
