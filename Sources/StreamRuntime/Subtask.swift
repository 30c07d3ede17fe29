import StreamCore
import StreamState
import Synchronization

/// What the coordinator may ask of a subtask behind an exchange, from any thread.
final class SubtaskControl: Sendable {
    /// Newest checkpoint whose barrier may overtake rows in flight; 0 = none.
    let overtake = Atomic<UInt64>(0)
}

/// One parallel instance of a chain, as a state machine: `step` takes input, makes output, or says what it waits for.
/// Owned by whoever runs it; never run by two threads at once.
package final class Subtask {
    package enum StepResult: Equatable {
        /// Did something; run it again.
        case progress
        /// Nothing to do before it is woken, or before this time (monotonic nanoseconds).
        case waiting(until: UInt64?)
        case finished
    }

    /// Where a subtask's rows come from.
    enum Input {
        case source(SourceInput, SourceMailbox)
        case channels([InputChannel])
    }

    struct InputChannel {
        var channel: Channel
        /// Input number of the chain's first operator.
        var port: Int
        var ended = false
    }

    /// Tells the coordinator of the subtask's part of checkpoints.
    struct Reporter {
        var snapshot: (Barrier, SubtaskReport) -> Void
        /// The input has ended; the report has positions of sources and what sinks prepared last.
        var finished: (SubtaskReport) -> Void
        /// A snapshot becomes part of no checkpoint; what its sinks prepared goes with the next one.
        var givenUp: (SubtaskReport) -> Void
    }

    package let id: Int
    package let name: String
    /// The greatest number of exchanges between a source and it.
    let depth: Int
    let control = SubtaskControl()
    private var input: Input
    private let chain: Chain
    private let batchRows: Int
    private let probe: SubtaskProbe
    /// Time between two latency markers of a source, in nanoseconds; nil = none are sent.
    private let latencyInterval: UInt64?
    private var nextMarker: UInt64?
    /// What the last step waits for is room behind it.
    private var isBackPressured = false
    private let now: @Sendable () -> UInt64
    private let wallClock: @Sendable () -> Int64
    private let reporter: Reporter
    /// Vertex and subtask number of the chain's first vertex.
    private let head: (vertex: Int, index: Int)

    private var merge: WatermarkMerge
    private var alignment: BarrierAlignment
    private var nextChannel = 0
    private var isDone = false
    private var toldIdle = false
    /// Elements that were in flight in the checkpoint that the job resumes from, to be taken before all others.
    private var replay: [ChannelState]
    /// A snapshot that overtook elements which are still to be recorded: in front of the barrier on each input.
    private var overtaken: (barrier: Barrier, operators: [OperatorReport], recorded: [Int: [StreamElement]])?

    init(id: Int, name: String, depth: Int, head: (vertex: Int, index: Int), input: Input, chain: Chain, replay: [ChannelState], batchRows: Int,
         probe: SubtaskProbe, latencyInterval: UInt64? = nil, now: @escaping @Sendable () -> UInt64, wallClock: @escaping @Sendable () -> Int64, reporter: Reporter) {
        self.id = id
        self.name = name
        self.depth = depth
        self.head = head
        self.input = input
        self.chain = chain
        self.replay = replay
        self.batchRows = batchRows
        self.probe = probe
        self.latencyInterval = latencyInterval
        self.now = now
        self.wallClock = wallClock
        self.reporter = reporter
        let count = if case .channels(let channels) = input { channels.count } else { 1 }
        merge = WatermarkMerge(inputs: count)
        alignment = BarrierAlignment(inputs: count)
        if case .source = input, let latencyInterval { nextMarker = now() &+ latencyInterval }
        // The chain belongs to the subtask.
        chain.onBarrier = { [unowned self] in passed($0, $1) }
        chain.onEnd = { [unowned self] in ended($0) }
    }

    /// Whether it is a source without a split that others wait for.
    var hasNothingToRead: Bool {
        guard case .source(let source, _) = input else { return false }
        return source.hasNoSplits && chain.router != nil
    }

    /// Takes at most `budget` elements.
    package func step(budget: Int = 4) throws -> StepResult {
        if isDone && chain.isClear {
            probe.ended()
            return .finished
        }
        let start = Clock.monotonicNanoseconds()
        probe.began(start)
        isBackPressured = false
        chain.beginStep(start)
        defer {
            let end = Clock.monotonicNanoseconds()
            chain.endStep(end)
            if isBackPressured { probe.blocked(end) }
        }
        let result = try advance(budget)
        if result == .finished { probe.ended() }
        return result
    }

    private func advance(_ budget: Int) throws -> StepResult {
        for turn in 0..<budget {
            guard try chain.pump() else {
                isBackPressured = true
                return turn > 0 ? .progress : .waiting(until: nil)
            }
            if isDone { return .finished }
            let timer = try fireTimers()
            guard chain.isClear else { return .progress }
            // Barriers do not wait for room downstream: they are what gets a checkpoint through when there is none.
            if case .source(let source, let mailbox) = input, try obey(source, mailbox) { return .progress }
            try overtakeIfAsked()
            guard chain.isTailReady else {
                isBackPressured = true
                return turn > 0 ? .progress : .waiting(until: timer)
            }
            try sendMarkerIfDue()
            let result = switch input {
            case .source(let source, _): try stepSource(source)
            case .channels: try stepChannels()
            }
            if result != .progress {
                // Left-over work, such as a window that is still being emitted, goes before any wait.
                if !chain.isClear { return .progress }
                if isDone { return .finished }
                for node in chain.nodes { if case .sink(let sink) = node.kind { try sink.idle() } }
                guard case .waiting(let until) = result, let due = [timer, nextMarker].compactMap({ $0 }).min() else { return result }
                return .waiting(until: min(until ?? .max, due))
            }
        }
        return .progress
    }

    private func sendMarkerIfDue() throws {
        guard let due = nextMarker else { return }
        let time = now()
        guard time >= due else { return }
        // What was missed while there was no room is not made up for.
        nextMarker = max(due &+ latencyInterval!, time)
        try chain.push(.latencyMarker(LatencyMarker(source: head.vertex, sentAt: time)))
    }

    /// Fires processing-time timers that are due.
    /// - Returns: when the next one is (monotonic nanoseconds).
    private func fireTimers() throws -> UInt64? {
        guard var due = chain.wakeAt else { return nil }
        let time = wallClock()
        if due <= time {
            try chain.fireTimers(time)
            guard chain.isClear, let next = chain.wakeAt else { return nil }
            due = next
        }
        return now() + UInt64(clamping: max(due - time, 0)) * 1_000_000
    }

    // MARK: sources

    /// Does what the coordinator asked for. True when something was done.
    private func obey(_ source: SourceInput, _ mailbox: SourceMailbox) throws -> Bool {
        let commands = mailbox.drain()
        for command in commands {
            switch command {
            case .barrier(let barrier): try chain.push(barrier, source: positions(source))
            case .addSplits(let splits): source.add(splits)
            case .stop(let barriers, let drain):
                if drain { try chain.push(.watermark(.max)) }
                for barrier in barriers { try chain.push(barrier, source: positions(source)) }
                source.close()
                isDone = true
                return true
            }
        }
        return !commands.isEmpty
    }

    private func positions(_ source: SourceInput) -> OperatorReport {
        var report = OperatorReport(vertex: head.vertex, index: head.index)
        report.splits = source.positions()
        return report
    }

    private func stepSource(_ source: SourceInput) throws -> StepResult {
        switch try source.step(maxRows: batchRows) {
        case .elements(let elements):
            for element in elements { try chain.push(element) }
            return .progress
        case .waiting(let until): return .waiting(until: until)
        case .ended:
            try chain.push(.watermark(.max))
            try chain.push(.finishInput(0, isLast: true))
            isDone = true
            return .progress
        }
    }

    // MARK: channels

    private func stepChannels() throws -> StepResult {
        guard case .channels(var channels) = input else { return .progress }
        if let (i, element) = nextReplayed() {
            try take(element, from: i, port: channels[i].port, channels: channels)
            return .progress
        }
        let held = alignment.held
        for offset in 0..<channels.count {
            let i = (nextChannel + offset) % channels.count
            guard !channels[i].ended, !held.contains(i), let element = channels[i].channel.receive() else { continue }
            nextChannel = i + 1
            if case .endOfInput = element {
                channels[i].ended = true
                input = .channels(channels)
            }
            if alignment.recording.contains(i) { record(element, i) }
            try take(element, from: i, port: channels[i].port, channels: channels)
            return .progress
        }
        return .waiting(until: nil)
    }

    private func nextReplayed() -> (channel: Int, StreamElement)? {
        while let first = replay.first {
            guard !first.elements.isEmpty else {
                replay.removeFirst()
                continue
            }
            return (first.channel, replay[0].elements.removeFirst())
        }
        return nil
    }

    private func take(_ element: StreamElement, from i: Int, port: Int, channels: [InputChannel]) throws {
        switch element {
        case .batch(let batch):
            probe.batchesIn.add(1)
            try chain.push(.batch(batch, input: port, sent: channels.count > 1 ? merge.watermark(of: i) : nil))
        case .latencyMarker(let marker): try chain.push(.latencyMarker(marker))
        case .watermark(let watermark):
            if let merged = merge.update(i, to: watermark) { try chain.push(.watermark(merged)) }
            try tellIdleness()
        case .idle(let idle):
            if let merged = merge.setIdle(i, idle) { try chain.push(.watermark(merged)) }
            try tellIdleness()
        case .barrier(let barrier): try act(on: alignment.barrier(barrier.checkpoint, on: i), barrier)
        case .endOfInput:
            if let merged = merge.finish(i) { try chain.push(.watermark(merged)) }
            while let action = alignment.finish(i) { try act(on: action, pendingBarrier) }
            let isLast = channels.allSatisfy(\.ended)
            // Several senders may feed one port; the operator hears of the end of the port once.
            if !isDone, !channels.contains(where: { $0.port == port && !$0.ended }) {
                try chain.push(.finishInput(port, isLast: isLast))
            }
            if isLast { isDone = true }
        }
    }

    /// The barrier that is being aligned.
    private var pendingBarrier: Barrier?

    private func act(on action: BarrierAlignment.Action, _ barrier: Barrier?) throws {
        switch action {
        case .hold: pendingBarrier = barrier
        case .snapshot:
            pendingBarrier = nil
            try chain.push(barrier!)
            if barrier!.final { isDone = true }
        case .recorded: report()
        case .ignore: break
        }
    }

    private func tellIdleness() throws {
        guard merge.allIdle != toldIdle else { return }
        toldIdle.toggle()
        try chain.push(.idle(toldIdle))
    }

    // MARK: checkpoints

    /// Snapshots without waiting for alignment when that takes too long: what the barrier overtakes becomes part of it.
    private func overtakeIfAsked() throws {
        let allowed = control.overtake.load(ordering: .acquiring)
        guard allowed > alignment.newest, replay.isEmpty, alignment.recording.isEmpty, case .channels(let channels) = input else { return }
        // The oldest one that is under way: a newer one must not overtake it, too, or nothing would ever complete it.
        let oldest = pendingBarrier ?? channels.filter { !$0.ended }.compactMap(\.channel.nextBarrier).min { $0.checkpoint < $1.checkpoint }
        guard let oldest, oldest.checkpoint <= allowed, !oldest.isSavepoint, !oldest.final else { return }
        let checkpoint = oldest.checkpoint
        var inFront: [Int: [StreamElement]] = [:]
        for (i, channel) in channels.enumerated() where !channel.ended && !alignment.held.contains(i) {
            if case .barrier(let elements) = channel.channel.overtake(checkpoint) { inFront[i] = elements }
        }
        // Nothing says yet that the checkpoint has come this far.
        guard alignment.aligning == checkpoint || !inFront.isEmpty else { return }
        for i in inFront.keys.sorted() {
            // The last one completes the alignment, with all rows in front of the barriers still to be taken.
            switch alignment.barrier(checkpoint, on: i) {
            case .snapshot: return try snapshotAhead(checkpoint, inFront)
            default: continue
            }
        }
        guard alignment.overtake(checkpoint) else { return }
        try snapshotAhead(checkpoint, inFront)
    }

    /// See ``SteppedExecution/loseBarrier(at:)``.
    func loseBarrier(_ checkpoint: UInt64) throws -> Bool {
        guard checkpoint > alignment.newest, replay.isEmpty, chain.isClear, case .channels(let channels) = input else { return false }
        for (i, channel) in channels.enumerated() where !channel.ended && !alignment.held.contains(i) {
            guard case .barrier(let inFront) = channel.channel.overtake(checkpoint) else { continue }
            try act(on: alignment.barrier(checkpoint, on: i), Barrier(checkpoint: checkpoint))
            return inFront.contains { if case .batch = $0 { true } else { false } }
        }
        return false
    }

    private func snapshotAhead(_ checkpoint: UInt64, _ inFront: [Int: [StreamElement]]) throws {
        let barrier = Barrier(checkpoint: checkpoint)
        pendingBarrier = nil
        giveUpOvertaken()
        overtaken = (barrier, [], inFront)
        try chain.push(barrier)
        if alignment.recording.isEmpty { report() }
    }

    private func record(_ element: StreamElement, _ i: Int) {
        switch element {
        case .batch, .watermark, .idle: overtaken?.recorded[i, default: []].append(element)
        case .barrier, .latencyMarker, .endOfInput: break
        }
    }

    /// The barrier has passed the chain.
    private func passed(_ barrier: Barrier, _ operators: [OperatorReport]) {
        if overtaken?.barrier == barrier {
            overtaken!.operators = operators
        } else {
            giveUpOvertaken()
            reporter.snapshot(barrier, SubtaskReport(subtask: id, operators: operators))
        }
    }

    /// A newer checkpoint came before the last rows of a snapshot that overtook them.
    private func giveUpOvertaken() {
        guard let (_, operators, _) = overtaken else { return }
        overtaken = nil
        reporter.givenUp(SubtaskReport(subtask: id, operators: operators))
    }

    /// The snapshot that overtook rows has them all now.
    private func report() {
        guard let (barrier, operators, recorded) = overtaken else { return }
        overtaken = nil
        let channels = recorded.sorted { $0.key < $1.key }.map { channel, elements in
            ChannelState(channel: channel, elements: elements.filter {
                switch $0 {
                case .batch, .watermark, .idle: true
                case .barrier, .latencyMarker, .endOfInput: false
                }
            })
        }.filter { !$0.elements.isEmpty }
        reporter.snapshot(barrier, SubtaskReport(subtask: id, operators: operators, channels: channels, isUnaligned: true))
    }

    private func ended(_ operators: [OperatorReport]) {
        giveUpOvertaken()
        var reports = operators
        if case .source(let source, _) = input { reports.insert(positions(source), at: 0) }
        reporter.finished(SubtaskReport(subtask: id, operators: reports))
    }

    /// Lets go of files and writers after a failure or a cancellation; nothing open becomes visible.
    package func abort() {
        for node in chain.nodes { if case .sink(let sink) = node.kind { sink.abort() } }
        close()
    }

    package func close() {
        if case .source(let source, _) = input { source.close() }
        chain.close()
    }
}
