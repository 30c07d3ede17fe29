/// Values by group number in one block of memory that grows; places never written hold `fill`.
final class GroupArray<T: BitwiseCopyable> {
    private(set) var base: UnsafeMutablePointer<T>
    private(set) var capacity: Int
    /// What `base` points into.
    private(set) var block: MemoryBlock
    let fill: T

    init(fill: T, capacity: Int = 0) {
        self.fill = fill
        self.capacity = capacity
        (block, base) = Self.allocate(capacity)
        base.initialize(repeating: fill, count: capacity)
    }

    private static func allocate(_ capacity: Int) -> (MemoryBlock, UnsafeMutablePointer<T>) {
        let block = MemoryBlock(bytes: max(capacity, 1) * MemoryLayout<T>.stride)
        return (block, block.base.bindMemory(to: T.self, capacity: max(capacity, 1)))
    }

    func reserve(_ n: Int) {
        if n > capacity { grow(to: max(n, capacity + capacity / 2, 64)) }
    }

    private func grow(to n: Int) {
        let (larger, bigger) = Self.allocate(n)
        bigger.update(from: base, count: capacity)
        (bigger + capacity).initialize(repeating: fill, count: n - capacity)
        (block, base, capacity) = (larger, bigger, n)
    }

    /// The same values in memory of its own.
    func copy() -> GroupArray {
        let made = GroupArray(fill: fill, capacity: 0)
        (made.block, made.base) = Self.allocate(capacity)
        made.capacity = capacity
        made.base.update(from: base, count: capacity)
        return made
    }

    /// Places `range` as a block of their own; those never reserved hold `fill`.
    func frozen(_ range: Range<Int>) -> MemoryBlock {
        let (made, to) = Self.allocate(range.count)
        let known = max(0, min(range.upperBound, capacity) - range.lowerBound)
        to.update(from: base + range.lowerBound, count: known)
        (to + known).initialize(repeating: fill, count: range.count - known)
        return made
    }

    func clear(_ n: Int) { base.update(repeating: fill, count: min(n, capacity)) }

    /// Place i takes the value of place `kept[i]`; the rest is filled anew.
    func remap(_ kept: [Int32]) {
        let old = base, oldBlock = block, oldCapacity = capacity
        capacity = max(kept.count, 1)
        (block, base) = Self.allocate(capacity)
        base.initialize(repeating: fill, count: capacity)
        withExtendedLifetime(oldBlock) {
            for (i, from) in kept.enumerated() where Int(from) < oldCapacity { base[i] = old[Int(from)] }
        }
    }
}

/// Working memory that is kept from batch to batch; its contents are undefined after `reserve`.
final class Scratch<T: BitwiseCopyable> {
    private(set) var base = UnsafeMutablePointer<T>.allocate(capacity: 1)
    private var capacity = 1

    deinit { base.deallocate() }

    func reserve(_ n: Int) -> UnsafeMutablePointer<T> {
        if n > capacity {
            base.deallocate()
            capacity = max(n, 2 * capacity)
            base = .allocate(capacity: capacity)
        }
        return base
    }
}

/// Calls `body(position, row)` for `n` positions; without `rows` they are the same.
@inline(__always)
func forEachRow(_ rows: UnsafePointer<Int32>?, _ n: Int, _ body: (Int, Int) -> Void) {
    if let rows {
        for i in 0..<n { body(i, Int(rows[i])) }
    } else {
        for i in 0..<n { body(i, i) }
    }
}
