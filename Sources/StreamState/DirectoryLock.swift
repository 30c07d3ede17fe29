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
    private let isHeld: Bool

    init(_ directory: String) throws {
        let path = directory + "/lock"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            isHeld = false
            throw Host.failure("open", path)
        }
        isHeld = flock(descriptor, LOCK_EX | LOCK_NB) == 0
        guard isHeld else {
            // What was opened is closed by deinit, which runs for an object that is given up in its initialiser, too.
            let code = errno
            guard code == EWOULDBLOCK else { throw Host.failure("lock", path, code: code) }
            throw StreamError(.conflict, "another process runs this job: it holds \(directory)",
                              fix: "stop that process first, or give this job another checkpoint directory or name")
        }
    }

    deinit {
        guard descriptor >= 0 else { return }
        // Closing is not enough: a child process that another thread is just starting holds a copy until its program begins.
        if isHeld { flock(descriptor, LOCK_UN) }
        close(descriptor)
    }
}
