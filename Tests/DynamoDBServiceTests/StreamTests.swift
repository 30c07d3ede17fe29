import AWSProtocol
import Testing

@testable import DynamoDBService

struct StreamTests {
    @Test(arguments: ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]) func viewsShowTheirImages(_ view: String) throws {
        let tables = try StreamedTables()
        let arn = try tables.create("things", view: view)
        let (first, second): (AWSValue, AWSValue) = (
            ["id": ["S": "a"], "n": ["N": "101"], "b": ["B": "AAE="]], ["id": ["S": "a"], "n": ["N": "102"], "s": ["SS": ["x", "y"]]])
        try tables.put("things", first)
        try tables.put("things", first)
        try tables.put("things", second)
        // The same set in another order is the same item.
        try tables.put("things", ["id": ["S": "a"], "n": ["N": "102.0"], "s": ["SS": ["y", "x"]]])
        try tables.call("UpdateItem", ["TableName": "things", "Key": ["id": ["S": "a"]], "UpdateExpression": "REMOVE absent"])
        try tables.delete("things", "a")
        try tables.delete("things", "a")
        let records = try tables.records(arn)
        #expect(records.map { $0["eventName"]?.string } == ["INSERT", "MODIFY", "REMOVE"])
        let images: [(old: AWSValue?, new: AWSValue?)] = [(nil, first), (first, second), (second, nil)]
        let (showsOld, showsNew) = (view.contains("OLD"), view.contains("NEW"))
        let sizes = [(0, 10), (10, 10), (10, 0)]
        for (i, record) in records.enumerated() {
            let change = try #require(record["dynamodb"])
            #expect(change["Keys"] == ["id": ["S": "a"]])
            #expect(try change["OldImage"].map { try Item($0) } == (showsOld ? images[i].old : nil).map { try Item($0) })
            #expect(try change["NewImage"].map { try Item($0) } == (showsNew ? images[i].new : nil).map { try Item($0) })
            #expect(change["StreamViewType"]?.string == view)
            #expect(change["SizeBytes"]?.integer == 3 + (showsOld ? sizes[i].0 : 0) + (showsNew ? sizes[i].1 : 0), "\(record)")
            #expect(record["eventVersion"] == "1.1")
            #expect(record["eventSource"] == "aws:dynamodb")
            #expect(record["awsRegion"] == "us-east-1")
            #expect(record["eventID"]?.string?.utf8.count == 32)
            #expect(record["userIdentity"] == nil)
        }
        #expect(Set(records.map { $0["eventID"]?.string }).count == 3)
        #expect(try tables.records(arn) == records)
    }

    @Test func readersStartWhereTheySay() throws {
        let tables = try StreamedTables()
        let arn = try tables.create("things", view: "KEYS_ONLY")
        // Changes of another table stand in between.
        try tables.create("others", view: "KEYS_ONLY")
        func put(_ ids: ClosedRange<Int>) throws {
            for i in ids {
                try tables.put("others", ["id": ["S": .string("x\(i)")]])
                try tables.put("things", ["id": ["S": .string("\(i)")]])
            }
        }
        func ids(_ answer: AWSValue) -> [String] { (answer["Records"]?.list ?? []).map { $0["dynamodb"]?["Keys"]?["id"]?["S"]?.string ?? "" } }
        let latest = try tables.iterator(arn, "LATEST")
        try put(1...6)
        let all = try tables.records(arn)
        let numbers = all.map { $0["dynamodb"]!["SequenceNumber"]! }
        #expect(numbers.compactMap(\.string) == numbers.compactMap(\.string).sorted())
        #expect(ids(try tables.call("GetRecords", ["ShardIterator": latest])) == ["1", "2", "3", "4", "5", "6"])
        #expect(ids(try tables.call("GetRecords", ["ShardIterator": try tables.iterator(arn, "AT_SEQUENCE_NUMBER", sequence: numbers[3])])) == ["4", "5", "6"])
        #expect(ids(try tables.call("GetRecords", ["ShardIterator": try tables.iterator(arn, "AFTER_SEQUENCE_NUMBER", sequence: numbers[3])])) == ["5", "6"])
        // A part at a time, with the service opened again in between.
        var iterator = try tables.iterator(arn), read: [String] = []
        for _ in 0..<3 {
            let part = try tables.call("GetRecords", ["ShardIterator": iterator, "Limit": 2])
            read += ids(part)
            iterator = try #require(part["NextShardIterator"])
            try tables.reopen()
        }
        #expect(read == ["1", "2", "3", "4", "5", "6"])
        try put(7...8)
        let rest = try tables.call("GetRecords", ["ShardIterator": iterator])
        #expect(ids(rest) == ["7", "8"])
        // A stream that is switched off stays readable to its end.
        try tables.call("UpdateTable", ["TableName": "things", "StreamSpecification": ["StreamEnabled": false]])
        try put(9...9)
        let end = try tables.call("GetRecords", ["ShardIterator": rest["NextShardIterator"]!])
        #expect(ids(end) == [])
        #expect(end["NextShardIterator"] == nil)
        let range = try #require(try tables.shard(arn)?["SequenceNumberRange"])
        #expect(range["EndingSequenceNumber"] != nil)
        let other = try tables.call("UpdateTable", [
            "TableName": "things", "StreamSpecification": ["StreamEnabled": true, "StreamViewType": "NEW_IMAGE"],
        ])["TableDescription"]?["LatestStreamArn"]?.string ?? ""
        #expect(other != arn)
        try put(10...10)
        #expect(try tables.records(other).count == 1)
        let streams = try tables.call("ListStreams", ["TableName": "things"])["Streams"]?.list ?? []
        #expect(streams.compactMap { $0["StreamArn"]?.string } == [arn, other])
        let page = try tables.call("ListStreams", ["Limit": 2])
        #expect(page["Streams"]?.list?.count == 2)
        #expect(try tables.call("ListStreams", ["ExclusiveStartStreamArn": page["LastEvaluatedStreamArn"]!])["Streams"]?.list?.count == 1)
        #expect(try tables.call("DescribeStream", ["StreamArn": .string(arn)])["StreamDescription"]?["StreamStatus"] == "DISABLED")
        #expect(try tables.call("DescribeStream", ["StreamArn": .string(other)])["StreamDescription"]?["StreamStatus"] == "ENABLED")
        // So does that of a table that is gone.
        try tables.call("DeleteTable", ["TableName": "things"])
        #expect(try tables.records(other).count == 1)
    }

    @Test func whatFailsLeavesNoRecord() throws {
        let tables = try StreamedTables()
        let arn = try tables.create("things", view: "NEW_AND_OLD_IMAGES")
        func put(_ id: String) -> AWSValue { ["Put": ["TableName": "things", "Item": ["id": ["S": .string(id)]]]] }
        let check: AWSValue = ["ConditionCheck": ["TableName": "things", "Key": ["id": ["S": "z"]], "ConditionExpression": "attribute_exists(id)"]]
        #expect(throws: AWSError.self) { try tables.call("TransactWriteItems", ["TransactItems": [put("a"), put("b"), check]]) }
        #expect(try tables.records(arn).isEmpty)
        try tables.call("TransactWriteItems", ["TransactItems": [put("a"), put("b")]])
        #expect(try tables.records(arn).count == 2)
    }

    @Test func itemsThatExpireAreRemovedByTheService() throws {
        let tables = try StreamedTables()
        let arn = try tables.create("things", view: "OLD_IMAGE")
        try tables.call("UpdateTimeToLive", ["TableName": "things", "TimeToLiveSpecification": ["AttributeName": "until", "Enabled": true]])
        let until = tables.clock.host.now() / 1_000 + 3_600
        try tables.put("things", ["id": ["S": "a"], "until": ["N": .string("\(until)")]])
        try tables.put("things", ["id": ["S": "b"], "until": ["N": .string("\(until)")]])
        try tables.delete("things", "b")
        tables.clock.advance(seconds: 7_200)
        try eventually("the removal") { try tables.records(arn).count == 4 }
        let identities = try tables.records(arn).filter { $0["eventName"] == "REMOVE" }.map { $0["userIdentity"] }
        #expect(identities == [nil, ["PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"]])
    }

    @Test func recordsAreKeptForADayAndIteratorsForAQuarterOfAnHour() throws {
        let tables = try StreamedTables()
        let arn = try tables.create("things", view: "KEYS_ONLY")
        try tables.put("things", ["id": ["S": "old"]])
        let first = try #require(try tables.records(arn).first?["dynamodb"]?["SequenceNumber"])
        let iterator = try tables.iterator(arn)
        tables.clock.advance(seconds: 16 * 60)
        #expect(refusalType { try tables.call("GetRecords", ["ShardIterator": iterator]) } == "ExpiredIteratorException")
        tables.clock.advance(seconds: 24 * 3_600)
        let horizon = try tables.iterator(arn)
        try tables.put("things", ["id": ["S": "new"]])
        try tables.reopen()
        try eventually("trimming") { try tables.records(arn).count == 1 }
        #expect(try tables.records(arn)[0]["dynamodb"]?["Keys"] == ["id": ["S": "new"]])
        #expect(refusalType { try tables.iterator(arn, "AT_SEQUENCE_NUMBER", sequence: first) } == "TrimmedDataAccessException")
        #expect(refusalType { try tables.call("GetRecords", ["ShardIterator": horizon]) } == "TrimmedDataAccessException")
        #expect(try tables.call("GetRecords", ["ShardIterator": try tables.iterator(arn, "AFTER_SEQUENCE_NUMBER", sequence: first)])["Records"]?.list?.count == 1)
        // Streams that were closed longer ago are gone.
        try tables.call("UpdateTable", ["TableName": "things", "StreamSpecification": ["StreamEnabled": false]])
        tables.clock.advance(seconds: 25 * 3_600)
        try tables.reopen()
        try eventually("the end of the stream") { try tables.call("ListStreams", [:])["Streams"]?.list?.isEmpty == true }
        #expect(refusalType { try tables.shard(arn) } == "ResourceNotFoundException")
    }

    @Test func mistakesAreAnswered() throws {
        let tables = try StreamedTables()
        let arn = try tables.create("things", view: "KEYS_ONLY")
        let shard = try #require(try tables.shard(arn)?["ShardId"])
        let stranger = "arn:aws:dynamodb:us-east-1:000000000000:table/none/stream/2020-01-01T00:00:00.000"
        for (operation, input, type) in [
            ("DescribeStream", [:], "ValidationException"), ("DescribeStream", ["StreamArn": "short"], "ValidationException"),
            ("DescribeStream", ["StreamArn": .string(stranger)], "ResourceNotFoundException"),
            ("DescribeStream", ["StreamArn": .string(arn), "ShardFilter": ["Type": "CHILD_SHARDS"]], "ValidationException"),
            ("GetShardIterator", ["StreamArn": .string(arn), "ShardId": shard, "ShardIteratorType": "AT_SEQUENCE_NUMBER"], "ValidationException"),
            ("GetShardIterator", ["StreamArn": .string(arn), "ShardId": shard, "ShardIteratorType": "SOMEWHERE"], "ValidationException"),
            ("GetShardIterator", ["StreamArn": .string(arn), "ShardId": "shardId-00000000000000000000-00000000", "ShardIteratorType": "LATEST"],
             "ResourceNotFoundException"),
            ("GetShardIterator",
             ["StreamArn": .string(arn), "ShardId": shard, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "999999999999999999999"], "ValidationException"),
            ("GetRecords", ["ShardIterator": "nonsense"], "ValidationException"),
            ("GetRecords", ["ShardIterator": .string("\(arn)|1|AAAAAAAAAA==")], "ValidationException"),
            ("GetRecords", ["ShardIterator": try tables.iterator(arn), "Limit": 1_001], "ValidationException"),
            ("GetRecords", ["ShardIterator": 1], "SerializationException"), ("ListStreams", ["Limit": 0], "ValidationException"), ("ListStreams", ["TableName": "a!"], "ValidationException"),
        ] as [(String, AWSValue, String)] {
            #expect(refusalType { try tables.call(operation, input) } == type, "\(operation) \(input)")
        }
        #expect(try tables.call("DescribeStream", ["StreamArn": .string(arn), "ShardFilter": ["Type": "CHILD_SHARDS", "ShardId": shard]])["StreamDescription"]?["Shards"] == [])
    }
}

/// The type of the error with which something is refused.
func refusalType(_ body: () throws -> some Any) -> String? {
    do {
        _ = try body()
        return nil
    } catch let error as AWSError {
        return error.type
    } catch {
        return "\(error)"
    }
}
