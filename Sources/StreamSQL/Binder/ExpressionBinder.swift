import StreamCore
import StreamExpressions
import StreamOperators

/// What stands between a grouped SELECT and its input: keys, aggregates and window properties.
protocol Grouping: AnyObject {
    /// The grouped column that the expression is, if it is one of the GROUP BY expressions.
    func key(_ expr: SyntaxExpr) -> Expr?
    func aggregate(_ call: FunctionCall, at span: SourceSpan) throws -> Expr
    /// TUMBLE_START and the like; nil when the name is no such function.
    func windowProperty(_ call: FunctionCall, at span: SourceSpan) throws -> Expr?
    /// GROUPING and the like; nil when the name is no such function.
    func groupingFunction(_ call: FunctionCall, at span: SourceSpan) throws -> Expr?
    func notGrouped(_ name: QualifiedName) -> StreamError
}

/// Turns scalar syntax into typed expressions over the columns of a scope.
struct ExpressionBinder {
    var context: BindingContext
    var scope: Scope
    /// The clause it works for, as error messages name it.
    var clause: String
    var grouping: (any Grouping)?
    /// Only whether the value is true matters, not whether it is false or null.
    var nullIsFalse = false

    /// The same where null matters.
    var withNulls: ExpressionBinder {
        var copy = self
        copy.nullIsFalse = false
        return copy
    }

    /// Whether a value bound here may be null.
    func isNullable(_ expr: Expr) -> Bool { grouping != nil || expr.isNullable(in: scope.columns) }

    init(_ context: BindingContext, scope: Scope, clause: String, grouping: (any Grouping)? = nil) {
        self.context = context
        self.scope = scope
        self.clause = clause
        self.grouping = grouping
    }

    func bind(_ expr: SyntaxExpr) throws -> Expr {
        if let key = grouping?.key(expr) { return key }
        if nullIsFalse, !expr.isConnective { return try withNulls.bind(expr) }
        return try context.script.locating(expr.span) { try bindNode(expr) }
    }

    /// A condition: BOOLEAN, or a bare NULL.
    func condition(_ expr: SyntaxExpr) throws -> Expr {
        let bound = try bind(expr)
        if bound.isUntypedNull { return .literal(.null, .boolean) }
        guard bound.type == .boolean else {
            throw context.error(
                .validate, "\(clause) needs a condition, but this is of type \(bound.type)",
                fix: "compare it with something", at: expr.span)
        }
        return bound
    }

    /// A value that goes into a column: a NULL must have been given a type.
    func value(_ expr: SyntaxExpr) throws -> Expr {
        let bound = try bind(expr)
        if bound.isUntypedNull {
            throw context.error(
                .validate, "NULL has no type here", fix: "write CAST(NULL AS type), for example CAST(NULL AS STRING)", at: expr.span)
        }
        return bound
    }

