import Foundation
import ObjectStore
import StreamCore
import Testing
import TestScripts

@testable import HudiTable
@testable import LakeTable

@Suite("Hudi tables on an object store", .serialized) final class S3Tests {
    let server: S3Server
    static let columns = ["id", "city", "amount"]

    init() throws { server = try S3Server() }
    deinit { server.end() }

    /// A table at `s3://lake/name` and, for tests, what the job of it should give.
    private func job(_ name: String, seed: UInt64, _ more: [String: String] = [:], insert: Bool = false, reached: @escaping @Sendable (WriteStep) throws -> Void = { _ in }) -> CheckpointJob {
        CheckpointJob.random("s3://lake/\(name)", seed: seed, connector: HudiConnector(reached: reached), insert: insert, global: true, ordered: !insert,
                             options: server.options.merging(["clean.retain_commits": "2"]) { $1 }.merging(more) { $1 })
    }

    /// Read by hudi-rs from the object store, by DuckDB and by the checker of tables.
    private func expectOthersRead(_ name: String, _ rows: [[Value]], _ what: String, sourceLocation: Testing.SourceLocation = #_sourceLocation) throws {
        let answer = try PythonScript.answer("s3/read_hudi.py", ["s3://lake/\(name)", Self.columns.joined(separator: ",")], environment: server.environment) as! [String: Any]
        #expect(answer["hudi"] as? Int == rows.count, "\(what)", sourceLocation: sourceLocation)
        #expect(answer["duckdb"] as? Int == rows.count, "\(what)", sourceLocation: sourceLocation)
        #expect((answer["check"] as? String ?? "").hasPrefix("ok"), "\(what): \(answer["check"] ?? "")", sourceLocation: sourceLocation)
        func text(_ value: Value) -> String {
            switch value {
            case .string(let text): text
            case .int(let n): String(n)
            case .null: "None"
            default: "\(value)"
            }
        }
        let theirs = (answer["rows"] as? [[String]] ?? []).map { $0.joined(separator: "|") }.sorted()
        #expect(theirs == rows.map { $0.prefix(3).map(text).joined(separator: "|") }.sorted(), "\(what)", sourceLocation: sourceLocation)
    }

    @Test("upserts over several commits and restarts are read back by us, hudi-rs and DuckDB", arguments: [false, true])
    func commits(insert: Bool) throws {
        var job = job("plain-\(insert)", seed: insert ? 4 : 7, insert: insert)
        try job.start()
        for round in 0..<6 {
            try job.write()
            try job.write()
            try job.prepare()
            job.complete()
            try job.commit()
            if round == 2 {
                job.crash()
                try job.start()
            }
            #expect(try job.table.read().canonical == job.expected.rows.canonical, "round \(round)")
        }
        try job.finish()
        #expect(try job.table.read().canonical == job.expected.rows.canonical)
        try expectOthersRead("plain-\(insert)", job.expected.rows, "after the end")
    }

