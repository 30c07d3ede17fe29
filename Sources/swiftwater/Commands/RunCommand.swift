import JobControl
import Alerts
import ArgumentParser
import StreamCore
import struct StreamCore.Host
import StreamRuntime
import StreamSQL
import Synchronization
import Topology

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a topology definition file or a Flink SQL script until its input ends, or until stopped.",
        discussion: """
            Ctrl-C stops cleanly: what was read is committed, and the next run goes on from there. A second Ctrl-C ends at once; also
            then, and after a crash, the next run goes on from the newest checkpoint. Jobs that write to lasting tables have
            checkpoints by themselves, others when 'execution.checkpointing.interval' is set.
            Examples:
              swiftwater run Topologies/sensors.yaml
              swiftwater run Topologies/sensors.yaml --from-savepoint swiftwater-data/savepoints/savepoint-sensors-12-9f3a7c --parallelism 4
            """)

    @Argument(help: "A .yaml topology or a .sql script.") var file: String
    @Option(name: .customLong("set"), help: "A setting as key=value; may be repeated.") var settings: [String] = []
    @Option(help: "Subtasks per operator; default from the file, else 1.") var parallelism: Int?
    @Option(help: "Worker threads; default the number of cores.") var workers: Int?
    @Option(help: "Stop after this long, for example 30s.") var duration: String?
    @Option(name: .customLong("output"), help: "text, or json: one line a second and one at the end.") var output: Output = .text
    @Flag(help: "Show nothing but errors and results.") var quiet = false
    @Option(help: "Start from this savepoint or checkpoint instead of the job's newest checkpoint.") var fromSavepoint: String?
    @Flag(help: "Leave state behind that belongs to operators which the job no longer has.") var allowNonRestoredState = false
    @Flag(help: "Forget the job's checkpoints and start from the beginning.") var fresh = false
    @Option(help: "Directory of the checkpoints of all jobs; default 'execution.checkpointing.dir', else DATA/checkpoints.") var checkpointDir: String?
    @Option(name: .customLong("table"), help: "Of a replication: this table alone; may be repeated.") var tables: [String] = []
    @OptionGroup var catalog: CatalogFile
    @OptionGroup var data: DataDirectory
    /// Given by the daemon: the folder in which it looks for this process.
    @Option(help: .hidden) var hosted: String?
    @Option(help: .hidden) var memoryLimit: Int?
    @Option(help: .hidden) var cpuWeight: Int?

    enum Output: String, ExpressibleByArgument, CaseIterable { case text, json }

    func validate() throws {
        if let workers, workers < 1 { throw ValidationError("--workers must be at least 1") }
        if fresh, fromSavepoint != nil { throw ValidationError("--fresh and --from-savepoint exclude each other") }
    }

    func run() throws {
        guard let hosted else { return try runFile() }
        let process = try HostedProcess(hosted)
        HostedProcess.current.withLock { $0 = process }
        if let memoryLimit { try ProcessLimits.limitMemory(memoryLimit) }
        if let cpuWeight { ProcessLimits.weighProcessor(cpuWeight) }
        let stops = Atomic<Bool>(false)
        do {
            try runFile { stops.store(true, ordering: .relaxed) }
        } catch {
            process.ended(isStopped: stops.load(ordering: .relaxed), error: error)
            throw error
        }
        process.ended(isStopped: stops.load(ordering: .relaxed) || process.wasStopped, error: nil)
    }

    private func runFile(stopped: @escaping @Sendable () -> Void = {}) throws {
        data.apply()
        let runner = ScriptRunner(session: try Engine.session(settings: settings, parallelism: parallelism, catalogFile: catalog.path))
        runner.fixed = Engine.keys(settings: settings, parallelism: parallelism)
        runner.workers = workers
        runner.status = output == .json ? .json : quiet ? .silent : Terminal.errorIsTerminal ? .live : .final
        runner.resultFormat = output == .json ? .json : .table
        if let duration {
            guard let limit = Durations.parse(duration) else {
                throw StreamError(.validate, "--duration '\(duration)' is not a length of time", fix: "write for example 30s or '5 min'")
            }
            runner.stopAfter = limit
        }
        runner.placement = JobPlacement(
            data: data.path, checkpoints: checkpointDir, startFrom: fromSavepoint, allowsNonRestoredState: allowNonRestoredState, startsAnew: fresh)
        if hosted != nil {
            runner.placement!.isHosted = true
            let handover = Handover()
            runner.handover = handover
            // Before the workers start: they inherit the signal mask.
            Signals.onStop {
                stopped()
                handover.stop()
            }
        }
        let topology = try Topology.load(path: file)
        guard topology.replications.isEmpty else { return try replicate(topology, runner.placement!, stopAfter: runner.stopAfter, stopped: stopped) }
        guard tables.isEmpty else {
            throw StreamError(.validate, "--table is for replications, and \(file) has none", fix: "leave it out")
        }
        let history = AlertHistory.path(data: data.path)
        // Rules that the file has no more are followed no more.
        if !topology.alerts.isEmpty || Host.exists(history) { try AlertHistory(path: history).replaceRules(of: topology.name, with: topology.alerts) }
        runner.metricRules = topology.alerts
        try runner.run(topology.ownStatements, name: topology.name)
    }
}