    private func bindNode(_ expr: SyntaxExpr) throws -> Expr {
        let span = expr.span
        switch expr.node {
        case .name(let name): return try self.name(name)
        case .star: throw context.error(.validate, "* stands for columns only in SELECT and COUNT(*)", at: span)
        case .integer(let text): return try literal(Literals.integer(text), text, span)
        case .decimal(let text): return try literal(Literals.decimal(text), text, span)
        case .approximate(let text): return try literal(Literals.approximate(text), text, span)
        case .string(let text): return Literals.string(text)
        case .bytes(let bytes): return .literal(.binary(bytes), .binary(bytes.count))
        case .boolean(let b): return .literal(.bool(b), .boolean)
        case .null: return .literal(.null, .null)
        case .dateLiteral(let text): return try literal(Literals.date(text), "DATE '\(text)'", span, form: "DATE 'yyyy-mm-dd'")
        case .timeLiteral(let text): return try literal(Literals.time(text), "TIME '\(text)'", span, form: "TIME 'hh:mm:ss'")
        case .timestampLiteral(let text):
            return try literal(Literals.timestamp(text), "TIMESTAMP '\(text)'", span, form: "TIMESTAMP 'yyyy-mm-dd hh:mm:ss.fff'")
        case .interval(let text, let from, let to, let negative):
            return try literal(
                Literals.interval(text, from: from, to: to, negative: negative),
                "INTERVAL '\(text)' \(from)\(to.map { " TO \($0)" } ?? "")", span, form: "for example INTERVAL '5' SECOND")
        case .unary(let op, let operand): return try unary(op, operand, span)
        case .binary(let op, let a, let b): return try binary(op, a, b)
        case .isNull(let e, let negated): return .isNull(try bind(e), negated: negated)
        case .isTruth(let e, let what, let negated):
            let bound = try ExpressionBinder(context, scope: scope, clause: "IS \(what)", grouping: grouping).condition(e)
            if what.uppercased() == "UNKNOWN" { return .isNull(bound, negated: negated) }
            return try call("IS \(negated ? "NOT " : "")\(what.uppercased())", [bound])
        case .isDistinct(let a, let b, let negated):
            return try call("IS \(negated ? "NOT " : "")DISTINCT FROM", try operands([a, b]))
        case .isJSON(let e, let what, let negated):
            let test = try call("IS JSON", [try bind(e), Literals.string(what.isEmpty ? "VALUE" : what.uppercased())])
            return negated ? .not(test) : test
        case .between(let e, let low, let high, let symmetric, let negated):
            let (x, l, h) = (try bind(e), try bind(low), try bind(high))
            var test = try between(x, l, h)
            if symmetric { test = .or([test, try between(x, h, l)]) }
            return negated ? .not(test) : test
        case .inList(let e, let items, let negated):
            let x = try bind(e)
            let tests = try items.map { item in
                try context.script.locating(item.span) { try call("=", Self.typedNulls([x, try bind(item)])) }
            }
            let test: Expr = tests.count == 1 ? tests[0] : .or(tests)
            return negated ? .not(test) : test
        case .inQuery, .exists, .quantified, .scalarQuery:
            guard let subqueries = grouping == nil ? scope.subqueries : scope.groupedSubqueries else {
                throw context.unsupported("a sub-query in \(clause)", fix: "use it in SELECT, WHERE or HAVING, or join with it", at: span)
            }
            return try subqueries.value(expr, self)
        case .like(let kind, let a, let b, let escape, let negated):
            let test = try call(kind.uppercased(), try operands([a, b] + (escape.map { [$0] } ?? [])))
            return negated ? .not(test) : test
        case .caseWhen(let operand, let branches, let otherwise): return try caseWhen(operand, branches, otherwise, span)
        case .cast(let e, let type, let safe):
            let bound = try bind(e)
            if bound.isUntypedNull { return .literal(.null, type) }
            if bound.type == type { return bound }
            try Casts.check(bound.type, type)
            return .cast(bound, to: type, safe: safe)
        case .call(let function): return try self.function(function, span)
        case .array(let items): return try call("ARRAY", try operands(items))
        case .map(let items): return try call("MAP", try operands(items))
        case .row(let items): return try call("ROW", try items.map(value))
        case .subscriptOf(let a, let b): return try call("ITEM", try operands([a, b]))
        case .field(let e, let name): return try field(try bind(e), name, span)
        }
    }

    // MARK: names

    private func name(_ name: QualifiedName) throws -> Expr {
        switch scope.resolve(name.parts) {
        case .column(let i, let path):
            if let grouping {
                // `r.x` of a grouped ROW column r.
                for n in stride(from: name.parts.count - 1, to: 0, by: -1) where path.count >= name.parts.count - n {
                    let prefix = QualifiedName(Array(name.parts[..<n]), span: name.span)
                    if let key = grouping.key(SyntaxExpr(.name(prefix), span: name.span)) {
                        return try name.parts[n...].reduce(key) { try field($0, $1, name.span) }
                    }
                }
                throw grouping.notGrouped(name)
            }
            return try path.reduce(.column(i, scope.columns[i].type)) { try field($0, $1, name.span) }
        case .ambiguous:
            throw context.error(
                .validate, "column \(name.text) is ambiguous: several tables have it",
                fix: "put the table's name or alias in front", at: name.span)
        case .unknown:
            if let column = try outerColumn(name) { return column }
            if name.parts.count == 1, context.functions.contains(name.parts[0]), let call = try? context.functions.bind(name.parts[0], []) {
                return call  // CURRENT_TIMESTAMP and its like are written without parentheses
            }
            throw unknown(name)
        }
    }

    /// What a name stands for in the nearest query around this one that knows it.
    private func outerColumn(_ name: QualifiedName) throws -> Expr? {
        for (i, binder) in scope.outer.enumerated() {
            if case .unknown = binder.scope.resolve(name.parts) { continue }
            return try binder.withNulls.bind(SyntaxExpr(.name(name), span: name.span)).mapColumns { OuterColumns.number($0, level: i + 1) }
        }
        return nil
    }

