import Foundation
import ShardLog
import StreamCore
import StreamTesting
import Testing

/// A record that goes where its hash key says.
private func record(_ text: String, at hash: UInt128) -> Record { Record(partitionKey: "k", explicitHashKey: hash, data: Array(text.utf8)) }

private let half = UInt128(1) << 127
private let quarter = UInt128(1) << 126

@Suite("Splitting and merging shards") struct ReshardingTests {
    @Test("a split closes the parent; open writers, also of other processes, go on in the children; sequence numbers grow")
    func split() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s", shards: 2)
        let writer = try log.writer("s"), other = try ShardLog(directory: temporary.path).writer("s", flush: .operatingSystem)
        try writer.append([record("a", at: 0), record("b", at: half - 1), record("c", at: half)])
        try other.append([record("d", at: 1)])
        let children = try log.split("s", shard: 0, at: quarter)
        #expect(children == (2, 3))
        let placed = try other.append([record("e", at: quarter - 1), record("f", at: quarter), record("g", at: .max)])
        #expect(placed.map(\.shard) == [2, 3, 1])
        #expect(try writer.append([record("h", at: 0)])[0].shard == 2)
        #expect(try log.texts("s", shard: 0) == ["a", "b", "d"])
        #expect(try log.texts("s", shard: 2) == ["e", "h"] && log.texts("s", shard: 3) == ["f"] && log.texts("s", shard: 1) == ["c", "g"])

