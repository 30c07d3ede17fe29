import Foundation
import ShardLog
import StreamCore
import Testing

@Suite("Encrypted streams") struct EncryptionTests {
    private func stored(_ log: ShardLog, _ stream: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: lastSegment(log, stream))) }
    private let secret = String(repeating: "a secret that must not be seen, ", count: 100)

    @Test("records are encrypted from when a key is set until it is taken away, and all stay readable", arguments: [true, false])
    func lifecycle(_ compresses: Bool) throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        var settings = StreamSettings()
        settings.compresses = compresses
        try log.createStream("s", settings: settings)
        let writer = try log.writer("s")
        try writer.append([record("plain")])
        #expect(try stored(log, "s").range(of: Data("plain".utf8)) != nil)
        try log.update("s") { settings, _ in settings.encryptionKey = "alias/aws/kinesis" }
        try writer.append([record("hidden", key: "hidden key"), record(secret)])
        try writer.append([record("short")])
        try log.update("s") { settings, _ in settings.encryptionKey = "other" }
        try writer.append([record("hidden2")])
        try log.update("s") { settings, _ in settings.encryptionKey = nil }
        try writer.append([record("open")])
        let bytes = try stored(log, "s")
        for text in ["hidden", "hidden key", "a secret that", "short", "hidden2"] { #expect(bytes.range(of: Data(text.utf8)) == nil) }
        #expect(bytes.range(of: Data("open".utf8)) != nil)
        let other = try ShardLog(directory: temporary.path)
        let all = ["plain", "hidden", secret, "short", "hidden2", "open"]
        #expect(try other.texts("s") == all && other.texts("s", maxBytes: 1) == all)
        let chunk = try #require(try other.reader("s", shard: 0, position: .trimHorizon).read())
        #expect(chunk.partitionKey(1) == "hidden key")
        let keys = temporary.path + "/keys"
        #expect(try FileManager.default.contentsOfDirectory(atPath: keys).sorted() == ["alias%2Faws%2Fkinesis.key", "other.key"])
        for name in ["alias%2Faws%2Fkinesis.key", "other.key"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: keys + "/" + name)
            #expect(attributes[.posixPermissions] as? Int == 0o600 && attributes[.size] as? Int == 32)
        }
    }

    @Test("without the key nothing can be read, but everything is checked and appended to; another key in its place is told")
    func missingKey() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        var settings = StreamSettings()
        settings.encryptionKey = "k"
        try log.createStream("s", settings: settings)
        let writer = try log.writer("s", flush: .operatingSystem)
        try writer.append([record("a")])
        try writer.append([record("b")])
        let path = temporary.path + "/keys/k.key", aside = temporary.path + "/aside"
        try FileManager.default.moveItem(atPath: path, toPath: aside)
        try log.update("s") { settings, _ in settings.encryptionKey = nil }
        // A torn tail is cut off without the key.
        let bytes = try stored(log, "s")
        try bytes.dropLast(3).write(to: URL(fileURLWithPath: lastSegment(log, "s")))
        let other = try ShardLog(directory: temporary.path)
        #expect(try other.writer("s").tornBytes > 0)
        let missing = #expect(throws: StreamError.self) { try other.texts("s") }
        #expect(missing?.code == .io && missing?.problem.contains(temporary.path + "/keys") == true)
        try Data(repeating: 7, count: 32).write(to: URL(fileURLWithPath: path))
        #expect(#expect(throws: StreamError.self) { try other.texts("s") }?.code == .io)
        try Data(repeating: 7, count: 31).write(to: URL(fileURLWithPath: path))
        #expect(#expect(throws: StreamError.self) { try other.texts("s") }?.code == .corrupt)
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: aside, toPath: path)
        #expect(try other.texts("s") == ["a"])
        // Bytes that were changed together with their checksum are found by the cipher.
        var forged = [UInt8](try stored(log, "s"))
        forged[90] ^= 1
        try Data(resealed(forged)).write(to: URL(fileURLWithPath: lastSegment(log, "s")))
        let broken = #expect(throws: StreamError.self) { try ShardLog(directory: temporary.path).texts("s") }
        #expect(broken?.code == .corrupt && broken?.problem.contains("offset 0") == true)
    }

    @Test("what is staged for an encrypted stream is encrypted, too")
    func staged() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        var settings = StreamSettings()
        settings.encryptionKey = "k"
        try log.createStream("s", settings: settings)
        for count in [1, 100] {
            let stager = try log.stager("s", owner: "o")
            var batch = RecordBatch()
            for _ in 0..<count { batch.append(record(secret)) }
            try stager.add(batch)
            let staged = try #require(try stager.finish())
            #expect(Data(staged.bytes).range(of: Data("a secret".utf8)) == nil)
            for name in (try? FileManager.default.contentsOfDirectory(atPath: temporary.path + "/streams/s/staged")) ?? [] {
                #expect(try Data(contentsOf: URL(fileURLWithPath: temporary.path + "/streams/s/staged/" + name)).range(of: Data("a secret".utf8)) == nil)
            }
            try log.writer("s").append(staged)
            try log.writer("s").append(StagedRecords(bytes: staged.bytes))
        }
        #expect(try log.texts("s") == Array(repeating: secret, count: 101))
    }
}
