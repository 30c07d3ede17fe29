/// State that snapshots may still be reading: it is copied before it is next written to, if any of them is.
///
/// Snapshots get a ``Frozen`` that refers to it. Once the last of those is gone, no copy is needed.
struct Freezable<State: AnyObject> {
    /// For reading. Call ``thaw(_:)`` before writing to it.
    private(set) var state: State
    private weak var hold: FrozenHold?
    private var wasFrozen = false

    init(_ state: State) { self.state = state }

    /// Whether a snapshot refers to the state.
    var isFrozen: Bool { wasFrozen && hold != nil }

    mutating func freeze() -> Frozen<State> {
        let hold = self.hold ?? FrozenHold()
        (self.hold, wasFrozen) = (hold, true)
        return Frozen(state: state, hold: hold)
    }

    /// Makes the state fit to be written to.
    @inline(__always)
    mutating func thaw(_ copy: (State, FrozenHold) -> State) {
        if wasFrozen { leave(copy) }
    }

    private mutating func leave(_ copy: (State, FrozenHold) -> State) {
        if let hold { state = copy(state, hold) }
        (hold, wasFrozen) = (nil, false)
    }
}

/// Lives as long as any snapshot of some state.
final class FrozenHold: Sendable {}

/// State as it was at a barrier, for another thread to read.
struct Frozen<State: AnyObject>: @unchecked Sendable {  // SAFETY: its owner writes to the state only when `hold` is gone, else to a copy
    fileprivate let state: State
    fileprivate let hold: FrozenHold

    init(state: State, hold: FrozenHold) { (self.state, self.hold) = (state, hold) }

    func read<Result>(_ body: (State) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(hold) { try body(state) }
    }
}
