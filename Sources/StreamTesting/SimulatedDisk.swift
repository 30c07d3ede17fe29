import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What goes wrong with a ``SimulatedDisk`` while nothing crashes.
public struct DiskFaults: Sendable {
    /// One in so many flushes of files fails with EIO; what it was to make durable may then never be. 0 = none.
    public var failingSyncs = 0
    /// One in so many writes fails with EIO. 0 = none.
    public var failingWrites = 0
    /// One in so many writes takes only a part of the bytes. 0 = none.
    public var shortWrites = 0
    /// What a flush takes, by the simulated clock.
    public var syncLatency: ClosedRange<Duration> = .zero ... .zero
    /// Flushes of files that do nothing and say that all is well, counted from 0 over the life of the disk: a lying disk, or a
    /// forgotten call.
    public var lostSyncs: Set<Int> = []
    public init() {}
}

/// A disk that can lose power.
///
/// It is a real directory, so that whatever reads files, by any means, finds them. Changes made through ``host`` are
/// recorded, and so is which of them a flush has made durable: ``crash(_:)`` then leaves one of the states that a power cut
/// could have left. Files that others write (a C++ library) are seen as never flushed until a descriptor of theirs is.
///
///     let disk = try SimulatedDisk(seed: 7)
///     let log = try ShardLog(directory: disk.root + "/log", host: disk.host)
///     ...
///     try disk.crash(&random)            // every descriptor is dead; `disk.host` is that of the next start
public final class SimulatedDisk: Sendable {
    /// The directory that is the disk.
    public let root: String
    public let clock: SimulatedClock
    private let base: String
    private let state: Mutex<State>

    /// Taken while the disk is in use, so that one that a dead process left can be told from one in use.
    private let lock: Int32

    /// - Parameters:
    ///   - name: gives the directory the same name in every run, as long as no other disk has it: some files hold their own path.
    ///   - directory: where to make the disk's directory; nil = in memory where the system has that.
    public init(seed: UInt64, name: String? = nil, clock: SimulatedClock = SimulatedClock(), directory: String? = nil) throws {
        self.clock = clock
        let given = directory ?? (Host.isDirectory("/dev/shm") ? "/dev/shm" : Self.temporaryDirectory())
        // Others may use the name without its symbolic links.
        var parent = given
        if let resolved = realpath(given, nil) {
            parent = String(cString: resolved)
            free(resolved)
        }
        let prefix = parent + "/swiftwater-disk-"
        let taken = try name.flatMap { try Self.take(prefix + $0) } ?? Self.take(prefix + String(UInt64.random(in: 0...UInt64.max), radix: 16))
        guard let taken else { throw StreamError(.io, "cannot make a directory for a simulated disk in \(parent)") }
        (base, lock) = taken
        root = base + "/disk"
        guard mkdir(root, 0o755) == 0 else { throw Host.failure("create directory", root) }
        state = Mutex(State(root: root, seed: seed))
    }

