import StreamCore
import StreamExpressions

/// Output rows of a join of two inputs: the left columns, then the right ones.
struct JoinedRows {
    let left: [DataType], right: [DataType]
    private let condition: Evaluator?

    init(left: Schema, right: Schema, condition: Expr?, context: EvaluationContext) {
        (self.left, self.right) = (left.map(\.type), right.map(\.type))
        self.condition = condition.map { Evaluator([$0], context: context) }
    }

    var hasCondition: Bool { condition != nil }

    /// Positions of the pairs for which the condition is true; nil = all of them.
    func matching(_ pairs: Batch) throws -> [Int32]? {
        guard let condition else { return nil }
        let truth = try condition.evaluate(pairs)[0].flat()
        return withExtendedLifetime(truth) {
            let values = truth.pointer(as: UInt8.self)
            var kept: [Int32] = []
            for i in 0..<pairs.physicalCount where truth.isValid(i) && values[i] != 0 { kept.append(Int32(truncatingIfNeeded: i)) }
            return kept.count == pairs.physicalCount ? nil : kept
        }
    }

    /// Rows of one side with nulls for the other one.
    func padded(_ columns: [Column], side: Int, count: Int) -> Batch {
        let nulls = (side == 0 ? right : left).map { Column.nulls(type: $0, count: count) }
        return Batch(columns: side == 0 ? columns + nulls : nulls + columns, physicalCount: count)
    }
}

/// Which groups of a table are in use, and when to look for those that are not.
struct GroupEviction {
    private static let minimum = 4_096
    private var checkAt = minimum

    /// Gives up groups without rows once they are most of many.
    ///
    /// - Returns: what is left, by old number, or nil when all stay.
    mutating func evict(_ table: GroupTable, isLive: (Int32) -> Bool) -> [Int32]? {
        let n = table.count
        guard n > checkAt else { return nil }
        let kept = (0..<Int32(truncatingIfNeeded: n)).filter(isLive)
        checkAt = max(Self.minimum, 2 * kept.count)
        guard kept.count * 2 < n else { return nil }
        table.keep(kept)
        return kept
    }
}

/// The watermark as it is kept with an operator's state.
enum StoredWatermark {
    static let name = "progress"
    private static let columns = StateColumns([("watermark", .bigint)])

    static func piece(_ watermark: Int64) -> KeyGroupState { .broadcast(name, columns, rows: [[watermark]]) }

    /// Of several subtasks' watermarks the lowest is the one that all have seen.
    static func read(_ piece: KeyGroupState, operator name: String, lowest: Int64?) throws -> Int64 {
        let column = try columns.columns(of: piece, operator: name)[0]
        return withExtendedLifetime(column) {
            let values = column.pointer(as: Int64.self)
            return (0..<column.count).reduce(lowest ?? .max) { min($0, values[$1]) }
        }
    }
}
