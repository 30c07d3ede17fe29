import Foundation
import ShardLog
import StreamCore
import StreamTesting
import Synchronization
import Testing

/// Producers, a resharder and a sweeper that die again and again, on one stream, while consumers follow it.
@Suite("Splits and merges under load") struct ReshardingChaosTests {
    private struct Failures {
        var texts: [String] = []
    }

    @Test("producers that die and repeat, splits, merges and consumers: every record once, in order per key, parents before children",
          arguments: UInt64(1)...4)
    func chaos(_ seed: UInt64) throws {
        let temporary = TemporaryDirectory(), path = temporary.path
        let (producers, appends, perAppend, keysPerProducer) = (4, 60, 8, 5)
        let total = producers * appends * perAppend
        var settings = StreamSettings()
        settings.segmentBytes = 4_096
        if seed % 2 == 0 { settings.encryptionKey = "k" }
        try ShardLog(directory: path).createStream("s", shards: 2, settings: settings)
        let failures = Mutex(Failures()), produced = Atomic<Int>(0), deaths = Atomic<Int>(0), reshards = Atomic<Int>(0)
        let isOver = Atomic<Bool>(false)
        @Sendable func fail(_ text: String) { failures.withLock { $0.texts.append(text) } }

        let threads = Threads()
        for p in 0..<producers {
            threads.start {
                var random = SeededRandom(seed &* 1_000 &+ UInt64(p))
                var host = DyingHost(calls: Int.random(in: 20..<200, using: &random), seed: random.next())
                var writer: StreamWriter?
                for n in 0..<appends {
                    var batch = RecordBatch()
                    for i in 0..<perAppend { batch.append(record("\(p):\(n * perAppend + i)", key: "key \(p) \((n * perAppend + i) % keysPerProducer)")) }
                    let id = ProducerSequence(producer: UInt64(p + 1), sequence: UInt64(n + 1))
                    let deadline = Date().addingTimeInterval(60)
                    // However the threads are scheduled, shards change in between.
                    while n % 12 == 0, reshards.load(ordering: .relaxed) < n / 12, Date() < deadline { usleep(500) }
                    while true {
                        do {
                            if writer == nil { writer = try ShardLog(directory: path, host: host.host).writer("s", flush: p == 0 ? .operatingSystem : .everyAppend) }
                            try writer!.append(batch, producer: id)
                            break
                        } catch {
                            guard host.isDead, Date() < deadline else { return fail("producer \(p), append \(n): \(error)") }
                            deaths.add(1, ordering: .relaxed)
                            writer = nil
                            host = DyingHost(calls: Int.random(in: 20..<200, using: &random), seed: random.next())
                        }
                    }
                }
                produced.add(1, ordering: .relaxed)
            }
        }
        threads.start {
            var random = SeededRandom(seed &* 7_777)
            while produced.load(ordering: .relaxed) < producers, failures.withLock({ $0.texts.isEmpty }) {
                let dying = DyingHost(calls: Int.random(in: 1..<60, using: &random), seed: random.next())
                do {
                    let log = try ShardLog(directory: path, host: dying.host)
                    let open = try log.info("s").openShards.sorted { $0.range.first < $1.range.first }
                    if open.count < 2 || (open.count < 6 && Bool.random(using: &random)) {
                        let shard = open.randomElement(using: &random)!
                        _ = try log.split("s", shard: shard.id, at: shard.range.first + 1 + (shard.range.last - shard.range.first) / 2)
                    } else {
                        let i = Int.random(in: 1..<open.count, using: &random)
                        _ = Bool.random(using: &random) ? try log.merge("s", open[i - 1].id, open[i].id) : try log.merge("s", open[i].id, open[i - 1].id)
                    }
                    reshards.add(1, ordering: .relaxed)
                } catch {
                    guard dying.isDead else { return fail("resharder: \(error)") }
                }
                usleep(UInt32.random(in: 0..<3_000, using: &random))
            }
        }
        for c in 0..<3 {
            threads.start {
                do { try consume(path, total: total, seed: seed + UInt64(c), isOver, fail) } catch { fail("consumer \(c): \(error)") }
            }
        }
        let isDone = threads.join(seconds: 100)
        isOver.store(true, ordering: .relaxed)
        if !isDone { _ = threads.join(seconds: 20) }
        #expect(isDone, "seed \(seed)")
        #expect(failures.withLock { $0.texts } == [], "seed \(seed)")
        #expect(deaths.load(ordering: .relaxed) > 3 && reshards.load(ordering: .relaxed) > 3, "seed \(seed)")
        // What was read while it happened is what is there.
        let log = try ShardLog(directory: path)
        let all = try log.info("s").shards.flatMap { try log.texts("s", shard: $0.id) }
        #expect(all.count == total && Set(all).count == total, "seed \(seed)")
    }

