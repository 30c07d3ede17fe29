import RocksDBState
import StreamCore
import StreamOperators
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// COUNT and SUM by key over more keys than memory holds, with the `rocksdb` state backend:
///
///     swift run -c release bench-large-state [keys in millions = 10] [updates in millions = 20] [managed limit = 352mb] [directory]
///
/// Every key comes equally often, in an order of its own in each round. Prints the rate, the peak of resident memory, and how
/// long checkpoints hold the stream up; then counts the groups and their rows.

final class Counter: Output {
    var rows = 0
    func emit(_ batch: Batch) { rows += batch.count }
    var isReady: Bool { true }
}

func seconds() -> Double { clock(CLOCK_MONOTONIC) }
func processSeconds() -> Double { clock(CLOCK_PROCESS_CPUTIME_ID) }
func threadSeconds() -> Double { clock(CLOCK_THREAD_CPUTIME_ID) }

private func clock(_ id: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(id, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func peakMegabytes() -> Int {
    var usage = rusage()
    #if canImport(Glibc)
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss >> 10
    #else
    getrusage(RUSAGE_SELF, &usage)
    return usage.ru_maxrss >> 20
    #endif
}

func thousands(_ x: Double) -> String { "\(Int((x / 1_000).rounded())) k" }
func milliseconds(_ x: Double) -> String { "\(Int((x * 1_000).rounded())) ms" }

/// The keys in an order that looks random and differs from round to round: steps of a length that shares no factor with their number.
struct KeyOrder {
    let keys: UInt64
    let step: UInt64, start: UInt64

    init(keys: Int, round: Int) {
        self.keys = UInt64(keys)
        var step = RowHash.mix(UInt64(round) &+ 77) % self.keys | 1
        func divisor(_ a: UInt64, _ b: UInt64) -> UInt64 { b == 0 ? a : divisor(b, a % b) }
        while divisor(step, self.keys) != 1 { step += 2 }
        (self.step, start) = (step, RowHash.mix(UInt64(round)) % self.keys)
    }

    @inline(__always) func key(_ i: Int) -> Int64 {
        let number = (start &+ UInt64(i).multipliedFullWidth(by: step).low) % keys
        return Int64(bitPattern: RowHash.mix(number &+ 1))
    }
}

@main struct LargeState {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        func argument(_ i: Int, _ other: Int) throws -> Int {
            guard arguments.count > i else { return other }
            let text = arguments[arguments.startIndex + i]
            guard let n = Double(text), n > 0 else { throw StreamError(.validate, "'\(text)' is no number of millions", fix: "write it like 10") }
            return Int(n * 1_000_000)
        }
        let keys = try argument(0, 10_000_000), updates = try argument(1, 20_000_000)
        // The process is to stay below 512 MiB.
        let limit = arguments.count > 2 ? arguments[arguments.startIndex + 2] : "352mb"
        let options = try RocksDBOptions([RocksDBOptions.managedLimitKey: limit])
        let root = (arguments.count > 3 ? arguments[arguments.startIndex + 3] : ".") + "/bench-large-state-\(getpid())"
        defer { try? Host.system.removeTree(root) }

        let schema = [Field("k", .bigint, nullable: false), Field("v", .bigint, nullable: false)]
        let spec = GroupAggregateSpec(inputSchema: schema, keys: [0], aggregates: [
            AggregateCall(function: "COUNT", arguments: [], argumentTypes: [], resultType: .bigint),
            AggregateCall(function: "SUM", arguments: [1], argumentTypes: [.bigint], resultType: .bigint),
        ], inputChanges: false)
        let op = try Operators.groupAggregate(spec)(), output = Counter()
        try op.open(OperatorContext(name: "large", backend: try RocksDBBackend(options), workDirectory: root))
        print("\(keys) keys, \(updates) updates, managed limit \(options.managedLimit >> 20) MB")

        var known: Set<String> = []
        func checkpoint(_ number: UInt64) throws {
            let start = seconds()
            let snapshot = try op.snapshot(number)
            let took = seconds() - start
            for files in snapshot.stores {
                let fresh = files.immutable.filter { !known.contains($0) }
                known.formUnion(fresh)
                let sizes = [files.immutable, fresh + files.mutable].map { $0.reduce(0) { $0 + (Host.size(of: files.directory + "/" + $1) ?? 0) } >> 20 }
                print("checkpoint \(number): the stream waits \(milliseconds(took)); \(sizes[0]) MB in \(files.immutable.count) files, \(sizes[1]) MB of them new")
                try Host.system.removeTree(files.directory)
            }
        }

        let begin = seconds(), cpu = processSeconds(), own = threadSeconds()
        var lapStart = begin, done = 0
        let lap = max(Batch.targetRows, updates / 10)
        var nextLap = lap, checkpoints: [Int] = [updates * 8 / 10, updates * 8 / 10 + updates / 100]
        while done < updates {
            let n = min(Batch.targetRows, updates - done, keys - done % keys)
            let order = KeyOrder(keys: keys, round: done / keys), first = done % keys
            let buffers = [Buffer(capacity: n * 8), Buffer(capacity: n * 8)]
            let (k, v) = (buffers[0].pointer(as: Int64.self), buffers[1].pointer(as: Int64.self))
            for i in 0..<n {
                k[i] = order.key(first + i)
                v[i] = Int64((done + i) & 0xFFFF)
            }
            let batch = Batch(columns: buffers.map { Column(type: .bigint, count: n, values: $0) }, physicalCount: n)
            _ = try op.process(batch, input: 0, output: output)
            done += n
            if done >= nextLap {
                let now = seconds()
                print("\(done) updates: \(thousands(Double(lap) / (now - lapStart)))/s, peak \(peakMegabytes()) MB")
                lapStart = now
                nextLap += lap
            }
            if let at = checkpoints.first, done >= at {
                checkpoints.removeFirst()
                try checkpoint(UInt64(2 - checkpoints.count))
            }
        }
        let took = seconds() - begin
        print("""
            \(thousands(Double(updates) / took)) updates/s over \(Int(took)) s, checkpoints included; \
            \(thousands(Double(updates) / (threadSeconds() - own))) per CPU second of the stream's thread, \
            \(thousands(Double(updates) / (processSeconds() - cpu))) per CPU second of the process
            peak of resident memory \(peakMegabytes()) MB, \(output.rows) changes came out
            """)

        var (groups, rows, sum): (Int, Int64, Int64) = (0, 0, 0)
        for unit in try op.portableSnapshot(9).units {
            for piece in try unit.pieces() where piece.name == "groups" {
                groups += piece.batch.count
                let (counts, sums) = (piece.batch.columns[1].flat(), piece.batch.columns[2].flat())
                withExtendedLifetime((counts, sums)) {
                    for i in 0..<piece.batch.count {
                        rows += counts.pointer(as: Int64.self)[i]
                        sum += sums.pointer(as: Int64.self)[i]
                    }
                }
            }
        }
        var expected: Int64 = 0
        for i in 0..<updates { expected += Int64(i & 0xFFFF) }
        guard groups == min(keys, updates), rows == Int64(updates), sum == expected else {
            throw StreamError(.runtime, "the state has \(groups) groups with \(rows) rows and a sum of \(sum), not \(expected)", fix: "report this")
        }
        op.close()
        print("\(groups) groups with \(rows) rows in the state; peak of resident memory \(peakMegabytes()) MB")
    }
}
