import AWSProtocol
import Foundation
import KinesisService
import ShardLog
import StreamCore
import Synchronization
import TestScripts
import Testing

@Suite struct OperationTests {
    @Test func `every operation through boto3`() throws {
        try TestServer.run { server in
            for (test, failure) in try server.failures("kinesis_operations.py") { Issue.record("\(test): \(failure)") }
        }
    }

    @Test func `rates and quotas hold when they are switched on`() throws {
        var options = KinesisServiceOptions()
        options.enforcesLimits = true
        options.shardLimit = 100
        options.iteratorSeconds = 2
        options.subscriptionSeconds = 1
        options.heartbeatMilliseconds = 200
        try TestServer.run(options) { server in
            for (test, failure) in try server.failures("kinesis_limits.py") { Issue.record("\(test): \(failure)") }
        }
    }

    @Test func `a restarted server answers the same`() throws {
        let directory = TestServer.newDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let first = try TestServer(directory: directory)
        let result = try PythonScript.run("aws/kinesis_restart.py", [first.url, "write"])
        first.stop()
        try #require(result.status == 0, "\(result.errors)")
        let second = try TestServer(directory: directory)
        defer { second.stop() }
        let check = try PythonScript.run("aws/kinesis_restart.py", [second.url, "check", result.output])
        #expect(check.status == 0, "\(check.errors)")
    }

