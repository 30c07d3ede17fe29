import Foundation
import StreamCore

/// Runs the statements of a script in one session of a gateway, and waits until the jobs that they start run.
package struct FlinkSubmission: Sendable {
    /// The end of a submission that was cancelled, and that nevertheless leaves something on Flink, or may.
    package struct Stopped: Error, CustomStringConvertible {
        /// Ids of jobs that run on, each with the reason why it could not be cancelled.
        package var left: [(id: String, reason: String)]
        /// The statement of which nobody knows whether its job runs, in words.
        package var unknown: String?

        package var description: String {
            var parts: [String] = []
            if !left.isEmpty { parts.append("started before, and not cancelled: \(FlinkSubmission.list(left)); \(FlinkSubmission.remedy)") }
            if let unknown { parts.append("\(unknown): see swiftwater list --engine flink") }
            return parts.joined(separator: "\n")
        }
    }

    /// In Flink's dialect. The location is where a user wrote what it was made from; the summary names it in a line.
    package typealias Statement = (text: String, location: SourceLocation?, summary: String)

    package struct Started: Sendable {
        package let id: String
        /// What the statement that started it does.
        package let summary: String
    }

    package let gateway: SQLGateway
    package let options: FlinkClientOptions
    /// URL of the JobManager's REST API; nil = what the gateway submits to.
    package var rest: String?

    package init(_ gateway: SQLGateway, rest: String? = nil, _ options: FlinkClientOptions) { (self.gateway, self.rest, self.options) = (gateway, rest, options) }

    /// Either all jobs run in the end, or none: when a statement is refused, or a job does not come up, those that were started are cancelled.
    ///
    /// - Parameter started: called for each job as soon as Flink has taken it.
    /// - Returns: the jobs in the order of their statements.
    /// - Throws: Flink's reason, with the statement and its place; when it is cancelled, ``Stopped`` or, if nothing of it runs, `CancellationError`.
    package func run(_ statements: [Statement], name: String, started: (Started) -> Void = { _ in }) throws -> [Started] {
        try gateway.withSession(name: name) { session in
            let jobs = try jobManager(session)
            _ = try jobs.overview()
            var all: [Started] = [], unknown: String?
            do {
                for (index, statement) in statements.enumerated() {
                    try options.check("statement \(index + 1) of \(statements.count) (\(statement.summary)) has not been sent")
                    let result: StatementResult
                    do {
                        result = try session.execute(statement.text, rowsMax: 0) { left in
                            switch left {
                            case .job(let id):
                                all.append(Started(id: id, summary: statement.summary))
                                started(all[all.count - 1])
                            case .unknown: unknown = "it is not known whether a job of statement \(index + 1) of \(statements.count) (\(statement.summary)) runs"
                            }
                        }
                    } catch let error as StreamError { throw Self.placed(error, statement, index + 1, of: statements.count) }
                    guard let id = result.jobID else { continue }
                    all.append(Started(id: id, summary: statement.summary))
                    started(all[all.count - 1])
                }
                try jobs.awaitRunning(all.map(\.id)) { try session.keepAlive() }
            } catch {
                throw Self.undo(all, unknown, at: jobs, after: error)
            }
            return all
        }
    }

    private func jobManager(_ session: GatewaySession) throws -> FlinkREST {
        if let rest { return try FlinkREST(url: rest, options) }
        let settings = try session.configuration()
        guard let host = settings["rest.address"], !host.isEmpty else {
            throw StreamError(.validate, "the SQL gateway at \(gateway.url) does not say where the JobManager's REST API is: it has no rest.address", fix: "name it with --rest, or FLINK_REST")
        }
        let scheme = settings["security.ssl.rest.enabled"] == "true" ? "https" : "http"
        return try FlinkREST(url: "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(settings["rest.port"] ?? "8081")", options)
    }

    private static func undo(_ started: [Started], _ unknown: String?, at jobs: FlinkREST, after error: any Error) -> any Error {
        // The deadline, or Ctrl-C, may be what ended the wait: cancelling has a little time of its own.
        let jobs = jobs.waiting(seconds: 20)
        var cancelled: [String] = [], left: [(id: String, reason: String)] = []
        for job in started {
            do {
                if try jobs.details(job.id).job.isEnded { continue }
                try jobs.cancel(job.id)
                cancelled.append(job.id)
            } catch { left.append((job.id, (error as? StreamError)?.problem ?? "\(error)")) }
        }
        guard var told = error as? StreamError else { return left.isEmpty && unknown == nil ? error : Stopped(left: left, unknown: unknown) }
        if !cancelled.isEmpty { told.problem += "\nstarted before, and cancelled now: \(cancelled.joined(separator: ", "))" }
        var fixes = told.fix.map { [$0] } ?? []
        if !left.isEmpty {
            told.problem += "\nstarted before, and not cancelled: \(list(left))"
            fixes.append(remedy)
        }
        if let unknown {
            told.problem += "\n\(unknown)"
            if told.fix?.contains("swiftwater list") != true { fixes.append("see swiftwater list --engine flink") }
        }
        if !fixes.isEmpty { told.fix = fixes.joined(separator: "; ") }
        return told
    }

    private static let remedy = "end them with swiftwater cancel ID --engine flink"

    /// Jobs with the reasons why they were not cancelled, each reason in one line.
    private static func list(_ left: [(id: String, reason: String)]) -> String {
        left.map { "\($0.id) (\($0.reason.split(whereSeparator: \.isNewline).joined(separator: " ")))" }.joined(separator: ", ")
    }

    /// A line with an option, without the option's value when that is a secret.
    private static func masked(_ line: Substring) -> String {
        let parts = line.split(separator: "'", omittingEmptySubsequences: false)
        guard parts.count >= 5, ["password", "secret", "token", "jaas", "credential"].contains(where: { parts[1].lowercased().contains($0) }) else { return String(line) }
        return "\(parts[0])'\(parts[1])'\(parts[2])'****'" + (line.hasSuffix(",") ? "," : "")
    }

    /// The error with its place, and with the text that Flink had: its own lines and columns count in that.
    private static func placed(_ error: StreamError, _ statement: Statement, _ number: Int, of count: Int) -> StreamError {
        let lines = statement.text.split(separator: "\n", omittingEmptySubsequences: false), shown = lines.prefix(20).map { "    " + masked($0) }.joined(separator: "\n")
        var placed = error
        placed.location = statement.location
        placed.problem = "Flink refuses statement \(number) of \(count) (\(statement.summary)):\n\(shown)\n" + (lines.count > 20 ? "    … \(lines.count - 20) more lines\n" : "") + error.problem
        return placed
    }
}
