import AWSEndpoint
import AWSProtocol
import Foundation
import KinesisService
import ShardLog
import StreamCore
import StreamRuntime
import StreamTesting
import Testing
@testable import KinesisConnector

/// What services refuse, and how the connector goes on.
@Suite("kinesis trouble", .timeLimit(.minutes(3))) struct TroubleTests {
    @Test("throttling, expired iterators and failures of the service are gone through", arguments: [Place.endpoint, .fanOut])
    func reading(place: Place) throws {
        let server = try Server.ours { service in
            FaultyService(service, refuse: { operation, n in
                switch operation {
                case "GetRecords" where n % 3 == 1: throw AWSError("ProvisionedThroughputExceededException", "Rate exceeded for shard shardId-000000000000")
                case "GetRecords" where n % 5 == 2: throw AWSError("ExpiredIteratorException", "Iterator expired.")
                case "GetRecords" where n % 7 == 3: throw AWSError("InternalFailure", "", status: 500)
                case "GetShardIterator" where n % 2 == 1, "SubscribeToShard" where n % 3 == 2: throw AWSError("LimitExceededException", "Rate exceeded")
                case "SubscribeToShard" where n % 2 == 1: throw AWSError("ResourceInUseException", "Another active subscription exists")
                case "ListShards" where n == 1, "DescribeStreamSummary" where n == 2: throw AWSError("LimitExceededException", "Rate exceeded")
                default: break
                }
            })
        }
        let stream = try TestStream(place, shards: 2, server: server)
        let metrics = OperatorMetrics()
        let source = try KinesisConnector().source(for: PlacesTests.table(stream, ["scan.shard.getrecords.maxrecordcount": "40"]), scan: ScanRequest(projection: [0, 1]))
        let splits = try source.splits()
        try source.begins(splits)
        try stream.put(0..<600)
        let readers = try splits.map { try source.reader(for: $0, metrics: metrics) }
        var texts = try PlacesTests.texts(readers, count: 600)
        try stream.put(600..<700)
        texts += try PlacesTests.texts(readers, count: 100)
        PlacesTests.check(texts, ids: 0..<700)
        #expect((metrics.gauges["throttled-requests"] ?? 0) + (metrics.gauges["failed-requests"] ?? 0) > 0)
        if place == .endpoint {
            #expect(metrics.gauges["renewed-iterators"] ?? 0 > 0)
            #expect(metrics.gauges["millis-behind-latest.shardId-000000000000"] != nil)
        }
        for reader in readers { reader.close() }
        #expect(metrics.gauges["millis-behind-latest.shardId-000000000000"] == nil)
        source.runEnded()
    }

    @Test("subscriptions that end are made again from where they were")
    func subscriptions() throws {
        let stream = try TestStream(.fanOut, server: try .ours(subscriptionSeconds: 1))
        let job = try RunningJob(StreamJobs(stream.ddl(PlacesTests.columns)), "SELECT id, name FROM t")
        let end = Date().addingTimeInterval(3.5)
        var next = 0
        while Date() < end {
            try stream.put(next..<next + 20)
            next += 20
            try job.wait(rows: next)
        }
        try job.stop()
        PlacesTests.check(job.texts, ids: 0..<next)
        // The job's consumer is gone with it.
        let arn = try stream.call("DescribeStreamSummary", [:])["StreamDescriptionSummary"]!["StreamARN"]!
        #expect(try stream.connection!.call("ListStreamConsumers", ["StreamARN": arn])["Consumers"]?.list == [])
    }

    @Test("records that are refused are sent again; with order per key none overtakes another", arguments: [false, true])
    func writing(keepsOrder: Bool) throws {
        let server = try Server.ours { service in
            FaultyService(service, refuse: { operation, n in
                if operation == "PutRecords", n % 7 == 2 { throw AWSError("ProvisionedThroughputExceededException", "Rate exceeded") }
                if operation == "PutRecords", n % 11 == 5 { throw AWSError("ServiceUnavailable", "", status: 503) }
            }, refuseRecord: { n, i in (n &* 31 &+ i &* 17) % 5 == 0 })
        }
        let stream = try TestStream(.endpoint, shards: 2, server: server), source = try TestStream(.log)
        try source.put(0..<1_500, keys: 40)
        var options = PlacesTests.bounded.merging(["sink.batch.max-size": "100"]) { $1 }
        if keepsOrder { options["sink.order-per-key"] = "true" }
        let jobs = try StreamJobs(source.ddl(PlacesTests.columns, name: "s", PlacesTests.bounded) + stream.ddl(PlacesTests.columns, partitionedBy: "name", options))
        try jobs.run("INSERT INTO t SELECT * FROM s")
        PlacesTests.check(try jobs.texts("SELECT id, name FROM t"), ids: 0..<1_500, inOrder: keepsOrder)
    }

    @Test("a full buffer holds the writer back, and a checkpoint has everything accepted")
    func backPressure() throws {
        let stream = try TestStream(.endpoint)
        let table = TableDescriptor(name: "t", schema: [Field("id", .bigint), Field("name", .string)],
                                    options: stream.options(["sink.batch.max-size": "10", "sink.requests.max-buffered": "20", "sink.requests.max-inflight": "2"]))
        let writer = try KinesisConnector().sink(for: table, timeZone: "UTC").writer(SinkContext())
        try writer.write(Batch(schema: table.schema, rows: (0..<1_000).map { [.int($0), .string("k")] }))
        #expect(try stream.records().joined().count >= 960)
        #expect(try writer.prepareCommit(1).isEmpty)
        #expect(try stream.records().joined().count == 1_000)
        try writer.close()
    }

    @Test("an endpoint that goes away and comes back is read and written on", arguments: [Place.endpoint, .fanOut])
    func restartedEndpoint(place: Place) throws {
        let directory = Directory()
        func start(_ port: Int) throws -> AWSEndpoint {
            var options = KinesisServiceOptions()
            options.takeoverSeconds = 0
            return try AWSEndpoint(port: port, services: [KinesisService(log: try ShardLog(directory: directory.path), options: options)])
        }
        var endpoint = try start(0)
        defer { endpoint.stop() }
        let port = endpoint.port, stream = try TestStream(place, shards: 2, server: .running("http://127.0.0.1:\(port)"))
        let job = try RunningJob(StreamJobs(stream.ddl(PlacesTests.columns)), "SELECT id, name FROM t")
        let table = TableDescriptor(name: "t", schema: [Field("id", .bigint), Field("name", .string)], partitionKeys: ["name"], options: stream.options())
        let writer = try KinesisConnector().sink(for: table, timeZone: "UTC").writer(SinkContext())
        func write(_ ids: Range<Int>) throws { try writer.write(Batch(schema: table.schema, rows: ids.map { [.int(Int64($0)), .string("k\($0 % 5)")] })) }
        try write(0..<100)
        _ = try writer.prepareCommit(1)
        try job.wait(rows: 100)
        endpoint.stop()
        try write(100..<200)
        try writer.idle()
        // Both sides find nobody there.
        usleep(300_000)
        endpoint = try start(port)
        _ = try writer.prepareCommit(2)
        try job.wait(rows: 200)
        try writer.close()
        try job.stop()
        PlacesTests.check(job.texts, ids: 0..<200)
    }

    @Test("with 'sink.fail-on-error' a refused record ends the job")
    func failsFast() throws {
        let server = try Server.ours { FaultyService($0, refuseRecord: { _, i in i == 3 }) }
        let stream = try TestStream(.endpoint, server: server), source = try TestStream(.log)
        try source.put(0..<10)
        let jobs = try StreamJobs(source.ddl(PlacesTests.columns, name: "s", PlacesTests.bounded) + stream.ddl(PlacesTests.columns, ["sink.fail-on-error": "true"]))
        let error = #expect(throws: StreamError.self) { try jobs.run("INSERT INTO t SELECT * FROM s") }
        #expect(error?.problem.contains("ProvisionedThroughputExceededException: Rate exceeded for shard") == true, "\(error?.description ?? "")")
    }

    @Test("a stream that is missing is told with its name, and made when that is asked for", arguments: Place.remote)
    func missing(place: Place) throws {
        let stream = try TestStream(place)
        let options = ["stream": "nowhere"].merging(PlacesTests.bounded) { $1 }
        for statement in ["SELECT id, name FROM t", "INSERT INTO t VALUES (1, 'a')"] {
            let error = #expect(throws: StreamError.self) {
                let jobs = try StreamJobs(stream.ddl(PlacesTests.columns, options))
                if statement.hasPrefix("S") { _ = try jobs.rows(statement) } else { try jobs.run(statement) }
            }
            #expect(error?.code == .validate && error?.problem.contains("looking for stream nowhere at http://127.0.0.1") == true, "\(error?.description ?? "")")
            #expect(error?.problem.contains("ResourceNotFoundException") == true && error?.fix?.contains("'stream.create-shards'") == true)
        }
        let name = "made-\(UUID().uuidString.prefix(8))"
        let jobs = try StreamJobs(stream.ddl(PlacesTests.columns, PlacesTests.bounded.merging(["stream": name, "stream.create-shards": "2"]) { $1 }))
        try jobs.run("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
        #expect(try jobs.texts("SELECT id, name FROM t").sorted() == ["1|a", "2|b"])
    }

    @Test("a wrong secret is told without it, and is in no plan")
    func refused() throws {
        let directory = Directory()
        var options = AWSEndpoint.Options()
        options.credentials = [AWSCredentials(accessKey: TestStream.key, secret: TestStream.secret)]
        let endpoint = try AWSEndpoint(services: [KinesisService(log: try ShardLog(directory: directory.path))], options: options)
        defer { endpoint.stop() }
        func ddl(_ more: [String: String]) -> String {
            let all = ["connector": "kinesis", "stream": "s", "format": "json", "aws.endpoint": "http://127.0.0.1:\(endpoint.port)", "aws.region": "eu-west-1",
                       "aws.credentials.basic.accesskeyid": TestStream.key, "stream.create-shards": "1", "source.init.position": "TRIM_HORIZON",
                       "aws.credentials.basic.secretkey": TestStream.secret, "scan.bounded.mode": "latest-offset"].merging(more) { $1 }
            return "CREATE TABLE t (id BIGINT, name STRING) WITH (" + all.map { "'\($0.key)' = '\($0.value)'" }.joined(separator: ", ") + ");"
        }
        let good = try StreamJobs(ddl([:]))
        try good.run("INSERT INTO t VALUES (1, 'a')")
        #expect(try good.texts("SELECT id, name FROM t") == ["1|a"])
        let wrong = "another-secret"
        for more in [["aws.credentials.basic.secretkey": wrong], ["aws.credentials.basic.accesskeyid": "AKIDOTHER", "aws.credentials.basic.secretkey": wrong]] {
            let jobs = try StreamJobs(ddl(more))
            let error = #expect(throws: StreamError.self) { _ = try jobs.rows("SELECT id, name FROM t") }
            #expect(error?.code == .validate && error?.fix?.contains("aws.credentials.basic.accesskeyid") == true, "\(error?.description ?? "")")
            #expect(error?.description.contains(wrong) == false)
            let plan = "\(try jobs.run("EXPLAIN SELECT id, name FROM t"))"
            #expect(plan.contains("t") && !plan.contains(wrong))
        }
    }

    @Test("wrong options of a remote stream say what to write", arguments: [
        (["sink.delivery-guarantee": "exactly-once"], "is not to be had from a remote stream"), (["stream.arn": "arn:aws:kinesis:x"], "is not the ARN of a stream"),
        (["stream.arn": "arn:aws:kinesis:eu-west-1:1:stream/other"], "is not the stream that 'stream.arn' names"), (["aws.endpoint": "nowhere"], "is not an address"),
        (["source.reader.type": "EFO"], "needs the name of a consumer"), (["source.reader.type": "PUSH"], "is not known here"),
        (["aws.credentials.provider": "ASSUME_ROLE"], "choose AUTO, BASIC, ENV_VAR or PROFILE"), (["aws.credentials.basic.secretkey": ""], "stands alone"),
        (["sink.batch.max-size": "501"], "from 1 to 500"), (["sink.flush": "os"], "how the built-in log writes"),
        (["scan.shard.getrecords.maxrecordcount": "5", "source.shard.get-records.max-record-count": "5"], "which is the same option"),
        (["aws.endpoint": "https://127.0.0.1:1", "aws.trust.all.certificates": "true"], "certificates are always checked"),
        (["sink.requests.max-buffered": "100"], "smaller than a batch"), (["aws.http.protocol.version": "HTTP2"], "is not supported here"),
    ])
    func wrong(options: [String: String], text: String) throws {
        var all = ["connector": "kinesis", "stream": "s", "format": "json", "aws.endpoint": "http://127.0.0.1:1", "aws.credentials.basic.accesskeyid": "a",
                   "aws.credentials.basic.secretkey": "b"]
        for (key, value) in options { all[key] = value.isEmpty ? nil : value }
        let table = TableDescriptor(name: "t", schema: [Field("id", .bigint)], options: all)
        let error = #expect(throws: StreamError.self) { try KinesisConnector().validate(table) }
        #expect(error?.code == .validate && error?.description.contains(text) == true, "\(error?.description ?? "")")
        #expect(Set(all.keys).subtracting(KinesisConnector().optionKeys(for: table)).isEmpty)
    }

    @Test("keys come from options, the environment or a profile")
    func credentials() throws {
        func source(_ options: [String: String]) throws -> CredentialSource { try CredentialSource(TableOptions(TableDescriptor(name: "t", schema: [], options: options))) }
        let file = "# mine\n[default]\naws_access_key_id = A\naws_secret_access_key=B\n\n[other]\nAWS_ACCESS_KEY_ID = C\naws_secret_access_key = D = E\naws_session_token = F\n"
        #expect(CredentialSource.parse(file, profile: "default") == AWSCredentials(accessKey: "A", secret: "B"))
        #expect(CredentialSource.parse(file, profile: "other") == AWSCredentials(accessKey: "C", secret: "D = E", sessionToken: "F"))
        #expect(CredentialSource.parse(file, profile: "third") == nil)
        let directory = Directory()
        try FileManager.default.createDirectory(atPath: directory.path + "/.aws", withIntermediateDirectories: true)
        try Data(file.utf8).write(to: URL(fileURLWithPath: directory.path + "/.aws/credentials"))
        let home = ["HOME": directory.path], environment = ["AWS_ACCESS_KEY_ID": "G", "AWS_SECRET_ACCESS_KEY": "H", "HOME": directory.path]
        let basic = ["aws.credentials.basic.accesskeyid": "I", "aws.credentials.basic.secretkey": "J", "aws.credentials.basic.sessiontoken": "K"]
        #expect(try source(basic).resolve(environment) == AWSCredentials(accessKey: "I", secret: "J", sessionToken: "K"))
        #expect(try source([:]).resolve(environment).accessKey == "G")
        #expect(try source([:]).resolve(home).accessKey == "A")
        #expect(try source(["aws.credentials.provider": "ENV_VAR"]).resolve(environment).secret == "H")
        #expect(try source(["aws.credentials.provider": "PROFILE", "aws.credentials.profile.name": "other"]).resolve(environment).accessKey == "C")
        #expect(try source(["aws.credentials.profile.path": "~/.aws/credentials"]).resolve(home).accessKey == "A")
        for (options, place, text) in [([:], ["HOME": "/nowhere"], "no AWS credentials"), (["aws.credentials.provider": "ENV_VAR"], home, "AWS_ACCESS_KEY_ID"),
                                       (["aws.credentials.profile.name": "third"], home, "profile 'third'")] as [([String: String], [String: String], String)] {
            let error = #expect(throws: StreamError.self) { try source(options).resolve(place) }
            #expect(error?.code == .validate && error?.problem.contains(text) == true && error?.fix != nil)
        }
        let shown = try source(basic)
        #expect(!"\(shown)".contains("J") && !String(reflecting: shown).contains("J"))
    }

    @Test("the endpoint's clock is read from its answers")
    func dates() {
        #expect(EndpointConnection.date("Sat, 21 Nov 2026 17:06:42 GMT") == 1_795_280_802)
        #expect(EndpointConnection.date("Thu, 29 Feb 2024 00:00:00 GMT") == 1_709_164_800)
        #expect(EndpointConnection.date("Thu, 01 Jan 1970 00:00:01 GMT") == 1)
        #expect(EndpointConnection.date("yesterday") == nil)
    }
}
