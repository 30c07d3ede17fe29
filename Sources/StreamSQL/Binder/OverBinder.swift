import StreamCore
import StreamExpressions
import StreamOperators

/// The window functions of a SELECT, collected while its list is bound.
final class OverCollector {
    private struct Item {
        var text: String
        /// Of PARTITION BY and ORDER BY.
        var window: String
        var name: String
        var partition: [Expr], order: [(expr: Expr, key: SortSpec.Key)]
        var frame: OverFrame
        /// Arguments, and behind them the filter if there is one.
        var inputs: [Expr]
        var make: ([Int]) -> OverCall
        var type: DataType
        var nullable: Bool
        /// Numbers rows whatever the frame is.
        var isNumbering: Bool
    }

    /// Until all functions are known, their results are numbered from here.
    private static let base = 1 << 28

    private let context: BindingContext
    private var items: [Item] = []

    init(_ context: BindingContext) { self.context = context }

    var isEmpty: Bool { items.isEmpty }

    private static let numbering: Set<String> = ["ROW_NUMBER", "RANK", "DENSE_RANK"]
    private static let refused: Set<String> = ["LEAD", "NTILE", "PERCENT_RANK", "CUME_DIST"]

    static func isWindowFunction(_ name: String) -> Bool { numbering.contains(name) || refused.contains(name) || name == "LAG" }

    // MARK: binding

    /// The result of a call with OVER, to be resolved once the plan is there.
    func column(_ call: FunctionCall, _ binder: ExpressionBinder, at span: SourceSpan) throws -> Expr {
        let name = call.name.uppercased(), window = call.over!
        if Self.refused.contains(name) {
            throw context.error(
                .plan, "\(name) ... OVER is not supported on streams: its result depends on rows to come",
                fix: name == "LEAD" ? "use LAG with the order turned round" : nil, at: span)
        }
        let text = Fingerprint(scope: binder.scope).of(SyntaxExpr(.call(call), span: span))
        if let i = items.firstIndex(where: { $0.text == text }) { return .column(Self.base + i, items[i].type) }
        var bare = window
        bare.frame = nil
        let windowText = Fingerprint(scope: binder.scope).of(bare)
        if let first = items.first, first.window != windowText {
            throw context.error(
                .plan, "\(name) ... OVER: all window functions of a SELECT must be computed on the same window, but this one has another PARTITION BY or "
                    + "ORDER BY than those before it", fix: "compute one of them in a subquery", at: span)
        }
        var inner = binder
        inner.context.overs = nil
        inner.clause = "OVER"
        let partition = try window.partitionBy.map(inner.value)
        let order = try window.orderBy.map { item in (try inner.value(item.expr), QueryBinder.sortKey(item, column: 0)) }
        for (key, syntax) in zip(order, window.orderBy) where [.list, .map, .row].contains(key.0.type.physical) {
            throw context.error(.validate, "cannot ORDER BY a value of type \(key.0.type)", fix: "order by parts of it", at: syntax.expr.span)
        }
        var item = Item(
            text: text, window: windowText, name: Self.title(call), partition: partition, order: order.map { (expr: $0.0, key: $0.1) },
            frame: try frame(window, name, span), inputs: [], make: { _ in .rowNumber }, type: .bigint, nullable: false, isNumbering: false)
        try check(item, binder.scope, window, name, span)
        switch name {
        case _ where Self.numbering.contains(name):
            guard call.arguments.isEmpty, !call.star else { throw context.error(.validate, "\(name) takes no arguments", at: span) }
            item.isNumbering = true
            item.make = { _ in name == "RANK" ? .rank : name == "DENSE_RANK" ? .denseRank : .rowNumber }
        case "LAG": try lag(call, inner, &item, span)
        default: try aggregate(call, name, inner, &item, span)
        }
        items.append(item)
        return .column(Self.base + items.count - 1, item.type)
    }

    private static func title(_ call: FunctionCall) -> String {
        let inside = call.star ? "*" : call.arguments.map { $0.impliedName ?? "..." }.joined(separator: ", ")
        return call.name.uppercased() + "(" + (call.distinct ? "DISTINCT " : "") + inside + ")"
    }

