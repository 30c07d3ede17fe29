import StreamCore

/// How the aggregates of one operator are computed: which accumulators they need, sharing equal ones, and how results come
/// of them. COUNT(*), the count of all rows, is always accumulator 0; it tells which groups exist.
final class AggregatePlan {
    /// Rows that an accumulator takes: those with none of `nonNull` null and `filter` true.
    struct Selector: Hashable {
        var nonNull: [Int]
        var filter: Int?
        static let all = Selector(nonNull: [], filter: nil)
    }

    enum SumForm: Hashable { case integer, float, double(decimalScale: Int), decimal(scale: Int) }

    /// What an accumulator is made of; equal ones are made once.
    enum Part: Hashable {
        case count
        case sum(argument: Int, SumForm)
        /// For variances: twice as precise as Double.
        case preciseSum(argument: Int, decimalScale: Int, squared: Bool)
        case extreme(argument: Int, DataType, isMin: Bool)
        case end(argument: Int, DataType, isFirst: Bool)
        case list(arguments: [Int], [DataType])
        case multiset(argument: Int, DataType)
        case distinct(AggregateCall)
        /// Of rows that are only added: number of the table among ``distinctTables``.
        case distinctTable(Int)
        case sketch(argument: Int)
        case user(AggregateCall)
    }

    struct Wanted: Hashable {
        var part: Part
        var selector: Selector
    }

    let calls: [AggregateCall]
    private(set) var wanted: [Wanted] = [Wanted(part: .count, selector: .all)]
    private(set) var selectors: [Selector] = [.all]
    /// Selector number by accumulator.
    private(set) var selectorOf: [Int] = [0]
    private var results: [AggregateResult] = []
    private var innerPlans: [AggregateCall: AggregatePlan] = [:]
    /// Aggregates over the distinct values of the same arguments, for each filter among them.
    struct DistinctTablePlan {
        var arguments: [Int]
        var types: [DataType]
        /// Arguments that must not be null.
        var nonNull: [Int]
        var members: [(filter: Int?, calls: [AggregateCall], plan: AggregatePlan)]
    }
    private(set) var distinctTables: [DistinctTablePlan] = []
    /// For each distinct aggregate: its table, and its place there.
    private var distinctPlaces: [AggregateCall: (table: Int, member: Int, call: Int)] = [:]
    let retracts: Bool
    /// Input columns that arguments and filters are.
    let columnsRead: Set<Int>
    /// Types of the columns that a set's `state` gives.
    private(set) var stateTypes: [DataType] = []
    /// Accumulators of SINGLE_VALUE: no group may have more than one row in them.
    private var singles: [Int] = []
    private var scratch: [(rows: Scratch<Int32>, groups: Scratch<Int32>)] = []

    init(_ calls: [AggregateCall], inputSchema: Schema, retracts: Bool) throws {
        self.calls = calls
        self.retracts = retracts
        columnsRead = calls.reduce(into: []) { $0.formUnion($1.arguments + ($1.filter.map { [$0] } ?? [])) }
        for column in columnsRead where !inputSchema.indices.contains(column) {
            throw StreamError(.validate, "an aggregate reads column \(column) of an input of \(inputSchema.count) columns",
                              fix: "number columns from 0 to \(inputSchema.count - 1)")
        }
        if !retracts { try planDistinctTables(inputSchema) }
        for call in calls { results.append(try add(call)) }
        scratch = selectors.map { _ in (Scratch(), Scratch()) }
        stateTypes = makeSet().accumulators.flatMap(\.stateTypes)
    }

    private func want(_ part: Part, _ selector: Selector) -> Int {
        let item = Wanted(part: part, selector: selector)
        if let known = wanted.firstIndex(of: item) { return known }
        wanted.append(item)
        if let s = selectors.firstIndex(of: selector) {
            selectorOf.append(s)
        } else {
            selectors.append(selector)
            selectorOf.append(selectors.count - 1)
        }
        return wanted.count - 1
    }

