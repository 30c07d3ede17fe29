import StreamCore

/// The rows that the functions of an OVER see: from some rows before up to the current one.
public struct OverFrame: Hashable, Sendable {
    /// RANGE: by the value ordered by, with all rows equal to the current one; else by row.
    public var isRange: Bool
    /// Rows, or milliseconds of the time attribute; nil = all.
    public var preceding: Int64?

    public init(isRange: Bool, preceding: Int64? = nil) {
        self.isRange = isRange
        self.preceding = preceding
    }
}

/// One function of an OVER.
public enum OverCall: Hashable, Sendable {
    case aggregate(AggregateCall)
    /// BIGINT, from 1, whatever the frame is.
    case rowNumber, rank, denseRank
    /// The column's value `offset` rows before, or that of the column `otherwise` (of the current row; nil = null).
    case lag(column: Int, type: DataType, offset: Int, otherwise: Int?)

    public var resultType: DataType {
        switch self {
        case .aggregate(let call): call.resultType
        case .rowNumber, .rank, .denseRank: .bigint
        case .lag(_, let type, _, _): type
        }
    }

    /// Input columns that it reads.
    public var columns: [Int] {
        switch self {
        case .aggregate(let call): call.arguments + (call.filter.map { [$0] } ?? [])
        case .rowNumber, .rank, .denseRank: []
        case .lag(let column, _, _, let otherwise): [column] + (otherwise.map { [$0] } ?? [])
        }
    }
}

/// Functions OVER (PARTITION BY ... ORDER BY ...). Output columns: the input's, then a column for each call.
public struct OverSpec: Sendable {
    /// How rows are ordered, and when they are given.
    public enum Order: Sendable, Hashable {
        /// By the time attribute, each row once, when the watermark has passed it. Append-only.
        case eventTime(column: Int)
        /// As they come, at once. Append-only.
        case arrival
        /// By any columns: rows are given at once, and again whenever their results change. Equal rows stand as they came.
        case keys([SortSpec.Key])
    }
    public var inputSchema: Schema
    public var partition: [Int]
    public var order: Order
    public var frame: OverFrame
    public var calls: [OverCall]
    public var inputChanges: Bool
    public var emitsUpdateBefore: Bool
    /// Wall-clock time after its last row at which a partition is forgotten (`table.exec.state.ttl`); nil = never.
    public var stateTTL: Duration?

    public init(inputSchema: Schema, partition: [Int], order: Order, frame: OverFrame, calls: [OverCall], inputChanges: Bool = false,
                emitsUpdateBefore: Bool = true, stateTTL: Duration? = nil) {
        self.inputSchema = inputSchema
        self.partition = partition
        self.order = order
        self.frame = frame
        self.calls = calls
        self.inputChanges = inputChanges
        self.emitsUpdateBefore = emitsUpdateBefore
        self.stateTTL = stateTTL
    }
}