    private func frame(_ window: OverWindow, _ name: String, _ span: SourceSpan) throws -> OverFrame {
        guard let bounds = window.bounds else {
            // Without a frame, aggregates see all rows that are equal to the current one.
            return OverFrame(isRange: !Self.numbering.contains(name) && name != "LAG")
        }
        if Self.numbering.contains(name) || name == "LAG" {
            throw context.error(.validate, "\(name) takes no ROWS or RANGE", fix: "leave the frame out", at: bounds.span)
        }
        guard case .currentRow = bounds.upper else {
            throw context.error(
                .plan, "an OVER window that ends at another row than the current one is not supported on streams",
                fix: "end it with AND CURRENT ROW", at: bounds.span)
        }
        switch bounds.lower {
        case .unbounded(preceding: true): return OverFrame(isRange: bounds.isRange)
        case .currentRow: return OverFrame(isRange: bounds.isRange, preceding: 0)
        case .offset(let length, preceding: true):
            let bound = try ExpressionBinder(context, scope: .empty, clause: "a window frame").bind(length)
            guard case .int(let n)? = Binding.constant(bound), n >= 0, bounds.isRange == (bound.type == .intervalDayTime),
                bounds.isRange || bound.type.isInteger
            else {
                throw context.error(
                    .validate, "\(bounds.isRange ? "RANGE" : "ROWS") cannot begin here: this is of type \(bound.type)",
                    fix: bounds.isRange ? "write for example RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW"
                        : "write for example ROWS BETWEEN 2 PRECEDING AND CURRENT ROW", at: length.span)
            }
            return OverFrame(isRange: bounds.isRange, preceding: n)
        case .unbounded(preceding: false), .offset(_, preceding: false):
            throw context.error(.validate, "an OVER window cannot begin with rows that follow", fix: "begin it with PRECEDING", at: bounds.span)
        }
    }

    /// Which orders a frame can do with.
    private func check(_ item: Item, _ scope: Scope, _ window: OverWindow, _ name: String, _ span: SourceSpan) throws {
        if item.order.isEmpty, name != "ROW_NUMBER" {
            throw context.error(
                .plan, "\(name) ... OVER needs ORDER BY: on streams a row's result is made of the rows before it",
                fix: "add ORDER BY and a time attribute", at: span)
        }
        guard item.frame.preceding != nil else { return }
        var isEventTime = false, isProcessingTime = false
        if item.order.count == 1, !item.order[0].key.descending {
            isProcessingTime = item.order[0].expr.isProcessingTime
            if case .column(let i, _) = item.order[0].expr, scope.columns.indices.contains(i) {
                isEventTime = scope.columns[i].isTimeAttribute
                isProcessingTime = scope.columns[i].isProcessingTime
            }
        }
        if isProcessingTime, item.frame.isRange {
            throw context.error(
                .plan, "not supported yet: OVER with RANGE and an interval by processing time", fix: "use ROWS, or order by event time", at: span)
        }
        guard isEventTime || isProcessingTime else {
            throw context.error(
                .plan, "OVER windows' ordering in stream mode must be defined on a time attribute, ascending, when the window begins at a "
                    + "number of rows or an interval before the current one",
                fix: "order by the time attribute alone, or begin the window with UNBOUNDED PRECEDING",
                at: window.orderBy.first?.expr.span ?? span)
        }
    }

    private func lag(_ call: FunctionCall, _ binder: ExpressionBinder, _ item: inout Item, _ span: SourceSpan) throws {
        guard (1...3).contains(call.arguments.count), !call.star, !call.distinct else {
            throw context.error(.validate, "LAG takes (value[, offset[, default]])", at: span)
        }
        let value = try binder.value(call.arguments[0])
        var offset: Int64 = 1
        if call.arguments.count > 1 {
            guard case .int(let n)? = Binding.constant(try binder.bind(call.arguments[1])), n >= 0 else {
                throw context.error(
                    .validate, "the offset of LAG must be a constant whole number of at least 0", fix: "write for example LAG(x, 1)",
                    at: call.arguments[1].span)
            }
            offset = n
        }
        (item.type, item.nullable, item.inputs) = (value.type, true, [value])
        if call.arguments.count > 2 {
            let otherwise = try binder.bind(call.arguments[2])
            guard let common = TypeCoercion.commonType(value.type, otherwise.type) else {
                throw context.error(
                    .validate, "LAG: the default is of type \(otherwise.type), and the value of type \(value.type)", fix: "cast one of them",
                    at: call.arguments[2].span)
            }
            item.type = common
            item.inputs = [value.implicitlyCast(to: common), otherwise.implicitlyCast(to: common)]
        }
        let (type, count) = (item.type, Int(offset))
        item.make = { .lag(column: $0[0], type: type, offset: count, otherwise: $0.count > 1 ? $0[1] : nil) }
    }

