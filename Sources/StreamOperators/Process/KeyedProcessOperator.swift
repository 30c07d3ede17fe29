import StreamCore
import StreamState

/// Runs a process function: rows one by one, timers in order, both with the state of their key.
///
/// Work that is left when the output has no more room waits in `rows`, `eventLimit` and `processingLimit`.
final class KeyedProcessOperator: StreamOperator {
    enum Function {
        case one(any KeyedProcessFunction)
        case two(any KeyedCoProcessFunction)
    }

    /// Values that the sweep for expired ones looks at, per row.
    private static let sweptPerRow = 5

    /// A batch that is being worked through.
    private struct Rows {
        let batch: Batch
        let input: Int
        /// Plain columns of the batch, and those of them that are the key.
        let columns: [Column], keys: [Column]
        let hashes: [UInt64]
        var next = 0
    }

    private let inputs: [KeyedInput]
    private let layouts: [RowLayout]
    private let function: Function
    private let collector: RowCollector
    private let codec: KeyCodec
    private var operatorContext = OperatorContext(name: "keyed process")
    private var context: KeyContext?
    private var rows: Rows?
    /// Timers up to these times are firing.
    private var eventLimit: Int64?, processingLimit: Int64?
    private var inputsOpen: Int

    init(_ inputs: [KeyedInput], outputSchema: Schema, function: Function) {
        self.inputs = inputs
        self.function = function
        layouts = inputs.map { RowLayout($0.schema) }
        collector = RowCollector(outputSchema)
        codec = KeyCodec(inputs[0].keys.map { inputs[0].schema[$0] })
        inputsOpen = inputs.count
    }

    func open(_ context: OperatorContext) throws {
        operatorContext = context
        let backend: any KeyedBackend
        if let embedded = context.backend {
            let store = try embedded.makeStore("keyed-state", identity: "\(context.name)-\(context.subtask)", directory: context.workDirectory + "/keyed-state")
            store.gauges.map(context.metrics.addGauges)
            backend = StoreBackend(codec, keyGroups: context.keyGroups, store: store)
        } else {
            backend = MemoryBackend(codec, keyGroups: context.keyGroups)
        }
        let scope = KeyedScope(backend: backend, now: context.now)
        self.context = KeyContext(scope: scope, codec: codec, keyGroups: context.keyGroups)
        let opening = ProcessContext(scope: scope, layouts: layouts, subtask: context.subtask, parallelism: context.parallelism)
        switch function {
        case .one(let function): try function.open(opening)
        case .two(let function): try function.open(opening)
        }
        scope.isOpening = false
    }

    private func opened() throws -> KeyContext {
        if let context { return context }
        throw StreamError(.runtime, "\(operatorContext.name) is used before it was opened")
    }

    // MARK: Rows and timers

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let count = batch.count
        guard count > 0 else { return .done }
        let columns = batch.columns.map { $0.flat() }
        let hashes = [UInt64](unsafeUninitializedCapacity: count) { buffer, filled in
            RowHash.hash(batch, keys: inputs[input].keys, into: buffer.baseAddress!)
            filled = count
        }
        rows = Rows(batch: batch, input: input, columns: columns, keys: inputs[input].keys.map { columns[$0] }, hashes: hashes)
        return try run(output)
    }

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        try opened().watermark = watermark
        eventLimit = watermark.milliseconds
        return try run(output)
    }

    var wakeAt: Int64? { inputsOpen == 0 ? nil : context?.processingTimers.next() }

    func onTime(_ now: Int64, output: any Output) throws -> Progress {
        guard inputsOpen > 0 else { return .done }
        processingLimit = now
        return try run(output)
    }

    func resume(_ output: any Output) throws -> Progress { try run(output) }

    func finish(input: Int, output: any Output) throws -> Progress {
        inputsOpen -= 1
        return .done
    }

    private func run(_ output: any Output) throws -> Progress {
        let context = try opened()
        collector.begin(output)
        defer {
            collector.end()
            context.leave()
        }
        while let rows {
            if collector.isBlocked { return .more }
            try processNext(rows, context)
        }
        while let limit = eventLimit, let timer = context.eventTimers.take(by: limit) {
            try fire(timer, .eventTime, context)
            if collector.isBlocked { return .more }
        }
        eventLimit = nil
        while let limit = processingLimit, let timer = context.processingTimers.take(by: limit) {
            try fire(timer, .processingTime, context)
            if collector.isBlocked { return .more }
        }
        processingLimit = nil
        try collector.flush()
        return .done
    }

    private func processNext(_ work: Rows, _ context: KeyContext) throws {
        let physical = work.batch.row(work.next)
        let group = KeyGroups.group(ofHash: work.hashes[work.next], maxParallelism: operatorContext.maxParallelism)
        guard operatorContext.keyGroups.contains(group) else {
            throw StreamError(
                .validate, "\(operatorContext.name): a row of key group \(group) came to subtask \(operatorContext.subtask), which has groups \(operatorContext.keyGroups)",
                fix: "partition the edge to it by hash of columns \(inputs[work.input].keys)")
        }
        let row = Row(layout: layouts[work.input], columns: work.columns, row: physical, kind: work.batch.kind(atPhysical: physical))
        context.enter(StateKey(group: group, bytes: codec.encode(work.keys, row: physical)), timestamp: try timestamp(row, input: work.input))
        switch function {
        case .one(let function): try function.process(row, context, collector)
        case .two(let function) where work.input == 0: try function.process1(row, context, collector)
        case .two(let function): try function.process2(row, context, collector)
        }
        rows!.next += 1
        if rows!.next == work.hashes.count {
            rows = nil
            try context.scope.backend.removeExpired(now: context.now(), budget: work.hashes.count * Self.sweptPerRow)
        }
    }

    private func timestamp(_ row: Row, input: Int) throws -> Int64? {
        guard let column = inputs[input].timeColumn else { return nil }
        return inputs[input].schema[column].type == .bigint ? try row.int64(column) : try row.time(column)
    }

    private func fire(_ timer: KeyTimer, _ domain: TimeDomain, _ context: KeyContext) throws {
        context.enter(timer.key, timestamp: timer.time)
        switch function {
        case .one(let function): try function.onTimer(timer.time, domain, context, collector)
        case .two(let function): try function.onTimer(timer.time, domain, context, collector)
        }
    }

    // MARK: State

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let context = try opened()
        var snapshot = try context.scope.backend.snapshot(checkpoint)
        snapshot.units += context.eventTimers.units(codec) + context.processingTimers.units(codec)
        return snapshot
    }

    func restore(_ state: RestoredState) throws {
        let context = try opened()
        try context.scope.backend.restore(state.pieces.filter { $0.name != KeyedScope.timersPiece }, state.stores)
        for piece in state.pieces where piece.name == KeyedScope.timersPiece && operatorContext.keyGroups.contains(Int(piece.keyGroup)) {
            let timers = try piece.load()
            try context.eventTimers.restore(timers, codec)
            try context.processingTimers.restore(timers, codec)
        }
    }

    func close() {
        switch function {
        case .one(let function): function.close()
        case .two(let function): function.close()
        }
        context?.scope.backend.close()
    }
}
