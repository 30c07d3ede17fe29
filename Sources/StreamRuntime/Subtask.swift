import StreamCore

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

    package let id: Int
    package let name: String
    /// The greatest number of exchanges between a source and it.
    let depth: Int
    private var input: Input
    private let chain: Chain
    private let batchRows: Int
    private let metrics: OperatorMetrics
    private let now: @Sendable () -> UInt64

    private var merge: WatermarkMerge
    private var alignment: BarrierAlignment
    private var nextChannel = 0
    private var isDone = false
    private var toldIdle = false

    init(id: Int, name: String, depth: Int, input: Input, chain: Chain, batchRows: Int, metrics: OperatorMetrics,
         now: @escaping @Sendable () -> UInt64) {
        self.id = id
        self.name = name
        self.depth = depth
        self.input = input
        self.chain = chain
        self.batchRows = batchRows
        self.metrics = metrics
        self.now = now
        let count = if case .channels(let channels) = input { channels.count } else { 1 }
        merge = WatermarkMerge(inputs: count)
        alignment = BarrierAlignment(inputs: count)
    }

    /// Whether it is a source without a split that others wait for.
    var hasNothingToRead: Bool {
        guard case .source(let source, _) = input else { return false }
        return source.hasNoSplits && chain.router != nil
    }

    /// Takes at most `budget` elements.
    package func step(budget: Int = 4) throws -> StepResult {
        if isDone && chain.isClear { return .finished }
        let start = Clock.monotonicNanoseconds()
        defer { metrics.busyNanoseconds.add(Int(Clock.monotonicNanoseconds() - start)) }
        for turn in 0..<budget {
            guard try chain.pump() else { return turn > 0 ? .progress : .waiting(until: nil) }
            if isDone { return .finished }
            guard chain.isTailReady else { return turn > 0 ? .progress : .waiting(until: nil) }
            let result = switch input {
            case .source(let source, let mailbox): try stepSource(source, mailbox)
            case .channels: try stepChannels()
            }
            if result != .progress {
                // Left-over work, such as a window that is still being emitted, goes before any wait.
                if !chain.isClear { return .progress }
                if isDone { return .finished }
                for node in chain.nodes { if case .sink(let sink) = node.kind { try sink.idle() } }
                return result
            }
        }
        return .progress
    }

    // MARK: sources

    private func stepSource(_ source: SourceInput, _ mailbox: SourceMailbox) throws -> StepResult {
        for command in mailbox.drain() {
            switch command {
            case .barrier(let checkpoint): try chain.push(.barrier(Barrier(checkpoint: checkpoint)))
            case .addSplits(let splits): source.add(splits)
            case .stop:
                try chain.push(.barrier(Barrier(checkpoint: .max, final: true)))
                source.close()
                isDone = true
                return .progress
            }
        }
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
        let held = alignment.held
        for offset in 0..<channels.count {
            let i = (nextChannel + offset) % channels.count
            guard !channels[i].ended, !held.contains(i), let element = channels[i].channel.receive() else { continue }
            nextChannel = i + 1
            if case .endOfInput = element {
                channels[i].ended = true
                input = .channels(channels)
            }
            try take(element, from: i, port: channels[i].port, channels: channels)
            return .progress
        }
        return .waiting(until: nil)
    }

    private func take(_ element: StreamElement, from i: Int, port: Int, channels: [InputChannel]) throws {
        switch element {
        case .batch(let batch): try chain.push(.batch(batch, input: port))
        case .watermark(let watermark):
            if let merged = merge.update(i, to: watermark) { try chain.push(.watermark(merged)) }
            try tellIdleness()
        case .idle(let idle):
            if let merged = merge.setIdle(i, idle) { try chain.push(.watermark(merged)) }
            try tellIdleness()
        case .barrier(let barrier):
            if barrier.final { return try stopInput(i, channels: channels) }
            try act(on: alignment.barrier(barrier.checkpoint, on: i))
        case .endOfInput:
            if let merged = merge.finish(i) { try chain.push(.watermark(merged)) }
            if let action = alignment.finish(i) { try act(on: action) }
            let isLast = channels.allSatisfy(\.ended)
            // Several senders may feed one port; the operator hears of the end of the port once.
            if !channels.contains(where: { $0.port == port && !$0.ended }) {
                try chain.push(.finishInput(port, isLast: isLast))
            }
            if isLast { isDone = true }
        }
    }

    /// The sender was stopped: what it sent counts, but event time does not move on.
    private func stopInput(_ i: Int, channels: [InputChannel]) throws {
        var channels = channels
        channels[i].ended = true
        input = .channels(channels)
        if let action = alignment.finish(i) { try act(on: action) }
        if channels.allSatisfy(\.ended) {
            try chain.push(.barrier(Barrier(checkpoint: .max, final: true)))
            isDone = true
        }
    }

    private func act(on action: BarrierAlignment.Action) throws {
        if case .snapshot(let checkpoint) = action { try chain.push(.barrier(Barrier(checkpoint: checkpoint))) }
    }

    private func tellIdleness() throws {
        guard merge.allIdle != toldIdle else { return }
        toldIdle.toggle()
        try chain.push(.idle(toldIdle))
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
