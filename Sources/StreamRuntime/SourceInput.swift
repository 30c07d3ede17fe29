import StreamCore
import StreamState
import Synchronization

/// Commands for one source subtask: the only state its thread shares with the coordinator.
final class SourceMailbox: Sendable {
    enum Command: Sendable {
        case barrier(Barrier)
        /// Read no more; what has been read goes through. Windows that are open stay unfired, unless event time is to be
        /// brought to its end first. Of several barriers the last is final.
        case stop([Barrier], drain: Bool)
        case addSplits([SourceSplit])
    }
    private let pending = Mutex<[Command]>([])
    func post(_ command: Command) { pending.withLock { $0.append(command) } }
    /// Posts to all at one instant: a split that one subtask ends after it has seen the command is not followed up by another that has
    /// not.
    static func post(_ command: Command, to all: ArraySlice<SourceMailbox>) {
        guard let first = all.first else { return }
        first.pending.withLock {
            $0.append(command)
            post(command, to: all.dropFirst())
        }
    }
    func drain() -> [Command] { pending.withLock { queue in defer { queue = [] }; return queue } }
}

/// A split to read, with the watermark it had reached in an earlier run.
struct SplitStart {
    var split: SourceSplit
    var watermark: EventTime?
    /// The subtask that is to read it; nil = any.
    var subtask: Int?
}

/// Reads the splits of one source subtask and merges their watermarks.
///
/// With event time the split that is furthest behind is read first, so that splits advance together and windows stay few.
final class SourceInput {
    private struct Split {
        var id: String
        var reader: any SplitReader
        var assigner: WatermarkAssigner?
        var watermark = EventTime.min
        /// Not to be asked before this time (monotonic nanoseconds).
        var retryAt: UInt64 = 0
        var lastRowAt: UInt64
        var isIdle = false
        /// Its reader has called before the pause is over.
        var bell: Bell
    }

    private final class Bell: Sendable {
        private let hasRung = Atomic<Bool>(false)
        func ring() { hasRung.store(true, ordering: .releasing) }
        func take() -> Bool { hasRung.load(ordering: .relaxed) && hasRung.exchange(false, ordering: .acquiring) }
    }

    enum Step {
        case elements([ChainElement])
        case waiting(until: UInt64)
        case ended
    }

    /// Splits read at one time, of sources whose splits end; the others wait for their turn and do not hold the watermark back.
    static let openSplitsMax = 64
    private let openMax: Int

    private let vertex: SourceVertex
    private let prepare: ((Batch) throws -> Batch)?
    private let metrics: OperatorMetrics
    private let probe: SubtaskProbe?
    /// The splits are not as the probe has them; nor are they told more often than at this time.
    private var isUntold = true, nextTelling: UInt64 = 0
    /// Greatest event time of a row, of all splits, and the one that was told of.
    private var newestTime = Int64.min, toldTime = Int64.min
    private static let tellingInterval: UInt64 = 250_000_000
    private let now: @Sendable () -> UInt64
    private let wake: (@Sendable () -> Void)?
    private var waitingSplits: [SplitStart]
    private var finishedSplits: [CheckpointManifest.SplitEntry]
    private var splits: [Split] = []
    private var watermark = EventTime.min
    private var next = 0
    private var toldIdle = false
    private let growing: Bool
    /// Splits came with watermarks of an earlier run, which are still to be told.
    private var isRestored: Bool

    /// - Parameters:
    ///   - finished: splits that were read to their end in an earlier run.
    ///   - wake: has the subtask step again; nil = it does so by itself.
    init(_ vertex: SourceVertex, splits: [SplitStart], finished: [CheckpointManifest.SplitEntry] = [], metrics: OperatorMetrics, probe: SubtaskProbe? = nil,
         wake: (@Sendable () -> Void)? = nil, now: @escaping @Sendable () -> UInt64) throws {
        self.vertex = vertex
        self.wake = wake
        self.metrics = metrics
        self.probe = probe
        self.now = now
        prepare = try vertex.prepare?()
        waitingSplits = splits
        finishedSplits = finished
        isRestored = splits.contains { $0.watermark != nil }
        growing = !vertex.source.isBounded
        openMax = vertex.source.readsAllSplitsAtOnce ? .max : Self.openSplitsMax
    }

    func add(_ more: [SourceSplit]) { waitingSplits += more.map { SplitStart(split: $0) } }

    /// Where reading would go on, for every split that it was ever given.
    func positions() -> [CheckpointManifest.SplitEntry] {
        finishedSplits + splits.map { split in
            .init(id: split.id, position: split.reader.position, watermark: split.watermark == .min ? nil : split.watermark.milliseconds)
        } + waitingSplits.map { .init(id: $0.split.id, position: $0.split.position, watermark: $0.watermark?.milliseconds) }
    }

    var hasNoSplits: Bool { splits.isEmpty && waitingSplits.isEmpty }

    func step(maxRows: Int) throws -> Step {
        let step = try read(maxRows: maxRows)
        isUntold = true
        switch step {
        case .ended, .waiting(until: .max): tellSplits(atOnce: true)
        default: tellSplits()
        }
        return step
    }

    /// For those who watch the job.
    private func tellSplits(atOnce: Bool = false) {
        guard let probe, isUntold else { return }
        let time = now()
        guard atOnce || time >= nextTelling else { return }
        (isUntold, nextTelling) = (false, time &+ Self.tellingInterval)
        let open = splits.map { split in
            JobReport.Split(id: split.id, watermark: split.watermark == .min ? nil : split.watermark.milliseconds, lag: split.reader.recordsBehind, isIdle: split.isIdle,
                            position: split.reader.position)
        }
        probe.splits.withLock { $0 = open }
        if newestTime > toldTime {
            toldTime = newestTime
            probe.eventTimeLag.store(Clock.milliseconds() &- newestTime, ordering: .relaxed)
        }
    }

