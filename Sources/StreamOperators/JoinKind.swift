/// Which rows a join gives beside the pairs that match.
public enum JoinKind: String, Sendable, Hashable {
    case inner, left, right, full
    /// Left rows that have a match, or have none: the result has the left columns only.
    case semi, anti

    /// Left rows without a match come with nulls for the right columns.
    public var keepsLeft: Bool { self == .left || self == .full }
    public var keepsRight: Bool { self == .right || self == .full }
    /// The result has the left columns only.
    public var isLeftOnly: Bool { self == .semi || self == .anti }
}
