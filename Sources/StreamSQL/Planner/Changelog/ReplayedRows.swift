import StreamCore
import StreamExpressions
import StreamOperators

extension ChangelogNode {
    /// Steps by event time whose input gives rows of the past again decide by the watermark whether those are late: it has to stand
    /// where it stood when the row came that brought them up, and not where it stood before the batch.
    var dependsOnEveryWatermark: Bool { isByEventTime && inputs.contains(where: \.repeatsRows) }

    private var isByEventTime: Bool {
        switch plan {
        case .windowAggregate(_, let a):
            guard case .time(_, let column) = a.assignment else { return true }
            return inputs[0].plan.columns[column].isTimeAttribute
        case .step(let over as Over, _): return modifications.isInsertOnly && over.isByTime(inputs[0].plan.columns)
        case .step(let rank as Rank, _): return rank.form != .general && rank.form != .keepLast && modifications.isInsertOnly
        default: return false
        }
    }

    /// Whether rows come out that are of the past: matches of a join, rows that are taken back, late rows.
    private var repeatsRows: Bool {
        switch plan {
        case .join: return true
        case .scan, .values: return false
        case .step(let rank as Rank, _) where !modifications.isInsertOnly || rank.form == .general: return true
        case .step(is Over, _) where !modifications.isInsertOnly: return true
        // A limited frame takes late rows of keys that it has given nothing of yet.
        case .step(let over as Over, _) where over.frame.preceding != nil && over.isByTime(inputs[0].plan.columns): return true
        default: return inputs.contains(where: \.repeatsRows)
        }
    }
}
