import StreamCore
import StreamExpressions

/// A forest of robust random cut trees that scores each row against the rows of its key before it.
public struct RandomCutForestSpec: Sendable {
    public var inputSchema: Schema
    /// Columns whose values have forests of their own; none = one forest.
    public var partition: [Int]
    /// DOUBLE expressions over the input: the dimensions of a point.
    public var features: [Expr]
    public var forest: RandomCutForestOptions
    /// Behind the score, its share of the sample and the part that each feature has in it are given.
    public var explains: Bool

    public init(inputSchema: Schema, partition: [Int], features: [Expr], forest: RandomCutForestOptions, explains: Bool) {
        self.inputSchema = inputSchema
        self.partition = partition
        self.features = features
        self.forest = forest
        self.explains = explains
    }
}

/// How a forest learns.
public struct RandomCutForestOptions: Sendable, Hashable {
    /// Trees in the forest.
    public var trees = 100
    /// Points that each tree holds at most.
    public var samples = 256
    /// Rows over which the past is forgotten: a row that is this many rows old is held with 1/e of the weight of a new one.
    public var timeDecay = 100_000
    /// Consecutive rows that make up one point.
    public var shingle = 1
    /// Points that are learned before the first score is given.
    public var outputAfter: Int
    /// Differences count in deviations of their column rather than in its unit.
    public var normalizes = false
    /// The same input and seed give the same scores.
    public var seed: UInt64 = 0

    public init() { outputAfter = 64 }
}

extension Operators {
    /// RANDOM_CUT_FOREST: the input's columns, then the score (DOUBLE, null while the forest has learned too little or a feature is
    /// null); with explanation also the score as a share of the sample, and each feature's part. Its input must be partitioned by `spec.partition`.
    public static func randomCutForest(_ spec: RandomCutForestSpec, context: EvaluationContext) -> Factory {
        // One forest fits into memory whatever the backend.
        if spec.partition.isEmpty { return { RandomCutForestOperator(spec, context) } }
        return keyed { RandomCutForestOperator(spec, context) }
    }
}