    /// Makes an empty directory and locks it; nil when another disk has it.
    private static func take(_ path: String) throws -> (base: String, lock: Int32)? {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw Host.failure("create directory", path) }
        let lock = SystemCalls.open(path, O_RDONLY, 0)
        guard lock >= 0 else { return nil }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0, Host.exists(path) else {
            _ = SystemCalls.close(lock)
            return nil
        }
        for name in try Host.names(in: path) { try Host.system.removeTree(path + "/" + name) }
        return (path, lock)
    }

    deinit {
        state.withLock { for fd in $0.descriptors.keys { _ = SystemCalls.close(fd) } }
        try? Host.system.removeTree(base)
        _ = SystemCalls.close(lock)
    }

    private static func temporaryDirectory() -> String {
        let path = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        return path.hasSuffix("/") && path.count > 1 ? String(path.dropLast()) : path
    }

    public var faults: DiskFaults {
        get { state.withLock { $0.faults } }
        set { state.withLock { $0.faults = newValue } }
    }

    /// Bytes that files may still grow by before the disk is full; nil = any number.
    public var freeBytes: Int? {
        get { state.withLock { $0.freeBytes } }
        set { state.withLock { $0.freeBytes = newValue } }
    }

    /// Calls that a fault has made fail so far.
    public var injectedFaults: Int { state.withLock { $0.injectedFaults } }

    /// Changing calls so far.
    public var calls: Int { state.withLock { $0.calls } }

    /// The power fails at this many changing calls from now: that call and all after it fail. nil = not.
    public func cutPower(afterCalls count: Int?) { state.withLock { state in state.cutAt = count.map { state.calls + $0 } } }

    /// The power is off: nothing works until ``crash(_:)`` has been called.
    public var isPowerless: Bool { state.withLock { $0.isPowerless } }

    /// Called with a line for each changing call, in its order.
    public func observe(_ action: (@Sendable (String) -> Void)?) { state.withLock { $0.observer = action } }

    /// A power cut: leaves a state in which the disk could be after one. Hosts and descriptors from before are dead.
    public func crash<R: RandomNumberGenerator>(_ random: inout R) throws {
        let loss = DurableTree.Loss.allCases.randomElement(using: &random)!
        try state.withLock { try $0.crash(&random, loss: loss, scratch: base) }
    }

    /// The worst power cut: nothing survives that was not flushed.
    public func crashLosingAll() throws {
        var random = SeededRandom(0)
        try state.withLock { try $0.crash(&random, loss: .everything, scratch: base) }
    }

    /// The end of a process: hosts and descriptors from before are dead, but nothing written is lost.
    public func kill() { state.withLock { $0.endLife() } }

    /// The machine as seen by what is started now. Dead after ``crash(_:)`` and ``kill()``.
    public var host: Host {
        let life = state.withLock { $0.life }
        /// The result and `errno` of a call, which may be set only once the lock is released.
        @Sendable func call(_ body: (inout State) -> Int) -> Int {
            let (result, code, pause) = state.withLock { state -> (Int, Int32, Duration) in
                guard state.life == life, !state.isPowerless else { return (-1, EIO, .zero) }
                errno = 0
                state.pause = .zero
                let result = body(&state)
                return (result, errno, state.pause)
            }
            if pause > .zero { clock.advance(by: pause) }
            if result < 0 { errno = code }
            return result
        }
        let clock = clock
        return Host(
            open: { path, flags, mode in Int32(call { Int($0.open(path, flags, mode)) }) },
            close: { [self] fd in state.withLock { $0.close(fd) } },
            write: { fd, bytes, count, offset in call { $0.write(fd, UnsafeRawBufferPointer(start: bytes, count: count), offset) } },
            sync: { fd in Int32(call { Int($0.sync(fd)) }) },
            truncate: { fd, size in Int32(call { Int($0.truncate(fd, size)) }) },
            rename: { from, to in Int32(call { Int($0.rename(from, to)) }) },
            link: { from, to in Int32(call { Int($0.link(from, to)) }) },
            unlink: { path in Int32(call { Int($0.unlink(path)) }) },
            mkdir: { path, mode in Int32(call { Int($0.mkdir(path, mode)) }) },
            rmdir: { path in Int32(call { Int($0.rmdir(path)) }) },
            now: { SimulatedClock.epochMilliseconds + Int64(clock.now / 1_000_000) },
            randomBits: { [self] in state.withLock { $0.ids.next() } })
    }
}

/// System calls by names that methods here do not hide.
enum SystemCalls {
    static func open(_ path: String, _ flags: Int32, _ mode: UInt32) -> Int32 { Host.system.open(path, flags, mode) }
    static func close(_ fd: Int32) -> Int32 { Host.system.close(fd) }

    static func status(of path: String) -> stat? {
        var status = stat()
        return lstat(path, &status) == 0 ? status : nil
    }

    static func status(of fd: Int32) -> stat? {
        var status = stat()
        return fstat(fd, &status) == 0 ? status : nil
    }
}

extension stat {
    var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }
    var number: UInt64 { UInt64(st_ino) }
    var size: Int { Int(st_size) }
}
