import StreamCore
import StreamOperators
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What a checkpoint of much state costs, one thread: `swift run -c release bench-snapshots`. Times are of the thread's CPU, with the
/// wall clock's beside them.

final class Counter: Output {
    var rows = 0
    func emit(_ batch: Batch) { rows += batch.count }
    var isReady: Bool { true }
}

func column<T: BitwiseCopyable>(_ type: DataType, _ n: Int, _ body: (Int) -> T) -> Column {
    let buffer = Buffer(capacity: n * MemoryLayout<T>.stride)
    for i in 0..<n { buffer.pointer(as: T.self)[i] = body(i) }
    return Column(type: type, count: n, values: buffer)
}

func milliseconds(_ clock: clockid_t) -> Double {
    var t = timespec()
    clock_gettime(clock, &t)
    return Double(t.tv_sec) * 1_000 + Double(t.tv_nsec) / 1_000_000
}

@discardableResult
func timed<T>(_ name: String, _ body: () throws -> T) rethrows -> T {
    let (cpu, wall) = (milliseconds(CLOCK_THREAD_CPUTIME_ID), milliseconds(CLOCK_MONOTONIC))
    let result = try body()
    let (cpuEnd, wallEnd) = (milliseconds(CLOCK_THREAD_CPUTIME_ID), milliseconds(CLOCK_MONOTONIC))
    func tenths(_ ms: Double) -> String { "\(Int(ms * 10) / 10).\(Int(ms * 10) % 10)" }
    print("  " + name + String(repeating: " ", count: max(1, 44 - name.utf8.count)) + "\(tenths(cpuEnd - cpu)) ms CPU, \(tenths(wallEnd - wall)) ms wall")
    return result
}

func bytes(_ states: [KeyGroupState]) -> Int {
    states.reduce(0) { $0 + $1.batch.columns.reduce(0) { $0 + $1.count * $1.type.width + ($1.validity == nil ? 0 : $1.count / 8) } }
}

let keys = 1_000_000, size = Batch.targetRows

func keyColumn(_ type: DataType, _ n: Int, _ key: (Int) -> Int) -> Column {
    if type == .int { return column(.int, n) { Int32(truncatingIfNeeded: key($0)) } }
    let builder = ColumnBuilder(type: type, capacity: n)
    for i in 0..<n { builder.append(string: "sensor-\(key(i))") }
    return builder.finish()
}

/// Every key once, in a scattered order, all at one time.
func round(_ type: DataType, at time: Int64) -> [Batch] {
    stride(from: 0, to: keys, by: size).map { start in
        let n = min(size, keys - start)
        return Batch(columns: [keyColumn(type, n) { (start + $0) &* 7_919 % keys }, column(.double, n) { Double($0 & 255) },
                               column(.timestamp(3), n) { _ in time }], physicalCount: n)
    }
}

func schema(_ type: DataType) -> Schema { [Field("key", type), Field("v", .double), Field("ts", .timestamp(3))] }
let aggregates = [AggregateCall(function: "COUNT", arguments: [], argumentTypes: [], resultType: .bigint),
                  AggregateCall(function: "AVG", arguments: [1], argumentTypes: [.double], resultType: .double)]

func report(_ title: String, _ make: Operators.Factory, rounds: [[Batch]], next: Batch) throws {
    print(title)
    let counter = Counter()
    let op = try make()
    try op.open(OperatorContext(name: title))
    for batch in rounds.joined() { _ = try op.process(batch, input: 0, output: counter) }
    let snapshot = try timed("snapshot(), which stalls the stream") { try op.snapshot(1) }
    try timed("the next batch, which copies what it changes") { _ = try op.process(next, input: 0, output: counter) }
    try timed("the batch after it") { _ = try op.process(next, input: 0, output: counter) }
    let states = try timed("cutting \(snapshot.units.count) units, off the stream") { try snapshot.loaded() }
    print("  \(states.count) pieces, \(bytes(states) / 1_000_000) MB")
    let second = try timed("snapshot() again") { try op.snapshot(2) }
    let before = Dictionary(uniqueKeysWithValues: snapshot.units.map { ($0.name, $0.version) })
    let changed = second.units.filter { $0.version == nil || before[$0.name] != $0.version }
    try timed("cutting the \(changed.count) units that changed") { for unit in changed { _ = try unit.pieces() } }
    let fresh = try make()
    try fresh.open(OperatorContext(name: title))
    try timed("restore") { try fresh.restore(RestoredState(states)) }
    _ = try fresh.advance(to: .max, output: counter)
}

for type in [DataType.int, .string] {
    let window = WindowAggregateSpec(inputSchema: schema(type), keys: [0], timeColumn: 2, window: .hop(slide: 10_000, size: 60_000, offset: 0),
                                     aggregates: aggregates, properties: [.start, .end])
    let rounds = (0..<6).map { round(type, at: Int64($0) * 10_000) }
    try report("window aggregate, 1 M \(type) keys x 6 slices", Operators.windowAggregate(window), rounds: rounds, next: rounds[5][0])
    let group = GroupAggregateSpec(inputSchema: schema(type), keys: [0], aggregates: aggregates, inputChanges: false)
    try report("group aggregate, 1 M \(type) keys", Operators.groupAggregate(group), rounds: [rounds[0]], next: rounds[0][0])
    let join = JoinSpec(leftSchema: schema(type), rightSchema: schema(type), leftKeys: [0], rightKeys: [0])
    try report("join, 1 M rows with \(type) keys on the left", Operators.join(join), rounds: [rounds[0]], next: rounds[1][0])
}
