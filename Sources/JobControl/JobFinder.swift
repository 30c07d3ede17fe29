import Foundation
import StreamCore
import struct StreamCore.Host
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Finds the jobs that have a directory below a directory of checkpoints, and talks to those that run.
package struct JobFinder {
    package let root: String

    package init(root: String) { self.root = root }

    package struct Job {
        package var name: String
        package var directory: String

        package init(name: String, directory: String) { (self.name, self.directory) = (name, directory) }
    }

    package func jobs() throws -> [Job] {
        try Host.names(in: root).filter { !$0.hasPrefix(".") && Host.isDirectory(root + "/" + $0) }.map {
            Job(name: JobHome.jobName($0), directory: root + "/" + $0)
        }
    }

    /// The job of a name, of the only name that begins so, or of a directory.
    package func job(_ wanted: String) throws -> Job {
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
    package static func ask(_ job: Job, _ request: ControlRequest) throws -> ControlAnswer {
        guard let answer = try askIfRunning(job, request) else {
            throw StreamError(.validate, "job \(job.name) is not running (\(job.directory))", fix: "start it with swiftwater run, or name the directory of its checkpoints with --checkpoint-dir; swiftwater jobs lists the running ones")
        }
        if let error = answer.error {
            throw StreamError(StreamError.Code.named(error.kind), "job \(job.name): \(error.problem)", fix: error.fix)
        }
        return answer
    }

    /// How long a job has for telling how it is: from the connection to the end of its answer.
    package static let lookNanoseconds: UInt64 = 3_000_000_000

    /// nil when nobody runs the job: a socket that a killed process left behind takes no connections.
    package static func askIfRunning(_ job: Job, _ request: ControlRequest) throws -> ControlAnswer? {
        // A job that hangs must not take those with it who ask how it is.
        if [.status, .report, .history].contains(request.request) {
            let outcome = ask([job], request)[0]
            switch outcome {
            case .answer(let answer): return answer
            case .notRunning: return nil
            case .silent: throw StreamError(.runtime, "job \(job.name) has not answered within \(lookNanoseconds / 1_000_000_000) s", fix: "look at whether its process is stopped or the machine is short of memory")
            case .notUnderstood: throw notUnderstood(job)
            }
        }
        guard let connection = try LocalSocket.connect(to: try LocalSocket.path(in: job.directory)) else { return nil }
        defer { close(connection) }
        LocalSocket.writeLine(connection, [UInt8](try JSONEncoder().encode(request)))
        guard let line = LocalSocket.readLine(connection, limit: LocalSocket.longestAnswer) else {
            throw StreamError(
                .runtime, "job \(job.name) ended before it answered", fix: "look at its own output for the reason, and at swiftwater jobs")
        }
        guard let answer = try? JSONDecoder().decode(ControlAnswer.self, from: Data(line)) else { throw notUnderstood(job) }
        return answer
    }

    private static func notUnderstood(_ job: Job) -> StreamError {
        StreamError(.runtime, "job \(job.name) gave an answer that is not understood", fix: "use the swiftwater that runs the job")
    }

    /// What came of asking one of several jobs.
    package enum Outcome: Sendable {
        case answer(ControlAnswer)
        case notRunning
        /// Its process lives and does not answer.
        case silent
        case notUnderstood
    }

    /// Asks all jobs at once; all of it takes at most ``lookNanoseconds``, however many do not answer.
    package static func ask(_ jobs: [Job], _ request: ControlRequest) -> [Outcome] {
        guard !jobs.isEmpty, let line = try? JSONEncoder().encode(request) else { return jobs.map { _ in .notUnderstood } }
        let paths = jobs.map { (try? LocalSocket.path(in: $0.directory)) ?? "" }
        return LocalSocket.exchange(paths, [UInt8](line), deadline: Clock.monotonicNanoseconds() + lookNanoseconds).map { reply in
            switch reply {
            case .gone: .notRunning
            case .silent: .silent
            case .line(let line): (try? JSONDecoder().decode(ControlAnswer.self, from: Data(line))).map { .answer($0) } ?? .notUnderstood
            }
        }
    }
}

extension StreamError.Code {
    package static func named(_ name: String) -> StreamError.Code {
        [.parse, .validate, .plan, .runtime, .io, .corrupt, .conflict].first { $0.description == name } ?? .runtime
    }
}
