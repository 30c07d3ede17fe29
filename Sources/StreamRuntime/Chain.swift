import StreamCore

/// Operators fused into one subtask: each hands its batches to the next by a call.
///
///     push ─▶ node 0 ─▶ node 1 ─▶ ... ─▶ tail (router, or nothing behind a sink)
///
/// A node that returned `.more`, or that still has elements queued, takes nothing new until `pump` has brought it through;
/// what arrives meanwhile waits in its queue, in order.
final class Chain {
    let nodes: [ChainNode]
    let router: Router?
    /// Called when a barrier has passed all nodes, with what they had to say.
    var onBarrier: ((Barrier, [OperatorReport]) throws -> Void)?
    /// Called when the end of input has passed all nodes, with what sinks prepared last.
    var onEnd: (([OperatorReport]) -> Void)?
    private let time: ChainTime
    private let now: @Sendable () -> UInt64
    /// Reports of barriers on their way through the nodes.
    private var reports: [UInt64: [OperatorReport]] = [:]
    private var endReports: [OperatorReport] = []

    /// - Parameter source: counters of a source in front of the nodes.
    init(nodes: [ChainNode], router: Router?, source: OperatorMetrics? = nil, now: @escaping @Sendable () -> UInt64 = { Clock.monotonicNanoseconds() }) {
        self.nodes = nodes
        self.router = router
        self.now = now
        time = ChainTime((source.map { [$0] } ?? []) + nodes.map(\.metrics), nodesBegin: source == nil ? 0 : 1)
        for (i, node) in nodes.enumerated() { node.output = NodeOutput(chain: self, index: i) }
    }

    /// To be called around a step with the time (monotonic nanoseconds): what lies between is spread over the operators.
    func beginStep(_ now: UInt64) { time.begin(now) }
    func endStep(_ now: UInt64) { time.end(now) }

    /// No node has work left over.
    var isClear: Bool { nodes.allSatisfy(\.isClear) }
    var isTailReady: Bool { router?.isReady ?? true }

    func push(_ element: ChainElement) throws { try deliver(element, to: 0) }

    /// Sends a barrier through, with the report of a source in front of the chain.
    func push(_ barrier: Barrier, source: OperatorReport? = nil) throws {
        reports[barrier.checkpoint] = source.map { [$0] } ?? []
        try push(.barrier(barrier))
    }

    fileprivate func deliver(_ element: ChainElement, to index: Int) throws {
        guard index < nodes.count else {
            switch element {
            case .batch(let batch, _, _): try router?.emit(batch)
            case .errors(let batch): router?.emit(batch, .errors)
            case .watermark(let watermark): router?.broadcast(.watermark(watermark))
            case .barrier(let barrier):
                router?.broadcast(.barrier(barrier))
                try onBarrier?(barrier, reports.removeValue(forKey: barrier.checkpoint) ?? [])
            case .idle(let idle): router?.broadcast(.idle(idle))
            case .latencyMarker(let marker): router?.emit(marker)
            case .finishInput(_, let isLast):
                guard isLast else { break }
                router?.broadcast(.endOfInput)
                onEnd?(endReports)
            }
            return
        }
        let node = nodes[index]
        if node.isClear { try run(element, at: index) } else { node.queue.append(element) }
    }

    private func run(_ element: ChainElement, at index: Int) throws {
        let node = nodes[index]
        let output = node.output!
        if case .latencyMarker(let marker) = element {
            node.latency?.record(marker, now: now())
            return try forward(element, from: index)
        }
        let before = time.enter(index)
        defer { time.leave(to: before) }
        switch element {
        case .batch(let batch, let input, let sent):
            node.metrics.rowsIn.add(batch.count)
            switch node.kind {
            case .transform(let op):
                if let sent { op.senderReached(sent) }
                node.isEmitting = try op.process(batch, input: input, output: output) == .more
            case .sink(let sink): try sink.write(batch)
            }
        case .errors, .latencyMarker: preconditionFailure("errors come out of a source and are for other subtasks; markers are passed on above")
        case .watermark(let watermark):
            node.metrics.watermark.set(watermark.milliseconds)
            node.watermark = watermark
            switch node.kind {
            case .transform(let op): node.isEmitting = try op.advance(to: watermark, output: output) == .more
            case .sink(let sink): try sink.watermark(watermark)
            }
            try finish(element, at: index)
        case .finishInput(let input, _):
            if case .transform(let op) = node.kind { node.isEmitting = try op.finish(input: input, output: output) == .more }
            try finish(element, at: index)
        case .barrier(let barrier):
            var report = OperatorReport(vertex: node.vertex, index: node.index)
            if node.watermark != .min { report.watermark = node.watermark.milliseconds }
            switch node.kind {
            case .transform(let op):
                try op.prepareSnapshot(barrier.checkpoint, output: output)
                report.snapshot = try barrier.isSavepoint ? op.portableSnapshot(barrier.checkpoint) : op.snapshot(barrier.checkpoint)
            case .sink(let sink): try sink.barrier(barrier, into: &report)
            }
            reports[barrier.checkpoint, default: []].append(report)
            try finish(element, at: index)
        case .idle(let isIdle):
            if isIdle, case .transform(let op) = node.kind { try op.idle(output: output) }
            try finish(element, at: index)
        }
    }

