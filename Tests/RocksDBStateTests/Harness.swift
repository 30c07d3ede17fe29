import Foundation
import StreamCore
import Synchronization
@testable import RocksDBState
@testable import StreamOperators

/// SplitMix64, so that a printed seed gives the same run again.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return RowHash.mix(state)
    }
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}

/// A directory that is removed when the value's owner is done with it.
func withDirectory<R>(_ body: (String) throws -> R) throws -> R {
    let path = NSTemporaryDirectory() + "rocks-" + UUID().uuidString
    defer { try? Host.system.removeTree(path) }
    return try body(path)
}

/// A backend whose operators may hold next to nothing in front of their stores.
final class TinyBackend: StateBackend {
    let base: RocksDBBackend
    let bytes: Int
    var name: String { base.name }

    init(_ base: RocksDBBackend, bytes: Int) { (self.base, self.bytes) = (base, bytes) }

    func makeStore(_ name: String, identity: String, directory: String) throws -> any KeyedStore {
        TinyStore(try base.makeStore(name, identity: identity, directory: directory), bytes)
    }
}

final class TinyStore: KeyedStore {
    let base: any KeyedStore
    let operatorCacheBytes: Int

    init(_ base: any KeyedStore, _ bytes: Int) { (self.base, operatorCacheBytes) = (base, bytes) }

    func get(_ key: [UInt8]) throws -> [UInt8]? { try base.get(key) }
    func get(_ keys: ByteList, found: (Int, UnsafeRawBufferPointer) throws -> Void) throws { try base.get(keys, found: found) }
    func apply(_ changes: StoreChanges) throws { try base.apply(changes) }
    func scan(from low: [UInt8], to high: [UInt8]?, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool) throws {
        try base.scan(from: low, to: high, body)
    }
    func scan(prefixes: ByteList, _ body: (Int, UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Void) throws {
        try base.scan(prefixes: prefixes, body)
    }
    func view() throws -> any KeyedStoreView { try base.view() }
    func snapshot(_ checkpoint: UInt64) throws -> StoreFiles { try base.snapshot(checkpoint) }
    func restore(_ stores: [StoreFiles], keyGroups: Range<Int>) throws { try base.restore(stores, keyGroups: keyGroups) }
    func close() { base.close() }
}

/// Collects changes; ready for one batch at a time.
final class Collector: Output {
    var changes: [String] = []
    private var left = 1
    var isReady: Bool { left > 0 }

    func emit(_ batch: Batch) {
        left -= 1
        for i in 0..<batch.count {
            let row = batch.row(i)
            changes.append("\(batch.kind(atPhysical: row)) " + batch.columns.map { "\(Self.normal($0.value(at: row)))" }.joined(separator: " | "))
        }
    }

    func makeRoom() { left = 1 }

    /// Entries of maps have no order.
    private static func normal(_ value: Value) -> Value {
        guard case .map(let entries) = value else { return value }
        return .map(entries.sorted { "\($0.key)" < "\($1.key)" })
    }

    /// What came since the last call, sorted.
    func take() -> [String] {
        defer { changes = [] }
        return changes.sorted()
    }
}

/// Milliseconds that move only when told to.
final class TestClock: Sendable {
    let time = Mutex<Int64>(1_000_000)
    func advance(_ ms: Int64) { time.withLock { $0 += ms } }
}

/// Drives one operator subtask as the runtime does.
struct Driver {
    let op: any StreamOperator
    let output = Collector()
    let context: OperatorContext

    init(_ factory: Operators.Factory, _ backend: (any StateBackend)?, directory: String, subtask: Int = 0, parallelism: Int = 1,
         clock: TestClock = TestClock()) throws {
        op = try factory()
        context = OperatorContext(name: "test", subtask: subtask, parallelism: parallelism, backend: backend, workDirectory: directory,
                                  now: { clock.time.withLock { $0 } })
        try op.open(context)
    }

    private func through(_ progress: StreamCore.Progress) throws {
        var progress = progress
        while progress == .more {
            output.makeRoom()
            progress = try op.resume(output)
        }
        output.makeRoom()
    }

    func process(_ batch: Batch, input: Int = 0) throws { try through(op.process(batch, input: input, output: output)) }
    func advance(_ ms: Int64) throws { try through(op.advance(to: EventTime(milliseconds: ms), output: output)) }
    func finish() throws {
        try through(op.advance(to: .max, output: output))
        try through(op.finish(input: 0, output: output))
    }
}

/// What a subtask gets back of snapshots.
func restored(_ snapshots: [OperatorSnapshot], for context: OperatorContext) throws -> RestoredState {
    let pieces = try snapshots.flatMap { try $0.loaded() }
        .filter { $0.keyGroup == KeyGroupState.everywhere || context.keyGroups.contains(Int($0.keyGroup)) }
    var state = RestoredState(pieces)
    state.stores = snapshots.flatMap(\.stores)
    return state
}

func call(_ function: String, _ arguments: [Int] = [], of schema: Schema, filter: Int? = nil, distinct: Bool = false) throws -> AggregateCall {
    let types = arguments.map { schema[$0].type }
    return AggregateCall(function: function, arguments: arguments, argumentTypes: types, filter: filter, distinct: distinct,
                         resultType: try AggregateRegistry.bind(function, argumentTypes: types, distinct: distinct).resultType)
}

/// One step of an input.
enum Step {
    case batch(Batch, input: Int)
    case watermark(Int64)
}

/// Rows of one subtask: those whose key columns hash to it.
func share(_ batch: Batch, keys: [Int], subtask: Int, parallelism: Int) -> Batch {
    let batch = batch.compacted(), n = batch.count
    var hashes = [UInt64](repeating: 0, count: max(n, 1))
    hashes.withUnsafeMutableBufferPointer { RowHash.hash(batch, keys: keys, into: $0.baseAddress!) }
    let rows = (0..<n).filter {
        let group = KeyGroups.group(ofHash: hashes[$0], maxParallelism: KeyGroups.defaultMaxParallelism)
        return KeyGroups.subtask(ofGroup: group, parallelism: parallelism, maxParallelism: KeyGroups.defaultMaxParallelism) == subtask
    }
    var part = batch
    part.selection = Selection(rows.map { Int32($0) })
    return part
}
