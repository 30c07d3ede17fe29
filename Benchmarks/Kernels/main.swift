import StreamCore
import StreamOperators
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Rates of the hot operators, one thread, rows per second of CPU time, best of three passes: `swift run -c release Kernels`.

/// Counts rows and drops them.
final class Counter: Output {
    var rows = 0
    func emit(_ batch: Batch) { rows += batch.count }
    var isReady: Bool { true }
}

struct Generator {
    var state: UInt64 = 42
    mutating func next(below n: UInt64) -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return RowHash.mix(state) % n
    }
}

func column<T: BitwiseCopyable>(_ type: DataType, _ n: Int, _ body: (Int) -> T) -> Column {
    let buffer = Buffer(capacity: n * MemoryLayout<T>.stride)
    for i in 0..<n { buffer.pointer(as: T.self)[i] = body(i) }
    return Column(type: type, count: n, values: buffer)
}

func view(_ text: String) -> StringView {
    var text = text
    return text.withUTF8 { .inline($0.baseAddress!, $0.count) }
}

func residentMegabytes() -> Int {
    var usage = rusage()
    #if canImport(Glibc)
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #else
    getrusage(RUSAGE_SELF, &usage)
    #endif
    return usage.ru_maxrss / 1_024
}

/// CPU time, so that other work on the machine counts as little as it can.
func threadNanoseconds() -> UInt64 {
    var t = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t)
    return UInt64(t.tv_sec) * 1_000_000_000 + UInt64(t.tv_nsec)
}

func measure(_ name: String, rows: Int, _ body: () throws -> Int) rethrows {
    var best = UInt64.max, out = 0
    for _ in 0..<3 {
        let start = threadNanoseconds()
        out = try body()
        best = min(best, threadNanoseconds() - start)
    }
    let rate = Double(rows) / Double(best) * 1_000
    let tenths = Int(rate * 10)
    print(name + String(repeating: " ", count: max(1, 52 - name.utf8.count)) + "\(tenths / 10).\(tenths % 10) M rows/s   out \(out)   peak \(residentMegabytes()) MB")
}

let size = Batch.targetRows

/// `rows` of (key, v DOUBLE, ts) at 100 k rows a second of event time, in batches.
func batches(rows: Int, perSecond: Int, key: (inout Generator, Int) -> Column) -> [Batch] {
    var random = Generator()
    let values = column(.double, size) { Double($0 & 255) }
    return stride(from: 0, to: rows, by: size).map { start in
        let n = min(size, rows - start)
        return Batch(columns: [key(&random, n), n == size ? values : column(.double, n) { Double($0 & 255) }, column(.timestamp(3), n) { Int64((start + $0) * 1_000 / perSecond) }],
                     physicalCount: n)
    }
}

func hop(_ keyType: DataType, global: Bool = false) -> WindowAggregateSpec {
    let schema = [Field("key", keyType), Field("v", .double), Field("ts", .timestamp(3))]
    return WindowAggregateSpec(
        inputSchema: schema, keys: global ? [] : [0], timeColumn: 2, window: .hop(slide: 10_000, size: 60_000, offset: 0),
        aggregates: [AggregateCall(function: "COUNT", arguments: [], argumentTypes: [], resultType: .bigint),
                     AggregateCall(function: "AVG", arguments: [1], argumentTypes: [.double], resultType: .double)],
        properties: [.start, .end])
}

func run(_ make: Operators.Factory, _ input: [Batch], then: Operators.Factory? = nil, watermarkEvery: Int) throws -> Int {
    let counter = Counter()
    let first = try make()
    let second = try then?()
    let output: any Output = second.map { Relay($0, counter) } ?? counter
    for (i, batch) in input.enumerated() {
        _ = try first.process(batch, input: 0, output: output)
        guard i % watermarkEvery == watermarkEvery - 1 else { continue }
        let watermark = EventTime(milliseconds: batch.columns[2].pointer(as: Int64.self)[batch.physicalCount - 1] - 1)
        _ = try first.advance(to: watermark, output: output)
        _ = try second?.advance(to: watermark, output: counter)
    }
    _ = try first.advance(to: .max, output: output)
    _ = try second?.advance(to: .max, output: counter)
    return counter.rows
}