    private func add(_ call: AggregateCall) throws -> AggregateResult {
        if call.user == nil { _ = try AggregateRegistry.bind(call.function, argumentTypes: call.argumentTypes, distinct: call.distinct) }
        let name = call.function
        if call.distinct, !["MIN", "MAX", "APPROX_COUNT_DISTINCT"].contains(name) {
            if let place = distinctPlaces[call] {
                let selector = Selector(nonNull: distinctTables[place.table].nonNull, filter: nil)
                return .distinctMember(want(.distinctTable(place.table), selector), member: place.member, call: place.call)
            }
            let fields = call.argumentTypes.enumerated().map { Field("v\($0.offset)", $0.element) }
            innerPlans[call] = try AggregatePlan([Self.inner(call)], inputSchema: fields, retracts: retracts)
            let nonNull = Self.requiredArguments(call)
            return .distinct(want(.distinct(call), Selector(nonNull: nonNull.sorted(), filter: call.filter)))
        }
        if let user = call.user {
            guard !retracts || user.canRetract else {
                throw StreamError(.plan, "\(name) cannot take rows back, and its input changes rows that it gave before",
                                  fix: "give AggregateFunction(\"\(name)\", ...) a retract closure")
            }
            let nonNull = zip(call.arguments, user.signature.acceptsNull).filter { !$0.1 }.map(\.0)
            return .user(want(.user(call), Selector(nonNull: Set(nonNull).sorted(), filter: call.filter)))
        }
        guard let argument = call.arguments.first else {
            return .count(want(.count, Selector(nonNull: [], filter: call.filter)))
        }
        let type = call.argumentTypes[0]
        let selector = Selector(nonNull: Self.requiredArguments(call).sorted(), filter: call.filter)
        switch name {
        case "COUNT": return .count(want(.count, selector))
        case "SUM":
            let form: SumForm = switch type {
            case .decimal(_, let s): .decimal(scale: s)
            case .float: .float
            case .double: .double(decimalScale: 0)
            default: .integer
            }
            return .sum(want(.sum(argument: argument, form), selector), count: want(.count, selector), call.resultType)
        case "AVG":
            let form: SumForm = switch type {
            case .decimal(_, let s): .decimal(scale: s)
            case .float, .double: .double(decimalScale: 0)
            default: .integer
            }
            return .average(want(.sum(argument: argument, form), selector), count: want(.count, selector), call.resultType)
        case "MIN", "MAX":
            let isMin = name == "MIN"
            if retracts { return .multisetExtreme(want(.multiset(argument: argument, type), selector), isMin: isMin) }
            return .extreme(want(.extreme(argument: argument, type, isMin: isMin), selector), count: want(.count, selector))
        case "FIRST_VALUE", "LAST_VALUE":
            let isFirst = name == "FIRST_VALUE"
            if retracts { return .listEnd(want(.list(arguments: [argument], [type]), selector), isFirst: isFirst, type) }
            return .end(want(.end(argument: argument, type, isFirst: isFirst), selector))
        case "SINGLE_VALUE":
            let list = want(.list(arguments: [argument], [type]), selector)
            singles.append(list)
            return .listEnd(list, isFirst: true, type)
        case "ARRAY_AGG", "ARRAY_AGG IGNORE NULLS": return .array(want(.list(arguments: [argument], [type]), selector), call.resultType)
        case "PERCENTILE":
            return .percentile(want(.list(arguments: call.arguments, call.argumentTypes), selector), call.resultType)
        case "APPROX_COUNT_DISTINCT":
            guard !retracts else {
                throw StreamError(.plan, "APPROX_COUNT_DISTINCT cannot take rows back, but its input updates rows given before",
                                  fix: "use COUNT(DISTINCT ...), or aggregate rows that are only added")
            }
            return .sketch(want(.sketch(argument: argument), selector))
        case "COLLECT": return .collect(want(.multiset(argument: argument, type), selector), call.resultType)
        case "LISTAGG": return .listagg(want(.list(arguments: call.arguments, call.argumentTypes), selector))
        case _ where name.hasPrefix("JSON_ARRAYAGG"): return .jsonArray(want(.list(arguments: [argument], [type]), selector), call.takesJson ? nil : type)
        case _ where name.hasPrefix("JSON_OBJECTAGG"):
            return .jsonObject(want(.list(arguments: call.arguments, call.argumentTypes), selector), call.takesJson ? nil : call.argumentTypes[1],
                               keepsNulls: !name.hasSuffix("ABSENT ON NULL"))
        default:
            let scale = if case .decimal(_, let scale) = type { scale } else { 0 }
            return .moment(sum: want(.preciseSum(argument: argument, decimalScale: scale, squared: false), selector),
                           squares: want(.preciseSum(argument: argument, decimalScale: scale, squared: true), selector), count: want(.count, selector),
                           isSample: !name.hasSuffix("_POP"), isRoot: name.hasPrefix("STDDEV"), call.resultType)
        }
    }

