/// Values by group number in one block of memory that grows; places never written hold `fill`.
final class GroupArray<T: BitwiseCopyable> {
    private(set) var base: UnsafeMutablePointer<T>
    private(set) var capacity: Int
    let fill: T

    init(fill: T, capacity: Int = 0) {
        self.fill = fill
        self.capacity = capacity
        base = .allocateLarge(capacity: max(capacity, 1))
        base.initialize(repeating: fill, count: capacity)
    }

    deinit { base.deallocate() }

    func reserve(_ n: Int) {
        if n > capacity { grow(to: max(n, capacity + capacity / 2, 64)) }
    }

    private func grow(to n: Int) {
        let bigger = UnsafeMutablePointer<T>.allocateLarge(capacity: n)
        bigger.update(from: base, count: capacity)
        (bigger + capacity).initialize(repeating: fill, count: n - capacity)
        base.deallocate()
        (base, capacity) = (bigger, n)
    }

    func clear(_ n: Int) { base.update(repeating: fill, count: min(n, capacity)) }

    /// Place i takes the value of place `kept[i]`; the rest is filled anew.
    func remap(_ kept: [Int32]) {
        let old = base, oldCapacity = capacity
        capacity = max(kept.count, 1)
        base = .allocateLarge(capacity: capacity)
        base.initialize(repeating: fill, count: capacity)
        for (i, from) in kept.enumerated() where Int(from) < oldCapacity { base[i] = old[Int(from)] }
        old.deallocate()
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
