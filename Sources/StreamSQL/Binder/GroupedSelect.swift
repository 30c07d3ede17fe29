import StreamCore
import StreamExpressions
import StreamOperators

/// GROUP BY with its keys, window and aggregates, collected while the SELECT list and HAVING are bound.
final class GroupedSelect: Grouping {
    private enum Key { case column(Int), property(WindowProperty) }

    /// Until all aggregates are known, window properties are numbered from here.
    private static let propertyBase = 1 << 30

    private let context: BindingContext
    private let input: LogicalPlan
    private let scope: Scope
    private let fingerprint: Fingerprint
    private let aliases: [String]
    private let groupBy: [SyntaxExpr]
    /// Of GROUPING SETS: for each set, the numbers of the keys that it has; nil for a plain GROUP BY.
    private var sets: [Set<Int>]?

    /// What is computed in front of the aggregation, without repetition.
    private var prepared = LogicalPlan.Projection(exprs: [], columns: [])
    private var preparedByText: [String: Int] = [:]
    private var keys: [String: Key] = [:]
    private var keyColumns: [Int] = []
    private var aggregates: [AggregateCall] = []
    private var aggregateNames: [String] = []
    private var aggregateByText: [String: Int] = [:]
    private var properties: [WindowProperty] = []
    private var assignment: LogicalPlan.WindowAggregate.Assignment?
    /// The GROUP BY window call, for TUMBLE_START and the like.
    private var groupWindow: GroupWindow?
    private var timeType: DataType = .timestamp(3)
    private var timeRole: PlanColumn.Role = .timeAttribute

    init(_ context: BindingContext, input: LogicalPlan, scope: Scope, groupBy: [SyntaxExpr], isDistinct: Bool = false, aliases: [String]) throws {
        self.context = context
        self.input = input
        self.scope = scope
        self.groupBy = groupBy
        self.aliases = aliases
        fingerprint = Fingerprint(scope: scope)
        if let sets = try GroupingSets.expand(groupBy, context) {
            try bindKeys(sets, isDistinct: isDistinct)
        } else {
            try bindKeys(groupBy, isEverywhere: { _ in true })
        }
    }

    // MARK: keys

    /// - Parameter isEverywhere: whether a key, by its fingerprint, is in all sets.
    private func bindKeys(_ exprs: [SyntaxExpr], isEverywhere: (String) -> Bool) throws {
        var bound: [(SyntaxExpr, Expr)] = []
        for expr in exprs {
            if case .call(let call) = expr.node, GroupWindow.isWindowFunction(call.name.uppercased()) {
                guard isEverywhere(fingerprint.of(expr)) else {
                    throw context.error(.validate, "\(call.name.uppercased()) is not in all sets of keys", fix: "write it beside GROUPING SETS", at: expr.span)
                }
                try bindWindow(call, expr.span)
                continue
            }
            bound.append((expr, try bindKey(expr)))
        }
        let common = bound.filter { isEverywhere(fingerprint.of($0.0)) }
        if groupWindow == nil, let origin = windowOrigin(of: common.map(\.1)) { try attach(origin, common) }
        for (expr, value) in bound where keys[fingerprint.of(expr)] == nil {
            keys[fingerprint.of(expr)] = .column(keyColumns.count)
            keyColumns.append(prepare(value, fingerprint.of(expr), name: expr.impliedName))
        }
    }

    private func bindKeys(_ given: [[SyntaxExpr]], isDistinct: Bool) throws {
        var known: Set<String> = []
        let exprs = given.joined().filter { known.insert(fingerprint.of($0)).inserted }
        let texts = given.map { Set($0.map(fingerprint.of)) }
        try bindKeys(exprs) { text in texts.allSatisfy { $0.contains(text) } }
        var sets = texts.map { set in
            Set(set.compactMap { text in if case .column(let i)? = keys[text] { i } else { nil } })
        }
        if isDistinct { sets = sets.enumerated().filter { sets.firstIndex(of: $1) == $0 }.map(\.element) }
        if sets.count > 1 { self.sets = sets }
    }