/// Hands batches to the next operator.
final class Relay: Output {
    let next: any StreamOperator, output: Counter
    init(_ next: any StreamOperator, _ output: Counter) { (self.next, self.output) = (next, output) }
    func emit(_ batch: Batch) throws { _ = try next.process(batch, input: 0, output: output) }
    var isReady: Bool { true }
}

func lookups(_ name: String, _ type: DataType, rows: Int, _ make: (inout Generator, Int) -> Column) {
    let input = batches(rows: rows, perSecond: 100_000) { make(&$0, $1) }.map { $0.columns[0] }
    let ids = UnsafeMutablePointer<Int32>.allocate(capacity: size)
    defer { ids.deallocate() }
    let table = GroupTable(types: [type])
    for keys in input { table.lookup([keys], rows: nil, count: keys.count, into: ids) }
    measure("group look-up, " + name, rows: rows) {
        for keys in input { table.lookup([keys], rows: nil, count: keys.count, into: ids) }
        return table.count
    }
}

func main() throws {
    let three = ["north", "south", "centre"].map(view)
    let words = (0..<1_000).map { view("sensor-\($0)") }
    lookups("3 strings", .string, rows: 10_000_000) { r, n in column(.string, n) { _ in three[Int(r.next(below: 3))] } }
    lookups("1000 strings", .string, rows: 10_000_000) { r, n in column(.string, n) { _ in words[Int(r.next(below: 1_000))] } }
    lookups("1 M ints, dense", .int, rows: 10_000_000) { r, n in column(.int, n) { _ in Int32(r.next(below: 1_000_000)) } }
    lookups("1 M ints, sparse", .int, rows: 10_000_000) { r, n in column(.int, n) { _ in Int32(truncatingIfNeeded: r.next(below: 1_000_000) &* 2_654_435_761) } }
    lookups("1 M bigints, sparse", .bigint, rows: 10_000_000) { r, n in column(.bigint, n) { _ in Int64(bitPattern: r.next(below: 1_000_000) &* 0x9E37_79B9_7F4A_7C15) } }
    do {
        // The keys of a few batches come again and again, so that it is not the memory's speed that is measured.
        var few: [Column] = [], next = 0
        let input = batches(rows: 20_000_000, perSecond: 200_000) { r, n in
            next += 1
            if next > 8, n == size { return few[next % 8] }
            few.append(column(.string, n) { _ in three[Int(r.next(below: 3))] })
            return few[few.count - 1]
        }
        try measure("HOP 10 s / 60 s, 3 strings, COUNT + AVG", rows: 20_000_000) { try run(Operators.windowAggregate(hop(.string)), input, watermarkEvery: 4) }
        try measure("the same, local + global", rows: 20_000_000) {
            try run(Operators.localWindowAggregate(hop(.string)), input, then: Operators.globalWindowAggregate(hop(.string)), watermarkEvery: 4)
        }
        try measure("the same, no key", rows: 20_000_000) { try run(Operators.windowAggregate(hop(.string, global: true)), input, watermarkEvery: 4) }
        let group = GroupAggregateSpec(inputSchema: hop(.string).inputSchema, keys: [0], aggregates: hop(.string).aggregates, inputChanges: false)
        try measure("GROUP BY 3 strings, COUNT + AVG", rows: 20_000_000) { try run(Operators.groupAggregate(group), input, watermarkEvery: 4) }
    }
    // 100 s of event time: 15 windows of up to a million keys.
    let input = batches(rows: 10_000_000, perSecond: 100_000) { r, n in column(.int, n) { _ in Int32(r.next(below: 1_000_000)) } }
    try measure("HOP 10 s / 60 s, 1 M ints, COUNT + AVG", rows: 10_000_000) { try run(Operators.windowAggregate(hop(.int)), input, watermarkEvery: 4) }
    try measure("the same, local + global", rows: 10_000_000) {
        try run(Operators.localWindowAggregate(hop(.int)), input, then: Operators.globalWindowAggregate(hop(.int)), watermarkEvery: 4)
    }
}

try main()
