import StreamCore

/// Reads one data file as a split. Its position is the number of rows handed out.
package final class DataFileSplitReader: SplitReader {
    private let reader: DataFileReader
    private var batch: Batch?
    private var consumed = 0
    private var handedOut: Int64
    private var toSkip: Int64

    /// - Parameters:
    ///   - reader: of all rows, in the types that are wanted.
    ///   - path: for errors.
    ///   - position: where an earlier reader stopped; nil = the first row.
    package init(_ reader: DataFileReader, path: String, position: String?) throws {
        self.reader = reader
        guard let start = Int64(position ?? "0") else { throw StreamError(.corrupt, "\(path): '\(position!)' is not a row number") }
        (handedOut, toSkip) = (start, start)
    }

    package var position: String { String(handedOut) }

    package func next(maxRows: Int) throws -> ReadResult {
        while true {
            if let batch, consumed < batch.physicalCount {
                let n = min(maxRows, batch.physicalCount - consumed)
                defer {
                    consumed += n
                    handedOut += Int64(n)
                }
                return .batch(batch.slice(consumed..<consumed + n))
            }
            guard let read = try reader.next() else { return .endOfSplit }
            batch = read
            consumed = Int(min(toSkip, Int64(read.physicalCount)))
            toSkip -= Int64(consumed)
        }
    }
}