        let info = try ShardLog(directory: temporary.path).info("s")
        #expect(info.shards.map(\.id) == [0, 1, 2, 3] && info.openShards.map(\.id) == [1, 2, 3])
        #expect(info.shards.map(\.parents) == [[], [], [0], [0]])
        #expect(info.children(of: 0).map(\.range) == [.init(first: 0, last: quarter - 1), .init(first: quarter, last: half - 1)])
        let parent = try #require(info.shard(0))
        #expect(parent.closedAt != nil && parent.ending!.index == 2 && parent.ending! < placed[0].sequence!)
        #expect(info.shard(2)!.openedAt == parent.closedAt && info.shard(2)!.starting < placed[0].sequence!)
        #expect(try log.describe("s").shards.map(\.parents) == [[], [], [0], [0]])
        #expect(try log.describe("s").shards.map { $0.closedAt == nil } == [false, true, true, true])
        // Every position of a closed shard can be read from.
        #expect(try log.texts("s", shard: 0, from: .at(parent.starting)) == ["a", "b", "d"])
        #expect(try log.texts("s", shard: 0, from: .at(parent.ending!)) == ["d"])
        #expect(try log.texts("s", shard: 0, from: .after(parent.ending!)) == [])
        #expect(try log.texts("s", shard: 0, from: .latest) == [])
    }

    @Test("a merge puts the keys of two shards into one; what does not adjoin, is closed or out of range is refused")
    func merge() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s", shards: 3)
        let writer = try log.writer("s")
        #expect(try log.merge("s", 1, 0) == 3)
        #expect(try writer.append([record("a", at: 0), record("b", at: .max)]).map(\.shard) == [3, 2])
        #expect(try log.info("s").shard(3)!.parents == [1, 0])
        #expect(try log.info("s").shard(3)!.range.first == 0)
        func code(_ body: () throws -> Void) -> StreamError.Code? {
            do { try body() } catch let error as StreamError { return error.code } catch {}
            return nil
        }
        #expect(code { _ = try log.merge("s", 0, 1) } == .conflict)
        #expect(code { _ = try log.split("s", shard: 0, at: 5) } == .conflict)
        #expect(code { _ = try log.split("s", shard: 9, at: 5) } == .validate)
        #expect(code { _ = try log.split("s", shard: 3, at: 0) } == .validate)
        #expect(code { _ = try log.split("s", shard: 3, at: .max) } == .validate)
        #expect(code { _ = try log.merge("s", 3, 3) } == .validate)
        let (low, high) = try log.split("s", shard: 3, at: 1)
        #expect(code { _ = try log.merge("s", low, 2) } == .validate)
        #expect(try log.merge("s", try log.merge("s", low, high), 2) == 7)
        #expect(try log.info("s").openShards.map(\.range) == [.init(first: 0, last: .max)])
        #expect(try log.info("s").version == 4)
    }

    @Test("a reader of a closed shard ends after its last record, also one that was waiting")
    func finished() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s")
        let writer = try log.writer("s")
        let waiting = try log.reader("s", shard: 0, position: .latest)
        let elsewhere = try ShardLog(directory: temporary.path).reader("s", shard: 0, position: .trimHorizon)
        try writer.append([record("a"), record("b")])
        #expect(try elsewhere.rest() == ["a", "b"] && !elsewhere.isFinished && !waiting.isFinished)
        try writer.append([record("c")])
        _ = try log.split("s", shard: 0, at: half)
        #expect(try elsewhere.waitForRecords(milliseconds: 10_000))
        #expect(try elsewhere.rest() == ["c"] && elsewhere.isFinished)
        #expect(try elsewhere.waitForRecords(milliseconds: 10_000))
        #expect(try waiting.rest() == ["a", "b", "c"] && waiting.isFinished)
        // A shard that never had a record ends at once.
        _ = try log.merge("s", 1, 2)
        let empty = try log.reader("s", shard: 1, position: .trimHorizon)
        #expect(try empty.read() == nil && empty.isFinished)
        let ending = try #require(try log.info("s").shard(1)!.ending)
        #expect(try log.reader("s", shard: 1, position: .after(ending)).isFinished)
        #expect(try !log.reader("s", shard: 3, position: .trimHorizon).isFinished)
    }

    @Test("a reader of the whole stream follows splits and merges, parents before children, from the start or from now on")
    func wholeStream() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s", shards: 2)
        let writer = try log.writer("s")
        func rest(_ reader: StreamReader) throws -> [String] {
            var all: [String] = []
            while let (shard, chunk) = try reader.read() {
                for i in 0..<chunk.count { all.append(String(decoding: chunk.data(i), as: UTF8.self) + "@\(shard)") }
            }
            return all
        }
        try writer.append([record("a", at: 0), record("b", at: .max)])
        let oldest = try log.reader("s"), early = try log.reader("s")
        #expect(try rest(early).sorted() == ["a@0", "b@1"])
        let newest = try log.reader("s", fromLatest: true)
        try writer.append([record("c", at: 0)])
        _ = try log.split("s", shard: 0, at: 9)
        try writer.append([record("d", at: 9), record("e", at: .max)])
        _ = try log.merge("s", 3, 1)
        try writer.append([record("f", at: .max), record("g", at: 0)])
        #expect(try early.wait(milliseconds: 60_000))
        let all = ["a@0", "b@1", "c@0", "d@3", "e@1", "f@4", "g@2"]
        for (reader, expected) in [(oldest, all), (try log.reader("s"), all), (early, Array(all.dropFirst(2))), (newest, Array(all.dropFirst(2)))] {
            let texts = try rest(reader)
            #expect(texts.sorted() == expected)
            for (parent, child) in [("c@0", "d@3"), ("c@0", "g@2"), ("d@3", "f@4"), ("e@1", "f@4")] {
                #expect(texts.firstIndex(of: parent)! < texts.firstIndex(of: child)!)
            }
            #expect(try rest(reader) == [])
        }
        #expect(try rest(log.reader("s", fromLatest: true)) == [])
    }

    @Test("a producer's repeated append is recognised after splits and merges, row by row, and after reopening")
    func producers() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s", shards: 2)
        func batch(_ name: String, _ hashes: [UInt128]) -> RecordBatch {
            var batch = RecordBatch()
            for (i, hash) in hashes.enumerated() { batch.append(record("\(name)\(i)", at: hash)) }
            return batch
        }
        func all() throws -> [String] { try log.info("s").shards.flatMap { try log.texts("s", shard: $0.id) }.sorted() }
        let first = batch("a", [0, quarter, half, .max]), left = batch("l", [1, 2]), both = batch("b", [3, quarter + 1, half + 1])
        let id = { (sequence: UInt64) in ProducerSequence(producer: 7, sequence: sequence) }
        try log.writer("s").append(first, producer: id(1))
        // Only the left shard learns of the second append.
        try log.writer("s").append(left, producer: id(2))
        let kept = try log.writer("s")
        _ = try log.merge("s", 0, 1)
        for writer in [kept, try log.writer("s")] {
            #expect(try writer.append(first, producer: id(1)).placements.allSatisfy { $0.sequence == nil && $0.shard == 2 })
            #expect(try writer.append(left, producer: id(2)).placements.allSatisfy { $0.sequence == nil })
            #expect(try writer.hasAppended(id(2)) && !writer.hasAppended(id(3)))
        }
        #expect(try all() == ["a0", "a1", "a2", "a3", "l0", "l1"])
        // A try that reached one of two shards, which are merged before the next try: two logs stand for the crash in between.
        let torn = TemporaryDirectory()
        let partial = try ShardLog(directory: torn.path)
        try partial.createStream("s", shards: 2)
        try partial.writer("s").append(batch("b", [3, quarter + 1]), producer: id(3))
        _ = try partial.merge("s", 1, 0)
        let result = try partial.writer("s").append(both, producer: id(3))
        #expect(result.placements.map { $0.sequence?.index } == [nil, nil, 0])
        #expect(try partial.texts("s", shard: 2) == ["b2"])
        #expect(try partial.writer("s").append(both, producer: id(3)).placements.allSatisfy { $0.sequence == nil })
        // Knowledge passes on through any number of generations.
        _ = try log.split("s", shard: 2, at: quarter)
        _ = try log.split("s", shard: 4, at: half + quarter)
        _ = try log.merge("s", 3, 5)
        for writer in [kept, try ShardLog(directory: temporary.path).writer("s")] {
            #expect(try writer.append(first, producer: id(1)).placements.allSatisfy { $0.sequence == nil })
            #expect(try writer.append(left, producer: id(2)).placements.allSatisfy { $0.sequence == nil })
        }
        try kept.append(both, producer: id(3))
        try log.writer("s").append(both, producer: id(3))
        #expect(try all() == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "l0", "l1"])
    }

    @Test("staged records are appended once, though the stream is split between the tries")
    func staged() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s")
        let stager = try log.stager("s", owner: "job")
        var batch = RecordBatch()
        for i in 0..<1_000 { batch.append(Record(partitionKey: "key \(i)", data: Array("\(i)".utf8))) }
        try stager.add(batch)
        let staged = try #require(try stager.finish())
        try log.writer("s").append(staged)
        let (low, _) = try log.split("s", shard: 0, at: half)
        try log.writer("s").append(staged)
        _ = try log.split("s", shard: low, at: quarter)
        try log.writer("s").append(staged)
        #expect(try log.info("s").shards.map { try log.texts("s", shard: $0.id).count } == [1_000, 0, 0, 0, 0])
    }

    @Test("settings and attributes change for all writers, and a change that throws changes nothing")
    func update() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s")
        let writer = try log.writer("s")
        let other = try ShardLog(directory: temporary.path)
        #expect(try other.info("s").attributes == [:])
        try log.update("s") { settings, attributes in
            settings.recordBytesMax = 10
            attributes["tag"] = "1"
        }
        #expect(try other.info("s").attributes == ["tag": "1"] && other.info("s").settings.recordBytesMax == 10)
        try writer.append([record("short")])
        #expect(throws: StreamError.self) { try writer.append([record("too long for it")]) }
        #expect(throws: StreamError.self) { try log.update("s") { settings, _ in settings.recordBytesMax = 0 } }
        #expect(try log.info("s").settings.recordBytesMax == 10 && log.info("s").version == 1)
    }

    @Test("a stream.json of format version 1 is read, and can be split")
    func oldFormat() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s", shards: 2)
        try log.writer("s").append([record("old", at: 0)])
        let path = "\(log.directory)/streams/s/stream.json"
        let old = """
            {"created": \(try log.info("s").created), "formatVersion": 1, "name": "s",
             "settings": {"compresses": true, "recordBytesMax": 1048576, "segmentBytes": 67108864},
             "shards": [{"id": 0, "firstHashKey": "0", "lastHashKey": "\(half - 1)"}, {"id": 1, "firstHashKey": "\(half)", "lastHashKey": "\(UInt128.max)"}]}
            """
        try Data(old.utf8).write(to: URL(fileURLWithPath: path))
        // The lock file had two numbers then.
        let lock = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(log.directory)/streams/s/lock"))
        try lock.truncate(atOffset: 8)
        try lock.close()
        let writer = try log.writer("s")
        try writer.append([record("new", at: 1)])
        #expect(try log.texts("s") == ["old", "new"])
        #expect(try log.split("s", shard: 0, at: quarter) == (2, 3))
        try writer.append([record("newer", at: 2)])
        #expect(try log.texts("s", shard: 2) == ["newer"])
    }

    @Test("a reshard that dies at any call leaves the stream as it was or as it was to be, and it can be repeated", arguments: [false, true])
    func interrupted(_ merges: Bool) throws {
        var calls = 0, outcomes: Set<Int> = []
        while true {
            let temporary = TemporaryDirectory()
            let log = try ShardLog(directory: temporary.path)
            try log.createStream("s", shards: 2)
            let writer = try log.writer("s", flush: .operatingSystem)
            try writer.append([record("a", at: 0), record("b", at: .max)])
            var batch = RecordBatch()
            batch.append(record("p", at: 1))
            try writer.append(batch, producer: ProducerSequence(producer: 1, sequence: 1))
            let dying = DyingHost(calls: calls, now: Int64(Date().timeIntervalSince1970 * 1_000))
            let reshard = { (log: ShardLog) in
                if merges { _ = try log.merge("s", 0, 1) } else { _ = try log.split("s", shard: 0, at: 5) }
            }
            var finished = false
            do {
                try reshard(try ShardLog(directory: temporary.path, host: dying.host))
                finished = true
            } catch {}
            // The writer of before, and one that is opened now, go on either way.
            try writer.append([record("c", at: 0), record("d", at: 5)])
            let other = try ShardLog(directory: temporary.path)
            try other.writer("s").append([record("e", at: 0)])
            #expect(try other.writer("s").append(batch, producer: ProducerSequence(producer: 1, sequence: 1))[0].sequence == nil)
            let open = try log.info("s").openShards.count
            outcomes.insert(open)
            if open == 2 {
                #expect(!finished, "call \(calls)")
                try reshard(other)
            }
            #expect(try other.info("s").openShards.count == (merges ? 1 : 3))
            try writer.append([record("f", at: 0)])
            #expect(try writer.append(batch, producer: ProducerSequence(producer: 1, sequence: 1))[0].sequence == nil)
            let info = try other.info("s")
            #expect(try info.shards.flatMap { try other.texts("s", shard: $0.id) }.sorted() == ["a", "b", "c", "d", "e", "f", "p"], "call \(calls)")
            #expect(try info.shards.filter { !$0.isOpen }.allSatisfy { shard in
                let reader = try other.reader("s", shard: shard.id, position: .trimHorizon)
                _ = try reader.rest()
                return reader.isFinished
            })
            if finished { break }
            calls += 1
        }
        #expect(calls > 15 && outcomes.count == 2)
    }
}