    /// The aggregate over columns that are its arguments alone, already distinct and filtered.
    private static func inner(_ call: AggregateCall) -> AggregateCall {
        var inner = call
        inner.distinct = false
        inner.filter = nil
        inner.arguments = Array(call.arguments.indices)
        return inner
    }

    private static func isDistinct(_ call: AggregateCall) -> Bool {
        call.distinct && !["MIN", "MAX", "APPROX_COUNT_DISTINCT"].contains(call.function)
    }

    /// Puts distinct aggregates of the same arguments into one table: values are looked up once for all of them.
    private func planDistinctTables(_ inputSchema: Schema) throws {
        for call in calls where Self.isDistinct(call) && distinctPlaces[call] == nil {
            let nonNull = Self.requiredArguments(call).sorted()
            let table = distinctTables.firstIndex {
                $0.arguments == call.arguments && $0.types == call.argumentTypes && $0.nonNull == nonNull
                    && ($0.members.count < DistinctTable.membersMax || $0.members.contains { $0.filter == call.filter })
            } ?? distinctTables.count
            if table == distinctTables.count {
                distinctTables.append(DistinctTablePlan(arguments: call.arguments, types: call.argumentTypes, nonNull: nonNull, members: []))
            }
            let fields = call.argumentTypes.enumerated().map { Field("v\($0.offset)", $0.element) }
            let member = distinctTables[table].members.firstIndex { $0.filter == call.filter } ?? distinctTables[table].members.count
            let known = member < distinctTables[table].members.count ? distinctTables[table].members[member].calls : []
            let members = known + [Self.inner(call)]
            let plan = try AggregatePlan(members, inputSchema: fields, retracts: false)
            if known.isEmpty {
                distinctTables[table].members.append((call.filter, members, plan))
            } else {
                distinctTables[table].members[member] = (call.filter, members, plan)
            }
            distinctPlaces[call] = (table, member, known.count)
        }
    }

    /// Arguments that must not be null for a row to count.
    private static func requiredArguments(_ call: AggregateCall) -> [Int] {
        switch call.function {
        case "SINGLE_VALUE", "ARRAY_AGG", "JSON_ARRAYAGG NULL ON NULL": []
        case "LISTAGG", "PERCENTILE": Array(call.arguments.prefix(1))
        case let name where name.hasPrefix("JSON_OBJECTAGG"): Array(call.arguments.prefix(1))
        default: call.arguments
        }
    }

    /// Rows must be taken one run of additions or retractions after the other: whether a group is in order is asked between them.
    var needsOrder: Bool { !singles.isEmpty }

