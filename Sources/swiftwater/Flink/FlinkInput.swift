import Alerts
import ArgumentParser
import FlinkExport
import Foundation
import Notebook
import StreamCore
import StreamSQL
import Topology

/// A topology, a script or a notebook that is to run on Flink.
struct FlinkInput {
    let name: String
    let description: String?
    let statements: [Statement]
    /// What of the file is no SQL.
    let findings: Findings

    /// - Parameters:
    ///   - variables: NAME=VALUE, over those of the environment; parameters of a notebook.
    ///   - cells: of a notebook, as `notebook deploy` takes them.
    init(_ path: String, variables: [String], cells: String?, data: String) throws {
        let overrides = try NotebookPlan.overrides(variables)
        if URL(fileURLWithPath: path).pathExtension.lowercased() == "sql", try Self.isNotebook(path) {
            self = try Self.notebook(path, overrides, cells, data)
            return
        }
        guard cells == nil else { throw StreamError(.validate, "--cells is for notebooks, and \(path) is none", fix: "leave it out") }
        var environment = ProcessInfo.processInfo.environment
        environment.merge(overrides) { $1 }
        let topology = try Topology.load(path: path, variables: environment)
        var findings = Findings()
        for replication in topology.replications {
            findings.refuse("replication \(replication.name)", reason: "its tables take their columns from their files, and each is a job of its own",
                            instead: "write CREATE TABLE and INSERT for each table that outgrows this machine, or use a Flink CDC pipeline")
        }
        for rule in topology.alerts where rule.isMetric {
            findings.refuse("alert \(rule.name)", reason: "it watches what this engine measures of its jobs", instead: "alert on Flink's metrics, for example with Prometheus")
        }
        for stream in topology.deliveryStreams {
            findings.refuse("delivery stream \(stream.name)", reason: "buffering by size and time, prefixes with the time of arrival and back-ups of refused records are this engine's",
                            instead: "write an INSERT into a table of connector 'filesystem' with PARTITIONED BY and 'sink.rolling-policy.*', or let Amazon Data Firehose read the stream")
        }
        self.init(name: topology.name, description: topology.description, statements: topology.ownPipeline, findings: findings)
    }

    private init(name: String, description: String?, statements: [Statement], findings: Findings) {
        (self.name, self.description, self.statements, self.findings) = (name, description, statements, findings)
    }

    private static func isNotebook(_ path: String) throws -> Bool {
        try Engine.read(path).split(separator: "\n").contains { $0.hasPrefix("-- %%") }
    }

    private static func notebook(_ path: String, _ overrides: [String: String], _ cells: String?, _ data: String) throws -> FlinkInput {
        let plan = try NotebookPlan(path: path, overrides: overrides, data: URL(fileURLWithPath: data).path)
        let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        var findings = Findings()
        if let cells {
            let deployment = try NotebookDeployment(plan, choice: cells, settings: [])
            for line in deployment.leftOut { findings.note(line, about: "left out") }
            return FlinkInput(name: name, description: nil, statements: try SQLParser(text: deployment.text, file: path).parseScript(), findings: findings)
        }
        var statements: [Statement] = []
        for (index, entry) in plan.requests.enumerated() {
            guard let (request, mayFail) = entry else { continue }
            let cell = plan.notebook.cells[index].name(index)
            guard ["flink.ssql", "flink.bsql"].contains(request.interpreter.name) else {
                findings.note("a %\(request.interpreter.name) cell is no part of a job: run what it does beside Flink", about: cell)
                continue
            }
            if mayFail {
                findings.note("a cell that may fail (@allow-failure) shows an error; it is left out", about: cell)
                continue
            }
            let text = String(repeating: "\n", count: max(0, request.line - 1)) + request.source
            statements += try SQLParser(text: text, file: path).parseScript()
        }
        return FlinkInput(name: name, description: nil, statements: statements, findings: findings)
    }
}

/// Where Flink's cluster finds what is here.
struct FlinkTargetOptions: ParsableArguments {
    @Option(help: "Version of Flink: \(FlinkVersion.all.map(\.description).joined(separator: ", ")); default that of the cluster that is asked, else 2.1.") var flinkVersion: String?
    @Option(name: .customLong("map"), help: "FROM=TO: a folder here and where the cluster finds it, such as lake=s3://bucket/lake; may be repeated.") var maps: [String] = []
    @Option(help: "URL of a service that answers the Kinesis API, as the cluster reaches it; default AWS itself.") var kinesisEndpoint: String?
    @Option(help: "The account in ARNs of streams.") var kinesisAccount = "000000000000"

    /// - Parameter cluster: the version of the cluster that runs it, such as 2.3.0, where that is known.
    func target(cluster: String? = nil) throws -> FlinkTarget {
        guard let version = FlinkVersion(flinkVersion ?? cluster ?? "2.1") else {
            if flinkVersion == nil, let cluster {
                throw StreamError(.validate, "the cluster runs Flink \(cluster), which scripts are not written for", fix: "give --flink-version with what is nearest of \(FlinkVersion.all.map(\.description).joined(separator: ", "))")
            }
            throw StreamError(.validate, "--flink-version '\(flinkVersion ?? "")' is none that scripts are written for", fix: "give one of \(FlinkVersion.all.map(\.description).joined(separator: ", "))")
        }
        guard kinesisAccount.count == 12, kinesisAccount.allSatisfy(\.isNumber) else {
            throw StreamError(.validate, "--kinesis-account '\(kinesisAccount)' is no account", fix: "give its 12 digits")
        }
        let pairs = try maps.map { map in
            guard let split = map.firstIndex(of: "="), split != map.startIndex, map.index(after: split) != map.endIndex else {
                throw StreamError(.validate, "--map '\(map)' names no two folders", fix: "write --map FROM=TO, for example --map swiftwater-data/tables=s3://bucket/tables")
            }
            return (from: String(map[..<split]), to: String(map[map.index(after: split)...]))
        }
        return FlinkTarget(version: version, maps: pairs, kinesisEndpoint: kinesisEndpoint, kinesisAccount: kinesisAccount, workingDirectory: FileManager.default.currentDirectoryPath)
    }
}

/// Engines that topologies are handed to.
enum OtherEngine: String, ExpressibleByArgument, CaseIterable { case flink }
