import StreamCore
import StreamExpressions
import StreamOperators

extension QueryBinder {
    /// A table with MATCH_RECOGNIZE: columns of PARTITION BY, then the measures.
    func match(_ input: TableRef, _ match: MatchRecognize, _ ref: TableRef) throws -> (LogicalPlan, Scope) {
        let (plan, scope) = try table(input)
        let plain = ExpressionBinder(context, scope: scope, clause: "PARTITION BY")
        let keys = try match.partitionBy.map { expr -> Int in
            guard case .column(let i, _) = try plain.bind(expr) else {
                throw context.error(.validate, "PARTITION BY of MATCH_RECOGNIZE takes columns", fix: "compute the value in a subquery", at: expr.span)
            }
            return i
        }
        let (time, order) = try self.order(match, scope)
        let variables = try variables(match)
        let binder = MatchExpressions(context, scope: scope, variables: variables, time: time)
        var conditions: [Expr?] = variables.map { _ in nil }
        for (variable, condition, span) in match.define {
            guard let v = variables.firstIndex(of: variable) else {
                throw context.error(
                    .validate, "DEFINE names \(variable), which is no variable of the PATTERN", fix: NearName.hint(for: variable, in: variables), at: span)
            }
            guard conditions[v] == nil else { throw context.error(.validate, "DEFINE has \(variable) twice", fix: "keep one of them", at: span) }
            conditions[v] = try binder.condition(condition)
        }
        var measures: [Expr] = [], columns = keys.map { scope.columns[$0] }
        columns.indices.forEach { columns[$0].role = .none }
        for item in match.measures {
            let expr = try binder.measure(item.expr)
            measures.append(expr)
            columns.append(PlanColumn(item.alias!, expr.type, nullable: true, role: binder.role(of: item.expr)))
        }
        let within = try match.within.map { expr -> Int64 in
            let bound = try ExpressionBinder(context, scope: .empty, clause: "WITHIN").bind(expr)
            guard bound.type == .intervalDayTime, case .int(let ms)? = Binding.constant(bound), ms > 0 else {
                throw context.error(
                    .plan, "WITHIN takes a constant interval of days to seconds, longer than zero: only constant intervals with millisecond resolution are supported",
                    fix: "write for example WITHIN INTERVAL '1' HOUR", at: expr.span)
            }
            return ms
        }
        let skip = try match.skip.map { try self.skip($0, variables, match.span) } ?? .toNextRow
        let pattern = match.pattern.map { element in
            MatchSpec.Element(
                variable: variables.firstIndex(of: element.variable)!, minimum: element.minimum, maximum: element.maximum, isGreedy: element.isGreedy)
        }
        // What is read of the input: its own columns first, then what is computed of a row alone.
        let base = scope.columns.count
        let all = LogicalPlan.Projection.columns(Array(0..<base), of: scope.columns)
        let prepared = LogicalPlan.project(plan, .init(exprs: all.exprs + binder.prepared, columns: all.columns + binder.preparedColumns))
        let step = MatchStep(
            keys: keys, time: time, order: order, variables: variables, pattern: pattern, conditions: conditions.enumerated().map { binder.condition($1, of: $0) },
            navigations: binder.navigations, aggregates: binder.aggregates, measures: measures.map(binder.numbered), skip: skip, within: within, columns: columns)
        return try aliased(.step(step, [prepared]), ref.alias, ref)
    }

