import StreamCore

/// One record to append.
public struct Record: Sendable {
    public var partitionKey: String
    /// Chooses the shard in place of the partition key's MD5.
    public var explicitHashKey: UInt128?
    public var data: [UInt8]

    public init(partitionKey: String, explicitHashKey: UInt128? = nil, data: [UInt8]) {
        self.partitionKey = partitionKey
        self.explicitHashKey = explicitHashKey
        self.data = data
    }
}

/// Records to append, in flat memory: no object per record. Reuse one with `removeAll`.
public struct RecordBatch: Sendable {
    var data: [UInt8] = []
    var dataEnds: [UInt32] = []
    var keys: [UInt8] = []
    var keyEnds: [UInt32] = []
    /// Empty when no record has one; else one per record.
    var hashKeys: [UInt128?] = []

    public init() {}

    public var count: Int { dataEnds.count }
    public var isEmpty: Bool { dataEnds.isEmpty }
    /// Bytes of data and keys.
    public var byteCount: Int { data.count + keys.count }

    public mutating func append(data bytes: UnsafeRawBufferPointer, partitionKey key: UnsafeRawBufferPointer,
                                explicitHashKey: UInt128? = nil) {
        data.append(contentsOf: bytes)
        keys.append(contentsOf: key)
        dataEnds.append(UInt32(data.count))
        keyEnds.append(UInt32(keys.count))
        if explicitHashKey != nil || !hashKeys.isEmpty {
            while hashKeys.count < count - 1 { hashKeys.append(nil) }
            hashKeys.append(explicitHashKey)
        }
    }

    public mutating func append(_ record: Record) {
        var key = record.partitionKey
        key.withUTF8 { key in
            record.data.withUnsafeBytes {
                append(data: $0, partitionKey: UnsafeRawBufferPointer(key), explicitHashKey: record.explicitHashKey)
            }
        }
    }

    /// A copy of some of the records.
    func selecting(_ rows: [UInt32]) -> RecordBatch {
        var out = RecordBatch()
        data.withUnsafeBytes { data in
            keys.withUnsafeBytes { keys in
                for row in rows {
                    let i = Int(row), (d, k) = sizes(i)
                    out.append(data: UnsafeRawBufferPointer(rebasing: data[Int(dataEnds[i]) - d..<Int(dataEnds[i])]),
                               partitionKey: UnsafeRawBufferPointer(rebasing: keys[Int(keyEnds[i]) - k..<Int(keyEnds[i])]),
                               explicitHashKey: hashKeys.isEmpty ? nil : hashKeys[i])
                }
            }
        }
        return out
    }

    public mutating func removeAll() {
        data.removeAll(keepingCapacity: true)
        dataEnds.removeAll(keepingCapacity: true)
        keys.removeAll(keepingCapacity: true)
        keyEnds.removeAll(keepingCapacity: true)
        hashKeys.removeAll(keepingCapacity: true)
    }
}

/// Identifies an append so that repeating it after a crash or a lost answer changes nothing.
public struct ProducerSequence: Hashable, Sendable {
    /// Not 0; unique to the producer.
    public var producer: UInt64
    /// Grows with every append of this producer.
    public var sequence: UInt64
    public init(producer: UInt64, sequence: UInt64) { (self.producer, self.sequence) = (producer, sequence) }
}

/// Where the records of an append went.
public struct AppendResult: Sendable {
    /// Where one record was put.
    public struct Placement: Hashable, Sendable {
        public var shard: Int
        /// nil when the append was a repetition and the stream has the record already.
        public var sequence: SequenceNumber?
    }

    /// Per record: which of `ids` is its shard, and its place among the records that were written there.
    var shards: [Int32]
    var ordinals: [UInt32]
    var firsts: [SequenceNumber?] = []
    var ids: [Int] = []
    /// Where records are that an earlier try of a request wrote.
    var earlier: [Int: SequenceNumber] = [:]

    /// The place of a record that an earlier try wrote.
    static let known = UInt32.max

    init(shards: [Int32] = [], ordinals: [UInt32] = [], firsts: [SequenceNumber?] = [], ids: [Int] = []) {
        (self.shards, self.ordinals, self.firsts, self.ids) = (shards, ordinals, firsts, ids)
    }

    /// To be filled by the parts of an append that was done in several tries.
    init(count: Int) { self.init(shards: Array(repeating: 0, count: count), ordinals: Array(repeating: 0, count: count)) }

    /// With the records of a part in place; `rows` tells which they are. Those that the part did not write come with a later one.
    func filled(by part: AppendResult, rows: [UInt32]) -> AppendResult {
        var all = self
        for (i, row) in rows.enumerated() {
            all.shards[Int(row)] = part.shards[i] + Int32(ids.count)
            all.ordinals[Int(row)] = part.ordinals[i]
        }
        all.firsts += part.firsts
        all.ids += part.ids
        return all
    }

    public var count: Int { shards.count }

    public subscript(i: Int) -> Placement {
        let shard = Int(shards[i])
        if let sequence = earlier[i] { return Placement(shard: sequence.shard, sequence: sequence) }
        guard ordinals[i] != Self.known else { return Placement(shard: ids[shard], sequence: nil) }
        var sequence = firsts[shard]
        sequence?.index += UInt64(ordinals[i])
        return Placement(shard: ids[shard], sequence: sequence)
    }

    public var placements: [Placement] { (0..<count).map { self[$0] } }
}
