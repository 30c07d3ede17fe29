import StreamCore
import StreamExpressions

/// Expressions over the rows of a match.
final class MatchHistory {
    private let spec: MatchSpec
    private let evaluator: Evaluator
    /// Navigations and aggregates that the expressions read.
    private let navigations: [Int], aggregates: [Int]
    private let sets: [AccumulatorSet?]

    init(_ exprs: [Expr], _ spec: MatchSpec, _ context: EvaluationContext) throws {
        self.spec = spec
        evaluator = Evaluator(exprs, context: context)
        let read = exprs.reduce(into: Set<Int>()) { $0.formUnion($1.columns) }
        navigations = spec.navigations.indices.filter(read.contains)
        aggregates = spec.aggregates.indices.filter { read.contains(spec.navigations.count + $0) }
        sets = try spec.aggregates.indices.map { i in
            guard read.contains(spec.navigations.count + i) else { return nil }
            let set = try AggregatePlan([spec.aggregates[i].call], inputSchema: spec.inputSchema, retracts: false).makeSet()
            set.reserve(1)
            return set
        }
    }

    /// The row that a navigation leads to, -1 = none.
    static func target(_ navigation: MatchSpec.Navigation, _ path: [Int32], _ current: (row: Int32, variable: Int)?, _ paths: MatchPaths) -> Int32 {
        func isWanted(_ variable: Int) -> Bool { navigation.variable.map { $0 == variable } ?? true }
        var left = navigation.offset
        if navigation.fromLast {
            if let current, isWanted(current.variable) {
                if left == 0 { return current.row }
                left -= 1
            }
            for node in path.reversed() where isWanted(Int(paths.variable(node))) {
                if left == 0 { return paths.row(node) }
                left -= 1
            }
        } else {
            for node in path where isWanted(Int(paths.variable(node))) {
                if left == 0 { return paths.row(node) }
                left -= 1
            }
            if let current, isWanted(current.variable), left == 0 { return current.row }
        }
        return -1
    }

    /// The value of an aggregate, as a column of one row.
    func aggregate(_ i: Int, _ path: [Int32], _ current: (row: Int32, variable: Int)?, _ paths: MatchPaths, _ rows: RowArena) -> Column {
        let (set, wanted) = (sets[i]!, spec.aggregates[i].variable)
        var taken = path.filter { wanted == nil || Int(paths.variable($0)) == wanted! }.map { paths.row($0) }
        if let current, wanted == nil || current.variable == wanted! { taken.append(current.row) }
        set.clear(1)
        let groups = [Int32](repeating: 0, count: max(taken.count, 1))
        return groups.withUnsafeBufferPointer { groups in
            if !taken.isEmpty {
                let batch = Batch(columns: rows.columns(taken), physicalCount: taken.count)
                set.update(UpdateInput(columns: set.plan.plainColumns(batch), groups: groups.baseAddress!, rows: nil, count: taken.count))
            }
            return set.results(groups.baseAddress!, count: 1)[0]
        }
    }

    /// Whether the first expression is true when a variable takes a row behind those of a path.
    func isTrue(_ path: [Int32], _ row: Int32, _ variable: Int, _ paths: MatchPaths, _ rows: RowArena) throws -> Bool {
        let current = (row: row, variable: variable)
        var columns: [Column] = Array(repeating: Self.nothing, count: spec.navigations.count + spec.aggregates.count)
        var wanted: [Int32] = []
        let targets = navigations.map { Self.target(spec.navigations[$0], path, current, paths) }
        for target in targets where target >= 0 && !wanted.contains(target) { wanted.append(target) }
        let values = rows.columns(wanted)
        for (i, target) in zip(navigations, targets) {
            let column = values[spec.navigations[i].column]
            columns[i] = target < 0 ? .nulls(type: column.type, count: 1) : column.gather([Int32(wanted.firstIndex(of: target)!)])
        }
        for i in aggregates { columns[spec.navigations.count + i] = aggregate(i, path, current, paths, rows) }
        let truth = try evaluator.evaluate(Batch(columns: columns, physicalCount: 1))[0].flat()
        return withExtendedLifetime(truth) { truth.isValid(0) && truth.pointer(as: UInt8.self)[0] != 0 }
    }

    private static let nothing = Column.nulls(type: .boolean, count: 1)

    func evaluate(_ columns: [Column], count: Int) throws -> [Column] { try evaluator.evaluate(Batch(columns: columns, physicalCount: count)) }
    var readsNavigations: [Int] { navigations }
    var readsAggregates: [Int] { aggregates }
}

/// Results of matches that are still to be given.
final class MatchMeasures {
    private let spec: MatchSpec
    private let history: MatchHistory
    private var groups: [Int32] = []
    /// By navigation: the row for each match, -1 = none.
    private var targets: [[Int32]]
    private var values: [ColumnBuilder]

    init(_ spec: MatchSpec, _ context: EvaluationContext) throws {
        self.spec = spec
        history = try MatchHistory(spec.measures, spec, context)
        targets = spec.navigations.map { _ in [] }
        values = spec.aggregates.map { ColumnBuilder(type: $0.call.resultType) }
    }

    var count: Int { groups.count }

    func add(_ group: Int32, _ path: [Int32], _ paths: MatchPaths, _ rows: RowArena) throws {
        groups.append(group)
        for i in history.readsNavigations { targets[i].append(MatchHistory.target(spec.navigations[i], path, nil, paths)) }
        for i in history.readsAggregates { values[i].append(history.aggregate(i, path, nil, paths, rows).value(at: 0)) }
    }

    /// The results as a batch; rows of the matches must not have been removed.
    func take(_ rows: RowArena, _ table: GroupTable) throws -> Batch? {
        let n = groups.count
        guard n > 0 else { return nil }
        let nothing = Column.nulls(type: .boolean, count: n)
        var columns: [Column] = Array(repeating: nothing, count: spec.navigations.count + spec.aggregates.count)
        for i in history.readsNavigations {
            let present = targets[i].filter { $0 >= 0 }
            var next: Int32 = -1
            let places = targets[i].map { target -> Int32 in
                guard target >= 0 else { return -1 }
                next += 1
                return next
            }
            columns[i] = rows.columns(present)[spec.navigations[i].column].gatherOrNull(places)
            targets[i] = []
        }
        for i in history.readsAggregates {
            columns[spec.navigations.count + i] = values[i].finish()
            values[i] = ColumnBuilder(type: spec.aggregates[i].call.resultType)
        }
        let measures = try history.evaluate(columns, count: n)
        let keys = groups.withUnsafeBufferPointer { table.keyColumns($0.baseAddress!, count: n) }
        groups = []
        let all = zip(keys + measures, spec.outputSchema).map { $0.type == $1.type ? $0 : $0.retyped($1.type) }
        return Batch(columns: all, physicalCount: n)
    }
}
