import StreamCore

/// Reads a bounded source several times over as one long stream: times move on by `span` with each turn.
struct LoopSource: TableSource {
    let inner: any TableSource
    let turns: Int
    let timeColumn: Int
    /// Milliseconds.
    let span: Int64

    var isBounded: Bool { true }
    func splits() throws -> [SourceSplit] { try inner.splits() }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        Reader(try inner.reader(for: SourceSplit(id: split.id), metrics: metrics)) { [self] in
            try inner.reader(for: SourceSplit(id: split.id), metrics: metrics)
        } shift: { [self] in shifted($0, by: Int64($1) * span) } turns: { [turns] in $0 < turns }
    }

    private func shifted(_ batch: Batch, by offset: Int64) -> Batch {
        let column = batch.columns[timeColumn].flat()
        let values = Buffer(capacity: column.count * 8)
        let (from, to) = (column.pointer(as: Int64.self), values.pointer(as: Int64.self))
        for i in 0..<column.count { to[i] = from[i] &+ offset }
        var result = batch
        result.columns[timeColumn] = Column(type: column.type, count: column.count, validity: column.validity, values: values)
        return result
    }

    private final class Reader: SplitReader {
        private var reader: any SplitReader
        private let again: () throws -> any SplitReader
        private let shift: (Batch, Int) -> Batch
        private let goesOn: (Int) -> Bool
        private var turn = 0

        init(_ reader: any SplitReader, _ again: @escaping () throws -> any SplitReader, shift: @escaping (Batch, Int) -> Batch,
             turns goesOn: @escaping (Int) -> Bool) {
            self.reader = reader
            self.again = again
            self.shift = shift
            self.goesOn = goesOn
        }

        var position: String { "\(turn)/\(reader.position)" }

        func next(maxRows: Int) throws -> ReadResult {
            switch try reader.next(maxRows: maxRows) {
            case .batch(let batch): return .batch(shift(batch, turn))
            case .endOfSplit where goesOn(turn + 1):
                reader.close()
                reader = try again()
                turn += 1
                return .waiting(.zero)
            case let other: return other
            }
        }

        func close() { reader.close() }
    }
}