    private func unknown(_ name: QualifiedName) -> StreamError {
        if name.parts.count > 1, let relation = scope.relations.first(where: { $0.alias == name.parts[0] }) {
            return context.error(
                .validate, "\(name.parts[0]) has no column \(name.parts[1])",
                fix: NearName.hint(for: name.parts[1], in: relation.columns.map(\.name)), at: name.span)
        }
        if name.parts.count > 1 {
            return context.error(
                .validate, "there is no table or column \(name.parts[0]) for \(name.text)",
                fix: NearName.hint(for: name.parts[0], in: scope.relations.compactMap(\.alias)), at: name.span)
        }
        let fix =
            scope.names.isEmpty
            ? "add a FROM clause; text is written in single quotes: '\(name.text)'" : NearName.hint(for: name.text, in: Set(scope.names))
        return context.error(.validate, "there is no column \(name.text)", fix: fix, at: name.span)
    }

    func field(_ value: Expr, _ name: String, _ span: SourceSpan) throws -> Expr {
        if value.type == .variant { return try context.script.locating(span) { try context.functions.bind("FIELD", [value, Literals.string(name)]) } }
        guard case .row(let fields) = value.type else {
            throw context.error(.validate, "\(value.type) has no field \(name): it is neither a ROW nor a VARIANT", at: span)
        }
        guard let i = fields.firstIndex(where: { $0.name == name }) else {
            throw context.error(
                .validate, "\(value.type) has no field \(name)", fix: NearName.hint(for: name, in: fields.map(\.name)), at: span)
        }
        return .field(value, index: i, fields[i].type)
    }

    // MARK: operators

    private func literal(_ value: Expr?, _ text: String, _ span: SourceSpan, form: String? = nil) throws -> Expr {
        guard let value else {
            throw context.error(
                .validate, form == nil ? "number \(text) has more than 38 digits" : "\(text) is not a valid value",
                fix: form.map { "write \($0)" }, at: span)
        }
        return value
    }

    private func unary(_ op: String, _ operand: SyntaxExpr, _ span: SourceSpan) throws -> Expr {
        switch (op.uppercased(), operand.node) {
        case ("NOT", _):
            let bound = try ExpressionBinder(context, scope: scope, clause: "NOT", grouping: grouping).condition(operand)
            return .not(bound)
        case ("-", .integer(let text)): return try literal(Literals.integer(text, negative: true), text, span)
        case ("-", .decimal(let text)): return try literal(Literals.decimal(text, negative: true), text, span)
        case ("-", .approximate(let text)): return try literal(Literals.approximate(text, negative: true), text, span)
        case ("-", _): return try call("NEGATE", try operands([operand]))
        default:
            let bound = try bind(operand)
            guard bound.type.isNumeric || bound.type.isInterval else {
                throw context.error(.validate, "+ needs a number, but this is of type \(bound.type)", at: span)
            }
            return bound
        }
    }

    private func binary(_ op: String, _ a: SyntaxExpr, _ b: SyntaxExpr) throws -> Expr {
        switch op.uppercased() {
        case "AND", "OR":
            var side = self
            side.clause = op.uppercased()
            return Self.connect(op.uppercased(), try side.condition(a), try side.condition(b))
        case "!=": return try call("<>", Self.typedNulls([try bind(a), try bind(b)]))
        case "=", "<>", "<", "<=", ">", ">=": return try call(op, Self.typedNulls([try bind(a), try bind(b)]))
        default: return try call(op, try operands([a, b]))
        }
    }

    private static func connect(_ op: String, _ a: Expr, _ b: Expr) -> Expr {
        switch (op, a, b) {
        case ("AND", .and(let x), .and(let y)): .and(x + y)
        case ("AND", .and(let x), _): .and(x + [b])
        case ("AND", _, _): .and([a, b])
        case (_, .or(let x), .or(let y)): .or(x + y)
        case (_, .or(let x), _): .or(x + [b])
        default: .or([a, b])
        }
    }

    /// In a comparison a bare NULL takes the other side's type.
    private static func typedNulls(_ args: [Expr]) -> [Expr] {
        guard let type = args.first(where: { !$0.isUntypedNull })?.type else { return args }
        return args.map { $0.isUntypedNull ? .literal(.null, type) : $0 }
    }

