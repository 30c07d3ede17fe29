import JobControl
import ArgumentParser
import Foundation
import StreamCore

/// Where the commands about running jobs look for them.
struct JobsDirectory: ParsableArguments {
    @Option(help: "Directory of the checkpoints of all jobs, as given to run; default DATA/checkpoints.") var checkpointDir: String?
    @OptionGroup var data: DataDirectory

    var finder: JobFinder { JobFinder(root: checkpointDir ?? JobPlacement.checkpoints(data: data.path)) }
}

struct JobsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs", abstract: "List the running jobs.", discussion: "Example: swiftwater jobs --output json")
    @OptionGroup var output: StreamCommand.Output
    @OptionGroup var directory: JobsDirectory

    func run() throws {
        // A job that is on its way out while it is asked does not run any more.
        let running = try directory.finder.jobs().compactMap { try? JobFinder.askIfRunning($0, ControlRequest(request: .status))?.status }
        switch output.format {
        case .json:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            for job in running { print(String(decoding: try encoder.encode(job), as: UTF8.self)) }
        case .table:
            print(TextTable(
                columns: ["job", "process", "state", "since", "rows in", "restarts", "checkpoint", "at", "bytes"],
                alignRight: [false, true, false, false, true, true, true, false, true], rows: running.map { job in
                    [job.name, "\(job.process)", state(job), JobLog.time(job.startedAt),
                     grouped(job.operators.reduce(0) { $0 + ($1.rowsIn == 0 ? $1.rowsOut : 0) }), "\(job.restarts)",
                     job.checkpoint.map { "\($0)" } ?? "-", job.checkpointAt.map(JobLog.time) ?? "-",
                     job.checkpointBytes.map { grouped(Int64($0)) } ?? "-"]
                }).boxed())
            for job in running {
                for table in job.tables ?? [] where table.error != nil { print("\(job.name): table \(table.table) \(table.state.rawValue): \(table.error!)") }
                if let failure = job.failure { print("\(job.name): \(failure)") }
            }
        }
    }

    private func state(_ job: JobStatus) -> String {
        guard let tables = job.tables else { return job.failure == nil ? "running" : "retrying" }
        let failing = tables.count { $0.state == .retrying || $0.state == .failed }
        return "\(tables.count) table\(tables.count == 1 ? "" : "s")" + (failing > 0 ? ", \(failing) failing" : "")
    }
}

struct StopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Stop a running job; what it read is committed.",
        discussion: """
            The next run goes on from its last checkpoint. With --savepoint it can also be started elsewhere, at another parallelism.
            With --engine flink a job of a Flink cluster is stopped, and the path of its savepoint printed.
            Examples:
              swiftwater stop sensors --savepoint
              swiftwater stop sensors --engine flink --rest http://127.0.0.1:8081 --savepoint --target s3://bucket/savepoints
            """)
    @Argument(help: "Name of the job, or the only one that begins so; with --engine flink, its id, the first six digits or more, or its name.") var job: String
    @Flag(help: "Take a savepoint at the end; without --target where the job puts its savepoints.") var savepoint = false
    @Option(help: "Directory that the savepoint goes into.") var target: String?
    @Flag(help: "Bring event time to its end first: windows that are open give their rows.") var drain = false
    @Option(help: "With --engine flink: file with the token to send; default $FLINK_TOKEN.") var tokenFile: String?
    @Option(help: "With --engine flink: PEM file with the certificate to trust, for a server whose certificate nobody signed.") var caCertificate: String?
    @OptionGroup var flink: FlinkAddress
    @OptionGroup var directory: JobsDirectory

    func validate() throws {
        if target != nil && !savepoint { throw ValidationError("--target is for --savepoint") }
    }

    func run() throws {
        try flink.refuseForeign(own: [("checkpoint-dir", directory.checkpointDir != nil), ("data", directory.data.directory != nil)], flinks: [("token-file", tokenFile != nil), ("ca-certificate", caCertificate != nil)])
        if flink.isFlink { return try FlinkJobs.stop(flink.jobs(tokenFile: tokenFile, certificate: caCertificate), job, savepoint: savepoint, target: target, drain: drain) }
        let job = try directory.finder.job(job)
        let answer = try JobFinder.ask(
            job, ControlRequest(request: .stop, savepoint: savepoint, directory: target.map(LocalSocket.absolute), drain: drain))
        Terminal.error("job \(job.name) has \(answer.end ?? "ended")")
        if let path = answer.path { print(path) }
    }
}
