import Foundation
import ShardLog
import StreamCore
import Synchronization
import Testing

@Suite("Shard log retention") struct RetentionTests {
    private final class Time: Sendable {
        let now = Atomic<Int64>(1_700_000_000_000)
        func advance(_ milliseconds: Int64) { now.add(milliseconds, ordering: .relaxed) }
        var host: StreamCore.Host { .system(now: { self.now.load(ordering: .relaxed) }) }
    }

    private func segments(_ log: ShardLog, _ shard: Int = 0) throws -> Int { try log.describe("s").shards.first { $0.shard == shard }?.segments ?? 0 }

    @Test("a sweep removes what has expired though nobody appends: whole segments, and the newest one's records too")
    func slowStream() throws {
        let temporary = TemporaryDirectory(), time = Time()
        let log = try ShardLog(directory: temporary.path, host: time.host)
        var settings = StreamSettings()
        settings.retentionMilliseconds = 1_000
        try log.createStream("s", settings: settings)
        let writer = try log.writer("s", flush: .operatingSystem)
        let producer = ProducerSequence(producer: 5, sequence: 1)
        var batch = RecordBatch()
        batch.append(record("old"))
        try writer.append(batch, producer: producer)
        let reader = try log.reader("s", shard: 0, position: .trimHorizon)
        time.advance(999)
        #expect(try log.enforceRetention() == RetentionResult())
        try writer.append([record("young")])
        time.advance(600)
        #expect(try log.enforceRetention() == RetentionResult())
        #expect(try log.texts("s") == ["old", "young"])
        time.advance(600)
        let swept = try log.enforceRetention()
        #expect(swept.segments == 1 && swept.bytes > 0 && swept.shards == 0)
        #expect(try log.texts("s") == [] && segments(log) == 1)
        // Numbers go on, readers too, and the producer is still known.
        #expect(try reader.rest() == ["old", "young"])
        #expect(try writer.append([record("next")])[0].sequence?.index == 2)
        #expect(try reader.rest() == ["next"])
        #expect(try ShardLog(directory: temporary.path, host: time.host).writer("s").append(batch, producer: producer)[0].sequence == nil)
        #expect(try log.enforceRetention() == RetentionResult())
    }

    @Test("a closed shard is kept while its records are, then it goes with its directory; its children still know its producers")
    func closedShards() throws {
        let temporary = TemporaryDirectory(), time = Time()
        let log = try ShardLog(directory: temporary.path, host: time.host)
        var settings = StreamSettings()
        settings.retentionMilliseconds = 1_000
        try log.createStream("s", settings: settings)
        let writer = try log.writer("s")
        let producer = ProducerSequence(producer: 5, sequence: 1)
        var batch = RecordBatch()
        batch.append(record("a"))
        try writer.append(batch, producer: producer)
        time.advance(500)
        let behind = try log.reader("s", shard: 0, position: .trimHorizon)
        _ = try log.split("s", shard: 0, at: 1 << 127)
        time.advance(900)
        #expect(try log.enforceRetention().shards == 0)
        #expect(try log.texts("s") == ["a"])
        time.advance(101)
        #expect(try log.enforceRetention("s").shards == 1)
        #expect(try log.info("s").shards.map(\.id) == [1, 2] && log.info("s").shard(1)!.parents == [0])
        #expect(!FileManager.default.fileExists(atPath: temporary.path + "/streams/s/shardId-000000000000"))
        #expect(throws: StreamError.self) { try log.texts("s") }
        #expect(try behind.rest() == ["a"])
        #expect(try writer.append(batch, producer: producer)[0].sequence == nil)
        #expect(try log.split("s", shard: 2, at: .max) == (3, 4))
        // What a sweep that died left behind goes with the next.
        try FileManager.default.createDirectory(atPath: temporary.path + "/streams/s/shardId-000000000099", withIntermediateDirectories: false)
        _ = try log.enforceRetention()
        #expect(!FileManager.default.fileExists(atPath: temporary.path + "/streams/s/shardId-000000000099"))
    }

