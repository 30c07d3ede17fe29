import ArgumentParser
import Foundation
import JobControl
import StreamCore
import struct StreamCore.Host
import Topology

/// The daemon that commands about deployed topologies talk to.
struct ServiceAddress: ParsableArguments {
    @Option(help: "URL of the daemon; default $SWIFTWATER_URL, else the one that serves the data directory.") var url: String?
    @Option(help: "File with the token to send; default $SWIFTWATER_TOKEN, for Flink $FLINK_TOKEN.") var tokenFile: String?
    @Option(help: "PEM file with the certificate to trust, for a server whose certificate nobody signed.") var caCertificate: String?
    @OptionGroup var data: DataDirectory

    /// Options that Flink has no use for, and whether each is given.
    var own: [(name: String, isGiven: Bool)] { [("url", url != nil), ("data", data.directory != nil)] }

    var client: ServiceClient {
        get throws {
            let environment = ProcessInfo.processInfo.environment
            var address = url ?? environment["SWIFTWATER_URL"]
            if address == nil {
                let path = data.path + "/service/endpoint"
                guard let bytes = try? Host.read(path) else {
                    throw StreamError(.validate, "no daemon serves \(data.path)", fix: "start one with: swiftwater serve --listen 127.0.0.1:8081, or name it with --url")
                }
                address = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            }
            let token = try tokenFile.map { try Engine.read($0).trimmingCharacters(in: .whitespacesAndNewlines) } ?? environment["SWIFTWATER_TOKEN"]
            return try ServiceClient(url: address!, token: token, certificate: caCertificate)
        }
    }
}

