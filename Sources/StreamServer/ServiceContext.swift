import StreamCore
import struct StreamCore.Host
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What the parts of the daemon share.
struct ServiceContext: Sendable {
    /// Of streams, checkpoints, savepoints.
    let data: String
    /// Of the daemon itself, inside of `data`.
    let directory: String
    let executable: String
    let store: ServiceStore
    let log: @Sendable (String) -> Void
    /// nil = limits are those of processes.
    let groups: ControlGroups?
    /// How long a new version must run without a failure to count as healthy, when it completes no checkpoint before.
    let healthSeconds: Double
    /// After that a process that does not end is killed.
    let stopSeconds: Double

    func note(_ topology: String, _ kind: String, _ text: String) {
        log("topology \(topology): \(text)")
        do { try store.note(ServiceEvent(at: Clock.milliseconds(), topology: topology, kind: kind, text: text)) } catch { log("error: an event is not kept: \(error)") }
    }

    /// Keeps the end of a log that has grown long. Its writer appends, so that it goes on behind what is left.
    func trimLog(_ path: String, keeping kept: Int, above limit: Int) {
        var status = stat()
        guard stat(path, &status) == 0, Int(status.st_size) > limit else { return }
        let fd = open(path, O_RDWR | O_CLOEXEC)
        guard fd >= 0 else { return }
        defer { close(fd) }
        var tail = [UInt8](repeating: 0, count: kept)
        let n = pread(fd, &tail, kept, off_t(Int(status.st_size) - kept))
        guard n > 0 else { return }
        let start = tail[..<n].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        guard ftruncate(fd, 0) == 0 else { return }
        _ = tail[start..<n].withUnsafeBytes { pwrite(fd, $0.baseAddress!, $0.count, 0) }
    }
}