    private func bindKey(_ expr: SyntaxExpr) throws -> Expr {
        do {
            return try ExpressionBinder(context, scope: scope, clause: "GROUP BY").value(expr)
        } catch var error as StreamError {
            if case .name(let name) = expr.node, name.parts.count == 1, aliases.contains(name.parts[0]),
                case .unknown = scope.resolve(name.parts)
            {
                error.fix = "write the expression that \(name.text) stands for: GROUP BY takes no names given in SELECT"
            }
            throw error
        }
    }

    private func role(_ expr: Expr) -> PlanColumn.Role {
        if case .column(let i, _) = expr, scope.columns.indices.contains(i) { scope.columns[i].role } else { expr.isProcessingTime ? .processingTime : .none }
    }

    /// The window function whose start and end are both among the keys.
    private func windowOrigin(of exprs: [Expr]) -> WindowOrigin? {
        let roles = exprs.map(role)
        for case .windowStart(let origin) in roles where roles.contains(.windowEnd(origin)) { return origin }
        return nil
    }

    /// GROUP BY window_start, window_end: both and window_time are no keys but properties of the window.
    private func attach(_ origin: WindowOrigin, _ bound: [(SyntaxExpr, Expr)]) throws {
        var start = 0, end = 0
        for (expr, value) in bound {
            let text = fingerprint.of(expr)
            switch role(value) {
            case .windowStart(origin):
                start = prepare(value, text, name: "window_start")
                keys[text] = .property(.start)
            case .windowEnd(origin):
                end = prepare(value, text, name: "window_end")
                keys[text] = .property(.end)
            case .windowTime(origin):
                (timeType, timeRole) = (value.type, .windowTime(origin))
                keys[text] = .property(.time)
            default: break
            }
        }
        assignment = .attached(origin, start: start, end: end)
    }

    private func bindWindow(_ call: FunctionCall, _ span: SourceSpan) throws {
        guard groupWindow == nil else { throw context.error(.validate, "GROUP BY has two window functions", fix: "keep one", at: span) }
        let window = try GroupWindow(call, context, scope, span)
        groupWindow = window
        timeType = window.time.type
        let text = call.arguments.first.map(fingerprint.of) ?? ""
        assignment = .time(window.spec, column: prepare(window.time, text, name: call.arguments.first?.impliedName))
    }

    private func prepare(_ expr: Expr, _ text: String, name: String?) -> Int {
        if let i = preparedByText[text] { return i }
        preparedByText[text] = prepared.exprs.count
        prepared.exprs.append(expr)
        if case .column(let i, _) = expr, scope.columns.indices.contains(i) {
            prepared.columns.append(scope.columns[i])
        } else {
            prepared.columns.append(
                PlanColumn(name ?? "$f\(prepared.columns.count)", expr.type, nullable: expr.isNullable(in: scope.columns),
                           role: expr.isProcessingTime ? .processingTime : .none))
        }
        return prepared.exprs.count - 1
    }

    // MARK: Grouping

    func key(_ expr: SyntaxExpr) -> Expr? {
        switch keys[fingerprint.of(expr)] {
        case .column(let i): .column(i, prepared.exprs[keyColumns[i]].type)
        case .property(let property): self.property(property)
        case nil: nil
        }
    }

    private func property(_ property: WindowProperty) -> Expr {
        let i = properties.firstIndex(of: property) ?? properties.count
        if i == properties.count { properties.append(property) }
        return .column(Self.propertyBase + i, property == .time ? timeType : .timestamp(3))
    }

    func windowProperty(_ call: FunctionCall, at span: SourceSpan) throws -> Expr? {
        guard let (window, property) = GroupWindow.property(call.name.uppercased()) else { return nil }
        guard let groupWindow, groupWindow.name == window,
            call.arguments.map(fingerprint.of) == groupWindow.arguments.map(fingerprint.of)
        else {
            throw context.error(.validate, "\(call.name.uppercased()) needs GROUP BY \(window)(...) with the same arguments", at: span)
        }
        guard let property else { return try context.functions.bind("PROCTIME", []) }
        if property == .time, role(groupWindow.time) == .processingTime {
            throw context.error(
                .validate, "\(window)_ROWTIME needs a window over event time, but this one goes by the clock", fix: "use \(window)_PROCTIME", at: span)
        }
        return self.property(property)
    }

