import StreamCore
import StreamExpressions
import StreamOperators

/// Makes a full changelog of what a source gives by primary key alone, or may give twice.
public struct ChangelogNormalize: PlanStep {
    /// Columns of the primary key.
    public var keys: [Int]
    public var columns: [PlanColumn]

    public func title(_ inputs: [[PlanColumn]]) -> String { "ChangelogNormalize(by: \(keys.map { columns[$0].name }.joined(separator: ", ")))" }

    public func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        let (below, map) = pruning.prune(inputs[0], needed.union(keys))
        return (.step(ChangelogNormalize(keys: keys.map { map[$0]! }, columns: below.columns), [below]), map)
    }

    /// A condition on the key keeps or drops all rows of a key.
    public func pushed(_ conditions: [Expr], _ inputs: [[PlanColumn]]) -> (below: [[Expr]], above: [Expr]) {
        let passes = { (e: Expr) in !e.columns.isEmpty && e.columns.isSubset(of: keys) && e.isDeterministic }
        return ([conditions.filter(passes)], conditions.filter { !passes($0) })
    }

    public func modifications(_ inputs: [Modifications]) throws -> Modifications { .all }
    public func needsUpdateBefore(of input: Int, output: Bool, _ inputs: [Modifications]) -> Bool { false }
    public func upsertKeys(_ inputs: [[Set<Int>]]) -> [Set<Int>] { [Set(keys)] }

    public func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        builder.addStep(
            title([]), after: inputs[0], .keys(keys), columns,
            Operators.changelogNormalize(
                UpsertSpec(inputSchema: inputs[0].columns.map(\.field), keys: keys, emitUpdateBefore: builder.emitsUpdateBefore,
                           stateTTL: builder.timeToLive(nil))))
    }
}

/// Puts ``ChangelogNormalize`` behind the scans that need it: those of upsert sources and, with
/// `table.exec.source.cdc-events-duplicate`, those of changelogs of tables with a primary key.
struct ChangelogNormalization {
    let settings: SessionSettings
    let mode: (LogicalPlan.Scan) throws -> ChangelogMode

    init(settings: SessionSettings, mode: @escaping (LogicalPlan.Scan) throws -> ChangelogMode) { (self.settings, self.mode) = (settings, mode) }

    func apply(_ plan: LogicalPlan) throws -> LogicalPlan {
        let mayRepeat = settings.values["table.exec.source.cdc-events-duplicate"]?.lowercased() == "true"
        return try plan.rewritten { step in
            guard case .scan(let scan) = step, case let names = scan.table.descriptor.primaryKey, !names.isEmpty else { return step }
            let mode = try mode(scan)
            guard mode == .upsert || mode == .all && mayRepeat else { return step }
            let keys = names.compactMap { name in scan.used.firstIndex { scan.table.columns[$0].name == name } }
            guard keys.count == names.count else { return step }
            return .step(ChangelogNormalize(keys: keys, columns: step.columns), [step])
        }
    }
}
