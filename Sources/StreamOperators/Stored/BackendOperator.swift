import StreamCore

/// An operator that keeps its state in memory or in a store, as the job's state backend says when it is opened.
final class BackendOperator: StreamOperator {
    /// The in-memory one until it is opened: what cannot be run is refused when it is made.
    private var chosen: any StreamOperator
    private let makeStored: () throws -> any StreamOperator
    private var isStored = false
    private var name = ""

    init(memory: any StreamOperator, stored: @escaping () throws -> any StreamOperator) {
        (chosen, makeStored) = (memory, stored)
    }

    func open(_ context: OperatorContext) throws {
        name = context.name
        isStored = context.backend != nil
        if isStored { chosen = try makeStored() }
        try chosen.open(context)
    }

    func restore(_ state: RestoredState) throws {
        guard isStored || state.stores.isEmpty else {
            throw StreamError(.validate, "the state of \(name) is in the files of another state backend",
                              fix: "start with the backend that wrote it, or take a savepoint there and start from that")
        }
        try chosen.restore(state)
    }

    func senderReached(_ watermark: EventTime) { chosen.senderReached(watermark) }
    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress { try chosen.process(batch, input: input, output: output) }
    func advance(to watermark: EventTime, output: any Output) throws -> Progress { try chosen.advance(to: watermark, output: output) }
    func outputWatermark(_ watermark: EventTime) -> EventTime { chosen.outputWatermark(watermark) }
    func finish(input: Int, output: any Output) throws -> Progress { try chosen.finish(input: input, output: output) }
    func resume(_ output: any Output) throws -> Progress { try chosen.resume(output) }
    func idle(output: any Output) throws { try chosen.idle(output: output) }
    func prepareSnapshot(_ checkpoint: UInt64, output: any Output) throws { try chosen.prepareSnapshot(checkpoint, output: output) }
    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { try chosen.snapshot(checkpoint) }
    func portableSnapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { try chosen.portableSnapshot(checkpoint) }
    var wakeAt: Int64? { chosen.wakeAt }
    func onTime(_ now: Int64, output: any Output) throws -> Progress { try chosen.onTime(now, output: output) }
    func close() { chosen.close() }
}
