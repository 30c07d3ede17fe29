import Foundation
import StreamCore
import Synchronization

// Not that of Foundation.
typealias Host = StreamCore.Host

/// A disk that fails at a chosen call: once, or from then on as after a crash. Writes that fail are torn.
final class FaultyHost: Sendable {
    enum Fault: Sendable { case none, once(Int32), crash }

    private struct Plan {
        var fault = Fault.none
        /// Calls until then.
        var left = Int.max
        var isDead = false
        var hasFired = false
        var calls: [String] = []
    }
    private let plan = Mutex(Plan())

    /// The `call`th call from now on fails.
    func arm(_ fault: Fault, at call: Int) {
        plan.withLock { $0 = Plan(fault: fault, left: call) }
    }

    var hasFired: Bool { plan.withLock { $0.hasFired } }
    /// What has been called since it was armed.
    var calls: [String] { plan.withLock { $0.calls } }

    /// True when this call must fail; `errno` is set.
    private func fails(_ name: String) -> Bool {
        plan.withLock { plan in
            plan.calls.append(name)
            if plan.isDead {
                errno = EIO
                return true
            }
            plan.left -= 1
            guard plan.left == 0 else { return false }
            switch plan.fault {
            case .none: return false
            case .once(let code): errno = code
            case .crash:
                plan.isDead = true
                errno = EIO
            }
            plan.hasFired = true
            return true
        }
    }

    var host: Host {
        let system = Host.system
        return Host(
            open: { self.fails("open \($0)") ? -1 : system.open($0, $1, $2) },
            close: { system.close($0) },
            write: { fd, bytes, count, offset in
                guard self.fails("write \(count)") else { return system.write(fd, bytes, count, offset) }
                let code = errno
                _ = system.write(fd, bytes, count / 2, offset)
                errno = code
                return -1
            },
            // The machine goes on when a test's process "crashes": nothing needs to be flushed.
            sync: { _ in self.fails("sync") ? -1 : 0 },
            truncate: { self.fails("truncate") ? -1 : system.truncate($0, $1) },
            rename: { self.fails("rename \($0)") ? -1 : system.rename($0, $1) },
            link: { self.fails("link \($0)") ? -1 : system.link($0, $1) },
            unlink: { self.fails("unlink \($0)") ? -1 : system.unlink($0) },
            mkdir: { self.fails("mkdir \($0)") ? -1 : system.mkdir($0, $1) },
            rmdir: { self.fails("rmdir \($0)") ? -1 : system.rmdir($0) },
            now: { system.now() }, randomBits: { system.randomBits() })
    }
}

/// A directory that is removed with its owner.
final class TemporaryDirectory: Sendable {
    let path = FileManager.default.temporaryDirectory.path + "/state-tests-\(UUID().uuidString.lowercased())"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}
