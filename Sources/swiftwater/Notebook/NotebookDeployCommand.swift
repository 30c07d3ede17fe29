import ArgumentParser
import Foundation
import Notebook
import StreamCore
import struct StreamCore.Host

struct NotebookDeployCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deploy", abstract: "Run a notebook's INSERTs as a topology in the daemon.",
        discussion: """
            The topology has the statements of the chosen cells, and the tables, views and settings that they need of the cells before them. It is
            shown, then deployed: a version that runs is stopped with a savepoint, and the new one starts from it.
            Examples:
              swiftwater notebook deploy Examples/sensors.sql --cells insert --parallelism 1
              swiftwater notebook deploy Examples/sensors.sql --cells 5-7 --dry-run
            """)
    @Argument(help: "The notebook.") var file: String
    @Option(help: "Cells by number from 1, range, title or tag, with commas between: 2,4-6,insert. Default: all.") var cells: String?
    @Option(help: "Name of the topology; default the file's.") var name: String?
    @Option(help: "Subtasks per operator; default from the notebook, else 1.") var parallelism: Int?
    @Option(help: "Time between checkpoints, for example 10s; default from the notebook, else as the tables ask.") var checkpointInterval: String?
    @Option(name: .customShort("p"), help: "NAME=VALUE of a parameter; may be repeated.") var parameters: [String] = []
    @Option(name: .customLong("set"), help: "A setting of the topology as key=value; may be repeated.") var settings: [String] = []
    @Option(name: .customShort("o"), help: "Write the topology to this file as well.") var target: String?
    @Flag(help: "Show the topology, and deploy nothing.") var dryRun = false
    @Flag(help: "Leave state behind that belongs to operators which the new version does not have.") var allowNonRestoredState = false
    @OptionGroup var address: ServiceAddress

    func run() throws {
        // The daemon's jobs work elsewhere.
        let plan = try NotebookPlan(path: file, overrides: try NotebookPlan.overrides(parameters), data: URL(fileURLWithPath: address.data.path).path)
        var values: [(key: String, value: String)] = []
        if let parallelism {
            guard (1...4_096).contains(parallelism) else { throw StreamError(.validate, "--parallelism \(parallelism) is out of range", fix: "give 1 to 4096") }
            values.append(("parallelism.default", "\(parallelism)"))
        }
        if let checkpointInterval {
            guard CellDirectives.duration(checkpointInterval) != nil else {
                throw StreamError(.validate, "--checkpoint-interval '\(checkpointInterval)' is not a time", fix: "write for example --checkpoint-interval 10s")
            }
            values.append(("execution.checkpointing.interval", checkpointInterval))
        }
        for setting in settings {
            guard let split = setting.firstIndex(of: "=") else { throw StreamError(.validate, "--set '\(setting)' has no value", fix: "write --set key=value") }
            values.append((String(setting[..<split]), String(setting[setting.index(after: split)...])))
        }
        let deployment = try NotebookDeployment(plan, choice: cells, settings: values)
        Terminal.write(deployment.text)
        for line in deployment.leftOut { Terminal.error("left out: \(line)") }
        if let target { try Host.system.replaceFile(target, Array(deployment.text.utf8)) }
        if dryRun { return }
        var query: [(String, String)] = [("kind", "sql")]
        if allowNonRestoredState { query.append(("allowNonRestoredState", "true")) }
        let name = name ?? URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
        let answer = try address.client.send("PUT", ["v1", "topologies", name], query: query, body: Array(deployment.text.utf8), type: "text/plain; charset=utf-8", seconds: 300)
        let version = answer["version"]?.int ?? 0
        if answer["isUnchanged"]?.bool == true { return Terminal.error("topology \(name): version \(version) runs already") }
        Terminal.error("topology \(name): version \(version) runs" + (answer["startedFrom"]?.string.map { ", from savepoint \($0)" } ?? ""))
    }
}