    /// Throws `.runtime` if a group has more rows than one of its aggregates takes.
    func check(_ set: AccumulatorSet, _ groups: UnsafePointer<Int32>, count: Int) throws {
        for single in singles {
            let list = unsafeDowncast(set.accumulators[single], to: ValueList.self)
            for i in 0..<count where list.length(Int(groups[i])) > 1 {
                throw StreamError(.runtime, "SINGLE_VALUE was given more than one row: a scalar sub-query gave \(list.length(Int(groups[i])))",
                                  fix: "make the sub-query give one row at most, for example with MAX, or use IN")
            }
        }
    }

    /// Names of the columns that a set's `state` gives, for people.
    func stateNames(_ inputNames: [String]) -> [String] {
        func listed(_ arguments: [Int]) -> String { arguments.map { inputNames[$0] }.joined(separator: ", ") }
        return wanted.flatMap { item -> [String] in
            let filter = item.selector.filter.map { " filter(\(inputNames[$0]))" } ?? ""
            let names: [String]
            switch item.part {
            case .count: names = [item.selector.nonNull.isEmpty ? "count" : "count(\(listed(item.selector.nonNull)))"]
            case .sum(let argument, _): names = ["sum(\(inputNames[argument]))"]
            case .preciseSum(let argument, _, let squared):
                let name = "\(squared ? "sum_of_squares" : "sum")(\(inputNames[argument]))"
                names = ["\(name) precisely", "\(name) remainder"]
            case .extreme(let argument, _, let isMin): names = ["\(isMin ? "min" : "max")(\(inputNames[argument]))"]
            case .end(let argument, _, let isFirst):
                let name = "\(isFirst ? "first_value" : "last_value")(\(inputNames[argument]))"
                names = ["\(name) arrival", name]
            case .list(let arguments, _):
                names = ["values(\(listed(arguments)))\(Set(arguments).isSubset(of: item.selector.nonNull) ? "" : " with nulls")"]
            case .multiset(let argument, _): names = ["values(\(inputNames[argument])) with counts"]
            case .sketch(let argument): names = ["approx_count_distinct(\(inputNames[argument]))"]
            case .distinctTable(let table):
                let plan = distinctTables[table]
                let name = "distinct(\(listed(plan.arguments)))"
                names = ["\(name) values"] + plan.members.flatMap { member in
                    let filter = member.filter.map { " filter(\(inputNames[$0]))" } ?? ""
                    return member.plan.stateNames(plan.arguments.map { inputNames[$0] }).map { "\(name)\(filter) \($0)" }
                }
            case .user(let call): names = ["state of \(call.function)(\(listed(call.arguments)))"]
            case .distinct(let call):
                let name = "\(call.function.lowercased())(distinct \(listed(call.arguments)))"
                names = ["\(name) values"] + innerPlans[call]!.stateNames(call.arguments.map { inputNames[$0] }).map { "\(name) \($0)" }
            }
            return names.map { $0 + filter }
        }
    }

    func makeSet() -> AccumulatorSet {
        let rows = CountAccumulator()
        let rest = wanted.dropFirst().map { make($0, rows: rows) }
        return AccumulatorSet(plan: self, accumulators: [rows] + rest)
    }

    private func make(_ item: Wanted, rows: CountAccumulator) -> Accumulator {
        switch item.part {
        // With a filter it would part from the count of all rows at once.
        case .count: return CountAccumulator(sharing: item.selector.filter == nil ? rows : nil)
        case .sum(let argument, let form):
            switch form {
            case .integer: return IntegerSum(argument: argument)
            case .float: return FloatingSum(argument: argument, type: .float)
            case .double(let scale): return FloatingSum(argument: argument, type: .double, decimalScale: scale)
            case .decimal(let scale): return DecimalSum(argument: argument, scale: scale)
            }
        case .preciseSum(let argument, let scale, let squared): return PreciseSum(argument: argument, squared: squared, decimalScale: scale)
        case .extreme(let argument, let type, let isMin):
            if type.physical == .view { return BytesExtreme(argument: argument, isMin: isMin, type: type) }
            return Extreme(argument: argument, isMin: isMin, type: type)
        case .end(let argument, let type, let isFirst): return EndValue(argument: argument, isFirst: isFirst, type: type)
        case .list(let arguments, let types): return ValueList(arguments: arguments, types: types)
        case .multiset(let argument, let type): return ValueMultiset(argument: argument, type: type)
        case .sketch(let argument): return DistinctSketch(argument: argument)
        case .distinctTable(let table):
            let plan = distinctTables[table]
            return DistinctTable(arguments: plan.arguments, types: plan.types, hasNulls: !Set(plan.arguments).isSubset(of: plan.nonNull),
                                 members: plan.members.map { ($0.filter, $0.plan.makeSet()) })
        case .user(let call): return call.user!.make(call.arguments)
        case .distinct(let call):
            return DistinctAccumulator(arguments: call.arguments, types: call.argumentTypes, inner: innerPlans[call]!.makeSet())
        }
    }