struct DeployCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deploy", abstract: "Run a topology in the daemon, or a new version of it; or on Flink.",
        discussion: """
            A version that runs is stopped with a savepoint, and the new one starts from it. If the new one does not come up, the old one
            runs again from the same savepoint.
            With --engine flink the topology is written for Flink as swiftwater export does it, and submitted through a SQL gateway. Its jobs
            all run in the end and their ids are printed, or those that were started are canceled.
            Examples:
              swiftwater deploy Topologies/sensors.yaml --variable START=LATEST
              swiftwater deploy --engine flink --gateway http://127.0.0.1:8083 Topologies/sensors.yaml --map swiftwater-data=s3://bucket/sensors
            """)
    @Argument(help: "A .yaml topology or a .sql script.") var file: String
    @Option(help: "Name of the topology; default what the file says, else the file's name.") var name: String?
    @Option(help: "Subtasks per operator; default from the file, else 1.") var parallelism: Int?
    @Option(help: "Worker threads; default the number of cores.") var workers: Int?
    @Option(help: "Memory that its process may take, for example '512 mb'.") var memory: String?
    @Option(help: "Share of the processor when there is not enough, 1 to 10000; the usual one is 100.") var cpuWeight: Int?
    @Option(name: .customLong("variable"), help: "NAME=VALUE for ${NAME} in the file; may be repeated. No place for secrets: these come from the daemon's environment.") var variables: [String] = []
    @Flag(help: "Leave state behind that belongs to operators which the new version does not have.") var allowNonRestoredState = false
    @Option(help: "With --engine flink: URL of the SQL gateway; default $FLINK_GATEWAY.") var gateway: String?
    @Flag(help: "With --engine flink: print what would be submitted.") var dryRun = false
    @Flag(help: "With --engine flink: leave out what has no equal in Flink, and what reads or writes that.") var partial = false
    @Option(name: .customLong("set"), help: "With --engine flink: a setting as key=value; may be repeated.") var settings: [String] = []
    @OptionGroup(title: "Options for --engine flink: where its cluster finds what is here") var target: FlinkTargetOptions
    @OptionGroup var flink: FlinkAddress
    @OptionGroup var output: StreamCommand.Output
    @OptionGroup var address: ServiceAddress

    func run() throws {
        try flink.refuseForeign(
            own: [("workers", workers != nil), ("memory", memory != nil), ("cpu-weight", cpuWeight != nil), ("allow-non-restored-state", allowNonRestoredState), ("url", address.url != nil)],
            flinks: [("gateway", gateway != nil), ("dry-run", dryRun), ("partial", partial), ("set", !settings.isEmpty), ("flink-version", target.flinkVersion != nil), ("map", !target.maps.isEmpty),
                     ("kinesis-endpoint", target.kinesisEndpoint != nil)])
        if flink.isFlink {
            address.data.apply()
            let deployment = FlinkDeployment(address: flink, gateway: gateway, target: target, settings: settings, parallelism: parallelism, partial: partial, dryRun: dryRun, json: output.format == .json)
            return try deployment.run(file: file, name: name, variables: variables, data: address.data.path, options: flink.clientOptions(tokenFile: address.tokenFile, certificate: address.caCertificate))
        }
        let text = try Engine.read(file), kind = file.hasSuffix(".sql") ? "sql" : "yaml"
        guard ["sql", "yaml", "yml"].contains(URL(fileURLWithPath: file).pathExtension.lowercased()) else {
            throw StreamError(.validate, "\(file) is not a topology", fix: "name a file that ends in .yaml, .yml or .sql")
        }
        var query: [(String, String)] = [("kind", kind)]
        if let parallelism { query.append(("parallelism", "\(parallelism)")) }
        if let workers { query.append(("workers", "\(workers)")) }
        if let cpuWeight { query.append(("cpuWeight", "\(cpuWeight)")) }
        if let memory {
            guard let bytes = TableOptions.bytes(of: memory) else { throw StreamError(.validate, "--memory '\(memory)' is not a size", fix: "write for example '512 mb'") }
            query.append(("memory", "\(bytes)"))
        }
        if allowNonRestoredState { query.append(("allowNonRestoredState", "true")) }
        var values: [JSON.Member] = []
        for variable in variables {
            guard let split = variable.firstIndex(of: "="), split != variable.startIndex else { throw StreamError(.validate, "--variable '\(variable)' has no value", fix: "write --variable NAME=VALUE") }
            values.append(.init(String(variable[..<split]), .string(String(variable[variable.index(after: split)...]))))
        }
        if !values.isEmpty { query.append(("variables", JSON.object(values).text())) }
        let name = name ?? Self.name(in: text, kind) ?? URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
        let answer = try address.client.send("PUT", ["v1", "topologies", name], query: query, body: Array(text.utf8), type: "text/plain; charset=utf-8", seconds: 300)
        if output.format == .json { return print(answer.text()) }
        let version = answer["version"]?.int ?? 0, from = answer["startedFrom"]?.string
        if answer["isUnchanged"]?.bool == true { return Terminal.error("topology \(name): version \(version) runs already") }
        Terminal.error("topology \(name): version \(version) runs" + (from.map { ", from savepoint \($0)" } ?? ""))
    }

    /// What the file says; a variable in it is for the daemon to fill in.
    private static func name(in text: String, _ kind: String) -> String? {
        guard kind == "yaml", let line = text.split(separator: "\n").first(where: { $0.hasPrefix("name:") }) else { return nil }
        let value = line.dropFirst(5).prefix { $0 != "#" }.trimmingCharacters(in: .whitespaces).trimmingCharacters(in: CharacterSet(charactersIn: "\"'"))
        return value.isEmpty || value.contains("${") ? nil : value
    }
}

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List what is deployed; with --engine flink, the jobs of a Flink cluster.",
        discussion: """
            Examples:
              swiftwater list --output json
              swiftwater list --engine flink --rest http://127.0.0.1:8081
            """)
    @OptionGroup var flink: FlinkAddress
    @OptionGroup var output: StreamCommand.Output
    @OptionGroup var address: ServiceAddress

    func run() throws {
        try flink.refuseForeign(own: address.own)
        if flink.isFlink { return try FlinkJobs.list(flink.jobs(tokenFile: address.tokenFile, certificate: address.caCertificate), json: output.format == .json) }
        let all = try address.client.send("GET", ["v1", "topologies"])["topologies"]?.array ?? []
        if output.format == .json { return all.forEach { print($0.text()) } }
        print(TextTable(
            columns: ["topology", "state", "version", "rows/s", "restarts", "since", "process"], alignRight: [false, false, true, true, true, false, true], rows: all.map { t in
                let rate: Double = if case .double(let rate)? = t["rowsPerSecond"] { rate } else { 0 }
                return [
                    t["name"]?.string ?? "", t["state"]?.string ?? "", "\(t["version"]?.int ?? 0)", grouped(Int64(rate)), "\(t["restarts"]?.int ?? 0)",
                    t["startedAt"]?.int.map(JobLog.time) ?? "-", t["process"]?.int.map { "\($0)" } ?? "-",
                ]
            }).boxed())
        for t in all { if let error = t["error"]?.string { print("\(t["name"]?.string ?? ""): \(error)") } }
    }
}

