import Foundation
import ShardLog
import StreamCore
import StreamTesting
import Synchronization
import Testing

@Suite("Shard log indexes") struct IndexTests {
    @Test("any record and any time is found in many segments, with saved indexes, without them, and with damaged ones", arguments: [0, 1, 2])
    func positions(_ damage: Int) throws {
        let temporary = TemporaryDirectory()
        final class Time: Sendable { let now = Atomic<Int64>(1_700_000_000_000) }
        let time = Time()
        let host = StreamCore.Host.system(now: { time.now.load(ordering: .relaxed) })
        let log = try ShardLog(directory: temporary.path, host: host)
        var settings = StreamSettings()
        settings.segmentBytes = 1 << 20
        settings.compresses = false
        try log.createStream("s", settings: settings)
        let writer = try log.writer("s", flush: .operatingSystem)
        var random = SeededRandom(5)
        var numbers: [(sequence: SequenceNumber, time: Int64)] = []
        while numbers.count < 600 {
            time.now.add(Int64.random(in: 0...3), ordering: .relaxed)
            let n = Int.random(in: 1...4, using: &random)
            let placed = try writer.append((0..<n).map { _ in record(String(repeating: "x", count: Int.random(in: 1...20_000, using: &random))) })
            numbers += placed.map { ($0.sequence!, time.now.load(ordering: .relaxed)) }
        }
        let directory = temporary.path + "/streams/s/shardId-000000000000"
        let saved = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".index") }
        #expect(try saved.count >= 3 && saved.count == log.describe("s").shards[0].segments - 1)
        for name in saved where damage > 0 {
            if damage == 1 { try FileManager.default.removeItem(atPath: directory + "/" + name) } else {
                var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name)))
                bytes[bytes.count / 2] ^= 1
                try Data(bytes).write(to: URL(fileURLWithPath: directory + "/" + name))
            }
        }
        let other = try ShardLog(directory: temporary.path, host: host)
        for (i, number) in numbers.enumerated() where i % 7 == 0 {
            let chunk = try #require(try other.reader("s", shard: 0, position: .at(number.sequence)).read(maxBytes: 1))
            #expect(chunk.sequence(0) == number.sequence)
            let first = numbers.firstIndex { $0.time >= number.time }!
            let atTime = try #require(try other.reader("s", shard: 0, position: .atTimestamp(number.time)).read(maxBytes: 1))
            #expect(atTime.sequence(0) == numbers[first].sequence)
        }
        #expect(try other.reader("s", shard: 0, position: .atTimestamp(0)).nextIndex == 0)
        #expect(try other.reader("s", shard: 0, position: .atTimestamp(.max)).nextIndex == UInt64(numbers.count))
        #expect(try other.texts("s").count == numbers.count)
        // They go with their segments.
        try other.update("s") { settings, _ in settings.retentionBytes = 1 }
        _ = try other.enforceRetention()
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".index") } == [])
    }

    @Test("more segments than indexes are kept of can be read from anywhere")
    func manySegments() throws {
        // In memory, where that many small files are quick.
        let disk = try SimulatedDisk(seed: 1)
        var host = StreamCore.Host.system
        host.sync = { _ in 0 }
        let log = try ShardLog(directory: disk.root, host: host)
        var settings = StreamSettings()
        settings.segmentBytes = 4_096
        settings.compresses = false
        try log.createStream("s", shards: 40, settings: settings)
        let ranges = try log.info("s").shards.map(\.range)
        let writer = try log.writer("s", flush: .operatingSystem)
        let data = [UInt8](repeating: 0x78, count: 4_000)
        var placed: [AppendResult.Placement] = []
        for i in 0..<28 * 40 { placed += try writer.append([Record(partitionKey: "k", explicitHashKey: ranges[i % 40].first, data: data)]) }
        for i in [0, 1_119, 5, 700, 1_050, 0] + placed.indices {
            let chunk = try #require(try log.reader("s", shard: i % 40, position: .at(placed[i].sequence!)).read(maxBytes: 1))
            #expect(chunk.firstIndex == UInt64(i / 40) && placed[i].shard == i % 40)
        }
    }
}
