import StreamCore
import StreamState
import Foundation

typealias Host = StreamCore.Host
func cpu() -> Double { var u = rusage(); getrusage(__rusage_who_t(0), &u); return Double(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + Double(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6 }
func measure<R>(_ name: String, _ body: () throws -> R) rethrows -> R {
    let c = cpu(), t = Date()
    let r = try body()
    print(name, "wall", String(format: "%.3f", Date().timeIntervalSince(t)), "cpu", String(format: "%.3f", cpu() - c))
    return r
}
@main struct Main {
    static func main() throws {
        let dir = "/tmp/bench-state-\(getpid())"
        defer { try? Host.system.removeTree(dir) }
        let storage = try CheckpointStorage(directory: dir)
        let n = 7_812
        var x: UInt64 = 1
        func next() -> UInt64 { x ^= x << 13; x ^= x >> 7; x ^= x << 17; return x }
        for text in [false, true] {
            var pieces: [KeyGroupState] = []
            for g in 0..<128 { for s in 0..<6 {
                let keys = Buffer(capacity: n * 8), counts = Buffer(capacity: n * 8), sums = Buffer(capacity: n * 8), other = Buffer(capacity: n * 16)
                for i in 0..<n {
                    keys.pointer(as: Int64.self)[i] = Int64(next() % 1_000_000)
                    counts.pointer(as: Int64.self)[i] = Int64(next() % 20)
                    sums.pointer(as: Double.self)[i] = Double(next() % 100_000) / 100
                    other.pointer(as: Int64.self)[i] = Int64(next() % 3)
                }
                var columns = [Column(type: .bigint, count: n, values: keys), Column(type: .bigint, count: n, values: counts), Column(type: .double, count: n, values: sums), Column(type: .bigint, count: n, values: other)]
                if text {
                    let b = ColumnBuilder(type: .string, capacity: n)
                    for i in 0..<n { b.append(string: "customer-\(i)-\(g)-some") }
                    columns[3] = b.finish()
                }
                pieces.append(KeyGroupState(keyGroup: UInt16(g), name: "slice \(s)", batch: Batch(columns: columns, physicalCount: n)))
            } }
            let snapshot = OperatorSnapshot(pieces)
            let number = text ? UInt64(2) : 1
            var bytes = 0
            let checkpoint = try measure("write text=\(text)") {
                let writer = try storage.begin(number)
                let (state, _, b) = try measure("  pieces") { try writer.write(snapshot, operatorID: "a", subtask: 0) }
                bytes = b
                return try measure("  complete") { try writer.complete(CheckpointManifest(kind: .checkpoint, checkpoint: number, jobID: "", jobName: "", planFingerprint: "", maxParallelism: 128, startedAt: 0, operators: [.init(id: "a", name: "a", parallelism: 1, subtasks: [.init(subtask: 0, state: state, stateBytes: bytes)])])) }
            }
            let raw = try checkpoint.pieces(of: "a").reduce(0) { $0 + $1.rawBytes }
            print("stored", bytes / 1_000_000, "MB raw", raw / 1_000_000, "MB")
            for _ in 0..<2 { try measure("newest") { _ = try storage.newest { print($0) } } }
            for _ in 0..<2 { try measure("restore") {
                var rows = 0
                try checkpoint.state(of: "a", keyGroups: 0..<128).forEach { rows += $0.batch.count }
                print("  rows", rows)
            } }
        }
    }
}
