import StreamCore
import Synchronization

/// One fsync for all appends to a shard that wait at the same time: the first to come flushes, the others wait for it.
final class GroupCommit: @unchecked Sendable {  // SAFETY: mutable state is guarded by `lock`
    private let lock = Lock()
    private let markFile: LogFile
    private var synced: UInt64 = 0
    private var isSyncing = false
    private var durable: DurableMark?
    /// After a failed fsync nobody knows what is on disk: no append may be acknowledged any more.
    private var failure: (any Error)?

    init(markFile: LogFile) { self.markFile = markFile }

    /// Returns once the first `written` bytes of this process's appends are on disk.
    func sync(upTo written: UInt64, _ capture: () -> (LogFile, UInt64, DurableMark)) throws {
        while true {
            let isLeader = try lock.with { () throws -> Bool? in
                if let failure { throw failure }
                if synced >= written { return nil }
                if isSyncing {
                    lock.wait()
                    return false
                }
                isSyncing = true
                return true
            }
            guard let isLeader else { return }
            if isLeader { try lead(capture) }
        }
    }

    /// A flush failed as the disk was full: what is not flushed must be written anew, and then all is well again.
    var wasFull: Bool { foundFull.load(ordering: .relaxed) }
    private let foundFull = Atomic<Bool>(false)

    /// How far this process has flushed the shard.
    var flushed: DurableMark? { lock.with { durable } }

    private func lead(_ capture: () -> (LogFile, UInt64, DurableMark)) throws {
        let (file, written, mark) = capture()
        let result = Result { try file.sync() }
        lock.with {
            isSyncing = false
            switch result {
            case .success:
                synced = max(synced, written)
                durable = mark
            case .failure(let error):
                failure = error
                foundFull.store(ShardLog.isDiskFull(error), ordering: .relaxed)
            }
            lock.wakeAll()
        }
        try result.get()
        // A lost note only costs a longer check at the next opening.
        try? mark.write(to: markFile)
    }
}

/// Flushes at an interval from a thread of its own.
final class IntervalFlusher: @unchecked Sendable {  // SAFETY: mutable state is guarded by `lock`
    private let lock = Lock()
    private var isStopped = false
    private var failure: (any Error)?

    init(milliseconds: Int64, flush: @escaping @Sendable () throws -> Void) {
        let thread = DetachedThread { [self] in
            while !waitForTurn(milliseconds) {
                do { try flush() } catch { lock.with { failure = failure.map { ShardLog.isDiskFull($0) ? error : $0 } ?? error } }
            }
        }
        thread.start()
    }

    private func waitForTurn(_ milliseconds: Int64) -> Bool {
        lock.with {
            if !isStopped { lock.wait(milliseconds: milliseconds) }
            return isStopped
        }
    }

    /// Throws what a flush failed with. After a full disk the writer mends what was not flushed, and the next flush counts.
    func check() throws {
        if let failure = lock.with({ failure }), !ShardLog.isDiskFull(failure) { throw failure }
    }

    func stop() {
        lock.with {
            isStopped = true
            lock.wakeAll()
        }
    }
}
