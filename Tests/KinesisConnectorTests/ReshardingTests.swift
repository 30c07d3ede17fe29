import Foundation
import StreamCore
import StreamRuntime
import StreamTesting
import Synchronization
import Testing
@testable import KinesisConnector

/// Streams whose shards are split and merged while, and before, they are read.
@Suite("kinesis resharding", .timeLimit(.minutes(3))) struct ReshardingTests {
    static let columns = PlacesTests.columns

    @Test("a child waits for its parents, shows that it is there when they are at their ends, and begins when they have ended")
    func lineage() throws {
        let stream = try TestStream(.log)
        try stream.put(0..<5)
        try stream.split()
        try stream.put(5..<20)
        try stream.merge()
        try stream.put(20..<30)
        let source = try KinesisConnector().source(for: PlacesTests.table(stream, ["scan.bounded.mode": "latest-offset"]), scan: ScanRequest(projection: [0, 1]))
        let splits = try source.splits()
        #expect(splits.count == 4)
        try source.begins(splits)
        let readers = try splits.map { try source.reader(for: $0, metrics: OperatorMetrics()) }
        func isWaiting(_ i: Int) throws -> Bool { if case .waiting = try readers[i].next(maxRows: 100) { true } else { false } }
        func rows(_ i: Int) throws -> Int? { if case .batch(let batch) = try readers[i].next(maxRows: 100) { batch.count } else { nil } }
        #expect(try isWaiting(1) && isWaiting(2) && isWaiting(3))
        #expect(try rows(0) == 5)
        // At its end it waits for its children.
        #expect(try isWaiting(0) && isWaiting(3))
        #expect(try rows(1) == 0)
        #expect(try isWaiting(1) && isWaiting(0))
        #expect(try rows(2) == 0)
        #expect(try isWaiting(2))
        guard case .endOfSplit = try readers[0].next(maxRows: 100) else { Issue.record("the parent does not end"); return }
        #expect(try isWaiting(1) && isWaiting(2) && isWaiting(3))
        let (first, second) = (try rows(1) ?? 0, try rows(2) ?? 0)
        #expect(first > 0 && second > 0 && first + second == 15)
        #expect(try isWaiting(1) && isWaiting(3) && isWaiting(2))
        #expect(try rows(3) == 0)
        #expect(try isWaiting(3))
        for i in 1...2 { guard case .endOfSplit = try readers[i].next(maxRows: 100) else { Issue.record("parent \(i) does not end"); return } }
        #expect(try isWaiting(3))
        #expect(try rows(3) == 10)
        guard case .endOfSplit = try readers[3].next(maxRows: 100) else { Issue.record("the last shard does not end"); return }
    }

    @Test("split and merged under load: every record once, in order per key", arguments: Place.resharding, [1, 2])
    func underLoad(place: Place, parallelism: Int) throws {
        let stream = try TestStream(place, shards: 2)
        let job = try RunningJob(StreamJobs(stream.ddl(Self.columns), parallelism: parallelism), "SELECT id, name FROM t")
        let progress = Atomic<Int>(0), isOver = Atomic<Bool>(false)
        let failure = Mutex<(any Error)?>(nil), ended = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            var next = 0
            do {
                while !isOver.load(ordering: .relaxed) {
                    try stream.put(next..<next + 25)
                    next += 25
                    progress.store(next, ordering: .relaxed)
                    usleep(2_000)
                }
            } catch { failure.withLock { $0 = error } }
            ended.signal()
        }
        let steps: [() throws -> Void] = [stream.split, stream.split, stream.merge, stream.split, stream.merge]
        for step in steps {
            let before = progress.load(ordering: .relaxed)
            try job.wait("more records before the next step") { progress.load(ordering: .relaxed) > before + 50 && job.sink.rows.count > before }
            try step()
        }
        isOver.store(true, ordering: .relaxed)
        ended.wait()
        if let error = failure.withLock({ $0 }) { throw error }
        let total = progress.load(ordering: .relaxed)
        try job.wait(rows: total)
        try job.stop()
        // Rows of two subtasks have no order among each other at the sink.
        PlacesTests.check(job.texts, ids: 0..<total, inOrder: parallelism == 1, "\(place), \(parallelism)")
    }

    @Test("moto goes on writing to a shard that was split, and never ends it: every record once all the same", arguments: [1, 2])
    func motoSplits(parallelism: Int) throws {
        let stream = try TestStream(.moto, shards: 2)
        let job = try RunningJob(StreamJobs(stream.ddl(Self.columns), parallelism: parallelism), "SELECT id, name FROM t")
        for round in 0..<3 {
            try stream.put(round * 200..<round * 200 + 200)
            try job.wait(rows: round * 200 + 200)
            try stream.split()
        }
        try stream.put(600..<800)
        try job.wait(rows: 800)
        try job.stop()
        PlacesTests.check(job.texts, ids: 0..<800, inOrder: parallelism == 1)
    }

    @Test("after LATEST the children of shards that are split later are read from their beginnings", arguments: Place.resharding)
    func latest(place: Place) throws {
        let stream = try TestStream(place)
        try stream.put(0..<20)
        try stream.split()
        try stream.put(20..<40)
        let source = try KinesisConnector().source(for: PlacesTests.table(stream, ["source.init.position": "LATEST"]), scan: ScanRequest(projection: [0, 1]))
        var splits = try source.splits()
        #expect(splits.map(\.id) == ["shardId-000000000001", "shardId-000000000002"])
        try source.begins(splits)
        var readers = try splits.map { try source.reader(for: $0, metrics: OperatorMetrics()) }
        usleep(5_000)
        try stream.put(40..<60)
        try stream.merge()
        try stream.put(60..<80)
        var known = Set(splits.map(\.id)), texts: [String] = []
        let deadline = Date().addingTimeInterval(40)
        while texts.count < 40, Date() < deadline {
            for split in try source.newSplits(known: known) {
                splits.append(split)
                known.insert(split.id)
                readers.append(try source.reader(for: split, metrics: OperatorMetrics()))
            }
            for reader in readers { if case .batch(let batch) = try reader.next(maxRows: 100) { texts += batch.rows().map(StreamJobs.text) } }
        }
        #expect(splits.map(\.id).last == "shardId-000000000003")
        PlacesTests.check(texts, ids: 40..<80)
        for reader in readers { reader.close() }
        source.runEnded()
    }

    @Test("windows over a stream that was split and merged have all rows", arguments: Place.resharding, [1, 2])
    func windows(place: Place, parallelism: Int) throws {
        let stream = try TestStream(place)
        func put(_ ids: Range<Int>) throws {
            try stream.put(ids.map { ("k\($0 % 7)", #"{"id": \#($0), "ts": "2026-01-01 00:\#(String(format: "%02d:%02d", $0 / 60, $0 % 60))"}"#) })
        }
        try put(0..<300)
        try stream.split()
        try put(300..<600)
        try stream.split()
        try put(600..<900)
        try stream.merge()
        try put(900..<1_200)
        // Without any delay: a row that a shard gives behind the watermark would be dropped.
        let jobs = try StreamJobs(stream.ddl("id BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts", ["scan.bounded.mode": "latest-offset"]), parallelism: parallelism)
        let windows = try jobs.texts("SELECT CAST(window_start AS STRING), COUNT(*) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end")
        #expect(windows.count == 20 && windows.allSatisfy { $0.hasSuffix("|60") }, "\(windows)")
    }

    @Test("a job that is stopped or cancelled among splits and merges goes on: every record once, in order per key", arguments: Place.resharding, [1, 2])
    func restarts(place: Place, parallelism: Int) throws {
        let stream = try TestStream(place, shards: 2)
        let directory = Directory(), sink = CollectingSink(maxParallelism: 1, commitInterval: .milliseconds(20))
        let jobs = try StreamJobs(stream.ddl(Self.columns), parallelism: parallelism)
        var done = 0
        for round in 0..<5 {
            try stream.put(done..<done + 200)
            done += 200
            if round > 0 { if round % 2 == 1 { try stream.split() } else { try stream.merge() } }
            try stream.put(done..<done + 200)
            done += 200
            let job = try RunningJob(jobs, "SELECT id, name FROM t", directory: directory.path, into: sink)
            // In the middle of parents and children.
            let wanted = round == 4 ? done : done - 400 + 90 * round
            try job.wait(rows: wanted)
            if round % 2 == 0 { try job.stop() } else { try job.cancel() }
        }
        PlacesTests.check(sink.rows.map { StreamJobs.text($0.values) }, ids: 0..<done, inOrder: parallelism == 1, "\(place), \(parallelism)")
    }
}
