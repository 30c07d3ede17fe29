import Foundation
import StreamCore
import struct StreamCore.Host
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Finds the jobs that have a directory below a directory of checkpoints, and talks to those that run.
struct JobFinder {
    let root: String

    struct Job {
        var name: String
        var directory: String
    }

    func jobs() throws -> [Job] {
        try Host.names(in: root).filter { !$0.hasPrefix(".") && Host.isDirectory(root + "/" + $0) }.map {
            Job(name: JobHome.jobName($0), directory: root + "/" + $0)
        }
    }

    /// The job of a name, of the only name that begins so, or of a directory.
    func job(_ wanted: String) throws -> Job {
        if wanted.contains("/"), Host.isDirectory(wanted) { return Job(name: JobHome.jobName(wanted), directory: wanted) }
        let all = try jobs()
        if let exact = all.first(where: { $0.name == wanted }) { return exact }
        let near = all.filter { $0.name.hasPrefix(wanted) }
        if near.count == 1 { return near[0] }
        guard near.isEmpty else {
            throw StreamError(
                .validate, "\(near.count) jobs have names that begin with '\(wanted)': \(near.map(\.name).joined(separator: ", "))",
                fix: "write the whole name")
        }
        throw StreamError(
            .validate, "there is no job '\(wanted)' in \(root)",
            fix: (NearName.nearest(to: wanted, in: all.map(\.name)).map { "write \"\($0)\", " } ?? "")
                + "name the directory of its checkpoints with --checkpoint-dir, or end a job that keeps none with Ctrl-C")
    }

    /// Asks a job that must be running.
    static func ask(_ job: Job, _ request: ControlRequest) throws -> ControlAnswer {
        guard let answer = try askIfRunning(job, request) else {
            throw StreamError(.validate, "job \(job.name) is not running (\(job.directory))", fix: "start it with swiftwater run, or name the directory of its checkpoints with --checkpoint-dir; swiftwater jobs lists the running ones")
        }
        if let error = answer.error {
            throw StreamError(StreamError.Code.named(error.kind), "job \(job.name): \(error.problem)", fix: error.fix)
        }
        return answer
    }

    /// nil when nobody runs the job: a socket that a killed process left behind takes no connections.
    static func askIfRunning(_ job: Job, _ request: ControlRequest) throws -> ControlAnswer? {
        guard let connection = try LocalSocket.connect(to: try LocalSocket.path(in: job.directory)) else { return nil }
        defer { close(connection) }
        LocalSocket.writeLine(connection, [UInt8](try JSONEncoder().encode(request)))
        guard let line = LocalSocket.readLine(connection) else {
            throw StreamError(
                .runtime, "job \(job.name) ended before it answered", fix: "look at its own output for the reason, and at swiftwater jobs")
        }
        do {
            return try JSONDecoder().decode(ControlAnswer.self, from: Data(line))
        } catch {
            throw StreamError(.runtime, "job \(job.name) gave an answer that is not understood", fix: "use the swiftwater that runs the job")
        }
    }
}

extension StreamError.Code {
    static func named(_ name: String) -> StreamError.Code {
        [.parse, .validate, .plan, .runtime, .io, .corrupt, .conflict].first { $0.description == name } ?? .runtime
    }
}
