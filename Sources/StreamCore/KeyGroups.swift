/// Key groups: the fixed buckets that keys hash to, and the unit in which state moves when the parallelism changes.
public enum KeyGroups {
    public static let defaultMaxParallelism = 128

    /// hash -> key group: multiply-shift over the upper half, so that `maxParallelism` need not be a power of two.
    @inlinable
    public static func group(ofHash hash: UInt64, maxParallelism: Int) -> Int {
        // Shifts bind tighter than products in Swift.
        Int(truncatingIfNeeded: ((hash >> 32) &* UInt64(truncatingIfNeeded: maxParallelism)) >> 32)
    }

    /// The subtask that owns a key group.
    @inlinable
    public static func subtask(ofGroup group: Int, parallelism: Int, maxParallelism: Int) -> Int {
        group &* parallelism / maxParallelism
    }

    /// The key groups that a subtask owns: the inverse of ``subtask(ofGroup:parallelism:maxParallelism:)``.
    public static func groups(ofSubtask subtask: Int, parallelism: Int, maxParallelism: Int) -> Range<Int> {
        let first = (subtask * maxParallelism + parallelism - 1) / parallelism
        let end = ((subtask + 1) * maxParallelism + parallelism - 1) / parallelism
        return first..<end
    }
}

/// Hashes of rows over key columns. Equal values hash alike whatever their encoding (plain, dictionary, inline or heap).
public enum RowHash {
    @inlinable public static var nullHash: UInt64 { 0x9E37_79B9_7F4A_7C15 }

    /// A finaliser with good avalanche (the mixing steps of MurmurHash3's fmix64).
    @inlinable
    public static func mix(_ x: UInt64) -> UInt64 {
        var h = x
        h ^= h >> 33
        h = h &* 0xFF51_AFD7_ED55_8CCD
        h ^= h >> 33
        h = h &* 0xC4CE_B9FE_1A85_EC53
        h ^= h >> 33
        return h
    }

    @inlinable
    public static func bytes(_ p: UnsafeRawPointer, _ count: Int) -> UInt64 {
        var h = UInt64(truncatingIfNeeded: count) &* 0x9E37_79B9_7F4A_7C15
        var i = 0
        while i &+ 8 <= count {
            h = (h ^ p.loadUnaligned(fromByteOffset: i, as: UInt64.self)) &* 0xFF51_AFD7_ED55_8CCD
            h ^= h >> 32
            i &+= 8
        }
        var tail: UInt64 = 0
        while i < count {
            tail = tail << 8 | UInt64(p.load(fromByteOffset: i, as: UInt8.self))
            i &+= 1
        }
        return mix(h ^ tail)
    }

    /// out[i] = hash of the key columns at physical row `row(i)` of the batch, for its selected rows. With no key
    /// columns every hash is 0.
    ///
    /// - Parameter out: room for `batch.count` hashes.
    public static func hash(_ batch: Batch, keys: [Int], into out: UnsafeMutablePointer<UInt64>) {
        let n = batch.count
        for (k, key) in keys.enumerated() {
            hash(batch.columns[key], selection: batch.selection, count: n, into: out, combine: k > 0)
        }
        if keys.isEmpty { out.update(repeating: 0, count: n) }
    }

    /// Hash of one column; with `combine` it is mixed into what `out` holds.
    public static func hash(_ column: Column, selection: Selection?, count n: Int, into out: UnsafeMutablePointer<UInt64>,
                            combine: Bool) {
        let rows = selection.map { $0.rows }
        let bits = column.validity.map { UnsafeRawPointer($0.base) }
        // The plain case has a loop of its own, so that it carries no test per row.
        @inline(__always)
        func run(_ value: (Int) -> UInt64) {
            if rows == nil, bits == nil, !combine {
                for i in 0..<n { out[i] = value(i) }
                return
            }
            for i in 0..<n {
                let row = rows.map { Int($0[i]) } ?? i
                let h = bits.map { Bitmap.get($0, row) } ?? true ? value(row) : nullHash
                out[i] = combine ? mix(out[i] &* 31 &+ h) : h
            }
        }
        if let dictionary = column.dictionary {
            var hashes = [UInt64](repeating: 0, count: dictionary.count)
            hashes.withUnsafeMutableBufferPointer {
                guard let base = $0.baseAddress else { return }
                hash(dictionary, selection: nil, count: dictionary.count, into: base, combine: false)
            }
            let codes = column.codes
            hashes.withUnsafeBufferPointer { h in run { h[Int(codes[$0])] } }
            return
        }
        switch column.type.physical {
        case .bool, .int8:
            let p = column.pointer(as: Int8.self)
            run { mix(UInt64(bitPattern: Int64(p[$0])) &+ 1) }
        case .int16:
            let p = column.pointer(as: Int16.self)
            run { mix(UInt64(bitPattern: Int64(p[$0])) &+ 1) }
        case .int32:
            let p = column.pointer(as: Int32.self)
            run { mix(UInt64(bitPattern: Int64(p[$0])) &+ 1) }
        case .int64:
            let p = column.pointer(as: Int64.self)
            run { mix(UInt64(bitPattern: p[$0]) &+ 1) }
        case .float:
            let p = column.pointer(as: Float.self)
            run { mix(UInt64((p[$0] == 0 ? 0 : p[$0]).bitPattern)) }
        case .double:
            let p = column.pointer(as: Double.self)
            run { mix((p[$0] == 0 ? 0 : p[$0]).bitPattern) }
        case .int128:
            let p = column.pointer(as: Int128.self)
            run { mix(UInt64(truncatingIfNeeded: p[$0]) ^ mix(UInt64(truncatingIfNeeded: p[$0] >> 64))) }
        case .view:
            run {
                let b = column.bytes(at: $0)
                return bytes(b.baseAddress!, b.count)
            }
        case .list, .map, .row, .null:
            run { UInt64(bitPattern: Int64(stableHash(column.value(at: $0)))) }
        }
    }

    /// Nested values are rare as keys: hashed by their text form.
    private static func stableHash(_ value: Value) -> Int {
        var text = "\(value)"
        return text.withUTF8 { Int(truncatingIfNeeded: bytes(UnsafeRawPointer($0.baseAddress ?? UnsafePointer(bitPattern: 1)!), $0.count)) }
    }
}
