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

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { OperatorSnapshot(try keyGroupStates()) }

    private func keyGroupStates() throws -> [KeyGroupState] {
        let left = Batch(schema: [Field("skip", .bigint), Field("pass", .bigint)], rows: [[.int(Int64(toSkip)), .int(Int64(toPass))]])
        return [KeyGroupState(keyGroup: 0, name: "left", batch: left)]
    }

    func restore(_ state: RestoredState) throws {
        let state = try state.loaded()
        guard let left = state.first?.batch.rows().first, case .int(let skip) = left[0], case .int(let pass) = left[1] else { return }
        (toSkip, toPass) = (Int(skip), Int(pass))
    }
}
