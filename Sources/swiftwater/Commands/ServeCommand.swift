import JobControl
import ArgumentParser
import AWSEndpoint
import AWSProtocol
import DynamoDBService
import FirehoseService
import Foundation
import HTTPServer
import KinesisService
import ShardLog
import StreamCore
import StreamServer
import StreamSQL
import Synchronization
import Topology
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run topologies and keep them running, with a REST API and a page in the browser; answer Kinesis, DynamoDB and Firehose requests.",
        discussion: """
            All that is acknowledged is on the disk, in the data directory: what is deployed, streams in the shard log, tables in SQLite. Once it
            answers, one line of JSON with the addresses is printed. Topologies run in processes of their own: when the daemon is killed they
            go on, and the next one finds them. Ctrl-C and SIGTERM stop them cleanly; the next daemon starts them again. SIGHUP replaces the
            daemon by the program that is in its place now, and leaves them alone.
            Examples:
              swiftwater serve --listen 127.0.0.1:8081
              swiftwater serve --aws-listen 127.0.0.1:4566
              swiftwater serve --aws-listen 127.0.0.1:0 --run Topologies/delivery.yaml
              aws --endpoint-url http://127.0.0.1:4566 kinesis create-stream --stream-name my-input-stream --shard-count 1
            """)

    @Option(help: "HOST:PORT of the REST API and the page; an empty port, or 0, picks a free one. Beyond loopback only with --tokens, --tls-certificate and --tls-key.")
    var listen: ListenAddress?
    @Option(help: "File with a line NAME ROLE TOKEN for each user; roles are view, operate and admin.") var tokens: String?
    @Option(help: "PEM file with the certificate, and those that lead to its root.") var tlsCertificate: String?
    @Option(help: "PEM file with the certificate's private key.") var tlsKey: String?
    @Option(help: "Directory of notebooks that the page's Studio opens, with those below it; without it there is no Studio.") var notebooks: String?
    @Option(help: "Minutes after which a notebook's process ends when nobody looks at it and nothing runs in it.") var notebookIdleMinutes = 30
    @Option(help: "Processes of notebooks at the same time.") var notebookKernels = 8
    @Option(help: "Requests to the REST API that one user, or one address, may send in a second.") var requestsPerSecond = 500
    @Flag(help: "Print a unit for systemd with these options, and do nothing.") var printSystemdUnit = false
    @Option(help: "HOST:PORT of the AWS services; an empty port, or 0, picks a free one. Beyond loopback only with --credentials.")
    var awsListen: ListenAddress?
    @Option(name: .customLong("run"), help: "A topology to run, with its delivery streams; may be repeated.") var topologies: [String] = []
    @Option(help: "File in the form of ~/.aws/credentials: requests must be signed with one of its keys.") var credentials: String?
    @Option(help: "Region of requests that name none.") var region = AWSRequest.defaultRegion
    @Option(help: "Twelve digits, shown in ARNs.") var accountID = AWSRequest.defaultAccountID
    @Option(help: "A name under which the endpoint is reached without credentials; may be repeated.") var allowHost: [String] = []
    @Flag(help: "Refuse what is beyond Kinesis' limits for a shard: 1 MiB and 1,000 records a second, and others.") var enforceLimits = false
    @Option(help: "When records of Kinesis requests count as stored: batch (on the disk, one fsync for all that wait), 50ms (flushed that often) or os.")
    var flush = "batch"
    @Option(help: "Appends are refused while the disk has fewer bytes free, for example '500 mb'.") var minimumFree: String?
    @OptionGroup var data: DataDirectory

    func validate() throws {
        guard listen != nil || awsListen != nil || !topologies.isEmpty || printSystemdUnit else { throw ValidationError("give --listen, --aws-listen or --run") }
        if notebookIdleMinutes < 1 || notebookKernels < 1 { throw ValidationError("--notebook-idle-minutes and --notebook-kernels must be at least 1") }
        if notebooks != nil, listen == nil, !printSystemdUnit { throw ValidationError("--notebooks needs --listen: the Studio is a part of the page") }
        if requestsPerSecond < 1 { throw ValidationError("--requests-per-second must be at least 1") }
        if (tlsCertificate == nil) != (tlsKey == nil) { throw ValidationError("--tls-certificate and --tls-key belong together") }
        guard accountID.utf8.count == 12, accountID.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
            throw ValidationError("--account-id '\(accountID)' is not twelve digits")
        }
    }

    func run() throws {
        if printSystemdUnit { return Terminal.write(SystemdUnit.text(arguments: CommandLine.arguments, data: LocalSocket.absolute(data.path))) }
        data.apply()
        let stopped = Handover(), isReplaced = Atomic<Bool>(false)
        // Before threads start: they inherit the signal mask.
        Signals.mask([SIGINT, SIGTERM, SIGHUP])
        // A command that ends before it has read its input must not end the daemon.
        signal(SIGPIPE, SIG_IGN)
        Signals.onStop { stopped.stop() }
        Signals.onHangUp {
            isReplaced.store(true, ordering: .sequentiallyConsistent)
            stopped.stop()
        }
        let report: @Sendable (String) -> Void = { Terminal.error($0) }
        let hosted = try topologies.map { try Topology.load(path: $0) }
        var logOptions = LogOptions()
        if let minimumFree {
            guard let bytes = TableOptions.bytes(of: minimumFree) else {
                throw StreamError(.validate, "--minimum-free '\(minimumFree)' is not a size", fix: "write for example '500 mb'")
            }
            logOptions.minimumFreeBytes = bytes
        }
        let log = try ShardLog(directory: data.path, options: logOptions)
        let delivery = try DeliveryRunner(data: data.path, options: deliveryOptions(report)) { try Engine.session() }
        defer { delivery.stop() }
        for topology in hosted { try delivery.define(topology.deliveryStreams) }
        let endpoint = try awsListen.map { try listenForAWS($0, log, delivery, report) }
        defer { endpoint?.stop() }
        let jobs = hosted.filter { !$0.pipelineStatements.isEmpty }.map { HostedTopology($0, data: data.path) }
        for job in jobs { job.start() }
        let replications = hosted.flatMap(\.replications).map { replication in
            HostedReplication(replication, placement: JobPlacement(data: data.path), output: .text) { try Engine.session() }
        }
        defer { for replication in replications { replication.stop() } }
        for replication in replications { try replication.start() }
        let daemon = try listen.map { try Daemon(self, at: $0, report) }
        let sweep = RetentionSweep(log, report: report)
        sweep.start()
        Terminal.write(ready(endpoint, daemon) + "\n")
        Housekeeping.shared.begin()
        stopped.wait()
        let leavesJobs = isReplaced.load(ordering: .sequentiallyConsistent)
        Terminal.error(leavesJobs ? "the daemon is replaced; topologies go on" : "stopping")
        daemon?.stop(leavingJobs: leavesJobs)
        sweep.stop()
        for job in jobs { job.stop() }
        for replication in replications { replication.stop() }
        for replication in replications { if let failure = replication.wait() { Terminal.error("error: \(failure)") } }
        if leavesJobs {
            endpoint?.stop()
            delivery.stop()
            try Daemon.replace()
        }
    }

    private func deliveryOptions(_ report: @escaping @Sendable (String) -> Void) -> DeliveryRunner.Options {
        var options = DeliveryRunner.Options()
        options.log = report
        return options
    }

    private func ready(_ endpoint: AWSEndpoint?, _ daemon: Daemon?) -> String {
        let rest = daemon.map { ",\"url\":\(JSONText.quote($0.url))" } ?? ""
        let address = endpoint.map { ",\"aws\":\"http://\($0.host.contains(":") ? "[\($0.host)]" : $0.host):\($0.port)\"" } ?? ""
        return "{\"event\":\"ready\",\"pid\":\(getpid())\(rest)\(address),\"data\":\(JSONText.quote(data.path))}"
    }

    private func listenForAWS(_ address: ListenAddress, _ log: ShardLog, _ delivery: DeliveryRunner, _ report: @escaping @Sendable (String) -> Void) throws -> AWSEndpoint {
        var kinesis = KinesisServiceOptions()
        kinesis.accountID = accountID
        kinesis.enforcesLimits = enforceLimits
        kinesis.hiddenPrefixes = [DeliveryStream.hiddenPrefix]
        kinesis.flush = try flushPolicy()
        var dynamo = DynamoDBServiceOptions()
        dynamo.log = log
        dynamo.report = report
        var options = AWSEndpoint.Options()
        if let credentials {
            options.credentials = try AWSCredentials.profiles(path: credentials).map(\.credentials)
            guard !options.credentials.isEmpty else {
                throw StreamError(.validate, "\(credentials) has no keys", fix: "add a section with aws_access_key_id and aws_secret_access_key")
            }
        }
        options.region = region
        options.accountID = accountID
        options.hosts = allowHost
        options.log = report
        let tables = try DynamoDBService(directory: data.path + "/dynamodb", options: dynamo)
        do {
            return try AWSEndpoint(
                host: address.host, port: address.port,
                services: [
                    KinesisService(log: log, options: kinesis), DynamoDBStreamsService(store: tables.store), FirehoseService(log: log, runner: delivery), tables,
                ], options: options)
        } catch {
            tables.close()
            throw error
        }
    }

    private func flushPolicy() throws -> FlushPolicy {
        switch flush {
        case "batch": return .everyAppend
        case "os": return .operatingSystem
        default:
            guard let every = Durations.parse(flush), every >= .milliseconds(1) else {
                throw StreamError(.validate, "--flush '\(flush)' is not known", fix: "write batch, os, or a length of time such as 50ms")
            }
            return .interval(milliseconds: Int64(every / .milliseconds(1)))
        }
    }
}
