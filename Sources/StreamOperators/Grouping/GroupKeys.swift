import StreamCore

/// The keys of a table's groups at some moment. Keys of groups are written once, behind those that were there: this shares
/// their memory and may be read by another thread while the table takes in more.
package struct GroupKeys: Sendable {
    enum Form: Sendable {
        case none
        case int32(MemoryBlock), int64(MemoryBlock)
        /// Views and the blocks that the long ones point into.
        case bytes(MemoryBlock, [Buffer])
        case rows(MemoryBlock, [Buffer], RowCodec)
    }

    let types: [DataType]
    package let count: Int
    let nullGroup: Int32
    let form: Form

    /// The key columns of n groups.
    package func columns(_ ids: UnsafePointer<Int32>, count n: Int) -> [Column] {
        switch form {
        case .none: return []
        case .int32(let block): return [Column(type: types[0], count: n, validity: validity(ids, n), values: Self.words(block, ids, n))]
        case .int64(let block): return [Column(type: types[0], count: n, validity: validity(ids, n), values: Self.longs(block, ids, n))]
        case .bytes(let block, let heaps):
            return [Column(type: types[0], count: n, validity: validity(ids, n), values: Self.views(block, ids, n), heaps: heaps)]
        case .rows(let block, let heaps, let codec):
            return codec.decode(Column(type: .bytes, count: n, values: Self.views(block, ids, n), heaps: heaps))
        }
    }

    // Of one type each, so that none depends on being specialised.
    private static func words(_ block: MemoryBlock, _ ids: UnsafePointer<Int32>, _ n: Int) -> Buffer {
        let values = Buffer(capacity: n * 4)
        let to = values.pointer(as: Int32.self), from = block.base.assumingMemoryBound(to: Int32.self)
        for i in 0..<n { to[i] = from[Int(ids[i])] }
        return withExtendedLifetime(block) { values }
    }

    private static func longs(_ block: MemoryBlock, _ ids: UnsafePointer<Int32>, _ n: Int) -> Buffer {
        let values = Buffer(capacity: n * 8)
        let to = values.pointer(as: Int64.self), from = block.base.assumingMemoryBound(to: Int64.self)
        for i in 0..<n { to[i] = from[Int(ids[i])] }
        return withExtendedLifetime(block) { values }
    }

    private static func views(_ block: MemoryBlock, _ ids: UnsafePointer<Int32>, _ n: Int) -> Buffer {
        let values = Buffer(capacity: n * 16)
        let to = values.pointer(as: StringView.self), from = block.base.assumingMemoryBound(to: StringView.self)
        for i in 0..<n { to[i] = from[Int(ids[i])] }
        return withExtendedLifetime(block) { values }
    }

    /// Valid wherever the group is not the null group; nil when that is everywhere.
    private func validity(_ ids: UnsafePointer<Int32>, _ n: Int) -> Buffer? {
        guard nullGroup >= 0 else { return nil }
        var bits: Buffer?
        for i in 0..<n where ids[i] == nullGroup {
            if bits == nil { bits = Bitmap.make(n, valid: true) }
            Bitmap.clear(bits!.base, i)
        }
        return bits
    }
}