    /// A batch's columns with those that aggregates read made plain.
    func plainColumns(_ batch: Batch) -> [Column] {
        var columns = batch.columns
        for c in columnsRead { columns[c] = columns[c].flat() }
        return columns
    }

    /// The rows of `input` that a selector takes. Valid until the next call for the same selector.
    func select(_ input: UpdateInput, selector s: Int) -> UpdateInput {
        let selector = selectors[s]
        let validities = selector.nonNull.compactMap { input.columns[$0].validity }
        let filter = selector.filter.map { input.columns[$0] }
        if validities.isEmpty, filter == nil { return input }
        let n = input.count
        let rows = scratch[s].rows.reserve(n + 1), groups = scratch[s].groups.reserve(n + 1)
        var kept = 0
        let from = input.groups
        if validities.count == 1, filter == nil {
            let bits = UnsafeRawPointer(validities[0].base)
            forEachRow(input.rows, n) { i, row in
                rows[kept] = Int32(truncatingIfNeeded: row)
                groups[kept] = from[i]
                kept &+= Bitmap.get(bits, row) ? 1 : 0
            }
        } else {
            let flags = filter?.pointer(as: UInt8.self), filterBits = filter?.validity?.base
            forEachRow(input.rows, n) { i, row in
                rows[kept] = Int32(truncatingIfNeeded: row)
                groups[kept] = from[i]
                var take = true
                if let flags { take = flags[row] != 0 }
                if let filterBits { take = take && Bitmap.get(filterBits, row) }
                for bits in validities { take = take && Bitmap.get(bits.base, row) }
                kept &+= take ? 1 : 0
            }
        }
        var output = input
        (output.rows, output.groups, output.count) = (UnsafePointer(rows), UnsafePointer(groups), kept)
        return output
    }

    func result(_ call: Int, of set: AccumulatorSet, _ groups: UnsafePointer<Int32>, count: Int) -> Column {
        results[call].column(of: set, groups, count: count)
    }

    func results(of set: AccumulatorSet, _ groups: UnsafePointer<Int32>, count: Int) -> [Column] {
        results.map { $0.column(of: set, groups, count: count) }
    }
}

/// The accumulators of a plan, for one set of groups: of an operator, or of one slice of a window.
final class AccumulatorSet {
    let plan: AggregatePlan
    let accumulators: [Accumulator]
    let rows: CountAccumulator
    private let counts: [(accumulator: CountAccumulator, selector: Int)]
    private let distinct: [DistinctAccumulator]
    private let distinctTables: [DistinctTable]

    init(plan: AggregatePlan, accumulators: [Accumulator]) {
        self.plan = plan
        self.accumulators = accumulators
        rows = unsafeDowncast(accumulators[0], to: CountAccumulator.self)
        distinct = accumulators.compactMap { $0 as? DistinctAccumulator }
        distinctTables = accumulators.compactMap { $0 as? DistinctTable }
        counts = accumulators.enumerated().dropFirst().compactMap { i, a in (a as? CountAccumulator).map { ($0, plan.selectorOf[i]) } }
    }

