import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Keeps a directory for one process: a lock on `<directory>/lock`, which the system gives back when the process ends.
///
/// It holds nothing that must survive a crash, so it does not go through ``Host``.
final class DirectoryLock: Sendable {
    private let descriptor: Int32

    init(_ directory: String) throws {
        let path = directory + "/lock"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Host.failure("open", path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            // What was opened is closed by deinit, which runs for an object that is given up in its initialiser, too.
            let code = errno
            guard code == EWOULDBLOCK else { throw Host.failure("lock", path, code: code) }
            throw StreamError(.conflict, "another process runs this job: it holds \(directory)",
                              fix: "stop that process first, or give this job another checkpoint directory or name")
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }
}
