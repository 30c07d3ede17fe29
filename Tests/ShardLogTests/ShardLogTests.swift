import Foundation
import ShardLog
import StreamCore
import Synchronization
import Testing

@Suite("Shard log") struct ShardLogTests {
    @Test("a stream is created, listed, described and deleted")
    func lifecycle() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("orders", shards: 3)
        try log.createStream("a.b-c_1")
        #expect(try log.listStreams() == ["a.b-c_1", "orders"])
        let description = try log.describe("orders")
        #expect(description.shards.map(\.id) == ["shardId-000000000000", "shardId-000000000001", "shardId-000000000002"])
        #expect(description.shards.map(\.range) == HashKeyRange.even(3))
        #expect(description.shards.allSatisfy { $0.earliest == nil && $0.latest == nil && $0.records == 0 && $0.bytes == 0 })
        let again = #expect(throws: StreamError.self) { try log.createStream("orders") }
        #expect(again?.code == .conflict)
        let near = #expect(throws: StreamError.self) { try log.describe("order") }
        #expect(near?.description.contains("write \"orders\"") == true)
        #expect(near?.description.contains("swiftwater stream create order") == true)
        for bad in ["", "a/b", "..", ".", "é", String(repeating: "x", count: 129)] {
            #expect(throws: StreamError.self) { try log.createStream(bad) }
        }
        try log.deleteStream("orders")
        #expect(try log.listStreams() == ["a.b-c_1"])
        try log.createStream("orders", shards: 1)
        #expect(try log.describe("orders").shards.count == 1)
    }

    @Test("looking into a directory that does not exist leaves nothing behind")
    func missingDirectory() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path + "/a/b/")
        #expect(try log.listStreams() == [])
        #expect(throws: StreamError.self) { try log.describe("s") }
        #expect(!FileManager.default.fileExists(atPath: temporary.path + "/a"))
        try log.createStream("s")
        #expect(log.directory.hasSuffix("/a/b") && log.exists("s"))
    }

    @Test("records come back in order with key, sequence number and time")
    func roundTrip() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s")
        let writer = try log.writer("s")
        let before = Clock.milliseconds()
        let placed = try writer.append([record("one", key: "é"), record("", key: "b"), record("three")])
        let more = try writer.append([record("four")])
        let chunk = try #require(try log.reader("s", shard: 0, position: .trimHorizon).read())
        #expect((0..<4).map { String(decoding: chunk.data($0), as: UTF8.self) } == ["one", "", "three", "four"])
        #expect((0..<4).map { chunk.partitionKey($0) } == ["é", "b", "k", "k"])
        #expect((0..<4).map { chunk.sequence($0) } == (placed + more).map { $0.sequence! })
        #expect((0..<4).allSatisfy { chunk.timestamp($0) >= before && chunk.timestamp($0) <= Clock.milliseconds() })
        let shard = try log.describe("s").shards[0]
        #expect(shard.records == 4 && shard.earliest == placed[0].sequence && shard.latest == more[0].sequence)
    }

    @Test("the key's MD5 or the explicit hash key chooses the shard")
    func sharding() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s", shards: 5)
        let ranges = HashKeyRange.even(5)
        let records = (0..<500).map { record("\($0)", key: "key-\($0)") }
            + [Record(partitionKey: "x", explicitHashKey: .max, data: [1]), Record(partitionKey: "x", explicitHashKey: 0, data: [2])]
        let placed = try log.writer("s").append(records)
        for i in 0..<500 { #expect(ranges[placed[i].shard].contains(HashKey.of("key-\(i)"))) }
        #expect(placed[500].shard == 4 && placed[501].shard == 0)
        for shard in 0..<5 {
            let expected = records.indices.filter { placed[$0].shard == shard }.map { String(decoding: records[$0].data, as: UTF8.self) }
            #expect(try log.texts("s", shard: shard) == expected)
        }
    }

    @Test("readers start at the oldest, the newest, a time, or a sequence number")
    func positions() throws {
        let temporary = TemporaryDirectory()
        final class Box: Sendable { let clock = Atomic<Int64>(1_000) }
        let time = Box()
        var settings = StreamSettings()
        settings.segmentBytes = 4_096
        let log = try ShardLog(directory: temporary.path, host: .system(now: { time.clock.load(ordering: .relaxed) }))
        try log.createStream("s", settings: settings)
        let writer = try log.writer("s")
        var all: [SequenceNumber] = []
        for i in 0..<200 {
            time.clock.store(Int64(1_000 + i * 10), ordering: .relaxed)
            all += try writer.append([record("a\(i)"), record("b\(i)"), record("c\(i)")]).map { $0.sequence! }
        }
        let texts = (0..<200).flatMap { ["a\($0)", "b\($0)", "c\($0)"] }
        #expect(try log.describe("s").shards[0].segments > 3)
        #expect(try log.texts("s") == texts)
        #expect(try log.texts("s", maxBytes: 1) == texts)
        #expect(all == all.sorted())
        for i in Array(stride(from: 0, to: 600, by: 7)) + [599] {
            #expect(try log.texts("s", from: .after(all[i])) == Array(texts[(i + 1)...]))
            #expect(try log.texts("s", from: .at(all[i])) == Array(texts[i...]))
            #expect(try log.reader("s", shard: 0, position: .after(all[i])).lastSequence == all[i])
        }
        for ms in [0, 1_000, 1_001, 1_010, 1_995, 2_985, 2_990] as [Int64] {
            let first = max(0, Int((ms - 1_000 + 9) / 10)) * 3
            #expect(try log.texts("s", from: .atTimestamp(ms)) == Array(texts[first...]), "from \(ms)")
        }
        #expect(try log.texts("s", from: .atTimestamp(2_991)) == [])
        let latest = try log.reader("s", shard: 0, position: .latest)
        #expect(try latest.read() == nil && latest.lastSequence == all[599])
        try writer.append([record("new")])
        #expect(try latest.recordsBehind() > 0)
        #expect(try latest.rest() == ["new"])
        #expect(try latest.recordsBehind() == 0)

        var other = all[0]
        other.created += 1
        #expect(throws: StreamError.self) { try log.reader("s", shard: 0, position: .after(other)) }
        var beyond = all[599]
        beyond.index += 50
        #expect(throws: StreamError.self) { try log.reader("s", shard: 0, position: .after(beyond)) }
    }

    @Test("records too large, keys too long and empty keys are refused with nothing written")
    func limits() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s")
        let writer = try log.writer("s")
        let megabyte = [UInt8](repeating: 0x61, count: 1 << 20)
        #expect(throws: StreamError.self) { try writer.append([record("ok"), Record(partitionKey: "k", data: megabyte)]) }
        #expect(throws: StreamError.self) { try writer.append([Record(partitionKey: "", data: [1])]) }
        #expect(throws: StreamError.self) { try writer.append([Record(partitionKey: String(repeating: "é", count: 257), data: [1])]) }
        try writer.append([Record(partitionKey: String(repeating: "é", count: 256), data: [1])])
        try writer.append([Record(partitionKey: "k", data: Array(megabyte.dropLast()))])
        #expect(try log.describe("s").shards[0].records == 2)

        var settings = StreamSettings()
        settings.recordBytesMax = 10 << 20
        try log.createStream("big", settings: settings)
        let random = (0..<(10 << 20) - 1).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) }
        try log.writer("big").append([Record(partitionKey: "k", data: random), Record(partitionKey: "k", data: random), record("end")])
        let reader = try log.reader("big", shard: 0, position: .trimHorizon)
        var sizes: [Int] = []
        while let chunk = try reader.read(maxBytes: 4_096) { for i in 0..<chunk.count { sizes.append(chunk.data(i).count) } }
        #expect(sizes == [random.count, random.count, 3])
    }

    @Test("a producer's repeated append is written once, also after reopening and by another writer")
    func idempotence() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s", shards: 2)
        var batch = RecordBatch()
        for i in 0..<10 { batch.append(record("\(i)", key: "\(i)")) }
        let first = try log.writer("s")
        let once = try first.append(batch, producer: .init(producer: 7, sequence: 1))
        let twice = try first.append(batch, producer: .init(producer: 7, sequence: 1))
        #expect(once.placements.allSatisfy { $0.sequence != nil } && twice.placements.allSatisfy { $0.sequence == nil })
        let second = try ShardLog(directory: temporary.path).writer("s")
        try second.append(batch, producer: .init(producer: 7, sequence: 1))
        try second.append(batch, producer: .init(producer: 7, sequence: 2))
        try first.append(batch, producer: .init(producer: 7, sequence: 2))
        try first.append(batch, producer: .init(producer: 8, sequence: 1))
        #expect(try log.describe("s").shards.map(\.records).reduce(0, +) == 30)
    }

    @Test("retention by size and by age removes whole old segments, and readers of them are told")
    func retention() throws {
        let temporary = TemporaryDirectory()
        final class Time: Sendable { let ms = Atomic<Int64>(Clock.milliseconds()) }
        let time = Time()
        let log = try ShardLog(directory: temporary.path, host: .system(now: { time.ms.load(ordering: .relaxed) }))
        var settings = StreamSettings()
        settings.segmentBytes = 4_096
        settings.retentionBytes = 20_000
        settings.compresses = false
        try log.createStream("s", settings: settings)
        let writer = try log.writer("s")
        let slow = try log.reader("s", shard: 0, position: .trimHorizon)
        var sequences: [SequenceNumber] = []
        for i in 0..<1_000 { sequences.append(try writer.append([record("record \(i)")])[0].sequence!) }
        let shard = try log.describe("s").shards[0]
        #expect(shard.bytes <= 20_000 + 4_096 && shard.records < 1_000 && shard.latest == sequences[999])
        #expect(try log.texts("s").last == "record 999")
        #expect(try log.texts("s").count == shard.records)
        let expired = #expect(throws: StreamError.self) { try log.reader("s", shard: 0, position: .after(sequences[3])) }
        #expect(expired?.description.contains("has expired") == true)
        // The open segment is still readable; the gap behind it is not passed over in silence.
        #expect(throws: StreamError.self) { try slow.rest() }

        settings.retentionBytes = nil
        settings.retentionMilliseconds = 1_000
        try log.createStream("t", settings: settings)
        let old = try log.writer("t")
        for i in 0..<300 { try old.append([record("record \(i)")]) }
        try old.close()
        let before = try log.describe("t").shards[0].segments
        time.ms.add(10_000, ordering: .relaxed)
        _ = try log.writer("t")
        #expect(before > 3)
        #expect(try log.describe("t").shards[0].segments == 1)
    }

    @Test("a writer whose stream is deleted says so")
    func deletedUnderWriter() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s")
        let writer = try log.writer("s")
        try writer.append([record("a")])
        try log.deleteStream("s")
        let error = #expect(throws: StreamError.self) { try writer.append([record("b")]) }
        #expect(error?.problem == "stream s was deleted")
    }

    @Test("every flush policy keeps what was appended", arguments: [FlushPolicy.everyAppend, .interval(milliseconds: 2), .operatingSystem])
    func policies(policy: FlushPolicy) throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s")
        for round in 0..<3 {
            let writer = try log.writer("s", flush: policy)
            for i in 0..<20 { try writer.append([record("\(round)-\(i)")]) }
            try writer.flush()
            try writer.close()
            #expect(throws: StreamError.self) { try writer.append([record("late")]) }
        }
        #expect(try log.texts("s") == (0..<3).flatMap { r in (0..<20).map { "\(r)-\($0)" } })
    }
}
