import StreamCore

/// The sets of keys that a GROUP BY with GROUPING SETS, ROLLUP or CUBE stands for.
enum GroupingSets {
    private static let constructs: Set<String> = ["GROUPING SETS", "ROLLUP", "CUBE"]
    /// Every row is multiplied by the number of sets.
    private static let setsMax = 4_096

    /// Functions that tell the sets of a result apart.
    static let functions: Set<String> = ["GROUPING", "GROUPING_ID", "GROUP_ID"]

    /// The keys of each set, in the order written; nil for a GROUP BY of keys alone.
    static func expand(_ groupBy: [SyntaxExpr], _ context: BindingContext) throws -> [[SyntaxExpr]]? {
        guard groupBy.contains(where: isConstruct) else { return nil }
        var sets: [[SyntaxExpr]] = [[]]
        for element in groupBy {
            let own = try self.sets(of: element, context)
            guard sets.count * own.count <= setsMax else { throw tooMany(element, context) }
            sets = sets.flatMap { set in own.map { set + $0 } }
        }
        return sets
    }

    private static func isConstruct(_ element: SyntaxExpr) -> Bool {
        switch element.node {
        case .row(let parts): parts.isEmpty
        case .call(let call): constructs.contains(call.name)
        default: false
        }
    }

    private static func tooMany(_ element: SyntaxExpr, _ context: BindingContext) -> StreamError {
        context.error(.validate, "GROUP BY stands for more than \(setsMax) sets of keys", fix: "name the sets in GROUPING SETS (...)", at: element.span)
    }

    private static func sets(of element: SyntaxExpr, _ context: BindingContext) throws -> [[SyntaxExpr]] {
        guard case .call(let call) = element.node, constructs.contains(call.name) else { return [parts(element)] }
        guard call.name != "GROUPING SETS" else { return try call.arguments.flatMap { try sets(of: $0, context) } }
        for argument in call.arguments where isConstruct(argument) && !parts(argument).isEmpty {
            throw context.error(.validate, "\(call.name) takes keys, and lists of keys in parentheses", at: argument.span)
        }
        let items = call.arguments.map(parts)
        if call.name == "ROLLUP" { return (0...items.count).reversed().map { items[..<$0].flatMap { $0 } } }
        guard items.count <= 12 else { throw tooMany(element, context) }
        return (0..<1 << items.count).map { left in
            items.indices.filter { left & 1 << (items.count - 1 - $0) == 0 }.flatMap { items[$0] }
        }
    }

    private static func parts(_ element: SyntaxExpr) -> [SyntaxExpr] {
        if case .row(let parts) = element.node { parts } else { [element] }
    }
}