    /// GROUPING, GROUPING_ID and GROUP_ID.
    func groupingFunction(_ call: FunctionCall, at span: SourceSpan) throws -> Expr? {
        let name = call.name.uppercased()
        guard GroupingSets.functions.contains(name) else { return nil }
        guard call.arguments.isEmpty == (name == "GROUP_ID") else {
            throw context.error(.validate, name == "GROUP_ID" ? "GROUP_ID takes no argument" : "\(name) needs a key of GROUP BY", at: span)
        }
        let asked = try call.arguments.map { argument in
            guard let key = keys[fingerprint.of(argument)] else {
                throw context.error(.validate, "\(name) takes keys of GROUP BY only", at: argument.span)
            }
            return key
        }
        let values = (sets ?? [[]]).enumerated().map { number, set -> Int64 in
            // Which of several equal sets it is.
            if name == "GROUP_ID" { return Int64((sets ?? [])[..<(sets == nil ? 0 : number)].count { $0 == set }) }
            return asked.reduce(0) { bits, key in
                var isLeftOut = false
                if sets != nil, case .column(let i) = key { isLeftOut = !set.contains(i) }
                return bits << 1 | (isLeftOut ? 1 : 0)
            }
        }
        func literal(_ value: Int64) -> Expr { .literal(.int(value), .bigint) }
        guard values.contains(where: { $0 != values[0] }) else { return literal(values[0]) }
        let branches = try values.indices.dropLast().map { i in
            Expr.Branch(try context.functions.bind("=", [.column(keyColumns.count, .bigint), literal(Int64(i))]), then: literal(values[i]))
        }
        return .caseWhen(branches, otherwise: literal(values.last!), .bigint)
    }

    /// Columns of the result in front of the aggregates.
    private var keyCount: Int { keyColumns.count + (sets == nil ? 0 : 1) }

    func aggregate(_ call: FunctionCall, at span: SourceSpan) throws -> Expr {
        let text = fingerprint.of(SyntaxExpr(.call(call), span: span))
        if let i = aggregateByText[text] { return .column(keyCount + i, aggregates[i].resultType) }
        let name = call.name.uppercased()
        // Aggregates have their null clause in the name.
        if call.ignoresNulls, name != "ARRAY_AGG" {
            throw context.unsupported("IGNORE NULLS of \(name)", fix: "leave it out, or filter the nulls out first", at: span)
        }
        let function = name + (call.ignoresNulls ? " IGNORE NULLS" : "") + (call.onNull.map { " \($0.uppercased().hasPrefix("NULL") ? "NULL" : "ABSENT") ON NULL" } ?? "")
        let binder = ExpressionBinder(context, scope: scope, clause: "the arguments of \(name)")
        let args = try call.arguments.map(binder.bind)
        if call.arguments.isEmpty && !call.star {
            throw context.error(.validate, "\(name) needs an argument", fix: "write \(name)(*) or \(name)(column)", at: span)
        }
        if let i = args.firstIndex(where: \.isUntypedNull) {
            throw context.error(
                .validate, "\(name) was given NULL, which has no type here", fix: "write CAST(NULL AS type)", at: call.arguments[i].span)
        }
        let (types, result) = try context.script.locating(span) {
            try AggregateRegistry.bind(function, argumentTypes: args.map(\.type), distinct: call.distinct)
        }
        let casts = zip(args, types).map { $0.implicitlyCast(to: $1) }
        let columns = zip(casts, call.arguments).map { arg, syntax in
            prepare(arg, fingerprint.of(syntax) + (arg.isColumn ? "" : ":\(arg.type)"), name: syntax.impliedName)
        }
        var filter: Int?
        if let condition = call.filter {
            let bound = try ExpressionBinder(context, scope: scope, clause: "FILTER").condition(condition)
            filter = prepare(bound, fingerprint.of(condition), name: nil)
        }
        let i = aggregates.count
        aggregateByText[text] = i
        var aggregate = AggregateCall(
            function: function, arguments: columns, argumentTypes: casts.map(\.type), filter: filter, distinct: call.distinct, resultType: result)
        aggregate.takesJson = name.hasPrefix("JSON_") && args.last?.isJsonCall == true
        aggregates.append(aggregate)
        aggregateNames.append(Self.title(call))
        return .column(keyCount + i, result)
    }

