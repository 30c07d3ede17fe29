import StreamCore
import StreamExpressions
import StreamOperators

extension LogicalPlan {
    /// The plan as an indented tree, the last step first.
    public var treeText: String {
        var lines: [String] = []
        draw(indent: "", branch: "", into: &lines)
        return lines.joined(separator: "\n")
    }

    private func draw(indent: String, branch: String, into lines: inout [String]) {
        lines.append(indent + branch + title)
        let inner = branch.isEmpty ? indent : indent + (branch == "+- " ? "   " : "|  ")
        for (i, input) in inputs.enumerated() {
            input.draw(indent: inner, branch: i == inputs.count - 1 ? "+- " : ":- ", into: &lines)
        }
    }

    /// One line that says what the step does.
    public var title: String {
        switch self {
        case .scan(let s):
            let values = s.partitionFilter.keys.sorted().map { key in
                "\(key) in (" + s.partitionFilter[key]!.map { ExprText.literal($0, .string) }.sorted().joined(separator: ", ") + ")"
            }
            let ranges = s.partitionRanges.keys.sorted().map { Self.text($0, s.partitionRanges[$0]!) }
            let pruned = values.isEmpty && ranges.isEmpty ? "" : ", partitions: " + (values + ranges).joined(separator: ", ")
            let pushed = s.filter.isEmpty ? "" : ", skip by: " + s.filter.map { Self.text($0, s.table.descriptor.schema[$0.column]) }.joined(separator: " AND ")
            return "Scan(\(s.table.path.short): \(s.columns.map(\.name).joined(separator: ", "))\(pruned)\(pushed))"
        case .values(let v):
            return "Values(\(v.rows.count) \(v.rows.count == 1 ? "row" : "rows"): \(v.columns.map(\.name).joined(separator: ", ")))"
        case .project(let input, let p): return "Project(\(ExprText.projection(p, input.columns)))"
        case .filter(let input, let e): return "Filter(\(ExprText.of(e, input.columns)))"
        case .calc(let input, let filter, let p):
            let select = p.exprs.isEmpty ? [] : ["select: " + ExprText.projection(p, input.columns)]
            return "Calc(" + ((filter.map { ["where: " + ExprText.of($0, input.columns)] } ?? []) + select).joined(separator: ", ") + ")"
        case .windowTable(let input, let w):
            return "WindowTable(\(ExprText.windowTable(w, input.columns)))"
        case .windowAggregate(let input, let a): return "WindowAggregate(\(Self.aggregation(a, input.columns)))"
        case .aggregate(let input, let a):
            let ttl = a.stateTTL.map { ", state TTL: " + Durations.text($0) } ?? ""
            return "GroupAggregate(\(Self.aggregation(keys: a.keys, a.aggregates, input.columns))\(ttl))"
        case .join(let l, let r, let j):
            let parts = Self.joinParts(j, l.columns, r.columns)
            let ttls = [j.leftTTL.map { "left " + Durations.text($0) }, j.rightTTL.map { "right " + Durations.text($0) }].compactMap { $0 }
            let ttl = ttls.isEmpty ? "" : ", state TTL: " + ttls.joined(separator: ", ")
            let on = parts.isEmpty && j.kind != .inner ? "TRUE" : parts.joined(separator: " AND ")
            let kind = j.kind.rawValue.capitalized
            return on.isEmpty ? "CrossJoin" : "\(j.kind == .inner ? "" : kind)Join(\(on)\(ttl))"
        case .union(let inputs, _): return "UnionAll(\(inputs.count) inputs)"
        case .sort(let input, let s):
            var parts: [String] = []
            if !s.keys.isEmpty { parts.append("by: " + s.keys.map { ExprText.sortKey($0, input.columns) }.joined(separator: ", ")) }
            if s.offset > 0 { parts.append("offset: \(s.offset)") }
            if let limit = s.limit { parts.append("limit: \(limit)") }
            return (s.keys.isEmpty ? "Limit(" : "Sort(") + parts.joined(separator: ", ") + ")"
        case .step(let step, let inputs): return step.title(inputs.map(\.columns))
        }
    }

    /// What pairs of a join fulfil, one text for each key and one for the rest.
    static func joinParts(_ j: Join, _ left: [PlanColumn], _ right: [PlanColumn]) -> [String] {
        let keys = zip(j.leftKeys, j.rightKeys).enumerated().map { i, key in
            "\(left[key.0].name) \(j.nullSafeKeys.contains(i) ? "IS NOT DISTINCT FROM" : "=") \(right[key.1].name)"
        }
        return keys + (j.condition.map { [ExprText.of($0, left + right)] } ?? [])
    }

    static func aggregation(keys: [Int], _ aggregates: [AggregateCall], _ input: [PlanColumn]) -> String {
        let by = keys.isEmpty ? [] : ["by: " + keys.map { input[$0].name }.joined(separator: ", ")]
        let calls = aggregates.isEmpty ? [] : ["compute: " + aggregates.map { ExprText.aggregate($0, input) }.joined(separator: ", ")]
        return (by + calls).joined(separator: ", ")
    }

    static func aggregation(_ a: WindowAggregate, _ input: [PlanColumn]) -> String {
        let window =
            switch a.assignment {
            case .time(let spec, let column): "\(ExprText.window(spec)) on \(input[column].name)"
            case .attached(let origin, let start, let end): "\(ExprText.window(origin.window)) as \(input[start].name), \(input[end].name)"
            }
        let rest = aggregation(keys: a.keys, a.aggregates, input)
        let properties = a.properties.isEmpty ? [] : ["give: " + a.properties.map { "\($0)" }.joined(separator: ", ")]
        return ([window + ExprText.emission(a.emission)] + (rest.isEmpty ? [] : [rest]) + properties).joined(separator: ", ")
    }

    private static func text(_ predicate: ScanPredicate, _ field: Field) -> String {
        func literal(_ value: Value) -> String {
            if case .double = value { return ExprText.literal(value, .double) }
            return ExprText.literal(value, field.type)
        }
        switch predicate.condition {
        case .compares(let comparison, let value): return "\(field.name) \(comparison.rawValue) \(literal(value))"
        case .isIn(let values): return "\(field.name) IN (" + values.map(literal).joined(separator: ", ") + ")"
        case .isNull: return "\(field.name) IS NULL"
        case .isNotNull: return "\(field.name) IS NOT NULL"
        }
    }

    private static func text(_ key: String, _ range: ValueRange) -> String {
        let lower = range.lower.map { "\(key) \(range.includesLower ? ">=" : ">") " + ExprText.literal($0, .string) }
        let upper = range.upper.map { "\(key) \(range.includesUpper ? "<=" : "<") " + ExprText.literal($0, .string) }
        return [lower, upper].compactMap { $0 }.joined(separator: ", ")
    }
}
