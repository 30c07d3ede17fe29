import StreamCore

extension Operators {
    /// LIMIT without ORDER BY over input that takes nothing back: the first rows, as they come. For one subtask.
    public static func limit(offset: Int, limit: Int?) -> Factory {
        { LimitOperator(offset: offset, limit: limit) }
    }
}

/// Passes rows `offset` to `offset + limit` of its input on.
final class LimitOperator: StreamOperator {
    private var toSkip: Int
    private var toPass: Int
    private var name = "limit"

    init(offset: Int, limit: Int?) {
        toSkip = offset
        toPass = limit ?? .max
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let skipped = min(toSkip, batch.count)
        let passed = min(toPass, batch.count - skipped)
        toSkip -= skipped
        toPass -= passed
        if passed > 0 { try output.emit(batch.slice(skipped..<skipped + passed)) }
        return .done
    }

    // MARK: State

    private static let progress = StateColumns([("skip", .bigint), ("pass", .bigint)])

    func open(_ context: OperatorContext) { name = context.name }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        OperatorSnapshot([.broadcast("progress", Self.progress, rows: [[Int64(toSkip), Int64(toPass)]])])
    }

    func restore(_ state: RestoredState) throws {
        try state.forEach { piece in
            guard piece.name == "progress" else { throw piece.unknown(operator: name) }
            let columns = try Self.progress.columns(of: piece, operator: name)
            for row in 0..<piece.batch.count {
                toSkip = min(toSkip, Int(columns[0].pointer(as: Int64.self)[row]))
                toPass = min(toPass, Int(columns[1].pointer(as: Int64.self)[row]))
            }
        }
    }
}
