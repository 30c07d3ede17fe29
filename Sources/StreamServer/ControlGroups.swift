import JobControl
import StreamCore
import struct StreamCore.Host
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Control groups (version 2) for the processes of topologies, below the group that the daemon was given.
///
///     <own group>/daemon          the daemon itself: a group with controllers for its children holds no processes
///     <own group>/topology-NAME   a topology's process, with memory.max and cpu.weight
///
/// Only a group that was handed over is touched: systemd marks those of units with `Delegate=`.
package final class ControlGroups: Sendable {
    private let directory: String
    private static let controllers = ["memory", "cpu"]

    /// The group of this process, if it may divide it.
    static func delegated() -> ControlGroups? {
        #if os(Linux)
        guard let groups = try? Host.read("/proc/self/cgroup", offset: 0, count: 65_536), let own = String(decoding: groups, as: UTF8.self).split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return nil }
        return ControlGroups(own: "/sys/fs/cgroup" + own.dropFirst(3))
        #else
        return nil
        #endif
    }

    /// - Parameter own: the folder of the daemon's group.
    package init?(own: String) {
        #if os(Linux)
        // A daemon that replaces another one is in its place already.
        let directory = own.hasSuffix("/daemon") ? Host.parent(of: own) : own
        guard ProcessLimits.isDelegated(directory), let text = try? Host.read(directory + "/cgroup.controllers") else { return nil }
        let there = String(decoding: text, as: UTF8.self).split(whereSeparator: \.isWhitespace).map(String.init)
        guard Self.controllers.allSatisfy(there.contains) else { return nil }
        self.directory = directory
        do {
            try Self.make(directory + "/daemon")
            try Self.write("\(getpid())", to: directory + "/daemon/cgroup.procs")
            try Self.write(Self.controllers.map { "+" + $0 }.joined(separator: " "), to: directory + "/cgroup.subtree_control")
        } catch {
            return nil
        }
        #else
        return nil
        #endif
    }

    private static func make(_ path: String) throws {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw Host.failure("make the control group", path) }
    }

    /// A value is one write.
    private static func write(_ text: String, to path: String) throws {
        let fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard fd >= 0 else { throw Host.failure("open", path) }
        defer { close(fd) }
        let bytes = Array(text.utf8)
        guard writeOnce(fd, bytes) == bytes.count else { throw Host.failure("write \(text) to", path) }
    }

    private func path(_ name: String) -> String { directory + "/topology-" + name }

    /// Makes the group that a process is put into.
    /// - Parameters:
    ///   - name: of the topology, as a name of a file.
    ///   - memory: bytes; beyond it the system reclaims pages, and ends the process when there are none.
    ///   - weight: 1 to 10,000; 100 is the usual one.
    package func prepare(_ name: String, memory: Int?, weight: Int?) throws {
        try Self.make(path(name))
        try Self.write(memory.map { "\($0)" } ?? "max", to: path(name) + "/memory.max")
        try Self.write("\(weight ?? 100)", to: path(name) + "/cpu.weight")
    }

    package func add(_ process: pid_t, to name: String) throws { try Self.write("\(process)", to: path(name) + "/cgroup.procs") }

    package func holds(_ process: pid_t, in name: String) -> Bool {
        guard let text = try? Host.read(path(name) + "/cgroup.procs", offset: 0, count: 1 << 20) else { return false }
        return String(decoding: text, as: UTF8.self).split(whereSeparator: \.isWhitespace).contains { Int32($0) == process }
    }

    /// An empty group goes; one that still has a process stays.
    package func remove(_ name: String) { rmdir(path(name)) }

    /// Ends of processes for want of memory in the group so far.
    package func memoryKills(_ name: String) -> Int {
        guard let text = try? Host.read(path(name) + "/memory.events") else { return 0 }
        let line = String(decoding: text, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("oom_kill ") }
        return line.flatMap { Int($0.dropFirst(9)) } ?? 0
    }
}

private func writeOnce(_ fd: Int32, _ bytes: [UInt8]) -> Int { bytes.withUnsafeBytes { write(fd, $0.baseAddress, $0.count) } }