    /// Reads parents before children until all records have come.
    private func consume(_ path: String, total: Int, seed: UInt64, _ isOver: borrowing Atomic<Bool>, _ fail: (String) -> Void) throws {
        var random = SeededRandom(seed)
        let log = try ShardLog(directory: path)
        var readers: [Int: ShardReader] = [:], finished: Set<Int> = [], seen: Set<String> = [], newest: [String: Int] = [:]
        var last: [Int: SequenceNumber] = [:]
        while seen.count < total, !isOver.load(ordering: .relaxed) {
            for shard in try log.info("s").shards where readers[shard.id] == nil && !finished.contains(shard.id) && shard.parents.allSatisfy({ finished.contains($0) }) {
                readers[shard.id] = try log.reader("s", shard: shard.id, position: .trimHorizon)
            }
            let order = readers.keys.sorted().shuffled(using: &random)
            var found = false
            for id in order {
                // Now and then a reader is made anew from its position, as after a restart.
                if Int.random(in: 0..<10, using: &random) == 0, let after = last[id] { readers[id] = try log.reader("s", shard: id, position: .after(after)) }
                let reader = readers[id]!
                while let chunk = try reader.read(maxBytes: Int.random(in: 1..<2_000, using: &random)) {
                    found = true
                    for i in 0..<chunk.count {
                        let text = String(decoding: chunk.data(i), as: UTF8.self), key = chunk.partitionKey(i)
                        let number = Int(text.drop { $0 != ":" }.dropFirst())!
                        if !seen.insert(text).inserted { fail("\(text) came twice") }
                        if newest[key] ?? -1 >= number { fail("\(text) came after \(newest[key]!) of \(key)") }
                        newest[key] = number
                    }
                    last[id] = chunk.sequence(chunk.count - 1)
                }
                if reader.isFinished {
                    readers[id] = nil
                    finished.insert(id)
                    found = true
                }
            }
            if !found { _ = try ShardLog.wait(for: Array(readers.values), milliseconds: 100) }
        }
        if seen.count < total { fail("\(seen.count) of \(total) records came") }
    }

    @Test("power cuts at any moment, with splits, merges and sweeps in between: what was acknowledged is there once, in order",
          arguments: UInt64(1)...12)
    func powerCuts(_ seed: UInt64) throws {
        var random = SeededRandom(seed)
        let disk = try SimulatedDisk(seed: seed)
        var settings = StreamSettings()
        settings.segmentBytes = 4_096
        settings.retentionMilliseconds = 1_000_000_000
        try ShardLog(directory: disk.root + "/log", host: disk.host).createStream("s", shards: 2, settings: settings)
        var acknowledged = 0, cuts = 0
        let target = 120
        while acknowledged < target {
            disk.cutPower(afterCalls: Int.random(in: 1..<150, using: &random))
            do {
                let log = try ShardLog(directory: disk.root + "/log", host: disk.host)
                let writer = try log.writer("s")
                while acknowledged < target {
                    var batch = RecordBatch()
                    for i in 0..<5 { batch.append(record("\(acknowledged * 5 + i)", key: "key \(i)")) }
                    try writer.append(batch, producer: ProducerSequence(producer: 9, sequence: UInt64(acknowledged + 1)))
                    acknowledged += 1
                    let open = try log.info("s").openShards.sorted { $0.range.first < $1.range.first }
                    switch Int.random(in: 0..<12, using: &random) {
                    case 0 where open.count < 5:
                        let shard = open.randomElement(using: &random)!
                        _ = try log.split("s", shard: shard.id, at: shard.range.first + 1 + (shard.range.last - shard.range.first) / 2)
                    case 1 where open.count > 1:
                        let i = Int.random(in: 1..<open.count, using: &random)
                        _ = try log.merge("s", open[i - 1].id, open[i].id)
                    case 2: _ = try log.enforceRetention()
                    default: break
                    }
                }
            } catch {
                #expect(disk.isPowerless, "seed \(seed): \(error)")
            }
            disk.cutPower(afterCalls: nil)
            try disk.crash(&random)
            cuts += 1
            // Only what a try that was cut had begun may be there beyond what was acknowledged.
            let log = try ShardLog(directory: disk.root + "/log", host: disk.host)
            let found = try texts(log)
            #expect(Set(found).count == found.count, "seed \(seed), cut \(cuts)")
            #expect(Set(found).isSuperset(of: (0..<acknowledged * 5).map(String.init)), "seed \(seed), cut \(cuts)")
            #expect(found.allSatisfy { Int($0)! < (acknowledged + 1) * 5 }, "seed \(seed), cut \(cuts)")
            for key in 0..<5 {
                let numbers = found.compactMap(Int.init).filter { $0 % 5 == key }
                #expect(numbers == numbers.sorted(), "seed \(seed), cut \(cuts)")
            }
        }
        #expect(cuts > 3)
    }

    /// All records, parents before children.
    private func texts(_ log: ShardLog) throws -> [String] { try log.info("s").shards.flatMap { try log.texts("s", shard: $0.id) } }
}

/// Threads that a test waits for; not those of the task pool, which must not be blocked.
private final class Threads: Sendable {
    private let running = Mutex(0)

    func start(_ body: @escaping @Sendable () -> Void) {
        running.withLock { $0 += 1 }
        Thread.detachNewThread { [self] in
            body()
            running.withLock { $0 -= 1 }
        }
    }

    func join(seconds: Double) -> Bool {
        let deadline = Date().addingTimeInterval(seconds)
        while running.withLock({ $0 > 0 }) {
            if Date() > deadline { return false }
            usleep(2_000)
        }
        return true
    }
}
