import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Options of a ``ShardLog``, the same for all its streams.
public struct LogOptions: Sendable {
    /// Appends fail as on a full disk while less than this is free: room for what else must go on, such as checkpoints and
    /// deliveries. 0 = none is kept.
    public var minimumFreeBytes = 0
    /// What is free on the disk of a directory; nil when that is not known. Simulations put their own in its place.
    public var freeBytes: @Sendable (_ directory: String) -> Int? = { DiskSpace.free(in: $0) }

    public init() {}
    public init(minimumFreeBytes: Int) { self.minimumFreeBytes = minimumFreeBytes }
}

/// How long a writer waits for room on a full disk before it gives up.
///
///     try writer.append(batch, whileFull: DiskWait(isCancelled: { job.isCancelled }))
public struct DiskWait: Sendable {
    public var timeout: Duration
    /// Looked at after each pause, at least once a second.
    public var isCancelled: @Sendable () -> Bool
    /// Told what is waited for, before each pause.
    public var report: @Sendable (StreamError) -> Void

    public init(timeout: Duration = .seconds(600), isCancelled: @escaping @Sendable () -> Bool = { false },
                report: @escaping @Sendable (StreamError) -> Void = { _ in }) {
        self.timeout = timeout
        self.isCancelled = isCancelled
        self.report = report
    }

    /// Runs `body` again and again as long as it fails for want of disk space; throws its last error when time is up.
    /// `body` must be such that a failed try may be repeated.
    public func run<R>(_ body: () throws -> R) throws -> R {
        let seconds = timeout.components
        let deadline = Clock.monotonicNanoseconds() + UInt64(max(0, seconds.seconds)) * 1_000_000_000 + UInt64(max(0, seconds.attoseconds / 1_000_000_000))
        var pause: UInt32 = 20
        while true {
            do { return try body() } catch let error as StreamError where ShardLog.isDiskFull(error) {
                guard Clock.monotonicNanoseconds() < deadline, !isCancelled() else { throw error }
                report(error)
                usleep(pause * 1_000)
                pause = min(1_000, pause * 2)
                if isCancelled() { throw error }
            }
        }
    }
}

extension ShardLog {
    /// Whether a call failed as the disk, or the user's share of it, is full: it may be repeated once there is room.
    public static func isDiskFull(_ error: any Error) -> Bool {
        guard let code = (error as? StreamError)?.systemError else { return false }
        return code == ENOSPC || code == EDQUOT
    }
}

/// Watches the room on a log's disk. Used by one writer, under its lock.
struct DiskSpace {
    let directory: String
    let options: LogOptions
    private var uncheckedBytes = Int.max
    /// Appends in between are not worth a system call.
    private static let checkedBytes = 256 << 10

    init(_ directory: String, _ options: LogOptions) {
        self.directory = directory
        self.options = options
    }

    static func free(in directory: String) -> Int? {
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { return nil }
        return Int(clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
    }

    /// - Throws: when that many bytes more would leave less than the minimum.
    mutating func check(_ bytes: Int, stream: String) throws {
        guard options.minimumFreeBytes > 0 else { return }
        uncheckedBytes = uncheckedBytes > Self.checkedBytes ? uncheckedBytes : uncheckedBytes + bytes
        guard uncheckedBytes > Self.checkedBytes, let free = options.freeBytes(directory) else { return }
        guard free - bytes >= options.minimumFreeBytes else { throw full(bytes, stream: stream, free: free) }
        uncheckedBytes = 0
    }

    func isOwn(_ error: StreamError) -> Bool { error.problem.hasPrefix(Self.problem) }
    private static let problem = "cannot append "

    /// The error of an append that found the disk full.
    func full(_ bytes: Int, stream: String, free: Int? = nil, cause: StreamError? = nil) -> StreamError {
        let room = (free ?? options.freeBytes(directory)).map { "\($0) bytes are free in \(directory)" } ?? "in \(directory)"
        let minimum = options.minimumFreeBytes > 0 ? ", of which \(options.minimumFreeBytes) are to stay free" : ""
        var error = StreamError(.io, Self.problem + "\(bytes) bytes to stream \(stream): No space left on device: \(room)\(minimum)" + (cause.map { " (\($0.problem))" } ?? ""),
                                fix: "free disk space, or shorten the stream's retention; appending works again as soon as there is room")
        error.systemError = cause?.systemError ?? ENOSPC
        return error
    }
}
