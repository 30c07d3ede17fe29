import Foundation
import ShardLog
import StreamCore
import Synchronization
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@Suite("Shard log recovery") struct RecoveryTests {
    /// Two batches in a shard; returns the path and bytes of its segment and where the second batch starts.
    private func twoBatches(_ log: ShardLog, flushingFirst: Bool = false) throws -> (path: String, bytes: [UInt8], second: Int) {
        try log.createStream("s")
        let writer = try log.writer("s", flush: .operatingSystem)
        try writer.append([record("first"), record("batch")])
        let path = lastSegment(log, "s")
        let second = try Data(contentsOf: URL(fileURLWithPath: path)).count
        if flushingFirst { try writer.flush() }
        try writer.append([record("second"), record("one")])
        return (path, Array(try Data(contentsOf: URL(fileURLWithPath: path))), second)
    }

    @Test("a tail torn at any byte of the last batch is cut off, and nothing else")
    func tornTail() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        let (path, bytes, second) = try twoBatches(log)
        for cut in second...bytes.count {
            try Data(bytes[..<cut]).write(to: URL(fileURLWithPath: path))
            removeDurableMark(log, "s")
            let whole = cut == bytes.count
            // A reader of another process sees whole batches only, before any writer repairs.
            #expect(try ShardLog(directory: temporary.path).texts("s") == ["first", "batch"] + (whole ? ["second", "one"] : []))
            let other = try ShardLog(directory: temporary.path)
            let reader = try other.reader("s", shard: 0, position: .latest)
            let writer = try other.writer("s")
            #expect(writer.tornBytes == (whole ? 0 : cut - second), "cut at \(cut)")
            try writer.append([record("after")])
            #expect(try other.texts("s") == ["first", "batch"] + (whole ? ["second", "one"] : []) + ["after"])
            #expect(try reader.rest() == ["after"])
        }
    }

    @Test("zeros or garbage behind the last batch are cut off")
    func garbageTail() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        let (path, bytes, _) = try twoBatches(log)
        var random = SeededRandom(3)
        for n in [1, 63, 64, 65, 500, 100_000] {
            for tail in [[UInt8](repeating: 0, count: n), (0..<n).map { _ in UInt8.random(in: 0...255, using: &random) }] {
                try Data(bytes + tail).write(to: URL(fileURLWithPath: path))
                removeDurableMark(log, "s")
                let other = try ShardLog(directory: temporary.path)
                #expect(try other.texts("s") == ["first", "batch", "second", "one"])
                #expect(try other.writer("s").tornBytes == n)
            }
        }
    }

    @Test("damage before a whole batch is a torn tail, too, when nothing had been flushed: a power cut keeps what it likes")
    func holes() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        let (path, bytes, second) = try twoBatches(log)
        for at in stride(from: 0, to: second, by: 7) {
            var damaged = bytes
            for i in at..<second { damaged[i] = 0 }
            try Data(damaged).write(to: URL(fileURLWithPath: path))
            removeDurableMark(log, "s")
            let other = try ShardLog(directory: temporary.path)
            #expect(try other.texts("s") == [], "byte \(at)")
            try other.writer("s").append([record("next")])
            #expect(try other.texts("s") == ["next"], "byte \(at)")
        }
    }

    @Test("a flipped bit in what was flushed, before a whole batch, is corruption that names file and offset, wherever it is")
    func corruption() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        let (path, bytes, second) = try twoBatches(log, flushingFirst: true)
        for at in 0..<second {
            var damaged = bytes
            damaged[at] ^= 0x10
            try Data(damaged).write(to: URL(fileURLWithPath: path))
            removeDurableMark(log, "s")
            let other = try ShardLog(directory: temporary.path)
            let read = #expect(throws: StreamError.self, "byte \(at)") { try other.texts("s") }
            #expect(read?.code == .corrupt && read?.problem.contains("\(path): damaged record batch at offset 0") == true)
            let write = #expect(throws: StreamError.self, "byte \(at)") { try other.writer("s") }
            #expect(write?.code == .corrupt && write?.problem.contains(path) == true)
        }
    }

    @Test("damage to what was acknowledged as flushed is corruption, even in the last batch")
    func damagedAfterFlush() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s")
        let writer = try log.writer("s", flush: .everyAppend)
        try writer.append([record("kept for good")])
        try writer.close()
        let path = lastSegment(log, "s")
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        var damaged = bytes
        damaged[bytes.count - 3] ^= 1
        try Data(damaged).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: StreamError.self) { try ShardLog(directory: temporary.path).texts("s") }
        #expect(error?.code == .corrupt)
        try Data(bytes.dropLast()).write(to: URL(fileURLWithPath: path))
        let short = #expect(throws: StreamError.self) { try ShardLog(directory: temporary.path).writer("s") }
        #expect(short?.code == .corrupt)
        for kept in [0, 1, bytes.count - 1] {
            try Data(bytes.prefix(kept)).write(to: URL(fileURLWithPath: path))
            let read = #expect(throws: StreamError.self, "\(kept) bytes left") { try ShardLog(directory: temporary.path).texts("s") }
            #expect(read?.problem == "\(path) has \(kept) bytes; \(bytes.count) had been flushed to disk")
        }
    }

    @Test("a closed shard was whole when it was closed: what is missing or damaged at its end is corruption, never its end")
    func closedShard() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        let (path, bytes, second) = try twoBatches(log)
        _ = try log.split("s", shard: 0, at: 7)
        removeDurableMark(log, "s")
        #expect(try log.texts("s") == ["first", "batch", "second", "one"])
        for cut in second..<bytes.count {
            try Data(bytes[..<cut]).write(to: URL(fileURLWithPath: path))
            removeDurableMark(log, "s")
            let other = try ShardLog(directory: temporary.path)
            let reader = try other.reader("s", shard: 0, position: .trimHorizon)
            var texts: [String] = []
            let error = #expect(throws: StreamError.self, "cut at \(cut)") {
                while let chunk = try reader.read() { texts += (0..<chunk.count).map { String(decoding: chunk.data($0), as: UTF8.self) } }
            }
            #expect(error?.code == .corrupt && error?.problem.contains(path) == true && !reader.isFinished && texts == ["first", "batch"])
            // It keeps nobody from writing to the children.
            if cut == second { try other.writer("s").append([record("next")]) }
        }
        for at in second..<bytes.count {
            var damaged = bytes
            damaged[at] ^= 4
            try Data(damaged).write(to: URL(fileURLWithPath: path))
            removeDurableMark(log, "s")
            let error = #expect(throws: StreamError.self, "byte \(at)") { try ShardLog(directory: temporary.path).texts("s") }
            #expect(error?.code == .corrupt && error?.problem.contains(path) == true)
        }
    }

    @Test("a full disk acknowledges nothing, leaves no partial batch, and appending goes on when there is room")
    func diskFull() throws {
        let temporary = TemporaryDirectory()
        final class Disk: Sendable { let room = Atomic<Int>(.max) }
        let disk = Disk()
        var host = StreamCore.Host.system
        host.write = { fd, bytes, count, offset in
                guard offset > 8 else { return pwrite(fd, bytes, count, off_t(offset)) }
                let room = disk.room.load(ordering: .relaxed)
                if room == 0 {
                    errno = ENOSPC
                    return -1
                }
                let n = pwrite(fd, bytes, min(count, room), off_t(offset))
                if room != .max { disk.room.store(room - n, ordering: .relaxed) }
                return n
            }
        let log = try ShardLog(directory: temporary.path, host: host)
        try log.createStream("s")
        let writer = try log.writer("s")
        try writer.append([record("before")])
        let size = try Data(contentsOf: URL(fileURLWithPath: lastSegment(log, "s"))).count
        for room in [0, 1, 63, 70] {
            disk.room.store(room, ordering: .relaxed)
            let error = #expect(throws: StreamError.self) { try writer.append([record("lost"), record("lost too")]) }
            #expect(error?.code == .io && error?.problem.contains("No space left on device") == true)
            #expect(error?.fix?.contains("free disk space") == true)
            #expect(try Data(contentsOf: URL(fileURLWithPath: lastSegment(log, "s"))).count == size)
        }
        disk.room.store(.max, ordering: .relaxed)
        try writer.append([record("after")])
        #expect(try log.texts("s") == ["before", "after"])
    }

    @Test("after a failed flush nothing is acknowledged any more")
    func failedFlush() throws {
        let temporary = TemporaryDirectory()
        final class Disk: Sendable { let broken = Atomic<Bool>(false) }
        let disk = Disk()
        var host = StreamCore.Host.system
        host.sync = { fd in
            guard disk.broken.load(ordering: .relaxed) else { return StreamCore.Host.system.sync(fd) }
            errno = EIO
            return -1
        }
        let log = try ShardLog(directory: temporary.path, host: host)
        try log.createStream("s")
        let writer = try log.writer("s")
        try writer.append([record("a")])
        disk.broken.store(true, ordering: .relaxed)
        #expect(throws: StreamError.self) { try writer.append([record("b")]) }
        disk.broken.store(false, ordering: .relaxed)
        #expect(throws: StreamError.self) { try writer.append([record("c")]) }
    }

    @Test("a failed flush between appends, at an interval, is told by the next append and by flush")
    func failedIntervalFlush() throws {
        let temporary = TemporaryDirectory()
        final class Disk: Sendable { let broken = Atomic<Bool>(false), failed = Atomic<Int>(0) }
        let disk = Disk()
        var host = StreamCore.Host.system
        host.sync = { fd in
            guard disk.broken.load(ordering: .relaxed) else { return StreamCore.Host.system.sync(fd) }
            disk.failed.add(1, ordering: .relaxed)
            errno = EIO
            return -1
        }
        let log = try ShardLog(directory: temporary.path, host: host)
        try log.createStream("s")
        let writer = try log.writer("s", flush: .interval(milliseconds: 1))
        disk.broken.store(true, ordering: .relaxed)
        try writer.append([record("a")])
        let deadline = Date().addingTimeInterval(60)
        var error: StreamError?
        while error == nil, Date() < deadline {
            do { try writer.append([record("b")]) } catch let found as StreamError { error = found }
        }
        #expect(disk.failed.load(ordering: .relaxed) > 0)
        #expect(error?.code == .io && error?.problem.contains("Input/output error") == true)
        // It stays so: nobody knows what is on disk.
        disk.broken.store(false, ordering: .relaxed)
        #expect(throws: StreamError.self) { try writer.append([record("c")]) }
        #expect(throws: StreamError.self) { try writer.flush() }
    }

    @Test("a number given to a record that was lost is never given again")
    func epochs() throws {
        let temporary = TemporaryDirectory()
        let log = try ShardLog(directory: temporary.path)
        try log.createStream("s")
        try log.writer("s").append([record("a")])
        let kept = try Data(contentsOf: URL(fileURLWithPath: lastSegment(log, "s")))
        let lost = try log.writer("s", flush: .operatingSystem).append([record("lost")])[0].sequence!
        try kept.write(to: URL(fileURLWithPath: lastSegment(log, "s")))
        let other = try ShardLog(directory: temporary.path)
        let next = try other.writer("s").append([record("b")])[0].sequence!
        #expect(next.index == lost.index && next > lost)
        let error = #expect(throws: StreamError.self) { try other.reader("s", shard: 0, position: .after(lost)) }
        #expect(error?.problem.contains("does not hold record") == true)
        #expect(try other.texts("s", from: .after(next)) == [])
    }
}
