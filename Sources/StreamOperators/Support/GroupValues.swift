/// Fixed-width values by group number, of a type that only the user of the memory knows.
///
/// Not generic, unlike ``GroupArray``: what a generic class does behind a virtual call is never compiled for its type.
final class GroupValues {
    private var base: UnsafeMutableRawPointer
    private(set) var capacity = 0
    let width: Int
    /// The bits of what stands at places never written, in the lowest `width` bytes.
    private let fill: UInt128

    init<T: BitwiseCopyable>(fill value: T) {
        width = MemoryLayout<T>.size
        precondition([1, 2, 4, 8, 16].contains(width))
        var bits: UInt128 = 0
        withUnsafeMutableBytes(of: &bits) { $0.storeBytes(of: value, as: T.self) }
        fill = bits
        base = .allocate(byteCount: 16, alignment: 16)
    }

    deinit { base.deallocate() }

    @inline(__always) func pointer<T: BitwiseCopyable>(as type: T.Type) -> UnsafeMutablePointer<T> { base.assumingMemoryBound(to: type) }

    private func write(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        func all<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) {
            (pointer(as: T.self) + range.lowerBound).update(repeating: T(truncatingIfNeeded: fill), count: range.count)
        }
        switch width {
        case 1: all(UInt8.self)
        case 2: all(UInt16.self)
        case 4: all(UInt32.self)
        case 8: all(UInt64.self)
        default: all(UInt128.self)
        }
    }

    func reserve(_ n: Int) {
        guard n > capacity else { return }
        let (old, used) = (base, capacity)
        capacity = max(n, capacity + capacity / 2, 64)
        base = LargeMemory.allocate(capacity * width)
        base.copyMemory(from: old, byteCount: used * width)
        old.deallocate()
        write(used..<capacity)
    }

    func clear(_ n: Int) { write(0..<min(n, capacity)) }

    func reset(_ groups: UnsafePointer<Int32>, count: Int) {
        for i in 0..<count where Int(groups[i]) < capacity { write(Int(groups[i])..<Int(groups[i]) + 1) }
    }

    /// Takes the values of another one of the same kind.
    func assign(_ other: GroupValues) {
        if other.capacity > capacity {
            base.deallocate()
            capacity = other.capacity
            base = LargeMemory.allocate(capacity * width)
        }
        base.copyMemory(from: other.base, byteCount: other.capacity * width)
        write(other.capacity..<capacity)
    }

    /// Place i takes the value of place `kept[i]`; the rest is filled anew.
    func remap(_ kept: [Int32]) {
        let (old, oldCapacity) = (base, capacity)
        capacity = max(kept.count, 1)
        base = LargeMemory.allocate(capacity * width)
        write(0..<capacity)
        for (i, from) in kept.enumerated() where Int(from) < oldCapacity {
            (base + i * width).copyMemory(from: old + Int(from) * width, byteCount: width)
        }
        old.deallocate()
    }
}
