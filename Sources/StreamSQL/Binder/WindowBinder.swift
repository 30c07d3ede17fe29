import StreamCore
import StreamExpressions
import StreamOperators

/// A window function of GROUP BY: TUMBLE(ts, size), HOP(ts, slide, size) or SESSION(ts, gap).
struct GroupWindow {
    var name: String
    var arguments: [SyntaxExpr]
    var time: Expr
    var spec: WindowSpec

    static func isWindowFunction(_ name: String) -> Bool { ["TUMBLE", "HOP", "SESSION"].contains(name) }
    static func isPropertyFunction(_ name: String) -> Bool { property(name) != nil }

    /// `HOP_START` is the start of a HOP; a property of nil is the processing time of the result.
    static func property(_ name: String) -> (window: String, WindowProperty?)? {
        let parts = name.split(separator: "_", maxSplits: 1).map(String.init)
        guard parts.count == 2, isWindowFunction(parts[0]) else { return nil }
        switch parts[1] {
        case "START": return (parts[0], .start)
        case "END": return (parts[0], .end)
        case "ROWTIME": return (parts[0], .time)
        case "PROCTIME": return (parts[0], nil)
        default: return nil
        }
    }

    init(_ call: FunctionCall, _ context: BindingContext, _ scope: Scope, _ span: SourceSpan) throws {
        name = call.name.uppercased()
        arguments = call.arguments
        let windows = WindowFunctions(context: context)
        spec = try windows.spec(name, Array(call.arguments.dropFirst()), span, takesOffset: false)
        if let first = call.arguments.first, case .call = first.node,
            case let time = try ExpressionBinder(context, scope: scope, clause: name).bind(first), time.isProcessingTime
        {
            self.time = time
            return
        }
        guard let first = call.arguments.first, case .name(let time) = first.node else {
            throw context.error(
                .validate, "\(name) takes a column first: the time attribute", fix: "write \(name)(ts, INTERVAL '10' SECOND)", at: span)
        }
        let column = try windows.timeAttribute(time, scope, name)
        self.time = .column(column, scope.columns[column].type)
    }
}

/// What window functions in FROM and in GROUP BY have in common.
struct WindowFunctions {
    var context: BindingContext

    /// The column that a name means; it must be a time attribute.
    func timeAttribute(_ name: QualifiedName, _ scope: Scope, _ function: String) throws -> Int {
        let bound = try ExpressionBinder(context, scope: scope, clause: function).bind(SyntaxExpr(.name(name), span: name.span))
        guard case .column(let i, let type) = bound, scope.columns[i].isTimeAttribute || scope.columns[i].isProcessingTime else {
            throw context.error(
                .validate, "\(function) needs a time attribute, but \(name.text) is a plain \(bound.type)",
                fix: bound.type.isTimestamp
                    ? "declare WATERMARK FOR on the table's column, and pass the column on as it is: a cast or function makes it plain"
                    : "use a TIMESTAMP(3) or TIMESTAMP_LTZ(3) column that has a WATERMARK", at: name.span)
        }
        guard type.timeUnit == .milliseconds else {
            throw context.error(
                .validate, "\(function): time attribute \(name.text) is of type \(type)", fix: "declare it with precision 3 or less",
                at: name.span)
        }
        return i
    }

