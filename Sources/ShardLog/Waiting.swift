import StreamCore

/// Waiting for records costs no time of the processor: readers are woken by writers of this process, and by the kernel when
/// another process appends.
extension ShardReader {
    /// Returns when this shard may have grown or is finished, at the latest after `milliseconds`; false when nothing happened.
    public func waitForRecords(milliseconds: Int64) throws -> Bool {
        try !ShardLog.wait(for: [self], milliseconds: milliseconds).isEmpty
    }

    /// Calls back whenever the stream may have grown or its shards have changed, as long as the result is held. For readers
    /// that cannot block: register, then read until nothing is there, then read again when called.
    ///
    /// The call comes on a writer's thread and must not block. It may come without anything new for this shard. Where
    /// directories cannot be watched, only appends of this process are told: look again after ``ShardLog/lookAgainMilliseconds``.
    public func onGrowth(_ callback: @escaping @Sendable () -> Void) -> GrowthSubscription {
        let watch = keepWatch(), signal = signal
        let id = signal.add(callback)
        return GrowthSubscription {
            _ = watch
            signal.removeListener(id)
        }
    }

    /// Whether ``onGrowth(_:)`` tells of other processes, too: no more once the directory has gone.
    public var isWatched: Bool { watch?.isAlive ?? false }

    /// nil where that is not possible. A watch whose directory has gone is made anew when it is there again.
    func keepWatch() -> DirectoryWatcher.Watch? {
        if let watch, !watch.isAlive { self.watch = nil }
        if watch == nil { watch = DirectoryWatcher.shared?.watch([directory, Host.parent(of: directory)], signal) }
        return watch
    }
}

extension ShardLog {
    /// How often to look for other processes' appends where directories cannot be watched.
    public static let lookAgainMilliseconds: Int64 = 20

    /// Whether readers are told of what other processes append, so that nobody has to look.
    public static var watchesDirectories: Bool { DirectoryWatcher.shared != nil }

    /// Waits until one of the shards may have grown or is finished, at the latest for `milliseconds`.
    /// - Returns: positions of those readers; none when time is up.
    public static func wait(for readers: [ShardReader], milliseconds: Int64) throws -> [Int] {
        let deadline = Clock.monotonicNanoseconds() &+ UInt64(max(0, min(milliseconds, 1 << 40))) * 1_000_000
        let signals = Dictionary(readers.map { (ObjectIdentifier($0.signal), $0.signal) }, uniquingKeysWith: { a, _ in a }).values
        // Readers of one stream wait for its signal, those of several for one that all of them pass on to.
        let common = signals.count == 1 ? signals.first! : StreamSignal()
        let listeners = signals.count == 1 ? [] : signals.map { signal in (signal, signal.add { common.notify() }) }
        defer { for (signal, id) in listeners { signal.removeListener(id) } }
        var pause: Int64 = 1
        while true {
            let seen = common.version
            // Watched before it is looked: what comes after the look is told. Of a watch that has ended the signal tells once.
            var isWatched = true
            for reader in readers where reader.keepWatch() == nil { isWatched = false }
            let grown = try readers.indices.filter { try readers[$0].mayHaveMore() }
            let now = Clock.monotonicNanoseconds()
            guard grown.isEmpty, now < deadline else { return grown }
            let left = Int64((deadline - now + 999_999) / 1_000_000)
            common.wait(seen: seen, milliseconds: isWatched ? left : min(left, pause))
            pause = min(lookAgainMilliseconds, pause * 2)
        }
    }
}