extension RunCommand {
    /// Runs the file's replications side by side.
    private func replicate(_ topology: Topology, _ placement: JobPlacement, stopAfter: Duration?, stopped: @escaping @Sendable () -> Void) throws {
        guard fromSavepoint == nil else {
            throw StreamError(.validate, "a replication has a job for each table, and none starts from a savepoint", fix: "leave --from-savepoint out")
        }
        let catalogPath = catalog.path, settings = settings, parallelism = parallelism
        let jobs = topology.replications.map { replication in
            HostedReplication(
                replication, placement: placement, only: Set(tables), catalogFile: catalogPath, fixed: Engine.keys(settings: settings, parallelism: parallelism),
                workers: workers, output: output == .json ? .json : quiet ? .silent : .text
            ) { try Engine.session(settings: settings, parallelism: parallelism, catalogFile: catalogPath) }
        }
        // Before the workers start: they inherit the signal mask.
        Signals.onStop {
            stopped()
            for job in jobs { job.stop() }
        }
        defer { Signals.forget() }
        for job in jobs { try job.start() }
        if let stopAfter {
            Background.run {
                pause(milliseconds: Int(stopAfter / .milliseconds(1)))
                for job in jobs { job.stop() }
            }
        }
        let failures = jobs.compactMap { $0.wait() }
        for failure in failures.dropLast() { Terminal.error("error: \(failure)") }
        if let last = failures.last { throw last }
    }
}

struct ValidateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate", abstract: "Check a topology or script: names, types, options, plan. Runs nothing.",
        discussion: "Example: swiftwater validate Topologies/orders.yaml")
    @Argument(help: "A .yaml topology or a .sql script.") var file: String
    @OptionGroup var catalog: CatalogFile
    @OptionGroup var data: DataDirectory

    func run() throws {
        data.apply()
        let topology = try Topology.load(path: file)
        guard topology.replications.isEmpty else {
            for replication in topology.replications {
                let tables = try HostedReplication.plan(replication) { try Engine.session(catalogFile: catalog.path, scratch: true) }
                let names = tables.map(\.table.name).joined(separator: ", ")
                print("\(file): ok, replication \(replication.name), \(tables.count) table\(tables.count == 1 ? "" : "s")" + (names.isEmpty ? "" : ": \(names)"))
            }
            return
        }
        let graphs = try ScriptRunner(session: try Engine.session(catalogFile: catalog.path, scratch: true)).plan(topology.ownStatements)
        let operators = graphs.reduce(0) { $0 + $1.vertices.count }
        print("\(file): ok, \(topology.statements.count) statements, \(graphs.count) job\(graphs.count == 1 ? "" : "s"), \(operators) operators")
    }
}

struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Show the job graph of a topology or script.",
        discussion: "Example: swiftwater plan Topologies/sensors.yaml --dot | dot -Tsvg > plan.svg")
    @Argument(help: "A .yaml topology or a .sql script.") var file: String
    @Flag(help: "Graphviz instead of text.") var dot = false
    @Option(help: "Subtasks per operator; default from the file, else 1.") var parallelism: Int?
    @OptionGroup var catalog: CatalogFile
    @OptionGroup var data: DataDirectory

    func run() throws {
        data.apply()
        let topology = try Topology.load(path: file)
        let runner = ScriptRunner(session: try Engine.session(parallelism: parallelism, catalogFile: catalog.path, scratch: true))
        runner.fixed = Engine.keys(settings: [], parallelism: parallelism)
        for replication in topology.replications {
            for (_, graphs) in try HostedReplication.plan(replication, { try Engine.session(parallelism: parallelism, catalogFile: catalog.path, scratch: true) }) {
                for graph in graphs { print(dot ? graph.dot() : graph.text) }
            }
        }
        if !topology.replications.isEmpty { return }
        for graph in try runner.plan(topology.ownStatements) {
            print(dot ? graph.dot() : graph.text)
        }
    }
}

struct TopologyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topology", abstract: "About topology definition files.", discussion: "Example: swiftwater topology schema > topology.schema.json",
        subcommands: [SchemaOf.self])

    struct SchemaOf: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "schema", abstract: "Print the JSON Schema of topology files, for editors.",
            discussion: "Example: swiftwater topology schema > topology.schema.json")
        func run() throws { print(Topology.jsonSchema) }
    }
}

extension Topology {
    /// The tables and views of a YAML file are its own: they are made anew in every run, and no catalog keeps them.
    var ownStatements: [Statement] { own(statements) }

    /// The same of what is left when delivery streams run by themselves.
    var ownPipeline: [Statement] { own(pipelineStatements) }

    private func own(_ statements: [Statement]) -> [Statement] {
        if file?.lowercased().hasSuffix(".sql") ?? true { return statements }
        return statements.map { statement in
            var own = statement
            switch statement.node {
            case .createTable(var table):
                table.temporary = true
                own.node = .createTable(table)
            case .createView(var view):
                view.temporary = true
                own.node = .createView(view)
            default: break
            }
            return own
        }
    }
}
