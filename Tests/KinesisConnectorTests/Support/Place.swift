import AWSEndpoint
import AWSProtocol
import Foundation
import KinesisService
import ShardLog
import StreamCore
import Synchronization
import Testing
import TestScripts
@testable import KinesisConnector

/// Where a test's streams are: the same cases run against all of them.
enum Place: String, CaseIterable, Sendable, CustomTestStringConvertible {
    /// The built-in log, in this process.
    case log
    /// The built-in log behind our endpoint, read with GetRecords.
    case endpoint
    /// The same, read with SubscribeToShard.
    case fanOut
    /// moto's server, which has no SubscribeToShard.
    case moto

    static let remote: [Place] = [.endpoint, .fanOut, .moto]
    /// Where a shard that was split or merged ends: moto goes on writing to it, and copies what a merged shard has.
    static let resharding: [Place] = [.log, .endpoint, .fanOut]
    var testDescription: String { rawValue }
}

/// A server for the time that tests hold it.
final class Server: Sendable {
    private final class Holder: Sendable {
        let known = Mutex<[String: Weak]>([:])
    }

    private struct Weak: @unchecked Sendable {  // SAFETY: only read and written behind the holder's mutex
        weak var server: Server?
    }

    private static let holder = Holder()

    let url: String
    let directory: Directory
    private let stop: @Sendable () -> Void

    private init(url: String, directory: Directory, stop: @escaping @Sendable () -> Void) { (self.url, self.directory, self.stop) = (url, directory, stop) }
    deinit { stop() }

    /// moto's, one for all tests that run at the same time.
    static func moto() throws -> Server {
        try holder.known.withLock { known in
            if let server = known["moto"]?.server { return server }
            let script = try BackgroundScript("aws/moto_server.py")
            let server = Server(url: "http://127.0.0.1:\(script.firstLine)", directory: Directory()) { script.end() }
            known["moto"] = Weak(server: server)
            return server
        }
    }

    /// Ours, over a directory of its own; `wrap` may put something in front of the service.
    static func ours(_ settings: StreamSettings = StreamSettings(), iteratorSeconds: Int = 300, subscriptionSeconds: Int = 300,
                     wrap: (any AWSService) -> any AWSService = { $0 }) throws -> Server {
        let directory = Directory()
        var options = KinesisServiceOptions()
        options.flush = .operatingSystem
        options.settings = settings
        options.iteratorSeconds = iteratorSeconds
        options.subscriptionSeconds = subscriptionSeconds
        options.takeoverSeconds = 0
        let endpoint = try AWSEndpoint(services: [wrap(KinesisService(log: try ShardLog(directory: directory.path), options: options))])
        return Server(url: "http://127.0.0.1:\(endpoint.port)", directory: directory) { endpoint.stop() }
    }

    /// One that the test runs itself.
    static func running(_ url: String) -> Server { Server(url: url, directory: Directory()) {} }
}

/// A directory that goes away with its owner.
final class Directory: Sendable {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("kinesis-\(UUID().uuidString)").path
    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A stream of a test, and a way to it beside the connector.
final class TestStream: Sendable {
    static let key = "AKIDTEST", secret = "a-secret-that-is-told-nobody"

    let place: Place
    let name: String
    let directory: Directory
    let server: Server?
    private let log: ShardLog?
    let connection: EndpointConnection?

    init(_ place: Place, shards: Int = 1, server: Server? = nil) throws {
        self.place = place
        name = "s-\(UUID().uuidString.prefix(8))"
        switch place {
        case .log:
            directory = Directory()
            self.server = nil
            connection = nil
            log = try ShardLog(directory: directory.path)
            try log!.createStream(name, shards: shards)
        case .endpoint, .fanOut, .moto:
            let server = try server ?? (place == .moto ? .moto() : .ours())
            self.server = server
            directory = server.directory
            log = nil
            connection = try Self.connection(server, name)
            _ = try connection!.openStream(creating: shards)
        }
    }

    private static func connection(_ server: Server, _ name: String) throws -> EndpointConnection {
        let table = TableDescriptor(name: "t", schema: [], options: [
            "stream": name, "aws.endpoint": server.url, "aws.credentials.basic.accesskeyid": key, "aws.credentials.basic.secretkey": secret,
        ])
        return EndpointConnection(try EndpointOptions(TableOptions(table)), table: "t")
    }

    /// Options of a table over the stream, in JSON, from the oldest record on.
    func options(_ more: [String: String] = [:]) -> [String: String] {
        var all = ["connector": "kinesis", "stream": name, "format": "json"]
        if more.keys.allSatisfy({ !$0.hasSuffix("init.position") && !$0.hasSuffix("initpos") }) { all["source.init.position"] = "TRIM_HORIZON" }
        if let server {
            all["aws.endpoint"] = server.url
            all["aws.region"] = "us-east-1"
            all["aws.credentials.provider"] = "BASIC"
            all["aws.credentials.basic.accesskeyid"] = Self.key
            all["aws.credentials.basic.secretkey"] = Self.secret
            all["scan.shard.getrecords.intervalmillis"] = "10"
            all["scan.shard.getrecords.backoff.base"] = "5"
            all["scan.shard.getrecords.backoff.max"] = "20"
            all["scan.shard.subscribetoshard.backoff.base"] = "5"
            all["scan.shard.subscribetoshard.backoff.max"] = "20"
        } else {
            all["log.directory"] = directory.path
        }
        // moto gives two records that come at the same time the same number, and forgets one.
        if place == .moto { all["sink.requests.max-inflight"] = "1" }
        if place == .fanOut {
            all["source.reader.type"] = "EFO"
            all["source.efo.consumer.name"] = "c-\(UUID().uuidString.prefix(8))"
        }
        for (key, value) in more { all[key] = value.isEmpty ? nil : value }
        return all
    }