    /// A subscription can be taken over once it is old enough.
    @Test func `the younger of two subscriptions wins`() throws {
        var options = KinesisServiceOptions()
        options.takeoverSeconds = 0
        let log = try ShardLog(directory: TestServer.newDirectory())
        defer { try? FileManager.default.removeItem(atPath: log.directory) }
        let service = KinesisService(log: log, options: options)
        defer { service.close() }
        func call(_ operation: String, _ input: AWSValue) throws -> AWSResponse {
            try service.handle(AWSRequest(operation: operation, body: AWSJSON.write(input)))
        }
        _ = try call("CreateStream", ["StreamName": "s", "ShardCount": 1])
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
        guard case .output(let registered) = try call("RegisterStreamConsumer", ["StreamARN": .string(arn), "ConsumerName": "c"]),
              let consumer = registered["Consumer"]?["ConsumerARN"] else { throw PythonScript.Failure("no consumer") }
        let subscribe: AWSValue = ["ConsumerARN": consumer, "ShardId": "shardId-000000000000", "StartingPosition": ["Type": "LATEST"]]
        guard case .events(let first) = try call("SubscribeToShard", subscribe) else { throw PythonScript.Failure("no events") }
        let sender = Sender()
        let ended = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            try? first(sender)
            ended.signal()
        }
        guard case .events = try call("SubscribeToShard", subscribe) else { throw PythonScript.Failure("no events") }
        #expect(ended.wait(timeout: .now() + 10) == .success)
        #expect(sender.failure?.type == "ResourceInUseException")
        #expect(sender.types.first == "initial-response")
    }

    private final class Sender: EventSender, @unchecked Sendable {  // SAFETY: guarded by `lock`
        private let lock = NSLock()
        private var sent: [String] = [], failed: AWSError?
        var types: [String] { lock.withLock { sent } }
        var failure: AWSError? { lock.withLock { failed } }
        var isClosed: Bool { false }
        func send(type: String, payload: AWSValue) throws { lock.withLock { sent.append(type) } }
        func fail(_ error: AWSError) throws { lock.withLock { failed = error } }
    }

    /// Both encodings, and the general way beside the short one, give the same records and answers.
    @Test func `PutRecords takes JSON and CBOR by the short way and by the long one`() throws {
        let log = try ShardLog(directory: TestServer.newDirectory())
        defer { try? FileManager.default.removeItem(atPath: log.directory) }
        let service = KinesisService(log: log)
        defer { service.close() }
        func call(_ operation: String, _ input: AWSValue, _ encoding: AWSEncoding) throws -> AWSValue {
            let body = encoding == .json ? AWSJSON.write(input) : CBOR.write(input)
            switch try service.handle(AWSRequest(operation: operation, encoding: encoding, body: body)) {
            case .output(let value): return value
            case .encoded(let bytes): return try encoding == .json ? AWSJSON.parse(bytes) : CBOR.parse(bytes)
            case .events: throw PythonScript.Failure("events")
            }
        }
        _ = try call("CreateStream", ["StreamName": "s", "ShardCount": 2], .json)
        var generator = SystemRandomNumberGenerator()
        let seed = UInt64.random(in: 0...UInt64.max, using: &generator)
        print("seed \(seed)")
        var random = SplitMix(state: seed)
        var expected: [[UInt8]] = []
        for round in 0..<8 {
            let encoding: AWSEncoding = round % 2 == 0 ? .json : .cbor
            var records: [AWSValue] = []
            for i in 0..<Int.random(in: 1...40, using: &random) {
                let data = (0..<Int.random(in: 0...70, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
                expected.append(data)
                var record: [String: AWSValue] = ["Data": .blob(data), "PartitionKey": .string("key \(i)")]
                if i % 3 == 0 { record["ExplicitHashKey"] = .string(String(UInt128(random.next()) << 64)) }
                // A letter beyond ASCII sends the request the long way.
                if round >= 4, i == 0 { record["PartitionKey"] = "ä" }
                records.append(.map(record))
            }
            let answer = try call("PutRecords", ["StreamName": "s", "Records": .list(records)], encoding)
            #expect(answer["FailedRecordCount"]?.integer == 0)
            #expect(answer["Records"]?.list?.count == records.count)
        }
        var found: [[UInt8]] = []
        for shard in ["shardId-000000000000", "shardId-000000000001"] {
            for encoding in [AWSEncoding.json, .cbor] {
                let iterator = try call("GetShardIterator", ["StreamName": "s", "ShardId": .string(shard), "ShardIteratorType": "TRIM_HORIZON"], encoding)
                let page = try call("GetRecords", ["ShardIterator": iterator["ShardIterator"]!], encoding)
                let records = page["Records"]?.list ?? []
                for record in records {
                    let arrival = try #require(record["ApproximateArrivalTimestamp"]?.double)
                    #expect(abs(arrival - Double(Clock.milliseconds()) / 1_000) < 60)
                    #expect(record["SequenceNumber"]?.string?.utf8.count == 56)
                }
                if encoding == .cbor {
                    found += records.compactMap { $0["Data"]?.blob }
                } else {
                    #expect(records.count == (try call("GetRecords", ["ShardIterator": iterator["ShardIterator"]!, "Limit": 10_000], .json))["Records"]?.list?.count)
                }
            }
        }
        #expect(found.sorted { $0.lexicographicallyPrecedes($1) } == expected.sorted { $0.lexicographicallyPrecedes($1) })
    }

    /// Records of a stream with a key are not readable on the disk, and nothing of them is lost when the key is taken away.
    @Test func `encryption at rest hides records`() throws {
        let log = try ShardLog(directory: TestServer.newDirectory())
        defer { try? FileManager.default.removeItem(atPath: log.directory) }
        let service = KinesisService(log: log)
        defer { service.close() }
        func call(_ operation: String, _ input: AWSValue) throws {
            _ = try service.handle(AWSRequest(operation: operation, body: AWSJSON.write(input)))
        }
        try call("CreateStream", ["StreamName": "s", "ShardCount": 1])
        try call("PutRecord", ["StreamName": "s", "Data": .blob(Array("plain words".utf8)), "PartitionKey": "a"])
        try call("StartStreamEncryption", ["StreamName": "s", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"])
        try call("PutRecord", ["StreamName": "s", "Data": .blob(Array("secret words".utf8)), "PartitionKey": "a"])
        let segments = try FileManager.default.subpathsOfDirectory(atPath: log.directory).filter { $0.hasSuffix(".log") }
        let stored = try segments.map { try Data(contentsOf: URL(filePath: log.directory + "/" + $0)) }.reduce(Data(), +)
        #expect(stored.range(of: Data("plain words".utf8)) != nil)
        #expect(stored.range(of: Data("secret words".utf8)) == nil)
        #expect(try log.info("s").settings.encryptionKey == "alias/aws/kinesis")
    }

    /// No room on the disk is told as too high a rate is, so that clients wait and try again.
    @Test func `a full disk is told record by record`() throws {
        let directory = TestServer.newDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let isFull = Mutex(false)
        var options = LogOptions(minimumFreeBytes: 1_000_000)
        options.freeBytes = { _ in isFull.withLock { $0 } ? 1_000 : 1 << 40 }
        let service = KinesisService(log: try ShardLog(directory: directory, options: options))
        defer { service.close() }
        func call(_ operation: String, _ input: AWSValue) throws -> AWSValue {
            guard case .encoded(let bytes) = try service.handle(AWSRequest(operation: operation, body: AWSJSON.write(input))) else { return .null }
            return try AWSJSON.parse(bytes)
        }
        _ = try call("CreateStream", ["StreamName": "s", "ShardCount": 1])
        let records: AWSValue = .list((0..<3).map { _ in ["Data": .blob([UInt8](repeating: 1, count: 300_000)), "PartitionKey": "a"] })
        #expect(try call("PutRecords", ["StreamName": "s", "Records": records])["FailedRecordCount"]?.integer == 0)
        isFull.withLock { $0 = true }
        let answer = try call("PutRecords", ["StreamName": "s", "Records": records])
        #expect(answer["FailedRecordCount"]?.integer == 3)
        for record in answer["Records"]?.list ?? [] {
            #expect(record["ErrorCode"]?.string == "ProvisionedThroughputExceededException")
            #expect(record["ErrorMessage"]?.string?.contains("No space left on device") == true)
        }
        #expect { try call("PutRecord", ["StreamName": "s", "Data": .blob([UInt8](repeating: 1, count: 300_000)), "PartitionKey": "a"]) } throws: {
            ($0 as? AWSError)?.type == "ProvisionedThroughputExceededException"
        }
        isFull.withLock { $0 = false }
        #expect(try call("PutRecords", ["StreamName": "s", "Records": records])["FailedRecordCount"]?.integer == 0)
    }

    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
            return z ^ z >> 31
        }
    }
}