    private func order(_ match: MatchRecognize, _ scope: Scope) throws -> (time: Int, rest: [SortSpec.Key]) {
        let binder = ExpressionBinder(context, scope: scope, clause: "ORDER BY")
        guard let first = match.orderBy.first else {
            throw context.error(.validate, "you must specify either rowtime or proctime for ORDER BY of MATCH_RECOGNIZE", fix: "add ORDER BY and the time attribute", at: match.span)
        }
        guard case .column(let time, _) = try binder.bind(first.expr), scope.columns[time].isTimeAttribute || scope.columns[time].isProcessingTime else {
            throw context.error(
                .validate, "you must specify either rowtime or proctime for ORDER BY of MATCH_RECOGNIZE as the first one", fix: "order by the time attribute first", at: first.expr.span)
        }
        guard !first.descending else {
            throw context.error(.validate, "the primary sort order of MATCH_RECOGNIZE must be ascending on time", fix: "leave DESC out", at: first.expr.span)
        }
        let rest = try match.orderBy.dropFirst().map { item -> SortSpec.Key in
            guard case .column(let column, _) = try binder.bind(item.expr) else {
                throw context.error(.validate, "ORDER BY of MATCH_RECOGNIZE takes columns", fix: "compute the value in a subquery", at: item.expr.span)
            }
            return Self.sortKey(item, column: column)
        }
        return (time, rest)
    }

    private func variables(_ match: MatchRecognize) throws -> [String] {
        var variables: [String] = []
        for element in match.pattern {
            guard !variables.contains(element.variable) else {
                throw context.error(
                    .validate, "the PATTERN has the variable \(element.variable) twice: names must be unique", fix: "give the second place a name of its own with the same condition", at: element.span)
            }
            variables.append(element.variable)
            if !element.isGreedy, element.minimum == 0, element.maximum == 1 {
                throw context.error(.plan, "reluctant optional variables are not supported yet: \(element.variable)??", fix: "write \(element.variable)?", at: element.span)
            }
        }
        guard match.pattern.contains(where: { $0.minimum > 0 }) else {
            throw context.error(
                .plan, "patterns that can produce empty matches are not supported: there must be at least one variable that is not optional", fix: "use + in place of *", at: match.span)
        }
        if let last = match.pattern.last, last.isGreedy, last.maximum == nil || last.minimum != last.maximum! && last.maximum! > 1 {
            throw context.error(
                .plan, "greedy quantifiers are not allowed as the last element of a PATTERN yet, so \(last.variable) is not supported here",
                fix: "finish the pattern with a simple variable or a reluctant quantifier such as \(last.variable)+?", at: last.span)
        }
        return variables
    }

    private func skip(_ skip: MatchRecognize.Skip, _ variables: [String], _ span: SourceSpan) throws -> MatchSpec.Skip {
        func variable(_ name: String) throws -> Int {
            guard let v = variables.firstIndex(of: name) else {
                throw context.error(.validate, "AFTER MATCH SKIP names \(name), which is no variable of the PATTERN", fix: NearName.hint(for: name, in: variables), at: span)
            }
            return v
        }
        return switch skip {
        case .pastLastRow: .pastLastRow
        case .toNextRow: .toNextRow
        case .toFirst(let name): .toFirst(try variable(name))
        case .toLast(let name): .toLast(try variable(name))
        }
    }
}

/// Binds expressions of DEFINE and MEASURES, in which columns are those of the last row that a variable took.
///
/// While they are bound, the columns of variable v have numbers from (v + 1) times the input's column count, those of any variable
/// from 0; navigations and aggregates have numbers of their own until all are known.
private final class MatchExpressions: Grouping {
    private static let navigationBase = 1 << 30, aggregateBase = 1 << 31

    private let context: BindingContext
    private let input: Scope
    private let names: Scope
    private let width: Int
    private let variables: [String]
    private let time: Int
    private var clause = ""
    private var failure: StreamError?
    private(set) var prepared: [Expr] = [], preparedColumns: [PlanColumn] = []
    private(set) var navigations: [MatchSpec.Navigation] = []
    private(set) var aggregates: [MatchSpec.Aggregate] = []

    init(_ context: BindingContext, scope: Scope, variables: [String], time: Int) {
        (self.context, input, self.variables, self.time) = (context, scope, variables, time)
        width = scope.columns.count
        var relations: [Scope.Relation] = [], hidden: Set<Int> = [], columns = scope.columns
        let visible = scope.star(nil)!
        func columnNames(_ shift: Int) -> [(name: String, index: Int)] {
            visible.map { i in (scope.relations.lazy.flatMap(\.columns).first { $0.index == i }!.name, i + shift) }
        }
        relations.append(.init(alias: nil, columns: columnNames(0)))
        for (v, variable) in variables.enumerated() {
            let shift = (v + 1) * scope.columns.count
            relations.append(.init(alias: variable, columns: columnNames(shift)))
            columns += scope.columns
            hidden.formUnion(shift..<shift + scope.columns.count)
        }
        var names = Scope(relations: relations, columns: columns, hidden: hidden)
        names.outer = scope.outer
        self.names = names
    }

