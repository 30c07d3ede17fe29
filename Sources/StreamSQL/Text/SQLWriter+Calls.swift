import StreamCore

extension SQLWriter {
    /// A call with its clauses.
    public func text(_ call: FunctionCall) -> String {
        if let other = self.call(call, self) { return other }
        let name = call.name.uppercased()
        if Keywords.bareFunctions.contains(name), call.arguments.isEmpty, !call.star { return name }
        switch name {
        case "GROUPING SETS", "ROLLUP", "CUBE": return "\(name) (\(call.arguments.map(groupingElement).joined(separator: ", ")))"
        case "TIME DIFFERENCE" where call.arguments.count == 3:
            return "(\(text(call.arguments[1])) - \(subtracted(call.arguments[2]))) \(unit(call.arguments[0]))"
        case "OVERLAPS" where call.arguments.count == 4:
            return "(\(list(Array(call.arguments[..<2])))) OVERLAPS (\(list(Array(call.arguments[2...]))))"
        default: break
        }
        let clauses = (call.ignoresNulls ? " IGNORE NULLS" : "") + (call.filter.map { " FILTER (WHERE \(text($0)))" } ?? "")
            + (call.over.map { " OVER (\(text($0)))" } ?? "")
        // Flink takes no operator in front of IN; LOCATE is the same function with a comma.
        let written = name == "POSITION" && call.arguments.count == 2 && style == .readable && !isAtomic(call.arguments[0]) ? "LOCATE" : name
        return "\(Self.function(written))(\(arguments(of: call, written)))" + clauses
    }

    /// A function's name: many are reserved words and yet stand without backticks before "(".
    static func function(_ name: String) -> String {
        if Keywords.functions.contains(name) || name == "IF" { return Keywords.functionsOfUsers.contains(name) ? backticked(name) : name }
        return identifier(name)
    }

    private func unit(_ expr: SyntaxExpr) -> String { if case .string(let word) = expr.node { word } else { text(expr) } }

    private func isText(_ expr: SyntaxExpr, _ wanted: String) -> Bool { if case .string(wanted) = expr.node { true } else { false } }

    private func isText(_ expr: SyntaxExpr) -> Bool { if case .string = expr.node { true } else { false } }

    private func arguments(of call: FunctionCall, _ name: String) -> String {
        let args = call.arguments
        switch name {
        case "EXTRACT" where args.count == 2: return "\(unit(args[0])) FROM \(text(args[1]))"
        case "FLOOR" where args.count == 2 && isText(args[1]), "CEIL" where args.count == 2 && isText(args[1]): return "\(text(args[0])) TO \(unit(args[1]))"
        case "TIMESTAMPADD" where args.count == 3, "TIMESTAMPDIFF" where args.count == 3: return "\(unit(args[0])), \(list(Array(args[1...])))"
        case "TRIM" where args.count == 3:
            if style == .readable, isText(args[0], "BOTH"), isText(args[1], " ") { return text(args[2]) }
            return "\(unit(args[0])) \(text(args[1])) FROM \(text(args[2]))"
        case "POSITION" where args.count == 2 && (style == .definition || isAtomic(args[0])): return "\(part(args[0])) IN \(text(args[1]))"
        case "OVERLAY" where args.count == 3 || args.count == 4:
            return "\(text(args[0])) PLACING \(text(args[1])) FROM \(text(args[2]))" + (args.count > 3 ? " FOR \(text(args[3]))" : "")
        case "JSON_VALUE", "JSON_QUERY", "JSON_EXISTS": return jsonPath(call)
        case "JSON_OBJECT", "JSON_OBJECTAGG":
            let entries = stride(from: 0, to: args.count - 1, by: 2).map { "KEY \(text(args[$0])) VALUE \(text(args[$0 + 1]))" }
            return entries.joined(separator: ", ") + onNull(call)
        case "JSON_ARRAY", "JSON_ARRAYAGG": return list(args) + onNull(call)
        default: return call.star ? "*" : (call.distinct ? "DISTINCT " : "") + list(args)
        }
    }

    private func onNull(_ call: FunctionCall) -> String { call.onNull.map { (call.arguments.isEmpty ? "" : " ") + "\($0) ON NULL" } ?? "" }

    private func jsonPath(_ call: FunctionCall) -> String {
        func clause(_ what: String?, _ value: SyntaxExpr?, _ on: String) -> String {
            what.map { " \($0)" + (value.map { " \(text($0))" } ?? "") + " ON \(on)" } ?? ""
        }
        let wrapper =
            switch call.wrapper {
            case nil: ""
            case "WITHOUT"?: " WITHOUT ARRAY WRAPPER"
            case let kind?: " WITH \(kind) ARRAY WRAPPER"
            }
        return list(call.arguments) + (call.returning.map { " RETURNING \(type($0))" } ?? "") + wrapper
            + clause(call.onEmpty, call.emptyDefault, "EMPTY") + clause(call.onError, call.errorDefault, "ERROR")
    }

    // MARK: OVER, ORDER BY, GROUP BY

    /// What stands in OVER (...).
    public func text(_ window: OverWindow) -> String {
        var parts: [String] = []
        if !window.partitionBy.isEmpty { parts.append("PARTITION BY \(list(window.partitionBy))") }
        if !window.orderBy.isEmpty { parts.append("ORDER BY \(orderItems(window.orderBy).joined(separator: ", "))") }
        if let bounds = window.bounds {
            parts.append("\(bounds.isRange ? "RANGE" : "ROWS") BETWEEN \(bound(bounds.lower)) AND \(bound(bounds.upper))")
        } else if let frame = window.frame {
            parts.append(frame)
        }
        return parts.joined(separator: " ")
    }

    private func bound(_ bound: OverWindow.Bounds.Bound) -> String {
        switch bound {
        case .unbounded(let preceding): "UNBOUNDED \(preceding ? "PRECEDING" : "FOLLOWING")"
        case .currentRow: "CURRENT ROW"
        case .offset(let length, let preceding): "\(text(length)) \(preceding ? "PRECEDING" : "FOLLOWING")"
        }
    }

    func orderItems(_ items: [OrderItem]) -> [String] {
        items.map { text($0.expr) + ($0.descending ? " DESC" : "") + ($0.nullsFirst.map { " NULLS \($0 ? "FIRST" : "LAST")" } ?? "") }
    }

    /// A key of GROUP BY: `(a, b)` inside of GROUPING SETS, ROLLUP and CUBE, `()` for no key.
    private func groupingElement(_ expr: SyntaxExpr) -> String {
        if case .row(let keys) = expr.node { "(\(list(keys)))" } else { text(expr) }
    }

    func groupingKey(_ expr: SyntaxExpr) -> String {
        if case .row(let keys) = expr.node, keys.isEmpty { "()" } else { text(expr) }
    }
}
