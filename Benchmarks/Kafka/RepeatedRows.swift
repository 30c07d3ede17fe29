import StreamCore

/// `'connector' = 'repeat'`: the same batch of rows again and again, so that only writing is measured, as rdkafka_performance writes the same message.
struct RepeatedRows: TableConnector {
    let identifier = "repeat"

    func optionKeys(for table: TableDescriptor) -> Set<String> { ["rows"] }
    func validate(_ table: TableDescriptor) throws {}
    func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        let schema = scan.projection.map { table.schema[$0] }
        let rows = (0..<8_192).map { i -> [Value] in
            let all: [Value] = [.int(Int64(100 + i % 900)), .double(Double(20 + i % 70) + 0.5), .string(RawClient.statuses[i % 3]), .string("2024-01-01T00:00:00.\(100 + i % 900)")]
            return scan.projection.map { all[$0] }
        }
        return Source(batch: Batch(schema: schema, rows: rows, kinds: nil), rows: Int(table.options["rows"] ?? "") ?? 0)
    }

    struct Source: TableSource {
        let batch: Batch, rows: Int
        var isBounded: Bool { true }
        func splits() throws -> [SourceSplit] { [SourceSplit(id: "0")] }
        func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader { Reader(batch, rows) }
    }

    final class Reader: SplitReader {
        private let batch: Batch
        private var left: Int
        init(_ batch: Batch, _ rows: Int) { (self.batch, left) = (batch, rows) }
        var position: String { "\(left)" }
        func next(maxRows: Int) throws -> ReadResult {
            guard left > 0 else { return .endOfSplit }
            left -= batch.count
            return .batch(batch)
        }
    }
}