    /// Passes a control element on, now or once the node is through with what the element made it emit.
    private func finish(_ element: ChainElement, at index: Int) throws {
        if nodes[index].isEmitting { nodes[index].forwardAfter = element } else { try forward(element, from: index) }
    }

    private func forward(_ element: ChainElement, from index: Int) throws {
        switch element {
        case .finishInput(_, let isLast):
            guard isLast else { return }
            if case .sink(let sink) = nodes[index].kind {
                var report = OperatorReport(vertex: nodes[index].vertex, index: nodes[index].index)
                try sink.finish(into: &report)
                endReports.append(report)
            }
            try deliver(.finishInput(0, isLast: true), to: index + 1)
        case .watermark(let watermark):
            guard case .transform(let op) = nodes[index].kind else { return try deliver(element, to: index + 1) }
            let behind = op.outputWatermark(watermark)
            nodes[index].metrics.outputWatermark.set(behind.milliseconds)
            try deliver(.watermark(behind), to: index + 1)
        default: try deliver(element, to: index + 1)
        }
    }

    /// Goes on with left-over work, from the last node to the first, as long as the tail has room.
    /// - Returns: true when nothing is left over.
    func pump() throws -> Bool {
        for index in nodes.indices.reversed() {
            let node = nodes[index]
            while !node.isClear {
                guard node.output!.isReady else { return false }
                if node.isEmitting {
                    guard case .transform(let op) = node.kind else { preconditionFailure("a sink emits nothing") }
                    let before = time.enter(index)
                    defer { time.leave(to: before) }
                    node.isEmitting = try op.resume(node.output!) == .more
                    if !node.isEmitting, let element = node.forwardAfter {
                        node.forwardAfter = nil
                        try forward(element, from: index)
                    }
                } else {
                    try run(node.queue.removeFirst(), at: index)
                }
            }
        }
        return true
    }

    /// When a processing-time timer of a node is due (wall-clock milliseconds); nil = there is none.
    var wakeAt: Int64? {
        var earliest: Int64?
        for node in nodes {
            if case .transform(let op) = node.kind, let time = op.wakeAt { earliest = min(earliest ?? time, time) }
        }
        return earliest
    }

    /// Fires processing-time timers that are due. To be called when all nodes are clear.
    func fireTimers(_ now: Int64) throws {
        for (index, node) in nodes.enumerated() {
            guard case .transform(let op) = node.kind, let due = op.wakeAt, due <= now else { continue }
            let before = time.enter(index)
            defer { time.leave(to: before) }
            node.isEmitting = try op.onTime(now, output: node.output!) == .more
            if node.isEmitting { return }
        }
    }

    func close() {
        for node in nodes { if case .transform(let op) = node.kind { op.close() } }
    }
}

enum ChainElement {
    /// With the watermark of its sender, for the first node behind an exchange.
    case batch(Batch, input: Int, sent: EventTime? = nil)
    /// Of a source that no other vertex is fused with.
    case errors(Batch)
    case watermark(EventTime)
    case barrier(Barrier)
    case idle(Bool)
    case latencyMarker(LatencyMarker)
    /// Input number, and whether it was the last open one.
    case finishInput(Int, isLast: Bool)
}

final class ChainNode {
    enum Kind {
        case transform(any StreamOperator)
        case sink(SinkDriver)
    }

    let vertex: Int
    /// Number of the subtask among those of the vertex.
    let index: Int
    let kind: Kind
    let metrics: OperatorMetrics
    /// nil when latency is not measured.
    let latency: LatencyRecorder?
    var queue: [ChainElement] = []
    var isEmitting = false
    var forwardAfter: ChainElement?
    fileprivate(set) var output: NodeOutput?

    fileprivate(set) var watermark = EventTime.min

    init(vertex: Int, index: Int, kind: Kind, metrics: OperatorMetrics, latency: LatencyRecorder? = nil) {
        self.latency = latency
        self.vertex = vertex
        self.index = index
        self.kind = kind
        self.metrics = metrics
    }

    var isClear: Bool { !isEmitting && queue.isEmpty }
}

/// Hands what a node emits to the node behind it.
final class NodeOutput: Output {
    // The chain owns its nodes, and these their outputs.
    private unowned let chain: Chain
    private let index: Int

    init(chain: Chain, index: Int) {
        self.chain = chain
        self.index = index
    }

    func emit(_ batch: Batch) throws {
        guard batch.count > 0 else { return }
        chain.nodes[index].metrics.rowsOut.add(batch.count)
        try chain.deliver(.batch(batch, input: 0), to: index + 1)
    }

    var isReady: Bool {
        for later in chain.nodes[(index + 1)...] where !later.isClear { return false }
        return chain.isTailReady
    }
}
