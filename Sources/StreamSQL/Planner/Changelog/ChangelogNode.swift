import StreamCore
import StreamExpressions
import StreamOperators

/// A plan with what the rows of each step do to rows that it gave before.
///
/// Kinds of changes and upsert keys follow from the sources upwards; whether the old row of an update (-U) is given follows from
/// what reads it, downwards.
struct ChangelogNode: Sendable {
    var plan: LogicalPlan
    var inputs: [ChangelogNode]
    var modifications: Modifications
    /// Sets of columns by which a row that was given before is found again; the empty set = there is at most one row.
    var upsertKeys: [Set<Int>]
    /// What updates do to the columns of a row; nil = rows may be taken back.
    var trends: RowTrends?
    /// Updates come with the row before them.
    var givesUpdateBefore = true
    /// The steps that make updates or deletions of what had been final, for error messages; nil = none below.
    var updatedBy: String?

    /// - Parameter source: what the rows of a scan do to rows before.
    init(_ plan: LogicalPlan, source: (LogicalPlan.Scan) throws -> ChangelogMode) throws {
        self.plan = plan
        inputs = try plan.inputs.map { try ChangelogNode($0, source: source) }
        let below = inputs.map(\.modifications)
        switch plan {
        case .scan(let scan): modifications = try source(scan) == .insertOnly ? .insert : .all
        case .values: modifications = .insert
        case .project, .filter, .calc, .windowTable: modifications = below[0]
        case .windowAggregate(_, let a):
            // Sessions that have given results become parts of others.
            modifications = a.emission == nil ? .insert : below[0].isInsertOnly && !a.isSession ? [.insert, .update] : .all
        case .aggregate(_, let a): modifications = Self.aggregated(a, below[0])
        case .join(_, _, let j): modifications = Self.joined(j.kind, below[0], below[1])
        case .union: modifications = below.reduce([]) { $0.union($1) }
        case .sort: modifications = .insert
        case .step(let step, _): modifications = try step.modifications(below)
        }
        upsertKeys = Self.keys(plan, inputs)
        trends = RowTrends(plan, inputs, modifications)
        if case .step(var rank as Rank, let ranked) = plan, let keys = rank.keysOfUpdates(in: inputs[0]) {
            rank.updateKeys = keys
            self.plan = .step(rank, ranked)
        }
        let own = modifications.isInsertOnly ? nil : plan.title
        updatedBy = modifications.isInsertOnly ? nil : inputs.lazy.compactMap(\.updatedBy).last ?? own
        if !modifications.isInsertOnly, below.allSatisfy(\.isInsertOnly) { updatedBy = own }
        if case .aggregate = plan { updatedBy = own }
        if case .join(_, _, let j) = plan, j.kind != .inner, !modifications.isInsertOnly { updatedBy = own }
    }

    private static func aggregated(_ a: LogicalPlan.Aggregate, _ input: Modifications) -> Modifications {
        var kinds = Modifications.insert
        if !a.aggregates.isEmpty { kinds.insert(.update) }
        if !input.isInsertOnly { kinds.insert(.delete) }
        return kinds
    }

    private static func joined(_ kind: JoinKind, _ left: Modifications, _ right: Modifications) -> Modifications {
        var kinds = Modifications.insert
        if left.contains(.update) || !kind.isLeftOnly && right.contains(.update) { kinds.insert(.update) }
        let takesBack: Bool =
            switch kind {
            case .inner: left.contains(.delete) || right.contains(.delete)
            case .left, .right, .full: true
            case .semi: left.contains(.delete) || !right.isInsertOnly
            case .anti: true
            }
        if takesBack { kinds.insert(.delete) }
        return kinds
    }

    // MARK: upsert keys

    private static func keys(_ plan: LogicalPlan, _ inputs: [ChangelogNode]) -> [Set<Int>] {
        switch plan {
        case .scan(let scan):
            let key = scan.table.descriptor.primaryKey
            guard !key.isEmpty else { return [] }
            let columns = key.compactMap { name in scan.used.firstIndex { scan.table.columns[$0].name == name } }
            return columns.count == key.count ? [Set(columns)] : []
        case .values, .union, .windowTable: return []
        case .filter, .sort: return inputs[0].upsertKeys
        case .project(_, let p), .calc(_, _, let p):
            return inputs[0].upsertKeys.compactMap { key in
                let kept = key.map { column in p.exprs.firstIndex { $0.carries(column) } }
                return kept.contains(nil) ? nil : Set(kept.map { $0! })
            }
        case .aggregate(_, let a): return [Set(0..<a.keys.count)]
        case .windowAggregate(_, let a):
            let first = a.keys.count + a.aggregates.count
            return a.properties.indices.filter { a.properties[$0] != .start }.prefix(1).map { Set(0..<a.keys.count).union([first + $0]) }
        case .join(let l, _, let j): return joined(j, inputs[0].upsertKeys, inputs[1].upsertKeys, width: l.columns.count)
        case .step(let step, _): return step.upsertKeys(inputs.map(\.upsertKeys))
        }
    }

