import StreamCore

/// Consecutive records of a shard, as ranges of one buffer.
public struct RecordChunk: Sendable {
    /// All bytes, followed by the buffer's padding.
    public let buffer: Buffer
    public let count: Int
    /// Number of the first record in its shard; the others follow without gaps.
    public let firstIndex: UInt64
    /// Runs of records that were appended together, in order.
    public let runs: [Run]
    /// Bytes read from the segment for this chunk.
    public let storedBytes: Int
    let table: Buffer
    let created: Int64
    let shard: Int

    /// Records of one stored batch, with consecutive numbers.
    public struct Run: Hashable, Sendable {
        /// Position in the chunk of the run's first record.
        public var start: Int
        /// Arrival, milliseconds since 1970-01-01.
        public var timestamp: Int64
        public var epoch: UInt32
    }

    /// Per record four offsets into `buffer`: data start, data end, key start, key end.
    @inlinable public var offsets: UnsafePointer<UInt32> { UnsafePointer(tableBase) }
    @usableFromInline var tableBase: UnsafeMutablePointer<UInt32> { table.pointer(as: UInt32.self) }

    public func data(_ i: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: buffer.base + Int(offsets[4 * i]), count: Int(offsets[4 * i + 1] - offsets[4 * i]))
    }

    public func partitionKey(_ i: Int) -> String {
        String(decoding: UnsafeRawBufferPointer(start: buffer.base + Int(offsets[4 * i + 2]),
                                                count: Int(offsets[4 * i + 3] - offsets[4 * i + 2])), as: UTF8.self)
    }

    /// The run that record `i` belongs to.
    public func run(of i: Int) -> Run {
        var low = 0, high = runs.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if runs[middle].start <= i { low = middle } else { high = middle }
        }
        return runs[low]
    }

    public func timestamp(_ i: Int) -> Int64 { run(of: i).timestamp }

    public func sequence(_ i: Int) -> SequenceNumber {
        SequenceNumber(created: created, shard: shard, epoch: run(of: i).epoch, index: firstIndex + UInt64(i))
    }
}