    func ddl(_ columns: String, name: String = "t", partitionedBy: String = "", _ more: [String: String] = [:]) -> String {
        "CREATE TABLE \(name) (\(columns))\(partitionedBy.isEmpty ? "" : " PARTITIONED BY (\(partitionedBy))") WITH ("
            + options(more).sorted { $0.key < $1.key }.map { "'\($0.key)' = '\($0.value)'" }.joined(separator: ", ") + ");"
    }

    func call(_ operation: String, _ members: [String: AWSValue]) throws -> AWSValue {
        try connection!.call(operation, .map(["StreamName": .string(name)].merging(members) { $1 }))
    }

    // MARK: Writing

    func put(_ records: [(key: String, data: String)]) throws {
        if let log {
            try log.writer(name, flush: .operatingSystem).append(records.map { Record(partitionKey: $0.key, data: Array($0.data.utf8)) })
            return
        }
        for start in stride(from: 0, to: records.count, by: 500) {
            let part = records[start..<min(start + 500, records.count)]
            let answer = try call("PutRecords", ["Records": .list(part.map { ["Data": .blob(Array($0.data.utf8)), "PartitionKey": .string($0.key)] })])
            guard answer["FailedRecordCount"]?.integer == 0 else { throw StreamError(.runtime, "records were refused") }
        }
    }

    /// `{"id": n, "name": "k..."}` with as many keys as asked for.
    func put(_ ids: Range<Int>, keys: Int = 10) throws { try put(ids.map { ("k\($0 % keys)", #"{"id": \#($0), "name": "k\#($0 % keys)"}"#) }) }

    // MARK: Resharding

    private func ranges() throws -> [(id: Int, range: HashKeyRange)] {
        if let log { return try log.info(name).openShards.map { ($0.id, $0.range) } }
        return try call("ListShards", [:])["Shards"]!.list!.filter { $0["SequenceNumberRange"]?["EndingSequenceNumber"] == nil }.map { shard in
            (Int(shard["ShardId"]!.string!.dropFirst(8))!,
             HashKeyRange(first: UInt128(shard["HashKeyRange"]!["StartingHashKey"]!.string!)!, last: UInt128(shard["HashKeyRange"]!["EndingHashKey"]!.string!)!))
        }
    }

    /// Splits the open shard with the most hash keys.
    func split() throws {
        let (id, range) = try ranges().max { $0.range.last - $0.range.first < $1.range.last - $1.range.first }!
        let middle = range.first + (range.last - range.first) / 2 + 1
        if let log { _ = try log.split(name, shard: id, at: middle) } else {
            _ = try call("SplitShard", ["ShardToSplit": .string(KinesisShard.name(id)), "NewStartingHashKey": .string(String(middle))])
        }
        try settle()
    }

    /// Merges the two lowest open shards.
    func merge() throws {
        let open = try ranges().sorted { $0.range.first < $1.range.first }
        if let log { _ = try log.merge(name, open[0].id, open[1].id) } else {
            _ = try call("MergeShards", ["ShardToMerge": .string(KinesisShard.name(open[0].id)), "AdjacentShardToMerge": .string(KinesisShard.name(open[1].id))])
        }
        try settle()
    }

    private func settle() throws { if let connection { _ = try connection.openStream(creating: nil) } }

    var openShards: Int { get throws { try ranges().count } }

    // MARK: Reading, beside the connector

    /// Partition keys and data of all records, shard by shard.
    func records() throws -> [[(key: String, data: String)]] {
        if let log {
            return try log.info(name).shards.map { shard in
                let reader = try log.reader(name, shard: shard.id, position: .trimHorizon)
                var all: [(String, String)] = []
                while let chunk = try reader.read() {
                    for i in 0..<chunk.count { all.append((chunk.partitionKey(i), String(decoding: chunk.data(i), as: UTF8.self))) }
                }
                return all
            }
        }
        return try call("ListShards", [:])["Shards"]!.list!.map { shard in
            var iterator = try call("GetShardIterator", ["ShardId": shard["ShardId"]!, "ShardIteratorType": "TRIM_HORIZON"])["ShardIterator"]?.string
            var all: [(String, String)] = []
            while let from = iterator {
                let answer = try connection!.call("GetRecords", ["ShardIterator": .string(from)])
                let records = answer["Records"]!.list!
                all += records.map { ($0["PartitionKey"]!.string!, String(decoding: Base64.decode($0["Data"]!.string!)!, as: UTF8.self)) }
                iterator = records.isEmpty ? nil : answer["NextShardIterator"]?.string
            }
            return all
        }
    }
}
