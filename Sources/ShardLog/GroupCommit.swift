import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

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
            case .failure(let error): failure = error
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
        let thread = FlusherThread { [self] in
            while !waitForTurn(milliseconds) {
                do { try flush() } catch { lock.with { failure = error } }
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

    /// Throws what the last flush failed with.
    func check() throws {
        if let failure = lock.with({ failure }) { throw failure }
    }

    func stop() {
        lock.with {
            isStopped = true
            lock.wakeAll()
        }
    }
}

/// A detached thread that runs one closure.
private struct FlusherThread {
    private final class Box {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }
    private let box: Box
    init(_ body: @escaping @Sendable () -> Void) { box = Box(body) }

    func start() {
        let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
        pthread_attr_init(attributes)
        pthread_attr_setdetachstate(attributes, Int32(PTHREAD_CREATE_DETACHED))
        #if canImport(Glibc)
        var thread = pthread_t()
        #else
        var thread: pthread_t?
        #endif
        let retained = Unmanaged.passRetained(box).toOpaque()
        let code = pthread_create(&thread, attributes, { argument in
            #if canImport(Glibc)
            let box = Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue()
            #else
            let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
            #endif
            box.body()
            return nil
        }, retained)
        precondition(code == 0, "cannot start a thread: error \(code)")
        pthread_attr_destroy(attributes)
        attributes.deallocate()
    }
}

/// The `lock` file of a stream: appends happen under its flock. It holds three numbers: the newest writer epoch, the epoch of
/// the writer that appended last, and the version of the metadata, which tells writers to read it again.
enum WriterLock {
    static let fileName = "lock"
    /// In place of the last writer's epoch: whoever comes next looks at the shards anew.
    static let nobody: UInt32 = 0

    static func newEpoch(_ file: LogFile) throws -> UInt32 {
        let epoch = try number(file, 0) + 1
        try put(file, epoch, 0)
        // Flushed, so that no epoch comes twice even after a power cut.
        try file.sync()
        return epoch
    }

    /// The epoch of the last writer and the version of the metadata.
    static func state(_ file: LogFile) throws -> (lastWriter: UInt32, version: UInt32) {
        var value: UInt64 = 0
        _ = try withUnsafeMutableBytes(of: &value) { try file.read(into: $0.baseAddress!, count: 8, at: 4) }
        value = UInt64(littleEndian: value)
        return (UInt32(truncatingIfNeeded: value), UInt32(truncatingIfNeeded: value >> 32))
    }

    static func setLastWriter(_ file: LogFile, _ epoch: UInt32) throws { try put(file, epoch, 4) }

    /// 0 until a stream has been changed for the first time.
    static func version(_ file: LogFile) throws -> UInt32 { try number(file, 8) }
    static func setVersion(_ file: LogFile, _ version: UInt32) throws { try put(file, version, 8) }

    private static func number(_ file: LogFile, _ offset: Int) throws -> UInt32 {
        var value: UInt32 = 0
        _ = try withUnsafeMutableBytes(of: &value) { try file.read(into: $0.baseAddress!, count: 4, at: offset) }
        return UInt32(littleEndian: value)
    }

    private static func put(_ file: LogFile, _ value: UInt32, _ offset: Int) throws {
        try withUnsafeBytes(of: value.littleEndian) { try file.write($0.baseAddress!, count: 4, at: offset) }
    }
}
