import Synchronization

/// Tells readers in this process that a stream grew. Other processes' appends show by the file's size only.
final class StreamSignal: Sendable {
    private let lock = Lock()
    private let appends = Atomic<UInt64>(0)

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
    }

    /// Returns when the version differs from `seen`, or after `milliseconds`.
    func wait(seen: UInt64, milliseconds: Int64) {
        lock.with { if version == seen { lock.wait(milliseconds: milliseconds) } }
    }
}
