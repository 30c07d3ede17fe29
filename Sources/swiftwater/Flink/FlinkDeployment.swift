import ArgumentParser
import FlinkClient
import FlinkExport
import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import Synchronization

/// Which engine a command is about, and where Flink is.
struct FlinkAddress: ParsableArguments {
    enum Choice: String, ExpressibleByArgument, CaseIterable { case swiftwater, flink }

    @Option(help: "Who runs it: swiftwater or flink.") var engine: Choice = .swiftwater
    @Option(help: "With --engine flink: URL of the JobManager's REST API; default $FLINK_REST.") var rest: String?
    @Option(help: "With --engine flink: how long Flink may take, for example 5min; default 2min.") var timeout: String?
    @Flag(help: "With --engine flink: show its whole stack traces.") var verbose = false

    var isFlink: Bool { engine == .flink }

    /// - Parameters:
    ///   - own: options that only this engine has, and whether each is given.
    ///   - flinks: those that only Flink has, beside the ones here.
    /// - Throws: `.validate`, naming the first that is for the other engine.
    func refuseForeign(own: [(name: String, isGiven: Bool)], flinks: [(name: String, isGiven: Bool)] = []) throws {
        let foreign = isFlink ? own : [("rest", rest != nil), ("timeout", timeout != nil), ("verbose", verbose)] + flinks
        guard let option = foreign.first(where: \.isGiven) else { return }
        throw StreamError(.validate, "--\(option.name) is for --engine \(isFlink ? "swiftwater" : "flink")", fix: isFlink ? "leave it out" : "leave it out, or add --engine flink")
    }

    /// - Parameters:
    ///   - tokenFile: file with the token to send; nil = $FLINK_TOKEN, or none.
    ///   - certificate: PEM file with the certificates to trust; nil = the system's.
    func clientOptions(tokenFile: String?, certificate: String?) throws -> FlinkClientOptions {
        guard let limit = Durations.parse(timeout ?? "2min"), limit > .zero else { throw StreamError(.validate, "--timeout '\(timeout ?? "")' is not a length of time", fix: "write for example 5min") }
        var options = FlinkClientOptions(timeout: limit / .seconds(1))
        options.token = try tokenFile.map { try Engine.read($0).trimmingCharacters(in: .whitespacesAndNewlines) } ?? ProcessInfo.processInfo.environment["FLINK_TOKEN"]
        options.certificate = certificate
        options.userAgent = "swiftwater/\(swiftwaterVersion)"
        options.showsTraces = verbose
        options.report = { Terminal.error($0) }
        return options
    }

    /// The URL of the JobManager, where one is given.
    var jobManager: String? { rest ?? ProcessInfo.processInfo.environment["FLINK_REST"] }

    func jobs(tokenFile: String?, certificate: String?) throws -> FlinkREST {
        guard let url = jobManager else { throw StreamError(.validate, "no JobManager is named", fix: "give --rest URL, for example http://127.0.0.1:8081, or set FLINK_REST") }
        return try FlinkREST(url: url, clientOptions(tokenFile: tokenFile, certificate: certificate))
    }
}

/// Ends what is going on at the first Ctrl-C.
private final class Interruption: Sendable {
    private let state = Mutex(false)
    var isAsked: Bool { state.withLock { $0 } }
    func watch() { Signals.onStop { [self] in state.withLock { $0 = true } } }
}

/// `deploy --engine flink`: the exported script through a SQL gateway.
struct FlinkDeployment {
    var address: FlinkAddress
    var gateway: String?
    var target: FlinkTargetOptions
    var settings: [String]
    var parallelism: Int?
    var partial: Bool
    var dryRun: Bool
    var json: Bool

