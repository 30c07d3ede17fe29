import Foundation
import StreamCore
import struct StreamCore.Host
import StreamRuntime
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import Synchronization

/// The directory in which a topology's process and the daemon that looks after it leave word for each other.
///
///     <directory>/lock       locked by the process for as long as it lives, however it ends
///     <directory>/jobs.json  the jobs that it has begun
///     <directory>/end.json   how it ended, when it could say so
///     <directory>/log        what it wrote
///
/// Nothing of it needs the daemon: one that is killed and started again finds the process by its lock.
package struct HostedFolder: Sendable {
    package let directory: String

    package init(_ directory: String) { self.directory = directory }

    package var lock: String { directory + "/lock" }
    package var log: String { directory + "/log" }
    private var jobsPath: String { directory + "/jobs.json" }
    private var endPath: String { directory + "/end.json" }

    package struct Job: Codable, Hashable, Sendable {
        package var name: String
        package var directory: String
        package init(name: String, directory: String) { (self.name, self.directory) = (name, directory) }
    }

    /// How a process ended.
    package struct End: Codable, Sendable {
        /// finished, stopped or failed.
        package var end: String
        package var error: ControlAnswer.Failure?
        /// What the next run starts from, when the job was stopped with a savepoint.
        package var savepoint: String?
        package var at: Int64
        package var reports: [JobReport]

        package init(end: String, error: ControlAnswer.Failure? = nil, savepoint: String? = nil, at: Int64, reports: [JobReport] = []) {
            (self.end, self.error, self.savepoint, self.at, self.reports) = (end, error, savepoint, at, reports)
        }
    }

    package var jobs: [Job] { (try? JSONDecoder().decode([Job].self, from: Data(Host.read(jobsPath)))) ?? [] }
    package var end: End? { (try? JSONDecoder().decode(End.self, from: Data(Host.read(endPath)))) }

    package func write(_ jobs: [Job]) throws { try Host.system.replaceFile(jobsPath, [UInt8](try JSONEncoder().encode(jobs))) }
    package func write(_ end: End) throws { try Host.system.replaceFile(endPath, [UInt8](try JSONEncoder().encode(end))) }
    package func forgetEnd() throws { try Host.system.remove(endPath) }

    /// Whether a process lives here.
    package var isAlive: Bool {
        let fd = open(lock, O_RDWR | O_CLOEXEC)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        guard flock(fd, LOCK_SH | LOCK_NB) == 0 else { return errno == EWOULDBLOCK }
        flock(fd, LOCK_UN)
        return false
    }

    /// Number of the process that lives here.
    package var process: Int32? {
        guard isAlive, let bytes = try? Host.read(lock) else { return nil }
        return Int32(String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// Returns when no process lives here. Blocks.
    package func waitForEnd() {
        let fd = open(lock, O_RDWR | O_CLOEXEC)
        guard fd >= 0 else { return }
        defer { close(fd) }
        while flock(fd, LOCK_SH) != 0, errno == EINTR {}
        flock(fd, LOCK_UN)
    }
}

/// This process as one that a daemon has started for a topology.
package final class HostedProcess: Sendable {
    /// nil in processes that people start.
    package static let current = Mutex<HostedProcess?>(nil)

    package let folder: HostedFolder
    private let descriptor: Int32
    private struct State {
        var jobs: [HostedFolder.Job] = []
        var running: [String: @Sendable () -> JobReport] = [:]
        var savepoint: String?
        var wasStopped = false
    }
    private let state = Mutex(State())

    /// A job was stopped by a request.
    package var wasStopped: Bool { state.withLock { $0.wasStopped } }

    /// Waits until the process before it has gone. To be called before anything else is opened.
    package init(_ directory: String) throws {
        Self.closeInherited()
        let folder = HostedFolder(directory)
        self.folder = folder
        let fd = open(folder.lock, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw Host.failure("open", folder.lock) }
        // The process before it may be on its way out. One that stays was started by a daemon that has gone: then this one is not wanted.
        let deadline = Clock.monotonicNanoseconds() + 5_000_000_000
        while flock(fd, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else { throw Host.failure("lock", folder.lock) }
            guard Clock.monotonicNanoseconds() < deadline else {
                throw StreamError(.conflict, "another process runs the topology in \(directory)", fix: "leave it to the daemon")
            }
            usleep(10_000)
        }
        _ = ftruncate(fd, 0)
        try Array("\(getpid())\n".utf8).withUnsafeBytes { try Host.system.writeAll(fd, $0, at: 0, path: folder.lock) }
        descriptor = fd
        try folder.write([HostedFolder.Job]())
    }

    /// Sockets and locks of the daemon are not the job's.
    private static func closeInherited() {
        guard let names = try? Host.names(in: "/dev/fd") else { return }
        for name in names { if let fd = Int32(name), fd > 2 { close(fd) } }
    }

    /// A job has been made, and answers at the socket in its directory.
    package func began(_ name: String, directory: String, report: @escaping @Sendable () -> JobReport) throws {
        let jobs = state.withLock { state in
            state.jobs.removeAll { $0.name == name }
            state.jobs.append(.init(name: name, directory: LocalSocket.realPath(directory)))
            state.running[name] = report
            return state.jobs
        }
        try folder.write(jobs)
    }

    package func stopped(savepoint: String?) {
        state.withLock { state in
            state.wasStopped = true
            state.savepoint = savepoint ?? state.savepoint
        }
    }

    /// Says how it ended.
    /// - Parameter error: nil = it did not fail.
    package func ended(isStopped: Bool, error: (any Error)?) {
        let (savepoint, reports) = state.withLock { ($0.savepoint, $0.running) }
        let failure = error.map { error in
            let known = error as? StreamError
            return ControlAnswer.Failure(kind: "\(known?.code ?? .runtime)", problem: known.map { $0.placedProblem } ?? "\(error)", fix: known?.fix)
        }
        let end = HostedFolder.End(
            end: failure != nil ? "failed" : isStopped ? "stopped" : "finished", error: failure, savepoint: savepoint, at: Clock.milliseconds(),
            reports: reports.sorted { $0.key < $1.key }.map { $0.value() })
        // The daemon takes a process that says nothing for one that has crashed.
        try? folder.write(end)
    }
}

extension StreamError {
    /// The problem with its place in the file.
    package var placedProblem: String { location.map { "\($0): \(problem)" } ?? problem }
}
