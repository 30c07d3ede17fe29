import Foundation
import StreamCore
import StreamRuntime
import StreamTesting
import Testing
@testable import KinesisConnector

/// The same cases over the built-in log, over our endpoint with both kinds of readers, and over moto's server.
@Suite("kinesis in all places", .timeLimit(.minutes(3))) struct PlacesTests {
    static let columns = "id BIGINT, name STRING"
    static let bounded = ["scan.bounded.mode": "latest-offset"]

    /// Ids per key, in the order in which they came.
    static func order(_ texts: [String]) -> [String: [Int]] {
        var all: [String: [Int]] = [:]
        for text in texts {
            let parts = text.split(separator: "|")
            all[String(parts[1]), default: []].append(Int(parts[0])!)
        }
        return all
    }

    /// Every id once, in order per key.
    static func check(_ texts: [String], ids: Range<Int>, inOrder: Bool = true, _ note: String = "", sourceLocation: Testing.SourceLocation = #_sourceLocation) {
        let order = order(texts), all = order.values.flatMap { $0 }
        let counts = Dictionary(all.map { ($0, 1) }, uniquingKeysWith: +)
        let twice = counts.filter { $0.value > 1 }.keys.sorted(), missing = ids.filter { counts[$0] == nil }
        #expect(twice.isEmpty && missing.isEmpty && all.count == ids.count, "\(note): twice \(twice.prefix(20)), missing \(missing.prefix(20))", sourceLocation: sourceLocation)
        guard inOrder else { return }
        for (key, ids) in order { #expect(ids == ids.sorted(), "\(note): key \(key): \(ids)", sourceLocation: sourceLocation) }
    }

    @Test("a bounded query gives what was there at the start", arguments: Place.allCases, [1, 2])
    func bounded(place: Place, parallelism: Int) throws {
        let stream = try TestStream(place, shards: 3)
        try stream.put(0..<1_200)
        let jobs = try StreamJobs(stream.ddl(Self.columns, Self.bounded), parallelism: parallelism)
        Self.check(try jobs.texts("SELECT id, name FROM t"), ids: 0..<1_200)
        #expect(try jobs.texts("SELECT COUNT(*), SUM(id) FROM t").last == "1200|719400")
        let empty = try StreamJobs(stream.ddl(Self.columns, Self.bounded.merging(["source.init.position": "LATEST"]) { $1 }))
        #expect(try empty.texts("SELECT id, name FROM t") == [])
    }

    @Test("reading begins at the oldest record, at the end, or at a time", arguments: Place.allCases)
    func starts(place: Place) throws {
        let stream = try TestStream(place, shards: 2)
        try stream.put(0..<20)
        usleep(20_000)
        let time = String(format: "%.3f", Double(Clock.milliseconds()) / 1_000)
        usleep(20_000)
        try stream.put(20..<30)
        func job(_ options: [String: String]) throws -> RunningJob { try RunningJob(StreamJobs(stream.ddl(Self.columns, options)), "SELECT id, name FROM t") }
        let fromTime = try job(["source.init.position": "AT_TIMESTAMP", "source.init.timestamp": time])
        let old = try job(["scan.stream.initpos": "TRIM_HORIZON"])
        try old.wait(rows: 30)
        try fromTime.wait(rows: 10)
        // LATEST counts from when the splits are listed.
        let latest = try KinesisConnector().source(for: Self.table(stream, ["source.init.position": "LATEST"]), scan: ScanRequest(projection: [0, 1]))
        let splits = try latest.splits()
        try latest.begins(splits)
        try stream.put(30..<45)
        try fromTime.wait(rows: 25)
        try old.wait(rows: 45)
        let readers = try splits.map { try latest.reader(for: $0, metrics: OperatorMetrics()) }
        Self.check(try Self.texts(readers, count: 15), ids: 30..<45)
        for reader in readers { reader.close() }
        latest.runEnded()
        try old.stop()
        try fromTime.stop()
        Self.check(old.texts, ids: 0..<45)
        Self.check(fromTime.texts, ids: 20..<45)
    }

    static func table(_ stream: TestStream, _ options: [String: String] = [:], metadata: [TableDescriptor.MetadataColumn] = []) -> TableDescriptor {
        TableDescriptor(name: "t", schema: [Field("id", .bigint), Field("name", .string)], metadata: metadata, options: stream.options(options))
    }

    /// Rows of some readers, which take turns, until there are as many as wanted.
    static func texts(_ readers: [any SplitReader], count: Int, maxRows: Int = 100) throws -> [String] {
        var texts: [String] = []
        let deadline = Date().addingTimeInterval(30)
        while texts.count < count, Date() < deadline {
            var isIdle = true
            for reader in readers {
                if case .batch(let batch) = try reader.next(maxRows: maxRows) {
                    texts += batch.rows().map(StreamJobs.text)
                    isIdle = false
                }
            }
            if isIdle { usleep(2_000) }
        }
        return texts
    }

    @Test("a position goes on behind the last row that was given", arguments: Place.allCases)
    func positions(place: Place) throws {
        let stream = try TestStream(place)
        try stream.put(0..<50)
        let source = try KinesisConnector().source(for: Self.table(stream), scan: ScanRequest(projection: [0, 1]))
        let splits = try source.splits()
        try source.begins(splits)
        let first = try source.reader(for: splits[0], metrics: OperatorMetrics())
        let head = try Self.texts([first], count: 20, maxRows: 10)
        let position = first.position
        first.close()
        let second = try source.reader(for: SourceSplit(id: splits[0].id, position: position), metrics: OperatorMetrics())
        Self.check(head + (try Self.texts([second], count: 50 - head.count)), ids: 0..<50)
        second.close()
        source.runEnded()
    }

    @Test("metadata tells each record's shard, number, time and key", arguments: Place.allCases)
    func metadata(place: Place) throws {
        let stream = try TestStream(place, shards: 2)
        let before = Clock.milliseconds() - 1
        try stream.put(0..<40)
        let jobs = try StreamJobs(stream.ddl(
            "id BIGINT, name STRING, arrival TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', shard STRING METADATA FROM 'shard-id', "
                + "num STRING METADATA FROM 'sequence-number', k STRING METADATA FROM 'partition-key'", Self.bounded))
        let rows = try jobs.rows("SELECT id, name, k, shard, num, arrival FROM t")
        #expect(rows.count == 40 && rows.allSatisfy { $0[1] == $0[2] })
        #expect(Set(rows.map { $0[3] }) == [.string("shardId-000000000000"), .string("shardId-000000000001")])
        for (_, group) in Dictionary(grouping: rows, by: { $0[3] }) { #expect(Set(group.map { $0[4] }).count == group.count) }
        for row in rows {
            guard case .int(let time) = row[5] else { Issue.record("\(row)"); return }
            #expect(time >= before && time <= Clock.milliseconds() + 1)
        }
    }

    @Test("what INSERT writes comes back, with keys by PARTITIONED BY, by chance or fixed", arguments: Place.allCases, ["columns", "random", "fixed"])
    func written(place: Place, kind: String) throws {
        let stream = try TestStream(place, shards: 3)
        let source = try TestStream(.log, shards: 1)
        try source.put(0..<2_500, keys: 7)
        let jobs = try StreamJobs(
            source.ddl(Self.columns, name: "s", Self.bounded)
                + stream.ddl(Self.columns, partitionedBy: kind == "columns" ? "name" : "", kind == "columns" ? Self.bounded : Self.bounded.merging(["sink.partitioner": kind]) { $1 }))
        try jobs.run("INSERT INTO t SELECT * FROM s")
        let shards = try stream.records()
        #expect(shards.joined().count == 2_500)
        let keys = Set(shards.joined().map(\.key))
        switch kind {
        case "columns":
            #expect(keys == Set((0..<7).map { "k\($0)" }))
            #expect(shards.joined().allSatisfy { $0.data.contains("\"name\":\"\($0.key)\"") })
        case "fixed": #expect(keys.count == 1)
        default: #expect(keys.count == 2_500)
        }
        let texts = try jobs.texts("SELECT id, name FROM t")
        // Without a key of their own rows have no order among shards.
        Self.check(texts, ids: 0..<2_500, inOrder: kind != "random")
    }

    @Test("a job that is stopped or cancelled goes on from its checkpoint", arguments: Place.allCases, [1, 2])
    func restarts(place: Place, parallelism: Int) throws {
        let stream = try TestStream(place, shards: 3)
        let directory = Directory(), sink = CollectingSink(maxParallelism: 1, commitInterval: .milliseconds(30))
        let jobs = try StreamJobs(stream.ddl(Self.columns), parallelism: parallelism)
        var done = 0
        for round in 0..<4 {
            let job = try RunningJob(jobs, "SELECT id, name FROM t", directory: directory.path, into: sink)
            try stream.put(done..<done + 300)
            done += 300
            try job.wait(rows: done - (round == 3 ? 0 : 150))
            // A job that is cancelled has no last checkpoint.
            if round % 2 == 0 { try job.stop() } else { try job.cancel() }
        }
        Self.check(sink.rows.map { StreamJobs.text($0.values) }, ids: 0..<done)
    }

    @Test("SQL over event time gives each window once", arguments: Place.allCases)
    func windows(place: Place) throws {
        let stream = try TestStream(place, shards: 2)
        // Ten rows a second, for 20 seconds.
        try stream.put((0..<200).map { ("k\($0 % 5)", #"{"id": \#($0), "name": "k\#($0 % 5)", "ts": "2026-01-01 00:00:\#(String(format: "%02d.%d", $0 / 10, $0 % 10))"}"#) })
        let jobs = try StreamJobs(stream.ddl("id BIGINT, name STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND", Self.bounded))
        let windows = try jobs.texts("SELECT CAST(window_start AS STRING), COUNT(*), SUM(id) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY window_start, window_end")
        #expect(windows.sorted().map { $0.split(separator: "|").dropFirst().joined(separator: "|") } == ["50|1225", "50|3725", "50|6225", "50|8725"])
    }
}