    func run(file: String, name: String?, variables: [String], data: String, options: FlinkClientOptions) throws {
        let interruption = Interruption()
        var options = options
        options.isCancelled = { interruption.isAsked }
        let url = gateway ?? ProcessInfo.processInfo.environment["FLINK_GATEWAY"]
        if url == nil, !dryRun { throw StreamError(.validate, "no SQL gateway is named", fix: "give --gateway URL, for example http://127.0.0.1:8083, or set FLINK_GATEWAY") }
        interruption.watch()
        defer { Signals.forget() }
        do {
            // What is written depends on the version of the cluster that is going to run it.
            let gateway = try dryRun ? nil : url.map { try SQLGateway(url: $0, options) }
            let script = try script(file, name, variables, data, cluster: gateway?.flinkVersion)
            guard let gateway else { return Terminal.write(script.text) }
            let submission = FlinkSubmission(gateway, rest: address.jobManager, options)
            let jobs = try submission.run(script.statements.map { ($0.text, $0.location, $0.summary) }, name: script.name) { job in
                if !json { Terminal.error("job \(job.id) is submitted: \(job.summary)") }
            }
            if json {
                print(JSON.object([
                    .init("name", .string(script.name)), .init("flinkVersion", .string(gateway.flinkVersion)),
                    .init("jobs", .array(jobs.map { .object([.init("id", .string($0.id)), .init("statement", .string($0.summary))]) })),
                ]).text())
            } else {
                Terminal.error("topology \(script.name): \(jobs.count == 1 ? "its job runs" : "\(jobs.count) jobs run") on Flink \(gateway.flinkVersion)")
                for job in jobs { print(job.id) }
            }
        } catch let stopped as FlinkSubmission.Stopped {
            Terminal.error("stopped: \(stopped)")
            throw ExitCode(130)
        } catch is CancellationError {
            Terminal.error("stopped: nothing of it runs on Flink")
            throw ExitCode(130)
        }
    }

    private func script(_ file: String, _ name: String?, _ variables: [String], _ data: String, cluster: String?) throws -> FlinkScript {
        let input = try FlinkInput(file, variables: variables, cells: nil, data: data)
        let (survey, session, findings) = try FlinkSurvey.of(input, settings: settings, parallelism: parallelism, catalogFile: nil)
        let exporter = FlinkExporter(survey, session: session, target: try target.target(cluster: cluster), findings: findings)
        let script = try exporter.script(name: name ?? input.name, description: input.description)
        try FlinkReport.require(script, file: file, partial: partial, format: json ? .json : .table)
        if let query = script.statements.first(where: { $0.kind == .query }) {
            throw StreamError(.plan, "\(query.summary): the rows of a query go to who asks, and nobody does once it is deployed", fix: "write them to a table with INSERT INTO, or run the file with swiftwater run", at: query.location)
        }
        guard script.statements.contains(where: { $0.kind == .insert }) else {
            throw StreamError(.plan, "\(file) has no job for Flink: nothing of it writes to a table", fix: "add an INSERT INTO")
        }
        if !json { FlinkReport.tell(script) }
        return script
    }
}

/// Flink's jobs on the terminal.
enum FlinkJobs {
    static func list(_ flink: FlinkREST, json: Bool) throws {
        let all = try flink.jobs()
        if json { return all.forEach { print(object($0).text()) } }
        print(TextTable(columns: ["job", "name", "state", "start", "duration", "tasks"], alignRight: [false, false, false, false, true, false], rows: all.map { job in
            [job.id, job.name, job.state, job.startedAt > 0 ? JobLog.time(job.startedAt) : "-", JobLog.seconds(.milliseconds(job.milliseconds)), tasks(job)]
        }).boxed())
    }

