import StreamCore

/// Aligns checkpoint barriers across a subtask's inputs. Says what to do; the caller does it.
///
/// Aligned: inputs that have delivered the barrier are not read until all have. Overtaken: the snapshot is taken at once,
/// and what comes on inputs that still owe the barrier is recorded as part of it.
package struct BarrierAlignment {
    package enum Action: Equatable {
        /// Read nothing more from this input until the snapshot.
        case hold
        /// All open inputs have delivered the barrier: snapshot, pass it on, and read all inputs again.
        case snapshot(UInt64)
        /// The last recorded input has delivered the barrier: the snapshot is whole.
        case recorded(UInt64)
        /// A barrier of a checkpoint that is over, or one of several recorded inputs.
        case ignore
    }

    private var open: Set<Int>
    private var arrived: Set<Int> = []
    private var current: UInt64?
    private var last: UInt64 = 0
    /// Inputs that owe the barrier of the snapshot `last`, which was taken without them.
    package private(set) var recording: Set<Int> = []

    package init(inputs: Int) { open = Set(0..<inputs) }

    /// Inputs that must not be read for now.
    package var held: Set<Int> { arrived }
    /// The checkpoint whose barrier some input has delivered, but not all.
    package var aligning: UInt64? { current }
    /// The newest checkpoint that was snapshot.
    package var newest: UInt64 { last }

    package mutating func barrier(_ checkpoint: UInt64, on input: Int) -> Action {
        precondition(open.contains(input), "barrier \(checkpoint) on input \(input), which has ended")
        if checkpoint == last, recording.contains(input) { return record(input) }
        if checkpoint <= last { return .ignore }
        if let current, checkpoint < current { return .ignore }
        if current != checkpoint {
            // A newer checkpoint replaces an unfinished one. One that overtook goes on being recorded on the inputs that still owe it.
            current = checkpoint
            arrived = []
        }
        arrived.insert(input)
        return complete() ?? .hold
    }

    /// An input that ends takes no part any more; it may have been the one waited for, by two checkpoints even: to be called until
    /// it returns nil.
    package mutating func finish(_ input: Int) -> Action? {
        open.remove(input)
        arrived.remove(input)
        if recording.contains(input) { return record(input) }
        return complete()
    }

    /// Takes the snapshot of a checkpoint without waiting for the inputs that have not delivered its barrier: these are in
    /// ``recording`` from now on.
    /// - Returns: false when the checkpoint was snapshot already, or a newer one is being aligned.
    package mutating func overtake(_ checkpoint: UInt64) -> Bool {
        guard checkpoint > last, current ?? checkpoint == checkpoint, !open.isEmpty else { return false }
        recording = open.subtracting(arrived)
        (last, current, arrived) = (checkpoint, nil, [])
        return true
    }

    private mutating func record(_ input: Int) -> Action {
        recording.remove(input)
        return recording.isEmpty ? .recorded(last) : .ignore
    }

    private mutating func complete() -> Action? {
        guard let checkpoint = current, !open.isEmpty, arrived == open else { return nil }
        last = checkpoint
        current = nil
        arrived = []
        return .snapshot(checkpoint)
    }
}
