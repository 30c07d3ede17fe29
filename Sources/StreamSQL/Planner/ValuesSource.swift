import StreamCore
import StreamExpressions

/// Rows of constant expressions as a bounded source of one split. They are computed when the job runs, so that a value
/// that fails makes the job fail.
struct ValuesSource: TableSource {
    var rows: [[Expr]]
    var types: [DataType]
    var context: EvaluationContext

    var isBounded: Bool { true }
    func splits() throws -> [SourceSplit] { [SourceSplit(id: "values")] }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        Reader(
            self,
            from: try split.position.map { text in
                guard let row = Int(text), (0...rows.count).contains(row) else {
                    throw StreamError(.corrupt, "'\(text)' is no row of the \(rows.count) VALUES rows")
                }
                return row
            } ?? 0)
    }

    final class Reader: SplitReader {
        private let source: ValuesSource
        private var next: Int

        init(_ source: ValuesSource, from row: Int) {
            self.source = source
            next = row
        }

        var position: String { "\(next)" }

        func next(maxRows: Int) throws -> ReadResult {
            let end = min(source.rows.count, next + max(1, maxRows))
            guard next < end else { return .endOfSplit }
            let part = source.rows[next..<end]
            let columns = try source.types.enumerated().map { c, type in
                let builder = ColumnBuilder(type: type, capacity: part.count)
                for row in part { builder.append(try Evaluator.evaluateConstant(row[c], context: source.context)) }
                return builder.finish()
            }
            next = end
            return .batch(Batch(columns: columns, physicalCount: part.count))
        }
    }
}