    static func show(_ flink: FlinkREST, _ name: String, json: Bool) throws {
        let id = try flink.job(named: name).id, (job, vertices) = try flink.details(id), checkpoints = try flink.checkpoints(id), exceptions = try flink.exceptions(id)
        if json {
            let newest = checkpoints.newest.map { JSON.object([.init("id", .int($0.id)), .init("at", .int($0.at)), .init("milliseconds", .int($0.milliseconds)), .init("bytes", .int($0.bytes)), .init("path", $0.path.map(JSON.string) ?? .null)]) }
            var shown = object(job)
            shown["vertices"] = .array(vertices.map { v in
                .object([.init("id", .string(v.id)), .init("name", .string(v.name)), .init("state", .string(v.state)), .init("parallelism", .int(v.parallelism)),
                         .init("recordsIn", .int(v.recordsIn)), .init("recordsOut", .int(v.recordsOut)), .init("bytesIn", .int(v.bytesIn)), .init("bytesOut", .int(v.bytesOut))])
            })
            shown["checkpoints"] = .object([.init("completed", .int(checkpoints.completed)), .init("failed", .int(checkpoints.failed)), .init("inProgress", .int(checkpoints.inProgress)),
                                            .init("newest", newest ?? .null), .init("newestSavepoint", checkpoints.newestSavepoint.map(JSON.string) ?? .null)])
            shown["exceptions"] = .array(exceptions.map { .object([.init("at", .int($0.at)), .init("task", $0.task.map(JSON.string) ?? .null), .init("message", .string($0.cause.message)), .init("trace", .string($0.trace))]) })
            return print(shown.text())
        }
        print("job \(job.name) (\(job.id)): \(job.state) for \(JobLog.seconds(.milliseconds(job.milliseconds))), started \(JobLog.time(job.startedAt)), tasks: \(tasks(job))")
        print(TextTable(columns: ["operator", "state", "parallelism", "rows in", "rows out"], alignRight: [false, false, true, true, true], rows: vertices.map { v in
            [v.name, v.state, "\(v.parallelism)", grouped(v.recordsIn), grouped(v.recordsOut)]
        }).boxed())
        print("\(checkpoints.completed) checkpoints, \(checkpoints.failed) failed" + (checkpoints.newest.map { "; newest \($0.id) at \(JobLog.time($0.at)), \(grouped($0.bytes)) bytes in \($0.milliseconds) ms\($0.path.map { ": \($0)" } ?? "")" } ?? ""))
        if let savepoint = checkpoints.newestSavepoint { print("newest savepoint: \(savepoint)") }
        if let newest = exceptions.first { print("\(JobLog.time(newest.at))  exception\(newest.task.map { " in \($0)" } ?? ""): \(newest.cause.message)") }
    }

    static func cancel(_ flink: FlinkREST, _ name: String) throws {
        let job = try flink.job(named: name)
        guard !job.isEnded else { return Terminal.error("job \(job.name) (\(job.id)) has ended before: \(job.state)") }
        let state = try flink.cancel(job.id)
        Terminal.error(state == "CANCELED" ? "job \(job.name) (\(job.id)) is canceled" : "job \(job.name) (\(job.id)) has ended before it could be canceled: \(state)")
    }

    /// Prints the savepoint's path.
    static func stop(_ flink: FlinkREST, _ name: String, savepoint: Bool, target: String?, drain: Bool) throws {
        guard savepoint else { throw StreamError(.validate, "Flink stops a job with a savepoint only", fix: "add --savepoint, or end it with swiftwater cancel \(name) --engine flink") }
        let job = try flink.job(named: name)
        guard !job.isEnded else { throw StreamError(.validate, "job \(job.name) (\(job.id)) has ended: \(job.state)", fix: "see swiftwater list --engine flink") }
        let path = try flink.stop(job.id, savepointsIn: target, drain: drain)
        Terminal.error("job \(job.name) (\(job.id)) has stopped")
        print(path)
    }

    private static func tasks(_ job: FlinkJob) -> String { job.tasks.isEmpty ? "-" : job.tasks.map { "\($0.count) \($0.state)" }.joined(separator: ", ") }

    private static func object(_ job: FlinkJob) -> JSON {
        .object([.init("id", .string(job.id)), .init("name", .string(job.name)), .init("state", .string(job.state)), .init("startedAt", .int(job.startedAt)),
                 .init("endedAt", job.endedAt.map(JSON.int) ?? .null), .init("milliseconds", .int(job.milliseconds)), .init("tasks", .object(job.tasks.map { .init($0.state, .int($0.count)) }))])
    }
}
