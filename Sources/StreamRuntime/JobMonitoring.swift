import StreamCore
import Synchronization

/// What monitoring reads of one subtask while it runs: its time, its queues and its splits.
final class SubtaskProbe: Sendable {
    private struct Times: Sendable {
        var began: UInt64?, ended: UInt64?
        var blockedSince: UInt64?
        var blocked: UInt64 = 0
    }
    private let times = Mutex(Times())
    /// Read by the subtask's thread only before the lock is taken, which most steps need not do.
    private let isWaitingForRoom = Atomic(false)
    private let hasBegun = Atomic(false)
    let channels = Mutex<[Channel]>([])
    let splits = Mutex<[JobReport.Split]>([])
    let batchesIn = Atomic<Int64>(0)
    /// Of the newest row of a source when it was read, in milliseconds; `.min` when unknown.
    let eventTimeLag = Atomic<Int64>(.min)

    /// A step begins (monotonic nanoseconds).
    func began(_ now: UInt64) {
        if !hasBegun.load(ordering: .relaxed) {
            hasBegun.store(true, ordering: .relaxed)
            times.withLock { $0.began = now }
        }
        guard isWaitingForRoom.load(ordering: .relaxed) else { return }
        isWaitingForRoom.store(false, ordering: .relaxed)
        times.withLock { times in
            if let since = times.blockedSince { times.blocked += now &- since }
            times.blockedSince = nil
        }
    }

    /// A step ends that waits for room behind it.
    func blocked(_ now: UInt64) {
        isWaitingForRoom.store(true, ordering: .relaxed)
        times.withLock { $0.blockedSince = now }
    }

    /// Nothing runs any more: what is counted stands still from here on.
    func ended() {
        let now = Clock.monotonicNanoseconds()
        times.withLock { times in
            guard times.ended == nil else { return }
            times.ended = now
            if let since = times.blockedSince { times.blocked += now &- since }
            times.blockedSince = nil
        }
        channels.withLock { $0 = [] }
    }

    /// Nanoseconds since the first step, and of them those without room behind it.
    func measured() -> (all: UInt64, blocked: UInt64, isBlocked: Bool) {
        let now = Clock.monotonicNanoseconds()
        return times.withLock { times in
            guard let began = times.began else { return (0, 0, false) }
            let until = times.ended ?? max(now, began)
            return (until &- began, times.blocked + (times.blockedSince.map { until > $0 ? until - $0 : 0 } ?? 0), times.blockedSince != nil)
        }
    }
}

/// What monitoring reads of one attempt of a job, from any thread.
final class JobMonitoring: Sendable {
    private let graph: JobGraph
    /// Ids of fused vertices, first to last.
    private let chains: [[Int]]
    /// By vertex id, then subtask.
    let operators: [Int: [OperatorMetrics]]
    /// By the id of a chain's first vertex, then subtask.
    let probes: [Int: [SubtaskProbe]]
    /// As `operators`, without sources; empty when latency is not measured.
    let latencies: [Int: [LatencyRecorder]]

    init(_ graph: JobGraph, chains: [[Int]], measuresLatency: Bool) {
        self.graph = graph
        self.chains = chains
        operators = Dictionary(uniqueKeysWithValues: graph.vertices.map { vertex in (vertex.id, (0..<vertex.parallelism).map { _ in OperatorMetrics() }) })
        probes = Dictionary(uniqueKeysWithValues: chains.map { chain in (chain[0], (0..<graph.vertex(chain[0]).parallelism).map { _ in SubtaskProbe() }) })
        let measured = measuresLatency ? graph.vertices.filter { if case .source = $0.kind { false } else { true } } : []
        latencies = Dictionary(uniqueKeysWithValues: measured.map { vertex in (vertex.id, (0..<vertex.parallelism).map { _ in LatencyRecorder() }) })
    }

    /// No subtask runs any more.
    func ended() { for probe in probes.values.joined() { probe.ended() } }

