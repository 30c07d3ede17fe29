import AWSProtocol
import Foundation
import KinesisService
import ShardLog
import StreamCore
import Synchronization
import TestScripts
import Testing

/// Producers, consumers and reshards of one stream at the same time.
@Suite struct ReshardingTests {
    private static func call(_ service: KinesisService, _ operation: String, _ input: AWSValue) throws -> AWSValue {
        switch try service.handle(AWSRequest(operation: operation, body: AWSJSON.write(input))) {
        case .output(let value): value
        case .encoded(let bytes): try AWSJSON.parse(bytes)
        case .events: throw PythonScript.Failure("events")
        }
    }

    @Test func `splits and merges under load lose nothing and keep the order of each key`() throws {
        let log = try ShardLog(directory: TestServer.newDirectory())
        defer { try? FileManager.default.removeItem(atPath: log.directory) }
        var options = KinesisServiceOptions()
        // This is about order, not about power cuts.
        options.flush = .operatingSystem
        let service = KinesisService(log: log, options: options)
        defer { service.close() }
        _ = try Self.call(service, "CreateStream", ["StreamName": "s", "ShardCount": 2])
        let producers = 4, rounds = 60, perRound = 25
        let failures = Mutex<[String]>([])
        let group = DispatchGroup()
        func run(_ body: @escaping @Sendable () throws -> Void) {
            group.enter()
            Thread.detachNewThread {
                do { try body() } catch { failures.withLock { $0.append("\(error)") } }
                group.leave()
            }
        }
        let written = Atomic<Int>(0)
        for producer in 0..<producers {
            run {
                for round in 0..<rounds {
                    let records: [AWSValue] = (0..<perRound).map { i in
                        let n = round * perRound + i
                        return ["Data": .blob(Array("\(producer)/\(n % 7)/\(n)".utf8)), "PartitionKey": .string("\(producer)/\(n % 7)")]
                    }
                    let answer = try Self.call(service, "PutRecords", ["StreamName": "s", "Records": .list(records)])
                    guard answer["FailedRecordCount"]?.integer == 0 else { throw PythonScript.Failure("\(answer)") }
                    written.add(perRound, ordering: .relaxed)
                }
            }
        }
        let reshards = Mutex(0)
        run {
            var random = SystemRandomNumberGenerator()
            while written.load(ordering: .relaxed) < producers * rounds * perRound {
                let open = try log.info("s").openShards.sorted { $0.range.first < $1.range.first }
                if open.count < 4 {
                    let shard = open.randomElement(using: &random)!
                    let middle = shard.range.first + (shard.range.last - shard.range.first) / 2
                    _ = try Self.call(service, "SplitShard", ["StreamName": "s", "ShardToSplit": .string(shard.name), "NewStartingHashKey": .string(String(middle))])
                } else {
                    let i = Int.random(in: 0..<open.count - 1, using: &random)
                    _ = try Self.call(service, "MergeShards", [
                        "StreamName": "s", "ShardToMerge": .string(open[i].name), "AdjacentShardToMerge": .string(open[i + 1].name),
                    ])
                }
                reshards.withLock { $0 += 1 }
            }
        }
        // A consumer that reads parents to their ends before their children.
        let texts = Mutex<[String]>([])
        run {
            let total = producers * rounds * perRound
            let deadline = Clock.monotonicNanoseconds() + 60_000_000_000
            var iterators: [String: String] = [:], finished: Set<String> = [], count = 0
            func start(_ shard: String) throws {
                guard iterators[shard] == nil, !finished.contains(shard) else { return }
                iterators[shard] = try Self.call(service, "GetShardIterator", [
                    "StreamName": "s", "ShardId": .string(shard), "ShardIteratorType": "TRIM_HORIZON",
                ])["ShardIterator"]?.string
            }
            try start("shardId-000000000000")
            try start("shardId-000000000001")
            while count < total {
                guard Clock.monotonicNanoseconds() < deadline else { throw PythonScript.Failure("\(count) of \(total) records came") }
                for (shard, iterator) in iterators {
                    let page = try Self.call(service, "GetRecords", ["ShardIterator": .string(iterator), "Limit": 500])
                    let found = (page["Records"]?.list ?? []).compactMap { $0["Data"]?.string }.compactMap { Base64.decode($0) }.map { String(decoding: $0, as: UTF8.self) }
                    texts.withLock { $0 += found }
                    count += found.count
                    iterators[shard] = page["NextShardIterator"]?.string
                    guard iterators[shard] == nil else { continue }
                    finished.insert(shard)
                    for child in page["ChildShards"]?.list ?? [] {
                        let parents = (child["ParentShards"]?.list ?? []).compactMap(\.string)
                        if parents.allSatisfy({ finished.contains($0) }) { try start(child["ShardId"]?.string ?? "") }
                    }
                }
            }
        }
        group.wait()
        #expect(failures.withLock { $0 } == [])
        let all = texts.withLock { $0 }
        #expect(all.count == producers * rounds * perRound)
        #expect(Set(all).count == all.count)
        #expect(reshards.withLock { $0 } > 3)
        var last: [Substring: Int] = [:]
        for text in all {
            let parts = text.split(separator: "/")
            let key = parts[0] + "/" + parts[1], n = Int(parts[2])!
            #expect(n > last[Substring(key)] ?? -1, "\(key): \(n) came after \(last[Substring(key)] ?? -1)")
            last[Substring(key)] = n
        }
    }
}

/// Requests that meet a stream's end get the service's errors, never a failure of the server.
@Suite struct DeletionTests {
    @Test func `streams that are deleted and made again under load answer well`() throws {
        let log = try ShardLog(directory: TestServer.newDirectory())
        defer { try? FileManager.default.removeItem(atPath: log.directory) }
        let service = KinesisService(log: log)
        defer { service.close() }
        @Sendable func call(_ operation: String, _ input: AWSValue) throws {
            _ = try service.handle(AWSRequest(operation: operation, body: AWSJSON.write(input)))
        }
        let deadline = Clock.monotonicNanoseconds() + 3_000_000_000
        let problems = Mutex<[String]>([])
        let requests: [(String, AWSValue)] = [
            ("PutRecord", ["StreamName": "s", "Data": "YQ==", "PartitionKey": "a"]),
            ("PutRecords", ["StreamName": "s", "Records": [["Data": "YQ==", "PartitionKey": "a"]]]),
            ("DescribeStream", ["StreamName": "s"]), ("ListStreams", [:]), ("AddTagsToStream", ["StreamName": "s", "Tags": ["a": "b"]]),
            ("GetShardIterator", ["StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST"]),
            ("SplitShard", ["StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "1000"]),
        ]
        DispatchQueue.concurrentPerform(iterations: requests.count + 1) { i in
            while Clock.monotonicNanoseconds() < deadline {
                do {
                    if i == requests.count {
                        try call("CreateStream", ["StreamName": "s", "ShardCount": 1])
                        try call("DeleteStream", ["StreamName": "s"])
                    } else {
                        try call(requests[i].0, requests[i].1)
                    }
                } catch let error as AWSError where error.status < 500 && error.type.hasPrefix("Resource") || error.message.contains("already been merged or split") {
                } catch {
                    problems.withLock { $0.append("\(i == requests.count ? "CreateStream or DeleteStream" : requests[i].0): \(error)") }
                }
            }
        }
        let found = problems.withLock { $0 }
        #expect(found.isEmpty, "\(found.count) problems: \(Set(found).prefix(8))")
    }
}
