import AWSProtocol
import Foundation
import ShardLog
import StreamCore
import Synchronization
import Testing

@testable import DynamoDBService

/// A clock that tests set.
final class TestClock: Sendable {
    private let offset = Mutex<Int64>(0)
    var host: StreamCore.Host {
        var host = StreamCore.Host.system
        host.now = { [self] in StreamCore.Host.system.now() + offset.withLock { $0 } }
        return host
    }

    func advance(seconds: Int64) { offset.withLock { $0 += seconds * 1_000 } }
}

/// Tables with their streams in a directory of their own, called without a server in between.
final class StreamedTables {
    let directory: String
    let clock = TestClock()
    let logHost: StreamCore.Host
    private(set) var log: ShardLog?
    private(set) var service: DynamoDBService!
    private(set) var streams: DynamoDBStreamsService!

    init(logHost: StreamCore.Host = .system) throws {
        directory = NSTemporaryDirectory() + "swiftwater-streams-" + UUID().uuidString
        self.logHost = logHost
        try open()
    }

    deinit {
        service.close()
        try? FileManager.default.removeItem(atPath: directory)
    }

    private func open(_ host: StreamCore.Host? = nil) throws {
        log = try ShardLog(directory: directory + "/log", host: host ?? logHost)
        var options = DynamoDBServiceOptions()
        options.log = log
        options.host = clock.host
        options.sweepSeconds = 0.05
        service = try DynamoDBService(directory: directory + "/tables", options: options)
        streams = DynamoDBStreamsService(store: service.store)
    }

    func reopen(logHost: StreamCore.Host? = nil) throws {
        service.close()
        try open(logHost)
    }

    private func output(_ response: AWSResponse) -> AWSValue {
        switch response {
        case .output(let value): value
        case .encoded(let bytes): (try? AWSJSON.parse(bytes)) ?? .null
        case .events: .null
        }
    }

    /// Through text, as clients see it: blobs are Base64.
    @discardableResult
    func call(_ operation: String, _ input: AWSValue) throws -> AWSValue {
        let request = AWSRequest(operation: operation, body: AWSJSON.write(input))
        let isStreams = ["ListStreams", "DescribeStream", "GetShardIterator", "GetRecords"].contains(operation)
        return try AWSJSON.parse(AWSJSON.write(output(isStreams ? streams.handle(request) : service.handle(request))))
    }

    /// A table with the key `id`.
    @discardableResult
    func create(_ name: String, view: String? = nil) throws -> String {
        var input: [String: AWSValue] = [
            "TableName": .string(name), "BillingMode": "PAY_PER_REQUEST", "KeySchema": [["AttributeName": "id", "KeyType": "HASH"]],
            "AttributeDefinitions": [["AttributeName": "id", "AttributeType": "S"]],
        ]
        if let view { input["StreamSpecification"] = ["StreamEnabled": true, "StreamViewType": .string(view)] }
        return try call("CreateTable", .map(input))["TableDescription"]?["LatestStreamArn"]?.string ?? ""
    }

    func put(_ table: String, _ item: AWSValue) throws { try call("PutItem", ["TableName": .string(table), "Item": item]) }
    func delete(_ table: String, _ id: String) throws { try call("DeleteItem", ["TableName": .string(table), "Key": ["id": ["S": .string(id)]]]) }

    func shard(_ arn: String) throws -> AWSValue? {
        try call("DescribeStream", ["StreamArn": .string(arn)])["StreamDescription"]?["Shards"]?.list?.first
    }

    func iterator(_ arn: String, _ type: String = "TRIM_HORIZON", sequence: AWSValue? = nil) throws -> AWSValue {
        var input: [String: AWSValue] = ["StreamArn": .string(arn), "ShardId": try shard(arn)?["ShardId"] ?? .null, "ShardIteratorType": .string(type)]
        input["SequenceNumber"] = sequence
        return try call("GetShardIterator", .map(input))["ShardIterator"] ?? .null
    }

    func records(_ arn: String) throws -> [AWSValue] {
        try call("GetRecords", ["ShardIterator": try iterator(arn)])["Records"]?.list ?? []
    }

    /// Everything in a stream of the log, shard by shard, once there are so many records.
    func published(_ stream: String, count: Int, seconds: Double = 60) throws -> [(shard: Int, key: String, value: AWSValue)] {
        var out: [(shard: Int, key: String, value: AWSValue)] = []
        let deadline = Date().addingTimeInterval(seconds)
        let log = try #require(log)
        let readers = try (0..<log.shardCount(stream)).map { try log.reader(stream, shard: $0, position: .trimHorizon) }
        while out.count < count, Date() < deadline {
            var found = false
            for reader in readers {
                while let chunk = try reader.read() {
                    found = true
                    for i in 0..<chunk.count {
                        out.append((reader.shard, chunk.partitionKey(i), try AWSJSON.parse(Array(chunk.data(i)))))
                    }
                }
            }
            if !found { _ = try readers[0].waitForRecords(milliseconds: 20) }
        }
        return out
    }
}

/// Asks until it is so, for half a minute at most.
func eventually(_ what: String, _ body: () throws -> Bool) throws {
    let deadline = Date().addingTimeInterval(30), pause = DispatchSemaphore(value: 0)
    while try !body() {
        guard Date() < deadline else {
            Issue.record("\(what) did not come about within 30 s")
            return
        }
        _ = pause.wait(timeout: .now() + .milliseconds(10))
    }
}
