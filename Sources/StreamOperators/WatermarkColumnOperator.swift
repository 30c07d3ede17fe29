import StreamCore

extension Operators {
    /// Each row with the watermark that the operator had been told before it, null before the first, once in each of `types`, which are
    /// timestamps of milliseconds. Without state: sources tell their watermarks again after a restart.
    public static func watermarkColumns(_ types: [DataType]) -> Factory { { WatermarkColumnOperator(types) } }
}

final class WatermarkColumnOperator: StreamOperator {
    private let types: [DataType]
    private var watermark: Int64?

    init(_ types: [DataType]) { self.types = types }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard batch.count > 0 else { return .done }
        var batch = batch
        for type in types { batch.columns.append(.constant(watermark.map { .int($0) } ?? .null, type: type, count: batch.physicalCount)) }
        try output.emit(batch)
        return .done
    }

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        self.watermark = watermark.milliseconds
        return .done
    }

    func restore(_ state: RestoredState) throws {}
}