    @Test("a store that dies at any request, with and without an answer, loses and repeats nothing", arguments: [UInt64(3), 8])
    func deaths(seed: UInt64) throws {
        let script: [(inout CheckpointJob) throws -> Void] = [
            { try $0.start() }, { try $0.write() }, { try $0.prepare() }, { $0.complete() }, { try $0.commit() }, { try $0.write() }, { try $0.prepare() }, { $0.complete() },
            { try $0.commit() }, { try $0.write() }, { try $0.prepare() }, { $0.giveUp() }, { try $0.write() }, { try $0.finish() },
        ]
        var dieAt = 3 + Int(seed) % 5, deaths = 0
        while true {
            let name = "death-\(seed)-\(dieAt)"
            var job = job(name, seed: seed, ["s3.retry.attempts": "1", "clean.retain_commits": "1"])
            try server.control(["die": dieAt])
            var died = false
            do { for step in script { try step(&job) } } catch is StreamError { died = true }
            job.crash()
            try server.control(["die": NSNull(), "delete": "\(name)/.hoodie/.swiftwater.lock"])
            guard died else { break }
            deaths += 1
            try job.start()
            if job.manifests.count > 1 { #expect(try job.table.read().canonical == job.manifests.last!.expected.rows.canonical, "\(name)") }
            while job.position < 5 { try job.write() }
            try job.finish()
            #expect(try job.table.read().canonical == job.expected.rows.canonical, "\(name)")
            if deaths % 4 == 1 { try expectOthersRead(name, job.expected.rows, name) }
            dieAt += CrashTests.thorough ? 1 : 37
        }
        #expect(deaths > 2)
    }

    @Test("answers that are lost on the way of a commit change nothing")
    func lostAnswers() throws {
        for key in [".commit", ".inflight", ".parquet", "hoodie.properties", ".marker", ".swiftwater.lock"] {
            let name = "lost\(key.replacing(".", with: "-"))"
            var job = job(name, seed: 11)
            try server.control(["drop": "PutObject", "key": key, "times": 3])
            try job.start()
            for _ in 0..<3 {
                try job.write()
                try job.prepare()
                job.complete()
                try job.commit()
            }
            try job.stop()
            #expect(try server.control()["dropped"] as? Int ?? 0 > 0, "\(key)")
            #expect(try job.table.read().canonical == job.expected.rows.canonical, "\(key)")
            try server.reset()
        }
    }

    @Test("a second writer is told who holds the lock, and one whose lock was taken over commits nothing")
    func writers() throws {
        var first = job("two", seed: 5, ["s3.lock.lease": "5 s"])
        try ObjectLease.$renews.withValue(false) { try first.start() }
        try first.write()
        var second = job("two", seed: 6, ["s3.lock.lease": "5 s"])
        let error = #expect(throws: StreamError.self) { try second.start() }
        #expect(error?.code == .conflict && error!.problem.contains("its lock is held by process \(getpid()) on ") && error!.problem.contains(" until 20"), "\(String(describing: error))")
        try first.prepare()
        first.complete()
        // Nobody renews it: it runs out, and the second writer takes it over and undoes what the first one prepared.
        let end = Clock.milliseconds() + 60_000
        while true {
            do {
                try second.start()
                break
            } catch let error as StreamError where error.code == .conflict && Clock.milliseconds() < end { continue }
        }
        try second.write()
        try second.prepare()
        second.complete()
        try second.commit()
        let late = #expect(throws: StreamError.self) { try first.commit() }
        #expect(late?.code == .conflict && late!.problem.contains("has lost the lock") && late!.problem.contains("took it over"), "\(String(describing: late))")
        let later = #expect(throws: StreamError.self) {
            try first.write()
            try first.prepare()
        }
        #expect(later?.code == .conflict, "\(String(describing: later))")
        first.crash()
        try second.write()
        try second.finish()
        #expect(try second.table.read().canonical == second.expected.rows.canonical)
        try expectOthersRead("two", second.expected.rows, "second writer")
    }

    @Test("nothing is written by one whose lock was taken over")
    func zombie() throws {
        let table = TableDescriptor(name: "t", schema: [], options: server.options.merging(["s3.lock.lease": "5 s"]) { $1 })
        let first = try TableFiles(path: "s3://lake/zombie", table: table), second = try TableFiles(path: "s3://lake/zombie", table: table)
        let lost = try ObjectLease.$renews.withValue(false) { try TableLock(first) }
        try first.publish("a", [1])
        let end = Clock.milliseconds() + 60_000
        var taken: TableLock?
        while taken == nil {
            do { taken = try TableLock(second) } catch let error as StreamError where error.code == .conflict && Clock.milliseconds() < end { continue }
        }
        for write in [{ try first.publish("b", [2]) }, { try first.remove("a") }, { try first.touch("c") }, { try first.removeTree("") }] {
            let error = #expect(throws: StreamError.self) { try write() }
            #expect(error?.code == .conflict && error!.problem.contains("has lost the lock of table s3://lake/zombie") && error!.problem.contains("took it over"), "\(String(describing: error))")
        }
        try second.publish("b", [3])
        #expect(try second.names(in: "").filter { !$0.hasPrefix(".") } == ["a", "b"])
        withExtendedLifetime((lost, taken)) {}
    }