    func condition(_ syntax: SyntaxExpr) throws -> Expr { try bound("DEFINE", syntax) { try $0.condition(syntax) } }
    func measure(_ syntax: SyntaxExpr) throws -> Expr { try bound("MEASURES", syntax) { try $0.value(syntax) } }

    private func bound(_ clause: String, _ syntax: SyntaxExpr, _ bind: (ExpressionBinder) throws -> Expr) throws -> Expr {
        self.clause = clause
        failure = nil
        let result: Expr
        do {
            result = try bind(ExpressionBinder(context, scope: names, clause: clause, grouping: self))
        } catch {
            throw failure ?? error
        }
        if let failure { throw failure }
        return result.map { part in
            guard case .column(let i, let type) = part, i < Self.navigationBase else { return nil }
            return navigation(variable(of: i), fromLast: true, 0, i % self.width, type)
        }
    }

    private func variable(of column: Int) -> Int? { column < width ? nil : column / width - 1 }

    private func navigation(_ variable: Int?, fromLast: Bool, _ offset: Int, _ column: Int, _ type: DataType) -> Expr {
        let wanted = MatchSpec.Navigation(variable: variable, fromLast: fromLast, offset: offset, column: column)
        let i = navigations.firstIndex(of: wanted) ?? navigations.count
        if i == navigations.count { navigations.append(wanted) }
        return .column(Self.navigationBase + i, type)
    }

    // MARK: Grouping

    func key(_ expr: SyntaxExpr) -> Expr? {
        do {
            switch expr.node {
            case .name(let name):
                guard case .column(let i, let path) = names.resolve(name.parts), path.isEmpty else { return nil }
                return .column(i, names.columns[i].type)
            case .call(let call): return try navigation(call, expr.span)
            default: return nil
            }
        } catch let error as StreamError {
            failure = failure ?? error
            return .literal(.null, .boolean)
        } catch {
            return nil
        }
    }

    private func navigation(_ call: FunctionCall, _ span: SourceSpan) throws -> Expr? {
        let name = call.name.uppercased()
        switch name {
        case "FIRST", "LAST":
            guard (1...2).contains(call.arguments.count) else {
                throw context.error(.validate, "\(name) takes a value and, if wanted, a number of rows", fix: "write \(name)(A.price, 1)", at: span)
            }
            var offset = 0
            if call.arguments.count == 2 {
                guard case .integer(let text) = call.arguments[1].node, let n = Int(text) else {
                    throw context.error(.validate, "\(name): the number of rows must be a whole number that is not negative", at: call.arguments[1].span)
                }
                offset = n
            }
            let (variable, column, type) = try value(call.arguments[0], name)
            return navigation(variable, fromLast: name == "LAST", offset, column, type)
        case "MATCH_ROWTIME":
            guard !input.columns[time].isProcessingTime else {
                throw context.error(.validate, "MATCH_ROWTIME needs ORDER BY a row-time attribute", fix: "use MATCH_PROCTIME()", at: span)
            }
            return navigation(nil, fromLast: true, 0, time, input.columns[time].type)
        case "MATCH_PROCTIME": return try context.functions.bind("PROCTIME", [])
        case "PREV", "NEXT": throw context.unsupported("\(name)", fix: "use LAST(variable.column, n), which counts rows of a variable", at: span)
        case "CLASSIFIER", "MATCH_NUMBER": throw context.unsupported("\(name)()", fix: "leave it out", at: span)
        default: return nil
        }
    }