    func vertices() -> [JobReport.Vertex] {
        var heads: [Int: Int] = [:]
        for chain in chains { for id in chain { heads[id] = chain[0] } }
        return Self.vertices(of: graph).map { vertex in
            var vertex = vertex
            let head = heads[vertex.id]!
            vertex.chain = head
            vertex.subtasks = zip(operators[vertex.id]!, probes[head]!).enumerated().map { index, parts in
                Self.subtask(index, vertex.kind, isHead: head == vertex.id, parts.0, parts.1)
            }
            return vertex
        }
    }

    private static func subtask(_ index: Int, _ kind: JobReport.Vertex.Kind, isHead: Bool, _ counters: OperatorMetrics, _ probe: SubtaskProbe) -> JobReport.Subtask {
        func milliseconds(_ nanoseconds: UInt64) -> Int64 { Int64(clamping: nanoseconds / 1_000_000) }
        func time(_ watermark: Int64) -> Int64? { watermark == .min ? nil : watermark }
        var subtask = JobReport.Subtask(index: index)
        (subtask.rowsIn, subtask.rowsOut) = (counters.rowsIn.get(), counters.rowsOut.get())
        (subtask.bytesIn, subtask.bytesOut) = (counters.bytesIn.get(), counters.bytesOut.get())
        (subtask.lateRows, subtask.badRecords) = (counters.lateRows.get(), counters.badRecords.get())
        subtask.watermark = time(counters.watermark.get())
        if kind != .sink { subtask.outputWatermark = time(counters.outputWatermark.get()) }
        let busy = UInt64(clamping: counters.busyNanoseconds.get())
        let measured = probe.measured()
        (subtask.busy, subtask.backPressured) = (milliseconds(busy), milliseconds(measured.blocked))
        subtask.idle = milliseconds(measured.all > busy + measured.blocked ? measured.all - busy - measured.blocked : 0)
        subtask.isBackPressured = measured.isBlocked
        let lag = counters.lag.get()
        if lag >= 0 { subtask.lag = lag }
        subtask.gauges = counters.gauges
        if isHead {
            if kind == .source {
                subtask.splits = probe.splits.withLock { $0 }
                subtask.eventTimeLag = time(probe.eventTimeLag.load(ordering: .relaxed))
            } else {
                subtask.queued = probe.channels.withLock { $0.reduce(0) { $0 + $1.depth } }
                subtask.batchesIn = probe.batchesIn.get()
            }
        }
        return subtask
    }

    /// In milliseconds, for each source and each subtask behind it that a marker has come to.
    func latencyHistograms() -> [JobReport.Histogram] {
        graph.vertices.flatMap { vertex in
            (latencies[vertex.id] ?? []).enumerated().flatMap { index, recorder in
                recorder.all.compactMap { id, histogram in
                    let source = graph.vertex(id)
                    return histogram.report("latency", [
                        "source_id": source.operatorID, "source_name": source.name, "operator_id": vertex.operatorID, "operator_name": vertex.name,
                        "operator_subtask_index": "\(index)",
                    ])
                }
            }
        }
    }

    /// Without subtasks.
    static func vertices(of graph: JobGraph) -> [JobReport.Vertex] {
        graph.vertices.map { vertex in
            let kind: JobReport.Vertex.Kind = switch vertex.kind {
            case .source: .source
            case .transform: .transform
            case .sink: .sink
            }
            return .init(id: vertex.id, operatorID: vertex.operatorID, name: vertex.name, kind: kind, parallelism: vertex.parallelism, subtasks: [])
        }
    }

    static func edges(of graph: JobGraph) -> [JobReport.Edge] {
        graph.edges.map { edge in
            let partitioning = switch edge.partitioning {
            case .forward: "FORWARD"
            case .hash: "HASH"
            case .rebalance: "REBALANCE"
            case .single: "GLOBAL"
            }
            return .init(from: edge.from, to: edge.to, partitioning: partitioning)
        }
    }
}
