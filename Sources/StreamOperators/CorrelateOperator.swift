import StreamCore
import StreamExpressions

extension Operators {
    /// Each input row beside the rows that a function gives for it; row kinds are those of the input row. Without state.
    public static func correlate(_ spec: CorrelateSpec, _ context: EvaluationContext) -> Factory {
        { try CorrelateOperator(spec, context) }
    }
}

final class CorrelateOperator: StreamOperator {
    private let spec: CorrelateSpec
    private let evaluation: EvaluationContext
    private let arguments: Evaluator
    private let condition: Evaluator?
    private let function: any RowFunctionInstance
    /// What could not be given yet, in order.
    private var waiting: [Batch] = []

    init(_ spec: CorrelateSpec, _ context: EvaluationContext) throws {
        self.spec = spec
        evaluation = context
        arguments = Evaluator(spec.arguments, context: context)
        condition = spec.condition.map { Evaluator([$0], context: context) }
        function = try spec.function.make(context)
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard !batch.isEmpty else { return .done }
        let batch = batch.compacted()
        let (made, calls) = try function.call(arguments.evaluate(batch), count: batch.count)
        var (owners, rows) = (calls, calls.indices.map { Int32(truncatingIfNeeded: $0) })
        if let condition, !owners.isEmpty {
            let pairs = Batch(columns: batch.columns.map { $0.gather(owners) } + made, physicalCount: owners.count)
            let truth = try condition.evaluate(pairs)[0].flat()
            let kept = withExtendedLifetime(truth) { owners.indices.filter { truth.isValid($0) && truth.pointer(as: UInt8.self)[$0] != 0 } }
            (owners, rows) = (kept.map { owners[$0] }, kept.map { rows[$0] })
        }
        if spec.keepsUnmatched { (owners, rows) = Self.filled(owners, rows, count: batch.count) }
        let width = spec.inputSchema.count
        for start in stride(from: 0, to: owners.count, by: Batch.targetRows) {
            let range = start..<min(start + Batch.targetRows, owners.count)
            let (of, at) = (Array(owners[range]), Array(rows[range]))
            var kinds: Buffer?
            if let from = batch.rowKinds?.pointer(as: UInt8.self) { kinds = of.map { from[Int($0)] }.withUnsafeBytes { Buffer(copying: $0) } }
            let columns = zip(spec.output, spec.outputSchema).map { c, field in
                (c < width ? batch.columns[c].gather(of) : made[c - width].gatherOrNull(at)).retyped(field.type)
            }
            waiting.append(Batch(columns: columns, physicalCount: of.count, rowKinds: kinds))
        }
        return try resume(output)
    }

    /// Puts -1 for each call without rows.
    static func filled(_ owners: [Int32], _ rows: [Int32], count: Int) -> ([Int32], [Int32]) {
        var (allOwners, allRows): ([Int32], [Int32]) = ([], [])
        var at = 0
        for call in 0..<Int32(count) {
            if at == owners.count || owners[at] != call {
                allOwners.append(call)
                allRows.append(-1)
            }
            while at < owners.count, owners[at] == call {
                allOwners.append(call)
                allRows.append(rows[at])
                at += 1
            }
        }
        return (allOwners, allRows)
    }

    func resume(_ output: any Output) throws -> Progress {
        while !waiting.isEmpty {
            guard output.isReady else { return .more }
            try output.emit(waiting.removeFirst())
        }
        return .done
    }

    func close() { function.close() }
}

extension Column {
    /// Row `rows[i]`, null for -1.
    func gatherOrNull(_ rows: [Int32]) -> Column {
        guard rows.contains(-1) else { return gather(rows) }
        if count == 0 { return .nulls(type: type, count: rows.count) }
        let gathered = gather(rows.map { max($0, 0) }).flat()
        let validity = Bitmap.make(rows.count, valid: true)
        for (i, row) in rows.enumerated() where row < 0 || !gathered.isValid(i) { Bitmap.clear(validity.base, i) }
        return Column(type: type, count: rows.count, validity: validity, values: gathered.values, heaps: gathered.heaps,
                      children: gathered.children)
    }

    func gather(_ rows: [Int32]) -> Column {
        rows.withUnsafeBufferPointer { $0.isEmpty ? ColumnBuilder(type: type).finish() : gather($0.baseAddress!, count: $0.count) }
    }
}