    private func between(_ x: Expr, _ low: Expr, _ high: Expr) throws -> Expr {
        .and([try call(">=", Self.typedNulls([x, low])), try call("<=", Self.typedNulls([x, high]))])
    }

    private func caseWhen(
        _ operand: SyntaxExpr?, _ branches: [(when: SyntaxExpr, then: SyntaxExpr)], _ otherwise: SyntaxExpr?,
        _ span: SourceSpan
    ) throws -> Expr {
        let subject = try operand.map(bind)
        let when = ExpressionBinder(context, scope: scope, clause: "WHEN", grouping: grouping)
        let conditions = try branches.map { branch in
            if let subject {
                return try context.script.locating(branch.when.span) { try call("=", Self.typedNulls([subject, try bind(branch.when)])) }
            }
            return try when.condition(branch.when)
        }
        let results = try branches.map { try bind($0.then) } + [try otherwise.map(bind) ?? .literal(.null, .null)]
        let type = try commonType(results, "the results of CASE", span)
        let cast = results.map { $0.implicitlyCast(to: type) }
        return .caseWhen(zip(conditions, cast).map { Expr.Branch($0, then: $1) }, otherwise: cast.last!, type)
    }

    private func commonType(_ exprs: [Expr], _ what: String, _ span: SourceSpan) throws -> DataType {
        guard let type = TypeCoercion.commonType(exprs.map(\.type)) else {
            throw context.error(
                .validate, "\(what) are of types \(exprs.map { "\($0.type)" }.joined(separator: ", ")), which have no type in common",
                fix: "cast them to one type", at: span)
        }
        guard type != .null else {
            throw context.error(
                .validate, "\(what) are all NULL and have no type", fix: "write CAST(NULL AS type) for one of them", at: span)
        }
        return type
    }

    /// Arguments of an operator or function.
    private func operands(_ args: [SyntaxExpr]) throws -> [Expr] { try args.map(bind) }

    private func call(_ name: String, _ args: [Expr], options: FunctionOptions = .init()) throws -> Expr {
        try context.functions.bind(name, args, options: options)
    }

    // MARK: function calls

    private func function(_ function: FunctionCall, _ span: SourceSpan) throws -> Expr {
        let name = function.name.uppercased()
        // A system function hides a built-in one.
        if let hiding = context.catalog.systemFunction(name), hiding.language.needsJVM { throw context.needsJVM(hiding, at: span) }
        if function.over != nil {
            guard let overs = context.overs else {
                throw context.error(
                    .validate, "\(name) ... OVER cannot stand in \(clause)", fix: "compute it in a subquery, and read its result", at: span)
            }
            return try overs.column(function, self, at: span)
        }
        if OverCollector.isWindowFunction(name) {
            throw context.error(.validate, "\(name) needs OVER", fix: "write \(name)(...) OVER (PARTITION BY ... ORDER BY ...)", at: span)
        }
        if AggregateRegistry.contains(name) {
            guard let grouping else {
                throw context.error(
                    .validate, "\(name) is an aggregate and cannot stand in \(clause)",
                    fix: clause == "WHERE" ? "put the condition into HAVING" : nil, at: span)
            }
            return try grouping.aggregate(function, at: span)
        }
        if let property = try grouping?.windowProperty(function, at: span) { return property }
        if let set = try grouping?.groupingFunction(function, at: span) { return set }
        if GroupingSets.functions.contains(name) {
            throw context.error(.validate, "\(name) stands only in a query with GROUP BY, not in \(clause)", at: span)
        }
        if GroupWindow.isPropertyFunction(name) || GroupWindow.isWindowFunction(name) {
            throw context.error(
                .validate, "\(name) stands only beside GROUP BY \(name.prefix { $0 != "_" })(...), not in \(clause)", at: span)
        }
        if function.distinct || function.filter != nil || function.star || function.ignoresNulls {
            let what = function.ignoresNulls ? "IGNORE NULLS" : function.distinct ? "DISTINCT" : function.filter != nil ? "FILTER" : "*"
            throw unknownOr(name, "\(name) is no aggregate function and takes no \(what)", span)
        }
        if name == "CURRENT_DATABASE", function.arguments.isEmpty {
            return .literal(.string((context.script.namespace ?? context.catalog.current).database), .string)
        }
        if name == "TYPEOF", (1...2).contains(function.arguments.count) {
            return .literal(.string(TypeText.of(try bind(function.arguments[0]), in: scope.columns)), .string)
        }
        if !context.functions.contains(name) {
            switch name {
            case CurrentWatermark.name: return try currentWatermark(function, span)
            case "COALESCE" where !function.arguments.isEmpty, "IFNULL" where function.arguments.count == 2:
                return try coalesce(name, function.arguments, span)
            case "NULLIF" where function.arguments.count == 2:
                let (a, b) = (try bind(function.arguments[0]), try bind(function.arguments[1]))
                return .caseWhen([.init(try call("=", Self.typedNulls([a, b])), then: .literal(.null, a.type))], otherwise: a, a.type)
            case "IF" where function.arguments.count == 3:
                return try caseWhen(nil, [(function.arguments[0], function.arguments[1])], function.arguments[2], span)
            default: throw unknownOr(name, nil, span)
            }
        }
        let (options, defaults) = try self.options(function)
        return try call(name, try operands(function.arguments + defaults), options: options)
    }

