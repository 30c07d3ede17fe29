import Foundation
import StreamCore
import Testing
import TestScripts

@testable import ObjectStore

@Suite("The S3 client against a local server", .serialized) final class ClientTests {
    let server: S3Server
    let client: S3Client

    init() throws {
        server = try S3Server()
        client = try server.client()
    }

    deinit { server.end() }

    @Test("objects are put, read in whole and in parts, looked at and deleted, whatever their keys are made of")
    func objects() throws {
        for key in ["plain", "a b/c+d&e=f.txt", "day=2026-11-21/é€😀", "percent%20/%2F", "a/b/c~d-e_f.g", "'quotes\"<&>", "x=1/*?#[]"] {
            let bytes = noise(5_000, seed: 7)
            #expect(try client.get(key) == nil)
            #expect(try client.head(key) == nil)
            let etag = try client.put(key, bytes)
            #expect(try client.get(key) == bytes, "\(key)")
            #expect(try client.head(key) == ObjectInfo(key: key, bytes: 5_000, etag: etag!))
            #expect(try Array(client.get(key, 10..<20)) == Array(bytes[10..<20]))
            let (tail, size) = try client.tail(key, 100)
            #expect(Array(tail) == Array(bytes.suffix(100)) && size == 5_000)
            #expect(try client.tail(key, 10_000).bytes == 5_000)
            #expect(try client.list(key).objects.map(\.key) == [key])
            try client.delete(key)
            try client.delete(key)
            #expect(try client.get(key) == nil)
        }
        _ = try client.put("empty", [])
        #expect(try client.get("empty") == [])
    }

    @Test("connections are kept")
    func reuse() throws {
        try server.reset()
        for i in 0..<20 { _ = try client.put("k\(i)", [1]) }
        let connections = try server.control()["connections"] as? Int ?? 99
        #expect(connections <= 3, "\(connections) connections for 20 requests")
    }

    @Test("a listing goes over pages, stops at folders, and leaves out what is not wanted")
    func listing() throws {
        try server.control(["objects": (0..<2_345).map { i in "t/\(i % 3 == 0 ? ".meta" : i % 3 == 1 ? "+p" : "q")/\(10_000 + i)" }])
        try server.reset()
        let all = try client.list("t/").objects
        #expect(all.count == 2_345)
        #expect(all.map(\.key) == all.map(\.key).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        #expect(try server.counts() == ["ListObjectsV2": 3])
        let level = try client.list("t/", byFolder: true)
        #expect(level.objects.isEmpty && level.folders == ["t/+p/", "t/.meta/", "t/q/"])
        var seen: [String] = []
        try client.sweep("t/", skip: { $0.hasPrefix("t/.meta/") ? "t/.meta0" : nil }) { seen.append($0.key) }
        #expect(seen == all.map(\.key).filter { !$0.hasPrefix("t/.meta/") })
        #expect(try client.hasAny("t/q/"))
        #expect(try !client.hasAny("t/r/"))
        try server.reset()
        try client.delete(all.map(\.key))
        #expect(try server.counts() == ["DeleteObjects": 3])
        #expect(try client.list("t/").objects.isEmpty)
    }

    @Test("of writers of one key exactly one wins")
    func conditional() throws {
        let etag = try client.put("c", [1], .absent(token: token()))
        #expect(etag != nil)
        #expect(try client.put("c", [2], .absent(token: token())) == nil)
        #expect(try client.get("c") == [1])
        let next = try client.put("c", [3], .unchanged(etag: etag!, token: token()))
        #expect(next != nil)
        #expect(try client.put("c", [4], .unchanged(etag: etag!, token: token())) == nil)
        #expect(try client.put("gone", [4], .unchanged(etag: etag!, token: token())) == nil)
        let calls = try (0..<8).map { i in try client.start(client.putRequest("race", [UInt8(i)], .absent(token: "t\(i)"))) }
        let wins = try calls.enumerated().filter { i, call in try client.putResult("race", .absent(token: "t\(i)"), call) != nil }.map(\.offset)
        #expect(wins.count == 1)
        #expect(try client.get("race") == wins.map { UInt8(truncatingIfNeeded: $0) })
    }

