import StreamCore
import StreamExpressions

/// WHERE and SELECT: keeps the rows that the filter says true for, then computes the projection for them. Row kinds are kept.
final class CalcOperator: StreamOperator {
    private let filter: Evaluator?
    private let projection: Evaluator

    init(filter: Expr?, projection: [Expr], context: EvaluationContext) throws {
        if let filter, filter.type != .boolean {
            throw StreamError(.validate, "a filter is of type \(filter.type)", fix: "use a BOOLEAN condition")
        }
        self.filter = filter.map { Evaluator([$0], context: context) }
        self.projection = Evaluator(projection, context: context)
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        var batch = batch
        if let filter { batch = try filter.filter(batch) }
        guard !batch.isEmpty else { return .done }
        batch.columns = try projection.evaluate(batch)
        try output.emit(batch)
        return .done
    }
}
