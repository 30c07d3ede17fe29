import Synchronization

/// Tells readers in this process that a stream grew or was changed, whoever did it: writers of this process say so, those of
/// others are seen by the ``DirectoryWatcher``.
final class StreamSignal: Sendable {
    private let lock = Lock()
    private let appends = Atomic<UInt64>(0)
    private let listeners = Mutex<[UInt64: @Sendable () -> Void]>([:])
    /// So that an append to which nobody listens takes no lock for it.
    private let hasListeners = Atomic<Bool>(false)
    private static let nextListener = Atomic<UInt64>(0)

    private static let all = Mutex<[String: StreamSignal]>([:])

    /// The one for a stream directory, whichever ``ShardLog`` opened it.
    static func of(_ directory: String) -> StreamSignal {
        all.withLock { known in
            if let signal = known[directory] { return signal }
            let signal = StreamSignal()
            known[directory] = signal
            return signal
        }
    }

    var version: UInt64 { appends.load(ordering: .acquiring) }

    func notify() {
        lock.with {
            appends.wrappingAdd(1, ordering: .releasing)
            lock.wakeAll()
        }
        guard hasListeners.load(ordering: .acquiring) else { return }
        for listener in listeners.withLock({ Array($0.values) }) { listener() }
    }

    /// Returns when the version differs from `seen`, or after `milliseconds`.
    func wait(seen: UInt64, milliseconds: Int64) {
        lock.with { if version == seen { lock.wait(milliseconds: milliseconds) } }
    }

    func add(_ listener: @escaping @Sendable () -> Void) -> UInt64 {
        let id = Self.nextListener.wrappingAdd(1, ordering: .relaxed).newValue
        listeners.withLock {
            $0[id] = listener
            hasListeners.store(true, ordering: .releasing)
        }
        return id
    }

    func removeListener(_ id: UInt64) {
        listeners.withLock {
            $0[id] = nil
            hasListeners.store(!$0.isEmpty, ordering: .releasing)
        }
    }
}

/// Calls back while it lives; see ``ShardReader/onGrowth(_:)``.
public final class GrowthSubscription: Sendable {
    private let cancel: @Sendable () -> Void
    init(cancel: @escaping @Sendable () -> Void) { self.cancel = cancel }
    deinit { cancel() }
}