    @Test("what is wrong with a path or a key is said, and no secret")
    func errors() throws {
        func problem(_ path: String, _ options: [String: String]) throws -> StreamError {
            let table = TestTable(path, schema: UpsertTests.schema, key: ["id"], partitions: ["city"], options: options)
            return try #require(#expect(throws: StreamError.self) { _ = try table.read() })
        }
        #expect(try problem("s3://lake/none", server.options).problem.contains("there is no Hudi table at s3://lake/none"))
        let wrong = try problem("s3://lake/none", server.options.merging(["s3.secret-key": "wr0ng"]) { $1 })
        #expect(wrong.problem.contains("SignatureDoesNotMatch") && !"\(wrong)".contains("wr0ng"))
        #expect(try problem("s3://missing-bucket/none", server.options).problem.contains("NoSuchBucket"))
        #expect(try problem("gs://lake/none", [:]).problem.contains("tables on gs: are not supported"))
    }

    @Test("a commit takes few requests, and a table of many files is listed in one sweep")
    func requests() throws {
        var job = job("few", seed: 2, ["write.parquet.max.file.size": "40 kb"])
        try job.start()
        for _ in 0..<3 {
            try job.write()
            try job.prepare()
            job.complete()
            try job.commit()
        }
        try server.reset()
        try job.write()
        try job.prepare()
        job.complete()
        try job.commit()
        let counts = try server.counts(), log = try server.log()
        let files = log.filter { $0.hasPrefix("PutObject") && $0.hasSuffix(".parquet") }.count
        print("requests of a commit of \(files) files: \(counts.values.reduce(0, +)) \(counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })")
        if ProcessInfo.processInfo.environment["SWIFTWATER_LOG_REQUESTS"] != nil { print(log.joined(separator: "\n")) }
        try job.stop()
        try server.reset()
        let rows = try job.table.read()
        #expect(rows.canonical == job.expected.rows.canonical)
        let reading = try server.counts()
        print("requests of a snapshot read: \(reading)")
        #expect(reading["ListObjectsV2"] ?? 0 <= 4)
    }

    @Test("large files are written in parts and read in ranges or as a whole")
    func large() throws {
        let schema: Schema = [Field("id", .bigint), Field("city", .string), Field("payload", .string)]
        var table = TestTable("s3://lake/large", schema: schema, key: ["id"], options: server.options.merging([
            "s3.multipart.size": "5 mb", "hoodie.parquet.compression.codec": "none", "write.operation": "upsert",
        ]) { $1 })
        var random = SeededGenerator(1)
        func rows(_ range: Range<Int>) -> [[Value]] {
            range.map { [.int(Int64($0)), .string("oslo"), .string(String((0..<200).map { _ in Character(UnicodeScalar(UInt8(97 + random.next() % 26))) }))] }
        }
        let first = rows(0..<60_000), second = rows(59_990..<60_010)
        try server.reset()
        try table.commit(first)
        #expect(try server.counts()["UploadPart"] ?? 0 >= 3)
        try server.reset()
        // The merge reads all columns: the file comes as a whole.
        try table.commit(second)
        let expected = Array(first[0..<59_990]) + second
        #expect(try table.read().canonical == expected.canonical)
        try server.reset()
        let ids = try table.read(ScanRequest(projection: [0]))
        #expect(Set(ids.map { "\($0[0])" }).count == 60_010)
        let counts = try server.counts()
        #expect(counts["GetObject"] ?? 0 < 12, "\(counts)")
        table.descriptor.options["s3.spool-directory"] = NSTemporaryDirectory()
        #expect(try Host.names(in: NSTemporaryDirectory()).filter { $0.hasPrefix("swiftwater-spool-\(getpid())-") } == [])
    }
}
