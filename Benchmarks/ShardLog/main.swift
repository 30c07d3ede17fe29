import Foundation
import ShardLog
import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

// Append and tail of 100-byte records in batches of 500.
//
//     bench-shard-log [--directory DIR] [--seconds 3] [case ...]
//
// Cases: fsync, append (all of append-plain, append-lz4, append-encrypted, append-both), append-shards, append-single, durable, tail, reshard.
// Rates are given by the clock and by processor time: the second tells what one core of its own would do.

struct Measured {
    var records = 0, seconds = 0.0, cpu = 0.0
}

func cpuSeconds() -> Double {
    var usage = rusage()
    #if canImport(Glibc)
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #else
    getrusage(RUSAGE_SELF, &usage)
    #endif
    func seconds(_ t: timeval) -> Double { Double(t.tv_sec) + Double(t.tv_usec) / 1e6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

func measure(_ body: () throws -> Int) rethrows -> Measured {
    let start = Clock.monotonicNanoseconds(), cpu = cpuSeconds()
    let records = try body()
    return Measured(records: records, seconds: Double(Clock.monotonicNanoseconds() - start) / 1e9, cpu: cpuSeconds() - cpu)
}

func million(_ x: Double) -> String { String(format: "%.2f M", x / 1e6) }

func report(_ name: String, _ m: Measured, _ note: String = "") {
    let text = name.padding(toLength: 18, withPad: " ", startingAt: 0)
    print("\(text) \(million(Double(m.records) / m.seconds)) records/s by the clock, \(million(Double(m.records) / m.cpu)) per CPU second\(note.isEmpty ? "" : "; " + note)")
}

/// 100 bytes that compress about as sensor readings do.
func batch(_ seed: Int, keys: Int) -> RecordBatch {
    var batch = RecordBatch()
    for i in 0..<500 {
        let n = seed &* 500 &+ i
        var text = "{\"sensor_id\":\(n % 1_000),\"reading\":\(Double((n &* 7_919) % 100_000) / 1_000),\"timestamp\":\(1_700_000_000_000 + n),\"site\":\"hall \(n % 17)\"}"
        while text.utf8.count < 100 { text += " " }
        let key = "sensor \(n % keys)"
        Array(text.utf8.prefix(100)).withUnsafeBytes { data in
            Array(key.utf8).withUnsafeBytes { batch.append(data: data, partitionKey: $0) }
        }
    }
    return batch
}

func option(_ name: String) -> String? {
    let arguments = CommandLine.arguments
    guard let at = arguments.firstIndex(of: name), at + 1 < arguments.count else { return nil }
    return arguments[at + 1]
}
let directory = (option("--directory") ?? NSTemporaryDirectory()) + "/bench-shard-log-\(getpid())"
let limit = Double(option("--seconds") ?? "3") ?? 3
let chosen = Set(CommandLine.arguments.dropFirst()).intersection(["fsync", "append", "append-plain", "append-lz4", "append-encrypted", "append-both", "append-shards", "append-single", "durable", "tail", "reshard"])
defer { try? FileManager.default.removeItem(atPath: directory) }

let batches = (0..<64).map { batch($0, keys: 1_000) }
let log = try ShardLog(directory: directory)

func settings(lz4: Bool, encrypted: Bool) -> StreamSettings {
    var settings = StreamSettings()
    settings.compresses = lz4
    if encrypted { settings.encryptionKey = "bench" }
    return settings
}

func append(_ stream: String, _ flush: FlushPolicy, seconds: Double) throws -> Measured {
    let writer = try log.writer(stream, flush: flush)
    try writer.append(batches[0])
    let result = try measure {
        let start = Clock.monotonicNanoseconds()
        var n = 0
        while Double(Clock.monotonicNanoseconds() - start) < seconds * 1e9 {
            for batch in batches.prefix(flush == .everyAppend ? 1 : 64) { try writer.append(batch) }
            n += 500 * (flush == .everyAppend ? 1 : 64)
        }
        return n
    }
    try writer.close()
    return result
}

func isChosen(_ name: String) -> Bool { chosen.isEmpty || chosen.contains(name) }

if isChosen("fsync") {
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let fd = open(directory + "/probe", O_RDWR | O_CREAT, 0o644)
    let bytes = [UInt8](repeating: 1, count: 57_000)
    var n = 0
    let start = Clock.monotonicNanoseconds()
    while Double(Clock.monotonicNanoseconds() - start) < limit * 1e9 {
        _ = bytes.withUnsafeBytes { pwrite(fd, $0.baseAddress, $0.count, off_t(n * bytes.count)) }
        guard fsync(fd) == 0 else { throw StreamError(.io, "cannot flush \(directory)/probe") }
        n += 1
    }
    let rate = Double(n) / (Double(Clock.monotonicNanoseconds() - start) / 1e9)
    close(fd)
    unlink(directory + "/probe")
    print("this disk: \(Int(rate)) writes of 57 kB with fsync/s, so at most \(million(rate * 500)) records/s with one fsync per batch")
}

for (name, lz4, encrypted) in [("append-plain", false, false), ("append-lz4", true, false), ("append-encrypted", false, true), ("append-both", true, true)]
where isChosen(name) || isChosen("append") {
    try log.createStream(name, settings: settings(lz4: lz4, encrypted: encrypted))
    report(name, try append(name, .interval(milliseconds: 100), seconds: limit), "flushed every 100 ms")
    let stored = try log.describe(name).shards[0]
    let read = try measure {
        let reader = try log.reader(name, shard: 0, position: .trimHorizon)
        var n = 0, sum = 0
        while let chunk = try reader.read() {
            n += chunk.count
            sum &+= chunk.data(0).count
        }
        return sum > 0 ? n : 0
    }
    report(name.replacingOccurrences(of: "append", with: "read"), read, "\(stored.bytes / max(1, stored.records)) stored bytes per record")
    try log.deleteStream(name)
}

if isChosen("append-shards") {
    try log.createStream("shards", shards: 8)
    report("append-shards", try append("shards", .interval(milliseconds: 100), seconds: limit), "8 shards, MD5 of each key")
    try log.deleteStream("shards")
}

if isChosen("append-single") {
    try log.createStream("single", shards: 4)
    let writer = try log.writer("single", flush: .interval(milliseconds: 100))
    var one = RecordBatch()
    one.append(Record(partitionKey: "sensor 17", data: [UInt8](repeating: 0x78, count: 100)))
    report("append-single", try measure {
        let start = Clock.monotonicNanoseconds()
        var n = 0
        while Double(Clock.monotonicNanoseconds() - start) < limit * 1e9 {
            for _ in 0..<1_000 { try writer.append(one) }
            n += 1_000
        }
        return n
    }, "one record an append, 4 shards")
    try log.deleteStream("single")
}

if isChosen("durable") {
    try log.createStream("durable")
    report("durable", try append("durable", .everyAppend, seconds: limit), "fsync before each append returns")
    try log.deleteStream("durable")
    // Threads that share a writer share its flushes.
    try log.createStream("durable-8", shards: 4)
    let writer = try log.writer("durable-8")
    let shared = measure {
        let done = DispatchGroup(), count = Mutex(0)
        let start = Clock.monotonicNanoseconds()
        for _ in 0..<8 {
            done.enter()
            Thread.detachNewThread {
                defer { done.leave() }
                do {
                    var n = 0
                    while Double(Clock.monotonicNanoseconds() - start) < limit * 1e9 {
                        try writer.append(batches[n % 64])
                        n += 1
                    }
                    let total = n * 500
                    count.withLock { $0 += total }
                } catch { print("durable: \(error)") }
            }
        }
        done.wait()
        return count.withLock { $0 }
    }
    report("durable, 8 threads", shared, "4 shards; threads share the fsyncs")
    try log.deleteStream("durable-8")
}

/// A reader in a thread of its own follows the writer.
if isChosen("tail") {
    for (name, lz4, encrypted) in [("tail-plain", false, false), ("tail-lz4", true, false), ("tail-both", true, true)] {
        try log.createStream(name, settings: settings(lz4: lz4, encrypted: encrypted))
        let total = 64 * 500 * 200
        let result = try measure {
            let done = DispatchGroup()
            done.enter()
            Thread.detachNewThread {
                defer { done.leave() }
                do {
                    let reader = try log.reader(name, shard: 0, position: .trimHorizon)
                    var n = 0
                    while n < total {
                        if let chunk = try reader.read() { n += chunk.count } else { _ = try reader.waitForRecords(milliseconds: 1_000) }
                    }
                } catch { print("tail: \(error)") }
            }
            let writer = try log.writer(name, flush: .interval(milliseconds: 100))
            for _ in 0..<200 { for batch in batches { try writer.append(batch) } }
            done.wait()
            try writer.close()
            return total
        }
        report(name, result, "a writer and a reader that follows it, both counted")
        try log.deleteStream(name)
    }
}

/// Splits and merges while writers append as fast as they can: how long they wait for their turn.
if isChosen("reshard") {
    try log.createStream("reshard")
    let isOver = Atomic<Bool>(false), appended = Atomic<Int>(0), done = DispatchGroup()
    for _ in 0..<2 {
        done.enter()
        Thread.detachNewThread {
            defer { done.leave() }
            do {
                let writer = try ShardLog(directory: directory).writer("reshard", flush: .operatingSystem)
                while !isOver.load(ordering: .relaxed) {
                    try writer.append(batches[0])
                    appended.add(500, ordering: .relaxed)
                }
            } catch { print("reshard: \(error)") }
        }
    }
    var times: [Double] = []
    let start = Clock.monotonicNanoseconds()
    while times.count < 40, Double(Clock.monotonicNanoseconds() - start) < 4 * limit * 1e9 {
        let open = try log.info("reshard").openShards
        let began = Clock.monotonicNanoseconds()
        if open.count == 1 { _ = try log.split("reshard", shard: open[0].id, at: 1 << 127) } else { _ = try log.merge("reshard", open[0].id, open[1].id) }
        times.append(Double(Clock.monotonicNanoseconds() - began) / 1e6)
        usleep(20_000)
    }
    isOver.store(true, ordering: .relaxed)
    done.wait()
    times.sort()
    print(String(format: "reshard            %d splits and merges under two writers: median %.1f ms, longest %.1f ms; %.2f M records appended meanwhile",
                 times.count, times[times.count / 2], times.last!, Double(appended.load(ordering: .relaxed)) / 1e6))
    try log.deleteStream("reshard")
}
