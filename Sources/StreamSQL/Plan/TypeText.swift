import StreamCore
import StreamExpressions

/// Types as TYPEOF shows them: with Flink's names and whether nulls may be there.
enum TypeText {
    static func of(_ expr: Expr, in columns: [PlanColumn]) -> String {
        if expr.isUntypedNull { return "NULL" }
        return name(expr, in: columns) + (expr.isNullable(in: columns) ? "" : " NOT NULL")
    }

    private static func name(_ expr: Expr, in columns: [PlanColumn]) -> String {
        func part(_ type: DataType, _ args: ArraySlice<Expr>) -> String {
            name(type) + (args.contains { $0.isNullable(in: columns) } ? "" : " NOT NULL")
        }
        guard case .call(let function, let args) = expr else { return name(expr.type) }
        switch (function.name, expr.type) {
        case ("ARRAY", .array(let element)): return "ARRAY<\(part(element, args[...]))>"
        case ("MAP", .map(let key, let value)):
            return "MAP<\(part(key, args[..<(args.count / 2)])), \(part(value, args[(args.count / 2)...]))>"
        case ("ROW", .row(let fields)):
            return "ROW<" + zip(fields, args).map { "`\($0.name)` \(of($1, in: columns))" }.joined(separator: ", ") + ">"
        default: return name(expr.type)
        }
    }

    private static func name(_ type: DataType) -> String {
        switch type {
        case .intervalDayTime: "INTERVAL SECOND(3)"
        case .intervalYearMonth: "INTERVAL MONTH"
        case .array(let element): "ARRAY<\(name(element))>"
        case .map(let key, let value): "MAP<\(name(key)), \(name(value))>"
        case .row(let fields): "ROW<" + fields.map { "`\($0.name)` \(name($0.type))\($0.nullable ? "" : " NOT NULL")" }.joined(separator: ", ") + ">"
        default: type.description
        }
    }
}
