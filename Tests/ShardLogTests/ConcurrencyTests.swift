import Foundation
import ShardLog
import StreamCore
import Synchronization
import Testing

@Suite("Shard log with many users") struct ConcurrencyTests {
    @Test("writers of several logs and threads interleave; tailing readers see every record once, in each writer's order")
    func manyWriters() async throws {
        let temporary = TemporaryDirectory()
        var settings = StreamSettings()
        settings.segmentBytes = 8_192
        try ShardLog(directory: temporary.path).createStream("s", shards: 2, settings: settings)
        let (writers, rounds, perAppend) = (4, 60, 5)
        let total = writers * rounds * perAppend
        let path = temporary.path
        try await withThrowingTaskGroup(of: [String].self) { group in
            let shared = try ShardLog(directory: path).writer("s")
            for w in 0..<writers {
                group.addTask {
                    // Two threads share a writer, the others stand for processes of their own.
                    let writer = w < 2 ? shared : try ShardLog(directory: path).writer("s", flush: w == 2 ? .everyAppend : .interval(milliseconds: 1))
                    for r in 0..<rounds {
                        try writer.append((0..<perAppend).map { record("\(w):\(r * perAppend + $0)", key: "writer \(w)") })
                    }
                    try writer.flush()
                    return []
                }
            }
            group.addTask {
                let log = try ShardLog(directory: path)
                let readers = try (0..<2).map { try log.reader("s", shard: $0, position: .trimHorizon) }
                var seen: [String] = []
                let deadline = Date().addingTimeInterval(60)
                while seen.count < total, Date() < deadline {
                    for reader in readers {
                        if try reader.waitForRecords(milliseconds: 5) { seen += try reader.rest(maxBytes: 500) }
                    }
                }
                return seen
            }
            var seen: [String] = []
            for try await texts in group { seen += texts }
            #expect(seen.count == total && Set(seen).count == total)
            for w in 0..<writers {
                let numbers = seen.filter { $0.hasPrefix("\(w):") }.compactMap { Int($0.dropFirst(2)) }
                #expect(numbers == Array(0..<(rounds * perAppend)))
            }
        }
        let log = try ShardLog(directory: path)
        #expect(try log.describe("s").shards.map(\.records).reduce(0, +) == total)
    }

    @Test("appends that wait together share flushes")
    func groupCommit() async throws {
        let temporary = TemporaryDirectory()
        final class Counter: Sendable { let syncs = Atomic<Int>(0) }
        let counter = Counter()
        var host = StreamCore.Host.system
        host.sync = { fd in
            counter.syncs.add(1, ordering: .relaxed)
            Thread.sleep(forTimeInterval: 0.002)
            return StreamCore.Host.system.sync(fd)
        }
        let log = try ShardLog(directory: temporary.path, host: host)
        try log.createStream("s")
        let writer = try log.writer("s")
        let before = counter.syncs.load(ordering: .relaxed)
        let threads = (0..<8).map { t in
            let done = DispatchSemaphore(value: 0)
            let thread = Thread {
                for i in 0..<25 { try! writer.append([record("\(t)-\(i)")]) }
                done.signal()
            }
            thread.start()
            return done
        }
        for done in threads { done.wait() }
        #expect(try log.texts("s").count == 200)
        #expect(counter.syncs.load(ordering: .relaxed) - before < 150)
    }

    @Test("random appends, reopenings and reads agree with a plain list", arguments: UInt64(1)...12)
    func model(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let temporary = TemporaryDirectory()
        var settings = StreamSettings()
        settings.segmentBytes = Int.random(in: 4_096...20_000, using: &random)
        settings.compresses = Bool.random(using: &random)
        var logs = [try ShardLog(directory: temporary.path), try ShardLog(directory: temporary.path)]
        let shards = Int.random(in: 1...4, using: &random)
        try logs[0].createStream("s", shards: shards, settings: settings)
        var writers = try logs.map { try $0.writer("s", flush: .operatingSystem) }
        var model = [[(text: String, sequence: SequenceNumber)]](repeating: [], count: shards)
        for _ in 0..<120 {
            let w = Int.random(in: 0...1, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                try writers[w].close()
                logs[w] = try ShardLog(directory: temporary.path)
                writers[w] = try logs[w].writer("s", flush: .operatingSystem)
            case 1...6:
                let records = (0..<Int.random(in: 1...40, using: &random)).map { _ in
                    record(String(repeating: "\(random.next() % 1000),", count: Int.random(in: 0...60, using: &random)),
                           key: "key \(random.next() % 50)")
                }
                let placed = try writers[w].append(records)
                for (record, place) in zip(records, placed) {
                    model[place.shard].append((String(decoding: record.data, as: UTF8.self), place.sequence!))
                }
            default:
                let shard = Int.random(in: 0..<shards, using: &random)
                let expected = model[shard]
                let maxBytes = Int.random(in: 1...50_000, using: &random)
                if let start = expected.indices.randomElement(using: &random), Bool.random(using: &random) {
                    let got = try logs[w].texts("s", shard: shard, from: .after(expected[start].sequence), maxBytes: maxBytes)
                    #expect(got == expected[(start + 1)...].map(\.text), "seed \(seed)")
                } else {
                    #expect(try logs[w].texts("s", shard: shard, maxBytes: maxBytes) == expected.map(\.text), "seed \(seed)")
                }
            }
        }
        for shard in 0..<shards {
            #expect(model[shard].map(\.sequence) == model[shard].map(\.sequence).sorted(), "seed \(seed)")
            #expect(try logs[0].describe("s").shards[shard].records == model[shard].count, "seed \(seed)")
        }
    }
}
