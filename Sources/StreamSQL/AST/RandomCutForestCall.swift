/// RANDOM_CUT_FOREST(TABLE t, DESCRIPTOR(a, b), ...) behind FROM TABLE.
public struct RandomCutForestCall: Sendable {
    /// RANDOM_CUT_FOREST_WITH_EXPLANATION
    public var explains: Bool
    public var input: TableRef
    public var columns: [QualifiedName]
    /// By parameter, as in ``parameters``.
    public var arguments: [String: SyntaxExpr]

    static let names = ["RANDOM_CUT_FOREST": false, "RANDOM_CUT_FOREST_WITH_EXPLANATION": true]
    /// Behind DATA and COLUMNS, in order, as they are written; `_` and case make no difference.
    static let parameters = ["NUMBER_OF_TREES", "SUB_SAMPLE_SIZE", "TIME_DECAY", "SHINGLE_SIZE", "OUTPUT_AFTER", "NORMALIZE", "SEED"]
    static let usage = "RANDOM_CUT_FOREST(TABLE t [PARTITION BY k], DESCRIPTOR(a, b) [, NUMBER_OF_TREES => 100, ...])"
}
