import ShardLog
import StreamCore

/// Consecutive records of a shard, as ranges of one buffer, wherever they come from.
struct ShardChunk {
    /// Records that came over the network.
    final class Remote: Sendable {
        let buffer: Buffer
        let table: Buffer
        let numbers: [String]
        /// Milliseconds since 1970-01-01.
        let timestamps: [Int64]
        let count: Int

        init(buffer: Buffer, table: Buffer, numbers: [String], timestamps: [Int64]) {
            (self.buffer, self.table, self.numbers, self.timestamps, count) = (buffer, table, numbers, timestamps, numbers.count)
        }
    }

    private enum Kind {
        case log(RecordChunk)
        case remote(Remote)
    }

    private let kind: Kind
    let buffer: Buffer
    /// Bytes that it took to get them.
    let storedBytes: Int
    /// A bounded read does not look at what is behind its end.
    var count: Int

    init(_ chunk: RecordChunk) { (kind, buffer, storedBytes, count) = (.log(chunk), chunk.buffer, chunk.storedBytes, chunk.count) }
    init(_ chunk: Remote) { (kind, buffer, storedBytes, count) = (.remote(chunk), chunk.buffer, chunk.buffer.capacity, chunk.count) }

    /// Per record four offsets into `buffer`: data start, data end, key start, key end.
    var offsets: UnsafePointer<UInt32> {
        switch kind {
        case .log(let chunk): chunk.offsets
        case .remote(let chunk): UnsafePointer(chunk.table.pointer(as: UInt32.self))
        }
    }

    func number(_ i: Int) -> String {
        switch kind {
        case .log(let chunk): chunk.sequence(i).description
        case .remote(let chunk): chunk.numbers[i]
        }
    }

    /// Arrival of the records `first + rows[i]`, in units of `scale` per millisecond.
    func timestamps(_ out: UnsafeMutablePointer<Int64>, first: Int, rows: [Int32], scale: Int64) {
        switch kind {
        case .log(let chunk):
            var run = 0
            for i in rows.indices {
                let record = first + Int(rows[i])
                while run + 1 < chunk.runs.count, chunk.runs[run + 1].start <= record { run += 1 }
                out[i] = chunk.runs[run].timestamp * scale
            }
        case .remote(let chunk):
            for i in rows.indices { out[i] = chunk.timestamps[first + Int(rows[i])] * scale }
        }
    }

    func partitionKey(_ i: Int) -> UnsafeRawBufferPointer {
        let offsets = offsets
        return UnsafeRawBufferPointer(start: buffer.base + Int(offsets[4 * i + 2]), count: Int(offsets[4 * i + 3] - offsets[4 * i + 2]))
    }
}
