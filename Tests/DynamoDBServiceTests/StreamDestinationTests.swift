import AWSProtocol
import Foundation
import GRDB
import ShardLog
import StreamCore
import Synchronization
import Testing

@testable import DynamoDBService

struct StreamDestinationTests {
    private static func arn(_ stream: String) -> AWSValue { .string("arn:aws:kinesis:us-east-1:000000000000:stream/\(stream)") }

    private static func enable(_ tables: StreamedTables, _ table: String, _ stream: String, precision: String? = nil) throws -> AWSValue {
        var input: [String: AWSValue] = ["TableName": .string(table), "StreamArn": arn(stream)]
        if let precision { input["EnableKinesisStreamingConfiguration"] = ["ApproximateCreationDateTimePrecision": .string(precision)] }
        return try tables.call("EnableKinesisStreamingDestination", .map(input))
    }

    private static func destinations(_ tables: StreamedTables, _ table: String) throws -> [AWSValue] {
        try tables.call("DescribeKinesisStreamingDestination", ["TableName": .string(table)])["KinesisDataStreamDestinations"]?.list ?? []
    }

    /// The items of the data lake's example: two puts of one key into either table.
    @Test func changesAreWrittenAsTheServiceWritesThem() throws {
        let tables = try StreamedTables()
        for (table, stream, name, before, after) in [
            ("blog-srsa-ddb-table", "blog-srsa-ddb-table-data-stream", "Adam", "Architect", "Senior Architect"),
            ("blog-srca-ddb-table", "blog-srca-ddb-table-data-stream", "Chris", "Senior Consultant", "Principal Consultant"),
        ] {
            try tables.create(table)
            try tables.log?.createStream(stream, shards: 10)
            #expect(try Self.enable(tables, table, stream)["DestinationStatus"] == "ENABLING")
            let items = [before, after].map { designation in
                ["id": ["S": "864732"], "name": ["S": .string(name)], "Designation": ["S": .string(designation)]] as AWSValue
            }
            let start = tables.clock.host.now()
            for item in items { try tables.put(table, item) }
            let published = try tables.published(stream, count: 2)
            try #require(published.count == 2)
            #expect(Set(published.map(\.shard)).count == 1)
            #expect(Set(published.map(\.key)).count == 1)
            for (i, record) in published.map(\.value).enumerated() {
                let change = try #require(record["dynamodb"])
                let time = Int64(try #require(change["ApproximateCreationDateTime"]?.integer))
                #expect(time >= start && time <= tables.clock.host.now() + 1)
                let identifier = try #require(record["eventID"])
                #expect(UUID(uuidString: identifier.string ?? "") != nil)
                let sizes = [before, after].map { 8 + 4 + name.utf8.count + 11 + $0.utf8.count }
                var expected: [String: AWSValue] = [
                    "ApproximateCreationDateTime": .integer(time), "ApproximateCreationDateTimePrecision": "MILLISECOND",
                    "Keys": ["id": ["S": "864732"]], "NewImage": items[i], "SizeBytes": .integer(8 + sizes[i] + (i == 0 ? 0 : sizes[0])),
                ]
                if i == 1 { expected["OldImage"] = items[0] }
                #expect(record == [
                    "awsRegion": "us-east-1", "eventID": identifier, "eventName": i == 0 ? "INSERT" : "MODIFY", "userIdentity": .null,
                    "recordFormat": "application/json", "tableName": .string(table), "dynamodb": .map(expected), "eventSource": "aws:dynamodb",
                ])
                guard case .map(let members) = record else { return }
                #expect(members["userIdentity"] == .null)
            }
        }
    }

    @Test func severalDestinationsGetAllAndOneThatIsSwitchedOffGetsItsRest() throws {
        let tables = try StreamedTables()
        try tables.create("things", view: "KEYS_ONLY")
        for stream in ["one", "two"] { try tables.log?.createStream(stream, shards: 2) }
        _ = try Self.enable(tables, "things", "one", precision: "MICROSECOND")
        for i in 0..<20 { try tables.put("things", ["id": ["S": .string("\(i)")]]) }
        _ = try Self.enable(tables, "things", "two")
        for i in 20..<40 { try tables.put("things", ["id": ["S": .string("\(i)")]]) }
        #expect(try tables.call("DisableKinesisStreamingDestination", ["TableName": "things", "StreamArn": Self.arn("one")])["DestinationStatus"] == "DISABLING")
        try tables.put("things", ["id": ["S": "40"]])
        func ids(_ stream: String, _ count: Int) throws -> [Int] {
            try tables.published(stream, count: count).compactMap { Int($0.value["dynamodb"]?["Keys"]?["id"]?["S"]?.string ?? "") }.sorted()
        }
        #expect(try ids("one", 40) == Array(0..<40))
        #expect(try ids("two", 21) == Array(20..<41))
        try eventually("the end of the destination") { try Self.destinations(tables, "things")[0]["DestinationStatus"] == "DISABLED" }
        let first = try #require(try tables.published("one", count: 40).first?.value["dynamodb"])
        #expect(first["ApproximateCreationDateTimePrecision"] == "MICROSECOND")
        #expect(first["ApproximateCreationDateTime"]!.integer! / 1_000_000 - Int(tables.clock.host.now() / 1_000) < 60)
        #expect(try Self.destinations(tables, "things") == [
            ["StreamArn": Self.arn("one"), "DestinationStatus": "DISABLED", "ApproximateCreationDateTimePrecision": "MICROSECOND"],
            ["StreamArn": Self.arn("two"), "DestinationStatus": "ACTIVE"],
        ])
        // It starts anew, from here on.
        _ = try Self.enable(tables, "things", "one")
        try tables.delete("things", "0")
        let again = try ids("one", 41)
        #expect(again == [0] + Array(0..<40), "\(again)")
        let removed = try #require(try tables.published("two", count: 22).first { $0.value["eventName"] == "REMOVE" }?.value)
        #expect(removed["dynamodb"]?["OldImage"] == ["id": ["S": "0"]])
        #expect(removed["dynamodb"]?["NewImage"] == nil)
    }

    @Test func changesByTheServiceSaySo() throws {
        let tables = try StreamedTables()
        try tables.create("things")
        try tables.log?.createStream("s")
        _ = try Self.enable(tables, "things", "s")
        try tables.call("UpdateTimeToLive", ["TableName": "things", "TimeToLiveSpecification": ["AttributeName": "until", "Enabled": true]])
        try tables.put("things", ["id": ["S": "a"], "until": ["N": .string("\(tables.clock.host.now() / 1_000 + 60)")]])
        tables.clock.advance(seconds: 120)
        let published = try tables.published("s", count: 2)
        #expect(published.map { $0.value["eventName"]?.string } == ["INSERT", "REMOVE"])
        #expect(published.last?.value["userIdentity"] == ["type": "Service", "principalId": "dynamodb.amazonaws.com"])
    }

    @Test func mistakesAreAnswered() throws {
        let tables = try StreamedTables()
        try tables.create("things")
        try tables.log?.createStream("s")
        func message(_ operation: String, _ more: [String: AWSValue]) -> String? {
            refusal { try tables.call(operation + "KinesisStreamingDestination", .map(["TableName": "things"].merging(more) { $1 })) }
        }
        let state = "Table is not in a valid state to enable Kinesis Streaming Destination: "
        #expect(message("Enable", ["StreamArn": Self.arn("none")])?.contains("none does not exist in account 000000000000 and region us-east-1") == true)
        #expect(message("Enable", ["StreamArn": "arn:aws:dynamodb:us-east-1:000000000000:table/x"])?.hasPrefix("Invalid StreamArn: ") == true)
        #expect(message("Disable", ["StreamArn": Self.arn("s")]) == state + "KinesisStreamingDestination must be ACTIVE to perform DISABLE operation.")
        _ = try Self.enable(tables, "things", "s")
        #expect(message("Enable", ["StreamArn": Self.arn("s")])
            == state + "EnableKinesisStreamingDestination must be DISABLED or ENABLE_FAILED to perform ENABLE operation.")
        #expect(message("Update", ["StreamArn": Self.arn("s")])
            == "Streaming destination cannot be updated with given parameters: UpdateKinesisStreamingConfiguration cannot be null or contain only null values")
        let milliseconds: AWSValue = ["ApproximateCreationDateTimePrecision": "MILLISECOND"], microseconds: AWSValue = ["ApproximateCreationDateTimePrecision": "MICROSECOND"]
        #expect(message("Update", ["StreamArn": Self.arn("s"), "UpdateKinesisStreamingConfiguration": milliseconds])?
            .hasPrefix("Invalid Request: Precision is already set to the desired value of MILLISECOND for tableId: ") == true)
        #expect(message("Update", ["StreamArn": Self.arn("s"), "UpdateKinesisStreamingConfiguration": microseconds]) == nil)
        #expect(try Self.destinations(tables, "things")[0]["ApproximateCreationDateTimePrecision"] == "MICROSECOND")
        // A stream that goes away and comes back: what was changed in between is kept for it.
        try tables.log?.deleteStream("s")
        try tables.put("things", ["id": ["S": "a"]])
        try eventually("the problem's text") { try Self.destinations(tables, "things")[0]["DestinationStatusDescription"]?.string?.contains("s does not exist") == true
            || Self.destinations(tables, "things")[0]["DestinationStatusDescription"]?.string?.contains("deleted") == true }
        try tables.log?.createStream("s")
        #expect(try tables.published("s", count: 1).count == 1)
    }

    /// A disk of the log that dies in the middle of some call, before or after doing what it was asked to.
    private final class DyingDisk: Sendable {
        /// Calls until it dies; negative when it is dead.
        private let left: Mutex<Int>
        private let isDoneFirst: Bool

        init(after calls: Int, isDoneFirst: Bool) {
            left = Mutex(calls)
            self.isDoneFirst = isDoneFirst
        }

        /// Whether this call still does its work, and whether it says so.
        private func next() -> (works: Bool, tells: Bool) {
            left.withLock { left in
                left -= 1
                return left > 0 ? (true, true) : (left == 0 && isDoneFirst, false)
            }
        }

        var host: StreamCore.Host {
            var host = StreamCore.Host.system
            host.write = { [self] fd, bytes, count, offset in
                let call = next()
                let written = call.works ? StreamCore.Host.system.write(fd, bytes, count, offset) : 0
                if call.tells { return written }
                errno = EIO
                return -1
            }
            host.sync = { [self] fd in
                let call = next()
                let result = call.works ? StreamCore.Host.system.sync(fd) : 0
                if call.tells { return result }
                errno = EIO
                return -1
            }
            return host
        }
    }

    @Test func everyChangeIsPublishedOnceWheneverPublishingDies() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var generator = Generator(seed)
        let tables = try StreamedTables()
        try tables.create("things")
        try tables.log?.createStream("s", shards: 4)
        _ = try Self.enable(tables, "things", "s")
        var versions: [Int: Int] = [:], changes = 0
        for _ in 0..<15 {
            let disk = DyingDisk(after: Int.random(in: 1...40, using: &generator), isDoneFirst: Bool.random(using: &generator))
            try tables.reopen(logHost: disk.host)
            for _ in 0..<12 {
                let id = Int.random(in: 0..<8, using: &generator)
                versions[id, default: 0] += 1
                changes += 1
                try tables.put("things", ["id": ["S": .string("\(id)")], "version": ["N": .string("\(versions[id]!)")]])
            }
        }
        try tables.reopen()
        try eventually("publishing") {
            try tables.service.store.read {
                try Bool.fetchOne($0, sql: "SELECT pending IS NULL AND position = (SELECT sequence FROM change_state) FROM destinations")!
            }
        }
        let published = try tables.published("s", count: changes)
        #expect(published.count == changes, "seed \(seed)")
        var seen: [String: Int] = [:]
        for record in published {
            let image = record.value["dynamodb"]?["NewImage"]
            let id = image?["id"]?["S"]?.string ?? "", version = Int(image?["version"]?["N"]?.string ?? "")
            #expect(version == seen[id, default: 0] + 1, "seed \(seed) id \(id)")
            seen[id] = version
        }
        #expect(seen == Dictionary(uniqueKeysWithValues: versions.map { ("\($0.key)", $0.value) }), "seed \(seed)")
        #expect(Set(published.map { $0.value["eventID"]?.string }).count == changes)
        // What has gone out is not kept, as there is no stream to read it.
        #expect(try tables.service.store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM changes") } == 0)
    }
}
