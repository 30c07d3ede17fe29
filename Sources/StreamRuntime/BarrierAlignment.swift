/// Aligns checkpoint barriers across a subtask's inputs. Says what to do; the caller does it.
package struct BarrierAlignment {
    package enum Action: Equatable {
        /// Read nothing more from this input until the snapshot.
        case hold
        /// All open inputs have delivered the barrier: snapshot, pass it on, and read all inputs again.
        case snapshot(UInt64)
        /// A barrier of a checkpoint that is over.
        case ignore
    }

    private var open: Set<Int>
    private var arrived: Set<Int> = []
    private var current: UInt64?
    private var last: UInt64 = 0

    package init(inputs: Int) { open = Set(0..<inputs) }

    /// Inputs that must not be read for now.
    package var held: Set<Int> { arrived }

    package mutating func barrier(_ checkpoint: UInt64, on input: Int) -> Action {
        precondition(open.contains(input), "barrier \(checkpoint) on input \(input), which has ended")
        if checkpoint <= last { return .ignore }
        if let current, checkpoint < current { return .ignore }
        if current != checkpoint {
            // A newer checkpoint replaces an unfinished one.
            current = checkpoint
            arrived = []
        }
        arrived.insert(input)
        return complete() ?? .hold
    }

    /// An input that ends takes no part any more; it may have been the one waited for.
    package mutating func finish(_ input: Int) -> Action? {
        open.remove(input)
        arrived.remove(input)
        return complete()
    }

    private mutating func complete() -> Action? {
        guard let checkpoint = current, !open.isEmpty, arrived == open else { return nil }
        last = checkpoint
        current = nil
        arrived = []
        return .snapshot(checkpoint)
    }
}