struct ShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a deployed topology, its operators and what happened to it; with --engine flink, a job of a Flink cluster.",
        discussion: """
            Examples:
              swiftwater show sensors
              swiftwater show 3f9c2a71 --engine flink --rest http://127.0.0.1:8081
            """)
    @Argument(help: "Name of the topology; with --engine flink, a job's id, its first six digits or more, or its name.") var name: String
    @OptionGroup var flink: FlinkAddress
    @OptionGroup var output: StreamCommand.Output
    @OptionGroup var address: ServiceAddress

    func run() throws {
        try flink.refuseForeign(own: address.own)
        if flink.isFlink { return try FlinkJobs.show(flink.jobs(tokenFile: address.tokenFile, certificate: address.caCertificate), name, json: output.format == .json) }
        let client = try address.client
        let topology = try client.send("GET", ["v1", "topologies", name])
        if output.format == .json { return print(topology.text()) }
        let version = topology["version"]?.int ?? 0
        print("topology \(name): \(topology["state"]?.string ?? ""), version \(version), deployed \(topology["deployedAt"]?.int.map(JobLog.time) ?? "-")")
        if let error = topology["error"]?.string { print("error: \(error)") }
        if let savepoint = topology["savepoint"]?.string { print("started from savepoint \(savepoint)") }
        for id in (topology["jobs"]?.array ?? []).compactMap(\.string) {
            let job = try client.send("GET", ["v1", "jobs", id]), checkpoints = try client.send("GET", ["v1", "jobs", id, "checkpoints"])
            print("job \(job["name"]?.string ?? "") (\(id)): \(job["state"]?.string ?? ""), \(checkpoints["counts"]?["completed"]?.int ?? 0) checkpoints, \(checkpoints["counts"]?["failed"]?.int ?? 0) failed")
            print(TextTable(columns: ["operator", "parallelism", "rows in", "rows out"], alignRight: [false, true, true, true], rows: (job["vertices"]?.array ?? []).map { v in
                [v["name"]?.string ?? "", "\(v["parallelism"]?.int ?? 0)", grouped(v["metrics"]?["read-records"]?.int ?? 0), grouped(v["metrics"]?["write-records"]?.int ?? 0)]
            }).boxed())
        }
        for event in try client.send("GET", ["v1", "events"], query: [("topology", name), ("limit", "10")])["events"]?.array ?? [] {
            print("\(event["at"]?.int.map(JobLog.time) ?? "")  \(event["kind"]?.string ?? ""): \(event["text"]?.string ?? "")")
        }
    }
}

struct LogsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "logs", abstract: "Show what a deployed topology wrote.", discussion: "Example: swiftwater logs sensors --follow")
    @Argument(help: "Name of the topology.") var name: String
    @Flag(help: "Go on with what is written from now on, until stopped.") var follow = false
    @Option(help: "Lines from the end.") var lines = 200
    @OptionGroup var address: ServiceAddress

    func run() throws {
        try address.client.stream(["v1", "topologies", name, "logs"], query: [("lines", "\(lines)"), ("follow", "\(follow)")]) { Terminal.write($0) }
    }
}

struct StartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "start", abstract: "Run a deployed topology that is stopped.", discussion: "Example: swiftwater start sensors")
    @Argument(help: "Name of the topology.") var name: String
    @OptionGroup var address: ServiceAddress

    func run() throws {
        _ = try address.client.send("POST", ["v1", "topologies", name, "start"], seconds: 300)
        Terminal.error("topology \(name) runs")
    }
}

struct CancelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "End a deployed topology at once; the next run goes on from its newest checkpoint. With --engine flink, a job of a Flink cluster.",
        discussion: """
            Examples:
              swiftwater cancel sensors
              swiftwater cancel 3f9c2a71 --engine flink --rest http://127.0.0.1:8081
            """)
    @Argument(help: "Name of the topology; with --engine flink, a job's id, its first six digits or more, or its name.") var name: String
    @OptionGroup var flink: FlinkAddress
    @OptionGroup var address: ServiceAddress

    func run() throws {
        try flink.refuseForeign(own: address.own)
        if flink.isFlink { return try FlinkJobs.cancel(flink.jobs(tokenFile: address.tokenFile, certificate: address.caCertificate), name) }
        _ = try address.client.send("POST", ["v1", "topologies", name, "cancel"], seconds: 300)
        Terminal.error("topology \(name) is canceled")
    }
}

struct RestartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "restart", abstract: "Stop a deployed topology cleanly, and run it again.", discussion: "Example: swiftwater restart sensors")
    @Argument(help: "Name of the topology.") var name: String
    @OptionGroup var address: ServiceAddress

    func run() throws {
        _ = try address.client.send("POST", ["v1", "topologies", name, "restart"], seconds: 300)
        Terminal.error("topology \(name) runs again")
    }
}

struct RescaleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rescale", abstract: "Run a deployed topology with another parallelism, from a savepoint.", discussion: "Example: swiftwater rescale sensors --parallelism 4")
    @Argument(help: "Name of the topology.") var name: String
    @Option(help: "Subtasks per operator.") var parallelism: Int
    @OptionGroup var address: ServiceAddress

    func run() throws {
        let answer = try address.client.send("POST", ["v1", "topologies", name, "rescale"], query: [("parallelism", "\(parallelism)")], seconds: 300)
        Terminal.error("topology \(name): version \(answer["version"]?.int ?? 0) runs with parallelism \(parallelism)" + (answer["startedFrom"]?.string.map { ", from savepoint \($0)" } ?? ""))
    }
}

struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Stop a deployed topology and forget it; checkpoints, savepoints and tables stay.", discussion: "Example: swiftwater remove sensors")
    @Argument(help: "Name of the topology.") var name: String
    @OptionGroup var address: ServiceAddress

    func run() throws {
        _ = try address.client.send("DELETE", ["v1", "topologies", name], seconds: 300)
        Terminal.error("topology \(name) is not deployed any more")
    }
}