    @Test("retention that is changed takes effect in writers that are open")
    func changed() throws {
        let temporary = TemporaryDirectory(), time = Time()
        let log = try ShardLog(directory: temporary.path, host: time.host)
        var settings = StreamSettings()
        settings.segmentBytes = 4_096
        settings.compresses = false
        try log.createStream("s", settings: settings)
        let writer = try log.writer("s")
        for _ in 0..<10 { try writer.append([record(String(repeating: "x", count: 3_000))]) }
        #expect(try segments(log) == 10 && log.enforceRetention() == RetentionResult())
        try log.update("s") { settings, _ in settings.retentionBytes = 10_000 }
        try writer.append([record("y")])
        #expect(try segments(log) == 3)
        try log.update("s") { settings, _ in (settings.retentionBytes, settings.retentionMilliseconds) = (nil, 10) }
        time.advance(20)
        #expect(try log.enforceRetention().segments == 3)
        #expect(try log.texts("s") == [])
    }

    @Test("a sweep that dies at any call loses nothing that is kept, and the next one finishes it")
    func interrupted() throws {
        var calls = 0
        while true {
            let temporary = TemporaryDirectory(), time = Time()
            let log = try ShardLog(directory: temporary.path, host: time.host)
            var settings = StreamSettings()
            settings.retentionMilliseconds = 1_000
            try log.createStream("s", shards: 2, settings: settings)
            let writer = try log.writer("s")
            let producer = ProducerSequence(producer: 5, sequence: 1)
            var batch = RecordBatch()
            for i in 0..<20 { batch.append(record("\(i)", key: "\(i)")) }
            try writer.append(batch, producer: producer)
            _ = try log.split("s", shard: 0, at: 1_000)
            try writer.append([Record(partitionKey: "k", explicitHashKey: 0, data: [0x41])])
            time.advance(2_000)
            try writer.append([Record(partitionKey: "k", explicitHashKey: 1_000, data: [0x42])])
            let dying = Dying(calls, time.host)
            var finished = false
            do {
                _ = try ShardLog(directory: temporary.path, host: dying.host).enforceRetention("s")
                finished = true
            } catch {}
            let other = try ShardLog(directory: temporary.path, host: time.host)
            #expect(try other.texts("s", shard: 3) == ["B"])
            #expect(try other.writer("s").append(batch, producer: producer).placements.allSatisfy { $0.sequence == nil }, "call \(calls)")
            try writer.append([Record(partitionKey: "k", explicitHashKey: 0, data: [0x43])])
            _ = try other.enforceRetention()
            #expect(try other.info("s").shards.map(\.id) == [1, 2, 3], "call \(calls)")
            // "C" may have come into the segment of "A", which is kept as long as it is.
            let texts = try other.info("s").shards.map { try other.texts("s", shard: $0.id) }
            #expect([["C"], ["A", "C"]].contains(texts[1]) && texts[0] == [] && texts[2] == ["B"], "call \(calls)")
            if finished { break }
            calls += 1
        }
        #expect(calls > 10)
    }

    /// Every changing call after the first so many fails.
    private final class Dying: Sendable {
        private let left: Atomic<Int>
        private let system: StreamCore.Host
        init(_ calls: Int, _ system: StreamCore.Host) {
            left = Atomic(calls)
            self.system = system
        }

        private func lives() -> Bool {
            if left.subtract(1, ordering: .relaxed).newValue >= 0 { return true }
            errno = EIO
            return false
        }

        var host: StreamCore.Host {
            var host = system
            let system = system
            host.open = { path, flags, mode in flags & (O_CREAT | O_TRUNC) == 0 || self.lives() ? system.open(path, flags, mode) : -1 }
            host.write = { fd, bytes, count, offset in self.lives() ? system.write(fd, bytes, count, offset) : -1 }
            host.sync = { _ in self.lives() ? 0 : -1 }
            host.rename = { from, to in self.lives() ? system.rename(from, to) : -1 }
            host.unlink = { path in self.lives() ? system.unlink(path) : -1 }
            host.rmdir = { path in self.lives() ? system.rmdir(path) : -1 }
            return host
        }
    }
}
