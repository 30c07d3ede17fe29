import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Notifications as the standard input of a program, which succeeds with status 0. At the timeout it and its children are killed.
struct CommandNotifier: Notifier {
    private let command: AlertDelivery.Command
    private let timeout: Int64
    private static let saidMax = 4_096

    init(_ command: AlertDelivery.Command, timeout: Int64) { (self.command, self.timeout) = (command, timeout) }

    func send(_ notification: AlertNotification, _ secrets: inout SecretValues) throws {
        let event = notification.event, known = secrets.named
        let words = [command.run[0]] + (try command.run.dropFirst().map { try NotificationTemplate($0, secrets: known.keys).text(event, known) { $0.replacing("\0", with: "") } })
        let input = try Self.file(Array((event.text + "\n").utf8))
        defer { close(input) }
        var pipes: [Int32] = [0, 0]
        guard pipe(&pipes) == 0 else { throw DeliveryProblem("no pipe for \(command.run[0]): \(String(cString: strerror(errno)))") }
        defer { close(pipes[0]) }
        for end in pipes { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(pipes[0], F_SETFL, O_NONBLOCK)
        let process = try spawn(words, input: input, errors: pipes[1], id: notification.id)
        close(pipes[1])
        let (status, said) = wait(process, pipes[0])
        guard let status else { throw DeliveryProblem("\(command.run[0]) did not end within \(timeout) ms\(said)") }
        guard status == 0 else {
            let signal = status & 0x7F
            throw DeliveryProblem("\(command.run[0]) ended with \(signal == 0 ? "status \(status >> 8 & 0xFF)" : "signal \(signal)")\(said)")
        }
    }

    /// An open file without a name, to be read from its start.
    private static func file(_ bytes: [UInt8]) throws -> Int32 {
        var path = Array(((Environment.variable("TMPDIR") ?? "/tmp") + "/alert-XXXXXX").utf8CString)
        let descriptor = mkstemp(&path)
        guard descriptor >= 0 else { throw DeliveryProblem("no temporary file: \(String(cString: strerror(errno)))") }
        unlink(path)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        guard pwrite(descriptor, bytes, bytes.count, 0) == bytes.count else {
            close(descriptor)
            throw DeliveryProblem("the event cannot be written to a temporary file: \(String(cString: strerror(errno)))")
        }
        return descriptor
    }

    private func spawn(_ words: [String], input: Int32, errors: Int32, id: String) throws -> pid_t {
        #if canImport(Darwin)
        var actions: posix_spawn_file_actions_t?, attributes: posix_spawnattr_t?
        #else
        var actions = posix_spawn_file_actions_t(), attributes = posix_spawnattr_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, errors, 2)
        // A group of its own, so that its children end with it; and none of the signals that this process blocks.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        var variables: [String] = []
        var next = environ
        while let entry = next.pointee {
            variables.append(String(cString: entry))
            next += 1
        }
        variables.append("SWIFTWATER_NOTIFICATION_ID=\(id)")
        let arguments = words.map { strdup($0) } + [nil], environment = variables.map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        var process = pid_t()
        let code = posix_spawnp(&process, words[0], &actions, &attributes, arguments, environment)
        guard code == 0 else { throw DeliveryProblem("\(words[0]) cannot be started: \(String(cString: strerror(code)))", isFinal: code == ENOENT || code == EACCES) }
        return process
    }

    /// Its status, nil when it had to be killed; and the start of what it had to complain about.
    private func wait(_ process: pid_t, _ errors: Int32) -> (Int32?, String) {
        let deadline = Clock.monotonicNanoseconds() + UInt64(timeout) * 1_000_000
        var said: [UInt8] = [], chunk = [UInt8](repeating: 0, count: Self.saidMax), status: Int32 = 0
        func drain() {
            while case let n = read(errors, &chunk, chunk.count), n > 0 { if said.count < Self.saidMax { said += chunk[..<n] } }
        }
        var complaint: String {
            let text = Encodings.line(String(decoding: said.prefix(300), as: UTF8.self))
            return text.allSatisfy { $0 == " " } ? "" : ": \(text)"
        }
        while true {
            let done = waitpid(process, &status, WNOHANG)
            if done == process {
                drain()
                return (status, complaint)
            }
            if Clock.monotonicNanoseconds() >= deadline || done < 0 {
                kill(-process, SIGKILL)
                if done == 0 { waitpid(process, &status, 0) }
                drain()
                return (nil, complaint)
            }
            var entry = pollfd(fd: errors, events: Int16(POLLIN), revents: 0)
            // When it has closed its standard error there is nothing to wait for but its end.
            if poll(&entry, 1, 20) > 0, entry.revents & Int16(POLLIN) == 0 { usleep(5_000) }
            drain()
        }
    }
}
