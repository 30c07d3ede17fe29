import StreamCore
import struct StreamCore.Host
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A process of this program in a session of its own: a Ctrl-C at the daemon's terminal does not reach it, and it outlives the daemon.
package enum ChildProcess {
    /// How a process ended.
    package enum Exit: Sendable, CustomStringConvertible {
        case code(Int32), signal(Int32)

        package var description: String {
            switch self {
            case .code(let code): "exit status \(code)"
            case .signal(let number): "signal \(number)" + (strsignal(number).map { " (\(String(cString: $0)))" } ?? "")
            }
        }
    }

    /// - Parameters:
    ///   - log: what it writes is appended to this file; nil = the daemon's own output, or `files`.
    ///   - files: descriptors that become its input, output and error output.
    ///   - environment: beside that of this process.
    /// - Returns: its number.
    /// - Throws: `.io` when it cannot be started.
    package static func spawn(_ executable: String, _ arguments: [String], log: String? = nil, files: (input: Int32, output: Int32, errors: Int32)? = nil, environment: [String: String] = [:]) throws -> pid_t {
        #if canImport(Glibc)
        var actions = posix_spawn_file_actions_t(), attributes = posix_spawnattr_t()
        #else
        var actions: posix_spawn_file_actions_t?, attributes: posix_spawnattr_t?
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        if let files {
            for (i, file) in [files.input, files.output, files.errors].enumerated() { posix_spawn_file_actions_adddup2(&actions, file, Int32(i)) }
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        if let log {
            posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
            posix_spawn_file_actions_adddup2(&actions, 1, 2)
        }
        var none = sigset_t(), all = sigset_t()
        sigemptyset(&none)
        sigemptyset(&all)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD] { sigaddset(&all, number) }
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        let flags = Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF) | 0x80  // POSIX_SPAWN_SETSID
        posix_spawnattr_setflags(&attributes, Int16(flags))

        let values = Self.environment.merging(environment) { $1 }
        let argv = ([executable] + arguments).map { strdup($0) } + [nil]
        let envp = values.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, executable, &actions, &attributes, argv, envp)
        guard code == 0 else { throw Host.failure("start", executable, code: code) }
        return pid
    }

    private static var environment: [String: String] {
        var out: [String: String] = [:]
        var at = environ
        while let entry = at.pointee {
            let text = String(cString: entry)
            if let split = text.firstIndex(of: "=") { out[String(text[..<split])] = String(text[text.index(after: split)...]) }
            at += 1
        }
        return out
    }

    /// Waits for a child of this process.
    package static func wait(_ pid: pid_t) -> Exit? {
        var status: Int32 = 0
        while true {
            let done = waitpid(pid, &status, 0)
            if done < 0, errno == EINTR { continue }
            guard done == pid else { return nil }
            return status & 0x7F == 0 ? .code((status >> 8) & 0xFF) : .signal(status & 0x7F)
        }
    }
}

package enum ChildProgram {
    /// The program that this process runs, as it was started: after an upgrade the file there is the new version.
    package static let path = found()

    private static func found() -> String {
        let first = CommandLine.arguments.first ?? "swiftwater"
        if first.contains("/"), let real = realpath(first, nil) {
            defer { free(real) }
            return String(cString: real)
        }
        #if os(Linux)
        if let real = realpath("/proc/self/exe", nil) {
            defer { free(real) }
            return String(cString: real)
        }
        #endif
        return first
    }
}
