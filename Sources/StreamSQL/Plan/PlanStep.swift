import StreamCore
import StreamExpressions
import StreamOperators

/// A relational step of one or more inputs that says itself what the planner must know of it: its columns, what it reads, which
/// conditions may pass it, what it does to a changelog, and how it runs.
///
/// `inputs` are its inputs' columns, in order, in all calls.
public protocol PlanStep: Sendable {
    /// The columns of its output.
    var columns: [PlanColumn] { get }
    /// One line for EXPLAIN: all that tells it from other steps of its kind.
    func title(_ inputs: [[PlanColumn]]) -> String

    // MARK: rewriting

    /// The step over pruned inputs, with at least the columns `needed`, and where each of those is now.
    func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int])
    /// Which of the conditions over its output hold just as well when they are applied to an input before the step, in that
    /// input's column numbers; the others stay above.
    func pushed(_ conditions: [Expr], _ inputs: [[PlanColumn]]) -> (below: [[Expr]], above: [Expr])
    /// The step with each of its expressions replaced by an equal one.
    func mappingExpressions(_ map: (Expr) -> Expr) -> any PlanStep

    // MARK: changelog

    /// What its output does to rows given before, when its inputs do `inputs`.
    ///
    /// - Throws: `.plan` when it cannot take such an input.
    func modifications(_ inputs: [Modifications]) throws -> Modifications
    /// Whether input number `i` must give the old row of an update (-U) too, when the output has to (`output`) or need not.
    func needsUpdateBefore(of input: Int, output: Bool, _ inputs: [Modifications]) -> Bool
    /// Sets of output columns by which a row of the output can be found again, from those of the inputs.
    func upsertKeys(_ inputs: [[Set<Int>]]) -> [Set<Int>]

    // MARK: running

    /// Adds the vertices that do it; `inputs` are the streams of its inputs.
    func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream
}

/// What a stream's rows do to rows that it gave before.
public struct Modifications: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let insert = Modifications(rawValue: 1)
    public static let update = Modifications(rawValue: 2)
    public static let delete = Modifications(rawValue: 4)
    public static let all: Modifications = [.insert, .update, .delete]

    /// New rows only.
    public var isInsertOnly: Bool { self == .insert }
}

extension PlanStep {
    public func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        let whole = inputs.map { pruning.exactly(Array($0.columns.indices), of: $0) }
        return (.step(self, whole), Dictionary(uniqueKeysWithValues: columns.indices.map { ($0, $0) }))
    }

    public func pushed(_ conditions: [Expr], _ inputs: [[PlanColumn]]) -> (below: [[Expr]], above: [Expr]) {
        (inputs.map { _ in [] }, conditions)
    }

    public func mappingExpressions(_ map: (Expr) -> Expr) -> any PlanStep { self }
    public func modifications(_ inputs: [Modifications]) throws -> Modifications { inputs.reduce([]) { $0.union($1) } }
    public func needsUpdateBefore(of input: Int, output: Bool, _ inputs: [Modifications]) -> Bool { true }
    public func upsertKeys(_ inputs: [[Set<Int>]]) -> [Set<Int>] { [] }
}
