import JobControl
import ArgumentParser
import Foundation
import StreamCore
import struct StreamCore.Host
import StreamRuntime
import StreamState

struct SavepointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "savepoint", abstract: "Savepoints and checkpoints: create, list, inspect.",
        discussion: "Example: swiftwater savepoint create sensors", subcommands: [Create.self, List.self, Inspect.self])

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a savepoint of a running job, which goes on; prints its directory.",
            discussion: "Example: swiftwater savepoint create sensors --target /backup")
        @Argument(help: "Name of the job, or the only one that begins so.") var job: String
        @Option(help: "Directory that the savepoint goes into; default where the job puts its savepoints.") var target: String?
        @OptionGroup var directory: JobsDirectory

        func run() throws {
            let job = try directory.finder.job(job)
            let answer = try JobFinder.ask(job, ControlRequest(request: .savepoint, directory: target.map(LocalSocket.absolute)))
            if let path = answer.path { print(path) }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the savepoints in a directory, oldest first.", discussion: "Example: swiftwater savepoint list --target /backup")
        @Argument(help: "Only those of this job.") var job: String?
        @Option(help: "Directory of the savepoints; default DATA/savepoints.") var target: String?
        @OptionGroup var output: StreamCommand.Output
        @OptionGroup var data: DataDirectory

        func run() throws {
            let root = target ?? JobPlacement.savepoints(data: data.path)
            var found: [CheckpointReport] = []
            for name in try Host.names(in: root) where Host.isDirectory(root + "/" + name) && !name.hasSuffix(".incomplete") {
                do {
                    found.append(CheckpointReport(try CheckpointStorage.open(root + "/" + name)))
                } catch let error as StreamError {
                    Terminal.error("warning: \(error)")
                }
            }
            found = found.filter { job == nil || $0.job == job }.sorted { $0.completedAt < $1.completedAt }
            if output.format == .json { return try found.forEach { print(try $0.json(details: false)) } }
            print(TextTable(
                columns: ["savepoint", "job", "checkpoint", "taken", "bytes"], alignRight: [false, false, true, false, true],
                rows: found.map { [$0.directory, $0.job, "\($0.checkpoint)", JobLog.time($0.completedAt), grouped(Int64($0.bytes))] }, maxCell: 120).boxed())
        }
    }

    struct Inspect: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what is in a savepoint or checkpoint: operators, positions, and the rows of an operator's state.",
            discussion: """
                Examples:
                  swiftwater savepoint inspect swiftwater-data/savepoints/savepoint-sensors-12-9f3a7c
                  swiftwater savepoint inspect swiftwater-data/checkpoints/sensors/chk-7 --operator HOP --rows 100
                """)
        @Argument(help: "Directory of a savepoint or checkpoint.") var path: String
        @Option(name: .customLong("operator"), help: "Show this operator's state: its id, its name, or the only name that has this in it.") var `operator`: String?
        @Option(help: "Rows of each kind of state to show.") var rows = 20
        @Flag(help: "Read all of it first, and check it for damage.") var verify = false
        @OptionGroup var output: StreamCommand.Output

        func validate() throws {
            if rows < 0 { throw ValidationError("--rows must not be negative") }
        }

        func run() throws {
            let checkpoint = try CheckpointStorage.open(path)
            if verify { try checkpoint.verify() }
            let report = CheckpointReport(checkpoint)
            guard let wanted = `operator` else { return print(output.format == .json ? try report.json(details: true) : report.text) }
            try StateRows(checkpoint, of: try report.find(wanted), limit: rows).show(output.format == .json ? .json : .table)
        }
    }
}
