import Foundation
import ShardLog
import StreamCore
import StreamTesting
import Synchronization
import Testing

@Suite("A full disk under the shard log") struct DiskFullTests {
    @Test("the error can be recognised, says how much is free and where, and appending works again once there is room")
    func recognised() throws {
        let disk = try SimulatedDisk(seed: 1)
        let log = try ShardLog(directory: disk.root + "/log", host: disk.host)
        try log.createStream("s", shards: 2)
        let writer = try log.writer("s")
        try writer.append([record("a")])
        disk.freeBytes = 30
        let error = #expect(throws: StreamError.self) { try writer.append([record("lost")]) }
        #expect(ShardLog.isDiskFull(error!) && error!.problem.contains("No space left on device") && error!.problem.contains(disk.root))
        #expect(error!.problem.contains("bytes are free") && error!.fix?.contains("free disk space") == true)
        #expect(!ShardLog.isDiskFull(StreamError(.io, "other")))
        disk.freeBytes = nil
        try writer.append([record("b")])
        let shard = try writer.append([record("c")])[0].shard
        #expect(try log.texts("s", shard: shard) == ["a", "b", "c"])
    }

    @Test("a writer that is told to wait goes on with what is missing: every record once, whichever shard was full, also after a reshard")
    func waiting() throws {
        for free in stride(from: 0, through: 3_000, by: 75) {
            let disk = try SimulatedDisk(seed: 1)
            let log = try ShardLog(directory: disk.root + "/log", host: disk.host)
            try log.createStream("s", shards: 4)
            let writer = try log.writer("s")
            var batch = RecordBatch()
            for i in 0..<40 { batch.append(record("\(i) " + String(repeating: "x", count: 40), key: "\(i)")) }
            disk.freeBytes = free
            let waits = Atomic<Int>(0)
            let result = try writer.append(batch, whileFull: DiskWait(timeout: .seconds(10), report: { error in
                guard waits.add(1, ordering: .relaxed).newValue == 1 else { return }
                #expect(ShardLog.isDiskFull(error))
                disk.freeBytes = nil
                if free % 2 == 0 { _ = try! log.merge("s", 1, 2) }
            }))
            #expect(waits.load(ordering: .relaxed) == 1 || free > 2_000, "\(free) bytes free")
            let texts = try log.info("s").shards.flatMap { try log.texts("s", shard: $0.id) }
            #expect(Set(texts).count == 40 && texts.count == 40, "\(free) bytes free")
            for i in 0..<40 {
                let reader = try log.reader("s", shard: result[i].shard, position: .at(result[i].sequence!))
                let chunk = try #require(try reader.read())
                #expect(String(decoding: chunk.data(0), as: UTF8.self).hasPrefix("\(i) "), "\(free) bytes free")
            }
        }
    }

    @Test("waiting ends when it is cancelled or its time is up, with the error")
    func giveUp() throws {
        let disk = try SimulatedDisk(seed: 1)
        let log = try ShardLog(directory: disk.root + "/log", host: disk.host)
        try log.createStream("s")
        let writer = try log.writer("s")
        disk.freeBytes = 0
        for wait in [DiskWait(timeout: .milliseconds(30)), DiskWait(isCancelled: { true })] {
            let error = #expect(throws: StreamError.self) { try writer.append(RecordBatch([record("a")]), whileFull: wait) }
            #expect(ShardLog.isDiskFull(error!))
        }
        disk.freeBytes = nil
        try writer.append([record("b")])
        #expect(try log.texts("s") == ["b"])
    }

    @Test("room that is to stay free is not written to, and counts before anything is written")
    func minimum() throws {
        let temporary = TemporaryDirectory()
        let free = SharedNumber(1 << 30)
        var options = LogOptions(minimumFreeBytes: 1 << 20)
        options.freeBytes = { _ in free.value }
        let log = try ShardLog(directory: temporary.path, options: options)
        try log.createStream("s", shards: 2)
        let writer = try log.writer("s")
        try writer.append([record("a", key: "1"), record("b", key: "2")])
        free.value = (1 << 20) + 10
        // What was looked at lately may be used up before the next look.
        var error: StreamError?
        for _ in 0..<10 where error == nil {
            do { try writer.append([record(String(repeating: "x", count: 100_000))]) } catch let found as StreamError { error = found }
        }
        #expect(error.map { ShardLog.isDiskFull($0) } == true && error!.problem.contains("1048576 are to stay free"))
        #expect(error!.problem.contains("1048586 bytes are free"))
        free.value = 1 << 30
        try writer.append([record("c")])
    }

    @Test("a flush that finds the disk full is mended: nothing that was appended is lost, later appends count again",
          arguments: [FlushPolicy.everyAppend, .operatingSystem, .interval(milliseconds: 1)])
    func failedFlush(_ policy: FlushPolicy) throws {
        let temporary = TemporaryDirectory()
        let full = SharedNumber(0)
        var host = StreamCore.Host.system
        host.sync = { fd in
            guard full.value == 1 else { return StreamCore.Host.system.sync(fd) }
            errno = ENOSPC
            return -1
        }
        let log = try ShardLog(directory: temporary.path, host: host)
        try log.createStream("s")
        let writer = try log.writer("s", flush: policy)
        try writer.append([record("a")])
        try writer.flush()
        full.value = 1
        let error = #expect(throws: StreamError.self) {
            try writer.append([record("b")])
            try writer.flush()
        }
        #expect(ShardLog.isDiskFull(error!))
        full.value = 0
        try writer.append([record("c")])
        try writer.flush()
        #expect(try log.texts("s") == ["a", "b", "c"])
        try writer.close()
    }

    @Test("staging waits for room, too, and stages every record once")
    func staging() throws {
        let disk = try SimulatedDisk(seed: 1)
        let log = try ShardLog(directory: disk.root + "/log", host: disk.host)
        try log.createStream("s")
        var batch = RecordBatch()
        for i in 0..<3_000 { batch.append(record("\(i) " + String(repeating: "x", count: 90))) }
        let writer = try log.writer("s", flush: .operatingSystem)
        for free in [0, 10_000, 100_000, 300_000] {
            let stager = try log.stager("s", owner: "o")
            disk.freeBytes = free
            try stager.add(batch, whileFull: DiskWait(timeout: .seconds(10), report: { _ in disk.freeBytes = nil }))
            disk.freeBytes = nil
            let staged = try #require(try stager.finish())
            disk.freeBytes = free
            try writer.append(staged, whileFull: DiskWait(timeout: .seconds(10), report: { _ in disk.freeBytes = nil }))
            disk.freeBytes = nil
            try log.remove(staged, of: "s")
        }
        #expect(try log.texts("s").map { Int($0.prefix { $0 != " " })! } == Array(repeating: Array(0..<3_000), count: 4).flatMap { $0 })
    }
}

private final class SharedNumber: Sendable {
    private let number: Atomic<Int>
    init(_ value: Int) { number = Atomic(value) }
    var value: Int {
        get { number.load(ordering: .relaxed) }
        set { number.store(newValue, ordering: .relaxed) }
    }
}

extension RecordBatch {
    init(_ records: [Record]) {
        self.init()
        for record in records { append(record) }
    }
}
