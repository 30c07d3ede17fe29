import StreamCore
import StreamOperators
import StreamState
import Testing
@testable import RocksDBState

private let input: Schema = [Field("k", .string), Field("op", .int), Field("n", .bigint)]
private let output: Schema = [Field("k", .string), Field("text", .string)]

/// Does to its state what rows say, and emits all of it after each.
private final class Notes: KeyedProcessFunction {
    private var value: ValueState<Double>!, list: ListState<Int64>!, map: MapState<Int64, String>!

    func open(_ context: ProcessContext) throws {
        value = try context.valueState("value", of: .double, ttl: StateTTL(.milliseconds(500)))
        list = try context.listState("list", of: .int64, ttl: StateTTL(.milliseconds(500), updateType: .onReadAndWrite))
        map = try context.mapState("map", from: .int64, to: .string)
    }

    func process(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws {
        let n = try row.int64("n")!
        switch try row.int64("op")! {
        case 0: try value.update(Double(n) / 2)
        case 1: try value.clear()
        case 2: try list.add(contentsOf: [n, n + 1])
        case 3: try list.clear()
        case 4: try map.put(n, "entry \(n)")
        case 5: try map.remove(n)
        case 6: try map.clear()
        default: try context.setTimer(.eventTime, at: n)
        }
        try out.emit(row.value("k"), "\(try value.value() ?? 0) \(try list.values()) \(try map.entries().map { "\($0.key)=\($0.value)" })")
    }

    func onTimer(_ timestamp: Int64, _ domain: TimeDomain, _ context: KeyContext, _ out: RowCollector) throws {
        try out.emit(context.key().value("k"), "timer \(timestamp)")
    }
}

private final class Lines: Output {
    var lines: [String] = []
    let isReady = true
    func emit(_ batch: Batch) { lines += batch.rows().map { "\($0)" } }
}

private final class ProcessClock: Sendable {
    // SAFETY: one thread.
    nonisolated(unsafe) var now: Int64 = 1_000
}

@Suite("Process functions over RocksDB") struct KeyedProcessTests {
    @Test("they answer as they do in memory, also after 1 -> 2 -> 4 -> 1 subtasks", arguments: UInt64(0)..<6)
    func sameAsMemory(seed: UInt64) throws {
        try withDirectory { directory in
            var random = SeededGenerator(seed)
            let make = try Operators.keyedProcess(inputSchema: input, keys: ["k"], outputSchema: output) { Notes() }
            let backend = try RocksDBBackend(RocksDBOptions()), clock = ProcessClock()
            var lives = 0
            func start(_ parallelism: Int, inMemory: Bool, _ states: [OperatorSnapshot]) throws -> [any StreamOperator] {
                lives += 1
                return try (0..<parallelism).map { i in
                    let made = try make()
                    let context = OperatorContext(name: "notes", subtask: i, parallelism: parallelism, backend: inMemory ? nil : backend,
                                                  workDirectory: "\(directory)/\(lives)-\(i)", now: { clock.now })
                    try made.open(context)
                    let pieces = RestoredState(try states.flatMap { try $0.loaded() }).pieces
                    if !states.isEmpty { try made.restore(RestoredState(pieces: pieces, stores: states.flatMap(\.stores))) }
                    return made
                }
            }
            func process(_ batch: Batch, _ subtasks: [any StreamOperator], _ output: Lines) throws {
                var hashes = [UInt64](repeating: 0, count: batch.count)
                hashes.withUnsafeMutableBufferPointer { RowHash.hash(batch, keys: [0], into: $0.baseAddress!) }
                for (i, subtask) in subtasks.enumerated() {
                    var part = batch
                    part.selection = Selection((0..<batch.count).filter {
                        KeyGroups.subtask(ofGroup: KeyGroups.group(ofHash: hashes[$0], maxParallelism: 128), parallelism: subtasks.count, maxParallelism: 128) == i
                    }.map { Int32($0) })
                    _ = try subtask.process(part, input: 0, output: output)
                }
            }
            var stored = try start(1, inMemory: false, []), plain = try start(1, inMemory: true, [])
            for parallelism in [2, 4, 1, 1] {
                let (a, b) = (Lines(), Lines())
                for _ in 0..<6 {
                    let rows: [[Value]] = (0..<40).map { _ in
                        [.string("key \(Int.random(in: 0..<12, using: &random))"), .int(.random(in: 0...9, using: &random)), .int(.random(in: -5...300, using: &random))]
                    }
                    try process(Batch(schema: input, rows: rows), stored, a)
                    try process(Batch(schema: input, rows: rows), plain, b)
                    clock.now += Int64.random(in: 0...300, using: &random)
                }
                for subtask in stored { _ = try subtask.advance(to: EventTime(milliseconds: 100), output: a) }
                for subtask in plain { _ = try subtask.advance(to: EventTime(milliseconds: 100), output: b) }
                #expect(a.lines == b.lines && a.lines.count >= 240, "seed \(seed)")
                let states = try (stored.map { try $0.snapshot(1) }, plain.map { try $0.snapshot(1) })
                for subtask in stored { subtask.close() }
                (stored, plain) = try (start(parallelism, inMemory: false, states.0), start(parallelism, inMemory: true, states.1))
            }
            for subtask in stored { subtask.close() }
        }
    }
}