    private func read(maxRows: Int) throws -> Step {
        try open()
        if isRestored {
            isRestored = false
            let told = advance()
            if !told.isEmpty { return .elements(told) }
        }
        guard !splits.isEmpty else { return growing ? try allWaiting(until: .max) : .ended }
        let time = now()
        guard let chosen = choose(time) else {
            return try allWaiting(until: splits.map(\.retryAt).min()!)
        }
        switch try splits[chosen].reader.next(maxRows: maxRows) {
        case .batch(let batch):
            return .elements(try elements(for: batch, split: chosen, time))
        case .waiting(let pause):
            splits[chosen].retryAt = time + UInt64(max(pause / .nanoseconds(1), 0))
            // That nothing comes is to be noticed in time, too.
            if let timeout = vertex.watermark?.idleTimeout, !splits[chosen].isIdle {
                splits[chosen].retryAt = min(splits[chosen].retryAt, max(time, splits[chosen].lastRowAt + UInt64(timeout / .nanoseconds(1))))
            }
            return .elements(markIdle(chosen, time))
        case .endOfSplit:
            let ended = splits.remove(at: chosen)
            finishedSplits.append(.init(id: ended.id, position: ended.reader.position, isFinished: true))
            ended.reader.close()
            return .elements(advance() + (splits.isEmpty ? [] : tellIdleIfAll()))
        }
    }

    private func open() throws {
        while splits.count < openMax, !waitingSplits.isEmpty {
            let start = waitingSplits.removeFirst()
            var split = Split(id: start.split.id, reader: try vertex.source.reader(for: start.split, metrics: metrics),
                              assigner: vertex.watermark.map(WatermarkAssigner.init), lastRowAt: now(), bell: Bell())
            if let wake {
                split.reader.onMore { [bell = split.bell] in
                    bell.ring()
                    wake()
                }
            }
            if let watermark = start.watermark {
                split.watermark = watermark
                split.assigner?.resume(at: watermark)
            }
            splits.append(split)
        }
    }

    private func choose(_ time: UInt64) -> Int? {
        var best: Int?
        for offset in 0..<splits.count {
            let i = (next + offset) % splits.count
            // One that is not chosen now is ready all the same.
            if splits[i].bell.take() { splits[i].retryAt = 0 }
            guard splits[i].retryAt <= time else { continue }
            if best == nil || splits[i].watermark < splits[best!].watermark { best = i }
        }
        if let best { next = best + 1 }
        return best
    }

    private func elements(for batch: Batch, split i: Int, _ time: UInt64) throws -> [ChainElement] {
        var batch = batch, result: [ChainElement] = []
        // A batch without rows says that the split is not idle.
        if let output = vertex.errors, batch.count > 0 {
            let (rows, errors) = output.split(batch)
            if let errors { result.append(.errors(errors)) }
            // A split that gives errors only is as good as idle.
            if rows.count == 0 { return result }
            batch = rows
        }
        splits[i].lastRowAt = time
        if toldIdle {
            toldIdle = false
            result.append(.idle(false))
        }
        metrics.rowsOut.add(batch.count)
        let prepared = try prepare?(batch) ?? batch
        guard splits[i].assigner != nil else { return result + [.batch(prepared, input: 0)] }
        if splits[i].isIdle { splits[i].isIdle = false }
        for piece in try splits[i].assigner!.assign(prepared) {
            switch piece {
            case .rows(let rows): result.append(.batch(rows, input: 0))
            case .watermark(let watermark):
                splits[i].watermark = watermark
                if vertex.watermark?.expression == nil { newestTime = max(newestTime, watermark.milliseconds &+ vertex.watermark!.delayMilliseconds) }
                result += advance()
            }
        }
        return result
    }

    /// The source's watermark: the lowest of the open splits that are not idle. It stands still when there is none.
    private func advance() -> [ChainElement] {
        var low: EventTime?
        for split in splits where !split.isIdle { low = min(low ?? .max, split.watermark) }
        guard let low, low > watermark else { return [] }
        watermark = low
        metrics.watermark.set(low.milliseconds)
        metrics.outputWatermark.set(low.milliseconds)
        return [.watermark(low)]
    }

    private func markIdle(_ i: Int, _ time: UInt64) -> [ChainElement] {
        guard let timeout = vertex.watermark?.idleTimeout, !splits[i].isIdle,
              time - splits[i].lastRowAt >= UInt64(timeout / .nanoseconds(1)) else { return [] }
        splits[i].isIdle = true
        return advance() + tellIdleIfAll()
    }

    /// A subtask without splits holds no watermark back, with or without a timeout.
    private func tellIdleIfAll() -> [ChainElement] {
        guard !toldIdle, splits.isEmpty || vertex.watermark?.idleTimeout != nil, splits.allSatisfy(\.isIdle) else { return [] }
        toldIdle = true
        return [.idle(true)]
    }

    private func allWaiting(until: UInt64) throws -> Step {
        let told = splits.isEmpty ? tellIdleIfAll() : []
        return told.isEmpty ? .waiting(until: until) : .elements(told)
    }

    func close() {
        if !splits.isEmpty { tellSplits(atOnce: true) }
        for split in splits { split.reader.close() }
        splits = []
    }
}