    /// Rows by group; a group with none does not exist.
    var rowCounts: UnsafePointer<Int64> { rows.counts }

    /// Numbers of the groups in a range that have rows, ascending.
    func liveGroups(_ range: Range<Int>) -> [Int32] {
        let counts = rowCounts
        return [Int32](unsafeUninitializedCapacity: range.count) { ids, n in
            for g in range {
                ids[n] = Int32(truncatingIfNeeded: g)
                n &+= counts[g] > 0 ? 1 : 0
            }
        }
    }

    func reserve(_ groups: Int) { for a in accumulators { a.reserve(groups) } }

    func update(_ input: UpdateInput) {
        guard input.count > 0 else { return }
        let inputs = plan.selectors.indices.map { plan.select(input, selector: $0) }
        for (count, s) in counts where count.isShared && inputs[s].count != input.count { count.separate() }
        for (i, a) in accumulators.enumerated() {
            let own = inputs[plan.selectorOf[i]]
            if own.count > 0 { a.update(own) }
        }
    }

    /// - Parameter place: orders the values of several merges for aggregates that depend on it, the least first.
    func merge(_ other: AccumulatorSet, from: Int, count: Int, place: Int64) {
        for a in distinct { a.mergePlace = place }
        for a in distinctTables { a.mergePlace = place }
        for ((mine, _), (theirs, _)) in zip(counts, other.counts) where mine.isShared && !theirs.isShared { mine.separate() }
        for (a, b) in zip(accumulators, other.accumulators) { a.merge(b, from: from, count: count) }
    }

    func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        // A count goes on sharing the row counts when its column is the very column of the row counts. The others are separated
        // before any row of this batch is counted.
        var at = 0
        for a in accumulators {
            if let own = a as? CountAccumulator, own.isShared, state[at] !== state[0] { own.separate() }
            at += a.stateTypes.count
        }
        at = 0
        for a in accumulators {
            if (a as? CountAccumulator)?.isShared != true {
                a.absorb(Array(state[at..<at + a.stateTypes.count]), groups: groups, rows: rows, count: count)
            }
            at += a.stateTypes.count
        }
    }

    /// The same groups in memory of their own.
    /// - Parameter made: a set of the same plan whose memory is to be used, if there is one.
    func copy(into made: AccumulatorSet? = nil) -> AccumulatorSet {
        let made = made ?? plan.makeSet()
        made.assign(self)
        return made
    }

    func assign(_ other: AccumulatorSet) { for (a, b) in zip(accumulators, other.accumulators) { a.assign(b) } }

    /// Takes in state of groups that are empty, as a snapshot held it.
    func restore(_ state: [Column], groups: UnsafePointer<Int32>, count n: Int) {
        // Counts that were one with the row counts are again.
        let columns = state.map { column in
            column.type == .bigint && column.validity == nil && state[0].values.base.isEqual(to: column.values.base, bytes: n * 8)
                ? state[0] : column
        }
        absorb(columns, groups: groups, rows: nil, count: n)
    }

    func clear(_ groups: Int) { for a in accumulators { a.clear(groups) } }
    func reset(_ groups: UnsafePointer<Int32>, count: Int) { for a in accumulators { a.reset(groups, count: count) } }
    func remap(_ kept: [Int32]) { for a in accumulators { a.remap(kept) } }

    /// Counts that share the row counts give the very same column, so that `absorb` may go on sharing.
    func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] {
        let shared = rows.state(groups, count: count)
        return accumulators.flatMap { a in
            if a === rows || (a as? CountAccumulator)?.isShared == true { return shared }
            return a.state(groups, count: count)
        }
    }

    func result(_ call: Int, _ groups: UnsafePointer<Int32>, count: Int) -> Column { plan.result(call, of: self, groups, count: count) }
    func results(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] { plan.results(of: self, groups, count: count) }
}
