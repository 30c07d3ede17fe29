import AWSProtocol
import Foundation
import GRDB
import Synchronization
import Testing

@testable import DynamoDBService

@Suite struct StoreTests {
    @Test func `a crash at any moment leaves what was acknowledged, and transactions whole`() throws {
        let tables = try TestTables()
        try tables.ask("CreateTable", plainTable("crash"))
        // While a reader looks at the file as it was, the log only grows: a copy of both is what a crash leaves.
        let opened = DispatchSemaphore(value: 0), done = DispatchSemaphore(value: 0), closed = DispatchSemaphore(value: 0)
        let service = tables.service
        Thread.detachNewThread {
            try? service.store.pool.read { db in
                _ = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM items")
                opened.signal()
                done.wait()
            }
            closed.signal()
        }
        opened.wait()
        let acknowledged = Mutex<[Int]>([]), isStopped = Mutex(false), ended = DispatchGroup()
        for writer in 0..<6 {
            ended.enter()
            Thread.detachNewThread {
                for i in 0..<10_000 where !isStopped.withLock({ $0 }) {
                    let n = writer * 10_000 + i
                    let items: [AWSValue] = (0..<3).map { part in
                        ["Put": ["TableName": "crash", "Item": ["pk": ["S": .string("\(n)/\(part)")], "v": ["N": .string("\(n)")]]]]
                    }
                    guard (try? service.ask("TransactWriteItems", ["TransactItems": .list(items)])) != nil else { continue }
                    acknowledged.withLock { $0.append(n) }
                }
                ended.leave()
            }
        }
        for copy in 0..<6 {
            let deadline = Date().addingTimeInterval(20)
            while acknowledged.withLock({ $0.count }) < 15 * (copy + 1), Date() < deadline { usleep(1_000) }
            let wanted = acknowledged.withLock { $0 }
            #expect(wanted.count >= 15 * (copy + 1))
            let crashed = tables.directory + "-copy\(copy)"
            try FileManager.default.createDirectory(atPath: crashed, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: crashed) }
            for file in ["tables.sqlite", "tables.sqlite-wal"] {
                try FileManager.default.copyItem(atPath: tables.directory + "/" + file, toPath: crashed + "/" + file)
            }
            let reopened = try DynamoDBService(directory: crashed)
            defer { reopened.close() }
            var found: [Int: Int] = [:], start: AWSValue?
            repeat {
                var input: [String: AWSValue] = ["TableName": "crash"]
                input["ExclusiveStartKey"] = start
                let page = try reopened.ask("Scan", .map(input))
                for item in page["Items"]?.list ?? [] { found[Int(item["v"]?["N"]?.string ?? "") ?? -1, default: 0] += 1 }
                start = page["LastEvaluatedKey"]
            } while start != nil
            #expect(wanted.allSatisfy { found[$0] == 3 })
            #expect(found.values.allSatisfy { $0 == 3 })
            #expect(try reopened.ask("DescribeTable", ["TableName": "crash"])["Table"]?["ItemCount"]?.integer == 3 * found.count)
        }
        isStopped.withLock { $0 = true }
        ended.wait()
        done.signal()
        closed.wait()
    }

    @Test func `writes that wait together share commits`() throws {
        let tables = try TestTables()
        try tables.ask("CreateTable", plainTable("shared"))
        let service = tables.service, group = DispatchGroup(), failures = Mutex<[String]>([])
        let before = service.store.commitCount
        for writer in 0..<32 {
            group.enter()
            Thread.detachNewThread {
                for i in 0..<20 {
                    do {
                        try service.ask("PutItem", ["TableName": "shared", "Item": ["pk": ["S": .string("\(writer)-\(i)")]]])
                    } catch {
                        failures.withLock { $0.append("\(error)") }
                    }
                }
                group.leave()
            }
        }
        group.wait()
        #expect(failures.withLock { $0 } == [])
        #expect(try tables.ask("Scan", ["TableName": "shared", "Select": "COUNT"])["Count"]?.integer == 640)
        let transactions = service.store.commitCount - before
        #expect(transactions < 400, "640 writes took \(transactions) commits")
    }

    @Test func `keys keep their order as bytes`() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SplitMix(state: seed)
        for _ in 0..<2_000 {
            let values = (0..<2).map { _ in "\(Int64.random(in: -1_000...1_000, using: &random)).\(Int.random(in: 1...99, using: &random))" }
            let numbers = try values.map { try DynamoNumber(parsing: $0) }
            let order = Double(values[0])! < Double(values[1])!
            #expect(numbers[0].orderedBytes.lexicographicallyPrecedes(numbers[1].orderedBytes) == order, "\(values), seed \(seed)")
            // Several attributes order one after another, whatever bytes they have.
            let parts = (0..<2).map { _ in (0..<2).map { _ in (0..<Int.random(in: 0...3, using: &random)).map { _ in UInt8.random(in: 0...2, using: &random) } } }
            let joined = parts.map { KeyEncoding.ended($0[0]) + $0[1] }
            let wanted = parts[0][0] == parts[1][0]
                ? parts[0][1].lexicographicallyPrecedes(parts[1][1]) : parts[0][0].lexicographicallyPrecedes(parts[1][0])
            #expect(joined[0].lexicographicallyPrecedes(joined[1]) == wanted, "\(parts), seed \(seed)")
        }
    }

    @Test func `what was begun goes on after a restart`() throws {
        let tables = try TestTables { $0.sweepSeconds = 1_000 }
        try tables.ask("CreateTable", plainTable("old"))
        for i in 0..<30 { try tables.ask("PutItem", ["TableName": "old", "Item": ["pk": ["S": .string("\(i)")], "g": ["S": "x"]]]) }
        // As if the server had died between the beginning and the end of an index and of a removal.
        let store = tables.service.store
        try store.transact { transaction in
            let table = transaction.catalog.tables.values.first!
            let key = KeySchema(hash: [KeyAttribute(name: "g", type: .s)], range: [])
            let id = try transaction.nextID()
            try transaction.put(table.changed {
                $0.attributes.append(key.hash[0])
                $0.globals = [IndexDefinition(id: id, name: "late", key: key, projection: Projection(kind: .all), isBackfilling: true, isLocal: false)]
            })
        }
        #expect(throws: AWSError.validation("Cannot read from backfilling global secondary index: late")) {
            try tables.ask("Scan", ["TableName": "old", "IndexName": "late"])
        }
        let copy = tables.directory + "-copy"
        defer { try? FileManager.default.removeItem(atPath: copy) }
        try FileManager.default.copyItem(atPath: tables.directory, toPath: copy)
        let reopened = try DynamoDBService(directory: copy)
        defer { reopened.close() }
        let deadline = Date().addingTimeInterval(20)
        while Date() < deadline, reopened.store.tables[0].definition.globals[0].isBackfilling { usleep(2_000) }
        let found = try reopened.ask("Query", [
            "TableName": "old", "IndexName": "late", "KeyConditionExpression": "g = :g", "ExpressionAttributeValues": [":g": ["S": "x"]],
        ])
        #expect(found["Count"]?.integer == 30)
        try reopened.ask("DeleteTable", ["TableName": "old"])
        while Date() < deadline, try reopened.store.read({ try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM items") }) != 0 { usleep(2_000) }
        #expect(try reopened.store.read { try Int.fetchOne($0, sql: "SELECT (SELECT COUNT(*) FROM items) + (SELECT COUNT(*) FROM dropped)") } == 0)
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