    private func currentWatermark(_ call: FunctionCall, _ span: SourceSpan) throws -> Expr {
        let bound = try call.arguments.map(bind)
        guard bound.count == 1, case .column(let i, _) = bound[0], scope.columns.indices.contains(i), scope.columns[i].isTimeAttribute else {
            throw context.error(
                .validate, "CURRENT_WATERMARK takes a time attribute, but this is \(bound.map { "\($0.type)" }.joined(separator: ", "))",
                fix: "give the column that has the WATERMARK, as it is", at: span)
        }
        return CurrentWatermark.call(bound[0])
    }

    private func coalesce(_ name: String, _ args: [SyntaxExpr], _ span: SourceSpan) throws -> Expr {
        let bound = try args.map(bind)
        let type = try commonType(bound, "the arguments of \(name)", span)
        return .coalesce(bound.map { $0.implicitlyCast(to: type) }, type)
    }

    private func unknownOr(_ name: String, _ problem: String?, _ span: SourceSpan) -> StreamError {
        if problem == nil, let refusal = FunctionRegistry.unsupported(name) { return context.error(refusal.code, refusal.problem, fix: refusal.fix, at: span) }
        if let problem, context.functions.contains(name) { return context.error(.validate, problem, at: span) }
        if let found = context.functionInJVM(name) { return context.needsJVM(found, at: span) }
        let known = context.functions.names.filter { $0.first!.isLetter } + AggregateRegistry.names
        return context.error(
            .validate, "there is no function \(name)", fix: NearName.nearest(to: name, in: known).map { "write \($0)" }, at: span)
    }

    private func options(_ call: FunctionCall) throws -> (FunctionOptions, defaults: [SyntaxExpr]) {
        var options = FunctionOptions(), defaults: [SyntaxExpr] = []
        options.returning = call.returning
        func fallback(_ word: String?, _ value: SyntaxExpr?) -> FunctionOptions.Fallback? {
            switch word?.uppercased() {
            case nil: return nil
            case "ERROR": return .error
            case "EMPTY ARRAY": return .emptyArray
            case "EMPTY OBJECT": return .emptyObject
            case "TRUE": return .true
            case "FALSE": return .false
            case "UNKNOWN": return .unknown
            case "DEFAULT":
                if let value { defaults.append(value) }
                return .defaultArgument
            default: return .null
            }
        }
        options.onEmpty = fallback(call.onEmpty, call.emptyDefault)
        options.onError = fallback(call.onError, call.errorDefault)
        options.wrapper = call.wrapper.map { word in
            let upper = word.uppercased()
            return upper.hasPrefix("WITHOUT")
                ? .without : upper.contains("UNCONDITIONAL") || !upper.contains("CONDITIONAL") ? .unconditional : .conditional
        }
        options.nullOnNull = call.onNull.map { $0.uppercased().hasPrefix("NULL") }
        return (options, defaults)
    }
}

extension SyntaxExpr {
    /// A sub-query's test, or AND and OR: true of it depends on no difference between false and null in its parts.
    fileprivate var isConnective: Bool {
        switch node {
        case .binary(let op, _, _): ["AND", "OR"].contains(op.uppercased())
        case .inQuery(_, _, negated: false): true
        case .quantified(_, _, all: false, _): true
        default: false
        }
    }
}