    func spec(_ function: String, _ arguments: [SyntaxExpr], _ span: SourceSpan, takesOffset: Bool) throws -> WindowSpec {
        let words: [String] =
            switch function {
            case "TUMBLE": ["size"]
            case "HOP": ["slide", "size"]
            case "SESSION": ["gap"]
            default: ["step", "size"]
            }
        guard arguments.count == words.count || takesOffset && arguments.count == words.count + 1 else {
            let form = (["time column"] + words + (takesOffset ? ["[offset]"] : [])).joined(separator: ", ")
            throw context.error(.validate, "\(function) takes (\(form)); \(arguments.count + 1) arguments given", at: span)
        }
        let lengths = try arguments.map(milliseconds)
        for (i, word) in words.enumerated() where lengths[i] <= 0 {
            throw context.error(.validate, "\(function): the \(word) must be positive", at: arguments[i].span)
        }
        let offset = lengths.count > words.count ? lengths[words.count] : 0
        if words.count == 2, lengths[1] % lengths[0] != 0 {
            throw context.error(.plan, "\(function): the size must be a multiple of the \(words[0])", at: span)
        }
        if words.count == 2, lengths[1] / lengths[0] > Self.windowsMax {
            throw context.error(
                .plan, "\(function): a row would be in \(lengths[1] / lengths[0]) windows", fix: "use a \(words[0]) of \((lengths[1] + Self.windowsMax - 1) / Self.windowsMax) ms or more",
                at: span)
        }
        if function == "TUMBLE", abs(offset) >= lengths[0] {
            throw context.error(.plan, "TUMBLE: the offset of \(offset) ms must be shorter than the size of \(lengths[0]) ms", at: arguments[1].span)
        }
        return switch function {
        case "TUMBLE": .tumble(size: lengths[0], offset: offset)
        case "HOP": .hop(slide: lengths[0], size: lengths[1], offset: offset)
        case "SESSION": .session(gap: lengths[0])
        default: .cumulate(step: lengths[0], size: lengths[1], offset: offset)
        }
    }

    /// Windows that a row may be in.
    private static let windowsMax: Int64 = 100_000

    private func milliseconds(_ expr: SyntaxExpr) throws -> Int64 {
        let bound = try ExpressionBinder(context, scope: .empty, clause: "a window").bind(expr)
        guard bound.type == .intervalDayTime, case .int(let value)? = Binding.constant(bound) else {
            throw context.error(
                .validate, "a window takes a constant interval of days to seconds here, but this is of type \(bound.type)",
                fix: "write for example INTERVAL '10' SECOND", at: expr.span)
        }
        return value
    }
}

extension QueryBinder {
    /// TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), ...))
    func windowTable(
        _ name: String, _ input: LogicalPlan, _ scope: Scope, _ time: QualifiedName, partitionBy: [SyntaxExpr], _ arguments: [SyntaxExpr],
        _ span: SourceSpan
    ) throws -> LogicalPlan {
        let function = name.uppercased()
        let known = ["TUMBLE", "HOP", "CUMULATE", "SESSION"]
        guard known.contains(function) else {
            throw context.error(.validate, "there is no window function \(name)", fix: NearName.hint(for: function, in: known), at: span)
        }
        if function != "SESSION", let first = partitionBy.first {
            throw context.error(
                .validate, "\(function) takes no PARTITION BY: its windows do not depend on the rows", fix: "leave PARTITION BY out", at: first.span)
        }
        let windows = WindowFunctions(context: context)
        let partitionKeys = try partitionBy.map { key in
            guard case .column(let i, _) = try ExpressionBinder(context, scope: scope, clause: "PARTITION BY").bind(key) else {
                throw context.error(.validate, "PARTITION BY of \(function) takes columns only", fix: "compute the value in a view", at: key.span)
            }
            return i
        }
        let timeColumn = try windows.timeAttribute(time, scope, function)
        let origin = WindowOrigin(
            id: context.counter.next(), window: try windows.spec(function, arguments, span, takesOffset: function != "SESSION"),
            timeType: scope.columns[timeColumn].type, isProcessingTime: scope.columns[timeColumn].isProcessingTime)
        func free(_ name: String) -> String {
            var candidate = name, n = 0
            while input.columns.contains(where: { $0.name == candidate }) {
                candidate = name + "\(n)"
                n += 1
            }
            return candidate
        }
        var columns = input.columns
        let timeType = columns[timeColumn].type
        columns[timeColumn].role = .none  // window_time takes over
        columns.append(PlanColumn(free("window_start"), .timestamp(3), nullable: false, role: .windowStart(origin)))
        columns.append(PlanColumn(free("window_end"), .timestamp(3), nullable: false, role: .windowEnd(origin)))
        columns.append(PlanColumn(free("window_time"), timeType, nullable: false, role: .windowTime(origin)))
        return .windowTable(input, .init(origin: origin, timeColumn: timeColumn, partitionKeys: partitionKeys, columns: columns))
    }
}
