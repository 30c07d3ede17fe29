import StreamCore

/// What puts the distinct values of a group into buckets: see ``Operators/distinctSplit(_:)``.
public struct DistinctSplitSpec: Sendable, Hashable {
    /// Column numbers of the arguments that are to be distinct, one list for each part.
    public var parts: [[Int]]
    public var buckets: Int
    /// For each filter column that is added: the part whose rows it lets pass, and the column that must be true as well.
    public var filters: [Filter]

    public struct Filter: Sendable, Hashable {
        public var part: Int, condition: Int?
        public init(part: Int, condition: Int?) { (self.part, self.condition) = (part, condition) }
    }

    public init(parts: [[Int]], buckets: Int, filters: [Filter]) {
        (self.parts, self.buckets, self.filters) = (parts, buckets, filters)
    }
}

/// Gives every row once for each part. Keeps no state.
final class DistinctSplitOperator: StreamOperator {
    private let spec: DistinctSplitSpec
    private let hashes = Scratch<UInt64>()

    init(_ spec: DistinctSplitSpec) { self.spec = spec }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let batch = batch.compacted(), n = batch.count
        guard n > 0 else { return .done }
        for (number, columns) in spec.parts.enumerated() {
            let hashes = hashes.reserve(n), buckets = UInt64(spec.buckets)
            KeyGroups.hash(columns.map { batch.columns[$0].flat() }, count: n, into: hashes)
            let part = Column.constant(.int(Int64(number)), type: .int, count: n)
            // Not the bits that key groups are made of, which would leave most buckets of a key empty.
            let bucket = Column.make(.int, count: n, zero: Int32(0)) { Int32(truncatingIfNeeded: RowHash.mix(hashes[$0] ^ 0x5bd1_e995) % buckets) }
            let filters = spec.filters.map { filter -> Column in
                guard filter.part == number else { return .constant(.bool(false), type: .boolean, count: n) }
                return filter.condition.map { batch.columns[$0] } ?? .constant(.bool(true), type: .boolean, count: n)
            }
            try output.emit(Batch(columns: batch.columns + [part, bucket] + filters, physicalCount: n, rowKinds: batch.rowKinds))
        }
        return .done
    }
}

extension Operators {
    /// Gives every row once for each part of `spec`, with columns `part` INT, `bucket` INT (of the part's arguments) and the filters.
    public static func distinctSplit(_ spec: DistinctSplitSpec) -> Factory { { DistinctSplitOperator(spec) } }
}