    private static func joined(_ j: LogicalPlan.Join, _ left: [Set<Int>], _ right: [Set<Int>], width: Int) -> [Set<Int>] {
        if j.kind.isLeftOnly { return left }
        let shifted = right.map { Set($0.map { $0 + width }) }
        // A side whose key is among the columns that are compared has at most one row for each row of the other.
        let leftIsSingle = left.contains { $0.isSubset(of: j.leftKeys) }, rightIsSingle = right.contains { $0.isSubset(of: j.rightKeys) }
        var keys: [Set<Int>] = []
        if rightIsSingle, !j.kind.keepsRight { keys += left }
        if leftIsSingle, !j.kind.keepsLeft { keys += shifted }
        for a in left { for b in shifted where !keys.contains(a.union(b)) { keys.append(a.union(b)) } }
        return keys
    }

    // MARK: rows before updates

    /// Says for every step whether it gives -U, given that its reader needs it or not.
    mutating func require(updateBefore: Bool) {
        let updates = modifications.contains(.update)
        givesUpdateBefore = updates && updateBefore
        let below = inputs.map(\.modifications)
        for i in inputs.indices {
            let needed: Bool =
                switch plan {
                case .scan, .values: false
                case .project, .union: updateBefore
                // The new row of an update may be in other windows than the old one.
                case .windowTable: true
                // A filter may let the new row of an update pass and not the old one, or the other way round.
                case .filter: true
                case .calc(_, let filter, _): filter != nil || updateBefore
                case .aggregate, .windowAggregate, .join, .sort: true
                case .step(let step, _): step.needsUpdateBefore(of: i, output: updateBefore, below)
                }
            inputs[i].require(updateBefore: needed)
        }
        // What passes rows on cannot hold back what comes from below, and a source gives what it has.
        switch plan {
        case .scan: givesUpdateBefore = updates
        case .project, .filter, .calc, .union, .windowTable: givesUpdateBefore = updates && inputs.contains(where: \.givesUpdateBefore)
        default: break
        }
    }

    // MARK: text

    /// As Flink writes it: I, UB, UA, D.
    var modeText: String {
        var kinds: [String] = []
        if modifications.contains(.insert) { kinds.append("I") }
        if modifications.contains(.update) { kinds += givesUpdateBefore ? ["UB", "UA"] : ["UA"] }
        if modifications.contains(.delete) { kinds.append("D") }
        return "[" + kinds.joined(separator: ",") + "]"
    }

    /// The plan as an indented tree with the mode of every step.
    var treeText: String {
        var lines: [String] = []
        draw(indent: "", branch: "", into: &lines)
        return lines.joined(separator: "\n")
    }

    /// The tree below a line of its own.
    var indentedText: String {
        var lines: [String] = []
        draw(indent: "", branch: "+- ", into: &lines)
        return lines.joined(separator: "\n")
    }

    private func draw(indent: String, branch: String, into lines: inout [String]) {
        lines.append("\(indent)\(branch)\(plan.title), changelogMode=\(modeText)")
        let inner = branch.isEmpty ? indent : indent + (branch == "+- " ? "   " : "|  ")
        for (i, input) in inputs.enumerated() {
            input.draw(indent: inner, branch: i == inputs.count - 1 ? "+- " : ":- ", into: &lines)
        }
    }
}

extension Expr {
    /// Equal for two rows exactly when the column is.
    fileprivate func carries(_ column: Int) -> Bool {
        switch self {
        case .column(column, _): true
        case .call(let f, let args) where f.name == "NOT NULL": args[0].carries(column)
        case .cast(let e, let to, _):
            (e.type.isText && to.isText || e.type.isInteger && to.isInteger && e.type.width <= to.width) && e.carries(column)
        default: false
        }
    }
}
