import StreamCore

extension Operators {
    /// Each row once per set of keys, with its row kind. Output columns: the input's, the keys with null where the set lacks them, the
    /// number of the set as BIGINT. Without state.
    ///
    /// - Parameter sets: for each set, the places in `keys` of those that it has.
    public static func expand(keys: [(column: Int, type: DataType)], sets: [Set<Int>]) -> Factory {
        { ExpandOperator(keys: keys, sets: sets) }
    }
}

final class ExpandOperator: StreamOperator {
    private let keys: [(column: Int, type: DataType)]
    private let sets: [Set<Int>]
    private var pending: (batch: Batch, next: Int)?

    init(keys: [(column: Int, type: DataType)], sets: [Set<Int>]) { (self.keys, self.sets) = (keys, sets) }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard batch.count > 0 else { return .done }
        pending = (batch, 0)
        return try resume(output)
    }

    func resume(_ output: any Output) throws -> Progress {
        while let (batch, number) = pending {
            guard output.isReady else { return .more }
            var part = batch
            for (i, key) in keys.enumerated() {
                part.columns.append(sets[number].contains(i) ? batch.columns[key.column] : .nulls(type: key.type, count: batch.physicalCount))
            }
            part.columns.append(.constant(.int(Int64(number)), type: .bigint, count: batch.physicalCount))
            try output.emit(part)
            pending = number + 1 < sets.count ? (batch, number + 1) : nil
        }
        return .done
    }

    /// A batch is through before a barrier is.
    func restore(_ state: RestoredState) throws {}
}