    private func aggregate(_ call: FunctionCall, _ name: String, _ binder: ExpressionBinder, _ item: inout Item, _ span: SourceSpan) throws {
        let function = name + (call.onNull.map { " \($0.uppercased().hasPrefix("NULL") ? "NULL" : "ABSENT") ON NULL" } ?? "")
        guard AggregateRegistry.contains(name) else {
            throw context.error(
                .validate, "\(name) is no aggregate or window function and takes no OVER",
                fix: NearName.nearest(to: name, in: AggregateRegistry.names + Array(Self.numbering) + ["LAG"]).map { "write \($0)" }, at: span)
        }
        let args = try call.arguments.map(binder.value)
        if args.isEmpty && !call.star {
            throw context.error(.validate, "\(name) needs an argument", fix: "write \(name)(*) or \(name)(column)", at: span)
        }
        let (types, result) = try context.script.locating(span) {
            try AggregateRegistry.bind(function, argumentTypes: args.map(\.type), distinct: call.distinct)
        }
        let casts = zip(args, types).map { $0.implicitlyCast(to: $1) }
        let filter = try call.filter.map { try binder.condition($0) }
        item.inputs = casts + (filter.map { [$0] } ?? [])
        (item.type, item.nullable) = (result, name != "COUNT")
        let (count, isDistinct) = (casts.count, call.distinct)
        item.make = { columns in
            .aggregate(
                AggregateCall(
                    function: function, arguments: Array(columns[..<count]), argumentTypes: casts.map(\.type),
                    filter: filter == nil ? nil : columns[count], distinct: isDistinct, resultType: result))
        }
    }

    // MARK: the plan

    /// A step for each window over `input`, and where the results are.
    ///
    /// - Parameter resolve: makes bound expressions ones over the input's columns.
    func plan(over input: LogicalPlan, _ resolve: @escaping (Expr) -> Expr) -> (LogicalPlan, (Expr) -> Expr) {
        var prepared = LogicalPlan.Projection.columns(Array(input.columns.indices), of: input.columns)
        func column(_ expr: Expr) -> Int {
            let expr = resolve(expr)
            if case .column(let i, _) = expr { return i }
            prepared.exprs.append(expr)
            prepared.columns.append(
                PlanColumn("$o\(prepared.columns.count - input.columns.count)", expr.type, nullable: expr.isNullable(in: input.columns),
                           role: expr.isProcessingTime ? .processingTime : .none))
            return prepared.exprs.count - 1
        }
        struct Group {
            var over: Over
            var items: [Int]
        }
        var groups: [Group] = []
        var known: [String: Int] = [:]
        for (i, item) in items.enumerated() {
            func shared(_ expr: Expr) -> Int {
                let key = ExprText.of(resolve(expr), input.columns) + " \(expr.type)"
                if let c = known[key] { return c }
                let c = column(expr)
                known[key] = c
                return c
            }
            var partition: [Int] = []
            for expr in item.partition {
                let c = shared(expr)
                if !partition.contains(c) { partition.append(c) }
            }
            let order = item.order.map { SortSpec.Key(column: shared($0.expr), descending: $0.key.descending, nullsFirst: $0.key.nullsFirst) }
            let call = item.make(item.inputs.map(column))
            // Numbers and LAG do not depend on the frame, but with one that is limited other late rows are taken.
            let isFree = item.isNumbering || { if case .lag = call { true } else { false } }()
            if let g = groups.firstIndex(where: { group in
                group.over.partition == partition && group.over.order == order
                    && (group.over.frame == item.frame || isFree && group.over.frame.preceding == nil)
            }) {
                groups[g].over.calls.append(call)
                groups[g].items.append(i)
            } else {
                groups.append(Group(over: Over(partition: partition, order: order, frame: item.frame, calls: [call], columns: []), items: [i]))
            }
        }
        var plan = prepared.exprs.count == input.columns.count ? input : LogicalPlan.project(input, prepared)
        var places: [Int: Int] = [:]
        for var group in groups {
            let width = plan.columns.count
            for (k, i) in group.items.enumerated() { places[i] = width + k }
            group.over.columns = plan.columns + group.items.map { PlanColumn(items[$0].name, items[$0].type, nullable: items[$0].nullable) }
            plan = .step(group.over, [plan])
        }
        return (plan, { expr in resolve(expr).mapColumns { $0 >= Self.base ? places[$0 - Self.base]! : $0 } })
    }
}
