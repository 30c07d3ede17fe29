import StreamCore

/// Tables whose rows are given; `'connector' = 'rows'`. A table that is filled with kinds is a changelog. One split each, read in
/// order and in batches of what the reader is asked for.
public struct RowsConnector: TableConnector {
    public let identifier = "rows"
    private let tables: [String: ReferenceInterpreter.Table]

    public init(_ tables: [String: ReferenceInterpreter.Table]) { self.tables = tables }

    public func optionKeys(for table: TableDescriptor) -> Set<String> { [] }
    public func validate(_ table: TableDescriptor) throws {}

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        let contents = tables[table.name] ?? .init(rows: [])
        return Source(
            schema: scan.projection.map { table.schema[$0] }, rows: contents.rows.map { row in scan.projection.map { row[$0] } }, kinds: contents.kinds)
    }

    private struct Source: TableSource {
        var schema: Schema, rows: [[Value]], kinds: [RowKind]?
        var isBounded: Bool { true }
        var producesChanges: Bool { kinds != nil }
        func splits() throws -> [SourceSplit] { [SourceSplit(id: "0")] }
        func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
            Reader(self, from: split.position.flatMap { Int($0) } ?? 0)
        }
    }

    private final class Reader: SplitReader {
        private let source: Source
        private var next: Int
        init(_ source: Source, from next: Int) { (self.source, self.next) = (source, next) }

        var position: String { "\(next)" }

        func next(maxRows: Int) throws -> ReadResult {
            guard next < source.rows.count else { return .endOfSplit }
            let range = next..<min(next + max(1, maxRows), source.rows.count)
            next = range.upperBound
            return .batch(Batch(schema: source.schema, rows: Array(source.rows[range]), kinds: source.kinds.map { Array($0[range]) }))
        }
    }
}
