import StreamCore
import Synchronization

/// Sees to it that a shard's parents are read to their end before it begins, whatever subtasks read them.
///
/// A parent at its end does not end at once: it waits until each child has a reader that says so (``childIsReady``). From then on the child
/// holds the watermark back, so that nothing that the child has is late when the parent goes.
///
///     parent                            child
///     reads ...                         is blocked
///     drained, waits
///                                       one empty batch, so that it counts as busy; then: ready
///     ends
///                                       sees it, and reads from its next turn on
final class ShardLineage: Sendable {
    private struct State {
        var parents: [String: [String]] = [:]
        var children: [String: [String]] = [:]
        /// Shards that are being read or will be.
        var open: Set<String> = []
        /// Read to their end, but not ended; with the number of listings begun before that.
        var drained: [String: Int] = [:]
        var ready: Set<String> = []
        var listings = 0, finishedListings = 0
        var wantsListing = false
    }

    private let state = Mutex(State())

    /// What a blocked child is to do.
    enum Turn {
        /// Its parents are being read.
        case wait
        /// They are at their ends: the child is to show that it is there.
        case show
        /// It may read.
        case read
    }

    /// A listing is begun. Its number goes to ``listed``.
    func beginListing() -> Int {
        state.withLock { state in
            state.listings += 1
            state.wantsListing = false
            return state.listings
        }
    }

    /// A listing is done, and those of its shards are to be read too.
    func listed(_ shards: [KinesisShard], number: Int, adding ids: some Sequence<String>) {
        state.withLock { state in
            for shard in shards where !shard.parents.isEmpty && state.parents[shard.id] == nil {
                state.parents[shard.id] = shard.parents
                for parent in shard.parents { state.children[parent, default: []].append(shard.id) }
            }
            state.open.formUnion(ids)
            state.finishedListings = max(state.finishedListings, number)
        }
    }

    /// These are to be read in this run, and no others: what is not among them was read by an earlier run, or is left out.
    func begin(_ ids: some Sequence<String>) {
        state.withLock { state in
            state.open = Set(ids)
            state.drained = [:]
            state.ready = []
        }
    }

    func turn(of child: String) -> Turn {
        state.withLock { state in
            let blocking = (state.parents[child] ?? []).filter { state.open.contains($0) }
            if blocking.isEmpty { return .read }
            return blocking.allSatisfy { state.drained[$0] != nil } ? .show : .wait
        }
    }

    /// The child counts as busy from here on.
    func childIsReady(_ child: String) { state.withLock { _ = $0.ready.insert(child) } }

    /// A shard has been read to its end. Returns whether it may end now; asked again until it may.
    ///
    /// - Parameter findsChildren: the run looks for new shards, so that children which are not known yet will come.
    func mayEnd(_ shard: String, findsChildren: Bool) -> Bool {
        state.withLock { state in
            let since = state.drained[shard] ?? state.listings
            state.drained[shard] = since
            let children = state.children[shard] ?? []
            if children.isEmpty, findsChildren, state.finishedListings <= since {
                state.wantsListing = true
                return false
            }
            // A child that is not open is one that this job leaves out.
            guard children.allSatisfy({ state.ready.contains($0) || !state.open.contains($0) }) else { return false }
            state.open.remove(shard)
            state.drained[shard] = nil
            return true
        }
    }

    /// A shard has come to its end whose children are not known.
    var wantsListing: Bool { state.withLock { $0.wantsListing } }
    var knowsShards: Bool { state.withLock { $0.finishedListings > 0 } }
}