    @Test("a conditional write whose answer was lost is known as our own; that of another is not")
    func lostAnswers() throws {
        try server.dropAnswers("PutObject", key: "mine")
        #expect(try client.put("mine", [1], .absent(token: token())) != nil)
        #expect(try server.control()["dropped"] as? Int == 1)
        #expect(try client.put("mine", [1], .absent(token: token())) == nil)
        // Also where the content is the same: each has a token of its own.
        let etag = try client.head("mine")!.etag
        try server.dropAnswers("PutObject", key: "mine")
        let second = try client.put("mine", [2], .unchanged(etag: etag, token: token()))
        #expect(second != nil)
        #expect(try client.head("mine")?.etag == second)
        #expect(try client.put("mine", [3], .unchanged(etag: etag, token: token())) == nil)
        try server.dropAnswers("DeleteObject", key: "mine")
        try client.delete("mine")
        #expect(try client.head("mine") == nil)
    }

    @Test("large files go up and down in parts, under the same condition, and nothing is left of those given up")
    func uploads() throws {
        let bytes = noise((17 << 20) + 123, seed: 3), file = try TemporaryFile(bytes), small = try server.client(["s3.multipart.size": "5 mb"])
        try server.reset()
        let etag = try small.upload("big", file: file.path, .absent(token: token()))
        #expect(etag != nil)
        #expect(try server.counts() == ["CreateMultipartUpload": 1, "UploadPart": 4, "CompleteMultipartUpload": 1])
        let back = try TemporaryFile()
        try small.download("big", bytes: Int64(bytes.count), to: back.path)
        #expect(try back.bytes == bytes)
        #expect(try small.upload("big", file: file.path, .absent(token: token())) == nil)
        #expect(try small.head("big")?.etag == etag)
        for operation in ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"] {
            try server.reset()
            try server.dropAnswers(operation, key: "lost-\(operation)")
            try server.refuse("UploadPart", key: "lost-\(operation)")
            #expect(try small.upload("lost-\(operation)", file: file.path, .absent(token: token())) != nil, "\(operation)")
            #expect(try small.head("lost-\(operation)")?.bytes == Int64(bytes.count))
            #expect(try server.control()["dropped"] as? Int == 1)
        }
        try server.reset()
        let impatient = try server.client(["s3.multipart.size": "5 mb", "s3.retry.attempts": "2"])
        try server.refuse("UploadPart", key: "failing", times: 50)
        #expect(throws: StreamError.self) { try impatient.upload("failing", file: file.path) }
        #expect(try server.counts()["AbortMultipartUpload"] == 1)
        #expect(try client.head("failing") == nil)
    }

    @Test("a busy server is asked again, and not for ever")
    func retries() throws {
        try server.refuse("PutObject", key: "busy", times: 3)
        #expect(try client.put("busy", [1]) != nil)
        try server.reset()
        try server.refuse("GetObject", key: "busy", times: 99)
        let error = #expect(throws: StreamError.self) { try self.server.client(["s3.retry.attempts": "3"]).get("busy") }
        #expect(error?.code == .io && error!.problem.contains("SlowDown") && error!.problem.contains("3 attempts"), "\(String(describing: error))")
        #expect(try server.counts()["GetObject"] == 3)
    }

    @Test("errors say what to do and never show a secret")
    func errors() throws {
        func problem(_ options: [String: String], bucket: String = "lake") throws -> StreamError {
            try #require(#expect(throws: StreamError.self) { _ = try self.server.client(options, bucket: bucket).list("x") })
        }
        let wrongSecret = try problem(["s3.secret-key": "wr0ng-s3cret"])
        #expect(wrongSecret.code == .validate && wrongSecret.problem.contains("SignatureDoesNotMatch") && wrongSecret.fix!.contains("s3.secret-key"))
        #expect(!"\(wrongSecret)".contains("wr0ng"))
        #expect(try problem(["s3.access-key": "nobody"]).problem.contains("InvalidAccessKeyId"))
        let noBucket = try problem([:], bucket: "missing-bucket")
        #expect(noBucket.code == .validate && noBucket.problem.contains("NoSuchBucket") && noBucket.fix!.contains("create the bucket"))
        let nobody = try problem(["s3.endpoint": "http://127.0.0.1:1", "s3.retry.attempts": "2"])
        #expect(nobody.code == .io && nobody.problem.contains("http://127.0.0.1:1 does not answer") && nobody.problem.contains("2 attempts"))
        let options = try server.storeOptions()
        #expect(!"\(options) \(String(reflecting: options))".contains(S3Server.secret))
        var text = ""
        dump(options, to: &text)
        #expect(!text.contains(S3Server.secret))
    }

    @Test("a lock has one owner, who keeps it by renewing it and loses it when it does not")
    func lease() throws {
        var options = try server.storeOptions()
        options.lease = 1_000
        let client = try S3Client(bucket: "lake", options: options)
        func take(_ owner: String, renewing: Bool = true) throws -> ObjectLease {
            try ObjectLease.$renews.withValue(renewing) {
                try ObjectLease(client, key: "lock", what: "table s3://lake/t", owner: owner, now: { Clock.milliseconds() }, newToken: token)
            }
        }
        func takeWhenFree(_ owner: String) throws -> ObjectLease {
            let end = Clock.milliseconds() + 20_000
            while true {
                do { return try take(owner) } catch let error as StreamError where Clock.milliseconds() < end && error.problem.contains("is held by") { continue }
            }
        }
        let first = try take("first")
        let second = #expect(throws: StreamError.self) { try take("second") }
        #expect(second?.code == .conflict && second!.problem.contains("its lock is held by first until 20"), "\(String(describing: second))")
        // Longer than a lease: it is renewed.
        let end = Clock.milliseconds() + 2_500
        while Clock.milliseconds() < end { #expect(throws: StreamError.self) { try take("second") } }
        try first.require()
        first.release()
        let third = try take("third", renewing: false)
        // It was not renewed: the next one takes it over, and the former owner learns of it.
        let fourth = try takeWhenFree("fourth")
        let lost = #expect(throws: StreamError.self) { try third.require() }
        #expect(lost?.code == .conflict && lost!.problem.contains("fourth took it over"), "\(String(describing: lost))")
        third.release()
        try fourth.require()
        try server.dropAnswers("PutObject", key: "lock", times: 2)
        let later = Clock.milliseconds() + 1_500
        while Clock.milliseconds() < later { try fourth.require() }
        fourth.release()
        try take("fifth").release()
        // A process of this machine that was killed holds nothing; one of another machine does.
        func write(process: Int32, machine: String?) throws {
            let content = ObjectLease.Content(owner: "killed", token: "t", until: Clock.milliseconds() + 60_000, machine: machine, process: process)
            _ = try client.put("lock", Array(JSONEncoder().encode(content)))
        }
        let ended = Process()
        ended.executableURL = URL(filePath: "/bin/true")
        try ended.run()
        ended.waitUntilExit()
        try write(process: ended.processIdentifier, machine: "elsewhere")
        #expect(throws: StreamError.self) { try take("sixth") }
        try write(process: ended.processIdentifier, machine: ObjectLease.machine)
        #if os(Linux)
        try take("seventh").release()
        #endif
    }

    @Test("TLS servers are spoken to when their certificate is trusted, and only then")
    func security() throws {
        let server = try S3Server(isSecure: true)
        defer { server.end() }
        let table = TableDescriptor(name: "t", schema: [], options: server.options.merging(["s3.retry.attempts": "1"]) { $1 })
        let trusting = try S3Client(bucket: "lake", options: ObjectStoreOptions(table, environment: ["AWS_CA_BUNDLE": server.certificate!]))
        let bytes = noise(3 << 20, seed: 1)
        #expect(try trusting.put("a", bytes, .absent(token: token())) != nil)
        #expect(try trusting.get("a") == bytes)
        #expect(try trusting.get("a", 5..<9) == Array(bytes[5..<9]))
        let error = #expect(throws: StreamError.self) { try S3Client(bucket: "lake", options: ObjectStoreOptions(table, environment: [:])).get("a") }
        #expect(error!.problem.contains("certificate is not trusted"), "\(String(describing: error))")
        // A certificate of another host.
        var other = table
        other.options["s3.endpoint"] = server.endpoint.replacing("localhost", with: "127.0.0.1")
        #expect(throws: StreamError.self) { try S3Client(bucket: "lake", options: ObjectStoreOptions(other, environment: ["AWS_CA_BUNDLE": server.certificate!])).get("a") }
    }

    @Test("a write that comes later than it may is refused by the store, and before that by ourselves")
    func deadlines() throws {
        let soon = Clock.milliseconds() + 60_000
        #expect(try client.put("a b/ü", [1, 2], .absent(token: token()), before: soon) != nil)
        #expect(try client.get("a b/ü") == [1, 2])
        try server.control(["clock": 120])
        let late = #expect(throws: StreamError.self) { try self.client.put("late", [1], .absent(token: token()), before: soon) }
        #expect(late!.problem.contains("Request has expired"), "\(String(describing: late))")
        try server.control(["clock": 0])
        let over = #expect(throws: StreamError.self) { try self.client.put("late", [1], .absent(token: token()), before: Clock.milliseconds()) }
        #expect(over?.code == .conflict && over!.problem.contains("has run out"))
        #expect(try client.get("late") == nil)
    }
}
