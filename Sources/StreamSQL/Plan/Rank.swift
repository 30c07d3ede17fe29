import StreamCore
import StreamExpressions
import StreamOperators

/// Top-N and deduplication: the rows at places `first` to `last` of their partition.
public struct Rank: PlanStep {
    /// What is known beyond "the first rows by some order".
    public enum Form: Hashable, Sendable {
        case general
        /// One row for each partition: the latest by time; of equal ones the one that came last.
        case keepLast
        /// One row for each partition: the earliest by time, given once it is final.
        case keepFirst
        /// The partition is of one window: its rows are given when the window ends. `end` is the column of its end.
        case window(end: Int, timeType: DataType)
    }
    public var partition: [Int]
    public var order: [SortSpec.Key]
    public var first: Int, last: Int?
    public var form: Form
    /// A column with the place behind those of the input.
    public var givesPlace: Bool
    /// Rows that stood first for a moment only are given too: a temporal join reads them as versions.
    public var givesVersions = false
    /// Columns under which rows of the input are updated, each time to a better place, so that no more of them than are given need to
    /// be kept; nil = not known. Found once the changes of the input are.
    var updateKeys: [Int]?
    public var columns: [PlanColumn]

    public func title(_ inputs: [[PlanColumn]]) -> String {
        let input = inputs[0]
        let name: String =
            switch form {
            case .general: partition.isEmpty && !givesPlace ? "SortLimit" : "Rank"
            case .keepLast: "Deduplicate(keep last"
            case .keepFirst: "Deduplicate(keep first"
            case .window: last == 1 && first == 1 ? "WindowDeduplicate" : "WindowRank"
            }
        var parts: [String] = []
        if !partition.isEmpty { parts.append("by: " + partition.map { input[$0].name }.joined(separator: ", ")) }
        if !order.isEmpty { parts.append("order: " + order.map { ExprText.sortKey($0, input) }.joined(separator: ", ")) }
        switch form {
        case .keepLast, .keepFirst: break
        default: parts.append(last == first ? "place: \(first)" : "places: \(first) to \(last.map(String.init) ?? "the last")")
        }
        if givesPlace { parts.append("give: \(columns.last!.name)") }
        if let updateKeys { parts.append("updated by: " + updateKeys.map { input[$0].name }.joined(separator: ", ")) }
        return name + (name.contains("(") ? ", " : "(") + parts.joined(separator: ", ") + ")"
    }

    // MARK: rewriting

    public func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        let width = inputs[0].columns.count
        let (below, inputMap) = pruning.prune(inputs[0], needed.filter { $0 < width }.union(partition).union(order.map(\.column)))
        var copy = self, map = inputMap
        copy.partition = partition.map { inputMap[$0]! }
        copy.order = order.map { SortSpec.Key(column: inputMap[$0.column]!, descending: $0.descending, nullsFirst: $0.nullsFirst) }
        if case .window(let end, let type) = form { copy.form = .window(end: inputMap[end]!, timeType: type) }
        copy.columns = below.columns
        copy.givesPlace = givesPlace && needed.contains(width)
        if copy.givesPlace {
            map[width] = below.columns.count
            copy.columns.append(columns[width])
        }
        return (.step(copy, [below]), map)
    }

    /// A condition on the partition keeps or drops all rows of a partition.
    public func pushed(_ conditions: [Expr], _ inputs: [[PlanColumn]]) -> (below: [[Expr]], above: [Expr]) {
        let passes = { (e: Expr) in !e.columns.isEmpty && e.columns.isSubset(of: partition) && e.isDeterministic }
        return ([conditions.filter(passes)], conditions.filter { !passes($0) })
    }

    // MARK: changelog

    private var isSingle: Bool { first == last }

    public func modifications(_ inputs: [Modifications]) throws -> Modifications {
        if inputs[0].isInsertOnly {
            switch form {
            case .keepFirst, .window: return .insert
            case .keepLast: return [.insert, .update]
            case .general: break
            }
            if order.isEmpty, first == 1 { return .insert }
            if givesPlace || isSingle { return [.insert, .update] }
            return [.insert, .delete]
        }
        return givesPlace || isSingle ? .all : [.insert, .delete]
    }

    public func needsUpdateBefore(of input: Int, output: Bool, _ inputs: [Modifications]) -> Bool { updateKeys == nil }

    public func upsertKeys(_ inputs: [[Set<Int>]]) -> [Set<Int>] {
        if isSingle { return [Set(partition)] }
        return (givesPlace ? [Set(partition).union([columns.count - 1])] : []) + inputs[0]
    }

    // MARK: running

    public func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        let stream = inputs[0], schema = stream.columns.map(\.field)
        let ttl = builder.timeToLive(nil)
        func timed(_ due: TimedRankSpec.Due, latestFirst: Bool) -> Operators.Factory {
            Operators.timedRank(
                TimedRankSpec(inputSchema: schema, partition: partition, order: order, due: due, first: first, last: last,
                              latestFirst: latestFirst, givesPlace: givesPlace, stateTTL: ttl))
        }
        let factory: Operators.Factory, prefix: String
        switch form {
        case .keepFirst where !stream.isChangelog: (factory, prefix) = (timed(.firstRow(column: order[0].column), latestFirst: false), "")
        case .window(let end, let type) where !stream.isChangelog:
            // Keep-last by time: of rows of one time the one that came last.
            let isKeepLast = last == 1 && order.count == 1 && order[0].descending && stream.columns[order[0].column].isTimeAttribute
            (factory, prefix) = (timed(.windowEnd(column: end, timeType: type, timeZone: builder.settings.timeZone), latestFirst: isKeepLast), "")
        default:
            prefix = updateKeys != nil ? "UpdateFast" : stream.isChangelog ? "Retract" : ""
            var spec = RankSpec(
                inputSchema: schema, partition: partition, order: order, first: first, last: last, givesPlace: givesPlace,
                latestFirst: form == .keepLast, inputChanges: stream.isChangelog, emitsUpdateBefore: builder.emitsUpdateBefore, stateTTL: ttl)
            spec.givesEveryChange = givesVersions
            spec.updateKeys = updateKeys
            factory = Operators.rank(spec)
        }
        return builder.addStep(prefix + title([stream.columns]), after: stream, .keys(partition), columns, factory)
    }
}
