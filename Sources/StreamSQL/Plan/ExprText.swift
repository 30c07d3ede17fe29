import StreamCore
import StreamExpressions
import StreamOperators

/// Writes bound expressions, values and windows for EXPLAIN and for the names of job vertices.
enum ExprText {
    static func of(_ expr: Expr, _ columns: [PlanColumn]) -> String {
        switch expr {
        case .column(let i, _): return columns.indices.contains(i) ? columns[i].name : "$\(i)"
        case .literal(let value, let type): return literal(value, type)
        case .call(let function, let args): return call(function.name, args, columns)
        case .cast(let e, let to, let safe): return "\(safe ? "TRY_CAST" : "CAST")(\(of(e, columns)) AS \(to))"
        case .caseWhen(let branches, let otherwise, _):
            return "CASE" + branches.map { " WHEN \(of($0.condition, columns)) THEN \(of($0.result, columns))" }.joined()
                + " ELSE \(of(otherwise, columns)) END"
        case .and(let es): return es.map { nested($0, columns) }.joined(separator: " AND ")
        case .or(let es): return es.map { nested($0, columns) }.joined(separator: " OR ")
        case .not(let e): return "NOT \(nested(e, columns))"
        case .isNull(let e, let negated): return "\(nested(e, columns)) IS \(negated ? "NOT " : "")NULL"
        case .coalesce(let es, _): return "COALESCE(\(list(es, columns)))"
        case .field(let e, let i, _):
            if case .row(let fields) = e.type { return "\(nested(e, columns)).\(fields[i].name)" }
            return "\(nested(e, columns)).\(i)"
        }
    }

    private static func list(_ exprs: [Expr], _ columns: [PlanColumn]) -> String {
        exprs.map { of($0, columns) }.joined(separator: ", ")
    }

    private static func call(_ name: String, _ args: [Expr], _ columns: [PlanColumn]) -> String {
        let isWord = name.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" }
        switch (name, args.count) {
        case ("NEGATE", 1): return "-" + nested(args[0], columns)
        case ("ITEM", 2): return "\(nested(args[0], columns))[\(of(args[1], columns))]"
        case (_, 2) where name == "LIKE" || !isWord && !name.hasPrefix("IS "):
            return "\(nested(args[0], columns)) \(name) \(nested(args[1], columns))"
        case (_, 2) where name.hasSuffix("DISTINCT FROM"): return "\(nested(args[0], columns)) \(name) \(nested(args[1], columns))"
        case (_, 1) where name.hasPrefix("IS "): return "\(nested(args[0], columns)) \(name)"
        default: return "\(name)(\(list(args, columns)))"
        }
    }

    private static func nested(_ expr: Expr, _ columns: [PlanColumn]) -> String {
        switch expr {
        case .and, .or, .not, .isNull, .caseWhen: "(\(of(expr, columns)))"
        case .call(let f, let args) where args.count == 2 && !(f.name.first?.isLetter ?? false): "(\(of(expr, columns)))"
        default: of(expr, columns)
        }
    }

    static func literal(_ value: Value, _ type: DataType) -> String {
        switch (value, type) {
        case (.null, _): return "NULL"
        case (.bool(let b), _): return b ? "TRUE" : "FALSE"
        case (.int(let ms), .intervalDayTime): return "INTERVAL \(length(ms))"
        case (.int(let n), .intervalYearMonth): return "INTERVAL \(n) MONTH"
        case (.int(let n), _): return type.isTemporal ? "\(type)(\(n))" : "\(n)"
        case (.float(let v), _): return "\(v)"
        case (.double(let v), _): return "\(v)"
        case (.decimal(let v), .decimal(_, let scale)): return decimal(v, scale)
        case (.decimal(let v), _): return "\(v)"
        case (.string(let s), _): return "'" + s.replacing("'", with: "''") + "'"
        case (.binary(let bytes), _): return "X'" + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "'"
        case (.array, _), (.map, _), (.row, _): return "\(type)"
        }
    }

    private static func decimal(_ value: Int128, _ scale: Int) -> String {
        guard scale > 0 else { return "\(value)" }
        var digits = String(value.magnitude)
        if digits.count <= scale { digits = String(repeating: "0", count: scale + 1 - digits.count) + digits }
        return (value < 0 ? "-" : "") + digits.dropLast(scale) + "." + digits.suffix(scale)
    }

    /// `10 s`, `1 min`: the largest unit that divides it.
    static func length(_ milliseconds: Int64) -> String {
        for (unit, n) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)] as [(String, Int64)]
        where milliseconds != 0 && milliseconds % n == 0 {
            return "\(milliseconds / n) \(unit)"
        }
        return "\(milliseconds) ms"
    }

    static func window(_ window: WindowSpec) -> String {
        let (name, lengths, offset): (String, [Int64], Int64) =
            switch window {
            case .tumble(let size, let offset): ("TUMBLE", [size], offset)
            case .hop(let slide, let size, let offset): ("HOP", [slide, size], offset)
            case .cumulate(let step, let size, let offset): ("CUMULATE", [step, size], offset)
            case .session(let gap): ("SESSION", [gap], 0)
            }
        return "\(name)(" + (lengths.map(length) + (offset == 0 ? [] : ["offset \(length(offset))"])).joined(separator: ", ") + ")"
    }

    /// ` emitting early after 1 s, late rows up to 1 min`: when results come apart from the end of a window.
    static func emission(_ emission: WindowEmission?) -> String {
        guard let emission else { return "" }
        let early = emission.earlyDelay.map { "early after \(length($0))" }
        let late = emission.allowedLateness > 0 ? "late rows up to \(length(emission.allowedLateness)) after \(length(emission.lateDelay))" : nil
        return " emitting " + [early, late].compactMap { $0 }.joined(separator: ", ")
    }

    static func windowTable(_ table: LogicalPlan.WindowTable, _ input: [PlanColumn]) -> String {
        let by = table.partitionKeys.isEmpty ? "" : " by " + table.partitionKeys.map { input[$0].name }.joined(separator: ", ")
        return "\(window(table.origin.window)) on \(input[table.timeColumn].name)\(by)"
    }

    static func aggregate(_ call: AggregateCall, _ input: [PlanColumn]) -> String {
        let inside = call.arguments.isEmpty ? "*" : call.arguments.map { input[$0].name }.joined(separator: ", ")
        return "\(call.function)(\(call.distinct ? "DISTINCT " : "")\(inside))" + (call.filter.map { " FILTER \(input[$0].name)" } ?? "")
    }

    static func sortKey(_ key: SortSpec.Key, _ columns: [PlanColumn]) -> String {
        let nullsFirst = key.nullsFirst == key.descending ? (key.nullsFirst ? " NULLS FIRST" : " NULLS LAST") : ""
        return columns[key.column].name + (key.descending ? " DESC" : "") + nullsFirst
    }

    /// `k`, or `p * 2 AS double_p`.
    static func projection(_ projection: LogicalPlan.Projection, _ input: [PlanColumn]) -> String {
        zip(projection.exprs, projection.columns).map { expr, column in
            let text = of(expr, input)
            return text == column.name ? text : "\(text) AS \(column.name)"
        }.joined(separator: ", ")
    }
}
