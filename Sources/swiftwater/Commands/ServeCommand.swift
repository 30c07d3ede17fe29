import ArgumentParser
import AWSEndpoint
import AWSProtocol
import DynamoDBService
import FirehoseService
import KinesisService
import ShardLog
import StreamCore
import StreamSQL
import Topology
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Answer Kinesis, DynamoDB, DynamoDB Streams and Firehose requests, and run topologies, until stopped.",
        discussion: """
            All that is acknowledged is on the disk, in the data directory: streams in the shard log, tables in SQLite. Once it answers, one
            line of JSON with the addresses is printed.
            Examples:
              swiftwater serve --aws-listen 127.0.0.1:4566
              swiftwater serve --aws-listen 127.0.0.1:0 --run Topologies/delivery.yaml
              aws --endpoint-url http://127.0.0.1:4566 kinesis create-stream --stream-name my-input-stream --shard-count 1
            """)

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
        guard awsListen != nil || !topologies.isEmpty else { throw ValidationError("give --aws-listen, --run, or both") }
        guard accountID.utf8.count == 12, accountID.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
            throw ValidationError("--account-id '\(accountID)' is not twelve digits")
        }
    }

    func run() throws {
        data.apply()
        let stopped = Handover()
        // Before threads start: they inherit the signal mask.
        Signals.onStop { stopped.stop() }
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
        let endpoint = try awsListen.map { try listen($0, log, delivery, report) }
        defer { endpoint?.stop() }
        let jobs = hosted.filter { !$0.pipelineStatements.isEmpty }.map { HostedTopology($0, data: data.path) }
        for job in jobs { job.start() }
        let replications = hosted.flatMap(\.replications).map { replication in
            HostedReplication(replication, placement: JobPlacement(data: data.path), output: .text) { try Engine.session() }
        }
        defer { for replication in replications { replication.stop() } }
        for replication in replications { try replication.start() }
        let sweep = RetentionSweep(log, report: report)
        sweep.start()
        Terminal.write(ready(endpoint) + "\n")
        stopped.wait()
        Terminal.error("stopping")
        sweep.stop()
        for job in jobs { job.stop() }
        for replication in replications { replication.stop() }
        for replication in replications { if let failure = replication.wait() { Terminal.error("error: \(failure)") } }
    }

    private func deliveryOptions(_ report: @escaping @Sendable (String) -> Void) -> DeliveryRunner.Options {
        var options = DeliveryRunner.Options()
        options.log = report
        return options
    }

    private func ready(_ endpoint: AWSEndpoint?) -> String {
        let address = endpoint.map { ",\"aws\":\"http://\($0.host.contains(":") ? "[\($0.host)]" : $0.host):\($0.port)\"" } ?? ""
        return "{\"event\":\"ready\",\"pid\":\(getpid())\(address),\"data\":\(JSONText.quote(data.path))}"
    }

    private func listen(_ address: ListenAddress, _ log: ShardLog, _ delivery: DeliveryRunner, _ report: @escaping @Sendable (String) -> Void) throws -> AWSEndpoint {
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
