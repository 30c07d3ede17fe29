import Foundation
import ShardLog
import StreamCore
import Synchronization
import Testing

@Suite("Waiting for records") struct WaitingTests {
    @Test("one wait serves readers of several shards and streams, and says which of them have something")
    func several() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("a", shards: 2)
        try log.createStream("b")
        let readers = try [("a", 0), ("a", 1), ("b", 0)].map { try log.reader($0.0, shard: $0.1, position: .latest) }
        #expect(try ShardLog.wait(for: readers, milliseconds: 0) == [])
        #expect(try ShardLog.wait(for: readers, milliseconds: 5) == [])
        let path = temporary.path
        // A thread of its own: the pool of tasks may be held by tests that wait.
        Thread.detachNewThread { _ = try? ShardLog(directory: path).writer("b").append([record("x")]) }
        #expect(try ShardLog.wait(for: readers, milliseconds: 60_000) == [2])
        #expect(try readers[2].rest() == ["x"])
        try log.writer("a").append([Record(partitionKey: "k", explicitHashKey: .max, data: [1])])
        #expect(try ShardLog.wait(for: readers, milliseconds: 20_000) == [1])
        _ = try readers[1].rest()
        _ = try log.merge("a", 0, 1)
        #expect(try ShardLog.wait(for: readers, milliseconds: 20_000) == [0, 1])
        #expect(try ShardLog.wait(for: [], milliseconds: 1) == [])
    }

    @Test("a callback comes for appends and reshards while it is held, and not after")
    func callback() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s")
        let writer = try log.writer("s")
        let reader = try log.reader("s", shard: 0, position: .latest)
        final class Calls: Sendable { let count = Atomic<Int>(0) }
        let calls = Calls()
        var subscription: GrowthSubscription? = reader.onGrowth { calls.count.add(1, ordering: .relaxed) }
        try writer.append([record("a")])
        let one = calls.count.load(ordering: .relaxed)
        #expect(one >= 1)
        _ = try log.split("s", shard: 0, at: 9)
        #expect(calls.count.load(ordering: .relaxed) > one)
        withExtendedLifetime(subscription) {}
        subscription = nil
        let last = calls.count.load(ordering: .relaxed)
        try writer.append([record("b")])
        #expect(calls.count.load(ordering: .relaxed) == last)
    }

    @Test("a stream that is deleted and made again is waited for anew")
    func recreated() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        for _ in 0..<3 {
            try log.createStream("s")
            let reader = try log.reader("s", shard: 0, position: .latest)
            #expect(try !reader.waitForRecords(milliseconds: 1))
            try log.writer("s").append([record("a")])
            #expect(try reader.waitForRecords(milliseconds: 60_000) && reader.rest() == ["a"])
            try log.deleteStream("s")
            withExtendedLifetime(reader) {}
        }
    }

    #if os(Linux)
    @Test("another process's append and reshard wake a reader without polling")
    func otherProcess() throws {
        #expect(ShardLog.watchesDirectories)
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s")
        try log.writer("s", flush: .operatingSystem).append([record("a")])
        let reader = try log.reader("s", shard: 0, position: .latest)
        let segment = lastSegment(log, "s")
        let bytes = try Data(contentsOf: URL(fileURLWithPath: segment))
        // Another shell appends a whole batch: this process's writers know nothing of it.
        let other = Process()
        other.executableURL = URL(fileURLWithPath: "/bin/sh")
        other.arguments = ["-c", "read go; cat '\(temporary.path)/batch' >> '\(segment)'"]
        var batch = [UInt8](bytes)
        batch[16] = 1
        try Data(resealed(batch)).write(to: URL(fileURLWithPath: temporary.path + "/batch"))
        let pipe = Pipe()
        other.standardInput = pipe
        try other.run()
        // Long enough waits do not look at the file in between; the first look may come before the append.
        Thread.detachNewThread { try? pipe.fileHandleForWriting.write(contentsOf: Data("go\n".utf8)) }
        let start = Date()
        #expect(try reader.waitForRecords(milliseconds: 60_000))
        #expect(Date().timeIntervalSince(start) < 30)
        #expect(try reader.rest() == ["a"])
        other.waitUntilExit()
    }

    @Test("a watch ends with its directory, and readers know")
    func directoryGone() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s")
        let reader = try log.reader("s", shard: 0, position: .latest)
        #expect(!reader.isWatched)
        let subscription = reader.onGrowth {}
        #expect(reader.isWatched)
        // The reader's own file keeps the kernel from telling that the directory has gone.
        try FileManager.default.removeItem(atPath: temporary.path)
        #expect(!reader.isWatched)
        // What is there instead is watched by those who read it, beside the old one.
        try ShardLog(directory: temporary.path).createStream("s")
        let other = try ShardLog(directory: temporary.path).reader("s", shard: 0, position: .latest)
        #expect(!reader.isWatched && !other.isWatched)
        let otherSubscription = other.onGrowth {}
        #expect(other.isWatched)
        withExtendedLifetime(otherSubscription) {}
        withExtendedLifetime(subscription) {}
    }
    #endif
}