    private static func title(_ call: FunctionCall) -> String {
        let inside = call.star ? "*" : call.arguments.map { $0.impliedName ?? "..." }.joined(separator: ", ")
        return call.name.uppercased() + "(" + (call.distinct ? "DISTINCT " : "") + inside + ")"
    }

    func notGrouped(_ name: QualifiedName) -> StreamError {
        let hasOrdinal = groupBy.contains { if case .integer = $0.node { true } else { false } }
        let fix =
            hasOrdinal
            ? "write the expression itself: GROUP BY takes no positions"
            : groupBy.isEmpty
                ? "add GROUP BY \(name.text), or put it into an aggregate such as MAX(\(name.text))"
                : "add \(name.text) to GROUP BY, or put it into an aggregate such as MAX(\(name.text))"
        return context.error(.validate, "column \(name.text) is neither in GROUP BY nor inside an aggregate", fix: fix, at: name.span)
    }

    // MARK: result

    /// The aggregation, with all that was asked of it so far.
    func plan(stateTTL: Duration?) throws -> LogicalPlan {
        var projected = LogicalPlan.project(input, prepared)
        var (keyColumns, keyOutput) = (self.keyColumns, self.keyColumns.map { prepared.columns[$0] })
        if let sets {
            let expand = Expand(keys: keyColumns, sets: sets, input: prepared.columns)
            keyColumns = Array(prepared.columns.count..<expand.columns.count)
            keyOutput = keyColumns.map { expand.columns[$0] }
            projected = .step(expand, [projected])
        }
        let aggregateOutput = zip(aggregates, aggregateNames).map { call, name in
            PlanColumn(name, call.resultType, nullable: call.function != "COUNT")
        }
        guard let assignment else {
            let plainKeys = keyOutput.map { PlanColumn($0.name, $0.type, nullable: $0.nullable) }
            return .aggregate(
                projected, .init(keys: keyColumns, aggregates: aggregates, columns: plainKeys + aggregateOutput, stateTTL: stateTTL))
        }
        let origin: WindowOrigin? = if case .attached(let origin, _, _) = assignment { origin } else { nil }
        let propertyOutput = properties.map { property in
            switch property {
            case .start: PlanColumn("window_start", .timestamp(3), nullable: false, role: origin.map { .windowStart($0) } ?? .none)
            case .end: PlanColumn("window_end", .timestamp(3), nullable: false, role: origin.map { .windowEnd($0) } ?? .none)
            case .time: PlanColumn("window_time", timeType, nullable: false, role: timeRole)
            }
        }
        // A time attribute that is a key is no time attribute of the result: only the window's own time is.
        let keys = keyOutput.map { $0.role == .timeAttribute ? PlanColumn($0.name, $0.type, nullable: $0.nullable) : $0 }
        return .windowAggregate(
            projected,
            .init(
                keys: keyColumns, assignment: assignment, aggregates: aggregates, properties: properties,
                columns: keys + aggregateOutput + propertyOutput, emission: try context.settings.windowEmission()))
    }

    /// An expression bound against this grouping, over the columns of ``plan()``.
    func resolved(_ expr: Expr) -> Expr {
        let base = keyCount + aggregates.count
        return expr.mapColumns { (Self.propertyBase..<Subqueries.base).contains($0) ? base + $0 - Self.propertyBase : $0 }
    }
}
