import Foundation
import StreamCore
import struct StreamCore.Host
import Synchronization
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The directory of a job, held by one process at a time.
///
///     <root>/<name>/job.json     who the job is
///     <root>/<name>/job.lock     locked by the process that runs it, and its number
///     <root>/<name>/control      the socket that `swiftwater stop` and its like talk to
///     <root>/<name>/chk-<n>/...  checkpoints
///
/// A job's id lives as long as its checkpoints: sinks mark by it what they prepared and committed, so that a job that starts
/// again from nothing, or from a place that the user names, must be another one to them. A job that has no checkpoint yet keeps
/// its id over crashes, so that sinks find what it left.
package final class JobHome: Sendable {
    package let name: String
    package let directory: String
    private let host: Host
    private let descriptor: Int32

    /// Creates the directory and locks it.
    /// - Throws: `.conflict` when another process runs the job; `.io` when the directory cannot be written to.
    package init(name: String, root: String, startsAnew: Bool = false, host: Host = .system) throws {
        self.name = name
        self.host = host
        directory = root + "/" + Self.directoryName(name)
        do {
            try host.createDirectories(root)
            Self.clearLeftovers(root, host)
            var held = try Self.lock(directory, job: name, host)
            if startsAnew {
                try Self.discard(directory, host)
                _ = host.close(held)
                held = try Self.lock(directory, job: name, host)
            }
            descriptor = held
        } catch var error as StreamError where error.code == .io {
            error.problem = "job \(name) has no place for its checkpoints: \(error.problem)"
            error.fix = "name a directory that can be written to with --checkpoint-dir or 'execution.checkpointing.dir'"
            throw error
        }
    }

    deinit {
        // A child process that is just starting may hold a copy of the descriptor.
        flock(descriptor, LOCK_UN)
        _ = host.close(descriptor)
    }

    /// Checkpoints that a run can go on from are there.
    package var hasCheckpoints: Bool { Self.hasCheckpoints(directory) }

    package static func hasCheckpoints(_ directory: String) -> Bool {
        ((try? Host.names(in: directory)) ?? []).contains { $0.hasPrefix("chk-") && Host.exists("\(directory)/\($0)/manifest.json") }
    }

    private struct Identity: Codable {
        package var version = 1
        package var id: String
        package var name: String
        package var createdAt: Int64
        /// It completed a checkpoint: without one in the directory, these have been removed.
        package var hadCheckpoints = false
        /// The savepoint that the job started from.
        package var startedFrom: String?
    }

    private var path: String { directory + "/job.json" }

    /// The job's id.
    ///
    /// - Parameter isElsewhere: the job starts from a savepoint, not from the checkpoints here.
    /// - Parameter savepoint: what it starts from then, if that is given every time until the job has a checkpoint: the job stays the same.
    package func jobID(startsElsewhere isElsewhere: Bool, from savepoint: String? = nil) throws -> String {
        if let savepoint, let known = try Self.identity(path, name: name), known.startedFrom == savepoint, !known.hadCheckpoints { return known.id }
        if !isElsewhere, let known = try Self.identity(path, name: name), hasCheckpoints || !known.hadCheckpoints { return known.id }
        var identity = Identity(id: host.uuid(), name: name, createdAt: host.now())
        identity.startedFrom = savepoint
        try Self.write(identity, path, host)
        return identity.id
    }

    /// Whether the job started from this savepoint and has had checkpoints of its own since.
    package func hasGoneOn(from savepoint: String) -> Bool {
        guard let known = try? Self.identity(path, name: name) else { return false }
        return known.startedFrom == savepoint && known.hadCheckpoints && hasCheckpoints
    }

    /// The same of the job in a directory, whoever runs it.
    package static func hasGoneOn(_ directory: String, from savepoint: String) -> Bool {
        guard let known = try? identity(directory + "/job.json", name: "") else { return false }
        return known.startedFrom == savepoint && known.hadCheckpoints && hasCheckpoints(directory)
    }

    /// To be called when a checkpoint is complete, from any thread.
    package var checkpointMarker: @Sendable () -> Void {
        let isNoted = Once(), path = path, host = host
        return {
            guard isNoted.isFirst else { return }
            // Without the note the job keeps its id even if someone removes the checkpoints by hand: nothing to fail for.
            guard var known = try? Self.identity(path, name: ""), !known.hadCheckpoints else { return }
            known.hadCheckpoints = true
            try? Self.write(known, path, host)
        }
    }

    /// The job's input has ended and its checkpoints are gone: when it is run again, it is another one.
    package func forget() throws { try host.remove(path) }

    private static func identity(_ path: String, name: String) throws -> Identity? {
        guard Host.exists(path) else { return nil }
        guard let known = try? JSONDecoder().decode(Identity.self, from: Data(try Host.read(path))), known.version == 1, !known.id.isEmpty else {
            throw StreamError(
                .corrupt, "\(path) does not say who job \(name) is",
                fix: "restore the file, or start the job anew with --fresh, which forgets its checkpoints")
        }
        return known
    }

    private static func write(_ identity: Identity, _ path: String, _ host: Host) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try host.replaceFile(path, [UInt8](try encoder.encode(identity)) + [10])
    }

    /// Renamed first: a crash on the way leaves no part of the checkpoints to be taken for all of them.
    private static func discard(_ directory: String, _ host: Host) throws {
        let leftover = Host.parent(of: directory) + "/" + leftoverPrefix + host.uuid()
        guard host.rename(directory, leftover) == 0 else {
            if errno == ENOENT { return }
            throw Host.failure("remove checkpoints in", directory)
        }
        try host.syncDirectory(Host.parent(of: directory))
        try host.removeTree(leftover)
    }

    private static let leftoverPrefix = ".ended-"

    private static func clearLeftovers(_ root: String, _ host: Host) {
        for name in (try? Host.names(in: root)) ?? [] where name.hasPrefix(leftoverPrefix) { try? host.removeTree(root + "/" + name) }
    }

    private static func lock(_ directory: String, job: String, _ host: Host) throws -> Int32 {
        let path = directory + "/job.lock"
        while true {
            try host.createDirectories(directory)
            let fd = host.open(path, O_RDWR | O_CREAT, 0o644)
            guard fd >= 0 else {
                if errno == ENOENT { continue }
                throw Host.failure("open", path)
            }
            guard flock(fd, LOCK_EX | LOCK_NB) == 0 else {
                let code = errno
                _ = host.close(fd)
                guard code == EWOULDBLOCK else { throw Host.failure("lock", path, code: code) }
                let holder = (try? Host.read(path)).flatMap { Int(String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)) }
                throw StreamError(
                    .conflict, "job \(job) runs already" + (holder.map { ", in process \($0)" } ?? "") + " (\(directory))",
                    fix: "stop it with swiftwater stop \(job), or give this one another name with --set pipeline.name=NAME")
            }
            // The directory may have been removed by the process that held the lock until now.
            var held = stat(), named = stat()
            guard fstat(fd, &held) == 0, stat(path, &named) == 0, held.st_ino == named.st_ino else {
                _ = host.close(fd)
                continue
            }
            _ = host.truncate(fd, 0)
            try Array("\(getpid())\n".utf8).withUnsafeBytes { try host.writeAll(fd, $0, at: 0, path: path) }
            return fd
        }
    }

    /// A job's name as that of a directory: letters, digits and `._-` stay, all else is written as `%XX`.
    package static func directoryName(_ name: String) -> String {
        var out = ""
        for (i, byte) in name.utf8.enumerated() {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "_"), UInt8(ascii: "-"):
                out.unicodeScalars.append(UnicodeScalar(byte))
            case UInt8(ascii: ".") where i > 0: out += "."
            default: out += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        // Names of files end at 255 bytes.
        if out.utf8.count > 200 { out = out.prefix(180) + "-" + String(Self.hash(name), radix: 16) }
        return out.isEmpty ? "%" : out
    }

    /// The name that a directory stands for.
    package static func jobName(_ directory: String) -> String {
        let last = directory.split(separator: "/").last.map(String.init) ?? directory
        return last.removingPercentEncoding ?? last
    }

    /// FNV-1a over the bytes of a text.
    package static func hash(_ text: String) -> UInt64 {
        text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}

/// True once, whichever thread asks first.
package final class Once: Sendable {
    private let isDone = Mutex(false)

    package init() {}

    package var isFirst: Bool {
        isDone.withLock { done in
            defer { done = true }
            return !done
        }
    }
}