    /// A value of a single row, as a column of the prepared input.
    private func value(_ syntax: SyntaxExpr, _ function: String) throws -> (variable: Int?, column: Int, type: DataType) {
        let expr = try ExpressionBinder(context, scope: names, clause: "the arguments of \(function)").value(syntax)
        let used = Set(expr.columns.map { variable(of: $0) })
        guard used.count <= 1 else {
            throw context.error(.validate, "\(function) must be constructed from a single pattern variable, but reads columns of several", fix: "write one \(function) for each variable", at: syntax.span)
        }
        return (used.first ?? nil, prepare(expr.mapColumns { $0 % self.width }), expr.type)
    }

    private func prepare(_ expr: Expr) -> Int {
        if case .column(let i, _) = expr { return i }
        prepared.append(expr)
        preparedColumns.append(PlanColumn("$m\(prepared.count - 1)", expr.type, nullable: expr.isNullable(in: input.columns)))
        return width + prepared.count - 1
    }

    func aggregate(_ call: FunctionCall, at span: SourceSpan) throws -> Expr {
        let name = call.name.uppercased()
        guard !call.distinct else { throw context.unsupported("DISTINCT inside of MATCH_RECOGNIZE: \(name)(DISTINCT ...)", fix: "leave DISTINCT out", at: span) }
        guard call.filter == nil else { throw context.unsupported("FILTER inside of MATCH_RECOGNIZE", fix: "use CASE WHEN in the argument", at: span) }
        var owner: Int?, columns: [Int] = [], types: [DataType] = [], isFirst = true
        for argument in call.arguments {
            let (variable, column, type) = try value(argument, name)
            guard isFirst || variable == owner else {
                throw context.error(.validate, "\(name) must be constructed from a single pattern variable, but reads columns of several", fix: "write one \(name) for each variable", at: span)
            }
            (owner, isFirst) = (variable, false)
            columns.append(column)
            types.append(type)
        }
        let (wanted, result) = try context.script.locating(span) { try AggregateRegistry.bind(name, argumentTypes: types, distinct: false) }
        for (i, type) in wanted.enumerated() where types[i] != type {
            columns[i] = prepare((columns[i] < width ? Expr.column(columns[i], types[i]) : prepared[columns[i] - width]).implicitlyCast(to: type))
        }
        let made = MatchSpec.Aggregate(variable: owner, call: AggregateCall(function: name, arguments: columns, argumentTypes: wanted, resultType: result))
        let i = aggregates.firstIndex(of: made) ?? aggregates.count
        if i == aggregates.count { aggregates.append(made) }
        return .column(Self.aggregateBase + i, result)
    }

    func windowProperty(_ call: FunctionCall, at span: SourceSpan) throws -> Expr? { nil }
    func groupingFunction(_ call: FunctionCall, at span: SourceSpan) throws -> Expr? { nil }

    func notGrouped(_ name: QualifiedName) -> StreamError {
        context.error(.validate, "\(name.text) is no column of the input of MATCH_RECOGNIZE", at: name.span)
    }

    // MARK: results

    func role(of measure: SyntaxExpr) -> PlanColumn.Role {
        guard case .call(let call) = measure.node else { return .none }
        switch call.name.uppercased() {
        case "MATCH_ROWTIME": return .timeAttribute
        case "MATCH_PROCTIME": return .processingTime
        default: return .none
        }
    }

    /// An expression over the values of all navigations and then of all aggregates.
    func numbered(_ expr: Expr) -> Expr {
        expr.mapColumns { $0 >= Self.aggregateBase ? navigations.count + $0 - Self.aggregateBase : $0 - Self.navigationBase }
    }

    /// What is left to do of a condition at run time: it can be told of a row alone when it reads nothing but that row.
    func condition(_ expr: Expr?, of variable: Int) -> MatchSpec.Condition? {
        guard let expr else { return nil }
        let isOfRow = expr.columns.allSatisfy { i in
            guard i < Self.aggregateBase else { return false }
            let navigation = navigations[i - Self.navigationBase]
            return navigation.fromLast && navigation.offset == 0 && (navigation.variable ?? variable) == variable
        }
        if isOfRow { return .row(expr.mapColumns { navigations[$0 - Self.navigationBase].column }) }
        return .history(numbered(expr))
    }
}
