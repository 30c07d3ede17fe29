import StreamCore

/// Which shard each record goes to, and the records of each shard in order.
struct ShardPlan {
    var shards: [Int32]
    var ordinals: [UInt32]
    var counts: [Int]
    var payloadBytes: [Int]
    private var order: [UInt32]
    private var starts: [Int]

    /// - Parameter ranges: of all hash keys, ascending.
    init(_ batch: RecordBatch, ranges: [HashKeyRange]) {
        let n = batch.count
        shards = Array(repeating: 0, count: n)
        ordinals = Array(repeating: 0, count: n)
        counts = Array(repeating: 0, count: ranges.count)
        payloadBytes = Array(repeating: 0, count: ranges.count)
        if ranges.count > 1 { shards = Self.choose(batch, firsts: ranges.map(\.first)) }
        for i in 0..<n {
            let shard = Int(shards[i])
            ordinals[i] = UInt32(counts[shard])
            counts[shard] += 1
            let (data, key) = batch.sizes(i)
            payloadBytes[shard] += data + key + 8
        }
        starts = [0]
        for count in counts { starts.append(starts.last! + count) }
        order = Array(repeating: 0, count: n)
        for i in 0..<n { order[starts[Int(shards[i])] + Int(ordinals[i])] = UInt32(i) }
    }

    /// Leaves out the records of a shard whose hash keys are in `known`.
    mutating func leaveOut(_ known: [HashKeyRange], of shard: Int, _ batch: RecordBatch) {
        var kept: [UInt32] = []
        for row in rows(of: shard) {
            let key = batch.hashKey(Int(row))
            if known.contains(where: { $0.contains(key) }) {
                ordinals[Int(row)] = AppendResult.known
            } else {
                ordinals[Int(row)] = UInt32(kept.count)
                kept.append(row)
            }
        }
        order.replaceSubrange(starts[shard]..<starts[shard] + kept.count, with: kept)
        counts[shard] = kept.count
    }

    /// The shard of each record: the last whose range starts at or before its hash key.
    private static func choose(_ batch: RecordBatch, firsts: [UInt128]) -> [Int32] {
        batch.keys.withUnsafeBytes { keys in
            var start = 0
            return (0..<batch.count).map { i in
                let end = Int(batch.keyEnds[i])
                let hash = (batch.hashKeys.isEmpty ? nil : batch.hashKeys[i]) ?? HashKey.of(UnsafeRawBufferPointer(rebasing: keys[start..<end]))
                start = end
                var low = 0, high = firsts.count
                while high - low > 1 {
                    let middle = (low + high) / 2
                    if firsts[middle] <= hash { low = middle } else { high = middle }
                }
                return Int32(low)
            }
        }
    }

    func rows(of shard: Int) -> ArraySlice<UInt32> { order[starts[shard]..<starts[shard] + counts[shard]] }
}

extension RecordBatch {
    /// Bytes of data and key of record `i`.
    func sizes(_ i: Int) -> (data: Int, key: Int) {
        (Int(dataEnds[i] - (i == 0 ? 0 : dataEnds[i - 1])), Int(keyEnds[i] - (i == 0 ? 0 : keyEnds[i - 1])))
    }

    func hashKey(_ i: Int) -> UInt128 {
        if !hashKeys.isEmpty, let key = hashKeys[i] { return key }
        return keys.withUnsafeBytes { HashKey.of(UnsafeRawBufferPointer(rebasing: $0[Int(i == 0 ? 0 : keyEnds[i - 1])..<Int(keyEnds[i])])) }
    }

    /// Writes the payload of a batch of the given records; see ``BatchHeader``.
    func layOut(_ rows: ArraySlice<UInt32>, at out: UnsafeMutableRawPointer, dataBytes: Int) {
        let n = rows.count
        let dataArea = out + 8 * n
        let keyArea = dataArea + dataBytes
        var dataEnd = 0, keyEnd = 0
        data.withUnsafeBytes { data in
            keys.withUnsafeBytes { keys in
                for (k, row) in rows.enumerated() {
                    let i = Int(row)
                    let (d, q) = sizes(i)
                    if d > 0 { (dataArea + dataEnd).copyMemory(from: data.baseAddress! + Int(dataEnds[i]) - d, byteCount: d) }
                    if q > 0 { (keyArea + keyEnd).copyMemory(from: keys.baseAddress! + Int(keyEnds[i]) - q, byteCount: q) }
                    dataEnd += d
                    keyEnd += q
                    out.storeBytes(of: UInt32(dataEnd).littleEndian, toByteOffset: 4 * k, as: UInt32.self)
                    out.storeBytes(of: UInt32(keyEnd).littleEndian, toByteOffset: 4 * (n + k), as: UInt32.self)
                }
            }
        }
    }
}
